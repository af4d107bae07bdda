/*
 * frame.h - change frames: the format that the programs exchange. docs/FRAMES.md is the reference
 * for other readers; this is the one implementation.
 *
 *     frame := head (frame_head.h) | body
 *     body  := msgpack objects, one per field, in a fixed order per type
 *
 * frame_seal.h handles the fields that version 2 of the format appends to those of version 1: what
 * is written and read here is without them.
 *
 * Writing appends whole frames to a struct buf. Reading is in two steps: frame_reader.h finds the
 * frames in a stream, the frame_get_ functions here read a body into a struct; strings and values
 * then point into the body. A decoder that finds anything unexpected fails with a permanent error.
 *
 * LSNs are uint64_t, times PostgreSQL's (lsn.h), xids 32 bit.
 */
#ifndef PG2ANY_FRAME_H
#define PG2ANY_FRAME_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/err.h"
#include "frames/frame_head.h"
#include "frames/mp_cursor.h"
#include "frames/value.h"

#define FRAME_FORMAT_VERSION 2    /* which is written */
#define FRAME_FORMAT_OLDEST  1    /* which is still read */
#define FRAME_MAX_COLUMNS    1664 /* MaxTupleAttributeNumber in PostgreSQL's htup_details.h */

/* ---- H ---- */

#define FRAME_MAX_PUBLICATIONS 64
#define FRAME_MAX_TIMELINES    256 /* the newest, where a cluster has had more */

/* A timeline that the server's own branched off from, and where. */
struct frame_timeline {
    uint32_t timeline;
    uint64_t end_lsn;
};

struct frame_hello {
    uint32_t format_version;
    struct bytes producer;
    struct bytes producer_version;
    struct bytes system_identifier; /* decimal digits, as IDENTIFY_SYSTEM gives it */
    uint32_t timeline;
    struct bytes database;
    struct bytes slot;
    uint32_t npublications;
    struct bytes publications[FRAME_MAX_PUBLICATIONS];
    uint64_t start_lsn; /* the slot's confirmed_flush_lsn */
    bool slot_created;  /* made by this connection */
    uint64_t wal_lsn;   /* the server's WAL flush position when it was asked (IDENTIFY_SYSTEM) */
    uint32_t server_version; /* as server_version_num, 150018 */
    uint32_t protocol_version;
    struct bytes options; /* in force, as START_REPLICATION was given them; for people */
    uint32_t ntimelines;  /* the history of `timeline`, oldest first */
    struct frame_timeline timelines[FRAME_MAX_TIMELINES];
};

void frame_put_hello(struct buf *out, const struct frame_hello *h);
MUST_CHECK int frame_get_hello(const struct frame *f, struct frame_hello *h, struct err *err);

/* ---- Y; R is relation.h's ---- */

struct frame_type_info {
    uint32_t oid;
    struct bytes namespace;
    struct bytes name;
};

void frame_put_type(struct buf *out, const struct frame_type_info *y);
MUST_CHECK int frame_get_type(const struct frame *f, struct frame_type_info *y, struct err *err);

/* ---- transactions ---- */

struct frame_begin {
    uint32_t xid;
    uint64_t final_lsn; /* = the commit's commit_lsn */
    int64_t commit_time_us;
};

struct frame_commit {
    uint32_t xid;
    uint64_t commit_lsn;
    uint64_t end_lsn;
    int64_t commit_time_us;
    uint64_t nchanges; /* I, U, D and T frames since the begin */
};

struct frame_stream_start {
    uint32_t xid; /* of the top-level transaction */
    bool first;
};

struct frame_stream_commit {
    uint32_t xid;
    uint64_t commit_lsn;
    uint64_t end_lsn;
    int64_t commit_time_us;
};

struct frame_stream_abort {
    uint32_t xid;
    uint32_t subxid;       /* = xid: the whole transaction */
    uint64_t abort_lsn;    /* 0 unless streaming = parallel */
    int64_t abort_time_us; /* 0 likewise */
};

/* b, P and p. */
struct frame_prepare {
    uint32_t xid;
    uint64_t prepare_lsn;
    uint64_t end_lsn;
    int64_t prepare_time_us;
    struct bytes gid;
};

struct frame_commit_prepared {
    uint32_t xid;
    uint64_t commit_lsn;
    uint64_t end_lsn;
    int64_t commit_time_us;
    struct bytes gid;
};

struct frame_rollback_prepared {
    uint32_t xid;
    uint64_t prepare_end_lsn;
    uint64_t rollback_end_lsn;
    int64_t prepare_time_us;
    int64_t rollback_time_us;
    struct bytes gid;
};

void frame_put_begin(struct buf *out, const struct frame_begin *b);
void frame_put_commit(struct buf *out, const struct frame_commit *c);
void frame_put_stream_start(struct buf *out, const struct frame_stream_start *s);
void frame_put_stream_stop(struct buf *out);
void frame_put_stream_commit(struct buf *out, const struct frame_stream_commit *c);
void frame_put_stream_abort(struct buf *out, const struct frame_stream_abort *a);
/* `type` is FRAME_BEGIN_PREPARE, FRAME_PREPARE or FRAME_STREAM_PREPARE. */
void frame_put_prepare(struct buf *out, enum frame_type type, const struct frame_prepare *p);
void frame_put_commit_prepared(struct buf *out, const struct frame_commit_prepared *k);
void frame_put_rollback_prepared(struct buf *out, const struct frame_rollback_prepared *r);

MUST_CHECK int frame_get_begin(const struct frame *f, struct frame_begin *b, struct err *err);
MUST_CHECK int frame_get_commit(const struct frame *f, struct frame_commit *c, struct err *err);
MUST_CHECK int frame_get_stream_start(const struct frame *f, struct frame_stream_start *s,
                                      struct err *err);
MUST_CHECK int frame_get_stream_stop(const struct frame *f, struct err *err);
MUST_CHECK int frame_get_stream_commit(const struct frame *f, struct frame_stream_commit *c,
                                       struct err *err);
MUST_CHECK int frame_get_stream_abort(const struct frame *f, struct frame_stream_abort *a,
                                      struct err *err);
MUST_CHECK int frame_get_prepare(const struct frame *f, struct frame_prepare *p, struct err *err);
MUST_CHECK int frame_get_commit_prepared(const struct frame *f, struct frame_commit_prepared *k,
                                         struct err *err);
MUST_CHECK int frame_get_rollback_prepared(const struct frame *f, struct frame_rollback_prepared *r,
                                           struct err *err);

/* ---- changes ---- */

/*
 * I, U and D have the same five fields: xid, relid, kind of the old tuple, old tuple, new tuple; a
 * missing one is nil. frame_get_tuple reads the tuples, in that order, because only the relation
 * determines their length.
 */
struct frame_change {
    uint32_t xid; /* the subtransaction's, where streamed */
    uint32_t relid;
    char old_kind; /* 'K', 'O', 0: none */
};

/* Opens a frame (frame_writer.h) and packs its first three fields; follow with the old tuple or
 * nil, then the new one or nil. */
struct frame_writer;
void frame_open_change(struct frame_writer *w, struct buf *out, enum frame_type type,
                       const struct frame_change *change);

/*
 * Reads the first three fields; afterwards `c` is at the old tuple. This is enough for a filter
 * that only needs to know which relation the change belongs to.
 */
MUST_CHECK int frame_get_change(const struct frame *f, struct frame_change *change,
                                struct mp_cursor *c, struct err *err);

/*
 * Reads a tuple of exactly `n` values into `values`; returns false, and reads it, if it is nil. A
 * fault stays in the cursor for mp_end().
 */
bool frame_get_tuple(struct mp_cursor *c, struct value *values, uint32_t n);

struct frame_truncate {
    uint32_t xid;
    uint32_t nrelids;
    bool cascade;
    bool restart_identity;
};

void frame_put_truncate(struct buf *out, const struct frame_truncate *t, const uint32_t *relids);
/* `relids` stands at the first relid afterwards: call mp_u32 `nrelids` times (checked already). */
MUST_CHECK int frame_get_truncate(const struct frame *f, struct frame_truncate *t,
                                  struct mp_cursor *relids, struct err *err);

/* ---- the copy of a table ---- */

/* The table will be copied in this stream, for targets that do not have it. They ignore its changes
 * until the copy has arrived. */
struct frame_copy_due {
    uint32_t relid;
};

/* A chunk's number: rows that are read again, because a target lacks them. */
#define FRAME_COPY_ROWS UINT32_MAX

/* The rows of a table as one snapshot sees them follow, as inserts of xid 0, and no other frame
 * before the copy end: all of them, or a chunk in the order of the table's key. If single rows are
 * read again, deletes with their keys precede the rows that exist. */
struct frame_copy_begin {
    uint32_t relid;
    uint32_t chunk;        /* from 1, or FRAME_COPY_ROWS; 0: the whole table */
    uint64_t lsn;          /* every transaction that the snapshot sees committed before it */
    struct bytes snapshot; /* which those are: snapshot.h */
};

struct frame_copy_end {
    uint32_t relid;
    uint64_t nrows;    /* inserts and deletes since the copy begin */
    struct bytes next; /* where the next chunk begins: for pg-capture; empty: that was the last */
    struct bytes indexes; /* that the table is to get: with chunk 0 or 1; sql/wanted_index.h */
};

void frame_put_copy_due(struct buf *out, const struct frame_copy_due *w);
void frame_put_copy_begin(struct buf *out, const struct frame_copy_begin *x);
void frame_put_copy_end(struct buf *out, const struct frame_copy_end *x);

MUST_CHECK int frame_get_copy_due(const struct frame *f, struct frame_copy_due *w, struct err *err);
MUST_CHECK int frame_get_copy_begin(const struct frame *f, struct frame_copy_begin *x,
                                    struct err *err);
MUST_CHECK int frame_get_copy_end(const struct frame *f, struct frame_copy_end *x, struct err *err);

/* ---- the rest ---- */

struct frame_origin {
    uint64_t commit_lsn; /* at the origin */
    struct bytes name;
};

struct frame_message {
    bool transactional;
    uint32_t xid; /* 0 where not transactional */
    uint64_t lsn;
    struct bytes prefix;
    struct bytes content; /* bin */
};

struct frame_progress {
    uint64_t lsn;
    int64_t server_time_us;
};

struct frame_end {
    struct bytes why;
    uint64_t last_lsn;
};

void frame_put_origin(struct buf *out, const struct frame_origin *o);
void frame_put_message(struct buf *out, const struct frame_message *m);
void frame_put_progress(struct buf *out, const struct frame_progress *k);
void frame_put_end(struct buf *out, const struct frame_end *z);

MUST_CHECK int frame_get_origin(const struct frame *f, struct frame_origin *o, struct err *err);
MUST_CHECK int frame_get_message(const struct frame *f, struct frame_message *m, struct err *err);
MUST_CHECK int frame_get_progress(const struct frame *f, struct frame_progress *k, struct err *err);
MUST_CHECK int frame_get_end(const struct frame *f, struct frame_end *z, struct err *err);

/* The bytes of a zero-terminated string, borrowed and without the zero: to fill in a struct. */
struct bytes bytes_of(const char *s);

/* ---- any of them ---- */

/* The fields of every type but R, which is relation.h's, and I, U, D and T, which are more than a
 * struct. */
union frame_body {
    struct frame_hello hello;
    struct frame_type_info type;
    struct frame_begin begin;
    struct frame_commit commit;
    struct frame_stream_start stream_start;
    struct frame_stream_commit stream_commit;
    struct frame_stream_abort stream_abort;
    struct frame_prepare prepare; /* b, P, p */
    struct frame_commit_prepared commit_prepared;
    struct frame_rollback_prepared rollback_prepared;
    struct frame_origin origin;
    struct frame_message message;
    struct frame_progress progress;
    struct frame_copy_due copy_due;
    struct frame_copy_begin copy_begin;
    struct frame_copy_end copy_end;
    struct frame_end end;
};

void frame_put(struct buf *out, enum frame_type type, const union frame_body *from);
MUST_CHECK int frame_get(const struct frame *f, union frame_body *to, struct err *err);

/* What a field is to a reader; the type of its value in the struct. docs/FRAMES.md, "Field types".
 */
enum frame_field_kind {
    FIELD_U32,
    FIELD_U64,
    FIELD_LSN,  /* uint64_t */
    FIELD_TIME, /* int64_t */
    FIELD_BOOL,
    FIELD_STR,          /* struct bytes */
    FIELD_BIN,          /* struct bytes */
    FIELD_OLD_KIND,     /* char, of struct frame_change */
    FIELD_PUBLICATIONS, /* uint32_t, how many; the rest in struct frame_hello */
    FIELD_TIMELINES,    /* likewise */
    FIELD_RELIDS,       /* uint32_t, how many, in struct frame_truncate; the rest is not there */
};

struct frame_field {
    const char *name; /* as docs/FRAMES.md and frame-dump call it; NULL: nothing is called so */
    enum frame_field_kind kind;
    size_t offset; /* of its value in the struct of its type */
};

/*
 * The fields of a type's body in their order, `*n` of them: what is written, read and shown of it.
 * Of R none, of I, U and D those before the tuples (struct frame_change).
 */
const struct frame_field *frame_fields(enum frame_type type, size_t *n);

static inline const void *frame_field_in(const struct frame_field *field, const void *fields)
{
    return (const char *)fields + field->offset;
}

#endif
