#include "args.h"

#include <stdint.h>
#include <stdio.h>

#include "base/err.h"

static void word(struct args *a, const char *text)
{
    if (a->n + 1 == ARGS_MAX)
        BUG("too many arguments");
    a->words[a->n++] = text;
    a->words[a->n] = NULL;
}

void args_add(struct args *a, const char *option, const char *value)
{
    word(a, option);
    word(a, value);
}

void args_of_stage(struct args *a, const struct plan *plan, const struct stage *s)
{
    a->n = 0;
    word(a, s->program);
    args_add(a, "--stats", s->stats);
    switch (s->kind) {
    case STAGE_CAPTURE:
        for (size_t i = 0; i < plan->nstages; i++)
            if (plan->stages[i].kind == STAGE_APPLY)
                args_add(a, "--ack", plan->stages[i].ack);
        break;
    case STAGE_ASSEMBLE:
        break;
    case STAGE_TEE:
        for (unsigned i = 0; i + 1 < plan->ntargets; i++) {
            (void)snprintf(a->numbers[i], sizeof a->numbers[i], "%u", ARGS_FIRST_OUTPUT_FD + i);
            args_add(a, "--output-fd", a->numbers[i]);
        }
        break;
    case STAGE_APPLY:
        args_add(a, "--ack", s->ack);
        break;
    }
}

void args_of_metrics(struct args *a, const struct plan *plan)
{
    a->n = 0;
    word(a, "metrics-http");
    for (size_t i = 0; i < plan->nstages; i++)
        args_add(a, "--stats", plan->stages[i].stats);
}
