/*
 * common/sql/wanted_index.c: lists of indexes and what is no list, what is remembered of them, and
 * making one after the other with the driver of driver_double.h, also where any call fails.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/log.h"
#include "driver_double.h"
#include "frames/frame.h"
#include "read_back.h"
#include "relation_spec.h"
#include "sql/wanted_index.h"

#define COPIED "copied 0/10 10:10:\n"

static void lists_are_taken_apart(void **state)
{
    (void)state;
    struct buf frame = {0};
    struct err err = {0};
    struct wanted_index index;
    size_t size, old;
    buf_append_str(&frame, COPIED "index plain\told\tc\n\xc9rest");
    const struct bytes list = bytes_of("unique\ta\\tb\tc\\\\\td\\n\nplain\ti\tc\n");
    assert_int_equal(wanted_replace(&frame, strlen(COPIED), list, &err), 0);
    assert_string_equal(buf_cstr(&frame), COPIED "index unique\ta\\tb\tc\\\\\td\\n\n"
                                                 "index plain\ti\tc\n\xc9rest");
    const uint8_t *at = frame.data + strlen(COPIED);
    size_t left = frame.len - strlen(COPIED);
    old = wanted_size(at, left);
    assert_memory_equal(at + old, "\xc9rest", 5);
    assert_int_equal(wanted_read(at, left, &index, &size, &err), 0);
    assert_true(index.unique);
    assert_string_equal(index.name, "a\tb");
    assert_int_equal(index.ncolumns, 2);
    assert_string_equal(index.columns[0], "c\\");
    assert_string_equal(index.columns[1], "d\n");
    wanted_free(&index);
    assert_int_equal(wanted_read(at + size, left - size, &index, &size, &err), 0);
    assert_false(index.unique);
    assert_string_equal(index.name, "i");
    wanted_free(&index);
    assert_int_equal(wanted_read(at + old, left - old, &index, &size, &err), 0);
    assert_int_equal(size, 0);
    wanted_free(&index);
    assert_int_equal(wanted_replace(&frame, strlen(COPIED), (struct bytes){0}, &err), 0);
    assert_string_equal(buf_cstr(&frame), COPIED "\xc9rest");
    buf_free(&frame);
}

static void what_is_no_list_is_refused(void **state)
{
    static const char *const bad[] = {
        "plain\ti\tc",  "plain\n", "plain\ti\n",      "odd\ti\tc\n",           "plain\t\tc\n",
        "plain\ti\t\n", "\n",      "plain\ti\tc\n\n", "plain\ti\tc\nplain\ti",
    };
    (void)state;
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        struct buf frame = {0};
        struct err err = {0};
        buf_append_str(&frame, "\xc9rest");
        assert_int_equal(wanted_replace(&frame, 0, bytes_of(bad[i]), &err), -1);
        assert_int_equal(err.kind, ERR_PERMANENT);
        assert_string_equal(buf_cstr(&frame), "\xc9rest");
        buf_free(&frame);
    }
}

/* ---- with a target ---- */

struct world {
    struct driver d;
    struct target *t;
    struct err err;
};

/* Whose table t is copied. */
static void open_world(struct world *w)
{
    static const struct relation_spec spec = {"t id/1/int4 a/2/text b/3/text", 1, 7};
    struct parsed_relation parsed;
    struct target_table *table;
    struct checkpoint now;
    bool found;
    *w = (struct world){0};
    w->t = double_open(&w->d);
    relation_spec_parse(&spec, &parsed);
    struct relation *rel = read_back(&parsed.rel);
    const struct binding b = {
        .origin = "o", .policy = DDL_CREATE, .commit_lsn = 16, .snapshot = bytes_of("10:10:")};
    assert_int_equal(target_begin(w->t, "o", &now, &found, &w->err), 0);
    assert_int_equal(target_bind(w->t, &b, rel, &table, &(enum unbound){0}, &w->err), 0);
    assert_true(table->ours);
    target_unbind(w->t, table);
    relation_unref(rel);
    free(parsed.copy);
}

static void close_world(struct world *w)
{
    target_close(w->t);
    double_free(&w->d);
}

static int want(struct world *w, const char *list)
{
    const struct checkpoint checkpoint = {.remote_lsn = 16};
    return target_want_indexes(w->t, "o", 7, bytes_of(list), &w->err) ||
                   target_commit(w->t, "o", &checkpoint, &w->err)
               ? -1
               : 0;
}

/* As the group does it. */
static int make(struct world *w, bool give_up, bool *more)
{
    struct checkpoint now;
    bool found;
    return target_begin(w->t, "o", &now, &found, &w->err) ||
                   target_make_index(w->t, "o", 7, give_up, more, &w->err) ||
                   target_commit(w->t, "o", &now, &w->err)
               ? -1
               : 0;
}

static bool made(struct world *w, const char *index)
{
    return strstr(buf_cstr(&w->d.calls), index) != NULL;
}

static void remembers(const struct world *w, const char *lines)
{
    const struct double_memory *m = &w->d.now.memories[0];
    assert_true(m->size > strlen(lines));
    assert_memory_equal(m->frame, lines, strlen(lines));
    size_t n = strlen(lines);
    n += copied_made_size(m->frame + n, m->size - n);
    assert_int_equal(m->frame[n], 0xc9);
}

static void they_are_made_one_by_one(void **state)
{
    (void)state;
    struct world w;
    bool more;
    open_world(&w);
    assert_int_equal(want(&w, "unique\tx\ta\nplain\ty\tb\nplain\tz\tgone\n"), 0);
    remembers(&w, COPIED "index unique\tx\ta\nindex plain\ty\tb\nindex plain\tz\tgone\n");
    assert_int_equal(make(&w, false, &more), 0);
    assert_true(more && made(&w, "index_create t unique x\n"));
    remembers(&w, COPIED "index plain\ty\tb\nindex plain\tz\tgone\n");
    assert_int_equal(make(&w, false, &more), 0);
    assert_true(more && made(&w, "index_create t y\n"));
    assert_int_equal(make(&w, false, &more), -1);
    assert_int_equal(w.err.kind, ERR_PERMANENT);
    assert_non_null(strstr(w.err.text, "index z on t: it has no column gone any more"));
    err_clear(&w.err);
    assert_int_equal(target_reset(w.t, &w.err), 0);
    assert_int_equal(make(&w, true, &more), 0);
    assert_false(more || made(&w, "index_create t z"));
    remembers(&w, COPIED);
    assert_int_equal(make(&w, false, &more), 0);
    assert_false(more);
    close_world(&w);
}

/* Whatever call fails: the index is remembered still, or made and forgotten. */
static void one_that_fails_is_remembered(void **state)
{
    (void)state;
    bool failed = true;
    for (uint64_t at = 1; failed; at++) {
        struct world w;
        bool more;
        open_world(&w);
        assert_int_equal(want(&w, "plain\tx\ta\n"), 0);
        w.d.fail_at = w.d.ncalls + at;
        w.d.nfail = 1;
        w.d.fail_kind = ERR_RETRY;
        int rc = make(&w, false, &more);
        failed = w.d.failed;
        assert_int_equal(rc, failed ? -1 : 0);
        if (failed) {
            err_clear(&w.err);
            w.d.fail_at = 0;
            assert_int_equal(target_reset(w.t, &w.err), 0);
            remembers(&w, COPIED "index plain\tx\ta\n");
            assert_int_equal(make(&w, false, &more), 0);
        }
        assert_true(!more && made(&w, "index_create t x\n"));
        remembers(&w, COPIED);
        close_world(&w);
        assert_true(at < 20);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(lists_are_taken_apart),
        cmocka_unit_test(what_is_no_list_is_refused),
        cmocka_unit_test(they_are_made_one_by_one),
        cmocka_unit_test(one_that_fails_is_remembered),
    };
    log_set_level(LOG_LEVEL_ERROR);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
