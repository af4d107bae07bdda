#include "join.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <sys/stat.h>
#include <unistd.h>

#include "log.h"
#include "lsn.h"

#define LOOK_MS     50
#define SAY_MS      5000 /* a wait longer than that is worth a line */
#define FIRST_OF_US 64   /* above every number that the program is given */

/* Only what is a FIFO, or is not there, may be replaced. */
static int make_fifo(const char *path, struct err *err)
{
    struct stat st;
    if (lstat(path, &st) == 0) {
        if (!S_ISFIFO(st.st_mode))
            return err_set(err, ERR_PERMANENT, "%s is there and is no FIFO", path);
        if (unlink(path) != 0)
            return err_errno(err, ERR_PERMANENT, "replacing the FIFO %s", path);
    }
    if (mkfifo(path, 0600) != 0)
        return err_errno(err, errno == ENOSPC ? ERR_TEMPORARY : ERR_PERMANENT, "making the FIFO %s",
                         path);
    return 0;
}

static int move_up(int fd, const char *path, struct err *err)
{
    int up = fcntl(fd, F_DUPFD_CLOEXEC, FIRST_OF_US);
    (void)close(fd);
    return up >= 0 ? up : err_errno(err, ERR_TEMPORARY, "opening the FIFO %s", path);
}

/* Waits without limit for a reader. */
static int open_to_write(const char *path, struct err *err)
{
    int64_t begun_ms = monotonic_ms();
    for (bool said = false;;) {
        int fd = open(path, O_WRONLY | O_NONBLOCK | O_CLOEXEC);
        struct stat st;
        if (fd >= 0) {
            if (fstat(fd, &st) != 0 || !S_ISFIFO(st.st_mode)) {
                (void)close(fd);
                return err_set(err, ERR_PERMANENT, "%s is no FIFO", path);
            }
            int flags = fcntl(fd, F_GETFL);
            if (flags < 0 || fcntl(fd, F_SETFL, flags & ~O_NONBLOCK) != 0) {
                (void)err_errno(err, ERR_TEMPORARY, "opening the FIFO %s", path);
                (void)close(fd);
                return -1;
            }
            return move_up(fd, path, err);
        }
        if (errno != ENXIO && errno != ENOENT && errno != EINTR)
            return err_errno(err, ERR_PERMANENT, "opening the FIFO %s", path);
        if (!said && monotonic_ms() - begun_ms > SAY_MS) {
            log_info("waiting for the next stage: nobody reads the FIFO", "fifo", path, NULL);
            said = true;
        }
        (void)poll(NULL, 0, LOOK_MS);
    }
}

static int open_to_read(const char *path, struct err *err)
{
    int fd;
    do
        fd = open(path, O_RDONLY | O_CLOEXEC);
    while (fd < 0 && errno == EINTR);
    return fd >= 0 ? move_up(fd, path, err)
                   : err_errno(err, ERR_PERMANENT, "opening the FIFO %s", path);
}

int join_and_exec(const struct plan *plan, const char *read, const struct option_list *writes,
                  const char *const *argv, struct err *err)
{
    int fds[OPTION_LIST_MAX];
    if (read && make_fifo(read, err))
        return -1;
    for (size_t i = 0; i < writes->n; i++)
        if ((fds[i] = open_to_write(writes->items[i], err)) < 0)
            return -1;
    int input = read ? open_to_read(read, err) : -1;
    if (read && input < 0)
        return -1;
    if (input >= 0 && dup2(input, STDIN_FILENO) < 0)
        return err_errno(err, ERR_TEMPORARY, "making the FIFO %s stdin", read);
    for (size_t i = 0; i < writes->n; i++)
        if (dup2(fds[i], i == 0 ? STDOUT_FILENO : (int)(JOIN_FIRST_FD + i - 1)) < 0)
            return err_errno(err, ERR_TEMPORARY, "giving the FIFO %s to %s", writes->items[i],
                             argv[0]);
    return plan_exec(plan, argv, err);
}
