#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/log.h"
#include "sql/copied.h"
#include "sql/left_out.h"
#include "sql/target.h"
#include "sql/target_state.h"
#include "sql/wanted_index.h"

/* ---- what is remembered of copies ---- */

int target_copied(struct target *t, const char *origin, uint32_t relid, struct copied *copied,
                  bool *known, struct err *err)
{
    const struct own_key key = {.table = OWN_RELATION, .origin = origin, .relid = relid};
    struct own_row row = {0};
    size_t size;
    *copied = (struct copied){0};
    *known = false;
    int rc = target_recall(t, &key, &row, known, err);
    if (rc == 0 && *known)
        rc = copied_parse(copied, &row.fields[RELATION_FRAME], &size, err);
    own_row_free(&row);
    return rc;
}

int target_next_relation(struct target *t, const char *origin, uint32_t relid, struct own_row *row,
                         bool *found, size_t *size, struct copied *copied, struct err *err)
{
    const struct own_key key = {
        .table = OWN_RELATION, .origin = origin, .relid = relid, .next = true};
    *size = 0;
    *copied = (struct copied){0};
    *found = false;
    if (target_recall(t, &key, row, found, err))
        return -1;
    return *found ? copied_parse(copied, &row->fields[RELATION_FRAME], size, err) : 0;
}

int target_next_copied(struct target *t, const char *origin, uint32_t *relid, struct copied *copied,
                       bool *is_left_out, bool *lacks_indexes, struct err *err)
{
    struct own_row row = {0};
    size_t size;
    bool found;
    int rc = target_next_relation(t, origin, *relid, &row, &found, &size, copied, err);
    const struct buf *frame = &row.fields[RELATION_FRAME];
    *relid = found ? row.relid : 0;
    *is_left_out = left_out_is_marked(frame);
    *lacks_indexes = *relid && wanted_size(frame->data + size, frame->len - size) > 0;
    own_row_free(&row);
    return rc;
}

int target_takes_copies(struct target *t, const char *origin, bool *takes, struct err *err)
{
    bool any_copied = false, any_other = false;
    for (uint32_t relid = 0; !any_copied;) {
        struct copied c;
        bool is_left_out, lacks_indexes;
        int rc = target_next_copied(t, origin, &relid, &c, &is_left_out, &lacks_indexes, err);
        any_copied = c.lsn != 0 && !c.taken;
        any_other = any_other || (relid != 0 && !is_left_out && (!c.due || c.taken));
        copied_free(&c);
        if (rc)
            return -1;
        if (relid == 0)
            break;
    }
    *takes = any_copied || !any_other;
    return 0;
}

/* What is remembered of a relation's copy changes. */
enum copy_change { COPY_DUE, COPY_ADVANCES, COPY_FILE, COPY_BACK };

struct copy_changes {
    enum copy_change kind;
    uint64_t lsn;       /* since when it is due, or of the chunk */
    struct bytes after; /* the chunk */
    const struct copied_file *file;
    const char *why;
};

static int change_line(struct buf *frame, const struct copy_changes *c, struct err *err)
{
    return c->kind == COPY_DUE        ? copied_set_due(frame, c->lsn, false, err)
           : c->kind == COPY_ADVANCES ? copied_advance(frame, c->lsn, c->after, err)
           : c->kind == COPY_FILE     ? copied_set_file(frame, c->file, c->why, err)
                                      : copied_set_back(frame, err);
}

static int change_copied(struct target *t, const char *origin, uint32_t relid,
                         const struct copy_changes *changes, struct err *err)
{
    const struct own_key key = {.table = OWN_RELATION, .origin = origin, .relid = relid};
    struct own_row row = {0};
    bool known = false;
    int rc = target_recall(t, &key, &row, &known, err);
    if (rc == 0 && !known)
        rc = err_set(err, ERR_PERMANENT, RELATION_TABLE " does not have relation %" PRIu32, relid);
    if (rc == 0)
        rc = change_line(&row.fields[RELATION_FRAME], changes, err);
    if (rc == 0)
        rc = target_remember(t, origin, &row, true, err);
    own_row_free(&row);
    return rc;
}

/* Changes what is remembered of the rows that a relation's table lacks. `taken`: they have come. */
static int change_lacks(struct target *t, const char *origin, uint32_t relid, uint64_t lsn,
                        struct bytes keys, bool taken, bool *fits, struct copied *copied,
                        struct err *err)
{
    const struct own_key key = {.table = OWN_RELATION, .origin = origin, .relid = relid};
    struct own_row row = {0};
    struct buf *frame = &row.fields[RELATION_FRAME];
    bool known = false;
    size_t size;
    int rc = target_recall(t, &key, &row, &known, err);
    if (rc == 0 && !known)
        rc = err_set(err, ERR_PERMANENT, RELATION_TABLE " does not have relation %" PRIu32, relid);
    *fits = true;
    if (rc == 0)
        rc = taken ? copied_take_lacks(frame, keys, lsn, err)
                   : copied_add_lacks(frame, keys, lsn, fits, err);
    if (rc == 0 && *fits) {
        copied_free(copied);
        rc = target_remember(t, origin, &row, true, err) || copied_parse(copied, frame, &size, err)
                 ? -1
                 : 0;
    }
    own_row_free(&row);
    return rc;
}

int target_lacks(struct target *t, const char *origin, struct target_table *table, uint64_t lsn,
                 struct bytes keys, bool *fits, struct err *err)
{
    return change_lacks(t, origin, table->rel->relid, lsn, keys, false, fits, &table->copied, err);
}

int target_lacked(struct target *t, const char *origin, struct target_table *table, uint64_t lsn,
                  struct bytes keys, struct err *err)
{
    bool fits;
    return change_lacks(t, origin, table->rel->relid, lsn, keys, true, &fits, &table->copied, err);
}

int target_copied_until(struct target *t, const char *origin, uint32_t relid, uint64_t until,
                        struct bytes after, struct err *err)
{
    const struct copy_changes c = {.kind = COPY_ADVANCES, .lsn = until, .after = after};
    return change_copied(t, origin, relid, &c, err);
}

int target_copy_due(struct target *t, const char *origin, uint32_t relid, uint64_t lsn,
                    struct err *err)
{
    const struct copy_changes c = {.kind = COPY_DUE, .lsn = lsn};
    return change_copied(t, origin, relid, &c, err);
}

int target_set_file(struct target *t, const char *origin, uint32_t relid,
                    const struct copied_file *file, const char *why, struct err *err)
{
    const struct copy_changes c = {.kind = COPY_FILE, .file = file, .why = why};
    return change_copied(t, origin, relid, &c, err);
}

int target_set_back(struct target *t, const char *origin, uint32_t relid, struct err *err)
{
    const struct copy_changes c = {.kind = COPY_BACK};
    return change_copied(t, origin, relid, &c, err);
}

/* ---- tables that take a place ---- */

bool target_waits_for_place(const struct target_table *table)
{
    return table->copied.beside && !table->copied.after && table->copied.lacks.len == 0;
}

/* The table beside, where it is to go, where what is there may go for a while. */
struct place {
    struct relation *rel;
    struct buf beside, name, aside;
    struct described_table there, was_there, aside_there;
};

static int find_place(struct target *t, struct own_row *row, struct place *place, struct err *err)
{
    const struct buf *frame = &row->fields[RELATION_FRAME];
    const char *end = memchr(frame->data, '\n', frame->len);
    size_t at = (size_t)(end + 1 - (const char *)frame->data);
    at += wanted_size(frame->data + at, frame->len - at);
    at += copied_made_size(frame->data + at, frame->len - at);
    if (relation_from_bytes(frame->data + at, frame->len - at, &place->rel, err))
        return err_context(err, RELATION_TABLE);
    char name[32];
    struct relation aside = *place->rel;
    (void)snprintf(name, sizeof name, "pg2any_old_%" PRIu32, row->relid);
    aside.name = name;
    if (t->runner.ops->table_name(t->runner.driver, place->rel, &place->name, err) ||
        t->runner.ops->table_name(t->runner.driver, &aside, &place->aside, err) ||
        buf_check(&place->name, err) || buf_check(&place->aside, err) ||
        target_name_beside(t, place->rel, &place->beside, err))
        return -1;
    return target_describe(t, buf_cstr(&place->beside), false, &place->there, err) ||
                   target_describe(t, buf_cstr(&row->fields[RELATION_TARGET]), false,
                                   &place->was_there, err) ||
                   target_describe(t, buf_cstr(&place->aside), false, &place->aside_there, err)
               ? -1
               : 0;
}

/*
 * Where changes commit, a crash leaves each of them done or not: the tables have changed names, the
 * old one is dropped, pg2any_relation says so. What is neither is not known: it is copied once
 * more.
 */
static int take_place(struct target *t, struct own_row *row, struct place *place, bool *placed,
                      struct err *err)
{
    const struct step drop = {.kind = STEP_DROP_TABLE,
                              .table = buf_cstr(&place->aside),
                              .rel = place->rel,
                              .there = &place->aside_there},
                      replace = {.kind = STEP_REPLACE_TABLE,
                                 .table = buf_cstr(&place->beside),
                                 .name = place->was_there.exists
                                             ? buf_cstr(&row->fields[RELATION_TARGET])
                                             : NULL,
                                 .to = buf_cstr(&place->name),
                                 .aside = buf_cstr(&place->aside),
                                 .rel = place->rel,
                                 .there = &place->there};
    bool beside = place->there.exists;
    /* Otherwise it has the name, if the old one has gone aside. */
    if (!beside && place->aside_there.exists &&
        target_describe(t, buf_cstr(&place->name), false, &place->there, err))
        return -1;
    *placed = place->there.exists;
    if (!*placed)
        return 0;
    if ((place->aside_there.exists && target_change(t, &drop, NULL, err)) ||
        (beside && target_change(t, &replace, NULL, err)))
        return -1;
    log_info("a copied table has replaced the old one", "target", buf_cstr(&place->name), NULL);
    buf_reset(&row->fields[RELATION_TARGET], 0);
    buf_append_str(&row->fields[RELATION_TARGET], buf_cstr(&place->name));
    return copied_set_placed(&row->fields[RELATION_FRAME], err);
}

int target_take_place(struct target *t, const char *origin, uint32_t relid, struct err *err)
{
    const struct own_key key = {.table = OWN_RELATION, .origin = origin, .relid = relid};
    struct own_row row = {0};
    struct copied copied = {0};
    struct place place = {0};
    bool known = false, placed;
    size_t size;
    described_init(&place.there);
    described_init(&place.was_there);
    described_init(&place.aside_there);
    int rc = target_recall(t, &key, &row, &known, err);
    if (rc == 0 && known)
        rc = copied_parse(&copied, &row.fields[RELATION_FRAME], &size, err);
    if (rc == 0 && copied.beside && !copied.after && copied.lacks.len == 0) {
        rc = find_place(t, &row, &place, err) || take_place(t, &row, &place, &placed, err) ? -1 : 0;
        if (rc == 0 && !placed)
            rc = copied_set_due(&row.fields[RELATION_FRAME], copied.lsn, false, err);
        if (rc == 0)
            rc = target_remember(t, origin, &row, true, err);
    }
    copied_free(&copied);
    own_row_free(&row);
    relation_unref(place.rel);
    buf_free(&place.beside);
    buf_free(&place.name);
    buf_free(&place.aside);
    described_free(&place.there);
    described_free(&place.was_there);
    described_free(&place.aside_there);
    return rc;
}

/* ---- indexes ---- */

static struct wanted wanted(const struct target *t, const char *origin)
{
    return (struct wanted){t->runner.ops, t->runner.driver, origin};
}

int target_want_indexes(struct target *t, const char *origin, uint32_t relid, struct bytes list,
                        struct err *err)
{
    const struct wanted w = wanted(t, origin);
    return wanted_remember(&w, relid, list, err);
}

int target_make_index(struct target *t, const char *origin, uint32_t relid, bool give_up,
                      bool *more, struct err *err)
{
    const struct wanted w = wanted(t, origin);
    return wanted_make(&w, relid, give_up, more, err);
}
