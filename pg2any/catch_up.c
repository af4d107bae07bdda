#include "catch_up.h"

#include <poll.h>
#include <stdio.h>
#include <sys/wait.h>
#include <unistd.h>

#include "args.h"
#include "base/exit.h"
#include "base/lsn.h"
#include "base/progress.h"
#include "spawn.h"

#define LOOK_MS 50
#define SAY_MS  10000

enum { CAPTURE, ASSEMBLE, APPLY, NPROGRAMS };

struct program {
    const struct stage *stage;
    pid_t pid;  /* -1: not started */
    int status; /* once it has ended; -1: not yet */
};

/* Each reads the output of the one before it. */
static int start(const struct plan *plan, struct program programs[NPROGRAMS], struct err *err)
{
    int input = -1, rc = 0;
    for (int i = 0; rc == 0 && i < NPROGRAMS; i++) {
        int ends[2] = {-1, -1};
        struct spawn_fd fds[2];
        size_t n = 0;
        struct args a;
        if (i + 1 < NPROGRAMS && spawn_pipe(ends, err)) {
            rc = -1;
            break;
        }
        if (input >= 0)
            fds[n++] = (struct spawn_fd){input, STDIN_FILENO};
        if (ends[1] >= 0)
            fds[n++] = (struct spawn_fd){ends[1], STDOUT_FILENO};
        args_of_catch_up(&a, programs[i].stage);
        programs[i].pid = spawn(plan, programs[i].stage, a.words, fds, n, err);
        rc = programs[i].pid < 0 ? -1 : 0;
        if (input >= 0)
            (void)close(input);
        if (ends[1] >= 0)
            (void)close(ends[1]);
        input = ends[0];
    }
    if (input >= 0)
        (void)close(input);
    return rc;
}

/* Where one ends its neighbours do. */
static void wait_for_all(const struct plan *plan, struct program programs[NPROGRAMS])
{
    const struct stage *target = programs[APPLY].stage;
    int64_t say_ms = monotonic_ms() + SAY_MS;
    for (int i = 0; i < NPROGRAMS;) {
        int status;
        struct program *p = &programs[i];
        pid_t ended = p->pid < 0 ? 0 : waitpid(p->pid, &status, WNOHANG);
        if (ended > 0)
            p->status = spawn_status(status);
        if (p->pid < 0 || ended != 0)
            i++;
        else
            (void)poll(NULL, 0, LOOK_MS);
        if (monotonic_ms() < say_ms)
            continue;
        say_ms = monotonic_ms() + SAY_MS;
        (void)printf("target %u: %s of WAL to go\n", target->target,
                     AMOUNT(plan_kept_wal(plan, target)));
        (void)fflush(stdout);
    }
}

static int check(const struct program programs[NPROGRAMS], struct err *err)
{
    bool all_ended_well = true, permanent = false;
    for (int i = 0; i < NPROGRAMS; i++) {
        all_ended_well = all_ended_well && programs[i].status == STATUS_OK;
        permanent = permanent || programs[i].status == STATUS_PERMANENT;
    }
    if (all_ended_well)
        return 0;
    if (err->kind != ERR_NONE)
        return -1;
    unsigned target = programs[APPLY].stage->target;
    if (permanent)
        return err_set(err, ERR_PERMANENT, "target %u did not catch up, for the reason above",
                       target);
    /* Who has only lost its neighbour does not say why. */
    return err_set(
        err, ERR_TEMPORARY,
        "target %u did not catch up: a connection or a program was lost (%s ended with %d, %s "
        "with %d, %s with %d)",
        target, programs[CAPTURE].stage->program, programs[CAPTURE].status,
        programs[ASSEMBLE].stage->program, programs[ASSEMBLE].status,
        programs[APPLY].stage->program, programs[APPLY].status);
}

int catch_up(const struct plan *plan, const struct stage *target, struct err *err)
{
    struct program programs[NPROGRAMS] = {
        {&plan->stages[CAPTURE], -1, -1},
        {&plan->stages[ASSEMBLE], -1, -1},
        {target, -1, -1},
    };
    (void)!start(plan, programs, err);
    wait_for_all(plan, programs);
    return check(programs, err);
}
