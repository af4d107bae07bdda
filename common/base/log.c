#include "base/log.h"

#include <errno.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "base/json.h"
#include "base/option_name.h"

static const char *log_tool = "pg2any";
static enum log_level log_max = LOG_LEVEL_INFO;
static enum log_format log_form = LOG_FORMAT_LOGFMT;

static const char *const level_names[] = {"error", "warning", "info", "debug"};

void log_init(const char *tool)
{
    log_tool = tool;
}

void log_set_level(enum log_level level)
{
    log_max = level;
}

void log_set_format(enum log_format format)
{
    log_form = format;
}

bool log_enabled(enum log_level level)
{
    return level <= log_max;
}

/* What ends a line always has room: a value's quote, the object's brace, the newline. */
#define LINE_END_BYTES 4

struct line {
    char text[4096];
    size_t len;
};

static bool fits(const struct line *l, size_t n)
{
    return l->len + n <= sizeof l->text - LINE_END_BYTES;
}

static void put(struct line *l, const char *s)
{
    size_t n = strlen(s);
    memcpy(l->text + l->len, s, n);
    l->len += n;
}

/* ---- logfmt ---- */

static void logfmt_escape(char out[8], const unsigned char *p)
{
    if (*p == '"' || *p == '\\')
        (void)snprintf(out, 8, "\\%c", *p);
    else if (*p == '\n')
        (void)snprintf(out, 8, "\\n");
    else if (*p == '\t')
        (void)snprintf(out, 8, "\\t");
    else if (*p < ' ' || *p == 0x7f)
        (void)snprintf(out, 8, "\\x%02x", *p);
    else
        (void)snprintf(out, 8, "%c", *p);
}

/* Bare where logfmt allows it; quoted, with control characters escaped, where not. */
static void logfmt_value(struct line *l, const char *s)
{
    bool bare = *s != '\0' && fits(l, strlen(s));
    for (const unsigned char *p = (const unsigned char *)s; *p; p++)
        if (*p <= ' ' || *p == '"' || *p == '=' || *p == '\\' || *p == 0x7f)
            bare = false;
    if (bare) {
        put(l, s);
        return;
    }
    put(l, "\"");
    for (const unsigned char *p = (const unsigned char *)s; *p; p++) {
        char escaped[8];
        logfmt_escape(escaped, p);
        if (!fits(l, strlen(escaped)))
            break;
        put(l, escaped);
    }
    put(l, "\"");
}

static void logfmt_pair(struct line *l, const char *key, const char *value)
{
    if (!fits(l, strlen(key) + 5))
        return;
    put(l, l->len > 0 ? " " : "");
    put(l, key);
    put(l, "=");
    logfmt_value(l, value);
}

/* ---- JSON ---- */

static void json_string(struct line *l, const char *s)
{
    const unsigned char *p = (const unsigned char *)s, *end = p + strlen(s);
    char escaped[8];
    put(l, "\"");
    while (p < end) {
        p += json_character(escaped, p, end);
        if (!fits(l, strlen(escaped)))
            break;
        put(l, escaped);
    }
    put(l, "\"");
}

static void json_pair(struct line *l, const char *key, const char *value)
{
    if (!fits(l, strlen(key) + 8))
        return;
    put(l, l->len > 0 ? "," : "{");
    json_string(l, key);
    put(l, ":");
    json_string(l, value);
}

/* As RFC 3339 has it. */
static const char *utc_now(char text[40])
{
    struct timespec now;
    struct tm tm;
    char seconds[24];
    (void)clock_gettime(CLOCK_REALTIME, &now);
    if (!gmtime_r(&now.tv_sec, &tm) ||
        strftime(seconds, sizeof seconds, "%Y-%m-%dT%H:%M:%S", &tm) == 0)
        return "";
    (void)snprintf(text, 40, "%s.%03ldZ", seconds, now.tv_nsec / 1000000);
    return text;
}

static void log_line(enum log_level level, const char *message, va_list ap)
{
    if (!log_enabled(level))
        return;
    int saved = errno;
    void (*pair)(struct line *, const char *, const char *) =
        log_form == LOG_FORMAT_JSON ? json_pair : logfmt_pair;
    struct line l = {.len = 0};
    if (log_form == LOG_FORMAT_JSON) {
        char time[40];
        json_pair(&l, "time", utc_now(time));
    }
    pair(&l, "tool", log_tool);
    const char *stage = option_stage();
    if (stage)
        pair(&l, "stage", stage);
    pair(&l, "level", level_names[level]);
    pair(&l, "msg", message);
    for (;;) {
        const char *key = va_arg(ap, const char *);
        if (!key)
            break;
        const char *value = va_arg(ap, const char *);
        if (!value)
            break;
        pair(&l, key, value);
    }
    put(&l, log_form == LOG_FORMAT_JSON ? "}\n" : "\n");
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
