#include "apply/apply_rows.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "apply/apply_rows_state.h"
#include "base/log.h"
#include "base/lsn.h"
#include "sql/copied.h"

#define RUN_VALUES 65536

int apply_rows_init(struct apply_rows *a, struct target *target, enum ddl_policy ddl,
                    struct conflicts *conflicts, struct err *err)
{
    a->target = target;
    a->ddl = ddl;
    a->run.conflicts = conflicts;
    a->rows = calloc(RUN_ROWS, sizeof *a->rows);
    a->values = calloc(RUN_VALUES, sizeof *a->values);
    if (!a->rows || !a->values)
        return err_nomem(err);
    a->run.rows = a->rows;
    return plan_init(a, err);
}

void apply_rows_free(struct apply_rows *a)
{
    if (a->target)
        apply_rows_forget(a);
    table_counts_free(&a->tables);
    table_counts_free(&a->left_out);
    buf_free(&a->telling);
    buf_free(&a->told);
    buf_free(&a->lacking);
    buf_free(&a->lacks);
    table_names_free(&a->skip);
    quarantine_free(&a->quarantine);
    net_effect_free(&a->plan);
    free(a->rows);
    free(a->values);
    a->rows = NULL;
    a->values = NULL;
}

/* ---- relations ---- */

void rows_unbind(struct apply_rows *a, struct apply_relation *r)
{
    target_unbind(a->target, r->table);
    r->table = NULL;
    r->kept = NULL;
    r->left_out = r->awaits_copy = false;
}

void rows_forget_run(struct apply_rows *a)
{
    net_effect_clear(&a->plan);
    a->run.nrows = 0;
    a->nvalues = 0;
    a->run_relation = NULL;
    if (!a->copying)
        buf_reset(&a->lacks, COPIED_LACKS_MAX);
}

struct apply_relation *rows_find(struct apply_rows *a, uint32_t relid)
{
    if (a->last && a->last->relid == relid)
        return a->last;
    struct apply_relation *r;
    HASH_FIND(hh, a->relations, &relid, sizeof relid, r);
    if (r)
        a->last = r;
    return r;
}

int apply_rows_describe(struct apply_rows *a, struct relation *rel, struct err *err)
{
    return relmap_set(&a->come, rel, err);
}

static int add_relation(struct apply_rows *a, const struct frame *f, struct err *err)
{
    struct relation *rel;
    if (relmap_read(&a->come, f, &rel, err))
        return -1;
    struct apply_relation *r = rows_find(a, rel->relid);
    if (!r) {
        bool added = false;
        r = calloc(1, sizeof *r);
        if (r) {
            r->relid = rel->relid;
            HASH_TRY_ADD(a->relations, relid, r, added);
        }
        if (!added) {
            free(r);
            relation_unref(rel);
            return err_nomem(err);
        }
    }
    rows_unbind(a, r); /* the table refers to the relation */
    relation_unref(r->recent);
    r->recent = rel;
    return 0;
}

int apply_rows_due(struct apply_rows *a, uint32_t relid, struct err *err)
{
    struct apply_due *d;
    struct copied copied;
    bool added, known;
    HASH_FIND(hh, a->due, &relid, sizeof relid, d);
    if (d)
        return 0;
    int rc = target_copied(a->target, a->origin, relid, &copied, &known, err);
    bool awaited = copied_is_awaited(&copied, known, a->takes_copies);
    copied_free(&copied);
    if (rc)
        return -1;
    d = calloc(1, sizeof *d);
    if (!d)
        return err_nomem(err);
    d->relid = relid;
    d->awaited = awaited;
    HASH_TRY_ADD(a->due, relid, d, added);
    if (!added) {
        free(d);
        return err_nomem(err);
    }
    a->nawaited += d->awaited;
    return 0;
}

struct apply_due *rows_find_due(const struct apply_rows *a, uint32_t relid)
{
    struct apply_due *d;
    HASH_FIND(hh, a->due, &relid, sizeof relid, d);
    return d;
}

void rows_await(struct apply_rows *a, uint32_t relid, bool awaited)
{
    struct apply_due *d = rows_find_due(a, relid);
    if (!d || d->awaited == awaited)
        return;
    d->awaited = awaited;
    a->nawaited += awaited ? 1 : (size_t)-1;
}

/* Whether the target is to have a copy of the relation and has none yet. It remembers that from the
 * first change on that is left out for it, whether copies are to come the next time or not. */
static int find_awaited(struct apply_rows *a, struct apply_relation *r,
                        const struct source_txn *txn, struct err *err)
{
    struct copied copied;
    bool known;
    r->awaits_copy = false;
    if (!rows_find_due(a, r->relid) ||
        table_names_has(&a->skip, rows_current(r)->namespace, rows_current(r)->name))
        return 0;
    int rc = target_copied(a->target, a->origin, r->relid, &copied, &known, err);
    bool first = rc == 0 && a->takes_copies && !known;
    r->awaits_copy = first || (copied.due && !copied.aside);
    copied_free(&copied);
    return first ? target_await_copy(a->target, a->origin, rows_current(r), txn->commit_lsn, err)
                 : rc;
}

/* A table whose copy is not whole, or that lacks rows, is none to go on with, where no more of it
 * will come. */
static int check_whole(const struct apply_rows *a, const struct apply_relation *r, struct err *err)
{
    const struct copied *c = &r->table->copied;
    if ((!c->after && c->lacks.len == 0) || rows_find_due(a, r->relid))
        return 0;
    (void)err_set(err, ERR_PERMANENT, "%s, and no more of it comes",
                  c->after ? "the copy of the table is not whole"
                           : "rows of the table will be read again");
    err->whole = true;
    return err_hint(err, "let pg-capture go on with it: --copy initial (CDC_COPY)");
}

int rows_table_failed(struct apply_rows *a, struct relation *rel, const struct source_txn *txn,
                      struct err *err)
{
    (void)err_context(err, "table %s.%s", rel->namespace, rel->name);
    aside_fail(&a->aside, rel, txn, false, err);
    return err->kind == ERR_PERMANENT ? skip_tables_hint(&a->skip, rel, err) : -1;
}

/* The target says that it is set aside; its changes may have to be kept. */
static int note_aside(struct apply_rows *a, struct apply_relation *r, struct err *err)
{
    struct copied copied;
    bool known;
    int rc = target_copied(a->target, a->origin, r->relid, &copied, &known, err);
    if (rc == 0)
        rc = aside_note(&a->aside, r->relid, &copied, err);
    if (rc == 0 && copied.file.kept)
        rc = quarantine_find(&a->quarantine, a->origin, rows_current(r), &copied.file, &r->kept,
                             err);
    copied_free(&copied);
    return rc;
}

/* Binds the relation that a change is of, or finds out that its changes are left out. */
int rows_bound(struct apply_rows *a, uint32_t relid, const struct source_txn *txn,
               struct apply_relation **out, struct err *err)
{
    struct apply_relation *r = rows_find(a, relid);
    if (!r || !rows_current(r))
        return err_set(err, ERR_PERMANENT,
                       "a change for relation %u, which was not described before", relid);
    *out = r;
    if (r->table || r->left_out)
        return 0;
    struct relation *rel = rows_current(r);
    if (!a->copying && find_awaited(a, r, txn, err))
        return rows_table_failed(a, rel, txn, err);
    /* A target that gets copies remembers of every table that it is one. */
    bool comes = rows_find_due(a, relid) != NULL;
    enum unbound why;
    bool follows_only = !a->copying && a->takes_copies && a->due && !comes;
    const struct binding binding = {a->origin,
                                    a->ddl,
                                    &a->skip,
                                    txn->commit_lsn,
                                    follows_only ? bytes_of(COPIED_NOTHING) : a->snapshot,
                                    a->copying != NULL,
                                    comes,
                                    a->copy_unknown,
                                    a->replays};
    if (r->awaits_copy) {
        r->left_out = true;
        return 0;
    }
    if (target_bind(a->target, &binding, rows_current(r), &r->table, &why, err) ||
        (r->table && check_whole(a, r, err)))
        return rows_table_failed(a, rel, txn, err);
    if (!r->table && why == UNBOUND_AWAITS) {
        r->left_out = r->awaits_copy = r->copy_lost = true;
        buf_printf(&a->telling, "again %" PRIu32 "\n", relid);
        return buf_check(&a->telling, err);
    }
    if (r->table && !a->copying && target_waits_for_place(r->table) &&
        apply_rows_lack_indexes(a, relid, err))
        return -1;
    r->left_out = !r->table;
    if (r->left_out && why == UNBOUND_ASIDE && note_aside(a, r, err))
        return rows_table_failed(a, rel, txn, err);
    if (r->table)
        plan_bound(a, r);
    if (r->left_out && !r->said)
        log_warning("changes of a table are left out", "schema", rel->namespace, "table", rel->name,
                    "relid", LOG_U64(relid), "commit_lsn", LSN(txn->commit_lsn), NULL);
    r->said = r->said || r->left_out;
    return 0;
}

void apply_rows_end_txn(struct apply_rows *a, uint64_t end_lsn)
{
    quarantine_end_txn(&a->quarantine, end_lsn);
}

int apply_rows_keep(struct apply_rows *a, struct err *err)
{
    return quarantine_sync(&a->quarantine, a->target, a->origin, err);
}

void apply_rows_close_tables(struct apply_rows *a)
{
    rows_forget_run(a);
    for (struct apply_relation *r = a->relations; r; r = r->hh.next)
        rows_unbind(a, r);
}

/* Those that were set aside are not to be copied, whatever was sent before. */
static void commit_aside(struct apply_rows *a)
{
    for (size_t i = 0; i < a->aside.nfaults; i++) {
        const struct aside_fault *f = &a->aside.faults[i];
        const struct apply_due *d = rows_find_due(a, f->rel->relid);
        if (f->remembered && d && d->awaited) {
            rows_await(a, f->rel->relid, false);
            buf_printf(&a->told, "copied %" PRIu32 "\n", f->rel->relid);
        }
    }
    aside_committed(&a->aside);
}

void apply_rows_commit(struct apply_rows *a)
{
    for (int i = 0; i < COUNTS; i++) {
        *a->counted[i] += a->pending[i];
        a->pending[i] = 0;
    }
    table_counts_commit(&a->tables);
    table_counts_commit(&a->left_out);
    buf_append(&a->told, a->telling.data, a->telling.len);
    buf_reset(&a->telling, 4096);
    commit_aside(a);
    quarantine_commit(&a->quarantine);
    for (struct apply_relation *r = a->relations; r; r = r->hh.next) {
        if (r->copied)
            log_info("a table is copied", "schema", rows_current(r)->namespace, "table",
                     rows_current(r)->name, NULL);
        if (r->copy_came || r->copy_lost)
            rows_await(a, r->relid, r->copy_lost);
        r->copy_lost = r->copied = r->copy_came = r->left_out = r->awaits_copy = false;
        r->kept = NULL;
        if (r->recent) {
            relation_unref(r->settled);
            r->settled = r->recent;
            r->recent = NULL;
        }
    }
}

void apply_rows_rollback(struct apply_rows *a)
{
    a->copying = NULL;
    apply_rows_close_tables(a);
    buf_reset(&a->telling, 0);
    memset(a->pending, 0, sizeof a->pending);
    table_counts_reset(&a->tables);
    table_counts_reset(&a->left_out);
    aside_rolled_back(&a->aside);
    quarantine_rollback(&a->quarantine);
    for (struct apply_relation *r = a->relations; r; r = r->hh.next) {
        relation_unref(r->recent);
        r->recent = NULL;
        r->copied = r->copy_came = r->copy_lost = false;
    }
}

void apply_rows_forget(struct apply_rows *a)
{
    struct apply_relation *r, *next;
    apply_rows_rollback(a);
    HASH_ITER (hh, a->relations, r, next) {
        HASH_DEL(a->relations, r);
        relation_unref(r->settled);
        net_table_free(&r->net);
        free(r);
    }
    relmap_clear(&a->come);
    a->last = NULL;
    struct apply_due *d, *next_due;
    HASH_ITER (hh, a->due, d, next_due) {
        HASH_DEL(a->due, d);
        free(d);
    }
    a->nawaited = 0;
    aside_forget_all(&a->aside);
}

/* ---- rows ---- */

static const char *verb(enum change_kind kind)
{
    return kind == CHANGE_INSERT   ? "insert into"
           : kind == CHANGE_UPDATE ? "update of"
                                   : "delete from";
}

/* "table public.t (key id, part)": names only, never values. */
static void describe_table(const struct relation *rel, char *out, size_t size)
{
    int n = snprintf(out, size, "%s.%s", rel->namespace, rel->name);
    const char *between = " (key ";
    bool any = false;
    for (uint32_t i = 0; i < rel->ncolumns; i++) {
        if (!rel->columns[i].key || n < 0 || (size_t)n >= size)
            continue;
        n += snprintf(out + n, size - (size_t)n, "%s%s", between, rel->columns[i].name);
        between = ", ";
        any = true;
    }
    if (any && n > 0 && (size_t)n < size)
        (void)snprintf(out + n, size - (size_t)n, ")");
}

static const char *const counted_as[] = {"insert", "update", "delete", "truncate"};

static enum apply_count count_of(enum change_kind kind)
{
    return kind == CHANGE_INSERT   ? COUNT_INSERTS
           : kind == CHANGE_UPDATE ? COUNT_UPDATES
                                   : COUNT_DELETES;
}

static void count_left_out(struct apply_rows *a, const struct apply_relation *r,
                           enum apply_count kind)
{
    if (r->awaits_copy)
        return;
    a->pending[COUNT_LEFT_OUT]++;
    table_counts_add(&a->left_out, rows_current(r), counted_as[kind], 1);
}

void rows_count(struct apply_rows *a, const struct relation *rel, enum change_kind kind, uint64_t n)
{
    a->pending[count_of(kind)] += n;
    table_counts_add(&a->tables, rel, counted_as[count_of(kind)], n);
}

int rows_run_failed(struct apply_rows *a, const struct source_txn **failed, struct err *err)
{
    const struct run *run = &a->run;
    char table[512];
    describe_table(run->table->rel, table, sizeof table);
    const struct source_txn *txn = run->rows[run->failed < run->nrows ? run->failed : 0].txn;
    *failed = txn;
    (void)err_context(err, "%s %s, transaction %u committed at %s", verb(run->kind), table,
                      txn->xid, LSN(txn->commit_lsn));
    if (a->run_relation)
        aside_fail(&a->aside, rows_current(a->run_relation), txn, run->conflict, err);
    return err->kind == ERR_PERMANENT ? skip_tables_hint(&a->skip, run->table->rel, err) : -1;
}

int apply_rows_flush(struct apply_rows *a, const struct source_txn **failed, struct err *err)
{
    struct run *run = &a->run;
    *failed = NULL;
    if (!net_effect_is_empty(&a->plan))
        return plan_apply(a, failed, err);
    if (run->nrows == 0)
        return 0;
    run->failed = run->nrows;
    run->unsettled = run->conflict = false;
    int rc = target_apply(a->target, run, err);
    bool copies = a->run_relation && rows_find_due(a, a->run_relation->relid);
    if (rc && run->unsettled && !copies)
        (void)err_hint(err, "a copy of the table would bring it: --copy initial (CDC_COPY)");
    if (rc && run->unsettled && copies) {
        const struct err why = *err;
        struct apply_relation *r = a->run_relation;
        const struct source_txn *txn = run->rows[run->failed < run->nrows ? run->failed : 0].txn;
        err_clear(err);
        rows_forget_run(a);
        return copies_begin_whole(a, r, txn, why.text, err);
    }
    if (rc) {
        (void)rows_run_failed(a, failed, err);
    } else {
        a->pending[COUNT_RUNS]++;
        rows_count(a, run->table->rel, run->kind, run->nrows);
        if (run->lacks && a->lacks.len > 0)
            rc = copies_lack_rows(a, a->run_relation, run->rows[0].txn, err);
    }
    rows_forget_run(a);
    return rc;
}

static bool settles(const struct apply_rows *a, const struct apply_relation *r,
                    const struct source_txn *txn)
{
    return a->copying ? a->chunk > 0 : copied_settles(&r->table->copied, txn);
}

/* Where rows of the table that have not been sent whole can be read again. */
static struct buf *room_for_lacks(struct apply_rows *a, const struct apply_relation *r,
                                  bool settling)
{
    bool can = !a->copying && (settling || a->copy_unknown) && rows_find_due(a, r->relid);
    return can ? &a->lacks : NULL;
}

int rows_read(struct read_change *c, const struct frame *f, const struct relation *rel,
              struct value *values, struct row_change *row, struct err *err)
{
    bool has_old = frame_get_tuple(&c->cursor, values, rel->ncolumns);
    struct value *new = values + (has_old ? rel->ncolumns : 0);
    bool has_new = frame_get_tuple(&c->cursor, new, rel->ncolumns);
    if (has_old != (c->head.old_kind != 0) || has_new != (c->kind != CHANGE_DELETE))
        mp_fault(&c->cursor, "a tuple where none belongs, or none where one does");
    if (mp_end(&c->cursor, frame_type_name(f->type), err))
        return err_context(err, "malformed frame for %s.%s", rel->namespace, rel->name);
    row->old = has_old ? values : NULL;
    row->new = has_new ? new : NULL;
    return 0;
}

/* Adds a row to the run, which goes on in the order of the source. */
static int add_to_run(struct apply_rows *a, struct apply_relation *r, struct read_change *change,
                      const struct frame *f, const struct source_txn *txn,
                      const struct source_txn **failed, struct err *err)
{
    const struct relation *rel = rows_current(r);
    if (a->run_relation != r || a->run.nrows == RUN_ROWS || a->run.kind != change->kind ||
        a->run.settling != settles(a, r, txn) ||
        a->nvalues + 2 * (size_t)rel->ncolumns > RUN_VALUES)
        if (apply_rows_flush(a, failed, err))
            return -1;
    if (!r->table) /* the flush has given it up */
        return 0;
    a->run_relation = r;
    a->run.kind = change->kind;
    a->run.settling = settles(a, r, txn); /* the flush may have found that it does */
    a->run.planned = false;
    a->run.lacks = room_for_lacks(a, r, a->run.settling);
    a->run.table = r->table;
    struct row_change *row = &a->rows[a->run.nrows];
    *row = (struct row_change){.txn = txn};
    if (rows_read(change, f, rel, a->values + a->nvalues, row, err))
        return -1;
    a->nvalues += 2 * (size_t)rel->ncolumns;
    a->run.nrows++;
    return a->copying ? copies_note_answer(a, r, row, err) : 0;
}

static int add_row(struct apply_rows *a, const struct frame *f, const struct source_txn *txn,
                   const struct source_txn **failed, struct err *err)
{
    struct read_change change = {.kind = (enum change_kind)f->type};
    struct apply_relation *r = NULL;
    if (frame_get_change(f, &change.head, &change.cursor, err))
        return -1;
    enum change_kind kind = change.kind;
    uint32_t relid = change.head.relid;
    if (a->copying && copies_check(a, f, &change.head, err))
        return -1;
    if (a->copying && !a->copying->table)
        return 0;
    r = a->run_relation && a->run_relation->relid == relid ? a->run_relation : rows_find(a, relid);
    if ((!r || (!r->table && !r->left_out)) &&
        (apply_rows_flush(a, failed, err) || rows_bound(a, relid, txn, &r, err)))
        return -1;
    if (r->left_out) {
        count_left_out(a, r, count_of(kind));
        if (r->kept)
            quarantine_change(&a->quarantine, r->kept, f, txn);
        return 0;
    }
    if (!a->copying && copied_has(&r->table->copied, txn))
        return 0;
    bool planned = false;
    if (plan_may_have(a, r, txn) && plan_add(a, r, change, f, txn, &planned, failed, err))
        return -1;
    return planned || !r->table ? 0 : add_to_run(a, r, &change, f, txn, failed, err);
}

struct table_list {
    struct target_table **tables;
    size_t n, cap;
};

static int list_table(struct table_list *list, struct target_table *table, struct err *err)
{
    if (list->n == list->cap) {
        size_t cap = list->cap ? list->cap * 2 : 16;
        struct target_table **tables = realloc(list->tables, cap * sizeof *tables);
        if (!tables)
            return err_nomem(err);
        list->tables = tables;
        list->cap = cap;
    }
    list->tables[list->n++] = table;
    return 0;
}

static int truncate_list(struct apply_rows *a, const struct table_list *list,
                         const struct frame_truncate *t, const struct source_txn *txn,
                         struct err *err)
{
    size_t failed;
    if (list->n == 0 || target_truncate(a->target, list->tables, list->n, t->cascade,
                                        t->restart_identity, &failed, err) == 0)
        return 0;
    if (failed < list->n)
        (void)rows_table_failed(a, list->tables[failed]->reference, txn, err);
    return err_context(err, "truncate");
}

static void leave_truncate_out(struct apply_rows *a, struct apply_relation *r,
                               const struct frame_truncate *t, const struct source_txn *txn)
{
    count_left_out(a, r, COUNT_TRUNCATES);
    if (r->kept)
        quarantine_truncate(&a->quarantine, r->kept, t, txn);
}

static int truncate_tables(struct apply_rows *a, const struct frame *f,
                           const struct source_txn *txn, const struct source_txn **failed,
                           struct err *err)
{
    struct frame_truncate t;
    struct mp_cursor relids;
    struct table_list list = {0};
    if (frame_get_truncate(f, &t, &relids, err) || apply_rows_flush(a, failed, err))
        return -1;
    int rc = 0;
    for (uint32_t i = 0; rc == 0 && i < t.nrelids; i++) {
        struct apply_relation *r = NULL;
        rc = rows_bound(a, mp_u32(&relids), txn, &r, err);
        if (rc == 0 && r->left_out)
            leave_truncate_out(a, r, &t, txn);
        else if (rc == 0 && copied_has(&r->table->copied, txn))
            continue;
        else if (rc == 0 && (rc = list_table(&list, r->table, err)) == 0)
            table_counts_add(&a->tables, rows_current(r), counted_as[COUNT_TRUNCATES], 1);
    }
    if (rc == 0)
        rc = truncate_list(a, &list, &t, txn, err);
    if (rc == 0 && list.n > 0)
        a->pending[COUNT_TRUNCATES]++;
    free(list.tables);
    return rc;
}

static int apply_frame(struct apply_rows *a, const struct frame *f, const struct source_txn *txn,
                       const struct source_txn **failed, struct err *err)
{
    switch (f->type) {
    case FRAME_RELATION:
        /* The run in the making may be of the relation that is replaced. */
        return apply_rows_flush(a, failed, err) ? -1 : add_relation(a, f, err);
    case FRAME_INSERT:
    case FRAME_UPDATE:
    case FRAME_DELETE:
        return add_row(a, f, txn, failed, err);
    case FRAME_TRUNCATE:
        return truncate_tables(a, f, txn, failed, err);
    case FRAME_COPY_BEGIN:
        return copies_begin(a, f, txn, failed, err);
    case FRAME_COPY_END:
        return copies_end(a, f, txn, failed, err);
    default:
        BUG("a frame that is neither a relation nor a change");
    }
}

int apply_rows_set_aside(struct apply_rows *a, const struct source_txn *txn,
                         const struct source_txn **failed, struct err *err)
{
    struct aside_fault *f;
    *failed = NULL;
    while ((f = aside_due(&a->aside, txn))) {
        struct apply_relation *r = rows_find(a, f->rel->relid);
        if (apply_rows_flush(a, failed, err) ||
            target_set_aside(a->target, a->origin, f->rel, f->txn.commit_lsn, a->takes_copies,
                             f->why, a->quarantine.dir != NULL, err))
            return -1;
        if (r)
            rows_unbind(a, r);
        f->remembered = true;
    }
    return 0;
}

int apply_rows_frames(struct apply_rows *a, const uint8_t *frames, size_t size,
                      const struct source_txn *txn, const struct source_txn **failed,
                      struct err *err)
{
    if (apply_rows_set_aside(a, txn, failed, err))
        return -1;
    while (size > 0) {
        struct frame f;
        if (frame_header(frames, &f.type, &f.size, err))
            BUG("a held frame without a header");
        f.body = frames + FRAME_HEADER_SIZE;
        *failed = NULL;
        if (apply_frame(a, &f, txn, failed, err)) {
            if (!*failed) {
                *failed = txn;
                if (txn)
                    (void)err_context(err, "transaction %u committed at %s", txn->xid,
                                      LSN(txn->commit_lsn));
            }
            return -1;
        }
        frames += frame_length(&f);
        size -= frame_length(&f);
    }
    return 0;
}
