/*
 * position.h - how far everything is, and what may therefore be confirmed to the slot.
 *
 * Pure: no I/O, no clock, no log. The caller reports events in their order, and asks what follows.
 * Only memory for a prepared transaction can fail.
 *
 * The LSNs, in the order in which one follows the other: received (what the server has sent),
 * emitted (the end of what is on its way to the targets), acknowledged (what every target that gets
 * the stream has made durable), confirmed (what the slot is told, the "flush" of a standby status
 * update, which the server keeps as confirmed_flush_lsn). A commit's LSN is its end_lsn, of a
 * PREPARE and its outcome likewise. A keepalive's is the server's WAL end, how far it has decoded;
 * it goes to the targets as a progress frame behind everything that was received before, so that
 * its acknowledgement says that they have all of that.
 *
 * What holds after every call, and over any number of connections:
 *
 *  - confirmed_lsn never goes back.
 *  - It is never beyond what every target has acknowledged, those that are apart (acks.h) among
 *    them, nor beyond emitted_lsn: a target may hold more than this process has seen.
 *  - It never moves beyond a PREPARE whose outcome is not durable at every target (prepared.h).
 *  - It never moves to an LSN before start_lsn: that is the slot's already.
 *  - A keepalive's WAL end becomes emitted_lsn only as a progress frame's, and that is due only
 *    where no transaction is half sent. A new connection forgets what was due: what was half sent
 *    on the lost one is gone, and after a failover the server may never have been there.
 *  - Without targets that acknowledge it stays 0.
 *
 * PostgreSQL documentation, "Streaming Replication Protocol" and "pg_replication_slots".
 */
#ifndef PG2ANY_POSITION_H
#define PG2ANY_POSITION_H

#include <stdbool.h>
#include <stdint.h>

#include "base/err.h"
#include "frames/mp_cursor.h"
#include "prepared.h"

/* To be read; written by position.c only. 0 is no LSN. */
struct position {
    bool acks; /* targets acknowledge */
    struct prepared prepared;

    uint64_t start_lsn; /* the slot's confirmed_flush_lsn when this connection began */
    uint64_t received_lsn;
    uint64_t server_lsn;    /* the end of the server's WAL, as far as it has told */
    uint64_t passed_lsn;    /* whatever was committed before it has come on this connection */
    uint64_t emitted_lsn;   /* never goes back */
    uint64_t committed_lsn; /* the last whole transaction's end, among what was emitted */
    uint64_t covered_lsn; /* the last that a target acknowledges by itself: a commit's, a progress',
                             or the start's */
    uint64_t ack_limit_lsn; /* an acknowledgement beyond it is nonsense */
    uint64_t acknowledged_lsn;
    uint64_t apart_lsn; /* what every target has that is apart; UINT64_MAX: there is none */
    uint64_t confirmed_lsn;

    uint64_t progress_lsn; /* of the last keepalive: due where it is beyond covered_lsn */
    uint64_t until_lsn;    /* where to end; 0: nowhere */
    uint64_t reached_lsn;  /* the first end there or beyond; 0: not yet */
};

/* `acks`: whether there are targets that acknowledge. */
void position_init(struct position *p, bool acks);
void position_free(struct position *p);

/* ---- what happened ---- */

/* A connection is being opened; the one before, if there was one, has gone. */
void position_connect(struct position *p);

/*
 * The stream begins, and the hello is out: at `start_lsn`, the slot's confirmed_flush_lsn, of a
 * server whose WAL ended at `wal_lsn`, up to which a target may have what it acknowledges. What
 * `until_lsn` is must not change from one connection to the next.
 */
void position_stream(struct position *p, uint64_t start_lsn, uint64_t wal_lsn, uint64_t until_lsn);

/* There is an end to reach after all. */
void position_until(struct position *p, uint64_t until_lsn);

/* The end that was reached does not count: there is a later one, which position_until() will set.
 * */
void position_go_on(struct position *p);

/* The server's WAL reaches at least there. */
static inline void position_server(struct position *p, uint64_t end_lsn)
{
    if (end_lsn > p->server_lsn)
        p->server_lsn = end_lsn;
}

/* Any message came: `lsn` of its data, 0 for a keepalive, and the server's WAL end. */
static inline void position_receive(struct position *p, uint64_t lsn, uint64_t end_lsn)
{
    if (lsn > p->received_lsn)
        p->received_lsn = lsn;
    if (end_lsn > p->received_lsn)
        p->received_lsn = end_lsn;
    position_server(p, end_lsn);
}

/* A keepalive came. `outside`: no transaction and no stream block is half sent. */
void position_keepalive(struct position *p, uint64_t end_lsn, bool outside);

/* The frame of a Commit or Stream Commit is out. */
void position_commit(struct position *p, uint64_t end_lsn);

/* Of a Prepare or Stream Prepare. */
MUST_CHECK int position_prepare(struct position *p, struct bytes gid, uint64_t prepare_lsn,
                                uint64_t end_lsn, struct err *err);

/* Of a Commit Prepared or Rollback Prepared. */
void position_decide(struct position *p, struct bytes gid, uint64_t end_lsn, bool committed);

/* A progress frame with position_progress() is out. */
void position_progress_out(struct position *p, uint64_t lsn);

/* `lsn` is what every target has that is apart: it counts from the next acknowledgement on. */
void position_apart(struct position *p, uint64_t lsn);

/* `lsn` is what every target has now that gets the stream; 0: one of them has not spoken. True
 * where there is more to confirm than before. */
bool position_acknowledge(struct position *p, uint64_t lsn);

/* ---- what follows ---- */

/* What a progress frame that goes out now has to say; 0: none is due. */
uint64_t position_progress(const struct position *p, bool outside);

/* The same where until_lsn has been reached and nothing more will be received: the end itself. */
uint64_t position_last_progress(const struct position *p);

/* Every target has everything up to `lsn`, or there is none that would say so. */
bool position_durable(const struct position *p, uint64_t lsn);

/* There is an end to reach, and it is not reached. */
bool position_asks(const struct position *p);

/* The server waits for `end_lsn` to be confirmed, all that could be is, and a prepared transaction
 * or a target that is apart forbids the rest. */
bool position_held_back(const struct position *p, uint64_t end_lsn);

/* The slot is at a place that was never confirmed: somebody else moved it or created it again. */
bool position_is_foreign(const struct position *p, uint64_t confirmed_flush_lsn);

/* The slot needs nothing before this LSN any more, as far as is known. */
uint64_t position_done(const struct position *p);

/* From there to the end of the server's WAL, in bytes; 0 where neither is known. */
uint64_t position_lag(const struct position *p);

/* What a standby status update may say. */
struct standby_status {
    uint64_t write_lsn;
    uint64_t flush_lsn; /* 0: nothing; never beyond write_lsn */
};

/* What is confirmed counts as received from then on: the server that is told so may not have sent
 * it on this connection. */
struct standby_status position_status(struct position *p);

#endif
