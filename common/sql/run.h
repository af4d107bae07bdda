/*
 * run.h - writes a run of rows into a table: in slices that the driver executes at once, row by row
 * if that is needed to find a faulty one, with conflicts handled by policy.
 *
 * A slice consists of consecutive rows that one statement takes; for UPDATE, rows that write the
 * same columns. A driver that knows only a sum gets UPDATE and DELETE in slices only if each row is
 * found by a unique index, so that an extra row cannot hide a missing one. If the sum is wrong, or
 * a row was refused, the rows of the slice are sent one by one: that finds the row, and the
 * conflict.
 *
 * If partitions may have their own replica identities, consecutive rows that are found by the same
 * columns form a run.
 *
 * If an error ends the target's transaction, the group is repeated, with the rows of that table one
 * by one until the next commit. If the loop cannot repeat it, all rows belong to one source
 * transaction, and the error names that.
 */
#ifndef PG2ANY_SQL_RUN_H
#define PG2ANY_SQL_RUN_H

#include <stdbool.h>
#include <stddef.h>

#include "base/err.h"
#include "sql/conflicts.h"
#include "sql/driver.h"
#include "sql/key_set.h"
#include "sql/table.h"

struct run {
    enum change_kind kind;
    struct target_table *table;
    const struct row_change *rows; /* in the order of the source; later rows may concern the same
                                      key */
    size_t nrows;
    struct conflicts *conflicts;
    /* Rows of the table may be newer than these (copied.h): an INSERT replaces one that is there,
     * an UPDATE or DELETE of one that is not is nothing. */
    bool settling;
    /* Where rows can be read again: gets the keys of those that have to be (row_key.h). NULL: they
     * cannot. */
    struct buf *lacks;
    bool repeatable; /* the loop still holds the group: after ERR_RETRY the rows come again */
    /* The same, in the order of the source: what is wrong is found then, and an error only says
     * that something is. */
    bool planned;
    size_t failed; /* set with an error: the row it concerns, or nrows: not one row */
    /* Set with an error: a row cannot be brought to what it has to be while the table settles; the
     * transaction goes on. */
    bool unsettled;
    bool conflict; /* set with an error: it is one */
};

/* What executes runs: a connection, and what is kept for it. */
struct runner {
    const struct driver_ops *ops;
    struct driver *driver;
    struct driver_traits traits;
    struct statements statements;
    char *careful; /* the table whose rows go one by one until the next commit; NULL: none */
    struct key_set keys;
};

MUST_CHECK int runner_apply(struct runner *r, struct run *run, struct err *err);

/* Gives up the statements of a table and its variants. */
void runner_forget(struct runner *r, struct target_table *t);

/* The transaction that was repeated is committed. */
void runner_committed(struct runner *r);

#endif
