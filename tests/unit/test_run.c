/*
 * common/sql/run.c: how a run is cut into slices, and what becomes of rows that are refused, with a
 * driver that keeps one table of numbers in memory: the key, a value, another one.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/log.h"
#include "frames/pg_type.h"
#include "sql/run.h"

#define COLUMNS  3
#define MAX_KEYS 100
#define MAX_ROWS 12

struct driver {
    bool has[MAX_KEYS];
    /* "U101x3": an update of the columns 0 and 2, of three rows; "Dx1/12": found by other columns
     * than the table's, "/12*": by all, one of several. */
    struct buf calls;
    bool ends;  /* an error ends the transaction */
    int poison; /* the key of a row that is an error; 0: none */
    enum err_kind poison_kind;
};

/* The number in the first column that has a value. */
static int key_of(const struct value *values)
{
    char text[8] = "";
    while (values->kind == VALUE_NULL)
        values++;
    memcpy(text, values->data, values->size);
    return atoi(text);
}

/* Whether the row goes in. */
static bool take(struct driver *d, const struct slice *slice, const struct row_change *row)
{
    int was = key_of(identity_of_row(row)), is = row->new ? key_of(row->new) : was;
    bool found = d->has[was];
    if (slice->kind == CHANGE_INSERT ? found : !found)
        return false;
    d->has[was] = false;
    d->has[is] = slice->kind != CHANGE_DELETE;
    return true;
}

static int execute(struct driver *d, const struct slice *slice, struct slice_result *result,
                   struct err *err)
{
    bool before[MAX_KEYS];
    size_t good = 0;
    memcpy(before, d->has, sizeof before);
    buf_printf(&d->calls, "%s%c", d->calls.len ? " " : "", slice->kind);
    for (int c = 0; slice->kind == CHANGE_UPDATE && c < COLUMNS; c++)
        buf_append_byte(&d->calls, slice->columns[c] ? '1' : '0');
    buf_printf(&d->calls, "x%zu%s", slice->nrows, slice->table->is_variant ? "/" : "");
    for (uint32_t i = 0; slice->table->is_variant && i < slice->table->identity.n; i++)
        buf_printf(&d->calls, "%u", slice->table->identity.columns[i]);
    if (slice->table->is_variant && slice->table->identity.by_all_columns)
        buf_append_byte(&d->calls, '*');
    for (size_t i = 0; i < slice->nrows; i++) {
        if (d->poison && key_of(identity_of_row(&slice->rows[i])) == d->poison) {
            memcpy(d->has, before, sizeof before);
            result->gone = d->ends;
            result->undone = !d->ends;
            return err_set(err, d->poison_kind, "poison");
        }
        good += take(d, slice, &slice->rows[i]);
    }
    if (good == slice->nrows)
        return 0;
    memcpy(d->has, before, sizeof before);
    result->outcome = slice->nrows == 1 ? SLICE_ONE_ROW : SLICE_SUM;
    result->exists = slice->kind == CHANGE_INSERT;
    if (slice->kind == CHANGE_INSERT && d->ends && !slice->rows_may_exist && slice->nrows > 1) {
        result->gone = true;
        return err_set(err, ERR_PERMANENT, "duplicate");
    }
    return 0;
}

/* Rows may be found by any column but one that is called "inexact". */
static int fit(struct driver *d, const struct column *c, const struct described_column *there,
               bool identity, struct fit *fit, struct err *err)
{
    (void)d, (void)c;
    *fit = (struct fit){0};
    return identity && strcmp(there->collation, "inexact") == 0
               ? err_set(err, ERR_PERMANENT, "column %s ignores case", c->name)
               : 0;
}

static void declare(struct driver *d, const struct relation *rel, uint32_t column, struct buf *out,
                    const char **caveat)
{
    (void)d, (void)rel, (void)column;
    buf_append_str(out, "number");
    *caveat = NULL;
}

static const struct driver_ops ops = {
    .name = "numbers", .title = "Numbers", .declare = declare, .fit = fit, .execute = execute};

struct world {
    struct driver driver;
    struct runner runner;
    struct column columns[COLUMNS];
    uint32_t pk[1];
    struct relation rel;
    struct target_table table;
    struct table_index index;
    uint32_t index_column;
    bool alone[COLUMNS];
    uint8_t flags[2 * COLUMNS];
    struct conflicts conflicts;
    struct err err;
    bool settling, unsettled, planned;
    struct buf *lacks;
    size_t failed;
};

static int setup(void **state)
{
    struct world *w = calloc(1, sizeof *w);
    *state = w;
    if (!w)
        return -1;
    static const char *const names[] = {"id", "v", "w"};
    for (int i = 0; i < COLUMNS; i++)
        w->columns[i] =
            (struct column){.name = names[i], .base_type_oid = PG_TYPE_INT4, .key = i == 0};
    w->rel = (struct relation){.relid = 7,
                               .namespace = "public",
                               .name = "t",
                               .replica_identity = REPLICA_IDENTITY_DEFAULT,
                               .ncolumns = COLUMNS,
                               .columns = w->columns,
                               .npk = 1,
                               .pk = w->pk};
    w->table = (struct target_table){
        .name = strdup("t"), .rel = &w->rel, .unique = true, .alone = w->alone, .flags = w->flags};
    w->runner = (struct runner){
        .ops = &ops,
        .driver = &w->driver,
        .traits = {.inserts = SLICING_SET, .updates = SLICING_SET, .deletes = SLICING_SET}};
    return identity_init(&w->table.identity, &w->rel, &w->err);
}

static int teardown(void **state)
{
    struct world *w = *state;
    runner_committed(&w->runner);
    runner_forget(&w->runner, &w->table);
    described_free(&w->table.there);
    identity_free(&w->table.identity);
    buf_free(&w->driver.calls);
    free(w->table.name);
    free(w);
    return 0;
}

/* A row is "5,a,b", or "5>6,a,b" where the key changes; of a delete "5". ^ was not sent. */
static void parse(char *text, struct value old[COLUMNS], struct value new[COLUMNS],
                  struct row_change *row, enum change_kind kind)
{
    static const struct source_txn txn = {.xid = 1, .commit_lsn = 100};
    char *arrow = strchr(text, '>'), *rest = arrow ? arrow + 1 : text;
    *row = (struct row_change){.txn = &txn};
    if (arrow || kind == CHANGE_DELETE) {
        uint32_t size = (uint32_t)(arrow ? arrow - text : (long)strlen(text));
        old[0] = (struct value){VALUE_TEXT, size, text};
        row->old = old;
    }
    if (kind == CHANGE_DELETE)
        return;
    for (int i = 0; i < COLUMNS; i++) {
        const char *v = strsep(&rest, ",");
        new[i] = (struct value){*v == '^' ? VALUE_UNCHANGED : VALUE_TEXT, (uint32_t)strlen(v), v};
    }
    row->new = new;
}

static int run_rows(struct world *w, enum change_kind kind, bool repeatable, const char *text)
{
    struct row_change rows[MAX_ROWS];
    struct value old[MAX_ROWS][COLUMNS] = {{{0}}}, new[MAX_ROWS][COLUMNS] = {{{0}}};
    char *copy = strdup(text), *rest = copy;
    size_t n = 0;
    assert_non_null(copy);
    buf_reset(&w->driver.calls, SIZE_MAX);
    for (char *one; (one = strsep(&rest, " ")); n++)
        parse(one, old[n], new[n], &rows[n], kind);
    struct run run = {.kind = kind,
                      .table = &w->table,
                      .rows = rows,
                      .nrows = n,
                      .conflicts = &w->conflicts,
                      .settling = w->settling,
                      .lacks = w->lacks,
                      .repeatable = repeatable,
                      .planned = w->planned};
    w->err = (struct err){0};
    int rc = runner_apply(&w->runner, &run, &w->err);
    w->failed = run.failed;
    w->unsettled = run.unsettled;
    free(copy);
    return rc;
}

static void does(struct world *w, enum change_kind kind, const char *rows, const char *calls)
{
    if (run_rows(w, kind, true, rows))
        fail_msg("%s", w->err.text);
    assert_string_equal(buf_cstr(&w->driver.calls), calls);
}

static void stops(struct world *w, enum change_kind kind, bool repeatable, const char *rows,
                  enum err_kind how, const char *text, size_t failed, const char *calls)
{
    assert_int_equal(run_rows(w, kind, repeatable, rows), -1);
    assert_int_equal(w->err.kind, how);
    if (!strstr(w->err.text, text))
        fail_msg("\"%s\" does not say \"%s\"", w->err.text, text);
    assert_int_equal(w->failed, failed);
    assert_string_equal(buf_cstr(&w->driver.calls), calls);
}

static void rows_that_write_the_same_columns_share_a_slice(void **state)
{
    struct world *w = *state;
    does(w, CHANGE_INSERT, "1,a,b 2,a,b 3,a,b 4,a,b 5,a,b", "Ix5");
    does(w, CHANGE_UPDATE, "1,c,d 2,c,d 3,c,^ 4,c,^ 5,c,d", "U011x2 U010x2 U011x1");
    does(w, CHANGE_DELETE, "1 2 3", "Dx3");
    does(w, CHANGE_UPDATE, "4>6,c,d 5>7,c,d 7,c,d", "U111x2 U011x1");
    w->alone[2] = true;
    does(w, CHANGE_UPDATE, "6,c,d 7,c,d 6,c,^ 7,c,^", "U011x1 U011x1 U010x2");
}

static void rows_of_a_set_have_keys_of_their_own(void **state)
{
    struct world *w = *state;
    does(w, CHANGE_INSERT, "1,a,b 2,a,b 3,a,b", "Ix3");
    does(w, CHANGE_UPDATE, "1,c,d 2,c,d 1,e,f", "U011x2 U011x1");
    /* A chain: each key becomes free before it is taken. */
    does(w, CHANGE_UPDATE, "3>4,c,d 2>3,c,d 1>2,c,d", "U111x1 U111x1 U111x1");
    w->runner.traits.updates = SLICING_ORDERED;
    does(w, CHANGE_UPDATE, "4>5,c,d 3>4,c,d", "U111x2");
}

static void what_a_sum_cannot_tell_goes_row_by_row(void **state)
{
    struct world *w = *state;
    does(w, CHANGE_INSERT, "1,a,b 2,a,b", "Ix2");
    w->table.unique = false;
    does(w, CHANGE_UPDATE, "1,c,d 2,c,d", "U011x1 U011x1");
    w->table.identity.by_all_columns = true;
    does(w, CHANGE_DELETE, "1 2", "Dx1 Dx1");
    w->runner.traits.keyless = SLICING_ORDERED;
    does(w, CHANGE_INSERT, "1,a,b 2,a,b", "Ix2");
    does(w, CHANGE_DELETE, "1 2", "Dx2");
    w->runner.traits.inserts = SLICING_NONE;
    does(w, CHANGE_INSERT, "1,a,b 2,a,b", "Ix1 Ix1");
}

static void a_slice_has_a_size(void **state)
{
    struct world *w = *state;
    w->runner.traits.slice_bytes = 70; /* two rows of three short values */
    does(w, CHANGE_INSERT, "1,a,b 2,a,b 3,a,b 4,a,b 5,a,b", "Ix2 Ix2 Ix1");
    w->runner.traits.slice_bytes = 1;
    does(w, CHANGE_DELETE, "1 2 3", "Dx1 Dx1 Dx1");
}

static void a_wrong_sum_is_looked_into(void **state)
{
    struct world *w = *state;
    does(w, CHANGE_INSERT, "1,a,b 2,a,b 3,a,b", "Ix3");
    stops(w, CHANGE_DELETE, true, "1 9 3", ERR_PERMANENT, "conflict delete_missing", 1,
          "Dx3 Dx1 Dx1");
    w->conflicts.policy = CONFLICT_SKIP;
    does(w, CHANGE_UPDATE, "2,c,d 9,c,d 3,c,d", "U011x3 U011x1 U011x1 U011x1");
    assert_int_equal(w->conflicts.pending[CONFLICT_UPDATE_MISSING], 1);
    assert_false(w->driver.has[9]);
    w->conflicts.policy = CONFLICT_APPLY;
    does(w, CHANGE_UPDATE, "2,c,d 9,c,d 3,c,d", "U011x3 U011x1 U011x1 Ix1 U011x1");
    assert_true(w->driver.has[9]);
    does(w, CHANGE_INSERT, "4,a,b 9,a,b", "Ix2 Ix1 Ix1 U111x1");
    assert_int_equal(w->conflicts.pending[CONFLICT_INSERT_EXISTS], 1);
}

/* The group comes again in the order of the source, which finds the row. */
static void of_a_plan_nothing_is_looked_into(void **state)
{
    struct world *w = *state;
    w->planned = true;
    does(w, CHANGE_INSERT, "1,a,b 2,a,b 3,a,b", "Ix3");
    stops(w, CHANGE_DELETE, true, "1 9 3", ERR_PERMANENT, "missing", 3, "Dx3");
    stops(w, CHANGE_UPDATE, true, "9,a,b", ERR_PERMANENT, "conflict update_missing", 0, "U011x1");
    w->driver.ends = true;
    stops(w, CHANGE_INSERT, true, "3,a,b 4,a,b", ERR_PERMANENT, "duplicate", 2, "Ix2");
    assert_null(w->runner.careful);
}

static void a_row_that_is_refused_is_found(void **state)
{
    struct world *w = *state;
    w->driver.poison = 3;
    w->driver.poison_kind = ERR_PERMANENT;
    stops(w, CHANGE_INSERT, true, "1,a,b 2,a,b 3,a,b 4,a,b", ERR_PERMANENT, "poison", 2,
          "Ix4 Ix1 Ix1 Ix1");
    /* What is to be repeated as a whole is not tried row by row. */
    w->driver.poison_kind = ERR_RETRY;
    memset(w->driver.has, 0, sizeof w->driver.has);
    assert_int_equal(run_rows(w, CHANGE_INSERT, true, "1,a,b 3,a,b"), -1);
    assert_int_equal(w->err.kind, ERR_RETRY);
    assert_string_equal(buf_cstr(&w->driver.calls), "Ix2");
}

/* The error took the transaction with it: the group comes again, with care. */
static void where_an_error_ends_the_transaction_the_group_comes_again(void **state)
{
    struct world *w = *state;
    w->driver.ends = true;
    w->driver.poison = 3;
    w->driver.poison_kind = ERR_PERMANENT;
    assert_int_equal(run_rows(w, CHANGE_INSERT, true, "1,a,b 3,a,b"), -1);
    assert_int_equal(w->err.kind, ERR_RETRY);
    assert_string_equal(buf_cstr(&w->driver.calls), "Ix2");
    stops(w, CHANGE_INSERT, true, "1,a,b 3,a,b", ERR_PERMANENT, "poison", 1, "Ix1 Ix1");
    /* Another table is not slower for it, nor this one after the commit. */
    w->driver.poison = 0;
    free(w->table.name);
    w->table.name = strdup("u");
    does(w, CHANGE_INSERT, "4,a,b 5,a,b", "Ix2");
    free(w->table.name);
    w->table.name = strdup("t");
    does(w, CHANGE_INSERT, "6,a,b 7,a,b", "Ix1 Ix1");
    runner_committed(&w->runner);
    does(w, CHANGE_INSERT, "8,a,b 9,a,b", "Ix2");
}

/* And where it cannot come again, the conflict is that of its source transaction. */
static void a_duplicate_that_cannot_be_repeated_is_a_conflict(void **state)
{
    struct world *w = *state;
    does(w, CHANGE_INSERT, "1,a,b 2,a,b", "Ix2");
    w->driver.ends = true;
    stops(w, CHANGE_INSERT, false, "3,a,b 1,a,b", ERR_PERMANENT, "conflict insert_exists", 0,
          "Ix2");
}

/* ---- rows of partitions ---- */

static struct value sent(const char *text)
{
    return text ? (struct value){VALUE_TEXT, (uint32_t)strlen(text), text} : (struct value){0};
}

struct old_row {
    const char *old[COLUMNS]; /* NULL: NULL, or not sent */
};

/* Deletes of rows, of which that was sent. */
static int delete_old(struct world *w, const struct old_row *rows, size_t n)
{
    static const struct source_txn txn = {.xid = 1, .commit_lsn = 100};
    struct value old[MAX_ROWS][COLUMNS];
    struct row_change changes[MAX_ROWS];
    for (size_t i = 0; i < n; i++) {
        for (int c = 0; c < COLUMNS; c++)
            old[i][c] = sent(rows[i].old[c]);
        changes[i] = (struct row_change){.old = old[i], .txn = &txn};
    }
    struct run run = {.kind = CHANGE_DELETE,
                      .table = &w->table,
                      .rows = changes,
                      .nrows = n,
                      .conflicts = &w->conflicts,
                      .repeatable = true};
    buf_reset(&w->driver.calls, SIZE_MAX);
    w->err = (struct err){0};
    int rc = runner_apply(&w->runner, &run, &w->err);
    w->failed = run.failed;
    return rc;
}

static void be_partitioned(struct world *w)
{
    w->rel.replica_identity = REPLICA_IDENTITY_PARTITION;
    for (int i = 0; i < COLUMNS; i++)
        described_add_column(&w->table.there, w->columns[i].name);
}

static void a_partition_s_row_is_found_by_what_was_sent(void **state)
{
    struct world *w = *state;
    be_partitioned(w);
    does(w, CHANGE_INSERT, "1,a,b 2,a,b 3,a,b 4,a,b 5,a,b 6,a,b 7,a,b", "Ix7");
    const struct old_row rows[] = {
        {{"1"}},            /* the root's key */
        {{"2", "a", "b"}},  /* all: the key is unique, and enough */
        {{NULL, "3"}},      /* the key of a partition: row by row */
        {{NULL, "4"}},      /* the same */
        {{NULL, "5", "b"}}, /* FULL, with a NULL */
        {{"6", NULL, "b"}}, /* has the key again */
    };
    assert_int_equal(delete_old(w, rows, 6), 0);
    assert_string_equal(buf_cstr(&w->driver.calls), "Dx2 Dx1/1 Dx1/1 Dx1/12 Dx1");
    /* By the new tuple where there is no old one. */
    does(w, CHANGE_UPDATE, "7,c,d", "U011x1");
}

static void without_a_unique_key_all_that_was_sent_counts(void **state)
{
    struct world *w = *state;
    be_partitioned(w);
    w->table.unique = false;
    w->rel.npk = 0;
    does(w, CHANGE_INSERT, "1,a,b 2,a,b 3,a,b", "Ix3");
    const struct old_row rows[] = {{{"1", "a", "b"}}, {{"2", "a"}}, {{"3"}}};
    assert_int_equal(delete_old(w, rows, 3), 0);
    assert_string_equal(buf_cstr(&w->driver.calls), "Dx1/012* Dx1/01 Dx1");
}

static void what_does_not_tell_the_row_stops(void **state)
{
    struct world *w = *state;
    be_partitioned(w);
    /* The key may have changed, and no policy is asked. */
    w->conflicts.policy = CONFLICT_APPLY;
    stops(w, CHANGE_UPDATE, true, "1,c,d", ERR_PERMANENT, "its partition, with a replica identity",
          0, "U011x1");
    w->conflicts.policy = CONFLICT_STOP;
    const struct old_row none[] = {{{NULL}}};
    assert_int_equal(delete_old(w, none, 1), -1);
    assert_non_null(strstr(w->err.text, "no replica identity"));
    /* A column to which two values are one. */
    w->table.there.columns[1].collation = "inexact";
    const struct old_row rows[] = {{{"1"}}, {{NULL, "2"}}};
    does(w, CHANGE_INSERT, "1,a,b 2,a,b", "Ix2");
    assert_int_equal(delete_old(w, rows, 2), -1);
    assert_non_null(strstr(w->err.text, "ignores case"));
    assert_int_equal(w->failed, 1);
}

/* A way to find rows is made once. */
static void ways_to_find_rows_are_kept(void **state)
{
    struct world *w = *state;
    be_partitioned(w);
    w->table.unique = false;
    static const struct old_row ways[] = {
        {{"1", "a"}}, {{"1", NULL, "b"}}, {{NULL, "1"}}, {{NULL, NULL, "1"}}, {{NULL, "1", "b"}}};
    for (int i = 0; i < 100; i++) {
        const struct old_row *row = &ways[i % 5];
        does(w, CHANGE_INSERT, "1,a,b", "Ix1");
        assert_int_equal(delete_old(w, row, 1), 0);
    }
    size_t n = 0;
    for (const struct target_table *v = w->table.variants; v; v = v->next)
        n++;
    assert_int_equal(n, 5);
}

static void has(const struct world *w, const char *keys)
{
    char text[4 * MAX_KEYS] = "";
    for (int i = 0, n = 0; i < MAX_KEYS; i++)
        if (w->driver.has[i])
            n += snprintf(text + n, sizeof text - (size_t)n, "%s%d", n ? " " : "", i);
    assert_string_equal(text, keys);
}

/* What comes may be older than the rows that are there. Nothing of it is a conflict. */
static void while_a_table_settles_rows_may_be_newer(void **state)
{
    struct world *w = *state;
    does(w, CHANGE_INSERT, "1,a,b 2,a,b 3,a,b", "Ix3");
    w->settling = true;
    does(w, CHANGE_INSERT, "3,c,d 4,c,d", "Ix2 Ix1 U111x1 Ix1");
    has(w, "1 2 3 4");
    does(w, CHANGE_UPDATE, "1,c,d 9,c,d 2,c,d", "U011x3 U011x1 U011x1 U011x1");
    has(w, "1 2 3 4");
    does(w, CHANGE_DELETE, "9 4", "Dx2 Dx1 Dx1");
    has(w, "1 2 3");
    for (int c = 0; c < CONFLICTS; c++)
        assert_int_equal(w->conflicts.pending[c], 0);
}

static void while_a_table_settles_a_row_moves_wherever_it_is(void **state)
{
    struct world *w = *state;
    does(w, CHANGE_INSERT, "1,a,b 2,a,b 3,a,b", "Ix3");
    w->settling = true;
    /* Under the old key; under the new one already; under both; under neither. */
    does(w, CHANGE_UPDATE, "1>11,c,^", "U010x1 U110x1");
    has(w, "2 3 11");
    does(w, CHANGE_UPDATE, "1>11,c,^", "U010x1 Dx1");
    has(w, "2 3 11");
    does(w, CHANGE_UPDATE, "2>11,c,^", "U010x1 Dx1");
    has(w, "3 11");
    does(w, CHANGE_UPDATE, "2>12,c,d", "U011x1 U111x1 Ix1");
    has(w, "3 11 12");
    /* They go one by one, in their place among the others. */
    does(w, CHANGE_UPDATE, "3,c,d 12,c,d 3>4,c,d 4,c,d 11,c,d", "U011x2 U011x1 U111x1 U011x2");
    has(w, "4 11 12");
    /* A key that was sent because it is long is the same. */
    does(w, CHANGE_UPDATE, "4>4,c,d", "U011x1");
    has(w, "4 11 12");
}

static void a_row_that_cannot_be_had_while_a_table_settles_is_told(void **state)
{
    struct world *w = *state;
    does(w, CHANGE_INSERT, "1,a,b", "Ix1");
    w->settling = true;
    stops(w, CHANGE_UPDATE, true, "1,c,d 5>6,c,^", ERR_PERMANENT, "TOASTed", 1,
          "U011x1 U010x1 U110x1");
    assert_true(w->unsettled);
    stops(w, CHANGE_INSERT, true, "7,c,^", ERR_PERMANENT, "TOASTed", 0, "U010x1");
    assert_true(w->unsettled);
    w->driver.poison = 1;
    w->driver.poison_kind = ERR_PERMANENT;
    stops(w, CHANGE_UPDATE, true, "1,c,d", ERR_PERMANENT, "poison", 0, "U011x1");
    assert_false(w->unsettled);
}

/* Where it can be read again the run goes on, and tells its key. */
static void a_row_that_was_not_sent_whole_is_read_again(void **state)
{
    struct world *w = *state;
    struct buf lacks = {0};
    w->lacks = &lacks;
    does(w, CHANGE_INSERT, "1,a,b", "Ix1");
    does(w, CHANGE_INSERT, "2,c,^", "U010x1");
    assert_string_equal(buf_cstr(&lacks), "id\t2\n");
    buf_reset(&lacks, 0);
    w->settling = true;
    does(w, CHANGE_UPDATE, "1,c,d 5>6,c,^ 6,d,^ 7>8,c,d",
         "U011x1 U010x1 U110x1 U010x1 U011x1 U111x1 Ix1");
    assert_string_equal(buf_cstr(&lacks), "id\t6\n");
    buf_free(&lacks);
}

int main(void)
{
    log_set_level(LOG_LEVEL_ERROR);
    const struct CMUnitTest tests[] = {
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
        TEST(rows_that_write_the_same_columns_share_a_slice),
        TEST(rows_of_a_set_have_keys_of_their_own),
        TEST(what_a_sum_cannot_tell_goes_row_by_row),
        TEST(a_slice_has_a_size),
        TEST(a_wrong_sum_is_looked_into),
        TEST(of_a_plan_nothing_is_looked_into),
        TEST(a_row_that_is_refused_is_found),
        TEST(where_an_error_ends_the_transaction_the_group_comes_again),
        TEST(a_duplicate_that_cannot_be_repeated_is_a_conflict),
        TEST(a_partition_s_row_is_found_by_what_was_sent),
        TEST(without_a_unique_key_all_that_was_sent_counts),
        TEST(what_does_not_tell_the_row_stops),
        TEST(ways_to_find_rows_are_kept),
        TEST(while_a_table_settles_rows_may_be_newer),
        TEST(while_a_table_settles_a_row_moves_wherever_it_is),
        TEST(a_row_that_cannot_be_had_while_a_table_settles_is_told),
        TEST(a_row_that_was_not_sent_whole_is_read_again),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
