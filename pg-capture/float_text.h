/*
 * float_text.h - floating point numbers as PostgreSQL prints them: the fewest digits that read
 * back.
 *
 * Since version 12, with extra_float_digits > 0 (the default), float4out and float8out print the
 * shortest decimal that lies strictly between the midpoints to the neighbouring numbers, and of
 * those with that many digits the nearest to the value. "Strictly" is PostgreSQL's own choice
 * (f2s.c, d2s.c): a decimal that is exactly a midpoint reads back with round-half-even but is not
 * taken.
 *
 * Nothing here allocates or fails. Neither function depends on the locale; both set errno at will.
 * The rounding mode must be the default one, to nearest.
 */
#ifndef PG2ANY_FLOAT_TEXT_H
#define PG2ANY_FLOAT_TEXT_H

#include <stddef.h>

#define FLOAT_TEXT_SIZE 32

/* Writes the text of `value`, zero terminated, and returns its length. */
size_t float4_text(char text[FLOAT_TEXT_SIZE], float value);
size_t float8_text(char text[FLOAT_TEXT_SIZE], double value);

#endif
