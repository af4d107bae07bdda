/* common/frames/frame_reader.c: a stream in pieces of any size. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <fcntl.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cmocka.h>

#include "frames/frame_reader.h"
#include "samples.h"

#define SMALL_BUFFER (256 * 1024) /* what a reader holds when no frame is larger */

/* All samples one after the other, and where each begins. */
struct stream {
    struct buf bytes;
    size_t starts[64];
};

static void stream_init(struct stream *s)
{
    *s = (struct stream){0};
    assert_true(nsamples < sizeof s->starts / sizeof *s->starts);
    for (size_t i = 0; i < nsamples; i++) {
        s->starts[i] = s->bytes.len;
        samples[i].put(&s->bytes);
    }
    s->starts[nsamples] = s->bytes.len;
}

static void write_all(int fd, const void *data, size_t size)
{
    const char *p = data;
    while (size > 0) {
        ssize_t n = write(fd, p, size);
        assert_true(n > 0);
        p += n;
        size -= (size_t)n;
    }
}

/* Takes what is whole; the frames must be those of the stream from *at on. */
static void take_whole_frames(struct frame_reader *r, const struct stream *s, size_t *at)
{
    struct frame f;
    struct err err = {0};
    enum frame_reader_status status;
    while ((status = frame_reader_next(r, &f, &err)) == FRAME_READER_FRAME) {
        size_t length = s->starts[*at + 1] - s->starts[*at];
        assert_int_equal(f.type, samples[*at].type);
        assert_int_equal(frame_length(&f), length);
        assert_memory_equal(frame_start(&f), s->bytes.data + s->starts[*at], length);
        (*at)++;
        assert_true(r->offset == s->starts[*at]);
    }
    assert_int_equal(status, FRAME_READER_MORE);
}

static void fill(struct frame_reader *r, int expected)
{
    struct err err = {0};
    assert_int_equal(frame_reader_fill(r, &err), expected);
}

static void a_stream_may_be_split_anywhere(void **state)
{
    (void)state;
    struct stream s;
    stream_init(&s);
    for (size_t split = 0; split <= s.bytes.len; split++) {
        int fds[2];
        assert_int_equal(pipe(fds), 0);
        struct frame_reader r;
        frame_reader_init(&r, fds[0]);
        size_t at = 0;
        if (split > 0) {
            write_all(fds[1], s.bytes.data, split);
            fill(&r, 1);
        }
        take_whole_frames(&r, &s, &at);
        assert_true(s.starts[at] <= split && (at == nsamples || split < s.starts[at + 1]));
        assert_int_equal(frame_reader_left(&r), split - s.starts[at]);
        if (split < s.bytes.len) {
            write_all(fds[1], s.bytes.data + split, s.bytes.len - split);
            fill(&r, 1);
        }
        take_whole_frames(&r, &s, &at);
        assert_int_equal(at, nsamples);
        assert_int_equal(frame_reader_left(&r), 0);
        assert_false(r.eof);
        assert_int_equal(close(fds[1]), 0);
        fill(&r, 0);
        assert_true(r.eof);
        frame_reader_free(&r);
        assert_int_equal(close(fds[0]), 0);
    }
    buf_free(&s.bytes);
}

static void a_stream_may_come_byte_by_byte(void **state)
{
    (void)state;
    struct stream s;
    stream_init(&s);
    int fds[2];
    assert_int_equal(pipe2(fds, O_NONBLOCK), 0);
    struct frame_reader r;
    frame_reader_init(&r, fds[0]);
    size_t at = 0;
    for (size_t i = 0; i < s.bytes.len; i++) {
        fill(&r, 0); /* nothing there yet, and not the end */
        assert_false(r.eof);
        write_all(fds[1], s.bytes.data + i, 1);
        fill(&r, 1);
        take_whole_frames(&r, &s, &at);
    }
    assert_int_equal(at, nsamples);
    frame_reader_free(&r);
    assert_int_equal(close(fds[0]), 0);
    assert_int_equal(close(fds[1]), 0);
    buf_free(&s.bytes);
}

static void nothing_comes_behind_the_end(void **state)
{
    (void)state;
    static const struct {
        size_t read, later; /* bytes that are in the buffer, and that come later */
        bool open;          /* the writer stays */
        int rc;
    } cases[] = {
        {0, 0, false, 0}, {0, 0, true, 0}, {1, 0, false, -1}, {0, 1, false, -1}, {0, 1, true, -1},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        int fds[2];
        struct frame_reader r;
        struct frame f;
        struct err err = {0};
        struct buf b = {0};
        assert_int_equal(pipe(fds), 0);
        frame_put_end(&b, &(struct frame_end){.last_lsn = 1});
        buf_append(&b, "more", cases[i].read);
        write_all(fds[1], b.data, b.len);
        frame_reader_init(&r, fds[0]);
        fill(&r, 1);
        assert_int_equal(frame_reader_next(&r, &f, &err), FRAME_READER_FRAME);
        write_all(fds[1], "more", cases[i].later);
        if (!cases[i].open)
            assert_int_equal(close(fds[1]), 0);
        assert_int_equal(frame_reader_finish(&r, &err), cases[i].rc);
        assert_int_equal(err.kind, cases[i].rc ? ERR_PERMANENT : ERR_NONE);
        if (cases[i].open)
            assert_int_equal(close(fds[1]), 0);
        frame_reader_free(&r);
        assert_int_equal(close(fds[0]), 0);
        buf_free(&b);
    }
}

static int file_of(const struct buf *b)
{
    int fd = memfd_create("frames", MFD_CLOEXEC);
    assert_true(fd >= 0);
    write_all(fd, b->data, b->len);
    assert_int_equal(lseek(fd, 0, SEEK_SET), 0);
    return fd;
}

/* Reads on until a frame, an error or the end of input; says which, and the largest buffer on the
 * way. */
static enum frame_reader_status next(struct frame_reader *r, struct frame *f, size_t *largest,
                                     struct err *err)
{
    for (;;) {
        enum frame_reader_status status = frame_reader_next(r, f, err);
        if (status != FRAME_READER_MORE || r->eof)
            return status;
        assert_true(frame_reader_fill(r, err) >= 0);
        if (r->cap > *largest)
            *largest = r->cap;
    }
}

static void the_buffer_follows_what_arrives_not_what_is_claimed(void **state)
{
    (void)state;
    struct buf b = {0};
    samples[0].put(&b);
    size_t before = b.len;
    buf_append(&b, "\xc9\x40\x00\x00\x00I a few bytes", 19);
    int fd = file_of(&b);
    struct frame_reader r;
    frame_reader_init(&r, fd);
    struct frame f;
    struct err err = {0};
    size_t largest = 0;
    assert_int_equal(next(&r, &f, &largest, &err), FRAME_READER_FRAME);
    assert_int_equal(next(&r, &f, &largest, &err), FRAME_READER_MORE);
    assert_true(r.eof);
    assert_int_equal(frame_reader_left(&r), 19);
    assert_int_equal(r.offset, before);
    assert_true(largest <= SMALL_BUFFER);
    frame_reader_free(&r);
    assert_int_equal(close(fd), 0);
    buf_free(&b);
}

static void put_large_message(struct buf *b, size_t size)
{
    char *content = malloc(size);
    assert_non_null(content);
    for (size_t i = 0; i < size; i++)
        content[i] = (char)(i * 31 >> 3);
    const struct frame_message m = {.lsn = 1, .content = {content, size}};
    frame_put_message(b, &m);
    free(content);
}

static void a_large_frame_grows_the_buffer_and_small_ones_shrink_it(void **state)
{
    (void)state;
    enum { LARGE = 5 * 1000 * 1000, SMALL_FRAMES = 2 * 1000 * 1000 };
    struct buf b = {0};
    put_large_message(&b, LARGE);
    for (int i = 0; i < SMALL_FRAMES; i++)
        frame_put_stream_stop(&b);
    put_large_message(&b, LARGE);
    int fd = file_of(&b);
    struct frame_reader r;
    frame_reader_init(&r, fd);
    struct frame f;
    struct err err = {0};
    size_t largest = 0;
    assert_int_equal(next(&r, &f, &largest, &err), FRAME_READER_FRAME);
    assert_int_equal(f.type, FRAME_MESSAGE);
    assert_memory_equal(frame_start(&f), b.data, frame_length(&f));
    assert_true(largest >= LARGE && largest <= 4 * LARGE);
    for (int i = 0; i < SMALL_FRAMES; i++) {
        assert_int_equal(next(&r, &f, &largest, &err), FRAME_READER_FRAME);
        assert_int_equal(f.type, FRAME_STREAM_STOP);
    }
    assert_int_equal(r.cap, SMALL_BUFFER);
    assert_int_equal(next(&r, &f, &largest, &err), FRAME_READER_FRAME);
    assert_memory_equal(frame_start(&f), b.data + b.len - frame_length(&f), frame_length(&f));
    assert_int_equal(next(&r, &f, &largest, &err), FRAME_READER_MORE);
    assert_int_equal(frame_reader_left(&r), 0);
    frame_reader_free(&r);
    assert_int_equal(close(fd), 0);
    buf_free(&b);
}

static void garbage_is_reported_with_its_offset(void **state)
{
    (void)state;
    static const struct {
        const char *bytes;
        size_t size;
        const char *error;
    } cases[] = {
        {"{", 1, "not a frame"}, /* also where it is shorter than a header */
        {"HTTP/1.1 200 OK\r\n", 17, "not a frame"},
        {"\xc9\0\0\0\0q", 6, "unknown type"},
        {"\xc9\xff\xff\xff\xffI", 6, "more than the limit"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct stream s;
        stream_init(&s);
        buf_append(&s.bytes, cases[i].bytes, cases[i].size);
        int fd = file_of(&s.bytes);
        struct frame_reader r;
        frame_reader_init(&r, fd);
        fill(&r, 1);
        struct frame f;
        struct err err = {0};
        size_t n = 0, largest = 0;
        enum frame_reader_status status;
        while ((status = next(&r, &f, &largest, &err)) == FRAME_READER_FRAME)
            n++;
        assert_int_equal(n, nsamples);
        assert_int_equal(status, FRAME_READER_ERROR);
        assert_int_equal(err.kind, ERR_PERMANENT);
        char where[64];
        (void)snprintf(where, sizeof where, "byte %zu of the input", s.starts[nsamples]);
        assert_non_null(strstr(err.text, where));
        assert_non_null(strstr(err.text, cases[i].error));
        frame_reader_free(&r);
        assert_int_equal(close(fd), 0);
        buf_free(&s.bytes);
    }
}

static void a_descriptor_that_cannot_be_read_is_a_temporary_error(void **state)
{
    (void)state;
    struct frame_reader r;
    frame_reader_init(&r, -1);
    struct err err = {0};
    assert_int_equal(frame_reader_fill(&r, &err), -1);
    assert_int_equal(err.kind, ERR_TEMPORARY);
    frame_reader_free(&r);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_stream_may_be_split_anywhere),
        cmocka_unit_test(a_stream_may_come_byte_by_byte),
        cmocka_unit_test(nothing_comes_behind_the_end),
        cmocka_unit_test(the_buffer_follows_what_arrives_not_what_is_claimed),
        cmocka_unit_test(a_large_frame_grows_the_buffer_and_small_ones_shrink_it),
        cmocka_unit_test(garbage_is_reported_with_its_offset),
        cmocka_unit_test(a_descriptor_that_cannot_be_read_is_a_temporary_error),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
