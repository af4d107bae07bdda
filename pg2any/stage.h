/*
 * stage.h - pg2any stage: one stage of the pipeline as a process of its own, for a supervisor.
 */
#ifndef PG2ANY_STAGE_H
#define PG2ANY_STAGE_H

#include <stdint.h>

#include "base/err.h"
#include "plan.h"

/* Joins the stage of that name ("capture", "apply-2", "metrics") to its neighbours (join.h) and
 * becomes its program; an applier whose target is apart waits until it is not. Returns only with an
 * error. */
int stage_exec(const struct plan *plan, const char *name, uint64_t notify_fd, struct err *err);

/* A stage has ended with a permanent error: 0 where it may be started again, because its target is
 * left out of the pipeline; otherwise the exit status, 100. */
int stage_failed(const struct plan *plan, const char *name);

#endif
