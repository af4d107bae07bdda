/*
 * mssql_type.h - which type a PostgreSQL type has in SQL Server, which columns that are there keep
 * what comes, and how a value is written into the JSON document, or the list of literals, that
 * carries the rows of a statement. (Transact-SQL reference, "Data types"; PostgreSQL documentation,
 * "Data Types".)
 *
 * Every value but an integer goes as text and is converted by the server, by the type that the
 * statement declares for its column, in a form that no language or date format reads otherwise.
 */
#ifndef PG2ANY_MSSQL_TYPE_H
#define PG2ANY_MSSQL_TYPE_H

#include <stdbool.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/err.h"
#include "frames/relation.h"
#include "sql/described.h"
#include "sql/driver.h"
#include "sql/source_value.h"

/* Binary, but for trailing blanks, which SQL Server ignores in comparisons. */
#define MSSQL_COLLATION "Latin1_General_100_BIN2"

#define MSSQL_NVARCHAR_UNITS 4000 /* the longest that is not nvarchar(max) */

/* How the rows of a statement are sent. */
enum mssql_rows {
    ROWS_JSON,   /* an array of arrays, for OPENJSON */
    ROWS_VALUES, /* literals, below compatibility level 130 */
};

/* ---- types ---- */

/* The form of values in a column that we made. */
enum source_form mssql_form_of(const struct column *c);

/*
 * Appends the column's type for CREATE TABLE and ALTER TABLE, with its collation.
 *
 * Text is counted in UTF-16 units, of which a character may take two, so varchar(n) becomes
 * nvarchar(2n), up to 4000, then nvarchar(max). Text and bytes in an index have a length that
 * leaves the index within its limit: 900 bytes where that holds all that the types can, 1700
 * otherwise ("Maximum capacity specifications for SQL Server").
 */
driver_declare_fn mssql_declare;

/* The most UTF-16 units that text of a type has, where that limits it; 0: it does not. */
uint32_t mssql_units(const struct column *c);

/* Whether the primary key fits into a clustered index whatever its values are. */
bool mssql_key_is_small(const struct relation *rel);

/* ---- columns that are there ---- */

/* `there` has in `length` what sys.columns has in max_length: bytes, -1: max; in `extra` "computed"
 * where that is how its values are generated. The driver is not looked at. */
driver_fit_fn mssql_fit;

/*
 * Appends the type that OPENJSON … WITH or CONVERT declares for values on the way into the column,
 * or, with `key`, for comparing with it. Text on the way in is nvarchar(max), because a declared
 * length would cut it before the column can refuse it; bytes in JSON are text in hexadecimal.
 */
void mssql_column_declare(const struct described_column *there, enum mssql_rows rows,
                          enum source_form form, bool key, struct buf *out);

/* The most UTF-16 units, or bytes, that the column holds; 0: without a limit. */
uint32_t mssql_column_units(const struct described_column *there);

/* ---- values ---- */

/*
 * Appends a value. *units grows by the UTF-16 units of text. Permanent error for a value that SQL
 * Server cannot hold, unless the policy says otherwise.
 */
MUST_CHECK int mssql_append_value(struct buf *out, enum mssql_rows rows, enum source_form form,
                                  const struct value *v, const struct value_policy *policy,
                                  uint64_t *units, struct err *err);

/* What reading a value back from a column of that form gives. */
void mssql_stored(struct stored *out, enum source_form form, const struct value *v,
                  const struct value_policy *policy, char room[STORED_ROOM]);

/* Appends what stands in a string literal for the character at `p`, a quote or a backslash. */
void mssql_escape(struct buf *out, const char *p, const char *end);

#endif
