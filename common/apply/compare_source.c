#include "apply/compare_source.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/output.h"

/* The next frame; an end of the input that is none is an error. */
static int next_frame(struct compare_source *s, struct frame *f, struct err *err)
{
    for (;;) {
        switch (frame_reader_next(&s->input, f, err)) {
        case FRAME_READER_ERROR:
            return -1;
        case FRAME_READER_FRAME:
            return 0;
        case FRAME_READER_MORE:
            break;
        }
        if (s->input.eof)
            return frame_reader_cut(&s->input, err);
        struct pollfd p[] = {{.fd = s->input.fd, .events = POLLIN},
                             {.fd = s->signals->fd, .events = POLLIN}};
        if (poll(p, 2, -1) < 0 && errno != EINTR)
            return err_errno(err, ERR_TEMPORARY, "poll");
        if (p[1].revents)
            return err_set(err, ERR_TEMPORARY, "asked to stop");
        if (p[0].revents && frame_reader_fill(&s->input, err) < 0)
            return -1;
    }
}

static int out_of_place(const struct frame *f, struct err *err)
{
    (void)err_set(err, ERR_PERMANENT, "a frame of type '%c' where none can be", (char)f->type);
    return err_hint(err, "this reads what pg-capture --rows writes");
}

static int take_hello(struct compare_source *s, struct err *err)
{
    struct frame f;
    struct frame_hello h;
    if (next_frame(s, &f, err))
        return -1;
    if (f.type != FRAME_HELLO)
        return out_of_place(&f, err);
    if (frame_get_hello(&f, &h, err))
        return -1;
    (void)snprintf(s->slot, sizeof s->slot, "%.*s", (int)h.slot.size, h.slot.data);
    (void)snprintf(s->system_identifier, sizeof s->system_identifier, "%.*s",
                   (int)h.system_identifier.size, h.system_identifier.data);
    return 0;
}

int compare_source_open(struct compare_source *s, const char *ask, struct err *err)
{
    s->ask_fd = -1;
    s->begin = -1;
    frame_reader_init(&s->input, STDIN_FILENO);
    (void)fcntl(STDIN_FILENO, F_SETPIPE_SZ, OUTPUT_PIPE_SIZE); /* fails where it is no pipe */
    if (ask && (s->ask_fd = open(ask, O_WRONLY | O_CLOEXEC)) < 0)
        return err_errno(err, err_kind_of(errno), "--ask %s", ask);
    return take_hello(s, err);
}

void compare_source_close(struct compare_source *s)
{
    if (s->ask_fd >= 0)
        (void)close(s->ask_fd);
    frame_reader_free(&s->input);
    buf_free(&s->snapshot);
}

int compare_source_list(struct compare_source *s, compare_relation_fn *fn, void *ctx,
                        struct err *err)
{
    for (;;) {
        struct frame f;
        struct relation *rel;
        if (next_frame(s, &f, err))
            return -1;
        if (f.type == FRAME_PROGRESS)
            return 0;
        if (f.type != FRAME_RELATION)
            return out_of_place(&f, err);
        if (relation_from_frame(&f, &rel, err))
            return -1;
        int rc = fn(ctx, rel, err);
        relation_unref(rel);
        if (rc)
            return -1;
    }
}

int compare_source_ask(struct compare_source *s, uint32_t relid, struct err *err)
{
    char line[16];
    int n = snprintf(line, sizeof line, "%" PRIu32 "\n", relid);
    ssize_t written = write(s->ask_fd, line, (size_t)n);
    if (written == n)
        return 0;
    (void)err_errno(err, ERR_TEMPORARY, "asking for a table");
    return written < 0 && errno == EPIPE ? err_follows(err) : -1;
}

int compare_source_relation(struct compare_source *s, struct relation **rel, struct err *err)
{
    struct frame f;
    *rel = NULL;
    s->begin = lseek(s->input.fd, 0, SEEK_CUR);
    s->begin -= s->begin < 0 ? 0 : (off_t)frame_reader_left(&s->input);
    s->offset = s->input.offset;
    s->seal = s->input.seal;
    if (next_frame(s, &f, err))
        return -1;
    switch (f.type) {
    case FRAME_RELATION:
        return relation_from_frame(&f, rel, err);
    case FRAME_PROGRESS:
        return 0;
    case FRAME_END:
        s->ended = true;
        return frame_reader_finish(&s->input, err);
    default:
        return out_of_place(&f, err);
    }
}

int compare_source_again(struct compare_source *s, bool *can, struct err *err)
{
    *can = s->begin >= 0 && lseek(s->input.fd, s->begin, SEEK_SET) == s->begin;
    if (!*can)
        return 0;
    s->input.start = s->input.end = 0;
    s->input.offset = s->offset;
    s->input.seal = s->seal;
    s->input.eof = false;
    struct relation *rel;
    int rc = compare_source_relation(s, &rel, err);
    relation_unref(rel);
    return rc;
}

static int take_begin(struct compare_source *s, const struct relation *rel, struct err *err)
{
    struct frame f;
    struct frame_copy_begin x;
    if (next_frame(s, &f, err))
        return -1;
    if (f.type != FRAME_COPY_BEGIN)
        return out_of_place(&f, err);
    if (frame_get_copy_begin(&f, &x, err))
        return -1;
    if (x.relid != rel->relid || x.chunk != 0)
        return err_set(err, ERR_PERMANENT, "the rows of another table than was described");
    s->lsn = x.lsn;
    buf_reset(&s->snapshot, 4096);
    buf_append(&s->snapshot, x.snapshot.data, x.snapshot.size);
    return buf_check(&s->snapshot, err);
}

static int take_row(const struct frame *f, const struct relation *rel, struct value *row,
                    compare_source_row_fn *fn, void *ctx, struct err *err)
{
    struct frame_change change;
    struct mp_cursor c;
    if (frame_get_change(f, &change, &c, err))
        return -1;
    if (f->type != FRAME_INSERT || change.relid != rel->relid)
        return out_of_place(f, err);
    if (frame_get_tuple(&c, row, 0) || !frame_get_tuple(&c, row, rel->ncolumns))
        mp_fault(&c, "a row without its values");
    return mp_end(&c, frame_type_name(f->type), err) || (fn && fn(ctx, row, err)) ? -1 : 0;
}

static int take_rows(struct compare_source *s, const struct relation *rel, struct value *row,
                     compare_source_row_fn *fn, void *ctx, struct err *err)
{
    struct frame_copy_end end;
    uint64_t nrows = 0;
    struct frame f;
    for (;; nrows++) {
        if (next_frame(s, &f, err))
            return -1;
        if (f.type == FRAME_COPY_END)
            break;
        if (take_row(&f, rel, row, fn, ctx, err))
            return -1;
    }
    if (frame_get_copy_end(&f, &end, err))
        return -1;
    if (end.relid != rel->relid || end.nrows != nrows)
        return err_set(err, ERR_PERMANENT, "the rows are %" PRIu64 ", and were to be %" PRIu64,
                       nrows, end.nrows);
    if (next_frame(s, &f, err))
        return -1;
    return f.type == FRAME_PROGRESS ? 0 : out_of_place(&f, err);
}

int compare_source_rows(struct compare_source *s, const struct relation *rel,
                        compare_source_row_fn *fn, void *ctx, struct err *err)
{
    struct value *row = calloc((size_t)rel->ncolumns + 1, sizeof *row);
    if (!row)
        return err_nomem(err);
    s->complete = false;
    int rc = take_begin(s, rel, err) || take_rows(s, rel, row, fn, ctx, err) ? -1 : 0;
    s->complete = rc == 0;
    free(row);
    return rc;
}
