/*
 * args.h - what each program of a pipeline is started with. Everything else it takes from its
 * environment.
 */
#ifndef PG2ANY_ARGS_H
#define PG2ANY_ARGS_H

#include <stddef.h>

#include "plan.h"

#define ARGS_MAX (24 + 2 * PLAN_MAX_STAGES)

struct args {
    const char *words[ARGS_MAX]; /* ended by NULL; borrowed */
    char numbers[PLAN_MAX_TARGETS][16];
    size_t n;
};

/* `stage` is an index. */
void args_of_stage(struct args *a, const struct plan *plan, size_t stage);
/* Of a stage of catch_up.h; `s` is its stage in the pipeline. */
void args_of_catch_up(struct args *a, const struct stage *s);
/* Of metrics-http, for the whole pipeline. */
void args_of_metrics(struct args *a, const struct plan *plan);

/* Those of a program, from the beginning. */
void args_begin(struct args *a, const char *program);

/* An option and its value, borrowed; NULL: it has none. */
void args_add(struct args *a, const char *option, const char *value);

#endif
