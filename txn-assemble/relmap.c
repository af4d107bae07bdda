#include "relmap.h"

#include <stdlib.h>
#include <string.h>

#define HASH_NONFATAL_OOM            1
#define uthash_nonfatal_oom(element) ((element)->unhashed = true)
#include <uthash.h>

#include "frames/relation.h"

struct relmap_entry {
    uint32_t relid;
    bool unhashed; /* uthash had no memory to take the entry in */
    struct relversion *version;
    UT_hash_handle hh;
};

int relversion_new(const struct frame *f, struct relversion **version, struct err *err)
{
    struct relation *rel;
    if (relation_from_frame(f, &rel, err))
        return -1;
    uint32_t relid = rel->relid;
    relation_free(rel);
    struct relversion *v = malloc(sizeof *v + frame_length(f));
    if (!v)
        return err_nomem(err);
    v->refs = 1;
    v->relid = relid;
    v->length = frame_length(f);
    memcpy(v->bytes, frame_start(f), v->length);
    *version = v;
    return 0;
}

void relversion_release(struct relversion *version)
{
    if (version && --version->refs == 0)
        free(version);
}

bool relversion_equal(const struct relversion *a, const struct relversion *b)
{
    return a == b || (a->length == b->length && memcmp(a->bytes, b->bytes, a->length) == 0);
}

static int decode(const struct relversion *v, struct relation **rel, struct err *err)
{
    const struct frame f = {
        .type = FRAME_RELATION,
        .body = v->bytes + FRAME_HEADER_SIZE,
        .size = (uint32_t)(v->length - FRAME_HEADER_SIZE),
    };
    return relation_from_frame(&f, rel, err);
}

int relversion_same_message(const struct relversion *a, const struct relversion *b, bool *same,
                            struct err *err)
{
    struct relation *first = NULL, *second = NULL;
    int rc = decode(a, &first, err) || decode(b, &second, err) ? -1 : 0;
    *same = rc == 0 && relation_same_message(first, second);
    relation_free(first);
    relation_free(second);
    return rc;
}

static struct relmap_entry *find(struct relmap *map, uint32_t relid)
{
    if (map->last && map->last->relid == relid)
        return map->last;
    struct relmap_entry *e;
    HASH_FIND(hh, map->entries, &relid, sizeof relid, e);
    if (e)
        map->last = e;
    return e;
}

struct relversion *relmap_get(struct relmap *map, uint32_t relid)
{
    struct relmap_entry *e = find(map, relid);
    return e ? e->version : NULL;
}

int relmap_set(struct relmap *map, struct relversion *version, struct err *err)
{
    struct relmap_entry *e = find(map, version->relid);
    if (!e) {
        e = calloc(1, sizeof *e);
        if (!e)
            return err_nomem(err);
        e->relid = version->relid;
        HASH_ADD(hh, map->entries, relid, sizeof e->relid, e);
        if (e->unhashed) {
            free(e);
            return err_nomem(err);
        }
        map->last = e;
    }
    version->refs++;
    relversion_release(e->version);
    e->version = version;
    return 0;
}

int relmap_promote(struct relmap *to, const struct relmap *from, struct err *err)
{
    for (struct relmap_entry *e = from->entries; e; e = e->hh.next)
        if (relmap_set(to, e->version, err))
            return -1;
    return 0;
}

void relmap_clear(struct relmap *map)
{
    struct relmap_entry *e = map->entries;
    HASH_CLEAR(hh, map->entries); /* the table; the elements stay chained */
    while (e) {
        struct relmap_entry *next = e->hh.next;
        relversion_release(e->version);
        free(e);
        e = next;
    }
    *map = (struct relmap){0};
}
