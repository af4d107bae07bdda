/* common/base/lsn.c: LSNs and PostgreSQL's clock as text. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <time.h>

#include <cmocka.h>

#include "base/lsn.h"

#define LENGTH(a) (sizeof(a) / sizeof *(a))

static void lsns_are_written_and_read(void **state)
{
    (void)state;
    static const struct {
        uint64_t lsn;
        const char *text;
    } cases[] = {
        {0, "0/0"},
        {1, "0/1"},
        {UINT64_C(0x16B374D848), "16/B374D848"},
        {UINT64_C(0x100000000), "1/0"},
        {UINT64_C(0xFFFFFFFF), "0/FFFFFFFF"},
        {UINT64_MAX, "FFFFFFFF/FFFFFFFF"},
    };
    for (size_t i = 0; i < LENGTH(cases); i++) {
        assert_string_equal(LSN(cases[i].lsn), cases[i].text);
        uint64_t lsn = 12345;
        assert_true(lsn_parse(cases[i].text, strlen(cases[i].text), &lsn));
        assert_true(lsn == cases[i].lsn);
    }
}

static void other_spellings_of_an_lsn(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        bool good;
        uint64_t lsn;
    } cases[] = {
        {"16/b374d848", true, UINT64_C(0x16B374D848)},
        {"00000016/0000000F", true, UINT64_C(0x160000000F)},
        {"", false, 0},
        {"/", false, 0},
        {"0", false, 0},
        {"0/", false, 0},
        {"/0", false, 0},
        {"0/0/0", false, 0},
        {"0//0", false, 0},
        {" 0/0", false, 0},
        {"0/0 ", false, 0},
        {"0/0\n", false, 0},
        {"0x1/0", false, 0},
        {"-1/0", false, 0},
        {"+1/0", false, 0},
        {"G/0", false, 0},
        {"123456789/0", false, 0},
        {"0/123456789", false, 0},
    };
    for (size_t i = 0; i < LENGTH(cases); i++) {
        uint64_t lsn = 12345;
        assert_int_equal(lsn_parse(cases[i].text, strlen(cases[i].text), &lsn), cases[i].good);
        assert_true(lsn == (cases[i].good ? cases[i].lsn : 12345)); /* untouched where it fails */
    }
    uint64_t lsn;
    assert_true(lsn_parse("1/2345", 3, &lsn)); /* no zero is looked for */
    assert_true(lsn == UINT64_C(0x100000002));
    assert_false(lsn_parse("0/0\0", 4, &lsn));
}

static void times_are_written_in_utc(void **state)
{
    (void)state;
    static const struct {
        int64_t time_us;
        const char *text;
    } cases[] = {
        {0, "2000-01-01 00:00:00.000000+00:00"},
        {-1, "1999-12-31 23:59:59.999999+00:00"},
        {INT64_C(817000000123456), "2025-11-21 00:26:40.123456+00:00"},
        {INT64_C(5097599999999), "2000-02-28 23:59:59.999999+00:00"},
        {INT64_C(5097600000000), "2000-02-29 00:00:00.000000+00:00"},
        {-INT64_C(946684800000000), "1970-01-01 00:00:00.000000+00:00"},
        {INT64_C(252455615999999999), "9999-12-31 23:59:59.999999+00:00"},
        {INT64_MAX, "infinity"},
        {INT64_MIN, "-infinity"},
    };
    for (size_t i = 0; i < LENGTH(cases); i++) {
        char text[PG_TIME_TEXT_SIZE];
        assert_string_equal(pg_time_text(text, cases[i].time_us), cases[i].text);
    }
    char text[PG_TIME_TEXT_SIZE];
    assert_true(strlen(pg_time_text(text, INT64_MAX - 1)) > 0);
    assert_true(strlen(pg_time_text(text, INT64_MIN + 1)) > 0);
}

static void times_are_read_as_they_are_written(void **state)
{
    (void)state;
    static const int64_t good[] = {
        0,         -1,        817000000123456, -946684800000000, 252455615999999999,
        INT64_MAX, INT64_MIN, INT64_MAX - 1,   INT64_MIN + 1};
    static const char *const bad[] = {
        "",
        "2025-11-21 00:26:40.123456",
        "2025-11-21 00:26:40.123456+00:00 ",
        " 2025-11-21 00:26:40.123456+00:00",
        "2025-11-21 00:26:40.1234+00:00",
        "2025-11-21 00:26:40.-00001+00:00",
        "2025-11-21 0:26:40.123456+00:00",
        "2025-13-21 00:26:40.123456+00:00",
        "2025-02-29 00:26:40.123456+00:00",
        "2025-11-21 00:26:60.123456+00:00",
        "999999-11-21 00:26:40.123456+00:00",
        "-2147483648-11-21 00:26:40.123456+00:00",
    };
    char text[PG_TIME_TEXT_SIZE];
    int64_t time_us;
    for (size_t i = 0; i < LENGTH(good); i++) {
        assert_true(pg_time_parse(pg_time_text(text, good[i]), &time_us));
        assert_true(time_us == good[i]);
    }
    for (size_t i = 0; i < LENGTH(bad); i++)
        assert_false(pg_time_parse(bad[i], &time_us));
}

static void clocks_run(void **state)
{
    (void)state;
    int64_t before = (int64_t)time(NULL);
    int64_t now = pg_time_now_us() / 1000000 + 946684800;
    int64_t after = (int64_t)time(NULL);
    /* time() may lag behind clock_gettime() by one tick of the coarse clock. */
    assert_true(before <= now && now <= after + 1);
    int64_t first = monotonic_ms();
    assert_true(monotonic_ms() >= first);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(lsns_are_written_and_read),
        cmocka_unit_test(other_spellings_of_an_lsn),
        cmocka_unit_test(times_are_written_in_utc),
        cmocka_unit_test(times_are_read_as_they_are_written),
        cmocka_unit_test(clocks_run),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
