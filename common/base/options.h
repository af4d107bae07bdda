/*
 * options.h - command line and environment, from one table per program.
 *
 * A flag takes precedence over its environment variable, and that over the default. An empty
 * environment variable counts as unset. --help and --version print to stdout and ask the caller to
 * exit with 0. Every mistake is a permanent error that names the flag or the variable and what is
 * allowed.
 */
#ifndef PG2ANY_OPTIONS_H
#define PG2ANY_OPTIONS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"
#include "base/option_def.h"

#define OPTION_LIST_MAX 32

struct option_list {
    size_t n;
    const char *items[OPTION_LIST_MAX];
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
    const char *examples;             /* whole lines, for the end of --help; NULL: none */
    const struct option_def *options; /* ended by name == NULL */
    int *first_operand;               /* NULL: operands are a mistake */
};

/* The columns of --list-options. */
#define OPTIONS_NOTHING "-"

enum options_result { OPTIONS_ERROR = -1, OPTIONS_RUN, OPTIONS_LEAVE };

/*
 * Fills `target`, and `stage` unless it is NULL: then the program is no stage and does not know a
 * stage's options. If a program takes operands, they may precede or follow options; argv is
 * reordered, and *first_operand is where the operands then begin. A filter has none: it reads
 * stdin. --log-level, --log-format, --help and --version are understood for every program and are
 * not in its table.
 *
 * So is --list-options, which --help does not list. For shell completion it prints a line for each
 * option, separated by tabs: the option, the name of its value ("FILE", "FIFO..." if it may be
 * repeated), the possible words (separated by commas), and its purpose. OPTIONS_NOTHING stands for
 * none.
 */
MUST_CHECK enum options_result options_parse(const struct program *program, int argc, char **argv,
                                             void *target, struct stage_options *stage,
                                             struct err *err);

#endif
