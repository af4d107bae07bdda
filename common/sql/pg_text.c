#include "sql/pg_text.h"

#include <stdlib.h>
#include <string.h>

#include "frames/pg_type.h"

#define MAX_NUMBER_TEXT 400 /* a double in PostgreSQL's text is shorter */

bool pg_text_is(const struct value *v, const char *word)
{
    return v->size == strlen(word) && memcmp(v->data, word, v->size) == 0;
}

bool pg_text_ends(const struct value *v, const char *end)
{
    size_t n = strlen(end);
    return v->size >= n && memcmp(v->data + v->size - n, end, n) == 0;
}

bool pg_text_bool(const struct value *v, bool *out)
{
    if (v->size != 1 || (*v->data != 't' && *v->data != 'f'))
        return false;
    *out = *v->data == 't';
    return true;
}

bool pg_text_real(const struct value *v, bool single, double *out)
{
    char text[MAX_NUMBER_TEXT];
    char *end;
    if (v->size == 0 || v->size >= sizeof text)
        return false;
    memcpy(text, v->data, v->size);
    text[v->size] = '\0';
    bool word = pg_text_is(v, "NaN") || pg_text_is(v, "Infinity") || pg_text_is(v, "-Infinity");
    if (!word && strspn(text, "0123456789+-.e") != v->size)
        return false; /* strtod() takes more: blanks, hexadecimal digits, other words */
    *out = single ? (double)strtof(text, &end) : strtod(text, &end);
    return end == text + v->size;
}

static bool is_digit(char c)
{
    return c >= '0' && c <= '9';
}

static bool is_hex(char c)
{
    return is_digit(c) || (c >= 'a' && c <= 'f') || (c >= 'A' && c <= 'F');
}

bool pg_text_decimal(const struct value *v)
{
    bool digit = false, point = false;
    for (uint32_t i = 0; i < v->size; i++) {
        char c = v->data[i];
        if (!is_digit(c) && !(c == '.' && !point) && !(c == '-' && i == 0))
            return false;
        digit = digit || is_digit(c);
        point = point || c == '.';
    }
    return digit;
}

bool pg_text_money(const struct value *v, char out[PG_MONEY_SIZE], size_t *size)
{
    size_t n = 0;
    for (uint32_t i = 0; i < v->size; i++) {
        char c = v->data[i];
        if (c == ',' || c == '$')
            continue;
        if (n == PG_MONEY_SIZE)
            return false;
        out[n++] = c;
    }
    *size = n;
    const struct value number = {.kind = VALUE_TEXT, .size = (uint32_t)n, .data = out};
    return pg_text_decimal(&number);
}

/* What follows `form` at `p`, in which a 0 is a digit and an x one in hexadecimal; NULL: something
 * else is there, or `p` is NULL. */
static const char *skip(const char *p, const char *end, const char *form)
{
    for (; p && *form; p++, form++)
        if (p == end || (*form == '0' ? !is_digit(*p) : *form == 'x' ? !is_hex(*p) : *p != *form))
            return NULL;
    return p;
}

static const char *skip_time(const char *p, const char *end)
{
    p = skip(p, end, "00:00:00");
    const char *digit = p ? skip(p, end, ".0") : NULL;
    for (int n = 1; digit; digit = n++ < 6 ? skip(digit, end, "0") : NULL)
        p = digit;
    return p;
}

/* "+00", "-03:30"; some zones of old had seconds. */
static const char *skip_zone(const char *p, const char *end)
{
    p = skip(p + 1, end, "00");
    for (const char *more = skip(p, end, ":00"); more; more = skip(p, end, ":00"))
        p = more;
    return p;
}

bool pg_text_time(const struct value *v)
{
    return v->size > 0 && skip_time(v->data, v->data + v->size) == v->data + v->size;
}

bool pg_text_uuid(const struct value *v)
{
    const char *end = v->data + v->size;
    return v->size > 0 && skip(v->data, end, "xxxxxxxx-xxxx-xxxx-xxxx-xxxxxxxxxxxx") == end;
}

enum pg_date pg_text_date(const struct value *v, struct pg_moment *m)
{
    *m = (struct pg_moment){0};
    if (pg_text_is(v, "infinity"))
        return PG_DATE_INFINITY;
    if (pg_text_is(v, "-infinity"))
        return PG_DATE_MINUS_INFINITY;
    const char *p = v->data, *end = p + v->size;
    while (p < end && is_digit(*p))
        p++;
    ptrdiff_t digits = p - v->data;
    if (digits < 4)
        return PG_DATE_NONE;
    p = skip(p, end, "-00-00");
    m->time = skip(p, end, " 0") != NULL;
    if (m->time)
        p = skip_time(p + 1, end);
    m->zone = p && p < end && (*p == '+' || *p == '-');
    if (m->zone)
        p = skip_zone(p, end);
    bool before_christ = skip(p, end, " BC") == end;
    if (!before_christ && p != end)
        return PG_DATE_NONE;
    if (before_christ)
        return PG_DATE_BC;
    if (digits > 4)
        return PG_DATE_BEYOND;
    for (ptrdiff_t i = 0; i < digits; i++)
        m->year = m->year * 10 + (unsigned int)(v->data[i] - '0');
    return m->year ? PG_DATE_YEAR : PG_DATE_NONE;
}

bool pg_numeric_size(int32_t typmod, unsigned int *precision, unsigned int *scale)
{
    if (typmod < PG_VARHDRSZ)
        return false;
    /* Precision in the upper half, scale in 11 bits below it, signed since PostgreSQL 15. */
    int p = ((typmod - PG_VARHDRSZ) >> 16) & 0xffff;
    int s = (((typmod - PG_VARHDRSZ) & 0x7ff) ^ 1024) - 1024;
    if (s < 0) {
        p -= s; /* numeric(2,-3): five digits before the point */
        s = 0;
    }
    if (p < s)
        p = s; /* numeric(3,5): 0.00123 */
    *precision = (unsigned int)p;
    *scale = (unsigned int)s;
    return true;
}

uint32_t pg_type_characters(const struct column *c)
{
    switch (c->base_type_oid) {
    case PG_TYPE_VARCHAR:
    case PG_TYPE_BPCHAR:
        return c->typmod > PG_VARHDRSZ ? (uint32_t)(c->typmod - PG_VARHDRSZ) : 0;
    case PG_TYPE_BIT:
    case PG_TYPE_VARBIT:
        return c->typmod > 0 ? (uint32_t)c->typmod : 0;
    case PG_TYPE_CHAR:
        return 4; /* a byte; above 127 written as \ and three digits */
    case PG_TYPE_NAME:
        return 64;
    case PG_TYPE_UUID:
        return 36;
    case PG_TYPE_INET:
    case PG_TYPE_CIDR:
        return 43;
    case PG_TYPE_MACADDR:
    case PG_TYPE_MACADDR8:
    case PG_TYPE_PG_LSN:
    case PG_TYPE_XID8:
        return 24;
    case PG_TYPE_TIMETZ:
        return 32;
    case PG_TYPE_INTERVAL:
        return 100;
    default:
        return 0;
    }
}
