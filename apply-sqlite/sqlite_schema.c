/* What tables are called, what they are, how they are made and changed; schema_plan.h says when. */
#include <math.h>
#include <string.h>
#include <strings.h>

#include "frames/pg_type.h"
#include "sql/column_fit.h"
#include "sql/key_size.h"
#include "sql/names.h"
#include "sql/rules.h"
#include "sql/wanted_index.h"
#include "sqlite.h"
#include "sqlite_value.h"

int sqlite_table_name(struct driver *d, const struct relation *rel, struct buf *out,
                      struct err *err)
{
    return text_flat_name(d->schema_map, rel, out, err) ||
                   names_refuse_prefix(buf_cstr(out), "sqlite_",
                                       "--schema-map public:x makes it x_sqlite_…; or rename it at "
                                       "the source",
                                       err)
               ? -1
               : 0;
}

void sqlite_declare(struct driver *d, const struct relation *rel, uint32_t column, struct buf *out,
                    const char **caveat)
{
    (void)d;
    const struct column *c = &rel->columns[column];
    buf_append_str(out, storage_declaration(storage_of(c)));
    *caveat = c->base_type_oid == PG_TYPE_FLOAT4 || c->base_type_oid == PG_TYPE_FLOAT8
                  ? "NaN stops the applier unless --nan says what to store"
                  : NULL;
}

/* ---- what is there ---- */

static int look_for_rows(struct driver *d, const char *name, bool *empty, struct err *err)
{
    struct buf sql = {0};
    int64_t n = -1;
    buf_append_str(&sql, "SELECT 1 FROM ");
    text_quote_standard(&sql, name);
    buf_append_str(&sql, " LIMIT 1");
    int rc = sqlite_number(d, &sql, "looking for rows", &n, err);
    *empty = n < 0;
    return rc;
}

static int describe_collation(struct driver *d, const char *table, struct described_column *c,
                              struct described_table *out, struct err *err)
{
    const char *collation;
    int rc = sqlite3_table_column_metadata(d->db, "main", table, c->name, NULL, &collation, NULL,
                                           NULL, NULL);
    if (rc != SQLITE_OK)
        return sqlite_fail(d, rc, "reading a collation", err);
    c->collation = described_text(out, collation);
    return 0;
}

static int describe_columns(struct driver *d, const char *table, sqlite3_stmt *s,
                            struct described_table *out, struct err *err)
{
    int rc;
    while ((rc = sqlite3_step(s)) == SQLITE_ROW) {
        if (sqlite3_column_type(s, 5) != SQLITE_NULL)
            return rules_refuse_object(table, (const char *)sqlite3_column_text(s, 5), err);
        struct described_column *c =
            described_add_column(out, (const char *)sqlite3_column_text(s, 0));
        c->type = c->declared = described_text(out, (const char *)sqlite3_column_text(s, 1));
        c->generated = sqlite3_column_int(s, 2) != 0;
        c->autonumber = sqlite3_column_int(s, 3) != 0;
        c->required = sqlite3_column_int(s, 4) != 0;
        out->exists = true;
        if (described_check(out, err) || describe_collation(d, table, c, out, err))
            return -1;
    }
    return rc == SQLITE_DONE ? 0 : sqlite_fail(d, rc, "reading the columns", err);
}

/*
 * The unique indexes: all of a row, and over columns alone. A key of INTEGER is the rowid and has
 * none, but is listed too. `primary` is the key of a table WITHOUT ROWID, which is what its rows
 * have instead; in the index of another's key there is the rowid, as column -1. Columns of any key
 * but that may hold NULL, any number of times.
 */
static int describe_keys(struct driver *d, const char *table, struct described_table *out,
                         struct err *err)
{
    struct buf sql = {0};
    sqlite3_stmt *s = NULL;
    int rc;
    for (size_t i = 0; i < out->ncolumns; i++)
        if (out->columns[i].autonumber)
            described_add_index_column(out, "rowid", false, true, out->columns[i].name);
    buf_append_str(&sql, "SELECT l.name, k.name, l.origin = 'pk' AND NOT EXISTS (SELECT 1 FROM "
                         "pragma_index_xinfo(l.name) WHERE cid = -1), c.\"notnull\" FROM "
                         "pragma_index_list(");
    text_literal(&sql, table, strlen(table));
    buf_append_str(&sql, ") l, pragma_index_xinfo(l.name) k, pragma_table_xinfo(");
    text_literal(&sql, table, strlen(table));
    buf_append_str(&sql, ") c ON c.cid = k.cid WHERE l.\"unique\" AND NOT l.partial AND k.key AND "
                         "NOT EXISTS (SELECT 1 FROM pragma_index_xinfo(l.name) WHERE key AND cid = "
                         "-2) ORDER BY l.seq DESC, k.seqno");
    if (sqlite_prepare(d, &sql, &s, err))
        return -1;
    while ((rc = sqlite3_step(s)) == SQLITE_ROW)
        described_add_index_column(out, (const char *)sqlite3_column_text(s, 0),
                                   sqlite3_column_int(s, 2) != 0, sqlite3_column_int(s, 3) != 0,
                                   (const char *)sqlite3_column_text(s, 1));
    (void)sqlite3_finalize(s);
    return rc == SQLITE_DONE ? 0 : sqlite_fail(d, rc, "reading the unique indexes", err);
}

/* sqlite_schema has no index: a look for one name reads all of it. Views and virtual tables can be
 * found there only, so whether there are any is remembered for a version of the schema. */
static int look_for_others(struct driver *d, struct err *err)
{
    struct buf version = {0}, sql = {0};
    int64_t now, n;
    buf_append_str(&version, "PRAGMA schema_version");
    if (sqlite_number(d, &version, "reading the schema's version", &now, err))
        return -1;
    if (now == d->schema_version)
        return 0;
    buf_append_str(&sql, "SELECT 1 FROM sqlite_schema WHERE type = 'view' OR (type = 'table' AND "
                         "rootpage = 0) LIMIT 1");
    if (sqlite_number(d, &sql, "reading the schema", &n, err))
        return -1;
    d->others = n == 1;
    d->schema_version = now;
    return 0;
}

/* Appends what a name is, as a table of one row or none. Without the others it is an ordinary
 * table; a module's own table (json_each) has columns too, but is none of the database's. */
static int append_object(struct driver *d, const char *name, struct buf *sql, struct err *err)
{
    if (look_for_others(d, err))
        return -1;
    if (d->others) {
        buf_append_str(sql, "(SELECT name, type, rootpage FROM sqlite_schema WHERE type IN "
                            "('table', 'view') AND name = ");
        text_literal(sql, name, strlen(name));
        buf_append_str(sql, " COLLATE NOCASE)");
        return 0;
    }
    int rc = sqlite3_table_column_metadata(d->db, "main", name, NULL, NULL, NULL, NULL, NULL, NULL);
    if (rc != SQLITE_OK && rc != SQLITE_ERROR)
        return sqlite_fail(d, rc, "looking for a table", err);
    buf_append_str(sql, "(SELECT ");
    text_literal(sql, name, strlen(name));
    buf_append_str(sql, " AS name, 'table' AS type, 1 AS rootpage WHERE ");
    buf_append_str(sql, rc == SQLITE_OK ? "TRUE)" : "FALSE)");
    return 0;
}

/* An index that folds texts which its column tells apart counts as more than one of them. Foreign
 * keys are off, triggers where --dest does not let them fire. The text of a table tells
 * whether it may have a CHECK, or be STRICT; a column's name may look like it, which does no harm.
 */
static int describe_rules(struct driver *d, const char *table, struct described_table *out,
                          struct err *err)
{
    struct buf unique = {0}, checks = {0};
    int64_t n, found;
    buf_append_str(&unique,
                   "SELECT count(DISTINCT l.name) + count(k.seqno) FROM pragma_index_list(");
    text_literal(&unique, table, strlen(table));
    buf_append_str(&unique, ") l LEFT JOIN pragma_index_xinfo(l.name) k ON k.key AND k.coll <> "
                            "'BINARY' WHERE l.\"unique\"");
    buf_append_str(&checks, "SELECT 1 FROM sqlite_schema WHERE type = 'table' AND name = ");
    text_literal(&checks, table, strlen(table));
    buf_append_str(&checks, " COLLATE NOCASE AND (sql LIKE '%check%' OR sql LIKE '%strict%')");
    if (sqlite_number(d, &unique, "counting the unique indexes", &n, err)) {
        buf_free(&checks);
        return -1;
    }
    if (sqlite_number(d, &checks, "reading the schema", &found, err))
        return -1;
    out->rules = (struct described_rules){
        .known = true, .acts = d->triggers, .checks = found == 1, .nunique = (size_t)n};
    /* The rowid is a unique index without being one. */
    for (size_t i = 0; i < out->ncolumns; i++)
        out->rules.nunique += out->columns[i].autonumber;
    return 0;
}

static int look_for_more(struct driver *d, const char *table, bool *has_more, struct err *err)
{
    struct buf sql = {0};
    int64_t n;
    buf_append_str(&sql, "SELECT count(*) FROM sqlite_schema WHERE tbl_name = ");
    text_literal(&sql, table, strlen(table));
    buf_append_str(&sql, " COLLATE NOCASE AND (type = 'trigger' OR (type = 'index' AND sql IS NOT "
                         "NULL AND name NOT GLOB 'pg2any_*'))");
    if (sqlite_number(d, &sql, "reading what a table has", &n, err))
        return -1;
    *has_more = n > 0;
    return 0;
}

int sqlite_describe(struct driver *d, const char *name, const struct describe_how *how,
                    struct described_table *out, struct err *err)
{
    struct buf sql = {0};
    sqlite3_stmt *s = NULL;
    out->folds_case = true;
    /* A key that has no index is the rowid. */
    buf_append_str(&sql, "SELECT c.name, c.type, c.hidden, c.pk = 1 AND NOT EXISTS (SELECT 1 FROM "
                         "pragma_index_list(t.name) WHERE origin = 'pk'), c.\"notnull\" AND "
                         "c.dflt_value IS NULL, CASE WHEN t.type = 'view' THEN 'a view' WHEN "
                         "t.rootpage = 0 THEN 'a virtual table' END FROM ");
    if (append_object(d, name, &sql, err)) {
        buf_free(&sql);
        return -1;
    }
    buf_append_str(&sql, " t, pragma_table_xinfo(t.name) c");
    if (sqlite_prepare(d, &sql, &s, err))
        return -1;
    int rc = describe_columns(d, name, s, out, err);
    (void)sqlite3_finalize(s);
    if (rc ||
        (out->exists && (describe_keys(d, name, out, err) || describe_rules(d, name, out, err))))
        return -1;
    if (out->exists && how->more && look_for_more(d, name, &out->has_more, err))
        return -1;
    return out->exists && how->rows ? look_for_rows(d, name, &out->empty, err) : 0;
}

int sqlite_fit(struct driver *d, const struct column *c, const struct described_column *there,
               bool identity, struct fit *fit, struct err *err)
{
    (void)d;
    enum storage storage = storage_of(c);
    fit->form = (int)storage;
    fit->holds = true;
    if (there->generated)
        return err_set(err, ERR_PERMANENT, "column %s is generated in the target", c->name);
    if (affinity_keeps(affinity_of(there->type), storage))
        /* Other values have one spelling, or none that is text. */
        return identity && storage == STORAGE_TEXT && strcasecmp(there->collation, "BINARY") != 0
                   ? fit_refuse_collation(c, there, "COLLATE BINARY", err)
                   : 0;
    (void)err_set(err, ERR_PERMANENT,
                  "column %s has the type %s in the target, which would change values of %s",
                  c->name, *there->type ? there->type : "(none)",
                  *c->type_name ? c->type_name : "the source's type");
    return err_hint(err, "declare it as %s", storage_declaration(storage));
}

/* ---- changing ---- */

const struct text_dialect sqlite_dialect = {
    .quote = text_quote_standard,
    .quote_table = text_quote_standard,
    .declare = sqlite_declare,
    .null = "",
    .no_columns = "\"pg2any_no_columns\" TEXT",
};

/*
 * Under REPLICA IDENTITY USING INDEX rows are found by that index's columns. Not UNIQUE: the source
 * may choose another index later and let these columns repeat. An index keeps its name when its
 * table gets another one; the relid keeps it unique.
 */
static void append_index_name(const struct step *step, struct buf *sql)
{
    struct buf name = {0};
    buf_printf(&name, "pg2any_identity_%s_%u", step->table, step->rel->relid);
    text_quote_standard(sql, buf_cstr(&name));
    sql->failed = sql->failed || name.failed;
    buf_free(&name);
}

static void append_identity_index(const struct step *step, struct buf *sql)
{
    buf_append_str(sql, "CREATE INDEX ");
    append_index_name(step, sql);
    buf_append_str(sql, " ON ");
    text_quote_standard(sql, step->table);
    buf_append_str(sql, " (");
    text_identity(sql, step->rel, text_quote_standard);
    buf_append_byte(sql, ')');
}

/* Appends the value that the rows before a column was added have in it, as SQLite writes it: not
 * for SQLite to read, which rounds some numbers of very small or large size another way. */
static int append_fill(struct driver *d, const struct column *c, struct buf *sql, struct err *err)
{
    const struct value v = text_fill(c);
    struct buf query = {0};
    sqlite3_stmt *s = NULL;
    buf_append_str(&query, "SELECT ?1, quote(?1)");
    if (sqlite_prepare(d, &query, &s, err))
        return -1;
    int rc = bind_value(s, 1, storage_of(c), &v, d->nan, err);
    if (rc == 0 && sqlite3_step(s) != SQLITE_ROW)
        rc = err_nomem(err);
    if (rc == 0 && sqlite3_column_type(s, 0) == SQLITE_FLOAT && isinf(sqlite3_column_double(s, 0)))
        buf_append_str(sql, sqlite3_column_double(s, 0) > 0 ? "9e999" : "-9e999");
    else if (rc == 0)
        buf_append_str(sql, (const char *)sqlite3_column_text(s, 1));
    (void)sqlite3_finalize(s);
    return rc;
}

/* Runs an UPDATE that lacks its last word, the same value. */
static int run_fill(struct driver *d, const struct column *c, struct buf *sql, struct err *err)
{
    const struct value v = text_fill(c);
    sqlite3_stmt *s = NULL;
    buf_append_str(sql, "?1");
    if (sqlite_prepare(d, sql, &s, err))
        return -1;
    int rc = bind_value(s, 1, storage_of(c), &v, d->nan, err);
    if (rc == 0 && (rc = sqlite3_step(s)) == SQLITE_DONE)
        rc = 0;
    else if (rc > 0)
        rc = sqlite_fail(d, rc, "filling a new column", err);
    (void)sqlite3_finalize(s);
    return rc;
}

static int change(struct driver *d, struct buf *sql, struct buf *show, struct err *err)
{
    return text_change(d, sql, show, sqlite_run, err);
}

/* Whether the table has an index of that name. */
static int has_index(struct driver *d, const char *table, const struct buf *name, bool *has,
                     struct err *err)
{
    struct buf sql = {0};
    int64_t n = 0;
    buf_append_str(&sql, "SELECT count(*) FROM pragma_index_list(");
    text_literal(&sql, table, strlen(table));
    buf_append_str(&sql, ") WHERE name = ");
    text_literal(&sql, (const char *)name->data, name->len);
    int rc = sqlite_number(d, &sql, "reading the indexes", &n, err);
    *has = n > 0;
    return rc;
}

/* One for readers. The name is one of the whole file, the relid keeps it unique as above. A table
 * that is copied again in its place may have it. */
static int create_index(struct driver *d, const struct step *step, struct buf *show,
                        struct err *err)
{
    const struct wanted_index *index = step->index;
    struct buf name = {0}, statement = {0}, *sql = &statement;
    bool has = false;
    buf_printf(&name, "pg2any_index_%s_%u_%s", step->table, step->rel->relid, index->name);
    if (buf_check(&name, err) || has_index(d, step->table, &name, &has, err) || has) {
        buf_free(&name);
        return has ? 0 : -1;
    }
    buf_append_str(sql, index->unique ? "CREATE UNIQUE INDEX " : "CREATE INDEX ");
    text_quote_standard(sql, buf_cstr(&name));
    buf_append_str(sql, " ON ");
    text_quote_standard(sql, step->table);
    for (size_t i = 0; i < index->ncolumns; i++) {
        buf_append_str(sql, i == 0 ? " (" : ", ");
        text_quote_standard(sql, index->columns[i]);
    }
    buf_append_byte(sql, ')');
    buf_free(&name);
    return change(d, sql, show, err);
}

static int create_table(struct driver *d, const struct step *step, struct buf *show,
                        struct err *err)
{
    const struct relation *rel = step->rel;
    struct buf sql = {0}, index = {0};
    if (rel->npk == 1 && storage_of(&rel->columns[rel->pk[0]]) == STORAGE_INTEGER)
        text_table(d, &sqlite_dialect, step, " PRIMARY KEY", NULL, &sql); /* it is the rowid */
    else
        text_table(d, &sqlite_dialect, step, " NOT NULL", "PRIMARY KEY", &sql);
    buf_append_byte(&sql, ')');
    if (change(d, &sql, show, err))
        return -1;
    if (!key_needs_identity_index(rel))
        return 0;
    append_identity_index(step, &index);
    return change(d, &index, show, err);
}

static int add_column(struct driver *d, const struct step *step, struct buf *show, struct err *err)
{
    const struct column *c = &step->rel->columns[step->column];
    struct buf sql = {0}, fill = {0};
    text_alter(&sqlite_dialect, step, &sql);
    buf_append_str(&sql, " ADD COLUMN ");
    text_declaration(d, &sqlite_dialect, step->rel, step->column, NULL, &sql);
    if (change(d, &sql, show, err))
        return -1;
    if (c->fill != FILL_VALUE)
        return 0;
    buf_append_str(&fill, "UPDATE ");
    text_quote_standard(&fill, step->table);
    buf_append_str(&fill, " SET ");
    text_quote_standard(&fill, c->name);
    buf_append_str(&fill, " = ");
    if (!show)
        return run_fill(d, c, &fill, err);
    if (append_fill(d, c, &fill, err)) {
        buf_free(&fill);
        return -1;
    }
    return change(d, &fill, show, err);
}

/* An index of ours keeps its columns from being dropped; it was for an identity that is no more, or
 * the column could not go at the source, or took its index along there. */
static int drop_our_indexes(struct driver *d, const struct step *step, struct buf *show,
                            struct err *err)
{
    struct buf query = {0}, sql = {0};
    sqlite3_stmt *s = NULL;
    buf_append_str(&query, "SELECT l.name FROM pragma_index_list(");
    text_literal(&query, step->table, strlen(step->table));
    buf_append_str(&query, ") l WHERE (l.name GLOB 'pg2any_identity_*' OR l.name GLOB "
                           "'pg2any_index_*') AND EXISTS (SELECT 1 FROM "
                           "pragma_index_info(l.name) WHERE name = ");
    text_literal(&query, step->name, strlen(step->name));
    buf_append_str(&query, " COLLATE NOCASE)");
    if (sqlite_prepare(d, &query, &s, err))
        return -1;
    int rc;
    while ((rc = sqlite3_step(s)) == SQLITE_ROW) {
        buf_append_str(&sql, sql.len > 0 ? "; DROP INDEX " : "DROP INDEX ");
        text_quote_standard(&sql, (const char *)sqlite3_column_text(s, 0));
    }
    (void)sqlite3_finalize(s);
    if (rc == SQLITE_DONE)
        return sql.len > 0 ? change(d, &sql, show, err) : 0;
    buf_free(&sql);
    return sqlite_fail(d, rc, "reading the indexes", err);
}

/* Views and triggers go by names, and so they stay as they are. An index keeps its name when its
 * table gets another one: that of the table which comes next would be in the way. */
static int replace_table(struct driver *d, const struct step *step, struct err *err)
{
    const struct step named = {.table = step->to, .rel = step->rel};
    struct buf sql = {0}, off = {0};
    struct err ignored = {0};
    if (step->name) {
        buf_append_str(&sql, "DROP TABLE ");
        text_quote_standard(&sql, step->name);
        buf_append_str(&sql, "; ");
    }
    buf_append_str(&sql, "PRAGMA legacy_alter_table = ON; ALTER TABLE ");
    text_quote_standard(&sql, step->table);
    buf_append_str(&sql, " RENAME TO ");
    text_quote_standard(&sql, step->to);
    if (key_needs_identity_index(step->rel)) {
        buf_append_str(&sql, "; DROP INDEX IF EXISTS ");
        append_index_name(step, &sql);
        buf_append_str(&sql, "; ");
        append_identity_index(&named, &sql);
    }
    int rc = sqlite_run(d, &sql, err);
    buf_append_str(&off, "PRAGMA legacy_alter_table = OFF");
    return sqlite_run(d, &off, rc ? &ignored : err) ? -1 : rc;
}

int sqlite_change(struct driver *d, const struct step *step, struct buf *show, struct err *err)
{
    struct buf sql = {0};
    switch (step->kind) {
    case STEP_CREATE_TABLE:
        return create_table(d, step, show, err);
    case STEP_ADD_COLUMN:
        return add_column(d, step, show, err);
    case STEP_DROP_COLUMN:
        if (drop_our_indexes(d, step, show, err))
            return -1;
        /* fall through */
    case STEP_RENAME_TABLE:
    case STEP_RENAME_COLUMN:
        text_alter(&sqlite_dialect, step, &sql);
        return change(d, &sql, show, err);
    case STEP_CREATE_INDEX:
        return create_index(d, step, show, err);
    case STEP_DROP_TABLE:
        buf_append_str(&sql, "DROP TABLE ");
        text_quote_standard(&sql, step->table);
        return change(d, &sql, show, err);
    case STEP_REPLACE_TABLE:
        return replace_table(d, step, err);
    case STEP_WIDEN_COLUMN:
    case STEP_DROP_DEFAULT:
        break;
    }
    BUG("a step that SQLite does not have");
}
