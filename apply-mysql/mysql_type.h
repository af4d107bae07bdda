/*
 * mysql_type.h - which type a PostgreSQL type has in MySQL and MariaDB, and how a value becomes
 * what is bound. (MySQL Reference Manual, "Data Types"; PostgreSQL documentation, "Data Types".)
 */
#ifndef PG2ANY_MYSQL_TYPE_H
#define PG2ANY_MYSQL_TYPE_H

#include <stdbool.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/err.h"
#include "frames/relation.h"
#include "frames/value.h"
#include "mysql_compat.h"
#include "sql/pg_text.h"
#include "sql/value_policy.h"

/* How values are bound. */
enum my_form {
    FORM_BOOL,        /* a number, 0 or 1 */
    FORM_INTEGER,     /* a signed number of 64 bits */
    FORM_BITS,        /* bit(n), n ≤ 64: a number */
    FORM_FLOAT,       /* single precision; neither NaN nor infinity */
    FORM_DOUBLE,      /* likewise */
    FORM_DECIMAL,     /* a decimal number; no NaN */
    FORM_MONEY,       /* a decimal number, from $1,234.56 */
    FORM_DATE,        /* text, years 1000 to 9999 */
    FORM_TIME,        /* text; MySQL has 24:00:00 */
    FORM_TIMESTAMP,   /* text, years 1000 to 9999 */
    FORM_TIMESTAMPTZ, /* likewise, in UTC, the +00 cut off */
    FORM_TEXT,        /* PostgreSQL's own text */
    FORM_BYTES,
};

/* A value as it is bound: a number, or text and bytes that are borrowed from the frame or made. */
union bound {
    int64_t integer;
    double real; /* of single precision too */
    const char *data;
};

struct cell {
    union bound value;
    unsigned long size; /* of text and bytes; otherwise 0 */
    compat_bool null;
};

/* The form of values in a column that we made. */
enum my_form my_form_of(const struct column *c);

/* Text and bytes, decimals too: a pointer and a size are bound; otherwise a number. */
static inline bool my_form_is_text(enum my_form form)
{
    return form >= FORM_DECIMAL;
}

/* Permanent error for a value that MySQL cannot hold, unless the policy says otherwise. `room` is
 * for text that is made, and lives as long as the cell. */
MUST_CHECK int my_cell_set(struct cell *cell, enum my_form form, const struct value *v,
                           const struct value_policy *policy, char room[PG_MONEY_SIZE],
                           struct err *err);

/* Appends a cell as a literal that a DEFAULT clause takes; not for a NULL. */
void my_cell_literal(const struct cell *cell, enum my_form form, struct buf *out);

/* ---- column declarations ---- */

/*
 * Appends the column's type for CREATE TABLE and ALTER TABLE, without NULL or NOT NULL.
 * `collation`: binary, and trailing blanks count.
 *
 * Text in an index is a VARCHAR that leaves the index within 3072 bytes, the most that InnoDB takes
 * (MySQL Reference Manual, "InnoDB Limits"); varchar(n) is VARCHAR(n) as long as the row stays
 * within 65,535 bytes, the most that MySQL takes; what is left is LONGTEXT.
 */
void my_append_type(const struct relation *rel, uint32_t column, const char *collation,
                    struct buf *out);

#endif
