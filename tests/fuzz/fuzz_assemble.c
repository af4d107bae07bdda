/*
 * fuzz_assemble.c - frames in any order into txn-assemble's state machine.
 *
 * What must hold: what comes out is the same whether it was in memory or in spill files; and it is
 * what a reader finds that keeps all changes in one list and looks through it at each commit. An
 * order that is refused is so for good.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "tests/fuzz/script.h"
#include "tests/unit/frame_script.h"
#include "txn-assemble/assemble.h"

#define SPILL_DIR  "/dev/shm" /* in memory */
#define MAX_FRAMES 200

/* ---- the slow way ---- */

struct change {
    unsigned top, xid;
    char text[32];
    bool dropped;
};

struct model {
    struct change changes[MAX_FRAMES];
    size_t n;
    unsigned open;     /* the transaction or block that is open */
    bool passes;       /* an ordinary one */
    bool dropped[100]; /* subtransactions that were rolled back; of a transaction they have its last
                          digit */
    bool prepared[100];
    struct buf out;
};

static void forget(struct model *m, unsigned top)
{
    for (size_t i = 0; i < m->n; i++)
        m->changes[i].dropped |= top == 0 || m->changes[i].top == top;
    for (unsigned xid = 0; xid < 100; xid++)
        m->dropped[xid] &= top != 0 && xid % 10 != top % 10;
    for (unsigned xid = 0; xid < 100; xid++)
        m->prepared[xid] &= top != 0 && xid != top;
}

static void take_change(struct model *m, const char *line)
{
    struct change *c = &m->changes[m->n++];
    char rest[32];
    check(sscanf(line, "%*c %u %31[^\n]", &c->xid, rest) == 2, "a script that is none");
    (void)snprintf(c->text, sizeof c->text, "%c %.20s", *line, rest);
    c->top = m->open;
    if (m->passes) {
        buf_printf(&m->out, "%s\n", c->text);
        m->n--;
    }
}

static void commit(struct model *m, unsigned top)
{
    buf_printf(&m->out, "B %u\n", top);
    for (size_t i = 0; i < m->n; i++) {
        struct change *c = &m->changes[i];
        if (c->top == top && !c->dropped && (c->xid == top || !m->dropped[c->xid]))
            buf_printf(&m->out, "%s\n", c->text);
    }
    buf_printf(&m->out, "C %u\n", top);
    forget(m, top);
}

/* A line that was accepted. */
static void take_line(struct model *m, const char *line)
{
    unsigned xid = 0, second = 0;
    (void)sscanf(line, "%*c %u %u", &xid, &second);
    switch (*line) {
    case 'H':
        forget(m, 0);
        m->open = 0;
        m->passes = false;
        break;
    case 'B':
        buf_printf(&m->out, "B %u\n", xid);
        m->passes = true;
        m->open = xid;
        break;
    case 'C':
        buf_printf(&m->out, "C %u\n", xid);
        m->passes = false;
        m->open = 0;
        break;
    case 'b':
    case 'S':
        m->open = xid;
        break;
    case 'P':
    case 'p':
        m->prepared[xid] = true;
        m->open = 0;
        break;
    case 'E':
        m->open = 0;
        break;
    case 'I':
    case 'U':
    case 'D':
    case 'T':
        take_change(m, line);
        break;
    case 'A':
        if (second == xid)
            forget(m, xid);
        else
            m->dropped[second] = true;
        break;
    case 'r':
        forget(m, xid);
        break;
    case 'K': /* where its PREPARE did not come it goes through as it is */
        if (m->prepared[xid])
            commit(m, xid);
        break;
    case 'c':
        commit(m, xid);
        break;
    default:
        break;
    }
}

/* ---- the assembler ---- */

struct outcome {
    struct buf pending, out;
    struct err err;
    size_t taken; /* frames */
};

static int drain(void *arg, struct err *err)
{
    struct outcome *o = arg;
    buf_append(&o->out, o->pending.data, o->pending.len);
    buf_reset(&o->pending, SIZE_MAX);
    return buf_check(&o->out, err);
}

static void assemble(const struct buf *frames, uint64_t memory_limit, size_t drain_bytes,
                     struct outcome *o)
{
    struct store_pool pool;
    *o = (struct outcome){.taken = 0};
    const struct assemble_sink sink = {&o->pending, drain_bytes, drain, o};
    store_pool_init(&pool, SPILL_DIR, memory_limit);
    struct assembler *a = assembler_new(&pool, &sink);
    check(a != NULL, "no memory");
    int rc = 0;
    for (size_t at = 0; rc == 0 && at < frames->len && !assembler_ended(a);) {
        struct frame f;
        check(frame_header(frames->data + at, &f.type, &f.size, &o->err) == 0, "no frame");
        f.body = frames->data + at + FRAME_HEADER_SIZE;
        at += frame_length(&f);
        rc = assembler_frame(a, &f, &o->err);
        check(drain(o, &o->err) == 0, "no memory");
        o->taken += rc == 0;
    }
    if (rc)
        check_refusal(&o->err);
    assembler_free(a);
    check(pool.memory_bytes == 0 && pool.spilled_bytes == 0, "something is left in the store");
    store_pool_free(&pool);
}

static void release(struct outcome *o)
{
    buf_free(&o->pending);
    buf_free(&o->out);
}

/* Of a script that came out what the model has: changes without their xid, transactions with it. */
static void simplify(const char *script, struct buf *out)
{
    while (*script) {
        char rest[64];
        unsigned xid;
        if (strchr("IUDT", *script) && sscanf(script, "%*c %*u %63[^\n]", rest) == 1)
            buf_printf(out, "%c %.20s\n", *script, rest);
        else if (strchr("BC", *script) && sscanf(script, "%*c %u", &xid) == 1)
            buf_printf(out, "%c %u\n", *script, xid);
        script = strchrnul(script, '\n');
        script += *script == '\n';
    }
}

static void check_model(const char *script, const struct outcome *o)
{
    static struct model m;
    struct buf came = {0}, simple = {0};
    m = (struct model){.n = 0};
    for (size_t i = 0; i < o->taken; i++) {
        take_line(&m, script);
        script = strchr(script, '\n') + 1;
    }
    frames_script(&came, o->out.data, o->out.len);
    simplify(buf_cstr(&came), &simple);
    /* What the frame that was refused has begun may be there. */
    check(simple.len >= m.out.len && strncmp(buf_cstr(&simple), buf_cstr(&m.out), m.out.len) == 0 &&
              (o->err.kind != ERR_NONE || simple.len == m.out.len),
          "other changes come out");
    buf_free(&came);
    buf_free(&simple);
    buf_free(&m.out);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct input in = input(data, size);
    struct buf script = {0}, frames = {0};
    struct outcome large, small;
    script_of(&in, MAX_FRAMES - 10, &script);
    script_frames(&frames, buf_cstr(&script));
    assemble(&frames, UINT64_MAX, SIZE_MAX, &large);
    assemble(&frames, 0, 100, &small);
    check(large.out.len == small.out.len && large.taken == small.taken &&
              strcmp(large.err.text, small.err.text) == 0 &&
              (large.out.len == 0 || memcmp(large.out.data, small.out.data, large.out.len) == 0),
          "spill files make another stream");
    check_model(buf_cstr(&script), &large);
    release(&large);
    release(&small);
    buf_free(&script);
    buf_free(&frames);
    return 0;
}
