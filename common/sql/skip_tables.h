/*
 * skip_tables.h - --skip-table: the source's tables whose changes do not go into this target.
 *
 * "a.b,c.d" is the table b of the schema a and d of c, by their names in PostgreSQL. A backslash
 * takes the next character as it is, for names with a dot, a comma or a backslash, or a blank at
 * the beginning. "none" is no table: for one of several targets that has all.
 */
#ifndef PG2ANY_SKIP_TABLES_H
#define PG2ANY_SKIP_TABLES_H

#include <stdbool.h>
#include <stddef.h>

#include "base/buf.h"
#include "base/err.h"
#include "base/options.h"
#include "frames/relation.h"

struct skip_table {
    char *namespace, *name;
    bool met; /* a relation of that name has come */
};

struct skip_tables {
    size_t n;
    struct skip_table *items;
};

/* For skip_tables_free(), also after an error: permanent where the text is not of that form. */
MUST_CHECK int skip_tables_parse(struct skip_tables *s, const struct option_list *given,
                                 struct err *err);
void skip_tables_free(struct skip_tables *s);

/* Whether the table is among them, which has been met then. `s` NULL: there are none. */
bool skip_tables_has(struct skip_tables *s, const char *namespace, const char *name);

/* Appends the table as the option takes it; an end of line in it has a backslash before it. */
void skip_tables_put(struct buf *out, const char *namespace, const char *name);

/* Adds to a permanent error of a table how to go on without it, and without those that are left out
 * already; returns -1. */
int skip_tables_hint(const struct skip_tables *s, const struct relation *rel, struct err *err);

#endif
