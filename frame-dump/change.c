#include "change.h"

static uint32_t first_tuple_length(struct mp_cursor c)
{
    while (mp_nil(&c))
        ;
    return mp_array(&c);
}

int change_from_frame(const struct frame *f, struct relmap *relations, struct change *change,
                      struct err *err)
{
    struct mp_cursor c;
    if (frame_get_change(f, &change->head, &c, err))
        return -1;
    const struct relation *rel = relmap_get(relations, change->head.relid);
    change->n = rel ? rel->ncolumns : first_tuple_length(c);
    if (change->n > FRAME_MAX_COLUMNS)
        mp_fault(&c, "a tuple of too many columns");
    change->has_old = frame_get_tuple(&c, change->old, change->n);
    change->has_new = frame_get_tuple(&c, change->new, change->n);
    if (change->has_old != (change->head.old_kind != 0))
        mp_fault(&c, "an old tuple without its kind, or a kind without its tuple");
    if (change->has_new != (f->type != FRAME_DELETE))
        mp_fault(&c, "a new tuple where none belongs, or none where one does");
    if (mp_end(&c, frame_type_name(f->type), err))
        return err_context(err, "malformed frame");
    return 0;
}
