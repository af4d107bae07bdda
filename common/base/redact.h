/*
 * redact.h - where something connects to, for logs, without anything that may be a secret.
 */
#ifndef PG2ANY_REDACT_H
#define PG2ANY_REDACT_H

#include <stdbool.h>

#include "base/buf.h"

/* Whether a text can be nothing but the path of a file, or ":memory:": what holds a = ; or @, or a
 * colon before its first slash, may be some connection string. */
bool redact_is_path(const char *where);

/* The length of the scheme that a URI begins with, "://" not counted; 0: it is no URI. */
size_t redact_scheme(const char *where);

/*
 * Appends what a URI or a libpq connection string says of user, host, port and database. Of a URI
 * what stands between the first colon after its scheme and the last @ is left out, and what follows
 * a question mark; where it is not clear which is which, more. Of "key=value ..." everything but
 * those keys. A path stays as it is; of anything else nothing is shown.
 */
void redact(struct buf *out, const char *where);

#endif
