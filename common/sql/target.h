/*
 * target.h - the SQL floor: what the applier does with a target, whichever database it is.
 *
 * It owns the driver's connection (driver.h), what our two tables hold, the tables that relations
 * are bound to, the statements that are kept, and the rules: schema changes by plan
 * (schema_plan.h), runs by slices (run.h).
 *
 * Order of calls: open, then any number of [begin, …, commit], reset at any time, close at last.
 * bind, apply and truncate come between begin and commit. Errors as driver.h has them.
 */
#ifndef PG2ANY_TARGET_H
#define PG2ANY_TARGET_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/err.h"
#include "base/report.h"
#include "frames/mp_cursor.h"
#include "frames/relation.h"
#include "sql/ask_copy.h"
#include "sql/ask_rows.h"
#include "sql/copied.h"
#include "sql/driver.h"
#include "sql/row_order.h"
#include "sql/run.h"
#include "sql/schema_plan.h"
#include "sql/skip_tables.h"
#include "sql/table.h"

#define CHECKPOINT_SYSTEM_SIZE 24

/* How far the target has come: one row of pg2any_checkpoint. */
struct checkpoint {
    uint64_t remote_lsn; /* every transaction whose end LSN is not above is in the target */
    /* None of them was committed later, by the source's clock; 0: none yet. */
    int64_t commit_time_us;
    char system_identifier[CHECKPOINT_SYSTEM_SIZE];
    uint32_t timeline;
};

struct target;

/* Connects. Temporary errors while the target is unreachable. */
MUST_CHECK int target_open(const struct driver_ops *ops, const struct driver_config *config,
                           struct target **target, struct err *err);
/* No table must be bound any more. NULL is allowed. */
void target_close(struct target *t);

/* Whether a schema change commits the open transaction, or cannot be part of it: it is made beside
 * one that has not touched the table. */
bool target_ddl_commits(const struct target *t);

/* Whether names of tables that differ in the case of ASCII letters only are one. */
bool target_folds_names(const struct target *t);

/* An error of a row ends the target's transaction. */
bool target_errors_end(const struct target *t);

/* Whether rows with other keys at the source may have the same in that table. */
bool target_merges_keys(const struct target *t, const struct target_table *table);

/* ---- transactions ---- */

/* Abandons whatever is open and makes begin possible again, reconnecting if need be. Tables that
 * are bound are good for unbind only. */
MUST_CHECK int target_reset(struct target *t, struct err *err);

/* Begins, and reads the checkpoint: what is committed now, under a lock that keeps others from
 * changing it until the end of the transaction. */
MUST_CHECK int target_begin(struct target *t, const char *origin, struct checkpoint *now,
                            bool *found, struct err *err);

/* The checkpoint as it is at the moment, outside a transaction. */
MUST_CHECK int target_checkpoint(struct target *t, const char *origin, struct checkpoint *out,
                                 bool *found, struct err *err);

/* Writes the checkpoint of the origin that begin had, in the same transaction as the changes;
 * durable when it returns 0. */
MUST_CHECK int target_commit(struct target *t, const char *origin,
                             const struct checkpoint *checkpoint, struct err *err);

/* A commit that failed without an answer took place, as the checkpoint says after a reset. */
void target_committed(struct target *t);

/* Forgets what is kept of that origin, its checkpoint and relations, and commits. After begin. */
MUST_CHECK int target_forget(struct target *t, const char *origin, struct err *err);

/* Asks for tables to be copied again; where it is anew the checkpoint is forgotten. Commits. After
 * begin. */
MUST_CHECK int target_ask_copy(struct target *t, const struct asked_copies *asked, struct err *err);

/* Asks for rows to be read again. Commits. After begin. */
MUST_CHECK int target_ask_rows(struct target *t, const struct asked_rows *asked, struct err *err);

/* ---- tables ---- */

/* How a relation is bound. */
struct binding {
    const char *origin; /* NULL: nothing is remembered */
    enum ddl_policy policy;
    struct table_names *skip; /* NULL: none */
    uint64_t commit_lsn;      /* of the transaction with its changes */
    struct bytes snapshot;    /* of the copy that its rows are, at commit_lsn (frame.h, copy begin);
                                 .data NULL: they are none */
    bool begins;              /* whatever is remembered, the copy begins with them */
    bool may_await;           /* a copy: it comes in this stream, when it is asked for */
    bool copy_unknown;        /* it is, where it is not known what the table's rows are */
    bool replays;             /* what came before now: it takes no name from another relation */
};

/*
 * Makes the target fit `rel` as far as the policy allows, remembers it and binds it to its table,
 * which keeps a reference. The relation was read from a frame.
 *
 * *table NULL: its changes are to be left out, and the target remembers that. It is to be asked in
 * each target transaction anew. *why says why then.
 */
enum unbound {
    UNBOUND_SKIPPED, /* --skip-table */
    UNBOUND_AWAITS,  /* it is not known what the table's rows are, which stay as they are until a
                        copy comes, and otherwise would have been an error */
    UNBOUND_ASIDE,   /* it is set aside */
};
MUST_CHECK int target_bind(struct target *t, const struct binding *b, struct relation *rel,
                           struct target_table **table, enum unbound *why, struct err *err);
void target_unbind(struct target *t, struct target_table *table);

/* What the target remembers of the copy of a relation; *known: it remembers the relation. For
 * copied_free(), also after an error. */
MUST_CHECK int target_copied(struct target *t, const char *origin, uint32_t relid,
                             struct copied *copied, bool *known, struct err *err);

/* The same of the relation after *relid, in the order of relids; 0: there is none. *lacks_indexes:
 * it remembers some that are to be made. */
MUST_CHECK int target_next_copied(struct target *t, const char *origin, uint32_t *relid,
                                  struct copied *copied, bool *left_out, bool *lacks_indexes,
                                  struct err *err);

/* The same with the row, for own_row_free(), of whose frame the first *size bytes say so. */
MUST_CHECK int target_next_relation(struct target *t, const char *origin, uint32_t relid,
                                    struct own_row *row, bool *found, size_t *size,
                                    struct copied *copied, struct err *err);

/* A chunk of the relation is in, whose copy has begun (copied.h). */
MUST_CHECK int target_copied_until(struct target *t, const char *origin, uint32_t relid,
                                   uint64_t until, struct bytes after, struct err *err);

/* Rows of a bound table have to be read again, which are to be remembered with a line for each key
 * (row_key.h). *fits false: they are too many, and nothing was remembered. */
MUST_CHECK int target_lacks(struct target *t, const char *origin, struct target_table *table,
                            uint64_t lsn, struct bytes keys, bool *fits, struct err *err);
/* They have been, with a snapshot of that LSN. */
MUST_CHECK int target_lacked(struct target *t, const char *origin, struct target_table *table,
                             uint64_t lsn, struct bytes keys, struct err *err);

/* Remembers a relation that the target does not hold yet: its changes are left out until its copy
 * comes, since the commit at that LSN. */
MUST_CHECK int target_await_copy(struct target *t, const char *origin, const struct relation *rel,
                                 uint64_t lsn, struct err *err);

/* Sets the relation aside (copied.h), from the commit at that LSN on. `first`: in a target that
 * gets copies. `keep`: what is left out goes into a file. */
MUST_CHECK int target_set_aside(struct target *t, const char *origin, const struct relation *rel,
                                uint64_t lsn, bool first, const char *why, bool keep,
                                struct err *err);

/* What is kept of the relation, which is set aside, has become that; `why`: and why it is, or
 * NULL. */
MUST_CHECK int target_set_file(struct target *t, const char *origin, uint32_t relid,
                               const struct copied_file *file, const char *why, struct err *err);

/* The relation is not set aside any more, and as it was when it came to be. */
MUST_CHECK int target_set_back(struct target *t, const char *origin, uint32_t relid,
                               struct err *err);

/* The relation, which is remembered, has to be copied, or copied anew. */
MUST_CHECK int target_copy_due(struct target *t, const char *origin, uint32_t relid, uint64_t lsn,
                               struct err *err);

/* Whether the table is beside the one that it is for (copied.h), and whole. */
bool target_waits_for_place(const struct target_table *table);

/* It takes its place, where it is beside and whole. None of the two must be bound, and where
 * changes commit, neither may have been changed by the open transaction. */
MUST_CHECK int target_take_place(struct target *t, const char *origin, uint32_t relid,
                                 struct err *err);

/* Whether the target gets copies. One that was begun without takes every table as it is: it holds
 * relations, and none by a copy, but those that it had taken and that came to be copied. */
MUST_CHECK int target_takes_copies(struct target *t, const char *origin, bool *takes,
                                   struct err *err);

/* ---- indexes that a copied table is to get (wanted_index.h) ---- */

/* Remembers a list of them, for a relation that the target holds. */
MUST_CHECK int target_want_indexes(struct target *t, const char *origin, uint32_t relid,
                                   struct bytes list, struct err *err);

/* Makes the first of those that are remembered, and forgets it; `give_up`: only forgets it. *more:
 * there are others. After begin, before anything else; as long as the database takes for it. An
 * error leaves the target to be reset. */
MUST_CHECK int target_make_index(struct target *t, const char *origin, uint32_t relid, bool give_up,
                                 bool *more, struct err *err);

/* ---- foreseeing ---- */

/* What bind would do. */
struct foreseen {
    struct buf name;       /* of the table */
    struct buf statements; /* each ended by ";\n"; empty: the table fits already */
    bool exists;           /* the table does, before any of them */
    bool left_out;         /* changes of it are; the rest was not looked at */
    bool awaits;           /* or are, until a copy comes; the same */
    bool aside;            /* with `awaits`: and nobody asks for it */
    bool kept;             /* with `aside`: what came since is */
};

/*
 * What bind would do, without doing it. An error is the one that bind would stop with. `out` is
 * zeroed before, and for foreseen_free() also after an error.
 */
MUST_CHECK int target_foresee(struct target *t, const struct binding *b, struct relation *rel,
                              struct foreseen *out, struct err *err);
void foreseen_free(struct foreseen *f);

/* Whether the table of that name, which is one of foreseen, has rows now. */
MUST_CHECK int target_has_rows(struct target *t, const char *name, bool *rows, struct err *err);

/* What --check says of a column: driver.h, declare. NULL: nothing. */
const char *target_caveat(struct target *t, const struct relation *rel, uint32_t column);

/* ---- rows ---- */

/* Which changes of a bound table may overtake each other (row_order.h). */
enum row_order target_row_order(const struct target *t, const struct target_table *table);

/* Whether a slice of UPDATEs is a set for the driver. */
bool target_takes_sets(const struct target *t);

/* Whether the table refuses no row because of that value, for certain. */
bool target_accepts(const struct target *t, const struct target_table *table, uint32_t column,
                    const struct value *v);

MUST_CHECK int target_apply(struct target *t, struct run *run, struct err *err);
/* *failed: which of the tables an error is of; ntables: of no one. */
MUST_CHECK int target_truncate(struct target *t, struct target_table *const *tables, size_t ntables,
                               bool cascade, bool restart_identity, size_t *failed,
                               struct err *err);

/* ---- reading back ---- */

/*
 * The table that a relation is bound to, to be read: for table_free(). NULL: it is not as the
 * source's yet, and *why says what is missing, in static storage. `skip` as in a binding.
 * *left_out: because the user wants it so. *settles_lsn: behind that its rows are as old as the
 * checkpoint says. Permanent error where the table is one that bind refuses.
 */
MUST_CHECK int target_find(struct target *t, const char *origin, struct relation *rel,
                           struct table_names *skip, struct target_table **table, const char **why,
                           bool *left_out, uint64_t *settles_lsn, struct err *err);

/* Permanent error where what is in this kind of target cannot be read back. */
MUST_CHECK int target_can_read(const struct target *t, struct err *err);

/* Those of the driver (driver.h), for a whole row. `rooms` and `out` have room for each column. */
MUST_CHECK int target_stores(struct target *t, const struct target_table *table,
                             const struct value *row, char (*rooms)[STORED_ROOM],
                             struct stored *out, struct err *err);
MUST_CHECK int target_read(struct target *t, const struct target_table *table, driver_row_fn *fn,
                           void *ctx, struct err *err);

/* ---- looking ---- */

/* Reports on the server and on what this user may do there; `ddl`: make and change tables, too. */
MUST_CHECK int target_check(struct target *t, bool ddl, struct report *report, struct err *err);

#endif
