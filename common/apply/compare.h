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

#include <stdbool.h>
#include <stdint.h>

#include "base/err.h"
#include "base/options.h"
#include "base/table_names.h"
#include "sql/driver.h"

struct compare_options {
    const char *origin;               /* NULL: the slot's name */
    const struct option_list *tables; /* "all" among them: all */
    struct table_names *skip;         /* as --skip-table says */
    const char *ask;  /* where to ask pg-capture --rows - for tables; NULL: as they come */
    const char *keys; /* a file for the keys that differ; NULL: none */
    bool values;      /* show them */
    bool json;
    bool still;       /* nothing is written at the source, and the target has everything */
    uint64_t wait_ms; /* that the checkpoint may stand still */
    uint64_t percent; /* of the keys that are looked at */
    uint64_t rate;    /* bytes of the target in a second; 0: no limit */
};

/* What came of it all. */
enum compared {
    COMPARED_EQUAL,
    COMPARED_DIFFERENT, /* a table is */
    COMPARED_NOT_ALL,   /* what was compared is equal; a table could not be, or not to the end */
};

/* Writes a line for each table to stdout. An error is what keeps it from finding out: temporary
 * where the target stays behind. */
MUST_CHECK int compare_run(const struct driver_ops *ops, const struct driver_config *config,
                           const struct compare_options *options, enum compared *compared,
                           struct err *err);

#endif
