/*
 * stats.h - counters, gauges and histograms of one program, written as Prometheus text to a file
 * once a second.
 *
 * A metric is registered once and is then an ordinary uint64_t that the program changes. The text
 * format: Prometheus documentation, "Exposition formats". The file's first line is a comment for
 * our own readers (stats_file.h): which program, which process, whether it starts, is ready, or has
 * stopped, and why.
 *
 * Every program has pg2any_build_info, pg2any_restarts_total and pg2any_errors_total. It also
 * records when it last made progress, and how often it has failed by its own error since. All but
 * the first continue from the file of the previous process, so that a program that is restarted
 * again and again does not look healthy. The program reports progress (stats_progress()); being
 * ready for a while with nothing waiting also counts.
 */
#ifndef PG2ANY_STATS_H
#define PG2ANY_STATS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/err.h"

#define STATS_INTERVAL_MS 1000
#define STATS_STEADY_MS   10000 /* ready for that long with nothing to do: as good as progress */

enum stats_type {
    STATS_COUNTER,
    STATS_GAUGE,
    STATS_GAUGE_MS, /* milliseconds, written as seconds */
};

#define STATS_BUCKETS 14

/* In seconds; the bounds are stats.c's. */
struct stats_histogram {
    uint64_t buckets[STATS_BUCKETS]; /* each counts what is in its own range */
    uint64_t count;
    uint64_t sum_us;
};

/* How fast a position moves, by what it was at the last looks, a second apart. */
#define STATS_SPEED_LOOKS 10

struct stats_speed {
    const uint64_t *position; /* 0: it has none yet */
    uint64_t *per_second;
    uint64_t values[STATS_SPEED_LOOKS]; /* rings */
    int64_t at_ms[STATS_SPEED_LOOKS];
    size_t nlooks;
};

struct stats_family;

struct stats {
    const char *path; /* NULL: nothing is written */
    const char *component;
    int64_t next_ms;
    bool failed; /* the file could not be written, and that was logged */
    bool ready;
    bool waits;                /* set by update(): there is something to do that is not done */
    void (*update)(void *ctx); /* NULL, or sets gauges before they are written */
    void *ctx;
    struct stats_family *first, *last;
    uint64_t *errors[ERR_KINDS];
    uint64_t *failures, *progress_time; /* Unix time, seconds */
    int64_t steady_ms;                  /* since when it is ready and nothing waits */
    char failure[ERR_TEXT_SIZE];        /* the error of the last failure since progress; "": none */
    uint64_t *per_second;               /* the rate of `rated`, or NULL */
    const uint64_t *rated;
    uint64_t rated_before;
    int64_t rated_ms;
    struct stats_speed speed; /* .position NULL: none */
};

/* `path` and `component` (the program's name) are borrowed. Reads what the previous process left,
 * and writes the file for the first time. */
void stats_init(struct stats *s, const char *path, const char *component);

/*
 * The same name is always registered with the same type and help. `labels` as in the text, without
 * the braces, or NULL; copied; the same twice is one metric. Never NULL: if memory runs out, the
 * value is stored nowhere.
 */
uint64_t *stats_register(struct stats *s, enum stats_type type, const char *name,
                         const char *labels, const char *help);

struct stats_histogram *stats_register_histogram(struct stats *s, const char *name,
                                                 const char *help);
void stats_observe(struct stats_histogram *h, int64_t duration_us);

/* A gauge that stats_write() sets to how fast `counter` grows. */
void stats_register_rate(struct stats *s, const char *name, const char *help,
                         const uint64_t *counter);

/* A gauge that stats_write() sets to how fast the position has grown in the last ten seconds. It
 * restarts when the position goes back. */
void stats_register_speed(struct stats *s, const char *name, const char *help,
                          const uint64_t *position);
void stats_measure_speed(struct stats_speed *v, int64_t now_ms);

/* Appends name="value" with the value escaped, and a comma in front of a second one. */
void stats_label(struct buf *labels, const char *name, const char *value);

/* An error that the program survived. */
void stats_error(struct stats *s, enum err_kind kind);

/* Work was completed that a restart need not repeat. */
void stats_progress(struct stats *s);

/* The program does its work from now on. */
void stats_ready(struct stats *s);

/* Writes the file when a second has gone by since the last time. A failure is logged once and is
 * not an error. */
void stats_tick(struct stats *s, int64_t now_ms);

/* Writes it now. */
void stats_write(struct stats *s);

/* The last time: with the exit status and the reason. Frees everything. */
void stats_end(struct stats *s, const struct err *err);

/* For a program that fails before it has statistics of its own. */
void stats_never_began(const char *path, const char *component, const struct err *err);

#endif
