/*
 * acks.h - what the targets have made durable: one FIFO for each, with a line "%X/%X" per LSN, and
 * after each hello "copied RELID" for each table that is there whole, then "copied"; "copied *"
 * instead for a target that was begun without a copy.
 *
 * This process is the reader of the FIFOs and makes them afresh, so that it never finds lines of an
 * earlier run in them, and keeps a writing end of its own, so that they never end. An LSN that was
 * acknowledged stays true for ever, whoever says it: an applier of before a restart as well.
 * Nothing here blocks.
 */
#ifndef PG2ANY_ACKS_H
#define PG2ANY_ACKS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "base/err.h"
#include "base/options.h"

#define ACK_LINE_MAX 18 /* "FFFFFFFF/FFFFFFFF" or "copied 4294967295", and a newline */

/* Which targets have a table whole. */
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
    size_t n;
    struct ack_fifo fifos[OPTION_LIST_MAX];
    struct ack_copy *copies; /* by relid */
};

/* Makes and opens the FIFOs; paths are borrowed. Permanent error where a path is something else. */
MUST_CHECK int acks_open(struct acks *a, const struct option_list *paths, struct err *err);

/* Removes those that are still the ones that were made. */
void acks_close(struct acks *a);

/* Reads what is there. An LSN above `limit`, and anything that is no LSN, is a permanent error. */
MUST_CHECK int acks_read(struct acks *a, size_t i, uint64_t limit, struct err *err);

/* A new hello: the targets will say anew which tables they have. What they said stays true. */
void acks_hello(struct acks *a);

/* Every target has said which tables it has. */
bool acks_have_told(const struct acks *a);

/* Every target has that table, and there is one. */
bool acks_have_copy(const struct acks *a, uint32_t relid);

/* The LSN that every target has; 0 while one has not spoken, or there is none. */
uint64_t acks_lsn(const struct acks *a);

#endif
