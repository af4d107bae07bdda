/*
 * Runs of rows into a table.
 *
 * A run is cut into slices: consecutive rows that one statement takes as a set, in any order. So a
 * row whose key, old or new, is that of another row of the slice begins the next one, and so does
 * an UPDATE that writes other columns.
 *
 * The server counts the rows. Each is found by a unique index, so the count must be the number of
 * rows. If it is not, the slice is rolled back to its savepoint and its rows go one by one: that
 * finds the one, and the conflict. After an error there is nothing to roll back to, because the
 * transaction is gone with it: the group is repeated, with the rows of this table one by one, which
 * finds the one too. Where the loop cannot repeat, all rows are of one source transaction, and the
 * error names that.
 */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "frames/frame.h"
#include "mssql_dest.h"
#include "mssql_error.h"
#include "sql/conflicts.h"
#include "sql/dest_row.h"

#define SLICE_BYTES    ((size_t)4 << 20)
#define KEEP_BYTES     ((size_t)16 << 20)
#define KEYS           4096 /* a power of two; a run has up to 1000 rows with two keys each */
#define KEYS_PER_SLICE (KEYS / 2)
#define KEY_UNITS      4000 /* as which text is compared with a key; see mssql_column_declare() */

/* The rows of a statement. Kept, so that nothing is allocated for a run. */
struct batch {
    struct buf rows;      /* as JSON or as literals */
    struct buf statement; /* with the literals in it */
    size_t nrows;
    uint8_t flags[FRAME_MAX_COLUMNS]; /* of an UPDATE: the column is written */
    uint64_t keys[KEYS];              /* hashes of the keys of the slice; 0: free */
    size_t nkeys;
};

void mssql_batch_free(struct batch *b)
{
    if (!b)
        return;
    buf_free(&b->rows);
    buf_free(&b->statement);
    free(b);
}

static int start_batch(struct dest *d, struct err *err)
{
    if (!d->batch)
        d->batch = calloc(1, sizeof *d->batch);
    if (!d->batch)
        return err_nomem(err);
    struct batch *b = d->batch;
    buf_reset(&b->rows, KEEP_BYTES);
    buf_reset(&b->statement, KEEP_BYTES);
    b->nrows = 0;
    if (b->nkeys > 0)
        memset(b->keys, 0, sizeof b->keys);
    b->nkeys = 0;
    return 0;
}

/* ---- keys ---- */

static uint64_t hash_bytes(uint64_t h, const void *data, size_t size)
{
    const unsigned char *p = data;
    for (size_t i = 0; i < size; i++)
        h = (h ^ p[i]) * UINT64_C(0x100000001b3); /* FNV-1a */
    return h;
}

/* Two keys with one hash only begin another slice. */
static uint64_t hash_identity(const struct identity *id, const struct value *values,
                              const struct value *unsent)
{
    uint64_t h = UINT64_C(0xcbf29ce484222325);
    for (uint32_t i = 0; i < id->n; i++) {
        const struct value *v = &values[id->columns[i]];
        if (v->kind == VALUE_UNCHANGED)
            v = &unsent[id->columns[i]];
        h = hash_bytes(h, &v->kind, sizeof v->kind);
        h = hash_bytes(h, &v->size, sizeof v->size);
        h = hash_bytes(h, v->data, v->size);
    }
    return h ? h : 1;
}

/* Whether the slice has the key; otherwise where it goes. */
static bool find_key(struct batch *b, uint64_t key, uint64_t **slot)
{
    for (uint64_t i = key;; i++) {
        *slot = &b->keys[i % KEYS];
        if (**slot == key || **slot == 0)
            return **slot == key;
    }
}

/* Adds the keys that a row has and gets; false, and nothing is added: the slice has one of them. */
static bool add_keys(struct batch *b, const struct identity *id, const struct dest_row *row)
{
    const struct value *was = identity_of_row(row);
    uint64_t old = hash_identity(id, was, was);
    uint64_t new = row->new ? hash_identity(id, row->new, was) : old;
    uint64_t *slot;
    if (b->nkeys + 2 > KEYS_PER_SLICE || find_key(b, new, &slot) || find_key(b, old, &slot))
        return false;
    *slot = old;
    b->nkeys++;
    if (!find_key(b, new, &slot)) {
        *slot = new;
        b->nkeys++;
    }
    return true;
}

/* ---- the rows of a statement ---- */

static int append_cell(struct dest *d, const struct dest_table *t, uint32_t column,
                       const struct value *v, bool key, struct err *err)
{
    struct buf *out = &d->batch->rows;
    uint64_t units = 0;
    if (mssql_append_value(out, d->rows, t->forms[column], v, &d->policy, &units, err))
        return err_context(err, "column %s", t->rel->columns[column].name);
    uint32_t most = mssql_column_units(&t->there[column]);
    if (key && most && t->forms[column] == FORM_TEXT && units > KEY_UNITS)
        return err_set(err, ERR_PERMANENT,
                       "column %s: the value has %" PRIu64 " UTF-16 units, and the target's column "
                       "takes %" PRIu32,
                       t->rel->columns[column].name, units, most);
    return 0;
}

/* Appends a row: the columns flagged in `set`, then the identity where it is not NULL. */
static int append_row(struct dest *d, const struct dest_table *t, const uint8_t *set,
                      const struct value *values, const struct value *identity, struct err *err)
{
    struct batch *b = d->batch;
    const char *comma = "";
    size_t before = b->rows.len;
    bool json = d->rows == ROWS_JSON;
    buf_append_str(&b->rows, b->nrows ? "," : json ? "[" : "");
    buf_append_byte(&b->rows, json ? '[' : '(');
    for (uint32_t i = 0; set && i < t->rel->ncolumns; i++) {
        if (!set[i])
            continue;
        const struct value *v = &values[i];
        /* A row without anything to write writes its identity, which may not have been sent. */
        if (v->kind == VALUE_UNCHANGED && identity)
            v = &identity[i];
        buf_append_str(&b->rows, comma);
        comma = ",";
        if (append_cell(d, t, i, v, false, err)) {
            b->rows.len = before;
            return -1;
        }
    }
    for (uint32_t i = 0; identity && i < t->identity.n; i++) {
        uint32_t column = t->identity.columns[i];
        buf_append_str(&b->rows, comma);
        comma = ",";
        if (append_cell(d, t, column, &identity[column], true, err)) {
            b->rows.len = before;
            return -1;
        }
    }
    buf_append_byte(&b->rows, json ? ']' : ')');
    b->nrows++;
    return 0;
}

/* Executes a statement with the rows of the batch. */
static int execute(struct dest *d, const struct statement *s, int64_t *affected, struct err *err)
{
    struct batch *b = d->batch;
    int rc;
    *affected = 0;
    if (b->nrows == 0) {
        rc = mssql_session_execute(d->session, &s->head, NULL, affected, err);
    } else if (d->rows == ROWS_JSON) {
        buf_append_byte(&b->rows, ']');
        rc = mssql_session_execute(d->session, &s->head, &b->rows, affected, err);
    } else {
        buf_append(&b->statement, s->head.data, s->head.len);
        buf_append(&b->statement, b->rows.data, b->rows.len);
        buf_append(&b->statement, s->tail.data, s->tail.len);
        rc = buf_check(&b->rows, err);
        if (rc == 0)
            rc = mssql_session_execute(d->session, &b->statement, NULL, affected, err);
    }
    if (rc == 0 && *affected < 0)
        return err_set(err, ERR_RETRY, "the target has ended the transaction");
    return rc;
}

int mssql_execute_value(struct dest *d, const struct statement *s, enum mssql_form form,
                        const struct value *v, struct err *err)
{
    uint64_t units = 0;
    int64_t affected;
    if (start_batch(d, err))
        return -1;
    struct buf *out = &d->batch->rows;
    buf_append_str(out, d->rows == ROWS_JSON ? "[[" : "(");
    if (mssql_append_value(out, d->rows, form, v, &d->policy, &units, err))
        return -1;
    buf_append_byte(out, d->rows == ROWS_JSON ? ']' : ')');
    d->batch->nrows = 1;
    return execute(d, s, &affected, err);
}

static int execute_insert(struct dest *d, const struct dest_table *t, const struct statement *s,
                          int64_t *affected, struct err *err)
{
    d->identity_open = d->identity_open || t->identity_column != NO_COLUMN;
    if (execute(d, s, affected, err))
        return -1;
    d->identity_open = false;
    return 0;
}

/* ---- the transaction is gone with an error ---- */

static bool is_careful(const struct dest *d, const struct dest_table *t)
{
    return d->careful && strcmp(d->careful, t->target) == 0;
}

/*
 * The group comes again, if the loop has it, with the rows of this table one by one and the table's
 * indexes read anew. `first`: a row of the statement.
 */
static int be_careful(struct dest *d, struct dest_run *run, size_t first, struct err *err)
{
    enum dest_conflict_action action;
    if (err->kind != ERR_PERMANENT || is_careful(d, run->table))
        return -1;
    if (!run->repeatable) {
        /* It is a row of this transaction, whichever it is. */
        if (run->kind == DEST_INSERT && mssql_error_is_duplicate(mssql_session_error(d->session)) &&
            run->conflicts->policy == DEST_CONFLICT_STOP)
            return dest_conflict(run, first, DEST_INSERT_EXISTS, &action, err);
        return -1;
    }
    free(d->careful);
    d->careful = strdup(run->table->target);
    if (!d->careful)
        return err_nomem(err);
    err->kind = ERR_RETRY;
    return err_hint(err, "row by row now, to find the one");
}

/* ---- one row ---- */

/* Rows that may exist are not tried, where the user wants to go on after them. */
static bool inserts_missing(const struct dest_run *run)
{
    return run->conflicts->policy != DEST_CONFLICT_STOP && run->table->nindexes > 0;
}

static int insert_values(struct dest *d, struct dest_run *run, const struct value *values,
                         bool *exists, struct err *err)
{
    struct dest_table *t = run->table;
    const struct statement *s;
    int64_t affected;
    bool missing = inserts_missing(run);
    *exists = false;
    if (start_batch(d, err) || mssql_insert(d, t, missing, &s, err))
        return -1;
    memset(t->scratch, 1, t->rel->ncolumns);
    if (t->rel->ncolumns > 0 && append_row(d, t, t->scratch, values, NULL, err))
        return -1;
    if (execute_insert(d, t, s, &affected, err)) {
        if (!mssql_error_is_duplicate(mssql_session_error(d->session)))
            return -1;
        /* An index that was made since, perhaps; one over an expression otherwise. */
        if (missing)
            return be_careful(d, run, 0, err);
        *exists = true;
        err_clear(err);
        return 0;
    }
    *exists = missing && affected == 0;
    return 0;
}

static int delete_values(struct dest *d, struct dest_run *run, const struct value *identity,
                         uint64_t *matched, struct err *err)
{
    struct dest_table *t = run->table;
    const struct statement *s;
    int64_t affected;
    if (start_batch(d, err) || mssql_delete(d, t, &s, err) ||
        (t->identity.n > 0 && append_row(d, t, NULL, NULL, identity, err)) ||
        execute(d, s, &affected, err))
        return -1;
    *matched = (uint64_t)affected;
    return 0;
}

/* A column with IDENTITY cannot be written by an UPDATE: the row goes and comes again. */
static int replace_row(struct dest *d, struct dest_run *run, const struct dest_row *row,
                       uint64_t *matched, struct err *err)
{
    struct dest_table *t = run->table;
    struct value *whole = dest_row_whole(run, row);
    bool exists = false;
    int rc = 0;
    if (!whole)
        return err_nomem(err);
    for (uint32_t i = 0; rc == 0 && i < t->rel->ncolumns; i++)
        if (whole[i].kind == VALUE_UNCHANGED) {
            (void)err_set(
                err, ERR_PERMANENT,
                "column %s has IDENTITY in the target, which no UPDATE can write, and the "
                "row cannot be made anew because column %s was not sent",
                t->rel->columns[t->identity_column].name, t->rel->columns[i].name);
            rc = err_hint(err, "make the target's column one without IDENTITY");
        }
    if (rc == 0)
        rc = delete_values(d, run, identity_of_row(row), matched, err);
    if (rc == 0 && *matched == 1)
        rc = insert_values(d, run, whole, &exists, err);
    if (rc == 0 && exists)
        rc = err_set(err, ERR_PERMANENT, "another row has the same value in a unique column");
    free(whole);
    return rc;
}

static bool writes_identity(const struct dest_table *t, const uint8_t *columns)
{
    return t->identity_column != NO_COLUMN && columns[t->identity_column];
}

static int update_values(struct dest *d, struct dest_run *run, const uint8_t *columns,
                         const struct dest_row *row, uint64_t *matched, struct err *err)
{
    struct dest_table *t = run->table;
    const struct statement *s;
    int64_t affected;
    if (writes_identity(t, columns))
        return replace_row(d, run, row, matched, err);
    if (start_batch(d, err) || mssql_update(d, t, columns, &s, err) ||
        append_row(d, t, columns, row->new, identity_of_row(row), err) ||
        execute(d, s, &affected, err))
        return -1;
    *matched = (uint64_t)affected;
    return 0;
}

static const struct dest_row_ops row_ops = {insert_values, update_values, delete_values};

static int apply_row(struct dest *d, struct dest_run *run, size_t i, struct err *err)
{
    return dest_row_apply(d, run, i, &row_ops, &run->table->identity, run->table->scratch, err);
}

/* ---- a slice ---- */

/* Whether rows of this run may share a statement; see the top. */
static bool can_batch(const struct dest *d, const struct dest_run *run)
{
    const struct dest_table *t = run->table;
    if (run->nrows < 2 || run->relation->ncolumns == 0 || is_careful(d, t))
        return false;
    return run->kind == DEST_INSERT || t->unique;
}

/* Whether a row can be in the slice, the first one aside. */
static bool joins(struct batch *b, const struct dest_run *run, const struct dest_row *row)
{
    struct dest_table *t = run->table;
    if (run->kind == DEST_UPDATE) {
        identity_choose_columns(&t->identity, t->rel, row, t->scratch);
        if (memcmp(t->scratch, b->flags, t->rel->ncolumns) != 0 || writes_identity(t, b->flags))
            return false;
    }
    return run->kind == DEST_INSERT || add_keys(b, &t->identity, row);
}

/* Fills the batch with the rows from `first` on that can share a statement; there is always one. */
static int take_slice(struct dest *d, struct dest_run *run, size_t first, struct err *err)
{
    struct dest_table *t = run->table;
    if (start_batch(d, err))
        return -1;
    struct batch *b = d->batch;
    memset(b->flags, run->kind == DEST_INSERT, t->rel->ncolumns);
    if (run->kind == DEST_UPDATE)
        identity_choose_columns(&t->identity, t->rel, &run->rows[first], b->flags);
    for (size_t i = first; i < run->nrows; i++) {
        const struct dest_row *row = &run->rows[i];
        if (!joins(b, run, row) && i > first)
            break;
        if (append_row(d, t, b->flags, row->new,
                       run->kind == DEST_INSERT ? NULL : identity_of_row(row), err)) {
            run->failed = i;
            return -1;
        }
        if (b->rows.len > SLICE_BYTES)
            break;
    }
    return 0;
}

static int execute_slice(struct dest *d, struct dest_run *run, int64_t *affected, struct err *err)
{
    struct dest_table *t = run->table;
    const struct statement *s;
    if (run->kind == DEST_INSERT)
        return mssql_insert(d, t, inserts_missing(run), &s, err) ||
                       execute_insert(d, t, s, affected, err)
                   ? -1
                   : 0;
    int rc = run->kind == DEST_UPDATE ? mssql_update(d, t, d->batch->flags, &s, err)
                                      : mssql_delete(d, t, &s, err);
    return rc ? rc : execute(d, s, affected, err);
}

static int apply_slice(struct dest *d, struct dest_run *run, size_t first, struct err *err)
{
    size_t n = d->batch->nrows;
    int64_t affected;
    if (n == 1)
        return apply_row(d, run, first, err);
    if (execute_slice(d, run, &affected, err))
        return be_careful(d, run, first, err);
    if ((uint64_t)affected == n)
        return 0;
    if (run->kind == DEST_INSERT && !inserts_missing(run))
        return err_set(err, ERR_PERMANENT, "the target has inserted %" PRId64 " of %zu rows",
                       affected, n);
    if (mssql_session_run(d->session, "ROLLBACK TRANSACTION pg2any", NULL, err))
        return -1;
    for (size_t i = first; i < first + n; i++)
        if (apply_row(d, run, i, err))
            return -1;
    return 0;
}

int mssql_apply(struct dest *d, struct dest_run *run, struct err *err)
{
    if (run->kind != DEST_INSERT && identity_require(&run->table->identity, err))
        return -1;
    bool batch = can_batch(d, run);
    for (size_t i = 0; i < run->nrows;) {
        if (!batch) {
            if (apply_row(d, run, i, err))
                return -1;
            i++;
            continue;
        }
        if (take_slice(d, run, i, err))
            return -1;
        size_t n = d->batch->nrows; /* a row by itself uses the batch too */
        if (apply_slice(d, run, i, err))
            return -1;
        i += n;
    }
    return 0;
}

/* ---- TRUNCATE ---- */

/*
 * Where SQL Server refuses TRUNCATE TABLE (its page, "Restrictions" and "Permissions"): an error
 * would end the transaction, so it is asked before.
 */
static int can_truncate(struct dest *d, const struct dest_table *t, bool *can, struct err *err)
{
    struct buf sql = {0};
    struct mssql_result rows;
    buf_append_str(&sql, "SELECT 1 FROM ");
    mssql_catalog(&sql, t->target, "tables");
    buf_append_str(&sql, " AS t WHERE t.object_id = ");
    mssql_object_id(&sql, t->target);
    buf_append_str(&sql, " AND t.temporal_type = 0 AND t.is_replicated = 0 AND "
                         "t.is_tracked_by_cdc = 0 AND HAS_PERMS_BY_NAME(");
    mssql_literal(&sql, t->target);
    buf_append_str(&sql, ", N'OBJECT', N'ALTER') = 1 AND NOT EXISTS (SELECT 1 FROM ");
    mssql_catalog(&sql, t->target, "foreign_keys");
    buf_append_str(&sql, " AS f WHERE f.referenced_object_id = t.object_id) AND NOT EXISTS "
                         "(SELECT 1 FROM ");
    mssql_catalog(&sql, t->target, "sql_expression_dependencies");
    buf_append_str(&sql, " AS e WHERE e.referenced_id = t.object_id AND "
                         "e.is_schema_bound_reference = 1)");
    int rc = mssql_session_query(d->session, &sql, &rows, err);
    *can = rows.nrows > 0;
    mssql_result_free(&rows);
    return rc;
}

/* Whether a table that is still to be emptied refers to this one by a foreign key. */
static int is_referred_to(struct dest *d, struct dest_table *const *tables, const bool *done,
                          size_t ntables, size_t of, bool *referred, struct err *err)
{
    struct buf sql = {0};
    struct mssql_result rows;
    const char *comma = " AND f.parent_object_id IN (";
    buf_append_str(&sql, "SELECT 1 FROM ");
    mssql_catalog(&sql, tables[of]->target, "foreign_keys");
    buf_append_str(&sql, " AS f WHERE f.referenced_object_id = ");
    mssql_object_id(&sql, tables[of]->target);
    *referred = false;
    for (size_t i = 0; i < ntables; i++) {
        if (done[i] || i == of)
            continue;
        buf_append_str(&sql, comma);
        mssql_object_id(&sql, tables[i]->target);
        comma = ", ";
    }
    if (*comma == ' ') {
        buf_free(&sql);
        return 0;
    }
    buf_append_byte(&sql, ')');
    int rc = mssql_session_query(d->session, &sql, &rows, err);
    *referred = rows.nrows > 0;
    mssql_result_free(&rows);
    return rc;
}

static int empty(struct dest *d, const struct dest_table *t, bool truncate, struct err *err)
{
    struct buf sql = {0};
    buf_printf(&sql, "IF @@TRANCOUNT = 1 %s %s", truncate ? "TRUNCATE TABLE" : "DELETE FROM",
               t->target);
    return mssql_session_run_buf(d->session, &sql, NULL, err);
}

/* Tables that others refer to come after those; in a ring of them the first one fails. */
static int empty_all(struct dest *d, struct dest_table *const *tables, bool *done, size_t ntables,
                     struct err *err)
{
    for (size_t left = ntables; left > 0; left--) {
        size_t next = ntables;
        bool referred = true, can;
        for (size_t i = 0; i < ntables && referred; i++) {
            if (done[i])
                continue;
            if (is_referred_to(d, tables, done, ntables, i, &referred, err))
                return err_context(err, "table %s", tables[i]->target);
            if (next == ntables || !referred)
                next = i;
        }
        if (can_truncate(d, tables[next], &can, err) || empty(d, tables[next], can, err))
            return err_context(err, "table %s", tables[next]->target);
        done[next] = true;
    }
    return 0;
}

/* cascade: the source sent every published table that it emptied. Sequences are not replicated. */
int mssql_truncate(struct dest *d, struct dest_table *const *tables, size_t ntables, bool cascade,
                   bool restart_identity, struct err *err)
{
    (void)cascade;
    (void)restart_identity;
    bool *done = calloc(ntables + 1, sizeof *done);
    if (!done)
        return err_nomem(err);
    mssql_session_be_patient(d->session, true);
    int rc = empty_all(d, tables, done, ntables, err);
    mssql_session_be_patient(d->session, false);
    free(done);
    return rc;
}
