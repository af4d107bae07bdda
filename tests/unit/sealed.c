#include "sealed.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <sys/mman.h>
#include <unistd.h>

#include <cmocka.h>

#include "frame_script.h"
#include "frames/frame_reader.h"
#include "frames/frame_seal.h"

void seal(struct buf *frames)
{
    struct frame_seal s = {0};
    size_t at = 0;
    frame_seal_add(&s, frames, &at);
    assert_false(frames->failed);
}

void sealed_script(struct buf *out, const char *script)
{
    script_frames(out, script);
    seal(out);
}

int read_sealed(const struct buf *stream, struct buf *frames, struct err *err)
{
    struct frame_reader r;
    int fd = memfd_create("stream", MFD_CLOEXEC), rc = 0;
    enum frame_type last = FRAME_TYPE;
    assert_true(fd >= 0);
    assert_int_equal(pwrite(fd, stream->data, stream->len, 0), stream->len);
    frame_reader_init(&r, fd);
    while (rc == 0 && !(r.eof && frame_reader_left(&r) == 0)) {
        struct frame f;
        switch (frame_reader_next(&r, &f, err)) {
        case FRAME_READER_FRAME:
            /* Every program looks at how it begins and ends. */
            if ((frames->len == 0 || last == FRAME_END) && f.type != FRAME_HELLO)
                rc = err_set(err, ERR_PERMANENT, "begins with another frame than a hello");
            last = f.type;
            buf_append(frames, frame_start(&f), frame_length(&f));
            break;
        case FRAME_READER_ERROR:
            rc = -1;
            break;
        case FRAME_READER_MORE:
            if (r.eof)
                rc = err_set(err, ERR_PERMANENT, "ends in the middle of a frame");
            else
                assert_true(frame_reader_fill(&r, err) >= 0);
        }
    }
    if (rc == 0 && last != FRAME_END)
        rc = err_set(err, ERR_PERMANENT, "does not end with an end frame");
    frame_reader_free(&r);
    assert_int_equal(close(fd), 0);
    return rc;
}

size_t frame_place(const struct buf *stream, size_t n)
{
    size_t at = 0;
    for (; n > 0; n--) {
        struct frame f;
        struct err err;
        assert_int_equal(frame_header(stream->data + at, &f.type, &f.size, &err), 0);
        at += frame_length(&f);
        assert_true(at <= stream->len);
    }
    return at;
}

void cut_frames(struct buf *stream, size_t from, size_t to)
{
    size_t begin = frame_place(stream, from), end = frame_place(stream, to);
    memmove(stream->data + begin, stream->data + end, stream->len - end);
    stream->len -= end - begin;
}

void repeat_frames(struct buf *stream, size_t from, size_t to, size_t at)
{
    size_t begin = frame_place(stream, from), n = frame_place(stream, to) - begin;
    size_t place = frame_place(stream, at);
    uint8_t *copy = malloc(n + 1);
    assert_non_null(copy);
    memcpy(copy, stream->data + begin, n);
    assert_non_null(buf_reserve(stream, n));
    memmove(stream->data + place + n, stream->data + place, stream->len - place);
    memcpy(stream->data + place, copy, n);
    stream->len += n;
    free(copy);
}
