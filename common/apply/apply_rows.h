/*
 * apply_rows.h - turns the frames of transactions into runs and hands them to the driver.
 *
 * It knows relations and rows, and nothing about checkpoints, groups or input. The relations of an
 * uncommitted group are kept apart from earlier ones, so that the group can be repeated from its
 * first frame.
 */
#ifndef PG2ANY_APPLY_ROWS_H
#define PG2ANY_APPLY_ROWS_H

#include <stddef.h>
#include <stdint.h>

#include "apply/apply_aside.h"
#include "apply/net_effect.h"
#include "apply/quarantine.h"
#include "base/buf.h"
#include "base/err.h"
#include "frames/relmap.h"
#include "sql/table_counts.h"
#include "sql/target.h"

struct apply_relation;

enum apply_count {
    COUNT_INSERTS,
    COUNT_UPDATES,
    COUNT_DELETES,
    COUNT_TRUNCATES,
    COUNT_LEFT_OUT,
    COUNT_RUNS,
    COUNTS
};

struct lacks_indexes {
    uint32_t relid;
    uint64_t until; /* it settles, as far as that is known (copied.h) */
};

struct apply_rows {
    struct target *target; /* borrowed */
    enum ddl_policy ddl;
    const char *origin;           /* borrowed */
    struct table_names skip;      /* --skip-table */
    bool copy_unknown;            /* --unknown copy */
    bool takes_copies;            /* of tables that the target does not have */
    bool replays;                 /* what was kept of a table that was set aside */
    uint64_t *counted[COUNTS];    /* statistics; after the commit */
    uint64_t pending[COUNTS];     /* in the group that is being applied */
    struct table_counts tables;   /* changes by table */
    struct table_counts left_out; /* the same of tables that are skipped */

    struct relmap come;               /* the last that came in, to be applied sooner or later */
    struct apply_relation *relations; /* by relid */
    struct apply_relation *last;      /* the one looked up last */
    struct apply_due *due;            /* relations that will be copied */
    uint64_t nawaited;                /* of them: not here yet */
    struct apply_aside aside;         /* tables that are left out until a person asks for them */
    struct quarantine quarantine;     /* where their changes are kept */
    struct apply_relation *copying;   /* between copy begin and end; its rows are passed over where
                                         it is not bound */
    uint32_t chunk;                   /* of that copy */
    bool ours;                        /* into a table that pg2any made */
    struct buf lacks;                 /* keys of rows that the run, or a copy's deletes, name */
    struct bytes snapshot;            /* while it is bound, if that begins the copy */
    /* Whole lines for the acknowledgement FIFO; those of the group, and those to send. */
    struct buf telling, told;
    /* Tables that settle, may lack indexes, or are not in their places, one struct lacks_indexes
     * behind the other. */
    struct buf lacking;

    /* The run in the making. */
    struct run run; /* empty while the plan has changes */
    struct row_change *rows;
    struct value *values;
    size_t nvalues;
    struct apply_relation *run_relation;

    bool planned; /* changes are arranged by their net effect, as far as that may be */
    struct net_effect plan;
};

MUST_CHECK int apply_rows_init(struct apply_rows *a, struct target *target, enum ddl_policy ddl,
                               struct conflicts *conflicts, struct err *err);
void apply_rows_free(struct apply_rows *a);

/*
 * A relation frame to be applied has arrived: keeps its content, so that apply_rows_frames() does
 * not read the frame again unless the same group has a later one of the same relid.
 */
MUST_CHECK int apply_rows_describe(struct apply_rows *a, struct relation *rel, struct err *err);

/* The relation will be copied: if the target does not hold it, its changes are left out until then.
 * */
MUST_CHECK int apply_rows_due(struct apply_rows *a, uint32_t relid, struct err *err);

/* Notes that the target may remember indexes which a relation's table is to get. */
MUST_CHECK int apply_rows_lack_indexes(struct apply_rows *a, uint32_t relid, struct err *err);

/*
 * Applies the whole frames in `frames` (R, I, U, D, T, X, x; nothing else), all of the transaction
 * `txn` as far as they are changes. Rows may stay in the run in the making, borrowed from `frames`,
 * until apply_rows_flush().
 *
 * `*failed` is set with an error to the transaction that it concerns, or NULL.
 */
MUST_CHECK int apply_rows_frames(struct apply_rows *a, const uint8_t *frames, size_t size,
                                 const struct source_txn *txn, const struct source_txn **failed,
                                 struct err *err);

/* The target remembers the tables that are to be set aside from this transaction on. */
MUST_CHECK int apply_rows_set_aside(struct apply_rows *a, const struct source_txn *txn,
                                    const struct source_txn **failed, struct err *err);

/* Hands the run in the making, or the plan, to the driver. */
MUST_CHECK int apply_rows_flush(struct apply_rows *a, const struct source_txn **failed,
                                struct err *err);

/* The source's transaction is applied, with all its frames. */
void apply_rows_end_txn(struct apply_rows *a, uint64_t end_lsn);

/* Before the target's commit: what was left out is kept, as far as it is to be. */
MUST_CHECK int apply_rows_keep(struct apply_rows *a, struct err *err);

/* Closes every table that the driver has open; they are opened again when they are needed. */
void apply_rows_close_tables(struct apply_rows *a);

/* The group is committed: its relations are the relations, its changes count. */
void apply_rows_commit(struct apply_rows *a);

/* Appends, for the acknowledgement FIFO, that the source is asked for rows with these keys. */
void apply_rows_tell_lacks(uint32_t relid, const struct buf *keys, struct buf *lines);

/* Between two groups: asks for tables that have come to be due by another hand, and rows. */
MUST_CHECK int apply_rows_ask_again(struct apply_rows *a, struct err *err);

/* The group was rolled back: forgets its run, its relations and every table that the driver has
 * open. */
void apply_rows_rollback(struct apply_rows *a);

/* A new hello: every relation will be described again. */
void apply_rows_forget(struct apply_rows *a);

#endif
