/*
 * fuzz_frame.c - any bytes as a stream of frames, or as the body of one.
 *
 * An input that begins with the frame mark is a whole stream and goes through the reader; of any
 * other the first byte is a frame's type and the rest its body, so that a change of length does not
 * end the test at the header. Every frame is decoded, written again, decoded again, and printed as
 * JSON. What must hold: no fault that a sanitizer sees, errors are permanent and have a text, and
 * what was decoded survives being written.
 *
 * With clang this is a libFuzzer target (-fsanitize=fuzzer); with any compiler, linked with
 * replay.c, a program that runs over files.
 */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <unistd.h>

#include "frame-dump/frame_json.h"
#include "frame-dump/summary.h"
#include "frames/frame_reader.h"
#include "frames/relmap.h"
#include "tests/fuzz/input.h"
#include "tests/unit/recode.h"

static struct frame frame_in(const struct buf *b)
{
    return (struct frame){(enum frame_type)b->data[FRAME_HEADER_SIZE - 1],
                          b->data + FRAME_HEADER_SIZE, (uint32_t)(b->len - FRAME_HEADER_SIZE)};
}

static bool survives(const struct frame *f, struct relmap *relations)
{
    struct buf first = {0}, second = {0};
    struct err err = {0};
    bool good = recode(f, relations, &first, &err) == 0;
    if (good) {
        struct frame again = frame_in(&first);
        check(recode(&again, relations, &second, &err) == 0, "a frame that we wrote is refused");
        check(second.len == first.len && memcmp(second.data, first.data, first.len) == 0,
              "a frame changes when it is read and written");
    } else {
        check_refusal(&err);
    }
    buf_free(&first);
    buf_free(&second);
    return good;
}

struct state {
    struct relmap relations;
    struct summary summary;
    uint64_t offset;
};

static void take_frame(struct state *s, const struct frame *f)
{
    struct err err = {0};
    bool good = survives(f, &s->relations);
    if (good && f->type == FRAME_RELATION) {
        struct relation *rel;
        check(relation_from_frame(f, &rel, &err) == 0 && relmap_set(&s->relations, rel, &err) == 0,
              "a relation is read once and not twice");
        relation_unref(rel);
    }
    struct buf line = {0};
    if (frame_json(f, s->offset, &s->relations, &line, &err) == 0) {
        check(good && line.len > 1 && line.data[line.len - 1] == '\n', "not a line of JSON");
    } else {
        check(!good && line.len == 0, "a frame that is read but not printed");
        check_refusal(&err);
    }
    check((summary_count(&s->summary, f, &s->relations, &err) == 0) == good,
          "a frame that is read but not counted, or the other way round");
    buf_free(&line);
    s->offset += f->size;
}

static void take_stream(struct state *s, const uint8_t *data, size_t size)
{
    struct err err = {0};
    int fd = file_of(data, size);
    struct frame_reader r;
    frame_reader_init(&r, fd);
    for (;;) {
        struct frame f;
        enum frame_reader_status status = frame_reader_next(&r, &f, &err);
        if (status == FRAME_READER_ERROR) {
            check_refusal(&err);
            break;
        }
        if (status == FRAME_READER_FRAME)
            take_frame(s, &f);
        else if (r.eof)
            break;
        else
            check(frame_reader_fill(&r, &err) >= 0, "the input cannot be read");
    }
    check(r.offset + frame_reader_left(&r) <= size, "more was read than there is");
    frame_reader_free(&r);
    (void)close(fd);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct state s = {0};
    if (size > 0 && data[0] == FRAME_MARK) {
        take_stream(&s, data, size);
    } else if (size > 0 && frame_type_known(data[0])) {
        /* A block of its own, so that a read beyond the body is seen. */
        uint8_t *body = malloc(size);
        check(body != NULL, "no memory");
        memcpy(body, data + 1, size - 1);
        const struct frame f = {(enum frame_type)data[0], body, (uint32_t)(size - 1)};
        take_frame(&s, &f);
        free(body);
    }
    struct buf line = {0};
    struct err err = {0};
    check(summary_json(&s.summary, false, &line, &err) == 0, "the counts cannot be printed");
    buf_free(&line);
    relmap_clear(&s.relations);
    summary_free(&s.summary);
    return 0;
}
