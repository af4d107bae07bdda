/*
 * apply_aside.h - the tables that are set aside at a target (copied.h), and those that have to be.
 *
 * A permanent error of one table sets that aside where the user has chosen so. The group is rolled
 * back and repeated: where it comes to the transaction that failed, the target remembers that the
 * table is set aside, in the target's transaction that leaves its changes out from there on. So
 * that is durable with the first commit that goes by it and not before, and that there is such a
 * commit shows that the error was one of that table. Each repeat has a table less to fail with.
 */
#ifndef PG2ANY_APPLY_ASIDE_H
#define PG2ANY_APPLY_ASIDE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"
#include "frames/relation.h"
#include "sql/copied.h"
#include "sql/driver.h"

struct aside_table;

/* What sets a table aside. */
struct aside_fault {
    struct relation *rel;
    const struct source_txn *at; /* the group's own */
    struct source_txn txn;       /* the same */
    bool remembered;             /* by the target, in the open transaction */
    char why[COPIED_WHY_MAX];
};

/* Zeroed: none. */
struct apply_aside {
    bool refused, conflicts;    /* what the user has chosen that does */
    struct aside_fault *faults; /* in the group */
    size_t nfaults;
    bool failing; /* the last of them is the error that is on its way */
    bool later;   /* what fails is repeated in the source's order, which finds the table */
    struct aside_table *tables; /* by relid */
    uint64_t npaused, nrefused; /* of them: by a person; by what the target refused */
};

/* What the target remembers of a relation's copy says whether it is set aside. */
MUST_CHECK int aside_note(struct apply_aside *a, uint32_t relid, const struct copied *copied,
                          struct err *err);
void aside_forget_all(struct apply_aside *a);

/* An error of a table in that transaction is on its way, which sets it aside if it may. */
void aside_fail(struct apply_aside *a, struct relation *rel, const struct source_txn *txn,
                bool conflict, const struct err *err);

/* Whether the error that has arrived is such; then it is one to repeat the group after. */
bool aside_decide(struct apply_aside *a, struct err *err);

/* The next one from whose transaction on a table has to be set aside, and is not yet; NULL: there
 * is none. */
struct aside_fault *aside_due(const struct apply_aside *a, const struct source_txn *txn);

/* The target's transaction was rolled back: an error that was not decided about does not count.
 * Was committed: those that are remembered are said, and all are forgotten but for their tables. */
void aside_rolled_back(struct apply_aside *a);
void aside_committed(struct apply_aside *a);

#endif
