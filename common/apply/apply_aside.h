/*
 * apply_aside.h - the tables that are set aside at a target (copied.h), and those that must be.
 *
 * If the user has chosen so, a permanent error of one table sets that table aside. The group is
 * rolled back and repeated. At the transaction that failed, the target records that the table is
 * set aside, in the target transaction that leaves its changes out from there on. So the decision
 * becomes durable with the first commit that follows it, and the fact that there is such a commit
 * shows that the error belonged to that table. Each repeat has one table less that can fail.
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

/* Notes whether a relation is set aside, by what the target remembers of its copy. */
MUST_CHECK int aside_note(struct apply_aside *a, uint32_t relid, const struct copied *copied,
                          struct err *err);
void aside_forget_all(struct apply_aside *a);

/* An error of a table in that transaction is being returned; it sets the table aside if allowed. */
void aside_fail(struct apply_aside *a, struct relation *rel, const struct source_txn *txn,
                bool conflict, const struct err *err);

/* Whether the returned error sets a table aside; the group must then be repeated. */
bool aside_decide(struct apply_aside *a, struct err *err);

/* The next fault from whose transaction on a table must be set aside and is not yet; NULL: none. */
struct aside_fault *aside_due(const struct apply_aside *a, const struct source_txn *txn);

/* The target's transaction was rolled back: an undecided error does not count. It was committed:
 * recorded faults are logged, and all faults are forgotten, but not their tables. */
void aside_rolled_back(struct apply_aside *a);
void aside_committed(struct apply_aside *a);

#endif
