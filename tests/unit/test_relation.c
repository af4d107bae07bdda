/* common/frames/relation.c: R frames to relations and back. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "frames/frame.h"
#include "frames/frame_writer.h"
#include "frames/relmap.h"
#include "samples.h"

#define LENGTH(a) (sizeof(a) / sizeof *(a))

static const struct sample *sample_named(const char *name)
{
    for (size_t i = 0; i < nsamples; i++)
        if (strcmp(samples[i].name, name) == 0)
            return &samples[i];
    fail_msg("no sample %s", name);
    return NULL;
}

static struct relation *read_sample(const char *name)
{
    struct buf b = {0};
    sample_named(name)->put(&b);
    struct frame f = sample_frame(&b);
    struct relation *rel;
    struct err err = {0};
    assert_int_equal(relation_from_frame(&f, &rel, &err), 0);
    buf_free(&b); /* a relation owns what it points to */
    return rel;
}

static void a_relation_has_what_its_frame_says(void **state)
{
    (void)state;
    struct relation *rel = read_sample("relation");
    assert_int_equal(rel->relid, 16384);
    assert_string_equal(rel->namespace, "public");
    assert_string_equal(rel->name, "t");
    assert_int_equal(rel->replica_identity, REPLICA_IDENTITY_INDEX);
    assert_int_equal(rel->ncolumns, 4);
    assert_true(rel->primary_key_known);
    assert_int_equal(rel->npk, 2);
    assert_int_equal(rel->pk[0], 1);
    assert_int_equal(rel->pk[1], 0);

    const struct column *col = &rel->columns[0];
    assert_string_equal(col->name, "id");
    assert_int_equal(col->type_oid, 20);
    assert_int_equal(col->typmod, -1);
    assert_int_equal(col->attnum, 1);
    assert_true(col->key && col->not_null);
    assert_string_equal(col->type_name, "bigint");
    assert_int_equal(col->fill, FILL_NULL);

    col = &rel->columns[1];
    assert_int_equal(col->type_oid, 16500);
    assert_int_equal(col->base_type_oid, 1700);
    assert_int_equal(col->typmod, 655366);
    assert_int_equal(col->attnum, 3);
    assert_true(!col->key && !col->not_null);
    assert_int_equal(col->fill, FILL_VALUE);
    assert_false(col->fill_is_bytes);
    assert_int_equal(col->fill_size, 4);
    assert_string_equal(col->fill_value, "1.50");

    col = &rel->columns[2];
    assert_int_equal(col->fill, FILL_VALUE);
    assert_true(col->fill_is_bytes);
    assert_int_equal(col->fill_size, 2);
    assert_memory_equal(col->fill_value, "\0\1", 2);

    col = &rel->columns[3]; /* the catalog does not have it */
    assert_string_equal(col->name, "gone");
    assert_int_equal(col->attnum, 0);
    assert_false(col->not_null);
    assert_int_equal(col->base_type_oid, col->type_oid);
    assert_string_equal(col->type_name, "");
    assert_int_equal(col->fill, FILL_UNKNOWN);

    assert_int_equal(relation_column(rel, "blob"), 2);
    assert_int_equal(relation_column(rel, "Blob"), -1);
    assert_int_equal(relation_column(rel, ""), -1);
    relation_unref(rel);
}

static void a_relation_may_have_no_columns_and_no_catalog(void **state)
{
    (void)state;
    struct relation *rel = read_sample("relation without columns or catalog");
    assert_int_equal(rel->ncolumns, 0);
    assert_false(rel->primary_key_known);
    assert_int_equal(rel->npk, 0);
    assert_int_equal(relation_column(rel, "id"), -1);
    relation_unref(rel);

    rel = read_sample("relation without a key");
    assert_true(rel->primary_key_known);
    assert_int_equal(rel->npk, 0);
    relation_unref(rel);
    relation_unref(NULL);
}

/* The bytes of the frame stay with what they say, and two readers of the same frame have the same.
 */
static void a_relation_keeps_its_frame(void **state)
{
    (void)state;
    struct buf b = {0}, other = {0};
    sample_named("relation")->put(&b);
    sample_named("relation without a key")->put(&other);
    struct frame f = sample_frame(&b), g = sample_frame(&other);
    struct relation *one = read_sample("relation"), *same = read_sample("relation");
    struct relation *another = read_sample("relation without a key");
    assert_int_equal(one->frame_size, b.len);
    assert_memory_equal(one->frame, b.data, b.len);
    assert_int_equal(relation_frame_relid(&f), one->relid);
    assert_true(relation_is_of_frame(one, &f) && !relation_is_of_frame(one, &g));
    assert_true(relation_same_frame(one, same) && relation_same_frame(one, one));
    assert_false(relation_same_frame(one, another));
    const struct relation by_hand = *one;
    assert_true(relation_same_frame(one, &by_hand));
    assert_false(relation_same_frame(one, &(struct relation){.relid = one->relid}));
    assert_false(relation_is_of_frame(&(struct relation){.relid = one->relid}, &f));
    relation_unref(one);
    relation_unref(same);
    relation_unref(another);
    buf_free(&b);
    buf_free(&other);
}

/*
 * Integers and strings may stand in any width, and a reader does not depend on ours: what it keeps
 * and compares is the frame as it came, not as we would have written it.
 */
static void a_frame_of_another_writer_is_kept_as_it_came(void **state)
{
    (void)state;
    static const uint8_t wide[] = {0xc9, 0, 0,   0,    16, 'R', 0xce, 0, 0,   0,    2,
                                   0xd9, 1, 's', 0xd9, 1,  'n', 0xd9, 1, 'n', 0x90, 0xc0};
    struct relation *rel, *ours = read_sample("relation without columns or catalog");
    struct buf b = {0};
    struct err err = {0};
    assert_int_equal(relation_from_bytes(wide, sizeof wide, &rel, &err), 0);
    assert_int_equal(rel->relid, ours->relid);
    assert_int_equal(rel->frame_size, sizeof wide);
    assert_memory_equal(rel->frame, wide, sizeof wide);
    assert_true(relation_same_message(rel, ours));
    assert_false(relation_same_frame(rel, ours));
    relation_to_frame(rel, &b);
    assert_int_equal(b.len, ours->frame_size);
    assert_memory_equal(b.data, ours->frame, b.len);
    buf_free(&b);
    relation_unref(rel);
    relation_unref(ours);
}

/* Of a domain, the modifier is what the catalog said, when it said something. */
static void a_message_is_the_same_by_what_the_server_said(void **state)
{
    (void)state;
    struct column columns[2][1] = {{{.name = "v", .type_oid = 1043, .type_name = "", .typmod = 14}},
                                   {{.name = "v", .type_oid = 1043, .type_name = "", .typmod = 7}}};
    struct relation rels[2];
    for (int i = 0; i < 2; i++) {
        columns[i][0].base_type_oid = 1043;
        rels[i] = (struct relation){.relid = 1,
                                    .namespace = "s",
                                    .name = "t",
                                    .replica_identity = REPLICA_IDENTITY_DEFAULT,
                                    .ncolumns = 1,
                                    .columns = columns[i]};
    }
    assert_false(relation_same_message(&rels[0], &rels[1]));
    columns[1][0].typmod = 14;
    assert_true(relation_same_message(&rels[0], &rels[1]));
    columns[0][0].type_oid = columns[1][0].type_oid = 17500;
    columns[0][0].base_type_oid = 17500; /* not known yet */
    columns[0][0].typmod = -1;
    assert_true(relation_same_message(&rels[0], &rels[1]));
    /* Whether a table has partitions, and what identifies their rows, the catalog says. */
    columns[0][0].key = true;
    assert_false(relation_same_message(&rels[0], &rels[1]));
    rels[1].replica_identity = REPLICA_IDENTITY_PARTITION;
    assert_true(relation_same_message(&rels[0], &rels[1]));
    rels[1].replica_identity = REPLICA_IDENTITY_FULL;
    assert_false(relation_same_message(&rels[0], &rels[1]));
}

static void a_relation_lives_as_long_as_its_last_reference(void **state)
{
    (void)state;
    struct relation *rel = read_sample("relation");
    struct relation *more = relation_ref(rel);
    assert_ptr_equal(rel, more);
    relation_unref(rel);
    assert_string_equal(more->name, "t"); /* a sanitizer sees it if it is gone */
    relation_unref(more);
}

static void a_map_has_the_last_version_of_each_relid(void **state)
{
    (void)state;
    struct relation *one = read_sample("relation"), *same = read_sample("relation");
    struct relation *other = read_sample("relation without a key"), *got;
    const struct frame f = {FRAME_RELATION, one->frame + FRAME_HEADER_SIZE,
                            (uint32_t)(one->frame_size - FRAME_HEADER_SIZE)};
    struct relmap map = {0};
    struct buf frames = {0};
    struct err err = {0};
    assert_null(relmap_get(&map, one->relid));
    assert_int_equal(relmap_read(&map, &f, &got, &err), 0);
    assert_true(got != one && relation_same_frame(got, one));
    relation_unref(got);

    assert_int_equal(relmap_set(&map, same, &err), 0);
    assert_int_equal(relmap_set(&map, other, &err), 0);
    assert_int_equal(relmap_set(&map, one, &err), 0);
    relation_unref(same); /* the map has given its own up */
    assert_ptr_equal(relmap_get(&map, one->relid), one);
    assert_ptr_equal(relmap_get(&map, other->relid), other);
    assert_int_equal(relmap_read(&map, &f, &got, &err), 0);
    assert_ptr_equal(got, one);
    relation_unref(got);

    relmap_put_frames(&map, &frames);
    assert_int_equal(frames.len, one->frame_size + other->frame_size);
    assert_memory_equal(frames.data, one->frame, one->frame_size);
    buf_free(&frames);
    relmap_clear(&map);
    assert_null(relmap_get(&map, one->relid));
    assert_string_equal(one->name, "t");
    relation_unref(one);
    relation_unref(other);
}

static void only_one_whole_relation_frame_is_a_relation(void **state)
{
    (void)state;
    struct buf b = {0};
    struct relation *rel;
    sample_named("relation")->put(&b);
    buf_append(&b, "", 1);
    for (size_t size = 0; size <= b.len; size++) {
        struct err err = {0};
        int rc = relation_from_bytes(b.data, size, &rel, &err);
        assert_int_equal(rc, size == b.len - 1 ? 0 : -1);
        assert_int_equal(err.kind, rc ? ERR_PERMANENT : ERR_NONE);
        if (rc == 0)
            relation_unref(rel);
    }
    struct err err = {0};
    b.data[FRAME_HEADER_SIZE - 1] = FRAME_TYPE;
    assert_int_equal(relation_from_bytes(b.data, b.len - 1, &rel, &err), -1);
    assert_int_equal(err.kind, ERR_PERMANENT);
    buf_free(&b);
}

/* What a bad R frame is made of: the sample's fields, one of them replaced. */
struct parts {
    const char *namespace, *name, *identity;
    size_t name_size;
    uint32_t ncolumns, npk, first_pk;
    const char *column; /* msgpack of one, repeated ncolumns times */
    size_t column_size;
};

#define COLUMN(literal) .column = (literal), .column_size = sizeof(literal) - 1
#define GOOD_COLUMN     COLUMN("\x99\xa1x\x17\xff\xc3\x01\xc3\x17\xa7integer\xc0")

static void put_parts(const struct parts *p, struct buf *out)
{
    struct frame_writer w;
    frame_open(&w, out, FRAME_RELATION);
    (void)msgpack_pack_uint32(&w.pk, 1);
    frame_pack_str(&w, p->namespace);
    frame_pack_bytes_as_str(&w, p->name, p->name_size ? p->name_size : strlen(p->name));
    frame_pack_str(&w, p->identity);
    (void)msgpack_pack_array(&w.pk, p->ncolumns);
    for (uint32_t i = 0; i < p->ncolumns; i++)
        buf_append(out, p->column, p->column_size);
    (void)msgpack_pack_array(&w.pk, p->npk);
    for (uint32_t i = 0; i < p->npk; i++)
        (void)msgpack_pack_uint32(&w.pk, i ? 0 : p->first_pk);
    frame_close(&w);
}

static void attributes_are_limited(void **state)
{
    (void)state;
    char attributes[FRAME_MAX_COLUMNS + 2] = {0};
    memset(attributes, ATTRIBUTE_DROPPED, FRAME_MAX_COLUMNS);
    const struct relation rel = {.namespace = "s",
                                 .name = "t",
                                 .replica_identity = REPLICA_IDENTITY_NOTHING,
                                 .attributes = attributes};
    for (int more = 0; more < 2; more++) {
        struct buf b = {0};
        struct relation *read = NULL;
        struct err err = {0};
        attributes[FRAME_MAX_COLUMNS] = more ? ATTRIBUTE_DROPPED : '\0';
        relation_to_frame(&rel, &b);
        assert_int_equal(relation_from_bytes(b.data, b.len, &read, &err), more ? -1 : 0);
        assert_true(!more || strstr(err.text, "too many attributes"));
        relation_unref(read);
        buf_free(&b);
    }
}

static void nonsense_is_refused_with_its_reason(void **state)
{
    (void)state;
    char long_name[1026];
    memset(long_name, 'n', sizeof long_name);
    long_name[sizeof long_name - 1] = '\0';
    const struct {
        const char *error; /* NULL: none */
        struct parts parts;
    } cases[] = {
        {NULL, {"s", "n", "d", .ncolumns = 2, .npk = 2, .first_pk = 1, GOOD_COLUMN}},
        {NULL, {"s", long_name, "d", .name_size = 1024, .ncolumns = 1, GOOD_COLUMN}},
        {NULL, {"s", "n", "d", .ncolumns = FRAME_MAX_COLUMNS, GOOD_COLUMN}},
        {NULL, {"s", "n", "d", .ncolumns = 1, .npk = 32, GOOD_COLUMN}},
        {"empty name", {"", "n", "d", .ncolumns = 1, GOOD_COLUMN}},
        {"empty name", {"s", "", "d", .ncolumns = 1, GOOD_COLUMN}},
        {"too long", {"s", long_name, "d", .ncolumns = 1, GOOD_COLUMN}},
        {"a zero in it", {"s", "a\0b", "d", .name_size = 3, .ncolumns = 1, GOOD_COLUMN}},
        {"replica identity", {"s", "n", "x", .ncolumns = 1, GOOD_COLUMN}},
        {"replica identity", {"s", "n", "", .ncolumns = 1, GOOD_COLUMN}},
        {"replica identity", {"s", "n", "df", .ncolumns = 1, GOOD_COLUMN}},
        {"too many columns", {"s", "n", "d", .ncolumns = FRAME_MAX_COLUMNS + 1, GOOD_COLUMN}},
        {"does not have", {"s", "n", "d", .ncolumns = 2, .npk = 1, .first_pk = 2, GOOD_COLUMN}},
        {"does not have", {"s", "n", "d", .ncolumns = 0, .npk = 1, GOOD_COLUMN}},
        {"too many columns in the primary key",
         {"s", "n", "d", .ncolumns = 1, .npk = 33, GOOD_COLUMN}},
        {"array of 9",
         {"s", "n", "d", .ncolumns = 1, COLUMN("\x98\xa1x\x17\xff\xc3\xc0\xc0\xc0\xc0")}},
        {"empty name",
         {"s", "n", "d", .ncolumns = 1, COLUMN("\x99\xa0\x17\xff\xc3\xc0\xc0\xc0\xc0\xc0")}},
        {"true where",
         {"s", "n", "d", .ncolumns = 1, COLUMN("\x99\xa1x\x17\xff\xc3\xc0\xc0\xc0\xc0\xc3")}},
        {"string",
         {"s", "n", "d", .ncolumns = 1, COLUMN("\x99\xa1x\x17\xff\xc3\xc0\xc0\xc0\xc0\x01")}},
        {"boolean",
         {"s", "n", "d", .ncolumns = 1, COLUMN("\x99\xa1x\x17\xff\x01\xc0\xc0\xc0\xc0\xc0")}},
    };
    for (size_t i = 0; i < LENGTH(cases); i++) {
        struct buf b = {0};
        put_parts(&cases[i].parts, &b);
        assert_false(b.failed);
        struct frame f = sample_frame(&b);
        struct relation *rel = NULL;
        struct err err = {0};
        int result = relation_from_frame(&f, &rel, &err);
        buf_free(&b);
        if (!cases[i].error) {
            assert_int_equal(result, 0);
            relation_unref(rel);
            continue;
        }
        assert_int_equal(result, -1);
        assert_int_equal(err.kind, ERR_PERMANENT);
        if (!strstr(err.text, cases[i].error))
            fail_msg("\"%s\" does not say \"%s\"", err.text, cases[i].error);
    }
}

/* 16 million columns in five bytes: the count is refused before anything is sized by it. */
static void a_count_alone_allocates_nothing(void **state)
{
    (void)state;
    static const uint8_t body[] = {0x01, 0xa1, 's',  0xa1, 'n',  0xa1, 'd',
                                   0xdd, 0x01, 0x00, 0x00, 0x00, 0xc0};
    const struct frame f = {FRAME_RELATION, body, sizeof body};
    struct relation *rel;
    struct err err = {0};
    assert_int_equal(relation_from_frame(&f, &rel, &err), -1);
    assert_non_null(strstr(err.text, "count"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_relation_has_what_its_frame_says),
        cmocka_unit_test(a_relation_may_have_no_columns_and_no_catalog),
        cmocka_unit_test(a_relation_keeps_its_frame),
        cmocka_unit_test(a_frame_of_another_writer_is_kept_as_it_came),
        cmocka_unit_test(a_message_is_the_same_by_what_the_server_said),
        cmocka_unit_test(a_relation_lives_as_long_as_its_last_reference),
        cmocka_unit_test(a_map_has_the_last_version_of_each_relid),
        cmocka_unit_test(only_one_whole_relation_frame_is_a_relation),
        cmocka_unit_test(attributes_are_limited),
        cmocka_unit_test(nonsense_is_refused_with_its_reason),
        cmocka_unit_test(a_count_alone_allocates_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
