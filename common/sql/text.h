/*
 * text.h - pieces of statements that databases share.
 *
 * Of a statement that is made of pieces, in all of the SQL floor and its drivers: what takes a
 * `struct buf *sql` to run it, to show it or to ask with it uses it up: the buffer is checked, and
 * freed whether that goes well or not.
 */
#ifndef PG2ANY_TEXT_H
#define PG2ANY_TEXT_H

#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/err.h"
#include "frames/relation.h"
#include "frames/value.h"
#include "sql/driver.h"
#include "sql/schema_map.h"
#include "sql/schema_plan.h"

/* Appends an identifier as the database quotes it. */
typedef void text_quote_fn(struct buf *out, const char *name);

/* The usual rule: between two characters, the last of which is doubled within. */
void text_quote(struct buf *out, const char *name, char open, char close);

/* As standard SQL does it: in double quotes. */
text_quote_fn text_quote_standard;

/* Reads a name that was quoted so; returns what follows it. A name that is not, or that does not
 * fit, is a fault in us. */
const char *text_unquote(const char *p, char open, char close, char *name, size_t size);

/* Appends text between two quotes, doubling those within. */
void text_literal(struct buf *out, const char *text, size_t size);

/* Appends bytes as X'…'. */
void text_bytes(struct buf *out, const void *data, size_t size);

/* Append names, separated by ", ": of all columns, of those flagged, of those of the primary key in
 * its order, of those by which the replica identity finds rows. */
void text_columns(struct buf *out, const struct relation *rel, const uint8_t *flags,
                  text_quote_fn *quote);
void text_primary_key(struct buf *out, const struct relation *rel, text_quote_fn *quote);
void text_identity(struct buf *out, const struct relation *rel, text_quote_fn *quote);

/* Appends bytes as hexadecimal digits, in lower case, as PostgreSQL writes a bytea. */
void text_hex(struct buf *out, const void *data, size_t size);

/* Appends text as COPY writes it. (PostgreSQL documentation, COPY, "Text Format".) */
void text_copy(struct buf *out, const char *text, size_t size);

/*
 * Appends the name of a relation's table where there is one namespace: a table of another schema
 * than public is schema_table; a mapped schema is the prefix, empty for none. Permanent error where
 * that is a table of ours.
 */
MUST_CHECK int text_flat_name(const struct schema_map *map, const struct relation *rel,
                              struct buf *out, struct err *err);

/* What rows that were there before a column was added hold in it, where its fill is FILL_VALUE. */
struct value text_fill(const struct column *c);

/* ---- tables ---- */

/* How a database writes what makes up a table. */
struct text_dialect {
    text_quote_fn *quote;
    text_quote_fn *quote_table; /* buf_append_str: names of tables are SQL as they stand */
    driver_declare_fn *declare;
    const char *null;       /* after the type of a column that may be NULL: " NULL" */
    const char *no_columns; /* the column of a table without columns, where there is none such */
};

/* Appends a column with its type; `not_null` is what stands after that, NULL: it may be NULL. */
void text_declaration(struct driver *d, const struct text_dialect *dialect,
                      const struct relation *rel, uint32_t column, const char *not_null,
                      struct buf *sql);

/*
 * Appends "CREATE TABLE t (…" without the last parenthesis: the columns, those of the primary key
 * with `key` after their types, and the primary key, as `primary` begins it: "PRIMARY KEY"; NULL:
 * the column has said it.
 */
void text_table(struct driver *d, const struct text_dialect *dialect, const struct step *step,
                const char *key, const char *primary, struct buf *sql);

/* Appends "ALTER TABLE t", and what is done to it where that is to drop a column, or to give a
 * column or the table itself another name. */
void text_alter(const struct text_dialect *dialect, const struct step *step, struct buf *sql);

/* ---- running statements ---- */

typedef int text_run_fn(struct driver *d, struct buf *sql, struct err *err);

/* Runs a statement of pieces. */
MUST_CHECK int text_run(struct driver *d, struct buf *sql,
                        int (*run)(struct driver *d, const char *sql, struct err *err),
                        struct err *err);

/* Carries out one statement of a schema change, or shows it (driver.h, change). */
MUST_CHECK int text_change(struct driver *d, struct buf *sql, struct buf *show, text_run_fn *run,
                           struct err *err);

/* Empties tables by DELETE, one behind the other (driver.h, truncate). */
MUST_CHECK int text_truncate(struct driver *d, const struct text_dialect *dialect,
                             struct target_table *const *tables, size_t ntables, text_run_fn *run,
                             size_t *failed, struct err *err);

#endif
