#include "frames/frame.h"

#include <string.h>

#include "frames/frame_writer.h"

static const struct {
    enum frame_type type;
    const char *name;
} frame_types[] = {
    {FRAME_HELLO, "hello"},
    {FRAME_RELATION, "relation"},
    {FRAME_TYPE, "type"},
    {FRAME_BEGIN, "begin"},
    {FRAME_INSERT, "insert"},
    {FRAME_UPDATE, "update"},
    {FRAME_DELETE, "delete"},
    {FRAME_TRUNCATE, "truncate"},
    {FRAME_COMMIT, "commit"},
    {FRAME_STREAM_START, "stream start"},
    {FRAME_STREAM_STOP, "stream stop"},
    {FRAME_STREAM_COMMIT, "stream commit"},
    {FRAME_STREAM_ABORT, "stream abort"},
    {FRAME_BEGIN_PREPARE, "begin prepare"},
    {FRAME_PREPARE, "prepare"},
    {FRAME_COMMIT_PREPARED, "commit prepared"},
    {FRAME_ROLLBACK_PREPARED, "rollback prepared"},
    {FRAME_STREAM_PREPARE, "stream prepare"},
    {FRAME_ORIGIN, "origin"},
    {FRAME_MESSAGE, "message"},
    {FRAME_PROGRESS, "progress"},
    {FRAME_END, "end"},
};

const char *frame_type_name(enum frame_type type)
{
    for (size_t i = 0; i < sizeof frame_types / sizeof *frame_types; i++)
        if (frame_types[i].type == type)
            return frame_types[i].name;
    return "unknown";
}

bool frame_type_known(uint8_t type)
{
    switch (type) {
    case FRAME_HELLO:
    case FRAME_RELATION:
    case FRAME_TYPE:
    case FRAME_BEGIN:
    case FRAME_INSERT:
    case FRAME_UPDATE:
    case FRAME_DELETE:
    case FRAME_TRUNCATE:
    case FRAME_COMMIT:
    case FRAME_STREAM_START:
    case FRAME_STREAM_STOP:
    case FRAME_STREAM_COMMIT:
    case FRAME_STREAM_ABORT:
    case FRAME_BEGIN_PREPARE:
    case FRAME_PREPARE:
    case FRAME_COMMIT_PREPARED:
    case FRAME_ROLLBACK_PREPARED:
    case FRAME_STREAM_PREPARE:
    case FRAME_ORIGIN:
    case FRAME_MESSAGE:
    case FRAME_PROGRESS:
    case FRAME_END:
        return true;
    default:
        return false;
    }
}

bool frame_is_change(enum frame_type type)
{
    return type == FRAME_INSERT || type == FRAME_UPDATE || type == FRAME_DELETE ||
           type == FRAME_TRUNCATE;
}

int frame_header(const uint8_t *header, enum frame_type *type, uint32_t *size, struct err *err)
{
    if (header[0] != FRAME_MARK)
        return err_set(err, ERR_PERMANENT, "not a frame: it begins with 0x%02X instead of 0xC9",
                       header[0]);
    uint32_t n = (uint32_t)header[1] << 24 | (uint32_t)header[2] << 16 | (uint32_t)header[3] << 8 |
                 header[4];
    if (!frame_type_known(header[5]))
        return err_set(err, ERR_PERMANENT, "a frame of unknown type 0x%02X", header[5]);
    if (n > FRAME_BODY_MAX)
        return err_set(err, ERR_PERMANENT, "a frame of %u bytes, more than the limit of %u", n,
                       FRAME_BODY_MAX);
    *type = (enum frame_type)header[5];
    *size = n;
    return 0;
}

void frame_write_header(uint8_t *header, enum frame_type type, uint32_t size)
{
    header[0] = FRAME_MARK;
    header[1] = (uint8_t)(size >> 24);
    header[2] = (uint8_t)(size >> 16);
    header[3] = (uint8_t)(size >> 8);
    header[4] = (uint8_t)size;
    header[5] = (uint8_t)type;
}

/* ---- writing ---- */

/* What the buffer remembers need not be looked at. */
#define PACK(call) ((void)(call))

static void pack_u64(struct frame_writer *w, uint64_t v)
{
    PACK(msgpack_pack_uint64(&w->pk, v));
}

static void pack_i64(struct frame_writer *w, int64_t v)
{
    PACK(msgpack_pack_int64(&w->pk, v));
}

static void pack_bytes(struct frame_writer *w, struct bytes b)
{
    frame_pack_bytes_as_str(w, b.data, b.size);
}

/* ---- reading ---- */

struct bytes bytes_of(const char *s)
{
    return (struct bytes){s, strlen(s)};
}

static int frame_end(const struct frame *f, const struct mp_cursor *c, struct err *err)
{
    if (mp_end(c, frame_type_name(f->type), err))
        return err_context(err, "malformed frame");
    return 0;
}

static struct mp_cursor body(const struct frame *f)
{
    return mp_cursor(f->body, f->size);
}

/* ---- H ---- */

void frame_put_hello(struct buf *out, const struct frame_hello *h)
{
    struct frame_writer w;
    frame_open(&w, out, FRAME_HELLO);
    pack_u64(&w, h->format_version);
    pack_bytes(&w, h->producer);
    pack_bytes(&w, h->producer_version);
    pack_bytes(&w, h->system_identifier);
    pack_u64(&w, h->timeline);
    pack_bytes(&w, h->database);
    pack_bytes(&w, h->slot);
    PACK(msgpack_pack_array(&w.pk, h->npublications));
    for (uint32_t i = 0; i < h->npublications; i++)
        pack_bytes(&w, h->publications[i]);
    pack_u64(&w, h->start_lsn);
    frame_pack_bool(&w, h->slot_created);
    pack_u64(&w, h->wal_lsn);
    pack_u64(&w, h->server_version);
    pack_u64(&w, h->protocol_version);
    pack_bytes(&w, h->options);
    PACK(msgpack_pack_array(&w.pk, h->ntimelines));
    for (uint32_t i = 0; i < h->ntimelines; i++) {
        PACK(msgpack_pack_array(&w.pk, 2));
        pack_u64(&w, h->timelines[i].timeline);
        pack_u64(&w, h->timelines[i].end_lsn);
    }
    frame_close(&w);
}

int frame_get_hello(const struct frame *f, struct frame_hello *h, struct err *err)
{
    struct mp_cursor c = body(f);
    h->format_version = mp_u32(&c);
    /* What follows the version may look different in another version. */
    if (!c.fault && h->format_version != FRAME_FORMAT_VERSION)
        return err_set(err, ERR_PERMANENT,
                       "the input has frame format version %u; this program reads version %d",
                       h->format_version, FRAME_FORMAT_VERSION);
    h->producer = mp_str(&c);
    h->producer_version = mp_str(&c);
    h->system_identifier = mp_str(&c);
    h->timeline = mp_u32(&c);
    h->database = mp_str(&c);
    h->slot = mp_str(&c);
    h->npublications = mp_array(&c);
    if (h->npublications > FRAME_MAX_PUBLICATIONS)
        mp_fault(&c, "too many publications");
    for (uint32_t i = 0; !c.fault && i < h->npublications; i++)
        h->publications[i] = mp_str(&c);
    h->start_lsn = mp_u64(&c);
    h->slot_created = mp_bool(&c);
    h->wal_lsn = mp_u64(&c);
    h->server_version = mp_u32(&c);
    h->protocol_version = mp_u32(&c);
    h->options = mp_str(&c);
    h->ntimelines = mp_array(&c);
    if (h->ntimelines > FRAME_MAX_TIMELINES)
        mp_fault(&c, "too many timelines");
    for (uint32_t i = 0; !c.fault && i < h->ntimelines; i++) {
        if (mp_array(&c) != 2)
            mp_fault(&c, "a timeline that is not an array of 2");
        h->timelines[i].timeline = mp_u32(&c);
        h->timelines[i].end_lsn = mp_u64(&c);
    }
    return frame_end(f, &c, err);
}

/* ---- Y ---- */

void frame_put_type(struct buf *out, const struct frame_type_info *y)
{
    struct frame_writer w;
    frame_open(&w, out, FRAME_TYPE);
    pack_u64(&w, y->oid);
    pack_bytes(&w, y->namespace);
    pack_bytes(&w, y->name);
    frame_close(&w);
}

int frame_get_type(const struct frame *f, struct frame_type_info *y, struct err *err)
{
    struct mp_cursor c = body(f);
    y->oid = mp_u32(&c);
    y->namespace = mp_str(&c);
    y->name = mp_str(&c);
    return frame_end(f, &c, err);
}

/* ---- transactions ---- */

void frame_put_begin(struct buf *out, const struct frame_begin *b)
{
    struct frame_writer w;
    frame_open(&w, out, FRAME_BEGIN);
    pack_u64(&w, b->xid);
    pack_u64(&w, b->final_lsn);
    pack_i64(&w, b->commit_time_us);
    frame_close(&w);
}

int frame_get_begin(const struct frame *f, struct frame_begin *b, struct err *err)
{
    struct mp_cursor c = body(f);
    b->xid = mp_u32(&c);
    b->final_lsn = mp_u64(&c);
    b->commit_time_us = mp_i64(&c);
    return frame_end(f, &c, err);
}

void frame_put_commit(struct buf *out, const struct frame_commit *m)
{
    struct frame_writer w;
    frame_open(&w, out, FRAME_COMMIT);
    pack_u64(&w, m->xid);
    pack_u64(&w, m->commit_lsn);
    pack_u64(&w, m->end_lsn);
    pack_i64(&w, m->commit_time_us);
    pack_u64(&w, m->nchanges);
    frame_close(&w);
}

int frame_get_commit(const struct frame *f, struct frame_commit *m, struct err *err)
{
    struct mp_cursor c = body(f);
    m->xid = mp_u32(&c);
    m->commit_lsn = mp_u64(&c);
    m->end_lsn = mp_u64(&c);
    m->commit_time_us = mp_i64(&c);
    m->nchanges = mp_u64(&c);
    return frame_end(f, &c, err);
}

void frame_put_stream_start(struct buf *out, const struct frame_stream_start *s)
{
    struct frame_writer w;
    frame_open(&w, out, FRAME_STREAM_START);
    pack_u64(&w, s->xid);
    frame_pack_bool(&w, s->first);
    frame_close(&w);
}

int frame_get_stream_start(const struct frame *f, struct frame_stream_start *s, struct err *err)
{
    struct mp_cursor c = body(f);
    s->xid = mp_u32(&c);
    s->first = mp_bool(&c);
    return frame_end(f, &c, err);
}

void frame_put_stream_stop(struct buf *out)
{
    struct frame_writer w;
    frame_open(&w, out, FRAME_STREAM_STOP);
    frame_close(&w);
}

int frame_get_stream_stop(const struct frame *f, struct err *err)
{
    struct mp_cursor c = body(f);
    return frame_end(f, &c, err);
}

void frame_put_stream_commit(struct buf *out, const struct frame_stream_commit *m)
{
    struct frame_writer w;
    frame_open(&w, out, FRAME_STREAM_COMMIT);
    pack_u64(&w, m->xid);
    pack_u64(&w, m->commit_lsn);
    pack_u64(&w, m->end_lsn);
    pack_i64(&w, m->commit_time_us);
    frame_close(&w);
}

int frame_get_stream_commit(const struct frame *f, struct frame_stream_commit *m, struct err *err)
{
    struct mp_cursor c = body(f);
    m->xid = mp_u32(&c);
    m->commit_lsn = mp_u64(&c);
    m->end_lsn = mp_u64(&c);
    m->commit_time_us = mp_i64(&c);
    return frame_end(f, &c, err);
}

void frame_put_stream_abort(struct buf *out, const struct frame_stream_abort *a)
{
    struct frame_writer w;
    frame_open(&w, out, FRAME_STREAM_ABORT);
    pack_u64(&w, a->xid);
    pack_u64(&w, a->subxid);
    pack_u64(&w, a->abort_lsn);
    pack_i64(&w, a->abort_time_us);
    frame_close(&w);
}

int frame_get_stream_abort(const struct frame *f, struct frame_stream_abort *a, struct err *err)
{
    struct mp_cursor c = body(f);
    a->xid = mp_u32(&c);
    a->subxid = mp_u32(&c);
    a->abort_lsn = mp_u64(&c);
    a->abort_time_us = mp_i64(&c);
    return frame_end(f, &c, err);
}

void frame_put_prepare(struct buf *out, enum frame_type type, const struct frame_prepare *p)
{
    struct frame_writer w;
    frame_open(&w, out, type);
    pack_u64(&w, p->xid);
    pack_u64(&w, p->prepare_lsn);
    pack_u64(&w, p->end_lsn);
    pack_i64(&w, p->prepare_time_us);
    pack_bytes(&w, p->gid);
    frame_close(&w);
}

int frame_get_prepare(const struct frame *f, struct frame_prepare *p, struct err *err)
{
    struct mp_cursor c = body(f);
    p->xid = mp_u32(&c);
    p->prepare_lsn = mp_u64(&c);
    p->end_lsn = mp_u64(&c);
    p->prepare_time_us = mp_i64(&c);
    p->gid = mp_str(&c);
    return frame_end(f, &c, err);
}

void frame_put_commit_prepared(struct buf *out, const struct frame_commit_prepared *k)
{
    struct frame_writer w;
    frame_open(&w, out, FRAME_COMMIT_PREPARED);
    pack_u64(&w, k->xid);
    pack_u64(&w, k->commit_lsn);
    pack_u64(&w, k->end_lsn);
    pack_i64(&w, k->commit_time_us);
    pack_bytes(&w, k->gid);
    frame_close(&w);
}

int frame_get_commit_prepared(const struct frame *f, struct frame_commit_prepared *k,
                              struct err *err)
{
    struct mp_cursor c = body(f);
    k->xid = mp_u32(&c);
    k->commit_lsn = mp_u64(&c);
    k->end_lsn = mp_u64(&c);
    k->commit_time_us = mp_i64(&c);
    k->gid = mp_str(&c);
    return frame_end(f, &c, err);
}

void frame_put_rollback_prepared(struct buf *out, const struct frame_rollback_prepared *r)
{
    struct frame_writer w;
    frame_open(&w, out, FRAME_ROLLBACK_PREPARED);
    pack_u64(&w, r->xid);
    pack_u64(&w, r->prepare_end_lsn);
    pack_u64(&w, r->rollback_end_lsn);
    pack_i64(&w, r->prepare_time_us);
    pack_i64(&w, r->rollback_time_us);
    pack_bytes(&w, r->gid);
    frame_close(&w);
}

int frame_get_rollback_prepared(const struct frame *f, struct frame_rollback_prepared *r,
                                struct err *err)
{
    struct mp_cursor c = body(f);
    r->xid = mp_u32(&c);
    r->prepare_end_lsn = mp_u64(&c);
    r->rollback_end_lsn = mp_u64(&c);
    r->prepare_time_us = mp_i64(&c);
    r->rollback_time_us = mp_i64(&c);
    r->gid = mp_str(&c);
    return frame_end(f, &c, err);
}

/* ---- changes ---- */

void frame_open_change(struct frame_writer *w, struct buf *out, enum frame_type type,
                       const struct frame_change *change)
{
    frame_open(w, out, type);
    pack_u64(w, change->xid);
    pack_u64(w, change->relid);
    if (change->old_kind)
        frame_pack_bytes_as_str(w, &change->old_kind, 1);
    else
        PACK(msgpack_pack_nil(&w->pk));
}

int frame_get_change(const struct frame *f, struct frame_change *change, struct mp_cursor *c,
                     struct err *err)
{
    *c = body(f);
    change->xid = mp_u32(c);
    change->relid = mp_u32(c);
    change->old_kind = 0;
    if (!mp_nil(c)) {
        struct bytes kind = mp_str(c);
        if (kind.size == 1 && (*kind.data == 'K' || *kind.data == 'O'))
            change->old_kind = *kind.data;
        else
            mp_fault(c, "the kind of the old tuple is neither K nor O");
    }
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

void frame_put_truncate(struct buf *out, const struct frame_truncate *t, const uint32_t *relids)
{
    struct frame_writer w;
    frame_open(&w, out, FRAME_TRUNCATE);
    pack_u64(&w, t->xid);
    PACK(msgpack_pack_array(&w.pk, t->nrelids));
    for (uint32_t i = 0; i < t->nrelids; i++)
        pack_u64(&w, relids[i]);
    frame_pack_bool(&w, t->cascade);
    frame_pack_bool(&w, t->restart_identity);
    frame_close(&w);
}

int frame_get_truncate(const struct frame *f, struct frame_truncate *t, struct mp_cursor *relids,
                       struct err *err)
{
    struct mp_cursor c = body(f);
    t->xid = mp_u32(&c);
    t->nrelids = mp_array(&c);
    *relids = c;
    for (uint32_t i = 0; i < t->nrelids; i++)
        (void)mp_u32(&c);
    t->cascade = mp_bool(&c);
    t->restart_identity = mp_bool(&c);
    return frame_end(f, &c, err);
}

/* ---- the rest ---- */

void frame_put_origin(struct buf *out, const struct frame_origin *o)
{
    struct frame_writer w;
    frame_open(&w, out, FRAME_ORIGIN);
    pack_u64(&w, o->commit_lsn);
    pack_bytes(&w, o->name);
    frame_close(&w);
}

int frame_get_origin(const struct frame *f, struct frame_origin *o, struct err *err)
{
    struct mp_cursor c = body(f);
    o->commit_lsn = mp_u64(&c);
    o->name = mp_str(&c);
    return frame_end(f, &c, err);
}

void frame_put_message(struct buf *out, const struct frame_message *m)
{
    struct frame_writer w;
    frame_open(&w, out, FRAME_MESSAGE);
    frame_pack_bool(&w, m->transactional);
    pack_u64(&w, m->xid);
    pack_u64(&w, m->lsn);
    pack_bytes(&w, m->prefix);
    PACK(msgpack_pack_bin(&w.pk, m->content.size));
    PACK(msgpack_pack_bin_body(&w.pk, m->content.data, m->content.size));
    frame_close(&w);
}

int frame_get_message(const struct frame *f, struct frame_message *m, struct err *err)
{
    struct mp_cursor c = body(f);
    m->transactional = mp_bool(&c);
    m->xid = mp_u32(&c);
    m->lsn = mp_u64(&c);
    m->prefix = mp_str(&c);
    m->content = mp_bin(&c);
    return frame_end(f, &c, err);
}

void frame_put_progress(struct buf *out, const struct frame_progress *k)
{
    struct frame_writer w;
    frame_open(&w, out, FRAME_PROGRESS);
    pack_u64(&w, k->lsn);
    pack_i64(&w, k->server_time_us);
    frame_close(&w);
}

int frame_get_progress(const struct frame *f, struct frame_progress *k, struct err *err)
{
    struct mp_cursor c = body(f);
    k->lsn = mp_u64(&c);
    k->server_time_us = mp_i64(&c);
    return frame_end(f, &c, err);
}

void frame_put_end(struct buf *out, const struct frame_end *z)
{
    struct frame_writer w;
    frame_open(&w, out, FRAME_END);
    pack_bytes(&w, z->why);
    pack_u64(&w, z->last_lsn);
    frame_close(&w);
}

int frame_get_end(const struct frame *f, struct frame_end *z, struct err *err)
{
    struct mp_cursor c = body(f);
    z->why = mp_str(&c);
    z->last_lsn = mp_u64(&c);
    return frame_end(f, &c, err);
}
