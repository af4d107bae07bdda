/*
 * session.h - one connection to PostgreSQL: opened, asked and closed without ever blocking in
 * libpq.
 *
 * All waiting is done by the caller's `waiter`, which does its other work meanwhile. SQLSTATE
 * decides whether a fault is temporary or permanent, also when connecting, where libpq gives the
 * code only in the message.
 *
 * Every session has the same settings, so that values look the same whatever the server's
 * configuration, the role, the database and a pooler set; a session that does not keep them is
 * refused. No password is ever part of a message.
 */
#ifndef PG2ANY_SESSION_H
#define PG2ANY_SESSION_H

#include <stdbool.h>
#include <stdint.h>

#include <libpq-fe.h>

#include "base/err.h"

/*
 * Waits until `fd` is ready for one of `events` (poll(2)'s). -1: it never was, for the reason in
 * err; a temporary error when `deadline_ms` (of monotonic_ms()) has passed.
 */
struct waiter {
    int (*wait)(void *ctx, int fd, short events, int64_t deadline_ms, struct err *err);
    void *ctx;
};

#define NO_DEADLINE INT64_MAX

/* poll(2)'s timeout from `now_ms` to a deadline; it may end early where that is far off. */
int poll_timeout(int64_t now_ms, int64_t deadline_ms);

/* Where to connect to: a parsed connection string. */
struct source {
    PQconninfoOption *options;
};

MUST_CHECK int source_parse(struct source *s, const char *conninfo, struct err *err);
void source_free(struct source *s);

enum session_kind { SESSION_REPLICATION, SESSION_CATALOG };

struct session {
    PGconn *conn; /* NULL: closed */
    enum session_kind kind;
    char sqlstate[6]; /* of the last failure; "" where the server gave none */
    bool skipping;    /* the server warned that it leaves out what a publication would have sent */
};

/* `beside`: an open session, to whose host, address and port this one goes; NULL, or closed: to
 * whichever of the source's hosts takes it. */
MUST_CHECK int session_open(struct session *s, enum session_kind kind, const struct source *source,
                            const struct session *beside, const struct waiter *waiter,
                            int64_t deadline_ms, struct err *err);
void session_close(struct session *s);

/*
 * Sends a query with text parameters (none on a replication connection) and waits for its last
 * result, or for the first that begins a COPY. `result` is the caller's to PQclear(), also where
 * the result has no rows. An error from the server is an error here.
 */
MUST_CHECK int session_query(struct session *s, const char *sql, int nparams,
                             const char *const *params, const struct waiter *waiter,
                             int64_t deadline_ms, PGresult **result, struct err *err);

/* As session_query with the statement of that name, which it prepares first where `*prepared` is
 * false. */
MUST_CHECK int session_query_prepared(struct session *s, const char *name, const char *sql,
                                      bool *prepared, int nparams, const char *const *params,
                                      const struct waiter *waiter, int64_t deadline_ms,
                                      PGresult **result, struct err *err);

/* The rest of the answer to what was sent; an error from the server is an error here. */
MUST_CHECK int session_result(struct session *s, const struct waiter *waiter, int64_t deadline_ms,
                              PGresult **result, struct err *err);

/* The error that a result carries, sorted by its SQLSTATE. */
int session_result_error(struct session *s, const PGresult *result, struct err *err);

/* The error that the connection is in: temporary. */
int session_lost(struct session *s, struct err *err);

/* What a query asks for. */
struct shape {
    int columns;
    int rows; /* ANY_ROWS, or so many */
};
#define ANY_ROWS (-1)

/* Temporary error if a result has another shape: answers meant for another session, or from
 * something that is no PostgreSQL server, are not read. */
MUST_CHECK int session_check_shape(const PGresult *result, struct shape shape, struct err *err);

/* A field, which the result has, as text; "" where it is NULL. */
const char *field(const PGresult *result, int row, int column);

/* One of an unsigned number and of a boolean; 0 and false where it is NULL. */
uint32_t field_number(const PGresult *result, int row, int column);
bool field_truth(const PGresult *result, int row, int column);

#endif
