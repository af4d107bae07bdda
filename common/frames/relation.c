#include "frames/relation.h"

#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "frames/frame.h"
#include "frames/frame_writer.h"

/* A PostgreSQL name is shorter than NAMEDATALEN (64), which a build may raise; a type's name with
 * its modifier is longer. */
#define MAX_NAME        1024
#define MAX_KEY_COLUMNS 32 /* INDEX_MAX_KEYS */

/*
 * Everything of a relation lies in one block: the struct, the columns, the key, the strings, the
 * frame.
 * Decoding runs twice over the frame: the first time without a block, to find the size and to
 * check, the second time to fill.
 */
struct arena {
    char *base; /* NULL in the first pass */
    size_t used;
};

static void *take(struct arena *a, size_t size, size_t align)
{
    a->used = (a->used + align - 1) / align * align;
    void *p = a->base ? a->base + a->used : NULL;
    a->used += size;
    return p;
}

static const char *take_str(struct arena *a, struct bytes s)
{
    char *p = take(a, s.size + 1, 1);
    if (!p)
        return NULL;
    memcpy(p, s.data, s.size);
    p[s.size] = '\0';
    return p;
}

static struct bytes get_name(struct mp_cursor *c, bool may_be_empty)
{
    struct bytes s = mp_str(c);
    if (s.size > MAX_NAME || memchr(s.data, '\0', s.size))
        mp_fault(c, "a name that is too long or has a zero in it");
    else if (s.size == 0 && !may_be_empty)
        mp_fault(c, "an empty name");
    return c->fault ? (struct bytes){"", 0} : s;
}

static struct bytes get_text(struct mp_cursor *c)
{
    struct bytes s = mp_str(c);
    if (memchr(s.data, '\0', s.size))
        mp_fault(c, "a text with a zero in it");
    return c->fault ? (struct bytes){"", 0} : s;
}

static const char **decode_texts(struct mp_cursor *c, struct arena *a, uint32_t *n)
{
    *n = mp_array(c);
    const char **texts = take(a, *n * sizeof *texts, _Alignof(const char *));
    for (uint32_t i = 0; i < *n && !c->fault; i++) {
        const char *text = take_str(a, get_text(c));
        if (texts)
            texts[i] = text;
    }
    return texts;
}

static void decode_fill(struct mp_cursor *c, struct arena *a, struct column *col)
{
    struct bytes fill;
    switch (mp_peek(c)) {
    case MP_NIL:
        (void)mp_nil(c);
        col->fill = FILL_NULL;
        return;
    case MP_BOOL:
        if (mp_bool(c))
            mp_fault(c, "true where only false, nil, str or bin belong");
        col->fill = FILL_UNKNOWN;
        return;
    case MP_BIN:
        fill = mp_bin(c);
        col->fill_is_bytes = true;
        break;
    default:
        fill = mp_str(c);
    }
    col->fill = FILL_VALUE;
    col->fill_value = take_str(a, fill);
    col->fill_size = fill.size;
}

static void decode_column(struct mp_cursor *c, struct arena *a, struct column *col)
{
    struct column scratch;
    if (!col)
        col = &scratch;
    uint32_t nfields = mp_array(c);
    if (nfields != 9 && nfields != 10)
        mp_fault(c, "a column that is not an array of 9 or 10");
    col->name = take_str(a, get_name(c, false));
    col->type_oid = mp_u32(c);
    col->typmod = mp_i32(c);
    col->key = mp_bool(c);
    col->attnum = mp_nil(c) ? 0 : mp_i32(c);
    col->not_null = mp_nil(c) ? false : mp_bool(c);
    col->base_type_oid = mp_nil(c) ? col->type_oid : mp_u32(c);
    col->type_name = take_str(a, mp_nil(c) ? (struct bytes){"", 0} : get_name(c, true));
    col->fill_is_bytes = false;
    col->fill_value = NULL;
    col->fill_size = 0;
    col->type_parts = NULL;
    col->ntype_parts = 0;
    decode_fill(c, a, col);
    if (nfields == 10)
        col->type_parts = decode_texts(c, a, &col->ntype_parts);
}

/* A letter for each attnum; no more than the table may have had. */
static const char *decode_attributes(struct mp_cursor *c, struct arena *a)
{
    struct bytes states = mp_str(c);
    if (states.size > FRAME_MAX_COLUMNS)
        mp_fault(c, "too many attributes");
    for (size_t i = 0; i < states.size; i++)
        if (!strchr(ATTRIBUTE_STATES, states.data[i]) || states.data[i] == '\0')
            mp_fault(c, "an unknown state of an attribute");
    return take_str(a, states);
}

static void decode_files(struct mp_cursor *c, struct arena *a, struct relation *rel)
{
    rel->nfiles = mp_array(c);
    rel->files = take(a, rel->nfiles * sizeof *rel->files, _Alignof(struct relation_file));
    for (uint32_t i = 0; i < rel->nfiles && !c->fault; i++) {
        if (mp_array(c) != 4)
            mp_fault(c, "a file that is not an array of 4");
        struct relation_file f = {.relid = mp_u32(c), .node = mp_u32(c), .toast = mp_u32(c)};
        struct bytes persistence = mp_str(c);
        if (persistence.size != 1)
            mp_fault(c, "a persistence that is not one letter");
        else
            f.persistence = *persistence.data;
        if (rel->files)
            rel->files[i] = f;
    }
}

static struct relation *decode(struct mp_cursor *c, struct arena *a)
{
    struct relation scratch;
    struct relation *out = take(a, sizeof *out, _Alignof(struct relation));
    struct relation *rel = out ? out : &scratch;
    rel->relid = mp_u32(c);
    rel->namespace = take_str(a, get_name(c, false));
    rel->name = take_str(a, get_name(c, false));
    struct bytes identity = mp_str(c);
    if (identity.size == 1 && memchr("dnfip", *identity.data, 5))
        rel->replica_identity = *identity.data;
    else
        mp_fault(c, "an unknown replica identity");
    rel->ncolumns = mp_array(c);
    if (rel->ncolumns > FRAME_MAX_COLUMNS)
        mp_fault(c, "too many columns");
    if (c->fault)
        return out;
    rel->columns = take(a, rel->ncolumns * sizeof *rel->columns, _Alignof(struct column));
    for (uint32_t i = 0; i < rel->ncolumns && !c->fault; i++)
        decode_column(c, a, rel->columns ? &rel->columns[i] : NULL);
    rel->npk = 0;
    rel->pk = NULL;
    rel->primary_key_known = !mp_nil(c);
    if (rel->primary_key_known) {
        uint32_t n = mp_array(c);
        if (n > MAX_KEY_COLUMNS)
            mp_fault(c, "too many columns in the primary key");
        if (c->fault)
            return out;
        rel->npk = n;
        rel->pk = take(a, n * sizeof *rel->pk, _Alignof(uint32_t));
        for (uint32_t i = 0; i < n; i++) {
            uint32_t at = mp_u32(c);
            if (at >= rel->ncolumns)
                mp_fault(c, "a primary key column that the relation does not have");
            if (rel->pk)
                rel->pk[i] = at;
        }
    }
    rel->attributes = NULL;
    rel->files = NULL;
    rel->nfiles = 0;
    rel->memberships = NULL;
    rel->nmemberships = 0;
    if (c->fault || c->pos == c->end)
        return out;
    rel->attributes = decode_attributes(c, a);
    decode_files(c, a, rel);
    rel->memberships = decode_texts(c, a, &rel->nmemberships);
    return out;
}

int relation_from_frame(const struct frame *frame, struct relation **rel, struct err *err)
{
    if (frame->type != FRAME_RELATION)
        BUG("not a relation frame");
    struct arena a = {NULL, 0};
    struct mp_cursor c = mp_cursor(frame->body, frame->size);
    (void)decode(&c, &a);
    if (mp_end(&c, "relation", err))
        return err_context(err, "malformed frame");
    a.base = malloc(a.used + frame_length(frame));
    if (!a.base)
        return err_nomem(err);
    a.used = 0;
    c = mp_cursor(frame->body, frame->size);
    *rel = decode(&c, &a);
    uint8_t *copy = take(&a, frame_length(frame), 1);
    frame_write_header(copy, frame->type, frame->size);
    memcpy(copy + FRAME_HEADER_SIZE, frame->body, frame->size);
    (*rel)->frame = copy;
    (*rel)->frame_size = frame_length(frame);
    (*rel)->refs = 1;
    return 0;
}

int relation_from_bytes(const void *data, size_t size, struct relation **rel, struct err *err)
{
    struct frame f;
    if (size < FRAME_HEADER_SIZE || frame_header(data, &f.type, &f.size, err) ||
        f.type != FRAME_RELATION || f.size != size - FRAME_HEADER_SIZE)
        return err_set(err, ERR_PERMANENT, "not a relation frame");
    f.body = (const uint8_t *)data + FRAME_HEADER_SIZE;
    return relation_from_frame(&f, rel, err);
}

struct relation *relation_ref(struct relation *rel)
{
    if (rel->refs == 0)
        BUG("a reference to a relation that is not counted");
    rel->refs++;
    return rel;
}

void relation_unref(struct relation *rel)
{
    if (rel && --rel->refs == 0)
        free(rel);
}

bool relation_same_frame(const struct relation *a, const struct relation *b)
{
    return a->frame && b->frame && a->frame_size == b->frame_size &&
           memcmp(a->frame, b->frame, a->frame_size) == 0;
}

bool relation_is_of_frame(const struct relation *rel, const struct frame *frame)
{
    return rel->frame && frame->type == FRAME_RELATION && rel->frame_size == frame_length(frame) &&
           memcmp(rel->frame + FRAME_HEADER_SIZE, frame->body, frame->size) == 0;
}

uint32_t relation_frame_relid(const struct frame *frame)
{
    struct mp_cursor c = mp_cursor(frame->body, frame->size);
    return mp_u32(&c);
}

#define PACK(call) ((void)(call))

static void pack_fill(struct frame_writer *w, const struct column *col)
{
    switch (col->fill) {
    case FILL_UNKNOWN:
        frame_pack_bool(w, false);
        break;
    case FILL_NULL:
        PACK(msgpack_pack_nil(&w->pk));
        break;
    case FILL_VALUE:
        if (col->fill_is_bytes)
            frame_pack_bin(w, col->fill_value, col->fill_size);
        else
            frame_pack_bytes_as_str(w, col->fill_value, col->fill_size);
    }
}

static void pack_texts(struct frame_writer *w, uint32_t n, const char *const *texts)
{
    PACK(msgpack_pack_array(&w->pk, n));
    for (uint32_t i = 0; i < n; i++)
        frame_pack_str(w, texts[i]);
}

static void pack_evidence(struct frame_writer *w, const struct relation *rel)
{
    frame_pack_str(w, rel->attributes);
    PACK(msgpack_pack_array(&w->pk, rel->nfiles));
    for (uint32_t i = 0; i < rel->nfiles; i++) {
        const struct relation_file *f = &rel->files[i];
        PACK(msgpack_pack_array(&w->pk, 4));
        PACK(msgpack_pack_uint32(&w->pk, f->relid));
        PACK(msgpack_pack_uint32(&w->pk, f->node));
        PACK(msgpack_pack_uint32(&w->pk, f->toast));
        frame_pack_bytes_as_str(w, &f->persistence, 1);
    }
    pack_texts(w, rel->nmemberships, rel->memberships);
}

void relation_to_frame(const struct relation *rel, struct buf *out)
{
    struct frame_writer w;
    frame_open(&w, out, FRAME_RELATION);
    PACK(msgpack_pack_uint32(&w.pk, rel->relid));
    frame_pack_str(&w, rel->namespace);
    frame_pack_str(&w, rel->name);
    frame_pack_bytes_as_str(&w, &rel->replica_identity, 1);
    PACK(msgpack_pack_array(&w.pk, rel->ncolumns));
    for (uint32_t i = 0; i < rel->ncolumns; i++) {
        const struct column *col = &rel->columns[i];
        PACK(msgpack_pack_array(&w.pk, col->ntype_parts > 0 ? 10 : 9));
        frame_pack_str(&w, col->name);
        PACK(msgpack_pack_uint32(&w.pk, col->type_oid));
        PACK(msgpack_pack_int32(&w.pk, col->typmod));
        frame_pack_bool(&w, col->key);
        if (col->attnum > 0)
            PACK(msgpack_pack_int32(&w.pk, col->attnum));
        else
            PACK(msgpack_pack_nil(&w.pk));
        if (*col->type_name) {
            frame_pack_bool(&w, col->not_null);
            PACK(msgpack_pack_uint32(&w.pk, col->base_type_oid));
            frame_pack_str(&w, col->type_name);
        } else {
            for (int nils = 0; nils < 3; nils++)
                PACK(msgpack_pack_nil(&w.pk));
        }
        pack_fill(&w, col);
        if (col->ntype_parts > 0)
            pack_texts(&w, col->ntype_parts, col->type_parts);
    }
    if (rel->primary_key_known) {
        PACK(msgpack_pack_array(&w.pk, rel->npk));
        for (uint32_t i = 0; i < rel->npk; i++)
            PACK(msgpack_pack_uint32(&w.pk, rel->pk[i]));
    } else {
        PACK(msgpack_pack_nil(&w.pk));
    }
    if (rel->attributes)
        pack_evidence(&w, rel);
    frame_close(&w);
}

int relation_column(const struct relation *rel, const char *name)
{
    for (uint32_t i = 0; i < rel->ncolumns; i++)
        if (strcmp(rel->columns[i].name, name) == 0)
            return (int)i;
    return -1;
}

bool relation_same_message(const struct relation *a, const struct relation *b)
{
    /* That a table has partitions, and so what identifies their rows, is looked up. */
    bool known = !relation_has_partitions(a) && !relation_has_partitions(b);
    if (a->relid != b->relid || strcmp(a->namespace, b->namespace) != 0 ||
        strcmp(a->name, b->name) != 0 || a->ncolumns != b->ncolumns ||
        (known && a->replica_identity != b->replica_identity))
        return false;
    for (uint32_t i = 0; i < a->ncolumns; i++) {
        const struct column *c = &a->columns[i], *d = &b->columns[i];
        if (strcmp(c->name, d->name) != 0 || c->type_oid != d->type_oid ||
            (known && c->key != d->key))
            return false;
        /* A domain's modifier is looked up. */
        if (c->base_type_oid == c->type_oid && d->base_type_oid == d->type_oid &&
            c->typmod != d->typmod)
            return false;
    }
    return true;
}
