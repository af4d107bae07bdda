/*
 * table_counts.h - counters with a label for the table, which count when the target has committed.
 */
#ifndef PG2ANY_TABLE_COUNTS_H
#define PG2ANY_TABLE_COUNTS_H

#include <stdint.h>

#include "base/stats.h"
#include "frames/relation.h"

struct table_count;

struct table_counts {
    struct stats *stats; /* borrowed; NULL: nothing is counted */
    const char *name;    /* of the metric */
    const char *label;   /* beside "table" */
    const char *help;
    struct table_count *counts; /* by relid and kind */
};

/* `n` more of a kind, in the group that is being applied. `kind` is a literal: the label's value.
 * Where memory runs out they are not counted. */
void table_counts_add(struct table_counts *t, const struct relation *rel, const char *kind,
                      uint64_t n);
void table_counts_commit(struct table_counts *t);
void table_counts_reset(struct table_counts *t);
void table_counts_free(struct table_counts *t);

#endif
