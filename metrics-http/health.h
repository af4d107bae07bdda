/*
 * health.h - what the statistics files of all pipelines say together: whether they work
 * (pipeline.h), and what is served at /metrics.
 */
#ifndef PG2ANY_HEALTH_H
#define PG2ANY_HEALTH_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/err.h"
#include "base/options.h"
#include "pipeline.h"

struct health {
    struct pipeline *pipelines;
    size_t npipelines;
    int64_t stall_ms;
    int64_t made_ms; /* when what follows was made; monotonic, 0: never */
    bool healthy, ready;
    struct buf metrics;      /* Prometheus text; it has failed where there was no memory for it */
    char well[64];           /* healthy; how many tables are set aside for what was refused */
    char why[PIPELINE_TEXT]; /* not healthy, for that reason */
    char why_not_ready[PIPELINE_TEXT];
};

/* The pipeline of these files, or that of each directory; borrowed. To be freed in any case. */
MUST_CHECK int health_init(struct health *h, const struct option_list *files,
                           const struct option_list *dirs, int64_t stall_ms, struct err *err);

/* Reads the files again, unless that was just now. */
void health_look(struct health *h, int64_t now_ms);

/* Once a second: looks, and goes on with the last hour. */
void health_tick(struct health *h, int64_t now_ms);

void health_free(struct health *h);

#endif
