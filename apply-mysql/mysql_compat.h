/*
 * mysql_compat.h - what differs between the two client libraries, MariaDB Connector/C and Oracle's
 * libmysqlclient 8 and later. The rest of the driver includes this and knows no difference.
 */
#ifndef PG2ANY_MYSQL_COMPAT_H
#define PG2ANY_MYSQL_COMPAT_H

#include <stdbool.h>

#include <errmsg.h>
#include <mysql.h>
#include <mysqld_error.h>

enum my_tls {
    MYSQL_TLS_LIBRARY, /* what the client library does by default */
    MYSQL_TLS_OFF,
    MYSQL_TLS_REQUIRED,        /* encrypted; anyone may be at the other end */
    MYSQL_TLS_VERIFY_CA,       /* the certificate is one of the CA's */
    MYSQL_TLS_VERIFY_IDENTITY, /* and names the host */
};

#ifdef MARIADB_PACKAGE_VERSION
typedef my_bool compat_bool;
#else
typedef bool compat_bool;
#endif

#ifdef MARIADB_PACKAGE_VERSION

_Static_assert(STMT_INDICATOR_NONE == 0 && STMT_INDICATOR_NULL == 1, "an array's nulls are flags");

/* Whether the server executes a statement for an array of parameters at once. */
static inline bool compat_has_arrays(MYSQL *m)
{
    unsigned long extended = 0; /* the capabilities from the 33rd bit on */
    return mariadb_get_infov(m, MARIADB_CONNECTION_EXTENDED_SERVER_CAPABILITIES, &extended) == 0 &&
           (extended & (unsigned long)(MARIADB_CLIENT_STMT_BULK_OPERATIONS >> 32)) != 0;
}

/* `nrows` 0: one row, without arrays. */
static inline void compat_array_size(MYSQL_STMT *s, unsigned int nrows)
{
    (void)mysql_stmt_attr_set(s, STMT_ATTR_ARRAY_SIZE, &nrows);
}

/* Which of an array's values are NULL. */
static inline void compat_array_nulls(MYSQL_BIND *bind, compat_bool *nulls)
{
    bind->u.indicator = nulls;
}

static inline void compat_no_reconnect(MYSQL *m)
{
    const compat_bool off = 0;
    (void)mysql_options(m, MYSQL_OPT_RECONNECT, &off);
}

/* No part of the login leaves before TLS is up as it is asked for; to a server that is not verified
 * no password goes as it is. */
static inline void compat_tls(MYSQL *m, enum my_tls tls)
{
    const compat_bool on = 1, off = 0;
    /* Where the name is not compared MYSQL_OPT_SSL_ENFORCE alone lets a server do without TLS. With
     * a fingerprint, be it empty, which is not compared, the library refuses before the login. */
    if (tls >= MYSQL_TLS_REQUIRED)
        (void)mysql_options(m, MARIADB_OPT_TLS_PEER_FP, "");
    /* Without mysql_clear_password and dialog, which give the password away. */
    if (tls < MYSQL_TLS_VERIFY_CA)
        (void)mysql_options(m, MARIADB_OPT_RESTRICTED_AUTH,
                            "mysql_native_password,client_ed25519,parsec,caching_sha2_password,"
                            "sha256_password,auth_gssapi_client");
    /* Without MYSQL_OPT_SSL_VERIFY_SERVER_CERT the name is not compared; the chain is, if there is
     * a CA. */
    if (tls == MYSQL_TLS_REQUIRED || tls == MYSQL_TLS_VERIFY_CA)
        (void)mysql_options(m, MYSQL_OPT_SSL_VERIFY_SERVER_CERT, &off);
    if (tls == MYSQL_TLS_VERIFY_IDENTITY)
        (void)mysql_options(m, MYSQL_OPT_SSL_VERIFY_SERVER_CERT, &on);
    if (tls >= MYSQL_TLS_REQUIRED)
        (void)mysql_options(m, MYSQL_OPT_SSL_ENFORCE, &on);
    if (tls == MYSQL_TLS_OFF)
        (void)mysql_options(m, MYSQL_OPT_SSL_ENFORCE, &off);
}

#else

static inline bool compat_has_arrays(MYSQL *m)
{
    (void)m;
    return false;
}

static inline void compat_array_size(MYSQL_STMT *s, unsigned int nrows)
{
    (void)s;
    (void)nrows;
}

static inline void compat_array_nulls(MYSQL_BIND *bind, compat_bool *nulls)
{
    (void)bind;
    (void)nulls;
}

/* Off for ever; to say so again is a warning on stderr. */
static inline void compat_no_reconnect(MYSQL *m)
{
    (void)m;
}

static inline void compat_tls(MYSQL *m, enum my_tls tls)
{
    static const unsigned int modes[] = {
        [MYSQL_TLS_OFF] = SSL_MODE_DISABLED,
        [MYSQL_TLS_REQUIRED] = SSL_MODE_REQUIRED,
        [MYSQL_TLS_VERIFY_CA] = SSL_MODE_VERIFY_CA,
        [MYSQL_TLS_VERIFY_IDENTITY] = SSL_MODE_VERIFY_IDENTITY,
    };
    const compat_bool verified = tls >= MYSQL_TLS_VERIFY_CA;
    if (tls != MYSQL_TLS_LIBRARY)
        (void)mysql_options(m, MYSQL_OPT_SSL_MODE, &modes[tls]);
    (void)mysql_options(m, MYSQL_ENABLE_CLEARTEXT_PLUGIN, &verified);
}

#endif

#endif
