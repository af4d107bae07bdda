#include "summary.h"

#include <stdlib.h>
#include <string.h>

#include "base/hash.h"
#include "change.h"
#include "frame_json.h"
#include "json_fields.h"

/* By name, because a table that is made again has a new relid; by number where no R named it. */
struct summary_table {
    UT_hash_handle hh;
    uint64_t inserts, updates, deletes, truncates;
    char name[];
};

static struct summary_table *table(struct summary *s, struct relmap *relations, uint32_t relid)
{
    struct buf name = {0};
    const struct relation *rel = relmap_get(relations, relid);
    if (rel)
        buf_printf(&name, "%s.%s", rel->namespace, rel->name);
    else
        buf_printf(&name, "relid %u", relid);
    const char *text = buf_cstr(&name);
    struct summary_table *t = NULL;
    if (!name.failed) {
        HASH_FIND(hh, s->tables, text, name.len, t);
        if (!t && (t = calloc(1, sizeof *t + name.len + 1))) {
            bool added;
            memcpy(t->name, text, name.len);
            HASH_TRY_ADD_KEYPTR(s->tables, t->name, name.len, t, added);
            if (!added) {
                free(t);
                t = NULL;
            }
        }
    }
    buf_free(&name);
    return t;
}

static void saw_lsn(struct summary *s, uint64_t lsn)
{
    if (lsn == 0)
        return;
    if (s->first_lsn == 0 || lsn < s->first_lsn)
        s->first_lsn = lsn;
    if (lsn > s->last_lsn)
        s->last_lsn = lsn;
}

static int count_change(struct summary *s, const struct frame *f, struct relmap *relations,
                        struct err *err)
{
    struct change c;
    if (change_from_frame(f, relations, &c, err))
        return -1;
    struct summary_table *t = table(s, relations, c.head.relid);
    if (!t)
        return err_nomem(err);
    if (f->type == FRAME_INSERT)
        t->inserts++;
    else if (f->type == FRAME_UPDATE)
        t->updates++;
    else
        t->deletes++;
    return 0;
}

static int count_truncate(struct summary *s, const struct frame *f, struct relmap *relations,
                          struct err *err)
{
    struct frame_truncate truncate;
    struct mp_cursor c;
    if (frame_get_truncate(f, &truncate, &c, err))
        return -1;
    for (uint32_t i = 0; i < truncate.nrelids; i++) {
        struct summary_table *t = table(s, relations, mp_u32(&c));
        if (!t)
            return err_nomem(err);
        t->truncates++;
    }
    return 0;
}

static int count_relation(const struct frame *f, struct relmap *relations, struct err *err)
{
    struct relation *rel;
    if (relmap_read(relations, f, &rel, err))
        return -1;
    relation_unref(rel);
    return 0;
}

/* How transactions end. */
static void count_outcome(struct summary *s, enum frame_type type, const union frame_body *body)
{
    switch (type) {
    case FRAME_COMMIT:
    case FRAME_STREAM_COMMIT:
    case FRAME_COMMIT_PREPARED:
        s->committed++;
        return;
    case FRAME_STREAM_ABORT:
        s->rolled_back += body->stream_abort.xid == body->stream_abort.subxid;
        return;
    case FRAME_ROLLBACK_PREPARED:
        s->rolled_back++;
        return;
    default:
        return;
    }
}

static int count_fields(struct summary *s, const struct frame *f, struct err *err)
{
    union frame_body body;
    size_t n;
    const struct frame_field *field = frame_fields(f->type, &n);
    if (frame_get(f, &body, err))
        return -1;
    count_outcome(s, f->type, &body);
    /* A hello's LSNs are of the slot and the server, an origin's is another server's, a copy's is
     * where the server had come to. */
    if (f->type == FRAME_HELLO || f->type == FRAME_ORIGIN || f->type == FRAME_COPY_BEGIN)
        return 0;
    for (; n > 0; n--, field++)
        if (field->kind == FIELD_LSN)
            saw_lsn(s, *(const uint64_t *)frame_field_in(field, &body));
    return 0;
}

static int count_body(struct summary *s, const struct frame *f, struct relmap *relations,
                      struct err *err)
{
    if (f->type == FRAME_TRUNCATE)
        return count_truncate(s, f, relations, err);
    if (frame_is_change(f->type))
        return count_change(s, f, relations, err);
    return f->type == FRAME_RELATION ? count_relation(f, relations, err) : count_fields(s, f, err);
}

int summary_count(struct summary *s, const struct frame *f, struct relmap *relations,
                  struct err *err)
{
    if (count_body(s, f, relations, err))
        return -1;
    s->frames[f->type]++;
    return 0;
}

static json_t *frames_json(const struct summary *s)
{
    struct fields o;
    fields_init(&o);
    char name[FRAME_JSON_TYPE_SIZE];
    for (size_t type = 0; type < sizeof s->frames / sizeof *s->frames; type++)
        if (s->frames[type])
            fields_put_u64(&o, frame_json_type((enum frame_type)type, name), s->frames[type]);
    if (o.failed)
        fields_free(&o);
    return o.json;
}

static json_t *table_json(const struct summary_table *t)
{
    struct fields o;
    fields_init(&o);
    fields_put_u64(&o, "insert", t->inserts);
    fields_put_u64(&o, "update", t->updates);
    fields_put_u64(&o, "delete", t->deletes);
    fields_put_u64(&o, "truncate", t->truncates);
    if (o.failed)
        fields_free(&o);
    return o.json;
}

static json_t *tables_json(const struct summary *s)
{
    struct fields o;
    fields_init(&o);
    for (const struct summary_table *t = s->tables; t; t = t->hh.next) {
        json_t *name = json_name(bytes_of(t->name));
        if (name)
            fields_put(&o, json_string_value(name), table_json(t));
        else
            o.failed = true;
        json_decref(name);
    }
    if (o.failed)
        fields_free(&o);
    return o.json;
}

int summary_json(const struct summary *s, bool complete, struct buf *out, struct err *err)
{
    struct fields o;
    fields_init(&o);
    fields_put_u64(&o, "bytes", s->bytes);
    fields_put_lsn(&o, "first_lsn", s->first_lsn);
    fields_put_lsn(&o, "last_lsn", s->last_lsn);
    fields_put_u64(&o, "committed", s->committed);
    fields_put_u64(&o, "rolled_back", s->rolled_back);
    fields_put(&o, "frames", frames_json(s));
    fields_put(&o, "tables", tables_json(s));
    fields_put_bool(&o, "complete", complete);
    int result = fields_write(&o, out, err);
    fields_free(&o);
    return result;
}

void summary_free(struct summary *s)
{
    struct summary_table *t = s->tables;
    HASH_CLEAR(hh, s->tables); /* the table; the entries stay linked */
    while (t) {
        struct summary_table *next = t->hh.next;
        free(t);
        t = next;
    }
}
