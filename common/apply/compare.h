/*
 * compare.h - an applier's --compare: is what the target holds what the source holds?
 *
 * Reads on stdin what pg-capture --rows writes, and the target's tables through the driver, which
 * says of each value of the source what reading it back has to give (driver.h, stores). First both
 * sides are counted up (tally.h). Where they are not the same both are read again, for the keys
 * (suspects.h). The target is never changed, and nobody is kept from changing it.
 *
 * While the pipeline runs the target is read once its checkpoint has passed the source's snapshot.
 */
#ifndef PG2ANY_COMPARE_H
#define PG2ANY_COMPARE_H

#include "apply/compare_options.h"
#include "base/err.h"
#include "sql/driver.h"

/* Writes a line for each table to stdout. An error is what keeps it from finding out: temporary
 * where the target stays behind. */
MUST_CHECK int compare_run(const struct driver_ops *ops, const struct driver_config *config,
                           const struct compare_options *options, enum compared *compared,
                           struct err *err);

#endif
