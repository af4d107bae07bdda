/*
 * health.h - what the statistics files say together: whether the pipeline works, and what is
 * served.
 *
 * It works while every stage is alive and connected, and either nothing waits to be applied or the
 * target moves. What waits: the position that pg-capture has put out (covered) is beyond what an
 * applier has made durable, or an applier holds transactions. Moves: its durable position was
 * another within the stall limit; the applier itself remembers that across restarts. A stage that
 * has failed more than once without progress does not work, even while it runs (stats_file.h).
 */
#ifndef PG2ANY_HEALTH_H
#define PG2ANY_HEALTH_H

#include <stdbool.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/err.h"
#include "base/options.h"

#define HEALTH_MAX_STAGES OPTION_LIST_MAX

struct watched {
    const char *path; /* of the statistics file; borrowed */
    char name[64];    /* of the stage: the file's without ".prom" */
    double lsn;       /* an applier's durable position */
    int64_t moved_ms; /* when it was seen to change, or nothing waited; monotonic */
};

struct health {
    struct watched stages[HEALTH_MAX_STAGES];
    size_t nstages;
    int64_t stall_ms;
    int64_t made_ms; /* when what follows was made; monotonic, 0: never */
    bool healthy, ready;
    struct buf metrics;      /* Prometheus text; it has failed where there was no memory for it */
    char why[ERR_TEXT_SIZE]; /* not healthy, for that reason */
    char why_not_ready[ERR_TEXT_SIZE];
};

void health_init(struct health *h, const struct option_list *files, int64_t stall_ms);

/* Reads the files again, unless that was just now. */
void health_look(struct health *h, int64_t now_ms);

void health_free(struct health *h);

#endif
