/*
 * inspect.h - pg2any check, status, drop, copy, pause, resume and resync: the stages look each at
 * their own side.
 */
#ifndef PG2ANY_PG2ANY_INSPECT_H
#define PG2ANY_PG2ANY_INSPECT_H

#include <stdbool.h>

#include "base/err.h"
#include "plan.h"

/* Runs pg-capture --check and, with what it says of the tables, each applier's --check. Changes
 * nothing. The reports go to stdout. */
MUST_CHECK int inspect_check(const struct plan *plan, struct err *err);

/* Slot, checkpoints and processes, on stdout, as text or as a JSON object. Permanent error where a
 * stage has stopped for good, with its reason; temporary where one does not run. */
MUST_CHECK int inspect_status(const struct plan *plan, bool json, struct err *err);

/* Which targets, and which tables of theirs. */
struct copy_request {
    unsigned target;           /* 0: all */
    size_t ntables;            /* 0: all */
    const char *const *tables; /* "public.t" */
};

/* Asks for tables to be copied again, or set aside until they are; appliers that run are told. */
MUST_CHECK int inspect_copy(const struct plan *plan, const struct copy_request *r, struct err *err);
MUST_CHECK int inspect_set_aside(const struct plan *plan, const struct copy_request *r,
                                 struct err *err);

/* Brings tables back that are set aside: those that a person has by a copy, others by what is kept
 * of them. */
MUST_CHECK int inspect_bring_back(const struct plan *plan, const struct copy_request *r,
                                  struct err *err);

/* A file without a name, for what one program writes and another reads; -1: an error. */
MUST_CHECK int inspect_scratch_file(struct err *err);

/* Whether anything would copy what is asked for. */
MUST_CHECK int inspect_check_copies(unsigned target, const struct plan *plan, struct err *err);

/* Asks one target for rows to be read again, whose keys stand in that file as a comparison writes
 * them. Many are copied with their tables: then it asks on stdin first, unless `sure`. */
MUST_CHECK int inspect_mend(const struct plan *plan, const struct stage *s, int keys_fd, bool sure,
                            struct err *err);

/*
 * Begins anew, with the rows that are at the targets until others have come: of all targets, with
 * a new slot, or of one. Asks on stdin first, unless `sure`. Refuses while a stage runs.
 */
MUST_CHECK int inspect_resync(const struct plan *plan, unsigned target, bool sure, struct err *err);

/* Drops the slot, then each target's checkpoint. Asks for the slot's name on stdin first, unless
 * `sure`. */
MUST_CHECK int inspect_drop(const struct plan *plan, bool sure, struct err *err);

#endif
