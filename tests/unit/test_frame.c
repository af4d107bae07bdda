/* common/frames/frame.c: every frame type, written, read back, cut short and damaged. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#include <msgpack.h>

#include "frames/frame.h"
#include "frames/frame_writer.h"
#include "recode.h"
#include "samples.h"

/* Frames are copied to blocks of exactly their size, so that the sanitizers and valgrind see a read
 * beyond the end. */
static struct frame exact_copy(enum frame_type type, const uint8_t *body, size_t size,
                               uint8_t **block)
{
    *block = malloc(size ? size : 1);
    assert_non_null(*block);
    if (size > 0)
        memcpy(*block, body, size);
    return (struct frame){.type = type, .body = *block, .size = (uint32_t)size};
}

/* The decoder's answer, which must be success or a permanent error with a text. */
static bool decodes(const struct frame *f, struct buf *out)
{
    struct err err = {0};
    struct relmap none = {0};
    if (recode(f, &none, out, &err) == 0) {
        assert_int_equal(err.kind, ERR_NONE);
        return true;
    }
    assert_int_equal(err.kind, ERR_PERMANENT);
    assert_true(strlen(err.text) > 0);
    return false;
}

static void written_frames_match_the_format(void **state)
{
    (void)state;
    for (size_t i = 0; i < nsamples; i++) {
        struct buf b = {0};
        samples[i].put(&b);
        assert_false(b.failed);

        msgpack_unpacked whole;
        msgpack_unpacked_init(&whole);
        size_t offset = 0;
        assert_int_equal(msgpack_unpack_next(&whole, (const char *)b.data, b.len, &offset),
                         MSGPACK_UNPACK_SUCCESS);
        assert_int_equal(offset, b.len);
        assert_int_equal(b.data[0], 0xc9);
        assert_int_equal(whole.data.type, MSGPACK_OBJECT_EXT);
        assert_int_equal(whole.data.via.ext.type, samples[i].type);

        char *fields;
        size_t fields_size;
        FILE *text = open_memstream(&fields, &fields_size);
        assert_non_null(text);
        const char *body = whole.data.via.ext.ptr;
        size_t size = whole.data.via.ext.size;
        msgpack_unpacked field;
        msgpack_unpacked_init(&field);
        for (size_t at = 0; at < size;) {
            if (at > 0)
                assert_int_equal(fputc(' ', text), ' ');
            assert_int_equal(msgpack_unpack_next(&field, body, size, &at), MSGPACK_UNPACK_SUCCESS);
            msgpack_object_print(text, field.data);
        }
        assert_int_equal(fclose(text), 0);
        assert_string_equal(fields, samples[i].fields);
        free(fields);
        msgpack_unpacked_destroy(&field);
        msgpack_unpacked_destroy(&whole);
        buf_free(&b);
    }
}

static void every_type_has_a_sample(void **state)
{
    (void)state;
    for (int type = 0; type < 256; type++) {
        bool sampled = false;
        for (size_t i = 0; i < nsamples; i++)
            sampled = sampled || (int)samples[i].type == type;
        assert_int_equal(frame_type_known((uint8_t)type), sampled);
        assert_int_equal(strcmp(frame_type_name((enum frame_type)type), "unknown") != 0, sampled);
        assert_int_equal(frame_is_change((enum frame_type)type),
                         type != 0 && strchr("IUDT", type) != NULL);
    }
}

static void frames_survive_a_round_trip(void **state)
{
    (void)state;
    for (size_t i = 0; i < nsamples; i++) {
        struct buf b = {0}, again = {0};
        samples[i].put(&b);
        struct frame f = sample_frame(&b);
        assert_int_equal(f.type, samples[i].type);
        assert_true(decodes(&f, &again));
        assert_int_equal(again.len, b.len);
        assert_memory_equal(again.data, b.data, b.len);
        buf_free(&again);
        buf_free(&b);
    }
}

static void a_cut_or_longer_body_is_refused(void **state)
{
    (void)state;
    size_t nwhole = 0;
    for (size_t i = 0; i < nsamples; i++) {
        struct buf b = {0}, out = {0};
        samples[i].put(&b);
        struct frame f = sample_frame(&b);
        uint8_t *block;
        for (uint32_t size = 0; size < f.size; size++) {
            struct frame cut = exact_copy(f.type, f.body, size, &block);
            /* A relation is whole without what the catalog says, too. */
            bool whole = f.type == FRAME_RELATION && decodes(&cut, &out);
            if (whole) {
                assert_in_range(out.len, 1, FRAME_HEADER_SIZE + size);
                buf_reset(&out, 0);
            } else {
                assert_false(decodes(&cut, &out));
            }
            nwhole += whole;
            free(block);
        }
        buf_append_byte(&b, 0xc0);
        struct frame longer = exact_copy(f.type, b.data + 6, (size_t)f.size + 1, &block);
        assert_false(decodes(&longer, &out));
        free(block);
        assert_int_equal(out.len, 0);
        buf_free(&out);
        buf_free(&b);
    }
    assert_int_equal(nwhole, 1);
}

static void a_damaged_byte_never_breaks_the_decoder(void **state)
{
    (void)state;
    for (size_t i = 0; i < nsamples; i++) {
        struct buf b = {0};
        samples[i].put(&b);
        uint8_t *block;
        struct frame f = sample_frame(&b);
        f = exact_copy(f.type, f.body, f.size, &block);
        for (uint32_t at = 0; at < f.size; at++) {
            uint8_t was = block[at];
            for (int v = 0; v < 256; v++) {
                struct buf out = {0}, again = {0};
                block[at] = (uint8_t)v;
                if (decodes(&f, &out)) {
                    struct frame second = sample_frame(&out);
                    assert_true(decodes(&second, &again));
                    assert_int_equal(again.len, out.len);
                    assert_memory_equal(again.data, out.data, out.len);
                }
                buf_free(&out);
                buf_free(&again);
            }
            block[at] = was;
        }
        free(block);
        buf_free(&b);
    }
}

static void headers_are_checked(void **state)
{
    (void)state;
    static const struct {
        uint8_t header[FRAME_HEADER_SIZE];
        const char *error; /* NULL: none */
        uint32_t size;
    } cases[] = {
        {{0xc9, 0, 0, 0, 0, 'E'}, NULL, 0},
        {{0xc9, 0x12, 0x34, 0x56, 0x78, 'I'}, NULL, 0x12345678},
        {{0xc9, 0x40, 0, 0, 0, 'Z'}, NULL, FRAME_BODY_MAX},
        {{0xc9, 0x40, 0, 0, 1, 'Z'}, "more than the limit", 0},
        {{0xc9, 0xff, 0xff, 0xff, 0xff, 'H'}, "more than the limit", 0},
        {{0xc8, 0, 0, 0, 0, 'E'}, "not a frame", 0},
        {{'H', 'T', 'T', 'P', '/', '1'}, "not a frame", 0},
        {{0xc9, 0, 0, 0, 0, 'e'}, "unknown type", 0},
        {{0xc9, 0, 0, 0, 0, 0}, "unknown type", 0},
        {{0xc9, 0, 0, 0, 0, 0xff}, "unknown type", 0},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        enum frame_type type;
        uint32_t size;
        struct err err = {0};
        int result = frame_header(cases[i].header, &type, &size, &err);
        assert_int_equal(result, cases[i].error ? -1 : 0);
        if (cases[i].error) {
            assert_int_equal(err.kind, ERR_PERMANENT);
            assert_non_null(strstr(err.text, cases[i].error));
        } else {
            assert_int_equal(type, cases[i].header[5]);
            assert_int_equal(size, cases[i].size);
        }
    }
}

static void an_unknown_version_is_named_before_anything_else(void **state)
{
    (void)state;
    static const uint8_t body[] = {3, 0xc1};
    struct frame f = {FRAME_HELLO, body, sizeof body};
    struct frame_hello h;
    struct err err = {0};
    assert_int_equal(frame_get_hello(&f, &h, &err), -1);
    assert_int_equal(err.kind, ERR_PERMANENT);
    assert_non_null(strstr(err.text, "version 3"));
}

/* A slot is confirmed up to what the server has written. */
static void a_start_beyond_the_wal_is_refused(void **state)
{
    (void)state;
    static const struct {
        uint32_t version;
        uint64_t start_lsn, wal_lsn;
        bool slot_created, good;
    } cases[] = {
        {2, 100, 100, false, true},
        {2, 101, 100, false, false},
        {2, 101, 100, true, false},
        {1, 101, 100, false, false},
        {1, 101, 100, true, true}, /* asked before the slot was made */
        {1, UINT64_C(1) << 40, 100, true, false},
        {2, UINT64_MAX, 0, false, false},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        const struct frame_hello h = {
            .format_version = cases[i].version,
            .start_lsn = cases[i].start_lsn,
            .wal_lsn = cases[i].wal_lsn,
            .slot_created = cases[i].slot_created,
        };
        struct frame_hello read;
        struct buf b = {0};
        struct err err = {0};
        frame_put_hello(&b, &h);
        struct frame f = sample_frame(&b);
        assert_int_equal(frame_get_hello(&f, &read, &err), cases[i].good ? 0 : -1);
        assert_int_equal(err.kind, cases[i].good ? ERR_NONE : ERR_PERMANENT);
        buf_free(&b);
    }
}

static void publications_are_limited(void **state)
{
    (void)state;
    struct frame_hello h = {.format_version = 1, .npublications = FRAME_MAX_PUBLICATIONS};
    for (uint32_t i = 0; i < FRAME_MAX_PUBLICATIONS; i++)
        h.publications[i] = bytes_of("p");
    struct buf b = {0}, out = {0};
    frame_put_hello(&b, &h);
    struct frame f = sample_frame(&b);
    assert_true(decodes(&f, &out));
    uint8_t *count = memchr(b.data, 0xdc, b.len); /* array 16 */
    assert_non_null(count);
    assert_int_equal(count[2], FRAME_MAX_PUBLICATIONS);
    count[2]++;
    assert_false(decodes(&f, &out));
    buf_free(&b);
    buf_free(&out);
}

static void timelines_are_limited(void **state)
{
    (void)state;
    static struct frame_hello h = {.format_version = 1, .ntimelines = FRAME_MAX_TIMELINES};
    struct buf b = {0}, out = {0};
    frame_put_hello(&b, &h);
    struct frame f = sample_frame(&b);
    assert_true(decodes(&f, &out));
    uint8_t *count = memchr(b.data, 0xdc, b.len); /* array 16 */
    assert_non_null(count);
    assert_int_equal(count[1] << 8 | count[2], FRAME_MAX_TIMELINES);
    count[2]++;
    assert_false(decodes(&f, &out));
    buf_free(&b);
    buf_free(&out);
}

static void kinds_of_old_tuples_belong_to_types(void **state)
{
    (void)state;
    static const struct {
        enum frame_type type;
        const char *kind; /* msgpack */
        bool good;
    } cases[] = {
        {FRAME_INSERT, "\xc0", true},   {FRAME_INSERT, "\xa1K", false},
        {FRAME_INSERT, "\xa1O", false}, {FRAME_UPDATE, "\xc0", true},
        {FRAME_UPDATE, "\xa1K", true},  {FRAME_UPDATE, "\xa1O", true},
        {FRAME_UPDATE, "\xa1N", false}, {FRAME_UPDATE, "\xa0", false},
        {FRAME_UPDATE, "\x4b", false},  {FRAME_UPDATE, "\xa2KO", false},
        {FRAME_DELETE, "\xc0", false},  {FRAME_DELETE, "\xa1K", true},
        {FRAME_DELETE, "\xa1O", true},  {FRAME_DELETE, "\xc3", false},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        uint8_t body[8] = {7, 9};
        size_t n = strlen(cases[i].kind);
        memcpy(body + 2, cases[i].kind, n);
        struct frame f = {cases[i].type, body, (uint32_t)(2 + n)};
        struct frame_change change;
        struct mp_cursor c;
        struct err err = {0};
        assert_int_equal(frame_get_change(&f, &change, &c, &err), cases[i].good ? 0 : -1);
        if (!cases[i].good) {
            assert_int_equal(err.kind, ERR_PERMANENT);
            continue;
        }
        assert_int_equal(change.xid, 7);
        assert_int_equal(change.relid, 9);
        assert_int_equal(change.old_kind, n == 2 ? cases[i].kind[1] : 0);
        assert_ptr_equal(c.pos, body + 2 + n);
    }
}

static void tuples_are_read_by_their_length(void **state)
{
    (void)state;
    static const struct {
        const char *bytes;
        size_t size;
        uint32_t n;
        bool got;
        const char *fault; /* NULL: none */
    } cases[] = {
        {"\xc0", 1, 2, false, NULL},
        {"\x90", 1, 0, true, NULL},
        {"\x92\xc0\xa1x", 4, 2, true, NULL},
        {"\x92\xc7\0u\xc4\0", 6, 2, true, NULL},
        {"\x92\xc0\xc0", 3, 1, false, "another number of columns"},
        {"\x92\xc0\xc0", 3, 3, false, "another number of columns"},
        {"\x91\xc7\1u!", 5, 1, false, "unknown ext"},
        {"\x91\xc7\0v", 4, 1, false, "unknown ext"},
        {"\x91\xd4u!", 4, 1, false, "unknown ext"},
        {"\x91\x01", 2, 1, false, "neither"},
        {"\x91\xc3", 2, 1, false, "neither"},
        {"\x91\x90", 2, 1, false, "neither"},
        {"\x91\xca\0\0\0\0", 6, 1, false, "neither"},
        {"\xa1x", 2, 1, false, "not an array"},
        {"", 0, 0, false, "middle of a field"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct value values[4];
        struct mp_cursor c = mp_cursor(cases[i].bytes, cases[i].size);
        assert_int_equal(frame_get_tuple(&c, values, cases[i].n), cases[i].got);
        struct err err = {0};
        assert_int_equal(mp_end(&c, "tuple", &err), cases[i].fault ? -1 : 0);
        if (cases[i].fault)
            assert_non_null(strstr(err.text, cases[i].fault));
    }
}

static void nothing_is_left_of_a_frame_that_found_no_memory(void **state)
{
    (void)state;
    struct buf b = {0};
    samples[0].put(&b);
    size_t len = b.len;
    struct frame_writer w;
    frame_open(&w, &b, FRAME_END);
    frame_pack_str(&w, "why");
    b.failed = true; /* as buf_reserve() leaves it */
    frame_close(&w);
    assert_int_equal(b.len, len);
    struct err err = {0};
    assert_int_equal(buf_check(&b, &err), -1);
    assert_int_equal(err.kind, ERR_TEMPORARY);
    buf_free(&b);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(written_frames_match_the_format),
        cmocka_unit_test(every_type_has_a_sample),
        cmocka_unit_test(frames_survive_a_round_trip),
        cmocka_unit_test(a_cut_or_longer_body_is_refused),
        cmocka_unit_test(a_damaged_byte_never_breaks_the_decoder),
        cmocka_unit_test(headers_are_checked),
        cmocka_unit_test(an_unknown_version_is_named_before_anything_else),
        cmocka_unit_test(a_start_beyond_the_wal_is_refused),
        cmocka_unit_test(publications_are_limited),
        cmocka_unit_test(timelines_are_limited),
        cmocka_unit_test(kinds_of_old_tuples_belong_to_types),
        cmocka_unit_test(tuples_are_read_by_their_length),
        cmocka_unit_test(nothing_is_left_of_a_frame_that_found_no_memory),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
