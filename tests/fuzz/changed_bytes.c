/*
 * A byte of a kept stream is another than it was: no such stream gives other content, and says that
 * all is well.
 *
 * The streams are the recorded ones of tests/frames, as version 2: ordinary, streamed and prepared
 * transactions, truncates, relations, bytea, values that are unchanged; each raw, and as
 * txn-assemble makes it. A changed one goes through the assembler, where it is raw, and the applier
 * into an SQLite database in memory, as it would through the programs. At exit status 0 the target
 * must hold what it does after the unchanged stream; at another, what it does somewhere in it. Half
 * of the transactions are held until they are whole, half are applied as they come.
 *
 * PG2ANY_CHANGES says how many are tried, each in a stream of its own; PG2ANY_SEED begins another
 * series than the one that is the same each time. `make check-bytes` tries 100,000.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include <fcntl.h>
#include <glob.h>
#include <inttypes.h>
#include <sys/mman.h>
#include <unistd.h>

#include <xxhash.h>

#include "apply-sqlite/sqlite.h"
#include "apply/apply_stream.h"
#include "base/exit.h"
#include "base/log.h"
#include "frames/frame_reader.h"
#include "frames/frame_seal.h"
#include "tests/unit/random.h"
#include "tests/unit/sealed.h"
#include "txn-assemble/assemble.h"

#define RECORDED     "tests/frames/*.raw.frames"
#define CHANGES      3000
#define SEED         20261126
#define MAX_STREAMS  32
#define MAX_STATES   256
#define DRAIN_BYTES  (64 * 1024)
#define MEMORY_LIMIT (64 * 1024 * 1024)
#define HELD_BYTES   (1024 * 1024) /* every transaction is held until it is whole */
#define FEW_BYTES    200           /* nearly every one is applied as it comes */

/* Content is compared by its hash. */
struct outcome {
    int status; /* as the pipeline's exit status */
    struct err err;
    uint64_t content;
};

struct stream {
    char name[64];
    bool raw;
    struct buf bytes;
    uint64_t
        states[MAX_STATES]; /* the content before and after each transaction; the last is all */
    size_t nstates;
};

static struct frame_reader open_input(const struct buf *bytes)
{
    struct frame_reader r;
    int fd = memfd_create("input", MFD_CLOEXEC);
    assert_true(fd >= 0);
    assert_int_equal(pwrite(fd, bytes->data, bytes->len, 0), bytes->len);
    frame_reader_init(&r, fd);
    return r;
}

static void close_input(struct frame_reader *r)
{
    assert_int_equal(close(r->fd), 0);
    frame_reader_free(r);
}

/* The next frame; 0: the input ends. */
static int next(struct frame_reader *r, struct frame *f, struct err *err)
{
    for (;;) {
        enum frame_reader_status status = frame_reader_next(r, f, err);
        if (status != FRAME_READER_MORE)
            return status == FRAME_READER_FRAME ? 1 : -1;
        if (r->eof)
            return 0;
        assert_true(frame_reader_fill(r, err) >= 0);
    }
}

static int no_end(struct err *err)
{
    return err_set(err, ERR_TEMPORARY, "no end");
}

/* ---- txn-assemble ---- */

struct assembled {
    struct buf pending;
    struct frame_seal seal;
    size_t sealed;
    struct buf *out;
};

static int drain(void *arg, struct err *err)
{
    struct assembled *a = arg;
    frame_seal_add(&a->seal, &a->pending, &a->sealed);
    buf_append(a->out, a->pending.data, a->pending.len);
    buf_reset(&a->pending, SIZE_MAX);
    a->sealed = 0;
    return buf_check(a->out, err);
}

/* What comes out goes on, whatever happens. */
static int assemble(const struct buf *raw, struct buf *out, struct err *err)
{
    struct store_pool pool;
    struct assembled a = {.out = out};
    struct assemble_sink sink = {&a.pending, DRAIN_BYTES, drain, &a};
    struct frame_reader r = open_input(raw);
    struct frame f;
    int rc = 0, got = 1;
    store_pool_init(&pool, "/tmp", MEMORY_LIMIT);
    struct assembler *assembler = assembler_new(&pool, &sink);
    assert_non_null(assembler);
    while (rc == 0 && !assembler_ended(assembler) && (got = next(&r, &f, err)) > 0)
        rc = assembler_frame(assembler, &f, err);
    struct err late = {0};
    assert_int_equal(drain(&a, &late), 0);
    if (rc == 0 && got < 0)
        rc = -1;
    else if (rc == 0)
        rc = assembler_ended(assembler) ? frame_reader_finish(&r, err) : no_end(err);
    assembler_free(assembler);
    store_pool_free(&pool);
    buf_free(&a.pending);
    close_input(&r);
    return rc;
}

/* ---- apply-sqlite ---- */

struct target_world {
    struct target *target;
    struct schema_map map;
    struct signals signals;
    struct stats stats;
    struct stats_histogram durations;
    uint64_t ignored; /* every counter */
    struct apply_group group;
    struct apply_stream stream;
};

/* The one that was opened last. */
static struct driver *opened;

static int open_and_note(const struct driver_config *c, struct driver **driver,
                         struct driver_traits *traits, struct err *err)
{
    int rc = sqlite_ops.open(c, driver, traits, err);
    opened = rc ? NULL : *driver;
    return rc;
}

static void open_target(struct target_world *w, uint64_t max_bytes)
{
    static struct driver_ops ops;
    struct err err = {0};
    ops = sqlite_ops;
    ops.open = open_and_note;
    *w = (struct target_world){.signals.fd = open("/dev/null", O_RDONLY | O_CLOEXEC)};
    const struct driver_config config = {
        .uri = ":memory:", .schema_map = &w->map, .connect_timeout_ms = 50, .query_timeout_ms = 50};
    if (target_open(&ops, &config, &w->target, &err))
        fail_msg("%s", err.text);
    uint64_t *n = &w->ignored;
    w->group = (struct apply_group){
        .target = w->target,
        .signals = &w->signals,
        .ack.fd = -1,
        .counters = {n, n, n, n, n, n, n, n, &w->durations},
        .stats = &w->stats,
        .max_transactions = 1000,
        .max_changes = 1000,
        .max_bytes = max_bytes,
    };
    assert_int_equal(
        apply_rows_init(&w->group.rows, w->target, DDL_EVOLVE, &w->group.conflicts, &err), 0);
    for (int i = 0; i < COUNTS; i++)
        w->group.rows.counted[i] = n;
    w->stream = (struct apply_stream){.group = &w->group, .skipped = n, .received_lsn = n};
}

static void close_target(struct target_world *w)
{
    group_free(&w->group);
    target_close(w->target);
    assert_int_equal(close(w->signals.fd), 0);
}

static void append_rows(struct buf *out, const char *query)
{
    sqlite3_stmt *s;
    if (sqlite3_prepare_v2(opened->db, query, -1, &s, NULL) != SQLITE_OK)
        fail_msg("%s: %s", query, sqlite3_errmsg(opened->db));
    while (sqlite3_step(s) == SQLITE_ROW) {
        for (int i = 0; i < sqlite3_column_count(s); i++) {
            int type = sqlite3_column_type(s, i);
            const void *value = sqlite3_column_blob(s, i);
            int size = sqlite3_column_bytes(s, i);
            buf_printf(out, "|%d %d ", type, size);
            buf_append(out, value, (size_t)size);
        }
        buf_append_byte(out, '\n');
    }
    (void)sqlite3_finalize(s);
}

/* Every table but ours: its columns, its rows. */
static uint64_t content(void)
{
    struct buf all = {0};
    append_rows(&all, "SELECT sql FROM sqlite_schema WHERE name NOT LIKE 'pg2any%' ORDER BY name");
    sqlite3_stmt *s;
    assert_int_equal(sqlite3_prepare_v2(opened->db,
                                        "SELECT 'SELECT * FROM \"' || replace(name, '\"', '\"\"') "
                                        "|| '\"' FROM sqlite_schema WHERE type = 'table' AND name "
                                        "NOT LIKE 'pg2any%' ORDER BY name",
                                        -1, &s, NULL),
                     SQLITE_OK);
    while (sqlite3_step(s) == SQLITE_ROW) {
        buf_append_byte(&all, '=');
        append_rows(&all, (const char *)sqlite3_column_text(s, 0));
    }
    (void)sqlite3_finalize(s);
    assert_false(all.failed);
    uint64_t hash = XXH3_64bits(all.data, all.len);
    buf_free(&all);
    return hash;
}

/* As apply_main() does. `states`: every transaction and copy by itself, and the content after it
 * goes there.
 */
static int apply(struct target_world *w, const struct buf *committed, struct stream *states,
                 struct err *err)
{
    struct frame_reader r = open_input(committed);
    struct apply_group *g = &w->group;
    struct frame f;
    int rc = 0, got = 1;
    while (rc == 0 && !w->stream.ended && (got = next(&r, &f, err)) > 0) {
        rc = apply_stream_frame(&w->stream, &f, err);
        if (states && rc == 0 && (f.type == FRAME_COMMIT || f.type == FRAME_COPY_END)) {
            rc = group_flush(g, err);
            assert_true(states->nstates < MAX_STATES);
            states->states[states->nstates++] = content();
        }
    }
    if (rc || got < 0) {
        struct err later = {0};
        if (err->kind == ERR_PERMANENT)
            (void)!group_flush(g, &later);
        rc = -1;
    } else {
        rc = group_discard_open(g, err) || group_flush(g, err) || group_flush_progress(g, err) ? -1
                                                                                               : 0;
        if (rc == 0)
            rc = w->stream.ended ? frame_reader_finish(&r, err) : no_end(err);
    }
    close_input(&r);
    return rc;
}

/* ---- a stream through all of it ---- */

static void replay(const struct stream *s, struct stream *states, uint64_t max_bytes,
                   struct outcome *o)
{
    struct target_world w;
    struct buf committed = {0};
    struct err assemble_err = {0};
    *o = (struct outcome){.status = STATUS_OK};
    int rc = s->raw ? assemble(&s->bytes, &committed, &assemble_err) : 0;
    open_target(&w, max_bytes);
    if (states)
        states->states[states->nstates++] = content();
    if (apply(&w, s->raw ? &committed : &s->bytes, states, &o->err))
        o->status = status_of(o->err.kind);
    if (rc) { /* the first fault is the pipeline's */
        o->err = assemble_err;
        o->status = status_of(assemble_err.kind);
    }
    /* As the end of the program does; there may be nothing to roll back. */
    (void)sqlite3_exec(opened->db, "ROLLBACK", NULL, NULL, NULL);
    o->content = content();
    close_target(&w);
    buf_free(&committed);
}

static void add_stream(struct stream *s, const char *path, bool raw, const struct buf *bytes)
{
    struct outcome o;
    const char *name = strrchr(path, '/') + 1;
    *s = (struct stream){.raw = raw};
    (void)snprintf(s->name, sizeof s->name, "%.*s, %s", (int)strcspn(name, "."), name,
                   raw ? "raw" : "committed");
    buf_append(&s->bytes, bytes->data, bytes->len);
    struct stream states = {.nstates = 0};
    replay(s, &states, HELD_BYTES, &o);
    if (o.status != STATUS_OK)
        fail_msg("%s: %s", s->name, o.err.text);
    memcpy(s->states, states.states, sizeof s->states);
    s->nstates = states.nstates;
    assert_true(s->nstates > 1 && o.content == s->states[s->nstates - 1]);
}

static void read_file(const char *path, struct buf *out)
{
    uint8_t some[4096];
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    assert_true(fd >= 0);
    for (ssize_t n; (n = read(fd, some, sizeof some)) > 0;)
        buf_append(out, some, (size_t)n);
    assert_int_equal(close(fd), 0);
}

/* Whatever version they were recorded in. */
static size_t take_recorded(struct stream *streams)
{
    glob_t found;
    size_t n = 0;
    assert_int_equal(glob(RECORDED, 0, NULL, &found), 0);
    for (size_t i = 0; i < found.gl_pathc; i++) {
        struct buf file = {0}, raw = {0}, committed = {0};
        struct err err = {0};
        read_file(found.gl_pathv[i], &file);
        assert_int_equal(read_sealed(&file, &raw, &err), 0);
        seal(&raw);
        if (assemble(&raw, &committed, &err))
            fail_msg("%s: %s", found.gl_pathv[i], err.text);
        assert_true(n + 2 <= MAX_STREAMS);
        add_stream(&streams[n++], found.gl_pathv[i], true, &raw);
        add_stream(&streams[n++], found.gl_pathv[i], false, &committed);
        buf_free(&file);
        buf_free(&raw);
        buf_free(&committed);
    }
    globfree(&found);
    return n;
}

static bool passes_through(const struct stream *s, uint64_t hash)
{
    for (size_t i = 0; i < s->nstates; i++)
        if (s->states[i] == hash)
            return true;
    return false;
}

/* Half of the changes are a bit. */
static uint8_t another(uint8_t byte)
{
    return one_in(2) ? byte ^ (uint8_t)(1U << below(8)) : byte ^ (uint8_t)(1 + below(255));
}

static uint64_t from_environment(const char *name, uint64_t otherwise)
{
    const char *value = getenv(name);
    return value && *value ? strtoull(value, NULL, 10) : otherwise;
}

static void no_changed_byte_gives_other_content(void **state)
{
    (void)state;
    static struct stream streams[MAX_STREAMS];
    const uint64_t changes = from_environment("PG2ANY_CHANGES", CHANGES);
    const uint64_t begin = from_environment("PG2ANY_SEED", SEED);
    uint64_t ended_well = 0, permanent = 0, temporary = 0, wrong = 0;
    size_t n = take_recorded(streams), total = 0;
    for (size_t i = 0; i < n; i++)
        total += streams[i].bytes.len;
    print_message("# %" PRIu64 " changes in %zu streams of %zu bytes, PG2ANY_SEED=%" PRIu64 "\n",
                  changes, n, total, begin);
    random_begin(begin ? begin : 1);
    for (uint64_t change = 0; change < changes; change++) {
        size_t at = below(total);
        struct stream *s = streams;
        for (; at >= s->bytes.len; s++)
            at -= s->bytes.len;
        struct outcome o;
        uint8_t was = s->bytes.data[at];
        s->bytes.data[at] = another(was);
        replay(s, NULL, one_in(2) ? HELD_BYTES : FEW_BYTES, &o);
        bool good = o.status == STATUS_OK ? o.content == s->states[s->nstates - 1]
                                          : passes_through(s, o.content);
        if (!good && wrong++ < 10)
            print_message("# %s, byte %zu, 0x%02x instead of 0x%02x: exit status %d, other "
                          "content: %s\n",
                          s->name, at, s->bytes.data[at], was, o.status, o.err.text);
        ended_well += o.status == STATUS_OK;
        permanent += o.status == STATUS_PERMANENT;
        temporary += o.status == STATUS_TEMPORARY;
        s->bytes.data[at] = was;
    }
    print_message("# exit status 0: %" PRIu64 ", 100: %" PRIu64 ", 111: %" PRIu64
                  "; other content: %" PRIu64 "\n",
                  ended_well, permanent, temporary, wrong);
    assert_int_equal(wrong, 0);
    assert_int_equal(ended_well + permanent + temporary, changes);
    for (size_t i = 0; i < n; i++)
        buf_free(&streams[i].bytes);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(no_changed_byte_gives_other_content),
    };
    log_init("test");
    log_set_level(LOG_LEVEL_ERROR);
    return cmocka_run_group_tests_name("changed_bytes", tests, NULL, NULL);
}
