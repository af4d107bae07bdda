/* Tables: their names, what they are, how they are made and changed. */
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "base/log.h"
#include "mssql_driver.h"
#include "sql/key_size.h"
#include "sql/names.h"
#include "sql/own.h"
#include "sql/rules.h"
#include "sql/wanted_index.h"

#define DEFAULT_SCHEMA "dbo"
#define IDENTITY_INDEX "pg2any_identity"
#define OTHER_INDEX    "pg2any_index_" /* and its name at the source */
#define INDEX_BYTES    1700
#define FILLING        "what column %s holds in existing rows"
#define ALONE          "EXEC sys.sp_executesql " /* for what has to be the only statement of its batch */

/* ---- names ---- */

/* Reads one part of "schema", "database.schema", "[a.b].[c]"; what follows it. */
static const char *mapped_part(const char *p, char name[MSSQL_NAME_SIZE])
{
    bool quoted = *p == '[';
    size_t n = 0;
    for (p += quoted; *p && n < MSSQL_NAME_SIZE - 1; p++) {
        if (quoted ? *p == ']' && *++p != ']' : *p == '.')
            break;
        name[n++] = *p;
    }
    name[n] = '\0';
    return p;
}

/* The database (empty: the URI's) and the schema that a schema of the source is mapped to. */
static int map_schema(const struct driver *d, const char *mapped, struct mssql_names *names,
                      struct err *err)
{
    const char *p = mapped_part(mapped, names->schema);
    if (*p == '.') {
        memcpy(names->database, names->schema, sizeof names->database);
        p = mapped_part(p + 1, names->schema);
    }
    if (*p) {
        (void)err_set(err, ERR_PERMANENT,
                      "--schema-map: \"%s\" is neither a schema nor database.schema", mapped);
        return err_hint(err, "a name with a dot stands in brackets");
    }
    if (strcasecmp(names->database, d->uri.base.database) == 0)
        names->database[0] = '\0';
    if (!*names->schema)
        memcpy(names->schema, DEFAULT_SCHEMA, sizeof DEFAULT_SCHEMA);
    return 0;
}

/* Appends "[schema].[table]": names of objects within their database. */
static void append_local(struct buf *out, const char *schema, const char *table)
{
    mssql_quote(out, schema);
    buf_append_byte(out, '.');
    mssql_quote(out, table);
}

int mssql_table_name(struct driver *d, const struct relation *rel, struct buf *out, struct err *err)
{
    struct mssql_names names = {"", "", ""};
    const char *mapped = schema_map_find(d->config.schema_map, rel->namespace);
    if (strlen(rel->namespace) >= MSSQL_NAME_SIZE || strlen(rel->name) >= MSSQL_NAME_SIZE)
        return err_set(err, ERR_PERMANENT, "the name %s.%s is too long", rel->namespace, rel->name);
    if (!mapped)
        memcpy(names.schema, rel->namespace, strlen(rel->namespace) + 1);
    else if (map_schema(d, mapped, &names, err))
        return -1;
    if (!*names.database && strcasecmp(names.schema, DEFAULT_SCHEMA) == 0 &&
        own_refuse_name(rel->name, "another one", err))
        return -1;
    if (names_refuse_prefix(rel->name, "#", "rename it at the source", err)) /* temporary ones */
        return -1;
    if (*names.database) {
        mssql_quote(out, names.database);
        buf_append_byte(out, '.');
    }
    append_local(out, names.schema, rel->name);
    return 0;
}

/* ---- what is there ---- */

static int ask(struct driver *d, const char *table, const char *query, struct mssql_result *rows,
               struct err *err)
{
    struct buf sql = {0};
    mssql_append_about(&sql, table, query);
    return mssql_ask_buf(d, &sql, rows, err);
}

/*
 * Savepoints do not exist for memory-optimized tables, and an old row of a temporal one is no row.
 * What triggers and foreign keys do cannot be turned off for a session.
 * dbo is in every database: whether DBO is too says how names are compared.
 */
static int describe_table(struct driver *d, const char *name, struct described_table *out,
                          struct err *err)
{
    enum { NONE = -1, MEMORY_OPTIMIZED = 1, HISTORY = 2 };
    struct mssql_result rows;
    int rc = ask(d, name,
                 "SELECT (SELECT CASE WHEN is_memory_optimized = 1 THEN 1 WHEN temporal_type = 1 "
                 "THEN 2 ELSE 0 END FROM sys.tables WHERE object_id = @id), (SELECT COUNT(*) FROM "
                 "sys.schemas WHERE name = @schema), (SELECT COUNT(*) FROM sys.schemas WHERE name "
                 "= N'DBO'), OBJECT_ID(@name), (SELECT MIN(name) FROM sys.triggers WHERE parent_id "
                 "= @id AND is_disabled = 0), (SELECT MIN(name) FROM sys.foreign_keys WHERE "
                 "referenced_object_id = @id AND is_disabled = 0 AND delete_referential_action + "
                 "update_referential_action > 0)",
                 &rows, err);
    if (rc == 0 && rows.nrows == 1) {
        int64_t kind = mssql_result_number(&rows, 0, 0);
        out->exists = kind != NONE;
        out->no_container = mssql_result_number(&rows, 0, 1) == 0;
        out->folds_case = mssql_result_number(&rows, 0, 2) > 0;
        if (kind == MEMORY_OPTIMIZED)
            described_set_unfit(out, NULL, "is memory-optimized");
        else if (kind == HISTORY)
            described_set_unfit(out, NULL, "holds the history of another");
        else if (rows.values[4] && !d->uri.triggers)
            rules_refuse_trigger(out, rows.values[4], "DISABLE TRIGGER");
        else if (rows.values[5] && !d->uri.foreign_keys)
            rules_refuse_foreign_key(out, rows.values[5], "ALTER TABLE … NOCHECK CONSTRAINT");
        else if (!out->exists && rows.values[3])
            rc = rules_refuse_object(name, "a view or something else", err);
    }
    mssql_result_free(&rows);
    return rc;
}

static int describe_columns(struct driver *d, const char *name, struct described_table *out,
                            struct err *err)
{
    struct mssql_result rows;
    int rc = ask(
        d, name,
        "SELECT c.name, y.name, N'', c.collation_name, CASE WHEN c.is_computed = 1 THEN "
        "N'computed' ELSE N'' END, c.max_length, c.precision, c.scale, -1, CASE WHEN "
        "c.is_computed = 1 OR c.generated_always_type <> 0 OR y.name = N'timestamp' THEN "
        "1 ELSE 0 END, c.is_identity, CASE WHEN c.is_nullable = 0 AND c.default_object_id = 0 "
        "THEN 1 ELSE 0 END FROM sys.columns AS c INNER JOIN sys.types AS y ON y.user_type_id = c.system_type_id WHERE c.object_id = @id ORDER BY c.column_id",
        &rows, err);
    for (size_t i = 0; i < rows.nrows; i++) {
        struct described_column *c = described_add_row(out, &rows.values[i * rows.ncolumns]);
        c->required = c->required && !d->uri.triggers; /* one may give it a value */
    }
    mssql_result_free(&rows);
    return rc;
}

static int describe_indexes(struct driver *d, const char *name, struct described_table *out,
                            struct err *err)
{
    struct mssql_result rows;
    int rc = ask(d, name,
                 "SELECT i.name, i.is_primary_key, CASE WHEN i.is_unique = 1 AND "
                 "i.has_filter = 0 AND i.is_disabled = 0 THEN 1 ELSE 0 END, c.name FROM "
                 "sys.indexes AS i INNER JOIN sys.index_columns AS k ON k.object_id = i.object_id "
                 "AND k.index_id = i.index_id INNER JOIN sys.columns AS c ON c.object_id = "
                 "k.object_id AND c.column_id = k.column_id WHERE i.object_id = @id AND "
                 "k.key_ordinal > 0 ORDER BY i.index_id, k.key_ordinal",
                 &rows, err);
    for (size_t i = 0; i < rows.nrows; i++) /* a column of an index a row */
        described_add_index_column(
            out, mssql_result_text(&rows, i, 0), mssql_result_number(&rows, i, 1) == 1,
            mssql_result_number(&rows, i, 2) == 1, mssql_result_text(&rows, i, 3));
    mssql_result_free(&rows);
    return rc;
}

/* Those that are disabled may be enabled again at any time; a view may have a unique index. */
static int describe_rules(struct driver *d, const char *name, struct described_table *out,
                          struct err *err)
{
    struct mssql_result rows;
    int rc = ask(d, name,
                 WHERE_ALL_IS_SEEN
                 "SELECT (SELECT COUNT(*) FROM sys.indexes WHERE object_id = @id AND is_unique = "
                 "1), (SELECT COUNT(*) FROM sys.check_constraints WHERE parent_object_id = @id), "
                 "(SELECT COUNT(*) FROM sys.triggers WHERE parent_id = @id), (SELECT COUNT(*) "
                 "FROM sys.foreign_keys WHERE parent_object_id = @id OR referenced_object_id = "
                 "@id), (SELECT COUNT(*) FROM sys.sql_expression_dependencies WHERE "
                 "referenced_id = @id AND is_schema_bound_reference = 1)",
                 &rows, err);
    out->rules.known = rc == 0 && rows.nrows == 1;
    if (out->rules.known) {
        out->rules.nunique = (size_t)mssql_result_number(&rows, 0, 0);
        out->rules.checks = mssql_result_number(&rows, 0, 1) > 0;
        for (size_t i = 2; i < rows.ncolumns; i++)
            out->rules.acts = out->rules.acts || mssql_result_number(&rows, 0, i) > 0;
    }
    mssql_result_free(&rows);
    return rc;
}

static int describe_more(struct driver *d, const char *name, struct described_table *out,
                         struct err *err)
{
    struct mssql_result rows;
    int rc = ask(d, name,
                 "SELECT (SELECT COUNT(*) FROM sys.indexes WHERE object_id = @id AND type > 0 AND "
                 "is_primary_key = 0 AND name NOT LIKE N'pg2any[_]%'), (SELECT COUNT(*) FROM "
                 "sys.triggers WHERE parent_id = @id), (SELECT COUNT(*) FROM sys.foreign_keys "
                 "WHERE parent_object_id = @id OR referenced_object_id = @id), (SELECT COUNT(*) "
                 "FROM sys.database_permissions WHERE class = 1 AND major_id = @id)",
                 &rows, err);
    for (size_t i = 0; rc == 0 && i < rows.ncolumns; i++)
        out->has_more = out->has_more || mssql_result_number(&rows, 0, i) > 0;
    mssql_result_free(&rows);
    return rc;
}

int mssql_describe(struct driver *d, const char *name, const struct describe_how *how,
                   struct described_table *out, struct err *err)
{
    struct buf sql = {0};
    bool rows;
    if (describe_table(d, name, out, err))
        return -1;
    if (!out->exists)
        return 0;
    if (describe_columns(d, name, out, err) || describe_indexes(d, name, out, err) ||
        describe_rules(d, name, out, err) || (how->more && describe_more(d, name, out, err)))
        return -1;
    if (!how->rows)
        return 0;
    buf_printf(&sql, "SELECT TOP (1) 1 FROM %s", name);
    int rc = mssql_finds(d, &sql, &rows, err);
    out->empty = !rows;
    return rc;
}

/* ---- changes, in the open transaction ---- */

/* A step may take several statements. */
static void end_statement(struct buf *sql)
{
    buf_append_byte(sql, '\0');
}

/* Appends a call in a table's own database of a procedure, whose argument is used up. */
static void append_call(struct buf *sql, const char *table, const char *procedure,
                        struct buf *argument)
{
    mssql_append_about(sql, table, procedure);
    mssql_literal(sql, buf_cstr(argument));
    sql->failed = sql->failed || argument->failed;
    buf_free(argument);
}

static const struct text_dialect dialect = {
    .quote = mssql_quote,
    .quote_table = buf_append_str,
    .declare = mssql_declare,
    .null = " NULL",
    .no_columns = "[pg2any_no_columns] bit NULL", /* SQL Server's tables have some */
};

/* A key that may be longer than a clustered index takes is another one. */
static const char *primary_key(const struct relation *rel)
{
    return mssql_key_is_small(rel) ? "PRIMARY KEY CLUSTERED" : "PRIMARY KEY NONCLUSTERED";
}

/*
 * Under REPLICA IDENTITY USING INDEX rows are found by that index's columns. Not UNIQUE: the source
 * may choose another index later and let these columns repeat.
 */
static void append_identity_index(const struct step *step, struct buf *sql)
{
    if (!key_needs_identity_index(step->rel))
        return;
    buf_printf(sql, "CREATE NONCLUSTERED INDEX [" IDENTITY_INDEX "] ON %s (", step->table);
    text_identity(sql, step->rel, mssql_quote);
    buf_append_byte(sql, ')');
    end_statement(sql);
}

static void append_create(struct driver *d, const struct step *step, struct buf *sql)
{
    text_table(d, &dialect, step, " NOT NULL", primary_key(step->rel), sql);
    buf_append_byte(sql, ')');
    end_statement(sql);
    append_identity_index(step, sql);
}

/* Appends that "[schema].[table]", or a column of it, gets another name; the old one is used up. */
static void append_rename(const char *table, struct buf *object, const char *to, const char *kind,
                          struct buf *sql)
{
    append_call(sql, table, "EXEC sys.sp_rename ", object);
    buf_append_str(sql, ", ");
    mssql_literal(sql, to);
    buf_printf(sql, ", N'%s'", kind);
    end_statement(sql);
}

static int append_table_rename(const struct step *step, struct buf *sql, struct err *err)
{
    struct mssql_names was, is;
    struct buf transfer = {0}, object = {0};
    mssql_split(step->table, &was);
    mssql_split(step->to, &is);
    if (strcmp(was.database, is.database) != 0)
        return err_set(err, ERR_PERMANENT, "a table cannot move to another database");
    if (strcmp(was.schema, is.schema) != 0) {
        buf_append_str(&transfer, "ALTER SCHEMA ");
        mssql_quote(&transfer, is.schema);
        buf_append_str(&transfer, " TRANSFER ");
        append_local(&transfer, was.schema, was.table);
        append_call(sql, step->to, ALONE, &transfer);
        end_statement(sql);
    }
    if (strcmp(was.table, is.table) != 0) {
        append_local(&object, is.schema, was.table);
        append_rename(step->to, &object, is.table, "OBJECT", sql);
    }
    return 0;
}

static void append_column_rename(const struct step *step, struct buf *sql)
{
    struct mssql_names names;
    struct buf object = {0};
    mssql_split(step->table, &names);
    append_local(&object, names.schema, names.table);
    buf_append_byte(&object, '.');
    mssql_quote(&object, step->name);
    append_rename(step->table, &object, step->to, "COLUMN", sql);
}

/* A new column, and what the rows that are there have in it. */
static int append_new_column(struct driver *d, const struct step *step, struct buf *sql,
                             struct err *err)
{
    const struct column *c = &step->rel->columns[step->column];
    const struct value v = text_fill(c);
    uint64_t units = 0;
    buf_printf(sql, "ALTER TABLE %s ADD ", step->table);
    text_declaration(d, &dialect, step->rel, step->column, NULL, sql);
    end_statement(sql);
    if (c->fill != FILL_VALUE)
        return 0;
    buf_printf(sql, IN_TRANSACTION "UPDATE %s SET ", step->table);
    mssql_quote(sql, c->name);
    buf_append_str(sql, " = ");
    if (mssql_append_value(sql, ROWS_VALUES, mssql_form_of(c), &v, &d->policy, &units, err))
        return err_context(err, FILLING, c->name);
    end_statement(sql);
    return 0;
}

/*
 * A table that is copied again in its place may have it. Beyond its size an index is made, and
 * refuses rows that come. A unique one takes one NULL only, but for rows that a filter leaves out
 * of it, and texts and bytes for the same that differ in blanks or zero bytes at their ends.
 */
static int append_index(const struct driver *d, const struct step *step, struct buf *sql,
                        struct err *err)
{
    const struct wanted_index *index = step->index;
    struct buf name = {0};
    int64_t bytes = 0;
    bool unique = index->unique && !policy_merges(&d->policy);
    for (size_t i = 0; i < index->ncolumns; i++) {
        const struct described_column *c = described_find(step->there, index->columns[i]);
        unique = unique && !*c->collation && !strstr(c->type, "binary");
        bytes = c->length < 0 ? INDEX_BYTES + 1 : bytes + c->length;
        if (bytes > INDEX_BYTES)
            return err_set(err, ERR_PERMANENT, "column %s: its values may be too long for one",
                           c->name);
    }
    buf_printf(&name, OTHER_INDEX "%s", index->name);
    for (size_t i = 0; i < step->there->nindexes; i++)
        if (strcmp(step->there->indexes[i].name, buf_cstr(&name)) == 0) {
            buf_free(&name);
            return 0;
        }
    buf_printf(sql, "CREATE %sNONCLUSTERED INDEX ", unique ? "UNIQUE " : "");
    mssql_quote(sql, buf_cstr(&name));
    buf_printf(sql, " ON %s (", step->table);
    for (size_t i = 0; i < index->ncolumns; i++) {
        buf_append_str(sql, i > 0 ? ", " : "");
        mssql_quote(sql, index->columns[i]);
    }
    buf_append_byte(sql, ')');
    for (size_t i = 0; unique && i < index->ncolumns; i++) {
        buf_append_str(sql, i == 0 ? " WHERE " : " AND ");
        mssql_quote(sql, index->columns[i]);
        buf_append_str(sql, " IS NOT NULL");
    }
    end_statement(sql);
    sql->failed = sql->failed || name.failed;
    buf_free(&name);
    return 0;
}

/* Appends that indexes of ours go that a column is in; those of readers only, or all of them.
 * Whether there are any. */
static bool append_index_drops(const struct step *step, const char *column, bool all,
                               struct buf *sql)
{
    const struct described_table *there = step->there;
    bool any = false;
    for (size_t i = 0; i < there->nindexes; i++) {
        const struct described_index *index = &there->indexes[i];
        bool ours = strncmp(index->name, OTHER_INDEX, sizeof OTHER_INDEX - 1) == 0 ||
                    (all && strcmp(index->name, IDENTITY_INDEX) == 0);
        bool in = false;
        for (size_t k = 0; k < index->ncolumns; k++)
            in = in || described_same_name(there, index->columns[k], column);
        if (!ours || !in)
            continue;
        buf_append_str(sql, "DROP INDEX IF EXISTS ");
        mssql_quote(sql, index->name);
        buf_printf(sql, " ON %s", step->table);
        end_statement(sql);
        any = true;
    }
    return any;
}

/* An index keeps its columns from being altered: the primary key is dropped and made again, under
 * its name; so is the index that finds rows. */
static void append_widening(struct driver *d, const struct step *step, struct buf *sql)
{
    const struct relation *rel = step->rel;
    bool primary = key_has_column(rel, step->column);
    bool keyed = primary || (rel->columns[step->column].key && key_needs_identity_index(rel));
    const struct described_index *index = step->there->indexes,
                                 *end = index + step->there->nindexes;
    const struct described_index *key = NULL, *other = NULL;
    for (; keyed && index < end; index++) {
        if (index->primary) {
            key = index;
            buf_printf(sql, "ALTER TABLE %s DROP CONSTRAINT ", step->table);
            mssql_quote(sql, key->name);
            end_statement(sql);
        } else if (strcmp(index->name, IDENTITY_INDEX) == 0) {
            other = index;
            buf_printf(sql, "DROP INDEX [" IDENTITY_INDEX "] ON %s", step->table);
            end_statement(sql);
        }
    }
    if (append_index_drops(step, rel->columns[step->column].name, false, sql) &&
        !d->config.look_only)
        log_warning("a column's indexes go, which keep it from getting another type", "table",
                    step->table, "column", rel->columns[step->column].name, NULL);
    buf_printf(sql, "ALTER TABLE %s ALTER COLUMN ", step->table);
    text_declaration(d, &dialect, rel, step->column, primary ? " NOT NULL" : NULL, sql);
    end_statement(sql);
    if (key) {
        buf_printf(sql, "ALTER TABLE %s ADD CONSTRAINT ", step->table);
        mssql_quote(sql, key->name);
        buf_printf(sql, " %s (", primary_key(rel));
        text_primary_key(sql, rel, mssql_quote);
        buf_append_byte(sql, ')');
        end_statement(sql);
    }
    if (other)
        append_identity_index(step, sql);
}

/* So does it from being dropped. It was for an identity that is no more, or the column could not go
 * at the source, or took its index along. Another column of it may have gone before. */
static void append_column_drop(const struct step *step, struct buf *sql)
{
    (void)append_index_drops(step, step->name, true, sql);
    text_alter(&dialect, step, sql);
    end_statement(sql);
}

static void append_drop(const char *table, struct buf *sql)
{
    buf_printf(sql, "DROP TABLE %s", table);
    end_statement(sql);
}

static int append_step(struct driver *d, const struct step *step, struct buf *sql, struct err *err)
{
    switch (step->kind) {
    case STEP_CREATE_TABLE:
        append_create(d, step, sql);
        return 0;
    case STEP_RENAME_TABLE:
        return append_table_rename(step, sql, err);
    case STEP_DROP_COLUMN:
        append_column_drop(step, sql);
        return 0;
    case STEP_RENAME_COLUMN:
        append_column_rename(step, sql);
        return 0;
    case STEP_WIDEN_COLUMN:
        append_widening(d, step, sql);
        return 0;
    case STEP_ADD_COLUMN:
        return append_new_column(d, step, sql, err);
    case STEP_CREATE_INDEX:
        return append_index(d, step, sql, err);
    case STEP_DROP_TABLE:
        append_drop(step->table, sql);
        return 0;
    case STEP_REPLACE_TABLE:
        if (step->name)
            append_drop(step->name, sql);
        return append_table_rename(step, sql, err);
    case STEP_DROP_DEFAULT:
        break;
    }
    BUG("a step that this driver has no use for");
}

static int create_schema(struct driver *d, const char *table, struct buf *show, struct err *err)
{
    struct mssql_names names;
    struct buf statement = {0}, sql = {0};
    mssql_split(table, &names);
    buf_append_str(&statement, "CREATE SCHEMA ");
    mssql_quote(&statement, names.schema);
    append_call(&sql, table, ALONE, &statement);
    int rc = text_change(d, &sql, show, mssql_run_patiently, err);
    if (rc == 0 && !show)
        log_info("schema created", "schema", names.schema, NULL);
    if (rc == 0 || err->kind != ERR_PERMANENT)
        return rc;
    mssql_quote(&statement, names.schema);
    (void)err_hint(err, "as a user who may: CREATE SCHEMA %s, or map the schema with --schema-map",
                   buf_cstr(&statement));
    buf_free(&statement);
    return -1;
}

int mssql_change(struct driver *d, const struct step *step, struct buf *show, struct err *err)
{
    struct buf sql = {0};
    bool fills = step->kind == STEP_ADD_COLUMN;
    if (step->no_container &&
        create_schema(d, step->kind == STEP_RENAME_TABLE ? step->to : step->table, show, err))
        return -1;
    int rc = append_step(d, step, &sql, err);
    if (rc == 0)
        rc = buf_check(&sql, err);
    for (size_t at = 0; rc == 0 && at < sql.len; at += strlen((const char *)sql.data + at) + 1) {
        struct buf one = {0};
        buf_append_str(&one, (const char *)sql.data + at);
        rc = text_change(d, &one, show, mssql_run_patiently, err);
        if (rc && fills && at > 0)
            (void)err_context(err, FILLING, step->rel->columns[step->column].name);
    }
    buf_free(&sql);
    return rc;
}
