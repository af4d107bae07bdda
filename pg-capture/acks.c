#include "acks.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/fifo.h"
#include "base/hash.h"
#include "base/lsn.h"

struct ack_copy {
    uint32_t relid;
    uint64_t targets; /* a bit for each FIFO */
    UT_hash_handle hh;
};

_Static_assert(OPTION_LIST_MAX <= 64, "a bit for each FIFO");

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
    struct ack_copy *copy, *next;
    HASH_ITER (hh, a->copies, copy, next) {
        HASH_DEL(a->copies, copy);
        free(copy);
    }
}

/* ---- copies ---- */

static const struct ack_copy *find_copy(const struct acks *a, uint32_t relid)
{
    struct ack_copy *copy;
    HASH_FIND(hh, a->copies, &relid, sizeof relid, copy);
    return copy;
}

static int add_copy(struct acks *a, size_t i, uint32_t relid, struct err *err)
{
    struct ack_copy *copy = (struct ack_copy *)(uintptr_t)find_copy(a, relid);
    bool added = copy != NULL;
    if (!copy && (copy = calloc(1, sizeof *copy))) {
        copy->relid = relid;
        HASH_TRY_ADD(a->copies, relid, copy, added);
    }
    if (!added) {
        free(copy);
        return err_nomem(err);
    }
    copy->targets |= UINT64_C(1) << i;
    return 0;
}

void acks_hello(struct acks *a)
{
    for (size_t i = 0; i < a->n; i++)
        a->fifos[i].told = false;
}

bool acks_have_told(const struct acks *a)
{
    for (size_t i = 0; i < a->n; i++)
        if (!a->fifos[i].told)
            return false;
    return true;
}

bool acks_have_copy(const struct acks *a, uint32_t relid)
{
    const struct ack_copy *copy = find_copy(a, relid);
    for (size_t i = 0; i < a->n; i++)
        if (!a->fifos[i].all && !(copy && copy->targets >> i & 1))
            return false;
    return a->n > 0;
}

/* ---- lines ---- */

static int bad_line(const struct ack_fifo *f, struct err *err)
{
    return err_set(err, ERR_PERMANENT, "--ack %s: a line that is not an LSN", f->path);
}

/* What follows "copied". */
static int take_copied(struct acks *a, size_t i, const char *rest, struct err *err)
{
    struct ack_fifo *f = &a->fifos[i];
    char *end;
    f->all = f->all || strcmp(rest, " *") == 0;
    f->told = f->told || *rest == '\0' || f->all;
    if (*rest == '\0' || strcmp(rest, " *") == 0)
        return 0;
    unsigned long relid = strtoul(rest, &end, 10);
    if (rest[0] != ' ' || rest[1] < '1' || rest[1] > '9' || *end != '\0' || relid > UINT32_MAX)
        return bad_line(f, err);
    return add_copy(a, i, (uint32_t)relid, err);
}

static int take_line(struct acks *a, size_t i, uint64_t limit, struct err *err)
{
    struct ack_fifo *f = &a->fifos[i];
    static const char copied[] = "copied";
    uint64_t lsn;
    f->line[f->len] = '\0';
    if (strncmp(f->line, copied, sizeof copied - 1) == 0) {
        f->len = 0;
        return take_copied(a, i, f->line + sizeof copied - 1, err);
    }
    if (!lsn_parse(f->line, f->len, &lsn))
        return bad_line(f, err);
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
                if (take_line(a, i, limit, err))
                    return -1;
            } else if (f->len == sizeof f->line - 1) {
                return bad_line(f, err);
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
