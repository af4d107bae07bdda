/*
 * inspect_copy.h - what --check says about copying tables: whether this user and this server allow
 * it, and which tables of the database are left out.
 */
#ifndef PG2ANY_INSPECT_COPY_H
#define PG2ANY_INSPECT_COPY_H

#include "base/err.h"
#include "base/report.h"
#include "upstream.h"

/* `publications`: text of an array of names. It fails only if it cannot find out. */
MUST_CHECK int inspect_copy(struct upstream *u, const char *publications, struct report *r,
                            struct err *err);

#endif
