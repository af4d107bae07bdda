#include "sql/stored.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "frames/pg_type.h"
#include "frames/value.h"

void stored_set_moment(struct stored *s, const char *data, size_t size)
{
    *s = (struct stored){.kind = STORED_TEXT, .data = data, .size = size};
    if (!memchr(data, '.', size))
        return;
    while (s->data[s->size - 1] == '0')
        s->size--;
    if (s->data[s->size - 1] == '.')
        s->size--;
}

void stored_set_digits(struct stored *s, const char *data, size_t size)
{
    char text[24];
    const struct value v = {VALUE_TEXT, (uint32_t)size, data};
    *s = (struct stored){.kind = STORED_TEXT, .data = data, .size = size};
    if (size >= sizeof text || !value_to_int64(&v, &s->integer))
        return;
    int n = snprintf(text, sizeof text, "%" PRId64, s->integer);
    if ((size_t)n == size && memcmp(text, data, size) == 0)
        s->kind = STORED_INTEGER;
}

static void put_bytes(struct buf *out, enum stored_kind kind, const void *data, size_t size)
{
    uint64_t n = size;
    buf_append_byte(out, (uint8_t)kind);
    buf_append(out, &n, sizeof n);
    buf_append(out, data, size);
}

static const char *skip_digits(const char *p, const char *end)
{
    while (p < end && *p >= '0' && *p <= '9')
        p++;
    return p;
}

/* Where an exponent is, which ends the text; *exponent 0 where there is none. False: it is none. */
static bool take_exponent(const char *p, const char *end, long *exponent)
{
    char text[16];
    size_t size = (size_t)(end - p);
    *exponent = 0;
    if (size == 0)
        return true;
    if ((*p != 'e' && *p != 'E') || size < 2 || size >= sizeof text)
        return false;
    memcpy(text, p + 1, size - 1);
    text[size - 1] = '\0';
    char *stop;
    *exponent = strtol(text, &stop, 10);
    return *stop == '\0' && text[strlen(text) - 1] >= '0';
}

/* The digits from the first to the last that is no zero, and the power of ten of the last. */
static bool put_decimal(struct buf *out, const char *data, size_t size)
{
    const char *p = data, *end = data + size;
    bool minus = p < end && *p == '-';
    p += p < end && (*p == '-' || *p == '+');
    const char *whole = p, *point = skip_digits(p, end), *after = point;
    if (point < end && *point == '.')
        after = skip_digits(point + 1, end);
    long exponent;
    if (after - whole < 1 + (after > point) || !take_exponent(after, end, &exponent))
        return false;
    const char *first = whole, *last = after;
    while (first < after && (*first == '0' || *first == '.'))
        first++;
    while (last > first && (last[-1] == '0' || last[-1] == '.'))
        last--;
    if (first == last) {
        put_bytes(out, STORED_DECIMAL, "0", 1);
        return true;
    }
    int64_t power = exponent + (last > point ? point + 1 - last : point - last);
    bool has_point = first < point && last > point;
    uint64_t digits = (uint64_t)(last - first) - has_point;
    buf_append_byte(out, STORED_DECIMAL);
    buf_append_byte(out, minus ? '-' : '+');
    buf_append(out, &power, sizeof power);
    buf_append(out, &digits, sizeof digits);
    if (has_point) {
        buf_append(out, first, (size_t)(point - first));
        first = point + 1;
    }
    buf_append(out, first, (size_t)(last - first));
    return true;
}

void stored_put(struct buf *out, const struct stored *s)
{
    double real = s->real == 0 ? 0 : s->real;
    switch (s->kind) {
    case STORED_NULL:
    case STORED_NOTHING:
        buf_append_byte(out, (uint8_t)s->kind);
        return;
    case STORED_INTEGER:
        buf_append_byte(out, STORED_INTEGER);
        buf_append(out, &s->integer, sizeof s->integer);
        return;
    case STORED_REAL:
        buf_append_byte(out, STORED_REAL);
        buf_append(out, &real, sizeof real);
        return;
    case STORED_DECIMAL:
        if (put_decimal(out, s->data, s->size))
            return;
        put_bytes(out, STORED_TEXT, s->data, s->size);
        return;
    case STORED_TEXT:
    case STORED_BYTES:
        put_bytes(out, s->kind, s->data, s->size);
        return;
    }
}

static void put_integer(struct buf *out, const struct column *c, int64_t n)
{
    if (c->base_type_oid == PG_TYPE_BOOL && (n == 0 || n == 1))
        buf_append_byte(out, n ? 't' : 'f');
    else if (c->base_type_oid == PG_TYPE_BIT)
        for (int32_t bit = c->typmod; bit-- > 0;)
            buf_append_byte(out, (uint8_t)('0' + ((uint64_t)n >> bit & 1)));
    else
        buf_printf(out, "%" PRId64, n);
}

void stored_put_text(struct buf *out, const struct column *c, const struct stored *s)
{
    switch (s->kind) {
    case STORED_NULL:
    case STORED_NOTHING:
        return;
    case STORED_INTEGER:
        put_integer(out, c, s->integer);
        return;
    case STORED_REAL:
        buf_printf(out, "%.17g", s->real);
        return;
    case STORED_DECIMAL:
    case STORED_TEXT:
        buf_append(out, s->data, s->size);
        if (c->base_type_oid == PG_TYPE_TIMESTAMPTZ && !memchr(s->data, '+', s->size) &&
            memchr(s->data, ':', s->size))
            buf_append_str(out, "+00");
        return;
    case STORED_BYTES:
        buf_append_str(out, "\\x");
        for (size_t i = 0; i < s->size; i++)
            buf_printf(out, "%02x", (unsigned)(unsigned char)s->data[i]);
        return;
    }
}
