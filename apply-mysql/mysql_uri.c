#include "mysql_driver.h"

static const char *const schemes[] = {"mysql", "mariadb", NULL};
static const char *const tls_words[] = {"",  "off", "required", "verify-ca", "verify-identity",
                                        NULL};

static const struct target_uri_form form = {
    .schemes = schemes,
    .server = "a MySQL or MariaDB server",
    .example = "mysql://user:password@host:port/database?name=value&…",
};

int my_uri_parse(struct my_uri *u, const char *uri, struct err *err)
{
    int tls = MYSQL_TLS_LIBRARY;
    *u = (struct my_uri){.create_database = true, .array_binding = true};
    const struct target_uri_parameter parameters[] = {
        {.name = "socket", .text = &u->socket},
        {.name = "tls", .choice = &tls, .words = tls_words},
        {.name = "ca", .text = &u->ca},
        {.name = "cert", .text = &u->cert},
        {.name = "key", .text = &u->key},
        {.name = "create_database", .flag = &u->create_database},
        {.name = "array_binding", .flag = &u->array_binding},
        {.name = "foreign_keys", .flag = &u->foreign_keys},
        {.name = "triggers", .flag = &u->triggers},
        {.name = NULL},
    };
    if (target_uri_parse(&u->base, uri, &form, parameters, err))
        return -1;
    u->tls = (enum my_tls)tls;
    /* Who names the files wants what they are for. */
    if (u->tls == MYSQL_TLS_LIBRARY && (u->ca || u->cert || u->key))
        u->tls = u->ca ? MYSQL_TLS_VERIFY_CA : MYSQL_TLS_REQUIRED;
    if (u->tls == MYSQL_TLS_VERIFY_CA && !u->ca) {
        my_uri_free(u);
        return err_set(err, ERR_PERMANENT, "--dest: tls=verify-ca needs ca=FILE");
    }
    return 0;
}

void my_uri_free(struct my_uri *u)
{
    target_uri_free(&u->base);
    *u = (struct my_uri){0};
}
