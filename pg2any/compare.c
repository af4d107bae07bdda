#include "compare.h"

#include <fcntl.h>
#include <stdio.h>
#include <unistd.h>

#include "args.h"
#include "base/buf.h"
#include "base/exit.h"
#include "base/last_compare.h"
#include "inspect.h"
#include "spawn.h"

#define ASK_FD  3 /* of the applier: where it asks for tables */
#define ASK     "/dev/fd/3"
#define KEYS_FD 4 /* and where it writes keys that are to be mended */
#define KEYS    "/dev/fd/4"

/* The two programs, and what is between them. */
struct pair {
    int requests[2], frames[2];
    pid_t capture, apply;
};

static void close_end(int *fd)
{
    if (*fd >= 0)
        (void)close(*fd);
    *fd = -1;
}

static int start_capture(struct pair *p, const struct plan *plan, const struct comparison *c,
                         struct err *err)
{
    const struct spawn_fd fds[] = {{p->requests[0], STDIN_FILENO}, {p->frames[1], STDOUT_FILENO}};
    struct args a;
    args_begin(&a, plan->stages[0].program);
    args_add(&a, "--rows", "-");
    args_add(&a, "--log-level", "warning");
    if (c->rate)
        args_add(&a, "--rate", c->rate);
    p->capture = spawn(plan, &plan->stages[0], a.words, fds, 2, err);
    return p->capture < 0 ? -1 : 0;
}

static int start_apply(struct pair *p, const struct plan *plan, const struct stage *s,
                       const struct comparison *c, const char *tables, int keys_fd, struct err *err)
{
    const struct spawn_fd fds[] = {
        {p->frames[0], STDIN_FILENO}, {p->requests[1], ASK_FD}, {keys_fd, KEYS_FD}};
    const char *keys = keys_fd < 0 ? c->keys : KEYS;
    const struct {
        const char *option, *value;
    } values[] = {
        {"--keys", keys}, {"--wait", c->wait}, {"--sample", c->sample}, {"--rate", c->rate}};
    const struct {
        const char *option;
        bool given;
    } flags[] = {{"--values", c->values}, {"--json", c->json}, {"--still", c->still}};
    char sum[LAST_COMPARE_PATH];
    struct args a;
    last_compare_path(s->stats, sum);
    args_begin(&a, s->program);
    args_add(&a, "--compare", tables);
    /* Somebody who may not write there may compare all the same. */
    if (*sum && access(plan->state_dir, W_OK) == 0)
        args_add(&a, "--stats", sum);
    args_add(&a, "--ask", ASK);
    args_add(&a, "--origin", plan_origin(plan, s));
    args_add(&a, "--log-level", "warning");
    for (size_t i = 0; i < sizeof values / sizeof *values; i++)
        if (values[i].value)
            args_add(&a, values[i].option, values[i].value);
    for (size_t i = 0; i < sizeof flags / sizeof *flags; i++)
        if (flags[i].given)
            args_add(&a, flags[i].option, NULL);
    p->apply = spawn(plan, s, a.words, fds, keys_fd < 0 ? 2 : 3, err);
    return p->apply < 0 ? -1 : 0;
}

/* An end that the parent keeps would keep the other program waiting. */
static void close_ends(struct pair *p)
{
    close_end(&p->requests[0]);
    close_end(&p->requests[1]);
    close_end(&p->frames[0]);
    close_end(&p->frames[1]);
}

/* The applier knows what came of it. The one that failed says why; that the other one did not like
 * it is no news. */
static int add_up(const struct pair *p, struct err *err)
{
    int apply = p->apply > 0 ? spawn_wait(p->apply) : -1;
    int capture = p->capture > 0 ? spawn_wait(p->capture) : -1;
    if (p->apply <= 0 || p->capture <= 0)
        return -1;
    if (apply == STATUS_OK || apply == STATUS_DIFFERENT)
        return apply;
    bool passes = apply == STATUS_TEMPORARY && capture != STATUS_PERMANENT;
    (void)err_set(err, passes ? ERR_TEMPORARY : ERR_PERMANENT, "not everything was compared");
    return err_follows(err);
}

static int compare_target(const struct plan *plan, const struct stage *s,
                          const struct comparison *c, const char *tables, int keys_fd,
                          struct err *err)
{
    struct pair p = {{-1, -1}, {-1, -1}, -1, -1};
    if (spawn_pipe(p.requests, err) == 0 && spawn_pipe(p.frames, err) == 0 &&
        start_capture(&p, plan, c, err) == 0)
        (void)!start_apply(&p, plan, s, c, tables, keys_fd, err);
    close_ends(&p);
    return add_up(&p, err);
}

/* Rows that differ are asked for again, also where some tables could not be compared. */
static int compare_and_mend(const struct plan *plan, const struct stage *s,
                            const struct comparison *c, const char *tables, struct err *err)
{
    struct err failed = {0};
    int fd = inspect_scratch_file(err);
    if (fd < 0)
        return -1;
    int rc = compare_target(plan, s, c, tables, fd, err);
    bool mended = rc == STATUS_OK || inspect_mend(plan, s, fd, c->sure, &failed) == 0;
    (void)close(fd);
    if (mended)
        return rc;
    *err = failed;
    return -1;
}

static int check_targets(const struct plan *plan, const struct comparison *c, struct err *err)
{
    if (c->mend && c->keys) {
        (void)err_set(err, ERR_PERMANENT, "--mend and --keys");
        return err_hint(err, "one after the other: --keys to look, then --mend");
    }
    if (c->target > plan->ntargets)
        return err_set(err, ERR_PERMANENT, "--target %u: there are %u", c->target, plan->ntargets);
    if (c->mend && inspect_check_copies(c->target, plan, err))
        return -1;
    if (!c->keys || c->target || plan->ntargets == 1)
        return 0;
    (void)err_set(err, ERR_PERMANENT, "--keys: there are %u targets", plan->ntargets);
    return err_hint(err, "--target says of which");
}

/* What is worse: an error that helps nobody to wait, one that may pass, a difference. */
static int rank(int rc, const struct err *err)
{
    return rc >= 0 ? rc : err->kind == ERR_PERMANENT ? 3 : 2;
}

int compare_targets(const struct plan *plan, const struct comparison *c, struct err *err)
{
    struct buf tables = {0};
    int worst = 0;
    for (size_t i = 0; i < c->ntables; i++)
        buf_printf(&tables, "%s%s", i ? "," : "", c->tables[i]);
    if (c->ntables == 0)
        buf_append_str(&tables, "all");
    if (buf_check(&tables, err) || check_targets(plan, c, err)) {
        buf_free(&tables);
        return -1;
    }
    for (size_t i = 0; i < plan->nstages; i++) {
        const struct stage *s = &plan->stages[i];
        struct err failed = {0};
        if (s->kind != STAGE_APPLY || (c->target && s->target != c->target))
            continue;
        if (plan->ntargets > 1 && !c->json)
            (void)printf("target %u\n", s->target);
        (void)fflush(stdout);
        int rc = c->mend ? compare_and_mend(plan, s, c, buf_cstr(&tables), &failed)
                         : compare_target(plan, s, c, buf_cstr(&tables), -1, &failed);
        if (rank(rc, &failed) > rank(worst, err)) {
            worst = rc;
            *err = failed;
        }
    }
    buf_free(&tables);
    return worst;
}
