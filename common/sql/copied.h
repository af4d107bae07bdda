/*
 * copied.h - how far the copy of a table has come, as pg2any_relation remembers it: a line before
 * the relation's frame.
 *
 *   copied 0/1700000 10:20:10,14                          in one snapshot
 *   copied 0/1700000 10:20:10,14 until 0/1800000          in chunks, all of them
 *   copied 0/1700000 10:20:10,14 until 0/1800000 after 7  in chunks, the rest is to come
 *   copy due since 0/1900000                              it is to be copied, or copied again
 *
 * Behind the snapshot " beside": the rows are in a table beside the one that they are for, whose
 * place it takes when the copy is whole.
 *
 * The first LSN and the snapshot are those of the whole copy or of its first chunk, the second LSN
 * is that of the last chunk (frame.h, copy begin); what follows "after" is pg-capture's (frame.h,
 * copy end). A table without a line was not copied.
 *
 * What the first snapshot saw is in the table, so a transaction that it saw is left out when it
 * comes. It saw none that was committed at the first LSN or later. Chunks saw more and more. Until
 * the stream has passed the last one's LSN the table settles: a row may be newer than what comes.
 */
#ifndef PG2ANY_COPIED_H
#define PG2ANY_COPIED_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/err.h"
#include "frames/mp_cursor.h"
#include "frames/snapshot.h"
#include "sql/driver.h"

/* The snapshot of a table that is not copied beside others that are: with the position of its first
 * transaction it has nothing of any that comes. */
#define COPIED_NOTHING "1:1:"

/* The last line before a frame: the table is one that pg2any made. */
#define COPIED_MADE "made\n"

/* How long it is where the data begins with it; otherwise 0. */
size_t copied_made_size(const uint8_t *data, size_t size);

/* Zeroed: it was not copied. */
struct copied {
    bool due;     /* nothing else is set then */
    uint64_t lsn; /* 0: it was not copied, or is due */
    struct snapshot snapshot;
    bool beside;
    uint64_t until; /* 0: in one snapshot */
    char *after;    /* NULL: the copy is whole */
};

/* Appends the line of a copy, or of its first chunk. */
void copied_put(struct buf *out, uint64_t lsn, struct bytes snapshot, bool beside);

/* Reads the line where `frame` begins with one, and how long it is; otherwise *size is 0. A line
 * that is none is a permanent error. copied_free() also then. */
MUST_CHECK int copied_parse(struct copied *c, const struct buf *frame, size_t *size,
                            struct err *err);
void copied_free(struct copied *c);

/* Changes the line that `frame` begins with: a chunk has come. `after` empty: it was the last. */
MUST_CHECK int copied_advance(struct buf *frame, uint64_t until, struct bytes after,
                              struct err *err);

/* The table beside has taken its place. */
MUST_CHECK int copied_set_placed(struct buf *frame, struct err *err);

/* Puts the line that a copy is due in its place, or where there is none. */
MUST_CHECK int copied_set_due(struct buf *frame, uint64_t lsn, struct err *err);

/* Whether the table has what the transaction did to it. */
static inline bool copied_has(const struct copied *c, const struct source_txn *txn)
{
    return txn->commit_lsn < c->lsn && snapshot_sees(&c->snapshot, txn->xid);
}

/* Whether rows of the table may be newer than what the transaction did to them. */
static inline bool copied_settles(const struct copied *c, const struct source_txn *txn)
{
    return c->after || txn->commit_lsn < c->until;
}

#endif
