#include "frame_json.h"

#include <stdio.h>
#include <string.h>

#include "base/lsn.h"
#include "change.h"
#include "json_fields.h"

const char *frame_json_type(enum frame_type type, char text[FRAME_JSON_TYPE_SIZE])
{
    (void)snprintf(text, FRAME_JSON_TYPE_SIZE, "%s", frame_type_name(type));
    for (char *p = text; (p = strchr(p, ' '));)
        *p = '_';
    return text;
}

static json_t *relation_name(const struct relation *rel)
{
    struct buf name = {0};
    buf_printf(&name, "%s.%s", rel->namespace, rel->name);
    json_t *json = NULL;
    if (!name.failed)
        json = json_name((struct bytes){(const char *)name.data, name.len});
    buf_free(&name);
    return json;
}

/* `array` takes `value`, and is given up when that fails. */
static json_t *append(json_t *array, json_t *value)
{
    if (json_array_append_new(array, value) == 0)
        return array;
    json_decref(array);
    return NULL;
}

/* ---- H, R, Y ---- */

static int put_hello(struct fields *o, const struct frame *f, struct err *err)
{
    struct frame_hello h;
    if (frame_get_hello(f, &h, err))
        return -1;
    fields_put_u64(o, "format_version", h.format_version);
    fields_put_name(o, "producer", h.producer);
    fields_put_name(o, "producer_version", h.producer_version);
    fields_put_name(o, "system_identifier", h.system_identifier);
    fields_put_u64(o, "timeline", h.timeline);
    fields_put_name(o, "database", h.database);
    fields_put_name(o, "slot", h.slot);
    json_t *publications = json_array();
    for (uint32_t i = 0; i < h.npublications; i++)
        publications = append(publications, json_name(h.publications[i]));
    fields_put(o, "publications", publications);
    fields_put_lsn(o, "start_lsn", h.start_lsn);
    fields_put_bool(o, "slot_created", h.slot_created);
    fields_put_lsn(o, "wal_lsn", h.wal_lsn);
    fields_put_u64(o, "server_version", h.server_version);
    fields_put_u64(o, "protocol_version", h.protocol_version);
    fields_put_name(o, "options", h.options);
    json_t *timelines = json_array();
    for (uint32_t i = 0; i < h.ntimelines; i++)
        timelines = append(timelines,
                           json_pack("{s:I,s:s}", "timeline", (json_int_t)h.timelines[i].timeline,
                                     "end_lsn", LSN(h.timelines[i].end_lsn)));
    fields_put(o, "timelines", timelines);
    return 0;
}

static json_t *fill(const struct column *col)
{
    struct bytes value = {col->fill_value, col->fill_size};
    switch (col->fill) {
    case FILL_NULL:
        return json_null();
    case FILL_UNKNOWN:
        return json_pack("{s:b}", "unknown", 1);
    case FILL_VALUE:
        return col->fill_is_bytes ? json_bytes(value) : json_text(value);
    }
    BUG("unknown kind of fill");
}

static json_t *column(const struct column *col)
{
    struct fields o;
    fields_init(&o);
    fields_put_name(&o, "name", bytes_of(col->name));
    fields_put_u64(&o, "type_oid", col->type_oid);
    fields_put(&o, "typmod", json_integer(col->typmod));
    fields_put_bool(&o, "key", col->key);
    if (col->attnum) {
        fields_put(&o, "attnum", json_integer(col->attnum));
        fields_put_bool(&o, "not_null", col->not_null);
        fields_put_u64(&o, "base_type_oid", col->base_type_oid);
        fields_put_name(&o, "type_name", bytes_of(col->type_name));
    }
    fields_put(&o, "fill", fill(col));
    if (o.failed)
        fields_free(&o);
    return o.json;
}

static const char *replica_identity(char identity)
{
    switch (identity) {
    case REPLICA_IDENTITY_DEFAULT:
        return "default";
    case REPLICA_IDENTITY_NOTHING:
        return "nothing";
    case REPLICA_IDENTITY_FULL:
        return "full";
    case REPLICA_IDENTITY_INDEX:
        return "index";
    default:
        BUG("unknown replica identity");
    }
}

static int put_relation(struct fields *o, const struct frame *f, struct err *err)
{
    struct relation *rel;
    if (relation_from_frame(f, &rel, err))
        return -1;
    fields_put_u64(o, "relid", rel->relid);
    fields_put(o, "relation", relation_name(rel));
    fields_put_name(o, "namespace", bytes_of(rel->namespace));
    fields_put_name(o, "name", bytes_of(rel->name));
    fields_put(o, "replica_identity", json_string(replica_identity(rel->replica_identity)));
    json_t *columns = json_array();
    for (uint32_t i = 0; i < rel->ncolumns; i++)
        columns = append(columns, column(&rel->columns[i]));
    fields_put(o, "columns", columns);
    json_t *key = rel->primary_key_known ? json_array() : json_null();
    for (uint32_t i = 0; i < rel->npk; i++)
        key = append(key, json_name(bytes_of(rel->columns[rel->pk[i]].name)));
    fields_put(o, "primary_key", key);
    relation_unref(rel);
    return 0;
}

static int put_type(struct fields *o, const struct frame *f, struct err *err)
{
    struct frame_type_info y;
    if (frame_get_type(f, &y, err))
        return -1;
    fields_put_u64(o, "oid", y.oid);
    fields_put_name(o, "namespace", y.namespace);
    fields_put_name(o, "name", y.name);
    return 0;
}

/* ---- transactions ---- */

static int put_begin(struct fields *o, const struct frame *f, struct err *err)
{
    struct frame_begin b;
    if (frame_get_begin(f, &b, err))
        return -1;
    fields_put_u64(o, "xid", b.xid);
    fields_put_lsn(o, "final_lsn", b.final_lsn);
    fields_put_time(o, "commit_time", b.commit_time_us);
    return 0;
}

static int put_commit(struct fields *o, const struct frame *f, struct err *err)
{
    struct frame_commit c;
    if (frame_get_commit(f, &c, err))
        return -1;
    fields_put_u64(o, "xid", c.xid);
    fields_put_lsn(o, "commit_lsn", c.commit_lsn);
    fields_put_lsn(o, "end_lsn", c.end_lsn);
    fields_put_time(o, "commit_time", c.commit_time_us);
    fields_put_u64(o, "nchanges", c.nchanges);
    return 0;
}

static int put_stream_start(struct fields *o, const struct frame *f, struct err *err)
{
    struct frame_stream_start s;
    if (frame_get_stream_start(f, &s, err))
        return -1;
    fields_put_u64(o, "xid", s.xid);
    fields_put_bool(o, "first", s.first);
    return 0;
}

static int put_stream_commit(struct fields *o, const struct frame *f, struct err *err)
{
    struct frame_stream_commit c;
    if (frame_get_stream_commit(f, &c, err))
        return -1;
    fields_put_u64(o, "xid", c.xid);
    fields_put_lsn(o, "commit_lsn", c.commit_lsn);
    fields_put_lsn(o, "end_lsn", c.end_lsn);
    fields_put_time(o, "commit_time", c.commit_time_us);
    return 0;
}

static int put_stream_abort(struct fields *o, const struct frame *f, struct err *err)
{
    struct frame_stream_abort a;
    if (frame_get_stream_abort(f, &a, err))
        return -1;
    fields_put_u64(o, "xid", a.xid);
    fields_put_u64(o, "subxid", a.subxid);
    if (a.abort_lsn) {
        fields_put_lsn(o, "abort_lsn", a.abort_lsn);
        fields_put_time(o, "abort_time", a.abort_time_us);
    }
    return 0;
}

static int put_prepare(struct fields *o, const struct frame *f, struct err *err)
{
    struct frame_prepare p;
    if (frame_get_prepare(f, &p, err))
        return -1;
    fields_put_u64(o, "xid", p.xid);
    fields_put_lsn(o, "prepare_lsn", p.prepare_lsn);
    fields_put_lsn(o, "end_lsn", p.end_lsn);
    fields_put_time(o, "prepare_time", p.prepare_time_us);
    fields_put_name(o, "gid", p.gid);
    return 0;
}

static int put_commit_prepared(struct fields *o, const struct frame *f, struct err *err)
{
    struct frame_commit_prepared k;
    if (frame_get_commit_prepared(f, &k, err))
        return -1;
    fields_put_u64(o, "xid", k.xid);
    fields_put_lsn(o, "commit_lsn", k.commit_lsn);
    fields_put_lsn(o, "end_lsn", k.end_lsn);
    fields_put_time(o, "commit_time", k.commit_time_us);
    fields_put_name(o, "gid", k.gid);
    return 0;
}

static int put_rollback_prepared(struct fields *o, const struct frame *f, struct err *err)
{
    struct frame_rollback_prepared r;
    if (frame_get_rollback_prepared(f, &r, err))
        return -1;
    fields_put_u64(o, "xid", r.xid);
    fields_put_lsn(o, "prepare_end_lsn", r.prepare_end_lsn);
    fields_put_lsn(o, "rollback_end_lsn", r.rollback_end_lsn);
    fields_put_time(o, "prepare_time", r.prepare_time_us);
    fields_put_time(o, "rollback_time", r.rollback_time_us);
    fields_put_name(o, "gid", r.gid);
    return 0;
}

/* ---- changes ---- */

/* Without a relation, or with one of another shape: the values in order. */
static json_t *tuple_array(const struct value *values, uint32_t n)
{
    json_t *array = json_array();
    for (uint32_t i = 0; i < n; i++)
        array = append(array, json_value(&values[i]));
    return array;
}

static json_t *tuple_object(const struct relation *rel, const struct value *values, bool key_only)
{
    struct fields o;
    fields_init(&o);
    for (uint32_t i = 0; i < rel->ncolumns; i++) {
        const struct column *col = &rel->columns[i];
        if (key_only && !col->key)
            continue;
        json_t *name = json_name(bytes_of(col->name));
        if (!name) {
            o.failed = true;
            break;
        }
        fields_put(&o, json_string_value(name), json_value(&values[i]));
        json_decref(name);
    }
    if (o.failed)
        fields_free(&o);
    return o.json;
}

static void put_tuple(struct fields *o, const char *key, const struct relation *rel,
                      const struct value *values, uint32_t n, bool key_only)
{
    if (rel && rel->ncolumns == n)
        fields_put(o, key, tuple_object(rel, values, key_only));
    else
        fields_put(o, key, tuple_array(values, n));
}

static int put_change(struct fields *o, const struct frame *f, const struct relations *relations,
                      struct err *err)
{
    struct change c;
    if (change_from_frame(f, &c, err))
        return -1;
    const struct relation *rel = relations_get(relations, c.head.relid);
    fields_put_u64(o, "xid", c.head.xid);
    fields_put_u64(o, "relid", c.head.relid);
    fields_put(o, "relation", rel ? relation_name(rel) : json_null());
    if (c.has_old && c.head.old_kind == 'K')
        put_tuple(o, "key", rel, c.old, c.n, true);
    else if (c.has_old)
        put_tuple(o, "old", rel, c.old, c.n, false);
    if (c.has_new)
        put_tuple(o, "new", rel, c.new, c.n, false);
    return 0;
}

static int put_truncate(struct fields *o, const struct frame *f, const struct relations *relations,
                        struct err *err)
{
    struct frame_truncate t;
    struct mp_cursor c;
    if (frame_get_truncate(f, &t, &c, err))
        return -1;
    json_t *relids = json_array(), *names = json_array();
    for (uint32_t i = 0; i < t.nrelids; i++) {
        uint32_t relid = mp_u32(&c);
        const struct relation *rel = relations_get(relations, relid);
        relids = append(relids, json_u64(relid));
        names = append(names, rel ? relation_name(rel) : json_null());
    }
    fields_put_u64(o, "xid", t.xid);
    fields_put(o, "relids", relids);
    fields_put(o, "relations", names);
    fields_put_bool(o, "cascade", t.cascade);
    fields_put_bool(o, "restart_identity", t.restart_identity);
    return 0;
}

/* ---- the rest ---- */

static int put_origin(struct fields *o, const struct frame *f, struct err *err)
{
    struct frame_origin origin;
    if (frame_get_origin(f, &origin, err))
        return -1;
    fields_put_lsn(o, "commit_lsn", origin.commit_lsn);
    fields_put_name(o, "name", origin.name);
    return 0;
}

static int put_message(struct fields *o, const struct frame *f, struct err *err)
{
    struct frame_message m;
    if (frame_get_message(f, &m, err))
        return -1;
    fields_put_bool(o, "transactional", m.transactional);
    fields_put_u64(o, "xid", m.xid);
    fields_put_lsn(o, "lsn", m.lsn);
    fields_put_name(o, "prefix", m.prefix);
    fields_put(o, "content", json_bytes(m.content));
    return 0;
}

static int put_progress(struct fields *o, const struct frame *f, struct err *err)
{
    struct frame_progress k;
    if (frame_get_progress(f, &k, err))
        return -1;
    fields_put_lsn(o, "lsn", k.lsn);
    fields_put_time(o, "server_time", k.server_time_us);
    return 0;
}

static int put_end(struct fields *o, const struct frame *f, struct err *err)
{
    struct frame_end z;
    if (frame_get_end(f, &z, err))
        return -1;
    fields_put_name(o, "why", z.why);
    fields_put_lsn(o, "last_lsn", z.last_lsn);
    return 0;
}

static int put_body(struct fields *o, const struct frame *f, const struct relations *relations,
                    struct err *err)
{
    switch (f->type) {
    case FRAME_HELLO:
        return put_hello(o, f, err);
    case FRAME_RELATION:
        return put_relation(o, f, err);
    case FRAME_TYPE:
        return put_type(o, f, err);
    case FRAME_BEGIN:
        return put_begin(o, f, err);
    case FRAME_INSERT:
    case FRAME_UPDATE:
    case FRAME_DELETE:
        return put_change(o, f, relations, err);
    case FRAME_TRUNCATE:
        return put_truncate(o, f, relations, err);
    case FRAME_COMMIT:
        return put_commit(o, f, err);
    case FRAME_STREAM_START:
        return put_stream_start(o, f, err);
    case FRAME_STREAM_STOP:
        return frame_get_stream_stop(f, err);
    case FRAME_STREAM_COMMIT:
        return put_stream_commit(o, f, err);
    case FRAME_STREAM_ABORT:
        return put_stream_abort(o, f, err);
    case FRAME_BEGIN_PREPARE:
    case FRAME_PREPARE:
    case FRAME_STREAM_PREPARE:
        return put_prepare(o, f, err);
    case FRAME_COMMIT_PREPARED:
        return put_commit_prepared(o, f, err);
    case FRAME_ROLLBACK_PREPARED:
        return put_rollback_prepared(o, f, err);
    case FRAME_ORIGIN:
        return put_origin(o, f, err);
    case FRAME_MESSAGE:
        return put_message(o, f, err);
    case FRAME_PROGRESS:
        return put_progress(o, f, err);
    case FRAME_END:
        return put_end(o, f, err);
    }
    BUG("unknown type of frame");
}

int frame_json(const struct frame *f, uint64_t offset, const struct relations *relations,
               struct buf *out, struct err *err)
{
    char type[FRAME_JSON_TYPE_SIZE];
    struct fields o;
    fields_init(&o);
    fields_put(&o, "type", json_string(frame_json_type(f->type, type)));
    fields_put_u64(&o, "offset", offset);
    int result = put_body(&o, f, relations, err);
    if (result == 0)
        result = fields_write(&o, out, err);
    fields_free(&o);
    return result;
}
