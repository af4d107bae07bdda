/*
 * undescribed.h - Relation messages of streamed and prepared transactions, whose relations are
 * described again after the commit.
 *
 * The catalog shows the committed state of a table. What a transaction in progress has changed (a
 * new table, a new column) can be looked up only after its commit, so its messages are kept until
 * then. Of several equal messages only the last is kept, in its place.
 */
#ifndef PG2ANY_PG_CAPTURE_UNDESCRIBED_H
#define PG2ANY_PG_CAPTURE_UNDESCRIBED_H

#include <stddef.h>
#include <stdint.h>

#include "base/err.h"

struct undescribed_message {
    uint32_t xid; /* of the top-level transaction */
    uint32_t relid;
    size_t size;
    uint8_t *data; /* the message behind its xid */
};

/* Zeroed: none. */
struct undescribed {
    size_t n, cap;
    struct undescribed_message *messages;
};

/* Keeps a copy behind all others, in place of an equal one. */
MUST_CHECK int undescribed_add(struct undescribed *u, uint32_t xid, uint32_t relid,
                               const void *data, size_t size, struct err *err);

/* The first message of a transaction from `*at` on, which is moved behind it; NULL: none. */
const struct undescribed_message *undescribed_next(const struct undescribed *u, uint32_t xid,
                                                   size_t *at);

/* The transaction has ended. */
void undescribed_drop(struct undescribed *u, uint32_t xid);
void undescribed_free(struct undescribed *u);

#endif
