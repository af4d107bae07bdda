/*
 * mssql_driver.h - the driver for SQL Server: what its files share. The contract is driver.h's.
 *
 * One session. Each group is one transaction, with the checkpoint in it; schema changes are
 * transactional in SQL Server and are part of it. Under XACT_ABORT an error ends the transaction,
 * so what must not end it is not tried: a row that may exist is inserted only where it does not
 * (`--conflict apply|skip`), and counts, not errors, say that a row is missing. Every statement
 * that changes rows asks whether the transaction is still there before it does.
 *
 * A table's name is "[schema].[table]", or "[database].[schema].[table]" where --schema-map says
 * so, each in brackets with those in it doubled: unambiguous, and SQL as it stands.
 */
#ifndef PG2ANY_MSSQL_DRIVER_H
#define PG2ANY_MSSQL_DRIVER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <sybdb.h>

#include "base/buf.h"
#include "mssql_type.h"
#include "sql/driver.h"
#include "sql/reconnect.h"
#include "sql/table.h"
#include "sql/target_uri.h"
#include "sql/text.h"

extern const struct driver_ops mssql_driver_ops;

enum mssql_encrypt {
    MSSQL_ENCRYPT_NO,     /* the password is encrypted all the same, where the server can */
    MSSQL_ENCRYPT_YES,    /* anyone may be at the other end */
    MSSQL_ENCRYPT_VERIFY, /* the certificate is one of the CA's and names the host */
};

#define MSSQL_DEFAULT_PORT 1433

/*
 * --dest: sqlserver://user:password@host:port/database?encrypt=verify&ca=FILE&instance=NAME; the
 * scheme may be mssql too. Without encrypt the connection is encrypted, as it is with Microsoft's
 * own drivers, and the server verified where a CA is given.
 */
struct mssql_uri {
    struct target_uri base;
    char *ca;          /* file; NULL: the system's CAs */
    char *instance;    /* its port is asked of the SQL Server Browser; NULL: the port is known */
    bool foreign_keys; /* those of the target may change other rows */
    bool triggers;     /* those of the target may fire */
    enum mssql_encrypt encrypt;
};

MUST_CHECK int mssql_uri_parse(struct mssql_uri *u, const char *uri, struct err *err);
void mssql_uri_free(struct mssql_uri *u);

/* The first errors of a statement: the server's and db-lib's own. */
struct mssql_complaints {
    int number, state; /* 0: none */
    char message[600];
    int library; /* 0: none */
    char library_message[600];
    bool timed_out;
};

struct driver {
    struct driver_config config; /* its uri is read, and not kept */
    struct mssql_uri uri;
    struct value_policy policy;
    bool have_tables; /* of ours */
    bool locks;       /* looking at the checkpoint does */
    DBPROCESS *db;    /* NULL: not connected */
    bool connected_once;
    struct reconnect reconnect;
    int query_s; /* how long a statement may take */
    struct mssql_complaints complaints;
    char version[64];          /* of the server, "16.0.4105.2" */
    enum mssql_rows rows;      /* how rows are sent */
    bool folds_names;          /* the database's collation takes 'a' for 'A' */
    bool autonumber_open;      /* IDENTITY_INSERT may be ON for some table */
    struct buf values, around; /* rows on their way; literals with their statement around them */
};

/* Where the transaction is gone, nothing must be written outside it. */
#define IN_TRANSACTION "IF @@TRANCOUNT = 1 "

/* ---- mssql_session.c ---- */

/* Connects, sets up the session, asks what the server can. Where there was a session before, a
 * database that cannot be opened is one that its server has not recovered yet. */
MUST_CHECK int mssql_connect(struct driver *d, struct err *err);
void mssql_disconnect(struct driver *d);
bool mssql_is_lost(const struct driver *d);

/* Runs a batch without parameters. */
MUST_CHECK int mssql_run(struct driver *d, const char *sql, struct err *err);
/* The same for one made of pieces, which is used up; and one that may take as long as changing a
 * table does. */
MUST_CHECK int mssql_run_buf(struct driver *d, struct buf *sql, struct err *err);
MUST_CHECK int mssql_run_patiently(struct driver *d, struct buf *sql, struct err *err);

/* The rows of a query, all of them, each value as text (numbers too) or bytes. */
struct mssql_result {
    size_t nrows, ncolumns;
    char **values; /* nrows * ncolumns; ended by a zero that `sizes` do not count; NULL for NULL */
    size_t *sizes;
};

/* For mssql_result_free(), also after an error; the second one uses the query up. */
MUST_CHECK int mssql_ask(struct driver *d, const char *sql, struct mssql_result *rows,
                         struct err *err);
MUST_CHECK int mssql_ask_buf(struct driver *d, struct buf *sql, struct mssql_result *rows,
                             struct err *err);
/* "" and -1 for NULL. */
const char *mssql_result_text(const struct mssql_result *r, size_t row, size_t column);
int64_t mssql_result_number(const struct mssql_result *r, size_t row, size_t column);
void mssql_result_free(struct mssql_result *r);

/* The connection stands at a row. */
typedef int mssql_row_fn(void *ctx, DBPROCESS *db, struct err *err);

/* Calls `fn` for each row of a query as it comes, and ends with its first error. */
MUST_CHECK int mssql_each_row(struct driver *d, const char *sql, mssql_row_fn *fn, void *ctx,
                              struct err *err);

/* Whether a query, which is used up, has rows. */
MUST_CHECK int mssql_finds(struct driver *d, struct buf *sql, bool *found, struct err *err);

/*
 * Runs a statement by sp_executesql with the parameter @j, nvarchar(max), where `json` is not NULL,
 * and the output parameter @n, int, which is -1 before and comes back in *n.
 */
MUST_CHECK int mssql_call(struct driver *d, const struct buf *statement, const struct buf *json,
                          int64_t *n, struct err *err);

/* ---- mssql_error.c ---- */

/* The database cannot be opened: a mistake, or a server that has just started and is not through
 * with its recovery. */
#define MSSQL_CANNOT_OPEN_DATABASE 4060

/* A unique index or constraint refused a row. */
bool mssql_error_is_duplicate(int number);

/* Copies a message of the server without the values of rows that some of them quote. */
void mssql_error_scrub(const char *message, char *out, size_t size);

/* Sets `err` to "<what>: <message> (error N, state M)" with what the user can do; returns -1. */
int mssql_error_set(struct err *err, int number, int state, const char *message, const char *what);

/* ---- names and literals ---- */

#define MSSQL_NAME_SIZE 520 /* bytes of 128 characters, and more than that */

/* Appends an identifier in brackets. */
void mssql_quote(struct buf *out, const char *name);
/* Appends a national string literal. */
void mssql_literal(struct buf *out, const char *text);

/* The names of a table; `database` is empty where it is the URI's. */
struct mssql_names {
    char database[MSSQL_NAME_SIZE], schema[MSSQL_NAME_SIZE], table[MSSQL_NAME_SIZE];
};
void mssql_split(const char *table, struct mssql_names *names);

/* Appends a piece of SQL about a table. In it "sys." is that of the table's database; @id stands
 * for the number that the table has there, @name and @schema for its name and its schema's, as
 * text. */
void mssql_append_about(struct buf *out, const char *table, const char *sql);

/* Before a statement about what refers to a table: for all but the owner of the database (and whom
 * he lets) it is one without an answer, because they do not see all that does, and an error is what
 * they get of sys.sql_expression_dependencies, wherever it stands in a statement (its page,
 * "Permissions"). */
#define WHERE_ALL_IS_SEEN                                                                          \
    "IF HAS_PERMS_BY_NAME(N'sys.sql_expression_dependencies', N'OBJECT', N'SELECT') = 1 AND "      \
    "HAS_PERMS_BY_NAME(DB_NAME(), N'DATABASE', N'VIEW DEFINITION') = 1 "

/* ---- the operations ---- */

/* mssql_schema.c */
driver_name_fn mssql_table_name;
driver_describe_fn mssql_describe;
driver_change_fn mssql_change;

/* mssql_execute.c */
driver_execute_fn mssql_execute;
driver_truncate_fn mssql_truncate;

/* mssql_read.c */
driver_stores_fn mssql_stores;
driver_read_fn mssql_read;

/* mssql_check.c */
driver_check_fn mssql_check;

/* ---- mssql_statement.c ---- */

/* A statement over rows that are sent with it. */
struct mssql_statement {
    struct statement base;
    const struct target_table *table;
    enum mssql_rows rows;
    bool autonumber;  /* it turns IDENTITY_INSERT ON, and OFF again */
    uint32_t *sent;   /* which columns of the relation each row has */
    uint32_t nset, n; /* those that are written, and with the identity after them */
    struct buf text;
    size_t rows_at; /* where literals go into it */
};

#define MSSQL_INSERT_MISSING                                                                       \
    'M' /* of an INSERT: it leaves out what a unique index would refuse                            \
         */

statement_make_fn mssql_statement_make;
void mssql_statement_free(struct statement *s);

#endif
