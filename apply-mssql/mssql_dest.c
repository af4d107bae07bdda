/* The driver's operations: opening, transactions, the checkpoint, names and literals. */
#include "mssql_dest.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "base/lsn.h"
#include "mssql_error.h"

#define CHECKPOINT        "[dbo].[" CHECKPOINT_TABLE "]"
#define RELATION          "[dbo].[" RELATION_TABLE "]"
#define OPENJSON_LEVEL    130
#define DURABILITY_FORCED 2 /* sys.databases.delayed_durability */

/* ---- names and literals ---- */

void mssql_quote(struct buf *out, const char *name)
{
    buf_append_byte(out, '[');
    for (; *name; name++) {
        if (*name == ']')
            buf_append_byte(out, ']');
        buf_append_byte(out, (uint8_t)*name);
    }
    buf_append_byte(out, ']');
}

void mssql_literal(struct buf *out, const char *text)
{
    buf_append_str(out, "N'");
    for (; *text; text++) {
        if (*text == '\'')
            buf_append_byte(out, '\'');
        buf_append_byte(out, (uint8_t)*text);
    }
    buf_append_byte(out, '\'');
}

void mssql_bytes_literal(struct buf *out, const void *data, size_t size)
{
    const unsigned char *p = data;
    buf_append_str(out, "0x");
    for (size_t i = 0; i < size; i++)
        buf_printf(out, "%02X", p[i]);
}

/* Reads the name in brackets at `p`; what follows it. */
static const char *unquote(const char *p, char *name, size_t size)
{
    size_t n = 0;
    for (p++; *p && (*p != ']' || p[1] == ']'); p++) {
        if (*p == ']')
            p++;
        if (n + 1 < size)
            name[n++] = *p;
    }
    name[n] = '\0';
    return *p ? p + 1 : p;
}

void mssql_target_split(const char *target, struct target_names *names)
{
    char *parts[] = {names->database, names->schema, names->table};
    *names = (struct target_names){0};
    for (int i = 0; i < 3 && *target; i++) {
        target = unquote(target, parts[i], sizeof names->table);
        if (*target == '.')
            target++;
        else if (i == 1) { /* two names: without a database */
            memcpy(names->table, names->schema, sizeof names->table);
            memcpy(names->schema, names->database, sizeof names->schema);
            names->database[0] = '\0';
        }
    }
}

void mssql_catalog(struct buf *out, const char *target, const char *name)
{
    struct target_names names;
    mssql_target_split(target, &names);
    if (*names.database) {
        mssql_quote(out, names.database);
        buf_append_byte(out, '.');
    }
    buf_printf(out, "sys.%s", name);
}

void mssql_object_id(struct buf *out, const char *target)
{
    buf_append_str(out, "OBJECT_ID(");
    mssql_literal(out, target);
    buf_append_str(out, ", N'U')");
}

/* ---- opening ---- */

/*
 * Everything that changes what a statement does, whatever the server's, the login's and the
 * library's own settings are. READ COMMITTED, so that a commit by an earlier session is seen; the
 * checkpoint's lock keeps others away.
 */
static int set_session(const struct dest *d, struct err *err)
{
    struct buf sql = {0};
    buf_printf(&sql,
               "SET XACT_ABORT, NOCOUNT, QUOTED_IDENTIFIER, ANSI_NULLS, ANSI_PADDING, "
               "ANSI_WARNINGS, ARITHABORT, CONCAT_NULL_YIELDS_NULL ON; SET NUMERIC_ROUNDABORT, "
               "IMPLICIT_TRANSACTIONS, CURSOR_CLOSE_ON_COMMIT OFF; SET LANGUAGE us_english; "
               "SET DATEFORMAT ymd; SET TEXTSIZE 2147483647; SET ROWCOUNT 0; SET LOCK_TIMEOUT "
               "%" PRIu64 "; SET TRANSACTION ISOLATION LEVEL READ COMMITTED",
               d->query_timeout_ms > INT32_MAX ? INT32_MAX : d->query_timeout_ms);
    return mssql_session_run_buf(d->session, &sql, "setting up the session", err);
}

/* What the driver has to know of the server and its database. */
static int ask_server(struct dest *d, struct err *err)
{
    struct buf sql = {0};
    struct mssql_result rows;
    int rc = 0;
    buf_append_str(&sql, "SELECT CONVERT(nvarchar(60), SERVERPROPERTY(N'ProductVersion')), "
                         "CONVERT(int, compatibility_level), CONVERT(int, delayed_durability) FROM "
                         "sys.databases WHERE database_id = DB_ID()");
    if (mssql_session_query(d->session, &sql, &rows, err)) {
        rc = -1;
    } else if (rows.nrows != 1) {
        rc = err_set(err, ERR_PERMANENT, "the server does not describe the database");
    } else if (mssql_result_number(&rows, 0, 2) == DURABILITY_FORCED) {
        (void)err_set(err, ERR_PERMANENT,
                      "the database %s commits before it is durable (DELAYED_DURABILITY = FORCED), "
                      "and what is acknowledged must not be lost",
                      d->uri.base.database);
        rc = err_hint(err, "ALTER DATABASE CURRENT SET DELAYED_DURABILITY = DISABLED");
    } else {
        (void)snprintf(d->version, sizeof d->version, "%s", mssql_result_text(&rows, 0, 0));
        d->rows = mssql_result_number(&rows, 0, 1) >= OPENJSON_LEVEL ? ROWS_JSON : ROWS_VALUES;
    }
    mssql_result_free(&rows);
    return rc;
}

static void disconnect(struct dest *d)
{
    mssql_session_close(d->session);
    d->session = NULL;
    d->identity_open = false;
}

static int connect_session(struct dest *d, struct err *err)
{
    if (mssql_session_open(&d->session, &d->uri, d->connected_once, d->connect_timeout_ms,
                           d->query_timeout_ms, err))
        return -1;
    if (set_session(d, err) == 0 && ask_server(d, err) == 0)
        return 0;
    disconnect(d);
    return -1;
}

/* So that a user who may not create tables can be given them. */
static int look_for_tables(struct dest *d, struct err *err)
{
    struct buf sql = {0};
    struct mssql_result rows;
    buf_append_str(&sql, "SELECT 1 FROM sys.tables WHERE object_id IN (OBJECT_ID(N'" CHECKPOINT
                         "', N'U'), OBJECT_ID(N'" RELATION "', N'U'))");
    int rc = mssql_session_query(d->session, &sql, &rows, err);
    d->have_tables = rows.nrows == 2;
    mssql_result_free(&rows);
    return rc;
}

/* A name of a table is compared as the database compares names. */
static int make_tables(struct dest *d, struct err *err)
{
    return mssql_session_run(
        d->session,
        "BEGIN TRANSACTION; IF OBJECT_ID(N'" CHECKPOINT "', N'U') IS NULL CREATE TABLE " CHECKPOINT
        " (origin nvarchar(255) COLLATE " MSSQL_COLLATION
        " NOT NULL PRIMARY KEY, remote_lsn nvarchar(32) NOT NULL, commit_time nvarchar(64) NULL, "
        "system_identifier nvarchar(64) NOT NULL, timeline bigint NOT NULL); IF OBJECT_ID(N'" RELATION
        "', N'U') IS NULL CREATE TABLE " RELATION " (origin nvarchar(255) COLLATE " MSSQL_COLLATION
        " NOT NULL, relid bigint NOT NULL, target nvarchar(400) NOT NULL, namespace nvarchar(64) "
        "NOT NULL, name nvarchar(64) NOT NULL, frame varbinary(max) NOT NULL, PRIMARY KEY (origin, "
        "relid), UNIQUE NONCLUSTERED (origin, target)); COMMIT TRANSACTION",
        "making the tables of pg2any", err);
}

static void dest_close(struct dest *d)
{
    disconnect(d);
    free(d->careful);
    mssql_batch_free(d->batch);
    mssql_uri_free(&d->uri);
    free(d);
}

static int dest_open(const struct dest_config *config, struct dest **dest, struct err *err)
{
    static const char *const words[] = {"off", "not verified", "verified"};
    struct dest *d = calloc(1, sizeof *d);
    if (!d)
        return err_nomem(err);
    d->schema_map = config->schema_map;
    d->policy = value_policy("SQL Server", config);
    d->connect_timeout_ms = config->connect_timeout_ms;
    d->query_timeout_ms = config->query_timeout_ms;
    d->look_only = config->look_only;
    if (mssql_uri_parse(&d->uri, config->uri, err) || connect_session(d, err) ||
        look_for_tables(d, err) || (!d->have_tables && !d->look_only && make_tables(d, err))) {
        dest_close(d);
        if (err->kind == ERR_RETRY)
            err->kind = ERR_TEMPORARY;
        return err_context(err, "the target");
    }
    d->connected_once = true;
    log_info("target", "server", d->version, "host", d->uri.base.host, "database",
             d->uri.base.database, "tls", words[d->uri.encrypt], "rows",
             d->rows == ROWS_JSON ? "json" : "literals", NULL);
    if (d->uri.encrypt == MSSQL_ENCRYPT_YES)
        log_warning("the connection is encrypted, but anyone may be at the other end", "hint",
                    "encrypt=verify and ca=FILE in --dest", NULL);
    *dest = d;
    return 0;
}

/* ---- transactions ---- */

/* Whether the session is in no transaction. */
static bool is_idle(struct dest *d)
{
    struct buf sql = {0};
    struct mssql_result rows;
    struct err ignored = {0};
    buf_append_str(&sql, "SELECT CONVERT(int, XACT_STATE()), @@TRANCOUNT");
    bool idle = mssql_session_query(d->session, &sql, &rows, &ignored) == 0 && rows.nrows == 1 &&
                mssql_result_number(&rows, 0, 0) == 0 && mssql_result_number(&rows, 0, 1) == 0;
    mssql_result_free(&rows);
    return idle;
}

static int dest_reset(struct dest *d, struct err *err)
{
    struct err ignored = {0};
    if (d->session && !mssql_session_dead(d->session) && !d->identity_open &&
        mssql_session_run(d->session, "IF @@TRANCOUNT > 0 ROLLBACK TRANSACTION", NULL, &ignored) ==
            0 &&
        is_idle(d))
        return 0;
    disconnect(d);
    if (reconnect(&d->reconnect, d, d->connect_timeout_ms, connect_session, err))
        return -1;
    log_info("connected again", "server", d->version, NULL);
    return 0;
}

static int dest_begin(struct dest *d, struct err *err)
{
    return mssql_session_run(d->session, "BEGIN TRANSACTION", NULL, err);
}

static void append_time(struct buf *sql, int64_t time_us)
{
    char time[PG_TIME_TEXT_SIZE];
    if (time_us)
        mssql_literal(sql, pg_time_text(time, time_us));
    else
        buf_append_str(sql, "NULL");
}

/* Where the transaction is gone, nothing must be written outside it; COMMIT then fails. */
static int put_checkpoint(struct dest *d, const char *origin, const struct checkpoint *c,
                          struct err *err)
{
    struct buf sql = {0};
    buf_printf(&sql,
               "IF @@TRANCOUNT = 1 BEGIN UPDATE " CHECKPOINT
               " SET remote_lsn = N'%s', commit_time = ",
               LSN(c->remote_lsn));
    append_time(&sql, c->commit_time_us);
    buf_append_str(&sql, ", system_identifier = ");
    mssql_literal(&sql, c->system_identifier);
    buf_printf(&sql, ", timeline = %" PRIu32 " WHERE origin = ", c->timeline);
    mssql_literal(&sql, origin);
    buf_append_str(&sql,
                   "; IF @@ROWCOUNT = 0 INSERT INTO " CHECKPOINT
                   " (origin, remote_lsn, commit_time, system_identifier, timeline) VALUES (");
    mssql_literal(&sql, origin);
    buf_printf(&sql, ", N'%s', ", LSN(c->remote_lsn));
    append_time(&sql, c->commit_time_us);
    buf_append_str(&sql, ", ");
    mssql_literal(&sql, c->system_identifier);
    buf_printf(&sql, ", %" PRIu32 ") END", c->timeline);
    return mssql_session_run_buf(d->session, &sql, "writing the checkpoint", err);
}

static int dest_commit(struct dest *d, const char *origin, const struct checkpoint *checkpoint,
                       struct err *err)
{
    if (put_checkpoint(d, origin, checkpoint, err) ||
        mssql_session_run(d->session, "COMMIT TRANSACTION", NULL, err))
        return -1;
    free(d->careful);
    d->careful = NULL;
    return 0;
}

static int read_checkpoint(const struct mssql_result *rows, struct checkpoint *out, struct err *err)
{
    const char *lsn = mssql_result_text(rows, 0, 0), *time = mssql_result_text(rows, 0, 1),
               *system = mssql_result_text(rows, 0, 2);
    out->commit_time_us = 0;
    if (!lsn_parse(lsn, strlen(lsn), &out->remote_lsn) ||
        strlen(system) >= sizeof out->system_identifier ||
        (*time && !pg_time_parse(time, &out->commit_time_us)) ||
        mssql_result_number(rows, 0, 3) < 0)
        return err_set(err, ERR_PERMANENT,
                       CHECKPOINT_TABLE " holds something that is not a checkpoint");
    memcpy(out->system_identifier, system, strlen(system) + 1);
    out->timeline = (uint32_t)mssql_result_number(rows, 0, 3);
    return 0;
}

/*
 * UPDLOCK, HOLDLOCK: a predecessor that was killed may have sent its COMMIT, which the server has
 * not come to yet. The lock on the row, or on where it would be, waits for that, also where the
 * database reads row versions.
 */
static int dest_checkpoint_get(struct dest *d, const char *origin, struct checkpoint *out,
                               bool *found, struct err *err)
{
    struct buf sql = {0};
    struct mssql_result rows;
    *found = false;
    if (d->look_only && !d->have_tables)
        return 0;
    buf_printf(&sql,
               "SELECT remote_lsn, commit_time, system_identifier, timeline FROM " CHECKPOINT
               "%s WHERE origin = ",
               d->look_only ? "" : " WITH (UPDLOCK, HOLDLOCK, ROWLOCK)");
    mssql_literal(&sql, origin);
    int rc = mssql_session_query(d->session, &sql, &rows, err);
    *found = rows.nrows > 0;
    if (rc == 0 && *found)
        rc = read_checkpoint(&rows, out, err);
    mssql_result_free(&rows);
    return rc ? err_context(err, "reading the checkpoint") : 0;
}

static int dest_checkpoint_drop(struct dest *d, const char *origin, struct err *err)
{
    struct buf sql = {0};
    buf_append_str(&sql, "DELETE FROM " CHECKPOINT " WHERE origin = ");
    mssql_literal(&sql, origin);
    buf_append_str(&sql, "; DELETE FROM " RELATION " WHERE origin = ");
    mssql_literal(&sql, origin);
    return mssql_session_run_buf(d->session, &sql, "dropping the checkpoint", err) ||
                   mssql_session_run(d->session, "COMMIT TRANSACTION", NULL, err)
               ? -1
               : 0;
}

const struct dest_ops mssql_dest_ops = {
    .name = "mssql",
    .uri_help = "sqlserver://user:password@host:port/database?encrypt=no|yes|verify&ca=FILE&"
                "instance=NAME",
    .open = dest_open,
    .close = dest_close,
    .reset = dest_reset,
    .checkpoint_get = dest_checkpoint_get,
    .checkpoint_drop = dest_checkpoint_drop,
    .check = mssql_check,
    .caveat = mssql_caveat,
    .begin = dest_begin,
    .commit = dest_commit,
    .target_name = mssql_target_name,
    .relation_get = mssql_relation_get,
    .relation_put = mssql_relation_put,
    .table_exists = mssql_table_exists,
    .table_empty = mssql_table_empty,
    .table_create = mssql_table_create,
    .table_rename = mssql_table_rename,
    .column_exists = mssql_column_exists,
    .column_add = mssql_column_add,
    .column_drop = mssql_column_drop,
    .column_rename = mssql_column_rename,
    .column_same_type = mssql_column_same_type,
    .column_widen = mssql_column_widen,
    .table_open = mssql_table_open,
    .table_close = mssql_table_close,
    .apply = mssql_apply,
    .truncate = mssql_truncate,
};
