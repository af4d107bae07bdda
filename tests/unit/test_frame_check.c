/*
 * Tests of common/frames/frame_check.c and common/base/utf8.c: what is malformed is found before
 * anyone reads the values, and nothing else is.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/utf8.h"
#include "frames/frame_check.h"
#include "frames/frame_writer.h"
#include "random.h"
#include "read_back.h"

#define MAX_VALUES 8

/* The tuples in a block of their own, so that a sanitizer sees a read beyond them. */
static int check(enum frame_type type, char old_kind, const void *tuples, size_t size, uint32_t n,
                 struct err *err)
{
    uint8_t *block = malloc(size + 1);
    assert_non_null(block);
    memcpy(block, tuples, size);
    struct frame f = {type, block, (uint32_t)size};
    struct frame_change change = {.old_kind = old_kind};
    int rc = frame_check_tuples(&f, &change, mp_cursor(block, size), n, err);
    free(block);
    return rc;
}

static void tuples_fit_type_kind_and_relation(void **state)
{
    (void)state;
#define TUPLES(s) (s), sizeof(s) - 1
    static const struct {
        enum frame_type type;
        char kind;
        const char *tuples;
        size_t size;
        uint32_t n;
        const char *fault; /* NULL: none */
    } cases[] = {
        {FRAME_INSERT, 0, TUPLES("\xc0\x92\xa1x\xc0"), 2, NULL},
        {FRAME_INSERT, 0, TUPLES("\xc0\x90"), 0, NULL},
        {FRAME_UPDATE, 0, TUPLES("\xc0\x91\xc7\0u"), 1, NULL},
        {FRAME_UPDATE, 'K', TUPLES("\x91\xa1x\x91\xc4\0"), 1, NULL},
        {FRAME_DELETE, 'O', TUPLES("\x91\xd9\1x\xc0"), 1, NULL},
        {FRAME_INSERT, 0, TUPLES("\xc0\x91\xda\0\1x"), 1, NULL},
        {FRAME_INSERT, 0, TUPLES("\xc0\x91\xdb\0\0\0\1x"), 1, NULL},
        {FRAME_INSERT, 0, TUPLES("\xc0\x91\xc5\0\1\xff"), 1, NULL},
        {FRAME_INSERT, 0, TUPLES("\xc0\x91\xc6\0\0\0\1\xff"), 1, NULL},
        {FRAME_INSERT, 0, TUPLES("\xc0\xdc\0\1\xa0"), 1, NULL},
        {FRAME_INSERT, 0, TUPLES("\xc0\x92\xa1x\xc0"), 1, "another number of columns"},
        {FRAME_INSERT, 0, TUPLES("\xc0\x92\xa1x\xc0"), 3, "another number of columns"},
        {FRAME_INSERT, 0, TUPLES("\xc0\xc0"), 1, "none where one does"},
        {FRAME_INSERT, 0, TUPLES("\x91\xa1x\x91\xa1x"), 1, "where none belongs"},
        {FRAME_UPDATE, 'K', TUPLES("\xc0\x91\xa1x"), 1, "none where one does"},
        {FRAME_DELETE, 'K', TUPLES("\x91\xa1x\x91\xa1x"), 1, "where none belongs"},
        {FRAME_INSERT, 0, TUPLES("\xc0\x91\xa1x\xc0"), 1, "1 bytes after its last field"},
        {FRAME_INSERT, 0, TUPLES("\xc0\x91\x01"), 1, "neither nil, str, bin nor unchanged"},
        {FRAME_INSERT, 0, TUPLES("\xc0\x91\xc3"), 1, "neither nil, str, bin nor unchanged"},
        {FRAME_INSERT, 0, TUPLES("\xc0\x91\x90"), 1, "neither nil, str, bin nor unchanged"},
        {FRAME_INSERT, 0, TUPLES("\xc0\x91\xc7\1u!"), 1, "neither nil, str, bin nor unchanged"},
        {FRAME_INSERT, 0, TUPLES("\xc0\x91\xc7\0v"), 1, "neither nil, str, bin nor unchanged"},
        {FRAME_INSERT, 0, TUPLES("\xc0\x91\xd4u!"), 1, "neither nil, str, bin nor unchanged"},
        {FRAME_INSERT, 0, TUPLES("\xc0\x91\xc8\0\0u"), 1, "neither nil, str, bin nor unchanged"},
        {FRAME_INSERT, 0, TUPLES("\xc0\x91\xdb\0\0\0"), 1, "neither nil, str, bin nor unchanged"},
        {FRAME_INSERT, 0, TUPLES("\xc0\x92\xa0"), 2, "larger than what is left"},
        {FRAME_INSERT, 0, TUPLES("\xc0\x92\xa1x"), 2, "middle of a tuple"},
        {FRAME_INSERT, 0, TUPLES("\xc0\x91\xa2x"), 1, "larger than what is left"},
        {FRAME_INSERT, 0, TUPLES("\xc0\x91\xdb\xff\xff\xff\xff"), 1, "larger than what is left"},
        {FRAME_INSERT, 0, TUPLES("\xc0\x91\xc6\xff\xff\xff\xff"), 1, "larger than what is left"},
        {FRAME_INSERT, 0, TUPLES("\xc0"), 1, "none where one does"},
        {FRAME_INSERT, 0, TUPLES(""), 1, "none where one does"},
        {FRAME_INSERT, 0, TUPLES("\xc0\x91\xa2\xc3\xa9"), 1, NULL},
        {FRAME_INSERT, 0, TUPLES("\xc0\x91\xa2\xc3("), 1, "text that is not UTF-8"},
        {FRAME_INSERT, 0, TUPLES("\xc0\x92\xa1\xc3\xa8\xa9lmnopqr"), 2, "text that is not UTF-8"},
        {FRAME_INSERT, 0, TUPLES("\xc0\x91\xc4\2\xc3("), 1, NULL},
        {FRAME_UPDATE, 'O', TUPLES("\x91\xa1\x80\x91\xa1x"), 1, "text that is not UTF-8"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct err err = {0};
        int rc =
            check(cases[i].type, cases[i].kind, cases[i].tuples, cases[i].size, cases[i].n, &err);
        if (rc != (cases[i].fault ? -1 : 0))
            fail_msg("case %zu: %s", i, err.text);
        if (cases[i].fault && !strstr(err.text, cases[i].fault))
            fail_msg("case %zu: \"%s\" does not say \"%s\"", i, err.text, cases[i].fault);
        assert_int_equal(err.kind, rc ? ERR_PERMANENT : ERR_NONE);
    }
}

/* A byte that is no text in text of every length, at every place, with every length behind it. */
static void text_is_looked_at_to_its_end(void **state)
{
    (void)state;
    for (size_t size = 1; size < 28; size++)
        for (size_t behind = 0; behind < 10; behind++)
            for (size_t bad = 0; bad <= size; bad++) {
                uint8_t tuples[64] = {0xc0, 0x92, (uint8_t)(0xa0 | size)};
                struct err err = {0};
                memset(tuples + 3, 'x', size);
                if (bad < size)
                    tuples[3 + bad] = 0xff;
                tuples[3 + size] = 0xc4; /* whose bytes are no text */
                tuples[4 + size] = (uint8_t)behind;
                memset(tuples + 5 + size, 0xff, behind);
                assert_int_equal(check(FRAME_INSERT, 0, tuples, 5 + size + behind, 2, &err),
                                 bad < size ? -1 : 0);
            }
}

/* Whatever bytes: the check and the reading agree, but for text. */
static void it_agrees_with_who_reads_the_values(void **state)
{
    (void)state;
    static const uint8_t likely[] = {0xc0, 0x91, 0x92, 0x93, 0xa0, 0xa1, 0xa3, 0xc4, 0xc5, 0xc6,
                                     0xc7, 'u',  0,    1,    2,    'x',  0xd9, 0xda, 0xdb, 0xc3};
    unsigned good = 0;
    random_begin(20261126);
    for (unsigned n = 0; n < 300000; n++) {
        uint8_t tuples[16] = {0xc0};
        struct value values[MAX_VALUES];
        struct err err = {0};
        size_t size = 2 + below(8);
        uint32_t ncolumns = (uint32_t)below(4);
        for (size_t i = 1; i < size; i++)
            tuples[i] = below(8) ? likely[below(sizeof likely)] : (uint8_t)below(256);
        if (!one_in(8))
            tuples[1] = (uint8_t)(0x90 | ncolumns);
        struct mp_cursor c = mp_cursor(tuples, size);
        bool reads = !frame_get_tuple(&c, values, ncolumns) &&
                     frame_get_tuple(&c, values, ncolumns) && !c.fault && c.pos == c.end;
        for (uint32_t i = 0; reads && i < ncolumns; i++)
            reads = values[i].kind != VALUE_TEXT || utf8_valid(values[i].data, values[i].size);
        assert_int_equal(check(FRAME_INSERT, 0, tuples, size, ncolumns, &err), reads ? 0 : -1);
        good += reads;
    }
    assert_true(good > 300);
}

static void names_are_text(void **state)
{
    (void)state;
    struct column columns[] = {
        {.name = "id", .type_oid = 23, .attnum = 1, .type_name = "integer", .fill = FILL_NULL},
        {.name = "v",
         .type_oid = 25,
         .attnum = 2,
         .type_name = "text",
         .fill = FILL_VALUE,
         .fill_value = "\xc3\xa9",
         .fill_size = 2},
    };
    struct relation rel = {.namespace = "public",
                           .name = "t\xc3\xa9",
                           .replica_identity = 'd',
                           .ncolumns = 2,
                           .columns = columns};
    const char **const names[] = {&rel.namespace, &rel.name, &columns[1].name,
                                  &columns[1].type_name, &columns[1].fill_value};
    for (size_t i = 0; i <= sizeof names / sizeof *names; i++) {
        const char *was = i > 0 ? *names[i - 1] : NULL;
        struct err err = {0};
        if (i > 0)
            *names[i - 1] = "\xc3(";
        struct relation *read = read_back(&rel);
        assert_int_equal(frame_check_relation(read, &err), i > 0 ? -1 : 0);
        relation_unref(read);
        if (i > 0)
            *names[i - 1] = was;
    }
}

static void strings_are_text(void **state)
{
    (void)state;
    struct buf good = {0}, bad = {0};
    frame_put_end(&good, &(struct frame_end){.why = bytes_of("\xc3\xa9")});
    frame_put_end(&bad, &(struct frame_end){.why = bytes_of("\xc3(")});
    const struct frame_commit_prepared k = {.gid = bytes_of("\xff")};
    frame_put_commit_prepared(&bad, &k);
    struct frame_hello h = {.format_version = 2, .npublications = 1};
    h.publications[0] = bytes_of("\xff");
    frame_put_hello(&bad, &h);
    /* The content of a message is bytes. */
    frame_put_message(&good, &(struct frame_message){.content = {"\xff", 1}});
    frame_put_progress(&good, &(struct frame_progress){.lsn = 1});
    for (int i = 0; i < 2; i++) {
        const struct buf *b = i ? &good : &bad;
        for (size_t at = 0; at < b->len;) {
            struct frame f;
            struct err err = {0};
            assert_int_equal(frame_header(b->data + at, &f.type, &f.size, &err), 0);
            f.body = b->data + at + FRAME_HEADER_SIZE;
            assert_int_equal(frame_check_strings(&f, &err), i ? 0 : -1);
            assert_true(i || strstr(err.text, "that is not UTF-8"));
            at += frame_length(&f);
        }
    }
    buf_free(&good);
    buf_free(&bad);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(tuples_fit_type_kind_and_relation),
        cmocka_unit_test(text_is_looked_at_to_its_end),
        cmocka_unit_test(it_agrees_with_who_reads_the_values),
        cmocka_unit_test(names_are_text),
        cmocka_unit_test(strings_are_text),
    };
    return cmocka_run_group_tests_name("frame_check", tests, NULL, NULL);
}
