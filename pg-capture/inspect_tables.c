#include "inspect_tables.h"

#include <string.h>

static int ask(struct catalog *c, const char *sql, const char *publications, int columns,
               PGresult **rows, struct err *err)
{
    const char *params[] = {publications};
    return catalog_query(c, sql, 1, params, (struct shape){columns, ANY_ROWS}, rows, err);
}

/* ---- replica identity ---- */

/*
 * Tables whose UPDATE and DELETE are published, and the partitions of those that are published by
 * their root: PostgreSQL asks the partition (CheckCmdReplicaIdentity()). Where a publication is not
 * there yet, all that FOR ALL TABLES would publish: who makes it stops the applications' UPDATEs
 * at once, not us. A statement that mends: an index where one may be used, else the whole row.
 */
static const char identities_sql[] =
    "WITH published AS ("
    " SELECT DISTINCT coalesce(m.relid, t.oid) AS oid, false AS to_come FROM pg_publication_tables p"
    "  JOIN pg_publication b ON b.pubname = p.pubname AND (b.pubupdate OR b.pubdelete)"
    "  JOIN pg_namespace n ON n.nspname = p.schemaname"
    "  JOIN pg_class t ON t.relnamespace = n.oid AND t.relname = p.tablename"
    "  LEFT JOIN LATERAL (SELECT t.oid AS relid UNION SELECT f.relid::oid"
    "   FROM pg_partition_tree(t.oid) f WHERE f.isleaf) m ON true"
    "  WHERE p.pubname = ANY ($1::text[])"
    " UNION SELECT t.oid, true FROM pg_class t JOIN pg_namespace n ON n.oid = t.relnamespace"
    "  WHERE EXISTS (SELECT FROM unnest($1::text[]) w (name)"
    "   WHERE name NOT IN (SELECT pubname FROM pg_publication))"
    "  AND t.relkind = 'r' AND t.relpersistence = 'p' AND n.nspname <> 'information_schema'"
    "  AND n.nspname NOT LIKE 'pg\\_%')"
    " SELECT format('%I.%I', n.nspname, t.relname), bool_and(w.to_come),"
    " CASE t.relreplident WHEN 'f' THEN true WHEN 'd' THEN k.has_key"
    "  WHEN 'i' THEN EXISTS (SELECT FROM pg_index i WHERE i.indrelid = t.oid AND i.indisreplident)"
    "  ELSE false END,"
    " t.relreplident = 'f' AND NOT k.has_key,"
    " format('ALTER TABLE %I.%I REPLICA IDENTITY ', n.nspname, t.relname) || coalesce("
    "  (SELECT format('USING INDEX %I', x.relname) FROM pg_index i"
    "   JOIN pg_class x ON x.oid = i.indexrelid WHERE i.indrelid = t.oid AND i.indisunique"
    "    AND i.indimmediate AND i.indisvalid AND i.indpred IS NULL AND i.indexprs IS NULL"
    "    AND NOT EXISTS (SELECT FROM pg_attribute a WHERE a.attrelid = t.oid AND NOT a.attnotnull"
    "     AND a.attnum = ANY ((i.indkey::int2[])[0:i.indnkeyatts - 1]))"
    "   ORDER BY i.indnkeyatts, x.relname LIMIT 1), 'FULL')"
    " FROM published w JOIN pg_class t ON t.oid = w.oid JOIN pg_namespace n ON n.oid = t.relnamespace"
    " CROSS JOIN LATERAL (SELECT EXISTS (SELECT FROM pg_index i WHERE i.indrelid = t.oid"
    "  AND i.indisprimary AND i.indimmediate) AS has_key) k"
    " GROUP BY t.oid, n.nspname, t.relname, t.relreplident, k.has_key ORDER BY 1";

static int check_identities(struct catalog *c, const char *publications, struct report *r,
                            struct err *err)
{
    PGresult *rows;
    if (ask(c, identities_sql, publications, 5, &rows, err))
        return -1;
    int good = 0;
    for (int i = 0; i < PQntuples(rows); i++) {
        const char *table = field(rows, i, 0);
        bool to_come = field_truth(rows, i, 1), works = field_truth(rows, i, 2);
        good += works;
        if (works && field_truth(rows, i, 3))
            report_note(r,
                        "table %s has no primary key: each UPDATE and DELETE scans the table at "
                        "the target",
                        table);
        if (works)
            continue;
        if (to_come)
            report_note(r,
                        "table %s has no replica identity: as soon as it is published, PostgreSQL "
                        "itself refuses UPDATE and DELETE on it; before CREATE PUBLICATION",
                        table);
        else
            report_fail(r,
                        "table %s has no replica identity: PostgreSQL itself refuses UPDATE and "
                        "DELETE on it now",
                        table);
        report_mend(r, "%s;  -- or give it a primary key", field(rows, i, 4));
    }
    if (good == PQntuples(rows) && good > 0)
        report_ok(r, "replica identity: %d tables have one", good);
    PQclear(rows);
    return 0;
}

/* ---- what may not be what one thinks ---- */

/* What can change the text of rows that are there without a word in the stream. */
static int check_types(struct catalog *c, const char *publications, struct report *r,
                       struct err *err)
{
    PGresult *rows;
    if (ask(c,
            "SELECT format('%I.%I', p.schemaname, p.tablename),"
            " string_agg(DISTINCT format_type(t.oid, NULL), ', ')"
            " FROM pg_publication_tables p JOIN pg_namespace n ON n.nspname = p.schemaname"
            " JOIN pg_class c ON c.relnamespace = n.oid AND c.relname = p.tablename"
            " JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped"
            " JOIN pg_type b ON b.oid = a.atttypid"
            " JOIN pg_type t ON t.oid IN (b.oid, b.typelem, b.typbasetype)"
            "  AND (t.typtype = 'e' OR t.typtype = 'c')"
            " WHERE p.pubname = ANY ($1::text[]) GROUP BY 1 ORDER BY 1",
            publications, 2, &rows, err))
        return -1;
    for (int i = 0; i < PQntuples(rows); i++)
        report_note(
            r,
            "table %s has columns of type %s: renaming a label, or adding or dropping an "
            "attribute, changes rows without a message in the stream; it is noticed at the table's "
            "next rows, and the table is copied again (--unknown stop: the applier stops)",
            field(rows, i, 0), field(rows, i, 1));
    PQclear(rows);
    return 0;
}

/* Before PostgreSQL 18 a generated column is never sent. */
static int check_generated(struct catalog *c, const char *publications, struct report *r,
                           struct err *err)
{
    PGresult *rows;
    bool listed = PQserverVersion(c->session.conn) >= 180000;
    char sql[640];
    (void)snprintf(sql, sizeof sql,
                   "SELECT format('%%I.%%I', p.schemaname, p.tablename),"
                   " string_agg(DISTINCT quote_ident(a.attname), ', ')"
                   " FROM pg_publication_tables p JOIN pg_namespace n ON n.nspname = p.schemaname"
                   " JOIN pg_class t ON t.relnamespace = n.oid AND t.relname = p.tablename"
                   " JOIN pg_attribute a ON a.attrelid = t.oid AND a.attgenerated <> ''"
                   " AND NOT a.attisdropped%s"
                   " WHERE p.pubname = ANY ($1::text[]) GROUP BY 1 ORDER BY 1",
                   listed ? " AND a.attname <> ALL (p.attnames)" : "");
    if (ask(c, sql, publications, 2, &rows, err))
        return -1;
    for (int i = 0; i < PQntuples(rows); i++)
        report_note(
            r,
            "table %s has generated columns, which are not sent: %s; the target's table does not "
            "have them, unless it was made by hand and generates them itself",
            field(rows, i, 0), field(rows, i, 1));
    PQclear(rows);
    return 0;
}

static int check_partitions(struct catalog *c, const char *publications, struct report *r,
                            struct err *err)
{
    PGresult *rows;
    if (ask(c,
            "SELECT format('%I.%I', s.nspname, o.relname), count(DISTINCT t.oid),"
            " quote_ident(min(p.pubname))"
            " FROM pg_publication_tables p JOIN pg_namespace n ON n.nspname = p.schemaname"
            " JOIN pg_class t ON t.relnamespace = n.oid AND t.relname = p.tablename"
            "  AND t.relispartition"
            " JOIN pg_class o ON o.oid = pg_partition_root(t.oid)"
            " JOIN pg_namespace s ON s.oid = o.relnamespace"
            " WHERE p.pubname = ANY ($1::text[]) GROUP BY 1 ORDER BY 1",
            publications, 3, &rows, err))
        return -1;
    for (int i = 0; i < PQntuples(rows); i++) {
        report_note(r,
                    "each partition of table %s that is published (%s) is a table of its own at "
                    "the target; to have one table there",
                    field(rows, i, 0), field(rows, i, 1));
        report_mend(r, "ALTER PUBLICATION %s SET (publish_via_partition_root = true);",
                    field(rows, i, 2));
    }
    PQclear(rows);
    return 0;
}

static int check_inheritance(struct catalog *c, const char *publications, struct report *r,
                             struct err *err)
{
    PGresult *rows;
    if (ask(c,
            "SELECT DISTINCT format('%I.%I', n.nspname, t.relname)"
            " FROM pg_publication_tables p JOIN pg_namespace n ON n.nspname = p.schemaname"
            " JOIN pg_class t ON t.relnamespace = n.oid AND t.relname = p.tablename"
            "  AND t.relkind = 'r'"
            " JOIN pg_inherits h ON h.inhparent = t.oid"
            " WHERE p.pubname = ANY ($1::text[]) ORDER BY 1",
            publications, 1, &rows, err))
        return -1;
    for (int i = 0; i < PQntuples(rows); i++)
        report_note(
            r,
            "other tables inherit from table %s: at the target each is separate, so that a query "
            "of this one shows what SELECT ... FROM ONLY shows at the source",
            field(rows, i, 0));
    PQclear(rows);
    return 0;
}

int inspect_tables(struct catalog *c, const char *publications, struct report *r, struct err *err)
{
    return check_identities(c, publications, r, err) || check_generated(c, publications, r, err) ||
                   check_partitions(c, publications, r, err) ||
                   check_inheritance(c, publications, r, err) ||
                   check_types(c, publications, r, err)
               ? -1
               : 0;
}
