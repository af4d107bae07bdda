#include "mssql_type.h"

#include <inttypes.h>
#include <stdio.h>

#include "base/utf8.h"
#include "frames/pg_type.h"
#include "sql/key_size.h"
#include "sql/text.h"

#define CLUSTERED_BYTES    900
#define NONCLUSTERED_BYTES 1700
#define REAL_DIGITS        17 /* enough for a double and back */
#define NUMBER_SIZE        64

/* ---- types ---- */

static const struct target_types types = {
    .names = {"bit", "bigint", NULL, "real", "float(53)", "decimal", "decimal(19,2)", "date",
              "time(6)", "datetime2(6)", "datetimeoffset(6)", "uniqueidentifier"},
    .int2 = "smallint",
    .int4 = "int",
    .oid = "bigint",
    .precision = 38,
    .scale = 38,
    .first_year = 1,
    .before = "BC",
};

enum source_form mssql_form_of(const struct column *c)
{
    return source_form(c, &types);
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
    (void)d;
    *caveat = policy_caveat(
        c,
        "dates outside the years 1 to 9999 and infinity stop the applier unless --date-range and "
        "--infinity say what to store");
    if (source_declare(c, &types, out))
        return;
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
    return c == '\\' || (rows == ROWS_JSON ? c < 0x20 || c == '"' : c == '\'');
}

/*
 * A backslash at the end of a line is taken out of a string, and the end of the line with it: LF,
 * or CR and LF ("Backslash (Line Continuation)"). One more of both stands for them.
 */
void mssql_escape(struct buf *out, const char *p, const char *end)
{
    size_t left = (size_t)(end - p) - 1;
    buf_append_byte(out, (uint8_t)*p);
    if (*p == '\'')
        buf_append_byte(out, '\'');
    else if (left >= 1 && p[1] == '\n')
        buf_append(out, "\\\n", 2);
    else if (left >= 2 && p[1] == '\r' && p[2] == '\n')
        buf_append(out, "\\\r\n", 3);
}

static void append_special(struct buf *out, const unsigned char *p, const unsigned char *end,
                           enum mssql_rows rows)
{
    unsigned char c = *p;
    if (rows == ROWS_VALUES)
        mssql_escape(out, (const char *)p, (const char *)end);
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
static int append_text(struct buf *out, enum mssql_rows rows, const struct value *v,
                       uint64_t *units, struct err *err)
{
    const unsigned char *p = (const unsigned char *)v->data, *end = p + v->size, *from = p;
    size_t more = 0; /* bytes than units */
    open_quote(out, rows);
    while (p < end) {
        if (*p < 0x80) {
            if (is_special(*p, rows)) {
                buf_append(out, from, (size_t)(p - from));
                append_special(out, p, end, rows);
                from = p + 1;
            }
            p++;
            continue;
        }
        size_t n = utf8_character(p, end);
        if (n == 0)
            return read_refuse("UTF-8 text", err);
        more += n - (n == 4 ? 2 : 1);
        p += n;
    }
    buf_append(out, from, (size_t)(p - from));
    close_quote(out, rows);
    *units += v->size - more;
    return 0;
}

static void append_bytes(struct buf *out, enum mssql_rows rows, const struct value *v)
{
    buf_append_str(out, rows == ROWS_JSON ? "\"" : "0x");
    text_hex(out, v->data, v->size);
    buf_append_str(out, rows == ROWS_JSON ? "\"" : "");
}

/* A column of literals that are all NULL would be one of int, which is not converted to everything.
 */
static void append_null(struct buf *out, enum mssql_rows rows, enum source_form form)
{
    buf_append_str(out, rows == ROWS_JSON                           ? "null"
                        : form == FORM_BOOL || form == FORM_INTEGER ? "NULL"
                        : form == FORM_BYTES                        ? "CONVERT(varbinary(1), NULL)"
                                                                    : "CONVERT(nvarchar(1), NULL)");
}

static void append_quoted(struct buf *out, enum mssql_rows rows, const char *text, size_t size,
                          const char *end)
{
    open_quote(out, rows);
    buf_append(out, text, size);
    buf_append_str(out, end);
    close_quote(out, rows);
}

/* Its text, where it is written in the one way that JSON takes; most are. */
static void append_integer(struct buf *out, const struct value *v, int64_t n)
{
    if (*v->data >= '1')
        buf_append(out, v->data, v->size);
    else
        buf_printf(out, "%" PRId64, n);
}

static void append_real(struct buf *out, enum mssql_rows rows, double real)
{
    char number[NUMBER_SIZE];
    int size = snprintf(number, sizeof number, "%.*e", REAL_DIGITS - 1, real);
    append_quoted(out, rows, number, (size_t)size, "");
}

int mssql_append_value(struct buf *out, enum mssql_rows rows, enum source_form form,
                       const struct value *v, const struct value_policy *policy, uint64_t *units,
                       struct err *err)
{
    char room[PG_MONEY_SIZE];
    struct source_cell cell;
    if (source_read(&cell, form, v, &types, policy, room, err))
        return -1;
    if (cell.null)
        append_null(out, rows, form);
    else if (form == FORM_TEXT)
        return append_text(out, rows, v, units, err);
    else if (form == FORM_BYTES)
        append_bytes(out, rows, v);
    else if (form == FORM_BOOL)
        buf_append_byte(out, cell.value.integer ? '1' : '0');
    else if (form == FORM_INTEGER)
        append_integer(out, v, cell.value.integer);
    else if (source_form_is_number(form))
        append_real(out, rows, cell.value.real);
    else
        append_quoted(out, rows, cell.value.text, cell.size,
                      form == FORM_TIMESTAMPTZ ? " +00:00" : "");
    return 0;
}

void mssql_stored(struct stored *out, enum source_form form, const struct value *v,
                  const struct value_policy *policy, char room[STORED_ROOM])
{
    source_stored(out, form, v, &types, policy, room);
}
