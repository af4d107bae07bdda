/*
 * assemble.h - the state machine of txn-assemble: any mixture of ordinary, streamed and prepared
 * transactions goes in, whole committed transactions come out, in commit order.
 *
 * Frames in, frames out: it knows no descriptors but those of spill files (txn_store.h). What goes
 * in is what pg-capture writes: the messages of pgoutput in the order in which PostgreSQL sends
 * them (documentation: "Logical Streaming Replication Protocol", "Logical Replication Message
 * Formats"). What comes out has only H, R, B, I, U, D, T, C, O, M, k and Z, and a K whose PREPARE
 * did not come.
 *
 * An ordinary transaction passes through frame by frame as it comes, and is checked meanwhile.
 * Whether it is whole is known at its C; downstream drops one that an H, a Z or the end of input
 * cuts off.
 *
 * The changes of a streamed transaction (S … E blocks) and of a prepared one (b … P) are held until
 * its stream commit or commit prepared, then written out as B … C. Changes of subtransactions that
 * were rolled back are left out then. A transaction of which nothing is left comes out as B C: the
 * LSN counts. In a stream block pgoutput gives a logical message the top-level xid, whichever
 * subtransaction wrote it: one of a rolled back subtransaction cannot be told from others, and
 * stays.
 *
 * An R goes out immediately before the first change that uses it, and only where downstream has
 * another version or none. So an R never comes from a transaction that is not committed. Held
 * transactions carry the versions that their changes were made with, in order with them. What they
 * learned becomes common knowledge at stream commit and stream prepare, as in the server.
 *
 * An H forgets every held transaction and all relations.
 *
 * Each transaction's commit_lsn is at or after the end_lsn of the one before it and the last
 * k, or downstream would skip it. A k that says less than is known already is dropped.
 *
 * Errors: anything out of order is permanent and names the frame's xid and LSN; after an error
 * nothing more may be fed. Spilling can fail temporarily. Time: constant per frame, but a commit of
 * a held transaction writes all of it, through the sink.
 */
#ifndef PG2ANY_TXN_ASSEMBLE_ASSEMBLE_H
#define PG2ANY_TXN_ASSEMBLE_ASSEMBLE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/err.h"
#include "frames/frame.h"
#include "txn_store.h"

/* Where the frames go. */
struct assemble_sink {
    struct buf *out;
    /* While a held transaction is written out: called when `out` has `drain_bytes`; makes it
     * shorter. */
    size_t drain_bytes;
    int (*drain)(void *arg, struct err *err);
    void *arg;
};

struct assemble_counters {
    uint64_t transactions;    /* committed, of all kinds */
    uint64_t replayed;        /* of these, held before */
    uint64_t aborted;         /* held transactions given up: rolled back, or forgotten at an H */
    uint64_t subaborts;       /* subtransactions rolled back in streamed transactions */
    uint64_t changes;         /* I, U, D and T written */
    uint64_t changes_dropped; /* of rolled back subtransactions */
    uint64_t open;            /* held now: streamed and prepared */
    uint64_t open_prepared;   /* of these, prepared */
};

struct assembler;

/* `pool` and what `sink` points to are borrowed. NULL: no memory. */
struct assembler *assembler_new(struct store_pool *pool, const struct assemble_sink *sink);
void assembler_free(struct assembler *a); /* NULL is allowed */

/* Takes the next frame. It is valid only during the call. */
MUST_CHECK int assembler_frame(struct assembler *a, const struct frame *f, struct err *err);

/* Z has passed. */
bool assembler_ended(const struct assembler *a);

/* Writes the Z of a stop on purpose; held and unfinished transactions are left out. Nothing before
 * H. */
void assembler_stop(struct assembler *a, const char *why);

struct assemble_counters assembler_counters(const struct assembler *a);

#endif
