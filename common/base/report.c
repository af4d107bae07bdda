#include "base/report.h"

#include <stdio.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/option_name.h"

/* Control characters, which a name may hold, would let it look like another line. */
PRINTF_LIKE(3, 0)
static void put(const struct report *r, const char *head, const char *fmt, va_list ap)
{
    char text[ERR_TEXT_SIZE + 512];
    int n = option_vsnprintf(text, sizeof text, fmt, ap);
    if (n < 0)
        return;
    for (char *p = text; *p; p++)
        if ((unsigned char)*p < ' ' || *p == 0x7f)
            *p = '?';
    struct buf line = {0};
    buf_printf(&line, "%s%s\n", head, text);
    if (!line.failed) {
        ssize_t written = write(r->fd, line.data, line.len);
        (void)written; /* the exit status still tells */
    }
    buf_free(&line);
}

#define DEFINE_LINE(name, head, failure)                                                           \
    void name(struct report *r, const char *fmt, ...)                                              \
    {                                                                                              \
        va_list ap;                                                                                \
        va_start(ap, fmt);                                                                         \
        put(r, head, fmt, ap);                                                                     \
        va_end(ap);                                                                                \
        r->failures += (failure);                                                                  \
    }

DEFINE_LINE(report_ok, "ok    ", 0)
DEFINE_LINE(report_note, "note  ", 0)
DEFINE_LINE(report_fail, "FAIL  ", 1)
DEFINE_LINE(report_mend, "      mend: ", 0)
DEFINE_LINE(report_run, "      runs: ", 0)

void report_err(struct report *r, struct err *err, const char *what)
{
    report_fail(r, "%s: %s", what, err->text);
    err_clear(err);
}

void report_value(struct report *r, const char *name, const char *fmt, ...)
{
    char head[64];
    va_list ap;
    (void)snprintf(head, sizeof head, "%-18s", name);
    va_start(ap, fmt);
    put(r, head, fmt, ap);
    va_end(ap);
}
