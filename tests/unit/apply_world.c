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

#include "apply_world.h"
#include "base/lsn.h"
#include "frame_script.h"

/* A run of the program; the target and what was acknowledged outlive it. */
void start(struct apply_world *w)
{
    int fds[2];
    assert_int_equal(pipe2(fds, O_NONBLOCK), 0);
    w->acks = fds[0];
    /* Always readable, and never with a signal in it: a wait between two tries takes no time. */
    w->signals = (struct signals){.fd = open("/dev/null", O_RDONLY)};
    w->counters = (struct counters){0};
    w->err = (struct err){0};
    w->come_lsn = 0;
    w->target = double_open(&w->dest);
    struct apply_group *g = &w->group;
    struct counters *c = &w->counters;
    *g = (struct apply_group){
        .target = w->target,
        .signals = &w->signals,
        .ack = {.path = "acks", .fd = fds[1]},
        .counters = {&c->transactions, &c->commits, &c->retries, &c->unplanned, &c->held_bytes,
                     &c->checkpoint_lsn, &c->commit_time, &c->connected, &c->durations},
        .stats = &w->stats,
        .max_transactions = 1000,
        .max_changes = 1000,
        .max_bytes = 1000000,
    };
    assert_int_equal(apply_rows_init(&g->rows, w->target, DDL_EVOLVE, &g->conflicts, &w->err), 0);
    for (int i = 0; i < COUNTS; i++)
        g->rows.counted[i] = &c->rows[i];
    w->stream = (struct apply_stream){
        .group = g, .input_fd = -1, .skipped = &c->skipped, .received_lsn = &c->received_lsn};
}

const struct double_data *durable(const struct apply_world *w)
{
    return w->dest.in_transaction ? &w->dest.before : &w->dest.now;
}

/* Reads what was acknowledged: never beyond what is durable or what came in this stream, never
 * backwards. */
static void check_acks(struct apply_world *w)
{
    char text[4096];
    ssize_t n = read(w->acks, text, sizeof text);
    for (char *line = text, *end; n > 0 && (end = memchr(line, '\n', (size_t)n)); line = end + 1) {
        uint64_t lsn;
        /* which tables are there, which are not, and which rows are not */
        if (strncmp(line, "copied", 6) == 0 || strncmp(line, "again ", 6) == 0 ||
            strncmp(line, "lacks ", 6) == 0) {
            n -= end + 1 - line;
            continue;
        }
        assert_true(lsn_parse(line, (size_t)(end - line), &lsn));
        assert_true(lsn > w->acked_lsn || w->group.ack.sent_lsn >= lsn);
        assert_true(lsn <= w->come_lsn);
        assert_true(durable(w)->has_checkpoint && lsn <= durable(w)->checkpoint.remote_lsn);
        if (lsn > w->acked_lsn)
            w->acked_lsn = lsn;
        n -= end + 1 - line;
    }
}

void stop(struct apply_world *w)
{
    check_acks(w);
    group_free(&w->group);
    target_close(w->target);
    (void)close(w->acks);
    (void)close(w->signals.fd);
    double_disconnect(&w->dest);
}

/* The LSN in a frame that says how far the stream has come; 0: another frame. */
static uint64_t come(const struct frame *f)
{
    struct err err;
    struct frame_hello h;
    struct frame_commit c;
    struct frame_progress k;
    if (f->type == FRAME_HELLO && frame_get_hello(f, &h, &err) == 0)
        return h.start_lsn;
    if (f->type == FRAME_COMMIT && frame_get_commit(f, &c, &err) == 0)
        return c.end_lsn;
    if (f->type == FRAME_PROGRESS && frame_get_progress(f, &k, &err) == 0)
        return k.lsn;
    return 0;
}

/* Feeds frames; after a fault in them flushes, as apply_main() does. */
int feed_frames(struct apply_world *w, const struct buf *frames)
{
    int rc = 0;
    for (size_t at = 0; rc == 0 && at < frames->len;) {
        struct frame f;
        assert_int_equal(frame_header(frames->data + at, &f.type, &f.size, &w->err), 0);
        f.body = frames->data + at + FRAME_HEADER_SIZE;
        at += frame_length(&f);
        uint64_t lsn = come(&f);
        if (lsn > w->come_lsn)
            w->come_lsn = lsn;
        rc = apply_stream_frame(&w->stream, &f, &w->err);
        check_acks(w);
    }
    struct err later = {0};
    if (rc && w->err.kind == ERR_PERMANENT)
        (void)!group_flush(&w->group, &later);
    check_acks(w);
    return rc;
}

int feed(struct apply_world *w, const char *script)
{
    struct buf frames = {0};
    script_frames(&frames, script);
    int rc = feed_frames(w, &frames);
    buf_free(&frames);
    return rc;
}

/* The input pauses. */
int input_pauses(struct apply_world *w)
{
    int rc = group_flush(&w->group, &w->err) || group_flush_progress(&w->group, &w->err);
    check_acks(w);
    return rc ? -1 : 0;
}

/* The input has ended. */
int input_ends(struct apply_world *w)
{
    int rc = group_discard_open(&w->group, &w->err) || group_flush(&w->group, &w->err) ||
             group_flush_progress(&w->group, &w->err);
    check_acks(w);
    return rc ? -1 : 0;
}

void good(const struct apply_world *w, int rc)
{
    if (rc)
        fail_msg("%s", w->err.text);
}

void bad(const struct apply_world *w, int rc, enum err_kind kind, const char *text)
{
    assert_int_equal(rc, -1);
    assert_int_equal(w->err.kind, kind);
    if (!strstr(w->err.text, text))
        fail_msg("\"%s\" does not say \"%s\"", w->err.text, text);
}

void has(const struct apply_world *w, const char *content)
{
    struct buf is = {0};
    double_content(durable(w), &is);
    assert_string_equal(buf_cstr(&is), content);
    buf_free(&is);
}

uint64_t checkpoint(const struct apply_world *w)
{
    return durable(w)->has_checkpoint ? durable(w)->checkpoint.remote_lsn : 0;
}

void calls(struct apply_world *w, const char *expected)
{
    assert_string_equal(buf_cstr(&w->dest.calls), expected);
    buf_reset(&w->dest.calls, SIZE_MAX);
}

size_t count_calls(struct apply_world *w, const char *call)
{
    size_t n = 0;
    for (const char *p = buf_cstr(&w->dest.calls); (p = strstr(p, call)); p++)
        n++;
    return n;
}

int apply_setup(void **state)
{
    struct apply_world *w = calloc(1, sizeof *w);
    *state = w;
    if (!w)
        return -1;
    start(w);
    return 0;
}

int apply_teardown(void **state)
{
    struct apply_world *w = *state;
    stop(w);
    double_free(&w->dest);
    free(w);
    return 0;
}

void new_target(struct apply_world *w)
{
    stop(w);
    memset(&w->dest.now, 0, sizeof w->dest.now);
    buf_reset(&w->dest.calls, SIZE_MAX);
    w->dest.ncalls = 0;
    w->dest.failed = false;
    w->acked_lsn = 0;
    start(w);
}
