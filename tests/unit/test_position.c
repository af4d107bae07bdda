/*
 * pg-capture/position.c: what may be confirmed to the slot. Last come two tests with random
 * sequences: one compares each step with a model that recomputes everything from the whole history,
 * the other is position_world.h's.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "pg-capture/acks.h"
#include "pg-capture/position.h"
#include "position_world.h"
#include "random.h"

static struct bytes gid(const char *s)
{
    return (struct bytes){s, strlen(s)};
}

static void prepare(struct position *p, const char *name, uint64_t prepare_lsn, uint64_t end_lsn)
{
    struct err err = {0};
    assert_int_equal(position_prepare(p, gid(name), prepare_lsn, end_lsn, &err), 0);
}

/* A stream from 100 on, of a server whose WAL ends at 1000. */
static struct position streaming(bool acks, uint64_t until_lsn)
{
    struct position p;
    position_init(&p, acks);
    position_connect(&p);
    position_stream(&p, 100, 1000, until_lsn);
    return p;
}

static void without_targets_nothing_is_confirmed(void **state)
{
    (void)state;
    struct position p = streaming(false, 0);
    position_commit(&p, 200);
    prepare(&p, "g", 210, 220);
    assert_false(position_acknowledge(&p, 0));
    assert_false(position_acknowledge(&p, 200));
    assert_int_equal(p.confirmed_lsn, 0);
    assert_int_equal(position_status(&p).flush_lsn, 0);
    assert_true(position_durable(&p, 200));
    assert_false(position_held_back(&p, 300));
    position_free(&p);
}

static void what_is_acknowledged_is_confirmed(void **state)
{
    (void)state;
    struct position p = streaming(true, 0);
    position_commit(&p, 200);
    assert_int_equal(p.confirmed_lsn, 0);
    assert_false(position_durable(&p, 200));
    assert_true(position_acknowledge(&p, 200));
    assert_int_equal(p.confirmed_lsn, 200);
    assert_true(position_durable(&p, 200));
    position_commit(&p, 300);
    assert_int_equal(p.confirmed_lsn, 200);
    assert_false(position_acknowledge(&p, 200));
    assert_false(position_acknowledge(&p, 150)); /* what is durable stays so */
    assert_true(position_durable(&p, 200));
    assert_int_equal(p.confirmed_lsn, 200);
    assert_true(position_acknowledge(&p, 250));
    assert_int_equal(p.confirmed_lsn, 250);
    position_free(&p);
}

static void a_target_may_hold_more_than_was_sent(void **state)
{
    (void)state;
    struct position p = streaming(true, 0);
    assert_int_equal(p.ack_limit_lsn, 1000);
    assert_true(position_acknowledge(&p, 700));
    assert_int_equal(p.confirmed_lsn, 100);
    position_commit(&p, 200);
    assert_true(position_acknowledge(&p, 700));
    assert_int_equal(p.confirmed_lsn, 200);
    position_commit(&p, 2000);
    assert_int_equal(p.ack_limit_lsn, 2000);
    position_free(&p);
}

static void what_the_slot_has_is_not_confirmed_again(void **state)
{
    (void)state;
    struct position p = streaming(true, 0);
    assert_false(position_acknowledge(&p, 50));
    assert_int_equal(p.confirmed_lsn, 0);
    assert_true(position_acknowledge(&p, 100));
    assert_int_equal(p.confirmed_lsn, 100);
    position_free(&p);
}

static void a_prepared_transaction_holds_back(void **state)
{
    (void)state;
    struct position p = streaming(true, 0);
    prepare(&p, "g", 150, 160);
    prepare(&p, "h", 170, 180);
    position_commit(&p, 300);
    assert_false(position_held_back(&p, 300)); /* the target has not everything yet */
    assert_true(position_acknowledge(&p, 300));
    assert_int_equal(p.confirmed_lsn, 150);
    assert_true(position_held_back(&p, 300));
    assert_false(position_held_back(&p, 150));

    position_decide(&p, gid("g"), 320, true);
    assert_int_equal(p.committed_lsn, 320);
    assert_false(position_acknowledge(&p, 310));
    assert_true(position_acknowledge(&p, 320));
    assert_int_equal(p.confirmed_lsn, 170);

    /* A rollback is durable with what is acknowledged after it. */
    position_decide(&p, gid("h"), 330, false);
    assert_int_equal(p.committed_lsn, 320);
    assert_int_equal(p.covered_lsn, 320);
    assert_int_equal(p.emitted_lsn, 330);
    position_keepalive(&p, 340, true);
    position_progress_out(&p, position_progress(&p, true));
    assert_true(position_acknowledge(&p, 340));
    assert_int_equal(p.confirmed_lsn, 340);
    assert_false(position_held_back(&p, 400));
    position_free(&p);
}

static void a_target_that_is_apart_holds_back(void **state)
{
    (void)state;
    struct position p = streaming(true, 0);
    position_commit(&p, 200);
    position_apart(&p, 0); /* it has not spoken */
    assert_false(position_acknowledge(&p, 200));
    assert_int_equal(p.confirmed_lsn, 0);
    assert_true(position_durable(&p, 200)); /* at those that are not */
    assert_true(position_held_back(&p, 200));
    position_apart(&p, 150);
    assert_true(position_acknowledge(&p, 200));
    assert_int_equal(p.confirmed_lsn, 150);
    position_apart(&p, UINT64_MAX); /* given up */
    assert_true(position_acknowledge(&p, 200));
    assert_int_equal(p.confirmed_lsn, 200);
    assert_false(position_held_back(&p, 300));
    position_free(&p);
}

static void a_prepare_that_comes_again_does_not_undo(void **state)
{
    (void)state;
    struct position p = streaming(true, 0);
    prepare(&p, "g", 150, 160);
    position_decide(&p, gid("g"), 200, true);
    assert_true(position_acknowledge(&p, 200));
    assert_int_equal(p.confirmed_lsn, 200);

    /* The status update was lost: the server sends everything again. */
    position_connect(&p);
    position_stream(&p, 100, 1000, 0);
    prepare(&p, "g", 150, 160);
    assert_false(position_acknowledge(&p, 200));
    assert_int_equal(p.confirmed_lsn, 200);
    position_commit(&p, 300);
    assert_false(position_acknowledge(&p, 300));
    position_decide(&p, gid("g"), 200, true);
    assert_true(position_acknowledge(&p, 300));
    assert_int_equal(p.confirmed_lsn, 300);
    position_free(&p);
}

static void a_keepalive_counts_when_it_went_through_the_targets(void **state)
{
    (void)state;
    struct position p = streaming(true, 0);
    position_commit(&p, 200);
    position_receive(&p, 0, 500);
    position_keepalive(&p, 500, true);
    assert_int_equal(p.emitted_lsn, 200);
    assert_true(position_acknowledge(&p, 500)); /* of another process, before this one */
    assert_int_equal(p.confirmed_lsn, 200);
    assert_int_equal(position_progress(&p, false), 0);
    assert_int_equal(position_progress(&p, true), 500);
    position_progress_out(&p, 500);
    assert_int_equal(position_progress(&p, true), 0);
    assert_int_equal(p.emitted_lsn, 500);
    assert_int_equal(p.covered_lsn, 500);
    assert_true(position_acknowledge(&p, 500));
    assert_int_equal(p.confirmed_lsn, 500);
    position_free(&p);
}

static void a_keepalive_within_a_transaction_says_nothing(void **state)
{
    (void)state;
    struct position p = streaming(true, 400);
    position_keepalive(&p, 500, false);
    assert_int_equal(position_progress(&p, true), 0);
    assert_int_equal(p.reached_lsn, 0);
    position_keepalive(&p, 300, true);
    position_commit(&p, 350); /* which says more than the keepalive */
    assert_int_equal(position_progress(&p, true), 0);
    position_free(&p);
}

static void the_end_is_reached_by_what_comes_first(void **state)
{
    (void)state;
    struct position p = streaming(true, 400);
    assert_true(position_asks(&p));
    position_keepalive(&p, 399, true);
    position_commit(&p, 399);
    assert_true(position_asks(&p));
    assert_int_equal(position_last_progress(&p), 0);
    position_keepalive(&p, 450, true);
    position_commit(&p, 460);
    assert_false(position_asks(&p));
    assert_int_equal(p.reached_lsn, 450);
    position_free(&p);

    p = streaming(true, 400);
    position_commit(&p, 400);
    assert_int_equal(p.reached_lsn, 400);
    assert_int_equal(position_last_progress(&p), 0); /* the commit says it */
    position_free(&p);

    p = streaming(true, 400);
    prepare(&p, "g", 390, 410);
    assert_int_equal(p.reached_lsn, 410);
    assert_int_equal(position_last_progress(&p), 410);
    position_free(&p);

    p = streaming(true, 0);
    position_commit(&p, 400);
    assert_int_equal(p.reached_lsn, 0);
    assert_false(position_asks(&p));
    position_free(&p);
}

static void another_connection_begins_anew_and_forgets_nothing(void **state)
{
    (void)state;
    struct position p = streaming(true, 0);
    position_commit(&p, 200);
    position_commit(&p, 300);
    assert_true(position_acknowledge(&p, 200));
    position_receive(&p, 310, 600);
    position_keepalive(&p, 600, true);

    position_connect(&p);
    assert_int_equal(p.received_lsn, 0);
    assert_int_equal(position_progress(&p, true), 0);
    assert_false(position_is_foreign(&p, 100));
    assert_false(position_is_foreign(&p, 200));
    assert_true(position_is_foreign(&p, 201));
    position_stream(&p, 100, 1000, 0);
    assert_int_equal(position_progress(&p, true), 0);
    assert_int_equal(p.confirmed_lsn, 200);
    assert_int_equal(p.emitted_lsn, 300);

    /* What was on its way is acknowledged now. */
    assert_true(position_acknowledge(&p, 300));
    assert_int_equal(p.confirmed_lsn, 300);
    position_commit(&p, 200);
    assert_int_equal(p.emitted_lsn, 300);
    assert_false(position_acknowledge(&p, 200));
    assert_int_equal(p.confirmed_lsn, 300);
    position_free(&p);
}

static void a_status_update_never_says_more_flushed_than_written(void **state)
{
    (void)state;
    struct position p = streaming(true, 0);
    struct standby_status s = position_status(&p);
    assert_int_equal(s.write_lsn, 0);
    assert_int_equal(s.flush_lsn, 0);
    position_receive(&p, 200, 250);
    position_commit(&p, 200);
    assert_true(position_acknowledge(&p, 200));
    s = position_status(&p);
    assert_int_equal(s.write_lsn, 250);
    assert_int_equal(s.flush_lsn, 200);
    position_connect(&p);
    s = position_status(&p);
    assert_int_equal(s.write_lsn, 200);
    assert_int_equal(s.flush_lsn, 200);
    assert_int_equal(p.received_lsn, 200);
    position_free(&p);
}

static void the_lag_is_from_the_confirmed_to_the_servers_end(void **state)
{
    (void)state;
    struct position p;
    position_init(&p, true);
    position_server(&p, 500);
    assert_int_equal(position_lag(&p), 0); /* since when is not known */
    position_connect(&p);
    position_stream(&p, 100, 1000, 0);
    assert_int_equal(position_done(&p), 100);
    assert_int_equal(position_lag(&p), 400);
    position_receive(&p, 200, 700);
    assert_int_equal(position_lag(&p), 600);
    position_commit(&p, 800);
    assert_true(position_acknowledge(&p, 800));
    assert_int_equal(position_done(&p), 800);
    assert_int_equal(position_lag(&p), 0);
    position_free(&p);
}

#define TARGETS 3

/* ---- against a model ---- */

enum kind { START, OUT, PREPARED, DECIDED, KEEPALIVE, CONNECTING, ACK };

/* All that has happened. */
struct history {
    size_t n;
    struct happened {
        enum kind kind;
        uint64_t lsn; /* its end */
        uint64_t prepare_lsn;
        char gid;
        bool covers; /* OUT, DECIDED: targets acknowledge it by itself */
        size_t target;
    } events[400];
};

static void happen(struct history *h, struct happened event)
{
    assert_true(h->n < sizeof h->events / sizeof *h->events);
    h->events[h->n++] = event;
}

static uint64_t model_emitted(const struct history *h, bool covering)
{
    uint64_t lsn = 0;
    for (size_t i = 0; i < h->n; i++) {
        const struct happened *e = &h->events[i];
        bool counts = e->kind == START ||
                      ((e->kind == OUT || e->kind == DECIDED) && (e->covers || !covering));
        if ((counts || (e->kind == PREPARED && !covering)) && e->lsn > lsn)
            lsn = e->lsn;
    }
    return lsn;
}

static uint64_t model_target(const struct history *h, size_t target)
{
    uint64_t lsn = 0;
    for (size_t i = 0; i < h->n; i++)
        if (h->events[i].kind == ACK && h->events[i].target == target && h->events[i].lsn > lsn)
            lsn = h->events[i].lsn;
    return lsn;
}

/* Whether the PREPARE at `at` still forbids to confirm what is beyond it. */
static bool model_holds(const struct history *h, size_t at, uint64_t durable_lsn)
{
    const struct happened *p = &h->events[at];
    for (size_t i = at + 1; i < h->n; i++) {
        const struct happened *e = &h->events[i];
        if (e->gid != p->gid)
            continue;
        if (e->kind == PREPARED && e->prepare_lsn == p->prepare_lsn)
            return false; /* the one that came later counts */
    }
    for (size_t i = at + 1; i < h->n; i++) {
        const struct happened *e = &h->events[i];
        if (e->kind == DECIDED && e->gid == p->gid && e->lsn > p->prepare_lsn)
            return e->lsn > durable_lsn;
    }
    return true;
}

static uint64_t model_limit(const struct history *h, size_t ntargets)
{
    uint64_t lsn = ntargets > 0 ? model_emitted(h, false) : 0;
    for (size_t i = 0; i < ntargets; i++)
        if (model_target(h, i) < lsn)
            lsn = model_target(h, i);
    uint64_t durable_lsn = lsn;
    for (size_t i = 0; i < h->n; i++)
        if (h->events[i].kind == PREPARED && h->events[i].prepare_lsn < lsn &&
            model_holds(h, i, durable_lsn))
            lsn = h->events[i].prepare_lsn;
    return lsn;
}

static uint64_t model_start(const struct history *h)
{
    uint64_t lsn = 0;
    for (size_t i = 0; i < h->n; i++)
        if (h->events[i].kind == START)
            lsn = h->events[i].lsn;
    return lsn;
}

/* The last keepalive of this connection. */
static uint64_t model_keepalive(const struct history *h)
{
    uint64_t lsn = 0;
    for (size_t i = 0; i < h->n; i++) {
        if (h->events[i].kind == CONNECTING)
            lsn = 0;
        if (h->events[i].kind == KEEPALIVE)
            lsn = h->events[i].lsn;
    }
    return lsn;
}

static uint64_t model_reached(const struct history *h, uint64_t until_lsn)
{
    for (size_t i = 0; i < h->n && until_lsn != 0; i++) {
        const struct happened *e = &h->events[i];
        bool ends = e->kind == PREPARED || e->kind == DECIDED || e->kind == KEEPALIVE ||
                    (e->kind == OUT && e->prepare_lsn == 0);
        if (ends && e->lsn >= until_lsn)
            return e->lsn;
    }
    return 0;
}

#define PROGRESS 1 /* in prepare_lsn of an OUT: no transaction */

struct run {
    struct position p;
    struct history history;
    struct acks acks;
    uint64_t until_lsn;
    uint64_t near_lsn;          /* LSNs are made near this, forwards and backwards */
    uint64_t prepared_lsn[256]; /* by name: of the last PREPARE */
};

static uint64_t some_lsn(struct run *r)
{
    r->near_lsn += below(20);
    return r->near_lsn - below(60);
}

static void connect_again(struct run *r)
{
    uint64_t start_lsn = some_lsn(r);
    position_connect(&r->p);
    happen(&r->history, (struct happened){.kind = CONNECTING});
    position_stream(&r->p, start_lsn, start_lsn + below(100), r->until_lsn);
    happen(&r->history, (struct happened){.kind = START, .lsn = start_lsn});
}

static void acknowledge(struct run *r)
{
    size_t i = below(r->acks.n);
    struct ack_fifo *f = &r->acks.fifos[i];
    uint64_t lsn = r->p.ack_limit_lsn - below(r->p.ack_limit_lsn < 80 ? r->p.ack_limit_lsn : 80);
    f->spoken = true;
    if (lsn > f->lsn)
        f->lsn = lsn;
    happen(&r->history, (struct happened){.kind = ACK, .lsn = lsn, .target = i});
    uint64_t before_lsn = r->p.confirmed_lsn;
    uint64_t limit_lsn = model_limit(&r->history, r->acks.n);
    bool rises = limit_lsn > before_lsn && limit_lsn >= model_start(&r->history);
    assert_int_equal(position_acknowledge(&r->p, acks_lsn(&r->acks)), rises);
    assert_int_equal(r->p.confirmed_lsn, rises ? limit_lsn : before_lsn);
}

static void step(struct run *r)
{
    uint64_t lsn = some_lsn(r);
    bool commits = one_in(2);
    char name = (char)('a' + below(4));
    struct bytes g = {&name, 1};
    struct err err = {0};
    uint64_t due_lsn;
    switch (below(r->acks.n > 0 ? 10 : 7)) {
    case 0:
        if (one_in(4))
            connect_again(r);
        break;
    case 1:
        position_receive(&r->p, one_in(2) ? lsn : 0, lsn + below(50));
        break;
    case 2:
        position_commit(&r->p, lsn);
        happen(&r->history, (struct happened){.kind = OUT, .lsn = lsn, .covers = true});
        break;
    case 3:
        if (commits && r->prepared_lsn[(unsigned char)name] != 0)
            lsn = r->prepared_lsn[(unsigned char)name]; /* it comes again */
        r->prepared_lsn[(unsigned char)name] = lsn;
        assert_int_equal(position_prepare(&r->p, g, lsn - 5, lsn, &err), 0);
        happen(&r->history, (struct happened){
                                .kind = PREPARED, .lsn = lsn, .prepare_lsn = lsn - 5, .gid = name});
        break;
    case 4:
        position_decide(&r->p, g, lsn, commits);
        happen(&r->history,
               (struct happened){.kind = DECIDED, .lsn = lsn, .gid = name, .covers = commits});
        break;
    case 5:
        position_keepalive(&r->p, lsn, commits);
        if (commits)
            happen(&r->history, (struct happened){.kind = KEEPALIVE, .lsn = lsn});
        break;
    case 6:
        due_lsn = position_progress(&r->p, true);
        if (due_lsn == 0)
            break;
        position_progress_out(&r->p, due_lsn);
        happen(&r->history,
               (struct happened){
                   .kind = OUT, .lsn = due_lsn, .prepare_lsn = PROGRESS, .covers = true});
        break;
    default:
        acknowledge(r);
        break;
    }
}

static void check(struct run *r, uint64_t confirmed_before)
{
    const struct position *p = &r->p;
    const struct history *h = &r->history;
    assert_true(p->confirmed_lsn >= confirmed_before);
    assert_int_equal(p->emitted_lsn, model_emitted(h, false));
    assert_true(p->confirmed_lsn <= p->emitted_lsn);
    for (size_t i = 0; i < r->acks.n; i++)
        assert_true(p->confirmed_lsn <= model_target(h, i));
    assert_int_equal(p->covered_lsn, model_emitted(h, true));
    uint64_t keepalive_lsn = model_keepalive(h);
    assert_int_equal(position_progress(p, true),
                     keepalive_lsn > model_emitted(h, true) ? keepalive_lsn : 0);
    assert_int_equal(position_progress(p, false), 0);
    assert_int_equal(p->reached_lsn, model_reached(h, r->until_lsn));
    if (r->acks.n == 0)
        assert_int_equal(p->confirmed_lsn, 0);
    if (one_in(8)) {
        struct standby_status s = position_status(&r->p);
        assert_int_equal(s.flush_lsn, p->confirmed_lsn);
        assert_true(s.write_lsn >= s.flush_lsn);
    }
}

static void every_step_is_what_a_naive_model_says(void **state)
{
    (void)state;
    random_begin(UINT64_C(0x9E3779B97F4A7C15));
    uint64_t confirmed = 0;
    for (int i = 0; i < 400; i++) {
        struct run r = {.near_lsn = 100};
        r.acks.n = below(TARGETS + 1);
        r.until_lsn = one_in(2) ? 200 + below(800) : 0;
        position_init(&r.p, r.acks.n > 0);
        connect_again(&r);
        for (int k = 0; k < 180; k++) {
            uint64_t before_lsn = r.p.confirmed_lsn;
            step(&r);
            check(&r, before_lsn);
            confirmed += r.p.confirmed_lsn > before_lsn;
        }
        position_free(&r.p);
    }
    assert_true(confirmed > 1000); /* it is no test where nothing happens */
}

static void nothing_is_confirmed_that_a_target_would_miss(void **state)
{
    (void)state;
    position_world_runs();
}

int main(void)
{
    cmocka_set_message_output(CM_OUTPUT_TAP);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(without_targets_nothing_is_confirmed),
        cmocka_unit_test(what_is_acknowledged_is_confirmed),
        cmocka_unit_test(a_target_may_hold_more_than_was_sent),
        cmocka_unit_test(what_the_slot_has_is_not_confirmed_again),
        cmocka_unit_test(a_prepared_transaction_holds_back),
        cmocka_unit_test(a_target_that_is_apart_holds_back),
        cmocka_unit_test(a_prepare_that_comes_again_does_not_undo),
        cmocka_unit_test(a_keepalive_counts_when_it_went_through_the_targets),
        cmocka_unit_test(a_keepalive_within_a_transaction_says_nothing),
        cmocka_unit_test(the_end_is_reached_by_what_comes_first),
        cmocka_unit_test(another_connection_begins_anew_and_forgets_nothing),
        cmocka_unit_test(a_status_update_never_says_more_flushed_than_written),
        cmocka_unit_test(the_lag_is_from_the_confirmed_to_the_servers_end),
        cmocka_unit_test(every_step_is_what_a_naive_model_says),
        cmocka_unit_test(nothing_is_confirmed_that_a_target_would_miss),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
