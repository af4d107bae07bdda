/*
 * compare_source.h - the source's side of a comparison: what pg-capture --rows writes.
 *
 * Either pg-capture is asked for each table, as often as one likes, by a line with its relid; or
 * the tables come as they stand in the input, and only a file can be read again.
 */
#ifndef PG2ANY_COMPARE_SOURCE_H
#define PG2ANY_COMPARE_SOURCE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "base/buf.h"
#include "base/err.h"
#include "base/signals.h"
#include "frames/frame.h"
#include "frames/frame_reader.h"
#include "frames/relation.h"
#include "frames/value.h"

struct compare_source {
    struct frame_reader input;
    const struct signals *signals; /* borrowed */
    int ask_fd;                    /* -1: nobody is asked */
    char slot[256], system_identifier[32];

    /* Where nobody is asked: where the next table begins in the input, as far as it can be read
     * again. */
    off_t begin;
    uint64_t offset;
    struct frame_seal seal;

    /* Of the table that is read: */
    bool complete;       /* all of it came */
    uint64_t lsn;        /* every transaction that its snapshot sees committed before it */
    struct buf snapshot; /* text */
    bool ended;          /* the input, on purpose */
};

/* A relation of the list; a row of the table that was asked for. Borrowed. */
typedef int compare_relation_fn(void *ctx, struct relation *rel, struct err *err);
typedef int compare_source_row_fn(void *ctx, const struct value *row, struct err *err);

/* Reads the hello. `ask`: a FIFO or the like where tables are asked for; NULL: nobody is asked. */
MUST_CHECK int compare_source_open(struct compare_source *s, const char *ask, struct err *err);
void compare_source_close(struct compare_source *s);

/* The tables that can be asked for; behind the hello. */
MUST_CHECK int compare_source_list(struct compare_source *s, compare_relation_fn *fn, void *ctx,
                                   struct err *err);

/* Asks for a table. */
MUST_CHECK int compare_source_ask(struct compare_source *s, uint32_t relid, struct err *err);

/* The relation that comes next, one reference of it; *rel NULL: none came. Behind the last one of a
 * file s->ended is set. */
MUST_CHECK int compare_source_relation(struct compare_source *s, struct relation **rel,
                                       struct err *err);

/* Its rows, to the end of them; `fn` NULL: they are passed over. s->complete: it has come to that.
 */
MUST_CHECK int compare_source_rows(struct compare_source *s, const struct relation *rel,
                                   compare_source_row_fn *fn, void *ctx, struct err *err);

/* Goes back to where the relation stood; *can false: the input is no file. */
MUST_CHECK int compare_source_again(struct compare_source *s, bool *can, struct err *err);

#endif
