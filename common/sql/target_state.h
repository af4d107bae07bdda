/*
 * target_state.h - what the parts of a target (target.h) share; for them alone.
 */
#ifndef PG2ANY_SQL_TARGET_STATE_H
#define PG2ANY_SQL_TARGET_STATE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/err.h"
#include "frames/relation.h"
#include "sql/described.h"
#include "sql/own.h"
#include "sql/run.h"
#include "sql/schema_plan.h"

/* A default of a column that was added beside the open transaction, whose rows need it until they
 * are committed. */
struct default_left {
    struct default_left *next;
    char *table;
    struct relation *rel;
    uint32_t column;
};

struct target {
    struct runner runner;
    bool in_transaction;
    uint64_t transaction; /* a number for the open one */
    bool has_checkpoint;  /* its origin */

    /* Of a driver whose schema changes commit: */
    char **changed; /* the tables that the open transaction has changed */
    size_t nchanged, changed_cap;
    struct buf repeated; /* the column that was altered before the group was repeated */
    struct buf made;     /* tables that were made beside it, each ended by a zero byte */
    bool copy_mends;     /* what the last change was refused for */
    struct default_left *defaults;
};

/* Of pg2any_relation; an error says what it is of. */
MUST_CHECK int target_recall(struct target *t, const struct own_key *key, struct own_row *row,
                             bool *found, struct err *err);
MUST_CHECK int target_remember(struct target *t, const char *origin, const struct own_row *row,
                               bool exists, struct err *err);

/* A table as it is now, in the place of what `out` held. `rows`: whether there are any, too. */
MUST_CHECK int target_describe(struct target *t, const char *name, bool rows,
                               struct described_table *out, struct err *err);

/* Whether the open transaction has changed a table, as far as that matters; that it has. */
bool target_is_changed(const struct target *t, const char *name);
MUST_CHECK int target_mark_changed(struct target *t, struct target_table *table, struct err *err);

void target_free_default(struct default_left *d);

/* Carries out a plan, and says so. */
MUST_CHECK int target_carry_out(struct target *t, struct relation *rel,
                                const struct schema_plan *plan, struct err *err);

/* Says which step it was that failed; -1. */
int target_step_failed(const struct step *s, struct err *err);

/* Whether a plan has made that table, though the transaction that was to remember it was given up.
 */
bool target_is_made(const struct target *t, const char *table);

/* Carries out a step, in the open transaction or beside it. `defaults_of`: the relation whose new
 * column keeps its default until the transaction is committed; NULL: none does. */
MUST_CHECK int target_change(struct target *t, const struct step *s, struct relation *defaults_of,
                             struct err *err);

/* The name of the table that a copy is made in beside the relation's. */
MUST_CHECK int target_name_beside(struct target *t, const struct relation *rel, struct buf *out,
                                  struct err *err);

#endif
