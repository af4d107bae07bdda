#include "mysql_type.h"

#include <inttypes.h>
#include <string.h>

#include "frames/pg_type.h"
#include "sql/key_size.h"
#include "sql/text.h"

#define BIT_MAX            64
#define INDEX_BYTES        3072
#define ROW_BYTES          65535
#define POINTER_BYTES      12   /* what a LONGTEXT takes of them */
#define ROW_BYTES_RESERVED 4096 /* for null flags, and for columns that come later */
#define CHARACTER_BYTES    4    /* utf8mb4 */

/* ---- types ---- */

/* A FLOAT would keep a float4, but clients are given six digits of it.
 *
 * Numeric without a limit would keep 35 digits before the point and 30 after it. */
const struct target_types my_types = {
    .names = {"TINYINT(1)", "BIGINT", "BIT", "DOUBLE", "DOUBLE", "DECIMAL", "DECIMAL(19,2)", "DATE",
              "TIME(6)", "DATETIME(6)", "DATETIME(6)",
              "CHAR(36) CHARACTER SET ascii COLLATE ascii_bin"},
    .int2 = "SMALLINT",
    .int4 = "INT",
    .oid = "INT UNSIGNED",
    .precision = 65,
    .scale = 30,
    .bits = BIT_MAX,
    .first_year = 1000,
    .before = "before 1000",
    .midnight = true,
};

/* A uuid is text that is declared in its own way; the text of a float4 is read as a double, so that
 * 0.1 is 0.1. */
enum source_form my_form_of(const struct column *c)
{
    enum source_form form = source_form(c, &my_types);
    return form == FORM_UUID ? FORM_TEXT : form == FORM_SINGLE ? FORM_DOUBLE : form;
}

/* ---- literals ---- */

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
void my_cell_literal(const struct source_cell *cell, enum source_form form, struct buf *out)
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
    case FORM_SINGLE:
    case FORM_DOUBLE:
        buf_printf(out, "%.*g", form == FORM_SINGLE ? 9 : 17, cell->value.real);
        break;
    case FORM_DECIMAL:
    case FORM_MONEY:
        buf_append(out, cell->value.text, cell->size); /* digits, a sign, a point: checked */
        break;
    case FORM_DATE:
    case FORM_TIME:
    case FORM_TIMESTAMP:
    case FORM_TIMESTAMPTZ:
    case FORM_UUID:
    case FORM_TEXT:
        append_quoted(out, cell->value.text, cell->size);
        break;
    case FORM_BYTES:
        text_bytes(out, cell->value.text, cell->size);
        break;
    }
    buf_append_str(out, expression ? ")" : "");
}

/* ---- column declarations ---- */

/* What a column takes in a row or an index: text and bytes have a length to be chosen. */
static struct key_column size_of(const struct column *c)
{
    enum source_form form = my_form_of(c);
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

/* What a variable column takes in a row where all it can hold is there. */
static uint64_t whole_bytes(const struct column *c)
{
    const struct key_column k = size_of(c);
    return (uint64_t)k.most_units * k.unit_bytes + 2;
}

/*
 * The characters of VARCHAR for a variable column; 0: LONGTEXT or LONGBLOB. What an index needs is
 * VARCHAR in any case, and of the others the shortest are, as many as a row has room for.
 */
static uint32_t variable_length(const struct relation *rel, uint32_t column, bool full)
{
    uint32_t length = key_length(rel, column, &index_rules);
    const uint32_t most = size_of(&rel->columns[column]).most_units;
    if (length || full || most == 0)
        return length;
    const uint64_t own = whole_bytes(&rel->columns[column]);
    uint64_t used = ROW_BYTES_RESERVED;
    for (uint32_t i = 0; i < rel->ncolumns; i++) {
        const struct key_column k = size_of(&rel->columns[i]);
        const uint64_t whole = whole_bytes(&rel->columns[i]);
        const uint32_t indexed = key_length(rel, i, &index_rules);
        const bool shorter = k.most_units && (whole < own || (whole == own && i <= column));
        used += indexed       ? (uint64_t)indexed * k.unit_bytes + 2
                : !k.variable ? k.fixed_bytes
                : shorter     ? whole
                              : POINTER_BYTES;
    }
    return used <= ROW_BYTES ? most : 0;
}

void my_append_type(const struct relation *rel, uint32_t column, const char *collation, bool full,
                    struct buf *out)
{
    const struct column *c = &rel->columns[column];
    if (source_declare(c, &my_types, out))
        return;
    bool bytes = my_form_of(c) == FORM_BYTES;
    const char *words[] = {"VARCHAR", "LONGTEXT", "VARBINARY", "LONGBLOB"};
    uint32_t length = variable_length(rel, column, full);
    buf_append_str(out, words[2 * bytes + !length]);
    if (length)
        buf_printf(out, "(%" PRIu32 ")", length);
    if (!bytes)
        buf_printf(out, " CHARACTER SET utf8mb4 COLLATE %s", collation);
}
