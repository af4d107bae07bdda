/*
 * Runs of rows into a table.
 *
 * A run is cut into slices: consecutive rows that the same statement can take. A slice goes to the
 * server at once. With arrays the server executes the statement once for each row, in order, which
 * is the same as one by one. Without them INSERT and DELETE have statements for many rows, for
 * which the order does not matter, and UPDATE goes one by one.
 *
 * What the server then counts is only a sum. It must be the number of rows, each of them found by a
 * unique index or LIMIT 1, so that no two can make up for one that is missing. If it is not, or a
 * row was refused, the slice is rolled back and its rows go one by one: that finds the one, and the
 * conflict.
 */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "frames/frame.h"
#include "mysql_dest.h"
#include "mysql_error.h"
#include "sql/dest_row.h"

#define SLICE_BYTES     (UINT64_C(4) << 20)
#define VALUE_OVERHEAD  10   /* of the protocol: a length, an indicator */
#define PACKET_OVERHEAD 4096 /* of the protocol: what comes before the first value */
#define MAX_PARAMETERS  65535

/* A statement's rows, ready to be bound. Kept, so that nothing is allocated for a run. */
struct batch {
    struct cell *cells; /* nrows * nparams */
    size_t cells_cap;
    MYSQL_BIND *binds;
    size_t binds_cap;
    uint8_t *arrays;
    size_t arrays_cap; /* cells */
    uint32_t *columns; /* of each parameter; what is written first, then the identity */
    size_t columns_cap;
    uint32_t nset, nparams;
    uint8_t flags[FRAME_MAX_COLUMNS]; /* of an UPDATE: the column is written */
    size_t nrows;
};

void mysql_batch_free(struct batch *b)
{
    if (!b)
        return;
    free(b->cells);
    free(b->binds);
    free(b->arrays);
    free(b->columns);
    free(b);
}

static int grow(void **memory, size_t *cap, size_t n, size_t size, struct err *err)
{
    if (n <= *cap)
        return 0;
    free(*memory); /* what it held is not needed any more */
    *memory = calloc(n, size);
    *cap = *memory ? n : 0;
    return *memory ? 0 : err_nomem(err);
}

/* ---- binding and executing ---- */

static struct cell *row_cells(const struct batch *b, size_t row)
{
    return b->cells + row * b->nparams;
}

static void bind_cell(MYSQL_BIND *bind, struct cell *cell, enum mysql_form form)
{
    memset(bind, 0, sizeof *bind);
    bind->buffer_type = form_field_type(form);
    bind->is_unsigned = form == FORM_BITS;
    bind->is_null = &cell->null;
    if (form_is_text(form)) {
        /* The library only reads it. */
        bind->buffer = (void *)(uintptr_t)(cell->data ? cell->data : "");
        bind->buffer_length = cell->size;
        bind->length = &cell->size;
    } else {
        bind->buffer = &cell->number;
    }
}

/* Executes a statement with `n` rows of cells as its parameters; *number: the server's error. */
static int execute_rows(struct dest *d, const struct dest_table *t, MYSQL_STMT *s, size_t row,
                        size_t n, uint64_t *affected, unsigned int *number, struct err *err)
{
    struct batch *b = d->batch;
    size_t nbinds = n * b->nparams;
    *number = 0;
    if (grow((void **)&b->binds, &b->binds_cap, nbinds + 1, sizeof *b->binds, err))
        return -1;
    struct cell *cells = row_cells(b, row);
    for (size_t i = 0; i < nbinds; i++)
        bind_cell(&b->binds[i], &cells[i], t->forms[b->columns[i % b->nparams]]);
    if (d->arrays)
        compat_array_size(s, 0);
    if ((nbinds > 0 && mysql_stmt_bind_param(s, b->binds)) || mysql_stmt_execute(s)) {
        *number = mysql_stmt_errno(s);
        return mysql_stmt_fail(s, "executing a statement", err);
    }
    *affected = mysql_stmt_affected_rows(s);
    return mysql_check_warnings(d->rows, err);
}

/* Lays a column of cells out as an array. */
static void fill_array(const struct batch *b, uint32_t param, enum mysql_form form,
                       const struct array_param *p)
{
    long long *integers = p->values;
    double *reals = p->values;
    float *singles = p->values;
    const char **texts = p->values;
    for (size_t row = 0; row < b->nrows; row++) {
        const struct cell *cell = &b->cells[row * b->nparams + param];
        p->nulls[row] = cell->null ? ARRAY_NULL : ARRAY_NOT_NULL;
        p->sizes[row] = cell->size;
        if (form_is_text(form))
            texts[row] = cell->data ? cell->data : "";
        else if (form == FORM_DOUBLE)
            reals[row] = cell->number.real;
        else if (form == FORM_FLOAT)
            singles[row] = cell->number.single;
        else
            integers[row] = cell->number.integer;
    }
}

/* Executes a statement for one row, for each row of the batch. */
static int execute_array(struct dest *d, const struct dest_table *t, MYSQL_STMT *s,
                         uint64_t *affected, struct err *err)
{
    struct batch *b = d->batch;
    const size_t value_bytes = sizeof(long long), size_bytes = sizeof(unsigned long);
    size_t ncells = b->nrows * b->nparams;
    if (grow((void **)&b->binds, &b->binds_cap, (size_t)b->nparams + 1, sizeof *b->binds, err) ||
        grow((void **)&b->arrays, &b->arrays_cap, ncells + 1, value_bytes + size_bytes + 1, err))
        return -1;
    uint8_t *values = b->arrays, *sizes = values + ncells * value_bytes,
            *nulls = sizes + ncells * size_bytes;
    for (uint32_t i = 0; i < b->nparams; i++) {
        enum mysql_form form = t->forms[b->columns[i]];
        size_t at = i * b->nrows;
        const struct array_param p = {
            .type = form_field_type(form),
            .values = values + at * value_bytes,
            .sizes = (unsigned long *)(void *)(sizes + at * size_bytes),
            .nulls = (char *)nulls + at,
        };
        fill_array(b, i, form, &p);
        memset(&b->binds[i], 0, sizeof b->binds[i]);
        compat_array_bind(&b->binds[i], &p);
        b->binds[i].is_unsigned = form == FORM_BITS;
    }
    compat_array_size(s, (unsigned int)b->nrows);
    if (mysql_stmt_bind_param(s, b->binds) || mysql_stmt_execute(s))
        return mysql_stmt_fail(s, "executing a statement", err);
    *affected = mysql_stmt_affected_rows(s);
    return mysql_check_warnings(d->rows, err);
}

/* ---- the parameters of a row ---- */

/* Says what the parameters are: the columns flagged in `set`, then the identity where asked for. */
static int set_parameters(struct dest *d, const struct dest_table *t, const uint8_t *set,
                          bool identity, struct err *err)
{
    uint32_t n = t->rel->ncolumns;
    if (!d->batch)
        d->batch = calloc(1, sizeof *d->batch);
    if (!d->batch)
        return err_nomem(err);
    struct batch *b = d->batch;
    if (grow((void **)&b->columns, &b->columns_cap, 2 * (size_t)n + 1, sizeof *b->columns, err))
        return -1;
    b->nparams = b->nset = 0;
    for (uint32_t i = 0; i < n; i++) {
        b->flags[i] = set && set[i];
        if (b->flags[i])
            b->columns[b->nset++] = i;
    }
    b->nparams = b->nset;
    for (uint32_t i = 0; identity && i < t->identity.n; i++)
        b->columns[b->nparams++] = t->identity.columns[i];
    b->nrows = 0;
    return 0;
}

/* Fills a row of cells; *bytes: what it takes in a packet. */
static int fill_row(struct dest *d, const struct dest_table *t, size_t row,
                    const struct value *values, const struct value *identity, uint64_t *bytes,
                    struct err *err)
{
    const struct batch *b = d->batch;
    struct cell *cells = row_cells(b, row);
    *bytes = 0;
    for (uint32_t i = 0; i < b->nparams; i++) {
        uint32_t column = b->columns[i];
        const struct value *v = i < b->nset ? &values[column] : &identity[column];
        /* A row without anything to write writes its identity, which may not have been sent. */
        if (v->kind == VALUE_UNCHANGED && i < b->nset && identity)
            v = &identity[column];
        if (cell_set(&cells[i], t->forms[column], v, &d->policy, err))
            return err_context(err, "column %s", t->rel->columns[column].name);
        *bytes += cells[i].size + VALUE_OVERHEAD;
    }
    if (*bytes + PACKET_OVERHEAD + 2 * (uint64_t)b->nparams > d->max_packet) {
        (void)err_set(err, ERR_PERMANENT,
                      "the row takes %" PRIu64
                      " bytes, and max_allowed_packet of the server is %" PRIu64,
                      *bytes, d->max_packet);
        return err_hint(err, "set max_allowed_packet of the server higher, up to 1 GiB");
    }
    return 0;
}

/* One row of parameters. */
static int set_row(struct dest *d, const struct dest_table *t, const uint8_t *set,
                   const struct value *values, const struct value *identity, struct err *err)
{
    uint64_t bytes;
    if (set_parameters(d, t, set, identity != NULL, err) ||
        grow((void **)&d->batch->cells, &d->batch->cells_cap, (size_t)d->batch->nparams + 1,
             sizeof *d->batch->cells, err) ||
        fill_row(d, t, 0, values, identity, &bytes, err))
        return -1;
    d->batch->nrows = 1;
    return 0;
}

/* ---- one row ---- */

static int insert_values(struct dest *d, struct dest_run *run, const struct value *values,
                         bool *exists, struct err *err)
{
    struct dest_table *t = run->table;
    MYSQL_STMT *s;
    uint64_t affected;
    unsigned int number;
    memset(t->scratch, 1, t->rel->ncolumns);
    if (set_row(d, t, t->scratch, values, NULL, err) || table_insert(d, t, 0, &s, err))
        return -1;
    int rc = execute_rows(d, t, s, 0, 1, &affected, &number, err);
    *exists = rc && mysql_error_is_duplicate(number);
    if (*exists)
        err_clear(err);
    return *exists ? 0 : rc;
}

static int update_values(struct dest *d, struct dest_run *run, const uint8_t *columns,
                         const struct dest_row *row, uint64_t *matched, struct err *err)
{
    MYSQL_STMT *s;
    unsigned int number;
    return set_row(d, run->table, columns, row->new, identity_of_row(row), err) ||
                   table_update(d, run->table, d->batch->flags, &s, err) ||
                   execute_rows(d, run->table, s, 0, 1, matched, &number, err)
               ? -1
               : 0;
}

static int delete_values(struct dest *d, struct dest_run *run, const struct value *identity,
                         uint64_t *matched, struct err *err)
{
    MYSQL_STMT *s;
    unsigned int number;
    return set_row(d, run->table, NULL, NULL, identity, err) ||
                   table_delete(d, run->table, 0, &s, err) ||
                   execute_rows(d, run->table, s, 0, 1, matched, &number, err)
               ? -1
               : 0;
}

static const struct dest_row_ops row_ops = {insert_values, update_values, delete_values};

static int apply_row(struct dest *d, struct dest_run *run, size_t i, struct err *err)
{
    return dest_row_apply(d, run, i, &row_ops, &run->table->identity, run->table->scratch, err);
}

/* ---- a slice ---- */

/* Whether rows of this run may share a statement; see the top. */
static bool can_batch(const struct dest *d, const struct dest_run *run)
{
    const struct dest_table *t = run->table;
    if (run->nrows < 2 || run->relation->ncolumns == 0)
        return false;
    if (run->kind == DEST_INSERT)
        return true;
    if (d->arrays)
        return t->unique || t->identity.by_all_columns;
    return run->kind == DEST_DELETE && t->unique;
}

/* Fills the batch with the rows from `first` on that can share a statement; there is always one. */
static int take_slice(struct dest *d, struct dest_run *run, size_t first, struct err *err)
{
    struct dest_table *t = run->table;
    uint64_t bytes, total = 0;
    uint64_t most = d->max_packet - d->max_packet / 8;
    if (most > SLICE_BYTES)
        most = SLICE_BYTES;
    memset(t->scratch, run->kind == DEST_INSERT, t->rel->ncolumns);
    if (run->kind == DEST_UPDATE)
        identity_choose_columns(&t->identity, t->rel, &run->rows[first], t->scratch);
    if (set_parameters(d, t, t->scratch, run->kind != DEST_INSERT, err))
        return -1;
    struct batch *b = d->batch;
    if (grow((void **)&b->cells, &b->cells_cap, (run->nrows - first) * b->nparams + 1,
             sizeof *b->cells, err))
        return -1;
    for (size_t i = first; i < run->nrows; i++) {
        const struct dest_row *row = &run->rows[i];
        if (run->kind == DEST_UPDATE) {
            identity_choose_columns(&t->identity, t->rel, row, t->scratch);
            if (memcmp(t->scratch, b->flags, t->rel->ncolumns) != 0)
                break;
        }
        if (fill_row(d, t, b->nrows, row->new, identity_of_row(row), &bytes, err)) {
            run->failed = i;
            return -1;
        }
        total += bytes;
        if (b->nrows > 0 && total > most)
            break;
        b->nrows++;
    }
    return 0;
}

/* INSERT and DELETE with statements for several rows, the largest first. */
static int execute_chunks(struct dest *d, struct dest_run *run, uint64_t *affected, struct err *err)
{
    const struct batch *b = d->batch;
    *affected = 0;
    for (size_t at = 0; at < b->nrows;) {
        size_t size = ROW_STATEMENTS - 1;
        while (size > 0 && (statement_rows(size) > b->nrows - at ||
                            (uint64_t)statement_rows(size) * b->nparams > MAX_PARAMETERS))
            size--;
        MYSQL_STMT *s;
        uint64_t n;
        unsigned int number;
        if ((run->kind == DEST_INSERT ? table_insert(d, run->table, size, &s, err)
                                      : table_delete(d, run->table, size, &s, err)) ||
            execute_rows(d, run->table, s, at, statement_rows(size), &n, &number, err))
            return -1;
        *affected += n;
        at += statement_rows(size);
    }
    return 0;
}

static int execute_slice(struct dest *d, struct dest_run *run, uint64_t *affected, struct err *err)
{
    struct dest_table *t = run->table;
    MYSQL_STMT *s;
    if (!d->arrays)
        return execute_chunks(d, run, affected, err);
    int rc = run->kind == DEST_INSERT   ? table_insert(d, t, 0, &s, err)
             : run->kind == DEST_UPDATE ? table_update(d, t, d->batch->flags, &s, err)
                                        : table_delete(d, t, 0, &s, err);
    return rc ? rc : execute_array(d, t, s, affected, err);
}

static int apply_slice(struct dest *d, struct dest_run *run, size_t first, struct err *err)
{
    size_t n = d->batch->nrows;
    uint64_t affected = 0;
    if (n == 1)
        return apply_row(d, run, first, err);
    if (mysql_run(d->rows, "SAVEPOINT pg2any", NULL, err))
        return -1;
    int rc = execute_slice(d, run, &affected, err);
    if (rc == 0 && affected == n)
        return 0;
    if (rc && err->kind != ERR_PERMANENT)
        return -1;
    err_clear(err);
    if (mysql_run(d->rows, "ROLLBACK TO SAVEPOINT pg2any", NULL, err))
        return -1;
    for (size_t i = first; i < first + n; i++)
        if (apply_row(d, run, i, err))
            return -1;
    return 0;
}

static int mark(struct dest *d, struct dest_table *t, struct err *err)
{
    if (t->dirty_in == d->transaction)
        return 0;
    if (mysql_mark_dirty(d, t->target, err))
        return -1;
    t->dirty_in = d->transaction;
    return 0;
}

int mysql_apply(struct dest *d, struct dest_run *run, struct err *err)
{
    if (mark(d, run->table, err))
        return -1;
    if (run->kind != DEST_INSERT && identity_require(&run->table->identity, err))
        return -1;
    bool batch = can_batch(d, run);
    for (size_t i = 0; i < run->nrows;) {
        if (!batch) {
            if (apply_row(d, run, i, err))
                return -1;
            i++;
            continue;
        }
        if (take_slice(d, run, i, err))
            return -1;
        size_t n = d->batch->nrows; /* a row by itself uses the batch too */
        if (apply_slice(d, run, i, err))
            return -1;
        i += n;
    }
    return 0;
}

/*
 * TRUNCATE TABLE commits the open transaction; DELETE does not. cascade: the source sent every
 * published table that it emptied. Sequences are not replicated.
 */
int mysql_truncate(struct dest *d, struct dest_table *const *tables, size_t ntables, bool cascade,
                   bool restart_identity, struct err *err)
{
    (void)cascade;
    (void)restart_identity;
    for (size_t i = 0; i < ntables; i++) {
        struct buf sql = {0};
        buf_printf(&sql, "DELETE FROM %s", tables[i]->target);
        if (mark(d, tables[i], err) || mysql_run_buf(d->rows, &sql, NULL, err)) {
            buf_free(&sql);
            return err_context(err, "table %s", tables[i]->target);
        }
    }
    return 0;
}
