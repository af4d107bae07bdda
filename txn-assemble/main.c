/*
 * txn-assemble - reads change frames with transactions in any state, writes whole committed
 * transactions.
 *
 * One loop: take the frames that are in the buffer, write what they gave, read more. Output goes
 * out when 64 KiB are waiting or when no input is there; while the reader is slow nothing is read,
 * so that memory stays within the buffers and --memory-limit.
 */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#include "assemble.h"
#include "base/begin.h"
#include "base/exit.h"
#include "base/log.h"
#include "base/lsn.h"
#include "base/notify.h"
#include "base/options.h"
#include "base/signals.h"
#include "base/spill_file.h"
#include "base/stats.h"
#include "base/std_fds.h"
#include "frames/frame_output.h"
#include "frames/frame_reader.h"

#define WRITE_BYTES (64 * 1024)

struct settings {
    uint64_t memory_limit;
    const char *spill_dir;
    uint64_t pipe_size;
};

static const struct option_def option_table[] = {
    {"memory-limit", OPTION_SIZE, offsetof(struct settings, memory_limit), "CDC_MEMORY_LIMIT",
     "16MB", "SIZE",
     "memory for all unfinished transactions together;\nbeyond it they go to spill files",
     64 * 1024, 0, NULL},
    {"spill-dir", OPTION_STRING, offsetof(struct settings, spill_dir), "CDC_SPILL_DIR", NULL, "DIR",
     "directory for spill files [$TMPDIR, else /var/tmp]", 0, 0, NULL},
    {"pipe-size", OPTION_SIZE, offsetof(struct settings, pipe_size), "CDC_PIPE_SIZE", "1MB", "SIZE",
     "size to request for the pipes of stdin and stdout;\n"
     "0: leave them",
     0, UINT64_C(1) << 30, NULL},
    {.name = NULL},
};

static const struct program program = {
    .name = "txn-assemble",
    .synopsis = "[option]... <frames >committed.frames",
    .purpose =
        "Turns the change frames of pg-capture, with ordinary, streamed and prepared transactions\n"
        "mixed, into whole committed transactions in commit order.",
    .examples =
        "  pg-capture --source postgresql:///shop --copy never | txn-assemble >committed.frames\n",
    .options = option_table,
};

/* What stats_register() gave. */
struct metrics {
    uint64_t *frames_in, *bytes_in, *transactions, *replayed, *aborted, *subaborts, *changes;
    uint64_t *changes_dropped, *open_prepared, *queue_depth, *memory, *spill, *spill_total;
};

struct run {
    struct frame_reader in;
    struct frame_output out;
    struct signals signals;
    struct store_pool pool;
    struct assembler *assembler;
    struct stats stats;
    struct metrics m;
    uint64_t frames_in;
};

static void register_metrics(struct stats *s, struct metrics *m)
{
    m->frames_in = stats_register(s, STATS_COUNTER, "pg2any_assemble_input_frames_total", NULL,
                                  "Frames read.");
    m->bytes_in = stats_register(s, STATS_COUNTER, "pg2any_assemble_input_bytes_total", NULL,
                                 "Bytes of the frames read.");
    m->transactions = stats_register(s, STATS_COUNTER, "pg2any_assemble_transactions_total", NULL,
                                     "Committed transactions written.");
    m->replayed =
        stats_register(s, STATS_COUNTER, "pg2any_assemble_replayed_transactions_total", NULL,
                       "Of these, streamed or prepared ones, which were held until their commit.");
    m->aborted =
        stats_register(s, STATS_COUNTER, "pg2any_assemble_dropped_transactions_total", NULL,
                       "Held transactions that were rolled back or made stale by a reconnection.");
    m->subaborts = stats_register(s, STATS_COUNTER, "pg2any_assemble_dropped_subtransactions_total",
                                  NULL, "Rolled back subtransactions of streamed transactions.");
    m->changes = stats_register(s, STATS_COUNTER, "pg2any_assemble_changes_total", NULL,
                                "Changes in the transactions written.");
    m->changes_dropped = stats_register(s, STATS_COUNTER, "pg2any_assemble_dropped_changes_total",
                                        NULL, "Changes of rolled back subtransactions, left out.");
    m->queue_depth = stats_register(s, STATS_GAUGE, "pg2any_queue_depth", NULL,
                                    "Transactions held until their outcome is known.");
    m->open_prepared = stats_register(s, STATS_GAUGE, "pg2any_assemble_open_prepared_transactions",
                                      NULL, "Of these, prepared ones.");
    m->memory = stats_register(s, STATS_GAUGE, "pg2any_buffer_memory_usage_bytes", NULL,
                               "Memory of the transactions held now.");
    m->spill =
        stats_register(s, STATS_GAUGE, "pg2any_spill_bytes", NULL, "Size of the spill files now.");
    m->spill_total = stats_register(s, STATS_COUNTER, "pg2any_assemble_spilled_bytes_total", NULL,
                                    "Bytes written to spill files.");
}

static void update_metrics(void *ctx)
{
    struct run *r = ctx;
    if (!r->assembler)
        return;
    const struct assemble_counters n = assembler_counters(r->assembler);
    *r->m.frames_in = r->frames_in;
    *r->m.bytes_in = r->in.offset;
    *r->m.transactions = n.transactions;
    *r->m.replayed = n.replayed;
    *r->m.aborted = n.aborted;
    *r->m.subaborts = n.subaborts;
    *r->m.changes = n.changes;
    *r->m.changes_dropped = n.changes_dropped;
    *r->m.queue_depth = n.open;
    *r->m.open_prepared = n.open_prepared;
    *r->m.memory = r->pool.memory_bytes;
    *r->m.spill = r->pool.spilled_bytes;
    *r->m.spill_total = r->pool.spilled_bytes_total;
}

/*
 * Writes all that waits. Takes a signal meanwhile, so that the next one can end a process whose
 * reader does not read any more.
 */
static int drain(void *arg, struct err *err)
{
    struct run *r = arg;
    for (;;) {
        if (frame_output_try(&r->out, err))
            return -1;
        stats_tick(&r->stats, monotonic_ms());
        if (frame_output_pending(&r->out) == 0)
            return 0;
        struct pollfd p[2] = {{.fd = r->out.out.fd, .events = POLLOUT},
                              {.fd = r->signals.stop ? -1 : r->signals.fd, .events = POLLIN}};
        if (poll(p, 2, r->stats.path ? STATS_INTERVAL_MS : -1) < 0) {
            if (errno == EINTR)
                continue;
            return err_errno(err, ERR_TEMPORARY, "waiting for stdout");
        }
        if (p[1].revents)
            (void)signals_stop(&r->signals);
        if (output_check_revents(&r->out.out, p[0].revents, err))
            return -1;
    }
}

/* Feeds frames until enough output waits or no whole frame is left; 1 when none is left. */
static int feed(struct run *r, struct err *err)
{
    struct frame f;
    while (frame_output_pending(&r->out) < WRITE_BYTES) {
        uint64_t offset = r->in.offset;
        switch (frame_reader_next(&r->in, &f, err)) {
        case FRAME_READER_ERROR:
            return -1;
        case FRAME_READER_MORE:
            return 1;
        case FRAME_READER_FRAME:
            r->frames_in++;
            if (assembler_frame(r->assembler, &f, err))
                return err_context(err, "%s frame at byte %" PRIu64 " of the input",
                                   frame_type_name(f.type), offset);
            if (frame_seal_size(f.type) > 0)
                frame_output_seal(&r->out);
        }
    }
    return 0;
}

/* Reads what is there, or waits for it once all output is written. */
static int wait_and_read(struct run *r, struct err *err)
{
    for (;;) {
        struct pollfd p[3] = {{.fd = r->in.fd, .events = POLLIN},
                              {.fd = r->out.out.fd, .events = 0},
                              {.fd = r->signals.fd, .events = POLLIN}};
        int timeout = frame_output_pending(&r->out) > 0 ? 0
                      : r->stats.path                   ? STATS_INTERVAL_MS
                                                        : -1;
        int n = poll(p, 3, timeout);
        if (n < 0 && errno != EINTR)
            return err_errno(err, ERR_TEMPORARY, "waiting for input");
        stats_tick(&r->stats, monotonic_ms());
        if (n < 0)
            continue;
        if (p[2].revents && signals_stop(&r->signals))
            return 0;
        if (output_check_revents(&r->out.out, p[1].revents, err))
            return -1;
        if (p[0].revents) {
            int got = frame_reader_fill(&r->in, err);
            if (got != 0 || r->in.eof)
                return got < 0 ? -1 : 0;
        } else if (frame_output_pending(&r->out) > 0 && drain(r, err)) {
            return -1;
        }
    }
}

static int loop(struct run *r, struct err *err)
{
    for (;;) {
        int fed = feed(r, err);
        if (fed < 0)
            return -1;
        if (r->signals.stop)
            return 0;
        if (fed == 0) {
            if (drain(r, err))
                return -1;
        } else if (assembler_ended(r->assembler)) {
            /* First the end goes out: the writer may wait until that is acknowledged. */
            if (drain(r, err))
                return -1;
            return r->signals.stop ? 0 : frame_reader_finish(&r->in, err);
        } else if (r->in.eof) {
            return frame_reader_cut(&r->in, err);
        } else if (wait_and_read(r, err)) {
            return -1;
        }
    }
}

/* After the loop: what is whole goes out, whatever happened. */
static void finish(struct run *r, struct err *err)
{
    struct err late = {0};
    /* The reader may have had the same signal, and gone first. */
    if (signals_stop(&r->signals) && err->kind != ERR_PERMANENT) {
        err_clear(err);
        assembler_stop(r->assembler, "stopped by signal");
        log_info("stopped by signal", NULL);
        if (drain(r, &late))
            log_info("the reader left first", "reason", late.text, NULL);
    } else if (drain(r, &late) && err->kind == ERR_NONE) {
        *err = late;
    }
}

/* Each open transaction may have a spill file. */
static void raise_open_files(void)
{
    struct rlimit limit;
    if (getrlimit(RLIMIT_NOFILE, &limit) == 0 && limit.rlim_cur < limit.rlim_max) {
        limit.rlim_cur = limit.rlim_max;
        (void)setrlimit(RLIMIT_NOFILE,
                        &limit); /* refused: spilling may run out earlier, and says so */
    }
}

static int start(struct run *r, struct settings *s, struct stage_options *stage, struct err *err)
{
    if (signals_init(&r->signals, err))
        return -1;
    raise_open_files();
    store_pool_init(&r->pool, spill_dir_default(s->spill_dir), s->memory_limit);
    if (store_pool_check_dir(&r->pool, err))
        return -1;
    frame_reader_init(&r->in, STDIN_FILENO);
    if (s->pipe_size > 0 && fcntl(STDIN_FILENO, F_GETPIPE_SZ) < (int)s->pipe_size)
        (void)fcntl(STDIN_FILENO, F_SETPIPE_SZ,
                    (int)s->pipe_size); /* no pipe, or refused: works as it is */
    frame_output_init(&r->out, STDOUT_FILENO, "stdout", s->pipe_size);
    const struct assemble_sink sink = {&r->out.out.buf, 4 * WRITE_BYTES, drain, r};
    r->assembler = assembler_new(&r->pool, &sink);
    if (!r->assembler)
        return err_nomem(err);
    notify_ready(&stage->notify_fd);
    stats_ready(&r->stats);
    return 0;
}

int main(int argc, char **argv)
{
    struct err err = {0};
    struct settings s = {0};
    struct stage_options stage;
    struct run r = {.signals.fd = -1, .out.out = {.fd = STDOUT_FILENO, .saved_flags = -1}};
    int status;

    if (!program_begin(&program, argc, argv, &s, &stage, &status))
        return status;
    stats_init(&r.stats, stage.stats, program.name);
    register_metrics(&r.stats, &r.m);
    r.stats.update = update_metrics;
    r.stats.ctx = &r;
    if (start(&r, &s, &stage, &err) == 0) {
        (void)loop(&r, &err);
        finish(&r, &err);
    }
    status = exit_status(&err);
    stats_end(&r.stats, &err);
    assembler_free(r.assembler);
    store_pool_free(&r.pool);
    frame_reader_free(&r.in);
    frame_output_close(&r.out);
    signals_close(&r.signals);
    return status;
}
