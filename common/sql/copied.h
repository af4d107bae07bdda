/*
 * copied.h - that a table was copied, as pg2any_relation remembers it: a line before the relation's
 * frame, "copied 0/1700000 10:20:10,14", with the position and the snapshot of the copy
 * (frame.h, copy begin).
 *
 * What that snapshot saw is in the table, so a transaction that it saw is left out when it comes.
 * It saw none that was committed at that position or later.
 */
#ifndef PG2ANY_COPIED_H
#define PG2ANY_COPIED_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/err.h"
#include "frames/snapshot.h"
#include "sql/driver.h"

/* The snapshot of a table that is not copied beside others that are: with the position of its first
 * transaction it has nothing of any that comes. */
#define COPIED_NOTHING "1:1:"

/* Zeroed: it was not. */
struct copied {
    uint64_t lsn;
    struct snapshot snapshot;
};

/* Appends the line. */
void copied_put(struct buf *out, uint64_t lsn, const char *snapshot, size_t size);

/* Reads it where `frame` begins with one, and how long it is; otherwise *size is 0. A line that is
 * none is a permanent error. copied_free() also then. */
MUST_CHECK int copied_parse(struct copied *c, const struct buf *frame, size_t *size,
                            struct err *err);
void copied_free(struct copied *c);

/* Whether the table has what the transaction did to it. */
static inline bool copied_has(const struct copied *c, const struct source_txn *txn)
{
    return txn->commit_lsn < c->lsn && snapshot_sees(&c->snapshot, txn->xid);
}

#endif
