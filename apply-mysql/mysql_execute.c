/*
 * A slice of rows: the statement, the values, executing it.
 *
 * With arrays the server executes a statement once for each row, in order, which is the same as one
 * by one. INSERT without them, and DELETE by a key, have statements for many rows, for which the
 * order does not matter: the server plans such a DELETE once. What it counts is only a sum: if that
 * is not the number of rows, or a row was refused, the slice is rolled back.
 *
 * Names stand in backticks, values are parameters. Where several rows may have the identity it is
 * compared NULL-safely, and one of them is touched.
 */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "mysql_driver.h"
#include "sql/table.h"

#define VALUE_OVERHEAD  10   /* of the protocol: a length, an indicator */
#define PACKET_OVERHEAD 4096 /* of the protocol: what comes before the first value */
#define MAX_PARAMETERS  65535
#define SMALLEST_CHUNK  64 /* fewer rows go as an array, in one round trip */

/* ---- statements ---- */

struct my_statement {
    struct statement base;
    MYSQL_STMT *stmt;
};

void my_free_statement(struct statement *s)
{
    struct my_statement *mine = (struct my_statement *)s;
    if (mine->stmt)
        (void)mysql_stmt_close(mine->stmt);
    free(mine);
}

/* Appends names of columns, each followed by `after`. */
static void append_names(const struct relation *rel, const uint32_t *columns, uint32_t n,
                         const char *between, const char *after, struct buf *sql)
{
    for (uint32_t i = 0; i < n; i++) {
        buf_append_str(sql, i ? between : "");
        my_quote(sql, rel->columns[columns[i]].name);
        buf_append_str(sql, after);
    }
}

/* Appends a parameter for each column, for each row: "(?,?),(?,?)". */
static void append_parameters(uint32_t ncolumns, uint32_t nrows, struct buf *sql)
{
    for (uint32_t row = 0; row < nrows; row++) {
        buf_append_str(sql, row ? ",(" : "(");
        for (uint32_t i = 0; i < ncolumns; i++)
            buf_append_str(sql, i ? ",?" : "?");
        buf_append_byte(sql, ')');
    }
}

/* Appends " WHERE …" for rows that are found by their identity. */
static void append_where(const struct target_table *t, uint32_t nrows, struct buf *sql)
{
    const struct identity *id = &t->identity;
    if (nrows > 1) {
        buf_append_str(sql, " WHERE (");
        append_names(t->rel, id->columns, id->n, ",", "", sql);
        buf_append_str(sql, ") IN (");
        append_parameters(id->n, nrows, sql);
        buf_append_byte(sql, ')');
        return;
    }
    buf_append_str(sql, id->n > 0 ? " WHERE " : "");
    append_names(t->rel, id->columns, id->n, " AND ", id->by_all_columns ? " <=> ?" : " = ?", sql);
    buf_append_str(sql, id->by_all_columns ? " LIMIT 1" : "");
}

/*
 * MySQL assigns from left to right, and an expression sees what was assigned before it. Here only
 * parameters stand on the right, so a key among the columns changes nothing for the others, and
 * WHERE is evaluated before.
 */
static void append_statement(const struct batch *b, const struct slice *slice, uint32_t nrows,
                             struct buf *sql)
{
    const struct target_table *t = slice->table;
    switch (slice->kind) {
    case CHANGE_INSERT:
        buf_printf(sql, "INSERT INTO %s (", t->name);
        append_names(t->rel, b->columns, b->nset, ",", "", sql);
        buf_append_str(sql, ") VALUES ");
        append_parameters(b->nset, nrows, sql);
        break;
    case CHANGE_UPDATE:
        buf_printf(sql, "UPDATE %s SET ", t->name);
        append_names(t->rel, b->columns, b->nset, ", ", " = ?", sql);
        append_where(t, nrows, sql);
        break;
    case CHANGE_DELETE:
        buf_printf(sql, "DELETE FROM %s", t->name);
        append_where(t, nrows, sql);
        break;
    }
}

/* Prepares a statement, which is used up. max_prepared_stmt_count is for all connections of the
 * server: those that are kept make room. */
static int prepare(MYSQL_STMT *s, struct buf *sql, struct statements *kept, struct err *err)
{
    int rc = s ? buf_check(sql, err) : err_nomem(err);
    while (rc == 0 && mysql_stmt_prepare(s, (const char *)sql->data, sql->len))
        if (mysql_stmt_errno(s) != MY_TOO_MANY_STATEMENTS || !statements_shrink(kept))
            rc = my_statement_fail(s, buf_cstr(sql), err);
    buf_free(sql);
    return rc;
}

static struct statement *make_statement(struct driver *d, const struct slice *slice, int kind,
                                        uint32_t nrows, struct err *err)
{
    (void)kind;
    struct buf sql = {0};
    struct my_statement *s = calloc(1, sizeof *s);
    if (!s) {
        (void)err_nomem(err);
        return NULL;
    }
    append_statement(&d->batch, slice, nrows, &sql);
    s->stmt = mysql_stmt_init(d->rows);
    if (prepare(s->stmt, &sql, slice->statements, err) == 0)
        return &s->base;
    my_free_statement(&s->base);
    return NULL;
}

/* ---- values ---- */

void my_batch_free(struct batch *b)
{
    free(b->values);
    free(b->sizes);
    free(b->nulls);
    free(b->rooms);
    free(b->binds);
    b->cap = b->binds_cap = 0;
}

static int make_room(struct batch *b, size_t nvalues, size_t nbinds, struct err *err)
{
    if (nvalues <= b->cap && nbinds <= b->binds_cap)
        return 0;
    my_batch_free(b);
    b->values = calloc(nvalues, sizeof *b->values);
    b->sizes = calloc(nvalues, sizeof *b->sizes);
    b->nulls = calloc(nvalues, sizeof *b->nulls);
    b->rooms = calloc(nvalues, sizeof *b->rooms);
    b->binds = calloc(nbinds, sizeof *b->binds);
    if (!b->values || !b->sizes || !b->nulls || !b->rooms || !b->binds)
        return err_nomem(err);
    b->cap = nvalues;
    b->binds_cap = nbinds;
    return 0;
}

/* Whether one statement for many rows finds them by their keys. */
static bool is_by_keys(const struct slice *slice)
{
    return slice->kind == CHANGE_DELETE && slice->table->unique;
}

/* Says what the parameters of a row are: the columns that are written, then the identity. */
static int set_parameters(struct driver *d, const struct slice *slice, struct err *err)
{
    struct batch *b = &d->batch;
    const struct target_table *t = slice->table;
    b->nrows = slice->nrows;
    b->nset = 0;
    for (uint32_t i = 0; i < t->rel->ncolumns; i++)
        if (slice->columns[i])
            b->columns[b->nset++] = i;
    b->nparams = b->nset;
    for (uint32_t i = 0; slice->kind != CHANGE_INSERT && i < t->identity.n; i++)
        b->columns[b->nparams++] = t->identity.columns[i];
    size_t n = b->nrows * b->nparams;
    bool arrays = d->arrays && !is_by_keys(slice);
    return make_room(b, n + 1, (arrays ? b->nparams : n) + 1, err);
}

static int set_row(struct driver *d, const struct slice *slice, size_t i, struct err *err)
{
    const struct batch *b = &d->batch;
    const struct target_table *t = slice->table;
    const struct row_change *row = &slice->rows[i];
    const struct value *identity = identity_of_row(row);
    uint64_t bytes = 0;
    for (uint32_t p = 0; p < b->nparams; p++) {
        uint32_t column = b->columns[p];
        const struct value *v = p < b->nset ? slice_value(row, column) : &identity[column];
        size_t at = p * b->nrows + i;
        struct source_cell cell;
        if (source_read(&cell, (enum source_form)t->forms[column], v, &my_types, &d->policy,
                        b->rooms[at], err))
            return err_context(err, "column %s", t->rel->columns[column].name);
        b->values[at] = cell.value;
        b->sizes[at] = cell.size;
        b->nulls[at] = cell.null;
        bytes += cell.size + VALUE_OVERHEAD;
    }
    if (bytes + PACKET_OVERHEAD + 2 * (uint64_t)b->nparams <= d->max_packet)
        return 0;
    (void)err_set(err, ERR_PERMANENT,
                  "the row takes %" PRIu64
                  " bytes, and max_allowed_packet of the server is %" PRIu64,
                  bytes, d->max_packet);
    return err_hint(err, "raise the server's max_allowed_packet, up to 1 GiB");
}

static int set_rows(struct driver *d, const struct slice *slice, struct slice_result *result,
                    struct err *err)
{
    if (set_parameters(d, slice, err))
        return -1;
    for (size_t i = 0; i < slice->nrows; i++)
        if (set_row(d, slice, i, err)) {
            result->failed = i;
            return -1;
        }
    return 0;
}

/* ---- binding and executing ---- */

/* Binds a parameter of `n` rows, from `first` on: for each its value, or the array that begins
 * there. */
static void bind_parameter(struct batch *b, const struct target_table *t, uint32_t parameter,
                           size_t first, size_t n, bool array)
{
    static const enum enum_field_types types[] = {
        [FORM_BOOL] = MYSQL_TYPE_LONGLONG,      [FORM_INTEGER] = MYSQL_TYPE_LONGLONG,
        [FORM_BITS] = MYSQL_TYPE_LONGLONG,      [FORM_SINGLE] = MYSQL_TYPE_DOUBLE,
        [FORM_DOUBLE] = MYSQL_TYPE_DOUBLE,      [FORM_DECIMAL] = MYSQL_TYPE_NEWDECIMAL,
        [FORM_MONEY] = MYSQL_TYPE_NEWDECIMAL,   [FORM_DATE] = MYSQL_TYPE_STRING,
        [FORM_TIME] = MYSQL_TYPE_STRING,        [FORM_TIMESTAMP] = MYSQL_TYPE_STRING,
        [FORM_TIMESTAMPTZ] = MYSQL_TYPE_STRING, [FORM_UUID] = MYSQL_TYPE_STRING,
        [FORM_TEXT] = MYSQL_TYPE_STRING,        [FORM_BYTES] = MYSQL_TYPE_LONG_BLOB,
    };
    enum source_form form = (enum source_form)t->forms[b->columns[parameter]];
    MYSQL_BIND *to = &b->binds[parameter];
    size_t at = parameter * b->nrows + first;
    for (size_t end = at + n; at < end; at++, to += b->nparams) {
        *to = (MYSQL_BIND){
            .buffer_type = types[form],
            .is_unsigned = (compat_bool)(form == FORM_BITS),
            .buffer = &b->values[at],
            .length = &b->sizes[at],
        };
        if (array) {
            compat_array_nulls(to, &b->nulls[at]);
            continue;
        }
        to->is_null = &b->nulls[at];
        to->buffer_length = b->sizes[at];
        if (!source_form_is_number(form)) /* the library only reads it */
            to->buffer = (void *)(uintptr_t)b->values[at].text;
    }
}

/* Executes a statement for `n` rows, from `first` on; `array`: one for one row, for each of so many
 * rows; 0: without an array. */
static int run_statement(struct driver *d, const struct slice *slice, size_t first, uint32_t n,
                         size_t array, uint64_t *affected, struct err *err)
{
    struct batch *b = &d->batch;
    size_t nbinds = (size_t)n * b->nparams;
    struct statement *kept = slice_statement(d, slice, (int)slice->kind, n, make_statement, err);
    if (!kept)
        return -1;
    MYSQL_STMT *s = ((struct my_statement *)kept)->stmt;
    for (uint32_t i = 0; i < b->nparams; i++)
        bind_parameter(b, slice->table, i, first, n, array > 0);
    if (d->arrays)
        compat_array_size(s, (unsigned int)array);
    if ((nbinds > 0 && mysql_stmt_bind_param(s, b->binds)) || mysql_stmt_execute(s)) {
        d->duplicate = my_error_is_duplicate(mysql_stmt_errno(s));
        return my_statement_fail(s, "executing a statement", err);
    }
    *affected = mysql_stmt_affected_rows(s);
    return my_check_warnings(d->rows, err);
}

/* Executes statements for several rows, the largest first; what is left of them goes as an array,
 * where there are arrays. */
static int execute_chunks(struct driver *d, const struct slice *slice, uint64_t *affected,
                          struct err *err)
{
    static const uint32_t sizes[] = {512, 64, 8, 1};
    const uint32_t *size = sizes;
    for (size_t at = 0, left = slice->nrows; left > 0; left = slice->nrows - at) {
        uint64_t n = 0;
        while (*size > 1 && (*size > left || (uint64_t)*size * d->batch.nparams > MAX_PARAMETERS))
            size++;
        bool array = d->arrays && *size < SMALLEST_CHUNK;
        if (array ? run_statement(d, slice, at, 1, left, &n, err)
                  : run_statement(d, slice, at, *size, 0, &n, err))
            return -1;
        at += array ? left : *size;
        *affected += n;
    }
    return 0;
}

static int undo_slice(struct driver *d, struct err *err)
{
    struct err lost = {0};
    if (my_run(d->rows, "ROLLBACK TO SAVEPOINT pg2any", &lost) == 0)
        return 0;
    *err = lost;
    return -1;
}

static int execute_slice(struct driver *d, const struct slice *slice, struct slice_result *result,
                         struct err *err)
{
    uint64_t affected = 0;
    if (!slice->rolls_back && my_run(d->rows, "SAVEPOINT pg2any", err))
        return -1;
    int rc = d->arrays && !is_by_keys(slice)
                 ? run_statement(d, slice, 0, 1, slice->nrows, &affected, err)
                 : execute_chunks(d, slice, &affected, err);
    if (rc == 0 && affected == slice->nrows)
        return 0;
    if ((rc && err->kind != ERR_PERMANENT) || (!slice->rolls_back && undo_slice(d, err)))
        return -1;
    result->undone = rc != 0 && !slice->rolls_back;
    result->outcome = SLICE_SUM;
    return rc;
}

static int execute_row(struct driver *d, const struct slice *slice, struct slice_result *result,
                       struct err *err)
{
    bool insert = slice->kind == CHANGE_INSERT;
    d->duplicate = false;
    if (run_statement(d, slice, 0, 1, 0, &result->matched, err)) {
        result->exists = d->duplicate;
        if (!insert || !d->duplicate)
            return -1;
        err_clear(err);
    }
    if (result->exists || (!insert && result->matched != 1))
        result->outcome = SLICE_ONE_ROW;
    return 0;
}

int my_execute(struct driver *d, const struct slice *slice, struct slice_result *result,
               struct err *err)
{
    if (set_rows(d, slice, result, err))
        return -1;
    return slice->nrows == 1 ? execute_row(d, slice, result, err)
                             : execute_slice(d, slice, result, err);
}
