/*
 * exposition.h - several statistics files as one Prometheus text.
 *
 * The format wants all samples of a metric together, under one HELP and TYPE, so the files are
 * merged. Each sample gets a label `stage`, the file's name without ".prom". (Prometheus
 * documentation, "Exposition formats".)
 */
#ifndef PG2ANY_EXPOSITION_H
#define PG2ANY_EXPOSITION_H

#include "base/buf.h"
#include "base/err.h"
#include "base/stats_file.h"

struct family;

/* A zeroed struct is empty. */
struct exposition {
    const char *pipeline;    /* the value of a label `pipeline` of what is added now; NULL: none */
    struct family *families; /* by name, in the order they came */
    bool failed;             /* there was no memory for all of it */
};

/*
 * Adds what a file says. Of a stage whose process is gone the connections count as closed and the
 * rates as 0; the rest stays as it was last known. Lines that are no metric are left out.
 */
void exposition_add(struct exposition *e, const char *stage, const struct stats_file *f);

/* Adds one sample of our own; `stage` NULL: without that label. */
void exposition_gauge(struct exposition *e, const char *name, const char *help, const char *stage,
                      double value);

/* Appends the text; `out` has failed where that is not all. */
void exposition_write(const struct exposition *e, struct buf *out);

void exposition_free(struct exposition *e);

#endif
