/*
 * fuzz_apply.c - frames in any order into an applier, whose database fails at any call.
 *
 * The driver is the double of the unit tests, which itself looks at what is called, and at each
 * acknowledgement. What must hold: whatever fails, started again until nothing does the target
 * has what it has when nothing ever fails.
 *
 * An input is the call that fails, how, how large groups are, and frames (script.h): as an
 * assembler makes them of those, or as they are.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/log.h"
#include "tests/fuzz/script.h"
#include "tests/unit/apply_world.h"
#include "tests/unit/frame_script.h"
#include "txn-assemble/assemble.h"

#define MAX_FRAMES 50 /* the double has room for so many rows */
#define MAX_STARTS 20

static int no_drain(void *arg, struct err *err)
{
    (void)arg;
    (void)err;
    return 0;
}

/* As far as they are accepted. */
static void assemble(const struct buf *frames, struct buf *out)
{
    struct store_pool pool;
    const struct assemble_sink sink = {out, SIZE_MAX, no_drain, NULL};
    struct err err = {0};
    store_pool_init(&pool, "/tmp", UINT64_MAX);
    struct assembler *a = assembler_new(&pool, &sink);
    check(a != NULL, "no memory");
    int rc = 0;
    for (size_t at = 0; rc == 0 && at < frames->len && !assembler_ended(a);) {
        struct frame f;
        check(frame_header(frames->data + at, &f.type, &f.size, &err) == 0, "no frame");
        f.body = frames->data + at + FRAME_HEADER_SIZE;
        at += frame_length(&f);
        rc = assembler_frame(a, &f, &err);
    }
    assembler_free(a);
    store_pool_free(&pool);
}

struct limits {
    uint64_t transactions, bytes;
};

/* The program, once: all of the stream, with pauses. */
static int run_once(struct apply_world *w, const struct buf *frames, const struct limits *limits)
{
    w->group.max_transactions = limits->transactions;
    w->group.max_bytes = limits->bytes;
    int rc = feed_frames(w, frames);
    if (rc == 0)
        rc = input_ends(w);
    return rc;
}

static void check_error(const struct apply_world *w, int rc)
{
    if (rc)
        check(w->err.kind != ERR_NONE && w->err.text[0] != '\0', "an error without a text");
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct apply_world w, *state = &w;
    static const enum err_kind kinds[] = {ERR_TEMPORARY, ERR_RETRY, ERR_PERMANENT};
    struct input in = input(data, size);
    log_set_level(LOG_LEVEL_ERROR);
    uint64_t fail_at = input_u8(&in), nfail = 1 + input_below(&in, 4);
    enum err_kind kind = kinds[input_below(&in, 3)];
    uint8_t options = input_u8(&in);
    const struct limits limits = {options & 1   ? 1
                                  : options & 2 ? 2
                                                : 1000,
                                  options & 4 ? 200 : 1000000};
    struct buf script = {0}, raw = {0}, assembled = {0}, clean = {0}, failed = {0};
    script_of(&in, MAX_FRAMES, &script);
    script_frames(&raw, buf_cstr(&script));
    assemble(&raw, &assembled);
    const struct buf *frames = options & 8 ? &raw : &assembled;
    w = (struct apply_world){.acks = 0};
    start(&w);
    int rc = run_once(&w, frames, &limits);
    check_error(&w, rc);
    bool permanent = rc && w.err.kind == ERR_PERMANENT;
    double_content(durable(&w), &clean);
    stop(state);
    double_free(&w.dest);

    w = (struct apply_world){.acks = 0};
    w.dest.fail_at = fail_at;
    w.dest.nfail = nfail;
    w.dest.fail_kind = kind;
    w.dest.lose_answer = options & 16;
    start(&w);
    int starts = 1;
    for (; (rc = run_once(&w, frames, &limits)) != 0 && starts < MAX_STARTS; starts++) {
        check_error(&w, rc);
        if (permanent && w.err.kind == ERR_PERMANENT && starts > 6)
            break;
        stop(&w);
        start(&w);
    }
    double_content(durable(&w), &failed);
    check((rc == 0) == !permanent, "it does not end as it does when nothing fails");
    check(strcmp(buf_cstr(&clean), buf_cstr(&failed)) == 0, "the target has something else");
    stop(&w);
    double_free(&w.dest);
    buf_free(&script);
    buf_free(&raw);
    buf_free(&assembled);
    buf_free(&clean);
    buf_free(&failed);
    return 0;
}
