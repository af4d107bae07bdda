/*
 * pg_text.h - parses PostgreSQL's text of a value, under the session settings of docs/FRAMES.md,
 * and type modifiers. For drivers whose target does not accept the text unchanged. Nothing is
 * allocated; invalid text returns false.
 */
#ifndef PG2ANY_PG_TEXT_H
#define PG2ANY_PG_TEXT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "frames/relation.h"
#include "frames/value.h"

bool pg_text_is(const struct value *v, const char *word);
bool pg_text_ends(const struct value *v, const char *end);

/* "t", "f". */
bool pg_text_bool(const struct value *v, bool *out);

/* A float4 (single) or float8, NaN and infinity too. */
bool pg_text_real(const struct value *v, bool single, double *out);

/* Digits, a sign, a point: a numeric but NaN and infinity. */
bool pg_text_decimal(const struct value *v);

#define PG_MONEY_SIZE 32

/* "-$1,234.56", as lc_monetary = C has it, without the sign and the commas. */
bool pg_text_money(const struct value *v, char out[PG_MONEY_SIZE], size_t *size);

enum pg_date {
    PG_DATE_NONE, /* the text is not that of a date or timestamp */
    PG_DATE_MINUS_INFINITY,
    PG_DATE_BC,
    PG_DATE_YEAR, /* 1 to 9999 */
    PG_DATE_BEYOND /* 10000 and later */,
    PG_DATE_INFINITY,
};

struct pg_moment {
    unsigned int year; /* for PG_DATE_YEAR */
    bool time, zone;   /* stand behind the date */
};

/* "2026-11-22", "2026-11-22 10:20:30.5+00", "0044-03-15 12:00:00 BC", "infinity", "10000-01-01". Of
 * the numbers only the year is looked at. */
enum pg_date pg_text_date(const struct value *v, struct pg_moment *m);

/* "10:20:30", "10:20:30.123456". */
bool pg_text_time(const struct value *v);

/* "a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11". */
bool pg_text_uuid(const struct value *v);

/* ---- types ---- */

#define PG_VARHDRSZ 4 /* what typmods of char(n), varchar(n) and numeric start at */

/* Precision and scale that a decimal type needs for every value of a numeric with that typmod, the
 * scale not negative and not above the precision; false: it has no limit. */
bool pg_numeric_size(int32_t typmod, unsigned int *precision, unsigned int *scale);

/* The most characters that a column's text can have, where its type limits it; 0: it does not. */
uint32_t pg_type_characters(const struct column *c);

#endif
