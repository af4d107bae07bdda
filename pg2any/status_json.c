#include <string.h>

#include "base/json.h"
#include "base/progress.h"
#include "status.h"

static void put_metrics(const struct stats_file *f, struct buf *out)
{
    for (const struct status_metric *m = status_metrics; m->metric; m++) {
        double v;
        if (f->alive && stats_file_value(f, m->metric, NULL, &v))
            json_put_number(out, m->name, v);
    }
}

static void put_stage(const struct status_stage *s, struct buf *out)
{
    json_open(out, NULL, '{');
    json_put_text(out, "name", s->stage->name);
    json_put_text(out, "program", s->stage->program);
    json_put_text(out, "state", stats_file_word(&s->file));
    json_put_text(out, "fault", s->fault.kind == ERR_NONE ? NULL : s->fault.text);
    if (s->file.alive)
        json_put_u64(out, "pid", (uint64_t)s->file.pid);
    put_metrics(&s->file, out);
    json_close(out, '}');
}

static double value(const struct stats_file *f, const char *name)
{
    double v;
    return stats_file_value(f, name, NULL, &v) ? v : 0;
}

static void put_seconds(struct buf *out, const char *key, double s)
{
    if (s < 0)
        json_put_text(out, key, NULL);
    else
        json_put_number(out, key, s);
}

static void put_target(const struct status *s, const struct status_stage *apply,
                       struct buf *checkpoint, struct buf *out)
{
    static const char *const kinds[] = {
        [LAG_UNKNOWN] = "unknown",        [LAG_NONE] = "up to date", [LAG_STANDS] = "standing",
        [LAG_CATCHES_UP] = "catching up", [LAG_STEADY] = "behind",   [LAG_GROWS] = "falling behind",
    };
    struct lag lag;
    char words[LAG_WORDS];
    lag_look(&s->stages[0].file, &apply->file, &lag);
    lag_words(&lag, words);
    json_open(out, NULL, '{');
    json_put_u64(out, "target", apply->stage->target);
    json_put_text(out, "stage", apply->stage->name);
    json_put_text(out, "lag", kinds[lag.kind]);
    json_put_text(out, "lag_words", words);
    json_put_number(out, "behind_bytes", lag.behind_bytes);
    json_put_number(out, "behind_seconds", lag.seconds);
    put_seconds(out, "seconds_left", lag.left_s);
    json_put_number(out, "applied_wal_bytes_per_second", lag.applied_bytes_per_second);
    json_put_number(out, "tables_awaited", value(&apply->file, "pg2any_copy_tables_awaited"));
    json_put_number(out, "tables_settling", value(&apply->file, "pg2any_copy_tables_settling"));
    json_put_raw(out, "checkpoint", buf_cstr(checkpoint));
    json_close(out, '}');
}

static void put_copies(const struct stats_file *capture, struct buf *out)
{
    struct table_copy c;
    json_open(out, "copies", '[');
    for (const char *at = NULL; capture->alive && table_copy_next(capture, &at, &c);) {
        json_open(out, NULL, '{');
        json_put_text(out, "table", c.table);
        json_put_number(out, "rows", c.rows);
        json_put_number(out, "bytes", c.bytes);
        json_put_number(out, "estimated_rows", c.estimated_rows);
        json_put_number(out, "seconds", c.for_s);
        put_seconds(out, "seconds_left", c.left_s);
        json_close(out, '}');
    }
    json_close(out, ']');
    json_put_number(out, "tables_left", value(capture, "pg2any_capture_copy_tables_left"));
}

void status_put_json(const struct status *s, struct buf *source, struct buf *checkpoints,
                     struct buf *out)
{
    const struct stats_file *capture = &s->stages[0].file;
    size_t target = 0;
    json_open(out, NULL, '{');
    json_put_text(out, "state_directory", s->plan->state_dir);
    json_put_text(out, "slot", s->plan->slot);
    json_open(out, "stages", '[');
    for (size_t i = 0; i < s->plan->nstages; i++)
        put_stage(&s->stages[i], out);
    json_close(out, ']');
    json_open(out, "targets", '[');
    for (size_t i = 0; i < s->plan->nstages; i++)
        if (s->stages[i].stage->kind == STAGE_APPLY)
            put_target(s, &s->stages[i], &checkpoints[target++], out);
    json_close(out, ']');
    put_copies(capture, out);
    json_put_number(out, "server_wal_bytes_per_second",
                    value(capture, "pg2any_server_wal_bytes_per_second"));
    json_put_number(out, "retained_wal_bytes", value(capture, "pg2any_slot_retained_wal_bytes"));
    json_put_number(out, "wal_budget_bytes", value(capture, "pg2any_slot_wal_budget_bytes"));
    json_put_raw(out, "source", buf_cstr(source));
    json_close(out, '}');
    buf_append_byte(out, '\n');
}
