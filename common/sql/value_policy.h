/*
 * value_policy.h - what the user wants for values that the target does not have: --nan, --infinity,
 * --date-range.
 */
#ifndef PG2ANY_VALUE_POLICY_H
#define PG2ANY_VALUE_POLICY_H

#include "base/err.h"
#include "sql/driver.h"

struct value_policy {
    const char *target; /* "MySQL", for messages; borrowed */
    enum nan_policy nan;
    enum beyond infinity;
    enum beyond date_range;
};

struct value_policy value_policy(const char *target, const struct driver_config *config);

/* What to store instead: BEYOND_NULL or BEYOND_EXTREME; BEYOND_STOP with a permanent
 * error that names the flag. For NaN there is no extreme. */
MUST_CHECK enum beyond policy_nan(const struct value_policy *p, struct err *err);
MUST_CHECK enum beyond policy_infinity(const struct value_policy *p, struct err *err);
/* `what` says where the value lies: "before 1000, outside the years 1000 to 9999". */
MUST_CHECK enum beyond policy_date(const struct value_policy *p, const char *what, struct err *err);

/* Whether values may be the same at the target that are not at the source. */
static inline bool policy_merges(const struct value_policy *p)
{
    return p->infinity == BEYOND_EXTREME || p->date_range == BEYOND_EXTREME;
}

/*
 * What --check says of a column (driver.h, declare): where NaN or infinity may come,
 * `dates` where a date may lie outside the target's range or be infinity, NULL for other columns.
 */
const char *policy_caveat(const struct column *c, const char *dates);

#endif
