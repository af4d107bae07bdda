#include "mysql_uri.h"

#include <stdlib.h>
#include <string.h>
#include <strings.h>

static int bad(struct err *err, const char *what)
{
    (void)err_set(err, ERR_PERMANENT, "--dest: %s", what);
    return err_hint(err, "mysql://user:password@host:port/database?name=value&…");
}

static int hex_digit(char c)
{
    return c >= '0' && c <= '9'   ? c - '0'
           : c >= 'a' && c <= 'f' ? c - 'a' + 10
           : c >= 'A' && c <= 'F' ? c - 'A' + 10
                                  : -1;
}

/* Undoes percent-escapes in place. A zero byte cannot be passed on. */
static int unescape(char *text, struct err *err)
{
    char *out = text;
    for (const char *p = text; *p; p++) {
        if (*p != '%') {
            *out++ = *p;
            continue;
        }
        int high = hex_digit(p[1]), low = high < 0 ? -1 : hex_digit(p[2]);
        if (low < 0 || high + low == 0)
            return bad(err, "a % that is not followed by two hexadecimal digits; write it as %25");
        *out++ = (char)(high * 16 + low);
        p += 2;
    }
    *out = '\0';
    return 0;
}

/* Cuts `text` at `at`, where there is one; what follows it, or NULL. */
static char *cut(char *at)
{
    if (!at)
        return NULL;
    *at = '\0';
    return at + 1;
}

static int parse_port(struct mysql_uri *u, const char *text, struct err *err)
{
    char *end;
    long port = strtol(text, &end, 10);
    if (*text < '0' || *text > '9' || *end || port < 1 || port > 65535)
        return bad(err, "the port is not a number between 1 and 65535");
    u->port = (unsigned int)port;
    return 0;
}

/* host, host:port, [v6]:port, :port or nothing. */
static int parse_host(struct mysql_uri *u, char *text, struct err *err)
{
    char *port;
    if (*text == '[') {
        char *end = strchr(text, ']');
        if (!end || (end[1] && end[1] != ':'))
            return bad(err, "no ] after the address of the host");
        port = end[1] ? end + 2 : NULL;
        *end = '\0';
        text++;
    } else {
        port = cut(strchr(text, ':'));
    }
    if (*text)
        u->host = text;
    if (u->host && unescape(u->host, err))
        return -1;
    return port ? parse_port(u, port, err) : 0;
}

static int parse_flag(bool *flag, const char *name, const char *value, struct err *err)
{
    if (strcasecmp(value, "on") == 0 || strcasecmp(value, "yes") == 0)
        *flag = true;
    else if (strcasecmp(value, "off") == 0 || strcasecmp(value, "no") == 0)
        *flag = false;
    else
        return err_set(err, ERR_PERMANENT, "--dest: %s is on or off, not \"%s\"", name, value);
    return 0;
}

static int parse_tls(struct mysql_uri *u, const char *value, struct err *err)
{
    static const struct {
        const char *word;
        enum mysql_tls tls;
    } words[] = {
        {"off", MYSQL_TLS_OFF},
        {"required", MYSQL_TLS_REQUIRED},
        {"verify-ca", MYSQL_TLS_VERIFY_CA},
        {"verify-identity", MYSQL_TLS_VERIFY_IDENTITY},
    };
    for (size_t i = 0; i < sizeof words / sizeof *words; i++)
        if (strcasecmp(value, words[i].word) == 0) {
            u->tls = words[i].tls;
            return 0;
        }
    return err_set(err, ERR_PERMANENT,
                   "--dest: tls is off, required, verify-ca or verify-identity, not \"%s\"", value);
}

static int parse_parameter(struct mysql_uri *u, char *name, struct err *err)
{
    char *value = cut(strchr(name, '='));
    if (!value)
        return bad(err, "a parameter without a value after the ?");
    if (unescape(name, err) || unescape(value, err))
        return -1;
    const struct {
        const char *name;
        char **field;
    } texts[] = {{"socket", &u->socket}, {"ca", &u->ca}, {"cert", &u->cert}, {"key", &u->key}};
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++)
        if (strcmp(name, texts[i].name) == 0) {
            *texts[i].field = value;
            return 0;
        }
    const struct {
        const char *name;
        bool *field;
    } flags[] = {{"create_database", &u->create_database},
                 {"array_binding", &u->array_binding},
                 {"foreign_keys", &u->foreign_keys}};
    for (size_t i = 0; i < sizeof flags / sizeof *flags; i++)
        if (strcmp(name, flags[i].name) == 0)
            return parse_flag(flags[i].field, name, value, err);
    if (strcmp(name, "tls") == 0)
        return parse_tls(u, value, err);
    return err_set(err, ERR_PERMANENT,
                   "--dest: no parameter \"%s\"; there are socket, tls, ca, cert, key, "
                   "create_database, array_binding and foreign_keys",
                   name);
}

static int parse_parts(struct mysql_uri *u, struct err *err)
{
    char *rest = strstr(u->text, "://");
    if (!rest)
        return bad(err, "this is not a URI of a MySQL or MariaDB server");
    *rest = '\0';
    rest += 3;
    if (strcasecmp(u->text, "mysql") != 0 && strcasecmp(u->text, "mariadb") != 0)
        return bad(err, "this is not a URI of a MySQL or MariaDB server");
    char *parameters = cut(strchr(rest, '?'));
    u->database = cut(strchr(rest, '/'));
    char *host = cut(strrchr(rest, '@'));
    if (host) {
        u->user = rest;
        u->password = cut(strchr(rest, ':'));
    } else {
        host = rest;
    }
    if (!u->database || !*u->database)
        return bad(err, "no database");
    if (strchr(u->database, '/') || strchr(u->database, '@'))
        return bad(err, "a / in the user's name or password has to be written as %2F, a ? as %3F");
    if (u->user && !*u->user)
        u->user = NULL;
    if ((u->user && unescape(u->user, err)) || (u->password && unescape(u->password, err)) ||
        unescape(u->database, err) || parse_host(u, host, err))
        return -1;
    while (parameters && *parameters) {
        char *next = cut(strchr(parameters, '&'));
        if (parse_parameter(u, parameters, err))
            return -1;
        parameters = next;
    }
    if (u->tls == MYSQL_TLS_VERIFY_CA && !u->ca)
        return bad(err, "tls=verify-ca needs ca=FILE");
    return 0;
}

int mysql_uri_parse(struct mysql_uri *u, const char *uri, struct err *err)
{
    *u = (struct mysql_uri){.create_database = true, .array_binding = true, .foreign_keys = true};
    u->text = strdup(uri);
    if (!u->text)
        return err_nomem(err);
    if (parse_parts(u, err)) {
        mysql_uri_free(u);
        return -1;
    }
    return 0;
}

void mysql_uri_free(struct mysql_uri *u)
{
    if (u->password)
        explicit_bzero(u->password, strlen(u->password));
    free(u->text);
    *u = (struct mysql_uri){0};
}
