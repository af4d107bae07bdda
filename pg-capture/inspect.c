#include "inspect.h"

#include <errno.h>
#include <inttypes.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/exit.h"
#include "base/json.h"
#include "base/log.h"
#include "base/lsn.h"
#include "base/report.h"
#include "base/signals.h"
#include "capture_stats.h"
#include "frames/frame_output.h"
#include "inspect_copy.h"
#include "inspect_tables.h"
#include "upstream.h"

static int query(struct upstream *u, const char *sql, int nparams, const char *const *params,
                 struct shape shape, PGresult **result, struct err *err)
{
    return catalog_query(&u->catalog, sql, nparams, params, shape, result, err);
}

/* ---- the server ---- */

static int check_server(struct upstream *u, struct report *r, bool *may_replicate, struct err *err)
{
    PGresult *rows;
    if (query(u,
              "SELECT current_setting('server_version'), current_database(), current_user,"
              " current_setting('wal_level'), r.rolreplication OR r.rolsuper,"
              " quote_ident(current_user), pg_is_in_recovery(),"
              " current_setting('max_wal_senders')::int,"
              " (SELECT count(*) FROM pg_stat_get_wal_senders()),"
              " current_setting('max_replication_slots')::int,"
              " (SELECT count(*) FROM pg_replication_slots),"
              " (SELECT setting::bigint FROM pg_settings WHERE name = 'max_slot_wal_keep_size'),"
              " current_setting('track_commit_timestamp')"
              " FROM pg_roles r WHERE r.rolname = current_user",
              0, NULL, (struct shape){13, 1}, &rows, err))
        return -1;
    const PGconn *conn = u->catalog.session.conn;
    report_ok(r, "source: PostgreSQL %s, database %s at %s port %s, user %s, TLS %s",
              field(rows, 0, 0), field(rows, 0, 1), PQhost(conn), PQport(conn), field(rows, 0, 2),
              PQsslInUse((PGconn *)(uintptr_t)conn) ? "on" : "off");
    if (strcmp(field(rows, 0, 3), "logical") == 0) {
        report_ok(r, "wal_level is logical");
    } else {
        report_fail(r, "wal_level is %s, not logical", field(rows, 0, 3));
        report_mend(r, "ALTER SYSTEM SET wal_level = logical; and restart the server");
    }
    if (field_truth(rows, 0, 6) && PQserverVersion(conn) < 160000)
        report_fail(r, "the server is a standby, which decodes from PostgreSQL 16 on");
    *may_replicate = field_truth(rows, 0, 4);
    if (*may_replicate) {
        report_ok(r, "user %s may replicate", field(rows, 0, 2));
    } else {
        report_fail(r, "user %s may not replicate", field(rows, 0, 2));
        report_mend(r, "ALTER ROLE %s REPLICATION;", field(rows, 0, 5));
    }
    long senders = strtol(field(rows, 0, 7), NULL, 10), used = strtol(field(rows, 0, 8), NULL, 10);
    if (used < senders) {
        report_ok(r, "WAL senders: %ld of %ld in use", used, senders);
    } else {
        report_fail(r, "all %ld WAL senders are in use", senders);
        report_mend(r, "ALTER SYSTEM SET max_wal_senders = %ld; and restart the server",
                    senders + 5);
    }
    if (strcmp(field(rows, 0, 11), "-1") == 0) {
        report_note(r, "max_slot_wal_keep_size is -1: while pg2any is down, the slot keeps WAL "
                       "until the server's disk is full");
        report_mend(r, "ALTER SYSTEM SET max_slot_wal_keep_size = '50GB'; SELECT "
                       "pg_reload_conf();  -- beyond it the slot is lost instead");
    }
    if (strcmp(field(rows, 0, 12), "on") != 0) {
        report_note(
            r,
            "track_commit_timestamp is off: more changes of tables cannot be followed, for example "
            "if columns were dropped and others added shortly before a row");
        report_mend(r, "ALTER SYSTEM SET track_commit_timestamp = on; and restart the server");
    }
    PQclear(rows);
    return 0;
}

/* Where a stream would begin, for the hello. */
struct beginning {
    uint64_t lsn;
    bool makes_slot;
};

static int check_slots(struct upstream *u, struct beginning *b, struct report *r, struct err *err)
{
    struct slot slot;
    PGresult *rows;
    const char *name = u->options->slot;
    if (catalog_slot(&u->catalog, name, &slot, err))
        return -1;
    if (slot.exists) {
        if (upstream_check_slot(u, &slot, err)) {
            report_err(r, err, "slot");
            return 0;
        }
        report_ok(r, "slot %s: %s, confirmed up to %s%s", name, slot.wal_status,
                  LSN(slot.confirmed_flush_lsn), slot.active ? ", in use now" : "");
        b->lsn = slot.confirmed_flush_lsn;
        return 0;
    }
    *b = (struct beginning){.lsn = u->replication.wal_lsn, .makes_slot = true};
    if (query(u,
              "SELECT current_setting('max_replication_slots')::int, count(*)"
              " FROM pg_replication_slots",
              0, NULL, (struct shape){2, 1}, &rows, err))
        return -1;
    long slots = strtol(field(rows, 0, 0), NULL, 10), used = strtol(field(rows, 0, 1), NULL, 10);
    PQclear(rows);
    if (used < slots) {
        report_ok(r, "slot %s does not exist and will be created; %ld of %ld slots in use", name,
                  used, slots);
    } else {
        report_fail(r, "slot %s does not exist, and all %ld slots are in use", name, slots);
        report_mend(
            r,
            "SELECT slot_name FROM pg_replication_slots WHERE NOT active;  -- drop unused ones, "
            "or: ALTER SYSTEM SET max_replication_slots = %ld; and restart",
            slots + 5);
    }
    return 0;
}

/* Whether commits may wait for this pipeline. */
static int check_synchronous(struct upstream *u, struct report *r, struct err *err)
{
    static const char sql[] =
        "SELECT current_setting('synchronous_standby_names'), coalesce((SELECT two_phase"
        "  FROM pg_replication_slots WHERE slot_name = $1), false)"
        " WHERE " CATALOG_MAY_BE_WAITED_FOR;
    const char *params[] = {u->options->slot};
    PGresult *rows;
    if (query(u, sql, 1, params, (struct shape){2, ANY_ROWS}, &rows, err))
        return -1;
    if (PQntuples(rows) > 0) {
        report_note(r,
                    "commits at the source may wait for this pipeline (synchronous_standby_names "
                    "is %s): while it stands still, or a target is paused, they do not return",
                    field(rows, 0, 0));
        if (u->options->two_phase || field_truth(rows, 0, 1)) {
            report_fail(r, "PREPARE TRANSACTION may wait for its own outcome, for ever: commits "
                           "wait for this pipeline, whose slot has --two-phase");
            report_mend(r, "ALTER SYSTEM RESET synchronous_standby_names; SELECT pg_reload_conf();"
                           "  -- or leave out --two-phase; a slot that had it keeps it");
        }
    }
    PQclear(rows);
    return 0;
}

/* ---- publications and tables ---- */

static int check_publications(struct upstream *u, struct report *r, struct err *err)
{
    for (size_t i = 0; i < u->npublications; i++) {
        PGresult *rows;
        const char *params[] = {u->publications[i]};
        if (query(u,
                  "SELECT quote_ident($1), p.pubname IS NOT NULL,"
                  " (SELECT count(*) FROM pg_publication_tables t WHERE t.pubname = $1),"
                  " concat_ws(', ', CASE WHEN NOT pubinsert THEN 'insert' END,"
                  "  CASE WHEN NOT pubupdate THEN 'update' END,"
                  "  CASE WHEN NOT pubdelete THEN 'delete' END,"
                  "  CASE WHEN NOT pubtruncate THEN 'truncate' END)"
                  " FROM (SELECT) one LEFT JOIN pg_publication p ON p.pubname = $1",
                  1, params, (struct shape){4, 1}, &rows, err))
            return -1;
        const char *quoted = field(rows, 0, 0);
        if (!field_truth(rows, 0, 1)) {
            report_fail(r, "publication %s does not exist in this database", quoted);
            report_mend(r, "CREATE PUBLICATION %s FOR ALL TABLES;", quoted);
        } else if (strcmp(field(rows, 0, 2), "0") == 0) {
            report_note(r, "publication %s has no tables: nothing will be replicated", quoted);
            report_mend(r, "ALTER PUBLICATION %s ADD TABLE ...;", quoted);
        } else {
            report_ok(r, "publication %s: %s tables", quoted, field(rows, 0, 2));
        }
        if (field_truth(rows, 0, 1) && *field(rows, 0, 3)) {
            report_note(r, "publication %s leaves out: %s", quoted, field(rows, 0, 3));
            report_mend(r,
                        "ALTER PUBLICATION %s SET (publish = 'insert, update, delete, truncate');",
                        quoted);
        }
        PQclear(rows);
    }
    return 0;
}

/* ---- what the stream would say of the tables ---- */

struct relations_out {
    struct upstream *upstream;
    struct buf *out;
};

/* What the stream would say of a table, with what the catalog adds. */
static int put_relation(void *ctx, struct relation *rel, struct err *err)
{
    struct relations_out *o = ctx;
    const struct pgoutput_place now = {.stage = PLACE_ENDED, .lsn = UINT64_MAX};
    const struct frame_copy_due due = {rel->relid};
    if (catalog_relation(&o->upstream->catalog, rel, &now, err))
        return -1;
    if (upstream_copies(o->upstream, rel->namespace, rel->name))
        frame_put_copy_due(o->out, &due);
    relation_to_frame(rel, o->out);
    return 0;
}

static int put_relations(struct upstream *u, struct buf *out, struct err *err)
{
    struct relations_out o = {u, out};
    return catalog_look_ahead(&u->catalog, err) ||
                   catalog_published(&u->catalog, 0, put_relation, &o, err)
               ? -1
               : 0;
}

/* ---- the whole ---- */

/* What a stream would need: the connection, the options, the slot. */
static int check_stream(struct upstream *u, struct beginning *b, struct report *r, struct err *err)
{
    if (upstream_connect(u, err)) {
        report_err(r, err, "source");
        return 0;
    }
    if (upstream_choose_parameters(u, err))
        report_err(r, err, "options");
    if (upstream_check_binary(u, err)) {
        if (err->kind != ERR_PERMANENT)
            return -1;
        report_err(r, err, "binary mode");
    }
    return check_slots(u, b, r, err) || check_synchronous(u, r, err) ? -1 : 0;
}

/* What cannot be asked is an error. */
static int check_all(struct upstream *u, struct report *r, struct buf *out, struct err *err)
{
    struct beginning beginning = {0};
    bool may_replicate;
    if (check_server(u, r, &may_replicate, err) ||
        (may_replicate && check_stream(u, &beginning, r, err)) || check_publications(u, r, err))
        return -1;
    struct buf list = {0};
    array_of_text(&list, u->npublications, u->publications);
    int rc = inspect_tables(&u->catalog, buf_cstr(&list), r, err);
    if (rc == 0 && u->options->copy != COPY_NEVER)
        rc = inspect_copy(u, buf_cstr(&list), r, err);
    if (rc == 0 && u->replication.session.conn) {
        upstream_put_hello(u, beginning.lsn, beginning.makes_slot, out);
        rc = put_relations(u, out, err);
    }
    buf_free(&list);
    return rc;
}

/* Without a reader the report is all there is. */
static void write_description(struct buf *frames)
{
    struct frame_output out;
    struct err gone = {0};
    struct frame_end z = {.why = bytes_of("check")};
    if (frames->len == 0 || isatty(STDOUT_FILENO))
        return;
    frame_put_end(frames, &z);
    frame_output_init(&out, STDOUT_FILENO, "stdout", 0);
    buf_append(&out.out.buf, frames->data, frames->len);
    if (frame_output_flush(&out, &gone))
        log_debug("the relations were not read", "reason", gone.text, NULL);
    frame_output_close(&out);
}

static int check(struct upstream *u, struct err *err)
{
    struct report r = {.fd = STDERR_FILENO};
    struct buf frames = {0};
    int rc = check_all(u, &r, &frames, err);
    if (rc) {
        enum err_kind kind = err->kind;
        report_err(&r, err, "source");
        (void)err_set(err, kind, "the source could not be checked to the end");
        (void)err_follows(err);
    } else {
        write_description(&frames);
        if (r.failures > 0)
            (void)err_set(err, ERR_PERMANENT, "checks of the source that failed: %u", r.failures);
        rc = r.failures > 0 ? err_follows(err) : 0; /* the report has said it */
    }
    buf_free(&frames);
    return rc;
}

static uint64_t lag_bytes(const struct slot *slot)
{
    return slot->current_lsn > slot->confirmed_flush_lsn
               ? slot->current_lsn - slot->confirmed_flush_lsn
               : 0;
}

static void show_slot(const struct upstream *u, const struct slot *slot)
{
    struct report r = {.fd = STDOUT_FILENO};
    uint64_t budget = upstream_wal_budget(u, slot), retained = slot_retained_bytes(slot);
    const PGconn *conn = u->catalog.session.conn;
    report_value(&r, "source", "%s at %s port %s", PQdb(conn), PQhost(conn), PQport(conn));
    if (!slot->exists) {
        report_value(&r, "slot", "%s does not exist", u->options->slot);
        return;
    }
    report_value(&r, "slot", "%s, %s, wal_status %s%s%s", u->options->slot,
                 slot->active ? "active" : "inactive", slot->wal_status,
                 *slot->invalidation ? ", invalid: " : "", slot->invalidation);
    report_value(&r, "server's WAL", "%s", LSN(slot->current_lsn));
    report_value(&r, "confirmed", "%s", LSN(slot->confirmed_flush_lsn));
    report_value(&r, "lag", "%" PRIu64 " bytes", lag_bytes(slot));
    report_value(&r, "retained WAL", "%" PRIu64 " bytes", retained);
    if (budget)
        report_value(&r, "WAL budget", "%" PRIu64 " bytes, %.0f %% of it used", budget,
                     100.0 * (double)retained / (double)budget);
    else
        report_value(&r, "WAL budget", "none: neither max_slot_wal_keep_size nor --wal-budget");
}

static void put_slot(const struct upstream *u, const struct slot *slot, struct buf *out)
{
    const PGconn *conn = u->catalog.session.conn;
    json_open(out, NULL, '{');
    json_put_text(out, "database", PQdb(conn));
    json_put_text(out, "host", PQhost(conn));
    json_put_text(out, "port", PQport(conn));
    json_put_text(out, "slot", u->options->slot);
    json_put_bool(out, "exists", slot->exists);
    if (slot->exists) {
        json_put_bool(out, "active", slot->active);
        json_put_text(out, "wal_status", slot->wal_status);
        json_put_text(out, "invalidation_reason", *slot->invalidation ? slot->invalidation : NULL);
        json_put_text(out, "server_lsn", LSN(slot->current_lsn));
        json_put_text(out, "confirmed_flush_lsn", LSN(slot->confirmed_flush_lsn));
        json_put_u64(out, "lag_bytes", lag_bytes(slot));
        json_put_u64(out, "retained_wal_bytes", slot_retained_bytes(slot));
        json_put_u64(out, "wal_budget_bytes", upstream_wal_budget(u, slot));
    }
    json_close(out, '}');
}

static int tell_status(struct upstream *u, struct err *err)
{
    struct slot slot;
    struct buf json = {0};
    if (catalog_slot(&u->catalog, u->options->slot, &slot, err))
        return -1;
    if (!u->options->json) {
        show_slot(u, &slot);
        return 0;
    }
    put_slot(u, &slot, &json);
    int rc = buf_check(&json, err);
    if (rc == 0)
        (void)printf("%s\n", buf_cstr(&json));
    buf_free(&json);
    return rc;
}

static int drop_slot(struct upstream *u, struct err *err)
{
    struct slot slot;
    if (catalog_slot(&u->catalog, u->options->slot, &slot, err))
        return -1;
    if (!slot.exists) {
        log_info("there is no such slot", "slot", u->options->slot, NULL);
        return 0;
    }
    int64_t deadline_ms = monotonic_ms() + (int64_t)u->options->connect_timeout_ms;
    if (upstream_connect(u, err) ||
        replication_drop_slot(&u->replication, u->options->slot, deadline_ms, err))
        return -1;
    log_info("the slot is dropped", "slot", u->options->slot, "was_at",
             LSN(slot.confirmed_flush_lsn), NULL);
    return 0;
}

/* ---- around it ---- */

struct inspection {
    struct signals signals;
    struct capture_stats stats;
    struct waiter waiter;
    struct upstream upstream;
};

/* The waiter: see session.h. */
static int wait_for(void *ctx, int fd, short events, int64_t deadline_ms, struct err *err)
{
    struct inspection *in = ctx;
    const struct stats *stats = &in->stats.file;
    for (;;) {
        struct pollfd p[] = {
            {.fd = in->signals.stop ? -1 : in->signals.fd, .events = POLLIN},
            {.fd = fd, .events = events},
        };
        int64_t wake_ms =
            stats->path && stats->next_ms < deadline_ms ? stats->next_ms : deadline_ms;
        int n = poll(p, 2, poll_timeout(monotonic_ms(), wake_ms));
        if (n < 0 && errno != EINTR)
            return err_errno(err, ERR_TEMPORARY, "poll");
        if (n > 0 && p[0].revents)
            (void)signals_stop(&in->signals);
        stats_tick(&in->stats.file, monotonic_ms());
        if (n > 0 && p[1].revents)
            return 0;
        if (in->signals.stop)
            return err_set(err, ERR_TEMPORARY, "asked to stop");
        if (monotonic_ms() < deadline_ms)
            continue;
        return fd < 0 ? 0 : err_set(err, ERR_TEMPORARY, "no answer within the time limit");
    }
}

int inspect(const struct capture_options *options, int (*look)(struct upstream *u, struct err *err),
            struct err *err)
{
    struct inspection *in = calloc(1, sizeof *in);
    if (!in) {
        (void)err_nomem(err);
        return exit_status(err);
    }
    in->signals.fd = -1;
    in->waiter = (struct waiter){.wait = wait_for, .ctx = in};
    capture_stats_init(&in->stats, options->stage.stats, options->slot);
    if (signals_init(&in->signals, err) == 0 &&
        upstream_init(&in->upstream, options, &in->waiter, err) == 0 &&
        look(&in->upstream, err) == 0)
        err_clear(err);
    int status = exit_status(err);
    upstream_free(&in->upstream);
    stats_end(&in->stats.file, err);
    signals_close(&in->signals);
    free(in);
    return status;
}

int inspect_check(const struct capture_options *options, struct err *err)
{
    return inspect(options, check, err);
}

int inspect_status(const struct capture_options *options, struct err *err)
{
    return inspect(options, tell_status, err);
}

int inspect_drop_slot(const struct capture_options *options, struct err *err)
{
    return inspect(options, drop_slot, err);
}
