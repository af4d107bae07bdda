/*
 * pipeline.h - one pipeline, by the statistics files of its stages: whether it works, how far it
 * is, and how it was in the last hour.
 *
 * It works while every stage is alive and connected, and either nothing waits to be applied or the
 * target moves. What waits: the position that pg-capture has put out (covered) is beyond what an
 * applier has made durable, or an applier holds transactions. Moves: its durable position was
 * another within the stall limit; the applier itself remembers that across restarts. A stage that
 * has failed more than once without progress does not work, even while it runs (stats_file.h).
 *
 * Of several targets one may be apart (base/apart.h), which its file beside the statistics says.
 * That it is paused is as somebody wants it; one that has failed or is given up does not work.
 */
#ifndef PG2ANY_PIPELINE_H
#define PG2ANY_PIPELINE_H

#include <stdbool.h>
#include <stdint.h>

#include "base/apart.h"
#include "base/err.h"
#include "base/options.h"
#include "base/stats.h"
#include "base/stats_file.h"
#include "history.h"

#define PIPELINE_MAX_STAGES OPTION_LIST_MAX

enum stage_kind { KIND_CAPTURE, KIND_ASSEMBLE, KIND_TEE, KIND_APPLY, KIND_OTHER };

struct watched {
    char *path;                  /* of the statistics file */
    char name[64];               /* of the stage: the file's without ".prom" */
    bool optional;               /* it belongs to the pipeline only where its file is there */
    enum stage_kind kind;        /* by its program; by its name, where the file does not say */
    struct stats_file file;      /* as last read */
    struct apart apart;          /* of an applier */
    struct stats_file compared;  /* of an applier: the file of last_compare.h; may be missing */
    struct err fault;            /* what keeps it from working; ERR_NONE: nothing */
    double lsn;                  /* an applier's durable position */
    int64_t moved_ms;            /* when it was seen to change, or nothing waited; monotonic */
    uint64_t passed, per_second; /* what went through it in all (pipeline_flow()), and how fast */
    struct stats_speed speed;
    struct series lag_s, lag_bytes, changes; /* an applier's */
};

struct pipeline {
    const char *dir; /* its state directory; NULL: its files were named one by one. Borrowed */
    struct watched stages[PIPELINE_MAX_STAGES]; /* the first reads the source, appliers come last */
    size_t nstages;
    struct err fault;    /* the one that matters; ERR_NONE: it works */
    struct err starting; /* the first stage that has not started up */
    struct history history;
    struct series retained; /* WAL that the slot keeps */
};

/* To be freed in any case. Both are for a zeroed struct. */
MUST_CHECK int pipeline_init_files(struct pipeline *p, const struct option_list *files,
                                   struct err *err);
/* The stages that pg2any makes (plan.h has their names); those that not every pipeline has count
 * while their file is there. */
MUST_CHECK int pipeline_init_dir(struct pipeline *p, const char *dir, struct err *err);
void pipeline_free(struct pipeline *p);

/* Reads the files, and judges. */
void pipeline_look(struct pipeline *p, int64_t stall_ms, int64_t now_ms);

/* Once a second: goes on with speeds and the last hour, by what was looked at last. */
void pipeline_sample(struct pipeline *p, int64_t now_ms);

/* The next stage that belongs to it, behind `s`; NULL: the first, or there is none. */
const struct watched *pipeline_next(const struct pipeline *p, const struct watched *s);
/* The same of its appliers alone. */
const struct watched *pipeline_next_target(const struct pipeline *p, const struct watched *s);

/* "running"; of a target that is apart how it is. */
const char *pipeline_word(const struct watched *w);

/* The stage that reads the source, for its statistics. */
const struct stats_file *pipeline_capture(const struct pipeline *p);

/* The name of its slot; else of its state directory, or "pipeline". */
const char *pipeline_name(const struct pipeline *p, char out[256]);

/* How urgent a state is. */
enum tone { TONE_OK, TONE_BUSY, TONE_WAIT, TONE_BAD };

#define PIPELINE_TEXT (ERR_TEXT_SIZE + 320)
struct pipeline_state {
    enum tone tone;
    const char *word; /* "failed", "not working", "starting", "copying", "up to date", ... */
    char text[PIPELINE_TEXT]; /* the same with what belongs to it */
};

/* How it is: what is wrong with it, else that it starts or copies, else how far the target is
 * behind that is furthest. */
void pipeline_state(const struct pipeline *p, struct pipeline_state *state);

#endif
