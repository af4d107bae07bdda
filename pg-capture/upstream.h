/*
 * upstream.h - the source: from a connection string to the running stream of one slot.
 *
 * It has two connections, one for the stream and an ordinary one for the catalog, and checks the
 * requirements on the server, the publications and the slot. The waiter waits (session.h); this
 * module knows neither who that is nor what uses the stream. While the stream runs, `replication`
 * and `decoder` are used directly.
 *
 * An error is permanent if a restart does not help.
 */
#ifndef PG2ANY_UPSTREAM_H
#define PG2ANY_UPSTREAM_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/err.h"
#include "base/table_names.h"
#include "capture_options.h"
#include "catalog.h"
#include "frames/frame.h"
#include "pgoutput.h"
#include "position.h"
#include "replication.h"
#include "session.h"
#include "wal_budget.h"

/* Written by upstream.c only. Must not be moved: the catalog points into it. */
struct upstream {
    const struct capture_options *options; /* borrowed */
    const struct waiter *waiter;           /* borrowed */
    struct source source;
    char *publication_text; /* what the names point into */
    size_t npublications;
    const char *publications[FRAME_MAX_PUBLICATIONS];

    struct table_names copy_tables;

    /* Told of each relation before it is described in the stream. */
    struct {
        int (*fn)(void *ctx, const struct relation *rel, struct err *err);
        void *ctx;
    } meet;

    struct replication replication;
    struct catalog catalog;
    struct pgoutput *decoder; /* one for each connection; NULL before the first */
    struct replication_start parameters;

    char slot_copy[64];             /* the name of the slot's copy, where that is read */
    bool begun;                     /* a stream has run: the slot was there, and is looked for */
    char system_identifier[32];     /* of the first connection */
    uint64_t wal_sender_timeout_ms; /* the server's; 0: none */
    uint64_t until_lsn; /* what --until-lsn stands for; 0: nothing, or not known before a stream */
    struct slot slot;   /* as it was last looked at */
    struct wal_budget wal_budget;
    bool slot_created;
    uint64_t start_lsn; /* the slot's confirmed_flush_lsn, where the stream begins */
    int former_pid;     /* of the server process that streamed to this one last; 0: none */
};

/*
 * Checks what can be checked without a server: names, LSNs, the connection string. `u` is zeroed;
 * upstream_free() also after an error.
 */
MUST_CHECK int upstream_init(struct upstream *u, const struct capture_options *o,
                             const struct waiter *waiter, struct err *err);

/*
 * Connects, checks, creates the slot the first time, starts the stream. `position` says what the
 * targets have, and what was confirmed to the slot, on earlier connections.
 */
MUST_CHECK int upstream_start(struct upstream *u, const struct position *position, struct err *err);

/* Whether the table is to be copied if a target does not have it. */
bool upstream_copies(struct upstream *u, const char *namespace, const char *name);

/* Has the server, no standby, write out the WAL that it has, within wal_writer_delay: a transaction
 * that does nothing but have an xid ends, and the WAL writer wakes for it. Otherwise what no commit
 * is behind (pages that a reader has pruned) may wait for 15 s on an idle server, and nothing says
 * that the stream has passed it. */
MUST_CHECK int upstream_flush(struct upstream *u, struct err *err);

/* What can be decoded of all that is committed now. May wait for the WAL writer. */
MUST_CHECK int upstream_current_lsn(struct upstream *u, uint64_t *lsn, struct err *err);

/* Looks at the slot, and warns if it is about to be lost or has used half of its budget. */
MUST_CHECK int upstream_look_at_slot(struct upstream *u, struct err *err);

/* How much WAL a slot may keep; 0: no limit is known. */
static inline uint64_t upstream_wal_budget(const struct upstream *u, const struct slot *slot)
{
    return wal_budget_of(slot->max_wal_bytes, u->options->wal_budget_bytes);
}

/* Appends the hello of a stream from `start_lsn` on; connected, the parameters are chosen. */
void upstream_put_hello(const struct upstream *u, uint64_t start_lsn, bool slot_created,
                        struct buf *out);

/* Closes both connections; upstream_start() opens them again. */
void upstream_close(struct upstream *u);
void upstream_free(struct upstream *u);

/* ---- the steps of upstream_start(), for who only wants to know ---- */

/* Opens the connection for the stream. */
MUST_CHECK int upstream_connect(struct upstream *u, struct err *err);

/* What to ask the server for, by its version and the options; set also where there is an error. */
MUST_CHECK int upstream_choose_parameters(struct upstream *u, struct err *err);

/* In binary mode: whether all columns have a form that can be converted. */
MUST_CHECK int upstream_check_binary(struct upstream *u, struct err *err);

/* Error if the slot belongs to something else, or can no longer be used. */
MUST_CHECK int upstream_check_slot(const struct upstream *u, const struct slot *slot,
                                   struct err *err);

#endif
