/*
 * join.h - joins a stage to its neighbours by named FIFOs, then becomes the stage's
 * program. For supervisors that keep each stage as a service of its own.
 *
 * The FIFO to read from is made afresh (0600), so that what an earlier reader left is never found
 * and its writer's pipe breaks. A FIFO to write to is opened when somebody reads it; it is looked
 * for by its name again and again, because its reader replaces it. The input is opened last: so a
 * pipeline begins to move from its end, and no stage runs whose reader is not there.
 */
#ifndef PG2ANY_JOIN_H
#define PG2ANY_JOIN_H

#include "err.h"
#include "options.h"
#include "plan.h"

#define JOIN_FIRST_FD 4 /* of the second FIFO to write to; s6 gives 3 for readiness */

/* `read` may be NULL: stdin stays. The first of `writes` becomes stdout, the others JOIN_FIRST_FD
 * and so on. Returns only with an error. */
int join_and_exec(const struct plan *plan, const char *read, const struct option_list *writes,
                  const char *const *argv, struct err *err);

#endif
