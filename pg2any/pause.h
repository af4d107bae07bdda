/*
 * pause.h - one target that is left out of the pipeline (base/apart.h): asked for, because its
 * applier had a permanent error, or until it is given up; and its way back.
 *
 * Here files are written, under the lock of the joints, and processes told. The pipeline is joined
 * anew by whoever runs it: pg2any run looks at the files, a stage of a supervisor looks at them
 * while it waits and before it becomes its program (join.h).
 */
#ifndef PG2ANY_PAUSE_H
#define PG2ANY_PAUSE_H

#include <stdbool.h>

#include "base/err.h"
#include "plan.h"

/* Leaves a target out, and waits for its applier to end. Permanent error where there is no
 * such target, it is apart already, or no other is left. Root goes on as the state directory's
 * user, here and below. */
MUST_CHECK int pause_target(const struct plan *plan, unsigned target, struct err *err);

/* It comes back. Where the pipeline runs it catches up first (catch_up.h), which takes as long as
 * that takes; not so `at_once`, nor after it was given up. Permanent error where it is not apart,
 * or was given up and nothing would copy what it lacks. */
MUST_CHECK int pause_end(const struct plan *plan, unsigned target, bool at_once, struct err *err);

/* An applier had a permanent error, which its statistics say: it is left out, and the log says so.
 * False where no other target is joined. */
bool pause_failed(const struct plan *plan, const struct stage *s);

/* Forgets which targets have failed: a start tries all of them again. And as below. */
MUST_CHECK int pause_forget_failed(const struct plan *plan, struct err *err);

/* Under the lock, of a stage that begins: forgets what a file of an earlier configuration says of
 * another target, which metrics-http would believe. */
MUST_CHECK int pause_forget_others(const struct plan *plan, const struct stage *s, struct err *err);

/* Whether the slot keeps more for a target that is apart than it may: then it is given up. */
bool pause_gave_up(const struct plan *plan, const struct stage *s);

/* SIGTERM to the process of a stage that is ready, as its statistics say. */
void pause_interrupt(const struct stage *s);

#endif
