/* common/apply/tally.c, suspects.c: what differs is found, what is the same is not, and on a
 * pipeline that runs what only seemed to differ is let go. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "apply/suspects.h"
#include "apply/tally.h"

static struct row_hash hash(const char *what, unsigned n)
{
    char text[64];
    int size = snprintf(text, sizeof text, "%s %u", what, n);
    return row_hash_of(text, (size_t)size);
}

/* ---- tally ---- */

static void equal_whatever_the_order(void **state)
{
    (void)state;
    struct err err = {0};
    struct tally t;
    assert_int_equal(tally_init(&t, &err), 0);
    for (unsigned i = 0; i < 5000; i++)
        tally_row(&t, SIDE_SOURCE, hash("key", i), hash("row", i));
    for (unsigned i = 5000; i-- > 0;)
        tally_row(&t, SIDE_TARGET, hash("key", i), hash("row", i));
    assert_int_equal(tally_next(&t, 0), TALLY_BUCKETS);
    assert_int_equal(t.nrows[SIDE_SOURCE], 5000);
    assert_int_equal(t.nrows[SIDE_TARGET], 5000);
    tally_free(&t);
}

static void each_kind_of_difference(void **state)
{
    (void)state;
    struct err err = {0};
    struct tally t;
    assert_int_equal(tally_init(&t, &err), 0);
    for (int kind = 0; kind < 4; kind++) {
        tally_reset(&t);
        tally_row(&t, SIDE_SOURCE, hash("key", 1), hash("row", 1));
        if (kind != 0)
            tally_row(&t, SIDE_TARGET, hash("key", 1), hash("row", kind == 1 ? 2 : 1));
        if (kind == 2) /* twice */
            tally_row(&t, SIDE_TARGET, hash("key", 1), hash("row", 1));
        if (kind == 3)
            tally_row(&t, SIDE_TARGET, hash("key", 2), hash("row", 2));
        uint32_t first = tally_next(&t, 0);
        assert_int_equal(first, tally_bucket(hash("key", kind == 3 ? 2 : 1)));
        assert_int_equal(tally_next(&t, first + 1), TALLY_BUCKETS);
    }
    tally_free(&t);
}

/* The upper half takes part, with what is carried over. */
static void sums_have_128_bits(void **state)
{
    (void)state;
    struct row_hash sum = {UINT64_MAX, 5};
    row_hash_add(&sum, (struct row_hash){1, 1});
    assert_true(sum.low == 0 && sum.high == 7);
    row_hash_take(&sum, (struct row_hash){1, 1});
    assert_true(sum.low == UINT64_MAX && sum.high == 5);
}

/* ---- suspects ---- */

struct world {
    struct tally tally;
    struct suspects suspects;
};

static int set_up(void **state)
{
    struct err err = {0};
    struct world *w = calloc(1, sizeof *w);
    *state = w;
    return !w || tally_init(&w->tally, &err) || suspects_init(&w->suspects, &err) ? -1 : 0;
}

static int tear_down(void **state)
{
    struct world *w = *state;
    tally_free(&w->tally);
    suspects_free(&w->suspects);
    free(w);
    return 0;
}

static void choose_all(struct world *w, unsigned nkeys)
{
    for (unsigned i = 0; i < nkeys; i++)
        tally_row(&w->tally, SIDE_SOURCE, hash("key", i), hash("never", i));
    assert_int_equal(suspects_choose(&w->suspects, &w->tally, 0), TALLY_BUCKETS);
}

static void row(struct world *w, enum side side, unsigned key, unsigned version)
{
    struct err err = {0};
    struct suspect *s;
    assert_int_equal(suspects_row(&w->suspects, side, hash("key", key),
                                  hash("row", 1000 * key + version), &s, &err),
                     0);
}

/* A look at one key: which version each side has; 0: none. */
static size_t look(struct world *w, unsigned source, unsigned target, bool still)
{
    suspects_begin_look(&w->suspects);
    if (source)
        row(w, SIDE_SOURCE, 0, source);
    if (target)
        row(w, SIDE_TARGET, 0, target);
    return suspects_end_look(&w->suspects, still);
}

static void still_differs_at_the_second_look(void **state)
{
    struct world *w = *state;
    choose_all(w, 3);
    for (int i = 0; i < 2; i++) {
        suspects_begin_look(&w->suspects);
        row(w, SIDE_SOURCE, 0, 1); /* differs */
        row(w, SIDE_TARGET, 0, 2);
        row(w, SIDE_SOURCE, 1, 1); /* does not */
        row(w, SIDE_TARGET, 1, 1);
        row(w, SIDE_SOURCE, 2, 1); /* is missing */
        row(w, SIDE_SOURCE, 3, 1); /* was not chosen */
        assert_int_equal(suspects_end_look(&w->suspects, true), i == 0 ? 2 : 0);
    }
    assert_int_equal(w->suspects.n, 2);
    for (const struct suspect *s = w->suspects.items; s; s = s->hh.next)
        assert_int_equal(s->verdict, VERDICT_DIFFERS);
}

static void needs_many_looks_where_things_change(void **state)
{
    struct world *w = *state;
    choose_all(w, 1);
    for (int i = 1; i < SUSPECT_LOOKS; i++)
        assert_int_equal(look(w, 1, 2, false), 1);
    assert_int_equal(look(w, 1, 2, false), 0);
    assert_int_equal(w->suspects.items->verdict, VERDICT_DIFFERS);
}

static void what_changed_begins_anew(void **state)
{
    struct world *w = *state;
    choose_all(w, 1);
    for (int i = 1; i < SUSPECT_LOOKS; i++)
        assert_int_equal(look(w, 1, 2, false), 1);
    assert_int_equal(look(w, 3, 2, false), 1); /* the source's row */
    for (int i = 2; i < SUSPECT_LOOKS; i++)
        assert_int_equal(look(w, 3, 2, false), 1);
    assert_int_equal(look(w, 3, 4, false), 1); /* the target's */
    assert_int_equal(look(w, 3, 3, false), 0); /* and it is in order */
    assert_int_equal(w->suspects.n, 0);
}

/* That nothing was committed between two snapshots says nothing of what came before the first. */
static void still_needs_two_looks_alike(void **state)
{
    struct world *w = *state;
    choose_all(w, 1);
    assert_int_equal(look(w, 1, 2, true), 1);
    assert_int_equal(look(w, 3, 2, true), 1);
    assert_int_equal(look(w, 3, 2, true), 0);
    assert_int_equal(w->suspects.items->verdict, VERDICT_DIFFERS);
}

static void one_that_never_rests_is_not_decided(void **state)
{
    struct world *w = *state;
    choose_all(w, 1);
    for (unsigned i = 1; i < SUSPECT_PATIENCE; i++)
        assert_int_equal(look(w, i % 3 + 1, i % 2 + 5, false), 1);
    assert_int_equal(look(w, 9, 10, false), 0);
    assert_int_equal(w->suspects.items->verdict, VERDICT_UNDECIDED);
}

/* What is decided stays as it was then, though others are looked at further. */
static void what_is_decided_stays(void **state)
{
    struct world *w = *state;
    choose_all(w, 2);
    for (int i = 0; i < SUSPECT_LOOKS; i++) {
        suspects_begin_look(&w->suspects);
        row(w, SIDE_SOURCE, 0, 1);
        row(w, SIDE_SOURCE, 1, i % 2 + 1u);
        (void)suspects_end_look(&w->suspects, false);
    }
    suspects_begin_look(&w->suspects);
    row(w, SIDE_SOURCE, 0, 2);
    row(w, SIDE_TARGET, 0, 2);
    row(w, SIDE_SOURCE, 1, 3);
    row(w, SIDE_TARGET, 1, 3);
    assert_int_equal(suspects_end_look(&w->suspects, false), 0);
    assert_int_equal(w->suspects.n, 1);
    assert_int_equal(w->suspects.items->verdict, VERDICT_DIFFERS);
    assert_int_equal(w->suspects.items->now[SIDE_TARGET].n, 0);
}

/* Rows of a table without a key: the whole row is the key. */
static void rows_are_counted(void **state)
{
    struct world *w = *state;
    choose_all(w, 1);
    for (int i = 0; i < 2; i++) {
        suspects_begin_look(&w->suspects);
        row(w, SIDE_SOURCE, 0, 1);
        row(w, SIDE_SOURCE, 0, 1);
        row(w, SIDE_TARGET, 0, 1);
        (void)suspects_end_look(&w->suspects, true);
    }
    assert_int_equal(w->suspects.n, 1);
    assert_int_equal(w->suspects.items->now[SIDE_SOURCE].n, 2);
    assert_int_equal(w->suspects.items->now[SIDE_TARGET].n, 1);
}

/* A look that failed half way counts for nothing. */
static void a_look_can_begin_once_more(void **state)
{
    struct world *w = *state;
    choose_all(w, 1);
    assert_int_equal(look(w, 1, 2, true), 1);
    suspects_begin_look(&w->suspects);
    row(w, SIDE_SOURCE, 0, 5);
    suspects_restart_look(&w->suspects);
    row(w, SIDE_SOURCE, 0, 1);
    row(w, SIDE_TARGET, 0, 2);
    assert_int_equal(suspects_end_look(&w->suspects, true), 0);
    assert_int_equal(w->suspects.items->verdict, VERDICT_DIFFERS);
}

/* Where all differ, they are looked at in parts that fit. */
static void all_of_them_in_parts(void **state)
{
    struct world *w = *state;
    struct err err = {0};
    enum { N = 300000 };
    uint32_t next = 0;
    unsigned parts = 0;
    size_t found = 0;
    for (unsigned i = 0; i < N; i++)
        tally_row(&w->tally, SIDE_SOURCE, hash("key", i), hash("row", i));
    while (next < TALLY_BUCKETS) {
        struct suspect *s;
        next = suspects_choose(&w->suspects, &w->tally, next);
        suspects_begin_look(&w->suspects);
        for (unsigned i = 0; i < N; i++)
            assert_int_equal(
                suspects_row(&w->suspects, SIDE_SOURCE, hash("key", i), hash("row", i), &s, &err),
                0);
        assert_true(w->suspects.n <= SUSPECTS_MAX);
        found += suspects_end_look(&w->suspects, true);
        parts++;
    }
    assert_int_equal(found, N);
    assert_true(parts > 1);
}

static void what_is_kept_has_a_bound(void **state)
{
    struct world *w = *state;
    choose_all(w, 1);
    (void)look(w, 1, 2, false);
    struct suspect *s = w->suspects.items;
    char *text = calloc(1, SUSPECT_TEXT_BYTES);
    assert_non_null(text);
    memset(text, 'x', SUSPECT_TEXT_BYTES - 1);
    for (int i = 0; i < 3; i++) {
        suspects_keep(&w->suspects, &s->text, text, SUSPECT_TEXT_BYTES - 1);
        assert_non_null(s->text);
        assert_int_equal(w->suspects.kept_bytes, SUSPECT_TEXT_BYTES);
    }
    suspects_keep(&w->suspects, &s->columns, "v", 1);
    assert_null(s->columns);
    assert_null(suspects_marks(&w->suspects, s, 1));
    suspects_keep(&w->suspects, &s->text, "short", 5);
    assert_string_equal(s->text, "short");
    suspects_keep(&w->suspects, &s->columns, "v", 1);
    assert_string_equal(s->columns, "v");
    assert_non_null(suspects_marks(&w->suspects, s, 1));
    suspects_forget(&w->suspects, s);
    assert_int_equal(w->suspects.kept_bytes, 0);
    free(text);
}

#define IN_WORLD(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(equal_whatever_the_order),
        cmocka_unit_test(each_kind_of_difference),
        cmocka_unit_test(sums_have_128_bits),
        IN_WORLD(still_differs_at_the_second_look),
        IN_WORLD(needs_many_looks_where_things_change),
        IN_WORLD(what_changed_begins_anew),
        IN_WORLD(still_needs_two_looks_alike),
        IN_WORLD(one_that_never_rests_is_not_decided),
        IN_WORLD(what_is_decided_stays),
        IN_WORLD(rows_are_counted),
        IN_WORLD(a_look_can_begin_once_more),
        IN_WORLD(all_of_them_in_parts),
        IN_WORLD(what_is_kept_has_a_bound),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
