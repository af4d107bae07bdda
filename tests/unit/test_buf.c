/* common/base/buf.c, common/base/err.c: what everything else is written with. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/buf.h"

static void a_buffer_grows(void **state)
{
    (void)state;
    struct buf b = {0};
    buf_append(&b, NULL, 0);
    buf_append(&b, "", 0);
    assert_int_equal(b.len, 0);
    assert_string_equal(buf_cstr(&b), "");
    char expected[20001];
    for (int i = 0; i < 1000; i++) {
        buf_append_str(&b, "0123456789");
        buf_append_byte(&b, 'x');
        buf_printf(&b, "%03d %s", i, "end,,");
        (void)snprintf(expected + i * 20, sizeof expected - (size_t)i * 20, "0123456789x%03d end,,",
                       i);
    }
    assert_false(b.failed);
    assert_int_equal(b.len, 20000);
    assert_string_equal(buf_cstr(&b), expected);
    assert_int_equal(b.len, 20000); /* the zero is not counted */

    buf_consume(&b, 0);
    buf_consume(&b, 20);
    assert_string_equal(buf_cstr(&b), expected + 20);
    buf_consume(&b, b.len);
    assert_int_equal(b.len, 0);
    buf_free(&b);
    assert_null(b.data);
}

static void a_reset_keeps_only_so_much(void **state)
{
    (void)state;
    struct buf b = {0};
    assert_non_null(buf_reserve(&b, 10000));
    assert_int_equal(b.len, 0);
    size_t cap = b.cap;
    buf_reset(&b, cap);
    assert_int_equal(b.cap, cap);
    buf_reset(&b, cap - 1);
    assert_int_equal(b.cap, 0);
    buf_append_str(&b, "again");
    assert_string_equal(buf_cstr(&b), "again");
    buf_free(&b);
}

static void no_memory_is_said_once_at_the_end(void **state)
{
    (void)state;
    struct buf b = {0};
    struct err err = {0};
    buf_append_str(&b, "kept");
    assert_int_equal(buf_check(&b, &err), 0);
    assert_null(buf_reserve(&b, SIZE_MAX - 2));
    assert_true(b.failed);
    buf_append_str(&b, "ignored");
    buf_append_byte(&b, 'x');
    buf_printf(&b, "%d", 5);
    assert_int_equal(b.len, 4);
    assert_memory_equal(b.data, "kept", 4);
    assert_string_equal(buf_cstr(&b), "");
    assert_int_equal(buf_check(&b, &err), -1);
    assert_int_equal(err.kind, ERR_TEMPORARY);
    buf_reset(&b, SIZE_MAX);
    assert_int_equal(buf_check(&b, &err), 0);
    buf_free(&b);
}

static void an_error_gathers_context(void **state)
{
    (void)state;
    struct err err = {0};
    errno = ENOENT;
    assert_int_equal(err_errno(&err, ERR_TEMPORARY, "opening %s", "f"), -1);
    assert_int_equal(errno, ENOENT);
    assert_string_equal(err.text, "opening f: No such file or directory");
    assert_int_equal(err_context(&err, "transaction %d", 7), -1);
    assert_int_equal(err_hint(&err, "make it, %s", "then again"), -1);
    assert_string_equal(
        err.text, "transaction 7: opening f: No such file or directory (make it, then again)");
    assert_int_equal(err.kind, ERR_TEMPORARY);
    assert_int_equal(err_set(&err, ERR_PERMANENT, "%s", "other"), -1);
    assert_string_equal(err.text, "other");
    assert_int_equal(err.kind, ERR_PERMANENT);
    err_clear(&err);
    assert_int_equal(err.kind, ERR_NONE);
    assert_string_equal(err.text, "");
    assert_int_equal(err_nomem(&err), -1);
    assert_int_equal(err.kind, ERR_TEMPORARY);
}

static void a_long_error_is_cut(void **state)
{
    (void)state;
    char *text = malloc(ERR_TEXT_SIZE * 2);
    assert_non_null(text);
    memset(text, 'x', ERR_TEXT_SIZE * 2);
    text[ERR_TEXT_SIZE * 2 - 1] = '\0';
    for (size_t length = ERR_TEXT_SIZE - 12; length < ERR_TEXT_SIZE + 3; length++) {
        struct err err = {0};
        (void)err_set(&err, ERR_PERMANENT, "%.*s", (int)length, text);
        assert_int_equal(strlen(err.text), length < ERR_TEXT_SIZE ? length : ERR_TEXT_SIZE - 1);
        (void)err_hint(&err, "%s", text);
        assert_true(strlen(err.text) < ERR_TEXT_SIZE);
        (void)err_context(&err, "%s", "context");
        assert_int_equal(strncmp(err.text, "context: xxx", 12), 0);
        assert_int_equal(strlen(err.text), ERR_TEXT_SIZE - 1);
        errno = EIO;
        (void)err_errno(&err, ERR_TEMPORARY, "%.*s", (int)length, text);
        assert_true(strlen(err.text) < ERR_TEXT_SIZE);
        (void)err_context(&err, "%s", text);
        assert_int_equal(strlen(err.text), ERR_TEXT_SIZE - 1);
    }
    free(text);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_buffer_grows),
        cmocka_unit_test(a_reset_keeps_only_so_much),
        cmocka_unit_test(no_memory_is_said_once_at_the_end),
        cmocka_unit_test(an_error_gathers_context),
        cmocka_unit_test(a_long_error_is_cut),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
