/*
 * capture.h - pg-capture's one loop: the server's stream in, frames out, acknowledgements back.
 *
 * The loop owns stdout, the signals, the timers and the FIFOs. upstream.h deals with the source;
 * position.h knows how far everything is and what may be confirmed. Memory is bounded by one
 * message of the server and OUTPUT_HIGH_BYTES of frames: while stdout is blocked the server's
 * socket is not read, and status updates go on.
 */
#ifndef PG2ANY_CAPTURE_H
#define PG2ANY_CAPTURE_H

#include "base/err.h"
#include "capture_options.h"

/*
 * Streams until asked to stop, until --until-lsn is reached, or until an error. Returns the exit
 * status; the error is logged.
 */
MUST_CHECK int capture_run(const struct capture_options *options, struct err *err);

#endif
