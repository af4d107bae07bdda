#include "catalog.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "base/lsn.h"

void catalog_init(struct catalog *c, const struct source *source, const struct session *streaming,
                  const struct waiter *waiter, int64_t time_limit_ms,
                  const struct catalog_subject *subject)
{
    *c = (struct catalog){.source = source,
                          .streaming = streaming,
                          .waiter = waiter,
                          .time_limit_ms = time_limit_ms,
                          .subject = *subject};
}

static void disconnect(struct catalog *c)
{
    session_close(&c->session);
    c->relation_prepared = false;
    c->ended_xmin = c->ended_xid = 0; /* a proxy may lead the next to a standby that is behind */
}

void catalog_close(struct catalog *c)
{
    disconnect(c);
    PQclear(c->prepared);
    c->prepared = NULL;
    catalog_forget_relation(c);
    buf_free(&c->bytes);
    buf_free(&c->texts);
    c->nhorizons = 0; /* of another server, perhaps */
    c->standby_xmin = 0;
}

int catalog_connect(struct catalog *c, struct err *err)
{
    if (c->session.conn)
        return 0;
    c->opened++;
    return session_open(&c->session, SESSION_CATALOG, c->source, c->streaming, c->waiter,
                        monotonic_ms() + c->time_limit_ms, err);
}

int catalog_ask(struct catalog *c, const char *name, const char *sql, int nparams,
                const char *const *params, struct shape shape, PGresult **result, struct err *err)
{
    int64_t deadline_ms = monotonic_ms() + c->time_limit_ms;
    for (bool fresh = false;;) {
        if (!c->session.conn) {
            fresh = true;
            if (catalog_connect(c, err))
                return -1;
        }
        int rc = name ? session_query_prepared(&c->session, name, sql, &c->relation_prepared,
                                               nparams, params, c->waiter, deadline_ms, result, err)
                      : session_query(&c->session, sql, nparams, params, c->waiter, deadline_ms,
                                      result, err);
        if (rc == 0 && session_check_shape(*result, shape, err)) {
            PQclear(*result);
            *result = NULL;
            disconnect(c);
            return err_context(err, "asking the catalog");
        }
        if (rc == 0)
            return 0;
        bool lost = PQstatus(c->session.conn) == CONNECTION_BAD;
        disconnect(c);
        if (!lost || fresh)
            return err_context(err, "asking the catalog");
        err_clear(err);
    }
}

int catalog_query(struct catalog *c, const char *sql, int nparams, const char *const *params,
                  struct shape shape, PGresult **result, struct err *err)
{
    return catalog_ask(c, NULL, sql, nparams, params, shape, result, err);
}

void array_of_text(struct buf *out, size_t n, const char *const *items)
{
    buf_append_byte(out, '{');
    for (size_t i = 0; i < n; i++) {
        buf_append_str(out, i ? ",\"" : "\"");
        for (const char *p = items[i]; *p; p++) {
            if (*p == '"' || *p == '\\')
                buf_append_byte(out, '\\');
            buf_append_byte(out, (uint8_t)*p);
        }
        buf_append_byte(out, '"');
    }
    buf_append_byte(out, '}');
}

int catalog_ask_about(struct catalog *c, const char *sql, size_t n, const char *const *names,
                      struct shape shape, PGresult **result, struct err *err)
{
    struct buf list = {0};
    array_of_text(&list, n, names);
    const char *params[] = {buf_cstr(&list)};
    int rc = buf_check(&list, err);
    if (rc == 0)
        rc = catalog_query(c, sql, 1, params, shape, result, err);
    buf_free(&list);
    return rc;
}

int catalog_check_publications(struct catalog *c, size_t n, const char *const *names,
                               struct err *err)
{
    PGresult *result;
    if (catalog_ask_about(
            c,
            "SELECT name, quote_ident(name), current_database() FROM unnest($1::text[]) name"
            " WHERE NOT EXISTS (SELECT FROM pg_publication p WHERE p.pubname = name)",
            n, names, (struct shape){3, ANY_ROWS}, &result, err))
        return -1;
    int rc = 0;
    if (PQntuples(result) > 0) {
        rc = err_set(err, ERR_PERMANENT, "publication \"%s\" does not exist in database \"%s\"",
                     field(result, 0, 0), field(result, 0, 2));
        (void)err_hint(
            err,
            "make it with: CREATE PUBLICATION %s FOR ALL TABLES; or: CREATE PUBLICATION %s "
            "FOR TABLE ...;",
            field(result, 0, 1), field(result, 0, 1));
    }
    PQclear(result);
    return rc;
}

static int read_lsn(const PGresult *result, int column, uint64_t *lsn, struct err *err)
{
    const char *text = field(result, 0, column);
    *lsn = 0;
    if (*text == '\0' || lsn_parse(text, strlen(text), lsn))
        return 0;
    return err_set(err, ERR_PERMANENT, "the server sent \"%s\" instead of an LSN", text);
}

int catalog_look_ahead(struct catalog *c, struct err *err)
{
    PGresult *result;
    /* The snapshot is older than the position: whoever had ended then has its commit before that.
     */
    if (catalog_query(c,
                      "SELECT pg_snapshot_xmin(pg_current_snapshot())::xid::text,"
                      " CASE WHEN pg_is_in_recovery() THEN pg_last_wal_replay_lsn()"
                      "  ELSE pg_current_wal_insert_lsn() END, pg_is_in_recovery(),"
                      " EXISTS (" CATALOG_WAITED_FOR("$1") ")",
                      1, &c->subject.slot, (struct shape){4, 1}, &result, err))
        return -1;
    struct catalog_horizon h = {.xmin = field_number(result, 0, 0)};
    bool in_recovery = field_truth(result, 0, 2);
    c->waited_for = field_truth(result, 0, 3);
    int rc = read_lsn(result, 1, &h.lsn, err);
    PQclear(result);
    if (rc)
        return rc;
    /* A standby shows a commit a little before its replay position is behind it: there the position
     * is that of the next look. */
    uint32_t xmin = h.xmin;
    if (in_recovery)
        h.xmin = c->standby_xmin;
    c->standby_xmin = xmin;
    c->ended_xmin = xmin;
    c->ended_xid = 0;
    if (h.xmin != 0)
        c->horizons[c->nhorizons++ % CATALOG_HORIZONS] = h;
    return 0;
}

/* ---- prepared transactions ---- */

int catalog_look_at_prepared(struct catalog *c, struct err *err)
{
    PQclear(c->prepared);
    c->prepared = NULL;
    if (catalog_query(c, "SELECT transaction FROM pg_prepared_xacts", 0, NULL,
                      (struct shape){1, ANY_ROWS}, &c->prepared, err))
        return -1;
    /* A standby does not show what is prepared. */
    PGresult *result;
    if (catalog_query(
            c, "SELECT CASE WHEN NOT pg_is_in_recovery() THEN pg_current_wal_insert_lsn() END", 0,
            NULL, (struct shape){1, 1}, &result, err))
        return -1;
    int rc = read_lsn(result, 0, &c->prepared_lsn, err);
    PQclear(result);
    return rc;
}

static bool prepared_since(const struct catalog *c, uint32_t xid, uint64_t commit_lsn)
{
    if (!c->prepared || c->prepared_lsn == 0 || commit_lsn < c->prepared_lsn)
        return false;
    for (int i = 0; i < PQntuples(c->prepared); i++)
        if (field_number(c->prepared, i, 0) == xid)
            return false;
    return true;
}

int catalog_was_empty(struct catalog *c, uint32_t xid, uint64_t commit_lsn, uint64_t end_lsn,
                      bool *empty, struct err *err)
{
    *empty = prepared_since(c, xid, commit_lsn);
    if (*empty)
        return 0;
    struct buf names = {0};
    array_of_text(&names, c->subject.npublications, c->subject.publications);
    char xid_text[16];
    (void)snprintf(xid_text, sizeof xid_text, "%" PRIu32, xid);
    const char *params[] = {c->subject.slot, LSN(end_lsn), buf_cstr(&names), xid_text,
                            LSN(commit_lsn)};
    PGresult *result;
    int rc = buf_check(&names, err);
    /*
     * The copy goes with the connection, which an error closes. It begins where the slot is
     * confirmed by now: where that is beyond the commit it shows nothing of it, whatever was in it.
     */
    if (rc == 0)
        rc = catalog_query(c,
                           "SELECT count(d.xid) = 0 AND bool_and(s.lsn <= $5)"
                           " FROM pg_copy_logical_replication_slot($1,"
                           "  ('pg2any_' || pg_backend_pid())::name, true) s LEFT JOIN"
                           " LATERAL pg_logical_slot_peek_binary_changes(s.slot_name, $2, NULL,"
                           "  'proto_version', '1', 'publication_names',"
                           "  (SELECT string_agg(quote_ident(name), ',')"
                           "   FROM unnest($3::text[]) name)) d"
                           " ON d.xid = $4::xid",
                           5, params, (struct shape){1, 1}, &result, err);
    buf_free(&names);
    if (rc)
        return -1;
    *empty = field_truth(result, 0, 0);
    PQclear(result);
    if (catalog_query(c,
                      "SELECT pg_drop_replication_slot(slot_name) FROM pg_replication_slots"
                      " WHERE temporary AND active_pid = pg_backend_pid()",
                      0, NULL, (struct shape){1, ANY_ROWS}, &result, err))
        return -1;
    PQclear(result);
    return 0;
}

/* ---- the slot and the server ---- */

static void copy_field(char to[SLOT_TEXT_SIZE], const PGresult *result, int column)
{
    (void)snprintf(to, SLOT_TEXT_SIZE, "%s", field(result, 0, column));
}

int catalog_slot(struct catalog *c, const char *name, struct slot *slot, struct err *err)
{
    *slot = (struct slot){0};
    PGresult *result;
    const char *params[] = {name};
    /* Through to_jsonb a column that this version does not have reads as NULL. */
    if (catalog_ask(
            c, NULL,
            "SELECT coalesce(s.plugin, ''), coalesce(s.database, ''), coalesce(s.wal_status, ''),"
            " coalesce(to_jsonb(s) ->> 'invalidation_reason',"
            "  CASE WHEN to_jsonb(s) ->> 'conflicting' = 'true' THEN 'conflict with recovery' END, ''),"
            " coalesce(s.safe_wal_size::text, ''), s.two_phase,"
            " coalesce(s.confirmed_flush_lsn::text, ''), coalesce(s.restart_lsn::text, ''), s.active,"
            " CASE WHEN pg_is_in_recovery() THEN pg_last_wal_replay_lsn()"
            "  ELSE pg_current_wal_flush_lsn() END,"
            " CASE WHEN NOT pg_is_in_recovery()"
            "  THEN s.confirmed_flush_lsn > pg_current_wal_flush_lsn() END,"
            " (SELECT greatest(setting::bigint, 0) * 1024 * 1024 FROM pg_settings"
            "  WHERE name = 'max_slot_wal_keep_size')"
            " FROM pg_replication_slots s WHERE s.slot_name = $1",
            1, params, (struct shape){12, ANY_ROWS}, &result, err))
        return -1;
    int rc = 0;
    if (PQntuples(result) > 0) {
        slot->exists = true;
        copy_field(slot->plugin, result, 0);
        copy_field(slot->database, result, 1);
        copy_field(slot->wal_status, result, 2);
        copy_field(slot->invalidation, result, 3);
        copy_field(slot->safe_wal_bytes, result, 4);
        slot->two_phase = field_truth(result, 0, 5);
        rc = read_lsn(result, 6, &slot->confirmed_flush_lsn, err);
        if (rc == 0)
            rc = read_lsn(result, 7, &slot->restart_lsn, err);
        slot->active = field_truth(result, 0, 8);
        if (rc == 0)
            rc = read_lsn(result, 9, &slot->current_lsn, err);
        slot->beyond_wal = field_truth(result, 0, 10);
        slot->max_wal_bytes = strtoull(field(result, 0, 11), NULL, 10);
    }
    PQclear(result);
    return rc;
}

uint64_t slot_retained_bytes(const struct slot *slot)
{
    return slot->restart_lsn && slot->current_lsn > slot->restart_lsn
               ? slot->current_lsn - slot->restart_lsn
               : 0;
}

static uint64_t big_number(const PGresult *result, int column)
{
    return strtoull(field(result, 0, column), NULL, 10);
}

int catalog_settings(struct catalog *c, struct server_settings *settings, struct err *err)
{
    PGresult *result;
    if (catalog_query(c,
                      "SELECT current_setting('wal_level'), pg_is_in_recovery(),"
                      " max(setting) FILTER (WHERE name = 'wal_block_size'),"
                      " max(setting) FILTER (WHERE name = 'wal_segment_size'),"
                      " max(setting) FILTER (WHERE name = 'wal_sender_timeout'),"
                      " CASE WHEN pg_is_in_recovery() THEN pg_last_wal_replay_lsn()"
                      "  ELSE pg_current_wal_insert_lsn() END,"
                      " CASE WHEN pg_is_in_recovery() THEN pg_last_wal_replay_lsn()"
                      "  ELSE pg_current_wal_flush_lsn() END,"
                      " max(setting) FILTER (WHERE name = 'wal_writer_delay')"
                      " FROM pg_settings",
                      0, NULL, (struct shape){8, 1}, &result, err))
        return -1;
    copy_field(settings->wal_level, result, 0);
    settings->in_recovery = field_truth(result, 0, 1);
    settings->wal_block_bytes = big_number(result, 2);
    settings->wal_segment_bytes = big_number(result, 3);
    settings->wal_sender_timeout_ms = big_number(result, 4);
    settings->wal_writer_delay_ms = big_number(result, 7);
    int rc = read_lsn(result, 5, &settings->insert_lsn, err);
    if (rc == 0)
        rc = read_lsn(result, 6, &settings->flush_lsn, err);
    PQclear(result);
    return rc;
}
