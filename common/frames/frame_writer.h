/*
 * frame_writer.h - an open frame at the end of a buffer, to which fields are packed one by one.
 *
 * Whoever has a frame's fields in a struct calls frame_put_ (frame.h). This is for who makes a
 * frame of something else: a row as it comes from the server, a relation with its columns. It shows
 * the msgpack library, which frame.h hides: numbers, arrays and nil are packed with
 * msgpack_pack_…(&w->pk, …), whose result may be ignored, because the buffer remembers a failure.
 */
#ifndef PG2ANY_FRAME_WRITER_H
#define PG2ANY_FRAME_WRITER_H

#include <stdbool.h>
#include <stddef.h>

#include <msgpack/pack.h>

#include "base/buf.h"
#include "frames/frame_head.h"
#include "frames/value.h"

struct frame_writer {
    struct buf *out;
    size_t start; /* of the frame in out */
    msgpack_packer pk;
};

void frame_open(struct frame_writer *w, struct buf *out, enum frame_type type);
/* Sets the length. A body above FRAME_BODY_MAX marks the buffer as failed and is taken away. */
void frame_close(struct frame_writer *w);

void frame_pack_str(struct frame_writer *w, const char *s);
void frame_pack_bytes_as_str(struct frame_writer *w, const char *s, size_t n);
void frame_pack_bin(struct frame_writer *w, const void *data, size_t n);
void frame_pack_bool(struct frame_writer *w, bool b);
void frame_pack_value(struct frame_writer *w, const struct value *v);

#endif
