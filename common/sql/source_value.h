/*
 * source_value.h - a value of the source, read as what a column of the target takes: a number, an
 * amount of money, a date within a range. Where the target has no such value the policy says what
 * goes there instead. For drivers whose target does not take PostgreSQL's text as it is.
 *
 * Nothing is allocated; text is the value's own. A failure is a permanent error that says what the
 * value is not, without repeating it.
 */
#ifndef PG2ANY_SOURCE_VALUE_H
#define PG2ANY_SOURCE_VALUE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"
#include "frames/value.h"
#include "sql/pg_text.h"
#include "sql/value_policy.h"

enum reading {
    READ_FAILED = -1,
    READ_NULL,  /* NULL goes to the target */
    READ_VALUE, /* what was read does */
    READ_FIRST, /* the first moment that the target has, or the last one */
    READ_LAST,
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

/* Infinity becomes the largest number of the precision. */
MUST_CHECK enum reading read_real(const struct value *v, bool single,
                                  const struct value_policy *policy, double *out, struct err *err);
/* The text is the decimal number. */
MUST_CHECK enum reading read_decimal(const struct value *v, const struct value_policy *policy,
                                     struct err *err);
MUST_CHECK enum reading read_money(const struct value *v, char out[PG_MONEY_SIZE], size_t *size,
                                   struct err *err);

/* The years that a target has; the last is 9999. */
struct year_range {
    unsigned int first;
    const char *before, *after; /* what a value outside is, for the message of policy_date() */
};

/* A date or a timestamp; `zone`: one with a time zone, in UTC. The first *size bytes of the text
 * are the moment, the zone cut off. */
MUST_CHECK enum reading read_moment(const struct value *v, bool zone,
                                    const struct year_range *years,
                                    const struct value_policy *policy, size_t *size,
                                    struct err *err);

#endif
