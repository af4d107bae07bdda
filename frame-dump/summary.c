#include "summary.h"

#include <stdlib.h>
#include <string.h>

#define HASH_NONFATAL_OOM 1 /* a failed insertion leaves hh.tbl NULL */
#include <uthash.h>

#include "change.h"
#include "frame_json.h"
#include "json_fields.h"

/* By name, because a table that is made again has a new relid; by number where no R named it. */
struct summary_table {
    UT_hash_handle hh;
    uint64_t inserts, updates, deletes, truncates;
    char name[];
};

static struct summary_table *table(struct summary *s, const struct relations *relations,
                                   uint32_t relid)
{
    struct buf name = {0};
    const struct relation *rel = relations_get(relations, relid);
    if (rel)
        buf_printf(&name, "%s.%s", rel->namespace, rel->name);
    else
        buf_printf(&name, "relid %u", relid);
    const char *text = buf_cstr(&name);
    struct summary_table *t = NULL;
    if (!name.failed) {
        HASH_FIND_STR(s->tables, text, t);
        if (!t && (t = calloc(1, sizeof *t + name.len + 1))) {
            memcpy(t->name, text, name.len);
            HASH_ADD_STR(s->tables, name, t);
            if (!t->hh.tbl) {
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

static int count_change(struct summary *s, const struct frame *f, const struct relations *relations,
                        struct err *err)
{
    struct change c;
    if (change_from_frame(f, &c, err))
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

static int count_truncate(struct summary *s, const struct frame *f,
                          const struct relations *relations, struct err *err)
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

static int count_relation(const struct frame *f, struct err *err)
{
    struct relation *rel;
    if (relation_from_frame(f, &rel, err))
        return -1;
    relation_unref(rel);
    return 0;
}

static int count_body(struct summary *s, const struct frame *f, const struct relations *relations,
                      struct err *err)
{
    union {
        struct frame_hello hello;
        struct frame_type_info type;
        struct frame_begin begin;
        struct frame_commit commit;
        struct frame_stream_start stream_start;
        struct frame_stream_commit stream_commit;
        struct frame_stream_abort stream_abort;
        struct frame_prepare prepare;
        struct frame_commit_prepared commit_prepared;
        struct frame_rollback_prepared rollback_prepared;
        struct frame_origin origin;
        struct frame_message message;
        struct frame_progress progress;
        struct frame_end end;
    } u;
    switch (f->type) {
    case FRAME_HELLO:
        return frame_get_hello(f, &u.hello, err);
    case FRAME_RELATION:
        return count_relation(f, err);
    case FRAME_TYPE:
        return frame_get_type(f, &u.type, err);
    case FRAME_BEGIN:
        if (frame_get_begin(f, &u.begin, err))
            return -1;
        saw_lsn(s, u.begin.final_lsn);
        return 0;
    case FRAME_INSERT:
    case FRAME_UPDATE:
    case FRAME_DELETE:
        return count_change(s, f, relations, err);
    case FRAME_TRUNCATE:
        return count_truncate(s, f, relations, err);
    case FRAME_COMMIT:
        if (frame_get_commit(f, &u.commit, err))
            return -1;
        s->committed++;
        saw_lsn(s, u.commit.commit_lsn);
        saw_lsn(s, u.commit.end_lsn);
        return 0;
    case FRAME_STREAM_START:
        return frame_get_stream_start(f, &u.stream_start, err);
    case FRAME_STREAM_STOP:
        return frame_get_stream_stop(f, err);
    case FRAME_STREAM_COMMIT:
        if (frame_get_stream_commit(f, &u.stream_commit, err))
            return -1;
        s->committed++;
        saw_lsn(s, u.stream_commit.commit_lsn);
        saw_lsn(s, u.stream_commit.end_lsn);
        return 0;
    case FRAME_STREAM_ABORT:
        if (frame_get_stream_abort(f, &u.stream_abort, err))
            return -1;
        s->rolled_back += u.stream_abort.xid == u.stream_abort.subxid;
        saw_lsn(s, u.stream_abort.abort_lsn);
        return 0;
    case FRAME_BEGIN_PREPARE:
    case FRAME_PREPARE:
    case FRAME_STREAM_PREPARE:
        if (frame_get_prepare(f, &u.prepare, err))
            return -1;
        saw_lsn(s, u.prepare.prepare_lsn);
        saw_lsn(s, u.prepare.end_lsn);
        return 0;
    case FRAME_COMMIT_PREPARED:
        if (frame_get_commit_prepared(f, &u.commit_prepared, err))
            return -1;
        s->committed++;
        saw_lsn(s, u.commit_prepared.commit_lsn);
        saw_lsn(s, u.commit_prepared.end_lsn);
        return 0;
    case FRAME_ROLLBACK_PREPARED:
        if (frame_get_rollback_prepared(f, &u.rollback_prepared, err))
            return -1;
        s->rolled_back++;
        saw_lsn(s, u.rollback_prepared.prepare_end_lsn);
        saw_lsn(s, u.rollback_prepared.rollback_end_lsn);
        return 0;
    case FRAME_ORIGIN:
        return frame_get_origin(f, &u.origin, err);
    case FRAME_MESSAGE:
        if (frame_get_message(f, &u.message, err))
            return -1;
        saw_lsn(s, u.message.lsn);
        return 0;
    case FRAME_PROGRESS:
        if (frame_get_progress(f, &u.progress, err))
            return -1;
        saw_lsn(s, u.progress.lsn);
        return 0;
    case FRAME_END:
        if (frame_get_end(f, &u.end, err))
            return -1;
        saw_lsn(s, u.end.last_lsn);
        return 0;
    }
    BUG("unknown type of frame");
}

int summary_count(struct summary *s, const struct frame *f, const struct relations *relations,
                  struct err *err)
{
    if (count_body(s, f, relations, err))
        return -1;
    s->frames[f->type]++;
    s->bytes += frame_length(f);
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
