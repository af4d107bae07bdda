#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/buf.h"
#include "catalog.h"

/* Column lists are as old as PostgreSQL 15; generated columns may be published from 18 on. */
static const char columns_sql[] =
    " SELECT DISTINCT c.oid, n.nspname, c.relname, c.relreplident, a.attname, a.atttypid,"
    " a.atttypmod, c.relreplident = 'f' OR EXISTS (SELECT FROM pg_index i WHERE i.indrelid = c.oid"
    "  AND CASE c.relreplident WHEN 'd' THEN i.indisprimary AND i.indimmediate"
    "   WHEN 'i' THEN i.indisreplident END"
    "  AND a.attnum = ANY ((i.indkey::int2[])[0:i.indnkeyatts - 1])), a.attnum"
    " FROM published JOIN pg_class c ON c.oid = published.relid"
    " JOIN pg_namespace n ON n.oid = c.relnamespace JOIN pg_publication p ON p.oid = published.pub"
    " LEFT JOIN pg_publication_rel m ON m.prpubid = p.oid AND m.prrelid = c.oid"
    " JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped AND ";
static const char columns_sql_14[] = "a.attgenerated = ''";
static const char columns_sql_15[] =
    "a.attgenerated = '' AND (m.prattrs IS NULL OR a.attnum = ANY (m.prattrs::int2[]))";
static const char columns_sql_18[] =
    "CASE WHEN m.prattrs IS NOT NULL THEN a.attnum = ANY (m.prattrs::int2[])"
    " ELSE a.attgenerated = '' OR a.attgenerated = 's' AND p.pubgencols = 's' END";

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
    char relid_text[16];
    struct buf sql = {0}, publications = {0};
    if (catalog_connect(c, err))
        return -1;
    int version = PQserverVersion(c->session.conn);
    buf_append_str(&sql, version >= 150000 ? PUBLISHED_SQL(PUBLISHED_SCHEMAS) : PUBLISHED_SQL(""));
    buf_append_str(&sql, columns_sql);
    buf_append_str(&sql, version >= 180000   ? columns_sql_18
                         : version >= 150000 ? columns_sql_15
                                             : columns_sql_14);
    buf_append_str(&sql, " ORDER BY n.nspname, c.relname, c.oid, a.attnum");
    (void)snprintf(relid_text, sizeof relid_text, "%" PRIu32, relid);
    array_of_text(&publications, c->subject.npublications, c->subject.publications);
    const char *params[] = {buf_cstr(&publications), relid_text};
    int rc = buf_check(&sql, err) || buf_check(&publications, err) ? -1 : 0;
    if (rc == 0)
        rc = catalog_query(c, buf_cstr(&sql), 2, params, (struct shape){9, ANY_ROWS}, rows, err);
    buf_free(&sql);
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

struct description {
    struct catalog *catalog;
    struct buf frame;
};

static int describe(void *ctx, struct relation *rel, struct err *err)
{
    struct description *d = ctx;
    const struct pgoutput_place now = {.stage = PLACE_ENDED, .lsn = UINT64_MAX};
    if (catalog_relation(d->catalog, rel, &now, err))
        return -1;
    relation_to_frame(rel, &d->frame);
    return buf_check(&d->frame, err);
}

int catalog_describe(struct catalog *c, uint32_t relid, struct relation **rel, struct err *err)
{
    struct description d = {.catalog = c};
    *rel = NULL;
    int rc = catalog_published(c, relid, describe, &d, err);
    if (rc == 0 && d.frame.len > 0)
        rc = relation_from_bytes(d.frame.data, d.frame.len, rel, err);
    buf_free(&d.frame);
    return rc;
}
