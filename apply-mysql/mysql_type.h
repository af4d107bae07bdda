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
#include "sql/dest.h"
#include "sql/pg_text.h"
#include "sql/value_policy.h"

/* How values are bound. */
enum mysql_form {
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

/* A value as it is bound. The bytes of text are borrowed from the frame or live in `own`, so a cell
 * that is filled must stay where it is. */
struct cell {
    union {
        int64_t integer;
        double real;
        float single;
    } number;
    const char *data;
    unsigned long size;
    mysql_bool null;
    char own[PG_MONEY_SIZE];
};

/* The form of values in a column that we made. */
enum mysql_form form_of(const struct column *c);

enum enum_field_types form_field_type(enum mysql_form form);
/* Text and bytes, decimals too: a pointer and a size are bound; otherwise a number. */
bool form_is_text(enum mysql_form form);

/* Permanent error for a value that MySQL cannot hold, unless the policy says otherwise. */
MUST_CHECK int cell_set(struct cell *cell, enum mysql_form form, const struct value *v,
                        const struct value_policy *policy, struct err *err);

/* Appends a cell as a literal that a DEFAULT clause takes; not for a NULL. */
void cell_literal(const struct cell *cell, enum mysql_form form, struct buf *out);

/* ---- column declarations ---- */

/*
 * Appends the column's type for CREATE TABLE and ALTER TABLE, without NULL or NOT NULL.
 * `collation`: binary, and trailing blanks count.
 *
 * Text in an index is a VARCHAR that leaves the index within 3072 bytes, the most that InnoDB takes
 * (MySQL Reference Manual, "InnoDB Limits"); varchar(n) is VARCHAR(n) as long as the row stays
 * within 65,535 bytes, the most that MySQL takes; what is left is LONGTEXT.
 */
void type_declare(const struct relation *rel, uint32_t column, const char *collation,
                  struct buf *out);

/* Precision and scale of a numeric's typmod, as a DECIMAL has to have them; false: it has none, or
 * DECIMAL is too small. */
bool type_decimal(int32_t typmod, unsigned int *precision, unsigned int *scale);

#endif
