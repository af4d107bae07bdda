/*
 * signals.h - SIGTERM, SIGINT and SIGHUP as a descriptor for poll(2).
 *
 * The first of them asks the program to stop in good order; after it both have their default action
 * again, so that a second one ends the process at once. SIGHUP asks it to look again at what it has
 * found before; it has an effect only in a program that has taken it over. SIGPIPE is ignored:
 * writers get EPIPE.
 */
#ifndef PG2ANY_SIGNALS_H
#define PG2ANY_SIGNALS_H

#include <stdbool.h>

#include "base/err.h"

struct signals {
    int fd; /* poll for POLLIN */
    bool stop;
    bool look_again; /* for its user to set back */
};

MUST_CHECK int signals_init(struct signals *s, struct err *err);

/* Also takes over SIGHUP, which otherwise ends the process. Call it after init. */
MUST_CHECK int signals_take_hup(struct signals *s, struct err *err);

/* Takes what is waiting, without blocking; returns s->stop. */
bool signals_stop(struct signals *s);

void signals_close(struct signals *s);

#endif
