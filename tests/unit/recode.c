#include "recode.h"

#include <stdlib.h>

#include "frame-dump/change.h"
#include "frames/frame_writer.h"
#include "frames/relation.h"

static void pack_tuple(struct frame_writer *w, const struct value *values, uint32_t n)
{
    (void)msgpack_pack_array(&w->pk, n);
    for (uint32_t i = 0; i < n; i++)
        frame_pack_value(w, &values[i]);
}

static int recode_change(const struct frame *f, struct buf *out, struct err *err)
{
    struct change c;
    struct frame_writer w;
    if (change_from_frame(f, &c, err))
        return -1;
    frame_open_change(&w, out, f->type, &c.head);
    if (c.has_old)
        pack_tuple(&w, c.old, c.n);
    else
        (void)msgpack_pack_nil(&w.pk);
    if (c.has_new)
        pack_tuple(&w, c.new, c.n);
    else
        (void)msgpack_pack_nil(&w.pk);
    frame_close(&w);
    return 0;
}

static int recode_truncate(const struct frame *f, struct buf *out, struct err *err)
{
    struct frame_truncate t;
    struct mp_cursor c;
    if (frame_get_truncate(f, &t, &c, err))
        return -1;
    uint32_t *relids = calloc((size_t)t.nrelids + 1, sizeof *relids);
    if (!relids)
        return err_nomem(err);
    for (uint32_t i = 0; i < t.nrelids; i++)
        relids[i] = mp_u32(&c);
    frame_put_truncate(out, &t, relids);
    free(relids);
    return 0;
}

static int recode_relation(const struct frame *f, struct buf *out, struct err *err)
{
    struct relation *rel;
    if (relation_from_frame(f, &rel, err))
        return -1;
    relation_to_frame(rel, out);
    relation_unref(rel);
    return 0;
}

#define RECODE(type, name)                                                                         \
    static int recode_##name(const struct frame *f, struct buf *out, struct err *err)              \
    {                                                                                              \
        struct type s;                                                                             \
        if (frame_get_##name(f, &s, err))                                                          \
            return -1;                                                                             \
        frame_put_##name(out, &s);                                                                 \
        return 0;                                                                                  \
    }

RECODE(frame_hello, hello)
RECODE(frame_type_info, type)
RECODE(frame_begin, begin)
RECODE(frame_commit, commit)
RECODE(frame_stream_start, stream_start)
RECODE(frame_stream_commit, stream_commit)
RECODE(frame_stream_abort, stream_abort)
RECODE(frame_commit_prepared, commit_prepared)
RECODE(frame_rollback_prepared, rollback_prepared)
RECODE(frame_origin, origin)
RECODE(frame_message, message)
RECODE(frame_progress, progress)
RECODE(frame_end, end)

static int recode_prepare(const struct frame *f, struct buf *out, struct err *err)
{
    struct frame_prepare p;
    if (frame_get_prepare(f, &p, err))
        return -1;
    frame_put_prepare(out, f->type, &p);
    return 0;
}

static int recode_stream_stop(const struct frame *f, struct buf *out, struct err *err)
{
    if (frame_get_stream_stop(f, err))
        return -1;
    frame_put_stream_stop(out);
    return 0;
}

int recode(const struct frame *f, struct buf *out, struct err *err)
{
    switch (f->type) {
    case FRAME_HELLO:
        return recode_hello(f, out, err);
    case FRAME_RELATION:
        return recode_relation(f, out, err);
    case FRAME_TYPE:
        return recode_type(f, out, err);
    case FRAME_BEGIN:
        return recode_begin(f, out, err);
    case FRAME_INSERT:
    case FRAME_UPDATE:
    case FRAME_DELETE:
        return recode_change(f, out, err);
    case FRAME_TRUNCATE:
        return recode_truncate(f, out, err);
    case FRAME_COMMIT:
        return recode_commit(f, out, err);
    case FRAME_STREAM_START:
        return recode_stream_start(f, out, err);
    case FRAME_STREAM_STOP:
        return recode_stream_stop(f, out, err);
    case FRAME_STREAM_COMMIT:
        return recode_stream_commit(f, out, err);
    case FRAME_STREAM_ABORT:
        return recode_stream_abort(f, out, err);
    case FRAME_BEGIN_PREPARE:
    case FRAME_PREPARE:
    case FRAME_STREAM_PREPARE:
        return recode_prepare(f, out, err);
    case FRAME_COMMIT_PREPARED:
        return recode_commit_prepared(f, out, err);
    case FRAME_ROLLBACK_PREPARED:
        return recode_rollback_prepared(f, out, err);
    case FRAME_ORIGIN:
        return recode_origin(f, out, err);
    case FRAME_MESSAGE:
        return recode_message(f, out, err);
    case FRAME_PROGRESS:
        return recode_progress(f, out, err);
    case FRAME_END:
        return recode_end(f, out, err);
    }
    BUG("unknown type of frame");
}
