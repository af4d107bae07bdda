/*
 * common/sql/row_order.c, and what apply-sqlite says of tables: which changes may overtake each
 * other.
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
#include "sqlite_world.h"

#define KEY     REPLICA_IDENTITY_DEFAULT
#define COLUMNS "id/int/k,v/text"

static enum row_order order_of(struct sqlite_world *w, const char *statements)
{
    close_table(w);
    sql(w, "DROP TABLE IF EXISTS t");
    sql(w, statements);
    succeeds(w, use(w, KEY, "t", COLUMNS, 1));
    return target_row_order(w->target, w->table);
}

static void a_key_alone_ties_the_rows_of_ours(void **state)
{
    struct sqlite_world *w = *state;
    make(w, KEY, "t", COLUMNS, 1);
    assert_int_equal(target_row_order(w->target, w->table), ORDER_OF_KEY);
    make(w, KEY, "two", "id/int/k,part/text/k,v/text", 2);
    assert_int_equal(target_row_order(w->target, w->table), ORDER_OF_KEY);
    make(w, REPLICA_IDENTITY_FULL, "whole", COLUMNS, 1);
    assert_int_equal(target_row_order(w->target, w->table), ORDER_OF_KEY);
}

static void what_else_is_unique_keeps_a_table_in_its_order(void **state)
{
    struct sqlite_world *w = *state;
    const char *const tables[] = {
        "CREATE TABLE t (id INTEGER PRIMARY KEY, v TEXT UNIQUE)",
        "CREATE TABLE t (id INTEGER PRIMARY KEY, v TEXT); CREATE UNIQUE INDEX i ON t (v) WHERE id > 9",
        "CREATE TABLE t (id INTEGER PRIMARY KEY, v TEXT); CREATE UNIQUE INDEX i ON t (lower(v))",
        "CREATE TABLE t (id INTEGER, v TEXT)",
        "CREATE TABLE t (id INTEGER, v TEXT UNIQUE)",
    };
    for (size_t i = 0; i < sizeof tables / sizeof *tables; i++)
        assert_int_equal(order_of(w, tables[i]), ORDER_OF_TABLE);
    assert_int_equal(order_of(w, "CREATE TABLE t (id INT PRIMARY KEY, v TEXT) WITHOUT ROWID"),
                     ORDER_OF_KEY);
    assert_int_equal(order_of(w, "CREATE TABLE t (id INT UNIQUE NOT NULL, v TEXT); "
                                 "CREATE INDEX i ON t (v)"),
                     ORDER_OF_KEY);
}

static void a_key_with_several_texts_does_not_tell_rows_apart(void **state)
{
    struct sqlite_world *w = *state;
    const char *const types[] = {"id/num/k", "id/float/k"};
    for (size_t i = 0; i < sizeof types / sizeof *types; i++) {
        make(w, KEY, i ? "f" : "n", types[i], 1);
        assert_int_equal(target_row_order(w->target, w->table), ORDER_OF_TABLE);
    }
    make(w, REPLICA_IDENTITY_FULL, "bare", "a/int,b/text", 0);
    assert_int_equal(target_row_order(w->target, w->table), ORDER_OF_TABLE);
}

static void a_driver_may_take_two_keys_for_one(void **state)
{
    struct sqlite_world *w = *state;
    make(w, KEY, "times", "id/ts/k,v/text", 1);
    assert_int_equal(row_order(w->table, &(struct driver_traits){0}), ORDER_OF_KEY);
    assert_int_equal(row_order(w->table, &(struct driver_traits){.merges_times = true}),
                     ORDER_OF_TABLE);
}

static void what_is_not_known_is_a_barrier(void **state)
{
    struct sqlite_world *w = *state;
    assert_int_equal(order_of(w, "CREATE TABLE t (id INTEGER PRIMARY KEY, v TEXT, more TEXT)"),
                     ORDER_OF_ALL);
    assert_int_equal(order_of(w, "CREATE TABLE t (id INTEGER PRIMARY KEY, v TEXT)"), ORDER_OF_KEY);
    w->table->there.rules.known = false;
    assert_int_equal(target_row_order(w->target, w->table), ORDER_OF_ALL);
    w->driver->triggers = true;
    assert_int_equal(order_of(w, "CREATE TABLE t (id INTEGER PRIMARY KEY, v TEXT)"), ORDER_OF_ALL);
}

static void an_index_may_fold_what_the_column_tells_apart(void **state)
{
    struct sqlite_world *w = *state;
    const char *const keys[] = {"", " COLLATE NOCASE", " COLLATE RTRIM"};
    for (size_t i = 0; i < sizeof keys / sizeof *keys; i++) {
        char text[128];
        (void)snprintf(text, sizeof text,
                       "DROP TABLE IF EXISTS t; CREATE TABLE t (id TEXT NOT NULL, v TEXT); "
                       "CREATE UNIQUE INDEX i ON t (id%s)",
                       keys[i]);
        close_table(w);
        sql(w, text);
        succeeds(w, use(w, KEY, "t", "id/text/k,v/text", 1));
        assert_int_equal(target_row_order(w->target, w->table),
                         i == 0 ? ORDER_OF_KEY : ORDER_OF_TABLE);
    }
}

static bool accepts(struct sqlite_world *w, const char *text)
{
    const struct value v = {.kind = VALUE_TEXT, .size = (uint32_t)strlen(text), .data = text};
    return target_accepts(w->target, w->table, 1, &v);
}

static void a_value_may_be_one_that_is_refused(void **state)
{
    struct sqlite_world *w = *state;
    char large[2000];
    make(w, KEY, "t", "id/int/k,f/float", 1);
    w->table->ours = true;
    assert_true(accepts(w, "1.5"));
    assert_false(accepts(w, "NaN"));
    w->driver->nan = NAN_NULL; /* which the column may not take either */
    assert_false(accepts(w, "NaN"));
    w->driver->nan = NAN_STOP;
    assert_false(target_accepts(w->target, w->table, 1, &(struct value){.kind = VALUE_NULL}));
    w->table->ours = false;
    assert_false(accepts(w, "1.5"));
    close_table(w);
    sql(w, "DROP TABLE t; CREATE TABLE t (id INTEGER PRIMARY KEY, v TEXT CHECK (v <> 'x'))");
    succeeds(w, use(w, KEY, "t", COLUMNS, 1));
    w->table->ours = true;
    assert_false(accepts(w, "y"));
    w->table->there.rules.checks = false;
    assert_true(accepts(w, "y"));
    memset(large, 'x', sizeof large);
    large[sizeof large - 1] = '\0';
    assert_false(accepts(w, large));
}

static void a_row_of_many_values_may_be_too_large(void **state)
{
    struct sqlite_world *w = *state;
    char columns[2048] = "id/int/k";
    for (int i = 1; i <= 100; i++) {
        if (i == 100) {
            make(w, KEY, "t", columns, 1);
            w->table->ours = true;
            assert_true(row_order_values_alone(w->table));
        }
        size_t n = strlen(columns);
        (void)snprintf(columns + n, sizeof columns - n, ",c%d/text", i);
    }
    make(w, KEY, "u", columns, 1);
    w->table->ours = true;
    assert_false(row_order_values_alone(w->table));
}

int main(void)
{
#define TEST(f) cmocka_unit_test_setup_teardown(f, sqlite_setup, sqlite_teardown)
    const struct CMUnitTest tests[] = {
        TEST(a_key_alone_ties_the_rows_of_ours),
        TEST(what_else_is_unique_keeps_a_table_in_its_order),
        TEST(a_key_with_several_texts_does_not_tell_rows_apart),
        TEST(a_driver_may_take_two_keys_for_one),
        TEST(an_index_may_fold_what_the_column_tells_apart),
        TEST(what_is_not_known_is_a_barrier),
        TEST(a_value_may_be_one_that_is_refused),
        TEST(a_row_of_many_values_may_be_too_large),
    };
    log_init("test");
    log_set_level(LOG_LEVEL_ERROR);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
