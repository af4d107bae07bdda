#include "copying.h"

#include <ctype.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/hash.h"
#include "base/log.h"
#include "base/lsn.h"
#include "frames/frame.h"

#define DESCRIBE_AT_ONCE 64
#define LOOK_AGAIN_MS    50
#define LOCKED_MS        1000
#define SAY_WAIT_MS      10000 /* that a table cannot be copied, and again after as long */
#define HOLD_MS          10000 /* and then the stream goes on for as long */
#define FIRST_ROW_BYTES  1024  /* what rows are taken to have before one is seen */
#define GROWTH           8     /* of a chunk's rows at most, from one to the next */

/* What one has that was announced. */
struct copying_table {
    uint32_t relid;
    bool done;                  /* copied on this connection, or nothing to copy any more */
    struct relation *described; /* NULL: not yet */
    uint64_t lsn;               /* whatever had been committed when it was described is before it */
    int64_t look_ms;
    int64_t waits_ms; /* since when it could not be, or was said to; 0: it could */
    bool whole;       /* in one snapshot, as a target has asked for */
    bool lacks_rows;  /* that a target has asked for again */
    uint32_t chunk;   /* the last one that was sent; 0: none */
    struct buf next;  /* behind it */
    uint64_t limit;   /* rows of the next one */
    uint64_t nrows;   /* sent so far on this connection */
    int64_t begun_ms;
    UT_hash_handle hh;
};

static void forget_tables(struct copying *c)
{
    struct copying_table *t, *next;
    HASH_ITER (hh, c->tables, t, next) {
        HASH_DEL(c->tables, t);
        relation_unref(t->described);
        buf_free(&t->next);
        free(t);
    }
}

void copying_disconnect(struct copying *c)
{
    copy_progress_stop(&c->progress);
    copy_table_close(&c->reader);
    forget_tables(c);
    c->before.n = c->unseen.n = 0;
    c->look_ms = 0;
    c->holds = false;
}

void copying_free(struct copying *c)
{
    copying_disconnect(c);
    free(c->before.items);
    free(c->unseen.items);
    c->before = c->unseen = (struct copying_xids){0};
}

/* ---- what was sent ---- */

static int add_xid(struct copying_xids *x, uint32_t xid, struct err *err)
{
    if (x->n == x->cap) {
        size_t cap = x->cap ? x->cap * 2 : 1024;
        uint32_t *items = realloc(x->items, cap * sizeof *items);
        if (!items)
            return err_nomem(err);
        x->items = items;
        x->cap = cap;
    }
    x->items[x->n++] = xid;
    return 0;
}

/* Takes those out that a snapshot sees: every later one will. */
static void take_seen(struct copying_xids *x, const struct snapshot *s)
{
    size_t left = 0;
    for (size_t i = 0; i < x->n; i++)
        if (!snapshot_sees(s, x->items[i]))
            x->items[left++] = x->items[i];
    x->n = left;
}

int copying_sent(struct copying *c, uint32_t xid, struct err *err)
{
    return c->on && c->nleft > 0 ? add_xid(&c->unseen, xid, err) : 0;
}

/* Whether one of the transactions of `before` may have changed the table and has not ended yet: it
 * holds the lock for that until others see its end. */
static int ask_writers(struct copying *c, uint32_t relid, bool *any, struct err *err)
{
    static const char sql[] =
        "WITH RECURSIVE tree AS (SELECT $1::oid AS relid UNION SELECT inhrelid FROM tree"
        "  JOIN pg_inherits ON inhparent = relid)"
        " SELECT EXISTS (SELECT FROM pg_locks l JOIN pg_locks x USING (virtualtransaction)"
        "  WHERE l.locktype = 'relation' AND l.granted AND l.mode LIKE '%Exclusive%'"
        "   AND l.relation IN (SELECT relid FROM tree) AND l.database ="
        "    (SELECT oid FROM pg_database WHERE datname = current_database())"
        "   AND x.locktype = 'transactionid' AND x.granted AND x.mode = 'ExclusiveLock'"
        "   AND x.transactionid = ANY ($2::xid[]))";
    char relid_text[16];
    struct buf xids = {0};
    PGresult *rows;
    (void)snprintf(relid_text, sizeof relid_text, "%" PRIu32, relid);
    for (size_t i = 0; i < c->before.n; i++)
        buf_printf(&xids, "%c%" PRIu32, i ? ',' : '{', c->before.items[i]);
    buf_append_byte(&xids, '}');
    const char *params[] = {relid_text, buf_cstr(&xids)};
    int rc = buf_check(&xids, err);
    if (rc == 0)
        rc = catalog_query(&c->upstream->catalog, sql, 2, params, (struct shape){1, 1}, &rows, err);
    buf_free(&xids);
    if (rc)
        return -1;
    *any = field_truth(rows, 0, 0);
    PQclear(rows);
    return 0;
}

/*
 * The stream stands still until what it brought is seen: otherwise there is always something newer
 * that is not. Not for ever, where the standby that is waited for is away.
 */
static void hold(struct copying *c)
{
    int64_t now_ms = monotonic_ms();
    if (c->held_ms == 0)
        c->held_ms = now_ms;
    c->holds = now_ms - c->held_ms < HOLD_MS;
    c->look_ms = now_ms + (c->holds ? LOOK_AGAIN_MS : HOLD_MS);
    if (!c->holds)
        log_warning("tables cannot be copied yet: committed transactions are not visible until a "
                    "synchronous standby answers",
                    "transactions", LOG_U64(c->unseen.n), NULL);
}

/* Whether the snapshot of a copy sees all that was sent. */
static bool sees_all(struct copying *c)
{
    take_seen(&c->unseen, &c->reader.snapshot);
    take_seen(&c->before, &c->reader.snapshot);
    return c->unseen.n == 0;
}

/* ---- which tables ---- */

static int announce(struct copying *c, uint32_t relid, struct err *err)
{
    struct copying_table *t;
    bool added = false;
    HASH_FIND(hh, c->tables, &relid, sizeof relid, t);
    if (t) {
        if (t->done && !t->described) { /* one that was not published is again */
            t->done = false;
            c->joined = true;
        }
        return 0;
    }
    t = calloc(1, sizeof *t);
    if (t) {
        t->relid = relid;
        HASH_TRY_ADD(c->tables, relid, t, added);
    }
    if (!added) {
        free(t);
        return err_nomem(err);
    }
    const struct frame_copy_due due = {relid};
    frame_put_copy_due(&c->output.out->out.buf, &due);
    c->nleft += !c->elsewhere;
    c->joined = true;
    return 0;
}

int copying_meet(struct copying *c, const struct relation *rel, struct err *err)
{
    return upstream_copies(c->upstream, rel->namespace, rel->name) ? announce(c, rel->relid, err)
                                                                   : 0;
}

static int announce_relation(void *ctx, struct relation *rel, struct err *err)
{
    return copying_meet(ctx, rel, err);
}

/* A target that had nothing announced would take all tables for those that are not copied. */
static int check_named(const struct copying *c, struct err *err)
{
    const struct table_names *names = &c->upstream->copy_tables;
    size_t nmet = 0;
    for (size_t i = 0; i < names->n; i++) {
        nmet += names->items[i].met;
        if (!names->items[i].met)
            log_warning("no published table has a name that is to be copied", "schema",
                        names->items[i].namespace, "table",
                        names->items[i].whole ? "*" : names->items[i].name, NULL);
    }
    if (names->n == 0 || nmet > 0)
        return 0;
    (void)err_set(err, ERR_PERMANENT, "--copy-tables names no table of the publications");
    return err_hint(err, "names are those of PostgreSQL: public.t, or public.*; pg2any check lists "
                         "what is published");
}

/* By their locks: a snapshot lists no transaction that is younger than all that have ended. */
static int note_running(struct copying *c, struct err *err)
{
    static const char sql[] =
        "SELECT pg_is_in_recovery(), transactionid FROM (SELECT) one LEFT JOIN pg_locks ON"
        " locktype = 'transactionid' AND granted AND mode = 'ExclusiveLock'";
    PGresult *rows;
    if (catalog_query(&c->upstream->catalog, sql, 0, NULL, (struct shape){2, ANY_ROWS}, &rows, err))
        return -1;
    int rc = 0;
    c->before.n = 0;
    if (PQntuples(rows) > 0 && field_truth(rows, 0, 0)) {
        rc = err_set(err, ERR_PERMANENT,
                     "the source is a standby, from which tables cannot be copied: its snapshots "
                     "leave running transactions out");
        (void)err_hint(err, "connect to the primary for the copy, or do without: --copy never");
    }
    for (int i = 0; rc == 0 && i < PQntuples(rows); i++)
        if (!PQgetisnull(rows, i, 1))
            rc = add_xid(&c->before, field_number(rows, i, 1), err);
    PQclear(rows);
    c->joined = rc != 0;
    return rc;
}

int copying_begin(struct copying *c, struct err *err)
{
    if (!c->on)
        return 0;
    c->nleft = 0;
    c->reader.npublications = c->upstream->npublications;
    c->reader.publications = c->upstream->publications;
    return catalog_published(&c->upstream->catalog, 0, announce_relation, c, err) ||
                   check_named(c, err) || note_running(c, err)
               ? -1
               : 0;
}

static void take_description(struct copying_table *t, struct relation *rel)
{
    relation_unref(t->described);
    t->described = rel;
    t->lsn = 0;
}

static bool is_left(const struct copying *c, const struct copying_table *t)
{
    return !t->done && !acks_have_copy(c->acks, t->relid);
}

/* Whether something of it is to be sent. */
static bool is_due(const struct copying *c, const struct copying_table *t)
{
    return is_left(c, t) || t->lacks_rows;
}

/* A target asks for rows of it: of the snapshot that they come from the same is asked as of a
 * table's. */
static void look_for_lacks(struct copying *c, struct copying_table *t)
{
    bool lacks = acks_lack_rows(c->acks, t->relid);
    c->joined = c->joined || (lacks && !t->lacks_rows);
    t->lacks_rows = lacks;
}

/* A target does not have it any more, or cannot take it in chunks: it begins anew, as the table is
 * by now. What was sent meanwhile is not known. */
static void begin_again(struct copying *c)
{
    for (struct copying_table *t = c->tables; t; t = t->hh.next) {
        if (!acks_take_lost(c->acks, t->relid))
            continue;
        take_description(t, NULL);
        t->whole = acks_want_whole(c->acks, t->relid);
        t->done = false;
        t->chunk = 0;
        t->nrows = 0;
        c->joined = true;
    }
}

bool copying_left(struct copying *c)
{
    if (!c->on || c->elsewhere)
        return false;
    c->nleft = 0;
    begin_again(c);
    *c->tables_left = 0;
    for (struct copying_table *t = c->tables; t; t = t->hh.next) {
        look_for_lacks(c, t);
        c->nleft += is_due(c, t);
        *c->tables_left += is_left(c, t);
    }
    return c->nleft > 0;
}

/* ---- what a table is ---- */

/* It is not published any more, or gone. */
static void give_up(struct copying *c, struct copying_table *t)
{
    struct buf ignored = {0};
    acks_take_lacks(c->acks, t->relid, &ignored);
    buf_free(&ignored);
    t->lacks_rows = false;
    t->done = true;
}

/* The states of attributes and files also say how old they are known to be, which changes. */
static bool same_states(const char *a, const char *b)
{
    for (; *a && *b; a++, b++) {
        char x = (char)tolower((unsigned char)*a), y = (char)tolower((unsigned char)*b);
        if ((x == 'a' ? 'c' : x) != (y == 'a' ? 'c' : y))
            return false;
    }
    return *a == *b;
}

static bool same_files(const struct relation *a, const struct relation *b)
{
    if (a->nfiles != b->nfiles)
        return false;
    for (uint32_t i = 0; i < a->nfiles; i++)
        if (a->files[i].relid != b->files[i].relid || a->files[i].node != b->files[i].node)
            return false;
    return true;
}

static bool same_memberships(const struct relation *a, const struct relation *b)
{
    if (a->nmemberships != b->nmemberships)
        return false;
    for (uint32_t i = 0; i < a->nmemberships; i++)
        if (strcmp(a->memberships[i], b->memberships[i]) != 0)
            return false;
    return true;
}

static bool same_table(const struct relation *a, const struct relation *b)
{
    return a && b && a->attributes && b->attributes && relation_same_message(a, b) &&
           same_states(a->attributes, b->attributes) && same_files(a, b) && same_memberships(a, b);
}

/* Describes some of those that are due, and notes what the stream has to pass then. */
static int describe_some(struct copying *c, struct err *err)
{
    unsigned n = 0;
    uint64_t lsn;
    for (struct copying_table *t = c->tables; t && n < DESCRIBE_AT_ONCE; t = t->hh.next) {
        struct relation *rel;
        if (t->described || !is_due(c, t))
            continue;
        if (catalog_describe(&c->upstream->catalog, t->relid, &rel, err))
            return -1;
        if (!rel)
            give_up(c, t);
        take_description(t, rel);
        n++;
    }
    for (struct copying_table *t = c->tables; t; t = t->hh.next)
        n += t->described && t->lsn == 0;
    if (n == 0)
        return 0;
    if (upstream_current_lsn(c->upstream, &lsn, err))
        return -1;
    for (struct copying_table *t = c->tables; t; t = t->hh.next)
        if (t->described && t->lsn == 0)
            t->lsn = lsn;
    return 0;
}

/* ---- one table ---- */

/*
 * Where the copy of a table goes on that nothing was sent of on this connection: where the target
 * that is furthest behind has come to. `next` stays empty where one has none of it.
 */
static int find_next(struct copying *c, struct copying_table *t, const struct copy_key *key,
                     struct err *err)
{
    const char *least = NULL;
    for (size_t i = 0; i < c->acks->n; i++) {
        bool has, before = true;
        const char *next = acks_copying(c->acks, i, t->relid, &has);
        if (has)
            continue;
        if (!next || !copy_key_has(key, next))
            return 0;
        if (least && copy_table_is_before(&c->reader, key, next, least, &before, err))
            return -1;
        least = before ? next : least;
    }
    if (least) {
        buf_append_str(&t->next, least);
        t->chunk = 1;
    }
    return buf_check(&t->next, err);
}

/* What of the table comes next, in the open transaction. */
static int choose_chunk(struct copying *c, struct copying_table *t, struct copy_key *key,
                        struct copy_chunk *chunk, struct err *err)
{
    *chunk = (struct copy_chunk){.key = key};
    if (copy_table_key(&c->reader, t->relid, t->described, key, err))
        return -1;
    if (t->whole || key->n == 0) {
        t->chunk = 0;
        return 0;
    }
    if (t->chunk > 0 && !copy_key_has(key, buf_cstr(&t->next)))
        t->chunk = 0; /* it has another key by now */
    if (t->chunk == 0) {
        buf_reset(&t->next, 4096);
        if (find_next(c, t, key, err))
            return -1;
    }
    if (t->limit == 0)
        t->limit =
            c->chunk_size.rows ? c->chunk_size.rows : c->chunk_size.bytes / FIRST_ROW_BYTES + 1;
    chunk->number = t->chunk + 1;
    chunk->from = t->next.len > 0 ? buf_cstr(&t->next) : NULL;
    chunk->limit = t->limit;
    return 0;
}

/* As many rows as fill the next chunk, if they are like those of this one. */
static uint64_t next_limit(const struct copying *c, const struct copy_chunk *chunk)
{
    uint64_t bytes = chunk->nbytes / chunk->nrows + 1;
    uint64_t limit = c->chunk_size.bytes / bytes + 1;
    uint64_t most = chunk->limit * GROWTH;
    return c->chunk_size.rows ? c->chunk_size.rows : limit < most ? limit : most;
}

static void copied(struct copying *c, struct copying_table *t, const struct copy_chunk *chunk)
{
    const struct relation *rel = t->described;
    t->nrows += chunk->nrows;
    t->chunk = chunk->number;
    /* A hash says where it begins: keys are data. */
    unsigned from = 0;
    if (chunk->from)
        HASH_VALUE(chunk->from, strlen(chunk->from), from);
    log_debug("rows of a table are sent", "schema", rel->namespace, "table", rel->name, "rows",
              LOG_U64(chunk->nrows), "from", LOG_U64(from), NULL);
    t->done = chunk->next.len == 0;
    if (t->done)
        copy_progress_done(&c->progress, c->reader.lsn);
    if (t->done)
        log_info("a table is copied", "schema", rel->namespace, "table", rel->name, "rows",
                 LOG_U64(t->nrows), "ms", LOG_U64((uint64_t)(monotonic_ms() - t->begun_ms)), NULL);
    else
        t->limit = next_limit(c, chunk);
}

/* The table settles until the stream has passed the snapshot's LSN. */
static int sent_all(struct copying *c, const struct copying_table *t, struct err *err)
{
    return acks_sent_copy(c->acks, t->relid, err) || upstream_flush(c->upstream, err) ? -1 : 0;
}

static int copy_rows(struct copying *c, struct copying_table *t, struct err *err)
{
    const struct relation *rel = t->described;
    struct copy_key key;
    struct copy_chunk chunk = {0};
    int rc = choose_chunk(c, t, &key, &chunk, err);
    if (rc == 0 && chunk.number <= 1) {
        t->begun_ms = monotonic_ms();
        t->nrows = 0;
        log_info("copying a table", "schema", rel->namespace, "table", rel->name, "snapshot",
                 buf_cstr(&c->reader.snapshot_text), NULL);
    } else if (rc == 0 && t->begun_ms == 0) {
        t->begun_ms = monotonic_ms();
        log_info("continuing the copy of a table", "schema", rel->namespace, "table", rel->name,
                 NULL);
    }
    if (rc == 0) {
        buf_append(&c->output.out->out.buf, rel->frame, rel->frame_size);
        rc = copy_progress_table(&c->progress, &c->upstream->catalog, rel, err) ||
                     copy_table_rows(&c->reader, rel, &chunk, &c->output, err)
                 ? -1
                 : 0;
    }
    if (rc == 0 && chunk.next.len == 0)
        rc = sent_all(c, t, err);
    if (rc == 0) {
        copied(c, t, &chunk);
        buf_free(&t->next);
        t->next = chunk.next;
        chunk.next = (struct buf){0};
    }
    buf_free(&chunk.next);
    copy_key_free(&key);
    return rc;
}

/* Sends the rows that a target lacks. */
static int read_again(struct copying *c, struct copying_table *t, struct err *err)
{
    const struct relation *rel = t->described;
    struct buf keys = {0};
    struct copy_key key;
    acks_take_lacks(c->acks, t->relid, &keys);
    struct copy_chunk chunk = {.number = FRAME_COPY_ROWS, .key = &key, .rows = buf_cstr(&keys)};
    int rc = copy_table_key(&c->reader, t->relid, rel, &key, err);
    if (rc == 0)
        rc = buf_check(&keys, err);
    if (rc == 0) {
        buf_append(&c->output.out->out.buf, rel->frame, rel->frame_size);
        rc = copy_table_rows(&c->reader, rel, &chunk, &c->output, err);
    }
    /* Where the copy is under way its end will be told of. */
    if (rc == 0 && !is_left(c, t))
        rc = sent_all(c, t, err);
    if (rc == 0)
        log_info("rows of a table are read again", "schema", rel->namespace, "table", rel->name,
                 "keys", LOG_U64(chunk.nkeys), "rows", LOG_U64(chunk.nrows), NULL);
    t->lacks_rows = false;
    buf_free(&chunk.next);
    buf_free(&keys);
    copy_key_free(&key);
    return rc;
}

/* The transaction is open. Where its snapshot is too early, or the table another than the stream
 * has come to, it is tried again. */
static int copy_opened(struct copying *c, struct copying_table *t, struct err *err)
{
    struct relation *rel;
    if (!sees_all(c)) {
        hold(c);
        return 0;
    }
    if (catalog_describe(&c->upstream->catalog, t->relid, &rel, err))
        return -1;
    if (same_table(rel, t->described)) {
        relation_unref(t->described); /* what this does not compare may be newer */
        t->described = rel;
        return t->lacks_rows ? read_again(c, t, err) : copy_rows(c, t, err);
    }
    if (!rel)
        give_up(c, t);
    take_description(t, rel);
    return 0;
}

/* It is tried again after a while. */
static void put_off(struct copying_table *t, int64_t pause_ms, const char *reason)
{
    int64_t now_ms = monotonic_ms();
    t->look_ms = now_ms + pause_ms;
    if (t->waits_ms == 0)
        t->waits_ms = now_ms;
    if (now_ms - t->waits_ms < SAY_WAIT_MS)
        return;
    t->waits_ms = now_ms;
    log_warning("a table waits to be copied", "schema", t->described->namespace, "table",
                t->described->name, "reason", reason, NULL);
}

static int copy_table(struct copying *c, struct copying_table *t, struct err *err)
{
    enum copy_opened opened;
    bool writers = false;
    /* Before the snapshot: who holds no lock any more is seen by it. */
    if (c->before.n > 0 && ask_writers(c, t->relid, &writers, err))
        return -1;
    if (writers) {
        put_off(t, LOOK_AGAIN_MS,
                "a transaction that has written to it, and began before, is open "
                "(pg_locks shows it)");
        return 0;
    }
    if (copy_table_open(&c->reader, t->described, &opened, err))
        return -1;
    switch (opened) {
    case COPY_GONE:
        give_up(c, t);
        return 0;
    case COPY_LOCKED:
        put_off(t, LOCKED_MS, "somebody has it locked (pg_locks shows it)");
        return 0;
    case COPY_OPENED:
        t->waits_ms = 0;
        break;
    }
    int rc = copy_opened(c, t, err);
    copy_table_end(&c->reader);
    return rc;
}

int copying_step(struct copying *c, uint64_t passed_lsn, struct err *err)
{
    int64_t now_ms = monotonic_ms();
    if (!c->on || c->elsewhere || now_ms < c->look_ms || !acks_have_told(c->acks))
        return 0;
    if (!c->holds)
        c->held_ms = 0;
    c->holds = false;
    if (!copying_left(c)) {
        copy_table_close(&c->reader);
        c->look_ms = now_ms + LOCKED_MS;
        return 0;
    }
    c->look_ms = now_ms + LOOK_AGAIN_MS;
    if (c->joined && note_running(c, err))
        return -1;
    for (struct copying_table *t = c->tables; t; t = t->hh.next)
        if (is_due(c, t) && t->lsn != 0 && t->lsn <= passed_lsn && now_ms >= t->look_ms) {
            c->look_ms = 0;
            return copy_table(c, t, err);
        }
    return describe_some(c, err);
}
