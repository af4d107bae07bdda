/* pg-capture/copy_text.c: a row of COPY's text format into an insert frame. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "frames/frame.h"
#include "frames/pg_type.h"
#include "frames/value.h"
#include "pg-capture/copy_text.h"
#include "tests/unit/random.h"

#define LENGTH(a) (sizeof(a) / sizeof *(a))

static struct column columns[] = {
    {.name = "a", .type_oid = PG_TYPE_TEXT, .base_type_oid = PG_TYPE_TEXT},
    {.name = "b", .type_oid = PG_TYPE_BYTEA, .base_type_oid = PG_TYPE_BYTEA},
    {.name = "c", .type_oid = PG_TYPE_TEXT, .base_type_oid = PG_TYPE_TEXT},
};

static struct relation relation(uint32_t ncolumns)
{
    return (struct relation){.relid = 16384,
                             .namespace = "public",
                             .name = "t",
                             .columns = columns,
                             .ncolumns = ncolumns};
}

/* The frame of the row, whose tuple is read into `values`. */
static int convert(uint32_t ncolumns, const char *row, size_t size, struct buf *out,
                   struct value *values, struct err *err)
{
    struct relation rel = relation(ncolumns);
    struct buf text = {0};
    struct frame f;
    struct frame_change change;
    struct mp_cursor c;
    struct value old[LENGTH(columns)];
    out->len = 0;
    int rc = copy_text_row(&rel, row, size, &text, out, err);
    buf_free(&text);
    if (rc)
        return -1;
    assert_int_equal(frame_header(out->data, &f.type, &f.size, err), 0);
    f.body = out->data + FRAME_HEADER_SIZE;
    assert_int_equal(frame_length(&f), out->len);
    assert_int_equal(f.type, FRAME_INSERT);
    assert_int_equal(frame_get_change(&f, &change, &c, err), 0);
    assert_int_equal(change.relid, 16384);
    assert_int_equal(change.xid, 0);
    assert_false(frame_get_tuple(&c, old, ncolumns));
    assert_true(frame_get_tuple(&c, values, ncolumns));
    assert_int_equal(mp_end(&c, "insert", err), 0);
    return 0;
}

static void is_value(const struct value *v, enum value_kind kind, const char *data, size_t size)
{
    assert_int_equal(v->kind, kind);
    assert_int_equal(v->size, size);
    assert_memory_equal(v->data, data, size);
}

static void each_escape_stands_for_its_character(void **state)
{
    (void)state;
    static const struct {
        const char *field, *text;
    } cases[] = {
        {"", ""},
        {"plain", "plain"},
        {"\\\\N", "\\N"},
        {"\\\\", "\\"},
        {"\\b", "\b"},
        {"\\f", "\f"},
        {"\\n", "\n"},
        {"\\r", "\r"},
        {"\\t", "\t"},
        {"\\v", "\v"},
        {"a\\tb\\\\c", "a\tb\\c"},
        {"N", "N"},
        {"\\\\\\n", "\\\n"},
        {"\\.", "."},
        {"\xc3\xa4\\n\xe2\x82\xac", "\xc3\xa4\n\xe2\x82\xac"},
    };
    struct buf out = {0};
    struct value values[LENGTH(columns)];
    for (size_t i = 0; i < LENGTH(cases); i++) {
        struct err err = {0};
        char row[64];
        (void)snprintf(row, sizeof row, "%s\n", cases[i].field);
        if (convert(1, row, strlen(row), &out, values, &err))
            fail_msg("%s", err.text);
        is_value(&values[0], VALUE_TEXT, cases[i].text, strlen(cases[i].text));
    }
    buf_free(&out);
}

static void null_and_bytes_are_told(void **state)
{
    (void)state;
    struct err err = {0};
    struct buf out = {0};
    struct value values[LENGTH(columns)];
    static const char row[] = "\\N\t\\\\x00ff\t\\N\n", empty[] = "\t\\\\x\t\n";
    assert_int_equal(convert(3, row, sizeof row - 1, &out, values, &err), 0);
    assert_int_equal(values[0].kind, VALUE_NULL);
    is_value(&values[1], VALUE_BYTES, "\0\xff", 2);
    assert_int_equal(values[2].kind, VALUE_NULL);
    assert_int_equal(convert(3, empty, sizeof empty - 1, &out, values, &err), 0);
    is_value(&values[0], VALUE_TEXT, "", 0);
    is_value(&values[1], VALUE_BYTES, "", 0);
    is_value(&values[2], VALUE_TEXT, "", 0);
    buf_free(&out);
}

/* What the server never sends leaves nothing in the output. */
static void another_form_is_refused(void **state)
{
    (void)state;
    static const char *const rows[] = {
        "",
        "a",
        "a\tb",
        "a\t\\\\x00\tc",
        "a\t\\\\x00\n",
        "\n",
        "a\tc\n\tx\ty\n",
        "a\t\\\\x0\tc\n",
        "a\t\\\\xzz\tc\n",
        "a\tplain\tc\n",
        "a\t\\\\x00\tc\td\n",
    };
    struct buf out = {0};
    struct value values[LENGTH(columns)];
    for (size_t i = 0; i < LENGTH(rows); i++) {
        struct err err = {0};
        if (convert(3, rows[i], strlen(rows[i]), &out, values, &err) == 0)
            fail_msg("\"%s\" was taken", rows[i]);
        assert_int_equal(err.kind, ERR_TEMPORARY);
        assert_int_equal(out.len, 0);
    }
    buf_free(&out);
}

static void escape(const char *data, size_t size, struct buf *row)
{
    static const char from[] = "\b\f\n\r\t\v\\", to[] = "bfnrtv\\";
    for (size_t i = 0; i < size; i++) {
        const char *at = memchr(from, data[i], sizeof from - 1);
        if (at)
            buf_append_byte(row, '\\');
        buf_append_byte(row, (uint8_t)(at ? to[at - from] : data[i]));
    }
}

/* Any text, written as PostgreSQL does (CopyAttributeOutText). */
static void any_text_comes_back(void **state)
{
    (void)state;
    static const char letters[] = "aN.\\\t\n\r\b\f\v x";
    struct buf out = {0}, row = {0};
    struct value values[LENGTH(columns)];
    random_begin(7);
    for (int round = 0; round < 3000; round++) {
        struct err err = {0};
        char text[2][40];
        size_t size[2];
        row.len = 0;
        for (size_t k = 0; k < 2; k++) {
            size[k] = below(sizeof text[k]);
            for (size_t i = 0; i < size[k]; i++)
                text[k][i] = letters[below(sizeof letters - 1)];
            escape(text[k], size[k], &row);
            buf_append_str(&row, k ? "\n" : "\t\\N\t");
        }
        if (convert(3, buf_cstr(&row), row.len, &out, values, &err))
            fail_msg("%s", err.text);
        is_value(&values[0], VALUE_TEXT, text[0], size[0]);
        assert_int_equal(values[1].kind, VALUE_NULL);
        is_value(&values[2], VALUE_TEXT, text[1], size[1]);
        struct bytes third = copy_text_field(buf_cstr(&row), row.len, 2);
        struct buf plain = {0};
        copy_text_unescape(third.data, third.size, &plain);
        assert_int_equal(plain.len, size[1]);
        assert_memory_equal(buf_cstr(&plain), text[1], size[1]);
        buf_free(&plain);
    }
    buf_free(&row);
    buf_free(&out);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_escape_stands_for_its_character),
        cmocka_unit_test(null_and_bytes_are_told),
        cmocka_unit_test(another_form_is_refused),
        cmocka_unit_test(any_text_comes_back),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
