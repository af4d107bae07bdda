/*
 * Tests of txn-assemble/txn_store.c: what is put in comes out in order whatever was spilled,
 * nothing is left in the directory, damage is noticed.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include <dirent.h>
#include <fcntl.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/log.h"
#include "frame_script.h"
#include "txn-assemble/txn_store.h"

struct dir {
    char path[64];
};

static int make_dir(void **state)
{
    static struct dir d;
    (void)snprintf(d.path, sizeof d.path, "/tmp/pg2any-test-spill-XXXXXX");
    *state = &d;
    return mkdtemp(d.path) ? 0 : -1;
}

static size_t files_in(const char *path)
{
    DIR *d = opendir(path);
    assert_non_null(d);
    size_t n = 0;
    const struct dirent *e;
    while ((e = readdir(d)))
        n += e->d_name[0] != '.';
    (void)closedir(d);
    return n;
}

static int remove_dir(void **state)
{
    const struct dir *d = *state;
    return rmdir(d->path); /* fails where a file was left */
}

static int collect(void *arg, const struct frame *f, struct err *err)
{
    struct buf *out = arg;
    buf_append(out, frame_start(f), frame_length(f));
    return buf_check(out, err);
}

/* Appends every frame of `in` to a store. */
static void append_all(struct txn_store *s, struct store_pool *pool, const struct buf *in)
{
    struct err err = {0};
    for (size_t at = 0; at < in->len;) {
        struct frame f;
        assert_int_equal(frame_header(in->data + at, &f.type, &f.size, &err), 0);
        if (txn_store_append(s, pool, in->data + at, frame_length(&f), &err))
            fail_msg("%s", err.text);
        at += frame_length(&f);
    }
}

static void some_frames(struct buf *in, unsigned n)
{
    for (unsigned i = 0; i < n; i++) {
        char text[64];
        (void)snprintf(text, sizeof text, "I %u 1 x*%u", i, 3 + i * 37 % 5000);
        script_frames(in, text);
    }
}

static void test_order(void **state)
{
    const struct dir *d = *state;
    static const uint64_t limits[] = {1, 100 * 1000, 1000 * 1000, 100 * 1000 * 1000};
    struct buf in = {0}, out = {0};
    some_frames(&in, 300);
    script_frames(&in, "I 1 1 y*200000; I 2 1 z*3; I 2 1 z*65536; I 2 1 z*131072");
    some_frames(&in, 300);
    for (size_t i = 0; i < sizeof limits / sizeof *limits; i++) {
        struct store_pool pool;
        struct txn_store a, b;
        struct err err = {0};
        store_pool_init(&pool, d->path, limits[i]);
        assert_int_equal(store_pool_check_dir(&pool, &err), 0);
        txn_store_init(&a, &pool);
        txn_store_init(&b, &pool);
        append_all(&a, &pool, &in);
        append_all(&b, &pool, &in);
        append_all(&a, &pool, &in);
        assert_true(pool.memory_bytes <= pool.memory_limit);
        assert_int_equal(files_in(d->path), 0);

        /* Reading leaves the store as it is: it may be read again. */
        for (int again = 0; again < 2; again++) {
            buf_reset(&out, SIZE_MAX);
            assert_int_equal(txn_store_replay(&b, d->path, collect, &out, &err), 0);
            assert_int_equal(out.len, in.len);
            assert_memory_equal(out.data, in.data, in.len);
        }
        buf_reset(&out, SIZE_MAX);
        assert_int_equal(txn_store_replay(&a, d->path, collect, &out, &err), 0);
        assert_int_equal(out.len, 2 * in.len);
        assert_memory_equal(out.data, in.data, in.len);
        assert_memory_equal(out.data + in.len, in.data, in.len);

        txn_store_release(&a, &pool);
        txn_store_release(&b, &pool);
        assert_int_equal(pool.memory_bytes, 0);
        assert_int_equal(pool.spilled_bytes, 0);
        store_pool_free(&pool);
    }
    buf_free(&in);
    buf_free(&out);
}

/* The store that holds most goes to disk; a small one beside it stays in memory. */
static void test_largest_spills(void **state)
{
    const struct dir *d = *state;
    struct store_pool pool;
    struct txn_store small, large;
    struct buf in = {0};
    store_pool_init(&pool, d->path, 256 * 1024);
    txn_store_init(&small, &pool);
    txn_store_init(&large, &pool);
    some_frames(&in, 1);
    append_all(&small, &pool, &in);
    some_frames(&in, 500);
    append_all(&large, &pool, &in);
    assert_int_equal(small.fd, -1);
    assert_true(large.fd >= 0);
    assert_true(large.spilled_bytes > 0);

    struct stat st;
    assert_int_equal(fstat(large.fd, &st), 0);
    assert_int_equal(st.st_mode & 07777, 0600);
    assert_int_equal(st.st_nlink, 0);
    assert_int_equal((uint64_t)st.st_size, large.spilled_bytes);
    assert_true(fcntl(large.fd, F_GETFD) & FD_CLOEXEC);

    txn_store_release(&small, &pool);
    txn_store_release(&large, &pool);
    store_pool_free(&pool);
    buf_free(&in);
}

/* What cannot be spilled does not make it try for ever. */
static void test_accounted_memory(void **state)
{
    const struct dir *d = *state;
    struct store_pool pool;
    struct txn_store s;
    struct buf in = {0};
    store_pool_init(&pool, d->path, 64 * 1024);
    txn_store_init(&s, &pool);
    store_pool_account(&pool, 100 * 1024);
    some_frames(&in, 10);
    append_all(&s, &pool, &in);
    assert_int_equal(s.memory_bytes, 0);
    store_pool_account(&pool, -100 * 1024);
    txn_store_release(&s, &pool);
    assert_int_equal(pool.memory_bytes, 0);
    store_pool_free(&pool);
    buf_free(&in);
}

/* Each bit that is turned over anywhere in a spill file, and each length it may be cut to, is
 * found. */
static void test_damage(void **state)
{
    const struct dir *d = *state;
    struct store_pool pool;
    struct txn_store s;
    struct buf in = {0}, out = {0};
    struct err err = {0};
    store_pool_init(&pool, d->path, 1);
    txn_store_init(&s, &pool);
    script_frames(&in, "I 1 1 x; I 2 1 y; I 3 1 zz");
    append_all(&s, &pool, &in);
    for (uint64_t at = 0; at < s.spilled_bytes; at++) {
        uint8_t good, bad;
        assert_int_equal(pread(s.fd, &good, 1, (off_t)at), 1);
        bad = good ^ (uint8_t)(1 << at % 8);
        assert_int_equal(pwrite(s.fd, &bad, 1, (off_t)at), 1);
        buf_reset(&out, SIZE_MAX);
        err_clear(&err);
        assert_int_equal(txn_store_replay(&s, d->path, collect, &out, &err), -1);
        assert_int_equal(err.kind, ERR_TEMPORARY);
        assert_non_null(strstr(err.text, "is damaged"));
        assert_true(out.len == 0 || memcmp(out.data, in.data, out.len) == 0);
        assert_int_equal(pwrite(s.fd, &good, 1, (off_t)at), 1);
    }
    assert_int_equal(txn_store_replay(&s, d->path, collect, &out, &err), 0);
    for (uint64_t size = s.spilled_bytes; size-- > 0;) {
        assert_int_equal(ftruncate(s.fd, (off_t)size), 0);
        err_clear(&err);
        assert_int_equal(txn_store_replay(&s, d->path, collect, &out, &err), -1);
        assert_int_equal(err.kind, ERR_TEMPORARY);
        assert_non_null(strstr(err.text, "is cut short"));
    }
    txn_store_release(&s, &pool);
    store_pool_free(&pool);
    buf_free(&in);
    buf_free(&out);
}

/* Two blocks of the same length that have changed places are found too. */
static void test_swapped_blocks(void **state)
{
    const struct dir *d = *state;
    struct store_pool pool;
    struct txn_store s;
    struct buf in = {0}, out = {0};
    struct err err = {0};
    uint8_t blocks[256];
    store_pool_init(&pool, d->path, 1);
    txn_store_init(&s, &pool);
    script_frames(&in, "I 1 1 x; I 2 1 y");
    append_all(&s, &pool, &in);
    size_t size = s.spilled_bytes;
    assert_true(size % 2 == 0 && size <= sizeof blocks);
    assert_int_equal(pread(s.fd, blocks, size, 0), size);
    assert_int_equal(pwrite(s.fd, blocks + size / 2, size / 2, 0), size / 2);
    assert_int_equal(pwrite(s.fd, blocks, size / 2, (off_t)(size / 2)), size / 2);
    assert_int_equal(txn_store_replay(&s, d->path, collect, &out, &err), -1);
    assert_non_null(strstr(err.text, "does not match its checksum"));
    txn_store_release(&s, &pool);
    store_pool_free(&pool);
    buf_free(&in);
    buf_free(&out);
}

static void test_directories(void **state)
{
    const struct dir *d = *state;
    struct store_pool pool;
    struct err err = {0};
    store_pool_init(&pool, "/nonexistent/dir", 1);
    assert_int_equal(store_pool_check_dir(&pool, &err), -1);
    assert_int_equal(err.kind, ERR_PERMANENT);
    assert_non_null(strstr(err.text, "/nonexistent/dir"));

    /* Files of ours that were left behind go; others stay. */
    char ours[128], other[128];
    (void)snprintf(ours, sizeof ours, "%s/pg2any-spill-abcdef", d->path);
    (void)snprintf(other, sizeof other, "%s/other", d->path);
    int fd = open(ours, O_CREAT | O_WRONLY, 0600);
    assert_true(fd >= 0);
    (void)close(fd);
    fd = open(other, O_CREAT | O_WRONLY, 0600);
    assert_true(fd >= 0);
    (void)close(fd);
    log_set_level(LOG_LEVEL_ERROR);
    store_pool_init(&pool, d->path, 1);
    assert_int_equal(store_pool_check_dir(&pool, &err), 0);
    assert_int_equal(access(ours, F_OK), -1);
    assert_int_equal(access(other, F_OK), 0);
    assert_int_equal(unlink(other), 0);
}

/* A disk that takes no more: temporary, and the message names the directory and a way out. */
static void test_full(void **state)
{
    const struct dir *d = *state;
    struct store_pool pool;
    struct txn_store s;
    struct buf in = {0};
    struct err err = {0};
    struct rlimit old;
    assert_int_equal(getrlimit(RLIMIT_FSIZE, &old), 0);
    struct rlimit tight = {.rlim_cur = 20000, .rlim_max = old.rlim_max};
    (void)signal(SIGXFSZ, SIG_IGN);
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &tight), 0);
    store_pool_init(&pool, d->path, 1);
    txn_store_init(&s, &pool);
    script_frames(&in, "I 1 1 x*15000");
    append_all(&s, &pool, &in);
    assert_int_equal(txn_store_append(&s, &pool, in.data, in.len, &err), -1);
    assert_int_equal(err.kind, ERR_TEMPORARY);
    assert_non_null(strstr(err.text, d->path));
    assert_non_null(strstr(err.text, "--spill-dir"));
    txn_store_release(&s, &pool);
    assert_int_equal(pool.memory_bytes, 0);
    store_pool_free(&pool);
    buf_free(&in);
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &old), 0);
}

int main(void)
{
#define IN_DIR(test) cmocka_unit_test_setup_teardown(test, make_dir, remove_dir)
    const struct CMUnitTest tests[] = {
        IN_DIR(test_order),  IN_DIR(test_largest_spills), IN_DIR(test_accounted_memory),
        IN_DIR(test_damage), IN_DIR(test_swapped_blocks), IN_DIR(test_directories),
        IN_DIR(test_full),
    };
    return cmocka_run_group_tests_name("txn_store", tests, NULL, NULL);
}
