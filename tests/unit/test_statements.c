/* common/sql/statements.c: found again, one bound over all tables, given up with their table. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include "sql/statements.h"

#define COLUMNS 3

static size_t alive;

static void free_one(struct statement *s)
{
    alive--;
    free(s);
}

static struct statement *add(struct statements *all, const struct statement_key *key)
{
    struct statement *s = calloc(1, sizeof *s);
    struct err err = {0};
    assert_non_null(s);
    alive++;
    assert_int_equal(statements_add(all, key, s, &err), 0);
    return s;
}

static void each_is_found_by_all_of_its_key(void **state)
{
    (void)state;
    struct statements all;
    struct statement_list t = {.ncolumns = COLUMNS}, u = {.ncolumns = COLUMNS};
    uint8_t one[COLUMNS] = {1, 0, 0}, two[COLUMNS] = {1, 1, 0};
    const struct statement_key keys[] = {
        {&t, 'I', 1, NULL}, {&t, 'I', 8, NULL}, {&t, 'D', 1, NULL},
        {&t, 'U', 1, one},  {&t, 'U', 1, two},  {&u, 'I', 1, NULL},
    };
    enum { N = sizeof keys / sizeof *keys };
    struct statement *made[N];
    statements_init(&all, free_one, 100);
    for (size_t i = 0; i < N; i++) {
        assert_null(statements_find(&all, &keys[i]));
        made[i] = add(&all, &keys[i]);
    }
    one[0] = 0; /* the flags were copied */
    const uint8_t again[COLUMNS] = {1, 0, 0};
    for (int round = 0; round < 3; round++)
        for (size_t i = 0; i < N; i++) {
            struct statement_key key = keys[i];
            if (key.columns == one)
                key.columns = again;
            assert_ptr_equal(statements_find(&all, &key), made[i]);
        }
    statements_forget(&all, &t);
    assert_int_equal(alive, 1);
    assert_null(statements_find(&all, &keys[0]));
    assert_ptr_equal(statements_find(&all, &keys[N - 1]), made[N - 1]);
    statements_clear(&all);
    assert_int_equal(alive, 0);
    assert_null(u.first);
}

/* Thousands of tables: what was used longest ago goes. */
static void there_is_one_bound_for_all_tables(void **state)
{
    (void)state;
    enum { TABLES = 5000, MOST = 7 };
    struct statements all;
    struct statement_list *tables = calloc(TABLES, sizeof *tables);
    assert_non_null(tables);
    statements_init(&all, free_one, MOST);
    const struct statement_key often = {&tables[0], 'U', 1, NULL};
    struct statement *kept = add(&all, &often);
    for (size_t i = 1; i < TABLES; i++) {
        (void)add(&all, &(struct statement_key){&tables[i], 'I', 1, NULL});
        assert_true(alive <= MOST);
        assert_ptr_equal(statements_find(&all, &often), kept);
    }
    size_t left = 0;
    for (size_t i = 1; i < TABLES; i++)
        left += tables[i].first != NULL;
    assert_int_equal(left, MOST - 1);
    assert_non_null(tables[TABLES - 1].first);
    statements_clear(&all);
    assert_int_equal(alive, 0);
    free(tables);
}

/* What a server does not have room for is not kept. */
static void a_server_without_room_gets_fewer(void **state)
{
    (void)state;
    enum { TABLES = 10, ROOM = 3 };
    struct statements all;
    struct statement_list tables[TABLES] = {{0}};
    statements_init(&all, free_one, 100);
    assert_false(statements_shrink(&all));
    for (size_t round = 0; round < 3; round++)
        for (size_t i = 0; i < TABLES; i++) {
            const struct statement_key key = {&tables[i], 'I', 1, NULL};
            if (statements_find(&all, &key))
                continue;
            if (alive == ROOM)
                assert_true(statements_shrink(&all));
            assert_true(alive < ROOM);
            (void)add(&all, &key);
        }
    /* Down to one, which makes room for the next. */
    assert_true(statements_shrink(&all));
    for (size_t i = 0; i < TABLES; i++) {
        (void)add(&all, &(struct statement_key){&tables[i], 'I', 1, NULL});
        assert_int_equal(alive, 1);
        assert_true(i % 2 == 0 || statements_shrink(&all));
    }
    assert_int_equal(alive, 0);
    for (size_t i = 0; i < TABLES; i++)
        assert_null(tables[i].first);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_is_found_by_all_of_its_key),
        cmocka_unit_test(there_is_one_bound_for_all_tables),
        cmocka_unit_test(a_server_without_room_gets_fewer),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
