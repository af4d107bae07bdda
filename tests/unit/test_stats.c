/* common/stats.c, common/atomic_file.c: Prometheus text in a file that is always whole. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <dirent.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "atomic_file.h"
#include "capture.h"
#include "stats.h"

/* A directory of its own for each test, which must leave in it nothing but `file`. */
struct place {
    char directory[1000];
    char file[1010];
};

static int make_place(void **state)
{
    struct place *p = calloc(1, sizeof *p);
    if (!p)
        return -1;
    const char *temp = getenv("TMPDIR");
    (void)snprintf(p->directory, sizeof p->directory, "%s/pg2any-stats.XXXXXX",
                   temp ? temp : "/tmp");
    if (!mkdtemp(p->directory))
        return -1;
    (void)snprintf(p->file, sizeof p->file, "%s/f", p->directory);
    *state = p;
    return 0;
}

static int remove_place(void **state)
{
    struct place *p = *state;
    (void)unlink(p->file);
    int result = rmdir(p->directory); /* fails where something else was left */
    free(p);
    return result;
}

static const char *content(const char *path, char *text, size_t size)
{
    FILE *f = fopen(path, "r");
    assert_non_null(f);
    size_t n = fread(text, 1, size - 1, f);
    text[n] = '\0';
    assert_int_equal(fclose(f), 0);
    return text;
}

static int files_in(const char *directory)
{
    DIR *d = opendir(directory);
    assert_non_null(d);
    int n = 0;
    while (readdir(d))
        n++;
    assert_int_equal(closedir(d), 0);
    return n - 2;
}

static void metrics_are_prometheus_text(void **state)
{
    struct place *p = *state;
    struct stats s;
    stats_init(&s, p->file);
    uint64_t *inserts = stats_register(&s, STATS_COUNTER, "rows_total", "type=\"insert\"", "Rows.");
    uint64_t *deletes = stats_register(&s, STATS_COUNTER, "rows_total", "type=\"delete\"", "Rows.");
    uint64_t *lag = stats_register(&s, STATS_GAUGE, "lag_bytes", NULL, "Behind the server.");
    *inserts = 5;
    *deletes += 2;
    *lag = UINT64_MAX;
    stats_write(&s);
    char text[1024];
    assert_string_equal(content(p->file, text, sizeof text), "# HELP rows_total Rows.\n"
                                                             "# TYPE rows_total counter\n"
                                                             "rows_total{type=\"insert\"} 5\n"
                                                             "rows_total{type=\"delete\"} 2\n"
                                                             "# HELP lag_bytes Behind the server.\n"
                                                             "# TYPE lag_bytes gauge\n"
                                                             "lag_bytes 18446744073709551615\n");
}

static void a_tick_writes_once_a_second(void **state)
{
    struct place *p = *state;
    struct stats s;
    stats_init(&s, p->file);
    uint64_t *n = stats_register(&s, STATS_COUNTER, "n", NULL, "N.");
    static const struct {
        int64_t now_ms;
        bool written;
    } ticks[] = {{5000, true}, {5001, false}, {5999, false},
                 {6000, true}, {9500, true},  {10499, false}};
    for (size_t i = 0; i < sizeof ticks / sizeof *ticks; i++) {
        *n = i;
        (void)unlink(p->file);
        stats_tick(&s, ticks[i].now_ms);
        assert_int_equal(access(p->file, F_OK) == 0, ticks[i].written);
    }
    stats_init(&s, NULL);
    stats_tick(&s, 0);
    stats_write(&s);
    assert_int_equal(files_in(p->directory), 0);
}

static void a_failure_is_logged_once(void **state)
{
    struct place *p = *state;
    char missing[1100], text[1024];
    (void)snprintf(missing, sizeof missing, "%s/missing/f", p->directory);
    struct stats s;
    stats_init(&s, missing);
    struct capture c;
    capture_start(&c, STDERR_FILENO);
    stats_write(&s);
    stats_write(&s);
    capture_end(&c, text, sizeof text);
    const char *end = strchr(text, '\n');
    assert_non_null(end);
    assert_string_equal(end, "\n");
    assert_non_null(strstr(text, "level=warning"));
    assert_true(s.failed);

    s.path = p->file;
    stats_write(&s);
    assert_false(s.failed);
}

static void a_file_is_replaced_whole(void **state)
{
    struct place *p = *state;
    char text[64];
    struct err err = {0};
    assert_int_equal(atomic_file_write(p->file, "first, long\n", 12, &err), 0);
    FILE *reader = fopen(p->file, "r");
    assert_non_null(reader);
    assert_int_equal(atomic_file_write(p->file, "second\n", 7, &err), 0);
    assert_string_equal(content(p->file, text, sizeof text), "second\n");
    assert_string_equal(fgets(text, sizeof text, reader),
                        "first, long\n"); /* who has it open keeps it */
    assert_int_equal(fclose(reader), 0);
    assert_int_equal(files_in(p->directory), 1);
    struct stat st;
    assert_int_equal(stat(p->file, &st), 0);
    assert_int_equal(st.st_mode & 0777, 0600);
    assert_int_equal(atomic_file_write(p->file, "", 0, &err), 0);
    assert_string_equal(content(p->file, text, sizeof text), "");
}

static void a_file_that_cannot_be_written_leaves_nothing(void **state)
{
    struct place *p = *state;
    char path[8192];
    struct err err = {0};
    (void)snprintf(path, sizeof path, "%s/missing/f", p->directory);
    assert_int_equal(atomic_file_write(path, "x", 1, &err), -1);
    assert_int_equal(err.kind, ERR_TEMPORARY);
    assert_non_null(strstr(err.text, "No such file"));

    assert_int_equal(mkdir(p->file, 0700), 0); /* a rename to it fails */
    assert_int_equal(atomic_file_write(p->file, "x", 1, &err), -1);
    assert_int_equal(err.kind, ERR_TEMPORARY);
    assert_int_equal(rmdir(p->file), 0);
    assert_int_equal(files_in(p->directory), 0);

    memset(path, 'x', sizeof path - 1);
    path[sizeof path - 1] = '\0';
    assert_int_equal(atomic_file_write(path, "x", 1, &err), -1);
    assert_int_equal(err.kind, ERR_PERMANENT);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, make_place, remove_place)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(metrics_are_prometheus_text),
        TEST(a_tick_writes_once_a_second),
        TEST(a_failure_is_logged_once),
        TEST(a_file_is_replaced_whole),
        TEST(a_file_that_cannot_be_written_leaves_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
