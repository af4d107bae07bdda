/*
 * backlog.h - the frames that wait for one reader: in memory, and behind that in a spill file.
 *
 * In order: `out` (at most BACKLOG_HIGH_BYTES and a block), the file's blocks, `tail`. Only `out`
 * is sealed (frame_seal.h), so what is behind it can be dropped: the reader has whole frames up to
 * there then.
 *
 * A spill file is written only when `out` is full and more is put, so never for a reader that keeps
 * up. A full disk is no error: only memory holds frames then, and backlog_has_room() says when it
 * is full. The file is tried again after a minute.
 */
#ifndef PG2ANY_BACKLOG_H
#define PG2ANY_BACKLOG_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/err.h"
#include "frames/frame.h"
#include "frames/frame_output.h"

#define BACKLOG_HIGH_BYTES (1024 * 1024)

struct backlog {
    struct frame_output out;
    const char *dir;    /* of the spill file; borrowed */
    uint64_t limit;     /* bytes of the file; 0: there is none */
    int fd;             /* -1: not made yet */
    uint64_t head, end; /* its blocks that are to be read are from here to there */
    uint64_t freed;     /* what is before it takes no room */
    bool cannot_free;   /* the file system does not give room back before the end */
    bool refused;       /* the disk did not take a block, */
    int64_t retry_ms;   /* and is not asked again before (monotonic) */
    struct buf tail;    /* frames */
    struct buf block;   /* one that was read */
    uint64_t nspilled;  /* bytes that were written to the file so far */
};

/* As output_init(). */
void backlog_init(struct backlog *b, int fd, const char *name, const char *dir, uint64_t limit);
void backlog_free(struct backlog *b);

/* Puts a frame behind the rest. Does not block. No memory: the next backlog_pass() says so. */
void backlog_put(struct backlog *b, const struct frame *f);

/* Passes on what the reader takes without blocking, and writes to the file what is too much for
 * memory. Temporary error where the reader is gone, or where the file cannot be read. */
MUST_CHECK int backlog_pass(struct backlog *b, struct err *err);

/* Bytes that wait for the reader. */
uint64_t backlog_bytes(const struct backlog *b);

static inline uint64_t backlog_spilled(const struct backlog *b)
{
    return b->end - b->head;
}

/* Whether another frame may be put. */
bool backlog_has_room(const struct backlog *b);

/* Drops what is behind `out`; whether there was anything. */
bool backlog_cut(struct backlog *b);

#endif
