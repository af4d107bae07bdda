#include "acks.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/fifo.h"
#include "base/lsn.h"

static int make_fifo(struct ack_fifo *f, struct err *err)
{
    struct stat st;
    if (lstat(f->path, &st) == 0) {
        if (!S_ISFIFO(st.st_mode))
            return err_set(err, ERR_PERMANENT, "--ack %s: there is something that is not a FIFO",
                           f->path);
        if (unlink(f->path) != 0 && errno != ENOENT)
            return err_errno(err, err_kind_of(errno), "--ack %s: removing the old FIFO", f->path);
    }
    /* Another one that starts at the same moment may be quicker anywhere here. */
    if (mkfifo(f->path, 0600) != 0)
        return err_errno(err, errno == EEXIST ? ERR_TEMPORARY : err_kind_of(errno),
                         "--ack %s: mkfifo", f->path);
    /* With an end of its own to write to it never reads an end of file between two writers. */
    f->fd = open(f->path, O_RDWR | O_NONBLOCK | O_CLOEXEC | O_NOFOLLOW);
    if (f->fd < 0 || fstat(f->fd, &st) != 0)
        return err_errno(err, errno == ENOENT ? ERR_TEMPORARY : err_kind_of(errno), "--ack %s",
                         f->path);
    if (!S_ISFIFO(st.st_mode))
        return err_set(err, ERR_PERMANENT, "--ack %s: replaced while it was opened", f->path);
    /* Two that have opened the same one would each read a part of it. */
    if (fifo_claim(f->fd, FIFO_READER))
        return err_errno(err, ERR_TEMPORARY, "--ack %s: does another process read it?", f->path);
    f->dev = st.st_dev;
    f->ino = st.st_ino;
    return 0;
}

int acks_open(struct acks *a, const struct option_list *paths, struct err *err)
{
    a->n = 0;
    for (size_t i = 0; i < paths->n; i++) {
        for (size_t k = 0; k < i; k++)
            if (strcmp(paths->items[i], paths->items[k]) == 0)
                return err_set(err, ERR_PERMANENT, "--ack %s is given twice", paths->items[i]);
        struct ack_fifo *f = &a->fifos[a->n++];
        *f = (struct ack_fifo){.path = paths->items[i], .fd = -1};
        if (make_fifo(f, err))
            return -1;
    }
    return 0;
}

void acks_close(struct acks *a)
{
    for (size_t i = 0; i < a->n; i++) {
        struct ack_fifo *f = &a->fifos[i];
        struct stat st;
        if (f->fd < 0)
            continue;
        if (lstat(f->path, &st) == 0 && st.st_dev == f->dev && st.st_ino == f->ino)
            (void)unlink(f->path);
        (void)close(f->fd);
        f->fd = -1;
    }
    a->n = 0;
}

static int take_line(struct ack_fifo *f, uint64_t limit, struct err *err)
{
    uint64_t lsn;
    if (!lsn_parse(f->line, f->len, &lsn))
        return err_set(err, ERR_PERMANENT, "--ack %s: a line that is not an LSN", f->path);
    if (lsn > limit)
        return err_set(err, ERR_PERMANENT,
                       "--ack %s: %s is acknowledged, but only %s has been sent so far", f->path,
                       LSN(lsn), LSN(limit));
    f->len = 0;
    f->spoken = true;
    if (lsn > f->lsn)
        f->lsn = lsn;
    return 0;
}

int acks_read(struct acks *a, size_t i, uint64_t limit, struct err *err)
{
    struct ack_fifo *f = &a->fifos[i];
    for (;;) {
        char data[4096];
        ssize_t n = read(f->fd, data, sizeof data);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0 && errno != EAGAIN)
            return err_errno(err, ERR_TEMPORARY, "--ack %s: reading", f->path);
        if (n <= 0)
            return 0;
        for (ssize_t k = 0; k < n; k++) {
            if (data[k] == '\n') {
                if (take_line(f, limit, err))
                    return -1;
            } else if (f->len == sizeof f->line) {
                return err_set(err, ERR_PERMANENT, "--ack %s: a line that is not an LSN", f->path);
            } else {
                f->line[f->len++] = data[k];
            }
        }
    }
}

uint64_t acks_lsn(const struct acks *a)
{
    uint64_t lsn = UINT64_MAX;
    for (size_t i = 0; i < a->n; i++) {
        const struct ack_fifo *f = &a->fifos[i];
        if (!f->spoken)
            return 0;
        if (f->lsn < lsn)
            lsn = f->lsn;
    }
    return a->n > 0 ? lsn : 0;
}
