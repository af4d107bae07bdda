#include "stage.h"

#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>

#include "args.h"
#include "base/notify.h"
#include "join.h"

/* Where the stage reads from: its FIFO is named after it. */
static int fifo_of(const struct plan *plan, const char *stage, char out[PLAN_PATH_SIZE],
                   struct err *err)
{
    int n = snprintf(out, PLAN_PATH_SIZE, "%s/%s.fifo", plan->state_dir, stage);
    return n < PLAN_PATH_SIZE ? 0
                              : err_set(err, ERR_PERMANENT,
                                        "the state directory's path is too "
                                        "long");
}

static bool reads_from(const struct plan *plan, const struct stage *reader,
                       const struct stage *writer)
{
    bool tee = plan->stages[2].kind == STAGE_TEE;
    switch (writer->kind) {
    case STAGE_CAPTURE:
        return reader->kind == STAGE_ASSEMBLE;
    case STAGE_ASSEMBLE:
        return reader->kind == (tee ? STAGE_TEE : STAGE_APPLY);
    case STAGE_TEE:
        return reader->kind == STAGE_APPLY;
    case STAGE_APPLY:
        return false;
    }
    return false;
}

static void add_notify_fd(struct args *a, uint64_t fd)
{
    static char number[24];
    if (fd == NOTIFY_NONE)
        return;
    (void)snprintf(number, sizeof number, "%llu", (unsigned long long)fd);
    args_add(a, "--notify-fd", number);
}

static int exec_stage(const struct plan *plan, const struct stage *s, uint64_t notify_fd,
                      struct err *err)
{
    static char input[PLAN_PATH_SIZE], outputs[PLAN_MAX_TARGETS][PLAN_PATH_SIZE];
    struct option_list writes = {.n = 0};
    struct args a;
    args_of_stage(&a, plan, s);
    add_notify_fd(&a, notify_fd);
    for (size_t i = 0; i < plan->nstages; i++)
        if (reads_from(plan, &plan->stages[i], s)) {
            if (fifo_of(plan, plan->stages[i].name, outputs[writes.n], err))
                return -1;
            writes.items[writes.n] = outputs[writes.n];
            writes.n++;
        }
    if (s->kind != STAGE_CAPTURE && fifo_of(plan, s->name, input, err))
        return -1;
    if (plan_enter_stage(s, err))
        return -1;
    return join_and_exec(plan, s->kind == STAGE_CAPTURE ? NULL : input, &writes, a.words, err);
}

static int exec_metrics(const struct plan *plan, uint64_t notify_fd, struct err *err)
{
    struct args a;
    args_of_metrics(&a, plan);
    add_notify_fd(&a, notify_fd);
    if (plan_enter_stage(NULL, err))
        return -1;
    return plan_exec(plan, a.words, err);
}

int stage_exec(const struct plan *plan, const char *name, uint64_t notify_fd, struct err *err)
{
    /* A supervisor that is killed starts the stage a second time: the first one must not go on
     * beside it. The program that we become inherits this. */
    (void)prctl(PR_SET_PDEATHSIG, SIGTERM);
    if (plan_make_state_dir(plan, err))
        return -1;
    if (strcmp(name, "metrics") == 0)
        return exec_metrics(plan, notify_fd, err);
    for (size_t i = 0; i < plan->nstages; i++)
        if (strcmp(plan->stages[i].name, name) == 0)
            return exec_stage(plan, &plan->stages[i], notify_fd, err);
    (void)err_set(err, ERR_PERMANENT, "the configuration has no stage %s", name);
    return err_hint(err, "stages are capture, assemble, apply, apply-2 and so on, metrics, and tee "
                         "where there are several targets or an audit file");
}
