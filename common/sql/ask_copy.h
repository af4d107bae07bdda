/*
 * ask_copy.h - that tables are to be copied again, set aside or brought back, as a person asks for
 * it: pg2any_relation says so of each (copied.h), and whoever applies to the target goes by that
 * from the next time on that it looks.
 */
#ifndef PG2ANY_ASK_COPY_H
#define PG2ANY_ASK_COPY_H

#include <stdint.h>

#include "base/err.h"
#include "base/table_names.h"
#include "sql/driver.h"

struct asked_copies {
    const char *origin;
    struct table_names *names;  /* NULL: all */
    struct table_names *skip;   /* --skip-table; NULL: none. These stay as they are */
    uint64_t lsn;               /* of the checkpoint */
    bool anew;                  /* the target is to be one that gets copies, whatever it was */
    struct table_names *copies; /* those that pg-capture copies; NULL: all */
    bool aside;                 /* set aside instead, until they are asked for */
    bool resume; /* what is kept of those that are set aside is to be replayed; a person's are
                    copied */
};

/* In the open transaction. A permanent error for a name that the target has no table of, or where
 * it has none at all, and for a table that only a copy brings back, or would, if none comes. */
MUST_CHECK int ask_copy(const struct driver_ops *ops, struct driver *d,
                        const struct asked_copies *asked, struct err *err);

#endif
