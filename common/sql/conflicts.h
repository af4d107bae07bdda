/*
 * conflicts.h - the policy of --conflict, and counts of conflicts.
 */
#ifndef PG2ANY_CONFLICTS_H
#define PG2ANY_CONFLICTS_H

#include <stdint.h>

#include "base/err.h"
#include "frames/relation.h"
#include "sql/driver.h"
#include "sql/table_counts.h"

enum conflict {
    CONFLICT_INSERT_EXISTS,
    CONFLICT_UPDATE_MISSING,
    CONFLICT_DELETE_MISSING,
    CONFLICTS
};

enum conflict_action {
    CONFLICT_STOP,
    CONFLICT_APPLY,      /* make it so: insert_exists updates the row, update_missing inserts it */
    CONFLICT_SKIP,       /* leave the target as it is */
    CONFLICT_QUARANTINE, /* an error as with CONFLICT_STOP; its table is set aside for it */
};

struct conflicts {
    enum conflict_action policy;
    uint64_t pending[CONFLICTS]; /* in the group that is being applied */
    uint64_t counted[CONFLICTS]; /* in those that were committed */
    struct table_counts tables;  /* the same for the statistics, by table */
    int64_t next_log_ms;
    uint64_t unlogged;
};

/* Whether conflicts are no errors. */
static inline bool conflicts_pass(const struct conflicts *c)
{
    return c->policy == CONFLICT_APPLY || c->policy == CONFLICT_SKIP;
}

/*
 * A conflict at a row of the relation: *action is CONFLICT_APPLY or CONFLICT_SKIP, counted and
 * logged; a permanent error if the policy allows none.
 */
MUST_CHECK int conflicts_meet(struct conflicts *c, enum conflict conflict,
                              const struct relation *rel, const struct source_txn *txn,
                              enum conflict_action *action, struct err *err);

/* A group was committed: what happened in it counts. */
void conflicts_commit(struct conflicts *c);
/* A group was rolled back and will be repeated. */
void conflicts_reset(struct conflicts *c);

#endif
