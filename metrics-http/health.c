#include "health.h"

#include <stdio.h>
#include <stdlib.h>

#include "exposition.h"

#define FRESH_MS 200

int health_init(struct health *h, const struct option_list *files, const struct option_list *dirs,
                int64_t stall_ms, struct err *err)
{
    size_t n = files->n > 0 ? 1 : dirs->n;
    *h = (struct health){.stall_ms = stall_ms, .pipelines = calloc(n + 1, sizeof *h->pipelines)};
    if (!h->pipelines)
        return err_nomem(err);
    while (h->npipelines < n) {
        struct pipeline *p = &h->pipelines[h->npipelines++];
        if (files->n > 0 ? pipeline_init_files(p, files, err)
                         : pipeline_init_dir(p, dirs->items[h->npipelines - 1], err))
            return -1;
    }
    return 0;
}

static void add_apart(const struct pipeline *p, const struct watched *w, struct exposition *e)
{
    bool kept = w->apart.kind == APART_PAUSED || w->apart.kind == APART_FAILED;
    exposition_gauge(e, "pg2any_apart",
                     "If the target is not in the pipeline: 1 paused, 2 failed, 3 given up.",
                     w->name, (double)w->apart.kind);
    exposition_gauge(e, "pg2any_apart_since_timestamp_seconds", "Since when, Unix time.", w->name,
                     (double)w->apart.since_s);
    exposition_gauge(e, "pg2any_apart_wal_bytes", "WAL that the slot keeps for it alone.", w->name,
                     kept ? apart_kept_bytes(pipeline_capture(p), &w->file) : 0);
}

static void add_metrics(const struct pipeline *p, struct exposition *e)
{
    for (const struct watched *w = NULL; (w = pipeline_next(p, w));) {
        exposition_add(e, w->name, &w->file);
        exposition_add(e, w->name, &w->compared);
        exposition_gauge(e, "pg2any_up", "1 while the stage's process exists.", w->name,
                         w->file.alive);
        if (w->apart.kind != APART_NONE)
            add_apart(p, w, e);
    }
    exposition_gauge(e, "pg2any_health", "1 while /health says 200.", NULL,
                     p->fault.kind == ERR_NONE);
}

/* The first reason; of several pipelines it says which. */
static void say_why(const struct health *h, const struct pipeline *p, const struct err *why,
                    char out[PIPELINE_TEXT])
{
    char name[256];
    if (why->kind == ERR_NONE || *out)
        return;
    if (h->npipelines > 1)
        (void)snprintf(out, PIPELINE_TEXT, "%.256s: %s", pipeline_name(p, name), why->text);
    else
        (void)snprintf(out, PIPELINE_TEXT, "%s", why->text);
}

/* Tables that are set aside for what the targets refused. */
static double count_aside(const struct pipeline *p)
{
    double sum = 0, n;
    for (const struct watched *w = NULL; (w = pipeline_next_target(p, w));)
        if (stats_file_value(&w->file, "pg2any_tables_aside", "reason=\"refused\"", &n) && n > 0)
            sum += n;
    return sum;
}

void health_look(struct health *h, int64_t now_ms)
{
    double aside = 0;
    if (h->made_ms != 0 && now_ms - h->made_ms < FRESH_MS)
        return;
    h->made_ms = now_ms;
    struct exposition e = {0};
    *h->why = *h->why_not_ready = '\0';
    for (size_t i = 0; i < h->npipelines; i++) {
        struct pipeline *p = &h->pipelines[i];
        pipeline_look(p, h->stall_ms, now_ms);
        e.pipeline = h->npipelines > 1 ? p->dir : NULL;
        add_metrics(p, &e);
        say_why(h, p, &p->fault, h->why);
        aside += count_aside(p);
    }
    if (aside > 0)
        (void)snprintf(h->well, sizeof h->well, "ok, but tables are set aside: %.0f", aside);
    else
        (void)snprintf(h->well, sizeof h->well, "ok");
    h->healthy = *h->why == '\0';
    for (size_t i = 0; h->healthy && i < h->npipelines; i++)
        say_why(h, &h->pipelines[i], &h->pipelines[i].starting, h->why_not_ready);
    if (!h->healthy)
        (void)snprintf(h->why_not_ready, sizeof h->why_not_ready, "%s", h->why);
    h->ready = *h->why_not_ready == '\0';
    buf_free(&h->metrics);
    exposition_write(&e, &h->metrics);
    exposition_free(&e);
}

void health_tick(struct health *h, int64_t now_ms)
{
    health_look(h, now_ms);
    for (size_t i = 0; i < h->npipelines; i++)
        pipeline_sample(&h->pipelines[i], now_ms);
}

void health_free(struct health *h)
{
    for (size_t i = 0; i < h->npipelines; i++)
        pipeline_free(&h->pipelines[i]);
    free(h->pipelines);
    buf_free(&h->metrics);
}
