/*
 * copied.h - the progress of a table's copy, as pg2any_relation records it: lines before the
 * relation's frame.
 *
 *   copied 0/1700000 10:20:10,14                          in one snapshot
 *   copied 0/1700000 10:20:10,14 until 0/1800000          in chunks, all of them
 *   copied 0/1700000 10:20:10,14 until 0/1800000 after 7  in chunks, the rest is to come
 *   copy due since 0/1900000                              it is to be copied, or copied again
 *   copy due since 0/1900000 aside because …              it is set aside: nobody asks for the copy
 *   copy due since 0/1900000 file 816 0f… aside because … its changes are kept in a file
 *   lacks id\t7                                           behind one of the first three, any number
 *
 * After the snapshot, or the LSN of a copy that is due, " taken" means: the target was begun
 * without copies, and had taken the table as it was. After that, " beside" means: the rows are in a
 * separate table, which replaces the old one when the copy is complete.
 *
 * A table that is set aside stays as it is, and its changes are left out, until a person requests
 * its copy. The end of the line says why: a person's wish, or what the target has refused. If
 * everything that was left out is kept in a file (quarantine.h), the line has its length and the
 * stream's checksum at that place, which identifies it; " replay" after that means: its replay is
 * requested.
 *
 * The first LSN and the snapshot are those of the whole copy or of its first chunk, the second LSN
 * is that of the last chunk (frame.h, copy begin); what follows "after" is pg-capture's (frame.h,
 * copy end). A table without a line was not copied.
 *
 * A row that the table lacks, or that is wrong, must be read again: it is requested from the source
 * by its key (row_key.h).
 *
 * What the first snapshot saw is in the table, so a transaction that it saw is left out when it
 * arrives. It saw none that was committed at the first LSN or later. Later chunks saw more. Until
 * the stream has passed the last chunk's LSN, and while it lacks a row, the table settles: a row
 * may be newer than the changes that arrive.
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

/* The snapshot of a table that is not copied while others are: it contains none of the transactions
 * that follow its first position. */
#define COPIED_NOTHING "1:1:"

/* The last line before a frame: the table is one that pg2any made. */
#define COPIED_MADE "made\n"

/* How long it is where the data begins with it; otherwise 0. */
size_t copied_made_size(const uint8_t *data, size_t size);

/* The most rows that a table may lack, in bytes of their keys: with more, copying the whole table
 * is better. */
#define COPIED_LACKS_MAX 65536

/* The reason when a person has set a table aside. Other reasons are the target's refusals. */
#define COPIED_PAUSED "paused"

/* Maximum length of a reason, in bytes. */
#define COPIED_WHY_MAX 400

/* A file that has every change that was left out. */
struct copied_file {
    bool kept;         /* there is one, or none yet because nothing was left out */
    bool asked;        /* it is to be replayed */
    uint64_t size;     /* bytes; 0: there is none yet */
    uint64_t checksum; /* of the stream of frames at that place */
};

/* Zeroed: it was not copied. */
struct copied {
    bool due;       /* nothing but the next four is set then */
    bool taken;     /* the target was begun without copies, and had the table before this one */
    char *aside;    /* with `due`: nobody asks for it, and why; NULL: it is asked for */
    uint64_t since; /* with `due`: changes are left out that were committed there or later */
    struct copied_file file; /* with `aside` */
    uint64_t lsn;            /* 0: it was not copied, or is due */
    struct snapshot snapshot;
    bool beside;
    uint64_t until;   /* 0: in one snapshot */
    char *after;      /* NULL: the copy is whole */
    struct buf lacks; /* keys, a line each */
};

/* Appends the line of a copy, or of its first chunk. */
void copied_put(struct buf *out, uint64_t lsn, struct bytes snapshot, bool taken, bool beside);

/* Reads the line if `frame` begins with one, and its length; otherwise *size is 0. An invalid line
 * is a permanent error. Call copied_free() also then. */
MUST_CHECK int copied_parse(struct copied *c, const struct buf *frame, size_t *size,
                            struct err *err);
void copied_free(struct copied *c);

/* Changes the line that `frame` begins with: a chunk has arrived. `after` empty: it was the last.
 * */
MUST_CHECK int copied_advance(struct buf *frame, uint64_t until, struct bytes after,
                              struct err *err);

/* Adds rows that must be read again; `keys` has a line for each key. *fits: whether there was room;
 * if not, nothing is added. A table that was not copied counts as one whose copy saw nothing, at
 * `lsn`. */
MUST_CHECK int copied_add_lacks(struct buf *frame, struct bytes keys, uint64_t lsn, bool *fits,
                                struct err *err);

/* Those rows have been read again, with a snapshot of that LSN. */
MUST_CHECK int copied_take_lacks(struct buf *frame, struct bytes keys, uint64_t lsn,
                                 struct err *err);

/* The separate table has replaced the old one. */
MUST_CHECK int copied_set_placed(struct buf *frame, struct err *err);

/* Writes the line that a copy is due, in the place of another line if there is one. `first`:
 * whatever there was, treat the table as one that the target did not have. A table that is set
 * aside stays so. */
MUST_CHECK int copied_set_due(struct buf *frame, uint64_t lsn, bool first, struct err *err);

/* The same on a person's request, also for a table that is set aside. */
MUST_CHECK int copied_ask(struct buf *frame, uint64_t lsn, bool first, struct err *err);

/* The same for a table that is to be set aside; if it already was, LSN and reason stay. `keep`: its
 * changes go into a file from that LSN on, unless the table's content at that point is not exactly
 * what was committed before. */
MUST_CHECK int copied_set_aside(struct buf *frame, uint64_t lsn, bool first, const char *why,
                                bool keep, struct err *err);

/* Records what is kept of a table that is set aside; for another table nothing changes. `why`: and
 * why it is; NULL: that stays. */
MUST_CHECK int copied_set_file(struct buf *frame, const struct copied_file *file, const char *why,
                               struct err *err);

/* It is no longer set aside, and as it was before. */
MUST_CHECK int copied_set_back(struct buf *frame, struct err *err);

/* Whether a target awaits a copy of the table. `known`: it remembers the table; `takes_copies`: it
 * gets copies of tables that it does not have. */
static inline bool copied_is_awaited(const struct copied *c, bool known, bool takes_copies)
{
    return (takes_copies && !known) || (c->due && !c->aside) || c->after;
}

/* Whether the table has what the transaction did to it. */
static inline bool copied_has(const struct copied *c, const struct source_txn *txn)
{
    return txn->commit_lsn < c->lsn && snapshot_sees(&c->snapshot, txn->xid);
}

/* Whether rows of the table may be newer than what the transaction did to them. */
static inline bool copied_settles(const struct copied *c, const struct source_txn *txn)
{
    return c->after || c->lacks.len > 0 || txn->commit_lsn < c->until;
}

#endif
