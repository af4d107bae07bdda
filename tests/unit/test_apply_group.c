/*
 * common/apply/apply_group.c, apply_rows.c and conflicts.c where the target fails: at every call,
 * in every way, with the answer to a commit lost; the repeated group, the program started again.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include <signal.h>
#include <unistd.h>

#include "apply_world.h"
#include "base/log.h"
#include "frame_script.h"

#define LENGTH(a) (sizeof(a) / sizeof *(a))

/* Every kind of frame, two versions of a relation, a hello in the middle, progress. */
static const char whole_story[] =
    "H 100; R 1 1;"
    "B 10 200; I 10 1 a; I 10 1 b; C 10 200 210 2;"
    "B 11 300; R 2 1; I 11 2 x; U 11 1 a; I 11 2 y; C 11 300 310 3;"
    "k 350;"
    "B 12 400; R 1 2; U 12 1 a; D 12 1 b; I 12 1 c; C 12 400 410 3;"
    "B 13 500; T 13 2; I 13 2 z; U 13 2 z; C 13 500 510 3;"
    "B 14 600; I 14 1 lost;"
    "H 100; R 1 2; R 2 1;"
    "B 10 200; I 10 1 a; I 10 1 b; C 10 200 210 2;"
    "B 14 600; I 14 1 d; U 14 1 a; C 14 600 610 2;"
    "B 15 700; R 2 3; I 15 2 p; I 15 2 q; I 15 2 r; U 15 2 z; I 15 2 s; D 15 2 p; C 15 700 710 6;"
    "B 16 800; U 16 1 a; U 16 2 z; C 16 800 810 2;"
    "k 900; Z done 900";

static const char end_of_story[] = "t1(id,v2) [a,~]*4 [c,~] [d,~]\n"
                                   "t2(id,v3) [z,~]*3 [q,~] [r,~] [s,~]\n";

/* Tables that are copied: what came before is left out, and what the snapshot, which sees xids
 * below 10, saw; an xid that comes again later is another one. A hello comes within a copy. */
static const char copy_story[] =
    "H 100; W 1; W 2;"
    "B 9 200; R 1 1; I 9 1 a; C 9 200 210 1;"
    "R 1 1; X 1 0 500; I 0 1 a; I 0 1 b;"
    "H 100; W 1; W 2;"
    "B 9 200; R 1 1; I 9 1 a; C 9 200 210 1;"
    "R 1 1; X 1 0 500; I 0 1 a; I 0 1 b; I 0 1 c; I 0 1 d; I 0 1 e; x 1 5;"
    "B 8 300; I 8 1 b; C 8 300 310 1;"
    "B 11 400; I 11 1 f; D 11 1 a; C 11 400 410 2;"
    "R 2 1; X 2 0 450; x 2 0;"
    "B 7 600; I 7 1 g; R 2 1; I 7 2 x; C 7 600 610 2;"
    "k 900; Z done 900";

static const char end_of_copies[] =
    "t1(id,v1) [b,~] [c,~] [d,~] [e,~] [f,~] [g,~]\nt2(id,v1) [x,~]\n";

/* A row comes without a value that did not change, while its table settles; it is read again, and a
 * hello comes within that. */
static const char rows_story[] = "H 100; W 1;"
                                 "R 1 1; X 1 1 500; I 0 1 a; x 1 1;"
                                 "B 11 300; I 11 1 b^; I 11 1 c; C 11 300 310 2;"
                                 "B 12 320; U 12 1 b; C 12 320 330 1;"
                                 "R 1 1; X 1 4294967295 600; D 0 1 b;"
                                 "H 100; W 1;"
                                 "B 12 320; R 1 1; U 12 1 b; C 12 320 330 1;"
                                 "R 1 1; X 1 4294967295 600; D 0 1 b; I 0 1 b; x 1 2;"
                                 "B 13 400; I 13 1 a; D 13 1 x; C 13 400 410 2;"
                                 "B 14 700; U 14 1 b; I 14 1 d; D 14 1 c; C 14 700 710 3;"
                                 "k 900; Z done 900";

static const char end_of_rows[] = "t1(id,v1) [a,~]*1 [b,~]*1 [d,~]\n";

/* Rows that the target refuses, in tables that are set aside then: one with rows of before, in the
 * same transaction too, one that is new, and one with the first row of a later version. A TRUNCATE
 * meets one of them; a hello and what comes again behind it meet all. */
static const char aside_story[] =
    "H 100; R 1 1; R 2 1; R 3 1;"
    "B 10 200; I 10 1 a; I 10 2 a; C 10 200 210 2;"
    "B 11 300; I 11 1 b; I 11 1 poison; I 11 2 b; I 11 1 c; C 11 300 310 4;"
    "B 12 400; R 2 2; I 12 2 c; I 12 1 d; U 12 1 a; C 12 400 410 3;"
    "B 13 500; I 13 3 poison; I 13 1 e; R 4 1; I 13 4 a; C 13 500 510 3;"
    "B 14 600; T 14 1,2; I 14 2 x; C 14 600 610 2;"
    "H 100; R 1 1; R 2 2; R 3 1; R 4 2;"
    "B 13 500; I 13 3 poison; I 13 1 e; I 13 4 a; C 13 500 510 3;"
    "B 15 700; R 1 2; I 15 1 f; I 15 2 y; I 15 3 g; I 15 4 poison; C 15 700 710 4;"
    "B 16 800; I 16 4 z; I 16 2 z; C 16 800 810 2;"
    "k 900; Z done 900";

static const char end_of_aside[] =
    "t1(id,v1) [a,~]\nt2(id,v2) [x,~] [y,~] [z,~]\nt4(id,v1) [a,~]\n";

static const char *story = whole_story, *end_of_it = end_of_story;

/* The target after each checkpoint, from a run in which nothing fails and every transaction has a
 * commit of its own. */
struct history {
    size_t n;
    struct {
        uint64_t lsn;
        struct buf content;
    } at[32];
};

static void note(void *arg, struct driver *d)
{
    struct history *h = arg;
    assert_true(h->n < LENGTH(h->at));
    h->at[h->n].lsn = d->now.checkpoint.remote_lsn;
    double_content(&d->now, &h->at[h->n++].content);
}

/* What is visible at the target is a state of the source, and the one that the checkpoint says, or
 * one of those: a copy does not move it. */
static void compare(void *arg, struct driver *d)
{
    struct history *h = arg;
    uint64_t lsn = 0;
    bool any = false;
    struct buf is = {0};
    double_content(&d->now, &is);
    for (size_t i = 0; i < h->n && h->at[i].lsn <= d->now.checkpoint.remote_lsn; i++)
        lsn = h->at[i].lsn;
    for (size_t i = 0; i < h->n; i++)
        any = any || (h->at[i].lsn == lsn && h->at[i].content.len == is.len &&
                      strcmp(buf_cstr(&h->at[i].content), buf_cstr(&is)) == 0);
    if (!any)
        fail_msg("at %ju: %s", (uintmax_t)d->now.checkpoint.remote_lsn, buf_cstr(&is));
    buf_free(&is);
}

struct limits {
    uint64_t transactions, bytes;
};

static int tell_story(struct apply_world *w, const struct limits *l)
{
    w->group.max_transactions = l->transactions;
    w->group.max_bytes = l->bytes;
    int rc = feed(w, story);
    if (rc == 0)
        rc = input_ends(w);
    return rc;
}

static void write_history(struct apply_world *w, struct history *h)
{
    w->dest.on_commit = note;
    w->dest.on_commit_arg = h;
    good(w, tell_story(w, &(struct limits){1, 1000000}));
    has(w, end_of_it);
    w->dest.on_commit = compare;
}

static void free_history(struct history *h)
{
    for (size_t i = 0; i < h->n; i++)
        buf_free(&h->at[i].content);
}

/*
 * Fails `nfail` calls from the N-th on, N upward until there is no N-th call, and starts the
 * program again where it left with an error.
 */
static void fail_everywhere(struct apply_world *w, const struct limits *l, enum err_kind kind,
                            uint64_t nfail, bool lose_answer)
{
    uint64_t n = 0;
    do {
        new_target(w);
        w->dest.fail_at = ++n;
        w->dest.nfail = nfail;
        w->dest.fail_kind = kind;
        w->dest.lose_answer = lose_answer;
        int rc = tell_story(w, l);
        if (rc) {
            assert_true(w->dest.failed);
            stop(w);
            w->dest.fail_at = 0;
            start(w);
            good(w, tell_story(w, l));
        } else if (kind != ERR_RETRY && story == whole_story) {
            /* What is looked at for indexes when a copy has settled stops nothing. */
            assert_false(w->dest.failed);
        }
        has(w, end_of_it);
        assert_int_equal(checkpoint(w), 900);
        assert_int_equal(w->acked_lsn, 900);
    } while (w->dest.failed && n < 1000);
    assert_true(n > 20);
}

static const struct limits in_one_group = {1000, 1000000}, each_alone = {1, 1000000},
                           some = {3, 1000000}, in_parts = {1000, 40};

static void any_call_may_fail_and_the_group_is_repeated(void **state)
{
    struct apply_world *w = *state;
    struct history h = {0};
    write_history(w, &h);
    static const struct limits *const all[] = {&in_one_group, &each_alone, &some};
    for (size_t i = 0; i < LENGTH(all); i++)
        for (uint64_t nfail = 1; nfail <= 4; nfail++) {
            /* The first checkpoint_get is not repeated: nothing is at stake yet. */
            fail_everywhere(w, all[i], ERR_RETRY, nfail, false);
            fail_everywhere(w, all[i], ERR_RETRY, nfail, true);
        }
    free_history(&h);
}

static void any_call_may_fail_and_the_program_starts_again(void **state)
{
    struct apply_world *w = *state;
    struct history h = {0};
    write_history(w, &h);
    static const struct limits *const all[] = {&in_one_group, &each_alone, &some, &in_parts};
    static const enum err_kind kinds[] = {ERR_TEMPORARY, ERR_PERMANENT, ERR_RETRY};
    for (size_t i = 0; i < LENGTH(all); i++)
        for (size_t k = 0; k < LENGTH(kinds); k++) {
            uint64_t nfail = kinds[k] == ERR_RETRY ? 1000 : 1;
            fail_everywhere(w, all[i], kinds[k], nfail, false);
            fail_everywhere(w, all[i], kinds[k], nfail, true);
        }
    fail_everywhere(w, &in_parts, ERR_RETRY, 1, false);
    fail_everywhere(w, &in_parts, ERR_RETRY, 1, true);
    fail_everywhere(w, &in_parts, ERR_RETRY, 2, true);
    free_history(&h);
}

static void any_call_may_fail_within(struct apply_world *w, const char *what, const char *end)
{
    struct history h = {0};
    story = what;
    end_of_it = end;
    write_history(w, &h);
    static const struct limits *const all[] = {&in_one_group, &each_alone, &some, &in_parts};
    static const enum err_kind kinds[] = {ERR_TEMPORARY, ERR_PERMANENT, ERR_RETRY};
    for (size_t i = 0; i < LENGTH(all); i++)
        for (size_t k = 0; k < LENGTH(kinds); k++) {
            fail_everywhere(w, all[i], kinds[k], 1, false);
            fail_everywhere(w, all[i], kinds[k], 1, true);
        }
    free_history(&h);
    story = whole_story;
    end_of_it = end_of_story;
}

static void any_call_may_fail_while_tables_are_copied(void **state)
{
    any_call_may_fail_within(*state, copy_story, end_of_copies);
}

static void any_call_may_fail_while_rows_are_read_again(void **state)
{
    struct apply_world *w = *state;
    w->dest.keyed = true;
    any_call_may_fail_within(w, rows_story, end_of_rows);
}

/* Starts the program again as often as it leaves, which a table more that is set aside ends. */
static void tell_again(struct apply_world *w, const struct limits *l)
{
    int rc = tell_story(w, l);
    for (unsigned n = 0; rc; n++) {
        assert_true(n < 5);
        assert_int_not_equal(w->err.kind, ERR_PERMANENT);
        stop(w);
        w->dest.fail_at = 0;
        start(w);
        w->group.rows.aside.refused = true;
        rc = tell_story(w, l);
    }
}

static void tables_are_set_aside_whatever_fails(void **state)
{
    struct apply_world *w = *state;
    struct history h = {0};
    story = aside_story;
    end_of_it = end_of_aside;
    w->group.rows.aside.refused = true;
    write_history(w, &h);
    static const struct limits *const all[] = {&in_one_group, &each_alone, &some, &in_parts};
    static const enum err_kind kinds[] = {ERR_TEMPORARY, ERR_RETRY};
    for (size_t i = 0; i < 2 * LENGTH(all) * LENGTH(kinds); i++) {
        uint64_t n = 0;
        do {
            new_target(w);
            w->group.rows.aside.refused = true;
            w->dest.fail_at = n++;
            w->dest.nfail = 1;
            w->dest.fail_kind = kinds[i % LENGTH(kinds)];
            w->dest.lose_answer = i / LENGTH(kinds) % 2;
            tell_again(w, all[i / LENGTH(kinds) / 2]);
            has(w, end_of_aside);
            assert_int_equal(checkpoint(w), 900);
            assert_int_equal(w->acked_lsn, 900);
        } while ((n == 1 || w->dest.failed) && n < 1000);
        assert_true(n > 20);
    }
    free_history(&h);
    story = whole_story;
    end_of_it = end_of_story;
}

/* Why is remembered, and from which transaction on. */
static void a_table_that_is_set_aside_says_why(void **state)
{
    struct apply_world *w = *state;
    static const char since[] =
        "copy due since 0/12C taken aside because insert into public.t1 (key "
        "id), transaction 11 committed at 0/12C: the value is poison\n";
    w->group.rows.aside.refused = true;
    good(w, feed(w, START ONE "B 11 300; I 11 1 poison; C 11 300 310 1;" THREE));
    good(w, input_pauses(w));
    has(w, "t1(id,v1) [a,~]\n");
    assert_memory_equal(durable(w)->memories[0].frame, since, sizeof since - 1);
    assert_int_equal(w->group.rows.aside.nrefused, 1);
    assert_int_equal(w->counters.rows[COUNT_LEFT_OUT], 2);
    assert_int_equal(w->counters.retries, 1);
}

/* More tables at once than a group has tries, also where each takes one more to find its row. */
static void tables_that_are_set_aside_cost_no_tries(void **state)
{
    struct apply_world *w = *state;
    struct buf frames = {0};
    script_frames(&frames, "H 100; B 10 200");
    for (unsigned relid = 1; relid <= DOUBLE_TABLES; relid++) {
        char script[64];
        (void)snprintf(script, sizeof script, "R %u 1; I 10 %u a; I 10 %u poison", relid, relid,
                       relid);
        script_frames(&frames, script);
    }
    script_frames(&frames, "C 10 200 210 16");
    for (int ends = 0; ends < 2; ends++) {
        new_target(w);
        w->group.rows.aside.refused = true;
        w->dest.poison_ends = ends;
        good(w, feed_frames(w, &frames));
        good(w, input_pauses(w));
        assert_int_equal(w->group.rows.aside.nrefused, DOUBLE_TABLES);
        assert_int_equal(checkpoint(w), 210);
    }
    w->dest.poison_ends = false;
    buf_free(&frames);
}

/* A table that can have no place at the target needs none while it is set aside. */
static void a_table_without_a_name_is_set_aside(void **state)
{
    struct apply_world *w = *state;
    w->group.rows.aside.refused = true;
    w->dest.unnamed = "t2";
    good(w, feed(w, "H 100; R 1 1; R 2 1; B 10 200; I 10 1 a; I 10 2 a; C 10 200 210 2;"));
    good(w, input_pauses(w));
    good(w, feed(w, "B 11 300; I 11 1 b; I 11 2 b; C 11 300 310 2;"));
    good(w, input_pauses(w));
    has(w, "t1(id,v1) [a,~] [b,~]\n");
    assert_int_equal(w->group.rows.aside.nrefused, 1);
    w->dest.unnamed = NULL;
}

/* A TRUNCATE of several tables is one call, whose error is of one of them. */
static void a_table_that_cannot_be_emptied_is_set_aside(void **state)
{
    struct apply_world *w = *state;
    for (int chosen = 0; chosen < 2; chosen++) {
        new_target(w);
        w->group.rows.aside.refused = chosen;
        w->dest.kept = "t2";
        good(w, feed(w, "H 100; R 1 1; R 2 1; R 3 1;"
                        "B 10 200; I 10 1 a; I 10 2 a; I 10 3 a; C 10 200 210 3;"));
        good(w, input_pauses(w));
        good(w, feed(w, "B 11 300; T 11 1,2,3; I 11 2 b; C 11 300 310 2;"));
        if (!chosen)
            bad(w, input_pauses(w), ERR_PERMANENT, "table public.t2");
        else
            good(w, input_pauses(w));
        has(w, chosen ? "t1(id,v1)\nt2(id,v1) [a,~]\nt3(id,v1)\n"
                      : "t1(id,v1) [a,~]\nt2(id,v1) [a,~]\nt3(id,v1) [a,~]\n");
        assert_int_equal(count_calls(w, "truncate 2"), chosen);
    }
    w->dest.kept = NULL;
}

/* What the source is not asked to send is no table's fault: its copy would not come any more. */
static void a_copy_that_does_not_come_sets_no_table_aside(void **state)
{
    struct apply_world *w = *state;
    good(w, feed(w, "H 100; W 1; R 1 1; B 10 200; I 10 1 a; C 10 200 210 1;"));
    good(w, input_pauses(w));
    stop(w);
    start(w);
    w->group.rows.aside.refused = true;
    good(w, feed(w, "H 100; R 1 1; B 11 300; I 11 1 b; C 11 300 310 1;"));
    bad(w, input_pauses(w), ERR_PERMANENT, "the table awaits a copy, and none comes");
}

/* What is chosen for conflicts is not chosen for what is refused, nor the other way round. */
static void conflicts_set_aside_where_that_is_chosen(void **state)
{
    struct apply_world *w = *state;
    static const char conflict[] = "B 11 300; I 11 1 a; C 11 300 310 1;",
                      refused[] = "B 11 300; I 11 1 poison; C 11 300 310 1;";
    for (unsigned i = 0; i < 8; i++) {
        bool conflicts = i & 1, refusals = i & 2, meets = i & 4;
        new_target(w);
        w->group.conflicts.policy = conflicts ? CONFLICT_QUARANTINE : CONFLICT_STOP;
        w->group.rows.aside.conflicts = conflicts;
        w->group.rows.aside.refused = refusals;
        good(w, feed(w, START ONE));
        good(w, feed(w, meets ? conflict : refused));
        int rc = input_pauses(w);
        if (meets ? conflicts : refusals)
            good(w, rc);
        else
            bad(w, rc, ERR_PERMANENT, meets ? "insert_exists" : "poison");
        has(w, "t1(id,v1) [a,~]\n");
    }
}

static void fail_next(struct apply_world *w, uint64_t calls_before, enum err_kind kind,
                      bool lose_answer)
{
    w->dest.fail_at = w->dest.ncalls + calls_before + 1;
    w->dest.nfail = 1;
    w->dest.fail_kind = kind;
    w->dest.lose_answer = lose_answer;
}

/* begin, checkpoint_get, target_name, relation_get twice, describe, table_create, relation_put,
 * describe, apply, the checkpoint, and then the commit. */
#define CALLS_BEFORE_COMMIT 11

/*
 * The commit took place, its answer was lost: the relations that came in that group are known all
 * the same, at their new version.
 */
static void a_lost_answer_keeps_what_the_group_described(void **state)
{
    struct apply_world *w = *state;
    good(w, feed(w, START ONE));
    fail_next(w, CALLS_BEFORE_COMMIT, ERR_RETRY, true);
    good(w, input_pauses(w));
    assert_true(w->dest.failed);
    assert_int_equal(w->counters.retries, 1);
    assert_int_equal(w->counters.rows[COUNT_INSERTS], 1);
    assert_int_equal(w->counters.transactions, 1);
    assert_int_equal(w->acked_lsn, 210);
    good(w, feed(w, TWO "B 12 400; R 1 2; I 12 1 c; C 12 400 410 1"));
    good(w, input_pauses(w));
    good(w, feed(w, "B 13 500; I 13 1 d; C 13 500 510 1"));
    good(w, input_pauses(w));
    has(w, "t1(id,v2) [a,~] [b,~] [c,~] [d,~]\n");
}

static void a_lost_answer_in_a_partial_transaction_keeps_its_relations(void **state)
{
    struct apply_world *w = *state;
    w->group.max_bytes = 40;
    good(w, feed(w, "H 100; B 10 200; R 1 1; I 10 1 a; I 10 1 b; I 10 1 c"));
    assert_true(w->group.partial);
    fail_next(w, w->group.held.len ? 2 : 1, ERR_RETRY, true);
    good(w, feed(w, "C 10 200 210 3"));
    assert_true(w->dest.failed);
    good(w, feed(w, "B 11 300; I 11 1 d; C 11 300 310 1"));
    good(w, input_pauses(w));
    has(w, "t1(id,v1) [a,~] [b,~] [c,~] [d,~]\n");
}

static void a_repeated_group_counts_once(void **state)
{
    struct apply_world *w = *state;
    good(w, feed(w, START ONE TWO));
    fail_next(w, CALLS_BEFORE_COMMIT, ERR_RETRY, false);
    good(w, input_pauses(w));
    assert_int_equal(w->counters.retries, 1);
    assert_int_equal(w->counters.rows[COUNT_INSERTS], 2);
    assert_int_equal(w->counters.rows[COUNT_RUNS], 1);
    assert_int_equal(w->counters.transactions, 2);
}

/* A version that came with a group that was rolled back is not the version any more. */
static void a_rolled_back_group_takes_its_relations_with_it(void **state)
{
    struct apply_world *w = *state;
    good(w, feed(w, START ONE));
    good(w, input_pauses(w));
    good(w, feed(w, "B 11 300; I 11 1 b; C 11 300 310 1;"
                    "B 12 400; R 1 2; I 12 1 poison; C 12 400 410 1"));
    bad(w, input_pauses(w), ERR_PERMANENT,
        "insert into public.t1 (key id), transaction 12 committed at "
        "0/190: the value is poison");
    has(w, "t1(id,v1) [a,~] [b,~]\n");
    assert_int_equal(w->acked_lsn, 310);
}

static void tries_are_limited(void **state)
{
    struct apply_world *w = *state;
    good(w, feed(w, START ONE));
    fail_next(w, 0, ERR_RETRY, false);
    w->dest.nfail = 1000;
    bad(w, input_pauses(w), ERR_RETRY, "told to fail");
    assert_int_equal(w->counters.retries, 7);
    assert_int_equal(checkpoint(w), 100);
    /* And nothing more goes in. */
    w->dest.fail_at = 0;
    w->err = (struct err){0};
    good(w, input_pauses(w));
    assert_int_equal(checkpoint(w), 100);
}

static void a_signal_ends_the_tries(void **state)
{
    struct apply_world *w = *state;
    good(w, feed(w, START ONE));
    (void)close(w->signals.fd);
    assert_int_equal(signals_init(&w->signals, &w->err), 0);
    assert_int_equal(raise(SIGTERM), 0);
    fail_next(w, 0, ERR_RETRY, false);
    bad(w, input_pauses(w), ERR_RETRY, "asked to stop");
    assert_true(w->signals.stop);
    assert_int_equal(checkpoint(w), 100);
}

/* Somebody else writes to the target: nothing is applied on top of that, not even the transactions
 * before the one that has to be repeated. */
static void a_checkpoint_that_moved_is_a_fault(void **state)
{
    struct apply_world *w = *state;
    good(w, feed(w, START ONE "B 11 300; U 11 1 a; C 11 300 310 1"));
    fail_next(w, CALLS_BEFORE_COMMIT, ERR_RETRY, false); /* the second run */
    w->dest.now.checkpoint.remote_lsn = 305;
    bad(w, input_pauses(w), ERR_TEMPORARY, "moved from 0/64 to 0/131");
    assert_int_equal(checkpoint(w), 305);
    has(w, "");
}

/* A program of before a restart, with input left, beside the one that took its place. */
static void nothing_is_applied_over_the_checkpoint_of_another_program(void **state)
{
    struct apply_world *w = *state;
    good(w, feed(w, START ONE));
    w->dest.now.checkpoint.remote_lsn = 305;
    bad(w, input_pauses(w), ERR_TEMPORARY, "moved from 0/64 to 0/131");
    assert_int_equal(checkpoint(w), 305);
    has(w, "");
}

static void a_checkpoint_that_is_gone_is_a_fault(void **state)
{
    struct apply_world *w = *state;
    good(w, feed(w, START ONE));
    fail_next(w, 0, ERR_RETRY, false);
    w->dest.now.has_checkpoint = false;
    bad(w, input_pauses(w), ERR_TEMPORARY, "moved from 0/64 to 0/0");
    assert_false(w->dest.now.has_checkpoint);
    has(w, "");
}

static void the_transactions_before_a_fault_are_applied(void **state)
{
    struct apply_world *w = *state;
    /* k = 1, 2, 3: the first k - 1 go in. */
    static const struct {
        const char *script, *error, *content;
        uint64_t checkpoint;
    } cases[] = {
        {"B 10 200; I 10 1 poison; C 10 200 210 1;" TWO THREE,
         "insert into public.t1 (key id), transaction 10 committed at 0/C8: the value is poison",
         "", 100},
        {ONE "B 11 300; I 11 1 x; I 11 1 poison; C 11 300 310 2;" THREE,
         "insert into public.t1 (key id), transaction 11 committed at 0/12C: the value is poison",
         "t1(id,v1) [a,~]\n", 210},
        {ONE TWO "B 12 400; I 12 1 poison; C 12 400 410 1;",
         "insert into public.t1 (key id), transaction 12 committed at 0/190: the value is poison",
         "t1(id,v1) [a,~] [b,~]\n", 310},
        {ONE TWO "B 12 400; D 12 1 nobody; C 12 400 410 1;",
         "delete from public.t1 (key id), transaction 12 committed at 0/190: conflict "
         "delete_missing",
         "t1(id,v1) [a,~] [b,~]\n", 310},
        {ONE TWO "B 12 400; R 1 1; R 3 1; R 4 9; I 12 4 x; I 12 1 a; C 12 400 410 2;",
         "conflict insert_exists", "t1(id,v1) [a,~] [b,~]\n", 310},
        {ONE TWO "B 12 400; U 12 1 nobody; C 12 400 410 1;", "conflict update_missing",
         "t1(id,v1) [a,~] [b,~]\n", 310},
    };
    for (size_t i = 0; i < LENGTH(cases); i++) {
        new_target(w);
        good(w, feed(w, START));
        good(w, feed(w, cases[i].script));
        bad(w, input_pauses(w), ERR_PERMANENT, cases[i].error);
        has(w, cases[i].content);
        assert_int_equal(checkpoint(w), cases[i].checkpoint);
        assert_int_equal(w->acked_lsn, cases[i].checkpoint);
        w->err = (struct err){0};
        good(w, input_pauses(w));
        assert_int_equal(checkpoint(w), cases[i].checkpoint);
    }
}

/* ---- a transaction larger than group-bytes ---- */

static void a_large_transaction_is_applied_in_parts_and_committed_once(void **state)
{
    struct apply_world *w = *state;
    w->group.max_bytes = 40;
    good(w, feed(w, START "B 10 200; I 10 1 a; I 10 1 b; I 10 1 c; I 10 1 d; I 10 1 e; I 10 1 f"));
    assert_true(w->group.partial);
    assert_int_equal(w->dest.before.checkpoint.remote_lsn, 100);
    good(w, input_pauses(w)); /* commits nothing of it */
    assert_true(w->dest.in_transaction);
    good(w, feed(w, "I 10 1 g; C 10 200 210 7;"));
    assert_int_equal(checkpoint(w), 210);
    assert_int_equal(w->acked_lsn, 210);
    has(w, "t1(id,v1) [a,~] [b,~] [c,~] [d,~] [e,~] [f,~] [g,~]\n");
    assert_int_equal(count_calls(w, "begin\n"), 2); /* the hello's and this one */
    assert_int_equal(w->counters.transactions, 1);
    assert_int_equal(w->counters.rows[COUNT_INSERTS], 7);
}

static void a_fault_in_a_large_transaction_commits_nothing_of_it(void **state)
{
    struct apply_world *w = *state;
    static const struct {
        const char *script, *error;
    } cases[] = {
        {"I 11 1 poison; I 11 1 p; I 11 1 q; C 11 300 310 6", "transaction 11 committed at 0/12C"},
        {"I 11 7 x; I 11 1 p; I 11 1 q; C 11 300 310 6", "relation 7, which was not described"},
        {"C 11 300 310 9", "3 changes came, its commit says 9"},
        {"C 12 300 310 3", "does not match"},
        {"B 12 400", "within transaction 11"},
    };
    for (size_t i = 0; i < LENGTH(cases); i++) {
        new_target(w);
        w->group.max_bytes = 40;
        good(w, feed(w, START ONE "B 11 300; I 11 1 x; I 11 1 y; I 11 1 z"));
        assert_true(w->group.partial);
        bad(w, feed(w, cases[i].script), ERR_PERMANENT, cases[i].error);
        stop(w);
        start(w);
        has(w, "t1(id,v1) [a,~]\n");
        assert_int_equal(checkpoint(w), 210);
        assert_int_equal(w->acked_lsn, 210);
    }
}

/* ---- conflicts ---- */

static void conflicts_follow_the_policy_and_are_counted_once(void **state)
{
    struct apply_world *w = *state;
    static const struct {
        enum conflict_action policy;
        const char *content;
    } cases[] = {
        {CONFLICT_APPLY, "t1(id,v1) [a,~]*1 [b,~] [n,~]\n"},
        {CONFLICT_SKIP, "t1(id,v1) [a,~] [b,~]\n"},
    };
    for (size_t i = 0; i < LENGTH(cases); i++) {
        new_target(w);
        w->group.conflicts.policy = cases[i].policy;
        good(w, feed(w, START ONE));
        good(w, input_pauses(w));
        good(w, feed(w, "B 11 300; I 11 1 a; I 11 1 b; U 11 1 n; D 11 1 nobody; D 11 1 no2;"
                        "C 11 300 310 5"));
        fail_next(w, 4, ERR_RETRY, false); /* the commit: they happen twice and count once */
        good(w, input_pauses(w));
        assert_true(w->dest.failed);
        has(w, cases[i].content);
        assert_int_equal(w->group.conflicts.counted[CONFLICT_INSERT_EXISTS], 1);
        assert_int_equal(w->group.conflicts.counted[CONFLICT_UPDATE_MISSING], 1);
        assert_int_equal(w->group.conflicts.counted[CONFLICT_DELETE_MISSING], 2);
        /* And where only the answer was lost they count, too. */
        good(w, feed(w, "B 12 400; D 12 1 nobody; C 12 400 410 1"));
        fail_next(w, 2, ERR_RETRY, true);
        w->dest.failed = false;
        good(w, input_pauses(w));
        assert_true(w->dest.failed);
        assert_int_equal(w->group.conflicts.counted[CONFLICT_DELETE_MISSING], 3);
    }
}

int main(void)
{
    log_set_level(LOG_LEVEL_ERROR);
    const struct CMUnitTest tests[] = {
#define TEST(name) cmocka_unit_test_setup_teardown(name, apply_setup, apply_teardown)
        TEST(any_call_may_fail_and_the_group_is_repeated),
        TEST(any_call_may_fail_and_the_program_starts_again),
        TEST(any_call_may_fail_while_tables_are_copied),
        TEST(any_call_may_fail_while_rows_are_read_again),
        TEST(tables_are_set_aside_whatever_fails),
        TEST(a_table_that_is_set_aside_says_why),
        TEST(tables_that_are_set_aside_cost_no_tries),
        TEST(a_table_without_a_name_is_set_aside),
        TEST(a_table_that_cannot_be_emptied_is_set_aside),
        TEST(a_copy_that_does_not_come_sets_no_table_aside),
        TEST(conflicts_set_aside_where_that_is_chosen),
        TEST(a_lost_answer_keeps_what_the_group_described),
        TEST(a_lost_answer_in_a_partial_transaction_keeps_its_relations),
        TEST(a_repeated_group_counts_once),
        TEST(a_rolled_back_group_takes_its_relations_with_it),
        TEST(tries_are_limited),
        TEST(a_signal_ends_the_tries),
        TEST(a_checkpoint_that_moved_is_a_fault),
        TEST(nothing_is_applied_over_the_checkpoint_of_another_program),
        TEST(a_checkpoint_that_is_gone_is_a_fault),
        TEST(the_transactions_before_a_fault_are_applied),
        TEST(a_large_transaction_is_applied_in_parts_and_committed_once),
        TEST(a_fault_in_a_large_transaction_commits_nothing_of_it),
        TEST(conflicts_follow_the_policy_and_are_counted_once),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
