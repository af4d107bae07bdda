#include "join.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stddef.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/time.h>
#include <unistd.h>

#include "base/log.h"
#include "base/lsn.h"
#include "pause.h"

#define LOOK_MS     50
#define WAKE_MS     500  /* how often one that waits in open(2) looks around */
#define LACK_MS     2000 /* without a writer, though the tee runs */
#define SAY_MS      5000 /* a wait longer than that is worth a line */
#define FIRST_OF_US 64   /* above every number that the program is given */

/* Only what is a FIFO, or is not there, may be replaced. */
static int replace_fifo(const char *path, struct err *err)
{
    struct stat st;
    if (lstat(path, &st) == 0) {
        if (!S_ISFIFO(st.st_mode))
            return err_set(err, ERR_PERMANENT, "%s is there and is no FIFO", path);
        /* Without its name no writer would ever come to one that still waits for it: it reads an
         * end at once. */
        int old = open(path, O_WRONLY | O_NONBLOCK | O_CLOEXEC);
        if (old >= 0)
            (void)close(old);
        if (unlink(path) != 0)
            return err_errno(err, err_kind_of(errno), "replacing the FIFO %s", path);
    }
    if (mkfifo(path, 0600) != 0)
        return err_errno(err, err_kind_of(errno), "making the FIFO %s", path);
    return 0;
}

static int make_fifo(const struct plan *plan, const char *path, struct err *err)
{
    int lock = plan_lock_joints(plan, err);
    int rc = lock >= 0 ? replace_fifo(path, err) : -1;
    if (lock >= 0)
        (void)close(lock);
    return rc;
}

static int move_up(int fd, const char *path, struct err *err)
{
    int up = fcntl(fd, F_DUPFD_CLOEXEC, FIRST_OF_US);
    (void)close(fd);
    return up >= 0 ? up : err_errno(err, ERR_TEMPORARY, "opening the FIFO %s", path);
}

static int keep_to_write(int fd, const char *path, struct err *err)
{
    struct stat st;
    int flags = fcntl(fd, F_GETFL);
    if (fstat(fd, &st) != 0 || !S_ISFIFO(st.st_mode))
        return err_set(err, ERR_PERMANENT, "%s is no FIFO", path);
    if (flags < 0 || fcntl(fd, F_SETFL, flags & ~O_NONBLOCK) != 0)
        return err_errno(err, ERR_TEMPORARY, "opening the FIFO %s", path);
    if (unlink(path) != 0)
        return err_errno(err, err_kind_of(errno), "taking the FIFO %s", path);
    return 0;
}

/* Under the lock. *fd is -1 where nobody waits for a writer. */
static int take_fifo(const char *path, int *fd, struct err *err)
{
    *fd = open(path, O_WRONLY | O_NONBLOCK | O_CLOEXEC);
    if (*fd < 0 && (errno == ENXIO || errno == ENOENT || errno == EINTR))
        return 0;
    if (*fd < 0)
        return err_errno(err, err_kind_of(errno), "opening the FIFO %s", path);
    if (keep_to_write(*fd, path, err) == 0)
        return (*fd = move_up(*fd, path, err)) < 0 ? -1 : 0;
    (void)close(*fd);
    return -1;
}

static int check_targets(const struct plan *plan, const struct stage *s, struct err *err)
{
    if (!plan_changed(plan, s))
        return 0;
    (void)err_set(err, ERR_TEMPORARY, "the set of targets in the pipeline has changed");
    return err_follows(err);
}

/* Waits without limit for a reader. */
static int open_to_write(const struct plan *plan, const struct stage *s, const char *path,
                         struct err *err)
{
    int64_t begun_ms = monotonic_ms();
    for (bool said = false;;) {
        int fd, lock = plan_lock_joints(plan, err);
        int rc = lock >= 0 ? take_fifo(path, &fd, err) : -1;
        if (lock >= 0)
            (void)close(lock);
        if (rc)
            return -1;
        if (fd >= 0)
            return fd;
        if (!said && monotonic_ms() - begun_ms > SAY_MS) {
            log_info("waiting for the next stage: nobody reads the FIFO", "fifo", path, NULL);
            said = true;
        }
        (void)poll(NULL, 0, LOOK_MS);
        if (check_targets(plan, s, err))
            return -1;
    }
}

/* A writer that is none of ours leaves the name: whoever comes after it must not find it. */
static int take_name_away(const struct plan *plan, int fd, const char *path, struct err *err)
{
    struct stat ours, named;
    int rc = 0, lock = plan_lock_joints(plan, err);
    if (lock < 0)
        return -1;
    if (fstat(fd, &ours) == 0 && lstat(path, &named) == 0 && ours.st_dev == named.st_dev &&
        ours.st_ino == named.st_ino && unlink(path) != 0)
        rc = err_errno(err, err_kind_of(errno), "taking the FIFO %s", path);
    (void)close(lock);
    return rc;
}

static void wake(int signal)
{
    (void)signal; /* open(2) is interrupted, and that is all */
}

static void wake_every(int64_t ms)
{
    struct itimerval timer = {{0, ms * 1000}, {0, ms * 1000}};
    struct sigaction action = {.sa_handler = ms > 0 ? wake : SIG_DFL};
    if (ms > 0)
        (void)sigaction(SIGALRM, &action, NULL);
    (void)setitimer(ITIMER_REAL, &timer, NULL); /* it would outlive the program that we become */
    if (ms == 0)
        (void)sigaction(SIGALRM, &action, NULL);
}

/* A tee that is ready has opened all that it writes to. */
static void look_for_writer(const struct plan *plan, const struct stage *s, int64_t *since_ms)
{
    const struct stage *writer = &plan->stages[s->from];
    if (writer->kind != STAGE_TEE || monotonic_ms() - *since_ms < LACK_MS)
        return;
    pause_interrupt(writer);
    *since_ms = monotonic_ms();
}

/* Waits without limit for a writer. */
static int open_to_read(const struct plan *plan, const struct stage *s, struct err *err)
{
    const char *path = s->fifo;
    int fd;
    int64_t since_ms = monotonic_ms();
    if (make_fifo(plan, path, err))
        return -1;
    wake_every(WAKE_MS);
    while ((fd = open(path, O_RDONLY | O_CLOEXEC)) < 0 && errno == EINTR) {
        if (check_targets(plan, s, err))
            return -1;
        look_for_writer(plan, s, &since_ms);
    }
    int failure = errno;
    wake_every(0);
    errno = failure;
    if (fd < 0) /* not there: the stage was started a second time, and that one took it */
        return err_errno(err, errno == ENOENT ? ERR_TEMPORARY : err_kind_of(errno),
                         "opening the FIFO %s", path);
    if (flock(fd, LOCK_EX | LOCK_NB) != 0) {
        (void)close(fd);
        return err_set(err, ERR_TEMPORARY, "another process reads the FIFO %s already", path);
    }
    if (take_name_away(plan, fd, path, err)) {
        (void)close(fd);
        return -1;
    }
    return move_up(fd, path, err);
}

int join_and_exec(const struct plan *plan, size_t stage, const char *const *argv, struct err *err)
{
    const struct stage *all = plan->stages;
    int outputs[PLAN_MAX_STAGES] = {0}; /* to those that read from this one */
    for (size_t i = 0; i < plan->nstages; i++)
        if (all[i].from == (int)stage &&
            (outputs[i] = open_to_write(plan, &all[stage], all[i].fifo, err)) < 0)
            return -1;
    if (all[stage].from >= 0) {
        int input = open_to_read(plan, &all[stage], err);
        if (input < 0)
            return -1;
        if (dup2(input, STDIN_FILENO) < 0)
            return err_errno(err, ERR_TEMPORARY, "making the FIFO %s stdin", all[stage].fifo);
    }
    for (size_t i = 0; i < plan->nstages; i++)
        if (all[i].from == (int)stage && dup2(outputs[i], all[i].from_fd) < 0)
            return err_errno(err, ERR_TEMPORARY, "giving the FIFO %s to %s", all[i].fifo, argv[0]);
    /* The lock goes when the program begins: whoever has it then finds a stage that has seen what
     * was, or one that will see what is. */
    int lock = plan_lock_joints(plan, err);
    if (lock < 0 || check_targets(plan, &all[stage], err) ||
        pause_forget_others(plan, &all[stage], err))
        return -1;
    return plan_exec(plan, argv, err);
}
