/*
 * relmap.h - relations by relid: one version of each, such as the latest that is known, or the last
 * that was passed on.
 *
 * A map has references (relation.h), so several maps share a version. Memory grows with the number
 * of relations, not of changes.
 */
#ifndef PG2ANY_RELMAP_H
#define PG2ANY_RELMAP_H

#include <stdint.h>

#include "base/err.h"
#include "frames/relation.h"

struct buf;
struct frame;
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

/*
 * One reference to what an R frame describes: the version in the map where that is it, so that it
 * is not read again, else read from the frame. The map stays as it is.
 */
MUST_CHECK int relmap_read(struct relmap *map, const struct frame *f, struct relation **rel,
                           struct err *err);

/* Takes the version of a relid away, if there is one. */
void relmap_drop(struct relmap *map, uint32_t relid);

/* A number of the caller's own that goes with the version of a relid, 0 at first; NULL: there is
 * none. It stays where the version is replaced. */
uint64_t *relmap_mark(struct relmap *map, uint32_t relid);

/* Appends the R frame of each, in the order in which their relids came. */
void relmap_put_frames(const struct relmap *map, struct buf *out);

void relmap_clear(struct relmap *map);

#endif
