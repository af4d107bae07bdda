/*
 * copy_key.h - the key in whose order a table is copied in chunks. It identifies rows at the
 * targets and has an index at the source.
 *
 * A position is text without a newline: what the key is (attnum, type and collation of each
 * column), and the values as COPY writes them. It passes through frames, targets and
 * acknowledgement FIFOs, and comes back when the copy continues. A position of another key is
 * invalid: the key of that copy no longer exists.
 */
#ifndef PG2ANY_COPY_KEY_H
#define PG2ANY_COPY_KEY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/err.h"
#include "frames/mp_cursor.h"
#include "frames/relation.h"
#include "session.h"

#define COPY_KEY_MAX 32 /* columns of an index: INDEX_MAX_KEYS */

struct copy_key {
    uint32_t n; /* 0: there is none */
    struct {
        char *name, *cast; /* SQL as it stands */
        uint32_t column;   /* of the relation */
    } columns[COPY_KEY_MAX];
    char *sign;
};

/*
 * What asks for the key of a relation, whose oid is $1; and what is made of the answer. No key: the
 * table has none, or PostgreSQL could not read it in order by the key's index, or not all of it is
 * published.
 */
extern const char copy_key_sql[];
#define COPY_KEY_FIELDS 5
MUST_CHECK int copy_key_take(struct copy_key *k, const PGresult *rows, const struct relation *rel,
                             struct err *err);
void copy_key_free(struct copy_key *k);

/* Appends the names of the columns, with commas between them. */
void copy_key_names(const struct copy_key *k, struct buf *sql);

/* Whether a position is of that key. */
bool copy_key_has(const struct copy_key *k, const char *position);

/* Appends the values of such a position, with commas between them. */
void copy_key_values(const struct copy_key *k, PGconn *conn, const char *position, struct buf *sql);

/*
 * Reads a key that a target asks for a row by (sql/row_key.h): the values of the columns, as COPY
 * writes text, in the order of this key; false: it is another key.
 */
bool copy_key_of_row(const struct copy_key *k, const struct relation *rel, const char *line,
                     size_t size, struct bytes values[COPY_KEY_MAX]);

/* Appends those values, with commas between them. */
void copy_key_row_values(const struct copy_key *k, PGconn *conn, const struct bytes *values,
                         struct buf *sql);

/* Appends the position of a row, of COPY … TO STDOUT, that has the relation's columns. */
void copy_key_position(const struct copy_key *k, const char *row, size_t size, struct buf *out);

#endif
