/*
 * fuzz_pgoutput.c - any bytes as what a server sends in a stream: XLogData and keepalive messages
 * with pgoutput messages in them.
 *
 * An input is the protocol's version and the options, then messages, each after its length. What
 * must hold: what is refused is so for good and leaves nothing in the output; what is not gives
 * whole frames, each of which reads back, and the event is that of the message.
 */
#include <stdlib.h>
#include <string.h>

#include <libpq-fe.h>

#include "frames/frame.h"
#include "frames/relmap.h"
#include "pg-capture/pgoutput.h"
#include "pg-capture/replication.h"
#include "tests/fuzz/input.h"
#include "tests/unit/recode.h"

/* In the place of libpq's: the message of the input. */
int __wrap_PQgetCopyData(PGconn *conn, char **buffer, int async);

static const char *next_message;
static size_t next_size;

int __wrap_PQgetCopyData(PGconn *conn, char **buffer, int async)
{
    (void)conn;
    (void)async;
    *buffer = malloc(next_size + 1);
    check(*buffer != NULL, "no memory");
    memcpy(*buffer, next_message, next_size);
    return (int)next_size;
}

/* A catalog that knows all, or nothing, or fails. */
static int look_up(void *ctx, struct relation *rel, const struct pgoutput_place *place,
                   struct err *err)
{
    static char attributes[FRAME_MAX_COLUMNS + 1];
    static uint32_t pk[1] = {0};
    (void)ctx;
    if (rel->relid % 8 == 7)
        return err_set(err, ERR_TEMPORARY, "no answer");
    if (rel->relid % 8 == 6 || place->stage == PLACE_STREAMED)
        return 0;
    for (uint32_t i = 0; i < rel->ncolumns; i++) {
        rel->columns[i].attnum = (int32_t)i + 1;
        rel->columns[i].base_type_oid = rel->columns[i].type_oid;
        rel->columns[i].type_name = "type";
        attributes[i] = ATTRIBUTE_PUBLISHED;
    }
    attributes[rel->ncolumns] = '\0';
    rel->attributes = attributes;
    rel->primary_key_known = true;
    rel->pk = pk;
    rel->npk = rel->ncolumns > 0;
    return 0;
}

static bool was_empty(void *ctx, uint32_t xid, uint64_t commit_lsn, uint64_t end_lsn)
{
    (void)ctx;
    (void)commit_lsn;
    (void)end_lsn;
    return xid % 2 == 0;
}

static void check_frames(const struct buf *out, size_t at, struct relmap *relations)
{
    while (at < out->len) {
        struct frame f;
        struct err err = {0};
        struct buf again = {0};
        check(out->len - at >= FRAME_HEADER_SIZE &&
                  frame_header(out->data + at, &f.type, &f.size, &err) == 0 &&
                  f.size <= out->len - at - FRAME_HEADER_SIZE,
              "what is put out is no frame");
        f.body = out->data + at + FRAME_HEADER_SIZE;
        check(recode(&f, relations, &again, &err) == 0, "a frame is refused by its reader");
        check(again.len == frame_length(&f) && memcmp(again.data, frame_start(&f), again.len) == 0,
              "a frame is another one when it is read");
        if (f.type == FRAME_RELATION) {
            struct relation *rel;
            check(relation_from_frame(&f, &rel, &err) == 0 && relmap_set(relations, rel, &err) == 0,
                  "a relation is not kept");
            relation_unref(rel);
        }
        buf_free(&again);
        at += frame_length(&f);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct input in = input(data, size);
    uint8_t options = input_u8(&in);
    const struct pgoutput_config config = {
        .protocol_version = 1 + (options & 3),
        .parallel = options & 4,
        .types_look_ms = options & 8 ? 0 : INT64_MAX / 2,
        .lookup = options & 16 ? look_up : NULL,
        .was_empty = options & 32 ? was_empty : NULL,
    };
    struct pgoutput *d = pgoutput_new(&config);
    struct replication r = {0};
    struct relmap relations = {0};
    struct buf out = {0};
    int rc = d ? 0 : -1;
    while (rc == 0 && input_left(&in) > 0) {
        struct replication_message m;
        struct err err = {0};
        next_size = input_number(&in, 2);
        if (next_size > input_left(&in))
            next_size = input_left(&in);
        next_message = (const char *)in.pos;
        in.pos += next_size;
        if (next_size == 0)
            continue;
        rc = replication_next(&r, &m, &err);
        if (rc < 0) {
            check_refusal(&err);
            break;
        }
        rc = 0;
        if (m.keepalive)
            continue;
        struct pgoutput_event event;
        size_t before = out.len;
        uint8_t *copy = malloc(m.size + 1);
        check(copy != NULL, "no memory");
        memcpy(copy, m.data, m.size);
        copy = realloc(copy, m.size ? m.size : 1); /* so that a read beyond it is seen */
        rc = pgoutput_decode(d, copy, m.size, &out, &event, &err);
        if (rc) {
            check(err.kind == ERR_PERMANENT || err.kind == ERR_TEMPORARY, "an error of no kind");
            check(err.text[0] != '\0', "an error without a text");
            check(out.len == before, "a message that is refused leaves something");
        } else {
            check(event.type == (char)copy[0], "the event is of another message");
            check(!event.whole || event.end_lsn != 0 || strchr("CcK", event.type),
                  "a transaction ends with another message");
        }
        free(copy);
        check_frames(&out, before, &relations);
    }
    PQfreemem(r.message);
    pgoutput_free(d);
    relmap_clear(&relations);
    buf_free(&out);
    return 0;
}
