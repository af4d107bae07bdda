#include "html.h"

#include <stdarg.h>
#include <string.h>

#include "base/utf8.h"

static void put_text(struct buf *out, const char *text)
{
    const unsigned char *p = (const unsigned char *)text, *end = p + strlen(text);
    while (p < end) {
        size_t n = utf8_character(p, end);
        if (n == 0)
            buf_append_str(out, "\xef\xbf\xbd"); /* the replacement character */
        else if (n > 1)
            buf_append(out, p, n);
        else if (strchr("&<>\"'", *p))
            buf_printf(out, "&#%d;", *p);
        else
            buf_append_byte(out, *p < ' ' || *p == 0x7f ? '?' : *p);
        p += n ? n : 1;
    }
}

void html(struct buf *out, const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    for (const char *p = fmt; *p; p++) {
        if (*p != '%')
            buf_append_byte(out, (uint8_t)*p);
        else if (*++p == 's')
            put_text(out, va_arg(ap, const char *));
        else
            BUG("only %s");
    }
    va_end(ap);
}
