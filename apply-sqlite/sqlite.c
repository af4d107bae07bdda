#include "sqlite.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <unistd.h>

#include "base/folder.h"
#include "base/log.h"
#include "base/lsn.h"
#include "frames/pg_type.h"

#define SCHEME         "sqlite:"
#define MAX_PATH_BYTES 4096

/* ---- errors ---- */

/* `what` may be a statement with 1,600 columns: the reason comes after its beginning. */
int sqlite_fail(const struct dest *d, int rc, const char *what, struct err *err)
{
    const char *text = d && d->db && sqlite3_errcode(d->db) != SQLITE_OK ? sqlite3_errmsg(d->db)
                                                                         : sqlite3_errstr(rc);
    switch (rc & 0xff) {
    case SQLITE_BUSY:
    case SQLITE_LOCKED:
        (void)err_set(err, ERR_RETRY, "%.200s: %s", what, text);
        return err_hint(err, "another program holds the database's write lock");
    case SQLITE_FULL:
        (void)err_set(err, ERR_TEMPORARY, "%.200s: %s", what, text);
        return err_hint(err, "free some space");
    case SQLITE_IOERR:
    case SQLITE_NOMEM:
    case SQLITE_PROTOCOL:
    case SQLITE_INTERRUPT:
        return err_set(err, ERR_TEMPORARY, "%.200s: %s (%s)", what, text, sqlite3_errstr(rc));
    default:
        return err_set(err, ERR_PERMANENT, "%.200s: %s", what, text);
    }
}

int sqlite_exec(struct dest *d, const char *sql, struct err *err)
{
    int rc = sqlite3_exec(d->db, sql, NULL, NULL, NULL);
    return rc == SQLITE_OK ? 0 : sqlite_fail(d, rc, sql, err);
}

int sqlite_prepare(struct dest *d, const char *sql, sqlite3_stmt **stmt, struct err *err)
{
    int rc = sqlite3_prepare_v3(d->db, sql, -1, SQLITE_PREPARE_PERSISTENT, stmt, NULL);
    return rc == SQLITE_OK ? 0 : sqlite_fail(d, rc, sql, err);
}

int sqlite_run(struct dest *d, sqlite3_stmt *stmt, const char *what, struct err *err)
{
    int rc = sqlite3_step(stmt);
    int failed = rc == SQLITE_DONE || rc == SQLITE_ROW ? 0 : sqlite_fail(d, rc, what, err);
    (void)sqlite3_reset(stmt); /* repeats the error of the step */
    return failed;
}

void sqlite_quote(struct buf *out, const char *name)
{
    buf_append_byte(out, '"');
    for (const char *p = name; *p; p++) {
        if (*p == '"')
            buf_append_byte(out, '"');
        buf_append_byte(out, (uint8_t)*p);
    }
    buf_append_byte(out, '"');
}

/* ---- connection ---- */

static int hex_digit(char c)
{
    return c >= '0' && c <= '9'   ? c - '0'
           : c >= 'a' && c <= 'f' ? c - 'a' + 10
           : c >= 'A' && c <= 'F' ? c - 'A' + 10
                                  : -1;
}

/* Undoes %41 in place; anything else after a % is itself. */
static void unescape(char *text)
{
    char *to = text;
    for (const char *p = text; *p; p++) {
        int high = *p == '%' ? hex_digit(p[1]) : -1;
        int low = high >= 0 ? hex_digit(p[2]) : -1;
        if (low >= 0 && (high != 0 || low != 0)) {
            *to++ = (char)(high << 4 | low);
            p += 2;
        } else {
            *to++ = *p;
        }
    }
    *to = '\0';
}

/* Finds path and ?synchronous=… in sqlite:path?…; a plain path is taken as it is. */
static int parse_uri(const char *uri, char *path, size_t size, const char **synchronous,
                     struct err *err)
{
    static const char *const levels[] = {"off", "normal", "full", "extra", NULL};
    size_t len = strlen(uri);
    bool escaped = strncasecmp(uri, SCHEME, strlen(SCHEME)) == 0;
    *synchronous = "full";
    if (escaped) {
        uri += strlen(SCHEME);
        if (strncmp(uri, "//", 2) == 0)
            uri += 2; /* sqlite:///absolute/path */
        len = strcspn(uri, "?");
        if (uri[len] == '?') {
            const char *value = uri + len + 1;
            int i = 0;
            if (strncmp(value, "synchronous=", 12) == 0)
                while (levels[i] && strcasecmp(value + 12, levels[i]) != 0)
                    i++;
            else
                i = 4;
            if (!levels[i])
                return err_set(
                    err, ERR_PERMANENT,
                    "--dest: after ? only synchronous=off, normal, full or extra is understood, not "
                    "\"%s\"",
                    value);
            *synchronous = levels[i];
        }
    } else if (strstr(uri, "://")) {
        (void)err_set(err, ERR_PERMANENT, "--dest: this is not a SQLite database: %.*s",
                      (int)strcspn(uri, ":"), uri);
        return err_hint(err, "%s", sqlite_ops.uri_help);
    }
    if (len == 0 || len >= size)
        return err_set(err, ERR_PERMANENT, "--dest: no path, or one that is too long");
    memcpy(path, uri, len);
    path[len] = '\0';
    if (escaped)
        unescape(path);
    return 0;
}

static const char tables[] =
    "CREATE TABLE IF NOT EXISTS " CHECKPOINT_TABLE
    " (origin TEXT PRIMARY KEY NOT NULL, remote_lsn TEXT NOT "
    "NULL, commit_time TEXT, system_identifier TEXT NOT NULL, timeline INTEGER NOT NULL);"
    "CREATE TABLE IF NOT EXISTS pg2any_relation (origin TEXT NOT NULL, relid INTEGER NOT NULL, target TEXT NOT "
    "NULL COLLATE NOCASE, namespace TEXT NOT NULL, name TEXT NOT NULL, frame BLOB NOT NULL, PRIMARY KEY "
    "(origin, relid), UNIQUE (origin, target));";

/* Whether our tables are there. */
static int look_for_tables(struct dest *d, struct err *err)
{
    sqlite3_stmt *s;
    if (sqlite_prepare(d,
                       "SELECT count(*) FROM sqlite_schema WHERE type = 'table' AND name IN "
                       "('" CHECKPOINT_TABLE "', 'pg2any_relation')",
                       &s, err))
        return -1;
    d->have_tables = sqlite3_step(s) == SQLITE_ROW && sqlite3_column_int(s, 0) == 2;
    int rc = sqlite3_finalize(s);
    return rc == SQLITE_OK ? 0 : sqlite_fail(d, rc, "reading the schema", err);
}

static int set_up(struct dest *d, const struct dest_config *config, const char *synchronous,
                  struct err *err)
{
    char pragma[64];
    int timeout = config->query_timeout_ms > INT32_MAX ? INT32_MAX : (int)config->query_timeout_ms;
    (void)sqlite3_busy_timeout(d->db, timeout);
    /* A name in double quotes that is no column is an error, not a string. */
    (void)sqlite3_db_config(d->db, SQLITE_DBCONFIG_DQS_DML, 0, NULL);
    (void)sqlite3_db_config(d->db, SQLITE_DBCONFIG_DQS_DDL, 0, NULL);
    if (config->look_only)
        return look_for_tables(d, err);
    d->have_tables = true;
    (void)snprintf(pragma, sizeof pragma, "PRAGMA synchronous = %s", synchronous);
    if (sqlite_exec(d, "PRAGMA journal_mode = WAL", err) || sqlite_exec(d, pragma, err) ||
        /* The source enforced its foreign keys; rows of several transactions come in its order. */
        sqlite_exec(d, "PRAGMA foreign_keys = OFF", err) ||
        sqlite_exec(d, "PRAGMA cache_size = -32768", err) || /* 32 MiB */
        sqlite_exec(d, "PRAGMA wal_autocheckpoint = 10000",
                    err) || /* pages; 1.3 times as fast as 1000 */
        sqlite_exec(d, "PRAGMA journal_size_limit = 67108864",
                    err) || /* after a large transaction */
        sqlite_exec(d, tables, err))
        return -1;
    return sqlite_prepare(d, "BEGIN IMMEDIATE", &d->begin, err) ||
                   sqlite_prepare(d, "COMMIT", &d->commit, err) ||
                   sqlite_prepare(d, "ROLLBACK", &d->rollback, err) ||
                   sqlite_prepare(
                       d,
                       "INSERT INTO " CHECKPOINT_TABLE
                       " (origin, remote_lsn, commit_time, system_identifier, timeline) "
                       "VALUES (?1, ?2, ?3, ?4, ?5) ON CONFLICT (origin) DO UPDATE SET "
                       "remote_lsn = ?2, commit_time = ?3, system_identifier = ?4, timeline = ?5",
                       &d->put_checkpoint, err)
               ? -1
               : 0;
}

static void sqlite_close(struct dest *d)
{
    (void)sqlite3_finalize(d->begin);
    (void)sqlite3_finalize(d->commit);
    (void)sqlite3_finalize(d->rollback);
    (void)sqlite3_finalize(d->put_checkpoint);
    (void)sqlite3_close_v2(d->db);
    free(d->looked_at);
    free(d);
}

static int sqlite_open(const struct dest_config *config, struct dest **dest, struct err *err)
{
    char path[MAX_PATH_BYTES];
    const char *synchronous;
    if (parse_uri(config->uri, path, sizeof path, &synchronous, err))
        return -1;
    struct dest *d = calloc(1, sizeof *d);
    if (!d)
        return err_nomem(err);
    d->schema_map = config->schema_map;
    d->nan = config->nan;
    d->look_only = config->look_only;
    /* To look at a database that is not there yet, an empty one does. */
    bool there = !d->look_only || access(path, F_OK) == 0 || (errno != ENOENT && errno != ENOTDIR);
    d->looked_at = strdup(path);
    int rc = sqlite3_open_v2(there ? path : ":memory:", &d->db,
                             (d->look_only && there ? SQLITE_OPEN_READWRITE
                                                    : SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE) |
                                 SQLITE_OPEN_NOMUTEX | SQLITE_OPEN_EXRESCODE,
                             NULL);
    if (!d->looked_at)
        rc = SQLITE_NOMEM;
    if (rc == SQLITE_OK && !d->look_only && sqlite3_db_readonly(d->db, "main") == 1) {
        (void)err_set(err, ERR_PERMANENT, "%s may not be written by this user (uid %u)", path,
                      (unsigned)geteuid());
        (void)err_hint(err, "chown it and its folder, or run as its owner");
        sqlite_close(d);
        return -1;
    }
    if (rc != SQLITE_OK || set_up(d, config, synchronous, err)) {
        if (rc != SQLITE_OK)
            (void)sqlite_fail(d, rc, "opening the database", err);
        if ((rc & 0xff) == SQLITE_CANTOPEN)
            (void)err_hint(err, "is there such a folder, and may uid %u write there?",
                           (unsigned)geteuid());
        (void)err_context(err, "%s", path);
        sqlite_close(d);
        return -1;
    }
    log_info("target", "database", path, "synchronous", synchronous, "sqlite", sqlite3_libversion(),
             NULL);
    *dest = d;
    return 0;
}

/* ---- transactions ---- */

static int sqlite_reset(struct dest *d, struct err *err)
{
    if (sqlite3_get_autocommit(d->db))
        return 0;
    return sqlite_run(d, d->rollback, "ROLLBACK", err);
}

static int sqlite_begin(struct dest *d, struct err *err)
{
    return sqlite_run(d, d->begin, "BEGIN IMMEDIATE", err);
}

static int sqlite_commit(struct dest *d, const char *origin, const struct checkpoint *c,
                         struct err *err)
{
    char lsn[LSN_TEXT_SIZE], time[PG_TIME_TEXT_SIZE];
    sqlite3_stmt *s = d->put_checkpoint;
    (void)sqlite3_bind_text(s, 1, origin, -1, SQLITE_STATIC);
    (void)sqlite3_bind_text(s, 2, lsn_text(lsn, c->remote_lsn), -1, SQLITE_STATIC);
    if (c->commit_time_us)
        (void)sqlite3_bind_text(s, 3, pg_time_text(time, c->commit_time_us), -1, SQLITE_STATIC);
    else
        (void)sqlite3_bind_null(s, 3);
    (void)sqlite3_bind_text(s, 4, c->system_identifier, -1, SQLITE_STATIC);
    (void)sqlite3_bind_int64(s, 5, c->timeline);
    int rc = sqlite_run(d, s, "writing the checkpoint", err);
    (void)sqlite3_clear_bindings(s);
    return rc ? -1 : sqlite_run(d, d->commit, "COMMIT", err);
}

static const char *column_text(sqlite3_stmt *s, int column)
{
    const char *text = (const char *)sqlite3_column_text(s, column);
    return text ? text : "";
}

static int read_checkpoint(sqlite3_stmt *s, struct checkpoint *out, struct err *err)
{
    const char *lsn = column_text(s, 0), *time = column_text(s, 1), *system = column_text(s, 2);
    out->commit_time_us = 0;
    if (!lsn_parse(lsn, strlen(lsn), &out->remote_lsn) ||
        strlen(system) >= sizeof out->system_identifier ||
        (*time && !pg_time_parse(time, &out->commit_time_us)))
        return err_set(err, ERR_PERMANENT,
                       CHECKPOINT_TABLE " holds something that is not a checkpoint");
    memcpy(out->system_identifier, system, strlen(system) + 1);
    out->timeline = (uint32_t)sqlite3_column_int64(s, 3);
    return 0;
}

static int sqlite_checkpoint_get(struct dest *d, const char *origin, struct checkpoint *out,
                                 bool *found, struct err *err)
{
    sqlite3_stmt *s;
    *found = false;
    if (!d->have_tables)
        return 0;
    if (sqlite_prepare(
            d,
            "SELECT remote_lsn, commit_time, system_identifier, timeline FROM " CHECKPOINT_TABLE
            " WHERE origin = ?1",
            &s, err))
        return -1;
    (void)sqlite3_bind_text(s, 1, origin, -1, SQLITE_STATIC);
    int rc = sqlite3_step(s);
    int failed = 0;
    *found = rc == SQLITE_ROW;
    if (rc == SQLITE_ROW)
        failed = read_checkpoint(s, out, err);
    else if (rc != SQLITE_DONE)
        failed = sqlite_fail(d, rc, "reading " CHECKPOINT_TABLE, err);
    (void)sqlite3_finalize(s);
    return failed;
}

static int delete_origin(struct dest *d, const char *sql, const char *origin, struct err *err)
{
    sqlite3_stmt *s;
    if (sqlite_prepare(d, sql, &s, err))
        return -1;
    (void)sqlite3_bind_text(s, 1, origin, -1, SQLITE_STATIC);
    int rc = sqlite_run(d, s, sql, err);
    (void)sqlite3_finalize(s);
    return rc;
}

static int sqlite_checkpoint_drop(struct dest *d, const char *origin, struct err *err)
{
    return delete_origin(d, "DELETE FROM " CHECKPOINT_TABLE " WHERE origin = ?1", origin, err) ||
                   delete_origin(d, "DELETE FROM pg2any_relation WHERE origin = ?1", origin, err) ||
                   sqlite_run(d, d->commit, "COMMIT", err)
               ? -1
               : 0;
}

/* SQLite makes a journal beside the database: the folder must be writable, too. */
static int sqlite_check(struct dest *d, bool ddl, struct report *report, struct err *err)
{
    (void)ddl;
    (void)err;
    const char *file = d->looked_at;
    bool there = access(file, F_OK) == 0;
    report_ok(report, "target: SQLite %s, %s%s", sqlite3_libversion(), file,
              there ? "" : ", which will be made");
    if (!folder_is_writable(file) || (there && access(file, W_OK) != 0)) {
        report_fail(report, "this user may not write to %s and to its folder, or there is none",
                    file);
        report_mend(report, "mkdir, chown or chmod");
    }
    return 0;
}

static const char *sqlite_caveat(const struct column *column)
{
    return column->base_type_oid == PG_TYPE_FLOAT4 || column->base_type_oid == PG_TYPE_FLOAT8
               ? "NaN stops the applier unless --nan says what to store"
               : NULL;
}

const struct dest_ops sqlite_ops = {
    .name = "sqlite",
    .uri_help = "a path, :memory: or sqlite:PATH?synchronous=full",
    .open = sqlite_open,
    .close = sqlite_close,
    .reset = sqlite_reset,
    .checkpoint_get = sqlite_checkpoint_get,
    .checkpoint_drop = sqlite_checkpoint_drop,
    .check = sqlite_check,
    .caveat = sqlite_caveat,
    .begin = sqlite_begin,
    .commit = sqlite_commit,
    .target_name = sqlite_target_name,
    .relation_get = sqlite_relation_get,
    .relation_put = sqlite_relation_put,
    .table_exists = sqlite_table_exists,
    .table_empty = sqlite_table_empty,
    .table_create = sqlite_table_create,
    .table_rename = sqlite_table_rename,
    .column_exists = sqlite_column_exists,
    .column_add = sqlite_column_add,
    .column_drop = sqlite_column_drop,
    .column_rename = sqlite_column_rename,
    .column_same_type = sqlite_column_same_type,
    .table_open = sqlite_table_open,
    .table_close = sqlite_table_close,
    .apply = sqlite_apply,
    .truncate = sqlite_truncate,
};
