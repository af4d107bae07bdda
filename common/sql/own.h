/*
 * own.h - our two tables in a target: the content of their rows, and for SQL databases the
 * statements that read and write them.
 *
 * pg2any_checkpoint has a row for each origin: how far the target has come. pg2any_relation has a
 * row for each relation that the target holds, as it was when it was last bound to its table.
 */
#ifndef PG2ANY_OWN_H
#define PG2ANY_OWN_H

#include <stdbool.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/err.h"

#define CHECKPOINT_TABLE "pg2any_checkpoint"
#define RELATION_TABLE   "pg2any_relation"

enum own_table { OWN_CHECKPOINT, OWN_RELATION };

/* The columns, in this order: text, but for the frame, which is bytes. */
enum {
    CHECKPOINT_REMOTE_LSN,
    CHECKPOINT_COMMIT_TIME, /* may be NULL */
    CHECKPOINT_SYSTEM_IDENTIFIER,
    CHECKPOINT_TIMELINE,
    CHECKPOINT_FIELDS,

    RELATION_TARGET = 0, /* the table's name at the target, as the driver's table_name gives it */
    RELATION_NAMESPACE,
    RELATION_NAME,
    RELATION_FRAME,
    RELATION_FIELDS,

    OWN_FIELDS = 4,
};

/* Which row is meant. */
struct own_key {
    enum own_table table;
    const char *origin;
    uint32_t relid;     /* OWN_RELATION: 0: by target */
    const char *target; /* compared as the database compares names of tables */
    bool next;          /* OWN_RELATION: the one with the next relid that is larger */
};

/* What it holds. Numbers are decimal text; an empty commit time is NULL. */
struct own_row {
    uint32_t relid; /* OWN_RELATION */
    struct buf fields[OWN_FIELDS];
};

void own_row_free(struct own_row *row);
MUST_CHECK int own_row_check(const struct own_row *row, struct err *err);

/* Permanent error where a table would have the name of one of ours, in whatever case. `another`:
 * what --schema-map should give its schema: "another database". */
MUST_CHECK int own_refuse_name(const char *table, const char *another, struct err *err);

/* How a database writes what our tables need. */
struct own_dialect {
    const char *prefix;    /* before a table's name */
    const char *lock_hint; /* after it, and at the end of a query, so that it locks the row */
    const char *lock_end;
    const char *guard; /* before a statement that writes: not outside a transaction */
    /* Append literals. */
    void (*text)(struct buf *out, const char *text, size_t size);
    void (*bytes)(struct buf *out, const void *data, size_t size);
};

/* Appends the query of a row: relid for OWN_RELATION, then the fields. `lock`: nobody else can
 * change the row, or make it, until the end of the transaction. */
void own_select(const struct own_dialect *d, const struct own_key *key, bool lock, struct buf *sql);

/* Keeps column `i` of what that query found; `data` NULL: NULL. */
void own_keep(const struct own_key *key, struct own_row *row, size_t i, const void *data,
              size_t size);

/* How many columns it has. */
static inline size_t own_columns(const struct own_key *key)
{
    return OWN_FIELDS + (key->table == OWN_RELATION);
}

/* Appends the UPDATE, or the INSERT where the row does not exist; `row` NULL: the DELETE of all
 * rows of the origin in the key's table. */
void own_write(const struct own_dialect *d, const struct own_key *key, const struct own_row *row,
               bool exists, struct buf *sql);

#endif
