/*
 * apply_aside.h - the tables that are set aside at a target (copied.h), for who looks at it.
 */
#ifndef PG2ANY_APPLY_ASIDE_H
#define PG2ANY_APPLY_ASIDE_H

#include <stdint.h>

#include "base/err.h"
#include "sql/copied.h"

struct aside_table;

/* Zeroed: none. */
struct apply_aside {
    struct aside_table *tables; /* by relid */
    uint64_t npaused, nrefused; /* of them: by a person; by what the target refused */
};

/* What the target remembers of a relation's copy says whether it is set aside. */
MUST_CHECK int aside_note(struct apply_aside *a, uint32_t relid, const struct copied *copied,
                          struct err *err);
void aside_forget_all(struct apply_aside *a);

#endif
