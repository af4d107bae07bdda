/* common/sql/relation_proof.c: what two descriptions of a relation prove. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/buf.h"
#include "read_back.h"
#include "relation_spec.h"
#include "sql/relation_proof.h"

#define LENGTH(a) (sizeof(a) / sizeof *(a))

static struct relation *parse(const char *text, const char *attributes)
{
    struct parsed_relation p;
    relation_spec_parse(&(const struct relation_spec){text, 1, 0}, &p);
    p.rel.attributes = attributes;
    struct relation *rel = read_back(&p.rel);
    free(p.copy);
    return rel;
}

static struct relation *prove(const struct relation *was, struct relation *is)
{
    struct relation *proven;
    struct err err = {0};
    assert_int_equal(relation_prove(was, is, &proven, &err), 0);
    return proven;
}

/* The attnums of a proven relation, and how far its attributes go: "1 2 4 of 5". */
static void result_text(const struct relation *rel, char *text, size_t size)
{
    size_t n = 0;
    for (uint32_t i = 0; i < rel->ncolumns; i++)
        n += (size_t)snprintf(text + n, size - n, "%d ", rel->columns[i].attnum);
    (void)snprintf(text + n, size - n, "of %zu", strlen(rel->attributes));
}

/*
 * The columns have in their specification the attnum of the attribute that has the name when the
 * catalog is asked.
 */
static const struct {
    const char *was, *was_attributes; /* NULL: nothing is remembered */
    const char *is, *is_attributes;
    const char *proven;
} cases[] = {
    /* Nobody remembers anything. */
    {NULL, NULL, "t id/1/int4 a/2/text", "cc", "1 2 of 2"},
    {NULL, NULL, "t id/1/int4 a/2/text", "CC", "1 2 of 2"},
    {NULL, NULL, "t id/1/int4 a/3/text", "cdc", "1 3 of 3"},
    {NULL, NULL, "t id/1/int4 a/3/text", "cDc", "1 3 of 3"},
    /* Dropped and made again under the name: before or after? */
    {NULL, NULL, "t id/1/int4 a/3/text", "cDC", "0 0 of 3"},
    {NULL, NULL, "t id/1/int4 a/3/text", "cdC", "1 3 of 3"},
    /* More attributes than columns: those at the end came later. */
    {NULL, NULL, "t id/1/int4 a/2/text", "cCC", "1 2 of 3"},
    {NULL, NULL, "t id/1/int4", "cCC", "1 of 3"},
    /* But the names have to say so too. */
    {NULL, NULL, "t id/1/int4 b/3/text", "cCC", "0 0 of 3"},
    {NULL, NULL, "t id/1/int4 a/0/text", "cCC", "0 0 of 3"},
    /* All of them: whatever the names are by now. */
    {NULL, NULL, "t id/1/int4 a/0/text", "cC", "1 2 of 2"},
    {NULL, NULL, "t id/1/int4 b/3/text a/2/text", "CCC", "1 2 3 of 3"},
    /* An old row in the catalog has the name that the column had. */
    {NULL, NULL, "t id/1/int4 b/3/text a/2/text", "ccc", "0 0 0 of 3"},
    /* Fewer attributes than columns, or more that must have been there. */
    {NULL, NULL, "t id/1/int4 a/2/text", "cx", "0 0 of 2"},
    {NULL, NULL, "t id/1/int4", "cc", "0 of 2"},
    {NULL, NULL, "t id/1/int4", "cxxX", "1 of 4"},
    /* It may have been out of the publication then. */
    {NULL, NULL, "t id/1/int4 a/2/text", "pp", "1 2 of 2"},
    {NULL, NULL, "t id/1/int4 a/2/text", "ppp", "1 2 of 3"},
    {NULL, NULL, "t id/1/int4 a/2/text", "pPP", "0 0 of 3"},
    {NULL, NULL, "t id/1/int4 a/2/text", "PP", "1 2 of 2"},
    {NULL, NULL, "t id/1/int4 a/3/text", "ppP", "1 3 of 3"},
    {"t id/1/int4 a/2/text", "cc", "t id/1/int4 a/2/text", "pp", "1 2 of 2"},
    {"t id/1/int4 a/2/text", "cc", "t id/1/int4 b/3/text", "ppp", "1 3 of 3"},
    {"t id/1/int4 a/2/text", "cc", "t id/1/int4 b/3/text", "ppP", "1 3 of 3"},
    {"t id/1/int4 a/2/text", "cc", "t id/1/int4 b/3/text", "pPP", "0 0 of 3"},
    /* Which of them were made? The names of old ones say. */
    {NULL, NULL, "t id/1/int4 a/0/text b/3/text", "cDcC", "1 2 3 of 4"},
    {NULL, NULL, "t id/1/int4 a/2/text", "ppD", "1 2 of 3"},
    /* Both dropped: one of two, which? */
    {NULL, NULL, "t id/1/int4 a/0/text", "cDD", "0 0 of 3"},
    {NULL, NULL, "t id/1/int4 a/0/text b/0/text", "cDD", "1 2 3 of 3"},

    /* What was there and is there was there in between. */
    {"t id/1/int4 a/2/text", "cc", "t id/1/int4 a/2/text", "CC", "1 2 of 2"},
    {"t id/1/int4 a/2/text", "cc", "t id/1/int4 a/0/text", "cC", "1 2 of 2"},
    {"t id/1/int4 a/2/text", "cc", "t id/1/int4 a/3/text", "cCC", "1 2 of 2"},
    {"t id/1/int4 a/2/text b/3/text", "ccc", "t id/1/int4 b/3/text", "cDC", "1 3 of 3"},
    {"t id/1/int4 a/2/text b/3/text", "ccc", "t id/1/int4 a/3/text", "cDC", "1 3 of 3"},
    /* The name has changed hands, before or after. */
    {"t id/1/int4 a/2/text", "cc", "t id/1/int4 a/3/text", "cDC", "0 0 of 3"},
    {"t id/1/int4 a/2/text", "cc", "t id/1/int4 b/3/text", "cDC", "0 0 of 3"},
    {"t id/1/int4 a/2/text", "cc", "t id/1/int4 a/3/text", "cdC", "1 3 of 3"},
    {"t id/1/int4 a/2/text", "cc", "t id/1/int4 a/3/text", "cdc", "1 3 of 3"},
    /* One that is new, and what else came later. */
    {"t id/1/int4 a/2/text", "cc", "t id/1/int4 a/2/text b/3/text", "ccCC", "1 2 3 of 3"},
    {"t id/1/int4 a/2/text", "cc", "t id/1/int4 a/2/text c/4/text", "ccCC", "0 0 0 of 4"},
    {"t id/1/int4 a/2/text", "cc", "t id/1/int4 a/2/text", "ccCC", "1 2 of 2"},
    /* Made and dropped again: it may have been there, but for the number of columns. */
    {"t id/1/int4 a/2/text", "cc", "t id/1/int4 a/2/text", "ccD", "1 2 of 2"},
    {"t id/1/int4 a/2/text", "cc", "t id/1/int4 a/2/text b/0/text", "ccD", "1 2 3 of 3"},
    {"t id/1/int4 a/2/text", "cc", "t id/1/int4 a/2/text b/4/text", "ccDC", "0 0 0 of 4"},
    {"t id/1/int4 a/2/text", "ccd", "t id/1/int4 a/2/text b/4/text", "ccDC", "1 2 4 of 4"},
    /* One that was not published then. */
    {"t id/1/int4 a/2/text", "ccx", "t id/1/int4 a/2/text g/3/text", "ccC", "1 2 3 of 3"},
    {"t id/1/int4 a/2/text", "ccx", "t id/1/int4 a/2/text g/4/text", "ccDC", "0 0 0 of 4"},
    {"t id/1/int4 a/2/text", "ccx", "t id/1/int4 a/2/text b/4/text", "ccCC", "0 0 0 of 4"},
    /* What is remembered is not known either. */
    {"t id/1/int4 a/0/text", "cDC", "t id/1/int4 a/3/text", "cDC", "0 0 of 3"},
    {"t id/1/int4 a/0/text", "cDC", "t id/1/int4 a/3/text", "cdc", "1 3 of 3"},
};

static void columns_are_proven_by_their_attributes(void **state)
{
    (void)state;
    for (size_t i = 0; i < LENGTH(cases); i++) {
        char text[64];
        struct relation *was = NULL;
        if (cases[i].was)
            was = parse(cases[i].was, cases[i].was_attributes);
        struct relation *is = parse(cases[i].is, cases[i].is_attributes);
        struct relation *proven = prove(was, is);
        result_text(proven, text, sizeof text);
        if (strcmp(text, cases[i].proven) != 0)
            fail_msg("case %zu: %s instead of %s", i, text, cases[i].proven);
        assert_true(relation_is_proven(proven) == (proven->columns[0].attnum > 0));
        relation_unref(proven);
        relation_unref(is);
        relation_unref(was);
    }
}

/* ---- histories ---- */

enum { MOST = 7 };

/* A table's columns as they are at one moment: for each attnum a name, '\0' where it is dropped. */
struct moment {
    char names[MOST + 1];
    int n;
};

static bool may_rename(struct moment *m, int a, char name)
{
    if (!m->names[a])
        return false;
    for (int i = 0; i < m->n; i++)
        if (m->names[i] == name)
            return false;
    m->names[a] = name;
    return true;
}

/* One step of a history: a column is dropped, made, or renamed; names are few, so that they change
 * hands. */
static void step(struct moment *m, uint64_t *random)
{
    *random = *random * 6364136223846793005u + 1442695040888963407u;
    unsigned r = (unsigned)(*random >> 33);
    int a = 1 + (int)(r / 16 % MOST);
    char name = (char)('a' + r / 256 % 3);
    switch (r % 3) {
    case 0:
        if (a < m->n)
            m->names[a] = '\0';
        return;
    case 1:
        if (m->n < MOST) {
            m->names[m->n++] = 'x';
            if (!may_rename(m, m->n - 1, name))
                m->n--;
        }
        return;
    default:
        if (a < m->n)
            (void)may_rename(m, a, name);
    }
}

/* What the stream says at one moment and the catalog at a later one; the attributes' rows are old
 * where they are the same at a third one, before both. */
static struct relation *describe(const struct moment *old, const struct moment *then,
                                 const struct moment *now)
{
    char text[256] = "t", attributes[MOST + 1] = "";
    for (int i = 0; i < then->n; i++) {
        if (!then->names[i])
            continue;
        int at = -1;
        for (int j = 0; j < now->n; j++)
            if (now->names[j] == then->names[i])
                at = j;
        size_t n = strlen(text);
        (void)snprintf(text + n, sizeof text - n, " %c/%d/text", then->names[i], at + 1);
    }
    for (int j = 0; j < now->n; j++) {
        bool same = j < old->n && old->names[j] == now->names[j];
        attributes[j] = now->names[j] ? (same ? 'c' : 'C') : (same ? 'd' : 'D');
    }
    return parse(text, attributes);
}

static void must_be_true(const struct relation *proven, const struct moment *then, uint64_t seed)
{
    uint32_t i = 0;
    for (int a = 0; a < then->n; a++) {
        if (!then->names[a])
            continue;
        int32_t attnum = proven->columns[i++].attnum;
        if (attnum != 0 && attnum != a + 1)
            fail_msg("history %ju: column %u is attribute %d, not %d", (uintmax_t)seed, i, a + 1,
                     attnum);
    }
}

/* Two messages, each with an answer of some later moment, the second perhaps of the same. */
static void nothing_is_proven_that_is_not_true(void **state)
{
    (void)state;
    unsigned known = 0, of = 0;
    for (uint64_t seed = 1; seed <= 200000; seed++) {
        uint64_t random = seed * 0x9e3779b97f4a7c15u;
        struct moment m[12] = {{.names = "iab", .n = 3}};
        size_t n = 1 + seed % 11;
        for (size_t i = 1; i <= n; i++) {
            m[i] = m[i - 1];
            if (random % 3 != 0)
                step(&m[i], &random);
        }
        random = random * 6364136223846793005u + 1;
        size_t first = (random >> 40) % (n + 1), second = first + (random >> 20) % (n + 1 - first);
        size_t now = first + (random >> 50) % (n + 1 - first);
        size_t later = second + (random >> 30) % (n + 1 - second);
        if (later < now)
            later = now;
        struct relation *one = describe(&m[first / 2], &m[first], &m[now]);
        struct relation *two = describe(&m[second / 2], &m[second], &m[later]);
        struct relation *was = prove(NULL, one), *is = prove(was, two);
        must_be_true(was, &m[first], seed);
        must_be_true(is, &m[second], seed);
        of += 2;
        known += relation_is_proven(was) + relation_is_proven(is);
        relation_unref(is);
        relation_unref(was);
        relation_unref(two);
        relation_unref(one);
    }
    /* A proof of nothing would be true as well. */
    assert_true(known > of / 2);
}

/* ---- what older rows hold ---- */

static struct relation *with_files(const char *text, const char *attributes, uint32_t node,
                                   uint32_t toast, char persistence, const char *membership)
{
    struct parsed_relation p;
    struct relation_file file = {16384, node, toast, persistence};
    relation_spec_parse(&(const struct relation_spec){text, 1, 0}, &p);
    p.rel.attributes = attributes;
    p.rel.files = &file;
    p.rel.nfiles = 1;
    p.rel.memberships = &membership;
    p.rel.nmemberships = 1;
    struct relation *rel = read_back(&p.rel);
    free(p.copy);
    return rel;
}

static void a_fill_is_proven_for_what_is_new(void **state)
{
    (void)state;
    static const struct {
        const char *was, *is, *attributes;
        uint32_t node;
        enum fill fill;
    } table[] = {
        {"cc", "t id/1/int4 a/2/text b/3/text", "ccC", 1, FILL_NULL},
        {"cc", "t id/1/int4 a/2/text b/3/text", "ccC", 2, FILL_UNKNOWN}, /* rewritten */
        {"cc", "t id/1/int4 a/2/text b/3/text/=5", "ccC", 1, FILL_VALUE},
        {"cc", "t id/1/int4 a/2/text b/3/text/=5", "ccC", 2, FILL_VALUE},
        {"cc", "t id/1/int4 a/2/text b/3/text/?", "ccC", 1, FILL_UNKNOWN},
        /* It was there, and out of the publication. */
        {"ccx", "t id/1/int4 a/2/text b/3/text", "ccC", 1, FILL_UNKNOWN},
        {"ccx", "t id/1/int4 a/2/text b/3/text/=5", "ccC", 1, FILL_UNKNOWN},
        {"ccC", "t id/1/int4 a/2/text b/3/text", "ccC", 1, FILL_UNKNOWN},
        {"ccP", "t id/1/int4 a/2/text b/3/text/=5", "ccC", 1, FILL_UNKNOWN},
        {"ccc", "t id/1/int4 a/2/text b/3/text/=5", "ccC", 1, FILL_UNKNOWN},
        /* It had been made when the catalog was asked, but not before the message: a generated
         * column has no such value. */
        {"ccC", "t id/1/int4 a/2/text b/3/text/=5", "ccC", 1, FILL_VALUE},
        /* As ADD COLUMN wrote it: it was never generated, and had no default. */
        {"ccA", "t id/1/int4 a/2/text b/3/text", "ccC", 1, FILL_NULL},
        {"ccA", "t id/1/int4 a/2/text b/3/text", "ccc", 1, FILL_NULL},
        {"ccA", "t id/1/int4 a/2/text b/3/text", "ccC", 2, FILL_UNKNOWN},
        /* A description of an older version does not say what there was. */
        {NULL, "t id/1/int4 a/2/text b/3/text", "ccC", 1, FILL_UNKNOWN},
        /* Nor does one of now where the table is gone. */
        {"cc", "t id/1/int4 a/2/text b/3/text", NULL, 1, FILL_UNKNOWN},
    };
    for (size_t i = 0; i < LENGTH(table); i++) {
        struct relation *was = with_files("t id/1/int4 a/2/text", table[i].was, 1, 0, 'p', "p");
        struct relation *is =
            with_files(table[i].is, table[i].attributes, table[i].node, 0, 'p', "p");
        struct relation *proven = prove(was, is);
        if (proven->columns[2].fill != table[i].fill)
            fail_msg("case %zu: %d", i, proven->columns[2].fill);
        relation_unref(proven);
        relation_unref(is);
        relation_unref(was);
    }
}

/* One that comes after this description is new, even where the catalog showed it already. */
static void what_came_later_is_not_remembered(void **state)
{
    (void)state;
    struct relation *first = with_files("t id/1/int4", "c", 1, 0, 'p', "p");
    struct relation *second = with_files("t id/1/int4", "cCC", 1, 0, 'p', "p");
    struct relation *elsewhere = with_files("t id/1/int4", "cCC", 1, 0, 'p', "q");
    struct relation *rewritten = with_files("t id/1/int4", "cCC", 2, 0, 'p', "p");
    struct relation *generated = with_files("t id/1/int4", "cCX", 1, 0, 'p', "p");
    struct relation *p;
    assert_string_equal((p = prove(first, second))->attributes, "c");
    relation_unref(p);
    assert_string_equal((p = prove(first, elsewhere))->attributes, "cCC");
    relation_unref(p);
    assert_string_equal((p = prove(first, rewritten))->attributes, "cCC");
    relation_unref(p);
    assert_string_equal((p = prove(first, generated))->attributes, "cCX");
    relation_unref(p);
    assert_string_equal((p = prove(NULL, second))->attributes, "cCC");
    relation_unref(p);
    /* Nor what was a column and is dropped: it went before. */
    struct relation *both = with_files("t id/1/int4 a/2/text", "cc", 1, 0, 'p', "p");
    struct relation *one = with_files("t id/1/int4", "cDC", 1, 0, 'p', "p");
    struct relation *again = with_files("t id/1/int4 a/3/text", "cDC", 1, 0, 'p', "p");
    struct relation *q = prove(both, one);
    assert_string_equal(q->attributes, "cd");
    p = prove(q, again);
    assert_int_equal(p->columns[1].attnum, 3);
    assert_int_equal(p->columns[1].fill, FILL_NULL);
    assert_string_equal(p->attributes, "cdC");
    relation_unref(p);
    relation_unref(q);
    relation_unref(both);
    relation_unref(one);
    relation_unref(again);
    relation_unref(first);
    relation_unref(second);
    relation_unref(elsewhere);
    relation_unref(rewritten);
    relation_unref(generated);
}

/* ---- doubts ---- */

static struct relation *with_parts(const char *parts)
{
    struct parsed_relation p;
    const char *texts[4];
    uint32_t n = 0;
    char *copy = strdup(parts), *rest = copy;
    assert_non_null(copy);
    relation_spec_parse(&(const struct relation_spec){"t id/1/int4 a/2/text", 1, 0}, &p);
    for (char *part; (part = strsep(&rest, ","));)
        texts[n++] = part;
    p.columns[1].type_parts = texts;
    p.columns[1].ntype_parts = n;
    struct relation *rel = read_back(&p.rel);
    free(p.copy);
    free(copy);
    return rel;
}

static void doubt(struct relation *was, struct relation *is, const char *text)
{
    const char *why = relation_doubt(was, is);
    if (text ? !why || !strstr(why, text) : why != NULL)
        fail_msg("\"%s\" instead of \"%s\"", why ? why : "", text ? text : "");
    relation_unref(was);
    relation_unref(is);
}

static void rows_may_have_changed_unseen(void **state)
{
    (void)state;
#define A(node, toast, persistence, membership)                                                    \
    with_files("t id/1/int4 a/2/text", "cc", node, toast, persistence, membership)
    doubt(A(1, 5, 'p', "p"), A(1, 5, 'p', "p"), NULL);
    doubt(A(1, 5, 'p', "p"), A(2, 5, 'p', "p"), NULL); /* TRUNCATE, VACUUM FULL */
    doubt(A(1, 5, 'p', "p"), A(2, 6, 'p', "p"), "ALTER TABLE rewrote its rows");
    doubt(A(1, 0, 'p', "p"), A(1, 6, 'p', "p"), NULL); /* the first long column */
    doubt(A(1, 5, 'p', "p"), A(1, 5, 'U', "p"), "UNLOGGED now");
    doubt(A(1, 5, 'p', "p"), A(1, 5, 'u', "p"), "UNLOGGED now");
    doubt(A(1, 5, 'u', "p"), A(1, 5, 'u', "p"), NULL);
    /* Perhaps it was written anew later: that is for a later description to say. */
    struct relation *was = A(1, 5, 'p', "p"), *later = A(2, 6, 'P', "p");
    struct relation *proven = prove(was, later);
    assert_null(relation_doubt(was, proven));
    doubt(proven, A(2, 6, 'p', "p"), "ALTER TABLE rewrote its rows");
    relation_unref(was);
    relation_unref(later);
    doubt(A(1, 5, 'p', "p"), A(1, 5, 'p', "q"), "its place in the publication changed");
    /* A wider integer has the table written anew as well; longer text or a new column has not. */
    doubt(with_files("t id/1/int4 a/2/text", "cc", 1, 5, 'p', "p"),
          with_files("t id/1/int8 a/2/text", "cc", 2, 6, 'p', "p"), NULL);
    doubt(with_files("t id/1/int4 a/2/varchar(5)", "cc", 1, 5, 'p', "p"),
          with_files("t id/1/int4 a/2/varchar(9)", "cc", 2, 6, 'p', "p"), "rewrote its rows");
    doubt(with_files("t id/1/int4 a/2/text", "cc", 1, 5, 'p', "p"),
          with_files("t id/1/int4 a/2/text b/3/text/=5", "ccc", 2, 6, 'p', "p"),
          "rewrote its rows");
    doubt(with_files("t id/1/int4 a/2/text", "cc", 1, 5, 'p', "p"),
          with_files("t id/1/int4 a/2/text b/3/text/?", "ccc", 2, 6, 'p', "p"), NULL);
#undef A
    doubt(with_parts("1 new,2 done"), with_parts("1 new,2 done"), NULL);
    doubt(with_parts("1 new,2 done"), with_parts("1 new,2 done,3 gone"), NULL);
    doubt(with_parts("1 new,2 done"), with_parts("1 new,2 finished"), "a label of an enum type");
    doubt(with_parts("9 1 2"), with_parts("9 1 2 3"), "an attribute of a composite type");
}

static struct relation *with_memberships(const char *a, const char *b)
{
    struct parsed_relation p;
    const char *texts[] = {a, b};
    relation_spec_parse(&(const struct relation_spec){"t id/1/int4", 1, 0}, &p);
    p.rel.memberships = texts;
    p.rel.nmemberships = b ? 2 : 1;
    struct relation *rel = read_back(&p.rel);
    free(p.copy);
    return rel;
}

static void a_way_that_was_open_throughout_is_enough(void **state)
{
    (void)state;
    doubt(with_memberships("p", NULL), with_memberships("p", "q"), NULL);
    doubt(with_memberships("p", "q"), with_memberships("p", NULL), NULL);
    doubt(with_memberships("p filtered", NULL), with_memberships("p filtered", NULL), NULL);
    doubt(with_memberships("p filtered", NULL), with_memberships("p filtered", "q"), "row filter");
    doubt(with_memberships("p filtered", "q"), with_memberships("p filtered", "r"), "row filter");
    doubt(with_memberships("p: table 1", NULL), with_memberships("p: table 2", NULL), "taken out");
    doubt(with_memberships("p: table 1", NULL), with_memberships("p: table 2 {1,2}", NULL), NULL);
    doubt(with_memberships("p: table 1 {1}", NULL), with_memberships("p: table 2", NULL), NULL);
    doubt(with_memberships("p: table 1 {1}", NULL), with_memberships("q: table 2", NULL), "taken");
    doubt(with_memberships("p: table 1 {1}", NULL), with_memberships("p: schema 2", NULL), "taken");
    doubt(with_memberships("p: table 1 {1}", NULL),
          with_memberships("p: table 2 filtered {2}", NULL), "row filter");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(columns_are_proven_by_their_attributes),
        cmocka_unit_test(nothing_is_proven_that_is_not_true),
        cmocka_unit_test(a_fill_is_proven_for_what_is_new),
        cmocka_unit_test(what_came_later_is_not_remembered),
        cmocka_unit_test(rows_may_have_changed_unseen),
        cmocka_unit_test(a_way_that_was_open_throughout_is_enough),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
