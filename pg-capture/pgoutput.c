#include "pgoutput.h"

#include <stdlib.h>
#include <string.h>

#include "base/hash.h"
#include "base/lsn.h"
#include "frames/frame.h"
#include "frames/frame_writer.h"
#include "frames/pg_type.h"
#include "tuple.h"
#include "undescribed.h"
#include "wire.h"

#define MAX_KEY_COLUMNS 32 /* INDEX_MAX_KEYS */

/* A relation as the server described it last; one block of memory but for the message. */
struct table {
    uint32_t relid;
    UT_hash_handle hh;
    uint8_t *message; /* the server's last of the relation */
    size_t message_size;
    int64_t look_ms; /* when it is looked up again; 0: never */
    struct tuple_reading reading;
    struct column_reading columns[];
};

enum where { OUTSIDE, IN_TRANSACTION, IN_PREPARE, IN_STREAM };

/* Few are prepared at a time. */
struct xids {
    uint32_t *xids;
    size_t n, cap;
};

struct pgoutput {
    struct pgoutput_config config;
    struct table *tables;
    struct table *last; /* found last; changes of one table come in runs */
    enum where where;
    uint32_t xid;           /* of the open transaction; of the top-level one in a stream block */
    uint64_t final_lsn;     /* of its COMMIT or PREPARE, outside stream blocks */
    int64_t commit_time_us; /* IN_TRANSACTION */
    uint64_t nchanges;
    struct buf text; /* a converted value on its way into the frame */
    struct undescribed undescribed;
    struct xids prepared; /* P or p has come, and no outcome yet */
};

struct pgoutput *pgoutput_new(const struct pgoutput_config *config)
{
    struct pgoutput *d = calloc(1, sizeof *d);
    if (d)
        d->config = *config;
    return d;
}

static void free_table(struct table *t)
{
    free(t->message);
    free(t);
}

void pgoutput_free(struct pgoutput *d)
{
    if (!d)
        return;
    struct table *t = d->tables;
    HASH_CLEAR(hh, d->tables);
    while (t) {
        struct table *next = t->hh.next;
        free_table(t);
        t = next;
    }
    buf_free(&d->text);
    undescribed_free(&d->undescribed);
    free(d->prepared.xids);
    free(d);
}

bool pgoutput_outside(const struct pgoutput *d)
{
    return d->where == OUTSIDE;
}

/* ---- relations ---- */

static struct table *find_table(struct pgoutput *d, uint32_t relid)
{
    if (d->last && d->last->relid == relid)
        return d->last;
    struct table *t;
    HASH_FIND(hh, d->tables, &relid, sizeof relid, t);
    if (t)
        d->last = t;
    return t;
}

static const char *keep(char **at, const char *s)
{
    size_t n = strlen(s) + 1;
    char *to = *at;
    memcpy(to, s, n);
    *at += n;
    return to;
}

/* What the R frame says is now how tuples of that relation are read, in a stream block or not: the
 * server describes a table again whenever it changes, also after a transaction that changed it has
 * been rolled back. */
static int remember_table(struct pgoutput *d, const struct relation *rel, struct err *err)
{
    size_t size = sizeof(struct table) + rel->ncolumns * sizeof(struct column_reading);
    size_t strings = size;
    size += strlen(rel->namespace) + strlen(rel->name) + 2;
    for (uint32_t i = 0; i < rel->ncolumns; i++)
        size += strlen(rel->columns[i].name) + strlen(rel->columns[i].type_name) + 2;
    struct table *t = malloc(size);
    if (!t)
        return err_nomem(err);
    char *at = (char *)t + strings;
    memset(t, 0, sizeof *t);
    t->relid = rel->relid;
    t->reading = (struct tuple_reading){
        .namespace = keep(&at, rel->namespace),
        .name = keep(&at, rel->name),
        .ncolumns = rel->ncolumns,
        .columns = t->columns,
    };
    for (uint32_t i = 0; i < rel->ncolumns; i++) {
        const struct column *col = &rel->columns[i];
        t->columns[i] = (struct column_reading){
            .type_oid = col->base_type_oid,
            .form = binary_form(col->base_type_oid),
            .bytea = col->base_type_oid == PG_TYPE_BYTEA,
            .name = keep(&at, col->name),
            .type_name = keep(&at, col->type_name),
        };
    }
    struct table *old;
    HASH_FIND(hh, d->tables, &t->relid, sizeof t->relid, old);
    if (old) {
        HASH_DEL(d->tables, old);
        free_table(old);
    }
    bool added;
    HASH_TRY_ADD(d->tables, relid, t, added);
    d->last = NULL;
    if (!added) {
        free(t);
        return err_nomem(err);
    }
    return 0;
}

/*
 * Under the default replica identity the key flags are the primary key as it was when the change
 * was made; the catalog is as of today and only adds the order of its columns.
 */
static void settle_primary_key(struct relation *rel, uint32_t key[MAX_KEY_COLUMNS])
{
    uint32_t n = 0;
    bool same = rel->primary_key_known;
    for (uint32_t i = 0; i < rel->ncolumns; i++) {
        if (!rel->columns[i].key)
            continue;
        if (n == MAX_KEY_COLUMNS)
            return;
        key[n++] = i;
        bool found = false;
        for (uint32_t k = 0; k < rel->npk; k++)
            found = found || rel->pk[k] == i;
        same = same && found;
    }
    if (same && n == rel->npk)
        return;
    rel->primary_key_known = true;
    rel->npk = n;
    rel->pk = key;
}

static void read_columns(struct wire *w, struct relation *rel)
{
    for (uint32_t i = 0; i < rel->ncolumns; i++) {
        struct column *col = &rel->columns[i];
        col->key = wire_flags(w, 1) & 1;
        col->name = wire_string(w);
        col->type_oid = wire_u32(w);
        col->typmod = (int32_t)wire_u32(w);
        col->base_type_oid = col->type_oid;
        col->type_name = "";
        col->fill = FILL_UNKNOWN;
        if (*col->name == '\0')
            wire_fault(w, "a column without a name");
    }
}

/* A message without its letter and xid. */
static void read_relation(struct wire *w, struct relation *rel)
{
    *rel = (struct relation){.relid = wire_u32(w)};
    rel->namespace = wire_string(w);
    if (*rel->namespace == '\0')
        rel->namespace = "pg_catalog";
    rel->name = wire_string(w);
    if (*rel->name == '\0')
        wire_fault(w, "a relation without a name");
    rel->replica_identity = (char)wire_u8(w);
    if (!w->fault && (rel->replica_identity == '\0' || !strchr("dnfi", rel->replica_identity)))
        wire_fault(w, "a replica identity that is not known");
    rel->ncolumns = wire_u16(w);
    if (rel->ncolumns > FRAME_MAX_COLUMNS)
        wire_fault(w, "too many columns");
}

/* Types that may be altered in silence are known where the catalog was asked for them. */
static void note_types(struct pgoutput *d, const struct relation *rel)
{
    struct table *t = find_table(d, rel->relid);
    for (uint32_t i = 0; t && i < rel->ncolumns; i++)
        if (rel->columns[i].ntype_parts > 0)
            t->look_ms = monotonic_ms() + d->config.types_look_ms;
}

/*
 * A domain that the transaction made itself is not in the catalog before its end: values of one
 * over bytea have gone out as text. When they come again, on another connection, it is known.
 */
static int check_readings(struct pgoutput *d, const struct relation *rel, struct err *err)
{
    const struct table *t = find_table(d, rel->relid);
    if (!t || t->reading.ncolumns != rel->ncolumns)
        return 0;
    for (uint32_t i = 0; i < rel->ncolumns; i++) {
        const struct column *c = &rel->columns[i];
        if (c->base_type_oid == PG_TYPE_BYTEA && t->columns[i].type_oid == c->type_oid &&
            !t->columns[i].bytea)
            return err_set(err, ERR_TEMPORARY,
                           "table %s.%s, column %s: values of the domain came before the catalog "
                           "showed that it is over bytea",
                           rel->namespace, rel->name, c->name);
    }
    return 0;
}

/* Looks up what the message does not say, and appends the R frame. */
static int describe(struct pgoutput *d, struct relation *rel, const struct pgoutput_place *place,
                    bool again, struct buf *out, struct err *err)
{
    uint32_t key[MAX_KEY_COLUMNS];
    const bool by_default = rel->replica_identity == REPLICA_IDENTITY_DEFAULT;
    if (d->config.lookup && d->config.lookup(d->config.lookup_ctx, rel, place, err))
        return -1;
    if (by_default)
        settle_primary_key(rel, key);
    /* Tuples are read as the server described them last; this is a message of before. */
    if (check_readings(d, rel, err) || (!again && remember_table(d, rel, err)))
        return -1;
    note_types(d, rel);
    relation_to_frame(rel, out);
    return 0;
}

static int decode_relation(struct pgoutput *d, struct wire *w, const struct pgoutput_place *place,
                           bool again, struct buf *out, uint32_t *relid, struct err *err)
{
    struct relation rel;
    read_relation(w, &rel);
    if (w->fault)
        return 0;
    /* One more, because calloc(0) may be NULL. */
    rel.columns = calloc(rel.ncolumns + 1, sizeof *rel.columns);
    if (!rel.columns)
        return err_nomem(err);
    read_columns(w, &rel);
    int rc = 0;
    if (!w->fault && w->pos == w->end)
        rc = describe(d, &rel, place, again, out, err);
    *relid = rel.relid;
    free(rel.columns);
    return rc;
}

static int keep_message(struct pgoutput *d, uint32_t relid, const void *data, size_t size,
                        struct err *err)
{
    struct table *t = find_table(d, relid);
    if (!t)
        return 0;
    uint8_t *copy = malloc(size + 1);
    if (!copy)
        return err_nomem(err);
    memcpy(copy, data, size);
    free(t->message);
    t->message = copy;
    t->message_size = size;
    return 0;
}

/* Looks a relation up again before a change of it, where that is due; in a streamed or prepared
 * transaction, when that has ended. */
static int look_again(struct pgoutput *d, struct table *t, struct buf *out, struct err *err)
{
    if (!t->message || t->look_ms == 0 || monotonic_ms() < t->look_ms)
        return 0;
    const struct pgoutput_place place = {PLACE_ENDED, d->xid, d->final_lsn, d->commit_time_us};
    struct wire w = wire(t->message, t->message_size);
    uint32_t relid;
    t->look_ms = monotonic_ms() + d->config.types_look_ms;
    if (d->where != IN_TRANSACTION)
        return undescribed_add(&d->undescribed, d->xid, t->relid, t->message, t->message_size, err);
    return decode_relation(d, &w, &place, true, out, &relid, err);
}

static int decode_relation_message(struct pgoutput *d, struct wire *w, struct buf *out,
                                   struct err *err)
{
    if (d->where == IN_STREAM)
        (void)wire_u32(w);
    const uint8_t *start = w->pos;
    uint32_t relid = 0;
    const struct pgoutput_place place = {
        .stage = d->where == IN_STREAM    ? PLACE_STREAMED
                 : d->where == IN_PREPARE ? PLACE_PREPARED
                                          : PLACE_ENDED,
        .xid = d->xid,
        .lsn = d->where == IN_STREAM ? 0 : d->final_lsn,
        .time_us = d->where == IN_TRANSACTION ? d->commit_time_us : 0,
    };
    if (decode_relation(d, w, &place, false, out, &relid, err))
        return -1;
    if (w->fault || w->pos != w->end)
        return 0;
    if (keep_message(d, relid, start, (size_t)(w->end - start), err))
        return -1;
    if (d->where == IN_TRANSACTION)
        return 0;
    return undescribed_add(&d->undescribed, d->xid, relid, start, (size_t)(w->end - start), err);
}

/* The transaction commits, or is prepared: describes what the catalog did not show before. */
static int describe_again(struct pgoutput *d, const struct pgoutput_place *place, struct buf *out,
                          struct err *err)
{
    const uint32_t xid = place->xid;
    const struct undescribed_message *m;
    for (size_t at = 0; (m = undescribed_next(&d->undescribed, xid, &at));) {
        const struct frame_stream_start s = {.xid = xid};
        struct buf r = {0};
        struct wire w = wire(m->data, m->size);
        uint32_t relid;
        int rc = decode_relation(d, &w, place, true, &r, &relid, err);
        if (rc == 0)
            rc = buf_check(&r, err);
        if (rc == 0) {
            frame_put_stream_start(out, &s);
            buf_append(out, r.data, r.len);
            frame_put_stream_stop(out);
        }
        buf_free(&r);
        if (rc)
            return -1;
    }
    if (place->stage == PLACE_ENDED)
        undescribed_drop(&d->undescribed, xid);
    return 0;
}

static void decode_type(struct wire *w, struct buf *out)
{
    struct frame_type_info y = {.oid = wire_u32(w)};
    const char *namespace = wire_string(w);
    y.namespace = bytes_of(*namespace ? namespace : "pg_catalog");
    y.name = bytes_of(wire_string(w));
    if (!w->fault)
        frame_put_type(out, &y);
}

/* ---- changes ---- */

#define PACK(call) ((void)(call)) /* the buffer remembers a failure */

/* The xid of its own that a message has in a stream block; outside, that of the transaction. */
static uint32_t message_xid(struct pgoutput *d, struct wire *w)
{
    return d->where == IN_STREAM ? wire_u32(w) : d->xid;
}

static int decode_change(struct pgoutput *d, enum frame_type type, struct wire *w, struct buf *out,
                         struct err *err)
{
    struct frame_change change = {.xid = message_xid(d, w)};
    change.relid = wire_u32(w);
    if (w->fault)
        return 0;
    struct table *t = find_table(d, change.relid);
    if (!t) {
        wire_fault(w, "a change of a relation that was not described");
        return 0;
    }
    if (look_again(d, t, out, err))
        return -1;
    uint8_t kind = wire_u8(w);
    if (type != FRAME_INSERT && (kind == 'K' || kind == 'O'))
        change.old_kind = (char)kind;
    struct frame_writer fw;
    frame_open_change(&fw, out, type, &change);
    int rc = 0;
    if (change.old_kind) {
        rc = tuple_decode(&t->reading, w, &fw, &d->text, err);
        if (type == FRAME_UPDATE)
            kind = wire_u8(w);
    } else {
        PACK(msgpack_pack_nil(&fw.pk));
    }
    if (type == FRAME_DELETE ? !change.old_kind : kind != 'N')
        wire_fault(w, "a kind of tuple that does not belong here");
    else if (type == FRAME_DELETE)
        PACK(msgpack_pack_nil(&fw.pk));
    else if (rc == 0)
        rc = tuple_decode(&t->reading, w, &fw, &d->text, err);
    if (rc != 0 || w->fault || w->pos != w->end)
        out->len = fw.start;
    else
        frame_close(&fw);
    d->nchanges++;
    return rc;
}

static int decode_truncate(struct pgoutput *d, struct wire *w, struct buf *out, struct err *err)
{
    struct frame_truncate t = {.xid = message_xid(d, w)};
    t.nrelids = wire_u32(w);
    uint8_t flags = wire_flags(w, 3);
    t.cascade = flags & 1;
    t.restart_identity = flags & 2;
    size_t left = (size_t)(w->end - w->pos);
    if (t.nrelids != left / 4) {
        wire_fault(w, "another number of relations than announced");
        return 0;
    }
    uint32_t *relids = malloc(left + 1);
    if (!relids)
        return err_nomem(err);
    for (uint32_t i = 0; i < t.nrelids; i++) {
        relids[i] = wire_u32(w);
        if (!find_table(d, relids[i]))
            wire_fault(w, "a truncate of a relation that was not described");
    }
    if (!w->fault && w->pos == w->end)
        frame_put_truncate(out, &t, relids);
    free(relids);
    d->nchanges++;
    return 0;
}

/* ---- transactions ---- */

static void decode_begin(struct pgoutput *d, struct wire *w, struct buf *out)
{
    struct frame_begin b = {.final_lsn = wire_u64(w)};
    b.commit_time_us = (int64_t)wire_u64(w);
    b.xid = wire_u32(w);
    d->where = IN_TRANSACTION;
    d->xid = b.xid;
    d->final_lsn = b.final_lsn;
    d->commit_time_us = b.commit_time_us;
    d->nchanges = 0;
    frame_put_begin(out, &b);
}

static void decode_commit(struct pgoutput *d, struct wire *w, struct buf *out,
                          struct pgoutput_event *event)
{
    (void)wire_flags(w, 0);
    struct frame_commit c = {.xid = d->xid, .commit_lsn = wire_u64(w)};
    c.end_lsn = wire_u64(w);
    c.commit_time_us = (int64_t)wire_u64(w);
    c.nchanges = d->nchanges;
    d->where = OUTSIDE;
    *event = (struct pgoutput_event){
        .whole = true, .end_lsn = c.end_lsn, .time_us = c.commit_time_us, .xid = c.xid};
    frame_put_commit(out, &c);
}

static void decode_stream_start(struct pgoutput *d, struct wire *w, struct buf *out)
{
    struct frame_stream_start s = {.xid = wire_u32(w)};
    uint8_t first = wire_u8(w);
    if (first > 1)
        wire_fault(w, "a flag that is neither 0 nor 1");
    s.first = first;
    d->where = IN_STREAM;
    d->xid = s.xid;
    frame_put_stream_start(out, &s);
}

static int decode_stream_commit(struct pgoutput *d, struct wire *w, struct buf *out,
                                struct pgoutput_event *event, struct err *err)
{
    struct frame_stream_commit c = {.xid = wire_u32(w)};
    (void)wire_flags(w, 0);
    c.commit_lsn = wire_u64(w);
    c.end_lsn = wire_u64(w);
    c.commit_time_us = (int64_t)wire_u64(w);
    *event = (struct pgoutput_event){
        .whole = true, .end_lsn = c.end_lsn, .time_us = c.commit_time_us, .xid = c.xid};
    if (w->fault || w->pos != w->end)
        return 0;
    const struct pgoutput_place place = {PLACE_ENDED, c.xid, c.commit_lsn, c.commit_time_us};
    if (describe_again(d, &place, out, err))
        return -1;
    frame_put_stream_commit(out, &c);
    return 0;
}

static void decode_stream_abort(struct pgoutput *d, struct wire *w, struct buf *out)
{
    struct frame_stream_abort a = {.xid = wire_u32(w)};
    a.subxid = wire_u32(w);
    if (d->config.parallel) {
        a.abort_lsn = wire_u64(w);
        a.abort_time_us = (int64_t)wire_u64(w);
    }
    if (a.subxid == a.xid)
        undescribed_drop(&d->undescribed, a.xid);
    frame_put_stream_abort(out, &a);
}

static int xids_add(struct xids *list, uint32_t xid, struct err *err)
{
    if (list->n == list->cap) {
        size_t cap = list->cap ? list->cap * 2 : 16;
        uint32_t *xids = realloc(list->xids, cap * sizeof *xids);
        if (!xids)
            return err_nomem(err);
        list->xids = xids;
        list->cap = cap;
    }
    list->xids[list->n++] = xid;
    return 0;
}

/* Whether it was in the list. */
static bool xids_take(struct xids *list, uint32_t xid)
{
    for (size_t i = 0; i < list->n; i++)
        if (list->xids[i] == xid) {
            list->xids[i] = list->xids[--list->n];
            return true;
        }
    return false;
}

static int decode_prepare(struct pgoutput *d, enum frame_type type, struct wire *w, struct buf *out,
                          struct pgoutput_event *event, struct err *err)
{
    /* PostgreSQL 18 sends the PREPARE of a transaction in which nothing was decoded, and it only.
     */
    const bool alone = type == FRAME_PREPARE && d->where == OUTSIDE;
    if (type != FRAME_BEGIN_PREPARE)
        (void)wire_flags(w, 0);
    struct frame_prepare p = {.prepare_lsn = wire_u64(w)};
    p.end_lsn = wire_u64(w);
    p.prepare_time_us = (int64_t)wire_u64(w);
    p.xid = wire_u32(w);
    p.gid = bytes_of(wire_string(w));
    if (type == FRAME_BEGIN_PREPARE) {
        d->where = IN_PREPARE;
        d->xid = p.xid;
        d->final_lsn = p.prepare_lsn;
        d->nchanges = 0;
    } else {
        d->where = OUTSIDE;
        *event = (struct pgoutput_event){
            .end_lsn = p.end_lsn, .prepare_lsn = p.prepare_lsn, .gid = p.gid};
    }
    if (w->fault || w->pos != w->end)
        return 0;
    /* From now on the server takes what it has streamed for known in every transaction. */
    const struct pgoutput_place place = {
        .stage = PLACE_PREPARED, .xid = p.xid, .lsn = p.prepare_lsn};
    if (type == FRAME_STREAM_PREPARE && describe_again(d, &place, out, err))
        return -1;
    if (type != FRAME_BEGIN_PREPARE && xids_add(&d->prepared, p.xid, err))
        return -1;
    if (alone)
        frame_put_prepare(out, FRAME_BEGIN_PREPARE, &p);
    frame_put_prepare(out, type, &p);
    return 0;
}

static int decode_commit_prepared(struct pgoutput *d, struct wire *w, struct buf *out,
                                  struct pgoutput_event *event, struct err *err)
{
    (void)wire_flags(w, 0);
    struct frame_commit_prepared k = {.commit_lsn = wire_u64(w)};
    k.end_lsn = wire_u64(w);
    k.commit_time_us = (int64_t)wire_u64(w);
    k.xid = wire_u32(w);
    k.gid = bytes_of(wire_string(w));
    *event = (struct pgoutput_event){.whole = true,
                                     .end_lsn = k.end_lsn,
                                     .gid = k.gid,
                                     .time_us = k.commit_time_us,
                                     .xid = k.xid};
    if (w->fault || w->pos != w->end)
        return 0;
    const struct pgoutput_place place = {PLACE_ENDED, k.xid, k.commit_lsn, k.commit_time_us};
    if (describe_again(d, &place, out, err))
        return -1;
    /* Without a PREPARE it is for the targets to have it already; what is empty they need not. */
    const struct pgoutput_config *config = &d->config;
    if (!xids_take(&d->prepared, k.xid) && config->was_empty &&
        config->was_empty(config->lookup_ctx, k.xid, k.commit_lsn, k.end_lsn)) {
        frame_put_begin(out, &(struct frame_begin){k.xid, k.commit_lsn, k.commit_time_us});
        frame_put_commit(
            out, &(struct frame_commit){k.xid, k.commit_lsn, k.end_lsn, k.commit_time_us, 0});
        return 0;
    }
    frame_put_commit_prepared(out, &k);
    return 0;
}

static void decode_rollback_prepared(struct pgoutput *d, struct wire *w, struct buf *out,
                                     struct pgoutput_event *event)
{
    (void)wire_flags(w, 0);
    struct frame_rollback_prepared r = {.prepare_end_lsn = wire_u64(w)};
    r.rollback_end_lsn = wire_u64(w);
    r.prepare_time_us = (int64_t)wire_u64(w);
    r.rollback_time_us = (int64_t)wire_u64(w);
    r.xid = wire_u32(w);
    r.gid = bytes_of(wire_string(w));
    *event = (struct pgoutput_event){.end_lsn = r.rollback_end_lsn, .gid = r.gid};
    undescribed_drop(&d->undescribed, r.xid);
    (void)xids_take(&d->prepared, r.xid);
    frame_put_rollback_prepared(out, &r);
}

static void decode_origin(struct wire *w, struct buf *out)
{
    struct frame_origin o = {.commit_lsn = wire_u64(w)};
    o.name = bytes_of(wire_string(w));
    frame_put_origin(out, &o);
}

static void decode_message(struct pgoutput *d, struct wire *w, struct buf *out)
{
    uint32_t xid = message_xid(d, w);
    struct frame_message m = {.transactional = wire_flags(w, 1)};
    m.xid = m.transactional ? xid : 0;
    m.lsn = wire_u64(w);
    m.prefix = bytes_of(wire_string(w));
    m.content.size = wire_u32(w);
    m.content.data = (const char *)wire_take(w, m.content.size);
    if (m.transactional && d->where == OUTSIDE)
        wire_fault(w, "it is transactional but in no transaction");
    if (!w->fault)
        frame_put_message(out, &m);
}

/* ---- one message ---- */

#define ANYWHERE (1 << OUTSIDE | 1 << IN_TRANSACTION | 1 << IN_PREPARE | 1 << IN_STREAM)
#define IN_ANY   (1 << IN_TRANSACTION | 1 << IN_PREPARE | 1 << IN_STREAM)

static const struct rule {
    char type;
    uint8_t since; /* protocol version */
    uint8_t where; /* 1 << enum where */
} rules[] = {
    /* A: from version 2 on as documented, but PostgreSQL 18 does not ask for the version. */
    {'B', 1, 1 << OUTSIDE}, {'C', 1, 1 << IN_TRANSACTION},
    {'O', 1, IN_ANY},       {'R', 1, IN_ANY},
    {'Y', 1, IN_ANY},       {'I', 1, IN_ANY},
    {'U', 1, IN_ANY},       {'D', 1, IN_ANY},
    {'T', 1, IN_ANY},       {'M', 1, ANYWHERE},
    {'S', 2, 1 << OUTSIDE}, {'E', 2, 1 << IN_STREAM},
    {'c', 2, 1 << OUTSIDE}, {'A', 1, 1 << OUTSIDE},
    {'b', 3, 1 << OUTSIDE}, {'P', 3, 1 << IN_PREPARE | 1 << OUTSIDE},
    {'K', 3, 1 << OUTSIDE}, {'r', 3, 1 << OUTSIDE},
    {'p', 3, 1 << OUTSIDE},
};

static const struct rule *find_rule(char type)
{
    for (size_t i = 0; i < sizeof rules / sizeof *rules; i++)
        if (rules[i].type == type)
            return &rules[i];
    return NULL;
}

static const char *refuse(const struct pgoutput *d, char type)
{
    const struct rule *rule = find_rule(type);
    if (!rule)
        return "its type is not known";
    if (d->config.protocol_version < rule->since)
        return "its type does not belong to the protocol version asked for";
    if (!(rule->where & 1 << d->where))
        return d->where == OUTSIDE     ? "it comes outside a transaction"
               : d->where == IN_STREAM ? "it comes in a stream block"
                                       : "it comes in a transaction";
    return NULL;
}

static int decode(struct pgoutput *d, char type, struct wire *w, struct buf *out,
                  struct pgoutput_event *event, struct err *err)
{
    switch (type) {
    case 'I':
    case 'U':
    case 'D':
        return decode_change(d, (enum frame_type)type, w, out, err);
    case 'T':
        return decode_truncate(d, w, out, err);
    case 'R':
        return decode_relation_message(d, w, out, err);
    case 'Y':
        if (d->where == IN_STREAM)
            (void)wire_u32(w);
        decode_type(w, out);
        return 0;
    case 'B':
        decode_begin(d, w, out);
        return 0;
    case 'C':
        decode_commit(d, w, out, event);
        return 0;
    case 'O':
        decode_origin(w, out);
        return 0;
    case 'M':
        decode_message(d, w, out);
        return 0;
    case 'S':
        decode_stream_start(d, w, out);
        return 0;
    case 'E':
        d->where = OUTSIDE;
        frame_put_stream_stop(out);
        return 0;
    case 'c':
        return decode_stream_commit(d, w, out, event, err);
    case 'A':
        decode_stream_abort(d, w, out);
        return 0;
    case 'b':
    case 'P':
    case 'p':
        return decode_prepare(d, (enum frame_type)type, w, out, event, err);
    case 'K':
        return decode_commit_prepared(d, w, out, event, err);
    case 'r':
        decode_rollback_prepared(d, w, out, event);
        return 0;
    default:
        BUG("a rule for a message without a decoder");
    }
}

int pgoutput_decode(struct pgoutput *d, const void *data, size_t size, struct buf *out,
                    struct pgoutput_event *event, struct err *err)
{
    struct wire w = wire(data, size);
    char type = (char)wire_u8(&w);
    const char *fault = w.fault ? w.fault : refuse(d, type);
    *event = (struct pgoutput_event){0};
    if (!fault) {
        size_t len = out->len;
        if (decode(d, type, &w, out, event, err))
            return err_context(err, "message %c", type);
        if (!w.fault && w.pos != w.end)
            wire_fault(&w, "it is longer than its fields");
        fault = w.fault;
        /* A lookup may have written the buffer out, but then a fault was found before it. */
        if (fault && out->len > len)
            out->len = len;
    }
    if (fault) {
        char name[16];
        (void)snprintf(name, sizeof name, type >= ' ' && type <= '~' ? "%c" : "0x%02X",
                       (unsigned char)type);
        return err_set(err, ERR_PERMANENT, "message %s from the server: %s", name, fault);
    }
    event->type = type;
    return buf_check(out, err);
}
