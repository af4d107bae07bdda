/* Tables as they are, and changing them. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "base/log.h"
#include "mysql_driver.h"
#include "sql/key_size.h"
#include "sql/rules.h"
#include "sql/wanted_index.h"

/* A new column that has not got its values in the rows that are there. */
#define UNFILLED "pg2any_unfilled"

/* The comment of tables and indexes of ours. */
#define OURS "made by pg2any"

#define INDEX_CHARACTERS 768 /* an index of InnoDB takes 3072 bytes */

/* ---- what is there ---- */

/* Asks information_schema about a table; `columns` stand before FROM, `end` after WHERE. */
static int ask(struct driver *d, const char *name, const char *columns, const char *of,
               const char *end, MYSQL_RES **rows, struct err *err)
{
    struct buf sql = {0};
    char database[NAME_SIZE], table[NAME_SIZE];
    bool triggers = strcmp(of, "triggers") == 0;
    my_split_name(name, database, table);
    buf_printf(&sql, "SELECT %s FROM information_schema.%s WHERE ", columns, of);
    my_same_name(&sql, triggers ? "event_object_schema" : "table_schema", database);
    buf_append_str(&sql, " AND ");
    my_same_name(&sql, triggers ? "event_object_table" : "table_name", table);
    buf_append_str(&sql, end);
    return my_rows(d->schema, &sql, rows, err);
}

/* Without transactions a group would be half applied after a crash. */
static int describe_engine(struct driver *d, const char *name, struct described_table *out,
                           struct err *err)
{
    MYSQL_RES *rows;
    char advice[2 * NAME_SIZE + 64];
    if (ask(d, name, "engine, table_comment, table_type", "tables", "", &rows, err))
        return -1;
    MYSQL_ROW row = mysql_fetch_row(rows);
    out->exists = row != NULL;
    out->ours = row && row[1] && strcmp(row[1], OURS) == 0;
    out->rules.checks = row && row[2] && strcmp(row[2], "BASE TABLE") != 0; /* SYSTEM VERSIONED */
    (void)snprintf(advice, sizeof advice, "ALTER TABLE %s ENGINE=InnoDB", name);
    int rc = row && !row[0] ? rules_refuse_object(name, "a view", err) : 0;
    if (row && row[0] && strcasecmp(row[0], "InnoDB") != 0)
        described_set_unfit(out, advice, "is %s, which has no transactions", row[0]);
    mysql_free_result(rows);
    return rc;
}

/* No setting of a session keeps triggers from firing. */
static int describe_triggers(struct driver *d, const char *name, struct described_table *out,
                             struct err *err)
{
    MYSQL_RES *rows;
    if (d->uri.triggers || out->unfit)
        return 0;
    if (ask(d, name, "trigger_name", "triggers", " ORDER BY trigger_name", &rows, err))
        return -1;
    MYSQL_ROW row = mysql_fetch_row(rows);
    if (row)
        rules_refuse_trigger(out, row[0], "drop it");
    mysql_free_result(rows);
    return 0;
}

static int describe_columns(struct driver *d, const char *name, struct described_table *out,
                            struct err *err)
{
    MYSQL_RES *rows;
    if (ask(d, name,
            "column_name, data_type, column_type, collation_name, extra, "
            "character_maximum_length, numeric_precision, numeric_scale, datetime_precision, "
            "NULL, NULL, is_nullable = 'NO' AND column_default IS NULL AND data_type <> 'enum'",
            "columns", " ORDER BY ordinal_position", &rows, err))
        return -1;
    for (MYSQL_ROW row; (row = mysql_fetch_row(rows)) != NULL;) {
        struct described_column *c = described_add_row(out, row);
        c->generated = my_is_generated(c->extra);
        c->autonumber = strcasestr(c->extra, "auto_increment") != NULL;
        c->required = c->required && !d->uri.triggers; /* one may give it a value */
    }
    mysql_free_result(rows);
    return 0;
}

/* The unique ones; one over the beginnings of values, or over values that may be NULL, lets rows be
 * the same in it. */
static int describe_indexes(struct driver *d, const char *name, struct described_table *out,
                            struct err *err)
{
    MYSQL_RES *rows;
    if (ask(d, name, "index_name, column_name, sub_part, nullable", "statistics",
            " AND non_unique = 0 ORDER BY index_name, seq_in_index", &rows, err))
        return -1;
    for (MYSQL_ROW row; (row = mysql_fetch_row(rows)) != NULL;) {
        bool repeats = row[2] || (row[3] && strcasecmp(row[3], "YES") == 0);
        described_add_index_column(out, row[0], strcmp(row[0], "PRIMARY") == 0, !repeats, row[1]);
    }
    mysql_free_result(rows);
    return 0;
}

/* MariaDB shows triggers to every user of the table, MySQL to those who may make them. */
static int look_for_sight(struct driver *d, const char *name, bool *sees, struct err *err)
{
    struct buf sql = {0};
    char database[NAME_SIZE], table[NAME_SIZE];
    MYSQL_RES *rows;
    *sees = strstr(mysql_get_server_info(d->schema), "MariaDB") != NULL;
    if (*sees)
        return 0;
    my_split_name(name, database, table);
    buf_append_str(&sql, "SELECT 1 FROM information_schema.user_privileges WHERE privilege_type = "
                         "'TRIGGER' UNION SELECT 1 FROM information_schema.schema_privileges WHERE "
                         "privilege_type = 'TRIGGER' AND ");
    my_same_name(&sql, "table_schema", database);
    if (my_rows(d->schema, &sql, &rows, err))
        return -1;
    *sees = mysql_num_rows(rows) > 0;
    mysql_free_result(rows);
    return 0;
}

/* Triggers and foreign keys act where --dest lets them only. Those indexes are all that are unique,
 * in whatever way. */
static int describe_rules(struct driver *d, const char *name, struct described_table *out,
                          struct err *err)
{
    MYSQL_RES *rows;
    if (ask(d, name, "1", "table_constraints", " AND constraint_type = 'CHECK' LIMIT 1", &rows,
            err))
        return -1;
    out->rules.checks = out->rules.checks || mysql_num_rows(rows) > 0;
    mysql_free_result(rows);
    if (look_for_sight(d, name, &out->rules.known, err))
        return -1;
    out->rules.acts = d->uri.triggers || d->uri.foreign_keys;
    out->rules.nunique = out->nindexes;
    return 0;
}

/* Of a table that is there: whether it has rows, of one that is not: whether its database is. The
 * connection for the schema leaves no lock behind, but does not see this transaction's rows. */
static int describe_rest(struct driver *d, const char *name, const struct describe_how *how,
                         struct described_table *out, struct err *err)
{
    struct buf sql = {0};
    char database[NAME_SIZE], table[NAME_SIZE];
    MYSQL_RES *rows;
    my_split_name(name, database, table);
    if (out->exists) {
        buf_printf(&sql, "SELECT 1 FROM %s LIMIT 1", name);
    } else {
        buf_append_str(&sql, "SELECT 1 FROM information_schema.schemata WHERE ");
        my_same_name(&sql, "schema_name", database);
    }
    if (my_rows(how->changed ? d->rows : d->schema, &sql, &rows, err))
        return -1;
    bool none = mysql_num_rows(rows) == 0;
    mysql_free_result(rows);
    out->empty = none;
    out->no_container = none && !out->exists;
    return 0;
}

static int describe_more(struct driver *d, const char *name, struct described_table *out,
                         struct err *err)
{
    static const char *const others[][3] = {
        {"index_name", "statistics",
         " AND index_name NOT IN ('PRIMARY', 'pg2any_identity') AND index_comment <> '" OURS
         "' LIMIT 1"},
        {"trigger_name", "triggers", " LIMIT 1"},
        {"constraint_name", "key_column_usage", " AND referenced_table_name IS NOT NULL LIMIT 1"},
    };
    struct buf sql = {0};
    char database[NAME_SIZE], table[NAME_SIZE];
    MYSQL_RES *rows;
    for (size_t i = 0; i < sizeof others / sizeof *others && !out->has_more; i++) {
        if (ask(d, name, others[i][0], others[i][1], others[i][2], &rows, err))
            return -1;
        out->has_more = mysql_num_rows(rows) > 0;
        mysql_free_result(rows);
    }
    my_split_name(name, database, table);
    buf_append_str(&sql, "SELECT 1 FROM information_schema.key_column_usage WHERE ");
    my_same_name(&sql, "referenced_table_schema", database);
    buf_append_str(&sql, " AND ");
    my_same_name(&sql, "referenced_table_name", table);
    buf_append_str(&sql, " LIMIT 1");
    if (my_rows(d->schema, &sql, &rows, err))
        return -1;
    out->has_more = out->has_more || mysql_num_rows(rows) > 0;
    mysql_free_result(rows);
    return 0;
}

int my_describe(struct driver *d, const char *name, const struct describe_how *how,
                struct described_table *out, struct err *err)
{
    out->folds_case = true;
    if (describe_engine(d, name, out, err) ||
        (out->exists &&
         (describe_triggers(d, name, out, err) || describe_columns(d, name, out, err) ||
          describe_indexes(d, name, out, err) || describe_rules(d, name, out, err))))
        return -1;
    if (out->exists && how->more && describe_more(d, name, out, err))
        return -1;
    return out->exists && !how->rows ? 0 : describe_rest(d, name, how, out, err);
}

/* ---- changing ---- */

/* Runs a statement, of which the first `said` bytes may stand in an error. */
static int run_said(MYSQL *m, const struct buf *sql, size_t said, struct err *err)
{
    char what[256];
    (void)snprintf(what, sizeof what, "%.*s", (int)(said < sizeof what ? said : sizeof what - 1),
                   (const char *)sql->data);
    return mysql_real_query(m, (const char *)sql->data, sql->len) ? my_fail(m, what, err) : 0;
}

/*
 * InnoDB refuses a table of hundreds of texts, because rows may become too large for a page, unless
 * it is told that a row at a time will show; the user may not be allowed to tell it that. *too_big:
 * it is refused all the same, or because of the 65,535 bytes.
 */
static int run_change(struct driver *d, struct buf *sql, size_t said, bool *too_big,
                      struct err *err)
{
    struct err not_allowed = {0};
    MYSQL *m = NULL;
    int rc = buf_check(sql, err) || my_connect_change(d, &m, err) ? -1 : 0;
    *too_big = false;
    if (rc == 0)
        rc = run_said(m, sql, said, err);
    if (m && rc &&
        mysql_errno(m) == ER_DUP_KEYNAME) { /* the table had it before, or before a crash */
        err_clear(err);
        rc = 0;
    }
    if (m && rc && mysql_errno(m) == ER_TOO_BIG_ROWSIZE) {
        *too_big = true;
        if (my_run(m, "SET SESSION innodb_strict_mode = OFF", &not_allowed) == 0) {
            err_clear(err);
            rc = run_said(m, sql, said, err);
            *too_big = rc && mysql_errno(m) == ER_TOO_BIG_ROWSIZE;
        }
    }
    if (m)
        mysql_close(m);
    buf_free(sql);
    return rc;
}

int my_run_change(struct driver *d, struct buf *sql, struct err *err)
{
    bool too_big;
    return run_change(d, sql, sql->len, &too_big, err);
}

const struct text_dialect my_dialect = {
    .quote = my_quote,
    .quote_table = buf_append_str,
    .declare = my_declare,
    .null = " NULL",
    .no_columns = "`pg2any_no_columns` TINYINT", /* MySQL's tables have some */
};

/*
 * Under REPLICA IDENTITY USING INDEX rows are found by that index's columns. Not UNIQUE: the source
 * may choose another index later and let these columns repeat.
 */
static void append_create(struct driver *d, const struct step *step, struct buf *sql)
{
    const struct relation *rel = step->rel;
    text_table(d, &my_dialect, step, " NOT NULL", "PRIMARY KEY", sql);
    if (key_needs_identity_index(rel)) {
        buf_append_str(sql, ", KEY `pg2any_identity` (");
        text_identity(sql, rel, my_quote);
        buf_append_byte(sql, ')');
    }
    buf_printf(sql,
               ") ENGINE=InnoDB ROW_FORMAT=DYNAMIC CHARACTER SET utf8mb4 COLLATE %s COMMENT '" OURS
               "'",
               d->collation);
}

/* How many characters of a column an index of `n` columns takes; 0: all of its values. */
static unsigned int prefix(const struct described_column *c, size_t n)
{
    unsigned int share = (unsigned int)(INDEX_CHARACTERS / n);
    return c->length > (int64_t)share ? share : 0;
}

/*
 * Where the whole of a value has no room in the index, as that of a TEXT, it is one of the values'
 * beginnings, which is not unique. The name is the source's, of which the table has no other; the
 * comment says whose it is.
 */
static void append_index(const struct driver *d, const struct step *step, struct buf *sql)
{
    const struct wanted_index *index = step->index;
    struct buf columns = {0};
    bool unique = index->unique && !policy_merges(&d->policy);
    for (size_t i = 0; i < index->ncolumns; i++) {
        const struct described_column *c = described_find(step->there, index->columns[i]);
        unsigned int characters = prefix(c, index->ncolumns);
        unique = unique && characters == 0;
        buf_append_str(&columns, i == 0 ? " (" : ", ");
        my_quote(&columns, c->name);
        if (characters > 0)
            buf_printf(&columns, "(%u)", characters);
    }
    buf_append_str(sql, unique ? "CREATE UNIQUE INDEX " : "CREATE INDEX ");
    my_quote(sql, index->name);
    buf_printf(sql, " ON %s%s) COMMENT '" OURS "'", step->table, buf_cstr(&columns));
    sql->failed = sql->failed || columns.failed;
    buf_free(&columns);
}

/*
 * Appends that indexes of ours go that a column is in, each with ", " behind it. The column could
 * not go at the source without them; what is left of a unique one would be unique in less.
 */
static int append_index_drops(struct driver *d, const char *table, const char *column,
                              struct buf *sql, struct err *err)
{
    MYSQL_RES *rows;
    struct buf end = {0};
    buf_append_str(&end, " AND index_comment = '" OURS "' AND column_name = ");
    my_text_literal(&end, column, strlen(column));
    int rc = buf_check(&end, err);
    if (rc == 0)
        rc = ask(d, table, "index_name", "statistics", buf_cstr(&end), &rows, err);
    buf_free(&end);
    if (rc)
        return -1;
    for (MYSQL_ROW row; (row = mysql_fetch_row(rows)) != NULL;) {
        buf_append_str(sql, "DROP INDEX ");
        my_quote(sql, row[0]);
        buf_append_str(sql, ", ");
    }
    mysql_free_result(rows);
    return 0;
}

/* A text or bytes may become too long for an index of ours, which goes then. */
static int append_widening(struct driver *d, const struct step *step, struct buf *sql,
                           struct err *err)
{
    const char *name = step->rel->columns[step->column].name;
    const struct described_column *was = described_find(step->there, name);
    buf_printf(sql, "ALTER TABLE %s ", step->table);
    size_t begin = sql->len;
    if ((!was || was->length >= 0) && append_index_drops(d, step->table, name, sql, err))
        return -1;
    if (sql->len > begin && !d->config.look_only)
        log_warning("a column's indexes go, for which its new type is too long", "table",
                    step->table, "column", name, NULL);
    buf_append_str(sql, "MODIFY COLUMN ");
    text_declaration(d, &my_dialect, step->rel, step->column,
                     key_has_column(step->rel, step->column) ? " NOT NULL" : NULL, sql);
    return 0;
}

/* The literal of what rows that are there get in a new column; nothing: NULL. */
static int append_fill(struct driver *d, const struct column *c, struct buf *sql, struct err *err)
{
    char room[PG_MONEY_SIZE];
    struct source_cell cell;
    const struct value v = text_fill(c);
    if (c->fill != FILL_VALUE)
        return 0;
    if (source_read(&cell, my_form_of(c), &v, &my_types, &d->policy, room, err))
        return err_context(err, "what column %s holds in existing rows", c->name);
    if (!cell.null)
        my_cell_literal(&cell, my_form_of(c), sql);
    return 0;
}

/*
 * A new column gets its value in the rows that are there from a default, in the same statement. To
 * take that away the column is declared again: MySQL cannot set the default of a LONGTEXT to NULL.
 */
static int append_new_column(struct driver *d, const struct step *step, struct buf *sql,
                             size_t *said, struct err *err)
{
    struct buf fill = {0};
    int rc = append_fill(d, &step->rel->columns[step->column], &fill, err);
    if (rc == 0)
        rc = buf_check(&fill, err);
    if (rc == 0 && (step->kind == STEP_ADD_COLUMN || fill.len > 0)) {
        buf_printf(sql, "ALTER TABLE %s %s COLUMN ", step->table,
                   step->kind == STEP_ADD_COLUMN ? "ADD" : "MODIFY");
        text_declaration(d, &my_dialect, step->rel, step->column, NULL, sql);
    }
    *said = sql->len;
    if (rc == 0 && step->kind == STEP_ADD_COLUMN && fill.len > 0)
        buf_printf(sql, " DEFAULT %s", buf_cstr(&fill));
    buf_free(&fill);
    return rc;
}

/* Writes what rows that are there get in a new column. */
static int fill(struct driver *d, const struct step *step, struct buf *show, struct err *err)
{
    struct buf sql = {0};
    buf_printf(&sql, "UPDATE %s SET `" UNFILLED "` = ", step->table);
    size_t said = sql.len;
    if (append_fill(d, &step->rel->columns[step->column], &sql, err)) {
        buf_free(&sql);
        return -1;
    }
    bool too_big;
    return show ? text_change(d, &sql, show, my_run_change, err)
                : run_change(d, &sql, said, &too_big, err);
}

/* Appends the statement of a step; where there is nothing to do it appends nothing. *said: how much
 * of it may stand in an error. */
static int append_step(struct driver *d, const struct step *step, struct buf *sql, size_t *said,
                       struct err *err)
{
    *said = SIZE_MAX;
    switch (step->kind) {
    case STEP_CREATE_TABLE:
        append_create(d, step, sql);
        return 0;
    case STEP_RENAME_TABLE:
        buf_printf(sql, "RENAME TABLE %s TO %s", step->table, step->to);
        return 0;
    case STEP_DROP_COLUMN:
        buf_printf(sql, "ALTER TABLE %s ", step->table);
        if (append_index_drops(d, step->table, step->name, sql, err))
            return -1;
        buf_append_str(sql, "DROP COLUMN ");
        my_quote(sql, step->name);
        return 0;
    case STEP_RENAME_COLUMN:
        text_alter(&my_dialect, step, sql);
        return 0;
    case STEP_WIDEN_COLUMN:
        return append_widening(d, step, sql, err);
    case STEP_CREATE_INDEX:
        append_index(d, step, sql);
        return 0;
    case STEP_ADD_COLUMN:
    case STEP_DROP_DEFAULT:
        return append_new_column(d, step, sql, said, err);
    case STEP_DROP_TABLE:
        buf_printf(sql, "DROP TABLE %s", step->table);
        return 0;
    case STEP_REPLACE_TABLE:
        buf_append_str(sql, "RENAME TABLE ");
        if (step->name)
            buf_printf(sql, "%s TO %s, ", step->name, step->aside);
        buf_printf(sql, "%s TO %s", step->table, step->to);
        return 0;
    }
    BUG("unknown step");
}

static int change_once(struct driver *d, const struct step *step, struct buf *show, bool *too_big,
                       struct err *err)
{
    struct buf sql = {0};
    size_t said;
    *too_big = false;
    if (append_step(d, step, &sql, &said, err)) {
        buf_free(&sql);
        return -1;
    }
    if (sql.len == 0 && !sql.failed)
        return 0;
    return show ? text_change(d, &sql, show, my_run_change, err)
                : run_change(d, &sql, said < sql.len ? said : sql.len, too_big, err);
}

/* The VARCHARs that are there were chosen when there were fewer columns. */
static int change(struct driver *d, const struct step *step, struct buf *show, struct err *err)
{
    bool too_big;
    if (change_once(d, step, show, &too_big, err) == 0)
        return 0;
    if (!too_big || step->kind == STEP_CREATE_TABLE)
        return -1;
    err_clear(err);
    d->row_is_full = true;
    int rc = change_once(d, step, show, &too_big, err);
    d->row_is_full = false;
    return rc;
}

/*
 * A value that no DEFAULT clause takes is written into the rows that are there. Until it is in all
 * of them the column has another name: a crash in between leaves it behind, to be made afresh.
 */
static int add_filled_column(struct driver *d, const struct step *step, struct buf *show,
                             struct err *err)
{
    struct column *columns = calloc(step->rel->ncolumns, sizeof *columns);
    if (!columns)
        return err_nomem(err);
    memcpy(columns, step->rel->columns, step->rel->ncolumns * sizeof *columns);
    struct column *unfilled = &columns[step->column];
    unfilled->name = UNFILLED;
    unfilled->fill = FILL_NULL;
    struct relation rel = *step->rel;
    rel.columns = columns;
    struct step drop = *step, add = *step, name = *step;
    drop.kind = STEP_DROP_COLUMN;
    drop.name = UNFILLED;
    add.rel = &rel;
    name.kind = STEP_RENAME_COLUMN;
    name.name = UNFILLED;
    name.to = step->rel->columns[step->column].name;
    int rc = described_find(step->there, UNFILLED) ? change(d, &drop, show, err) : 0;
    if (rc == 0)
        rc = change(d, &add, show, err);
    if (rc == 0)
        rc = fill(d, step, show, err);
    if (rc == 0)
        rc = change(d, &name, show, err);
    free(columns);
    return rc;
}

int my_change(struct driver *d, const struct step *step, struct buf *show, struct err *err)
{
    char database[NAME_SIZE], table[NAME_SIZE];
    if (step->kind == STEP_CREATE_TABLE && step->there->no_container) {
        my_split_name(step->table, database, table);
        if (my_create_database(d, database, show, err))
            return -1;
    }
    const struct column *c =
        step->kind == STEP_ADD_COLUMN ? &step->rel->columns[step->column] : NULL;
    const struct step drop = {.kind = STEP_DROP_TABLE, .table = step->aside, .rel = step->rel};
    int rc = c && c->fill == FILL_VALUE && c->fill_size > MY_DEFAULT_BYTES
                 ? add_filled_column(d, step, show, err)
                 : change(d, step, show, err);
    if (rc == 0 && step->kind == STEP_REPLACE_TABLE && step->name)
        rc = change(d, &drop, show, err);
    if (rc && err->kind == ERR_RETRY && step->kind != STEP_CREATE_TABLE)
        (void)err_hint(err, "something else uses %s", step->table);
    return rc;
}
