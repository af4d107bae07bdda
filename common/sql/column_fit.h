/*
 * column_fit.h - checks that drivers make on a target's column before a source's column is bound to
 * it, and their errors. Pure.
 */
#ifndef PG2ANY_COLUMN_FIT_H
#define PG2ANY_COLUMN_FIT_H

#include <stdbool.h>
#include <stdint.h>

#include "base/err.h"
#include "frames/relation.h"
#include "sql/described.h"

/* Whether a type is in a NULL-terminated list, ignoring case. */
bool fit_is_any(const char *type, const char *const *list);

/* Whether a DECIMAL column takes every integer, amount of money, or numeric with a limit. */
bool fit_decimal(const struct column *c, const struct described_column *there);

/* Whether so many decimals of a second are all that the type's values have. */
bool fit_seconds(const struct column *c, int64_t decimals);

/* Permanent errors, returned as -1: the column does not keep its values, `docs` says which types
 * do; it identifies rows, and its collation is not exact, as `exact` are. */
int fit_refuse_type(const struct column *c, const char *type, const char *docs, struct err *err);
int fit_refuse_collation(const struct column *c, const struct described_column *there,
                         const char *exact, struct err *err);

#endif
