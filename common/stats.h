/*
 * stats.h - counters and gauges of one program, written as Prometheus text to a file once a second.
 *
 * A metric is registered once, before the loop, and then is an ordinary uint64_t that the program
 * changes. The text format: Prometheus documentation, "Exposition formats".
 */
#ifndef PG2ANY_STATS_H
#define PG2ANY_STATS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "err.h"

#define STATS_MAX         64
#define STATS_INTERVAL_MS 1000

enum stats_type { STATS_COUNTER, STATS_GAUGE };

struct stats_metric {
    const char *name;
    const char *labels; /* "type=\"insert\"" or NULL; borrowed */
    const char *help;
    enum stats_type type;
    uint64_t value;
};

struct stats {
    const char *path; /* NULL: nothing is written */
    int64_t next_ms;
    bool failed; /* the file could not be written, and that was logged */
    size_t n;
    struct stats_metric metrics[STATS_MAX];
};

void stats_init(struct stats *s, const char *path);

/* Metrics with the same name must be registered one after the other, with the same help and type.
 */
uint64_t *stats_register(struct stats *s, enum stats_type type, const char *name,
                         const char *labels, const char *help);

/* Writes the file when a second has gone by since the last time. A failure is logged once and is
 * not an error. */
void stats_tick(struct stats *s, int64_t now_ms);

/* Writes it now: before leaving. */
void stats_write(struct stats *s);

#endif
