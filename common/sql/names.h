/*
 * names.h - names of the source that a target does not allow: permanent errors that say so, before
 * the target reports something else.
 */
#ifndef PG2ANY_NAMES_H
#define PG2ANY_NAMES_H

#include "base/err.h"
#include "frames/relation.h"

/* A table's name at the target that begins as the database's own do, in whatever case. `mend`: what
 * helps. */
MUST_CHECK int names_refuse_prefix(const char *table, const char *prefix, const char *mend,
                                   struct err *err);

/* Names of the table and of its columns as MySQL has them: of characters up to U+FFFF, the last one
 * no blank (its manual, "Schema Object Names"). */
MUST_CHECK int names_refuse_characters(const struct relation *rel, struct err *err);

#endif
