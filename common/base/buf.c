#include "base/buf.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static uint8_t *grow(struct buf *b, size_t n)
{
    if (b->failed)
        return NULL;
    size_t cap = b->cap ? b->cap : 256;
    while (cap - b->len < n) {
        if (cap > SIZE_MAX / 2) {
            b->failed = true;
            return NULL;
        }
        cap *= 2;
    }
    uint8_t *data = realloc(b->data, cap);
    if (!data) {
        b->failed = true;
        return NULL;
    }
    b->data = data;
    b->cap = cap;
    return b->data + b->len;
}

/* Where there is room already, which is nearly always, without another call. */
static inline uint8_t *reserve(struct buf *b, size_t n)
{
    return !b->failed && b->data && n <= b->cap - b->len ? b->data + b->len : grow(b, n);
}

uint8_t *buf_reserve(struct buf *b, size_t n)
{
    return reserve(b, n);
}

void buf_append(struct buf *b, const void *data, size_t n)
{
    uint8_t *to = reserve(b, n);
    if (!to)
        return;
    if (n > 0)
        memcpy(to, data, n);
    b->len += n;
}

void buf_append_str(struct buf *b, const char *s)
{
    buf_append(b, s, strlen(s));
}

void buf_append_byte(struct buf *b, uint8_t byte)
{
    buf_append(b, &byte, 1);
}

void buf_printf(struct buf *b, const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    int n = vsnprintf(NULL, 0, fmt, ap);
    va_end(ap);
    if (n < 0) {
        b->failed = true;
        return;
    }
    uint8_t *to = buf_reserve(b, (size_t)n + 1);
    if (!to)
        return;
    va_start(ap, fmt);
    (void)vsnprintf((char *)to, (size_t)n + 1, fmt, ap);
    va_end(ap);
    b->len += (size_t)n;
}

const char *buf_cstr(struct buf *b)
{
    uint8_t *end = buf_reserve(b, 1);
    if (!end)
        return "";
    *end = 0;
    return (const char *)b->data;
}

void buf_consume(struct buf *b, size_t n)
{
    if (n > b->len)
        BUG("buf_consume beyond the end");
    if (n > 0) {
        memmove(b->data, b->data + n, b->len - n);
        b->len -= n;
    }
}

void buf_reset(struct buf *b, size_t keep)
{
    b->len = 0;
    b->failed = false;
    if (b->cap > keep)
        buf_free(b);
}

void buf_free(struct buf *b)
{
    free(b->data);
    *b = (struct buf){0};
}

int buf_check(const struct buf *b, struct err *err)
{
    return b->failed ? err_nomem(err) : 0;
}
