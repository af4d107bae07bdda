/*
 * rows.h - pg-capture --rows: the rows of tables, each as one snapshot sees it, as the frames of a
 * copy. It uses no slot, and no target applies the rows: comparisons read them.
 *
 * The output: a hello; for each requested table the relation, a copy begin, the rows, a copy end,
 * and a progress frame, which marks the end of the table and comes alone if the table does not
 * exist or is no longer published; an end.
 *
 * With "-" tables are requested on stdin, one relid per line, until that ends. Then the hello is
 * followed by the relations of all published tables, and a progress frame.
 */
#ifndef PG2ANY_ROWS_H
#define PG2ANY_ROWS_H

#include "base/err.h"
#include "capture_options.h"

/* Returns the exit status, and has logged the error. Waits up to a minute for a locked table, then:
 * temporary error. */
MUST_CHECK int rows_run(const struct capture_options *options, struct err *err);

#endif
