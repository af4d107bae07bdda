/* The schema operations of the SQL Server driver: primitives, schema.c of common/ says when. */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "base/log.h"
#include "mssql_dest.h"
#include "sql/key_size.h"

#define RELATION       "[dbo].[" RELATION_TABLE "]"
#define IDENTITY_INDEX "[pg2any_identity]"
#define DEFAULT_SCHEMA "dbo"

/* ---- names ---- */

/* Reads one part of "schema", "database.schema", "[a.b].[c]"; what follows it. */
static const char *mapped_part(const char *p, struct buf *out)
{
    if (*p != '[') {
        size_t n = strcspn(p, ".");
        buf_append(out, p, n);
        return p + n;
    }
    for (p++; *p && (*p != ']' || p[1] == ']'); p++) {
        if (*p == ']')
            p++;
        buf_append_byte(out, (uint8_t)*p);
    }
    return *p ? p + 1 : p;
}

/* The database (empty: the URI's) and the schema that a schema of the source is mapped to. */
static int map_schema(const struct dest *d, const char *namespace, struct buf *database,
                      struct buf *schema, struct err *err)
{
    const char *mapped = schema_map_find(d->schema_map, namespace);
    if (!mapped) {
        buf_append_str(schema, namespace);
        return 0;
    }
    const char *p = mapped_part(mapped, schema);
    if (*p == '.') {
        struct buf first = *schema;
        *schema = (struct buf){0};
        p = mapped_part(p + 1, schema);
        if (first.len != strlen(d->uri.base.database) ||
            strcasecmp(buf_cstr(&first), d->uri.base.database) != 0)
            buf_append(database, first.data, first.len);
        buf_free(&first);
    }
    if (*p) {
        (void)err_set(err, ERR_PERMANENT,
                      "--schema-map: \"%s\" is neither a schema nor "
                      "database.schema",
                      mapped);
        return err_hint(err, "a name with a dot stands in brackets");
    }
    if (schema->len == 0)
        buf_append_str(schema, DEFAULT_SCHEMA);
    return 0;
}

static bool is_own_table(const char *schema, const char *table)
{
    return strcasecmp(schema, DEFAULT_SCHEMA) == 0 &&
           (strcasecmp(table, CHECKPOINT_TABLE) == 0 || strcasecmp(table, RELATION_TABLE) == 0);
}

int mssql_target_name(struct dest *d, const struct relation *rel, struct buf *out, struct err *err)
{
    struct buf database = {0}, schema = {0};
    int rc = map_schema(d, rel->namespace, &database, &schema, err);
    if (rc == 0)
        rc = buf_check(&database, err) || buf_check(&schema, err) ? -1 : 0;
    if (rc == 0 && database.len == 0 && is_own_table(buf_cstr(&schema), rel->name)) {
        (void)err_set(err, ERR_PERMANENT,
                      "a source table would get the name %s, which pg2any uses itself", rel->name);
        rc = err_hint(err, "give its schema another one with --schema-map");
    }
    if (rc == 0) {
        if (database.len > 0) {
            mssql_quote(out, buf_cstr(&database));
            buf_append_byte(out, '.');
        }
        mssql_quote(out, buf_cstr(&schema));
        buf_append_byte(out, '.');
        mssql_quote(out, rel->name);
        rc = buf_check(out, err);
    }
    buf_free(&database);
    buf_free(&schema);
    return rc;
}

/* ---- what the target remembers ---- */

int mssql_relation_get(struct dest *d, const char *origin, uint32_t relid, const char *by_target,
                       struct buf *target, struct buf *frame, uint32_t *relid_found,
                       struct err *err)
{
    struct buf sql = {0};
    struct mssql_result rows;
    buf_append_str(&sql, "SELECT relid, target, frame FROM " RELATION " WHERE origin = ");
    mssql_literal(&sql, origin);
    if (relid) {
        buf_printf(&sql, " AND relid = %" PRIu32, relid);
    } else {
        buf_append_str(&sql, " AND target = ");
        mssql_literal(&sql, by_target);
    }
    int rc = mssql_session_query(d->session, &sql, &rows, err);
    if (rc == 0 && rows.nrows > 0) {
        if (relid_found)
            *relid_found = (uint32_t)mssql_result_number(&rows, 0, 0);
        buf_append(target, rows.values[1].data, rows.values[1].size);
        buf_append(frame, rows.values[2].data, rows.values[2].size);
        rc = buf_check(target, err) || buf_check(frame, err) ? -1 : 0;
    }
    mssql_result_free(&rows);
    return rc ? err_context(err, "reading " RELATION_TABLE) : 0;
}

int mssql_relation_put(struct dest *d, const char *origin, const struct relation *rel,
                       const char *target, const struct buf *frame, struct err *err)
{
    struct buf sql = {0};
    buf_append_str(&sql, "IF @@TRANCOUNT = 1 BEGIN UPDATE " RELATION " SET target = ");
    mssql_literal(&sql, target);
    buf_append_str(&sql, ", namespace = ");
    mssql_literal(&sql, rel->namespace);
    buf_append_str(&sql, ", name = ");
    mssql_literal(&sql, rel->name);
    buf_append_str(&sql, ", frame = ");
    mssql_bytes_literal(&sql, frame->data, frame->len);
    buf_append_str(&sql, " WHERE origin = ");
    mssql_literal(&sql, origin);
    buf_printf(&sql,
               " AND relid = %" PRIu32 "; IF @@ROWCOUNT = 0 INSERT INTO " RELATION
               " (origin, relid, target, namespace, name, frame) VALUES (",
               rel->relid);
    mssql_literal(&sql, origin);
    buf_printf(&sql, ", %" PRIu32 ", ", rel->relid);
    mssql_literal(&sql, target);
    buf_append_str(&sql, ", ");
    mssql_literal(&sql, rel->namespace);
    buf_append_str(&sql, ", ");
    mssql_literal(&sql, rel->name);
    buf_append_str(&sql, ", ");
    mssql_bytes_literal(&sql, frame->data, frame->len);
    buf_append_str(&sql, ") END");
    return mssql_session_run_buf(d->session, &sql, "writing " RELATION_TABLE, err);
}

/* ---- looking ---- */

/* Whether a query finds a row; it is freed. */
static int found(struct dest *d, struct buf *sql, bool *yes, struct err *err)
{
    struct mssql_result rows;
    int rc = mssql_session_query(d->session, sql, &rows, err);
    *yes = rows.nrows > 0;
    mssql_result_free(&rows);
    return rc;
}

int mssql_table_exists(struct dest *d, const char *target, bool *exists, struct err *err)
{
    struct buf sql = {0};
    buf_append_str(&sql, "SELECT 1 FROM ");
    mssql_catalog(&sql, target, "tables");
    buf_append_str(&sql, " WHERE object_id = ");
    mssql_object_id(&sql, target);
    return found(d, &sql, exists, err);
}

/* A name is compared as the database compares names. */
int mssql_column_exists(struct dest *d, const char *target, const char *column, bool *exists,
                        struct err *err)
{
    struct buf sql = {0};
    buf_append_str(&sql, "SELECT 1 FROM ");
    mssql_catalog(&sql, target, "columns");
    buf_append_str(&sql, " WHERE object_id = ");
    mssql_object_id(&sql, target);
    buf_append_str(&sql, " AND name = ");
    mssql_literal(&sql, column);
    return found(d, &sql, exists, err);
}

int mssql_table_empty(struct dest *d, const char *target, bool *empty, struct err *err)
{
    struct buf sql = {0};
    bool some;
    buf_printf(&sql, "SELECT TOP (1) 1 FROM %s", target);
    if (found(d, &sql, &some, err))
        return -1;
    *empty = !some;
    return 0;
}

/* ---- changing ---- */

/* Runs and frees a statement that changes the schema, in the open transaction. */
static int change(struct dest *d, struct buf *sql, struct err *err)
{
    if (d->look_only) {
        int built = buf_check(sql, err);
        buf_free(sql);
        return built;
    }
    mssql_session_be_patient(d->session, true);
    int rc = mssql_session_run_buf(d->session, sql, NULL, err);
    mssql_session_be_patient(d->session, false);
    return rc;
}

static void append_declaration(const struct relation *rel, uint32_t i, struct buf *sql)
{
    mssql_quote(sql, rel->columns[i].name);
    buf_append_byte(sql, ' ');
    mssql_declare(rel, i, sql);
    buf_append_str(sql, key_has_column(rel, i) ? " NOT NULL" : " NULL");
}

/* Appends "PRIMARY KEY …". A key that may be longer than a clustered index takes is another one. */
static void append_primary_key(const struct relation *rel, struct buf *sql)
{
    buf_append_str(sql, mssql_key_is_small(rel) ? "PRIMARY KEY CLUSTERED ("
                                                : "PRIMARY KEY NONCLUSTERED (");
    for (uint32_t i = 0; i < rel->npk; i++) {
        buf_append_str(sql, i ? ", " : "");
        mssql_quote(sql, rel->columns[rel->pk[i]].name);
    }
    buf_append_byte(sql, ')');
}

/*
 * Under REPLICA IDENTITY USING INDEX rows are found by that index's columns. Not UNIQUE: the source
 * may choose another index later and let these columns repeat.
 */
static int create_identity_index(struct dest *d, const char *target, const struct relation *rel,
                                 struct err *err)
{
    struct buf sql = {0};
    const char *comma = "";
    if (!key_needs_identity_index(rel))
        return 0;
    buf_printf(&sql, "CREATE NONCLUSTERED INDEX " IDENTITY_INDEX " ON %s (", target);
    for (uint32_t i = 0; i < rel->ncolumns; i++)
        if (rel->columns[i].key) {
            buf_append_str(&sql, comma);
            mssql_quote(&sql, rel->columns[i].name);
            comma = ", ";
        }
    buf_append_byte(&sql, ')');
    return change(d, &sql, err);
}

/* CREATE SCHEMA has to be the only statement of its batch, in its own database. */
static int ensure_schema(struct dest *d, const char *target, struct err *err)
{
    struct target_names names;
    struct buf sql = {0}, statement = {0};
    bool exists;
    mssql_target_split(target, &names);
    buf_append_str(&sql, "SELECT 1 FROM ");
    mssql_catalog(&sql, target, "schemas");
    buf_append_str(&sql, " WHERE name = ");
    mssql_literal(&sql, names.schema);
    if (found(d, &sql, &exists, err))
        return -1;
    if (exists)
        return 0;
    buf_append_str(&statement, "CREATE SCHEMA ");
    mssql_quote(&statement, names.schema);
    buf_append_str(&sql, "EXEC ");
    if (*names.database) {
        mssql_quote(&sql, names.database);
        buf_append_byte(&sql, '.');
    }
    buf_append_str(&sql, "sys.sp_executesql ");
    mssql_literal(&sql, buf_cstr(&statement));
    int rc = buf_check(&statement, err);
    if (rc == 0)
        rc = change(d, &sql, err);
    else
        buf_free(&sql);
    if (rc && err->kind == ERR_PERMANENT)
        (void)err_hint(err, "as a user who may: %s, or map the schema with --schema-map",
                       buf_cstr(&statement));
    else if (rc == 0 && !d->look_only)
        log_info("schema created", "schema", names.schema, NULL);
    buf_free(&statement);
    return rc;
}

int mssql_table_create(struct dest *d, const char *target, const struct relation *rel,
                       struct err *err)
{
    struct buf sql = {0};
    if (ensure_schema(d, target, err))
        return -1;
    buf_printf(&sql, "CREATE TABLE %s (", target);
    for (uint32_t i = 0; i < rel->ncolumns; i++) {
        buf_append_str(&sql, i ? ", " : "");
        append_declaration(rel, i, &sql);
    }
    if (rel->ncolumns == 0)
        buf_append_str(&sql, "[pg2any_no_columns] bit NULL"); /* SQL Server's tables have some */
    if (rel->npk > 0) {
        buf_append_str(&sql, ", ");
        append_primary_key(rel, &sql);
    }
    buf_append_byte(&sql, ')');
    return change(d, &sql, err) || create_identity_index(d, target, rel, err) ? -1 : 0;
}

/* Appends "EXEC [database.]sys.sp_rename N'name of the object', N'to', N'kind'". */
static void append_rename(struct buf *sql, const char *target, const char *object, const char *to,
                          const char *kind)
{
    struct target_names names;
    mssql_target_split(target, &names);
    buf_append_str(sql, "EXEC ");
    if (*names.database) {
        mssql_quote(sql, names.database);
        buf_append_byte(sql, '.');
    }
    buf_append_str(sql, "sys.sp_rename ");
    mssql_literal(sql, object);
    buf_append_str(sql, ", ");
    mssql_literal(sql, to);
    buf_printf(sql, ", N'%s'", kind);
}

/* Appends "[schema].[table]": names of objects within their database. */
static void append_local(struct buf *out, const struct target_names *names, const char *table)
{
    mssql_quote(out, names->schema);
    buf_append_byte(out, '.');
    mssql_quote(out, table);
}

static int transfer(struct dest *d, const struct target_names *was, const char *to,
                    const struct target_names *is, struct err *err)
{
    struct buf sql = {0}, statement = {0};
    if (ensure_schema(d, to, err))
        return -1;
    buf_append_str(&statement, "ALTER SCHEMA ");
    mssql_quote(&statement, is->schema);
    buf_append_str(&statement, " TRANSFER ");
    append_local(&statement, was, was->table);
    buf_append_str(&sql, "EXEC ");
    if (*is->database) {
        mssql_quote(&sql, is->database);
        buf_append_byte(&sql, '.');
    }
    buf_append_str(&sql, "sys.sp_executesql ");
    mssql_literal(&sql, buf_cstr(&statement));
    int rc = buf_check(&statement, err);
    buf_free(&statement);
    if (rc == 0)
        return change(d, &sql, err);
    buf_free(&sql);
    return rc;
}

int mssql_table_rename(struct dest *d, const char *target, const char *to, struct err *err)
{
    struct target_names was, is;
    struct buf sql = {0}, object = {0};
    mssql_target_split(target, &was);
    mssql_target_split(to, &is);
    if (strcmp(was.database, is.database) != 0)
        return err_set(err, ERR_PERMANENT, "a table cannot move to another database");
    if (strcmp(was.schema, is.schema) != 0 && transfer(d, &was, to, &is, err))
        return -1;
    if (strcmp(was.table, is.table) == 0)
        return 0;
    append_local(&object, &is, was.table);
    append_rename(&sql, to, buf_cstr(&object), is.table, "OBJECT");
    int rc = buf_check(&object, err);
    buf_free(&object);
    if (rc == 0)
        return change(d, &sql, err);
    buf_free(&sql);
    return rc;
}

/* Writes the value that the rows before the column was added have in it. */
static int fill(struct dest *d, const char *target, const struct relation *rel, uint32_t column,
                struct err *err)
{
    const struct column *c = &rel->columns[column];
    const struct value v = {
        .kind = c->fill_is_bytes ? VALUE_BYTES : VALUE_TEXT,
        .size = (uint32_t)c->fill_size,
        .data = c->fill_value,
    };
    struct mssql_result rows;
    struct target_column there;
    struct statement s = {0};
    int rc = mssql_read_columns(d, target, &rows, err);
    if (rc == 0 && !mssql_find_column(&rows, c->name, &there))
        rc = err_set(err, ERR_PERMANENT, "the column is not there after it was added");
    if (rc == 0)
        rc = mssql_fill(d, target, &there, mssql_form_of(c), &s, err);
    if (rc == 0) {
        mssql_session_be_patient(d->session, true);
        rc = mssql_execute_value(d, &s, mssql_form_of(c), &v, err);
        mssql_session_be_patient(d->session, false);
    }
    mssql_statement_free(&s);
    mssql_result_free(&rows);
    return rc ? err_context(err, "what column %s holds in the rows that are there", c->name) : 0;
}

int mssql_column_add(struct dest *d, const char *target, const struct relation *rel,
                     uint32_t column, struct err *err)
{
    struct buf sql = {0};
    buf_printf(&sql, "ALTER TABLE %s ADD ", target);
    mssql_quote(&sql, rel->columns[column].name);
    buf_append_byte(&sql, ' ');
    mssql_declare(rel, column, &sql);
    buf_append_str(&sql, " NULL");
    if (change(d, &sql, err))
        return -1;
    return rel->columns[column].fill == FILL_VALUE ? fill(d, target, rel, column, err) : 0;
}

int mssql_column_drop(struct dest *d, const char *target, const char *column, struct err *err)
{
    struct buf sql = {0};
    buf_printf(&sql, "ALTER TABLE %s DROP COLUMN ", target);
    mssql_quote(&sql, column);
    return change(d, &sql, err);
}

int mssql_column_rename(struct dest *d, const char *target, const char *column, const char *to,
                        struct err *err)
{
    struct target_names names;
    struct buf sql = {0}, object = {0};
    mssql_target_split(target, &names);
    append_local(&object, &names, names.table);
    buf_append_byte(&object, '.');
    mssql_quote(&object, column);
    append_rename(&sql, target, buf_cstr(&object), to, "COLUMN");
    int rc = buf_check(&object, err);
    buf_free(&object);
    if (rc == 0)
        return change(d, &sql, err);
    buf_free(&sql);
    return rc;
}

/* An index keeps its columns from being altered: the primary key is dropped, by its name, and made
 * again; so is the index that finds rows. */
static int drop_keys(struct dest *d, const char *target, bool *primary, bool *other,
                     struct err *err)
{
    struct buf sql = {0};
    struct mssql_result rows;
    *primary = *other = false;
    buf_append_str(&sql, "SELECT name, CONVERT(int, is_primary_key) FROM ");
    mssql_catalog(&sql, target, "indexes");
    buf_append_str(&sql, " WHERE object_id = ");
    mssql_object_id(&sql, target);
    buf_append_str(&sql, " AND (is_primary_key = 1 OR name = N'pg2any_identity')");
    int rc = mssql_session_query(d->session, &sql, &rows, err);
    for (size_t i = 0; rc == 0 && i < rows.nrows; i++) {
        bool is_primary = mssql_result_number(&rows, i, 1) == 1;
        *primary = *primary || is_primary;
        *other = *other || !is_primary;
        if (is_primary)
            buf_printf(&sql, "ALTER TABLE %s DROP CONSTRAINT ", target);
        else
            buf_append_str(&sql, "DROP INDEX ");
        mssql_quote(&sql, mssql_result_text(&rows, i, 0));
        if (!is_primary)
            buf_printf(&sql, " ON %s", target);
        rc = change(d, &sql, err);
    }
    mssql_result_free(&rows);
    return rc;
}

static int alter_column(struct dest *d, const char *target, const struct relation *rel,
                        uint32_t column, struct err *err)
{
    struct buf sql = {0};
    buf_printf(&sql, "ALTER TABLE %s ALTER COLUMN ", target);
    append_declaration(rel, column, &sql);
    return change(d, &sql, err);
}

int mssql_column_widen(struct dest *d, const char *target, const struct relation *rel,
                       uint32_t column, struct err *err)
{
    const struct column *c = &rel->columns[column];
    struct err why = {0};
    struct mssql_result rows;
    struct target_column there;
    enum mssql_form form;
    bool primary = false, other = false;
    int rc = mssql_read_columns(d, target, &rows, err);
    bool holds = rc == 0 && mssql_find_column(&rows, c->name, &there) &&
                 mssql_column_check(c, &there, false, &form, &why) == 0 &&
                 mssql_column_keeps_all(c, &there);
    mssql_result_free(&rows);
    if (rc || holds)
        return rc;
    bool in_key = key_has_column(rel, column) || (c->key && key_needs_identity_index(rel));
    if (in_key && drop_keys(d, target, &primary, &other, err))
        return -1;
    if (alter_column(d, target, rel, column, err))
        return -1;
    if (primary) {
        struct buf sql = {0};
        buf_printf(&sql, "ALTER TABLE %s ADD ", target);
        append_primary_key(rel, &sql);
        if (change(d, &sql, err))
            return -1;
    }
    return other ? create_identity_index(d, target, rel, err) : 0;
}

/* What is declared for both is the same; lengths of text and bytes in an index aside, which depend
 * on its other columns. */
bool mssql_column_same_type(struct dest *d, const struct column *a, const struct column *b)
{
    (void)d;
    struct column columns[2] = {*a, *b};
    struct buf declared[2] = {{0}, {0}};
    for (int i = 0; i < 2; i++) {
        struct relation rel = {.replica_identity = REPLICA_IDENTITY_NOTHING,
                               .ncolumns = 1,
                               .columns = &columns[i],
                               .namespace = "",
                               .name = ""};
        mssql_declare(&rel, 0, &declared[i]);
    }
    bool same = strcmp(buf_cstr(&declared[0]), buf_cstr(&declared[1])) == 0;
    buf_free(&declared[0]);
    buf_free(&declared[1]);
    return same;
}
