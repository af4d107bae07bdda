#include "sql/source_value.h"

#include <float.h>
#include <math.h>

enum reading read_refuse(const char *what, struct err *err)
{
    (void)err_set(err, ERR_PERMANENT, "the value is not %s", what);
    return READ_FAILED;
}

enum reading read_other_kind(const struct value *v, bool bytes, struct err *err)
{
    switch (v->kind) {
    case VALUE_NULL:
        return READ_NULL;
    case VALUE_UNCHANGED:
        (void)err_set(err, ERR_PERMANENT, "the value was not sent (an unchanged TOASTed value)");
        return READ_FAILED;
    case VALUE_TEXT:
    case VALUE_BYTES:
        break;
    }
    return read_refuse(bytes ? "bytes, as its type says it is" : "text, as its type says it is",
                       err);
}

/* What goes there instead: the extreme, unless the policy says otherwise. */
static enum reading instead(enum beyond beyond, enum reading extreme)
{
    return beyond == BEYOND_STOP ? READ_FAILED : beyond == BEYOND_NULL ? READ_NULL : extreme;
}

enum reading read_real(const struct value *v, bool single, const struct value_policy *policy,
                       double *out, struct err *err)
{
    if (!pg_text_real(v, single, out))
        return read_refuse("a floating-point number", err);
    if (isnan(*out))
        return instead(policy_nan(policy, err), READ_NULL);
    if (!isinf(*out))
        return READ_VALUE;
    *out = copysign(single ? (double)FLT_MAX : DBL_MAX, *out);
    return instead(policy_infinity(policy, err), READ_VALUE);
}

enum reading read_decimal(const struct value *v, const struct value_policy *policy, struct err *err)
{
    if (pg_text_is(v, "NaN"))
        return instead(policy_nan(policy, err), READ_NULL);
    return pg_text_decimal(v) ? READ_VALUE : read_refuse("a decimal number", err);
}

enum reading read_money(const struct value *v, char out[PG_MONEY_SIZE], size_t *size,
                        struct err *err)
{
    return pg_text_money(v, out, size)
               ? READ_VALUE
               : read_refuse("an amount of money under lc_monetary = C", err);
}

enum reading read_moment(const struct value *v, bool zone, const struct year_range *years,
                         const struct value_policy *policy, size_t *size, struct err *err)
{
    unsigned int year = 0;
    *size = v->size;
    switch (pg_text_date(v, &year)) {
    case PG_DATE_NONE:
        return read_refuse("a date", err);
    case PG_DATE_MINUS_INFINITY:
        return instead(policy_infinity(policy, err), READ_FIRST);
    case PG_DATE_INFINITY:
        return instead(policy_infinity(policy, err), READ_LAST);
    case PG_DATE_BEYOND:
        return instead(policy_date(policy, years->after, err), READ_LAST);
    case PG_DATE_BC:
        return instead(policy_date(policy, years->before, err), READ_FIRST);
    case PG_DATE_YEAR:
        break;
    }
    if (year < years->first)
        return instead(policy_date(policy, years->before, err), READ_FIRST);
    if (!zone)
        return READ_VALUE;
    if (!pg_text_ends(v, "+00"))
        return read_refuse("a timestamp with time zone in UTC", err);
    *size -= 3;
    return READ_VALUE;
}
