/*
 * option_def.h - one option of a program: a row of the table with which options.h reads the command
 * line and the environment.
 */
#ifndef PG2ANY_OPTION_DEF_H
#define PG2ANY_OPTION_DEF_H

#include <stddef.h>
#include <stdint.h>

enum option_type {
    OPTION_FLAG,     /* bool; in the environment: true, on, 1, yes or false, off, 0, no */
    OPTION_STRING,   /* const char *, borrowed from argv or the environment */
    OPTION_LIST,     /* struct option_list; the flag may be repeated; the environment holds one */
    OPTION_UINT,     /* uint64_t within [min, max] */
    OPTION_SIZE,     /* uint64_t bytes within [min, max]; suffixes kB, MB, GB (1024), as in
                        postgresql.conf; B */
    OPTION_ROWS,     /* struct option_rows; a bare number of at least 1, or a size as above */
    OPTION_DURATION, /* uint64_t milliseconds within [min, max]; suffixes ms, s, min; without one:
                        seconds */
    OPTION_CHOICE,   /* int: index into choices */
};

struct option_rows {
    uint64_t rows, bytes; /* one of them is 0 */
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

#endif
