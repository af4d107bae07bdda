/*
 * recode.h - reads a frame with the decoder of its type and writes again what it got: what the
 * decoder and the encoder agree on.
 */
#ifndef PG2ANY_TEST_RECODE_H
#define PG2ANY_TEST_RECODE_H

#include "base/buf.h"
#include "base/err.h"
#include "frames/frame.h"
#include "frames/relmap.h"

/* Appends to `out`; permanent error where the decoder refuses the frame. `relations` are those that
 * are known. */
MUST_CHECK int recode(const struct frame *f, struct relmap *relations, struct buf *out,
                      struct err *err);

#endif
