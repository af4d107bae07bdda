#include "frames/relmap.h"

#include <stdlib.h>

#include "base/buf.h"
#include "base/hash.h"

struct relmap_entry {
    uint32_t relid;
    struct relation *version;
    uint64_t mark;
    UT_hash_handle hh;
};

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

struct relation *relmap_get(struct relmap *map, uint32_t relid)
{
    struct relmap_entry *e = find(map, relid);
    return e ? e->version : NULL;
}

int relmap_set(struct relmap *map, struct relation *version, struct err *err)
{
    struct relmap_entry *e = find(map, version->relid);
    if (!e) {
        e = calloc(1, sizeof *e);
        if (!e)
            return err_nomem(err);
        e->relid = version->relid;
        bool added;
        HASH_TRY_ADD(map->entries, relid, e, added);
        if (!added) {
            free(e);
            return err_nomem(err);
        }
        map->last = e;
    }
    struct relation *before = e->version;
    e->version = relation_ref(version);
    relation_unref(before);
    return 0;
}

int relmap_read(struct relmap *map, const struct frame *f, struct relation **rel, struct err *err)
{
    struct relation *version = relmap_get(map, relation_frame_relid(f));
    if (!version || !relation_is_of_frame(version, f))
        return relation_from_frame(f, rel, err);
    *rel = relation_ref(version);
    return 0;
}

void relmap_drop(struct relmap *map, uint32_t relid)
{
    struct relmap_entry *e = find(map, relid);
    if (!e)
        return;
    HASH_DEL(map->entries, e);
    map->last = NULL;
    relation_unref(e->version);
    free(e);
}

uint64_t *relmap_mark(struct relmap *map, uint32_t relid)
{
    struct relmap_entry *e = find(map, relid);
    return e ? &e->mark : NULL;
}

void relmap_put_frames(const struct relmap *map, struct buf *out)
{
    for (const struct relmap_entry *e = map->entries; e; e = e->hh.next)
        buf_append(out, e->version->frame, e->version->frame_size);
}

void relmap_clear(struct relmap *map)
{
    struct relmap_entry *e = map->entries;
    HASH_CLEAR(hh, map->entries); /* the table; the elements stay chained */
    while (e) {
        struct relmap_entry *next = e->hh.next;
        relation_unref(e->version);
        free(e);
        e = next;
    }
    *map = (struct relmap){0};
}
