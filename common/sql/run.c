#include "sql/run.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "frames/pg_type.h"
#include "sql/pg_text.h"
#include "sql/row_key.h"

static int meet(struct run *run, size_t row, enum conflict conflict, enum conflict_action *action,
                struct err *err)
{
    if (run->settling) {
        *action = conflict == CONFLICT_INSERT_EXISTS ? CONFLICT_APPLY : CONFLICT_SKIP;
        return 0;
    }
    if (conflicts_meet(run->conflicts, conflict, run->table->rel, run->rows[row].txn, action,
                       err)) {
        run->failed = row;
        run->conflict = true;
        return -1;
    }
    return 0;
}

static bool rows_may_exist(const struct run *run)
{
    return run->settling || conflicts_pass(run->conflicts);
}

/* ---- the transaction is gone with an error ---- */

static bool is_careful(const struct runner *r, const struct target_table *t)
{
    return r->careful && strcmp(r->careful, t->name) == 0;
}

/* The group comes again, if the loop has it, with the rows of this table one by one and the table
 * bound anew. `first`: a row of the slice. */
static int be_careful(struct runner *r, struct run *run, size_t first, bool exists, struct err *err)
{
    enum conflict_action action;
    if (err->kind != ERR_PERMANENT || run->planned || is_careful(r, run->table))
        return -1;
    if (!run->repeatable) {
        /* It is a row of this transaction, whichever it is. */
        if (exists && !rows_may_exist(run))
            return meet(run, first, CONFLICT_INSERT_EXISTS, &action, err);
        return -1;
    }
    free(r->careful);
    r->careful = strdup(run->table->name);
    if (!r->careful)
        return err_nomem(err);
    err->kind = ERR_RETRY;
    return err_hint(err, "now row by row, to find the faulty one");
}

void runner_committed(struct runner *r)
{
    free(r->careful);
    r->careful = NULL;
}

/* ---- one row ---- */

/* The column in which a row has NULL under a unique index of the target; ncolumns: there is none.
 * An index that takes any number of NULLs is not described as unique. */
static uint32_t null_in_index(const struct target_table *t, const struct value *row,
                              const char **index)
{
    for (size_t i = 0; i < t->nindexes; i++)
        for (uint32_t k = 0; k < t->indexes[i].n; k++) {
            *index = t->indexes[i].name;
            if (row[t->indexes[i].columns[k]].kind == VALUE_NULL)
                return t->indexes[i].columns[k];
        }
    return t->rel->ncolumns;
}

/* Adds to an error what may be meant where a unique index that is not the key refused the row. */
static int unique_hint(const struct target_table *t, const struct value *row, struct err *err)
{
    const char *index = "";
    uint32_t column = null_in_index(t, row, &index);
    if (column == t->rel->ncolumns)
        return err_hint(err, "another row has the same value there. Is the source's unique index "
                             "DEFERRABLE, or are there none? Then make the target's not unique");
    const char *name = t->rel->columns[column].name;
    return err_hint(err,
                    "the unique index %s of the target takes one NULL only in column %s: make it "
                    "one WHERE %s IS NOT NULL",
                    index, name, name);
}

/* Executes a change of one row, that of row `i` or what takes its place. */
static int execute_row(struct runner *r, struct run *run, size_t i, enum change_kind kind,
                       const struct row_change *row, struct slice_result *result, struct err *err)
{
    const struct slice slice = {
        .kind = kind,
        .table = run->table,
        .rows = row,
        .nrows = 1,
        .columns = run->table->flags,
        .rows_may_exist = rows_may_exist(run),
        .statements = &r->statements,
    };
    *result = (struct slice_result){0};
    if (r->ops->execute(r->driver, &slice, result, err) == 0)
        return 0;
    run->unsettled = run->settling && result->exists && !result->gone;
    if (result->exists && kind == CHANGE_UPDATE)
        return unique_hint(run->table, row->new, err);
    /* An index that was made since, perhaps; one over an expression otherwise. */
    return result->gone && result->exists && kind == CHANGE_INSERT
               ? be_careful(r, run, i, true, err)
               : -1;
}

static void set_flags(struct target_table *t, bool flag)
{
    memset(t->flags, flag, t->rel->ncolumns);
}

static int only_one(const struct target_table *t, uint64_t matched, struct err *err)
{
    if (matched <= 1)
        return 0;
    if (t->is_variant) {
        (void)err_set(err, ERR_PERMANENT,
                      "%" PRIu64 " rows in the target have all that the source sent of the row",
                      matched);
        return err_hint(
            err,
            "at the source, give the partitions the replica identity of their root, or FULL, for "
            "future rows");
    }
    (void)err_set(err, ERR_PERMANENT, "%" PRIu64 " rows in the target have the same key", matched);
    return err_hint(err, "give the target table a primary key");
}

/* A unique index of the target refused the row. */
static int insert_exists(struct runner *r, struct run *run, size_t i, struct err *err)
{
    const struct target_table *t = run->table;
    const char *index;
    enum conflict_action action;
    struct slice_result result;
    if (meet(run, i, CONFLICT_INSERT_EXISTS, &action, err))
        return null_in_index(t, run->rows[i].new, &index) < t->rel->ncolumns
                   ? unique_hint(t, run->rows[i].new, err)
                   : -1;
    if (action == CONFLICT_SKIP)
        return 0;
    if (t->identity.n == 0 || t->identity.by_all_columns)
        return err_set(err, ERR_PERMANENT,
                       "the row is there under a key that the relation does not have");
    set_flags(run->table, true);
    if (execute_row(r, run, i, CHANGE_UPDATE, &run->rows[i], &result, err) ||
        (result.outcome != SLICE_DONE && only_one(t, result.matched, err)))
        return -1;
    if (result.outcome == SLICE_DONE)
        return 0;
    run->unsettled = run->settling;
    (void)err_set(err, ERR_PERMANENT, "another row has the same value in a unique column");
    return unique_hint(t, run->rows[i].new, err);
}

/* The tuple of an UPDATE with what is known of the values that were not sent; for free(). */
static struct value *whole_row(const struct run *run, const struct row_change *row)
{
    uint32_t n = run->table->rel->ncolumns;
    struct value *whole = calloc((size_t)n + 1, sizeof *whole);
    for (uint32_t c = 0; whole && c < n; c++)
        whole[c] = *slice_value(row, c);
    return whole;
}

static bool lacks_value(const struct run *run, const struct row_change *row)
{
    for (uint32_t c = 0; c < run->table->rel->ncolumns; c++)
        if (slice_value(row, c)->kind == VALUE_UNCHANGED)
            return true;
    return false;
}

/* An UPDATE that a row filter made an INSERT lacks values: its row may have been put there by hand.
 */
static enum change_kind kind_of_row(const struct run *run, const struct row_change *row)
{
    return run->kind == CHANGE_INSERT && lacks_value(run, row) ? CHANGE_UPDATE : run->kind;
}

static int filter_hint(struct err *err)
{
    return err_hint(
        err,
        "it came into the publication's row filter by an UPDATE, without its unchanged TOASTed "
        "values: insert the row into the target by hand, and set REPLICA IDENTITY FULL at the "
        "source for future rows");
}

/* A partition with an identity of its own sends nothing of the row as it was where that identity
 * did not change, although the root's key did. */
static int key_may_have_changed(struct err *err)
{
    (void)err_set(err, ERR_PERMANENT,
                  "the row to update is not in the target under its key, which may have changed: "
                  "its partition, with a replica identity of its own, does not say");
    return err_hint(
        err, "at the source, give the partitions the replica identity of their root, or FULL, for "
             "future rows");
}

/* Inserts what an UPDATE makes of a row that is missing. */
static int insert_updated(struct runner *r, struct run *run, size_t i, struct err *err)
{
    struct slice_result result;
    struct value *whole = whole_row(run, &run->rows[i]);
    if (!whole)
        return err_nomem(err);
    const struct row_change row = {.new = whole, .txn = run->rows[i].txn};
    set_flags(run->table, true);
    int rc = execute_row(r, run, i, CHANGE_INSERT, &row, &result, err);
    free(whole);
    if (rc)
        return -1;
    return result.outcome == SLICE_DONE
               ? 0
               : err_set(err, ERR_PERMANENT, "the row to insert instead is in the target already");
}

/* Whether the row that a change leaves, of which not all was sent, will be read again. */
static bool will_be_read(const struct run *run, const struct row_change *row)
{
    return run->lacks && row_key_put(&run->table->identity, run->table->rel, row, run->lacks);
}

/* The row to update is missing: it is inserted, where all of it was sent. */
static int update_missing(struct runner *r, struct run *run, size_t i, struct err *err)
{
    enum conflict_action action;
    bool came_in = run->kind == CHANGE_INSERT;
    if (came_in && will_be_read(run, &run->rows[i]))
        return 0;
    if (!came_in && !run->rows[i].old &&
        run->table->rel->replica_identity == REPLICA_IDENTITY_PARTITION)
        return key_may_have_changed(err);
    if (meet(run, i, CONFLICT_UPDATE_MISSING, &action, err))
        return came_in ? filter_hint(err) : -1;
    run->unsettled = run->settling && came_in;
    if (run->unsettled)
        return err_set(err, ERR_PERMANENT, "a row has come without its unchanged TOASTed values");
    if (action == CONFLICT_SKIP)
        return 0;
    if (insert_updated(r, run, i, err) == 0)
        return 0;
    return came_in ? filter_hint(err) : -1;
}

/* ---- one row while the table settles ---- */

/* Numbers that PostgreSQL and every target take for the same may differ in their text: 0 and -0. */
static bool same_number(const struct column *c, const struct value *a, const struct value *b)
{
    double x, y;
    bool single = c->base_type_oid == PG_TYPE_FLOAT4;
    return (single || c->base_type_oid == PG_TYPE_FLOAT8) && a->kind == VALUE_TEXT &&
           b->kind == VALUE_TEXT && pg_text_real(a, single, &x) && pg_text_real(b, single, &y) &&
           x == y;
}

/* Whether an UPDATE gives the row another key, one that the target tells from the old one. */
static bool moves(const struct run *run, const struct row_change *row)
{
    const struct identity *id = &run->table->identity;
    if (run->kind != CHANGE_UPDATE || !row->old || identity_same_row(id, row->old, row->new))
        return false;
    for (uint32_t i = 0; i < id->n; i++) {
        uint32_t column = id->columns[i];
        const struct identity one = {.n = 1, .columns = &column};
        if (!identity_same_row(&one, row->old, row->new) &&
            !same_number(&run->table->rel->columns[column], &row->old[column], &row->new[column]))
            return true;
    }
    return false;
}

/* Executes a change of one row; *found: the row was there. */
static int change_row(struct runner *r, struct run *run, size_t i, enum change_kind kind,
                      const struct row_change *row, bool *found, struct err *err)
{
    struct slice_result result;
    if (kind == CHANGE_UPDATE)
        identity_choose_columns(&run->table->identity, run->table->rel, row, run->table->flags);
    else
        set_flags(run->table, false);
    if (execute_row(r, run, i, kind, row, &result, err) ||
        (result.outcome != SLICE_DONE && only_one(run->table, result.matched, err)))
        return -1;
    *found = result.outcome == SLICE_DONE;
    return 0;
}

/*
 * An UPDATE that moves a row to another key. A row that is there under the new one has come from a
 * snapshot that saw this: it stays, and gets what was sent. Otherwise the row moves; where it is
 * not there, a snapshot saw that it had gone, or has yet to see it: it is put in anew.
 */
static int move_row(struct runner *r, struct run *run, size_t i, struct err *err)
{
    const struct row_change *row = &run->rows[i];
    const struct row_change there = {.new = row->new, .txn = row->txn};
    const struct row_change gone = {.old = row->old, .txn = row->txn};
    bool found;
    if (change_row(r, run, i, CHANGE_UPDATE, &there, &found, err))
        return -1;
    if (found)
        return change_row(r, run, i, CHANGE_DELETE, &gone, &found, err);
    if (change_row(r, run, i, CHANGE_UPDATE, row, &found, err))
        return -1;
    if (found)
        return 0;
    if (!lacks_value(run, row))
        return insert_updated(r, run, i, err);
    if (will_be_read(run, row))
        return 0;
    run->unsettled = true;
    return err_set(err, ERR_PERMANENT,
                   "a row has moved to another key without its unchanged TOASTed values");
}

/* What becomes of a row that is not in as it should be. */
static int settle_row(struct runner *r, struct run *run, size_t i, enum change_kind kind,
                      const struct slice_result *result, struct err *err)
{
    enum conflict_action action;
    int rc = 0;
    switch (kind) {
    case CHANGE_INSERT:
        rc = insert_exists(r, run, i, err);
        break;
    case CHANGE_UPDATE:
        rc = only_one(run->table, result->matched, err) || update_missing(r, run, i, err);
        break;
    case CHANGE_DELETE:
        rc = only_one(run->table, result->matched, err) ||
             meet(run, i, CONFLICT_DELETE_MISSING, &action, err);
        break;
    }
    if (rc)
        run->failed = i;
    return rc ? -1 : 0;
}

static int apply_row(struct runner *r, struct run *run, size_t i, struct err *err)
{
    struct target_table *t = run->table;
    struct slice_result result;
    const enum change_kind kind = kind_of_row(run, &run->rows[i]);
    if (kind == CHANGE_UPDATE)
        identity_choose_columns(&t->identity, t->rel, &run->rows[i], t->flags);
    else
        set_flags(t, kind == CHANGE_INSERT);
    run->failed = i;
    if (run->settling && moves(run, &run->rows[i]))
        return move_row(r, run, i, err);
    if (execute_row(r, run, i, kind, &run->rows[i], &result, err))
        return -1;
    return result.outcome == SLICE_DONE ? 0 : settle_row(r, run, i, kind, &result, err);
}

static int apply_rows(struct runner *r, struct run *run, size_t first, size_t n, struct err *err)
{
    for (size_t i = first; i < first + n; i++)
        if (apply_row(r, run, i, err))
            return -1;
    return 0;
}

/* ---- a slice ---- */

static enum slicing slicing_of(const struct runner *r, const struct run *run)
{
    const struct target_table *t = run->table;
    enum slicing slicing = run->kind == CHANGE_INSERT   ? r->traits.inserts
                           : run->kind == CHANGE_UPDATE ? r->traits.updates
                                                        : r->traits.deletes;
    if (run->nrows < 2)
        return SLICING_NONE;
    if (r->traits.exact)
        return slicing;
    if (t->rel->ncolumns == 0 || is_careful(r, t))
        return SLICING_NONE;
    if (run->kind == CHANGE_INSERT || t->unique)
        return slicing;
    return t->identity.by_all_columns ? r->traits.keyless : SLICING_NONE;
}

/* About what a row's values take on their way. */
static uint64_t row_bytes(const struct target_table *t, enum change_kind kind,
                          const struct row_change *row)
{
    enum { OVERHEAD = 10 }; /* of a value */
    uint64_t bytes = 0;
    for (uint32_t i = 0; row->new &&i < t->rel->ncolumns; i++)
        if (t->flags[i])
            bytes += row->new[i].size + OVERHEAD;
    const struct value *was = identity_of_row(row);
    for (uint32_t i = 0; kind != CHANGE_INSERT && i < t->identity.n; i++)
        bytes += was[t->identity.columns[i]].size + OVERHEAD;
    return bytes;
}

static bool writes_alone(const struct target_table *t)
{
    for (uint32_t i = 0; i < t->rel->ncolumns; i++)
        if (t->flags[i] && t->alone[i])
            return true;
    return false;
}

/* Whether a row writes the columns that are flagged. */
static bool same_columns(const struct target_table *t, const struct row_change *row,
                         uint8_t *others)
{
    identity_choose_columns(&t->identity, t->rel, row, others);
    return memcmp(others, t->flags, t->rel->ncolumns) == 0;
}

/* How many rows from `first` on share a slice; flags its columns. */
static size_t take_slice(struct runner *r, const struct run *run, size_t first,
                         enum slicing slicing)
{
    struct target_table *t = run->table;
    uint8_t *others = t->flags + t->rel->ncolumns;
    bool keyed = slicing == SLICING_SET && run->kind != CHANGE_INSERT;
    uint64_t bytes = 0;
    size_t i = first;
    if (run->kind == CHANGE_UPDATE)
        identity_choose_columns(&t->identity, t->rel, &run->rows[first], t->flags);
    else
        set_flags(t, run->kind == CHANGE_INSERT);
    if (run->kind == CHANGE_UPDATE && writes_alone(t))
        return 1;
    if (keyed)
        key_set_clear(&r->keys);
    for (; i < run->nrows; i++) {
        const struct row_change *row = &run->rows[i];
        if (run->kind == CHANGE_UPDATE && i > first && !same_columns(t, row, others))
            break;
        if (kind_of_row(run, row) != run->kind || (run->settling && moves(run, row)))
            return i > first ? i - first : 1;
        if (keyed && !key_set_add(&r->keys, &t->identity, row) && i > first)
            break;
        if (r->traits.slice_bytes == 0)
            continue;
        bytes += row_bytes(t, run->kind, row);
        if (bytes > r->traits.slice_bytes && i > first)
            break;
    }
    return i - first;
}

/* Whether the rows of a slice that failed are to go one by one (1), or not (-1). */
static int after_failure(struct runner *r, struct run *run, size_t first, size_t n,
                         const struct slice_result *result, struct err *err)
{
    if (err->kind != ERR_PERMANENT)
        return -1;
    if (result->undone) {
        err_clear(err);
        return 1;
    }
    if (result->gone)
        return be_careful(r, run, first, run->kind == CHANGE_INSERT && result->exists, err);
    run->failed = result->failed < n ? first + result->failed : run->nrows;
    return -1;
}

/* Applies a slice from `first` on; *done: how many rows it was. */
static int apply_slice(struct runner *r, struct run *run, size_t first, enum slicing slicing,
                       size_t *done, struct err *err)
{
    size_t n = take_slice(r, run, first, slicing);
    const struct slice slice = {
        .kind = run->kind,
        .table = run->table,
        .rows = &run->rows[first],
        .nrows = n,
        .columns = run->table->flags,
        .rows_may_exist = rows_may_exist(run),
        .rolls_back = run->planned,
        .statements = &r->statements,
    };
    struct slice_result result = {.failed = n};
    *done = n;
    run->failed = run->nrows;
    if (n == 1)
        return apply_row(r, run, first, err);
    if (r->ops->execute(r->driver, &slice, &result, err)) {
        int one_by_one = after_failure(r, run, first, n, &result, err);
        return one_by_one < 0 ? -1 : apply_rows(r, run, first, n, err);
    }
    switch (result.outcome) {
    case SLICE_DONE:
        return 0;
    case SLICE_SUM:
        return run->planned ? err_set(err, ERR_PERMANENT, "a row is there already, or missing")
                            : apply_rows(r, run, first, n, err);
    case SLICE_ONE_ROW:
        *done = result.done + 1;
        return settle_row(r, run, first + result.done, run->kind, &result, err);
    }
    BUG("a slice without an outcome");
}

/* A target that numbers rows does so where it is told NULL, without a word. */
static int check_autonumber(struct run *run, struct err *err)
{
    const struct target_table *t = run->table;
    if (t->autonumber >= t->rel->ncolumns || run->kind == CHANGE_DELETE)
        return 0;
    for (size_t i = 0; i < run->nrows; i++) {
        if (run->rows[i].new[t->autonumber].kind != VALUE_NULL)
            continue;
        run->failed = i;
        (void)err_set(err, ERR_PERMANENT,
                      "column %s: the value is NULL, for which the target makes a number",
                      t->rel->columns[t->autonumber].name);
        return err_hint(err, "make it an ordinary column that accepts NULL");
    }
    return 0;
}

static int apply_run(struct runner *r, struct run *run, struct err *err)
{
    run->failed = run->nrows;
    if (check_autonumber(run, err))
        return -1;
    if (run->kind != CHANGE_INSERT && identity_require(&run->table->identity, err)) {
        run->failed = 0;
        return -1;
    }
    enum slicing slicing = slicing_of(r, run);
    if (slicing == SLICING_NONE)
        return apply_rows(r, run, 0, run->nrows, err);
    for (size_t i = 0, done; i < run->nrows; i += done)
        if (apply_slice(r, run, i, slicing, &done, err))
            return -1;
    return 0;
}

/* ---- rows of partitions ---- */

void runner_forget(struct runner *r, struct target_table *t)
{
    for (struct target_table *v = t->variants; v; v = v->next)
        statements_forget(&r->statements, &v->statements);
    statements_forget(&r->statements, &t->statements);
    table_free_variants(t);
}

/* With many columns that may be NULL there are many. */
static void bound_variants(struct runner *r, struct target_table *t)
{
    enum { MOST_VARIANTS = 16 };
    size_t n = 0;
    for (const struct target_table *v = t->variants; v; v = v->next)
        n++;
    if (n > MOST_VARIANTS)
        runner_forget(r, t);
}

/* The unique index of the target that the old tuple has all columns of; NULL: there is none. */
static const struct table_index *sent_index(const struct target_table *t, const struct value *old)
{
    for (size_t i = 0; i < t->nindexes; i++)
        if (identity_is_in(t->indexes[i].columns, t->indexes[i].n, old))
            return &t->indexes[i];
    return NULL;
}

/* The table as a row is found in it: by what was sent of it as it was, and of that by what the
 * target knows to be unique. */
static int table_of_row(struct runner *r, struct target_table *t, const struct row_change *row,
                        struct target_table **out, struct err *err)
{
    struct identity id;
    *out = t;
    if (!row->old || (t->unique && identity_is_in(t->identity.columns, t->identity.n, row->old)))
        return 0;
    const struct table_index *index = sent_index(t, row->old);
    int rc = index ? identity_of_columns(&id, t->rel, index->columns, index->n, err)
                   : identity_of_old(&id, t->rel, row->old, err);
    if (rc == 0)
        rc = table_variant(r->ops, r->driver, t, &id, out, err);
    identity_free(&id);
    return rc;
}

/* Rows that follow each other and are found in the same way are a run of their own. */
static int apply_partitions(struct runner *r, struct run *run, struct err *err)
{
    for (size_t first = 0, n; first < run->nrows; first += n) {
        struct run part = *run;
        run->failed = first;
        bound_variants(r, run->table);
        if (table_of_row(r, run->table, &run->rows[first], &part.table, err))
            return -1;
        for (n = 1; first + n < run->nrows; n++) {
            struct target_table *next;
            run->failed = first + n;
            if (table_of_row(r, run->table, &run->rows[first + n], &next, err))
                return -1;
            if (next != part.table)
                break;
        }
        part.rows = &run->rows[first];
        part.nrows = n;
        int rc = apply_run(r, &part, err);
        run->failed = part.failed < n ? first + part.failed : run->nrows;
        run->conflict = part.conflict;
        if (rc)
            return -1;
    }
    return 0;
}

int runner_apply(struct runner *r, struct run *run, struct err *err)
{
    bool of_partitions = run->kind != CHANGE_INSERT &&
                         run->table->rel->replica_identity == REPLICA_IDENTITY_PARTITION;
    return of_partitions ? apply_partitions(r, run, err) : apply_run(r, run, err);
}
