/*
 * summary.h - what a stream held, counted: frames by type, changes by table, transactions, LSNs.
 *
 * Memory grows with the number of tables.
 */
#ifndef PG2ANY_SUMMARY_H
#define PG2ANY_SUMMARY_H

#include <stdbool.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/err.h"
#include "frames/frame.h"
#include "frames/relmap.h"

struct summary_table;

/* Zeroed: nothing counted. */
struct summary {
    uint64_t frames[128]; /* by frame type, which is ASCII */
    uint64_t bytes;       /* of the input, up to here; the caller's to set */
    uint64_t committed;
    uint64_t rolled_back;
    uint64_t first_lsn; /* the lowest; 0: none yet */
    uint64_t last_lsn;  /* the highest */
    struct summary_table *tables;
};

/* Reads and counts a frame. Permanent error: the body does not hold the type's fields. */
MUST_CHECK int summary_count(struct summary *s, const struct frame *f, struct relmap *relations,
                             struct err *err);

/* Appends the counts as one JSON object on a line. `complete`: the input ended with Z. */
MUST_CHECK int summary_json(const struct summary *s, bool complete, struct buf *out,
                            struct err *err);

void summary_free(struct summary *s);

#endif
