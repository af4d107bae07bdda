/*
 * mysql_uri.h - --dest of apply-mysql:
 * mysql://user:password@host:port/database?socket=PATH&tls=verify-ca&ca=FILE&…
 *
 * The scheme may be mariadb too; dest_uri.h says how the parts are written. What is not given comes
 * from the option files of the client library (groups client and pg2any), then from its defaults.
 */
#ifndef PG2ANY_MYSQL_URI_H
#define PG2ANY_MYSQL_URI_H

#include <stdbool.h>

#include "base/err.h"
#include "sql/dest_uri.h"

enum mysql_tls {
    MYSQL_TLS_LIBRARY, /* what the client library does by default */
    MYSQL_TLS_OFF,
    MYSQL_TLS_REQUIRED,        /* encrypted; anyone may be at the other end */
    MYSQL_TLS_VERIFY_CA,       /* the certificate is one of the CA's */
    MYSQL_TLS_VERIFY_IDENTITY, /* and names the host */
};

struct mysql_uri {
    struct dest_uri base;
    char *socket;
    char *ca, *cert, *key; /* files; NULL: not given */
    enum mysql_tls tls;
    bool create_database; /* make what is missing; the default */
    bool array_binding;   /* use it where the server has it; the default */
    bool foreign_keys;    /* the target's own are checked; the default */
};

MUST_CHECK int mysql_uri_parse(struct mysql_uri *u, const char *uri, struct err *err);
void mysql_uri_free(struct mysql_uri *u);

#endif
