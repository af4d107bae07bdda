/* common/frames/snapshot.c: which transactions a snapshot of the source sees. */
#include <inttypes.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "frames/snapshot.h"
#include "tests/unit/random.h"

static struct snapshot parsed(const char *text)
{
    struct snapshot s;
    struct err err = {0};
    assert_int_equal(snapshot_parse(&s, text, strlen(text), &err), 0);
    return s;
}

static void it_sees_what_had_ended(void **state)
{
    (void)state;
    struct snapshot s = parsed("10:20:10,14");
    for (uint32_t xid = 3; xid < 30; xid++)
        assert_int_equal(snapshot_sees(&s, xid), xid < 20 && xid != 10 && xid != 14);
    snapshot_free(&s);
    s = parsed("5:5:");
    assert_true(snapshot_sees(&s, 4));
    assert_false(snapshot_sees(&s, 5));
    snapshot_free(&s);
}

/* 4294967301 is the xid 5 of the second epoch. */
static void epochs_are_left_out(void **state)
{
    (void)state;
    struct snapshot s = parsed("4294967290:4294967301:4294967290,4294967299");
    static const struct {
        uint32_t xid;
        bool seen;
    } cases[] = {{4294967289, true}, {4294967290, false}, {4294967295, true}, {3, false},
                 {4, true},          {5, false},          {1000000, false},   {4000000000, true}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        assert_int_equal(snapshot_sees(&s, cases[i].xid), cases[i].seen);
    snapshot_free(&s);
    s = parsed("12884901893:12884901893:"); /* 3 * 2^32 + 5 */
    assert_true(snapshot_sees(&s, 4));
    assert_true(snapshot_sees(&s, 4294967295));
    assert_false(snapshot_sees(&s, 5));
    snapshot_free(&s);
}

static void what_is_none_is_refused(void **state)
{
    (void)state;
    static const char *const texts[] = {
        "",
        ":",
        "1",
        "1:",
        "1:2",
        "1:2:,",
        "1:2:1,",
        "1:2:1,,1",
        "1:2:x",
        "a:2:",
        "1:2:1 ",
        " 1:2:",
        "-1:2:",
        "1:2:1:",
        "1,2,",
        "1:2:1\n",
        "99999999999999999999:1:",
        "1:18446744073709551616:",
    };
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) {
        struct snapshot s;
        struct err err = {0};
        /* A copy of exactly that size, so that reading beyond it is found. */
        size_t size = strlen(texts[i]);
        char *text = malloc(size + 1);
        assert_non_null(text);
        memcpy(text, texts[i], size);
        text[size] = '7';
        if (snapshot_parse(&s, text, size, &err) == 0)
            fail_msg("\"%s\" was taken", texts[i]);
        assert_int_equal(err.kind, ERR_PERMANENT);
        snapshot_free(&s);
        free(text);
    }
}

/* Against 64-bit numbers, at random places, near the ends of epochs as well. */
static void it_agrees_with_wider_numbers(void **state)
{
    (void)state;
    random_begin(1);
    for (int round = 0; round < 2000; round++) {
        uint64_t running[8];
        uint64_t xmin =
            ((uint64_t)below(4) << 32) + (below(2) ? UINT64_C(4294967290) : 1000) + below(20);
        uint64_t xmax = xmin + below(30);
        size_t n = xmax > xmin ? below(8) : 0;
        char text[512];
        int len = snprintf(text, sizeof text, "%" PRIu64 ":%" PRIu64 ":", xmin, xmax);
        for (size_t i = 0; i < n; i++) {
            running[i] = xmin + below(xmax - xmin);
            len += snprintf(text + len, sizeof text - (size_t)len, "%s%" PRIu64, i ? "," : "",
                            running[i]);
        }
        struct snapshot s = parsed(text);
        for (uint64_t xid = xmin - 40; xid < xmax + 40; xid++) {
            bool sees = xid < xmax;
            for (size_t i = 0; i < n; i++)
                sees = sees && running[i] != xid;
            assert_int_equal(snapshot_sees(&s, (uint32_t)xid), sees);
        }
        snapshot_free(&s);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(it_sees_what_had_ended),
        cmocka_unit_test(epochs_are_left_out),
        cmocka_unit_test(what_is_none_is_refused),
        cmocka_unit_test(it_agrees_with_wider_numbers),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
