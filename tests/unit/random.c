#include "random.h"

static uint64_t seed;

void random_begin(uint64_t from)
{
    seed = from;
}

uint64_t below(uint64_t n)
{
    seed ^= seed << 13;
    seed ^= seed >> 7;
    seed ^= seed << 17;
    return seed % n;
}

bool one_in(uint64_t n)
{
    return below(n) == 0;
}
