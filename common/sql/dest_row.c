#include "sql/dest_row.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

/* What the functions below share. */
struct one_row {
    struct dest *d;
    struct dest_run *run;
    size_t i;
    const struct dest_row_ops *ops;
    const struct identity *identity;
    uint8_t *scratch;
};

static int only_one(uint64_t matched, struct err *err)
{
    if (matched <= 1)
        return 0;
    (void)err_set(err, ERR_PERMANENT, "%" PRIu64 " rows in the target have the same key", matched);
    return err_hint(err, "give the target table a primary key");
}

/* A unique index of the target refused the row. */
static int insert_exists(const struct one_row *r, const struct dest_row *row, struct err *err)
{
    enum dest_conflict_action action;
    uint64_t matched;
    if (dest_conflict(r->run, r->i, DEST_INSERT_EXISTS, &action, err))
        return -1;
    if (action == DEST_CONFLICT_SKIP)
        return 0;
    if (r->identity->n == 0 || r->identity->by_all_columns)
        return err_set(err, ERR_PERMANENT,
                       "the row is there under a key that the relation does not have");
    memset(r->scratch, 1, r->run->relation->ncolumns);
    if (r->ops->update(r->d, r->run, r->scratch, row, &matched, err) || only_one(matched, err))
        return -1;
    return matched == 1
               ? 0
               : err_set(err, ERR_PERMANENT, "another row has the same value in a unique column");
}

static int insert_row(const struct one_row *r, const struct dest_row *row, struct err *err)
{
    bool exists;
    if (r->ops->insert(r->d, r->run, row->new, &exists, err))
        return -1;
    return exists ? insert_exists(r, row, err) : 0;
}

struct value *dest_row_whole(const struct dest_run *run, const struct dest_row *row)
{
    uint32_t n = run->relation->ncolumns;
    struct value *whole = calloc((size_t)n + 1, sizeof *whole);
    for (uint32_t c = 0; whole && c < n; c++)
        whole[c] =
            row->new[c].kind == VALUE_UNCHANGED && row->old_kind == 'O' ? row->old[c] : row->new[c];
    return whole;
}

/* The row to update is missing: it is inserted, where all of it was sent. */
static int update_missing(const struct one_row *r, const struct dest_row *row, struct err *err)
{
    enum dest_conflict_action action;
    bool exists;
    if (dest_conflict(r->run, r->i, DEST_UPDATE_MISSING, &action, err))
        return -1;
    if (action == DEST_CONFLICT_SKIP)
        return 0;
    struct value *whole = dest_row_whole(r->run, row);
    if (!whole)
        return err_nomem(err);
    int rc = r->ops->insert(r->d, r->run, whole, &exists, err);
    free(whole);
    if (rc)
        return -1;
    return exists
               ? err_set(err, ERR_PERMANENT, "the row to insert instead is in the target already")
               : 0;
}

static int update_row(const struct one_row *r, const struct dest_row *row, struct err *err)
{
    uint64_t matched;
    identity_choose_columns(r->identity, r->run->relation, row, r->scratch);
    if (r->ops->update(r->d, r->run, r->scratch, row, &matched, err) || only_one(matched, err))
        return -1;
    return matched == 1 ? 0 : update_missing(r, row, err);
}

static int delete_row(const struct one_row *r, const struct dest_row *row, struct err *err)
{
    enum dest_conflict_action action;
    uint64_t matched;
    if (r->ops->remove(r->d, r->run, row->old, &matched, err) || only_one(matched, err))
        return -1;
    return matched == 1 ? 0 : dest_conflict(r->run, r->i, DEST_DELETE_MISSING, &action, err);
}

int dest_row_apply(struct dest *d, struct dest_run *run, size_t i, const struct dest_row_ops *ops,
                   const struct identity *identity, uint8_t *scratch, struct err *err)
{
    const struct one_row r = {d, run, i, ops, identity, scratch};
    const struct dest_row *row = &run->rows[i];
    int rc = run->kind == DEST_INSERT ? insert_row(&r, row, err) : identity_require(identity, err);
    if (rc == 0 && run->kind == DEST_UPDATE)
        rc = update_row(&r, row, err);
    if (rc == 0 && run->kind == DEST_DELETE)
        rc = delete_row(&r, row, err);
    if (rc)
        run->failed = i;
    return rc;
}
