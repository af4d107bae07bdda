#include "sql/ask_rows.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "base/hash.h"
#include "base/log.h"
#include "sql/copied.h"
#include "sql/left_out.h"
#include "sql/own.h"
#include "sql/text.h"

/* The rows of a table that are asked for. */
struct table_rows {
    char *name;      /* schema and table as they stand in the lines, with a tab between */
    struct buf keys; /* lines; more than COPIED_LACKS_MAX bytes of them are not kept */
    uint64_t nrows;
    bool met;
    UT_hash_handle hh;
};

static void free_tables(struct table_rows *tables)
{
    struct table_rows *t, *next;
    HASH_ITER (hh, tables, t, next) {
        HASH_DEL(tables, t);
        buf_free(&t->keys);
        free(t->name);
        free(t);
    }
}

static struct table_rows *find_table(struct table_rows *tables, const char *name, size_t size)
{
    struct table_rows *t;
    HASH_FIND(hh, tables, name, size, t);
    return t;
}

static struct table_rows *make_table(struct table_rows **tables, const char *name, size_t size,
                                     struct err *err)
{
    struct table_rows *t = find_table(*tables, name, size);
    bool added = false;
    if (t)
        return t;
    if ((t = calloc(1, sizeof *t)) && (t->name = strndup(name, size)))
        HASH_TRY_ADD_KEYPTR(*tables, t->name, size, t, added);
    if (added)
        return t;
    if (t)
        free(t->name);
    free(t);
    (void)err_nomem(err);
    return NULL;
}

static int take_line(struct table_rows **tables, const char *line, size_t size, uint64_t number,
                     struct err *err)
{
    const char *end = line + size, *schema = memchr(line, '\t', size);
    const char *table = schema ? memchr(schema + 1, '\t', (size_t)(end - schema - 1)) : NULL;
    const char *key = table ? memchr(table + 1, '\t', (size_t)(end - table - 1)) : NULL;
    if (!key || end[-1] != '\n' || !memchr(key + 1, '\t', (size_t)(end - key - 1)))
        return err_set(err, ERR_PERMANENT, "line %" PRIu64 ": not a key as a comparison writes it",
                       number);
    struct table_rows *t = make_table(tables, schema + 1, (size_t)(key - schema - 1), err);
    if (!t)
        return -1;
    t->nrows++;
    if (t->keys.len <= COPIED_LACKS_MAX)
        buf_append(&t->keys, key + 1, (size_t)(end - key - 1));
    return buf_check(&t->keys, err);
}

static int read_lines(FILE *in, struct table_rows **tables, struct err *err)
{
    char *line = NULL;
    size_t room = 0;
    ssize_t size;
    int rc = 0;
    for (uint64_t n = 1; rc == 0 && (size = getline(&line, &room, in)) > 0; n++)
        rc = take_line(tables, line, (size_t)size, n, err);
    free(line);
    if (rc == 0 && (ferror(in) || !feof(in)))
        rc = err_set(err, ERR_TEMPORARY, "the keys cannot be read to their end");
    return rc;
}

/* *t NULL: no row of it is asked for. */
static int rows_of(struct table_rows *tables, const struct own_row *row, struct table_rows **t,
                   struct err *err)
{
    struct buf name = {0};
    const struct buf *schema = &row->fields[RELATION_NAMESPACE],
                     *table = &row->fields[RELATION_NAME];
    text_copy(&name, (const char *)schema->data, schema->len);
    buf_append_byte(&name, '\t');
    text_copy(&name, (const char *)table->data, table->len);
    int rc = buf_check(&name, err);
    *t = rc == 0 ? find_table(tables, buf_cstr(&name), name.len) : NULL;
    buf_free(&name);
    return rc;
}

static int ask_for(const struct driver_ops *ops, struct driver *d, const struct asked_rows *asked,
                   struct own_row *row, struct table_rows *t, struct err *err)
{
    const struct own_key key = {
        .table = OWN_RELATION, .origin = asked->origin, .relid = row->relid};
    struct buf *frame = &row->fields[RELATION_FRAME];
    const char *namespace = buf_cstr(&row->fields[RELATION_NAMESPACE]),
               *name = buf_cstr(&row->fields[RELATION_NAME]);
    const struct bytes keys = {(const char *)t->keys.data, t->keys.len};
    struct copied copied;
    size_t size;
    bool fits = true;
    t->met = true;
    if (table_names_has(asked->skip, namespace, name) || left_out_is_marked(frame)) {
        log_warning("the table is left out, and so are its rows", "schema", namespace, "table",
                    name, NULL);
        return 0;
    }
    int rc = copied_parse(&copied, frame, &size, err);
    bool due = copied.due;
    copied_free(&copied);
    if (rc || due)
        return rc;
    rc = copied_add_lacks(frame, keys, asked->lsn, &fits, err);
    if (rc == 0 && !fits)
        rc = copied_set_due(frame, asked->lsn, false, err);
    if (rc || own_row_check(row, err) || ops->remember(d, &key, row, true, err))
        return err_context(err, "writing " RELATION_TABLE);
    if (fits)
        log_info("rows of a table will be read again", "schema", namespace, "table", name, "rows",
                 LOG_U64(t->nrows), NULL);
    else
        log_info("the table will be copied again, because so many of its rows are requested",
                 "schema", namespace, "table", name, "rows", LOG_U64(t->nrows), NULL);
    return 0;
}

static int check_met(struct table_rows *tables, struct err *err)
{
    for (struct table_rows *t = tables; t; t = t->hh.next)
        if (!t->met) {
            *strchr(t->name, '\t') = '.';
            return err_set(err, ERR_PERMANENT, "the target holds no table %s of this origin",
                           t->name);
        }
    return 0;
}

static int ask_each(const struct driver_ops *ops, struct driver *d, const struct asked_rows *asked,
                    struct table_rows *tables, struct err *err)
{
    for (uint32_t relid = 0;;) {
        const struct own_key key = {
            .table = OWN_RELATION, .origin = asked->origin, .relid = relid, .next = true};
        struct own_row row = {0};
        struct table_rows *t = NULL;
        bool found = false;
        int rc = ops->recall(d, &key, &row, &found, err);
        if (rc == 0)
            rc = own_row_check(&row, err);
        relid = found ? row.relid : 0;
        if (rc == 0 && found)
            rc = rows_of(tables, &row, &t, err);
        if (rc == 0 && t)
            rc = ask_for(ops, d, asked, &row, t, err);
        own_row_free(&row);
        if (rc)
            return -1;
        if (!found)
            return check_met(tables, err);
    }
}

int ask_rows(const struct driver_ops *ops, struct driver *d, const struct asked_rows *asked,
             struct err *err)
{
    struct table_rows *tables = NULL;
    int rc = read_lines(asked->keys, &tables, err) || ask_each(ops, d, asked, tables, err) ? -1 : 0;
    free_tables(tables);
    return rc ? err_context(err, "asking for rows") : 0;
}
