/*
 * mysql_column.h - a column that is in the target table, made by us or by hand: whether it keeps
 * what its column at the source sends, and how values are bound to it.
 */
#ifndef PG2ANY_MYSQL_COLUMN_H
#define PG2ANY_MYSQL_COLUMN_H

#include <stdbool.h>
#include <stdint.h>

#include "base/err.h"
#include "frames/relation.h"
#include "mysql_type.h"

/* A row of information_schema.columns; text is borrowed, "" for NULL, numbers are -1 for NULL. */
struct target_column {
    const char *name;
    const char *data_type;   /* "varchar" */
    const char *column_type; /* "int(10) unsigned" */
    const char *collation;
    const char *extra;         /* "STORED GENERATED", "on update current_timestamp()", … */
    int64_t characters;        /* of text; bytes of binary types */
    int64_t precision, scale;  /* of numbers; bits of BIT */
    int64_t datetime_decimals; /* of DATETIME and TIME */
};

/*
 * Whether every value of `c` that the target column accepts is kept as it is; what it does not
 * accept is an error of the server when it comes, because the session is strict. `identity`: rows
 * are found by this column, so that two values that differ must not be equal there. Permanent error
 * that names the column and what it should be.
 */
MUST_CHECK int target_column_check(const struct column *c, const struct target_column *t,
                                   bool identity, enum mysql_form *form, struct err *err);

/* Whether no value of `c` is too large for a column that keeps them. */
bool target_column_holds(const struct column *c, const struct target_column *t);

/* Whether two values are equal in this collation only when they are equal byte by byte. */
bool collation_is_exact(const char *collation);

#endif
