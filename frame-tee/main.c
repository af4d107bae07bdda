/*
 * frame-tee - passes committed frames on to several readers, and keeps an audit file of them.
 *
 * What comes on stdin goes to the audit file, then to stdout and to each --output-fd, if it is not
 * malformed. What a reader cannot take yet, while another one can, goes to a spill file
 * (backlog.h), up to a limit. A reader that is gone ends the program, so that all begin again
 * together at a new hello.
 */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <poll.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "audit.h"
#include "backlog.h"
#include "base/begin.h"
#include "base/exit.h"
#include "base/log.h"
#include "base/lsn.h"
#include "base/notify.h"
#include "base/options.h"
#include "base/signals.h"
#include "base/spill_file.h"
#include "base/stats.h"
#include "base/version.h"
#include "frames/frame_check.h"
#include "frames/frame_output.h"
#include "frames/frame_reader.h"
#include "frames/relmap.h"

#define MAX_OUTPUTS (1 + OPTION_LIST_MAX)

struct settings {
    struct option_list output_fds;
    const char *audit;
    uint64_t audit_size;
    uint64_t audit_keep;
    uint64_t reader_spill;
    const char *spill_dir;
};

static const struct option_def option_table[] = {
    {"output-fd", OPTION_LIST, offsetof(struct settings, output_fds), NULL, NULL, "N",
     "write the frames to this descriptor, too; repeat for each reader", 0, 0, NULL},
    {"audit", OPTION_STRING, offsetof(struct settings, audit), "CDC_AUDIT_FILE", NULL, "FILE",
     "append every frame to this file", 0, 0, NULL},
    {"audit-size", OPTION_SIZE, offsetof(struct settings, audit_size), "CDC_AUDIT_SIZE", "100MB",
     "SIZE", "at this size rename it, between two transactions, and begin another", 4096, 0, NULL},
    {"audit-keep", OPTION_UINT, offsetof(struct settings, audit_keep), "CDC_AUDIT_KEEP", "10", "N",
     "how many renamed files to keep", 0, 1000000, NULL},
    {"reader-spill", OPTION_SIZE, offsetof(struct settings, reader_spill), "CDC_READER_SPILL",
     "1GB", "SIZE",
     "how far a reader may fall behind the fastest one, in a\n"
     "spill file; 0: the slowest reader slows all",
     0, 0, NULL},
    {"spill-dir", OPTION_STRING, offsetof(struct settings, spill_dir), "CDC_SPILL_DIR", NULL, "DIR",
     "directory for spill files [$TMPDIR, else /var/tmp]", 0, 0, NULL},
    {.name = NULL},
};

static const struct program program = {
    .name = "frame-tee",
    .synopsis = "[option]... <committed.frames >committed.frames",
    .purpose = "Passes frames on to several readers, and keeps an audit file.",
    .examples =
        "  txn-assemble <frames | frame-tee --audit audit.frames | apply-sqlite --dest shop.db\n",
    .options = option_table,
};

struct run {
    struct frame_reader in;
    struct signals signals;
    struct relmap relations; /* as they were described last */
    struct audit audit;
    struct backlog outputs[MAX_OUTPUTS];
    char names[MAX_OUTPUTS][24];
    size_t noutputs;
    bool begun;   /* a frame has come */
    bool ended;   /* Z has come */
    bool starved; /* no whole frame is left of what was read */
    struct stats stats;
    uint64_t *frames, *held, *spill, *spill_total, *audit_bytes, *audit_files;
};

static uint64_t pending(const struct run *r)
{
    uint64_t most = 0;
    for (size_t i = 0; i < r->noutputs; i++)
        if (backlog_bytes(&r->outputs[i]) > most)
            most = backlog_bytes(&r->outputs[i]);
    return most;
}

/* The fastest reader keeps up with what is read, and there is room for what the others cannot take.
 */
static bool may_read(const struct run *r)
{
    bool one_keeps_up = false;
    for (size_t i = 0; i < r->noutputs; i++) {
        if (!backlog_has_room(&r->outputs[i]))
            return false;
        one_keeps_up = one_keeps_up || backlog_bytes(&r->outputs[i]) < BACKLOG_HIGH_BYTES;
    }
    return one_keeps_up;
}

static void update_stats(void *ctx)
{
    struct run *r = ctx;
    *r->held = *r->spill = *r->spill_total = 0;
    for (size_t i = 0; i < r->noutputs; i++) {
        const struct backlog *b = &r->outputs[i];
        *r->held += backlog_bytes(b) - backlog_spilled(b);
        *r->spill += backlog_spilled(b);
        *r->spill_total += b->nspilled;
    }
    *r->audit_bytes = r->audit.written_bytes;
    *r->audit_files = r->audit.files;
}

static void register_stats(struct run *r)
{
    struct stats *s = &r->stats;
    r->frames = stats_register(s, STATS_COUNTER, "pg2any_tee_frames_total", NULL, "Frames read.");
    r->held = stats_register(s, STATS_GAUGE, "pg2any_buffer_memory_usage_bytes", NULL,
                             "Frames that wait for a reader, in memory.");
    r->spill = stats_register(s, STATS_GAUGE, "pg2any_spill_bytes", NULL,
                              "Frames that wait for a reader in spill files.");
    r->spill_total = stats_register(s, STATS_COUNTER, "pg2any_tee_spilled_bytes_total", NULL,
                                    "Bytes written to spill files.");
    r->audit_bytes = stats_register(s, STATS_COUNTER, "pg2any_audit_bytes_total", NULL,
                                    "Bytes written to the audit file.");
    r->audit_files = stats_register(s, STATS_COUNTER, "pg2any_audit_files_total", NULL,
                                    "Audit files that were full.");
    s->update = update_stats;
    s->ctx = r;
}

static int check_relation(struct run *r, const struct frame *f, struct err *err)
{
    struct relation *rel;
    if (relation_from_frame(f, &rel, err))
        return -1;
    int rc = frame_check_relation(rel, err) ? -1 : relmap_set(&r->relations, rel, err);
    relation_unref(rel);
    return rc;
}

static const struct relation *find_relation(struct run *r, uint32_t relid, struct err *err)
{
    const struct relation *rel = relmap_get(&r->relations, relid);
    if (!rel)
        (void)err_set(err, ERR_PERMANENT,
                      "a change of relation %u, which no relation frame has described", relid);
    return rel;
}

static int check_change(struct run *r, const struct frame *f, struct err *err)
{
    struct frame_change change;
    struct mp_cursor tuples;
    if (frame_get_change(f, &change, &tuples, err))
        return -1;
    const struct relation *rel = find_relation(r, change.relid, err);
    return rel ? frame_check_tuples(f, &change, tuples, rel->ncolumns, err) : -1;
}

static int check_truncate(struct run *r, const struct frame *f, struct err *err)
{
    struct frame_truncate t;
    struct mp_cursor relids;
    if (frame_get_truncate(f, &t, &relids, err))
        return -1;
    for (uint32_t i = 0; i < t.nrelids; i++)
        if (!find_relation(r, mp_u32(&relids), err))
            return -1;
    return 0;
}

/* What is malformed goes neither into the audit file nor to a reader. */
static int check_frame(struct run *r, const struct frame *f, struct err *err)
{
    union frame_body body;
    if (!r->begun && f->type != FRAME_HELLO) {
        (void)err_set(err, ERR_PERMANENT, "the input begins with a %s frame, not with a hello",
                      frame_type_name(f->type));
        return err_hint(err, "a stream can only be read from its start");
    }
    switch (f->type) {
    case FRAME_RELATION:
        return check_relation(r, f, err);
    case FRAME_INSERT:
    case FRAME_UPDATE:
    case FRAME_DELETE:
        return check_change(r, f, err);
    case FRAME_TRUNCATE:
        return check_truncate(r, f, err);
    case FRAME_HELLO:
        relmap_clear(&r->relations);
        return frame_check_strings(f, err);
    default:
        return frame_get(f, &body, err) ? -1 : frame_check_strings(f, err);
    }
}

static int take_frame(struct run *r, const struct frame *f, struct err *err)
{
    ++*r->frames;
    r->begun = true;
    if (audit_frame(&r->audit, f, err))
        return -1;
    for (size_t i = 0; i < r->noutputs; i++)
        backlog_put(&r->outputs[i], f);
    r->ended = f->type == FRAME_END;
    return 0;
}

/* Every whole frame that is there, as long as there is room; first into the audit file. */
static int take_frames(struct run *r, struct err *err)
{
    struct frame f;
    while (!r->ended && may_read(r)) {
        uint64_t offset = r->in.offset;
        enum frame_reader_status status = frame_reader_next(&r->in, &f, err);
        if (status == FRAME_READER_ERROR)
            return -1;
        r->starved = status == FRAME_READER_MORE;
        if (r->starved)
            break;
        if (check_frame(r, &f, err))
            return err_context(err, "byte %" PRIu64 " of the input", offset);
        if (take_frame(r, &f, err))
            return -1;
    }
    if (r->audit.path && audit_flush(&r->audit, err))
        return -1;
    for (size_t i = 0; i < r->noutputs; i++)
        if (backlog_pass(&r->outputs[i], err))
            return -1;
    return 0;
}

/* Waits for input, where there is room for it and nothing is left of what was read, for the readers
 * and for signals; `*readable`: there is input. */
static int wait_for_any(struct run *r, bool *readable, struct err *err)
{
    struct pollfd p[2 + MAX_OUTPUTS];
    bool room = may_read(r) && !r->ended && !r->signals.stop;
    p[0] = (struct pollfd){.fd = room ? r->in.fd : -1, .events = POLLIN};
    p[1] = (struct pollfd){.fd = r->signals.stop ? -1 : r->signals.fd, .events = POLLIN};
    for (size_t i = 0; i < r->noutputs; i++)
        p[2 + i] = (struct pollfd){.fd = r->outputs[i].out.out.fd,
                                   .events = backlog_bytes(&r->outputs[i]) > 0 ? POLLOUT : 0};
    int limit_ms = r->stats.path ? STATS_INTERVAL_MS : -1;
    int n = poll(p, 2 + r->noutputs, room && !r->starved ? 0 : limit_ms);
    if (n < 0 && errno != EINTR)
        return err_errno(err, ERR_TEMPORARY, "poll");
    *readable = n > 0 && p[0].revents;
    if (n > 0 && p[1].revents)
        (void)signals_stop(&r->signals);
    for (size_t i = 0; n > 0 && i < r->noutputs; i++)
        if (output_check_revents(&r->outputs[i].out.out, p[2 + i].revents, err))
            return -1;
    stats_tick(&r->stats, monotonic_ms());
    return 0;
}

/* The readers get whole frames as far as memory has them; the rest comes again. */
static void cut_short(struct run *r, bool with_end)
{
    struct frame_end z = {.why = bytes_of("stopped by signal")};
    for (size_t i = 0; i < r->noutputs; i++)
        if ((backlog_cut(&r->outputs[i]) || !r->ended) && with_end)
            frame_put_end(&r->outputs[i].out.out.buf, &z);
    r->ended = true;
}

/* Everything that the outputs hold goes out; where it is stopped meanwhile, what is in memory. */
static int drain(struct run *r, struct err *err)
{
    bool readable;
    while (pending(r) > 0) {
        for (size_t i = 0; i < r->noutputs; i++)
            if (backlog_pass(&r->outputs[i], err))
                return -1;
        if (pending(r) > 0 && wait_for_any(r, &readable, err))
            return -1;
        if (r->signals.stop)
            cut_short(r, r->ended);
    }
    return 0;
}

static int loop(struct run *r, struct err *err)
{
    for (;;) {
        bool readable = false;
        if (take_frames(r, err))
            return -1;
        if (r->ended || r->signals.stop)
            return 0;
        if (r->in.eof && r->starved)
            return frame_reader_cut(&r->in, err);
        if (wait_for_any(r, &readable, err))
            return -1;
        if (readable && frame_reader_fill(&r->in, err) < 0)
            return -1;
    }
}

/* What is whole and in memory goes out, whatever happened, but nothing that is not in the audit
 * file; at the end of the stream all of it. */
static void finish(struct run *r, struct err *err)
{
    struct err late = {0};
    bool ended = r->ended;
    if (r->audit.path && audit_flush(&r->audit, &late))
        return;
    if (r->signals.stop && !ended && err->kind == ERR_NONE)
        log_info("stopped by signal", NULL);
    /* Without a beginning there is nothing to end: a stream of one end frame is none. */
    if (r->signals.stop || err->kind != ERR_NONE)
        cut_short(r, r->begun && err->kind == ERR_NONE);
    int rc = drain(r, &late);
    if (rc == 0 && ended && !r->signals.stop)
        rc = frame_reader_finish(&r->in, &late);
    if (rc && err->kind == ERR_NONE && !r->signals.stop)
        *err = late;
}

static void add_output(struct run *r, int fd, const char *name, const struct settings *s)
{
    (void)snprintf(r->names[r->noutputs], sizeof r->names[0], "%s", name);
    backlog_init(&r->outputs[r->noutputs], fd, r->names[r->noutputs],
                 spill_dir_default(s->spill_dir), s->reader_spill);
    r->noutputs++;
}

/* Temporary: txn-assemble, which has the same directory, says whether it has to be mended, and a
 * stage that has stopped for good would have to be started again for that, too. */
static int check_spill_dir(const struct settings *s, struct err *err)
{
    if (spill_dir_check(spill_dir_default(s->spill_dir), err) == 0)
        return 0;
    err->kind = ERR_TEMPORARY;
    return err_hint(err, "--spill-dir chooses another directory; --reader-spill 0 needs none");
}

static int open_outputs(struct run *r, const struct settings *s, struct err *err)
{
    const struct option_list *fds = &s->output_fds;
    add_output(r, STDOUT_FILENO, "stdout", s);
    for (size_t i = 0; i < fds->n; i++) {
        char *end, name[24];
        long fd = strtol(fds->items[i], &end, 10);
        if (*fds->items[i] == '\0' || *end != '\0' || fd < 3 || fd > 65535)
            return err_set(err, ERR_PERMANENT, "--output-fd: \"%s\" is no descriptor from 3 on",
                           fds->items[i]);
        if (fcntl((int)fd, F_GETFD) < 0)
            return err_errno(err, ERR_PERMANENT, "--output-fd %ld", fd);
        (void)snprintf(name, sizeof name, "descriptor %ld", fd);
        add_output(r, (int)fd, name, s);
    }
    return fds->n > 0 && s->reader_spill > 0 ? check_spill_dir(s, err) : 0;
}

static int start(struct run *r, const struct settings *s, struct stage_options *stage,
                 struct err *err)
{
    if (signals_init(&r->signals, err) || open_outputs(r, s, err) ||
        audit_open(&r->audit, s->audit, s->audit_size, s->audit_keep, err))
        return -1;
    frame_reader_init(&r->in, STDIN_FILENO);
    log_info("starting", "version", PG2ANY_VERSION, "readers", LOG_U64(r->noutputs), "audit",
             s->audit ? s->audit : "none", NULL);
    notify_ready(&stage->notify_fd);
    stats_ready(&r->stats);
    return 0;
}

int main(int argc, char **argv)
{
    struct err err = {0};
    struct settings s = {0};
    struct stage_options stage;
    static struct run r = {.signals.fd = -1, .in.fd = -1, .audit.fd = -1};
    int status;

    if (!program_begin(&program, argc, argv, &s, &stage, &status))
        return status;
    stats_init(&r.stats, stage.stats, program.name);
    register_stats(&r);
    if (start(&r, &s, &stage, &err) == 0) {
        (void)loop(&r, &err);
        finish(&r, &err);
    }
    status = exit_status(&err);
    stats_end(&r.stats, &err);
    audit_close(&r.audit);
    relmap_clear(&r.relations);
    frame_reader_free(&r.in);
    for (size_t i = 0; i < r.noutputs; i++)
        backlog_free(&r.outputs[i]);
    signals_close(&r.signals);
    return status;
}
