#include "base/stats.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "base/atomic_file.h"
#include "base/exit.h"
#include "base/hash.h"
#include "base/log.h"
#include "base/lsn.h"
#include "base/stats_file.h"
#include "base/version.h"

struct stats_metric {
    uint64_t value;
    UT_hash_handle hh;
    char labels[];
};

/* All metrics of one name: the format wants them together. */
struct stats_family {
    struct stats_family *next;
    const char *name;
    const char *help;
    enum stats_type type;
    struct stats_histogram *histogram; /* NULL: `metrics` */
    struct stats_metric *metrics;      /* by their labels, in the order of registration */
};

static const char *const error_types[ERR_KINDS] = {
    [ERR_TEMPORARY] = "temporary", [ERR_PERMANENT] = "permanent", [ERR_RETRY] = "retry"};

/* From half a millisecond, which a small local commit takes, to what a timeout allows. */
static const struct {
    uint64_t us;
    const char *le;
} bounds[STATS_BUCKETS - 1] = {
    {500, "0.0005"},  {1000, "0.001"}, {2500, "0.0025"}, {5000, "0.005"},  {10000, "0.01"},
    {25000, "0.025"}, {50000, "0.05"}, {100000, "0.1"},  {250000, "0.25"}, {500000, "0.5"},
    {1000000, "1"},   {5000000, "5"},  {30000000, "30"},
};

/* Where a value goes that there is no memory for. */
static uint64_t nowhere;
static struct stats_histogram nowhere_histogram;

static struct stats_family *family(struct stats *s, enum stats_type type, const char *name,
                                   const char *help)
{
    for (struct stats_family *f = s->first; f; f = f->next)
        if (strcmp(f->name, name) == 0)
            return f;
    struct stats_family *f = calloc(1, sizeof *f);
    if (!f)
        return NULL;
    *f = (struct stats_family){.name = name, .help = help, .type = type};
    if (s->last)
        s->last->next = f;
    else
        s->first = f;
    s->last = f;
    return f;
}

uint64_t *stats_register(struct stats *s, enum stats_type type, const char *name,
                         const char *labels, const char *help)
{
    struct stats_family *f = family(s, type, name, help);
    if (!f)
        return &nowhere;
    size_t len = labels ? strlen(labels) : 0;
    struct stats_metric *m;
    HASH_FIND(hh, f->metrics, labels ? labels : "", len, m);
    if (m)
        return &m->value;
    m = calloc(1, sizeof *m + len + 1);
    if (!m)
        return &nowhere;
    memcpy(m->labels, labels ? labels : "", len);
    bool added;
    HASH_TRY_ADD_KEYPTR(f->metrics, m->labels, len, m, added);
    if (!added) {
        free(m);
        return &nowhere;
    }
    return &m->value;
}

struct stats_histogram *stats_register_histogram(struct stats *s, const char *name,
                                                 const char *help)
{
    struct stats_family *f = family(s, STATS_COUNTER, name, help);
    if (!f)
        return &nowhere_histogram;
    f->histogram = calloc(1, sizeof *f->histogram);
    return f->histogram ? f->histogram : &nowhere_histogram;
}

void stats_observe(struct stats_histogram *h, int64_t duration_us)
{
    uint64_t us = duration_us > 0 ? (uint64_t)duration_us : 0;
    size_t i = 0;
    while (i < STATS_BUCKETS - 1 && us > bounds[i].us)
        i++;
    h->buckets[i]++;
    h->count++;
    h->sum_us += us;
}

void stats_register_rate(struct stats *s, const char *name, const char *help,
                         const uint64_t *counter)
{
    s->per_second = stats_register(s, STATS_GAUGE, name, NULL, help);
    s->rated = counter;
    s->rated_before = *counter;
    s->rated_ms = monotonic_ms();
}

void stats_register_speed(struct stats *s, const char *name, const char *help,
                          const uint64_t *position)
{
    s->speed = (struct stats_speed){
        .position = position,
        .per_second = stats_register(s, STATS_GAUGE, name, NULL, help),
    };
}

void stats_label(struct buf *labels, const char *name, const char *value)
{
    buf_printf(labels, "%s%s=\"", labels->len ? "," : "", name);
    for (const char *p = value; *p; p++) {
        if (*p == '\n') {
            buf_append_str(labels, "\\n");
            continue;
        }
        if (*p == '"' || *p == '\\')
            buf_append_byte(labels, '\\');
        buf_append_byte(labels, (uint8_t)*p);
    }
    buf_append_byte(labels, '"');
}

/* ---- what every program has ---- */

static uint64_t *register_own(struct stats *s, enum stats_type type, const char *name,
                              const char *label, const char *value, const char *help)
{
    struct buf labels = {0};
    if (label)
        stats_label(&labels, label, value);
    stats_label(&labels, "component", s->component);
    uint64_t *metric = stats_register(s, type, name, buf_cstr(&labels), help);
    buf_free(&labels);
    return metric;
}

/* Another time that it ended by an error of its own, without progress between. */
static void count_failure(struct stats *s, const char *why)
{
    ++*s->failures;
    (void)snprintf(s->failure, sizeof s->failure, "%s", why);
}

static uint64_t before(const struct stats_file *f, const char *name, const char *label)
{
    double value;
    return stats_file_value(f, name, label, &value) && value > 0 ? (uint64_t)value : 0;
}

void stats_init(struct stats *s, const char *path, const char *component)
{
    *s = (struct stats){.path = path, .component = component};
    struct stats_file was = {0};
    struct err none = {0};
    bool first = !path || stats_file_read(&was, path, &none) != 0;
    *register_own(s, STATS_GAUGE, "pg2any_build_info", "version", PG2ANY_VERSION,
                  "1; the version is in the labels.") = 1;
    uint64_t *restarts = stats_register(s, STATS_COUNTER, "pg2any_restarts_total", NULL,
                                        "Starts of this program, except the first.");
    if (!first)
        *restarts = before(&was, "pg2any_restarts_total", NULL) + 1;
    s->failures = stats_register(s, STATS_GAUGE, "pg2any_failures_since_progress", NULL,
                                 "Ends by an error of its own since it last made progress.");
    s->progress_time =
        stats_register(s, STATS_GAUGE, "pg2any_last_progress_timestamp_seconds", NULL,
                       "When it last made progress, or had nothing to do for a while; Unix time.");
    *s->progress_time = (uint64_t)time(NULL);
    if (!first && !(was.state == STATS_STOPPED && was.status == STATUS_OK)) {
        *s->failures = before(&was, "pg2any_failures_since_progress", NULL);
        uint64_t progress = before(&was, "pg2any_last_progress_timestamp_seconds", NULL);
        if (progress > 0) /* a file may have none */
            *s->progress_time = progress;
        (void)snprintf(s->failure, sizeof s->failure, "%s", was.failed);
        if (was.state != STATS_STOPPED)
            count_failure(s, "it was killed or crashed");
    }
    for (int kind = 0; kind < ERR_KINDS; kind++)
        if (error_types[kind]) {
            char label[32];
            (void)snprintf(label, sizeof label, "error_type=\"%s\"", error_types[kind]);
            s->errors[kind] = register_own(
                s, STATS_COUNTER, "pg2any_errors_total", "error_type", error_types[kind],
                "Errors that ended the program (permanent, temporary), made it reconnect (temporary), "
                "or made it repeat a group (retry).");
            *s->errors[kind] = before(&was, "pg2any_errors_total", label);
        }
    stats_file_free(&was);
    stats_write(s);
}

void stats_error(struct stats *s, enum err_kind kind)
{
    if (s->errors[kind])
        ++*s->errors[kind];
}

void stats_progress(struct stats *s)
{
    if (!s->failures)
        return; /* it keeps none */
    *s->failures = 0;
    *s->progress_time = (uint64_t)time(NULL);
    s->failure[0] = '\0';
}

static void look_for_steadiness(struct stats *s)
{
    int64_t now_ms = monotonic_ms();
    if (!s->ready || s->waits)
        s->steady_ms = now_ms;
    else if (now_ms - s->steady_ms >= STATS_STEADY_MS)
        stats_progress(s);
}

/* ---- writing ---- */

static void put_histogram(struct buf *text, const struct stats_family *f)
{
    const struct stats_histogram *h = f->histogram;
    uint64_t sum = 0;
    for (size_t i = 0; i < STATS_BUCKETS - 1; i++) {
        sum += h->buckets[i];
        buf_printf(text, "%s_bucket{le=\"%s\"} %" PRIu64 "\n", f->name, bounds[i].le, sum);
    }
    buf_printf(text, "%s_bucket{le=\"+Inf\"} %" PRIu64 "\n", f->name, h->count);
    buf_printf(text, "%s_sum %" PRIu64 ".%06" PRIu64 "\n", f->name, h->sum_us / 1000000,
               h->sum_us % 1000000);
    buf_printf(text, "%s_count %" PRIu64 "\n", f->name, h->count);
}

static void put_family(struct buf *text, const struct stats_family *f)
{
    buf_printf(text, "# HELP %s %s\n# TYPE %s %s\n", f->name, f->help, f->name,
               f->histogram               ? "histogram"
               : f->type == STATS_COUNTER ? "counter"
                                          : "gauge");
    if (f->histogram)
        put_histogram(text, f);
    for (const struct stats_metric *m = f->metrics; m; m = m->hh.next) {
        if (*m->labels)
            buf_printf(text, "%s{%s} ", f->name, m->labels);
        else
            buf_printf(text, "%s ", f->name);
        if (f->type == STATS_GAUGE_MS)
            buf_printf(text, "%" PRIu64 ".%03" PRIu64 "\n", m->value / 1000, m->value % 1000);
        else
            buf_printf(text, "%" PRIu64 "\n", m->value);
    }
}

static void put_line(struct buf *text, const char *line)
{
    for (const char *p = line; *p; p++)
        buf_append_byte(text, *p == '\n' ? ' ' : (uint8_t)*p);
    buf_append_byte(text, '\n');
}

static void put_state(struct buf *text, const struct stats *s, const struct err *ended)
{
    buf_printf(text, "%s component=%s pid=%d state=", STATS_FILE_MAGIC, s->component,
               (int)getpid());
    if (!ended) {
        buf_append_str(text, s->ready ? "ready\n" : "starting\n");
        return;
    }
    buf_printf(text, "stopped status=%d follows=%d reason=", status_of(ended->kind),
               ended->follows);
    put_line(text, ended->text);
}

static void measure_rate(struct stats *s)
{
    if (!s->rated)
        return;
    int64_t now_ms = monotonic_ms();
    if (now_ms - s->rated_ms < STATS_INTERVAL_MS / 2)
        return; /* too short a time to say anything */
    *s->per_second = (*s->rated - s->rated_before) * 1000 / (uint64_t)(now_ms - s->rated_ms);
    s->rated_before = *s->rated;
    s->rated_ms = now_ms;
}

void stats_measure_speed(struct stats_speed *v, int64_t now_ms)
{
    if (!v->position || *v->position == 0)
        return;
    size_t last = (v->nlooks + STATS_SPEED_LOOKS - 1) % STATS_SPEED_LOOKS;
    if (v->nlooks > 0 && now_ms - v->at_ms[last] < STATS_INTERVAL_MS / 2)
        return;
    if (v->nlooks > 0 && *v->position < v->values[last])
        v->nlooks = 0;
    size_t oldest = v->nlooks < STATS_SPEED_LOOKS ? 0 : v->nlooks % STATS_SPEED_LOOKS;
    *v->per_second = v->nlooks == 0 ? 0
                                    : (*v->position - v->values[oldest]) * 1000 /
                                          (uint64_t)(now_ms - v->at_ms[oldest]);
    v->values[v->nlooks % STATS_SPEED_LOOKS] = *v->position;
    v->at_ms[v->nlooks % STATS_SPEED_LOOKS] = now_ms;
    v->nlooks++;
}

static void write_file(struct stats *s, const struct err *ended)
{
    if (!s->path)
        return;
    struct buf text = {0};
    if (s->update)
        s->update(s->ctx);
    measure_rate(s);
    stats_measure_speed(&s->speed, monotonic_ms());
    look_for_steadiness(s);
    put_state(&text, s, ended);
    if (*s->failure) {
        buf_append_str(&text, STATS_FILE_FAILED);
        put_line(&text, s->failure);
    }
    for (const struct stats_family *f = s->first; f; f = f->next)
        put_family(&text, f);
    struct err err = {0};
    if (buf_check(&text, &err) || atomic_file_write(s->path, text.data, text.len, &err)) {
        if (!s->failed)
            log_warning("cannot write the statistics file", "error", err.text, NULL);
        s->failed = true;
    } else {
        s->failed = false;
    }
    buf_free(&text);
}

void stats_write(struct stats *s)
{
    write_file(s, NULL);
}

void stats_ready(struct stats *s)
{
    s->ready = true;
    stats_write(s);
}

void stats_tick(struct stats *s, int64_t now_ms)
{
    if (!s->path || now_ms < s->next_ms)
        return;
    s->next_ms = now_ms + STATS_INTERVAL_MS;
    stats_write(s);
}

void stats_end(struct stats *s, const struct err *err)
{
    if (s->component) {
        stats_error(s, err->kind == ERR_RETRY ? ERR_TEMPORARY : err->kind);
        if (err->kind != ERR_NONE && !err->follows)
            count_failure(s, err->text);
        write_file(s, err);
    }
    for (struct stats_family *f = s->first, *next_family; f; f = next_family) {
        next_family = f->next;
        struct stats_metric *m, *next;
        HASH_ITER (hh, f->metrics, m, next) {
            HASH_DEL(f->metrics, m);
            free(m);
        }
        free(f->histogram);
        free(f);
    }
    *s = (struct stats){0};
}

void stats_never_began(const char *path, const char *component, const struct err *err)
{
    struct stats s;
    if (!path)
        return;
    stats_init(&s, path, component);
    stats_end(&s, err);
}
