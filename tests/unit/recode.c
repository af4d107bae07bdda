#include "recode.h"

#include <stdlib.h>

#include "frame-dump/change.h"
#include "frames/frame.h"
#include "frames/frame_writer.h"
#include "frames/relation.h"

static void pack_tuple(struct frame_writer *w, const struct value *values, uint32_t n)
{
    (void)msgpack_pack_array(&w->pk, n);
    for (uint32_t i = 0; i < n; i++)
        frame_pack_value(w, &values[i]);
}

static int recode_change(const struct frame *f, struct relmap *relations, struct buf *out,
                         struct err *err)
{
    struct change c;
    struct frame_writer w;
    if (change_from_frame(f, relations, &c, err))
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

int recode(const struct frame *f, struct relmap *relations, struct buf *out, struct err *err)
{
    union frame_body fields;
    if (f->type == FRAME_RELATION)
        return recode_relation(f, out, err);
    if (f->type == FRAME_TRUNCATE)
        return recode_truncate(f, out, err);
    if (frame_is_change(f->type))
        return recode_change(f, relations, out, err);
    if (frame_get(f, &fields, err))
        return -1;
    frame_put(out, f->type, &fields);
    return 0;
}
