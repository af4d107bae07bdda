/*
 * dest.h - the contract between the apply loop (apply.h) and the driver of one kind of database.
 *
 * The loop decides what is applied when: it reads frames, checks them, groups transactions, skips
 * what the checkpoint covers, repeats a group, acknowledges. A driver knows one database: how to
 * connect, what a type is called there, how rows get in. It gets runs (one relation, one kind of
 * change, many rows), so that a database with arrays or bulk loading can use them.
 *
 * Errors. Every operation returns 0, or -1 with `err` set:
 *   ERR_PERMANENT  would fail again: a schema that does not fit, a value that the target cannot
 * hold, a conflict ERR_RETRY      the target gave the transaction up or is gone (deadlock, lock
 * timeout, connection lost, unknown outcome of a commit): the loop calls reset(), reads the
 * checkpoint and repeats the group if it still holds it ERR_TEMPORARY  no use in repeating it here
 * (disk full): the program leaves with 111 The text says what failed in the database's words; the
 * loop puts table, transaction and LSN in front.
 *
 * Order of calls: open, then any number of [checkpoint_get, begin, …, commit], reset at any time,
 * close at last. The schema and row operations come between begin and commit. All may block, up to
 * the timeouts in dest_config.
 *
 * Memory: what the loop hands in is borrowed for the call. What a driver hands out belongs to the
 * driver unless said otherwise.
 */
#ifndef PG2ANY_DEST_H
#define PG2ANY_DEST_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/err.h"
#include "base/report.h"
#include "frames/relation.h"
#include "frames/value.h"
#include "sql/schema_map.h"

struct dest;       /* a driver's connection */
struct dest_table; /* a driver's binding of one version of a relation to one table */

/* NaN in a column whose target type has no such value. */
enum dest_nan { DEST_NAN_STOP, DEST_NAN_NULL };

/* A value beyond what the target type holds: stop, NULL, or the nearest value that it holds. */
enum dest_beyond { DEST_BEYOND_STOP, DEST_BEYOND_NULL, DEST_BEYOND_EXTREME };

struct dest_config {
    const char *uri;
    const struct schema_map *schema_map;
    uint64_t connect_timeout_ms;
    uint64_t query_timeout_ms;
    enum dest_nan nan;
    enum dest_beyond infinity;   /* ±infinity of floats, dates and timestamps */
    enum dest_beyond date_range; /* dates and timestamps outside the target's range */
    bool look_only; /* nothing is changed: open() makes no tables, and table_create() goes only so
                       far as to see whether it could */
};

#define CHECKPOINT_TABLE       "pg2any_checkpoint"
#define CHECKPOINT_SYSTEM_SIZE 24

/* How far the target has come: one row of pg2any_checkpoint. */
struct checkpoint {
    uint64_t remote_lsn;    /* every transaction whose end LSN is not above is in the target */
    int64_t commit_time_us; /* of the last one at the source; 0: none yet */
    char system_identifier[CHECKPOINT_SYSTEM_SIZE];
    uint32_t timeline;
};

enum dest_change { DEST_INSERT = 'I', DEST_UPDATE = 'U', DEST_DELETE = 'D' };

/* The source transaction that a row belongs to, for messages. */
struct dest_txn {
    uint32_t xid;
    uint64_t commit_lsn;
};

struct dest_row {
    const struct value *old; /* NULL: none was sent, the key is that of `new` */
    const struct value *new; /* NULL for a delete */
    char old_kind; /* 'K': only the replica identity's columns of old count; 'O': all do; 0: no old
                    */
    const struct dest_txn *txn;
};

enum dest_conflict { DEST_INSERT_EXISTS, DEST_UPDATE_MISSING, DEST_DELETE_MISSING, DEST_CONFLICTS };

enum dest_conflict_action {
    DEST_CONFLICT_STOP,
    DEST_CONFLICT_APPLY, /* make it so: insert_exists updates the row, update_missing inserts it */
    DEST_CONFLICT_SKIP,  /* leave the target as it is */
};

struct dest_conflicts; /* the loop's policy and counts */

struct dest_run {
    enum dest_change kind;
    const struct relation *relation;
    struct dest_table *table;
    const struct dest_row
        *rows; /* in the order of the source; later rows may concern the same key */
    size_t nrows;
    struct dest_conflicts *conflicts;
    bool repeatable; /* the loop still holds the group: after ERR_RETRY the rows come again */
    size_t failed; /* set by the driver with an error: the row it concerns, or nrows: not one row */
};

/*
 * A driver that finds a conflict asks what to do with it. Returns the action (APPLY or SKIP,
 * counted and logged), or -1 with a permanent error where the policy is to stop.
 */
MUST_CHECK int dest_conflict(struct dest_run *run, size_t row, enum dest_conflict conflict,
                             enum dest_conflict_action *action, struct err *err);

struct dest_ops {
    const char *name;     /* "sqlite" */
    const char *uri_help; /* forms of --dest, for --help */

    /*
     * A schema operation commits the open target transaction, or cannot be part of it. The loop
     * then begins a new one before a source transaction that describes relations, so that the
     * driver can run schema operations beside it, on another connection: the table is not touched
     * by the open transaction, unless by the same source transaction.
     */
    bool ddl_commits;

    /* Connects, makes the checkpoint tables on first use. Temporary errors while the target is
     * unreachable. Under look_only checkpoint_get() finds nothing where there are no tables. */
    int (*open)(const struct dest_config *config, struct dest **dest, struct err *err);
    void (*close)(struct dest *dest);

    /*
     * Abandons whatever is open and makes begin() possible again, reconnecting if need be. Tables
     * that were opened stay valid to close only.
     */
    int (*reset)(struct dest *dest, struct err *err);

    /*
     * Between begin and commit: reads what is committed now, not as of an older snapshot, and keeps
     * others from changing it until the end of the transaction (a locking read, or a lock that
     * begin took).
     */
    int (*checkpoint_get)(struct dest *dest, const char *origin, struct checkpoint *out,
                          bool *found, struct err *err);

    int (*begin)(struct dest *dest, struct err *err);
    /* Writes the checkpoint in the same transaction as the changes; durable when it returns 0. */
    int (*commit)(struct dest *dest, const char *origin, const struct checkpoint *checkpoint,
                  struct err *err);

    /* Forgets what is kept of an origin, its checkpoint and relations, and commits. After begin. */
    int (*checkpoint_drop)(struct dest *dest, const char *origin, struct err *err);

    /* Reports on the server and on what this user may do there; `ddl`: make and change tables, too.
     * An error is only what keeps it from finding out. */
    int (*check)(struct dest *dest, bool ddl, struct report *report, struct err *err);

    /* Which values of a column, which the source may send, no column of the target can hold, and
     * what --check says of that; NULL: there are none. */
    const char *(*caveat)(const struct column *column);

    /* ---- schema: primitives; schema.c holds the rules of when ---- */

    /* Appends the target table's name as one string, the key that the other operations take. */
    int (*target_name)(struct dest *dest, const struct relation *rel, struct buf *out,
                       struct err *err);

    /*
     * What the target remembers of a relation: the target's name and the R frame when it was last
     * bound (both left empty: nothing). By origin and relid, or by origin and target name where
     * relid is 0; `relid_found` gets the relid then.
     */
    int (*relation_get)(struct dest *dest, const char *origin, uint32_t relid,
                        const char *by_target, struct buf *target, struct buf *frame,
                        uint32_t *relid_found, struct err *err);
    int (*relation_put)(struct dest *dest, const char *origin, const struct relation *rel,
                        const char *target, const struct buf *frame, struct err *err);

    int (*table_exists)(struct dest *dest, const char *target, bool *exists, struct err *err);
    int (*table_empty)(struct dest *dest, const char *target, bool *empty, struct err *err);
    int (*table_create)(struct dest *dest, const char *target, const struct relation *rel,
                        struct err *err);
    int (*table_rename)(struct dest *dest, const char *target, const char *to, struct err *err);
    int (*column_exists)(struct dest *dest, const char *target, const char *column, bool *exists,
                         struct err *err);
    /* With fill FILL_VALUE existing rows get the value; otherwise NULL. */
    int (*column_add)(struct dest *dest, const char *target, const struct relation *rel,
                      uint32_t column, struct err *err);
    int (*column_drop)(struct dest *dest, const char *target, const char *column, struct err *err);
    int (*column_rename)(struct dest *dest, const char *target, const char *column, const char *to,
                         struct err *err);
    /* Whether both would be stored in the same target type and form. */
    bool (*column_same_type)(struct dest *dest, const struct column *a, const struct column *b);
    /* Gives a column the type that `rel` asks for now, where it does not hold that yet; the values
     * that are there stay what they are. NULL: no type is ever wider than another. */
    int (*column_widen)(struct dest *dest, const char *target, const struct relation *rel,
                        uint32_t column, struct err *err);

    /* Binds a relation, which lives until table_close, to what is there; an error names the column
     * that the table lacks or cannot hold. */
    int (*table_open)(struct dest *dest, const char *target, const struct relation *rel,
                      struct dest_table **table, struct err *err);
    void (*table_close)(struct dest *dest, struct dest_table *table);

    /* ---- rows ---- */

    int (*apply)(struct dest *dest, struct dest_run *run, struct err *err);
    int (*truncate)(struct dest *dest, struct dest_table *const *tables, size_t ntables,
                    bool cascade, bool restart_identity, struct err *err);
};

#endif
