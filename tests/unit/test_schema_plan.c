/*
 * common/sql/schema_plan.c: what a target remembers, what the source is now, what the table is and
 * what is allowed, against the steps or the reason to stop.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/buf.h"
#include "frames/pg_type.h"
#include "relation_spec.h"
#include "sql/schema_plan.h"

#define LENGTH(a) (sizeof(a) / sizeof *(a))

struct plan_case {
    struct relation_spec was, is; /* what the target remembers, as of table t; what is now */
    const char *there;     /* columns of the table; NULL: there is none. "a*": it takes any type */
    const char *was_there; /* of the table of the old name, where that is another */
    uint32_t owner;
    bool gone_over;    /* the owner had the name at the source before */
    const char *aside; /* columns of a table aside */
    enum ddl_policy policy;
    bool empty, folds, widens, fills;
    const char *plan, *error; /* one of them */
};

static const struct plan_case cases[] = {
    /* Met for the first time. */
    {.is = {"t id/1/int4 a/2/text b/3/text", 1, 0},
     .policy = DDL_NONE,
     .error = "the target has no table t (create it"},
    {.is = {"t id/1/int4 a/2/text b/3/text", 1, 0}, .policy = DDL_CREATE, .plan = "create t"},
    {.is = {"t id/1/int4 a/2/text b/3/text", 1, 0}, .policy = DDL_EVOLVE, .plan = "create t"},
    {.is = {"t id/1/int4 a/2/text b/3/text", 1, 0},
     .there = "id a b",
     .policy = DDL_NONE,
     .plan = ""},
    {.is = {"t id/1/int4 a/2/text b/3/text", 1, 0},
     .there = "id a b",
     .policy = DDL_CREATE,
     .plan = ""},
    {.is = {"t id/1/int4 a/2/text b/3/text", 1, 0},
     .there = "id a b",
     .policy = DDL_EVOLVE,
     .plan = ""},
    {.is = {"t id/1/int4 a/2/text b/3/text", 1, 0},
     .there = "id a",
     .policy = DDL_NONE,
     .empty = true,
     .error = "has no column b (add it"},
    {.is = {"t id/1/int4 a/2/text b/3/text", 1, 0},
     .there = "id a",
     .policy = DDL_CREATE,
     .empty = true,
     .error = "has no column b (add it"},
    {.is = {"t id/1/int4 a/2/text b/3/text", 1, 0},
     .there = "id a",
     .policy = DDL_EVOLVE,
     .empty = true,
     .plan = "add t b"},
    {.is = {"t id/1/int4 a/2/text b/3/text", 1, 0},
     .there = "id",
     .policy = DDL_EVOLVE,
     .empty = true,
     .plan = "add t a; add t b"},
    {.is = {"t id/1/int4 a/2/text b/3/text/?", 1, 0},
     .there = "id a",
     .policy = DDL_EVOLVE,
     .empty = true,
     .plan = "add t b"},
    {.is = {"t id/1/int4 a/2/text b/3/text/=5", 1, 0},
     .there = "id a",
     .policy = DDL_EVOLVE,
     .fills = true,
     .empty = true,
     .plan = "add t b; default t b"},
    {.is = {"t id/1/int4 a/2/text b/3/text", 1, 0},
     .there = "id a",
     .policy = DDL_EVOLVE,
     .error = "has rows, but no column b"},
    {.is = {"t id/1/int4 a/2/text b/3/text/=5", 1, 0},
     .there = "id a",
     .policy = DDL_EVOLVE,
     .error = "has rows, but no column b"},
    {.is = {"t id/1/int4 a/2/text b/3/text", 1, 0},
     .there = "id a b x y",
     .policy = DDL_EVOLVE,
     .plan = ""},
    {.is = {"t id/1/int4 a/2/text b/3/text", 1, 0},
     .there = "ID A b",
     .policy = DDL_EVOLVE,
     .folds = true,
     .plan = ""},
    {.is = {"t id/1/int4 a/2/text b/3/text", 1, 0},
     .there = "ID a b",
     .policy = DDL_EVOLVE,
     .empty = true,
     .plan = "add t id"},
    {.is = {"t id/1/int4 a/2/text b/3/text", 1, 0},
     .there = "id a b",
     .owner = 8,
     .policy = DDL_EVOLVE,
     .error = "belongs to another relation, with relid 8: two tables map to one name"},
    {.is = {"t id/1/int4 a/2/text A/3/text", 1, 0},
     .there = "id a",
     .empty = true,
     .folds = true,
     .policy = DDL_EVOLVE,
     .error = "takes the names of the columns a and A for the same"},
    {.was = {"t id/1/int4 a/2/text", 1, 0},
     .is = {"t id/1/int4 a/2/text A/3/text", 1, 0},
     .there = "id a",
     .folds = true,
     .policy = DDL_EVOLVE,
     .error = "takes the names of the columns a and A for the same"},
    {.was = {"t id/1/int4 a/2/text", 1, 0},
     .is = {"t id/1/int4 A/2/text a/3/text", 1, 0},
     .there = "id a",
     .folds = true,
     .policy = DDL_EVOLVE,
     .error = "for the same"},
    {.is = {"t id/1/int4 a/2/text A/3/text", 1, 0},
     .there = "id a",
     .empty = true,
     .policy = DDL_EVOLVE,
     .plan = "add t A"},
    /* The name has gone over to the relation at the source. */
    {.is = {"t id/1/int4 a/2/text", 1, 0},
     .there = "id a",
     .owner = 8,
     .gone_over = true,
     .policy = DDL_EVOLVE,
     .plan = "table t aside; create t"},
    {.is = {"t id/1/int4 a/2/text", 1, 0},
     .there = "id a",
     .owner = 8,
     .gone_over = true,
     .policy = DDL_CREATE,
     .error = "was renamed, or dropped, and another one has its name now"},
    {.is = {"t id/1/int4 a/2/text", 1, 0},
     .owner = 8,
     .gone_over = true,
     .policy = DDL_EVOLVE,
     .plan = "create t"},
    /* As much of it as a crash has left. */
    {.is = {"t id/1/int4 a/2/text", 1, 0},
     .owner = 8,
     .gone_over = true,
     .aside = "id a",
     .policy = DDL_EVOLVE,
     .plan = "create t"},
    {.is = {"t id/1/int4 a/2/text", 1, 0},
     .there = "id a",
     .owner = 8,
     .gone_over = true,
     .aside = "id a",
     .policy = DDL_EVOLVE,
     .plan = ""},
    {.was = {"t id/1/int4 a/2/text", 1, 0},
     .is = {"u id/1/int4 a/2/text", 1, 0},
     .there = "id a",
     .was_there = "id a",
     .owner = 8,
     .gone_over = true,
     .policy = DDL_EVOLVE,
     .plan = "table u aside; table t u"},
    {.was = {"t id/1/int4 a/2/text", 1, 0},
     .is = {"u id/1/int4 a/2/text", 1, 0},
     .there = "id a",
     .owner = 8,
     .gone_over = true,
     .aside = "id a",
     .policy = DDL_EVOLVE,
     .plan = ""},
    {.is = {"t id/1/int4 a/2/text b/3/text", 1, 0},
     .owner = 8,
     .policy = DDL_EVOLVE,
     .error = "belongs to another relation, with relid 8"},
    {.is = {"t", 0, 0}, .policy = DDL_EVOLVE, .plan = "create t"},
    /* Nothing changed, or nothing that matters. */
    {.was = {"t id/1/int4 a/2/text b/3/text", 1, 0},
     .is = {"t id/1/int4 a/2/text b/3/text", 1, 0},
     .there = "id a b",
     .policy = DDL_NONE,
     .plan = ""},
    {.was = {"t id/1/int4 a/2/text b/3/text", 1, 0},
     .is = {"t id/1/int4 a/2/text b/3/text", 1, 0},
     .there = "id a b",
     .policy = DDL_CREATE,
     .plan = ""},
    {.was = {"t id/1/int4 a/2/text b/3/text", 1, 0},
     .is = {"t id/1/int4 a/2/text b/3/text", 1, 0},
     .there = "id a b",
     .policy = DDL_EVOLVE,
     .plan = ""},
    {.was = {"t id/1/int4 a/2/text b/3/text", 1, 0},
     .is = {"t id/1/int4 b/3/text a/2/text", 1, 0},
     .there = "id a b",
     .policy = DDL_NONE,
     .plan = ""},
    {.was = {"t id/1/int4 a/2/text b/3/text", 1, 0},
     .is = {"t id/1/int4 a/2/text b/3/text", -1, 0},
     .there = "id a b",
     .policy = DDL_NONE,
     .plan = ""},
    {.was = {"t id/1/int4 a/2/text b/3/text", -1, 0},
     .is = {"t id/1/int4 a/2/text b/3/text", 1, 0},
     .there = "id a b",
     .policy = DDL_NONE,
     .plan = ""},
    {.was = {"t id/1/int4 a/2/text b/3/text", 1, 0},
     .is = {"t id/1/int4 a/0/text b/3/text", 1, 0},
     .there = "id a b",
     .policy = DDL_EVOLVE,
     .plan = ""},
    {.was = {"t id/1/int4 a/2/text b/3/text", 1, 0},
     .is = {"t id/1/int4 a/2/text", 1, 0},
     .policy = DDL_EVOLVE,
     .error = "the target table t is gone, and its rows with it (mend"},
    {.was = {"t id/1/int4 a/2/text b/3/text", 1, 0},
     .is = {"t id/1/int4 a/2/text b/3/text", 1, 0},
     .policy = DDL_NONE,
     .error = "the target table t is gone"},
    /* Columns added. */
    {.was = {"t id/1/int4 a/2/text b/3/text", 1, 0},
     .is = {"t id/1/int4 a/2/text b/3/text c/4/text", 1, 0},
     .there = "id a b",
     .policy = DDL_EVOLVE,
     .plan = "add t c"},
    {.was = {"t id/1/int4 a/2/text b/3/text", 1, 0},
     .is = {"t id/1/int4 a/2/text b/3/text c/4/text/=5", 1, 0},
     .there = "id a b",
     .policy = DDL_EVOLVE,
     .plan = "add t c"},
    {.was = {"t id/1/int4 a/2/text b/3/text", 1, 0},
     .is = {"t id/1/int4 a/2/text b/3/text c/4/text/=5", 1, 0},
     .there = "id a b",
     .policy = DDL_EVOLVE,
     .fills = true,
     .plan = "add t c; default t c"},
    {.was = {"t id/1/int4 a/2/text b/3/text", 1, 0},
     .is = {"t id/1/int4 a/2/text b/3/text c/4/text d/5/int4/=1", 1, 0},
     .there = "id a b",
     .policy = DDL_EVOLVE,
     .fills = true,
     .plan = "add t c; add t d; default t d"},
    {.was = {"t id/1/int4 a/2/text b/3/text", 1, 0},
     .is = {"t id/1/int4 a/2/text b/3/text c/4/text/?", 1, 0},
     .there = "id a b",
     .policy = DDL_EVOLVE,
     .error = "does not say what it holds in the rows that were there before"},
    {.was = {"t id/1/int4 a/2/text b/3/text", 1, 0},
     .is = {"t id/1/int4 a/2/text b/3/text c/4/text/?", 1, 0},
     .there = "id a b",
     .policy = DDL_EVOLVE,
     .empty = true,
     .plan = "add t c"},
    {.was = {"t id/1/int4 a/2/text b/3/text", 1, 0},
     .is = {"t id/1/int4 a/2/text b/3/text c/4/text", 1, 0},
     .there = "id a b",
     .policy = DDL_NONE,
     .error = "has no column c"},
    {.was = {"t id/1/int4 a/2/text b/3/text", 1, 0},
     .is = {"t id/1/int4 a/2/text b/3/text c/4/text", 1, 0},
     .there = "id a b",
     .policy = DDL_CREATE,
     .error = "has no column c"},
    {.was = {"t id/1/int4 a/2/text b/3/text", 1, 0},
     .is = {"t id/1/int4 a/2/text b/3/text c/4/text/?", 1, 0},
     .there = "id a b c",
     .policy = DDL_NONE,
     .plan = ""},
    {.was = {"t id/1/int4 a/2/text b/3/text", 1, 0},
     .is = {"t id/1/int4 a/2/text b/3/text c/4/text/?", 1, 0},
     .there = "id a b C",
     .policy = DDL_EVOLVE,
     .folds = true,
     .plan = ""},
    {.was = {"t id/1/int4 a/2/text b/3/text", 1, 0},
     .is = {"t id/1/int4 a/2/text b/3/text c/4/text", 1, 0},
     .there = "id a b C",
     .policy = DDL_EVOLVE,
     .plan = "add t c"},
    {.was = {"t id/1/int4 a/2/text b/3/text", 1, 0},
     .is = {"t id/1/int4 a/0/text b/0/text c/0/text/?", 1, 0},
     .there = "id a b",
     .policy = DDL_EVOLVE,
     .error = "does not say what it holds"},
    {.was = {"t id/1/int4 a/2/text b/3/text", 1, 0},
     .is = {"t id/1/int4 a/0/text b/0/text c/0/text", 1, 0},
     .there = "id a b",
     .policy = DDL_EVOLVE,
     .plan = "add t c"},
    /* Columns dropped. */
    {.was = {"t id/1/int4 a/2/text b/3/text", 1, 0},
     .is = {"t id/1/int4 b/3/text", 1, 0},
     .there = "id a b",
     .policy = DDL_EVOLVE,
     .plan = "drop t a"},
    {.was = {"t id/1/int4 a/2/text b/3/text", 1, 0},
     .is = {"t id/1/int4", 1, 0},
     .there = "id a b",
     .policy = DDL_EVOLVE,
     .plan = "drop t a; drop t b"},
    {.was = {"t id/1/int4 a/2/text b/3/text", 1, 0},
     .is = {"t id/1/int4 b/3/text", 1, 0},
     .there = "id a b",
     .policy = DDL_NONE,
     .plan = ""},
    {.was = {"t id/1/int4 a/2/text b/3/text", 1, 0},
     .is = {"t id/1/int4 b/3/text", 1, 0},
     .there = "id a b",
     .policy = DDL_CREATE,
     .plan = ""},
    {.was = {"t id/1/int4 a/2/text b/3/text", 1, 0},
     .is = {"t id/1/int4 b/3/text", 1, 0},
     .there = "id b",
     .policy = DDL_EVOLVE,
     .plan = ""},
    {.was = {"t id/1/int4 a/2/text b/3/text", 1, 0},
     .is = {"t id/1/int4 b/3/text a/4/text/=5", 1, 0},
     .there = "id a b",
     .policy = DDL_EVOLVE,
     .plan = "drop t a; add t a"},
    {.was = {"t id/1/int4 a/2/text b/3/text", 1, 0},
     .is = {"t id/1/int4 b/3/text a/4/text/?", 1, 0},
     .there = "id a b",
     .policy = DDL_EVOLVE,
     .error = "does not say what it holds"},
    {.was = {"t id/1/int4 a/2/text b/3/text", 1, 0},
     .is = {"t id/1/int4 b/3/text a/4/text/?", 1, 0},
     .there = "id a b",
     .policy = DDL_EVOLVE,
     .empty = true,
     .plan = "drop t a; add t a"},
    {.was = {"t id/1/int4 a/2/text b/3/text", 1, 0},
     .is = {"t id/1/int4 b/3/text a/4/text/=5", 1, 0},
     .there = "id a b",
     .policy = DDL_NONE,
     .error = "column a was dropped, and another one now has its name"},
    {.was = {"t id/1/int4 a/2/text b/3/text", 1, 0},
     .is = {"t id/1/int4 b/3/text a/4/text/=5", 1, 0},
     .there = "id a b",
     .policy = DDL_CREATE,
     .error = "column a was dropped, and another one now has its name"},
    {.was = {"t id/1/int4 a/2/text b/3/text", 1, 0},
     .is = {"t id/1/int4 a/3/text", 1, 0},
     .there = "id a b",
     .policy = DDL_EVOLVE,
     .plan = "drop t a; rename t b a"},
    {.was = {"t id/1/int4 a/2/text b/3/text", 1, 0},
     .is = {"t id/1/int4 a/3/text", 1, 0},
     .there = "id a b",
     .policy = DDL_NONE,
     .error = "another one now has its name"},
    {.was = {"t id/1/int4 a/0/text b/3/text", 1, 0},
     .is = {"t id/1/int4 b/3/text", 1, 0},
     .there = "id a b",
     .policy = DDL_EVOLVE,
     .plan = "drop t a"},
    /* Columns renamed. */
    {.was = {"t id/1/int4 a/2/text b/3/text", 1, 0},
     .is = {"t id/1/int4 c/2/text b/3/text", 1, 0},
     .there = "id a b",
     .policy = DDL_EVOLVE,
     .plan = "rename t a c"},
    {.was = {"t id/1/int4 a/2/text b/3/text", 1, 0},
     .is = {"t id/1/int4 b/2/text c/3/text", 1, 0},
     .there = "id a b",
     .policy = DDL_EVOLVE,
     .plan = "rename t b c; rename t a b"},
    {.was = {"t id/1/int4 a/2/text b/3/text", 1, 0},
     .is = {"t id/1/int4 b/2/text a/3/text", 1, 0},
     .there = "id a b",
     .policy = DDL_EVOLVE,
     .error = "column a was renamed to b, and the target has both"},
    {.was = {"t id/1/int4 a/2/text b/3/text", 1, 0},
     .is = {"t id/1/int4 x/2/text b/3/text", 1, 0},
     .there = "id a b x",
     .policy = DDL_EVOLVE,
     .error = "column a was renamed to x, and the target has both"},
    {.was = {"t id/1/int4 a/2/text b/3/text", 1, 0},
     .is = {"t id/1/int4 c/2/text b/3/text", 1, 0},
     .there = "id a b",
     .policy = DDL_NONE,
     .error = "column a was renamed to c (rename it in the target table t"},
    {.was = {"t id/1/int4 a/2/text b/3/text", 1, 0},
     .is = {"t id/1/int4 c/2/text b/3/text", 1, 0},
     .there = "id a b",
     .policy = DDL_CREATE,
     .error = "column a was renamed to c (rename it in the target table t"},
    {.was = {"t id/1/int4 a/2/text b/3/text", 1, 0},
     .is = {"t id/1/int4 c/2/text b/3/text", 1, 0},
     .there = "id c b",
     .policy = DDL_NONE,
     .plan = ""},
    {.was = {"t id/1/int4 a/2/text b/3/text", 1, 0},
     .is = {"t id/1/int4 c/2/text b/3/text", 1, 0},
     .there = "id c b",
     .policy = DDL_EVOLVE,
     .plan = ""},
    {.was = {"t id/1/int4 a/2/text b/3/text", 1, 0},
     .is = {"t id/1/int4 A/2/text b/3/text", 1, 0},
     .there = "id a b",
     .policy = DDL_EVOLVE,
     .folds = true,
     .plan = "rename t a A"},
    {.was = {"t id/1/int4 a/2/text b/3/text", 1, 0},
     .is = {"t id/1/int4 A/2/text b/3/text", 1, 0},
     .there = "id a b",
     .policy = DDL_EVOLVE,
     .plan = "rename t a A"},
    {.was = {"t id/1/int4 a/2/text b/3/text", 1, 0},
     .is = {"t id/1/int4 c/2/text b/3/text d/4/text", 1, 0},
     .there = "id a b",
     .policy = DDL_EVOLVE,
     .plan = "rename t a c; add t d"},
    {.was = {"t id/1/int4 a/2/text b/3/text", 1, 0},
     .is = {"t id/1/int4 c/2/text d/4/text", 1, 0},
     .there = "id a b",
     .policy = DDL_EVOLVE,
     .plan = "drop t b; rename t a c; add t d"},
    {.was = {"t id/1/int4 a/2/text b/3/text", 1, 0},
     .is = {"t id/1/int4 c/2/text a/4/text", 1, 0},
     .there = "id a b",
     .policy = DDL_EVOLVE,
     .plan = "drop t b; rename t a c; add t a"},
    /* Without attnum: gone and new may be a rename. */
    {.was = {"t id/1/int4 a/2/text b/3/text", 1, 0},
     .is = {"t id/1/int4 b/3/text c/0/text", 1, 0},
     .there = "id a b",
     .policy = DDL_EVOLVE,
     .error = "no longer tells whether it was renamed"},
    {.was = {"t id/1/int4 a/0/text b/3/text", 1, 0},
     .is = {"t id/1/int4 b/3/text c/4/text", 1, 0},
     .there = "id a b",
     .policy = DDL_EVOLVE,
     .error = "no longer tells whether it was renamed"},
    {.was = {"t id/1/int4 a/0/text b/3/text", 1, 0},
     .is = {"t id/1/int4 a/2/text b/3/text", 1, 0},
     .there = "id a b",
     .policy = DDL_EVOLVE,
     .error = "column a may be another one than before"},
    /* Types. */
    {.was = {"t id/1/int4 a/2/text b/3/text", 1, 0},
     .is = {"t id/1/int8 a/2/text b/3/text", 1, 0},
     .there = "id a b",
     .policy = DDL_EVOLVE,
     .error = "changed its type from int4 to int8; the stream does not say"},
    {.was = {"t id/1/int4 a/2/text b/3/text", 1, 0},
     .is = {"t id/1/int8 a/2/text b/3/text", 1, 0},
     .there = "id a b",
     .policy = DDL_EVOLVE,
     .widens = true,
     .plan = "widen t id"},
    {.was = {"t id/1/int4 a/2/text b/3/text", 1, 0},
     .is = {"t id/1/int8 a/2/text b/3/text", 1, 0},
     .there = "id a b",
     .policy = DDL_CREATE,
     .widens = true,
     .plan = ""},
    {.was = {"t id/1/int4 a/2/text b/3/text", 1, 0},
     .is = {"t id/1/int8 a/2/text b/3/text", 1, 0},
     .there = "id* a b",
     .policy = DDL_EVOLVE,
     .widens = true,
     .plan = ""},
    {.was = {"t id/1/int4 a/2/text b/3/text", 1, 0},
     .is = {"t key/1/int8 a/2/text b/3/text", 1, 0},
     .there = "id a b",
     .policy = DDL_EVOLVE,
     .widens = true,
     .plan = "rename t id key; widen t key"},
    {.was = {"t id/1/int8 a/2/text b/3/text", 1, 0},
     .is = {"t id/1/int4 a/2/text b/3/text", 1, 0},
     .there = "id a b",
     .policy = DDL_EVOLVE,
     .widens = true,
     .error = "changed its type from int8 to int4"},
    {.was = {"t id/1/int4 a/2/text b/3/text", 1, 0},
     .is = {"t id/1/int4 a/2/varchar(5) b/3/text", 1, 0},
     .there = "id a b",
     .policy = DDL_NONE,
     .error = "column a changed its type"},
    {.was = {"t id/1/int4 a/2/varchar(5)", 1, 0},
     .is = {"t id/1/int4 a/2/varchar(9)", 1, 0},
     .there = "id a",
     .policy = DDL_EVOLVE,
     .plan = ""},
    {.was = {"t id/1/int4 a/2/varchar(9)", 1, 0},
     .is = {"t id/1/int4 a/2/varchar(5)", 1, 0},
     .there = "id a",
     .policy = DDL_EVOLVE,
     .error = "column a changed its type from varchar(9) to varchar(5)"},
    {.was = {"t id/1/int4 a/2/varchar(5)", 1, 0},
     .is = {"t id/1/int4 a/2/text", 1, 0},
     .there = "id a",
     .policy = DDL_EVOLVE,
     .widens = true,
     .plan = "widen t a"},
    {.was = {"t id/1/int4 a/2/text b/3/text", 1, 0},
     .is = {"t id/1/int4 c/2/uuid b/3/text", 1, 0},
     .there = "id a b",
     .policy = DDL_EVOLVE,
     .error = "column c changed its type"},
    {.was = {"t id/1/int4 a/2/text b/3/text", 1, 0},
     .is = {"t id/1/int8 a/2/text b/3/text", 1, 0},
     .there = "a b",
     .policy = DDL_EVOLVE,
     .widens = true,
     .plan = ""},
    /* The primary key. */
    {.was = {"t id/1/int4 a/2/text b/3/text", 1, 0},
     .is = {"t id/1/int4 a/2/text b/3/text", 2, 0},
     .there = "id a b",
     .policy = DDL_EVOLVE,
     .error = "primary key changed (mend"},
    {.was = {"t id/1/int4 a/2/text b/3/text", 1, 0},
     .is = {"t id/1/int4 a/2/text b/3/text", 0, 0},
     .there = "id a b",
     .policy = DDL_EVOLVE,
     .error = "primary key changed"},
    {.was = {"t id/1/int4 a/2/text b/3/text", 1, 0},
     .is = {"t a/2/text id/1/int4 b/3/text", 1, 0},
     .there = "id a b",
     .policy = DDL_EVOLVE,
     .error = "primary key changed"},
    {.was = {"t id/1/int4 a/2/text b/3/text", 1, 0},
     .is = {"t key/1/int4 a/2/text b/3/text", 1, 0},
     .there = "id a b",
     .policy = DDL_EVOLVE,
     .plan = "rename t id key"},
    /* The table renamed. */
    {.was = {"t id/1/int4 a/2/text b/3/text", 1, 0},
     .is = {"u id/1/int4 a/2/text b/3/text", 1, 0},
     .was_there = "id a b",
     .policy = DDL_EVOLVE,
     .plan = "table t u"},
    {.was = {"t id/1/int4 a/2/text b/3/text", 1, 0},
     .is = {"u id/1/int4 c/2/text b/3/text", 1, 0},
     .was_there = "id a b",
     .policy = DDL_EVOLVE,
     .plan = "table t u; rename u a c"},
    {.was = {"t id/1/int4 a/2/text b/3/text", 1, 0},
     .is = {"u id/1/int4 a/2/text b/3/text c/4/text", 1, 0},
     .was_there = "id a b",
     .policy = DDL_EVOLVE,
     .plan = "table t u; add u c"},
    {.was = {"t id/1/int4 a/2/text b/3/text", 1, 0},
     .is = {"u id/1/int4 a/2/text b/3/text", 1, 0},
     .was_there = "id a b",
     .policy = DDL_NONE,
     .error = "the relation was renamed; its table in the target is t (mend"},
    {.was = {"t id/1/int4 a/2/text b/3/text", 1, 0},
     .is = {"u id/1/int4 a/2/text b/3/text", 1, 0},
     .was_there = "id a b",
     .policy = DDL_CREATE,
     .error = "the relation was renamed; its table in the target is t (mend"},
    {.was = {"t id/1/int4 a/2/text b/3/text", 1, 0},
     .is = {"u id/1/int4 a/2/text b/3/text", 1, 0},
     .there = "id a b",
     .was_there = "id a b",
     .policy = DDL_EVOLVE,
     .error = "its table in the target is t, and the new name is taken"},
    {.was = {"t id/1/int4 a/2/text b/3/text", 1, 0},
     .is = {"u id/1/int4 a/2/text b/3/text", 1, 0},
     .there = "id a b",
     .policy = DDL_NONE,
     .plan = ""},
    {.was = {"t id/1/int4 a/2/text b/3/text", 1, 0},
     .is = {"u id/1/int4 a/2/text b/3/text", 1, 0},
     .there = "id a b",
     .policy = DDL_EVOLVE,
     .plan = ""},
    {.was = {"t id/1/int4 a/2/text b/3/text", 1, 0},
     .is = {"u id/1/int4 a/2/text b/3/text", 1, 0},
     .policy = DDL_EVOLVE,
     .error = "the target table u is gone"},
    {.was = {"t id/1/int4 a/2/text b/3/text", 1, 0},
     .is = {"u id/1/int4 a/2/text b/3/text", 1, 0},
     .there = "id a b",
     .was_there = "id a b",
     .owner = 8,
     .policy = DDL_EVOLVE,
     .error = "belongs to another relation, with relid 8"},
    {.was = {"t id/1/int4 a/2/text b/3/text", 1, 0},
     .is = {"T id/1/int4 a/2/text b/3/text", 1, 0},
     .there = "id a b",
     .owner = 7,
     .policy = DDL_EVOLVE,
     .plan = ""},
    {.was = {"t id/1/int4 a/2/text b/3/text", 1, 0},
     .is = {"T id/1/int4 a/2/text b/3/text c/4/text", 1, 0},
     .there = "id a b",
     .owner = 7,
     .policy = DDL_EVOLVE,
     .plan = "add T c"},
};

static bool same_type(void *ctx, const struct column *a, const struct column *b)
{
    (void)ctx;
    return a->base_type_oid == b->base_type_oid;
}

static bool holds(void *ctx, const struct column *c, const struct described_column *there)
{
    (void)ctx;
    (void)c;
    return strcmp(there->type, "*") == 0;
}

static void make_table(const struct plan_case *c, const char *columns, struct described_table *t)
{
    described_init(t);
    if (!columns)
        return;
    char *copy = strdup(columns), *rest = copy;
    assert_non_null(copy);
    t->exists = true;
    t->empty = c->empty;
    t->folds_case = c->folds;
    for (char *name; (name = strsep(&rest, " "));) {
        char *star = strchr(name, '*');
        if (star)
            *star = '\0';
        described_add_column(t, name)->type = star ? "*" : "";
    }
    free(copy);
}

static void append_step(const struct step *s, struct buf *out)
{
    const char *column = s->rel->columns[s->column].name;
    buf_append_str(out, out->len ? "; " : "");
    switch (s->kind) {
    case STEP_CREATE_TABLE:
        buf_printf(out, "create %s", s->table);
        return;
    case STEP_RENAME_TABLE:
        buf_printf(out, "table %s %s", s->table, s->to);
        return;
    case STEP_DROP_COLUMN:
        buf_printf(out, "drop %s %s", s->table, s->name);
        return;
    case STEP_RENAME_COLUMN:
        buf_printf(out, "rename %s %s %s", s->table, s->name, s->to);
        return;
    case STEP_WIDEN_COLUMN:
        buf_printf(out, "widen %s %s", s->table, column);
        return;
    case STEP_ADD_COLUMN:
        buf_printf(out, "add %s %s", s->table, column);
        return;
    case STEP_DROP_DEFAULT:
        buf_printf(out, "default %s %s", s->table, column);
        return;
    case STEP_CREATE_INDEX:
        break;
    case STEP_DROP_TABLE:
    case STEP_REPLACE_TABLE:
        fail_msg("a step that no plan of a change has");
    }
}

static void check(size_t i, const struct plan_case *c, const struct plan_input *in)
{
    struct schema_plan plan;
    struct err err = {0};
    struct buf steps = {0};
    int rc = schema_plan_make(in, &plan, &err);
    if (c->error) {
        if (rc == 0 || err.kind != ERR_PERMANENT || !strstr(err.text, c->error))
            fail_msg("case %zu: \"%s\" does not say \"%s\"", i, err.text, c->error);
        assert_null(plan.steps);
        return;
    }
    if (rc)
        fail_msg("case %zu: %s", i, err.text);
    for (size_t s = 0; s < plan.n; s++)
        append_step(&plan.steps[s], &steps);
    if (strcmp(buf_cstr(&steps), c->plan) != 0)
        fail_msg("case %zu: \"%s\", not \"%s\"", i, buf_cstr(&steps), c->plan);
    buf_free(&steps);
    schema_plan_free(&plan);
}

static void a_plan_follows_what_leaves_no_doubt(void **state)
{
    (void)state;
    assert_true(LENGTH(cases) >= 80);
    for (size_t i = 0; i < LENGTH(cases); i++) {
        const struct plan_case *c = &cases[i];
        struct parsed_relation was = {0}, is;
        struct described_table there, was_there, aside_there;
        if (c->was.text)
            relation_spec_parse(&c->was, &was);
        relation_spec_parse(&c->is, &is);
        make_table(c, c->there, &there);
        make_table(c, c->was_there, &was_there);
        make_table(c, c->aside, &aside_there);
        const struct plan_input in = {
            .policy = c->policy,
            .is = &is.rel,
            .name = is.rel.name,
            .was = c->was.text ? &was.rel : NULL,
            .was_name = c->was.text ? "t" : NULL,
            .owner = c->owner,
            .there = &there,
            .was_there = &was_there,
            .aside = c->gone_over ? "aside" : NULL,
            .aside_there = &aside_there,
            .types = {NULL, same_type, holds, c->widens, c->fills},
        };
        check(i, c, &in);
        described_free(&there);
        described_free(&aside_there);
        described_free(&was_there);
        free(was.copy);
        free(is.copy);
    }
}

/* Only where a column may be added it matters whether there are rows. */
static void rows_matter_where_a_column_may_be_added(void **state)
{
    (void)state;
    static const struct {
        const char *there, *was;
        bool folds, matter;
    } looks[] = {
        {"id a b", NULL, false, false},
        {"id a", NULL, false, true},
        {"id a B", NULL, false, true},
        {"id a B", NULL, true, false},
        {NULL, NULL, false, false},
        {"id a b c", NULL, false, false},
        {"id a b", "t id/1/int4 a/2/text b/3/text", false, false},
        {"id a", "t id/1/int4 a/2/text", false, true},
        {"id a c", "t id/1/int4 a/2/text c/3/text", false, false}, /* renamed */
        {"id a b", "t id/1/int4 a/2/text b/4/text", false, true},  /* made again */
        {NULL, "t id/1/int4 a/2/text", false, false},
    };
    for (size_t i = 0; i < LENGTH(looks); i++) {
        const struct plan_case c = {.folds = looks[i].folds};
        struct parsed_relation is, was = {0};
        struct described_table there;
        relation_spec_parse(&(struct relation_spec){"t id/1/int4 a/2/text b/3/text", 1, 0}, &is);
        if (looks[i].was)
            relation_spec_parse(&(struct relation_spec){looks[i].was, 1, 0}, &was);
        make_table(&c, looks[i].there, &there);
        assert_int_equal(schema_plan_needs_rows(&is.rel, looks[i].was ? &was.rel : NULL, &there),
                         looks[i].matter);
        described_free(&there);
        free(is.copy);
        free(was.copy);
    }
}

/* ---- types ---- */

#define NUMERIC(p, s) (((p) << 16 | ((s)&0x7ff)) + 4)

static void a_type_is_kept_where_old_values_read_the_same(void **state)
{
    (void)state;
    static const struct {
        uint32_t was;
        int32_t was_mod;
        uint32_t is;
        int32_t is_mod;
        bool kept;
    } table[] = {
        {PG_TYPE_INT2, -1, PG_TYPE_INT4, -1, true},
        {PG_TYPE_INT2, -1, PG_TYPE_INT8, -1, true},
        {PG_TYPE_INT4, -1, PG_TYPE_INT4, -1, true},
        {PG_TYPE_INT8, -1, PG_TYPE_INT4, -1, false},
        {PG_TYPE_INT4, -1, PG_TYPE_TEXT, -1, false},
        {PG_TYPE_INT4, -1, PG_TYPE_NUMERIC, -1, false},
        {PG_TYPE_INT4, -1, PG_TYPE_BOOL, -1, false},
        {PG_TYPE_OID, -1, PG_TYPE_INT8, -1, false},
        {PG_TYPE_FLOAT4, -1, PG_TYPE_FLOAT8, -1, false}, /* 0.1 becomes 0.10000000149011612 */
        {PG_TYPE_FLOAT8, -1, PG_TYPE_FLOAT8, -1, true},
        {PG_TYPE_VARCHAR, 9, PG_TYPE_VARCHAR, 9, true},
        {PG_TYPE_VARCHAR, 9, PG_TYPE_VARCHAR, 10, true},
        {PG_TYPE_VARCHAR, 10, PG_TYPE_VARCHAR, 9, false},
        {PG_TYPE_VARCHAR, 9, PG_TYPE_VARCHAR, -1, true},
        {PG_TYPE_VARCHAR, -1, PG_TYPE_VARCHAR, 9, false},
        {PG_TYPE_VARCHAR, 9, PG_TYPE_TEXT, -1, true},
        {PG_TYPE_TEXT, -1, PG_TYPE_VARCHAR, -1, true},
        {PG_TYPE_TEXT, -1, PG_TYPE_VARCHAR, 9, false},
        {PG_TYPE_TEXT, -1, PG_TYPE_BPCHAR, 9, false},
        {PG_TYPE_BPCHAR, 9, PG_TYPE_BPCHAR, 10, false}, /* padded */
        {PG_TYPE_BPCHAR, 9, PG_TYPE_TEXT, -1, false},
        {PG_TYPE_NUMERIC, NUMERIC(10, 2), PG_TYPE_NUMERIC, NUMERIC(10, 2), true},
        {PG_TYPE_NUMERIC, NUMERIC(10, 2), PG_TYPE_NUMERIC, NUMERIC(12, 2), true},
        {PG_TYPE_NUMERIC, NUMERIC(12, 2), PG_TYPE_NUMERIC, NUMERIC(10, 2), false},
        {PG_TYPE_NUMERIC, NUMERIC(10, 2), PG_TYPE_NUMERIC, NUMERIC(12, 3), false}, /* 1.50, 1.500 */
        {PG_TYPE_NUMERIC, NUMERIC(10, 2), PG_TYPE_NUMERIC, NUMERIC(12, -2), false},
        {PG_TYPE_NUMERIC, NUMERIC(10, -2), PG_TYPE_NUMERIC, NUMERIC(12, -2), true},
        {PG_TYPE_NUMERIC, NUMERIC(1000, 0), PG_TYPE_NUMERIC, NUMERIC(999, 0), false},
        {PG_TYPE_NUMERIC, NUMERIC(10, 2), PG_TYPE_NUMERIC, -1, true},
        {PG_TYPE_NUMERIC, -1, PG_TYPE_NUMERIC, NUMERIC(10, 2), false},
        {PG_TYPE_TIMESTAMP, 3, PG_TYPE_TIMESTAMP, 6, true},
        {PG_TYPE_TIMESTAMP, 3, PG_TYPE_TIMESTAMP, -1, true},
        {PG_TYPE_TIMESTAMP, 6, PG_TYPE_TIMESTAMP, 3, false},
        {PG_TYPE_TIMESTAMP, -1, PG_TYPE_TIMESTAMP, 3, false},
        {PG_TYPE_TIMESTAMP, -1, PG_TYPE_TIMESTAMPTZ, -1, false},
        {PG_TYPE_TIMETZ, 0, PG_TYPE_TIMETZ, 1, true},
        {PG_TYPE_VARBIT, 5, PG_TYPE_VARBIT, 6, true},
        {PG_TYPE_VARBIT, 5, PG_TYPE_VARBIT, -1, true},
        {PG_TYPE_VARBIT, -1, PG_TYPE_VARBIT, 6, false},
        {PG_TYPE_BIT, 5, PG_TYPE_BIT, 6, false},
        {PG_TYPE_JSON, -1, PG_TYPE_JSONB, -1, false},
        {PG_TYPE_TEXT, -1, PG_TYPE_BYTEA, -1, false},
        {16500, -1, 16500, -1, true},
        {16500, -1, 16501, -1, false},
    };
    for (size_t i = 0; i < LENGTH(table); i++) {
        const struct column was = {.base_type_oid = table[i].was, .typmod = table[i].was_mod};
        const struct column is = {.base_type_oid = table[i].is, .typmod = table[i].is_mod};
        if (schema_type_kept(&was, &is) != table[i].kept)
            fail_msg("%u(%d) to %u(%d)", was.base_type_oid, was.typmod, is.base_type_oid,
                     is.typmod);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_plan_follows_what_leaves_no_doubt),
        cmocka_unit_test(rows_matter_where_a_column_may_be_added),
        cmocka_unit_test(a_type_is_kept_where_old_values_read_the_same),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
