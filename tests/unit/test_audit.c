/*
 * Tests of frame-tee/audit.c: a progress frame takes the place of the one before it, and where that
 * cannot be written the one before it stays.
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
#include <signal.h>
#include <sys/resource.h>
#include <unistd.h>

#include "base/log.h"
#include "frame-tee/audit.h"
#include "frame_script.h"
#include "sealed.h"

struct place {
    char dir[64];
    char file[80];
};

static int make_place(void **state)
{
    static struct place p;
    (void)snprintf(p.dir, sizeof p.dir, "/tmp/pg2any-test-audit-XXXXXX");
    *state = &p;
    if (!mkdtemp(p.dir))
        return -1;
    (void)snprintf(p.file, sizeof p.file, "%s/audit", p.dir);
    return 0;
}

static int remove_place(void **state)
{
    const struct place *p = *state;
    (void)unlink(p->file);
    return rmdir(p->dir);
}

static void open_audit(struct audit *a, const struct place *p)
{
    struct err err = {0};
    assert_int_equal(audit_open(a, p->file, 1 << 20, 1, &err), 0);
}

/* Takes the frames of a script and writes them. */
static int take(struct audit *a, const char *script, struct err *err)
{
    struct buf in = {0};
    script_frames(&in, script);
    int rc = 0;
    for (size_t at = 0; rc == 0 && at < in.len;) {
        struct frame f;
        assert_int_equal(frame_header(in.data + at, &f.type, &f.size, err), 0);
        f.body = in.data + at + FRAME_HEADER_SIZE;
        at += frame_length(&f);
        rc = audit_frame(a, &f, err);
    }
    buf_free(&in);
    return rc ? rc : audit_flush(a, err);
}

/* The file has exactly the frames of a script. */
static void has(const struct place *p, const char *script)
{
    struct buf expected = {0};
    uint8_t found[4096];
    sealed_script(&expected, script);
    int fd = open(p->file, O_RDONLY | O_CLOEXEC);
    assert_true(fd >= 0);
    assert_int_equal(read(fd, found, sizeof found), expected.len);
    assert_memory_equal(found, expected.data, expected.len);
    assert_int_equal(close(fd), 0);
    buf_free(&expected);
}

static void limit_files(rlim_t bytes)
{
    struct rlimit limit;
    assert_int_equal(getrlimit(RLIMIT_FSIZE, &limit), 0);
    limit.rlim_cur = bytes < limit.rlim_max ? bytes : limit.rlim_max;
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &limit), 0);
}

static void the_last_progress_frame_stays(void **state)
{
    struct err err = {0};
    struct audit a;
    open_audit(&a, *state);
    assert_int_equal(take(&a, "H 1; k 2000; k 3000", &err), 0);
    has(*state, "H 1; k 3000");
    assert_int_equal(take(&a, "k 4000", &err), 0);
    assert_int_equal(take(&a, "k 70000", &err), 0);
    has(*state, "H 1; k 70000");
    audit_close(&a);
    /* The next process begins with a hello. */
    open_audit(&a, *state);
    assert_int_equal(take(&a, "H 1; k 75000; k 80000; R 1 1; k 90000; M 0 x; k 95000", &err), 0);
    has(*state, "H 1; k 70000; H 1; k 80000; R 1 1; k 90000; M 0 x; k 95000");
    audit_close(&a);
}

/* However much of the new frame was written before the fault. */
static void a_frame_that_cannot_be_written_leaves_the_one_before(void **state)
{
    const struct place *p = *state;
    struct audit a;
    struct err err = {0};
    (void)signal(SIGXFSZ, SIG_IGN);
    for (uint64_t limit = 0, end = 1; limit <= end; limit++) {
        (void)unlink(p->file);
        open_audit(&a, *state);
        assert_int_equal(take(&a, "H 1; k 2000", &err), 0);
        end = a.size;
        if (limit == 0)
            limit = end - a.tail.len;
        limit_files(limit);
        /* The new one is longer. */
        assert_int_equal(take(&a, "k 70000", &err), -1);
        assert_int_equal(err.kind, ERR_TEMPORARY);
        err_clear(&err);
        /* And once more, as at the end of the program. */
        assert_int_equal(audit_flush(&a, &err), -1);
        err_clear(&err);
        limit_files(RLIM_INFINITY);
        has(*state, "H 1; k 2000");
        audit_close(&a);
    }
}

int main(void)
{
    log_init("test");
#define IN_PLACE(test) cmocka_unit_test_setup_teardown(test, make_place, remove_place)
    const struct CMUnitTest tests[] = {
        IN_PLACE(the_last_progress_frame_stays),
        IN_PLACE(a_frame_that_cannot_be_written_leaves_the_one_before),
    };
    return cmocka_run_group_tests_name("audit", tests, NULL, NULL);
}
