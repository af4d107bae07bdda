#include "capture.h"

#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "acks.h"
#include "base/atomic_file.h"
#include "base/exit.h"
#include "base/log.h"
#include "base/lsn.h"
#include "base/notify.h"
#include "base/signals.h"
#include "capture_stats.h"
#include "copying.h"
#include "frames/frame_output.h"
#include "position.h"
#include "progress_pace.h"
#include "session.h"
#include "upstream.h"

#define OUTPUT_HIGH_BYTES  (1024 * 1024) /* more than this waits for stdout: stop reading */
#define OUTPUT_FLUSH_BYTES (64 * 1024)   /* more than this is worth a write */

/*
 * The server does one send for each change, and an eager reader is woken by each. While data flow,
 * and little of them is waiting, a pause lets them gather: a longer one where so much comes that
 * nobody waits for a single change. A still longer one fills the socket and makes the server wait:
 * a Unix socket soon, which is full with a few hundred small sends (each is charged with its
 * overhead, unix(7) and socket(7), SO_SNDBUF).
 */
#define LAZY_LITTLE_BYTES   (16 * 1024)
#define LAZY_PAUSE_NS       150000
#define LAZY_LONG_PAUSE_NS  400000
#define LAZY_LOCAL_PAUSE_NS 100000
#define LAZY_MUCH_BYTES     1024    /* in LAZY_PAUSE_NS: much comes */
#define LAZY_FLOWING_NS     1000000 /* a shorter wait than this means that data flow */

#define REPORT_GAP_MS 20     /* between two status updates that acknowledgements cause, while */
                             /* more is on its way */
#define ASK_GAP_MS       200 /* and between two of them that ask the server for an answer */
#define REPLY_GAP_MS     10  /* and between two that the server asks for */
#define UNTIL_ASK_MS     200 /* how often the server is asked how far it is */
#define LSN_FILE_GAP_MS  1000
#define SLOT_LOOK_MS     5000
#define AHEAD_LOOK_MS    1000
#define TLS_LOOK_MS      100
#define COPY_LOOK_MS     20
#define COPY_GAP_MS      500 /* of stream between two copies at most, where there is much of it */
#define NEAR_BYTES       (4 * 1024 * 1024) /* of WAL: a copy of the slot is as far as the slot */
#define BACKOFF_FIRST_MS 100
#define BACKOFF_MAX_MS   10000
#define LEAVE_LIMIT_MS   10000
#define GONE_LIMIT_MS    3000 /* for acknowledgements when the reader has left already */
#define END_LIMIT_MS     5000

/*
 * How much longer than its wal_sender_timeout a server may be silent. Status updates ask for
 * answers, and it looks at them that often, or it would hang up on us.
 */
#define SILENCE_GRACE_MS 10000

/* A server that shuts down asks at once again until everything is confirmed. */
#define SHUTDOWN_ASKS     50
#define SHUTDOWN_GAP_MS   1000
#define SHUTDOWN_LIMIT_MS 10000 /* for targets to make durable what it waits for */
#define SHUT_LIMIT_MS     3000  /* for a server that takes no connections while nothing is read */

/* Everything but the parts that have a header of their own is written here only. */
struct capture {
    const struct capture_options *options; /* borrowed */
    uint64_t notify_fd;
    struct signals signals;
    struct frame_output out;
    struct acks acks;
    struct position position;
    struct capture_stats stats;
    struct waiter waiter;
    struct upstream upstream;
    struct copying copying;

    bool own_fault;   /* of stdout or the FIFOs: connecting again does not help */
    bool leaving;     /* a signal is no reason any more to give up waiting */
    bool reader_gone; /* noticed after the end was written: no fault then */

    int64_t server_time_us; /* of the last message */
    struct progress_pace progress;
    int64_t heard_ms; /* when something came, or nobody listened */
    int64_t status_sent_ms;
    int64_t status_due_ms;
    int64_t asked_ms; /* the last status update that asked for an answer */
    bool much_comes;
    int64_t long_pause_ns; /* while it does */
    int64_t slot_look_ms;  /* when the slot is looked at again, for the statistics */
    int64_t ahead_look_ms; /* when it is asked again how far transactions have come */
    int64_t copy_due_ms;
    bool copied_any; /* on this connection there was something to copy */
    bool goes_on;    /* beyond the end that was asked for, for rows that a target lacks */

    struct {
        uint64_t lsn; /* of the last keepalive that asked for a reply */
        int64_t at_ms;
        int64_t since_ms; /* of the first of them */
        unsigned again;   /* how many in a row have asked for the same */
    } asked;
    int64_t shut_since_ms; /* nothing is read, and the server takes no connections; 0: it does */

    struct {
        uint64_t lsn; /* that is in it */
        int64_t due_ms;
    } lsn_file;
};

static int64_t earlier(int64_t a, int64_t b)
{
    return a < b ? a : b;
}

/* Nothing is on its way that a target acknowledges by itself. */
static bool all_acknowledged(const struct capture *c)
{
    return position_durable(&c->position, c->position.covered_lsn);
}

/* ---- what is due ---- */

/* The server hangs up on who was silent for its wal_sender_timeout. */
static int64_t status_interval(const struct capture *c)
{
    int64_t interval_ms = (int64_t)c->options->status_interval_ms;
    int64_t timeout_ms = (int64_t)c->upstream.wal_sender_timeout_ms;
    return timeout_ms > 0 && timeout_ms / 3 < interval_ms ? timeout_ms / 3 + 1 : interval_ms;
}

static int report(struct capture *c, int64_t now_ms, struct err *err)
{
    /* The server is asked for its position, so that an idle one tells its progress. */
    bool ask = now_ms - c->asked_ms >= ASK_GAP_MS;
    if (ask)
        c->asked_ms = now_ms;
    c->status_sent_ms = now_ms;
    c->status_due_ms = now_ms + status_interval(c);
    if (!ask)
        c->status_due_ms = earlier(c->status_due_ms, c->asked_ms + ASK_GAP_MS);
    if (position_asks(&c->position))
        c->status_due_ms = earlier(c->status_due_ms, now_ms + UNTIL_ASK_MS);
    struct standby_status s = position_status(&c->position);
    return replication_report(&c->upstream.replication, s.write_lsn, s.flush_lsn, ask, err);
}

static void write_lsn_file(struct capture *c, int64_t now_ms)
{
    if (!c->options->lsn_file || c->position.confirmed_lsn == c->lsn_file.lsn)
        return;
    char text[LSN_TEXT_SIZE + 1];
    int n = snprintf(text, sizeof text, "%s\n", LSN(c->position.confirmed_lsn));
    struct err err = {0};
    if (atomic_file_write(c->options->lsn_file, text, (size_t)n, &err))
        log_warning("cannot write the LSN file", "error", err.text, NULL);
    c->lsn_file.lsn = c->position.confirmed_lsn;
    c->lsn_file.due_ms = now_ms + LSN_FILE_GAP_MS;
}

static void update_stats(void *ctx)
{
    struct capture *c = ctx;
    struct capture_stats *s = &c->stats;
    *s->connected = c->upstream.replication.streaming;
    *s->received_lsn = c->position.received_lsn;
    *s->emitted_lsn = c->position.emitted_lsn;
    *s->acknowledged_lsn = c->position.acknowledged_lsn;
    *s->confirmed_lsn = position_done(&c->position);
    *s->covered_lsn = c->position.covered_lsn;
    *s->pending_bytes = frame_output_pending(&c->out);
    const struct slot *slot = &c->upstream.slot;
    position_server(&c->position, slot->current_lsn);
    *s->server_lsn = c->position.server_lsn;
    *s->lag_bytes = position_lag(&c->position);
    capture_stats_slot(s, slot->wal_status, slot_retained_bytes(slot),
                       upstream_wal_budget(&c->upstream, slot));
}

static int tick(struct capture *c, struct err *err)
{
    int64_t now_ms = monotonic_ms();
    if (c->upstream.replication.streaming && now_ms >= c->status_due_ms && report(c, now_ms, err))
        return -1;
    if (now_ms >= c->lsn_file.due_ms)
        write_lsn_file(c, now_ms);
    struct copy_progress *progress = &c->copying.progress;
    copy_progress_tell(progress, position_durable(&c->position, progress->settles_lsn));
    stats_tick(&c->stats.file, now_ms);
    return 0;
}

static int64_t next_tick(const struct capture *c)
{
    int64_t due_ms = NO_DEADLINE;
    if (c->upstream.replication.streaming)
        due_ms = c->status_due_ms;
    if (c->options->lsn_file && c->position.confirmed_lsn != c->lsn_file.lsn)
        due_ms = earlier(due_ms, c->lsn_file.due_ms);
    if (c->stats.file.path)
        due_ms = earlier(due_ms, c->stats.file.next_ms);
    return due_ms;
}

/* ---- waiting ---- */

static int on_stdout(struct capture *c, short revents, struct err *err)
{
    if (output_check_revents(&c->out.out, revents, err) == 0 &&
        (!(revents & POLLOUT) || frame_output_try(&c->out, err) == 0))
        return 0;
    if (!c->leaving) {
        c->own_fault = true;
        return -1;
    }
    err_clear(err);
    c->reader_gone = true;
    return 0;
}

static int on_ack(struct capture *c, size_t i, struct err *err)
{
    /* One that is apart may have come further in a stream of its own. */
    uint64_t limit_lsn = i < c->acks.n ? c->position.ack_limit_lsn : UINT64_MAX;
    if (acks_read(&c->acks, i, limit_lsn, err)) {
        c->own_fault = true;
        return -1;
    }
    position_apart(&c->position, acks_apart_lsn(&c->acks));
    if (!position_acknowledge(&c->position, acks_lsn(&c->acks)))
        return 0;
    /* Somebody's COMMIT may wait for this (synchronous_standby_names). */
    int64_t gap_ms = all_acknowledged(c) ? 0 : REPORT_GAP_MS;
    c->status_due_ms = earlier(c->status_due_ms, c->status_sent_ms + gap_ms);
    return 0;
}

/*
 * One poll over everything. `fd` is what the caller waits for (-1: nothing); `*revents` is what is
 * known of it. Returns at `wake_ms` at the latest, and earlier when anything has happened.
 */
static int poll_once(struct capture *c, int fd, short events, int64_t wake_ms, short *revents,
                     struct err *err)
{
    enum { SIGNAL, STDOUT, WANTED, SERVER, FIFOS };
    struct pollfd p[FIFOS + OPTION_LIST_MAX] = {
        [SIGNAL] = {.fd = c->signals.stop ? -1 : c->signals.fd, .events = POLLIN},
        [STDOUT] = {.fd = c->reader_gone ? -1 : c->out.out.fd,
                    .events = frame_output_pending(&c->out) > 0 ? POLLOUT : 0},
        [WANTED] = {.fd = fd, .events = events},
        [SERVER] = {.fd = -1, .events = POLLOUT},
    };
    if (c->upstream.replication.streaming && c->upstream.replication.unsent)
        p[SERVER].fd = PQsocket(c->upstream.replication.session.conn);
    /* An applier of before a restart may speak before the stream begins: what it says is true, but
     * only then can be seen to be. */
    size_t nfifos = c->acks.n + c->acks.napart;
    for (size_t i = 0; i < nfifos; i++)
        p[FIFOS + i] =
            (struct pollfd){.fd = c->upstream.begun ? c->acks.fifos[i].fd : -1, .events = POLLIN};

    int64_t now_ms = monotonic_ms();
    int wait_ms = poll_timeout(now_ms, earlier(wake_ms, next_tick(c)));
    *revents = 0;
    int n = poll(p, (nfds_t)(FIFOS + nfifos), wait_ms);
    if (n < 0 && errno != EINTR)
        return err_errno(err, ERR_TEMPORARY, "poll");
    if (n > 0) {
        if (p[SIGNAL].revents)
            (void)signals_stop(&c->signals);
        if (p[STDOUT].revents && on_stdout(c, p[STDOUT].revents, err))
            return -1;
        for (size_t i = 0; i < nfifos; i++)
            if (p[FIFOS + i].revents && on_ack(c, i, err))
                return -1;
        if (p[SERVER].revents && replication_flush(&c->upstream.replication, err))
            return -1;
        *revents = p[WANTED].revents;
    }
    return tick(c, err);
}

/* Waits for `fd` or the deadline (fd -1: for the deadline only), and does what is due meanwhile. */
static int wait_for(struct capture *c, int fd, short events, int64_t deadline_ms, struct err *err)
{
    for (;;) {
        short revents;
        if (poll_once(c, fd, events, deadline_ms, &revents, err))
            return -1;
        if (revents)
            return 0;
        if (c->signals.stop && !c->leaving)
            return err_set(err, ERR_TEMPORARY, "asked to stop");
        if (monotonic_ms() < deadline_ms)
            continue;
        return fd < 0 ? 0 : err_set(err, ERR_TEMPORARY, "no answer within the time limit");
    }
}

static int wait_for_upstream(void *ctx, int fd, short events, int64_t deadline_ms, struct err *err)
{
    return wait_for(ctx, fd, events, deadline_ms, err);
}

/* ---- messages ---- */

static void emit_progress(struct capture *c, uint64_t lsn, int64_t now_ms)
{
    if (lsn == 0)
        return;
    struct frame_progress k = {.lsn = lsn, .server_time_us = c->server_time_us};
    frame_put_progress(&c->out.out.buf, &k);
    progress_pace_sent(&c->progress, all_acknowledged(c), now_ms);
    position_progress_out(&c->position, lsn);
}

static int64_t progress_due_ms(const struct capture *c)
{
    bool waited_for = (c->position.acks && c->upstream.catalog.waited_for) ||
                      !position_durable(&c->position, c->copying.progress.settles_lsn);
    return progress_pace_due_ms(&c->progress, waited_for, all_acknowledged(c));
}

static uint64_t due_progress(const struct capture *c)
{
    return position_progress(&c->position, pgoutput_outside(c->upstream.decoder));
}

/*
 * A server that shuts down waits for us to confirm all it has sent. A prepared transaction that is
 * not decided keeps us from that, and the server from the restart that lets it be decided; a target
 * that stands still may do so for ever. The slot keeps everything.
 */
static int on_ask(struct capture *c, uint64_t end_lsn, struct err *err)
{
    int64_t now_ms = monotonic_ms();
    bool again = end_lsn == c->asked.lsn && now_ms - c->asked.at_ms < SHUTDOWN_GAP_MS;
    c->asked.lsn = end_lsn;
    c->asked.at_ms = now_ms;
    c->asked.since_ms = again ? c->asked.since_ms : now_ms;
    c->asked.again = again ? c->asked.again + 1 : 0;
    c->status_due_ms = earlier(c->status_due_ms, c->status_sent_ms + REPLY_GAP_MS);
    if (c->asked.again < SHUTDOWN_ASKS)
        return 0;
    if (position_held_back(&c->position, end_lsn))
        return err_set(err, ERR_TEMPORARY,
                       "the server shuts down and waits for %s to be confirmed, which a prepared "
                       "transaction or a target that is apart forbids",
                       LSN(end_lsn));
    if (now_ms - c->asked.since_ms < SHUTDOWN_LIMIT_MS)
        return 0;
    return err_set(
        err, ERR_TEMPORARY,
        "the server shuts down and waits for %s to be confirmed, but not every target has "
        "acknowledged it for %d s",
        LSN(end_lsn), SHUTDOWN_LIMIT_MS / 1000);
}

static int on_keepalive(struct capture *c, const struct replication_message *m, struct err *err)
{
    if (m->reply_requested && on_ask(c, m->end_lsn, err))
        return -1;
    position_keepalive(&c->position, m->end_lsn, pgoutput_outside(c->upstream.decoder));
    return 0;
}

static int on_event(struct capture *c, const struct pgoutput_event *event, struct err *err)
{
    struct position *p = &c->position;
    if (event->whole)
        *c->stats.commit_time = (uint64_t)(event->time_us / 1000000 + PG_EPOCH_UNIX_S);
    if (event->whole && copying_sent(&c->copying, event->xid, err))
        return -1;
    switch (event->type) {
    case 'C':
    case 'c':
        position_commit(p, event->end_lsn);
        return 0;
    case 'P':
    case 'p':
        return position_prepare(p, event->gid, event->prepare_lsn, event->end_lsn, err);
    case 'K':
    case 'r':
        position_decide(p, event->gid, event->end_lsn, event->whole);
        return 0;
    default:
        return 0;
    }
}

static int on_message(struct capture *c, const struct replication_message *m, struct err *err)
{
    c->server_time_us = m->time_us;
    position_receive(&c->position, m->lsn, m->end_lsn);
    *c->stats.received_bytes += m->size;
    if (m->keepalive)
        return on_keepalive(c, m, err);
    struct pgoutput_event event;
    if (pgoutput_decode(c->upstream.decoder, m->data, m->size, &c->out.out.buf, &event, err))
        return err_context(err, "at LSN %s", LSN(m->lsn));
    frame_output_seal(&c->out);
    uint64_t *count = c->stats.messages[(unsigned char)event.type];
    if (count)
        ++*count;
    return event.end_lsn || event.prepare_lsn ? on_event(c, &event, err) : 0;
}

/* Takes what libpq has, up to a portion of output. `*drained`: it has no whole message any more. */
static int take_messages(struct capture *c, bool *drained, struct err *err)
{
    size_t before = frame_output_pending(&c->out);
    *drained = false;
    for (unsigned n = 0; n < 4096 && c->position.reached_lsn == 0; n++) {
        if (frame_output_pending(&c->out) - before >= OUTPUT_FLUSH_BYTES)
            break;
        struct replication_message m;
        int rc = replication_next(&c->upstream.replication, &m, err);
        if (rc < 0)
            return -1;
        if (rc == 0) {
            *drained = true;
            break;
        }
        if (on_message(c, &m, err))
            return -1;
        /* A lookup may have written out what was before. */
        if (frame_output_pending(&c->out) < before)
            before = frame_output_pending(&c->out);
    }
    *c->stats.emitted_bytes += frame_output_pending(&c->out) - before;
    return 0;
}

static int write_out(struct capture *c, struct err *err)
{
    if (frame_output_try(&c->out, err) == 0)
        return 0;
    c->own_fault = true;
    return -1;
}

static int64_t monotonic_ns(void)
{
    struct timespec t;
    (void)clock_gettime(CLOCK_MONOTONIC, &t);
    return (int64_t)t.tv_sec * 1000000000 + t.tv_nsec;
}

static int64_t long_pause_ns(int fd)
{
    int domain = 0;
    socklen_t size = sizeof domain;
    bool local = getsockopt(fd, SOL_SOCKET, SO_DOMAIN, &domain, &size) == 0 && domain == AF_UNIX;
    return local ? LAZY_LOCAL_PAUSE_NS : LAZY_LONG_PAUSE_NS;
}

static void let_gather(struct capture *c, int fd)
{
    int before = 0;
    int after = 0;
    if (ioctl(fd, FIONREAD, &before) || before >= LAZY_LITTLE_BYTES)
        return;
    struct timespec pause = {0, c->much_comes ? c->long_pause_ns : LAZY_PAUSE_NS};
    (void)nanosleep(&pause, NULL);
    if (ioctl(fd, FIONREAD, &after) == 0)
        c->much_comes =
            (int64_t)(after - before) * LAZY_PAUSE_NS >= (int64_t)LAZY_MUCH_BYTES * pause.tv_nsec;
}

static int receive(struct capture *c, int fd, bool flowing, bool tls, struct err *err)
{
    if (flowing)
        let_gather(c, fd);
    /* One read may leave a part of a TLS record with the library, where poll(2) does not see it. */
    for (int i = 0; i < (tls ? 3 : 1); i++)
        if (replication_receive(&c->upstream.replication, err))
            return -1;
    return 0;
}

/* That the catalog cannot be asked now is no reason to stop. */
static int looked(const struct capture *c, int rc, const char *failure, struct err *err)
{
    if (rc == 0)
        return 0;
    if (c->own_fault || c->signals.stop)
        return -1;
    log_warning(failure, "reason", err->text, NULL);
    err_clear(err);
    return 0;
}

/*
 * While stdout is full nothing is read from the stream, and a server that shuts down waits for that
 * without our hearing of it. Then it takes no other connections either. `rc` and `err` are of the
 * attempt to ask it something.
 */
static int check_shut(struct capture *c, int rc, struct err *err)
{
    const char *state = c->upstream.catalog.session.sqlstate;
    bool shut = rc != 0 && !c->own_fault && !c->signals.stop &&
                frame_output_pending(&c->out) >= OUTPUT_HIGH_BYTES &&
                (*state == '\0' || strcmp(state, "57P01") == 0 || strcmp(state, "57P03") == 0);
    int64_t now_ms = monotonic_ms();
    if (!shut)
        c->shut_since_ms = 0;
    else if (c->shut_since_ms == 0)
        c->shut_since_ms = now_ms;
    if (!shut || now_ms - c->shut_since_ms < SHUT_LIMIT_MS)
        return 0;
    c->shut_since_ms = 0;
    return err_context(err, "the server shuts down, or is gone, while stdout is full");
}

/* What only the server knows of the slot, and how far its transactions have come. */
static int look_around(struct capture *c, int64_t now_ms, struct err *err)
{
    if (c->stats.file.path && now_ms >= c->slot_look_ms) {
        c->slot_look_ms = now_ms + SLOT_LOOK_MS;
        if (looked(c, upstream_look_at_slot(&c->upstream, err), "cannot look at the slot", err))
            return -1;
    }
    if (now_ms < c->ahead_look_ms)
        return 0;
    c->ahead_look_ms = now_ms + AHEAD_LOOK_MS;
    int rc = catalog_look_ahead(&c->upstream.catalog, err);
    if (check_shut(c, rc, err))
        return -1;
    return looked(c, rc, "cannot look at the catalog", err);
}

/* A connection that a firewall has forgotten, or whose other end hangs, gives no sign of it. */
static int check_silence(struct capture *c, bool listening, bool heard, struct err *err)
{
    int64_t now_ms = monotonic_ms();
    int64_t timeout_ms = (int64_t)c->upstream.wal_sender_timeout_ms;
    if (!listening || heard || timeout_ms == 0)
        c->heard_ms = now_ms;
    if (now_ms - c->heard_ms <= timeout_ms + SILENCE_GRACE_MS)
        return 0;
    return err_set(err, ERR_TEMPORARY,
                   "the server has not answered for %jd s: the connection is dead, or the server "
                   "hangs",
                   (intmax_t)((now_ms - c->heard_ms) / 1000));
}

/* With tables to copy first there is no end before they are copied, and what was committed then is
 * the end that "current" stands for. */
static int choose_end(struct capture *c, struct err *err)
{
    struct upstream *u = &c->upstream;
    if (!c->options->until || c->position.until_lsn || !acks_have_told(&c->acks) ||
        copying_left(&c->copying))
        return 0;
    bool current = strcmp(c->options->until, "current") == 0 && c->copied_any;
    if ((current || c->goes_on) && upstream_current_lsn(u, &u->until_lsn, err))
        return -1;
    position_until(&c->position, u->until_lsn);
    return 0;
}

/* Copies a table where one is due: between two transactions, and not all the time. */
static int copy(struct capture *c, bool drained, int64_t now_ms, struct err *err)
{
    if (!c->copying.on || !pgoutput_outside(c->upstream.decoder) ||
        (!drained && !c->copying.holds && now_ms < c->copy_due_ms))
        return 0;
    c->copied_any = c->copied_any || copying_left(&c->copying);
    if (copying_step(&c->copying, c->position.passed_lsn, err) || choose_end(c, err))
        return -1;
    frame_output_seal(&c->out);
    /* The stream gets as much time as the copy has taken. */
    int64_t taken_ms = monotonic_ms() - now_ms;
    c->copy_due_ms = now_ms + taken_ms + (taken_ms < COPY_GAP_MS ? taken_ms : COPY_GAP_MS);
    if (c->copying.nleft > 0)
        c->status_due_ms = earlier(c->status_due_ms, c->status_sent_ms + REPORT_GAP_MS);
    return 0;
}

/* Whether more of the stream may come in. */
static bool may_take(const struct capture *c)
{
    return frame_output_pending(&c->out) < OUTPUT_HIGH_BYTES && !c->copying.holds;
}

/* Until a signal or --until-lsn (0), or a fault. */
static int stream(struct capture *c, struct err *err)
{
    PGconn *conn = c->upstream.replication.session.conn;
    bool tls = PQsslInUse(conn) || PQgssEncInUse(conn);
    bool drained = false;
    c->long_pause_ns = long_pause_ns(PQsocket(conn));
    c->heard_ms = monotonic_ms();
    while (!c->signals.stop && c->position.reached_lsn == 0) {
        if (may_take(c) && take_messages(c, &drained, err))
            return -1;
        int64_t now_ms = monotonic_ms();
        progress_pace_committed(&c->progress, c->position.committed_lsn, now_ms);
        if (now_ms >= progress_due_ms(c))
            emit_progress(c, due_progress(c), now_ms);
        if (look_around(c, now_ms, err) || copy(c, drained, now_ms, err))
            return -1;
        if ((drained || frame_output_pending(&c->out) >= OUTPUT_FLUSH_BYTES) && write_out(c, err))
            return -1;

        bool room = may_take(c);
        bool want = room && drained;
        int64_t wake_ms = room && !drained ? now_ms : c->ahead_look_ms;
        if (due_progress(c) != 0)
            wake_ms = earlier(wake_ms, progress_due_ms(c));
        if (c->copying.nleft > 0)
            wake_ms = earlier(wake_ms, now_ms + COPY_LOOK_MS);
        if (want && tls)
            wake_ms = earlier(wake_ms, now_ms + TLS_LOOK_MS);
        int fd = want ? PQsocket(conn) : -1;
        int64_t begun_ns = monotonic_ns();
        short revents;
        if (poll_once(c, fd, POLLIN, wake_ms, &revents, err))
            return -1;
        bool flowing = monotonic_ns() - begun_ns < LAZY_FLOWING_NS;
        if (check_silence(c, want, revents != 0, err))
            return -1;
        if (want && (revents || tls) && receive(c, fd, flowing && revents, tls, err))
            return -1;
    }
    return 0;
}

/* ---- leaving ---- */

static void emit_end(struct capture *c, const char *why)
{
    struct frame_end z = {.why = bytes_of(why), .last_lsn = c->position.emitted_lsn};
    frame_put_end(&c->out.out.buf, &z);
}

/* The last status update, and the end of the stream: the slot has it when this returns 0. */
static int confirm_and_end(struct capture *c, struct err *err)
{
    int64_t deadline_ms = monotonic_ms() + END_LIMIT_MS;
    while (c->upstream.replication.unsent)
        if (wait_for(c, PQsocket(c->upstream.replication.session.conn), POLLOUT, deadline_ms,
                     err) ||
            replication_flush(&c->upstream.replication, err))
            return -1;
    if (report(c, monotonic_ms(), err))
        return -1;
    return replication_end(&c->upstream.replication, deadline_ms, err);
}

/* Stopped by a signal. What is in the output goes out, what comes back in a bounded time is
 * confirmed. */
static int leave(struct capture *c)
{
    struct err err = {0};
    short revents;
    if (!c->upstream.begun)
        return 0;
    c->leaving = true;
    emit_end(c, "stopped by signal");
    int64_t deadline_ms = monotonic_ms() + LEAVE_LIMIT_MS;
    bool gone = false;
    for (;;) {
        if (c->reader_gone && !gone) {
            gone = true;
            deadline_ms = earlier(deadline_ms, monotonic_ms() + GONE_LIMIT_MS);
        }
        bool written = gone || frame_output_pending(&c->out) == 0;
        bool done = !c->upstream.replication.streaming ||
                    position_durable(&c->position, c->position.committed_lsn);
        if ((written && done) || monotonic_ms() >= deadline_ms)
            break;
        if (poll_once(c, -1, 0, deadline_ms, &revents, &err)) {
            log_warning("a fault while leaving", "error", err.text, NULL);
            err_clear(&err);
            if (c->own_fault)
                break;
            replication_close(&c->upstream.replication);
        }
    }
    if (c->upstream.replication.streaming && confirm_and_end(c, &err))
        log_warning("the last confirmation may not have arrived", "error", err.text, NULL);
    log_info("stopped by signal", "emitted", LSN(c->position.emitted_lsn), "confirmed",
             LSN(c->position.confirmed_lsn), NULL);
    if (!c->reader_gone && frame_output_pending(&c->out) > 0)
        log_warning("the reader did not take everything in time; what is left is dropped", "bytes",
                    LOG_U64(frame_output_pending(&c->out)), NULL);
    return 0;
}

/* ---- copies ---- */

/* Called while a table is read: until little waits for stdout. */
static int make_room(void *ctx, struct err *err)
{
    struct capture *c = ctx;
    short revents;
    frame_output_seal(&c->out);
    *c->stats.emitted_bytes += frame_output_pending(&c->out);
    if (write_out(c, err))
        return -1;
    while (frame_output_pending(&c->out) > OUTPUT_FLUSH_BYTES) {
        if (poll_once(c, -1, 0, NO_DEADLINE, &revents, err))
            return -1;
        if (c->signals.stop)
            return err_set(err, ERR_TEMPORARY, "asked to stop");
    }
    return 0;
}

/* What "current" stood for may be long ago: 1 where it goes on, to what it stands for now. */
static int go_near(struct capture *c, uint64_t end_lsn, struct err *err)
{
    uint64_t lsn;
    if (strcmp(c->options->until, "current") != 0)
        return 0;
    if (upstream_current_lsn(&c->upstream, &lsn, err))
        return -1;
    if (lsn < end_lsn + NEAR_BYTES)
        return 0;
    position_go_on(&c->position);
    position_until(&c->position, lsn);
    return 1;
}

/* Everything up to --until-lsn is in the output. Returns 1 where it goes on all the same: what came
 * has made a target ask for rows, or for a table again, which it says before it acknowledges the
 * end.
 */
static int finish(struct capture *c, struct err *err)
{
    short revents;
    uint64_t end_lsn = c->position.reached_lsn;
    emit_progress(c, position_last_progress(&c->position), monotonic_ms());
    log_info("everything up to --until-lsn is read", "lsn", LSN(end_lsn), NULL);
    while (frame_output_pending(&c->out) > 0 || !position_durable(&c->position, end_lsn) ||
           acks_wait_for_copies(&c->acks)) {
        if (poll_once(c, -1, 0, NO_DEADLINE, &revents, err))
            return -1;
        if (c->signals.stop)
            return leave(c);
    }
    if (copying_left(&c->copying)) {
        c->goes_on = true;
        position_go_on(&c->position);
        return 1;
    }
    int more = c->options->slot_copy ? go_near(c, end_lsn, err) : 0;
    if (more)
        return more;
    c->leaving = true;
    if (confirm_and_end(c, err))
        return err_context(err, "confirming %s", LSN(c->position.confirmed_lsn));
    emit_end(c, "until-lsn reached");
    while (frame_output_pending(&c->out) > 0 && !c->reader_gone)
        if (poll_once(c, -1, 0, NO_DEADLINE, &revents, err))
            return -1;
    if (c->reader_gone)
        return err_set(err, ERR_TEMPORARY, "the reader of stdout left before the end");
    log_info("done", "emitted", LSN(c->position.emitted_lsn), "confirmed",
             LSN(c->position.confirmed_lsn), NULL);
    return 0;
}

/* ---- the whole ---- */

static int connect_and_stream(struct capture *c, struct err *err)
{
    position_connect(&c->position);
    struct upstream *u = &c->upstream;
    if (upstream_start(u, &c->position, err))
        return -1;
    upstream_put_hello(u, u->start_lsn, u->slot_created, &c->out.out.buf);
    ++*c->stats.connections;
    acks_hello(&c->acks);
    c->copied_any = false;
    c->copy_due_ms = 0;
    position_stream(&c->position, u->start_lsn, u->replication.wal_lsn,
                    c->copying.on ? 0 : u->until_lsn);
    if (copying_begin(&c->copying, err))
        return -1;
    c->status_due_ms = 0;
    notify_ready(&c->notify_fd);
    stats_ready(&c->stats.file);
    return stream(c, err);
}

static int run(struct capture *c, struct err *err)
{
    int64_t backoff_ms = BACKOFF_FIRST_MS;
    for (;;) {
        int64_t begun_ms = monotonic_ms();
        uint64_t confirmed_lsn = c->position.confirmed_lsn;
        int rc = connect_and_stream(c, err);
        while (rc == 0 && c->position.reached_lsn != 0) {
            rc = finish(c, err);
            if (rc <= 0)
                return rc;
            rc = stream(c, err);
        }
        if (c->signals.stop && !c->own_fault) {
            err_clear(err);
            return leave(c);
        }
        if (c->own_fault || !c->upstream.begun || (err->kind != ERR_TEMPORARY && !err->unknown))
            return -1;
        stats_error(&c->stats.file, ERR_TEMPORARY);
        /* A connection that got somewhere, or lasted: not one that breaks at the same place again.
         */
        if (c->position.confirmed_lsn > confirmed_lsn || monotonic_ms() - begun_ms > BACKOFF_MAX_MS)
            backoff_ms = BACKOFF_FIRST_MS;
        log_warning("connecting again", "error", err->text, "wait_ms",
                    LOG_U64((uint64_t)backoff_ms), NULL);
        err_clear(err);
        copying_disconnect(&c->copying);
        upstream_close(&c->upstream);
        if (wait_for(c, -1, 0, monotonic_ms() + backoff_ms, err) && !c->signals.stop)
            return -1;
        backoff_ms = earlier(backoff_ms * 2, BACKOFF_MAX_MS);
    }
}

static void release(struct capture *c, const struct err *err)
{
    replication_close(&c->upstream.replication);
    copying_free(&c->copying);
    stats_end(&c->stats.file, err);
    write_lsn_file(c, monotonic_ms());
    upstream_free(&c->upstream);
    position_free(&c->position);
    acks_close(&c->acks);
    frame_output_close(&c->out);
    signals_close(&c->signals);
}

static int meet_relation(void *ctx, const struct relation *rel, struct err *err)
{
    struct capture *c = ctx;
    return copying_meet(&c->copying, rel, err);
}

static void set_up_copying(struct capture *c)
{
    struct upstream *u = &c->upstream;
    u->meet.fn = meet_relation;
    u->meet.ctx = c;
    c->copying = (struct copying){
        .on = c->options->copy != COPY_NEVER,
        .elsewhere = c->options->slot_copy,
        .upstream = u,
        .acks = &c->acks,
        .output = {&c->out, &c->copying.progress, make_room, c},
        .progress = {.stats = &c->stats, .terminal_fd = isatty(STDERR_FILENO) ? STDERR_FILENO : -1},
        .chunk_size = c->options->copy_chunk,
        .reader = {.source = &u->source,
                   .streaming = &u->replication.session,
                   .waiter = &c->waiter,
                   .time_limit_ms = (int64_t)c->options->connect_timeout_ms,
                   .indexes = (enum copy_indexes)c->options->copy_indexes},
        .tables_left = c->stats.copy_tables_left,
    };
}

int capture_run(const struct capture_options *options, struct err *err)
{
    struct capture *c = calloc(1, sizeof *c);
    if (!c) {
        (void)err_nomem(err);
        return exit_status(err);
    }
    c->options = options;
    c->notify_fd = options->stage.notify_fd;
    c->signals.fd = -1;
    position_init(&c->position, options->acks.n > 0);
    c->waiter = (struct waiter){.wait = wait_for_upstream, .ctx = c};
    capture_stats_init(&c->stats, options->stage.stats, options->slot);
    c->stats.file.update = update_stats;
    c->stats.file.ctx = c;
    frame_output_init(&c->out, STDOUT_FILENO, "stdout", OUTPUT_PIPE_SIZE);
    set_up_copying(c);
    if (signals_init(&c->signals, err) == 0 &&
        upstream_init(&c->upstream, options, &c->waiter, err) == 0 &&
        acks_open(&c->acks, &options->acks, &options->acks_apart, err) == 0 && run(c, err) == 0)
        err_clear(err);
    int status = exit_status(err);
    release(c, err);
    free(c);
    return status;
}
