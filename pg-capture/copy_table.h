/*
 * copy_table.h - the rows of one table, or a chunk of them, as one snapshot sees them, into frames.
 *
 * It uses an ordinary connection of its own: a REPEATABLE READ transaction that locks the table in
 * ACCESS SHARE mode before it takes its snapshot, because TRUNCATE and rewrites of a table do not
 * respect older snapshots (PostgreSQL documentation, "Caveats" of MVCC). While the lock is held,
 * nobody can change the table's definition.
 *
 * LOCK TABLE needs the privilege to read the whole table. If this user may read only the published
 * columns, a query takes the snapshot and then the lock. A TRUNCATE or a rewrite between the two
 * gives the table another file; the caller must check for that.
 */
#ifndef PG2ANY_COPY_TABLE_H
#define PG2ANY_COPY_TABLE_H

#include <stdbool.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/err.h"
#include "copy_indexes.h"
#include "copy_key.h"
#include "copy_progress.h"
#include "frames/frame_output.h"
#include "frames/relation.h"
#include "frames/snapshot.h"
#include "session.h"

/* Where the frames go, who counts the rows (NULL: nobody), and who makes room there: waits until
 * little is left of what is not written yet. */
struct copy_output {
    struct frame_output *out;
    struct copy_progress *progress;
    int (*make_room)(void *ctx, struct err *err);
    void *ctx;
};

struct copy_table {
    struct session session;
    const struct source *source;     /* borrowed */
    const struct session *streaming; /* borrowed: whose server this one goes to */
    const struct waiter *waiter;     /* borrowed */
    int64_t time_limit_ms;           /* for everything but the rows */
    uint32_t columns_of;             /* a relation of which columns only may be read; 0: none */
    size_t npublications;
    const char *const *publications; /* borrowed */
    enum copy_indexes indexes;

    /* Of the open transaction: */
    char *name; /* SQL as it stands */
    bool partitioned;
    char *filter; /* of the publications; NULL: none */
    struct buf snapshot_text;
    struct snapshot snapshot;
    uint64_t lsn; /* behind every commit that it sees */
};

enum copy_opened { COPY_OPENED, COPY_LOCKED, COPY_GONE };

/*
 * Opens the transaction, the lock and the snapshot. Behind that the table may not be the one of
 * `rel` any more. *opened: COPY_LOCKED where somebody has the
 * table locked, or has just renamed it, COPY_GONE where there is no such table any more; nothing is
 * open then. Permanent error where the table may not be read, or the server is a standby, whose
 * snapshots leave transactions out.
 */
MUST_CHECK int copy_table_open(struct copy_table *t, const struct relation *rel,
                               enum copy_opened *opened, struct err *err);

/* The key to copy the table by, in the open transaction. */
MUST_CHECK int copy_table_key(struct copy_table *t, uint32_t relid, const struct relation *rel,
                              struct copy_key *key, struct err *err);

/* Whether a position is before another, both of that key. */
MUST_CHECK int copy_table_is_before(struct copy_table *t, const struct copy_key *key, const char *a,
                                    const char *b, bool *before, struct err *err);

/* A part of a table. */
struct copy_chunk {
    uint32_t number; /* frame.h, copy begin */
    /* Of a chunk: */
    const struct copy_key *key;
    uint64_t limit;   /* rows at most */
    const char *from; /* behind that position; NULL: from the first row on */
    /* Of single rows: */
    const char *rows; /* their keys, a line each; those of another key are passed over */
    /* What it was: */
    uint64_t nrows, nbytes; /* as the source has sent them */
    uint64_t nkeys;         /* of single rows that were asked for */
    struct buf next;        /* the position of its last row, where it may have more; empty: none */
};

/* Appends copy begin, the rows, copy end. After an error the stream has no end of the copy. */
MUST_CHECK int copy_table_rows(struct copy_table *t, const struct relation *rel,
                               struct copy_chunk *chunk, const struct copy_output *o,
                               struct err *err);

/* Ends the transaction; one that fails to is closed with its connection. */
void copy_table_end(struct copy_table *t);
void copy_table_close(struct copy_table *t);

#endif
