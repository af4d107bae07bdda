/*
 * The connection, through FreeTDS's db-lib: logging in, running statements, and telling truly what
 * became of them.
 *
 * db-lib's return codes are not believed: a statement has failed when the server sent an error
 * (severity above 10), when the library reported one, or when the connection is dead afterwards.
 * Its handlers, login time and interface file are global to the process, so there is one connection
 * at a time.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <sybfront.h>

#include "mssql_driver.h"

#define SERVER_NAME       "pg2any" /* the section of our freetds.conf */
#define TMP_BYTES         100      /* of TMPDIR: what is longer would not fit into a line of it */
#define PACKET_BYTES      16384    /* FreeTDS takes up to 32,767, and 16,384 works everywhere */
#define PATIENCE_S        3600     /* for changing a table, which may mean writing it anew */
#define SEVERITY_OK       10       /* above: an error ("Database Engine error severities") */
#define SYBNTEXT_PARAM    99       /* sent as ntext: any length, and nothing is cut */
#define OPENJSON_LEVEL    130
#define DURABILITY_FORCED 2 /* sys.databases.delayed_durability */

/* ---- what is said of a statement ---- */

/* Whom the handlers tell: db-lib calls them with a DBPROCESS that may not exist yet. */
static struct mssql_complaints *listening;

static int on_message(DBPROCESS *db, DBINT number, int state, int severity, char *text,
                      char *server, char *procedure, int line)
{
    (void)db, (void)server, (void)procedure, (void)line;
    struct mssql_complaints *c = listening;
    if (severity <= SEVERITY_OK || !c || c->number)
        return 0;
    c->number = number;
    c->state = state;
    (void)snprintf(c->message, sizeof c->message, "%s", text ? text : "");
    return 0;
}

/* INT_CANCEL: the function fails; after a timeout the connection is closed, which is the only way
 * that ends the waiting. */
static int on_error(DBPROCESS *db, int severity, int number, int os_number, char *text,
                    char *os_text)
{
    (void)db, (void)severity;
    struct mssql_complaints *c = listening;
    if (!c)
        return INT_CANCEL;
    c->timed_out = c->timed_out || number == SYBETIME;
    /* "Check messages from the SQL Server" says nothing. */
    if (c->library || number == SYBESMSG)
        return INT_CANCEL;
    bool os = os_number > 0 && os_text && *os_text;
    c->library = number;
    (void)snprintf(c->library_message, sizeof c->library_message, "%s%s%s", text ? text : "",
                   os ? ": " : "", os ? os_text : "");
    return INT_CANCEL;
}

static void listen_for(struct driver *d)
{
    d->complaints = (struct mssql_complaints){0};
    listening = &d->complaints;
}

static int lost(const char *what, struct err *err)
{
    return err_set(err, ERR_RETRY, "%.200s: the connection is lost", what);
}

/* What became of the statement; `failed`: db-lib's functions said that they did. */
static int outcome(struct driver *d, bool failed, const char *what, struct err *err)
{
    const struct mssql_complaints *c = &d->complaints;
    bool dead = mssql_is_lost(d);
    listening = NULL;
    if (c->number) {
        (void)mssql_error_set(err, c->number, c->state, c->message, what);
        if (dead && err->kind == ERR_PERMANENT)
            err->kind = ERR_RETRY; /* an error that ends the session is not of the statement */
        return -1;
    }
    if (c->timed_out) {
        (void)err_set(err, ERR_RETRY, "%.200s: no answer in %d s", what, d->query_s);
        return err_hint(err, "--query-timeout says how long to wait");
    }
    if (c->library)
        return err_set(err, ERR_RETRY, "%.200s: %s (db-lib %d)", what, c->library_message,
                       c->library);
    return failed || dead ? lost(what, err) : 0;
}

bool mssql_is_lost(const struct driver *d)
{
    return !d->db || DBDEAD(d->db);
}

/* ---- results ---- */

#define MOST_FAILURES 100 /* of one batch */

static int add_row(struct driver *d, struct mssql_result *r, size_t *cap, struct err *err)
{
    size_t at = r->nrows * r->ncolumns;
    if (at + r->ncolumns > *cap) {
        *cap = *cap ? *cap * 2 : 8 * r->ncolumns;
        char **values = realloc(r->values, *cap * sizeof *values);
        r->values = values ? values : r->values;
        size_t *sizes = realloc(r->sizes, *cap * sizeof *sizes);
        r->sizes = sizes ? sizes : r->sizes;
        if (!values || !sizes)
            return err_nomem(err);
    }
    memset(r->values + at, 0, r->ncolumns * sizeof *r->values);
    r->nrows++;
    for (size_t i = 0; i < r->ncolumns; i++) {
        const BYTE *data = dbdata(d->db, (int)i + 1);
        DBINT size = dbdatlen(d->db, (int)i + 1);
        int type = dbcoltype(d->db, (int)i + 1);
        char number[32];
        if (!data)
            continue;
        if (type == SYBINT1 || type == SYBINT2 || type == SYBINT4 || type == SYBINT8 ||
            type == SYBBIT) {
            DBBIGINT n = 0;
            (void)dbconvert(d->db, type, data, size, SYBINT8, (BYTE *)&n, sizeof n);
            size = snprintf(number, sizeof number, "%" PRId64, (int64_t)n);
            data = (const BYTE *)number;
        }
        char *value = malloc((size_t)size + 1);
        if (!value)
            return err_nomem(err);
        if (size > 0)
            memcpy(value, data, (size_t)size);
        value[size] = '\0';
        r->values[at + i] = value;
        r->sizes[at + i] = (size_t)size;
    }
    return 0;
}

/* Reads all that the server sends; the rows of the first result that has columns. */
static int drain(struct driver *d, struct mssql_result *r, bool *failed, struct err *err)
{
    RETCODE rc;
    size_t cap = 0;
    int status = 0;
    bool taken = false;
    unsigned failures = 0;
    /* Statements of a batch may fail one after the other. But db-lib may also fail for ever,
     * without an end of the results (FreeTDS 1.3, where there was no memory for one). */
    while (failures < MOST_FAILURES && (rc = dbresults(d->db)) != NO_MORE_RESULTS &&
           !mssql_is_lost(d)) {
        if (rc == FAIL) {
            *failed = true;
            failures++;
        }
        bool take = r && !taken && rc == SUCCEED && dbnumcols(d->db) > 0;
        if (take)
            r->ncolumns = (size_t)dbnumcols(d->db);
        while ((rc = dbnextrow(d->db)) != NO_MORE_ROWS && rc != FAIL && !mssql_is_lost(d))
            if (take && status == 0)
                status = add_row(d, r, &cap, err);
        taken = taken || take;
        if (rc == FAIL) {
            *failed = true;
            break;
        }
    }
    return status;
}

void mssql_result_free(struct mssql_result *r)
{
    for (size_t i = 0; i < r->nrows * r->ncolumns; i++)
        free(r->values[i]);
    free(r->values);
    free(r->sizes);
    *r = (struct mssql_result){0};
}

const char *mssql_result_text(const struct mssql_result *r, size_t row, size_t column)
{
    const char *data = r->values[row * r->ncolumns + column];
    return data ? data : "";
}

int64_t mssql_result_number(const struct mssql_result *r, size_t row, size_t column)
{
    const char *data = r->values[row * r->ncolumns + column];
    return data ? strtoll(data, NULL, 10) : -1;
}

/* ---- statements ---- */

/* Takes the answer to what was sent; `failed`: db-lib says that it was not. */
static int finish(struct driver *d, bool failed, const char *what, struct mssql_result *rows,
                  struct err *err)
{
    struct err memory = {0};
    int rc = mssql_is_lost(d) ? 0 : drain(d, rows, &failed, &memory);
    if (outcome(d, failed, what, err))
        return -1;
    if (rc)
        *err = memory;
    return rc;
}

/* A batch of statements; its rows where `rows` is not NULL. */
static int batch(struct driver *d, const char *sql, const char *what, struct mssql_result *rows,
                 struct err *err)
{
    if (rows)
        *rows = (struct mssql_result){0};
    if (mssql_is_lost(d))
        return lost(what, err);
    listen_for(d);
    dbfreebuf(d->db);
    bool failed = dbcmd(d->db, sql) == FAIL || dbsqlexec(d->db) == FAIL;
    return finish(d, failed, what, rows, err);
}

int mssql_run(struct driver *d, const char *sql, struct err *err)
{
    return batch(d, sql, sql, NULL, err);
}

int mssql_ask(struct driver *d, const char *sql, struct mssql_result *rows, struct err *err)
{
    return batch(d, sql, sql, rows, err);
}

int mssql_each_row(struct driver *d, const char *sql, mssql_row_fn *fn, void *ctx, struct err *err)
{
    static const char what[] = "reading the rows";
    RETCODE rc = SUCCEED;
    if (mssql_is_lost(d))
        return lost(what, err);
    listen_for(d);
    dbfreebuf(d->db);
    bool failed = dbcmd(d->db, sql) == FAIL || dbsqlexec(d->db) == FAIL || dbresults(d->db) == FAIL;
    while (!failed && (rc = dbnextrow(d->db)) != NO_MORE_ROWS) {
        failed = rc == FAIL || mssql_is_lost(d);
        if (!failed && fn(ctx, d->db, err)) {
            (void)dbcancel(d->db);
            listening = NULL;
            return -1;
        }
    }
    return finish(d, failed, what, NULL, err);
}

int mssql_run_buf(struct driver *d, struct buf *sql, struct err *err)
{
    return text_run(d, sql, mssql_run, err);
}

static void be_patient(const struct driver *d, bool patient)
{
    (void)dbsettime(patient && d->query_s < PATIENCE_S ? PATIENCE_S : d->query_s);
}

int mssql_run_patiently(struct driver *d, struct buf *sql, struct err *err)
{
    be_patient(d, true);
    int rc = mssql_run_buf(d, sql, err);
    be_patient(d, false);
    return rc;
}

int mssql_ask_buf(struct driver *d, struct buf *sql, struct mssql_result *rows, struct err *err)
{
    *rows = (struct mssql_result){0};
    int rc = buf_check(sql, err);
    if (rc == 0)
        rc = mssql_ask(d, buf_cstr(sql), rows, err);
    buf_free(sql);
    return rc;
}

int mssql_finds(struct driver *d, struct buf *sql, bool *found, struct err *err)
{
    struct mssql_result rows;
    int rc = mssql_ask_buf(d, sql, &rows, err);
    *found = rows.nrows > 0;
    mssql_result_free(&rows);
    return rc;
}

static bool parameter(struct driver *d, const char *name, const void *data, size_t size)
{
    /* db-lib only reads it. */
    return dbrpcparam(d->db, name, 0, SYBNTEXT_PARAM, -1, (DBINT)size, (BYTE *)(uintptr_t)data) ==
           SUCCEED;
}

static bool send_call(struct driver *d, const struct buf *statement, const struct buf *json,
                      DBINT *n)
{
    static const char with_json[] = "@j nvarchar(max), @n int output", without[] = "@n int output";
    const char *declaration = json ? with_json : without;
    return dbrpcinit(d->db, "sp_executesql", 0) == SUCCEED &&
           parameter(d, "@stmt", statement->data, statement->len) &&
           parameter(d, "@params", declaration, strlen(declaration)) &&
           (!json || parameter(d, "@j", json->data, json->len)) &&
           dbrpcparam(d->db, "@n", DBRPCRETURN, SYBINT4, -1, -1, (BYTE *)n) == SUCCEED &&
           dbrpcsend(d->db) == SUCCEED && dbsqlok(d->db) == SUCCEED;
}

int mssql_call(struct driver *d, const struct buf *statement, const struct buf *json, int64_t *n,
               struct err *err)
{
    static const char what[] = "executing a statement";
    DBINT count = -1;
    if (buf_check(statement, err) || (json && buf_check(json, err)))
        return -1;
    if ((json ? json->len : 0) > INT32_MAX || statement->len > INT32_MAX)
        return err_set(err, ERR_PERMANENT, "a row of more than 2 GB");
    if (mssql_is_lost(d))
        return lost(what, err);
    listen_for(d);
    if (finish(d, !send_call(d, statement, json, &count), what, NULL, err))
        return -1;
    const BYTE *data = dbnumrets(d->db) == 1 ? dbretdata(d->db, 1) : NULL;
    if (!data || dbrettype(d->db, 1) != SYBINT4)
        return err_set(err, ERR_RETRY, "%s: the answer lacks the number of rows", what);
    memcpy(&count, data, sizeof count);
    *n = count;
    return 0;
}

/* ---- connecting ---- */

#define TMP_BYTES 100 /* of TMPDIR: what is longer would not fit into a line of freetds.conf */

struct private_files {
    char dir[TMP_BYTES + 20];
    char conf[TMP_BYTES + 40], ca[TMP_BYTES + 40];
};

static void remove_files(struct private_files *f)
{
    if (f->conf[0])
        (void)unlink(f->conf);
    if (f->ca[0])
        (void)unlink(f->ca);
    if (f->dir[0])
        (void)rmdir(f->dir);
}

/*
 * TLS is configured by a file only (FreeTDS User Guide, "The freetds.conf File"). Everything else
 * is there too, so that no freetds.conf of the user has a say. The CA's path is hidden behind a
 * short name, because the file takes no long lines, no '#' and no two blanks.
 */
static int write_configuration(struct private_files *f, const struct mssql_uri *u, int connect_s,
                               struct err *err)
{
    const char *tmp = getenv("TMPDIR");
    if (!tmp || !*tmp || strlen(tmp) > TMP_BYTES)
        tmp = "/tmp";
    (void)snprintf(f->dir, sizeof f->dir, "%s/pg2any-XXXXXX", tmp);
    if (!mkdtemp(f->dir)) {
        (void)err_errno(err, ERR_TEMPORARY, "cannot make a directory in %s", tmp);
        f->dir[0] = '\0';
        return -1;
    }
    (void)snprintf(f->conf, sizeof f->conf, "%s/freetds.conf", f->dir);
    FILE *out = fopen(f->conf, "wxe"); /* mkdtemp's directory is 0700 */
    if (!out)
        return err_errno(err, ERR_TEMPORARY, "cannot write %s", f->conf);
    (void)fchmod(fileno(out), 0600);
    (void)fprintf(out, "[" SERVER_NAME "]\nhost = %s\n", u->base.host);
    if (u->instance)
        (void)fprintf(out, "instance = %s\n", u->instance);
    else
        (void)fprintf(out, "port = %u\n", u->base.port);
    (void)fprintf(out,
                  "tds version = 7.4\nclient charset = UTF-8\n"
                  "connect timeout = %d\nencryption = %s\n",
                  connect_s, u->encrypt == MSSQL_ENCRYPT_NO ? "off" : "require");
    if (u->encrypt == MSSQL_ENCRYPT_VERIFY) {
        char *real = u->ca ? realpath(u->ca, NULL) : NULL;
        (void)snprintf(f->ca, sizeof f->ca, "%s/ca.pem", f->dir);
        if (real && symlink(real, f->ca) == 0)
            (void)fprintf(out, "ca file = %s\n", f->ca);
        else
            (void)fprintf(out, "ca file = system\n");
        free(real);
        (void)fprintf(out, "check certificate hostname = yes\n");
    }
    bool failed = ferror(out);
    failed = fclose(out) != 0 || failed;
    return failed ? err_errno(err, ERR_TEMPORARY, "cannot write %s", f->conf) : 0;
}

static LOGINREC *login_record(const struct mssql_uri *u)
{
    LOGINREC *login = dblogin();
    if (!login)
        return NULL;
    /* The version is not negotiated: after a failed prelogin FreeTDS would go on in the clear. */
    if (DBSETLUSER(login, u->base.user) == SUCCEED &&
        (!u->base.password || DBSETLPWD(login, u->base.password) == SUCCEED) &&
        DBSETLDBNAME(login, u->base.database) == SUCCEED && DBSETLAPP(login, "pg2any") == SUCCEED &&
        DBSETLCHARSET(login, "UTF-8") == SUCCEED && dbsetlversion(login, DBVERSION_74) == SUCCEED &&
        DBSETLPACKET(login, PACKET_BYTES) == SUCCEED)
        return login;
    dbloginfree(login);
    return NULL;
}

/* Why dbopen() failed: db-lib has one error for a server that is not there and for a certificate
 * that is not the CA's. */
static int login_failed(const struct driver *d, struct err *err)
{
    const struct mssql_complaints *c = &d->complaints;
    const char *host = d->uri.base.host;
    if (c->number) {
        (void)mssql_error_set(err, c->number, c->state, c->message, "connecting");
        if (d->connected_once && c->number == MSSQL_CANNOT_OPEN_DATABASE)
            err->kind = ERR_TEMPORARY;
        return -1;
    }
    (void)err_set(err, ERR_TEMPORARY, "connecting to %s: %s", host,
                  c->library ? c->library_message : "no reason given");
    if (d->uri.encrypt == MSSQL_ENCRYPT_VERIFY)
        return err_hint(
            err,
            "the server cannot be reached, or its certificate is not signed by the CA, or does not "
            "name %s",
            host);
    return err_hint(err, "the server cannot be reached, or %s",
                    d->uri.encrypt == MSSQL_ENCRYPT_YES ? "it has no TLS, which encrypt=no is for"
                                                        : "it insists on TLS");
}

static int log_in(struct driver *d, struct err *err)
{
    struct private_files files = {0};
    int connect_s = (int)config_seconds(d->config.connect_timeout_ms);
    LOGINREC *login = login_record(&d->uri);
    if (!login)
        return err_nomem(err);
    int rc = write_configuration(&files, &d->uri, connect_s, err);
    if (rc == 0) {
        dbsetifile(files.conf);
        (void)dbsetlogintime(connect_s);
        listen_for(d);
        d->db = dbopen(login, SERVER_NAME);
        listening = NULL;
        rc = d->db && !d->complaints.number ? 0 : login_failed(d, err);
    }
    remove_files(&files);
    dbloginfree(login);
    return rc;
}

static int start_library(struct err *err)
{
    static bool started;
    if (started)
        return 0;
    /* A variable of the environment would win over --dest. */
    (void)unsetenv("TDSVER");
    (void)unsetenv("TDSPORT");
    (void)unsetenv("TDSHOST");
    if (dbinit() == FAIL)
        return err_nomem(err);
    (void)dbmsghandle(on_message);
    (void)dberrhandle(on_error);
    started = true;
    return 0;
}

/*
 * Everything that changes what a statement does, whatever the server's, the login's and the
 * library's own settings are. READ COMMITTED, so that a commit by an earlier session is seen; the
 * checkpoint's lock keeps others away.
 */
static int set_session(struct driver *d, struct err *err)
{
    struct buf sql = {0};
    uint64_t lock_ms = d->config.query_timeout_ms;
    buf_printf(&sql,
               "SET XACT_ABORT, NOCOUNT, QUOTED_IDENTIFIER, ANSI_NULLS, ANSI_PADDING, "
               "ANSI_WARNINGS, ARITHABORT, CONCAT_NULL_YIELDS_NULL ON; SET NUMERIC_ROUNDABORT, "
               "IMPLICIT_TRANSACTIONS, CURSOR_CLOSE_ON_COMMIT OFF; SET LANGUAGE us_english; "
               "SET DATEFORMAT ymd; SET TEXTSIZE 2147483647; SET ROWCOUNT 0; SET LOCK_TIMEOUT "
               "%" PRIu64 "; SET TRANSACTION ISOLATION LEVEL READ COMMITTED",
               lock_ms > INT32_MAX ? INT32_MAX : lock_ms);
    return mssql_run_buf(d, &sql, err) ? err_context(err, "setting up the session") : 0;
}

/* What the driver has to know of the server and its database. */
static int ask_server(struct driver *d, struct err *err)
{
    struct mssql_result rows;
    int rc = mssql_ask(
        d,
        "SELECT CONVERT(nvarchar(60), SERVERPROPERTY(N'ProductVersion')), "
        "CONVERT(int, compatibility_level), CONVERT(int, delayed_durability), CASE "
        "WHEN N'a' = N'A' THEN 1 ELSE 0 END FROM sys.databases WHERE database_id = DB_ID()",
        &rows, err);
    if (rc == 0 && rows.nrows != 1) {
        rc = err_set(err, ERR_PERMANENT, "the server does not describe the database");
    } else if (rc == 0 && mssql_result_number(&rows, 0, 2) == DURABILITY_FORCED) {
        (void)err_set(err, ERR_PERMANENT,
                      "the database %s commits before it is durable (DELAYED_DURABILITY = FORCED), "
                      "and what is acknowledged must not be lost",
                      d->uri.base.database);
        rc = err_hint(err, "ALTER DATABASE CURRENT SET DELAYED_DURABILITY = DISABLED");
    } else if (rc == 0) {
        (void)snprintf(d->version, sizeof d->version, "%s", mssql_result_text(&rows, 0, 0));
        d->folds_names = mssql_result_number(&rows, 0, 3) == 1;
        d->rows = mssql_result_number(&rows, 0, 1) >= OPENJSON_LEVEL ? ROWS_JSON : ROWS_VALUES;
    }
    mssql_result_free(&rows);
    return rc;
}

int mssql_connect(struct driver *d, struct err *err)
{
    if (d->uri.ca && access(d->uri.ca, R_OK) != 0)
        return err_errno(err, ERR_PERMANENT, "--dest: ca=%s", d->uri.ca);
    /* The server gives up a lock after the query timeout; its answer has to arrive. */
    d->query_s = (int)config_seconds(d->config.query_timeout_ms) + 1;
    int rc = start_library(err) || log_in(d, err) ? -1 : 0;
    if (rc == 0) {
        be_patient(d, false);
        rc = set_session(d, err) || ask_server(d, err) ? -1 : 0;
    }
    if (rc)
        mssql_disconnect(d);
    d->connected_once = d->connected_once || rc == 0;
    return rc;
}

void mssql_disconnect(struct driver *d)
{
    if (d->db)
        dbclose(d->db);
    d->db = NULL;
    d->autonumber_open = false;
}
