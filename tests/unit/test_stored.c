/* common/sql/stored.c: which values are one as they stand in a target, and which are not. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "frames/pg_type.h"
#include "sql/stored.h"

#define LENGTH(a) (sizeof(a) / sizeof *(a))

static struct stored text_of(enum stored_kind kind, const char *text)
{
    return (struct stored){.kind = kind, .data = text, .size = strlen(text)};
}

static bool same(const struct stored *a, const struct stored *b)
{
    struct buf x = {0}, y = {0};
    stored_put(&x, a);
    stored_put(&y, b);
    assert_false(x.failed || y.failed);
    bool is = x.len == y.len && memcmp(x.data, y.data, x.len) == 0;
    buf_free(&x);
    buf_free(&y);
    return is;
}

static void decimals_are_their_digits(void **state)
{
    (void)state;
    static const char *const equal[][2] = {
        {"1.5", "1.50"},
        {"0", "-0.00"},
        {"0.0001", "1e-04"},
        {"100", "1e+2"},
        {"007", "7"},
        {".5", "0.5"},
        {"-12.340", "-0012.34"},
        {"120", "1.2e2"},
        {"0.10", "1e-1"},
        {"5.", "5"},
        {"NaN", "NaN"},
        {"1000000", "1e6"},
        {"123.4500", "1.2345E2"},
    };
    static const char *const different[][2] = {
        {"1", "-1"},     {"1", "10"},       {"1.5", "15"},      {"0.1", "0.01"}, {"NaN", "0"},
        {"12", "1.2"},   {"1.01", "1.001"}, {"101", "11"},      {"1e1x", "10"},  {"", "0"},
        {"1.2.3", "12"}, {"-", "0"},        {"10.01", "1.001"},
    };
    for (size_t i = 0; i < LENGTH(equal); i++) {
        struct stored a = text_of(STORED_DECIMAL, equal[i][0]),
                      b = text_of(STORED_DECIMAL, equal[i][1]);
        if (!same(&a, &b))
            fail_msg("%s is %s", equal[i][0], equal[i][1]);
    }
    for (size_t i = 0; i < LENGTH(different); i++) {
        struct stored a = text_of(STORED_DECIMAL, different[i][0]),
                      b = text_of(STORED_DECIMAL, different[i][1]);
        if (same(&a, &b))
            fail_msg("%s is not %s", different[i][0], different[i][1]);
    }
}

static void kinds_are_not_mixed_up(void **state)
{
    (void)state;
    const struct stored all[] = {
        {.kind = STORED_NULL},
        text_of(STORED_TEXT, ""),
        text_of(STORED_BYTES, ""),
        {.kind = STORED_INTEGER, .integer = 0},
        {.kind = STORED_INTEGER, .integer = 1},
        {.kind = STORED_REAL, .real = 0},
        {.kind = STORED_REAL, .real = 0.1},
        {.kind = STORED_REAL, .real = 0.1 + 0x1p-56},
        text_of(STORED_DECIMAL, "0"),
        text_of(STORED_TEXT, "0"),
        text_of(STORED_BYTES, "0"),
        {.kind = STORED_NOTHING},
    };
    for (size_t i = 0; i < LENGTH(all); i++)
        for (size_t j = 0; j < LENGTH(all); j++)
            assert_int_equal(same(&all[i], &all[j]), i == j);
    const struct stored minus = {.kind = STORED_REAL, .real = -0.0};
    assert_true(same(&minus, &all[5]));
    /* What a value ends with is not what the next one begins with. */
    struct buf x = {0}, y = {0};
    struct stored ab = text_of(STORED_TEXT, "ab"), a = text_of(STORED_TEXT, "a"),
                  b = text_of(STORED_TEXT, "b"), none = text_of(STORED_TEXT, "");
    stored_put(&x, &ab);
    stored_put(&x, &none);
    stored_put(&y, &a);
    stored_put(&y, &b);
    assert_true(x.len == y.len && memcmp(x.data, y.data, x.len) != 0);
    buf_free(&x);
    buf_free(&y);
}

static void moments_lose_zeros(void **state)
{
    (void)state;
    static const char *const texts[][2] = {
        {"10:20:30.500000", "10:20:30.5"},
        {"10:20:30.000000", "10:20:30"},
        {"10:20:30", "10:20:30"},
        {"2026-11-20", "2026-11-20"},
        {"2026-11-20 00:00:00.000001", "2026-11-20 00:00:00.000001"},
        {"infinity", "infinity"},
    };
    for (size_t i = 0; i < LENGTH(texts); i++) {
        struct stored s;
        stored_set_moment(&s, texts[i][0], strlen(texts[i][0]));
        assert_int_equal(s.size, strlen(texts[i][1]));
        assert_memory_equal(s.data, texts[i][1], s.size);
    }
}

static void digits_are_an_integer_if_written_so(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        bool integer;
    } cases[] = {
        {"7", true},   {"-7", true}, {"0", true},   {"9223372036854775807", true},  {"007", false},
        {"+7", false}, {"", false},  {"7 ", false}, {"9223372036854775808", false}, {"-0", false},
        {"7.0", false}};
    for (size_t i = 0; i < LENGTH(cases); i++) {
        struct stored s;
        stored_set_digits(&s, cases[i].text, strlen(cases[i].text));
        if ((s.kind == STORED_INTEGER) != cases[i].integer)
            fail_msg("\"%s\"", cases[i].text);
    }
}

static void written_as_postgresql_reads_it(void **state)
{
    (void)state;
    const struct column boolean = {.base_type_oid = PG_TYPE_BOOL},
                        number = {.base_type_oid = PG_TYPE_INT4},
                        bits = {.base_type_oid = PG_TYPE_BIT, .typmod = 5},
                        bytes = {.base_type_oid = PG_TYPE_BYTEA},
                        moment = {.base_type_oid = PG_TYPE_TIMESTAMPTZ};
    const struct {
        const struct column *c;
        struct stored s;
        const char *text;
    } cases[] = {
        {&boolean, {.kind = STORED_INTEGER, .integer = 1}, "t"},
        {&boolean, {.kind = STORED_INTEGER, .integer = 0}, "f"},
        {&boolean, {.kind = STORED_INTEGER, .integer = 2}, "2"},
        {&number, {.kind = STORED_INTEGER, .integer = -5}, "-5"},
        {&bits, {.kind = STORED_INTEGER, .integer = 5}, "00101"},
        {&bytes, text_of(STORED_BYTES, "a\x0f"), "\\x610f"},
        {&moment, text_of(STORED_TEXT, "2026-11-20 10:20:30"), "2026-11-20 10:20:30+00"},
        {&moment, text_of(STORED_TEXT, "2026-11-20 10:20:30+00:00"), "2026-11-20 10:20:30+00:00"},
        {&moment, text_of(STORED_TEXT, "infinity"), "infinity"},
        {&number, {.kind = STORED_NULL}, ""},
    };
    for (size_t i = 0; i < LENGTH(cases); i++) {
        struct buf out = {0};
        stored_put_text(&out, cases[i].c, &cases[i].s);
        assert_string_equal(buf_cstr(&out), cases[i].text);
        buf_free(&out);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(decimals_are_their_digits),
        cmocka_unit_test(kinds_are_not_mixed_up),
        cmocka_unit_test(moments_lose_zeros),
        cmocka_unit_test(digits_are_an_integer_if_written_so),
        cmocka_unit_test(written_as_postgresql_reads_it),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
