#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "frame_script.h"
#include "frames/frame.h"
#include "frames/frame_writer.h"
#include "frames/relation.h"

/* Every transaction of a script commits at the same time, unless it says @. */
#define TIME_US INT64_C(700000000000000)

/* ---- text to frames ---- */

static struct bytes word(char **line)
{
    char *w = strsep(line, " ");
    if (!w || !*w)
        fail_msg("a field is missing in a frame script");
    return bytes_of(w);
}

static uint64_t number(char **line)
{
    return strtoull(word(line).data, NULL, 10);
}

static uint32_t number32(char **line)
{
    return (uint32_t)number(line);
}

static void put_hello(struct buf *out, char **line)
{
    struct frame_hello h = {
        .format_version = FRAME_FORMAT_VERSION,
        .producer = bytes_of("script"),
        .producer_version = bytes_of("1"),
        .system_identifier = bytes_of("7000000000000000001"),
        .timeline = 1,
        .database = bytes_of("db"),
        .slot = bytes_of("slot"),
        .npublications = 1,
        .publications = {bytes_of("pub")},
        .start_lsn = number(line),
        .server_version = 150018,
        .protocol_version = 3,
        .options = bytes_of(""),
    };
    h.wal_lsn = h.start_lsn + 1000000; /* beyond what a script tells */
    frame_put_hello(out, &h);
}

static void put_relation(struct buf *out, char **line)
{
    char name[32], column[32];
    uint32_t relid = number32(line);
    (void)snprintf(name, sizeof name, "t%u", relid);
    (void)snprintf(column, sizeof column, "v%s", word(line).data);
    size_t end = strlen(column) - 1;
    bool unknown = column[end] == '?';
    if (unknown)
        column[end] = '\0';
    struct column columns[2] = {
        {.name = "id",
         .type_oid = 23,
         .base_type_oid = 23,
         .typmod = -1,
         .attnum = 1,
         .key = true,
         .not_null = true,
         .type_name = "integer",
         .fill = FILL_NULL},
        {.name = column,
         .type_oid = 25,
         .base_type_oid = 25,
         .typmod = -1,
         .attnum = 2,
         .type_name = "text",
         .fill = FILL_NULL},
    };
    uint32_t pk[1] = {0};
    const struct relation rel = {
        .relid = relid,
        .namespace = "public",
        .name = name,
        .replica_identity = REPLICA_IDENTITY_DEFAULT,
        .primary_key_known = true,
        .ncolumns = 2,
        .columns = columns,
        .npk = 1,
        .pk = pk,
    };
    if (unknown)
        columns[1].attnum = 0;
    relation_to_frame(&rel, out);
}

static void put_tuple(struct frame_writer *w, struct bytes value)
{
    struct value v[2] = {{.kind = VALUE_TEXT, .size = (uint32_t)value.size, .data = value.data},
                         {.kind = VALUE_NULL}};
    char *many = NULL;
    if (value.size > 1 && value.data[value.size - 1] == '^') {
        v[0].size--;
        v[1].kind = VALUE_UNCHANGED;
    }
    if (value.size > 2 && value.data[1] == '*') {
        v[0].size = (uint32_t)strtoul(value.data + 2, NULL, 10);
        many = malloc(v[0].size);
        assert_non_null(many);
        memset(many, value.data[0], v[0].size);
        v[0].data = many;
    }
    (void)msgpack_pack_array(&w->pk, 2);
    frame_pack_value(w, &v[0]);
    frame_pack_value(w, &v[1]);
    free(many);
}

static void put_change(struct buf *out, enum frame_type type, char **line)
{
    struct frame_change c = {.xid = number32(line)};
    c.relid = number32(line);
    c.old_kind = type == FRAME_DELETE ? 'K' : 0;
    struct frame_writer w;
    frame_open_change(&w, out, type, &c);
    if (type == FRAME_DELETE) {
        put_tuple(&w, word(line));
        (void)msgpack_pack_nil(&w.pk);
    } else {
        (void)msgpack_pack_nil(&w.pk);
        put_tuple(&w, word(line));
    }
    frame_close(&w);
}

static void put_truncate(struct buf *out, char **line)
{
    struct frame_truncate t = {.xid = number32(line)};
    uint32_t relids[16];
    char *list = (char *)(uintptr_t)word(line).data;
    for (char *relid; (relid = strsep(&list, ",")) && t.nrelids < 16;)
        relids[t.nrelids++] = (uint32_t)strtoul(relid, NULL, 10);
    frame_put_truncate(out, &t, relids);
}

static void put_prepare(struct buf *out, enum frame_type type, char **line)
{
    struct frame_prepare p = {.xid = number32(line), .prepare_time_us = TIME_US};
    p.prepare_lsn = number(line);
    p.end_lsn = p.prepare_lsn + 1;
    p.gid = word(line);
    frame_put_prepare(out, type, &p);
}

static void put_frame(struct buf *out, int64_t time_us, char *line)
{
    enum frame_type type = (enum frame_type) * word(&line).data;
    switch (type) {
    case FRAME_HELLO:
        put_hello(out, &line);
        break;
    case FRAME_RELATION:
        put_relation(out, &line);
        break;
    case FRAME_TYPE: {
        struct frame_type_info y = {number32(&line), bytes_of("public"), bytes_of("mood")};
        frame_put_type(out, &y);
        break;
    }
    case FRAME_BEGIN: {
        struct frame_begin b = {.xid = number32(&line), .commit_time_us = time_us};
        b.final_lsn = number(&line);
        frame_put_begin(out, &b);
        break;
    }
    case FRAME_INSERT:
    case FRAME_UPDATE:
    case FRAME_DELETE:
        put_change(out, type, &line);
        break;
    case FRAME_TRUNCATE:
        put_truncate(out, &line);
        break;
    case FRAME_COMMIT: {
        struct frame_commit c = {.xid = number32(&line), .commit_time_us = time_us};
        c.commit_lsn = number(&line);
        c.end_lsn = number(&line);
        c.nchanges = number(&line);
        frame_put_commit(out, &c);
        break;
    }
    case FRAME_STREAM_START: {
        struct frame_stream_start s = {.xid = number32(&line)};
        s.first = number(&line) == 1;
        frame_put_stream_start(out, &s);
        break;
    }
    case FRAME_STREAM_STOP:
        frame_put_stream_stop(out);
        break;
    case FRAME_STREAM_COMMIT: {
        struct frame_stream_commit c = {.xid = number32(&line), .commit_time_us = TIME_US};
        c.commit_lsn = number(&line);
        c.end_lsn = number(&line);
        frame_put_stream_commit(out, &c);
        break;
    }
    case FRAME_STREAM_ABORT: {
        struct frame_stream_abort a = {.xid = number32(&line)};
        a.subxid = number32(&line);
        frame_put_stream_abort(out, &a);
        break;
    }
    case FRAME_BEGIN_PREPARE:
    case FRAME_PREPARE:
    case FRAME_STREAM_PREPARE:
        put_prepare(out, type, &line);
        break;
    case FRAME_COMMIT_PREPARED: {
        struct frame_commit_prepared k = {.xid = number32(&line), .commit_time_us = TIME_US};
        k.commit_lsn = number(&line);
        k.end_lsn = number(&line);
        k.gid = word(&line);
        frame_put_commit_prepared(out, &k);
        break;
    }
    case FRAME_ROLLBACK_PREPARED: {
        struct frame_rollback_prepared r = {.xid = number32(&line)};
        r.gid = word(&line);
        frame_put_rollback_prepared(out, &r);
        break;
    }
    case FRAME_ORIGIN: {
        struct frame_origin o = {0, word(&line)};
        frame_put_origin(out, &o);
        break;
    }
    case FRAME_MESSAGE: {
        struct frame_message m = {.xid = number32(&line), .prefix = bytes_of("test")};
        m.transactional = m.xid != 0;
        m.content = word(&line);
        frame_put_message(out, &m);
        break;
    }
    case FRAME_PROGRESS: {
        struct frame_progress k = {.lsn = number(&line), .server_time_us = time_us};
        frame_put_progress(out, &k);
        break;
    }
    case FRAME_COPY_DUE: {
        struct frame_copy_due w = {number32(&line)};
        frame_put_copy_due(out, &w);
        break;
    }
    case FRAME_COPY_BEGIN: {
        struct frame_copy_begin x = {.relid = number32(&line), .snapshot = bytes_of("10:10:")};
        x.chunk = number32(&line);
        x.lsn = number(&line);
        frame_put_copy_begin(out, &x);
        break;
    }
    case FRAME_COPY_END: {
        struct frame_copy_end x = {.relid = number32(&line)};
        x.nrows = number(&line);
        x.next = line ? word(&line) : (struct bytes){0};
        frame_put_copy_end(out, &x);
        break;
    }
    case FRAME_END: {
        struct frame_end z = {.why = word(&line)};
        z.last_lsn = number(&line);
        frame_put_end(out, &z);
        break;
    }
    default:
        fail_msg("unknown frame type in a frame script");
    }
    if (line)
        fail_msg("too many fields in a frame script: %s", line);
}

void script_frames(struct buf *out, const char *script)
{
    char *copy = strdup(script);
    assert_non_null(copy);
    char *rest = copy;
    int64_t time_us = TIME_US;
    for (char *line; (line = strsep(&rest, ";\n"));) {
        line += strspn(line, " ");
        for (size_t n = strlen(line); n > 0 && line[n - 1] == ' '; n--)
            line[n - 1] = '\0';
        if (*line == '@')
            time_us = TIME_US + strtoll(line + 1, NULL, 10);
        else if (*line)
            put_frame(out, time_us, line);
    }
    free(copy);
    assert_false(out->failed);
}

/* ---- frames to text ---- */

static void print_value(struct buf *out, struct mp_cursor *c)
{
    struct value v[2] = {{.kind = VALUE_NULL}, {.kind = VALUE_NULL}};
    while (mp_nil(c))
        continue;
    (void)frame_get_tuple(c, v, 2);
    if (v[0].size > 2 && v[0].data[0] == v[0].data[1])
        buf_printf(out, "%c*%u", v[0].data[0], v[0].size);
    else
        buf_printf(out, "%.*s", (int)v[0].size, v[0].data ? v[0].data : "");
}

#define TEXT(b) (int)(b).size, (b).data

static void print_frame(struct buf *out, const struct frame *f)
{
    struct err err = {0};
    struct mp_cursor c;
    int bad = 0;
    buf_printf(out, "%c", f->type);
    switch (f->type) {
    case FRAME_HELLO: {
        struct frame_hello h;
        bad = frame_get_hello(f, &h, &err);
        buf_printf(out, " %ju", (uintmax_t)h.start_lsn);
        break;
    }
    case FRAME_RELATION: {
        struct relation *rel;
        bad = relation_from_frame(f, &rel, &err);
        if (!bad) {
            buf_printf(out, " %u %s%s", rel->relid, rel->columns[1].name + 1,
                       rel->columns[1].attnum ? "" : "?");
            relation_unref(rel);
        }
        break;
    }
    case FRAME_BEGIN: {
        struct frame_begin b;
        bad = frame_get_begin(f, &b, &err);
        buf_printf(out, " %u %ju", b.xid, (uintmax_t)b.final_lsn);
        bad |= b.commit_time_us != TIME_US;
        break;
    }
    case FRAME_INSERT:
    case FRAME_UPDATE:
    case FRAME_DELETE: {
        struct frame_change ch;
        bad = frame_get_change(f, &ch, &c, &err);
        buf_printf(out, " %u %u ", ch.xid, ch.relid);
        print_value(out, &c);
        break;
    }
    case FRAME_TRUNCATE: {
        struct frame_truncate t;
        bad = frame_get_truncate(f, &t, &c, &err);
        buf_printf(out, " %u ", t.xid);
        for (uint32_t i = 0; !bad && i < t.nrelids; i++)
            buf_printf(out, "%s%u", i ? "," : "", mp_u32(&c));
        break;
    }
    case FRAME_COMMIT: {
        struct frame_commit m;
        bad = frame_get_commit(f, &m, &err);
        buf_printf(out, " %u %ju %ju %ju", m.xid, (uintmax_t)m.commit_lsn, (uintmax_t)m.end_lsn,
                   (uintmax_t)m.nchanges);
        bad |= m.commit_time_us != TIME_US;
        break;
    }
    case FRAME_ORIGIN: {
        struct frame_origin o;
        bad = frame_get_origin(f, &o, &err);
        buf_printf(out, " %.*s", TEXT(o.name));
        break;
    }
    case FRAME_MESSAGE: {
        struct frame_message m;
        bad = frame_get_message(f, &m, &err);
        buf_printf(out, " %u %.*s", m.xid, TEXT(m.content));
        break;
    }
    case FRAME_PROGRESS: {
        struct frame_progress k;
        bad = frame_get_progress(f, &k, &err);
        buf_printf(out, " %ju", (uintmax_t)k.lsn);
        break;
    }
    case FRAME_COPY_DUE: {
        struct frame_copy_due w;
        bad = frame_get_copy_due(f, &w, &err);
        buf_printf(out, " %u", w.relid);
        break;
    }
    case FRAME_COPY_BEGIN: {
        struct frame_copy_begin x;
        bad = frame_get_copy_begin(f, &x, &err);
        buf_printf(out, " %u %u %ju", x.relid, x.chunk, (uintmax_t)x.lsn);
        break;
    }
    case FRAME_COPY_END: {
        struct frame_copy_end x;
        bad = frame_get_copy_end(f, &x, &err);
        buf_printf(out, " %u %ju %.*s", x.relid, (uintmax_t)x.nrows, TEXT(x.next));
        break;
    }
    case FRAME_END: {
        struct frame_end z;
        bad = frame_get_end(f, &z, &err);
        buf_printf(out, " %.*s %ju", TEXT(z.why), (uintmax_t)z.last_lsn);
        break;
    }
    default:
        break; /* the letter is enough for what should not come out of an assembler */
    }
    buf_append_str(out, bad ? " (bad)\n" : "\n");
}

void frames_script(struct buf *out, const void *frames, size_t size)
{
    const uint8_t *at = frames;
    struct err err = {0};
    while (size > 0) {
        struct frame f;
        if (size < FRAME_HEADER_SIZE || frame_header(at, &f.type, &f.size, &err) ||
            f.size > size - FRAME_HEADER_SIZE) {
            buf_append_str(out, "?\n");
            return;
        }
        f.body = at + FRAME_HEADER_SIZE;
        print_frame(out, &f);
        at += frame_length(&f);
        size -= frame_length(&f);
    }
}
