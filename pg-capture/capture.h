/*
 * capture.h - pg-capture's one loop: the server's stream in, frames out, acknowledgements back.
 *
 * capture.c is the loop and everything that waits; start.c goes from nothing to a running stream.
 * Memory is bounded by one message of the server and OUTPUT_HIGH_BYTES of frames: while stdout is
 * blocked the server's socket is not read, and status updates go on.
 *
 * How far everything is, and what may be confirmed, position.h knows; capture.c tells it what
 * happens.
 */
#ifndef PG2ANY_CAPTURE_H
#define PG2ANY_CAPTURE_H

#include <stdbool.h>
#include <stdint.h>

#include "acks.h"
#include "base/err.h"
#include "base/output.h"
#include "base/signals.h"
#include "capture_options.h"
#include "capture_stats.h"
#include "catalog.h"
#include "pgoutput.h"
#include "position.h"
#include "prepared.h"
#include "replication.h"
#include "session.h"

struct capture {
    struct capture_options options;
    struct signals signals;
    struct output out;
    struct acks acks;
    struct position position;
    struct capture_stats stats;
    struct source source;
    struct waiter waiter;
    struct replication replication;
    struct catalog catalog;
    struct pgoutput *decoder; /* one for each connection */

    char *publication_text; /* what the names point into */
    size_t npublications;
    const char *publications[64];

    bool begun;       /* a hello has gone out: from then on a lost connection is opened again */
    bool own_fault;   /* of stdout or the FIFOs: connecting again does not help */
    bool leaving;     /* a signal is no reason any more to give up waiting */
    bool reader_gone; /* noticed after the end was written: no fault then */
    char system_identifier[32]; /* of the first connection */
    uint64_t slot_lsn;          /* the slot's confirmed_flush_lsn, where its stream begins */
    uint64_t until_lsn;         /* 0: none, or not known yet */
    bool slot_missing;          /* --check: it would be made */
    int64_t slot_look_ms;       /* when the slot is looked at again, for the statistics */
    int64_t server_time_us;     /* of the last message */
    int64_t progress_due_ms;

    uint64_t asked_lsn; /* of the last keepalive that asked for a reply */
    int64_t asked_ms;
    unsigned asks; /* how many in a row have asked for the same */

    int64_t status_interval_ms;
    int64_t status_sent_ms;
    int64_t status_due_ms;
    int64_t lsn_file_due_ms;
    uint64_t lsn_file_lsn;
};

/* Runs until asked to stop or until nothing more can be done; the exit status. The error is logged.
 */
MUST_CHECK int capture_run(const struct capture_options *options, struct err *err);

/* ---- between capture.c, start.c and inspect.c ---- */

/* Checks what can be checked without a server: names, LSNs, the connection string. */
MUST_CHECK int capture_check_options(struct capture *c, struct err *err);

/*
 * Connects, checks, makes the slot where this is the first time, starts the stream, puts the hello
 * into the output.
 */
MUST_CHECK int capture_start(struct capture *c, struct err *err);

/* What to ask the server for, by its version and the options. */
MUST_CHECK int capture_choose_parameters(const struct capture *c, struct replication_start *s,
                                         struct err *err);

/* Permanent error where the slot is none of ours, or cannot be used any more. */
MUST_CHECK int capture_check_slot(const struct capture *c, const struct slot *s,
                                  const struct replication_start *start, struct err *err);

/* The slot as it was found goes into the statistics: also one that cannot be used any more. */
void capture_note_slot(struct capture *c, const struct slot *slot);

/* Appends the hello; c->slot_lsn is known. */
void capture_put_hello(const struct capture *c, const struct replication_start *start, bool created,
                       struct buf *out);

/* Waits for `fd` or the deadline, and does what is due meanwhile; see struct waiter. fd -1: for the
 * deadline only. */
MUST_CHECK int capture_wait(struct capture *c, int fd, short events, int64_t deadline_ms,
                            struct err *err);

#endif
