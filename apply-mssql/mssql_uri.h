/*
 * mssql_uri.h - --dest of apply-mssql:
 * sqlserver://user:password@host:port/database?encrypt=verify&ca=FILE&instance=NAME
 *
 * The scheme may be mssql too; target_uri.h says how the parts are written. Without encrypt the
 * connection is encrypted, as it is with Microsoft's own drivers, and the server verified where a
 * CA is given.
 */
#ifndef PG2ANY_MSSQL_URI_H
#define PG2ANY_MSSQL_URI_H

#include "base/err.h"
#include "sql/target_uri.h"

enum mssql_encrypt {
    MSSQL_ENCRYPT_NO,     /* the password is encrypted all the same, where the server can */
    MSSQL_ENCRYPT_YES,    /* anyone may be at the other end */
    MSSQL_ENCRYPT_VERIFY, /* the certificate is one of the CA's and names the host */
};

#define MSSQL_DEFAULT_PORT 1433

struct mssql_uri {
    struct target_uri base;
    char *ca;       /* file; NULL: the system's CAs */
    char *instance; /* its port is asked of the SQL Server Browser; NULL: the port is known */
    enum mssql_encrypt encrypt;
};

MUST_CHECK int mssql_uri_parse(struct mssql_uri *u, const char *uri, struct err *err);
void mssql_uri_free(struct mssql_uri *u);

#endif
