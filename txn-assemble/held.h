/*
 * held.h - streamed and prepared transactions that are not finished, by xid.
 *
 * What one holds: its frames (txn_store.h), the subtransactions that were rolled back, the versions
 * of relations that its latest changes were made with, and the gid once it is being prepared.
 * Freeing one frees all that. The list of rolled back subtransactions, 4 bytes each, is counted in
 * the pool's memory but never spilled.
 */
#ifndef PG2ANY_TXN_ASSEMBLE_HELD_H
#define PG2ANY_TXN_ASSEMBLE_HELD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"
#include "base/hash.h"
#include "frames/frame.h"
#include "frames/relmap.h"
#include "txn_store.h"

/* A description that came within a transaction, or that it took over. */
struct held_version {
    struct relation *rel; /* the last that was read from the same Relation message */
    uint64_t order;       /* of that message among all that came; 0: not known yet */
    uint64_t order_then;  /* what it is if the message came from the server just now */
};

struct held {
    uint32_t xid;
    bool prepared; /* P or p has come */
    char *gid;     /* not zero-terminated; NULL before b or p */
    size_t gid_size;
    uint64_t prepare_lsn;
    struct txn_store store;
    struct relmap relations;       /* the last of each relation */
    struct held_version *versions; /* one for each different Relation message */
    size_t nversions, versions_cap;
    uint32_t *aborted; /* subxids, sorted by held_sort_aborted() */
    size_t naborted, aborted_cap;
    UT_hash_handle hh;
};

/* All of them. Zeroed but for the pool, which is borrowed: none. */
struct held_set {
    struct store_pool *pool;
    struct held *by_xid;
    uint64_t n;
    uint64_t nprepared;
};

struct held *held_find(const struct held_set *set, uint32_t xid);

/* A new, empty one; its xid must not be there yet. */
MUST_CHECK int held_add(struct held_set *set, uint32_t xid, struct held **held, struct err *err);
void held_drop(struct held_set *set, struct held *t);
void held_drop_all(struct held_set *set);

MUST_CHECK int held_set_gid(struct held *t, struct bytes gid, struct err *err);
bool held_has_gid(const struct held *t, struct bytes gid);
void held_set_prepared(struct held_set *set, struct held *t);

/* Copies whole frames to the end of what it holds. */
MUST_CHECK int held_append(struct held_set *set, struct held *t, const void *frame, size_t length,
                           struct err *err);

/* Puts a description away, which replaces an earlier one of the same message. `sent`: it came in
 * the block that is open; otherwise the server had sent it before. */
MUST_CHECK int held_add_version(struct held *t, struct relation *rel, uint64_t order, bool sent,
                                struct err *err);

/* The version of the same Relation message; NULL: none. */
struct relation *held_same_message(const struct held *t, const struct relation *rel);

/*
 * A block of the transaction has ended. `described`: it had nothing but relations, which pg-capture
 * described once more; otherwise the server has sent those that came in it.
 */
void held_block_ended(struct held *t, bool described);

MUST_CHECK int held_add_aborted(struct held_set *set, struct held *t, uint32_t subxid,
                                struct err *err);
void held_sort_aborted(struct held *t);
bool held_is_aborted(const struct held *t, uint32_t xid); /* after held_sort_aborted() */

#endif
