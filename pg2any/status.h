/*
 * status.h - how a pipeline is, as its stages' statistics files say: what pg2any status shows, as
 * text, as JSON and on a screen that is drawn again and again (base/progress.h has the words).
 */
#ifndef PG2ANY_STATUS_H
#define PG2ANY_STATUS_H

#include <stdbool.h>
#include <stddef.h>

#include "base/apart.h"
#include "base/buf.h"
#include "base/err.h"
#include "base/last_compare.h"
#include "base/stats_file.h"
#include "plan.h"

struct status_stage {
    const struct stage *stage;
    struct stats_file file;
    struct err fault;   /* ERR_NONE: it works, or is paused */
    struct apart apart; /* of an applier: APART_NONE where the target is in the pipeline */
    struct last_compare compared; /* of an applier */
};

struct status {
    const struct plan *plan;
    struct status_stage stages[PLAN_MAX_STAGES]; /* the plan's, in its order */
};

/* Reads the files; what cannot be read is a stage's fault. To be freed in any case. */
void status_look(struct status *s, const struct plan *plan);
void status_free(struct status *s);

/* The fault that matters, if there is one. */
MUST_CHECK int status_fault(const struct status *s, struct err *err);

/* "running"; of a target that is apart how it is. */
const char *status_word(const struct status_stage *s);

/* "target 2 is paused since 2026-11-26 21:04; 1.2 GB of WAL kept for it (given up beyond 10 GB)".
 */
#define STATUS_APART_WORDS 160
void status_apart_words(const struct status *s, const struct status_stage *apply,
                        char out[STATUS_APART_WORDS]);

/* "last compared 2026-11-27 06:00: 12 tables equal"; empty where the target never was. */
#define STATUS_COMPARED_WORDS (LAST_COMPARE_WORDS + 64)
void status_compared_words(const struct status_stage *apply, char out[STATUS_COMPARED_WORDS]);

/* Appends everything as a JSON object with `source` and, by target, `checkpoints`: JSON that the
 * sides gave, "" where they gave none. */
void status_put_json(const struct status *s, struct buf *source, struct buf *checkpoints,
                     struct buf *out);

/* Appends lines for a screen that is `width` wide, of which the first says when that was. */
void status_put_screen(const struct status *s, size_t width, struct buf *out);

#endif
