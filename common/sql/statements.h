/*
 * statements.h - the statements that a connection keeps: one for each table, kind of change, number
 * of rows and set of columns, made when it is first needed. One bound for all of them together,
 * because servers have one for all (MySQL: max_prepared_stmt_count): what was used longest ago is
 * given up for a new one.
 *
 * A driver puts `struct statement` at the beginning of a struct of its own, and gives the function
 * that frees that.
 */
#ifndef PG2ANY_STATEMENTS_H
#define PG2ANY_STATEMENTS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"

#define STATEMENTS_MAX 400

/* Those of one table. */
struct statement_list {
    struct statement *first;
    size_t ncolumns; /* of the relation */
};

/* What a statement is for. */
struct statement_key {
    struct statement_list *list;
    int kind; /* the driver's own: an INSERT, a DELETE, … */
    uint32_t nrows;
    const uint8_t *columns; /* a flag for each column of the relation; NULL: the kind says it */
};

struct statement {
    struct statement_list *list;
    struct statement *next;          /* of the same table */
    struct statement *newer, *older; /* by when they were used last */
    int kind;
    uint32_t nrows;
    uint8_t *columns;
};

struct statements {
    size_t n, max;
    struct statement *newest, *oldest;
    void (*free)(struct statement *s); /* what the driver made of it; frees the struct too */
};

void statements_init(struct statements *all, void (*free)(struct statement *s), size_t max);

/* NULL: there is none yet. */
struct statement *statements_find(struct statements *all, const struct statement_key *key);

/* Keeps one, giving up others; after an error it is freed. */
MUST_CHECK int statements_add(struct statements *all, const struct statement_key *key,
                              struct statement *s, struct err *err);

/* The server has no room for one more: gives up all, and keeps half as many from now on. False:
 * there were none. */
bool statements_shrink(struct statements *all);

/* Gives up those of a table, and all of them. */
void statements_forget(struct statements *all, struct statement_list *list);
void statements_clear(struct statements *all);

#endif
