/*
 * watch.h - pg2any status --watch: how the pipeline is, again and again. On a terminal in place,
 * until q, ^C or SIGTERM; otherwise one text behind the other, until SIGTERM or ^C.
 */
#ifndef PG2ANY_WATCH_H
#define PG2ANY_WATCH_H

#include "base/err.h"
#include "plan.h"

/* Every `seconds`. Asks no server: what it shows is what the stages write each second. */
MUST_CHECK int watch(const struct plan *plan, unsigned seconds, struct err *err);

#endif
