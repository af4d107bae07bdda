#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/buf.h"
#include "catalog.h"

/* Column lists are as old as PostgreSQL 15; generated columns may be published from 18 on. */
static const char columns_sql_head[] =
    "SELECT DISTINCT c.oid, n.nspname, c.relname, c.relreplident, a.attname, a.atttypid,"
    " a.atttypmod, c.relreplident = 'f' OR EXISTS (SELECT FROM pg_index i WHERE i.indrelid = c.oid"
    "  AND CASE c.relreplident WHEN 'd' THEN i.indisprimary AND i.indimmediate"
    "   WHEN 'i' THEN i.indisreplident END"
    "  AND a.attnum = ANY ((i.indkey::int2[])[0:i.indnkeyatts - 1])), a.attnum"
    " FROM pg_publication_tables p JOIN pg_namespace n ON n.nspname = p.schemaname"
    " JOIN pg_class c ON c.relnamespace = n.oid AND c.relname = p.tablename"
    " JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped";
static const char columns_sql_lists[] = " AND a.attname = ANY (p.attnames)";
static const char columns_sql_stored[] = " AND a.attgenerated = ''";
static const char columns_sql_tail[] =
    " WHERE p.pubname = ANY ($1::text[]) AND ($2::oid = 0 OR c.oid = $2::oid) ORDER BY n.nspname, c.relname, c.oid, a.attnum";

/* The relation whose columns are in the rows `from` to before `to`. */
static int take_relation(const PGresult *rows, int from, int to, catalog_published_fn *fn,
                         void *ctx, struct err *err)
{
    struct relation rel = {
        .relid = field_number(rows, from, 0),
        .namespace = field(rows, from, 1),
        .name = field(rows, from, 2),
        .replica_identity = *field(rows, from, 3),
        .ncolumns = (uint32_t)(to - from),
    };
    rel.columns = calloc(rel.ncolumns, sizeof *rel.columns);
    if (!rel.columns)
        return err_nomem(err);
    for (int row = from; row < to; row++)
        rel.columns[row - from] = (struct column){
            .name = field(rows, row, 4),
            .type_oid = field_number(rows, row, 5),
            .base_type_oid = field_number(rows, row, 5),
            .typmod = (int32_t)strtol(field(rows, row, 6), NULL, 10),
            .key = field_truth(rows, row, 7),
            .type_name = "",
            .fill = FILL_UNKNOWN,
        };
    int rc = fn(ctx, &rel, err);
    free(rel.columns);
    return rc;
}

static int ask(struct catalog *c, uint32_t relid, PGresult **rows, struct err *err)
{
    char sql[sizeof columns_sql_head + sizeof columns_sql_lists + sizeof columns_sql_stored +
             sizeof columns_sql_tail];
    char relid_text[16];
    struct buf publications = {0};
    if (catalog_connect(c, err))
        return -1;
    int version = PQserverVersion(c->session.conn);
    (void)snprintf(sql, sizeof sql, "%s%s%s%s", columns_sql_head,
                   version >= 150000 ? columns_sql_lists : "",
                   version < 180000 ? columns_sql_stored : "", columns_sql_tail);
    (void)snprintf(relid_text, sizeof relid_text, "%" PRIu32, relid);
    array_of_text(&publications, c->subject.npublications, c->subject.publications);
    const char *params[] = {buf_cstr(&publications), relid_text};
    int rc = buf_check(&publications, err);
    if (rc == 0)
        rc = catalog_query(c, sql, 2, params, (struct shape){9, ANY_ROWS}, rows, err);
    buf_free(&publications);
    return rc;
}

int catalog_published(struct catalog *c, uint32_t relid, catalog_published_fn *fn, void *ctx,
                      struct err *err)
{
    PGresult *rows;
    if (ask(c, relid, &rows, err))
        return -1;
    int rc = 0;
    for (int from = 0, to; rc == 0 && from < PQntuples(rows); from = to) {
        for (to = from + 1;
             to < PQntuples(rows) && field_number(rows, to, 0) == field_number(rows, from, 0);)
            to++;
        rc = take_relation(rows, from, to, fn, ctx, err);
    }
    PQclear(rows);
    return rc;
}
