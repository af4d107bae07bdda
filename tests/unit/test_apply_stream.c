/*
 * common/apply/apply_stream.c, apply_group.c and apply_rows.c where nothing fails but the input:
 * order, grouping, checkpoints, progress, acknowledgements.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include <sys/resource.h>
#include <unistd.h>

#include "apply_world.h"
#include "base/log.h"
#include "frame_script.h"
#include "frames/frame.h"
#include "frames/frame_writer.h"

#define LENGTH(a) (sizeof(a) / sizeof *(a))

/* ---- grouping ---- */

int64_t __wrap_monotonic_us(void);
static int64_t clock_us = 1000000000;

int64_t __wrap_monotonic_us(void)
{
    return clock_us;
}

/* One more transaction, of `n` inserts, each followed by a delete. */
static void change(struct apply_world *w, unsigned n)
{
    static unsigned xid = 10;
    char text[4096];
    unsigned lsn = 1000 + ++xid * 100;
    int len = snprintf(text, sizeof text, "B %u %u; ", xid, lsn);
    for (unsigned i = 0; i < n; i++)
        len += snprintf(text + len, sizeof text - (size_t)len, "I %u 1 a; D %u 1 a; ", xid, xid);
    (void)snprintf(text + len, sizeof text - (size_t)len, "C %u %u %u %u", xid, lsn, lsn + 10,
                   2 * n);
    good(w, feed(w, text));
}

static void a_group_stays_open_for_more_only_while_much_comes(void **state)
{
    struct apply_world *w = *state;
    w->group.max_transactions = w->group.max_changes = w->group.max_bytes = 1000000;
    good(w, feed(w, START));
    change(w, 50);
    assert_int_equal(group_gather_ms(&w->group), 0); /* nobody knows yet how much comes */
    good(w, input_pauses(w));
    clock_us += 2000;
    change(w, 50); /* 50 a millisecond */
    assert_int_equal(group_gather_ms(&w->group), 0);
    good(w, input_pauses(w));
    assert_int_equal(group_gather_ms(&w->group), 0); /* nothing is held */
    change(w, 1);
    assert_in_range(group_gather_ms(&w->group), 10, 11);
    clock_us += 9500;
    assert_int_equal(group_gather_ms(&w->group), 1);
    clock_us += 1000;
    assert_int_equal(group_gather_ms(&w->group), 0);
    good(w, input_pauses(w));
    change(w, 1); /* so little has come that nobody waits for it */
    assert_int_equal(group_gather_ms(&w->group), 0);
    good(w, input_pauses(w));
    for (int i = 0; i < 50; i++)
        change(w, 50);
    clock_us += 101000; /* as much, but with a pause before */
    good(w, input_pauses(w));
    change(w, 1);
    assert_int_equal(group_gather_ms(&w->group), 0);
}

static void transactions_wait_for_each_other_until_the_input_is_idle(void **state)
{
    struct apply_world *w = *state;
    good(w, feed(w, START ONE TWO));
    assert_int_equal(checkpoint(w), 100); /* the hello's */
    assert_int_equal(w->acked_lsn, 100);
    buf_reset(&w->dest.calls, SIZE_MAX);
    good(w, input_pauses(w));
    calls(
        w,
        "begin\ncheckpoint_get slot\nrelation_get slot 1\ntarget_name t1\nrelation_get slot 0\ndescribe t1\n"
        "table_create t1\nrelation_put slot 1\ndescribe t1\napply I t1 2\ncommit 310\n");
    has(w, "t1(id,v1) [a,~] [b,~]\n");
    assert_int_equal(w->acked_lsn, 310);
    good(w, input_pauses(w));
    calls(w, "");
    good(w, feed(w, THREE));
    good(w, input_pauses(w));
    calls(w, "begin\ncheckpoint_get slot\napply I t1 1\ncommit 410\n");
    assert_int_equal(w->counters.transactions, 3);
    assert_int_equal(w->counters.commits, 3);
    assert_int_equal(w->counters.rows[COUNT_INSERTS], 3);
    assert_int_equal(w->counters.rows[COUNT_RUNS], 2);
    assert_int_equal(w->counters.checkpoint_lsn, 410);
    assert_int_equal(w->counters.held_bytes, 0);
}

static void each_limit_ends_a_group(void **state)
{
    struct apply_world *w = *state;
    w->group.max_transactions = 2;
    good(w, feed(w, START ONE));
    assert_int_equal(checkpoint(w), 100);
    good(w, feed(w, TWO));
    assert_int_equal(checkpoint(w), 310);
    w->group.max_transactions = 1000;
    w->group.max_changes = 3;
    good(w, feed(w, "B 12 400; I 12 1 c; I 12 1 d; C 12 400 410 2"));
    assert_int_equal(checkpoint(w), 310);
    good(w, feed(w, "B 13 500; I 13 1 e; C 13 500 510 1"));
    assert_int_equal(checkpoint(w), 510);
    w->group.max_changes = 1000;
    w->group.max_bytes = 40;
    good(w, feed(w, "B 14 600; I 14 1 f; C 14 600 610 1; B 15 700"));
    assert_int_equal(checkpoint(w), 510);
    good(w, feed(w, "I 15 1 g; I 15 1 h; I 15 1 i"));
    /* The whole transaction goes first, what is larger than the limit after it, in parts. */
    assert_int_equal(w->dest.before.checkpoint.remote_lsn, 610);
    good(w, feed(w, "C 15 700 710 3"));
    assert_int_equal(checkpoint(w), 710);
    assert_int_equal(w->acked_lsn, 710);
    has(w, "t1(id,v1) [a,~] [b,~] [c,~] [d,~] [e,~] [f,~] [g,~] [h,~] [i,~]\n");
}

static void a_run_is_one_relation_and_one_kind(void **state)
{
    struct apply_world *w = *state;
    good(w,
         feed(w, START "R 2 1; " ONE "B 11 300; I 11 1 b; I 11 2 x; I 11 2 y; D 11 2 x; U 11 2 y;"
                       "T 11 1,2; I 11 1 z; C 11 300 310 7"));
    buf_reset(&w->dest.calls, SIZE_MAX);
    good(w, input_pauses(w));
    assert_int_equal(count_calls(w, "apply I t1 2\n"), 1);
    assert_int_equal(count_calls(w, "apply I t2 2\n"), 1);
    assert_int_equal(count_calls(w, "apply D t2 1\n"), 1);
    assert_int_equal(count_calls(w, "apply U t2 1\n"), 1);
    assert_int_equal(count_calls(w, "truncate 2\n"), 1);
    has(w, "t1(id,v1) [z,~]\nt2(id,v1)\n");
    assert_int_equal(w->counters.rows[COUNT_TRUNCATES], 1);
}

/* ---- checkpoint and hello ---- */

static void what_the_checkpoint_covers_is_skipped(void **state)
{
    struct apply_world *w = *state;
    good(w, feed(w, START ONE TWO));
    good(w, input_ends(w));
    stop(w);
    start(w);
    w->acked_lsn = 0;
    good(w, feed(w, START ONE));
    good(w, input_pauses(w));
    assert_int_equal(checkpoint(w), 310);
    assert_int_equal(w->acked_lsn, 210); /* as far as has come */
    good(w, feed(w, TWO THREE "Z done 410"));
    good(w, input_ends(w));
    assert_true(w->stream.ended);
    has(w, "t1(id,v1) [a,~] [b,~] [c,~]\n");
    assert_int_equal(w->counters.skipped, 2);
    assert_int_equal(w->counters.transactions, 1);
}

/* Trap 36: one of which only the COMMIT PREPARED comes again, because its PREPARE was confirmed. */
static void a_prepared_transaction_that_the_checkpoint_covers_is_skipped(void **state)
{
    struct apply_world *w = *state;
    good(w, feed(w, START ONE));
    good(w, input_pauses(w));
    good(w, feed(w, START "K 9 150 160 g; " ONE "B 11 300; I 11 1 b; C 11 300 310 1"));
    good(w, input_pauses(w));
    has(w, "t1(id,v1) [a,~] [b,~]\n");
    assert_int_equal(w->counters.skipped, 2);
}

static void a_relation_in_a_skipped_transaction_is_known_after_it(void **state)
{
    struct apply_world *w = *state;
    good(w, feed(w, "H 100; B 10 200; R 1 1; I 10 1 a; C 10 200 210 1"));
    good(w, input_ends(w));
    stop(w);
    start(w);
    good(w, feed(w, "H 100; B 10 200; R 1 1; I 10 1 a; C 10 200 210 1;" TWO));
    good(w, input_ends(w));
    has(w, "t1(id,v1) [a,~] [b,~]\n");
}

/* However many come where no transaction carries them to the target, the last one is what counts.
 */
static void relations_without_a_transaction_are_not_held_without_limit(void **state)
{
    struct apply_world *w = *state;
    w->group.max_bytes = 300;
    good(w, feed(w, START ONE)); /* waits, for the first of them */
    for (int i = 0; i < 50; i++) {
        good(w, feed(w, "R 1 2; R 2 1; R 1 1;"));
        assert_true(w->counters.held_bytes < 600);
    }
    good(w, feed(w, "R 1 2;" TWO));
    good(w, input_pauses(w));
    has(w, "t1(id,v2) [a,~] [b,~]\n");
    stop(w);
    start(w);
    w->acked_lsn = 0;
    w->group.max_bytes = 300;
    good(w, feed(w, "H 100; B 10 200; R 1 1; I 10 1 a; C 10 200 210 1; B 11 300;"));
    for (int i = 0; i < 50; i++) {
        good(w, feed(w, "R 1 2; R 1 1; R 1 2;"));
        assert_true(w->counters.held_bytes < 600);
    }
    good(w, feed(w, "I 11 1 b; C 11 300 310 1;" THREE));
    good(w, input_ends(w));
    has(w, "t1(id,v2) [a,~] [b,~] [c,~]\n");
}

static void a_transaction_across_the_checkpoint_makes_no_sense(void **state)
{
    struct apply_world *w = *state;
    good(w, feed(w, START ONE));
    good(w, input_ends(w));
    stop(w);
    start(w);
    bad(w, feed(w, START "B 11 205; I 11 1 b; C 11 205 215 1"), ERR_PERMANENT,
        "lies across the checkpoint 0/D2");
    has(w, "t1(id,v1) [a,~]\n");
}

/*
 * The LSN of what is skipped was given twice where the server went back in time. `first` is
 * applied, `then` comes after it, in the same run and after a restart.
 */
static void what_was_committed_after_the_checkpoint_is_not_skipped(void **state)
{
    struct apply_world *w = *state;
    static const struct {
        const char *first, *then;
        const char *error; /* NULL: skipped */
        uint64_t skipped;
    } cases[] = {
        /* The same again, also in another order of times, as with two sessions or a clock set back.
         */
        {START ONE TWO, START ONE TWO, NULL, 2},
        {START "@9;" ONE "@5;" TWO, START "@9;" ONE "@5;" TWO, NULL, 2},
        {START "@5000000000;" ONE "@-5000000000;" TWO, START "@5000000000;" ONE "@-5000000000;" TWO,
         NULL, 2},
        /* In another target transaction each. */
        {START "@9;" ONE START "@5;" TWO, START "@9;" ONE "@5;" TWO, NULL, 2},
        /* One that was not for us then, and is now: before what the server said of its clock. */
        {START ONE "@7; k 310", START ONE "@7;" TWO, NULL, 2},
        {START ONE "@7; k 310;" THREE, START ONE "@7;" TWO THREE, NULL, 3},
        /* Another history. */
        {START ONE TWO, START ONE "@1;" TWO, "transaction 11, committed at 0/12C, would count", 1},
        {START ONE TWO, START "@1; B 17 200; I 17 1 x; C 17 200 205 1",
         "transaction 17, committed at 0/C8, would count as applied", 0},
        {START "@9;" ONE "@5;" TWO, START "@9;" ONE "@10;" TWO, "nothing that the target has", 1},
        {START ONE "@7; k 310", START ONE "@8;" TWO, "rebuild the target", 1},
        {START ONE TWO, START "@1; B 17 305; I 17 1 x; C 17 305 315 1", "lies across", 0},
    };
    for (size_t i = 0; i < LENGTH(cases); i++)
        for (int restarted = 0; restarted < 2; restarted++) {
            new_target(w);
            w->counters.skipped = 0;
            good(w, feed(w, cases[i].first));
            good(w, input_pauses(w));
            uint64_t before = checkpoint(w);
            if (restarted) {
                stop(w);
                start(w);
            }
            int rc = feed(w, cases[i].then);
            if (cases[i].error)
                bad(w, rc, ERR_PERMANENT, cases[i].error);
            else
                good(w, rc);
            assert_int_equal(w->counters.skipped, cases[i].skipped);
            assert_int_equal(checkpoint(w), before);
        }
}

/* Nothing to compare with: a target that has applied nothing, or whose time was taken away. */
static void a_checkpoint_without_a_time_skips_by_the_lsn_alone(void **state)
{
    struct apply_world *w = *state;
    good(w, feed(w, START ONE));
    good(w, input_pauses(w));
    stop(w);
    w->dest.now.checkpoint.commit_time_us = 0;
    start(w);
    good(w, feed(w, START "@5;" ONE));
    good(w, input_pauses(w));
    assert_int_equal(w->counters.skipped, 1);
}

static void the_checkpoint_keeps_the_latest_time(void **state)
{
    struct apply_world *w = *state;
    good(w, feed(w, START "@30;" ONE "@10;" TWO));
    good(w, input_pauses(w));
    assert_int_equal(w->dest.now.checkpoint.commit_time_us, 700000000000030);
    good(w, feed(w, "@20;" THREE "@25; k 500"));
    good(w, input_pauses(w));
    assert_int_equal(w->dest.now.checkpoint.commit_time_us, 700000000000030);
    assert_int_equal(checkpoint(w), 500);
    good(w, feed(w, "@40; k 600"));
    good(w, input_ends(w));
    assert_int_equal(w->dest.now.checkpoint.commit_time_us, 700000000000040);
    /* Also in parts. */
    w->group.max_bytes = 40;
    good(w, feed(w, "@50; B 13 700; I 13 1 x; I 13 1 y; I 13 1 z; C 13 700 710 3"));
    assert_int_equal(w->dest.now.checkpoint.commit_time_us, 700000000000050);
    good(w, feed(w, "@45; B 14 800; I 14 1 u; I 14 1 v; I 14 1 w; C 14 800 810 3"));
    assert_int_equal(w->dest.now.checkpoint.commit_time_us, 700000000000050);
    assert_int_equal(checkpoint(w), 810);
}

static void a_second_hello_voids_what_is_not_whole(void **state)
{
    struct apply_world *w = *state;
    /* Whole ones are applied, the relations must come again. */
    good(w, feed(w, START ONE "B 11 300; I 11 1 lost;" START ONE TWO));
    good(w, input_pauses(w));
    has(w, "t1(id,v1) [a,~] [b,~]\n");
    good(w, feed(w, "H 100;" THREE));
    bad(w, input_pauses(w), ERR_PERMANENT, "relation 1, which was not described");
}

static void a_second_hello_rolls_a_partial_transaction_back(void **state)
{
    struct apply_world *w = *state;
    w->group.max_bytes = 40;
    good(w, feed(w, START ONE "B 11 300; I 11 1 b; I 11 1 c; R 1 2; I 11 1 d; I 11 1 e; I 11 1 f"));
    assert_true(w->group.partial);
    good(w, feed(w, START ONE TWO));
    good(w, input_pauses(w));
    has(w, "t1(id,v1) [a,~] [b,~]\n");
    assert_int_equal(w->counters.transactions, 2);
}

static void an_end_of_input_rolls_a_partial_transaction_back(void **state)
{
    struct apply_world *w = *state;
    w->group.max_bytes = 40;
    good(w, feed(w, START "B 11 300; I 11 1 b; I 11 1 c; I 11 1 d"));
    assert_true(w->group.partial);
    good(w, input_ends(w));
    assert_int_equal(checkpoint(w), 100);
    has(w, "");
}

/* A hello of our own making. */
struct hello {
    const char *system;
    uint32_t timeline;
    uint64_t start_lsn, wal_lsn;
    uint64_t branch_lsn; /* where timeline 2 ended; 0: it did not */
    bool created;
    const char *slot;
};

static int feed_hello(struct apply_world *w, const struct hello *h)
{
    struct buf frames = {0};
    const struct frame_hello f = {
        .format_version = FRAME_FORMAT_VERSION,
        .producer = bytes_of("test"),
        .producer_version = bytes_of("1"),
        .system_identifier = bytes_of(h->system ? h->system : "7000000000000000001"),
        .timeline = h->timeline ? h->timeline : 1,
        .database = bytes_of("db"),
        .slot = bytes_of(h->slot ? h->slot : "slot"),
        .start_lsn = h->start_lsn,
        .wal_lsn = h->wal_lsn ? h->wal_lsn : 100000,
        .ntimelines = h->branch_lsn ? 1 : 0,
        .timelines = {{2, h->branch_lsn}},
        .slot_created = h->created,
        .server_version = 150018,
        .protocol_version = 3,
        .options = bytes_of(""),
    };
    frame_put_hello(&frames, &f);
    int rc = feed_frames(w, &frames);
    buf_free(&frames);
    return rc;
}

static void a_hello_is_compared_with_the_checkpoint(void **state)
{
    struct apply_world *w = *state;
    static const struct {
        struct hello hello;
        bool accept_gap;
        const char *error; /* NULL: none */
        uint64_t checkpoint, acked;
        uint32_t timeline;
    } cases[] = {
        {{.start_lsn = 100}, false, NULL, 500, 100, 2},
        {{.start_lsn = 500}, false, NULL, 500, 500, 2},
        {{.start_lsn = 500, .wal_lsn = 500}, false, NULL, 500, 500, 2},
        {{.start_lsn = 500, .timeline = 3}, false, NULL, 500, 500, 3},
        {{.start_lsn = 500, .system = "8"}, false, "follows cluster 7000", 500, 0, 2},
        {{.start_lsn = 500, .system = "8"}, true, "follows cluster 7000", 500, 0, 2},
        {{.start_lsn = 501}, false, "was recreated, or confirmed by someone else", 500, 0, 2},
        {{.start_lsn = 501, .created = true}, false, "was created again", 500, 0, 2},
        {{.start_lsn = 700, .timeline = 3}, false, "accept the loss with --accept-gap", 500, 0, 2},
        {{.start_lsn = 501}, true, NULL, 501, 501, 2},
        {{.start_lsn = 100, .wal_lsn = 499}, false, "restored from a backup", 500, 0, 2},
        {{.start_lsn = 100, .wal_lsn = 499, .timeline = 3}, false, "the failover lost", 500, 0, 2},
        {{.start_lsn = 100, .wal_lsn = 499, .timeline = 3}, true, "the failover lost", 500, 0, 2},
        {{.start_lsn = 100, .timeline = 3, .branch_lsn = 500}, false, NULL, 500, 100, 3},
        {{.start_lsn = 100, .timeline = 3, .branch_lsn = 499}, false, "branched off", 500, 0, 2},
        {{.start_lsn = 100, .timeline = 1}, false, "left behind by a failover", 500, 0, 2},
    };
    for (size_t i = 0; i < LENGTH(cases); i++) {
        stop(w);
        start(w);
        w->acked_lsn = 0;
        w->stream.accept_gap = cases[i].accept_gap;
        w->dest.now.has_checkpoint = true;
        w->dest.now.checkpoint = (struct checkpoint){
            .remote_lsn = 500, .system_identifier = "7000000000000000001", .timeline = 2};
        struct hello h = cases[i].hello;
        if (!h.timeline)
            h.timeline = 2;
        int rc = feed_hello(w, &h);
        if (cases[i].error)
            bad(w, rc, ERR_PERMANENT, cases[i].error);
        else
            good(w, rc);
        assert_int_equal(checkpoint(w), cases[i].checkpoint);
        assert_int_equal(w->dest.now.checkpoint.timeline, cases[i].timeline);
        assert_int_equal(w->acked_lsn, cases[i].acked);
    }
}

static void a_new_target_begins_where_the_slot_does(void **state)
{
    struct apply_world *w = *state;
    good(w, feed_hello(w, &(struct hello){.start_lsn = 77, .timeline = 5}));
    assert_int_equal(checkpoint(w), 77);
    assert_int_equal(w->dest.now.checkpoint.timeline, 5);
    assert_string_equal(w->dest.now.checkpoint.system_identifier, "7000000000000000001");
    assert_int_equal(w->acked_lsn, 77);
    assert_int_equal(count_calls(w, "checkpoint_get slot\n"), 2); /* again in the transaction */
    bad(w, feed_hello(w, &(struct hello){.start_lsn = 77, .slot = "other"}), ERR_PERMANENT,
        "from origin slot to other");
}

static void the_origin_may_have_another_name(void **state)
{
    struct apply_world *w = *state;
    w->stream.origin = "mine";
    good(w, feed_hello(w, &(struct hello){.start_lsn = 77}));
    assert_int_equal(count_calls(w, "checkpoint_get mine\n"), 2);
}

/* ---- progress ---- */

static void progress_is_made_durable_and_then_acknowledged(void **state)
{
    struct apply_world *w = *state;
    good(w, feed(w, "H 100; k 150"));
    good(w, input_pauses(w));
    assert_int_equal(checkpoint(w), 150);
    assert_int_equal(w->acked_lsn, 150);
    /* With a transaction it goes along for nothing. */
    uint64_t commits = w->counters.commits;
    good(w, feed(w, "R 1 1; k 160;" ONE "k 220"));
    good(w, input_pauses(w));
    assert_int_equal(checkpoint(w), 220);
    assert_int_equal(w->counters.commits, commits + 1);
    assert_int_equal(w->acked_lsn, 220);
    good(w, feed(w, "k 230; k 225; Z done 230"));
    good(w, input_ends(w));
    assert_int_equal(checkpoint(w), 230);
    assert_int_equal(w->acked_lsn, 230);
    assert_int_equal(w->dest.now.checkpoint.commit_time_us, 700000000000000);
}

/* In a file the next hello follows at once, which in life comes from a slot that has moved on. */
static void progress_counts_before_the_next_hello(void **state)
{
    struct apply_world *w = *state;
    good(w, feed(w, "H 100; k 150; H 150; k 160; k 170; H 165; R 1 1;" ONE "k 250; H 250"));
    assert_int_equal(checkpoint(w), 250);
    assert_int_equal(w->acked_lsn, 250);
    good(w, feed(w, "R 1 1;" TWO "k 350; B 12 400; I 12 1 lost; H 350; R 1 1;" THREE));
    good(w, input_ends(w));
    has(w, "t1(id,v1) [a,~] [b,~] [c,~]\n");
    bad(w, feed(w, "k 450; H 451"), ERR_PERMANENT, "the changes between the two are gone");
    assert_int_equal(checkpoint(w), 450);
}

static void progress_below_the_checkpoint_is_acknowledged_as_it_comes(void **state)
{
    struct apply_world *w = *state;
    w->dest.now.has_checkpoint = true;
    w->dest.now.checkpoint = (struct checkpoint){
        .remote_lsn = 500, .system_identifier = "7000000000000000001", .timeline = 1};
    good(w, feed_hello(w, &(struct hello){.start_lsn = 100}));
    assert_int_equal(w->acked_lsn, 100);
    good(w, feed(w, "k 300"));
    good(w, input_pauses(w));
    assert_int_equal(w->acked_lsn, 300);
    assert_int_equal(checkpoint(w), 500);
    good(w, feed(w, "k 600"));
    good(w, input_pauses(w));
    assert_int_equal(w->acked_lsn, 600);
}

/* ---- nonsense ---- */

static void nonsense_commits_nothing_of_its_transaction(void **state)
{
    struct apply_world *w = *state;
    static const struct {
        const char *script, *error;
    } cases[] = {
        {"I 10 1 x", "insert outside a transaction"},
        {"T 10 1", "truncate outside a transaction"},
        {"C 11 300 310 0", "without its begin"},
        {"B 11 300; B 12 310", "begin of transaction 12 within transaction 11"},
        {"B 11 300; I 11 1 x; C 12 300 310 1", "does not match the begin"},
        {"B 11 300; I 11 1 x; C 11 301 310 1", "does not match the begin"},
        {"B 11 300; I 11 1 x; C 11 300 310 2", "1 changes came, its commit says 2"},
        {"B 11 300; I 11 1 x; C 11 300 310 0", "1 changes came, its commit says 0"},
        {"B 11 300; I 11 1 x; C 11 300 300 1", "not after its commit"},
        {"B 11 300; I 11 1 x; C 11 300 299 1", "not after its commit"},
        {"B 11 209; I 11 1 x; C 11 209 310 1", "out of order"},
        {"k 350; B 11 300; I 11 1 x; C 11 300 310 1", "out of order"},
        {"B 11 300; I 11 1 x; k 310", "progress frame within"},
        {"B 11 300; I 11 7 x; C 11 300 310 1; Z x 1", "relation 7, which was not described"},
        {"B 11 300; T 11 1,7; C 11 300 310 1", "relation 7, which was not described"},
        {"S 11 1", "stream start"},
        {"B 11 300; I 11 1 x; E", "stream stop"},
        {"c 11 300 310", "stream commit"},
        {"A 11 12", "stream abort"},
        {"b 11 300 g", "begin prepare"},
        {"P 11 300 g", "prepare"},
        {"p 11 300 g", "stream prepare"},
        {"K 11 300 310 g", "the slot confirmed its PREPARE"},
        {"B 11 300; K 11 300 310 g", "commit prepared frame within transaction 11"},
        {"r 11 g", "rollback prepared"},
        {"Y 77", "type"},
    };
    for (size_t i = 0; i < LENGTH(cases); i++) {
        stop(w);
        memset(&w->dest.now, 0, sizeof w->dest.now);
        w->acked_lsn = 0;
        start(w);
        good(w, feed(w, START ONE));
        int rc = feed(w, cases[i].script);
        bad(w, rc ? rc : input_pauses(w), ERR_PERMANENT, cases[i].error);
        has(w, "t1(id,v1) [a,~]\n");
        assert_true(checkpoint(w) == 210 || checkpoint(w) == 350);
        assert_int_equal(w->acked_lsn, checkpoint(w));
    }
}

static void a_stream_begins_with_a_hello(void **state)
{
    struct apply_world *w = *state;
    static const char *const scripts[] = {"R 1 1", "B 10 200", "I 10 1 a", "C 10 200 210 1",
                                          "k 1",   "Z x 1",    "O x",      "M 0 x"};
    for (size_t i = 0; i < LENGTH(scripts); i++)
        bad(w, feed(w, scripts[i]), ERR_PERMANENT, "not with a hello");
    calls(w, "");
}

static void origins_and_messages_are_passed_over(void **state)
{
    struct apply_world *w = *state;
    good(w, feed(w, START "M 0 x; B 10 200; O there; I 10 1 a; M 10 y; C 10 200 210 1"));
    good(w, input_pauses(w));
    has(w, "t1(id,v1) [a,~]\n");
}

/* A change with a tuple of `n` values, of which the old one may be missing. */
static void put_wide(struct buf *out, enum frame_type type, char old_kind, uint32_t n)
{
    const struct frame_change c = {.xid = 11, .relid = 1, .old_kind = old_kind};
    const struct value v = {.kind = VALUE_TEXT, .size = 1, .data = "x"};
    struct frame_writer w;
    frame_open_change(&w, out, type, &c);
    for (int tuple = 0; tuple < 2; tuple++) {
        if (tuple == 0 ? !old_kind : type == FRAME_DELETE) {
            (void)msgpack_pack_nil(&w.pk);
            continue;
        }
        (void)msgpack_pack_array(&w.pk, n);
        for (uint32_t i = 0; i < n; i++)
            frame_pack_value(&w, &v);
    }
    frame_close(&w);
}

static void a_tuple_of_another_width_is_refused(void **state)
{
    struct apply_world *w = *state;
    static const struct {
        enum frame_type type;
        char old_kind;
        uint32_t n;
    } cases[] = {
        {FRAME_INSERT, 0, 1},   {FRAME_INSERT, 0, 3}, {FRAME_INSERT, 0, 0},
        {FRAME_INSERT, 'K', 2}, {FRAME_UPDATE, 0, 1}, {FRAME_UPDATE, 'K', 3},
        {FRAME_DELETE, 'K', 1}, {FRAME_DELETE, 0, 2}, {FRAME_DELETE, 'X', 2},
        {FRAME_UPDATE, 'X', 2},
    };
    for (size_t i = 0; i < LENGTH(cases); i++) {
        stop(w);
        memset(&w->dest.now, 0, sizeof w->dest.now);
        w->acked_lsn = 0;
        start(w);
        struct buf frames = {0};
        script_frames(&frames, START ONE "B 11 300; I 11 1 b");
        put_wide(&frames, cases[i].type, cases[i].old_kind, cases[i].n);
        script_frames(&frames, "C 11 300 310 2");
        int rc = feed_frames(w, &frames);
        buf_free(&frames);
        bad(w, rc ? rc : input_pauses(w), ERR_PERMANENT,
            "transaction 11 committed at 0/12C: malformed");
        has(w, "t1(id,v1) [a,~]\n");
        assert_int_equal(w->acked_lsn, 210);
    }
}

/* Of this process, in bytes. */
static rlim_t address_space(void)
{
    char pages[128];
    FILE *f = fopen("/proc/self/statm", "r");
    assert_non_null(f);
    assert_non_null(fgets(pages, sizeof pages, f));
    (void)fclose(f);
    return (rlim_t)strtoul(pages, NULL, 10) * (rlim_t)sysconf(_SC_PAGESIZE);
}

/* Eight million tables in eight megabytes; room for their pointers would take 64 more. */
static void a_truncate_of_many_tables_takes_room_for_those_that_are_known(void **state)
{
    struct apply_world *w = *state;
    enum { MANY = 8 * 1024 * 1024 };
    const struct frame_truncate t = {.xid = 10, .nrelids = MANY};
    const struct source_txn txn = {.xid = 10, .commit_lsn = 200}, *failed;
    struct buf frame = {0};
    uint32_t *relids = calloc(MANY, sizeof *relids);
    assert_non_null(relids);
    frame_put_truncate(&frame, &t, relids);
    free(relids);
    assert_false(frame.failed);

    struct rlimit before, limit;
    assert_int_equal(getrlimit(RLIMIT_AS, &before), 0);
    limit = before;
    limit.rlim_cur = address_space() + 16 * 1024 * 1024;
    if (setrlimit(RLIMIT_AS, &limit) != 0)
        skip();
    int rc = apply_rows_frames(&w->group.rows, frame.data, frame.len, &txn, &failed, &w->err);
    assert_int_equal(setrlimit(RLIMIT_AS, &before), 0);
    buf_free(&frame);
    bad(w, rc, ERR_PERMANENT, "relation 0, which was not described before");
}

int main(void)
{
    log_set_level(LOG_LEVEL_ERROR);
    const struct CMUnitTest tests[] = {
#define TEST(name) cmocka_unit_test_setup_teardown(name, apply_setup, apply_teardown)
        TEST(transactions_wait_for_each_other_until_the_input_is_idle),
        TEST(a_group_stays_open_for_more_only_while_much_comes),
        TEST(each_limit_ends_a_group),
        TEST(a_run_is_one_relation_and_one_kind),
        TEST(what_the_checkpoint_covers_is_skipped),
        TEST(a_prepared_transaction_that_the_checkpoint_covers_is_skipped),
        TEST(a_relation_in_a_skipped_transaction_is_known_after_it),
        TEST(relations_without_a_transaction_are_not_held_without_limit),
        TEST(a_transaction_across_the_checkpoint_makes_no_sense),
        TEST(what_was_committed_after_the_checkpoint_is_not_skipped),
        TEST(a_checkpoint_without_a_time_skips_by_the_lsn_alone),
        TEST(the_checkpoint_keeps_the_latest_time),
        TEST(a_second_hello_voids_what_is_not_whole),
        TEST(a_second_hello_rolls_a_partial_transaction_back),
        TEST(an_end_of_input_rolls_a_partial_transaction_back),
        TEST(a_hello_is_compared_with_the_checkpoint),
        TEST(a_new_target_begins_where_the_slot_does),
        TEST(the_origin_may_have_another_name),
        TEST(progress_is_made_durable_and_then_acknowledged),
        TEST(progress_counts_before_the_next_hello),
        TEST(progress_below_the_checkpoint_is_acknowledged_as_it_comes),
        TEST(nonsense_commits_nothing_of_its_transaction),
        TEST(a_stream_begins_with_a_hello),
        TEST(origins_and_messages_are_passed_over),
        TEST(a_tuple_of_another_width_is_refused),
        TEST(a_truncate_of_many_tables_takes_room_for_those_that_are_known),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
