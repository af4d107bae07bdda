#include "assemble.h"

#include <inttypes.h>
#include <stdlib.h>

#include "base/log.h"
#include "base/lsn.h"
#include "frames/frame_check.h"
#include "frames/relmap.h"
#include "held.h"

enum state {
    STATE_START,    /* before H */
    STATE_OUTSIDE,  /* between transactions and blocks */
    STATE_ORDINARY, /* B … C */
    STATE_STREAM,   /* S … E */
    STATE_PREPARE,  /* b … P */
    STATE_COPY,     /* X … x */
    STATE_ENDED,    /* after Z */
};

struct assembler {
    struct assemble_sink sink;
    enum state state;
    bool first_block;         /* STATE_STREAM */
    bool only_relations;      /* STATE_STREAM: the block has had nothing else */
    struct frame_begin begin; /* STATE_ORDINARY */
    uint64_t nchanges;        /* STATE_ORDINARY: since B; STATE_COPY: since X */
    uint32_t copied;          /* STATE_COPY: the relation */
    bool copied_rows;         /* single ones of it */
    struct held *current;     /* STATE_STREAM and STATE_PREPARE */
    struct held_set held;
    /* What the server believes that we have, outside streamed transactions; marked with the order
     * in which its messages came. */
    struct relmap known;
    uint64_t nrelations;   /* that came */
    struct relmap emitted; /* what downstream has */
    uint64_t floor_lsn;    /* no transaction may commit before this any more */
    uint64_t last_lsn;     /* for Z */
    struct assemble_counters n;
};

struct assembler *assembler_new(struct store_pool *pool, const struct assemble_sink *sink)
{
    struct assembler *a = calloc(1, sizeof *a);
    if (a) {
        a->held.pool = pool;
        a->sink = *sink;
    }
    return a;
}

static void forward(struct assembler *a, const struct frame *f)
{
    buf_append(a->sink.out, frame_start(f), frame_length(f));
}

static void forget_all(struct assembler *a)
{
    a->n.aborted += a->held.n;
    held_drop_all(&a->held);
    a->current = NULL;
    relmap_clear(&a->known);
    relmap_clear(&a->emitted);
}

void assembler_free(struct assembler *a)
{
    if (!a)
        return;
    forget_all(a);
    free(a);
}

/* Puts a frame of the current transaction away. */
static int hold(struct assembler *a, const struct frame *f, struct err *err)
{
    return held_append(&a->held, a->current, frame_start(f), frame_length(f), err);
}

/* ---- relations ---- */

static int unknown_relation(uint32_t relid, struct err *err)
{
    return err_set(err, ERR_PERMANENT,
                   "a change of relation %u, which no relation frame has described", relid);
}

/*
 * Puts an R before a change that uses the version, where downstream has another or none. One that
 * came anew is another, be it the same to the byte: what was done to the table in between may be
 * nothing that shows.
 */
static int emit_relation(struct assembler *a, struct relation *version, struct err *err)
{
    const struct relation *has = relmap_get(&a->emitted, version->relid);
    if (has == version)
        return 0;
    buf_append(a->sink.out, version->frame, version->frame_size);
    return relmap_set(&a->emitted, version, err);
}

static int use_known(struct assembler *a, uint32_t relid, struct relation **version,
                     struct err *err)
{
    *version = relmap_get(&a->known, relid);
    if (!*version)
        return unknown_relation(relid, err);
    return emit_relation(a, *version, err);
}

/* The same for a change that is put away: the version goes with it. */
static int hold_known(struct assembler *a, struct held *t, uint32_t relid,
                      struct relation **version, struct err *err)
{
    *version = relmap_get(&t->relations, relid);
    if (*version)
        return 0;
    *version = relmap_get(&a->known, relid);
    if (!*version)
        return unknown_relation(relid, err);
    if (held_append(&a->held, t, (*version)->frame, (*version)->frame_size, err))
        return -1;
    return held_add_version(t, *version, *relmap_mark(&a->known, relid), false, err);
}

/* The version that a change is made with, which goes before it. */
static int relation_of(struct assembler *a, uint32_t relid, struct relation **version,
                       struct err *err)
{
    return a->current ? hold_known(a, a->current, relid, version, err)
                      : use_known(a, relid, version, err);
}

static int each_relid(struct assembler *a, uint32_t n, struct mp_cursor relids, struct err *err)
{
    struct relation *version;
    for (uint32_t i = 0; i < n; i++)
        if (relation_of(a, mp_u32(&relids), &version, err))
            return -1;
    return 0;
}

static int set_known(struct assembler *a, struct relation *version, uint64_t order, struct err *err)
{
    if (relmap_set(&a->known, version, err))
        return -1;
    *relmap_mark(&a->known, version->relid) = order;
    return 0;
}

static int on_relation(struct assembler *a, const struct frame *f, struct err *err)
{
    struct relation *version;
    if (relation_from_frame(f, &version, err))
        return -1;
    int result = frame_check_relation(version, err);
    struct held *t = a->current;
    uint64_t order = ++a->nrelations;
    if (result == 0 && t) {
        result = held_append(&a->held, t, version->frame, version->frame_size, err);
        if (result == 0)
            result = held_add_version(t, version, order, true, err);
    }
    /* What the server sends within a stream block it believes known in that transaction only,
     * whichever subtransaction it was for and whether that is rolled back or not. */
    if (result == 0 && a->state != STATE_STREAM)
        result = set_known(a, version, order, err);
    relation_unref(version);
    return result;
}

/* From the end of a streamed transaction on the server believes known what it has sent in it, but
 * for what it has sent once more since. */
static int promote(struct assembler *a, const struct held *t, struct err *err)
{
    for (size_t i = 0; i < t->nversions; i++) {
        const struct held_version *v = &t->versions[i];
        const uint64_t *known = relmap_mark(&a->known, v->rel->relid);
        if ((!known || v->order >= *known) && set_known(a, v->rel, v->order, err))
            return -1;
    }
    return 0;
}

/* ---- order of transactions ---- */

static int check_commit_lsn(const struct assembler *a, uint64_t commit_lsn, uint64_t end_lsn,
                            struct err *err)
{
    if (end_lsn <= commit_lsn)
        return err_set(err, ERR_PERMANENT, "the end LSN %s is not after the commit LSN %s",
                       LSN(end_lsn), LSN(commit_lsn));
    if (commit_lsn < a->floor_lsn)
        return err_set(
            err, ERR_PERMANENT,
            "the commit LSN %s is before %s, up to which the input claimed to be complete",
            LSN(commit_lsn), LSN(a->floor_lsn));
    return 0;
}

static void committed(struct assembler *a, uint64_t end_lsn)
{
    a->floor_lsn = end_lsn;
    a->last_lsn = end_lsn;
    a->n.transactions++;
}

/* ---- writing out a held transaction ---- */

struct replay {
    struct assembler *a;
    struct held *txn;
    struct relmap
        relations; /* the versions at this place of the store; marked where one came anew */
    uint64_t nchanges;
    uint32_t last_xid; /* the last that was looked up in the list of aborted ones */
    bool last_aborted;
};

static bool is_aborted(struct replay *r, uint32_t xid)
{
    if (r->txn->naborted == 0)
        return false;
    if (xid != r->last_xid) {
        r->last_xid = xid;
        r->last_aborted = held_is_aborted(r->txn, xid);
    }
    return r->last_aborted;
}

/*
 * The catalog did not show what the transaction had not committed yet; at its end pg-capture looks
 * again and repeats the description. Of one message the last one knows most.
 */
static int set_replay_relation(struct replay *r, const struct frame *f, struct err *err)
{
    struct relation *version;
    if (relmap_read(&r->txn->relations, f, &version, err))
        return -1;
    struct relation *last = held_same_message(r->txn, version);
    bool again = relmap_get(&r->relations, version->relid) != NULL;
    int result = relmap_set(&r->relations, last ? last : version, err);
    if (result == 0)
        *relmap_mark(&r->relations, version->relid) = again;
    relation_unref(version);
    return result;
}

static int replay_relation(struct replay *r, uint32_t relid, struct err *err)
{
    struct relation *version = relmap_get(&r->relations, relid);
    if (!version)
        BUG("a held change without its relation");
    uint64_t *again = relmap_mark(&r->relations, relid);
    if (*again)
        relmap_drop(&r->a->emitted, relid);
    *again = 0;
    return emit_relation(r->a, version, err);
}

static int replay_frame(void *arg, const struct frame *f, struct err *err)
{
    struct replay *r = arg;
    struct frame_change change;
    struct frame_truncate truncate;
    struct frame_message message;
    struct mp_cursor c;

    switch (f->type) {
    case FRAME_RELATION:
        return set_replay_relation(r, f, err);
    case FRAME_INSERT:
    case FRAME_UPDATE:
    case FRAME_DELETE:
        if (frame_get_change(f, &change, &c, err))
            return -1;
        if (is_aborted(r, change.xid)) {
            r->a->n.changes_dropped++;
            return 0;
        }
        if (replay_relation(r, change.relid, err))
            return -1;
        r->nchanges++;
        break;
    case FRAME_TRUNCATE:
        if (frame_get_truncate(f, &truncate, &c, err))
            return -1;
        if (is_aborted(r, truncate.xid)) {
            r->a->n.changes_dropped++;
            return 0;
        }
        for (uint32_t i = 0; i < truncate.nrelids; i++)
            if (replay_relation(r, mp_u32(&c), err))
                return -1;
        r->nchanges++;
        break;
    case FRAME_MESSAGE:
        if (frame_get_message(f, &message, err))
            return -1;
        if (is_aborted(r, message.xid))
            return 0;
        break;
    case FRAME_ORIGIN:
        break;
    default:
        BUG("a held frame of another type");
    }
    forward(r->a, f);
    const struct assemble_sink *sink = &r->a->sink;
    return sink->out->len >= sink->drain_bytes ? sink->drain(sink->arg, err) : 0;
}

static int write_out(struct assembler *a, struct held *t, uint64_t commit_lsn, uint64_t end_lsn,
                     int64_t commit_time_us, struct err *err)
{
    struct replay r = {.a = a, .txn = t};
    const struct frame_begin b = {t->xid, commit_lsn, commit_time_us};
    frame_put_begin(a->sink.out, &b);
    held_sort_aborted(t);
    int result = txn_store_replay(&t->store, a->held.pool->spill_dir, replay_frame, &r, err);
    relmap_clear(&r.relations);
    if (result)
        return -1;
    const struct frame_commit c = {t->xid, commit_lsn, end_lsn, commit_time_us, r.nchanges};
    frame_put_commit(a->sink.out, &c);
    a->n.changes += r.nchanges;
    a->n.replayed++;
    committed(a, end_lsn);
    return 0;
}

/* ---- one function for each type of frame ---- */

static int out_of_place(const struct assembler *a, const struct frame *f, struct err *err)
{
    static const char *const where[] = {
        [STATE_START] = "before the hello frame",
        [STATE_OUTSIDE] = "outside a transaction",
        [STATE_ORDINARY] = "inside a transaction",
        [STATE_STREAM] = "inside a stream block",
        [STATE_PREPARE] = "inside a transaction being prepared",
        [STATE_COPY] = "inside the copy of a table",
        [STATE_ENDED] = "after the end frame",
    };
    return err_set(err, ERR_PERMANENT, "unexpected %s frame %s", frame_type_name(f->type),
                   where[a->state]);
}

static int on_hello(struct assembler *a, const struct frame *f, struct err *err)
{
    struct frame_hello h;
    if (frame_get_hello(f, &h, err))
        return -1;
    forget_all(a);
    a->floor_lsn = 0;
    if (a->last_lsn < h.start_lsn)
        a->last_lsn = h.start_lsn;
    a->state = STATE_OUTSIDE;
    forward(a, f);
    return 0;
}

static int on_begin(struct assembler *a, const struct frame *f, struct err *err)
{
    if (frame_get_begin(f, &a->begin, err))
        return -1;
    a->state = STATE_ORDINARY;
    a->nchanges = 0;
    if (a->held.n > 0 && held_find(&a->held, a->begin.xid))
        return err_set(err, ERR_PERMANENT, "a begin of a transaction that is streamed or prepared");
    if (a->begin.final_lsn < a->floor_lsn)
        return err_set(err, ERR_PERMANENT,
                       "the final LSN is before %s, up to which the input claimed to be complete",
                       LSN(a->floor_lsn));
    forward(a, f);
    return 0;
}

static int on_commit(struct assembler *a, const struct frame *f, struct err *err)
{
    struct frame_commit c;
    if (frame_get_commit(f, &c, err))
        return -1;
    if (c.xid != a->begin.xid)
        return err_set(err, ERR_PERMANENT, "the commit is of xid %u", c.xid);
    if (c.commit_lsn != a->begin.final_lsn || c.commit_time_us != a->begin.commit_time_us)
        return err_set(err, ERR_PERMANENT,
                       "the commit at LSN %s does not match the begin in LSN or time",
                       LSN(c.commit_lsn));
    if (c.nchanges != a->nchanges)
        return err_set(err, ERR_PERMANENT,
                       "the commit counts %" PRIu64 " changes, but %" PRIu64 " came", c.nchanges,
                       a->nchanges);
    if (check_commit_lsn(a, c.commit_lsn, c.end_lsn, err))
        return -1;
    forward(a, f);
    a->n.changes += c.nchanges;
    committed(a, c.end_lsn);
    a->state = STATE_OUTSIDE;
    return 0;
}

/* The xid that every frame of an unstreamed transaction carries. */
static int check_xid(const struct assembler *a, uint32_t xid, struct err *err)
{
    uint32_t top = a->state == STATE_ORDINARY ? a->begin.xid : a->current->xid;
    if (xid != top)
        return err_set(err, ERR_PERMANENT, "a frame of xid %u in another transaction", xid);
    return 0;
}

/* Rows of a copy belong to no transaction. */
static int check_copied(const struct assembler *a, uint32_t xid, uint32_t relid, struct err *err)
{
    if (xid == 0 && relid == a->copied)
        return 0;
    return err_set(err, ERR_PERMANENT, "a row of relation %u and xid %u in the copy of relation %u",
                   relid, xid, a->copied);
}

static int on_change(struct assembler *a, const struct frame *f, struct err *err)
{
    struct frame_change change;
    struct mp_cursor c;
    struct relation *version;
    if (frame_get_change(f, &change, &c, err))
        return -1;
    if (a->state == STATE_COPY ? check_copied(a, change.xid, change.relid, err)
                               : a->state != STATE_STREAM && check_xid(a, change.xid, err))
        return -1;
    if (relation_of(a, change.relid, &version, err) ||
        frame_check_tuples(f, &change, c, version->ncolumns, err))
        return -1;
    if (a->current)
        return hold(a, f, err);
    a->nchanges++;
    forward(a, f);
    return 0;
}

static int on_truncate(struct assembler *a, const struct frame *f, struct err *err)
{
    struct frame_truncate t;
    struct mp_cursor relids;
    if (frame_get_truncate(f, &t, &relids, err))
        return -1;
    if (a->state != STATE_STREAM && check_xid(a, t.xid, err))
        return -1;
    if (each_relid(a, t.nrelids, relids, err))
        return -1;
    if (a->current)
        return hold(a, f, err);
    a->nchanges++;
    forward(a, f);
    return 0;
}

static int on_origin(struct assembler *a, const struct frame *f, struct err *err)
{
    struct frame_origin o;
    if (frame_get_origin(f, &o, err))
        return -1;
    if (a->state == STATE_STREAM && !a->first_block)
        return err_set(err, ERR_PERMANENT,
                       "an origin frame in a later stream block than the first");
    if (a->current)
        return hold(a, f, err);
    forward(a, f);
    return 0;
}

static int on_message(struct assembler *a, const struct frame *f, struct err *err)
{
    struct frame_message m;
    if (frame_get_message(f, &m, err))
        return -1;
    if (m.transactional != (a->state != STATE_OUTSIDE))
        return err_set(err, ERR_PERMANENT, "a %s message %s a transaction",
                       m.transactional ? "transactional" : "non-transactional",
                       m.transactional ? "outside" : "inside");
    if ((a->state == STATE_ORDINARY || a->state == STATE_PREPARE) && check_xid(a, m.xid, err))
        return -1;
    if (a->current)
        return hold(a, f, err);
    forward(a, f);
    return 0;
}

static int on_stream_start(struct assembler *a, const struct frame *f, struct err *err)
{
    struct frame_stream_start s;
    if (frame_get_stream_start(f, &s, err))
        return -1;
    struct held *t = held_find(&a->held, s.xid);
    if (t && s.first)
        return err_set(err, ERR_PERMANENT, "the stream of transaction %u starts again", s.xid);
    if (!t && !s.first)
        return err_set(err, ERR_PERMANENT,
                       "the stream of transaction %u goes on, but never started", s.xid);
    if (!t && held_add(&a->held, s.xid, &t, err))
        return -1;
    a->current = t;
    a->first_block = s.first;
    a->only_relations = true;
    a->state = STATE_STREAM;
    return 0;
}

static int on_stream_stop(struct assembler *a, const struct frame *f, struct err *err)
{
    held_block_ended(a->current, a->only_relations);
    a->current = NULL;
    a->state = STATE_OUTSIDE;
    return frame_get_stream_stop(f, err);
}

static int not_streamed(uint32_t xid, struct err *err)
{
    return err_set(err, ERR_PERMANENT, "the end of transaction %u, which was never streamed", xid);
}

static int on_stream_commit(struct assembler *a, const struct frame *f, struct err *err)
{
    struct frame_stream_commit c;
    if (frame_get_stream_commit(f, &c, err))
        return -1;
    struct held *t = held_find(&a->held, c.xid);
    if (!t || t->prepared)
        return not_streamed(c.xid, err);
    if (check_commit_lsn(a, c.commit_lsn, c.end_lsn, err) ||
        write_out(a, t, c.commit_lsn, c.end_lsn, c.commit_time_us, err) || promote(a, t, err))
        return err_context(err, "streamed transaction %u, commit LSN %s", c.xid, LSN(c.commit_lsn));
    held_drop(&a->held, t);
    return 0;
}

static int on_stream_abort(struct assembler *a, const struct frame *f, struct err *err)
{
    struct frame_stream_abort s;
    if (frame_get_stream_abort(f, &s, err))
        return -1;
    struct held *t = held_find(&a->held, s.xid);
    if (!t)
        return 0; /* the server may report the end of one of which it sent nothing */
    if (t->prepared)
        return err_set(err, ERR_PERMANENT, "a stream abort of the prepared transaction %u", s.xid);
    if (s.subxid == s.xid) {
        held_drop(&a->held, t);
        a->n.aborted++;
        return 0;
    }
    a->n.subaborts++;
    return held_add_aborted(&a->held, t, s.subxid, err);
}

static int on_begin_prepare(struct assembler *a, const struct frame *f, struct err *err)
{
    struct frame_prepare p;
    if (frame_get_prepare(f, &p, err))
        return -1;
    if (held_find(&a->held, p.xid))
        return err_set(err, ERR_PERMANENT,
                       "a begin prepare of transaction %u, which is streamed or prepared", p.xid);
    struct held *t;
    if (held_add(&a->held, p.xid, &t, err) || held_set_gid(t, p.gid, err))
        return -1;
    t->prepare_lsn = p.prepare_lsn;
    a->current = t;
    a->state = STATE_PREPARE;
    return 0;
}

static int on_prepare(struct assembler *a, const struct frame *f, struct err *err)
{
    struct frame_prepare p;
    if (frame_get_prepare(f, &p, err))
        return -1;
    struct held *t = a->current;
    if (p.xid != t->xid || p.prepare_lsn != t->prepare_lsn || !held_has_gid(t, p.gid))
        return err_set(err, ERR_PERMANENT,
                       "the prepare of transaction %u does not match its begin in xid, LSN or gid",
                       p.xid);
    held_block_ended(t, false);
    held_set_prepared(&a->held, t);
    a->current = NULL;
    a->state = STATE_OUTSIDE;
    return 0;
}

static int on_stream_prepare(struct assembler *a, const struct frame *f, struct err *err)
{
    struct frame_prepare p;
    if (frame_get_prepare(f, &p, err))
        return -1;
    struct held *t = held_find(&a->held, p.xid);
    if (!t || t->prepared)
        return not_streamed(p.xid, err);
    t->prepare_lsn = p.prepare_lsn;
    if (held_set_gid(t, p.gid, err) || promote(a, t, err))
        return -1;
    held_set_prepared(&a->held, t);
    return 0;
}

static int other_gid(uint32_t xid, struct err *err)
{
    return err_set(err, ERR_PERMANENT, "the prepared transaction %u has another gid", xid);
}

static void give_up(struct assembler *a, struct held *t)
{
    held_drop(&a->held, t);
    a->n.aborted++;
}

static int on_commit_prepared(struct assembler *a, const struct frame *f, struct err *err)
{
    struct frame_commit_prepared k;
    if (frame_get_commit_prepared(f, &k, err))
        return -1;
    struct held *t = held_find(&a->held, k.xid);
    if (!t || !t->prepared) {
        /*
         * Legal after a restart: the slot has confirmed the PREPARE, because every target had the
         * transaction, but not all up to here, because another one was not decided. The server may
         * even stream its changes again. The applier compares with its checkpoint.
         */
        if (check_commit_lsn(a, k.commit_lsn, k.end_lsn, err))
            return err_context(err, "prepared transaction %u, commit LSN %s", k.xid,
                               LSN(k.commit_lsn));
        if (t)
            give_up(a, t);
        forward(a, f);
        committed(a, k.end_lsn);
        return 0;
    }
    if (!held_has_gid(t, k.gid))
        return other_gid(k.xid, err);
    if (check_commit_lsn(a, k.commit_lsn, k.end_lsn, err) ||
        write_out(a, t, k.commit_lsn, k.end_lsn, k.commit_time_us, err) || promote(a, t, err))
        return err_context(err, "prepared transaction %u, commit LSN %s", k.xid, LSN(k.commit_lsn));
    held_drop(&a->held, t);
    return 0;
}

static int on_rollback_prepared(struct assembler *a, const struct frame *f, struct err *err)
{
    struct frame_rollback_prepared r;
    if (frame_get_rollback_prepared(f, &r, err))
        return -1;
    struct held *t = held_find(&a->held, r.xid);
    if (!t) {
        /* Legal: its PREPARE was confirmed, or before the slot's consistent point, or before
         * two_phase was on. */
        log_debug("rollback of a prepared transaction that never came", "xid", LOG_U64(r.xid),
                  NULL);
        return 0;
    }
    if (!t->prepared) {
        give_up(a, t); /* legal, as in on_commit_prepared */
        return 0;
    }
    if (!held_has_gid(t, r.gid))
        return other_gid(r.xid, err);
    give_up(a, t);
    return 0;
}

/* Announced before any change of the table, wherever that stands. */
static int on_copy_due(struct assembler *a, const struct frame *f, struct err *err)
{
    struct frame_copy_due w;
    if (frame_get_copy_due(f, &w, err))
        return -1;
    forward(a, f);
    return 0;
}

static int on_copy_begin(struct assembler *a, const struct frame *f, struct err *err)
{
    struct frame_copy_begin x;
    struct relation *version;
    if (frame_get_copy_begin(f, &x, err) || use_known(a, x.relid, &version, err))
        return -1;
    a->state = STATE_COPY;
    a->nchanges = 0;
    a->copied = x.relid;
    a->copied_rows = x.chunk == FRAME_COPY_ROWS;
    forward(a, f);
    return 0;
}

static int on_copy_end(struct assembler *a, const struct frame *f, struct err *err)
{
    struct frame_copy_end x;
    if (frame_get_copy_end(f, &x, err))
        return -1;
    if (x.relid != a->copied || x.nrows != a->nchanges)
        return err_set(err, ERR_PERMANENT,
                       "the end of the copy of relation %u after %" PRIu64
                       " rows, in that of relation %u after %" PRIu64,
                       x.relid, x.nrows, a->copied, a->nchanges);
    a->state = STATE_OUTSIDE;
    forward(a, f);
    return 0;
}

static int on_progress(struct assembler *a, const struct frame *f, struct err *err)
{
    struct frame_progress k;
    if (frame_get_progress(f, &k, err))
        return -1;
    if (k.lsn < a->floor_lsn)
        return 0;
    a->floor_lsn = k.lsn;
    a->last_lsn = k.lsn;
    forward(a, f);
    return 0;
}

static int on_end(struct assembler *a, const struct frame *f, struct err *err)
{
    struct frame_end z;
    if (frame_get_end(f, &z, err))
        return -1;
    forget_all(a);
    a->state = STATE_ENDED;
    forward(a, f);
    return 0;
}

static int on_type(const struct frame *f, struct err *err)
{
    struct frame_type_info y;
    return frame_get_type(f, &y, err);
}

/* Which frames belong where, and what they do. */
static int dispatch(struct assembler *a, const struct frame *f, struct err *err)
{
    const bool inside =
        a->state == STATE_ORDINARY || a->state == STATE_STREAM || a->state == STATE_PREPARE;
    const bool outside = a->state == STATE_OUTSIDE;

    if (f->type != FRAME_RELATION && f->type != FRAME_COPY_DUE && f->type != FRAME_STREAM_STOP)
        a->only_relations = false;
    if (a->state == STATE_STREAM && a->current->prepared && f->type != FRAME_RELATION &&
        f->type != FRAME_COPY_DUE && f->type != FRAME_STREAM_STOP && f->type != FRAME_HELLO &&
        f->type != FRAME_END)
        return err_set(err, ERR_PERMANENT, "a %s frame after the transaction was prepared",
                       frame_type_name(f->type));
    switch (f->type) {
    case FRAME_INSERT:
        return inside || a->state == STATE_COPY ? on_change(a, f, err) : out_of_place(a, f, err);
    case FRAME_DELETE:
        return inside || (a->state == STATE_COPY && a->copied_rows) ? on_change(a, f, err)
                                                                    : out_of_place(a, f, err);
    case FRAME_UPDATE:
        return inside ? on_change(a, f, err) : out_of_place(a, f, err);
    case FRAME_COPY_DUE:
        return inside || outside ? on_copy_due(a, f, err) : out_of_place(a, f, err);
    case FRAME_COPY_END:
        return a->state == STATE_COPY ? on_copy_end(a, f, err) : out_of_place(a, f, err);
    case FRAME_TRUNCATE:
        return inside ? on_truncate(a, f, err) : out_of_place(a, f, err);
    case FRAME_ORIGIN:
        return inside ? on_origin(a, f, err) : out_of_place(a, f, err);
    case FRAME_RELATION:
        return inside || outside ? on_relation(a, f, err) : out_of_place(a, f, err);
    case FRAME_TYPE:
        return inside || outside ? on_type(f, err) : out_of_place(a, f, err);
    case FRAME_MESSAGE:
        return inside || outside ? on_message(a, f, err) : out_of_place(a, f, err);
    case FRAME_HELLO:
        return a->state != STATE_ENDED ? on_hello(a, f, err) : out_of_place(a, f, err);
    case FRAME_END:
        return a->state != STATE_START && a->state != STATE_ENDED ? on_end(a, f, err)
                                                                  : out_of_place(a, f, err);
    case FRAME_COMMIT:
        return a->state == STATE_ORDINARY ? on_commit(a, f, err) : out_of_place(a, f, err);
    case FRAME_STREAM_STOP:
        return a->state == STATE_STREAM ? on_stream_stop(a, f, err) : out_of_place(a, f, err);
    case FRAME_PREPARE:
        return a->state == STATE_PREPARE ? on_prepare(a, f, err) : out_of_place(a, f, err);
    default:
        break;
    }
    if (!outside)
        return out_of_place(a, f, err);
    switch (f->type) {
    case FRAME_BEGIN:
        return on_begin(a, f, err);
    case FRAME_STREAM_START:
        return on_stream_start(a, f, err);
    case FRAME_STREAM_COMMIT:
        return on_stream_commit(a, f, err);
    case FRAME_STREAM_ABORT:
        return on_stream_abort(a, f, err);
    case FRAME_BEGIN_PREPARE:
        return on_begin_prepare(a, f, err);
    case FRAME_STREAM_PREPARE:
        return on_stream_prepare(a, f, err);
    case FRAME_COMMIT_PREPARED:
        return on_commit_prepared(a, f, err);
    case FRAME_ROLLBACK_PREPARED:
        return on_rollback_prepared(a, f, err);
    case FRAME_PROGRESS:
        return on_progress(a, f, err);
    case FRAME_COPY_BEGIN:
        return on_copy_begin(a, f, err);
    default:
        BUG("a frame type without a rule");
    }
}

int assembler_frame(struct assembler *a, const struct frame *f, struct err *err)
{
    if (frame_check_strings(f, err) == 0 && dispatch(a, f, err) == 0)
        return buf_check(a->sink.out, err);
    if (a->state == STATE_ORDINARY)
        return err_context(err, "transaction %u, final LSN %s", a->begin.xid,
                           LSN(a->begin.final_lsn));
    if (a->state == STATE_COPY)
        return err_context(err, "the copy of relation %u", a->copied);
    if (a->current)
        return err_context(err, "%s transaction %u",
                           a->state == STATE_STREAM ? "streamed" : "prepared", a->current->xid);
    return err_context(err, "after LSN %s", LSN(a->last_lsn));
}

bool assembler_ended(const struct assembler *a)
{
    return a->state == STATE_ENDED;
}

void assembler_stop(struct assembler *a, const char *why)
{
    if (a->state == STATE_START || a->state == STATE_ENDED)
        return;
    const struct frame_end z = {bytes_of(why), a->last_lsn};
    frame_put_end(a->sink.out, &z);
    forget_all(a);
    a->state = STATE_ENDED;
}

struct assemble_counters assembler_counters(const struct assembler *a)
{
    struct assemble_counters n = a->n;
    n.open = a->held.n;
    n.open_prepared = a->held.nprepared;
    return n;
}
