/* common/base/stats.c, common/base/stats_file.c, common/base/atomic_file.c: Prometheus text in a
 * file that is always whole. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <dirent.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/atomic_file.h"
#include "base/stats.h"
#include "base/stats_file.h"
#include "capture.h"

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

/* The file without the state line and the metrics that every program has. */
static const char *own_metrics(const char *path, char *text, size_t size)
{
    (void)content(path, text, size);
    char *last = strstr(text, "pg2any_errors_total{error_type=\"retry\"");
    assert_non_null(last);
    return strchr(last, '\n') + 1;
}

static void metrics_are_prometheus_text(void **state)
{
    struct place *p = *state;
    struct stats s;
    stats_init(&s, p->file, "tool");
    uint64_t *inserts = stats_register(&s, STATS_COUNTER, "rows_total", "type=\"insert\"", "Rows.");
    uint64_t *lag = stats_register(&s, STATS_GAUGE, "lag_bytes", NULL, "Behind the server.");
    uint64_t *deletes = stats_register(&s, STATS_COUNTER, "rows_total", "type=\"delete\"", "Rows.");
    uint64_t *age = stats_register(&s, STATS_GAUGE_MS, "age_seconds", NULL, "Age.");
    *inserts = 5;
    *deletes += 2;
    *lag = UINT64_MAX;
    *age = 61007;
    assert_ptr_equal(stats_register(&s, STATS_COUNTER, "rows_total", "type=\"insert\"", "Rows."),
                     inserts);
    stats_write(&s);
    char text[4096];
    assert_string_equal(own_metrics(p->file, text, sizeof text),
                        "# HELP rows_total Rows.\n"
                        "# TYPE rows_total counter\n"
                        "rows_total{type=\"insert\"} 5\n"
                        "rows_total{type=\"delete\"} 2\n"
                        "# HELP lag_bytes Behind the server.\n"
                        "# TYPE lag_bytes gauge\n"
                        "lag_bytes 18446744073709551615\n"
                        "# HELP age_seconds Age.\n"
                        "# TYPE age_seconds gauge\n"
                        "age_seconds 61.007\n");
    struct err none = {0};
    stats_end(&s, &none);
}

static void a_histogram_counts_upwards(void **state)
{
    struct place *p = *state;
    struct stats s;
    stats_init(&s, p->file, "tool");
    struct stats_histogram *h = stats_register_histogram(&s, "d_seconds", "Durations.");
    static const int64_t durations_us[] = {-5, 0, 500, 501, 1000000, 31000000};
    for (size_t i = 0; i < sizeof durations_us / sizeof *durations_us; i++)
        stats_observe(h, durations_us[i]);
    stats_write(&s);
    char text[8192];
    assert_string_equal(own_metrics(p->file, text, sizeof text),
                        "# HELP d_seconds Durations.\n"
                        "# TYPE d_seconds histogram\n"
                        "d_seconds_bucket{le=\"0.0005\"} 3\n"
                        "d_seconds_bucket{le=\"0.001\"} 4\n"
                        "d_seconds_bucket{le=\"0.0025\"} 4\n"
                        "d_seconds_bucket{le=\"0.005\"} 4\n"
                        "d_seconds_bucket{le=\"0.01\"} 4\n"
                        "d_seconds_bucket{le=\"0.025\"} 4\n"
                        "d_seconds_bucket{le=\"0.05\"} 4\n"
                        "d_seconds_bucket{le=\"0.1\"} 4\n"
                        "d_seconds_bucket{le=\"0.25\"} 4\n"
                        "d_seconds_bucket{le=\"0.5\"} 4\n"
                        "d_seconds_bucket{le=\"1\"} 5\n"
                        "d_seconds_bucket{le=\"5\"} 5\n"
                        "d_seconds_bucket{le=\"30\"} 5\n"
                        "d_seconds_bucket{le=\"+Inf\"} 6\n"
                        "d_seconds_sum 32.001001\n"
                        "d_seconds_count 6\n");
    struct err none = {0};
    stats_end(&s, &none);
}

static void label_values_are_escaped(void **state)
{
    (void)state;
    struct buf labels = {0};
    stats_label(&labels, "table", "public.a\"b\\c\nd");
    stats_label(&labels, "type", "insert");
    assert_string_equal(buf_cstr(&labels), "table=\"public.a\\\"b\\\\c\\nd\",type=\"insert\"");
    buf_free(&labels);
}

static void a_process_goes_on_where_the_one_before_left_off(void **state)
{
    struct place *p = *state;
    struct stats s;
    struct stats_file f;
    struct err err = {0};
    double value;
    stats_init(&s, p->file, "tool");
    assert_int_equal(stats_file_read(&f, p->file, &err), 0);
    assert_int_equal(f.state, STATS_STARTING);
    assert_true(f.alive);
    assert_int_equal(f.pid, getpid());
    assert_string_equal(f.component, "tool");
    assert_true(stats_file_value(&f, "pg2any_restarts_total", NULL, &value));
    assert_true(value == 0);
    stats_file_free(&f);

    stats_ready(&s);
    stats_error(&s, ERR_RETRY);
    (void)err_set(&err, ERR_PERMANENT, "table a.b: it\nis \"no\" good");
    stats_end(&s, &err);
    assert_int_equal(stats_file_read(&f, p->file, &err), 0);
    assert_int_equal(f.state, STATS_STOPPED);
    assert_int_equal(f.status, 100);
    assert_false(f.alive);
    assert_string_equal(f.reason, "table a.b: it is \"no\" good");
    stats_file_free(&f);

    stats_init(&s, p->file, "tool");
    stats_ready(&s);
    assert_int_equal(stats_file_read(&f, p->file, &err), 0);
    assert_int_equal(f.state, STATS_READY);
    static const struct {
        const char *name, *label;
        double value;
    } expected[] = {
        {"pg2any_restarts_total", NULL, 1},
        {"pg2any_errors_total", "error_type=\"permanent\"", 1},
        {"pg2any_errors_total", "error_type=\"retry\"", 1},
        {"pg2any_errors_total", "error_type=\"temporary\"", 0},
        {"pg2any_build_info", "component=\"tool\"", 1},
    };
    for (size_t i = 0; i < sizeof expected / sizeof *expected; i++) {
        assert_true(stats_file_value(&f, expected[i].name, expected[i].label, &value));
        assert_true(value == expected[i].value);
    }
    assert_false(stats_file_value(&f, "pg2any_errors", NULL, &value));
    assert_false(stats_file_value(&f, "pg2any_restarts_total", "x=\"1\"", &value));
    stats_file_free(&f);
    err_clear(&err);
    stats_end(&s, &err);
}

/* One life of a process; what the next one, which is ready, looks like from outside. */
static void live(const char *path, const char *reason, bool follows, bool progress,
                 const char *fault)
{
    struct stats s;
    struct stats_file f;
    struct err err = {0};
    stats_init(&s, path, "tool");
    stats_ready(&s);
    if (progress)
        stats_progress(&s);
    stats_write(&s);
    if (reason) {
        (void)err_set(&err, ERR_TEMPORARY, "%s", reason);
        err.follows = follows;
        stats_end(&s, &err);
    } else {
        s.path = NULL; /* killed: nothing is written */
        stats_end(&s, &err);
    }
    stats_init(&s, path, "tool");
    stats_ready(&s);
    err_clear(&err);
    assert_int_equal(stats_file_read(&f, path, &err), 0);
    assert_int_equal(stats_file_fault(&f, "it", &err), fault ? -1 : 0);
    assert_string_equal(err.text, fault ? fault : "");
    stats_file_free(&f);
    err_clear(&err);
    (void)err_set(&err, ERR_TEMPORARY, "a neighbour is gone");
    (void)err_follows(&err);
    stats_end(&s, &err);
}

static void one_that_fails_again_and_again_is_not_healthy_while_it_runs(void **state)
{
    struct place *p = *state;
    live(p->file, "the disk is full", false, false, NULL);
    live(p->file, "a neighbour is gone", true, false, NULL);
    live(p->file, "the disk is\nfull", false, false,
         "it has failed 2 times without progress: the disk is full");
    live(p->file, NULL, false, false,
         "it has failed 3 times without progress: it was killed or crashed");
    live(p->file, "a neighbour is gone", true, false,
         "it has failed 3 times without progress: it was killed or crashed");
    live(p->file, "the disk is full", false, true, NULL);

    /* Asked to stop: the next one begins anew. */
    struct stats s;
    struct stats_file f;
    struct err err = {0};
    double failures;
    stats_init(&s, p->file, "tool");
    stats_end(&s, &err);
    stats_init(&s, p->file, "tool");
    assert_int_equal(stats_file_read(&f, p->file, &err), 0);
    assert_true(stats_file_value(&f, "pg2any_failures_since_progress", NULL, &failures));
    assert_true(failures == 0);
    stats_file_free(&f);
    stats_end(&s, &err);
}

static void a_file_without_the_time_of_progress_is_not_of_1970(void **state)
{
    struct place *p = *state;
    struct err err = {0};
    struct stats s;
    static const char was[] = "# pg2any component=tool pid=1 state=ready\n";
    assert_int_equal(atomic_file_write(p->file, was, strlen(was), &err), 0);
    stats_init(&s, p->file, "tool");
    assert_int_equal(*s.failures, 1);
    assert_true(*s.progress_time > 1000000000);
    stats_end(&s, &err);
}

static void a_pid_that_came_again_is_another_process(void **state)
{
    struct place *p = *state;
    struct err err = {0};
    struct stats_file f;
    char text[100];
    (void)snprintf(text, sizeof text, "# pg2any component=tool pid=%d state=ready\n",
                   (int)getpid());
    assert_int_equal(atomic_file_write(p->file, text, strlen(text), &err), 0);
    assert_int_equal(stats_file_read(&f, p->file, &err), 0);
    assert_true(f.alive);
    assert_int_equal(stats_file_fault(&f, "x", &err), 0);
    stats_file_free(&f);

    const struct timespec long_ago[] = {{1000000000, 0}, {1000000000, 0}}; /* before this process */
    assert_int_equal(utimensat(AT_FDCWD, p->file, long_ago, 0), 0);
    assert_int_equal(stats_file_read(&f, p->file, &err), 0);
    assert_false(f.alive);
    assert_int_equal(stats_file_fault(&f, "x", &err), -1);
    assert_string_equal(err.text, "x was killed or crashed");
    stats_file_free(&f);

    assert_int_equal(unlink(p->file), 0);
    assert_int_equal(stats_file_read(&f, p->file, &err), -1);
    assert_int_equal(stats_file_fault(&f, "x", &err), -1);
    assert_string_equal(err.text, "x has not been started");
    stats_file_free(&f);
}

static void what_is_no_statistics_file_is_refused(void **state)
{
    struct place *p = *state;
    static const char *const texts[] = {
        "",
        "# pg2any",
        "# pg2any component=a pid=x state=ready\n",
        "# pg2any component=a pid=0 state=ready\n",
        "# pg2any component=a pid=1 state=lost\n",
        "# pg2any component=a pid=1 state=stopped\n",
        "pg2any_restarts_total 1\n",
        "# pg2any component=a pid=1 state=stopped status=x follows=0 reason=\n",
    };
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) {
        struct err err = {0};
        struct stats_file f;
        assert_int_equal(atomic_file_write(p->file, texts[i], strlen(texts[i]), &err), 0);
        assert_int_equal(stats_file_read(&f, p->file, &err), -1);
        assert_int_equal(err.kind, ERR_PERMANENT);
        stats_file_free(&f);
    }
}

static void a_tick_writes_once_a_second(void **state)
{
    struct place *p = *state;
    struct stats s;
    struct err none = {0};
    stats_init(&s, p->file, "tool");
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
    stats_end(&s, &none);
    (void)unlink(p->file);
    stats_init(&s, NULL, "tool");
    stats_tick(&s, 0);
    stats_write(&s);
    stats_end(&s, &none);
    assert_int_equal(files_in(p->directory), 0);
}

static void a_failure_is_logged_once(void **state)
{
    struct place *p = *state;
    char missing[1100], text[1024];
    struct err none = {0};
    (void)snprintf(missing, sizeof missing, "%s/missing/f", p->directory);
    struct stats s;
    struct capture c;
    capture_start(&c, STDERR_FILENO);
    stats_init(&s, missing, "tool");
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
    stats_end(&s, &none);
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

/* A link that somebody put there, where he may write and the user may, too; what a crash left. */
static void what_has_the_temporary_name_is_removed_not_written(void **state)
{
    struct place *p = *state;
    char temp[sizeof p->file + 8], precious[sizeof p->file + 16], text[64];
    struct err err = {0};
    (void)snprintf(temp, sizeof temp, "%s.tmp", p->file);
    (void)snprintf(precious, sizeof precious, "%s.precious", p->file);
    for (int kind = 0; kind < 3; kind++) {
        assert_int_equal(atomic_file_write(precious, "precious\n", 9, &err), 0);
        if (kind == 0)
            assert_int_equal(symlink(precious, temp), 0);
        else if (kind == 1)
            assert_int_equal(link(precious, temp), 0);
        else
            assert_int_equal(rename(precious, temp), 0);
        assert_int_equal(atomic_file_write(p->file, "new\n", 4, &err), 0);
        assert_string_equal(content(p->file, text, sizeof text), "new\n");
        if (kind < 2)
            assert_string_equal(content(precious, text, sizeof text), "precious\n");
        assert_int_equal(files_in(p->directory), kind < 2 ? 2 : 1);
    }
}

/* What root writes for another user he can read. */
static void a_file_belongs_to_whom_the_folder_does(void **state)
{
    struct place *p = *state;
    struct err err = {0};
    struct stat st;
    const uid_t somebody = geteuid() == 0 ? 65534 : geteuid();
    if (geteuid() == 0)
        assert_int_equal(chown(p->directory, somebody, 65534), 0);
    assert_int_equal(atomic_file_write(p->file, "new", 3, &err), 0);
    assert_int_equal(stat(p->file, &st), 0);
    assert_int_equal(st.st_uid, somebody);
    assert_int_equal(st.st_mode & 07777, 0600);
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

/* Over the last ten looks; a position that goes back is of another server. */
static void a_speed_is_that_of_the_last_seconds(void **state)
{
    (void)state;
    uint64_t position = 0, per_second = 7;
    struct stats_speed v = {.position = &position, .per_second = &per_second};
    stats_measure_speed(&v, 1000);
    assert_int_equal(v.nlooks, 0);
    position = UINT64_C(1) << 40;
    stats_measure_speed(&v, 2000);
    assert_int_equal(per_second, 0);
    position += 500;
    stats_measure_speed(&v, 2100); /* too soon */
    assert_int_equal(per_second, 0);
    for (int64_t i = 1; i <= 30; i++) {
        stats_measure_speed(&v, 2000 + 1000 * i);
        assert_int_equal(per_second, i == 1 ? 500 : i <= 10 ? (500 + 1000 * (i - 1)) / i : 1000);
        position += 1000;
    }
    position -= 5000;
    stats_measure_speed(&v, 40000);
    assert_int_equal(per_second, 0);
    position += 100;
    stats_measure_speed(&v, 41000);
    assert_int_equal(per_second, 100);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(metrics_are_prometheus_text),
        TEST(a_histogram_counts_upwards),
        TEST(label_values_are_escaped),
        TEST(a_process_goes_on_where_the_one_before_left_off),
        TEST(one_that_fails_again_and_again_is_not_healthy_while_it_runs),
        TEST(a_file_without_the_time_of_progress_is_not_of_1970),
        TEST(a_pid_that_came_again_is_another_process),
        TEST(what_is_no_statistics_file_is_refused),
        TEST(a_tick_writes_once_a_second),
        TEST(a_failure_is_logged_once),
        TEST(a_file_is_replaced_whole),
        TEST(what_has_the_temporary_name_is_removed_not_written),
        TEST(a_file_belongs_to_whom_the_folder_does),
        TEST(a_file_that_cannot_be_written_leaves_nothing),
        cmocka_unit_test(a_speed_is_that_of_the_last_seconds),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
