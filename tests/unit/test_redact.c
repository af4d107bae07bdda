/* common/base/redact.c: what is shown of a connection string never has a secret in it. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "base/redact.h"

#define SECRET "S3CRET"

static void secrets_are_left_out(void **state)
{
    (void)state;
    static const struct {
        const char *where, *shown;
    } cases[] = {
        {"postgresql://u:" SECRET "@h:5432/db?sslmode=verify-full", "postgresql://u@h:5432/db"},
        {"postgresql://u@h/db?password=" SECRET, "postgresql://u@h/db"},
        {"postgresql://h/db", "postgresql://h/db"},
        {"postgresql://h:5432,[::1]:5433/db", "postgresql://h:5432,[::1]:5433/db"},
        {"postgresql://u:" SECRET "/db", "postgresql://u"},
        {"mysql://u:1" SECRET, "mysql://u"},
        {"postgresql:///db?host=/tmp&password=" SECRET, "postgresql:///db"},
        {"mysql://u:a@" SECRET "@h/db?socket=/s", "mysql://u@h/db"},
        {"mysql://u:/" SECRET "/@h:3306/db", "mysql://u"},
        {"mysql://u:?" SECRET "@h/db", "mysql://u"},
        {"postgresql://h/d?user=u&password=p@" SECRET, "postgresql://h"},
        {"postgresql://h:5432/d?password=" SECRET "@x", "postgresql://h"},
        {"postgresql://u:" SECRET "@h?password=x@" SECRET, "postgresql://u"},
        {" postgresql://u:" SECRET "@h/db", ""},
        {"mysql:/u:" SECRET "@h/db", ""},
        {"u:" SECRET "@h/db", ""},
        {"sqlserver://sa:#" SECRET ":@h:1433/db?encrypt=yes", "sqlserver://sa@h:1433/db"},
        {"sqlserver://:" SECRET "@h/db", "sqlserver://@h/db"},
        {"host=h port=5432 dbname=db user=u password=" SECRET, "host=h port=5432 dbname=db user=u"},
        {"password='" SECRET " with blank' host=h", "host=h"},
        {"password='it\\'s " SECRET "' user = 'a b'", "user='a b'"},
        {"host=h sslpassword=" SECRET " service=s passfile=/p", "host=h service=s"},
        {"host=h " SECRET, "host=h"},
        {"password=" SECRET, ""},
        {"=" SECRET, ""},
        {"host=h dbname=postgresql://u:" SECRET "@h/d", "host=h"},
        {"u:" SECRET, ""},
        {"mysql:u:" SECRET, ""},
        {"mysql:user:" SECRET "@h", ""},
        {"sqlite:u:" SECRET, ""},
        {"Server=h;Database=d;User Id=u;Password=" SECRET ";", ""},
        {"mysql;u;" SECRET, ""},
        {"jdbc:mysql://u:" SECRET "@h/db", ""},
        {"/var/lib/copy.db", "/var/lib/copy.db"},
        {":memory:", ":memory:"},
        {"sqlite:copy.db", "sqlite:copy.db"},
        {"", ""},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct buf out = {0};
        redact(&out, cases[i].where);
        assert_null(strstr(buf_cstr(&out), SECRET));
        assert_string_equal(buf_cstr(&out), cases[i].shown);
        buf_free(&out);
    }
}

static void a_path_is_nothing_else(void **state)
{
    (void)state;
    static const struct {
        const char *where;
        bool path;
    } cases[] = {
        {"x.db", true},           {"x y.db", true},
        {"./u:p", true},          {"/var/lib/a:b.db", true},
        {":memory:", true},       {":memory:x", false},
        {"u:" SECRET, false},     {"mysql:/u", false},
        {"mysql://u", false},     {"/x://y", false},
        {"host=h user=u", false}, {"Server=h;Database=d", false},
        {"mysql;u", false},       {"//u:" SECRET "@h/d", false},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        if (redact_is_path(cases[i].where) != cases[i].path)
            fail_msg("%s", cases[i].where);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(secrets_are_left_out),
        cmocka_unit_test(a_path_is_nothing_else),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
