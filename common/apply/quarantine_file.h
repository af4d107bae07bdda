/*
 * quarantine_file.h - a file of frames with the changes of one table that is set aside: a hello,
 * and whole transactions with nothing but what they did to that table, each relation before its
 * first change. docs/FRAMES.md has the format; like an audit file it has no end frame.
 *
 * The target remembers how far the file is good: a length, and the checksum of the stream at that
 * place, which is the one in the last commit frame. What stands behind is of a transaction that the
 * target did not commit, and is written over. A file that is shorter, or another one, is refused.
 *
 * To be read it is opened anew, with a descriptor of its own.
 *
 * Order of calls: for each transaction of the target any number of [change or truncate, …,
 * end_txn], then sync, then commit or roll back. After an error the file is of no use until it is
 * rolled back.
 */
#ifndef PG2ANY_QUARANTINE_FILE_H
#define PG2ANY_QUARANTINE_FILE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/err.h"
#include "frames/frame.h"
#include "frames/frame_seal.h"
#include "frames/relation.h"
#include "sql/copied.h"
#include "sql/driver.h"

#define QUARANTINE_NAME_SIZE 128

struct quarantine_file {
    int dir_fd; /* of the directory that it is in; borrowed */
    char name[QUARANTINE_NAME_SIZE];
    uint64_t max_bytes;
    int fd;                  /* -1: it was not opened, and not looked at */
    struct copied_file good; /* as the target remembers it */
    struct frame_seal seal;  /* there */
    struct relation *rel;    /* the last that is described there; NULL: none */

    /* In the open transaction of the target: */
    bool touched;
    uint64_t written; /* bytes behind those that are good */
    struct buf pending;
    size_t sealed; /* bytes of that */
    struct frame_seal seal_now;
    struct relation *rel_now;
    bool open; /* a transaction of the source has begun */
    struct source_txn txn;
    uint64_t nchanges;
};

/* `name` is copied. */
void quarantine_file_init(struct quarantine_file *f, int dir_fd, const char *name,
                          const struct copied_file *good, uint64_t max_bytes);
void quarantine_file_close(struct quarantine_file *f);

/* Hands out the frames from the file's beginning as far as it is good, one by one; an error of
 * `take` ends that. Permanent error where it is not there, or is not the one that it should be. The
 * last frame has come then, or a part of them. */
typedef int quarantine_frame_fn(void *ctx, const struct frame *frame, struct err *err);
MUST_CHECK int quarantine_file_read(const struct quarantine_file *f, quarantine_frame_fn *take,
                                    void *ctx, struct err *err);

/* A change, as its frame has it. `hello`: the stream's frame, with which a new file begins. */
MUST_CHECK int quarantine_file_change(struct quarantine_file *f, const struct buf *hello,
                                      struct relation *rel, const struct frame *change,
                                      const struct source_txn *txn, struct err *err);

/* The table's part of a TRUNCATE. It is not one with CASCADE: what that did to other tables comes
 * to them by itself. */
MUST_CHECK int quarantine_file_truncate(struct quarantine_file *f, const struct buf *hello,
                                        struct relation *rel, const struct frame_truncate *t,
                                        const struct source_txn *txn, struct err *err);

/* The source's transaction has ended, if it had one of those. */
void quarantine_file_end_txn(struct quarantine_file *f, uint64_t end_lsn);

/* Makes all of it durable. *good: what the target is to remember. */
MUST_CHECK int quarantine_file_sync(struct quarantine_file *f, struct copied_file *good,
                                    struct err *err);

/* The target has committed; has rolled back. */
void quarantine_file_commit(struct quarantine_file *f, const struct copied_file *good);
void quarantine_file_rollback(struct quarantine_file *f);

#endif
