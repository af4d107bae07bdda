#include "sql/left_out.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/lsn.h"
#include "sql/copied.h"

/* The line is MARK, an LSN, OF, the name as table_names_put() writes it. */
#define MARK    "changes left out since "
#define OF      " of "
#define UNBOUND "relid " /* no name of a table, in no target */

bool left_out_is_marked(const struct buf *frame)
{
    const size_t size = sizeof MARK - 1;
    return frame->len > size && memcmp(frame->data, MARK, size) == 0;
}

bool left_out_is_unbound(struct own_row *row)
{
    return strncmp(buf_cstr(&row->fields[RELATION_TARGET]), UNBOUND, sizeof UNBOUND - 1) == 0;
}

/* What stands behind MARK; NULL: no change was left out. */
static const char *find_mark(const struct left_out *l)
{
    const char *frame = buf_cstr(&l->memory->fields[RELATION_FRAME]);
    return l->known && strncmp(frame, MARK, strlen(MARK)) == 0 ? frame + strlen(MARK) : NULL;
}

static size_t lsn_size(const char *mark)
{
    return strcspn(mark, " \n");
}

static void put_name(struct buf *line, const char *namespace, const char *name)
{
    buf_append_str(line, OF);
    table_names_put(line, namespace, name);
    buf_append_byte(line, '\n');
}

/* Whether the option has the name that stands in the mark. */
static int has_name_of(const struct left_out *l, const char *mark, bool *has, struct err *err)
{
    int rc = 0;
    *has = false;
    for (size_t i = 0; rc == 0 && l->skip && i < l->skip->n && !*has; i++) {
        struct table_name *t = &l->skip->items[i];
        struct buf line = {0};
        put_name(&line, t->namespace, t->name);
        rc = buf_check(&line, err);
        *has = rc == 0 && strncmp(mark + lsn_size(mark), buf_cstr(&line), line.len) == 0;
        t->met = t->met || *has;
        buf_free(&line);
    }
    return rc;
}

/* Whom the target takes the name for that the relation has there; 0: nobody. */
static int find_owner(const struct left_out *l, const char *target, struct own_row *owner,
                      struct err *err)
{
    const struct own_key key = {.table = OWN_RELATION, .origin = l->origin, .target = target};
    bool found;
    owner->relid = 0;
    if (l->ops->recall(l->driver, &key, owner, &found, err))
        return err_context(err, "reading " RELATION_TABLE);
    owner->relid = found ? owner->relid : 0;
    return own_row_check(owner, err);
}

/* The name that it has at the target; "": none that the target takes. */
static int find_name(const struct left_out *l, struct buf *name, struct err *err)
{
    struct err why = {0};
    if (l->ops->table_name(l->driver, l->rel, name, &why) == 0)
        return buf_check(name, err);
    buf_reset(name, 0);
    if (why.kind == ERR_PERMANENT)
        return 0;
    *err = why;
    return -1;
}

/* Another relation that had the name at the source before: its row would be in the way. */
static bool is_predecessor(const struct left_out *l, struct own_row *owner)
{
    return owner->relid && owner->relid != l->rel->relid &&
           strcmp(buf_cstr(&owner->fields[RELATION_NAMESPACE]), l->rel->namespace) == 0 &&
           strcmp(buf_cstr(&owner->fields[RELATION_NAME]), l->rel->name) == 0;
}

static int stop(const struct left_out *l, const char *mark, struct err *err)
{
    struct buf name = {0};
    struct own_row owner = {0};
    char another[16] = "";
    if (find_name(l, &name, err) == 0 && find_owner(l, buf_cstr(&name), &owner, err) == 0) {
        if (is_predecessor(l, &owner))
            (void)snprintf(another, sizeof another, ", %" PRIu32, owner.relid);
        (void)err_set(err, ERR_PERMANENT,
                      "changes of it were left out from %.*s on, and --skip-table does not name it "
                      "any more",
                      (int)lsn_size(mark), mark);
        (void)err_hint(err,
                       "copy the table again, DELETE FROM " RELATION_TABLE
                       " WHERE origin = '%s' AND relid IN (%" PRIu32 "%s) in the target, and start "
                       "again",
                       l->origin, l->rel->relid, another);
    }
    buf_free(&name);
    own_row_free(&owner);
    return -1;
}

int left_out_decide(const struct left_out *l, bool *leave_out, struct err *err)
{
    const char *mark = find_mark(l);
    if (own_row_check(l->memory, err) || (mark && has_name_of(l, mark, leave_out, err)))
        return -1;
    *leave_out = table_names_has(l->skip, l->rel->namespace, l->rel->name) || (mark && *leave_out);
    return *leave_out || !mark ? 0 : stop(l, mark, err);
}

/* The row of a relation that the target did not hold yet; without a name, of none of its tables. */
static void make_row(const struct left_out *l, struct own_row *row)
{
    if (row->fields[RELATION_TARGET].len == 0)
        buf_printf(&row->fields[RELATION_TARGET], UNBOUND "%" PRIu32, l->rel->relid);
    row->relid = l->rel->relid;
    buf_append_str(&row->fields[RELATION_NAMESPACE], l->rel->namespace);
    buf_append_str(&row->fields[RELATION_NAME], l->rel->name);
    buf_append(&row->fields[RELATION_FRAME], l->rel->frame, l->rel->frame_size);
}

/* The same with the name that it will have. That is another's where it is remembered by it. */
static int make_named_row(const struct left_out *l, struct own_row *row, struct err *err)
{
    struct own_row owner = {0};
    struct buf *target = &row->fields[RELATION_TARGET];
    int rc = find_name(l, target, err) || find_owner(l, buf_cstr(target), &owner, err) ? -1 : 0;
    if (target->len == 0 || owner.relid)
        buf_reset(target, 0);
    own_row_free(&owner);
    make_row(l, row);
    return rc;
}

void left_out_clear(struct buf *frame)
{
    if (left_out_is_marked(frame)) {
        const uint8_t *end = memchr(frame->data, '\n', frame->len);
        buf_consume(frame, end ? (size_t)(end + 1 - frame->data) : 0);
    }
}

static int write_row(const struct left_out *l, struct err *err)
{
    const struct own_key key = {.table = OWN_RELATION, .origin = l->origin, .relid = l->rel->relid};
    return own_row_check(l->memory, err) ||
                   l->ops->remember(l->driver, &key, l->memory, l->known, err)
               ? err_context(err, "writing " RELATION_TABLE)
               : 0;
}

int left_out_until_copied(const struct left_out *l, uint64_t commit_lsn, bool first,
                          struct err *err)
{
    if (!l->known)
        make_row(l, l->memory);
    return own_row_check(l->memory, err) ||
                   copied_set_due(&l->memory->fields[RELATION_FRAME], commit_lsn, first, err)
               ? -1
               : write_row(l, err);
}

int left_out_aside(const struct left_out *l, uint64_t commit_lsn, bool first, const char *why,
                   bool keep, struct err *err)
{
    struct buf *frame = &l->memory->fields[RELATION_FRAME];
    keep = keep && l->known && !left_out_is_marked(frame) && !left_out_is_unbound(l->memory);
    if (!l->known)
        make_row(l, l->memory);
    left_out_clear(frame);
    return own_row_check(l->memory, err) ||
                   copied_set_aside(frame, commit_lsn, first && !l->known, why, keep, err)
               ? -1
               : write_row(l, err);
}

int left_out_remember(const struct left_out *l, uint64_t commit_lsn, struct err *err)
{
    if (find_mark(l))
        return 0;
    if (!l->known && make_named_row(l, l->memory, err))
        return -1;
    struct buf *frame = &l->memory->fields[RELATION_FRAME], marked = {0};
    if (copied_set_file(frame, &(struct copied_file){0}, NULL, err))
        return -1;
    buf_printf(&marked, MARK "%s", LSN(commit_lsn));
    put_name(&marked, l->rel->namespace, l->rel->name);
    buf_append(&marked, frame->data, frame->len);
    buf_free(frame);
    *frame = marked;
    return write_row(l, err);
}
