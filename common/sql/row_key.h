/*
 * row_key.h - the key of a row as text on one line, by which the source is asked for the row again:
 * the names and the values of the columns by which it is found at the target, with tabs between,
 *
 *   id	7	part	eu
 *
 * each written as COPY writes text, a bytea as PostgreSQL does in hex.
 */
#ifndef PG2ANY_ROW_KEY_H
#define PG2ANY_ROW_KEY_H

#include <stdbool.h>

#include "base/buf.h"
#include "frames/mp_cursor.h"
#include "sql/identity.h"

/* Appends the line of the row that a change leaves, or takes away, with a newline at its end;
 * false, and nothing: the key is not known, or too long to be told in one piece. */
bool row_key_put(const struct identity *id, const struct relation *rel,
                 const struct row_change *row, struct buf *out);

/* Whether all of those lines are of rows that are found by these columns. */
bool row_keys_are_of(const struct identity *id, const struct relation *rel, struct bytes lines);

#endif
