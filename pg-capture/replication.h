/*
 * replication.h - the streaming replication protocol over one connection: identify, create the
 * slot, start, receive, report, end.
 *
 * PostgreSQL documentation, "Streaming Replication Protocol" and "Logical Streaming Replication
 * Parameters". Before the stream the functions wait with the waiter; in it none of them blocks.
 */
#ifndef PG2ANY_REPLICATION_H
#define PG2ANY_REPLICATION_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/err.h"
#include "frames/frame.h"
#include "session.h"

struct replication {
    struct session session;
    const struct waiter *waiter; /* borrowed */
    char *message;               /* libpq's, of the last replication_next() */
    bool unsent;                 /* something waits for the socket to become writable */
    bool streaming;
    bool ended; /* the server was told so, and has still to answer */
    char system_identifier[32];
    char database[128];
    uint32_t timeline;
    uint64_t wal_lsn;    /* flushed at the server when it was asked */
    uint32_t ntimelines; /* that `timeline` comes from, oldest first */
    struct frame_timeline timelines[FRAME_MAX_TIMELINES];
};

/* Opens the connection and identifies the server. */
MUST_CHECK int replication_open(struct replication *r, const struct source *source,
                                const struct waiter *waiter, int64_t deadline_ms, struct err *err);
void replication_close(struct replication *r);

/* As server_version_num: 150018. */
uint32_t replication_server_version(const struct replication *r);

/* Waits, without limit, for the transactions that run now. */
MUST_CHECK int replication_create_slot(struct replication *r, const char *slot, bool two_phase,
                                       bool failover, struct err *err);

/* Creates a temporary copy of a slot, even while others use that: it has the same position, and
 * disappears with the connection (pg_copy_logical_replication_slot). Temporary or permanent error.
 * */
MUST_CHECK int replication_copy_slot(struct replication *r, const char *slot, const char *copy,
                                     int64_t deadline_ms, struct err *err);

MUST_CHECK int replication_drop_slot(struct replication *r, const char *slot, int64_t deadline_ms,
                                     struct err *err);

enum streaming { STREAMING_OFF, STREAMING_ON, STREAMING_PARALLEL };

struct replication_start {
    const char *slot;
    size_t npublications;
    const char *const *publications;
    uint32_t protocol_version;
    enum streaming streaming;
    bool binary;
    bool messages;
    bool two_phase;
    bool origin_none;
};

/* What was asked for as "name=value ..." for people. */
void replication_describe(const struct replication_start *start, struct buf *out);

/* START_REPLICATION from the slot's confirmed_flush_lsn on. r->session.sqlstate tells a fault. */
MUST_CHECK int replication_start(struct replication *r, const struct replication_start *start,
                                 int64_t deadline_ms, struct err *err);

struct replication_message {
    bool keepalive;
    uint64_t lsn;     /* of the data; 0 in a keepalive */
    uint64_t end_lsn; /* the server's end of WAL; in a keepalive, how far it has decoded and sent */
    int64_t time_us;  /* the server's clock */
    bool reply_requested;
    const void *data; /* valid until the next call */
    size_t size;
};

/* What libpq has: 1 a message, 0 none is whole, -1 the stream has ended, for the reason in err. */
MUST_CHECK int replication_next(struct replication *r, struct replication_message *m,
                                struct err *err);

/* Reads once from the socket. */
MUST_CHECK int replication_receive(struct replication *r, struct err *err);

/*
 * A standby status update; flush_lsn 0 says nothing and leaves the slot where it is. Does nothing
 * while an earlier one has not left, and when the stream was ended.
 */
MUST_CHECK int replication_report(struct replication *r, uint64_t write_lsn, uint64_t flush_lsn,
                                  bool reply_requested, struct err *err);

/* Sends what waits, when the socket is writable. */
MUST_CHECK int replication_flush(struct replication *r, struct err *err);

/*
 * Ends the stream properly: if this returns 0, the server has received what was reported. Discards
 * what the server still sends.
 */
MUST_CHECK int replication_end(struct replication *r, int64_t deadline_ms, struct err *err);

#endif
