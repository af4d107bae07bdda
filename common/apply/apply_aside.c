#include "apply/apply_aside.h"

#include <stdlib.h>
#include <string.h>

#include "base/hash.h"

struct aside_table {
    uint32_t relid;
    bool paused;
    UT_hash_handle hh;
};

static void count(struct apply_aside *a, bool paused, uint64_t by)
{
    *(paused ? &a->npaused : &a->nrefused) += by;
}

static void forget(struct apply_aside *a, uint32_t relid)
{
    struct aside_table *t;
    HASH_FIND(hh, a->tables, &relid, sizeof relid, t);
    if (!t)
        return;
    HASH_DEL(a->tables, t);
    count(a, t->paused, (uint64_t)-1);
    free(t);
}

void aside_forget_all(struct apply_aside *a)
{
    struct aside_table *t, *next;
    HASH_ITER (hh, a->tables, t, next)
        forget(a, t->relid);
}

int aside_note(struct apply_aside *a, uint32_t relid, const struct copied *copied, struct err *err)
{
    bool added = false;
    forget(a, relid);
    if (!copied->aside)
        return 0;
    struct aside_table *t = calloc(1, sizeof *t);
    if (t) {
        t->relid = relid;
        t->paused = strcmp(copied->aside, COPIED_PAUSED) == 0;
        HASH_TRY_ADD(a->tables, relid, t, added);
    }
    if (!added) {
        free(t);
        return err_nomem(err);
    }
    count(a, t->paused, 1);
    return 0;
}
