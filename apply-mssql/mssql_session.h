/*
 * mssql_session.h - one connection to SQL Server through FreeTDS's db-lib: logging in, running
 * statements, and telling truly what became of them.
 *
 * db-lib's return codes are not believed: a statement has failed when the server sent an error
 * (severity above 10), when the library reported one, or when the connection is dead afterwards.
 * Its handlers, login time and interface file are global to the process, so there is one session
 * at a time. What a function returns in `err` is permanent, temporary or "repeat the group", as
 * mssql_error.h says; a lost connection is to be repeated.
 */
#ifndef PG2ANY_MSSQL_SESSION_H
#define PG2ANY_MSSQL_SESSION_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/err.h"
#include "mssql_uri.h"

struct mssql_session;

/* The rows of a query, all of them, each value as text (numbers too) or bytes; "" beside a null. */
struct mssql_result {
    size_t nrows, ncolumns;
    struct mssql_result_value {
        char *data; /* ended by a zero that `size` does not count; NULL: the value is NULL */
        size_t size;
    } * values; /* nrows * ncolumns */
};

/*
 * Blocks up to `connect_ms`; a server that is not there is temporary. `again`: there was a session
 * before, so that a database that cannot be opened is one that its server has not recovered yet.
 */
MUST_CHECK int mssql_session_open(struct mssql_session **session, const struct mssql_uri *uri,
                                  bool again, uint64_t connect_ms, uint64_t query_ms,
                                  struct err *err);
void mssql_session_close(struct mssql_session *s);

/* The connection is gone; nothing but mssql_session_close() makes sense. */
bool mssql_session_dead(const struct mssql_session *s);

/* The number of the server's error that the last statement met; 0: none. */
int mssql_session_error(const struct mssql_session *s);

/* Statements from here on may take so long: the query timeout, or as long as changing a table
 * takes. */
void mssql_session_be_patient(struct mssql_session *s, bool patient);

/* Runs a batch without parameters; `what` names it in messages, NULL: its text does. */
MUST_CHECK int mssql_session_run(struct mssql_session *s, const char *sql, const char *what,
                                 struct err *err);
/* The same for one made of pieces, which is freed. */
MUST_CHECK int mssql_session_run_buf(struct mssql_session *s, struct buf *sql, const char *what,
                                     struct err *err);

/* All rows of a query; `sql` is freed; the result is for mssql_result_free(), also after an error.
 */
MUST_CHECK int mssql_session_query(struct mssql_session *s, struct buf *sql,
                                   struct mssql_result *rows, struct err *err);
const char *mssql_result_text(const struct mssql_result *r, size_t row,
                              size_t column); /* "" for NULL */
int64_t mssql_result_number(const struct mssql_result *r, size_t row,
                            size_t column); /* -1 for NULL */
void mssql_result_free(struct mssql_result *r);

/*
 * Runs a statement by sp_executesql with the parameter @j, nvarchar(max), where `json` is not NULL,
 * and the output parameter @n, int, which is -1 before and comes back in *n.
 */
MUST_CHECK int mssql_session_execute(struct mssql_session *s, const struct buf *statement,
                                     const struct buf *json, int64_t *n, struct err *err);

#endif
