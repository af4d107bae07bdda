/*
 * output.h - bytes on their way to a pipe, a FIFO or a file: a buffer and the descriptor it drains
 * to.
 *
 * A pipe is made non-blocking and enlarged; output_close() restores its flags, because another
 * process may share it. A reader that is gone is a temporary error ("the reader of … is gone"):
 * SIGPIPE must be ignored (signals.h does that).
 */
#ifndef PG2ANY_OUTPUT_H
#define PG2ANY_OUTPUT_H

#include <stdbool.h>
#include <stddef.h>

#include "base/buf.h"
#include "base/err.h"

#define OUTPUT_PIPE_SIZE (1024 * 1024) /* the usual /proc/sys/fs/pipe-max-size */

struct output {
    int fd;
    const char *name; /* "stdout", for errors */
    struct buf buf;   /* append frames here */
    size_t sent;      /* bytes at the front of buf that are written already */
    int saved_flags;  /* of the descriptor; -1: not changed */
};

/* `pipe_size`: what to ask of the kernel for a pipe, 0: leave it. A smaller pipe is not an error.
 */
void output_init(struct output *o, int fd, const char *name, size_t pipe_size);

/* Frees the buffer, restores the flags; does not close the descriptor. */
void output_close(struct output *o);

static inline size_t output_pending(const struct output *o)
{
    return o->buf.len - o->sent;
}

/* Writes what it can without blocking (a regular file may block). 0 also if bytes are left. */
MUST_CHECK int output_try(struct output *o, struct err *err);

/* Writes everything, waiting as long as it takes. A second SIGTERM ends the process (signals.h). */
MUST_CHECK int output_flush(struct output *o, struct err *err);

/* Checks what poll(2) reported for the descriptor: an error if the reader is gone. Poll it with
 * events = 0 when idle. */
MUST_CHECK int output_check_revents(const struct output *o, short revents, struct err *err);

#endif
