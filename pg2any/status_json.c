#include "base/json.h"
#include "base/progress.h"
#include "status.h"

/* How a target is apart; `apart` null: it is in the pipeline. */
static void put_apart(const struct status *s, const struct status_stage *apply, struct buf *out)
{
    char words[STATUS_APART_WORDS];
    apart_put_json(out, &apply->apart, &s->stages[0].file, &apply->file);
    if (apply->apart.kind == APART_NONE)
        return;
    status_apart_words(s, apply, words);
    json_put_text(out, "apart_words", words);
    json_put_number(out, "apart_wal_limit_bytes", (double)s->plan->pause_wal_bytes);
}

static void put_target(const struct status *s, const struct status_stage *apply,
                       struct buf *checkpoint, struct buf *out)
{
    json_open(out, NULL, '{');
    json_put_u64(out, "target", apply->stage->target);
    json_put_text(out, "stage", apply->stage->name);
    lag_put_json(out, &s->stages[0].file, &apply->file);
    put_apart(s, apply, out);
    last_compare_put_json(out, &apply->compared);
    json_put_raw(out, "checkpoint", buf_cstr(checkpoint));
    json_close(out, '}');
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
        stage_put_json(out, s->stages[i].stage->name, s->stages[i].stage->program,
                       &s->stages[i].file, &s->stages[i].fault);
    json_close(out, ']');
    json_open(out, "targets", '[');
    for (size_t i = 0; i < s->plan->nstages; i++)
        if (s->stages[i].stage->kind == STAGE_APPLY)
            put_target(s, &s->stages[i], &checkpoints[target++], out);
    json_close(out, ']');
    table_copies_put_json(out, capture);
    json_put_number(out, "server_wal_bytes_per_second",
                    stats_file_number(capture, "pg2any_server_wal_bytes_per_second"));
    json_put_number(out, "retained_wal_bytes",
                    stats_file_number(capture, "pg2any_slot_retained_wal_bytes"));
    json_put_number(out, "wal_budget_bytes",
                    stats_file_number(capture, "pg2any_slot_wal_budget_bytes"));
    json_put_raw(out, "source", buf_cstr(source));
    json_close(out, '}');
    buf_append_byte(out, '\n');
}
