#include "sql/reconnect.h"

#include <poll.h>
#include <stddef.h>

#include "base/lsn.h"

#define SLICE_MS 4000
#define PAUSE_MS 100

int reconnect(struct reconnect *r, struct driver *d, uint64_t timeout_ms,
              int (*connect)(struct driver *d, struct err *err), struct err *err)
{
    int64_t now = monotonic_ms(), end = now + SLICE_MS;
    if (r->lost_ms == 0)
        r->lost_ms = now;
    for (;;) {
        if (connect(d, err) == 0) {
            r->lost_ms = 0;
            err_clear(err);
            return 0;
        }
        if (err->kind == ERR_PERMANENT && !err->unknown)
            return -1;
        now = monotonic_ms();
        if (now - r->lost_ms >= (int64_t)timeout_ms) {
            err->kind = ERR_TEMPORARY;
            return -1;
        }
        if (now >= end) {
            err->kind = ERR_RETRY;
            return -1;
        }
        (void)poll(NULL, 0, PAUSE_MS);
    }
}
