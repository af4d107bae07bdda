/*
 * run.h - pg2any run: the whole pipeline in the foreground.
 *
 * Stages are children joined by pipes. When one ends, the others notice by their pipes and end,
 * too; then the pipeline is started again, after a pause that grows while it does not last. A
 * permanent error ends all, but one of an applier where others are joined: its target is left out
 * (pause.h). Where the files say that a target has left, or is back, the stages begin anew, too.
 * metrics-http, where METRICS_PORT or METRICS_LISTEN asks for it, runs
 * beside the pipeline and does not bring it down.
 */
#ifndef PG2ANY_RUN_H
#define PG2ANY_RUN_H

#include "base/err.h"
#include "plan.h"

/* `until_lsn` NULL: for ever; permanent error where a target was left out at that end. The error
 * says which stage ended for which reason. */
MUST_CHECK int run_pipeline(const struct plan *plan, const char *until_lsn, struct err *err);

#endif
