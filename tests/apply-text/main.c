/*
 * apply-text: an applier for tests, whose target is a file of SQL text. It is here to show that
 * driver.h is all that a new target needs, and is small enough to begin one from.
 *
 * What the file says is carried out in a SQLite database in memory, which answers what the driver
 * asks. A transaction is there when its COMMIT is. Whoever writes holds a lock on the file and
 * first carries out what others have added. Numbers are numbers, bytes blobs, all else PostgreSQL's
 * text.
 */
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <unistd.h>

#include <sqlite3.h>

#include "apply/apply.h"
#include "frames/pg_type.h"
#include "sql/table.h"
#include "sql/text.h"

struct driver {
    const struct schema_map *schema_map;
    int fd;
    off_t seen; /* carried out so far */
    sqlite3 *db;
    struct buf written; /* by the open transaction */
};

/* Carries out a statement and notes it for the file. */
static int exec(struct driver *d, const char *sql, struct err *err)
{
    if (sqlite3_exec(d->db, sql, NULL, NULL, NULL) != SQLITE_OK)
        return err_set(err, ERR_PERMANENT, "%.200s: %s", sql, sqlite3_errmsg(d->db));
    buf_printf(&d->written, "%s;\n", sql);
    return 0;
}

static int run(struct driver *d, struct buf *sql, struct err *err)
{
    return text_run(d, sql, exec, err);
}

/* Asks for rows; *found: there is one. */
static int ask(struct driver *d, struct buf *sql, sqlite3_stmt **rows, bool *found, struct err *err)
{
    int rc = sqlite3_prepare_v2(d->db, buf_cstr(sql), -1, rows, NULL);
    buf_free(sql);
    *found = rc == SQLITE_OK && sqlite3_step(*rows) == SQLITE_ROW;
    return rc == SQLITE_OK ? 0 : err_set(err, ERR_PERMANENT, "%s", sqlite3_errmsg(d->db));
}

static const char our_tables[] =
    "CREATE TABLE IF NOT EXISTS " CHECKPOINT_TABLE " (origin PRIMARY KEY, remote_lsn, commit_time, "
    "system_identifier, timeline); CREATE TABLE IF NOT EXISTS " RELATION_TABLE " (origin, relid, "
    "target COLLATE NOCASE, namespace, name, frame, PRIMARY KEY (origin, relid), UNIQUE (origin, "
    "target))";

/* Carries out what is new in it. A transaction without its end was never there. */
static int catch_up(struct driver *d, struct err *err)
{
    sqlite3_stmt *s;
    off_t end = lseek(d->fd, 0, SEEK_END);
    size_t size = (size_t)(end - d->seen), done = 0;
    char *text = calloc(size + 1, 1);
    if (end < 0 || !text || pread(d->fd, text, size, d->seen) != (ssize_t)size) {
        free(text);
        return err_errno(err, ERR_TEMPORARY, "reading the file");
    }
    for (const char *p = text, *next; sqlite3_prepare_v2(d->db, p, -1, &s, &next) == SQLITE_OK && s;
         p = next) {
        (void)sqlite3_step(s);
        (void)sqlite3_finalize(s);
        if (sqlite3_get_autocommit(d->db))
            done = (size_t)(next - text) + (*next == '\n');
    }
    free(text);
    d->seen += (off_t)done;
    return sqlite3_get_autocommit(d->db) ? 0 : exec(d, "ROLLBACK", err);
}

static int file_reset(struct driver *d, struct driver_traits *traits, struct err *err)
{
    (void)traits;
    (void)flock(d->fd, LOCK_UN);
    return sqlite3_get_autocommit(d->db) ? 0 : exec(d, "ROLLBACK", err);
}

static int file_begin(struct driver *d, struct err *err)
{
    if (flock(d->fd, LOCK_EX) != 0)
        return err_errno(err, ERR_TEMPORARY, "locking the file");
    int rc = catch_up(d, err);
    d->written.len = 0;
    return rc ? rc : exec(d, "BEGIN", err);
}

static int file_commit(struct driver *d, struct err *err)
{
    const struct buf *w = &d->written;
    if (exec(d, "COMMIT", err) || buf_check(w, err))
        return -1;
    if (pwrite(d->fd, w->data, w->len, d->seen) != (ssize_t)w->len ||
        ftruncate(d->fd, d->seen + (off_t)w->len) != 0 || fdatasync(d->fd) != 0)
        return err_errno(err, ERR_TEMPORARY, "writing the file");
    d->seen += (off_t)w->len;
    (void)flock(d->fd, LOCK_UN);
    return 0;
}

static void file_close(struct driver *d)
{
    (void)sqlite3_close_v2(d->db);
    (void)close(d->fd);
    buf_free(&d->written);
    free(d);
}

static int file_open(const struct driver_config *config, struct driver **driver,
                     struct driver_traits *traits, struct err *err)
{
    struct driver *d = calloc(1, sizeof *d);
    if (!d || sqlite3_open(":memory:", &d->db) != SQLITE_OK)
        return err_nomem(err);
    d->schema_map = config->schema_map;
    d->fd = open(config->uri, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    int rc = d->fd < 0 ? err_errno(err, ERR_PERMANENT, "%s", config->uri) : file_begin(d, err);
    if (rc || exec(d, our_tables, err) || file_commit(d, err)) {
        file_close(d);
        return -1;
    }
    *traits = (struct driver_traits){.inserts = SLICING_ORDERED, .exact = true};
    *driver = d;
    return 0;
}

static const struct own_dialect dialect = {"", "", "", "", text_literal, text_bytes};

static int file_recall(struct driver *d, const struct own_key *key, struct own_row *row,
                       bool *found, struct err *err)
{
    struct buf sql = {0};
    sqlite3_stmt *s;
    own_select(&dialect, key, true, &sql);
    if (ask(d, &sql, &s, found, err))
        return -1;
    for (int i = 0; *found && i < (int)own_columns(key); i++) {
        const void *data = sqlite3_column_blob(s, i);
        own_keep(key, row, (size_t)i, data, (size_t)sqlite3_column_bytes(s, i));
    }
    (void)sqlite3_finalize(s);
    return 0;
}

static int file_remember(struct driver *d, const struct own_key *key, const struct own_row *row,
                         bool exists, struct err *err)
{
    struct buf sql = {0};
    own_write(&dialect, key, row, exists, &sql);
    return run(d, &sql, err);
}

static int file_table_name(struct driver *d, const struct relation *rel, struct buf *out,
                           struct err *err)
{
    return text_flat_name(d->schema_map, rel, out, err);
}

/* NUMERIC makes numbers of text that is one; BLOB keeps text, and everything, as it is. */
static const char *type_of(const struct column *c)
{
    uint32_t oid = c->base_type_oid;
    return oid == PG_TYPE_INT2 || oid == PG_TYPE_INT4 || oid == PG_TYPE_INT8 ||
                   oid == PG_TYPE_FLOAT4 || oid == PG_TYPE_FLOAT8
               ? "NUMERIC"
               : "BLOB";
}

static void file_declare(struct driver *d, const struct relation *rel, uint32_t column,
                         struct buf *out, const char **caveat)
{
    (void)d, *caveat = NULL;
    buf_append_str(out, type_of(&rel->columns[column]));
}

static int file_describe(struct driver *d, const char *name, const struct describe_how *how,
                         struct described_table *out, struct err *err)
{
    struct buf sql = {0};
    sqlite3_stmt *s;
    out->folds_case = true;
    buf_append_str(&sql, "SELECT name, pk FROM pragma_table_info(");
    text_literal(&sql, name, strlen(name));
    buf_append_str(&sql, ") ORDER BY cid");
    if (ask(d, &sql, &s, &out->exists, err))
        return -1;
    for (bool more = out->exists; more; more = sqlite3_step(s) == SQLITE_ROW) {
        const char *column = (const char *)sqlite3_column_text(s, 0);
        (void)described_add_column(out, column);
        if (sqlite3_column_int(s, 1) > 0)
            described_add_index_column(out, "key", true, true, column);
    }
    (void)sqlite3_finalize(s);
    buf_append_str(&sql, "SELECT 1 FROM ");
    text_quote_standard(&sql, out->exists && how->rows ? name : CHECKPOINT_TABLE);
    bool some;
    int rc = ask(d, &sql, &s, &some, err);
    out->empty = !some;
    (void)sqlite3_finalize(s);
    return rc;
}

static int file_fit(struct driver *d, const struct column *c, const struct described_column *there,
                    bool identity, struct fit *fit, struct err *err)
{
    (void)d, (void)c, (void)there, (void)identity, (void)fit, (void)err;
    return 0;
}

/* Appends a value as a literal. */
static int append_value(struct buf *sql, const struct value *v, struct err *err)
{
    if (v->kind == VALUE_UNCHANGED)
        return err_set(err, ERR_PERMANENT, "the value was not sent (an unchanged TOASTed value)");
    if (v->kind == VALUE_NULL)
        buf_append_str(sql, "NULL");
    else if (v->kind == VALUE_BYTES)
        text_bytes(sql, v->data, v->size);
    else
        text_literal(sql, v->data, v->size);
    return 0;
}

static const struct text_dialect sql_dialect = {
    .quote = text_quote_standard,
    .quote_table = text_quote_standard,
    .declare = file_declare,
    .null = "",
    .no_columns = "\"no columns\"",
};

static int append_alter(const struct step *step, struct buf *sql, struct err *err)
{
    const struct column *c = &step->rel->columns[step->column];
    const struct value none = {.kind = VALUE_NULL}, fill = text_fill(c);
    text_alter(&sql_dialect, step, sql);
    if (step->kind != STEP_ADD_COLUMN)
        return 0;
    buf_append_str(sql, " ADD COLUMN ");
    text_declaration(NULL, &sql_dialect, step->rel, step->column, NULL, sql);
    buf_append_str(sql, " DEFAULT ");
    return append_value(sql, c->fill == FILL_VALUE ? &fill : &none, err);
}

static int drop_table(struct driver *d, const char *name, struct err *err)
{
    struct buf sql = {0};
    buf_append_str(&sql, "DROP TABLE ");
    text_quote_standard(&sql, name);
    return run(d, &sql, err);
}

static int replace_table(struct driver *d, const struct step *step, struct err *err)
{
    const struct step rename = {.kind = STEP_RENAME_TABLE, .table = step->table, .to = step->to};
    struct buf sql = {0};
    if (step->name && drop_table(d, step->name, err))
        return -1;
    text_alter(&sql_dialect, &rename, &sql);
    return run(d, &sql, err);
}

static int file_change(struct driver *d, const struct step *step, struct buf *show, struct err *err)
{
    struct buf sql = {0};
    if (step->kind == STEP_DROP_TABLE)
        return drop_table(d, step->table, err);
    if (step->kind == STEP_REPLACE_TABLE)
        return replace_table(d, step, err);
    if (step->kind == STEP_CREATE_TABLE) {
        text_table(d, &sql_dialect, step, "", "PRIMARY KEY", &sql);
        buf_append_byte(&sql, ')');
    } else if (append_alter(step, &sql, err)) {
        buf_free(&sql);
    }
    return sql.len ? text_change(d, &sql, show, run, err) : -1;
}

/* Appends names, values or both, of the columns flagged or, without flags, of the identity. */
static int append_list(struct buf *sql, const struct target_table *t, const struct row_change *row,
                       const uint8_t *flags, const char *sign, const char *between, struct err *err)
{
    const char *comma = "";
    for (uint32_t i = 0; i < t->rel->ncolumns; i++) {
        if (flags ? !flags[i] : !table_in_identity(t, i))
            continue;
        const struct value *v = flags ? slice_value(row, i) : &identity_of_row(row)[i];
        buf_append_str(sql, comma);
        comma = between;
        if (*sign)
            text_quote_standard(sql, t->rel->columns[i].name);
        buf_append_str(sql, sign);
        if (append_value(sql, v, err))
            return err_context(err, "column %s", t->rel->columns[i].name);
    }
    return 0;
}

static int append_change(struct buf *sql, const struct slice *slice, const struct row_change *row,
                         struct err *err)
{
    bool insert = slice->kind == CHANGE_INSERT, update = slice->kind == CHANGE_UPDATE;
    const struct target_table *t = slice->table;
    buf_append_str(sql, insert ? "INSERT INTO " : update ? "UPDATE " : "DELETE FROM ");
    text_quote_standard(sql, t->name);
    if (insert) {
        buf_append_str(sql, t->rel->ncolumns ? " (" : " DEFAULT VALUES");
        text_columns(sql, t->rel, NULL, text_quote_standard);
        buf_append_str(sql, t->rel->ncolumns ? ") VALUES (" : "");
        int rc = append_list(sql, t, row, slice->columns, "", ", ", err);
        buf_append_str(sql, t->rel->ncolumns ? ")" : "");
        return rc;
    }
    buf_append_str(sql, update ? " SET " : "");
    if (update && append_list(sql, t, row, slice->columns, " = ", ", ", err))
        return -1;
    /* The one row with the identity, or one of several that are equal. */
    buf_append_str(sql, t->identity.n ? " WHERE " : "");
    int rc = append_list(sql, t, row, NULL, " IS ", " AND ", err);
    buf_append_str(sql, t->identity.by_all_columns ? " LIMIT 1" : "");
    return rc;
}

static int file_execute(struct driver *d, const struct slice *slice, struct slice_result *result,
                        struct err *err)
{
    for (size_t i = 0; i < slice->nrows && result->outcome == SLICE_DONE; i++) {
        struct buf sql = {0};
        result->done = result->failed = i;
        if (append_change(&sql, slice, &slice->rows[i], err)) {
            buf_free(&sql);
            return -1;
        }
        if (run(d, &sql, err)) {
            result->exists =
                slice->kind == CHANGE_INSERT && sqlite3_errcode(d->db) == SQLITE_CONSTRAINT;
            if (!result->exists)
                return -1;
            err_clear(err);
        }
        result->matched = result->exists ? 0 : (uint64_t)sqlite3_changes(d->db);
        result->outcome = result->matched == 1 ? SLICE_DONE : SLICE_ONE_ROW;
    }
    return 0;
}

static int file_truncate(struct driver *d, struct target_table *const *tables, size_t ntables,
                         bool cascade, bool restart_identity, size_t *failed, struct err *err)
{
    (void)cascade, (void)restart_identity;
    return text_truncate(d, &sql_dialect, tables, ntables, run, failed, err);
}

static int file_check(struct driver *d, bool ddl, struct report *report, struct err *err)
{
    (void)d, (void)ddl, (void)err;
    report_ok(report, "target: a file of SQL text");
    return 0;
}

static const struct driver_ops ops = {
    .name = "text",
    .title = "SQL text",
    .uri_help = "a path",
    .uri_example = "shop.sql",
    DRIVER_OPERATIONS(file),
};

int main(int argc, char **argv)
{
    return apply_main(&ops, argc, argv);
}
