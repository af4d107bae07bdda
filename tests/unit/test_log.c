/* common/base/log.c, common/base/exit.c: logfmt or JSON lines on stderr. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/exit.h"
#include "base/log.h"
#include "capture.h"

#define LENGTH(a) (sizeof(a) / sizeof *(a))

static void values_are_quoted_where_logfmt_needs_it(void **state)
{
    (void)state;
    static const struct {
        const char *value, *written;
    } cases[] = {
        {"plain", "plain"},
        {"16/B374D848", "16/B374D848"},
        {"", "\"\""},
        {"two words", "\"two words\""},
        {"a=b", "\"a=b\""},
        {"say \"hi\"", "\"say \\\"hi\\\"\""},
        {"back\\slash", "\"back\\\\slash\""},
        {"line\nbreak\ttab", "\"line\\nbreak\\ttab\""},
        {"\r\x01\x1b[31m\x7f", "\"\\x0d\\x01\\x1b[31m\\x7f\""},
        {"na\xc3\xafve", "na\xc3\xafve"},
    };
    for (size_t i = 0; i < LENGTH(cases); i++) {
        char text[256], expected[256];
        struct capture c;
        capture_start(&c, STDERR_FILENO);
        log_info("a message", "key", cases[i].value, "n", LOG_U64(18446744073709551615u), NULL);
        capture_end(&c, text, sizeof text);
        (void)snprintf(expected, sizeof expected,
                       "tool=test level=info msg=\"a message\" key=%s n=18446744073709551615\n",
                       cases[i].written);
        assert_string_equal(text, expected);
    }
}

static void a_stage_is_named(void **state)
{
    (void)state;
    char text[256];
    struct capture c;
    assert_int_equal(setenv("PG2ANY_STAGE", "apply-2", 1), 0);
    capture_start(&c, STDERR_FILENO);
    log_info("m", NULL);
    capture_end(&c, text, sizeof text);
    assert_int_equal(unsetenv("PG2ANY_STAGE"), 0);
    assert_string_equal(text, "tool=test stage=apply-2 level=info msg=m\n");
}

static void the_level_decides(void **state)
{
    (void)state;
    static const char *const lines[] = {"error", "warning", "info", "debug"};
    for (int level = LOG_LEVEL_ERROR; level <= LOG_LEVEL_DEBUG; level++) {
        char text[256], expected[256] = "";
        log_set_level((enum log_level)level);
        struct capture c;
        capture_start(&c, STDERR_FILENO);
        log_error("m", NULL);
        log_warning("m", NULL);
        log_info("m", NULL);
        log_debug("m", NULL);
        capture_end(&c, text, sizeof text);
        for (int i = 0; i <= level; i++) {
            size_t used = strlen(expected);
            (void)snprintf(expected + used, sizeof expected - used, "tool=test level=%s msg=m\n",
                           lines[i]);
        }
        assert_string_equal(text, expected);
    }
    log_set_level(LOG_LEVEL_INFO);
}

static void a_pair_without_a_value_ends_the_line(void **state)
{
    (void)state;
    char text[256];
    struct capture c;
    capture_start(&c, STDERR_FILENO);
    log_info("m", "a", "1", "b", (const char *)NULL, NULL);
    capture_end(&c, text, sizeof text);
    assert_string_equal(text, "tool=test level=info msg=m a=1\n");
}

static void a_long_line_is_cut_but_ends(void **state)
{
    (void)state;
    char *value = malloc(10001);
    assert_non_null(value);
    memset(value, '\n', 10000);
    value[10000] = '\0';
    static char text[20000];
    struct capture c;
    capture_start(&c, STDERR_FILENO);
    log_info("m", "k", value, "l", value, NULL);
    log_info("next", NULL);
    capture_end(&c, text, sizeof text);
    free(value);
    char *end = strchr(text, '\n');
    assert_non_null(end);
    assert_true(end - text > 4000 && end - text < 4096);
    assert_string_equal(end + 1, "tool=test level=info msg=next\n");
}

static void json_lines_are_json(void **state)
{
    (void)state;
    static const struct {
        const char *value, *written;
    } cases[] = {
        {"plain", "plain"},
        {"", ""},
        {"say \"hi\" \\", "say \\\"hi\\\" \\\\"},
        {"a\nb\tc\x7f", "a\\u000ab\\u0009c\\u007f"},
        {"na\xc3\xafve \xe2\x82\xac \xf0\x9f\x90\x98",
         "na\xc3\xafve \xe2\x82\xac \xf0\x9f\x90\x98"},
        {"\xff\xc3(\xed\xa0\x80", "\\ufffd\\ufffd(\\ufffd\\ufffd\\ufffd"},
        {"\xc0\xaf\xf5", "\\ufffd\\ufffd\\ufffd"},
        {"cut \xe2\x82", "cut \\ufffd\\ufffd"},
    };
    log_set_format(LOG_FORMAT_JSON);
    for (size_t i = 0; i < LENGTH(cases); i++) {
        char text[256], expected[256];
        struct capture c;
        capture_start(&c, STDERR_FILENO);
        log_info("a message", "key", cases[i].value, NULL);
        capture_end(&c, text, sizeof text);
        (void)snprintf(
            expected, sizeof expected,
            "{\"tool\":\"test\",\"level\":\"info\",\"msg\":\"a message\",\"key\":\"%s\"}\n",
            cases[i].written);
        const char *rest = strstr(text, "\"tool\"");
        assert_non_null(rest);
        assert_string_equal(rest, expected + 1);
        int year, milliseconds, end = 0;
        assert_int_equal(sscanf(text, "{\"time\":\"%4d-%*2d-%*2dT%*2d:%*2d:%*2d.%3dZ\",%n", &year,
                                &milliseconds, &end),
                         2);
        assert_ptr_equal(text + end, rest);
    }
    static char value[10001], text[20000];
    memset(value, '\n', sizeof value - 1);
    struct capture c;
    capture_start(&c, STDERR_FILENO);
    log_info("m", "k", value, "l", value, NULL);
    capture_end(&c, text, sizeof text);
    size_t len = strlen(text);
    assert_true(len > 4000 && len <= 4096);
    assert_string_equal(text + len - 3, "\"}\n");
    assert_null(strstr(text, "\"l\""));
    log_set_format(LOG_FORMAT_LOGFMT);
}

static void errno_is_kept(void **state)
{
    (void)state;
    struct capture c;
    char text[256];
    capture_start(&c, STDERR_FILENO);
    errno = EDOM;
    log_info("m", NULL);
    int after = errno;
    capture_end(&c, text, sizeof text);
    assert_int_equal(after, EDOM);
}

static void errors_become_exit_statuses(void **state)
{
    (void)state;
    static const struct {
        enum err_kind kind;
        bool follows;
        int status;
        const char *line;
    } cases[] = {
        {ERR_NONE, false, 0, ""},
        {ERR_PERMANENT, false, 100, "tool=test level=error msg=why kind=permanent\n"},
        {ERR_TEMPORARY, false, 111, "tool=test level=error msg=why kind=temporary\n"},
        {ERR_RETRY, false, 111, "tool=test level=error msg=why kind=temporary\n"},
        {ERR_TEMPORARY, true, 111, "tool=test level=info msg=why kind=temporary\n"},
    };
    for (size_t i = 0; i < LENGTH(cases); i++) {
        struct err err = {.kind = cases[i].kind, .follows = cases[i].follows, .text = "why"};
        char text[256];
        struct capture c;
        capture_start(&c, STDERR_FILENO);
        int status = exit_status(&err);
        capture_end(&c, text, sizeof text);
        assert_int_equal(status, cases[i].status);
        assert_string_equal(text, cases[i].line);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(values_are_quoted_where_logfmt_needs_it),
        cmocka_unit_test(a_stage_is_named),
        cmocka_unit_test(the_level_decides),
        cmocka_unit_test(a_pair_without_a_value_ends_the_line),
        cmocka_unit_test(a_long_line_is_cut_but_ends),
        cmocka_unit_test(json_lines_are_json),
        cmocka_unit_test(errno_is_kept),
        cmocka_unit_test(errors_become_exit_statuses),
    };
    log_init("test");
    return cmocka_run_group_tests(tests, NULL, NULL);
}
