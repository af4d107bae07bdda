/*
 * apply_world.h - a program around the apply loop for tests: the driver of driver_double.h, a pipe
 * for the acknowledgements, frames from scripts.
 *
 * Every acknowledgement is checked as it comes: it is durable at the target, has come in this
 * stream, and never goes back.
 */
#ifndef PG2ANY_TESTS_APPLY_WORLD_H
#define PG2ANY_TESTS_APPLY_WORLD_H

#include <stddef.h>
#include <stdint.h>

#include "apply/apply_stream.h"
#include "driver_double.h"

struct counters {
    uint64_t rows[COUNTS];
    uint64_t transactions, commits, retries, unplanned, held_bytes, checkpoint_lsn, commit_time,
        connected;
    uint64_t skipped, received_lsn;
    struct stats_histogram durations;
};

struct apply_world {
    struct driver dest; /* the double */
    struct target *target;
    struct signals signals;
    struct apply_group group;
    struct apply_stream stream;
    struct counters counters;
    struct stats stats; /* without a file */
    struct err err;
    int acks;           /* the end that pg-capture would read */
    uint64_t acked_lsn; /* the last that came there */
    uint64_t come_lsn;  /* the highest that was in a frame of this run */
};

/* A run of the program; the target and what was acknowledged outlive it. Logging is left to the
 * test's main(). */
void start(struct apply_world *w);
void stop(struct apply_world *w);

/* For cmocka: a world with an empty target, started; stopped and freed. */
int apply_setup(void **state);
int apply_teardown(void **state);

/* Stops, empties the target, starts. */
void new_target(struct apply_world *w);

/* Feeds frames, or a script of them (frame_script.h); after a fault in them flushes, as
 * apply_main() does. What is acknowledged meanwhile is checked. */
int feed_frames(struct apply_world *w, const struct buf *frames);
int feed(struct apply_world *w, const char *script);

/* The input pauses; has ended. */
int input_pauses(struct apply_world *w);
int input_ends(struct apply_world *w);

/* Expect what the last three returned: success; a failure of that kind that says that. */
void good(const struct apply_world *w, int rc);
void bad(const struct apply_world *w, int rc, enum err_kind kind, const char *text);

/* Expect what is committed, and the calls since the last time. */
void has(const struct apply_world *w, const char *content);
void calls(struct apply_world *w, const char *expected);
size_t count_calls(struct apply_world *w, const char *call);

const struct double_data *durable(const struct apply_world *w);
uint64_t checkpoint(const struct apply_world *w); /* its LSN; 0: none */

#define START "H 100; R 1 1; "
#define ONE   "B 10 200; I 10 1 a; C 10 200 210 1; "
#define TWO   "B 11 300; I 11 1 b; C 11 300 310 1; "
#define THREE "B 12 400; I 12 1 c; C 12 400 410 1; "

#endif
