/* common/base/last_compare.c: what the last comparison came to, written, read and in words. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/last_compare.h"

#define LENGTH(a) (sizeof(a) / sizeof *(a))

static void what_was_written_is_read(void **state)
{
    (void)state;
    char path[] = "/tmp/pg2any-compare.XXXXXX";
    const struct last_compare was = {.ended_s = 1700000000,
                                     .seconds = 7,
                                     .tables = {9, 1, 2, 3},
                                     .differ = 5,
                                     .rows = 123456789};
    struct last_compare is;
    struct stats_file f;
    struct err err = {0};
    int fd = mkstemp(path);
    assert_true(fd >= 0);
    assert_int_equal(close(fd), 0);
    assert_int_equal(last_compare_write(path, "apply-x", &was, &err), 0);
    assert_int_equal(stats_file_read(&f, path, &err), 0);
    assert_string_equal(f.component, "apply-x");
    assert_false(f.alive);
    last_compare_read(&f, &is);
    assert_memory_equal(&is, &was, sizeof is);
    stats_file_free(&f);
    assert_int_equal(unlink(path), 0);
}

static void without_a_file_there_was_none(void **state)
{
    (void)state;
    struct stats_file f = {.missing = true};
    struct last_compare c;
    struct buf out = {0};
    last_compare_read(&f, &c);
    assert_int_equal(c.ended_s, 0);
    last_compare_put_json(&out, &c);
    assert_string_equal(buf_cstr(&out), "\"last_compare\":null");
    buf_free(&out);
}

static void it_is_said_in_words(void **state)
{
    (void)state;
    static const struct {
        struct last_compare c;
        const char *words;
    } cases[] = {
        {{.tables = {1}}, "1 table equal"},
        {{.tables = {12}}, "12 tables equal"},
        {{.tables = {0, 1}, .differ = 1}, "1 of 1 table differs; keys found to differ: 1"},
        {{.tables = {9, 2, 1}, .differ = 5},
         "2 of 12 tables differ; keys found to differ: 5; 1 undecided"},
        {{.tables = {9, 0, 0, 2}}, "9 tables equal; 2 not compared"},
        {{.tables = {UINT64_MAX / 4, UINT64_MAX / 4, UINT64_MAX / 4, UINT64_MAX / 4},
          .differ = UINT64_MAX},
         "4611686018427387903 of 18446744073709551612 tables differ; keys found to differ: "
         "18446744073709551615; 4611686018427387903 undecided; 4611686018427387903 not compared"},
    };
    for (size_t i = 0; i < LENGTH(cases); i++) {
        char words[LAST_COMPARE_WORDS];
        last_compare_words(&cases[i].c, words);
        if (strncmp(words, cases[i].words, sizeof words - 1) != 0)
            fail_msg("case %zu: %s", i, words);
    }
}

static void it_is_beside_the_appliers_statistics(void **state)
{
    (void)state;
    static const struct {
        const char *stats, *path;
    } cases[] = {
        {"/run/shop/apply.prom", "/run/shop/compare.prom"},
        {"/run/apply/apply-2.prom", "/run/apply/compare-2.prom"},
        {"apply.prom", "compare.prom"},
        {"/run/shop/capture.prom", ""},
        {"/run/shop/applied.prom", ""},
        {"/run/apply.d/x.prom", ""},
    };
    for (size_t i = 0; i < LENGTH(cases); i++) {
        char path[LAST_COMPARE_PATH];
        last_compare_path(cases[i].stats, path);
        assert_string_equal(path, cases[i].path);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_was_written_is_read),
        cmocka_unit_test(without_a_file_there_was_none),
        cmocka_unit_test(it_is_said_in_words),
        cmocka_unit_test(it_is_beside_the_appliers_statistics),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
