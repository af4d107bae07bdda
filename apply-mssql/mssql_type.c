#include "mssql_type.h"

#include <float.h>
#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/utf8.h"
#include "frames/pg_type.h"
#include "sql/key_size.h"
#include "sql/pg_text.h"

#define DECIMAL_PRECISION  38
#define CLUSTERED_BYTES    900
#define NONCLUSTERED_BYTES 1700
#define NVARCHAR_UNITS     4000
#define REAL_DIGITS        17 /* enough for a double and back */
#define OUTSIDE            "outside the years 1 to 9999"
#define LAST_TIME          "23:59:59.999999"

/* ---- types ---- */

bool mssql_decimal(int32_t typmod, unsigned int *precision, unsigned int *scale)
{
    return pg_numeric_size(typmod, precision, scale) && *precision <= DECIMAL_PRECISION;
}

enum mssql_form mssql_form_of(const struct column *c)
{
    unsigned int precision, scale;
    switch (c->base_type_oid) {
    case PG_TYPE_BOOL:
        return FORM_BIT;
    case PG_TYPE_INT2:
    case PG_TYPE_INT4:
    case PG_TYPE_INT8:
    case PG_TYPE_OID:
        return FORM_INTEGER;
    case PG_TYPE_FLOAT4:
        return FORM_REAL;
    case PG_TYPE_FLOAT8:
        return FORM_FLOAT;
    case PG_TYPE_NUMERIC:
        /* What has no limit, or more digits, keeps every digit as text. */
        return mssql_decimal(c->typmod, &precision, &scale) ? FORM_DECIMAL : FORM_TEXT;
    case PG_TYPE_MONEY:
        return FORM_MONEY;
    case PG_TYPE_DATE:
        return FORM_DATE;
    case PG_TYPE_TIME:
        return FORM_TIME;
    case PG_TYPE_TIMESTAMP:
        return FORM_DATETIME;
    case PG_TYPE_TIMESTAMPTZ:
        return FORM_DATETIMEOFFSET;
    case PG_TYPE_UUID:
        return FORM_UUID;
    case PG_TYPE_BYTEA:
        return FORM_BYTES;
    default:
        return FORM_TEXT;
    }
}

/* Whether the text of a type is made of ASCII characters, of one unit each. */
static bool is_ascii(const struct column *c)
{
    switch (c->base_type_oid) {
    case PG_TYPE_VARCHAR:
    case PG_TYPE_BPCHAR:
    case PG_TYPE_NAME:
        return false;
    default:
        return true;
    }
}

uint32_t mssql_units(const struct column *c)
{
    uint32_t characters = pg_type_characters(c);
    return is_ascii(c) ? characters : characters * 2;
}

static struct key_column in_index(const struct column *c)
{
    switch (mssql_form_of(c)) {
    case FORM_TEXT:
        return (struct key_column){true, 0, 2, mssql_units(c)};
    case FORM_BYTES:
        return (struct key_column){true, 0, 1, 0};
    case FORM_DECIMAL:
        return (struct key_column){false, 17, 0, 0};
    case FORM_UUID:
        return (struct key_column){false, 16, 0, 0};
    default:
        return (struct key_column){false, 10, 0, 0};
    }
}

static const struct key_rules clustered = {CLUSTERED_BYTES, 0, in_index};
static const struct key_rules nonclustered = {NONCLUSTERED_BYTES, 0, in_index};

bool mssql_key_is_small(const struct relation *rel)
{
    return key_fits(rel, &clustered);
}

static const char *fixed_type(const struct column *c)
{
    switch (c->base_type_oid) {
    case PG_TYPE_BOOL:
        return "bit";
    case PG_TYPE_INT2:
        return "smallint";
    case PG_TYPE_INT4:
        return "int";
    case PG_TYPE_INT8:
    case PG_TYPE_OID:
        return "bigint";
    case PG_TYPE_FLOAT4:
        return "real";
    case PG_TYPE_FLOAT8:
        return "float(53)";
    case PG_TYPE_MONEY:
        return "decimal(19,2)";
    case PG_TYPE_DATE:
        return "date";
    case PG_TYPE_TIME:
        return "time(6)";
    case PG_TYPE_TIMESTAMP:
        return "datetime2(6)";
    case PG_TYPE_TIMESTAMPTZ:
        return "datetimeoffset(6)";
    case PG_TYPE_UUID:
        return "uniqueidentifier";
    default:
        return NULL;
    }
}

void mssql_declare(const struct relation *rel, uint32_t column, struct buf *out)
{
    const struct column *c = &rel->columns[column];
    unsigned int precision, scale;
    const char *fixed = fixed_type(c);
    if (fixed) {
        buf_append_str(out, fixed);
        return;
    }
    enum mssql_form form = mssql_form_of(c);
    if (form == FORM_DECIMAL && mssql_decimal(c->typmod, &precision, &scale)) {
        buf_printf(out, "decimal(%u,%u)", precision, scale);
        return;
    }
    uint32_t length = key_length(rel, column, mssql_key_is_small(rel) ? &clustered : &nonclustered);
    if (length == 0 && form == FORM_TEXT && mssql_units(c) <= NVARCHAR_UNITS)
        length = mssql_units(c);
    buf_append_str(out, form == FORM_BYTES ? "varbinary(" : "nvarchar(");
    if (length)
        buf_printf(out, "%" PRIu32 ")", length);
    else
        buf_append_str(out, "max)");
    if (form == FORM_TEXT)
        buf_append_str(out, " COLLATE " MSSQL_COLLATION);
}

/* ---- text ---- */

static int not_a(struct err *err, const char *what)
{
    return err_set(err, ERR_PERMANENT, "the value is not %s", what);
}

/* Of ASCII: what has to be written otherwise in a JSON string (RFC 8259). */
static bool is_special(unsigned char c, enum mssql_rows rows)
{
    return rows == ROWS_JSON ? c < 0x20 || c == '"' || c == '\\' : c == '\'';
}

static void append_special(struct buf *out, unsigned char c, enum mssql_rows rows)
{
    if (rows == ROWS_VALUES)
        buf_append_str(out, "''");
    else if (c == '"' || c == '\\')
        buf_printf(out, "\\%c", c);
    else
        buf_printf(out, "\\u%04x", c);
}

static void open_quote(struct buf *out, enum mssql_rows rows)
{
    buf_append_str(out, rows == ROWS_JSON ? "\"" : "N'");
}

static void close_quote(struct buf *out, enum mssql_rows rows)
{
    buf_append_byte(out, rows == ROWS_JSON ? '"' : '\'');
}

/* FreeTDS puts a '?' for what is not UTF-8, and a source in SQL_ASCII may send it. */
static int append_text(struct buf *out, enum mssql_rows rows, const char *data, size_t size,
                       uint64_t *units, struct err *err)
{
    const unsigned char *p = (const unsigned char *)data, *end = p + size, *from = p;
    open_quote(out, rows);
    while (p < end) {
        if (*p < 0x80) {
            if (is_special(*p, rows)) {
                buf_append(out, from, (size_t)(p - from));
                append_special(out, *p, rows);
                from = p + 1;
            }
            p++;
            *units += 1;
            continue;
        }
        size_t n = utf8_character(p, end);
        if (n == 0)
            return not_a(err, "UTF-8 text");
        *units += n == 4 ? 2 : 1;
        p += n;
    }
    buf_append(out, from, (size_t)(p - from));
    close_quote(out, rows);
    return 0;
}

static void append_plain(struct buf *out, enum mssql_rows rows, const char *text, size_t size)
{
    open_quote(out, rows);
    buf_append(out, text, size);
    close_quote(out, rows);
}

/* A column of literals that are all NULL would be one of int, which is not converted to everything.
 */
static void append_null(struct buf *out, enum mssql_rows rows, enum mssql_form form)
{
    if (rows == ROWS_JSON)
        buf_append_str(out, "null");
    else if (form == FORM_BIT || form == FORM_INTEGER)
        buf_append_str(out, "NULL");
    else if (form == FORM_BYTES)
        buf_append_str(out, "CONVERT(varbinary(1), NULL)");
    else
        buf_append_str(out, "CONVERT(nvarchar(1), NULL)");
}

static void append_hex(struct buf *out, enum mssql_rows rows, const char *data, size_t size)
{
    static const char digits[] = "0123456789ABCDEF";
    buf_append_str(out, rows == ROWS_JSON ? "\"" : "0x");
    uint8_t *to = buf_reserve(out, 2 * size);
    for (size_t i = 0; to && i < size; i++) {
        *to++ = (uint8_t)digits[(unsigned char)data[i] >> 4];
        *to++ = (uint8_t)digits[(unsigned char)data[i] & 15];
    }
    if (to)
        out->len += 2 * size;
    if (rows == ROWS_JSON)
        buf_append_byte(out, '"');
}

/* ---- values that SQL Server does not have ---- */

/* -1: an error; 0: NULL was written; 1: the extreme is to be. */
static int instead(struct buf *out, enum mssql_rows rows, enum mssql_form form,
                   enum dest_beyond beyond)
{
    if (beyond == DEST_BEYOND_NULL)
        append_null(out, rows, form);
    return beyond == DEST_BEYOND_STOP ? -1 : beyond == DEST_BEYOND_EXTREME;
}

static int append_real(struct buf *out, enum mssql_rows rows, enum mssql_form form,
                       const struct value *v, const struct value_policy *policy, struct err *err)
{
    char text[64];
    double d;
    if (!pg_text_real(v, form == FORM_REAL, &d))
        return not_a(err, "a floating-point number");
    if (isnan(d))
        return instead(out, rows, form, policy_nan(policy, err));
    if (isinf(d)) {
        int rc = instead(out, rows, form, policy_infinity(policy, err));
        if (rc <= 0)
            return rc;
        d = copysign(form == FORM_REAL ? (double)FLT_MAX : DBL_MAX, d);
    }
    int n = snprintf(text, sizeof text, "%.*e", REAL_DIGITS - 1, d);
    append_plain(out, rows, text, (size_t)n);
    return 0;
}

static int append_decimal(struct buf *out, enum mssql_rows rows, const struct value *v,
                          const struct value_policy *policy, struct err *err)
{
    if (pg_text_is(v, "NaN"))
        return instead(out, rows, FORM_DECIMAL, policy_nan(policy, err));
    if (!pg_text_decimal(v))
        return not_a(err, "a decimal number");
    append_plain(out, rows, v->data, v->size);
    return 0;
}

static int append_money(struct buf *out, enum mssql_rows rows, const struct value *v,
                        struct err *err)
{
    char text[PG_MONEY_SIZE];
    size_t size;
    if (!pg_text_money(v, text, &size))
        return not_a(err, "an amount of money under lc_monetary = C");
    append_plain(out, rows, text, size);
    return 0;
}

/* A date or timestamp, or the ends of what the target has. */
static void append_moment(struct buf *out, enum mssql_rows rows, enum mssql_form form,
                          const char *date, const char *time, size_t time_size)
{
    open_quote(out, rows);
    buf_append(out, date, 10);
    if (form != FORM_DATE)
        buf_append(out, time, time_size);
    if (form == FORM_DATETIMEOFFSET)
        buf_append_str(out, " +00:00");
    close_quote(out, rows);
}

static int append_extreme(struct buf *out, enum mssql_rows rows, enum mssql_form form, bool first)
{
    static const char midnight[] = " 00:00:00", last[] = " " LAST_TIME;
    append_moment(out, rows, form, first ? "0001-01-01" : "9999-12-31", first ? midnight : last,
                  first ? sizeof midnight - 1 : sizeof last - 1);
    return 0;
}

static int append_date(struct buf *out, enum mssql_rows rows, enum mssql_form form,
                       const struct value *v, const struct value_policy *policy, struct err *err)
{
    unsigned int year;
    size_t size = v->size;
    enum pg_date date = pg_text_date(v, &year);
    int rc;
    switch (date) {
    case PG_DATE_NONE:
        return not_a(err, "a date");
    case PG_DATE_INFINITY:
    case PG_DATE_MINUS_INFINITY:
        rc = instead(out, rows, form, policy_infinity(policy, err));
        return rc <= 0 ? rc : append_extreme(out, rows, form, date == PG_DATE_MINUS_INFINITY);
    case PG_DATE_BC:
    case PG_DATE_BEYOND:
        rc = instead(
            out, rows, form,
            policy_date(policy, date == PG_DATE_BC ? "BC, " OUTSIDE : "after 9999, " OUTSIDE, err));
        return rc <= 0 ? rc : append_extreme(out, rows, form, date == PG_DATE_BC);
    case PG_DATE_YEAR:
        break;
    }
    if (form == FORM_DATETIMEOFFSET) {
        if (!pg_text_ends(v, "+00"))
            return not_a(err, "a timestamp with time zone in UTC");
        size -= 3;
    }
    if (size < 10 || (form == FORM_DATE && size != 10))
        return not_a(err, "a date");
    append_moment(out, rows, form, v->data, v->data + 10, size - 10);
    return 0;
}

/* 24:00:00 is the end of a day in PostgreSQL only. */
static int append_time(struct buf *out, enum mssql_rows rows, const struct value *v,
                       const struct value_policy *policy, struct err *err)
{
    if (!pg_text_is(v, "24:00:00")) {
        append_plain(out, rows, v->data, v->size);
        return 0;
    }
    int rc = instead(out, rows, FORM_TIME,
                     policy_date(policy, "24:00:00, beyond the last time of a day", err));
    if (rc > 0)
        append_plain(out, rows, LAST_TIME, sizeof LAST_TIME - 1);
    return rc < 0 ? -1 : 0;
}

static int append_bit(struct buf *out, const struct value *v, struct err *err)
{
    bool b;
    if (!pg_text_bool(v, &b))
        return not_a(err, "a boolean");
    buf_append_byte(out, b ? '1' : '0');
    return 0;
}

static int append_integer(struct buf *out, const struct value *v, struct err *err)
{
    int64_t n;
    if (!value_to_int64(v, &n))
        return not_a(err, "an integer of 64 bits");
    buf_append(out, v->data, v->size);
    return 0;
}

int mssql_append_value(struct buf *out, enum mssql_rows rows, enum mssql_form form,
                       const struct value *v, const struct value_policy *policy, uint64_t *units,
                       struct err *err)
{
    switch (v->kind) {
    case VALUE_NULL:
        append_null(out, rows, form);
        return 0;
    case VALUE_UNCHANGED:
        return err_set(err, ERR_PERMANENT, "the value was not sent (an unchanged TOASTed value)");
    case VALUE_BYTES:
        if (form != FORM_BYTES)
            return not_a(err, "text, as its type says it is");
        *units += v->size;
        append_hex(out, rows, v->data, v->size);
        return 0;
    case VALUE_TEXT:
        break;
    }
    switch (form) {
    case FORM_BIT:
        return append_bit(out, v, err);
    case FORM_INTEGER:
        return append_integer(out, v, err);
    case FORM_REAL:
    case FORM_FLOAT:
        return append_real(out, rows, form, v, policy, err);
    case FORM_DECIMAL:
        return append_decimal(out, rows, v, policy, err);
    case FORM_MONEY:
        return append_money(out, rows, v, err);
    case FORM_DATE:
    case FORM_DATETIME:
    case FORM_DATETIMEOFFSET:
        return append_date(out, rows, form, v, policy, err);
    case FORM_TIME:
        return append_time(out, rows, v, policy, err);
    case FORM_UUID:
        append_plain(out, rows, v->data, v->size);
        return 0;
    case FORM_TEXT:
        return append_text(out, rows, v->data, v->size, units, err);
    case FORM_BYTES:
        return not_a(err, "bytes, as its type says it is");
    }
    BUG("unknown form");
}
