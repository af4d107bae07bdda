/*
 * wal_budget.h - how much WAL the slot may keep at the server, and when to say that it is much.
 *
 * The server gives a slot up that keeps more than max_slot_wal_keep_size, and whoever runs it may
 * have less room on the disk. Past half of the smaller of the two there is time left to do
 * something. That is said when it is so first, again when what is kept has doubled, and again after
 * a while; where it has been less, it is first again.
 */
#ifndef PG2ANY_WAL_BUDGET_H
#define PG2ANY_WAL_BUDGET_H

#include <stdbool.h>
#include <stdint.h>

#define WAL_BUDGET_SAY_MS (10 * 60 * 1000)

struct wal_budget {
    uint64_t said_bytes; /* were kept when it was said last; 0: it is not more than half */
    int64_t said_ms;
};

/* The smaller of two limits in bytes, of which 0 is none. */
static inline uint64_t wal_budget_of(uint64_t a, uint64_t b)
{
    return a == 0 || (b != 0 && b < a) ? b : a;
}

/* Whether it is to be said now that `kept` of `budget` bytes are kept. */
bool wal_budget_is_due(struct wal_budget *b, uint64_t kept, uint64_t budget, int64_t now_ms);

#endif
