/*
 * txn_store.h - the frames of a transaction that is not finished: in memory, and beyond a limit in
 * a file.
 *
 * A store is append-only: frames are put at its end and later read through once, in order. All
 * stores of one pool share one memory limit. When an append goes beyond it, the store that holds
 * most memory writes all it has to its spill file and goes on in memory after that; so a file is
 * always the front of its transaction, the chunks in memory its tail.
 *
 * The file is a sequence of blocks of whole frames (base/spill_file.h). Failures of the disk and
 * damaged blocks are temporary errors: started again, the transaction comes again from the slot.
 * Writing and reading spill files blocks.
 */
#ifndef PG2ANY_TXN_ASSEMBLE_TXN_STORE_H
#define PG2ANY_TXN_ASSEMBLE_TXN_STORE_H

#include <stddef.h>
#include <stdint.h>

#include "base/err.h"
#include "frames/frame.h"

struct store_chunk;

struct txn_store {
    struct store_chunk *first, *last; /* what is in memory, in order */
    uint64_t memory_bytes;            /* allocated for the chunks */
    int fd;                           /* of the spill file; -1: none */
    uint64_t spilled_bytes;           /* size of the spill file */
    struct txn_store *prev, *next;    /* in the pool */
};

struct store_pool {
    const char *spill_dir; /* borrowed */
    uint64_t memory_limit;
    uint64_t memory_bytes;  /* of all stores, and what store_pool_account() added */
    uint64_t spilled_bytes; /* now in files */
    uint64_t spilled_bytes_total;
    struct txn_store *stores;
    struct store_chunk *spare; /* chunks of the standard size for the next append */
    size_t nspare;
};

void store_pool_init(struct store_pool *pool, const char *spill_dir, uint64_t memory_limit);
void store_pool_free(struct store_pool *pool); /* every store must be released before */

/* spill_dir_check() of its directory. */
MUST_CHECK int store_pool_check_dir(const struct store_pool *pool, struct err *err);

/* Counts memory that belongs to a transaction but lies outside its store. */
void store_pool_account(struct store_pool *pool, int64_t bytes);

void txn_store_init(struct txn_store *s, struct store_pool *pool);
void txn_store_release(struct txn_store *s, struct store_pool *pool);

/* Copies a frame to the end; may spill this store or another. */
MUST_CHECK int txn_store_append(struct txn_store *s, struct store_pool *pool, const void *frame,
                                size_t length, struct err *err);

/* Called for each frame, which is valid during the call. An error ends the reading. */
typedef int (*txn_store_visit)(void *arg, const struct frame *f, struct err *err);

/* Reads the store from its beginning. Memory: one block at a time. */
MUST_CHECK int txn_store_replay(struct txn_store *s, const char *spill_dir, txn_store_visit visit,
                                void *arg, struct err *err);

#endif
