#include "session.h"

#include <ctype.h>
#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "base/log.h"
#include "base/lsn.h"
#include "base/redact.h"

#define MIN_SERVER_VERSION 140000

/*
 * What the text of a value or a name depends on, what may end or hide what we ask for, and how the
 * server then shows it. A role, a database, the server's configuration and a pooler may each have
 * set another, so nothing is left to the startup packet: these are set on the open session and read
 * back.
 */
static const struct setting {
    const char *name, *value;
    int since; /* the first server version that knows it */
    bool catalog_only;
} settings[] = {
    {"client_encoding", "UTF8", 0, false},
    {"datestyle", "ISO, YMD", 0, false},
    {"intervalstyle", "postgres", 0, false},
    {"timezone", "UTC", 0, false},
    {"bytea_output", "hex", 0, false},
    {"extra_float_digits", "3", 0, false},
    {"lc_monetary", "C", 0, false},
    {"search_path", "pg_catalog", 0, false},
    {"quote_all_identifiers", "off", 0, false},
    {"standard_conforming_strings", "on", 0, false},
    {"array_nulls", "on", 0, false},
    {"client_min_messages", "notice", 0, false}, /* the warnings are evidence: log_notice() */
    {"statement_timeout", "0", 0, false},
    {"lock_timeout", "0", 0, false},
    {"idle_in_transaction_session_timeout", "0", 0, false},
    {"idle_session_timeout", "0", 0, false},
    {"transaction_timeout", "0", 170000, false},
    /* A standby refuses serializable, and a deferrable one waits for others. */
    {"default_transaction_isolation", "read committed", 0, true},
    {"default_transaction_read_only", "on", 0, true},
    /* What is asked of the catalog is little, and asked often: it should take as long as planning
     * it anew, or compiling it, each time. */
    {"plan_cache_mode", "force_generic_plan", 0, true},
    {"jit", "off", 0, true},
};

int poll_timeout(int64_t now_ms, int64_t deadline_ms)
{
    enum { FAR_MS = 3600000 };
    if (deadline_ms == NO_DEADLINE)
        return -1;
    if (deadline_ms <= now_ms)
        return 0;
    return deadline_ms - now_ms < FAR_MS ? (int)(deadline_ms - now_ms) : FAR_MS;
}

/* ---- where to ---- */

static int refuse_conninfo(struct err *err, const char *why, size_t len)
{
    (void)err_set(err, ERR_PERMANENT, "the source's connection string cannot be read: %.*s",
                  (int)len, why);
    return err_hint(err,
                    "it is a libpq URI or \"key=value ...\"; in a URI, characters such as @ : / %% "
                    "within a password are written %%40 %%3A %%2F %%25");
}

/*
 * Whether a URI has one @ at most, and it before the host. libpq takes the first @ or slash for the
 * end of the password; what it then takes for host, port and database is the rest of one that was
 * not escaped, and its errors tell it.
 */
static bool is_escaped(const char *conninfo)
{
    size_t scheme = redact_scheme(conninfo);
    if (scheme == 0)
        return true;
    const char *authority = conninfo + scheme + 3, *at = strchr(authority, '@');
    const char *end = authority + strcspn(authority, "?"), *slash = strchr(authority, '/');
    bool user = at && (!slash || at < slash);
    if (user)
        end = at + 1 + strcspn(at + 1, "?"); /* a ? before the @ is of the password */
    const char *rest = user ? at + 1 : authority;
    return memchr(rest, '@', (size_t)(end - rest)) == NULL;
}

/* As it is in "user:password" where a host belongs. */
static bool is_no_port(const PQconninfoOption *o)
{
    return strcmp(o->keyword, "port") == 0 && o->val && o->val[strspn(o->val, "0123456789, ")];
}

int source_parse(struct source *s, const char *conninfo, struct err *err)
{
    static const char unescaped[] = "an @ behind the first one, or behind a slash",
                      port[] = "the port is not a number";
    char *why = NULL;
    if (!is_escaped(conninfo))
        return refuse_conninfo(err, unescaped, sizeof unescaped - 1);
    errno = 0;
    s->options = PQconninfoParse(conninfo, &why);
    bool no_memory = errno == ENOMEM; /* libpq says it in words, where it can say it at all */
    for (const PQconninfoOption *o = s->options; o && o->keyword; o++)
        if (is_no_port(o))
            return refuse_conninfo(err, port, sizeof port - 1);
    if (s->options)
        return 0;
    if (!why || no_memory) {
        PQfreemem(why);
        return err_nomem(err);
    }
    /* libpq quotes the string, and with it the password: only what stands before the quote is told.
     */
    (void)refuse_conninfo(err, why, strcspn(why, "\"\n"));
    PQfreemem(why);
    return -1;
}

void source_free(struct source *s)
{
    PQconninfoFree(s->options);
    s->options = NULL;
}

static bool is_ours(const char *keyword)
{
    static const char *const ours[] = {"replication", "client_encoding",
                                       "fallback_application_name", NULL};
    for (size_t i = 0; ours[i]; i++)
        if (strcmp(ours[i], keyword) == 0)
            return true;
    return false;
}

static bool is_place(const char *keyword)
{
    return strcmp(keyword, "host") == 0 || strcmp(keyword, "hostaddr") == 0 ||
           strcmp(keyword, "port") == 0;
}

static PGconn *start_connecting(const struct source *source, enum session_kind kind,
                                const PGconn *beside)
{
    size_t n = 0;
    while (source->options[n].keyword)
        n++;
    const char **keys = calloc(n + 7, sizeof *keys);
    const char **values = calloc(n + 7, sizeof *values);
    PGconn *conn = NULL;
    if (keys && values) {
        size_t used = 0;
        for (size_t i = 0; i < n; i++) {
            const PQconninfoOption *o = &source->options[i];
            if (o->val && !is_ours(o->keyword) && !(beside && is_place(o->keyword))) {
                keys[used] = o->keyword;
                values[used++] = o->val;
            }
        }
        keys[used] = "client_encoding";
        values[used++] = "UTF8";
        keys[used] = "fallback_application_name";
        values[used++] = "pg-capture";
        if (beside) {
            keys[used] = "host";
            values[used++] = PQhost(beside);
            keys[used] = "hostaddr"; /* a name may stand for several */
            values[used++] = PQhostaddr(beside);
            keys[used] = "port";
            values[used++] = PQport(beside);
        }
        if (kind == SESSION_REPLICATION) {
            keys[used] = "replication";
            values[used++] = "database";
        }
        conn = PQconnectStartParams(keys, values, 0);
    }
    free(keys);
    free(values);
    return conn;
}

/* ---- errors ---- */

static enum err_kind sqlstate_kind(const char *state)
{
    static const char *const temporary[] = {
        "08",    /* connection exception */
        "40",    /* transaction rollback */
        "53",    /* insufficient resources: disk full, out of memory, too many connections */
        "55006", /* object in use: the slot */
        "55P03", /* lock not available */
        "57P01", /* admin shutdown */
        "57P02", /* crash shutdown */
        "57P03", /* cannot connect now: starting up, shutting down */
        "57P05", /* idle session timeout */
        "57014", /* query canceled */
        "58030", /* I/O error */
    };
    if (*state == '\0')
        return ERR_TEMPORARY;
    if (strcmp(state, "53400") == 0) /* configuration limit exceeded: no free replication slot */
        return ERR_PERMANENT;
    for (size_t i = 0; i < sizeof temporary / sizeof *temporary; i++)
        if (strncmp(state, temporary[i], strlen(temporary[i])) == 0)
            return ERR_TEMPORARY;
    return ERR_PERMANENT;
}

/* Refusals that are known to last until a person does something: of the role or its password, of
 * the database, of a right. (PostgreSQL's appendix "PostgreSQL Error Codes": classes 28, invalid
 * authorization specification; 3D, invalid catalog name; 42, access rule violation.) */
static bool is_refusal(const char *state)
{
    return strncmp(state, "28", 2) == 0 || strncmp(state, "3D", 2) == 0 ||
           strncmp(state, "42", 2) == 0;
}

static void hint_connection(const char *state, struct err *err)
{
    if (strncmp(state, "28", 2) == 0)
        (void)err_hint(err, "check the user and password of the source, and pg_hba.conf");
    else if (strcmp(state, "3D000") == 0)
        (void)err_hint(err, "check dbname in the source's connection string");
    else if (strcmp(state, "42501") == 0)
        (void)err_hint(err,
                       "the role needs ALTER ROLE ... REPLICATION, and CONNECT on the database");
    else if (strcmp(state, "53300") == 0)
        (void)err_hint(err, "max_connections and max_wal_senders bound the number of connections");
}

/*
 * Faults of TLS that do not go away by themselves. libpq has no code for them, only texts, which
 * are in English: this program sets no locale.
 */
static bool is_about_tls(const char *text)
{
    static const char *const texts[] = {"certificate verify failed",
                                        "does not match host name",
                                        "root certificate file",
                                        "does not support SSL",
                                        "certificate file \"",
                                        "private key file \"",
                                        "sslrootcert",
                                        "invalid sslmode"};
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++)
        if (strstr(text, texts[i]))
            return true;
    return false;
}

/* Length of a SQLSTATE and its colon at `p` ("28P01: "), or 0. */
static size_t sqlstate_at(const char *p)
{
    for (int i = 0; i < 5; i++)
        if (!isdigit((unsigned char)p[i]) && !isupper((unsigned char)p[i]))
            return 0;
    return p[5] == ':' && p[6] == ' ' ? 7 : 0;
}

/*
 * Why a connection could not be opened. With PQERRORS_VERBOSE the server's error reads
 * "FATAL:  28P01: ..." in every language; the code and the source line after it are taken out
 * again.
 */
static int connect_error(struct session *s, struct err *err)
{
    struct buf text = {0};
    const char *p = PQerrorMessage(s->conn);
    s->sqlstate[0] = '\0';
    bool line_start = true;
    while (*p) {
        if (line_start && strncmp(p, "LOCATION:", 9) == 0) {
            p += strcspn(p, "\n");
            continue;
        }
        line_start = *p == '\n';
        size_t skip = p[0] == ' ' && p[1] == ' ' ? sqlstate_at(p + 2) : 0;
        if (skip > 0) {
            memcpy(s->sqlstate, p + 2, 5);
            s->sqlstate[5] = '\0';
            p += 1 + skip;
            continue;
        }
        bool space = isspace((unsigned char)*p);
        if (!space || (text.len > 0 && text.data[text.len - 1] != ' '))
            buf_append_byte(&text, space ? ' ' : (uint8_t)*p);
        p++;
    }
    if (text.len > 0 && text.data[text.len - 1] == ' ')
        text.len--;
    enum err_kind kind =
        PQconnectionNeedsPassword(s->conn) ? ERR_PERMANENT : sqlstate_kind(s->sqlstate);
    bool tls = kind == ERR_TEMPORARY && is_about_tls(buf_cstr(&text));
    (void)err_set(err, tls ? ERR_PERMANENT : kind, "%s",
                  text.len > 0 ? buf_cstr(&text) : "the connection failed");
    buf_free(&text);
    if (tls)
        return err_hint(err, "check sslmode, sslrootcert and the host's name in the source's "
                             "connection string, and the server's certificate");
    err->unknown = kind == ERR_PERMANENT && *s->sqlstate && !is_refusal(s->sqlstate);
    hint_connection(s->sqlstate, err);
    return -1;
}

int session_lost(struct session *s, struct err *err)
{
    const char *text = PQerrorMessage(s->conn);
    size_t len = strcspn(text, "\n");
    s->sqlstate[0] = '\0';
    if (len == 0)
        return err_set(err, ERR_TEMPORARY, "the connection to the server was lost");
    return err_set(err, ERR_TEMPORARY, "the connection to the server was lost: %.*s", (int)len,
                   text);
}

/* elog()s, which are not translated: the server's snapshot of its catalog is wrong for what ran
 * while the slot was made (ReorderBufferProcessTXN in reorderbuffer.c). They come again each time.
 */
static bool cannot_decode(const char *state, const char *text)
{
    return strcmp(state, "XX000") == 0 && (strstr(text, "could not map filenode") ||
                                           strstr(text, "could not open relation with OID"));
}

int session_result_error(struct session *s, const PGresult *result, struct err *err)
{
    const char *state = PQresultErrorField(result, PG_DIAG_SQLSTATE);
    const char *text = PQresultErrorField(result, PG_DIAG_MESSAGE_PRIMARY);
    const char *detail = PQresultErrorField(result, PG_DIAG_MESSAGE_DETAIL);
    const char *hint = PQresultErrorField(result, PG_DIAG_MESSAGE_HINT);
    if (!state || !text)
        return session_lost(s, err);
    (void)snprintf(s->sqlstate, sizeof s->sqlstate, "%s", state);
    (void)err_set(err, sqlstate_kind(state), "%s%s%s", text, detail ? ": " : "",
                  detail ? detail : "");
    if (hint)
        (void)err_hint(err, "%s", hint);
    else if (s->kind == SESSION_REPLICATION && cannot_decode(state, text))
        (void)err_hint(
            err,
            "the server cannot decode a transaction that ran while the slot was created; to create "
            "a new slot and copy all tables: pg2any resync");
    return -1;
}

static void log_notice(void *ctx, const PGresult *result)
{
    struct session *s = ctx;
    const char *text = PQresultErrorField(result, PG_DIAG_MESSAGE_PRIMARY);
    const char *state = PQresultErrorField(result, PG_DIAG_SQLSTATE);
    const char *severity = PQresultErrorField(result, PG_DIAG_SEVERITY_NONLOCALIZED);
    const char *kind = s->kind == SESSION_REPLICATION ? "replication" : "catalog";
    if (!text)
        return;
    if (severity && strcmp(severity, "WARNING") == 0) {
        /* From PostgreSQL 18 on, where the earlier ones fail: "skipped loading publication". */
        if (s->kind == SESSION_REPLICATION && state && strcmp(state, "55000") == 0)
            s->skipping = true;
        log_warning("the server warns", "connection", kind, "text", text, NULL);
    } else {
        log_debug("the server says", "connection", kind, "text", text, NULL);
    }
}

/* ---- opening and asking ---- */

static int finish_connecting(struct session *s, const struct waiter *waiter, int64_t deadline_ms,
                             struct err *err)
{
    PostgresPollingStatusType state = PGRES_POLLING_WRITING;
    while (PQstatus(s->conn) != CONNECTION_BAD && state != PGRES_POLLING_FAILED) {
        if (state == PGRES_POLLING_OK)
            return 0;
        short events = state == PGRES_POLLING_READING ? POLLIN : POLLOUT;
        if (waiter->wait(waiter->ctx, PQsocket(s->conn), events, deadline_ms, err))
            return -1;
        state = PQconnectPoll(s->conn);
    }
    return connect_error(s, err);
}

static bool applies(const struct setting *setting, const struct session *s)
{
    return PQserverVersion(s->conn) >= setting->since &&
           (!setting->catalog_only || s->kind == SESSION_CATALOG);
}

/* One statement over all the settings that apply. Each is of that form, with name and value. */
static int over_settings(struct session *s, bool set, const struct waiter *waiter,
                         int64_t deadline_ms, PGresult **result, struct err *err)
{
    struct buf sql = {0};
    const char *before = "SELECT ";
    struct shape shape = {0, 1};
    for (size_t i = 0; i < sizeof settings / sizeof *settings; i++) {
        if (!applies(&settings[i], s))
            continue;
        buf_append_str(&sql, before);
        buf_append_str(&sql, set ? "pg_catalog.set_config('" : "pg_catalog.current_setting('");
        buf_append_str(&sql, settings[i].name);
        if (set) {
            buf_append_str(&sql, "', '");
            buf_append_str(&sql, settings[i].value);
        }
        buf_append_str(&sql, set ? "', false)" : "')");
        before = ", ";
        shape.columns++;
    }
    int rc = buf_check(&sql, err);
    if (rc == 0)
        rc = session_query(s, buf_cstr(&sql), 0, NULL, waiter, deadline_ms, result, err);
    if (rc == 0 && session_check_shape(*result, shape, err)) {
        PQclear(*result);
        rc = -1;
    }
    buf_free(&sql);
    return rc ? err_context(err, "the session's settings") : 0;
}

/*
 * Sets, and in a statement of its own asks what is set: a pooler may have dropped what it was told,
 * or may give each statement another of the server's sessions.
 */
static int pin_settings(struct session *s, const struct waiter *waiter, int64_t deadline_ms,
                        struct err *err)
{
    PGresult *result;
    if (over_settings(s, true, waiter, deadline_ms, &result, err))
        return -1;
    PQclear(result);
    if (over_settings(s, false, waiter, deadline_ms, &result, err))
        return -1;
    int column = 0, rc = 0;
    for (size_t i = 0; rc == 0 && i < sizeof settings / sizeof *settings; i++) {
        if (!applies(&settings[i], s))
            continue;
        const char *is = field(result, 0, column++);
        if (strcmp(is, settings[i].value) == 0)
            continue;
        (void)err_set(err, ERR_PERMANENT,
                      "the session does not keep its settings: %s was set to \"%s\" and is \"%s\"",
                      settings[i].name, settings[i].value, is);
        rc = err_hint(
            err,
            "values would have another form: connect to PostgreSQL itself, or to a pooler that "
            "gives each connection its own session");
    }
    PQclear(result);
    return rc;
}

static int open_session(struct session *s, const struct source *source,
                        const struct session *beside, const struct waiter *waiter,
                        int64_t deadline_ms, struct err *err)
{
    s->conn = start_connecting(source, s->kind, beside ? beside->conn : NULL);
    if (!s->conn)
        return err_nomem(err);
    (void)PQsetErrorVerbosity(s->conn, PQERRORS_VERBOSE);
    (void)PQsetNoticeReceiver(s->conn, log_notice, s);
    if (finish_connecting(s, waiter, deadline_ms, err))
        return -1;
    (void)PQsetErrorVerbosity(s->conn, PQERRORS_DEFAULT);
    int version = PQserverVersion(s->conn);
    if (version < MIN_SERVER_VERSION)
        return err_set(err, ERR_PERMANENT, "the server is PostgreSQL %d.%d; 14 or later is needed",
                       version / 10000, version % 10000);
    if (PQsetnonblocking(s->conn, 1) != 0)
        return session_lost(s, err);
    return pin_settings(s, waiter, deadline_ms, err);
}

int session_open(struct session *s, enum session_kind kind, const struct source *source,
                 const struct session *beside, const struct waiter *waiter, int64_t deadline_ms,
                 struct err *err)
{
    *s = (struct session){.kind = kind};
    if (open_session(s, source, beside, waiter, deadline_ms, err) == 0) {
        log_debug("connected", "connection",
                  kind == SESSION_REPLICATION ? "replication" : "catalog", "host", PQhost(s->conn),
                  "port", PQport(s->conn), "dbname", PQdb(s->conn), "user", PQuser(s->conn), NULL);
        return 0;
    }
    session_close(s);
    return err_context(err, "opening the %s connection",
                       kind == SESSION_REPLICATION ? "replication" : "catalog");
}

void session_close(struct session *s)
{
    PQfinish(s->conn);
    s->conn = NULL;
}

/* Waits for the answer to what was sent. */
static int get_result(struct session *s, const struct waiter *waiter, int64_t deadline_ms,
                      PGresult **result, struct err *err)
{
    *result = NULL;
    for (;;) {
        int unsent = PQflush(s->conn);
        if (unsent < 0)
            break;
        if (unsent == 0 && !PQisBusy(s->conn)) {
            PGresult *next = PQgetResult(s->conn);
            if (!next)
                return *result ? 0 : session_lost(s, err);
            /* Of several the first error counts: what follows it is its consequence. */
            if (*result && PQresultStatus(*result) == PGRES_FATAL_ERROR) {
                PQclear(next);
                continue;
            }
            PQclear(*result);
            *result = next;
            ExecStatusType status = PQresultStatus(next);
            if (status == PGRES_COPY_BOTH || status == PGRES_COPY_IN || status == PGRES_COPY_OUT)
                return 0;
            continue;
        }
        short events = unsent ? POLLIN | POLLOUT : POLLIN;
        if (waiter->wait(waiter->ctx, PQsocket(s->conn), events, deadline_ms, err))
            goto fail;
        if (!PQconsumeInput(s->conn))
            break;
    }
    (void)session_lost(s, err);
fail:
    PQclear(*result);
    *result = NULL;
    return -1;
}

int session_result(struct session *s, const struct waiter *waiter, int64_t deadline_ms,
                   PGresult **result, struct err *err)
{
    s->sqlstate[0] = '\0';
    if (get_result(s, waiter, deadline_ms, result, err))
        return -1;
    switch (PQresultStatus(*result)) {
    case PGRES_COMMAND_OK:
    case PGRES_TUPLES_OK:
    case PGRES_COPY_BOTH:
    case PGRES_COPY_IN:
    case PGRES_COPY_OUT:
        return 0;
    default:
        (void)session_result_error(s, *result, err);
        PQclear(*result);
        *result = NULL;
        return -1;
    }
}

int session_query(struct session *s, const char *sql, int nparams, const char *const *params,
                  const struct waiter *waiter, int64_t deadline_ms, PGresult **result,
                  struct err *err)
{
    *result = NULL;
    int sent = nparams > 0 ? PQsendQueryParams(s->conn, sql, nparams, NULL, params, NULL, NULL, 0)
                           : PQsendQuery(s->conn, sql);
    if (!sent)
        return session_lost(s, err);
    return session_result(s, waiter, deadline_ms, result, err);
}

int session_query_prepared(struct session *s, const char *name, const char *sql, bool *prepared,
                           int nparams, const char *const *params, const struct waiter *waiter,
                           int64_t deadline_ms, PGresult **result, struct err *err)
{
    *result = NULL;
    if (!*prepared) {
        if (!PQsendPrepare(s->conn, name, sql, nparams, NULL))
            return session_lost(s, err);
        if (session_result(s, waiter, deadline_ms, result, err))
            return -1;
        PQclear(*result);
        *result = NULL;
        *prepared = true;
    }
    if (!PQsendQueryPrepared(s->conn, name, nparams, params, NULL, NULL, 0))
        return session_lost(s, err);
    return session_result(s, waiter, deadline_ms, result, err);
}

int session_check_shape(const PGresult *result, struct shape shape, struct err *err)
{
    int columns = PQnfields(result), rows = PQntuples(result);
    if (columns == shape.columns && (shape.rows == ANY_ROWS || rows == shape.rows))
        return 0;
    (void)err_set(err, ERR_TEMPORARY,
                  "the server's answer has %d columns and %d rows, which is not what was asked for",
                  columns, rows);
    return err_hint(
        err,
        "connect to PostgreSQL itself, or to a pooler that gives each connection its own session");
}

const char *field(const PGresult *result, int row, int column)
{
    return PQgetvalue(result, row, column);
}

uint32_t field_number(const PGresult *result, int row, int column)
{
    return (uint32_t)strtoul(field(result, row, column), NULL, 10);
}

bool field_truth(const PGresult *result, int row, int column)
{
    return *field(result, row, column) == 't';
}
