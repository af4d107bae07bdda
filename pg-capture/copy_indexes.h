/*
 * copy_indexes.h - the secondary indexes of a table that a target may have as well, for the end of
 * its copy.
 *
 * Those are B-trees over published columns, in any direction. Excluded are indexes over expressions
 * or a part of the rows, with included columns, or invalid, and those of the primary key and the
 * replica identity, which the applier creates with the table. (PostgreSQL's documentation,
 * pg_index.)
 */
#ifndef PG2ANY_COPY_INDEXES_H
#define PG2ANY_COPY_INDEXES_H

#include <stdint.h>

#include "base/buf.h"
#include "base/err.h"
#include "frames/relation.h"
#include "session.h"

enum copy_indexes { COPY_INDEXES_NONE, COPY_INDEXES_UNIQUE, COPY_INDEXES_ALL };

/*
 * Appends the list, as the copy's end has it (docs/FRAMES.md). In the session's open transaction; a
 * query that takes until `deadline_ms` at most.
 */
MUST_CHECK int copy_indexes_read(struct session *s, const struct waiter *waiter,
                                 int64_t deadline_ms, const struct relation *rel,
                                 enum copy_indexes which, struct buf *list, struct err *err);

#endif
