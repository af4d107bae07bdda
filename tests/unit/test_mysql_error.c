/* apply-mysql/mysql_error.c: what each error means for the group, and that no value of a row gets
 * into a message. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "apply-mysql/mysql_driver.h"

#define LENGTH(a) (sizeof(a) / sizeof *(a))

static void kinds(void **state)
{
    (void)state;
    static const struct {
        unsigned int number;
        enum err_kind kind;
    } table[] = {
        {1213, ERR_RETRY},     /* deadlock */
        {1205, ERR_RETRY},     /* lock wait timeout */
        {2006, ERR_RETRY},     /* server has gone away */
        {2013, ERR_RETRY},     /* lost connection */
        {2055, ERR_RETRY},     /* lost connection, extended */
        {1053, ERR_RETRY},     /* shutdown in progress */
        {1927, ERR_RETRY},     /* MariaDB: connection was killed */
        {4031, ERR_RETRY},     /* MySQL: idle for too long */
        {1317, ERR_RETRY},     /* query interrupted */
        {2002, ERR_TEMPORARY}, /* cannot connect */
        {2003, ERR_TEMPORARY},  {2005, ERR_TEMPORARY},
        {2001, ERR_TEMPORARY},  {2004, ERR_TEMPORARY}, /* no socket */
        {1040, ERR_TEMPORARY},                         /* too many connections */
        {1021, ERR_TEMPORARY},                         /* disk full */
        {1114, ERR_TEMPORARY},                         /* table full */
        {1290, ERR_TEMPORARY},                         /* read only */
        {1792, ERR_TEMPORARY},                         /* a transaction that is */
        {1135, ERR_TEMPORARY},                         /* no thread */
        {1226, ERR_TEMPORARY},                         /* a limit of the user's */
        {1461, ERR_TEMPORARY},                         /* too many statements */
        {1637, ERR_TEMPORARY},                         /* too many transactions */
        {1665, ERR_TEMPORARY},                         /* a format of the binary log */
        {3032, ERR_TEMPORARY},                         /* offline */
        {3101, ERR_RETRY},                             /* a conflict within the group */
        {3169, ERR_RETRY},                             /* killed */
        {1045, ERR_PERMANENT},                         /* access denied */
        {1044, ERR_PERMANENT},  {1049, ERR_PERMANENT}, /* unknown database */
        {1062, ERR_PERMANENT},                         /* duplicate */
        {1264, ERR_PERMANENT},                         /* out of range */
        {1406, ERR_PERMANENT},                         /* too long */
        {1451, ERR_PERMANENT},                         /* foreign key */
        {1064, ERR_PERMANENT},                         /* syntax */
        {99999, ERR_PERMANENT},
    };
    for (size_t i = 0; i < LENGTH(table); i++) {
        struct err err = {0};
        assert_int_equal(my_error_set(&err, table[i].number, "HY000", "said", "doing"), -1);
        assert_int_equal(err.kind, table[i].kind);
        assert_non_null(strstr(err.text, "doing: said ("));
    }
}

/* No table is set aside for these. */
static void limits_are_of_the_server(void **state)
{
    (void)state;
    static const unsigned int numbers[] = {1969, 3024, 1206, 1197};
    struct err err = {0};
    for (size_t i = 0; i < LENGTH(numbers); i++) {
        (void)my_error_set(&err, numbers[i], "HY000", "said", "doing");
        assert_int_equal(err.kind, ERR_PERMANENT);
        assert_true(err.whole);
    }
    (void)my_error_set(&err, 1264, "22003", "said", "doing");
    assert_false(err.whole);
}

/* Whoever connects again waits out what is unknown, but not these. */
static void refusals_of_a_login_are_known(void **state)
{
    (void)state;
    static const unsigned int numbers[] = {1044, 1045, 1049, 1130, 1251, 1524, 1698, 1820,
                                           1862, 2049, 2059, 3118, 3159, 4150, 4151};
    struct err err = {0};
    for (size_t i = 0; i < LENGTH(numbers); i++) {
        (void)my_error_set(&err, numbers[i], "HY000", "said", "connecting");
        assert_int_equal(err.kind, ERR_PERMANENT);
        assert_false(err.unknown);
    }
    (void)my_error_set(&err, 64999, "HY000", "said", "connecting");
    assert_true(err.unknown);
    (void)my_error_set(&err, 2061, "HY000", "Couldn't read RSA public key from server",
                       "connecting");
    assert_true(err.unknown);
}

static void a_broken_handshake_is_not_a_refused_one(void **state)
{
    (void)state;
    struct err err = {0};
    (void)my_error_set(&err, 2026, "HY000", "TLS/SSL error: unexpected eof", "connecting");
    assert_int_equal(err.kind, ERR_TEMPORARY);
    (void)my_error_set(&err, 2026, "HY000", "TLS/SSL error: self-signed certificate", "x");
    assert_int_equal(err.kind, ERR_PERMANENT);
    (void)my_error_set(&err, 2026, "HY000", "SSL is required, but the server does not support it",
                       "x");
    assert_int_equal(err.kind, ERR_PERMANENT);
}

static void duplicates(void **state)
{
    (void)state;
    assert_true(my_error_is_duplicate(1062));
    assert_false(my_error_is_duplicate(1213));
}

static void values_are_cut(void **state)
{
    (void)state;
    static const struct {
        const char *message, *scrubbed;
    } table[] = {
        {"Duplicate entry 'secret' for key 'PRIMARY'", "Duplicate entry … for key 'PRIMARY'"},
        {"Duplicate entry 'it's for key' for key 't.k'", "Duplicate entry … for key 't.k'"},
        {"Duplicate entry 'a' for key 'b' for key 'k'", "Duplicate entry … for key 'k'"},
        {"Incorrect datetime value: '0000' for column `d`.`t`.`c` at row 1",
         "Incorrect datetime value: … for column `d`.`t`.`c` at row 1"},
        {"Incorrect string value: '\\xF0\\x9F' for column 'c' at row 1",
         "Incorrect string value: … for column 'c' at row 1"},
        {"Incorrect value: 'secret'", "Incorrect value: …"},
        {"Duplicate entry 'cut off in the mid", "Duplicate entry …"},
        {"Data too long for column 'c' at row 1", "Data too long for column 'c' at row 1"},
        {"Unknown column 'x' in 'field list'", "Unknown column 'x' in 'field list'"},
        {"Table has no partition for value 4711", "Table has no partition for value …"},
        {"Duplicate entry 'a no partition for value b' for key 'k'",
         "Duplicate entry … for key 'k'"},
        {"", ""},
    };
    for (size_t i = 0; i < LENGTH(table); i++) {
        char out[256];
        my_error_scrub(table[i].message, out, sizeof out);
        assert_string_equal(out, table[i].scrubbed);
    }
    char tiny[8];
    my_error_scrub("Duplicate entry 'secret' for key 'PRIMARY'", tiny, sizeof tiny);
    assert_int_equal(strlen(tiny), 7);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(kinds),
        cmocka_unit_test(limits_are_of_the_server),
        cmocka_unit_test(refusals_of_a_login_are_known),
        cmocka_unit_test(a_broken_handshake_is_not_a_refused_one),
        cmocka_unit_test(duplicates),
        cmocka_unit_test(values_are_cut),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
