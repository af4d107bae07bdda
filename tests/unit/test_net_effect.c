/*
 * common/apply/net_effect.c: what becomes of the changes of a key, by the table in its header;
 * lanes; bounds. That the end is the same shows test_apply_plan.c.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "apply/net_effect.h"
#include "base/buf.h"

#define COLUMNS 3 /* id, a, b */

static uint32_t id_column[] = {0};
static const struct identity by_id = {.n = 1, .columns = id_column};

/* Any value but this one. */
static bool accepts(void *ctx, const struct net_table *t, uint32_t column, const struct value *v)
{
    (void)ctx, (void)t, (void)column;
    return v->kind == VALUE_TEXT && !(v->size == 3 && memcmp(v->data, "bad", 3) == 0);
}

static struct net_table a_table(void)
{
    return (struct net_table){
        .identity = &by_id, .ncolumns = COLUMNS, .by_key = true, .merges = true};
}

/* "1,x,y": ~ is NULL, ^ is unchanged; what is left out is NULL. */
static void read_values(char *text, struct value *v)
{
    for (uint32_t i = 0; i < COLUMNS; i++) {
        const char *one = strsep(&text, ",");
        v[i] = (struct value){.kind = VALUE_NULL};
        if (one && strcmp(one, "^") == 0)
            v[i].kind = VALUE_UNCHANGED;
        else if (one && strcmp(one, "~") != 0)
            v[i] = (struct value){.kind = VALUE_TEXT, .size = (uint32_t)strlen(one), .data = one};
    }
}

/* "I 1,x,y", "U 1,x,y", "U 1 > 2,x,y", "D 1". */
static void add(struct net_effect *p, struct net_table *t, char *text)
{
    struct err err = {0};
    enum change_kind kind = (enum change_kind)text[0];
    struct value *v = net_effect_values(p);
    struct row_change row = {0};
    char *new = text + 2, *arrow = strstr(text, " > ");
    size_t n = COLUMNS;
    if (arrow || kind == CHANGE_DELETE) {
        if (arrow)
            *arrow = '\0';
        read_values(text + 2, v);
        row.old = v;
        v += COLUMNS;
        new = arrow ? arrow + 3 : NULL;
        n = arrow ? 2 * COLUMNS : COLUMNS;
    }
    if (new) {
        read_values(new, v);
        row.new = v;
    }
    assert_true(net_effect_has_room(p, n));
    assert_true(net_effect_takes(t, kind, &row));
    assert_int_equal(net_effect_add(p, t, kind, &row, n, &err), 0);
}

static void append_values(struct buf *out, const struct value *v)
{
    for (uint32_t i = 0; i < COLUMNS; i++) {
        buf_append_str(out, i ? "," : "");
        if (v[i].kind == VALUE_TEXT)
            buf_append(out, v[i].data, v[i].size);
        else
            buf_append_byte(out, v[i].kind == VALUE_NULL ? '~' : '^');
    }
}

/* "I 1,x,y 2,x,y; D 3": a lane each. */
static void append_lanes(const struct net_effect *p, const struct net_table *t, struct buf *out)
{
    for (size_t lane = 0; lane < t->nlanes; lane++) {
        struct row_change row;
        uint32_t at = 0;
        if (t->lanes[lane].n == 0)
            continue;
        buf_printf(out, "%s%c", out->len ? "; " : "", net_effect_kind(lane));
        while (net_effect_rows(p, &t->lanes[lane], &at, &row, 1) == 1) {
            buf_append_byte(out, ' ');
            if (row.old)
                buf_append(out, row.old[0].data, row.old[0].size);
            buf_append_str(out, row.old && row.new ? ">" : "");
            if (row.new)
                append_values(out, row.new);
            if (!at)
                break;
        }
    }
}

static void becomes_in(struct net_table t, const char *changes, const char *lanes)
{
    struct net_effect p = {0};
    struct err err = {0};
    struct buf is = {0};
    char *copy = strdup(changes), *rest = copy;
    assert_non_null(copy);
    assert_int_equal(net_effect_init(&p, accepts, NULL, &err), 0);
    for (char *one; (one = strsep(&rest, ";"));)
        add(&p, &t, one + strspn(one, " "));
    append_lanes(&p, &t, &is);
    assert_string_equal(buf_cstr(&is), lanes);
    net_effect_clear(&p);
    assert_true(net_effect_is_empty(&p));
    buf_free(&is);
    net_table_free(&t);
    net_effect_free(&p);
    free(copy);
}

static void becomes(const char *changes, const char *lanes)
{
    becomes_in(a_table(), changes, lanes);
}

static void rows_of_a_kind_go_together(void **state)
{
    (void)state;
    becomes("I 1,x,y; D 2; U 3,x,y; I 4,x,y; D 5; U 6,x,y", "D 2 5; U 3,x,y 6,x,y; I 1,x,y 4,x,y");
}

static void what_becomes_of_a_key(void **state)
{
    (void)state;
    becomes("I 1,x,y; U 1,z,y", "I 1,z,y");
    becomes("I 1,x,y; U 1,z,^", "I 1,z,y");
    becomes("U 1,x,y; U 1,z,^; U 1,w,^", "U 1,w,y");
    becomes("U 1,x,^; U 1,z,y", "U 1,z,y");
    becomes("U 1 > 2,x,y; U 2,z,^", "U 1>2,z,y");
    becomes("I 1,x,y; D 1", "I 1,x,y; D 1");
    becomes("U 1,x,y; D 1", "U 1,x,y; D 1");
    becomes("D 1; I 1,x,y", "D 1; I 1,x,y");
    becomes("D 1; I 1,x,y; U 1,z,y; D 1; I 1,w,w", "D 1; I 1,z,y; D 1; I 1,w,w");
    becomes("I 1,x,y; U 1 > 2,x,y; U 2,z,y; D 2", "I 1,x,y; U 1>2,z,y; D 2");
}

static void nothing_is_left_out_that_could_be_refused(void **state)
{
    (void)state;
    becomes("I 1,bad,y; U 1,z,y", "I 1,bad,y; U 1,z,y");
    becomes("I 1,~,y; U 1,z,y", "I 1,~,y; U 1,z,y");
    becomes("U 1,bad,y; U 1,bad,z", "U 1,bad,z"); /* it is there in the end */
    becomes("U 1,x,bad; U 1,z,^", "U 1,z,bad");
    struct net_table t = a_table();
    t.merges = false;
    becomes_in(t, "I 1,x,y; U 1,z,y", "I 1,x,y; U 1,z,y");
    becomes_in(t, "U 1,x,y; U 1,z,y", "U 1,x,y 1,z,y");
    t.sets = true;
    becomes_in(t, "U 1,x,y; U 2,x,y; U 1,z,y", "U 1,x,y 2,x,y; U 1,z,y");
}

static void keys_change_places(void **state)
{
    (void)state;
    becomes("U 1 > 9,x,y; U 2 > 1,x,y; U 9 > 2,x,y", "U 1>9,x,y 2>1,x,y 9>2,x,y");
    becomes("U 1 > 2,x,y; I 1,x,y; U 3,x,y", "U 1>2,x,y 3,x,y; I 1,x,y");
    becomes("D 2; U 1 > 2,x,y; D 1", "D 2; U 1>2,x,y; D 1");
    becomes("I 1,x,y; U 1 > 2,x,y; U 1,x,y", "I 1,x,y; U 1>2,x,y 1,x,y"); /* 1 is missing */
    struct net_table t = a_table();
    t.sets = true;
    becomes_in(t, "U 1 > 2,x,y; U 2 > 3,x,y", "U 1>2,x,y; U 2>3,x,y");
}

static void keys_that_differ_in_padding_keep_their_order(void **state)
{
    (void)state;
    becomes("I a,x,y; D a ", "I a,x,y; D a ");
    becomes("I \\x01,x,y; D \\x0100; D \\x02", "D \\x02; I \\x01,x,y; D \\x0100");
    becomes("U a,x,y; U a ,z,y; U b > c  ,x,y; D c", "U a,x,y a ,z,y b>c  ,x,y; D c");
    becomes("I 1,x,y; D 10", "D 10; I 1,x,y");
    struct net_table t = a_table();
    t.sets = true;
    becomes_in(t, "U a,x,y; U a ,z,y", "U a,x,y; U a ,z,y");
}

static void a_table_may_keep_its_order(void **state)
{
    (void)state;
    struct net_table t = a_table();
    t.by_key = false;
    becomes_in(t, "I 1,x,y; I 2,x,y; D 3; I 4,x,y; U 1,z,y; U 1,w,y",
               "I 1,x,y 2,x,y; D 3; I 4,x,y; U 1,z,y 1,w,y");
}

static void what_is_not_for_a_plan(void **state)
{
    (void)state;
    struct net_table t = a_table();
    struct value v[3][COLUMNS];
    char texts[][16] = {"~,x,y", "1,^,y", "^,x,y"};
    for (int i = 0; i < 3; i++)
        read_values(texts[i], v[i]);
    assert_false(net_effect_takes(&t, CHANGE_UPDATE, &(struct row_change){.new = v[0]}));
    assert_false(net_effect_takes(&t, CHANGE_DELETE, &(struct row_change){.old = v[0]}));
    assert_false(net_effect_takes(&t, CHANGE_INSERT, &(struct row_change){.new = v[1]}));
    assert_true(net_effect_takes(&t, CHANGE_UPDATE, &(struct row_change){.new = v[1]}));
    assert_false(net_effect_takes(&t, CHANGE_UPDATE, &(struct row_change){.new = v[2]}));
    t.by_key = false;
    assert_true(net_effect_takes(&t, CHANGE_DELETE, &(struct row_change){.old = v[0]}));
}

static void a_plan_is_bounded_and_begins_anew(void **state)
{
    (void)state;
    struct net_effect p = {0};
    struct net_table one = a_table(), other = a_table();
    struct err err = {0};
    struct buf is = {0};
    size_t full[2] = {0};
    assert_int_equal(net_effect_init(&p, accepts, NULL, &err), 0);
    for (int round = 0; round < 2; round++) {
        while (net_effect_has_room(&p, COLUMNS)) {
            char key[16];
            int n = snprintf(key, sizeof key, "%zu", full[round]++);
            struct value *v = net_effect_values(&p);
            for (int i = 0; i < COLUMNS; i++)
                v[i] = (struct value){.kind = VALUE_TEXT, .size = (uint32_t)n, .data = key};
            const struct row_change row = {.new = v};
            assert_int_equal(net_effect_add(&p, full[round] % 2 ? &one : &other, CHANGE_INSERT,
                                            &row, COLUMNS, &err),
                             0);
        }
        assert_ptr_equal(p.first, &one);
        assert_ptr_equal(one.next, &other);
        assert_int_equal(one.lanes[2].n + other.lanes[2].n, full[round]);
        net_effect_clear(&p);
    }
    assert_true(full[0] > 10000 && full[0] == full[1]);
    char text[] = "U 1,x,y"; /* of no key that was there before */
    add(&p, &one, text);
    append_lanes(&p, &one, &is);
    assert_string_equal(buf_cstr(&is), "U 1,x,y");
    assert_null(p.first->next);
    buf_free(&is);
    net_table_free(&one);
    net_table_free(&other);
    net_effect_free(&p);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(rows_of_a_kind_go_together),
        cmocka_unit_test(what_becomes_of_a_key),
        cmocka_unit_test(nothing_is_left_out_that_could_be_refused),
        cmocka_unit_test(keys_change_places),
        cmocka_unit_test(keys_that_differ_in_padding_keep_their_order),
        cmocka_unit_test(a_table_may_keep_its_order),
        cmocka_unit_test(what_is_not_for_a_plan),
        cmocka_unit_test(a_plan_is_bounded_and_begins_anew),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
