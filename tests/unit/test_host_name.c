/* metrics-http/host_name.c: by which names a server is asked for. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "metrics-http/host_name.h"

#define LENGTH(a) (sizeof(a) / sizeof *(a))

static void names_are_told_apart(void **state)
{
    (void)state;
    static const struct option_list names = {.items = {"a.example,b.example", "c"}, .n = 2};
    static const struct {
        const char *host;
        bool ours;
    } cases[] = {
        {NULL, true},
        {"127.0.0.1", true},
        {"10.1.2.3:8080", true},
        {"[::1]", true},
        {"[fe80::1]:8080", true},
        {"localhost", true},
        {"LOCALHOST:8080", true},
        {"shop.localhost", true},
        {"localhost.", true},
        {"db1.example:8080", true}, /* it listens there */
        {"a.example", true},
        {"B.Example:80", true},
        {"c.", true},
        {"", false},
        {":8080", false},
        {".", false},
        {"[", false},
        {"[]", false},
        {"[db1]", false},
        {"evil.example", false},
        {"notlocalhost", false},
        {"localhost.evil.example", false},
        {"127.0.0.1.evil.example", false},
        {"a.example,b.example", false},
        {"a.example.evil.example", false},
        {"xa.example", false},
        {"a.exampl", false},
    };
    for (size_t i = 0; i < LENGTH(cases); i++)
        if (host_name_is_ours(cases[i].host, "db1.example:8080", &names) != cases[i].ours)
            fail_msg("%s", cases[i].host ? cases[i].host : "none");
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(names_are_told_apart)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
