/*
 * status.h - how a pipeline is, as its stages' statistics files say: what pg2any status shows, as
 * text, as JSON and on a screen that is drawn again and again.
 *
 * Speeds and estimates are those of the last ten seconds (stats.h), so one look at the files is
 * enough. Sizes are in bytes, 1 MB is 1024 * 1024 of them, as in postgresql.conf.
 */
#ifndef PG2ANY_STATUS_H
#define PG2ANY_STATUS_H

#include <stdbool.h>
#include <stddef.h>

#include "base/buf.h"
#include "base/err.h"
#include "base/stats_file.h"
#include "plan.h"

struct status_stage {
    const struct stage *stage;
    struct stats_file file;
    struct err fault; /* ERR_NONE: it works */
};

struct status {
    const struct plan *plan;
    struct status_stage stages[PLAN_MAX_STAGES]; /* the plan's, in its order */
};

/* Reads the files; what cannot be read is a stage's fault. To be freed in any case. */
void status_look(struct status *s, const struct plan *plan);
void status_free(struct status *s);

/* The fault that matters, if there is one. */
MUST_CHECK int status_fault(const struct status *s, struct err *err);

/* "running", "starting", "not started", "stopped", "failed" (for good), "gone". */
const char *status_word(const struct status_stage *s);

/* What the stages of each kind have of metrics that are worth a look: the metric, and its name in
 * text and JSON. */
struct status_metric {
    const char *metric, *name;
};
extern const struct status_metric status_metrics[]; /* ended by NULL */

enum lag_kind {
    LAG_UNKNOWN, /* a stage does not run, or is not connected */
    LAG_NONE,
    LAG_STANDS,
    LAG_CATCHES_UP,
    LAG_STEADY,
    LAG_GROWS,
};

struct lag {
    enum lag_kind kind;
    double behind_bytes; /* WAL of the server that the target may not have */
    double seconds;      /* age of the oldest transaction that waits */
    double left_s;       /* to where there is none: with LAG_CATCHES_UP and LAG_STEADY; else -1 */
    double applied_bytes_per_second, server_bytes_per_second;
};

void status_lag(const struct stats_file *capture, const struct stats_file *apply, struct lag *lag);

/* "120 MB behind, catching up: 35 s left". */
#define STATUS_WORDS 128
void status_lag_words(const struct lag *lag, char out[STATUS_WORDS]);

struct status_copy {
    char table[512]; /* "schema.name" */
    double rows, bytes, estimated_rows /* 0: not known */, for_s;
    double left_s; /* -1: not known */
};

/* The next table that is being copied; *at: NULL at first. False: there is none. */
bool status_next_copy(const struct stats_file *capture, const char **at, struct status_copy *copy);

/* Appends everything as a JSON object with `source` and, by target, `checkpoints`: JSON that the
 * sides gave, "" where they gave none. */
void status_put_json(const struct status *s, struct buf *source, struct buf *checkpoints,
                     struct buf *out);

/* Appends lines for a screen that is `width` wide, of which the first says when that was. */
void status_put_screen(const struct status *s, size_t width, struct buf *out);

#endif
