/*
 * frame_check.h - checks that the first reader of a stream makes on frames that it only holds or
 * passes on, so that later readers find them in order.
 *
 * A checksum shows that a frame is as it was written, not that it was written correctly; version 1
 * has none. A tuple is looked at value by value, but nothing is copied: a few instructions for each
 * value and for each eight bytes of text, since most text is ASCII.
 *
 * What is wrong is a permanent error.
 */
#ifndef PG2ANY_FRAME_CHECK_H
#define PG2ANY_FRAME_CHECK_H

#include <stdint.h>

#include "base/err.h"
#include "frames/frame.h"
#include "frames/relation.h"

/*
 * Checks the tuples of an I, U or D; `tuples` is at the first one, as frame_get_change() left it.
 * They must be those of the type and the kind, with `ncolumns` values each, text in UTF-8, and
 * nothing after them.
 */
MUST_CHECK int frame_check_tuples(const struct frame *f, const struct frame_change *change,
                                  struct mp_cursor tuples, uint32_t ncolumns, struct err *err);

/* The names in a relation, and what its columns are filled with: UTF-8. */
MUST_CHECK int frame_check_relation(const struct relation *rel, struct err *err);

/* The strings in any other frame: UTF-8. Most have none, and are not looked at. */
MUST_CHECK int frame_check_strings_in(const struct frame *f, struct err *err);

static inline int frame_check_strings(const struct frame *f, struct err *err)
{
#define BIT(type) (UINT64_C(1) << ((type)&63)) /* types are letters, from 64 on */
    const uint64_t some = BIT(FRAME_HELLO) | BIT(FRAME_TYPE) | BIT(FRAME_BEGIN_PREPARE) |
                          BIT(FRAME_PREPARE) | BIT(FRAME_STREAM_PREPARE) |
                          BIT(FRAME_COMMIT_PREPARED) | BIT(FRAME_ROLLBACK_PREPARED) |
                          BIT(FRAME_ORIGIN) | BIT(FRAME_MESSAGE) | BIT(FRAME_END) |
                          BIT(FRAME_COPY_BEGIN) | BIT(FRAME_COPY_END);
    return some & BIT(f->type) ? frame_check_strings_in(f, err) : 0;
#undef BIT
}

#endif
