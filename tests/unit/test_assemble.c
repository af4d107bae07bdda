/*
 * Tests of txn-assemble/assemble.c: what comes out of which input, and which input is refused. The
 * scripts are described in frame_script.h.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "frame_script.h"
#include "txn-assemble/assemble.h"

#define MEMORY_LIMIT (64 * 1024 * 1024)
#define DRAIN_BYTES  (64 * 1024)

struct outcome {
    struct buf out; /* frames */
    struct err err;
    struct assemble_counters n;
    uint64_t spilled_bytes; /* in all */
    uint64_t memory_peak;
    size_t out_peak; /* longest the sink's buffer was */
};

struct drained {
    struct buf pending;
    struct outcome *o;
};

static int drain(void *arg, struct err *err)
{
    struct drained *d = arg;
    if (d->pending.len > d->o->out_peak)
        d->o->out_peak = d->pending.len;
    buf_append(&d->o->out, d->pending.data, d->pending.len);
    buf_reset(&d->pending, SIZE_MAX);
    return buf_check(&d->o->out, err);
}

/* Feeds whole frames; what is cut off at the end is left. Returns the number of frames taken. */
static size_t assemble_frames(struct outcome *o, const uint8_t *data, size_t size,
                              uint64_t memory_limit)
{
    struct store_pool pool;
    struct drained d = {.o = o};
    const struct assemble_sink sink = {&d.pending, DRAIN_BYTES, drain, &d};
    size_t taken = 0;

    *o = (struct outcome){.out.len = 0};
    store_pool_init(&pool, "/tmp", memory_limit);
    struct assembler *a = assembler_new(&pool, &sink);
    assert_non_null(a);
    while (size >= FRAME_HEADER_SIZE) {
        struct frame f;
        if (frame_header(data, &f.type, &f.size, &o->err) || f.size > size - FRAME_HEADER_SIZE)
            break;
        /* A copy of its own, so that a sanitizer sees a read beyond the frame. */
        uint8_t *copy = malloc(frame_length(&f));
        assert_non_null(copy);
        memcpy(copy, data, frame_length(&f));
        f.body = copy + FRAME_HEADER_SIZE;
        int result = assembler_frame(a, &f, &o->err);
        data += frame_length(&f);
        size -= frame_length(&f);
        free(copy);
        if (drain(&d, &o->err) || result)
            break;
        taken++;
        if (pool.memory_bytes > o->memory_peak)
            o->memory_peak = pool.memory_bytes;
    }
    o->n = assembler_counters(a);
    o->spilled_bytes = pool.spilled_bytes_total;
    assembler_free(a);
    assert_int_equal(pool.memory_bytes, 0);
    assert_int_equal(pool.spilled_bytes, 0);
    store_pool_free(&pool);
    buf_free(&d.pending);
    return taken;
}

static void assemble(struct outcome *o, const char *script, uint64_t memory_limit)
{
    struct buf in = {0};
    script_frames(&in, script);
    (void)assemble_frames(o, in.data, in.len, memory_limit);
    buf_free(&in);
}

static void release(struct outcome *o)
{
    buf_free(&o->out);
}

/* Script in, script out, in one line each way: blanks and line ends around frames do not count. */
static void assert_script(const struct outcome *o, const char *expected)
{
    struct buf got = {0}, frames = {0}, want = {0};
    frames_script(&got, o->out.data, o->out.len);
    script_frames(&frames, expected);
    frames_script(&want, frames.data, frames.len);
    assert_string_equal(buf_cstr(&got), buf_cstr(&want));
    buf_free(&got);
    buf_free(&frames);
    buf_free(&want);
}

/* ---- what comes out ---- */

struct good {
    const char *name;
    const char *in, *out;
};

static const struct good good[] = {
    {"an ordinary transaction passes through, Y does not",
     "H 1; B 7 100; R 1 a; Y 5; I 7 1 x; U 7 1 y; D 7 1 z; T 7 1; C 7 100 110 4; Z done 110",
     "H 1; B 7 100; R 1 a; I 7 1 x; U 7 1 y; D 7 1 z; T 7 1; C 7 100 110 4; Z done 110"},
    {"an ordinary transaction comes out before its commit has come in",
     "H 1; B 7 100; R 1 a; I 7 1 x", "H 1; B 7 100; R 1 a; I 7 1 x"},
    {"an empty transaction, as PostgreSQL 14 sends it", "H 1; B 7 100; C 7 100 110 0; k 120",
     "H 1; B 7 100; C 7 100 110 0; k 120"},
    {"a relation goes out once, before its first use",
     "H 1; B 7 100; R 1 a; R 2 a; I 7 2 x; C 7 100 110 1; B 8 110; I 8 2 y; I 8 1 y; C 8 110 120 2",
     "H 1; B 7 100; R 2 a; I 7 2 x; C 7 100 110 1; B 8 110; I 8 2 y; R 1 a; I 8 1 y;"
     "C 8 110 120 2"},
    {"what the server sends anew goes out, be it the same",
     "H 1; B 7 100; R 1 a; I 7 1 x; R 1 b; I 7 1 y; R 1 b; I 7 1 z; C 7 100 110 3",
     "H 1; B 7 100; R 1 a; I 7 1 x; R 1 b; I 7 1 y; R 1 b; I 7 1 z; C 7 100 110 3"},
    {"also where it is described once more at the end",
     "H 1; S 7 1; R 1 a?; I 7 1 x; I 7 1 y; R 1 a?; I 7 1 z; E; S 7 0; R 1 a; E; c 7 100 110",
     "H 1; B 7 100; R 1 a; I 7 1 x; I 7 1 y; R 1 a; I 7 1 z; C 7 100 110 3"},
    {"every message of a relation is described once more",
     "H 1; S 7 1; R 1 a?; I 7 1 x; R 1 b?; I 7 1 y; E; S 7 0; R 1 a; E; S 7 0; R 1 b; E;"
     "c 7 100 110; B 8 110; I 8 1 z; C 8 110 120 1",
     "H 1; B 7 100; R 1 a; I 7 1 x; R 1 b; I 7 1 y; C 7 100 110 2; B 8 110; I 8 1 z;"
     "C 8 110 120 1"},
    {"a description does not take the place of a newer one when its transaction commits",
     "H 1; S 7 1; R 1 a; I 7 1 x; E; B 8 50; R 1 b; I 8 1 y; C 8 50 60 1; c 7 100 110;"
     "B 9 120; I 9 1 z; C 9 120 130 1",
     "H 1; B 8 50; R 1 b; I 8 1 y; C 8 50 60 1; B 7 100; R 1 a; I 7 1 x; C 7 100 110 1;"
     "B 9 120; R 1 b; I 9 1 z; C 9 120 130 1"},
    {"nor where it is described once more",
     "H 1; S 7 1; R 1 a?; I 7 1 x; E; B 8 50; R 1 b; I 8 1 y; C 8 50 60 1; S 7 0; R 1 a; E;"
     "c 7 100 110; B 9 120; I 9 1 z; C 9 120 130 1",
     "H 1; B 8 50; R 1 b; I 8 1 y; C 8 50 60 1; B 7 100; R 1 a; I 7 1 x; C 7 100 110 1;"
     "B 9 120; R 1 b; I 9 1 z; C 9 120 130 1"},
    {"but one that the server has sent since does",
     "H 1; S 7 1; R 1 a; I 7 1 x; E; B 8 50; R 1 b; I 8 1 y; C 8 50 60 1; S 7 0; R 1 a;"
     "I 7 1 w; E; c 7 100 110; B 9 120; I 9 1 z; C 9 120 130 1",
     "H 1; B 8 50; R 1 b; I 8 1 y; C 8 50 60 1; B 7 100; R 1 a; I 7 1 x; R 1 a; I 7 1 w;"
     "C 7 100 110 2; B 9 120; I 9 1 z; C 9 120 130 1"},
    {"a truncate takes all its relations with it",
     "H 1; B 7 100; R 1 a; R 2 a; R 3 a; I 7 2 x; T 7 1,2,3; C 7 100 110 2",
     "H 1; B 7 100; R 2 a; I 7 2 x; R 1 a; R 3 a; T 7 1,2,3; C 7 100 110 2"},
    {"origin and transactional message keep their places",
     "H 1; B 7 100; O far; R 1 a; M 7 one; I 7 1 x; M 7 two; C 7 100 110 1",
     "H 1; B 7 100; O far; M 7 one; R 1 a; I 7 1 x; M 7 two; C 7 100 110 1"},
    {"a non-transactional message comes before the transaction around it (trap 9)",
     "H 1; M 0 early; B 7 100; M 7 in; C 7 100 110 0; M 0 late",
     "H 1; M 0 early; B 7 100; M 7 in; C 7 100 110 0; M 0 late"},
    {"a commit LSN may equal the end LSN before (trap 8)",
     "H 1; B 7 100; C 7 100 110 0; B 8 110; C 8 110 120 0",
     "H 1; B 7 100; C 7 100 110 0; B 8 110; C 8 110 120 0"},
    {"a k that says less than is known is dropped",
     "H 1; B 7 100; C 7 100 110 0; k 105; k 110; k 120; k 119; k 120",
     "H 1; B 7 100; C 7 100 110 0; k 110; k 120; k 120"},

    {"a copy passes through, behind its relation",
     "H 1; W 1; R 1 a; X 1 0 50; I 0 1 x; I 0 1 y; x 1 2; B 7 100; I 7 1 z; C 7 100 110 1",
     "H 1; W 1; R 1 a; X 1 0 50; I 0 1 x; I 0 1 y; x 1 2; B 7 100; I 7 1 z; C 7 100 110 1"},
    {"and in chunks, among the rest, with one of no rows",
     "H 1; W 1; W 2; R 1 a; X 1 1 50; I 0 1 x; x 1 1 k; k 60; R 1 a; X 1 2 70; x 1 0; Z done 70",
     "H 1; W 1; W 2; R 1 a; X 1 1 50; I 0 1 x; x 1 1 k; k 60; R 1 a; X 1 2 70; x 1 0; Z done 70"},
    {"single rows that are read again, by their keys",
     "H 1; W 1; R 1 a; X 1 4294967295 50; D 0 1 p; D 0 1 q; I 0 1 q; x 1 3; k 60",
     "H 1; W 1; R 1 a; X 1 4294967295 50; D 0 1 p; D 0 1 q; I 0 1 q; x 1 3; k 60"},
    {"a table joins where it may, and a copy does not wait for what is held",
     "H 1; S 7 1; W 2; R 2 a; I 7 2 p; E; R 1 a; X 1 0 50; I 0 1 x; x 1 1; B 8 60; W 3; C 8 60 70 0;"
     "S 7 0; W 4; I 7 2 q; E; c 7 100 110",
     "H 1; W 2; R 1 a; X 1 0 50; I 0 1 x; x 1 1; B 8 60; W 3; C 8 60 70 0; W 4; B 7 100; R 2 a;"
     "I 7 2 p; I 7 2 q; C 7 100 110 2"},
    {"a copy that a hello cuts off is void to whoever reads on",
     "H 1; R 1 a; X 1 0 50; I 0 1 x; H 1; R 1 a; X 1 0 60; I 0 1 y; x 1 1",
     "H 1; R 1 a; X 1 0 50; I 0 1 x; H 1; R 1 a; X 1 0 60; I 0 1 y; x 1 1"},

    {"a streamed transaction is held until its commit",
     "H 1; S 7 1; R 1 a; I 7 1 x; E; k 50; S 7 0; I 7 1 y; E; c 7 100 110; Z done 110",
     "H 1; k 50; B 7 100; R 1 a; I 7 1 x; I 7 1 y; C 7 100 110 2; Z done 110"},
    {"interleaved with another streamed and an ordinary one (trap 4)",
     "H 1; S 7 1; O far; R 1 a; I 7 1 x; E; S 8 1; R 1 a; I 8 1 p; E; B 9 50; R 1 a; I 9 1 o;"
     "C 9 50 60 1;"
     "S 7 0; I 7 1 y; E; S 8 0; I 8 1 q; E; c 8 70 80; S 7 0; I 7 1 z; E; c 7 90 100",
     "H 1; B 9 50; R 1 a; I 9 1 o; C 9 50 60 1; B 8 70; R 1 a; I 8 1 p; I 8 1 q; C 8 70 80 2;"
     "B 7 90; O far; R 1 a; I 7 1 x; I 7 1 y; I 7 1 z; C 7 90 100 3"},
    {"what the catalog showed only after the commit stands for the transaction's own description",
     "H 1; S 7 1; R 1 a?; I 7 1 x; R 1 b?; I 7 1 y; E; S 7 0; R 1 b; E; c 7 100 110",
     "H 1; B 7 100; R 1 a?; I 7 1 x; R 1 b; I 7 1 y; C 7 100 110 2"},
    {"subtransaction xids are kept (trap 1)", "H 1; S 7 1; R 1 a; I 8 1 x; I 7 1 y; E; c 7 100 110",
     "H 1; B 7 100; R 1 a; I 8 1 x; I 7 1 y; C 7 100 110 2"},
    {"a subtransaction that is rolled back loses exactly its changes (trap 2)",
     "H 1; S 7 1; R 1 a; I 7 1 a; I 8 1 b; I 9 1 c; E; A 7 8; S 7 0; I 7 1 d; M 10 m; T 10 1;"
     "I 10 1 e; E; A 7 10;"
     "c 7 100 110",
     "H 1; B 7 100; R 1 a; I 7 1 a; I 9 1 c; I 7 1 d; C 7 100 110 3"},
    {"nested subtransactions, each reported for itself",
     "H 1; S 7 1; R 1 a; I 7 1 a; I 8 1 b; I 9 1 c; I 10 1 d; I 8 1 e; E; A 7 10; A 7 9;"
     "c 7 100 110",
     "H 1; B 7 100; R 1 a; I 7 1 a; I 8 1 b; I 8 1 e; C 7 100 110 3"},
    {"a transaction of which nothing is left still moves the LSN",
     "H 1; S 7 1; R 1 a; I 8 1 b; E; A 7 8; c 7 100 110", "H 1; B 7 100; C 7 100 110 0"},
    {"a streamed transaction that is rolled back leaves nothing",
     "H 1; S 7 1; R 1 a; I 7 1 a; I 8 1 b; E; A 7 8; A 7 7; k 100", "H 1; k 100"},
    {"an abort of a transaction never seen is legal", "H 1; A 7 7; A 7 8; k 5", "H 1; k 5"},
    {"an xid may be used again after its abort",
     "H 1; S 7 1; R 1 a; I 7 1 x; E; A 7 7; S 7 1; E; c 7 100 110", "H 1; B 7 100; C 7 100 110 0"},

    {"a relation sent for a rolled back subtransaction serves the rest (trap 3)",
     "H 1; S 7 1; R 1 a; I 8 1 x; E; A 7 8; S 7 0; I 7 1 y; E; c 7 100 110",
     "H 1; B 7 100; R 1 a; I 7 1 y; C 7 100 110 1"},
    {"a relation is common knowledge after the stream commit",
     "H 1; S 7 1; R 1 a; I 7 1 x; E; c 7 100 110; B 8 120; I 8 1 y; C 8 120 130 1",
     "H 1; B 7 100; R 1 a; I 7 1 x; C 7 100 110 1; B 8 120; I 8 1 y; C 8 120 130 1"},
    {"so it is where its transaction ended up empty",
     "H 1; S 7 1; R 1 a; I 8 1 x; E; A 7 8; c 7 100 110; B 8 120; I 8 1 y; C 8 120 130 1",
     "H 1; B 7 100; C 7 100 110 0; B 8 120; R 1 a; I 8 1 y; C 8 120 130 1"},
    {"DDL in a streamed transaction is not seen by others before its commit",
     "H 1; B 6 10; R 1 a; I 6 1 o; C 6 10 20 1; S 7 1; R 1 b; I 7 1 x; E; B 8 50; I 8 1 y;"
     "C 8 50 60 1; c 7 100 110;"
     "B 9 120; I 9 1 z; C 9 120 130 1",
     "H 1; B 6 10; R 1 a; I 6 1 o; C 6 10 20 1; B 8 50; I 8 1 y; C 8 50 60 1; B 7 100; R 1 b;"
     "I 7 1 x;"
     "C 7 100 110 1; B 9 120; I 9 1 z; C 9 120 130 1"},
    {"DDL in a streamed transaction that is rolled back never shows",
     "H 1; B 6 10; R 1 a; I 6 1 o; C 6 10 20 1; S 7 1; R 1 b; I 7 1 x; E; A 7 7; B 9 120;"
     "I 9 1 z; C 9 120 130 1",
     "H 1; B 6 10; R 1 a; I 6 1 o; C 6 10 20 1; B 9 120; I 9 1 z; C 9 120 130 1"},
    {"DDL between the changes of a streamed transaction keeps its place",
     "H 1; S 7 1; R 1 a; I 7 1 x; E; S 7 0; R 1 b; I 7 1 y; E; c 7 100 110",
     "H 1; B 7 100; R 1 a; I 7 1 x; R 1 b; I 7 1 y; C 7 100 110 2"},
    {"a streamed transaction keeps the version it was made with, whatever others saw since",
     "H 1; B 6 10; R 1 a; I 6 1 o; C 6 10 20 1; S 7 1; I 7 1 x; E; B 8 50; R 1 b; I 8 1 y;"
     "C 8 50 60 1; c 7 100 110",
     "H 1; B 6 10; R 1 a; I 6 1 o; C 6 10 20 1; B 8 50; R 1 b; I 8 1 y; C 8 50 60 1;"
     "B 7 100; R 1 a; I 7 1 x; C 7 100 110 1"},

    {"a commit prepared whose prepare was confirmed is for the applier to judge (trap 36)",
     "H 1; K 7 100 110 g; k 120", "H 1; K 7 100 110 g; k 120"},
    {"the same where its changes were streamed again, but not prepared again",
     "H 1; S 7 1; R 1 a; I 7 1 x; E; K 7 100 110 g; k 120", "H 1; K 7 100 110 g; k 120"},
    {"the same where it is rolled back", "H 1; S 7 1; R 1 a; I 7 1 x; E; r 7 g; k 120",
     "H 1; k 120"},
    {"a prepared transaction is held until commit prepared",
     "H 1; b 7 40 g; O far; R 1 a; I 7 1 x; M 7 m; P 7 40 g; B 8 50; I 8 1 y; C 8 50 60 1;"
     "K 7 100 110 g",
     "H 1; B 8 50; R 1 a; I 8 1 y; C 8 50 60 1; B 7 100; O far; I 7 1 x; M 7 m; C 7 100 110 1"},
    {"a prepared transaction that is rolled back leaves nothing but the relations",
     "H 1; b 7 40 g; R 1 a; I 7 1 x; P 7 40 g; r 7 g; B 8 50; I 8 1 y; C 8 50 60 1",
     "H 1; B 8 50; R 1 a; I 8 1 y; C 8 50 60 1"},
    {"a rollback of a prepared transaction from before the slot is legal", "H 1; r 7 g; k 5",
     "H 1; k 5"},
    {"a prepared transaction keeps the version it was made with",
     "H 1; B 6 10; R 1 a; I 6 1 o; C 6 10 20 1; b 7 40 g; I 7 1 x; P 7 40 g; B 8 50; R 1 b;"
     "I 8 1 y; C 8 50 60 1;"
     "K 7 100 110 g; B 9 110; I 9 1 z; C 9 110 120 1",
     "H 1; B 6 10; R 1 a; I 6 1 o; C 6 10 20 1; B 8 50; R 1 b; I 8 1 y; C 8 50 60 1;"
     "B 7 100; R 1 a; I 7 1 x; C 7 100 110 1; B 9 110; R 1 b; I 9 1 z; C 9 110 120 1"},
    {"a streamed transaction that is prepared",
     "H 1; S 7 1; R 1 a; I 7 1 x; I 8 1 s; E; A 7 8; p 7 40 g; B 9 50; I 9 1 y; C 9 50 60 1;"
     "K 7 100 110 g",
     "H 1; B 9 50; R 1 a; I 9 1 y; C 9 50 60 1; B 7 100; I 7 1 x; C 7 100 110 1"},
    {"what the catalog showed only after commit prepared stands for the description at the prepare",
     "H 1; b 7 40 g; R 1 a?; I 7 1 x; P 7 40 g; S 7 0; R 1 a; E; K 7 100 110 g; B 8 110; I 8 1 y;"
     "C 8 110 120 1",
     "H 1; B 7 100; R 1 a; I 7 1 x; C 7 100 110 1; B 8 110; I 8 1 y; C 8 110 120 1"},
    {"the same of a streamed transaction that is prepared",
     "H 1; S 7 1; R 1 a?; I 7 1 x; E; p 7 40 g; S 7 0; R 1 a; E; K 7 100 110 g; B 8 110; I 8 1 y;"
     "C 8 110 120 1",
     "H 1; B 7 100; R 1 a; I 7 1 x; C 7 100 110 1; B 8 110; I 8 1 y; C 8 110 120 1"},
    {"two prepared ones, committed in the other order",
     "H 1; b 7 40 g; R 1 a; I 7 1 x; P 7 40 g; b 8 50 h; I 8 1 y; P 8 50 h; K 8 60 70 h;"
     "K 7 80 90 g",
     "H 1; B 8 60; R 1 a; I 8 1 y; C 8 60 70 1; B 7 80; I 7 1 x; C 7 80 90 1"},

    {"a later H forgets streamed, prepared and open transactions and the relations (trap 5)",
     "H 1; B 6 10; R 1 a; I 6 1 o; C 6 10 20 1; S 7 1; R 1 a; I 7 1 x; E; b 8 40 g; I 8 1 x;"
     "P 8 40 g; B 9 50; I 9 1 x;"
     "H 20; B 9 50; R 1 a; I 9 1 x; C 9 50 60 1; S 7 1; R 1 a; I 7 1 x; E; c 7 100 110",
     "H 1; B 6 10; R 1 a; I 6 1 o; C 6 10 20 1; B 9 50; I 9 1 x; H 20; B 9 50; R 1 a; I 9 1 x;"
     "C 9 50 60 1;"
     "B 7 100; R 1 a; I 7 1 x; C 7 100 110 1"},
    {"after a later H transactions may come again (trap 12)",
     "H 1; B 7 100; C 7 100 110 0; H 50; B 7 100; C 7 100 110 0",
     "H 1; B 7 100; C 7 100 110 0; H 50; B 7 100; C 7 100 110 0"},
    {"an H in the middle of a block",
     "H 1; S 7 1; R 1 a; I 7 1 x; H 1; S 7 1; E; H 1; b 7 8 g; H 1; k 5",
     "H 1; H 1; H 1; H 1; k 5"},
    {"Z drops what is open", "H 1; S 7 1; R 1 a; I 7 1 x; E; B 8 50; R 1 a; I 8 1 x; Z stop 1",
     "H 1; B 8 50; R 1 a; I 8 1 x; Z stop 1"},
};

static void test_good(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof good / sizeof *good; i++) {
        struct outcome o;
        assemble(&o, good[i].in, MEMORY_LIMIT);
        if (o.err.kind != ERR_NONE)
            fail_msg("%s: %s", good[i].name, o.err.text);
        print_message("# %s\n", good[i].name);
        assert_script(&o, good[i].out);
        release(&o);
    }
}

/* ---- what is refused ---- */

struct bad {
    const char *in;    /* the last frame is wrong */
    const char *error; /* part of the message */
};

static const struct bad bad[] = {
    {"B 7 100", "unexpected begin frame before the hello frame"},
    {"k 1", "before the hello frame"},
    {"Z x 1", "before the hello frame"},
    {"R 1 a", "before the hello frame"},
    {"Y 1", "before the hello frame"},
    {"M 0 x", "before the hello frame"},
    {"H 1; R 1 a; B 7 100; I 7 1 \xff", "insert: text that is not UTF-8"},
    {"H 1; R 1 a; S 7 1; I 8 1 \xff", "insert: text that is not UTF-8"},
    {"H 1; R 1 \xff", "relation: a name or a default that is not UTF-8"},
    {"H 1; B 7 100; O \xff", "origin: name that is not UTF-8"},
    {"H 1; b 7 100 \xff", "begin prepare: gid that is not UTF-8"},
    {"H 1; I 7 1 x", "unexpected insert frame outside a transaction"},
    {"H 1; U 7 1 x", "unexpected update frame outside a transaction"},
    {"H 1; D 7 1 x", "unexpected delete frame outside a transaction"},
    {"H 1; T 7 1", "unexpected truncate frame outside a transaction"},
    {"H 1; O far", "unexpected origin frame outside a transaction"},
    {"H 1; M 7 x", "a transactional message outside a transaction"},
    {"H 1; B 7 100; M 0 x", "a non-transactional message inside a transaction"},
    {"H 1; S 7 1; M 0 x", "a non-transactional message inside a transaction"},
    {"H 1; B 7 100; M 8 x", "of xid 8 in another transaction"},
    {"H 1; B 7 100; B 8 100",
     "transaction 7, final LSN 0/64: unexpected begin frame inside a transaction"},
    {"H 1; B 7 100; k 5", "unexpected progress frame inside a transaction"},
    {"H 1; B 7 100; S 8 1", "unexpected stream start frame inside a transaction"},
    {"H 1; B 7 100; c 8 1 2", "unexpected stream commit frame inside a transaction"},
    {"H 1; B 7 100; A 8 8", "unexpected stream abort frame inside a transaction"},
    {"H 1; B 7 100; E", "unexpected stream stop frame inside a transaction"},
    {"H 1; B 7 100; b 8 1 g", "unexpected begin prepare frame inside a transaction"},
    {"H 1; B 7 100; P 7 100 g", "unexpected prepare frame inside a transaction"},
    {"H 1; B 7 100; K 8 1 2 g", "unexpected commit prepared frame inside a transaction"},
    {"H 1; C 7 100 110 0", "unexpected commit frame outside a transaction"},
    {"H 1; B 7 100; C 8 100 110 0", "the commit is of xid 8"},
    {"H 1; B 7 100; C 7 101 110 0", "does not match the begin"},
    {"H 1; B 7 100; C 7 100 110 1", "counts 1 changes, but 0 came"},
    {"H 1; B 7 100; R 1 a; I 7 1 x; C 7 100 110 0", "counts 0 changes, but 1 came"},
    {"H 1; B 7 100; C 7 100 100 0", "the end LSN 0/64 is not after the commit LSN 0/64"},
    {"H 1; B 7 100; C 7 100 110 0; B 8 109", "before 0/6E"},
    {"H 1; k 200; B 7 100", "before 0/C8"},
    {"H 1; k 200; S 7 1; E; c 7 100 110",
     "streamed transaction 7, commit LSN 0/64: the commit LSN 0/64 is before 0/C8"},
    {"H 1; k 200; b 7 40 g; P 7 40 g; K 7 100 110 g", "is before 0/C8"},
    {"H 1; S 7 1; E; c 7 100 100", "the end LSN"},
    {"H 1; B 7 100; R 1 a; I 8 1 x", "of xid 8 in another transaction"},
    {"H 1; B 7 100; R 1 a; T 8 1", "of xid 8 in another transaction"},
    {"H 1; B 7 100; R 1 a; I 7 2 x",
     "a change of relation 2, which no relation frame has described"},
    {"H 1; B 7 100; R 1 a; T 7 1,2", "relation 2"},
    {"H 1; S 7 1; R 1 a; I 7 2 x", "streamed transaction 7: a change of relation 2"},
    {"H 1; S 7 1; R 1 a; T 7 1,2", "relation 2"},
    {"H 1; b 7 40 g; I 7 2 x", "prepared transaction 7: a change of relation 2"},
    {"H 1; S 7 1; R 1 a; E; S 8 1; I 8 1 x", "relation 1"},
    {"H 1; S 7 1; R 1 a; E; B 8 50; I 8 1 x", "relation 1"},
    {"H 1; S 7 1; R 1 a; E; A 7 7; B 8 50; I 8 1 x", "relation 1"},
    {"H 1; B 7 100; R 1 a; C 7 100 110 0; H 1; B 8 120; I 8 1 x", "relation 1"},
    {"H 1; E", "unexpected stream stop frame outside a transaction"},
    {"H 1; S 7 1; S 8 1", "unexpected stream start frame inside a stream block"},
    {"H 1; S 7 1; B 8 100", "unexpected begin frame inside a stream block"},
    {"H 1; S 7 1; C 7 100 110 0", "unexpected commit frame inside a stream block"},
    {"H 1; S 7 1; c 7 100 110", "unexpected stream commit frame inside a stream block"},
    {"H 1; S 7 1; A 7 7", "unexpected stream abort frame inside a stream block"},
    {"H 1; S 7 1; p 7 100 g", "unexpected stream prepare frame inside a stream block"},
    {"H 1; S 7 1; k 5", "unexpected progress frame inside a stream block"},
    {"H 1; S 7 1; E; S 7 1", "the stream of transaction 7 starts again"},
    {"H 1; S 7 0", "goes on, but never started"},
    {"H 1; S 7 1; E; H 1; S 7 0", "goes on, but never started"},
    {"H 1; S 7 1; E; A 7 7; S 7 0", "goes on, but never started"},
    {"H 1; S 7 1; E; S 7 0; O far", "an origin frame in a later stream block"},
    {"H 1; S 7 1; E; B 7 100", "a begin of a transaction that is streamed or prepared"},
    {"H 1; c 7 100 110", "the end of transaction 7, which was never streamed"},
    {"H 1; p 7 100 g", "the end of transaction 7, which was never streamed"},
    {"H 1; b 7 40 g; B 8 100", "unexpected begin frame inside a transaction being prepared"},
    {"H 1; b 7 40 g; C 7 40 50 0", "unexpected commit frame inside a transaction being prepared"},
    {"H 1; b 7 40 g; I 8 1 x", "of xid 8 in another transaction"},
    {"H 1; b 7 40 g; P 8 40 g", "the prepare of transaction 8 does not match"},
    {"H 1; b 7 40 g; P 7 41 g", "does not match"},
    {"H 1; b 7 40 g; P 7 40 h", "does not match"},
    {"H 1; b 7 40 g; P 7 40 gg", "does not match"},
    {"H 1; P 7 40 g", "unexpected prepare frame outside a transaction"},
    {"H 1; b 7 40 g; P 7 40 g; b 7 40 g", "which is streamed or prepared"},
    {"H 1; b 7 40 g; P 7 40 g; S 7 1", "starts again"},
    {"H 1; b 7 40 g; R 1 a; P 7 40 g; S 7 0; I 7 1 x",
     "insert frame after the transaction was prepared"},
    {"H 1; b 7 40 g; P 7 40 g; c 7 100 110", "never streamed"},
    {"H 1; b 7 40 g; P 7 40 g; A 7 7", "a stream abort of the prepared transaction 7"},
    {"H 1; k 200; K 7 100 110 g", "is before 0/C8"},
    {"H 1; K 7 100 100 g", "is not after the commit LSN"},
    {"H 1; b 7 40 g; P 7 40 g; K 7 100 110 h", "has another gid"},
    {"H 1; b 7 40 g; P 7 40 g; r 7 h", "has another gid"},
    {"W 1", "before the hello frame"},
    {"H 1; X 1 0 50", "relation 1"},
    {"H 1; x 1 0", "unexpected copy end frame outside a transaction"},
    {"H 1; R 1 a; X 1 0 50; R 2 a", "unexpected relation frame inside the copy of a table"},
    {"H 1; R 1 a; X 1 0 50; X 1 0 50", "unexpected copy begin frame inside the copy of a table"},
    {"H 1; R 1 a; X 1 0 50; W 2", "unexpected copy due frame inside the copy of a table"},
    {"H 1; R 1 a; X 1 0 50; B 7 100", "unexpected begin frame inside the copy of a table"},
    {"H 1; R 1 a; X 1 0 50; k 60", "unexpected progress frame inside the copy of a table"},
    {"H 1; R 1 a; X 1 0 50; U 0 1 x", "unexpected update frame inside the copy of a table"},
    {"H 1; R 1 a; X 1 0 50; D 0 1 x", "unexpected delete frame inside the copy of a table"},
    {"H 1; R 1 a; X 1 1 50; D 0 1 x", "unexpected delete frame inside the copy of a table"},
    {"H 1; R 1 a; X 1 4294967295 50; U 0 1 x", "unexpected update frame inside the copy"},
    {"H 1; R 1 a; X 1 4294967295 50; D 7 1 x", "a row of relation 1 and xid 7"},
    {"H 1; R 1 a; X 1 0 50; I 7 1 x", "a row of relation 1 and xid 7"},
    {"H 1; R 1 a; R 2 a; X 1 0 50; I 0 2 x", "a row of relation 2 and xid 0"},
    {"H 1; R 1 a; X 1 0 50; I 0 1 x; x 1 2", "relation 1 after 2 rows"},
    {"H 1; R 1 a; X 1 0 50; I 0 1 x; x 2 1", "relation 2 after 1 rows"},
    {"H 1; R 1 a; B 7 100; X 1 0 50", "unexpected copy begin frame inside a transaction"},
    {"H 1; S 7 1; R 1 a; X 1 0 50", "unexpected copy begin frame inside a stream block"},
    {"H 1; Z x 1; W 1", "after the end frame"},
    {"H 1; Z x 1; H 1", "unexpected hello frame after the end frame"},
    {"H 1; Z x 1; k 5", "unexpected progress frame after the end frame"},
    {"H 1; Z x 1; Z x 1", "unexpected end frame after the end frame"},
    {"H 1; Z x 1; Y 1", "after the end frame"},
};

static void test_bad(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        struct outcome o;
        struct buf in = {0}, all = {0};
        script_frames(&in, bad[i].in);
        frames_script(&all, in.data, in.len);
        size_t frames = 0;
        for (const char *p = buf_cstr(&all); (p = strchr(p, '\n')); p++)
            frames++;
        size_t taken = assemble_frames(&o, in.data, in.len, MEMORY_LIMIT);
        if (o.err.kind != ERR_PERMANENT || !strstr(o.err.text, bad[i].error))
            fail_msg("%s: not \"%s\" but \"%s\"", bad[i].in, bad[i].error, o.err.text);
        if (taken != frames - 1)
            fail_msg("%s: stopped at frame %zu", bad[i].in, taken + 1);
        buf_free(&in);
        buf_free(&all);
        release(&o);
    }
}

/* A fault in any frame's body is found, also where the frame would only be put away or dropped. */
static void test_malformed_bodies(void **state)
{
    (void)state;
    static const char *const scripts[] = {
        "H 1",
        "H 1; B 7 100",
        "H 1; Y 5",
        "H 1; R 1 a",
        "H 1; B 7 100; R 1 a; T 7 1",
        "H 1; B 7 100; C 7 100 110 0",
        "H 1; S 7 1",
        "H 1; S 7 1; E",
        "H 1; S 7 1; E; c 7 100 110",
        "H 1; A 7 8",
        "H 1; b 7 40 g",
        "H 1; b 7 40 g; P 7 40 g",
        "H 1; S 7 1; E; p 7 40 g",
        "H 1; b 7 40 g; P 7 40 g; K 7 100 110 g",
        "H 1; r 7 g",
        "H 1; B 7 100; O far",
        "H 1; M 0 x",
        "H 1; S 7 1; M 7 x",
        "H 1; k 5",
        "H 1; Z x 1",
    };
    for (size_t i = 0; i < sizeof scripts / sizeof *scripts; i++) {
        struct buf in = {0};
        script_frames(&in, scripts[i]);
        size_t last = 0;
        for (size_t at = 0; at < in.len;) {
            struct frame f;
            struct err err;
            assert_int_equal(frame_header(in.data + at, &f.type, &f.size, &err), 0);
            last = at;
            at += frame_length(&f);
        }
        /* One byte more than the fields take. */
        buf_append_byte(&in, 0xc0);
        in.data[last + 4]++;
        struct outcome o;
        (void)assemble_frames(&o, in.data, in.len, MEMORY_LIMIT);
        if (o.err.kind != ERR_PERMANENT || !strstr(o.err.text, "malformed"))
            fail_msg("%s: \"%s\"", scripts[i], o.err.text);
        release(&o);
        buf_free(&in);
    }
}

/* ---- memory and spilling ---- */

/* Three streamed transactions in turns, with a rolled back subtransaction each, and one large
 * value. */
static void big_input(struct buf *in)
{
    script_frames(in, "H 1");
    for (unsigned round = 0; round < 40; round++)
        for (unsigned t = 0; t < 3; t++) {
            char text[256];
            (void)snprintf(text, sizeof text, "S %u %d", 10 + t, round == 0);
            script_frames(in, text);
            if (round % 10 == 0) {
                (void)snprintf(text, sizeof text, "R 1 %u; R 2 %u", round, t);
                script_frames(in, text);
            }
            for (unsigned i = 0; i < 40; i++) {
                (void)snprintf(text, sizeof text, "I %u 1 %u_%u; U %u 2 x*%u", 10 + t, round, i,
                               i % 4 ? 10 + t : 100 + 100 * t + round, 1000 + round);
                script_frames(in, text);
            }
            if (round == 20 && t == 1) {
                (void)snprintf(text, sizeof text, "I %u 1 y*300000", 10 + t);
                script_frames(in, text);
            }
            script_frames(in, "E");
            if (round % 2) {
                (void)snprintf(text, sizeof text, "A %u %u", 10 + t, 100 + 100 * t + round);
                script_frames(in, text);
            }
        }
    script_frames(in, "c 11 100 110; p 10 115 g; A 12 12; K 10 120 130 g; Z done 130");
}

static void test_spilling_changes_nothing(void **state)
{
    (void)state;
    struct buf in = {0};
    struct outcome want, got;
    big_input(&in);
    (void)assemble_frames(&want, in.data, in.len, MEMORY_LIMIT);
    assert_int_equal(want.err.kind, ERR_NONE);
    assert_int_equal(want.spilled_bytes, 0);
    assert_int_equal(want.n.transactions, 2);
    assert_int_equal(want.n.replayed, 2);
    assert_int_equal(want.n.aborted, 1);
    assert_int_equal(want.n.subaborts, 60);
    assert_int_equal(want.n.changes, 2 * 40 * 80 + 1 - 2 * 20 * 10);
    assert_int_equal(want.n.open, 0);
    assert_int_equal(want.n.open_prepared, 0);

    static const uint64_t limits[] = {1, 64 * 1024, 200 * 1024, 1024 * 1024};
    for (size_t i = 0; i < sizeof limits / sizeof *limits; i++) {
        (void)assemble_frames(&got, in.data, in.len, limits[i]);
        assert_int_equal(got.err.kind, ERR_NONE);
        assert_true(got.spilled_bytes > 0);
        assert_true(got.memory_peak <=
                    limits[i] + 4096); /* the lists of subxids cannot be spilled */
        assert_int_equal(got.out.len, want.out.len);
        assert_memory_equal(got.out.data, want.out.data, want.out.len);
        release(&got);
    }
    /* What waits for the sink stays small, but for the one large value. */
    assert_true(want.out_peak < DRAIN_BYTES + 310000);
    release(&want);
    buf_free(&in);
}

/* Every prefix: whole frames are taken, the rest is left, and no transaction is completed that is
 * not whole. */
static void test_truncated_input(void **state)
{
    (void)state;
    struct buf in = {0};
    for (size_t i = 0; i < sizeof good / sizeof *good; i++) {
        struct outcome whole;
        buf_reset(&in, SIZE_MAX);
        script_frames(&in, good[i].in);
        (void)assemble_frames(&whole, in.data, in.len, MEMORY_LIMIT);
        for (size_t n = 0; n < in.len; n++) {
            struct outcome o;
            uint8_t *copy = malloc(n + 1);
            assert_non_null(copy);
            memcpy(copy, in.data, n);
            (void)assemble_frames(&o, copy, n, 1);
            assert_int_equal(o.err.kind, ERR_NONE);
            assert_true(o.out.len <= whole.out.len);
            if (o.out.len > 0)
                assert_memory_equal(o.out.data, whole.out.data, o.out.len);
            free(copy);
            release(&o);
        }
        release(&whole);
    }
    buf_free(&in);
}

/* Random order of frames from the tables above: any answer but a crash, a leak or a commit without
 * its begin. */
static void test_shuffled_frames(void **state)
{
    (void)state;
    struct buf pool = {0}, in = {0};
    size_t starts[4096], lengths[4096], n = 0;
    for (size_t i = 0; i < sizeof good / sizeof *good; i++)
        script_frames(&pool, good[i].in);
    for (size_t at = 0; at < pool.len && n < 4096; n++) {
        struct frame f;
        struct err err;
        assert_int_equal(frame_header(pool.data + at, &f.type, &f.size, &err), 0);
        starts[n] = at;
        lengths[n] = frame_length(&f);
        at += lengths[n];
    }
    uint32_t random = 12345;
    for (int round = 0; round < 20000; round++) {
        buf_reset(&in, SIZE_MAX);
        script_frames(&in, "H 1");
        for (int i = 0; i < 12; i++) {
            random = random * 1664525 + 1013904223;
            size_t pick = (random >> 8) % n;
            buf_append(&in, pool.data + starts[pick], lengths[pick]);
        }
        struct outcome o;
        (void)assemble_frames(&o, in.data, in.len, 1);
        bool open = false;
        for (size_t at = 0; at < o.out.len;) {
            struct frame f;
            struct err err;
            assert_int_equal(frame_header(o.out.data + at, &f.type, &f.size, &err), 0);
            at += frame_length(&f);
            if (f.type == FRAME_COMMIT)
                assert_true(open);
            open =
                f.type == FRAME_BEGIN || (open && f.type != FRAME_COMMIT && f.type != FRAME_HELLO);
        }
        release(&o);
    }
    buf_free(&in);
    buf_free(&pool);
}

/* Every byte of an input turned over: a refusal or another meaning, never a crash. */
static void test_damaged_bytes(void **state)
{
    (void)state;
    struct buf in = {0};
    for (size_t i = 0; i < sizeof good / sizeof *good; i++) {
        buf_reset(&in, SIZE_MAX);
        script_frames(&in, good[i].in);
        for (size_t at = 0; at < in.len; at++) {
            static const uint8_t flips[] = {0x01, 0x80, 0xff};
            for (size_t k = 0; k < sizeof flips; k++) {
                struct outcome o;
                in.data[at] ^= flips[k];
                (void)assemble_frames(&o, in.data, in.len, 1);
                assert_true(o.err.kind == ERR_NONE || o.err.kind == ERR_PERMANENT);
                in.data[at] ^= flips[k];
                release(&o);
            }
        }
    }
    buf_free(&in);
}

static void test_stop(void **state)
{
    (void)state;
    struct store_pool pool;
    struct outcome o = {.out.len = 0};
    struct err err = {0};
    const struct assemble_sink sink = {&o.out, DRAIN_BYTES, NULL, NULL};
    store_pool_init(&pool, "/tmp", MEMORY_LIMIT);
    struct assembler *a = assembler_new(&pool, &sink);
    assert_non_null(a);

    assembler_stop(a, "early"); /* nothing can go out before H */
    assert_int_equal(o.out.len, 0);
    struct buf in = {0};
    script_frames(&in,
                  "H 5; B 7 100; C 7 100 110 0; S 8 1; R 1 a; I 8 1 x; E; B 9 120; R 1 a; I 9 1 x");
    for (size_t at = 0; at < in.len;) {
        struct frame f;
        assert_int_equal(frame_header(in.data + at, &f.type, &f.size, &err), 0);
        f.body = in.data + at + FRAME_HEADER_SIZE;
        assert_int_equal(assembler_frame(a, &f, &err), 0);
        at += frame_length(&f);
    }
    assert_false(assembler_ended(a));
    assembler_stop(a, "enough");
    assert_true(assembler_ended(a));
    assembler_stop(a, "enough");
    assert_script(&o, "H 5; B 7 100; C 7 100 110 0; B 9 120; R 1 a; I 9 1 x; Z enough 110");
    assembler_free(a);
    store_pool_free(&pool);
    buf_free(&in);
    release(&o);
}

/* The sink fails in the middle of a held transaction: the error comes through, no commit goes out.
 */
static int full(void *arg, struct err *err)
{
    (void)arg;
    return err_set(err, ERR_TEMPORARY, "the reader is gone");
}

static void test_sink_fails(void **state)
{
    (void)state;
    struct store_pool pool;
    struct buf out = {0}, in = {0};
    struct err err = {0};
    const struct assemble_sink sink = {&out, DRAIN_BYTES, full, NULL};
    store_pool_init(&pool, "/tmp", MEMORY_LIMIT);
    struct assembler *a = assembler_new(&pool, &sink);
    assert_non_null(a);
    script_frames(&in, "H 1; S 7 1; R 1 a; I 7 1 x*70000; I 7 1 y; E; c 7 100 110");
    int result = 0;
    for (size_t at = 0; at < in.len && result == 0;) {
        struct frame f;
        assert_int_equal(frame_header(in.data + at, &f.type, &f.size, &err), 0);
        f.body = in.data + at + FRAME_HEADER_SIZE;
        result = assembler_frame(a, &f, &err);
        at += frame_length(&f);
    }
    assert_int_equal(result, -1);
    assert_int_equal(err.kind, ERR_TEMPORARY);
    assert_non_null(
        strstr(err.text, "streamed transaction 7, commit LSN 0/64: the reader is gone"));
    struct buf text = {0};
    frames_script(&text, out.data, out.len);
    assert_string_equal(buf_cstr(&text), "H 1\nB 7 100\nR 1 a\nI 7 1 x*70000\n");
    assembler_free(a);
    store_pool_free(&pool);
    buf_free(&text);
    buf_free(&in);
    buf_free(&out);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_good),
        cmocka_unit_test(test_bad),
        cmocka_unit_test(test_malformed_bodies),
        cmocka_unit_test(test_spilling_changes_nothing),
        cmocka_unit_test(test_truncated_input),
        cmocka_unit_test(test_shuffled_frames),
        cmocka_unit_test(test_damaged_bytes),
        cmocka_unit_test(test_stop),
        cmocka_unit_test(test_sink_fails),
    };
    return cmocka_run_group_tests_name("assemble", tests, NULL, NULL);
}
