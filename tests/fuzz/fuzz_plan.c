/*
 * fuzz_plan.c - any two descriptions of a relation, and any table, into what is proven and what is
 * done.
 *
 * An input is what the target remembers, what the catalog says now, and the columns of the table.
 * What must hold: what is proven is a relation that can be written and read, whose columns are
 * different attributes in their order, and that proves itself; and where there is a plan, each step
 * can be carried out, and the table has every column of the relation afterwards.
 */
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "frames/pg_type.h"
#include "sql/described.h"
#include "sql/relation_proof.h"
#include "sql/schema_plan.h"
#include "tests/fuzz/input.h"

#define MAX_COLUMNS 5

struct description {
    struct column columns[MAX_COLUMNS];
    uint32_t pk[MAX_COLUMNS];
    char attributes[12];
    struct relation_file files[2];
    const char *memberships[1];
    struct relation rel;
};

static const char *const names[] = {"a", "b", "c", "A", "d"};
static const char *const ways[] = {"publication 1/1: all tables", "publication 1/2: all tables"};

static void read_column(struct input *in, struct column *c, unsigned at)
{
    static const struct {
        uint32_t oid;
        int32_t typmod;
        const char *name;
    } types[] = {{PG_TYPE_INT4, -1, "integer"},
                 {PG_TYPE_INT8, -1, "bigint"},
                 {PG_TYPE_TEXT, -1, "text"},
                 {PG_TYPE_VARCHAR, 9, "character varying(5)"}};
    static const char *parts[] = {"1 label"};
    uint8_t form = input_u8(in), more = input_u8(in);
    *c = (struct column){.name = names[(at + (form & 3 ? 0 : form >> 2 & 3)) % 5],
                         .type_oid = types[form >> 4 & 3].oid,
                         .base_type_oid = types[form >> 4 & 3].oid,
                         .typmod = types[form >> 4 & 3].typmod,
                         .type_name = types[form >> 4 & 3].name,
                         .attnum = more & 7,
                         .key = more & 8,
                         .not_null = more & 16,
                         .fill = (enum fill)((more >> 5) % 3),
                         .fill_value = "5",
                         .fill_size = 1,
                         .type_parts = form & 64 ? parts : NULL,
                         .ntype_parts = form & 64 ? 1 : 0};
}

/* Whether the column may stand behind those that are there: no two have one name, or are one
 * attribute. */
static bool is_another(const struct relation *rel, const struct column *c)
{
    for (uint32_t i = 0; i < rel->ncolumns; i++)
        if (strcmp(rel->columns[i].name, c->name) == 0 ||
            (c->attnum != 0 && rel->columns[i].attnum == c->attnum))
            return false;
    return true;
}

static struct relation *describe(struct input *in, uint32_t relid)
{
    struct description d;
    struct buf frame = {0};
    struct relation *rel;
    struct err err = {0};
    uint8_t form = input_u8(in), more = input_u8(in);
    memset(&d, 0, sizeof d);
    d.rel = (struct relation){.relid = relid,
                              .namespace = "public",
                              .name = form & 128 ? "t" : "u",
                              .replica_identity = "dnfi"[more & 3],
                              .primary_key_known = more & 4,
                              .columns = d.columns,
                              .pk = d.pk};
    for (unsigned i = 0; i < form % (MAX_COLUMNS + 1); i++) {
        read_column(in, &d.columns[d.rel.ncolumns], i);
        d.rel.ncolumns += is_another(&d.rel, &d.columns[d.rel.ncolumns]);
    }
    d.rel.npk = d.rel.ncolumns > 0 && more & 8 && more & 4;
    if (more & 16) {
        size_t n = input_below(in, sizeof d.attributes);
        for (size_t i = 0; i < n; i++)
            d.attributes[i] = ATTRIBUTE_STATES[input_below(in, sizeof ATTRIBUTE_STATES - 1)];
        d.rel.attributes = d.attributes;
        d.rel.files = d.files;
        d.rel.nfiles = more >> 5 & 1;
        d.files[0] = (struct relation_file){relid, 10 + (more >> 6), 20, 'p'};
        d.memberships[0] = ways[more >> 7];
        d.rel.memberships = d.memberships;
        d.rel.nmemberships = 1;
    }
    relation_to_frame(&d.rel, &frame);
    check(relation_from_bytes(frame.data, frame.len, &rel, &err) == 0, "a relation is not read");
    buf_free(&frame);
    return rel;
}

static void check_proven(struct relation *is, struct relation *proven)
{
    int32_t last = 0;
    size_t n = proven->attributes ? strlen(proven->attributes) : 0;
    struct relation *again, *read;
    struct buf frame = {0};
    struct err err = {0};
    check(proven->ncolumns == is->ncolumns, "columns are lost in a proof");
    for (uint32_t i = 0; i < proven->ncolumns && proven->attributes; i++) {
        int32_t attnum = proven->columns[i].attnum;
        check(attnum == 0 || (attnum > last && (size_t)attnum <= n),
              "columns that are no attributes, in order");
        last = attnum ? attnum : last;
    }
    relation_to_frame(proven, &frame);
    check(relation_from_bytes(frame.data, frame.len, &read, &err) == 0, "a proof is not read");
    check(relation_prove(NULL, read, &again, &err) == 0, "what is proven cannot be read again");
    relation_unref(again);
    relation_unref(read);
    buf_free(&frame);
    (void)relation_is_proven(proven);
    (void)relation_doubt(proven, proven);
}

/* ---- the plan ---- */

static bool alike(void *ctx, const struct column *a, const struct column *b)
{
    (void)ctx;
    return a->base_type_oid == b->base_type_oid;
}

static bool holds(void *ctx, const struct column *c, const struct described_column *there)
{
    (void)ctx;
    return c->base_type_oid != PG_TYPE_INT8 || strcmp(there->type, "any") == 0;
}

/* The table as the steps leave it: the names of its columns. */
struct table {
    const char *columns[32];
    size_t n;
    bool exists;
};

static size_t place_of(const struct table *t, const char *name)
{
    size_t i = 0;
    while (i < t->n && strcmp(t->columns[i], name) != 0)
        i++;
    return i;
}

static void carry_out(struct table *t, const struct step *s)
{
    const char *column = s->rel->ncolumns > s->column ? s->rel->columns[s->column].name : NULL;
    size_t at;
    switch (s->kind) {
    case STEP_CREATE_TABLE:
        check(!t->exists, "a table is made that is there");
        t->exists = true;
        t->n = 0;
        for (uint32_t i = 0; i < s->rel->ncolumns; i++)
            t->columns[t->n++] = s->rel->columns[i].name;
        break;
    case STEP_RENAME_TABLE:
        check(t->exists, "a table is renamed that is not there");
        break;
    case STEP_DROP_COLUMN:
        at = place_of(t, s->name);
        check(at < t->n, "a column is dropped that is not there");
        t->columns[at] = t->columns[--t->n];
        break;
    case STEP_RENAME_COLUMN:
        at = place_of(t, s->name);
        check(at < t->n && place_of(t, s->to) == t->n,
              "a column is renamed that is not there, or to one that is");
        t->columns[at] = s->to;
        break;
    case STEP_WIDEN_COLUMN:
    case STEP_DROP_DEFAULT:
        check(column && place_of(t, column) < t->n, "a column is changed that is not there");
        break;
    case STEP_ADD_COLUMN:
        check(column && place_of(t, column) == t->n, "a column is added that is there");
        t->columns[t->n++] = column;
        break;
    case STEP_CREATE_INDEX:
        check(false, "an index is part of a plan");
        break;
    case STEP_DROP_TABLE:
    case STEP_REPLACE_TABLE:
        check(false, "a step that no plan of a change has");
    }
}

static void check_plan(const struct plan_input *p, const struct schema_plan *plan)
{
    const struct described_table *from =
        p->there->exists || !p->was_there ? p->there : p->was_there;
    struct table t = {.exists = from->exists};
    for (size_t i = 0; i < from->ncolumns; i++)
        t.columns[t.n++] = from->columns[i].name;
    for (size_t i = 0; i < plan->n; i++)
        carry_out(&t, &plan->steps[i]);
    check(t.exists, "there is no table after the plan");
    /* Where somebody took a column away by hand, or a name that is all that is known of a column
     * is another's now, the binding says so. */
    if (p->was && (!p->is->attributes || !relation_is_proven(p->is)))
        return;
    for (uint32_t i = 0; p->was && i < p->was->ncolumns; i++)
        if (!described_find(from, p->was->columns[i].name))
            return;
    for (uint32_t i = 0; i < p->is->ncolumns; i++)
        check(place_of(&t, p->is->columns[i].name) < t.n, "a column is missing after the plan");
}

static void read_table(struct input *in, struct described_table *t, const struct relation *like)
{
    struct err err = {0};
    uint8_t form = input_u8(in), missing = input_u8(in);
    described_init(t);
    t->exists = form & 1;
    t->empty = form & 2;
    for (uint32_t i = 0; t->exists && like && i < like->ncolumns; i++)
        if (!(missing >> i & 1))
            described_add_column(t, like->columns[i].name)->type = form & 4 ? "any" : "small";
    if (t->exists && form & 8)
        (void)described_add_column(t, "extra");
    check(described_check(t, &err) == 0, "no memory");
}

static void make_plan(struct input *in, struct relation *was, const struct relation *claimed,
                      struct relation *is)
{
    struct described_table there, was_there;
    uint8_t form = input_u8(in);
    bool renamed = was && strcmp(was->name, is->name) != 0;
    read_table(in, &there, was ? was : is);
    read_table(in, &was_there, was);
    const struct plan_input p = {.policy = (enum ddl_policy)(form % 3),
                                 .is = is,
                                 .claimed = claimed,
                                 .name = is->name,
                                 .was = was,
                                 .was_name = was ? was->name : NULL,
                                 .owner = form & 4 ? 7 : 0,
                                 .there = &there,
                                 .was_there = renamed ? &was_there : NULL,
                                 .types = {NULL, alike, holds, form & 8, form & 16}};
    struct schema_plan plan = {0};
    struct err err = {0};
    (void)schema_plan_needs_rows(is, was, &there);
    if (schema_plan_make(&p, &plan, &err))
        check_refusal(&err);
    else
        check_plan(&p, &plan);
    schema_plan_free(&plan);
    described_free(&there);
    described_free(&was_there);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct input in = input(data, size);
    struct err err = {0};
    struct relation *first = describe(&in, 7), *second = describe(&in, 7), *was, *is;
    bool met = input_u8(&in) & 1;
    check(relation_prove(NULL, first, &was, &err) == 0, "nothing can be said");
    check_proven(first, was);
    if (relation_prove(met ? was : NULL, second, &is, &err) == 0) {
        check_proven(second, is);
        if (met)
            (void)relation_doubt(was, is);
        make_plan(&in, met ? was : NULL, second, is);
        relation_unref(is);
    } else {
        check_refusal(&err);
    }
    relation_unref(was);
    relation_unref(first);
    relation_unref(second);
    return 0;
}
