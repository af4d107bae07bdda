/*
 * last_compare.h - the result of the last complete comparison of a target with the source, in a
 * file beside the statistics of its applier: "compare-2.prom" beside "apply-2.prom".
 *
 * The file has the form of statistics (stats.h), of a program that has stopped, and metric names
 * pg2any_compare_*.
 */
#ifndef PG2ANY_LAST_COMPARE_H
#define PG2ANY_LAST_COMPARE_H

#include <stdbool.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/err.h"
#include "base/stats_file.h"

enum compare_verdict {
    COMPARE_EQUAL,
    COMPARE_DIFFERENT,
    COMPARE_UNDECIDED,    /* some of its keys change all the time; the others are equal */
    COMPARE_NOT_COMPARED, /* as not everything can be, or because it is left out */
    COMPARE_VERDICTS,
};

/* "equal", "different", "undecided", "not compared". */
extern const char *const compare_words[COMPARE_VERDICTS];

struct last_compare {
    uint64_t ended_s; /* Unix time; 0: there was none */
    uint64_t seconds; /* that it took */
    uint64_t tables[COMPARE_VERDICTS];
    uint64_t differ; /* keys */
    uint64_t rows;   /* of the source, that were looked at */
};

/* Writes it; `component`: the program. Readers see the one before, or this one. */
MUST_CHECK int last_compare_write(const char *path, const char *component,
                                  const struct last_compare *c, struct err *err);

/* Where the statistics of an applier are in `stats`; empty where they have another name than an
 * applier's in a state directory. */
#define LAST_COMPARE_PATH 1024
void last_compare_path(const char *stats, char out[LAST_COMPARE_PATH]);

void last_compare_read(const struct stats_file *f, struct last_compare *c);

/* "12 tables equal"; "1 of 12 tables differs; keys found to differ: 5; 2 not compared". */
#define LAST_COMPARE_WORDS 160
void last_compare_words(const struct last_compare *c, char out[LAST_COMPARE_WORDS]);

/* Appends it as a member "last_compare" of a JSON object (pg2any(1) has the names); null: there was
 * none. */
void last_compare_put_json(struct buf *out, const struct last_compare *c);

#endif
