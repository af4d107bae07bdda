/*
 * reconnect.h - a driver's reset() after its server has gone: the server may be starting again.
 */
#ifndef PG2ANY_RECONNECT_H
#define PG2ANY_RECONNECT_H

#include <stdint.h>

#include "base/err.h"
#include "sql/driver.h"

struct reconnect {
    int64_t lost_ms; /* since when no server is found; 0: one is */
};

/*
 * Calls `connect` until it succeeds, or fails with an error that is known to persist (permanent;
 * not err.h's unknown), or the server has been away for `timeout_ms` over all calls (temporary), or
 * some seconds have passed, after which the loop must check whether it was asked to stop (repeat).
 */
MUST_CHECK int reconnect(struct reconnect *r, struct driver *d, uint64_t timeout_ms,
                         int (*connect)(struct driver *d, struct err *err), struct err *err);

#endif
