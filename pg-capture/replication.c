#include "replication.h"

#include <inttypes.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "base/lsn.h"
#include "wire.h"

/* One line of a history file: timeline, the LSN at which it ended, a reason. */
static bool read_history_line(const char *line, struct frame_timeline *t)
{
    char *end;
    t->timeline = (uint32_t)strtoul(line, &end, 10);
    if (end == line)
        return false;
    const char *lsn = end + strspn(end, " \t");
    return lsn_parse(lsn, strcspn(lsn, " \t\n"), &t->end_lsn);
}

/* Where the server's timeline branched off from those before it. The first timeline has no history.
 */
static int read_history(struct replication *r, const struct waiter *waiter, int64_t deadline_ms,
                        struct err *err)
{
    char sql[40];
    PGresult *result;
    r->ntimelines = 0;
    if (r->timeline <= 1)
        return 0;
    (void)snprintf(sql, sizeof sql, "TIMELINE_HISTORY %" PRIu32, r->timeline);
    if (session_query(&r->session, sql, 0, NULL, waiter, deadline_ms, &result, err))
        return err_context(err, "%s", sql);
    if (session_check_shape(result, (struct shape){2, 1}, err)) {
        PQclear(result);
        return err_context(err, "%s", sql);
    }
    const char *line = field(result, 0, 1);
    while (*line) {
        struct frame_timeline t;
        if (read_history_line(line, &t)) {
            if (r->ntimelines == FRAME_MAX_TIMELINES)
                memmove(r->timelines, r->timelines + 1, --r->ntimelines * sizeof *r->timelines);
            r->timelines[r->ntimelines++] = t;
        }
        line += strcspn(line, "\n");
        line += strspn(line, "\n");
    }
    PQclear(result);
    return 0;
}

int replication_open(struct replication *r, const struct source *source,
                     const struct waiter *waiter, int64_t deadline_ms, struct err *err)
{
    *r = (struct replication){.waiter = waiter};
    if (session_open(&r->session, SESSION_REPLICATION, source, NULL, waiter, deadline_ms, err))
        return -1;
    PGresult *result;
    if (session_query(&r->session, "IDENTIFY_SYSTEM", 0, NULL, waiter, deadline_ms, &result, err))
        return err_context(err, "IDENTIFY_SYSTEM");
    int rc = session_check_shape(result, (struct shape){4, 1}, err);
    if (rc) {
        rc = err_context(err, "IDENTIFY_SYSTEM");
    } else if (*field(result, 0, 0) == '\0' ||
               !lsn_parse(field(result, 0, 2), strlen(field(result, 0, 2)), &r->wal_lsn)) {
        rc = err_set(err, ERR_PERMANENT, "the server's answer to IDENTIFY_SYSTEM cannot be read");
    } else {
        (void)snprintf(r->system_identifier, sizeof r->system_identifier, "%s",
                       field(result, 0, 0));
        r->timeline = (uint32_t)strtoul(field(result, 0, 1), NULL, 10);
        (void)snprintf(r->database, sizeof r->database, "%s", field(result, 0, 3));
    }
    PQclear(result);
    return rc ? rc : read_history(r, waiter, deadline_ms, err);
}

void replication_close(struct replication *r)
{
    PQfreemem(r->message);
    r->message = NULL;
    session_close(&r->session);
    r->streaming = false;
    r->ended = false;
    r->unsent = false;
}

uint32_t replication_server_version(const struct replication *r)
{
    return (uint32_t)PQserverVersion(r->session.conn);
}

/* ---- commands ---- */

static void quoted(struct buf *out, const char *s, char quote)
{
    buf_append_byte(out, (uint8_t)quote);
    for (; *s; s++) {
        if (*s == quote)
            buf_append_byte(out, (uint8_t)quote);
        buf_append_byte(out, (uint8_t)*s);
    }
    buf_append_byte(out, (uint8_t)quote);
}

static int command(struct replication *r, struct buf *sql, int64_t deadline_ms, PGresult **result,
                   struct err *err)
{
    int rc = buf_check(sql, err);
    if (rc == 0)
        rc =
            session_query(&r->session, buf_cstr(sql), 0, NULL, r->waiter, deadline_ms, result, err);
    buf_free(sql);
    return rc;
}

static int no_new_slot(const struct replication *r, const char *what, const char *slot,
                       struct err *err)
{
    if (strcmp(r->session.sqlstate, "53400") == 0)
        (void)err_hint(err, "drop an unused slot, or raise max_replication_slots");
    return err_context(err, "%s replication slot %s", what, slot);
}

int replication_create_slot(struct replication *r, const char *slot, bool two_phase, bool failover,
                            struct err *err)
{
    struct buf sql = {0};
    buf_append_str(&sql, "CREATE_REPLICATION_SLOT ");
    quoted(&sql, slot, '"');
    buf_append_str(&sql, " LOGICAL pgoutput ");
    if (replication_server_version(r) >= 150000)
        buf_printf(&sql, "(SNAPSHOT 'nothing'%s%s)", two_phase ? ", TWO_PHASE" : "",
                   failover ? ", FAILOVER" : "");
    else
        buf_append_str(&sql, "NOEXPORT_SNAPSHOT");
    PGresult *result;
    if (command(r, &sql, NO_DEADLINE, &result, err))
        return no_new_slot(r, "creating", slot, err);
    PQclear(result);
    return 0;
}

int replication_copy_slot(struct replication *r, const char *slot, const char *copy,
                          int64_t deadline_ms, struct err *err)
{
    struct buf sql = {0};
    buf_append_str(&sql, "SELECT pg_copy_logical_replication_slot(");
    quoted(&sql, slot, '\'');
    buf_append_str(&sql, ", ");
    quoted(&sql, copy, '\'');
    buf_append_str(&sql, ", true)");
    PGresult *result;
    if (command(r, &sql, deadline_ms, &result, err))
        return no_new_slot(r, "copying", slot, err);
    PQclear(result);
    return 0;
}

int replication_drop_slot(struct replication *r, const char *slot, int64_t deadline_ms,
                          struct err *err)
{
    struct buf sql = {0};
    buf_append_str(&sql, "DROP_REPLICATION_SLOT ");
    quoted(&sql, slot, '"');
    PGresult *result;
    if (command(r, &sql, deadline_ms, &result, err)) {
        if (strcmp(r->session.sqlstate, "55006") == 0)
            (void)err_hint(err, "stop the pg-capture that uses it");
        return err_context(err, "dropping replication slot %s", slot);
    }
    PQclear(result);
    return 0;
}

static const char *on_off(bool on)
{
    return on ? "on" : "off";
}

static const char *streaming_name(enum streaming streaming)
{
    return streaming == STREAMING_PARALLEL ? "parallel" : on_off(streaming == STREAMING_ON);
}

void replication_describe(const struct replication_start *start, struct buf *out)
{
    buf_printf(out, "binary=%s streaming=%s messages=%s two_phase=%s origin=%s",
               on_off(start->binary), streaming_name(start->streaming), on_off(start->messages),
               on_off(start->two_phase), start->origin_none ? "none" : "any");
}

int replication_start(struct replication *r, const struct replication_start *start,
                      int64_t deadline_ms, struct err *err)
{
    struct buf names = {0};
    for (size_t i = 0; i < start->npublications; i++) {
        if (i > 0)
            buf_append_byte(&names, ',');
        quoted(&names, start->publications[i], '"');
    }
    struct buf sql = {0};
    buf_append_str(&sql, "START_REPLICATION SLOT ");
    quoted(&sql, start->slot, '"');
    buf_printf(&sql, " LOGICAL 0/0 (proto_version '%" PRIu32 "', publication_names ",
               start->protocol_version);
    quoted(&sql, buf_cstr(&names), '\'');
    if (start->streaming != STREAMING_OFF)
        buf_printf(&sql, ", streaming '%s'", streaming_name(start->streaming));
    if (start->binary)
        buf_append_str(&sql, ", binary 'on'");
    if (start->messages)
        buf_append_str(&sql, ", messages 'on'");
    if (start->two_phase)
        buf_append_str(&sql, ", two_phase 'on'");
    if (start->origin_none)
        buf_append_str(&sql, ", origin 'none'");
    buf_append_byte(&sql, ')');
    sql.failed = sql.failed || names.failed;
    buf_free(&names);
    PGresult *result;
    if (command(r, &sql, deadline_ms, &result, err))
        return err_context(err, "starting replication from slot %s", start->slot);
    int rc = 0;
    if (PQresultStatus(result) != PGRES_COPY_BOTH)
        rc = err_set(err, ERR_PERMANENT, "the server did not begin to stream");
    r->streaming = rc == 0;
    PQclear(result);
    return rc;
}

/* ---- the stream ---- */

/* Why no more data come. The answer is read already, except after a CopyDone, which no server sends
 * first. */
static int stream_ended(struct replication *r, struct err *err)
{
    PGresult *result;
    r->streaming = false;
    if (session_result(&r->session, r->waiter, monotonic_ms() + 5000, &result, err))
        return -1;
    PQclear(result);
    return err_set(err, ERR_TEMPORARY, "the server ended the stream: it is shutting down");
}

static int read_message(struct replication_message *m, const char *data, size_t size,
                        struct err *err)
{
    struct wire w = wire(data, size);
    uint8_t type = wire_u8(&w);
    *m = (struct replication_message){.keepalive = type == 'k'};
    if (type == 'w')
        m->lsn = wire_u64(&w);
    else if (type != 'k')
        return err_set(err, ERR_PERMANENT, "a message of type 0x%02X from the server is not known",
                       type);
    m->end_lsn = wire_u64(&w);
    m->time_us = (int64_t)wire_u64(&w);
    if (type == 'k')
        m->reply_requested = wire_u8(&w);
    if (w.fault)
        return err_set(err, ERR_PERMANENT, "message %c from the server: %s", type, w.fault);
    m->data = w.pos;
    m->size = (size_t)(w.end - w.pos);
    return 0;
}

int replication_next(struct replication *r, struct replication_message *m, struct err *err)
{
    PQfreemem(r->message);
    r->message = NULL;
    int n = PQgetCopyData(r->session.conn, &r->message, 1);
    if (r->session.skipping) {
        (void)err_set(err, ERR_PERMANENT,
                      "a publication does not exist at this point in the WAL: the server skips its "
                      "changes");
        return err_hint(err, "rebuild the target with a new slot, created after the publication");
    }
    if (n == 0)
        return 0;
    if (n == -1)
        return stream_ended(r, err);
    if (n < 0)
        return session_lost(&r->session, err);
    return read_message(m, r->message, (size_t)n, err) ? -1 : 1;
}

int replication_receive(struct replication *r, struct err *err)
{
    if (!PQconsumeInput(r->session.conn))
        return session_lost(&r->session, err);
    return 0;
}

static void put_u64(uint8_t *to, uint64_t v)
{
    for (int i = 0; i < 8; i++)
        to[i] = (uint8_t)(v >> (56 - 8 * i));
}

int replication_flush(struct replication *r, struct err *err)
{
    int rc = PQflush(r->session.conn);
    if (rc < 0)
        return session_lost(&r->session, err);
    r->unsent = rc > 0;
    return 0;
}

int replication_report(struct replication *r, uint64_t write_lsn, uint64_t flush_lsn,
                       bool reply_requested, struct err *err)
{
    uint8_t message[34] = {'r'};
    put_u64(message + 1, write_lsn);
    put_u64(message + 9, flush_lsn);
    put_u64(message + 17, flush_lsn);
    put_u64(message + 25, (uint64_t)pg_time_now_us());
    message[33] = reply_requested;
    if (!r->unsent && !r->ended &&
        PQputCopyData(r->session.conn, (const char *)message, sizeof message) < 0)
        return session_lost(&r->session, err);
    return replication_flush(r, err);
}

int replication_end(struct replication *r, int64_t deadline_ms, struct err *err)
{
    while (r->streaming) {
        if (!r->ended) {
            int rc = PQputCopyEnd(r->session.conn, NULL);
            if (rc < 0)
                return session_lost(&r->session, err);
            r->ended = rc > 0;
        }
        if (replication_flush(r, err))
            return -1;
        PQfreemem(r->message);
        r->message = NULL;
        int n = PQgetCopyData(r->session.conn, &r->message, 1);
        if (n > 0)
            continue;
        if (n < 0) {
            r->streaming = false;
            return n == -1 ? 0 : session_lost(&r->session, err);
        }
        short events = (short)(POLLIN | (r->unsent || !r->ended ? POLLOUT : 0));
        if (r->waiter->wait(r->waiter->ctx, PQsocket(r->session.conn), events, deadline_ms, err) ||
            replication_receive(r, err))
            return -1;
    }
    return 0;
}
