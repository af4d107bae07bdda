#include "sql/target_uri.h"

#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "base/buf.h"

static int bad(const struct target_uri_form *form, struct err *err, const char *what)
{
    (void)err_set(err, ERR_PERMANENT, "--dest: %s", what);
    return err_hint(err, "%s", form->example);
}

static int hex_digit(char c)
{
    return c >= '0' && c <= '9'   ? c - '0'
           : c >= 'a' && c <= 'f' ? c - 'a' + 10
           : c >= 'A' && c <= 'F' ? c - 'A' + 10
                                  : -1;
}

bool target_uri_unescape(char *text)
{
    bool all = true;
    char *out = text;
    for (const char *p = text; *p; p++) {
        int high = *p == '%' ? hex_digit(p[1]) : -1, low = high < 0 ? -1 : hex_digit(p[2]);
        if (low >= 0 && high + low > 0) {
            *out++ = (char)(high * 16 + low);
            p += 2;
        } else {
            all = all && *p != '%';
            *out++ = *p;
        }
    }
    *out = '\0';
    return all;
}

static int unescape(const struct target_uri_form *form, char *text, struct err *err)
{
    return target_uri_unescape(text)
               ? 0
               : bad(form, err,
                     "a % that is not followed by two hexadecimal digits; write it as %25");
}

/* Cuts `text` at `at`, where there is one; what follows it, or NULL. */
static char *cut(char *at)
{
    if (!at)
        return NULL;
    *at = '\0';
    return at + 1;
}

static int parse_port(struct target_uri *u, const struct target_uri_form *form, const char *text,
                      struct err *err)
{
    char *end;
    long port = strtol(text, &end, 10);
    if (*text < '0' || *text > '9' || *end || port < 1 || port > 65535)
        return bad(form, err, "the port is not a number between 1 and 65535");
    u->port = (unsigned int)port;
    return 0;
}

/* host, host:port, [v6]:port, :port or nothing. */
static int parse_host(struct target_uri *u, const struct target_uri_form *form, char *text,
                      struct err *err)
{
    char *port;
    if (*text == '[') {
        char *end = strchr(text, ']');
        if (!end || (end[1] && end[1] != ':'))
            return bad(form, err, "no ] after the address of the host");
        port = end[1] ? end + 2 : NULL;
        *end = '\0';
        text++;
    } else {
        port = cut(strchr(text, ':'));
    }
    if (*text)
        u->host = text;
    if (u->host && unescape(form, u->host, err))
        return -1;
    return port ? parse_port(u, form, port, err) : 0;
}

static int parse_flag(const struct target_uri_parameter *p, const char *value, struct err *err)
{
    if (strcasecmp(value, "on") == 0 || strcasecmp(value, "yes") == 0)
        *p->flag = true;
    else if (strcasecmp(value, "off") == 0 || strcasecmp(value, "no") == 0)
        *p->flag = false;
    else
        return err_set(err, ERR_PERMANENT, "--dest: %s is on or off, not \"%s\"", p->name, value);
    return 0;
}

/* Appends "a, b or c". */
static void append_list(struct buf *out, const char *word, size_t i, size_t n)
{
    buf_printf(out, "%s%s", i == 0 ? "" : i + 1 == n ? " or " : ", ", word);
}

static int parse_choice(const struct target_uri_parameter *p, const char *value, struct err *err)
{
    struct buf list = {0};
    size_t n = 0, shown = 0, total = 0;
    for (; p->words[n]; n++) {
        total += *p->words[n] != '\0';
        if (*p->words[n] && strcasecmp(value, p->words[n]) == 0) {
            *p->choice = (int)n;
            return 0;
        }
    }
    for (size_t i = 0; i < n; i++)
        if (*p->words[i])
            append_list(&list, p->words[i], shown++, total);
    (void)err_set(err, ERR_PERMANENT, "--dest: %s is %s, not \"%s\"", p->name, buf_cstr(&list),
                  value);
    buf_free(&list);
    return -1;
}

static int unknown(const struct target_uri_parameter *parameters, const char *name, struct err *err)
{
    struct buf list = {0};
    size_t n = 0;
    while (parameters[n].name)
        n++;
    for (size_t i = 0; i < n; i++)
        buf_printf(&list, "%s%s", i == 0 ? "" : i + 1 == n ? " and " : ", ", parameters[i].name);
    (void)err_set(err, ERR_PERMANENT, "--dest: no parameter \"%s\"; there are %s", name,
                  buf_cstr(&list));
    buf_free(&list);
    return -1;
}

static int parse_parameter(const struct target_uri_form *form,
                           const struct target_uri_parameter *parameters, char *name,
                           struct err *err)
{
    char *value = cut(strchr(name, '='));
    if (!value)
        return bad(form, err, "a parameter without a value after the ?");
    if (unescape(form, name, err) || unescape(form, value, err))
        return -1;
    for (const struct target_uri_parameter *p = parameters; p->name; p++) {
        if (strcmp(p->name, name) != 0)
            continue;
        if (p->flag)
            return parse_flag(p, value, err);
        if (p->choice)
            return parse_choice(p, value, err);
        *p->text = value;
        return 0;
    }
    return unknown(parameters, name, err);
}

int target_uri_parameters(char *text, const struct target_uri_form *form,
                          const struct target_uri_parameter *parameters, struct err *err)
{
    while (text && *text) {
        char *next = cut(strchr(text, '&'));
        if (parse_parameter(form, parameters, text, err))
            return -1;
        text = next;
    }
    return 0;
}

static bool has_scheme(const struct target_uri_form *form, const char *scheme)
{
    for (size_t i = 0; form->schemes[i]; i++)
        if (strcasecmp(scheme, form->schemes[i]) == 0)
            return true;
    return false;
}

static int parse_parts(struct target_uri *u, const struct target_uri_form *form,
                       const struct target_uri_parameter *parameters, struct err *err)
{
    char *rest = strstr(u->text, "://");
    if (rest) {
        *rest = '\0';
        rest += 3;
    }
    if (!rest || !has_scheme(form, u->text)) {
        (void)err_set(err, ERR_PERMANENT, "--dest: this is not a URI of %s", form->server);
        return err_hint(err, "%s", form->example);
    }
    char *parameter = cut(strchr(rest, '?'));
    u->database = cut(strchr(rest, '/'));
    char *host = cut(strrchr(rest, '@'));
    if (host) {
        u->user = rest;
        u->password = cut(strchr(rest, ':'));
    } else {
        host = rest;
    }
    if (!u->database || !*u->database)
        return bad(form, err, "no database");
    /* An @ among the parameters: they may be the rest of a password, of which errors about them
     * would tell. */
    if (strchr(u->database, '/') || strchr(u->database, '@') ||
        (parameter && strchr(parameter, '@')))
        return bad(
            form, err,
            "write a / in the user's name or password as %2F, a ? as %3F, an @ after the host as %40");
    if (u->user && !*u->user)
        u->user = NULL;
    if ((u->user && unescape(form, u->user, err)) ||
        (u->password && unescape(form, u->password, err)) || unescape(form, u->database, err) ||
        parse_host(u, form, host, err))
        return -1;
    return target_uri_parameters(parameter, form, parameters, err);
}

int target_uri_parse(struct target_uri *u, const char *uri, const struct target_uri_form *form,
                     const struct target_uri_parameter *parameters, struct err *err)
{
    *u = (struct target_uri){0};
    u->text = strdup(uri);
    if (!u->text)
        return err_nomem(err);
    if (parse_parts(u, form, parameters, err)) {
        target_uri_free(u);
        return -1;
    }
    return 0;
}

void target_uri_free(struct target_uri *u)
{
    if (u->password)
        explicit_bzero(u->password, strlen(u->password));
    free(u->text);
    *u = (struct target_uri){0};
}
