/*
 * progress_pace.h - when the next progress frame goes out.
 *
 * Such a frame says that the stream has passed WAL with nothing for the targets (position.h). Each
 * target commits it, by itself if no transaction follows. So it waits until transactions pause, and
 * is rare where none come. But the slot follows no sooner, and a COMMIT may wait for that
 * (synchronous_standby_names), or a copied table to settle.
 *
 * Pure: times are the caller's, in milliseconds of a clock that only goes on.
 */
#ifndef PG2ANY_PROGRESS_PACE_H
#define PG2ANY_PROGRESS_PACE_H

#include <stdbool.h>
#include <stdint.h>

/* Between two frames: */
#define PROGRESS_NEXT_MS   5    /* where somebody waits, and all is acknowledged; */
#define PROGRESS_GAP_MS    20   /* where it is not, and twice as long each time that it is not */
#define PROGRESS_OFTEN_MS  200  /* where both come behind a transaction, */
#define PROGRESS_PAUSE_MS  10   /* and how long behind it */
#define PROGRESS_SELDOM_MS 2000 /* where no transaction came in between */

/* Zeroed at first: one may go out at once. Written by progress_pace.c only. */
struct progress_pace {
    int64_t sent_ms;
    int64_t gap_ms;
    int64_t behind_ms;      /* when one was sent behind a transaction */
    uint64_t committed_lsn; /* as progress_pace_committed() was told last */
    int64_t committed_ms;   /* when it changed; 0: not since one was sent */
};

/* The end of the last whole transaction that has been sent, after each look at the stream. */
void progress_pace_committed(struct progress_pace *p, uint64_t committed_lsn, int64_t now_ms);

/* A progress frame has been sent. `acknowledged`: the targets had all before it that they
 * acknowledge by itself. */
void progress_pace_sent(struct progress_pace *p, bool acknowledged, int64_t now_ms);

/* When the next may go out; may be in the past. `waited_for`: somebody waits for it.
 * `acknowledged`: the targets have all that they acknowledge by itself. */
int64_t progress_pace_due_ms(const struct progress_pace *p, bool waited_for, bool acknowledged);

#endif
