#include "sql/value_policy.h"

#include "frames/pg_type.h"

struct value_policy value_policy(const char *target, const struct driver_config *config)
{
    return (struct value_policy){target, config->nan, config->infinity, config->date_range};
}

enum beyond policy_nan(const struct value_policy *p, struct err *err)
{
    if (p->nan == NAN_NULL)
        return BEYOND_NULL;
    (void)err_set(err, ERR_PERMANENT, "the value is NaN, which %s does not have", p->target);
    (void)err_hint(err, "--nan null stores NULL instead");
    return BEYOND_STOP;
}

enum beyond policy_infinity(const struct value_policy *p, struct err *err)
{
    if (p->infinity == BEYOND_STOP) {
        (void)err_set(err, ERR_PERMANENT, "the value is infinity, which %s does not have",
                      p->target);
        (void)err_hint(err, "--infinity null or extreme stores something else instead");
    }
    return p->infinity;
}

enum beyond policy_date(const struct value_policy *p, const char *what, struct err *err)
{
    if (p->date_range == BEYOND_STOP) {
        (void)err_set(err, ERR_PERMANENT, "the value is %s that %s has", what, p->target);
        (void)err_hint(err, "--date-range null or extreme stores something else instead");
    }
    return p->date_range;
}

const char *policy_caveat(const struct column *c, const char *dates)
{
    static const char numbers[] =
        "NaN and infinities stop the applier unless --nan and --infinity say what to store";
    switch (c->base_type_oid) {
    case PG_TYPE_FLOAT4:
    case PG_TYPE_FLOAT8:
        return numbers;
    case PG_TYPE_NUMERIC:
        return c->typmod >= 0 ? numbers : NULL; /* without a limit it is stored as text */
    case PG_TYPE_DATE:
    case PG_TYPE_TIMESTAMP:
    case PG_TYPE_TIMESTAMPTZ:
        return dates;
    default:
        return NULL;
    }
}
