#include "backlog.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include "base/log.h"
#include "base/lsn.h"
#include "base/spill_file.h"

#define BLOCK_BYTES (64 * 1024)
#define FREE_BYTES  (16 * 1024 * 1024) /* give room back in such pieces */
#define RETRY_MS    60000              /* after a disk that did not take a block */

void backlog_init(struct backlog *b, int fd, const char *name, const char *dir, uint64_t limit)
{
    *b = (struct backlog){.dir = dir, .limit = limit, .fd = -1};
    frame_output_init(&b->out, fd, name, OUTPUT_PIPE_SIZE);
}

void backlog_free(struct backlog *b)
{
    frame_output_close(&b->out);
    buf_free(&b->tail);
    buf_free(&b->block);
    if (b->fd >= 0)
        (void)close(b->fd);
    b->fd = -1;
}

uint64_t backlog_bytes(const struct backlog *b)
{
    return frame_output_pending(&b->out) + backlog_spilled(b) + b->tail.len;
}

bool backlog_has_room(const struct backlog *b)
{
    uint64_t used = b->end - (b->cannot_free ? 0 : b->head);
    return backlog_bytes(b) < BACKLOG_HIGH_BYTES || (!b->refused && used < b->limit);
}

static void take_frame(struct backlog *b, const struct frame *f)
{
    buf_append(&b->out.out.buf, frame_start(f), frame_length(f));
    frame_output_seal(&b->out);
}

static bool is_behind(const struct backlog *b)
{
    return backlog_spilled(b) > 0 || b->tail.len > 0;
}

void backlog_put(struct backlog *b, const struct frame *f)
{
    if (is_behind(b) || frame_output_pending(&b->out) >= BACKLOG_HIGH_BYTES)
        buf_append(&b->tail, frame_start(f), frame_length(f));
    else
        take_frame(b, f);
}

/* ---- the file ---- */

static void empty_file(struct backlog *b)
{
    /* What it cannot cut is only room, which the end of the process gives back. */
    if (ftruncate(b->fd, 0) != 0)
        log_warning("cannot empty a spill file", "reason", strerror(errno), NULL);
    b->head = b->end = b->freed = 0;
    log_debug("the reader has caught up", "reader", b->out.out.name, NULL);
}

static void free_room(struct backlog *b)
{
    if (b->head - b->freed < FREE_BYTES || b->cannot_free)
        return;
    if (fallocate(b->fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, (off_t)b->freed,
                  (off_t)(b->head - b->freed)) != 0)
        b->cannot_free = true;
    else
        b->freed = b->head;
}

/* One by one: sealing a frame moves what is behind it in `out`. */
static void take_frames(struct backlog *b, const struct buf *frames)
{
    struct err err = {0};
    for (size_t at = 0; at < frames->len;) {
        struct frame f = {.body = frames->data + at + FRAME_HEADER_SIZE};
        if (frames->len - at < FRAME_HEADER_SIZE ||
            frame_header(frames->data + at, &f.type, &f.size, &err) ||
            f.size > frames->len - at - FRAME_HEADER_SIZE)
            BUG("a backlog holds something else than whole frames");
        take_frame(b, &f);
        at += frame_length(&f);
    }
}

/* Appends the oldest block to `out`. */
static int read_block(struct backlog *b, struct err *err)
{
    buf_reset(&b->block, BLOCK_BYTES);
    if (spill_read(b->fd, b->dir, b->head, b->end, &b->block, err))
        return -1;
    take_frames(b, &b->block);
    b->head += SPILL_HEADER_SIZE + b->block.len;
    if (b->head == b->end)
        empty_file(b);
    else
        free_room(b);
    return 0;
}

static void take_tail(struct backlog *b)
{
    take_frames(b, &b->tail);
    buf_reset(&b->tail, BLOCK_BYTES);
}

static void write_tail(struct backlog *b)
{
    struct err err = {0};
    if (b->end == 0)
        log_debug("a reader is behind: its frames go to a spill file", "reader", b->out.out.name,
                  NULL);
    if ((b->fd < 0 && spill_open(b->dir, &b->fd, &err)) ||
        spill_write(b->fd, b->dir, b->end, b->tail.data, b->tail.len, &err)) {
        b->refused = true;
        b->retry_ms = monotonic_ms() + RETRY_MS;
        log_warning("a reader is behind, and its frames cannot be kept: the others wait", "reader",
                    b->out.out.name, "reason", err.text, NULL);
        return;
    }
    b->end += SPILL_HEADER_SIZE + b->tail.len;
    b->nspilled += SPILL_HEADER_SIZE + b->tail.len;
    buf_reset(&b->tail, BLOCK_BYTES);
}

int backlog_pass(struct backlog *b, struct err *err)
{
    /* Not for ever: there are others to serve. */
    for (unsigned i = 0; i <= BACKLOG_HIGH_BYTES / BLOCK_BYTES; i++) {
        if (buf_check(&b->tail, err) || frame_output_try(&b->out, err))
            return -1;
        if (!is_behind(b) || frame_output_pending(&b->out) >= BACKLOG_HIGH_BYTES)
            break;
        if (backlog_spilled(b) == 0)
            take_tail(b);
        else if (read_block(b, err))
            return -1;
    }
    if (b->refused && !is_behind(b) && monotonic_ms() > b->retry_ms)
        b->refused = false;
    if (b->tail.len >= BLOCK_BYTES && !b->refused)
        write_tail(b);
    return buf_check(&b->tail, err) ? -1 : 0;
}

bool backlog_cut(struct backlog *b)
{
    bool any = is_behind(b);
    if (backlog_spilled(b) > 0)
        empty_file(b);
    b->tail.len = 0;
    return any;
}
