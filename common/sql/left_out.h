/*
 * left_out.h - relations whose changes are not applied to this target (skip_tables.h), and their
 * mark in pg2any_relation.
 *
 * The row of such a relation has a line of text before its frame: since when, and the name that it
 * had then. It is written in the transaction that leaves the first change out, and only a person
 * removes it, because nobody else knows what the table at the target lacks. The row's other fields
 * stay, so that later relations recognize their predecessor.
 */
#ifndef PG2ANY_LEFT_OUT_H
#define PG2ANY_LEFT_OUT_H

#include <stdbool.h>
#include <stdint.h>

#include "base/err.h"
#include "frames/relation.h"
#include "sql/driver.h"
#include "sql/own.h"
#include "sql/skip_tables.h"

struct left_out {
    const struct driver_ops *ops;
    struct driver *driver;
    const char *origin;       /* NULL: nothing is remembered */
    struct table_names *skip; /* NULL: none */
    const struct relation *rel;
    struct own_row *memory; /* what the target remembers of it, */
    bool known;             /* if it does */
};

/* Whether that is what pg2any_relation has in the place of a frame. */
bool left_out_is_marked(const struct buf *frame);

/*
 * Whether changes of the relation must be left out: by its name, or, if some were left out already,
 * by its name at that time. A permanent error if some were left out, and these would not be.
 */
MUST_CHECK int left_out_decide(const struct left_out *l, bool *leave_out, struct err *err);

/* Whether the row is that of a relation that was never bound to a table. */
bool left_out_is_unbound(struct own_row *row);

/* Takes the line away that says so. */
void left_out_clear(struct buf *frame);

/* Remembers that they are until a copy comes (copied.h), since the commit at that LSN; `first`: in
 * a target that gets copies of the table anyhow. */
MUST_CHECK int left_out_until_copied(const struct left_out *l, uint64_t commit_lsn, bool first,
                                     struct err *err);

/* The same of a table that is set aside: until a person asks for the copy, and why. `keep`: they go
 * into a file (copied.h), as far as none was left out before. */
MUST_CHECK int left_out_aside(const struct left_out *l, uint64_t commit_lsn, bool first,
                              const char *why, bool keep, struct err *err);

/* Remembers that they are, since the commit at that LSN or an earlier one. None of them is in a
 * file. */
MUST_CHECK int left_out_remember(const struct left_out *l, uint64_t commit_lsn, struct err *err);

#endif
