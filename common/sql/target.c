#include "sql/target.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "base/lsn.h"
#include "base/option_name.h"
#include "frames/pg_type.h"
#include "sql/ask_copy.h"
#include "sql/copied.h"
#include "sql/left_out.h"
#include "sql/relation_proof.h"
#include "sql/target_state.h"
#include "sql/wanted_index.h"

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

static void free_default(struct default_left *d)
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
        free_default(d);
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
        free_default(d);
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

int target_ask_copy(struct target *t, const struct asked_copies *asked, bool anew, struct err *err)
{
    const struct own_key key = checkpoint_key(asked->origin);
    if (ask_copy(t->runner.ops, t->runner.driver, asked, err) ||
        (anew && t->runner.ops->remember(t->runner.driver, &key, NULL, true, err)) ||
        t->runner.ops->commit(t->runner.driver, err))
        return -1;
    set_clean(t);
    return 0;
}

/* ---- tables that the transaction has changed ---- */

static bool is_changed(const struct target *t, const char *name)
{
    for (size_t i = 0; t->in_transaction && i < t->nchanged; i++)
        if (strcmp(t->changed[i], name) == 0)
            return true;
    return false;
}

static int mark_changed(struct target *t, struct target_table *table, struct err *err)
{
    if (!t->runner.traits.ddl_commits || table->changed_in == t->transaction)
        return 0;
    if (t->nchanged == t->changed_cap) {
        size_t cap = t->changed_cap ? t->changed_cap * 2 : 16;
        char **changed = realloc(t->changed, cap * sizeof *changed);
        if (!changed)
            return err_nomem(err);
        t->changed = changed;
        t->changed_cap = cap;
    }
    t->changed[t->nchanged] = strdup(table->name);
    if (!t->changed[t->nchanged])
        return err_nomem(err);
    t->nchanged++;
    table->changed_in = t->transaction;
    return 0;
}

/* ---- what a relation needs ---- */

/* All that is known when a relation is to be bound. */
struct prospect {
    struct buf name;
    struct buf beside;    /* the table's while it has not taken that place; empty: it has */
    bool known;           /* the target remembers the relation */
    bool left_out;        /* its changes are, and nothing of what follows is known */
    bool awaits;          /* or are until a copy comes; the same */
    bool unknown;         /* with an error: a copy would mend it */
    struct copied copied; /* what it has by its copy */
    bool begins;          /* that copy, with what comes now */
    bool refills;         /* the table that held the relation before */
    struct buf lines; /* the same as it is remembered, if it does not begin, and indexes it lacks */
    bool made;        /* the table is one that we made */
    bool as_ever;     /* and it is what it was, under the same name */
    struct relation *was, *is;    /* the remembered one, and what of this one is proven */
    struct own_row memory, owner; /* of whom the target takes the name's table for */
    struct buf aside;             /* where that goes */
    struct described_table there, was_there, aside_there;
    struct schema_plan plan; /* points into the others, and to the relation */
};

static void prospect_init(struct prospect *p)
{
    *p = (struct prospect){0};
    described_init(&p->there);
    described_init(&p->was_there);
    described_init(&p->aside_there);
}

static void prospect_free(struct prospect *p)
{
    schema_plan_free(&p->plan);
    described_free(&p->there);
    described_free(&p->was_there);
    described_free(&p->aside_there);
    relation_unref(p->was);
    relation_unref(p->is);
    copied_free(&p->copied);
    buf_free(&p->lines);
    own_row_free(&p->memory);
    own_row_free(&p->owner);
    buf_free(&p->name);
    buf_free(&p->beside);
    buf_free(&p->aside);
}

/* What a plan asks of types. Nothing is told of a failure: whoever made the plan looks for it. */
struct type_questions {
    struct target *target;
    struct err *err;
    bool failed;
};

static bool types_same(void *ctx, const struct column *a, const struct column *b)
{
    struct type_questions *q = ctx;
    const struct target *t = q->target;
    struct column columns[2] = {*a, *b};
    struct buf declared[2] = {{0}, {0}};
    /* Lengths of text and bytes in an index aside, which depend on its other columns. */
    for (int i = 0; i < 2; i++) {
        const struct relation rel = {
            .replica_identity = REPLICA_IDENTITY_NOTHING,
            .ncolumns = 1,
            .columns = &columns[i],
            .namespace = "",
            .name = "",
        };
        const char *caveat;
        t->runner.ops->declare(t->runner.driver, &rel, 0, &declared[i], &caveat);
    }
    bool same = strcmp(buf_cstr(&declared[0]), buf_cstr(&declared[1])) == 0;
    for (int i = 0; i < 2; i++)
        q->failed = q->failed || buf_check(&declared[i], q->err) != 0;
    buf_free(&declared[0]);
    buf_free(&declared[1]);
    return same;
}

static bool types_hold(void *ctx, const struct column *c, const struct described_column *there)
{
    struct type_questions *q = ctx;
    const struct target *t = q->target;
    struct fit fit = {0};
    struct err why = {0};
    if (t->runner.ops->fit(t->runner.driver, c, there, false, &fit, &why) == 0)
        return fit.holds;
    if (why.kind != ERR_PERMANENT && !q->failed) {
        *q->err = why;
        q->failed = true;
    }
    return false;
}

int target_describe(struct target *t, const char *name, bool rows, struct described_table *out,
                    struct err *err)
{
    const struct describe_how how = {.rows = rows, .changed = is_changed(t, name)};
    described_free(out);
    if (t->runner.ops->describe(t->runner.driver, name, &how, out, err))
        return -1;
    return described_check(out, err);
}

/* The same, and whether there are rows where that matters. */
static int describe_for(struct target *t, const char *name, const struct relation *rel,
                        const struct relation *was, struct described_table *out, struct err *err)
{
    if (target_describe(t, name, false, out, err))
        return -1;
    return schema_plan_needs_rows(rel, was, out) ? target_describe(t, name, true, out, err) : 0;
}

int target_recall(struct target *t, const struct own_key *key, struct own_row *row, bool *found,
                  struct err *err)
{
    if (t->runner.ops->recall(t->runner.driver, key, row, found, err))
        return err_context(err, "reading " RELATION_TABLE);
    return own_row_check(row, err);
}

static struct left_out left_out(const struct target *t, const struct binding *b,
                                const struct relation *rel, struct prospect *p)
{
    return (struct left_out){t->runner.ops, t->runner.driver, b->origin, b->skip,
                             rel,           &p->memory,       p->known};
}

/* Whether a copy mends what is unknown: one that has not come to its end begins anew anyhow. */
static bool will_await(const struct binding *b, const struct prospect *p)
{
    bool begins = b->begins && b->snapshot.data;
    return b->may_await && !begins && (b->copy_unknown || p->copied.after || p->copied.beside);
}

/* What the target remembers of the relation, if anything; whether its changes are left out. */
static int recall_relation(struct target *t, const struct binding *b, const struct relation *rel,
                           struct prospect *p, struct err *err)
{
    const struct own_key key = {.table = OWN_RELATION, .origin = b->origin, .relid = rel->relid};
    if (b->origin && target_recall(t, &key, &p->memory, &p->known, err))
        return -1;
    const struct left_out l = left_out(t, b, rel, p);
    if (left_out_decide(&l, &p->left_out, err) == 0)
        return 0;
    p->unknown = will_await(b, p) && err->kind == ERR_PERMANENT;
    if (p->unknown) {
        left_out_clear(&p->memory.fields[RELATION_FRAME]);
        (void)err_set(err, ERR_PERMANENT, "its changes were left out for a while");
    }
    return -1;
}

/* The copy that the table was made by, or that its rows begin now. */
static int recall_copy(const struct binding *b, struct prospect *p, struct err *err)
{
    struct buf *frame = &p->memory.fields[RELATION_FRAME];
    size_t size = 0;
    if (p->known && copied_parse(&p->copied, frame, &size, err))
        return -1;
    p->begins = b->begins && b->snapshot.data;
    p->awaits = p->copied.due && !p->begins;
    if (b->snapshot.data && !b->begins && !p->known) {
        copied_put(&p->lines, b->commit_lsn, b->snapshot, false);
        if (buf_check(&p->lines, err) || copied_parse(&p->copied, &p->lines, &(size_t){0}, err))
            return -1;
    } else if (!p->begins) {
        buf_append(&p->lines, frame->data, size);
    }
    buf_consume(frame, size);
    size = wanted_size(frame->data, frame->len);
    buf_append(&p->lines, frame->data, size);
    buf_consume(frame, size);
    if (!p->awaits || b->may_await)
        return buf_check(&p->lines, err);
    (void)err_set(err, ERR_PERMANENT, "the table awaits a copy, and none comes");
    return err_hint(err, "let pg-capture copy it: --copy initial (CDC_COPY)");
}

/* Where the rows of a copy are before the table takes its place. */
int target_name_beside(struct target *t, const struct relation *rel, struct buf *out,
                       struct err *err)
{
    char name[32];
    struct relation beside = *rel;
    (void)snprintf(name, sizeof name, "pg2any_copy_%" PRIu32, rel->relid);
    beside.name = name;
    return t->runner.ops->table_name(t->runner.driver, &beside, out, err) || buf_check(out, err)
               ? -1
               : 0;
}

/* The name of the table that the relation is bound to. */
static const char *bound_name(struct prospect *p)
{
    return buf_cstr(p->beside.len > 0 ? &p->beside : &p->name);
}

/* What follows from what is remembered for what the relation is now. */
static int compare_memory(struct relation *rel, struct prospect *p, struct err *err)
{
    const struct buf *frame = &p->memory.fields[RELATION_FRAME];
    size_t at = copied_made_size(frame->data, frame->len);
    p->made = at > 0;
    /* One that was only left out, and has no table. */
    bool bound = p->known && !left_out_is_unbound(&p->memory);
    if (bound && relation_from_bytes(frame->data + at, frame->len - at, &p->was, err))
        return err_context(err, RELATION_TABLE);
    if (relation_prove(p->was, rel, &p->is, err))
        return -1;
    const char *was_name = buf_cstr(&p->memory.fields[RELATION_TARGET]);
    p->as_ever = p->was && strcmp(was_name, buf_cstr(&p->name)) == 0 && relation_is_proven(p->is) &&
                 relation_same_frame(p->was, p->is);
    return 0;
}

/* Whom the target takes the name's table for, if anybody. */
static int recall_owner(struct target *t, const char *origin, struct prospect *p,
                        struct plan_input *in, struct err *err)
{
    const struct own_key key = {.table = OWN_RELATION, .origin = origin, .target = in->name};
    bool found = false;
    if (target_recall(t, &key, &p->owner, &found, err))
        return -1;
    in->owner = found ? p->owner.relid : 0;
    return 0;
}

/* Where the owner's table may go: at the source it had the name that is the relation's now. */
static int find_aside(struct target *t, struct prospect *p, struct plan_input *in, struct err *err)
{
    char name[32];
    struct relation aside = *p->is;
    if (in->owner == 0 || in->owner == p->is->relid ||
        strcmp(buf_cstr(&p->owner.fields[RELATION_NAMESPACE]), p->is->namespace) != 0 ||
        strcmp(buf_cstr(&p->owner.fields[RELATION_NAME]), p->is->name) != 0)
        return 0;
    (void)snprintf(name, sizeof name, "pg2any_aside_%" PRIu32, in->owner);
    aside.name = name;
    if (t->runner.ops->table_name(t->runner.driver, &aside, &p->aside, err) ||
        buf_check(&p->aside, err) ||
        target_describe(t, buf_cstr(&p->aside), false, &p->aside_there, err))
        return -1;
    in->aside = buf_cstr(&p->aside);
    in->aside_there = &p->aside_there;
    return 0;
}

/* What the table needs, as the relation is now. */
static int make_plan(struct target *t, const struct binding *b, struct relation *rel,
                     struct prospect *p, bool emptied, struct err *err)
{
    const char *name = buf_cstr(&p->name);
    own_row_free(&p->owner);
    buf_reset(&p->aside, 0);
    struct type_questions questions = {.target = t, .err = err};
    struct plan_input in = {
        .policy = b->policy,
        .is = p->is,
        .claimed = rel,
        .name = name,
        .was = p->was,
        .was_name = p->was ? buf_cstr(&p->memory.fields[RELATION_TARGET]) : NULL,
        .may_await = will_await(b, p) || p->begins,
        .emptied = emptied,
        .there = &p->there,
        .was_there = &p->was_there,
        .types = {&questions, types_same, types_hold, t->runner.traits.widens,
                  t->runner.traits.default_bytes},
    };
    bool renamed = p->was && strcmp(in.was_name, name) != 0;
    if ((b->origin && (!p->was || renamed) &&
         (recall_owner(t, b->origin, p, &in, err) || find_aside(t, p, &in, err))) ||
        describe_for(t, name, p->is, p->was, &p->there, err) ||
        (renamed && in.owner != rel->relid &&
         describe_for(t, in.was_name, p->is, p->was, &p->was_there, err)))
        return -1;
    if (p->begins)
        p->there.empty = p->was_there.empty = true; /* as good as */
    struct err why = {0};
    int rc = schema_plan_make(&in, &p->plan, &why);
    if (questions.failed)
        return -1;
    p->unknown = rc && p->plan.unknown;
    if (rc)
        *err = why;
    return rc;
}

/* What is proven of the relation where nothing of before matters. */
static int prove_alone(struct relation *rel, struct prospect *p, struct err *err)
{
    relation_unref(p->is);
    p->is = NULL;
    return relation_prove(NULL, rel, &p->is, err);
}

/* Whether a table that we made can be replaced by a new one, which may be made beside it. */
static int look_beside(struct target *t, const struct binding *b, const struct relation *rel,
                       struct prospect *p, bool *beside, struct err *err)
{
    const char *name = buf_cstr(&p->name), *was_name = buf_cstr(&p->memory.fields[RELATION_TARGET]);
    const struct describe_how how = {.more = true};
    struct own_key taken = {.table = OWN_RELATION, .origin = b->origin};
    struct own_row owner = {0};
    bool found = false;
    *beside = false;
    if (!p->was || !p->made || b->policy == DDL_NONE || b->policy == DDL_CREATE)
        return 0;
    described_free(&p->was_there);
    if (t->runner.ops->describe(t->runner.driver, was_name, &how, &p->was_there, err) ||
        described_check(&p->was_there, err) ||
        (strcmp(name, was_name) != 0 && target_describe(t, name, false, &p->there, err)))
        return -1;
    if (!p->was_there.exists || p->there.exists || !schema_plan_is_as_made(p->was, &p->was_there))
        return 0;
    if (target_name_beside(t, rel, &p->beside, err))
        return -1;
    taken.target = buf_cstr(&p->beside);
    int rc = target_recall(t, &taken, &owner, &found, err);
    own_row_free(&owner);
    *beside = !found;
    return rc ? rc : target_describe(t, taken.target, false, &p->there, err);
}

/* A copy begins: into a new table beside the one that is there, or into that one, emptied. */
static int look_for_copy(struct target *t, const struct binding *b, struct relation *rel,
                         struct prospect *p, struct err *err)
{
    bool beside;
    if (look_beside(t, b, rel, p, &beside, err))
        return -1;
    if (beside) {
        p->as_ever = false;
        return prove_alone(rel, p, err) || schema_plan_make_beside(p->is, buf_cstr(&p->beside),
                                                                   &p->there, &p->plan, err)
                   ? -1
                   : 0;
    }
    buf_reset(&p->beside, 0);
    if (p->as_ever)
        return target_describe(t, buf_cstr(&p->name), false, &p->there, err);
    if (make_plan(t, b, rel, p, false, err) == 0)
        return 0;
    if (!p->unknown)
        return -1;
    err_clear(err);
    return prove_alone(rel, p, err) || make_plan(t, b, rel, p, true, err) ? -1 : 0;
}

/* The copy of the table is not whole: nothing but more of it fits the table beside. */
static int look_at_beside(struct target *t, const struct relation *rel, struct prospect *p,
                          struct err *err)
{
    if (target_name_beside(t, rel, &p->beside, err))
        return -1;
    if (p->as_ever)
        return target_describe(t, buf_cstr(&p->beside), false, &p->there, err);
    p->unknown = true;
    return err_set(err, ERR_PERMANENT, "the table was changed while it was copied");
}

static int look(struct target *t, const struct binding *b, struct relation *rel, struct prospect *p,
                struct err *err)
{
    if (recall_relation(t, b, rel, p, err))
        return -1;
    if (p->left_out)
        return 0;
    if (t->runner.ops->table_name(t->runner.driver, rel, &p->name, err) ||
        buf_check(&p->name, err) || recall_copy(b, p, err))
        return -1;
    if (p->awaits)
        return 0;
    if (compare_memory(rel, p, err))
        return -1;
    if (p->begins)
        return look_for_copy(t, b, rel, p, err);
    if (p->copied.beside)
        return look_at_beside(t, rel, p, err);
    return p->as_ever ? target_describe(t, buf_cstr(&p->name), false, &p->there, err)
                      : make_plan(t, b, rel, p, false, err);
}

/* ---- steps ---- */

static const char *step_column(const struct step *s)
{
    return s->kind == STEP_DROP_COLUMN     ? s->name
           : s->kind == STEP_RENAME_COLUMN ? s->to
                                           : s->rel->columns[s->column].name;
}

static void say(const struct step *s)
{
    static const char *const words[] = {
        [STEP_DROP_COLUMN] = "column dropped",
        [STEP_RENAME_COLUMN] = "column renamed",
        [STEP_WIDEN_COLUMN] = "column widened",
        [STEP_ADD_COLUMN] = "column added",
        [STEP_DROP_DEFAULT] = NULL,
        [STEP_CREATE_INDEX] = NULL,
    };
    if (s->kind == STEP_CREATE_TABLE)
        log_info("table created", "target", s->table, NULL);
    else if (s->kind == STEP_RENAME_TABLE)
        log_info("table renamed", "from", s->table, "to", s->to, NULL);
    else if (words[s->kind])
        log_info(words[s->kind], "target", s->table, "relation", s->rel->name, "column",
                 step_column(s), NULL);
}

/* Defaults that are left on a column, or on all of a table, are no matter any more. */
static void forget_defaults(struct target *t, const struct step *s)
{
    bool whole = s->kind == STEP_RENAME_TABLE || s->kind == STEP_CREATE_TABLE ||
                 s->kind == STEP_DROP_TABLE || s->kind == STEP_REPLACE_TABLE;
    for (struct default_left **p = &t->defaults; *p;) {
        struct default_left *d = *p;
        bool touched = strcmp(d->table, s->table) == 0 ||
                       (s->kind == STEP_REPLACE_TABLE && s->name && strcmp(d->table, s->name) == 0);
        if (touched && !whole)
            touched = strcmp(d->rel->columns[d->column].name,
                             s->kind == STEP_RENAME_COLUMN ? s->name : step_column(s)) == 0;
        if (touched) {
            *p = d->next;
            free_default(d);
        } else {
            p = &d->next;
        }
    }
}

/* The default of the column that a step adds is to go when the rows before it are committed. */
static int leave_default(struct target *t, const struct step *s, struct relation *rel,
                         struct err *err)
{
    struct default_left *d = calloc(1, sizeof *d);
    char *table = strdup(s->table);
    if (!d || !table) {
        free(d);
        free(table);
        return err_nomem(err);
    }
    *d = (struct default_left){t->defaults, table, relation_ref(rel), s->column};
    t->defaults = d;
    return 0;
}

/*
 * A table that the open transaction has changed cannot be altered beside it: that would wait for
 * the transaction. A new column, or a wider type, may be there before the rows that come before
 * it: they do not name the column, and get its default. So the transaction is given up, the table
 * altered, and the group repeated, which finds it done. Where that was done already and is to be
 * done again, the same transaction drops the column first, and it would go on like that for ever.
 */
static int change_and_repeat(struct target *t, const struct step *s, struct relation *defaults_of,
                             struct err *err)
{
    struct buf what = {0};
    const char *column = step_column(s);
    buf_printf(&what, "%s %s", s->table, column);
    if (buf_check(&what, err)) {
        buf_free(&what);
        return -1;
    }
    bool again = t->repeated.len == what.len && memcmp(t->repeated.data, what.data, what.len) == 0;
    if (again) {
        buf_free(&what);
        (void)err_set(err, ERR_PERMANENT,
                      "column %s of %s was dropped and made again between rows of one source "
                      "transaction, and %s has no such change within a transaction",
                      column, s->table, t->runner.ops->title);
        t->copy_mends = true;
        return err_hint(err, "the table has to be copied anew");
    }
    if (target_reset(t, err) || t->runner.ops->change(t->runner.driver, s, NULL, err) ||
        (defaults_of && leave_default(t, s, defaults_of, err))) {
        buf_free(&what);
        return -1;
    }
    buf_free(&t->repeated);
    t->repeated = what;
    return err_set(
        err, ERR_RETRY,
        "a column of %s was added or widened, and the same source transaction had changed "
        "rows there before",
        s->table);
}

/* The same for a change that the rows before it must not meet. */
static int refuse(struct target *t, const struct step *s, struct err *err)
{
    t->copy_mends = true;
    (void)err_set(err, ERR_PERMANENT,
                  "the same source transaction changed rows of %s before this change of the table, "
                  "and %s has no such change within a transaction",
                  s->table, t->runner.ops->title);
    return err_hint(err, "%s",
                    s->kind == STEP_DROP_COLUMN
                        ? OPTION_TEXT("start once with --ddl create, which leaves the "
                                      "column, and drop it by hand")
                        : "the table has to be copied anew");
}

/*
 * A change of a table that the open transaction has not changed may wait for it all the same: by a
 * foreign key the two share a lock. It is made while no transaction is open, and the group
 * repeated, as after a crash just behind the change.
 */
static int change_alone(struct target *t, const struct step *s, struct relation *defaults_of,
                        struct err *err)
{
    log_info("a change of a table waits for a lock: it is tried without the open transaction",
             "table", s->table, "reason", err->text, NULL);
    err_clear(err);
    if (s->kind == STEP_ADD_COLUMN || s->kind == STEP_WIDEN_COLUMN)
        return change_and_repeat(t, s, defaults_of, err);
    if (target_reset(t, err) || t->runner.ops->change(t->runner.driver, s, NULL, err))
        return -1;
    return err_set(err, ERR_RETRY, "%s was changed while no transaction was open", s->table);
}

/* `defaults_of`: the relation, where the step leaves a default that the next one takes away. */
int target_change(struct target *t, const struct step *s, struct relation *defaults_of,
                  struct err *err)
{
    forget_defaults(t, s);
    if (!t->runner.traits.ddl_commits || !is_changed(t, s->table)) {
        int rc = t->runner.ops->change(t->runner.driver, s, NULL, err);
        bool may_lock = t->runner.traits.ddl_commits && t->in_transaction && t->nchanged > 0;
        return rc && err->kind == ERR_RETRY && may_lock ? change_alone(t, s, defaults_of, err) : rc;
    }
    /* The rows before it get the default, which a value that is too long for one is not. */
    bool fills = s->kind == STEP_ADD_COLUMN && s->rel->columns[s->column].fill == FILL_VALUE;
    return s->kind == STEP_WIDEN_COLUMN || (s->kind == STEP_ADD_COLUMN && (!fills || defaults_of))
               ? change_and_repeat(t, s, defaults_of, err)
               : refuse(t, s, err);
}

/* Says which step it was that failed. */
static int step_failed(const struct step *s, struct err *err)
{
    switch (s->kind) {
    case STEP_RENAME_TABLE:
        return err_context(err, "following the rename of %s", s->table);
    case STEP_WIDEN_COLUMN:
        return err_context(err, "following the new type of column %s", step_column(s));
    case STEP_DROP_COLUMN:
        (void)err_context(err, "following the drop of column %s", s->name);
        return err->kind == ERR_PERMANENT ? schema_plan_stop(s->table, s->rel, err) : -1;
    case STEP_CREATE_TABLE:
    case STEP_RENAME_COLUMN:
    case STEP_ADD_COLUMN:
    case STEP_DROP_DEFAULT:
    case STEP_CREATE_INDEX:
    case STEP_DROP_TABLE:
    case STEP_REPLACE_TABLE:
        break;
    }
    return -1;
}

/* Before the transaction that remembers it is committed it may be given up, and the table stays. */
static int note_made(struct target *t, const char *table, struct err *err)
{
    if (t->runner.traits.ddl_commits)
        buf_append(&t->made, table, strlen(table) + 1);
    return buf_check(&t->made, err);
}

static bool is_made(const struct target *t, const char *table)
{
    for (size_t at = 0; at < t->made.len; at += strlen((const char *)t->made.data + at) + 1)
        if (strcmp((const char *)t->made.data + at, table) == 0)
            return true;
    return false;
}

static int carry_out(struct target *t, struct relation *rel, const struct schema_plan *plan,
                     struct err *err)
{
    t->copy_mends = false;
    for (size_t i = 0; i < plan->n; i++) {
        bool keeps_default = i + 1 < plan->n && plan->steps[i + 1].kind == STEP_DROP_DEFAULT;
        if (target_change(t, &plan->steps[i], keeps_default ? rel : NULL, err))
            return step_failed(&plan->steps[i], err);
        if (plan->steps[i].kind == STEP_CREATE_TABLE && note_made(t, plan->steps[i].table, err))
            return -1;
        say(&plan->steps[i]);
    }
    return 0;
}

/* ---- binding ---- */

int target_remember(struct target *t, const char *origin, const struct own_row *row, bool exists,
                    struct err *err)
{
    const struct own_key key = {.table = OWN_RELATION, .origin = origin, .relid = row->relid};
    if (own_row_check(row, err) == 0 &&
        t->runner.ops->remember(t->runner.driver, &key, row, exists, err) == 0)
        return 0;
    return err_context(err, "writing " RELATION_TABLE);
}

/* `row` keeps the place that the table is for, until it has taken it. */
static int remember(struct target *t, const struct binding *b, const struct relation *rel,
                    struct prospect *p, struct err *err)
{
    struct own_row row = {.relid = rel->relid};
    const struct buf *place = p->beside.len > 0 ? &p->memory.fields[RELATION_TARGET] : &p->name;
    struct buf *frame = &row.fields[RELATION_FRAME];
    buf_append(&row.fields[RELATION_TARGET], place->data, place->len);
    buf_append_str(&row.fields[RELATION_NAMESPACE], rel->namespace);
    buf_append_str(&row.fields[RELATION_NAME], rel->name);
    if (p->begins)
        copied_put(frame, b->commit_lsn, b->snapshot, p->beside.len > 0);
    if (p->begins) {
        size_t size;
        copied_free(&p->copied);
        if (buf_check(frame, err) || copied_parse(&p->copied, frame, &size, err)) {
            own_row_free(&row);
            return -1;
        }
    }
    buf_append(frame, p->lines.data, p->lines.len);
    if (p->made)
        buf_append_str(frame, COPIED_MADE);
    buf_append(frame, p->is->frame, p->is->frame_size);
    int rc = target_remember(t, b->origin, &row, p->known, err);
    own_row_free(&row);
    return rc;
}

static int remember_aside(struct target *t, const char *origin, struct prospect *p, struct err *err)
{
    struct buf *target = &p->owner.fields[RELATION_TARGET];
    if (!p->plan.aside)
        return 0;
    buf_reset(target, 0);
    buf_append_str(target, buf_cstr(&p->aside));
    log_warning("the table of a relation that was renamed or dropped at the source has made room "
                "for another one of its name",
                "target", buf_cstr(&p->name), "relid", LOG_U64(p->owner.relid), "now",
                buf_cstr(&p->aside), NULL);
    return target_remember(t, origin, &p->owner, true, err);
}

/* Brings the table in step with the relation, where it is not. */
static int bring_in_step(struct target *t, const struct binding *b, struct relation *rel,
                         struct prospect *p, struct err *err)
{
    if (p->as_ever && !p->begins)
        return 0;
    int rc = carry_out(t, rel, &p->plan, err);
    p->unknown = rc && t->copy_mends;
    for (size_t i = 0; i < p->plan.n; i++)
        p->made = p->made || p->plan.steps[i].kind == STEP_CREATE_TABLE;
    p->made = p->made || is_made(t, bound_name(p));
    bool stays = p->begins && p->there.exists && p->beside.len == 0;
    p->refills = stays && p->copied.due;
    if (rc == 0 && stays)
        log_info("the rows of a table are replaced where they are", "target", buf_cstr(&p->name),
                 NULL);
    if (rc || remember_aside(t, b->origin, p, err) || remember(t, b, rel, p, err))
        return -1;
    return p->plan.n > 0 ? target_describe(t, bound_name(p), false, &p->there, err) : 0;
}

static int bind_table(struct target *t, const struct relation *rel, struct prospect *p,
                      struct target_table **table, struct err *err)
{
    return table_bind(t->runner.ops, t->runner.driver, bound_name(p), rel, &p->there, table, err);
}

static int leave_out(struct target *t, const struct binding *b, const struct relation *rel,
                     struct prospect *p, struct err *err)
{
    const struct left_out l = left_out(t, b, rel, p);
    return left_out_remember(&l, b->commit_lsn, err);
}

/* What the table's rows are is unknown: they stay, and the changes are left out, until a copy
 * comes.
 */
static int await_copy(struct target *t, const struct binding *b, const struct relation *rel,
                      struct prospect *p, struct err *err)
{
    const struct left_out l = left_out(t, b, rel, p);
    log_warning("a table is to be copied again; until then its rows stay as they are", "schema",
                rel->namespace, "table", rel->name, "relid", LOG_U64(rel->relid), "commit_lsn",
                LSN(b->commit_lsn), "reason", err->text, NULL);
    err_clear(err);
    return left_out_until_copied(&l, b->commit_lsn, err);
}

int target_bind(struct target *t, const struct binding *b, struct relation *rel,
                struct target_table **table, bool *awaits, struct err *err)
{
    struct prospect p;
    prospect_init(&p);
    *table = NULL;
    int rc = look(t, b, rel, &p, err);
    if (rc == 0 && p.left_out)
        rc = leave_out(t, b, rel, &p, err);
    else if (rc == 0 && !p.awaits)
        rc = bring_in_step(t, b, rel, &p, err) || bind_table(t, rel, &p, table, err) ? -1 : 0;
    if (rc && p.unknown && will_await(b, &p)) {
        rc = await_copy(t, b, rel, &p, err);
        p.awaits = true;
    }
    *awaits = rc == 0 && p.awaits;
    if (*table) {
        (*table)->reference = relation_ref(rel);
        (*table)->ours = (*table)->there.ours || p.made;
        (*table)->refilled = p.refills;
        (*table)->copied = p.copied;
        p.copied = (struct copied){0};
    }
    prospect_free(&p);
    return rc;
}

void target_unbind(struct target *t, struct target_table *table)
{
    if (!table)
        return;
    runner_forget(&t->runner, table);
    table_free(table);
}

static int show(struct target *t, const struct relation *rel, struct prospect *p,
                struct buf *statements, struct err *err)
{
    struct target_table *table;
    for (size_t i = 0; i < p->plan.n; i++)
        if (t->runner.ops->change(t->runner.driver, &p->plan.steps[i], statements, err))
            return step_failed(&p->plan.steps[i], err);
    if (p->plan.n > 0)
        return table_check_planned(t->runner.ops, t->runner.driver, buf_cstr(&p->name), rel,
                                   &p->plan, err)
                   ? -1
                   : buf_check(statements, err);
    if (bind_table(t, rel, p, &table, err))
        return -1;
    table_free(table);
    return 0;
}

int target_foresee(struct target *t, const struct binding *b, struct relation *rel,
                   struct foreseen *out, struct err *err)
{
    struct prospect p;
    prospect_init(&p);
    int rc = look(t, b, rel, &p, err);
    out->exists = p.there.exists || p.was_there.exists;
    out->left_out = p.left_out;
    out->awaits = p.awaits || (rc && p.unknown && will_await(b, &p));
    if (rc && out->awaits) {
        err_clear(err);
        rc = 0;
    } else if (rc == 0 && !p.left_out && !p.awaits)
        rc = show(t, rel, &p, &out->statements, err);
    buf_append_str(&out->name, buf_cstr(&p.name));
    prospect_free(&p);
    return rc ? rc : buf_check(&out->name, err);
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

void foreseen_free(struct foreseen *f)
{
    buf_free(&f->name);
    buf_free(&f->statements);
}

const char *target_caveat(struct target *t, const struct relation *rel, uint32_t column)
{
    struct buf declared = {0};
    const char *caveat = NULL;
    t->runner.ops->declare(t->runner.driver, rel, column, &declared, &caveat);
    buf_free(&declared);
    return caveat;
}

/* ---- rows ---- */

int target_apply(struct target *t, struct run *run, struct err *err)
{
    return mark_changed(t, run->table, err) ? -1 : runner_apply(&t->runner, run, err);
}

int target_truncate(struct target *t, struct target_table *const *tables, size_t ntables,
                    bool cascade, bool restart_identity, struct err *err)
{
    for (size_t i = 0; i < ntables; i++)
        if (mark_changed(t, tables[i], err))
            return -1;
    return t->runner.ops->truncate(t->runner.driver, tables, ntables, cascade, restart_identity,
                                   err);
}

int target_check(struct target *t, bool ddl, struct report *report, struct err *err)
{
    return t->runner.ops->check(t->runner.driver, ddl, report, err);
}
