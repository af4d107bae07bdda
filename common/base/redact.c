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
        if (is_shown(p, len)) {
            buf_printf(out, "%s%.*s=%.*s", space, (int)len, p, (int)(end - value), value);
            space = " ";
        }
        p = end;
    }
}

/* What stands behind the scheme. An @ behind a slash or a question mark may be part of a password,
 * in front of the host or among the parameters: then only what is before all of them is shown. */
static void redact_authority(struct buf *out, const char *authority)
{
    const char *at = strrchr(authority, '@');
    size_t plain = strcspn(authority, "/?");
    if (!at) {
        buf_printf(out, "%.*s", (int)strcspn(authority, "?"), authority);
    } else if (at > authority + plain) {
        buf_printf(out, "%.*s", (int)strcspn(authority, ":@/?"), authority);
    } else {
        buf_printf(out, "%.*s@", (int)strcspn(authority, ":@"), authority);
        buf_printf(out, "%.*s", (int)strcspn(at + 1, "?"), at + 1);
    }
}

void redact(struct buf *out, const char *where)
{
    const char *scheme = strstr(where, "://");
    size_t name =
        strspn(where, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789+.-");
    if (scheme && where + name == scheme) {
        buf_printf(out, "%.*s://", (int)name, where);
        redact_authority(out, scheme + 3);
    } else if (strchr(where, '=')) {
        redact_pairs(out, where);
    } else if (!strchr(where, '@') && !strstr(where, ":/")) {
        buf_append_str(out, where); /* a path; anything else may be a URI with a mistake in it */
    }
}
