/*
 * folder.h - where a file is.
 */
#ifndef PG2ANY_FOLDER_H
#define PG2ANY_FOLDER_H

#include <stdbool.h>

/* Whether this user may make files beside `file`, which need not be there; errno says why not. */
bool folder_is_writable(const char *file);

#endif
