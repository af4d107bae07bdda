/*
 * compare_look.h - what the parts of a comparison (compare.h) share, and one look at a table: the
 * source's rows, then the target's, once it has come as far.
 */
#ifndef PG2ANY_COMPARE_LOOK_H
#define PG2ANY_COMPARE_LOOK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "apply/compare_options.h"
#include "apply/compare_report.h"
#include "apply/compare_source.h"
#include "apply/compared_row.h"
#include "apply/suspects.h"
#include "apply/tally.h"
#include "base/buf.h"
#include "base/err.h"
#include "base/signals.h"
#include "sql/target.h"

enum look { LOOK_AT_ALL, LOOK_FOR_KEYS };

/* A table that can be asked for. */
struct listed_table {
    struct relation *rel;
};

struct compare {
    const struct compare_options *options;
    struct signals signals;
    struct target *target;
    const char *origin;
    struct table_names names; /* empty: all */
    struct compare_source source;
    struct tally tally;
    struct suspects suspects;
    struct compare_report report;
    enum compared compared;

    struct listed_table *listed;
    size_t nlisted, listed_cap;

    /* Of the table: */
    struct relation *rel;
    struct target_table *table;
    uint64_t settles_lsn;
    struct compared_row row;
    struct stored *stored;
    char (*rooms)[STORED_ROOM];
    struct compare_result result;
    struct err refused; /* why the target's table is none that could be compared */
    int64_t begun_ms;

    /* Of the look: */
    enum look look;
    unsigned nlooks;
    bool keep;    /* what is shown of keys */
    bool changed; /* the table was, meanwhile: it is looked at anew */
    uint64_t nrows, nleft_out, nchosen, nbytes;
    int64_t side_ms;     /* when this side's reading began */
    struct buf snapshot; /* of the look before */
};

/* The target's checkpoint now; permanent error where it has none, or of another source. */
MUST_CHECK int compare_checkpoint(struct compare *c, struct checkpoint *now, struct err *err);

/* Both sides once, into the tally or the suspects. Where c->changed or result.why_not are set
 * then, that is why not. What the target gives up is tried again. */
MUST_CHECK int compare_look(struct compare *c, enum look look, struct err *err);

/* Waits for a random time, as is done between looks (suspects.h). */
MUST_CHECK int compare_pause(struct compare *c, struct err *err);

/* Whether nothing was committed at the source since the look before, for all that its snapshots
 * say. */
bool compare_is_still(struct compare *c);

static inline bool compare_goes_on(const struct compare *c)
{
    return !c->changed && !c->result.why_not;
}

#endif
