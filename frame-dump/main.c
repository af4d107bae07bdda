/*
 * frame-dump - frames on stdin, JSON Lines on stdout: for audit, debugging and jq.
 *
 * One poll loop over stdin, stdout and the stop signals: a line goes out as soon as no more input
 * waits, a slow reader slows the reading, and a reader that is gone is noticed while the input is
 * idle.
 */
#include <errno.h>
#include <inttypes.h>
#include <poll.h>
#include <stddef.h>
#include <unistd.h>

#include "base/begin.h"
#include "base/exit.h"
#include "base/log.h"
#include "base/options.h"
#include "base/output.h"
#include "base/signals.h"
#include "base/std_fds.h"
#include "frame_json.h"
#include "frames/frame_reader.h"
#include "frames/relmap.h"
#include "summary.h"

#define FLUSH_BYTES (64 * 1024)

struct settings {
    bool summary;
};

static const struct option_def option_table[] = {
    {.name = "summary",
     .type = OPTION_FLAG,
     .offset = offsetof(struct settings, summary),
     .help = "print counts by frame type and table at the end instead of frames"},
    {.name = NULL},
};

static const struct program program = {
    .name = "frame-dump",
    .synopsis = "[--summary] < FRAMES",
    .purpose = "Prints the frames of pg-capture or txn-assemble as JSON, one object a line.",
    .examples = "  frame-dump <audit.frames | jq -c 'select(.type == \"insert\")'\n"
                "  frame-dump --summary <audit.frames\n",
    .options = option_table,
};

struct dump {
    struct settings settings;
    struct signals signals;
    struct frame_reader reader;
    struct output out;
    struct relmap relations;
    struct summary summary;
    bool started;             /* the first frame was seen, and was H */
    enum frame_type previous; /* once started */
};

static int check_order(struct dump *d, const struct frame *f, struct err *err)
{
    if (!d->started && f->type != FRAME_HELLO)
        return err_set(
            err, ERR_PERMANENT,
            "the first frame is of type %s, not hello: this is not the beginning of a stream",
            frame_type_name(f->type));
    if (d->started && d->previous == FRAME_END && f->type != FRAME_HELLO)
        return err_set(err, ERR_PERMANENT, "a frame of type %s after the end of the stream",
                       frame_type_name(f->type));
    d->started = true;
    d->previous = f->type;
    return 0;
}

static int note_relation(struct dump *d, const struct frame *f, struct err *err)
{
    struct relation *rel;
    if (relation_from_frame(f, &rel, err))
        return -1;
    int rc = relmap_set(&d->relations, rel, err);
    relation_unref(rel);
    return rc;
}

static int take_frame(struct dump *d, const struct frame *f, uint64_t offset, struct err *err)
{
    if (check_order(d, f, err))
        return -1;
    if (f->type == FRAME_RELATION && note_relation(d, f, err))
        return -1;
    if (d->settings.summary) {
        if (summary_count(&d->summary, f, &d->relations, err))
            return -1;
        d->summary.bytes = d->reader.offset;
        return 0;
    }
    return frame_json(f, offset, &d->relations, &d->out.buf, err);
}

/* Takes frames until there is enough to write, or until no whole one is left (*drained). */
static int take_frames(struct dump *d, bool *drained, struct err *err)
{
    *drained = false;
    while (output_pending(&d->out) < FLUSH_BYTES) {
        uint64_t offset = d->reader.offset;
        struct frame f;
        switch (frame_reader_next(&d->reader, &f, err)) {
        case FRAME_READER_ERROR:
            return -1;
        case FRAME_READER_MORE:
            *drained = true;
            return 0;
        case FRAME_READER_FRAME:
            if (take_frame(d, &f, offset, err))
                return err_context(err, "byte %" PRIu64 " of the input", offset);
        }
    }
    return 0;
}

/* Waits until stdin can be read, or stdout written where something is to be written, or a signal
 * came. */
static int wait_for_work(struct dump *d, bool *readable, struct err *err)
{
    bool writing = output_pending(&d->out) > 0;
    struct pollfd fds[] = {
        {.fd = d->signals.fd, .events = POLLIN},
        {.fd = d->out.fd, .events = writing ? POLLOUT : 0},
        {.fd = writing ? -1 : d->reader.fd, .events = POLLIN},
    };
    *readable = false;
    if (poll(fds, sizeof fds / sizeof *fds, -1) < 0) {
        if (errno == EINTR)
            return 0;
        return err_errno(err, ERR_TEMPORARY, "poll");
    }
    if (output_check_revents(&d->out, fds[1].revents, err))
        return -1;
    *readable = fds[2].revents != 0;
    return 0;
}

/* What the end of input means, when it was not we who stopped. */
static int check_end(const struct dump *d, struct err *err)
{
    uint64_t offset = d->reader.offset;
    if (frame_reader_left(&d->reader) > 0)
        return err_set(err, ERR_TEMPORARY,
                       "byte %" PRIu64 " of the input: it ends in the middle of a frame", offset);
    if (!d->started || d->previous != FRAME_END)
        return err_set(err, ERR_TEMPORARY,
                       "byte %" PRIu64 " of the input: it ends without an end frame (Z)", offset);
    return 0;
}

static int dump_frames(struct dump *d, struct err *err)
{
    while (!signals_stop(&d->signals)) {
        bool drained, readable;
        if (take_frames(d, &drained, err) || output_try(&d->out, err))
            return -1;
        if (output_pending(&d->out) == 0 && !drained)
            continue;
        if (output_pending(&d->out) == 0 && d->reader.eof)
            return check_end(d, err);
        if (wait_for_work(d, &readable, err))
            return -1;
        if (readable && frame_reader_fill(&d->reader, err) < 0)
            return -1;
    }
    return 0;
}

static int run(struct dump *d, struct err *err)
{
    if (signals_init(&d->signals, err))
        return -1;
    output_init(&d->out, STDOUT_FILENO, "stdout", OUTPUT_PIPE_SIZE);
    frame_reader_init(&d->reader, STDIN_FILENO);

    int result = dump_frames(d, err);
    /* What was read before a fault is good and is printed; a second fault, such as a full disk, is
     * the lesser one. */
    struct err unheard = {0};
    struct err *second = result ? &unheard : err;
    bool complete = d->started && d->previous == FRAME_END;
    if ((d->settings.summary && summary_json(&d->summary, complete, &d->out.buf, second)) ||
        output_flush(&d->out, second))
        result = -1;
    return result;
}

int main(int argc, char **argv)
{
    struct err err = {0};
    struct dump d = {.signals.fd = -1, .out.saved_flags = -1};
    int status;
    if (!program_begin(&program, argc, argv, &d.settings, NULL, &status))
        return status;
    (void)run(&d, &err);
    output_close(&d.out);
    frame_reader_free(&d.reader);
    relmap_clear(&d.relations);
    summary_free(&d.summary);
    signals_close(&d.signals);
    return exit_status(&err);
}
