/*
 * workload: what a server would send, through pg-capture's decoder, onto stdout as frames. They are
 * the same each time, so that tests/t/69_instructions.t can count the instructions of
 * pgoutput_decode() here, and those of the programs that the frames go through.
 *
 * usage: workload NAME UNITS >raw.frames
 *
 * One transaction fills the table. What comes then is
 *
 *   tiny    transactions of an update and an insert
 *   big     one transaction of inserts, in stream blocks
 *   update  updates, ten a transaction, each of another row
 */
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/exit.h"
#include "frames/frame.h"
#include "frames/frame_output.h"
#include "frames/pg_type.h"
#include "pg-capture/pgoutput.h"

enum {
    TABLE = 16400,
    INITIAL = 3000, /* rows */
    BLOCK = 1000,   /* changes of a stream block */
    SPREAD = 7919,  /* has no divisor with INITIAL, so that steps of it visit each row once */
};

struct world {
    struct pgoutput *decoder;
    struct frame_output out;
    struct buf message;
    uint64_t lsn;
    uint32_t xid;
    bool streamed;
};

/* ---- messages ---- */

static void put_number(struct buf *b, uint64_t v, int bytes)
{
    for (int i = bytes - 1; i >= 0; i--)
        buf_append_byte(b, (uint8_t)(v >> (8 * i)));
}

static void put_value(struct buf *b, const char *fmt, ...) PRINTF_LIKE(2, 3);

static void put_value(struct buf *b, const char *fmt, ...)
{
    char text[200];
    va_list ap;
    va_start(ap, fmt);
    int n = vsnprintf(text, sizeof text, fmt, ap);
    va_end(ap);
    buf_append_byte(b, 't');
    put_number(b, (uint64_t)n, 4);
    buf_append(b, text, (size_t)n);
}

/* A message's letter; in a stream block the xid follows. */
static void message(struct world *w, char type)
{
    buf_reset(&w->message, SIZE_MAX);
    buf_append_byte(&w->message, (uint8_t)type);
    if (w->streamed && !strchr("SEc", type))
        put_number(&w->message, w->xid, 4);
}

static int send(struct world *w, struct err *err)
{
    struct pgoutput_event event;
    if (buf_check(&w->message, err) ||
        pgoutput_decode(w->decoder, w->message.data, w->message.len, &w->out.out.buf, &event, err))
        return -1;
    return frame_output_pending(&w->out) > 60000 ? frame_output_flush(&w->out, err) : 0;
}

static int relation(struct world *w, struct err *err)
{
    static const struct {
        const char *name;
        uint32_t type;
    } columns[] = {
        {"id", PG_TYPE_INT8},       {"n", PG_TYPE_INT8},         {"word", PG_TYPE_TEXT},
        {"price", PG_TYPE_NUMERIC}, {"at", PG_TYPE_TIMESTAMPTZ},
    };
    struct buf *b = &w->message;
    message(w, 'R');
    put_number(b, TABLE, 4);
    buf_append(b, "public", sizeof "public");
    buf_append(b, "item", sizeof "item");
    buf_append_byte(b, 'd');
    put_number(b, sizeof columns / sizeof *columns, 2);
    for (size_t i = 0; i < sizeof columns / sizeof *columns; i++) {
        buf_append_byte(b, i == 0);
        buf_append(b, columns[i].name, strlen(columns[i].name) + 1);
        put_number(b, columns[i].type, 4);
        put_number(b, UINT32_MAX, 4);
    }
    return send(w, err);
}

static int change(struct world *w, char type, uint64_t id, uint64_t n, struct err *err)
{
    struct buf *b = &w->message;
    message(w, type);
    put_number(b, TABLE, 4);
    buf_append_byte(b, 'N');
    put_number(b, 5, 2);
    put_value(b, "%llu", (unsigned long long)id);
    put_value(b, "%llu", (unsigned long long)n);
    put_value(b, "the word of row %llu, as long as words are %llu", (unsigned long long)id,
              (unsigned long long)n);
    put_value(b, "%llu.%02llu", (unsigned long long)(id / 100), (unsigned long long)(id % 100));
    put_value(b, "2026-01-%02llu 12:%02llu:%02llu.%06llu+00", (unsigned long long)(1 + id % 28),
              (unsigned long long)(id % 60), (unsigned long long)(n % 60),
              (unsigned long long)(id % 1000000));
    return send(w, err);
}

static int begin(struct world *w, struct err *err)
{
    w->lsn += 1000;
    w->xid++;
    message(w, 'B');
    put_number(&w->message, w->lsn, 8);
    put_number(&w->message, w->lsn, 8); /* as the time, too */
    put_number(&w->message, w->xid, 4);
    return send(w, err);
}

static int commit(struct world *w, struct err *err)
{
    message(w, w->streamed ? 'c' : 'C');
    if (w->streamed)
        put_number(&w->message, w->xid, 4);
    buf_append_byte(&w->message, 0);
    put_number(&w->message, w->lsn, 8);
    put_number(&w->message, w->lsn + 100, 8);
    put_number(&w->message, w->lsn, 8);
    return send(w, err);
}

static int block_begin(struct world *w, bool first, struct err *err)
{
    message(w, 'S');
    put_number(&w->message, w->xid, 4);
    buf_append_byte(&w->message, first);
    return send(w, err);
}

static int block_end(struct world *w, struct err *err)
{
    message(w, 'E');
    return send(w, err);
}

/* ---- workloads ---- */

static int fill(struct world *w, struct err *err)
{
    if (begin(w, err) || relation(w, err))
        return -1;
    for (uint64_t i = 0; i < INITIAL; i++) {
        if (change(w, 'I', i, 0, err))
            return -1;
    }
    return commit(w, err);
}

static int tiny(struct world *w, uint64_t units, struct err *err)
{
    for (uint64_t i = 0; i < units; i++) {
        if (begin(w, err) || change(w, 'U', i * SPREAD % INITIAL, i, err) ||
            change(w, 'I', INITIAL + i, 0, err) || commit(w, err))
            return -1;
    }
    return 0;
}

static int big(struct world *w, uint64_t units, struct err *err)
{
    w->lsn += 1000;
    w->xid++;
    w->streamed = true;
    for (uint64_t i = 0; i < units; i++) {
        if (i % BLOCK == 0 && (block_begin(w, i == 0, err) || (i == 0 && relation(w, err))))
            return -1;
        if (change(w, 'I', INITIAL + i, 0, err) ||
            ((i % BLOCK == BLOCK - 1 || i == units - 1) && block_end(w, err)))
            return -1;
    }
    return commit(w, err);
}

static int update(struct world *w, uint64_t units, struct err *err)
{
    for (uint64_t i = 0; i < units; i++) {
        if ((i % 10 == 0 && begin(w, err)) || change(w, 'U', i * SPREAD % INITIAL, i, err) ||
            ((i % 10 == 9 || i == units - 1) && commit(w, err)))
            return -1;
    }
    return 0;
}

static const struct workload {
    const char *name;
    int (*send)(struct world *w, uint64_t units, struct err *err);
} workloads[] = {{"tiny", tiny}, {"big", big}, {"update", update}};

/* ---- as pg-capture ---- */

static int look_up(void *ctx, struct relation *rel, const struct pgoutput_place *place,
                   struct err *err)
{
    static uint32_t pk[] = {0};
    static const char *const types[] = {"bigint", "bigint", "text", "numeric",
                                        "timestamp with time zone"};
    (void)ctx, (void)err;
    if (place->stage == PLACE_STREAMED)
        return 0;
    for (uint32_t i = 0; i < rel->ncolumns; i++) {
        rel->columns[i].attnum = (int32_t)i + 1;
        rel->columns[i].base_type_oid = rel->columns[i].type_oid;
        rel->columns[i].type_name = types[i];
        rel->columns[i].not_null = i == 0;
    }
    rel->primary_key_known = true;
    rel->pk = pk;
    rel->npk = 1;
    return 0;
}

static int run(struct world *w, const struct workload *workload, uint64_t units, struct err *err)
{
    const struct pgoutput_config config = {
        .protocol_version = 2, .types_look_ms = INT64_MAX / 2, .lookup = look_up};
    const struct frame_hello hello = {
        .format_version = FRAME_FORMAT_VERSION,
        .producer = bytes_of("workload"),
        .producer_version = bytes_of("1"),
        .system_identifier = bytes_of("7000000000000000001"),
        .timeline = 1,
        .database = bytes_of("work"),
        .slot = bytes_of("work"),
        .npublications = 1,
        .publications = {bytes_of("work")},
        .start_lsn = w->lsn,
        .wal_lsn = w->lsn,
        .server_version = 150000,
        .protocol_version = 2,
        .options = bytes_of(""),
    };
    w->decoder = pgoutput_new(&config);
    if (!w->decoder)
        return err_nomem(err);
    frame_put_hello(&w->out.out.buf, &hello);
    if (fill(w, err) || workload->send(w, units, err))
        return -1;
    const struct frame_end end = {.why = bytes_of("stopped"), .last_lsn = w->lsn + 100};
    frame_put_end(&w->out.out.buf, &end);
    return frame_output_flush(&w->out, err);
}

int main(int argc, char **argv)
{
    const struct workload *workload = NULL;
    struct world w = {.lsn = 1000, .xid = 700};
    struct err err = {0};
    for (size_t i = 0; argc == 3 && i < sizeof workloads / sizeof *workloads; i++) {
        if (strcmp(argv[1], workloads[i].name) == 0)
            workload = &workloads[i];
    }
    if (!workload)
        return STATUS_PERMANENT;
    frame_output_init(&w.out, STDOUT_FILENO, "stdout", 0);
    (void)run(&w, workload, strtoull(argv[2], NULL, 10), &err);
    frame_output_close(&w.out);
    pgoutput_free(w.decoder);
    buf_free(&w.message);
    return exit_status(&err);
}
