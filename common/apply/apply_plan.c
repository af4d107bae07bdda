/*
 * A group's changes by their net effect: what of struct apply_rows knows of net_effect.h.
 */
#include "apply/apply_rows.h"
#include "apply/apply_rows_state.h"
#include "sql/copied.h"

static bool accepts(void *ctx, const struct net_table *t, uint32_t column, const struct value *v)
{
    const struct apply_relation *r = t->owner;
    return target_accepts(ctx, r->table, column, v);
}

int plan_init(struct apply_rows *a, struct err *err)
{
    return net_effect_init(&a->plan, accepts, a->target, err);
}

void plan_bound(const struct apply_rows *a, struct apply_relation *r)
{
    r->order = target_row_order(a->target, r->table);
    r->net.owner = r;
    r->net.identity = &r->table->identity;
    r->net.ncolumns = r->table->rel->ncolumns;
    r->net.by_key = r->order == ORDER_OF_KEY;
    r->net.sets = target_takes_sets(a->target);
    r->net.merges = row_order_values_alone(r->table);
}

/* ---- adding ---- */

int plan_add(struct apply_rows *a, struct apply_relation *r, struct read_change change,
             const struct frame *f, const struct source_txn *txn, bool *added,
             const struct source_txn **failed, struct err *err)
{
    const struct relation *rel = rows_current(r);
    size_t nvalues = 2 * (size_t)rel->ncolumns;
    struct row_change row = {.txn = txn};
    *added = false;
    if ((a->run.nrows > 0 || !net_effect_has_room(&a->plan, nvalues)) &&
        apply_rows_flush(a, failed, err))
        return -1;
    if (!r->table || copied_settles(&r->table->copied, txn)) /* the flush may have found so */
        return 0;
    if (rows_read(&change, f, rel, net_effect_values(&a->plan), &row, err))
        return -1;
    *added = net_effect_takes(&r->net, change.kind, &row);
    nvalues = (row.old ? rel->ncolumns : 0) + (row.new ? rel->ncolumns : 0);
    return *added ? net_effect_add(&a->plan, &r->net, change.kind, &row, nvalues, err) : 0;
}

bool plan_may_have(const struct apply_rows *a, const struct apply_relation *r,
                   const struct source_txn *txn)
{
    return a->planned && !a->copying && r && r->table && r->order != ORDER_OF_ALL &&
           !copied_settles(&r->table->copied, txn);
}

/* ---- applying ---- */

static int apply_lane(struct apply_rows *a, struct apply_relation *r, size_t lane,
                      const struct source_txn **failed, struct err *err)
{
    struct run *run = &a->run;
    uint32_t at = 0;
    run->kind = net_effect_kind(lane);
    run->table = r->table;
    run->settling = false;
    run->planned = true;
    run->lacks = NULL;
    do {
        run->nrows = net_effect_rows(&a->plan, &r->net.lanes[lane], &at, a->rows, RUN_ROWS);
        run->failed = run->nrows;
        if (run->nrows == 0)
            return 0;
        if (target_apply(a->target, run, err))
            return rows_run_failed(a, failed, err);
        a->pending[COUNT_RUNS]++;
        rows_count(a, rows_current(r), run->kind, run->nrows);
    } while (at);
    return 0;
}

int plan_apply(struct apply_rows *a, const struct source_txn **failed, struct err *err)
{
    int rc = 0;
    for (struct net_table *t = a->plan.first; rc == 0 && t; t = t->next) {
        struct apply_relation *r = t->owner;
        for (size_t lane = 0; rc == 0 && lane < t->nlanes; lane++)
            rc = apply_lane(a, r, lane, failed, err);
        if (t->merged > 0)
            rows_count(a, rows_current(r), CHANGE_UPDATE, t->merged);
    }
    rows_forget_run(a);
    return rc;
}
