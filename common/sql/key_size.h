/*
 * key_size.h - how long text and bytes may be where the target's indexes have a limit and
 * PostgreSQL's types have none: the share of each column in the index that it is part of.
 */
#ifndef PG2ANY_KEY_SIZE_H
#define PG2ANY_KEY_SIZE_H

#include <stdbool.h>
#include <stdint.h>

#include "frames/relation.h"

/* What one column takes in an index of the target. */
struct key_column {
    bool variable;        /* its length is to be chosen */
    uint32_t fixed_bytes; /* not variable: an upper bound */
    uint32_t unit_bytes;  /* variable: of one unit of its length */
    uint32_t most_units;  /* variable: it never has more; 0: no limit */
};

struct key_rules {
    uint32_t index_bytes;    /* the most that an index takes */
    uint32_t overhead_bytes; /* of a variable column */
    struct key_column (*column)(const struct column *c);
};

/* The length, in units, of a variable column that is part of the primary key or of the index by
 * which rows are found; 0: it is in none, or not variable. */
uint32_t key_length(const struct relation *rel, uint32_t column, const struct key_rules *rules);

/* Whether all columns of the primary key and of that index can hold all that their types can. */
bool key_fits(const struct relation *rel, const struct key_rules *rules);

bool key_has_column(const struct relation *rel, uint32_t column); /* the primary key */

/* Whether rows are found by an index over the columns flagged `key` that is not the primary key. */
bool key_needs_identity_index(const struct relation *rel);

#endif
