/*
 * quarantine.h - the changes of tables that are set aside (copied.h), each table's in a file
 * (quarantine_file.h), so that they can be replayed when what the target refused is mended.
 *
 * Before the target commits, what it left out is in the files and durable, and the target remembers
 * in the same transaction how long each is. So whatever dies when, a file has what was left out,
 * once and in order, as far as the target says that it is good.
 *
 * What cannot be kept (a full disk, a file that is another one, --quarantine-size) stops nobody:
 * the target remembers in the same transaction that the table can only be copied, and the file
 * goes.
 *
 * The directory is made when it is needed. One process at a time has it.
 */
#ifndef PG2ANY_QUARANTINE_H
#define PG2ANY_QUARANTINE_H

#include <stdbool.h>
#include <stdint.h>

#include "apply/quarantine_file.h"
#include "sql/target.h"

struct quarantine_table;

/* Zeroed: nothing is kept. */
struct quarantine {
    const char *dir; /* borrowed; NULL: nothing is kept */
    uint64_t max_bytes;
    bool opened; /* the directory */
    int dir_fd;
    struct buf hello; /* of the stream, header included */
    struct quarantine_table *tables;
    uint64_t bytes; /* in all files, as far as they are good */
};

void quarantine_free(struct quarantine *q);

/* A hello has come, with which new files begin: forgets every table. */
MUST_CHECK int quarantine_hello(struct quarantine *q, const struct frame *hello, struct err *err);

/* The table of a relation whose changes are kept, as its mark says under the lock of the target's
 * transaction; in force until that ends. Temporary error where another process has the directory.
 */
MUST_CHECK int quarantine_find(struct quarantine *q, const char *origin, struct relation *rel,
                               const struct copied_file *mark, struct quarantine_table **table,
                               struct err *err);

/* quarantine_file.h; what fails is given up. */
void quarantine_change(struct quarantine *q, struct quarantine_table *t, const struct frame *change,
                       const struct source_txn *txn);
void quarantine_truncate(struct quarantine *q, struct quarantine_table *t,
                         const struct frame_truncate *truncate, const struct source_txn *txn);

/* The source's transaction is whole. */
void quarantine_end_txn(struct quarantine *q, uint64_t end_lsn);

/* Before the target's commit: makes the files durable, and lets the target remember how long they
 * are. */
MUST_CHECK int quarantine_sync(struct quarantine *q, struct target *target, const char *origin,
                               struct err *err);

/* Hands out the frames that are kept of the relation (quarantine_file.h), with nothing of it
 * pending. */
MUST_CHECK int quarantine_read(struct quarantine *q, const char *origin, uint32_t relid,
                               const struct copied_file *mark, quarantine_frame_fn *take, void *ctx,
                               struct err *err);

/*
 * Between two transactions of the target, which relations it remembers with a file is looked at:
 * begin, note for each, end. Then files of the origin that belong to none are removed: those of
 * tables that have come back, or are to be copied. Temporary error where another process has the
 * directory.
 */
void quarantine_look_begin(struct quarantine *q);
MUST_CHECK int quarantine_look_note(struct quarantine *q, const char *origin, uint32_t relid,
                                    const struct copied_file *mark, struct err *err);
MUST_CHECK int quarantine_look_end(struct quarantine *q, const char *origin, struct err *err);

/* The target has committed; has rolled back. */
void quarantine_commit(struct quarantine *q);
void quarantine_rollback(struct quarantine *q);

#endif
