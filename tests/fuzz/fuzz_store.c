/*
 * fuzz_store.c - a spill file that is not as it was written, and a stream of frames.
 *
 * An input is where a byte is changed, to what, whether the file or the stream is cut there, and
 * how long frames are. What must hold: frames come back as they went in, or the damage is found: of
 * the file a temporary error, of the sealed stream a permanent one, and nothing else comes out
 * before it.
 */
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "frames/frame.h"
#include "frames/frame_reader.h"
#include "frames/frame_seal.h"
#include "tests/fuzz/input.h"
#include "txn-assemble/txn_store.h"

#define SPILL_DIR "/dev/shm" /* in memory */

struct damage {
    uint64_t at;
    uint8_t to; /* the bits that change; 0: it is cut there */
};

static void put_frames(struct input *in, struct buf *out)
{
    static char text[1 << 16];
    struct frame_hello h = {.format_version = FRAME_FORMAT_VERSION, .producer = bytes_of("fuzz")};
    frame_put_hello(out, &h);
    for (int i = 0; i < 16 && input_left(in) > 0; i++) {
        struct frame_message m = {.prefix = bytes_of("p")};
        struct frame_progress k = {.lsn = (uint64_t)i};
        size_t n = input_u8(in);
        m.content = (struct bytes){text, n < 240 ? n : n << 6};
        frame_put_message(out, &m);
        if (n % 4 == 0)
            frame_put_progress(out, &k);
    }
    struct frame_end z = {.why = bytes_of("end")};
    frame_put_end(out, &z);
}

/* What comes out, beside what went in. */
struct comparison {
    const struct buf *in;
    size_t at;
};

static int compare(void *arg, const struct frame *f, struct err *err)
{
    struct comparison *c = arg;
    (void)err;
    check(frame_length(f) <= c->in->len - c->at &&
              memcmp(c->in->data + c->at, frame_start(f), frame_length(f)) == 0,
          "another frame comes out of a spill file");
    c->at += frame_length(f);
    return 0;
}

static void change(int fd, const struct damage *d, off_t size)
{
    off_t at = size > 0 ? (off_t)(d->at % (uint64_t)size) : 0;
    uint8_t byte;
    if (size == 0)
        return;
    if (d->to == 0) {
        check(ftruncate(fd, at) == 0, "cannot cut");
        return;
    }
    check(pread(fd, &byte, 1, at) == 1, "cannot read");
    byte ^= d->to;
    check(pwrite(fd, &byte, 1, at) == 1, "cannot write");
}

static void through_store(const struct buf *frames, const struct damage *d)
{
    struct store_pool pool;
    struct txn_store s;
    struct err err = {0};
    struct comparison c = {frames, 0};
    store_pool_init(&pool, SPILL_DIR, 4096);
    txn_store_init(&s, &pool);
    for (size_t at = 0; at < frames->len;) {
        struct frame f;
        check(frame_header(frames->data + at, &f.type, &f.size, &err) == 0, "no frame");
        check(txn_store_append(&s, &pool, frames->data + at, frame_length(&f), &err) == 0,
              "not taken");
        at += frame_length(&f);
    }
    check(txn_store_replay(&s, SPILL_DIR, compare, &c, &err) == 0 && c.at == frames->len,
          "frames are lost in a spill file");
    if (s.spilled_bytes > 0) {
        c.at = 0;
        change(s.fd, d, (off_t)s.spilled_bytes);
        check(txn_store_replay(&s, SPILL_DIR, compare, &c, &err) != 0 && err.kind == ERR_TEMPORARY,
              "a damaged spill file is not noticed");
    }
    txn_store_release(&s, &pool);
    store_pool_free(&pool);
}

/* Whether the stream is read to its end, as it was. */
static bool reads(int fd, const struct buf *frames)
{
    struct frame_reader r;
    struct buf out = {0};
    struct err err = {0};
    enum frame_reader_status status = FRAME_READER_MORE;
    struct frame f = {0};
    check(lseek(fd, 0, SEEK_SET) == 0, "cannot go back");
    frame_reader_init(&r, fd);
    while (status != FRAME_READER_ERROR && f.type != FRAME_END && !r.eof) {
        status = frame_reader_next(&r, &f, &err);
        if (status == FRAME_READER_FRAME)
            buf_append(&out, frame_start(&f), frame_length(&f));
        if (status == FRAME_READER_MORE)
            check(frame_reader_fill(&r, &err) >= 0, "cannot read");
    }
    if (status == FRAME_READER_ERROR)
        check_refusal(&err);
    bool all = f.type == FRAME_END && out.len == frames->len &&
               memcmp(out.data, frames->data, out.len) == 0;
    frame_reader_free(&r);
    buf_free(&out);
    return all;
}

static void through_seal(const struct buf *frames, const struct damage *d)
{
    struct frame_seal s = {0};
    struct buf sealed = {0};
    size_t at = 0;
    buf_append(&sealed, frames->data, frames->len);
    frame_seal_add(&s, &sealed, &at);
    int fd = file_of(sealed.data, sealed.len);
    check(reads(fd, frames), "a stream is not read");
    change(fd, d, (off_t)sealed.len);
    check(!reads(fd, frames), "a damaged stream is not noticed");
    (void)close(fd);
    buf_free(&sealed);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct input in = input(data, size);
    struct damage d = {.at = input_number(&in, 3), .to = input_u8(&in)};
    struct buf frames = {0};
    put_frames(&in, &frames);
    through_store(&frames, &d);
    through_seal(&frames, &d);
    buf_free(&frames);
    return 0;
}
