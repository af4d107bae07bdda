/*
 * Rows back out of a table, to be compared: a prepared statement, whose results come in binary, a
 * row at a time. Numbers come as they are, and a double is its bits; dates and times are made text
 * by the server, because the client libraries do not all do it alike.
 */
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "frames/pg_type.h"
#include "mysql_driver.h"
#include "sql/source_value.h"
#include "sql/table.h"

#define FIRST_SIZE 256

static bool is(const struct described_column *there, const char *type)
{
    return strcasecmp(there->type, type) == 0;
}

/* CHAR gives text back without its trailing blanks. */
static void cut_blanks(struct stored *s)
{
    while (s->kind == STORED_TEXT && s->size > 0 && s->data[s->size - 1] == ' ')
        s->size--;
}

static size_t characters(const struct value *v)
{
    size_t n = 0;
    for (uint32_t i = 0; i < v->size; i++)
        n += ((unsigned char)v->data[i] & 0xc0) != 0x80;
    return n;
}

/* VARCHAR and CHAR have a length in characters, the others in bytes. */
static bool is_too_long(const struct described_column *there, enum source_form form,
                        const struct value *v, const struct stored *s)
{
    size_t size = s->kind == STORED_BYTES                       ? s->size
                  : form != FORM_TEXT || s->kind == STORED_NULL ? 0
                  : is(there, "varchar") || is(there, "char")   ? characters(v)
                                                                : v->size;
    return there->length >= 0 && size > (uint64_t)there->length;
}

int my_stores(struct driver *d, const struct target_table *table, uint32_t column,
              const struct value *v, char room[STORED_ROOM], struct stored *out, struct err *err)
{
    (void)err;
    source_stored(out, (enum source_form)table->forms[column], v, &my_types, &d->policy, room);
    if (is(table->columns[column], "char"))
        cut_blanks(out);
    if (is_too_long(table->columns[column], (enum source_form)table->forms[column], v, out))
        *out = (struct stored){.kind = STORED_NOTHING};
    return 0;
}

/* ---- a column that is read ---- */

/* As what it comes. */
enum coming { COMING_INTEGER, COMING_SINGLE, COMING_DOUBLE, COMING_BITS, COMING_TEXT };

struct column_in {
    enum coming coming;
    enum source_form form;
    bool blanks; /* those at the end are no part of it */
    union {
        int64_t integer;
        double real;
        float single;
    } number;
    char *data; /* of text */
    size_t cap;
    unsigned long size;
    compat_bool null;
};

static bool is_moment(enum source_form form)
{
    return form == FORM_DATE || form == FORM_TIME || form == FORM_TIMESTAMP ||
           form == FORM_TIMESTAMPTZ;
}

static enum coming coming_of(const struct described_column *there, enum source_form form)
{
    if (is(there, "bit"))
        return COMING_BITS;
    if (is(there, "float"))
        return COMING_SINGLE;
    return form == FORM_SINGLE || form == FORM_DOUBLE                             ? COMING_DOUBLE
           : (form == FORM_BOOL || form == FORM_INTEGER) && !is(there, "decimal") ? COMING_INTEGER
                                                                                  : COMING_TEXT;
}

static int prepare_column(struct column_in *c, const struct target_table *t, uint32_t column,
                          struct err *err)
{
    const struct described_column *there = t->columns[column];
    c->form = (enum source_form)t->forms[column];
    c->coming = coming_of(there, c->form);
    c->blanks = is(there, "char");
    c->data = malloc(FIRST_SIZE);
    c->cap = FIRST_SIZE;
    return c->data ? 0 : err_nomem(err);
}

static void bind_column(struct column_in *c, MYSQL_BIND *bind)
{
    static const enum enum_field_types types[] = {
        [COMING_INTEGER] = MYSQL_TYPE_LONGLONG, [COMING_SINGLE] = MYSQL_TYPE_FLOAT,
        [COMING_DOUBLE] = MYSQL_TYPE_DOUBLE,    [COMING_BITS] = MYSQL_TYPE_BLOB,
        [COMING_TEXT] = MYSQL_TYPE_BLOB,
    };
    bool number = c->coming < COMING_BITS;
    *bind = (MYSQL_BIND){
        .buffer_type = types[c->coming],
        .buffer = number ? (void *)&c->number : c->data,
        .buffer_length = number ? sizeof c->number : c->cap,
        .length = &c->size,
        .is_null = &c->null,
    };
}

/* The text of a value that was longer than the room for it. */
static int fetch_rest(MYSQL_STMT *s, struct column_in *c, unsigned int column, MYSQL_BIND *bind,
                      struct err *err)
{
    if (c->coming < COMING_BITS || c->null || c->size <= c->cap)
        return 0;
    char *data = realloc(c->data, c->size);
    if (!data)
        return err_nomem(err);
    c->data = data;
    c->cap = c->size;
    bind_column(c, bind);
    return mysql_stmt_fetch_column(s, bind, column, 0)
               ? my_statement_fail(s, "reading a value", err)
               : 0;
}

static int64_t bits_of(const struct column_in *c)
{
    uint64_t n = 0;
    for (size_t i = 0; i < c->size && i < sizeof n; i++)
        n = n << 8 | (unsigned char)c->data[i];
    return (int64_t)n;
}

/* What is left of "1.00": a fraction that is not 0 stays. */
static size_t without_fraction(const char *data, size_t size)
{
    const char *point = memchr(data, '.', size), *end = data + size;
    if (!point)
        return size;
    while (end > point + 1 && end[-1] == '0')
        end--;
    return end == point + 1 ? (size_t)(point - data) : size;
}

static void take_text(const struct column_in *c, struct stored *out)
{
    enum stored_kind kind = c->form == FORM_DECIMAL || c->form == FORM_MONEY ? STORED_DECIMAL
                            : c->form == FORM_BYTES                          ? STORED_BYTES
                                                                             : STORED_TEXT;
    *out = (struct stored){.kind = kind, .data = c->data, .size = c->size};
    if (is_moment(c->form))
        stored_set_moment(out, c->data, c->size);
    else if (c->form == FORM_BOOL) /* in a decimal */
        stored_set_digits(out, c->data, without_fraction(c->data, c->size));
    if (c->blanks)
        cut_blanks(out);
}

static void take_column(const struct column_in *c, struct stored *out)
{
    if (c->null) {
        *out = (struct stored){.kind = STORED_NULL};
        return;
    }
    switch (c->coming) {
    case COMING_INTEGER:
        *out = (struct stored){.kind = STORED_INTEGER, .integer = c->number.integer};
        return;
    case COMING_BITS:
        *out = (struct stored){.kind = STORED_INTEGER, .integer = bits_of(c)};
        return;
    case COMING_SINGLE:
        *out = (struct stored){.kind = STORED_REAL, .real = c->number.single};
        return;
    case COMING_DOUBLE:
        *out = (struct stored){.kind = STORED_REAL, .real = c->number.real};
        return;
    case COMING_TEXT:
        take_text(c, out);
        return;
    }
}

/* ---- a table ---- */

struct table_in {
    MYSQL_STMT *stmt;
    uint32_t n;
    struct column_in *columns;
    MYSQL_BIND *binds;
    struct stored *row;
};

static void append_select(const struct target_table *t, const struct table_in *in, struct buf *sql)
{
    buf_append_str(sql, "SELECT ");
    for (uint32_t i = 0; i < in->n; i++) {
        bool text = is_moment(in->columns[i].form);
        buf_append_str(sql, i ? ", " : "");
        buf_append_str(sql, text ? "CAST(" : "");
        my_quote(sql, t->columns[i]->name);
        buf_append_str(sql, text ? " AS CHAR)" : "");
    }
    buf_printf(sql, "%s FROM %s", in->n ? "" : "1", t->name);
}

static int execute(struct driver *d, const struct target_table *t, struct table_in *in,
                   struct err *err)
{
    struct buf sql = {0};
    append_select(t, in, &sql);
    in->stmt = mysql_stmt_init(d->rows);
    int rc = in->stmt ? buf_check(&sql, err) : err_nomem(err);
    for (uint32_t i = 0; i < in->n; i++)
        bind_column(&in->columns[i], &in->binds[i]);
    if (rc == 0 && (mysql_stmt_prepare(in->stmt, (const char *)sql.data, sql.len) ||
                    (in->n > 0 && mysql_stmt_bind_result(in->stmt, in->binds)) ||
                    mysql_stmt_execute(in->stmt)))
        rc = my_statement_fail(in->stmt, "reading the rows", err);
    buf_free(&sql);
    return rc;
}

/* One row of those that come; *end: there was none any more. */
static int take_row(struct table_in *in, bool *end, struct err *err)
{
    int rc = mysql_stmt_fetch(in->stmt);
    *end = rc == MYSQL_NO_DATA;
    if (*end)
        return 0;
    if (rc != 0 && rc != MYSQL_DATA_TRUNCATED)
        return my_statement_fail(in->stmt, "reading the rows", err);
    bool moved = false;
    for (uint32_t i = 0; i < in->n; i++) {
        struct column_in *c = &in->columns[i];
        size_t cap = c->cap;
        if (fetch_rest(in->stmt, c, i, &in->binds[i], err))
            return -1;
        moved = moved || c->cap != cap;
        take_column(c, &in->row[i]);
    }
    return moved && mysql_stmt_bind_result(in->stmt, in->binds)
               ? my_statement_fail(in->stmt, "reading the rows", err)
               : 0;
}

static int take_rows(struct driver *d, struct table_in *in, driver_row_fn *fn, void *ctx,
                     struct err *err)
{
    bool end;
    for (;;) {
        if (take_row(in, &end, err))
            return -1;
        if (end)
            return 0;
        if (fn(ctx, in->row, err)) {
            my_disconnect(d); /* or the rest would come first */
            return -1;
        }
    }
}

static int read_into(struct driver *d, const struct target_table *t, struct table_in *in,
                     driver_row_fn *fn, void *ctx, struct err *err)
{
    for (uint32_t i = 0; i < in->n; i++)
        if (prepare_column(&in->columns[i], t, i, err))
            return -1;
    return execute(d, t, in, err) || take_rows(d, in, fn, ctx, err) ? -1 : 0;
}

/* One statement sees one state of the table, and locks nothing (InnoDB's consistent read). */
int my_read(struct driver *d, const struct target_table *table, driver_row_fn *fn, void *ctx,
            struct err *err)
{
    size_t n = (size_t)table->rel->ncolumns + 1;
    struct table_in in = {
        .n = table->rel->ncolumns,
        .columns = calloc(n, sizeof *in.columns),
        .binds = calloc(n, sizeof *in.binds),
        .row = calloc(n, sizeof *in.row),
    };
    int rc = -1;
    if (!in.columns || !in.binds || !in.row)
        (void)err_nomem(err);
    else
        rc = read_into(d, table, &in, fn, ctx, err);
    if (in.stmt)
        (void)mysql_stmt_close(in.stmt);
    for (uint32_t i = 0; in.columns && i < in.n; i++)
        free(in.columns[i].data);
    free(in.columns);
    free(in.binds);
    free(in.row);
    return rc;
}
