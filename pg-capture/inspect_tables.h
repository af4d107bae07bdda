/*
 * inspect_tables.h - what pg-capture --check says about the published tables: what PostgreSQL
 * itself will refuse, and what is not replicated, or in an unexpected way.
 */
#ifndef PG2ANY_INSPECT_TABLES_H
#define PG2ANY_INSPECT_TABLES_H

#include "base/err.h"
#include "base/report.h"
#include "catalog.h"

/* `publications` is an array of text, as SQL has it. Asks the server, and waits for the answers. */
MUST_CHECK int inspect_tables(struct catalog *c, const char *publications, struct report *r,
                              struct err *err);

#endif
