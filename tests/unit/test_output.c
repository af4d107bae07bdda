/* common/base/output.c: pipes that are full, shared, gone. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/output.h"

#define SMALL_PIPE 4096

static void make_pipe(int fds[2])
{
    assert_int_equal(pipe2(fds, O_CLOEXEC), 0);
    assert_true(fcntl(fds[1], F_SETPIPE_SZ, SMALL_PIPE) >= SMALL_PIPE);
}

static uint8_t pattern(size_t i)
{
    return (uint8_t)(i * 7 + (i >> 8));
}

static void append_pattern(struct buf *b, size_t from, size_t n)
{
    uint8_t *to = buf_reserve(b, n);
    assert_non_null(to);
    for (size_t i = 0; i < n; i++)
        to[i] = pattern(from + i);
    b->len += n;
}

static void what_does_not_fit_waits_in_order(void **state)
{
    (void)state;
    enum { TOTAL = 100000, STEP = 777 };
    int fds[2];
    make_pipe(fds);
    struct output o;
    output_init(&o, fds[1], "test", 0);
    struct err err = {0};
    size_t appended = 0, received = 0;
    bool was_full = false;
    while (received < TOTAL) {
        if (appended < TOTAL) {
            size_t n = TOTAL - appended < STEP ? TOTAL - appended : STEP;
            append_pattern(&o.buf, appended, n);
            appended += n;
        }
        assert_int_equal(output_try(&o, &err), 0);
        was_full = was_full || output_pending(&o) > SMALL_PIPE;
        uint8_t got[500];
        ssize_t n = read(fds[0], got, sizeof got);
        assert_true(n > 0);
        for (ssize_t i = 0; i < n; i++)
            assert_int_equal(got[i], pattern(received + (size_t)i));
        received += (size_t)n;
    }
    assert_true(was_full);
    assert_int_equal(output_pending(&o), 0);
    output_close(&o);
    assert_int_equal(close(fds[0]), 0);
    assert_int_equal(close(fds[1]), 0);
}

/* The reader: a process that checks the pattern and says with its exit status whether all came. */
static pid_t start_reader(int fd, int writer, size_t total)
{
    pid_t pid = fork();
    assert_true(pid >= 0);
    if (pid > 0)
        return pid;
    (void)close(writer);
    size_t received = 0;
    for (;;) {
        uint8_t got[1000];
        ssize_t n = read(fd, got, sizeof got);
        if (n <= 0)
            _exit(n == 0 && received == total ? 0 : 1);
        for (ssize_t i = 0; i < n; i++)
            if (got[i] != pattern(received + (size_t)i))
                _exit(2);
        received += (size_t)n;
    }
}

static void a_flush_waits_for_the_reader(void **state)
{
    (void)state;
    enum { TOTAL = 1000000 };
    int fds[2];
    make_pipe(fds);
    struct output o;
    output_init(&o, fds[1], "test", 0);
    append_pattern(&o.buf, 0, TOTAL);
    struct err err = {0};
    assert_int_equal(output_try(&o, &err), 0);
    assert_true(output_pending(&o) > 0);
    pid_t pid = start_reader(fds[0], fds[1], TOTAL);
    assert_int_equal(output_flush(&o, &err), 0);
    assert_int_equal(output_pending(&o), 0);
    output_close(&o);
    assert_int_equal(close(fds[1]), 0);
    int status;
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_true(WIFEXITED(status) && WEXITSTATUS(status) == 0);
    assert_int_equal(close(fds[0]), 0);
}

static void a_reader_that_is_gone_is_a_temporary_error(void **state)
{
    (void)state;
    int fds[2];
    make_pipe(fds);
    struct output o;
    output_init(&o, fds[1], "the pipe", 0);
    struct pollfd p = {.fd = fds[1], .events = 0};
    assert_int_equal(poll(&p, 1, 0), 0);
    struct err err = {0};
    assert_int_equal(output_check_revents(&o, p.revents, &err), 0);

    assert_int_equal(close(fds[0]), 0);
    assert_int_equal(poll(&p, 1, 0), 1); /* on an idle pipe, too */
    assert_int_equal(output_check_revents(&o, p.revents, &err), -1);
    assert_int_equal(err.kind, ERR_TEMPORARY);
    assert_string_equal(err.text, "the reader of the pipe is gone");

    err_clear(&err);
    assert_int_equal(output_flush(&o, &err), 0); /* nothing to write */
    append_pattern(&o.buf, 0, 1);
    assert_int_equal(output_try(&o, &err), -1);
    assert_int_equal(err.kind, ERR_TEMPORARY);
    assert_string_equal(err.text, "the reader of the pipe is gone");
    output_close(&o);
    assert_int_equal(close(fds[1]), 0);
}

static void a_flush_notices_that_the_reader_goes(void **state)
{
    (void)state;
    int fds[2];
    make_pipe(fds);
    pid_t pid = fork();
    assert_true(pid >= 0);
    if (pid == 0) { /* takes a little and dies */
        char some[100];
        (void)close(fds[1]);
        _exit(read(fds[0], some, sizeof some) > 0 ? 0 : 1);
    }
    assert_int_equal(close(fds[0]), 0);
    struct output o;
    output_init(&o, fds[1], "test", 0);
    append_pattern(&o.buf, 0, 1000000);
    struct err err = {0};
    assert_int_equal(output_flush(&o, &err), -1);
    assert_int_equal(err.kind, ERR_TEMPORARY);
    int status;
    assert_int_equal(waitpid(pid, &status, 0), pid);
    output_close(&o);
    assert_int_equal(close(fds[1]), 0);
}

static void the_descriptor_gets_its_flags_back(void **state)
{
    (void)state;
    for (int nonblocking = 0; nonblocking < 2; nonblocking++) {
        int fds[2];
        assert_int_equal(pipe2(fds, nonblocking ? O_NONBLOCK : 0), 0);
        int before = fcntl(fds[1], F_GETFL);
        struct output o;
        output_init(&o, fds[1], "test", 65536 * 2);
        assert_true(fcntl(fds[1], F_GETFL) & O_NONBLOCK);
        assert_true(fcntl(fds[1], F_GETPIPE_SZ) >= 65536);
        output_close(&o);
        assert_int_equal(fcntl(fds[1], F_GETFL), before);
        output_close(&o); /* twice is harmless */
        assert_int_equal(close(fds[0]), 0);
        assert_int_equal(close(fds[1]), 0);
    }
}

static void a_file_is_written_at_once_and_keeps_its_flags(void **state)
{
    (void)state;
    int fd = memfd_create("out", MFD_CLOEXEC);
    assert_true(fd >= 0);
    int before = fcntl(fd, F_GETFL);
    struct output o;
    output_init(&o, fd, "file", OUTPUT_PIPE_SIZE);
    assert_int_equal(fcntl(fd, F_GETFL), before);
    append_pattern(&o.buf, 0, 300000);
    struct err err = {0};
    assert_int_equal(output_try(&o, &err), 0);
    assert_int_equal(output_pending(&o), 0);
    assert_int_equal(lseek(fd, 0, SEEK_END), 300000);
    output_close(&o);
    assert_int_equal(close(fd), 0);
}

static void a_full_disk_is_a_temporary_error(void **state)
{
    (void)state;
    int fd = open("/dev/full", O_WRONLY | O_CLOEXEC);
    if (fd < 0)
        skip();
    struct output o;
    output_init(&o, fd, "stdout", 0);
    append_pattern(&o.buf, 0, 10);
    struct err err = {0};
    assert_int_equal(output_try(&o, &err), -1);
    assert_int_equal(err.kind, ERR_TEMPORARY);
    assert_non_null(strstr(err.text, "writing to stdout: "));
    output_close(&o);
    assert_int_equal(close(fd), 0);
}

static void a_buffer_without_memory_is_an_error(void **state)
{
    (void)state;
    int fds[2];
    make_pipe(fds);
    struct output o;
    output_init(&o, fds[1], "test", 0);
    o.buf.failed = true;
    struct err err = {0};
    assert_int_equal(output_try(&o, &err), -1);
    assert_int_equal(err.kind, ERR_TEMPORARY);
    output_close(&o);
    assert_int_equal(close(fds[0]), 0);
    assert_int_equal(close(fds[1]), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_does_not_fit_waits_in_order),
        cmocka_unit_test(a_flush_waits_for_the_reader),
        cmocka_unit_test(a_reader_that_is_gone_is_a_temporary_error),
        cmocka_unit_test(a_flush_notices_that_the_reader_goes),
        cmocka_unit_test(the_descriptor_gets_its_flags_back),
        cmocka_unit_test(a_file_is_written_at_once_and_keeps_its_flags),
        cmocka_unit_test(a_full_disk_is_a_temporary_error),
        cmocka_unit_test(a_buffer_without_memory_is_an_error),
    };
    if (signal(SIGPIPE, SIG_IGN) == SIG_ERR)
        return 1;
    return cmocka_run_group_tests(tests, NULL, NULL);
}
