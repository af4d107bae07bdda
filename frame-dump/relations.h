/*
 * relations.h - the relations that a stream has described so far, by relid: the last R frame of
 * each counts.
 *
 * An R inside a stream block belongs to that transaction alone until it commits; for looking at
 * frames, stream order is near enough, because a table cannot change its shape under another
 * transaction's writes. Memory grows with the number of tables.
 */
#ifndef PG2ANY_RELATIONS_H
#define PG2ANY_RELATIONS_H

#include <stdint.h>

#include "base/err.h"
#include "frames/relation.h"

struct relations_entry;

/* Zeroed: empty. */
struct relations {
    struct relations_entry *by_relid;
};

/* NULL where no R was seen. Borrowed until that relid's next relations_put(). */
const struct relation *relations_get(const struct relations *r, uint32_t relid);

/* Takes `rel`, also when it fails. */
MUST_CHECK int relations_put(struct relations *r, struct relation *rel, struct err *err);

void relations_free(struct relations *r);

#endif
