/* common/sql/copied.c: how far the copy of a table has come, as the target remembers it. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "frames/frame.h"
#include "sql/copied.h"

#define LENGTH(a) (sizeof(a) / sizeof *(a))

/* The line of `text`, to which a frame is put. */
static int parsed(const char *text, struct copied *c, size_t *size, struct err *err)
{
    struct buf frame = {0};
    buf_append_str(&frame, text);
    *err = (struct err){0};
    int rc = copied_parse(c, &frame, size, err);
    buf_free(&frame);
    return rc;
}

static void a_line_is_read(void **state)
{
    (void)state;
    static const struct {
        const char *line;
        bool due, taken, beside;
        uint64_t lsn, until;
        const char *after;
    } cases[] = {
        {"copied 0/17 10:20:10,14\n", false, false, false, 0x17, 0, NULL},
        {"copied 1/17 10:20:10,14 until 0/18\n", false, false, false, 0x100000017, 0x18, NULL},
        {"copied 0/17 10:20: until 0/18 after 7\n", false, false, false, 0x17, 0x18, "7"},
        {"copied 0/17 10:20: until 0/18 after a\\tb until 0/9 \n", false, false, false, 0x17, 0x18,
         "a\\tb until 0/9 "},
        {"copied 0/17 10:20: until 0/18 after after 1\n", false, false, false, 0x17, 0x18,
         "after 1"},
        {"copy due since 0/19\n", true, false, false, 0, 0, NULL},
        {"copy due since 0/19 taken\n", true, true, false, 0, 0, NULL},
        {"copied 0/17 10:20: taken\n", false, true, false, 0x17, 0, NULL},
        {"copied 0/17 10:20: beside\n", false, false, true, 0x17, 0, NULL},
        {"copied 0/17 10:20: taken beside until 0/18 after 7\n", false, true, true, 0x17, 0x18,
         "7"},
    };
    for (size_t i = 0; i < LENGTH(cases); i++) {
        struct copied c;
        struct err err;
        size_t size;
        char text[128];
        (void)snprintf(text, sizeof text, "%s\xc9 the frame", cases[i].line);
        if (parsed(text, &c, &size, &err))
            fail_msg("%s: %s", cases[i].line, err.text);
        assert_int_equal(size, strlen(cases[i].line));
        assert_int_equal(c.due, cases[i].due);
        assert_int_equal(c.taken, cases[i].taken);
        assert_int_equal(c.beside, cases[i].beside);
        assert_int_equal(c.lsn, cases[i].lsn);
        assert_int_equal(c.until, cases[i].until);
        assert_int_equal(c.after != NULL, cases[i].after != NULL);
        if (c.after)
            assert_string_equal(c.after, cases[i].after);
        copied_free(&c);
    }
}

static void put_file(struct buf *frame, const struct copied_file *file)
{
    struct err err = {0};
    assert_int_equal(copied_set_file(frame, file, NULL, &err), 0);
}

/* What is kept of a table that is set aside stands in its line, until a copy is asked for, or it is
 * as it was. Of another table nothing changes. */
static void changes_may_be_kept(void **state)
{
    (void)state;
    static const struct {
        const char *before, *aside;
    } cases[] = {
        {"", "copy due since 0/20 taken file 0 0000000000000000 aside because why\n"},
        {"copied 0/20 1:1:\n", "copy due since 0/20 file 0 0000000000000000 aside because why\n"},
        {"copied 0/10 1:1: until 0/20\n",
         "copy due since 0/20 file 0 0000000000000000 aside because why\n"},
        {"copied 0/21 1:1:\n", "copy due since 0/20 aside because why\n"},
        {"copied 0/10 1:1: until 0/21\n", "copy due since 0/20 aside because why\n"},
        {"copied 0/10 1:1: until 0/11 after 7\n", "copy due since 0/20 aside because why\n"},
        {"copied 0/10 1:1: beside\n", "copy due since 0/20 aside because why\n"},
        {"copied 0/10 1:1:\nlacks id\t7\n", "copy due since 0/20 aside because why\n"},
        {"copy due since 0/10\n", "copy due since 0/20 aside because why\n"},
    };
    for (size_t i = 0; i < LENGTH(cases); i++) {
        struct buf frame = {0};
        struct err err = {0};
        buf_append_str(&frame, cases[i].before);
        assert_int_equal(copied_set_aside(&frame, 0x20, false, "why", true, &err), 0);
        assert_string_equal(buf_cstr(&frame), cases[i].aside);
        put_file(&frame, &(struct copied_file){.kept = true, .size = 816, .checksum = UINT64_MAX});
        put_file(&frame, &(struct copied_file){
                             .kept = true, .asked = true, .size = 9, .checksum = UINT64_MAX - 1});
        struct copied c;
        size_t size;
        assert_int_equal(copied_parse(&c, &frame, &size, &err), 0);
        assert_true(c.file.kept && c.file.asked);
        assert_int_equal(c.file.size, 9);
        assert_true(c.file.checksum == UINT64_MAX - 1);
        assert_string_equal(c.aside, "why");
        bool taken = c.taken;
        copied_free(&c);
        assert_int_equal(copied_set_back(&frame, &err), 0);
        assert_string_equal(buf_cstr(&frame),
                            taken ? "copied 0/20 1:1: taken\n" : "copied 0/20 1:1:\n");
        assert_int_equal(copied_set_back(&frame, &err), -1);
        put_file(&frame, &(struct copied_file){.kept = true});
        assert_string_equal(buf_cstr(&frame),
                            taken ? "copied 0/20 1:1: taken\n" : "copied 0/20 1:1:\n");
        buf_free(&frame);
    }
}

/* Since when and why, on one line and cut between characters; only a copy that is asked for takes
 * it away. */
static void a_table_is_set_aside(void **state)
{
    (void)state;
    struct buf frame = {0};
    struct copied c;
    struct err err = {0};
    size_t size;
    char why[2 * COPIED_WHY_MAX];
    memset(why, 'x', sizeof why);
    memcpy(why, "column v:\n\xff \xc3\xa4 aside ", 20);
    memcpy(why + COPIED_WHY_MAX - 1, "\xc3\xa4", 2);
    why[sizeof why - 1] = '\0';
    buf_append_str(&frame, "\xc9 the frame");
    assert_int_equal(copied_set_aside(&frame, 0x20, false, why, false, &err), 0);
    assert_int_equal(copied_set_aside(&frame, 0x30, true, "another", true, &err), 0);
    assert_int_equal(copied_parse(&c, &frame, &size, &err), 0);
    assert_true(c.due);
    assert_true(c.taken);
    assert_int_equal(c.since, 0x20);
    assert_int_equal(strlen(c.aside), COPIED_WHY_MAX + 1);
    assert_memory_equal(c.aside, "column v:?? \xc3\xa4 aside x", 20);
    assert_memory_equal(c.aside + COPIED_WHY_MAX - 2, "x\xc3\xa4", 3);
    assert_false(copied_is_awaited(&c, true, true));
    copied_free(&c);
    assert_int_equal(copied_set_due(&frame, 0x40, false, &err), 0);
    assert_int_equal(copied_parse(&c, &frame, &size, &err), 0);
    assert_true(c.due && c.aside && c.since == 0x20);
    copied_free(&c);
    assert_int_equal(copied_ask(&frame, 0x40, false, &err), 0);
    assert_int_equal(copied_parse(&c, &frame, &size, &err), 0);
    assert_true(c.due && c.taken && !c.aside && c.since == 0x40);
    assert_true(copied_is_awaited(&c, true, true));
    copied_free(&c);
    assert_string_equal(buf_cstr(&frame) + size, "\xc9 the frame");
    buf_free(&frame);
}

static void a_frame_without_a_line_was_not_copied(void **state)
{
    (void)state;
    static const char *const texts[] = {"", "\xc9", "c", "copie", "\xc9 copied 0/17 1:1:\n"};
    for (size_t i = 0; i < LENGTH(texts); i++) {
        struct copied c;
        struct err err;
        size_t size = 1;
        assert_int_equal(parsed(texts[i], &c, &size, &err), 0);
        assert_int_equal(size, 0);
        assert_int_equal(c.lsn, 0);
        assert_false(c.due);
        copied_free(&c);
    }
}

static void what_is_no_line_is_refused(void **state)
{
    (void)state;
    static const char *const texts[] = {
        "copied 0/17 1:1:", /* no end */
        "copied \n",
        "copied 0/17\n",
        "copied 0/0 1:1:\n",
        "copied x/17 1:1:\n",
        "copied 0/17 1:1\n",
        "copied 0/17 1:1: until\n",
        "copied 0/17 1:1: until 0/0\n",
        "copied 0/17 1:1: after 7\n",
        "copied 0/17 1:1: until 0/18 behind 7\n",
        "copied 0/17 1:1: more\n",
        "copy due since\n",
        "copy due since \n",
        "copy due since 0/0\n",
        "copy due since 0/19 x\n",
        "copied 0/17 1:1:\nlacks \n",
        "copied 0/17 1:1:\nlacks id\t7",
        "copy due since 0/19 taken x\n",
        "copy due since 0/19 aside\n",
        "copy due since 0/19 aside because \n",
        "copy due since 0/19 file 7 0\n",
        "copy due since 0/19 file 7 aside because x\n",
        "copy due since 0/19 file -7 0 aside because x\n",
        "copy due since 0/19 file 7 X aside because x\n",
        "copy due since 0/19 file 7 0 again aside because x\n",
        "copy due since 0/19 file 123456789012345678901 0 aside because x\n",
        "copied 0/17 1:1: beside taken\n",
    };
    for (size_t i = 0; i < LENGTH(texts); i++) {
        struct copied c;
        struct err err;
        size_t size;
        bool refused = parsed(texts[i], &c, &size, &err) != 0;
        copied_free(&c);
        if (!refused && size > 0)
            fail_msg("\"%s\" was taken", texts[i]);
        if (refused)
            assert_int_equal(err.kind, ERR_PERMANENT);
    }
}

static void is_frame(const struct buf *frame, const char *text)
{
    assert_int_equal(frame->len, strlen(text));
    assert_memory_equal(frame->data, text, frame->len);
}

static void rows_are_lacked_and_come(void **state)
{
    (void)state;
    struct err err = {0};
    struct buf frame = {0}, many = {0};
    bool fits;
    buf_append_str(&frame, "FRAME\n");
    assert_int_equal(copied_add_lacks(&frame, bytes_of("id\t1\nid\t2\n"), 0x17, &fits, &err), 0);
    assert_true(fits);
    is_frame(&frame, "copied 0/17 1:1: taken\nlacks id\t1\nlacks id\t2\nFRAME\n");
    assert_int_equal(copied_add_lacks(&frame, bytes_of("id\t2\nid\t3\n"), 0x18, &fits, &err), 0);
    is_frame(&frame, "copied 0/17 1:1: taken\nlacks id\t1\nlacks id\t2\nlacks id\t3\nFRAME\n");
    assert_int_equal(copied_take_lacks(&frame, bytes_of("id\t2\nid\t9\n"), 0x20, &err), 0);
    is_frame(&frame, "copied 0/17 1:1: taken until 0/20\nlacks id\t1\nlacks id\t3\nFRAME\n");
    assert_int_equal(copied_advance(&frame, 0x30, bytes_of("7"), &err), 0);
    assert_int_equal(copied_take_lacks(&frame, bytes_of("id\t3\n"), 0x21, &err), 0);
    is_frame(&frame, "copied 0/17 1:1: taken until 0/30 after 7\nlacks id\t1\nFRAME\n");
    /* More than fits is not added. */
    for (int i = 0; i < COPIED_LACKS_MAX / 8; i++)
        buf_printf(&many, "id\t%d\n", 10000 + i);
    assert_int_equal(copied_add_lacks(&frame, bytes_of(buf_cstr(&many)), 0x40, &fits, &err), 0);
    assert_false(fits);
    is_frame(&frame, "copied 0/17 1:1: taken until 0/30 after 7\nlacks id\t1\nFRAME\n");
    /* All of it comes with the whole table. */
    assert_int_equal(copied_set_due(&frame, 0x50, false, &err), 0);
    is_frame(&frame, "copy due since 0/50 taken\nFRAME\n");
    assert_int_equal(copied_add_lacks(&frame, bytes_of("id\t1\n"), 0x60, &fits, &err), -1);
    buf_free(&frame);
    buf_free(&many);
}

static void a_copy_goes_on(void **state)
{
    (void)state;
    struct err err = {0};
    struct buf frame = {0};
    copied_put(&frame, 0x17, bytes_of("10:20:10,14"), false, false);
    buf_append_str(&frame, "FRAME\n");
    is_frame(&frame, "copied 0/17 10:20:10,14\nFRAME\n");
    assert_int_equal(copied_advance(&frame, 0x18, bytes_of("7"), &err), 0);
    is_frame(&frame, "copied 0/17 10:20:10,14 until 0/18 after 7\nFRAME\n");
    assert_int_equal(copied_advance(&frame, 0x19, bytes_of("a until 0/1"), &err), 0);
    is_frame(&frame, "copied 0/17 10:20:10,14 until 0/19 after a until 0/1\nFRAME\n");
    assert_int_equal(copied_advance(&frame, 0x1a, (struct bytes){0}, &err), 0);
    is_frame(&frame, "copied 0/17 10:20:10,14 until 0/1A\nFRAME\n");
    assert_int_equal(copied_set_due(&frame, 0x20, false, &err), 0);
    is_frame(&frame, "copy due since 0/20\nFRAME\n");
    buf_free(&frame);
    copied_put(&frame, 0x17, bytes_of("10:20:"), false, true);
    assert_int_equal(copied_advance(&frame, 0x18, bytes_of("7"), &err), 0);
    is_frame(&frame, "copied 0/17 10:20: beside until 0/18 after 7\n");
    assert_int_equal(copied_set_placed(&frame, &err), 0);
    is_frame(&frame, "copied 0/17 10:20: until 0/18 after 7\n");
    buf_free(&frame);
}

/* What a target that was begun without copies had before one of them came. */
static void what_was_taken_is_remembered(void **state)
{
    (void)state;
    struct err err = {0};
    struct buf frame = {0};
    buf_append_str(&frame, "FRAME\n");
    assert_int_equal(copied_set_due(&frame, 0x20, true, &err), 0);
    is_frame(&frame, "copy due since 0/20\nFRAME\n");
    buf_free(&frame);
    buf_append_str(&frame, "FRAME\n");
    assert_int_equal(copied_set_due(&frame, 0x20, false, &err), 0);
    is_frame(&frame, "copy due since 0/20 taken\nFRAME\n");
    assert_int_equal(copied_set_due(&frame, 0x21, false, &err), 0);
    is_frame(&frame, "copy due since 0/21 taken\nFRAME\n");
    assert_int_equal(copied_set_due(&frame, 0x22, true, &err), 0);
    is_frame(&frame, "copy due since 0/22\nFRAME\n");
    buf_free(&frame);
    copied_put(&frame, 0x17, bytes_of("10:20:"), true, true);
    assert_int_equal(copied_advance(&frame, 0x18, bytes_of("7"), &err), 0);
    is_frame(&frame, "copied 0/17 10:20: taken beside until 0/18 after 7\n");
    assert_int_equal(copied_set_placed(&frame, &err), 0);
    is_frame(&frame, "copied 0/17 10:20: taken until 0/18 after 7\n");
    assert_int_equal(copied_set_due(&frame, 0x20, false, &err), 0);
    is_frame(&frame, "copy due since 0/20 taken\n");
    buf_free(&frame);
}

/* By the first snapshot, below its LSN only; and it settles up to the last chunk's. */
static void it_has_what_its_first_snapshot_saw(void **state)
{
    (void)state;
    struct copied c;
    struct err err;
    size_t size;
    assert_int_equal(parsed("copied 0/100 10:20:14 until 0/200\n", &c, &size, &err), 0);
    static const struct {
        uint32_t xid;
        uint64_t lsn;
        bool has, settles;
    } cases[] = {{9, 0xff, true, true},     {14, 0xff, false, true},  {19, 0xff, true, true},
                 {20, 0xff, false, true},   {9, 0x100, false, true},  {19, 0x1ff, false, true},
                 {19, 0x200, false, false}, {30, 0x300, false, false}};
    for (size_t i = 0; i < LENGTH(cases); i++) {
        const struct source_txn txn = {.xid = cases[i].xid, .commit_lsn = cases[i].lsn};
        assert_int_equal(copied_has(&c, &txn), cases[i].has);
        assert_int_equal(copied_settles(&c, &txn), cases[i].settles);
    }
    copied_free(&c);
    const struct source_txn late = {.xid = 30, .commit_lsn = UINT64_MAX};
    assert_int_equal(parsed("copied 0/100 10:20:14 until 0/200 after x\n", &c, &size, &err), 0);
    assert_true(copied_settles(&c, &late)); /* the rest is to come */
    copied_free(&c);
    assert_int_equal(parsed("copied 0/100 10:20:14\n", &c, &size, &err), 0);
    assert_false(copied_settles(&c, &late));
    copied_free(&c);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_line_is_read),
        cmocka_unit_test(a_table_is_set_aside),
        cmocka_unit_test(changes_may_be_kept),
        cmocka_unit_test(a_frame_without_a_line_was_not_copied),
        cmocka_unit_test(what_is_no_line_is_refused),
        cmocka_unit_test(rows_are_lacked_and_come),
        cmocka_unit_test(a_copy_goes_on),
        cmocka_unit_test(what_was_taken_is_remembered),
        cmocka_unit_test(it_has_what_its_first_snapshot_saw),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
