#include "samples.h"

#include "frames/frame.h"
#include "frames/frame_writer.h"
#include "frames/relation.h"

static void put_hello(struct buf *out)
{
    const struct frame_hello h = {
        .format_version = 1,
        .producer = bytes_of("pg-capture"),
        .producer_version = bytes_of("0.1.0"),
        .system_identifier = bytes_of("7576098117218652432"),
        .timeline = 2,
        .database = bytes_of("shop"),
        .slot = bytes_of("cdc_slot"),
        .npublications = 2,
        .publications = {bytes_of("one"), bytes_of("two")},
        .start_lsn = 0x100000002,
        .slot_created = true,
        .wal_lsn = UINT64_MAX,
        .server_version = 150018,
        .protocol_version = 4,
        .options = bytes_of("streaming 'on'"),
        .ntimelines = 1,
        .timelines = {{1, 0x100000001}},
    };
    frame_put_hello(out, &h);
}

static void put_bare_hello(struct buf *out)
{
    const struct frame_hello h = {.format_version = 1};
    frame_put_hello(out, &h);
}

static void put_type(struct buf *out)
{
    const struct frame_type_info y = {UINT32_MAX, bytes_of("public"), bytes_of("mood")};
    frame_put_type(out, &y);
}

static void put_begin(struct buf *out)
{
    const struct frame_begin b = {700, 0x1500, -5};
    frame_put_begin(out, &b);
}

static void put_extreme_begin(struct buf *out)
{
    const struct frame_begin b = {UINT32_MAX, UINT64_MAX, INT64_MIN};
    frame_put_begin(out, &b);
}

static void put_commit(struct buf *out)
{
    const struct frame_commit c = {700, 0x1500, 0x1600, INT64_MAX, 4};
    frame_put_commit(out, &c);
}

static void put_stream_start(struct buf *out)
{
    const struct frame_stream_start s = {701, true};
    frame_put_stream_start(out, &s);
}

static void put_stream_commit(struct buf *out)
{
    const struct frame_stream_commit c = {701, 65535, 65536, 7};
    frame_put_stream_commit(out, &c);
}

static void put_stream_abort(struct buf *out)
{
    const struct frame_stream_abort a = {701, 702, 255, 256};
    frame_put_stream_abort(out, &a);
}

static const struct frame_prepare prepare = {
    .xid = 703, .prepare_lsn = 127, .end_lsn = 128, .prepare_time_us = -1, .gid = {"gid 1", 5}};

static void put_begin_prepare(struct buf *out)
{
    frame_put_prepare(out, FRAME_BEGIN_PREPARE, &prepare);
}

static void put_prepare(struct buf *out)
{
    frame_put_prepare(out, FRAME_PREPARE, &prepare);
}

static void put_stream_prepare(struct buf *out)
{
    frame_put_prepare(out, FRAME_STREAM_PREPARE, &prepare);
}

static void put_commit_prepared(struct buf *out)
{
    const struct frame_commit_prepared k = {703, 1, 2, 3, bytes_of("g")};
    frame_put_commit_prepared(out, &k);
}

static void put_rollback_prepared(struct buf *out)
{
    const struct frame_rollback_prepared r = {703, 1, 2, -32, -33, bytes_of("")};
    frame_put_rollback_prepared(out, &r);
}

static void put_origin(struct buf *out)
{
    const struct frame_origin o = {0x77, bytes_of("other")};
    frame_put_origin(out, &o);
}

static void put_message(struct buf *out)
{
    const struct frame_message m = {true, 700, 0x1400, bytes_of("prefix"), {"a\0b", 3}};
    frame_put_message(out, &m);
}

static void put_progress(struct buf *out)
{
    const struct frame_progress k = {0x1c00, 3};
    frame_put_progress(out, &k);
}

static void put_copy_due(struct buf *out)
{
    const struct frame_copy_due w = {16384};
    frame_put_copy_due(out, &w);
}

static void put_copy_begin(struct buf *out)
{
    const struct frame_copy_begin x = {16384, 2, 0x1c00, bytes_of("700:705:700,703")};
    frame_put_copy_begin(out, &x);
}

static void put_copy_end(struct buf *out)
{
    const struct frame_copy_end x = {16384, 3, bytes_of("1\t500"), bytes_of("plain\ti\tn\n")};
    frame_put_copy_end(out, &x);
}

static void put_end(struct buf *out)
{
    const struct frame_end z = {bytes_of("stopped"), 0x1c00};
    frame_put_end(out, &z);
}

static void put_truncate(struct buf *out)
{
    const struct frame_truncate t = {700, 3, true, false};
    const uint32_t relids[] = {16384, 1, UINT32_MAX};
    frame_put_truncate(out, &t, relids);
}

static void put_empty_truncate(struct buf *out)
{
    const struct frame_truncate t = {700, 0, false, true};
    frame_put_truncate(out, &t, NULL);
}

static const struct value one_of_each[] = {
    {VALUE_TEXT, 1, "1"},       {VALUE_NULL, 0, NULL}, {VALUE_BYTES, 2, "\0\1"},
    {VALUE_UNCHANGED, 0, NULL}, {VALUE_TEXT, 0, ""},
};

static void pack_tuple(struct frame_writer *w, const struct value *values, uint32_t n)
{
    if (!values) {
        (void)msgpack_pack_nil(&w->pk);
        return;
    }
    (void)msgpack_pack_array(&w->pk, n);
    for (uint32_t i = 0; i < n; i++)
        frame_pack_value(w, &values[i]);
}

static void put_change(struct buf *out, enum frame_type type, char old_kind,
                       const struct value *old, const struct value *new)
{
    const struct frame_change change = {700, 16384, old_kind};
    const uint32_t n = sizeof one_of_each / sizeof *one_of_each;
    struct frame_writer w;
    frame_open_change(&w, out, type, &change);
    pack_tuple(&w, old, n);
    pack_tuple(&w, new, n);
    frame_close(&w);
}

static void put_insert(struct buf *out)
{
    put_change(out, FRAME_INSERT, 0, NULL, one_of_each);
}

static void put_update(struct buf *out)
{
    put_change(out, FRAME_UPDATE, 0, NULL, one_of_each);
}

static void put_key_update(struct buf *out)
{
    put_change(out, FRAME_UPDATE, 'K', one_of_each, one_of_each);
}

static void put_delete(struct buf *out)
{
    put_change(out, FRAME_DELETE, 'O', one_of_each, NULL);
}

static void put_columnless_insert(struct buf *out)
{
    const struct frame_change change = {700, 16384, 0};
    struct frame_writer w;
    frame_open_change(&w, out, FRAME_INSERT, &change);
    pack_tuple(&w, NULL, 0);
    pack_tuple(&w, one_of_each, 0);
    frame_close(&w);
}

static struct column sample_columns[] = {
    {.name = "id",
     .type_oid = 20,
     .base_type_oid = 20,
     .typmod = -1,
     .attnum = 1,
     .key = true,
     .not_null = true,
     .type_name = "bigint",
     .fill = FILL_NULL},
    {.name = "price",
     .type_oid = 16500,
     .base_type_oid = 1700,
     .typmod = 655366,
     .attnum = 3,
     .type_name = "price_domain",
     .fill = FILL_VALUE,
     .fill_value = "1.50",
     .fill_size = 4},
    {.name = "blob",
     .type_oid = 17,
     .base_type_oid = 17,
     .typmod = -1,
     .attnum = 4,
     .type_name = "bytea",
     .fill = FILL_VALUE,
     .fill_is_bytes = true,
     .fill_value = "\0\1",
     .fill_size = 2},
    {.name = "gone",
     .type_oid = 25,
     .base_type_oid = 25,
     .typmod = -1,
     .type_name = "",
     .fill = FILL_UNKNOWN},
};

static void put_relation(struct buf *out)
{
    uint32_t pk[] = {1, 0};
    const struct relation rel = {
        .relid = 16384,
        .namespace = "public",
        .name = "t",
        .replica_identity = REPLICA_IDENTITY_INDEX,
        .primary_key_known = true,
        .ncolumns = sizeof sample_columns / sizeof *sample_columns,
        .columns = sample_columns,
        .npk = 2,
        .pk = pk,
    };
    relation_to_frame(&rel, out);
}

/* With all that the catalog says. */
static void put_keyless_relation(struct buf *out)
{
    const char *parts[] = {"16500 new", "16502 done"};
    const char *memberships[] = {"publication 16389 (iudt): all tables"};
    struct relation_file files[] = {{1, 16400, 16403, 'p'}, {70000, 70004, 0, 'U'}};
    struct column mood = sample_columns[0];
    mood.type_parts = parts;
    mood.ntype_parts = 2;
    const struct relation rel = {
        .relid = 1,
        .namespace = "s",
        .name = "n",
        .replica_identity = REPLICA_IDENTITY_FULL,
        .primary_key_known = true,
        .ncolumns = 1,
        .columns = &mood,
        .attributes = "cDxP",
        .files = files,
        .nfiles = 2,
        .memberships = memberships,
        .nmemberships = 1,
    };
    relation_to_frame(&rel, out);
}

static void put_columnless_relation(struct buf *out)
{
    const struct relation rel = {
        .relid = 2, .namespace = "s", .name = "n", .replica_identity = REPLICA_IDENTITY_NOTHING};
    relation_to_frame(&rel, out);
}

const struct sample samples[] = {
    {"hello", FRAME_HELLO,
     "1 \"pg-capture\" \"0.1.0\" \"7576098117218652432\" 2 \"shop\" \"cdc_slot\" [\"one\", \"two\"] "
     "4294967298 true 18446744073709551615 150018 4 \"streaming 'on'\" [[1, 4294967297]]",
     put_hello},
    {"bare hello", FRAME_HELLO, "1 \"\" \"\" \"\" 0 \"\" \"\" [] 0 false 0 0 0 \"\" []",
     put_bare_hello},
    {"type", FRAME_TYPE, "4294967295 \"public\" \"mood\"", put_type},
    {"begin", FRAME_BEGIN, "700 5376 -5", put_begin},
    {"extreme begin", FRAME_BEGIN, "4294967295 18446744073709551615 -9223372036854775808",
     put_extreme_begin},
    {"insert", FRAME_INSERT, "700 16384 nil nil [\"1\", nil, \"\\x00\\x01\", (ext: 117)\"\", \"\"]",
     put_insert},
    {"insert without columns", FRAME_INSERT, "700 16384 nil nil []", put_columnless_insert},
    {"update", FRAME_UPDATE, "700 16384 nil nil [\"1\", nil, \"\\x00\\x01\", (ext: 117)\"\", \"\"]",
     put_update},
    {"key update", FRAME_UPDATE,
     "700 16384 \"K\" [\"1\", nil, \"\\x00\\x01\", (ext: 117)\"\", \"\"] "
     "[\"1\", nil, \"\\x00\\x01\", (ext: 117)\"\", \"\"]",
     put_key_update},
    {"delete", FRAME_DELETE,
     "700 16384 \"O\" [\"1\", nil, \"\\x00\\x01\", (ext: 117)\"\", \"\"] nil", put_delete},
    {"truncate", FRAME_TRUNCATE, "700 [16384, 1, 4294967295] true false", put_truncate},
    {"truncate of nothing", FRAME_TRUNCATE, "700 [] false true", put_empty_truncate},
    {"commit", FRAME_COMMIT, "700 5376 5632 9223372036854775807 4", put_commit},
    {"stream start", FRAME_STREAM_START, "701 true", put_stream_start},
    {"stream stop", FRAME_STREAM_STOP, "", frame_put_stream_stop},
    {"stream commit", FRAME_STREAM_COMMIT, "701 65535 65536 7", put_stream_commit},
    {"stream abort", FRAME_STREAM_ABORT, "701 702 255 256", put_stream_abort},
    {"begin prepare", FRAME_BEGIN_PREPARE, "703 127 128 -1 \"gid 1\"", put_begin_prepare},
    {"prepare", FRAME_PREPARE, "703 127 128 -1 \"gid 1\"", put_prepare},
    {"stream prepare", FRAME_STREAM_PREPARE, "703 127 128 -1 \"gid 1\"", put_stream_prepare},
    {"commit prepared", FRAME_COMMIT_PREPARED, "703 1 2 3 \"g\"", put_commit_prepared},
    {"rollback prepared", FRAME_ROLLBACK_PREPARED, "703 1 2 -32 -33 \"\"", put_rollback_prepared},
    {"origin", FRAME_ORIGIN, "119 \"other\"", put_origin},
    {"message", FRAME_MESSAGE, "true 700 5120 \"prefix\" \"a\\x00b\"", put_message},
    {"progress", FRAME_PROGRESS, "7168 3", put_progress},
    {"copy due", FRAME_COPY_DUE, "16384", put_copy_due},
    {"copy begin", FRAME_COPY_BEGIN, "16384 2 7168 \"700:705:700,703\"", put_copy_begin},
    {"copy end", FRAME_COPY_END, "16384 3 \"1\t500\" \"plain\ti\tn\n\"", put_copy_end},
    {"end", FRAME_END, "\"stopped\" 7168", put_end},
    {"relation", FRAME_RELATION,
     "16384 \"public\" \"t\" \"i\" [[\"id\", 20, -1, true, 1, true, 20, \"bigint\", nil], "
     "[\"price\", 16500, 655366, false, 3, false, 1700, \"price_domain\", \"1.50\"], "
     "[\"blob\", 17, -1, false, 4, false, 17, \"bytea\", \"\\x00\\x01\"], "
     "[\"gone\", 25, -1, false, nil, nil, nil, nil, false]] [1, 0]",
     put_relation},
    {"relation without a key", FRAME_RELATION,
     "1 \"s\" \"n\" \"f\" [[\"id\", 20, -1, true, 1, true, 20, \"bigint\", nil, [\"16500 new\", "
     "\"16502 done\"]]] [] \"cDxP\" [[1, 16400, 16403, \"p\"], [70000, 70004, 0, \"U\"]] "
     "[\"publication 16389 (iudt): all tables\"]",
     put_keyless_relation},
    {"relation without columns or catalog", FRAME_RELATION, "2 \"s\" \"n\" \"n\" [] nil",
     put_columnless_relation},
};

const size_t nsamples = sizeof samples / sizeof *samples;

struct frame sample_frame(const struct buf *b)
{
    return (struct frame){
        .type = (enum frame_type)b->data[5],
        .body = b->data + 6,
        .size = (uint32_t)(b->len - 6),
    };
}
