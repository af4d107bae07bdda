#include "mssql_type.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/utf8.h"
#include "frames/pg_type.h"
#include "sql/key_size.h"
#include "sql/pg_text.h"
#include "sql/source_value.h"
#include "sql/text.h"

#define DECIMAL_PRECISION  38
#define CLUSTERED_BYTES    900
#define NONCLUSTERED_BYTES 1700
#define REAL_DIGITS        17 /* enough for a double and back */
#define NUMBER_SIZE        64
#define DATE_SIZE          10
#define OUTSIDE            "outside the years 1 to 9999"
#define FIRST_MOMENT       "0001-01-01 00:00:00"
#define LAST_DAY           "9999-12-31 "
#define LAST_TIME          "23:59:59.999999"

/* ---- types ---- */

/* Of those that are not here, numeric, text and bytes have a size to be chosen. */
static const struct fixed_type {
    uint32_t oid;
    enum mssql_form form;
    const char *declared;
} fixed_types[] = {
    {PG_TYPE_BOOL, FORM_BIT, "bit"},
    {PG_TYPE_INT2, FORM_INTEGER, "smallint"},
    {PG_TYPE_INT4, FORM_INTEGER, "int"},
    {PG_TYPE_INT8, FORM_INTEGER, "bigint"},
    {PG_TYPE_OID, FORM_INTEGER, "bigint"},
    {PG_TYPE_FLOAT4, FORM_REAL, "real"},
    {PG_TYPE_FLOAT8, FORM_FLOAT, "float(53)"},
    {PG_TYPE_MONEY, FORM_MONEY, "decimal(19,2)"},
    {PG_TYPE_DATE, FORM_DATE, "date"},
    {PG_TYPE_TIME, FORM_TIME, "time(6)"},
    {PG_TYPE_TIMESTAMP, FORM_DATETIME, "datetime2(6)"},
    {PG_TYPE_TIMESTAMPTZ, FORM_DATETIMEOFFSET, "datetimeoffset(6)"},
    {PG_TYPE_UUID, FORM_UUID, "uniqueidentifier"},
};

static const struct fixed_type *fixed_type(const struct column *c)
{
    for (size_t i = 0; i < sizeof fixed_types / sizeof *fixed_types; i++)
        if (fixed_types[i].oid == c->base_type_oid)
            return &fixed_types[i];
    return NULL;
}

/* What has no limit, or more digits, keeps every digit as text. */
static bool is_decimal(const struct column *c, unsigned int *precision, unsigned int *scale)
{
    return c->base_type_oid == PG_TYPE_NUMERIC && pg_numeric_size(c->typmod, precision, scale) &&
           *precision <= DECIMAL_PRECISION;
}

enum mssql_form mssql_form_of(const struct column *c)
{
    unsigned int precision, scale;
    const struct fixed_type *fixed = fixed_type(c);
    return fixed                               ? fixed->form
           : is_decimal(c, &precision, &scale) ? FORM_DECIMAL
           : c->base_type_oid == PG_TYPE_BYTEA ? FORM_BYTES
                                               : FORM_TEXT;
}

/* What is not made of letters is ASCII, a unit a character. */
uint32_t mssql_units(const struct column *c)
{
    uint32_t oid = c->base_type_oid;
    bool letters = oid == PG_TYPE_VARCHAR || oid == PG_TYPE_BPCHAR || oid == PG_TYPE_NAME;
    return pg_type_characters(c) * (letters ? 2 : 1);
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

/* The length of nvarchar or varbinary; 0: max. */
static uint32_t variable_length(const struct relation *rel, uint32_t column)
{
    const struct column *c = &rel->columns[column];
    uint32_t most = mssql_units(c);
    uint32_t length = key_length(rel, column, mssql_key_is_small(rel) ? &clustered : &nonclustered);
    return length == 0 && mssql_form_of(c) == FORM_TEXT && most <= MSSQL_NVARCHAR_UNITS ? most
                                                                                        : length;
}

void mssql_declare(struct driver *d, const struct relation *rel, uint32_t column, struct buf *out,
                   const char **caveat)
{
    const struct column *c = &rel->columns[column];
    const struct fixed_type *fixed = fixed_type(c);
    unsigned int precision, scale;
    (void)d;
    *caveat = policy_caveat(
        c, "NaN and infinities stop the applier unless --nan and --infinity say what to store",
        "dates outside the years 1 to 9999 and infinity stop the applier unless --date-range and "
        "--infinity say what to store");
    if (fixed) {
        buf_append_str(out, fixed->declared);
        return;
    }
    if (is_decimal(c, &precision, &scale)) {
        buf_printf(out, "decimal(%u,%u)", precision, scale);
        return;
    }
    bool text = mssql_form_of(c) == FORM_TEXT;
    uint32_t length = variable_length(rel, column);
    buf_append_str(out, text ? "nvarchar(" : "varbinary(");
    if (length)
        buf_printf(out, "%" PRIu32 ")", length);
    else
        buf_append_str(out, "max)");
    buf_append_str(out, text ? " COLLATE " MSSQL_COLLATION : "");
}

/* ---- values ---- */

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
static enum reading append_text(struct buf *out, enum mssql_rows rows, const struct value *v,
                                uint64_t *units, struct err *err)
{
    const unsigned char *p = (const unsigned char *)v->data, *end = p + v->size, *from = p;
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
            return read_refuse("UTF-8 text", err);
        *units += n == 4 ? 2 : 1;
        p += n;
    }
    buf_append(out, from, (size_t)(p - from));
    close_quote(out, rows);
    return READ_VALUE;
}

static void append_bytes(struct buf *out, enum mssql_rows rows, const struct value *v)
{
    buf_append_str(out, rows == ROWS_JSON ? "\"" : "0x");
    text_hex(out, v->data, v->size);
    buf_append_str(out, rows == ROWS_JSON ? "\"" : "");
}

/* A column of literals that are all NULL would be one of int, which is not converted to everything.
 */
static void append_null(struct buf *out, enum mssql_rows rows, enum mssql_form form)
{
    buf_append_str(out, rows == ROWS_JSON                          ? "null"
                        : form == FORM_BIT || form == FORM_INTEGER ? "NULL"
                        : form == FORM_BYTES                       ? "CONVERT(varbinary(1), NULL)"
                                                                   : "CONVERT(nvarchar(1), NULL)");
}

/* 24:00:00 is the end of a day in PostgreSQL only. */
static enum reading read_time(const struct value *v, const struct value_policy *policy,
                              struct err *err)
{
    if (!pg_text_is(v, "24:00:00"))
        return READ_VALUE;
    enum beyond beyond = policy_date(policy, "24:00:00, beyond the last time of a day", err);
    return beyond == BEYOND_STOP ? READ_FAILED : beyond == BEYOND_NULL ? READ_NULL : READ_LAST;
}

/* What is written in quotes, or as it stands for a number. */
struct written {
    const char *text;
    size_t size;
    char number[NUMBER_SIZE];
};

static void set_extreme(struct written *w, enum mssql_form form, bool first)
{
    w->text = form == FORM_TIME ? LAST_TIME : first ? FIRST_MOMENT : LAST_DAY LAST_TIME;
    w->size = form == FORM_DATE ? DATE_SIZE : strlen(w->text);
}

static enum reading read_date(struct written *w, enum mssql_form form, const struct value *v,
                              const struct value_policy *policy, struct err *err)
{
    static const struct year_range years = {1, "BC, " OUTSIDE, "after 9999, " OUTSIDE};
    enum reading r = read_moment(v, form == FORM_DATETIMEOFFSET, &years, policy, &w->size, err);
    bool date = form == FORM_DATE ? w->size == DATE_SIZE : w->size >= DATE_SIZE;
    return r == READ_VALUE && !date ? read_refuse("a date", err) : r;
}

static enum reading read_value(struct written *w, enum mssql_form form, const struct value *v,
                               const struct value_policy *policy, struct err *err)
{
    enum reading r = READ_VALUE;
    int64_t integer;
    double real;
    bool b = false;
    switch (form) {
    case FORM_BIT:
        r = read_bool(v, &b, err);
        w->text = b ? "1" : "0";
        return r;
    case FORM_INTEGER:
        return read_integer(v, &integer, err);
    case FORM_REAL:
    case FORM_FLOAT:
        r = read_real(v, form == FORM_REAL, policy, &real, err);
        if (r == READ_VALUE)
            w->size = (size_t)snprintf(w->number, sizeof w->number, "%.*e", REAL_DIGITS - 1, real);
        w->text = w->number;
        return r;
    case FORM_DECIMAL:
        return read_decimal(v, policy, err);
    case FORM_MONEY:
        w->text = w->number;
        return read_money(v, w->number, &w->size, err);
    case FORM_TIME:
        return read_time(v, policy, err);
    case FORM_DATE:
    case FORM_DATETIME:
    case FORM_DATETIMEOFFSET:
        return read_date(w, form, v, policy, err);
    case FORM_UUID:
        return READ_VALUE;
    case FORM_TEXT:
    case FORM_BYTES:
        break;
    }
    BUG("unknown form");
}

static void append_written(struct buf *out, enum mssql_rows rows, enum mssql_form form,
                           const struct written *w)
{
    if (form == FORM_BIT || form == FORM_INTEGER) {
        buf_append(out, w->text, w->size);
        return;
    }
    open_quote(out, rows);
    buf_append(out, w->text, w->size);
    if (form == FORM_DATETIMEOFFSET)
        buf_append_str(out, " +00:00");
    close_quote(out, rows);
}

int mssql_append_value(struct buf *out, enum mssql_rows rows, enum mssql_form form,
                       const struct value *v, const struct value_policy *policy, uint64_t *units,
                       struct err *err)
{
    enum reading r = read_kind(v, form == FORM_BYTES, err);
    if (r == READ_VALUE && form == FORM_TEXT) {
        r = append_text(out, rows, v, units, err);
    } else if (r == READ_VALUE && form == FORM_BYTES) {
        append_bytes(out, rows, v);
    } else if (r == READ_VALUE) {
        struct written w;
        w.text = v->data;
        w.size = v->size;
        r = read_value(&w, form, v, policy, err);
        if (r == READ_FIRST || r == READ_LAST)
            set_extreme(&w, form, r == READ_FIRST);
        if (r != READ_FAILED && r != READ_NULL)
            append_written(out, rows, form, &w);
    }
    if (r == READ_NULL)
        append_null(out, rows, form);
    return r == READ_FAILED ? -1 : 0;
}
