/*
 * mssql_type.h - which type a PostgreSQL type has in SQL Server, and how a value is written into
 * the JSON document, or the list of literals, that carries the rows of a statement. (Transact-SQL
 * reference, "Data types"; PostgreSQL documentation, "Data Types".)
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
#include "frames/value.h"
#include "sql/value_policy.h"

/* Binary, but for trailing blanks, which SQL Server ignores in comparisons. */
#define MSSQL_COLLATION "Latin1_General_100_BIN2"

#define MSSQL_NAME_SIZE 130 /* of 128 characters, and what a bracket needs */

/* How values are written. */
enum mssql_form {
    FORM_BIT,
    FORM_INTEGER,
    FORM_REAL,  /* single precision; neither NaN nor infinity */
    FORM_FLOAT, /* likewise */
    FORM_DECIMAL,
    FORM_MONEY, /* a decimal number, from $1,234.56 */
    FORM_DATE,  /* years 1 to 9999 */
    FORM_TIME,  /* not 24:00:00 */
    FORM_DATETIME,
    FORM_DATETIMEOFFSET,
    FORM_UUID,
    FORM_TEXT,  /* PostgreSQL's own text */
    FORM_BYTES, /* in hexadecimal */
};

/* The form of values in a column that we made. */
enum mssql_form mssql_form_of(const struct column *c);

/* Precision and scale of a numeric's typmod, as a decimal has to have them; false: it has none, or
 * decimal is too small. */
bool mssql_decimal(int32_t typmod, unsigned int *precision, unsigned int *scale);

/*
 * Appends the column's type for CREATE TABLE and ALTER TABLE, with its collation, without NULL or
 * NOT NULL.
 *
 * Text is counted in UTF-16 units, of which a character may take two, so varchar(n) becomes
 * nvarchar(2n), up to 4000, then nvarchar(max). Text and bytes in an index have a length that
 * leaves the index within its limit: 900 bytes where that holds all that the types can, 1700
 * otherwise ("Maximum capacity specifications for SQL Server").
 */
void mssql_declare(const struct relation *rel, uint32_t column, struct buf *out);

/* Whether the primary key fits into a clustered index whatever its values are. */
bool mssql_key_is_small(const struct relation *rel);

/* The most UTF-16 units that a text column can hold, where its type limits it; 0: it does not. */
uint32_t mssql_units(const struct column *c);

/* ---- values ---- */

/* How the rows of a statement are sent. */
enum mssql_rows {
    ROWS_JSON,   /* an array of arrays, for OPENJSON */
    ROWS_VALUES, /* literals, below compatibility level 130 */
};

/*
 * Appends a value. *units grows by the UTF-16 units of text, by the bytes of bytes. Permanent error
 * for a value that SQL Server cannot hold, unless the policy says otherwise.
 */
MUST_CHECK int mssql_append_value(struct buf *out, enum mssql_rows rows, enum mssql_form form,
                                  const struct value *v, const struct value_policy *policy,
                                  uint64_t *units, struct err *err);

#endif
