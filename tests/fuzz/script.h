/*
 * script.h - an input as a stream of frames, whose fields are mostly those that belong there: so
 * that what is tried is the order of frames, and not whether they can be read.
 *
 * Each two bytes of the input are a frame: its type, and an argument that chooses its numbers, a
 * few of them wrong.
 */
#ifndef PG2ANY_FUZZ_SCRIPT_H
#define PG2ANY_FUZZ_SCRIPT_H

#include "base/buf.h"
#include "tests/fuzz/input.h"

/* Appends one line a frame, as in frame_script.h; at most `max` after the hello. No two inserts
 * have the same value. */
void script_of(struct input *in, unsigned max, struct buf *script);

#endif
