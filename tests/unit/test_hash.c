/*
 * common/base/hash.h, and who keeps something in a hash table: where memory runs out that is an
 * error, or a count that is dropped, and the program goes on.
 *
 * Linked with --wrap=malloc and --wrap=calloc: uthash takes its memory by malloc() and clears it,
 * which a compiler may make one of.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "apply/apply_rows.h"
#include "base/hash.h"
#include "driver_double.h"
#include "frame-dump/summary.h"
#include "frames/frame.h"
#include "frames/frame_writer.h"
#include "frames/relmap.h"
#include "pg-capture/pgoutput.h"
#include "sql/conflicts.h"
#include "txn-assemble/held.h"

/* As many as make a table grow, some times over. */
#define ELEMENTS 1000

/* ---- memory that runs out ---- */

static unsigned fail_at; /* the call from now on that fails, counted from 1; 0: none */

void *__real_malloc(size_t size);
void *__real_calloc(size_t n, size_t size);
void *__wrap_malloc(size_t size);
void *__wrap_calloc(size_t n, size_t size);

static bool fails(void)
{
    return fail_at > 0 && --fail_at == 0;
}

void *__wrap_malloc(size_t size)
{
    return fails() ? NULL : __real_malloc(size);
}

void *__wrap_calloc(size_t n, size_t size)
{
    return fails() ? NULL : __real_calloc(n, size);
}

/* Whether the calls since came as far as the one that was to fail. */
static bool has_failed(void)
{
    bool failed = fail_at == 0;
    fail_at = 0;
    return failed;
}

/* Does each step with every allocation in it failing in turn, which has to be a temporary error
 * each time; then it has to work. */
static void every_failure_is_an_error(int (*step)(void *ctx, uint32_t i, struct err *err),
                                      void *ctx)
{
    unsigned failures = 0;
    for (uint32_t i = 1; i <= ELEMENTS; i++)
        for (unsigned at = 1;; at++) {
            struct err err = {0};
            fail_at = at;
            int rc = step(ctx, i, &err);
            bool failed = has_failed();
            if (rc && !failed)
                fail_msg("%s", err.text);
            assert_int_equal(rc, failed ? -1 : 0);
            if (!failed)
                break;
            assert_int_equal(err.kind, ERR_TEMPORARY);
            assert_non_null(strstr(err.text, "out of memory"));
            failures++;
        }
    assert_true(failures >= 3); /* the table, its buckets, more buckets */
}

/* ---- the table itself ---- */

struct number {
    uint32_t key;
    UT_hash_handle hh;
};

static struct number numbers[ELEMENTS + 1];

static unsigned count(struct number *head)
{
    unsigned n = 0;
    for (uint32_t key = 1; key <= ELEMENTS; key++) {
        struct number *found;
        HASH_FIND(hh, head, &key, sizeof key, found);
        n += found && found->key == key;
    }
    return n;
}

static int add_number(void *ctx, uint32_t i, struct err *err)
{
    struct number **head = ctx;
    bool added;
    numbers[i].key = i;
    HASH_TRY_ADD(*head, key, &numbers[i], added);
    assert_int_equal(count(*head), added ? i : i - 1);
    assert_int_equal(HASH_COUNT(*head), added ? i : i - 1);
    return added ? 0 : err_nomem(err);
}

static void a_table_that_cannot_grow_stays_as_it_was(void **state)
{
    (void)state;
    struct number *head = NULL;
    every_failure_is_an_error(add_number, &head);
    HASH_CLEAR(hh, head);
}

/* ---- who must not go on ---- */

static struct relation *relation_of(uint32_t relid)
{
    struct buf frame = {0};
    struct relation *read;
    struct err err = {0};
    const struct relation rel = {.relid = relid,
                                 .namespace = "public",
                                 .name = "t",
                                 .replica_identity = REPLICA_IDENTITY_DEFAULT};
    relation_to_frame(&rel, &frame);
    assert_int_equal(relation_from_bytes(frame.data, frame.len, &read, &err), 0);
    buf_free(&frame);
    return read;
}

/* Not while memory is to run out. */
static struct relation *relations[ELEMENTS + 1];

static int make_relations(void **state)
{
    (void)state;
    for (uint32_t i = 1; i <= ELEMENTS; i++)
        relations[i] = relation_of(i);
    return 0;
}

static int free_relations(void **state)
{
    (void)state;
    for (uint32_t i = 1; i <= ELEMENTS; i++)
        relation_unref(relations[i]);
    return 0;
}

static int set_relation(void *ctx, uint32_t i, struct err *err)
{
    return relmap_set(ctx, relations[i], err);
}

static void a_map_of_relations(void **state)
{
    (void)state;
    struct relmap map = {0};
    every_failure_is_an_error(set_relation, &map);
    for (uint32_t i = 1; i <= ELEMENTS; i++)
        assert_ptr_equal(relmap_get(&map, i), relations[i]);
    relmap_clear(&map);
}

static int hold_transaction(void *ctx, uint32_t i, struct err *err)
{
    struct held *t;
    return held_add(ctx, i, &t, err);
}

static void held_transactions(void **state)
{
    (void)state;
    struct store_pool pool;
    store_pool_init(&pool, "/nonexistent", 1024 * 1024);
    struct held_set set = {.pool = &pool};
    every_failure_is_an_error(hold_transaction, &set);
    assert_int_equal(set.n, ELEMENTS);
    held_drop_all(&set);
    store_pool_free(&pool);
}

static int apply_relation(void *ctx, uint32_t i, struct err *err)
{
    const struct source_txn *failed;
    const struct relation *rel = relations[i];
    return apply_rows_frames(ctx, rel->frame, rel->frame_size, NULL, &failed, err);
}

static void relations_that_are_applied(void **state)
{
    (void)state;
    struct driver *driver = calloc(1, sizeof *driver);
    assert_non_null(driver);
    struct target *target = double_open(driver);
    struct apply_rows rows = {0};
    struct conflicts conflicts = {0};
    struct err err = {0};
    assert_int_equal(apply_rows_init(&rows, target, DDL_NONE, &conflicts, &err), 0);
    every_failure_is_an_error(apply_relation, &rows);
    apply_rows_free(&rows);
    target_close(target);
    double_free(driver);
    free(driver);
}

/* An insert of a relation that was not described: the table's name is the relid. */
static int count_insert(void *ctx, uint32_t i, struct err *err)
{
    static struct buf frame;
    static struct relmap none;
    const struct frame_change change = {.xid = 1, .relid = i};
    struct frame_writer w;
    unsigned later = fail_at;
    fail_at = 0;
    frame.len = 0;
    frame_open_change(&w, &frame, FRAME_INSERT, &change);
    (void)msgpack_pack_nil(&w.pk);
    (void)msgpack_pack_array(&w.pk, 0);
    frame_close(&w);
    assert_false(frame.failed);
    const struct frame f = {FRAME_INSERT, frame.data + FRAME_HEADER_SIZE,
                            (uint32_t)(frame.len - FRAME_HEADER_SIZE)};
    fail_at = later;
    int rc = summary_count(ctx, &f, &none, err);
    if (i == ELEMENTS && rc == 0)
        buf_free(&frame);
    return rc;
}

static void tables_of_a_summary(void **state)
{
    (void)state;
    struct summary summary = {0};
    every_failure_is_an_error(count_insert, &summary);
    assert_int_equal(summary.frames[FRAME_INSERT], ELEMENTS);
    summary_free(&summary);
}

/* A Relation message of a table without columns; its description is thrown away. */
static int decode_relation(void *ctx, uint32_t i, struct err *err)
{
    static struct buf out;
    struct pgoutput_event event;
    const uint8_t message[] = {'R', 0, 0, (uint8_t)(i >> 8), (uint8_t)i, 's', 0, 't', '\0',
                               'd', 0, 0};
    out.len = 0;
    int rc = pgoutput_decode(ctx, message, sizeof message, &out, &event, err);
    if (i == ELEMENTS && rc == 0)
        buf_free(&out);
    return rc;
}

static void tables_that_are_captured(void **state)
{
    (void)state;
    const struct pgoutput_config config = {.protocol_version = 1};
    struct pgoutput *d = pgoutput_new(&config);
    static const uint8_t begin[] = {'B', 0, 0, 0, 0, 0, 0, 1, 0, 0, 0,
                                    0,   0, 0, 0, 0, 0, 0, 0, 0, 7};
    struct buf out = {0};
    struct pgoutput_event event;
    struct err err = {0};
    assert_non_null(d);
    assert_int_equal(pgoutput_decode(d, begin, sizeof begin, &out, &event, &err), 0);
    buf_free(&out);
    every_failure_is_an_error(decode_relation, d);
    pgoutput_free(d);
}

/* ---- who goes on without ---- */

static void a_count_is_dropped(void **state)
{
    (void)state;
    struct stats stats = {0};
    struct table_counts counts = {.stats = &stats, .name = "n", .label = "kind", .help = "Help."};
    unsigned failures = 0;
    for (uint32_t i = 1; i <= ELEMENTS; i++)
        for (unsigned at = 1;; at++) {
            fail_at = at;
            table_counts_add(&counts, relations[i], "insert", 1);
            table_counts_commit(&counts);
            if (!has_failed())
                break;
            failures++;
        }
    assert_true(failures >= 3);
    char labels[16];
    uint64_t *last = NULL, *again;
    for (uint32_t i = 1; i <= ELEMENTS; i++) {
        (void)snprintf(labels, sizeof labels, "i=\"%u\"", i);
        fail_at = 1;
        last = stats_register(&stats, STATS_COUNTER, "m", labels, "Help.");
        assert_non_null(last);
        ++*last;
        if (!has_failed()) {
            again = stats_register(&stats, STATS_COUNTER, "m", labels, "Help.");
            assert_ptr_equal(last, again);
            assert_int_equal(*last, 1);
        }
    }
    table_counts_free(&counts);
    stats_end(&stats, &(struct err){0});
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_table_that_cannot_grow_stays_as_it_was),
        cmocka_unit_test(a_map_of_relations),
        cmocka_unit_test(held_transactions),
        cmocka_unit_test(relations_that_are_applied),
        cmocka_unit_test(tables_of_a_summary),
        cmocka_unit_test(tables_that_are_captured),
        cmocka_unit_test(a_count_is_dropped),
    };
    return cmocka_run_group_tests(tests, make_relations, free_relations);
}
