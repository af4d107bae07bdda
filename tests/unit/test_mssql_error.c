/* apply-mssql/mssql_error.c: what each error means for the group, and that no value of a row gets
 * into a message. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "apply-mssql/mssql_driver.h"

#define LENGTH(a) (sizeof(a) / sizeof *(a))

static void kinds(void **state)
{
    (void)state;
    static const struct {
        int number;
        enum err_kind kind;
    } table[] = {
        {1205, ERR_RETRY},      /* deadlock victim */
        {1222, ERR_RETRY},      /* lock timeout */
        {3960, ERR_RETRY},      /* snapshot conflict */
        {40197, ERR_RETRY},     /* Azure: reconfiguration */
        {9002, ERR_TEMPORARY},  /* log full */
        {1105, ERR_TEMPORARY},  /* filegroup full */
        {701, ERR_TEMPORARY},   /* memory */
        {3906, ERR_TEMPORARY},  /* read-only: after a failover */
        {922, ERR_TEMPORARY},   /* recovering */
        {40501, ERR_TEMPORARY}, /* Azure: busy */
        {615, ERR_TEMPORARY},   /* states of a database or a server that pass */
        {845, ERR_TEMPORARY},   {926, ERR_TEMPORARY},   {978, ERR_TEMPORARY},
        {979, ERR_TEMPORARY},   {982, ERR_TEMPORARY},   {988, ERR_TEMPORARY},
        {10936, ERR_TEMPORARY}, {17187, ERR_TEMPORARY}, {17188, ERR_TEMPORARY},
        {40143, ERR_TEMPORARY}, {40540, ERR_TEMPORARY}, {40971, ERR_TEMPORARY},
        {42108, ERR_TEMPORARY}, {42109, ERR_TEMPORARY}, {18456, ERR_PERMANENT}, /* login failed */
        {4060, ERR_PERMANENT}, /* no such database */
        {2627, ERR_PERMANENT}, /* duplicate */
        {2628, ERR_PERMANENT}, /* too long */
        {515, ERR_PERMANENT},  /* NULL */
        {547, ERR_PERMANENT},  /* foreign key */
        {8114, ERR_PERMANENT}, /* conversion */
        {102, ERR_PERMANENT},  /* syntax */
        {99999, ERR_PERMANENT},
    };
    for (size_t i = 0; i < LENGTH(table); i++) {
        struct err err = {0};
        assert_int_equal(mssql_error_set(&err, table[i].number, 3, "said", "doing"), -1);
        assert_int_equal(err.kind, table[i].kind);
        assert_non_null(strstr(err.text, "doing: said (error "));
    }
    assert_true(mssql_error_is_duplicate(2627) && mssql_error_is_duplicate(2601));
    assert_false(mssql_error_is_duplicate(547));
}

/* Whoever connects again waits out what is unknown, but not these. */
static void refusals_of_a_login_are_known(void **state)
{
    (void)state;
    static const int numbers[] = {916, 4060, 18452, 18456, 18470, 18487, 18488};
    struct err err = {0};
    for (size_t i = 0; i < LENGTH(numbers); i++) {
        (void)mssql_error_set(&err, numbers[i], 1, "said", "connecting");
        assert_int_equal(err.kind, ERR_PERMANENT);
        assert_false(err.unknown);
    }
    static const int may_pass[] = {4064, 18486, 64999};
    for (size_t i = 0; i < LENGTH(may_pass); i++) {
        (void)mssql_error_set(&err, may_pass[i], 1, "said", "connecting");
        assert_true(err.unknown);
    }
}

static void values_are_left_out(void **state)
{
    (void)state;
    static const struct {
        const char *message, *scrubbed;
    } table[] = {
        {"Violation of PRIMARY KEY constraint 'PK__t'. Cannot insert duplicate key in object "
         "'dbo.t'. The duplicate key value is (1, a secret). b).",
         "Violation of PRIMARY KEY constraint 'PK__t'. Cannot insert duplicate key in object "
         "'dbo.t'. The duplicate key value is (…)."},
        {"The duplicate key value is (cut off", "The duplicate key value is (…"},
        {"String or binary data would be truncated in table 'd.dbo.t', column 'v'. Truncated "
         "value: 'a secret'.",
         "String or binary data would be truncated in table 'd.dbo.t', column 'v'. Truncated "
         "value: '…'."},
        {"Conversion failed when converting the nvarchar value 'a 'secret' to data type int' to "
         "data type int.",
         "Conversion failed when converting the nvarchar value '…' to data type int."},
        {"Arithmetic overflow error for data type smallint, value = -70000.",
         "Arithmetic overflow error for data type smallint, value = …."},
        {"Incorrect syntax near 'x'.", "Incorrect syntax near 'x'."},
    };
    for (size_t i = 0; i < LENGTH(table); i++) {
        char out[512];
        mssql_error_scrub(table[i].message, out, sizeof out);
        assert_string_equal(out, table[i].scrubbed);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(kinds),
        cmocka_unit_test(refusals_of_a_login_are_known),
        cmocka_unit_test(values_are_left_out),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
