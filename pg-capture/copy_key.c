#include "copy_key.h"

#include <stdlib.h>
#include <string.h>

#include "copy_text.h"

/* An index that ORDER BY with nothing more than names can be read from, forwards or backwards: all
 * columns in one direction (indoption: 0, or 3 for DESC NULLS FIRST), and compared as their types
 * are by default, by operators that are found without the search path: an extension's ORDER BY goes
 * by its operator class, but its > would be that of another type. */
const char copy_key_sql[] =
    "SELECT a.attname, format('%I', a.attname), format('::%s%s', format_type(a.atttypid,"
    "  a.atttypmod), (SELECT format(' COLLATE %I.%I', n.nspname, c.collname) FROM pg_collation c"
    "  JOIN pg_namespace n ON n.oid = c.collnamespace WHERE c.oid = a.attcollation)),"
    " format('%s:%s:%s', a.attnum, a.atttypid, a.attcollation),"
    " o.opcdefault AND o.opcnamespace = 'pg_catalog'::regnamespace AND k.option IN (0, 3) AND k.option = (i.indoption::int2[])[0]"
    " FROM pg_index i JOIN pg_class t ON t.oid = i.indrelid"
    " CROSS JOIN LATERAL unnest(i.indkey::int2[], i.indoption::int2[], i.indclass::oid[])"
    "  WITH ORDINALITY k (attnum, option, opclass, place)"
    " JOIN pg_attribute a ON a.attrelid = i.indrelid AND a.attnum = k.attnum"
    " JOIN pg_opclass o ON o.oid = k.opclass"
    " WHERE i.indrelid = $1::oid AND k.place <= i.indnkeyatts AND i.indisvalid AND i.indimmediate"
    "  AND CASE t.relreplident WHEN 'd' THEN i.indisprimary WHEN 'f' THEN i.indisprimary"
    "   WHEN 'i' THEN i.indisreplident END ORDER BY k.place";

void copy_key_free(struct copy_key *k)
{
    for (uint32_t i = 0; i < COPY_KEY_MAX; i++) {
        free(k->columns[i].name);
        free(k->columns[i].cast);
    }
    free(k->sign);
    *k = (struct copy_key){0};
}

static uint32_t find_column(const struct relation *rel, const char *name)
{
    uint32_t i = 0;
    while (i < rel->ncolumns && strcmp(rel->columns[i].name, name) != 0)
        i++;
    return i;
}

int copy_key_take(struct copy_key *k, const PGresult *rows, const struct relation *rel,
                  struct err *err)
{
    struct buf sign = {0};
    uint32_t n = (uint32_t)PQntuples(rows);
    bool usable = n <= COPY_KEY_MAX && rel->replica_identity != REPLICA_IDENTITY_PARTITION;
    *k = (struct copy_key){0};
    for (uint32_t i = 0; i < n && usable; i++) {
        k->columns[i].column = find_column(rel, field(rows, (int)i, 0));
        k->columns[i].name = strdup(field(rows, (int)i, 1));
        k->columns[i].cast = strdup(field(rows, (int)i, 2));
        sign.failed = sign.failed || !k->columns[i].name || !k->columns[i].cast;
        buf_printf(&sign, "%s%s", i ? "," : "", field(rows, (int)i, 3));
        usable = k->columns[i].column < rel->ncolumns && field_truth(rows, (int)i, 4);
    }
    k->sign = strdup(buf_cstr(&sign));
    sign.failed = sign.failed || !k->sign;
    k->n = usable ? n : 0;
    int rc = buf_check(&sign, err);
    buf_free(&sign);
    return rc;
}

void copy_key_names(const struct copy_key *k, struct buf *sql)
{
    for (uint32_t i = 0; i < k->n; i++)
        buf_printf(sql, "%s%s", i ? ", " : "", k->columns[i].name);
}

static void append_literal(PGconn *conn, const char *text, size_t size, struct buf *sql)
{
    char *literal = PQescapeLiteral(conn, text, size);
    sql->failed = sql->failed || !literal;
    buf_append_str(sql, literal ? literal : "");
    PQfreemem(literal);
}

bool copy_key_has(const struct copy_key *k, const char *position)
{
    size_t size = strlen(k->sign);
    uint32_t n = 0;
    if (k->n == 0 || strncmp(position, k->sign, size) != 0 || position[size] != '\t')
        return false;
    for (const char *at = position + size; *at; at++)
        n += *at == '\t';
    return n == k->n;
}

void copy_key_row_values(const struct copy_key *k, PGconn *conn, const struct bytes *values,
                         struct buf *sql)
{
    struct buf text = {0};
    for (uint32_t i = 0; i < k->n; i++) {
        copy_text_unescape(values[i].data, values[i].size, &text);
        buf_append_str(sql, i ? ", " : "");
        append_literal(conn, buf_cstr(&text), text.len, sql);
        buf_append_str(sql, k->columns[i].cast);
    }
    sql->failed = sql->failed || text.failed;
    buf_free(&text);
}

void copy_key_values(const struct copy_key *k, PGconn *conn, const char *position, struct buf *sql)
{
    struct bytes values[COPY_KEY_MAX];
    const char *at = position + strlen(k->sign);
    for (uint32_t i = 0; i < k->n; i++) {
        size_t size = strcspn(++at, "\t");
        values[i] = (struct bytes){at, size};
        at += size;
    }
    copy_key_row_values(k, conn, values, sql);
}

static uint32_t find_in_key(const struct copy_key *k, const struct relation *rel, const char *name)
{
    uint32_t i = 0;
    while (i < k->n && strcmp(rel->columns[k->columns[i].column].name, name) != 0)
        i++;
    return i;
}

bool copy_key_of_row(const struct copy_key *k, const struct relation *rel, const char *line,
                     size_t size, struct bytes values[COPY_KEY_MAX])
{
    const char *end = line + size;
    struct buf name = {0};
    uint32_t n = 0;
    bool of = true;
    memset(values, 0, COPY_KEY_MAX * sizeof *values);
    for (const char *at = line; of && at < end; n++) {
        const char *tab = memchr(at, '\t', (size_t)(end - at));
        copy_text_unescape(at, (size_t)((tab ? tab : end) - at), &name);
        uint32_t i = find_in_key(k, rel, buf_cstr(&name));
        of = tab && !name.failed && i < k->n && !values[i].data;
        if (!of)
            break;
        const char *next = memchr(tab + 1, '\t', (size_t)(end - tab - 1));
        values[i] = (struct bytes){tab + 1, (size_t)((next ? next : end) - tab - 1)};
        at = next ? next + 1 : end;
    }
    buf_free(&name);
    return of && n == k->n && n > 0;
}

void copy_key_position(const struct copy_key *k, const char *row, size_t size, struct buf *out)
{
    buf_append_str(out, k->sign);
    for (uint32_t i = 0; i < k->n; i++) {
        const struct bytes value = copy_text_field(row, size, k->columns[i].column);
        buf_append_byte(out, '\t');
        buf_append(out, value.data, value.size);
    }
}
