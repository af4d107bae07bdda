/*
 * sqlite.h - the driver for SQLite: the pieces that its files share. The contract is dest.h's.
 *
 * WAL mode, synchronous = FULL: a commit is on disk when it returns. BEGIN IMMEDIATE, so that a
 * transaction that has begun does not fail for a lock later. Tables are ordinary ones, not STRICT:
 * STRICT has no NUMERIC type, and the types that come from the relation are bound as such anyway;
 * table_open refuses a column whose affinity would change a value. Names in SQLite fold ASCII case.
 */
#ifndef PG2ANY_SQLITE_H
#define PG2ANY_SQLITE_H

#include <stdbool.h>
#include <stdint.h>

#include <sqlite3.h>

#include "sql/dest.h"

extern const struct dest_ops sqlite_ops;

struct dest {
    sqlite3 *db;
    const struct schema_map *schema_map;
    enum dest_nan nan;
    bool look_only;
    char
        *looked_at; /* the database's path: under look_only another is open while it is not there */
    bool have_tables; /* of ours; always, unless look_only */
    sqlite3_stmt *begin, *commit, *rollback, *put_checkpoint;
};

/*
 * Turns a result code into an error: busy and locked are ERR_RETRY, a full or failing disk and lack
 * of memory ERR_TEMPORARY, everything else ERR_PERMANENT. Returns -1.
 */
int sqlite_fail(const struct dest *d, int rc, const char *what, struct err *err);

MUST_CHECK int sqlite_exec(struct dest *d, const char *sql, struct err *err);
MUST_CHECK int sqlite_prepare(struct dest *d, const char *sql, sqlite3_stmt **stmt,
                              struct err *err);

/* Steps a statement that returns no row, and resets it. */
MUST_CHECK int sqlite_run(struct dest *d, sqlite3_stmt *stmt, const char *what, struct err *err);

/* Appends an identifier in double quotes. */
void sqlite_quote(struct buf *out, const char *name);

/* ---- sqlite_schema.c ---- */

int sqlite_target_name(struct dest *d, const struct relation *rel, struct buf *out,
                       struct err *err);
int sqlite_relation_get(struct dest *d, const char *origin, uint32_t relid, const char *by_target,
                        struct buf *target, struct buf *frame, uint32_t *relid_found,
                        struct err *err);
int sqlite_relation_put(struct dest *d, const char *origin, const struct relation *rel,
                        const char *target, const struct buf *frame, struct err *err);
int sqlite_table_exists(struct dest *d, const char *target, bool *exists, struct err *err);
int sqlite_table_empty(struct dest *d, const char *target, bool *empty, struct err *err);
int sqlite_table_create(struct dest *d, const char *target, const struct relation *rel,
                        struct err *err);
int sqlite_table_rename(struct dest *d, const char *target, const char *to, struct err *err);
int sqlite_column_exists(struct dest *d, const char *target, const char *column, bool *exists,
                         struct err *err);
int sqlite_column_add(struct dest *d, const char *target, const struct relation *rel,
                      uint32_t column, struct err *err);
int sqlite_column_drop(struct dest *d, const char *target, const char *column, struct err *err);
int sqlite_column_rename(struct dest *d, const char *target, const char *column, const char *to,
                         struct err *err);
bool sqlite_column_same_type(struct dest *d, const struct column *a, const struct column *b);

/* ---- sqlite_table.c ---- */

int sqlite_table_open(struct dest *d, const char *target, const struct relation *rel,
                      struct dest_table **table, struct err *err);
void sqlite_table_close(struct dest *d, struct dest_table *table);
int sqlite_apply(struct dest *d, struct dest_run *run, struct err *err);
int sqlite_truncate(struct dest *d, struct dest_table *const *tables, size_t ntables, bool cascade,
                    bool restart_identity, struct err *err);

#endif
