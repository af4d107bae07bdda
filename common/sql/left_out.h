/*
 * left_out.h - relations whose changes do not go into this target (skip_tables.h): whether one is,
 * and what pg2any_relation says of that.
 *
 * The row of such a relation has a line of text before its frame: since when, and the name that it
 * had then. It is written in the transaction that leaves the first change out, and nobody but a
 * person takes it away: what the table at the target lacks is known to nobody else. The row's other
 * fields stay as they were, by which others know it as their predecessor.
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
 * Whether changes of the relation are to be left out: by its name, or, where some were left out
 * already, by the name that it had then. A permanent error where some were, and these are not to
 * be.
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
