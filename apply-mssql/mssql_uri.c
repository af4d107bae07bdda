#include <string.h>

#include "mssql_driver.h"

#define NAME_MAX_BYTES 120 /* FreeTDS reads lines of 255 bytes from its configuration */

static const char *const schemes[] = {"sqlserver", "mssql", NULL};
static const char *const encrypt_words[] = {"no", "yes", "verify", NULL};

static const struct target_uri_form form = {
    .schemes = schemes,
    .server = "a SQL Server",
    .example = "sqlserver://user:password@host:port/database?name=value&…",
};

/* It becomes a line in a file, where blanks and comments mean something. */
static int check_word(const char *what, const char *word, struct err *err)
{
    if (strlen(word) <= NAME_MAX_BYTES && !word[strcspn(word, " \t\r\n\v\f#;=[]\\\"")])
        return 0;
    return err_set(err, ERR_PERMANENT, "--dest: \"%.80s\" is no name of %s", word, what);
}

static int check(struct mssql_uri *u, struct err *err)
{
    if (!u->base.host)
        return err_set(err, ERR_PERMANENT, "--dest: no host");
    if (!u->base.user)
        return err_set(err, ERR_PERMANENT, "--dest: no user");
    if (check_word("a host", u->base.host, err) ||
        (u->instance && check_word("an instance", u->instance, err)))
        return -1;
    if (u->instance && u->base.port)
        return err_set(err, ERR_PERMANENT, "--dest: either a port or an instance, not both");
    if (u->ca && u->encrypt != MSSQL_ENCRYPT_VERIFY)
        return err_set(err, ERR_PERMANENT, "--dest: ca=FILE is for encrypt=verify");
    if (!u->base.port && !u->instance)
        u->base.port = MSSQL_DEFAULT_PORT;
    return 0;
}

int mssql_uri_parse(struct mssql_uri *u, const char *uri, struct err *err)
{
    int encrypt = -1;
    *u = (struct mssql_uri){.encrypt = MSSQL_ENCRYPT_YES};
    const struct target_uri_parameter parameters[] = {
        {.name = "encrypt", .choice = &encrypt, .words = encrypt_words},
        {.name = "ca", .text = &u->ca},
        {.name = "instance", .text = &u->instance},
        {.name = "foreign_keys", .flag = &u->foreign_keys},
        {.name = "triggers", .flag = &u->triggers},
        {.name = NULL},
    };
    if (target_uri_parse(&u->base, uri, &form, parameters, err))
        return -1;
    u->encrypt = encrypt >= 0 ? (enum mssql_encrypt)encrypt
                 : u->ca      ? MSSQL_ENCRYPT_VERIFY
                              : MSSQL_ENCRYPT_YES;
    if (check(u, err)) {
        mssql_uri_free(u);
        return err_hint(err, "%s", form.example);
    }
    return 0;
}

void mssql_uri_free(struct mssql_uri *u)
{
    target_uri_free(&u->base);
    *u = (struct mssql_uri){0};
}
