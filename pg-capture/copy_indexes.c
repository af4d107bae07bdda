#include "copy_indexes.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "catalog.h"

/* A constraint that is checked late lets rows be the same for a while. */
#define UNIQUE "i.indisunique AND i.indimmediate"
#define ESCAPED(sql)                                                                               \
    "replace(replace(replace(" sql ", '\\', '\\\\'), E'\\t', '\\t'), E'\\n', '\\n')"
#define COLUMNS                                                                                    \
    "unnest(i.indkey::int2[]) WITH ORDINALITY k (attnum, n)"                                       \
    " JOIN pg_attribute a ON a.attrelid = i.indrelid AND a.attnum = k.attnum"

static const char list_sql[] =
    "SELECT CASE WHEN " UNIQUE
    " THEN 'unique' ELSE 'plain' END || E'\\t' || " ESCAPED("c.relname") " || (SELECT string_agg(E'\\t' || " ESCAPED(
        "a.attname") ", '' ORDER BY k.n) FROM " COLUMNS ")"
                     " || E'\\n' FROM pg_index i JOIN pg_class c ON c.oid = i.indexrelid"
                     " JOIN pg_am m ON m.oid = c.relam AND m.amname = 'btree'"
                     " WHERE i.indrelid = $1::oid AND i.indisvalid AND NOT i.indisprimary AND NOT i.indisreplident"
                     " AND i.indexprs IS NULL AND i.indpred IS NULL AND i.indnatts = i.indnkeyatts"
                     " AND (i.indisunique OR $2::bool) AND NOT EXISTS (SELECT FROM " COLUMNS
                     " WHERE a.attname <> ALL ($3::text[])) ORDER BY c.relname";

static int published_columns(const struct relation *rel, struct buf *array, struct err *err)
{
    const char **names = calloc(rel->ncolumns + (size_t)1, sizeof *names);
    if (!names)
        return err_nomem(err);
    for (uint32_t i = 0; i < rel->ncolumns; i++)
        names[i] = rel->columns[i].name;
    array_of_text(array, rel->ncolumns, names);
    free(names);
    return buf_check(array, err);
}

int copy_indexes_read(struct session *s, const struct waiter *waiter, int64_t deadline_ms,
                      const struct relation *rel, enum copy_indexes which, struct buf *list,
                      struct err *err)
{
    char relid[16];
    struct buf columns = {0};
    PGresult *rows;
    if (which == COPY_INDEXES_NONE)
        return 0;
    (void)snprintf(relid, sizeof relid, "%" PRIu32, rel->relid);
    int rc = published_columns(rel, &columns, err);
    const char *params[] = {relid, which == COPY_INDEXES_ALL ? "t" : "f", buf_cstr(&columns)};
    if (rc == 0)
        rc = session_query(s, list_sql, 3, params, waiter, deadline_ms, &rows, err);
    buf_free(&columns);
    if (rc)
        return -1;
    rc = session_check_shape(rows, (struct shape){1, ANY_ROWS}, err);
    for (int i = 0; rc == 0 && i < PQntuples(rows); i++)
        buf_append_str(list, field(rows, i, 0));
    PQclear(rows);
    return rc ? rc : buf_check(list, err);
}
