/*
 * conflicts.h - what --conflict says, and how often it was needed. dest_conflict() of dest.h is
 * implemented here.
 */
#ifndef PG2ANY_CONFLICTS_H
#define PG2ANY_CONFLICTS_H

#include <stdint.h>

#include "sql/dest.h"
#include "sql/table_counts.h"

struct dest_conflicts {
    enum dest_conflict_action policy;
    uint64_t pending[DEST_CONFLICTS]; /* in the group that is being applied */
    uint64_t counted[DEST_CONFLICTS]; /* in those that were committed */
    struct table_counts tables;       /* the same for the statistics, by table */
    int64_t next_log_ms;
    uint64_t unlogged;
};

/* A group was committed: what happened in it counts. */
void conflicts_commit(struct dest_conflicts *c);
/* A group was rolled back and will come again. */
void conflicts_reset(struct dest_conflicts *c);

#endif
