#include "sqlite.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <unistd.h>

#include "base/folder.h"
#include "base/log.h"
#include "base/redact.h"
#include "sql/own.h"
#include "sql/target_uri.h"
#include "sql/text.h"

#define SCHEME         "sqlite:"
#define MAX_PATH_BYTES 4096

/* ---- errors ---- */

/* A disk that cannot be read SQLite takes for a damaged database. What the last call for one of its
 * files failed with. */
static int file_error(const struct driver *d)
{
    int error = 0;
    sqlite3_file *log = NULL; /* or the rollback journal */
    (void)sqlite3_file_control(d->db, "main", SQLITE_FCNTL_LAST_ERRNO, &error);
    (void)sqlite3_file_control(d->db, "main", SQLITE_FCNTL_JOURNAL_POINTER, &log);
    if (error == 0 && log && log->pMethods)
        (void)log->pMethods->xFileControl(log, SQLITE_FCNTL_LAST_ERRNO, &error);
    return error;
}

/* `what` may be a statement with 1,600 columns: the reason comes after its beginning. */
int sqlite_fail(const struct driver *d, int rc, const char *what, struct err *err)
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
    case SQLITE_CORRUPT: {
        int error = d && d->db ? file_error(d) : 0;
        (void)err_set(err, error ? err_kind_of(error) : ERR_PERMANENT, "%.200s: %s", what, text);
        err->whole = true;
        return error ? err_hint(err, "%s", strerror(error)) : -1;
    }
    case SQLITE_CANTOPEN: {
        /* Whatever the reason. A file that it cannot make SQLite then looks for, to read it, and
         * says that it is not there. */
        int error = d && d->db ? sqlite3_system_errno(d->db) : 0;
        bool no_room = error == ENOENT && folder_is_writable(d->path);
        (void)err_set(err, no_room ? ERR_TEMPORARY : err_kind_of(error), "%.200s: %s", what, text);
        return no_room ? err_hint(err, "room, memory or descriptors may be short")
               : error ? err_hint(err, "%s", strerror(error))
                       : -1;
    }
    default:
        return err_set(err, ERR_PERMANENT, "%.200s: %s", what, text);
    }
}

static int exec(struct driver *d, const char *sql, struct err *err)
{
    int rc = sqlite3_exec(d->db, sql, NULL, NULL, NULL);
    return rc == SQLITE_OK ? 0 : sqlite_fail(d, rc, sql, err);
}

int sqlite_run(struct driver *d, struct buf *sql, struct err *err)
{
    return text_run(d, sql, exec, err);
}

int sqlite_prepare(struct driver *d, struct buf *sql, sqlite3_stmt **stmt, struct err *err)
{
    int rc = buf_check(sql, err);
    if (rc == 0) {
        const char *text = buf_cstr(sql);
        int code = sqlite3_prepare_v3(d->db, text, -1, SQLITE_PREPARE_PERSISTENT, stmt, NULL);
        if (code != SQLITE_OK)
            rc = sqlite_fail(d, code, text, err);
    }
    buf_free(sql);
    return rc;
}

int sqlite_number(struct driver *d, struct buf *sql, const char *what, int64_t *n, struct err *err)
{
    sqlite3_stmt *s = NULL;
    if (sqlite_prepare(d, sql, &s, err))
        return -1;
    int rc = sqlite3_step(s);
    *n = rc == SQLITE_ROW ? sqlite3_column_int64(s, 0) : -1;
    (void)sqlite3_finalize(s);
    return rc == SQLITE_ROW || rc == SQLITE_DONE ? 0 : sqlite_fail(d, rc, what, err);
}

/* ---- connection ---- */

static const char uri_help[] = "a path, :memory: or sqlite:PATH?synchronous=full&triggers=off";
static const char *const levels[] = {"off", "normal", "full", "extra", NULL};
#define SYNCHRONOUS_FULL 2 /* they stand by SQLite's numbers */

/* Makes of d->path, which is the URI, the path that is in it. A plain path is taken as it is. */
static int parse_uri(struct driver *d, int *synchronous, struct err *err)
{
    static const struct target_uri_form form = {.example = uri_help};
    const struct target_uri_parameter parameters[] = {
        {.name = "synchronous", .choice = synchronous, .words = levels},
        {.name = "triggers", .flag = &d->triggers},
        {.name = NULL},
    };
    char *path = d->path;
    if (strncasecmp(path, SCHEME, strlen(SCHEME)) == 0) {
        path += strlen(SCHEME);
        path += strncmp(path, "//", 2) == 0 ? 2 : 0; /* sqlite:///absolute/path */
        char *end = path + strcspn(path, "?");
        if (*end && target_uri_parameters(end + 1, &form, parameters, err))
            return -1;
        *end = '\0';
        (void)target_uri_unescape(path); /* anything else after a % is itself */
        memmove(d->path, path, strlen(path) + 1);
    } else if (!redact_is_path(path)) {
        /* Not a file, whose name would tell the password. */
        (void)err_set(err, ERR_PERMANENT,
                      "--dest: this is not a SQLite database, or not evidently");
        return err_hint(err, "sqlite:PATH, if it is the path of a SQLite database");
    }
    return *d->path && strlen(d->path) < MAX_PATH_BYTES
               ? 0
               : err_set(err, ERR_PERMANENT, "--dest: no path, or one that is too long");
}

static const char tables[] =
    "CREATE TABLE IF NOT EXISTS " CHECKPOINT_TABLE
    " (origin TEXT PRIMARY KEY NOT NULL, remote_lsn TEXT NOT "
    "NULL, commit_time TEXT, system_identifier TEXT NOT NULL, timeline INTEGER NOT NULL);"
    "CREATE TABLE IF NOT EXISTS " RELATION_TABLE
    " (origin TEXT NOT NULL, relid INTEGER NOT NULL, target TEXT NOT "
    "NULL COLLATE NOCASE, namespace TEXT NOT NULL, name TEXT NOT NULL, frame BLOB NOT NULL, PRIMARY KEY "
    "(origin, relid), UNIQUE (origin, target));";

/* Whether our tables are there. */
static int look_for_tables(struct driver *d, struct err *err)
{
    struct buf sql = {0};
    int64_t n;
    buf_append_str(&sql, "SELECT count(*) FROM sqlite_schema WHERE type = 'table' AND name IN "
                         "('" CHECKPOINT_TABLE "', '" RELATION_TABLE "')");
    int rc = sqlite_number(d, &sql, "reading the schema", &n, err);
    d->have_tables = rc == 0 && n == 2;
    return rc;
}

static int set_up(struct driver *d, const struct driver_config *config, int synchronous,
                  struct err *err)
{
    char pragma[64];
    int timeout = config->query_timeout_ms > INT32_MAX ? INT32_MAX : (int)config->query_timeout_ms;
    (void)sqlite3_busy_timeout(d->db, timeout);
    /* A name in double quotes that is no column is an error, not a string. */
    (void)sqlite3_db_config(d->db, SQLITE_DBCONFIG_DQS_DML, 0, NULL);
    (void)sqlite3_db_config(d->db, SQLITE_DBCONFIG_DQS_DDL, 0, NULL);
    /* What the source's triggers did comes as rows of its own. */
    (void)sqlite3_db_config(d->db, SQLITE_DBCONFIG_ENABLE_TRIGGER, (int)d->triggers, NULL);
    if (config->look_only)
        return look_for_tables(d, err);
    d->have_tables = true;
    (void)snprintf(pragma, sizeof pragma, "PRAGMA synchronous = %d", synchronous);
    return exec(d, "PRAGMA journal_mode = WAL", err) || exec(d, pragma, err) ||
                   /* The source enforced its foreign keys; rows of several transactions come in its
                      order. */
                   exec(d, "PRAGMA foreign_keys = OFF", err) ||
                   exec(d, "PRAGMA cache_size = -16384", err) || /* 16 MiB */
                   /* pages; 1.3 times as fast as 1000 */
                   exec(d, "PRAGMA wal_autocheckpoint = 10000", err) ||
                   /* after a large transaction */
                   exec(d, "PRAGMA journal_size_limit = 67108864", err) || exec(d, tables, err) ||
                   sqlite_files_note(d, err)
               ? -1
               : 0;
}

/* SQLite brings the log into the database and deletes it by its name: not where there is another.
 */
static void sqlite_close(struct driver *d)
{
    sqlite_files_leave(d);
    (void)sqlite3_close_v2(d->db);
    sqlite_files_free(d);
    free(d->path);
    free(d);
}

/* To look at a database that is not there yet, an empty one does. */
static int open_file(struct driver *d, bool look_only)
{
    bool there = access(d->path, F_OK) == 0 || (errno != ENOENT && errno != ENOTDIR);
    int flags = SQLITE_OPEN_READWRITE | SQLITE_OPEN_NOMUTEX | SQLITE_OPEN_EXRESCODE;
    if (!look_only || !there)
        flags |= SQLITE_OPEN_CREATE;
    /* What is replicated is not for every user of the machine. SQLite gives a new -wal and -shm the
     * mode of the database. Where it cannot be made SQLite says so. */
    int fd = there || look_only || strcmp(d->path, ":memory:") == 0
                 ? -1
                 : open(d->path, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    if (fd >= 0)
        (void)close(fd);
    return sqlite3_open_v2(look_only && !there ? ":memory:" : d->path, &d->db, flags, NULL);
}

static int open_and_set_up(struct driver *d, const struct driver_config *config, int synchronous,
                           struct err *err)
{
    int rc = open_file(d, config->look_only);
    if (rc == SQLITE_OK && !config->look_only && sqlite3_db_readonly(d->db, "main") == 1) {
        /* SQLite opens it so, too, where it has no descriptor for more at that moment. */
        if (euidaccess(d->path, W_OK) == 0 || err_kind_of(errno) == ERR_TEMPORARY)
            return err_set(err, ERR_TEMPORARY, "%s could be opened only for reading", d->path);
        (void)err_set(err, ERR_PERMANENT, "%s may not be written by this user (uid %u)", d->path,
                      (unsigned)geteuid());
        return err_hint(err, "chown it and its folder, or run as its owner");
    }
    if (rc != SQLITE_OK)
        (void)sqlite_fail(d, rc, "opening the database", err);
    if ((rc & 0xff) == SQLITE_CANTOPEN && err->kind == ERR_PERMANENT)
        (void)err_hint(err, "is there such a folder, and may uid %u write there?",
                       (unsigned)geteuid());
    return rc != SQLITE_OK || set_up(d, config, synchronous, err) ? err_context(err, "%s", d->path)
                                                                  : 0;
}

static int sqlite_open(const struct driver_config *config, struct driver **driver,
                       struct driver_traits *traits, struct err *err)
{
    int synchronous = SYNCHRONOUS_FULL;
    struct driver *d = calloc(1, sizeof *d);
    if (!d)
        return err_nomem(err);
    /* There is one thread, and nobody asks for the statistics. Refused once SQLite is in use. */
    (void)sqlite3_config(SQLITE_CONFIG_SINGLETHREAD);
    (void)sqlite3_config(SQLITE_CONFIG_MEMSTATUS, 0);
    d->schema_map = config->schema_map;
    d->nan = config->nan;
    d->schema_version = -1;
    d->path = strdup(config->uri);
    if (!d->path
            ? err_nomem(err)
            : parse_uri(d, &synchronous, err) || open_and_set_up(d, config, synchronous, err)) {
        sqlite_close(d);
        return -1;
    }
    log_info("target", "database", d->path, "synchronous", levels[synchronous], "triggers",
             d->triggers ? "on" : "off", "sqlite", sqlite3_libversion(), NULL);
    *traits = (struct driver_traits){
        .inserts = SLICING_ORDERED,
        .updates = SLICING_ORDERED,
        .deletes = SLICING_ORDERED,
        .exact = true,
        .folds_names = true,
        .free_statement = sqlite_free_statement,
    };
    *driver = d;
    return 0;
}

/* ---- transactions ---- */

static int sqlite_reset(struct driver *d, struct driver_traits *traits, struct err *err)
{
    (void)traits;
    d->schema_version = -1; /* what is rolled back has used a version that comes again */
    return sqlite3_get_autocommit(d->db) ? 0 : exec(d, "ROLLBACK", err);
}

/* Before the commit, so that nothing is written into the wrong place; after it, because only then
 * is it known where it went. */
static int sqlite_begin(struct driver *d, struct err *err)
{
    return sqlite_files_check(d, err) || exec(d, "BEGIN IMMEDIATE", err) ? -1 : 0;
}

static int sqlite_commit(struct driver *d, struct err *err)
{
    return exec(d, "COMMIT", err) || sqlite_files_check(d, err) ? -1 : 0;
}

/* ---- our two tables ---- */

/* BEGIN IMMEDIATE has the lock. */
static const struct own_dialect dialect = {"", "", "", "", text_literal, text_bytes};

static int sqlite_recall(struct driver *d, const struct own_key *key, struct own_row *row,
                         bool *found, struct err *err)
{
    struct buf sql = {0};
    sqlite3_stmt *s = NULL;
    *found = false;
    if (!d->have_tables)
        return 0;
    own_select(&dialect, key, false, &sql);
    if (sqlite_prepare(d, &sql, &s, err))
        return -1;
    int rc = sqlite3_step(s);
    *found = rc == SQLITE_ROW;
    for (int i = 0; *found && i < (int)own_columns(key); i++) {
        const void *data = sqlite3_column_blob(s, i); /* of text and numbers as text its bytes */
        own_keep(key, row, (size_t)i, data, (size_t)sqlite3_column_bytes(s, i));
    }
    (void)sqlite3_finalize(s);
    return rc == SQLITE_ROW || rc == SQLITE_DONE ? 0 : sqlite_fail(d, rc, "reading a row", err);
}

static int sqlite_remember(struct driver *d, const struct own_key *key, const struct own_row *row,
                           bool exists, struct err *err)
{
    struct buf sql = {0};
    own_write(&dialect, key, row, exists, &sql);
    return sqlite_run(d, &sql, err);
}

/* ---- looking ---- */

/* The source's triggers have done their work already, and what they changed comes, too. */
static int look_for_triggers(struct driver *d, struct report *report, struct err *err)
{
    struct buf sql = {0};
    sqlite3_stmt *s = NULL;
    int rc;
    buf_append_str(&sql, "SELECT tbl_name, name FROM sqlite_schema WHERE type = 'trigger' ORDER BY "
                         "tbl_name, name");
    if (sqlite_prepare(d, &sql, &s, err))
        return -1;
    while ((rc = sqlite3_step(s)) == SQLITE_ROW) {
        report_note(report, "target: table %s has the trigger %s, which %s what the applier writes",
                    (const char *)sqlite3_column_text(s, 0),
                    (const char *)sqlite3_column_text(s, 1),
                    d->triggers ? "acts on" : "does not fire for");
        report_mend(report, d->triggers
                                ? "drop it if the source has the same: its effect would be repeated"
                                : "--dest sqlite:PATH?triggers=on, if the source does not have it");
    }
    (void)sqlite3_finalize(s);
    return rc == SQLITE_DONE ? 0 : sqlite_fail(d, rc, "looking for triggers", err);
}

/* SQLite makes a journal beside the database: the folder must be writable, too. */
static int sqlite_check(struct driver *d, bool ddl, struct report *report, struct err *err)
{
    (void)ddl;
    bool there = access(d->path, F_OK) == 0;
    report_ok(report, "target: SQLite %s, %s%s", sqlite3_libversion(), d->path,
              there ? "" : ", which will be created");
    if (!folder_is_writable(d->path) || (there && access(d->path, W_OK) != 0)) {
        report_fail(report, "this user may not write to %s and to its folder, or there is none",
                    d->path);
        report_mend(report, "mkdir, chown or chmod");
    }
    return look_for_triggers(d, report, err);
}

const struct driver_ops sqlite_ops = {
    .name = "sqlite",
    .title = "SQLite",
    .uri_help = uri_help,
    .uri_example = "/srv/shop/shop.db",
    DRIVER_OPERATIONS(sqlite),
    .stores = sqlite_stores,
    .read = sqlite_read,
};
