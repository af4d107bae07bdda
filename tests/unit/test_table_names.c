/* common/base/table_names.c, common/sql/skip_tables.c: which tables an option may name, and how. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "sql/skip_tables.h"

static int parse(struct table_names *s, const char *first, const char *second, struct err *err)
{
    const struct option_list given = {second ? 2 : 1, {first, second}};
    *err = (struct err){0};
    return skip_tables_parse(s, &given, err);
}

static void names_are_postgresqls(void **state)
{
    (void)state;
    static const struct {
        const char *first, *second;
        const char *all; /* "a|b c|d": the table b of a and d of c */
    } cases[] = {
        {"public.t", NULL, "public|t"},
        {"public.t,s.U", NULL, "public|t s|U"},
        {"public.t, s.u", "a.b", "public|t s|u a|b"},
        {"a\\.b.c\\,d", NULL, "a.b|c,d"},
        {"a.\\\\", NULL, "a|\\"},
        {"\\ a.b", NULL, " a|b"},
        {"none", NULL, ""},
        {"none", "a.b", "a|b"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct table_names s;
        struct err err;
        char all[100] = "";
        assert_int_equal(parse(&s, cases[i].first, cases[i].second, &err), 0);
        for (size_t t = 0; t < s.n; t++) {
            size_t n = strlen(all);
            (void)snprintf(all + n, sizeof all - n, "%s%s|%s", t ? " " : "", s.items[t].namespace,
                           s.items[t].name);
        }
        assert_string_equal(all, cases[i].all);
        table_names_free(&s);
    }
}

static void another_form_is_refused(void **state)
{
    (void)state;
    static const char *const texts[] = {"t", "public.",    ".t",          "a.b.c",    "public.t,",
                                        ",", "public.t,u", "public.t,.u", "a.b\\.c,d"};
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) {
        struct table_names s;
        struct err err;
        assert_int_equal(parse(&s, texts[i], NULL, &err), -1);
        assert_int_equal(err.kind, ERR_PERMANENT);
        assert_non_null(strstr(err.text, "is not SCHEMA.TABLE,SCHEMA.TABLE (public.t;"));
        table_names_free(&s);
    }
}

/* What an error advises is what the option takes. */
static void the_hint_can_be_given_as_it_stands(void **state)
{
    (void)state;
    char namespace[] = " a,b", name[] = "c.\\d";
    const struct relation rel = {.namespace = namespace, .name = name};
    struct err err = {.kind = ERR_PERMANENT, .text = "x"};
    struct table_names s = {0};
    char given[64];
    assert_int_equal(skip_tables_hint(&s, &rel, &err), -1);
    assert_int_equal(sscanf(err.text, "x (or leave the table out: --skip-table %63[^\n]", given),
                     1);
    char *end = strstr(given, ")");
    assert_non_null(end);
    *end = '\0';
    assert_int_equal(parse(&s, given, NULL, &err), 0);
    assert_false(table_names_has(&s, "a", "b"));
    assert_false(s.items[0].met);
    assert_true(table_names_has(&s, namespace, name));
    assert_true(s.items[0].met);
    /* Those that are left out already stay so. */
    err = (struct err){.kind = ERR_PERMANENT, .text = "x"};
    assert_int_equal(skip_tables_hint(&s, &rel, &err), -1);
    assert_string_equal(err.text,
                        "x (or leave the table out: add \\ a\\,b.c\\.\\\\d to --skip-table)");
    table_names_free(&s);
    assert_false(table_names_has(NULL, namespace, name));
}

static void a_schema_may_be_named(void **state)
{
    (void)state;
    struct table_names s = {0};
    struct err err = {0};
    assert_int_equal(table_names_add(&s, "a.*,b.\\*,c.*d", true, &err), 0);
    assert_true(table_names_has(&s, "a", "any"));
    assert_true(table_names_has(&s, "a", "*"));
    assert_true(table_names_has(&s, "b", "*"));
    assert_false(table_names_has(&s, "b", "any"));
    assert_true(table_names_has(&s, "c", "*d"));
    assert_false(table_names_has(&s, "c", "d"));
    assert_int_equal(table_names_add(&s, "a.*.b", true, &err), -1);
    assert_non_null(strstr(err.text, "public.*"));
    table_names_free(&s);
    /* Where that is not said, it is a name. */
    s = (struct table_names){0};
    err = (struct err){0};
    assert_int_equal(table_names_add(&s, "a.*", false, &err), 0);
    assert_false(table_names_has(&s, "a", "any"));
    assert_true(table_names_has(&s, "a", "*"));
    table_names_free(&s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(names_are_postgresqls),
        cmocka_unit_test(a_schema_may_be_named),
        cmocka_unit_test(another_form_is_refused),
        cmocka_unit_test(the_hint_can_be_given_as_it_stands),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
