/*
 * catalog.h - what pgoutput does not say, asked of the system catalogs over an ordinary connection.
 *
 * The connection is opened when it is first needed and again when it was lost. Every call waits
 * with the waiter, for at most the time limit; its end is a temporary error. Sources: PostgreSQL
 * documentation, "System Catalogs" and "System Views".
 */
#ifndef PG2ANY_CATALOG_H
#define PG2ANY_CATALOG_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/err.h"
#include "frames/relation.h"
#include "session.h"

struct catalog {
    struct session session;
    const struct source *source; /* borrowed */
    const struct waiter *waiter; /* borrowed */
    int64_t time_limit_ms;
    bool relation_prepared;
    PGresult *relation; /* what the last relation's strings point into */
    struct buf bytes;   /* and its bytea values */
    uint32_t *pk;       /* and its primary key */
};

void catalog_init(struct catalog *c, const struct source *source, const struct waiter *waiter,
                  int64_t time_limit_ms);
void catalog_close(struct catalog *c);

/* Any query with text parameters; the result is the caller's to PQclear(). */
MUST_CHECK int catalog_query(struct catalog *c, const char *sql, int nparams,
                             const char *const *params, PGresult **result, struct err *err);

/* Permanent error that names the first of the publications that do not exist. */
MUST_CHECK int catalog_check_publications(struct catalog *c, size_t n, const char *const *names,
                                          struct err *err);

/* Permanent error when a column of the publications' tables has no binary form that we can turn. */
MUST_CHECK int catalog_check_binary(struct catalog *c, size_t n, const char *const *names,
                                    struct err *err);

/*
 * Fills in a relation as pgoutput.h asks for it. What it points to stays until the next call. A
 * table that is not in the catalog any more is left unknown, and is no error. Where something is
 * missing that the transaction `ended_xid` may have made, waits until the catalog shows what that
 * did, up to a few seconds.
 */
MUST_CHECK int catalog_relation(struct catalog *c, struct relation *rel, uint32_t ended_xid,
                                struct err *err);

#define SLOT_TEXT_SIZE 128

/* A row of pg_replication_slots. */
struct slot {
    bool exists;
    char plugin[SLOT_TEXT_SIZE];         /* "" for a physical slot */
    char database[SLOT_TEXT_SIZE];       /* "" likewise */
    char wal_status[SLOT_TEXT_SIZE];     /* reserved, extended, unreserved, lost; "" */
    char invalidation[SLOT_TEXT_SIZE];   /* why it cannot be used any more; "" */
    char safe_wal_bytes[SLOT_TEXT_SIZE]; /* "" where it is not limited */
    bool two_phase;
    bool active;
    uint64_t confirmed_flush_lsn;
    uint64_t restart_lsn;
    uint64_t current_lsn; /* the end of the server's WAL when it was asked */
    bool beyond_wal; /* confirmed further than that; never said of a standby, which may replay */
};

MUST_CHECK int catalog_slot(struct catalog *c, const char *name, struct slot *slot,
                            struct err *err);

/* The WAL that the server keeps for the slot, in bytes. */
uint64_t slot_retained_bytes(const struct slot *slot);

/* The server's settings that matter. */
struct server_settings {
    char wal_level[SLOT_TEXT_SIZE];
    bool in_recovery;
    uint64_t wal_block_bytes;
    uint64_t wal_segment_bytes;
    uint64_t wal_sender_timeout_ms; /* 0: none */
    uint64_t wal_writer_delay_ms;
    uint64_t insert_lsn; /* where the next record goes; replayed so far on a standby */
    uint64_t flush_lsn;  /* what can be decoded; likewise */
};

MUST_CHECK int catalog_settings(struct catalog *c, struct server_settings *settings,
                                struct err *err);

/* Appends a text[] in PostgreSQL's input syntax. */
void array_of_text(struct buf *out, size_t n, const char *const *items);

#endif
