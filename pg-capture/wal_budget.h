/*
 * wal_budget.h - how much WAL the slot may keep at the server, and when to warn.
 *
 * The server invalidates a slot that keeps more than max_slot_wal_keep_size, and its disk may have
 * less room than that. At half of the smaller limit there is still time to act. The warning comes
 * then, again when the kept WAL has doubled, and again after a while; it starts over after the
 * amount fell below half.
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

/* Whether to warn now that `kept` of `budget` bytes are kept. */
bool wal_budget_is_due(struct wal_budget *b, uint64_t kept, uint64_t budget, int64_t now_ms);

#endif
