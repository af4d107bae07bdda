#include "undescribed.h"

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

static bool make_room(struct undescribed *u)
{
    if (u->n < u->cap)
        return true;
    size_t cap = u->cap ? u->cap * 2 : 8;
    struct undescribed_message *messages = realloc(u->messages, cap * sizeof *messages);
    if (!messages)
        return false;
    u->messages = messages;
    u->cap = cap;
    return true;
}

static void remove_equal(struct undescribed *u, const struct undescribed_message *m)
{
    for (size_t i = u->n; i-- > 0;) {
        struct undescribed_message *o = &u->messages[i];
        if (o->xid != m->xid || o->relid != m->relid || o->size != m->size ||
            memcmp(o->data, m->data, m->size) != 0)
            continue;
        free(o->data);
        memmove(o, o + 1, (u->n - i - 1) * sizeof *o);
        u->n--;
        return;
    }
}

int undescribed_add(struct undescribed *u, uint32_t xid, uint32_t relid, const void *data,
                    size_t size, struct err *err)
{
    uint8_t *copy = malloc(size + 1);
    if (!copy || !make_room(u)) {
        free(copy);
        return err_nomem(err);
    }
    memcpy(copy, data, size);
    const struct undescribed_message m = {.xid = xid, .relid = relid, .size = size, .data = copy};
    remove_equal(u, &m);
    u->messages[u->n++] = m;
    return 0;
}

const struct undescribed_message *undescribed_next(const struct undescribed *u, uint32_t xid,
                                                   size_t *at)
{
    while (*at < u->n) {
        const struct undescribed_message *m = &u->messages[(*at)++];
        if (m->xid == xid)
            return m;
    }
    return NULL;
}

void undescribed_drop(struct undescribed *u, uint32_t xid)
{
    size_t kept = 0;
    for (size_t i = 0; i < u->n; i++) {
        if (u->messages[i].xid == xid)
            free(u->messages[i].data);
        else
            u->messages[kept++] = u->messages[i];
    }
    u->n = kept;
}

void undescribed_free(struct undescribed *u)
{
    for (size_t i = 0; i < u->n; i++)
        free(u->messages[i].data);
    free(u->messages);
    *u = (struct undescribed){0};
}
