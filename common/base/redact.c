#include "base/redact.h"

#include <ctype.h>
#include <stdbool.h>
#include <string.h>

/* The end of a value in "key=value ...": quotes and backslashes as libpq has them (PostgreSQL
 * documentation, "Connection Strings"). */
static const char *value_end(const char *p)
{
    bool quoted = *p == '\'';
    if (quoted)
        p++;
    for (; *p && (quoted ? *p != '\'' : !isspace((unsigned char)*p)); p++)
        if (*p == '\\' && p[1])
            p++;
    return *p && quoted ? p + 1 : p;
}

static bool is_shown(const char *key, size_t len)
{
    static const char *const shown[] = {"host", "hostaddr", "port", "dbname", "user", "service"};
    for (size_t i = 0; i < sizeof shown / sizeof *shown; i++)
        if (strlen(shown[i]) == len && strncmp(key, shown[i], len) == 0)
            return true;
    return false;
}

static void redact_pairs(struct buf *out, const char *p)
{
    const char *space = "";
    for (;;) {
        p += strspn(p, " \t\n\r");
        size_t len = strcspn(p, "= \t\n\r");
        const char *equals = p + len + strspn(p + len, " \t\n\r");
        if (len == 0 || *equals != '=')
            return; /* what cannot be read is not shown */
        const char *value = equals + 1 + strspn(equals + 1, " \t\n\r");
        const char *end = value_end(value);
        /* A whole URI may stand where a database's name belongs. */
        if (is_shown(p, len) && !memmem(value, (size_t)(end - value), "://", 3)) {
            buf_printf(out, "%s%.*s=%.*s", space, (int)len, p, (int)(end - value), value);
            space = " ";
        }
        p = end;
    }
}

/* Whether what follows each colon outside brackets is a port: it may be the password of a URI
 * without a host. */
static bool has_ports_only(const char *hosts)
{
    for (const char *p = hosts; *p && *p != '/' && *p != '?'; p++)
        if (*p == '[')
            p += strcspn(p, "]/?") - 1;
        else if (*p == ':' && !strchr(",/?", p[1 + strspn(p + 1, "0123456789")]))
            return false;
    return true;
}

/* What stands behind the scheme. An @ behind a slash or a question mark may be part of a password,
 * in front of the host or among the parameters: then only what is before all of them is shown. */
static void redact_authority(struct buf *out, const char *authority)
{
    const char *at = strrchr(authority, '@');
    size_t plain = strcspn(authority, "/?");
    if (!at) {
        buf_printf(out, "%.*s", (int)strcspn(authority, has_ports_only(authority) ? "?" : ":/?"),
                   authority);
    } else if (at > authority + plain) {
        buf_printf(out, "%.*s", (int)strcspn(authority, ":@/?"), authority);
    } else {
        buf_printf(out, "%.*s@", (int)strcspn(authority, ":@"), authority);
        buf_printf(out, "%.*s", (int)strcspn(at + 1, "?"), at + 1);
    }
}

bool redact_is_path(const char *where)
{
    const char *colon = strchr(where, ':'), *slash = strchr(where, '/');
    return strcmp(where, ":memory:") == 0 || (!strpbrk(where, "=;@") && !strstr(where, "://") &&
                                              (!colon || (slash && slash < colon)));
}

size_t redact_scheme(const char *where)
{
    size_t n = strspn(where, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789+.-");
    return strncmp(where + n, "://", 3) == 0 ? n : 0;
}

void redact(struct buf *out, const char *where)
{
    static const char sqlite[] = "sqlite:";
    size_t scheme = redact_scheme(where);
    if (scheme > 0) {
        buf_printf(out, "%.*s://", (int)scheme, where);
        redact_authority(out, where + scheme + 3);
    } else if (redact_is_path(strncmp(where, sqlite, sizeof sqlite - 1) == 0
                                  ? where + sizeof sqlite - 1
                                  : where)) {
        buf_append_str(out, where);
    } else if (strchr(where, '=')) {
        redact_pairs(out, where);
    }
}
