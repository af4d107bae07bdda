/*
 * mysql_dest.h - the driver for MySQL and MariaDB: the pieces that its files share. The contract is
 * dest.h's.
 *
 * Two connections. On `rows` each group is one transaction, READ COMMITTED, with the checkpoint in
 * it. CREATE and ALTER TABLE commit whatever is open, so they and the look-ups that they need go
 * over `schema`, in autocommit, and each of them can be repeated: after a crash between them and
 * the group's commit they are found done. A table that the open transaction has changed is locked
 * against ALTER; see dest.h on ddl_commits for why that is rare.
 *
 * A target is "`database`.`table`", each name in backticks with those in it doubled: unambiguous,
 * and SQL as it stands.
 */
#ifndef PG2ANY_MYSQL_DEST_H
#define PG2ANY_MYSQL_DEST_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"
#include "mysql_compat.h"
#include "mysql_type.h"
#include "mysql_uri.h"
#include "sql/dest.h"
#include "sql/identity.h"
#include "sql/reconnect.h"

extern const struct dest_ops mysql_dest_ops;

#define RELATION_TABLE "pg2any_relation"
#define NAME_SIZE      260 /* of 64 characters, and a zero */

struct dest {
    struct mysql_uri uri;
    const struct schema_map *schema_map;
    struct value_policy policy;
    uint64_t connect_timeout_ms, query_timeout_ms;
    bool look_only;
    bool have_tables;     /* of ours */
    bool no_database;     /* under look_only: it is missing, and would be made */
    MYSQL *rows, *schema; /* NULL: not connected */
    struct reconnect reconnect;

    /* What the server says of itself. */
    const char *collation;  /* binary, no padding */
    bool arrays;            /* it executes a statement for an array of parameters */
    bool folds_table_names; /* lower_case_table_names */
    uint64_t max_packet;    /* bytes */

    bool in_transaction;
    uint64_t transaction; /* a number for the open one */
    struct buf repeated;  /* the column that was altered before the group was repeated */
    char **dirty;         /* the targets that it has changed */
    size_t ndirty, dirty_cap;

    struct batch *batch; /* mysql_run.c's memory */
};

/* ---- mysql_connect.c ---- */

/* Connects both connections, and asks the server what it can. */
MUST_CHECK int mysql_connect_both(struct dest *d, struct err *err);
void mysql_disconnect(struct dest *d);

/* Sets the error of the connection, or of the statement; returns -1. */
int mysql_fail(MYSQL *m, const char *what, struct err *err);
int mysql_stmt_fail(MYSQL_STMT *s, const char *what, struct err *err);

/* Runs a statement without parameters and without rows; *affected may be NULL. */
MUST_CHECK int mysql_run(MYSQL *m, const char *sql, uint64_t *affected, struct err *err);
/* The same for one made of pieces, which is freed. */
MUST_CHECK int mysql_run_buf(MYSQL *m, struct buf *sql, uint64_t *affected, struct err *err);
/* All rows of a query, for mysql_free_result(); `sql` is freed. */
MUST_CHECK int mysql_rows(MYSQL *m, struct buf *sql, MYSQL_RES **rows, struct err *err);

/* A warning of the last statement is an error: a value was changed, or something is not as it was
 * taken for. */
MUST_CHECK int mysql_check_warnings(MYSQL *m, struct err *err);

/* Makes a database of the target where it is missing and that is allowed. */
MUST_CHECK int mysql_create_database(struct dest *d, const char *name, struct err *err);

/* ---- names and literals ---- */

/* Appends an identifier in backticks. */
void mysql_quote(struct buf *out, const char *name);
/* Splits a target into its two names. */
void mysql_target_split(const char *target, char database[NAME_SIZE], char table[NAME_SIZE]);
/* Appends text or bytes as a literal that no sql_mode and no character set reads otherwise. */
void mysql_text_literal(struct buf *out, const char *text);
void mysql_bytes_literal(struct buf *out, const void *data, size_t size);
/* Appends " WHERE …" for a query of information_schema that concerns one table. Comparisons ignore
 * case and accents there; the server finds the table by them, casts make sure that it is the one.
 */
void mysql_target_condition(struct buf *out, const char *target);

/* The open transaction has changed a table. */
MUST_CHECK int mysql_mark_dirty(struct dest *d, const char *target, struct err *err);
bool mysql_is_dirty(const struct dest *d, const char *target);

/* ---- mysql_schema.c ---- */

int mysql_target_name(struct dest *d, const struct relation *rel, struct buf *out, struct err *err);
int mysql_relation_get(struct dest *d, const char *origin, uint32_t relid, const char *by_target,
                       struct buf *target, struct buf *frame, uint32_t *relid_found,
                       struct err *err);
int mysql_relation_put(struct dest *d, const char *origin, const struct relation *rel,
                       const char *target, const struct buf *frame, struct err *err);
int mysql_table_exists(struct dest *d, const char *target, bool *exists, struct err *err);
int mysql_table_empty(struct dest *d, const char *target, bool *empty, struct err *err);
int mysql_table_create(struct dest *d, const char *target, const struct relation *rel,
                       struct err *err);
int mysql_table_rename(struct dest *d, const char *target, const char *to, struct err *err);
int mysql_column_exists(struct dest *d, const char *target, const char *column, bool *exists,
                        struct err *err);
int mysql_column_add(struct dest *d, const char *target, const struct relation *rel,
                     uint32_t column, struct err *err);
int mysql_column_drop(struct dest *d, const char *target, const char *column, struct err *err);
int mysql_column_rename(struct dest *d, const char *target, const char *column, const char *to,
                        struct err *err);
int mysql_column_widen(struct dest *d, const char *target, const struct relation *rel,
                       uint32_t column, struct err *err);
bool mysql_column_same_type(struct dest *d, const struct column *a, const struct column *b);

/* ---- mysql_table.c ---- */

#define MAX_UPDATES    16 /* statements for different sets of columns that are kept */
#define ROW_STATEMENTS 4  /* statements for different numbers of rows */

/* An UPDATE for one set of columns. */
struct update_statement {
    MYSQL_STMT *stmt;
    uint8_t *columns; /* a flag for each column of the relation: it is written */
    uint64_t used;    /* for finding the one used longest ago */
};

struct dest_table {
    char *target;
    const struct relation *rel;
    enum mysql_form *forms; /* of each column */
    struct identity identity;
    bool unique;      /* the target has a unique index over columns of the identity */
    uint8_t *scratch; /* a flag for each column */
    MYSQL_STMT *inserts[ROW_STATEMENTS], *deletes[ROW_STATEMENTS];
    struct update_statement updates[MAX_UPDATES];
    uint64_t clock;
    uint64_t dirty_in; /* the transaction that is known to have changed it */
};

int mysql_table_open(struct dest *d, const char *target, const struct relation *rel,
                     struct dest_table **table, struct err *err);
void mysql_table_close(struct dest *d, struct dest_table *table);

/* Whether the column that is there takes every value of `c`. */
MUST_CHECK int mysql_column_holds(struct dest *d, const char *target, const struct column *c,
                                  bool *holds, struct err *err);

/* The rows of the statement number `size` of `inserts` and `deletes`. */
uint32_t statement_rows(size_t size);

MUST_CHECK int table_insert(struct dest *d, struct dest_table *t, size_t size, MYSQL_STMT **stmt,
                            struct err *err);
MUST_CHECK int table_delete(struct dest *d, struct dest_table *t, size_t size, MYSQL_STMT **stmt,
                            struct err *err);
/* The UPDATE that writes the columns flagged in `columns`. */
MUST_CHECK int table_update(struct dest *d, struct dest_table *t, const uint8_t *columns,
                            MYSQL_STMT **stmt, struct err *err);

/* ---- mysql_check.c ---- */

int mysql_check(struct dest *d, bool ddl, struct report *report, struct err *err);
const char *mysql_caveat(const struct column *column);

/* ---- mysql_run.c ---- */

int mysql_apply(struct dest *d, struct dest_run *run, struct err *err);
int mysql_truncate(struct dest *d, struct dest_table *const *tables, size_t ntables, bool cascade,
                   bool restart_identity, struct err *err);
void mysql_batch_free(struct batch *b);

#endif
