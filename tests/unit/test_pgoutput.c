/* pg-capture/pgoutput.c: every message of protocol versions 1 to 4, and what must be refused. */
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
#include "frames/pg_type.h"
#include "pg-capture/pgoutput.h"

#define LENGTH(a) (sizeof(a) / sizeof *(a))

/* ---- messages in ---- */

static void put_number(struct buf *b, uint64_t v, int bytes)
{
    for (int i = bytes - 1; i >= 0; i--)
        buf_append_byte(b, (uint8_t)(v >> (8 * i)));
}

/*
 * A message from its fields. Letters of the format: c a byte, 2 4 8 an integer of so many bytes, s
 * a zero-terminated string, t a value as text, n NULL, u unchanged; blanks are for the eye.
 * Integers and bytes come as int, those of 8 bytes as uint64_t.
 */
static void message(struct buf *b, const char *format, ...)
{
    va_list ap;
    va_start(ap, format);
    for (const char *f = format; *f; f++) {
        const char *s;
        switch (*f) {
        case 'c':
            buf_append_byte(b, (uint8_t)va_arg(ap, int));
            break;
        case '2':
        case '4':
            put_number(b, (uint64_t)va_arg(ap, int), *f - '0');
            break;
        case '8':
            put_number(b, va_arg(ap, uint64_t), 8);
            break;
        case 's':
            s = va_arg(ap, const char *);
            buf_append(b, s, strlen(s) + 1);
            break;
        case 't':
            s = va_arg(ap, const char *);
            buf_append_byte(b, 't');
            put_number(b, strlen(s), 4);
            buf_append_str(b, s);
            break;
        case 'n':
        case 'u':
            buf_append_byte(b, (uint8_t)*f);
            break;
        case ' ':
            break;
        default:
            fail_msg("format %c", *f);
        }
    }
    va_end(ap);
}

#define LSN_A  UINT64_C(0x100000010)
#define LSN_B  UINT64_C(0x100000040)
#define TIME_A UINT64_C(1000000)
#define TIME_B ((uint64_t)INT64_C(-5))
#define TABLE  16400

enum { OUTSIDE, TRANSACTION, PREPARE, STREAM, PLACES };

/* The messages that open a place and describe table 16400 (id int4, v text, b bytea) in it. */
static void put_opening(struct buf *b, int place)
{
    if (place == TRANSACTION)
        message(b, "c884", 'B', LSN_A, TIME_A, 700);
    else if (place == PREPARE)
        message(b, "c8884s", 'b', LSN_A, LSN_B, TIME_A, 700, "gid");
    else if (place == STREAM)
        message(b, "c4c", 'S', 700, 1);
}

static void put_xid(struct buf *b, char type, int place)
{
    buf_append_byte(b, (uint8_t)type);
    if (place == STREAM)
        put_number(b, 701, 4);
}

static void put_relation(struct buf *b, int place)
{
    put_xid(b, 'R', place);
    message(b, "4 s s c 2", TABLE, "public", "t", 'd', 3);
    message(b, "c s 4 4", 1, "id", PG_TYPE_INT4, -1);
    message(b, "c s 4 4", 0, "v", PG_TYPE_TEXT, -1);
    message(b, "c s 4 4", 0, "b", PG_TYPE_BYTEA, -1);
}

static void put_type(struct buf *b, int place)
{
    put_xid(b, 'Y', place);
    message(b, "4ss", 17000, "public", "mood");
}

static void put_insert(struct buf *b, int place)
{
    put_xid(b, 'I', place);
    message(b, "4c 2 t n t", TABLE, 'N', 3, "1", "\\x00Ff");
}

static void put_update(struct buf *b, int place)
{
    put_xid(b, 'U', place);
    message(b, "4c 2 t u t", TABLE, 'N', 3, "1", "\\x");
}

static void put_update_key(struct buf *b, int place)
{
    put_xid(b, 'U', place);
    message(b, "4c 2 t n n", TABLE, 'K', 3, "1");
    message(b, "c 2 t t n", 'N', 3, "2", "");
}

static void put_update_full(struct buf *b, int place)
{
    put_xid(b, 'U', place);
    message(b, "4c 2 t t n", TABLE, 'O', 3, "1", "toasted");
    message(b, "c 2 t u n", 'N', 3, "1");
}

static void put_delete(struct buf *b, int place)
{
    put_xid(b, 'D', place);
    message(b, "4c 2 t n n", TABLE, 'K', 3, "1");
}

static void put_delete_full(struct buf *b, int place)
{
    put_xid(b, 'D', place);
    message(b, "4c 2 t t n", TABLE, 'O', 3, "1", "x");
}

static void put_truncate(struct buf *b, int place)
{
    put_xid(b, 'T', place);
    message(b, "4c 44", 2, 3, TABLE, TABLE);
}

static void put_message(struct buf *b, int place)
{
    put_xid(b, 'M', place);
    message(b, "c8s4 cc", 1, LSN_A, "prefix", 2, 0, 0xff);
}

static void put_loose_message(struct buf *b, int place)
{
    put_xid(b, 'M', place);
    message(b, "c8s4", 0, LSN_A, "", 0);
}

static void put_begin(struct buf *b, int place)
{
    (void)place;
    message(b, "c884", 'B', LSN_A, TIME_B, -1);
}

static void put_commit(struct buf *b, int place)
{
    (void)place;
    message(b, "cc888", 'C', 0, LSN_A, LSN_B, TIME_A);
}

static void put_origin(struct buf *b, int place)
{
    (void)place;
    message(b, "c8s", 'O', LSN_B, "node");
}

static void put_stream_start(struct buf *b, int place)
{
    (void)place;
    message(b, "c4c", 'S', 800, 0);
}

static void put_stream_stop(struct buf *b, int place)
{
    (void)place;
    message(b, "c", 'E');
}

static void put_stream_commit(struct buf *b, int place)
{
    (void)place;
    message(b, "c4c888", 'c', 800, 0, LSN_A, LSN_B, TIME_A);
}

static void put_stream_abort(struct buf *b, int place)
{
    (void)place;
    message(b, "c44", 'A', 800, 801);
}

static void put_parallel_abort(struct buf *b, int place)
{
    put_stream_abort(b, place);
    message(b, "88", LSN_A, TIME_A);
}

static void put_begin_prepare(struct buf *b, int place)
{
    (void)place;
    message(b, "c8884s", 'b', LSN_A, LSN_B, TIME_A, 800, "g'1");
}

static void put_prepare(struct buf *b, int place)
{
    (void)place;
    message(b, "cc8884s", 'P', 0, LSN_A, LSN_B, TIME_A, 800, "g");
}

static void put_stream_prepare(struct buf *b, int place)
{
    (void)place;
    message(b, "cc8884s", 'p', 0, LSN_A, LSN_B, TIME_A, 800, "g");
}

static void put_commit_prepared(struct buf *b, int place)
{
    (void)place;
    message(b, "cc8884s", 'K', 0, LSN_A, LSN_B, TIME_A, 800, "g");
}

static void put_rollback_prepared(struct buf *b, int place)
{
    (void)place;
    message(b, "cc88884s", 'r', 0, LSN_A, LSN_B, TIME_A, TIME_B, 800, "g");
}

/* ---- frames out ---- */

/* "I 701 16400 nil nil [...]": each frame's letter and fields, as msgpack prints them. */
static void frames_text(const struct buf *frames, struct buf *text)
{
    const uint8_t *p = frames->data;
    const uint8_t *end = p + frames->len;
    msgpack_zone zone;
    assert_true(msgpack_zone_init(&zone, 4096));
    while (p < end) {
        enum frame_type type;
        uint32_t size;
        struct err err = {0};
        assert_int_equal(frame_header(p, &type, &size, &err), 0);
        if (text->len > 0)
            buf_append_byte(text, '\n');
        buf_append_byte(text, (uint8_t)type);
        size_t at = 0;
        while (at < size) {
            msgpack_object object;
            char *field = NULL;
            size_t length = 0;
            msgpack_unpack_return rc =
                msgpack_unpack((const char *)p + FRAME_HEADER_SIZE, size, &at, &zone, &object);
            assert_true(rc == MSGPACK_UNPACK_SUCCESS || rc == MSGPACK_UNPACK_EXTRA_BYTES);
            FILE *stream = open_memstream(&field, &length);
            assert_non_null(stream);
            msgpack_object_print(stream, object);
            assert_int_equal(fclose(stream), 0);
            buf_printf(text, " %s", field);
            free(field);
        }
        p += FRAME_HEADER_SIZE + size;
    }
    msgpack_zone_destroy(&zone);
}

static int decode(struct pgoutput *d, const struct buf *in, struct buf *out,
                  struct pgoutput_event *event, struct err *err)
{
    /* Of exactly its size, so that a sanitizer sees a read beyond it. */
    uint8_t *copy = malloc(in->len ? in->len : 1);
    assert_non_null(copy);
    if (in->len > 0)
        memcpy(copy, in->data, in->len);
    int rc = pgoutput_decode(d, copy, in->len, out, event, err);
    free(copy);
    return rc;
}

static void must_decode(struct pgoutput *d, const struct buf *in, struct buf *out)
{
    struct pgoutput_event event;
    struct err err = {0};
    if (in->len > 0 && decode(d, in, out, &event, &err))
        fail_msg("%s", err.text);
}

static struct pgoutput *decoder(uint32_t version, bool parallel, pgoutput_lookup lookup)
{
    struct pgoutput_config config = {
        .protocol_version = version, .parallel = parallel, .lookup = lookup};
    struct pgoutput *d = pgoutput_new(&config);
    assert_non_null(d);
    return d;
}

/* A decoder in that place, which knows the table. */
static struct pgoutput *decoder_at(uint32_t version, bool parallel, int place)
{
    struct pgoutput *d = decoder(version, parallel, NULL);
    struct buf in = {0};
    struct buf out = {0};
    /* Nothing is described outside a transaction: it was in one before. */
    for (int step = 0; step < 2; step++) {
        int there = step == 0 ? TRANSACTION : place;
        buf_reset(&in, 0);
        put_opening(&in, there);
        must_decode(d, &in, &out);
        if (step == 0) {
            buf_reset(&in, 0);
            put_relation(&in, there);
            must_decode(d, &in, &out);
            buf_reset(&in, 0);
            put_commit(&in, there);
            must_decode(d, &in, &out);
        }
    }
    buf_free(&in);
    buf_free(&out);
    return d;
}

#define ALL_PLACES   (1 << OUTSIDE | 1 << TRANSACTION | 1 << PREPARE | 1 << STREAM)
#define OPEN_PLACES  (1 << TRANSACTION | 1 << PREPARE | 1 << STREAM)
#define ONLY_OUTSIDE (1 << OUTSIDE)

static const struct message_case {
    const char *name;
    void (*put)(struct buf *b, int place);
    uint32_t since; /* protocol version */
    int places;
    bool parallel;
    const char *frame;    /* in the first of its places */
    const char *streamed; /* in a stream block */
    struct pgoutput_event event;
} cases[] = {
    {"begin", put_begin, 1, ONLY_OUTSIDE, false, "B 4294967295 4294967312 -5", NULL, {.type = 'B'}},
    {"commit",
     put_commit,
     1,
     1 << TRANSACTION,
     false,
     "C 700 4294967312 4294967360 1000000 0",
     NULL,
     {.type = 'C', .whole = true, .end_lsn = LSN_B, .time_us = 1000000}},
    {"origin",
     put_origin,
     1,
     OPEN_PLACES,
     false,
     "O 4294967360 \"node\"",
     "O 4294967360 \"node\"",
     {.type = 'O'}},
    {"relation",
     put_relation,
     1,
     OPEN_PLACES,
     false,
     "R 16400 \"public\" \"t\" \"d\" [[\"id\", 23, -1, true, nil, nil, nil, nil, false], [\"v\", 25, -1, "
     "false, nil, nil, nil, nil, false], [\"b\", 17, -1, false, nil, nil, nil, nil, false]] [0]",
     NULL,
     {.type = 'R'}},
    {"type",
     put_type,
     1,
     OPEN_PLACES,
     false,
     "Y 17000 \"public\" \"mood\"",
     "Y 17000 \"public\" \"mood\"",
     {.type = 'Y'}},
    {"insert",
     put_insert,
     1,
     OPEN_PLACES,
     false,
     "I 700 16400 nil nil [\"1\", nil, \"\\x00\\xff\"]",
     "I 701 16400 nil nil [\"1\", nil, \"\\x00\\xff\"]",
     {.type = 'I'}},
    {"update",
     put_update,
     1,
     OPEN_PLACES,
     false,
     "U 700 16400 nil nil [\"1\", (ext: 117)\"\", \"\"]",
     "U 701 16400 nil nil [\"1\", (ext: 117)\"\", \"\"]",
     {.type = 'U'}},
    {"update of the key",
     put_update_key,
     1,
     OPEN_PLACES,
     false,
     "U 700 16400 \"K\" [\"1\", nil, nil] [\"2\", \"\", nil]",
     "U 701 16400 \"K\" [\"1\", nil, nil] [\"2\", \"\", nil]",
     {.type = 'U'}},
    {"update with the old row",
     put_update_full,
     1,
     OPEN_PLACES,
     false,
     "U 700 16400 \"O\" [\"1\", \"toasted\", nil] [\"1\", (ext: 117)\"\", nil]",
     "U 701 16400 \"O\" [\"1\", \"toasted\", nil] [\"1\", (ext: 117)\"\", nil]",
     {.type = 'U'}},
    {"delete",
     put_delete,
     1,
     OPEN_PLACES,
     false,
     "D 700 16400 \"K\" [\"1\", nil, nil] nil",
     "D 701 16400 \"K\" [\"1\", nil, nil] nil",
     {.type = 'D'}},
    {"delete with the old row",
     put_delete_full,
     1,
     OPEN_PLACES,
     false,
     "D 700 16400 \"O\" [\"1\", \"x\", nil] nil",
     "D 701 16400 \"O\" [\"1\", \"x\", nil] nil",
     {.type = 'D'}},
    {"truncate",
     put_truncate,
     1,
     OPEN_PLACES,
     false,
     "T 700 [16400, 16400] true true",
     "T 701 [16400, 16400] true true",
     {.type = 'T'}},
    {"message",
     put_message,
     1,
     OPEN_PLACES,
     false,
     "M true 700 4294967312 \"prefix\" \"\\x00\\xff\"",
     "M true 701 4294967312 \"prefix\" \"\\x00\\xff\"",
     {.type = 'M'}},
    {"message without a transaction",
     put_loose_message,
     1,
     ALL_PLACES,
     false,
     "M false 0 4294967312 \"\" \"\"",
     "M false 0 4294967312 \"\" \"\"",
     {.type = 'M'}},
    {"stream start", put_stream_start, 2, ONLY_OUTSIDE, false, "S 800 false", NULL, {.type = 'S'}},
    {"stream stop", put_stream_stop, 2, 1 << STREAM, false, "E", "E", {.type = 'E'}},
    {"stream commit",
     put_stream_commit,
     2,
     ONLY_OUTSIDE,
     false,
     "c 800 4294967312 4294967360 1000000",
     NULL,
     {.type = 'c', .whole = true, .end_lsn = LSN_B, .time_us = 1000000}},
    /* PostgreSQL 18 sends it unasked, for subtransactions of a large one that was rolled back. */
    {"stream abort",
     put_stream_abort,
     1,
     ONLY_OUTSIDE,
     false,
     "A 800 801 0 0",
     NULL,
     {.type = 'A'}},
    {"stream abort, parallel",
     put_parallel_abort,
     1,
     ONLY_OUTSIDE,
     true,
     "A 800 801 4294967312 1000000",
     NULL,
     {.type = 'A'}},
    {"begin prepare",
     put_begin_prepare,
     3,
     ONLY_OUTSIDE,
     false,
     "b 800 4294967312 4294967360 1000000 \"g'1\"",
     NULL,
     {.type = 'b'}},
    {"prepare",
     put_prepare,
     3,
     1 << PREPARE | ONLY_OUTSIDE,
     false,
     "P 800 4294967312 4294967360 1000000 \"g\"",
     NULL,
     {.type = 'P', .end_lsn = LSN_B, .prepare_lsn = LSN_A, .gid = {"g", 1}}},
    {"stream prepare",
     put_stream_prepare,
     3,
     ONLY_OUTSIDE,
     false,
     "p 800 4294967312 4294967360 1000000 \"g\"",
     NULL,
     {.type = 'p', .end_lsn = LSN_B, .prepare_lsn = LSN_A, .gid = {"g", 1}}},
    {"commit prepared",
     put_commit_prepared,
     3,
     ONLY_OUTSIDE,
     false,
     "K 800 4294967312 4294967360 1000000 \"g\"",
     NULL,
     {.type = 'K', .whole = true, .end_lsn = LSN_B, .gid = {"g", 1}, .time_us = 1000000}},
    {"rollback prepared",
     put_rollback_prepared,
     3,
     ONLY_OUTSIDE,
     false,
     "r 800 4294967312 4294967360 1000000 -5 \"g\"",
     NULL,
     {.type = 'r', .end_lsn = LSN_B, .gid = {"g", 1}}},
};

/* As PostgreSQL 18 sends it where nothing was decoded. */
static const char prepare_alone[] = "b 800 4294967312 4294967360 1000000 \"g\"\n"
                                    "P 800 4294967312 4294967360 1000000 \"g\"";

/* Places that the version does not have cannot be entered. */
static bool place_exists(int place, uint32_t version)
{
    return place == PREPARE ? version >= 3 : place == STREAM ? version >= 2 : true;
}

static void check_case(const struct message_case *m, uint32_t version, int place)
{
    struct buf in = {0};
    struct buf out = {0};
    struct pgoutput_event event;
    struct err err = {0};
    struct pgoutput *d = decoder_at(version, m->parallel, place);
    m->put(&in, place);
    bool allowed = version >= m->since && m->places & 1 << place;
    int rc = decode(d, &in, &out, &event, &err);
    if (rc != (allowed ? 0 : -1))
        fail_msg("%s, version %u, place %d: %d %s", m->name, version, place, rc, err.text);
    if (!allowed) {
        assert_int_equal(err.kind, ERR_PERMANENT);
        assert_int_equal(out.len, 0);
        char letter[16];
        (void)snprintf(letter, sizeof letter, "message %c ", m->event.type);
        assert_non_null(strstr(err.text, letter));
    } else {
        struct buf text = {0};
        frames_text(&out, &text);
        const char *want = place == STREAM && m->streamed             ? m->streamed
                           : place == OUTSIDE && m->event.type == 'P' ? prepare_alone
                                                                      : m->frame;
        assert_string_equal(buf_cstr(&text), want);
        buf_free(&text);
        assert_int_equal(event.type, m->event.type);
        assert_int_equal(event.whole, m->event.whole);
        assert_true(event.end_lsn == m->event.end_lsn);
        assert_true(event.prepare_lsn == m->event.prepare_lsn);
        assert_true(event.time_us == m->event.time_us);
        assert_int_equal(event.gid.size, m->event.gid.size);
    }
    buf_free(&in);
    buf_free(&out);
    pgoutput_free(d);
}

static void every_message_becomes_its_frame_where_it_belongs(void **state)
{
    (void)state;
    for (size_t i = 0; i < LENGTH(cases); i++)
        for (uint32_t version = 1; version <= 4; version++)
            for (int place = OUTSIDE; place < PLACES; place++)
                if (place_exists(place, version))
                    check_case(&cases[i], version, place);
}

static int first_place(const struct message_case *m)
{
    int place = OUTSIDE;
    while (!(m->places & 1 << place))
        place++;
    return place;
}

/* Decodes a changed message in all places where it may stand; returns how many were accepted. */
static int decode_changed(const struct message_case *m, void (*change)(struct buf *b, size_t n),
                          size_t n)
{
    int accepted = 0;
    for (int place = OUTSIDE; place < PLACES; place++) {
        if (!(m->places & 1 << place))
            continue;
        struct buf in = {0};
        struct buf out = {0};
        struct pgoutput_event event;
        struct err err = {0};
        struct pgoutput *d = decoder_at(4, m->parallel, place);
        m->put(&in, place);
        change(&in, n);
        buf_append_str(&out, "before");
        if (decode(d, &in, &out, &event, &err) == 0) {
            accepted++;
        } else {
            assert_int_equal(err.kind, ERR_PERMANENT);
            assert_int_equal(out.len, 6);
        }
        buf_free(&in);
        buf_free(&out);
        pgoutput_free(d);
    }
    return accepted;
}

static void cut(struct buf *b, size_t n)
{
    if (n < b->len)
        b->len = n;
    else
        b->len = 0;
}

static void a_message_cut_anywhere_is_refused(void **state)
{
    (void)state;
    for (size_t i = 0; i < LENGTH(cases); i++) {
        struct buf b = {0};
        cases[i].put(&b, first_place(&cases[i]));
        for (size_t n = 0; n < b.len; n++)
            if (decode_changed(&cases[i], cut, n) > 0)
                fail_msg("%s of %zu bytes cut to %zu is accepted", cases[i].name, b.len, n);
        buf_free(&b);
    }
}

static void append(struct buf *b, size_t n)
{
    for (size_t i = 0; i < n; i++)
        buf_append_byte(b, i % 2 ? 'N' : 0);
}

static void trailing_bytes_are_refused(void **state)
{
    (void)state;
    for (size_t i = 0; i < LENGTH(cases); i++)
        for (size_t n = 1; n < 40; n++)
            if (decode_changed(&cases[i], append, n) > 0)
                fail_msg("%s with %zu bytes more is accepted", cases[i].name, n);
}

static void spoil(struct buf *b, size_t n)
{
    static const uint8_t bits[] = {0xff, 0x80, 0x01, 0x7f};
    b->data[n / LENGTH(bits) % b->len] ^= bits[n % LENGTH(bits)];
}

/* Whether it is accepted depends on the byte; a sanitizer sees what else goes wrong. */
static void a_spoiled_byte_does_no_harm(void **state)
{
    (void)state;
    for (size_t i = 0; i < LENGTH(cases); i++) {
        struct buf b = {0};
        cases[i].put(&b, first_place(&cases[i]));
        for (size_t n = 0; n < 4 * b.len; n++)
            (void)decode_changed(&cases[i], spoil, n);
        buf_free(&b);
    }
}

static void every_other_letter_is_refused(void **state)
{
    (void)state;
    for (int letter = 0; letter < 256; letter++) {
        bool known = false;
        for (size_t i = 0; i < LENGTH(cases); i++)
            known = known || (unsigned char)cases[i].event.type == letter;
        if (known)
            continue;
        struct pgoutput *d = decoder_at(4, false, TRANSACTION);
        struct buf in = {0};
        struct buf out = {0};
        struct pgoutput_event event;
        struct err err = {0};
        buf_append_byte(&in, (uint8_t)letter);
        append(&in, 60);
        assert_int_equal(decode(d, &in, &out, &event, &err), -1);
        assert_int_equal(err.kind, ERR_PERMANENT);
        assert_non_null(strstr(err.text, "its type is not known"));
        assert_int_equal(out.len, 0);
        buf_free(&in);
        buf_free(&out);
        pgoutput_free(d);
    }
}

/* ---- relations ---- */

static void put_two_columns(struct buf *b, char identity, bool first_key, bool second_key)
{
    message(b, "c4ssc2", 'R', TABLE, "", "pair", identity, 2);
    message(b, "c s 4 4", first_key, "x", PG_TYPE_TEXT, -1);
    message(b, "c s 4 4", second_key, "y", 17500, 7);
}

static uint32_t looked_up_key[] = {1, 0};

/* The catalog has both columns; y is a domain over bytea; the key is (y, x). */
static int full_lookup(void *ctx, struct relation *rel, const struct pgoutput_place *place,
                       struct err *err)
{
    (void)place;
    (void)ctx;
    (void)err;
    rel->columns[0].attnum = 1;
    rel->columns[0].not_null = true;
    rel->columns[0].type_name = "text";
    rel->columns[0].fill = FILL_NULL;
    rel->columns[1].attnum = 3;
    rel->columns[1].base_type_oid = PG_TYPE_BYTEA;
    rel->columns[1].type_name = "raw";
    rel->columns[1].fill = FILL_VALUE;
    rel->columns[1].fill_is_bytes = true;
    rel->columns[1].fill_value = "\1";
    rel->columns[1].fill_size = 1;
    rel->primary_key_known = true;
    rel->pk = looked_up_key;
    rel->npk = 2;
    return 0;
}

static int no_lookup(void *ctx, struct relation *rel, const struct pgoutput_place *place,
                     struct err *err)
{
    (void)place;
    (void)ctx;
    (void)rel;
    (void)err;
    return 0;
}

static int failing_lookup(void *ctx, struct relation *rel, const struct pgoutput_place *place,
                          struct err *err)
{
    (void)place;
    (void)ctx;
    return err_set(err, ERR_TEMPORARY, "no answer about %s", rel->name);
}

static void the_primary_key_is_settled(void **state)
{
    (void)state;
    static const struct {
        char identity;
        bool first, second; /* key flags */
        pgoutput_lookup lookup;
        const char *key; /* how the frame ends */
    } table[] = {
        {'d', true, true, full_lookup, " [1, 0]"}, /* the same columns: in the key's order */
        {'d', true, false, full_lookup, " [0]"},   /* the stream is of the past */
        {'d', false, false, full_lookup, " []"},   /* no usable key then */
        {'d', false, true, no_lookup, " [1]"},     /* the table is gone */
        {'f', true, true, full_lookup, " [1, 0]"}, /* under FULL the flags say nothing */
        {'f', true, true, no_lookup, " nil"},
        {'i', true, false, full_lookup, " [1, 0]"}, /* another index */
        {'n', false, false, full_lookup, " [1, 0]"},
        {'n', false, false, no_lookup, " nil"},
    };
    for (size_t i = 0; i < LENGTH(table); i++) {
        struct pgoutput *d = decoder(1, false, table[i].lookup);
        struct buf in = {0};
        struct buf out = {0};
        struct buf text = {0};
        put_opening(&in, TRANSACTION);
        must_decode(d, &in, &out);
        buf_reset(&in, 0);
        buf_reset(&out, 0);
        put_two_columns(&in, table[i].identity, table[i].first, table[i].second);
        must_decode(d, &in, &out);
        frames_text(&out, &text);
        size_t want = strlen(table[i].key);
        assert_true(text.len > want);
        assert_string_equal(buf_cstr(&text) + text.len - want, table[i].key);
        buf_free(&in);
        buf_free(&out);
        buf_free(&text);
        pgoutput_free(d);
    }
}

static void what_the_catalog_says_is_in_the_frame_and_in_the_values(void **state)
{
    (void)state;
    struct pgoutput *d = decoder(1, false, full_lookup);
    struct buf in = {0};
    struct buf out = {0};
    struct buf text = {0};
    put_opening(&in, TRANSACTION);
    must_decode(d, &in, &out);
    buf_reset(&in, 0);
    buf_reset(&out, 0);
    put_two_columns(&in, 'd', true, true);
    must_decode(d, &in, &out);
    buf_reset(&in, 0);
    message(&in, "c4c2tt", 'I', TABLE, 'N', 2, "\\x41", "\\x41");
    must_decode(d, &in, &out);
    frames_text(&out, &text);
    assert_string_equal(
        buf_cstr(&text),
        "R 16400 \"pg_catalog\" \"pair\" \"d\" [[\"x\", 25, -1, true, 1, true, 25, \"text\", nil], "
        "[\"y\", 17500, 7, true, 3, false, 17, \"raw\", \"\\x01\"]] [1, 0]\n"
        "I 700 16400 nil nil [\"\\x41\", \"A\"]");
    buf_free(&in);
    buf_free(&out);
    buf_free(&text);
    pgoutput_free(d);
}

static const char *labels[] = {"16500 new", "16502 done"};

static int enum_lookup(void *ctx, struct relation *rel, const struct pgoutput_place *place,
                       struct err *err)
{
    (void)ctx;
    (void)err;
    if (place->stage == PLACE_STREAMED)
        return 0;
    rel->columns[1].type_parts = labels;
    rel->columns[1].ntype_parts = 2;
    return 0;
}

/* Here at once: each change has the description before it once more. */
static void a_type_that_may_be_altered_in_silence_is_looked_up_again(void **state)
{
    (void)state;
    struct pgoutput *d = decoder(1, false, enum_lookup);
    struct buf in = {0};
    struct buf out = {0};
    struct buf text = {0};
    put_opening(&in, TRANSACTION);
    must_decode(d, &in, &out);
    buf_reset(&in, 0);
    put_two_columns(&in, 'd', true, false);
    must_decode(d, &in, &out);
    for (int i = 0; i < 2; i++) {
        buf_reset(&in, 0);
        buf_reset(&out, 0);
        message(&in, "c4c2tt", 'I', TABLE, 'N', 2, "x", "new");
        must_decode(d, &in, &out);
        buf_reset(&text, 0);
        frames_text(&out, &text);
        assert_int_equal(strncmp(buf_cstr(&text), "R 16400 ", 8), 0);
        assert_non_null(strstr(buf_cstr(&text), "\nI 700 16400 nil nil [\"x\", \"new\"]"));
    }
    buf_free(&in);
    buf_free(&out);
    buf_free(&text);
    pgoutput_free(d);
}

/* A relation that comes in streamed transactions only: each describes it at its commit. */
static void streamed_transactions_look_types_up_again(void **state)
{
    (void)state;
    struct pgoutput *d = decoder(2, false, enum_lookup);
    struct buf in = {0};
    struct buf out = {0};
    struct buf text = {0};
    for (int i = 0; i < 2; i++) {
        buf_reset(&in, 0);
        put_opening(&in, STREAM);
        must_decode(d, &in, &out);
        if (i == 0) {
            buf_reset(&in, 0);
            message(&in, "c44ssc2", 'R', 700, TABLE, "", "pair", 'd', 2);
            message(&in, "c s 4 4", 1, "x", PG_TYPE_TEXT, -1);
            message(&in, "c s 4 4", 0, "y", 17500, 7);
            must_decode(d, &in, &out);
        }
        buf_reset(&in, 0);
        message(&in, "c44c2tt", 'I', 700, TABLE, 'N', 2, "x", "new");
        must_decode(d, &in, &out);
        buf_reset(&in, 0);
        message(&in, "c", 'E');
        must_decode(d, &in, &out);
        buf_reset(&in, 0);
        buf_reset(&out, 0);
        message(&in, "c4c888", 'c', 700, 0, LSN_A, LSN_B, TIME_A);
        must_decode(d, &in, &out);
        buf_reset(&text, 0);
        frames_text(&out, &text);
        assert_non_null(strstr(buf_cstr(&text), "R 16400 "));
        assert_non_null(strstr(buf_cstr(&text), "16502 done"));
    }
    buf_free(&in);
    buf_free(&out);
    buf_free(&text);
    pgoutput_free(d);
}

static void a_lookup_that_fails_is_the_messages_error(void **state)
{
    (void)state;
    struct pgoutput *d = decoder(1, false, failing_lookup);
    struct buf in = {0};
    struct buf out = {0};
    struct pgoutput_event event;
    struct err err = {0};
    put_opening(&in, TRANSACTION);
    must_decode(d, &in, &out);
    buf_reset(&in, 0);
    buf_reset(&out, 0);
    put_two_columns(&in, 'd', true, true);
    assert_int_equal(decode(d, &in, &out, &event, &err), -1);
    assert_int_equal(err.kind, ERR_TEMPORARY);
    assert_string_equal(err.text, "message R: no answer about pair");
    assert_int_equal(out.len, 0);
    buf_free(&in);
    buf_free(&out);
    pgoutput_free(d);
}

/* ---- what is inside a change ---- */

static void expect_refusal(int place, const struct buf *in, const char *why)
{
    struct pgoutput *d = decoder_at(4, false, place);
    struct buf out = {0};
    struct pgoutput_event event;
    struct err err = {0};
    if (decode(d, in, &out, &event, &err) == 0)
        fail_msg("accepted instead of: %s", why);
    assert_int_equal(err.kind, ERR_PERMANENT);
    if (!strstr(err.text, why))
        fail_msg("\"%s\" instead of \"%s\"", err.text, why);
    assert_int_equal(out.len, 0);
    buf_free(&out);
    pgoutput_free(d);
}

static void nonsense_is_refused(void **state)
{
    (void)state;
    struct buf b = {0};
#define REFUSED(why, ...)                                                                          \
    do {                                                                                           \
        buf_reset(&b, 0);                                                                          \
        message(&b, __VA_ARGS__);                                                                  \
        expect_refusal(TRANSACTION, &b, why);                                                      \
    } while (0)
    REFUSED("not described", "c4c2ttn", 'I', 99, 'N', 3, "1", "x");
    REFUSED("another number of columns", "c4c2tt", 'I', TABLE, 'N', 2, "1", "x");
    REFUSED("another number of columns", "c4c2", 'I', TABLE, 'N', 65535);
    REFUSED("kind of tuple", "c4c2tnn", 'I', TABLE, 'K', 3, "1");
    REFUSED("kind of tuple", "c4c2tnn", 'D', TABLE, 'N', 3, "1");
    REFUSED("kind of tuple", "c4c2tnn c2tnn", 'U', TABLE, 'K', 3, "1", 'K', 3, "1");
    REFUSED("kind of value", "c4c2cnn", 'I', TABLE, 'N', 3, 'x');
    REFUSED("ends too early", "c4c2c4", 'I', TABLE, 'N', 3, 't', -1);
    REFUSED("ends too early", "c4c2c4", 'I', TABLE, 'N', 3, 't', 0x7fffffff);
    REFUSED("hex", "c4c2nnt", 'I', TABLE, 'N', 3, "\\x0");
    REFUSED("hex", "c4c2nnt", 'I', TABLE, 'N', 3, "\\xzz");
    REFUSED("hex", "c4c2nnt", 'I', TABLE, 'N', 3, "abcd");
    REFUSED("hex", "c4c2nnt", 'I', TABLE, 'N', 3, "");
    REFUSED("number of relations", "c4c44", 'T', 3, 0, TABLE, TABLE);
    REFUSED("number of relations", "c4c4", 'T', -1, 0, TABLE);
    REFUSED("not described", "c4c4", 'T', 1, 0, 5);
    REFUSED("flags", "c4c4", 'T', 1, 4, TABLE);
    REFUSED("flags", "cc888", 'C', 1, LSN_A, LSN_B, TIME_A);
    REFUSED("flags", "cc8s4", 'M', 2, LSN_A, "", 0);
    REFUSED("ends too early", "cc8s4", 'M', 1, LSN_A, "", -1);
    REFUSED("replica identity", "c4ssc2", 'R', 5, "s", "t", 'x', 0);
    REFUSED("too many columns", "c4ssc2", 'R', 5, "s", "t", 'd', 65535);
    REFUSED("without a name", "c4ssc2", 'R', 5, "s", "", 'd', 0);
    REFUSED("without a name", "c4ssc2 cs44", 'R', 5, "s", "t", 'd', 1, 0, "", 25, -1);
    REFUSED("flags", "c4ssc2 cs44", 'R', 5, "s", "t", 'd', 1, 2, "a", 25, -1);
#undef REFUSED
    buf_reset(&b, 0);
    message(&b, "c4c", 'S', 5, 2);
    expect_refusal(OUTSIDE, &b, "neither 0 nor 1");
    buf_reset(&b, 0);
    message(&b, "cc8s4", 'M', 1, LSN_A, "", 0);
    expect_refusal(OUTSIDE, &b, "in no transaction");
    buf_free(&b);
}

static void binary_values_become_the_same_as_text(void **state)
{
    (void)state;
    struct pgoutput *d = decoder_at(4, false, TRANSACTION);
    struct buf in = {0};
    struct buf out = {0};
    struct buf text = {0};
    message(&in, "c4c2 c44 c4cc c4cc", 'I', TABLE, 'N', 3, 'b', 4, -7, 'b', 2, 'h', 'i', 'b', 2, 0,
            0xff);
    must_decode(d, &in, &out);
    buf_reset(&in, 0);
    message(&in, "c4c2 t t t", 'I', TABLE, 'N', 3, "-7", "hi", "\\x00ff");
    must_decode(d, &in, &out);
    frames_text(&out, &text);
    assert_string_equal(buf_cstr(&text), "I 700 16400 nil nil [\"-7\", \"hi\", \"\\x00\\xff\"]\n"
                                         "I 700 16400 nil nil [\"-7\", \"hi\", \"\\x00\\xff\"]");
    buf_reset(&in, 0);
    message(&in, "c4c2 c4cc nn", 'I', TABLE, 'N', 3, 'b', 2, 0, 0);
    struct pgoutput_event event;
    struct err err = {0};
    size_t len = out.len;
    assert_int_equal(decode(d, &in, &out, &event, &err), -1);
    assert_int_equal(err.kind, ERR_PERMANENT);
    assert_non_null(strstr(err.text, "table public.t, column id"));
    assert_int_equal(out.len, len);
    buf_free(&in);
    buf_free(&out);
    buf_free(&text);
    pgoutput_free(d);
}

static void a_type_without_a_binary_form_is_named(void **state)
{
    (void)state;
    struct pgoutput *d = decoder(1, false, NULL);
    struct buf in = {0};
    struct buf out = {0};
    struct pgoutput_event event;
    struct err err = {0};
    put_opening(&in, TRANSACTION);
    must_decode(d, &in, &out);
    buf_reset(&in, 0);
    put_two_columns(&in, 'd', true, false);
    must_decode(d, &in, &out);
    buf_reset(&in, 0);
    message(&in, "c4c2 t c4", 'I', TABLE, 'N', 2, "1", 'b', 0);
    assert_int_equal(decode(d, &in, &out, &event, &err), -1);
    assert_int_equal(err.kind, ERR_PERMANENT);
    assert_non_null(strstr(err.text, "table pg_catalog.pair, column y"));
    assert_non_null(strstr(err.text, "text mode"));
    buf_free(&in);
    buf_free(&out);
    pgoutput_free(d);
}

static void a_commit_counts_the_changes_since_its_begin(void **state)
{
    (void)state;
    struct pgoutput *d = decoder_at(4, false, TRANSACTION);
    struct buf in = {0};
    struct buf out = {0};
    struct buf text = {0};
    static void (*const puts[])(struct buf *, int) = {put_insert, put_message,  put_update_key,
                                                      put_delete, put_truncate, put_origin};
    for (size_t i = 0; i < LENGTH(puts); i++) {
        buf_reset(&in, 0);
        puts[i](&in, TRANSACTION);
        must_decode(d, &in, &out);
    }
    assert_false(pgoutput_outside(d));
    for (int empty = 0; empty < 2; empty++) {
        buf_reset(&out, 0);
        buf_reset(&in, 0);
        put_commit(&in, TRANSACTION);
        must_decode(d, &in, &out);
        buf_reset(&text, 0);
        frames_text(&out, &text);
        assert_string_equal(buf_cstr(&text), empty ? "C 700 4294967312 4294967360 1000000 0"
                                                   : "C 700 4294967312 4294967360 1000000 4");
        assert_true(pgoutput_outside(d));
        buf_reset(&in, 0);
        put_opening(&in, TRANSACTION);
        must_decode(d, &in, &out);
    }
    buf_free(&in);
    buf_free(&out);
    buf_free(&text);
    pgoutput_free(d);
}

static void a_new_description_takes_the_place_of_the_old(void **state)
{
    (void)state;
    struct pgoutput *d = decoder_at(4, false, TRANSACTION);
    struct buf in = {0};
    struct buf out = {0};
    message(&in, "c4ssc2 cs44", 'R', TABLE, "public", "t", 'd', 1, 1, "id", PG_TYPE_INT4, -1);
    must_decode(d, &in, &out);
    buf_reset(&in, 0);
    message(&in, "c4c2t", 'I', TABLE, 'N', 1, "1");
    must_decode(d, &in, &out);
    buf_reset(&in, 0);
    put_insert(&in, TRANSACTION);
    struct pgoutput_event event;
    struct err err = {0};
    assert_int_equal(decode(d, &in, &out, &event, &err), -1);
    buf_free(&in);
    buf_free(&out);
    pgoutput_free(d);
}

#define DOMAIN_OID 17001

/* The catalog shows the domain only in an answer of a transaction that has ended. */
static int domain_lookup(void *ctx, struct relation *rel, const struct pgoutput_place *place,
                         struct err *err)
{
    (void)ctx;
    (void)err;
    for (uint32_t i = 0; i < rel->ncolumns; i++)
        if (rel->columns[i].type_oid == DOMAIN_OID && place->stage == PLACE_ENDED)
            rel->columns[i].base_type_oid = PG_TYPE_BYTEA;
    return 0;
}

static void values_read_before_their_type_was_known_come_again(void **state)
{
    (void)state;
    struct pgoutput *d = decoder(4, false, domain_lookup);
    struct buf in = {0};
    struct buf out = {0};
    struct pgoutput_event event;
    struct err err = {0};
    put_opening(&in, STREAM);
    must_decode(d, &in, &out);
    buf_reset(&in, 0);
    message(&in, "c44ssc2 cs44", 'R', 701, TABLE, "public", "t", 'd', 1, 1, "b", DOMAIN_OID, -1);
    must_decode(d, &in, &out);
    buf_reset(&in, 0);
    message(&in, "c44c2t", 'I', 701, TABLE, 'N', 1, "\\x00ff");
    must_decode(d, &in, &out);
    buf_reset(&in, 0);
    message(&in, "c", 'E');
    must_decode(d, &in, &out);
    buf_reset(&in, 0);
    message(&in, "c4c888", 'c', 700, 0, LSN_A, LSN_B, TIME_A);
    assert_int_equal(decode(d, &in, &out, &event, &err), -1);
    assert_int_equal(err.kind, ERR_TEMPORARY);
    assert_non_null(strstr(err.text, "table public.t, column b"));
    buf_free(&in);
    buf_free(&out);
    pgoutput_free(d);
}

static bool answer_of_empty(void *ctx, uint32_t xid, uint64_t commit_lsn, uint64_t end_lsn)
{
    const bool *empty = ctx;
    assert_int_equal(xid, 800);
    assert_true(commit_lsn == LSN_A && end_lsn == LSN_B);
    return *empty;
}

/* COMMIT PREPARED after that PREPARE (0: after none). */
static void commit_prepared_after(char prepare, bool empty, const char *want)
{
    const struct pgoutput_config config = {
        .protocol_version = 4, .was_empty = answer_of_empty, .lookup_ctx = &empty};
    struct pgoutput *d = pgoutput_new(&config);
    struct buf in = {0};
    struct buf out = {0};
    struct buf text = {0};
    assert_non_null(d);
    if (prepare) {
        message(&in, "cc8884s", prepare, 0, LSN_A - 9, LSN_A, TIME_A, 800, "g");
        must_decode(d, &in, &out);
    }
    for (int again = 0; again < 2; again++) {
        buf_reset(&in, 0);
        buf_reset(&out, 0);
        put_commit_prepared(&in, OUTSIDE);
        must_decode(d, &in, &out);
        frames_text(&out, &text);
    }
    assert_string_equal(buf_cstr(&text), want);
    pgoutput_free(d);
    buf_free(&in);
    buf_free(&out);
    buf_free(&text);
}

#define AS_COMMIT_PREPARED "K 800 4294967312 4294967360 1000000 \"g\""
#define AS_NOTHING         "B 800 4294967312 1000000\nC 800 4294967312 4294967360 1000000 0"

/* The second of two has no PREPARE any more. */
static void a_prepared_transaction_of_which_nothing_came_is_empty_or_confirmed(void **state)
{
    (void)state;
    commit_prepared_after(0, false, AS_COMMIT_PREPARED "\n" AS_COMMIT_PREPARED);
    commit_prepared_after(0, true, AS_NOTHING "\n" AS_NOTHING);
    commit_prepared_after('P', true, AS_COMMIT_PREPARED "\n" AS_NOTHING);
    commit_prepared_after('p', true, AS_COMMIT_PREPARED "\n" AS_NOTHING);
}

int main(void)
{
    cmocka_set_message_output(CM_OUTPUT_TAP);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_message_becomes_its_frame_where_it_belongs),
        cmocka_unit_test(a_message_cut_anywhere_is_refused),
        cmocka_unit_test(trailing_bytes_are_refused),
        cmocka_unit_test(a_spoiled_byte_does_no_harm),
        cmocka_unit_test(every_other_letter_is_refused),
        cmocka_unit_test(the_primary_key_is_settled),
        cmocka_unit_test(what_the_catalog_says_is_in_the_frame_and_in_the_values),
        cmocka_unit_test(a_type_that_may_be_altered_in_silence_is_looked_up_again),
        cmocka_unit_test(streamed_transactions_look_types_up_again),
        cmocka_unit_test(a_lookup_that_fails_is_the_messages_error),
        cmocka_unit_test(nonsense_is_refused),
        cmocka_unit_test(binary_values_become_the_same_as_text),
        cmocka_unit_test(a_type_without_a_binary_form_is_named),
        cmocka_unit_test(a_commit_counts_the_changes_since_its_begin),
        cmocka_unit_test(a_new_description_takes_the_place_of_the_old),
        cmocka_unit_test(values_read_before_their_type_was_known_come_again),
        cmocka_unit_test(a_prepared_transaction_of_which_nothing_came_is_empty_or_confirmed),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
