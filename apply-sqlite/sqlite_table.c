/*
 * One relation bound to one table: how its rows are found, its prepared statements, its runs.
 *
 * A row is found by the replica identity; under FULL by the primary key where there is one, and
 * without one by all columns, compared NULL-safely, one row of several equal ones. Statements are
 * kept per set of columns that an UPDATE writes, because unchanged TOASTed values are left out.
 */
#include <stdlib.h>
#include <string.h>

#include "sql/dest_row.h"
#include "sql/identity.h"
#include "sqlite.h"
#include "sqlite_value.h"

#define MAX_UPDATES 16 /* statements for different sets of columns that are kept */

/* An UPDATE for one set of columns. */
struct update {
    sqlite3_stmt *stmt;
    uint8_t *columns; /* a flag for each column of the relation: it is written */
    uint64_t used;    /* for finding the one used longest ago */
};

struct dest_table {
    char *target;
    const struct relation *rel;
    enum storage *storage; /* of each column, as the relation's type says */
    struct identity identity;
    const char *rowid; /* a name of the rowid that no column has; NULL: none */
    uint8_t *scratch;  /* a flag for each column */
    sqlite3_stmt *insert, *delete;
    struct update updates[MAX_UPDATES];
    uint64_t clock;
};

/* ---- opening ---- */

static const char *choose_rowid(const struct relation *rel)
{
    static const char *const names[] = {"rowid", "_rowid_", "oid"};
    for (size_t n = 0; n < sizeof names / sizeof *names; n++) {
        bool taken = false;
        for (uint32_t i = 0; i < rel->ncolumns; i++)
            taken = taken || sqlite3_stricmp(rel->columns[i].name, names[n]) == 0;
        if (!taken)
            return names[n];
    }
    return NULL;
}

/* Each column of the relation must be there, be writable, and keep the values as they are. */
static int check_column(struct dest *d, sqlite3_stmt *s, const struct dest_table *t, uint32_t i,
                        struct err *err)
{
    const struct column *c = &t->rel->columns[i];
    (void)sqlite3_bind_text(s, 2, c->name, -1, SQLITE_STATIC);
    int rc = sqlite3_step(s);
    int failed = 0;
    if (rc == SQLITE_ROW) {
        const char *declared = (const char *)sqlite3_column_text(s, 0);
        if (sqlite3_column_int(s, 1) != 0)
            failed = err_set(err, ERR_PERMANENT, "column %s is generated in the target", c->name);
        else if (!affinity_keeps(affinity_of(declared ? declared : ""), t->storage[i])) {
            failed =
                err_set(err, ERR_PERMANENT,
                        "column %s has the type %s in the target, which would change values of %s",
                        c->name, declared && *declared ? declared : "(none)",
                        *c->type_name ? c->type_name : "the source's type");
            (void)err_hint(err, "declare it as %s", storage_declaration(t->storage[i]));
        }
    } else if (rc == SQLITE_DONE) {
        failed =
            err_set(err, ERR_PERMANENT, "the target table %s has no column %s", t->target, c->name);
    } else {
        failed = sqlite_fail(d, rc, "reading the columns", err);
    }
    (void)sqlite3_reset(s);
    return failed;
}

static int check_columns(struct dest *d, const struct dest_table *t, struct err *err)
{
    sqlite3_stmt *s;
    if (sqlite_prepare(
            d, "SELECT type, hidden FROM pragma_table_xinfo(?1) WHERE name = ?2 COLLATE NOCASE", &s,
            err))
        return -1;
    (void)sqlite3_bind_text(s, 1, t->target, -1, SQLITE_STATIC);
    int rc = 0;
    for (uint32_t i = 0; rc == 0 && i < t->rel->ncolumns; i++)
        rc = check_column(d, s, t, i, err);
    (void)sqlite3_finalize(s);
    return rc;
}

int sqlite_table_open(struct dest *d, const char *target, const struct relation *rel,
                      struct dest_table **table, struct err *err)
{
    uint32_t n = rel->ncolumns;
    struct dest_table *t = calloc(1, sizeof *t);
    if (!t)
        return err_nomem(err);
    t->rel = rel;
    t->target = strdup(target);
    t->storage = calloc(n + 1, sizeof *t->storage);
    t->scratch = calloc(n + 1, sizeof *t->scratch);
    if (!t->target || !t->storage || !t->scratch) {
        sqlite_table_close(d, t);
        return err_nomem(err);
    }
    for (uint32_t i = 0; i < n; i++)
        t->storage[i] = storage_of(&rel->columns[i]);
    t->rowid = choose_rowid(rel);
    if (identity_init(&t->identity, rel, err) || check_columns(d, t, err)) {
        sqlite_table_close(d, t);
        return -1;
    }
    *table = t;
    return 0;
}

void sqlite_table_close(struct dest *d, struct dest_table *t)
{
    (void)d;
    (void)sqlite3_finalize(t->insert);
    (void)sqlite3_finalize(t->delete);
    for (int i = 0; i < MAX_UPDATES; i++) {
        (void)sqlite3_finalize(t->updates[i].stmt);
        free(t->updates[i].columns);
    }
    free(t->target);
    free(t->storage);
    identity_free(&t->identity);
    free(t->scratch);
    free(t);
}

/* ---- statements ---- */

/* Appends " WHERE …"; parameters are numbered from `first` on. */
static int append_where(const struct dest_table *t, struct buf *sql, int first, struct err *err)
{
    if (t->identity.by_all_columns) {
        if (!t->rowid)
            return err_set(
                err, ERR_PERMANENT,
                "a table without a primary key that has columns named rowid, _rowid_ and oid");
        buf_printf(sql, " WHERE %s = (SELECT %s FROM ", t->rowid, t->rowid);
        sqlite_quote(sql, t->target);
    }
    /* Row values: AND between 1,600 columns would be deeper than SQLite lets an expression be. */
    for (uint32_t i = 0; i < t->identity.n; i++) {
        buf_append_str(sql, i == 0 ? " WHERE (" : ", ");
        sqlite_quote(sql, t->rel->columns[t->identity.columns[i]].name);
    }
    for (uint32_t i = 0; i < t->identity.n; i++) {
        if (i == 0)
            buf_append_str(sql, t->identity.by_all_columns ? ") IS (" : ") = (");
        buf_printf(sql, "%s?%d", i == 0 ? "" : ", ", first + (int)i);
    }
    if (t->identity.n > 0)
        buf_append_byte(sql, ')');
    if (t->identity.by_all_columns)
        buf_append_str(sql, " LIMIT 1)");
    return buf_check(sql, err);
}

static int prepare_insert(struct dest *d, struct dest_table *t, struct err *err)
{
    struct buf sql = {0};
    uint32_t n = t->rel->ncolumns;
    buf_append_str(&sql, "INSERT INTO ");
    sqlite_quote(&sql, t->target);
    for (uint32_t i = 0; i < n; i++) {
        buf_append_str(&sql, i == 0 ? " (" : ", ");
        sqlite_quote(&sql, t->rel->columns[i].name);
    }
    for (uint32_t i = 0; i < n; i++)
        buf_printf(&sql, "%s?%u", i == 0 ? ") VALUES (" : ", ", i + 1);
    buf_append_str(&sql, n == 0 ? " DEFAULT VALUES" : ")");
    int rc = buf_check(&sql, err);
    if (rc == 0)
        rc = sqlite_prepare(d, buf_cstr(&sql), &t->insert, err);
    buf_free(&sql);
    return rc;
}

static int prepare_delete(struct dest *d, struct dest_table *t, struct err *err)
{
    struct buf sql = {0};
    buf_append_str(&sql, "DELETE FROM ");
    sqlite_quote(&sql, t->target);
    int rc = append_where(t, &sql, 1, err);
    if (rc == 0)
        rc = sqlite_prepare(d, buf_cstr(&sql), &t->delete, err);
    buf_free(&sql);
    return rc;
}

/* Parameters 1 to ncolumns are the columns' new values, those after it the identity's. */
static int prepare_update(struct dest *d, const struct dest_table *t, const uint8_t *columns,
                          sqlite3_stmt **stmt, struct err *err)
{
    struct buf sql = {0};
    const char *comma = " SET ";
    buf_append_str(&sql, "UPDATE ");
    sqlite_quote(&sql, t->target);
    for (uint32_t i = 0; i < t->rel->ncolumns; i++)
        if (columns[i]) {
            buf_append_str(&sql, comma);
            sqlite_quote(&sql, t->rel->columns[i].name);
            buf_printf(&sql, " = ?%u", i + 1);
            comma = ", ";
        }
    int rc = append_where(t, &sql, (int)t->rel->ncolumns + 1, err);
    if (rc == 0)
        rc = sqlite_prepare(d, buf_cstr(&sql), stmt, err);
    buf_free(&sql);
    return rc;
}

/* The statement that writes the columns flagged in `columns`. */
static int find_update(struct dest *d, struct dest_table *t, const uint8_t *columns,
                       sqlite3_stmt **stmt, struct err *err)
{
    uint32_t n = t->rel->ncolumns;
    struct update *oldest = &t->updates[0];
    for (int i = 0; i < MAX_UPDATES; i++) {
        struct update *u = &t->updates[i];
        if (u->stmt && memcmp(u->columns, columns, n) == 0) {
            u->used = ++t->clock;
            *stmt = u->stmt;
            return 0;
        }
        if (u->used < oldest->used)
            oldest = u;
    }
    (void)sqlite3_finalize(oldest->stmt);
    oldest->stmt = NULL;
    if (!oldest->columns)
        oldest->columns = malloc((size_t)n + 1);
    if (!oldest->columns)
        return err_nomem(err);
    if (prepare_update(d, t, columns, &oldest->stmt, err))
        return -1;
    memcpy(oldest->columns, columns, n);
    oldest->used = ++t->clock;
    *stmt = oldest->stmt;
    return 0;
}

/* ---- rows ---- */

static int bind_column(const struct dest *d, const struct dest_table *t, sqlite3_stmt *s,
                       int parameter, uint32_t column, const struct value *v, struct err *err)
{
    if (bind_value(s, parameter, t->storage[column], v, d->nan, err))
        return err_context(err, "column %s", t->rel->columns[column].name);
    return 0;
}

static int bind_identity(const struct dest *d, const struct dest_table *t, sqlite3_stmt *s,
                         int first, const struct value *values, struct err *err)
{
    for (uint32_t i = 0; i < t->identity.n; i++)
        if (bind_column(d, t, s, first + (int)i, t->identity.columns[i],
                        &values[t->identity.columns[i]], err))
            return -1;
    return 0;
}

static int insert_values(struct dest *d, struct dest_run *run, const struct value *values,
                         bool *exists, struct err *err)
{
    struct dest_table *t = run->table;
    if (!t->insert && prepare_insert(d, t, err))
        return -1;
    for (uint32_t i = 0; i < t->rel->ncolumns; i++)
        if (bind_column(d, t, t->insert, (int)i + 1, i, &values[i], err))
            return -1;
    int failed = 0;
    int rc = sqlite3_step(t->insert);
    *exists = rc == SQLITE_CONSTRAINT_PRIMARYKEY || rc == SQLITE_CONSTRAINT_UNIQUE ||
              rc == SQLITE_CONSTRAINT_ROWID;
    if (rc != SQLITE_DONE && !*exists)
        failed = sqlite_fail(d, rc, "INSERT", err);
    (void)sqlite3_reset(t->insert);
    return failed;
}

static int update_values(struct dest *d, struct dest_run *run, const uint8_t *columns,
                         const struct dest_row *row, uint64_t *matched, struct err *err)
{
    struct dest_table *t = run->table;
    const struct value *values = row->new, *identity = identity_of_row(row);
    sqlite3_stmt *s = NULL;
    uint32_t n = t->rel->ncolumns;
    if (find_update(d, t, columns, &s, err))
        return -1;
    for (uint32_t i = 0; i < n; i++) {
        const struct value *v = values[i].kind == VALUE_UNCHANGED ? &identity[i] : &values[i];
        if (columns[i] && bind_column(d, t, s, (int)i + 1, i, v, err))
            return -1;
    }
    if (bind_identity(d, t, s, (int)n + 1, identity, err) || sqlite_run(d, s, "UPDATE", err))
        return -1;
    *matched = (uint64_t)sqlite3_changes(d->db);
    return 0;
}

static int delete_values(struct dest *d, struct dest_run *run, const struct value *identity,
                         uint64_t *matched, struct err *err)
{
    struct dest_table *t = run->table;
    if ((!t->delete &&prepare_delete(d, t, err)) ||
        bind_identity(d, t, t->delete, 1, identity, err) || sqlite_run(d, t->delete, "DELETE", err))
        return -1;
    *matched = (uint64_t)sqlite3_changes(d->db);
    return 0;
}

static const struct dest_row_ops row_ops = {insert_values, update_values, delete_values};

int sqlite_apply(struct dest *d, struct dest_run *run, struct err *err)
{
    struct dest_table *t = run->table;
    for (size_t i = 0; i < run->nrows; i++)
        if (dest_row_apply(d, run, i, &row_ops, &t->identity, t->scratch, err))
            return -1;
    return 0;
}

/* cascade: the source sent every published table that it emptied. Sequences are not replicated. */
int sqlite_truncate(struct dest *d, struct dest_table *const *tables, size_t ntables, bool cascade,
                    bool restart_identity, struct err *err)
{
    (void)cascade;
    (void)restart_identity;
    for (size_t i = 0; i < ntables; i++) {
        struct buf sql = {0};
        buf_append_str(&sql, "DELETE FROM ");
        sqlite_quote(&sql, tables[i]->target);
        int rc = buf_check(&sql, err);
        if (rc == 0)
            rc = sqlite_exec(d, buf_cstr(&sql), err);
        buf_free(&sql);
        if (rc)
            return err_context(err, "table %s", tables[i]->target);
    }
    return 0;
}
