/*
 * join.h - joins a stage to its neighbours by named FIFOs, then becomes the stage's
 * program. For supervisors that keep each stage as a service of its own.
 *
 * A FIFO is for one writer and one reader, once: what the one has begun, a half frame above all,
 * nobody else may go on with. So a FIFO has a name only as long as it waits for its writer. Its
 * reader makes it afresh (0600); the writer that opens it takes the name away, and the next one
 * waits for the next reader. Names change under a lock, or a stage that is started a second time
 * could take away a name that has passed to another FIFO meanwhile. Two readers that opened the
 * same one are told apart by a lock on the FIFO itself, which lasts as long as its reader.
 *
 * Whoever is killed in between leaves a name without a reader, which takes no writer, or a FIFO
 * whose writer is gone, which ends at once: its reader leaves with 111 and makes the next one.
 *
 * A FIFO to write to is looked for by its name again and again. The input is made and opened last:
 * so a pipeline begins to move from its end, and no stage runs whose reader is not there.
 *
 * Which targets are in the pipeline may change (pause.h) while a stage waits. It looks, once more
 * under the lock just before it becomes its program, and leaves with a temporary error to be
 * started as things are now. An applier that nobody writes to although the tee runs has come later
 * than that: it ends the tee, which comes back knowing of it.
 */
#ifndef PG2ANY_JOIN_H
#define PG2ANY_JOIN_H

#include <stddef.h>

#include "base/err.h"
#include "plan.h"

/* `stage` is an index. Returns only with an error. */
int join_and_exec(const struct plan *plan, size_t stage, const char *const *argv, struct err *err);

#endif
