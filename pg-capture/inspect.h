/*
 * inspect.h - pg-capture beside its work: looks whether it could do it, tells how the slot is,
 * drops the slot. None of it starts a stream; only the last changes anything.
 */
#ifndef PG2ANY_INSPECT_H
#define PG2ANY_INSPECT_H

#include "base/err.h"
#include "upstream.h"

/*
 * --check: reports on stderr (report.h) and writes to stdout what the stream would say of the
 * tables: a hello, a relation for each, an end. So an applier's --check can go on from there. An
 * error is set where something fails; its text counts the failures.
 */
MUST_CHECK int capture_check(struct upstream *u, struct err *err);

/* --status: the slot, on stdout. */
MUST_CHECK int capture_status(struct upstream *u, struct err *err);

/* --drop-slot: that there is none is no error. */
MUST_CHECK int capture_drop_slot(struct upstream *u, struct err *err);

#endif
