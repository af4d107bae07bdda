/*
 * schema.h - keeps a target table in step with its relation: create, add, drop and rename columns,
 * rename the table, or stop with an error that says what to do.
 *
 * pgoutput says nothing when a schema changes; a new Relation message comes with the next row. What
 * the rows that were there before became is in no message at all. So the rules are: compare with
 * what the target remembers of the relation (pg2any_relation), follow what leaves no doubt about
 * the existing rows, stop at everything else.
 */
#ifndef PG2ANY_SCHEMA_H
#define PG2ANY_SCHEMA_H

#include "base/err.h"
#include "frames/relation.h"
#include "sql/dest.h"

enum schema_ddl { SCHEMA_DDL_NONE, SCHEMA_DDL_CREATE, SCHEMA_DDL_EVOLVE };

/*
 * Makes the target fit `rel`, which was read from a frame, as far as `ddl` allows, remembers that
 * frame and opens the table. Between begin and commit.
 */
MUST_CHECK int schema_bind(const struct dest_ops *ops, struct dest *dest, const char *origin,
                           enum schema_ddl ddl, const struct relation *rel,
                           struct dest_table **table, struct err *err);

/* Whether values written as the old type read the same as the new one. Public for its test. */
bool schema_type_kept(const struct column *was, const struct column *is);

#endif
