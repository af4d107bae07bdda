/*
 * change.h - a whole I, U or D frame, read with its relation or without.
 *
 * A filter has to take a tuple's length from its relation; a dump also reads changes whose relation
 * it has not seen: the first tuple says then how long both are.
 */
#ifndef PG2ANY_CHANGE_H
#define PG2ANY_CHANGE_H

#include <stdbool.h>
#include <stdint.h>

#include "base/err.h"
#include "frames/frame.h"
#include "frames/relmap.h"

struct change {
    struct frame_change head;
    bool has_old; /* its kind: head.old_kind */
    bool has_new;
    uint32_t n; /* values in each tuple */
    struct value old[FRAME_MAX_COLUMNS];
    struct value new[FRAME_MAX_COLUMNS];
};

/* Permanent error where the body is anything but the fields of its type, for its relation as
 * `relations` has it. The values point into the frame. */
MUST_CHECK int change_from_frame(const struct frame *f, struct relmap *relations,
                                 struct change *change, struct err *err);

#endif
