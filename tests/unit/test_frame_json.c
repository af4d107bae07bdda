/* frame-dump/: frames as JSON, and what the summary counts. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#include <jansson.h>

#include "frame-dump/frame_json.h"
#include "frame-dump/json_fields.h"
#include "frame-dump/summary.h"
#include "frames/frame.h"
#include "frames/frame_writer.h"
#include "samples.h"

#define LENGTH(a) (sizeof(a) / sizeof *(a))

/* The line for a frame at byte 5, without its newline. The caller frees it. */
static char *line_of(const struct buf *frame, struct relmap *relations)
{
    struct frame f = sample_frame(frame);
    struct buf out = {0};
    struct err err = {0};
    assert_int_equal(frame_json(&f, 5, relations, &out, &err), 0);
    assert_int_equal(out.data[out.len - 1], '\n');
    assert_null(memchr(out.data, '\n', out.len - 1));
    out.len--;
    char *line = strdup(buf_cstr(&out));
    assert_non_null(line);
    buf_free(&out);
    return line;
}

static const struct {
    const char *sample, *json;
} lines[] = {
    {"hello",
     "{\"type\":\"hello\",\"offset\":5,\"format_version\":1,\"producer\":\"pg-capture\","
     "\"producer_version\":\"0.1.0\",\"system_identifier\":\"7576098117218652432\",\"timeline\":2,"
     "\"database\":\"shop\",\"slot\":\"cdc_slot\",\"publications\":[\"one\",\"two\"],"
     "\"start_lsn\":\"1/2\",\"slot_created\":true,\"wal_lsn\":\"FFFFFFFF/FFFFFFFF\","
     "\"server_version\":150018,\"protocol_version\":4,\"options\":\"streaming 'on'\","
     "\"timelines\":[{\"timeline\":1,\"end_lsn\":\"1/1\"}]}"},
    {"bare hello",
     "{\"type\":\"hello\",\"offset\":5,\"format_version\":1,\"producer\":\"\","
     "\"producer_version\":\"\",\"system_identifier\":\"\",\"timeline\":0,\"database\":\"\","
     "\"slot\":\"\",\"publications\":[],\"start_lsn\":null,\"slot_created\":false,"
     "\"wal_lsn\":null,\"server_version\":0,\"protocol_version\":0,\"options\":\"\",\"timelines\":[]}"},
    {"type",
     "{\"type\":\"type\",\"offset\":5,\"oid\":4294967295,\"namespace\":\"public\",\"name\":\"mood\"}"},
    {"begin", "{\"type\":\"begin\",\"offset\":5,\"xid\":700,\"final_lsn\":\"0/1500\","
              "\"commit_time\":\"1999-12-31 23:59:59.999995+00:00\"}"},
    {"extreme begin", "{\"type\":\"begin\",\"offset\":5,\"xid\":4294967295,"
                      "\"final_lsn\":\"FFFFFFFF/FFFFFFFF\",\"commit_time\":\"-infinity\"}"},
    {"insert", "{\"type\":\"insert\",\"offset\":5,\"xid\":700,\"relid\":16384,\"relation\":null,"
               "\"new\":[\"1\",null,{\"bytes\":\"0001\"},{\"unchanged\":true},\"\"]}"},
    {"insert without columns", "{\"type\":\"insert\",\"offset\":5,\"xid\":700,\"relid\":16384,"
                               "\"relation\":null,\"new\":[]}"},
    {"update", "{\"type\":\"update\",\"offset\":5,\"xid\":700,\"relid\":16384,\"relation\":null,"
               "\"new\":[\"1\",null,{\"bytes\":\"0001\"},{\"unchanged\":true},\"\"]}"},
    {"key update",
     "{\"type\":\"update\",\"offset\":5,\"xid\":700,\"relid\":16384,\"relation\":null,"
     "\"key\":[\"1\",null,{\"bytes\":\"0001\"},{\"unchanged\":true},\"\"],"
     "\"new\":[\"1\",null,{\"bytes\":\"0001\"},{\"unchanged\":true},\"\"]}"},
    {"delete", "{\"type\":\"delete\",\"offset\":5,\"xid\":700,\"relid\":16384,\"relation\":null,"
               "\"old\":[\"1\",null,{\"bytes\":\"0001\"},{\"unchanged\":true},\"\"]}"},
    {"truncate", "{\"type\":\"truncate\",\"offset\":5,\"xid\":700,\"relids\":[16384,1,4294967295],"
                 "\"relations\":[null,null,null],\"cascade\":true,\"restart_identity\":false}"},
    {"truncate of nothing", "{\"type\":\"truncate\",\"offset\":5,\"xid\":700,\"relids\":[],"
                            "\"relations\":[],\"cascade\":false,\"restart_identity\":true}"},
    {"commit", "{\"type\":\"commit\",\"offset\":5,\"xid\":700,\"commit_lsn\":\"0/1500\","
               "\"end_lsn\":\"0/1600\",\"commit_time\":\"infinity\",\"nchanges\":4}"},
    {"stream start", "{\"type\":\"stream_start\",\"offset\":5,\"xid\":701,\"first\":true}"},
    {"stream stop", "{\"type\":\"stream_stop\",\"offset\":5}"},
    {"stream commit",
     "{\"type\":\"stream_commit\",\"offset\":5,\"xid\":701,\"commit_lsn\":\"0/FFFF\","
     "\"end_lsn\":\"0/10000\",\"commit_time\":\"2000-01-01 00:00:00.000007+00:00\"}"},
    {"stream abort", "{\"type\":\"stream_abort\",\"offset\":5,\"xid\":701,\"subxid\":702,"
                     "\"abort_lsn\":\"0/FF\",\"abort_time\":\"2000-01-01 00:00:00.000256+00:00\"}"},
    {"begin prepare",
     "{\"type\":\"begin_prepare\",\"offset\":5,\"xid\":703,\"prepare_lsn\":\"0/7F\","
     "\"end_lsn\":\"0/80\",\"prepare_time\":\"1999-12-31 23:59:59.999999+00:00\","
     "\"gid\":\"gid 1\"}"},
    {"prepare", "{\"type\":\"prepare\",\"offset\":5,\"xid\":703,\"prepare_lsn\":\"0/7F\","
                "\"end_lsn\":\"0/80\",\"prepare_time\":\"1999-12-31 23:59:59.999999+00:00\","
                "\"gid\":\"gid 1\"}"},
    {"stream prepare",
     "{\"type\":\"stream_prepare\",\"offset\":5,\"xid\":703,\"prepare_lsn\":\"0/7F\","
     "\"end_lsn\":\"0/80\",\"prepare_time\":\"1999-12-31 23:59:59.999999+00:00\","
     "\"gid\":\"gid 1\"}"},
    {"commit prepared",
     "{\"type\":\"commit_prepared\",\"offset\":5,\"xid\":703,\"commit_lsn\":\"0/1\","
     "\"end_lsn\":\"0/2\",\"commit_time\":\"2000-01-01 00:00:00.000003+00:00\","
     "\"gid\":\"g\"}"},
    {"rollback prepared", "{\"type\":\"rollback_prepared\",\"offset\":5,\"xid\":703,"
                          "\"prepare_end_lsn\":\"0/1\",\"rollback_end_lsn\":\"0/2\","
                          "\"prepare_time\":\"1999-12-31 23:59:59.999968+00:00\","
                          "\"rollback_time\":\"1999-12-31 23:59:59.999967+00:00\",\"gid\":\"\"}"},
    {"origin", "{\"type\":\"origin\",\"offset\":5,\"commit_lsn\":\"0/77\",\"name\":\"other\"}"},
    {"message", "{\"type\":\"message\",\"offset\":5,\"transactional\":true,\"xid\":700,"
                "\"lsn\":\"0/1400\",\"prefix\":\"prefix\",\"content\":{\"bytes\":\"610062\"}}"},
    {"progress", "{\"type\":\"progress\",\"offset\":5,\"lsn\":\"0/1C00\","
                 "\"server_time\":\"2000-01-01 00:00:00.000003+00:00\"}"},
    {"copy due", "{\"type\":\"copy_due\",\"offset\":5,\"relid\":16384}"},
    {"copy begin", "{\"type\":\"copy_begin\",\"offset\":5,\"relid\":16384,\"chunk\":2,"
                   "\"lsn\":\"0/1C00\",\"snapshot\":\"700:705:700,703\"}"},
    {"copy end", "{\"type\":\"copy_end\",\"offset\":5,\"relid\":16384,\"nrows\":3,"
                 "\"next\":\"1\\t500\",\"indexes\":\"plain\\ti\\tn\\n\"}"},
    {"end", "{\"type\":\"end\",\"offset\":5,\"why\":\"stopped\",\"last_lsn\":\"0/1C00\"}"},
    {"relation",
     "{\"type\":\"relation\",\"offset\":5,\"relid\":16384,\"relation\":\"public.t\","
     "\"namespace\":\"public\",\"name\":\"t\",\"replica_identity\":\"index\",\"columns\":["
     "{\"name\":\"id\",\"type_oid\":20,\"typmod\":-1,\"key\":true,\"attnum\":1,\"not_null\":true,"
     "\"base_type_oid\":20,\"type_name\":\"bigint\",\"fill\":null},"
     "{\"name\":\"price\",\"type_oid\":16500,\"typmod\":655366,\"key\":false,\"attnum\":3,"
     "\"not_null\":false,\"base_type_oid\":1700,\"type_name\":\"price_domain\",\"fill\":\"1.50\"},"
     "{\"name\":\"blob\",\"type_oid\":17,\"typmod\":-1,\"key\":false,\"attnum\":4,\"not_null\":false,"
     "\"base_type_oid\":17,\"type_name\":\"bytea\",\"fill\":{\"bytes\":\"0001\"}},"
     "{\"name\":\"gone\",\"type_oid\":25,\"typmod\":-1,\"key\":false,\"fill\":{\"unknown\":true}}],"
     "\"primary_key\":[\"price\",\"id\"]}"},
    {"relation without a key",
     "{\"type\":\"relation\",\"offset\":5,\"relid\":1,\"relation\":\"s.n\",\"namespace\":\"s\","
     "\"name\":\"n\",\"replica_identity\":\"full\",\"columns\":[{\"name\":\"id\",\"type_oid\":20,"
     "\"typmod\":-1,\"key\":true,\"attnum\":1,\"not_null\":true,\"base_type_oid\":20,"
     "\"type_name\":\"bigint\",\"fill\":null,\"type_parts\":[\"16500 new\",\"16502 done\"]}],"
     "\"primary_key\":[],\"attributes\":\"cDxP\",\"files\":[{\"relid\":1,"
     "\"relfilenode\":16400,\"reltoastrelid\":16403,\"relpersistence\":\"p\"},"
     "{\"relid\":70000,\"relfilenode\":70004,\"reltoastrelid\":0,"
     "\"relpersistence\":\"U\"}],"
     "\"memberships\":[\"publication 16389 (iudt): all tables\"]}"},
    {"relation without columns or catalog",
     "{\"type\":\"relation\",\"offset\":5,\"relid\":2,\"relation\":\"s.n\",\"namespace\":\"s\","
     "\"name\":\"n\",\"replica_identity\":\"nothing\",\"columns\":[],\"primary_key\":null}"},
};

static void every_frame_has_its_line(void **state)
{
    (void)state;
    assert_int_equal(LENGTH(lines), nsamples);
    struct relmap none = {0};
    for (size_t i = 0; i < nsamples; i++) {
        size_t at = 0;
        while (strcmp(lines[at].sample, samples[i].name) != 0)
            assert_true(++at < LENGTH(lines));
        struct buf b = {0};
        samples[i].put(&b);
        char *line = line_of(&b, &none);
        assert_string_equal(line, lines[at].json);
        free(line);
        buf_free(&b);
    }
}

/* A relation with a key column, another one, and one whose name is not UTF-8. */
static void put_relation(struct relmap *relations, uint32_t relid, const char *name,
                         uint32_t ncolumns)
{
    struct column columns[] = {
        {.name = "id", .key = true, .type_name = ""},
        {.name = "v\"1", .type_name = ""},
        {.name = "\xe9", .key = true, .type_name = ""},
        {.name = "w", .type_name = ""},
        {.name = "x", .type_name = ""},
    };
    const struct relation rel = {.relid = relid,
                                 .namespace = "public",
                                 .name = name,
                                 .replica_identity = 'd',
                                 .ncolumns = ncolumns,
                                 .columns = columns};
    struct buf b = {0};
    relation_to_frame(&rel, &b);
    struct frame f = sample_frame(&b);
    struct relation *copy;
    struct err err = {0};
    assert_int_equal(relation_from_frame(&f, &copy, &err), 0);
    assert_int_equal(relmap_set(relations, copy, &err), 0);
    relation_unref(copy);
    buf_free(&b);
}

static void put_tuple(struct frame_writer *w, const struct value *values, uint32_t n)
{
    if (!values) {
        (void)msgpack_pack_nil(&w->pk);
        return;
    }
    (void)msgpack_pack_array(&w->pk, n);
    for (uint32_t i = 0; i < n; i++)
        frame_pack_value(w, &values[i]);
}

static void a_tuple_takes_its_columns_names(void **state)
{
    (void)state;
    static const struct value row[] = {
        {VALUE_TEXT, 2, "a\0"}, {VALUE_TEXT, 2, "\xc3\x28"}, {VALUE_TEXT, 5, "\"\n\\\xc3\xa9"}};
    static const struct {
        enum frame_type type;
        char kind;
        uint32_t n;
        const char *json; /* after the relation */
    } cases[] = {
        {FRAME_INSERT, 0, 3,
         "\"new\":{\"id\":\"a\\u0000\",\"v\\\"1\":{\"text_bytes\":\"c328\"},\"\\\\xe9\":\"\\\"\\n\\\\\xc3\xa9\"}}"},
        {FRAME_DELETE, 'K', 3,
         "\"key\":{\"id\":\"a\\u0000\",\"\\\\xe9\":\"\\\"\\n\\\\\xc3\xa9\"}}"},
        {FRAME_DELETE, 'O', 3,
         "\"old\":{\"id\":\"a\\u0000\",\"v\\\"1\":{\"text_bytes\":\"c328\"},\"\\\\xe9\":\"\\\"\\n\\\\\xc3\xa9\"}}"},
    };
    struct relmap relations = {0};
    put_relation(&relations, 16384, "before", 2);
    put_relation(&relations, 7, "another", 3);
    put_relation(&relations, 16384, "t", 3);
    for (size_t i = 0; i < LENGTH(cases); i++) {
        const struct frame_change change = {700, 16384, cases[i].kind};
        struct frame_writer w;
        struct buf b = {0};
        frame_open_change(&w, &b, cases[i].type, &change);
        put_tuple(&w, cases[i].kind ? row : NULL, cases[i].n);
        put_tuple(&w, cases[i].kind ? NULL : row, cases[i].n);
        frame_close(&w);
        char *line = line_of(&b, &relations);
        const char *rest = strstr(line, "\"relation\":\"public.t\",");
        assert_non_null(rest);
        assert_string_equal(rest + strlen("\"relation\":\"public.t\","), cases[i].json);
        json_t *parsed = json_loads(line, JSON_ALLOW_NUL, NULL);
        assert_non_null(parsed);
        json_decref(parsed);
        free(line);
        buf_free(&b);
    }
    relmap_clear(&relations);
}

static void tuples_that_do_not_belong_are_refused(void **state)
{
    (void)state;
    static const struct {
        enum frame_type type;
        const char *body;
        size_t size;
    } cases[] = {
        {FRAME_INSERT, "\x01\x02\xc0\xc0\xc0", 5},      /* no new tuple */
        {FRAME_INSERT, "\x01\x02\xc0\x90\x90", 5},      /* an old one */
        {FRAME_UPDATE, "\x01\x02\xa1K\xc0\x90", 6},     /* a kind without its tuple */
        {FRAME_UPDATE, "\x01\x02\xc0\x90\x90", 5},      /* a tuple without its kind */
        {FRAME_UPDATE, "\x01\x02\xa1K\x91\xc0\x90", 7}, /* of different lengths */
        {FRAME_DELETE, "\x01\x02\xa1K\x90\x90", 6},     /* a new one */
        {FRAME_DELETE, "\x01\x02\xa1K\xc0\xc0", 6},     /* none */
    };
    struct relmap none = {0};
    for (size_t i = 0; i < LENGTH(cases); i++) {
        const struct frame f = {cases[i].type, (const uint8_t *)cases[i].body,
                                (uint32_t)cases[i].size};
        struct buf out = {0};
        struct summary s = {0};
        struct err err = {0};
        assert_int_equal(frame_json(&f, 0, &none, &out, &err), -1);
        assert_int_equal(err.kind, ERR_PERMANENT);
        assert_int_equal(out.len, 0);
        assert_int_equal(summary_count(&s, &f, &none, &err), -1);
        assert_int_equal(s.bytes, 0);
        buf_free(&out);
        summary_free(&s);
    }
}

static void numbers_beyond_64_signed_bits_are_strings(void **state)
{
    (void)state;
    static const struct {
        uint64_t number;
        const char *json;
    } cases[] = {
        {0, "0"},
        {INT64_MAX, "9223372036854775807"},
        {(uint64_t)INT64_MAX + 1, "\"9223372036854775808\""},
        {UINT64_MAX, "\"18446744073709551615\""},
    };
    for (size_t i = 0; i < LENGTH(cases); i++) {
        json_t *json = json_u64(cases[i].number);
        char *text = json_dumps(json, JSON_ENCODE_ANY);
        assert_string_equal(text, cases[i].json);
        free(text);
        json_decref(json);
    }
}

static void the_summary_counts(void **state)
{
    (void)state;
    struct relmap relations = {0};
    struct summary s = {0};
    struct err err = {0};
    struct buf out = {0};
    put_relation(&relations, 16384, "t", 5);
    for (size_t i = 0; i < nsamples; i++) {
        if (strcmp(samples[i].name, "extreme begin") == 0 || /* its LSN would hide the others */
            strcmp(samples[i].name, "insert without columns") == 0) /* not of this relation */
            continue;
        struct buf b = {0};
        samples[i].put(&b);
        struct frame f = sample_frame(&b);
        assert_int_equal(summary_count(&s, &f, &relations, &err), 0);
        s.bytes += b.len;
        buf_free(&b);
    }
    assert_int_equal(summary_json(&s, true, &out, &err), 0);
    json_t *json = json_loads(buf_cstr(&out), 0, NULL);
    assert_non_null(json);
    int committed, rolled_back, complete, inserts, updates, deletes, truncates, others, prepares;
    json_int_t total;
    const char *first, *last;
    assert_int_equal(
        json_unpack(
            json, "{s:I, s:s, s:s, s:i, s:i, s:b, s:{s:i}, s:{s:{s:i, s:i, s:i, s:i}, s:{s:i}}}",
            "bytes", &total, "first_lsn", &first, "last_lsn", &last, "committed", &committed,
            "rolled_back", &rolled_back, "complete", &complete, "frames", "begin_prepare",
            &prepares, "tables", "public.t", "insert", &inserts, "update", &updates, "delete",
            &deletes, "truncate", &truncates, "relid 4294967295", "truncate", &others),
        0);
    assert_true((uint64_t)total == s.bytes);
    assert_string_equal(first, "0/1");    /* the prepared transactions' */
    assert_string_equal(last, "0/10000"); /* the stream commit's end */
    assert_int_equal(committed, 3);       /* commit, stream commit, commit prepared */
    assert_int_equal(rolled_back, 1);     /* the stream abort is a subtransaction's */
    assert_int_equal(complete, 1);
    assert_int_equal(prepares, 1);
    assert_int_equal(inserts, 1);
    assert_int_equal(updates, 2);
    assert_int_equal(deletes, 1);
    assert_int_equal(truncates, 1);
    assert_int_equal(others, 1);
    json_decref(json);
    buf_free(&out);
    summary_free(&s);
    relmap_clear(&relations);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_frame_has_its_line),
        cmocka_unit_test(a_tuple_takes_its_columns_names),
        cmocka_unit_test(tuples_that_do_not_belong_are_refused),
        cmocka_unit_test(numbers_beyond_64_signed_bits_are_strings),
        cmocka_unit_test(the_summary_counts),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
