/*
 * copy_table.h - the rows of one table, as one snapshot sees them, into frames.
 *
 * Over an ordinary connection of its own: a REPEATABLE READ transaction that locks the table in
 * ACCESS SHARE mode before it takes its snapshot, because TRUNCATE and rewrites of a table do not
 * heed older snapshots (PostgreSQL documentation, "Caveats" of MVCC). While the lock is held nobody
 * changes the table's definition.
 */
#ifndef PG2ANY_COPY_TABLE_H
#define PG2ANY_COPY_TABLE_H

#include <stdbool.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/err.h"
#include "copy_progress.h"
#include "frames/frame_output.h"
#include "frames/relation.h"
#include "frames/snapshot.h"
#include "session.h"

/* Where the frames go, who counts the rows, and who makes room there: waits until little is left of
 * what is not written yet. */
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
    size_t npublications;
    const char *const *publications; /* borrowed */

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
 * Opens the transaction, the lock and the snapshot. *opened: COPY_LOCKED where somebody has the
 * table locked, or has just renamed it, COPY_GONE where there is no such table any more; nothing is
 * open then. Permanent error where the table may not be read, or the server is a standby, whose
 * snapshots leave transactions out.
 */
MUST_CHECK int copy_table_open(struct copy_table *t, uint32_t relid, enum copy_opened *opened,
                               struct err *err);

/* Appends copy begin, the rows, copy end. After an error the stream has no end of the copy. */
MUST_CHECK int copy_table_rows(struct copy_table *t, const struct relation *rel,
                               const struct copy_output *o, uint64_t *nrows, struct err *err);

/* Ends the transaction; one that fails to is closed with its connection. */
void copy_table_end(struct copy_table *t);
void copy_table_close(struct copy_table *t);

#endif
