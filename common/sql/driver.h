/*
 * driver.h - the contract between the SQL floor (target.h) and the driver of one kind of database.
 *
 * The floor decides: how a schema change is followed (schema_plan.h), how a run of rows is cut into
 * slices, how a conflict is handled, which statements are kept, what our two tables hold. A driver
 * knows one database: how to connect, what a type is called there and how a value is sent, how a
 * statement is written and executed, what an error number means.
 *
 * ERRORS. Every operation that can fail returns 0, or -1 with `err` set:
 *
 *   ERR_PERMANENT: it would fail again, for example because a schema does not fit, or the target
 *   cannot hold a value.
 *
 *   ERR_RETRY: the target abandoned the transaction or is gone (deadlock, lock timeout, connection
 *   lost, unknown outcome of a commit). The floor's user calls reset, reads the checkpoint, and
 *   repeats the group if it still holds it.
 *
 *   ERR_TEMPORARY: repeating it here is useless (disk full): the program exits with 111.
 *
 * The text says what failed in the database's words; callers prepend table, transaction and LSN.
 *
 * ORDER OF CALLS. open; then any number of [begin, recall of the checkpoint, …, commit], reset at
 * any time; close at last. remember, change, execute and truncate come between begin and commit;
 * recall of a relation may come without, and then says what is committed.
 * Under look_only nothing but table_name, declare, describe, fit, recall, check, stores, read and a
 * change that only shows comes after open.
 *
 * BLOCKING. All operations may block up to the timeouts in driver_config; a change may block as
 * long as the database takes for it.
 *
 * MEMORY. Arguments are borrowed for the call.
 *
 * For a copy's rows no operation of its own is needed (tests/bench/copy).
 */
#ifndef PG2ANY_DRIVER_H
#define PG2ANY_DRIVER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/err.h"
#include "base/report.h"
#include "frames/relation.h"
#include "frames/value.h"
#include "sql/described.h"
#include "sql/own.h"
#include "sql/schema_map.h"
#include "sql/statements.h"
#include "sql/stored.h"

struct driver;       /* a driver's connection */
struct target_table; /* table.h: a version of a relation, bound to one table of the target */
struct step;         /* schema_plan.h */

/* NaN in a column whose target type has no such value. */
enum nan_policy { NAN_STOP, NAN_NULL };

/* A value beyond what the target type holds: stop, NULL, or the nearest value that it holds. */
enum beyond { BEYOND_STOP, BEYOND_NULL, BEYOND_EXTREME };

struct driver_config {
    const char *uri;
    const struct schema_map *schema_map; /* lives longer than the driver */
    uint64_t connect_timeout_ms;
    uint64_t query_timeout_ms;
    enum nan_policy nan;
    enum beyond infinity;   /* ±infinity of floats, dates and timestamps */
    enum beyond date_range; /* dates and timestamps outside the target's range */
    bool look_only;         /* nothing is changed: open makes no tables */
    bool beside;            /* an applier of the same origin may be at work, and is not disturbed */
};

/* A timeout for a library that takes whole seconds. */
static inline unsigned int config_seconds(uint64_t ms)
{
    uint64_t s = ms / 1000 + (ms % 1000 != 0);
    return s > INT32_MAX / 1000 ? INT32_MAX / 1000 : (unsigned int)s;
}

/* ---- what a driver is like ---- */

/* Which rows of one kind may share a call of execute. */
enum slicing {
    SLICING_NONE,    /* one row at a time */
    SLICING_ORDERED, /* the effect is that of one after the other */
    SLICING_SET,     /* the rows are a set: no two may concern the same key */
};

/* Filled in by open. May change with reset, when another server answers. */
struct driver_traits {
    enum slicing inserts, updates, deletes;
    /* UPDATE and DELETE where any of several equal rows may be taken: not as a set. */
    enum slicing keyless;
    /* execute reports each row separately. Otherwise it knows only a sum, and UPDATE and DELETE are
     * sliced only if a unique index makes the sum conclusive. */
    bool exact;
    uint64_t slice_bytes; /* of values in a slice, about; 0: no matter */
    /* A schema change commits the open transaction, or cannot be part of it, and is made on another
     * connection. The transaction's locks on changed tables block it. */
    bool ddl_commits;
    bool widens;     /* a column can be given a wider type */
    bool errors_end; /* the transaction: a row that is refused takes all with it */
    /* Names of tables that differ only in the case of ASCII letters are the same there, although
     * table_name writes them differently. */
    bool folds_names;
    /* Dates, timestamps and floats that differ at the source may be equal in a column. */
    bool merges_times;
    /* A new column gets its value in existing rows from a default, which is then removed, if the
     * value has at most this many bytes; 0: never. */
    size_t default_bytes;
    void (*free_statement)(struct statement *s); /* NULL: none are kept */
};

/* ---- rows ---- */

enum change_kind { CHANGE_INSERT = 'I', CHANGE_UPDATE = 'U', CHANGE_DELETE = 'D' };

/* The source transaction that a row belongs to, for messages. */
struct source_txn {
    uint32_t xid;
    uint64_t commit_lsn;
    int64_t commit_time_us; /* 0: it is a copy */
};

struct row_change {
    /* NULL: none was sent, the key is that of `new`. Columns that are no part of it may be
     * VALUE_NULL because they were not sent. */
    const struct value *old;
    const struct value *new; /* NULL for a delete */
    const struct source_txn *txn;
};

/* Rows of one table that one statement takes. */
struct slice {
    enum change_kind kind;
    struct target_table *table;
    const struct row_change *rows; /* in the order of the source */
    size_t nrows;                  /* at least 1 */
    /* A flag for each column: whether it is written. A flagged value that was not sent is taken
     * from the identity: slice_value(). All for INSERT, none for DELETE. */
    const uint8_t *columns;
    /* INSERT: an existing row is no error. If an error would end the transaction, the driver omits
     * such rows, and the sum shows it. */
    bool rows_may_exist;
    /* Unless every row is written, the transaction is rolled back, so nothing need be undone. */
    bool rolls_back;
    struct statements *statements; /* where statements are kept */
};

enum slice_outcome {
    SLICE_DONE,    /* every row is in, each UPDATE and DELETE found exactly one */
    SLICE_ONE_ROW, /* those before rows[done] are; that one is not: `exists` or `matched` says why
                    */
    SLICE_SUM,     /* the sum is not the number of rows; nothing of the slice is left, unless it
                      rolls back */
};

struct slice_result {
    enum slice_outcome outcome;
    size_t done;
    bool exists;      /* INSERT: a unique index has the row, or another one with its key; also with
                         an error of an UPDATE */
    uint64_t matched; /* UPDATE, DELETE: rows found; where it is more than one, all are changed */
    /* With an error: */
    size_t failed; /* the row that it concerns; nrows: not known */
    bool undone;   /* nothing of the slice is left, and the transaction goes on */
    bool gone;     /* the error ended the transaction; `exists` says whether it was that of a row
                      that is there */
};

/* ---- the operations ---- */

/* Connects, creates our two tables if they are missing (not under look_only; recall then finds
 * nothing), and describes the driver. Temporary errors while the target is unreachable. */
typedef int driver_open_fn(const struct driver_config *config, struct driver **driver,
                           struct driver_traits *traits, struct err *err);
typedef void driver_close_fn(struct driver *d);

/* Abandons whatever is open and makes begin possible again, reconnecting if necessary. No statement
 * is kept when it is called. */
typedef int driver_reset_fn(struct driver *d, struct driver_traits *traits, struct err *err);

typedef int driver_begin_fn(struct driver *d, struct err *err);
/* What was done since begin is durable when it returns 0. */
typedef int driver_commit_fn(struct driver *d, struct err *err);

/*
 * Reads a row of ours, as the open transaction sees it. For the checkpoint, after begin, it reads
 * what is committed now, not an older snapshot, and nobody else can change it until the end of the
 * transaction (a locking read, or a lock that begin took). A killed predecessor may have sent a
 * COMMIT that the server has not executed yet: the lock waits for that.
 */
typedef int driver_recall_fn(struct driver *d, const struct own_key *key, struct own_row *row,
                             bool *found, struct err *err);
/* Writes a row of ours; `exists`: recall found it in this transaction. `row` NULL: deletes every
 * row of the origin. A checkpoint is written once in a transaction; the write may be delayed until
 * the commit. */
typedef int driver_remember_fn(struct driver *d, const struct own_key *key,
                               const struct own_row *row, bool exists, struct err *err);

/* Appends the name of a relation's table at the target: usable as SQL, and the table's key for
 * everything else. */
typedef int driver_name_fn(struct driver *d, const struct relation *rel, struct buf *out,
                           struct err *err);

/*
 * Appends the type of a column of the relation in a table of ours, without NULL or NOT NULL.
 * *caveat: which values of the source such a column cannot hold, as --check reports it; NULL: none.
 */
typedef void driver_declare_fn(struct driver *d, const struct relation *rel, uint32_t column,
                               struct buf *out, const char **caveat);

/* What of describe() is wanted, and from where. */
struct describe_how {
    bool rows;    /* whether there are any; otherwise `empty` is not set */
    bool more;    /* what else it has; otherwise `has_more` is not set */
    bool changed; /* by the open transaction: they are to be looked for in it */
};

/* Reads the present state of the table of that name, all at once. The caller has called
 * described_init() for `out`, and calls described_free(), also after an error. A missing table is
 * not an error. Rules that it cannot read cheaply are not `known`. */
typedef int driver_describe_fn(struct driver *d, const char *name, const struct describe_how *how,
                               struct described_table *out, struct err *err);

/* How a column of the relation goes with one of the target. */
struct fit {
    int form;   /* the driver's own: how values are bound or written */
    bool holds; /* no value of the source's type is too large for it */
    bool alone; /* no UPDATE that writes it shares a slice */
};

/*
 * Checks that the target's column keeps every value of `c` that it accepts unchanged. `identity`:
 * rows are found by this column, so different values must not be equal there. Permanent error that
 * names the column and what it should be.
 */
typedef int driver_fit_fn(struct driver *d, const struct column *c,
                          const struct described_column *there, bool identity, struct fit *fit,
                          struct err *err);

/* Carries out a step of a plan. If `show` is not NULL, it appends the statements instead, each
 * ended by ";\n", and changes nothing; `show` may already hold others. */
typedef int driver_change_fn(struct driver *d, const struct step *step, struct buf *show,
                             struct err *err);

/* Executes a slice; `result` is zeroed before. */
typedef int driver_execute_fn(struct driver *d, const struct slice *slice,
                              struct slice_result *result, struct err *err);

/* Empties tables, in any order. `cascade`: the source sent every published table that it emptied;
 * sequences are not replicated. *failed: which of them an error is of; ntables before. */
typedef int driver_truncate_fn(struct driver *d, struct target_table *const *tables, size_t ntables,
                               bool cascade, bool restart_identity, size_t *failed,
                               struct err *err);

/*
 * The result of reading back a value of the source from a column of the table, after execute has
 * written it. `room` is for text that is generated. A value that execute would refuse is
 * STORED_NOTHING. Fails only if memory runs out.
 */
typedef int driver_stores_fn(struct driver *d, const struct target_table *table, uint32_t column,
                             const struct value *v, char room[STORED_ROOM], struct stored *out,
                             struct err *err);

/* A row that was read: a value for each column of the relation, borrowed for the call. */
typedef int driver_row_fn(void *ctx, const struct stored *row, struct err *err);

/* Reads every row that is committed when it begins, in any order, without loading all of them into
 * memory. Outside transactions; ends with the first error of `fn`. */
typedef int driver_read_fn(struct driver *d, const struct target_table *table, driver_row_fn *fn,
                           void *ctx, struct err *err);

/* Reports on the server and on this user's privileges; `ddl`: also for creating and changing
 * tables. It fails only if it cannot find out. */
typedef int driver_check_fn(struct driver *d, bool ddl, struct report *report, struct err *err);

struct driver_ops {
    const char *name;        /* "mysql": of the program apply-mysql */
    const char *title;       /* "MySQL": in messages */
    const char *uri_help;    /* forms of --dest, for --help */
    const char *uri_example; /* one that works, but for its names */

    driver_open_fn *open;
    driver_close_fn *close;
    driver_reset_fn *reset;
    driver_begin_fn *begin;
    driver_commit_fn *commit;
    driver_recall_fn *recall;
    driver_remember_fn *remember;
    driver_name_fn *table_name;
    driver_declare_fn *declare;
    driver_describe_fn *describe;
    driver_fit_fn *fit;
    driver_change_fn *change;
    driver_execute_fn *execute;
    driver_truncate_fn *truncate;
    driver_check_fn *check;

    /* To compare; NULL: what is in the target cannot be read back. */
    driver_stores_fn *stores;
    driver_read_fn *read;
};

/* The operations of a struct driver_ops, by the names of a driver's functions: my_open, my_close,
 * … of DRIVER_OPERATIONS(my). */
#define DRIVER_OPERATIONS(prefix)                                                                  \
    .open = prefix##_open, .close = prefix##_close, .reset = prefix##_reset,                       \
    .begin = prefix##_begin, .commit = prefix##_commit, .recall = prefix##_recall,                 \
    .remember = prefix##_remember, .table_name = prefix##_table_name, .declare = prefix##_declare, \
    .describe = prefix##_describe, .fit = prefix##_fit, .change = prefix##_change,                 \
    .execute = prefix##_execute, .truncate = prefix##_truncate, .check = prefix##_check

#endif
