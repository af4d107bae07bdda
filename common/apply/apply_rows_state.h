/*
 * apply_rows_state.h - what apply_rows.c, apply_plan.c and apply_copies.c share of struct
 * apply_rows.
 */
#ifndef PG2ANY_APPLY_ROWS_STATE_H
#define PG2ANY_APPLY_ROWS_STATE_H

#include <stdbool.h>
#include <stdint.h>

#include "apply/net_effect.h"
#include "base/err.h"
#include "base/hash.h"
#include "frames/frame.h"
#include "frames/relation.h"
#include "sql/table.h"

#define RUN_ROWS 1000

struct apply_rows;
struct quarantine_table;

struct apply_relation {
    uint32_t relid;
    struct relation *settled;      /* as of the last commit; NULL: met in this group */
    struct relation *recent;       /* from this group; NULL: none */
    struct target_table *table;    /* bound to the newer of the two; NULL: not bound */
    bool left_out;                 /* not bound: its changes are, in this group */
    struct quarantine_table *kept; /* left out, and kept there; NULL: they are not */
    bool awaits_copy;              /* that is why: nobody asked for them to be */
    bool said;                     /* so in the log */
    bool copied;                   /* in this group */
    bool copy_came;                /* the same, whether its rows went in or are left out */
    bool copy_lost;                /* in this group it was found that it has to be copied anew */
    enum row_order order;          /* while it is bound */
    struct net_table net;
    UT_hash_handle hh;
};

/* A relation that will be copied in this stream. */
struct apply_due {
    uint32_t relid;
    bool awaited;
    UT_hash_handle hh;
};

static inline struct relation *rows_current(const struct apply_relation *r)
{
    return r->recent ? r->recent : r->settled;
}

/* ---- apply_rows.c ---- */

/* NULL: it was not described. */
struct apply_relation *rows_find(struct apply_rows *a, uint32_t relid);
/* NULL: it will not be copied in this stream. */
struct apply_due *rows_find_due(const struct apply_rows *a, uint32_t relid);
void rows_await(struct apply_rows *a, uint32_t relid, bool awaited);

/* Binds the relation that a change is of, or finds out that its changes are left out. */
MUST_CHECK int rows_bound(struct apply_rows *a, uint32_t relid, const struct source_txn *txn,
                          struct apply_relation **out, struct err *err);
void rows_unbind(struct apply_rows *a, struct apply_relation *r);

/* An error of a table names it, and how to go on without it; or sets it aside. Returns -1. */
int rows_table_failed(struct apply_rows *a, struct relation *rel, const struct source_txn *txn,
                      struct err *err);

void rows_forget_run(struct apply_rows *a);

/* Changes of a kind are in. */
void rows_count(struct apply_rows *a, const struct relation *rel, enum change_kind kind,
                uint64_t n);

/* An error of the run names its table and its transaction, which is *failed. Returns -1. */
int rows_run_failed(struct apply_rows *a, const struct source_txn **failed, struct err *err);

/* A change as its frame has it; its tuples lie in `values`, which has room for two. */
struct read_change {
    struct frame_change head;
    enum change_kind kind;
    struct mp_cursor cursor; /* behind the head */
};

/* Reads its tuples; a permanent error where they are not those of the relation. */
MUST_CHECK int rows_read(struct read_change *c, const struct frame *f, const struct relation *rel,
                         struct value *values, struct row_change *row, struct err *err);

/* ---- apply_plan.c ---- */

MUST_CHECK int plan_init(struct apply_rows *a, struct err *err);

/* The relation has been bound. */
void plan_bound(const struct apply_rows *a, struct apply_relation *r);

/* Whether a change of the relation may be one of the plan. */
bool plan_may_have(const struct apply_rows *a, const struct apply_relation *r,
                   const struct source_txn *txn);

/* Adds it; *added false: it is not for one. What was before it is applied where there is no room,
 * or where it is in the run. Errors as of apply_rows_frames(). */
MUST_CHECK int plan_add(struct apply_rows *a, struct apply_relation *r, struct read_change change,
                        const struct frame *f, const struct source_txn *txn, bool *added,
                        const struct source_txn **failed, struct err *err);

/* Hands the plan to the driver, in runs. */
MUST_CHECK int plan_apply(struct apply_rows *a, const struct source_txn **failed, struct err *err);

/* ---- apply_copies.c ---- */

/* X and x. Errors as of apply_rows_frames(). */
MUST_CHECK int copies_begin(struct apply_rows *a, const struct frame *f,
                            const struct source_txn *txn, const struct source_txn **failed,
                            struct err *err);
MUST_CHECK int copies_end(struct apply_rows *a, const struct frame *f, const struct source_txn *txn,
                          const struct source_txn **failed, struct err *err);

/* A change within a copy: whether it belongs there; and when it is one of its rows, that it is not
 * lacked any more. */
MUST_CHECK int copies_check(const struct apply_rows *a, const struct frame *f,
                            const struct frame_change *change, struct err *err);
MUST_CHECK int copies_note_answer(struct apply_rows *a, const struct apply_relation *r,
                                  const struct row_change *row, struct err *err);

/* The rows of the run that a->lacks names could not be written: the target records that, and they
 * are requested from the source. Until they arrive, the table settles. */
MUST_CHECK int copies_lack_rows(struct apply_rows *a, struct apply_relation *r,
                                const struct source_txn *txn, struct err *err);

/* The copy cannot be continued: the table is copied again, in one snapshot. Its changes are left
 * out until then. */
MUST_CHECK int copies_begin_whole(struct apply_rows *a, struct apply_relation *r,
                                  const struct source_txn *txn, const char *reason,
                                  struct err *err);

#endif
