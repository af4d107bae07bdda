/*
 * identity.h - the columns by which a row of a relation is found at the target, and the columns
 * that an UPDATE must write. The same for every driver.
 *
 * A row is found by the replica identity. Under FULL it is found by the primary key if there is
 * one, otherwise by all columns: then several rows may be equal, and one of them is meant.
 *
 * A row of a partition with an unknown replica identity is found by what was sent of the old row.
 * The source has such a row; if the target has exactly one, it is that row.
 */
#ifndef PG2ANY_IDENTITY_H
#define PG2ANY_IDENTITY_H

#include <stdbool.h>
#include <stdint.h>

#include "base/err.h"
#include "frames/relation.h"
#include "frames/value.h"
#include "sql/driver.h"

struct identity {
    uint32_t n; /* 0: rows cannot be found, only inserted; or the relation has no columns */
    uint32_t *columns;
    bool by_all_columns; /* they do not identify a row: compare NULL-safely, touch one of several */
};

MUST_CHECK int identity_init(struct identity *id, const struct relation *rel, struct err *err);
/* Of columns that were listed; of those that an old tuple of a partition has. */
MUST_CHECK int identity_of_columns(struct identity *id, const struct relation *rel,
                                   const uint32_t *columns, uint32_t n, struct err *err);
MUST_CHECK int identity_of_old(struct identity *id, const struct relation *rel,
                               const struct value *old, struct err *err);
bool identity_same(const struct identity *a, const struct identity *b);
/* Whether a tuple has all its columns. */
bool identity_is_in(const uint32_t *columns, uint32_t n, const struct value *values);
void identity_free(struct identity *id);

/* Permanent error where rows cannot be found. */
MUST_CHECK int identity_require(const struct identity *id, struct err *err);

/* The tuple that holds the identity of the row to update or delete, as it was. */
const struct value *identity_of_row(const struct row_change *row);

/* Whether two tuples have the same in its columns. */
bool identity_same_row(const struct identity *id, const struct value *a, const struct value *b);

/*
 * Flags the columns that an UPDATE must write: those that were sent, except an unchanged identity,
 * because writing it would make a database update its index. At least one column is flagged.
 */
void identity_choose_columns(const struct identity *id, const struct relation *rel,
                             const struct row_change *row, uint8_t *flags);

#endif
