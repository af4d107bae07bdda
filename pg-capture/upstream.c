#include "upstream.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "base/lsn.h"
#include "base/option_name.h"
#include "base/version.h"

#define FLUSH_LOOK_MS 10
#define TYPES_LOOK_MS 10000

/* How long a walsender that has lost its client may take to notice. */
#define SLOT_BUSY_LIMIT_MS 15000
#define SLOT_BUSY_PAUSE_MS 250

static int64_t time_limit(const struct upstream *u)
{
    return monotonic_ms() + (int64_t)u->options->connect_timeout_ms;
}

static int pause_ms(const struct upstream *u, int64_t ms, struct err *err)
{
    return u->waiter->wait(u->waiter->ctx, -1, 0, monotonic_ms() + ms, err);
}

/* ---- without a server ---- */

static int split_publications(struct upstream *u, struct err *err)
{
    u->publication_text = strdup(u->options->publications);
    if (!u->publication_text)
        return err_nomem(err);
    char *rest = u->publication_text;
    for (char *name; (name = strsep(&rest, ",")) != NULL;) {
        name += strspn(name, " ");
        for (size_t n = strlen(name); n > 0 && name[n - 1] == ' '; n--)
            name[n - 1] = '\0';
        if (*name == '\0')
            return err_set(err, ERR_PERMANENT, "--publication: \"%s\" has an empty name in it",
                           u->options->publications);
        if (u->npublications == FRAME_MAX_PUBLICATIONS)
            return err_set(err, ERR_PERMANENT, "--publication: more than %d names",
                           FRAME_MAX_PUBLICATIONS);
        u->publications[u->npublications++] = name;
    }
    return 0;
}

static int split_copy_tables(struct upstream *u, struct err *err)
{
    const struct option_list *given = &u->options->copy_tables;
    for (size_t i = 0; i < given->n; i++)
        if (table_names_add(&u->copy_tables, given->items[i], true, err))
            return err_context(err, "--copy-tables");
    return 0;
}

bool upstream_copies(struct upstream *u, const char *namespace, const char *name)
{
    return u->options->copy != COPY_NEVER &&
           (u->copy_tables.n == 0 || table_names_has(&u->copy_tables, namespace, name));
}

int upstream_init(struct upstream *u, const struct capture_options *o, const struct waiter *waiter,
                  struct err *err)
{
    u->options = o;
    u->waiter = waiter;
    if (!o->source || *o->source == '\0') {
        (void)err_set(err, ERR_PERMANENT, "no source is given");
        return err_hint(err, "set CDC_SOURCE_CONNECTION_STRING or use --source");
    }
    size_t len = strspn(o->slot, "abcdefghijklmnopqrstuvwxyz0123456789_");
    if (len == 0 || len > 63 || o->slot[len] != '\0')
        return err_set(err, ERR_PERMANENT,
                       "--slot: \"%s\" is no name for a slot: 1 to 63 of a-z, 0-9 and _", o->slot);
    if (o->until && strcmp(o->until, "current") != 0 &&
        (!lsn_parse(o->until, strlen(o->until), &u->until_lsn) || u->until_lsn == 0))
        return err_set(err, ERR_PERMANENT, "--until-lsn: \"%s\" is neither an LSN nor \"current\"",
                       o->until);
    if (split_publications(u, err) || split_copy_tables(u, err))
        return -1;
    const struct catalog_subject subject = {o->slot, u->npublications, u->publications};
    catalog_init(&u->catalog, &u->source, &u->replication.session, waiter,
                 (int64_t)o->connect_timeout_ms, &subject);
    return source_parse(&u->source, o->source, err);
}

void upstream_close(struct upstream *u)
{
    replication_close(&u->replication);
    catalog_close(&u->catalog);
}

void upstream_free(struct upstream *u)
{
    upstream_close(u);
    pgoutput_free(u->decoder);
    source_free(&u->source);
    free(u->publication_text);
    table_names_free(&u->copy_tables);
}

/* ---- what the server can do ---- */

static int too_old(const char *what, uint32_t needs, uint32_t version, struct err *err)
{
    return err_set(err, ERR_PERMANENT, "%s needs PostgreSQL %" PRIu32 "; the server is %" PRIu32,
                   OPTION_TEXT(what), needs, version / 10000);
}

static int needs_protocol(const char *what, uint32_t needs, uint32_t has, struct err *err)
{
    return err_set(err, ERR_PERMANENT,
                   "%s needs --protocol-version %" PRIu32 " or later, not %" PRIu32,
                   OPTION_TEXT(what), needs, has);
}

int upstream_connect(struct upstream *u, struct err *err)
{
    return replication_open(&u->replication, &u->source, u->waiter, time_limit(u), err);
}

int upstream_choose_parameters(struct upstream *u, struct err *err)
{
    const struct capture_options *o = u->options;
    struct replication_start *s = &u->parameters;
    uint32_t version = replication_server_version(&u->replication);
    uint32_t highest = version >= 160000 ? 4 : version >= 150000 ? 3 : 2;
    uint32_t protocol = o->protocol_version ? (uint32_t)o->protocol_version : highest;
    enum streaming streaming = o->streaming >= 0 ? (enum streaming)o->streaming
                               : protocol >= 2   ? STREAMING_ON
                                                 : STREAMING_OFF;
    *s = (struct replication_start){
        .slot = o->slot,
        .npublications = u->npublications,
        .publications = u->publications,
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
static int find_current_lsn(struct upstream *u, struct server_settings s, uint64_t *lsn,
                            struct err *err)
{
    uint64_t now_lsn = end_of_last_record(&s);
    if (!s.in_recovery && s.flush_lsn < now_lsn && upstream_flush(u, err))
        return -1;
    int64_t deadline_ms = monotonic_ms() + 3 * (int64_t)s.wal_writer_delay_ms + FLUSH_LOOK_MS;
    while (s.flush_lsn < now_lsn && monotonic_ms() < deadline_ms)
        if (pause_ms(u, FLUSH_LOOK_MS, err) || catalog_settings(&u->catalog, &s, err))
            return -1;
    *lsn = s.flush_lsn < now_lsn ? s.flush_lsn : now_lsn;
    return 0;
}

int upstream_flush(struct upstream *u, struct err *err)
{
    PGresult *rows;
    if (catalog_query(&u->catalog, "SELECT pg_current_xact_id()", 0, NULL, (struct shape){1, 1},
                      &rows, err))
        return -1;
    PQclear(rows);
    return 0;
}

int upstream_current_lsn(struct upstream *u, uint64_t *lsn, struct err *err)
{
    struct server_settings s;
    return catalog_settings(&u->catalog, &s, err) ? -1 : find_current_lsn(u, s, lsn, err);
}

static int use_settings(struct upstream *u, struct err *err)
{
    struct server_settings s;
    if (catalog_settings(&u->catalog, &s, err))
        return -1;
    if (strcmp(s.wal_level, "logical") != 0) {
        (void)err_set(err, ERR_PERMANENT, "the server's wal_level is %s, not logical", s.wal_level);
        return err_hint(err, "ALTER SYSTEM SET wal_level = logical; and restart the server");
    }
    if (s.in_recovery && replication_server_version(&u->replication) < 160000)
        return too_old("logical decoding on a standby", 16,
                       replication_server_version(&u->replication), err);
    u->wal_sender_timeout_ms = s.wal_sender_timeout_ms;
    return u->options->until && u->until_lsn == 0 ? find_current_lsn(u, s, &u->until_lsn, err) : 0;
}

/* ---- the slot ---- */

static int recreated(const struct upstream *u, const struct position *position, const char *what,
                     struct err *err)
{
    (void)err_set(err, ERR_PERMANENT, "replication slot %s %s", u->options->slot, what);
    return err_hint(
        err, "changes after %s may be missing: rebuild the target with a new slot (pg2any resync)",
        LSN(position_done(position)));
}

static void warn_of_loss(const struct upstream *u, const struct slot *s)
{
    if (strcmp(s->wal_status, "unreserved") == 0)
        log_warning("the slot is about to lose WAL that it needs", "slot", u->options->slot,
                    "safe_wal_bytes", s->safe_wal_bytes, NULL);
}

static void warn_of_budget(struct upstream *u, const struct slot *s)
{
    uint64_t kept = slot_retained_bytes(s), budget = upstream_wal_budget(u, s);
    if (wal_budget_is_due(&u->wal_budget, kept, budget, monotonic_ms()))
        log_warning(
            "the slot keeps half of its WAL budget or more: see what holds it back (pg2any status, "
            "pg_stat_activity, pg_prepared_xacts), or raise the limit in time",
            "slot", u->options->slot, "retained_bytes", LOG_U64(kept), "budget_bytes",
            LOG_U64(budget), "limit",
            budget == s->max_wal_bytes ? "max_slot_wal_keep_size" : "wal-budget", NULL);
}

int upstream_look_at_slot(struct upstream *u, struct err *err)
{
    struct slot slot;
    if (catalog_slot(&u->catalog, u->options->slot, &slot, err))
        return -1;
    u->slot = slot;
    warn_of_loss(u, &slot);
    warn_of_budget(u, &slot);
    return 0;
}

int upstream_check_slot(const struct upstream *u, const struct slot *s, struct err *err)
{
    const char *name = u->options->slot;
    if (*s->plugin == '\0')
        return err_set(err, ERR_PERMANENT, "replication slot %s is a physical one", name);
    if (strcmp(s->plugin, "pgoutput") != 0)
        return err_set(err, ERR_PERMANENT, "replication slot %s is of plugin %s, not pgoutput",
                       name, s->plugin);
    if (strcmp(s->database, u->replication.database) != 0)
        return err_set(err, ERR_PERMANENT, "replication slot %s is of database \"%s\", not \"%s\"",
                       name, s->database, u->replication.database);
    if (strcmp(s->wal_status, "lost") == 0 || *s->invalidation) {
        (void)err_set(err, ERR_PERMANENT, "replication slot %s cannot be used any more: %s", name,
                      *s->invalidation ? s->invalidation : "the WAL that it needs is gone");
        return err_hint(
            err,
            "drop it with SELECT pg_drop_replication_slot('%s') and rebuild the target; "
            "max_slot_wal_keep_size and idle_replication_slot_timeout limit how far a slot may lag "
            "behind",
            name);
    }
    if (s->beyond_wal) {
        (void)err_set(
            err, ERR_PERMANENT,
            "replication slot %s is confirmed up to %s, but the server's WAL ends at %s: the "
            "server lost WAL in a crash, or was restored from a backup without its slots",
            name, LSN(s->confirmed_flush_lsn), LSN(s->current_lsn));
        return err_hint(
            err,
            "transactions committed up to there would not be sent: drop the slot and rebuild the "
            "target");
    }
    if (s->two_phase && u->parameters.protocol_version < 3)
        return err_set(
            err, ERR_PERMANENT,
            "replication slot %s has two_phase, which needs --protocol-version 3 or later", name);
    warn_of_loss(u, s);
    return 0;
}

/* No copy is a failover slot, whatever the slot is (PostgreSQL documentation, "Replication
 * Management Functions"): what the server holds back for standbys it would send by a copy. */
static int check_standbys(struct upstream *u, struct err *err)
{
    static const char sql[] = "SELECT to_jsonb(s)->>'failover' = 'true'"
                              " AND current_setting('synchronized_standby_slots', true) <> ''"
                              " FROM pg_replication_slots s WHERE slot_name = $1";
    const char *params[] = {u->options->slot};
    PGresult *rows;
    if (catalog_query(&u->catalog, sql, 1, params, (struct shape){1, ANY_ROWS}, &rows, err))
        return -1;
    bool waits = PQntuples(rows) > 0 && field_truth(rows, 0, 0);
    PQclear(rows);
    if (!waits)
        return 0;
    (void)err_set(err, ERR_PERMANENT,
                  "replication slot %s waits for synchronized_standby_slots, which a copy would "
                  "not: the target would get ahead of the standbys",
                  u->options->slot);
    return err_hint(err, "pg2any resume --at-once goes without a copy");
}

/* It goes with the connection. On another one it is made anew, from where the slot stands by then.
 */
static int copy_slot(struct upstream *u, struct err *err)
{
    (void)snprintf(u->slot_copy, sizeof u->slot_copy, "%.40s_copy_%d", u->options->slot,
                   PQbackendPID(u->replication.session.conn));
    u->parameters.slot = u->slot_copy;
    return check_standbys(u, err) || replication_copy_slot(&u->replication, u->options->slot,
                                                           u->slot_copy, time_limit(u), err)
               ? -1
               : 0;
}

/* Looks for the slot; makes it where none has ever been used. */
static int find_slot(struct upstream *u, const struct position *position, struct err *err)
{
    const char *name = u->options->slot;
    struct slot slot;
    u->slot_created = false;
    if (catalog_slot(&u->catalog, name, &slot, err))
        return -1;
    u->slot = slot; /* also one that cannot be used any more is told of */
    if (slot.exists && upstream_check_slot(u, &slot, err))
        return -1;
    if (slot.exists)
        return u->options->slot_copy ? copy_slot(u, err) : 0;
    if (u->options->slot_copy)
        return err_set(err, ERR_PERMANENT, "there is no replication slot %s to copy", name);
    if (u->begun)
        return recreated(u, position, "does not exist any more", err);
    log_info("creating the replication slot, which waits for running transactions to end", "slot",
             name, NULL);
    u->slot_created = true;
    return replication_create_slot(&u->replication, name, u->parameters.two_phase,
                                   u->options->failover, err);
}

/* The slot that was just seen is not there: another process was making it and was killed, and the
 * server has taken it away. Whoever starts again makes it. */
static int vanished(const struct upstream *u, struct err *err)
{
    bool gone = strcmp(u->replication.session.sqlstate, "42704") == 0;
    if (gone && !u->begun && err->kind == ERR_PERMANENT)
        return err_set(err, ERR_TEMPORARY,
                       "replication slot %s existed a moment ago and no longer does",
                       u->options->slot);
    return -1;
}

/* Where the server still keeps the connection that this process has given up: it may not notice for
 * long that nobody reads there any more. */
static int end_former(struct upstream *u, struct err *err)
{
    static const char sql[] = "SELECT pg_terminate_backend(active_pid) FROM pg_replication_slots"
                              " WHERE slot_name = $1 AND active_pid = $2::int";
    char pid[16];
    const char *params[] = {u->options->slot, pid};
    PGresult *rows;
    if (u->former_pid == 0)
        return 0;
    (void)snprintf(pid, sizeof pid, "%d", u->former_pid);
    if (catalog_query(&u->catalog, sql, 2, params, (struct shape){1, ANY_ROWS}, &rows, err))
        return -1;
    if (PQntuples(rows) == 1)
        log_info("the server still had the previous connection, which was ended", "slot",
                 u->options->slot, "pid", pid, NULL);
    PQclear(rows);
    u->former_pid = 0;
    return 0;
}

static int start_stream(struct upstream *u, struct err *err)
{
    int64_t begun_ms = monotonic_ms();
    bool said = false;
    for (;;) {
        if (replication_start(&u->replication, &u->parameters, time_limit(u), err) == 0) {
            u->former_pid = PQbackendPID(u->replication.session.conn);
            return 0;
        }
        bool busy = strcmp(u->replication.session.sqlstate, "55006") == 0;
        if (!busy || monotonic_ms() - begun_ms > SLOT_BUSY_LIMIT_MS)
            return vanished(u, err);
        if (!said)
            log_info("the slot is in use; trying again", "slot", u->options->slot, "limit_ms",
                     LOG_U64(SLOT_BUSY_LIMIT_MS), "reason", err->text, NULL);
        said = true;
        err_clear(err);
        if (end_former(u, err) || pause_ms(u, SLOT_BUSY_PAUSE_MS, err))
            return -1;
    }
}

/* Asked while the slot is ours, so that nobody else can move it. */
static int check_start(struct upstream *u, const struct position *position, struct err *err)
{
    struct slot slot;
    if (catalog_slot(&u->catalog, u->parameters.slot, &slot, err))
        return -1;
    if (!slot.exists)
        return recreated(u, position, "vanished while it was in use", err);
    if (upstream_check_slot(u, &slot, err))
        return -1;
    if (u->begun && !u->options->slot_copy &&
        position_is_foreign(position, slot.confirmed_flush_lsn)) {
        char what[160];
        (void)snprintf(
            what, sizeof what,
            "was recreated or moved behind our back: it stands at %s, but we confirmed only %s",
            LSN(slot.confirmed_flush_lsn), LSN(position->confirmed_lsn));
        return recreated(u, position, what, err);
    }
    u->start_lsn = slot.confirmed_flush_lsn;
    return 0;
}

static int check_server(struct upstream *u, const struct position *position, struct err *err)
{
    const struct replication *r = &u->replication;
    if (!u->begun)
        (void)snprintf(u->system_identifier, sizeof u->system_identifier, "%s",
                       r->system_identifier);
    if (strcmp(u->system_identifier, r->system_identifier) != 0)
        return err_set(err, ERR_PERMANENT,
                       "the source is another cluster now: system identifier %s instead of %s",
                       r->system_identifier, u->system_identifier);
    if (position->acknowledged_lsn > r->wal_lsn) {
        (void)err_set(err, ERR_PERMANENT,
                      "the server's WAL ends at %s, on timeline %" PRIu32
                      ", but the targets hold %s",
                      LSN(r->wal_lsn), r->timeline, LSN(position->acknowledged_lsn));
        return err_hint(err, "a failover or a restore lost transactions that were applied already");
    }
    return 0;
}

void upstream_put_hello(const struct upstream *u, uint64_t start_lsn, bool slot_created,
                        struct buf *out)
{
    const struct replication *r = &u->replication;
    struct buf options = {0};
    replication_describe(&u->parameters, &options);
    struct frame_hello hello = {
        .format_version = FRAME_FORMAT_VERSION,
        .producer = bytes_of("pg-capture"),
        .producer_version = bytes_of(PG2ANY_VERSION),
        .system_identifier = bytes_of(r->system_identifier),
        .timeline = r->timeline,
        .database = bytes_of(r->database),
        .slot = bytes_of(u->options->slot),
        .npublications = (uint32_t)u->npublications,
        .start_lsn = start_lsn,
        .slot_created = slot_created,
        /* A slot that was made since stands beyond it. */
        .wal_lsn = r->wal_lsn > start_lsn ? r->wal_lsn : start_lsn,
        .server_version = replication_server_version(r),
        .protocol_version = u->parameters.protocol_version,
        .options = bytes_of(buf_cstr(&options)),
    };
    hello.ntimelines = r->ntimelines;
    memcpy(hello.timelines, r->timelines, r->ntimelines * sizeof *r->timelines);
    for (size_t i = 0; i < u->npublications; i++)
        hello.publications[i] = bytes_of(u->publications[i]);
    frame_put_hello(out, &hello);
    buf_free(&options);
}

static int look_up(void *ctx, struct relation *rel, const struct pgoutput_place *place,
                   struct err *err)
{
    struct upstream *u = ctx;
    return u->meet.fn(u->meet.ctx, rel, err) || catalog_relation(&u->catalog, rel, place, err) ? -1
                                                                                               : 0;
}

/* What cannot be found out is for the targets to judge, by what they have. */
static bool was_empty(void *ctx, uint32_t xid, uint64_t commit_lsn, uint64_t end_lsn)
{
    struct upstream *u = ctx;
    struct err err = {0};
    bool empty;
    if (catalog_was_empty(&u->catalog, xid, commit_lsn, end_lsn, &empty, &err) == 0)
        return empty;
    log_warning("cannot see whether a prepared transaction was empty", "xid", LOG_U64(xid), "lsn",
                LSN(commit_lsn), "reason", err.text, NULL);
    return false;
}

int upstream_check_binary(struct upstream *u, struct err *err)
{
    return u->parameters.binary
               ? catalog_check_binary(&u->catalog, u->npublications, u->publications, err)
               : 0;
}

static int new_decoder(struct upstream *u, struct err *err)
{
    struct pgoutput_config config = {
        .protocol_version = u->parameters.protocol_version,
        .parallel = u->parameters.streaming == STREAMING_PARALLEL,
        .types_look_ms = TYPES_LOOK_MS,
        .lookup = look_up,
        .was_empty = was_empty,
        .lookup_ctx = u,
    };
    pgoutput_free(u->decoder);
    u->decoder = pgoutput_new(&config);
    return u->decoder ? 0 : err_nomem(err);
}

static void tell(const struct upstream *u)
{
    const PGconn *conn = u->replication.session.conn;
    struct buf described = {0};
    replication_describe(&u->parameters, &described);
    log_info("streaming", "version", PG2ANY_VERSION, "host", PQhost(conn), "port", PQport(conn),
             "database", u->replication.database, "user", PQuser(conn), "slot", u->options->slot,
             "publications", u->options->publications, "from", LSN(u->start_lsn), "timeline",
             LOG_U64(u->replication.timeline), "server_version",
             LOG_U64(replication_server_version(&u->replication)), "protocol",
             LOG_U64(u->parameters.protocol_version), "options", buf_cstr(&described), NULL);
    buf_free(&described);
}

int upstream_start(struct upstream *u, const struct position *position, struct err *err)
{
    if (upstream_connect(u, err) || check_server(u, position, err) ||
        upstream_choose_parameters(u, err) || use_settings(u, err) ||
        catalog_check_publications(&u->catalog, u->npublications, u->publications, err) ||
        upstream_check_binary(u, err) || find_slot(u, position, err) ||
        (u->parameters.two_phase && catalog_look_at_prepared(&u->catalog, err)) ||
        start_stream(u, err) || check_start(u, position, err) || new_decoder(u, err))
        return -1;
    u->begun = true;
    tell(u);
    return 0;
}
