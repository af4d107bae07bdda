#include "stage.h"

#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>

#include "args.h"
#include "base/exit.h"
#include "base/log.h"
#include "base/notify.h"
#include "join.h"
#include "pause.h"

#define LOOK_MS 1000

static void add_notify_fd(struct args *a, uint64_t fd)
{
    static char number[24];
    if (fd == NOTIFY_NONE)
        return;
    (void)snprintf(number, sizeof number, "%llu", (unsigned long long)fd);
    args_add(a, "--notify-fd", number);
}

/* Of an applier whose target is apart: until that is not so any more. */
static int wait_apart(struct plan *plan, const struct stage *s, struct err *err)
{
    enum apart_kind said = APART_NONE;
    while (s->apart != APART_NONE) {
        if (s->apart != said)
            log_info("the target is not in the pipeline until pg2any resume", "target",
                     LOG_U64(s->target), "it_is", apart_word(s->apart), NULL);
        said = s->apart;
        /* The slot goes on when capture is started without this target. */
        if (s->apart != APART_GIVEN_UP && pause_gave_up(plan, s))
            pause_interrupt(&plan->stages[0]);
        (void)poll(NULL, 0, LOOK_MS);
        if (plan_look(plan, err))
            return -1;
    }
    return 0;
}

static int look_at_targets(struct plan *plan, const struct stage *s, struct err *err)
{
    if (plan_look(plan, err) || (s->kind == STAGE_APPLY && wait_apart(plan, s, err)))
        return -1;
    return s->kind == STAGE_APPLY || plan->njoined > 0 ? 0 : plan_none_joined(err);
}

static int exec_stage(struct plan *plan, size_t stage, uint64_t notify_fd, struct err *err)
{
    struct args a;
    if (look_at_targets(plan, &plan->stages[stage], err))
        return -1;
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

static const struct stage *find_stage(const struct plan *plan, const char *name)
{
    for (const struct stage *s = plan->stages; s < plan->stages + plan->nstages; s++)
        if (strcmp(s->name, name) == 0)
            return s;
    return NULL;
}

int stage_failed(const struct plan *plan, const char *name)
{
    const struct stage *s = find_stage(plan, name);
    return s && s->kind == STAGE_APPLY && pause_failed(plan, s) ? STATUS_OK : STATUS_PERMANENT;
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
    struct plan own = *plan;
    const struct stage *s = find_stage(&own, name);
    if (s)
        return exec_stage(&own, (size_t)(s - own.stages), notify_fd, err);
    (void)err_set(err, ERR_PERMANENT, "the configuration has no stage %s", name);
    return err_hint(
        err,
        "stages are capture, assemble, apply, apply-2 and so on, metrics, and tee if there are "
        "several targets or an audit file");
}
