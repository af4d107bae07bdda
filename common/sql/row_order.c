#include "sql/row_order.h"

#include "frames/pg_type.h"

/* Whether two values of a type are one, to the source or the target, only where PostgreSQL's text
 * of both is the same, but for padding. The text of a numeric without a scale, a float, an interval
 * or a citext is not the only one of its value. */
static bool has_one_text(const struct column *c, const struct driver_traits *traits)
{
    switch (c->base_type_oid) {
    case PG_TYPE_BOOL:
    case PG_TYPE_INT2:
    case PG_TYPE_INT4:
    case PG_TYPE_INT8:
    case PG_TYPE_OID:
    case PG_TYPE_UUID:
    case PG_TYPE_TEXT:
    case PG_TYPE_VARCHAR:
    case PG_TYPE_BPCHAR:
    case PG_TYPE_BYTEA:
        return true;
    case PG_TYPE_DATE:
    case PG_TYPE_TIMESTAMP:
    case PG_TYPE_TIMESTAMPTZ:
        return !traits->merges_times;
    default:
        return false;
    }
}

/* Whether the only unique index of the table is over its identity: all of it, and nothing else. */
static bool is_by_identity_alone(const struct target_table *t)
{
    if (t->there.rules.nunique != 1 || !t->unique || t->identity.by_all_columns)
        return false;
    for (size_t i = 0; i < t->nindexes; i++) {
        bool same = t->indexes[i].n == t->identity.n;
        for (uint32_t k = 0; same && k < t->indexes[i].n; k++)
            same = table_in_identity(t, t->indexes[i].columns[k]);
        if (same)
            return true;
    }
    return false;
}

enum row_order row_order(const struct target_table *t, const struct driver_traits *traits)
{
    const struct described_rules *rules = &t->there.rules;
    /* A column that the source lacks gets a value from the target, perhaps one that counts. */
    if (!rules->known || rules->acts || t->there.ncolumns != t->rel->ncolumns)
        return ORDER_OF_ALL;
    if (relation_has_partitions(t->rel) || !is_by_identity_alone(t))
        return ORDER_OF_TABLE;
    for (uint32_t i = 0; i < t->identity.n; i++)
        if (!has_one_text(&t->rel->columns[t->identity.columns[i]], traits))
            return ORDER_OF_TABLE;
    return ORDER_OF_KEY;
}

bool row_order_values_alone(const struct target_table *t)
{
    /* InnoDB keeps 40 bytes of a long value in the row's 8126, SQL Server 24 of its 8060, and the
     * key whole. */
    enum { MOST_COLUMNS = 100 };
    return t->ours && t->there.rules.known && !t->there.rules.checks &&
           t->rel->ncolumns <= MOST_COLUMNS;
}
