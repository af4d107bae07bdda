/*
 * report.h - what --check and --status print for people, on stdout or, where that carries frames,
 * on stderr.
 *
 *   ok    what is as it has to be
 *   note  what works, and is worth knowing
 *   FAIL  what will not work
 *         mend: the statement that mends it
 *         runs: a statement that a start would run
 */
#ifndef PG2ANY_REPORT_H
#define PG2ANY_REPORT_H

#include "base/err.h"

struct report {
    int fd;
    unsigned failures; /* FAIL lines so far */
};

void report_ok(struct report *r, const char *fmt, ...) PRINTF_LIKE(2, 3);
void report_note(struct report *r, const char *fmt, ...) PRINTF_LIKE(2, 3);
void report_fail(struct report *r, const char *fmt, ...) PRINTF_LIKE(2, 3);

/* After a FAIL or a note: what to do. */
void report_mend(struct report *r, const char *fmt, ...) PRINTF_LIKE(2, 3);

/* After a note: what a start would run. */
void report_run(struct report *r, const char *fmt, ...) PRINTF_LIKE(2, 3);

/* A FAIL with an error's text; the error is cleared. */
void report_err(struct report *r, struct err *err, const char *what);

/* "name  value", the names in one column. */
void report_value(struct report *r, const char *name, const char *fmt, ...) PRINTF_LIKE(3, 4);

#endif
