/*
 * acks.h - what the targets have made durable: one FIFO for each target, with a line "%X/%X" per
 * LSN, and lines about the copies of tables. After each hello:
 *
 *   copied RELID           the table is there whole; also when all that was sent of it has come
 *   copying RELID NEXT     its copy came that far (frame.h, copy end)
 *   copied                 that was all; or
 *   copied *               that target was begun without copies: all other tables are there
 *
 * and at any time
 *
 *   whole RELID            the table is to be copied anew, in one snapshot
 *   again RELID            it is to be copied again
 *   lacks RELID KEY        a row of it is to be read again: names and values of columns, with tabs
 *                          between, as COPY writes them (sql/row_key.h)
 *
 * A target that is apart does not get this stream, and comes back later. Only its LSN matters, for
 * what may be confirmed: it is not asked which tables it has, and nothing waits for it.
 *
 * This process reads the FIFOs. It creates them again at each start, so that it never reads lines
 * of an earlier run, and keeps a writing end open, so that they never end. An acknowledged LSN
 * stays true for ever, even from an applier that ran before a restart. Nothing here blocks.
 */
#ifndef PG2ANY_ACKS_H
#define PG2ANY_ACKS_H

#include <limits.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "base/buf.h"
#include "base/err.h"
#include "base/options.h"

#define ACK_LINE_MAX PIPE_BUF /* longer ones may come in parts */

/* What the targets have of a table. */
struct ack_copy;

struct ack_fifo {
    const char *path;
    int fd;
    dev_t dev; /* of the FIFO that was made */
    ino_t ino;
    char line[ACK_LINE_MAX]; /* the beginning of one */
    size_t len;
    bool spoken;
    uint64_t lsn; /* the largest so far */
    bool told;    /* "copied": all that it has was said */
    bool all;     /* "copied *": it was there before, and takes everything as it is */
};

struct acks {
    size_t n;                               /* targets that get the stream */
    size_t napart;                          /* those that do not */
    struct ack_fifo fifos[OPTION_LIST_MAX]; /* of the ones, then of the others */
    struct ack_copy *copies;                /* by relid */
};

/* Creates and opens the FIFOs; paths are borrowed. Permanent error if a path is something else. */
MUST_CHECK int acks_open(struct acks *a, const struct option_list *paths,
                         const struct option_list *apart, struct err *err);

/* Removes the FIFOs, unless another process has replaced them. */
void acks_close(struct acks *a);

/* Reads all waiting lines. An LSN above `limit` and an invalid line are permanent errors. */
MUST_CHECK int acks_read(struct acks *a, size_t i, uint64_t limit, struct err *err);

/* A new hello: the targets will say again which tables they have. */
void acks_hello(struct acks *a);

/* Every target has said which tables it has. */
bool acks_have_told(const struct acks *a);

/* Every target has that table, and there is one. */
bool acks_have_copy(const struct acks *a, uint32_t relid);

/* A target has said since the last time that it does not have the table any more. */
bool acks_take_lost(struct acks *a, uint32_t relid);

/* A target has said that the table is to be copied in one snapshot. */
bool acks_want_whole(const struct acks *a, uint32_t relid);

/* A table's copy, or all rows that were requested, have been sent: every target will say what it
 * has now. / */
MUST_CHECK int acks_sent_copy(struct acks *a, uint32_t relid, struct err *err);

/* Whether one has not said so yet. */
bool acks_wait_for_copies(const struct acks *a);

/* Whether a target has said that it lacks rows of the table. */
bool acks_lack_rows(const struct acks *a, uint32_t relid);

/* Moves the keys of those rows to the end of `keys`, a line each: the source is about to send them.
 * / */
void acks_take_lacks(struct acks *a, uint32_t relid, struct buf *keys);

/* Where the copy of a table may continue at the i-th target, which has only a part of it; NULL: the
 * copy must begin there. *has: the target has the whole table. */
const char *acks_copying(const struct acks *a, size_t i, uint32_t relid, bool *has);

/* The LSN that every target that gets the stream has; 0 while one has not spoken, or there is none.
 */
uint64_t acks_lsn(const struct acks *a);

/* The LSN that every target that is apart has; 0 while one has not spoken, UINT64_MAX where there
 * is none. */
uint64_t acks_apart_lsn(const struct acks *a);

#endif
