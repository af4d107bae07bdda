/*
 * One relation bound to one table: whether the table can hold what comes, how its rows are found,
 * its prepared statements.
 *
 * A row is found by the replica identity; under FULL by the primary key where there is one, and
 * without one by all columns, compared NULL-safely, one row of several equal ones. UPDATE
 * statements are kept per set of columns that they write, because unchanged TOASTed values are left
 * out. Names stand in backticks, values are parameters.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "mysql_column.h"
#include "mysql_dest.h"

/* ---- opening ---- */

static bool in_identity(const struct dest_table *t, uint32_t column)
{
    for (uint32_t i = 0; i < t->identity.n; i++)
        if (t->identity.columns[i] == column)
            return true;
    return false;
}

/* Without transactions a group would be half applied after a crash. */
static int check_engine(struct dest *d, const struct dest_table *t, struct err *err)
{
    struct buf sql = {0};
    MYSQL_RES *rows;
    buf_append_str(&sql, "SELECT table_type, engine FROM information_schema.tables");
    mysql_target_condition(&sql, t->target);
    if (mysql_rows(d->schema, &sql, &rows, err))
        return -1;
    MYSQL_ROW row = mysql_fetch_row(rows);
    int rc = 0;
    if (!row)
        rc = err_set(err, ERR_PERMANENT, "the target has no table %s", t->target);
    else if (!row[1] || strcasecmp(row[1], "InnoDB") != 0) {
        rc = err_set(err, ERR_PERMANENT, "the target table %s is %s, which has no transactions",
                     t->target, row[1] ? row[1] : "a view");
        (void)err_hint(err, "ALTER TABLE %s ENGINE=InnoDB", t->target);
    }
    mysql_free_result(rows);
    return rc;
}

static int64_t number(const char *text)
{
    return text ? strtoll(text, NULL, 10) : -1;
}

static const char *text(const char *text_or_null)
{
    return text_or_null ? text_or_null : "";
}

/* The row of a column: with exactly its name, or one that differs in case. */
static MYSQL_ROW find_column(MYSQL_RES *rows, const char *name)
{
    MYSQL_ROW folded = NULL;
    mysql_data_seek(rows, 0);
    for (MYSQL_ROW row; (row = mysql_fetch_row(rows)) != NULL;) {
        if (strcmp(text(row[0]), name) == 0)
            return row;
        if (strcasecmp(text(row[0]), name) == 0)
            folded = row;
    }
    return folded;
}

/* All columns of the table that is there, for mysql_free_result(). */
static int read_columns(struct dest *d, const char *target, MYSQL_RES **rows, struct err *err)
{
    struct buf sql = {0};
    buf_append_str(&sql,
                   "SELECT column_name, data_type, column_type, collation_name, extra, "
                   "character_maximum_length, numeric_precision, numeric_scale, datetime_precision "
                   "FROM information_schema.columns");
    mysql_target_condition(&sql, target);
    return mysql_rows(d->schema, &sql, rows, err);
}

static struct target_column target_column(MYSQL_ROW row)
{
    return (struct target_column){
        .name = text(row[0]),
        .data_type = text(row[1]),
        .column_type = text(row[2]),
        .collation = text(row[3]),
        .extra = text(row[4]),
        .characters = number(row[5]),
        .precision = number(row[6]),
        .scale = number(row[7]),
        .datetime_decimals = number(row[8]),
    };
}

static int check_columns(struct dest *d, struct dest_table *t, struct err *err)
{
    MYSQL_RES *rows;
    int rc = 0;
    if (read_columns(d, t->target, &rows, err))
        return -1;
    for (uint32_t i = 0; rc == 0 && i < t->rel->ncolumns; i++) {
        const struct column *c = &t->rel->columns[i];
        MYSQL_ROW row = find_column(rows, c->name);
        if (!row) {
            rc = err_set(err, ERR_PERMANENT, "the target table %s has no column %s", t->target,
                         c->name);
            break;
        }
        const struct target_column there = target_column(row);
        rc = target_column_check(c, &there, in_identity(t, i), &t->forms[i], err);
    }
    mysql_free_result(rows);
    return rc;
}

int mysql_column_holds(struct dest *d, const char *target, const struct column *c, bool *holds,
                       struct err *err)
{
    MYSQL_RES *rows;
    struct err why = {0};
    enum mysql_form form;
    *holds = false;
    if (read_columns(d, target, &rows, err))
        return -1;
    MYSQL_ROW row = find_column(rows, c->name);
    if (row) {
        const struct target_column there = target_column(row);
        *holds = target_column_check(c, &there, false, &form, &why) == 0 &&
                 target_column_holds(c, &there);
    }
    mysql_free_result(rows);
    return 0;
}

/*
 * Whether a row is the only one with its identity for certain: all columns of some unique index are
 * in the identity, none of them NULL. The index comes sorted, a column a row.
 */
static int check_unique(struct dest *d, struct dest_table *t, struct err *err)
{
    struct buf sql = {0};
    MYSQL_RES *rows;
    char index[NAME_SIZE] = "";
    bool fits = false;
    t->unique = false;
    if (t->identity.by_all_columns || t->identity.n == 0)
        return 0;
    buf_append_str(&sql, "SELECT index_name, column_name, sub_part, nullable FROM "
                         "information_schema.statistics");
    mysql_target_condition(&sql, t->target);
    buf_append_str(&sql, " AND non_unique = 0 ORDER BY index_name, seq_in_index");
    if (mysql_rows(d->schema, &sql, &rows, err))
        return -1;
    for (MYSQL_ROW row; (row = mysql_fetch_row(rows)) != NULL;) {
        if (strcmp(index, text(row[0])) != 0) {
            t->unique = t->unique || fits;
            fits = true;
            (void)snprintf(index, sizeof index, "%s", text(row[0]));
        }
        bool has = false;
        for (uint32_t i = 0; i < t->identity.n; i++)
            has =
                has || strcasecmp(t->rel->columns[t->identity.columns[i]].name, text(row[1])) == 0;
        fits = fits && has && !row[2] && strcasecmp(text(row[3]), "YES") != 0;
    }
    t->unique = t->unique || fits;
    mysql_free_result(rows);
    return 0;
}

int mysql_table_open(struct dest *d, const char *target, const struct relation *rel,
                     struct dest_table **table, struct err *err)
{
    uint32_t n = rel->ncolumns;
    struct dest_table *t = calloc(1, sizeof *t);
    if (!t)
        return err_nomem(err);
    t->rel = rel;
    t->target = strdup(target);
    t->forms = calloc((size_t)n + 1, sizeof *t->forms);
    t->scratch = calloc((size_t)n + 1, sizeof *t->scratch);
    if (!t->target || !t->forms || !t->scratch) {
        mysql_table_close(d, t);
        return err_nomem(err);
    }
    if (identity_init(&t->identity, rel, err) || check_engine(d, t, err) ||
        check_columns(d, t, err) || check_unique(d, t, err)) {
        mysql_table_close(d, t);
        return -1;
    }
    *table = t;
    return 0;
}

static void close_statement(MYSQL_STMT *s)
{
    if (s)
        (void)mysql_stmt_close(s);
}

void mysql_table_close(struct dest *d, struct dest_table *t)
{
    (void)d;
    for (int i = 0; i < ROW_STATEMENTS; i++) {
        close_statement(t->inserts[i]);
        close_statement(t->deletes[i]);
    }
    for (int i = 0; i < MAX_UPDATES; i++) {
        close_statement(t->updates[i].stmt);
        free(t->updates[i].columns);
    }
    free(t->target);
    free(t->forms);
    identity_free(&t->identity);
    free(t->scratch);
    free(t);
}

/* ---- statements ---- */

static int prepare(struct dest *d, struct buf *sql, MYSQL_STMT **stmt, struct err *err)
{
    int rc = buf_check(sql, err);
    MYSQL_STMT *s = rc ? NULL : mysql_stmt_init(d->rows);
    if (rc == 0 && !s)
        rc = err_nomem(err);
    if (rc == 0 && mysql_stmt_prepare(s, (const char *)sql->data, sql->len)) {
        rc = mysql_stmt_fail(s, buf_cstr(sql), err);
        close_statement(s);
    }
    if (rc == 0)
        *stmt = s;
    buf_free(sql);
    return rc;
}

/* Appends a list of identifiers, or of a parameter for each. */
static void append_identity(const struct dest_table *t, struct buf *sql, bool parameters)
{
    buf_append_byte(sql, '(');
    for (uint32_t i = 0; i < t->identity.n; i++) {
        if (i > 0)
            buf_append_byte(sql, ',');
        if (parameters)
            buf_append_byte(sql, '?');
        else
            mysql_quote(sql, t->rel->columns[t->identity.columns[i]].name);
    }
    buf_append_byte(sql, ')');
}

/* Appends " WHERE …" for one row. */
static void append_where(const struct dest_table *t, struct buf *sql)
{
    for (uint32_t i = 0; i < t->identity.n; i++) {
        buf_append_str(sql, i == 0 ? " WHERE " : " AND ");
        mysql_quote(sql, t->rel->columns[t->identity.columns[i]].name);
        buf_append_str(sql, t->identity.by_all_columns ? " <=> ?" : " = ?");
    }
    if (t->identity.by_all_columns)
        buf_append_str(sql, " LIMIT 1");
}

uint32_t statement_rows(size_t size)
{
    static const uint32_t rows[ROW_STATEMENTS] = {1, 8, 64, 512};
    return rows[size];
}

int table_insert(struct dest *d, struct dest_table *t, size_t size, MYSQL_STMT **stmt,
                 struct err *err)
{
    struct buf sql = {0};
    uint32_t n = t->rel->ncolumns;
    *stmt = t->inserts[size];
    if (*stmt)
        return 0;
    buf_printf(&sql, "INSERT INTO %s (", t->target);
    for (uint32_t i = 0; i < n; i++) {
        if (i > 0)
            buf_append_byte(&sql, ',');
        mysql_quote(&sql, t->rel->columns[i].name);
    }
    buf_append_str(&sql, ") VALUES ");
    for (uint32_t row = 0; row < statement_rows(size); row++) {
        buf_append_str(&sql, row == 0 ? "(" : ",(");
        for (uint32_t i = 0; i < n; i++)
            buf_append_str(&sql, i == 0 ? "?" : ",?");
        buf_append_byte(&sql, ')');
    }
    if (prepare(d, &sql, &t->inserts[size], err))
        return -1;
    *stmt = t->inserts[size];
    return 0;
}

int table_delete(struct dest *d, struct dest_table *t, size_t size, MYSQL_STMT **stmt,
                 struct err *err)
{
    struct buf sql = {0};
    *stmt = t->deletes[size];
    if (*stmt)
        return 0;
    buf_printf(&sql, "DELETE FROM %s", t->target);
    if (size == 0) {
        append_where(t, &sql);
    } else {
        buf_append_str(&sql, " WHERE ");
        append_identity(t, &sql, false);
        buf_append_str(&sql, " IN (");
        for (uint32_t row = 0; row < statement_rows(size); row++) {
            if (row > 0)
                buf_append_byte(&sql, ',');
            append_identity(t, &sql, true);
        }
        buf_append_byte(&sql, ')');
    }
    if (prepare(d, &sql, &t->deletes[size], err))
        return -1;
    *stmt = t->deletes[size];
    return 0;
}

/*
 * MySQL assigns from left to right, and an expression sees what was assigned before it. Here only
 * parameters stand on the right, so a key among the columns changes nothing for the others, and
 * WHERE is evaluated before.
 */
static int prepare_update(struct dest *d, const struct dest_table *t, const uint8_t *columns,
                          MYSQL_STMT **stmt, struct err *err)
{
    struct buf sql = {0};
    const char *comma = " SET ";
    buf_printf(&sql, "UPDATE %s", t->target);
    for (uint32_t i = 0; i < t->rel->ncolumns; i++)
        if (columns[i]) {
            buf_append_str(&sql, comma);
            mysql_quote(&sql, t->rel->columns[i].name);
            buf_append_str(&sql, " = ?");
            comma = ", ";
        }
    append_where(t, &sql);
    return prepare(d, &sql, stmt, err);
}

int table_update(struct dest *d, struct dest_table *t, const uint8_t *columns, MYSQL_STMT **stmt,
                 struct err *err)
{
    uint32_t n = t->rel->ncolumns;
    struct update_statement *oldest = &t->updates[0];
    for (int i = 0; i < MAX_UPDATES; i++) {
        struct update_statement *u = &t->updates[i];
        if (u->stmt && memcmp(u->columns, columns, n) == 0) {
            u->used = ++t->clock;
            *stmt = u->stmt;
            return 0;
        }
        if (u->used < oldest->used)
            oldest = u;
    }
    close_statement(oldest->stmt);
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
