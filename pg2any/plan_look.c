#include <string.h>
#include <unistd.h>

#include "plan.h"

#include "base/stats_file.h"

int plan_apart(const struct stage *s, struct apart *a, struct err *err)
{
    if (apart_read(s->apart_file, a, err))
        return -1;
    if (a->kind != APART_NONE && strcmp(a->target, s->uri) != 0)
        *a = (struct apart){.kind = APART_NONE};
    return 0;
}

int plan_look(struct plan *p, struct err *err)
{
    int writer = -1;
    if (p->ntargets == 1)
        return 0;
    p->njoined = 0;
    for (size_t i = 0; i < p->nstages; i++) {
        struct stage *s = &p->stages[i];
        struct apart a;
        if (s->kind == STAGE_TEE)
            writer = (int)i;
        if (s->kind != STAGE_APPLY)
            continue;
        if (plan_apart(s, &a, err))
            return -1;
        s->apart = a.kind;
        s->from = a.kind == APART_NONE ? writer : -1;
        if (a.kind != APART_NONE)
            continue;
        s->from_fd = p->njoined == 0 ? STDOUT_FILENO : SECOND_TARGET_FD + (int)p->njoined - 1;
        p->njoined++;
    }
    return 0;
}

int plan_none_joined(struct err *err)
{
    (void)err_set(err, ERR_PERMANENT, "every target is paused, has failed or is given up");
    return err_hint(err, "pg2any status says which and why; pg2any resume brings one back");
}

/* Whether the stages are the same with both. */
static bool is_alike(enum apart_kind a, enum apart_kind b)
{
    return (a == APART_NONE) == (b == APART_NONE) && (a == APART_GIVEN_UP) == (b == APART_GIVEN_UP);
}

bool plan_changed(const struct plan *p, const struct stage *s)
{
    for (const struct stage *t = p->stages; t < p->stages + p->nstages; t++) {
        struct apart a;
        struct err unread = {0};
        bool matters = s->kind == STAGE_CAPTURE || s->kind == STAGE_TEE || s == t;
        if (t->kind == STAGE_APPLY && p->ntargets > 1 && matters &&
            plan_apart(t, &a, &unread) == 0 && !is_alike(a.kind, t->apart))
            return true;
    }
    return false;
}

double plan_kept_wal(const struct plan *plan, const struct stage *s)
{
    struct stats_file capture, apply;
    struct err unread = {0};
    bool read = stats_file_read(&capture, plan->stages[0].stats, &unread) == 0;
    /* Of one that was never started the slot has everything. */
    read = (stats_file_read(&apply, s->stats, &unread) == 0 || apply.missing) && read;
    double bytes = read ? apart_kept_bytes(&capture, &apply) : 0;
    stats_file_free(&capture);
    stats_file_free(&apply);
    return bytes;
}
