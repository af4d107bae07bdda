/*
 * frame_output.h - output of frames: an output (output.h) that completes each frame before it is
 * written (frame_seal.h).
 *
 * Every stream of frames is written through one of these, from its hello on. Append frames to
 * `out.buf`; they must be whole whenever a function here is called. Incomplete frames are not
 * written. Call frame_output_seal() before much follows a frame that grows, to avoid moving the
 * rest.
 */
#ifndef PG2ANY_FRAME_OUTPUT_H
#define PG2ANY_FRAME_OUTPUT_H

#include <stddef.h>

#include "base/output.h"
#include "frames/frame_seal.h"

struct frame_output {
    struct output out; /* append frames to out.buf; use nothing else of it to write */
    struct frame_seal seal;
    size_t sealed; /* bytes at the front of out.buf that are complete */
};

/* Those of output.h. */
void frame_output_init(struct frame_output *o, int fd, const char *name, size_t pipe_size);
void frame_output_close(struct frame_output *o);
MUST_CHECK int frame_output_try(struct frame_output *o, struct err *err);
MUST_CHECK int frame_output_flush(struct frame_output *o, struct err *err);

/* Completes what is in the buffer. No memory: the next try says so. */
static inline void frame_output_seal(struct frame_output *o)
{
    frame_seal_add(&o->seal, &o->out.buf, &o->sealed);
}

static inline size_t frame_output_pending(const struct frame_output *o)
{
    return output_pending(&o->out);
}

#endif
