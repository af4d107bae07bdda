/* pg-capture/prepared.c: prepared transactions hold back what is confirmed. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "pg-capture/prepared.h"

static struct bytes gid(const char *s)
{
    return (struct bytes){s, strlen(s)};
}

static void add(struct prepared *p, const char *name, uint64_t lsn)
{
    struct err err = {0};
    assert_int_equal(prepared_add(p, gid(name), lsn, &err), 0);
}

static void nothing_holds_back_nothing(void **state)
{
    (void)state;
    struct prepared p = {0};
    assert_int_equal(prepared_limit(&p, 0), 0);
    assert_int_equal(prepared_limit(&p, 100), 100);
    prepared_free(&p);
}

static void a_transaction_holds_until_its_decision_is_durable(void **state)
{
    (void)state;
    struct prepared p = {0};
    add(&p, "g", 50);
    assert_int_equal(prepared_limit(&p, 40), 40);
    assert_int_equal(prepared_limit(&p, 100), 50);
    prepared_decide(&p, gid("other"), 120);
    prepared_decide(&p, gid("gg"), 120);
    assert_int_equal(prepared_limit(&p, 200), 50);
    prepared_decide(&p, gid("g"), 150);
    assert_int_equal(prepared_limit(&p, 149), 50);
    assert_int_equal(prepared_limit(&p, 150), 150);
    assert_int_equal(p.n, 0);
    prepared_free(&p);
}

static void the_oldest_of_several_counts(void **state)
{
    (void)state;
    struct prepared p = {0};
    for (uint64_t i = 0; i < 100; i++) {
        char name[16];
        (void)snprintf(name, sizeof name, "g%d", (int)i);
        add(&p, name, 1000 + i);
    }
    assert_int_equal(prepared_limit(&p, 5000), 1000);
    prepared_decide(&p, gid("g1"), 2000);
    assert_int_equal(prepared_limit(&p, 5000), 1000);
    prepared_decide(&p, gid("g0"), 2000);
    assert_int_equal(prepared_limit(&p, 5000), 1002);
    prepared_free(&p);
}

static void a_name_may_be_used_again(void **state)
{
    (void)state;
    struct prepared p = {0};
    add(&p, "g", 10);
    prepared_decide(&p, gid("g"), 20);
    add(&p, "g", 30);
    prepared_decide(&p, gid("g"), 40);
    assert_int_equal(prepared_limit(&p, 15), 10);
    assert_int_equal(prepared_limit(&p, 25), 25);
    assert_int_equal(prepared_limit(&p, 35), 30);
    assert_int_equal(prepared_limit(&p, 40), 40);
    prepared_free(&p);
}

static void another_connection_sends_it_again(void **state)
{
    (void)state;
    struct prepared p = {0};
    add(&p, "g", 10);
    prepared_decide(&p, gid("g"), 20);
    add(&p, "g", 10);
    assert_int_equal(p.n, 1);
    assert_int_equal(prepared_limit(&p, 30), 10);
    prepared_decide(&p, gid("g"), 20);
    assert_int_equal(prepared_limit(&p, 30), 30);
    prepared_free(&p);
}

int main(void)
{
    cmocka_set_message_output(CM_OUTPUT_TAP);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(nothing_holds_back_nothing),
        cmocka_unit_test(a_transaction_holds_until_its_decision_is_durable),
        cmocka_unit_test(the_oldest_of_several_counts),
        cmocka_unit_test(a_name_may_be_used_again),
        cmocka_unit_test(another_connection_sends_it_again),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
