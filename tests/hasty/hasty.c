/*
 * A pg-capture that does not ask whether a copy's snapshot is late enough: linked with
 * --wrap=snapshot_sees, so that all which was sent counts as seen. tests/t/18_copy_visible.t shows
 * with it that it would notice.
 */
#include "frames/snapshot.h"

bool __wrap_snapshot_sees(const struct snapshot *s, uint32_t xid);

bool __wrap_snapshot_sees(const struct snapshot *s, uint32_t xid)
{
    (void)s;
    (void)xid;
    return true;
}
