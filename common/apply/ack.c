#include "apply/ack.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/fifo.h"
#include "base/lsn.h"

#define RETRY_MS 20
#define GONE_MS  5000 /* how long the input may go on after the reader has left */

void ack_init(struct ack *a, const char *path)
{
    *a = (struct ack){.path = path, .fd = -1};
}

void ack_close(struct ack *a)
{
    if (a->fd >= 0)
        (void)close(a->fd);
    a->fd = -1;
}

/* -1 and errno: EAGAIN where another process writes to it, EEXIST where it is no FIFO: a file would
 * take all that is said and nobody hear it. */
static int open_alone(const char *path)
{
    struct stat st;
    int fd = open(path, O_WRONLY | O_NONBLOCK | O_APPEND | O_CLOEXEC | O_NOCTTY);
    if (fd < 0)
        return -1;
    int rc = fstat(fd, &st);
    if (rc == 0 && !S_ISFIFO(st.st_mode)) {
        errno = EEXIST;
        rc = -1;
    }
    if (rc == 0 && fifo_claim(fd, FIFO_WRITER) == 0)
        return fd;
    int why = errno;
    (void)close(fd);
    errno = why;
    return -1;
}

static int no_room(const struct ack *a, bool taken, struct err *err)
{
    if (taken) {
        (void)err_set(err, ERR_TEMPORARY, "another process writes to the acknowledgement FIFO %s",
                      a->path);
        return err_hint(err, "each applier needs an --ack of its own");
    }
    (void)err_set(err, ERR_TEMPORARY, "nobody reads the acknowledgement FIFO %s", a->path);
    return err_hint(err, "is pg-capture running with the same --ack?");
}

int ack_open(struct ack *a, int64_t timeout_ms, int stop_fd, int input_fd, struct err *err)
{
    if (!a->path || a->fd >= 0)
        return 0;
    int64_t deadline = monotonic_ms() + timeout_ms;
    a->timeout_ms = timeout_ms;
    for (;;) {
        a->fd = open_alone(a->path);
        if (a->fd >= 0) {
            a->gone_ms = 0;
            return 0;
        }
        bool taken = errno == EAGAIN;
        if (errno == EEXIST) {
            (void)err_set(err, ERR_PERMANENT, "--ack %s: there is something that is not a FIFO",
                          a->path);
            return err_hint(err, "remove it; pg-capture with the same --ack makes the FIFO");
        }
        /* No reader yet; not made yet. */
        if (!taken && errno != ENXIO && errno != ENOENT && errno != EINTR)
            return err_errno(err, err_kind_of(errno), "opening the acknowledgement FIFO %s",
                             a->path);
        if (monotonic_ms() >= deadline)
            return no_room(a, taken, err);
        /* Of the input only its end is of interest, which poll(2) tells without being asked. */
        struct pollfd p[] = {{.fd = stop_fd, .events = POLLIN}, {.fd = input_fd}};
        if (poll(p, 2, RETRY_MS) <= 0)
            continue;
        if (p[0].revents)
            return err_set(err, ERR_TEMPORARY,
                           "asked to stop while nobody read the acknowledgement FIFO %s", a->path);
        (void)no_room(a, taken, err);
        (void)err_context(err, "the input has ended");
        return err_follows(err);
    }
}

int ack_flush(struct ack *a, struct err *err)
{
    if (a->waiting_lsn == 0 || a->fd < 0)
        return 0;
    char line[LSN_TEXT_SIZE + 1];
    int len = snprintf(line, sizeof line, "%s\n", LSN(a->waiting_lsn));
    ssize_t n = write(a->fd, line, (size_t)len);
    if (n == len) {
        a->sent_lsn = a->waiting_lsn;
        a->waiting_lsn = 0;
        return 0;
    }
    if (n < 0 && (errno == EAGAIN || errno == EINTR))
        return 0;
    if (n < 0 && errno == EPIPE) {
        ack_reader_gone(a);
        return 0;
    }
    return err_errno(err, ERR_TEMPORARY, "writing to the acknowledgement FIFO %s", a->path);
}

int ack_send(struct ack *a, uint64_t lsn, struct err *err)
{
    if (!a->path || lsn <= a->sent_lsn || lsn <= a->waiting_lsn)
        return 0;
    a->waiting_lsn = lsn;
    return ack_flush(a, err);
}

int ack_tell(struct ack *a, const char *lines, size_t size, int stop_fd, struct err *err)
{
    int64_t deadline_ms = monotonic_ms() + a->timeout_ms;
    while (a->fd >= 0 && size > 0) {
        /* A line at a time: longer writes may arrive in parts. */
        size_t len = (size_t)((const char *)memchr(lines, '\n', size) + 1 - lines);
        ssize_t n = write(a->fd, lines, len);
        if (n == (ssize_t)len) {
            lines += len;
            size -= len;
            continue;
        }
        if (n < 0 && errno == EPIPE) {
            ack_reader_gone(a);
            return 0;
        }
        if (n >= 0 || (errno != EAGAIN && errno != EINTR))
            return err_errno(err, ERR_TEMPORARY, "writing to the acknowledgement FIFO %s", a->path);
        struct pollfd p[2] = {{.fd = a->fd, .events = POLLOUT}, {.fd = stop_fd, .events = POLLIN}};
        int64_t left_ms = deadline_ms - monotonic_ms();
        if (left_ms <= 0)
            return no_room(a, false, err);
        (void)poll(p, 2, left_ms > INT32_MAX ? INT32_MAX : (int)left_ms);
        if (p[1].revents)
            return err_set(err, ERR_TEMPORARY,
                           "asked to stop while the acknowledgement FIFO %s was full", a->path);
    }
    return 0;
}

int ack_drain(struct ack *a, int timeout_ms, struct err *err)
{
    if (ack_flush(a, err))
        return -1;
    if (a->waiting_lsn == 0 || a->fd < 0)
        return 0;
    struct pollfd p = {.fd = a->fd, .events = POLLOUT};
    (void)poll(&p, 1, timeout_ms);
    if (ack_flush(a, err))
        return -1;
    if (a->waiting_lsn != 0 && a->fd >= 0)
        return err_set(err, ERR_TEMPORARY,
                       "the acknowledgement FIFO %s is full and nobody reads it", a->path);
    return 0;
}

void ack_reader_gone(struct ack *a)
{
    ack_close(a);
    a->gone_ms = monotonic_ms();
}

int ack_wait_ms(const struct ack *a)
{
    if (a->gone_ms == 0)
        return -1;
    int64_t left = a->gone_ms + GONE_MS - monotonic_ms();
    return left < 0 ? 0 : (int)left;
}

int ack_check(const struct ack *a, struct err *err)
{
    if (ack_wait_ms(a) != 0)
        return 0;
    (void)err_set(err, ERR_TEMPORARY, "the reader of the acknowledgement FIFO %s is gone", a->path);
    return err_follows(err);
}
