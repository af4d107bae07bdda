/* common/sql/row_key.c: the key by which the source is asked for a row. */
#include <limits.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "frames/frame.h"
#include "sql/row_key.h"

#define TEXT(s)                                                                                    \
    {                                                                                              \
        VALUE_TEXT, sizeof(s) - 1, (s)                                                             \
    }
#define BYTES(s)                                                                                   \
    {                                                                                              \
        VALUE_BYTES, sizeof(s) - 1, (s)                                                            \
    }

static struct column columns[] = {{.name = "id"}, {.name = "a\tb"}, {.name = "n"}};
static const struct relation rel = {.ncolumns = 3, .columns = columns};
static uint32_t key_columns[] = {1, 0};
static const struct identity by_two = {.n = 2, .columns = key_columns},
                             by_one = {.n = 1, .columns = key_columns + 1}, by_none = {0},
                             by_all = {.n = 2, .columns = key_columns, .by_all_columns = true};

static void is(const struct identity *id, const struct value *old, const struct value *new,
               const char *line)
{
    struct buf out = {0};
    const struct row_change row = {.old = old, .new = new};
    buf_append_str(&out, ".");
    assert_int_equal(row_key_put(id, &rel, &row, &out), line != NULL);
    assert_string_equal(buf_cstr(&out), line ? line : ".");
    buf_free(&out);
}

static void a_key_is_a_line(void **state)
{
    (void)state;
    static char big[PIPE_BUF];
    const struct value new[] = {TEXT("7"), TEXT("x\ty\n\\"), TEXT("3")},
                       bytes[] = {BYTES("\x01\xff"), TEXT(""), TEXT("3")},
                       unsent[] = {TEXT("7"), {VALUE_UNCHANGED, 0, ""}, TEXT("3")},
                       null[] = {TEXT("7"), {VALUE_NULL, 0, ""}, TEXT("3")},
                       old[] = {TEXT("7"), TEXT("long"), {VALUE_NULL, 0, ""}},
                       wide[] = {{VALUE_TEXT, sizeof big, big}, TEXT("a"), TEXT("3")};
    memset(big, 'k', sizeof big);
    is(&by_one, NULL, new, ".id\t7\n");
    is(&by_two, NULL, new, ".a\\tb\tx\\ty\\n\\\\\tid\t7\n");
    is(&by_two, NULL, bytes, ".a\\tb\t\tid\t\\\\x01ff\n");
    is(&by_two, old, NULL, ".a\\tb\tlong\tid\t7\n");
    /* One that was not sent because it did not change is that of before. */
    is(&by_two, old, unsent, ".a\\tb\tlong\tid\t7\n");
    is(&by_two, NULL, unsent, NULL);
    is(&by_two, NULL, null, NULL);
    is(&by_one, NULL, wide, NULL);
    is(&by_none, NULL, new, NULL);
    is(&by_all, NULL, new, NULL);
}

static void keys_are_of_the_columns_that_they_name(void **state)
{
    (void)state;
    assert_true(row_keys_are_of(&by_one, &rel, bytes_of("id\t7\nid\t\nid\t8\n")));
    assert_true(row_keys_are_of(&by_two, &rel, bytes_of("a\\tb\tx\\ty\tid\t7\n")));
    assert_false(row_keys_are_of(&by_one, &rel, bytes_of("id\t7\nn\t8\n")));
    assert_false(row_keys_are_of(&by_one, &rel, bytes_of("id\t7\tn\t8\n")));
    assert_false(row_keys_are_of(&by_one, &rel, bytes_of("id\n")));
    assert_false(row_keys_are_of(&by_one, &rel, bytes_of("id\t7")));
    assert_false(row_keys_are_of(&by_two, &rel, bytes_of("id\t7\n")));
    assert_false(row_keys_are_of(&by_none, &rel, bytes_of("id\t7\n")));
    assert_false(row_keys_are_of(&by_all, &rel, bytes_of("a\\tb\t1\tid\t7\n")));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_key_is_a_line),
        cmocka_unit_test(keys_are_of_the_columns_that_they_name),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
