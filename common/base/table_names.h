/*
 * table_names.h - tables of the source by their names in PostgreSQL, as options take them.
 *
 * "a.b,c.d" is the table b of the schema a and d of c. A backslash makes the next character
 * literal, for names with a dot, a comma or a backslash, or a leading blank. If whole schemas may
 * be named, "a.*" is every table of a, and "a.\\*" the one that is called *.
 */
#ifndef PG2ANY_TABLE_NAMES_H
#define PG2ANY_TABLE_NAMES_H

#include <stdbool.h>
#include <stddef.h>

#include "base/buf.h"
#include "base/err.h"

struct table_name {
    char *namespace, *name;
    bool whole; /* every table of the schema; `name` is empty */
    bool met;   /* a relation that it names has come */
};

struct table_names {
    size_t n;
    struct table_name *items;
};

/* Adds the names in a text. Use table_names_free() also after an error, which is permanent: the
 * text does not have that form. */
MUST_CHECK int table_names_add(struct table_names *t, const char *text, bool schemas,
                               struct err *err);
void table_names_free(struct table_names *t);

/* Whether the table is among them; its entry is then marked `met`. `t` NULL: there are none. */
bool table_names_has(struct table_names *t, const char *namespace, const char *name);

/* Copies one name, up to an unescaped `stop` or comma; returns where it stopped. */
const char *table_names_take(const char *p, char stop, char *out);

/* Appends a table as table_names_add() takes it; an end of line in it has a backslash before it. */
void table_names_put(struct buf *out, const char *namespace, const char *name);

#endif
