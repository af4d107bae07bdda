/*
 * exit.h - the exit statuses that every program of pg2any shares, and the one place that prints an
 * error.
 */
#ifndef PG2ANY_EXIT_H
#define PG2ANY_EXIT_H

#include "base/err.h"

enum {
    STATUS_OK = 0,          /* asked to stop, or the input ended on purpose */
    STATUS_DIFFERENT = 1,   /* of a comparison: what was compared is not equal */
    STATUS_PERMANENT = 100, /* stop and tell someone */
    STATUS_TEMPORARY = 111, /* start again */
};

/* The exit status that goes with a kind of error. */
int status_of(enum err_kind kind);

/* Logs the error at level error (nothing for ERR_NONE) and returns its exit status. An error that
 * only follows from another program's error is logged at level info: one cause, one line at level
 * error. */
int exit_status(const struct err *err);

#endif
