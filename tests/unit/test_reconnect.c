/* common/sql/reconnect.c: what ends the search for a server that was there before. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "sql/error_rules.h"
#include "sql/reconnect.h"

/* By number; 0 is a connection. */
static const struct error_rule rules[] = {
    {1, ERR_TEMPORARY, NULL}, {2, ERR_PERMANENT, NULL}, {0, ERR_PERMANENT, NULL}};
static const int *answers;
static int attempts;

static int answer(struct driver *d, struct err *err)
{
    int number = answers[attempts++];
    assert_null(d);
    if (number == 0)
        return 0;
    const struct error_rule *rule = error_rule_find(rules, number);
    (void)err_set(err, rule->kind, "error %d", number);
    return error_rule_hint(rule, err);
}

static int search(const int *given, uint64_t timeout_ms, struct err *err)
{
    struct reconnect r = {0};
    answers = given;
    attempts = 0;
    *err = (struct err){0};
    return reconnect(&r, NULL, timeout_ms, answer, err);
}

static void what_is_not_known_to_last_may_pass(void **state)
{
    (void)state;
    struct err err;
    assert_int_equal(search((const int[]){1, 3, 4, 0}, 60000, &err), 0);
    assert_int_equal(attempts, 4);
    assert_int_equal(err.kind, ERR_NONE);
    assert_false(err.unknown);
    assert_int_equal(search((const int[]){3, 3, 3}, 1, &err), -1);
    assert_int_equal(err.kind, ERR_TEMPORARY);
    assert_string_equal(err.text, "error 3");
}

static void what_a_person_has_to_mend_ends_it(void **state)
{
    (void)state;
    struct err err;
    assert_int_equal(search((const int[]){3, 2, 0}, 60000, &err), -1);
    assert_int_equal(attempts, 2);
    assert_int_equal(err.kind, ERR_PERMANENT);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_is_not_known_to_last_may_pass),
        cmocka_unit_test(what_a_person_has_to_mend_ends_it),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
