/*
 * relmap.h - R frames by relid: the latest that is known, or the last that was emitted.
 *
 * An R frame is kept as it came, in a counted block that several maps share, because one version of
 * a relation stands in the global cache, in the overlays of open transactions and in the record of
 * what downstream has. Memory grows with the number of relations, not of changes.
 */
#ifndef PG2ANY_TXN_ASSEMBLE_RELMAP_H
#define PG2ANY_TXN_ASSEMBLE_RELMAP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"
#include "frames/frame.h"

/* One version of a relation: the whole R frame, header included. */
struct relversion {
    uint32_t refs;
    uint32_t relid;
    size_t length;
    uint8_t bytes[];
};

/*
 * Copies a frame, which is decoded in full to check it: a malformed one is a permanent error. The
 * caller gets the first reference.
 */
MUST_CHECK int relversion_new(const struct frame *f, struct relversion **version, struct err *err);
void relversion_release(struct relversion *version); /* NULL is allowed */
bool relversion_equal(const struct relversion *a, const struct relversion *b);

/* Whether both are of the same Relation message (relation.h): what the catalog said may differ. */
MUST_CHECK int relversion_same_message(const struct relversion *a, const struct relversion *b,
                                       bool *same, struct err *err);

struct relmap_entry;

/* A zeroed struct is an empty map. */
struct relmap {
    struct relmap_entry *entries;
    struct relmap_entry *last; /* found or set most recently; runs of changes hit one relation */
};

/* The version for a relid, borrowed until it is replaced; NULL: none. */
struct relversion *relmap_get(struct relmap *map, uint32_t relid);

/* Makes `version` the relation's, and takes a reference of its own. */
MUST_CHECK int relmap_set(struct relmap *map, struct relversion *version, struct err *err);

/* Sets all that `from` has in `to`. */
MUST_CHECK int relmap_promote(struct relmap *to, const struct relmap *from, struct err *err);

void relmap_clear(struct relmap *map);

#endif
