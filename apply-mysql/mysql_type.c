#include "mysql_type.h"

#include <errno.h>
#include <float.h>
#include <inttypes.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "frames/pg_type.h"
#include "sql/key_size.h"
#include "sql/pg_text.h"

#define DECIMAL_PRECISION  65
#define DECIMAL_SCALE      30
#define BIT_MAX            64
#define INDEX_BYTES        3072
#define ROW_BYTES          65535
#define ROW_BYTES_RESERVED 4096 /* for null flags, and for columns that come later */
#define CHARACTER_BYTES    4    /* utf8mb4 */
#define FIRST_YEAR         1000

/* ---- types ---- */

bool type_decimal(int32_t typmod, unsigned int *precision, unsigned int *scale)
{
    return pg_numeric_size(typmod, precision, scale) && *precision <= DECIMAL_PRECISION &&
           *scale <= DECIMAL_SCALE;
}

/* Of numeric without a limit DECIMAL keeps 35 digits before the point and 30 after it, and rounds
 * or refuses what has more. Text keeps every digit, NaN and infinity. */
static enum mysql_form numeric_form(const struct column *c)
{
    unsigned int precision, scale;
    return type_decimal(c->typmod, &precision, &scale) ? FORM_DECIMAL : FORM_TEXT;
}

enum mysql_form form_of(const struct column *c)
{
    switch (c->base_type_oid) {
    case PG_TYPE_BOOL:
        return FORM_BOOL;
    case PG_TYPE_INT2:
    case PG_TYPE_INT4:
    case PG_TYPE_INT8:
    case PG_TYPE_OID:
        return FORM_INTEGER;
    case PG_TYPE_FLOAT4:
        return FORM_FLOAT;
    case PG_TYPE_FLOAT8:
        return FORM_DOUBLE;
    case PG_TYPE_NUMERIC:
        return numeric_form(c);
    case PG_TYPE_MONEY:
        return FORM_MONEY;
    case PG_TYPE_BIT:
        return c->typmod >= 1 && c->typmod <= BIT_MAX ? FORM_BITS : FORM_TEXT;
    case PG_TYPE_DATE:
        return FORM_DATE;
    case PG_TYPE_TIME:
        return FORM_TIME;
    case PG_TYPE_TIMESTAMP:
        return FORM_TIMESTAMP;
    case PG_TYPE_TIMESTAMPTZ:
        return FORM_TIMESTAMPTZ;
    case PG_TYPE_BYTEA:
        return FORM_BYTES;
    default:
        return FORM_TEXT;
    }
}

enum enum_field_types form_field_type(enum mysql_form form)
{
    switch (form) {
    case FORM_BOOL:
    case FORM_INTEGER:
    case FORM_BITS:
        return MYSQL_TYPE_LONGLONG;
    case FORM_FLOAT:
        return MYSQL_TYPE_FLOAT;
    case FORM_DOUBLE:
        return MYSQL_TYPE_DOUBLE;
    case FORM_DECIMAL:
    case FORM_MONEY:
        return MYSQL_TYPE_NEWDECIMAL;
    case FORM_DATE:
    case FORM_TIME:
    case FORM_TIMESTAMP:
    case FORM_TIMESTAMPTZ:
    case FORM_TEXT:
        return MYSQL_TYPE_STRING;
    case FORM_BYTES:
        return MYSQL_TYPE_LONG_BLOB;
    }
    BUG("unknown form");
}

bool form_is_text(enum mysql_form form)
{
    return form >= FORM_DECIMAL;
}

/* ---- values ---- */

static int not_a(struct err *err, const char *what)
{
    return err_set(err, ERR_PERMANENT, "the value is not %s", what);
}

static void set_null(struct cell *cell)
{
    cell->null = 1;
    cell->number.integer = 0;
    cell->data = NULL;
    cell->size = 0;
}

static void set_text(struct cell *cell, const char *data, size_t size)
{
    cell->data = data;
    cell->size = size;
}

static int set_bool(struct cell *cell, const struct value *v, struct err *err)
{
    bool b;
    if (!pg_text_bool(v, &b))
        return not_a(err, "a boolean");
    cell->number.integer = b;
    return 0;
}

static int set_integer(struct cell *cell, const struct value *v, struct err *err)
{
    return value_to_int64(v, &cell->number.integer) ? 0 : not_a(err, "an integer of 64 bits");
}

static int set_bits(struct cell *cell, const struct value *v, struct err *err)
{
    uint64_t n = 0;
    if (v->size > BIT_MAX)
        return not_a(err, "a bit string of at most 64 bits");
    for (uint32_t i = 0; i < v->size; i++) {
        if (v->data[i] != '0' && v->data[i] != '1')
            return not_a(err, "a bit string");
        n = n << 1 | (uint64_t)(v->data[i] == '1');
    }
    cell->number.integer = (int64_t)n;
    return 0;
}

/* A value that MySQL does not have: -1: an error; 0: the cell is NULL; 1: it is to be the extreme.
 */
static int instead(struct cell *cell, enum dest_beyond beyond)
{
    if (beyond == DEST_BEYOND_NULL)
        set_null(cell);
    return beyond == DEST_BEYOND_STOP ? -1 : beyond == DEST_BEYOND_EXTREME;
}

static int set_real(struct cell *cell, enum mysql_form form, const struct value *v,
                    const struct value_policy *policy, struct err *err)
{
    double d;
    if (!pg_text_real(v, form == FORM_FLOAT, &d))
        return not_a(err, "a floating-point number");
    if (isnan(d))
        return instead(cell, policy_nan(policy, err));
    if (isinf(d)) {
        int rc = instead(cell, policy_infinity(policy, err));
        if (rc <= 0)
            return rc;
        d = copysign(form == FORM_FLOAT ? (double)FLT_MAX : DBL_MAX, d);
    }
    if (form == FORM_FLOAT)
        cell->number.single = (float)d;
    else
        cell->number.real = d;
    return 0;
}

static int set_decimal(struct cell *cell, const struct value *v, const struct value_policy *policy,
                       struct err *err)
{
    if (pg_text_is(v, "NaN"))
        return instead(cell, policy_nan(policy, err));
    if (!pg_text_decimal(v))
        return not_a(err, "a decimal number");
    set_text(cell, v->data, v->size);
    return 0;
}

static int set_money(struct cell *cell, const struct value *v, struct err *err)
{
    size_t size;
    if (!pg_text_money(v, cell->own, &size))
        return not_a(err, "an amount of money under lc_monetary = C");
    set_text(cell, cell->own, size);
    return 0;
}

static int set_extreme_date(struct cell *cell, enum mysql_form form, bool before)
{
    const char *text = form == FORM_DATE ? before ? "1000-01-01" : "9999-12-31"
                       : before          ? "1000-01-01 00:00:00"
                                         : "9999-12-31 23:59:59.999999";
    set_text(cell, text, strlen(text));
    return 0;
}

static int set_date(struct cell *cell, enum mysql_form form, const struct value *v,
                    const struct value_policy *policy, struct err *err)
{
    unsigned int year = 0;
    size_t size = v->size;
    enum pg_date date = pg_text_date(v, &year);
    bool before = date != PG_DATE_BEYOND;
    int rc;
    switch (date) {
    case PG_DATE_NONE:
        return not_a(err, "a date");
    case PG_DATE_INFINITY:
    case PG_DATE_MINUS_INFINITY:
        rc = instead(cell, policy_infinity(policy, err));
        return rc <= 0 ? rc : set_extreme_date(cell, form, date == PG_DATE_MINUS_INFINITY);
    case PG_DATE_YEAR:
        if (year >= FIRST_YEAR)
            break;
        /* FALLTHROUGH */
    case PG_DATE_BC:
    case PG_DATE_BEYOND:
        rc = instead(cell, policy_date(policy,
                                       before ? "before 1000, outside the years 1000 to 9999"
                                              : "after 9999, outside the years 1000 to 9999",
                                       err));
        return rc <= 0 ? rc : set_extreme_date(cell, form, before);
    }
    if (form == FORM_TIMESTAMPTZ) {
        if (!pg_text_ends(v, "+00"))
            return not_a(err, "a timestamp with time zone in UTC");
        size -= 3;
    }
    set_text(cell, v->data, size);
    return 0;
}

int cell_set(struct cell *cell, enum mysql_form form, const struct value *v,
             const struct value_policy *policy, struct err *err)
{
    cell->null = 0;
    switch (v->kind) {
    case VALUE_NULL:
        set_null(cell);
        return 0;
    case VALUE_UNCHANGED:
        return err_set(err, ERR_PERMANENT, "the value was not sent (an unchanged TOASTed value)");
    case VALUE_BYTES:
        if (form != FORM_BYTES)
            return not_a(err, "text, as its type says it is");
        set_text(cell, v->data, v->size);
        return 0;
    case VALUE_TEXT:
        break;
    }
    switch (form) {
    case FORM_BOOL:
        return set_bool(cell, v, err);
    case FORM_INTEGER:
        return set_integer(cell, v, err);
    case FORM_BITS:
        return set_bits(cell, v, err);
    case FORM_FLOAT:
    case FORM_DOUBLE:
        return set_real(cell, form, v, policy, err);
    case FORM_DECIMAL:
        return set_decimal(cell, v, policy, err);
    case FORM_MONEY:
        return set_money(cell, v, err);
    case FORM_DATE:
    case FORM_TIMESTAMP:
    case FORM_TIMESTAMPTZ:
        return set_date(cell, form, v, policy, err);
    case FORM_TIME:
    case FORM_TEXT:
        set_text(cell, v->data, v->size);
        return 0;
    case FORM_BYTES:
        return not_a(err, "bytes, as its type says it is");
    }
    BUG("unknown form");
}

static void append_hex(struct buf *out, const char *data, size_t size)
{
    static const char digits[] = "0123456789ABCDEF";
    buf_append_str(out, "X'");
    for (size_t i = 0; i < size; i++) {
        buf_append_byte(out, (uint8_t)digits[(unsigned char)data[i] >> 4]);
        buf_append_byte(out, (uint8_t)digits[(unsigned char)data[i] & 15]);
    }
    buf_append_byte(out, '\'');
}

/* The session's sql_mode lets a backslash escape. */
static void append_quoted(struct buf *out, const char *data, size_t size)
{
    buf_append_byte(out, '\'');
    for (size_t i = 0; i < size; i++) {
        if (data[i] == '\'' || data[i] == '\\')
            buf_append_byte(out, (uint8_t)data[i]);
        buf_append_byte(out, (uint8_t)data[i]);
    }
    buf_append_byte(out, '\'');
}

void cell_literal(const struct cell *cell, enum mysql_form form, struct buf *out)
{
    switch (form) {
    case FORM_BOOL:
    case FORM_INTEGER:
        buf_printf(out, "%" PRId64, cell->number.integer);
        return;
    case FORM_BITS:
        buf_append_str(out, "b'");
        for (int i = BIT_MAX - 1; i >= 0; i--)
            buf_append_byte(out, (uint8_t)('0' + ((uint64_t)cell->number.integer >> i & 1)));
        buf_append_byte(out, '\'');
        return;
    case FORM_FLOAT:
        buf_printf(out, "%.9g", (double)cell->number.single);
        return;
    case FORM_DOUBLE:
        buf_printf(out, "%.17g", cell->number.real);
        return;
    case FORM_DECIMAL:
    case FORM_MONEY:
        buf_append(out, cell->data, cell->size); /* digits, a sign, a point: checked */
        return;
    case FORM_DATE:
    case FORM_TIME:
    case FORM_TIMESTAMP:
    case FORM_TIMESTAMPTZ:
        append_quoted(out, cell->data, cell->size);
        return;
    case FORM_TEXT:
        /* In parentheses: MySQL gives LONGTEXT an expression as its default only. Not in
         * hexadecimal: MariaDB 10.11 keeps that as text and trips over a quote in it. */
        buf_append_byte(out, '(');
        append_quoted(out, cell->data, cell->size);
        buf_append_byte(out, ')');
        return;
    case FORM_BYTES:
        buf_append_byte(out, '(');
        append_hex(out, cell->data, cell->size);
        buf_append_byte(out, ')');
        return;
    }
    BUG("unknown form");
}

/* ---- column declarations ---- */

/* Text and bytes have a length to be chosen; everything else has its size. */
static bool is_variable(const struct column *c)
{
    enum mysql_form form = form_of(c);
    return (form == FORM_TEXT && c->base_type_oid != PG_TYPE_UUID) || form == FORM_BYTES;
}

static uint32_t unit_bytes(const struct column *c)
{
    return form_of(c) == FORM_BYTES ? 1 : CHARACTER_BYTES;
}

/* An upper bound of what a column takes in a row or an index; variable ones aside. */
static uint32_t fixed_bytes(const struct column *c)
{
    return c->base_type_oid == PG_TYPE_UUID ? 37 : form_of(c) == FORM_DECIMAL ? 31 : 9;
}

static struct key_column in_index(const struct column *c)
{
    return (struct key_column){is_variable(c), fixed_bytes(c), unit_bytes(c),
                               pg_type_characters(c)};
}

static const struct key_rules index_rules = {INDEX_BYTES, 3, in_index};

/* The characters of VARCHAR for a variable column; 0: LONGTEXT or LONGBLOB. */
static uint32_t variable_length(const struct relation *rel, uint32_t column)
{
    uint32_t length = key_length(rel, column, &index_rules);
    if (length)
        return length;
    /* Those before it come first; what an index needs is counted for all. */
    uint64_t used = ROW_BYTES_RESERVED;
    for (uint32_t i = 0; i < rel->ncolumns; i++) {
        const struct column *c = &rel->columns[i];
        uint64_t bytes = is_variable(c) ? 12 : fixed_bytes(c); /* of LONGTEXT a pointer */
        uint32_t indexed = key_length(rel, i, &index_rules);
        uint32_t most = pg_type_characters(c);
        if (indexed)
            bytes = (uint64_t)indexed * unit_bytes(c) + 2;
        else if (is_variable(c) && most) {
            uint64_t whole = (uint64_t)most * unit_bytes(c) + 2;
            if (i == column)
                return used + whole <= ROW_BYTES ? most : 0;
            if (i < column && used + whole <= ROW_BYTES)
                bytes = whole;
        }
        used += bytes;
    }
    return 0;
}

static const char *fixed_type(const struct column *c)
{
    switch (c->base_type_oid) {
    case PG_TYPE_BOOL:
        return "TINYINT(1)";
    case PG_TYPE_INT2:
        return "SMALLINT";
    case PG_TYPE_INT4:
        return "INT";
    case PG_TYPE_INT8:
        return "BIGINT";
    case PG_TYPE_OID:
        return "INT UNSIGNED";
    case PG_TYPE_FLOAT4:
        return "FLOAT";
    case PG_TYPE_FLOAT8:
        return "DOUBLE";
    case PG_TYPE_MONEY:
        return "DECIMAL(19,2)";
    case PG_TYPE_DATE:
        return "DATE";
    case PG_TYPE_TIME:
        return "TIME(6)";
    case PG_TYPE_TIMESTAMP:
    case PG_TYPE_TIMESTAMPTZ:
        return "DATETIME(6)";
    case PG_TYPE_UUID:
        return "CHAR(36) CHARACTER SET ascii COLLATE ascii_bin";
    default:
        return NULL;
    }
}

void type_declare(const struct relation *rel, uint32_t column, const char *collation,
                  struct buf *out)
{
    const struct column *c = &rel->columns[column];
    unsigned int precision, scale;
    const char *fixed = fixed_type(c);
    if (fixed) {
        buf_append_str(out, fixed);
        return;
    }
    enum mysql_form form = form_of(c);
    if (form == FORM_DECIMAL && type_decimal(c->typmod, &precision, &scale)) {
        buf_printf(out, "DECIMAL(%u,%u)", precision, scale);
        return;
    }
    if (form == FORM_BITS) {
        buf_printf(out, "BIT(%" PRId32 ")", c->typmod);
        return;
    }
    uint32_t length = variable_length(rel, column);
    if (form == FORM_BYTES) {
        if (length)
            buf_printf(out, "VARBINARY(%" PRIu32 ")", length);
        else
            buf_append_str(out, "LONGBLOB");
        return;
    }
    if (length)
        buf_printf(out, "VARCHAR(%" PRIu32 ")", length);
    else
        buf_append_str(out, "LONGTEXT");
    buf_printf(out, " CHARACTER SET utf8mb4 COLLATE %s", collation);
}
