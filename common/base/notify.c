#include "base/notify.h"

#include <unistd.h>

#include "base/log.h"

void notify_ready(uint64_t *fd)
{
    if (*fd == NOTIFY_NONE)
        return;
    if (write((int)*fd, "\n", 1) != 1)
        log_warning("cannot write to the notification descriptor", "fd", LOG_U64(*fd), NULL);
    (void)close((int)*fd);
    *fd = NOTIFY_NONE;
}
