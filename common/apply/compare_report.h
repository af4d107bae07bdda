/*
 * compare_report.h - what a comparison says: a line for each table and its keys that differ, for
 * people or as JSON, on stdout; all such keys in a file, for programs; where it is, on a terminal.
 *
 * The file of keys has a line for each, fields as COPY writes text with tabs between: what it is
 * (missing, extra, different), schema, table, then the name of each column of the key and its value
 * as PostgreSQL writes it, \N for NULL. Of a table without a key all its columns.
 */
#ifndef PG2ANY_COMPARE_REPORT_H
#define PG2ANY_COMPARE_REPORT_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

#include "apply/compared_row.h"
#include "apply/suspects.h"
#include "base/buf.h"
#include "base/err.h"
#include "base/last_compare.h"
#include "frames/relation.h"

#define COMPARE_KEYS_SHOWN 20 /* of a table */

/* What came of a table. */
struct compare_result {
    const struct relation *rel;
    uint64_t nrows[2];   /* by side, that were looked at */
    uint64_t nleft_out;  /* of the source's, by --sample */
    uint64_t nchosen;    /* values of the source that a policy stands for at the target */
    uint64_t ndiffer;    /* keys */
    uint64_t nundecided; /* keys */
    uint64_t nunlisted;  /* of those that differ: they do not fit into the file of keys */
    bool more;           /* there are others that differ */
    bool unnamed;        /* it differs, and which keys do cannot be found */
    const char *why_not; /* it was not compared; NULL: it was */
    int64_t elapsed_ms;
};

struct compare_report {
    bool json, values;
    FILE *keys;         /* NULL: none is wanted */
    int terminal_fd;    /* -1: there is none */
    struct buf details; /* of the table: keys that are shown */
    unsigned nshown;
    int64_t due_ms;          /* when to say again where it is */
    struct last_compare sum; /* of the tables that are done */
};

/* A key that differs, or is not decided, of the table that is compared. */
void compare_report_key(struct compare_report *r, const struct compared_row *row,
                        const struct suspect *s);

/* The table is done: its line, and what was noted of keys. */
MUST_CHECK int compare_report_table(struct compare_report *r, const struct compare_result *result,
                                    struct err *err);

/* Says where it is, if that is due. `side`: which of them is read. */
void compare_report_progress(struct compare_report *r, const struct relation *rel, enum side side,
                             uint64_t nrows, int64_t elapsed_ms, unsigned look);

/* Closes the file of keys: temporary error where it is not whole. */
MUST_CHECK int compare_report_end(struct compare_report *r, struct err *err);

#endif
