#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include <cmocka.h>

#include "base/lsn.h"
#include "driver_double.h"
#include "sql/wanted_index.h"

static bool same_name(const struct driver *d, const char *a, const char *b)
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

static bool fails_now(struct driver *d)
{
    d->ncalls++;
    return d->fail_at != 0 && d->ncalls >= d->fail_at && d->ncalls - d->fail_at < d->nfail;
}

static int let_fail(struct driver *d, struct err *err)
{
    d->broken = true;
    d->failed = true;
    return err_set(err, d->fail_kind, "told to fail at call %ju", (uintmax_t)d->ncalls);
}

static int call(struct driver *d, struct err *err, const char *fmt, ...) PRINTF_LIKE(3, 4);

static int call(struct driver *d, struct err *err, const char *fmt, ...)
{
    char text[128];
    va_list ap;
    va_start(ap, fmt);
    (void)vsnprintf(text, sizeof text, fmt, ap);
    va_end(ap);
    if (d->broken)
        fail_msg("%s after a failure, without a reset\n%s", text, buf_cstr(&d->calls));
    if (fails_now(d))
        return let_fail(d, err);
    buf_printf(&d->calls, "%s\n", text);
    return 0;
}

static void within(const struct driver *d, const char *what)
{
    if (!d->in_transaction)
        fail_msg("%s outside a transaction", what);
}

/* ---- transactions ---- */

static int double_reset(struct driver *d, struct driver_traits *traits, struct err *err)
{
    (void)traits;
    d->broken = false;
    if (d->in_transaction)
        d->now = d->before;
    d->in_transaction = false;
    return call(d, err, "reset");
}

void double_disconnect(struct driver *d)
{
    if (d->in_transaction)
        d->now = d->before;
    d->in_transaction = false;
    d->broken = false;
}

static int double_begin(struct driver *d, struct err *err)
{
    assert_false(d->in_transaction);
    if (call(d, err, "begin"))
        return -1;
    d->before = d->now;
    d->in_transaction = true;
    return 0;
}

static int double_commit(struct driver *d, struct err *err)
{
    within(d, "commit");
    assert_false(d->broken);
    bool fails = fails_now(d);
    if (fails && !d->lose_answer)
        return let_fail(d, err);
    d->in_transaction = false;
    if (d->on_commit)
        d->on_commit(d->on_commit_arg, d);
    if (fails)
        return let_fail(d, err);
    buf_printf(&d->calls, "commit %ju\n", (uintmax_t)d->now.checkpoint.remote_lsn);
    return 0;
}

/* ---- our two tables ---- */

static void append_checkpoint(const struct checkpoint *c, struct own_row *row)
{
    char time[PG_TIME_TEXT_SIZE];
    buf_append_str(&row->fields[CHECKPOINT_REMOTE_LSN], LSN(c->remote_lsn));
    if (c->commit_time_us)
        buf_append_str(&row->fields[CHECKPOINT_COMMIT_TIME], pg_time_text(time, c->commit_time_us));
    buf_append_str(&row->fields[CHECKPOINT_SYSTEM_IDENTIFIER], c->system_identifier);
    buf_printf(&row->fields[CHECKPOINT_TIMELINE], "%u", c->timeline);
}

static void take_checkpoint(struct checkpoint *c, const struct own_row *row)
{
    struct buf text = {0};
    for (int i = 0; i < CHECKPOINT_FIELDS; i++) {
        buf_append(&text, row->fields[i].data, row->fields[i].len);
        buf_append_byte(&text, '\0');
    }
    const char *lsn = (const char *)text.data, *time = lsn + strlen(lsn) + 1,
               *system = time + strlen(time) + 1, *timeline = system + strlen(system) + 1;
    *c = (struct checkpoint){.timeline = (uint32_t)strtoul(timeline, NULL, 10)};
    assert_true(lsn_parse(lsn, strlen(lsn), &c->remote_lsn));
    assert_true(!*time || pg_time_parse(time, &c->commit_time_us));
    assert_true(strlen(system) < sizeof c->system_identifier);
    memcpy(c->system_identifier, system, strlen(system) + 1);
    buf_free(&text);
}

static struct double_memory *find_memory(struct driver *d, uint32_t relid, const char *target)
{
    for (size_t i = 0; i < d->now.nmemories; i++) {
        struct double_memory *m = &d->now.memories[i];
        if (relid ? m->relid == relid : target && same_name(d, m->target, target))
            return m;
    }
    return NULL;
}

static const struct double_memory *next_memory(const struct driver *d, uint32_t relid)
{
    const struct double_memory *next = NULL;
    for (size_t i = 0; i < d->now.nmemories; i++) {
        const struct double_memory *m = &d->now.memories[i];
        if (m->relid > relid && (!next || m->relid < next->relid))
            next = m;
    }
    return next;
}

static int double_recall(struct driver *d, const struct own_key *key, struct own_row *row,
                         bool *found, struct err *err)
{
    if (key->table == OWN_CHECKPOINT) {
        *found = d->now.has_checkpoint;
        if (*found)
            append_checkpoint(&d->now.checkpoint, row);
        return call(d, err, "checkpoint_get %s", key->origin);
    }
    if (call(d, err, "relation_get %s %s%u", key->origin, key->next ? ">" : "", key->relid))
        return -1;
    const struct double_memory *m =
        key->next ? next_memory(d, key->relid) : find_memory(d, key->relid, key->target);
    *found = m != NULL;
    if (!m)
        return 0;
    row->relid = m->relid;
    buf_append_str(&row->fields[RELATION_TARGET], m->target);
    buf_append_str(&row->fields[RELATION_NAMESPACE], m->namespace);
    buf_append_str(&row->fields[RELATION_NAME], m->name);
    buf_append(&row->fields[RELATION_FRAME], m->frame, m->size);
    return 0;
}

static int double_remember(struct driver *d, const struct own_key *key, const struct own_row *row,
                           bool exists, struct err *err)
{
    assert_true(*key->origin);
    within(d, "remember");
    if (key->table == OWN_CHECKPOINT) {
        assert_int_equal(exists, d->now.has_checkpoint);
        if (fails_now(d))
            return let_fail(d, err);
        d->now.has_checkpoint = true;
        take_checkpoint(&d->now.checkpoint, row);
        return 0;
    }
    if (call(d, err, "relation_put %s %u", key->origin, key->relid))
        return -1;
    struct double_memory *m = find_memory(d, key->relid, NULL);
    assert_int_equal(exists, m != NULL);
    if (!m) {
        assert_true(d->now.nmemories < DOUBLE_TABLES);
        m = &d->now.memories[d->now.nmemories++];
    }
    const struct buf *fields = row->fields, *frame = &fields[RELATION_FRAME];
    assert_true(frame->len <= DOUBLE_FRAME);
    m->relid = key->relid;
    copy_text(m->target, (const char *)fields[RELATION_TARGET].data, fields[RELATION_TARGET].len);
    copy_text(m->namespace, (const char *)fields[RELATION_NAMESPACE].data,
              fields[RELATION_NAMESPACE].len);
    copy_text(m->name, (const char *)fields[RELATION_NAME].data, fields[RELATION_NAME].len);
    m->size = frame->len;
    memcpy(m->frame, frame->data, frame->len);
    return 0;
}

/* ---- schema ---- */

static struct double_table *find_table(struct driver *d, const char *name)
{
    for (size_t i = 0; i < d->now.ntables; i++)
        if (same_name(d, d->now.tables[i].name, name))
            return &d->now.tables[i];
    return NULL;
}

static struct double_table *get_table(struct driver *d, const char *name)
{
    struct double_table *t = find_table(d, name);
    if (!t)
        fail_msg("the target has no table %s", name);
    return t;
}

static int find_column(const struct driver *d, const struct double_table *t, const char *name)
{
    for (size_t i = 0; i < t->ncolumns; i++)
        if (same_name(d, t->columns[i], name))
            return (int)i;
    return -1;
}

static int get_column(const struct driver *d, const struct double_table *t, const char *name)
{
    int at = find_column(d, t, name);
    if (at < 0)
        fail_msg("table %s has no column %s", t->name, name);
    return at;
}

static struct double_table *make_table(struct driver *d, const char *name)
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

static int double_table_name(struct driver *d, const struct relation *rel, struct buf *out,
                             struct err *err)
{
    within(d, "target_name");
    if (call(d, err, "target_name %s", rel->name))
        return -1;
    if (strcmp(rel->name, DOUBLE_UNNAMED) == 0 ||
        (d->unnamed && strcmp(rel->name, d->unnamed) == 0))
        return err_set(err, ERR_PERMANENT, "no table can have that name");
    buf_append_str(out, rel->name);
    return 0;
}

static void double_declare(struct driver *d, const struct relation *rel, uint32_t column,
                           struct buf *out, const char **caveat)
{
    (void)d;
    buf_printf(out, "%u", rel->columns[column].base_type_oid);
    *caveat = NULL;
}

static int double_describe(struct driver *d, const char *name, const struct describe_how *how,
                           struct described_table *out, struct err *err)
{
    within(d, "describe");
    const struct double_table *t = find_table(d, name);
    out->exists = t != NULL;
    out->folds_case = d->folds_case;
    out->has_more = how->more && t && strncmp(t->name, DOUBLE_INDEXED, strlen(DOUBLE_INDEXED)) == 0;
    out->empty = how->rows && t && t->nrows == 0; /* not to be known where nobody asked */
    for (size_t i = 0; t && i < t->ncolumns; i++)
        (void)described_add_column(out, t->columns[i]);
    if (t && d->keyed)
        described_add_index_column(out, "key", true, true, t->columns[0]);
    return call(d, err, "describe %s", name);
}

static int double_fit(struct driver *d, const struct column *c,
                      const struct described_column *there, bool identity, struct fit *fit,
                      struct err *err)
{
    (void)identity, (void)fit;
    assert_true(same_name(d, c->name, there->name));
    return strcmp(c->name, DOUBLE_MISFIT) == 0
               ? err_set(err, ERR_PERMANENT, "column %s does not fit", c->name)
               : 0;
}

static void create_table(struct driver *d, const struct step *step)
{
    assert_null(find_table(d, step->table));
    struct double_table *t = make_table(d, step->table);
    for (uint32_t i = 0; i < step->rel->ncolumns; i++)
        make_column(t, step->rel->columns[i].name, "~");
}

static void drop_table(struct driver *d, const char *name)
{
    struct double_table *t = get_table(d, name), *last = &d->now.tables[--d->now.ntables];
    memmove(t, t + 1, (size_t)(last - t) * sizeof *t);
}

static void drop_column(struct driver *d, const struct step *step)
{
    struct double_table *t = get_table(d, step->table);
    size_t at = (size_t)get_column(d, t, step->name);
    size_t after = --t->ncolumns - at;
    memmove(t->columns[at], t->columns[at + 1], after * sizeof *t->columns);
    for (size_t i = 0; i < t->nrows; i++)
        memmove(t->rows[i].values[at], t->rows[i].values[at + 1],
                after * sizeof *t->rows[i].values);
}

static void rename_column(struct driver *d, const struct step *step)
{
    struct double_table *t = get_table(d, step->table);
    int at = get_column(d, t, step->name), there = find_column(d, t, step->to);
    assert_true(there < 0 || there == at);
    copy_text(t->columns[at], step->to, strlen(step->to));
}

static void add_column(struct driver *d, const struct step *step)
{
    const struct column *c = &step->rel->columns[step->column];
    struct double_table *t = get_table(d, step->table);
    assert_int_equal(find_column(d, t, c->name), -1);
    make_column(t, c->name, c->fill == FILL_VALUE ? c->fill_value : "~");
}

static int double_change(struct driver *d, const struct step *step, struct buf *show,
                         struct err *err)
{
    within(d, "change");
    assert_null(show);
    switch (step->kind) {
    case STEP_CREATE_TABLE:
        if (call(d, err, "table_create %s", step->table))
            return -1;
        create_table(d, step);
        return 0;
    case STEP_RENAME_TABLE:
        if (call(d, err, "table_rename %s %s", step->table, step->to))
            return -1;
        assert_null(find_table(d, step->to));
        copy_text(get_table(d, step->table)->name, step->to, strlen(step->to));
        return 0;
    case STEP_DROP_COLUMN:
        if (call(d, err, "column_drop %s %s", step->table, step->name))
            return -1;
        drop_column(d, step);
        return 0;
    case STEP_RENAME_COLUMN:
        if (call(d, err, "column_rename %s %s %s", step->table, step->name, step->to))
            return -1;
        rename_column(d, step);
        return 0;
    case STEP_ADD_COLUMN:
        if (call(d, err, "column_add %s %s", step->table, step->rel->columns[step->column].name))
            return -1;
        add_column(d, step);
        return 0;
    case STEP_CREATE_INDEX:
        return call(d, err, "index_create %s %s%s", step->table,
                    step->index->unique ? "unique " : "", step->index->name);
    case STEP_DROP_TABLE:
        if (call(d, err, "table_drop %s", step->table))
            return -1;
        drop_table(d, step->table);
        return 0;
    case STEP_REPLACE_TABLE:
        if (call(d, err, "table_replace %s %s %s", step->table, step->name ? step->name : "-",
                 step->to))
            return -1;
        if (step->name)
            drop_table(d, step->name);
        assert_null(find_table(d, step->to));
        copy_text(get_table(d, step->table)->name, step->to, strlen(step->to));
        return 0;
    case STEP_WIDEN_COLUMN:
    case STEP_DROP_DEFAULT:
        break;
    }
    fail_msg("a step that the double does not have");
    return -1;
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
static int find_row(const struct driver *d, const struct double_table *t,
                    const struct relation *rel, const struct value *values)
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

static int write_row(const struct driver *d, struct double_table *t, const struct slice *slice,
                     const struct row_change *change, struct double_row *row, struct err *err)
{
    const struct relation *rel = slice->table->rel;
    for (uint32_t i = 0; i < rel->ncolumns; i++) {
        const struct value *v = &change->new[i];
        if (!d->immune && v->kind == VALUE_TEXT && v->size == strlen(DOUBLE_POISON) &&
            memcmp(v->data, DOUBLE_POISON, v->size) == 0)
            return err_set(err, ERR_PERMANENT, "the value is poison");
        if (slice->columns[i] && v->kind != VALUE_UNCHANGED)
            value_text(v, row->values[get_column(d, t, rel->columns[i].name)]);
    }
    return 0;
}

static int insert_row(struct driver *d, struct double_table *t, const struct slice *slice,
                      const struct row_change *change, struct err *err)
{
    assert_true(t->nrows < DOUBLE_ROWS);
    struct double_row *row = &t->rows[t->nrows];
    memset(row, 0, sizeof *row);
    for (size_t c = 0; c < t->ncolumns; c++)
        copy_text(row->values[c], "~", 1);
    if (write_row(d, t, slice, change, row, err))
        return -1;
    t->nrows++;
    return 0;
}

/* Whether the row is in as it should be: *in. */
static int execute_row(struct driver *d, struct double_table *t, const struct slice *slice,
                       const struct row_change *change, bool *in, struct slice_result *result,
                       struct err *err)
{
    int at = find_row(d, t, slice->table->rel, change->old ? change->old : change->new);
    result->exists = at >= 0;
    result->matched = at >= 0;
    *in = (slice->kind == CHANGE_INSERT) == (at < 0);
    if (!*in)
        return 0;
    switch (slice->kind) {
    case CHANGE_INSERT:
        return insert_row(d, t, slice, change, err);
    case CHANGE_UPDATE:
        t->rows[at].updates++;
        return write_row(d, t, slice, change, &t->rows[at], err);
    case CHANGE_DELETE:
        memmove(&t->rows[at], &t->rows[at + 1], (--t->nrows - (size_t)at) * sizeof t->rows[0]);
        return 0;
    }
    return 0;
}

static int double_execute(struct driver *d, const struct slice *slice, struct slice_result *result,
                          struct err *err)
{
    within(d, "execute");
    assert_false(d->broken);
    assert_true(slice->nrows > 0);
    struct double_table *t = get_table(d, slice->table->name);
    bool fails = fails_now(d), in = true;
    /* A slice that fails has done half of its work. */
    for (size_t i = 0; in && i < (fails ? slice->nrows / 2 : slice->nrows); i++) {
        result->done = result->failed = i;
        if (execute_row(d, t, slice, &slice->rows[i], &in, result, err)) {
            d->broken = true;
            result->gone = d->poison_ends;
            return -1;
        }
    }
    if (fails) {
        result->failed = slice->nrows;
        return let_fail(d, err);
    }
    result->outcome = in ? SLICE_DONE : SLICE_ONE_ROW;
    buf_printf(&d->calls, "apply %c %s %zu\n", slice->kind, t->name, slice->nrows);
    return 0;
}

static int double_truncate(struct driver *d, struct target_table *const *tables, size_t ntables,
                           bool cascade, bool restart_identity, size_t *failed, struct err *err)
{
    (void)cascade;
    (void)restart_identity;
    within(d, "truncate");
    if (call(d, err, "truncate %zu", ntables))
        return -1;
    for (size_t i = 0; i < ntables; i++) {
        if (d->kept && strcmp(tables[i]->name, d->kept) == 0) {
            *failed = i;
            d->broken = true;
            return err_set(err, ERR_PERMANENT, "the table is not to be emptied");
        }
        get_table(d, tables[i]->name)->nrows = 0;
    }
    return 0;
}

/* The double that is opened next. */
static struct driver *next;

static int double_open_driver(const struct driver_config *config, struct driver **driver,
                              struct driver_traits *traits, struct err *err)
{
    (void)config, (void)err;
    *driver = next;
    *traits = (struct driver_traits){
        .inserts = SLICING_ORDERED,
        .updates = SLICING_ORDERED,
        .deletes = SLICING_ORDERED,
        .exact = true,
    };
    return 0;
}

static void double_close(struct driver *d)
{
    (void)d;
}

const struct driver_ops double_ops = {
    .name = "double",
    .title = "the double",
    .uri_help = "",
    .uri_example = "",
    .open = double_open_driver,
    .close = double_close,
    .reset = double_reset,
    .begin = double_begin,
    .commit = double_commit,
    .recall = double_recall,
    .remember = double_remember,
    .table_name = double_table_name,
    .declare = double_declare,
    .describe = double_describe,
    .fit = double_fit,
    .change = double_change,
    .execute = double_execute,
    .truncate = double_truncate,
};

/* ---- for the tests ---- */

struct target *double_open(struct driver *d)
{
    struct target *t = NULL;
    struct err err = {0};
    const struct driver_config config = {.uri = ""};
    next = d;
    assert_int_equal(target_open(&double_ops, &config, &t, &err), 0);
    return t;
}

void double_free(struct driver *d)
{
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

void double_make(struct driver *d, const char *name, const char *columns, const char *const *rows)
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
