/*
 * source_value.h - the types of the source as those of a target that has others, and a value of the
 * source read as what a column there takes: a number, an amount of money, a date within a range.
 * Where the target has no such value the policy says what goes there instead. For drivers whose
 * target does not take PostgreSQL's text as it is.
 *
 * Nothing is allocated; text is the value's own, or in the caller's room. A failure is a permanent
 * error that says what the value is not, without repeating it.
 */
#ifndef PG2ANY_SOURCE_VALUE_H
#define PG2ANY_SOURCE_VALUE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/err.h"
#include "frames/relation.h"
#include "frames/value.h"
#include "sql/pg_text.h"
#include "sql/stored.h"
#include "sql/value_policy.h"

/* As what values go to the target: first those that are numbers, then those that are text. */
enum source_form {
    FORM_BOOL,    /* 0 or 1 */
    FORM_INTEGER, /* a signed number of 64 bits */
    FORM_BITS,    /* bit(n), n ≤ 64: a number */
    FORM_SINGLE,  /* neither NaN nor infinity */
    FORM_DOUBLE,  /* likewise */
    FORM_DECIMAL, /* digits, a sign, a point; no NaN */
    FORM_MONEY,   /* likewise, from $1,234.56 */
    FORM_DATE,
    FORM_TIME,
    FORM_TIMESTAMP,
    FORM_TIMESTAMPTZ, /* in UTC, the +00 cut off */
    FORM_UUID,
    FORM_TEXT, /* PostgreSQL's own */
    FORM_BYTES,
};

static inline bool source_form_is_number(enum source_form form)
{
    return form < FORM_DECIMAL;
}

/* The types that a target has, and what of PostgreSQL's they have not. */
struct target_types {
    /* What each form is declared as, decimals and bits without their sizes; NULL: text. That of
     * FORM_INTEGER is of int8. Of text and bytes the driver knows more. */
    const char *names[FORM_TEXT];
    const char *int2, *int4, *oid;
    /* What has more digits, or bits, goes as text, which keeps all of them. */
    unsigned int precision, scale, bits;
    unsigned int first_year; /* of dates; the last is 9999 */
    const char *before;      /* what a date before that is: "before 1000" */
    bool midnight;           /* 24:00:00 is a time */
};

/* The form of a type whatever the target is, and of values in a column that we made. */
enum source_form source_type_form(const struct column *c);
enum source_form source_form(const struct column *c, const struct target_types *types);

/* Appends the type of such a column; false, and nothing: it is text or bytes. */
bool source_declare(const struct column *c, const struct target_types *types, struct buf *out);

/* ---- values ---- */

union source_scalar {
    int64_t integer;
    double real;      /* of single precision too */
    const char *text; /* and bytes */
};

/* A value as it goes to the target. */
struct source_cell {
    union source_scalar value; /* NULL: 0 or "" */
    size_t size;               /* of text and bytes; otherwise 0 */
    bool null;
};

/* What reading is made of; a driver that reads by itself uses it, too. */

enum reading {
    READ_FAILED = -1,
    READ_NULL, /* NULL goes to the target */
    READ_VALUE,
};

/* The value is not `what`: "a boolean". Returns READ_FAILED. */
enum reading read_refuse(const char *what, struct err *err);

/* What becomes of a value that is not of the kind that the column takes. */
MUST_CHECK enum reading read_other_kind(const struct value *v, bool bytes, struct err *err);

/* Whether there is a value, and one of the kind that the column takes: bytes, or text. */
MUST_CHECK static inline enum reading read_kind(const struct value *v, bool bytes, struct err *err)
{
    return v->kind == (bytes ? VALUE_BYTES : VALUE_TEXT) ? READ_VALUE
                                                         : read_other_kind(v, bytes, err);
}

MUST_CHECK static inline enum reading read_bool(const struct value *v, bool *out, struct err *err)
{
    return pg_text_bool(v, out) ? READ_VALUE : read_refuse("a boolean", err);
}

MUST_CHECK static inline enum reading read_integer(const struct value *v, int64_t *out,
                                                   struct err *err)
{
    return value_to_int64(v, out) ? READ_VALUE : read_refuse("an integer of 64 bits", err);
}

/* The rest of source_read(). */
MUST_CHECK int source_read_any(struct source_cell *cell, enum source_form form,
                               const struct value *v, const struct target_types *types,
                               const struct value_policy *policy, char room[PG_MONEY_SIZE],
                               struct err *err);

/* Reads a value; `room` is for text that is made, as that of money. Most values are text as it
 * stands, or integers. */
MUST_CHECK static inline int source_read(struct source_cell *cell, enum source_form form,
                                         const struct value *v, const struct target_types *types,
                                         const struct value_policy *policy,
                                         char room[PG_MONEY_SIZE], struct err *err)
{
    if (v->kind != VALUE_TEXT || (form != FORM_TEXT && form != FORM_INTEGER))
        return source_read_any(cell, form, v, types, policy, room, err);
    cell->null = false;
    cell->size = 0;
    if (form == FORM_INTEGER)
        return read_integer(v, &cell->value.integer, err) == READ_VALUE ? 0 : -1;
    cell->value.text = v->data;
    cell->size = v->size;
    return 0;
}

/* ---- values read back ---- */

/* What reading a value back from a column of that form gives; one that is refused is
 * STORED_NOTHING. */
void source_stored(struct stored *out, enum source_form form, const struct value *v,
                   const struct target_types *types, const struct value_policy *policy,
                   char room[STORED_ROOM]);

#endif
