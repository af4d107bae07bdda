/* apply-mysql/mysql_uri.c: the forms of --dest that are understood, and what is said of the
 * others, which is never the password. */
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
        const char *uri, *user, *password, *host, *database, *socket;
        unsigned int port;
    } table[] = {
        {"mysql://u:p@h:3307/d", "u", "p", "h", "d", NULL, 3307},
        {"MariaDB://u:p@h/d", "u", "p", "h", "d", NULL, 0},
        {"mysql://h/d", NULL, NULL, "h", "d", NULL, 0},
        {"mysql:///d", NULL, NULL, NULL, "d", NULL, 0},
        {"mysql://u@/d", "u", NULL, NULL, "d", NULL, 0},
        {"mysql://u:@h/d", "u", "", "h", "d", NULL, 0},
        {"mysql://:3307/d", NULL, NULL, NULL, "d", NULL, 3307},
        {"mysql://u:p@[::1]:3307/d", "u", "p", "::1", "d", NULL, 3307},
        {"mysql://[fe80::1%25eth0]/d", NULL, NULL, "fe80::1%eth0", "d", NULL, 0},
        {"mysql://u:a@b@h/d", "u", "a@b", "h", "d", NULL, 0},
        {"mysql://u:a:b@h/d", "u", "a:b", "h", "d", NULL, 0},
        {"mysql://u%40v:%2F%3f%25%3A@h/d%2Fe", "u@v", "/?%:", "h", "d/e", NULL, 0},
        {"mysql://u@localhost/d?socket=/run/x.sock", "u", NULL, "localhost", "d", "/run/x.sock", 0},
        {"mysql://u@h/d?socket=%2Ftmp%2Fa%26b", "u", NULL, "h", "d", "/tmp/a&b", 0},
        {"mysql://u@h/d?", "u", NULL, "h", "d", NULL, 0},
    };
    for (size_t i = 0; i < LENGTH(table); i++) {
        struct my_uri u;
        struct err err = {0};
        if (my_uri_parse(&u, table[i].uri, &err))
            fail_msg("%s: %s", table[i].uri, err.text);
        same(u.base.user, table[i].user);
        same(u.base.password, table[i].password);
        same(u.base.host, table[i].host);
        same(u.base.database, table[i].database);
        same(u.socket, table[i].socket);
        assert_int_equal(u.base.port, table[i].port);
        my_uri_free(&u);
    }
}

static void parameters(void **state)
{
    (void)state;
    struct my_uri u;
    struct err err = {0};
    assert_int_equal(my_uri_parse(&u, "mysql://h/d", &err), 0);
    assert_int_equal(u.tls, MYSQL_TLS_LIBRARY);
    assert_true(u.create_database && u.array_binding);
    assert_false(u.foreign_keys || u.triggers);
    my_uri_free(&u);
    assert_int_equal(my_uri_parse(&u,
                                  "mysql://h/d?tls=verify-ca&ca=/a&cert=/b&key=/c&create_database"
                                  "=off&array_binding=no&foreign_keys=ON&triggers=on",
                                  &err),
                     0);
    assert_int_equal(u.tls, MYSQL_TLS_VERIFY_CA);
    same(u.ca, "/a");
    same(u.cert, "/b");
    same(u.key, "/c");
    assert_false(u.create_database || u.array_binding);
    assert_true(u.foreign_keys && u.triggers);
    my_uri_free(&u);
    assert_int_equal(my_uri_parse(&u, "mysql://h/d?tls=Verify-Identity&foreign_keys=yes", &err), 0);
    assert_int_equal(u.tls, MYSQL_TLS_VERIFY_IDENTITY);
    my_uri_free(&u);
}

static void files_ask_for_tls(void **state)
{
    (void)state;
    static const struct {
        const char *uri;
        enum my_tls tls;
    } cases[] = {
        {"mysql://h/d", MYSQL_TLS_LIBRARY},
        {"mysql://h/d?ca=/a", MYSQL_TLS_VERIFY_CA},
        {"mysql://h/d?cert=/b&key=/c", MYSQL_TLS_REQUIRED},
        {"mysql://h/d?ca=/a&tls=required", MYSQL_TLS_REQUIRED},
        {"mysql://h/d?ca=/a&tls=off", MYSQL_TLS_OFF},
        {"mysql://h/d?ca=/a&tls=verify-identity", MYSQL_TLS_VERIFY_IDENTITY},
    };
    for (size_t i = 0; i < LENGTH(cases); i++) {
        struct my_uri u;
        struct err err = {0};
        assert_int_equal(my_uri_parse(&u, cases[i].uri, &err), 0);
        assert_int_equal(u.tls, cases[i].tls);
        my_uri_free(&u);
    }
}

static void refused(void **state)
{
    (void)state;
    static const struct {
        const char *uri, *reason;
    } table[] = {
        {"", "not a URI"},
        {"/var/lib/x.db", "not a URI"},
        {"postgresql://u:secret@h/d", "not a URI"},
        {"mysql://", "no database"},
        {"mysql://u:secret@h", "no database"},
        {"mysql://u:secret@h/", "no database"},
        {"mysql://u:secret@h/?tls=off", "no database"},
        {"mysql://u:sec/ret@h/d", "%2F"},
        {"mysql://u:12/x?secret=a@h/d", "%3F"},
        {"mysql://u:a@b/x?tls=secret@h/d", "%3F"},
        {"mysql://u:secret@h:0/d", "port"},
        {"mysql://u:secret@h:65536/d", "port"},
        {"mysql://u:secret@h:3306x/d", "port"},
        {"mysql://u:secret@h:/d", "port"},
        {"mysql://u:secret@[::1/d", "]"},
        {"mysql://u:secret@[::1]3306/d", "]"},
        {"mysql://u:sec%ret@h/d", "%25"},
        {"mysql://u:secret%@h/d", "%25"},
        {"mysql://u:secret%0@h/d", "%25"},
        {"mysql://u:secret%00@h/d", "%25"},
        {"mysql://u:secret@h/d?tls", "without a value"},
        {"mysql://u:secret@h/d?tls=maybe", "verify-identity, not \"maybe\""},
        {"mysql://u:secret@h/d?tls=verify-ca", "ca=FILE"},
        {"mysql://u:secret@h/d?charset=latin1", "no parameter \"charset\""},
        {"mysql://u:secret@h/d?create_database=perhaps", "on or off"},
    };
    for (size_t i = 0; i < LENGTH(table); i++) {
        struct my_uri u;
        struct err err = {0};
        assert_int_equal(my_uri_parse(&u, table[i].uri, &err), -1);
        assert_int_equal(err.kind, ERR_PERMANENT);
        if (!strstr(err.text, table[i].reason) || strstr(err.text, "secret"))
            fail_msg("%s: %s", table[i].uri, err.text);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(parts),
        cmocka_unit_test(parameters),
        cmocka_unit_test(files_ask_for_tls),
        cmocka_unit_test(refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
