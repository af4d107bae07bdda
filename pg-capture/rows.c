#include "rows.h"

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/lsn.h"
#include "copy_table.h"
#include "frames/frame_output.h"
#include "inspect.h"
#include "upstream.h"

#define FLUSH_BYTES      (64 * 1024)
#define LOCKED_LIMIT_MS  60000
#define COMMIT_LIMIT_MS  2000 /* from its record in the WAL to where others see it */
#define LOOK_AGAIN_MS    20
#define REQUEST_MAX_SIZE 64

struct rows {
    struct upstream *upstream;
    struct frame_output out;
    struct copy_table reader;
    uint64_t nbytes;  /* put out, of the table */
    int64_t begun_ms; /* when it began */
    uint32_t last;    /* the table that was asked for last; 0: none */

    /* Which tables, in the order of their names; NULL: all. */
    struct table_names *names;
    uint32_t *relids;
    size_t n, cap;
};

/* ---- output ---- */

/* Waits until no more than that is left of what waits. */
static int drain(struct rows *r, size_t left, struct err *err)
{
    const struct waiter *w = r->upstream->waiter;
    for (;;) {
        if (frame_output_try(&r->out, err))
            return -1;
        if (frame_output_pending(&r->out) <= left)
            return 0;
        if (w->wait(w->ctx, r->out.out.fd, POLLOUT, NO_DEADLINE, err))
            return -1;
    }
}

/* Called while a table is read. */
static int make_room(void *ctx, struct err *err)
{
    struct rows *r = ctx;
    const struct waiter *w = r->upstream->waiter;
    uint64_t rate = r->upstream->options->rate;
    frame_output_seal(&r->out);
    r->nbytes += frame_output_pending(&r->out);
    if (drain(r, FLUSH_BYTES, err))
        return -1;
    r->nbytes -= frame_output_pending(&r->out); /* which counts the next time */
    return rate == 0
               ? 0
               : w->wait(w->ctx, -1, 0, r->begun_ms + (int64_t)(r->nbytes * 1000 / rate), err);
}

/* That is all of a table, or of the list of them. */
static int put_done(struct rows *r, uint64_t lsn, struct err *err)
{
    const struct frame_progress done = {.lsn = lsn};
    frame_put_progress(&r->out.out.buf, &done);
    return drain(r, 0, err);
}

/* ---- who writes ---- */

/*
 * A commit is in the WAL, and may be at a target, before other sessions see it. Who asks for a
 * table again has looked at a target meanwhile, and must not be shown what is older than that: so
 * the transactions that have written to the table and have not ended for others have to be seen.
 */
struct writers {
    size_t n;
    uint32_t *xids;
    int64_t limit_ms; /* not after that */
    bool needed;      /* a synchronous standby may be waited for: a commit may take any time */
};

static const char writers_sql[] =
    "WITH RECURSIVE tree AS (SELECT $1::oid AS relid UNION SELECT inhrelid FROM tree"
    "  JOIN pg_inherits ON inhparent = relid)"
    " SELECT current_setting('synchronous_standby_names') <> '', w.xid FROM (SELECT) one LEFT JOIN"
    "  (SELECT DISTINCT x.transactionid AS xid FROM pg_locks l"
    "   JOIN pg_locks x USING (virtualtransaction)"
    "   WHERE l.locktype = 'relation' AND l.granted AND l.mode LIKE '%Exclusive%'"
    "    AND l.relation IN (SELECT relid FROM tree) AND l.database ="
    "     (SELECT oid FROM pg_database WHERE datname = current_database())"
    "    AND x.locktype = 'transactionid' AND x.granted AND x.mode = 'ExclusiveLock') w ON true";

static int find_writers(struct rows *r, uint32_t relid, struct writers *w, struct err *err)
{
    char text[16];
    const char *params[] = {text};
    PGresult *rows;
    *w = (struct writers){0};
    if (relid != r->last)
        return 0;
    (void)snprintf(text, sizeof text, "%u", (unsigned)relid);
    if (catalog_query(&r->upstream->catalog, writers_sql, 1, params, (struct shape){2, ANY_ROWS},
                      &rows, err))
        return -1;
    int n = PQntuples(rows);
    w->needed = n > 0 && field_truth(rows, 0, 0);
    w->limit_ms = monotonic_ms() + (w->needed ? LOCKED_LIMIT_MS : COMMIT_LIMIT_MS);
    w->xids = calloc((size_t)n + 1, sizeof *w->xids);
    for (int i = 0; w->xids && i < n; i++)
        if (!PQgetisnull(rows, i, 1))
            w->xids[w->n++] = field_number(rows, i, 1);
    PQclear(rows);
    return w->xids ? 0 : err_nomem(err);
}

/* Whether the snapshot sees the end of all of them, or nothing speaks for waiting longer. */
static int check_writers(const struct rows *r, const struct writers *w, bool *seen, struct err *err)
{
    *seen = true;
    for (size_t i = 0; i < w->n; i++)
        *seen = *seen && snapshot_sees(&r->reader.snapshot, w->xids[i]);
    if (*seen || monotonic_ms() < w->limit_ms)
        return 0;
    *seen = true;
    if (!w->needed)
        return 0;
    (void)err_set(
        err, ERR_TEMPORARY,
        "a transaction that has written to %s is open, or waits for a synchronous standby",
        r->reader.name);
    return err_hint(err, "its commit may be at the target already; pg_locks and pg_stat_activity "
                         "show it");
}

/* ---- a table ---- */

/* The table is locked and the snapshot taken: its rows, if it is still as it was described. */
static int put_opened(struct rows *r, const struct relation *rel, bool *changed, struct err *err)
{
    const struct copy_output output = {.out = &r->out, .make_room = make_room, .ctx = r};
    struct copy_chunk whole = {0};
    struct relation *now;
    if (catalog_describe(&r->upstream->catalog, rel->relid, &now, err))
        return -1;
    *changed = !now || !relation_same_message(rel, now);
    relation_unref(now);
    if (*changed)
        return 0;
    r->nbytes = 0;
    r->begun_ms = monotonic_ms();
    buf_append(&r->out.out.buf, rel->frame, rel->frame_size);
    int rc = copy_table_rows(&r->reader, rel, &whole, &output, err);
    buf_free(&whole.next);
    return rc;
}

/* One attempt. *again: somebody has it locked, or has just changed it, or a writer is not seen. */
static int try_table(struct rows *r, uint32_t relid, const struct writers *w, bool *again,
                     struct err *err)
{
    struct relation *rel;
    enum copy_opened opened = COPY_GONE;
    uint64_t lsn = 0;
    *again = false;
    if (catalog_describe(&r->upstream->catalog, relid, &rel, err))
        return -1;
    int rc = rel ? copy_table_open(&r->reader, rel, &opened, err) : 0;
    if (rc == 0 && opened == COPY_OPENED) {
        bool seen;
        lsn = r->reader.lsn;
        rc = check_writers(r, w, &seen, err);
        *again = !seen;
        if (rc == 0 && seen)
            rc = put_opened(r, rel, again, err);
        copy_table_end(&r->reader);
    }
    relation_unref(rel);
    *again = *again || opened == COPY_LOCKED;
    return rc ? -1 : *again ? 0 : put_done(r, lsn, err);
}

static int put_table(struct rows *r, uint32_t relid, struct err *err)
{
    const struct waiter *w = r->upstream->waiter;
    int64_t limit_ms = monotonic_ms() + LOCKED_LIMIT_MS;
    struct writers writers;
    bool again = true;
    int rc = find_writers(r, relid, &writers, err);
    while (rc == 0 && again) {
        rc = try_table(r, relid, &writers, &again, err);
        if (rc == 0 && again && monotonic_ms() > limit_ms) {
            rc = err_set(err, ERR_TEMPORARY, "the table with the oid %u cannot be read",
                         (unsigned)relid);
            (void)err_hint(err, "somebody has it locked; pg_locks shows it");
        }
        if (rc == 0 && again)
            rc = w->wait(w->ctx, -1, 0, monotonic_ms() + LOOK_AGAIN_MS, err);
    }
    free(writers.xids);
    r->last = relid;
    return rc;
}

/* ---- which tables ---- */

static int note_table(void *ctx, struct relation *rel, struct err *err)
{
    struct rows *r = ctx;
    if (r->names && !table_names_has(r->names, rel->namespace, rel->name))
        return 0;
    if (r->n == r->cap) {
        size_t cap = r->cap ? r->cap * 2 : 64;
        uint32_t *relids = realloc(r->relids, cap * sizeof *relids);
        if (!relids)
            return err_nomem(err);
        r->relids = relids;
        r->cap = cap;
    }
    r->relids[r->n++] = rel->relid;
    return 0;
}

static int put_named(struct rows *r, struct err *err)
{
    for (size_t i = 0; r->names && i < r->names->n; i++) {
        const struct table_name *name = &r->names->items[i];
        if (name->met)
            continue;
        (void)err_set(err, ERR_PERMANENT, "--rows: no table %s.%s is published", name->namespace,
                      name->whole ? "*" : name->name);
        return err_hint(err, "names are those of PostgreSQL; pg2any check lists what is published");
    }
    for (size_t i = 0; i < r->n; i++)
        if (put_table(r, r->relids[i], err))
            return -1;
    return 0;
}

/* ---- requests ---- */

static int put_list(struct rows *r, struct err *err)
{
    for (size_t i = 0; i < r->n; i++) {
        struct relation *rel;
        if (catalog_describe(&r->upstream->catalog, r->relids[i], &rel, err))
            return -1;
        if (rel)
            buf_append(&r->out.out.buf, rel->frame, rel->frame_size);
        relation_unref(rel);
    }
    return put_done(r, 0, err);
}

static int put_requested(struct rows *r, char *line, struct err *err)
{
    char *end;
    errno = 0;
    unsigned long relid = strtoul(line, &end, 10);
    if (*line < '0' || *line > '9' || *end || errno || relid == 0 || relid > UINT32_MAX)
        return err_set(err, ERR_PERMANENT, "--rows: \"%s\" on stdin is no relid", line);
    return put_table(r, (uint32_t)relid, err);
}

/* Until stdin ends. */
static int put_all_requested(struct rows *r, struct err *err)
{
    const struct waiter *w = r->upstream->waiter;
    char line[REQUEST_MAX_SIZE];
    size_t len = 0;
    for (;;) {
        if (w->wait(w->ctx, STDIN_FILENO, POLLIN, NO_DEADLINE, err))
            return -1;
        ssize_t n = read(STDIN_FILENO, line + len, sizeof line - len);
        if (n < 0 && (errno == EINTR || errno == EAGAIN))
            continue;
        if (n < 0)
            return err_errno(err, ERR_TEMPORARY, "reading what is asked for");
        if (n == 0)
            return 0;
        len += (size_t)n;
        for (char *newline; (newline = memchr(line, '\n', len));) {
            size_t used = (size_t)(newline - line) + 1;
            *newline = '\0';
            if (put_requested(r, line, err))
                return -1;
            memmove(line, line + used, len -= used);
        }
        if (len == sizeof line)
            return err_set(err, ERR_PERMANENT, "--rows: a line on stdin is too long");
    }
}

/* ---- the whole ---- */

static int put_all(struct rows *r, const struct option_list *asked, struct err *err)
{
    static const struct frame_end end = {.why = {.data = "rows", .size = 4}};
    struct table_names names = {0};
    struct upstream *u = r->upstream;
    bool requests = asked->n == 1 && strcmp(asked->items[0], "-") == 0;
    bool all = asked->n == 1 && strcmp(asked->items[0], "all") == 0;
    int rc = 0;
    for (size_t i = 0; rc == 0 && !requests && !all && i < asked->n; i++)
        rc = table_names_add(&names, asked->items[i], true, err);
    r->names = requests || all ? NULL : &names;
    if (rc == 0)
        rc = catalog_look_ahead(&u->catalog, err) ||
                     catalog_published(&u->catalog, 0, note_table, r, err)
                 ? -1
                 : 0;
    if (rc == 0 && requests)
        rc = put_list(r, err) || put_all_requested(r, err) ? -1 : 0;
    else if (rc == 0)
        rc = put_named(r, err);
    table_names_free(&names);
    r->names = NULL;
    if (rc)
        return -1;
    frame_put_end(&r->out.out.buf, &end);
    rc = drain(r, 0, err);
    if (!rc || !requests || !err->follows)
        return rc;
    /* Who asked has all of that, and need not wait for the end. */
    err_clear(err);
    return 0;
}

static int put_rows(struct upstream *u, struct err *err)
{
    struct rows r = {
        .upstream = u,
        .reader = {.source = &u->source,
                   .streaming = &u->replication.session,
                   .waiter = u->waiter,
                   .time_limit_ms = (int64_t)u->options->connect_timeout_ms,
                   .npublications = u->npublications,
                   .publications = u->publications,
                   .indexes = COPY_INDEXES_NONE},
    };
    if (upstream_connect(u, err) || upstream_choose_parameters(u, err))
        return -1;
    frame_output_init(&r.out, STDOUT_FILENO, "stdout", OUTPUT_PIPE_SIZE);
    upstream_put_hello(u, 0, false, &r.out.out.buf);
    int rc = put_all(&r, &u->options->rows, err);
    frame_output_close(&r.out);
    copy_table_close(&r.reader);
    free(r.relids);
    return rc;
}

int rows_run(const struct capture_options *options, struct err *err)
{
    return inspect(options, put_rows, err);
}
