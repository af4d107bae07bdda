/*
 * ask_rows.h - a request, by a person or a comparison, to read single rows again: pg2any_relation
 * records the rows of each table (copied.h), and the target's applier follows it the next time it
 * looks.
 */
#ifndef PG2ANY_ASK_ROWS_H
#define PG2ANY_ASK_ROWS_H

#include <stdint.h>
#include <stdio.h>

#include "base/err.h"
#include "base/table_names.h"
#include "sql/driver.h"

struct asked_rows {
    const char *origin;
    FILE *keys; /* what a comparison writes: a line a row, of a word, schema, table and key
                   (row_key.h) */
    struct table_names *skip; /* --skip-table; NULL: none. These stay as they are */
    uint64_t lsn;             /* of the checkpoint */
};

/* In the open transaction. A table with too many such rows will be copied again. A permanent error
 * for an invalid line, or a table that the target does not hold. */
MUST_CHECK int ask_rows(const struct driver_ops *ops, struct driver *d,
                        const struct asked_rows *asked, struct err *err);

#endif
