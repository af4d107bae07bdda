/*
 * apply_group.h - source transactions on their way into the target: held in memory, applied
 * together in one target transaction with the checkpoint, repeated if the target demands it,
 * acknowledged.
 *
 * The frames of a transaction are held until its commit has arrived; whole transactions are
 * collected into a group. So no target transaction is open while the program waits for input, and a
 * group can be repeated from memory. A transaction that exceeds `max_bytes` is applied in parts, in
 * a target transaction of its own that stays open until its commit. It cannot be repeated from
 * memory; a fault in it ends the program, and the slot sends it again.
 */
#ifndef PG2ANY_APPLY_GROUP_H
#define PG2ANY_APPLY_GROUP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "apply/ack.h"
#include "apply/apply_rows.h"
#include "base/buf.h"
#include "base/err.h"
#include "base/signals.h"
#include "base/stats.h"
#include "frames/frame.h"
#include "sql/conflicts.h"
#include "sql/target.h"

/* A whole transaction among the held frames. */
struct held_txn {
    struct source_txn txn;
    uint64_t end_lsn;
    size_t frames_end; /* its frames end there in `held`; they begin where those before end */
};

struct group_counters {
    uint64_t *transactions, *commits, *retries, *unplanned, *held_bytes, *checkpoint_lsn,
        *commit_time;
    uint64_t *connected;
    struct stats_histogram *durations; /* of target commits with their changes */
};

struct apply_group;

/* The work of a target transaction that contains no source transaction. */
typedef int group_step_fn(struct apply_group *g, void *ctx, struct err *err);

struct apply_group {
    struct target *target;   /* closed by its owner, after group_free() */
    struct signals *signals; /* a wait between two tries ends when asked to stop */
    struct ack ack;
    struct apply_rows rows;
    struct conflicts conflicts;
    struct group_counters counters;
    struct stats *stats; /* borrowed: written while a group waits to be repeated */
    bool planned; /* a group is applied by its net effect (net_effect.h), and where that fails
                     again, in the source's order; --conflict has to be stop */
    uint64_t max_transactions;
    uint64_t max_changes;
    uint64_t max_bytes;

    char *origin;
    struct checkpoint checkpoint; /* as it stands in the target */
    uint64_t seen_lsn;    /* everything up to here has come: is applied, skipped or held whole */
    int64_t seen_time_us; /* the source's clock when it said so; 0: it has not */

    struct buf held; /* frames of `txns`, then of the transaction that is not whole yet */
    struct held_txn *txns;
    size_t ntxns, txns_cap;
    uint64_t nchanges;    /* of txns */
    bool partial;         /* the transaction that is not whole yet is applied in part */
    group_step_fn *alone; /* what group_run_alone() does; NULL: nothing */
    void *alone_ctx;
    bool failed;            /* a group could not be applied: nothing more goes in */
    int64_t begun_us;       /* of the target transaction that is applied in part; monotonic */
    int64_t flushed_us;     /* when a group was last committed; monotonic */
    int64_t gather_us;      /* until when it is worth waiting for more; 0: it is not */
    int64_t settled_ms;     /* when changes were last committed; monotonic */
    int64_t settled_lag_ms; /* how long after the source's commit that was */
};

/* Time since the oldest waiting change was committed at the source; if nothing waits, the delay of
 * the last one, for some seconds. `open_commit_us`: of a transaction that is arriving; 0: none. */
int64_t group_lag_ms(const struct apply_group *g, int64_t open_commit_us);

void group_free(struct apply_group *g);

/*
 * A hello has arrived: discards every relation and every frame, and rolls back what is half
 * applied. Afterwards everything that arrived whole is durable, progress too, because the slot may
 * have been confirmed up to there before the hello.
 */
MUST_CHECK int group_restart(struct apply_group *g, struct err *err);

/* Makes a checkpoint durable that belongs to no transaction. */
MUST_CHECK int group_put_checkpoint(struct apply_group *g, const struct checkpoint *c,
                                    struct err *err);

/* Holds a frame (R, I, U, D, T, X, x) of the transaction or the copy `txn`, or an R outside any
 * (NULL); may apply what is held. */
MUST_CHECK int group_hold(struct apply_group *g, const struct frame *f,
                          const struct source_txn *txn, struct err *err);

/* The commit of `txn` has arrived: it is whole. Applies the group if it is large enough. */
MUST_CHECK int group_commit_txn(struct apply_group *g, const struct source_txn *txn,
                                const struct frame_commit *c, struct err *err);

/* A copy is whole, which is held like a transaction: xid 0, and the LSN of its snapshot. */
MUST_CHECK int group_commit_copy(struct apply_group *g, const struct source_txn *txn,
                                 uint64_t nrows, struct err *err);

/*
 * Creates the indexes that settled copied tables lack; waits as long as the target takes. If one
 * cannot be created, the log says so. Call it with nothing held.
 *
 * `ended`: the stream has ended on purpose. The changes with which a table has yet to settle may
 * not exist, or not arrive for long; if an index then conflicts with one, the table is copied
 * again.
 */
MUST_CHECK int group_make_indexes(struct apply_group *g, bool ended, struct err *err);

/* The rest of the incomplete transaction will never arrive. */
MUST_CHECK int group_discard_open(struct apply_group *g, struct err *err);

/* Runs the step, with nothing held, in a target transaction, which is repeated if the target
 * demands it. A failure sets no table aside. After an error that is not temporary the group can go
 * on. */
MUST_CHECK int group_run_alone(struct apply_group *g, group_step_fn *step, void *ctx,
                               struct err *err);

/* The same as group_flush(); and asks the source for tables that have come to be due. */
MUST_CHECK int group_ask_again(struct apply_group *g, struct err *err);

/*
 * Milliseconds for which it is worth waiting for more input before group_flush(); 0: flush. Only
 * while so much has been coming that a commit for each bit of it would take more than it is worth:
 * to the target, and to the processors that the source needs.
 */
int group_gather_ms(const struct apply_group *g);

/* Applies and acknowledges every whole transaction: when the input is idle or ends. */
MUST_CHECK int group_flush(struct apply_group *g, struct err *err);

/* With nothing held, makes `seen_lsn` durable where it is beyond the checkpoint. How often progress
 * frames are worth that is the capture's to know. */
MUST_CHECK int group_flush_progress(struct apply_group *g, struct err *err);

#endif
