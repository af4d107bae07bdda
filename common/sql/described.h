/*
 * described.h - a table at the target, read once: its columns and the indexes that matter. The
 * driver reads it; the plan and the binding use it. The table may be ours or made by hand.
 *
 * It owns all its memory; described_free() frees it. Functions that add to it never return an
 * error: described_check() says at the end whether memory ran out.
 */
#ifndef PG2ANY_DESCRIBED_H
#define PG2ANY_DESCRIBED_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"

/* Text is "" and a number -1 where the target says nothing. */
struct described_column {
    const char *name;
    const char *type;         /* its name alone: "varchar" */
    const char *declared;     /* with what belongs to it: "int(10) unsigned" */
    const char *collation;    /* "" */
    const char *extra;        /* what else the target says of it: "on update current_timestamp()" */
    int64_t length;           /* of text and bytes, in the driver's unit */
    int64_t precision, scale; /* of numbers */
    int64_t datetime_decimals; /* of times */
    bool generated;            /* its values come from the target itself */
    bool autonumber;           /* the target numbers rows by it, where an INSERT names no value */
    bool required;             /* it takes no NULL, and has no default */
};

struct described_index {
    const char *name;
    bool primary;
    bool unique; /* no two rows have the same in it */
    size_t ncolumns;
    const char **columns;
};

/* Dependencies between rows, besides the indexes listed below. */
struct described_rules {
    bool known;
    bool acts;   /* a trigger that fires, a foreign key that is checked, or the like: what becomes
                    of a row is a matter of other tables, or the other way round */
    bool checks; /* a row may be refused as a whole: a CHECK, or what may be one */
    size_t nunique; /* unique indexes of any kind: over a part of the rows or of values, too */
};

struct described_table {
    bool exists;
    bool empty;        /* where it was asked for */
    bool ours;         /* it says of itself that pg2any made it */
    bool has_more;     /* where it was asked for: more than columns, a key and what we make: an
                          index, a trigger, a foreign key, a right that was given */
    bool folds_case;   /* names of columns that differ in ASCII case alone are one */
    bool no_container; /* the schema or database that it would be in is not there either */
    struct described_rules rules;
    char *unfit, *advice; /* why no row can go there whatever its columns are, and what helps;
                             NULL: it can */
    size_t ncolumns;
    struct described_column *columns;
    size_t nindexes;
    struct described_index *indexes;

    struct described_text *texts;
    size_t columns_cap, indexes_cap;
    bool failed;
};

void described_init(struct described_table *t);
void described_free(struct described_table *t);
MUST_CHECK int described_check(const struct described_table *t, struct err *err);

/* A copy that lives as long as the table; NULL becomes "". */
const char *described_text(struct described_table *t, const char *text);

/* Adds a column. It stays where it is until the next one is added. */
struct described_column *described_add_column(struct described_table *t, const char *name);

/* The same for a row of a catalog: the members of a described_column in their order, as text; NULL
 * for what it does not say. */
struct described_column *described_add_row(struct described_table *t, char *const *row);

/* Adds a column to the index that was added to last, or to a new one where the name is another.
 * One column that is not `unique` makes an index that is not. */
void described_add_index_column(struct described_table *t, const char *index, bool primary,
                                bool unique, const char *column);

/* No row can go there. */
void described_set_unfit(struct described_table *t, const char *advice, const char *fmt, ...)
    PRINTF_LIKE(3, 4);

/* Whether the table takes two names for one. */
bool described_same_name(const struct described_table *t, const char *a, const char *b);

/* The column of that name: exactly it, or where case is folded one that differs in case. NULL:
 * there is none. */
const struct described_column *described_find(const struct described_table *t, const char *name);

#endif
