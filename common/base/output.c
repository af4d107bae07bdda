#include "base/output.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define KEEP_BUFFER (2 * 1024 * 1024)

static int reader_gone(const struct output *o, struct err *err)
{
    (void)err_set(err, ERR_TEMPORARY, "the reader of %s is gone", o->name);
    return err_follows(err);
}

void output_init(struct output *o, int fd, const char *name, size_t pipe_size)
{
    *o = (struct output){.fd = fd, .name = name, .saved_flags = -1};
    struct stat st;
    if (fstat(fd, &st) != 0 || !(S_ISFIFO(st.st_mode) || S_ISSOCK(st.st_mode)))
        return;
    if (pipe_size > 0 && S_ISFIFO(st.st_mode) && fcntl(fd, F_GETPIPE_SZ) < (int)pipe_size)
        (void)fcntl(fd, F_SETPIPE_SZ,
                    (int)pipe_size); /* refused: the pipe stays as it is, and works */
    int flags = fcntl(fd, F_GETFL);
    if (flags >= 0 && !(flags & O_NONBLOCK) && fcntl(fd, F_SETFL, flags | O_NONBLOCK) == 0)
        o->saved_flags = flags;
}

void output_close(struct output *o)
{
    if (o->saved_flags >= 0)
        (void)fcntl(o->fd, F_SETFL, o->saved_flags);
    buf_free(&o->buf);
    o->sent = 0;
    o->saved_flags = -1;
}

int output_try(struct output *o, struct err *err)
{
    if (buf_check(&o->buf, err))
        return -1;
    while (o->sent < o->buf.len) {
        ssize_t n = write(o->fd, o->buf.data + o->sent, o->buf.len - o->sent);
        if (n < 0) {
            if (errno == EINTR)
                continue;
            if (errno == EAGAIN)
                break;
            if (errno == EPIPE)
                return reader_gone(o, err);
            return err_errno(err, ERR_TEMPORARY, "writing to %s", o->name);
        }
        o->sent += (size_t)n;
    }
    if (o->sent == o->buf.len) {
        buf_reset(&o->buf, KEEP_BUFFER);
        o->sent = 0;
    } else if (o->sent >= o->buf.len - o->sent) {
        buf_consume(&o->buf, o->sent);
        o->sent = 0;
    }
    return 0;
}

int output_flush(struct output *o, struct err *err)
{
    for (;;) {
        if (output_try(o, err))
            return -1;
        if (output_pending(o) == 0)
            return 0;
        struct pollfd p = {.fd = o->fd, .events = POLLOUT};
        if (poll(&p, 1, -1) < 0 && errno != EINTR)
            return err_errno(err, ERR_TEMPORARY, "waiting for %s", o->name);
        if (output_check_revents(o, p.revents, err))
            return -1;
    }
}

int output_check_revents(const struct output *o, short revents, struct err *err)
{
    if (revents & (POLLERR | POLLNVAL))
        return reader_gone(o, err);
    return 0;
}
