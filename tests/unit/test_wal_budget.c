/* pg-capture/wal_budget.c: when it is said that the slot keeps much WAL. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "pg-capture/wal_budget.h"

#define LENGTH(a) (sizeof(a) / sizeof *(a))

static void it_is_said_at_half_at_the_double_and_after_a_while(void **state)
{
    (void)state;
    static const struct {
        uint64_t kept, budget;
        int64_t after_ms;
        bool due;
    } steps[] = {
        {99, 200, 0, false},       {100, 200, 1, true}, {100, 200, 1, false},
        {199, 200, 1, false},      {200, 200, 1, true}, {399, 200, WAL_BUDGET_SAY_MS - 1, false},
        {399, 200, 1, true},       {99, 200, 1, false}, {100, 200, 1, true},
        {1000000, 0, 1, false},    {0, 200, 1, false},  {UINT64_MAX, UINT64_MAX, 1, true},
        {UINT64_MAX, 1, 1, false},
    };
    struct wal_budget b = {0};
    int64_t now_ms = 1000;
    for (size_t i = 0; i < LENGTH(steps); i++) {
        now_ms += steps[i].after_ms;
        if (wal_budget_is_due(&b, steps[i].kept, steps[i].budget, now_ms) != steps[i].due)
            fail_msg("step %zu", i);
    }
}

static void the_smaller_limit_counts(void **state)
{
    (void)state;
    assert_int_equal(wal_budget_of(0, 0), 0);
    assert_int_equal(wal_budget_of(5, 0), 5);
    assert_int_equal(wal_budget_of(0, 5), 5);
    assert_int_equal(wal_budget_of(5, 7), 5);
    assert_int_equal(wal_budget_of(7, 5), 5);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(it_is_said_at_half_at_the_double_and_after_a_while),
        cmocka_unit_test(the_smaller_limit_counts),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
