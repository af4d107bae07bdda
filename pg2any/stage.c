#include "stage.h"

#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>

#include "args.h"
#include "base/notify.h"
#include "join.h"

static void add_notify_fd(struct args *a, uint64_t fd)
{
    static char number[24];
    if (fd == NOTIFY_NONE)
        return;
    (void)snprintf(number, sizeof number, "%llu", (unsigned long long)fd);
    args_add(a, "--notify-fd", number);
}

static int exec_stage(const struct plan *plan, size_t stage, uint64_t notify_fd, struct err *err)
{
    struct args a;
    args_of_stage(&a, plan, stage);
    add_notify_fd(&a, notify_fd);
    if (plan_enter_stage(&plan->stages[stage], err))
        return -1;
    return join_and_exec(plan, stage, a.words, err);
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
            return exec_stage(plan, i, notify_fd, err);
    (void)err_set(err, ERR_PERMANENT, "the configuration has no stage %s", name);
    return err_hint(err, "stages are capture, assemble, apply, apply-2 and so on, metrics, and tee "
                         "where there are several targets or an audit file");
}
