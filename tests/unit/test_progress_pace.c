/* pg-capture/progress_pace.c: how often a target commits a position without changes. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "pg-capture/progress_pace.h"

enum { START_MS = 5000, SECOND = 1000 };

/* Frames that go out in so many milliseconds where there is always something to say. A transaction
 * comes every `every_ms` (0: none does); a target takes `takes_ms` for a frame. */
static unsigned count_frames(unsigned ms, unsigned every_ms, bool waited_for, unsigned takes_ms)
{
    struct progress_pace p = {0};
    unsigned n = 0;
    int64_t sent_ms = 0;
    for (int64_t now_ms = START_MS; now_ms < START_MS + ms; now_ms++) {
        if (every_ms > 0)
            progress_pace_committed(&p, (uint64_t)(now_ms / every_ms), now_ms);
        bool acknowledged = now_ms >= sent_ms + takes_ms;
        if (now_ms < progress_pace_due_ms(&p, waited_for, acknowledged))
            continue;
        progress_pace_sent(&p, acknowledged, now_ms);
        sent_ms = now_ms;
        n++;
    }
    return n;
}

static void one_is_rare_where_no_transaction_comes(void **state)
{
    (void)state;
    assert_int_equal(count_frames(60 * SECOND, 0, false, 1), 30);
}

static void between_transactions_there_are_five_a_second_at_most(void **state)
{
    (void)state;
    static const unsigned pauses_ms[] = {11, 15, 20, 50, 100, 150, 199};
    for (size_t i = 0; i < sizeof pauses_ms / sizeof *pauses_ms; i++) {
        unsigned n = count_frames(60 * SECOND, pauses_ms[i], false, 1);
        assert_in_range(n, 1, 5 * 60 + 1);
    }
    /* Never more than there are transactions. */
    assert_in_range(count_frames(60 * SECOND, SECOND, false, 1), 60, 61);
}

static void under_load_there_is_none(void **state)
{
    (void)state;
    for (unsigned every_ms = 1; every_ms <= PROGRESS_PAUSE_MS; every_ms++)
        assert_int_equal(count_frames(60 * SECOND, every_ms, false, 1), 0);
}

static void the_first_behind_a_transaction_waits_for_nothing_but_a_pause(void **state)
{
    (void)state;
    struct progress_pace p = {0};
    assert_true(progress_pace_due_ms(&p, false, true) <= START_MS);
    progress_pace_sent(&p, true, START_MS);
    assert_int_equal(progress_pace_due_ms(&p, false, true), START_MS + PROGRESS_SELDOM_MS);
    progress_pace_committed(&p, 7, START_MS + 3);
    assert_int_equal(progress_pace_due_ms(&p, false, true), START_MS + 3 + PROGRESS_PAUSE_MS);
    progress_pace_committed(&p, 7, START_MS + 9); /* still the same */
    assert_int_equal(progress_pace_due_ms(&p, false, true), START_MS + 3 + PROGRESS_PAUSE_MS);
    progress_pace_committed(&p, 8, START_MS + 9);
    assert_int_equal(progress_pace_due_ms(&p, false, true), START_MS + 9 + PROGRESS_PAUSE_MS);
}

static void who_waits_gets_one_soon_after_the_one_before_is_there(void **state)
{
    (void)state;
    struct progress_pace p = {0};
    assert_true(progress_pace_due_ms(&p, true, true) <= START_MS);
    assert_int_equal(count_frames(SECOND, 0, true, 1), SECOND / PROGRESS_NEXT_MS);
    assert_int_equal(count_frames(SECOND, 1, true, 10), SECOND / 10);
}

/* The others would commit for nothing. */
static void a_target_that_stands_still_makes_them_rare(void **state)
{
    (void)state;
    assert_int_equal(count_frames(SECOND, 0, true, 100 * SECOND), 6); /* 0, 20, 60, 140, 300, 620 */
    assert_in_range(count_frames(60 * SECOND, 0, true, 100 * SECOND), 30, 40);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(one_is_rare_where_no_transaction_comes),
        cmocka_unit_test(between_transactions_there_are_five_a_second_at_most),
        cmocka_unit_test(under_load_there_is_none),
        cmocka_unit_test(the_first_behind_a_transaction_waits_for_nothing_but_a_pause),
        cmocka_unit_test(who_waits_gets_one_soon_after_the_one_before_is_there),
        cmocka_unit_test(a_target_that_stands_still_makes_them_rare),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
