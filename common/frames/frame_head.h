/*
 * frame_head.h - the first bytes of every frame: that it is one, of which type, and how long.
 *
 *     0xC9 | body length, u32 big-endian | frame type, i8
 */
#ifndef PG2ANY_FRAME_HEAD_H
#define PG2ANY_FRAME_HEAD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"

#define FRAME_MARK        0xC9
#define FRAME_HEADER_SIZE 6
/* A message of the server is below 1 GiB (MaxAllocSize), and no value is longer in a frame than
 * there. */
#define FRAME_BODY_MAX (UINT32_C(1) << 30)

enum frame_type {
    FRAME_HELLO = 'H',
    FRAME_RELATION = 'R',
    FRAME_TYPE = 'Y',
    FRAME_BEGIN = 'B',
    FRAME_INSERT = 'I',
    FRAME_UPDATE = 'U',
    FRAME_DELETE = 'D',
    FRAME_TRUNCATE = 'T',
    FRAME_COMMIT = 'C',
    FRAME_STREAM_START = 'S',
    FRAME_STREAM_STOP = 'E',
    FRAME_STREAM_COMMIT = 'c',
    FRAME_STREAM_ABORT = 'A',
    FRAME_BEGIN_PREPARE = 'b',
    FRAME_PREPARE = 'P',
    FRAME_COMMIT_PREPARED = 'K',
    FRAME_ROLLBACK_PREPARED = 'r',
    FRAME_STREAM_PREPARE = 'p',
    FRAME_ORIGIN = 'O',
    FRAME_MESSAGE = 'M',
    FRAME_PROGRESS = 'k',
    FRAME_COPY_DUE = 'W',
    FRAME_COPY_BEGIN = 'X',
    FRAME_COPY_END = 'x',
    FRAME_END = 'Z',
};

/* Borrowed view of one whole frame. */
struct frame {
    enum frame_type type;
    const uint8_t *body;
    uint32_t size; /* of the body, bytes */
};

/* The frame with its header, as it stands in the stream. */
static inline const uint8_t *frame_start(const struct frame *f)
{
    return f->body - FRAME_HEADER_SIZE;
}

static inline size_t frame_length(const struct frame *f)
{
    return (size_t)f->size + FRAME_HEADER_SIZE;
}

bool frame_type_known(uint8_t type);
const char *frame_type_name(enum frame_type type); /* "insert", "stream commit", … */

/* I, U, D and T: what a commit counts. */
bool frame_is_change(enum frame_type type);

/*
 * Reads a header of FRAME_HEADER_SIZE bytes. A wrong mark, an unknown type and a length above
 * FRAME_BODY_MAX are permanent errors.
 */
MUST_CHECK int frame_header(const uint8_t *header, enum frame_type *type, uint32_t *size,
                            struct err *err);

/* Writes a header of FRAME_HEADER_SIZE bytes. */
void frame_write_header(uint8_t *header, enum frame_type type, uint32_t size);

#endif
