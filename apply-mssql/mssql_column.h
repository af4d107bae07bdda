/*
 * mssql_column.h - a column that is in the target table, made by us or by hand: whether it keeps
 * what its column at the source sends, and as which type a statement has to declare its values.
 */
#ifndef PG2ANY_MSSQL_COLUMN_H
#define PG2ANY_MSSQL_COLUMN_H

#include <stdbool.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/err.h"
#include "frames/relation.h"
#include "mssql_type.h"

/* A row of sys.columns, with the name of its type; text is borrowed, "" for NULL. */
struct target_column {
    const char *name;
    const char *type; /* "nvarchar" */
    const char *collation;
    int64_t bytes; /* max_length; -1: max */
    int64_t precision, scale;
    bool identity, computed, generated; /* generated: GENERATED ALWAYS, or a rowversion */
};

/*
 * Whether every value of `c` that the target column accepts is kept as it is; what it does not
 * accept is an error of the server when it comes. `key`: rows are found by this column, so that two
 * values that differ must not be equal there. Permanent error that names the column and what it
 * should be.
 */
MUST_CHECK int mssql_column_check(const struct column *c, const struct target_column *t, bool key,
                                  enum mssql_form *form, struct err *err);

/* Whether no value of `c` is too large for a column that keeps them. */
bool mssql_column_keeps_all(const struct column *c, const struct target_column *t);

/*
 * Appends the type that OPENJSON … WITH or CONVERT declares for values on the way into the column,
 * or, with `key`, for comparing with it. Text on the way in is nvarchar(max), because a declared
 * length would cut it before the column can refuse it; bytes in JSON are text in hexadecimal.
 */
void mssql_column_declare(const struct target_column *t, enum mssql_rows rows, enum mssql_form form,
                          bool key, struct buf *out);

/* The most UTF-16 units, or bytes, that the column holds; 0: without a limit. */
uint32_t mssql_column_units(const struct target_column *t);

#endif
