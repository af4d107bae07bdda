/*
 * ask_rows.h - that single rows are to be read again, as a person or a comparison asks for it:
 * pg2any_relation says of each table which (copied.h), and whoever applies to the target goes by
 * that from the next time on that it looks.
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

/* In the open transaction. A table with more of them than are worth it is to be copied again. A
 * permanent error for a line that is none, or a table that the target does not hold. */
MUST_CHECK int ask_rows(const struct driver_ops *ops, struct driver *d,
                        const struct asked_rows *asked, struct err *err);

#endif
