/* The schema operations of the MySQL driver: primitives, schema.c of common/ says when. */
#include <ctype.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "mysql_dest.h"
#include "sql/key_size.h"

#define UNKNOWN_DATABASE_NO 1049
#define ROW_SIZE_NO         1118

/* ---- names ---- */

static void fold(char *name)
{
    for (; *name; name++)
        if (*name >= 'A' && *name <= 'Z')
            *name = (char)(*name - 'A' + 'a');
}

/* A mapped schema is a database; an unmapped one, or one that is mapped to nothing, is in the
 * URI's. */
int mysql_target_name(struct dest *d, const struct relation *rel, struct buf *out, struct err *err)
{
    const char *mapped = schema_map_find(d->schema_map, rel->namespace);
    char *database = strdup(mapped && *mapped ? mapped : d->uri.base.database);
    char *table = strdup(rel->name);
    int rc = 0;
    if (!database || !table) {
        rc = err_nomem(err);
    } else if (strlen(database) >= NAME_SIZE || strlen(table) >= NAME_SIZE) {
        rc = err_set(err, ERR_PERMANENT, "the name %s.%s is too long", database, table);
    } else {
        if (d->folds_table_names) {
            fold(database);
            fold(table);
        }
        if (strcasecmp(database, d->uri.base.database) == 0 &&
            (strcasecmp(table, CHECKPOINT_TABLE) == 0 || strcasecmp(table, RELATION_TABLE) == 0)) {
            (void)err_set(err, ERR_PERMANENT,
                          "a source table would get the name %s, which pg2any uses itself", table);
            rc = err_hint(err, "give its schema another database with --schema-map");
        }
        mysql_quote(out, database);
        buf_append_byte(out, '.');
        mysql_quote(out, table);
        if (rc == 0)
            rc = buf_check(out, err);
    }
    free(database);
    free(table);
    return rc;
}

/* ---- what the target remembers ---- */

int mysql_relation_get(struct dest *d, const char *origin, uint32_t relid, const char *by_target,
                       struct buf *target, struct buf *frame, uint32_t *relid_found,
                       struct err *err)
{
    struct buf sql = {0};
    MYSQL_RES *rows;
    int rc = 0;
    buf_append_str(&sql, "SELECT relid, target, frame FROM " RELATION_TABLE " WHERE origin = ");
    mysql_text_literal(&sql, origin);
    if (relid) {
        buf_printf(&sql, " AND relid = %" PRIu32, relid);
    } else {
        buf_append_str(&sql, " AND target = ");
        mysql_text_literal(&sql, by_target);
    }
    /* On this connection: the open transaction may have written it. */
    if (mysql_rows(d->rows, &sql, &rows, err))
        return err_context(err, "reading " RELATION_TABLE);
    MYSQL_ROW row = mysql_fetch_row(rows);
    if (row && row[0] && row[1] && row[2]) {
        const unsigned long *sizes = mysql_fetch_lengths(rows);
        if (relid_found)
            *relid_found = (uint32_t)strtoul(row[0], NULL, 10);
        buf_append(target, row[1], sizes[1]);
        buf_append(frame, row[2], sizes[2]);
        rc = buf_check(target, err) || buf_check(frame, err) ? -1 : 0;
    }
    mysql_free_result(rows);
    return rc;
}

int mysql_relation_put(struct dest *d, const char *origin, const struct relation *rel,
                       const char *target, const struct buf *frame, struct err *err)
{
    struct buf values = {0}, sql = {0};
    uint64_t matched;
    buf_append_str(&values, " SET target = ");
    mysql_text_literal(&values, target);
    buf_append_str(&values, ", namespace = ");
    mysql_text_literal(&values, rel->namespace);
    buf_append_str(&values, ", name = ");
    mysql_text_literal(&values, rel->name);
    buf_append_str(&values, ", frame = ");
    mysql_bytes_literal(&values, frame->data, frame->len);
    buf_append_str(&sql, "UPDATE " RELATION_TABLE);
    buf_append(&sql, values.data, values.len);
    buf_append_str(&sql, " WHERE origin = ");
    mysql_text_literal(&sql, origin);
    buf_printf(&sql, " AND relid = %" PRIu32, rel->relid);
    int rc = buf_check(&values, err);
    if (rc)
        buf_free(&sql);
    else
        rc = mysql_run_buf(d->rows, &sql, &matched, err);
    if (rc == 0 && matched == 0) {
        buf_append_str(&sql, "INSERT INTO " RELATION_TABLE);
        buf_append(&sql, values.data, values.len);
        buf_append_str(&sql, ", origin = ");
        mysql_text_literal(&sql, origin);
        buf_printf(&sql, ", relid = %" PRIu32, rel->relid);
        rc = mysql_run_buf(d->rows, &sql, NULL, err);
    }
    buf_free(&values);
    if (rc == 0)
        rc = mysql_check_warnings(d->rows, err);
    return rc ? err_context(err, "writing " RELATION_TABLE) : 0;
}

/* ---- looking ---- */

int mysql_table_exists(struct dest *d, const char *target, bool *exists, struct err *err)
{
    struct buf sql = {0};
    MYSQL_RES *rows;
    buf_append_str(&sql, "SELECT 1 FROM information_schema.tables");
    mysql_target_condition(&sql, target);
    if (mysql_rows(d->schema, &sql, &rows, err))
        return -1;
    *exists = mysql_num_rows(rows) > 0;
    mysql_free_result(rows);
    return 0;
}

/* Names of columns fold case in MySQL. */
int mysql_column_exists(struct dest *d, const char *target, const char *column, bool *exists,
                        struct err *err)
{
    struct buf sql = {0};
    MYSQL_RES *rows;
    buf_append_str(&sql, "SELECT column_name FROM information_schema.columns");
    mysql_target_condition(&sql, target);
    if (mysql_rows(d->schema, &sql, &rows, err))
        return -1;
    *exists = false;
    for (MYSQL_ROW row; (row = mysql_fetch_row(rows)) != NULL;)
        *exists = *exists || (row[0] && strcasecmp(row[0], column) == 0);
    mysql_free_result(rows);
    return 0;
}

/* Over the other connection, which leaves no lock behind, unless the rows may be this
 * transaction's. */
int mysql_table_empty(struct dest *d, const char *target, bool *empty, struct err *err)
{
    struct buf sql = {0};
    MYSQL_RES *rows;
    buf_printf(&sql, "SELECT 1 FROM %s LIMIT 1", target);
    if (mysql_rows(mysql_is_dirty(d, target) ? d->rows : d->schema, &sql, &rows, err))
        return -1;
    *empty = mysql_num_rows(rows) == 0;
    mysql_free_result(rows);
    return 0;
}

/* ---- changing ---- */

/*
 * Runs a statement that changes the schema. InnoDB refuses a table of hundreds of texts, because
 * rows may become too large for a page, unless it is told that a row at a time will show; the user
 * may not be allowed to tell it that.
 */
static int change(struct dest *d, const char *sql, struct err *err)
{
    if (d->look_only)
        return 0;
    if (mysql_run(d->schema, sql, NULL, err) == 0)
        return 0;
    if (mysql_errno(d->schema) != ROW_SIZE_NO)
        return -1;
    struct err not_allowed = {0};
    if (mysql_run(d->schema, "SET SESSION innodb_strict_mode = OFF", NULL, &not_allowed))
        return -1;
    err_clear(err);
    return mysql_run(d->schema, sql, NULL, err);
}

/* Runs and frees a statement that commits by itself. */
static int alter_now(struct dest *d, const char *target, struct buf *sql, struct err *err)
{
    int rc = buf_check(sql, err);
    if (rc == 0)
        rc = change(d, buf_cstr(sql), err);
    if (rc && err->kind == ERR_RETRY)
        (void)err_hint(err, "something else uses %s", target);
    buf_free(sql);
    return rc;
}

/* The same for a change that the rows before it must not meet. A table that the open transaction
 * has changed cannot be altered: it would wait for that transaction. */
static int alter(struct dest *d, const char *target, struct buf *sql, const char *way_out,
                 struct err *err)
{
    if (!mysql_is_dirty(d, target))
        return alter_now(d, target, sql, err);
    buf_free(sql);
    (void)err_set(err, ERR_PERMANENT,
                  "the same source transaction changed rows of %s before this change of the table, "
                  "and MySQL has no such change within a transaction",
                  target);
    return err_hint(err, "%s", way_out);
}

#define COPY_ANEW "the table has to be copied anew"

/*
 * A new column may be there before the rows that come before it: they do not name it, and get its
 * default. So where the open transaction is in the way it is given up, the column added, and the
 * group repeated, which finds the column done. If it does not, because the same transaction drops
 * the column first, it would go on like that for ever.
 */
static int alter_and_repeat(struct dest *d, const char *target, const char *column, struct buf *sql,
                            struct err *err)
{
    struct buf what = {0};
    buf_printf(&what, "%s %s", target, column);
    if (buf_check(&what, err)) {
        buf_free(&what);
        buf_free(sql);
        return -1;
    }
    bool again = d->repeated.len == what.len && memcmp(d->repeated.data, what.data, what.len) == 0;
    buf_free(&d->repeated);
    d->repeated = what;
    if (again) {
        buf_free(sql);
        (void)err_set(err, ERR_PERMANENT,
                      "column %s of %s was dropped and made again between rows of one source "
                      "transaction, and MySQL has no such change within a transaction",
                      column, target);
        return err_hint(err, COPY_ANEW);
    }
    if (mysql_run(d->rows, "ROLLBACK", NULL, err)) {
        buf_free(sql);
        return -1;
    }
    if (alter_now(d, target, sql, err))
        return -1;
    return err_set(
        err, ERR_RETRY,
        "a column of %s was added or widened, and the same source transaction had changed "
        "rows there before",
        target);
}

static void append_declaration(struct dest *d, const struct relation *rel, uint32_t i,
                               struct buf *sql)
{
    mysql_quote(sql, rel->columns[i].name);
    buf_append_byte(sql, ' ');
    type_declare(rel, i, d->collation, sql);
}

/*
 * Under REPLICA IDENTITY USING INDEX rows are found by that index's columns. Not UNIQUE: the source
 * may choose another index later and let these columns repeat.
 */
static void append_keys(const struct relation *rel, struct buf *sql)
{
    const char *comma = "";
    for (uint32_t i = 0; i < rel->npk; i++) {
        buf_append_str(sql, i == 0 ? ", PRIMARY KEY (" : ", ");
        mysql_quote(sql, rel->columns[rel->pk[i]].name);
    }
    if (rel->npk > 0)
        buf_append_byte(sql, ')');
    if (!key_needs_identity_index(rel))
        return;
    buf_append_str(sql, ", KEY `pg2any_identity` (");
    for (uint32_t i = 0; i < rel->ncolumns; i++)
        if (rel->columns[i].key) {
            buf_append_str(sql, comma);
            mysql_quote(sql, rel->columns[i].name);
            comma = ", ";
        }
    buf_append_byte(sql, ')');
}

int mysql_table_create(struct dest *d, const char *target, const struct relation *rel,
                       struct err *err)
{
    struct buf sql = {0};
    char database[NAME_SIZE], table[NAME_SIZE];
    buf_printf(&sql, "CREATE TABLE %s (", target);
    for (uint32_t i = 0; i < rel->ncolumns; i++) {
        if (i > 0)
            buf_append_str(&sql, ", ");
        append_declaration(d, rel, i, &sql);
        buf_append_str(&sql, key_has_column(rel, i) ? " NOT NULL" : " NULL");
    }
    if (rel->ncolumns == 0)
        buf_append_str(&sql, "`pg2any_no_columns` TINYINT"); /* MySQL's tables have some */
    append_keys(rel, &sql);
    buf_printf(&sql, ") ENGINE=InnoDB ROW_FORMAT=DYNAMIC CHARACTER SET utf8mb4 COLLATE %s",
               d->collation);
    int rc = buf_check(&sql, err);
    if (rc == 0)
        rc = change(d, buf_cstr(&sql), err);
    if (rc && mysql_errno(d->schema) == UNKNOWN_DATABASE_NO) {
        err_clear(err);
        mysql_target_split(target, database, table);
        rc = mysql_create_database(d, database, err);
        if (rc == 0)
            rc = change(d, buf_cstr(&sql), err);
    }
    buf_free(&sql);
    return rc;
}

int mysql_table_rename(struct dest *d, const char *target, const char *to, struct err *err)
{
    struct buf sql = {0};
    buf_printf(&sql, "RENAME TABLE %s TO %s", target, to);
    return alter(d, target, &sql, COPY_ANEW, err);
}

/*
 * The rows that are there get the value from a DEFAULT, in the same statement. The default is taken
 * away afterwards; where a crash leaves it, it does no harm, because an INSERT names every column.
 */
static int add_with_default(struct dest *d, const char *target, const struct relation *rel,
                            uint32_t column, const struct cell *cell, struct err *err)
{
    const struct column *c = &rel->columns[column];
    struct buf add = {0}, drop = {0};
    buf_printf(&add, "ALTER TABLE %s ADD COLUMN ", target);
    append_declaration(d, rel, column, &add);
    buf_append_str(&add, " NULL DEFAULT ");
    cell_literal(cell, form_of(c), &add);
    /* The rows of the transaction that is repeated need the default. */
    if (mysql_is_dirty(d, target))
        return alter_and_repeat(d, target, c->name, &add, err);
    if (alter_now(d, target, &add, err))
        return -1;
    /* Declared again without it: MySQL cannot set the default of a LONGTEXT to NULL. */
    buf_printf(&drop, "ALTER TABLE %s MODIFY COLUMN ", target);
    append_declaration(d, rel, column, &drop);
    buf_append_str(&drop, " NULL");
    return mysql_run_buf(d->schema, &drop, NULL, err);
}

int mysql_column_add(struct dest *d, const char *target, const struct relation *rel,
                     uint32_t column, struct err *err)
{
    const struct column *c = &rel->columns[column];
    struct cell cell;
    struct buf sql = {0};
    const struct value v = {
        .kind = c->fill_is_bytes ? VALUE_BYTES : VALUE_TEXT,
        .size = (uint32_t)c->fill_size,
        .data = c->fill_value,
    };
    if (c->fill == FILL_VALUE) {
        if (cell_set(&cell, form_of(c), &v, &d->policy, err))
            return err_context(err, "what column %s holds in the rows that are there", c->name);
        if (!cell.null)
            return add_with_default(d, target, rel, column, &cell, err);
    }
    buf_printf(&sql, "ALTER TABLE %s ADD COLUMN ", target);
    append_declaration(d, rel, column, &sql);
    buf_append_str(&sql, " NULL");
    return mysql_is_dirty(d, target) ? alter_and_repeat(d, target, c->name, &sql, err)
                                     : alter_now(d, target, &sql, err);
}

int mysql_column_drop(struct dest *d, const char *target, const char *column, struct err *err)
{
    struct buf sql = {0};
    buf_printf(&sql, "ALTER TABLE %s DROP COLUMN ", target);
    mysql_quote(&sql, column);
    return alter(d, target, &sql,
                 "start once with --ddl create, which leaves the column, and drop it by hand", err);
}

int mysql_column_rename(struct dest *d, const char *target, const char *column, const char *to,
                        struct err *err)
{
    struct buf sql = {0};
    buf_printf(&sql, "ALTER TABLE %s RENAME COLUMN ", target);
    mysql_quote(&sql, column);
    buf_append_str(&sql, " TO ");
    mysql_quote(&sql, to);
    return alter(d, target, &sql, COPY_ANEW, err);
}

/* A wider type may be there before the rows that need it, as a new column may. */
int mysql_column_widen(struct dest *d, const char *target, const struct relation *rel,
                       uint32_t column, struct err *err)
{
    struct buf sql = {0};
    bool holds;
    if (mysql_column_holds(d, target, &rel->columns[column], &holds, err))
        return -1;
    if (holds)
        return 0;
    buf_printf(&sql, "ALTER TABLE %s MODIFY COLUMN ", target);
    append_declaration(d, rel, column, &sql);
    buf_append_str(&sql, key_has_column(rel, column) ? " NOT NULL" : " NULL");
    return mysql_is_dirty(d, target)
               ? alter_and_repeat(d, target, rel->columns[column].name, &sql, err)
               : alter_now(d, target, &sql, err);
}

/* What is declared for both is the same; lengths of text and bytes in an index aside, which depend
 * on its other columns. */
bool mysql_column_same_type(struct dest *d, const struct column *a, const struct column *b)
{
    struct column columns[2] = {*a, *b};
    struct buf declared[2] = {{0}, {0}};
    for (int i = 0; i < 2; i++) {
        struct relation rel = {.replica_identity = REPLICA_IDENTITY_NOTHING,
                               .ncolumns = 1,
                               .columns = &columns[i],
                               .namespace = "",
                               .name = ""};
        type_declare(&rel, 0, d->collation, &declared[i]);
    }
    bool same = strcmp(buf_cstr(&declared[0]), buf_cstr(&declared[1])) == 0;
    buf_free(&declared[0]);
    buf_free(&declared[1]);
    return same;
}
