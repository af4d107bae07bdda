#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/log.h"
#include "base/lsn.h"
#include "sql/copied.h"
#include "sql/left_out.h"
#include "sql/relation_proof.h"
#include "sql/target.h"
#include "sql/target_state.h"
#include "sql/wanted_index.h"

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

/* The same, and whether there are rows where that matters. */
static int describe_for(struct target *t, const char *name, const struct relation *rel,
                        const struct relation *was, struct described_table *out, struct err *err)
{
    if (target_describe(t, name, false, out, err))
        return -1;
    return schema_plan_needs_rows(rel, was, out) ? target_describe(t, name, true, out, err) : 0;
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
        copied_put(&p->lines, b->commit_lsn, b->snapshot, false, false);
        if (buf_check(&p->lines, err) || copied_parse(&p->copied, &p->lines, &(size_t){0}, err))
            return -1;
    } else if (!p->begins) {
        buf_append(&p->lines, frame->data, size);
    }
    buf_consume(frame, size);
    size = wanted_size(frame->data, frame->len);
    buf_append(&p->lines, frame->data, size);
    buf_consume(frame, size);
    if (!p->awaits || p->copied.aside || b->may_await)
        return buf_check(&p->lines, err);
    (void)err_set(err, ERR_PERMANENT, "the table awaits a copy, and none comes");
    err->whole = true;
    return err_hint(err, "let pg-capture copy it: --copy initial (CDC_COPY), with its name in "
                         "--copy-tables (CDC_COPY_TABLES), if that is given");
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

/* The name was the relation's when what is replayed happened at the source. */
static int check_name_is_free(const struct binding *b, const struct relation *rel,
                              const struct plan_input *in, struct err *err)
{
    if (!b->replays || in->owner == 0 || in->owner == rel->relid)
        return 0;
    (void)err_set(err, ERR_PERMANENT,
                  "the target table %s belongs to another relation by now, with relid %" PRIu32
                  ": the source's table was renamed or dropped",
                  in->name, in->owner);
    return err_hint(err,
                    "pg2any copy brings a renamed one back; of a dropped one delete the row "
                    "with relid %" PRIu32 " from " RELATION_TABLE " in the target",
                    rel->relid);
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
         (recall_owner(t, b->origin, p, &in, err) || check_name_is_free(b, rel, &in, err) ||
          find_aside(t, p, &in, err))) ||
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
    if (recall_copy(b, p, err))
        return -1;
    if (p->awaits) /* also where the target has no name for it any more */
        return 0;
    if (t->runner.ops->table_name(t->runner.driver, rel, &p->name, err) ||
        buf_check(&p->name, err) || compare_memory(rel, p, err))
        return -1;
    if (p->begins)
        return look_for_copy(t, b, rel, p, err);
    if (p->copied.beside)
        return look_at_beside(t, rel, p, err);
    return p->as_ever ? target_describe(t, buf_cstr(&p->name), false, &p->there, err)
                      : make_plan(t, b, rel, p, false, err);
}

/* ---- binding ---- */

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
        copied_put(frame, b->commit_lsn, b->snapshot, p->copied.taken, p->beside.len > 0);
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
    log_warning("the table of a relation that was renamed or dropped at the source was renamed, "
                "because another one has its name",
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
    int rc = target_carry_out(t, rel, &p->plan, err);
    p->unknown = rc && t->copy_mends;
    for (size_t i = 0; i < p->plan.n; i++)
        p->made = p->made || p->plan.steps[i].kind == STEP_CREATE_TABLE;
    p->made = p->made || target_is_made(t, bound_name(p));
    bool stays = p->begins && p->there.exists && p->beside.len == 0;
    p->refills = stays && p->was && p->copied.due;
    if (rc == 0 && stays)
        log_info("the rows of a table are replaced in place", "target", buf_cstr(&p->name), NULL);
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
    log_warning("a table will be copied again; until then its rows stay as they are", "schema",
                rel->namespace, "table", rel->name, "relid", LOG_U64(rel->relid), "commit_lsn",
                LSN(b->commit_lsn), "reason", err->text, NULL);
    err_clear(err);
    /* What the row said of that may have been taken out of it. */
    bool copied = (p->copied.lsn || p->copied.due) && !p->copied.taken;
    return left_out_until_copied(&l, b->commit_lsn, copied, err);
}

int target_await_copy(struct target *t, const char *origin, const struct relation *rel,
                      uint64_t lsn, struct err *err)
{
    struct own_row row = {0};
    const struct left_out l = {t->runner.ops, t->runner.driver, origin, NULL, rel, &row, false};
    int rc = left_out_until_copied(&l, lsn, true, err);
    own_row_free(&row);
    return rc;
}

int target_set_aside(struct target *t, const char *origin, const struct relation *rel, uint64_t lsn,
                     bool first, const char *why, bool keep, struct err *err)
{
    const struct own_key key = {.table = OWN_RELATION, .origin = origin, .relid = rel->relid};
    struct own_row row = {0};
    bool known = false;
    int rc = target_recall(t, &key, &row, &known, err);
    const struct left_out l = {t->runner.ops, t->runner.driver, origin, NULL, rel, &row, known};
    if (rc == 0)
        rc = left_out_aside(&l, lsn, first, why, keep, err);
    own_row_free(&row);
    return rc;
}

int target_bind(struct target *t, const struct binding *b, struct relation *rel,
                struct target_table **table, enum unbound *why, struct err *err)
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
    *why = p.left_out ? UNBOUND_SKIPPED : p.copied.aside ? UNBOUND_ASIDE : UNBOUND_AWAITS;
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

/* ---- what binding would do ---- */

static int show(struct target *t, const struct relation *rel, struct prospect *p,
                struct buf *statements, struct err *err)
{
    struct target_table *table;
    for (size_t i = 0; i < p->plan.n; i++)
        if (t->runner.ops->change(t->runner.driver, &p->plan.steps[i], statements, err))
            return target_step_failed(&p->plan.steps[i], err);
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
    out->aside = p.copied.aside != NULL;
    out->kept = p.copied.file.kept;
    if (rc && out->awaits) {
        err_clear(err);
        rc = 0;
    } else if (rc == 0 && !p.left_out && !p.awaits)
        rc = show(t, rel, &p, &out->statements, err);
    buf_append_str(&out->name, buf_cstr(&p.name));
    prospect_free(&p);
    return rc ? rc : buf_check(&out->name, err);
}

void foreseen_free(struct foreseen *f)
{
    buf_free(&f->name);
    buf_free(&f->statements);
}
