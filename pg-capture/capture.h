/*
 * capture.h - pg-capture's one loop: the server's stream in, frames out, acknowledgements back.
 *
 * The loop has stdout, the signals, the timers and the FIFOs; what it does with the source is
 * upstream.h's, how far everything is and what may be confirmed, position.h's. Memory is bounded by
 * one message of the server and OUTPUT_HIGH_BYTES of frames: while stdout is blocked the server's
 * socket is not read, and status updates go on.
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
#include "position.h"
#include "prepared.h"
#include "replication.h"
#include "session.h"
#include "upstream.h"

struct capture {
    const struct capture_options *options; /* borrowed */
    uint64_t notify_fd;
    struct signals signals;
    struct output out;
    struct acks acks;
    struct position position;
    struct capture_stats stats;
    struct waiter waiter;
    struct upstream upstream;

    bool own_fault;   /* of stdout or the FIFOs: connecting again does not help */
    bool leaving;     /* a signal is no reason any more to give up waiting */
    bool reader_gone; /* noticed after the end was written: no fault then */

    int64_t server_time_us; /* of the last message */
    int64_t progress_due_ms;
    int64_t status_sent_ms;
    int64_t status_due_ms;
    int64_t slot_look_ms; /* when the slot is looked at again, for the statistics */

    struct {
        uint64_t lsn; /* of the last keepalive that asked for a reply */
        int64_t at_ms;
        unsigned again; /* how many in a row have asked for the same */
    } asked;

    struct {
        uint64_t lsn; /* that is in it */
        int64_t due_ms;
    } lsn_file;
};

/* Runs until asked to stop or until nothing more can be done; the exit status. The error is logged.
 */
MUST_CHECK int capture_run(const struct capture_options *options, struct err *err);

#endif
