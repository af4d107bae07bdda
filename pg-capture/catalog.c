#include "catalog.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "base/lsn.h"
#include "binary.h"
#include "frames/pg_type.h"

#define VISIBLE_LIMIT_MS 5000 /* for a commit that is decoded to be seen in the catalog */
#define VISIBLE_LOOK_MS  5

/*
 * For each domain among the types `y` the base type below all its domains, the modifier that the
 * innermost domain gives it, and whether any of them forbids NULL; other types stand for
 * themselves.
 */
#define BASE_TYPE_OF(type)                                                                           \
    " (WITH RECURSIVE y AS ("                                                                        \
    "   SELECT t.oid, t.typtype, t.typbasetype, t.typtypmod, t.typnotnull, -1 AS typmod, 0 AS depth" \
    "   FROM pg_type t WHERE t.oid = " type "   UNION ALL"                                           \
    "   SELECT t.oid, t.typtype, t.typbasetype, t.typtypmod, t.typnotnull OR y.typnotnull,"          \
    "          y.typtypmod, y.depth + 1"                                                             \
    "   FROM y JOIN pg_type t ON t.oid = y.typbasetype WHERE y.typtype = 'd')"                       \
    " SELECT y.oid AS base, y.typmod, y.typnotnull, y.depth FROM y ORDER BY y.depth DESC LIMIT 1)"

/*
 * One row for each column of the message ($2 names, $3 types), in its order, as the transaction $4
 * left it; 0: that does not matter.
 *
 * The catalog is today's. A name found there may by now be another column's: then the column that
 * had it was dropped or renamed since, and the one that has it was made or renamed since, which the
 * xmin of both rows tells. Such a column is taken for unknown, rather once too often.
 */
static const char relation_sql[] =
    "SELECT c.oid IS NOT NULL, a.attnum, a.attnotnull OR b.typnotnull,"
    " pg_catalog.format_type(a.atttypid, a.atttypmod), b.base, b.depth, b.typmod,"
    " CASE WHEN a.atttypid <> col.type THEN 'u' WHEN a.atthasmissing THEN 'v'"
    "  WHEN NOT a.atthasdef AND a.attidentity = '' AND a.attgenerated = '' AND NOT a.attnotnull"
    "   AND NOT b.typnotnull AND t.typdefault IS NULL THEN 'n' ELSE 'u' END,"
    " CASE WHEN a.atttypid = col.type AND a.atthasmissing"
    "  THEN (a.attmissingval::text::text[])[1] END,"
    " i.indnkeyatts, i.indimmediate, k.n"
    " FROM (SELECT CASE WHEN $4::text = '0' THEN 0 ELSE age($4::text::xid) END AS age) txn"
    " CROSS JOIN unnest($2::text[], $3::oid[]) WITH ORDINALITY AS col (name, type, n)"
    " LEFT JOIN pg_class c ON c.oid = $1::oid"
    " LEFT JOIN pg_type t ON t.oid = col.type"
    " LEFT JOIN pg_attribute a ON a.attrelid = c.oid AND a.attname = col.name AND a.attnum > 0"
    "  AND NOT a.attisdropped AND CASE WHEN NOT age(a.xmin) BETWEEN 0 AND txn.age - 1"
    "   THEN a.atttypid = col.type ELSE NOT EXISTS ("
    "    SELECT FROM pg_attribute had WHERE had.attrelid = c.oid AND had.attnum > 0"
    "    AND had.attnum <> a.attnum AND age(had.xmin) BETWEEN 0 AND txn.age - 1"
    "    AND CASE WHEN had.attisdropped THEN had.attlen = t.typlen"
    "     ELSE had.atttypid = col.type AND had.attname <> ALL ($2::text[]) END) END"
    " LEFT JOIN LATERAL" BASE_TYPE_OF(
        "col.type") " b ON true"
                    " LEFT JOIN pg_index i ON i.indrelid = c.oid AND i.indisprimary"
                    " LEFT JOIN LATERAL (SELECT key.n"
                    "  FROM unnest(i.indkey::int2[]) WITH ORDINALITY AS key (attnum, n)"
                    "  WHERE key.attnum = a.attnum AND key.n <= i.indnkeyatts) k ON true"
                    " ORDER BY col.n";

enum relation_field {
    F_TABLE_EXISTS,
    F_ATTNUM,
    F_NOT_NULL,
    F_TYPE_NAME,
    F_BASE,
    F_DEPTH,
    F_BASE_TYPMOD,
    F_FILL,
    F_FILL_VALUE,
    F_KEY_COLUMNS,
    F_KEY_IMMEDIATE,
    F_KEY_POSITION,
};

/* Column lists are as old as PostgreSQL 15: there their condition goes in between. */
static const char binary_sql_head[] =
    "SELECT b.base, min(format('table %I.%I, column %I, type %s', n.nspname, c.relname, a.attname,"
    "  format_type(a.atttypid, a.atttypmod)))"
    " FROM pg_publication_tables p"
    " JOIN pg_namespace n ON n.nspname = p.schemaname"
    " JOIN pg_class c ON c.relnamespace = n.oid AND c.relname = p.tablename"
    " JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped";
static const char binary_sql_lists[] = " AND a.attname = ANY (p.attnames)";
static const char binary_sql_tail[] =
    " JOIN pg_type t ON t.oid = a.atttypid AND t.typsend <> 0"
    " CROSS JOIN LATERAL" BASE_TYPE_OF(
        "a.atttypid") " b"
                      " WHERE p.pubname = ANY ($1::text[]) GROUP BY b.base ORDER BY 2";

void catalog_init(struct catalog *c, const struct source *source, const struct waiter *waiter,
                  int64_t time_limit_ms)
{
    *c = (struct catalog){.source = source, .waiter = waiter, .time_limit_ms = time_limit_ms};
}

static void disconnect(struct catalog *c)
{
    session_close(&c->session);
    c->relation_prepared = false;
}

void catalog_close(struct catalog *c)
{
    disconnect(c);
    PQclear(c->relation);
    c->relation = NULL;
    buf_free(&c->bytes);
    free(c->pk);
    c->pk = NULL;
}

/* A connection that was lost while nobody looked is opened again; what fails then has failed. */
static int ask(struct catalog *c, const char *name, const char *sql, int nparams,
               const char *const *params, PGresult **result, struct err *err)
{
    int64_t deadline_ms = monotonic_ms() + c->time_limit_ms;
    for (bool fresh = false;;) {
        if (!c->session.conn) {
            fresh = true;
            if (session_open(&c->session, SESSION_CATALOG, c->source, c->waiter, deadline_ms, err))
                return -1;
        }
        int rc = name ? session_query_prepared(&c->session, name, sql, &c->relation_prepared,
                                               nparams, params, c->waiter, deadline_ms, result, err)
                      : session_query(&c->session, sql, nparams, params, c->waiter, deadline_ms,
                                      result, err);
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
                  PGresult **result, struct err *err)
{
    return ask(c, NULL, sql, nparams, params, result, err);
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

static int ask_about(struct catalog *c, const char *sql, size_t n, const char *const *names,
                     PGresult **result, struct err *err)
{
    struct buf list = {0};
    array_of_text(&list, n, names);
    const char *params[] = {buf_cstr(&list)};
    int rc = buf_check(&list, err);
    if (rc == 0)
        rc = ask(c, NULL, sql, 1, params, result, err);
    buf_free(&list);
    return rc;
}

int catalog_check_publications(struct catalog *c, size_t n, const char *const *names,
                               struct err *err)
{
    PGresult *result;
    if (ask_about(c,
                  "SELECT name, quote_ident(name), current_database() FROM unnest($1::text[]) name"
                  " WHERE NOT EXISTS (SELECT FROM pg_publication p WHERE p.pubname = name)",
                  n, names, &result, err))
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

static uint32_t number(const PGresult *result, int row, int column)
{
    return (uint32_t)strtoul(field(result, row, column), NULL, 10);
}

static bool truth(const PGresult *result, int row, int column)
{
    return *field(result, row, column) == 't';
}

int catalog_check_binary(struct catalog *c, size_t n, const char *const *names, struct err *err)
{
    /* The connection is open since the publications were checked. */
    bool lists = c->session.conn && PQserverVersion(c->session.conn) >= 150000;
    char sql[sizeof binary_sql_head + sizeof binary_sql_lists + sizeof binary_sql_tail];
    (void)snprintf(sql, sizeof sql, "%s%s%s", binary_sql_head, lists ? binary_sql_lists : "",
                   binary_sql_tail);
    PGresult *result;
    if (ask_about(c, sql, n, names, &result, err))
        return -1;
    int rc = 0;
    for (int row = 0; row < PQntuples(result) && rc == 0; row++) {
        if (binary_supported(number(result, row, 0)))
            continue;
        rc = err_set(err, ERR_PERMANENT, "%s: its binary form is not supported",
                     field(result, row, 1));
        (void)err_hint(err, "use text mode: leave out --binary");
    }
    PQclear(result);
    return rc;
}

/* ---- one relation ---- */

static int ask_relation(struct catalog *c, const struct relation *rel, uint32_t xid,
                        struct err *err)
{
    struct buf names = {0};
    struct buf types = {0};
    const char **items = calloc(rel->ncolumns + 1, sizeof *items);
    if (!items)
        return err_nomem(err);
    buf_append_byte(&types, '{');
    for (uint32_t i = 0; i < rel->ncolumns; i++) {
        items[i] = rel->columns[i].name;
        buf_printf(&types, "%s%" PRIu32, i ? "," : "", rel->columns[i].type_oid);
    }
    buf_append_byte(&types, '}');
    array_of_text(&names, rel->ncolumns, items);
    char relid[16];
    (void)snprintf(relid, sizeof relid, "%" PRIu32, rel->relid);
    char xid_text[16];
    (void)snprintf(xid_text, sizeof xid_text, "%" PRIu32, xid);
    const char *params[] = {relid, buf_cstr(&names), buf_cstr(&types), xid_text};
    int rc = names.failed || types.failed ? err_nomem(err) : 0;
    if (rc == 0)
        rc = ask(c, "relation", relation_sql, 4, params, &c->relation, err);
    buf_free(&names);
    buf_free(&types);
    free(items);
    return rc;
}

static int hex_value(char digit)
{
    return digit <= '9' ? digit - '0' : (digit | 0x20) - 'a' + 10;
}

/* Room for all bytes is made beforehand, so that what was stored does not move. */
static void fill_with_bytes(struct catalog *c, struct column *col)
{
    if (col->fill_size < 2) {
        col->fill = FILL_UNKNOWN;
        return;
    }
    size_t start = c->bytes.len;
    for (size_t i = 2; i + 1 < col->fill_size; i += 2)
        buf_append_byte(&c->bytes, (uint8_t)(hex_value(col->fill_value[i]) << 4 |
                                             hex_value(col->fill_value[i + 1])));
    col->fill_is_bytes = true;
    col->fill_size = c->bytes.len - start;
    col->fill_value = c->bytes.data ? (const char *)c->bytes.data + start : "";
}

static void read_column(struct catalog *c, int row, struct column *col)
{
    const PGresult *r = c->relation;
    if (!PQgetisnull(r, row, F_BASE)) {
        col->base_type_oid = number(r, row, F_BASE);
        if (number(r, row, F_DEPTH) > 0)
            col->typmod = (int32_t)strtol(field(r, row, F_BASE_TYPMOD), NULL, 10);
    }
    if (PQgetisnull(r, row, F_ATTNUM))
        return;
    col->attnum = (int32_t)number(r, row, F_ATTNUM);
    col->not_null = truth(r, row, F_NOT_NULL);
    col->type_name = field(r, row, F_TYPE_NAME);
    switch (*field(r, row, F_FILL)) {
    case 'n':
        col->fill = FILL_NULL;
        break;
    case 'v':
        if (PQgetisnull(r, row, F_FILL_VALUE))
            break;
        col->fill = FILL_VALUE;
        col->fill_value = field(r, row, F_FILL_VALUE);
        col->fill_size = (size_t)PQgetlength(r, row, F_FILL_VALUE);
        if (col->base_type_oid == PG_TYPE_BYTEA)
            fill_with_bytes(c, col);
        break;
    default:
        break;
    }
}

/* The key's columns in its order, if all of them are in the message and it is checked at once. */
static void read_primary_key(struct catalog *c, struct relation *rel)
{
    const PGresult *r = c->relation;
    rel->primary_key_known = truth(r, 0, F_TABLE_EXISTS);
    if (PQgetisnull(r, 0, F_KEY_COLUMNS) || !truth(r, 0, F_KEY_IMMEDIATE))
        return;
    uint32_t n = number(r, 0, F_KEY_COLUMNS);
    uint32_t found = 0;
    for (int row = 0; row < PQntuples(r); row++) {
        uint32_t at = number(r, row, F_KEY_POSITION);
        if (at < 1 || at > n || at > rel->ncolumns)
            continue;
        c->pk[at - 1] = (uint32_t)row;
        found++;
    }
    if (found != n)
        return;
    rel->pk = c->pk;
    rel->npk = n;
}

/* Whether the catalog knows the table and all the columns of the message. */
static bool answer_is_whole(const struct catalog *c)
{
    for (int row = 0; row < PQntuples(c->relation); row++)
        if (PQgetisnull(c->relation, row, F_ATTNUM))
            return false;
    return true;
}

/*
 * A commit is in the WAL before other sessions see it: long before, where a synchronous standby is
 * waited for. The xid of the stream has 32 bits and is near the snapshot's.
 */
static const char ended_sql[] =
    "SELECT pg_visible_in_snapshot((CASE WHEN near > xmax + 2147483648 THEN near - 4294967296 ELSE near "
    "END)::text::xid8, s)"
    " FROM (SELECT s, xmax, floor(xmax / 4294967296) * 4294967296 + $1::numeric AS near"
    "  FROM (SELECT s, pg_snapshot_xmax(s)::text::numeric AS xmax FROM pg_current_snapshot() s) x) y";

static int wait_until_ended(struct catalog *c, uint32_t xid, struct err *err)
{
    char text[16];
    const char *params[] = {text};
    int64_t deadline_ms = monotonic_ms() + VISIBLE_LIMIT_MS;
    (void)snprintf(text, sizeof text, "%" PRIu32, xid);
    for (;;) {
        PGresult *result;
        if (ask(c, NULL, ended_sql, 1, params, &result, err))
            return -1;
        bool ended = truth(result, 0, 0);
        PQclear(result);
        if (ended || monotonic_ms() >= deadline_ms)
            return 0;
        if (c->waiter->wait(c->waiter->ctx, -1, 0, monotonic_ms() + VISIBLE_LOOK_MS, err))
            return -1;
    }
}

int catalog_relation(struct catalog *c, struct relation *rel, uint32_t ended_xid, struct err *err)
{
    PQclear(c->relation);
    c->relation = NULL;
    free(c->pk);
    buf_reset(&c->bytes, 64 * 1024);
    c->pk = calloc(rel->ncolumns + 1, sizeof *c->pk);
    if (!c->pk)
        return err_nomem(err);
    if (rel->ncolumns == 0)
        return 0;
    if (ask_relation(c, rel, ended_xid, err))
        return err_context(err, "table %s.%s", rel->namespace, rel->name);
    if (ended_xid != 0 && !answer_is_whole(c)) {
        PQclear(c->relation);
        c->relation = NULL;
        if (wait_until_ended(c, ended_xid, err) || ask_relation(c, rel, ended_xid, err))
            return err_context(err, "table %s.%s", rel->namespace, rel->name);
    }
    if (PQntuples(c->relation) != (int)rel->ncolumns)
        return err_set(err, ERR_TEMPORARY,
                       "table %s.%s: the catalog gave %d columns instead of %" PRIu32,
                       rel->namespace, rel->name, PQntuples(c->relation), rel->ncolumns);
    size_t size = 0;
    for (uint32_t i = 0; i < rel->ncolumns; i++)
        size += (size_t)PQgetlength(c->relation, (int)i, F_FILL_VALUE);
    (void)buf_reserve(&c->bytes, size);
    for (uint32_t i = 0; i < rel->ncolumns; i++)
        read_column(c, (int)i, &rel->columns[i]);
    read_primary_key(c, rel);
    return buf_check(&c->bytes, err);
}

/* ---- the slot and the server ---- */

static void copy_field(char to[SLOT_TEXT_SIZE], const PGresult *result, int column)
{
    (void)snprintf(to, SLOT_TEXT_SIZE, "%s", field(result, 0, column));
}

static int read_lsn(const PGresult *result, int column, uint64_t *lsn, struct err *err)
{
    const char *text = field(result, 0, column);
    *lsn = 0;
    if (*text == '\0' || lsn_parse(text, strlen(text), lsn))
        return 0;
    return err_set(err, ERR_PERMANENT, "the server gave \"%s\" where an LSN belongs", text);
}

int catalog_slot(struct catalog *c, const char *name, struct slot *slot, struct err *err)
{
    *slot = (struct slot){0};
    PGresult *result;
    const char *params[] = {name};
    /* Through to_jsonb a column that this version does not have reads as NULL. */
    if (ask(c, NULL,
            "SELECT coalesce(s.plugin, ''), coalesce(s.database, ''), coalesce(s.wal_status, ''),"
            " coalesce(to_jsonb(s) ->> 'invalidation_reason',"
            "  CASE WHEN to_jsonb(s) ->> 'conflicting' = 'true' THEN 'conflict with recovery' END, ''),"
            " coalesce(s.safe_wal_size::text, ''), s.two_phase,"
            " coalesce(s.confirmed_flush_lsn::text, ''), coalesce(s.restart_lsn::text, ''), s.active,"
            " CASE WHEN pg_is_in_recovery() THEN pg_last_wal_replay_lsn()"
            "  ELSE pg_current_wal_flush_lsn() END,"
            " CASE WHEN NOT pg_is_in_recovery()"
            "  THEN s.confirmed_flush_lsn > pg_current_wal_flush_lsn() END"
            " FROM pg_replication_slots s WHERE s.slot_name = $1",
            1, params, &result, err))
        return -1;
    int rc = 0;
    if (PQntuples(result) > 0) {
        slot->exists = true;
        copy_field(slot->plugin, result, 0);
        copy_field(slot->database, result, 1);
        copy_field(slot->wal_status, result, 2);
        copy_field(slot->invalidation, result, 3);
        copy_field(slot->safe_wal_bytes, result, 4);
        slot->two_phase = truth(result, 0, 5);
        rc = read_lsn(result, 6, &slot->confirmed_flush_lsn, err);
        if (rc == 0)
            rc = read_lsn(result, 7, &slot->restart_lsn, err);
        slot->active = truth(result, 0, 8);
        if (rc == 0)
            rc = read_lsn(result, 9, &slot->current_lsn, err);
        slot->beyond_wal = truth(result, 0, 10);
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
    if (ask(c, NULL,
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
            0, NULL, &result, err))
        return -1;
    copy_field(settings->wal_level, result, 0);
    settings->in_recovery = truth(result, 0, 1);
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
