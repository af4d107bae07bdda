/* The driver's operations: opening, transactions, our own tables; names and literals. */
#include "mssql_driver.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "base/option_name.h"

#define OWN_PREFIX "[dbo]."
#define CHECKPOINT OWN_PREFIX "[" CHECKPOINT_TABLE "]"
#define RELATION   OWN_PREFIX "[" RELATION_TABLE "]"

/* ---- names and literals ---- */

void mssql_quote(struct buf *out, const char *name)
{
    text_quote(out, name, '[', ']');
}

static void append_text(struct buf *out, const char *text, size_t size)
{
    const char *end = text + size;
    buf_append_str(out, "N'");
    for (const char *p = text; p < end; p++)
        if (*p == '\'' || *p == '\\')
            mssql_escape(out, p, end);
        else
            buf_append_byte(out, (uint8_t)*p);
    buf_append_byte(out, '\'');
}

static void append_bytes(struct buf *out, const void *data, size_t size)
{
    buf_append_str(out, "0x");
    text_hex(out, data, size);
}

void mssql_literal(struct buf *out, const char *text)
{
    append_text(out, text, strlen(text));
}

void mssql_split(const char *table, struct mssql_names *names)
{
    const char *end = text_unquote(table, '[', ']', names->schema, sizeof names->schema);
    if (*end != '.')
        BUG("a table's name without a schema");
    end = text_unquote(end + 1, '[', ']', names->table, sizeof names->table);
    names->database[0] = '\0';
    if (!*end)
        return;
    memcpy(names->database, names->schema, sizeof names->database);
    memcpy(names->schema, names->table, sizeof names->schema);
    (void)text_unquote(end + 1, '[', ']', names->table, sizeof names->table);
}

static bool starts(const char *text, const char *with)
{
    return strncmp(text, with, strlen(with)) == 0;
}

void mssql_append_about(struct buf *out, const char *table, const char *sql)
{
    struct mssql_names names;
    mssql_split(table, &names);
    const struct {
        const char *word, *before, *text, *after;
    } words[] = {
        {"@id", "OBJECT_ID(", table, ", N'U')"},
        {"@name", "", table, ""},
        {"@schema", "", names.schema, ""},
    };
    while (*sql) {
        if (starts(sql, "sys.") && *names.database) {
            mssql_quote(out, names.database);
            buf_append_byte(out, '.');
        }
        size_t i = 0, n = sizeof words / sizeof *words;
        while (i < n && !starts(sql, words[i].word))
            i++;
        if (i == n) {
            buf_append_byte(out, (uint8_t)*sql++);
            continue;
        }
        buf_append_str(out, words[i].before);
        mssql_literal(out, words[i].text);
        buf_append_str(out, words[i].after);
        sql += strlen(words[i].word);
    }
}

/* ---- opening ---- */

/* So that a user who may not create tables can be given them. */
static int look_for_tables(struct driver *d, struct err *err)
{
    struct mssql_result rows;
    int rc = mssql_ask(d,
                       "SELECT 1 FROM sys.tables WHERE object_id IN (OBJECT_ID(N'" CHECKPOINT
                       "', N'U'), OBJECT_ID(N'" RELATION "', N'U'))",
                       &rows, err);
    d->have_tables = rows.nrows == 2;
    mssql_result_free(&rows);
    return rc;
}

/* A name of a table is compared as the database compares names. */
static int make_tables(struct driver *d, struct err *err)
{
    d->have_tables = true;
    int rc = mssql_run(
        d,
        "BEGIN TRANSACTION; IF OBJECT_ID(N'" CHECKPOINT "', N'U') IS NULL CREATE TABLE " CHECKPOINT
        " (origin nvarchar(255) COLLATE " MSSQL_COLLATION
        " NOT NULL PRIMARY KEY, remote_lsn nvarchar(32) NOT NULL, commit_time nvarchar(64) NULL, "
        "system_identifier nvarchar(64) NOT NULL, timeline bigint NOT NULL); IF OBJECT_ID(N'" RELATION
        "', N'U') IS NULL CREATE TABLE " RELATION " (origin nvarchar(255) COLLATE " MSSQL_COLLATION
        " NOT NULL, relid bigint NOT NULL, target nvarchar(400) NOT NULL, namespace nvarchar(64) "
        "NOT NULL, name nvarchar(64) NOT NULL, frame varbinary(max) NOT NULL, PRIMARY KEY (origin, "
        "relid), UNIQUE NONCLUSTERED (origin, target)); COMMIT TRANSACTION",
        err);
    return rc ? err_context(err, "making the tables of pg2any") : 0;
}

static void mssql_close(struct driver *d)
{
    mssql_disconnect(d);
    buf_free(&d->values);
    buf_free(&d->around);
    mssql_uri_free(&d->uri);
    free(d);
}

static void describe_driver(const struct driver *d, struct driver_traits *traits)
{
    *traits = (struct driver_traits){
        .inserts = SLICING_SET,
        .updates = SLICING_SET,
        .deletes = SLICING_SET,
        .slice_bytes = UINT64_C(4) << 20,
        .widens = true,
        .errors_end = true,
        .folds_names = d->folds_names,
        .merges_times = policy_merges(&d->policy),
        .free_statement = mssql_statement_free,
    };
}

static int mssql_open(const struct driver_config *config, struct driver **driver,
                      struct driver_traits *out, struct err *err)
{
    static const char *const words[] = {"off", "not verified", "verified"};
    struct driver *d = calloc(1, sizeof *d);
    if (!d)
        return err_nomem(err);
    d->config = *config;
    d->config.uri = NULL;
    d->locks = !config->look_only;
    d->policy = value_policy(mssql_driver_ops.title, config);
    if (mssql_uri_parse(&d->uri, config->uri, err) || mssql_connect(d, err) ||
        look_for_tables(d, err) || (!d->have_tables && !config->look_only && make_tables(d, err))) {
        mssql_close(d);
        if (err->kind == ERR_RETRY)
            err->kind = ERR_TEMPORARY;
        return err_context(err, "the target");
    }
    log_info("target", "server", d->version, "host", d->uri.base.host, "database",
             d->uri.base.database, "tls", words[d->uri.encrypt], "rows",
             d->rows == ROWS_JSON ? "json" : "literals", NULL);
    if (d->uri.encrypt == MSSQL_ENCRYPT_YES)
        log_warning("the connection is encrypted, but anyone may be at the other end", "hint",
                    OPTION_TEXT("encrypt=verify and ca=FILE in --dest"), NULL);
    describe_driver(d, out);
    *driver = d;
    return 0;
}

/* ---- transactions ---- */

/* Whether the session is in no transaction. */
static bool is_idle(struct driver *d)
{
    struct mssql_result rows;
    struct err ignored = {0};
    bool idle =
        mssql_ask(d, "SELECT CONVERT(int, XACT_STATE()), @@TRANCOUNT", &rows, &ignored) == 0 &&
        rows.nrows == 1 && mssql_result_number(&rows, 0, 0) == 0 &&
        mssql_result_number(&rows, 0, 1) == 0;
    mssql_result_free(&rows);
    return idle;
}

static int mssql_reset(struct driver *d, struct driver_traits *out, struct err *err)
{
    struct err ignored = {0};
    if (!mssql_is_lost(d) && !d->autonumber_open &&
        mssql_run(d, "IF @@TRANCOUNT > 0 ROLLBACK TRANSACTION", &ignored) == 0 && is_idle(d))
        return 0;
    mssql_disconnect(d);
    if (reconnect(&d->reconnect, d, d->config.connect_timeout_ms, mssql_connect, err))
        return -1;
    describe_driver(d, out);
    log_info("connected again", "server", d->version, NULL);
    return 0;
}

static int mssql_begin(struct driver *d, struct err *err)
{
    return mssql_run(d, "BEGIN TRANSACTION", err);
}

static int mssql_commit(struct driver *d, struct err *err)
{
    return mssql_run(d, "COMMIT TRANSACTION", err);
}

/* ---- our own tables ---- */

/*
 * UPDLOCK, HOLDLOCK: the lock on the row, or on where it would be, waits for a COMMIT of a
 * predecessor that the server has not come to yet, also where the database reads row versions.
 */
static const struct own_dialect dialect = {
    .prefix = OWN_PREFIX,
    .lock_hint = " WITH (UPDLOCK, HOLDLOCK, ROWLOCK)",
    .lock_end = "",
    .guard = IN_TRANSACTION,
    .text = append_text,
    .bytes = append_bytes,
};

static int mssql_recall(struct driver *d, const struct own_key *key, struct own_row *row,
                        bool *found, struct err *err)
{
    struct buf sql = {0};
    struct mssql_result rows;
    *found = false;
    if (!d->have_tables)
        return 0;
    own_select(&dialect, key, key->table == OWN_CHECKPOINT && d->locks, &sql);
    int rc = mssql_ask_buf(d, &sql, &rows, err);
    *found = rc == 0 && rows.nrows > 0;
    for (size_t i = 0; *found && i < own_columns(key); i++)
        own_keep(key, row, i, rows.values[i], rows.sizes[i]);
    mssql_result_free(&rows);
    return rc;
}

static int mssql_remember(struct driver *d, const struct own_key *key, const struct own_row *row,
                          bool exists, struct err *err)
{
    struct buf sql = {0};
    own_write(&dialect, key, row, exists, &sql);
    return mssql_run_buf(d, &sql, err);
}

const struct driver_ops mssql_driver_ops = {
    .name = "mssql",
    .title = "SQL Server",
    .uri_help = "sqlserver://user:password@host:port/database?encrypt=no|yes|verify&ca=FILE&"
                "instance=NAME",
    .uri_example = "sqlserver://cdc:secret@db.example/shop?encrypt=verify",
    DRIVER_OPERATIONS(mssql),
    .stores = mssql_stores,
    .read = mssql_read,
};
