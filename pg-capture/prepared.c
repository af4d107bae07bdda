#include "prepared.h"

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

static bool same_gid(const struct prepared_transaction *t, struct bytes gid)
{
    return strlen(t->gid) == gid.size && memcmp(t->gid, gid.data, gid.size) == 0;
}

int prepared_add(struct prepared *p, struct bytes gid, uint64_t prepare_lsn, struct err *err)
{
    for (size_t i = 0; i < p->n; i++) {
        struct prepared_transaction *t = &p->list[i];
        if (t->prepare_lsn == prepare_lsn && same_gid(t, gid)) {
            t->decided_lsn = 0;
            return 0;
        }
    }
    if (p->n == p->cap) {
        size_t cap = p->cap ? p->cap * 2 : 16;
        struct prepared_transaction *list = realloc(p->list, cap * sizeof *list);
        if (!list)
            return err_nomem(err);
        p->list = list;
        p->cap = cap;
    }
    char *copy = malloc(gid.size + 1);
    if (!copy)
        return err_nomem(err);
    memcpy(copy, gid.data, gid.size);
    copy[gid.size] = '\0';
    p->list[p->n++] = (struct prepared_transaction){.gid = copy, .prepare_lsn = prepare_lsn};
    return 0;
}

void prepared_decide(struct prepared *p, struct bytes gid, uint64_t end_lsn)
{
    for (size_t i = 0; i < p->n; i++) {
        struct prepared_transaction *t = &p->list[i];
        if (t->decided_lsn == 0 && t->prepare_lsn < end_lsn && same_gid(t, gid))
            t->decided_lsn = end_lsn;
    }
}

uint64_t prepared_limit(struct prepared *p, uint64_t durable_lsn)
{
    uint64_t limit = durable_lsn;
    size_t kept = 0;
    for (size_t i = 0; i < p->n; i++) {
        struct prepared_transaction *t = &p->list[i];
        if (t->decided_lsn != 0 && t->decided_lsn <= durable_lsn) {
            free(t->gid);
            continue;
        }
        if (t->prepare_lsn < limit)
            limit = t->prepare_lsn;
        p->list[kept++] = *t;
    }
    p->n = kept;
    return limit;
}

void prepared_free(struct prepared *p)
{
    for (size_t i = 0; i < p->n; i++)
        free(p->list[i].gid);
    free(p->list);
    *p = (struct prepared){0};
}
