/*
 * begin.h - how a filter begins: descriptors, log, options, and the end of one that is not to run.
 */
#ifndef PG2ANY_BEGIN_H
#define PG2ANY_BEGIN_H

#include <stdbool.h>

#include "base/err.h"
#include "base/options.h"

/*
 * First thing in main(). True: run; the options are in `target`, and in `stage` unless it is NULL
 * (options.h). False: leave main() with `*status`. Help was asked for, or the options are wrong,
 * which is printed then, and in the statistics file where there is one.
 */
MUST_CHECK bool program_begin(const struct program *program, int argc, char **argv, void *target,
                              struct stage_options *stage, int *status);

#endif
