/*
 * compare.h - pg2any compare: source and target are read side by side, by pg-capture --rows and an
 * applier's --compare, which asks it for tables.
 */
#ifndef PG2ANY_PG2ANY_COMPARE_H
#define PG2ANY_PG2ANY_COMPARE_H

#include <stdbool.h>
#include <stddef.h>

#include "base/err.h"
#include "plan.h"

/* Options go on as they were given; NULL: they were not. */
struct comparison {
    unsigned target;     /* 0: all, one after the other */
    size_t ntables;      /* 0: all */
    char *const *tables; /* "public.t" */
    const char *keys, *wait, *sample, *rate;
    bool values, json, still;
    bool mend, sure; /* rows that differ are asked for again; without a question */
};

/* Whatever runs of the pipeline is not disturbed. Returns the exit status where it is 0 or 1:
 * everything is equal, a table is not. */
MUST_CHECK int compare_targets(const struct plan *plan, const struct comparison *c,
                               struct err *err);

#endif
