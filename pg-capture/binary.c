#include "binary.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/lsn.h"
#include "float_text.h"
#include "frames/pg_type.h"

struct type {
    uint32_t oid;
    enum binary_form form;
    const char *name;
    size_t size; /* of every value, checked before convert() is called; 0 where it varies */
    int (*convert)(const struct type *type, const uint8_t *data, size_t size, struct buf *out,
                   struct err *err);
};

static int malformed(const struct type *type, struct err *err, const char *what)
{
    return err_set(err, ERR_PERMANENT, "malformed binary value of type %s: %s", type->name, what);
}

/* ---- integers in network byte order ---- */

static uint16_t get_u16(const uint8_t *p)
{
    return (uint16_t)((unsigned)p[0] << 8 | p[1]);
}

static uint32_t get_u32(const uint8_t *p)
{
    return (uint32_t)get_u16(p) << 16 | get_u16(p + 2);
}

static uint64_t get_u64(const uint8_t *p)
{
    return (uint64_t)get_u32(p) << 32 | get_u32(p + 4);
}

static int16_t get_i16(const uint8_t *p)
{
    return (int16_t)get_u16(p);
}

static int32_t get_i32(const uint8_t *p)
{
    return (int32_t)get_u32(p);
}

static int64_t get_i64(const uint8_t *p)
{
    return (int64_t)get_u64(p);
}

/* ---- short texts, put together in an array on the stack ---- */

#define U64_DIGITS 20

/* Writes `v` with at least `width` digits and returns the end. At most U64_DIGITS characters. */
static char *put_u64(char *p, uint64_t v, int width)
{
    char digits[U64_DIGITS];
    int n = 0;
    do {
        digits[n++] = (char)('0' + v % 10);
        v /= 10;
    } while (v > 0);
    while (n < width)
        digits[n++] = '0';
    while (n > 0)
        *p++ = digits[--n];
    return p;
}

static uint64_t magnitude(int64_t v)
{
    return v < 0 ? 0 - (uint64_t)v : (uint64_t)v;
}

static char *put_i64(char *p, int64_t v)
{
    if (v < 0)
        *p++ = '-';
    return put_u64(p, magnitude(v), 1);
}

static char *put_str(char *p, const char *s)
{
    while (*s)
        *p++ = *s++;
    return p;
}

static char *put_hex(char *p, uint8_t byte)
{
    static const char hex[] = "0123456789abcdef";
    *p++ = hex[byte >> 4];
    *p++ = hex[byte & 15];
    return p;
}

static int append_text(struct buf *out, const char *text, const char *end)
{
    buf_append(out, text, (size_t)(end - text));
    return 0;
}

static int append_str(struct buf *out, const char *text)
{
    buf_append_str(out, text);
    return 0;
}

/* ---- bool, integers, floating point ---- */

static int convert_bool(const struct type *type, const uint8_t *data, size_t size, struct buf *out,
                        struct err *err)
{
    (void)size;
    if (data[0] > 1)
        return malformed(type, err, "neither 0 nor 1");
    buf_append_byte(out, data[0] ? 't' : 'f');
    return 0;
}

static int append_i64(struct buf *out, int64_t v)
{
    char text[1 + U64_DIGITS];
    return append_text(out, text, put_i64(text, v));
}

static int append_u64(struct buf *out, uint64_t v)
{
    char text[U64_DIGITS];
    return append_text(out, text, put_u64(text, v, 1));
}

static int convert_int2(const struct type *type, const uint8_t *data, size_t size, struct buf *out,
                        struct err *err)
{
    (void)type, (void)size, (void)err;
    return append_i64(out, get_i16(data));
}

static int convert_int4(const struct type *type, const uint8_t *data, size_t size, struct buf *out,
                        struct err *err)
{
    (void)type, (void)size, (void)err;
    return append_i64(out, get_i32(data));
}

static int convert_int8(const struct type *type, const uint8_t *data, size_t size, struct buf *out,
                        struct err *err)
{
    (void)type, (void)size, (void)err;
    return append_i64(out, get_i64(data));
}

/* oid, xid, cid */
static int convert_u32(const struct type *type, const uint8_t *data, size_t size, struct buf *out,
                       struct err *err)
{
    (void)type, (void)size, (void)err;
    return append_u64(out, get_u32(data));
}

/* xid8 */
static int convert_u64(const struct type *type, const uint8_t *data, size_t size, struct buf *out,
                       struct err *err)
{
    (void)type, (void)size, (void)err;
    return append_u64(out, get_u64(data));
}

static int convert_float4(const struct type *type, const uint8_t *data, size_t size,
                          struct buf *out, struct err *err)
{
    (void)type, (void)size, (void)err;
    uint32_t bits = get_u32(data);
    float v;
    memcpy(&v, &bits, sizeof v);
    char text[FLOAT_TEXT_SIZE];
    buf_append(out, text, float4_text(text, v));
    return 0;
}

static int convert_float8(const struct type *type, const uint8_t *data, size_t size,
                          struct buf *out, struct err *err)
{
    (void)type, (void)size, (void)err;
    uint64_t bits = get_u64(data);
    double v;
    memcpy(&v, &bits, sizeof v);
    char text[FLOAT_TEXT_SIZE];
    buf_append(out, text, float8_text(text, v));
    return 0;
}

/* ---- numeric ----
 * u16 number of digits | i16 weight | u16 sign | u16 dscale | that many digits, u16 each, of base
 * 10000. The first digit counts 10000^weight. dscale is how many decimal places to show; digits
 * that are not there, before or behind, are zero.
 */

#define NUMERIC_HEADER     8
#define NUMERIC_POSITIVE   0x0000
#define NUMERIC_NEGATIVE   0x4000
#define NUMERIC_NAN        0xC000
#define NUMERIC_PINF       0xD000
#define NUMERIC_NINF       0xF000
#define NUMERIC_MAX_DSCALE 0x3FFF
#define NUMERIC_BASE       10000
#define NUMERIC_GROUP      4 /* decimal digits in one digit of base 10000 */

struct numeric {
    const uint8_t *digits;
    int ndigits;
};

static unsigned numeric_digit(const struct numeric *n, int i)
{
    return i >= 0 && i < n->ndigits ? get_u16(n->digits + (size_t)i * 2) : 0;
}

static int convert_numeric(const struct type *type, const uint8_t *data, size_t size,
                           struct buf *out, struct err *err)
{
    if (size < NUMERIC_HEADER)
        return malformed(type, err, "shorter than its header");
    struct numeric n = {data + NUMERIC_HEADER, get_u16(data)};
    int weight = get_i16(data + 2);
    unsigned sign = get_u16(data + 4);
    int dscale = get_u16(data + 6);
    if (size - NUMERIC_HEADER != (size_t)n.ndigits * 2)
        return malformed(type, err, "its length does not match its number of digits");

    /* Weight and dscale of these three mean nothing. */
    if (sign == NUMERIC_NAN || sign == NUMERIC_PINF || sign == NUMERIC_NINF) {
        if (n.ndigits != 0)
            return malformed(type, err, "digits in a NaN or an infinity");
        return append_str(out, sign == NUMERIC_NAN    ? "NaN"
                               : sign == NUMERIC_PINF ? "Infinity"
                                                      : "-Infinity");
    }
    if (sign != NUMERIC_POSITIVE && sign != NUMERIC_NEGATIVE)
        return malformed(type, err, "unknown sign");
    if (dscale > NUMERIC_MAX_DSCALE)
        return malformed(type, err, "scale out of range");
    for (int i = 0; i < n.ndigits; i++)
        if (numeric_digit(&n, i) >= NUMERIC_BASE)
            return malformed(type, err, "digit out of range");

    /* Sign, at least one digit before the point, the point, and what the last group has beyond
     * dscale. */
    size_t room = 1 + NUMERIC_GROUP + (weight > 0 ? (size_t)weight * NUMERIC_GROUP : 0) + 1 +
                  (size_t)dscale + NUMERIC_GROUP;
    char *start = (char *)buf_reserve(out, room);
    if (!start)
        return 0; /* the buffer remembers */
    char *p = start;
    if (sign == NUMERIC_NEGATIVE)
        *p++ = '-';
    if (weight < 0) {
        *p++ = '0';
    } else {
        p = put_u64(p, numeric_digit(&n, 0), 1);
        for (int i = 1; i <= weight; i++)
            p = put_u64(p, numeric_digit(&n, i), NUMERIC_GROUP);
    }
    if (dscale > 0) {
        *p++ = '.';
        char *end = p + dscale;
        for (int i = weight + 1; p < end; i++)
            p = put_u64(p, numeric_digit(&n, i), NUMERIC_GROUP);
        p = end;
    }
    out->len += (size_t)(p - start);
    return 0;
}

/* ---- date and time ----
 * A date is days, a time stamp microseconds, both since 2000-01-01; the extremes of the integer are
 * the infinities. The calendar is Gregorian throughout, and the year 0 is written 1 BC.
 */

#define US_PER_SECOND INT64_C(1000000)
#define US_PER_MINUTE (60 * US_PER_SECOND)
#define US_PER_HOUR   (60 * US_PER_MINUTE)
#define US_PER_DAY    (24 * US_PER_HOUR)

/* What PostgreSQL accepts (datatype/timestamp.h): from 4714-11-24 BC, the Julian day 0, to before
 * ... */
#define DATE_FIRST      (-2451545)
#define DATE_END        2145031949 /* ... 5874898-01-01 */
#define TIMESTAMP_FIRST ((int64_t)DATE_FIRST * US_PER_DAY)
#define TIMESTAMP_END   INT64_C(9223371331200000000) /* ... 294277-01-01 */

/* Years written in full, ten characters of them at most, and all that can follow. */
#define DATETIME_TEXT_SIZE 64

struct date {
    int64_t year; /* astronomical: 0 is 1 BC */
    int month;
    int day;
};

/*
 * The years are taken from March to February, so that a leap day is the last day of its year, and
 * in cycles of 400 years, which all have 146097 days: a leap day every 1460 days, none every 36524,
 * and one again at the end. From March on every five months have 153 days.
 */
static struct date date_of_days(int64_t days)
{
    const int64_t cycle_days = 146097;
    days += 730425; /* from 0000-03-01 to 2000-01-01 */
    int64_t cycle = days / cycle_days - (days % cycle_days < 0);
    int64_t d = days - cycle * cycle_days;
    int64_t year = (d - d / 1460 + d / 36524 - d / 146096) / 365;
    int64_t day_of_year = d - (365 * year + year / 4 - year / 100);
    int month = (int)((5 * day_of_year + 2) / 153); /* 0 is March */
    int day = (int)(day_of_year - (153 * month + 2) / 5) + 1;
    bool next_year = month >= 10; /* January, February */
    return (struct date){
        .year = cycle * 400 + year + next_year,
        .month = next_year ? month - 9 : month + 3,
        .day = day,
    };
}

static char *put_date(char *p, const struct date *d)
{
    p = put_u64(p, (uint64_t)(d->year > 0 ? d->year : 1 - d->year), 4);
    *p++ = '-';
    p = put_u64(p, (uint64_t)d->month, 2);
    *p++ = '-';
    return put_u64(p, (uint64_t)d->day, 2);
}

static char *put_era(char *p, const struct date *d)
{
    return d->year > 0 ? p : put_str(p, " BC");
}

/* Minutes and seconds of what is left of an hour; of the fraction no more than it needs. */
static char *put_minutes(char *p, uint64_t us)
{
    *p++ = ':';
    p = put_u64(p, us / US_PER_MINUTE, 2);
    *p++ = ':';
    p = put_u64(p, us % US_PER_MINUTE / US_PER_SECOND, 2);
    uint64_t fraction = us % US_PER_SECOND;
    if (fraction != 0) {
        *p++ = '.';
        p = put_u64(p, fraction, 6);
        while (p[-1] == '0')
            p--;
    }
    return p;
}

static char *put_time(char *p, uint64_t us)
{
    p = put_u64(p, us / US_PER_HOUR, 2);
    return put_minutes(p, us % US_PER_HOUR);
}

static int convert_date(const struct type *type, const uint8_t *data, size_t size, struct buf *out,
                        struct err *err)
{
    (void)size;
    int32_t days = get_i32(data);
    if (days == INT32_MAX)
        return append_str(out, "infinity");
    if (days == INT32_MIN)
        return append_str(out, "-infinity");
    if (days < DATE_FIRST || days >= DATE_END)
        return malformed(type, err, "out of range");
    struct date d = date_of_days(days);
    char text[DATETIME_TEXT_SIZE];
    return append_text(out, text, put_era(put_date(text, &d), &d));
}

/* timestamp and timestamptz; the latter in UTC, its zone standing before the era */
static int convert_timestamp(const struct type *type, const uint8_t *data, size_t size,
                             struct buf *out, struct err *err)
{
    (void)size;
    int64_t us = get_i64(data);
    if (us == INT64_MAX)
        return append_str(out, "infinity");
    if (us == INT64_MIN)
        return append_str(out, "-infinity");
    if (us < TIMESTAMP_FIRST || us >= TIMESTAMP_END)
        return malformed(type, err, "out of range");
    int64_t days = us / US_PER_DAY - (us % US_PER_DAY < 0);
    struct date d = date_of_days(days);
    char text[DATETIME_TEXT_SIZE];
    char *p = put_date(text, &d);
    *p++ = ' ';
    p = put_time(p, (uint64_t)(us - days * US_PER_DAY));
    if (type->oid == PG_TYPE_TIMESTAMPTZ)
        p = put_str(p, "+00");
    return append_text(out, text, put_era(p, &d));
}

/* Microseconds since midnight, 24:00:00 included; timetz: then i32 seconds west of Greenwich. */
static int convert_time(const struct type *type, const uint8_t *data, size_t size, struct buf *out,
                        struct err *err)
{
    (void)size;
    int64_t us = get_i64(data);
    if (us < 0 || us > US_PER_DAY)
        return malformed(type, err, "out of range");
    char text[DATETIME_TEXT_SIZE];
    char *p = put_time(text, (uint64_t)us);
    if (type->oid == PG_TYPE_TIMETZ) {
        const int32_t end = 16 * 3600; /* TZDISP_LIMIT in datatype/timestamp.h */
        int32_t west = get_i32(data + 8);
        if (west <= -end || west >= end)
            return malformed(type, err, "time zone out of range");
        uint64_t zone = magnitude(west);
        *p++ = west <= 0 ? '+' : '-';
        p = put_u64(p, zone / 3600, 2);
        if (zone % 3600 != 0) {
            *p++ = ':';
            p = put_u64(p, zone % 3600 / 60, 2);
        }
        if (zone % 60 != 0) {
            *p++ = ':';
            p = put_u64(p, zone % 60, 2);
        }
    }
    return append_text(out, text, p);
}

/* ---- interval ----
 * i64 microseconds | i32 days | i32 months. The three have signs of their own; years are only whole
 * dozens of months, while hours never become days. A positive part after a negative one shows its
 * '+'.
 */

struct interval_text {
    char text[128]; /* "-178956970 years -8 mons -2147483648 days -2562047788:00:54.775808" is the
                       longest */
    char *p;
    bool plus_needed; /* the part before was negative */
};

static void put_interval_part(struct interval_text *t, int64_t v, const char *unit)
{
    if (v == 0)
        return;
    if (t->p > t->text)
        *t->p++ = ' ';
    if (v > 0 && t->plus_needed)
        *t->p++ = '+';
    t->p = put_i64(t->p, v);
    *t->p++ = ' ';
    t->p = put_str(t->p, unit);
    if (v != 1) /* -1 has the plural */
        *t->p++ = 's';
    t->plus_needed = v < 0;
}

static int convert_interval(const struct type *type, const uint8_t *data, size_t size,
                            struct buf *out, struct err *err)
{
    (void)type, (void)size, (void)err;
    int64_t us = get_i64(data);
    int32_t days = get_i32(data + 8);
    int32_t months = get_i32(data + 12);
    if (us == INT64_MAX && days == INT32_MAX && months == INT32_MAX)
        return append_str(out, "infinity");
    if (us == INT64_MIN && days == INT32_MIN && months == INT32_MIN)
        return append_str(out, "-infinity");

    struct interval_text t;
    t.p = t.text;
    t.plus_needed = false;
    put_interval_part(&t, months / 12, "year");
    put_interval_part(&t, months % 12, "mon");
    put_interval_part(&t, days, "day");
    if (us != 0 || t.p == t.text) {
        if (t.p > t.text)
            *t.p++ = ' ';
        if (us < 0)
            *t.p++ = '-';
        else if (t.plus_needed)
            *t.p++ = '+';
        t.p = put_time(t.p, magnitude(us));
    }
    return append_text(out, t.text, t.p);
}

/* ---- inet, cidr ----
 * u8 family | u8 bits of the netmask | u8 whether it is a cidr | u8 length | that many bytes of
 * address
 */

#define INET_HEADER 4
#define INET_IPV4   2
#define INET_IPV6   3
#define IPV6_WORDS  8

/* Longest: eight groups of four, seven colons, "/128"; or the dotted form, which is shorter. */
#define INET_TEXT_SIZE 64

static char *put_ipv4(char *p, const uint8_t *a)
{
    for (int i = 0; i < 4; i++) {
        if (i > 0)
            *p++ = '.';
        p = put_u64(p, a[i], 1);
    }
    return p;
}

static char *put_hex_word(char *p, unsigned word)
{
    bool begun = false;
    for (int shift = 12; shift >= 0; shift -= 4) {
        unsigned digit = word >> shift & 15;
        if (digit != 0 || begun || shift == 0) {
            *p++ = "0123456789abcdef"[digit];
            begun = true;
        }
    }
    return p;
}

/* "::" stands for the first of the longest runs of two or more zero words. With an IPv4 address
 * within, compatible or mapped, the last two words are dotted (pg_inet_net_ntop in
 * inet_net_ntop.c). */
static char *put_ipv6(char *p, const uint8_t *a)
{
    unsigned words[IPV6_WORDS];
    int run = 0, run_start = -1, run_len = 1;
    for (int i = 0; i < IPV6_WORDS; i++) {
        words[i] = get_u16(a + (size_t)i * 2);
        run = words[i] == 0 ? run + 1 : 0;
        if (run > run_len) {
            run_len = run;
            run_start = i - run + 1;
        }
    }
    bool dotted = run_start == 0 && (run_len == 6 || (run_len == 5 && words[5] == 0xffff));
    for (int i = 0; i < IPV6_WORDS;) {
        if (i == run_start) {
            p = put_str(p, "::");
            i += run_len;
            continue;
        }
        if (i > 0 && p[-1] != ':')
            *p++ = ':';
        if (dotted && i == 6)
            return put_ipv4(p, a + 12);
        p = put_hex_word(p, words[i]);
        i++;
    }
    return p;
}

static int convert_inet(const struct type *type, const uint8_t *data, size_t size, struct buf *out,
                        struct err *err)
{
    if (size < INET_HEADER)
        return malformed(type, err, "shorter than its header");
    unsigned family = data[0];
    unsigned netmask_bits = data[1];
    if (family != INET_IPV4 && family != INET_IPV6)
        return malformed(type, err, "unknown address family");
    unsigned address_size = family == INET_IPV4 ? 4 : 16;
    if (data[3] != address_size || size - INET_HEADER != address_size)
        return malformed(type, err, "its length does not match its address family");
    if (netmask_bits > address_size * 8)
        return malformed(type, err, "netmask out of range");

    char text[INET_TEXT_SIZE];
    const uint8_t *address = data + INET_HEADER;
    char *p = family == INET_IPV4 ? put_ipv4(text, address) : put_ipv6(text, address);
    if (netmask_bits < address_size * 8 || type->oid == PG_TYPE_CIDR) {
        *p++ = '/';
        p = put_u64(p, netmask_bits, 1);
    }
    return append_text(out, text, p);
}

/* ---- the others ---- */

/* "char", one byte; the zero byte is the empty text */
static int convert_char(const struct type *type, const uint8_t *data, size_t size, struct buf *out,
                        struct err *err)
{
    (void)type, (void)size, (void)err;
    uint8_t c = data[0];
    if (c >= 0x80) {
        const char text[] = {'\\', (char)('0' + (c >> 6)), (char)('0' + (c >> 3 & 7)),
                             (char)('0' + (c & 7))};
        buf_append(out, text, sizeof text);
    } else if (c != 0) {
        buf_append_byte(out, c);
    }
    return 0;
}

static int convert_uuid(const struct type *type, const uint8_t *data, size_t size, struct buf *out,
                        struct err *err)
{
    (void)type, (void)err;
    char text[36];
    char *p = text;
    for (size_t i = 0; i < size; i++) {
        if (i == 4 || i == 6 || i == 8 || i == 10)
            *p++ = '-';
        p = put_hex(p, data[i]);
    }
    return append_text(out, text, p);
}

/* macaddr and macaddr8 */
static int convert_macaddr(const struct type *type, const uint8_t *data, size_t size,
                           struct buf *out, struct err *err)
{
    (void)type, (void)err;
    char text[8 * 3];
    char *p = text;
    for (size_t i = 0; i < size; i++) {
        if (i > 0)
            *p++ = ':';
        p = put_hex(p, data[i]);
    }
    return append_text(out, text, p);
}

static int convert_pg_lsn(const struct type *type, const uint8_t *data, size_t size,
                          struct buf *out, struct err *err)
{
    (void)type, (void)size, (void)err;
    return append_str(out, LSN(get_u64(data)));
}

/* bit and varbit: i32 number of bits | the bits, the first of them the highest of its byte */
static int convert_bits(const struct type *type, const uint8_t *data, size_t size, struct buf *out,
                        struct err *err)
{
    if (size < 4)
        return malformed(type, err, "shorter than its header");
    int32_t nbits = get_i32(data);
    if (nbits < 0 || size - 4 != ((size_t)nbits + 7) / 8)
        return malformed(type, err, "its length does not match its number of bits");
    const uint8_t *bits = data + 4;
    uint8_t *text = buf_reserve(out, (size_t)nbits);
    if (!text)
        return 0; /* the buffer remembers */
    for (size_t i = 0; i < (size_t)nbits; i++)
        text[i] = bits[i / 8] >> (7 - i % 8) & 1 ? '1' : '0';
    out->len += (size_t)nbits;
    return 0;
}

/* jsonb and jsonpath: u8 version, always 1 | the text */
static int convert_versioned_text(const struct type *type, const uint8_t *data, size_t size,
                                  struct buf *out, struct err *err)
{
    if (size < 1)
        return malformed(type, err, "empty");
    if (data[0] != 1)
        return malformed(type, err, "unknown version");
    buf_append(out, data + 1, size - 1);
    return 0;
}

/* ---- the table ---- */

/* Ordered by oid, for the search. */
static const struct type types[] = {
    {PG_TYPE_BOOL, BINARY_CONVERT, "bool", 1, convert_bool},
    {PG_TYPE_BYTEA, BINARY_BYTES, "bytea", 0, NULL},
    {PG_TYPE_CHAR, BINARY_CONVERT, "\"char\"", 1, convert_char},
    {PG_TYPE_NAME, BINARY_TEXT, "name", 0, NULL},
    {PG_TYPE_INT8, BINARY_CONVERT, "int8", 8, convert_int8},
    {PG_TYPE_INT2, BINARY_CONVERT, "int2", 2, convert_int2},
    {PG_TYPE_INT4, BINARY_CONVERT, "int4", 4, convert_int4},
    {PG_TYPE_TEXT, BINARY_TEXT, "text", 0, NULL},
    {PG_TYPE_OID, BINARY_CONVERT, "oid", 4, convert_u32},
    {PG_TYPE_XID, BINARY_CONVERT, "xid", 4, convert_u32},
    {PG_TYPE_CID, BINARY_CONVERT, "cid", 4, convert_u32},
    {PG_TYPE_JSON, BINARY_TEXT, "json", 0, NULL},
    {PG_TYPE_XML, BINARY_TEXT, "xml", 0, NULL},
    {PG_TYPE_CIDR, BINARY_CONVERT, "cidr", 0, convert_inet},
    {PG_TYPE_FLOAT4, BINARY_CONVERT, "float4", 4, convert_float4},
    {PG_TYPE_FLOAT8, BINARY_CONVERT, "float8", 8, convert_float8},
    {PG_TYPE_UNKNOWN, BINARY_TEXT, "unknown", 0, NULL},
    {PG_TYPE_MACADDR8, BINARY_CONVERT, "macaddr8", 8, convert_macaddr},
    {PG_TYPE_MACADDR, BINARY_CONVERT, "macaddr", 6, convert_macaddr},
    {PG_TYPE_INET, BINARY_CONVERT, "inet", 0, convert_inet},
    {PG_TYPE_BPCHAR, BINARY_TEXT, "bpchar", 0, NULL},
    {PG_TYPE_VARCHAR, BINARY_TEXT, "varchar", 0, NULL},
    {PG_TYPE_DATE, BINARY_CONVERT, "date", 4, convert_date},
    {PG_TYPE_TIME, BINARY_CONVERT, "time", 8, convert_time},
    {PG_TYPE_TIMESTAMP, BINARY_CONVERT, "timestamp", 8, convert_timestamp},
    {PG_TYPE_TIMESTAMPTZ, BINARY_CONVERT, "timestamptz", 8, convert_timestamp},
    {PG_TYPE_INTERVAL, BINARY_CONVERT, "interval", 16, convert_interval},
    {PG_TYPE_TIMETZ, BINARY_CONVERT, "timetz", 12, convert_time},
    {PG_TYPE_BIT, BINARY_CONVERT, "bit", 0, convert_bits},
    {PG_TYPE_VARBIT, BINARY_CONVERT, "varbit", 0, convert_bits},
    {PG_TYPE_NUMERIC, BINARY_CONVERT, "numeric", 0, convert_numeric},
    {PG_TYPE_REFCURSOR, BINARY_TEXT, "refcursor", 0, NULL},
    {PG_TYPE_CSTRING, BINARY_TEXT, "cstring", 0, NULL},
    {PG_TYPE_UUID, BINARY_CONVERT, "uuid", 16, convert_uuid},
    {PG_TYPE_PG_LSN, BINARY_CONVERT, "pg_lsn", 8, convert_pg_lsn},
    {PG_TYPE_JSONB, BINARY_CONVERT, "jsonb", 0, convert_versioned_text},
    {PG_TYPE_JSONPATH, BINARY_CONVERT, "jsonpath", 0, convert_versioned_text},
    {PG_TYPE_XID8, BINARY_CONVERT, "xid8", 8, convert_u64},
};

static const struct type *find_type(uint32_t oid)
{
    size_t lo = 0, hi = sizeof types / sizeof types[0];
    while (lo < hi) {
        size_t mid = lo + (hi - lo) / 2;
        if (types[mid].oid < oid)
            lo = mid + 1;
        else
            hi = mid;
    }
    return lo < sizeof types / sizeof types[0] && types[lo].oid == oid ? &types[lo] : NULL;
}

enum binary_form binary_form(uint32_t type_oid)
{
    const struct type *type = find_type(type_oid);
    return type ? type->form : BINARY_UNSUPPORTED;
}

bool binary_supported(uint32_t type_oid)
{
    return binary_form(type_oid) != BINARY_UNSUPPORTED;
}

int binary_to_text(uint32_t type_oid, const uint8_t *data, size_t size, struct buf *out,
                   struct err *err)
{
    const struct type *type = find_type(type_oid);
    if (!type)
        return err_set(err, ERR_PERMANENT,
                       "values of the type with oid %" PRIu32 " cannot be read in binary format",
                       type_oid);
    if (type->size != 0 && size != type->size)
        return err_set(err, ERR_PERMANENT,
                       "malformed binary value of type %s: %zu bytes instead of %zu", type->name,
                       size, type->size);
    size_t before = out->len;
    int rc = 0;
    if (type->convert)
        rc = type->convert(type, data, size, out, err);
    else
        buf_append(out, data, size);
    if (rc == 0)
        rc = buf_check(out, err);
    if (rc != 0)
        out->len = before;
    return rc;
}
