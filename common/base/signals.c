#include "base/signals.h"

#include <signal.h>
#include <sys/signalfd.h>
#include <unistd.h>

static void stop_set(sigset_t *set)
{
    (void)sigemptyset(set);
    (void)sigaddset(set, SIGTERM);
    (void)sigaddset(set, SIGINT);
}

int signals_init(struct signals *s, struct err *err)
{
    sigset_t set;
    stop_set(&set);
    s->stop = false;
    s->fd = -1;
    struct sigaction ignore = {.sa_handler = SIG_IGN};
    if (sigaction(SIGPIPE, &ignore, NULL) != 0 || sigprocmask(SIG_BLOCK, &set, NULL) != 0)
        return err_errno(err, ERR_TEMPORARY, "setting up signals");
    s->fd = signalfd(-1, &set, SFD_NONBLOCK | SFD_CLOEXEC);
    if (s->fd < 0)
        return err_errno(err, ERR_TEMPORARY, "signalfd");
    return 0;
}

int signals_take_hup(struct signals *s, struct err *err)
{
    sigset_t set;
    stop_set(&set);
    (void)sigaddset(&set, SIGHUP);
    if (sigprocmask(SIG_BLOCK, &set, NULL) != 0 || signalfd(s->fd, &set, 0) < 0)
        return err_errno(err, ERR_TEMPORARY, "setting up signals");
    return 0;
}

bool signals_stop(struct signals *s)
{
    struct signalfd_siginfo info;
    while (!s->stop && read(s->fd, &info, sizeof info) == (ssize_t)sizeof info) {
        if (info.ssi_signo == SIGHUP) {
            s->look_again = true;
            continue;
        }
        s->stop = true;
        sigset_t set;
        stop_set(&set);
        (void)sigprocmask(SIG_UNBLOCK, &set, NULL);
    }
    return s->stop;
}

void signals_close(struct signals *s)
{
    if (s->fd >= 0)
        (void)close(s->fd);
    s->fd = -1;
}
