/*
 * apart.h - one of several targets that is temporarily not in the pipeline: the others go on
 * without it, and the slot keeps what it lacks.
 *
 * A file beside the statistics of its applier, "apply-2.apart", records this: a word and since when
 * (Unix time), the target, the reason, one a line. If the file is lost, all targets are in the
 * pipeline again. That is right, because the slot has not moved beyond what the target has; if the
 * target was given up, its applier stops and says so.
 */
#ifndef PG2ANY_APART_H
#define PG2ANY_APART_H

#include <stdint.h>

#include "base/err.h"
#include "base/stats_file.h"

enum apart_kind {
    APART_NONE,
    APART_PAUSED,   /* somebody asked for it */
    APART_FAILED,   /* its applier had a permanent error */
    APART_GIVEN_UP, /* the slot keeps nothing for it any more */
};

struct apart {
    enum apart_kind kind;
    int64_t since_s;
    char target[256]; /* its URI, as far as that may be shown */
    char reason[ERR_TEXT_SIZE];
};

/* "paused", "failed", "given up"; of APART_NONE "". */
const char *apart_word(enum apart_kind kind);

/* APART_NONE if there is no such file. Permanent error if it is something else. */
MUST_CHECK int apart_read(const char *path, struct apart *a, struct err *err);

/* Writes the file, or with APART_NONE removes it. */
MUST_CHECK int apart_write(const char *path, const struct apart *a, struct err *err);

/* What keeps such a stage from working, instead of what its statistics say (stats_file_fault()):
 * nothing if it is paused (0), else a permanent error. */
MUST_CHECK int apart_fault(const struct apart *a, const char *stage, struct err *err);

/* WAL that the slot keeps only for this target, from what it has to what the others have, by
 * capture's and the applier's statistics. 0 if unknown. */
double apart_kept_bytes(const struct stats_file *capture, const struct stats_file *apply);

#endif
