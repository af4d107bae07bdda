#include "mysql_type.h"

#include <inttypes.h>
#include <string.h>

#include "frames/pg_type.h"
#include "sql/key_size.h"
#include "sql/source_value.h"
#include "sql/text.h"

#define DECIMAL_PRECISION  65
#define DECIMAL_SCALE      30
#define BIT_MAX            64
#define INDEX_BYTES        3072
#define ROW_BYTES          65535
#define ROW_BYTES_RESERVED 4096 /* for null flags, and for columns that come later */
#define CHARACTER_BYTES    4    /* utf8mb4 */

/* ---- types ---- */

/* What a type is stored as; `declared` NULL: it has sizes of its own. Other types are text. */
static const struct type {
    uint32_t oid;
    enum my_form form;
    const char *declared;
} types[] = {
    {PG_TYPE_BOOL, FORM_BOOL, "TINYINT(1)"},
    {PG_TYPE_INT2, FORM_INTEGER, "SMALLINT"},
    {PG_TYPE_INT4, FORM_INTEGER, "INT"},
    {PG_TYPE_INT8, FORM_INTEGER, "BIGINT"},
    {PG_TYPE_OID, FORM_INTEGER, "INT UNSIGNED"},
    {PG_TYPE_FLOAT4, FORM_FLOAT, "FLOAT"},
    {PG_TYPE_FLOAT8, FORM_DOUBLE, "DOUBLE"},
    {PG_TYPE_NUMERIC, FORM_DECIMAL, NULL},
    {PG_TYPE_MONEY, FORM_MONEY, "DECIMAL(19,2)"},
    {PG_TYPE_BIT, FORM_BITS, NULL},
    {PG_TYPE_DATE, FORM_DATE, "DATE"},
    {PG_TYPE_TIME, FORM_TIME, "TIME(6)"},
    {PG_TYPE_TIMESTAMP, FORM_TIMESTAMP, "DATETIME(6)"},
    {PG_TYPE_TIMESTAMPTZ, FORM_TIMESTAMPTZ, "DATETIME(6)"},
    {PG_TYPE_UUID, FORM_TEXT, "CHAR(36) CHARACTER SET ascii COLLATE ascii_bin"},
    {PG_TYPE_BYTEA, FORM_BYTES, NULL},
};

static const struct type *type_of(const struct column *c)
{
    static const struct type text = {0, FORM_TEXT, NULL};
    for (size_t i = 0; i < sizeof types / sizeof *types; i++)
        if (types[i].oid == c->base_type_oid)
            return &types[i];
    return &text;
}

/* Of numeric without a limit DECIMAL keeps 35 digits before the point and 30 after it, and rounds
 * or refuses what has more. Text keeps every digit, NaN and infinity. */
static bool is_decimal(const struct column *c, unsigned int *precision, unsigned int *scale)
{
    return pg_numeric_size(c->typmod, precision, scale) && *precision <= DECIMAL_PRECISION &&
           *scale <= DECIMAL_SCALE;
}

enum my_form my_form_of(const struct column *c)
{
    enum my_form form = type_of(c)->form;
    unsigned int precision, scale;
    if ((form == FORM_DECIMAL && !is_decimal(c, &precision, &scale)) ||
        (form == FORM_BITS && (c->typmod < 1 || c->typmod > BIT_MAX)))
        return FORM_TEXT;
    return form;
}

/* ---- values ---- */

static const struct year_range years = {
    .first = 1000,
    .before = "before 1000, outside the years 1000 to 9999",
    .after = "after 9999, outside the years 1000 to 9999",
};

static void set_text(struct cell *cell, const char *data, size_t size)
{
    cell->value.data = data;
    cell->size = size;
}

static enum reading set_bits(struct cell *cell, const struct value *v, struct err *err)
{
    uint64_t n = 0;
    if (v->size > BIT_MAX)
        return read_refuse("a bit string of at most 64 bits", err);
    for (uint32_t i = 0; i < v->size; i++) {
        if (v->data[i] != '0' && v->data[i] != '1')
            return read_refuse("a bit string", err);
        n = n << 1 | (uint64_t)(v->data[i] == '1');
    }
    cell->value.integer = (int64_t)n;
    return READ_VALUE;
}

static enum reading set_moment(struct cell *cell, enum my_form form, const struct value *v,
                               const struct value_policy *policy, struct err *err)
{
    size_t size;
    enum reading reading = read_moment(v, form == FORM_TIMESTAMPTZ, &years, policy, &size, err);
    const char *text = v->data;
    if (reading == READ_FIRST || reading == READ_LAST) {
        text = reading == READ_FIRST ? "1000-01-01 00:00:00" : "9999-12-31 23:59:59.999999";
        size = form == FORM_DATE ? 10 : strlen(text);
    }
    set_text(cell, text, size);
    return reading;
}

/* Sets a value that is there, and of the right kind. */
static enum reading set_value(struct cell *cell, enum my_form form, const struct value *v,
                              const struct value_policy *policy, char *room, struct err *err)
{
    enum reading reading;
    size_t size = 0;
    bool b = false;
    switch (form) {
    case FORM_BOOL:
        reading = read_bool(v, &b, err);
        cell->value.integer = b;
        return reading;
    case FORM_INTEGER:
        return read_integer(v, &cell->value.integer, err);
    case FORM_BITS:
        return set_bits(cell, v, err);
    case FORM_FLOAT:
    case FORM_DOUBLE:
        return read_real(v, form == FORM_FLOAT, policy, &cell->value.real, err);
    case FORM_DECIMAL:
        set_text(cell, v->data, v->size);
        return read_decimal(v, policy, err);
    case FORM_MONEY:
        reading = read_money(v, room, &size, err);
        set_text(cell, room, size);
        return reading;
    case FORM_DATE:
    case FORM_TIMESTAMP:
    case FORM_TIMESTAMPTZ:
        return set_moment(cell, form, v, policy, err);
    case FORM_TIME:
    case FORM_TEXT:
    case FORM_BYTES:
        set_text(cell, v->data, v->size);
        return READ_VALUE;
    }
    BUG("unknown form");
}

int my_cell_set(struct cell *cell, enum my_form form, const struct value *v,
                const struct value_policy *policy, char room[PG_MONEY_SIZE], struct err *err)
{
    enum reading reading = read_kind(v, form == FORM_BYTES, err);
    cell->size = 0;
    if (reading == READ_VALUE)
        reading = set_value(cell, form, v, policy, room, err);
    cell->null = 0;
    if (reading != READ_NULL)
        return reading == READ_FAILED ? -1 : 0;
    cell->null = 1;
    if (my_form_is_text(form))
        set_text(cell, "", 0);
    else
        cell->value.integer = 0;
    return 0;
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

/* Text and bytes in parentheses: MySQL gives LONGTEXT an expression as its default only. Text not
 * in hexadecimal: MariaDB 10.11 keeps that as text and trips over a quote in it. */
void my_cell_literal(const struct cell *cell, enum my_form form, struct buf *out)
{
    bool expression = form == FORM_TEXT || form == FORM_BYTES;
    buf_append_str(out, expression ? "(" : "");
    switch (form) {
    case FORM_BOOL:
    case FORM_INTEGER:
        buf_printf(out, "%" PRId64, cell->value.integer);
        break;
    case FORM_BITS:
        buf_append_str(out, "b'");
        for (int i = BIT_MAX - 1; i >= 0; i--)
            buf_append_byte(out, (uint8_t)('0' + ((uint64_t)cell->value.integer >> i & 1)));
        buf_append_byte(out, '\'');
        break;
    case FORM_FLOAT:
    case FORM_DOUBLE:
        buf_printf(out, "%.*g", form == FORM_FLOAT ? 9 : 17, cell->value.real);
        break;
    case FORM_DECIMAL:
    case FORM_MONEY:
        buf_append(out, cell->value.data, cell->size); /* digits, a sign, a point: checked */
        break;
    case FORM_DATE:
    case FORM_TIME:
    case FORM_TIMESTAMP:
    case FORM_TIMESTAMPTZ:
    case FORM_TEXT:
        append_quoted(out, cell->value.data, cell->size);
        break;
    case FORM_BYTES:
        buf_append_str(out, "X'");
        text_hex(out, cell->value.data, cell->size);
        buf_append_byte(out, '\'');
        break;
    }
    buf_append_str(out, expression ? ")" : "");
}

/* ---- column declarations ---- */

/* What a column takes in a row or an index: text and bytes have a length to be chosen. */
static struct key_column size_of(const struct column *c)
{
    enum my_form form = my_form_of(c);
    bool uuid = c->base_type_oid == PG_TYPE_UUID;
    return (struct key_column){
        .variable = form == FORM_BYTES || (form == FORM_TEXT && !uuid),
        .fixed_bytes = uuid                   ? 37
                       : form == FORM_DECIMAL ? 31
                                              : 9,
        .unit_bytes = form == FORM_BYTES ? 1 : CHARACTER_BYTES,
        .most_units = pg_type_characters(c),
    };
}

static const struct key_rules index_rules = {INDEX_BYTES, 3, size_of};

/* The characters of VARCHAR for a variable column; 0: LONGTEXT or LONGBLOB. */
static uint32_t variable_length(const struct relation *rel, uint32_t column)
{
    uint32_t length = key_length(rel, column, &index_rules);
    if (length)
        return length;
    /* Those before it come first; what an index needs is counted for all. */
    uint64_t used = ROW_BYTES_RESERVED;
    for (uint32_t i = 0; i < rel->ncolumns; i++) {
        const struct key_column k = size_of(&rel->columns[i]);
        uint64_t bytes = k.variable ? 12 : k.fixed_bytes; /* of LONGTEXT a pointer */
        uint64_t whole = (uint64_t)k.most_units * k.unit_bytes + 2;
        uint32_t indexed = key_length(rel, i, &index_rules);
        if (indexed)
            bytes = (uint64_t)indexed * k.unit_bytes + 2;
        else if (k.variable && k.most_units) {
            if (i == column)
                return used + whole <= ROW_BYTES ? k.most_units : 0;
            if (i < column && used + whole <= ROW_BYTES)
                bytes = whole;
        }
        used += bytes;
    }
    return 0;
}

void my_append_type(const struct relation *rel, uint32_t column, const char *collation,
                    struct buf *out)
{
    const struct column *c = &rel->columns[column];
    const char *declared = type_of(c)->declared;
    enum my_form form = my_form_of(c);
    unsigned int precision, scale;
    if (declared) {
        buf_append_str(out, declared);
    } else if (form == FORM_DECIMAL && is_decimal(c, &precision, &scale)) {
        buf_printf(out, "DECIMAL(%u,%u)", precision, scale);
    } else if (form == FORM_BITS) {
        buf_printf(out, "BIT(%" PRId32 ")", c->typmod);
    } else {
        const char *words[] = {"VARCHAR", "LONGTEXT", "VARBINARY", "LONGBLOB"};
        uint32_t length = variable_length(rel, column);
        buf_append_str(out, words[2 * (form == FORM_BYTES) + !length]);
        if (length)
            buf_printf(out, "(%" PRIu32 ")", length);
        if (form == FORM_TEXT)
            buf_printf(out, " CHARACTER SET utf8mb4 COLLATE %s", collation);
    }
}
