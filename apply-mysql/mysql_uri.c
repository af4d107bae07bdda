#include "mysql_uri.h"

#include <stddef.h>

static const char *const schemes[] = {"mysql", "mariadb", NULL};
static const char *const tls_words[] = {"",  "off", "required", "verify-ca", "verify-identity",
                                        NULL};

static const struct dest_uri_form form = {
    .schemes = schemes,
    .server = "a MySQL or MariaDB server",
    .example = "mysql://user:password@host:port/database?name=value&…",
};

int mysql_uri_parse(struct mysql_uri *u, const char *uri, struct err *err)
{
    int tls = MYSQL_TLS_LIBRARY;
    *u = (struct mysql_uri){.create_database = true, .array_binding = true, .foreign_keys = true};
    const struct dest_uri_parameter parameters[] = {
        {.name = "socket", .text = &u->socket},
        {.name = "tls", .choice = &tls, .words = tls_words},
        {.name = "ca", .text = &u->ca},
        {.name = "cert", .text = &u->cert},
        {.name = "key", .text = &u->key},
        {.name = "create_database", .flag = &u->create_database},
        {.name = "array_binding", .flag = &u->array_binding},
        {.name = "foreign_keys", .flag = &u->foreign_keys},
        {.name = NULL},
    };
    if (dest_uri_parse(&u->base, uri, &form, parameters, err))
        return -1;
    u->tls = (enum mysql_tls)tls;
    if (u->tls == MYSQL_TLS_VERIFY_CA && !u->ca) {
        mysql_uri_free(u);
        return err_set(err, ERR_PERMANENT, "--dest: tls=verify-ca needs ca=FILE");
    }
    return 0;
}

void mysql_uri_free(struct mysql_uri *u)
{
    dest_uri_free(&u->base);
    *u = (struct mysql_uri){0};
}
