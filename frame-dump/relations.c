#include "relations.h"

#include <stdlib.h>

#define HASH_NONFATAL_OOM 1 /* a failed insertion leaves hh.tbl NULL */
#include <uthash.h>

struct relations_entry {
    uint32_t relid;
    struct relation *rel;
    UT_hash_handle hh;
};

static struct relations_entry *find(const struct relations *r, uint32_t relid)
{
    struct relations_entry *e;
    HASH_FIND(hh, r->by_relid, &relid, sizeof relid, e);
    return e;
}

const struct relation *relations_get(const struct relations *r, uint32_t relid)
{
    const struct relations_entry *e = find(r, relid);
    return e ? e->rel : NULL;
}

int relations_put(struct relations *r, struct relation *rel, struct err *err)
{
    struct relations_entry *e = find(r, rel->relid);
    if (e) {
        relation_unref(e->rel);
        e->rel = rel;
        return 0;
    }
    e = calloc(1, sizeof *e);
    if (!e) {
        relation_unref(rel);
        return err_nomem(err);
    }
    e->relid = rel->relid;
    e->rel = rel;
    HASH_ADD(hh, r->by_relid, relid, sizeof e->relid, e);
    if (!e->hh.tbl) {
        relation_unref(rel);
        free(e);
        return err_nomem(err);
    }
    return 0;
}

void relations_free(struct relations *r)
{
    struct relations_entry *e = r->by_relid;
    HASH_CLEAR(hh, r->by_relid); /* the table; the entries stay linked */
    while (e) {
        struct relations_entry *next = e->hh.next;
        relation_unref(e->rel);
        free(e);
        e = next;
    }
}
