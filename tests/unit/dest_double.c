#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include <cmocka.h>

#include "dest_double.h"

struct dest_table {
    char target[DOUBLE_TEXT];
    const struct relation *rel;
};

static bool same_name(const struct dest *d, const char *a, const char *b)
{
    return (d->folds_case ? strcasecmp(a, b) : strcmp(a, b)) == 0;
}

static void copy_text(char to[DOUBLE_TEXT], const char *from, size_t size)
{
    if (size >= DOUBLE_TEXT)
        fail_msg("the test double has no room for \"%.*s\"", (int)size, from);
    memcpy(to, from, size);
    to[size] = '\0';
}

/* ---- calls and failures ---- */

static bool fails_now(struct dest *d)
{
    d->ncalls++;
    return d->fail_at != 0 && d->ncalls >= d->fail_at && d->ncalls - d->fail_at < d->nfail;
}

static int let_fail(struct dest *d, struct err *err)
{
    d->broken = true;
    d->failed = true;
    return err_set(err, d->fail_kind, "told to fail at call %ju", (uintmax_t)d->ncalls);
}

static int call(struct dest *d, struct err *err, const char *fmt, ...) PRINTF_LIKE(3, 4);

static int call(struct dest *d, struct err *err, const char *fmt, ...)
{
    char text[128];
    va_list ap;
    va_start(ap, fmt);
    (void)vsnprintf(text, sizeof text, fmt, ap);
    va_end(ap);
    if (d->broken)
        fail_msg("%s after a failure, without a reset", text);
    if (fails_now(d))
        return let_fail(d, err);
    buf_printf(&d->calls, "%s\n", text);
    return 0;
}

static void within(const struct dest *d, const char *what)
{
    if (!d->in_transaction)
        fail_msg("%s outside a transaction", what);
}

/* ---- transactions ---- */

static int double_reset(struct dest *d, struct err *err)
{
    d->broken = false;
    if (d->in_transaction)
        d->now = d->before;
    d->in_transaction = false;
    return call(d, err, "reset");
}

void double_disconnect(struct dest *d)
{
    if (d->in_transaction)
        d->now = d->before;
    d->in_transaction = false;
    d->broken = false;
    assert_int_equal(d->open_tables, 0);
}

static int double_checkpoint_get(struct dest *d, const char *origin, struct checkpoint *out,
                                 bool *found, struct err *err)
{
    if (call(d, err, "checkpoint_get %s", origin))
        return -1;
    *found = d->now.has_checkpoint;
    if (*found)
        *out = d->now.checkpoint;
    return 0;
}

static int double_begin(struct dest *d, struct err *err)
{
    assert_false(d->in_transaction);
    if (call(d, err, "begin"))
        return -1;
    d->before = d->now;
    d->in_transaction = true;
    return 0;
}

static int double_commit(struct dest *d, const char *origin, const struct checkpoint *checkpoint,
                         struct err *err)
{
    within(d, "commit");
    assert_false(d->broken);
    assert_true(*origin);
    bool fails = fails_now(d);
    if (fails && !d->lose_answer)
        return let_fail(d, err);
    d->now.has_checkpoint = true;
    d->now.checkpoint = *checkpoint;
    d->in_transaction = false;
    if (d->on_commit)
        d->on_commit(d->on_commit_arg, d);
    if (fails)
        return let_fail(d, err);
    buf_printf(&d->calls, "commit %ju\n", (uintmax_t)checkpoint->remote_lsn);
    return 0;
}

/* ---- schema ---- */

static struct double_table *find_table(struct dest *d, const char *name)
{
    for (size_t i = 0; i < d->now.ntables; i++)
        if (same_name(d, d->now.tables[i].name, name))
            return &d->now.tables[i];
    return NULL;
}

static struct double_table *get_table(struct dest *d, const char *name)
{
    struct double_table *t = find_table(d, name);
    if (!t)
        fail_msg("the target has no table %s", name);
    return t;
}

static int find_column(const struct dest *d, const struct double_table *t, const char *name)
{
    for (size_t i = 0; i < t->ncolumns; i++)
        if (same_name(d, t->columns[i], name))
            return (int)i;
    return -1;
}

static int get_column(const struct dest *d, const struct double_table *t, const char *name)
{
    int at = find_column(d, t, name);
    if (at < 0)
        fail_msg("table %s has no column %s", t->name, name);
    return at;
}

static struct double_table *make_table(struct dest *d, const char *name)
{
    assert_true(d->now.ntables < DOUBLE_TABLES);
    struct double_table *t = &d->now.tables[d->now.ntables++];
    memset(t, 0, sizeof *t);
    copy_text(t->name, name, strlen(name));
    return t;
}

static void make_column(struct double_table *t, const char *name, const char *value)
{
    assert_true(t->ncolumns < DOUBLE_COLUMNS);
    for (size_t i = 0; i < t->nrows; i++)
        copy_text(t->rows[i].values[t->ncolumns], value, strlen(value));
    copy_text(t->columns[t->ncolumns++], name, strlen(name));
}

static int double_target_name(struct dest *d, const struct relation *rel, struct buf *out,
                              struct err *err)
{
    within(d, "target_name");
    if (call(d, err, "target_name %s", rel->name))
        return -1;
    buf_append_str(out, rel->name);
    return 0;
}

static struct double_memory *find_memory(struct dest *d, uint32_t relid, const char *target)
{
    for (size_t i = 0; i < d->now.nmemories; i++) {
        struct double_memory *m = &d->now.memories[i];
        if (relid ? m->relid == relid : same_name(d, m->target, target))
            return m;
    }
    return NULL;
}

static int double_relation_get(struct dest *d, const char *origin, uint32_t relid,
                               const char *by_target, struct buf *target, struct buf *frame,
                               uint32_t *relid_found, struct err *err)
{
    within(d, "relation_get");
    if (call(d, err, "relation_get %s %u", origin, relid))
        return -1;
    const struct double_memory *m = find_memory(d, relid, by_target);
    if (!m)
        return 0;
    buf_append_str(target, m->target);
    buf_append(frame, m->frame, m->size);
    if (relid_found)
        *relid_found = m->relid;
    return 0;
}

static int double_relation_put(struct dest *d, const char *origin, const struct relation *rel,
                               const char *target, const struct buf *frame, struct err *err)
{
    within(d, "relation_put");
    if (call(d, err, "relation_put %s %u", origin, rel->relid))
        return -1;
    struct double_memory *m = find_memory(d, rel->relid, target);
    if (!m) {
        assert_true(d->now.nmemories < DOUBLE_TABLES);
        m = &d->now.memories[d->now.nmemories++];
    }
    assert_true(frame->len <= DOUBLE_FRAME);
    m->relid = rel->relid;
    copy_text(m->target, target, strlen(target));
    m->size = frame->len;
    memcpy(m->frame, frame->data, frame->len);
    return 0;
}

static int double_table_exists(struct dest *d, const char *target, bool *exists, struct err *err)
{
    within(d, "table_exists");
    *exists = find_table(d, target) != NULL;
    return call(d, err, "table_exists %s", target);
}

static int double_table_empty(struct dest *d, const char *target, bool *empty, struct err *err)
{
    within(d, "table_empty");
    *empty = get_table(d, target)->nrows == 0;
    return call(d, err, "table_empty %s", target);
}

static int double_table_create(struct dest *d, const char *target, const struct relation *rel,
                               struct err *err)
{
    within(d, "table_create");
    if (call(d, err, "table_create %s", target))
        return -1;
    assert_null(find_table(d, target));
    struct double_table *t = make_table(d, target);
    for (uint32_t i = 0; i < rel->ncolumns; i++)
        make_column(t, rel->columns[i].name, "~");
    return 0;
}

static int double_table_rename(struct dest *d, const char *target, const char *to, struct err *err)
{
    within(d, "table_rename");
    if (call(d, err, "table_rename %s %s", target, to))
        return -1;
    assert_null(find_table(d, to));
    copy_text(get_table(d, target)->name, to, strlen(to));
    return 0;
}

static int double_column_exists(struct dest *d, const char *target, const char *column,
                                bool *exists, struct err *err)
{
    within(d, "column_exists");
    *exists = find_column(d, get_table(d, target), column) >= 0;
    return call(d, err, "column_exists %s %s", target, column);
}

static int double_column_add(struct dest *d, const char *target, const struct relation *rel,
                             uint32_t column, struct err *err)
{
    const struct column *c = &rel->columns[column];
    within(d, "column_add");
    if (call(d, err, "column_add %s %s", target, c->name))
        return -1;
    struct double_table *t = get_table(d, target);
    assert_int_equal(find_column(d, t, c->name), -1);
    make_column(t, c->name, c->fill == FILL_VALUE ? c->fill_value : "~");
    return 0;
}

static int double_column_drop(struct dest *d, const char *target, const char *column,
                              struct err *err)
{
    within(d, "column_drop");
    if (call(d, err, "column_drop %s %s", target, column))
        return -1;
    struct double_table *t = get_table(d, target);
    size_t at = (size_t)get_column(d, t, column);
    size_t after = --t->ncolumns - at;
    memmove(t->columns[at], t->columns[at + 1], after * sizeof *t->columns);
    for (size_t i = 0; i < t->nrows; i++)
        memmove(t->rows[i].values[at], t->rows[i].values[at + 1],
                after * sizeof *t->rows[i].values);
    return 0;
}

static int double_column_rename(struct dest *d, const char *target, const char *column,
                                const char *to, struct err *err)
{
    within(d, "column_rename");
    if (call(d, err, "column_rename %s %s %s", target, column, to))
        return -1;
    struct double_table *t = get_table(d, target);
    int at = get_column(d, t, column), there = find_column(d, t, to);
    assert_true(there < 0 || there == at);
    copy_text(t->columns[at], to, strlen(to));
    return 0;
}

static bool double_column_same_type(struct dest *d, const struct column *a, const struct column *b)
{
    (void)d;
    return a->base_type_oid == b->base_type_oid;
}

static int double_table_open(struct dest *d, const char *target, const struct relation *rel,
                             struct dest_table **table, struct err *err)
{
    within(d, "table_open");
    if (call(d, err, "table_open %s", target))
        return -1;
    const struct double_table *there = find_table(d, target);
    for (uint32_t i = 0; i < rel->ncolumns; i++)
        if (!there || find_column(d, there, rel->columns[i].name) < 0)
            return err_set(err, ERR_PERMANENT, "the target table %s has no column %s", target,
                           rel->columns[i].name);
    struct dest_table *t = calloc(1, sizeof *t);
    assert_non_null(t);
    copy_text(t->target, target, strlen(target));
    t->rel = rel;
    d->open_tables++;
    *table = t;
    return 0;
}

static void double_table_close(struct dest *d, struct dest_table *table)
{
    assert_true(d->open_tables > 0);
    d->open_tables--;
    free(table);
}

/* ---- rows ---- */

static void value_text(const struct value *v, char out[DOUBLE_TEXT])
{
    if (v->kind == VALUE_NULL)
        copy_text(out, "~", 1);
    else
        copy_text(out, v->data, v->size);
}

/* The row whose replica identity is that of `values`; -1: none. */
static int find_row(const struct dest *d, const struct double_table *t, const struct relation *rel,
                    const struct value *values)
{
    for (size_t r = 0; r < t->nrows; r++) {
        bool same = true;
        for (uint32_t i = 0; i < rel->ncolumns; i++) {
            char text[DOUBLE_TEXT];
            if (!rel->columns[i].key)
                continue;
            value_text(&values[i], text);
            same = same &&
                   strcmp(t->rows[r].values[get_column(d, t, rel->columns[i].name)], text) == 0;
        }
        if (same)
            return (int)r;
    }
    return -1;
}

static int write_row(const struct dest *d, struct double_table *t, const struct relation *rel,
                     const struct value *values, struct double_row *row, struct err *err)
{
    for (uint32_t i = 0; i < rel->ncolumns; i++) {
        const struct value *v = &values[i];
        if (v->kind == VALUE_TEXT && v->size == strlen(DOUBLE_POISON) &&
            memcmp(v->data, DOUBLE_POISON, v->size) == 0)
            return err_set(err, ERR_PERMANENT, "the value is poison");
        if (v->kind != VALUE_UNCHANGED)
            value_text(v, row->values[get_column(d, t, rel->columns[i].name)]);
    }
    return 0;
}

static int insert_row(struct dest *d, struct double_table *t, const struct dest_run *run, size_t i,
                      struct err *err)
{
    assert_true(t->nrows < DOUBLE_ROWS);
    struct double_row *row = &t->rows[t->nrows];
    memset(row, 0, sizeof *row);
    for (size_t c = 0; c < t->ncolumns; c++)
        copy_text(row->values[c], "~", 1);
    if (write_row(d, t, run->relation, run->rows[i].new, row, err))
        return -1;
    t->nrows++;
    return 0;
}

static int apply_row(struct dest *d, struct double_table *t, struct dest_run *run, size_t i,
                     struct err *err)
{
    const struct dest_row *r = &run->rows[i];
    enum dest_conflict_action action;
    int at = find_row(d, t, run->relation, r->old ? r->old : r->new);
    switch (run->kind) {
    case DEST_INSERT:
        if (at < 0)
            return insert_row(d, t, run, i, err);
        if (dest_conflict(run, i, DEST_INSERT_EXISTS, &action, err))
            return -1;
        if (action == DEST_CONFLICT_SKIP)
            return 0;
        break;
    case DEST_UPDATE:
        if (at >= 0)
            break;
        if (dest_conflict(run, i, DEST_UPDATE_MISSING, &action, err))
            return -1;
        return action == DEST_CONFLICT_SKIP ? 0 : insert_row(d, t, run, i, err);
    case DEST_DELETE:
        if (at < 0)
            return dest_conflict(run, i, DEST_DELETE_MISSING, &action, err);
        memmove(&t->rows[at], &t->rows[at + 1], (--t->nrows - (size_t)at) * sizeof t->rows[0]);
        return 0;
    }
    t->rows[at].updates++;
    return write_row(d, t, run->relation, r->new, &t->rows[at], err);
}

static int double_apply(struct dest *d, struct dest_run *run, struct err *err)
{
    within(d, "apply");
    assert_false(d->broken);
    assert_true(run->nrows > 0);
    assert_ptr_equal(run->table->rel, run->relation);
    struct double_table *t = get_table(d, run->table->target);
    bool fails = fails_now(d);
    /* A run that fails has done half of its work. */
    for (size_t i = 0; i < (fails ? run->nrows / 2 : run->nrows); i++)
        if (apply_row(d, t, run, i, err)) {
            run->failed = i;
            d->broken = true;
            return -1;
        }
    if (fails)
        return let_fail(d, err);
    buf_printf(&d->calls, "apply %c %s %zu\n", run->kind, t->name, run->nrows);
    return 0;
}

static int double_truncate(struct dest *d, struct dest_table *const *tables, size_t ntables,
                           bool cascade, bool restart_identity, struct err *err)
{
    (void)cascade;
    (void)restart_identity;
    within(d, "truncate");
    if (call(d, err, "truncate %zu", ntables))
        return -1;
    for (size_t i = 0; i < ntables; i++)
        get_table(d, tables[i]->target)->nrows = 0;
    return 0;
}

const struct dest_ops double_ops = {
    .name = "double",
    .uri_help = "",
    .reset = double_reset,
    .checkpoint_get = double_checkpoint_get,
    .begin = double_begin,
    .commit = double_commit,
    .target_name = double_target_name,
    .relation_get = double_relation_get,
    .relation_put = double_relation_put,
    .table_exists = double_table_exists,
    .table_empty = double_table_empty,
    .table_create = double_table_create,
    .table_rename = double_table_rename,
    .column_exists = double_column_exists,
    .column_add = double_column_add,
    .column_drop = double_column_drop,
    .column_rename = double_column_rename,
    .column_same_type = double_column_same_type,
    .table_open = double_table_open,
    .table_close = double_table_close,
    .apply = double_apply,
    .truncate = double_truncate,
};

/* ---- for the tests ---- */

void double_free(struct dest *d)
{
    assert_int_equal(d->open_tables, 0);
    buf_free(&d->calls);
}

void double_content(const struct double_data *d, struct buf *out)
{
    for (size_t i = 0; i < d->ntables; i++) {
        const struct double_table *t = &d->tables[i];
        buf_printf(out, "%s(", t->name);
        for (size_t c = 0; c < t->ncolumns; c++)
            buf_printf(out, "%s%s", c ? "," : "", t->columns[c]);
        buf_append_str(out, ")");
        for (size_t r = 0; r < t->nrows; r++) {
            for (size_t c = 0; c < t->ncolumns; c++)
                buf_printf(out, "%s%s", c ? "," : " [", t->rows[r].values[c]);
            buf_append_str(out, "]");
            if (t->rows[r].updates)
                buf_printf(out, "*%u", t->rows[r].updates);
        }
        buf_append_str(out, "\n");
    }
}

void double_make(struct dest *d, const char *name, const char *columns, const char *const *rows)
{
    struct double_table *t = make_table(d, name);
    char *copy = strdup(columns), *rest = copy;
    assert_non_null(copy);
    for (const char *c; (c = strsep(&rest, " "));)
        make_column(t, c, "~");
    free(copy);
    for (; rows && *rows; rows++) {
        size_t c = 0;
        copy = rest = strdup(*rows);
        assert_non_null(copy);
        for (const char *v; (v = strsep(&rest, " ")); c++)
            copy_text(t->rows[t->nrows].values[c], v, strlen(v));
        assert_int_equal(c, t->ncolumns);
        t->nrows++;
        free(copy);
    }
}
