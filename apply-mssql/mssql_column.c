#include "mssql_column.h"

#include <inttypes.h>
#include <string.h>
#include <strings.h>

#include "frames/pg_type.h"
#include "sql/pg_text.h"

#define NVARCHAR_UNITS 4000

static bool is(const struct target_column *t, const char *type)
{
    return strcasecmp(t->type, type) == 0;
}

static bool is_any(const struct target_column *t, const char *const *list)
{
    for (; *list; list++)
        if (is(t, *list))
            return true;
    return false;
}

static const char *const integers[] = {"tinyint", "smallint", "int", "bigint", NULL};
static const char *const decimals[] = {"decimal", "numeric", NULL};

static bool ends_with(const char *text, const char *end)
{
    size_t n = strlen(text), m = strlen(end);
    return n >= m && strcasecmp(text + n - m, end) == 0;
}

/* ---- one target type each: whether it keeps the source's type ---- */

static bool integer_keeps(const struct column *c, const struct target_column *t)
{
    switch (c->base_type_oid) {
    case PG_TYPE_BOOL:
        return true;
    case PG_TYPE_INT2:
        return !is(t, "tinyint");
    case PG_TYPE_INT4:
        return is(t, "int") || is(t, "bigint");
    case PG_TYPE_INT8:
    case PG_TYPE_OID:
        return is(t, "bigint");
    default:
        return false;
    }
}

static bool decimal_keeps(const struct column *c, const struct target_column *t)
{
    unsigned int precision, scale;
    int64_t before = t->precision - t->scale;
    switch (c->base_type_oid) {
    case PG_TYPE_INT2:
        return before >= 5;
    case PG_TYPE_INT4:
    case PG_TYPE_OID:
        return before >= 10;
    case PG_TYPE_INT8:
        return before >= 19;
    case PG_TYPE_MONEY:
        return t->scale >= 2 && before >= 17;
    case PG_TYPE_NUMERIC:
        /* A scale that is too small would be rounded to, without a word. */
        return mssql_decimal(c->typmod, &precision, &scale) && t->scale >= (int64_t)scale &&
               before >= (int64_t)(precision - scale);
    default:
        return false;
    }
}

/* The precision of a time type's typmod; PostgreSQL's default is the microsecond. */
static bool digits_kept(const struct column *c, const struct target_column *t)
{
    int64_t digits = c->typmod >= 0 && c->typmod <= 6 ? c->typmod : 6;
    return t->scale >= digits;
}

static bool keeps(const struct column *c, const struct target_column *t, enum mssql_form *form)
{
    enum mssql_form own = mssql_form_of(c);
    *form = own;
    if (is(t, "bit"))
        return own == FORM_BIT;
    if (is_any(t, integers))
        return integer_keeps(c, t);
    if (is_any(t, decimals))
        return decimal_keeps(c, t);
    if (is(t, "money"))
        return own == FORM_MONEY;
    if (is(t, "real"))
        return own == FORM_REAL;
    if (is(t, "float"))
        return own == FORM_REAL || own == FORM_FLOAT;
    if (is(t, "date"))
        return own == FORM_DATE;
    if (is(t, "time"))
        return own == FORM_TIME && digits_kept(c, t);
    if (is(t, "datetime2"))
        return own == FORM_DATETIME && digits_kept(c, t);
    if (is(t, "datetimeoffset"))
        return own == FORM_DATETIMEOFFSET && digits_kept(c, t);
    if (is(t, "uniqueidentifier"))
        return own == FORM_UUID;
    if (is(t, "varbinary"))
        return own == FORM_BYTES;
    if (is(t, "nvarchar") && own != FORM_BYTES) {
        *form = FORM_TEXT;
        return true;
    }
    return false;
}

int mssql_column_check(const struct column *c, const struct target_column *t, bool key,
                       enum mssql_form *form, struct err *err)
{
    if (t->computed)
        return err_set(err, ERR_PERMANENT, "column %s is computed in the target", c->name);
    if (t->generated)
        return err_set(err, ERR_PERMANENT, "column %s gets its values from the target itself",
                       c->name);
    if (!keeps(c, t, form)) {
        (void)err_set(err, ERR_PERMANENT,
                      "column %s has the type %s in the target, which does not keep every value of "
                      "%s as it is",
                      c->name, t->type, *c->type_name ? c->type_name : "the source's type");
        return err_hint(err, "docs/MSSQL.md says which types do");
    }
    if (key && *form == FORM_TEXT && !ends_with(t->collation, "_BIN2")) {
        (void)err_set(err, ERR_PERMANENT,
                      "column %s identifies rows, and its collation %s in the target takes values "
                      "for equal that differ at the source",
                      c->name, t->collation);
        return err_hint(err, "make it " MSSQL_COLLATION);
    }
    return 0;
}

bool mssql_column_keeps_all(const struct column *c, const struct target_column *t)
{
    uint32_t most = mssql_units(c), there = mssql_column_units(t);
    if (is_any(t, decimals) && c->base_type_oid == PG_TYPE_NUMERIC)
        return c->typmod >= 0;
    if (!is(t, "nvarchar") && !is(t, "varbinary"))
        return true;
    return there == 0 || (most && there >= most);
}

uint32_t mssql_column_units(const struct target_column *t)
{
    if (t->bytes < 0)
        return 0;
    return is(t, "nvarchar") ? (uint32_t)t->bytes / 2 : is(t, "varbinary") ? (uint32_t)t->bytes : 0;
}

void mssql_column_declare(const struct target_column *t, enum mssql_rows rows, enum mssql_form form,
                          bool key, struct buf *out)
{
    switch (form) {
    case FORM_TEXT:
        /* Longer than any index, shorter than what keeps an index from being used. */
        if (key && t->bytes >= 0)
            buf_printf(out, "nvarchar(%d)", NVARCHAR_UNITS);
        else
            buf_append_str(out, "nvarchar(max)");
        return;
    case FORM_BYTES:
        buf_append_str(out, rows == ROWS_JSON ? "varchar(max)" : "varbinary(max)");
        return;
    case FORM_BIT:
    case FORM_INTEGER:
    case FORM_DECIMAL:
    case FORM_MONEY:
    case FORM_REAL:
    case FORM_FLOAT:
        break;
    case FORM_DATE:
    case FORM_TIME:
    case FORM_DATETIME:
    case FORM_DATETIMEOFFSET:
        buf_append_str(out, t->type);
        if (form != FORM_DATE)
            buf_printf(out, "(%" PRId64 ")", t->scale);
        return;
    case FORM_UUID:
        buf_append_str(out, t->type);
        return;
    }
    buf_append_str(out, t->type);
    if (is_any(t, decimals))
        buf_printf(out, "(%" PRId64 ",%" PRId64 ")", t->precision, t->scale);
    else if (is(t, "float"))
        buf_append_str(out, "(53)");
}
