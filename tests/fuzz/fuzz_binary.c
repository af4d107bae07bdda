/*
 * fuzz_binary.c - any bytes as a value in PostgreSQL's binary format.
 *
 * An input is the type and the value. What must hold: a value that is refused
 * leaves the output as it was; what comes out is text of the type, which its reader takes, and of
 * numbers the same number.
 */
#include <stdlib.h>
#include <string.h>

#include "base/utf8.h"
#include "frames/pg_type.h"
#include "pg-capture/binary.h"
#include "sql/pg_text.h"
#include "tests/fuzz/input.h"

static uint64_t big_endian(const uint8_t *data, size_t size)
{
    struct input in = input(data, size);
    return input_number(&in, (int)size);
}

static void check_real(const struct value *v, const uint8_t *data, size_t size)
{
    double real;
    check(pg_text_real(v, size == 4, &real), "a number is not read");
    if (real != real) /* NaN, of which there are many */
        return;
    float single = (float)real;
    uint32_t bits4;
    uint64_t bits8;
    memcpy(&bits4, &single, sizeof bits4);
    memcpy(&bits8, &real, sizeof bits8);
    check((size == 4 ? bits4 : bits8) == big_endian(data, size), "another number");
}

static bool is_special(const struct value *v)
{
    return pg_text_is(v, "NaN") || pg_text_is(v, "Infinity") || pg_text_is(v, "-Infinity");
}

/* The readers of other programs take it. */
static void check_text(uint32_t oid, const struct value *v, const uint8_t *data, size_t size)
{
    int64_t number;
    bool truth;
    char room[PG_MONEY_SIZE];
    size_t n;
    struct pg_moment m;
    switch (oid) {
    case PG_TYPE_BOOL:
        check(pg_text_bool(v, &truth) && truth == (data[0] != 0), "another truth");
        break;
    case PG_TYPE_INT2:
    case PG_TYPE_INT4:
    case PG_TYPE_INT8:
        check(value_to_int64(v, &number), "an integer is not read");
        check(((uint64_t)number ^ big_endian(data, size)) << (64 - 8 * size) == 0,
              "another integer");
        break;
    case PG_TYPE_FLOAT4:
    case PG_TYPE_FLOAT8:
        check_real(v, data, size);
        break;
    case PG_TYPE_NUMERIC:
        check(is_special(v) || pg_text_decimal(v), "a numeric is not read");
        break;
    case PG_TYPE_MONEY:
        check(pg_text_money(v, room, &n), "an amount of money is not read");
        break;
    case PG_TYPE_DATE:
    case PG_TYPE_TIMESTAMP:
    case PG_TYPE_TIMESTAMPTZ:
        check(pg_text_date(v, &m) != PG_DATE_NONE, "a moment is not read");
        break;
    case PG_TYPE_TIME:
        check(pg_text_time(v), "a time is not read");
        break;
    case PG_TYPE_UUID:
        check(pg_text_uuid(v), "a uuid is not read");
        break;
    default:
        break;
    }
}

/* Those that are converted; after them any. */
static const uint32_t converted[] = {
    PG_TYPE_BOOL,     PG_TYPE_CHAR,        PG_TYPE_INT8,   PG_TYPE_INT2,   PG_TYPE_INT4,
    PG_TYPE_OID,      PG_TYPE_CIDR,        PG_TYPE_FLOAT4, PG_TYPE_FLOAT8, PG_TYPE_MACADDR8,
    PG_TYPE_MACADDR,  PG_TYPE_INET,        PG_TYPE_DATE,   PG_TYPE_TIME,   PG_TYPE_TIMESTAMP,
    PG_TYPE_INTERVAL, PG_TYPE_TIMESTAMPTZ, PG_TYPE_TIMETZ, PG_TYPE_BIT,    PG_TYPE_NUMERIC,
    PG_TYPE_UUID,     PG_TYPE_PG_LSN,      PG_TYPE_JSONB,  PG_TYPE_XID8,
};
#define CONVERTED (sizeof converted / sizeof *converted)

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct input in = input(data, size);
    uint8_t type = input_u8(&in);
    uint32_t oid = type < CONVERTED ? converted[type] : (uint32_t)input_number(&in, 2);
    char *value = input_bytes(&in, input_left(&in), &size);
    const uint8_t *bytes = (const uint8_t *)value;
    struct buf out = {0};
    struct err err = {0};
    buf_append_str(&out, "before");
    size_t before = out.len;
    int rc = binary_to_text(oid, bytes, size, &out, &err);
    check(out.len >= before && memcmp(out.data, "before", before) == 0, "what was there is gone");
    const char *text = (const char *)out.data + before;
    const struct value v = {VALUE_TEXT, (uint32_t)(out.len - before), text};
    if (rc) {
        check_refusal(&err);
        check(v.size == 0, "a value that is refused leaves something");
    } else if (oid == PG_TYPE_JSONB || oid == PG_TYPE_JSONPATH) {
        check(v.size + 1 == size && memcmp(text, bytes + 1, v.size) == 0, "another text");
    } else if (binary_form(oid) == BINARY_CONVERT) {
        check(utf8_valid(text, v.size), "not UTF-8");
        check(v.size == 0 || !memchr(text, 0, v.size), "a zero byte in a text");
        check_text(oid, &v, bytes, size);
    } else {
        check(binary_supported(oid) && v.size == size && memcmp(text, bytes, size) == 0,
              "another text");
    }
    buf_free(&out);
    free(value);
    return 0;
}
