#include "frames/frame_seal.h"

#include <endian.h>
#include <string.h>

#include <xxhash.h>

#include "base/lsn.h"
#include "frames/frame.h"
#include "frames/mp_cursor.h"

/* A field that is added: msgpack's uint 64, whatever its value, so that its place is known. */
#define MARK       0xCF
#define FIELD_SIZE 9

enum {
    PREVIOUS =
        1, /* what was before: to a hello the checksum, else the last transaction's end LSN */
    CHECKSUM = 2,
};

/* In this order. */
static const uint8_t added[256] = {
    [FRAME_HELLO] = PREVIOUS | CHECKSUM,
    [FRAME_RELATION] = CHECKSUM, /* a change of a table may be durable before its transaction */
    [FRAME_BEGIN] = PREVIOUS,
    [FRAME_COMMIT] = CHECKSUM,
    [FRAME_STREAM_STOP] = CHECKSUM,
    [FRAME_STREAM_COMMIT] = PREVIOUS | CHECKSUM,
    [FRAME_STREAM_ABORT] = CHECKSUM,
    [FRAME_PREPARE] = CHECKSUM,
    [FRAME_STREAM_PREPARE] = CHECKSUM,
    [FRAME_COMMIT_PREPARED] = CHECKSUM,
    [FRAME_ROLLBACK_PREPARED] = CHECKSUM,
    [FRAME_PROGRESS] = CHECKSUM,
    [FRAME_COPY_END] = CHECKSUM,
    [FRAME_END] = CHECKSUM,
};

static size_t added_size(unsigned fields)
{
    return ((fields & PREVIOUS ? 1 : 0) + (fields & CHECKSUM ? 1 : 0)) * (size_t)FIELD_SIZE;
}

size_t frame_seal_size(enum frame_type type)
{
    return added_size(added[type]);
}

static void put_u64(uint8_t *field, uint64_t v)
{
    v = htobe64(v);
    *field = MARK;
    memcpy(field + 1, &v, sizeof v);
}

static uint64_t get_u64(const uint8_t *field)
{
    uint64_t v;
    memcpy(&v, field + 1, sizeof v);
    return be64toh(v);
}

static void take_in(struct frame_seal *s, const uint8_t *bytes, size_t size)
{
    s->checksum = XXH3_64bits_withSeed(bytes, size, s->checksum);
}

static void begin(struct frame_seal *s, uint32_t version)
{
    *s = (struct frame_seal){.version = version};
}

/* A frame without what was added; who needs its other fields finds out what is wrong with them. */
static void note_end_lsn(struct frame_seal *s, const struct frame *f)
{
    struct mp_cursor c = mp_cursor(f->body, f->size);
    if (f->type != FRAME_COMMIT && f->type != FRAME_STREAM_COMMIT)
        return;
    (void)mp_u32(&c); /* xid */
    (void)mp_u64(&c); /* commit LSN */
    s->last_end_lsn = mp_u64(&c);
}

/* ---- writing ---- */

/* The version is the first field, in any width: its last byte is the number, as long as that is
 * small. */
static void set_version(uint8_t *body, size_t size)
{
    struct mp_cursor c = mp_cursor(body, size);
    if (mp_u32(&c) <= FRAME_FORMAT_VERSION && !c.fault)
        body[c.pos - body - 1] = FRAME_FORMAT_VERSION;
}

/* Our own frames: there is nothing to check in their headers. */
static struct frame frame_at(const struct buf *out, size_t at)
{
    const uint8_t *header = out->data + at;
    uint32_t size;
    if (out->len - at < FRAME_HEADER_SIZE)
        BUG("a part of a frame is to be written");
    memcpy(&size, header + 1, sizeof size);
    struct frame f = {.type = (enum frame_type)header[FRAME_HEADER_SIZE - 1],
                      .body = header + FRAME_HEADER_SIZE,
                      .size = be32toh(size)};
    if (frame_length(&f) > out->len - at)
        BUG("a part of a frame is to be written");
    return f;
}

/* Completes a frame, behind which there is room for what is added. */
static void add_fields(struct frame_seal *s, uint8_t *bytes, const struct frame *f)
{
    const unsigned fields = added[f->type];
    uint8_t *field = bytes + frame_length(f);
    uint64_t previous = f->type == FRAME_HELLO ? s->checksum : s->last_end_lsn;
    if (f->type == FRAME_HELLO) {
        begin(s, FRAME_FORMAT_VERSION);
        set_version(bytes + FRAME_HEADER_SIZE, f->size);
    }
    frame_write_header(bytes, f->type, f->size + (uint32_t)added_size(fields));
    if (fields & PREVIOUS) {
        put_u64(field, previous);
        field += FIELD_SIZE;
    }
    take_in(s, bytes, (size_t)(field - bytes));
    if (fields & CHECKSUM)
        put_u64(field, s->checksum);
    note_end_lsn(s, f);
}

/* Moves all that is behind the frame at `at`, which has that length, to make room for what will be
 * added to it and to all that; returns how much that is, 0 where there is no memory. */
static size_t open_gap(struct buf *out, size_t at, size_t length)
{
    size_t room = 0, behind = out->len - at - length;
    for (size_t next = at; next < out->len;) {
        struct frame f = frame_at(out, next);
        room += added_size(added[f.type]);
        next += frame_length(&f);
    }
    if (!buf_reserve(out, room))
        return 0;
    uint8_t *from = out->data + at + length;
    if (behind > 0)
        memmove(from + room, from, behind);
    out->len += room;
    return room;
}

void frame_seal_add(struct frame_seal *s, struct buf *out, size_t *at)
{
    size_t gap = 0; /* between what is complete and what is not */
    while (*at + gap < out->len) {
        struct frame f = frame_at(out, *at + gap);
        const size_t length = frame_length(&f), by = added_size(added[f.type]);
        if (gap > 0) {
            memmove(out->data + *at, out->data + *at + gap, length);
        } else if (by > 0) {
            gap = open_gap(out, *at, length);
            if (gap == 0)
                return;
        }
        uint8_t *bytes = out->data + *at;
        f.body = bytes + FRAME_HEADER_SIZE;
        if (by > 0)
            add_fields(s, bytes, &f);
        else
            take_in(s, bytes, length);
        *at += length + by;
        gap -= by;
    }
}

/* ---- reading ---- */

static int damaged(struct err *err)
{
    return err_hint(
        err, "the input was changed or damaged after it was written; complete transactions before "
             "this place are right; continue with another copy of it, or from the slot");
}

/* The version, before the rest of the hello. */
static uint32_t version_of(const struct frame *f)
{
    struct mp_cursor c = mp_cursor(f->body, f->size);
    return mp_u32(&c);
}

/* Where either is the first that its writer wrote or its reader read, there is nothing to compare.
 */
static int check_checksum_before(const struct frame_seal *before, uint64_t previous,
                                 struct err *err)
{
    if (previous == before->checksum || previous == 0 || before->checksum == 0)
        return 0;
    (void)err_set(err, ERR_PERMANENT,
                  "what comes before the hello frame is not what came before it when it was "
                  "written: a part is missing, there twice, or in another place");
    return damaged(err);
}

static int check_previous(const struct frame_seal *before, const struct frame *f, uint64_t previous,
                          struct err *err)
{
    if (f->type == FRAME_HELLO)
        return check_checksum_before(before, previous, err);
    if (previous == before->last_end_lsn)
        return 0;
    (void)err_set(err, ERR_PERMANENT,
                  "%s: the transaction before it ended at %s, but the last one in the input at %s: "
                  "one is missing, there twice, or in another place",
                  frame_type_name(f->type), LSN(previous), LSN(before->last_end_lsn));
    return damaged(err);
}

/* Checks what was added to a frame, and takes it away. */
static int check_fields(struct frame_seal *s, const struct frame_seal *before, uint8_t *bytes,
                        struct frame *f, struct err *err)
{
    const unsigned fields = added[f->type];
    const size_t size = added_size(fields);
    const uint8_t *end = f->body + f->size, *field = f->size < size ? end : end - size;
    if (f->size < size || *field != MARK || end[-FIELD_SIZE] != MARK) {
        (void)err_set(
            err, ERR_PERMANENT,
            "malformed frame: %s: no checksum, or nothing of what was before, where they belong",
            frame_type_name(f->type));
        return damaged(err);
    }
    f->size -= (uint32_t)size;
    if (fields & PREVIOUS) {
        if (check_previous(before, f, get_u64(field), err))
            return -1;
        field += FIELD_SIZE;
    }
    take_in(s, bytes, (size_t)(field - bytes));
    if (fields & CHECKSUM && get_u64(field) != s->checksum) {
        (void)err_set(err, ERR_PERMANENT,
                      "the checksum in the %s frame does not match what came since the one before",
                      frame_type_name(f->type));
        return damaged(err);
    }
    note_end_lsn(s, f);
    frame_write_header(bytes, f->type, f->size);
    /* What stands behind it is no part of the stream: whoever goes on finds that. */
    if (f->type == FRAME_END)
        begin(s, 0);
    return 0;
}

/* With it a stream begins anew. All of it is read, so that one of version 2 whose version was
 * changed to 1 is refused: as that it has fields too many. */
static int check_hello(struct frame_seal *s, uint8_t *bytes, struct frame *f, struct err *err)
{
    struct frame_hello h;
    const struct frame_seal before = *s;
    begin(s, version_of(f));
    if (s->version == FRAME_FORMAT_VERSION && check_fields(s, &before, bytes, f, err))
        return -1;
    return frame_get_hello(f, &h, err);
}

int frame_seal_check(struct frame_seal *s, uint8_t *bytes, struct frame *f, struct err *err)
{
    if (f->type == FRAME_HELLO)
        return check_hello(s, bytes, f, err);
    if (s->version < FRAME_FORMAT_VERSION)
        return 0;
    if (added[f->type])
        return check_fields(s, s, bytes, f, err);
    take_in(s, bytes, frame_length(f));
    return 0;
}
