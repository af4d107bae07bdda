/*
 * target_uri.h - --dest of a driver whose target is a server:
 * scheme://user:password@host:port/database?name=value&…
 *
 * Every part may have percent-escapes; the last @ before the host ends the password, so that one in
 * it need not be escaped. What is not given is NULL or 0. Each driver says which schemes and
 * parameters it knows. No error message repeats the password.
 */
#ifndef PG2ANY_TARGET_URI_H
#define PG2ANY_TARGET_URI_H

#include <stdbool.h>

#include "base/err.h"

struct target_uri {
    char *user, *password, *host, *database; /* NULL: not given; `database` always is */
    unsigned int port;                       /* 0: not given */
    char *text;                              /* what the others and the parameters point into */
};

/* A parameter after the question mark: of the three pointers one is set. */
struct target_uri_parameter {
    const char *name;
    char **text;
    bool *flag; /* on or yes, off or no */
    int *choice;
    const char *const *words; /* of the choice, ended by NULL; "" for a value that has no word */
};

struct target_uri_form {
    const char *const *schemes; /* ended by NULL */
    const char *server;         /* "a MySQL or MariaDB server" */
    const char *example;        /* "mysql://user:password@host:port/database?name=value&…" */
};

/* `parameters` ends with a name of NULL. Permanent errors. */
MUST_CHECK int target_uri_parse(struct target_uri *u, const char *uri,
                                const struct target_uri_form *form,
                                const struct target_uri_parameter *parameters, struct err *err);

/* Undoes percent-escapes in place; whether every % began one. %00 is none: a zero byte cannot be
 * passed on. */
bool target_uri_unescape(char *text);

/* Reads name=value&… alone, in place; NULL: there are none. Of the form only the example is used.
 */
MUST_CHECK int target_uri_parameters(char *text, const struct target_uri_form *form,
                                     const struct target_uri_parameter *parameters,
                                     struct err *err);

/* Overwrites the password. */
void target_uri_free(struct target_uri *u);

#endif
