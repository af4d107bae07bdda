#include "sql/target.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "base/lsn.h"
#include "frames/pg_type.h"
#include "sql/ask_copy.h"
#include "sql/target_state.h"

/* ---- opening ---- */

int target_open(const struct driver_ops *ops, const struct driver_config *config,
                struct target **target, struct err *err)
{
    struct target *t = calloc(1, sizeof *t);
    if (!t)
        return err_nomem(err);
    t->runner.ops = ops;
    if (ops->open(config, &t->runner.driver, &t->runner.traits, err)) {
        free(t);
        return -1;
    }
    statements_init(&t->runner.statements, t->runner.traits.free_statement, STATEMENTS_MAX);
    *target = t;
    return 0;
}

void target_free_default(struct default_left *d)
{
    free(d->table);
    relation_unref(d->rel);
    free(d);
}

static void set_clean(struct target *t)
{
    for (size_t i = 0; i < t->nchanged; i++)
        free(t->changed[i]);
    t->nchanged = 0;
    t->in_transaction = false;
}

void target_close(struct target *t)
{
    if (!t)
        return;
    statements_clear(&t->runner.statements);
    t->runner.ops->close(t->runner.driver);
    runner_committed(&t->runner);
    set_clean(t);
    free(t->changed);
    for (struct default_left *d = t->defaults, *next; d; d = next) {
        next = d->next;
        target_free_default(d);
    }
    buf_free(&t->repeated);
    buf_free(&t->made);
    free(t);
}

bool target_ddl_commits(const struct target *t)
{
    return t->runner.traits.ddl_commits;
}

bool target_folds_names(const struct target *t)
{
    return t->runner.traits.folds_names;
}

static bool is_merged(uint32_t type_oid)
{
    return type_oid == PG_TYPE_DATE || type_oid == PG_TYPE_TIMESTAMP ||
           type_oid == PG_TYPE_TIMESTAMPTZ || type_oid == PG_TYPE_FLOAT4 ||
           type_oid == PG_TYPE_FLOAT8;
}

bool target_errors_end(const struct target *t)
{
    return t->runner.traits.errors_end;
}

bool target_merges_keys(const struct target *t, const struct target_table *table)
{
    const struct identity *id = &table->identity;
    for (uint32_t i = 0; i < id->n && t->runner.traits.merges_times; i++)
        if (is_merged(table->rel->columns[id->columns[i]].base_type_oid))
            return true;
    return false;
}

/* ---- transactions ---- */

int target_reset(struct target *t, struct err *err)
{
    set_clean(t);
    statements_clear(&t->runner.statements);
    return t->runner.ops->reset(t->runner.driver, &t->runner.traits, err);
}

static struct own_key checkpoint_key(const char *origin)
{
    return (struct own_key){.table = OWN_CHECKPOINT, .origin = origin};
}

static int read_checkpoint(struct own_row *row, struct checkpoint *out, struct err *err)
{
    const char *lsn = buf_cstr(&row->fields[CHECKPOINT_REMOTE_LSN]),
               *time = buf_cstr(&row->fields[CHECKPOINT_COMMIT_TIME]),
               *system = buf_cstr(&row->fields[CHECKPOINT_SYSTEM_IDENTIFIER]),
               *timeline = buf_cstr(&row->fields[CHECKPOINT_TIMELINE]);
    out->commit_time_us = 0;
    if (!lsn_parse(lsn, strlen(lsn), &out->remote_lsn) ||
        strlen(system) >= sizeof out->system_identifier ||
        (*time && !pg_time_parse(time, &out->commit_time_us)) || *timeline < '0' || *timeline > '9')
        return err_set(err, ERR_PERMANENT,
                       CHECKPOINT_TABLE " holds something that is not a checkpoint");
    memcpy(out->system_identifier, system, strlen(system) + 1);
    out->timeline = (uint32_t)strtoul(timeline, NULL, 10);
    return 0;
}

int target_checkpoint(struct target *t, const char *origin, struct checkpoint *out, bool *found,
                      struct err *err)
{
    const struct own_key key = checkpoint_key(origin);
    struct own_row row = {0};
    *found = false;
    int rc = t->runner.ops->recall(t->runner.driver, &key, &row, found, err);
    if (rc == 0)
        rc = own_row_check(&row, err);
    if (rc == 0 && *found)
        rc = read_checkpoint(&row, out, err);
    own_row_free(&row);
    return rc ? err_context(err, "reading the checkpoint") : 0;
}

int target_begin(struct target *t, const char *origin, struct checkpoint *now, bool *found,
                 struct err *err)
{
    if (t->runner.ops->begin(t->runner.driver, err))
        return -1;
    t->in_transaction = true;
    t->transaction++;
    if (target_checkpoint(t, origin, now, found, err))
        return -1;
    t->has_checkpoint = *found;
    return 0;
}

static int write_checkpoint(struct target *t, const char *origin, const struct checkpoint *c,
                            struct err *err)
{
    const struct own_key key = checkpoint_key(origin);
    struct own_row row = {0};
    char time[PG_TIME_TEXT_SIZE];
    buf_append_str(&row.fields[CHECKPOINT_REMOTE_LSN], LSN(c->remote_lsn));
    if (c->commit_time_us)
        buf_append_str(&row.fields[CHECKPOINT_COMMIT_TIME], pg_time_text(time, c->commit_time_us));
    buf_append_str(&row.fields[CHECKPOINT_SYSTEM_IDENTIFIER], c->system_identifier);
    buf_printf(&row.fields[CHECKPOINT_TIMELINE], "%" PRIu32, c->timeline);
    int rc = own_row_check(&row, err);
    if (rc == 0)
        rc = t->runner.ops->remember(t->runner.driver, &key, &row, t->has_checkpoint, err);
    own_row_free(&row);
    return rc ? err_context(err, "writing the checkpoint") : 0;
}

/* The rows that needed the defaults are committed. What is left by a fault does no harm: an INSERT
 * names every column. */
static void drop_defaults(struct target *t)
{
    while (t->defaults) {
        struct default_left *d = t->defaults;
        const struct step step = {
            .kind = STEP_DROP_DEFAULT, .table = d->table, .rel = d->rel, .column = d->column};
        struct err err = {0};
        if (t->runner.ops->change(t->runner.driver, &step, NULL, &err))
            log_warning("the default of a new column is left in the target", "target", d->table,
                        "column", d->rel->columns[d->column].name, "reason", err.text, NULL);
        t->defaults = d->next;
        target_free_default(d);
    }
}

void target_committed(struct target *t)
{
    set_clean(t);
    buf_free(&t->repeated);
    buf_free(&t->made);
    runner_committed(&t->runner);
    drop_defaults(t);
}

int target_commit(struct target *t, const char *origin, const struct checkpoint *checkpoint,
                  struct err *err)
{
    if (write_checkpoint(t, origin, checkpoint, err) ||
        t->runner.ops->commit(t->runner.driver, err))
        return -1;
    target_committed(t);
    return 0;
}

int target_forget(struct target *t, const char *origin, struct err *err)
{
    const struct own_key keys[] = {checkpoint_key(origin),
                                   {.table = OWN_RELATION, .origin = origin}};
    for (size_t i = 0; i < sizeof keys / sizeof *keys; i++)
        if (t->runner.ops->remember(t->runner.driver, &keys[i], NULL, true, err))
            return err_context(err, "forgetting an origin");
    if (t->runner.ops->commit(t->runner.driver, err))
        return -1;
    set_clean(t);
    return 0;
}

int target_ask_copy(struct target *t, const struct asked_copies *asked, struct err *err)
{
    const struct own_key key = checkpoint_key(asked->origin);
    if (ask_copy(t->runner.ops, t->runner.driver, asked, err) ||
        (asked->anew && t->runner.ops->remember(t->runner.driver, &key, NULL, true, err)) ||
        t->runner.ops->commit(t->runner.driver, err))
        return -1;
    set_clean(t);
    return 0;
}

int target_ask_rows(struct target *t, const struct asked_rows *asked, struct err *err)
{
    if (ask_rows(t->runner.ops, t->runner.driver, asked, err) ||
        t->runner.ops->commit(t->runner.driver, err))
        return -1;
    set_clean(t);
    return 0;
}

void target_unbind(struct target *t, struct target_table *table)
{
    if (!table)
        return;
    runner_forget(&t->runner, table);
    table_free(table);
}

int target_has_rows(struct target *t, const char *name, bool *rows, struct err *err)
{
    struct described_table there;
    described_init(&there);
    int rc = target_describe(t, name, true, &there, err);
    *rows = rc == 0 && there.exists && !there.empty;
    described_free(&there);
    return rc;
}

const char *target_caveat(struct target *t, const struct relation *rel, uint32_t column)
{
    struct buf declared = {0};
    const char *caveat = NULL;
    t->runner.ops->declare(t->runner.driver, rel, column, &declared, &caveat);
    buf_free(&declared);
    return caveat;
}

/* ---- what is there, and what is remembered ---- */

int target_describe(struct target *t, const char *name, bool rows, struct described_table *out,
                    struct err *err)
{
    const struct describe_how how = {.rows = rows, .changed = target_is_changed(t, name)};
    described_free(out);
    if (t->runner.ops->describe(t->runner.driver, name, &how, out, err))
        return -1;
    return described_check(out, err);
}

int target_recall(struct target *t, const struct own_key *key, struct own_row *row, bool *found,
                  struct err *err)
{
    if (t->runner.ops->recall(t->runner.driver, key, row, found, err))
        return err_context(err, "reading " RELATION_TABLE);
    return own_row_check(row, err);
}

int target_remember(struct target *t, const char *origin, const struct own_row *row, bool exists,
                    struct err *err)
{
    const struct own_key key = {.table = OWN_RELATION, .origin = origin, .relid = row->relid};
    if (own_row_check(row, err) == 0 &&
        t->runner.ops->remember(t->runner.driver, &key, row, exists, err) == 0)
        return 0;
    return err_context(err, "writing " RELATION_TABLE);
}

/* ---- rows ---- */

enum row_order target_row_order(const struct target *t, const struct target_table *table)
{
    return row_order(table, &t->runner.traits);
}

bool target_takes_sets(const struct target *t)
{
    return t->runner.traits.updates == SLICING_SET;
}

bool target_accepts(const struct target *t, const struct target_table *table, uint32_t column,
                    const struct value *v)
{
    enum { SMALL = 1000 }; /* far below what any target limits a row or a packet to */
    char room[STORED_ROOM];
    struct stored stored;
    struct err err = {0};
    /* A NULL it may not take, a policy's neither: what the column is at the source is not what it
     * is there. */
    if (v->kind == VALUE_NULL || v->size > SMALL || !table->holds[column] ||
        !t->runner.ops->stores || !row_order_values_alone(table))
        return false;
    return t->runner.ops->stores(t->runner.driver, table, column, v, room, &stored, &err) == 0 &&
           stored.kind != STORED_NOTHING && stored.kind != STORED_NULL;
}

int target_apply(struct target *t, struct run *run, struct err *err)
{
    return target_mark_changed(t, run->table, err) ? -1 : runner_apply(&t->runner, run, err);
}

int target_truncate(struct target *t, struct target_table *const *tables, size_t ntables,
                    bool cascade, bool restart_identity, size_t *failed, struct err *err)
{
    *failed = ntables;
    for (size_t i = 0; i < ntables; i++)
        if (target_mark_changed(t, tables[i], err))
            return -1;
    return t->runner.ops->truncate(t->runner.driver, tables, ntables, cascade, restart_identity,
                                   failed, err);
}

int target_check(struct target *t, bool ddl, struct report *report, struct err *err)
{
    return t->runner.ops->check(t->runner.driver, ddl, report, err);
}
