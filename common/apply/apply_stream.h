/*
 * apply_stream.h - an applier's reader of a committed stream: checks the order of frames, compares
 * the checkpoint, skips what it covers, and passes the rest to the group (apply_group.h).
 */
#ifndef PG2ANY_APPLY_STREAM_H
#define PG2ANY_APPLY_STREAM_H

#include <stdbool.h>
#include <stdint.h>

#include "apply/apply_group.h"
#include "base/err.h"
#include "frames/frame.h"

struct apply_stream {
    struct apply_group *group;
    const char *origin; /* --origin; NULL: the slot's name */
    bool accept_gap;
    int64_t ack_timeout_ms;
    int input_fd;                     /* whose end ends the wait for the FIFO's reader; -1: none */
    uint64_t *skipped, *received_lsn; /* statistics */

    bool hello;          /* one has come */
    bool ended;          /* Z has come */
    bool told;           /* the source, since the hello, which tables the target has */
    uint64_t passed_lsn; /* since the hello: nothing from before it comes any more */

    /* The transaction whose commit has not come yet. */
    bool open;
    bool skip;    /* the checkpoint covers it */
    bool copying; /* it is a copy, whose end has not come yet */
    struct source_txn txn;
    uint64_t nchanges;
};

/* The stream ended on purpose, and all of it is applied. A permanent error where the target lacks
 * rows that nobody can be asked for, because there is no acknowledgement FIFO. */
MUST_CHECK int apply_stream_check_end(const struct apply_stream *s, struct err *err);

/* SIGHUP: somebody has asked for tables to be copied again (ask_copy.h). Between two transactions,
 * so perhaps later. */
MUST_CHECK int apply_stream_look_again(struct apply_stream *s, struct err *err);

/* Handles one frame. A permanent error if it is invalid at its place; then nothing of its
 * transaction is committed. */
MUST_CHECK int apply_stream_frame(struct apply_stream *s, const struct frame *f, struct err *err);

#endif
