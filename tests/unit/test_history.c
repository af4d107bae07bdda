/* metrics-http/history.c: what is kept of the last hour. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "metrics-http/history.h"

static void sample(struct history *h, struct series *s, int64_t now_ms)
{
    size_t due = history_due(h, now_ms);
    series_take(s, h, due);
    history_took(h, due, now_ms);
}

static void assert_samples(const struct series *s, const struct history *h, const char *json)
{
    struct buf out = {0};
    series_put_json(&out, NULL, s, h);
    assert_string_equal(buf_cstr(&out), json);
    buf_free(&out);
}

static void the_largest_of_ten_seconds_is_kept(void **state)
{
    (void)state;
    struct history h = {0};
    struct series s = {0};
    assert_samples(&s, &h, "[]");
    series_see(&s, 3);
    sample(&h, &s, 1000);
    assert_samples(&s, &h, "[3]");
    series_see(&s, 2);
    series_see(&s, 7.25);
    series_see(&s, NAN);
    series_see(&s, 1);
    sample(&h, &s, 10999);
    assert_samples(&s, &h, "[3]");
    sample(&h, &s, 11000);
    assert_samples(&s, &h, "[3,7.25]");
    series_see(&s, 0);
    sample(&h, &s, 21500);
    series_see(&s, 5);
    sample(&h, &s, 31001);
    assert_samples(&s, &h, "[3,7.25,0,5]");
}

/* Nothing was seen, or nobody looked: that is no zero, and the clock goes on. */
static void what_is_not_known_is_a_gap(void **state)
{
    (void)state;
    struct history h = {0};
    struct series s = {0};
    series_see(&s, 1);
    sample(&h, &s, 1);
    series_see(&s, NAN);
    sample(&h, &s, 10001);
    series_see(&s, 4);
    sample(&h, &s, 45000);
    assert_samples(&s, &h, "[1,null,null,null,4]");
    series_see(&s, 5);
    sample(&h, &s, 50001);
    assert_samples(&s, &h, "[1,null,null,null,4,5]");
}

static void an_hour_is_kept(void **state)
{
    (void)state;
    struct history h = {0};
    struct series s = {0};
    for (int i = 0; i < HISTORY_SAMPLES + 5; i++) {
        series_see(&s, i);
        sample(&h, &s, 1 + (int64_t)i * HISTORY_STEP_MS);
    }
    struct buf out = {0};
    series_put_json(&out, NULL, &s, &h);
    const char *json = buf_cstr(&out);
    assert_true(strncmp(json, "[5,6,", 5) == 0);
    assert_non_null(strstr(json, ",363,364]"));
    buf_reset(&out, 0);
    /* Longer than that away: nothing is left, but what is seen now. */
    series_see(&s, 9);
    sample(&h, &s, (int64_t)1000 * HISTORY_STEP_MS);
    assert_true(history_due(&h, (int64_t)1000 * HISTORY_STEP_MS + 1) == 0);
    series_put_json(&out, NULL, &s, &h);
    json = buf_cstr(&out);
    size_t nulls = 0;
    for (const char *p = json; (p = strstr(p, "null")); p++)
        nulls++;
    assert_true(nulls == HISTORY_SAMPLES - 1);
    assert_non_null(strstr(json, ",9]"));
    buf_free(&out);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_largest_of_ten_seconds_is_kept),
        cmocka_unit_test(what_is_not_known_is_a_gap),
        cmocka_unit_test(an_hour_is_kept),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
