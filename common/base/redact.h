/*
 * redact.h - where something connects to, for logs, without anything that may be a secret.
 */
#ifndef PG2ANY_REDACT_H
#define PG2ANY_REDACT_H

#include "base/buf.h"

/*
 * Appends what a URI or a libpq connection string says of user, host, port and database. Of a URI
 * what stands between the first colon after its scheme and the last @ is left out, and what follows
 * a question mark; where it is not clear which is which, more. Of "key=value ..." everything but
 * those keys. A path stays as it is.
 */
void redact(struct buf *out, const char *where);

#endif
