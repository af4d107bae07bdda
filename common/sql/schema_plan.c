#include "sql/schema_plan.h"

#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "frames/pg_type.h"
#include "sql/own.h"
#include "sql/relation_proof.h"

/* A column that is at the target, as the steps so far leave it. */
struct standing {
    const char *name;                      /* NULL: dropped */
    const struct described_column *column; /* NULL: it is a new one */
};

struct planner {
    const struct plan_input *in;
    const struct described_table *there; /* the table, under whichever name */
    struct schema_plan *plan;
    size_t steps_cap;
    struct standing *standing;
    size_t nstanding;
};

int schema_plan_stop(const char *table, const struct relation *rel, struct err *err)
{
    return err_hint(
        err,
        "mend the table %s in the target by hand, delete the row with relid %u from " RELATION_TABLE
        " there, and start again",
        table, rel->relid);
}

/* What it is about is unknown. */
static int stop(struct planner *p, struct err *err)
{
    p->plan->unknown = true;
    if (p->in->may_await)
        return -1;
    return schema_plan_stop(p->in->name, p->in->is, err);
}

static int add_step(struct planner *p, const struct step *step, struct err *err)
{
    struct schema_plan *plan = p->plan;
    if (plan->n == p->steps_cap) {
        size_t cap = p->steps_cap ? p->steps_cap * 2 : 8;
        struct step *steps = realloc(plan->steps, cap * sizeof *steps);
        if (!steps)
            return err_nomem(err);
        plan->steps = steps;
        p->steps_cap = cap;
    }
    struct step *to = &plan->steps[plan->n++];
    *to = *step;
    to->rel = p->in->is;
    to->there = p->there;
    if (!to->table)
        to->table = p->in->name;
    return 0;
}

/* ---- types ---- */

/* The limit of a character type in characters; INT32_MAX: none. */
static int32_t char_limit(const struct column *c)
{
    if (c->base_type_oid == PG_TYPE_TEXT)
        return INT32_MAX;
    return c->typmod < 4 ? INT32_MAX : c->typmod - 4; /* VARHDRSZ */
}

static bool is_varying_text(uint32_t oid)
{
    return oid == PG_TYPE_TEXT || oid == PG_TYPE_VARCHAR;
}

/* 1, 2 or 3 for the integers in order of size; 0 for anything else. */
static int integer_rank(uint32_t oid)
{
    return oid == PG_TYPE_INT2 ? 1 : oid == PG_TYPE_INT4 ? 2 : oid == PG_TYPE_INT8 ? 3 : 0;
}

/* numeric's typmod: precision in the upper half, scale in the lower 11 bits, plus VARHDRSZ. */
static bool numeric_kept(int32_t was, int32_t is)
{
    if (is < 4)
        return true; /* no limit any more: values stay as they are */
    if (was < 4)
        return false;
    was -= 4;
    is -= 4;
    return (was & 0x7ff) == (is & 0x7ff) && (is >> 16) >= (was >> 16);
}

bool schema_type_kept(const struct column *was, const struct column *is)
{
    uint32_t a = was->base_type_oid, b = is->base_type_oid;
    if (is_varying_text(a) && is_varying_text(b))
        return char_limit(is) >= char_limit(was);
    if (integer_rank(a) && integer_rank(b))
        return integer_rank(b) >= integer_rank(a);
    if (a != b)
        return false;
    if (was->typmod == is->typmod)
        return true;
    switch (a) {
    case PG_TYPE_NUMERIC:
        return numeric_kept(was->typmod, is->typmod);
    case PG_TYPE_TIMESTAMP:
    case PG_TYPE_TIMESTAMPTZ:
    case PG_TYPE_TIME:
    case PG_TYPE_TIMETZ:
    case PG_TYPE_VARBIT:
        return is->typmod < 0 || (was->typmod >= 0 && is->typmod > was->typmod);
    default:
        return false;
    }
}

static bool same_type(const struct planner *p, const struct column *a, const struct column *b)
{
    return p->in->types.same(p->in->types.ctx, a, b);
}

/* ---- the columns that are there ---- */

static int stand(struct planner *p, struct err *err)
{
    size_t n = p->there->ncolumns;
    p->standing = calloc(n + p->in->is->ncolumns + 1, sizeof *p->standing);
    if (!p->standing)
        return err_nomem(err);
    for (size_t i = 0; i < n; i++)
        p->standing[i] = (struct standing){p->there->columns[i].name, &p->there->columns[i]};
    p->nstanding = n;
    return 0;
}

/* Exactly that name, or the one that the target takes for it; NULL: none. */
static struct standing *standing(const struct planner *p, const char *name)
{
    struct standing *found = NULL;
    for (size_t i = 0; i < p->nstanding; i++) {
        struct standing *s = &p->standing[i];
        if (!s->name)
            continue;
        if (strcmp(s->name, name) == 0)
            return s;
        if (described_same_name(p->there, s->name, name))
            found = s;
    }
    return found;
}

/* The column of `in` that is `c` in another version of the relation, or -1. attnum is for ever,
 * names are not. */
static int same_column(const struct relation *in, const struct column *c)
{
    for (uint32_t i = 0; i < in->ncolumns; i++) {
        const struct column *o = &in->columns[i];
        if (c->attnum > 0 && o->attnum > 0 ? c->attnum == o->attnum : strcmp(c->name, o->name) == 0)
            return (int)i;
    }
    return -1;
}

bool schema_plan_needs_rows(const struct relation *is, const struct relation *was,
                            const struct described_table *there)
{
    for (uint32_t i = 0; there->exists && i < is->ncolumns; i++)
        if (was ? same_column(was, &is->columns[i]) < 0
                : !described_find(there, is->columns[i].name))
            return true;
    return false;
}

/* `known`: the column is new to a relation that the target held before. */
static int add_column(struct planner *p, uint32_t i, bool known, struct err *err)
{
    const struct column *c = &p->in->is->columns[i];
    const char *name = p->in->name;
    const struct standing *s = standing(p, c->name);
    if (s && strcmp(s->name, c->name) != 0 && relation_column(p->in->is, s->name) >= 0) {
        (void)err_set(err, ERR_PERMANENT,
                      "the target takes the names of the columns %s and %s for the same", s->name,
                      c->name);
        return err_hint(err, "rename one of them at the source");
    }
    if (s)
        return 0;
    if (p->in->policy != DDL_EVOLVE) {
        (void)err_set(err, ERR_PERMANENT, "the target table %s has no column %s", name, c->name);
        return err_hint(err, "add it, or allow it with --ddl evolve");
    }
    if (!p->there->empty && !known) {
        p->plan->unknown = true;
        (void)err_set(err, ERR_PERMANENT,
                      "the target table %s has rows, but no column %s to hold what they have there "
                      "at the source",
                      name, c->name);
        return p->in->may_await
                   ? -1
                   : err_hint(err, "add the column, fill it from the source, and start again");
    }
    if (!p->there->empty && c->fill == FILL_UNKNOWN) {
        p->plan->unknown = true;
        (void)err_set(
            err, ERR_PERMANENT,
            "column %s is new in the stream, which does not say what it holds in the rows that were "
            "there before (it was there unpublished, has a default that is not one constant, is "
            "NOT NULL, or the table has changed in other ways since)",
            c->name);
        return p->in->may_await
                   ? -1
                   : err_hint(err,
                              "add the column to the table %s in the target, fill it from the "
                              "source, and start again",
                              name);
    }
    p->standing[p->nstanding++] = (struct standing){c->name, NULL};
    if (add_step(p, &(struct step){.kind = STEP_ADD_COLUMN, .column = i}, err))
        return -1;
    if (c->fill != FILL_VALUE || c->fill_size > p->in->types.default_bytes ||
        p->in->types.default_bytes == 0)
        return 0;
    return add_step(p, &(struct step){.kind = STEP_DROP_DEFAULT, .column = i}, err);
}

static int drop_column(struct planner *p, const struct column *c, struct err *err)
{
    if (p->in->policy != DDL_EVOLVE) {
        /* The table is the user's; the column is left alone and gets no more values. */
        if (relation_column(p->in->is, c->name) < 0)
            return 0;
        (void)err_set(err, ERR_PERMANENT, "column %s was dropped, and another one now has its name",
                      c->name);
        return stop(p, err);
    }
    struct standing *s = standing(p, c->name);
    if (!s)
        return 0;
    s->name = NULL;
    return add_step(p, &(struct step){.kind = STEP_DROP_COLUMN, .name = c->name}, err);
}

struct column_rename {
    const char *from;
    const char *to;
    bool only_case; /* one name for a target that folds case, which then finds `to` before it is
                       there */
    bool done;
};

static int rename_column(struct planner *p, const struct column_rename *r, struct standing *s,
                         struct err *err)
{
    if (p->in->policy != DDL_EVOLVE) {
        (void)err_set(err, ERR_PERMANENT, "column %s was renamed to %s", r->from, r->to);
        return err_hint(err, "rename it in the target table %s, or allow it with --ddl evolve",
                        p->in->name);
    }
    s->name = r->to;
    return add_step(p, &(struct step){.kind = STEP_RENAME_COLUMN, .name = r->from, .to = r->to},
                    err);
}

/* Renames one by one, each as soon as its new name is free; a ring of names (a to b, b to a) is
 * left over. */
static int rename_columns(struct planner *p, struct column_rename *list, size_t n, struct err *err)
{
    for (bool progress = true; progress;) {
        progress = false;
        for (size_t i = 0; i < n; i++) {
            if (list[i].done)
                continue;
            struct standing *from = standing(p, list[i].from);
            if (from && standing(p, list[i].to) && !list[i].only_case)
                continue;
            if (from && rename_column(p, &list[i], from, err))
                return -1;
            list[i].done = true;
            progress = true;
        }
    }
    for (size_t i = 0; i < n; i++)
        if (!list[i].done) {
            (void)err_set(err, ERR_PERMANENT,
                          "column %s was renamed to %s, and the target has both", list[i].from,
                          list[i].to);
            return stop(p, err);
        }
    return 0;
}

static bool same_primary_key(const struct relation *was, const struct relation *is)
{
    if (!was->primary_key_known || !is->primary_key_known)
        return true;
    if (was->npk != is->npk)
        return false;
    for (uint32_t i = 0; i < is->npk; i++)
        if (same_column(is, &was->columns[was->pk[i]]) != (int)is->pk[i])
            return false;
    return true;
}

static int check_types(struct planner *p, struct err *err)
{
    const struct relation *was = p->in->was, *rel = p->in->is;
    for (uint32_t i = 0; i < rel->ncolumns; i++) {
        const struct column *is = &rel->columns[i];
        int at = same_column(was, is);
        if (at < 0)
            continue;
        const struct column *old = &was->columns[at];
        if (schema_type_kept(old, is) && (p->in->types.widens || same_type(p, old, is)))
            continue;
        (void)err_set(
            err, ERR_PERMANENT,
            "column %s changed its type from %s to %s; the stream does not say what became of the "
            "existing rows",
            is->name, *old->type_name ? old->type_name : "another",
            *is->type_name ? is->type_name : "another");
        return stop(p, err);
    }
    return 0;
}

/* A column that has no proof: one whose name may be younger than the row, if there is such. */
static const struct column *doubtful_column(const struct planner *p)
{
    const struct relation *rel = p->in->is, *claimed = p->in->claimed;
    for (uint32_t i = 0; claimed && i < rel->ncolumns; i++) {
        size_t attnum = (size_t)claimed->columns[i].attnum;
        if (attnum == 0 || attnum > strlen(claimed->attributes) ||
            strchr("ACP", claimed->attributes[attnum - 1]))
            return &rel->columns[i];
    }
    return &rel->columns[0];
}

/*
 * Columns are others perhaps where it is not known which they are, or was not when they were
 * remembered. A table that is in the catalog no more is as it was, as far as anybody will ever see.
 */
static int check_proven(struct planner *p, struct err *err)
{
    const struct relation *was = p->in->was, *rel = p->in->is;
    if (rel->ncolumns == 0 || !rel->attributes ||
        (relation_is_proven(rel) && (!was->attributes || relation_is_proven(was))))
        return 0;
    (void)err_set(err, ERR_PERMANENT,
                  "column %s may be another one than before: columns were dropped and others "
                  "renamed or added, and the catalog does not tell what was before this row and "
                  "what after it (with track_commit_timestamp = on at the source it does)",
                  doubtful_column(p)->name);
    return stop(p, err);
}

/*
 * A column that was not known when the relation was remembered, by an older version, and is known
 * now by the same name, was dropped or renamed in between, and this is another one.
 */
static int check_not_replaced(struct planner *p, struct err *err)
{
    const struct relation *was = p->in->was, *rel = p->in->is;
    for (uint32_t i = 0; i < rel->ncolumns; i++) {
        const struct column *is = &rel->columns[i];
        int at = same_column(was, is);
        if (at < 0 || is->attnum == 0 || was->columns[at].attnum > 0)
            continue;
        (void)err_set(
            err, ERR_PERMANENT,
            "column %s may be another one than before: it was dropped or renamed, or the table "
            "changed in several ways before this was read",
            is->name);
        return stop(p, err);
    }
    return 0;
}

/*
 * Without attnum a column that is gone and one that is new may be one that was renamed. Then
 * nothing can be followed.
 */
static int check_identifiable(struct planner *p, struct err *err)
{
    const struct relation *was = p->in->was, *is = p->in->is;
    const struct column *gone = NULL, *new = NULL;
    bool known = true;
    for (uint32_t i = 0; i < was->ncolumns; i++)
        if (same_column(is, &was->columns[i]) < 0) {
            gone = &was->columns[i];
            known = known && gone->attnum > 0;
        }
    for (uint32_t i = 0; i < is->ncolumns; i++)
        if (same_column(was, &is->columns[i]) < 0) {
            new = &is->columns[i];
            known = known && new->attnum > 0;
        }
    if (!gone || !new || known)
        return 0;
    (void)err_set(
        err, ERR_PERMANENT,
        "column %s is gone and column %s is new, and the catalog no longer tells whether it was renamed",
        gone->name, new->name);
    return stop(p, err);
}

/* Where the target has another type for what a column holds now. Without evolve the table is the
 * user's, and binding to it says whether it holds that. */
static int widen_columns(struct planner *p, struct err *err)
{
    const struct relation *was = p->in->was, *rel = p->in->is;
    for (uint32_t i = 0; p->in->policy == DDL_EVOLVE && i < rel->ncolumns; i++) {
        const struct column *is = &rel->columns[i];
        int at = same_column(was, is);
        if (at < 0 || same_type(p, &was->columns[at], is))
            continue;
        const struct standing *s = standing(p, is->name);
        if (!s || (s->column && p->in->types.holds(p->in->types.ctx, is, s->column)))
            continue;
        if (add_step(p, &(struct step){.kind = STEP_WIDEN_COLUMN, .column = i}, err))
            return -1;
    }
    return 0;
}

static int plan_renames(struct planner *p, struct err *err)
{
    const struct relation *was = p->in->was, *is = p->in->is;
    struct column_rename *renames = calloc((size_t)is->ncolumns + 1, sizeof *renames);
    size_t n = 0;
    if (!renames)
        return err_nomem(err);
    for (uint32_t i = 0; i < is->ncolumns; i++) {
        int at = same_column(was, &is->columns[i]);
        const char *to = is->columns[i].name;
        if (at >= 0 && strcmp(was->columns[at].name, to) != 0)
            renames[n++] = (struct column_rename){
                .from = was->columns[at].name,
                .to = to,
                .only_case =
                    strcasecmp(was->columns[at].name, to) == 0 && relation_column(was, to) < 0,
            };
    }
    int rc = rename_columns(p, renames, n, err);
    free(renames);
    return rc;
}

static int follow_columns(struct planner *p, struct err *err)
{
    const struct relation *was = p->in->was, *is = p->in->is;
    if (check_proven(p, err) || check_identifiable(p, err) || check_not_replaced(p, err) ||
        check_types(p, err))
        return -1;
    const char *doubt = relation_doubt(was, is);
    if (doubt) {
        (void)err_set(err, ERR_PERMANENT, "the rows of table %s.%s may have changed unseen: %s",
                      is->namespace, is->name, doubt);
        return stop(p, err);
    }
    if (!same_primary_key(was, is)) {
        (void)err_set(err, ERR_PERMANENT, "the primary key changed");
        return stop(p, err);
    }
    for (uint32_t i = 0; i < was->ncolumns; i++)
        if (same_column(is, &was->columns[i]) < 0 && drop_column(p, &was->columns[i], err))
            return -1;
    if (plan_renames(p, err) || widen_columns(p, err))
        return -1;
    for (uint32_t i = 0; i < is->ncolumns; i++)
        if (same_column(was, &is->columns[i]) < 0 && add_column(p, i, true, err))
            return -1;
    return 0;
}

/* ---- tables ---- */

/*
 * The source's table of that name is another one now, and the one that had it was renamed or
 * dropped. Which of the two the stream says only when the next row of it comes, if ever. Its table
 * makes room: whatever it was, nothing is lost. It may be aside already, where the target has kept
 * that but not the transaction.
 */
static int move_aside(struct planner *p, struct err *err)
{
    const struct plan_input *in = p->in;
    p->plan->aside = true;
    if (!in->there->exists || in->aside_there->exists)
        return 0;
    if (add_step(p, &(struct step){.kind = STEP_RENAME_TABLE, .to = in->aside}, err))
        return -1;
    p->there = in->aside_there;
    return 0;
}

/* *same: the target takes the name for the one that it remembers: only the case has changed. */
static int check_owner(struct planner *p, bool *same, struct err *err)
{
    const struct plan_input *in = p->in;
    *same = in->owner == in->is->relid;
    if (in->owner == 0 || *same)
        return 0;
    if (in->aside && in->policy == DDL_EVOLVE)
        return move_aside(p, err);
    (void)err_set(err, ERR_PERMANENT,
                  "the target table %s belongs to another relation, with relid %u: %s", in->name,
                  in->owner,
                  in->aside ? "the source's table was renamed, or dropped, and another one has its "
                              "name now"
                            : "two tables map to one name");
    if (!in->aside)
        return err_hint(err, "use --schema-map");
    return err_hint(err,
                    "rename the table in the target as at the source, or drop it, delete the rows "
                    "with relid %u and %u from " RELATION_TABLE
                    " there, and start again; or allow it with --ddl evolve",
                    in->owner, in->is->relid);
}

static int follow_rename(struct planner *p, struct err *err)
{
    const struct plan_input *in = p->in;
    bool old_exists = in->was_there->exists, new_exists = p->there->exists;
    bool no_container = p->there->no_container;
    if (!old_exists && new_exists)
        return 0;
    if (in->policy != DDL_EVOLVE || new_exists) {
        (void)err_set(err, ERR_PERMANENT,
                      "the relation was renamed; its table in the target is %s%s", in->was_name,
                      new_exists ? ", and the new name is taken" : "");
        return schema_plan_stop(in->name, in->is, err);
    }
    if (!old_exists)
        return 0;
    p->there = in->was_there;
    return add_step(p,
                    &(struct step){.kind = STEP_RENAME_TABLE,
                                   .table = in->was_name,
                                   .to = in->name,
                                   .no_container = no_container},
                    err);
}

/* The first time that this origin meets the relation. */
static int meet(struct planner *p, struct err *err)
{
    const struct plan_input *in = p->in;
    if (!p->there->exists) {
        if (in->policy == DDL_NONE) {
            (void)err_set(err, ERR_PERMANENT, "the target has no table %s", in->name);
            return err_hint(err, "create it, or allow it with --ddl create or --ddl evolve");
        }
        return add_step(
            p, &(struct step){.kind = STEP_CREATE_TABLE, .no_container = p->there->no_container},
            err);
    }
    if (stand(p, err))
        return -1;
    for (uint32_t i = 0; i < in->is->ncolumns; i++)
        if (add_column(p, i, false, err))
            return -1;
    return 0;
}

/* The target held the relation before. */
static int follow(struct planner *p, struct err *err)
{
    if (!p->there->exists) {
        (void)err_set(err, ERR_PERMANENT, "the target table %s is gone, and its rows with it",
                      p->in->name);
        return stop(p, err);
    }
    return stand(p, err) || follow_columns(p, err) ? -1 : 0;
}

int schema_plan_make(const struct plan_input *in, struct schema_plan *plan, struct err *err)
{
    struct planner p = {.in = in, .there = in->there, .plan = plan};
    bool renamed = in->was && strcmp(in->was_name, in->name) != 0;
    bool same_name = !renamed;
    *plan = (struct schema_plan){0};
    int rc = !in->was || renamed ? check_owner(&p, &same_name, err) : 0;
    if (rc == 0 && in->was && !same_name)
        rc = follow_rename(&p, err);
    if (rc == 0)
        rc = in->was && !in->emptied ? follow(&p, err) : meet(&p, err);
    free(p.standing);
    if (rc) {
        bool unknown = plan->unknown;
        schema_plan_free(plan);
        plan->unknown = unknown;
    }
    return rc;
}

int schema_plan_make_beside(const struct relation *rel, const char *name,
                            const struct described_table *there, struct schema_plan *plan,
                            struct err *err)
{
    const struct plan_input in = {.is = rel, .name = name, .there = there};
    struct planner p = {.in = &in, .there = there, .plan = plan};
    const struct step drop = {.kind = STEP_DROP_TABLE}, create = {.kind = STEP_CREATE_TABLE};
    *plan = (struct schema_plan){0};
    if ((there->exists && add_step(&p, &drop, err)) || add_step(&p, &create, err)) {
        schema_plan_free(plan);
        return -1;
    }
    return 0;
}

bool schema_plan_is_as_made(const struct relation *rel, const struct described_table *there)
{
    for (uint32_t i = 0; i < rel->ncolumns; i++)
        if (!described_find(there, rel->columns[i].name))
            return false;
    /* One without columns has one of ours. */
    size_t most = rel->ncolumns > 0 ? rel->ncolumns : 1;
    return there->ncolumns <= most && !there->has_more && !there->unfit;
}

void schema_plan_free(struct schema_plan *plan)
{
    free(plan->steps);
    *plan = (struct schema_plan){0};
}
