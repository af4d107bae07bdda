/*
 * history.h - the last hour of a few values, in memory: what the page's curves show.
 *
 * A sample every ten seconds, of the values that were seen in them. Nothing is kept over a restart.
 */
#ifndef PG2ANY_HISTORY_H
#define PG2ANY_HISTORY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"

#define HISTORY_SAMPLES 360
#define HISTORY_STEP_MS 10000

/* The clock of all series of a pipeline. A zeroed struct has no sample yet. */
struct history {
    size_t nsamples; /* ever; the last HISTORY_SAMPLES are kept */
    int64_t due_ms;  /* when the next is taken; monotonic, 0: at once */
};

/* A zeroed struct is empty. */
struct series {
    float values[HISTORY_SAMPLES]; /* a ring; NAN: not known */
    float most;                    /* of what was seen since the last sample */
    bool seen;
};

/* A value of this moment; the largest of each ten seconds is kept. NAN: it is not known now. */
void series_see(struct series *s, double value);

/* How many samples are due: mostly 0 or 1; more where nobody asked for long. They are to be taken
 * of each series, and then counted by history_took(). */
size_t history_due(const struct history *h, int64_t now_ms);
void series_take(struct series *s, const struct history *h, size_t due);
void history_took(struct history *h, size_t due, int64_t now_ms);

/* Appends the samples as a member of a JSON object: an array, the oldest first, null where a value
 * is not known. */
void series_put_json(struct buf *out, const char *key, const struct series *s,
                     const struct history *h);

#endif
