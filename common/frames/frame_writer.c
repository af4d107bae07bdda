#include "frames/frame_writer.h"

#include <string.h>

static int write_to_buf(void *data, const char *bytes, size_t n)
{
    struct buf *b = data;
    buf_append(b, bytes, n);
    return b->failed ? -1 : 0;
}

void frame_open(struct frame_writer *w, struct buf *out, enum frame_type type)
{
    uint8_t header[FRAME_HEADER_SIZE];
    w->out = out;
    w->start = out->len;
    msgpack_packer_init(&w->pk, out, write_to_buf);
    frame_write_header(header, type, 0);
    buf_append(out, header, sizeof header);
}

void frame_close(struct frame_writer *w)
{
    struct buf *out = w->out;
    if (out->failed) {
        out->len = w->start;
        return;
    }
    size_t n = out->len - w->start - FRAME_HEADER_SIZE;
    if (n > FRAME_BODY_MAX) {
        out->len = w->start;
        out->failed = true;
        return;
    }
    uint8_t *header = out->data + w->start;
    frame_write_header(header, (enum frame_type)header[FRAME_HEADER_SIZE - 1], (uint32_t)n);
}

#define PACK(call) ((void)(call))

void frame_pack_bytes_as_str(struct frame_writer *w, const char *s, size_t n)
{
    PACK(msgpack_pack_str(&w->pk, n));
    PACK(msgpack_pack_str_body(&w->pk, s, n));
}

void frame_pack_str(struct frame_writer *w, const char *s)
{
    frame_pack_bytes_as_str(w, s, strlen(s));
}

void frame_pack_bin(struct frame_writer *w, const void *data, size_t n)
{
    PACK(msgpack_pack_bin(&w->pk, n));
    PACK(msgpack_pack_bin_body(&w->pk, data, n));
}

void frame_pack_bool(struct frame_writer *w, bool b)
{
    if (b)
        PACK(msgpack_pack_true(&w->pk));
    else
        PACK(msgpack_pack_false(&w->pk));
}

void frame_pack_value(struct frame_writer *w, const struct value *v)
{
    switch (v->kind) {
    case VALUE_NULL:
        PACK(msgpack_pack_nil(&w->pk));
        return;
    case VALUE_TEXT:
        frame_pack_bytes_as_str(w, v->data, v->size);
        return;
    case VALUE_BYTES:
        frame_pack_bin(w, v->data, v->size);
        return;
    case VALUE_UNCHANGED:
        PACK(msgpack_pack_ext(&w->pk, 0, 'u'));
        return;
    }
    BUG("unknown kind of value");
}
