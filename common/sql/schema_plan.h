/*
 * schema_plan.h - what must be done to a target table so that it matches its relation: a list of
 * steps, or the reason to stop. Pure: no database, no clock, no log.
 *
 * pgoutput sends nothing when a schema changes; a new Relation message precedes the next row. No
 * message says what became of the existing rows. So the rules are: compare with what the target
 * remembers of the relation, follow changes that leave no doubt about the existing rows, stop at
 * everything else.
 */
#ifndef PG2ANY_SCHEMA_PLAN_H
#define PG2ANY_SCHEMA_PLAN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"
#include "frames/relation.h"
#include "sql/described.h"

/* --ddl: what may be done to the target's tables. */
enum ddl_policy { DDL_NONE, DDL_CREATE, DDL_EVOLVE };

enum step_kind {
    STEP_CREATE_TABLE,
    STEP_RENAME_TABLE,
    STEP_DROP_COLUMN,
    STEP_RENAME_COLUMN,
    STEP_WIDEN_COLUMN, /* gives it the type that the relation asks for; values stay what they are */
    STEP_ADD_COLUMN,   /* with FILL_VALUE the rows that are there get the value, otherwise NULL */
    STEP_DROP_DEFAULT, /* by which a column that was added got its value */
    STEP_CREATE_INDEX, /* of no plan: wanted_index.h */
    /* Never shown: */
    STEP_DROP_TABLE,
    STEP_REPLACE_TABLE, /* the table gets the name `to`, and at once the one called `name` goes */
};

struct wanted_index;

struct step {
    enum step_kind kind;
    const char *table; /* its name when the step comes */
    const char *name;  /* of a column to drop or to rename, as the relation had it; of a table that
                          goes, NULL: there is none */
    const char *to;    /* the new name of a table or column */
    const char *aside; /* where a table that goes is put, to be dropped later, by a driver whose
                          changes commit */
    bool no_container; /* what a table is to be in, made or renamed, is not there either */
    const struct relation *rel;
    uint32_t column;                     /* of the relation: to widen, to add, whose default goes */
    const struct described_table *there; /* what the table was before the first step */
    const struct wanted_index *index;    /* to create; what of it the target has */
};

struct schema_plan {
    size_t n;
    struct step *steps;
    bool aside;   /* the table of another relation that had the name is elsewhere then */
    bool unknown; /* with an error: what rows hold, or where they are, is not known; a copy of the
                     table would mend that */
};

/* What the driver knows of types; pure as well. */
struct plan_types {
    void *ctx;
    /* Whether a column of both would be declared alike. */
    bool (*same)(void *ctx, const struct column *a, const struct column *b);
    /* Whether the target's column takes every value of one of the relation as it is, and none is
     * too large for it. */
    bool (*holds)(void *ctx, const struct column *c, const struct described_column *there);
    bool widens; /* traits of the driver: see driver.h */
    size_t default_bytes;
};

struct plan_input {
    enum ddl_policy policy;
    const struct relation *is;      /* the source now, as far as it is proven: relation_proof.h */
    const struct relation *claimed; /* what the catalog says of its columns' names; NULL: nothing */
    const char *name;               /* of its table at the target */

    const struct relation *was; /* what the target remembers, likewise; NULL: nothing */
    const char *was_name;       /* of the table then */
    bool may_await; /* a copy, which will mend what is unknown: there is nothing to do */
    bool emptied;   /* all rows of the table are about to be replaced */
    uint32_t owner; /* the relid that the target remembers for `name`; 0: none. Asked for where the
                       relation is new or was renamed */

    const struct described_table *there;     /* the table of that name, with `empty` where
                                                schema_plan_needs_rows() says so */
    const struct described_table *was_there; /* that of was_name, where it is another */

    /* The name has gone over to this relation at the source: where the owner's table may go, which
     * was renamed or dropped there, and what is there. NULL: nobody knows that it has. */
    const char *aside;
    const struct described_table *aside_there;
    struct plan_types types;
};

/*
 * Makes the plan; free it with schema_plan_free(). It points into the input. Permanent error, with
 * advice, if the table cannot be made to match; ERR_TEMPORARY if memory runs out.
 */
MUST_CHECK int schema_plan_make(const struct plan_input *in, struct schema_plan *plan,
                                struct err *err);
void schema_plan_free(struct schema_plan *plan);

/* A plan for a new table of the relation, of that name, whatever `there` is. */
MUST_CHECK int schema_plan_make_beside(const struct relation *rel, const char *name,
                                       const struct described_table *there,
                                       struct schema_plan *plan, struct err *err);

/* Whether a table that we created for the relation is unchanged, so that only its rows are lost
 * with it. `there` with `has_more`. */
bool schema_plan_is_as_made(const struct relation *rel, const struct described_table *there);

/* Whether the plan may add a column to the table, so that it matters whether the table has rows. A
 * new column may be missing even if its name exists: the column that has the name may be dropped.
 * */
bool schema_plan_needs_rows(const struct relation *is, const struct relation *was,
                            const struct described_table *there);

/* Adds to an error what to do if a table must be corrected by hand; returns -1. */
int schema_plan_stop(const char *table, const struct relation *rel, struct err *err);

/* Whether values written as the old type read the same as the new one. */
bool schema_type_kept(const struct column *was, const struct column *is);

#endif
