#include "frames/frame.h"

#include <string.h>

#include "base/lsn.h"
#include "frames/frame_writer.h"

/* More than any server writes in the time. */
#define VERSION_1_WAL_WHILE_SLOT_IS_MADE (UINT64_C(1) << 38)

#define LENGTH(a) (sizeof(a) / sizeof *(a))

/* Where the field is known when it is compiled, what becomes of it is decided then, so that a table
 * costs a change nothing. */
#define AS_WRITTEN_OUT static inline __attribute__((always_inline))

/* ---- what each type holds ---- */

/* Where a member is in its struct: they compile only where it has the type that the kind of field
 * asks for. */
#define OF(in, member)      (((struct in *)0)->member)
#define AT_U32(in, member)  _Generic(OF(in, member), uint32_t : offsetof(struct in, member))
#define AT_U64(in, member)  _Generic(OF(in, member), uint64_t : offsetof(struct in, member))
#define AT_TIME(in, member) _Generic(OF(in, member), int64_t : offsetof(struct in, member))
#define AT_BOOL(in, member) _Generic(OF(in, member), bool : offsetof(struct in, member))
#define AT_CHAR(in, member) _Generic(OF(in, member), char : offsetof(struct in, member))
#define AT_STR(in, member)  _Generic(OF(in, member), struct bytes : offsetof(struct in, member))
#define AT_LSN(in, member)  AT_U64(in, member)
#define AT_BIN(in, member)  AT_STR(in, member)

/* A field that is called as the member of the struct is. */
#define FIELD(in, member, kind) #member, FIELD_##kind, AT_##kind(in, member)
/* A time: the member's name says the unit, too. */
#define TIMED(in, member) #member, FIELD_TIME, AT_TIME(in, member##_us)

/* A field a line. */
/* clang-format off */

static const struct frame_field hello_fields[] = {
    {FIELD(frame_hello, format_version, U32)},
    {FIELD(frame_hello, producer, STR)},
    {FIELD(frame_hello, producer_version, STR)},
    {FIELD(frame_hello, system_identifier, STR)},
    {FIELD(frame_hello, timeline, U32)},
    {FIELD(frame_hello, database, STR)},
    {FIELD(frame_hello, slot, STR)},
    {"publications", FIELD_PUBLICATIONS, AT_U32(frame_hello, npublications)},
    {FIELD(frame_hello, start_lsn, LSN)},
    {FIELD(frame_hello, slot_created, BOOL)},
    {FIELD(frame_hello, wal_lsn, LSN)},
    {FIELD(frame_hello, server_version, U32)},
    {FIELD(frame_hello, protocol_version, U32)},
    {FIELD(frame_hello, options, STR)},
    {"timelines", FIELD_TIMELINES, AT_U32(frame_hello, ntimelines)},
};

static const struct frame_field type_fields[] = {
    {FIELD(frame_type_info, oid, U32)},
    {FIELD(frame_type_info, namespace, STR)},
    {FIELD(frame_type_info, name, STR)},
};

static const struct frame_field begin_fields[] = {
    {FIELD(frame_begin, xid, U32)},
    {FIELD(frame_begin, final_lsn, LSN)},
    {TIMED(frame_begin, commit_time)},
};

/* Of I, U and D: what stands before the tuples. */
static const struct frame_field change_fields[] = {
    {FIELD(frame_change, xid, U32)},
    {FIELD(frame_change, relid, U32)},
    {NULL, FIELD_OLD_KIND, AT_CHAR(frame_change, old_kind)},
};

static const struct frame_field truncate_fields[] = {
    {FIELD(frame_truncate, xid, U32)},
    {"relids", FIELD_RELIDS, AT_U32(frame_truncate, nrelids)},
    {FIELD(frame_truncate, cascade, BOOL)},
    {FIELD(frame_truncate, restart_identity, BOOL)},
};

static const struct frame_field commit_fields[] = {
    {FIELD(frame_commit, xid, U32)},
    {FIELD(frame_commit, commit_lsn, LSN)},
    {FIELD(frame_commit, end_lsn, LSN)},
    {TIMED(frame_commit, commit_time)},
    {FIELD(frame_commit, nchanges, U64)},
};

static const struct frame_field stream_start_fields[] = {
    {FIELD(frame_stream_start, xid, U32)},
    {FIELD(frame_stream_start, first, BOOL)},
};

static const struct frame_field stream_commit_fields[] = {
    {FIELD(frame_stream_commit, xid, U32)},
    {FIELD(frame_stream_commit, commit_lsn, LSN)},
    {FIELD(frame_stream_commit, end_lsn, LSN)},
    {TIMED(frame_stream_commit, commit_time)},
};

static const struct frame_field stream_abort_fields[] = {
    {FIELD(frame_stream_abort, xid, U32)},
    {FIELD(frame_stream_abort, subxid, U32)},
    {FIELD(frame_stream_abort, abort_lsn, LSN)},
    {TIMED(frame_stream_abort, abort_time)},
};

static const struct frame_field prepare_fields[] = {
    {FIELD(frame_prepare, xid, U32)},
    {FIELD(frame_prepare, prepare_lsn, LSN)},
    {FIELD(frame_prepare, end_lsn, LSN)},
    {TIMED(frame_prepare, prepare_time)},
    {FIELD(frame_prepare, gid, STR)},
};

static const struct frame_field commit_prepared_fields[] = {
    {FIELD(frame_commit_prepared, xid, U32)},
    {FIELD(frame_commit_prepared, commit_lsn, LSN)},
    {FIELD(frame_commit_prepared, end_lsn, LSN)},
    {TIMED(frame_commit_prepared, commit_time)},
    {FIELD(frame_commit_prepared, gid, STR)},
};

static const struct frame_field rollback_prepared_fields[] = {
    {FIELD(frame_rollback_prepared, xid, U32)},
    {FIELD(frame_rollback_prepared, prepare_end_lsn, LSN)},
    {FIELD(frame_rollback_prepared, rollback_end_lsn, LSN)},
    {TIMED(frame_rollback_prepared, prepare_time)},
    {TIMED(frame_rollback_prepared, rollback_time)},
    {FIELD(frame_rollback_prepared, gid, STR)},
};

static const struct frame_field origin_fields[] = {
    {FIELD(frame_origin, commit_lsn, LSN)},
    {FIELD(frame_origin, name, STR)},
};

static const struct frame_field message_fields[] = {
    {FIELD(frame_message, transactional, BOOL)},
    {FIELD(frame_message, xid, U32)},
    {FIELD(frame_message, lsn, LSN)},
    {FIELD(frame_message, prefix, STR)},
    {FIELD(frame_message, content, BIN)},
};

static const struct frame_field progress_fields[] = {
    {FIELD(frame_progress, lsn, LSN)},
    {TIMED(frame_progress, server_time)},
};

static const struct frame_field copy_due_fields[] = {
    {FIELD(frame_copy_due, relid, U32)},
};

static const struct frame_field copy_begin_fields[] = {
    {FIELD(frame_copy_begin, relid, U32)},
    {FIELD(frame_copy_begin, chunk, U32)},
    {FIELD(frame_copy_begin, lsn, LSN)},
    {FIELD(frame_copy_begin, snapshot, STR)},
};

static const struct frame_field copy_end_fields[] = {
    {FIELD(frame_copy_end, relid, U32)},
    {FIELD(frame_copy_end, nrows, U64)},
    {FIELD(frame_copy_end, next, STR)},
    {FIELD(frame_copy_end, indexes, STR)},
};

static const struct frame_field end_fields[] = {
    {FIELD(frame_end, why, STR)},
    {FIELD(frame_end, last_lsn, LSN)},
};

/* clang-format on */

#define FIELDS(of) of##_fields, LENGTH(of##_fields)

static const struct {
    const struct frame_field *fields;
    size_t nfields;
} types[] = {
    [FRAME_HELLO] = {FIELDS(hello)},
    [FRAME_TYPE] = {FIELDS(type)},
    [FRAME_BEGIN] = {FIELDS(begin)},
    [FRAME_INSERT] = {FIELDS(change)},
    [FRAME_UPDATE] = {FIELDS(change)},
    [FRAME_DELETE] = {FIELDS(change)},
    [FRAME_TRUNCATE] = {FIELDS(truncate)},
    [FRAME_COMMIT] = {FIELDS(commit)},
    [FRAME_STREAM_START] = {FIELDS(stream_start)},
    [FRAME_STREAM_COMMIT] = {FIELDS(stream_commit)},
    [FRAME_STREAM_ABORT] = {FIELDS(stream_abort)},
    [FRAME_BEGIN_PREPARE] = {FIELDS(prepare)},
    [FRAME_PREPARE] = {FIELDS(prepare)},
    [FRAME_COMMIT_PREPARED] = {FIELDS(commit_prepared)},
    [FRAME_ROLLBACK_PREPARED] = {FIELDS(rollback_prepared)},
    [FRAME_STREAM_PREPARE] = {FIELDS(prepare)},
    [FRAME_ORIGIN] = {FIELDS(origin)},
    [FRAME_MESSAGE] = {FIELDS(message)},
    [FRAME_PROGRESS] = {FIELDS(progress)},
    [FRAME_COPY_DUE] = {FIELDS(copy_due)},
    [FRAME_COPY_BEGIN] = {FIELDS(copy_begin)},
    [FRAME_COPY_END] = {FIELDS(copy_end)},
    [FRAME_END] = {FIELDS(end)},
};

const struct frame_field *frame_fields(enum frame_type type, size_t *n)
{
    *n = types[type].nfields;
    return types[type].fields;
}

/* ---- fields to bytes ---- */

/* What the buffer remembers need not be looked at. */
#define PACK(call) ((void)(call))

static inline void put_u64(struct frame_writer *w, uint64_t v)
{
    PACK(msgpack_pack_uint64(&w->pk, v));
}

static void put_publications(struct frame_writer *w, const struct frame_hello *h)
{
    PACK(msgpack_pack_array(&w->pk, h->npublications));
    for (uint32_t i = 0; i < h->npublications; i++)
        frame_pack_bytes_as_str(w, h->publications[i].data, h->publications[i].size);
}

static void put_timelines(struct frame_writer *w, const struct frame_hello *h)
{
    PACK(msgpack_pack_array(&w->pk, h->ntimelines));
    for (uint32_t i = 0; i < h->ntimelines; i++) {
        PACK(msgpack_pack_array(&w->pk, 2));
        put_u64(w, h->timelines[i].timeline);
        put_u64(w, h->timelines[i].end_lsn);
    }
}

static inline void put_old_kind(struct frame_writer *w, char kind)
{
    if (kind)
        frame_pack_bytes_as_str(w, &kind, 1);
    else
        PACK(msgpack_pack_nil(&w->pk));
}

AS_WRITTEN_OUT void put_field(struct frame_writer *w, const struct frame_field *field,
                              const void *from)
{
    const void *at = frame_field_in(field, from);
    const struct bytes *b = at;
    switch (field->kind) {
    case FIELD_U32:
        put_u64(w, *(const uint32_t *)at);
        return;
    case FIELD_U64:
    case FIELD_LSN:
        put_u64(w, *(const uint64_t *)at);
        return;
    case FIELD_TIME:
        PACK(msgpack_pack_int64(&w->pk, *(const int64_t *)at));
        return;
    case FIELD_BOOL:
        frame_pack_bool(w, *(const bool *)at);
        return;
    case FIELD_STR:
        frame_pack_bytes_as_str(w, b->data, b->size);
        return;
    case FIELD_BIN:
        frame_pack_bin(w, b->data, b->size);
        return;
    case FIELD_OLD_KIND:
        put_old_kind(w, *(const char *)at);
        return;
    case FIELD_PUBLICATIONS:
        put_publications(w, from);
        return;
    case FIELD_TIMELINES:
        put_timelines(w, from);
        return;
    case FIELD_RELIDS:
        break;
    }
    BUG("a field that is not put by itself");
}

static void put_fields(struct buf *out, enum frame_type type, const void *from)
{
    struct frame_writer w;
    frame_open(&w, out, type);
    for (size_t i = 0; i < types[type].nfields; i++)
        put_field(&w, &types[type].fields[i], from);
    frame_close(&w);
}

/* ---- bytes to fields ---- */

static struct mp_cursor body(const struct frame *f)
{
    return mp_cursor(f->body, f->size);
}

static int frame_end(const struct frame *f, const struct mp_cursor *c, struct err *err)
{
    if (mp_end(c, frame_type_name(f->type), err))
        return err_context(err, "malformed frame");
    return 0;
}

static void get_publications(struct mp_cursor *c, struct frame_hello *h)
{
    h->npublications = mp_array(c);
    if (h->npublications > FRAME_MAX_PUBLICATIONS)
        mp_fault(c, "too many publications");
    for (uint32_t i = 0; !c->fault && i < h->npublications; i++)
        h->publications[i] = mp_str(c);
}

static void get_timelines(struct mp_cursor *c, struct frame_hello *h)
{
    h->ntimelines = mp_array(c);
    if (h->ntimelines > FRAME_MAX_TIMELINES)
        mp_fault(c, "too many timelines");
    for (uint32_t i = 0; !c->fault && i < h->ntimelines; i++) {
        if (mp_array(c) != 2)
            mp_fault(c, "a timeline that is not an array of 2");
        h->timelines[i].timeline = mp_u32(c);
        h->timelines[i].end_lsn = mp_u64(c);
    }
}

static inline char get_old_kind(struct mp_cursor *c)
{
    if (mp_nil(c))
        return 0;
    struct bytes kind = mp_str(c);
    if (kind.size == 1 && (*kind.data == 'K' || *kind.data == 'O'))
        return *kind.data;
    mp_fault(c, "the kind of the old tuple is neither K nor O");
    return 0;
}

AS_WRITTEN_OUT void get_field(struct mp_cursor *c, const struct frame_field *field, void *to)
{
    void *at = (char *)to + field->offset;
    switch (field->kind) {
    case FIELD_U32:
        *(uint32_t *)at = mp_u32(c);
        return;
    case FIELD_U64:
    case FIELD_LSN:
        *(uint64_t *)at = mp_u64(c);
        return;
    case FIELD_TIME:
        *(int64_t *)at = mp_i64(c);
        return;
    case FIELD_BOOL:
        *(bool *)at = mp_bool(c);
        return;
    case FIELD_STR:
        *(struct bytes *)at = mp_str(c);
        return;
    case FIELD_BIN:
        *(struct bytes *)at = mp_bin(c);
        return;
    case FIELD_OLD_KIND:
        *(char *)at = get_old_kind(c);
        return;
    case FIELD_PUBLICATIONS:
        get_publications(c, to);
        return;
    case FIELD_TIMELINES:
        get_timelines(c, to);
        return;
    case FIELD_RELIDS:
        break;
    }
    BUG("a field that is not read by itself");
}

static int get_fields(const struct frame *f, enum frame_type type, void *to, struct err *err)
{
    struct mp_cursor c = body(f);
    for (size_t i = 0; i < types[type].nfields; i++)
        get_field(&c, &types[type].fields[i], to);
    return frame_end(f, &c, err);
}

struct bytes bytes_of(const char *s)
{
    return (struct bytes){s, strlen(s)};
}

/* ---- a function for each type ---- */

/* The structs are what the tables of their types were made for. */
#define PUT(name, struct_name, type)                                                               \
    void frame_put_##name(struct buf *out, const struct struct_name *from)                         \
    {                                                                                              \
        put_fields(out, type, from);                                                               \
    }

#define GET(name, struct_name, type)                                                               \
    int frame_get_##name(const struct frame *f, struct struct_name *to, struct err *err)           \
    {                                                                                              \
        return get_fields(f, type, to, err);                                                       \
    }

#define PUT_AND_GET(name, struct_name, type)                                                       \
    PUT(name, struct_name, type)                                                                   \
    GET(name, struct_name, type)

/*
 * The slot was confirmed up to the start LSN, so the server had written that much. Captures that
 * wrote version 1 asked for the WAL LSN before they made a slot, which waits for running
 * transactions.
 */
static int check_start(const struct frame_hello *h, struct err *err)
{
    uint64_t meanwhile =
        h->format_version == 1 && h->slot_created ? VERSION_1_WAL_WHILE_SLOT_IS_MADE : 0;
    if (h->start_lsn <= h->wal_lsn || h->start_lsn - h->wal_lsn <= meanwhile)
        return 0;
    return err_set(err, ERR_PERMANENT,
                   "malformed frame: hello: the start LSN %s is beyond the server's WAL, which "
                   "ended at %s",
                   LSN(h->start_lsn), LSN(h->wal_lsn));
}

int frame_get_hello(const struct frame *f, struct frame_hello *h, struct err *err)
{
    struct mp_cursor c = body(f);
    uint32_t version = mp_u32(&c);
    /* What follows the version may look different in another version. */
    if (!c.fault && (version < FRAME_FORMAT_OLDEST || version > FRAME_FORMAT_VERSION))
        return err_set(err, ERR_PERMANENT,
                       "the input has frame format version %u; this program reads versions %d to "
                       "%d",
                       version, FRAME_FORMAT_OLDEST, FRAME_FORMAT_VERSION);
    return get_fields(f, FRAME_HELLO, h, err) ? -1 : check_start(h, err);
}

void frame_put_stream_stop(struct buf *out)
{
    put_fields(out, FRAME_STREAM_STOP, NULL);
}

int frame_get_stream_stop(const struct frame *f, struct err *err)
{
    return get_fields(f, FRAME_STREAM_STOP, NULL, err);
}

void frame_put_prepare(struct buf *out, enum frame_type type, const struct frame_prepare *p)
{
    put_fields(out, type, p);
}

PUT(hello, frame_hello, FRAME_HELLO)
PUT_AND_GET(type, frame_type_info, FRAME_TYPE)
PUT_AND_GET(begin, frame_begin, FRAME_BEGIN)
PUT_AND_GET(commit, frame_commit, FRAME_COMMIT)
PUT_AND_GET(stream_start, frame_stream_start, FRAME_STREAM_START)
PUT_AND_GET(stream_commit, frame_stream_commit, FRAME_STREAM_COMMIT)
PUT_AND_GET(stream_abort, frame_stream_abort, FRAME_STREAM_ABORT)
PUT_AND_GET(commit_prepared, frame_commit_prepared, FRAME_COMMIT_PREPARED)
PUT_AND_GET(rollback_prepared, frame_rollback_prepared, FRAME_ROLLBACK_PREPARED)
PUT_AND_GET(origin, frame_origin, FRAME_ORIGIN)
PUT_AND_GET(message, frame_message, FRAME_MESSAGE)
PUT_AND_GET(progress, frame_progress, FRAME_PROGRESS)
PUT_AND_GET(copy_due, frame_copy_due, FRAME_COPY_DUE)
PUT_AND_GET(copy_begin, frame_copy_begin, FRAME_COPY_BEGIN)
PUT_AND_GET(copy_end, frame_copy_end, FRAME_COPY_END)
PUT_AND_GET(end, frame_end, FRAME_END)
GET(prepare, frame_prepare, FRAME_PREPARE)

static void check_is_a_struct(enum frame_type type)
{
    if (type == FRAME_RELATION || frame_is_change(type))
        BUG("a frame that is more than the fields of a struct");
}

void frame_put(struct buf *out, enum frame_type type, const union frame_body *from)
{
    check_is_a_struct(type);
    put_fields(out, type, from);
}

int frame_get(const struct frame *f, union frame_body *to, struct err *err)
{
    check_is_a_struct(f->type);
    return f->type == FRAME_HELLO ? frame_get_hello(f, &to->hello, err)
                                  : get_fields(f, f->type, to, err);
}

/* ---- changes ---- */

/* The hot path: field by field and not in a loop, so that the compiler sees which they are. */

void frame_open_change(struct frame_writer *w, struct buf *out, enum frame_type type,
                       const struct frame_change *change)
{
    frame_open(w, out, type);
    put_field(w, &change_fields[0], change);
    put_field(w, &change_fields[1], change);
    put_field(w, &change_fields[2], change);
}

int frame_get_change(const struct frame *f, struct frame_change *change, struct mp_cursor *c,
                     struct err *err)
{
    *c = body(f);
    get_field(c, &change_fields[0], change);
    get_field(c, &change_fields[1], change);
    get_field(c, &change_fields[2], change);
    if ((f->type == FRAME_INSERT && change->old_kind) ||
        (f->type == FRAME_DELETE && !change->old_kind))
        mp_fault(c, "an old tuple where none belongs, or none where one does");
    if (c->fault)
        return err_set(err, ERR_PERMANENT, "malformed frame: %s: %s", frame_type_name(f->type),
                       c->fault);
    return 0;
}

bool frame_get_tuple(struct mp_cursor *c, struct value *values, uint32_t n)
{
    if (mp_nil(c))
        return false;
    if (mp_array(c) != n) {
        mp_fault(c, "a tuple has another number of columns than its relation");
        return false;
    }
    for (uint32_t i = 0; i < n; i++) {
        struct value *v = &values[i];
        struct bytes b = {NULL, 0};
        int8_t ext_type;
        switch (mp_peek(c)) {
        case MP_NIL:
            c->pos++;
            v->kind = VALUE_NULL;
            break;
        case MP_STR:
            b = mp_str(c);
            v->kind = VALUE_TEXT;
            break;
        case MP_BIN:
            b = mp_bin(c);
            v->kind = VALUE_BYTES;
            break;
        case MP_EXT:
            b = mp_ext(c, &ext_type);
            if (ext_type != 'u' || b.size != 0)
                mp_fault(c, "an unknown ext object as a value");
            v->kind = VALUE_UNCHANGED;
            break;
        default:
            mp_fault(c, "a value that is neither nil, str, bin nor unchanged");
            v->kind = VALUE_NULL;
        }
        v->data = b.data;
        v->size = (uint32_t)b.size;
    }
    return !c->fault;
}

/* The relids are not in the struct: only the count is. */

static void put_relids(struct frame_writer *w, uint32_t n, const uint32_t *relids)
{
    PACK(msgpack_pack_array(&w->pk, n));
    for (uint32_t i = 0; i < n; i++)
        put_u64(w, relids[i]);
}

void frame_put_truncate(struct buf *out, const struct frame_truncate *t, const uint32_t *relids)
{
    struct frame_writer w;
    frame_open(&w, out, FRAME_TRUNCATE);
    for (size_t i = 0; i < LENGTH(truncate_fields); i++)
        if (truncate_fields[i].kind == FIELD_RELIDS)
            put_relids(&w, t->nrelids, relids);
        else
            put_field(&w, &truncate_fields[i], t);
    frame_close(&w);
}

/* Returns where they begin. */
static struct mp_cursor get_relids(struct mp_cursor *c, uint32_t *n)
{
    *n = mp_array(c);
    struct mp_cursor relids = *c;
    for (uint32_t i = 0; i < *n; i++)
        (void)mp_u32(c);
    return relids;
}

int frame_get_truncate(const struct frame *f, struct frame_truncate *t, struct mp_cursor *relids,
                       struct err *err)
{
    struct mp_cursor c = body(f);
    for (size_t i = 0; i < LENGTH(truncate_fields); i++)
        if (truncate_fields[i].kind == FIELD_RELIDS)
            *relids = get_relids(&c, &t->nrelids);
        else
            get_field(&c, &truncate_fields[i], t);
    return frame_end(f, &c, err);
}
