/*
 * redact.h - the target of a connection, for logs, without anything that may be a secret.
 */
#ifndef PG2ANY_REDACT_H
#define PG2ANY_REDACT_H

#include <stdbool.h>

#include "base/buf.h"

/* Whether a text can only be the path of a file, or ":memory:". A text with = ; or @, or a colon
 * before its first slash, may be a connection string. */
bool redact_is_path(const char *where);

/* The length of the scheme that a URI begins with, "://" not counted; 0: it is no URI. */
size_t redact_scheme(const char *where);

/*
 * Appends user, host, port and database of a URI or a libpq connection string. In a URI, the text
 * between the first colon after its scheme and the last @ is left out, and the text after a
 * question mark; more is left out if the parts are not clear. In "key=value ..." all other keys are
 * left out. A path stays as it is; of anything else nothing is shown.
 */
void redact(struct buf *out, const char *where);

#endif
