#include "apply/quarantine_file.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include "frames/frame_reader.h"

#define WRITE_BYTES (256 * 1024)

void quarantine_file_init(struct quarantine_file *f, int dir_fd, const char *name,
                          const struct copied_file *good, uint64_t max_bytes)
{
    *f =
        (struct quarantine_file){.dir_fd = dir_fd, .max_bytes = max_bytes, .fd = -1, .good = *good};
    (void)snprintf(f->name, sizeof f->name, "%s", name);
}

void quarantine_file_close(struct quarantine_file *f)
{
    quarantine_file_rollback(f);
    relation_unref(f->rel);
    f->rel = NULL;
    buf_free(&f->pending);
    if (f->fd >= 0)
        (void)close(f->fd);
    f->fd = -1;
}

/* ---- what is there ---- */

/* -1 with a permanent error where it is not there or is shorter than it should be. */
static int open_file(const struct quarantine_file *f, struct err *err)
{
    struct stat st;
    int fd = openat(f->dir_fd, f->name, O_RDWR | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
    if (fd < 0)
        return err_errno(err, ERR_PERMANENT, "opening the file");
    if (fstat(fd, &st) != 0)
        (void)err_errno(err, ERR_PERMANENT, "looking at the file");
    else if (!S_ISREG(st.st_mode) || (uint64_t)st.st_size < f->good.size)
        (void)err_set(err, ERR_PERMANENT, "the file is shorter than the target remembers it");
    else
        return fd;
    (void)close(fd);
    return -1;
}

static int read_good(const struct quarantine_file *f, struct frame_reader *r,
                     quarantine_frame_fn *take, void *ctx, struct err *err)
{
    while (r->offset < f->good.size && !r->eof) {
        struct frame frame;
        enum frame_reader_status status = frame_reader_next(r, &frame, err);
        if (status == FRAME_READER_ERROR ||
            (status == FRAME_READER_FRAME && take(ctx, &frame, err)) ||
            (status == FRAME_READER_MORE && frame_reader_fill(r, err) < 0))
            return -1;
    }
    if (r->offset == f->good.size && r->seal.checksum == f->good.checksum)
        return 0;
    return err_set(err, ERR_PERMANENT, "the file is another one than the target remembers");
}

int quarantine_file_read(const struct quarantine_file *f, quarantine_frame_fn *take, void *ctx,
                         struct err *err)
{
    struct frame_reader r;
    if (f->good.size == 0)
        return 0;
    int fd = open_file(f, err);
    if (fd < 0)
        return -1;
    frame_reader_init(&r, fd);
    int rc = read_good(f, &r, take, ctx, err);
    frame_reader_free(&r);
    (void)close(fd);
    return rc;
}

static int note_relation(void *ctx, const struct frame *frame, struct err *err)
{
    struct quarantine_file *f = ctx;
    struct relation *rel;
    if (frame->type != FRAME_RELATION)
        return 0;
    if (relation_from_frame(frame, &rel, err))
        return -1;
    relation_unref(f->rel);
    f->rel = rel;
    return 0;
}

/* Reads what is good, to know that it is and how it ends. */
static int read_back(struct quarantine_file *f, struct err *err)
{
    struct frame_reader r;
    frame_reader_init(&r, f->fd);
    int rc = read_good(f, &r, note_relation, f, err);
    f->seal = r.seal;
    frame_reader_free(&r);
    return rc;
}

static int make_file(struct quarantine_file *f, struct err *err)
{
    f->fd =
        openat(f->dir_fd, f->name, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK, 0600);
    if (f->fd < 0)
        return err_errno(err, ERR_PERMANENT, "making the file");
    return fsync(f->dir_fd) == 0 ? 0 : err_errno(err, ERR_PERMANENT, "making the file durable");
}

static int go_to_end(struct quarantine_file *f, struct err *err)
{
    if (f->fd >= 0)
        return 0;
    int rc;
    if (f->good.size == 0) {
        rc = make_file(f, err);
    } else {
        f->fd = open_file(f, err);
        rc = f->fd >= 0 ? read_back(f, err) : -1;
    }
    if (rc && f->fd >= 0) { /* a repeated transaction is to find that out again */
        (void)close(f->fd);
        f->fd = -1;
    }
    return rc;
}

/* ---- writing ---- */

static int write_pending(struct quarantine_file *f, struct err *err)
{
    if (buf_check(&f->pending, err))
        return -1;
    for (size_t sent = 0; sent < f->pending.len;) {
        ssize_t n = pwrite(f->fd, f->pending.data + sent, f->pending.len - sent,
                           (off_t)(f->good.size + f->written));
        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            return err_errno(err, ERR_PERMANENT, "writing the file");
        sent += (size_t)n;
        f->written += (size_t)n;
    }
    buf_reset(&f->pending, 2 * WRITE_BYTES);
    f->sealed = 0;
    return 0;
}

/* It begins where the first transaction is that was left out. */
static int put_hello(struct quarantine_file *f, const struct buf *hello,
                     const struct source_txn *txn, struct err *err)
{
    struct frame_hello h;
    struct frame frame = {.type = FRAME_HELLO,
                          .size = (uint32_t)(hello->len - FRAME_HEADER_SIZE),
                          .body = hello->data + FRAME_HEADER_SIZE};
    if (frame_get_hello(&frame, &h, err))
        return -1;
    h.start_lsn = txn->commit_lsn;
    if (h.wal_lsn < h.start_lsn)
        h.wal_lsn = h.start_lsn;
    h.slot_created = false;
    frame_put_hello(&f->pending, &h);
    return 0;
}

static int touch(struct quarantine_file *f, const struct buf *hello, const struct source_txn *txn,
                 struct err *err)
{
    if (f->touched)
        return 0;
    f->touched = true;
    if (go_to_end(f, err))
        return -1;
    if (ftruncate(f->fd, (off_t)f->good.size) != 0)
        return err_errno(err, ERR_PERMANENT, "cutting the file");
    f->seal_now = f->seal;
    f->rel_now = f->rel ? relation_ref(f->rel) : NULL;
    return f->good.size == 0 ? put_hello(f, hello, txn, err) : 0;
}

/* Before a change that takes so many bytes. */
static int begin(struct quarantine_file *f, const struct buf *hello, struct relation *rel,
                 const struct source_txn *txn, size_t size, struct err *err)
{
    if (touch(f, hello, txn, err))
        return -1;
    if (!f->open)
        frame_put_begin(&f->pending,
                        &(struct frame_begin){txn->xid, txn->commit_lsn, txn->commit_time_us});
    if (!f->rel_now || !relation_same_frame(f->rel_now, rel)) {
        buf_append(&f->pending, rel->frame, rel->frame_size);
        relation_unref(f->rel_now);
        f->rel_now = relation_ref(rel);
    }
    f->open = true;
    f->txn = *txn;
    f->nchanges++;
    if (f->good.size + f->written + f->pending.len + size > f->max_bytes)
        return err_set(err, ERR_PERMANENT, "it would take more than --quarantine-size");
    return 0;
}

static int added(struct quarantine_file *f, struct err *err)
{
    frame_seal_add(&f->seal_now, &f->pending, &f->sealed);
    return f->pending.len >= WRITE_BYTES ? write_pending(f, err) : buf_check(&f->pending, err);
}

int quarantine_file_change(struct quarantine_file *f, const struct buf *hello, struct relation *rel,
                           const struct frame *change, const struct source_txn *txn,
                           struct err *err)
{
    if (begin(f, hello, rel, txn, frame_length(change), err))
        return -1;
    buf_append(&f->pending, frame_start(change), frame_length(change));
    return added(f, err);
}

int quarantine_file_truncate(struct quarantine_file *f, const struct buf *hello,
                             struct relation *rel, const struct frame_truncate *t,
                             const struct source_txn *txn, struct err *err)
{
    struct frame_truncate alone = *t;
    if (begin(f, hello, rel, txn, 0, err))
        return -1;
    alone.nrelids = 1;
    alone.cascade = false;
    frame_put_truncate(&f->pending, &alone, &rel->relid);
    return added(f, err);
}

void quarantine_file_end_txn(struct quarantine_file *f, uint64_t end_lsn)
{
    if (!f->open)
        return;
    frame_put_commit(&f->pending, &(struct frame_commit){f->txn.xid, f->txn.commit_lsn, end_lsn,
                                                         f->txn.commit_time_us, f->nchanges});
    frame_seal_add(&f->seal_now, &f->pending, &f->sealed);
    f->open = false;
    f->nchanges = 0;
}

int quarantine_file_sync(struct quarantine_file *f, struct copied_file *good, struct err *err)
{
    *good = f->good;
    if (write_pending(f, err))
        return -1;
    if (fsync(f->fd) != 0)
        return err_errno(err, ERR_PERMANENT, "making the file durable");
    good->size = f->good.size + f->written;
    good->checksum = f->seal_now.checksum;
    return 0;
}

void quarantine_file_commit(struct quarantine_file *f, const struct copied_file *good)
{
    f->good = *good;
    f->seal = f->seal_now;
    relation_unref(f->rel);
    f->rel = f->rel_now;
    f->rel_now = NULL;
    quarantine_file_rollback(f);
}

void quarantine_file_rollback(struct quarantine_file *f)
{
    buf_reset(&f->pending, 2 * WRITE_BYTES);
    f->sealed = 0;
    f->written = 0;
    f->touched = f->open = false;
    f->nchanges = 0;
    relation_unref(f->rel_now);
    f->rel_now = NULL;
}
