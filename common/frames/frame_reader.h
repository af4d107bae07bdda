/*
 * frame_reader.h - cuts a byte stream into frames, and checks that it is as it was written
 * (frame_seal.h).
 *
 * The buffer grows with what has really arrived, never with what a header claims, and shrinks after
 * a large frame. Works with blocking and non-blocking descriptors; does not own the descriptor.
 */
#ifndef PG2ANY_FRAME_READER_H
#define PG2ANY_FRAME_READER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"
#include "frames/frame.h"
#include "frames/frame_seal.h"

enum frame_reader_status { FRAME_READER_ERROR = -1, FRAME_READER_MORE, FRAME_READER_FRAME };

struct frame_reader {
    int fd;
    uint8_t *data;
    size_t cap;
    size_t start; /* of what has not been handed out */
    size_t end;
    uint64_t offset; /* of `start` in the stream: the byte offset that errors name */
    struct frame_seal seal;
    bool eof;
};

void frame_reader_init(struct frame_reader *r, int fd);
void frame_reader_free(struct frame_reader *r);

/*
 * The next frame that is whole in the buffer (FRAME_READER_FRAME); it stays valid until the next
 * call of any function here. FRAME_READER_MORE: frame_reader_fill() first. The error (permanent)
 * names the byte offset of the frame.
 *
 * A frame of version 2 is without what that adds, so it may be shorter than its place in the input.
 * A hello, a relation and one that ends something is right when it is handed out, and with it all
 * before it; another within a transaction or a block may still prove wrong at the end of that.
 * Nothing that a frame brings about may be durable before.
 */
MUST_CHECK enum frame_reader_status frame_reader_next(struct frame_reader *r, struct frame *f,
                                                      struct err *err);

/*
 * One read(2), which blocks if the descriptor does. Returns 1 when bytes came, 0 when none are
 * there now (EAGAIN, EINTR) or at the end of input (r->eof), -1 on a read error (temporary).
 */
MUST_CHECK int frame_reader_fill(struct frame_reader *r, struct err *err);

/*
 * For after the end frame, when all before it is done: permanent error where the input goes on, as
 * in two streams joined by cat, because nobody would miss what stands there. Waits for that or the
 * end of input, but not for long: a writer that waits for acknowledgements keeps the pipe open.
 */
MUST_CHECK int frame_reader_finish(struct frame_reader *r, struct err *err);

/* The error for an input that ended without an end frame: temporary. From a pipe or a socket the
 * cause is the writer's (err_follows()). Returns -1. */
int frame_reader_cut(const struct frame_reader *r, struct err *err);

/* Bytes of an unfinished frame that the end of input left behind. */
static inline size_t frame_reader_left(const struct frame_reader *r)
{
    return r->end - r->start;
}

#endif
