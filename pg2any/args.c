#include "args.h"

#include <stdint.h>
#include <stdio.h>
#include <unistd.h>

#include "base/err.h"

static void word(struct args *a, const char *text)
{
    if (a->n + 1 == ARGS_MAX)
        BUG("too many arguments");
    a->words[a->n++] = text;
    a->words[a->n] = NULL;
}

void args_begin(struct args *a, const char *program)
{
    a->n = 0;
    word(a, program);
}

void args_add(struct args *a, const char *option, const char *value)
{
    word(a, option);
    if (value)
        word(a, value);
}

/* Those that are not stdout. */
static void add_output_fds(struct args *a, const struct plan *plan, size_t stage)
{
    size_t n = 0;
    for (size_t i = 0; i < plan->nstages; i++) {
        const struct stage *reader = &plan->stages[i];
        if (reader->from != (int)stage || reader->from_fd == STDOUT_FILENO)
            continue;
        (void)snprintf(a->numbers[n], sizeof a->numbers[n], "%d", reader->from_fd);
        args_add(a, "--output-fd", a->numbers[n++]);
    }
}

void args_of_stage(struct args *a, const struct plan *plan, size_t stage)
{
    const struct stage *s = &plan->stages[stage];
    args_begin(a, s->program);
    args_add(a, "--stats", s->stats);
    switch (s->kind) {
    case STAGE_CAPTURE:
        for (size_t i = 0; i < plan->nstages; i++)
            if (plan->stages[i].kind == STAGE_APPLY && plan->stages[i].apart != APART_GIVEN_UP)
                args_add(a, plan->stages[i].apart == APART_NONE ? "--ack" : "--ack-apart",
                         plan->stages[i].ack);
        break;
    case STAGE_ASSEMBLE:
        break;
    case STAGE_TEE:
        add_output_fds(a, plan, stage);
        break;
    case STAGE_APPLY:
        args_add(a, "--ack", s->ack);
        args_add(a, "--quarantine-dir", s->quarantine);
        break;
    }
}

void args_of_catch_up(struct args *a, const struct stage *s)
{
    args_begin(a, s->program);
    args_add(a, "--log-level", "warning");
    if (s->kind == STAGE_CAPTURE) {
        args_add(a, "--slot-copy", NULL);
        args_add(a, "--until-lsn", "current");
    } else if (s->kind == STAGE_APPLY) {
        args_add(a, "--ack", s->ack);
        args_add(a, "--stats", s->stats);
        args_add(a, "--quarantine-dir", s->quarantine);
    }
}

void args_of_metrics(struct args *a, const struct plan *plan)
{
    args_begin(a, "metrics-http");
    for (size_t i = 0; i < plan->nstages; i++)
        args_add(a, "--stats", plan->stages[i].stats);
}
