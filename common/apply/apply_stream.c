#include "apply/apply_stream.h"

#include <inttypes.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>

#include "apply/apply_replay.h"
#include "base/log.h"
#include "base/lsn.h"
#include "base/option_name.h"
#include "frames/frame_check.h"

#define MAX_ORIGIN 256

/* ---- hello ---- */

static int get_text(struct bytes b, char *out, size_t size, const char *what, struct err *err)
{
    if (b.size >= size || memchr(b.data, '\0', b.size))
        return err_set(err, ERR_PERMANENT, "the hello frame has a %s that is no name", what);
    memcpy(out, b.data, b.size);
    out[b.size] = '\0';
    return 0;
}

static int set_origin(struct apply_stream *s, const struct frame_hello *h, struct err *err)
{
    char name[MAX_ORIGIN];
    struct apply_group *g = s->group;
    if (get_text(s->origin ? bytes_of(s->origin) : h->slot, name, sizeof name, "slot", err))
        return -1;
    if (g->origin && strcmp(name, g->origin) != 0)
        return err_set(err, ERR_PERMANENT, "the input changed from origin %s to %s", g->origin,
                       name);
    if (!g->origin)
        g->origin = strdup(name);
    if (!g->origin)
        return err_nomem(err);
    g->rows.origin = g->origin;
    return 0;
}

/* Whether the checkpoint and the slot join without a gap: 0; 1: they do not, and the user accepts
 * it. */
static int compare_checkpoint(const struct apply_stream *s, const struct frame_hello *h,
                              const struct checkpoint *c, const char *system_identifier,
                              struct err *err)
{
    if (strcmp(c->system_identifier, system_identifier) != 0) {
        (void)err_set(
            err, ERR_PERMANENT,
            "the target follows cluster %s for origin %s, but the input comes from cluster %s",
            c->system_identifier, s->group->origin, system_identifier);
        return err_hint(err, "use another --origin or another target");
    }
    if (h->timeline < c->timeline) {
        (void)err_set(err, ERR_PERMANENT,
                      "the target has followed the cluster to timeline %u, but this server is on "
                      "timeline %u: it was left behind by a failover, or restored from a backup",
                      c->timeline, h->timeline);
        return err_hint(err, "connect to the primary, or rebuild the target");
    }
    /* Input that nobody waits for an answer to may be a file, replayed into a target that has some
     * of it already. */
    bool may_be_replay = !s->group->ack.path && h->timeline == c->timeline;
    if (c->remote_lsn > h->wal_lsn && may_be_replay) {
        log_warning("the target is ahead of the server at the time of this capture", "checkpoint",
                    LSN(c->remote_lsn), "captured_at", LSN(h->wal_lsn), NULL);
    } else if (c->remote_lsn > h->wal_lsn) {
        (void)err_set(
            err, ERR_PERMANENT,
            "the target has applied up to %s, on timeline %u, but the server's WAL ends at %s, on "
            "timeline %u: %s",
            LSN(c->remote_lsn), c->timeline, LSN(h->wal_lsn), h->timeline,
            h->timeline > c->timeline ? "the failover lost transactions that the target has"
                                      : "the server was restored from a backup");
        return err_hint(err, "rebuild the target");
    }
    /* The new primary's WAL may have passed the checkpoint since; what counts is where it branched
     * off. */
    for (uint32_t i = 0; i < h->ntimelines; i++)
        if (h->timelines[i].timeline == c->timeline && c->remote_lsn > h->timelines[i].end_lsn) {
            (void)err_set(
                err, ERR_PERMANENT,
                "the target has applied up to %s of timeline %u, but the server's timeline "
                "%u branched off from it at %s: the failover lost transactions that the "
                "target has",
                LSN(c->remote_lsn), c->timeline, h->timeline, LSN(h->timelines[i].end_lsn));
            return err_hint(err, "rebuild the target");
        }
    if (c->remote_lsn >= h->start_lsn)
        return 0;
    if (s->accept_gap) {
        log_warning(OPTION_TEXT("changes are lost, and --accept-gap accepts it"), "checkpoint",
                    LSN(c->remote_lsn), "slot_start", LSN(h->start_lsn), NULL);
        return 1;
    }
    (void)err_set(
        err, ERR_PERMANENT,
        "the target has applied up to %s, but the slot %.*s %s %s: the changes between the two are "
        "gone",
        LSN(c->remote_lsn), (int)h->slot.size, h->slot.data,
        h->slot_created ? "was created again and begins at"
                        : "was recreated, or confirmed by someone else, and begins at",
        LSN(h->start_lsn));
    return err_hint(err, "rebuild the target, or accept the loss with --accept-gap");
}

static int on_hello(struct apply_stream *s, const struct frame *f, struct err *err)
{
    struct apply_group *g = s->group;
    struct frame_hello h;
    struct checkpoint c = {0};
    char system_identifier[CHECKPOINT_SYSTEM_SIZE];
    bool found;
    if (frame_get_hello(f, &h, err) || group_restart(g, err) || set_origin(s, &h, err) ||
        get_text(h.system_identifier, system_identifier, sizeof system_identifier,
                 "system identifier", err) ||
        quarantine_hello(&g->rows.quarantine, f, err))
        return -1;
    s->open = s->copying = false;
    s->told = g->rows.takes_copies = false;
    s->hello = true;
    if (target_checkpoint(g->target, g->origin, &c, &found, err))
        return -1;
    int gap = found ? compare_checkpoint(s, &h, &c, system_identifier, err) : 0;
    if (gap < 0)
        return -1;
    if (!found && h.slot_created)
        log_info("a new target: no checkpoint yet", "origin", g->origin, NULL);
    else if (!found)
        log_warning(
            "the target has no checkpoint: it begins at the slot's position, and must already have "
            "what was committed before",
            "origin", g->origin, "slot_start", LSN(h.start_lsn), NULL);
    g->checkpoint = c;
    *g->counters.checkpoint_lsn = c.remote_lsn;
    if (!found || gap || c.timeline != h.timeline) {
        if (!found || gap)
            c.remote_lsn = h.start_lsn;
        c.timeline = h.timeline;
        memcpy(c.system_identifier, system_identifier, sizeof c.system_identifier);
        if (group_put_checkpoint(g, &c, err))
            return err_context(err, "writing the checkpoint");
    }
    g->seen_lsn = h.start_lsn;
    g->seen_time_us = 0;
    s->passed_lsn = 0;
    log_info("applying", "origin", g->origin, "checkpoint", LSN(g->checkpoint.remote_lsn),
             "slot_start", LSN(h.start_lsn), NULL);
    if (ack_open(&g->ack, s->ack_timeout_ms, g->signals->fd, s->input_fd, err))
        return -1;
    return group_flush(g, err) || replay_asked(g, err) ? -1 : 0;
}

/* ---- transactions ---- */

static int on_begin(struct apply_stream *s, const struct frame *f, struct err *err)
{
    struct frame_begin b;
    if (frame_get_begin(f, &b, err))
        return -1;
    if (s->open)
        return err_set(err, ERR_PERMANENT, "begin of transaction %u within transaction %u", b.xid,
                       s->txn.xid);
    if (b.final_lsn < s->passed_lsn)
        return err_set(
            err, ERR_PERMANENT,
            "transaction %u, committed at %s, arrives after everything up to %s: out of order",
            b.xid, LSN(b.final_lsn), LSN(s->passed_lsn));
    s->open = true;
    s->skip = b.final_lsn < s->group->checkpoint.remote_lsn;
    s->txn = (struct source_txn){b.xid, b.final_lsn, b.commit_time_us};
    s->nchanges = 0;
    return 0;
}

/* That the tuples are in order, before there is a group that they would undo. */
static int check_tuples(struct apply_stream *s, const struct frame *f, struct err *err)
{
    struct frame_change change;
    struct mp_cursor tuples;
    if (frame_get_change(f, &change, &tuples, err))
        return -1;
    const struct relation *rel = relmap_get(&s->group->rows.come, change.relid);
    return rel ? frame_check_tuples(f, &change, tuples, rel->ncolumns, err) : 0;
}

static int on_change(struct apply_stream *s, const struct frame *f, struct err *err)
{
    if (!s->open)
        return err_set(err, ERR_PERMANENT, "%s outside a transaction", frame_type_name(f->type));
    if (f->type != FRAME_TRUNCATE && check_tuples(s, f, err))
        return err_context(err, "transaction %u committed at %s", s->txn.xid,
                           LSN(s->txn.commit_lsn));
    s->nchanges++;
    return s->skip ? 0 : group_hold(s->group, f, &s->txn, err);
}

/* Held with the changes, so that a repeated group meets it at the same place. */
static int on_relation(struct apply_stream *s, const struct frame *f, struct err *err)
{
    struct relation *rel;
    if (relation_from_frame(f, &rel, err))
        return -1;
    int rc = frame_check_relation(rel, err);
    if (rc == 0)
        rc = apply_rows_describe(&s->group->rows, rel, err);
    relation_unref(rel);
    if (rc)
        return -1;
    return group_hold(s->group, f, s->open && !s->skip ? &s->txn : NULL, err);
}

static int hint_other_history(struct err *err)
{
    return err_hint(
        err, "the server was restored from a backup or a snapshot and wrote another history; "
             "rebuild the target");
}

/*
 * Whether the target may really have what the checkpoint covers by its LSN. A server that went back
 * in time, by a snapshot of its disk, gives the same LSNs to other transactions. Those are
 * committed after the checkpoint's time, which is the latest of all that was applied: later than
 * that no transaction can be which the target has, however clocks were set and commits overtook
 * each other.
 */
static int check_skipped(const struct apply_stream *s, const struct frame_commit *c,
                         struct err *err)
{
    const struct checkpoint *has = &s->group->checkpoint;
    char committed[PG_TIME_TEXT_SIZE], latest[PG_TIME_TEXT_SIZE];
    if (!has->commit_time_us || c->commit_time_us <= has->commit_time_us)
        return 0;
    (void)err_set(err, ERR_PERMANENT,
                  "transaction %u, committed at %s, would count as applied, because the target has "
                  "applied up to %s; but it was committed on %s, and nothing that the target has "
                  "was committed after %s",
                  c->xid, LSN(c->commit_lsn), LSN(has->remote_lsn),
                  pg_time_text(committed, c->commit_time_us),
                  pg_time_text(latest, has->commit_time_us));
    return hint_other_history(err);
}

static int on_commit(struct apply_stream *s, const struct frame *f, struct err *err)
{
    struct frame_commit c;
    if (frame_get_commit(f, &c, err))
        return -1;
    if (!s->open || s->copying)
        return err_set(err, ERR_PERMANENT, "commit of transaction %u without its begin", c.xid);
    if (c.xid != s->txn.xid || c.commit_lsn != s->txn.commit_lsn)
        return err_set(
            err, ERR_PERMANENT,
            "the commit of transaction %u at %s does not match the begin of transaction %u at %s",
            c.xid, LSN(c.commit_lsn), s->txn.xid, LSN(s->txn.commit_lsn));
    if (c.nchanges != s->nchanges)
        return err_set(err, ERR_PERMANENT,
                       "transaction %u: %" PRIu64 " changes came, its commit says %" PRIu64, c.xid,
                       s->nchanges, c.nchanges);
    if (c.end_lsn <= c.commit_lsn)
        return err_set(err, ERR_PERMANENT, "transaction %u ends at %s, not after its commit at %s",
                       c.xid, LSN(c.end_lsn), LSN(c.commit_lsn));
    if (s->skip != (c.end_lsn <= s->group->checkpoint.remote_lsn)) {
        (void)err_set(err, ERR_PERMANENT,
                      "transaction %u, from %s to %s, lies across the checkpoint %s", c.xid,
                      LSN(c.commit_lsn), LSN(c.end_lsn), LSN(s->group->checkpoint.remote_lsn));
        return hint_other_history(err);
    }
    if (s->skip && check_skipped(s, &c, err))
        return -1;
    s->open = false;
    s->passed_lsn = c.end_lsn;
    *s->received_lsn = c.end_lsn;
    if (!s->skip)
        return group_commit_txn(s->group, &s->txn, &c, err);
    s->group->seen_lsn = c.end_lsn;
    *s->skipped += 1;
    return 0;
}

/* A transaction whose PREPARE the slot has confirmed: the target must have it already. */
static int on_commit_prepared(struct apply_stream *s, const struct frame *f, struct err *err)
{
    struct frame_commit_prepared k;
    if (frame_get_commit_prepared(f, &k, err))
        return -1;
    if (s->open)
        return err_set(err, ERR_PERMANENT, "a commit prepared frame within transaction %u",
                       s->txn.xid);
    if (k.end_lsn > s->group->checkpoint.remote_lsn) {
        (void)err_set(
            err, ERR_PERMANENT,
            "transaction %u, committed at %s: the slot confirmed its PREPARE, so its changes are "
            "not sent, but the target has applied only up to %s",
            k.xid, LSN(k.commit_lsn), LSN(s->group->checkpoint.remote_lsn));
        return err_hint(err, "rebuild the target, with a new slot");
    }
    if (k.end_lsn > s->passed_lsn)
        s->passed_lsn = k.end_lsn;
    if (k.end_lsn > s->group->seen_lsn)
        s->group->seen_lsn = k.end_lsn;
    *s->received_lsn = s->group->seen_lsn;
    *s->skipped += 1;
    return 0;
}

static int on_progress(struct apply_stream *s, const struct frame *f, struct err *err)
{
    struct frame_progress k;
    if (frame_get_progress(f, &k, err))
        return -1;
    if (s->open)
        return err_set(err, ERR_PERMANENT, "a progress frame within transaction %u", s->txn.xid);
    if (k.lsn > s->passed_lsn)
        s->passed_lsn = k.lsn;
    if (k.lsn > s->group->seen_lsn) {
        s->group->seen_lsn = k.lsn;
        s->group->seen_time_us = k.server_time_us;
    }
    *s->received_lsn = s->group->seen_lsn;
    return 0;
}

/* ---- copies ---- */

/* Lines above this size may arrive in parts (pipe(7)), so they are not sent: such a copy is asked
 * for anew. */
#define TELL_MAX PIPE_BUF

static void put_told(const struct copied *c, uint32_t relid, struct buf *lines)
{
    if ((c->due && !c->aside) ||
        (c->after && strlen(c->after) >= TELL_MAX - sizeof "copying 4294967295 \n"))
        buf_printf(lines, "again %" PRIu32 "\n", relid);
    else if (c->after)
        buf_printf(lines, "copying %" PRIu32 " %s\n", relid, c->after);
    else
        buf_printf(lines, "copied %" PRIu32 "\n", relid);
}

/* Which tables the target has, to pg-capture. */
static int tell_copies(struct apply_stream *s, struct err *err)
{
    struct apply_group *g = s->group;
    struct buf lines = {0};
    int rc = group_flush(g, err);
    if (rc == 0)
        rc = target_takes_copies(g->target, g->origin, &g->rows.takes_copies, err);
    for (uint32_t relid = 0; rc == 0;) {
        struct copied c;
        bool left_out, lacks_indexes;
        rc = target_next_copied(g->target, g->origin, &relid, &c, &left_out, &lacks_indexes, err);
        if (relid)
            put_told(&c, relid, &lines);
        if (relid)
            apply_rows_tell_lacks(relid, &c.lacks, &lines);
        bool settles = !c.after && (c.beside || c.until > g->checkpoint.remote_lsn);
        if (rc == 0 && relid)
            rc = aside_note(&g->rows.aside, relid, &c, err);
        copied_free(&c);
        if (relid == 0)
            break;
        if (rc == 0 && (lacks_indexes || settles))
            rc = apply_rows_lack_indexes(&g->rows, relid, err);
    }
    buf_append_str(&lines, g->rows.takes_copies ? "copied\n" : "copied *\n");
    if (rc == 0)
        rc = buf_check(&lines, err);
    if (rc == 0)
        rc = ack_tell(&g->ack, buf_cstr(&lines), lines.len, g->signals->fd, err);
    buf_free(&lines);
    if (rc == 0 && !g->rows.takes_copies)
        log_info("the target was begun without copies of its tables: they are taken as they are",
                 "origin", g->origin, NULL);
    if (rc) {
        g->failed = true; /* the target, perhaps: nothing more is asked of it */
        return -1;
    }
    return group_make_indexes(g, false, err);
}

int apply_stream_check_end(const struct apply_stream *s, struct err *err)
{
    struct apply_group *g = s->group;
    for (uint32_t relid = 0; g->origin && !g->ack.path;) {
        struct copied c;
        bool left_out, lacks_indexes;
        int rc =
            target_next_copied(g->target, g->origin, &relid, &c, &left_out, &lacks_indexes, err);
        bool lacks = c.lacks.len > 0;
        copied_free(&c);
        if (rc)
            return -1;
        if (relid == 0)
            break;
        if (!lacks)
            continue;
        (void)err_set(err, ERR_PERMANENT,
                      "the stream ended, and rows of relation %" PRIu32
                      " lack values that it did not have: nobody is there to be asked for them",
                      relid);
        return err_hint(err,
                        "run it with pg-capture: --ack for both; pg2any_relation has their keys");
    }
    return 0;
}

int apply_stream_look_again(struct apply_stream *s, struct err *err)
{
    struct apply_group *g = s->group;
    if (s->open)
        return 0;
    g->signals->look_again = false;
    if (!s->hello) /* which looks itself */
        return 0;
    if (group_flush(g, err) || replay_asked(g, err))
        return -1;
    /* Before that the next hello says all. */
    return s->told ? group_ask_again(g, err) : 0;
}

static int on_copy_due(struct apply_stream *s, const struct frame *f, struct err *err)
{
    struct frame_copy_due w;
    if (frame_get_copy_due(f, &w, err) || (!s->told && tell_copies(s, err)))
        return -1;
    s->told = true;
    return apply_rows_due(&s->group->rows, w.relid, err);
}

static int on_copy_begin(struct apply_stream *s, const struct frame *f, struct err *err)
{
    struct frame_copy_begin x;
    if (frame_get_copy_begin(f, &x, err))
        return -1;
    if (s->open)
        return err_set(err, ERR_PERMANENT, "a copy within transaction %u", s->txn.xid);
    s->open = s->copying = true;
    s->skip = false;
    s->txn = (struct source_txn){.commit_lsn = x.lsn};
    s->nchanges = 0;
    return group_hold(s->group, f, &s->txn, err);
}

static int on_copy_end(struct apply_stream *s, const struct frame *f, struct err *err)
{
    struct frame_copy_end x;
    if (frame_get_copy_end(f, &x, err))
        return -1;
    if (!s->copying || x.nrows != s->nchanges)
        return err_set(err, ERR_PERMANENT, "the end of a copy of %" PRIu64 " rows after %" PRIu64,
                       x.nrows, s->copying ? s->nchanges : 0);
    s->open = s->copying = false;
    return group_hold(s->group, f, &s->txn, err) ||
                   group_commit_copy(s->group, &s->txn, x.nrows, err)
               ? -1
               : 0;
}

static int on_end(struct apply_stream *s, const struct frame *f, struct err *err)
{
    struct frame_end z;
    char why[128];
    if (frame_get_end(f, &z, err))
        return -1;
    if (get_text(z.why, why, sizeof why, "reason", err))
        return err_set(err, ERR_PERMANENT, "an end frame with a reason that is no text");
    s->ended = true;
    log_info("the stream ended on purpose", "why", why, NULL);
    return 0;
}

int apply_stream_frame(struct apply_stream *s, const struct frame *f, struct err *err)
{
    struct frame_origin origin;
    struct frame_message message;
    if (!s->hello && f->type != FRAME_HELLO) {
        (void)err_set(err, ERR_PERMANENT,
                      "the input begins with a frame of type %s, not with a hello",
                      frame_type_name(f->type));
        return err_hint(err, "a stream can only be read from its start");
    }
    if (frame_check_strings(f, err))
        return -1;
    switch (f->type) {
    case FRAME_HELLO:
        return on_hello(s, f, err);
    case FRAME_RELATION:
        return on_relation(s, f, err);
    case FRAME_BEGIN:
        return on_begin(s, f, err);
    case FRAME_INSERT:
    case FRAME_UPDATE:
    case FRAME_DELETE:
    case FRAME_TRUNCATE:
        return on_change(s, f, err);
    case FRAME_COMMIT:
        return on_commit(s, f, err);
    case FRAME_COMMIT_PREPARED:
        return on_commit_prepared(s, f, err);
    case FRAME_ORIGIN:
        return frame_get_origin(f, &origin, err);
    case FRAME_MESSAGE:
        return frame_get_message(f, &message, err);
    case FRAME_PROGRESS:
        return on_progress(s, f, err);
    case FRAME_COPY_DUE:
        return on_copy_due(s, f, err);
    case FRAME_COPY_BEGIN:
        return on_copy_begin(s, f, err);
    case FRAME_COPY_END:
        return on_copy_end(s, f, err);
    case FRAME_END:
        return on_end(s, f, err);
    default:
        (void)err_set(err, ERR_PERMANENT, "a frame of type %s", frame_type_name(f->type));
        return err_hint(err, "the input of an applier comes from txn-assemble");
    }
}
