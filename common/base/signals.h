/*
 * signals.h - SIGTERM and SIGINT as a descriptor for poll(2).
 *
 * The first of them asks the program to stop in good order; after it both have their default action
 * again, so that a second one ends the process at once. SIGPIPE is ignored: writers get EPIPE.
 */
#ifndef PG2ANY_SIGNALS_H
#define PG2ANY_SIGNALS_H

#include <stdbool.h>

#include "base/err.h"

struct signals {
    int fd; /* poll for POLLIN */
    bool stop;
};

MUST_CHECK int signals_init(struct signals *s, struct err *err);

/* Takes what is waiting, without blocking; returns s->stop. */
bool signals_stop(struct signals *s);

void signals_close(struct signals *s);

#endif
