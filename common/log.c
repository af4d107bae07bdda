#include "log.h"

#include <errno.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

static const char *log_tool = "pg2any";
static enum log_level log_max = LOG_LEVEL_INFO;

static const char *const level_names[] = {"error", "warning", "info", "debug"};

void log_init(const char *tool)
{
    log_tool = tool;
}

void log_set_level(enum log_level level)
{
    log_max = level;
}

bool log_enabled(enum log_level level)
{
    return level <= log_max;
}

struct line {
    char text[4096];
    size_t len;
};

static void put(struct line *l, const char *s, size_t n)
{
    size_t room = sizeof l->text - 1 - l->len; /* one byte is kept for the newline */
    if (n > room)
        n = room;
    memcpy(l->text + l->len, s, n);
    l->len += n;
}

/* Bare where logfmt allows it; quoted, with control characters escaped, where not. */
static void put_value(struct line *l, const char *s)
{
    bool bare = *s != '\0';
    for (const unsigned char *p = (const unsigned char *)s; *p; p++)
        if (*p <= ' ' || *p == '"' || *p == '=' || *p == '\\' || *p == 0x7f)
            bare = false;
    if (bare) {
        put(l, s, strlen(s));
        return;
    }
    put(l, "\"", 1);
    for (const unsigned char *p = (const unsigned char *)s; *p; p++) {
        char esc[8];
        if (*p == '"' || *p == '\\')
            put(l, esc, (size_t)snprintf(esc, sizeof esc, "\\%c", *p));
        else if (*p == '\n')
            put(l, "\\n", 2);
        else if (*p == '\t')
            put(l, "\\t", 2);
        else if (*p < ' ' || *p == 0x7f)
            put(l, esc, (size_t)snprintf(esc, sizeof esc, "\\x%02x", *p));
        else
            put(l, (const char *)p, 1);
    }
    put(l, "\"", 1);
}

static void log_line(enum log_level level, const char *message, va_list ap)
{
    if (!log_enabled(level))
        return;
    int saved = errno;
    struct line l = {.len = 0};
    put(&l, "tool=", 5);
    put_value(&l, log_tool);
    put(&l, " level=", 7);
    put(&l, level_names[level], strlen(level_names[level]));
    put(&l, " msg=", 5);
    put_value(&l, message);
    for (;;) {
        const char *key = va_arg(ap, const char *);
        if (!key)
            break;
        const char *value = va_arg(ap, const char *);
        if (!value)
            break;
        put(&l, " ", 1);
        put(&l, key, strlen(key));
        put(&l, "=", 1);
        put_value(&l, value);
    }
    l.text[l.len++] = '\n';
    ssize_t written = write(STDERR_FILENO, l.text, l.len);
    (void)written; /* there is nowhere left to say that stderr is gone */
    errno = saved;
}

#define DEFINE_LOG(name, level)                                                                    \
    void name(const char *message, ...)                                                            \
    {                                                                                              \
        va_list ap;                                                                                \
        va_start(ap, message);                                                                     \
        log_line(level, message, ap);                                                              \
        va_end(ap);                                                                                \
    }

DEFINE_LOG(log_error, LOG_LEVEL_ERROR)
DEFINE_LOG(log_warning, LOG_LEVEL_WARNING)
DEFINE_LOG(log_info, LOG_LEVEL_INFO)
DEFINE_LOG(log_debug, LOG_LEVEL_DEBUG)

const char *log_u64_text(char *buf24, uint64_t v)
{
    (void)snprintf(buf24, 24, "%" PRIu64, v);
    return buf24;
}
