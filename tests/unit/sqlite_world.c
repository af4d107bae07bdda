#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include <unistd.h>

#include "frames/pg_type.h"
#include "sqlite_world.h"

#define LENGTH(a) (sizeof(a) / sizeof *(a))
#define MAX_ROWS  128

/* ---- relations and rows as text ---- */

static const struct {
    const char *name;
    uint32_t oid;
    int32_t typmod;
} types[] = {
    {"int", PG_TYPE_INT4, -1},
    {"text", PG_TYPE_TEXT, -1},
    {"bytea", PG_TYPE_BYTEA, -1},
    {"float", PG_TYPE_FLOAT8, -1},
    {"num", PG_TYPE_NUMERIC, (10 << 16 | 2) + 4},
    {"ts", PG_TYPE_TIMESTAMP, -1},
};

/*
 * Describes the relation public.NAME: "name/type" or "name/type/k" for each column, separated by
 * commas; `npk` of the first columns are the primary key.
 */
void describe(struct sqlite_world *w, char identity, const char *name, const char *columns,
              uint32_t npk)
{
    free(w->text);
    char *rest = w->text = strdup(columns);
    assert_non_null(rest);
    w->rel = (struct relation){
        .relid = 16384,
        .namespace = "public",
        .name = name,
        .replica_identity = identity,
        .primary_key_known = true,
        .columns = w->columns,
        .npk = npk,
        .pk = w->pk,
    };
    for (uint32_t i = 0; i < npk; i++)
        w->pk[i] = i;
    for (char *column; (column = strsep(&rest, ",")); w->rel.ncolumns++) {
        struct column *c = &w->columns[w->rel.ncolumns];
        assert_true(w->rel.ncolumns < MAX_COLUMNS);
        *c = (struct column){.name = strsep(&column, "/"), .fill = FILL_NULL};
        c->attnum = (int32_t)w->rel.ncolumns + 1;
        c->type_name = strsep(&column, "/");
        c->key = identity == REPLICA_IDENTITY_FULL || column != NULL;
        for (size_t i = 0; i < LENGTH(types); i++)
            if (strcmp(types[i].name, c->type_name) == 0) {
                c->type_oid = c->base_type_oid = types[i].oid;
                c->typmod = types[i].typmod;
            }
        assert_true(c->type_oid != 0);
        w->attributes[c->attnum - 1] = ATTRIBUTE_PUBLISHED;
    }
    w->attributes[w->rel.ncolumns] = '\0';
    w->rel.attributes = w->attributes;
}

/* Values separated by bars; ~ is NULL, ^ is unchanged. */
static struct value *values(const struct sqlite_world *w, char *text)
{
    struct value *v = calloc(w->rel.ncolumns + 1, sizeof *v);
    assert_non_null(v);
    for (uint32_t i = 0; i < w->rel.ncolumns; i++) {
        const char *one = strsep(&text, "|");
        if (!one)
            fail_msg("too few values");
        v[i] = (struct value){
            .kind = strcmp(one, "~") == 0                          ? VALUE_NULL
                    : strcmp(one, "^") == 0                        ? VALUE_UNCHANGED
                    : w->columns[i].base_type_oid == PG_TYPE_BYTEA ? VALUE_BYTES
                                                                   : VALUE_TEXT,
            .size = (uint32_t)strlen(one),
            .data = one,
        };
    }
    return v;
}

/*
 * Applies a run. A row is "new", "K old > new", "O old > new", "K old" or "O old"; NULL ends them.
 */
int run(struct sqlite_world *w, enum change_kind kind, const char *const *rows, size_t *failed)
{
    struct row_change r[MAX_ROWS];
    struct value *v[2 * MAX_ROWS] = {NULL};
    char *copies[MAX_ROWS];
    const struct source_txn txn = {.xid = 7, .commit_lsn = 100};
    size_t n = 0;
    for (; rows[n]; n++) {
        assert_true(n < MAX_ROWS);
        char *copy = copies[n] = strdup(rows[n]);
        assert_non_null(copy);
        r[n] = (struct row_change){.txn = &txn};
        if ((copy[0] == 'K' || copy[0] == 'O') && copy[1] == ' ') {
            char *new = strstr(copy, " > ");
            if (new) {
                *new = '\0';
                r[n].new = v[2 * n + 1] = values(w, new + 3);
            }
            r[n].old = v[2 * n] = values(w, copy + 2);
        } else {
            r[n].new = v[2 * n] = values(w, copy);
        }
    }
    struct run run = {
        .kind = kind,
        .table = w->table,
        .rows = r,
        .nrows = n,
        .conflicts = &w->conflicts,
        .failed = n,
    };
    int rc = target_apply(w->target, &run, &w->err);
    for (size_t i = 0; i < 2 * MAX_ROWS; i++)
        free(v[i]);
    for (size_t i = 0; i < n; i++)
        free(copies[i]);
    if (failed)
        *failed = run.failed;
    return rc;
}

/* ---- the database ---- */

void succeeds(const struct sqlite_world *w, int rc)
{
    if (rc)
        fail_msg("%s", w->err.text);
}

void fails(struct sqlite_world *w, int rc, enum err_kind kind, const char *text)
{
    assert_int_equal(rc, -1);
    if (!strstr(w->err.text, text))
        fail_msg("\"%s\" does not say \"%s\"", w->err.text, text);
    assert_int_equal(w->err.kind, kind);
    err_clear(&w->err);
}

void sql(struct sqlite_world *w, const char *text)
{
    char *message = NULL;
    if (sqlite3_exec(w->driver->db, text, NULL, NULL, &message) != SQLITE_OK)
        fail_msg("%s: %s", text, message);
}

/* Compares a query's rows: "1|a 2|~". */
void shows(struct sqlite_world *w, const char *query, const char *expected)
{
    struct buf is = {0};
    sqlite3_stmt *s;
    if (sqlite3_prepare_v2(w->driver->db, query, -1, &s, NULL) != SQLITE_OK)
        fail_msg("%s: %s", query, sqlite3_errmsg(w->driver->db));
    while (sqlite3_step(s) == SQLITE_ROW) {
        buf_append_str(&is, is.len ? " " : "");
        for (int i = 0; i < sqlite3_column_count(s); i++) {
            const char *text = (const char *)sqlite3_column_text(s, i);
            buf_printf(&is, "%s%s", i ? "|" : "", text ? text : "~");
        }
    }
    (void)sqlite3_finalize(s);
    assert_string_equal(buf_cstr(&is), expected);
    buf_free(&is);
}

struct driver_config config(const struct sqlite_world *w, const char *uri)
{
    return (struct driver_config){.uri = uri,
                                  .schema_map = &w->map,
                                  .connect_timeout_ms = 50,
                                  .query_timeout_ms = 50,
                                  .nan = NAN_STOP};
}

/* The driver that was opened last. */
static struct driver *opened;

static int open_and_note(const struct driver_config *c, struct driver **driver,
                         struct driver_traits *traits, struct err *err)
{
    int rc = sqlite_ops.open(c, driver, traits, err);
    opened = rc ? NULL : *driver;
    return rc;
}

int try_open(struct sqlite_world *w, const struct driver_config *c)
{
    static struct driver_ops ops;
    ops = sqlite_ops;
    ops.open = open_and_note;
    int rc = target_open(&ops, c, &w->target, &w->err);
    w->driver = opened;
    return rc;
}

void open_at(struct sqlite_world *w, const char *uri)
{
    const struct driver_config c = config(w, uri);
    succeeds(w, try_open(w, &c));
}

static int change(struct sqlite_world *w, struct step step)
{
    step.rel = &w->rel;
    return sqlite_ops.change(w->driver, &step, NULL, &w->err);
}

int create_table(struct sqlite_world *w, const char *name)
{
    return change(w, (struct step){.kind = STEP_CREATE_TABLE, .table = name});
}

int rename_table(struct sqlite_world *w, const char *name, const char *to)
{
    return change(w, (struct step){.kind = STEP_RENAME_TABLE, .table = name, .to = to});
}

int add_column(struct sqlite_world *w, const char *table, uint32_t column)
{
    return change(w, (struct step){.kind = STEP_ADD_COLUMN, .table = table, .column = column});
}

int drop_column(struct sqlite_world *w, const char *table, const char *name)
{
    return change(w, (struct step){.kind = STEP_DROP_COLUMN, .table = table, .name = name});
}

int rename_column(struct sqlite_world *w, const char *table, const char *name, const char *to)
{
    return change(
        w, (struct step){.kind = STEP_RENAME_COLUMN, .table = table, .name = name, .to = to});
}

static struct described_table look(struct sqlite_world *w, const char *table)
{
    struct described_table there;
    described_init(&there);
    succeeds(w, sqlite_ops.describe(w->driver, table, &(struct describe_how){.rows = true}, &there,
                                    &w->err));
    succeeds(w, described_check(&there, &w->err));
    return there;
}

bool has_table(struct sqlite_world *w, const char *name)
{
    struct described_table there = look(w, name);
    bool exists = there.exists;
    described_free(&there);
    return exists;
}

bool has_column(struct sqlite_world *w, const char *table, const char *name)
{
    struct described_table there = look(w, table);
    bool exists = described_find(&there, name) != NULL;
    described_free(&there);
    return exists;
}

bool is_empty(struct sqlite_world *w, const char *table)
{
    struct described_table there = look(w, table);
    bool empty = there.empty;
    described_free(&there);
    return empty;
}

void close_table(struct sqlite_world *w)
{
    target_unbind(w->target, w->table);
    w->table = NULL;
}

int open_table(struct sqlite_world *w)
{
    close_table(w);
    struct described_table there = look(w, w->rel.name);
    return table_bind(&sqlite_ops, w->driver, w->rel.name, &w->rel, &there, &w->table, &w->err);
}

/* Describes, creates and opens. */
void make(struct sqlite_world *w, char identity, const char *name, const char *columns,
          uint32_t npk)
{
    describe(w, identity, name, columns, npk);
    succeeds(w, create_table(w, name));
    succeeds(w, open_table(w));
}

/* Describes and opens what is there. */
int use(struct sqlite_world *w, char identity, const char *name, const char *columns, uint32_t npk)
{
    describe(w, identity, name, columns, npk);
    return open_table(w);
}

int sqlite_setup(void **state)
{
    struct sqlite_world *w = calloc(1, sizeof *w);
    *state = w;
    if (!w)
        return -1;
    (void)snprintf(w->dir, sizeof w->dir, "/tmp/pg2any-test-sqlite-XXXXXX");
    if (!mkdtemp(w->dir))
        return -1;
    (void)snprintf(w->path, sizeof w->path, "%s/db", w->dir);
    open_at(w, ":memory:");
    return 0;
}

int sqlite_teardown(void **state)
{
    struct sqlite_world *w = *state;
    static const char *const files[] = {"", "-wal", "-shm", "-journal"};
    close_table(w);
    target_close(w->target);
    for (size_t i = 0; i < LENGTH(files); i++) {
        char path[128];
        (void)snprintf(path, sizeof path, "%s%s", w->path, files[i]);
        (void)unlink(path);
    }
    int rc = rmdir(w->dir);
    free(w->text);
    free(w);
    return rc;
}
