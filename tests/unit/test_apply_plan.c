/*
 * common/apply/apply_plan.c and net_effect.c against the source's order: random histories of six
 * tables, whole and with rows at the target that should not be there or are missing, are applied
 * both ways to SQLite. The end, the errors, what is counted and the checkpoint are the same,
 * whether the driver tells of each row, as it does, or knows a sum, of rows in order or of a set.
 *
 * PG2ANY_SEEDS: how many histories (1500). PG2ANY_SEED: the first (1).
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
#include <unistd.h>

#include "apply-sqlite/sqlite.h"
#include "apply/apply_stream.h"
#include "base/log.h"
#include "frame_script.h"
#include "frames/frame_writer.h"
#include "frames/pg_type.h"
#include "random.h"

#define COLUMNS 5 /* id, n, word, big, f */
#define KEYS    8
#define TABLES  6

enum { ID, N, WORD, BIG, F };

/* ---- the source ---- */

static const struct {
    char identity;
    bool word_in_key;
    const char *made; /* by hand at the target; NULL: by pg2any */
    bool n_is_unique; /* at the source */
} tables[TABLES] = {
    {REPLICA_IDENTITY_DEFAULT, false, NULL, false},
    {REPLICA_IDENTITY_DEFAULT, true, NULL, false},
    {REPLICA_IDENTITY_FULL, false, NULL, false},
    {REPLICA_IDENTITY_FULL, false,
     "CREATE TABLE t3 (id INTEGER, n INTEGER, word TEXT, big TEXT, f REAL)",
     false}, /* without a key */
    {REPLICA_IDENTITY_DEFAULT, false,
     "CREATE TABLE t4 (id INTEGER PRIMARY KEY, n INTEGER, word TEXT, big TEXT, f REAL);"
     "CREATE UNIQUE INDEX t4n ON t4 (n) WHERE n > 0",
     true},
    {REPLICA_IDENTITY_DEFAULT, false,
     "CREATE TABLE t5 (id INTEGER PRIMARY KEY, n INTEGER CHECK (n < 90), word TEXT NOT NULL, big "
     "TEXT, f REAL)",
     false},
};

static bool is_keyless(int table)
{
    return table == 3;
}

struct row {
    bool there;
    char text[COLUMNS][32]; /* "~" is NULL */
};

static struct row rows[TABLES][KEYS];

static struct value value_of(const char *text)
{
    if (strcmp(text, "~") == 0)
        return (struct value){.kind = VALUE_NULL};
    return (struct value){.kind = VALUE_TEXT, .size = (uint32_t)strlen(text), .data = text};
}

static bool is_key(int table, int column)
{
    return is_keyless(table) || column == ID || (column == WORD && tables[table].word_in_key);
}

static void put_relation(struct buf *out, int table)
{
    static const char *const names[COLUMNS] = {"id", "n", "word", "big", "f"};
    static const uint32_t types[COLUMNS] = {PG_TYPE_INT4, PG_TYPE_INT4, PG_TYPE_TEXT, PG_TYPE_TEXT,
                                            PG_TYPE_FLOAT8};
    struct column columns[COLUMNS];
    uint32_t pk[] = {ID, WORD};
    char name[] = {'t', (char)('0' + table), '\0'};
    for (int i = 0; i < COLUMNS; i++)
        columns[i] = (struct column){
            .name = names[i],
            .type_oid = types[i],
            .base_type_oid = types[i],
            .typmod = -1,
            .attnum = i + 1,
            .key = tables[table].identity == REPLICA_IDENTITY_FULL || is_key(table, i),
            .type_name = names[i],
            .fill = FILL_NULL,
        };
    const struct relation rel = {
        .relid = 100 + (uint32_t)table,
        .namespace = "public",
        .name = name,
        .replica_identity = tables[table].identity,
        .primary_key_known = true,
        .ncolumns = COLUMNS,
        .columns = columns,
        .npk = is_keyless(table)           ? 0
               : tables[table].word_in_key ? 2
                                           : 1,
        .pk = pk,
    };
    relation_to_frame(&rel, out);
}

static void put_tuple(struct frame_writer *w, const struct value *v)
{
    (void)msgpack_pack_array(&w->pk, COLUMNS);
    for (int i = 0; i < COLUMNS; i++)
        frame_pack_value(w, &v[i]);
}

static void put_change(struct buf *out, int table, enum change_kind kind, const struct row *old,
                       const struct row *new, bool unchanged)
{
    struct frame_change c = {.xid = 1, .relid = 100 + (uint32_t)table};
    bool full = tables[table].identity == REPLICA_IDENTITY_FULL, moves = false;
    struct value was[COLUMNS], is[COLUMNS];
    for (int i = 0; i < COLUMNS; i++) {
        moves = moves || (old && new &&is_key(table, i) && strcmp(old->text[i], new->text[i]) != 0);
        if (old)
            was[i] = full || is_key(table, i) ? value_of(old->text[i])
                                              : (struct value){.kind = VALUE_NULL};
        if (new)
            is[i] = value_of(new->text[i]);
    }
    if (new &&unchanged && is[BIG].kind == VALUE_TEXT)
        is[BIG] = (struct value){.kind = VALUE_UNCHANGED};
    bool sends_old = old && (kind == CHANGE_DELETE || full || moves);
    c.old_kind = !sends_old ? 0 : full ? 'O' : 'K';
    struct frame_writer w;
    frame_open_change(&w, out, (enum frame_type)kind, &c);
    if (sends_old)
        put_tuple(&w, was);
    else
        (void)msgpack_pack_nil(&w.pk);
    if (new)
        put_tuple(&w, is);
    else
        (void)msgpack_pack_nil(&w.pk);
    frame_close(&w);
}

/* A value that some target refuses is rare, and mostly soon another. */
static void choose(int table, struct row *r, int key)
{
    (void)snprintf(r->text[ID], sizeof r->text[ID], "%d", key);
    for (int i = N; i < COLUMNS; i++)
        if (i != WORD || !tables[table].word_in_key)
            (void)snprintf(r->text[i], sizeof r->text[i], "%s%d", i == WORD || i == BIG ? "w" : "",
                           (int)below(9));
    if (tables[table].word_in_key)
        (void)snprintf(r->text[WORD], sizeof r->text[WORD], "k");
    if (tables[table].n_is_unique)
        (void)snprintf(r->text[N], sizeof r->text[N], "%d", 10 * key + (int)below(2));
    if (one_in(6))
        memcpy(r->text[BIG], "~", 2);
    if (one_in(400))
        memcpy(r->text[F], "NaN", 4);
    if (one_in(200) && !tables[table].n_is_unique)
        memcpy(r->text[N], "95", 3);
    if (one_in(200) && !tables[table].word_in_key)
        memcpy(r->text[WORD], "~", 2);
}

static int free_key(int table)
{
    for (int tries = 0; tries < 20; tries++) {
        int key = (int)below(KEYS);
        if (!rows[table][key].there)
            return key;
    }
    return -1;
}

/* One change that the source can make; a change of a key leaves the rest or not. */
static int change(struct buf *out, int table)
{
    int key = (int)below(KEYS), to = one_in(4) ? free_key(table) : -1;
    struct row *r = &rows[table][key], was = *r;
    if (!r->there) {
        choose(table, r, key);
        r->there = true;
        put_change(out, table, CHANGE_INSERT, NULL, r, false);
        return 1;
    }
    if (one_in(4)) {
        r->there = false;
        put_change(out, table, CHANGE_DELETE, &was, NULL, false);
        return 1;
    }
    bool unchanged = one_in(3), only_key = one_in(2);
    if (to >= 0) {
        r->there = false;
        r = &rows[table][to];
        *r = was;
        (void)snprintf(r->text[ID], sizeof r->text[ID], "%d", to);
    }
    if (to < 0 || !only_key)
        choose(table, r, to < 0 ? key : to);
    if (unchanged)
        memcpy(r->text[BIG], was.text[BIG], sizeof was.text[BIG]);
    put_change(out, table, CHANGE_UPDATE, &was, r, unchanged);
    return 1;
}

/* Two keys change places by way of a third. */
static int swap(struct buf *out, int table)
{
    int a = (int)below(KEYS), b = (int)below(KEYS), by = free_key(table);
    if (a == b || by < 0 || !rows[table][a].there || !rows[table][b].there ||
        tables[table].n_is_unique)
        return 0;
    const int steps[][2] = {{a, by}, {b, a}, {by, b}};
    for (int i = 0; i < 3; i++) {
        struct row *from = &rows[table][steps[i][0]], *to = &rows[table][steps[i][1]], was = *from;
        from->there = false;
        *to = was;
        to->there = true;
        (void)snprintf(to->text[ID], sizeof to->text[ID], "%d", steps[i][1]);
        put_change(out, table, CHANGE_UPDATE, &was, to, one_in(2));
    }
    return 3;
}

static uint64_t lsn;

static void transaction(struct buf *out, int nchanges)
{
    struct buf changes = {0};
    uint64_t n = 0;
    while (n < (uint64_t)nchanges) {
        int table = (int)below(TABLES);
        n += (uint64_t)(one_in(12) ? swap(&changes, table) : change(&changes, table));
    }
    lsn += 100;
    const struct frame_begin b = {.xid = 1, .final_lsn = lsn, .commit_time_us = 1};
    const struct frame_commit c = {
        .xid = 1, .commit_lsn = lsn, .end_lsn = lsn + 10, .commit_time_us = 1, .nchanges = n};
    frame_put_begin(out, &b);
    buf_append(out, changes.data, changes.len);
    frame_put_commit(out, &c);
    buf_free(&changes);
}

static void hello(struct buf *out)
{
    script_frames(out, "H 100");
    for (int i = 0; i < TABLES; i++)
        put_relation(out, i);
}

/* ---- the target ---- */

enum flavour { TELLS_ROWS, KNOWS_A_SUM, TAKES_SETS, FLAVOURS };

struct side {
    struct target *target;
    struct driver *driver;
    struct schema_map map;
    struct signals signals;
    struct stats stats;
    struct stats_histogram durations;
    uint64_t ignored, rows[COUNTS], transactions, unplanned;
    struct apply_group group;
    struct apply_stream stream;
    struct err err;
};

static struct driver *opened;
static enum flavour flavour;

static int open_and_note(const struct driver_config *c, struct driver **driver,
                         struct driver_traits *traits, struct err *err)
{
    if (sqlite_ops.open(c, driver, traits, err))
        return -1;
    opened = *driver;
    if (flavour != TELLS_ROWS) {
        traits->exact = false;
        traits->updates = traits->deletes = flavour == TAKES_SETS ? SLICING_SET : SLICING_ORDERED;
    }
    return 0;
}

static int reset_and_note(struct driver *d, struct driver_traits *traits, struct err *err)
{
    struct driver_traits own;
    (void)traits;
    return sqlite_ops.reset(d, &own, err);
}

static int plain(struct driver *d, const char *text, struct err *err)
{
    struct buf sql = {0};
    buf_append_str(&sql, text);
    return sqlite_run(d, &sql, err);
}

/* As a server that knows no more than how many rows a statement has changed. */
static int execute_as_sum(struct driver *d, const struct slice *slice, struct slice_result *result,
                          struct err *err)
{
    struct err lost = {0};
    if (flavour == TELLS_ROWS || slice->nrows == 1)
        return sqlite_ops.execute(d, slice, result, err);
    if (plain(d, "SAVEPOINT s", err))
        return -1;
    int rc = sqlite_ops.execute(d, slice, result, err);
    if (rc == 0 && result->outcome == SLICE_DONE)
        return plain(d, "RELEASE s", err);
    assert_int_equal(plain(d, "ROLLBACK TO s", &lost), 0);
    *result =
        (struct slice_result){.outcome = SLICE_SUM, .failed = slice->nrows, .undone = rc != 0};
    return rc;
}

static void begin(struct side *s, bool planned)
{
    static struct driver_ops ops;
    ops = sqlite_ops;
    ops.open = open_and_note;
    ops.reset = reset_and_note;
    ops.execute = execute_as_sum;
    *s = (struct side){.signals.fd = open("/dev/null", O_RDONLY | O_CLOEXEC)};
    const struct driver_config config = {
        .uri = ":memory:", .schema_map = &s->map, .connect_timeout_ms = 50, .query_timeout_ms = 50};
    if (target_open(&ops, &config, &s->target, &s->err))
        fail_msg("%s", s->err.text);
    s->driver = opened;
    uint64_t *n = &s->ignored;
    s->group = (struct apply_group){
        .target = s->target,
        .signals = &s->signals,
        .ack.fd = -1,
        .counters = {&s->transactions, n, n, &s->unplanned, n, n, n, n, &s->durations},
        .stats = &s->stats,
        .planned = planned,
        .max_transactions = 1000,
        .max_changes = 1000,
        .max_bytes = 1000000,
    };
    assert_int_equal(
        apply_rows_init(&s->group.rows, s->target, DDL_EVOLVE, &s->group.conflicts, &s->err), 0);
    for (int i = 0; i < COUNTS; i++)
        s->group.rows.counted[i] = &s->rows[i];
    s->stream =
        (struct apply_stream){.group = &s->group, .input_fd = -1, .skipped = n, .received_lsn = n};
}

static void end(struct side *s)
{
    group_free(&s->group);
    target_close(s->target);
    (void)close(s->signals.fd);
}

/* As apply_main() does at the end of its input. */
static int feed(struct side *s, const struct buf *frames)
{
    int rc = 0;
    for (size_t at = 0; rc == 0 && at < frames->len;) {
        struct frame f;
        assert_int_equal(frame_header(frames->data + at, &f.type, &f.size, &s->err), 0);
        f.body = frames->data + at + FRAME_HEADER_SIZE;
        at += frame_length(&f);
        rc = apply_stream_frame(&s->stream, &f, &s->err);
    }
    return rc ? -1 : group_flush(&s->group, &s->err);
}

static int append_row(void *ctx, int n, char **values, char **names)
{
    (void)names;
    for (int i = 0; i < n; i++)
        buf_printf(ctx, "%s%s", i ? "|" : "\n", values[i] ? values[i] : "~");
    return 0;
}

static void content(struct side *s, struct buf *out)
{
    static const char *const queries[] = {
        "SELECT * FROM t0 ORDER BY 1, 2, 3, 4, 5",   "SELECT * FROM t1 ORDER BY 1, 2, 3, 4, 5",
        "SELECT * FROM t2 ORDER BY 1, 2, 3, 4, 5",   "SELECT * FROM t3 ORDER BY 1, 2, 3, 4, 5",
        "SELECT * FROM t4 ORDER BY 1, 2, 3, 4, 5",   "SELECT * FROM t5 ORDER BY 1, 2, 3, 4, 5",
        "SELECT * FROM pg2any_checkpoint ORDER BY 1"};
    for (size_t i = 0; i < sizeof queries / sizeof *queries; i++) {
        buf_append_str(out, "\n--");
        (void)sqlite3_exec(s->driver->db, queries[i], append_row, out, NULL);
    }
}

static void sql(struct side *s, const char *text)
{
    char *message = NULL;
    if (sqlite3_exec(s->driver->db, text, NULL, NULL, &message) != SQLITE_OK)
        fail_msg("%s: %s", text, message);
}

/* ---- a history ---- */

static struct {
    uint64_t equal, stopped, unplanned, runs[2];
} tally;

/* Somebody else's doing at the target. */
static void tamper(struct buf *out)
{
    int table = (int)below(TABLES);
    if (one_in(2))
        buf_printf(out, "DELETE FROM t%d WHERE id = %d;", table, (int)below(KEYS));
    else
        buf_printf(out, "INSERT OR REPLACE INTO t%d VALUES (%d, %d, '%s', 'theirs', 1);", table,
                   (int)below(KEYS), 200 + (int)below(50), tables[table].word_in_key ? "k" : "w");
}

static void run_seed(uint64_t seed)
{
    struct buf first = {0}, then = {0}, theirs = {0}, is[2] = {{0}, {0}};
    struct side s[2];
    int rc[2];
    random_begin(seed * 2654435761u + 1);
    memset(rows, 0, sizeof rows);
    lsn = 100;
    flavour = (enum flavour)below(FLAVOURS);
    hello(&first);
    transaction(&first, 40);
    int n = 1 + (int)below(6);
    for (int i = 0; i < n; i++)
        transaction(&then, 1 + (int)below(30));
    for (uint64_t i = one_in(2) ? 0 : 1; i > 0; i--)
        tamper(&theirs);
    for (int i = 0; i < 2; i++) {
        begin(&s[i], i == 1);
        for (int t = 0; t < TABLES; t++)
            if (tables[t].made)
                sql(&s[i], tables[t].made);
        rc[i] = feed(&s[i], &first);
        if (rc[i] == 0 && theirs.len > 0)
            (void)sqlite3_exec(s[i].driver->db, buf_cstr(&theirs), NULL, NULL, NULL);
        if (rc[i] == 0)
            rc[i] = feed(&s[i], &then);
        content(&s[i], &is[i]);
    }
    if (strcmp(buf_cstr(&is[0]), buf_cstr(&is[1])) != 0)
        fail_msg("seed %ju: in the source's order%s\n\nplanned%s", (uintmax_t)seed,
                 buf_cstr(&is[0]), buf_cstr(&is[1]));
    if (rc[0] != rc[1] || s[0].err.kind != s[1].err.kind ||
        strcmp(s[0].err.text, s[1].err.text) != 0)
        fail_msg("seed %ju: \"%s\", planned \"%s\"", (uintmax_t)seed, s[0].err.text, s[1].err.text);
    for (int i = 0; i < COUNTS; i++)
        if (i != COUNT_RUNS && s[0].rows[i] != s[1].rows[i])
            fail_msg("seed %ju: count %d is %ju, planned %ju", (uintmax_t)seed, i,
                     (uintmax_t)s[0].rows[i], (uintmax_t)s[1].rows[i]);
    assert_int_equal(s[0].transactions, s[1].transactions);
    tally.equal += rc[0] == 0;
    tally.stopped += rc[0] != 0;
    tally.unplanned += rc[0] == 0 ? s[1].unplanned : 0;
    for (int i = 0; i < 2; i++) {
        tally.runs[i] += rc[0] == 0 ? s[i].rows[COUNT_RUNS] : 0;
        end(&s[i]);
        buf_free(&is[i]);
    }
    buf_free(&first);
    buf_free(&then);
    buf_free(&theirs);
}

static uint64_t number_of(const char *name, uint64_t otherwise)
{
    const char *text = getenv(name);
    return text ? strtoull(text, NULL, 10) : otherwise;
}

static void the_end_is_that_of_the_sources_order(void **state)
{
    (void)state;
    uint64_t first = number_of("PG2ANY_SEED", 1), n = number_of("PG2ANY_SEEDS", 1500);
    for (uint64_t seed = first; seed < first + n; seed++)
        run_seed(seed);
    print_message("%ju equal, %ju stopped alike; %ju plans failed of those that were equal; runs: "
                  "%ju, planned %ju\n",
                  (uintmax_t)tally.equal, (uintmax_t)tally.stopped, (uintmax_t)tally.unplanned,
                  (uintmax_t)tally.runs[0], (uintmax_t)tally.runs[1]);
    /* A plan that always failed would pass, and a history that always stopped. */
    if (n >= 100) {
        assert_true(tally.equal > n / 5 && tally.stopped > n / 5);
        assert_true(tally.unplanned < tally.equal / 10);
        assert_true(tally.runs[1] < tally.runs[0] * 3 / 4);
    }
}

int main(void)
{
    log_init("test");
    log_set_level(LOG_LEVEL_ERROR);
    const struct CMUnitTest tests[] = {cmocka_unit_test(the_end_is_that_of_the_sources_order)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
