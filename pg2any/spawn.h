/*
 * spawn.h - starts the programs of a pipeline as children.
 */
#ifndef PG2ANY_SPAWN_H
#define PG2ANY_SPAWN_H

#include <sys/types.h>

#include "base/err.h"
#include "plan.h"

/* A descriptor of ours that the child has under another number. */
struct spawn_fd {
    int ours, theirs;
};

/*
 * Starts argv[0], of the plan's programs, with the environment of `stage`; NULL: with ours, but for
 * what is secret. `fds` may be NULL (nfds 0). The child leads a process group of its own, so that a
 * terminal's ^C goes to us alone, has all signals unblocked and gets SIGTERM when we die. Returns
 * its pid, or -1.
 */
MUST_CHECK pid_t spawn(const struct plan *plan, const struct stage *stage, const char *const *argv,
                       const struct spawn_fd *fds, size_t nfds, struct err *err);

/* A pipe, both ends closed on exec and out of the way of what a child is given. */
MUST_CHECK int spawn_pipe(int ends[2], struct err *err);

/* Waits for a child; its exit status, or 128 + the signal that ended it. -1: not waited for. */
int spawn_wait(pid_t pid);
int spawn_status(int wait_status);

#endif
