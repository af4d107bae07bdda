/*
 * dest_row.h - a run one row at a time: what a driver does with rows that cannot share a statement,
 * or that have to be told apart after one has failed; and what becomes of a conflict. The driver
 * gives the three statements.
 */
#ifndef PG2ANY_DEST_ROW_H
#define PG2ANY_DEST_ROW_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"
#include "frames/value.h"
#include "sql/dest.h"
#include "sql/identity.h"

struct dest_row_ops {
    /* *exists: a unique index of the target holds the row, or another with the same key. */
    int (*insert)(struct dest *d, struct dest_run *run, const struct value *values, bool *exists,
                  struct err *err);
    /* Writes the columns flagged of row->new to the row with identity_of_row(row); an unchanged
     * value among them is that of the identity. *matched: rows found. */
    int (*update)(struct dest *d, struct dest_run *run, const uint8_t *columns,
                  const struct dest_row *row, uint64_t *matched, struct err *err);
    int (*remove)(struct dest *d, struct dest_run *run, const struct value *identity,
                  uint64_t *matched, struct err *err);
};

/* Applies row `i`; sets run->failed with an error. `scratch`: a flag for each column. */
MUST_CHECK int dest_row_apply(struct dest *d, struct dest_run *run, size_t i,
                              const struct dest_row_ops *ops, const struct identity *identity,
                              uint8_t *scratch, struct err *err);

/* The tuple of an UPDATE with the values that were not sent taken from the old one, where that has
 * them; for free(). */
struct value *dest_row_whole(const struct dest_run *run, const struct dest_row *row);

#endif
