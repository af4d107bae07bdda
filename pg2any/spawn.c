#include "spawn.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/exit.h"

#define FIRST_FD 64 /* of ours: above every number that a child is given */

int spawn_pipe(int ends[2], struct err *err)
{
    int low[2];
    if (pipe2(low, O_CLOEXEC) != 0)
        return err_errno(err, ERR_TEMPORARY, "making a pipe");
    for (int i = 0; i < 2; i++) {
        ends[i] = fcntl(low[i], F_DUPFD_CLOEXEC, FIRST_FD);
        (void)close(low[i]);
    }
    if (ends[0] >= 0 && ends[1] >= 0)
        return 0;
    (void)err_errno(err, ERR_TEMPORARY, "making a pipe");
    for (int i = 0; i < 2; i++)
        if (ends[i] >= 0)
            (void)close(ends[i]);
    return -1;
}

static _Noreturn void child(const struct plan *plan, const struct stage *stage,
                            const char *const *argv, const struct spawn_fd *fds, size_t nfds,
                            pid_t parent)
{
    struct err err = {0};
    sigset_t all;
    (void)setpgid(0, 0);
    (void)prctl(PR_SET_PDEATHSIG, SIGTERM);
    if (getppid() != parent)
        _exit(STATUS_TEMPORARY); /* it died before we asked to be told */
    (void)sigemptyset(&all);
    (void)sigprocmask(SIG_SETMASK, &all, NULL);
    for (size_t i = 0; i < nfds; i++)
        if (dup2(fds[i].ours, fds[i].theirs) < 0) {
            (void)err_errno(&err, ERR_TEMPORARY, "giving a descriptor to %s", argv[0]);
            _exit(exit_status(&err));
        }
    if (plan_enter_stage(stage, &err) == 0)
        (void)plan_exec(plan, argv, &err);
    _exit(exit_status(&err));
}

pid_t spawn(const struct plan *plan, const struct stage *stage, const char *const *argv,
            const struct spawn_fd *fds, size_t nfds, struct err *err)
{
    pid_t parent = getpid();
    pid_t pid = fork();
    if (pid < 0)
        return err_errno(err, ERR_TEMPORARY, "starting %s", argv[0]);
    if (pid == 0)
        child(plan, stage, argv, fds, nfds, parent);
    return pid;
}

int spawn_status(int wait_status)
{
    return WIFEXITED(wait_status) ? WEXITSTATUS(wait_status) : 128 + WTERMSIG(wait_status);
}

int spawn_wait(pid_t pid)
{
    int status;
    while (waitpid(pid, &status, 0) < 0)
        if (errno != EINTR)
            return -1;
    return spawn_status(status);
}
