#include "apply/apply_replay.h"

#include <stdio.h>

#include "apply/apply_rows_state.h"
#include "base/log.h"

#define HELD_BYTES (1024 * 1024) /* of a transaction, before it is applied */

/* A table that is set aside, and of which something is kept. */
struct kept {
    uint32_t relid; /* 0: there is none */
    struct copied_file file;
    char schema[256], name[256];
};

/* ---- applying ---- */

struct replay {
    struct apply_rows *rows;
    struct source_txn txn;
    struct buf held;
};

static int apply_held(struct replay *r, struct err *err)
{
    const struct source_txn *failed;
    if (buf_check(&r->held, err) ||
        apply_rows_frames(r->rows, r->held.data, r->held.len, &r->txn, &failed, err) ||
        apply_rows_flush(r->rows, &failed, err))
        return -1;
    buf_reset(&r->held, 2 * HELD_BYTES);
    return 0;
}

static int take(void *ctx, const struct frame *f, struct err *err)
{
    struct replay *r = ctx;
    struct frame_begin b;
    switch (f->type) {
    case FRAME_HELLO:
        return 0;
    case FRAME_BEGIN:
        if (frame_get_begin(f, &b, err))
            return -1;
        r->txn = (struct source_txn){b.xid, b.final_lsn, b.commit_time_us};
        return 0;
    case FRAME_COMMIT:
        return apply_held(r, err);
    default:
        buf_append(&r->held, frame_start(f), frame_length(f));
        return r->held.len >= HELD_BYTES ? apply_held(r, err) : 0;
    }
}

/* What the file says of the relation does not count for the stream, and the other way round. */
static void forget_relation(struct apply_rows *a, uint32_t relid)
{
    struct apply_relation *r = rows_find(a, relid);
    if (!r)
        return;
    rows_unbind(a, r);
    relation_unref(r->recent);
    r->recent = NULL;
}

/* In the target's transaction, whose mark counts. */
static int apply_all(struct apply_group *g, void *ctx, struct err *err)
{
    struct kept *k = ctx;
    struct replay r = {.rows = &g->rows};
    struct copied copied;
    bool known;
    int rc = target_copied(g->target, g->origin, k->relid, &copied, &known, err);
    if (rc == 0)
        k->file = copied.file; /* otherwise the mark is what it was */
    copied_free(&copied);
    if (rc || !k->file.asked)
        return rc;
    forget_relation(&g->rows, k->relid);
    g->rows.replays = true;
    rc = target_set_back(g->target, g->origin, k->relid, err) ||
                 quarantine_read(&g->rows.quarantine, g->origin, k->relid, &k->file, take, &r, err)
             ? -1
             : 0;
    g->rows.replays = false;
    buf_free(&r.held);
    forget_relation(&g->rows, k->relid);
    return rc;
}

/* ---- a table ---- */

static int pass_over(void *ctx, const struct frame *frame, struct err *err)
{
    (void)ctx;
    (void)frame;
    (void)err;
    return 0;
}

struct answer {
    uint32_t relid;
    struct copied_file file;
    const char *why;
};

static int write_answer(struct apply_group *g, void *ctx, struct err *err)
{
    const struct answer *a = ctx;
    return target_set_file(g->target, g->origin, a->relid, &a->file, a->why, err);
}

/* The file is of no use. */
static int say_unreadable(struct apply_group *g, const struct kept *k, const struct err *why,
                          struct err *err)
{
    struct answer answer = {.relid = k->relid};
    log_error("a table cannot be replayed, and stays set aside: only pg2any copy brings it back",
              "schema", k->schema, "table", k->name, "reason", why->text, NULL);
    return group_run_alone(g, write_answer, &answer, err);
}

/* The target may be mended. */
static int say_refused(struct apply_group *g, const struct kept *k, const struct err *why,
                       struct err *err)
{
    struct answer answer = {k->relid, k->file, why->text};
    answer.file.asked = false;
    log_error("a table cannot be replayed yet, and stays set aside: mend what is refused, and ask "
              "again",
              "schema", k->schema, "table", k->name, "reason", why->text, NULL);
    return group_run_alone(g, write_answer, &answer, err);
}

static int replay(struct apply_group *g, struct kept *k, struct err *err)
{
    struct err why = {0};
    /* All of the file before any of it counts. */
    if (quarantine_read(&g->rows.quarantine, g->origin, k->relid, &k->file, pass_over, NULL,
                        &why)) {
        if (why.kind == ERR_PERMANENT)
            return say_unreadable(g, k, &why, err);
        *err = why;
        return -1;
    }
    if (group_run_alone(g, apply_all, k, &why) == 0) {
        log_info("a table that was set aside is replayed, and goes on", "schema", k->schema,
                 "table", k->name, NULL);
        return 0;
    }
    if (why.kind != ERR_TEMPORARY && !signals_stop(g->signals))
        return say_refused(g, k, &why, err);
    *err = why;
    return -1;
}

/* ---- all of them ---- */

/* The one after k->relid. What the target says of the others counts, too. */
static int next_kept(struct apply_group *g, struct kept *k, struct err *err)
{
    bool found = true;
    do {
        struct own_row row = {0};
        struct copied copied;
        size_t size;
        int rc =
            target_next_relation(g->target, g->origin, k->relid, &row, &found, &size, &copied, err);
        *k = (struct kept){.relid = found ? row.relid : 0, .file = copied.file};
        (void)snprintf(k->schema, sizeof k->schema, "%s",
                       buf_cstr(&row.fields[RELATION_NAMESPACE]));
        (void)snprintf(k->name, sizeof k->name, "%s", buf_cstr(&row.fields[RELATION_NAME]));
        if (rc == 0 && found)
            rc = aside_note(&g->rows.aside, row.relid, &copied, err);
        copied_free(&copied);
        own_row_free(&row);
        if (rc)
            return -1;
    } while (found && !k->file.kept);
    return 0;
}

/* *more: there may be others. One that is replayed is looked at again. */
static int look_at_next(struct apply_group *g, struct kept *k, bool *more, struct err *err)
{
    const uint32_t before = k->relid;
    if (next_kept(g, k, err))
        return -1;
    *more = k->relid != 0;
    if (!*more)
        return 0;
    if (!k->file.asked || table_names_has(&g->rows.skip, k->schema, k->name))
        return quarantine_look_note(&g->rows.quarantine, g->origin, k->relid, &k->file, err);
    int rc = replay(g, k, err);
    k->relid = before;
    return rc;
}

int replay_asked(struct apply_group *g, struct err *err)
{
    struct kept k = {0};
    int rc = 0;
    quarantine_look_begin(&g->rows.quarantine);
    for (bool more = true; rc == 0 && more;)
        rc = look_at_next(g, &k, &more, err);
    if (rc == 0)
        rc = quarantine_look_end(&g->rows.quarantine, g->origin, err);
    g->failed = rc != 0;
    return rc;
}
