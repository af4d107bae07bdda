/*
 * table.h - a version of a relation, bound to one table of the target: by which columns its rows
 * are found, in which form values go in, what the target's unique indexes promise.
 */
#ifndef PG2ANY_TABLE_H
#define PG2ANY_TABLE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"
#include "frames/relation.h"
#include "sql/copied.h"
#include "sql/described.h"
#include "sql/driver.h"
#include "sql/identity.h"
#include "sql/schema_plan.h"
#include "sql/statements.h"

/* A unique index of the target, by the columns of the relation. */
struct table_index {
    const char *name;
    uint32_t n; /* 0: it has a column that the relation lacks: its values are the target's own */
    uint32_t *columns;
};

struct target_table {
    char *name; /* SQL as it stands */
    const struct relation *rel;
    struct relation *reference; /* what keeps it alive; NULL: it is borrowed */
    struct identity identity;
    bool unique; /* of one identity there is one row at most, for certain */
    struct described_table there;
    /* For each column of the relation: */
    const struct described_column **columns; /* in `there` */
    int *forms;                              /* the driver's own */
    bool *alone;                             /* an UPDATE that writes it shares no slice */
    bool *holds;                             /* no value of the source's type is too large for it */
    uint8_t *flags;                          /* room for the columns of a statement, twice */
    uint32_t autonumber; /* the column that the target numbers rows by; ncolumns: none */
    size_t nindexes;
    struct table_index *indexes;
    struct statement_list statements;
    struct copied copied;
    bool refilled;       /* a copy has begun that replaces the rows of one before, where they are */
    bool ours;           /* pg2any made it: just now, or it says so itself */
    uint64_t changed_in; /* the transaction that is known to have changed it; target.c's */
    struct target_table *variants; /* the same table, its rows found in another way */
    struct target_table *next;     /* among the variants */
    bool is_variant;               /* `there` is that of the table itself */
};

/*
 * Binds a relation, which is borrowed, to what `there` says, which is taken over, also with an
 * error. Permanent error that names the column that the table lacks or that would not keep its
 * values.
 */
MUST_CHECK int table_bind(const struct driver_ops *ops, struct driver *d, const char *name,
                          const struct relation *rel, struct described_table *there,
                          struct target_table **table, struct err *err);

/* The error that binding would give after the steps of a plan, which has some, as far as what they
 * leave as it is can tell: columns that they make or widen are taken to fit. */
MUST_CHECK int table_check_planned(const struct driver_ops *ops, struct driver *d, const char *name,
                                   const struct relation *rel, const struct schema_plan *plan,
                                   struct err *err);

/* No statement of it, or of a variant, must be kept any more. NULL is allowed. */
void table_free(struct target_table *t);
void table_free_variants(struct target_table *t);

/* The table as its rows are found by that identity: itself, a variant that is there, or a new one.
 * Errors as of table_bind(). */
MUST_CHECK int table_variant(const struct driver_ops *ops, struct driver *d, struct target_table *t,
                             const struct identity *id, struct target_table **variant,
                             struct err *err);

/* Whether rows are found by a column. */
bool table_in_identity(const struct target_table *t, uint32_t column);

/* Makes a statement for rows of a slice, ready to be kept; NULL: an error. */
typedef struct statement *statement_make_fn(struct driver *d, const struct slice *slice, int kind,
                                            uint32_t nrows, struct err *err);

/* The statement for so many of a slice's rows, kept or made; `kind` may be the driver's own. NULL:
 * an error. */
struct statement *slice_statement(struct driver *d, const struct slice *slice, int kind,
                                  uint32_t nrows, statement_make_fn *make, struct err *err);

/* A column's value after an UPDATE: that of the new tuple, or one that was not sent with it because
 * it did not change, where the old tuple has it. A value that can be left out is never NULL. */
static inline const struct value *slice_value(const struct row_change *row, uint32_t column)
{
    const struct value *v = &row->new[column];
    return v->kind == VALUE_UNCHANGED && row->old && row->old[column].kind != VALUE_NULL
               ? &row->old[column]
               : v;
}

#endif
