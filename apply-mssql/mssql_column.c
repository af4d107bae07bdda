#include "mssql_type.h"

#include <inttypes.h>
#include <string.h>
#include <strings.h>

#include "frames/pg_type.h"
#include "sql/column_fit.h"

static const char *const integers[] = {"tinyint", "smallint", "int", "bigint", NULL};
static const char *const decimals[] = {"decimal", "numeric", NULL};

static bool is(const struct described_column *there, const char *type)
{
    return strcasecmp(there->type, type) == 0;
}

static bool integer_keeps(const struct column *c, const struct described_column *there)
{
    switch (c->base_type_oid) {
    case PG_TYPE_BOOL:
        return true;
    case PG_TYPE_INT2:
        return !is(there, "tinyint"); /* which has no sign */
    case PG_TYPE_INT4:
        return is(there, "int") || is(there, "bigint");
    case PG_TYPE_INT8:
    case PG_TYPE_OID:
        return is(there, "bigint");
    default:
        return false;
    }
}

/* One target type each: whether it keeps the source's type. */
static bool keeps(const struct column *c, const struct described_column *there, int *form)
{
    enum source_form own = mssql_form_of(c);
    *form = own;
    if (is(there, "bit"))
        return own == FORM_BOOL;
    if (fit_is_any(there->type, integers))
        return integer_keeps(c, there);
    if (fit_is_any(there->type, decimals))
        return fit_decimal(c, there);
    if (is(there, "money"))
        return own == FORM_MONEY;
    if (is(there, "real"))
        return own == FORM_SINGLE;
    if (is(there, "float"))
        return own == FORM_SINGLE || own == FORM_DOUBLE;
    if (is(there, "date"))
        return own == FORM_DATE;
    if (is(there, "time"))
        return own == FORM_TIME && fit_seconds(c, there->scale);
    if (is(there, "datetime2"))
        return own == FORM_TIMESTAMP && fit_seconds(c, there->scale);
    if (is(there, "datetimeoffset"))
        return own == FORM_TIMESTAMPTZ && fit_seconds(c, there->scale);
    if (is(there, "uniqueidentifier"))
        return own == FORM_UUID;
    if (is(there, "varbinary"))
        return own == FORM_BYTES;
    *form = FORM_TEXT;
    return is(there, "nvarchar") && own != FORM_BYTES;
}

static bool is_exact(const char *collation)
{
    static const char end[] = "_BIN2";
    size_t n = strlen(collation), m = sizeof end - 1;
    return n >= m && strcasecmp(collation + n - m, end) == 0;
}

/* Whether no value is too large for a column that keeps them. */
static bool holds(const struct column *c, const struct described_column *there)
{
    uint32_t most = mssql_units(c), room = mssql_column_units(there);
    if (fit_is_any(there->type, decimals) && c->base_type_oid == PG_TYPE_NUMERIC)
        return c->typmod >= 0;
    return room == 0 || (most && room >= most);
}

int mssql_fit(struct driver *d, const struct column *c, const struct described_column *there,
              bool identity, struct fit *fit, struct err *err)
{
    (void)d;
    if (*there->extra)
        return err_set(err, ERR_PERMANENT, "column %s is %s in the target", c->name, there->extra);
    if (there->generated)
        return err_set(err, ERR_PERMANENT, "column %s gets its values from the target itself",
                       c->name);
    if (!keeps(c, there, &fit->form))
        return fit_refuse_type(c, there->type, "docs/MSSQL.md", err);
    if (identity && fit->form == FORM_TEXT && !is_exact(there->collation))
        return fit_refuse_collation(c, there, MSSQL_COLLATION, err);
    fit->holds = holds(c, there);
    fit->alone = there->autonumber; /* it goes and comes again */
    return 0;
}

uint32_t mssql_column_units(const struct described_column *there)
{
    if (there->length < 0)
        return 0;
    return is(there, "nvarchar")    ? (uint32_t)there->length / 2
           : is(there, "varbinary") ? (uint32_t)there->length
                                    : 0;
}

void mssql_column_declare(const struct described_column *there, enum mssql_rows rows,
                          enum source_form form, bool key, struct buf *out)
{
    if (form == FORM_BYTES) {
        buf_append_str(out, rows == ROWS_JSON ? "varchar(max)" : "varbinary(max)");
        return;
    }
    if (form == FORM_TEXT) {
        /* Longer than any index, shorter than what keeps an index from being used. */
        if (key && there->length >= 0)
            buf_printf(out, "nvarchar(%d)", MSSQL_NVARCHAR_UNITS);
        else
            buf_append_str(out, "nvarchar(max)");
        return;
    }
    buf_append_str(out, there->type);
    if (form == FORM_TIME || form == FORM_TIMESTAMP || form == FORM_TIMESTAMPTZ)
        buf_printf(out, "(%" PRId64 ")", there->scale);
    else if (fit_is_any(there->type, decimals))
        buf_printf(out, "(%" PRId64 ",%" PRId64 ")", there->precision, there->scale);
    else if (is(there, "float"))
        buf_append_str(out, "(53)");
}
