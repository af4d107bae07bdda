/*
 * Tests of common/frames/frame_seal.c, frame_output.c and what the reader makes of them: whatever
 * is changed in a stream, cut out of it, repeated or moved, is refused; version 1 is read.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include <fcntl.h>
#include <unistd.h>

#include "frame_script.h"
#include "frames/frame.h"
#include "frames/frame_output.h"
#include "sealed.h"

/* Every type. */
#define COMMITTED                                                                                  \
    "H 100; R 1 1; B 10 200; O elsewhere; I 10 1 a; M 10 hi; C 10 200 210 1; k 250; M 0 alone; "   \
    "B 11 300; U 11 1 b; T 11 1; C 11 300 310 2; K 12 400 410 gid; B 13 500; D 13 1 b; "           \
    "C 13 500 510 1; Z end 510"
#define RAW                                                                                        \
    "H 100; Y 7; S 20 1; R 1 1; I 20 1 a; E; B 10 200; I 10 1 a; C 10 200 210 1; S 20 0; "         \
    "I 21 1 b; E; A 20 21; c 20 300 310; b 30 320 g; I 30 1 c; P 30 320 g; S 40 1; I 40 1 d; E; "  \
    "p 40 350 h; k 360; r 40 h; K 30 400 410 g; B 50 500; T 50 1; C 50 500 510 1; Z end 510"

static void refused(const char *what, const struct buf *stream, const char *because)
{
    struct buf frames = {0};
    struct err err = {0};
    if (read_sealed(stream, &frames, &err) == 0)
        fail_msg("%s: not noticed", what);
    assert_int_equal(err.kind, ERR_PERMANENT);
    if (because && !strstr(err.text, because))
        fail_msg("%s: \"%s\" does not say \"%s\"", what, err.text, because);
    buf_free(&frames);
}

static void a_reader_has_the_frames_as_they_were(void **state)
{
    (void)state;
    static const char *const scripts[] = {COMMITTED, RAW};
    for (size_t i = 0; i < 2; i++) {
        struct buf plain = {0}, stream = {0}, read = {0};
        struct err err = {0};
        script_frames(&plain, scripts[i]);
        sealed_script(&stream, scripts[i]);
        assert_true(stream.len > plain.len);
        assert_int_equal(read_sealed(&stream, &read, &err), 0);
        assert_int_equal(read.len, plain.len);
        assert_memory_equal(read.data, plain.data, plain.len);
        buf_free(&plain);
        buf_free(&stream);
        buf_free(&read);
    }
}

static void every_changed_byte_is_noticed(void **state)
{
    (void)state;
    static const char *const scripts[] = {COMMITTED, RAW};
    for (size_t i = 0; i < 2; i++) {
        struct buf stream = {0};
        sealed_script(&stream, scripts[i]);
        for (size_t at = 0; at < stream.len; at++) {
            uint8_t was = stream.data[at];
            for (int v = 0; v < 256; v++) {
                stream.data[at] = (uint8_t)v;
                if (v != was)
                    refused("a changed byte", &stream, NULL);
            }
            stream.data[at] = was;
        }
        buf_free(&stream);
    }
}

static void a_hello_cannot_be_made_version_1(void **state)
{
    (void)state;
    struct buf stream = {0};
    sealed_script(&stream, COMMITTED);
    assert_int_equal(stream.data[FRAME_HEADER_SIZE], 2);
    stream.data[FRAME_HEADER_SIZE] = 1;
    refused("the stream", &stream,
            "byte 0 of the input: malformed frame: hello: 18 bytes after its last field");
    stream.data[FRAME_HEADER_SIZE] = 3;
    refused("the stream", &stream, "version 3; this program reads versions 1 to 2");
    buf_free(&stream);
}

static void what_is_lost_or_comes_twice_is_noticed(void **state)
{
    (void)state;
    static const struct {
        const char *name, *script;
        size_t from, to, at; /* cut where at is 0 */
        const char *because;
    } cases[] = {
        {"the first transaction", COMMITTED, 2, 7, 0, "the checksum in the progress frame"},
        {"all up to the second", COMMITTED, 2, 9, 0,
         "begin: the transaction before it ended at 0/D2, but the last one in the input at 0/0"},
        {"one in the middle", COMMITTED, 9, 13, 0, "the checksum in the commit prepared frame"},
        {"the last one", COMMITTED, 14, 17, 0, "the checksum in the end frame does not match"},
        {"the relations", COMMITTED, 1, 2, 0, "the checksum in the commit frame"},
        {"a progress frame", COMMITTED, 7, 8, 0, "the checksum in the commit frame"},
        {"a commit prepared frame", COMMITTED, 13, 14, 0, "the checksum in the commit frame"},
        {"a message", COMMITTED, 8, 9, 0, "the checksum in the commit frame"},
        {"a change", COMMITTED, 15, 16, 0, "the checksum in the commit frame"},
        {"a commit", COMMITTED, 6, 7, 0, "the checksum in the progress frame"},
        {"a transaction twice", COMMITTED, 9, 13, 13, "ended at 0/D2, but the last one"},
        {"a transaction twice, later", COMMITTED, 2, 7, 14, "ended at 0/0, but the last one"},
        {"a progress frame twice", COMMITTED, 7, 8, 8, "the checksum in the progress frame"},
        {"an end twice", COMMITTED, 17, 18, 18, "another frame than a hello"},
        {"a first block", RAW, 2, 6, 0, "the checksum in the commit frame"},
        {"a later block", RAW, 9, 12, 0, "the checksum in the stream abort frame"},
        {"a block twice", RAW, 9, 12, 12, "the checksum in the stream stop frame"},
        {"an abort", RAW, 12, 13, 0, "the checksum in the stream commit frame"},
        {"a stream commit", RAW, 13, 14, 0, "the checksum in the prepare frame"},
        {"an ordinary transaction among blocks", RAW, 6, 9, 0,
         "the checksum in the stream stop frame"},
        {"a prepared one", RAW, 14, 17, 0, "the checksum in the stream stop frame"},
        {"a rollback", RAW, 22, 23, 0, "the checksum in the commit prepared frame"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct buf stream = {0};
        sealed_script(&stream, cases[i].script);
        if (cases[i].at > 0)
            repeat_frames(&stream, cases[i].from, cases[i].to, cases[i].at);
        else
            cut_frames(&stream, cases[i].from, cases[i].to);
        refused(cases[i].name, &stream, cases[i].because);
        buf_free(&stream);
    }
}

static void transactions_in_another_order_are_noticed(void **state)
{
    (void)state;
    struct buf stream = {0};
    sealed_script(&stream, "H 100; R 1 1; B 1 200; C 1 200 210 0; B 2 300; C 2 300 310 0; "
                           "B 3 400; C 3 400 410 0; Z end 410");
    repeat_frames(&stream, 6, 8, 4);
    cut_frames(&stream, 8, 10);
    refused("the stream", &stream,
            "the transaction before it ended at 0/136, but the last one in the input at "
            "0/D2");
    buf_free(&stream);
}

/* A chain of its own, which is bound to what was before. */
static void a_later_hello_goes_on_with_what_was_before(void **state)
{
    (void)state;
    static const char whole[] = "H 100; R 1 1; B 1 200; C 1 200 210 0; B 2 300; H 100; R 1 1; "
                                "B 1 200; C 1 200 210 0; Z end 210";
    static const char because[] = "what comes before the hello frame is not what came before it";
    struct buf stream = {0}, plain = {0}, read = {0};
    struct err err = {0};
    sealed_script(&stream, whole);
    script_frames(&plain, whole);
    assert_int_equal(read_sealed(&stream, &read, &err), 0);
    assert_int_equal(read.len, plain.len);
    assert_memory_equal(read.data, plain.data, plain.len);

    /* What belongs to no whole transaction, a whole one, all but the first hello. */
    static const size_t cuts[][2] = {{4, 5}, {2, 4}, {1, 5}};
    for (size_t i = 0; i < 3; i++) {
        buf_reset(&stream, SIZE_MAX);
        sealed_script(&stream, whole);
        cut_frames(&stream, cuts[i][0], cuts[i][1]);
        refused("the stream", &stream, i == 1 ? NULL : because);
    }

    /* Two in another order. */
    buf_reset(&stream, SIZE_MAX);
    sealed_script(&stream, "H 100; B 1 200; C 1 200 210 0; H 150; k 250; H 160; k 260; Z end 260");
    repeat_frames(&stream, 5, 7, 3);
    cut_frames(&stream, 7, 9);
    refused("the stream", &stream, because);
    buf_free(&stream);
    buf_free(&plain);
    buf_free(&read);
}

/* Its reader, or its writer, knows nothing of what was before. */
static void a_stream_may_begin_at_any_hello(void **state)
{
    (void)state;
    struct buf stream = {0}, other = {0}, read = {0};
    struct err err = {0};
    sealed_script(&stream, "H 100; B 1 200; C 1 200 210 0; H 210; B 2 300; C 2 300 310 0; "
                           "Z end 310");
    cut_frames(&stream, 0, 3);
    assert_int_equal(read_sealed(&stream, &read, &err), 0);

    buf_reset(&stream, SIZE_MAX);
    buf_reset(&read, SIZE_MAX);
    sealed_script(&stream, "H 100; B 1 200; C 1 200 210 0");
    sealed_script(&other, "H 210; B 2 300; C 2 300 310 0; Z end 310");
    buf_append(&stream, other.data, other.len);
    assert_int_equal(read_sealed(&stream, &read, &err), 0);
    buf_free(&stream);
    buf_free(&other);
    buf_free(&read);
}

/* By hand: H, B, C and Z with numbers in widths that we do not write. */
static const uint8_t version_1[] = {
    0xc9, 0, 0, 0, 27, 'H', 0xcc, 1, 0xa1, 'p', 0xa1, '1', 0xa1, '7', 1, 0xa1, 'd', 0xa1, 's', 0x91,
    0xa1, 'p', 0xcc, 100, 0xc2, 0xcc, 200, 1, 1, 0xa1, 'o', 0x90,
    /* clang-format off */
    0xc9, 0, 0, 0, 5, 'B', 7, 0xcc, 150, 0xcc, 9,
    0xc9, 0, 0, 0, 7, 'C', 7, 0xcc, 150, 0xcc, 160, 9, 0,
    0xc9, 0, 0, 0, 5, 'B', 8, 0xcc, 170, 0xcc, 9,
    0xc9, 0, 0, 0, 7, 'C', 8, 0xcc, 170, 0xcc, 180, 9, 0,
    0xc9, 0, 0, 0, 4, 'Z', 0xa1, 'e', 0xcc, 180,
    /* clang-format on */
};

static void version_1_is_read_and_becomes_version_2(void **state)
{
    (void)state;
    struct buf stream = {0}, read = {0};
    struct err err = {0};
    buf_append(&stream, version_1, sizeof version_1);
    stream.data[4] = 26;
    if (read_sealed(&stream, &read, &err))
        fail_msg("%s", err.text);
    assert_int_equal(read.len, stream.len);
    assert_memory_equal(read.data, stream.data, read.len);

    seal(&stream);
    assert_int_equal(stream.data[FRAME_HEADER_SIZE + 1], 2);
    buf_reset(&read, SIZE_MAX);
    assert_int_equal(read_sealed(&stream, &read, &err), 0);
    assert_int_equal(read.len, sizeof version_1);
    assert_int_equal(read.data[FRAME_HEADER_SIZE + 1], 2);
    assert_memory_equal(read.data + 32, version_1 + 32, sizeof version_1 - 32);
    cut_frames(&stream, 1, 3);
    refused("the stream", &stream, "the transaction before it ended at 0/A0");
    buf_free(&stream);
    buf_free(&read);
}

static void version_1_has_no_checksum_and_cannot_be_made_version_2(void **state)
{
    (void)state;
    struct buf stream = {0};
    script_frames(&stream, "H 100; B 1 200; C 1 200 210 0; Z end 210");
    assert_int_equal(stream.data[FRAME_HEADER_SIZE], 2);
    refused("the stream", &stream,
            "byte 0 of the input: malformed frame: hello: no checksum, or nothing of "
            "what was before, where they belong");
    buf_free(&stream);
}

/* However the output is drained, and wherever it is completed meanwhile, the bytes are the same. */
static void an_output_may_be_drained_anywhere(void **state)
{
    (void)state;
    struct buf plain = {0}, want = {0};
    script_frames(&plain, RAW);
    sealed_script(&want, RAW);
    for (size_t every = 1; every < 12; every++) {
        struct frame_output o;
        struct err err = {0};
        uint8_t got[4096];
        int fds[2];
        assert_int_equal(pipe2(fds, O_NONBLOCK), 0);
        frame_output_init(&o, fds[1], "pipe", 0);
        size_t n = 0;
        for (size_t at = 0; at < plain.len; n++) {
            size_t end = frame_place(&plain, n + 1);
            buf_append(&o.out.buf, plain.data + at, end - at);
            if (n % every == 0)
                frame_output_seal(&o);
            if (n % (every / 2 + 1) == 0)
                assert_int_equal(frame_output_try(&o, &err), 0);
            at = end;
        }
        assert_int_equal(frame_output_flush(&o, &err), 0);
        assert_int_equal(frame_output_pending(&o), 0);
        assert_int_equal(read(fds[0], got, sizeof got), want.len);
        assert_memory_equal(got, want.data, want.len);
        frame_output_close(&o);
        assert_int_equal(close(fds[0]), 0);
        assert_int_equal(close(fds[1]), 0);
    }
    buf_free(&plain);
    buf_free(&want);
}

/* A pipe that takes little at a time: what has gone is not completed twice. */
static void an_output_may_stay_behind(void **state)
{
    (void)state;
    struct buf want = {0}, got = {0}, one = {0};
    struct frame_output o;
    struct err err = {0};
    int fds[2];
    assert_int_equal(pipe2(fds, O_NONBLOCK), 0);
    frame_output_init(&o, fds[1], "pipe", 4096);
    script_frames(&want, "H 100; R 1 1");
    buf_append(&o.out.buf, want.data, want.len);
    for (unsigned i = 0; i < 3000; i++) {
        char script[96];
        (void)snprintf(script, sizeof script, "B %u %u; I %u 1 x; C %u %u %u 1", i, 200 + 10 * i, i,
                       i, 200 + 10 * i, 209 + 10 * i);
        buf_reset(&one, SIZE_MAX);
        script_frames(&one, script);
        buf_append(&want, one.data, one.len);
        buf_append(&o.out.buf, one.data, one.len);
        assert_int_equal(frame_output_try(&o, &err), 0);
        uint8_t some[200];
        ssize_t n = read(fds[0], some, i % 3 ? sizeof some : 17);
        if (n > 0)
            buf_append(&got, some, (size_t)n);
    }
    while (frame_output_pending(&o) > 0) {
        uint8_t rest[4096];
        ssize_t n = read(fds[0], rest, sizeof rest);
        assert_true(n > 0);
        buf_append(&got, rest, (size_t)n);
        assert_int_equal(frame_output_try(&o, &err), 0);
    }
    uint8_t rest[65536];
    for (ssize_t n; (n = read(fds[0], rest, sizeof rest)) > 0;)
        buf_append(&got, rest, (size_t)n);
    seal(&want);
    assert_int_equal(got.len, want.len);
    assert_memory_equal(got.data, want.data, want.len);
    frame_output_close(&o);
    assert_int_equal(close(fds[0]), 0);
    assert_int_equal(close(fds[1]), 0);
    buf_free(&want);
    buf_free(&got);
    buf_free(&one);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_reader_has_the_frames_as_they_were),
        cmocka_unit_test(every_changed_byte_is_noticed),
        cmocka_unit_test(a_hello_cannot_be_made_version_1),
        cmocka_unit_test(what_is_lost_or_comes_twice_is_noticed),
        cmocka_unit_test(transactions_in_another_order_are_noticed),
        cmocka_unit_test(a_later_hello_goes_on_with_what_was_before),
        cmocka_unit_test(a_stream_may_begin_at_any_hello),
        cmocka_unit_test(version_1_is_read_and_becomes_version_2),
        cmocka_unit_test(version_1_has_no_checksum_and_cannot_be_made_version_2),
        cmocka_unit_test(an_output_may_be_drained_anywhere),
        cmocka_unit_test(an_output_may_stay_behind),
    };
    return cmocka_run_group_tests_name("frame_seal", tests, NULL, NULL);
}
