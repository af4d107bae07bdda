/*
 * skip_tables.h - --skip-table: the source's tables whose changes do not go into this target.
 */
#ifndef PG2ANY_SKIP_TABLES_H
#define PG2ANY_SKIP_TABLES_H

#include "base/err.h"
#include "base/options.h"
#include "base/table_names.h"
#include "frames/relation.h"

/* "none" means no table, for a target that has all of them while others do not. Use
 * table_names_free() also after an error, which is permanent: the text does not have that form. */
MUST_CHECK int skip_tables_parse(struct table_names *s, const struct option_list *given,
                                 struct err *err);

/* Adds to a permanent error of a table how to go on without it, and without those that are left out
 * already; returns -1. */
int skip_tables_hint(const struct table_names *s, const struct relation *rel, struct err *err);

#endif
