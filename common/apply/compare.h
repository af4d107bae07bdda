/*
 * compare.h - an applier's --compare: does the target hold what the source holds?
 *
 * Reads the output of pg-capture --rows on stdin, and the target's tables through the driver, which
 * says for each value of the source what reading it back must give (driver.h, stores). First the
 * sums of both sides are compared (tally.h). If they differ, both are read again for the keys
 * (suspects.h). The target is never changed, and nobody is kept from changing it.
 *
 * While the pipeline runs the target is read once its checkpoint has passed the source's snapshot.
 */
#ifndef PG2ANY_COMPARE_H
#define PG2ANY_COMPARE_H

#include "apply/compare_options.h"
#include "base/err.h"
#include "sql/driver.h"

/* Writes a line for each table to stdout. It fails if it cannot find out: temporary error if the
 * target stays behind. */
MUST_CHECK int compare_run(const struct driver_ops *ops, const struct driver_config *config,
                           const struct compare_options *options, enum compared *compared,
                           struct err *err);

#endif
