#include "copy_table.h"

#include <inttypes.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "base/lsn.h"
#include "catalog.h"
#include "copy_text.h"
#include "frames/frame.h"

#define ROOM_BYTES (256 * 1024) /* of frames, before there has to be room for more */

static int64_t time_limit(const struct copy_table *t)
{
    return monotonic_ms() + t->time_limit_ms;
}

static int ask(struct copy_table *t, const char *sql, int nparams, const char *const *params,
               struct shape shape, PGresult **result, struct err *err)
{
    if (session_query(&t->session, sql, nparams, params, t->waiter, time_limit(t), result, err))
        return -1;
    if (session_check_shape(*result, shape, err) == 0)
        return 0;
    PQclear(*result);
    return -1;
}

static int tell(struct copy_table *t, const char *sql, struct err *err)
{
    PGresult *result;
    if (session_query(&t->session, sql, 0, NULL, t->waiter, time_limit(t), &result, err))
        return -1;
    PQclear(result);
    return 0;
}

static void forget(struct copy_table *t)
{
    free(t->name);
    free(t->filter);
    t->name = NULL;
    t->filter = NULL;
    buf_reset(&t->snapshot_text, 4096);
    snapshot_free(&t->snapshot);
}

void copy_table_end(struct copy_table *t)
{
    struct err ignored = {0};
    forget(t);
    PGconn *conn = t->session.conn;
    if (conn && PQtransactionStatus(conn) != PQTRANS_IDLE && tell(t, "ROLLBACK", &ignored))
        session_close(&t->session);
}

void copy_table_close(struct copy_table *t)
{
    forget(t);
    buf_free(&t->snapshot_text);
    session_close(&t->session);
}

/* ---- lock and snapshot ---- */

/* Nothing that a role or a database sets may end the reading, or take rows out of it. */
static const char begin_sql[] =
    "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY; SET LOCAL statement_timeout = 0;"
    " SET LOCAL idle_in_transaction_session_timeout = 0; SET LOCAL row_security = off;"
    " SET LOCAL lock_timeout = '200ms'";

static const char name_sql[] =
    "SELECT format('%I.%I', n.nspname, c.relname), c.relkind FROM pg_class c"
    " JOIN pg_namespace n ON n.oid = c.relnamespace WHERE c.oid = $1::oid"
    " AND c.relkind IN ('r', 'p')";

static int find_name(struct copy_table *t, const char *relid, enum copy_opened *opened,
                     struct err *err)
{
    PGresult *rows;
    const char *params[] = {relid};
    if (ask(t, name_sql, 1, params, (struct shape){2, ANY_ROWS}, &rows, err))
        return -1;
    *opened = PQntuples(rows) == 1 ? COPY_OPENED : COPY_GONE;
    if (*opened == COPY_OPENED) {
        t->name = strdup(field(rows, 0, 0));
        t->partitioned = *field(rows, 0, 1) == 'p';
    }
    PQclear(rows);
    return *opened == COPY_OPENED && !t->name ? err_nomem(err) : 0;
}

/* Says what would help, where an error is that something may not be read. */
static int refused(const struct copy_table *t, struct err *err)
{
    if (strcmp(t->session.sqlstate, "42501") != 0)
        return -1;
    const char *user = PQuser(t->session.conn);
    char *quoted = PQescapeIdentifier(t->session.conn, user, strlen(user));
    (void)err_hint(err,
                   "GRANT SELECT ON %s TO %s; and USAGE on its schema; pg2any check says which "
                   "others; or copy nothing: --copy never",
                   t->name, quoted ? quoted : user);
    PQfreemem(quoted);
    return -1;
}

static void append_select(const struct copy_table *t, const struct relation *rel, struct buf *sql)
{
    buf_append_str(sql, "SELECT ");
    for (uint32_t i = 0; i < rel->ncolumns; i++) {
        const char *name = rel->columns[i].name;
        char *quoted = PQescapeIdentifier(t->session.conn, name, strlen(name));
        sql->failed = sql->failed || !quoted;
        buf_printf(sql, "%s%s", i ? ", " : "", quoted ? quoted : "");
        PQfreemem(quoted);
    }
    buf_printf(sql, " FROM %s%s", t->partitioned ? "" : "ONLY ", t->name);
}

/* Under a name that the table had a moment ago: whose lock it is, is looked at behind it. */
static int lock(struct copy_table *t, const struct relation *rel, enum copy_opened *opened,
                struct err *err)
{
    struct buf sql = {0};
    bool by_columns = t->columns_of == rel->relid;
    if (by_columns)
        append_select(t, rel, &sql);
    else
        buf_printf(&sql, "LOCK TABLE %s%s IN ACCESS SHARE MODE", t->partitioned ? "" : "ONLY ",
                   t->name);
    buf_append_str(&sql, by_columns ? " LIMIT 0" : "");
    int rc = buf_check(&sql, err);
    if (rc == 0)
        rc = tell(t, buf_cstr(&sql), err);
    buf_free(&sql);
    if (rc == 0)
        return 0;
    const char *state = t->session.sqlstate;
    bool refuses = strcmp(state, "42501") == 0;
    if (refuses && by_columns)
        return refused(t, err);
    if (refuses)
        t->columns_of = rel->relid;
    else if (strcmp(state, "55P03") != 0 && strcmp(state, "42P01") != 0 &&
             strcmp(state, "3F000") != 0 && strcmp(state, "42703") != 0)
        return -1;
    if (strcmp(state, "42703") != 0) /* a column that is gone: who called will see that */
        *opened = COPY_LOCKED;
    err_clear(err); /* the transaction is ended by who called */
    return 0;
}

/* Publications whose filters a row may pass, one or the other; none has one where one has none. */
static const char snapshot_sql[] =
    "%s SELECT s::text, pg_current_wal_insert_lsn(), %s,"
    " coalesce($2::oid = to_regclass($3)::oid, false) FROM pg_current_snapshot() s";
static const char filter_sql[] =
    "(SELECT CASE WHEN bool_and(m.prqual IS NOT NULL)"
    "   THEN string_agg('(' || pg_get_expr(m.prqual, m.prrelid) || ')', ' OR ') END FROM published"
    "  LEFT JOIN pg_publication_rel m ON m.prpubid = published.pub AND m.prrelid = published.relid)";

static int read_snapshot(struct copy_table *t, PGresult *rows, bool *same, struct err *err)
{
    const char *text = field(rows, 0, 0), *lsn = field(rows, 0, 1);
    *same = field_truth(rows, 0, 3);
    buf_append_str(&t->snapshot_text, text);
    if (!lsn_parse(lsn, strlen(lsn), &t->lsn))
        return err_set(err, ERR_TEMPORARY, "the server sent \"%s\" instead of an LSN", lsn);
    if (!PQgetisnull(rows, 0, 2) && !(t->filter = strdup(field(rows, 0, 2))))
        return err_nomem(err);
    return snapshot_parse(&t->snapshot, text, strlen(text), err) ||
                   buf_check(&t->snapshot_text, err)
               ? -1
               : 0;
}

/* The position is asked for behind the snapshot: every commit that this sees is before it. */
static int take_snapshot(struct copy_table *t, const char *relid, bool *same, struct err *err)
{
    struct buf sql = {0};
    struct buf publications = {0};
    PGresult *rows;
    bool filters = PQserverVersion(t->session.conn) >= 150000;
    buf_printf(&sql, snapshot_sql, filters ? PUBLISHED_SQL(PUBLISHED_SCHEMAS) : "",
               filters ? filter_sql : "CASE WHEN $1::text IS NULL THEN '' END");
    array_of_text(&publications, t->npublications, t->publications);
    const char *params[] = {buf_cstr(&publications), relid, t->name};
    int rc = buf_check(&sql, err) || buf_check(&publications, err) ? -1 : 0;
    if (rc == 0)
        rc = ask(t, buf_cstr(&sql), 3, params, (struct shape){4, 1}, &rows, err);
    buf_free(&sql);
    buf_free(&publications);
    if (rc)
        return -1;
    rc = read_snapshot(t, rows, same, err);
    PQclear(rows);
    return rc;
}

/* The lock first, where that can be. *same: the name is the relation's. */
static int lock_and_see(struct copy_table *t, const struct relation *rel, const char *relid,
                        enum copy_opened *opened, bool *same, struct err *err)
{
    if (tell(t, begin_sql, err))
        return -1;
    if (t->columns_of == rel->relid)
        return take_snapshot(t, relid, same, err) ? refused(t, err) : lock(t, rel, opened, err);
    if (lock(t, rel, opened, err))
        return -1;
    return *opened == COPY_OPENED ? take_snapshot(t, relid, same, err) : 0;
}

/* Before the transaction, whose snapshot is to be younger than the lock. */
static int open_all(struct copy_table *t, const struct relation *rel, enum copy_opened *opened,
                    struct err *err)
{
    char relid_text[16];
    bool same = false;
    (void)snprintf(relid_text, sizeof relid_text, "%" PRIu32, rel->relid);
    if (!t->session.conn && session_open(&t->session, SESSION_CATALOG, t->source, t->streaming,
                                         t->waiter, time_limit(t), err))
        return -1;
    if (find_name(t, relid_text, opened, err))
        return -1;
    if (*opened == COPY_OPENED && lock_and_see(t, rel, relid_text, opened, &same, err))
        return -1;
    if (*opened == COPY_OPENED && !same)
        *opened = COPY_LOCKED; /* another table has the name: look again */
    return 0;
}

int copy_table_open(struct copy_table *t, const struct relation *rel, enum copy_opened *opened,
                    struct err *err)
{
    bool by_columns = t->columns_of == rel->relid;
    int rc = open_all(t, rel, opened, err);
    if (rc == 0 && !by_columns && t->columns_of == rel->relid) {
        copy_table_end(t);
        rc = open_all(t, rel, opened, err);
    }
    if (rc || *opened != COPY_OPENED)
        copy_table_end(t);
    return rc;
}

/* ---- rows ---- */

int copy_table_key(struct copy_table *t, uint32_t relid, const struct relation *rel,
                   struct copy_key *key, struct err *err)
{
    char text[16];
    PGresult *rows;
    const char *params[] = {text};
    (void)snprintf(text, sizeof text, "%" PRIu32, relid);
    *key = (struct copy_key){0};
    if (ask(t, copy_key_sql, 1, params, (struct shape){COPY_KEY_FIELDS, ANY_ROWS}, &rows, err))
        return -1;
    int rc = copy_key_take(key, rows, rel, err);
    PQclear(rows);
    return rc;
}

int copy_table_is_before(struct copy_table *t, const struct copy_key *key, const char *a,
                         const char *b, bool *before, struct err *err)
{
    struct buf sql = {0};
    PGresult *rows;
    buf_append_str(&sql, "SELECT (");
    copy_key_values(key, t->session.conn, a, &sql);
    buf_append_str(&sql, ") < (");
    copy_key_values(key, t->session.conn, b, &sql);
    buf_append_str(&sql, ")");
    int rc = buf_check(&sql, err);
    if (rc == 0)
        rc = ask(t, buf_cstr(&sql), 0, NULL, (struct shape){1, 1}, &rows, err);
    buf_free(&sql);
    if (rc)
        return -1;
    *before = field_truth(rows, 0, 0);
    PQclear(rows);
    return 0;
}

static void append_chunk(const struct copy_table *t, const struct copy_chunk *chunk,
                         struct buf *sql)
{
    if (chunk->from) {
        buf_append_str(sql, t->filter ? " AND (" : " WHERE (");
        copy_key_names(chunk->key, sql);
        buf_append_str(sql, ") > (");
        copy_key_values(chunk->key, t->session.conn, chunk->from, sql);
        buf_append_str(sql, ")");
    }
    buf_append_str(sql, " ORDER BY ");
    copy_key_names(chunk->key, sql);
    buf_printf(sql, " LIMIT %" PRIu64, chunk->limit);
}

/* Those of the rows that are asked for which this key can find: the condition, and a delete of each
 * into the frames. */
static int put_keys(const struct copy_table *t, const struct relation *rel,
                    struct copy_chunk *chunk, struct buf *where, struct buf *out, struct err *err)
{
    struct buf text = {0};
    struct bytes values[COPY_KEY_MAX];
    struct bytes *columns = calloc((size_t)rel->ncolumns + 1, sizeof *columns);
    int rc = columns ? 0 : err_nomem(err);
    for (const char *at = chunk->rows, *end; rc == 0 && (end = strchr(at, '\n')); at = end + 1) {
        if (!copy_key_of_row(chunk->key, rel, at, (size_t)(end - at), values))
            continue;
        for (uint32_t i = 0; i < chunk->key->n; i++)
            columns[chunk->key->columns[i].column] = values[i];
        buf_append_str(where, chunk->nkeys++ ? ", (" : "(");
        copy_key_row_values(chunk->key, t->session.conn, values, where);
        buf_append_str(where, ")");
        rc = copy_text_key(rel, columns, &text, out, err);
    }
    free(columns);
    buf_free(&text);
    return rc;
}

static void append_keys(const struct copy_table *t, const struct copy_chunk *chunk,
                        struct buf *keys, struct buf *sql)
{
    buf_append_str(sql, t->filter ? " AND (" : " WHERE (");
    if (chunk->nkeys > 0) {
        copy_key_names(chunk->key, sql);
        buf_printf(sql, ") IN (%s)", buf_cstr(keys));
    } else {
        buf_append_str(sql, "false)");
    }
    sql->failed = sql->failed || keys->failed;
}

static void append_copy(const struct copy_table *t, const struct relation *rel,
                        const struct copy_chunk *chunk, struct buf *keys, struct buf *sql)
{
    buf_append_str(sql, "COPY (");
    append_select(t, rel, sql);
    if (t->filter)
        buf_printf(sql, " WHERE (%s)", t->filter);
    if (chunk->rows)
        append_keys(t, chunk, keys, sql);
    else if (chunk->number > 0)
        append_chunk(t, chunk, sql);
    buf_append_str(sql, ") TO STDOUT");
}

/* A chunk is read through the index of its key, and nothing else: what came before it would be read
 * and sorted again for each. */
static const char by_index_sql[] =
    "SET LOCAL enable_seqscan = off; SET LOCAL enable_bitmapscan = off; SET LOCAL enable_sort = off;"
    " SET LOCAL enable_incremental_sort = off; SET LOCAL max_parallel_workers_per_gather = 0";

static int begin_copy(struct copy_table *t, const struct relation *rel,
                      const struct copy_chunk *chunk, struct buf *keys, struct err *err)
{
    struct buf sql = {0};
    PGresult *result;
    append_copy(t, rel, chunk, keys, &sql);
    int rc = buf_check(&sql, err);
    if (rc == 0 && chunk->number > 0 && !chunk->rows)
        rc = tell(t, by_index_sql, err);
    if (rc == 0)
        rc = session_query(&t->session, buf_cstr(&sql), 0, NULL, t->waiter, NO_DEADLINE, &result,
                           err);
    buf_free(&sql);
    if (rc && strcmp(t->session.sqlstate, "42501") == 0)
        return err_hint(
            err, "pg-capture --check or pg2any check says why this user cannot read every row; for "
                 "row-level security ALTER ROLE ... BYPASSRLS");
    if (rc)
        return -1;
    bool begun = PQresultStatus(result) == PGRES_COPY_OUT;
    PQclear(result);
    return begun ? 0 : err_set(err, ERR_TEMPORARY, "the server did not begin to copy");
}

/* The next row, for PQfreemem(); *row NULL: there is none any more. */
static int next_row(struct copy_table *t, char **row, int *size, struct err *err)
{
    PGconn *conn = t->session.conn;
    for (;;) {
        *row = NULL;
        *size = PQgetCopyData(conn, row, 1);
        if (*size > 0 || *size == -1)
            return 0;
        if (*size < -1)
            return session_lost(&t->session, err);
        if (t->waiter->wait(t->waiter->ctx, PQsocket(conn), POLLIN, NO_DEADLINE, err))
            return -1;
        if (!PQconsumeInput(conn))
            return session_lost(&t->session, err);
    }
}

static int put_row(const struct relation *rel, struct copy_chunk *chunk, const char *row,
                   size_t size, struct buf *text, const struct copy_output *o, struct err *err)
{
    if (copy_text_row(rel, row, size, text, &o->out->out.buf, err))
        return -1;
    chunk->nbytes += size;
    if (++chunk->nrows == chunk->limit && chunk->number > 0 && !chunk->rows)
        copy_key_position(chunk->key, row, size, &chunk->next);
    return frame_output_pending(o->out) >= ROOM_BYTES ? o->make_room(o->ctx, err) : 0;
}

static int put_rows(struct copy_table *t, const struct relation *rel, struct copy_chunk *chunk,
                    const struct copy_output *o, struct err *err)
{
    struct buf text = {0};
    char *row;
    int size;
    int rc;
    while ((rc = next_row(t, &row, &size, err)) == 0 && row) {
        rc = put_row(rel, chunk, row, (size_t)size, &text, o, err);
        PQfreemem(row);
        if (o->progress && !chunk->rows)
            copy_progress_row(o->progress, (size_t)size);
        if (rc)
            break;
    }
    buf_free(&text);
    return rc ? -1 : buf_check(&chunk->next, err);
}

static int end_copy(struct copy_table *t, struct err *err)
{
    PGresult *result;
    if (session_result(&t->session, t->waiter, time_limit(t), &result, err))
        return -1;
    PQclear(result);
    return 0;
}

/* They come with the first rows, when the target has just made the table. */
static int read_indexes(struct copy_table *t, const struct relation *rel,
                        const struct copy_chunk *chunk, struct buf *list, struct err *err)
{
    return chunk->number > 1 ? 0
                             : copy_indexes_read(&t->session, t->waiter, time_limit(t), rel,
                                                 t->indexes, list, err);
}

/* Single rows: whether it is their keys that the source does not take. They come from a target,
 * whose table may hold what is no value of the source's type. */
static bool refuses_keys(const struct copy_table *t, bool asked, const struct err *err)
{
    /* Data exceptions, checks of a domain, an operator that is not there, a query too complex. */
    static const char *const states[] = {"22", "23", "42883", "54001"};
    for (size_t i = 0; asked && i < sizeof states / sizeof *states; i++)
        if (strncmp(t->session.sqlstate, states[i], strlen(states[i])) == 0)
            return true;
    return !asked && err->kind == ERR_PERMANENT;
}

/* Begins the query of what is to be sent, and appends copy begin and the deletes of single rows. */
static int begin_chunk(struct copy_table *t, const struct relation *rel, struct copy_chunk *chunk,
                       struct buf *out, bool *begun, struct err *err)
{
    const struct frame_copy_begin begin = {rel->relid, chunk->number, t->lsn,
                                           bytes_of(buf_cstr(&t->snapshot_text))};
    struct buf keys = {0}, deletes = {0};
    int rc = chunk->rows ? put_keys(t, rel, chunk, &keys, &deletes, err) : 0;
    bool asked = rc == 0;
    if (asked)
        rc = begin_copy(t, rel, chunk, &keys, err);
    *begun = rc == 0;
    if (rc && chunk->rows && refuses_keys(t, asked, err)) {
        log_warning("rows that a target asks for cannot be found by their keys", "schema",
                    rel->namespace, "table", rel->name, "reason", err->text, NULL);
        err_clear(err);
        buf_reset(&deletes, 0);
        chunk->nkeys = 0;
        rc = 0;
    }
    if (rc == 0)
        rc = buf_check(&deletes, err);
    if (rc == 0) {
        frame_put_copy_begin(out, &begin);
        buf_append(out, deletes.data, deletes.len);
    }
    buf_free(&keys);
    buf_free(&deletes);
    return rc;
}

int copy_table_rows(struct copy_table *t, const struct relation *rel, struct copy_chunk *chunk,
                    const struct copy_output *o, struct err *err)
{
    struct buf indexes = {0};
    bool begun;
    int rc = begin_chunk(t, rel, chunk, &o->out->out.buf, &begun, err);
    if (rc == 0 && begun)
        rc = put_rows(t, rel, chunk, o, err) || end_copy(t, err) ||
                     read_indexes(t, rel, chunk, &indexes, err)
                 ? -1
                 : 0;
    const struct frame_copy_end end = {rel->relid, chunk->nrows + chunk->nkeys,
                                       bytes_of(buf_cstr(&chunk->next)),
                                       bytes_of(buf_cstr(&indexes))};
    if (rc == 0)
        frame_put_copy_end(&o->out->out.buf, &end);
    buf_free(&indexes);
    return rc ? err_context(err, "copying %s.%s", rel->namespace, rel->name) : 0;
}
