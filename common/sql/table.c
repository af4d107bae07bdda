#include "sql/table.h"

#include <stdlib.h>
#include <string.h>
#include <strings.h>

static bool in_identity(const struct identity *id, uint32_t column)
{
    for (uint32_t i = 0; i < id->n; i++)
        if (id->columns[i] == column)
            return true;
    return false;
}

bool table_in_identity(const struct target_table *t, uint32_t column)
{
    return in_identity(&t->identity, column);
}

static int no_column(const char *table, const struct column *c, struct err *err)
{
    return err_set(err, ERR_PERMANENT, "the target table %s has no column %s", table, c->name);
}

/* What is wrong with each column of a table: whoever mends one wants to know of all. */
struct misfits {
    struct buf text, types; /* and the types that columns of ours would have */
};

/* `one` is of a column; -1: it is of something else. */
static int add_misfit(struct misfits *m, const struct driver_ops *ops, struct driver *d,
                      const struct relation *rel, uint32_t column, const struct err *one)
{
    const char *caveat;
    if (one->kind != ERR_PERMANENT)
        return -1;
    buf_printf(&m->text, "%s%s", m->text.len ? "; " : "", one->text);
    buf_printf(&m->types, "%s%s ", m->types.len ? ", " : "", rel->columns[column].name);
    ops->declare(d, rel, column, &m->types, &caveat);
    return 0;
}

/* `rc` -1: an error that is no misfit is in `err`. Frees them. */
static int tell_misfits(struct misfits *m, int rc, struct err *err)
{
    if (rc == 0 && (buf_check(&m->text, err) || buf_check(&m->types, err))) {
        rc = -1;
    } else if (rc == 0 && m->text.len > 0) {
        (void)err_set(err, ERR_PERMANENT, "%s", buf_cstr(&m->text));
        rc = err_hint(err, "in a table that pg2any makes: %s", buf_cstr(&m->types));
    } else if (rc == 0) {
        err_clear(err);
    }
    buf_free(&m->text);
    buf_free(&m->types);
    return rc;
}

static int bind_columns(const struct driver_ops *ops, struct driver *d, struct target_table *t,
                        struct err *err)
{
    struct misfits misfits = {0};
    int rc = 0;
    t->autonumber = t->rel->ncolumns;
    for (uint32_t i = 0; rc == 0 && i < t->rel->ncolumns; i++) {
        const struct column *c = &t->rel->columns[i];
        struct fit fit = {0};
        t->columns[i] = described_find(&t->there, c->name);
        if (t->columns[i] ? ops->fit(d, c, t->columns[i], table_in_identity(t, i), &fit, err)
                          : no_column(t->name, c, err)) {
            rc = add_misfit(&misfits, ops, d, t->rel, i, err);
            continue;
        }
        t->autonumber = t->columns[i]->autonumber ? i : t->autonumber;
        t->forms[i] = fit.form;
        t->alone[i] = fit.alone;
        t->holds[i] = fit.holds;
    }
    return tell_misfits(&misfits, rc, err);
}

/* A column that only the target has must find its value there. */
static int check_others(const struct target_table *t, struct err *err)
{
    for (size_t i = 0; i < t->there.ncolumns; i++) {
        const struct described_column *c = &t->there.columns[i];
        bool bound = !c->required || c->generated || c->autonumber;
        for (uint32_t k = 0; k < t->rel->ncolumns && !bound; k++)
            bound = t->columns[k] == c;
        if (bound)
            continue;
        (void)err_set(err, ERR_PERMANENT,
                      "column %s of the target table %s is NOT NULL without a default, and the "
                      "source has no such column",
                      c->name, t->name);
        return err_hint(err, "give it a default, or let it be NULL");
    }
    return 0;
}

/* The relation's column for one of an index; false: it has none. */
static bool index_column(const struct target_table *t, const char *name, uint32_t *column)
{
    for (*column = 0; *column < t->rel->ncolumns; ++*column)
        if (strcasecmp(t->columns[*column]->name, name) == 0)
            return true;
    return false;
}

static bool is_in_identity(const struct target_table *t, const struct table_index *index)
{
    for (uint32_t i = 0; i < index->n; i++)
        if (!table_in_identity(t, index->columns[i]))
            return false;
    return index->n > 0;
}

static int bind_indexes(struct target_table *t, struct err *err)
{
    t->indexes = calloc(t->there.nindexes + 1, sizeof *t->indexes);
    if (!t->indexes)
        return err_nomem(err);
    for (size_t i = 0; i < t->there.nindexes; i++) {
        const struct described_index *there = &t->there.indexes[i];
        if (!there->unique)
            continue;
        struct table_index *index = &t->indexes[t->nindexes++];
        index->name = there->name;
        index->columns = calloc(there->ncolumns + 1, sizeof *index->columns);
        if (!index->columns)
            return err_nomem(err);
        bool known = true;
        for (size_t c = 0; known && c < there->ncolumns; c++)
            known = index_column(t, there->columns[c], &index->columns[c]);
        index->n = known ? (uint32_t)there->ncolumns : 0;
        t->unique = t->unique || (!t->identity.by_all_columns && is_in_identity(t, index));
    }
    return 0;
}

static int allocate(struct target_table *t, const char *name, struct err *err)
{
    size_t n = (size_t)t->rel->ncolumns + 1; /* one more, because calloc(0) may be NULL */
    t->name = strdup(name);
    t->columns = calloc(n, sizeof *t->columns);
    t->forms = calloc(n, sizeof *t->forms);
    t->alone = calloc(n, sizeof *t->alone);
    t->holds = calloc(n, sizeof *t->holds);
    t->flags = calloc(2 * n, sizeof *t->flags);
    return t->name && t->columns && t->forms && t->alone && t->holds && t->flags ? 0
                                                                                 : err_nomem(err);
}

static int check_fitness(const char *name, const struct relation *rel,
                         const struct described_table *there, struct err *err)
{
    if (!there->exists) { /* a plan has made it, or refused to: it was bound before */
        (void)err_set(err, ERR_PERMANENT, "the target table %s is gone, and its rows with it",
                      name);
        return schema_plan_stop(name, rel, err);
    }
    if (!there->unfit)
        return 0;
    (void)err_set(err, ERR_PERMANENT, "the target table %s %s", name, there->unfit);
    return there->advice ? err_hint(err, "%s", there->advice) : -1;
}

int table_bind(const struct driver_ops *ops, struct driver *d, const char *name,
               const struct relation *rel, struct described_table *there,
               struct target_table **table, struct err *err)
{
    struct target_table *t = calloc(1, sizeof *t);
    if (!t) {
        described_free(there);
        return err_nomem(err);
    }
    t->rel = rel;
    t->there = *there;
    described_init(there);
    t->statements.ncolumns = rel->ncolumns;
    if (allocate(t, name, err) || identity_init(&t->identity, rel, err) ||
        check_fitness(name, rel, &t->there, err) || bind_columns(ops, d, t, err) ||
        check_others(t, err) || bind_indexes(t, err)) {
        table_free(t);
        return -1;
    }
    *table = t;
    return 0;
}

static int add_variant(const struct driver_ops *ops, struct driver *d, struct target_table *t,
                       const struct identity *id, struct target_table **variant, struct err *err)
{
    struct target_table *v = calloc(1, sizeof *v);
    if (!v)
        return err_nomem(err);
    *v = (struct target_table){.rel = t->rel, .there = t->there, .is_variant = true};
    v->statements.ncolumns = t->rel->ncolumns;
    if (allocate(v, t->name, err) ||
        identity_of_columns(&v->identity, t->rel, id->columns, id->n, err)) {
        table_free(v);
        return -1;
    }
    v->identity.by_all_columns = id->by_all_columns;
    if (bind_columns(ops, d, v, err) || bind_indexes(v, err)) {
        table_free(v);
        return -1;
    }
    v->next = t->variants;
    t->variants = *variant = v;
    return 0;
}

int table_variant(const struct driver_ops *ops, struct driver *d, struct target_table *t,
                  const struct identity *id, struct target_table **variant, struct err *err)
{
    *variant = t;
    if (identity_same(&t->identity, id))
        return 0;
    for (*variant = t->variants; *variant; *variant = (*variant)->next)
        if (identity_same(&(*variant)->identity, id))
            return 0;
    return add_variant(ops, d, t, id, variant, err);
}

void table_free_variants(struct target_table *t)
{
    for (struct target_table *v = t->variants, *next; v; v = next) {
        next = v->next;
        table_free(v);
    }
    t->variants = NULL;
}

/* Whether a plan leaves a column of the relation as it is, and what it is called before. */
static bool is_left(const struct schema_plan *plan, const struct relation *rel, uint32_t column,
                    const char **name)
{
    *name = rel->columns[column].name;
    for (size_t i = plan->n; i-- > 0;) {
        const struct step *s = &plan->steps[i];
        if ((s->kind == STEP_ADD_COLUMN || s->kind == STEP_WIDEN_COLUMN) && s->column == column)
            return false;
        if (s->kind == STEP_RENAME_COLUMN && strcmp(s->to, *name) == 0)
            *name = s->name;
    }
    return true;
}

int table_check_planned(const struct driver_ops *ops, struct driver *d, const char *name,
                        const struct relation *rel, const struct schema_plan *plan, struct err *err)
{
    const struct described_table *there = plan->steps[plan->n - 1].there;
    struct identity id;
    struct misfits misfits = {0};
    if (!there->exists)
        return 0;
    int rc = identity_init(&id, rel, err) || check_fitness(name, rel, there, err) ? -1 : 0;
    for (uint32_t i = 0; rc == 0 && i < rel->ncolumns; i++) {
        const char *before;
        struct fit fit = {0};
        if (!is_left(plan, rel, i, &before))
            continue;
        const struct described_column *c = described_find(there, before);
        if (c ? ops->fit(d, &rel->columns[i], c, in_identity(&id, i), &fit, err)
              : no_column(name, &rel->columns[i], err))
            rc = add_misfit(&misfits, ops, d, rel, i, err);
    }
    identity_free(&id);
    return tell_misfits(&misfits, rc, err);
}

void table_free(struct target_table *t)
{
    if (!t)
        return;
    for (size_t i = 0; i < t->nindexes; i++)
        free(t->indexes[i].columns);
    free(t->indexes);
    table_free_variants(t);
    copied_free(&t->copied);
    relation_unref(t->reference);
    if (!t->is_variant)
        described_free(&t->there);
    identity_free(&t->identity);
    free(t->name);
    free(t->columns);
    free(t->forms);
    free(t->alone);
    free(t->holds);
    free(t->flags);
    free(t);
}

struct statement *slice_statement(struct driver *d, const struct slice *slice, int kind,
                                  uint32_t nrows, statement_make_fn *make, struct err *err)
{
    const struct statement_key key = {
        .list = &slice->table->statements,
        .kind = kind,
        .nrows = nrows,
        .columns = slice->kind == CHANGE_UPDATE ? slice->columns : NULL,
    };
    struct statement *s = statements_find(slice->statements, &key);
    if (s)
        return s;
    s = make(d, slice, kind, nrows, err);
    return s && statements_add(slice->statements, &key, s, err) == 0 ? s : NULL;
}
