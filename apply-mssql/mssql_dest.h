/*
 * mssql_dest.h - the driver for SQL Server: the pieces that its files share. The contract is
 * dest.h's.
 *
 * One session. Each group is one transaction, with the checkpoint in it; schema changes are
 * transactional in SQL Server and are part of it. Under XACT_ABORT an error ends the transaction,
 * so what must not end it is not tried: a row that may exist is inserted only where it does not
 * (`--conflict apply|skip`), and counts, not errors, say that a row is missing. Every statement
 * that changes rows asks whether the transaction is still there before it does.
 *
 * A target is "[schema].[table]", or "[database].[schema].[table]" where --schema-map says so, each
 * name in brackets with those in it doubled: unambiguous, and SQL as it stands.
 */
#ifndef PG2ANY_MSSQL_DEST_H
#define PG2ANY_MSSQL_DEST_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"
#include "mssql_column.h"
#include "mssql_session.h"
#include "mssql_type.h"
#include "mssql_uri.h"
#include "sql/dest.h"
#include "sql/identity.h"
#include "sql/reconnect.h"

extern const struct dest_ops mssql_dest_ops;

#define RELATION_TABLE "pg2any_relation"

struct dest {
    struct mssql_uri uri;
    const struct schema_map *schema_map;
    struct value_policy policy;
    uint64_t connect_timeout_ms, query_timeout_ms;
    bool look_only;
    bool have_tables;              /* of ours */
    struct mssql_session *session; /* NULL: not connected */
    struct reconnect reconnect;
    bool connected_once;
    char version[64];     /* of the server, "16.0.4105.2" */
    enum mssql_rows rows; /* how rows are sent */

    char *careful;       /* a target whose rows go one by one until the next commit; mssql_run.c */
    bool identity_open;  /* IDENTITY_INSERT may be ON for some table */
    struct batch *batch; /* mssql_run.c's memory */
};

/* ---- names and literals ---- */

/* Appends an identifier in brackets. */
void mssql_quote(struct buf *out, const char *name);
/* Appends a national string literal. */
void mssql_literal(struct buf *out, const char *text);
void mssql_bytes_literal(struct buf *out, const void *data, size_t size);

/* The names of a target; `database` is empty where it is the URI's. */
struct target_names {
    char database[MSSQL_NAME_SIZE * 4], schema[MSSQL_NAME_SIZE * 4], table[MSSQL_NAME_SIZE * 4];
};
void mssql_target_split(const char *target, struct target_names *names);

/* Appends "sys.NAME", of the target's database. */
void mssql_catalog(struct buf *out, const char *target, const char *name);
/* Appends "OBJECT_ID(N'target', N'U')": of a table, as a number. */
void mssql_object_id(struct buf *out, const char *target);

/* ---- mssql_schema.c ---- */

int mssql_target_name(struct dest *d, const struct relation *rel, struct buf *out, struct err *err);
int mssql_relation_get(struct dest *d, const char *origin, uint32_t relid, const char *by_target,
                       struct buf *target, struct buf *frame, uint32_t *relid_found,
                       struct err *err);
int mssql_relation_put(struct dest *d, const char *origin, const struct relation *rel,
                       const char *target, const struct buf *frame, struct err *err);
int mssql_table_exists(struct dest *d, const char *target, bool *exists, struct err *err);
int mssql_table_empty(struct dest *d, const char *target, bool *empty, struct err *err);
int mssql_table_create(struct dest *d, const char *target, const struct relation *rel,
                       struct err *err);
int mssql_table_rename(struct dest *d, const char *target, const char *to, struct err *err);
int mssql_column_exists(struct dest *d, const char *target, const char *column, bool *exists,
                        struct err *err);
int mssql_column_add(struct dest *d, const char *target, const struct relation *rel,
                     uint32_t column, struct err *err);
int mssql_column_drop(struct dest *d, const char *target, const char *column, struct err *err);
int mssql_column_rename(struct dest *d, const char *target, const char *column, const char *to,
                        struct err *err);
int mssql_column_widen(struct dest *d, const char *target, const struct relation *rel,
                       uint32_t column, struct err *err);
bool mssql_column_same_type(struct dest *d, const struct column *a, const struct column *b);

/* ---- mssql_table.c ---- */

#define MAX_UPDATES 16 /* statements for different sets of columns that are kept */
#define NO_COLUMN   UINT32_MAX

/*
 * A statement over rows that are sent with it. With JSON `head` is all of it; with literals they
 * stand between head and tail.
 */
struct statement {
    struct buf head, tail;
    uint8_t *columns; /* of an UPDATE: a flag for each column of the relation, it is written */
    uint64_t used;    /* for finding the one used longest ago; 0: not made yet */
};

/* A unique index of the target over columns that the relation has. */
struct unique_index {
    uint32_t n;
    uint32_t *columns;
};

struct dest_table {
    char *target;
    const struct relation *rel;
    enum mssql_form *forms;      /* of each column */
    struct target_column *there; /* the column in the target for each column */
    struct mssql_result texts;   /* what `there` points into */
    struct identity identity;
    bool unique;              /* the target has a unique index over columns of the identity */
    uint32_t identity_column; /* the one with IDENTITY; NO_COLUMN: none */
    struct unique_index *indexes;
    size_t nindexes;
    uint8_t *scratch; /* a flag for each column */
    struct statement insert, insert_missing, remove;
    struct statement updates[MAX_UPDATES];
    uint64_t clock;
};

int mssql_table_open(struct dest *d, const char *target, const struct relation *rel,
                     struct dest_table **table, struct err *err);
void mssql_table_close(struct dest *d, struct dest_table *table);

/* All columns of a table that is there: name, type, collation, max_length, precision, scale,
 * is_identity, is_computed, whether it is generated; for mssql_result_free(). */
MUST_CHECK int mssql_read_columns(struct dest *d, const char *target, struct mssql_result *rows,
                                  struct err *err);
/* A row of it, borrowed; false: there is no such column. */
bool mssql_find_column(const struct mssql_result *rows, const char *name,
                       struct target_column *out);

/* Inserts the rows; with `missing` only those that no unique index refuses. */
MUST_CHECK int mssql_insert(struct dest *d, struct dest_table *t, bool missing,
                            const struct statement **s, struct err *err);
MUST_CHECK int mssql_delete(struct dest *d, struct dest_table *t, const struct statement **s,
                            struct err *err);
/* The UPDATE that writes the columns flagged in `columns`. */
MUST_CHECK int mssql_update(struct dest *d, struct dest_table *t, const uint8_t *columns,
                            const struct statement **s, struct err *err);

/* A statement that writes a value into a column of every row that is there; `c` describes the
 * column as it is in the target. For mssql_statement_free(). */
MUST_CHECK int mssql_fill(struct dest *d, const char *target, const struct target_column *c,
                          enum mssql_form form, struct statement *s, struct err *err);
void mssql_statement_free(struct statement *s);

/* ---- mssql_check.c ---- */

int mssql_check(struct dest *d, bool ddl, struct report *report, struct err *err);
const char *mssql_caveat(const struct column *column);

/* ---- mssql_run.c ---- */

int mssql_apply(struct dest *d, struct dest_run *run, struct err *err);
int mssql_truncate(struct dest *d, struct dest_table *const *tables, size_t ntables, bool cascade,
                   bool restart_identity, struct err *err);
/* Executes a statement with one value. */
MUST_CHECK int mssql_execute_value(struct dest *d, const struct statement *s, enum mssql_form form,
                                   const struct value *v, struct err *err);
void mssql_batch_free(struct batch *b);

#endif
