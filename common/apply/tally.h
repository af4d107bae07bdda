/*
 * tally.h - whether two sets of rows are the same, in little memory and in whatever order they
 * come: rows are sorted into buckets by the hash of their key, and a bucket keeps the sum of its
 * rows' hashes, those of the source added and those of the target taken away. Nothing is left
 * where both have the same rows, each as often.
 *
 * Hashes are XXH3 of 128 bits (libxxhash, which frames are sealed with already): fast enough not to
 * matter beside reading a row, and sums of them are not met by chance. They are not made for rows
 * that somebody wrote to deceive a comparison.
 */
#ifndef PG2ANY_TALLY_H
#define PG2ANY_TALLY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/err.h"

/* Of a row, or of its key; also a sum of them. */
struct row_hash {
    uint64_t low, high;
};

struct row_hash row_hash_of(const void *data, size_t size);

static inline bool row_hash_same(struct row_hash a, struct row_hash b)
{
    return a.low == b.low && a.high == b.high;
}

/* Sums are modulo 2^128. */
static inline void row_hash_add(struct row_hash *sum, struct row_hash h)
{
    sum->low += h.low;
    sum->high += h.high + (sum->low < h.low);
}

static inline void row_hash_take(struct row_hash *sum, struct row_hash h)
{
    sum->high -= h.high + (sum->low < h.low);
    sum->low -= h.low;
}

/* Which of the two a row is from. */
enum side { SIDE_SOURCE, SIDE_TARGET };

#define TALLY_BUCKETS (UINT32_C(1) << 20) /* 16 MB */

struct tally {
    struct row_hash *sums; /* by bucket */
    uint64_t nrows[2];     /* by side */
};

MUST_CHECK int tally_init(struct tally *t, struct err *err);
void tally_free(struct tally *t);
/* Empties it. */
void tally_reset(struct tally *t);

static inline uint32_t tally_bucket(struct row_hash key)
{
    return (uint32_t)(key.low & (TALLY_BUCKETS - 1));
}

void tally_row(struct tally *t, enum side side, struct row_hash key, struct row_hash row);

/* The first bucket from `from` on that is not the same on both sides; TALLY_BUCKETS: there is none.
 */
uint32_t tally_next(const struct tally *t, uint32_t from);

#endif
