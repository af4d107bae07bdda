/*
 * relation_proof.h - what a description of a relation proves, beside the one that the target
 * remembers. Pure.
 *
 * A Relation message has the names and types of the columns at its place in the WAL. The catalog
 * describes a later moment, and changes in between can be misleading: a column was dropped and
 * another created under its name, or two columns exchanged names. Three facts of PostgreSQL decide.
 * An attnum is never reused. Columns are sent in the order of their attnums. Nobody can change the
 * columns of a table while a transaction that has written to it is open, so every such change was
 * made before or after the whole transaction. (A publication can be changed meanwhile.)
 *
 * So the question is not which attribute has the name now, but which attributes the table can have
 * had then. If only one set of them has as many columns as the message, that is the proof. Names
 * are evidence only for attributes whose rows in the catalog are older than the message. Otherwise
 * the answer is unknown.
 */
#ifndef PG2ANY_RELATION_PROOF_H
#define PG2ANY_RELATION_PROOF_H

#include <stdbool.h>

#include "base/err.h"
#include "frames/relation.h"

/*
 * `*proven`: the relation with what is proven only; one reference is the caller's. A column's
 * attnum is that of the column or 0, `fill` holds for every row that was there before or is
 * unknown, the primary key is known only where its columns are, and `attributes` ends with the last
 * attribute that may have been there at that time. `was`: what the target remembers, itself proven;
 * NULL: nothing. A description without `attributes` stays as it is, but for the fill.
 */
MUST_CHECK int relation_prove(const struct relation *was, struct relation *is,
                              struct relation **proven, struct err *err);

/* Whether it is known which attributes its columns are, of a table that is in the catalog. */
bool relation_is_proven(const struct relation *rel);

/*
 * Why rows at the target may differ from the source's by now although the stream has no change of
 * them: the table was temporarily out of the publication, or its rows were rewritten. NULL: no
 * known reason. Both arguments are proven.
 */
const char *relation_doubt(const struct relation *was, const struct relation *is);

#endif
