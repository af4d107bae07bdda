/* base/progress.c: what is said of how far a target is behind, and of copies. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/progress.h"

#define LENGTH(a) (sizeof(a) / sizeof *(a))
#define MB        (1024.0 * 1024)

static void set(struct stats_file *f, const char *fmt, ...) PRINTF_LIKE(2, 3);
static void set(struct stats_file *f, const char *fmt, ...)
{
    char text[1024];
    va_list ap;
    va_start(ap, fmt);
    (void)vsnprintf(text, sizeof text, fmt, ap);
    va_end(ap);
    buf_free(&f->text);
    buf_append_str(&f->text, text);
    (void)buf_cstr(&f->text);
}

static void lag_is_said_in_words(void **state)
{
    (void)state;
    static const struct {
        bool alive, connected;
        double behind_mb, seconds, server_mb_s, applied_mb_s;
        const char *words;
    } cases[] = {
        {true, true, 0, 0, 0, 0, "up to date"},
        {true, true, 16, 4.9, 0, 0, "up to date"},
        {true, true, 40, 1, 5, 4, "up to date"}, /* what comes in five seconds */
        {true, true, 0.1, 5, 0, 0, "102 kB behind, nothing applied in the last 10 s"},
        {true, true, 120, 0, 0, 0, "120 MB behind, nothing applied in the last 10 s"},
        {true, true, 120, 30, 1, 1, "120 MB behind, 2 min at this rate"},
        {true, true, 70, 30, 2, 2.05, "70 MB behind, 34 s at this rate"},
        {true, true, 120, 30, 1, 5, "120 MB behind, catching up: 30 s left"},
        {true, true, 1200, 30, 1, 11, "1.2 GB behind, catching up: 2 min left"},
        {true, true, 1200, 30, 5, 2, "1.2 GB behind, falling behind by 3.0 MB/s"},
        {true, true, 1048576, 30, 0, 10, "1.0 TB behind, catching up: 29 h left"},
        {true, false, 120, 30, 1, 5, "how far it is behind is not known"},
        {false, true, 120, 30, 1, 5, "how far it is behind is not known"},
    };
    for (size_t i = 0; i < LENGTH(cases); i++) {
        struct stats_file capture = {.alive = cases[i].alive}, apply = {.alive = true};
        struct lag lag;
        char words[LAG_WORDS];
        set(&capture,
            "#\npg2any_server_lsn %.0f\npg2any_server_wal_bytes_per_second %.0f\n"
            "pg2any_source_connection_status %d\n",
            1e12 + cases[i].behind_mb * MB, cases[i].server_mb_s * MB, cases[i].connected);
        set(&apply,
            "#\npg2any_last_processed_lsn %.0f\npg2any_apply_wal_bytes_per_second %.0f\n"
            "pg2any_replication_lag_seconds %.3f\npg2any_destination_connection_status 1\n",
            1e12, cases[i].applied_mb_s * MB, cases[i].seconds);
        lag_look(&capture, &apply, &lag);
        lag_words(&lag, words);
        if (strcmp(words, cases[i].words) != 0)
            fail_msg("case %zu: %s", i, words);
        buf_free(&capture.text);
        buf_free(&apply.text);
    }
}

/* A table's name may hold what ends a label. */
static void copies_are_found(void **state)
{
    (void)state;
    struct stats_file f = {.alive = true};
    struct table_copy c;
    const char *at = NULL;
    set(&f, "#\n"
            "pg2any_capture_copy_active{table=\"s.done\"} 0\n"
            "pg2any_capture_copy_active{table=\"s.a\\\"b\\\\c\"} 1\n"
            "pg2any_capture_copy_rows{table=\"s.done\"} 7\n"
            "pg2any_capture_copy_rows{table=\"s.a\\\"b\\\\c\"} 100\n"
            "pg2any_capture_copy_bytes{table=\"s.a\\\"b\\\\c\"} 5000\n"
            "pg2any_capture_copy_estimated_rows{table=\"s.a\\\"b\\\\c\"} 1100\n"
            "pg2any_capture_copy_begun_timestamp_seconds{table=\"s.a\\\"b\\\\c\"} 1\n");
    assert_true(table_copy_next(&f, &at, &c));
    assert_string_equal(c.table, "s.a\"b\\c");
    assert_true(c.rows == 100 && c.bytes == 5000 && c.estimated_rows == 1100);
    assert_true(c.for_s > 0 && c.left_s > 9.9 * c.for_s && c.left_s < 10.1 * c.for_s);
    assert_false(table_copy_next(&f, &at, &c));
    buf_free(&f.text);
}

/* Labels in any order, escaped, and lines that are no sample between. */
static void samples_and_labels_are_read(void **state)
{
    (void)state;
    struct stats_file f = {0};
    struct stats_sample s;
    const char *at = NULL;
    char value[8];
    set(&f, "#\n"
            "pg2any_xy{a=\"1\"} 9\n"
            "pg2any_x{a=\"1\"} rubbish\n"
            "pg2any_x{bb=\"x,a=\\\"no\",a=\"1\\n2\"} 5\n"
            "pg2any_x 6\n"
            "pg2any_x{a=\"123456789\"} 7");
    assert_true(stats_file_next(&f, "pg2any_x", &at, &s));
    assert_true(s.value == 5);
    assert_true(stats_sample_label(&s, "a", value, sizeof value));
    assert_string_equal(value, "1\n2");
    assert_false(stats_sample_label(&s, "b", value, sizeof value));
    assert_true(stats_file_next(&f, "pg2any_x", &at, &s));
    assert_true(s.value == 6);
    assert_false(stats_sample_label(&s, "a", value, sizeof value));
    assert_true(stats_file_next(&f, "pg2any_x", &at, &s));
    assert_true(stats_sample_label(&s, "a", value, sizeof value));
    assert_string_equal(value, "1234567");
    assert_false(stats_file_next(&f, "pg2any_x", &at, &s));
    assert_true(stats_file_number(&f, "pg2any_xy") == 9);
    assert_true(stats_file_number(&f, "pg2any_y") == 0);
    buf_free(&f.text);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(lag_is_said_in_words),
        cmocka_unit_test(copies_are_found),
        cmocka_unit_test(samples_and_labels_are_read),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
