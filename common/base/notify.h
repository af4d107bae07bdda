/*
 * notify.h - readiness as s6 expects it: one newline on a descriptor from the supervisor, which is
 * then closed.
 */
#ifndef PG2ANY_NOTIFY_H
#define PG2ANY_NOTIFY_H

#include <stdint.h>

#define NOTIFY_NONE UINT64_MAX

/* Does nothing for NOTIFY_NONE, and nothing the second time. */
void notify_ready(uint64_t *fd);

#endif
