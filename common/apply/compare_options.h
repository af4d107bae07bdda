/*
 * compare_options.h - what a comparison was asked for, and what came of it.
 */
#ifndef PG2ANY_COMPARE_OPTIONS_H
#define PG2ANY_COMPARE_OPTIONS_H

#include <stdbool.h>
#include <stdint.h>

#include "base/options.h"
#include "base/table_names.h"

struct compare_options {
    const char *origin;               /* NULL: the slot's name */
    const struct option_list *tables; /* "all" among them: all */
    struct table_names *skip;         /* as --skip-table says */
    const char *ask;       /* where to ask pg-capture --rows - for tables; NULL: as they come */
    const char *keys;      /* a file for the keys that differ; NULL: none */
    const char *sum;       /* a file for what came of it (last_compare.h); NULL: none */
    const char *component; /* the program */
    bool values;           /* show them */
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

#endif
