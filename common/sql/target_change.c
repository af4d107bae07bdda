#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "base/option_name.h"
#include "sql/target.h"
#include "sql/target_state.h"

/* ---- tables that the transaction has changed ---- */

bool target_is_changed(const struct target *t, const char *name)
{
    for (size_t i = 0; t->in_transaction && i < t->nchanged; i++)
        if (strcmp(t->changed[i], name) == 0)
            return true;
    return false;
}

int target_mark_changed(struct target *t, struct target_table *table, struct err *err)
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
            target_free_default(d);
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
        return err_hint(err, "the table has to be copied again");
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
                        : "the table has to be copied again");
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
    if (!t->runner.traits.ddl_commits || !target_is_changed(t, s->table)) {
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
int target_step_failed(const struct step *s, struct err *err)
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

bool target_is_made(const struct target *t, const char *table)
{
    for (size_t at = 0; at < t->made.len; at += strlen((const char *)t->made.data + at) + 1)
        if (strcmp((const char *)t->made.data + at, table) == 0)
            return true;
    return false;
}

int target_carry_out(struct target *t, struct relation *rel, const struct schema_plan *plan,
                     struct err *err)
{
    t->copy_mends = false;
    for (size_t i = 0; i < plan->n; i++) {
        bool keeps_default = i + 1 < plan->n && plan->steps[i + 1].kind == STEP_DROP_DEFAULT;
        if (target_change(t, &plan->steps[i], keeps_default ? rel : NULL, err))
            return target_step_failed(&plan->steps[i], err);
        if (plan->steps[i].kind == STEP_CREATE_TABLE && note_made(t, plan->steps[i].table, err))
            return -1;
        say(&plan->steps[i]);
    }
    return 0;
}
