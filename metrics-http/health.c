#include "health.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "base/stats_file.h"
#include "exposition.h"

#define FRESH_MS 200

void health_init(struct health *h, const struct option_list *files, int64_t stall_ms)
{
    *h = (struct health){.stall_ms = stall_ms};
    for (size_t i = 0; i < files->n; i++) {
        struct watched *w = &h->stages[h->nstages++];
        const char *slash = strrchr(files->items[i], '/');
        const char *base = slash ? slash + 1 : files->items[i];
        size_t len = strlen(base);
        if (len > 5 && strcmp(base + len - 5, ".prom") == 0)
            len -= 5;
        *w = (struct watched){.path = files->items[i]};
        (void)snprintf(w->name, sizeof w->name, "%.*s", (int)len, base);
    }
}

/* What the whole pipeline has put out: of the capture among the files. */
static double covered_lsn(const struct stats_file *files, size_t n)
{
    double lsn = 0;
    for (size_t i = 0; i < n; i++)
        if (stats_file_value(&files[i], "pg2any_capture_covered_lsn", NULL, &lsn))
            break;
    return lsn;
}

/* Whether an applier has stood still too long with something to do. */
static int check_progress(const struct health *h, struct watched *w, const struct stats_file *f,
                          double covered, int64_t now_ms, struct err *err)
{
    double lsn, depth = 0;
    if (!stats_file_value(f, "pg2any_last_processed_lsn", NULL, &lsn))
        return 0;
    bool queued = stats_file_value(f, "pg2any_queue_depth", NULL, &depth) && depth > 0;
    if (lsn != w->lsn || (lsn >= covered && !queued) || w->moved_ms == 0) {
        w->lsn = lsn;
        w->moved_ms = now_ms;
    }
    int64_t stood_ms = now_ms - w->moved_ms;
    double progress_s;
    /* It has seen more than we: what was before it, or we, were started again. */
    if (queued && stats_file_value(f, "pg2any_last_progress_timestamp_seconds", NULL, &progress_s))
        stood_ms = (time(NULL) - (int64_t)progress_s) * 1000;
    if (stood_ms < h->stall_ms)
        return 0;
    return err_set(err, ERR_TEMPORARY,
                   "%s makes no progress: nothing was committed at the target for %" PRId64
                   " s, and changes wait",
                   w->name, stood_ms / 1000);
}

static int check_stage(const struct health *h, struct watched *w, const struct stats_file *f,
                       double covered, int64_t now_ms, struct err *err)
{
    if (stats_file_fault(f, w->name, err))
        return -1;
    if (f->age_ms > h->stall_ms)
        return err_set(err, ERR_TEMPORARY, "%s has written no statistics for %" PRId64 " s",
                       w->name, f->age_ms / 1000);
    return check_progress(h, w, f, covered, now_ms, err);
}

void health_look(struct health *h, int64_t now_ms)
{
    static struct stats_file files[HEALTH_MAX_STAGES]; /* of 2 kB and more each */
    if (h->made_ms != 0 && now_ms - h->made_ms < FRESH_MS)
        return;
    h->made_ms = now_ms;
    for (size_t i = 0; i < h->nstages; i++) {
        struct err err = {0};
        (void)!stats_file_read(&files[i], h->stages[i].path,
                               &err); /* what came of it is in the file */
    }
    struct exposition e = {0};
    struct err worst = {0}, unready = {0};
    double covered = covered_lsn(files, h->nstages);
    for (size_t i = 0; i < h->nstages; i++) {
        struct watched *w = &h->stages[i];
        struct err err = {0};
        const struct stats_file *f = &files[i];
        if (check_stage(h, w, f, covered, now_ms, &err))
            (void)stats_file_worst(&worst, &err);
        if (f->alive && f->state != STATS_READY && unready.kind == ERR_NONE)
            (void)err_set(&unready, ERR_TEMPORARY, "%s is starting", w->name);
        exposition_add(&e, w->name, f);
        exposition_gauge(&e, "pg2any_up", "1 while the stage's process is there.", w->name,
                         f->alive);
    }
    h->healthy = worst.kind == ERR_NONE;
    h->ready = h->healthy && unready.kind == ERR_NONE;
    (void)snprintf(h->why, sizeof h->why, "%s", worst.text);
    (void)snprintf(h->why_not_ready, sizeof h->why_not_ready, "%s",
                   h->healthy ? unready.text : worst.text);
    exposition_gauge(&e, "pg2any_health", "1 while /health says 200.", NULL, h->healthy);
    buf_free(&h->metrics);
    exposition_write(&e, &h->metrics);
    exposition_free(&e);
    for (size_t i = 0; i < h->nstages; i++)
        stats_file_free(&files[i]);
}

void health_free(struct health *h)
{
    buf_free(&h->metrics);
}
