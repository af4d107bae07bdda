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

#include "mysql_uri.h"

#ifdef MARIADB_PACKAGE_VERSION
typedef my_bool mysql_bool;
#else
typedef bool mysql_bool;
#endif

/* One parameter over the rows of a batch. Numbers lie one after the other, text by pointers. */
struct array_param {
    enum enum_field_types type;
    void *values;         /* of that type, or char *[] for text */
    unsigned long *sizes; /* of text */
    char *nulls;          /* ARRAY_NOT_NULL or ARRAY_NULL for each row */
};

#ifdef MARIADB_PACKAGE_VERSION

enum { ARRAY_NOT_NULL = STMT_INDICATOR_NONE, ARRAY_NULL = STMT_INDICATOR_NULL };

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

static inline void compat_array_bind(MYSQL_BIND *bind, const struct array_param *p)
{
    bind->buffer_type = p->type;
    bind->buffer = p->values;
    bind->length = p->sizes;
    bind->u.indicator = p->nulls;
}

static inline void compat_no_reconnect(MYSQL *m)
{
    const mysql_bool off = 0;
    (void)mysql_options(m, MYSQL_OPT_RECONNECT, &off);
}

static inline void compat_tls(MYSQL *m, const struct mysql_uri *u)
{
    const mysql_bool on = 1, off = 0;
    /* Without MYSQL_OPT_SSL_VERIFY_SERVER_CERT the name is not compared; the chain is, if there is
     * a CA. */
    if (u->tls == MYSQL_TLS_REQUIRED || u->tls == MYSQL_TLS_VERIFY_CA)
        (void)mysql_options(m, MYSQL_OPT_SSL_VERIFY_SERVER_CERT, &off);
    if (u->tls == MYSQL_TLS_VERIFY_IDENTITY)
        (void)mysql_options(m, MYSQL_OPT_SSL_VERIFY_SERVER_CERT, &on);
    if (u->tls >= MYSQL_TLS_REQUIRED)
        (void)mysql_options(m, MYSQL_OPT_SSL_ENFORCE, &on);
    if (u->tls == MYSQL_TLS_OFF)
        (void)mysql_options(m, MYSQL_OPT_SSL_ENFORCE, &off);
}

#else

enum { ARRAY_NOT_NULL, ARRAY_NULL };

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

static inline void compat_array_bind(MYSQL_BIND *bind, const struct array_param *p)
{
    (void)bind;
    (void)p;
}

/* Off for ever; to say so again is a warning on stderr. */
static inline void compat_no_reconnect(MYSQL *m)
{
    (void)m;
}

static inline void compat_tls(MYSQL *m, const struct mysql_uri *u)
{
    static const unsigned int modes[] = {
        [MYSQL_TLS_OFF] = SSL_MODE_DISABLED,
        [MYSQL_TLS_REQUIRED] = SSL_MODE_REQUIRED,
        [MYSQL_TLS_VERIFY_CA] = SSL_MODE_VERIFY_CA,
        [MYSQL_TLS_VERIFY_IDENTITY] = SSL_MODE_VERIFY_IDENTITY,
    };
    if (u->tls != MYSQL_TLS_LIBRARY)
        (void)mysql_options(m, MYSQL_OPT_SSL_MODE, &modes[u->tls]);
}

#endif

#endif
