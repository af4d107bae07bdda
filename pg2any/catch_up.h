/*
 * catch_up.h - a target that is apart catches up beside the pipeline, in which the others go on.
 *
 * It gets a stream of its own, by pg-capture, txn-assemble and its applier, from a temporary copy
 * of the slot (pg-capture --slot-copy): that stands where the target stands, or before. The applier
 * acknowledges to the FIFO of the pipeline's pg-capture, which confirms to the slot what all have.
 * It ends where that is little enough to be sent to all; never, where the target is slower than the
 * source.
 *
 * Whatever ends it, the target is as one that was paused there.
 */
#ifndef PG2ANY_CATCH_UP_H
#define PG2ANY_CATCH_UP_H

#include "base/err.h"
#include "plan.h"

/* Returns when the target is near; says on stdout how far it is. The programs say on stderr why
 * they fail; `err` says then what that means. */
MUST_CHECK int catch_up(const struct plan *plan, const struct stage *target, struct err *err);

#endif
