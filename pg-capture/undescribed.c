#include "undescribed.h"

#include <stdlib.h>
#include <string.h>

static struct undescribed_message *place(struct undescribed *u, uint32_t xid, uint32_t relid)
{
    for (size_t i = 0; i < u->n; i++)
        if (u->messages[i].xid == xid && u->messages[i].relid == relid)
            return &u->messages[i];
    if (u->n == u->cap) {
        size_t cap = u->cap ? u->cap * 2 : 8;
        struct undescribed_message *messages = realloc(u->messages, cap * sizeof *messages);
        if (!messages)
            return NULL;
        u->messages = messages;
        u->cap = cap;
    }
    u->messages[u->n] = (struct undescribed_message){.xid = xid, .relid = relid};
    return &u->messages[u->n++];
}

int undescribed_add(struct undescribed *u, uint32_t xid, uint32_t relid, const void *data,
                    size_t size, struct err *err)
{
    uint8_t *copy = malloc(size + 1);
    struct undescribed_message *m = copy ? place(u, xid, relid) : NULL;
    if (!m) {
        free(copy);
        return err_nomem(err);
    }
    memcpy(copy, data, size);
    free(m->data);
    m->data = copy;
    m->size = size;
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
