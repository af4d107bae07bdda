/* apply-mssql/mssql_uri.c: the forms of --dest that are understood, and what is said of the others,
 * which is never the password. common/sql/target_uri.c is tested more closely by test_mysql_uri.c.
 */
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

static void same(const char *got, const char *want)
{
    if (want)
        assert_string_equal(got ? got : "(null)", want);
    else
        assert_null(got);
}

static void parts(void **state)
{
    (void)state;
    static const struct {
        const char *uri, *password, *host, *database, *ca, *instance;
        unsigned int port;
        enum mssql_encrypt encrypt;
    } table[] = {
        {"sqlserver://u:p@h:1434/d", "p", "h", "d", NULL, NULL, 1434, MSSQL_ENCRYPT_YES},
        {"MSSQL://u:p@h/d", "p", "h", "d", NULL, NULL, 1433, MSSQL_ENCRYPT_YES},
        {"sqlserver://u:a@b%27@h/d", "a@b'", "h", "d", NULL, NULL, 1433, MSSQL_ENCRYPT_YES},
        {"sqlserver://u@[::1]/d?encrypt=no", NULL, "::1", "d", NULL, NULL, 1433, MSSQL_ENCRYPT_NO},
        {"sqlserver://u:p@h/d?ca=%2Fa%23b", "p", "h", "d", "/a#b", NULL, 1433,
         MSSQL_ENCRYPT_VERIFY},
        {"sqlserver://u:p@h/d?encrypt=Verify", "p", "h", "d", NULL, NULL, 1433,
         MSSQL_ENCRYPT_VERIFY},
        {"sqlserver://u:p@h/d?instance=X", "p", "h", "d", NULL, "X", 0, MSSQL_ENCRYPT_YES},
    };
    for (size_t i = 0; i < LENGTH(table); i++) {
        struct mssql_uri u;
        struct err err = {0};
        if (mssql_uri_parse(&u, table[i].uri, &err))
            fail_msg("%s: %s", table[i].uri, err.text);
        same(u.base.user, "u");
        same(u.base.password, table[i].password);
        same(u.base.host, table[i].host);
        same(u.base.database, table[i].database);
        same(u.ca, table[i].ca);
        same(u.instance, table[i].instance);
        assert_int_equal(u.base.port, table[i].port);
        assert_int_equal(u.encrypt, table[i].encrypt);
        mssql_uri_free(&u);
    }
}

static void refused(void **state)
{
    (void)state;
    static const struct {
        const char *uri, *reason;
    } table[] = {
        {"mysql://u:secret@h/d", "a SQL Server"},
        {"sqlserver://u:secret@/d", "no host"},
        {"sqlserver://:secret@h/d", "no user"},
        {"sqlserver://h/d", "no user"},
        {"sqlserver://u:secret@h/", "no database"},
        {"sqlserver://u:secret@h/d?encrypt=maybe", "no, yes or verify, not \"maybe\""},
        {"sqlserver://u:secret@h/d?encrypt=yes&ca=/x", "encrypt=verify"},
        {"sqlserver://u:secret@h:1/d?instance=X", "not both"},
        {"sqlserver://u:secret@h/d?tls=on",
         "no parameter \"tls\"; there are encrypt, ca, instance,"},
        /* What would become another line of FreeTDS's configuration. */
        {"sqlserver://u:secret@h%0Aencryption%20=%20off/d", "no name of a host"},
        {"sqlserver://u:secret@h%23/d", "no name of a host"},
        {"sqlserver://u:secret@h/d?instance=a%0Db", "no name of an instance"},
    };
    for (size_t i = 0; i < LENGTH(table); i++) {
        struct mssql_uri u;
        struct err err = {0};
        assert_int_equal(mssql_uri_parse(&u, table[i].uri, &err), -1);
        assert_int_equal(err.kind, ERR_PERMANENT);
        if (!strstr(err.text, table[i].reason) || strstr(err.text, "secret"))
            fail_msg("%s: %s", table[i].uri, err.text);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(parts),
        cmocka_unit_test(refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
