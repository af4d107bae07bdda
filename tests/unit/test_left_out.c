/*
 * common/sql/left_out.c, and what the applier makes of it: changes of a table that --skip-table
 * names are left out, the target remembers that, and the table does not come back by itself.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "apply_world.h"
#include "base/log.h"
#include "read_back.h"
#include "relation_spec.h"

/* The rest of a run goes by this. */
static void skip_tables(struct apply_world *w, const char *text)
{
    const struct option_list given = {1, {text}};
    table_names_free(&w->group.rows.skip);
    assert_int_equal(skip_tables_parse(&w->group.rows.skip, &given, &w->err), 0);
}

static void start_again(struct apply_world *w, const char *skip)
{
    stop(w);
    start(w);
    skip_tables(w, skip);
}

static void begins_with(const struct double_memory *m, const char *mark)
{
    assert_true(m->size > strlen(mark));
    assert_memory_equal(m->frame, mark, strlen(mark));
}

#define TABLES  "H 100; R 1 1; R 2 1; "
#define SINCE_1 "changes left out since 0/C8 of public.t1\n"

static void the_rest_of_a_transaction_goes_in(void **state)
{
    struct apply_world *w = *state;
    skip_tables(w, "public.t1");
    good(w, feed(w, TABLES "B 10 200; I 10 2 a; I 10 1 poison; D 10 1 x; I 10 2 b; T 10 1;"
                           "T 10 1,2; I 10 2 c; C 10 200 210 7"));
    good(w, input_pauses(w));
    has(w, "t2(id,v1) [c,~]\n");
    assert_int_equal(checkpoint(w), 210);
    assert_int_equal(w->counters.rows[COUNT_LEFT_OUT], 4);
    assert_int_equal(w->counters.rows[COUNT_INSERTS], 3);
    assert_int_equal(w->counters.rows[COUNT_TRUNCATES], 1);
    /* Nothing but our own table was asked about it. */
    assert_int_equal(count_calls(w, "describe t1"), 0);
    assert_int_equal(durable(w)->nmemories, 2);
    assert_string_equal(durable(w)->memories[1].target, "t1");
    begins_with(&durable(w)->memories[1], SINCE_1);
}

static void a_table_that_was_there_keeps_what_it_has(void **state)
{
    struct apply_world *w = *state;
    good(w, feed(w, TABLES ONE));
    good(w, input_pauses(w));
    start_again(w, "public.t1");
    good(w, feed(w, TABLES TWO "R 1 2; B 12 400; I 12 1 c; I 12 2 d; C 12 400 410 2"));
    good(w, input_pauses(w));
    has(w, "t1(id,v1) [a,~]\nt2(id,v1) [d,~]\n");
    begins_with(&durable(w)->memories[0], "changes left out since 0/12C of public.t1\n");
}

/* In the same transaction as the checkpoint, and once. */
static void it_is_remembered_from_the_first_change_on(void **state)
{
    struct apply_world *w = *state;
    skip_tables(w, "public.t1");
    w->dest.fail_at = w->dest.ncalls + 7; /* beyond the hello: a try of the group is given up */
    w->dest.nfail = 1;
    w->dest.fail_kind = ERR_RETRY;
    good(w, feed(w, TABLES ONE));
    good(w, input_pauses(w));
    assert_true(w->dest.failed);
    begins_with(&durable(w)->memories[0], SINCE_1);
    buf_reset(&w->dest.calls, SIZE_MAX);
    good(w, feed(w, TWO));
    good(w, input_pauses(w));
    calls(w, "begin\ncheckpoint_get slot\nrelation_get slot 1\ncommit 310\n");
    begins_with(&durable(w)->memories[0], SINCE_1);
    assert_int_equal(durable(w)->nmemories, 1);
}

/* Somebody deletes the row too early: what comes after that is not forgotten. */
static void it_is_remembered_anew(void **state)
{
    struct apply_world *w = *state;
    skip_tables(w, "public.t1");
    good(w, feed(w, TABLES ONE));
    good(w, input_pauses(w));
    w->dest.now.nmemories = 0;
    good(w, feed(w, TWO));
    good(w, input_pauses(w));
    begins_with(&durable(w)->memories[0], "changes left out since 0/12C of public.t1\n");
}

static void a_large_transaction_is_no_exception(void **state)
{
    struct apply_world *w = *state;
    w->group.max_bytes = 40;
    skip_tables(w, "public.t1");
    good(w, feed(w, TABLES "B 10 200; I 10 1 a; I 10 2 b; I 10 1 c; I 10 2 d; I 10 1 e;"
                           "C 10 200 210 5"));
    has(w, "t2(id,v1) [b,~] [d,~]\n");
    assert_int_equal(w->counters.rows[COUNT_LEFT_OUT], 3);
    begins_with(&durable(w)->memories[0], SINCE_1);
}

static void it_does_not_come_back_by_itself(void **state)
{
    struct apply_world *w = *state;
    skip_tables(w, "public.t1");
    good(w, feed(w, TABLES ONE));
    good(w, input_pauses(w));
    start_again(w, "none");
    good(w, feed(w, TABLES "B 11 300; I 11 2 b; C 11 300 310 1;"));
    bad(w, feed(w, THREE) || input_pauses(w) ? -1 : 0, ERR_PERMANENT,
        "table public.t1: changes of it were left out from 0/C8 on, and --skip-table does not "
        "name it any more (copy the table again, DELETE FROM pg2any_relation WHERE origin = 'slot' "
        "AND relid IN (1) in the target, and start again) (or leave the table out: --skip-table "
        "public.t1)");
    has(w, "t2(id,v1) [b,~]\n");
    /* A TRUNCATE does not tell what the table is like. */
    start_again(w, "none");
    bad(w, feed(w, TABLES "B 12 400; T 12 1; C 12 400 410 1") || input_pauses(w) ? -1 : 0,
        ERR_PERMANENT, "left out from 0/C8 on");
    start_again(w, "none");
    w->dest.now.nmemories = 0;
    good(w, feed(w, TABLES THREE));
    good(w, input_pauses(w));
    has(w, "t2(id,v1) [b,~]\nt1(id,v1) [c,~]\n");
}

static void an_error_of_a_table_says_the_way_on(void **state)
{
    struct apply_world *w = *state;
    bad(w, feed(w, TABLES "B 10 200; I 10 1 poison; C 10 200 210 1") || input_pauses(w) ? -1 : 0,
        ERR_PERMANENT, "(or leave the table out: --skip-table public.t1)");
    start_again(w, "public.t1");
    good(w, feed(w, TABLES "B 10 200; I 10 1 poison; C 10 200 210 1"));
    good(w, input_pauses(w));
    assert_int_equal(checkpoint(w), 210);
}

/* ---- names ---- */

static int bind(struct driver *d, const char *skip, uint32_t relid, const char *name,
                struct err *err)
{
    char text[64];
    const struct option_list given = {1, {skip}};
    struct table_names list;
    struct target_table *table = NULL;
    struct parsed_relation p;
    struct checkpoint now;
    bool found;
    (void)snprintf(text, sizeof text, "%s id/1/int4", name);
    relation_spec_parse(&(struct relation_spec){text, 1, relid}, &p);
    struct relation *rel = read_back(&p.rel);
    struct target *t = double_open(d);
    *err = (struct err){0};
    assert_int_equal(skip_tables_parse(&list, &given, err), 0);
    assert_int_equal(target_begin(t, "origin", &now, &found, err), 0);
    const struct binding binding = {
        .origin = "origin", .policy = DDL_EVOLVE, .skip = &list, .commit_lsn = 256};
    int rc = target_bind(t, &binding, rel, &table, &(enum unbound){0}, err);
    assert_true(rc == 0 || !table);
    rc = rc == 0 && !table ? 1 : rc;
    target_unbind(t, table);
    target_close(t);
    table_names_free(&list);
    relation_unref(rel);
    free(p.copy);
    d->in_transaction = false;
    return rc;
}

#define IN       0
#define LEFT_OUT 1
#define STOP     (-1)

static void one_that_is_renamed_goes_by_both_names(void **state)
{
    (void)state;
    struct driver *d = calloc(1, sizeof *d);
    struct err err;
    assert_non_null(d);
    assert_int_equal(bind(d, "public.u", 7, "t", &err), IN);
    assert_int_equal(bind(d, "public.t", 7, "t", &err), LEFT_OUT);
    assert_int_equal(bind(d, "public.t", 7, "u", &err), LEFT_OUT);
    assert_int_equal(bind(d, "public.u", 7, "u", &err), LEFT_OUT);
    assert_int_equal(bind(d, "public.v", 7, "u", &err), STOP);
    assert_non_null(strstr(err.text, "relid IN (7)"));
    /* A name alone does not make another table one of them. */
    assert_int_equal(bind(d, "public.t", 8, "u", &err), IN);
    double_free(d);
    free(d);
}

/* Not that of the last change before, which is what the row says, and not another with the same
 * beginning. */
static void the_name_of_the_first_change_left_out_counts(void **state)
{
    (void)state;
    struct driver *d = calloc(1, sizeof *d);
    struct err err;
    assert_non_null(d);
    assert_int_equal(bind(d, "none", 7, "a", &err), IN);
    assert_int_equal(bind(d, "public.t", 7, "t", &err), LEFT_OUT);
    assert_int_equal(bind(d, "public.t", 7, "v", &err), LEFT_OUT);
    assert_int_equal(bind(d, "public.x,public.t", 7, "v", &err), LEFT_OUT);
    assert_int_equal(bind(d, "public.v", 7, "v", &err), LEFT_OUT);
    assert_int_equal(bind(d, "public.a", 7, "v", &err), STOP);
    assert_int_equal(bind(d, "public.t\n", 8, "t\n", &err), LEFT_OUT);
    assert_int_equal(bind(d, "public.t\\\n", 8, "w", &err), LEFT_OUT);
    assert_int_equal(bind(d, "public.t", 8, "w", &err), STOP);
    double_free(d);
    free(d);
}

static void one_whose_name_another_takes_is_both(void **state)
{
    (void)state;
    struct driver *d = calloc(1, sizeof *d);
    struct err err;
    assert_non_null(d);
    /* Met before, dropped and made again, both left out. */
    assert_int_equal(bind(d, "none", 7, "t", &err), IN);
    assert_int_equal(bind(d, "public.t", 8, "t", &err), LEFT_OUT);
    assert_string_equal(d->now.memories[0].target, "t");
    assert_string_equal(d->now.memories[1].target, "relid 8");
    assert_int_equal(bind(d, "none", 8, "t", &err), STOP);
    assert_non_null(strstr(err.text, "relid IN (8, 7)"));
    /* Made again after the option is gone: the old table makes room. */
    d->now.nmemories = 1;
    assert_int_equal(bind(d, "none", 8, "t", &err), IN);
    assert_string_equal(d->now.memories[0].target, "pg2any_aside_7");
    double_free(d);
    free(d);
}

static void one_that_the_target_has_no_name_for(void **state)
{
    (void)state;
    struct driver *d = calloc(1, sizeof *d);
    struct err err;
    assert_non_null(d);
    assert_int_equal(bind(d, "none", 7, DOUBLE_UNNAMED, &err), STOP);
    assert_int_equal(bind(d, "public." DOUBLE_UNNAMED, 7, DOUBLE_UNNAMED, &err), LEFT_OUT);
    assert_string_equal(d->now.memories[0].target, "relid 7");
    assert_int_equal(bind(d, "none", 7, DOUBLE_UNNAMED, &err), STOP);
    assert_non_null(strstr(err.text, "relid IN (7)"));
    assert_int_equal(bind(d, "none", 7, "t", &err), STOP);
    double_free(d);
    free(d);
}

int main(void)
{
    log_set_level(LOG_LEVEL_ERROR);
    const struct CMUnitTest tests[] = {
#define TEST(name) cmocka_unit_test_setup_teardown(name, apply_setup, apply_teardown)
        TEST(the_rest_of_a_transaction_goes_in),
        TEST(a_table_that_was_there_keeps_what_it_has),
        TEST(it_is_remembered_from_the_first_change_on),
        TEST(it_is_remembered_anew),
        TEST(a_large_transaction_is_no_exception),
        TEST(it_does_not_come_back_by_itself),
        TEST(an_error_of_a_table_says_the_way_on),
        cmocka_unit_test(one_that_is_renamed_goes_by_both_names),
        cmocka_unit_test(the_name_of_the_first_change_left_out_counts),
        cmocka_unit_test(one_whose_name_another_takes_is_both),
        cmocka_unit_test(one_that_the_target_has_no_name_for),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
