/*
 * buf.h - a growable array of bytes, for what is being written.
 *
 * Appending never returns an error. When memory runs out, the buffer is marked `failed`, keeps its
 * content and ignores further appends; buf_check() turns that into an error once, where the buffer
 * is used. A zeroed struct is an empty buffer. The bytes belong to the buffer and move when it
 * grows.
 */
#ifndef PG2ANY_BUF_H
#define PG2ANY_BUF_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"

struct buf {
    uint8_t *data;
    size_t len;
    size_t cap;
    bool failed;
};

/* Makes room for `n` more bytes and returns where they go (not counted in `len`); NULL on failure.
 */
uint8_t *buf_reserve(struct buf *b, size_t n);
void buf_append(struct buf *b, const void *data, size_t n);
void buf_append_str(struct buf *b, const char *s);
void buf_append_byte(struct buf *b, uint8_t byte);
void buf_printf(struct buf *b, const char *fmt, ...) PRINTF_LIKE(2, 3);

/* The text with a terminating zero that is not counted in `len`; "" after a failure. */
const char *buf_cstr(struct buf *b);

/* Removes the first `n` bytes. */
void buf_consume(struct buf *b, size_t n);

/* Empties the buffer; gives memory back when it has grown beyond `keep` bytes. */
void buf_reset(struct buf *b, size_t keep);
void buf_free(struct buf *b);

MUST_CHECK int buf_check(const struct buf *b, struct err *err);

#endif
