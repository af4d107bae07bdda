/*
 * snapshot.h - which transactions a snapshot of the source sees, by its text: "10:20:10,14", as
 * PostgreSQL writes a pg_snapshot (documentation, "Transaction ID and Snapshot Information
 * Functions").
 *
 * All before xmin have ended; none from xmax on; between the two those that are not listed. The
 * numbers have 64 bits there. A stream's xids are the lower 32, and near them, so they are compared
 * in a circle. Only top-level transactions are in it.
 */
#ifndef PG2ANY_SNAPSHOT_H
#define PG2ANY_SNAPSHOT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"

struct snapshot {
    uint32_t xmin, xmax;
    size_t n;
    uint32_t *running; /* of those between the two */
};

/* Permanent error where the text is none; snapshot_free() also then. */
MUST_CHECK int snapshot_parse(struct snapshot *s, const char *text, size_t size, struct err *err);
void snapshot_free(struct snapshot *s);

/* Whether a top-level transaction that has committed is seen to have. */
bool snapshot_sees(const struct snapshot *s, uint32_t xid);

#endif
