/*
 * folder.h - where a file is.
 */
#ifndef PG2ANY_FOLDER_H
#define PG2ANY_FOLDER_H

#include <stdbool.h>

/* Whether this user may create files beside `file`, which need not exist; errno says why not. */
bool folder_is_writable(const char *file);

#endif
