#include <time.h>

#include "base/json.h"
#include "base/last_compare.h"
#include "base/progress.h"
#include "page.h"

static void put_stages(const struct pipeline *p, struct buf *out)
{
    json_open(out, "stages", '[');
    for (const struct watched *w = NULL; (w = pipeline_next(p, w));)
        stage_put_json(out, w->name, *w->file.component ? w->file.component : NULL, &w->file,
                       &w->fault);
    json_close(out, ']');
}

static void put_now(const struct pipeline *p, const struct watched *w, struct buf *out)
{
    lag_put_json(out, pipeline_capture(p), &w->file);
    apart_put_json(out, &w->apart, pipeline_capture(p), &w->file);
    struct last_compare c;
    last_compare_read(&w->compared, &c);
    last_compare_put_json(out, &c);
}

static void put_curves(const struct pipeline *p, const struct watched *w, struct buf *out)
{
    series_put_json(out, "lag_seconds", &w->lag_s, &p->history);
    series_put_json(out, "lag_bytes", &w->lag_bytes, &p->history);
    series_put_json(out, "changes_per_second", &w->changes, &p->history);
}

static void put_targets(const struct pipeline *p,
                        void (*put)(const struct pipeline *p, const struct watched *w,
                                    struct buf *out),
                        struct buf *out)
{
    json_open(out, "targets", '[');
    for (const struct watched *w = NULL; (w = pipeline_next_target(p, w));) {
        json_open(out, NULL, '{');
        json_put_text(out, "stage", w->name);
        put(p, w, out);
        json_close(out, '}');
    }
    json_close(out, ']');
}

static void put_history(const struct pipeline *p, time_t now, struct buf *out)
{
    json_open(out, "history", '{');
    json_put_u64(out, "end", (uint64_t)now);
    json_put_u64(out, "step_seconds", HISTORY_STEP_MS / 1000);
    json_put_u64(out, "most_samples", HISTORY_SAMPLES);
    series_put_json(out, "retained_wal_bytes", &p->retained, &p->history);
    put_targets(p, put_curves, out);
    json_close(out, '}');
}

static void put_pipeline(const struct pipeline *p, time_t now, struct buf *out)
{
    static const char *const gauges[][2] = {
        {"server_wal_bytes_per_second", "pg2any_server_wal_bytes_per_second"},
        {"retained_wal_bytes", "pg2any_slot_retained_wal_bytes"},
        {"wal_budget_bytes", "pg2any_slot_wal_budget_bytes"},
    };
    struct pipeline_state state;
    char name[256];
    pipeline_state(p, &state);
    json_open(out, NULL, '{');
    json_put_text(out, "name", pipeline_name(p, name));
    json_put_text(out, "state_directory", p->dir);
    json_put_text(out, "state", state.word);
    json_put_text(out, "state_words", state.text);
    put_stages(p, out);
    put_targets(p, put_now, out);
    table_copies_put_json(out, pipeline_capture(p));
    for (size_t i = 0; i < sizeof gauges / sizeof *gauges; i++)
        json_put_number(out, gauges[i][0], stats_file_number(pipeline_capture(p), gauges[i][1]));
    put_history(p, now, out);
    json_close(out, '}');
}

void page_put_json(const struct health *h, struct buf *out)
{
    time_t now = time(NULL);
    json_open(out, NULL, '{');
    json_put_u64(out, "time", (uint64_t)now);
    json_put_bool(out, "healthy", h->healthy);
    json_put_bool(out, "ready", h->ready);
    json_open(out, "pipelines", '[');
    for (size_t i = 0; i < h->npipelines; i++)
        put_pipeline(&h->pipelines[i], now, out);
    json_close(out, ']');
    json_close(out, '}');
    buf_append_byte(out, '\n');
}
