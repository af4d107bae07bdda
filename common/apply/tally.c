#include "apply/tally.h"

#include <stdlib.h>
#include <string.h>

#include <xxhash.h>

struct row_hash row_hash_of(const void *data, size_t size)
{
    XXH128_hash_t h = XXH3_128bits(data, size);
    return (struct row_hash){h.low64, h.high64};
}

int tally_init(struct tally *t, struct err *err)
{
    *t = (struct tally){.sums = calloc(TALLY_BUCKETS, sizeof *t->sums)};
    return t->sums ? 0 : err_nomem(err);
}

void tally_free(struct tally *t)
{
    free(t->sums);
    *t = (struct tally){0};
}

void tally_reset(struct tally *t)
{
    memset(t->sums, 0, TALLY_BUCKETS * sizeof *t->sums);
    t->nrows[SIDE_SOURCE] = t->nrows[SIDE_TARGET] = 0;
}

void tally_row(struct tally *t, enum side side, struct row_hash key, struct row_hash row)
{
    struct row_hash *sum = &t->sums[tally_bucket(key)];
    t->nrows[side]++;
    if (side == SIDE_SOURCE)
        row_hash_add(sum, row);
    else
        row_hash_take(sum, row);
}

uint32_t tally_next(const struct tally *t, uint32_t from)
{
    while (from < TALLY_BUCKETS && t->sums[from].low == 0 && t->sums[from].high == 0)
        from++;
    return from;
}
