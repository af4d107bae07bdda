#include "sql/column_fit.h"

#include <strings.h>

#include "frames/pg_type.h"
#include "sql/pg_text.h"

bool fit_is_any(const char *type, const char *const *list)
{
    for (; *list; list++)
        if (strcasecmp(type, *list) == 0)
            return true;
    return false;
}

bool fit_decimal(const struct column *c, const struct described_column *there)
{
    unsigned int precision, scale;
    int64_t before = there->precision - there->scale;
    switch (c->base_type_oid) {
    case PG_TYPE_INT2:
        return before >= 5;
    case PG_TYPE_INT4:
    case PG_TYPE_OID:
        return before >= 10;
    case PG_TYPE_INT8:
        return before >= 19;
    case PG_TYPE_MONEY:
        return before >= 17 && there->scale >= 2;
    case PG_TYPE_NUMERIC:
        /* A scale that is too small would be rounded to, without a word. */
        return pg_numeric_size(c->typmod, &precision, &scale) && there->scale >= (int64_t)scale &&
               before >= (int64_t)(precision - scale);
    default:
        return false;
    }
}

/* PostgreSQL's default is the microsecond. */
bool fit_seconds(const struct column *c, int64_t decimals)
{
    return decimals >= (c->typmod >= 0 && c->typmod <= 6 ? c->typmod : 6);
}

int fit_refuse_type(const struct column *c, const char *type, const char *docs, struct err *err)
{
    (void)err_set(err, ERR_PERMANENT,
                  "column %s has the type %s in the target, which does not keep every value of %s "
                  "as it is",
                  c->name, type, *c->type_name ? c->type_name : "the source's type");
    return err_hint(err, "%s says which types do", docs);
}

int fit_refuse_collation(const struct column *c, const struct described_column *there,
                         const char *exact, struct err *err)
{
    (void)err_set(err, ERR_PERMANENT,
                  "column %s identifies rows, and its collation %s in the target takes values for "
                  "equal that differ at the source",
                  c->name, there->collation);
    return err_hint(err, "make it %s", exact);
}
