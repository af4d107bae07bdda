#include "sql/identity.h"

#include <stdlib.h>
#include <string.h>

int identity_of_columns(struct identity *id, const struct relation *rel, const uint32_t *columns,
                        uint32_t n, struct err *err)
{
    /* One more, because calloc(0) may be NULL. */
    *id = (struct identity){.columns = calloc((size_t)rel->ncolumns + 1, sizeof *id->columns)};
    if (!id->columns)
        return err_nomem(err);
    for (; id->n < n; id->n++)
        id->columns[id->n] = columns[id->n];
    return 0;
}

int identity_of_old(struct identity *id, const struct relation *rel, const struct value *old,
                    struct err *err)
{
    if (identity_of_columns(id, rel, NULL, 0, err))
        return -1;
    for (uint32_t i = 0; i < rel->ncolumns; i++)
        if (old[i].kind != VALUE_NULL)
            id->columns[id->n++] = i;
    id->by_all_columns = id->n == rel->ncolumns;
    return 0;
}

bool identity_same(const struct identity *a, const struct identity *b)
{
    return a->n == b->n && a->by_all_columns == b->by_all_columns &&
           (a->n == 0 || memcmp(a->columns, b->columns, a->n * sizeof *a->columns) == 0);
}

bool identity_is_in(const uint32_t *columns, uint32_t n, const struct value *values)
{
    for (uint32_t i = 0; i < n; i++)
        if (values[columns[i]].kind == VALUE_NULL)
            return false;
    return n > 0;
}

int identity_init(struct identity *id, const struct relation *rel, struct err *err)
{
    if (rel->replica_identity == REPLICA_IDENTITY_FULL && rel->npk > 0)
        return identity_of_columns(id, rel, rel->pk, rel->npk, err);
    if (identity_of_columns(id, rel, NULL, 0, err))
        return -1;
    id->by_all_columns = rel->replica_identity == REPLICA_IDENTITY_FULL;
    for (uint32_t i = 0; i < rel->ncolumns; i++)
        if (rel->columns[i].key || id->by_all_columns)
            id->columns[id->n++] = i;
    return 0;
}

void identity_free(struct identity *id)
{
    free(id->columns);
    *id = (struct identity){0};
}

int identity_require(const struct identity *id, struct err *err)
{
    if (id->n > 0 || id->by_all_columns) /* all rows of a table without columns are equal */
        return 0;
    (void)err_set(err, ERR_PERMANENT,
                  "the relation has no replica identity, so that its rows cannot be found");
    return err_hint(err, "ALTER TABLE … REPLICA IDENTITY FULL at the source");
}

const struct value *identity_of_row(const struct row_change *row)
{
    return row->old ? row->old : row->new;
}

static bool same_value(const struct value *a, const struct value *b)
{
    return a->kind == b->kind && a->size == b->size &&
           (a->size == 0 || memcmp(a->data, b->data, a->size) == 0);
}

bool identity_same_row(const struct identity *id, const struct value *a, const struct value *b)
{
    for (uint32_t i = 0; i < id->n; i++)
        if (!same_value(&a[id->columns[i]], &b[id->columns[i]]))
            return false;
    return true;
}

void identity_choose_columns(const struct identity *id, const struct relation *rel,
                             const struct row_change *row, uint8_t *flags)
{
    const struct value *was = identity_of_row(row);
    bool any = false;
    for (uint32_t i = 0; i < rel->ncolumns; i++)
        flags[i] = row->new[i].kind != VALUE_UNCHANGED;
    for (uint32_t i = 0; i < id->n && !id->by_all_columns; i++)
        if (same_value(&was[id->columns[i]], &row->new[id->columns[i]]))
            flags[id->columns[i]] = 0;
    for (uint32_t i = 0; i < rel->ncolumns; i++)
        any = any || flags[i];
    if (!any && id->n > 0)
        flags[id->columns[0]] = 1;
}
