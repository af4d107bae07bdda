/*
 * atomic_file.h - a small file whose readers see the old content or the new one, never a part.
 */
#ifndef PG2ANY_ATOMIC_FILE_H
#define PG2ANY_ATOMIC_FILE_H

#include <stddef.h>

#include "base/err.h"

/* Writes a temporary file beside `path`, "<path>.tmp" (mode 0600; created by root, it gets the
 * folder's owner), and renames it. One process at a time. Not synced: for readers, not for
 * recovery. / */
MUST_CHECK int atomic_file_write(const char *path, const void *data, size_t size, struct err *err);

#endif
