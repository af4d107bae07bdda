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

/* ---- what most types are ---- */

static json_t *publications(const struct frame_hello *h)
{
    json_t *names = json_array();
    for (uint32_t i = 0; i < h->npublications; i++)
        names = append(names, json_name(h->publications[i]));
    return names;
}

static json_t *timelines(const struct frame_hello *h)
{
    json_t *list = json_array();
    for (uint32_t i = 0; i < h->ntimelines; i++)
        list = append(list, json_pack("{s:I,s:s}", "timeline", (json_int_t)h->timelines[i].timeline,
                                      "end_lsn", LSN(h->timelines[i].end_lsn)));
    return list;
}

static void put_field(struct fields *o, const struct frame_field *field, const void *from)
{
    const void *at = frame_field_in(field, from);
    switch (field->kind) {
    case FIELD_U32:
        fields_put_u64(o, field->name, *(const uint32_t *)at);
        return;
    case FIELD_U64:
        fields_put_u64(o, field->name, *(const uint64_t *)at);
        return;
    case FIELD_LSN:
        fields_put_lsn(o, field->name, *(const uint64_t *)at);
        return;
    case FIELD_TIME:
        fields_put_time(o, field->name, *(const int64_t *)at);
        return;
    case FIELD_BOOL:
        fields_put_bool(o, field->name, *(const bool *)at);
        return;
    case FIELD_STR:
        fields_put_name(o, field->name, *(const struct bytes *)at);
        return;
    case FIELD_BIN:
        fields_put(o, field->name, json_bytes(*(const struct bytes *)at));
        return;
    case FIELD_PUBLICATIONS:
        fields_put(o, field->name, publications(from));
        return;
    case FIELD_TIMELINES:
        fields_put(o, field->name, timelines(from));
        return;
    case FIELD_RELIDS:
    case FIELD_OLD_KIND:
        break;
    }
    BUG("a field that is not shown by itself");
}

static int put_fields(struct fields *o, const struct frame *f, struct err *err)
{
    union frame_body body;
    size_t n;
    const struct frame_field *field = frame_fields(f->type, &n);
    if (frame_get(f, &body, err))
        return -1;
    /* Only where streaming is parallel does PostgreSQL say where and when a stream was aborted. */
    bool unplaced = f->type == FRAME_STREAM_ABORT && body.stream_abort.abort_lsn == 0;
    for (; n > 0; n--, field++)
        if (!unplaced || (field->kind != FIELD_LSN && field->kind != FIELD_TIME))
            put_field(o, field, &body);
    return 0;
}

/* ---- R ---- */

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

static json_t *texts(uint32_t n, const char *const *list)
{
    json_t *array = json_array();
    for (uint32_t i = 0; i < n; i++)
        array = append(array, json_text(bytes_of(list[i])));
    return array;
}

static json_t *file(const struct relation_file *f)
{
    struct fields o;
    fields_init(&o);
    fields_put_u64(&o, "relid", f->relid);
    fields_put_u64(&o, "relfilenode", f->node);
    fields_put_u64(&o, "reltoastrelid", f->toast);
    fields_put_name(&o, "relpersistence", (struct bytes){&f->persistence, 1});
    if (o.failed)
        fields_free(&o);
    return o.json;
}

static void put_catalog(struct fields *o, const struct relation *rel)
{
    fields_put_name(o, "attributes", bytes_of(rel->attributes));
    json_t *files = json_array();
    for (uint32_t i = 0; i < rel->nfiles; i++)
        files = append(files, file(&rel->files[i]));
    fields_put(o, "files", files);
    fields_put(o, "memberships", texts(rel->nmemberships, rel->memberships));
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
    if (col->ntype_parts > 0)
        fields_put(&o, "type_parts", texts(col->ntype_parts, col->type_parts));
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
    case REPLICA_IDENTITY_PARTITION:
        return "partition";
    default:
        BUG("unknown replica identity");
    }
}

static int put_relation(struct fields *o, const struct frame *f, struct relmap *relations,
                        struct err *err)
{
    struct relation *rel;
    if (relmap_read(relations, f, &rel, err))
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
    if (rel->attributes)
        put_catalog(o, rel);
    relation_unref(rel);
    return 0;
}

/* ---- changes ---- */

/* Without a relation: the values in order. */
static json_t *tuple_array(const struct value *values, uint32_t n)
{
    json_t *array = json_array();
    for (uint32_t i = 0; i < n; i++)
        array = append(array, json_value(&values[i]));
    return array;
}

/* `part`: only the columns that were sent. */
static json_t *tuple_object(const struct relation *rel, const struct value *values, bool part)
{
    struct fields o;
    fields_init(&o);
    for (uint32_t i = 0; i < rel->ncolumns; i++) {
        const struct column *col = &rel->columns[i];
        if (part && (relation_has_partitions(rel) ? values[i].kind == VALUE_NULL : !col->key))
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
                      const struct value *values, uint32_t n, bool part)
{
    if (rel)
        fields_put(o, key, tuple_object(rel, values, part));
    else
        fields_put(o, key, tuple_array(values, n));
}

static int put_change(struct fields *o, const struct frame *f, struct relmap *relations,
                      struct err *err)
{
    struct change c;
    size_t n;
    const struct frame_field *field = frame_fields(f->type, &n);
    if (change_from_frame(f, relations, &c, err))
        return -1;
    const struct relation *rel = relmap_get(relations, c.head.relid);
    for (; n > 0; n--, field++)
        if (field->kind != FIELD_OLD_KIND) /* what the old tuple is called says it */
            put_field(o, field, &c.head);
    fields_put(o, "relation", rel ? relation_name(rel) : json_null());
    const bool part = (rel && relation_has_partitions(rel)) || c.head.old_kind == 'K';
    if (c.has_old)
        put_tuple(o, part ? "key" : "old", rel, c.old, c.n, part);
    if (c.has_new)
        put_tuple(o, "new", rel, c.new, c.n, false);
    return 0;
}

static void put_relids(struct fields *o, const char *key, uint32_t n, struct mp_cursor *c,
                       struct relmap *relations)
{
    json_t *relids = json_array(), *names = json_array();
    for (uint32_t i = 0; i < n; i++) {
        uint32_t relid = mp_u32(c);
        const struct relation *rel = relmap_get(relations, relid);
        relids = append(relids, json_u64(relid));
        names = append(names, rel ? relation_name(rel) : json_null());
    }
    fields_put(o, key, relids);
    fields_put(o, "relations", names);
}

static int put_truncate(struct fields *o, const struct frame *f, struct relmap *relations,
                        struct err *err)
{
    struct frame_truncate t;
    struct mp_cursor c;
    size_t n;
    const struct frame_field *field = frame_fields(f->type, &n);
    if (frame_get_truncate(f, &t, &c, err))
        return -1;
    for (; n > 0; n--, field++)
        if (field->kind == FIELD_RELIDS)
            put_relids(o, field->name, t.nrelids, &c, relations);
        else
            put_field(o, field, &t);
    return 0;
}

static int put_body(struct fields *o, const struct frame *f, struct relmap *relations,
                    struct err *err)
{
    switch (f->type) {
    case FRAME_RELATION:
        return put_relation(o, f, relations, err);
    case FRAME_INSERT:
    case FRAME_UPDATE:
    case FRAME_DELETE:
        return put_change(o, f, relations, err);
    case FRAME_TRUNCATE:
        return put_truncate(o, f, relations, err);
    default:
        return put_fields(o, f, err);
    }
}

int frame_json(const struct frame *f, uint64_t offset, struct relmap *relations, struct buf *out,
               struct err *err)
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
