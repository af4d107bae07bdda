/* common/base/option_name.c: an option is named as the one who can set it knows it. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/err.h"
#include "base/option_name.h"

#define LENGTH(a) (sizeof(a) / sizeof *(a))

static const char *const ddl[] = {"none", "create=make", "evolve", NULL};

static const struct option_def table[] = {
    {.name = "ddl", .type = OPTION_CHOICE, .env = "CDC_DDL", .choices = ddl},
    {.name = "dest", .type = OPTION_STRING, .env = "CDC_DEST_URI", .metavar = "URI"},
    {.name = "protocol-version", .type = OPTION_UINT, .env = "CDC_PROTOCOL_VERSION"},
    {.name = "accept-gap", .type = OPTION_FLAG, .env = "CDC_ACCEPT_GAP"},
    {.name = "ack", .type = OPTION_STRING, .metavar = "FIFO"},
    {.name = NULL},
};

static void start_as(const char *stage)
{
    assert_int_equal(stage ? setenv("PG2ANY_STAGE", stage, 1) : unsetenv("PG2ANY_STAGE"), 0);
    option_names_add(table);
    option_names_add(table);
}

static void a_text_names_the_variable_where_pg2any_started_the_program(void **state)
{
    (void)state;
    static const struct {
        const char *stage, *text, *told;
    } cases[] = {
        {NULL, "allow it with --ddl evolve", "allow it with --ddl evolve"},
        {"", "allow it with --ddl evolve", "allow it with --ddl evolve"},
        {"apply", "allow it with --ddl evolve", "allow it with CDC_DDL=evolve"},
        {"apply", "--ddl create or --ddl evolve.", "CDC_DDL=create or CDC_DDL=evolve."},
        {"apply", "--ddl says it, --ddl nonesuch", "CDC_DDL says it, CDC_DDL nonesuch"},
        {"apply", "--dest: no host; or --dest URI", "CDC_DEST_URI: no host; or CDC_DEST_URI=URI"},
        {"apply-2", "tls=off in --dest", "tls=off in CDC_DEST_URI_2"},
        {"apply", "--dest=x", "CDC_DEST_URI=x"},
        {"apply", "leave out --accept-gap", "leave out CDC_ACCEPT_GAP=on"},
        {"apply", "--protocol-version 3 or %u", "CDC_PROTOCOL_VERSION=3 or %u"},
        {"apply", "--protocol-version %u", "CDC_PROTOCOL_VERSION=%u"},
        {"apply", "--ack FIFO, --no-such, --ddl-x, a--ddl, --, -", NULL},
        {"capture", "--", NULL},
        {"apply-2", "", NULL},
    };
    for (size_t i = 0; i < LENGTH(cases); i++) {
        start_as(cases[i].stage);
        assert_string_equal(OPTION_TEXT(cases[i].text),
                            cases[i].told ? cases[i].told : cases[i].text);
    }
}

static void a_text_that_does_not_fit_is_cut(void **state)
{
    (void)state;
    static const char text[] = "a --dest URI or --ddl evolve";
    char whole[64];
    start_as("apply-2");
    (void)option_text(whole, sizeof whole, text);
    for (size_t size = 1; size < sizeof whole; size++) {
        char cut[64];
        memset(cut, 'x', sizeof cut);
        (void)option_text(cut, size, text);
        assert_true(strlen(cut) < size);
        assert_int_equal(strncmp(whole, cut, strlen(cut)), 0);
    }
}

static void errors_name_it_but_leave_what_they_are_filled_with(void **state)
{
    (void)state;
    struct err err = {0};
    start_as("apply");
    (void)err_set(&err, ERR_PERMANENT, "--dest: table %s", "--ddl evolve");
    (void)err_context(&err, "--ddl none: %s", "--dest");
    (void)err_hint(&err, "--accept-gap");
    assert_string_equal(
        err.text, "CDC_DDL=none: --dest: CDC_DEST_URI: table --ddl evolve (CDC_ACCEPT_GAP=on)");
    start_as(NULL);
    (void)err_set(&err, ERR_PERMANENT, "--dest: %d", 1);
    assert_string_equal(err.text, "--dest: 1");
}

static void a_value_is_named_by_where_it_comes_from(void **state)
{
    (void)state;
    char buffer[64];
    assert_int_equal(setenv("CDC_DDL_2", "none", 1), 0);
    start_as("apply-2");
    assert_string_equal(option_variable(&table[0], buffer, sizeof buffer), "CDC_DDL_2");
    assert_string_equal(option_variable(&table[1], buffer, sizeof buffer), "CDC_DEST_URI");
    assert_null(option_variable(&table[4], buffer, sizeof buffer));
    start_as("apply");
    assert_string_equal(option_variable(&table[0], buffer, sizeof buffer), "CDC_DDL");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_text_names_the_variable_where_pg2any_started_the_program),
        cmocka_unit_test(a_text_that_does_not_fit_is_cut),
        cmocka_unit_test(errors_name_it_but_leave_what_they_are_filled_with),
        cmocka_unit_test(a_value_is_named_by_where_it_comes_from),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
