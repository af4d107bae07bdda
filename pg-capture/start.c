#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "base/lsn.h"
#include "base/version.h"
#include "capture.h"
#include "frames/frame.h"

#define FLUSH_LOOK_MS 10

#define SLOT_BUSY_LIMIT_MS                                                                         \
    15000 /* how long a walsender that has lost its client may take to notice */
#define SLOT_BUSY_PAUSE_MS 250

/* ---- without a server ---- */

static int split_publications(struct capture *c, struct err *err)
{
    c->publication_text = strdup(c->options.publications);
    if (!c->publication_text)
        return err_nomem(err);
    char *rest = c->publication_text;
    for (char *name; (name = strsep(&rest, ",")) != NULL;) {
        name += strspn(name, " ");
        for (size_t n = strlen(name); n > 0 && name[n - 1] == ' '; n--)
            name[n - 1] = '\0';
        if (*name == '\0')
            return err_set(err, ERR_PERMANENT, "--publication: \"%s\" has an empty name in it",
                           c->options.publications);
        if (c->npublications == FRAME_MAX_PUBLICATIONS)
            return err_set(err, ERR_PERMANENT, "--publication: more than %d names",
                           FRAME_MAX_PUBLICATIONS);
        c->publications[c->npublications++] = name;
    }
    return 0;
}

int capture_check_options(struct capture *c, struct err *err)
{
    const struct capture_options *o = &c->options;
    if (!o->source || *o->source == '\0') {
        (void)err_set(err, ERR_PERMANENT, "no source is given");
        return err_hint(err, "set CDC_SOURCE_CONNECTION_STRING or use --source");
    }
    size_t len = strspn(o->slot, "abcdefghijklmnopqrstuvwxyz0123456789_");
    if (len == 0 || len > 63 || o->slot[len] != '\0')
        return err_set(err, ERR_PERMANENT,
                       "--slot: \"%s\" is no name for a slot: 1 to 63 of a-z, 0-9 and _", o->slot);
    if (o->until && strcmp(o->until, "current") != 0 &&
        (!lsn_parse(o->until, strlen(o->until), &c->until_lsn) || c->until_lsn == 0))
        return err_set(err, ERR_PERMANENT, "--until-lsn: \"%s\" is neither an LSN nor \"current\"",
                       o->until);
    if (split_publications(c, err))
        return -1;
    return source_parse(&c->source, o->source, err);
}

/* ---- what the server can do ---- */

static int too_old(const char *what, uint32_t needs, uint32_t version, struct err *err)
{
    return err_set(err, ERR_PERMANENT, "%s needs PostgreSQL %" PRIu32 "; the server is %" PRIu32,
                   what, needs, version / 10000);
}

static int needs_protocol(const char *what, uint32_t needs, uint32_t has, struct err *err)
{
    return err_set(err, ERR_PERMANENT,
                   "%s needs --protocol-version %" PRIu32 " or later, not %" PRIu32, what, needs,
                   has);
}

int capture_choose_parameters(const struct capture *c, struct replication_start *s, struct err *err)
{
    const struct capture_options *o = &c->options;
    uint32_t version = replication_server_version(&c->replication);
    uint32_t highest = version >= 160000 ? 4 : version >= 150000 ? 3 : 2;
    uint32_t protocol = o->protocol_version ? (uint32_t)o->protocol_version : highest;
    enum streaming streaming = o->streaming >= 0 ? (enum streaming)o->streaming
                               : protocol >= 2   ? STREAMING_ON
                                                 : STREAMING_OFF;
    *s = (struct replication_start){
        .slot = o->slot,
        .npublications = c->npublications,
        .publications = c->publications,
        .protocol_version = protocol,
        .streaming = streaming,
        .binary = o->binary,
        .messages = o->messages,
        .two_phase = o->two_phase,
        .origin_none = o->origin == 1,
    };
    if (protocol > highest)
        return err_set(err, ERR_PERMANENT,
                       "--protocol-version %" PRIu32 ": PostgreSQL %" PRIu32
                       " has versions 1 to %" PRIu32,
                       protocol, version / 10000, highest);
    if (streaming == STREAMING_PARALLEL && version < 160000)
        return too_old("--streaming parallel", 16, version, err);
    if (streaming == STREAMING_PARALLEL && protocol < 4)
        return needs_protocol("--streaming parallel", 4, protocol, err);
    if (streaming == STREAMING_ON && protocol < 2)
        return needs_protocol("--streaming on", 2, protocol, err);
    if (o->two_phase && version < 150000)
        return too_old("--two-phase", 15, version, err);
    if (o->failover && version < 170000)
        return too_old("--failover", 17, version, err);
    if (o->two_phase && protocol < 3)
        return needs_protocol("--two-phase", 3, protocol, err);
    if (s->origin_none && version < 160000)
        return too_old("--pg-origin none", 16, version, err);
    return 0;
}

/*
 * The insert position just behind a page's header stands for the page's start, where the last
 * record ended: nothing will ever be decoded up to the header's end before the next record is
 * written.
 */
static uint64_t end_of_last_record(const struct server_settings *s)
{
    enum { SHORT_HEADER = 24, LONG_HEADER = 40 }; /* SizeOfXLogShortPHD, SizeOfXLogLongPHD */
    uint64_t lsn = s->insert_lsn;
    if (s->wal_segment_bytes > 0 && lsn % s->wal_segment_bytes == LONG_HEADER)
        return lsn - LONG_HEADER;
    if (s->wal_block_bytes > 0 && lsn % s->wal_block_bytes == SHORT_HEADER)
        return lsn - SHORT_HEADER;
    return lsn;
}

/*
 * What is committed now. A commit with synchronous_commit = off is flushed within three rounds of
 * the WAL writer; other records that are not flushed yet may stay so for long, and nobody waits for
 * them.
 */
static int find_current_lsn(struct capture *c, struct server_settings s, struct err *err)
{
    uint64_t now_lsn = end_of_last_record(&s);
    int64_t deadline_ms = monotonic_ms() + 3 * (int64_t)s.wal_writer_delay_ms + FLUSH_LOOK_MS;
    while (s.flush_lsn < now_lsn && monotonic_ms() < deadline_ms)
        if (capture_wait(c, -1, 0, monotonic_ms() + FLUSH_LOOK_MS, err) ||
            catalog_settings(&c->catalog, &s, err))
            return -1;
    c->until_lsn = s.flush_lsn < now_lsn ? s.flush_lsn : now_lsn;
    return 0;
}

static int use_settings(struct capture *c, struct err *err)
{
    struct server_settings s;
    if (catalog_settings(&c->catalog, &s, err))
        return -1;
    if (strcmp(s.wal_level, "logical") != 0) {
        (void)err_set(err, ERR_PERMANENT, "the server's wal_level is %s, not logical", s.wal_level);
        return err_hint(err, "ALTER SYSTEM SET wal_level = logical; and restart the server");
    }
    if (s.in_recovery && replication_server_version(&c->replication) < 160000)
        return too_old("logical decoding on a standby", 16,
                       replication_server_version(&c->replication), err);
    c->status_interval_ms = (int64_t)c->options.status_interval_ms;
    if (s.wal_sender_timeout_ms > 0 && (int64_t)s.wal_sender_timeout_ms / 3 < c->status_interval_ms)
        c->status_interval_ms = (int64_t)s.wal_sender_timeout_ms / 3 + 1;
    return c->options.until && c->until_lsn == 0 ? find_current_lsn(c, s, err) : 0;
}

/* ---- the slot ---- */

static int recreated(const struct capture *c, struct err *err, const char *what)
{
    (void)err_set(err, ERR_PERMANENT, "replication slot %s %s", c->options.slot, what);
    return err_hint(err,
                    "changes after %s may be missing: take the target afresh from a copy of the "
                    "source and a new slot",
                    LSN(position_done(&c->position)));
}

int capture_check_slot(const struct capture *c, const struct slot *s,
                       const struct replication_start *start, struct err *err)
{
    const char *name = c->options.slot;
    if (*s->plugin == '\0')
        return err_set(err, ERR_PERMANENT, "replication slot %s is a physical one", name);
    if (strcmp(s->plugin, "pgoutput") != 0)
        return err_set(err, ERR_PERMANENT, "replication slot %s is of plugin %s, not pgoutput",
                       name, s->plugin);
    if (strcmp(s->database, c->replication.database) != 0)
        return err_set(err, ERR_PERMANENT, "replication slot %s is of database \"%s\", not \"%s\"",
                       name, s->database, c->replication.database);
    if (strcmp(s->wal_status, "lost") == 0 || *s->invalidation) {
        (void)err_set(err, ERR_PERMANENT, "replication slot %s cannot be used any more: %s", name,
                      *s->invalidation ? s->invalidation : "the WAL that it needs is gone");
        return err_hint(
            err,
            "drop it with SELECT pg_drop_replication_slot('%s'), take the target afresh; "
            "max_slot_wal_keep_size and idle_replication_slot_timeout bound how far a slot may "
            "lag behind",
            name);
    }
    if (s->two_phase && start->protocol_version < 3)
        return err_set(
            err, ERR_PERMANENT,
            "replication slot %s has two_phase, which needs --protocol-version 3 or later", name);
    if (strcmp(s->wal_status, "unreserved") == 0)
        log_warning("the slot is about to lose WAL that it needs", "slot", name, "safe_wal_bytes",
                    s->safe_wal_bytes, NULL);
    return 0;
}

/* Looks for the slot; makes it where none has ever been used. */
static int find_slot(struct capture *c, const struct replication_start *start, bool *created,
                     struct err *err)
{
    struct slot slot;
    *created = false;
    if (catalog_slot(&c->catalog, c->options.slot, &slot, err))
        return -1;
    capture_note_slot(c, &slot);
    if (slot.exists)
        return capture_check_slot(c, &slot, start, err);
    if (c->begun)
        return recreated(c, err, "does not exist any more");
    log_info("creating the replication slot, which waits for running transactions to end", "slot",
             c->options.slot, NULL);
    *created = true;
    return replication_create_slot(&c->replication, c->options.slot, start->two_phase,
                                   c->options.failover, err);
}

static int start_stream(struct capture *c, const struct replication_start *start, struct err *err)
{
    int64_t begun_ms = monotonic_ms();
    bool said = false;
    for (;;) {
        if (replication_start(&c->replication, start,
                              monotonic_ms() + (int64_t)c->options.connect_timeout_ms, err) == 0)
            return 0;
        bool busy = strcmp(c->replication.session.sqlstate, "55006") == 0;
        if (!busy || monotonic_ms() - begun_ms > SLOT_BUSY_LIMIT_MS)
            return -1;
        if (!said)
            log_info("the slot is in use; trying again", "slot", c->options.slot, "limit_ms",
                     LOG_U64(SLOT_BUSY_LIMIT_MS), "reason", err->text, NULL);
        said = true;
        err_clear(err);
        if (capture_wait(c, -1, 0, monotonic_ms() + SLOT_BUSY_PAUSE_MS, err))
            return -1;
    }
}

/* Asked while the slot is ours, so that nobody else can move it. */
static int check_start(struct capture *c, const struct replication_start *start, struct err *err)
{
    struct slot slot;
    if (catalog_slot(&c->catalog, c->options.slot, &slot, err))
        return -1;
    if (!slot.exists)
        return recreated(c, err, "vanished while it was in use");
    if (capture_check_slot(c, &slot, start, err))
        return -1;
    if (c->begun && position_is_foreign(&c->position, slot.confirmed_flush_lsn)) {
        char what[160];
        (void)snprintf(
            what, sizeof what,
            "was recreated or moved behind our back: it stands at %s, but we confirmed only %s",
            LSN(slot.confirmed_flush_lsn), LSN(c->position.confirmed_lsn));
        return recreated(c, err, what);
    }
    c->slot_lsn = slot.confirmed_flush_lsn;
    return 0;
}

static int same_server(struct capture *c, struct err *err)
{
    const struct replication *r = &c->replication;
    if (!c->begun)
        (void)snprintf(c->system_identifier, sizeof c->system_identifier, "%s",
                       r->system_identifier);
    if (strcmp(c->system_identifier, r->system_identifier) != 0)
        return err_set(err, ERR_PERMANENT,
                       "the source is another cluster now: system identifier %s instead of %s",
                       r->system_identifier, c->system_identifier);
    uint64_t acknowledged = c->position.acknowledged_lsn;
    if (acknowledged > r->wal_lsn) {
        (void)err_set(err, ERR_PERMANENT,
                      "the server's WAL ends at %s, on timeline %" PRIu32
                      ", but the targets hold %s",
                      LSN(r->wal_lsn), r->timeline, LSN(acknowledged));
        return err_hint(err, "a failover or a restore lost transactions that were applied already");
    }
    return 0;
}

void capture_put_hello(const struct capture *c, const struct replication_start *start, bool created,
                       struct buf *out)
{
    const struct replication *r = &c->replication;
    struct buf options = {0};
    replication_describe(start, &options);
    struct frame_hello hello = {
        .format_version = FRAME_FORMAT_VERSION,
        .producer = bytes_of("pg-capture"),
        .producer_version = bytes_of(PG2ANY_VERSION),
        .system_identifier = bytes_of(r->system_identifier),
        .timeline = r->timeline,
        .database = bytes_of(r->database),
        .slot = bytes_of(c->options.slot),
        .npublications = (uint32_t)c->npublications,
        .start_lsn = c->slot_lsn,
        .slot_created = created,
        .wal_lsn = r->wal_lsn,
        .server_version = replication_server_version(r),
        .protocol_version = start->protocol_version,
        .options = bytes_of(buf_cstr(&options)),
    };
    hello.ntimelines = r->ntimelines;
    memcpy(hello.timelines, r->timelines, r->ntimelines * sizeof *r->timelines);
    for (size_t i = 0; i < c->npublications; i++)
        hello.publications[i] = bytes_of(c->publications[i]);
    frame_put_hello(out, &hello);
    buf_free(&options);
}

static int look_up(void *ctx, struct relation *rel, uint32_t ended_xid, struct err *err)
{
    return catalog_relation(ctx, rel, ended_xid, err);
}

int capture_start(struct capture *c, struct err *err)
{
    struct replication_start start;
    bool created;
    int64_t deadline_ms = monotonic_ms() + (int64_t)c->options.connect_timeout_ms;
    if (replication_open(&c->replication, &c->source, &c->waiter, deadline_ms, err) ||
        same_server(c, err) || capture_choose_parameters(c, &start, err) || use_settings(c, err) ||
        catalog_check_publications(&c->catalog, c->npublications, c->publications, err))
        return -1;
    if (start.binary && catalog_check_binary(&c->catalog, c->npublications, c->publications, err))
        return -1;
    if (find_slot(c, &start, &created, err) || start_stream(c, &start, err) ||
        check_start(c, &start, err))
        return -1;
    struct pgoutput_config config = {
        .protocol_version = start.protocol_version,
        .parallel = start.streaming == STREAMING_PARALLEL,
        .lookup = look_up,
        .lookup_ctx = &c->catalog,
    };
    pgoutput_free(c->decoder);
    c->decoder = pgoutput_new(&config);
    if (!c->decoder)
        return err_nomem(err);
    capture_put_hello(c, &start, created, &c->out.buf);
    const PGconn *conn = c->replication.session.conn;
    struct buf described = {0};
    replication_describe(&start, &described);
    log_info("streaming", "version", PG2ANY_VERSION, "host", PQhost(conn), "port", PQport(conn),
             "database", c->replication.database, "user", PQuser(conn), "slot", c->options.slot,
             "publications", c->options.publications, "from", LSN(c->slot_lsn), "timeline",
             LOG_U64(c->replication.timeline), "server_version",
             LOG_U64(replication_server_version(&c->replication)), "protocol",
             LOG_U64(start.protocol_version), "options", buf_cstr(&described), NULL);
    buf_free(&described);
    return 0;
}
