/* common/apply/ack.c: a FIFO that is not there yet, that is replaced, that is full, whose reader
 * leaves.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <sys/stat.h>
#include <unistd.h>

#include "apply/ack.h"
#include "base/lsn.h"

#define A_WHILE_MS 20000 /* longer than any test takes */

struct world {
    char dir[64], path[96];
    struct ack ack;
    struct err err;
    int reader;
};

static int open_reader(const struct world *w)
{
    /* As pg-capture does: with an end to write to of its own, which reads no end of file. */
    int fd = open(w->path, O_RDWR | O_NONBLOCK);
    assert_true(fd >= 0);
    return fd;
}

static int begin_test(void **state)
{
    static struct world w;
    w = (struct world){.reader = -1};
    (void)snprintf(w.dir, sizeof w.dir, "/tmp/pg2any-test-ack-XXXXXX");
    if (!mkdtemp(w.dir))
        return -1;
    (void)snprintf(w.path, sizeof w.path, "%s/fifo", w.dir);
    ack_init(&w.ack, w.path);
    (void)signal(SIGPIPE, SIG_IGN);
    *state = &w;
    return 0;
}

static int end_test(void **state)
{
    struct world *w = *state;
    ack_close(&w->ack);
    if (w->reader >= 0)
        (void)close(w->reader);
    (void)unlink(w->path);
    return rmdir(w->dir);
}

static void opened(struct world *w)
{
    assert_int_equal(mkfifo(w->path, 0600), 0);
    w->reader = open_reader(w);
    assert_int_equal(ack_open(&w->ack, A_WHILE_MS, -1, -1, &w->err), 0);
}

static void reads(const struct world *w, const char *expected)
{
    char text[256] = "";
    ssize_t n = read(w->reader, text, sizeof text - 1);
    assert_true(n >= 0 || errno == EAGAIN);
    assert_string_equal(text, expected);
}

static void sends(struct world *w, uint64_t lsn)
{
    assert_int_equal(ack_send(&w->ack, lsn, &w->err), 0);
}

static void lines_go_forward_only(void **state)
{
    struct world *w = *state;
    opened(w);
    sends(w, 0);
    sends(w, UINT64_C(0x16B374D848));
    sends(w, UINT64_C(0x16B374D848));
    sends(w, 5);
    sends(w, UINT64_MAX);
    reads(w, "16/B374D848\nFFFFFFFF/FFFFFFFF\n");
}

static void without_a_path_nothing_is_done(void **state)
{
    struct world *w = *state;
    ack_init(&w->ack, NULL);
    assert_int_equal(ack_open(&w->ack, 0, -1, -1, &w->err), 0);
    sends(w, 7);
    assert_int_equal(ack_drain(&w->ack, 0, &w->err), 0);
    assert_int_equal(w->ack.waiting_lsn, 0);
}

static void a_file_is_refused(void **state)
{
    struct world *w = *state;
    int fd = open(w->path, O_WRONLY | O_CREAT | O_EXCL, 0600);
    assert_true(fd >= 0);
    assert_int_equal(close(fd), 0);
    assert_int_equal(ack_open(&w->ack, A_WHILE_MS, -1, -1, &w->err), -1);
    assert_int_equal(w->err.kind, ERR_PERMANENT);
    assert_non_null(strstr(w->err.text, "not a FIFO"));
}

static void nobody_reads(void **state)
{
    struct world *w = *state;
    for (int fifo = 0; fifo < 2; fifo++) {
        if (fifo)
            assert_int_equal(mkfifo(w->path, 0600), 0);
        assert_int_equal(ack_open(&w->ack, 0, -1, -1, &w->err), -1);
        assert_int_equal(w->err.kind, ERR_TEMPORARY);
        assert_non_null(strstr(w->err.text, "nobody reads the acknowledgement FIFO"));
    }
    ack_init(&w->ack, w->dir);
    assert_int_equal(ack_open(&w->ack, A_WHILE_MS, -1, -1, &w->err), -1);
    assert_int_equal(w->err.kind, ERR_PERMANENT);
}

static void one_applier_has_it_alone(void **state)
{
    struct world *w = *state;
    struct ack second;
    opened(w);
    ack_init(&second, w->path);
    assert_int_equal(ack_open(&second, 0, -1, -1, &w->err), -1);
    assert_int_equal(w->err.kind, ERR_TEMPORARY);
    assert_non_null(strstr(w->err.text, "another process writes to"));
    ack_close(&w->ack);
    assert_int_equal(ack_open(&second, 0, -1, -1, &w->err), 0);
    ack_close(&second);
}

struct opening {
    struct world *world;
    int rc;
};

static void *open_in_a_thread(void *arg)
{
    struct opening *o = arg;
    o->rc = ack_open(&o->world->ack, A_WHILE_MS, -1, -1, &o->world->err);
    return NULL;
}

/* First there is no FIFO, then an old one that nobody reads, then the one that is read. */
static void a_fifo_is_waited_for(void **state)
{
    struct world *w = *state;
    struct opening o = {.world = w, .rc = 1};
    pthread_t thread;
    char other[128];
    (void)snprintf(other, sizeof other, "%s/new", w->dir);
    assert_int_equal(pthread_create(&thread, NULL, open_in_a_thread, &o), 0);
    assert_int_equal(mkfifo(w->path, 0600), 0);
    assert_int_equal(mkfifo(other, 0600), 0);
    assert_int_equal(rename(other, w->path), 0);
    w->reader = open_reader(w);
    assert_int_equal(pthread_join(thread, NULL), 0);
    assert_int_equal(o.rc, 0);
    sends(w, 7);
    reads(w, "0/7\n");
}

/* The end of the input is that of the one who would have read; one who still writes is waited for.
 */
static void the_end_of_the_input_ends_the_wait(void **state)
{
    struct world *w = *state;
    int input[2];
    assert_int_equal(pipe(input), 0);
    assert_int_equal(ack_open(&w->ack, 0, -1, input[0], &w->err), -1);
    assert_null(strstr(w->err.text, "the input has ended"));
    /* What is in it does not matter. */
    assert_int_equal(write(input[1], "frame", 5), 5);
    (void)close(input[1]);
    int64_t begun_ms = monotonic_ms();
    assert_int_equal(ack_open(&w->ack, A_WHILE_MS, -1, input[0], &w->err), -1);
    assert_int_equal(w->err.kind, ERR_TEMPORARY);
    assert_non_null(strstr(w->err.text, "the input has ended"));
    assert_true(monotonic_ms() - begun_ms < A_WHILE_MS);
    assert_int_equal(mkfifo(w->path, 0600), 0);
    w->reader = open_reader(w);
    assert_int_equal(ack_open(&w->ack, 0, -1, input[0], &w->err), 0);
    (void)close(input[0]);
}

static void a_full_fifo_keeps_the_newest(void **state)
{
    struct world *w = *state;
    opened(w);
    uint64_t lsn = 0;
    while (w->ack.waiting_lsn == 0)
        sends(w, ++lsn);
    sends(w, lsn + 1);
    sends(w, lsn + 5);
    sends(w, lsn + 3);
    assert_int_equal(w->ack.waiting_lsn, lsn + 5);
    assert_int_equal(ack_drain(&w->ack, 0, &w->err), -1);
    assert_int_equal(w->err.kind, ERR_TEMPORARY);
    assert_non_null(strstr(w->err.text, "is full"));
    /* What comes out is every line whole, then the newest. */
    char text[4096], line[64] = "";
    size_t n = 0;
    uint64_t last = 0, read_lsn;
    for (int drained = 0; drained < 2;) {
        ssize_t got = read(w->reader, text, sizeof text);
        if (got < 0) {
            assert_int_equal(errno, EAGAIN);
            assert_int_equal(ack_drain(&w->ack, 0, &w->err), 0);
            drained++;
        }
        for (ssize_t i = 0; i < got; i++) {
            if (text[i] != '\n') {
                line[n++] = text[i];
                continue;
            }
            assert_true(lsn_parse(line, n, &read_lsn));
            assert_true(read_lsn > last);
            last = read_lsn;
            n = 0;
        }
    }
    assert_int_equal(n, 0);
    assert_int_equal(last, lsn + 5);
}

/* pg-capture may leave before its last frame has come to us. */
static void a_reader_may_leave_first(void **state)
{
    struct world *w = *state;
    opened(w);
    assert_int_equal(ack_wait_ms(&w->ack), -1);
    assert_int_equal(close(w->reader), 0);
    w->reader = -1;
    sends(w, 7);
    int wait = ack_wait_ms(&w->ack);
    assert_true(wait > 4000 && wait <= 5000);
    assert_int_equal(ack_check(&w->ack, &w->err), 0);
    assert_int_equal(ack_drain(&w->ack, A_WHILE_MS, &w->err), 0);
    /* It does not come back, and the input goes on. */
    w->ack.gone_ms -= 5000;
    assert_int_equal(ack_wait_ms(&w->ack), 0);
    assert_int_equal(ack_check(&w->ack, &w->err), -1);
    assert_int_equal(w->err.kind, ERR_TEMPORARY);
    assert_non_null(strstr(w->err.text, "is gone"));
    /* Another one has come with a new hello. */
    w->reader = open_reader(w);
    assert_int_equal(ack_open(&w->ack, A_WHILE_MS, -1, -1, &w->err), 0);
    assert_int_equal(ack_check(&w->ack, &w->err), 0);
    assert_int_equal(ack_flush(&w->ack, &w->err), 0);
    reads(w, "0/7\n");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
#define TEST(name) cmocka_unit_test_setup_teardown(name, begin_test, end_test)
        TEST(lines_go_forward_only),
        TEST(without_a_path_nothing_is_done),
        TEST(a_file_is_refused),
        TEST(nobody_reads),
        TEST(one_applier_has_it_alone),
        TEST(a_fifo_is_waited_for),
        TEST(the_end_of_the_input_ends_the_wait),
        TEST(a_full_fifo_keeps_the_newest),
        TEST(a_reader_may_leave_first),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
