/*
 * stats_file.h - reads what a program wrote with stats.h: its state and its metrics.
 */
#ifndef PG2ANY_STATS_FILE_H
#define PG2ANY_STATS_FILE_H

#include <stdbool.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/err.h"

#define STATS_FILE_MAGIC  "# pg2any"
#define STATS_FILE_FAILED "# failed " /* what begins the second line, where there is one */

enum stats_state { STATS_STARTING, STATS_READY, STATS_STOPPED };

struct stats_file {
    char component[64];
    int pid;
    enum stats_state state;
    int status;                 /* the exit status, where it has stopped */
    bool alive;                 /* it has not stopped, and the process that wrote it is there */
    bool follows;               /* it stopped only because a neighbour had */
    bool missing;               /* it was never started: there is no such file */
    int64_t age_ms;             /* since the file was written */
    char reason[ERR_TEXT_SIZE]; /* why it stopped, "" where it did on purpose or was killed; why the
                                   file could not be read */
    char failed[ERR_TEXT_SIZE]; /* the last error of its own since it made progress, in whichever
                                   process; "": none */
    struct buf text;            /* the whole file, zero-terminated */
};

/*
 * Reads the file at `path`. Free it in any case; stats_file_fault() accepts it in any case.
 * Temporary error if it cannot be read, permanent if it is something else. Whether the process
 * exists is determined on this machine.
 */
MUST_CHECK int stats_file_read(struct stats_file *f, const char *path, struct err *err);
void stats_file_free(struct stats_file *f);

/*
 * What keeps a stage from working, in the words of pg2any status and /health: a permanent error if
 * it has stopped permanently, with its own reason; a temporary one if it is not running, is not
 * connected, or was restarted again and again without progress. 0: nothing.
 */
MUST_CHECK int stats_file_fault(const struct stats_file *f, const char *stage, struct err *err);

/* Selects the most important fault of several stages, which are passed one after the other: a
 * permanent one before others, a stage's own before one that follows a neighbour's. Returns whether
 * it is now `fault`. */
bool stats_file_worst(struct err *worst, const struct err *fault);

/* State of the process: "running", "starting", "not started", "stopped", "failed" (for good),
 * "gone". / */
const char *stats_file_word(const struct stats_file *f);

/* The value of the first metric of that name whose labels contain `label` (NULL: any). */
bool stats_file_value(const struct stats_file *f, const char *name, const char *label,
                      double *value);

/* The value of the first metric of that name; 0 if there is none. */
double stats_file_number(const struct stats_file *f, const char *name);

/* One sample of a metric; the labels as in the text, borrowed from the file. */
struct stats_sample {
    const char *labels;
    size_t labels_len;
    double value;
};

/* The next sample of that name; *at: NULL at first. False: there is none. */
bool stats_file_next(const struct stats_file *f, const char *name, const char **at,
                     struct stats_sample *s);

/* A label's value, cut if it is longer than `out`. False: it has no such label. */
bool stats_sample_label(const struct stats_sample *s, const char *name, char *out, size_t size);

#endif
