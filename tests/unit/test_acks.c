/* pg-capture/acks.c: the FIFOs in which targets acknowledge. */
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
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "pg-capture/acks.h"

#define LENGTH(a) (sizeof(a) / sizeof *(a))
#define LIMIT     UINT64_C(0x1FFFFFFFF)

struct fixture {
    char directory[64];
    char paths[2][80];
    struct acks acks;
};

static int set_up(void **state)
{
    struct fixture *f = calloc(1, sizeof *f);
    if (!f)
        return -1;
    const char *base = getenv("TMPDIR");
    (void)snprintf(f->directory, sizeof f->directory, "%.40s/acks.XXXXXX", base ? base : "/tmp");
    if (!mkdtemp(f->directory))
        return -1;
    for (size_t i = 0; i < LENGTH(f->paths); i++)
        (void)snprintf(f->paths[i], sizeof f->paths[i], "%s/%zu", f->directory, i);
    *state = f;
    return 0;
}

static int tear_down(void **state)
{
    struct fixture *f = *state;
    acks_close(&f->acks);
    for (size_t i = 0; i < LENGTH(f->paths); i++)
        (void)unlink(f->paths[i]);
    int rc = rmdir(f->directory);
    free(f);
    return rc;
}

static int open_fifos(struct fixture *f, size_t n, struct err *err)
{
    struct option_list paths = {.n = n, .items = {f->paths[0], f->paths[1]}};
    return acks_open(&f->acks, &paths, &(struct option_list){.n = 0}, err);
}

/* The second target is apart. */
static void open_one_apart(struct fixture *f)
{
    struct option_list paths = {.n = 1, .items = {f->paths[0]}};
    struct option_list apart = {.n = 1, .items = {f->paths[1]}};
    struct err err = {0};
    if (acks_open(&f->acks, &paths, &apart, &err))
        fail_msg("%s", err.text);
}

static void say(const struct fixture *f, size_t i, const char *text)
{
    int fd = open(f->paths[i], O_WRONLY | O_NONBLOCK);
    assert_true(fd >= 0);
    assert_int_equal(write(fd, text, strlen(text)), (ssize_t)strlen(text));
    assert_int_equal(close(fd), 0);
}

static void must_read(struct fixture *f, size_t i)
{
    struct err err = {0};
    if (acks_read(&f->acks, i, LIMIT, &err))
        fail_msg("%s", err.text);
}

static void the_smallest_of_all_targets_counts(void **state)
{
    struct fixture *f = *state;
    struct err err = {0};
    assert_int_equal(open_fifos(f, 2, &err), 0);
    assert_int_equal(acks_lsn(&f->acks), 0);
    say(f, 0, "0/20\n");
    must_read(f, 0);
    assert_int_equal(acks_lsn(&f->acks), 0); /* the other has not spoken */
    say(f, 1, "0/10\n");
    must_read(f, 1);
    assert_int_equal(acks_lsn(&f->acks), 0x10);
    say(f, 1, "1/0\n0/5\n"); /* another writer; the largest stays */
    must_read(f, 1);
    assert_int_equal(acks_lsn(&f->acks), 0x20);
}

/* What it has counts, by itself; it is not waited for, and says nothing of copies. */
static void a_target_may_be_apart(void **state)
{
    struct fixture *f = *state;
    struct err err = {0};
    open_one_apart(f);
    assert_int_equal(acks_apart_lsn(&f->acks), 0);
    say(f, 0, "0/20\ncopied 7\ncopied\n");
    must_read(f, 0);
    assert_int_equal(acks_lsn(&f->acks), 0x20);
    assert_true(acks_have_told(&f->acks));
    assert_true(acks_have_copy(&f->acks, 7));
    assert_int_equal(acks_sent_copy(&f->acks, 7, &err), 0);
    say(f, 0, "copied 7\n");
    must_read(f, 0);
    assert_false(acks_wait_for_copies(&f->acks));
    say(f, 1, "again 7\nlacks 7 id\t1\ncopying 8 x\ncopied *\n0/10\n");
    must_read(f, 1);
    assert_false(acks_take_lost(&f->acks, 7));
    assert_false(acks_lack_rows(&f->acks, 7));
    assert_true(acks_have_copy(&f->acks, 7));
    assert_false(acks_have_copy(&f->acks, 9));
    assert_int_equal(acks_lsn(&f->acks), 0x20);
    assert_int_equal(acks_apart_lsn(&f->acks), 0x10);
    acks_close(&f->acks);
    assert_int_equal(open_fifos(f, 1, &err), 0);
    assert_true(acks_apart_lsn(&f->acks) == UINT64_MAX);
}

static void a_line_may_come_in_pieces(void **state)
{
    struct fixture *f = *state;
    struct err err = {0};
    assert_int_equal(open_fifos(f, 1, &err), 0);
    must_read(f, 0);
    say(f, 0, "0/");
    must_read(f, 0);
    assert_int_equal(acks_lsn(&f->acks), 0);
    say(f, 0, "AB\n0/1");
    must_read(f, 0);
    assert_int_equal(acks_lsn(&f->acks), 0xAB);
    say(f, 0, "00\n");
    must_read(f, 0);
    assert_int_equal(acks_lsn(&f->acks), 0x100);
}

static void what_is_no_line_is_refused(void **state)
{
    struct fixture *f = *state;
    static char too_long[ACK_LINE_MAX + 1];
    memset(too_long, '0', sizeof too_long - 1);
    const char *const lines[] = {
        "\n",
        "0\n",
        "x/1\n",
        "0/1 \n",
        "0/1\r\n",
        "2/0\n", /* beyond the limit */
        "FFFFFFFF/FFFFFFFF\n",
        "000000000/000000001\n",
        too_long,
        "copied\r\n",
        "copied x\n",
        "copied 0\n",
        "copied 1 \n",
        "copied 4294967296\n",
        "copying 1\n",
        "copying 1 \n",
        "whole\n",
        "whole 1 2\n",
        "again\n",
        "again 0\n",
        "lacks 7\n",
        "lacks 7 \n",
        "lacks 0 id\t7\n",
    };
    for (size_t i = 0; i < LENGTH(lines); i++) {
        struct err err = {0};
        assert_int_equal(open_fifos(f, 1, &err), 0);
        say(f, 0, lines[i]);
        assert_int_equal(acks_read(&f->acks, 0, LIMIT, &err), -1);
        assert_int_equal(err.kind, ERR_PERMANENT);
        assert_non_null(strstr(err.text, f->paths[0]));
        acks_close(&f->acks);
    }
}

static void take(struct fixture *f, uint32_t relid, const char *keys)
{
    struct buf taken = {0};
    assert_int_equal(acks_lack_rows(&f->acks, relid), *keys != '\0');
    acks_take_lacks(&f->acks, relid, &taken);
    assert_string_equal(buf_cstr(&taken), keys);
    assert_false(acks_lack_rows(&f->acks, relid));
    buf_free(&taken);
}

/* Each once, whichever targets lack it, and whatever else they have. */
static void rows_may_be_lacked(void **state)
{
    struct fixture *f = *state;
    struct err err = {0};
    assert_int_equal(open_fifos(f, 2, &err), 0);
    say(f, 0, "copied 7\nlacks 7 id\t1\nlacks 7 id\t2\nlacks 8 id\t1\ncopied\n");
    say(f, 1, "lacks 7 id\t2\nlacks 7 id\t\ncopied *\n");
    for (size_t i = 0; i < 2; i++)
        assert_int_equal(acks_read(&f->acks, i, LIMIT, &err), 0);
    assert_true(acks_have_copy(&f->acks, 7));
    assert_false(acks_have_copy(&f->acks, 8));
    assert_false(acks_take_lost(&f->acks, 7));
    take(f, 7, "id\t1\nid\t2\nid\t\n");
    take(f, 9, "");
    say(f, 1, "lacks 7 id\t2\n");
    assert_int_equal(acks_read(&f->acks, 1, LIMIT, &err), 0);
    take(f, 7, "id\t2\n");
    acks_hello(&f->acks);
    take(f, 8, "");
    acks_close(&f->acks);
}

/* What a target says of a table counts before "copied *", in whichever order it comes. */
static void of_all_tables_some_may_be_missing(void **state)
{
    struct fixture *f = *state;
    struct err err = {0};
    bool has = true;
    assert_int_equal(open_fifos(f, 1, &err), 0);
    say(f, 0, "again 6\ncopying 7 k\ncopied 8\ncopied *\n");
    assert_int_equal(acks_read(&f->acks, 0, LIMIT, &err), 0);
    assert_true(acks_have_told(&f->acks));
    assert_false(acks_have_copy(&f->acks, 6));
    assert_string_equal(acks_copying(&f->acks, 0, 7, &has), "k");
    assert_false(has);
    assert_true(acks_have_copy(&f->acks, 8));
    assert_true(acks_have_copy(&f->acks, 9));
}

/* Also of a target that has all tables; and once for each time that it was said. */
static void a_table_may_be_lost_again(void **state)
{
    struct fixture *f = *state;
    struct err err = {0};
    assert_int_equal(open_fifos(f, 2, &err), 0);
    say(f, 0, "copied 7\ncopied 8\ncopied\n");
    say(f, 1, "copied *\n");
    for (size_t i = 0; i < 2; i++)
        assert_int_equal(acks_read(&f->acks, i, LIMIT, &err), 0);
    assert_true(acks_have_copy(&f->acks, 7));
    assert_false(acks_take_lost(&f->acks, 7));
    for (size_t i = 0; i < 2; i++) {
        say(f, i, "again 7\n");
        assert_int_equal(acks_read(&f->acks, i, LIMIT, &err), 0);
        assert_false(acks_have_copy(&f->acks, 7));
        assert_true(acks_have_copy(&f->acks, 8));
        assert_false(acks_want_whole(&f->acks, 7));
        assert_true(acks_take_lost(&f->acks, 7));
        assert_false(acks_take_lost(&f->acks, 7));
        assert_false(acks_take_lost(&f->acks, 8));
        say(f, i, "copied 7\n");
        assert_int_equal(acks_read(&f->acks, i, LIMIT, &err), 0);
        assert_true(acks_have_copy(&f->acks, 7));
    }
    acks_close(&f->acks);
}

static void an_old_fifo_is_made_afresh_and_removed(void **state)
{
    struct fixture *f = *state;
    struct err err = {0};
    struct stat st;
    assert_int_equal(mkfifo(f->paths[0], 0666), 0);
    int old = open(f->paths[0], O_RDWR | O_NONBLOCK);
    assert_int_equal(write(old, "0/99\n", 5), 5);
    assert_int_equal(open_fifos(f, 1, &err), 0);
    must_read(f, 0);
    assert_int_equal(acks_lsn(&f->acks), 0);
    assert_int_equal(stat(f->paths[0], &st), 0);
    assert_int_equal(st.st_mode & 0777, 0600);
    acks_close(&f->acks);
    assert_int_equal(close(old), 0);
    assert_int_equal(access(f->paths[0], F_OK), -1);
}

static void what_is_not_ours_stays(void **state)
{
    struct fixture *f = *state;
    struct err err = {0};
    assert_int_equal(open_fifos(f, 1, &err), 0);
    assert_int_equal(unlink(f->paths[0]), 0);
    assert_int_equal(mkfifo(f->paths[0], 0600), 0); /* of the process that came after us */
    acks_close(&f->acks);
    assert_int_equal(access(f->paths[0], F_OK), 0);

    assert_int_equal(unlink(f->paths[0]), 0);
    int fd = open(f->paths[0], O_CREAT | O_WRONLY, 0600);
    assert_int_equal(close(fd), 0);
    assert_int_equal(open_fifos(f, 1, &err), -1);
    assert_int_equal(err.kind, ERR_PERMANENT);
    assert_int_equal(access(f->paths[0], F_OK), 0);
}

/* One of several that start at once: says which FIFO it has, and keeps it. */
static _Noreturn void start_with_the_others(struct fixture *f, int start, int say)
{
    struct err err = {0};
    char byte;
    (void)!read(start, &byte, 1);
    ino_t ino = open_fifos(f, 1, &err) == 0 ? f->acks.fifos[0].ino
                : err.kind == ERR_TEMPORARY ? 0
                                            : (ino_t)-1;
    (void)!write(say, &ino, sizeof ino);
    for (;;)
        (void)pause();
}

static void two_readers_never_share_a_fifo(void **state)
{
    enum { PROCESSES = 8, ROUNDS = 200 };
    struct fixture *f = *state;
    for (int round = 0; round < ROUNDS; round++) {
        int start[2], told[2];
        pid_t pids[PROCESSES];
        ino_t inos[PROCESSES];
        assert_int_equal(pipe(start), 0);
        assert_int_equal(pipe(told), 0);
        for (size_t i = 0; i < PROCESSES; i++) {
            pids[i] = fork();
            assert_true(pids[i] >= 0);
            if (pids[i] == 0) {
                (void)close(start[1]);
                start_with_the_others(f, start[0], told[1]);
            }
        }
        assert_int_equal(close(start[1]), 0);
        for (size_t i = 0; i < PROCESSES; i++)
            assert_int_equal(read(told[0], &inos[i], sizeof *inos), sizeof *inos);
        for (size_t i = 0; i < PROCESSES; i++) {
            assert_int_equal(kill(pids[i], SIGKILL), 0);
            assert_int_equal(waitpid(pids[i], NULL, 0), pids[i]);
        }
        for (size_t i = 0; i < PROCESSES; i++) {
            assert_true(inos[i] != (ino_t)-1);
            for (size_t k = 0; k < i; k++)
                assert_true(inos[i] == 0 || inos[i] != inos[k]);
        }
        assert_int_equal(close(start[0]) | close(told[0]) | close(told[1]), 0);
    }
}

static void a_path_given_twice_is_refused(void **state)
{
    struct fixture *f = *state;
    struct err err = {0};
    (void)snprintf(f->paths[1], sizeof f->paths[1], "%s", f->paths[0]);
    assert_int_equal(open_fifos(f, 2, &err), -1);
    assert_int_equal(err.kind, ERR_PERMANENT);
}

int main(void)
{
    cmocka_set_message_output(CM_OUTPUT_TAP);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(the_smallest_of_all_targets_counts, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_target_may_be_apart, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_line_may_come_in_pieces, set_up, tear_down),
        cmocka_unit_test_setup_teardown(what_is_no_line_is_refused, set_up, tear_down),
        cmocka_unit_test_setup_teardown(rows_may_be_lacked, set_up, tear_down),
        cmocka_unit_test_setup_teardown(of_all_tables_some_may_be_missing, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_table_may_be_lost_again, set_up, tear_down),
        cmocka_unit_test_setup_teardown(an_old_fifo_is_made_afresh_and_removed, set_up, tear_down),
        cmocka_unit_test_setup_teardown(what_is_not_ours_stays, set_up, tear_down),
        cmocka_unit_test_setup_teardown(two_readers_never_share_a_fifo, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_path_given_twice_is_refused, set_up, tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
