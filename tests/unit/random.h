/*
 * random.h - numbers that look random and are the same everywhere: xorshift64.
 */
#ifndef PG2ANY_RANDOM_H
#define PG2ANY_RANDOM_H

#include <stdbool.h>
#include <stdint.h>

/* `seed` is not 0. */
void random_begin(uint64_t seed);

/* From 0 to n - 1. */
uint64_t below(uint64_t n);
bool one_in(uint64_t n);

#endif
