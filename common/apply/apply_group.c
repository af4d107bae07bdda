#include "apply/apply_group.h"

#include <poll.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "base/lsn.h"

#define TRIES          8
#define RETRY_FIRST_MS 50
#define RETRY_LAST_MS  2000
#define BUSY_US        100000 /* between two groups: longer, and nobody is in a hurry */
#define MUCH_PER_MS    30     /* changes: a thousand small transactions a second are far less */
#define GATHER_US      10000
#define LAG_SHOWN_MS   5000 /* how long the last commit's lag stands for the present one */

void group_free(struct apply_group *g)
{
    table_counts_free(&g->conflicts.tables);
    apply_rows_free(&g->rows);
    ack_close(&g->ack);
    buf_free(&g->held);
    free(g->txns);
    free(g->origin);
}

/* It never goes back. A copy is held at the place where the stream is, which may be behind what the
 * target has. Commits are not in the order of their times, and clocks are set. */
static struct checkpoint checkpoint_at(struct checkpoint c, uint64_t lsn, int64_t time_us)
{
    if (lsn > c.remote_lsn)
        c.remote_lsn = lsn;
    if (time_us && (!c.commit_time_us || time_us > c.commit_time_us))
        c.commit_time_us = time_us;
    return c;
}

/* With the first `n` held transactions. */
static struct checkpoint checkpoint_with(const struct apply_group *g, size_t n)
{
    struct checkpoint c = g->checkpoint;
    for (size_t i = 0; i < n; i++)
        c = checkpoint_at(c, g->txns[i].end_lsn, g->txns[i].txn.commit_time_us);
    return c;
}

/* With all that has come and is whole. */
static struct checkpoint checkpoint_seen(const struct apply_group *g)
{
    return checkpoint_at(checkpoint_with(g, g->ntxns), g->seen_lsn, g->seen_time_us);
}

static int commit(struct apply_group *g, const struct checkpoint *checkpoint, struct err *err)
{
    if (apply_rows_keep(&g->rows, err) || target_commit(g->target, g->origin, checkpoint, err))
        return err_context(err, "commit up to %s", LSN(checkpoint->remote_lsn));
    return 0;
}

/* The target has committed up to this checkpoint. */
static void settled(struct apply_group *g, const struct checkpoint *checkpoint)
{
    g->checkpoint = *checkpoint;
    apply_rows_commit(&g->rows);
    conflicts_commit(&g->conflicts);
    *g->counters.commits += 1;
    *g->counters.checkpoint_lsn = checkpoint->remote_lsn;
    stats_progress(g->stats);
}

/* And there were changes in it, which began to be applied then; the last was committed then. */
static void settled_changes(struct apply_group *g, int64_t begun_us, int64_t commit_time_us)
{
    stats_observe(g->counters.durations, monotonic_us() - begun_us);
    if (!commit_time_us)
        return;
    *g->counters.commit_time = (uint64_t)(commit_time_us / 1000000 + PG_EPOCH_UNIX_S);
    g->settled_ms = monotonic_ms();
    g->settled_lag_ms = (pg_time_now_us() - commit_time_us) / 1000;
}

int64_t group_lag_ms(const struct apply_group *g, int64_t open_commit_us)
{
    int64_t oldest_us = g->ntxns > 0 ? g->txns[0].txn.commit_time_us : open_commit_us;
    int64_t lag_ms = 0;
    if (oldest_us)
        lag_ms = (pg_time_now_us() - oldest_us) / 1000;
    else if (g->settled_ms && monotonic_ms() - g->settled_ms < LAG_SHOWN_MS)
        lag_ms = g->settled_lag_ms;
    return lag_ms > 0 ? lag_ms : 0; /* the source's clock may be ahead */
}

static int reset(struct apply_group *g, struct err *err)
{
    apply_rows_rollback(&g->rows);
    conflicts_reset(&g->conflicts);
    return target_reset(g->target, err);
}

/* ---- one group ---- */

/*
 * Begins, and makes sure under the lock of the transaction that nobody has moved the checkpoint: a
 * program of before a restart that still has input, or an old session whose commit came through
 * after all.
 */
static int begin(struct apply_group *g, struct err *err)
{
    struct checkpoint now = {0};
    bool found;
    if (target_begin(g->target, g->origin, &now, &found, err))
        return -1;
    if ((found ? now.remote_lsn : 0) != g->checkpoint.remote_lsn)
        return err_set(err, ERR_RETRY, "the checkpoint moved from %s to %s",
                       LSN(g->checkpoint.remote_lsn), LSN(now.remote_lsn));
    return 0;
}

static int apply_once(struct apply_group *g, size_t n, bool planned,
                      const struct checkpoint *checkpoint, const struct source_txn **failed,
                      struct err *err)
{
    *failed = NULL;
    g->rows.planned = planned;
    g->rows.aside.later = planned || g->alone;
    if (begin(g, err))
        return -1;
    g->rows.run.repeatable = true;
    if (g->alone && g->alone(g, g->alone_ctx, err))
        return -1;
    size_t at = 0;
    for (size_t i = 0; i < n; i++) {
        const struct held_txn *t = &g->txns[i];
        if (t->frames_end > at && apply_rows_frames(&g->rows, g->held.data + at, t->frames_end - at,
                                                    &t->txn, failed, err))
            return -1;
        apply_rows_end_txn(&g->rows, t->end_lsn);
        at = t->frames_end;
    }
    if (apply_rows_flush(&g->rows, failed, err))
        return -1;
    return commit(g, checkpoint, err);
}

/*
 * What a plan did not bring in goes in the source's order, at once: that finds the row and the
 * transaction as ever. `err` has the plan's error. Nothing is committed, because no unknown outcome
 * of a commit is permanent.
 */
static int apply_in_order(struct apply_group *g, size_t n, const struct checkpoint *checkpoint,
                          const struct source_txn **failed, struct err *err)
{
    log_debug("the group is applied again, in the source's order", "reason", err->text, NULL);
    *g->counters.unplanned += 1;
    err_clear(err);
    *failed = NULL;
    return reset(g, err) ? -1 : apply_once(g, n, false, checkpoint, failed, err);
}

/* Waits between two tries; -1 where a signal asks to stop. */
static int retry_wait(struct apply_group *g, int ms, struct err *err)
{
    struct pollfd p = {.fd = g->signals->fd, .events = POLLIN};
    if (poll(&p, 1, ms) > 0 && signals_stop(g->signals))
        return err_context(err, "asked to stop while repeating a group");
    return 0;
}

/* After a failed try: whether the commit took place all the same (1), or the group can be repeated
 * (0). */
static int recover(struct apply_group *g, const struct checkpoint *checkpoint, struct err *err)
{
    struct checkpoint now = {0};
    bool found;
    /* Until it is known whether the commit took place, its relations and conflicts are kept. */
    apply_rows_close_tables(&g->rows);
    if (target_reset(g->target, err) || target_checkpoint(g->target, g->origin, &now, &found, err))
        return -1;
    /* Where it was not to move it does not tell: a copy is made once more then. */
    if (found && now.remote_lsn == checkpoint->remote_lsn &&
        now.remote_lsn != g->checkpoint.remote_lsn) {
        target_committed(g->target);
        return 1;
    }
    uint64_t lsn = found ? now.remote_lsn : 0;
    if (lsn != g->checkpoint.remote_lsn)
        return err_set(
            err, ERR_TEMPORARY,
            "the checkpoint of origin %s moved from %s to %s while this program ran: does "
            "another one apply to the same target?",
            g->origin, LSN(g->checkpoint.remote_lsn), LSN(lsn));
    apply_rows_rollback(&g->rows);
    conflicts_reset(&g->conflicts);
    return 0;
}

/* Applies the first `n` held transactions with a checkpoint, repeating where the target asks for
 * it. */
static int apply_with_retries(struct apply_group *g, size_t n, const struct checkpoint *checkpoint,
                              const struct source_txn **failed, struct err *err)
{
    int wait_ms = RETRY_FIRST_MS;
    bool planned = g->planned && g->conflicts.policy == CONFLICT_STOP;
    for (int try = 1;; try++, planned = false) {
        int rc = apply_once(g, n, planned, checkpoint, failed, err);
        if (rc && planned && err->kind == ERR_PERMANENT)
            rc = apply_in_order(g, n, checkpoint, failed, err);
        if (rc == 0) {
            settled(g, checkpoint);
            return 0;
        }
        int done;
        if (aside_decide(&g->rows.aside, err)) {
            try = 0; /* there is a table less to fail with, which ends */
            wait_ms = RETRY_FIRST_MS;
        }
        do {
            if (err->kind != ERR_RETRY || try >= TRIES || retry_wait(g, wait_ms, err))
                return -1;
            log_warning("the group is repeated", "reason", err->text, "try", LOG_U64((uint64_t)try),
                        NULL);
            *g->counters.retries += 1;
            stats_error(g->stats, ERR_RETRY);
            wait_ms = wait_ms * 2 > RETRY_LAST_MS ? RETRY_LAST_MS : wait_ms * 2;
            *failed = NULL; /* what follows concerns the target, not a transaction */
            done = recover(g, checkpoint, err);
            try += done < 0;
            *g->counters.connected = done >= 0;
            stats_write(g->stats);
        } while (done < 0);
        err_clear(err);
        if (done) {
            settled(g, checkpoint);
            return 0;
        }
    }
}

/* What the source is to know of copies, and the LSN that may be acknowledged: durable at the target
 * and come in this stream. */
static int acknowledge(struct apply_group *g, struct err *err)
{
    struct buf *told = &g->rows.told;
    if (buf_check(told, err) ||
        ack_tell(&g->ack, (const char *)told->data, told->len, g->signals->fd, err))
        return -1;
    buf_reset(told, 0);
    uint64_t durable = g->checkpoint.remote_lsn;
    return ack_send(&g->ack, durable < g->seen_lsn ? durable : g->seen_lsn, err);
}

/* Takes the first `n` transactions out of what is held. */
static void release(struct apply_group *g, size_t n)
{
    if (n > 0) {
        size_t end = g->txns[n - 1].frames_end;
        buf_consume(&g->held, end);
        g->ntxns -= n;
        memmove(g->txns, g->txns + n, g->ntxns * sizeof *g->txns);
        for (size_t i = 0; i < g->ntxns; i++)
            g->txns[i].frames_end -= end;
    }
    if (g->held.len == 0)
        buf_reset(&g->held, 2 * g->max_bytes);
    *g->counters.held_bytes = g->held.len;
    *g->counters.transactions += n;
}

/*
 * A transaction that will never go in must not keep those before it out: they are applied, then the
 * error of the one that failed is reported.
 */
static void apply_before(struct apply_group *g, const struct source_txn *failed)
{
    size_t n = 0;
    while (n < g->ntxns && &g->txns[n].txn != failed)
        n++;
    if (n == g->ntxns || n == 0)
        return;
    struct err err = {0};
    const struct source_txn *again;
    struct checkpoint checkpoint = checkpoint_with(g, n);
    if (reset(g, &err) == 0 && apply_with_retries(g, n, &checkpoint, &again, &err) == 0) {
        release(g, n);
        if (acknowledge(g, &err) == 0)
            return;
    }
    log_warning("the transactions before the one that failed could not be applied", "reason",
                err.text, NULL);
}

/* Of the last transaction that is held; a copy has none. */
static int64_t last_commit_us(const struct apply_group *g)
{
    for (size_t i = g->ntxns; i-- > 0;)
        if (g->txns[i].txn.commit_time_us)
            return g->txns[i].txn.commit_time_us;
    return 0;
}

/* ---- indexes of copied tables ---- */

static int make_index(struct apply_group *g, uint32_t relid, bool give_up, bool *more,
                      struct err *err)
{
    return begin(g, err) || target_make_index(g->target, g->origin, relid, give_up, more, err) ||
                   commit(g, &g->checkpoint, err)
               ? -1
               : 0;
}

static int make_indexes_of(struct apply_group *g, uint32_t relid, struct err *err)
{
    bool give_up = false;
    apply_rows_close_tables(&g->rows); /* what the table is changes */
    for (bool more = true; more && !signals_stop(g->signals);) {
        struct err why = {0};
        if (make_index(g, relid, give_up, &more, &why) == 0) {
            give_up = false;
            continue;
        }
        bool for_good = why.kind == ERR_PERMANENT;
        if (!give_up)
            log_warning("an index of the source is not created", "reason", why.text, "again",
                        for_good ? "never" : "at the next start", NULL);
        if (reset(g, err))
            return -1;
        if (give_up || !for_good)
            return 0;
        give_up = more = true;
    }
    return 0;
}

int group_run_alone(struct apply_group *g, group_step_fn *step, void *ctx, struct err *err)
{
    const struct source_txn *failed;
    struct err later = {0};
    apply_rows_close_tables(&g->rows);
    g->alone = step;
    g->alone_ctx = ctx;
    int rc = apply_with_retries(g, 0, &g->checkpoint, &failed, err);
    g->alone = NULL;
    if (rc && reset(g, &later)) {
        *err = later;
        err->kind = ERR_TEMPORARY;
    }
    return rc;
}

/* The table beside takes the place of the one that readers see. */
static int take_place(struct apply_group *g, void *relid, struct err *err)
{
    return target_take_place(g->target, g->origin, *(const uint32_t *)relid, err)
               ? err_context(err, "putting a copied table into its place")
               : 0;
}

/* Whether the table is one to place and to index by now; *again: it will be. `ended`: nothing more
 * comes that it could settle with. */
static int look_whether_settled(struct apply_group *g, struct lacks_indexes *l, bool ended,
                                bool *settled, bool *again, bool *beside, struct err *err)
{
    struct copied copied;
    bool known;
    int rc = target_copied(g->target, g->origin, l->relid, &copied, &known, err);
    bool whole = rc == 0 && known && !copied.due && !copied.after && copied.lacks.len == 0;
    l->until = copied.until;
    *beside = copied.beside;
    *settled = whole && (ended || l->until <= g->checkpoint.remote_lsn);
    *again = whole && !*settled;
    copied_free(&copied);
    return rc;
}

int group_make_indexes(struct apply_group *g, bool ended, struct err *err)
{
    struct buf *lacking = &g->rows.lacking;
    struct lacks_indexes l;
    if (g->ntxns > 0 || g->partial || g->failed)
        return 0;
    for (size_t at = 0; at < lacking->len;) {
        bool settled = false, again = true, beside = false;
        memcpy(&l, lacking->data + at, sizeof l);
        if ((ended || l.until <= g->checkpoint.remote_lsn) &&
            look_whether_settled(g, &l, ended, &settled, &again, &beside, err)) {
            g->failed = true;
            return -1;
        }
        memcpy(lacking->data + at, &l, sizeof l);
        if (again) {
            at += sizeof l;
            continue;
        }
        memmove(lacking->data + at, lacking->data + at + sizeof l, lacking->len - at - sizeof l);
        lacking->len -= sizeof l;
        if (settled && ((beside && group_run_alone(g, take_place, &l.relid, err)) ||
                        make_indexes_of(g, l.relid, err))) {
            g->failed = true;
            return -1;
        }
    }
    return 0;
}

/* After a group with `nchanges` has been committed. */
static void set_pace(struct apply_group *g, uint64_t nchanges)
{
    int64_t now_us = monotonic_us(), took_us = now_us - g->flushed_us;
    bool much = took_us < BUSY_US && (int64_t)nchanges * 1000 >= took_us * MUCH_PER_MS;
    g->flushed_us = now_us;
    g->gather_us = much ? now_us + GATHER_US : 0;
}

int group_gather_ms(const struct apply_group *g)
{
    if (g->ntxns == 0 || g->gather_us == 0)
        return 0;
    int64_t left_us = g->gather_us - monotonic_us();
    return left_us > 0 ? (int)(left_us / 1000) + 1 : 0;
}

int group_flush(struct apply_group *g, struct err *err)
{
    if (g->failed || g->partial)
        return 0;
    if (g->ntxns > 0) {
        int64_t last_us = last_commit_us(g);
        struct checkpoint checkpoint = checkpoint_seen(g);
        const struct source_txn *failed;
        int64_t begun_us = monotonic_us();
        if (apply_with_retries(g, g->ntxns, &checkpoint, &failed, err)) {
            g->failed = true;
            if (err->kind == ERR_PERMANENT)
                apply_before(g, failed);
            return -1;
        }
        settled_changes(g, begun_us, last_us);
        set_pace(g, g->nchanges);
        g->nchanges = 0;
        release(g, g->ntxns);
    }
    return acknowledge(g, err) ? -1 : group_make_indexes(g, false, err);
}

int group_ask_again(struct apply_group *g, struct err *err)
{
    return group_flush(g, err) || apply_rows_ask_again(&g->rows, err) || acknowledge(g, err) ? -1
                                                                                             : 0;
}

/* ---- a transaction too large to be held ---- */

/* A transaction that is applied in parts comes again from the source. What it is then to go on
 * without is remembered before, at the place where it begins. */
static int set_aside_alone(struct apply_group *g, const struct source_txn *txn, struct err *err)
{
    const struct err why = *err;
    const struct source_txn *failed;
    g->partial = false;
    if (reset(g, err) || begin(g, err) || apply_rows_set_aside(&g->rows, txn, &failed, err) ||
        commit(g, &g->checkpoint, err))
        return -1;
    settled(g, &g->checkpoint);
    *err = why;
    err->kind = ERR_TEMPORARY;
    return err_hint(err, "the source sends a transaction of this size again");
}

/* Applies what is held of the transaction that is not whole, in a target transaction that stays
 * open. */
static int apply_part(struct apply_group *g, const struct source_txn *txn, struct err *err)
{
    const struct source_txn *failed;
    if (!g->partial) {
        g->begun_us = monotonic_us();
        if (begin(g, err))
            return -1;
    }
    g->partial = true;
    g->rows.run.repeatable = g->rows.planned = g->rows.aside.later = false;
    if (apply_rows_frames(&g->rows, g->held.data, g->held.len, txn, &failed, err) ||
        apply_rows_flush(&g->rows, &failed, err)) {
        g->failed = true;
        return aside_decide(&g->rows.aside, err) ? set_aside_alone(g, txn, err) : -1;
    }
    buf_reset(&g->held, 2 * g->max_bytes);
    *g->counters.held_bytes = 0;
    return 0;
}

static int commit_parts(struct apply_group *g, const struct source_txn *txn,
                        const struct frame_commit *c, struct err *err)
{
    struct checkpoint checkpoint = checkpoint_at(g->checkpoint, c->end_lsn, c->commit_time_us);
    if (apply_part(g, txn, err))
        return -1;
    apply_rows_end_txn(&g->rows, c->end_lsn);
    g->partial = false;
    if (commit(g, &checkpoint, err)) {
        /* The answer to the commit may be all that was lost. */
        struct err later = {0};
        if (err->kind != ERR_RETRY || recover(g, &checkpoint, &later) != 1) {
            g->failed = true;
            return -1;
        }
        err_clear(err);
    }
    settled(g, &checkpoint);
    settled_changes(g, g->begun_us, c->commit_time_us);
    *g->counters.transactions += 1;
    g->seen_lsn = c->end_lsn;
    return acknowledge(g, err) ? -1 : group_make_indexes(g, false, err);
}

/* ---- what comes in ---- */

/* Takes in relations with no transaction behind them: all that is held. Nothing that could fail at
 * the target, and so be repeated, is among them. */
static int settle_relations(struct apply_group *g, struct err *err)
{
    const struct source_txn *failed;
    if (apply_rows_frames(&g->rows, g->held.data, g->held.len, NULL, &failed, err))
        return -1;
    apply_rows_commit(&g->rows);
    buf_reset(&g->held, 2 * g->max_bytes);
    *g->counters.held_bytes = 0;
    return 0;
}

int group_hold(struct apply_group *g, const struct frame *f, const struct source_txn *txn,
               struct err *err)
{
    if (f->type == FRAME_RELATION && target_ddl_commits(g->target) && g->ntxns > 0 &&
        group_flush(g, err))
        return -1;
    buf_append(&g->held, frame_start(f), frame_length(f));
    *g->counters.held_bytes = g->held.len;
    if (buf_check(&g->held, err))
        return -1;
    if (g->held.len < g->max_bytes)
        return 0;
    if (g->ntxns > 0) {
        if (group_flush(g, err))
            return -1;
        if (g->held.len < g->max_bytes)
            return 0;
    }
    return txn ? apply_part(g, txn, err) : settle_relations(g, err);
}

int group_commit_txn(struct apply_group *g, const struct source_txn *txn,
                     const struct frame_commit *c, struct err *err)
{
    if (g->partial)
        return commit_parts(g, txn, c, err);
    if (g->ntxns == g->txns_cap) {
        size_t cap = g->txns_cap ? g->txns_cap * 2 : 64;
        struct held_txn *txns = realloc(g->txns, cap * sizeof *txns);
        if (!txns)
            return err_nomem(err);
        g->txns = txns;
        g->txns_cap = cap;
    }
    g->txns[g->ntxns++] = (struct held_txn){
        .txn = {txn->xid, txn->commit_lsn, c->commit_time_us},
        .end_lsn = c->end_lsn,
        .frames_end = g->held.len,
    };
    g->nchanges += c->nchanges;
    g->seen_lsn = c->end_lsn;
    if (g->ntxns >= g->max_transactions || g->nchanges >= g->max_changes ||
        g->held.len >= g->max_bytes)
        return group_flush(g, err);
    return 0;
}

int group_commit_copy(struct apply_group *g, const struct source_txn *txn, uint64_t nrows,
                      struct err *err)
{
    const struct frame_commit c = {.end_lsn = g->seen_lsn, .nchanges = nrows};
    return group_commit_txn(g, txn, &c, err);
}

int group_discard_open(struct apply_group *g, struct err *err)
{
    g->held.len = g->ntxns > 0 ? g->txns[g->ntxns - 1].frames_end : 0;
    bool partial = g->partial;
    g->partial = false;
    return partial ? reset(g, err) : 0;
}

int group_restart(struct apply_group *g, struct err *err)
{
    if (group_flush(g, err) || group_discard_open(g, err) || group_flush_progress(g, err))
        return -1;
    apply_rows_forget(&g->rows);
    release(g, g->ntxns);
    return 0;
}

int group_put_checkpoint(struct apply_group *g, const struct checkpoint *c, struct err *err)
{
    const struct source_txn *failed;
    if (apply_with_retries(g, 0, c, &failed, err) == 0)
        return 0;
    g->failed = true;
    return -1;
}

int group_flush_progress(struct apply_group *g, struct err *err)
{
    if (!g->origin || g->failed || g->partial || g->ntxns > 0 ||
        g->seen_lsn <= g->checkpoint.remote_lsn)
        return 0;
    struct checkpoint checkpoint = checkpoint_seen(g);
    if (group_put_checkpoint(g, &checkpoint, err))
        return -1;
    return acknowledge(g, err) ? -1 : group_make_indexes(g, false, err);
}
