/*
 * begin.h - how a filter starts: descriptors, log, options; and how it ends if it is not to run.
 */
#ifndef PG2ANY_BEGIN_H
#define PG2ANY_BEGIN_H

#include <stdbool.h>

#include "base/err.h"
#include "base/options.h"

/*
 * Call it first in main(). True: run; the options are in `target`, and in `stage` unless it is NULL
 * (options.h). False: return `*status` from main(), because help was requested, or the options are
 * wrong; that error is printed, and written to the statistics file if there is one.
 */
MUST_CHECK bool program_begin(const struct program *program, int argc, char **argv, void *target,
                              struct stage_options *stage, int *status);

#endif
