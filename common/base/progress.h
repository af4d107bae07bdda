/*
 * progress.h - the state and progress of a pipeline, from its stages' statistics files: the lag of
 * a target, the copies of tables; the words for them, and their JSON.
 *
 * Speeds and estimates are those of the last ten seconds (stats.h), so one look at the files is
 * enough. Sizes are in bytes, 1 MB is 1024 * 1024 of them, as in postgresql.conf.
 */
#ifndef PG2ANY_PROGRESS_H
#define PG2ANY_PROGRESS_H

#include <stdbool.h>

#include "base/apart.h"
#include "base/buf.h"
#include "base/stats_file.h"

/* The metrics of stages that are shown: the metric, and its name in text and JSON. */
struct stage_metric {
    const char *metric, *name;
};
extern const struct stage_metric stage_metrics[]; /* ended by NULL */

/* Appends the state of a stage, as an object of a JSON array (pg2any(1) has the names). `fault`:
 * what stats_file_fault() said. */
void stage_put_json(struct buf *out, const char *name, const char *program,
                    const struct stats_file *f, const struct err *fault);

/* "120 MB"; "35 s", "2 min". The macros: in a place that lasts to the end of the block. */
#define QUANTITY_TEXT 32
const char *amount_text(char out[QUANTITY_TEXT], double bytes);
const char *duration_text(char out[QUANTITY_TEXT], double s);
#define AMOUNT(bytes) amount_text((char[QUANTITY_TEXT]){0}, (bytes))
#define DURATION(s)   duration_text((char[QUANTITY_TEXT]){0}, (s))

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

void lag_look(const struct stats_file *capture, const struct stats_file *apply, struct lag *lag);

/* "up to date", "catching up", "falling behind", "behind", "standing", "unknown". */
const char *lag_word(const struct lag *lag);

/* "120 MB behind, catching up: 35 s left". */
#define LAG_WORDS 128
void lag_words(const struct lag *lag, char out[LAG_WORDS]);

/* Appends it as members of a JSON object (pg2any(1) has their names). */
void lag_put_json(struct buf *out, const struct stats_file *capture,
                  const struct stats_file *apply);

/* The same of whether it is in the pipeline. */
void apart_put_json(struct buf *out, const struct apart *a, const struct stats_file *capture,
                    const struct stats_file *apply);

struct table_copy {
    char table[512]; /* "schema.name" */
    double rows, bytes, estimated_rows /* 0: not known */, for_s;
    double left_s; /* -1: not known */
};

/* The next table that is being copied; *at: NULL at first. False: there is none. */
bool table_copy_next(const struct stats_file *capture, const char **at, struct table_copy *copy);

/* The same of all of them, and how many there are to come. */
void table_copies_put_json(struct buf *out, const struct stats_file *capture);

#endif
