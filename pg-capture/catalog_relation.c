#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "base/lsn.h"
#include "binary.h"
#include "catalog.h"
#include "frames/pg_type.h"

/* For a commit that is decoded to be seen in the catalog. */
#define VISIBLE_LOOK_MS 5
#define VISIBLE_SAY_MS  5000

/* Types of lower oids are PostgreSQL's own and no domains. */
#define FIRST_UNPINNED_OID 10000

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
 * What values of a type are written with that may be altered without a word in the stream: each
 * label of an enum, which has an oid for ever, and the attributes of a composite type; also inside
 * domains, arrays, ranges and composite types.
 */
#define PARTS_OF_TYPE(type)                                                                          \
    " (WITH RECURSIVE p (oid) AS (SELECT " type                                                      \
    "  UNION SELECT inner_type.oid FROM p JOIN pg_type t ON t.oid = p.oid"                           \
    "   CROSS JOIN LATERAL (SELECT t.typbasetype WHERE t.typtype = 'd'"                              \
    "    UNION ALL SELECT t.typelem WHERE t.typcategory = 'A'"                                       \
    "    UNION ALL SELECT a.atttypid FROM pg_attribute a WHERE t.typtype = 'c'"                      \
    "     AND a.attrelid = t.typrelid AND a.attnum > 0 AND NOT a.attisdropped"                       \
    "    UNION ALL SELECT r.rngsubtype FROM pg_range r WHERE r.rngtypid = t.oid"                     \
    "    UNION ALL SELECT r.rngtypid FROM pg_range r WHERE r.rngmultitypid = t.oid)"                 \
    "   inner_type (oid))"                                                                           \
    " SELECT string_agg(x.text, E'\\n' ORDER BY x.n, x.text) AS texts FROM p CROSS JOIN LATERAL ("   \
    "  SELECT e.oid || ' ' || replace(replace(e.enumlabel, E'\\\\', E'\\\\\\\\'), E'\\n', E'\\\\n')" \
    "   AS text, e.oid AS n FROM pg_enum e WHERE e.enumtypid = p.oid"                                \
    "  UNION ALL SELECT t.oid || ' ' || string_agg(a.attnum::text, ' ' ORDER BY a.attnum), t.oid"    \
    "   FROM pg_type t JOIN pg_attribute a"                                                          \
    "   ON a.attrelid = t.typrelid AND a.attnum > 0 AND NOT a.attisdropped"                          \
    "   WHERE t.oid = p.oid AND t.typtype = 'c' GROUP BY t.oid OFFSET 0) x)"

/* clang-format off */

/* Whether a row of the catalog is older than the place, by who is known to have ended before. */
#define HAD_ENDED(xmin) "age(" xmin ") > horizon.age"

/* The same of rows that nobody can change while the transaction of that place is open: where they
 * were changed before, that was committed before. */
#define IS_OLDER(xmin)                                                                             \
    "(" HAD_ENDED(xmin) " OR CASE WHEN horizon.stamped"                                            \
    " THEN pg_xact_commit_timestamp(" xmin ") < timestamptz '2000-01-01 00:00+00'"                 \
    " + $8::bigint * interval '1 microsecond' ELSE false END)"

/*
 * One row for each column of the message, in its order. $1 is the relid, $2 to $4 are the columns'
 * names, types and typmods, $5 the publications, $6 the slot, $7 an xid before which all had ended
 * at that place of the WAL, 0: none is known. The slot knows one too: what its catalog_xmin lets
 * vacuum take away had ended before all that it still has to send. $8 is when the transaction at
 * that place committed.
 *
 * ADD COLUMN writes the new attribute and the number of attributes in pg_class with one command, so
 * that both rows have one cmin; whatever changes an attribute later does not touch pg_class with it.
 *
 * A row of a partitioned table has the replica identity of the partition it is in, which no message
 * tells, nor the catalog: a partition that was detached leaves no trace.
 *
 * What PostgreSQL keeps for rows that were there before a column was added is in the tables that
 * have rows: in the partitions where the table is partitioned. No function is used that locks a
 * table, as those for partitions do: the transaction that holds the lock may wait for us.
 */
static const char relation_sql[] =
    "WITH RECURSIVE horizon AS (SELECT least(age($7::text::xid), (SELECT age(catalog_xmin)"
    "  FROM pg_replication_slots WHERE slot_name = $6)) AS age, NOT pg_is_in_recovery()"
    "  AND current_setting('track_commit_timestamp') = 'on' AS stamped),"
    " pub AS (SELECT p.oid, p.xmin, p.puballtables, %s AS stored,"
    "  format('publication %%s/%%s (%%s): ', oid, xmin,"
    "  concat(CASE WHEN pubinsert THEN 'i' END, CASE WHEN pubupdate THEN 'u' END,"
    "   CASE WHEN pubdelete THEN 'd' END, CASE WHEN pubtruncate THEN 't' END,"
    "   CASE WHEN pubviaroot THEN ' via root' END)) AS name"
    "  FROM pg_publication p WHERE p.pubname = ANY ($5::text[])),"
    " line AS (SELECT $1::oid AS relid UNION SELECT i.inhparent FROM line"
    "  JOIN pg_class c ON c.oid = line.relid AND c.relispartition CROSS JOIN LATERAL"
    "  (SELECT inhparent FROM pg_inherits WHERE inhrelid = line.relid OFFSET 0) i),"
    " tree AS (SELECT $1::oid AS relid UNION SELECT i.inhrelid FROM tree"
    "  JOIN pg_class c ON c.oid = tree.relid AND c.relkind = 'p' CROSS JOIN LATERAL"
    "  (SELECT inhrelid FROM pg_inherits WHERE inhparent = tree.relid OFFSET 0) i),"
    " entry AS (SELECT pr.oid, pr.xmin, pr.prrelid, pr.attrs, pr.filter, pub.name"
    "  FROM line CROSS JOIN LATERAL (SELECT pr.oid, pr.xmin, pr.prrelid, pr.prpubid,"
    "   %s AS attrs, %s AS filter FROM pg_publication_rel pr WHERE pr.prrelid = line.relid OFFSET 0) pr"
    "  JOIN pub ON pub.oid = pr.prpubid),"
    " membership AS (SELECT name || 'all tables' AS text, xmin FROM pub WHERE puballtables"
    "  UNION ALL SELECT concat(name, 'table ', oid, filter, ' ' || attrs::text), xmin FROM entry%s),"
    " leaf AS (SELECT l.*, " IS_OLDER("l.xmin") " AS older"
    "  FROM horizon CROSS JOIN tree JOIN pg_class l ON l.oid = tree.relid AND l.relkind = 'r'),"
    " list AS (SELECT (SELECT attrs FROM entry WHERE prrelid = $1::oid AND attrs IS NOT NULL"
    "   LIMIT 1) AS attrs,"
    "  (SELECT bool_and(" HAD_ENDED("membership.xmin") ") FROM membership CROSS JOIN horizon)"
    "   AS older),"
    " attribute AS (SELECT string_agg(CASE WHEN " IS_OLDER("a.xmin") " THEN state"
    "   WHEN state = 'c' AND a.xmin = c.xmin AND a.cmin = c.cmin AND NOT a.attnotnull"
    "    AND NOT a.atthasdef AND NOT a.atthasmissing AND t.typtype <> 'd' THEN 'A'"
    "   ELSE upper(state) END, '' ORDER BY a.attnum) AS states"
    "  FROM pg_attribute a JOIN pg_class c ON c.oid = a.attrelid"
    "  LEFT JOIN pg_type t ON t.oid = a.atttypid CROSS JOIN horizon CROSS JOIN list"
    "  CROSS JOIN LATERAL (SELECT CASE WHEN a.attisdropped THEN 'd'"
    "   WHEN NOT (a.attgenerated = '' OR a.attgenerated = 's' AND EXISTS (SELECT FROM pub WHERE stored)"
    "    OR coalesce(a.attnum = ANY (list.attrs), false)) THEN 'x' WHEN NOT list.older THEN 'p'"
    "   WHEN list.attrs IS NULL OR a.attnum = ANY (list.attrs) THEN 'c' ELSE 'x' END AS state) s"
    "  WHERE a.attrelid = $1::oid AND a.attnum > 0)"
    " SELECT c.oid IS NOT NULL, a.attnum, a.attnotnull OR b.typnotnull,"
    " format_type(col.type, col.typmod), b.base, b.depth, b.typmod,"
    " CASE WHEN a.atttypid <> col.type THEN 'u'"
    "  WHEN kept.filled = 0 AND NOT a.attnotnull AND NOT b.typnotnull THEN 'n'"
    "  WHEN kept.filled = kept.files AND kept.fills = 1 THEN 'v' ELSE 'u' END, kept.fill,"
    " i.indnkeyatts, i.indimmediate, k.n, part.texts, attribute.states,"
    " (SELECT string_agg(format('%%s %%s %%s %%s', oid, relfilenode, reltoastrelid, CASE WHEN older"
    "   THEN relpersistence::text ELSE upper(relpersistence::text) END), ',' ORDER BY oid) FROM leaf),"
    " (SELECT string_agg(text, E'\\n' ORDER BY text) FROM membership),"
    " c.relkind = 'p', " IS_OLDER("i.xmin")
    " FROM unnest($2::text[], $3::oid[], $4::int4[]) WITH ORDINALITY AS col (name, type, typmod, n)"
    " CROSS JOIN attribute CROSS JOIN horizon"
    " LEFT JOIN pg_class c ON c.oid = $1::oid"
    " LEFT JOIN pg_attribute a ON a.attrelid = c.oid AND a.attname = col.name AND a.attnum > 0"
    "  AND NOT a.attisdropped"
    " LEFT JOIN LATERAL" BASE_TYPE_OF("col.type") " b ON true"
    " LEFT JOIN LATERAL (SELECT count(*) AS files, count(*) FILTER (WHERE o.atthasmissing) AS filled,"
    "  count(DISTINCT array_to_string(o.attmissingval, '')) AS fills,"
    "  min(array_to_string(o.attmissingval, '')) AS fill"
    "  FROM leaf JOIN pg_attribute o ON o.attrelid = leaf.oid AND o.attnum > 0"
    "   AND o.attname = a.attname AND NOT o.attisdropped) kept ON true"
    " LEFT JOIN LATERAL" PARTS_OF_TYPE("col.type") " part ON col.type >= 16384"
    " LEFT JOIN pg_index i ON i.indrelid = c.oid AND i.indisprimary"
    " LEFT JOIN LATERAL (SELECT key.n"
    "  FROM unnest(i.indkey::int2[]) WITH ORDINALITY AS key (attnum, n)"
    "  WHERE key.attnum = a.attnum AND key.n <= i.indnkeyatts) k ON true"
    " ORDER BY col.n";

/* clang-format on */

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
    F_TYPE_PARTS,
    F_ATTRIBUTES,
    F_FILES,
    F_MEMBERSHIPS,
    F_PARTITIONED,
    F_KEY_IS_OLDER,
    F_COUNT,
};

/* What the query has of a later version: published columns that are stored generated ones, column
 * lists, row filters, and schemas as members. */
static void write_relation_sql(int version, char *sql, size_t size)
{
    bool lists = version >= 150000;
    (void)snprintf(sql, size, relation_sql, version >= 180000 ? "p.pubgencols = 's'" : "false",
                   lists ? "pr.prattrs::int2[]" : "NULL::int2[]",
                   lists ? "CASE WHEN pr.prqual IS NULL THEN '' ELSE ' filtered' END" : "''",
                   lists ? " UNION ALL SELECT name || 'schema ' || pn.oid, pn.xmin"
                           " FROM pg_publication_namespace pn JOIN pub ON pub.oid = pn.pnpubid"
                           " WHERE pn.pnnspid IN (SELECT relnamespace FROM pg_class"
                           "  WHERE oid IN (SELECT relid FROM line))"
                         : "");
}

/* The types alone. $1 types. */
static const char types_sql[] =
    "SELECT b.base, b.depth, b.typmod FROM unnest($1::oid[]) WITH ORDINALITY AS col (type, n)"
    " LEFT JOIN LATERAL" BASE_TYPE_OF("col.type") " b ON true ORDER BY col.n";

/* What goes in between: column lists, as old as PostgreSQL 15, and generated columns, which a list
 * names before 18 although they are not sent. */
static const char binary_sql_head[] =
    "SELECT b.base, min(format('table %I.%I, column %I, type %s', n.nspname, c.relname, a.attname,"
    "  format_type(a.atttypid, a.atttypmod)))"
    " FROM pg_publication_tables p"
    " JOIN pg_namespace n ON n.nspname = p.schemaname"
    " JOIN pg_class c ON c.relnamespace = n.oid AND c.relname = p.tablename"
    " JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped";
static const char binary_sql_lists[] = " AND a.attname = ANY (p.attnames)";
static const char binary_sql_generated[] = " AND a.attgenerated = ''";
static const char binary_sql_tail[] =
    " JOIN pg_type t ON t.oid = a.atttypid AND t.typsend <> 0"
    " CROSS JOIN LATERAL" BASE_TYPE_OF(
        "a.atttypid") " b"
                      " WHERE p.pubname = ANY ($1::text[]) GROUP BY b.base ORDER BY 2";

/* ---- binary mode ---- */

int catalog_check_binary(struct catalog *c, size_t n, const char *const *names, struct err *err)
{
    /* The connection is open since the publications were checked. */
    int version = c->session.conn ? PQserverVersion(c->session.conn) : 0;
    char sql[sizeof binary_sql_head + sizeof binary_sql_lists + sizeof binary_sql_generated +
             sizeof binary_sql_tail];
    (void)snprintf(sql, sizeof sql, "%s%s%s%s", binary_sql_head,
                   version >= 150000 ? binary_sql_lists : "",
                   version < 180000 ? binary_sql_generated : "", binary_sql_tail);
    PGresult *result;
    if (catalog_ask_about(c, sql, n, names, (struct shape){2, ANY_ROWS}, &result, err))
        return -1;
    int rc = 0;
    for (int row = 0; row < PQntuples(result) && rc == 0; row++) {
        if (binary_supported(field_number(result, row, 0)))
            continue;
        rc = err_set(err, ERR_PERMANENT, "%s: its binary form is not supported",
                     field(result, row, 1));
        (void)err_hint(err, "use text mode: leave out --binary");
    }
    PQclear(result);
    return rc;
}

/* ---- how far transactions have come ---- */

/* The latest xmin that is shown to be of before the place; 0: none. */
static uint32_t horizon_before(const struct catalog *c, uint64_t lsn)
{
    size_t n = c->nhorizons < CATALOG_HORIZONS ? c->nhorizons : CATALOG_HORIZONS;
    for (size_t i = 1; i <= n; i++) {
        const struct catalog_horizon *h = &c->horizons[(c->nhorizons - i) % CATALOG_HORIZONS];
        if (h->lsn != 0 && h->lsn <= lsn)
            return h->xmin;
    }
    return 0;
}

/* ---- one relation ---- */

struct column_lists {
    struct buf names, types, typmods, publications;
};

static void list_columns(const struct relation *rel, const struct catalog_subject *subject,
                         const char **items, struct column_lists *l)
{
    buf_append_byte(&l->types, '{');
    buf_append_byte(&l->typmods, '{');
    for (uint32_t i = 0; i < rel->ncolumns; i++) {
        items[i] = rel->columns[i].name;
        buf_printf(&l->types, "%s%" PRIu32, i ? "," : "", rel->columns[i].type_oid);
        buf_printf(&l->typmods, "%s%" PRId32, i ? "," : "", rel->columns[i].typmod);
    }
    buf_append_byte(&l->types, '}');
    buf_append_byte(&l->typmods, '}');
    array_of_text(&l->names, rel->ncolumns, items);
    array_of_text(&l->publications, subject->npublications, subject->publications);
}

static int ask_relation(struct catalog *c, const struct relation *rel,
                        const struct pgoutput_place *place, struct err *err)
{
    if (catalog_connect(c, err))
        return err_context(err, "asking the catalog");
    char sql[sizeof relation_sql + 512];
    struct column_lists l = {0};
    const char **items = calloc(rel->ncolumns + 1, sizeof *items);
    if (!items)
        return err_nomem(err);
    list_columns(rel, &c->subject, items, &l);
    write_relation_sql(PQserverVersion(c->session.conn), sql, sizeof sql);
    char relid[16], horizon[16], time[24];
    (void)snprintf(relid, sizeof relid, "%" PRIu32, rel->relid);
    (void)snprintf(horizon, sizeof horizon, "%" PRIu32, horizon_before(c, place->lsn));
    (void)snprintf(time, sizeof time, "%" PRId64, place->time_us);
    const char *params[] = {relid,
                            buf_cstr(&l.names),
                            buf_cstr(&l.types),
                            buf_cstr(&l.typmods),
                            buf_cstr(&l.publications),
                            c->subject.slot,
                            horizon,
                            time};
    bool failed = l.names.failed || l.types.failed || l.typmods.failed || l.publications.failed;
    PQclear(c->relation);
    c->relation = NULL;
    int rc = failed ? err_nomem(err) : 0;
    if (rc == 0)
        rc = catalog_ask(c, "relation", sql, 8, params, (struct shape){F_COUNT, (int)rel->ncolumns},
                         &c->relation, err);
    buf_free(&l.names);
    buf_free(&l.types);
    buf_free(&l.typmods);
    buf_free(&l.publications);
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
    if (strncmp(col->fill_value, "\\x", 2) != 0 || col->fill_size % 2 != 0 ||
        strspn(col->fill_value + 2, "0123456789abcdef") != col->fill_size - 2) {
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

static void read_base_type(const PGresult *r, int row, int base, int depth, int typmod,
                           struct column *col)
{
    if (PQgetisnull(r, row, base))
        return;
    col->base_type_oid = field_number(r, row, base);
    if (field_number(r, row, depth) > 0)
        col->typmod = (int32_t)strtol(field(r, row, typmod), NULL, 10);
}

static void read_fill(struct catalog *c, int row, struct column *col)
{
    const PGresult *r = c->relation;
    char fill = *field(r, row, F_FILL);
    if (fill == 'n')
        col->fill = FILL_NULL;
    if (fill != 'v' || PQgetisnull(r, row, F_FILL_VALUE))
        return;
    col->fill = FILL_VALUE;
    col->fill_value = field(r, row, F_FILL_VALUE);
    col->fill_size = (size_t)PQgetlength(r, row, F_FILL_VALUE);
    if (col->base_type_oid == PG_TYPE_BYTEA)
        fill_with_bytes(c, col);
}

static void read_column(struct catalog *c, int row, struct column *col)
{
    const PGresult *r = c->relation;
    read_base_type(r, row, F_BASE, F_DEPTH, F_BASE_TYPMOD, col);
    if (!PQgetisnull(r, row, F_BASE))
        col->type_name = field(r, row, F_TYPE_NAME);
    if (PQgetisnull(r, row, F_ATTNUM))
        return;
    col->attnum = (int32_t)field_number(r, row, F_ATTNUM);
    col->not_null = field_truth(r, row, F_NOT_NULL);
    read_fill(c, row, col);
}

#define NO_COLUMN UINT32_MAX

/* The key's columns in its order, if all of them are in the message and it is checked at once. */
static void read_primary_key(struct catalog *c, struct relation *rel)
{
    const PGresult *r = c->relation;
    rel->primary_key_known = field_truth(r, 0, F_TABLE_EXISTS);
    if (PQgetisnull(r, 0, F_KEY_COLUMNS) || !field_truth(r, 0, F_KEY_IMMEDIATE))
        return;
    uint32_t n = field_number(r, 0, F_KEY_COLUMNS);
    uint32_t found = 0;
    memset(c->pk, 0xff, rel->ncolumns * sizeof *c->pk); /* NO_COLUMN */
    for (int row = 0; row < PQntuples(r); row++) {
        uint32_t at = field_number(r, row, F_KEY_POSITION);
        if (at < 1 || at > n || at > rel->ncolumns)
            continue;
        found += c->pk[at - 1] == NO_COLUMN; /* each place once */
        c->pk[at - 1] = (uint32_t)row;
    }
    if (found != n)
        return;
    rel->pk = c->pk;
    rel->npk = n;
}

/*
 * Of a table that stands for its partitions. A row that comes without an old tuple has kept its
 * partition's identity. By the root's own key, which the message has, or a primary key that was
 * there, it is found where they did not change, and no other row is: they are unique over all
 * partitions. What identifies the rows of the partitions themselves is not known: those of today
 * need not be those of then.
 */
static void read_partitions(struct catalog *c, struct relation *rel, bool shown)
{
    const PGresult *r = c->relation;
    if (!field_truth(r, 0, F_PARTITIONED))
        return;
    bool keyed = false;
    for (uint32_t i = 0; i < rel->ncolumns; i++)
        keyed = keyed || (rel->columns[i].key && rel->replica_identity != REPLICA_IDENTITY_FULL);
    for (uint32_t i = 0; i < rel->ncolumns && !keyed; i++)
        rel->columns[i].key = false;
    for (uint32_t i = 0; i < rel->npk && !keyed && shown && field_truth(r, 0, F_KEY_IS_OLDER); i++)
        rel->columns[rel->pk[i]].key = true;
    rel->replica_identity = REPLICA_IDENTITY_PARTITION;
}

/* ---- lists of texts, each on a line of its own ---- */

static size_t lines(const PGresult *r, int row, int column)
{
    size_t n = 0;
    for (const char *p = field(r, row, column); *p; p = strchrnul(p, '\n'), p += *p != '\0')
        n++;
    return n;
}

/* Room for all texts is made beforehand, so that what was stored does not move. */
static const char **read_lines(struct catalog *c, int row, int column, const char ***next,
                               uint32_t *n)
{
    const char **first = *next;
    for (const char *p = field(c->relation, row, column); *p; p += *p != '\0') {
        size_t len = strcspn(p, "\n");
        const char *to = (const char *)c->texts.data + c->texts.len;
        buf_append(&c->texts, p, len);
        buf_append_byte(&c->texts, '\0');
        *(*next)++ = to;
        p += len;
    }
    *n = (uint32_t)(*next - first);
    return first;
}

static int read_texts(struct catalog *c, struct relation *rel, struct err *err)
{
    const PGresult *r = c->relation;
    size_t n = lines(r, 0, F_MEMBERSHIPS) + 1;
    size_t size = (size_t)PQgetlength(r, 0, F_MEMBERSHIPS) + 1;
    for (uint32_t i = 0; i < rel->ncolumns; i++) {
        n += lines(r, (int)i, F_TYPE_PARTS);
        size += (size_t)PQgetlength(r, (int)i, F_TYPE_PARTS) + 1;
    }
    c->lists = calloc(n, sizeof *c->lists);
    if (!c->lists || !buf_reserve(&c->texts, size))
        return err_nomem(err);
    const char **next = c->lists;
    rel->memberships = read_lines(c, 0, F_MEMBERSHIPS, &next, &rel->nmemberships);
    for (uint32_t i = 0; i < rel->ncolumns; i++) {
        struct column *col = &rel->columns[i];
        col->type_parts = read_lines(c, (int)i, F_TYPE_PARTS, &next, &col->ntype_parts);
    }
    return 0;
}

static uint32_t next_number(const char **p)
{
    char *end;
    uint32_t n = (uint32_t)strtoul(*p, &end, 10);
    *p = end;
    return n;
}

static int read_files(struct catalog *c, struct relation *rel, struct err *err)
{
    const char *text = field(c->relation, 0, F_FILES);
    uint32_t n = 0;
    for (const char *p = text; *p; p++)
        n += *p == ',';
    c->files = calloc((size_t)n + 1, sizeof *c->files);
    if (!c->files)
        return err_nomem(err);
    rel->files = c->files;
    for (const char *p = text; *p; rel->nfiles++) {
        struct relation_file *f = &rel->files[rel->nfiles];
        f->relid = next_number(&p);
        f->node = next_number(&p);
        f->toast = next_number(&p);
        if (*p != ' ' || p[1] == '\0' || (p[2] != ',' && p[2] != '\0'))
            return err_set(err, ERR_TEMPORARY, "the catalog's list of files is \"%s\"", text);
        f->persistence = p[1];
        p += p[2] == ',' ? 3 : 2;
    }
    return 0;
}

/* ---- the place of an answer ---- */

/*
 * A commit is in the WAL before other sessions see it: long before, where a synchronous standby is
 * waited for. $1 is an xid, which has 32 bits and is near the snapshot's; $2 a table; $3 the slot,
 * whose reader may be the standby that is waited for; $4 the xid's place in the WAL: a server that
 * has not come so far, as a standby that is behind, does not know the xid's locks yet. CASE sees to
 * it that this is asked before the locks.
 */
static const char ended_sql[] =
    "SELECT pg_visible_in_snapshot((CASE WHEN near > xmax + 2147483648 THEN near - 4294967296"
    "  ELSE near END)::text::xid8, s), CASE WHEN $4::pg_lsn > CASE WHEN pg_is_in_recovery()"
    "   THEN pg_last_wal_replay_lsn() ELSE pg_current_wal_insert_lsn() END THEN true"
    "  ELSE EXISTS (SELECT FROM pg_locks WHERE relation = $2::oid"
    "  AND database = (SELECT oid FROM pg_database WHERE datname = current_database())"
    "  AND mode = 'AccessExclusiveLock' AND granted) END,"
    " EXISTS (" CATALOG_WAITED_FOR(
        "$3") ")"
              " FROM (SELECT s, xmax, floor(xmax / 4294967296) * 4294967296 + $1::numeric AS near"
              "  FROM (SELECT s, pg_snapshot_xmax(s)::text::numeric AS xmax FROM pg_current_snapshot() s) x) y";

struct visibility {
    bool ended;  /* the transaction's end is visible */
    bool locked; /* somebody may be changing the table, or it is not known yet */
    bool ours;   /* it may be us that it waits for, to confirm it */
};

static int ask_visibility(struct catalog *c, const struct pgoutput_place *place, uint32_t relid,
                          struct visibility *v, struct err *err)
{
    char xid_text[16], relid_text[16];
    const char *params[] = {xid_text, relid_text, c->subject.slot, LSN(place->lsn)};
    PGresult *result;
    (void)snprintf(xid_text, sizeof xid_text, "%" PRIu32, place->xid);
    (void)snprintf(relid_text, sizeof relid_text, "%" PRIu32, relid);
    if (catalog_query(c, ended_sql, 4, params, (struct shape){3, 1}, &result, err))
        return -1;
    *v = (struct visibility){.ended = field_truth(result, 0, 0),
                             .locked = field_truth(result, 0, 1),
                             .ours = field_truth(result, 0, 2)};
    PQclear(result);
    return 0;
}

/*
 * Whether an answer that is asked for now shows what the transaction did to the table. It does when
 * the transaction's end is visible. It does as well while that is not, but the transaction has not
 * changed the table, for which it would hold the lock; it has to be seen still open after the look
 * at the locks.
 */
static int ask_shown(struct catalog *c, const struct relation *rel,
                     const struct pgoutput_place *place, bool *shown, bool *ours, struct err *err)
{
    struct visibility v, after;
    *shown = true;
    if (ask_visibility(c, place, rel->relid, &v, err))
        return -1;
    *ours = v.ours;
    if (v.ended) {
        c->ended_xid = place->xid;
        return 0;
    }
    if (ask_visibility(c, place, rel->relid, &after, err))
        return -1;
    *shown = after.ended || !v.locked;
    return 0;
}

/* It was seen that the transaction had ended: then whatever is asked now shows that. */
static bool seen_ended(const struct catalog *c, uint32_t xid)
{
    return xid == c->ended_xid ||
           (c->ended_xmin != 0 && (int32_t)(xid - c->ended_xmin) < 0); /* xids go round */
}

/* Until the answer shows it, where the transaction has committed and does not wait for us. */
static int wait_until_shown(struct catalog *c, const struct relation *rel,
                            const struct pgoutput_place *place, bool *shown, struct err *err)
{
    int64_t say_ms = monotonic_ms() + VISIBLE_SAY_MS;
    *shown = true;
    while (place->xid != 0 && !seen_ended(c, place->xid)) {
        bool ours;
        if (ask_shown(c, rel, place, shown, &ours, err))
            return -1;
        if (*shown || ours || place->stage == PLACE_PREPARED)
            break;
        if (monotonic_ms() >= say_ms) {
            log_warning(
                "a transaction that has changed a table has committed, but the server does not show it "
                "yet: waiting, because its effect on the table is not known",
                "table", rel->name, "xid", LOG_U64(place->xid), NULL);
            say_ms = NO_DEADLINE;
        }
        if (c->waiter->wait(c->waiter->ctx, -1, 0, monotonic_ms() + VISIBLE_LOOK_MS, err))
            return -1;
    }
    return 0;
}

/* ---- the whole answer ---- */

static int read_relation(struct catalog *c, struct relation *rel, bool shown, struct err *err)
{
    size_t size = 0;
    for (uint32_t i = 0; i < rel->ncolumns; i++)
        size += (size_t)PQgetlength(c->relation, (int)i, F_FILL_VALUE);
    (void)buf_reserve(&c->bytes, size);
    for (uint32_t i = 0; i < rel->ncolumns; i++)
        read_column(c, (int)i, &rel->columns[i]);
    read_primary_key(c, rel);
    read_partitions(c, rel, shown);
    if (buf_check(&c->bytes, err))
        return -1;
    if (!field_truth(c->relation, 0, F_TABLE_EXISTS))
        return 0;
    rel->attributes = field(c->relation, 0, F_ATTRIBUTES);
    return read_texts(c, rel, err) || read_files(c, rel, err) ? -1 : 0;
}

static int ask_types(struct catalog *c, struct relation *rel, struct err *err)
{
    struct column_lists l = {0};
    bool all_built_in = true;
    buf_append_byte(&l.types, '{');
    for (uint32_t i = 0; i < rel->ncolumns; i++) {
        buf_printf(&l.types, "%s%" PRIu32, i ? "," : "", rel->columns[i].type_oid);
        all_built_in = all_built_in && rel->columns[i].type_oid < FIRST_UNPINNED_OID;
    }
    buf_append_byte(&l.types, '}');
    const char *params[] = {buf_cstr(&l.types)};
    int rc = buf_check(&l.types, err);
    if (rc == 0 && !all_built_in)
        rc = catalog_query(c, types_sql, 1, params, (struct shape){3, (int)rel->ncolumns},
                           &c->relation, err);
    buf_free(&l.types);
    for (int i = 0; rc == 0 && !all_built_in && i < PQntuples(c->relation); i++)
        read_base_type(c->relation, i, 0, 1, 2, &rel->columns[i]);
    return rc;
}

void catalog_forget_relation(struct catalog *c)
{
    PQclear(c->relation);
    free(c->pk);
    free(c->lists);
    free(c->files);
    c->relation = NULL;
    c->pk = NULL;
    c->lists = NULL;
    c->files = NULL;
    buf_reset(&c->bytes, 64 * 1024);
    buf_reset(&c->texts, 64 * 1024);
}

/* Whether whoever reads what we write of it can read it: what else a server answers is not passed
 * on. */
static int check_answer(const struct relation *rel, struct err *err)
{
    struct buf frame = {0};
    struct relation *read = NULL;
    struct err fault = {0};
    relation_to_frame(rel, &frame);
    int rc = buf_check(&frame, err);
    if (rc == 0 && relation_from_bytes(frame.data, frame.len, &read, &fault))
        rc = err_set(err, ERR_TEMPORARY, "the catalog's answer describes no table: %s", fault.text);
    relation_unref(read);
    buf_free(&frame);
    return rc;
}

static int ask_whole(struct catalog *c, struct relation *rel, const struct pgoutput_place *place,
                     struct err *err)
{
    bool shown;
    uint64_t opened;
    do { /* what was seen on one connection says nothing of the next */
        opened = c->opened;
        if (wait_until_shown(c, rel, place, &shown, err) || ask_relation(c, rel, place, err))
            return -1;
    } while (c->opened != opened);
    if (read_relation(c, rel, shown, err))
        return -1;
    if (!shown)
        rel->attributes = "";
    return 0;
}

int catalog_relation(struct catalog *c, struct relation *rel, const struct pgoutput_place *place,
                     struct err *err)
{
    catalog_forget_relation(c);
    c->pk = calloc(rel->ncolumns + 1, sizeof *c->pk);
    if (!c->pk)
        return err_nomem(err);
    if (rel->ncolumns == 0)
        return 0;
    if ((place->stage == PLACE_STREAMED ? ask_types(c, rel, err) : ask_whole(c, rel, place, err)) ||
        check_answer(rel, err))
        return err_context(err, "table %s.%s", rel->namespace, rel->name);
    return 0;
}
