#include "sql/identity.h"

#include <stdlib.h>
#include <string.h>

int identity_init(struct identity *id, const struct relation *rel, struct err *err)
{
    *id = (struct identity){.by_all_columns =
                                rel->replica_identity == REPLICA_IDENTITY_FULL && rel->npk == 0};
    /* One more, because calloc(0) may be NULL. */
    id->columns = calloc((size_t)rel->ncolumns + 1, sizeof *id->columns);
    if (!id->columns)
        return err_nomem(err);
    if (rel->replica_identity == REPLICA_IDENTITY_FULL && rel->npk > 0) {
        for (uint32_t i = 0; i < rel->npk; i++)
            id->columns[id->n++] = rel->pk[i];
        return 0;
    }
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
