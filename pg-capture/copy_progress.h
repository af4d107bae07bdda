/*
 * copy_progress.h - how far the copy of a table is, for people: statistics by table, and during a
 * copy a log line every ten seconds or, on a terminal, one line that is overwritten.
 *
 * It counts this process' output: if the copy of a table continues after a restart, only the rest.
 * A table's size is the planner's estimate (pg_class.reltuples), or 0 without one; a row filter
 * leaves some of that out.
 */
#ifndef PG2ANY_COPY_PROGRESS_H
#define PG2ANY_COPY_PROGRESS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/err.h"
#include "capture_stats.h"
#include "catalog.h"
#include "frames/relation.h"

struct copy_progress {
    struct capture_stats *stats; /* borrowed */
    int terminal_fd;             /* -1: log lines instead */

    /* Of the table that is copied; relid 0: none is. */
    uint32_t relid;
    struct buf table; /* "schema.name" */
    struct copy_stats counts;
    uint64_t estimated_rows;
    int64_t begun_ms, due_ms;
    uint64_t
        settles_lsn; /* its copy is out, and settles at the targets until there; 0: it does not */
};

/* The rows that follow are of this table; one that was copied before is left where it is. */
MUST_CHECK int copy_progress_table(struct copy_progress *p, struct catalog *c,
                                   const struct relation *rel, struct err *err);

/* A row has been put out, `bytes` long as the source sent it. */
void copy_progress_row(struct copy_progress *p, size_t bytes);

/* Reports the progress if that is due; may be called at any time. `settled`: the targets have all
 * up to settles_lsn. */
void copy_progress_tell(struct copy_progress *p, bool settled);

/* The table is whole, all its rows are put out; the last of them with a snapshot of that LSN. */
void copy_progress_done(struct copy_progress *p, uint64_t lsn);

/* It is not, and does not go on now. Frees what there is. */
void copy_progress_stop(struct copy_progress *p);

#endif
