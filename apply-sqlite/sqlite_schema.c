/* The schema operations of the SQLite driver: primitives, schema.c of common/ says when. */
#include <string.h>
#include <strings.h>

#include "sql/key_size.h"
#include "sqlite.h"
#include "sqlite_value.h"

/* One namespace: a table of another schema than public is schema_table; a mapped schema is the
 * prefix, empty for none. */
int sqlite_target_name(struct dest *d, const struct relation *rel, struct buf *out, struct err *err)
{
    const char *mapped = schema_map_find(d->schema_map, rel->namespace);
    const char *prefix = mapped ? mapped : rel->namespace;
    if (*prefix && strcmp(prefix, "public") != 0)
        buf_printf(out, "%s_", prefix);
    buf_append_str(out, rel->name);
    const char *name = buf_cstr(out);
    if (strcasecmp(name, CHECKPOINT_TABLE) == 0 || strcasecmp(name, "pg2any_relation") == 0) {
        (void)err_set(err, ERR_PERMANENT,
                      "a source table would get the name %s, which pg2any uses itself", name);
        return err_hint(err, "give its schema another name with --schema-map");
    }
    return buf_check(out, err);
}

/* Steps a query that returns at most one row. *found: there is one, and the caller reads it before
 * finalizing. */
static int step_one(struct dest *d, sqlite3_stmt *s, const char *what, bool *found, struct err *err)
{
    int rc = sqlite3_step(s);
    *found = rc == SQLITE_ROW;
    return rc == SQLITE_ROW || rc == SQLITE_DONE ? 0 : sqlite_fail(d, rc, what, err);
}

static int exists(struct dest *d, const char *sql, const char *a, const char *b, bool *found,
                  struct err *err)
{
    sqlite3_stmt *s;
    if (sqlite_prepare(d, sql, &s, err))
        return -1;
    (void)sqlite3_bind_text(s, 1, a, -1, SQLITE_STATIC);
    if (b)
        (void)sqlite3_bind_text(s, 2, b, -1, SQLITE_STATIC);
    int rc = step_one(d, s, sql, found, err);
    (void)sqlite3_finalize(s);
    return rc;
}

int sqlite_relation_get(struct dest *d, const char *origin, uint32_t relid, const char *by_target,
                        struct buf *target, struct buf *frame, uint32_t *relid_found,
                        struct err *err)
{
    sqlite3_stmt *s;
    bool found;
    if (sqlite_prepare(
            d,
            relid
                ? "SELECT relid, target, frame FROM pg2any_relation WHERE origin = ?1 AND relid = ?2"
                : "SELECT relid, target, frame FROM pg2any_relation WHERE origin = ?1 AND target = ?2",
            &s, err))
        return -1;
    (void)sqlite3_bind_text(s, 1, origin, -1, SQLITE_STATIC);
    if (relid)
        (void)sqlite3_bind_int64(s, 2, relid);
    else
        (void)sqlite3_bind_text(s, 2, by_target, -1, SQLITE_STATIC);
    int rc = step_one(d, s, "reading pg2any_relation", &found, err);
    if (rc == 0 && found) {
        if (relid_found)
            *relid_found = (uint32_t)sqlite3_column_int64(s, 0);
        buf_append(target, sqlite3_column_text(s, 1), (size_t)sqlite3_column_bytes(s, 1));
        buf_append(frame, sqlite3_column_blob(s, 2), (size_t)sqlite3_column_bytes(s, 2));
        rc = buf_check(target, err) || buf_check(frame, err) ? -1 : 0;
    }
    (void)sqlite3_finalize(s);
    return rc;
}

int sqlite_relation_put(struct dest *d, const char *origin, const struct relation *rel,
                        const char *target, const struct buf *frame, struct err *err)
{
    sqlite3_stmt *s;
    if (sqlite_prepare(
            d,
            "INSERT INTO pg2any_relation (origin, relid, target, namespace, name, frame) VALUES "
            "(?1, ?2, ?3, ?4, ?5, ?6) ON CONFLICT (origin, relid) DO UPDATE SET target = ?3, "
            "namespace = ?4, name = ?5, frame = ?6",
            &s, err))
        return -1;
    (void)sqlite3_bind_text(s, 1, origin, -1, SQLITE_STATIC);
    (void)sqlite3_bind_int64(s, 2, rel->relid);
    (void)sqlite3_bind_text(s, 3, target, -1, SQLITE_STATIC);
    (void)sqlite3_bind_text(s, 4, rel->namespace, -1, SQLITE_STATIC);
    (void)sqlite3_bind_text(s, 5, rel->name, -1, SQLITE_STATIC);
    (void)sqlite3_bind_blob64(s, 6, frame->data, frame->len, SQLITE_STATIC);
    int rc = sqlite_run(d, s, "writing pg2any_relation", err);
    (void)sqlite3_finalize(s);
    return rc;
}

int sqlite_table_exists(struct dest *d, const char *target, bool *found, struct err *err)
{
    return exists(d,
                  "SELECT 1 FROM sqlite_schema WHERE type = 'table' AND name = ?1 COLLATE NOCASE",
                  target, NULL, found, err);
}

int sqlite_column_exists(struct dest *d, const char *target, const char *column, bool *found,
                         struct err *err)
{
    return exists(d, "SELECT 1 FROM pragma_table_xinfo(?1) WHERE name = ?2 COLLATE NOCASE", target,
                  column, found, err);
}

int sqlite_table_empty(struct dest *d, const char *target, bool *empty, struct err *err)
{
    struct buf sql = {0};
    sqlite3_stmt *s = NULL;
    bool found = false;
    buf_append_str(&sql, "SELECT 1 FROM ");
    sqlite_quote(&sql, target);
    buf_append_str(&sql, " LIMIT 1");
    int rc = sqlite_prepare(d, buf_cstr(&sql), &s, err);
    if (rc == 0)
        rc = step_one(d, s, "looking for rows", &found, err);
    *empty = !found;
    (void)sqlite3_finalize(s);
    buf_free(&sql);
    return rc;
}

/* Runs and frees a statement made of pieces. */
static int run_sql(struct dest *d, struct buf *sql, struct err *err)
{
    int rc = buf_check(sql, err);
    if (rc == 0 && !d->look_only)
        rc = sqlite_exec(d, buf_cstr(sql), err);
    buf_free(sql);
    return rc;
}

/*
 * Under REPLICA IDENTITY USING INDEX rows are found by that index's columns. Not UNIQUE: the source
 * may choose another index later and let these columns repeat.
 */
static int create_identity_index(struct dest *d, const char *target, const struct relation *rel,
                                 struct err *err)
{
    struct buf sql = {0}, name = {0};
    const char *comma = "";
    /* An index keeps its name when its table gets another one; the relid keeps it unique. */
    buf_printf(&name, "pg2any_identity_%s_%u", target, rel->relid);
    buf_append_str(&sql, "CREATE INDEX ");
    sqlite_quote(&sql, buf_cstr(&name));
    buf_append_str(&sql, " ON ");
    sqlite_quote(&sql, target);
    buf_append_str(&sql, " (");
    for (uint32_t i = 0; i < rel->ncolumns; i++)
        if (rel->columns[i].key) {
            buf_append_str(&sql, comma);
            sqlite_quote(&sql, rel->columns[i].name);
            comma = ", ";
        }
    buf_append_str(&sql, ")");
    buf_free(&name);
    return run_sql(d, &sql, err);
}

int sqlite_table_create(struct dest *d, const char *target, const struct relation *rel,
                        struct err *err)
{
    struct buf sql = {0};
    bool rowid_key = rel->npk == 1 && storage_of(&rel->columns[rel->pk[0]]) == STORAGE_INTEGER;
    buf_append_str(&sql, "CREATE TABLE ");
    sqlite_quote(&sql, target);
    buf_append_str(&sql, " (");
    for (uint32_t i = 0; i < rel->ncolumns; i++) {
        if (i > 0)
            buf_append_str(&sql, ", ");
        sqlite_quote(&sql, rel->columns[i].name);
        buf_printf(&sql, " %s", storage_declaration(storage_of(&rel->columns[i])));
        if (key_has_column(rel, i))
            buf_append_str(&sql, rowid_key ? " PRIMARY KEY" : " NOT NULL");
    }
    if (rel->ncolumns == 0)
        buf_append_str(&sql,
                       "\"pg2any_no_columns\" TEXT"); /* PostgreSQL has tables without columns */
    if (rel->npk > 0 && !rowid_key) {
        buf_append_str(&sql, ", PRIMARY KEY (");
        for (uint32_t i = 0; i < rel->npk; i++) {
            if (i > 0)
                buf_append_str(&sql, ", ");
            sqlite_quote(&sql, rel->columns[rel->pk[i]].name);
        }
        buf_append_str(&sql, ")");
    }
    buf_append_str(&sql, ")");
    if (run_sql(d, &sql, err))
        return -1;
    if (rel->replica_identity == REPLICA_IDENTITY_INDEX)
        return create_identity_index(d, target, rel, err);
    return 0;
}

int sqlite_table_rename(struct dest *d, const char *target, const char *to, struct err *err)
{
    struct buf sql = {0};
    buf_append_str(&sql, "ALTER TABLE ");
    sqlite_quote(&sql, target);
    buf_append_str(&sql, " RENAME TO ");
    sqlite_quote(&sql, to);
    return run_sql(d, &sql, err);
}

static int fill_column(struct dest *d, const char *target, const struct column *c, struct err *err)
{
    struct buf sql = {0};
    sqlite3_stmt *s = NULL;
    const struct value v = {
        .kind = c->fill_is_bytes ? VALUE_BYTES : VALUE_TEXT,
        .size = (uint32_t)c->fill_size,
        .data = c->fill_value,
    };
    buf_append_str(&sql, "UPDATE ");
    sqlite_quote(&sql, target);
    buf_append_str(&sql, " SET ");
    sqlite_quote(&sql, c->name);
    buf_append_str(&sql, " = ?1");
    int rc = buf_check(&sql, err);
    if (rc == 0)
        rc = sqlite_prepare(d, buf_cstr(&sql), &s, err);
    if (rc == 0)
        rc = bind_value(s, 1, storage_of(c), &v, d->nan, err);
    if (rc == 0)
        rc = sqlite_run(d, s, "filling a new column", err);
    (void)sqlite3_finalize(s);
    buf_free(&sql);
    return rc;
}

int sqlite_column_add(struct dest *d, const char *target, const struct relation *rel,
                      uint32_t column, struct err *err)
{
    const struct column *c = &rel->columns[column];
    struct buf sql = {0};
    buf_append_str(&sql, "ALTER TABLE ");
    sqlite_quote(&sql, target);
    buf_append_str(&sql, " ADD COLUMN ");
    sqlite_quote(&sql, c->name);
    buf_printf(&sql, " %s", storage_declaration(storage_of(c)));
    if (run_sql(d, &sql, err))
        return -1;
    return c->fill == FILL_VALUE ? fill_column(d, target, c, err) : 0;
}

int sqlite_column_drop(struct dest *d, const char *target, const char *column, struct err *err)
{
    struct buf sql = {0};
    buf_append_str(&sql, "ALTER TABLE ");
    sqlite_quote(&sql, target);
    buf_append_str(&sql, " DROP COLUMN ");
    sqlite_quote(&sql, column);
    return run_sql(d, &sql, err);
}

int sqlite_column_rename(struct dest *d, const char *target, const char *column, const char *to,
                         struct err *err)
{
    struct buf sql = {0};
    buf_append_str(&sql, "ALTER TABLE ");
    sqlite_quote(&sql, target);
    buf_append_str(&sql, " RENAME COLUMN ");
    sqlite_quote(&sql, column);
    buf_append_str(&sql, " TO ");
    sqlite_quote(&sql, to);
    return run_sql(d, &sql, err);
}

bool sqlite_column_same_type(struct dest *d, const struct column *a, const struct column *b)
{
    (void)d;
    return storage_of(a) == storage_of(b);
}
