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
    bool whole;       /* it is to be copied in one snapshot */
    bool lost;        /* acks_take_lost() is to tell */
    struct buf lacks; /* keys of rows, a line each */
    struct {
        bool said, has; /* said: otherwise as the target has all others (ack_fifo.all) */
        bool waits;     /* it has yet to say what it has of what was sent */
        char *next;     /* NULL: no copy is under way there */
    } targets[OPTION_LIST_MAX];
    UT_hash_handle hh;
};

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

/* FIFOs that were made. */
static size_t count(const struct acks *a)
{
    return a->n + a->napart;
}

static int open_fifo(struct acks *a, const char *path, size_t *n, struct err *err)
{
    if (count(a) == OPTION_LIST_MAX)
        return err_set(err, ERR_PERMANENT, "more than %d FIFOs in --ack and --ack-apart",
                       OPTION_LIST_MAX);
    for (size_t i = 0; i < count(a); i++)
        if (strcmp(path, a->fifos[i].path) == 0)
            return err_set(err, ERR_PERMANENT, "--ack %s is given twice", path);
    struct ack_fifo *f = &a->fifos[count(a)];
    *f = (struct ack_fifo){.path = path, .fd = -1};
    ++*n;
    return make_fifo(f, err);
}

int acks_open(struct acks *a, const struct option_list *paths, const struct option_list *apart,
              struct err *err)
{
    a->n = a->napart = 0;
    for (size_t i = 0; i < paths->n; i++)
        if (open_fifo(a, paths->items[i], &a->n, err))
            return -1;
    for (size_t i = 0; i < apart->n; i++)
        if (open_fifo(a, apart->items[i], &a->napart, err))
            return -1;
    return 0;
}

static void forget_copies(struct acks *a)
{
    struct ack_copy *copy, *next;
    HASH_ITER (hh, a->copies, copy, next) {
        HASH_DEL(a->copies, copy);
        for (size_t i = 0; i < OPTION_LIST_MAX; i++)
            free(copy->targets[i].next);
        buf_free(&copy->lacks);
        free(copy);
    }
}

void acks_close(struct acks *a)
{
    for (size_t i = 0; i < count(a); i++) {
        struct ack_fifo *f = &a->fifos[i];
        struct stat st;
        if (f->fd < 0)
            continue;
        if (lstat(f->path, &st) == 0 && st.st_dev == f->dev && st.st_ino == f->ino)
            (void)unlink(f->path);
        (void)close(f->fd);
        f->fd = -1;
    }
    a->n = a->napart = 0;
    forget_copies(a);
}

/* ---- copies ---- */

static struct ack_copy *find_copy(const struct acks *a, uint32_t relid)
{
    struct ack_copy *copy;
    HASH_FIND(hh, a->copies, &relid, sizeof relid, copy);
    return copy;
}

static struct ack_copy *make_copy(struct acks *a, uint32_t relid, struct err *err)
{
    struct ack_copy *copy = find_copy(a, relid);
    bool added = copy != NULL;
    if (!copy && (copy = calloc(1, sizeof *copy))) {
        copy->relid = relid;
        HASH_TRY_ADD(a->copies, relid, copy, added);
    }
    if (!added) {
        free(copy);
        copy = NULL;
        (void)err_nomem(err);
    }
    return copy;
}

void acks_hello(struct acks *a)
{
    forget_copies(a);
    for (size_t i = 0; i < a->n; i++)
        a->fifos[i].told = a->fifos[i].all = false;
}

bool acks_have_told(const struct acks *a)
{
    for (size_t i = 0; i < a->n; i++)
        if (!a->fifos[i].told)
            return false;
    return true;
}

const char *acks_copying(const struct acks *a, size_t i, uint32_t relid, bool *has)
{
    const struct ack_copy *copy = find_copy(a, relid);
    *has = copy && copy->targets[i].said ? copy->targets[i].has : a->fifos[i].all;
    return copy ? copy->targets[i].next : NULL;
}

bool acks_have_copy(const struct acks *a, uint32_t relid)
{
    bool has = a->n > 0;
    for (size_t i = 0; i < a->n && has; i++)
        (void)acks_copying(a, i, relid, &has);
    return has;
}

bool acks_take_lost(struct acks *a, uint32_t relid)
{
    struct ack_copy *copy = find_copy(a, relid);
    bool lost = copy && copy->lost;
    if (lost)
        copy->lost = false;
    return lost;
}

bool acks_want_whole(const struct acks *a, uint32_t relid)
{
    const struct ack_copy *copy = find_copy(a, relid);
    return copy && copy->whole;
}

int acks_sent_copy(struct acks *a, uint32_t relid, struct err *err)
{
    struct ack_copy *copy = make_copy(a, relid, err);
    for (size_t i = 0; copy && i < a->n; i++)
        copy->targets[i].waits = true;
    return copy ? 0 : -1;
}

bool acks_wait_for_copies(const struct acks *a)
{
    for (const struct ack_copy *copy = a->copies; copy; copy = copy->hh.next)
        for (size_t i = 0; i < a->n; i++)
            if (copy->targets[i].waits)
                return true;
    return false;
}

bool acks_lack_rows(const struct acks *a, uint32_t relid)
{
    const struct ack_copy *copy = find_copy(a, relid);
    return copy && copy->lacks.len > 0;
}

void acks_take_lacks(struct acks *a, uint32_t relid, struct buf *keys)
{
    struct ack_copy *copy = find_copy(a, relid);
    if (!copy)
        return;
    buf_append(keys, copy->lacks.data, copy->lacks.len);
    buf_free(&copy->lacks);
}

/* Another target may have asked for it already. */
static int add_lack(struct ack_copy *copy, const char *key, struct err *err)
{
    size_t size = strlen(key);
    for (const char *at = buf_cstr(&copy->lacks), *end; (end = strchr(at, '\n')); at = end + 1)
        if ((size_t)(end - at) == size && memcmp(at, key, size) == 0)
            return 0;
    buf_append(&copy->lacks, key, size);
    buf_append_byte(&copy->lacks, '\n');
    return buf_check(&copy->lacks, err);
}

/* ---- lines ---- */

static int bad_line(const struct ack_fifo *f, struct err *err)
{
    return err_set(err, ERR_PERMANENT, "--ack %s: a line that is not an LSN", f->path);
}

/* The relid at the beginning of the text, which is passed. */
static bool take_relid(const char **p, uint32_t *relid)
{
    char *end;
    if (**p < '1' || **p > '9')
        return false;
    unsigned long long number = strtoull(*p, &end, 10);
    if (number > UINT32_MAX)
        return false;
    *p = end;
    *relid = (uint32_t)number;
    return true;
}

/* A line about a copy; *is: it is one. One of a target that is apart, from before it was, changes
 * nothing: at its return it says anew what it has. */
static int take_copied(struct acks *a, size_t i, bool *is, struct err *err)
{
    enum { COPIED, COPYING, WHOLE, AGAIN, LACKS, NWORDS };
    static const char *const words[NWORDS] = {"copied", "copying ", "whole ", "again ", "lacks "};
    struct ack_fifo *f = &a->fifos[i];
    struct ack_copy *copy;
    uint32_t relid;
    size_t kind = 0;
    while (kind < NWORDS && strncmp(f->line, words[kind], strlen(words[kind])) != 0)
        kind++;
    *is = kind < NWORDS;
    if (!*is || i >= a->n)
        return 0;
    const char *p = f->line + strlen(words[kind]);
    if (kind == COPIED && (*p == '\0' || strcmp(p, " *") == 0)) {
        f->told = true;
        f->all = *p != '\0';
        return 0;
    }
    bool more = kind == COPYING || kind == LACKS;
    if ((kind == COPIED && *p++ != ' ') || !take_relid(&p, &relid) ||
        (more ? *p++ != ' ' || *p == '\0' : *p != '\0'))
        return bad_line(f, err);
    if (!(copy = make_copy(a, relid, err)))
        return -1;
    if (kind == LACKS)
        return add_lack(copy, p, err);
    bool lost = kind == WHOLE || kind == AGAIN;
    free(copy->targets[i].next);
    copy->targets[i].next = kind == COPYING ? strdup(p) : NULL;
    copy->targets[i].has = kind == COPIED;
    copy->targets[i].waits = copy->targets[i].waits && kind == COPYING;
    copy->targets[i].said = true;
    copy->lost = copy->lost || lost;
    copy->whole = copy->whole || kind == WHOLE;
    return kind == COPYING && !copy->targets[i].next ? err_nomem(err) : 0;
}

static int take_line(struct acks *a, size_t i, uint64_t limit, struct err *err)
{
    struct ack_fifo *f = &a->fifos[i];
    uint64_t lsn;
    bool is_copied;
    f->line[f->len] = '\0';
    if (strlen(f->line) != f->len)
        return bad_line(f, err);
    if (take_copied(a, i, &is_copied, err))
        return -1;
    if (is_copied) {
        f->len = 0;
        return 0;
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

/* The smallest of some; UINT64_MAX where there are none. */
static uint64_t smallest(const struct ack_fifo *fifos, size_t n)
{
    uint64_t lsn = UINT64_MAX;
    for (const struct ack_fifo *f = fifos; f < fifos + n; f++) {
        if (!f->spoken)
            return 0;
        if (f->lsn < lsn)
            lsn = f->lsn;
    }
    return lsn;
}

uint64_t acks_lsn(const struct acks *a)
{
    return a->n > 0 ? smallest(a->fifos, a->n) : 0;
}

uint64_t acks_apart_lsn(const struct acks *a)
{
    return smallest(a->fifos + a->n, a->napart);
}
