/*
 * acks.h - what the targets have made durable: one FIFO for each, with a line "%X/%X" per LSN, and
 * lines about the copies of tables. After each hello:
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
 * A target that is apart does not get this stream, and comes back later. What it has counts for
 * what may be confirmed, and nothing else of it: it is not asked which tables it has, nor waited
 * for.
 *
 * This process is the reader of the FIFOs and makes them afresh, so that it never finds lines of an
 * earlier run in them, and keeps a writing end of its own, so that they never end. An LSN that was
 * acknowledged stays true for ever, whoever says it: an applier of before a restart as well.
 * Nothing here blocks.
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

/* Makes and opens the FIFOs; paths are borrowed. Permanent error where a path is something else. */
MUST_CHECK int acks_open(struct acks *a, const struct option_list *paths,
                         const struct option_list *apart, struct err *err);

/* Removes those that are still the ones that were made. */
void acks_close(struct acks *a);

/* Reads what is there. An LSN above `limit`, and anything that is no LSN, is a permanent error. */
MUST_CHECK int acks_read(struct acks *a, size_t i, uint64_t limit, struct err *err);

/* A new hello: the targets will say anew which tables they have. */
void acks_hello(struct acks *a);

/* Every target has said which tables it has. */
bool acks_have_told(const struct acks *a);

/* Every target has that table, and there is one. */
bool acks_have_copy(const struct acks *a, uint32_t relid);

/* A target has said since the last time that it does not have the table any more. */
bool acks_take_lost(struct acks *a, uint32_t relid);

/* A target has said that the table is to be copied in one snapshot. */
bool acks_want_whole(const struct acks *a, uint32_t relid);

/* All of a table's copy, or of rows that were lacked, is sent: every target will say what it has
 * now.
 */
MUST_CHECK int acks_sent_copy(struct acks *a, uint32_t relid, struct err *err);

/* Whether one has not said so yet. */
bool acks_wait_for_copies(const struct acks *a);

/* Whether a target has said that it lacks rows of the table. */
bool acks_lack_rows(const struct acks *a, uint32_t relid);

/* Takes the keys of those rows, a line each, appended to `keys`: the source is about to send them.
 */
void acks_take_lacks(struct acks *a, uint32_t relid, struct buf *keys);

/* Where the copy of a table may go on at the i-th target, which does not have it whole; NULL: it
 * has to begin there. *has: it is there whole. */
const char *acks_copying(const struct acks *a, size_t i, uint32_t relid, bool *has);

/* The LSN that every target that gets the stream has; 0 while one has not spoken, or there is none.
 */
uint64_t acks_lsn(const struct acks *a);

/* The LSN that every target that is apart has; 0 while one has not spoken, UINT64_MAX where there
 * is none. */
uint64_t acks_apart_lsn(const struct acks *a);

#endif
