#include <inttypes.h>
#include <string.h>

#include "apply/apply_rows.h"
#include "apply/apply_rows_state.h"
#include "base/log.h"
#include "sql/copied.h"
#include "sql/row_key.h"

/* What the copy was cannot be carried on: the table is copied anew, in one snapshot. Its changes
 * are left out until then. */
int copies_begin_whole(struct apply_rows *a, struct apply_relation *r, const struct source_txn *txn,
                       const char *reason, struct err *err)
{
    if (target_copy_due(a->target, a->origin, r->relid, txn->commit_lsn, err))
        return -1;
    log_info("the table will be copied in one snapshot", "schema", rows_current(r)->namespace,
             "table", rows_current(r)->name, "reason", reason, NULL);
    buf_printf(&a->telling, "whole %" PRIu32 "\n", r->relid);
    rows_unbind(a, r);
    r->left_out = r->awaits_copy = r->copy_lost = true;
    return buf_check(&a->telling, err);
}

void apply_rows_tell_lacks(uint32_t relid, const struct buf *keys, struct buf *lines)
{
    for (size_t at = 0; at < keys->len;) {
        const uint8_t *line = keys->data + at, *stop = memchr(line, '\n', keys->len - at);
        size_t n = stop ? (size_t)(stop + 1 - line) : keys->len - at;
        buf_printf(lines, "lacks %" PRIu32 " ", relid);
        buf_append(lines, line, n);
        at += n;
    }
}

/* While a table settles its rows have to be found by a key. */
static const char *cannot_settle(const struct target *target, const struct target_table *t)
{
    if (target_merges_keys(target, t))
        return "keys that differ at the source may be equal in the target";
    return t->identity.n == 0 || t->identity.by_all_columns || !t->unique ||
                   t->rel->replica_identity == REPLICA_IDENTITY_PARTITION
               ? "the target does not tell its rows apart by the key"
               : NULL;
}

/* And with chunks coming one by one, to meet no other. Single rows seldom do; one that does is
 * found out where its error leaves the transaction as it was. */
static const char *no_chunks(const struct target *target, const struct target_table *t,
                             bool single_rows)
{
    const char *reason = cannot_settle(target, t);
    if (reason || t->there.nindexes <= 1 || (single_rows && !target_errors_end(target)))
        return reason;
    return "it has more than one unique index in the target";
}

/* Rows of the run could not be put in: the target remembers that, and the source is asked for them.
 * Until they come the table settles. */
int copies_lack_rows(struct apply_rows *a, struct apply_relation *r, const struct source_txn *txn,
                     struct err *err)
{
    const struct bytes keys = {(const char *)a->lacks.data, a->lacks.len};
    bool fits;
    const char *reason = cannot_settle(a->target, r->table);
    if (reason)
        return copies_begin_whole(a, r, txn, reason, err);
    if (buf_check(&a->lacks, err) ||
        target_lacks(a->target, a->origin, r->table, txn->commit_lsn, keys, &fits, err))
        return -1;
    if (!fits)
        return copies_begin_whole(a, r, txn, "too many rows would have to be read again one by one",
                                  err);
    log_info("rows of a table will be read again", "schema", rows_current(r)->namespace, "table",
             rows_current(r)->name, NULL);
    apply_rows_tell_lacks(r->relid, &a->lacks, &a->telling);
    return buf_check(&a->telling, err);
}

int copies_check(const struct apply_rows *a, const struct frame *f,
                 const struct frame_change *change, struct err *err)
{
    bool belongs =
        f->type == FRAME_INSERT || (f->type == FRAME_DELETE && a->chunk == FRAME_COPY_ROWS);
    if (belongs && change->xid == 0 && change->relid == a->copying->relid)
        return 0;
    return err_set(err, ERR_PERMANENT, "a change of relation %u within the copy of relation %u",
                   change->relid, a->copying->relid);
}

/* A row that the copy brings anew, or takes away, is not lacked any more. */
int copies_note_answer(struct apply_rows *a, const struct apply_relation *r,
                       const struct row_change *row, struct err *err)
{
    if (row->old && !row_key_put(&r->table->identity, rows_current(r), row, &a->lacks))
        return err_set(err, ERR_PERMANENT, "a row that is read again without its key");
    return buf_check(&a->lacks, err);
}

/* What the table holds is of before, or of a hand: it is replaced. */
static int empty_table(struct apply_rows *a, struct target_table *table, struct err *err)
{
    struct target_table *const tables[] = {table};
    size_t failed;
    return target_truncate(a->target, tables, 1, false, false, &failed, err)
               ? err_context(err, "emptying the table before it is copied")
               : 0;
}

/* Whether the target has to have what the frames of a copy bring. */
static int wants_copy(struct apply_rows *a, const struct frame_copy_begin *x, bool *wants,
                      struct err *err)
{
    struct copied copied;
    bool known;
    int rc = target_copied(a->target, a->origin, x->relid, &copied, &known, err);
    /* A later chunk goes on with a copy that is not whole; anything else but single rows begins
     * one. */
    *wants = x->chunk == FRAME_COPY_ROWS ? copied.lacks.len > 0
             : x->chunk > 1              ? copied.after != NULL
                                         : copied_is_awaited(&copied, known, a->takes_copies);
    copied_free(&copied);
    return rc;
}

int copies_begin(struct apply_rows *a, const struct frame *f, const struct source_txn *txn,
                 const struct source_txn **failed, struct err *err)
{
    struct frame_copy_begin x;
    bool wants;
    if (frame_get_copy_begin(f, &x, err) || apply_rows_flush(a, failed, err))
        return -1;
    struct apply_relation *r = rows_find(a, x.relid);
    if (!r || !rows_current(r))
        return err_set(err, ERR_PERMANENT, "a copy of relation %u, which was not described before",
                       x.relid);
    rows_unbind(a, r);
    a->copying = r;
    a->chunk = x.chunk;
    a->ours = false;
    buf_reset(&a->lacks, COPIED_LACKS_MAX);
    if (wants_copy(a, &x, &wants, err))
        return rows_table_failed(a, rows_current(r), txn, err);
    if (!wants)
        return 0;
    a->snapshot = x.chunk > 1 ? (struct bytes){0} : x.snapshot;
    int rc = rows_bound(a, x.relid, txn, &r, err);
    a->snapshot = (struct bytes){0};
    if (rc || !r->table)
        return rc;
    a->ours = r->table->ours;
    bool single_rows = x.chunk == FRAME_COPY_ROWS;
    const char *reason = x.chunk > 0 ? no_chunks(a->target, r->table, single_rows) : NULL;
    if (x.chunk == 1 && r->table->refilled)
        reason = "readers see the old rows until all are replaced";
    const struct buf *lacks = &r->table->copied.lacks;
    if (single_rows && !row_keys_are_of(&r->table->identity, rows_current(r),
                                        (struct bytes){(const char *)lacks->data, lacks->len}))
        reason = "rows to be read again have another key by now";
    if (reason)
        return copies_begin_whole(a, r, txn, reason, err)
                   ? rows_table_failed(a, rows_current(r), txn, err)
                   : 0;
    if (x.chunk > 1)
        return 0;
    return empty_table(a, r->table, err) ? rows_table_failed(a, rows_current(r), txn, err) : 0;
}

int apply_rows_lack_indexes(struct apply_rows *a, uint32_t relid, struct err *err)
{
    const struct lacks_indexes l = {.relid = relid};
    for (size_t at = 0; at < a->lacking.len; at += sizeof l) {
        struct lacks_indexes other;
        memcpy(&other, a->lacking.data + at, sizeof other);
        if (other.relid == relid)
            return 0;
    }
    buf_append(&a->lacking, &l, sizeof l);
    return buf_check(&a->lacking, err);
}

/* Indexes come with the first rows, also where these are given up, and are made behind the last. A
 * table made by hand has those that it is to have. */
static int note_indexes(struct apply_rows *a, const struct apply_relation *r,
                        const struct frame_copy_end *x, struct err *err)
{
    if (x->indexes.size > 0 && a->ours &&
        target_want_indexes(a->target, a->origin, r->relid, x->indexes, err))
        return -1;
    return r->table && x->next.size == 0 ? apply_rows_lack_indexes(a, r->relid, err) : 0;
}

int apply_rows_ask_again(struct apply_rows *a, struct err *err)
{
    apply_rows_close_tables(a);
    for (struct apply_due *d = a->due; d; d = d->hh.next) {
        struct copied copied;
        bool known;
        int rc = target_copied(a->target, a->origin, d->relid, &copied, &known, err);
        bool asked = copied.due && !copied.aside && !d->awaited,
             withdrawn = copied.aside && d->awaited;
        apply_rows_tell_lacks(d->relid, &copied.lacks, &a->told);
        if (rc == 0)
            rc = aside_note(&a->aside, d->relid, &copied, err);
        copied_free(&copied);
        if (rc)
            return -1;
        if (!asked && !withdrawn)
            continue;
        rows_await(a, d->relid, asked);
        buf_printf(&a->told, "%s %" PRIu32 "\n", asked ? "again" : "copied", d->relid);
    }
    return buf_check(&a->told, err);
}

/* Rows that were to be read again have come, or the source has said that it does not find them. */
static int end_rows(struct apply_rows *a, struct apply_relation *r, const struct source_txn *txn,
                    struct err *err)
{
    const struct bytes keys = {(const char *)a->lacks.data, a->lacks.len};
    int rc = a->lacks.len == 0
                 ? copies_begin_whole(a, r, txn, "the source does not find rows by their key", err)
                 : target_lacked(a->target, a->origin, r->table, txn->commit_lsn, keys, err);
    buf_reset(&a->lacks, COPIED_LACKS_MAX);
    return rc;
}

/* All that was sent of the relation has come, and the target has the table whole; otherwise it has
 * asked for more. */
static int tell_copied(struct apply_rows *a, uint32_t relid, struct err *err)
{
    struct copied copied;
    bool known;
    int rc = target_copied(a->target, a->origin, relid, &copied, &known, err);
    if (rc == 0 && !copied_is_awaited(&copied, known, false))
        buf_printf(&a->telling, "copied %" PRIu32 "\n", relid);
    copied_free(&copied);
    return rc ? rc : buf_check(&a->telling, err);
}

/* What came of the copy is in. */
static int settle_copy(struct apply_rows *a, struct apply_relation *r,
                       const struct frame_copy_end *x, const struct source_txn *txn,
                       struct err *err)
{
    bool rows = a->chunk == FRAME_COPY_ROWS;
    r->copy_came = x->next.size == 0 && !r->copy_lost && !rows;
    if (note_indexes(a, r, x, err))
        return -1;
    if (!r->table)
        return 0;
    if (memchr(x->next.data, '\n', x->next.size) || memchr(x->next.data, '\0', x->next.size))
        return err_set(err, ERR_PERMANENT, "the end of a chunk without the place of the next one");
    if (rows)
        return end_rows(a, r, txn, err);
    if (a->chunk > 0 &&
        target_copied_until(a->target, a->origin, x->relid, txn->commit_lsn, x->next, err))
        return -1;
    r->copied = x->next.size == 0;
    rows_unbind(a, r); /* what it has come to is read again */
    return 0;
}

int copies_end(struct apply_rows *a, const struct frame *f, const struct source_txn *txn,
               const struct source_txn **failed, struct err *err)
{
    struct frame_copy_end x;
    if (frame_get_copy_end(f, &x, err) || apply_rows_flush(a, failed, err))
        return -1;
    struct apply_relation *r = a->copying;
    a->copying = NULL;
    return settle_copy(a, r, &x, txn, err) || (x.next.size == 0 && tell_copied(a, r->relid, err))
               ? rows_table_failed(a, rows_current(r), txn, err)
               : 0;
}
