#include "apply/apply_aside.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/hash.h"
#include "base/log.h"
#include "base/lsn.h"

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

/* Whether there was memory for it. */
static bool add(struct apply_aside *a, uint32_t relid, bool paused)
{
    bool added = false;
    struct aside_table *t = calloc(1, sizeof *t);
    if (t) {
        t->relid = relid;
        t->paused = paused;
        HASH_TRY_ADD(a->tables, relid, t, added);
    }
    if (!added)
        free(t);
    else
        count(a, paused, 1);
    return added;
}

int aside_note(struct apply_aside *a, uint32_t relid, const struct copied *copied, struct err *err)
{
    forget(a, relid);
    return !copied->aside || add(a, relid, strcmp(copied->aside, COPIED_PAUSED) == 0)
               ? 0
               : err_nomem(err);
}

/* ---- what the target refuses ---- */

static void forget_faults(struct apply_aside *a)
{
    for (size_t i = 0; i < a->nfaults; i++)
        relation_unref(a->faults[i].rel);
    free(a->faults);
    a->faults = NULL;
    a->nfaults = 0;
    a->failing = false;
}

void aside_forget_all(struct apply_aside *a)
{
    struct aside_table *t, *next;
    HASH_ITER (hh, a->tables, t, next)
        forget(a, t->relid);
    forget_faults(a);
}

/* Whether the open transaction leaves the table out: then it is no use to do so once more. */
static bool is_remembered(const struct apply_aside *a, uint32_t relid)
{
    for (size_t i = 0; i < a->nfaults; i++)
        if (a->faults[i].remembered && a->faults[i].rel->relid == relid)
            return true;
    return false;
}

void aside_fail(struct apply_aside *a, struct relation *rel, const struct source_txn *txn,
                bool conflict, const struct err *err)
{
    bool chosen = conflict ? a->conflicts : a->refused;
    if (!chosen || a->later || a->failing || err->kind != ERR_PERMANENT || err->whole ||
        is_remembered(a, rel->relid))
        return;
    struct aside_fault *faults = realloc(a->faults, (a->nfaults + 1) * sizeof *faults);
    if (!faults)
        return; /* it stays the error that it is */
    a->faults = faults;
    struct aside_fault *f = &faults[a->nfaults++];
    *f = (struct aside_fault){.rel = relation_ref(rel), .at = txn, .txn = *txn};
    (void)snprintf(f->why, sizeof f->why, "%.*s", (int)sizeof f->why - 1, err->text);
    a->failing = true;
}

bool aside_decide(struct apply_aside *a, struct err *err)
{
    bool decided = a->failing && err->kind == ERR_PERMANENT;
    a->failing = false;
    if (!decided)
        return false;
    err->kind = ERR_RETRY;
    (void)err_hint(err, "so the table is set aside");
    return true;
}

struct aside_fault *aside_due(const struct apply_aside *a, const struct source_txn *txn)
{
    for (size_t i = 0; txn && i < a->nfaults; i++)
        if (a->faults[i].at == txn && !a->faults[i].remembered)
            return &a->faults[i];
    return NULL;
}

void aside_rolled_back(struct apply_aside *a)
{
    if (a->failing)
        relation_unref(a->faults[--a->nfaults].rel);
    a->failing = false;
    for (size_t i = 0; i < a->nfaults; i++)
        a->faults[i].remembered = false;
}

static void say(const struct aside_fault *f)
{
    log_error(
        "a table is set aside: its rows stay as they are and the other tables go on, until what was "
        "refused is mended and pg2any resume or pg2any copy brings the table back",
        "schema", f->rel->namespace, "table", f->rel->name, "relid", LOG_U64(f->rel->relid), "xid",
        LOG_U64(f->txn.xid), "commit_lsn", LSN(f->txn.commit_lsn), "reason", f->why, NULL);
}

void aside_committed(struct apply_aside *a)
{
    for (size_t i = 0; i < a->nfaults; i++) {
        const struct aside_fault *f = &a->faults[i];
        if (!f->remembered)
            continue;
        say(f);
        forget(a, f->rel->relid);
        (void)add(a, f->rel->relid, false); /* without memory it is noted at the next hello */
    }
    forget_faults(a);
}
