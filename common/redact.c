#include "redact.h"

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
        if (is_shown(p, len)) {
            buf_printf(out, "%s%.*s=%.*s", space, (int)len, p, (int)(end - value), value);
            space = " ";
        }
        p = end;
    }
}

static void redact_uri(struct buf *out, const char *where, const char *authority)
{
    size_t len = strlen(authority);
    const char *at = memrchr(authority, '@', len);
    /* A password may hold a question mark; parameters may hold an @. What is doubtful goes. */
    const char *rest = at ? at + 1 : authority;
    size_t user = at ? strcspn(authority, ":@") : 0;
    buf_printf(out, "%.*s", (int)(authority - where), where);
    if (at)
        buf_printf(out, "%.*s@", (int)user, authority);
    buf_printf(out, "%.*s", (int)strcspn(rest, "?"), rest);
}

void redact(struct buf *out, const char *where)
{
    const char *scheme = strstr(where, "://");
    size_t name =
        strspn(where, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789+.-");
    if (scheme && where + name == scheme)
        redact_uri(out, where, scheme + 3);
    else if (strchr(where, '='))
        redact_pairs(out, where);
    else
        buf_append_str(out, where);
}
