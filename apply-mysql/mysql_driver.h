/*
 * mysql_driver.h - the driver for MySQL and MariaDB: the pieces that its files share. The contract
 * is driver.h's.
 *
 * Two connections. On `rows` each group is one transaction, READ COMMITTED, with the checkpoint in
 * it. CREATE and ALTER TABLE commit whatever is open, so the look-ups that they need go over
 * `schema`, in autocommit, and each of them over one of its own, because it may take long. Each can
 * be repeated: after a crash between them and the group's commit they are found done.
 *
 * A table's name is "`database`.`table`", each name in backticks with those in it doubled:
 * unambiguous, and SQL as it stands.
 */
#ifndef PG2ANY_MYSQL_DRIVER_H
#define PG2ANY_MYSQL_DRIVER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"
#include "frames/frame.h"
#include "mysql_compat.h"
#include "mysql_type.h"
#include "sql/driver.h"
#include "sql/reconnect.h"
#include "sql/target_uri.h"
#include "sql/text.h"

extern const struct driver_ops my_driver_ops;

#define MY_TOO_MANY_STATEMENTS 1461 /* a number of mysql_error.c */

#define NAME_SIZE 260 /* of 64 characters, and a zero */

/*
 * --dest: mysql://user:password@host:port/database?socket=PATH&tls=verify-ca&ca=FILE&…; the scheme
 * may be mariadb too. What is not given comes from the option files of the client library (groups
 * client and pg2any), then from its defaults.
 */
struct my_uri {
    struct target_uri base;
    char *socket;
    char *ca, *cert, *key; /* files; NULL: not given */
    enum my_tls tls;
    bool create_database; /* make what is missing; the default */
    bool array_binding;   /* use it where the server has it; the default */
    bool foreign_keys;    /* the target's own are checked, and do what they say */
    bool triggers;        /* the target's own may fire */
};

MUST_CHECK int my_uri_parse(struct my_uri *u, const char *uri, struct err *err);
void my_uri_free(struct my_uri *u);

/* The values of a slice, ready to be bound. Kept, so that nothing is allocated for a run. */
struct batch {
    uint32_t columns[2 * FRAME_MAX_COLUMNS]; /* of each parameter: those written, the identity's */
    uint32_t nset, nparams;
    size_t nrows;
    /* Of each value, by parameter and then by row: an array of parameters is there as it stands. */
    union source_scalar *values;
    unsigned long *sizes;
    compat_bool *nulls;
    char (*rooms)[PG_MONEY_SIZE];
    size_t cap;
    MYSQL_BIND *binds;
    size_t binds_cap;
};

struct driver {
    struct driver_config config; /* its uri is read, and not kept */
    struct my_uri uri;
    struct value_policy policy;
    bool have_tables;     /* of ours */
    bool no_database;     /* under look_only: it is missing, and would be made */
    MYSQL *rows, *schema; /* NULL: not connected */
    struct reconnect reconnect;
    bool in_place; /* the session has the name of the origin's applier */

    /* What the server says of itself. */
    char collation[32];     /* binary, no padding */
    bool arrays;            /* it executes a statement for an array of parameters */
    bool folds_table_names; /* lower_case_table_names */
    uint64_t max_packet;    /* bytes */

    /* What goes with the next statement, so that the server is not waited for twice. */
    bool begins;           /* START TRANSACTION, with the look at the checkpoint */
    struct buf checkpoint; /* the statement that writes it, with COMMIT */

    struct batch batch;
    bool duplicate; /* the last statement failed because a unique index has the row */
    /* Columns are declared in what takes least of the row, whose VARCHARs were chosen before. */
    bool row_is_full;
};

/* ---- mysql_session.c ---- */

/* Connects both connections, and asks the server what it can. */
MUST_CHECK int my_connect(struct driver *d, struct err *err);
void my_disconnect(struct driver *d);

/* Sets the error of the connection, or of the statement; returns -1. */
int my_fail(MYSQL *m, const char *what, struct err *err);
int my_statement_fail(MYSQL_STMT *s, const char *what, struct err *err);

/* Runs a statement without parameters and without rows, or several with "; " between them, of which
 * the server does none behind one that fails; the second one uses it up. */
MUST_CHECK int my_run(MYSQL *m, const char *sql, struct err *err);
MUST_CHECK int my_run_buf(MYSQL *m, struct buf *sql, struct err *err);
/* All rows of a query, before which statements may stand, for mysql_free_result(). It is used up.
 */
MUST_CHECK int my_rows(MYSQL *m, struct buf *sql, MYSQL_RES **rows, struct err *err);

/* A warning of the last statement is an error: a value was changed, or something is not as it was
 * taken for. */
MUST_CHECK int my_check_warnings(MYSQL *m, struct err *err);

/* Makes a database of the target, or shows how, where that is allowed. */
MUST_CHECK int my_create_database(struct driver *d, const char *name, struct buf *show,
                                  struct err *err);

/* ---- mysql_error.c ---- */

/* Sets `err` to "what: message (errno, sqlstate)", with a hint where there is one; returns -1. */
int my_error_set(struct err *err, unsigned int number, const char *sqlstate, const char *message,
                 const char *what);

/* A unique index refused a row. */
bool my_error_is_duplicate(unsigned int number);

/* Copies a message of the server without the values in it: Duplicate entry … for key 'PRIMARY'. */
void my_error_scrub(const char *message, char *out, size_t size);

/* ---- names and literals ---- */

/* Appends an identifier in backticks. */
void my_quote(struct buf *out, const char *name);
/* Splits a table's name into its two. */
void my_split_name(const char *name, char database[NAME_SIZE], char table[NAME_SIZE]);
/* Appends text as a literal that no sql_mode and no character set reads otherwise. */
void my_text_literal(struct buf *out, const char *text, size_t size);
/* Appends that a column of information_schema is that name. Comparisons ignore case and accents
 * there; the server finds the row by them, a cast makes sure that it is the one. */
void my_same_name(struct buf *out, const char *column, const char *name);

/* ---- the operations that are not in mysql_driver.c ---- */

extern const struct text_dialect my_dialect;
driver_declare_fn my_declare;
driver_describe_fn my_describe;
driver_change_fn my_change;
/* Opens the session of one change of the schema, for mysql_close(): a change may take an hour, and
 * the library takes a timeout when it connects only. All else has the query timeout, so that a
 * connection that is dead, or a server that hangs, is noticed. */
MUST_CHECK int my_connect_change(const struct driver *d, MYSQL **m, struct err *err);

/* Runs a statement of a schema change, in a session of its own, and uses it up. */
MUST_CHECK int my_run_change(struct driver *d, struct buf *sql, struct err *err);

driver_execute_fn my_execute;
void my_free_statement(struct statement *s);
void my_batch_free(struct batch *b);

driver_stores_fn my_stores;
driver_read_fn my_read;

driver_fit_fn my_fit;
/* What `extra` of information_schema says: the values come from an expression. */
bool my_is_generated(const char *extra);
driver_check_fn my_check;

#endif
