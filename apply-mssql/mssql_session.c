#include "mssql_session.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <sybfront.h>

#include <sybdb.h>

#include "base/log.h"
#include "mssql_error.h"

#define SERVER_NAME  "pg2any" /* the section of our freetds.conf */
#define PACKET_BYTES 16384    /* FreeTDS takes up to 32,767, and 16,384 works everywhere */
#define PATIENCE_S   3600     /* for changing a table, which may mean writing it anew */
#define MAX_SEVERITY_OK                                                                            \
    10                    /* above it a message is an error ("Database Engine error severities")   \
                           */
#define SYBNTEXT_PARAM 99 /* sent as ntext: any length, and nothing is cut */
#define MESSAGE_SIZE   600

struct mssql_session {
    DBPROCESS *db;
    int query_s;
    bool timed_out;

    /* The first error of the statement that runs. */
    int number, state;
    char message[MESSAGE_SIZE];
    int library; /* db-lib's own error */
    char library_message[MESSAGE_SIZE];
};

/* Whom the handlers tell: db-lib calls them with a DBPROCESS that may not exist yet. */
static struct mssql_session *listening;

/* ---- handlers ---- */

static int on_message(DBPROCESS *db, DBINT number, int state, int severity, char *text,
                      char *server, char *procedure, int line)
{
    (void)db, (void)server, (void)procedure, (void)line;
    struct mssql_session *s = listening;
    if (severity <= MAX_SEVERITY_OK || !s || s->number)
        return 0;
    s->number = number;
    s->state = state;
    (void)snprintf(s->message, sizeof s->message, "%s", text ? text : "");
    return 0;
}

/* INT_CANCEL: the function fails; after a timeout the connection is closed, which is the only way
 * that ends the waiting. */
static int on_error(DBPROCESS *db, int severity, int number, int os_number, char *text,
                    char *os_text)
{
    (void)db, (void)severity;
    struct mssql_session *s = listening;
    if (!s)
        return INT_CANCEL;
    if (number == SYBETIME)
        s->timed_out = true;
    /* "Check messages from the SQL Server" says nothing. */
    if (s->library || number == SYBESMSG)
        return INT_CANCEL;
    s->library = number;
    if (os_number > 0 && os_text && *os_text)
        (void)snprintf(s->library_message, sizeof s->library_message, "%s: %s", text, os_text);
    else
        (void)snprintf(s->library_message, sizeof s->library_message, "%s", text ? text : "");
    return INT_CANCEL;
}

static void listen_for(struct mssql_session *s)
{
    listening = s;
    s->number = s->state = s->library = 0;
    s->timed_out = false;
    s->message[0] = s->library_message[0] = '\0';
}

/* What became of the statement; `rc`: whether db-lib's functions said that they failed. */
static int outcome(struct mssql_session *s, bool failed, const char *what, struct err *err)
{
    listening = NULL;
    bool dead = mssql_session_dead(s);
    if (s->number == 0 && s->library == 0 && !failed && !dead)
        return 0;
    if (s->number) {
        (void)mssql_error_set(err, s->number, s->state, s->message, what);
        if (dead && err->kind == ERR_PERMANENT)
            err->kind = ERR_RETRY; /* an error that ends the session is not of the statement */
        return -1;
    }
    if (s->timed_out) {
        (void)err_set(err, ERR_RETRY, "%.200s: no answer in %d s", what, s->query_s);
        return err_hint(err, "--query-timeout says how long to wait");
    }
    if (s->library)
        return err_set(err, ERR_RETRY, "%.200s: %s (db-lib %d)", what, s->library_message,
                       s->library);
    return err_set(err, ERR_RETRY, "%.200s: the connection is lost", what);
}

bool mssql_session_dead(const struct mssql_session *s)
{
    return !s->db || DBDEAD(s->db);
}

int mssql_session_error(const struct mssql_session *s)
{
    return s->number;
}

/* ---- logging in ---- */

#define TMP_BYTES                                                                                  \
    100 /* of TMPDIR; what is longer would not fit into a line of the configuration                \
         */

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
static int write_configuration(struct private_files *f, const struct mssql_uri *u,
                               uint64_t connect_s, struct err *err)
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
                  "connect timeout = %" PRIu64 "\nencryption = %s\n",
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

/* A variable of the environment would win over --dest. */
static void clear_environment(void)
{
    static const char *const names[] = {"TDSVER", "TDSPORT", "TDSHOST"};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        (void)unsetenv(names[i]);
}

static int seconds(uint64_t ms)
{
    uint64_t s = ms / 1000 + (ms % 1000 != 0);
    return s > INT32_MAX / 1000 ? INT32_MAX / 1000 : (int)s;
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
static int login_failed(struct mssql_session *s, const struct mssql_uri *u, struct err *err)
{
    listening = NULL;
    if (s->number) {
        (void)mssql_error_set(err, s->number, s->state, s->message, "connecting");
        return -1;
    }
    (void)err_set(err, ERR_TEMPORARY, "connecting to %s: %s", u->base.host,
                  s->library ? s->library_message : "no reason given");
    if (u->encrypt == MSSQL_ENCRYPT_VERIFY)
        return err_hint(err,
                        "the server is not there, or its certificate is not of the CA, or "
                        "does not name %s",
                        u->base.host);
    if (u->encrypt == MSSQL_ENCRYPT_YES)
        return err_hint(err, "the server is not there, or it has no TLS, which encrypt=no is for");
    return err_hint(err, "the server is not there, or it insists on TLS");
}

static int check_ca(const struct mssql_uri *u, struct err *err)
{
    if (u->ca && access(u->ca, R_OK) != 0)
        return err_errno(err, ERR_PERMANENT, "--dest: ca=%s", u->ca);
    return 0;
}

static int log_in(struct mssql_session *s, const struct mssql_uri *u, uint64_t connect_ms,
                  struct err *err)
{
    struct private_files files = {0};
    LOGINREC *login = login_record(u);
    if (!login)
        return err_nomem(err);
    int rc = write_configuration(&files, u, (uint64_t)seconds(connect_ms), err);
    if (rc == 0) {
        dbsetifile(files.conf);
        (void)dbsetlogintime(seconds(connect_ms));
        listen_for(s);
        s->db = dbopen(login, SERVER_NAME);
        rc = s->db && !s->number ? 0 : login_failed(s, u, err);
        listening = NULL;
    }
    remove_files(&files);
    dbloginfree(login);
    return rc;
}

int mssql_session_open(struct mssql_session **session, const struct mssql_uri *uri, bool again,
                       uint64_t connect_ms, uint64_t query_ms, struct err *err)
{
    static bool started;
    if (check_ca(uri, err))
        return -1;
    if (!started) {
        clear_environment();
        if (dbinit() == FAIL)
            return err_nomem(err);
        (void)dbmsghandle(on_message);
        (void)dberrhandle(on_error);
        started = true;
    }
    struct mssql_session *s = calloc(1, sizeof *s);
    if (!s)
        return err_nomem(err);
    /* The server gives up a lock after the query timeout; its answer has to arrive. */
    s->query_s = seconds(query_ms) + 1;
    if (log_in(s, uri, connect_ms, err)) {
        if (again && mssql_error_is_unavailable(s->number))
            err->kind = ERR_TEMPORARY;
        mssql_session_close(s);
        return -1;
    }
    mssql_session_be_patient(s, false);
    *session = s;
    return 0;
}

void mssql_session_close(struct mssql_session *s)
{
    if (!s)
        return;
    if (s->db)
        dbclose(s->db);
    free(s);
}

void mssql_session_be_patient(struct mssql_session *s, bool patient)
{
    (void)dbsettime(patient && s->query_s < PATIENCE_S ? PATIENCE_S : s->query_s);
}

/* ---- results ---- */

static int add_row(struct mssql_session *s, struct mssql_result *r, size_t *cap, struct err *err)
{
    if ((r->nrows + 1) * r->ncolumns > *cap) {
        size_t more = *cap ? *cap * 2 : 8 * r->ncolumns;
        struct mssql_result_value *values = realloc(r->values, more * sizeof *values);
        if (!values)
            return err_nomem(err);
        r->values = values;
        *cap = more;
    }
    struct mssql_result_value *row = r->values + r->nrows * r->ncolumns;
    memset(row, 0, r->ncolumns * sizeof *row);
    r->nrows++;
    for (size_t i = 0; i < r->ncolumns; i++) {
        const BYTE *data = dbdata(s->db, (int)i + 1);
        DBINT size = dbdatlen(s->db, (int)i + 1);
        int type = dbcoltype(s->db, (int)i + 1);
        char number[32];
        if (!data)
            continue;
        if (type == SYBINT1 || type == SYBINT2 || type == SYBINT4 || type == SYBINT8 ||
            type == SYBBIT) {
            DBBIGINT n = 0;
            (void)dbconvert(s->db, type, data, size, SYBINT8, (BYTE *)&n, sizeof n);
            size = snprintf(number, sizeof number, "%" PRId64, (int64_t)n);
            data = (const BYTE *)number;
        }
        row[i].data = malloc((size_t)size + 1);
        if (!row[i].data)
            return err_nomem(err);
        if (size > 0)
            memcpy(row[i].data, data, (size_t)size);
        row[i].data[size] = '\0';
        row[i].size = (size_t)size;
    }
    return 0;
}

/* Reads all that the server sends; the rows of the first result that has columns. */
static int drain(struct mssql_session *s, struct mssql_result *r, bool *failed, struct err *err)
{
    RETCODE rc;
    size_t cap = 0;
    int status = 0;
    bool taken = false;
    while ((rc = dbresults(s->db)) != NO_MORE_RESULTS && !mssql_session_dead(s)) {
        if (rc == FAIL)
            *failed = true;
        bool take = r && !taken && rc == SUCCEED && dbnumcols(s->db) > 0;
        if (take)
            r->ncolumns = (size_t)dbnumcols(s->db);
        while ((rc = dbnextrow(s->db)) != NO_MORE_ROWS && rc != FAIL && !mssql_session_dead(s))
            if (take && status == 0)
                status = add_row(s, r, &cap, err);
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
        free(r->values[i].data);
    free(r->values);
    *r = (struct mssql_result){0};
}

const char *mssql_result_text(const struct mssql_result *r, size_t row, size_t column)
{
    const char *data = r->values[row * r->ncolumns + column].data;
    return data ? data : "";
}

int64_t mssql_result_number(const struct mssql_result *r, size_t row, size_t column)
{
    const char *data = r->values[row * r->ncolumns + column].data;
    return data ? strtoll(data, NULL, 10) : -1;
}

/* ---- statements ---- */

static int lost(const char *what, struct err *err)
{
    return err_set(err, ERR_RETRY, "%.200s: the connection is lost", what);
}

/* A batch of statements; its rows where `rows` is not NULL. */
static int batch(struct mssql_session *s, const char *sql, const char *what,
                 struct mssql_result *rows, struct err *err)
{
    struct err memory = {0};
    bool failed = false;
    int rc = 0;
    if (mssql_session_dead(s))
        return lost(what, err);
    listen_for(s);
    dbfreebuf(s->db);
    if (dbcmd(s->db, sql) == FAIL || dbsqlexec(s->db) == FAIL)
        failed = true;
    if (!mssql_session_dead(s))
        rc = drain(s, rows, &failed, &memory);
    if (outcome(s, failed, what, err))
        return -1;
    if (rc)
        *err = memory;
    return rc;
}

int mssql_session_run(struct mssql_session *s, const char *sql, const char *what, struct err *err)
{
    return batch(s, sql, what ? what : sql, NULL, err);
}

int mssql_session_run_buf(struct mssql_session *s, struct buf *sql, const char *what,
                          struct err *err)
{
    int rc = buf_check(sql, err);
    if (rc == 0)
        rc = mssql_session_run(s, buf_cstr(sql), what, err);
    buf_free(sql);
    return rc;
}

int mssql_session_query(struct mssql_session *s, struct buf *sql, struct mssql_result *rows,
                        struct err *err)
{
    *rows = (struct mssql_result){0};
    int rc = buf_check(sql, err);
    if (rc == 0)
        rc = batch(s, buf_cstr(sql), buf_cstr(sql), rows, err);
    buf_free(sql);
    return rc;
}

static bool parameter(struct mssql_session *s, const char *name, const void *data, size_t size)
{
    /* db-lib only reads it. */
    return dbrpcparam(s->db, name, 0, SYBNTEXT_PARAM, -1, (DBINT)size, (BYTE *)(uintptr_t)data) ==
           SUCCEED;
}

static bool send_call(struct mssql_session *s, const struct buf *statement, const struct buf *json,
                      DBINT *n)
{
    static const char with_json[] = "@j nvarchar(max), @n int output", without[] = "@n int output";
    const char *declaration = json ? with_json : without;
    return dbrpcinit(s->db, "sp_executesql", 0) == SUCCEED &&
           parameter(s, "@stmt", statement->data, statement->len) &&
           parameter(s, "@params", declaration, strlen(declaration)) &&
           (!json || parameter(s, "@j", json->data, json->len)) &&
           dbrpcparam(s->db, "@n", DBRPCRETURN, SYBINT4, -1, -1, (BYTE *)n) == SUCCEED &&
           dbrpcsend(s->db) == SUCCEED && dbsqlok(s->db) == SUCCEED;
}

int mssql_session_execute(struct mssql_session *s, const struct buf *statement,
                          const struct buf *json, int64_t *n, struct err *err)
{
    static const char what[] = "executing a statement";
    DBINT before = -1;
    if (buf_check(statement, err) || (json && buf_check(json, err)))
        return -1;
    if ((json ? json->len : 0) > INT32_MAX || statement->len > INT32_MAX)
        return err_set(err, ERR_PERMANENT, "a row of more than 2 GB");
    if (mssql_session_dead(s))
        return lost(what, err);
    listen_for(s);
    bool failed = !send_call(s, statement, json, &before);
    if (!mssql_session_dead(s) && drain(s, NULL, &failed, err))
        return -1;
    if (outcome(s, failed, what, err))
        return -1;
    const BYTE *data = dbnumrets(s->db) == 1 ? dbretdata(s->db, 1) : NULL;
    if (!data || dbrettype(s->db, 1) != SYBINT4)
        return err_set(err, ERR_RETRY, "%s: the answer lacks the number of rows", what);
    DBINT count;
    memcpy(&count, data, sizeof count);
    *n = count;
    return 0;
}
