/* Tables read back, to be compared with what they are at the source. */
#include "sql/target.h"
#include "sql/target_state.h"

int target_can_read(const struct target *t, struct err *err)
{
    const struct driver_ops *ops = t->runner.ops;
    return ops->read && ops->stores
               ? 0
               : err_set(err, ERR_PERMANENT, "what is in %s cannot be read back", ops->title);
}

/* What keeps its rows from being the source's; NULL: nothing does. */
static const char *what_is_missing(const struct copied *c, bool known)
{
    return !known      ? "the target holds nothing of it yet"
           : c->aside  ? "it is set aside at the target"
           : c->due    ? "it awaits its copy"
           : c->after  ? "it is being copied"
           : c->beside ? "its copy has not taken its place yet"
                       : NULL;
}

static int bind_as_it_is(struct target *t, const char *name, struct relation *rel,
                         struct target_table **table, struct err *err)
{
    struct described_table there;
    described_init(&there);
    if (target_describe(t, name, false, &there, err)) {
        described_free(&there);
        return -1;
    }
    if (table_bind(t->runner.ops, t->runner.driver, name, rel, &there, table, err))
        return -1;
    (*table)->reference = relation_ref(rel);
    return 0;
}

static int look_for_table(struct target *t, const struct binding *b, struct relation *rel,
                          struct foreseen *f, const char **why, bool *left_out, struct err *err)
{
    if (target_foresee(t, b, rel, f, err))
        return -1;
    *left_out = f->left_out;
    *why = f->left_out             ? "its changes are left out, as --skip-table says"
           : f->awaits             ? "it awaits its copy"
           : !f->exists            ? "the target does not have it yet"
           : f->statements.len > 0 ? "the target's table will be changed at its next row"
                                   : NULL;
    return 0;
}

int target_find(struct target *t, const char *origin, struct relation *rel,
                struct table_names *skip, struct target_table **table, const char **why,
                bool *left_out, uint64_t *settles_lsn, struct err *err)
{
    const struct binding b = {.origin = origin,
                              .policy = DDL_EVOLVE,
                              .skip = skip,
                              .may_await = true,
                              .copy_unknown = true};
    struct foreseen f = {0};
    struct copied copied;
    bool known;
    *table = NULL;
    *left_out = false;
    *why = NULL;
    int rc = target_copied(t, origin, rel->relid, &copied, &known, err);
    const char *missing = rc == 0 ? what_is_missing(&copied, known) : NULL;
    *settles_lsn = copied.until;
    copied_free(&copied);
    if (rc == 0 && !missing)
        rc = look_for_table(t, &b, rel, &f, why, left_out, err);
    if (rc == 0 && !missing && !*why)
        rc = bind_as_it_is(t, buf_cstr(&f.name), rel, table, err);
    foreseen_free(&f);
    *why = missing ? missing : *why;
    return rc;
}

int target_stores(struct target *t, const struct target_table *table, const struct value *row,
                  char (*rooms)[STORED_ROOM], struct stored *out, struct err *err)
{
    struct driver *d = t->runner.driver;
    for (uint32_t i = 0; i < table->rel->ncolumns; i++)
        if (t->runner.ops->stores(d, table, i, &row[i], rooms[i], &out[i], err))
            return -1;
    return 0;
}

int target_read(struct target *t, const struct target_table *table, driver_row_fn *fn, void *ctx,
                struct err *err)
{
    return t->runner.ops->read(t->runner.driver, table, fn, ctx, err);
}
