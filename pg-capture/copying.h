/*
 * copying.h - which tables are copied into the stream, and when.
 *
 * A table that a target does not have is announced (copy due) before any of it is sent, and copied
 * later, between two transactions. Targets leave out its changes until then. So the copy's snapshot
 * must see everything that was sent before it. For what follows, the frames say which transactions
 * it saw.
 *
 * A commit is in the WAL before other sessions see it, long before if it waits for a synchronous
 * standby. So the xids of sent transactions are kept until a snapshot sees them, and the stream is
 * held back until then. It is unknown what an earlier process sent, and what a transaction did to a
 * table before that was published. So the transactions that run when a table is announced, and
 * wrote to it, must end first.
 *
 * The rows have the form that the stream has reached: a table is described, the stream passes
 * everything that was committed by then, and the description is still the same while the table is
 * locked.
 *
 * A table with a key is copied in chunks, each with a snapshot of its own, and the stream goes on
 * between them. The copy continues at the position of the target that is furthest behind; if one
 * has none of the table, it starts at the beginning. A target may request a single snapshot
 * instead, or another copy.
 *
 * A failure between copy begin and copy end ends the connection: the next hello undoes it.
 */
#ifndef PG2ANY_COPYING_H
#define PG2ANY_COPYING_H

#include <stdbool.h>
#include <stdint.h>

#include "acks.h"
#include "base/err.h"
#include "copy_table.h"
#include "upstream.h"

struct copying_table;

struct copying_xids {
    uint32_t *items;
    size_t n, cap;
};

struct copying {
    bool on;                   /* tables are announced, */
    bool elsewhere;            /* but another pg-capture copies them */
    struct upstream *upstream; /* borrowed */
    struct acks *acks;         /* borrowed */
    struct copy_output output;
    struct copy_progress progress;
    struct copy_table reader;
    struct option_rows chunk_size; /* bytes: about, as the source sends them */
    struct copying_table *tables;  /* that were announced on this connection, by relid */
    size_t nleft;                  /* of them: neither copied nor at every target */
    bool joined;                   /* one was announced, or asked for again, since `before` */
    struct copying_xids before;    /* ran then; no snapshot has been found to see them */
    struct copying_xids unseen;    /* were sent; no snapshot has been found to see them */
    int64_t look_ms;               /* not before */
    bool holds;                    /* the stream back */
    int64_t held_ms;               /* since when */
    uint64_t *tables_left;         /* statistics */
};

void copying_free(struct copying *c);

/* A connection has begun and its hello is out: announces the tables of the publications that are to
 * be copied. */
MUST_CHECK int copying_begin(struct copying *c, struct err *err);
void copying_disconnect(struct copying *c);

/* The stream has a table that may be new: announces it. */
MUST_CHECK int copying_meet(struct copying *c, const struct relation *rel, struct err *err);

/* A transaction has been sent. */
MUST_CHECK int copying_sent(struct copying *c, uint32_t xid, struct err *err);

/* Whether there is something to copy, as far as targets have said what they have. */
bool copying_left(struct copying *c);

/* Between two transactions; everything up to `passed_lsn` is sent: does what is due, at most one
 * table or chunk. */
MUST_CHECK int copying_step(struct copying *c, uint64_t passed_lsn, struct err *err);

#endif
