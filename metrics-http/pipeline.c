#include "pipeline.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/last_compare.h"
#include "base/progress.h"

#define MAX_TARGETS 16 /* of pg2any */

/* ---- which stages there are ---- */

static int add(struct pipeline *p, const char *dir, const char *file, bool optional,
               struct err *err)
{
    struct watched *w = &p->stages[p->nstages];
    if (asprintf(&w->path, "%s%s%s", dir ? dir : "", dir ? "/" : "", file) < 0) {
        w->path = NULL;
        return err_nomem(err);
    }
    const char *slash = strrchr(file, '/');
    const char *base = slash ? slash + 1 : file;
    size_t len = strlen(base);
    if (len > 5 && strcmp(base + len - 5, ".prom") == 0)
        len -= 5;
    (void)snprintf(w->name, sizeof w->name, "%.*s", (int)len, base);
    w->optional = optional;
    p->nstages++;
    return 0;
}

int pipeline_init_files(struct pipeline *p, const struct option_list *files, struct err *err)
{
    for (size_t i = 0; i < files->n; i++)
        if (add(p, NULL, files->items[i], false, err))
            return -1;
    return 0;
}

int pipeline_init_dir(struct pipeline *p, const char *dir, struct err *err)
{
    p->dir = dir;
    if (add(p, dir, "capture.prom", false, err) || add(p, dir, "assemble.prom", false, err) ||
        add(p, dir, "tee.prom", true, err) || add(p, dir, "apply.prom", false, err))
        return -1;
    for (int i = 2; i <= MAX_TARGETS; i++) {
        char file[32];
        (void)snprintf(file, sizeof file, "apply-%d.prom", i);
        if (add(p, dir, file, true, err))
            return -1;
    }
    return 0;
}

void pipeline_free(struct pipeline *p)
{
    for (size_t i = 0; i < p->nstages; i++) {
        stats_file_free(&p->stages[i].file);
        stats_file_free(&p->stages[i].compared);
        free(p->stages[i].path);
    }
}

const struct watched *pipeline_next(const struct pipeline *p, const struct watched *s)
{
    for (s = s ? s + 1 : p->stages; s < p->stages + p->nstages; s++)
        if (!s->optional || !s->file.missing)
            return s;
    return NULL;
}

const struct watched *pipeline_next_target(const struct pipeline *p, const struct watched *s)
{
    do
        s = pipeline_next(p, s);
    while (s && s->kind != KIND_APPLY);
    return s;
}

static enum stage_kind kind_of(const struct watched *w)
{
    static const struct {
        const char *program, *name;
        enum stage_kind kind;
    } kinds[] = {{"pg-capture", "capture", KIND_CAPTURE},
                 {"txn-assemble", "assemble", KIND_ASSEMBLE},
                 {"frame-tee", "tee", KIND_TEE},
                 {"apply-", "apply", KIND_APPLY}};
    for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++) {
        const char *is = *w->file.component ? w->file.component : w->name;
        const char *begins = *w->file.component ? kinds[i].program : kinds[i].name;
        if (strncmp(is, begins, strlen(begins)) == 0)
            return kinds[i].kind;
    }
    return KIND_OTHER;
}

const struct stats_file *pipeline_capture(const struct pipeline *p)
{
    static const struct stats_file none = {.missing = true};
    for (const struct watched *w = NULL; (w = pipeline_next(p, w));)
        if (w->kind == KIND_CAPTURE)
            return &w->file;
    return &none;
}

const char *pipeline_word(const struct watched *w)
{
    return w->apart.kind != APART_NONE ? apart_word(w->apart.kind) : stats_file_word(&w->file);
}

/* ---- whether it works ---- */

/* Whether an applier has stood still too long with something to do. */
static int check_progress(struct watched *w, double covered, int64_t stall_ms, int64_t now_ms,
                          struct err *err)
{
    double lsn, depth = 0;
    if (!stats_file_value(&w->file, "pg2any_last_processed_lsn", NULL, &lsn))
        return 0;
    bool queued = stats_file_value(&w->file, "pg2any_queue_depth", NULL, &depth) && depth > 0;
    if (lsn != w->lsn || (lsn >= covered && !queued) || w->moved_ms == 0) {
        w->lsn = lsn;
        w->moved_ms = now_ms;
    }
    int64_t stood_ms = now_ms - w->moved_ms;
    double progress_s;
    /* It has seen more than we: what was before it, or we, were started again. */
    if (queued &&
        stats_file_value(&w->file, "pg2any_last_progress_timestamp_seconds", NULL, &progress_s))
        stood_ms = (time(NULL) - (int64_t)progress_s) * 1000;
    if (stood_ms < stall_ms)
        return 0;
    return err_set(err, ERR_TEMPORARY,
                   "%s makes no progress: nothing was committed at the target for %" PRId64
                   " s, and changes wait",
                   w->name, stood_ms / 1000);
}

/* APART_NONE where its file does not say otherwise, or cannot be read. */
static void look_apart(struct watched *w)
{
    char path[1024];
    struct err unread = {0};
    size_t len = strlen(w->path);
    if (len > 5 && strcmp(w->path + len - 5, ".prom") == 0)
        len -= 5;
    w->apart = (struct apart){.kind = APART_NONE};
    int n = snprintf(path, sizeof path, "%.*s.apart", (int)len, w->path);
    if (n > 0 && (size_t)n < sizeof path && apart_read(path, &w->apart, &unread))
        w->apart.kind = APART_NONE;
}

/* That it cannot be read is as if there were none. */
static void look_compared(struct watched *w)
{
    char path[LAST_COMPARE_PATH];
    struct err unread = {0};
    stats_file_free(&w->compared);
    w->compared = (struct stats_file){.missing = true};
    last_compare_path(w->path, path);
    if (*path)
        (void)!stats_file_read(&w->compared, path, &unread);
}

static int check_stage(struct watched *w, double covered, int64_t stall_ms, int64_t now_ms,
                       struct err *err)
{
    if (w->apart.kind != APART_NONE)
        return apart_fault(&w->apart, w->name, err);
    if (stats_file_fault(&w->file, w->name, err))
        return -1;
    if (w->file.age_ms > stall_ms)
        return err_set(err, ERR_TEMPORARY, "%s has written no statistics for %" PRId64 " s",
                       w->name, w->file.age_ms / 1000);
    return check_progress(w, covered, stall_ms, now_ms, err);
}

void pipeline_look(struct pipeline *p, int64_t stall_ms, int64_t now_ms)
{
    for (size_t i = 0; i < p->nstages; i++) {
        struct watched *w = &p->stages[i];
        struct err unread = {0};
        stats_file_free(&w->file);
        (void)!stats_file_read(&w->file, w->path, &unread); /* what came of it is in the file */
        w->kind = kind_of(w);
        look_apart(w);
        look_compared(w);
    }
    err_clear(&p->fault);
    err_clear(&p->starting);
    double covered = stats_file_number(pipeline_capture(p), "pg2any_capture_covered_lsn");
    for (const struct watched *next = NULL; (next = pipeline_next(p, next));) {
        struct watched *w = &p->stages[next - p->stages];
        err_clear(&w->fault);
        if (check_stage(w, covered, stall_ms, now_ms, &w->fault))
            (void)stats_file_worst(&p->fault, &w->fault);
        if (w->file.alive && w->file.state != STATS_READY && p->starting.kind == ERR_NONE)
            (void)err_set(&p->starting, ERR_TEMPORARY, "%s is starting", w->name);
    }
}

/* ---- how it was ---- */

static void measure(struct watched *w, int64_t now_ms)
{
    static const char *const counters[] = {
        [KIND_CAPTURE] = "pg2any_capture_emitted_bytes_total",
        [KIND_ASSEMBLE] = "pg2any_assemble_changes_total",
        [KIND_TEE] = "pg2any_tee_frames_total",
        [KIND_APPLY] = "pg2any_events_processed_total",
    };
    double passed;
    w->speed.position = &w->passed;
    w->speed.per_second = &w->per_second;
    if (w->kind == KIND_OTHER || !w->file.alive ||
        !stats_file_value(&w->file, counters[w->kind], NULL, &passed)) {
        w->speed.nlooks = 0;
        w->per_second = 0;
        return;
    }
    /* A position of 0 is none yet to a speed, and here a count like others. */
    w->passed = (uint64_t)passed + 1;
    stats_measure_speed(&w->speed, now_ms);
}

void pipeline_sample(struct pipeline *p, int64_t now_ms)
{
    size_t due = history_due(&p->history, now_ms);
    const struct stats_file *capture = pipeline_capture(p);
    double retained;
    bool known = capture->alive &&
                 stats_file_value(capture, "pg2any_slot_retained_wal_bytes", NULL, &retained);
    series_see(&p->retained, known ? retained : NAN);
    series_take(&p->retained, &p->history, due);
    for (size_t i = 0; i < p->nstages; i++) {
        struct watched *w = &p->stages[i];
        measure(w, now_ms);
        if (w->kind == KIND_APPLY) {
            struct lag lag;
            lag_look(capture, &w->file, &lag);
            known = lag.kind != LAG_UNKNOWN;
            series_see(&w->lag_s, known ? lag.seconds : NAN);
            series_see(&w->lag_bytes, known ? lag.behind_bytes : NAN);
            series_see(&w->changes, w->file.alive ? (double)w->per_second : NAN);
        }
        series_take(&w->lag_s, &p->history, due);
        series_take(&w->lag_bytes, &p->history, due);
        series_take(&w->changes, &p->history, due);
    }
    history_took(&p->history, due, now_ms);
}

/* ---- how it is ---- */

const char *pipeline_name(const struct pipeline *p, char out[256])
{
    struct stats_sample s;
    const char *at = NULL;
    if (stats_file_next(pipeline_capture(p), "pg2any_slot_info", &at, &s) &&
        stats_sample_label(&s, "slot", out, 256))
        return out;
    return p->dir ? p->dir : "pipeline";
}

/* Tables whose copy has not come, or settles. */
static double copies(const struct pipeline *p)
{
    double n = stats_file_number(pipeline_capture(p), "pg2any_capture_copy_tables_left");
    for (const struct watched *w = NULL; (w = pipeline_next_target(p, w));) {
        double at_target = stats_file_number(&w->file, "pg2any_copy_tables_awaited") +
                           stats_file_number(&w->file, "pg2any_copy_tables_settling");
        if (at_target > n)
            n = at_target;
    }
    return n;
}

static void furthest_lag(const struct pipeline *p, struct lag *furthest)
{
    *furthest = (struct lag){.kind = LAG_UNKNOWN};
    for (const struct watched *w = NULL; (w = pipeline_next_target(p, w));) {
        struct lag lag;
        if (w->apart.kind != APART_NONE)
            continue;
        lag_look(pipeline_capture(p), &w->file, &lag);
        if (furthest->kind == LAG_UNKNOWN || furthest->kind == LAG_NONE ||
            (lag.kind != LAG_NONE && lag.behind_bytes > furthest->behind_bytes))
            *furthest = lag;
    }
}

void pipeline_state(const struct pipeline *p, struct pipeline_state *state)
{
    double ncopies = copies(p);
    struct lag lag;
    if (p->fault.kind != ERR_NONE) {
        bool failed = p->fault.kind == ERR_PERMANENT;
        *state = (struct pipeline_state){TONE_BAD, failed ? "failed" : "not working", ""};
        (void)snprintf(state->text, sizeof state->text, "%s", p->fault.text);
        return;
    }
    if (p->starting.kind != ERR_NONE) {
        *state = (struct pipeline_state){TONE_WAIT, "starting", ""};
        (void)snprintf(state->text, sizeof state->text, "%s", p->starting.text);
        return;
    }
    if (ncopies > 0) {
        *state = (struct pipeline_state){TONE_BUSY, "copying", ""};
        (void)snprintf(state->text, sizeof state->text, "copying: %.0f table%s to go", ncopies,
                       ncopies > 1 ? "s" : "");
        return;
    }
    for (const struct watched *w = NULL; (w = pipeline_next_target(p, w));)
        if (w->apart.kind == APART_PAUSED) {
            *state = (struct pipeline_state){TONE_WAIT, "paused", ""};
            (void)snprintf(state->text, sizeof state->text, "%s is paused", w->name);
            return;
        }
    furthest_lag(p, &lag);
    bool ok = lag.kind == LAG_NONE, wait = lag.kind == LAG_STANDS || lag.kind == LAG_UNKNOWN;
    *state = (struct pipeline_state){.tone = ok     ? TONE_OK
                                             : wait ? TONE_WAIT
                                                    : TONE_BUSY,
                                     .word = lag_word(&lag)};
    lag_words(&lag, state->text);
}
