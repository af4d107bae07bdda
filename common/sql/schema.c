#include "sql/schema.h"

#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "base/log.h"
#include "frames/frame.h"
#include "frames/pg_type.h"

#define REMEMBERED "pg2any_relation"

struct binding {
    const struct dest_ops *ops;
    struct dest *dest;
    const char *origin;
    enum schema_ddl ddl;
    const struct relation *rel;
    const char *target;
};

static int stop(const struct binding *b, struct err *err)
{
    err_hint(
        err,
        "mend the table %s in the target by hand, delete the row with relid %u from " REMEMBERED
        " there, and start again",
        b->target, b->rel->relid);
    return -1;
}

static void say(const struct binding *b, const char *what, const char *column)
{
    log_info(what, "target", b->target, "relation", b->rel->name, "column", column, NULL);
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

/* ---- columns ---- */

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

/* `known`: the column is new to a relation that the target held before. */
static int add_column(const struct binding *b, uint32_t i, bool known, struct err *err)
{
    const struct column *c = &b->rel->columns[i];
    bool exists, empty;
    if (b->ops->column_exists(b->dest, b->target, c->name, &exists, err))
        return -1;
    if (exists)
        return 0;
    if (b->ddl != SCHEMA_DDL_EVOLVE) {
        (void)err_set(err, ERR_PERMANENT, "the target table %s has no column %s", b->target,
                      c->name);
        return err_hint(err, "add it, or allow it with --ddl evolve");
    }
    if (b->ops->table_empty(b->dest, b->target, &empty, err))
        return -1;
    if (!empty && !known) {
        (void)err_set(err, ERR_PERMANENT,
                      "the target table %s has rows, but no column %s to hold what they have there "
                      "at the source",
                      b->target, c->name);
        return err_hint(err, "add the column, fill it from the source, and start again");
    }
    if (!empty && c->fill == FILL_UNKNOWN) {
        (void)err_set(
            err, ERR_PERMANENT,
            "column %s was added at the source, and the stream does not say what it holds in the "
            "rows that were there before (it has a default that is not one constant, is NOT NULL, "
            "or has changed again since)",
            c->name);
        return err_hint(
            err,
            "add the column to the table %s in the target, fill it from the source, and start again",
            b->target);
    }
    if (b->ops->column_add(b->dest, b->target, b->rel, i, err))
        return -1;
    say(b, "column added", c->name);
    return 0;
}

static int drop_column(const struct binding *b, const struct column *c, struct err *err)
{
    bool exists;
    if (b->ddl != SCHEMA_DDL_EVOLVE) {
        /* The table is the user's; the column is left alone and gets no more values. */
        if (relation_column(b->rel, c->name) < 0)
            return 0;
        (void)err_set(err, ERR_PERMANENT, "column %s was dropped, and another one now has its name",
                      c->name);
        return stop(b, err);
    }
    if (b->ops->column_exists(b->dest, b->target, c->name, &exists, err))
        return -1;
    if (!exists)
        return 0;
    if (b->ops->column_drop(b->dest, b->target, c->name, err)) {
        (void)err_context(err, "following the drop of column %s", c->name);
        return err->kind == ERR_PERMANENT ? stop(b, err) : -1;
    }
    say(b, "column dropped", c->name);
    return 0;
}

struct column_rename {
    const char *from;
    const char *to;
    bool only_case; /* one name for a target that folds case, which then finds `to` before it is
                       there */
    bool done;
};

static int rename_column(const struct binding *b, const struct column_rename *r, struct err *err)
{
    if (b->ddl != SCHEMA_DDL_EVOLVE) {
        (void)err_set(err, ERR_PERMANENT, "column %s was renamed to %s", r->from, r->to);
        return err_hint(err, "rename it in the target table %s, or allow it with --ddl evolve",
                        b->target);
    }
    if (b->ops->column_rename(b->dest, b->target, r->from, r->to, err))
        return -1;
    say(b, "column renamed", r->to);
    return 0;
}

/* Renames one by one, each as soon as its new name is free; a ring of names (a to b, b to a) is
 * left over. */
static int rename_columns(const struct binding *b, struct column_rename *list, size_t n,
                          struct err *err)
{
    for (bool progress = true; progress;) {
        progress = false;
        for (size_t i = 0; i < n; i++) {
            bool from_exists, to_exists;
            if (list[i].done)
                continue;
            if (b->ops->column_exists(b->dest, b->target, list[i].from, &from_exists, err) ||
                b->ops->column_exists(b->dest, b->target, list[i].to, &to_exists, err))
                return -1;
            if (from_exists && to_exists && !list[i].only_case)
                continue;
            if (from_exists && rename_column(b, &list[i], err))
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
            return stop(b, err);
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

static int check_types(const struct binding *b, const struct relation *was, struct err *err)
{
    for (uint32_t i = 0; i < b->rel->ncolumns; i++) {
        const struct column *is = &b->rel->columns[i];
        int at = same_column(was, is);
        if (at < 0)
            continue;
        const struct column *old = &was->columns[at];
        if (schema_type_kept(old, is) &&
            (b->ops->column_widen || b->ops->column_same_type(b->dest, old, is)))
            continue;
        (void)err_set(
            err, ERR_PERMANENT,
            "column %s changed its type from %s to %s; the stream does not say what became of the "
            "existing rows",
            is->name, *old->type_name ? old->type_name : "another",
            *is->type_name ? is->type_name : "another");
        return stop(b, err);
    }
    return 0;
}

/*
 * A column that the catalog did not know when it was described last, but knows by the same name
 * now, was dropped or renamed in between, and this is another one.
 */
static int check_not_replaced(const struct binding *b, const struct relation *was, struct err *err)
{
    for (uint32_t i = 0; i < b->rel->ncolumns; i++) {
        const struct column *is = &b->rel->columns[i];
        int at = same_column(was, is);
        if (at < 0 || is->attnum == 0 || was->columns[at].attnum > 0)
            continue;
        (void)err_set(
            err, ERR_PERMANENT,
            "column %s may be another one than before: it was dropped or renamed, or the table "
            "changed in several ways before this was read",
            is->name);
        return stop(b, err);
    }
    return 0;
}

/*
 * Without attnum a column that is gone and one that is new may be one that was renamed. Then
 * nothing can be followed.
 */
static int check_identifiable(const struct binding *b, const struct relation *was, struct err *err)
{
    const struct column *gone = NULL, *new = NULL;
    bool known = true;
    for (uint32_t i = 0; i < was->ncolumns; i++)
        if (same_column(b->rel, &was->columns[i]) < 0) {
            gone = &was->columns[i];
            known = known && gone->attnum > 0;
        }
    for (uint32_t i = 0; i < b->rel->ncolumns; i++)
        if (same_column(was, &b->rel->columns[i]) < 0) {
            new = &b->rel->columns[i];
            known = known && new->attnum > 0;
        }
    if (!gone || !new || known)
        return 0;
    (void)err_set(
        err, ERR_PERMANENT,
        "column %s is gone and column %s is new, and the catalog no longer tells whether it was renamed",
        gone->name, new->name);
    return stop(b, err);
}

/* Where the target has another type for what a column holds now. Without evolve the table is the
 * user's, and table_open says whether it holds that. */
static int widen_columns(const struct binding *b, const struct relation *was, struct err *err)
{
    if (b->ddl != SCHEMA_DDL_EVOLVE)
        return 0;
    for (uint32_t i = 0; i < b->rel->ncolumns; i++) {
        int at = same_column(was, &b->rel->columns[i]);
        if (at < 0 || b->ops->column_same_type(b->dest, &was->columns[at], &b->rel->columns[i]))
            continue;
        if (b->ops->column_widen(b->dest, b->target, b->rel, i, err))
            return err_context(err, "following the new type of column %s", b->rel->columns[i].name);
        say(b, "column widened", b->rel->columns[i].name);
    }
    return 0;
}

static int follow_columns(const struct binding *b, const struct relation *was, struct err *err)
{
    if (check_identifiable(b, was, err) || check_not_replaced(b, was, err) ||
        check_types(b, was, err))
        return -1;
    if (!same_primary_key(was, b->rel)) {
        (void)err_set(err, ERR_PERMANENT, "the primary key changed");
        return stop(b, err);
    }
    struct column_rename *renames = calloc(b->rel->ncolumns + 1, sizeof *renames);
    if (!renames)
        return err_nomem(err);
    size_t nrenames = 0;
    int rc = 0;
    for (uint32_t i = 0; rc == 0 && i < was->ncolumns; i++)
        if (same_column(b->rel, &was->columns[i]) < 0)
            rc = drop_column(b, &was->columns[i], err);
    for (uint32_t i = 0; i < b->rel->ncolumns; i++) {
        int at = same_column(was, &b->rel->columns[i]);
        const char *to = b->rel->columns[i].name;
        if (at >= 0 && strcmp(was->columns[at].name, to) != 0)
            renames[nrenames++] = (struct column_rename){
                .from = was->columns[at].name,
                .to = to,
                .only_case =
                    strcasecmp(was->columns[at].name, to) == 0 && relation_column(was, to) < 0,
            };
    }
    if (rc == 0)
        rc = rename_columns(b, renames, nrenames, err);
    free(renames);
    if (rc == 0)
        rc = widen_columns(b, was, err);
    for (uint32_t i = 0; rc == 0 && i < b->rel->ncolumns; i++)
        if (same_column(was, &b->rel->columns[i]) < 0)
            rc = add_column(b, i, true, err);
    return rc;
}

/* ---- tables ---- */

static int follow_rename(const struct binding *b, const char *was, struct err *err)
{
    bool old_exists, new_exists;
    if (b->ops->table_exists(b->dest, was, &old_exists, err) ||
        b->ops->table_exists(b->dest, b->target, &new_exists, err))
        return -1;
    if (!old_exists && new_exists)
        return 0;
    if (b->ddl != SCHEMA_DDL_EVOLVE || new_exists) {
        (void)err_set(err, ERR_PERMANENT,
                      "the relation was renamed; its table in the target is %s%s", was,
                      new_exists ? ", and the new name is taken" : "");
        return stop(b, err);
    }
    if (old_exists) {
        if (b->ops->table_rename(b->dest, was, b->target, err))
            return err_context(err, "following the rename of %s", was);
        log_info("table renamed", "from", was, "to", b->target, NULL);
    }
    return 0;
}

/* The first time that this origin meets the relation. */
static int meet(const struct binding *b, struct err *err)
{
    bool exists;
    if (b->ops->table_exists(b->dest, b->target, &exists, err))
        return -1;
    if (!exists) {
        if (b->ddl == SCHEMA_DDL_NONE) {
            (void)err_set(err, ERR_PERMANENT, "the target has no table %s", b->target);
            return err_hint(err, "create it, or allow it with --ddl create or --ddl evolve");
        }
        if (b->ops->table_create(b->dest, b->target, b->rel, err))
            return -1;
        log_info("table created", "target", b->target, NULL);
        return 0;
    }
    for (uint32_t i = 0; i < b->rel->ncolumns; i++)
        if (add_column(b, i, false, err))
            return -1;
    return 0;
}

/* *same: the target takes the name for the one that it remembers: only the case has changed. */
static int check_owner(const struct binding *b, bool *same, struct err *err)
{
    struct buf target = {0}, frame = {0};
    uint32_t owner = 0;
    int rc = b->ops->relation_get(b->dest, b->origin, 0, b->target, &target, &frame, &owner, err);
    *same = owner == b->rel->relid;
    if (rc == 0 && owner != 0 && !*same) {
        rc = err_set(
            err, ERR_PERMANENT,
            "the target table %s belongs to another relation, with relid %u: either the source's "
            "table was dropped and made again, or two tables map to one name",
            b->target, owner);
        err_hint(
            err,
            "in the first case drop or empty the table %s in the target, delete the row with relid %u "
            "from " REMEMBERED " there, and start again; in the second use --schema-map",
            b->target, owner);
    }
    buf_free(&target);
    buf_free(&frame);
    return rc;
}

static int was_relation(const struct buf *bytes, struct relation **was, struct err *err)
{
    if (relation_from_bytes(bytes->data, bytes->len, was, err))
        return err_context(err, REMEMBERED);
    return 0;
}

/* The target held the relation before. */
static int follow(const struct binding *b, const struct buf *was_frame, struct err *err)
{
    struct relation *was = NULL;
    bool exists;
    if (b->ops->table_exists(b->dest, b->target, &exists, err))
        return -1;
    if (!exists) {
        (void)err_set(err, ERR_PERMANENT, "the target table %s is gone, and its rows with it",
                      b->target);
        return stop(b, err);
    }
    if (was_relation(was_frame, &was, err))
        return -1;
    int rc = follow_columns(b, was, err);
    relation_unref(was);
    return rc;
}

static int bring_in_step(const struct binding *b, const struct buf *frame, struct buf *was_target,
                         struct buf *was_frame, struct err *err)
{
    if (b->ops->relation_get(b->dest, b->origin, b->rel->relid, NULL, was_target, was_frame, NULL,
                             err))
        return -1;
    bool known = was_frame->len > 0;
    bool renamed = known && strcmp(buf_cstr(was_target), b->target) != 0;
    if (known && !renamed && was_frame->len == frame->len &&
        memcmp(was_frame->data, frame->data, frame->len) == 0)
        return 0;
    bool same_name = !renamed;
    if ((!known || renamed) && check_owner(b, &same_name, err))
        return -1;
    if (known && !same_name && follow_rename(b, buf_cstr(was_target), err))
        return -1;
    if (known ? follow(b, was_frame, err) : meet(b, err))
        return -1;
    return b->ops->relation_put(b->dest, b->origin, b->rel, b->target, frame, err);
}

int schema_bind(const struct dest_ops *ops, struct dest *dest, const char *origin,
                enum schema_ddl ddl, const struct relation *rel, struct dest_table **table,
                struct err *err)
{
    struct buf target = {0}, frame = {0}, was_target = {0}, was_frame = {0};
    struct binding b = {.ops = ops, .dest = dest, .origin = origin, .ddl = ddl, .rel = rel};
    if (!rel->frame)
        BUG("a relation that was not read from a frame");
    int rc = ops->target_name(dest, rel, &target, err);
    if (rc == 0) {
        b.target = buf_cstr(&target);
        buf_append(&frame, rel->frame, rel->frame_size);
        rc = buf_check(&frame, err);
    }
    if (rc == 0)
        rc = buf_check(&target, err);
    if (rc == 0)
        rc = bring_in_step(&b, &frame, &was_target, &was_frame, err);
    if (rc == 0)
        rc = ops->table_open(dest, b.target, rel, table, err);
    buf_free(&target);
    buf_free(&frame);
    buf_free(&was_target);
    buf_free(&was_frame);
    return rc;
}
