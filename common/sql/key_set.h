/*
 * key_set.h - the identities of the rows of a slice whose rows are a set: no two may concern the
 * same one, as it was or as it becomes.
 */
#ifndef PG2ANY_KEY_SET_H
#define PG2ANY_KEY_SET_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "sql/driver.h"
#include "sql/identity.h"

#define KEY_SET_SLOTS 4096 /* a power of two; a run has up to 1000 rows with two keys each */

struct key_set {
    size_t n;
    uint64_t slots[KEY_SET_SLOTS]; /* hashes; 0: free. Two keys with one hash only end a slice */
};

void key_set_clear(struct key_set *set);

/* Adds the keys that a row has and gets; false, and nothing is added: one of them is there, or
 * there is no room. */
bool key_set_add(struct key_set *set, const struct identity *id, const struct row_change *row);

#endif
