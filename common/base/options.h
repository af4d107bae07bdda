/*
 * options.h - command line and environment, from one table per program.
 *
 * A flag wins over its environment variable, that over the default. An empty environment variable
 * counts as unset. --help and --version print to stdout and ask the caller to leave with 0. Every
 * mistake is a permanent error that names the flag or the variable and what is allowed.
 */
#ifndef PG2ANY_OPTIONS_H
#define PG2ANY_OPTIONS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"

enum option_type {
    OPTION_FLAG,     /* bool; in the environment: true, on, 1, yes or false, off, 0, no */
    OPTION_STRING,   /* const char *, borrowed from argv or the environment */
    OPTION_LIST,     /* struct option_list; the flag may be repeated; the environment holds one */
    OPTION_UINT,     /* uint64_t within [min, max] */
    OPTION_SIZE,     /* uint64_t bytes within [min, max]; suffixes kB, MB, GB (1024), as in
                        postgresql.conf; B */
    OPTION_DURATION, /* uint64_t milliseconds within [min, max]; suffixes ms, s, min; without one:
                        seconds */
    OPTION_CHOICE,   /* int: index into choices */
};

#define OPTION_LIST_MAX 32

struct option_list {
    size_t n;
    const char *items[OPTION_LIST_MAX];
};

struct option_def {
    const char *name; /* without the dashes */
    enum option_type type;
    size_t offset;        /* of the field in the caller's struct */
    const char *env;      /* NULL: none */
    const char *fallback; /* the default, as text; NULL: the field stays as it is */
    const char *metavar;  /* "FILE"; NULL for flags */
    const char *help;     /* one line; a newline continues it */
    uint64_t min, max;
    const char *const
        *choices; /* ended by NULL; "a=b" accepts the word b as an alias of a's place */
};

/* What every stage of a pipeline understands, whatever its table says. */
struct stage_options {
    const char *stats;  /* --stats FILE; NULL: none. Known after an error, too */
    uint64_t notify_fd; /* --notify-fd N (notify.h) */
};

struct program {
    const char *name;
    const char *synopsis;             /* after the name, in --help's first line */
    const char *purpose;              /* one or two sentences */
    const struct option_def *options; /* ended by name == NULL */
};

enum options_result { OPTIONS_ERROR = -1, OPTIONS_RUN, OPTIONS_LEAVE };

/*
 * Fills `target`, and `stage` unless it is NULL: then the program is no stage and does not know its
 * options. No operand is allowed: a filter reads stdin. --log-level, --log-format, --help and
 * --version are understood for every program and are not in its table.
 */
MUST_CHECK enum options_result options_parse(const struct program *program, int argc, char **argv,
                                             void *target, struct stage_options *stage,
                                             struct err *err);

#endif
