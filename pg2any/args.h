/*
 * args.h - what each program of a pipeline is started with. Everything else it takes from its
 * environment.
 */
#ifndef PG2ANY_ARGS_H
#define PG2ANY_ARGS_H

#include <stddef.h>

#include "plan.h"

#define ARGS_MAX             (24 + 2 * PLAN_MAX_STAGES)
#define ARGS_FIRST_OUTPUT_FD 4 /* of frame-tee: the second target's pipe; the others follow */

struct args {
    const char *words[ARGS_MAX]; /* ended by NULL; borrowed */
    char numbers[PLAN_MAX_TARGETS][8];
    size_t n;
};

void args_of_stage(struct args *a, const struct plan *plan, const struct stage *s);
/* Of metrics-http, for the whole pipeline. */
void args_of_metrics(struct args *a, const struct plan *plan);

/* An option and its value, borrowed. */
void args_add(struct args *a, const char *option, const char *value);

#endif
