/*
 * relmap.h - relations by relid: the latest version that is known, or the last that was emitted.
 *
 * Several maps share a version, because it stands in the global cache, in the overlays of open
 * transactions and in the record of what downstream has. Memory grows with the number of relations,
 * not of changes.
 */
#ifndef PG2ANY_TXN_ASSEMBLE_RELMAP_H
#define PG2ANY_TXN_ASSEMBLE_RELMAP_H

#include <stdint.h>

#include "base/err.h"
#include "frames/relation.h"

struct relmap_entry;

/* A zeroed struct is an empty map. */
struct relmap {
    struct relmap_entry *entries;
    struct relmap_entry *last; /* found or set most recently; runs of changes hit one relation */
};

/* The version for a relid, borrowed until it is replaced; NULL: none. */
struct relation *relmap_get(struct relmap *map, uint32_t relid);

/* Makes `version` the one of its relid, and takes a reference of its own. */
MUST_CHECK int relmap_set(struct relmap *map, struct relation *version, struct err *err);

/* Sets all that `from` has in `to`. */
MUST_CHECK int relmap_promote(struct relmap *to, const struct relmap *from, struct err *err);

void relmap_clear(struct relmap *map);

#endif
