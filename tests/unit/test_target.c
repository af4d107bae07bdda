/*
 * common/sql/target.c: when a target table is made, changed, or left alone with an error, by the
 * plan of schema_plan.c and with the driver of driver_double.h.
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
#include "frames/pg_type.h"
#include "read_back.h"
#include "relation_spec.h"
#include "sql/relation_proof.h"

#define LENGTH(a) (sizeof(a) / sizeof *(a))

static void remember(struct driver *d, const struct relation *rel, const char *target)
{
    struct double_memory *m = &d->now.memories[d->now.nmemories++];
    struct buf frame = {0};
    relation_to_frame(rel, &frame);
    assert_true(!frame.failed && frame.len <= sizeof m->frame);
    m->relid = rel->relid;
    m->size = frame.len;
    (void)snprintf(m->target, sizeof m->target, "%s", target);
    memcpy(m->frame, frame.data, frame.len);
    buf_free(&frame);
}

/* The same as it is remembered. */
static void remember_proven(struct driver *d, const struct relation *rel, const char *target)
{
    struct relation *read = read_back(rel), *proven;
    struct err err = {0};
    assert_int_equal(relation_prove(NULL, read, &proven, &err), 0);
    remember(d, proven, target);
    relation_unref(proven);
    relation_unref(read);
}

static void assert_remembers(const struct double_memory *m, const struct relation *is)
{
    static const char made[] = "made\n";
    size_t at =
        m->size > sizeof made && memcmp(m->frame, made, sizeof made - 1) == 0 ? sizeof made - 1 : 0;
    struct relation *rel;
    struct err err = {0};
    assert_string_equal(m->target, is->name);
    assert_int_equal(relation_from_bytes(m->frame + at, m->size - at, &rel, &err), 0);
    assert_true(relation_same_message(rel, is));
    for (uint32_t i = 0; i < is->ncolumns; i++)
        assert_int_equal(rel->columns[i].attnum, is->columns[i].attnum);
    relation_unref(rel);
}

/* ---- memory that runs out ---- */

static unsigned fail_at; /* the call from now on that fails, counted from 1; 0: none */

void *__real_realloc(void *p, size_t size);
void *__wrap_realloc(void *p, size_t size);

void *__wrap_realloc(void *p, size_t size)
{
    return fail_at > 0 && --fail_at == 0 ? NULL : __real_realloc(p, size);
}

static unsigned bind_fails_at; /* the same, within target_bind(); afterwards what is left of it */

static int bind(struct driver *d, enum ddl_policy ddl, const struct relation *rel, struct err *err)
{
    struct target_table *table = NULL;
    struct relation *read = read_back(rel);
    struct target *t = double_open(d);
    struct checkpoint now;
    bool found;
    assert_int_equal(target_begin(t, "origin", &now, &found, err), 0);
    fail_at = bind_fails_at;
    int rc = target_bind(t, &(struct binding){.origin = "origin", .policy = ddl}, read, &table,
                         &(enum unbound){0}, err);
    bind_fails_at = fail_at;
    fail_at = 0;
    if (rc == 0)
        target_unbind(t, table);
    target_close(t);
    relation_unref(read);
    d->in_transaction = false;
    return rc;
}

/* ---- the rules ---- */

#define ROWS                                                                                       \
    (const char *const[])                                                                          \
    {                                                                                              \
        "1 x y", "2 p q", NULL                                                                     \
    }

struct schema_case {
    struct relation_spec was;    /* .text NULL: the target does not remember it */
    const char *table, *columns; /* what the target has; NULL: no table */
    const char *const *rows;
    struct relation_spec is;
    enum ddl_policy ddl;
    const char *content, *error; /* one of them */
};

#define NONE   DDL_NONE
#define CREATE DDL_CREATE
#define EVOLVE DDL_EVOLVE
#define WAS                                                                                        \
    {                                                                                              \
        "t id/1/int4 a/2/text b/3/text", 1, 0                                                      \
    }
#define IS(t)                                                                                      \
    {                                                                                              \
        "t id/1/int4 " t, 1, 0                                                                     \
    }
#define TABLE "t", "id a b", ROWS
#define EMPTY "t", "id a b", NULL
#define SAME  "t(id,a,b) [1,x,y] [2,p,q]\n"

static const struct schema_case cases[] = {
    /* Met for the first time. */
    {{0}, NULL, NULL, NULL, WAS, NONE, NULL, "the target has no table t"},
    {{0}, NULL, NULL, NULL, WAS, CREATE, "t(id,a,b)\n", NULL},
    {{0}, NULL, NULL, NULL, WAS, EVOLVE, "t(id,a,b)\n", NULL},
    {{0}, TABLE, WAS, NONE, SAME, NULL},
    {{0}, TABLE, WAS, CREATE, SAME, NULL},
    {{0}, TABLE, WAS, EVOLVE, SAME, NULL},
    {{0}, "t", "id a", NULL, WAS, NONE, NULL, "has no column b (add it"},
    {{0}, "t", "id a", NULL, WAS, CREATE, NULL, "has no column b (add it"},
    {{0}, "t", "id a", NULL, WAS, EVOLVE, "t(id,a,b)\n", NULL},
    {{0}, "t", "id a", NULL, IS("a/2/text b/3/text/?"), EVOLVE, "t(id,a,b)\n", NULL},
    /* Whatever the catalog says of a default: these rows have something in b at the source. */
    {{0}, TABLE, IS("a/2/text b/3/text c/4/text"), EVOLVE, NULL, "has rows, but no column c"},
    {{0}, TABLE, IS("a/2/text b/3/text c/4/text/=5"), EVOLVE, NULL, "has rows, but no column c"},
    /* Columns of the target alone are the user's. */
    {{0}, TABLE, IS("a/2/text"), EVOLVE, SAME, NULL},

    /* Nothing changed, or nothing that matters. */
    {WAS, TABLE, WAS, NONE, SAME, NULL},
    {WAS, TABLE, IS("b/3/text a/2/text"), NONE, NULL,
     "column id may be another one than before: columns were dropped"},
    {WAS, TABLE, IS("a/2/varchar(5) b/3/text"), NONE, NULL, "column a changed its type"},

    /* Columns added. */
    {WAS, TABLE, IS("a/2/text b/3/text c/4/text"), EVOLVE, "t(id,a,b,c) [1,x,y,~] [2,p,q,~]\n",
     NULL},
    {WAS, TABLE, IS("a/2/text b/3/text c/4/text/=5"), EVOLVE, "t(id,a,b,c) [1,x,y,5] [2,p,q,5]\n",
     NULL},
    {WAS, TABLE, IS("a/2/text b/3/text c/4/text/?"), EVOLVE, NULL,
     "does not say what it holds in the rows that were there before"},
    {WAS, EMPTY, IS("a/2/text b/3/text c/4/text/?"), EVOLVE, "t(id,a,b,c)\n", NULL},
    {WAS, TABLE, IS("a/2/text b/3/text c/4/text"), CREATE, NULL, "has no column c"},
    {WAS, "t", "id a b c", NULL, IS("a/2/text b/3/text c/4/text/?"), NONE, "t(id,a,b,c)\n", NULL},

    /* Columns dropped. */
    {WAS, TABLE, IS("b/3/text"), EVOLVE, "t(id,b) [1,y] [2,q]\n", NULL},
    {WAS, TABLE, IS("b/3/text"), CREATE, SAME, NULL},
    {WAS, "t", "id b", NULL, IS("b/3/text"), EVOLVE, "t(id,b)\n", NULL},
    {WAS, TABLE, IS("b/3/text a/4/text/=5"), EVOLVE, "t(id,b,a) [1,y,5] [2,q,5]\n", NULL},
    {WAS, TABLE, IS("b/3/text a/4/text/=5"), NONE, NULL, "another one now has its name"},
    {WAS, TABLE, IS("a/3/text"), EVOLVE, "t(id,a) [1,y] [2,q]\n", NULL},
    {WAS, TABLE, IS("a/3/text"), NONE, NULL, "another one now has its name"},

    /* Columns renamed. */
    {WAS, TABLE, IS("c/2/text b/3/text"), EVOLVE, "t(id,c,b) [1,x,y] [2,p,q]\n", NULL},
    {WAS, TABLE, IS("b/2/text c/3/text"), EVOLVE, "t(id,b,c) [1,x,y] [2,p,q]\n", NULL},
    {WAS, TABLE, IS("b/2/text a/3/text"), EVOLVE, NULL,
     "was renamed to b, and the target has both"},
    {WAS, TABLE, IS("c/2/text b/3/text"), NONE, NULL,
     "column a was renamed to c (rename it in the target table t"},
    {WAS, "t", "id c b", ROWS, IS("c/2/text b/3/text"), NONE, "t(id,c,b) [1,x,y] [2,p,q]\n", NULL},
    {WAS, "t", "id c b", ROWS, IS("c/2/text b/3/text"), EVOLVE, "t(id,c,b) [1,x,y] [2,p,q]\n",
     NULL},
    {WAS, TABLE, IS("A/2/text b/3/text"), EVOLVE, "t(id,A,b) [1,x,y] [2,p,q]\n", NULL},

    /* Without attnum: gone and new may be a rename. */
    {WAS, TABLE, IS("b/3/text c/0/text"), EVOLVE, NULL, "no longer tells whether it was renamed"},
    {{"t id/1/int4 a/0/text b/3/text", 1, 0},
     TABLE,
     IS("b/3/text c/4/text"),
     EVOLVE,
     NULL,
     "no longer tells whether it was renamed"},
    {WAS, TABLE, IS("a/0/text b/3/text"), EVOLVE, SAME, NULL},
    {WAS, TABLE, IS("a/0/text b/0/text c/0/text/?"), EVOLVE, NULL, "does not say what it holds"},
    {{"t id/1/int4 a/0/text b/3/text", 1, 0},
     TABLE,
     IS("b/3/text"),
     EVOLVE,
     "t(id,b) [1,y] [2,q]\n",
     NULL},

    /* Types. */
    {WAS,
     TABLE,
     {"t id/1/int8 a/2/text b/3/text", 1, 0},
     EVOLVE,
     NULL,
     "changed its type from int4"},
    {{"t id/1/int4 a/2/varchar(5)", 1, 0}, TABLE, IS("a/2/varchar(9)"), EVOLVE, SAME, NULL},
    {{"t id/1/int4 a/2/varchar(9)", 1, 0},
     TABLE,
     IS("a/2/varchar(5)"),
     EVOLVE,
     NULL,
     "column a changed its type from varchar(9) to varchar(5)"},
    {WAS, TABLE, IS("c/2/uuid b/3/text"), EVOLVE, NULL, "column c changed its type"},

    /* The primary key. */
    {WAS, TABLE, {"t id/1/int4 a/2/text b/3/text", 2, 0}, EVOLVE, NULL, "primary key changed"},
    {WAS, TABLE, {"t id/1/int4 a/2/text b/3/text", 0, 0}, EVOLVE, NULL, "primary key changed"},
    {{"t id/1/int4 a/2/text b/3/text", 2, 0}, TABLE, WAS, EVOLVE, NULL, "primary key changed"},
    {WAS, TABLE, {"t id/1/int4 a/2/text b/3/text", -1, 0}, EVOLVE, SAME, NULL},
    {WAS,
     TABLE,
     {"t key/1/int4 a/2/text b/3/text", 1, 0},
     EVOLVE,
     "t(key,a,b) [1,x,y] [2,p,q]\n",
     NULL},

    /* The table. */
    {WAS, NULL, NULL, NULL, IS("a/2/text"), EVOLVE, NULL, "the target table t is gone"},
    {WAS,
     TABLE,
     {"u id/1/int4 a/2/text b/3/text", 1, 0},
     EVOLVE,
     "u(id,a,b) [1,x,y] [2,p,q]\n",
     NULL},
    {WAS,
     TABLE,
     {"u id/1/int4 c/2/text b/3/text", 1, 0},
     EVOLVE,
     "u(id,c,b) [1,x,y] [2,p,q]\n",
     NULL},
    {WAS, TABLE, {"u id/1/int4 a/2/text b/3/text", 1, 0}, CREATE, NULL, "the relation was renamed"},
    {WAS,
     "u",
     "id a b",
     ROWS,
     {"u id/1/int4 a/2/text b/3/text", 1, 0},
     NONE,
     "u(id,a,b) [1,x,y] [2,p,q]\n",
     NULL},
    {WAS,
     NULL,
     NULL,
     NULL,
     {"u id/1/int4 a/2/text b/3/text", 1, 0},
     EVOLVE,
     NULL,
     "the target table u is gone"},
    {WAS,
     TABLE,
     {"t id/1/int4 a/2/text b/3/text", 1, 8},
     EVOLVE,
     NULL,
     "belongs to another relation, with relid 7"},
};

static void a_table_follows_its_relation_or_stops(void **state)
{
    (void)state;
    for (size_t i = 0; i < LENGTH(cases); i++) {
        const struct schema_case *c = &cases[i];
        struct driver *d = calloc(1, sizeof *d);
        struct parsed_relation was, is;
        struct err err = {0};
        assert_non_null(d);
        if (c->table)
            double_make(d, c->table, c->columns, c->rows);
        relation_spec_parse(c->was.text ? &c->was : &c->is, &was);
        relation_spec_parse(&c->is, &is);
        if (c->was.text)
            remember(d, &was.rel, "t");
        d->folds_case = true;
        int rc = bind(d, c->ddl, &is.rel, &err);
        if (c->error) {
            if (rc == 0 || err.kind != ERR_PERMANENT || !strstr(err.text, c->error))
                fail_msg("case %zu: \"%s\" does not say \"%s\"", i, err.text, c->error);
        } else {
            struct buf content = {0};
            if (rc)
                fail_msg("case %zu: %s", i, err.text);
            double_content(&d->now, &content);
            assert_string_equal(buf_cstr(&content), c->content);
            /* What it is now is remembered. */
            assert_int_equal(d->now.nmemories, 1);
            assert_remembers(&d->now.memories[0], &is.rel);
            buf_free(&content);
        }
        free(was.copy);
        free(is.copy);
        double_free(d);
        free(d);
    }
}

/* What did not change costs one look. */
static void a_relation_that_is_as_before_is_only_opened(void **state)
{
    (void)state;
    struct driver *d = calloc(1, sizeof *d);
    struct parsed_relation p;
    struct err err = {0};
    assert_non_null(d);
    double_make(d, "t", "id a b", NULL);
    relation_spec_parse(&(const struct relation_spec)WAS, &p);
    remember_proven(d, &p.rel, "t");
    assert_int_equal(bind(d, DDL_EVOLVE, &p.rel, &err), 0);
    assert_string_equal(
        buf_cstr(&d->calls),
        "begin\ncheckpoint_get origin\nrelation_get origin 7\ntarget_name t\ndescribe t\n");
    free(p.copy);
    double_free(d);
    free(d);
}

static void two_relations_with_one_name(struct driver *d, bool folds_case, const char *taken,
                                        const char *renamed_to, struct err *err, int expected)
{
    struct parsed_relation other, was, is;
    memset(d, 0, sizeof *d);
    double_make(d, "t", "id", NULL);
    double_make(d, taken, "id", NULL);
    d->folds_case = folds_case;
    char text[64];
    (void)snprintf(text, sizeof text, "%s id/1/int4", taken);
    relation_spec_parse(&(struct relation_spec){text, 1, 8}, &other);
    relation_spec_parse(&(struct relation_spec){"t id/1/int4", 1, 7}, &was);
    (void)snprintf(text, sizeof text, "%s id/1/int4", renamed_to);
    relation_spec_parse(&(struct relation_spec){text, 1, 7}, &is);
    remember(d, &other.rel, taken);
    remember(d, &was.rel, "t");
    assert_int_equal(bind(d, DDL_EVOLVE, &is.rel, err), expected);
    free(other.copy);
    free(was.copy);
    free(is.copy);
    double_free(d);
}

static void a_name_may_be_taken(void **state)
{
    (void)state;
    struct driver *d = calloc(1, sizeof *d);
    struct err err = {0};
    assert_non_null(d);
    two_relations_with_one_name(d, false, "u", "u", &err, -1);
    assert_non_null(strstr(err.text, "belongs to another relation, with relid 8"));
    two_relations_with_one_name(d, true, "U", "u", &err, -1);
    assert_non_null(strstr(err.text, "belongs to another relation, with relid 8"));
    two_relations_with_one_name(d, false, "U", "u", &err, 0);
    /* Another case is another name only where case counts. */
    two_relations_with_one_name(d, false, "u", "T", &err, 0);
    assert_string_equal(d->now.tables[0].name, "T");
    two_relations_with_one_name(d, true, "u", "T", &err, 0);
    assert_string_equal(d->now.tables[0].name, "t");
    assert_string_equal(d->now.memories[1].target, "T");
    free(d);
}

/* Each step may have been the last before a crash, of a target whose changes commit. What leaves no
 * trace that it was done is not taken for done. */
static void a_table_takes_its_place_from_wherever_it_stood(void **state)
{
    static const struct {
        const char *tables[3], *content, *line;
    } places[] = {
        {{"t", "pg2any_copy_7"}, "t(id,new)\n", "copied 0/10 5:5:\n"},
        {{"pg2any_copy_7"}, "t(id,new)\n", "copied 0/10 5:5:\n"},
        {{"t", "pg2any_copy_7", "pg2any_old_7"}, "t(id,new)\n", "copied 0/10 5:5:\n"},
        {{"t", "pg2any_old_7"}, "t(id)\n", "copied 0/10 5:5:\n"},
        {{"pg2any_old_7"}, "pg2any_old_7(id)\n", "copy due since 0/10\n"},
        {{"t"}, "t(id)\n", "copy due since 0/10\n"},
    };
    static const char beside[] = "copied 0/10 5:5: beside\n";
    (void)state;
    struct parsed_relation is;
    relation_spec_parse(&(struct relation_spec){"t id/1/int4", 1, 7}, &is);
    for (size_t i = 0; i < LENGTH(places); i++) {
        struct driver *d = calloc(1, sizeof *d);
        struct checkpoint now;
        struct err err = {0};
        struct buf content = {0};
        bool found;
        assert_non_null(d);
        for (size_t k = 0; k < 3 && places[i].tables[k]; k++)
            double_make(d, places[i].tables[k],
                        strstr(places[i].tables[k], "copy") ? "id new" : "id", NULL);
        remember(d, &is.rel, "t");
        struct double_memory *m = &d->now.memories[0];
        memmove(m->frame + sizeof beside - 1, m->frame, m->size);
        memcpy(m->frame, beside, sizeof beside - 1);
        m->size += sizeof beside - 1;
        struct target *t = double_open(d);
        assert_int_equal(target_begin(t, "origin", &now, &found, &err), 0);
        for (int again = 0; again < 2; again++)
            assert_int_equal(target_take_place(t, "origin", 7, &err), 0);
        double_content(&d->now, &content);
        assert_string_equal(buf_cstr(&content), places[i].content);
        assert_memory_equal(m->frame, places[i].line, strlen(places[i].line));
        target_close(t);
        buf_free(&content);
        double_free(d);
        free(d);
    }
    free(is.copy);
}

static void a_table_that_nobody_remembers_may_have_the_new_name(void **state)
{
    (void)state;
    struct driver *d = calloc(1, sizeof *d);
    struct parsed_relation was, is;
    struct err err = {0};
    assert_non_null(d);
    double_make(d, "t", "id", NULL);
    double_make(d, "u", "id", NULL);
    relation_spec_parse(&(struct relation_spec){"t id/1/int4", 1, 7}, &was);
    relation_spec_parse(&(struct relation_spec){"u id/1/int4", 1, 7}, &is);
    remember(d, &was.rel, "t");
    assert_int_equal(bind(d, DDL_EVOLVE, &is.rel, &err), -1);
    assert_non_null(strstr(err.text, "its table in the target is t, and the new name is taken"));
    free(was.copy);
    free(is.copy);
    double_free(d);
    free(d);
}

static void what_is_remembered_may_be_damaged(void **state)
{
    (void)state;
    struct driver *d = calloc(1, sizeof *d);
    struct parsed_relation p;
    assert_non_null(d);
    relation_spec_parse(&(const struct relation_spec)WAS, &p);
    for (size_t size = 1; size < 40; size++) {
        struct err err = {0};
        memset(d, 0, sizeof *d);
        double_make(d, "t", "id a b", NULL);
        remember(d, &p.rel, "t");
        d->now.memories[0].size = size;
        assert_int_equal(bind(d, DDL_EVOLVE, &p.rel, &err), -1);
        assert_int_equal(err.kind, ERR_PERMANENT);
        assert_non_null(strstr(err.text, "pg2any_relation"));
        double_free(d);
    }
    free(p.copy);
    free(d);
}

/* Columns that do not fit are told of in buffers. */
static void no_memory_makes_no_table_fit(void **state)
{
    (void)state;
    bool failed = true;
    for (unsigned at = 1; failed; at++) {
        struct driver *d = calloc(1, sizeof *d);
        struct parsed_relation is;
        struct err err = {0};
        assert_non_null(d);
        double_make(d, "t", "id " DOUBLE_MISFIT, NULL);
        relation_spec_parse(&(struct relation_spec){"t id/1/int4 " DOUBLE_MISFIT "/2/text", 1, 7},
                            &is);
        bind_fails_at = at;
        assert_int_equal(bind(d, DDL_NONE, &is.rel, &err), -1);
        failed = bind_fails_at == 0;
        bind_fails_at = 0;
        assert_true(failed || strstr(err.text, "does not fit (in a table that pg2any makes: "));
        free(is.copy);
        double_free(d);
        free(d);
    }
}

int main(void)
{
    log_set_level(LOG_LEVEL_ERROR);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_table_follows_its_relation_or_stops),
        cmocka_unit_test(a_relation_that_is_as_before_is_only_opened),
        cmocka_unit_test(a_name_may_be_taken),
        cmocka_unit_test(a_table_takes_its_place_from_wherever_it_stood),
        cmocka_unit_test(a_table_that_nobody_remembers_may_have_the_new_name),
        cmocka_unit_test(what_is_remembered_may_be_damaged),
        cmocka_unit_test(no_memory_makes_no_table_fit),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
