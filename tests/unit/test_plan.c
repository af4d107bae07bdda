/* pg2any/plan.c, env_file.c, args.c: a configuration becomes a pipeline; a stage gets what is its
 * own. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "pg2any/args.h"
#include "pg2any/env_file.h"
#include "pg2any/plan.h"

#define LENGTH(a) (sizeof(a) / sizeof *(a))

static bool is_ours(const char *variable)
{
    static const char *const begins[] = {"CDC_",    "METRICS_", "PG", "XDG_",
                                         "HOME_2=", "SET=",     "A=", "EMPTY="};
    for (size_t i = 0; i < LENGTH(begins); i++)
        if (strncmp(variable, begins[i], strlen(begins[i])) == 0)
            return true;
    return false;
}

/* An environment with these alone among the variables that the tests are about. */
static void set_environment(const char *const *variables)
{
    char name[256];
    for (char **v = environ; *v;) {
        (void)snprintf(name, sizeof name, "%.*s", (int)strcspn(*v, "="), *v);
        if (!is_ours(*v)) {
            v++;
            continue;
        }
        assert_int_equal(unsetenv(name), 0);
        v = environ;
    }
    for (; *variables; variables++) {
        const char *equals = strchr(*variables, '=');
        assert_non_null(equals);
        (void)snprintf(name, sizeof name, "%.*s", (int)(equals - *variables), *variables);
        assert_int_equal(setenv(name, equals + 1, 1), 0);
    }
}

#define SOURCE "CDC_SOURCE_CONNECTION_STRING=postgresql://h/d"

static void targets_become_stages(void **state)
{
    (void)state;
    static const struct {
        const char *variables[8];
        const char *stages; /* name=program, or what the error says */
    } cases[] = {
        {{SOURCE, "CDC_DEST_URI=x.db"},
         "capture=pg-capture assemble=txn-assemble apply=apply-sqlite"},
        {{SOURCE, "CDC_DEST_URI=mysql://h/d", "CDC_DEST_TYPE="},
         "capture=pg-capture assemble=txn-assemble apply=apply-mysql"},
        {{SOURCE, "CDC_DEST_URI=MARIADB://h/d"},
         "capture=pg-capture assemble=txn-assemble apply=apply-mysql"},
        {{SOURCE, "CDC_DEST_URI=sqlserver://h/d"},
         "capture=pg-capture assemble=txn-assemble apply=apply-mssql"},
        {{SOURCE, "CDC_DEST_URI=x", "CDC_DEST_TYPE=sqlserver"},
         "capture=pg-capture assemble=txn-assemble apply=apply-mssql"},
        {{SOURCE, "CDC_DEST_URI=x", "CDC_AUDIT_FILE=a"},
         "capture=pg-capture assemble=txn-assemble tee=frame-tee apply=apply-sqlite"},
        {{SOURCE, "CDC_DEST_URI=x", "CDC_DEST_URI_2=mysql://h/d", "CDC_DEST_TYPE_2=MySQL"},
         "capture=pg-capture assemble=txn-assemble tee=frame-tee apply=apply-sqlite "
         "apply-2=apply-mysql"},
        {{SOURCE}, "CDC_DEST_URI is not set"},
        {{SOURCE, "CDC_DEST_URL=mysql://u:s3cret@h/d", "CDC_NAN_2=null"},
         "(nothing reads CDC_DEST_URL: is it spelt right?)"},
        {{"CDC_SOURCE_CONECTION=x", "CDC_DEST_URI=x"},
         "(nothing reads CDC_SOURCE_CONECTION: is it spelt right?)"},
        {{SOURCE, "CDC_DEST_URI=mysql://u:s3cret@h/d", "CDC_DEST_TYPE=SQLite"},
         "CDC_DEST_TYPE is SQLite, but CDC_DEST_URI begins with mysql (leave out"},
        {{SOURCE, "CDC_DEST_URI=x", "CDC_DEST_URI_2=sqlite:x", "CDC_DEST_TYPE_2=MySQL"},
         "CDC_DEST_TYPE_2 is MySQL, but CDC_DEST_URI_2 begins with sqlite (leave out"},
        {{SOURCE, "CDC_DEST_URI=mysql://h/d", "CDC_DEST_TYPE=mariadb"},
         "capture=pg-capture assemble=txn-assemble apply=apply-mysql"},
        {{SOURCE, "CDC_DEST_URI="}, "CDC_DEST_URI is not set"},
        {{"CDC_DEST_URI=x"}, "CDC_SOURCE_CONNECTION_STRING is not set"},
        {{SOURCE, "CDC_DEST_URI=x", "CDC_DEST_TYPE_2=MySQL"}, "CDC_DEST_URI_2 is not set"},
        {{SOURCE, "CDC_DEST_URI=x", "CDC_DEST_URI_3=y"}, "but no target 2"},
        {{SOURCE, "CDC_DEST_URI=x", "CDC_DEST_TYPE=Oracle"}, "\"Oracle\" is not one of"},
        {{SOURCE, "CDC_DEST_URI=mysq://h/d"}, "mysq:// is not one of mysql,"},
        {{SOURCE, "CDC_DEST_URI=Server=h;Password=s3cret"}, "CDC_DEST_URI is neither a URI nor"},
        {{SOURCE, "CDC_DEST_URI=host=h password=s3cret"}, "CDC_DEST_URI is neither a URI nor"},
        {{SOURCE, "CDC_DEST_URI=u:s3cret"}, "CDC_DEST_URI is neither a URI nor"},
        {{SOURCE, "CDC_DEST_URI=mysql:u:s3cret@h"}, "CDC_DEST_URI is neither a URI nor"},
        {{SOURCE, "CDC_DEST_URI=mysql;u:s3cret@h"}, "CDC_DEST_URI is neither a URI nor"},
        {{SOURCE, "CDC_DEST_URI=jdbc:mysql://u:s3cret@h"}, "CDC_DEST_URI is neither a URI nor"},
        {{SOURCE, "CDC_DEST_URI=x", "CDC_DEST_TYPE=mysql:u:s3cret@h"}, "is not one of MySQL,"},
        {{SOURCE, "CDC_DEST_URI=sqlite:u:p"},
         "capture=pg-capture assemble=txn-assemble apply=apply-sqlite"},
        {{SOURCE, "CDC_DEST_URI=sqlite:///x.db"},
         "capture=pg-capture assemble=txn-assemble apply=apply-sqlite"},
        {{SOURCE, "CDC_DEST_URI=x", "CDC_DEST_URI_2=y", "CDC_DEST_URI_3=x"},
         "CDC_DEST_URI_3 is the same as that of target 1"},
        {{SOURCE, "CDC_DEST_URI=x", "CDC_DEST_URI_2=x", "CDC_ORIGIN_2=other"},
         "capture=pg-capture assemble=txn-assemble tee=frame-tee apply=apply-sqlite "
         "apply-2=apply-sqlite"},
    };
    for (size_t i = 0; i < LENGTH(cases); i++) {
        struct plan p;
        struct err err = {0};
        char text[512] = "";
        set_environment(cases[i].variables);
        if (plan_make(&p, &err)) {
            assert_int_equal(err.kind, ERR_PERMANENT);
            assert_null(strstr(err.text, "s3cret"));
            if (!strstr(err.text, cases[i].stages))
                fail_msg("%s, not %s", err.text, cases[i].stages);
            continue;
        }
        for (size_t s = 0; s < p.nstages; s++) {
            size_t used = strlen(text);
            (void)snprintf(text + used, sizeof text - used, "%s%s=%s", s ? " " : "",
                           p.stages[s].name, p.stages[s].program);
        }
        assert_string_equal(text, cases[i].stages);
    }
}

/* Who reads whom: "writer.descriptor>reader" for each joint. */
static void stages_hang_together(void **state)
{
    (void)state;
    static const struct {
        const char *variables[8];
        const char *joints;
    } cases[] = {
        {{SOURCE, "CDC_DEST_URI=x"}, "capture.1>assemble assemble.1>apply "},
        {{SOURCE, "CDC_DEST_URI=x", "CDC_AUDIT_FILE=a"},
         "capture.1>assemble assemble.1>tee tee.1>apply "},
        {{SOURCE, "CDC_DEST_URI=x", "CDC_DEST_URI_2=y"},
         "capture.1>assemble assemble.1>tee tee.1>apply tee.4>apply-2 "},
        {{SOURCE, "CDC_DEST_URI=x", "CDC_DEST_URI_2=y", "CDC_AUDIT_FILE=a"},
         "capture.1>assemble assemble.1>tee tee.1>apply tee.4>apply-2 "},
        {{SOURCE, "CDC_DEST_URI=x", "CDC_DEST_URI_2=y", "CDC_DEST_URI_3=z", "CDC_DEST_URI_4=w"},
         "capture.1>assemble assemble.1>tee tee.1>apply tee.4>apply-2 tee.5>apply-3 "
         "tee.6>apply-4 "},
    };
    for (size_t i = 0; i < LENGTH(cases); i++) {
        struct plan p;
        struct err err = {0};
        char text[512] = "";
        set_environment(cases[i].variables);
        assert_int_equal(plan_make(&p, &err), 0);
        assert_int_equal(p.stages[0].from, -1);
        for (int s = 1; s < (int)p.nstages; s++) {
            const struct stage *reader = &p.stages[s];
            size_t used = strlen(text);
            assert_in_range(reader->from, 0, s - 1); /* from capture on, so nothing goes round */
            (void)snprintf(text + used, sizeof text - used, "%s.%d>%s ",
                           p.stages[reader->from].name, reader->from_fd, reader->name);
        }
        assert_string_equal(text, cases[i].joints);
    }
}

/* One variable as a stage sees it; NULL: not at all. */
static void a_stage_gets_what_is_its_own(void **state)
{
    (void)state;
    static const char *const environment[] = {SOURCE,
                                              "PGPASSWORD=source",
                                              "PG2ANY_BIN=b",
                                              "CDC_DEST_URI=one",
                                              "CDC_DEST_URI_2=two",
                                              "CDC_DEST_URI_12=twelve",
                                              "CDC_CONFLICT=skip",
                                              "CDC_CONFLICT_2=apply",
                                              "CDC_DDL_2=",
                                              "CDC_DDL=none",
                                              "CDC_NAN_12=null",
                                              "CDC_MEMORY_LIMIT=1MB",
                                              "HOME_2=mine",
                                              NULL};
    static const struct {
        enum stage_kind kind;
        unsigned target;
        const char *name, *value;
    } cases[] = {
        {STAGE_CAPTURE, 0, "CDC_SOURCE_CONNECTION_STRING", "postgresql://h/d"},
        {STAGE_CAPTURE, 0, "PGPASSWORD", "source"},
        {STAGE_CAPTURE, 0, "CDC_DEST_URI", NULL},
        {STAGE_CAPTURE, 0, "CDC_DEST_URI_2", NULL},
        {STAGE_ASSEMBLE, 0, "CDC_SOURCE_CONNECTION_STRING", NULL},
        {STAGE_ASSEMBLE, 0, "PGPASSWORD", NULL},
        {STAGE_ASSEMBLE, 0, "PG2ANY_BIN", "b"},
        {STAGE_ASSEMBLE, 0, "CDC_DEST_URI", NULL},
        {STAGE_ASSEMBLE, 0, "CDC_DEST_URI_12", NULL},
        {STAGE_ASSEMBLE, 0, "CDC_MEMORY_LIMIT", "1MB"},
        {STAGE_TEE, 0, "CDC_DEST_URI_2", NULL},
        {STAGE_APPLY, 1, "CDC_DEST_URI", "one"},
        {STAGE_APPLY, 1, "CDC_DEST_URI_2", NULL},
        {STAGE_APPLY, 1, "CDC_CONFLICT", "skip"},
        {STAGE_APPLY, 1, "CDC_SOURCE_CONNECTION_STRING", NULL},
        {STAGE_APPLY, 1, "PGPASSWORD", NULL},
        {STAGE_APPLY, 2, "CDC_DEST_URI", "two"},
        {STAGE_APPLY, 2, "CDC_DEST_URI_12", NULL},
        {STAGE_APPLY, 2, "PG2ANY_STAGE", "apply"},
        {STAGE_APPLY, 2, "CDC_CONFLICT", "apply"},
        {STAGE_APPLY, 2, "CDC_DDL", "none"},
        {STAGE_APPLY, 2, "CDC_NAN", NULL},
        {STAGE_APPLY, 2, "HOME_2", "mine"},
        {STAGE_APPLY, 12, "CDC_DEST_URI", "twelve"},
        {STAGE_APPLY, 12, "CDC_NAN", "null"},
        {STAGE_APPLY, 12, "CDC_CONFLICT", "skip"},
    };
    for (size_t i = 0; i < LENGTH(cases); i++) {
        const struct stage s = {.kind = cases[i].kind, .name = "apply", .target = cases[i].target};
        struct err err = {0};
        set_environment(environment);
        assert_int_equal(plan_enter_stage(&s, &err), 0);
        const char *value = getenv(cases[i].name);
        if ((value == NULL) != (cases[i].value == NULL))
            fail_msg("stage %d, target %u: %s is %s", (int)s.kind, s.target, cases[i].name,
                     value ? value : "not set");
        if (value)
            assert_string_equal(value, cases[i].value);
    }
}

static void collect(void *ctx, const char *name)
{
    char *text = ctx;
    size_t used = strlen(text);
    (void)snprintf(text + used, 256 - used, "%s ", name);
}

static void names_that_nobody_reads_are_found(void **state)
{
    (void)state;
    static const char *const environment[] = {SOURCE,
                                              "CDC_DEST_URI=a",
                                              "CDC_DEST_URI_2=b",
                                              "CDC_CONFLICT_2=skip",
                                              "CDC_CONFLCIT=apply",
                                              "CDC_NAN_3=null",
                                              "CDC_MEMORY_LIMIT_2=1MB",
                                              "METRICS_PROT=1",
                                              "METRICS_PORT=1",
                                              "PGPASSWORD=x",
                                              NULL};
    struct plan p;
    struct err err = {0};
    char text[256] = "";
    set_environment(environment);
    assert_int_equal(plan_make(&p, &err), 0);
    plan_unknown_variables(&p, collect, text);
    static const char *const expected[] = {"CDC_CONFLCIT ", "CDC_NAN_3 ", "CDC_MEMORY_LIMIT_2 ",
                                           "METRICS_PROT "};
    size_t length = 0;
    for (size_t i = 0; i < LENGTH(expected); i++) {
        assert_non_null(strstr(text, expected[i]));
        length += strlen(expected[i]);
    }
    assert_int_equal(strlen(text), length);
}

/* What a stage is started with, as one text. */
static void put_arguments(const struct plan *p, size_t stage, char out[512])
{
    struct args a;
    args_of_stage(&a, p, stage);
    *out = '\0';
    for (size_t w = 0; a.words[w]; w++) {
        size_t used = strlen(out);
        (void)snprintf(out + used, 512 - used, "%s%s", w ? " " : "", a.words[w]);
    }
}

static void programs_get_their_files(void **state)
{
    (void)state;
    static const char *const environment[] = {SOURCE,
                                              "CDC_DEST_URI=a",
                                              "CDC_DEST_URI_2=b",
                                              "CDC_DEST_URI_3=c",
                                              "CDC_STATE_DIR=/s",
                                              "CDC_QUARANTINE_DIR_2=/q",
                                              NULL};
    static const char *const expected[] = {
        ("pg-capture --stats /s/capture.prom --ack /s/apply.ack --ack /s/apply-2.ack --ack "
         "/s/apply-3.ack"),
        "txn-assemble --stats /s/assemble.prom",
        "frame-tee --stats /s/tee.prom --output-fd 4 --output-fd 5",
        "apply-sqlite --stats /s/apply.prom --ack /s/apply.ack --quarantine-dir /s/quarantine/apply",
        "apply-sqlite --stats /s/apply-2.prom --ack /s/apply-2.ack --quarantine-dir /q/apply-2",
        "apply-sqlite --stats /s/apply-3.prom --ack /s/apply-3.ack --quarantine-dir "
        "/s/quarantine/apply-3",
    };
    struct plan p;
    struct err err = {0};
    set_environment(environment);
    assert_int_equal(plan_make(&p, &err), 0);
    assert_int_equal(p.nstages, LENGTH(expected));
    for (size_t i = 0; i < p.nstages; i++) {
        char text[512];
        put_arguments(&p, i, text);
        assert_string_equal(text, expected[i]);
    }
    assert_string_equal(p.stages[1].fifo, "/s/assemble.fifo");
    assert_string_equal(p.stages[4].fifo, "/s/apply-2.fifo");
}

/* Files say which targets are apart: the others are joined, the slot is kept for the one and not
 * for the other. */
static void targets_may_be_apart(void **state)
{
    (void)state;
    static const struct {
        const char *kinds[3]; /* of the targets' files; NULL: there is none */
        const char *capture, *tee;
    } cases[] = {
        {{NULL, NULL, NULL}, "--ack 1 --ack 2 --ack 3", "1 4 5"},
        {{NULL, "paused 1\nb\n\n", NULL}, "--ack 1 --ack-apart 2 --ack 3", "1 - 4"},
        {{"failed 1\na\nwhy\n", NULL, NULL}, "--ack-apart 1 --ack 2 --ack 3", "- 1 4"},
        {{"given-up 1\na\nwhy\n", "paused 1\nb\n\n", NULL}, "--ack-apart 2 --ack 3", "- - 1"},
        {{NULL, "paused 1\nanother target\n\n", NULL}, "--ack 1 --ack 2 --ack 3", "1 4 5"},
        {{NULL, "at the pub 1\nb\n\n", NULL}, "does not say the state of its target", ""},
    };
    char directory[] = "/tmp/pg2any-test-apart-XXXXXX", variable[64];
    assert_non_null(mkdtemp(directory));
    (void)snprintf(variable, sizeof variable, "CDC_STATE_DIR=%s", directory);
    const char *const environment[] = {
        SOURCE, "CDC_DEST_URI=a", "CDC_DEST_URI_2=b", "CDC_DEST_URI_3=c", variable, NULL};
    set_environment(environment);
    for (size_t i = 0; i < LENGTH(cases); i++) {
        struct plan p;
        struct err err = {0};
        char text[512], expected[512] = "", tee[64] = "";
        assert_int_equal(plan_make(&p, &err), 0);
        for (size_t t = 0; t < 3; t++) {
            FILE *f = cases[i].kinds[t] ? fopen(p.stages[3 + t].apart_file, "w") : NULL;
            if (f) {
                (void)fputs(cases[i].kinds[t], f);
                assert_int_equal(fclose(f), 0);
            }
        }
        bool changed = plan_changed(&p, &p.stages[0]);
        bool looked = plan_look(&p, &err) == 0;
        for (size_t t = 0; t < 3; t++)
            (void)unlink(p.stages[3 + t].apart_file);
        if (!looked) {
            assert_non_null(strstr(err.text, cases[i].capture));
            continue;
        }
        bool all = strstr(cases[i].tee, "-") == NULL;
        assert_int_equal(changed, !all);
        assert_int_equal(plan_changed(&p, &p.stages[2]), !all); /* the files are gone */
        assert_false(plan_changed(&p, &p.stages[1]));
        put_arguments(&p, 0, text);
        for (const char *w = strstr(text, "--ack"); w; w = strstr(w + 1, "--ack")) {
            size_t used = strlen(expected);
            const char *number = strstr(w, "/apply") + 6;
            (void)snprintf(expected + used, sizeof expected - used, "%s%.*s%c", used ? " " : "",
                           (int)strcspn(w, " ") + 1, w, *number == '-' ? number[1] : '1');
        }
        assert_string_equal(expected, cases[i].capture);
        for (size_t t = 3; t < 6; t++) {
            size_t used = strlen(tee);
            if (p.stages[t].from == 2)
                (void)snprintf(tee + used, sizeof tee - used, "%s%d", used ? " " : "",
                               p.stages[t].from_fd);
            else
                (void)snprintf(tee + used, sizeof tee - used, "%s-", used ? " " : "");
        }
        assert_string_equal(tee, cases[i].tee);
    }
    assert_int_equal(rmdir(directory), 0);
}

static void a_state_directory_is_ours_alone(void **state)
{
    (void)state;
    char base[] = "/tmp/pg2any-test-plan-XXXXXX";
    struct plan p = {0};
    struct err err = {0};
    assert_non_null(mkdtemp(base));
    (void)snprintf(p.state_dir, sizeof p.state_dir, "%s/state", base);
    assert_int_equal(plan_make_state_dir(&p, &err), 0);
    assert_int_equal(plan_make_state_dir(&p, &err), 0); /* it is there */
    struct stat st;
    assert_int_equal(stat(p.state_dir, &st), 0);
    assert_int_equal(st.st_mode & 07777, 0700);
    assert_int_equal(chmod(p.state_dir, 0750), 0);
    assert_int_equal(plan_make_state_dir(&p, &err), -1);
    assert_int_equal(err.kind, ERR_PERMANENT);
    assert_int_equal(rmdir(p.state_dir), 0);
    assert_int_equal(symlink(base, p.state_dir), 0); /* to a directory that would do */
    assert_int_equal(plan_make_state_dir(&p, &err), -1);
    assert_int_equal(unlink(p.state_dir), 0);
    assert_int_equal(rmdir(base), 0);
}

static void an_env_file_is_read(void **state)
{
    (void)state;
    static const struct {
        const char *text, *value; /* of A; NULL: not set; "!…": an error that says that */
    } cases[] = {
        {"A=b\n", "b"},
        {"A=b", "b"},
        {"A=\n", ""},
        {"  A=b  \n", "b"},
        {"export A=b\n", "b"},
        {"export\tA=b\r\n", "b"},
        {"# A=b\n\n   # x\n", NULL},
        {"A=b # c\n", "b"},
        {"A=b#c\n", "b#c"},
        {"A=#b\n", ""},
        {"A='b # \"c\" $d \\n'\n", "b # \"c\" $d \\n"},
        {"A=\"b \\\"c\\\" \\$d \\\\ \\n \\x\"  # e\n", "b \"c\" $d \\ \n \\x"},
        {"A=b=c\n", "b=c"},
        {"A=b c\n", "b c"},
        {"A=postgresql://u:p%40@h/d?x=y&z=w\n", "postgresql://u:p%40@h/d?x=y&z=w"},
        {"SET=2\n", NULL},
        {"A=1\nA=2\n", "2"},
        {"EMPTY=2\nA=b\n", "b"},
        {"A='b\n", "!line 1: the closing quote"},
        {"A=\"b\\\"\n", "!line 1: the closing quote"},
        {"\nA='b' c\n", "!line 2: something stands behind"},
        {"A = b\n", "!not NAME=value"},
        {"A\n", "!not NAME=value"},
        {"1A=b\n", "!not NAME=value"},
        {"A-B=c\n", "!not NAME=value"},
        {"=b\n", "!not NAME=value"},
    };
    static const char *const environment[] = {"SET=1", "EMPTY=", NULL};
    char path[] = "/tmp/pg2any-test-env-XXXXXX";
    int fd = mkstemp(path);
    assert_true(fd >= 0);
    for (size_t i = 0; i < LENGTH(cases); i++) {
        struct err err = {0};
        size_t len = strlen(cases[i].text);
        assert_int_equal(ftruncate(fd, 0), 0);
        assert_int_equal(pwrite(fd, cases[i].text, len, 0), len);
        set_environment(environment);
        int rc = env_file_load(path, &err);
        const char *expected = cases[i].value, *value = getenv("A");
        if (expected && *expected == '!') {
            assert_int_equal(rc, -1);
            assert_int_equal(err.kind, ERR_PERMANENT);
            if (!strstr(err.text, expected + 1))
                fail_msg("%s: %s", cases[i].text, err.text);
            continue;
        }
        assert_int_equal(rc, 0);
        if ((value == NULL) != (expected == NULL))
            fail_msg("%s: %s", cases[i].text, value ? value : "not set");
        if (value)
            assert_string_equal(value, expected);
        assert_string_equal(getenv("SET"), "1"); /* what was there wins */
    }
    assert_int_equal(pwrite(fd, "A=b\0c\n", 6, 0), 6);
    assert_int_equal(ftruncate(fd, 6), 0);
    struct err err = {0};
    assert_int_equal(env_file_load(path, &err), -1);
    assert_int_equal(close(fd), 0);
    assert_int_equal(unlink(path), 0);
    assert_int_equal(env_file_load(path, &err), -1);
    assert_int_equal(err.kind, ERR_PERMANENT);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(targets_become_stages),
        cmocka_unit_test(stages_hang_together),
        cmocka_unit_test(a_stage_gets_what_is_its_own),
        cmocka_unit_test(names_that_nobody_reads_are_found),
        cmocka_unit_test(programs_get_their_files),
        cmocka_unit_test(targets_may_be_apart),
        cmocka_unit_test(a_state_directory_is_ours_alone),
        cmocka_unit_test(an_env_file_is_read),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
