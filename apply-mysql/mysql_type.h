/*
 * mysql_type.h - which type a PostgreSQL type has in MySQL and MariaDB, and how a value is written
 * as a literal. (MySQL Reference Manual, "Data Types"; PostgreSQL documentation, "Data Types".)
 */
#ifndef PG2ANY_MYSQL_TYPE_H
#define PG2ANY_MYSQL_TYPE_H

#include <stdint.h>

#include "base/buf.h"
#include "frames/relation.h"
#include "sql/source_value.h"

extern const struct target_types my_types;

/* The form of values in a column that we made. */
enum source_form my_form_of(const struct column *c);

/* A value is a DEFAULT clause up to that size, source and literal aside: MariaDB takes expressions
 * of 64 kB, MySQL may take less. */
#define MY_DEFAULT_BYTES 4096

/* Appends a cell as a literal that a DEFAULT clause takes; not for a NULL. */
void my_cell_literal(const struct source_cell *cell, enum source_form form, struct buf *out);

/* ---- column declarations ---- */

/*
 * Appends the column's type for CREATE TABLE and ALTER TABLE, without NULL or NOT NULL.
 * `collation`: binary, and trailing blanks count.
 *
 * Text in an index is a VARCHAR that leaves the index within 3072 bytes, the most that InnoDB takes
 * (MySQL Reference Manual, "InnoDB Limits"); varchar(n) is VARCHAR(n) as long as the row stays
 * within 65,535 bytes, the most that MySQL takes; what is left, the longest, is LONGTEXT. `full`:
 * the row has no room for any more.
 */
void my_append_type(const struct relation *rel, uint32_t column, const char *collation, bool full,
                    struct buf *out);

#endif
