/*
 * plan.h - the pipeline that the environment asks for: its stages, what each is started with, and
 * where they keep what they share.
 *
 * Target 1 is described by CDC_DEST_TYPE, CDC_DEST_URI and the other variables of an applier.
 * Further ones by the same names with _2, _3, ... at the end; what a further target does not set
 * for itself it has in common with the first, all but type and URI.
 *
 * Each stage says where its input comes from, which is all that is known of how they hang together:
 * whoever joins them follows `from` and `from_fd`.
 *
 * A target that is apart (base/apart.h) is not joined: its applier reads from no stage until
 * plan_look() finds that it is back.
 */
#ifndef PG2ANY_PLAN_H
#define PG2ANY_PLAN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/apart.h"
#include "base/err.h"

#define PLAN_MAX_TARGETS 16
#define PLAN_MAX_STAGES  (3 + PLAN_MAX_TARGETS)
#define PLAN_PATH_SIZE   512
#define SECOND_TARGET_FD 4 /* of frame-tee; the others follow. 3 is for readiness */

enum stage_kind { STAGE_CAPTURE, STAGE_ASSEMBLE, STAGE_TEE, STAGE_APPLY };

struct stage {
    enum stage_kind kind;
    char name[24];       /* "capture", "apply-2": of its files */
    const char *program; /* "apply-mysql" */
    unsigned target;     /* from 1; 0: no applier */
    int from;            /* the stage whose output it reads, an index; -1: it reads none */
    int from_fd;         /* under which number that stage has the output: stdout, or another */
    char stats[PLAN_PATH_SIZE];      /* its statistics file */
    char fifo[PLAN_PATH_SIZE];       /* its input, where that is no pipe of pg2any run */
    char ack[PLAN_PATH_SIZE];        /* an applier's FIFO */
    char uri[256];                   /* of its target, as far as that may be shown, in one line */
    char quarantine[PLAN_PATH_SIZE]; /* an applier's directory for tables that are set aside */
    char apart_file[PLAN_PATH_SIZE];
    enum apart_kind apart; /* as plan_look() found it */
};

struct plan {
    char state_dir[PLAN_PATH_SIZE];
    char bin_dir[PLAN_PATH_SIZE]; /* of this program: the others are looked for there first */
    const char *slot;
    unsigned ntargets;
    size_t nstages;           /* from capture on; a tee only where it is needed */
    unsigned njoined;         /* targets that are not apart */
    uint64_t pause_wal_bytes; /* a target that is apart is given up beyond it; 0: never */
    struct stage stages[PLAN_MAX_STAGES];
};

/* From the environment. Permanent error that names the variable. Makes nothing. */
MUST_CHECK int plan_make(struct plan *p, struct err *err);

/* Looks which targets are apart, and joins the others. Where there is one target only it is joined.
 */
MUST_CHECK int plan_look(struct plan *p, struct err *err);

/* How one target is; a file that is about another one, of an earlier configuration, does not count.
 */
MUST_CHECK int plan_apart(const struct stage *s, struct apart *a, struct err *err);

/* Whether a stage would be started otherwise than plan_look() has found: which targets are joined,
 * or for which the slot is kept. What cannot be read is as it was. */
bool plan_changed(const struct plan *p, const struct stage *s);

/* The bytes of WAL that the slot keeps for a target that is apart, as far as statistics say. */
double plan_kept_wal(const struct plan *p, const struct stage *s);

/* The error of a pipeline in which no target is joined. */
int plan_none_joined(struct err *err);

/* Calls back for each variable CDC_* and METRICS_* of the environment that no program reads. */
void plan_unknown_variables(const struct plan *p, void (*found)(void *ctx, const char *name),
                            void *ctx);

/* What the checkpoint of an applier's target is called. */
const char *plan_origin(const struct plan *p, const struct stage *s);

bool plan_state_dir_is_there(const struct plan *p);

/* Whether METRICS_PORT or METRICS_LISTEN asks for metrics-http. */
bool plan_wants_metrics(void);

/* The state directory: made where it is not there, and ours alone. */
MUST_CHECK int plan_make_state_dir(const struct plan *p, struct err *err);

/* Keeps every other pg2any that runs or drops the same pipeline away, for as long as this process
 * lives. Permanent error where there is one. */
MUST_CHECK int plan_lock_state_dir(const struct plan *p, struct err *err);

/* Waits until no other stage gives a name to a FIFO or takes one away. A descriptor: closing it
 * lets the next one go on; -1: an error. */
MUST_CHECK int plan_lock_joints(const struct plan *p, struct err *err);

/* To be looked at, where it is there: ours, or one that was named, or we are root. */
MUST_CHECK int plan_check_state_dir(const struct plan *p, struct err *err);

/*
 * In a child: gives the environment of a stage; NULL: of a program beside them. A target's own
 * variables take the place of the common ones; what is no business of the stage, other stages'
 * passwords above all, is taken out.
 */
MUST_CHECK int plan_enter_stage(const struct stage *s, struct err *err);

/* In a child: becomes the program. Returns only with an error. */
int plan_exec(const struct plan *p, const char *const *argv, struct err *err);

#endif
