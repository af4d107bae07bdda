/*
 * rows.h - pg-capture --rows: what tables hold, each as one snapshot sees it, as the frames of a
 * copy. Without a slot, and nobody's copy: who compares a target with the source reads them.
 *
 * A hello; of each table asked for, the relation, a copy begin, the rows, a copy end, and then a
 * progress frame, by which one knows that no more of it comes: alone where the table is not there
 * or not published any more. An end.
 *
 * With "-" they are asked for on stdin, a relid on a line each, until that ends. Behind the hello
 * then stand the relations of all tables that are published, and a progress frame.
 */
#ifndef PG2ANY_ROWS_H
#define PG2ANY_ROWS_H

#include "base/err.h"
#include "capture_options.h"

/* Returns the exit status, and has logged the error. A table that somebody keeps locked is waited
 * for, a minute: temporary error. */
MUST_CHECK int rows_run(const struct capture_options *options, struct err *err);

#endif
