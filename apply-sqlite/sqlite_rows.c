/*
 * Rows into a table: several with one INSERT, which takes two thirds of the time of one by one;
 * UPDATE and DELETE one after the other.
 *
 * Statements are kept for each set of columns that an UPDATE writes, because unchanged TOASTed
 * values are left out.
 */
#include <stdlib.h>
#include <string.h>

#include "sql/table.h"
#include "sql/text.h"
#include "sqlite.h"
#include "sqlite_value.h"

/* More gains nothing, and a statement has memory for each parameter. */
#define ROWS_AT_ONCE       32
#define PARAMETERS_AT_ONCE 256

struct kept {
    struct statement base;
    sqlite3_stmt *stmt;
};

void sqlite_free_statement(struct statement *s)
{
    struct kept *kept = (struct kept *)s;
    (void)sqlite3_finalize(kept->stmt);
    free(kept);
}

/* ---- statements ---- */

/*
 * " OR ABORT" where a constraint of the table may say ON CONFLICT REPLACE or IGNORE itself. Not
 * everywhere: it would be in force in the table's triggers, in the place of their own clauses.
 */
static int choose_conflict(struct driver *d, const char *table, const char **conflict,
                           struct err *err)
{
    struct buf sql = {0};
    int64_t n = -1;
    buf_append_str(&sql, "SELECT 1 FROM sqlite_schema WHERE type = 'table' AND name = ");
    text_literal(&sql, table, strlen(table));
    buf_append_str(&sql, " COLLATE NOCASE AND sql LIKE '%conflict%'");
    int rc = sqlite_number(d, &sql, "reading the schema", &n, err);
    *conflict = n == 1 ? " OR ABORT" : "";
    return rc;
}

/* Appends a name of the rowid that no column has; of a table WITHOUT ROWID, its primary key. */
static int append_row_key(const struct target_table *t, struct buf *sql, struct err *err)
{
    static const char *const names[] = {"rowid", "_rowid_", "oid"};
    const struct described_index *key = NULL;
    for (size_t i = 0; i < t->there.nindexes && !key; i++)
        key = t->there.indexes[i].primary ? &t->there.indexes[i] : NULL;
    for (size_t i = 0; key && i < key->ncolumns; i++) {
        buf_append_str(sql, i == 0 ? "" : ", ");
        text_quote_standard(sql, key->columns[i]);
    }
    if (key)
        return 0;
    for (size_t n = 0; n < sizeof names / sizeof *names; n++) {
        if (described_find(&t->there, names[n]))
            continue;
        buf_append_str(sql, names[n]);
        return 0;
    }
    return err_set(err, ERR_PERMANENT,
                   "a table without a primary key that has columns named rowid, _rowid_ and oid");
}

/* Appends " WHERE …"; parameters are numbered from `first` on. */
static int append_where(const struct target_table *t, struct buf *sql, uint32_t first,
                        struct err *err)
{
    const struct identity *id = &t->identity;
    if (id->by_all_columns) {
        struct buf key = {0};
        if (append_row_key(t, &key, err)) {
            buf_free(&key);
            return -1;
        }
        buf_printf(sql, " WHERE (%s) = (SELECT %s FROM ", buf_cstr(&key), buf_cstr(&key));
        text_quote_standard(sql, t->name);
        sql->failed = sql->failed || key.failed;
        buf_free(&key);
    }
    /* Row values: AND between 1,600 columns would be deeper than SQLite lets an expression be. */
    for (uint32_t i = 0; i < id->n; i++) {
        buf_append_str(sql, i == 0 ? " WHERE (" : ", ");
        text_quote_standard(sql, t->rel->columns[id->columns[i]].name);
    }
    for (uint32_t i = 0; i < id->n; i++) {
        if (i == 0)
            buf_append_str(sql, id->by_all_columns ? ") IS (" : ") = (");
        buf_printf(sql, "%s?%u", i == 0 ? "" : ", ", first + i);
    }
    if (id->n > 0)
        buf_append_byte(sql, ')');
    if (id->by_all_columns)
        buf_append_str(sql, " LIMIT 1)");
    return 0;
}

/*
 * OR FAIL: the rows before one that fails stay, and SQLite need not be able to undo them, which
 * would cost more than is gained. It would be in force in triggers, too.
 */
static uint32_t rows_at_once(const struct driver *d, const struct slice *slice)
{
    uint32_t ncolumns = slice->table->rel->ncolumns;
    if (slice->kind != CHANGE_INSERT || d->triggers || ncolumns == 0)
        return 1;
    uint32_t n = PARAMETERS_AT_ONCE / ncolumns;
    return n < 2 ? 1 : n < ROWS_AT_ONCE ? n : ROWS_AT_ONCE;
}

static void append_insert(const struct target_table *t, const char *conflict, uint32_t nrows,
                          struct buf *sql)
{
    uint32_t n = t->rel->ncolumns;
    buf_printf(sql, "INSERT%s INTO ", nrows > 1 ? " OR FAIL" : conflict);
    text_quote_standard(sql, t->name);
    if (n == 0) {
        buf_append_str(sql, " DEFAULT VALUES");
        return;
    }
    buf_append_str(sql, " (");
    text_columns(sql, t->rel, NULL, text_quote_standard);
    buf_append_str(sql, ") VALUES ");
    for (uint32_t i = 0; i < n * nrows; i++)
        buf_printf(sql, "%s?%u", i == 0 ? "(" : i % n == 0 ? "), (" : ", ", i + 1);
    buf_append_byte(sql, ')');
}

/* Parameters 1 to ncolumns are the columns' new values, those after it the identity's. */
static int append_update(const struct target_table *t, const char *conflict, const uint8_t *columns,
                         struct buf *sql, struct err *err)
{
    const char *comma = " SET ";
    buf_printf(sql, "UPDATE%s ", conflict);
    text_quote_standard(sql, t->name);
    for (uint32_t i = 0; i < t->rel->ncolumns; i++)
        if (columns[i]) {
            buf_append_str(sql, comma);
            text_quote_standard(sql, t->rel->columns[i].name);
            buf_printf(sql, " = ?%u", i + 1);
            comma = ", ";
        }
    return append_where(t, sql, t->rel->ncolumns + 1, err);
}

static int append_statement(struct driver *d, const struct slice *slice, uint32_t nrows,
                            struct buf *sql, struct err *err)
{
    const char *conflict;
    if (choose_conflict(d, slice->table->name, &conflict, err))
        return -1;
    switch (slice->kind) {
    case CHANGE_INSERT:
        append_insert(slice->table, conflict, nrows, sql);
        return 0;
    case CHANGE_UPDATE:
        return append_update(slice->table, conflict, slice->columns, sql, err);
    case CHANGE_DELETE:
        buf_append_str(sql, "DELETE FROM ");
        text_quote_standard(sql, slice->table->name);
        return append_where(slice->table, sql, 1, err);
    }
    BUG("unknown kind of change");
}

static struct statement *make_statement(struct driver *d, const struct slice *slice, int kind,
                                        uint32_t nrows, struct err *err)
{
    (void)kind;
    struct buf sql = {0};
    struct kept *kept = calloc(1, sizeof *kept);
    if (!kept)
        (void)err_nomem(err);
    else if (append_statement(d, slice, nrows, &sql, err) == 0 &&
             sqlite_prepare(d, &sql, &kept->stmt, err) == 0)
        return &kept->base;
    buf_free(&sql);
    free(kept);
    return NULL;
}

/* ---- rows ---- */

static int row_left_out(struct err *err)
{
    (void)err_set(err, ERR_PERMANENT, "INSERT: a trigger of the target left the row out");
    return err_hint(err, "it uses RAISE(IGNORE); drop it, or let it accept what the source sends");
}

static int bind_column(const struct driver *d, const struct target_table *t, sqlite3_stmt *s,
                       uint32_t parameter, uint32_t column, const struct value *v, struct err *err)
{
    if (bind_value(s, (int)parameter, (enum storage)t->forms[column], v, d->nan, err))
        return err_context(err, "column %s", t->rel->columns[column].name);
    return 0;
}

/* `before`: parameters of rows before it. */
static int bind_row(const struct driver *d, const struct slice *slice, const struct row_change *row,
                    sqlite3_stmt *s, uint32_t before, struct err *err)
{
    const struct target_table *t = slice->table;
    uint32_t n = t->rel->ncolumns, parameter = slice->kind == CHANGE_UPDATE ? n + 1 : 1;
    for (uint32_t i = 0; slice->kind != CHANGE_DELETE && i < n; i++)
        if (slice->columns[i] && bind_column(d, t, s, before + i + 1, i, slice_value(row, i), err))
            return -1;
    const struct value *was = identity_of_row(row);
    for (uint32_t i = 0; slice->kind != CHANGE_INSERT && i < t->identity.n; i++) {
        uint32_t column = t->identity.columns[i];
        if (bind_column(d, t, s, parameter + i, column, &was[column], err))
            return -1;
    }
    return 0;
}

static bool is_duplicate(int rc)
{
    return rc == SQLITE_CONSTRAINT_PRIMARYKEY || rc == SQLITE_CONSTRAINT_UNIQUE ||
           rc == SQLITE_CONSTRAINT_ROWID;
}

/* Whether the row is in as it has to be: *in; otherwise `result` says why not. */
static int step_row(const struct driver *d, const struct slice *slice, sqlite3_stmt *s, bool *in,
                    struct slice_result *result, struct err *err)
{
    static const char *const words[] = {
        [CHANGE_INSERT] = "INSERT", [CHANGE_UPDATE] = "UPDATE", [CHANGE_DELETE] = "DELETE"};
    int failed = 0, rc = sqlite3_step(s);
    *in = true;
    result->exists = is_duplicate(rc);
    if (slice->kind == CHANGE_INSERT && result->exists) {
        *in = false;
    } else if (rc != SQLITE_DONE) {
        failed = sqlite_fail(d, rc, words[slice->kind], err);
    } else if (slice->kind == CHANGE_INSERT) {
        failed = sqlite3_changes(d->db) == 1 ? 0 : row_left_out(err);
    } else {
        result->matched = (uint64_t)sqlite3_changes(d->db);
        *in = result->matched == 1;
    }
    (void)sqlite3_reset(s); /* repeats the error of the step */
    return failed;
}

static sqlite3_stmt *statement_for(struct driver *d, const struct slice *slice, uint32_t nrows,
                                   struct err *err)
{
    struct statement *s = slice_statement(d, slice, (int)slice->kind, nrows, make_statement, err);
    return s ? ((struct kept *)s)->stmt : NULL;
}

/*
 * Rows with one INSERT, from `first` on: *n are in. Fewer without an error: the one behind them
 * says by itself what is wrong with it. SQLite counts those before a constraint that OR FAIL
 * applies to; with any other error it does not, and the transaction may be gone.
 */
static int insert_rows(const struct driver *d, const struct slice *slice, size_t first,
                       uint32_t nrows, sqlite3_stmt *s, uint32_t *n, struct err *err)
{
    *n = 0;
    for (uint32_t i = 0; i < nrows; i++)
        if (bind_row(d, slice, &slice->rows[first + i], s, i * slice->table->rel->ncolumns, err)) {
            err_clear(err);
            return 0;
        }
    int before = sqlite3_total_changes(d->db), rc = sqlite3_step(s), failed = 0;
    bool counted = rc == SQLITE_DONE || is_duplicate(rc) || rc == SQLITE_CONSTRAINT_NOTNULL ||
                   rc == SQLITE_CONSTRAINT_CHECK;
    if (counted)
        *n = (uint32_t)(sqlite3_total_changes(d->db) - before);
    else
        failed = sqlite_fail(d, rc, "INSERT", err);
    (void)sqlite3_reset(s);
    return failed;
}

int sqlite_execute(struct driver *d, const struct slice *slice, struct slice_result *result,
                   struct err *err)
{
    uint32_t many = rows_at_once(d, slice);
    bool in = true;
    for (size_t i = 0; i < slice->nrows;) {
        if (many > 1 && slice->nrows - i >= many) {
            uint32_t n;
            sqlite3_stmt *s = statement_for(d, slice, many, err);
            result->done = i;
            result->failed = slice->nrows;
            if (!s || insert_rows(d, slice, i, many, s, &n, err))
                return -1;
            i += n;
            if (n == many)
                continue;
        }
        sqlite3_stmt *s = statement_for(d, slice, 1, err);
        result->failed = result->done = i;
        if (!s || bind_row(d, slice, &slice->rows[i], s, 0, err) ||
            step_row(d, slice, s, &in, result, err))
            return -1;
        if (!in) {
            result->outcome = SLICE_ONE_ROW;
            return 0;
        }
        i++;
    }
    return 0;
}

int sqlite_truncate(struct driver *d, struct target_table *const *tables, size_t ntables,
                    bool cascade, bool restart_identity, size_t *failed, struct err *err)
{
    (void)cascade;
    (void)restart_identity;
    return text_truncate(d, &sqlite_dialect, tables, ntables, sqlite_run, failed, err);
}
