/*
 * inspect.h - pg-capture's other tasks: check whether it could work, show the slot's state, drop
 * the slot. None starts a stream; only the last changes anything.
 *
 * Each returns the exit status, and has logged the error. Waiting has the time limit of a
 * connection; SIGTERM and SIGINT end it.
 */
#ifndef PG2ANY_INSPECT_H
#define PG2ANY_INSPECT_H

#include "base/err.h"
#include "capture_options.h"

struct upstream;

/* What they have in common: signals, statistics, and an upstream that `look` opens as far as it
 * needs it. */
MUST_CHECK int inspect(const struct capture_options *options,
                       int (*look)(struct upstream *u, struct err *err), struct err *err);

/*
 * --check: reports on stderr (report.h) and writes to stdout how the stream would describe the
 * tables: a hello, a relation for each, an end. So an applier's --check can go on from there. An
 * error is set where something fails; its text counts the failures.
 */
MUST_CHECK int inspect_check(const struct capture_options *options, struct err *err);

/* --status: the slot, on stdout. */
MUST_CHECK int inspect_status(const struct capture_options *options, struct err *err);

/* --drop-slot: a missing slot is no error. */
MUST_CHECK int inspect_drop_slot(const struct capture_options *options, struct err *err);

#endif
