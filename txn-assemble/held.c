#include "held.h"

#include <stdlib.h>
#include <string.h>

#define FIRST_ABORTED 64

struct held *held_find(const struct held_set *set, uint32_t xid)
{
    struct held *t;
    HASH_FIND(hh, set->by_xid, &xid, sizeof xid, t);
    return t;
}

int held_add(struct held_set *set, uint32_t xid, struct held **held, struct err *err)
{
    struct held *t = calloc(1, sizeof *t);
    if (!t)
        return err_nomem(err);
    t->xid = xid;
    bool added;
    HASH_TRY_ADD(set->by_xid, xid, t, added);
    if (!added) {
        free(t);
        return err_nomem(err);
    }
    txn_store_init(&t->store, set->pool);
    set->n++;
    *held = t;
    return 0;
}

static void release(struct held_set *set, struct held *t)
{
    set->n--;
    set->nprepared -= t->prepared;
    store_pool_account(set->pool, -(int64_t)(t->aborted_cap * sizeof *t->aborted));
    txn_store_release(&t->store, set->pool);
    relmap_clear(&t->relations);
    for (size_t i = 0; i < t->nversions; i++)
        relation_unref(t->versions[i].rel);
    free(t->versions);
    free(t->aborted);
    free(t->gid);
    free(t);
}

void held_drop(struct held_set *set, struct held *t)
{
    HASH_DEL(set->by_xid, t);
    release(set, t);
}

void held_drop_all(struct held_set *set)
{
    struct held *t = set->by_xid;
    HASH_CLEAR(hh, set->by_xid); /* the table; the elements stay chained */
    while (t) {
        struct held *next = t->hh.next;
        release(set, t);
        t = next;
    }
}

int held_set_gid(struct held *t, struct bytes gid, struct err *err)
{
    t->gid = malloc(gid.size + 1);
    if (!t->gid)
        return err_nomem(err);
    memcpy(t->gid, gid.data, gid.size);
    t->gid_size = gid.size;
    return 0;
}

bool held_has_gid(const struct held *t, struct bytes gid)
{
    return t->gid && t->gid_size == gid.size && memcmp(t->gid, gid.data, gid.size) == 0;
}

void held_set_prepared(struct held_set *set, struct held *t)
{
    t->prepared = true;
    set->nprepared++;
}

int held_append(struct held_set *set, struct held *t, const void *frame, size_t length,
                struct err *err)
{
    return txn_store_append(&t->store, set->pool, frame, length, err);
}

static struct held_version *find_version(const struct held *t, const struct relation *rel)
{
    for (size_t i = 0; i < t->nversions; i++)
        if (relation_same_message(t->versions[i].rel, rel))
            return &t->versions[i];
    return NULL;
}

struct relation *held_same_message(const struct held *t, const struct relation *rel)
{
    const struct held_version *v = find_version(t, rel);
    return v ? v->rel : NULL;
}

static struct held_version *new_version(struct held *t)
{
    if (t->nversions == t->versions_cap) {
        size_t cap = t->versions_cap ? t->versions_cap * 2 : 8;
        struct held_version *versions = realloc(t->versions, cap * sizeof *versions);
        if (!versions)
            return NULL;
        t->versions = versions;
        t->versions_cap = cap;
    }
    struct held_version *v = &t->versions[t->nversions++];
    *v = (struct held_version){0};
    return v;
}

int held_add_version(struct held *t, struct relation *rel, uint64_t order, bool sent,
                     struct err *err)
{
    struct held_version *v = find_version(t, rel);
    if (!v)
        v = new_version(t);
    if (!v)
        return err_nomem(err);
    struct relation *before = v->rel;
    v->rel = relation_ref(rel);
    relation_unref(before);
    *(sent ? &v->order_then : &v->order) = order;
    return relmap_set(&t->relations, rel, err);
}

void held_block_ended(struct held *t, bool described)
{
    for (size_t i = 0; i < t->nversions; i++) {
        struct held_version *v = &t->versions[i];
        if (v->order_then > 0 && (!described || v->order == 0))
            v->order = v->order_then;
        v->order_then = 0;
    }
}

int held_add_aborted(struct held_set *set, struct held *t, uint32_t subxid, struct err *err)
{
    if (t->naborted == t->aborted_cap) {
        size_t cap = t->aborted_cap ? t->aborted_cap * 2 : FIRST_ABORTED;
        uint32_t *aborted = realloc(t->aborted, cap * sizeof *aborted);
        if (!aborted)
            return err_nomem(err);
        store_pool_account(set->pool, (int64_t)((cap - t->aborted_cap) * sizeof *aborted));
        t->aborted = aborted;
        t->aborted_cap = cap;
    }
    t->aborted[t->naborted++] = subxid;
    return 0;
}

static int compare_xid(const void *a, const void *b)
{
    uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;
    return x < y ? -1 : x > y;
}

void held_sort_aborted(struct held *t)
{
    if (t->naborted > 1)
        qsort(t->aborted, t->naborted, sizeof *t->aborted, compare_xid);
}

bool held_is_aborted(const struct held *t, uint32_t xid)
{
    return t->naborted > 0 &&
           bsearch(&xid, t->aborted, t->naborted, sizeof xid, compare_xid) != NULL;
}
