#include "wal_budget.h"

bool wal_budget_is_due(struct wal_budget *b, uint64_t kept, uint64_t budget, int64_t now_ms)
{
    if (budget == 0 || kept < budget / 2) {
        b->said_bytes = 0;
        return false;
    }
    if (b->said_bytes != 0 && kept / 2 < b->said_bytes && now_ms - b->said_ms < WAL_BUDGET_SAY_MS)
        return false;
    b->said_bytes = kept;
    b->said_ms = now_ms;
    return true;
}
