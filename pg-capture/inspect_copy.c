#include "inspect_copy.h"

#include <stdio.h>
#include <string.h>

static int ask(struct catalog *c, const char *sql, const char *publications, int columns,
               PGresult **rows, struct err *err)
{
    const char *params[] = {publications};
    return catalog_query(c, sql, 1, params, (struct shape){columns, ANY_ROWS}, rows, err);
}

static int check_primary(struct catalog *c, struct report *r, struct err *err)
{
    PGresult *rows;
    if (catalog_query(c, "SELECT pg_is_in_recovery()", 0, NULL, (struct shape){1, 1}, &rows, err))
        return -1;
    if (field_truth(rows, 0, 0)) {
        report_fail(r, "the source is a standby, from which tables cannot be copied: its snapshots "
                       "leave running transactions out");
        report_mend(r, "connect to the primary for the copy, or do without: --copy never");
    }
    PQclear(rows);
    return 0;
}

/* SELECT on the columns that are published is enough. row_security_active(): of this user, who may
 * own the table or have BYPASSRLS. */
static const char readable_sql[] =
    "SELECT quote_ident(n.nspname), format('%%I.%%I', n.nspname, t.relname),"
    " has_schema_privilege(n.oid, 'USAGE'), coalesce(c.readable, has_table_privilege(t.oid, 'SELECT')),"
    " row_security_active(t.oid), current_user, quote_ident(current_user), n.nspname, t.relname,"
    " CASE WHEN c.n < (SELECT count(*) FROM pg_attribute a WHERE a.attrelid = t.oid AND a.attnum > 0"
    "  AND NOT a.attisdropped AND a.attgenerated = '') THEN format(' (%%s)', c.names) END"
    " FROM pg_class t JOIN pg_namespace n ON n.oid = t.relnamespace"
    " CROSS JOIN LATERAL (SELECT count(*) AS n, string_agg(quote_ident(a.attname), ', ') AS names,"
    "  bool_and(has_column_privilege(t.oid, a.attnum, 'SELECT')) AS readable"
    "  FROM pg_attribute a WHERE a.attrelid = t.oid AND a.attnum > 0 AND NOT a.attisdropped"
    "  AND %s) c"
    " WHERE EXISTS (SELECT FROM pg_publication_tables p WHERE p.pubname = ANY ($1::text[])"
    "  AND p.schemaname = n.nspname AND p.tablename = t.relname)"
    " ORDER BY n.nspname, t.relname";
static const char published_sql[] =
    "EXISTS (SELECT FROM pg_publication_tables p WHERE p.pubname = ANY ($1::text[])"
    " AND p.schemaname = n.nspname AND p.tablename = t.relname AND a.attname = ANY (p.attnames))";

static void check_table(const PGresult *rows, int row, const char *table, struct report *r)
{
    const char *user = field(rows, row, 5), *quoted = field(rows, row, 6);
    if (!field_truth(rows, row, 3)) {
        report_fail(r, "user %s may not read table %s, which is to be copied", user, table);
        report_mend(r, "GRANT SELECT%s ON %s TO %s;", field(rows, row, 9), table, quoted);
    } else if (field_truth(rows, row, 4)) {
        report_fail(
            r,
            "row-level security hides rows of table %s from user %s: it could not be copied "
            "completely",
            table, user);
        report_mend(r, "ALTER ROLE %s BYPASSRLS;  -- or connect as the table's owner", quoted);
    }
}

/* Names of --copy-tables that are of no table. */
static void check_named(const struct table_names *names, struct report *r)
{
    size_t nmet = 0;
    for (size_t i = 0; i < names->n; i++) {
        nmet += names->items[i].met;
        if (!names->items[i].met)
            report_note(r, "--copy-tables: no table %s.%s is published: is it spelt right?",
                        names->items[i].namespace,
                        names->items[i].whole ? "*" : names->items[i].name);
    }
    if (names->n > 0 && nmet == 0)
        report_fail(r, "--copy-tables names no table of the publications");
}

static int check_tables(struct upstream *u, const char *publications, struct report *r,
                        struct err *err)
{
    PGresult *rows;
    const char *schema = "";
    unsigned before = r->failures, n = 0;
    char sql[sizeof readable_sql + sizeof published_sql];
    (void)snprintf(sql, sizeof sql, readable_sql,
                   PQserverVersion(u->catalog.session.conn) >= 150000 ? published_sql
                                                                      : "a.attgenerated = ''");
    if (ask(&u->catalog, sql, publications, 10, &rows, err))
        return -1;
    for (int i = 0; i < PQntuples(rows); i++) {
        if (!upstream_copies(u, field(rows, i, 7), field(rows, i, 8)))
            continue;
        n++;
        if (!field_truth(rows, i, 2) && strcmp(schema, field(rows, i, 0)) != 0) {
            schema = field(rows, i, 0);
            report_fail(r, "user %s may not use schema %s, tables of which are to be copied",
                        field(rows, i, 5), schema);
            report_mend(r, "GRANT USAGE ON SCHEMA %s TO %s;", schema, field(rows, i, 6));
        }
        check_table(rows, i, field(rows, i, 1), r);
    }
    if (n > 0 && r->failures == before)
        report_ok(r, "user %s may read the %u tables that may have to be copied", field(rows, 0, 5),
                  n);
    else if (n > 0)
        report_note(r, "to replicate only changes and read no table: --copy never");
    PQclear(rows);
    check_named(&u->copy_tables, r);
    return 0;
}

/* What FOR ALL TABLES and FOR TABLES IN SCHEMA pass over in silence. */
static int check_unlogged(struct catalog *c, const char *publications, struct report *r,
                          struct err *err)
{
    PGresult *rows;
    char sql[768];
    (void)snprintf(
        sql, sizeof sql,
        "SELECT format('%%I.%%I', n.nspname, t.relname), quote_ident(p.pubname)"
        " FROM pg_publication p, pg_class t JOIN pg_namespace n ON n.oid = t.relnamespace"
        " WHERE p.pubname = ANY ($1::text[]) AND t.relkind = 'r'"
        " AND t.relpersistence = 'u' AND (p.puballtables%s) ORDER BY 1, 2",
        PQserverVersion(c->session.conn) >= 150000
            ? " OR EXISTS (SELECT FROM pg_publication_namespace s"
              " WHERE s.pnpubid = p.oid AND s.pnnspid = n.oid)"
            : "");
    if (ask(c, sql, publications, 2, &rows, err))
        return -1;
    for (int i = 0; i < PQntuples(rows); i++) {
        const char *table = field(rows, i, 0);
        report_note(
            r,
            "table %s is unlogged, so publication %s does not contain it: it is neither copied nor "
            "followed",
            table, field(rows, i, 1));
        report_mend(r, "ALTER TABLE %s SET LOGGED;", table);
    }
    PQclear(rows);
    return 0;
}

int inspect_copy(struct upstream *u, const char *publications, struct report *r, struct err *err)
{
    return check_primary(&u->catalog, r, err) || check_tables(u, publications, r, err) ||
                   check_unlogged(&u->catalog, publications, r, err)
               ? -1
               : 0;
}
