/*
 * relation_proof.h - what a description of a relation proves, beside the one that the target
 * remembers. Pure.
 *
 * A Relation message has the names and types of the columns at its place in the WAL. What the
 * catalog says beside is of a later moment, and what was done to the table in between may make the
 * one look like the other: a column that was dropped and one that was made under its name, two that
 * have changed names. Three facts of PostgreSQL decide it. An attnum is never used again. Columns
 * are sent in the order of their attnums. And nobody can change the columns of a table while a
 * transaction that has written to it is open, so that what the catalog has forgotten or not had yet
 * was done before or after the whole transaction. (A publication can be changed meanwhile.)
 *
 * So the question is not which attribute has the name now, but which attributes the table can have
 * had then: if only one set of them has as many columns as the message, that is the proof. Names
 * say something only of attributes whose rows in the catalog are older than the message. Otherwise
 * it is unknown.
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
 * Why rows that the target has may differ from the source's by now, though the stream has no change
 * of them: it was out of the publication for a while, or its rows were written anew. NULL: no
 * reason is known. Both are proven.
 */
const char *relation_doubt(const struct relation *was, const struct relation *is);

#endif
