/*
 * samples.h - well-formed frames for tests: every type, with every field set to a value of its own,
 * and the ends of what a field can hold.
 */
#ifndef PG2ANY_TEST_SAMPLES_H
#define PG2ANY_TEST_SAMPLES_H

#include <stddef.h>

#include "base/buf.h"
#include "frames/frame.h"

struct sample {
    const char *name;
    enum frame_type type;
    const char
        *fields; /* of the body, as msgpack_object_print() writes them, with a blank between */
    void (*put)(struct buf *out);
};

extern const struct sample samples[];
extern const size_t nsamples;

/* A view of the one frame in a buffer, made without the code under test. */
struct frame sample_frame(const struct buf *b);

#endif
