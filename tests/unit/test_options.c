/* common/base/options.c: flags, environment, defaults, and how mistakes are named. */
#include <inttypes.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/log.h"
#include "base/notify.h"
#include "base/options.h"
#include "capture.h"

#define LENGTH(a) (sizeof(a) / sizeof *(a))

struct target {
    bool flag;
    const char *string;
    struct option_list list;
    uint64_t number;
    uint64_t size;
    uint64_t duration;
    int choice;
};

static const char *const choices[] = {"off=false", "on=true", "parallel", NULL};

static const struct option_def table[] = {
    {"flag", OPTION_FLAG, offsetof(struct target, flag), "T_FLAG", NULL, NULL, "a flag", 0, 0,
     NULL},
    {"string", OPTION_STRING, offsetof(struct target, string), "T_STRING", "dflt", "TEXT",
     "a string\nover two lines", 0, 0, NULL},
    {"list", OPTION_LIST, offsetof(struct target, list), "T_LIST", NULL, "ITEM", "a list", 0, 0,
     NULL},
    {"number", OPTION_UINT, offsetof(struct target, number), "T_NUMBER", "5", "N", "a number", 1,
     10, NULL},
    {"size", OPTION_SIZE, offsetof(struct target, size), "T_SIZE", "64MB", "SIZE", "a size", 1024,
     0, NULL},
    {"duration", OPTION_DURATION, offsetof(struct target, duration), NULL, "10s", "TIME", "a time",
     100, 3600000, NULL},
    {"choice", OPTION_CHOICE, offsetof(struct target, choice), "T_CHOICE", "on", "WORD", "a choice",
     0, 0, choices},
    {.name = NULL},
};

static const struct program program = {
    .name = "tool", .synopsis = "[OPTIONS]", .purpose = "Does things.", .options = table};

#define MAX_WORDS 40

/* Splits at blanks; '_' stands for an empty word. */
static int split(char *text, char **words)
{
    int n = 0;
    for (char *w = strtok(text, " "); w && n < MAX_WORDS; w = strtok(NULL, " "))
        words[n++] = strcmp(w, "_") == 0 ? w + 1 : w;
    words[n] = NULL;
    return n;
}

/* `command` and `environment` are words with blanks between; NAME=value in the latter. */
static enum options_result parse(const char *command, const char *environment,
                                 struct target *target, struct err *err)
{
    static const char *const names[] = {"T_FLAG", "T_STRING", "T_LIST",       "T_NUMBER",
                                        "T_SIZE", "T_CHOICE", "CDC_LOG_LEVEL"};
    for (size_t i = 0; i < LENGTH(names); i++)
        assert_int_equal(unsetenv(names[i]), 0);
    static char environment_text[512], argv_text[1024];
    char *words[MAX_WORDS + 1];
    (void)snprintf(environment_text, sizeof environment_text, "%s", environment);
    int n = split(environment_text, words);
    for (int i = 0; i < n; i++) {
        char *equals = strchr(words[i], '=');
        assert_non_null(equals);
        *equals = '\0';
        assert_int_equal(setenv(words[i], equals + 1, 1), 0);
    }
    (void)snprintf(argv_text, sizeof argv_text, "tool %s", command);
    n = split(argv_text, words);
    *target = (struct target){0};
    return options_parse(&program, n, words, target, NULL, err);
}

static const char *rendered(const struct target *t, char *text, size_t size)
{
    int n = snprintf(text, size, "%d %s ", t->flag, t->string);
    for (size_t i = 0; i < t->list.n; i++)
        n += snprintf(text + n, size - (size_t)n, "%s%s", i ? "," : "", t->list.items[i]);
    (void)snprintf(text + n, size - (size_t)n, " %" PRIu64 " %" PRIu64 " %" PRIu64 " %d", t->number,
                   t->size, t->duration, t->choice);
    return text;
}

static void values_come_from_flags_environment_and_defaults(void **state)
{
    (void)state;
    static const struct {
        const char *command, *environment, *expected;
    } cases[] = {
        {"", "", "0 dflt  5 67108864 10000 1"},
        {"--flag --string x --list a --list b --number 7 --size 2kB --duration 500ms --choice parallel",
         "", "1 x a,b 7 2048 500 2"},
        {"--string=x=y --number=10", "", "0 x=y  10 67108864 10000 1"},
        {"", "T_FLAG=yes T_STRING=e T_LIST=l T_NUMBER=2 T_SIZE=1gb T_CHOICE=off",
         "1 e l 2 1073741824 10000 0"},
        {"--string f --list a --number 3", "T_STRING=e T_LIST=l T_NUMBER=2",
         "0 f a 3 67108864 10000 1"},
        {"", "T_STRING= T_NUMBER=", "0 dflt  5 67108864 10000 1"},
        {"--string _", "", "0   5 67108864 10000 1"},
        {"", "T_FLAG=OFF T_CHOICE=FALSE", "0 dflt  5 67108864 10000 0"},
        {"--choice true", "", "0 dflt  5 67108864 10000 1"},
        {"--choice Parallel", "", "0 dflt  5 67108864 10000 2"},
        {"--size 1024", "", "0 dflt  5 1024 10000 1"},
        {"--size 4096B", "", "0 dflt  5 4096 10000 1"},
        {"--size 3MB", "", "0 dflt  5 3145728 10000 1"},
        {"--duration 2", "", "0 dflt  5 67108864 2000 1"},
        {"--duration 2min", "", "0 dflt  5 67108864 120000 1"},
        {"--number 1 --number 9", "", "0 dflt  9 67108864 10000 1"},
        {"--number 010", "", "0 dflt  10 67108864 10000 1"},
    };
    for (size_t i = 0; i < LENGTH(cases); i++) {
        struct target t;
        struct err err = {0};
        char text[256];
        if (parse(cases[i].command, cases[i].environment, &t, &err) != OPTIONS_RUN)
            fail_msg("%s | %s: %s", cases[i].command, cases[i].environment, err.text);
        assert_string_equal(rendered(&t, text, sizeof text), cases[i].expected);
    }
}

static void mistakes_name_what_is_wrong_and_what_is_allowed(void **state)
{
    (void)state;
    static const struct {
        const char *command, *environment, *named, *allowed;
    } cases[] = {
        {"--nonsense", "", "unknown option --nonsense", "--help"},
        {"--nonsense=1", "", "unknown option --nonsense (", "--help"},
        {"--dst=mysql://u:secret@h/d", "", "unknown option --dst (", "--help"},
        {"mysql://u:secret@h/d", "", "unexpected argument mysql://u@h/d (", "takes only"},
        {"-x", "", "unknown option -x", "--help"},
        {"--flag --number", "", "--number needs a value", ""},
        {"--flag=yes", "", "--flag: it takes no value", ""},
        {"operand", "", "unexpected argument operand", "takes only options"},
        {"-- operand", "", "unexpected argument operand", "takes only options"},
        {"--flag -", "", "unexpected argument -", "takes only options"},
        {"--number 0", "", "--number: \"0\"", "from 1 to 10"},
        {"--number 11", "", "--number: \"11\"", "from 1 to 10"},
        {"--number -1", "", "--number: \"-1\"", "a whole number"},
        {"--number +1", "", "--number: \"+1\"", "a whole number"},
        {"--number 1.5", "", "--number: \"1.5\"", "a whole number"},
        {"--number _", "", "--number: \"\"", "a whole number"},
        {"--number 0x5", "", "--number: \"0x5\"", "a whole number"},
        {"--number 99999999999999999999", "", "--number", "a whole number"},
        {"--number 5kB", "", "--number", "a whole number"},
        {"--size 1TB", "", "--size: \"1TB\"", "such as 64MB"},
        {"--size 99999999999GB", "", "--size", "such as 64MB"},
        {"--size 1kBB", "", "--size", "such as 64MB"},
        {"--size 1023", "", "--size", "at least 1024"},
        {"--duration 1h", "", "--duration", "such as 10s"},
        {"--duration 99ms", "", "--duration", "from 100 to 3600000"},
        {"--duration 61min", "", "--duration", "to 60"},
        {"--choice maybe", "", "--choice: \"maybe\"", "one of off, on, parallel"},
        {"--choice o", "", "--choice", "one of"},
        {"--choice off=false", "", "--choice", "one of"},
        {"", "T_NUMBER=x", "T_NUMBER: \"x\"", "a whole number"},
        {"", "T_FLAG=perhaps", "T_FLAG: \"perhaps\"", "true or false"},
        {"--number 5", "T_NUMBER=x", "T_NUMBER", ""},
        {"--log-level loud", "", "--log-level: \"loud\"", "one of error, warning, info, debug"},
        {"", "CDC_LOG_LEVEL=loud", "CDC_LOG_LEVEL: \"loud\"", "one of error"},
    };
    for (size_t i = 0; i < LENGTH(cases); i++) {
        struct target t;
        struct err err = {0};
        assert_int_equal(parse(cases[i].command, cases[i].environment, &t, &err), OPTIONS_ERROR);
        assert_int_equal(err.kind, ERR_PERMANENT);
        if (!strstr(err.text, cases[i].named) || !strstr(err.text, cases[i].allowed))
            fail_msg("%s | %s: %s", cases[i].command, cases[i].environment, err.text);
    }
}

static void a_stage_has_its_own_options(void **state)
{
    (void)state;
    static const struct {
        const char *words[8];
        enum options_result result;
        const char *stats;
        uint64_t notify_fd;
    } cases[] = {
        {{"tool"}, OPTIONS_RUN, NULL, NOTIFY_NONE},
        {{"tool", "--stats", "a", "--notify-fd", "3"}, OPTIONS_RUN, "a", 3},
        {{"tool", "--stats=a", "--stats=b"}, OPTIONS_RUN, "b", NOTIFY_NONE},
        {{"tool", "--nonsense", "--stats", "a"}, OPTIONS_ERROR, "a", NOTIFY_NONE},
        {{"tool", "--number", "x", "--stats=a"}, OPTIONS_ERROR, "a", NOTIFY_NONE},
        {{"tool", "--stats"}, OPTIONS_ERROR, NULL, NOTIFY_NONE},
        {{"tool", "--notify-fd", "2"}, OPTIONS_ERROR, NULL, NOTIFY_NONE},
    };
    for (size_t i = 0; i < LENGTH(cases); i++) {
        struct target t;
        struct err err = {0};
        struct stage_options stage;
        assert_int_equal(parse("", "", &t, &err), OPTIONS_RUN); /* an empty environment */
        int n = 0;
        while (cases[i].words[n])
            n++;
        assert_int_equal(
            options_parse(&program, n, (char **)(uintptr_t)cases[i].words, &t, &stage, &err),
            cases[i].result);
        assert_true((stage.stats == NULL) == (cases[i].stats == NULL));
        if (cases[i].stats)
            assert_string_equal(stage.stats, cases[i].stats);
        assert_true(stage.notify_fd == cases[i].notify_fd);
    }
}

static void rows_have_no_unit_and_sizes_have_one(void **state)
{
    (void)state;
    static const struct {
        const char *value;
        uint64_t rows, bytes;
        const char *error; /* NULL: none */
    } cases[] = {
        {"50000", 50000, 0, NULL},
        {"1", 1, 0, NULL},
        {"4MB", 0, 4194304, NULL},
        {"1024B", 0, 1024, NULL},
        {"0", 0, 0, "is not a number of rows of at least 1"},
        {"1023B", 0, 0, "of at least 1024B"},
        {"4 rows", 0, 0, "is not a number of rows, or a size such as 4MB"},
        {"-1", 0, 0, "is not a number of rows"},
        {"99999999999999999999", 0, 0, "is not a number of rows"},
    };
    static const struct option_def defs[] = {
        {"chunk", OPTION_ROWS, 0, NULL, NULL, "ROWS|SIZE", "a chunk", 1024, 0, NULL},
        {.name = NULL},
    };
    static const struct program chunks = {
        .name = "tool", .synopsis = "", .purpose = "", .options = defs};
    for (size_t i = 0; i < LENGTH(cases); i++) {
        struct option_rows rows = {7, 7};
        struct err err = {0};
        const char *words[] = {"tool", "--chunk", cases[i].value, NULL};
        enum options_result result =
            options_parse(&chunks, 3, (char **)(uintptr_t)words, &rows, NULL, &err);
        if ((result == OPTIONS_RUN) != (cases[i].error == NULL) ||
            (cases[i].error && !strstr(err.text, cases[i].error)))
            fail_msg("%s: %s", cases[i].value, err.text);
        if (!cases[i].error)
            assert_true(rows.rows == cases[i].rows && rows.bytes == cases[i].bytes);
    }
}

static void a_list_has_a_limit(void **state)
{
    (void)state;
    const char *words[2 + 2 * (OPTION_LIST_MAX + 1)] = {"tool"};
    int n = 1;
    for (int i = 0; i < OPTION_LIST_MAX; i++) {
        words[n++] = "--list";
        words[n++] = "x";
    }
    struct target t;
    struct err err = {0};
    assert_int_equal(parse("", "", &t, &err), OPTIONS_RUN); /* an empty environment */
    assert_int_equal(options_parse(&program, n, (char **)(uintptr_t)words, &t, NULL, &err),
                     OPTIONS_RUN);
    assert_int_equal(t.list.n, OPTION_LIST_MAX);
    words[n++] = "--list";
    words[n++] = "x";
    t = (struct target){0};
    assert_int_equal(options_parse(&program, n, (char **)(uintptr_t)words, &t, NULL, &err),
                     OPTIONS_ERROR);
    assert_non_null(strstr(err.text, "more than 32"));
}

static void names_stand_before_options_and_behind_them(void **state)
{
    (void)state;
    static const struct {
        const char *command, *names, *values, *error; /* error: NULL, or what it says */
    } cases[] = {
        {"", "", "0 dflt  5 67108864 10000 1", NULL},
        {"a b", "a b ", "0 dflt  5 67108864 10000 1", NULL},
        {"--flag --number 7 a b", "a b ", "1 dflt  7 67108864 10000 1", NULL},
        {"a b --number 7 --flag", "a b ", "1 dflt  7 67108864 10000 1", NULL},
        {"a --number 7 b --flag c", "a b c ", "1 dflt  7 67108864 10000 1", NULL},
        {"a --string b - c", "a - c ", "0 b  5 67108864 10000 1", NULL},
        {"a --flag -- --number 7", "a --number 7 ", "1 dflt  5 67108864 10000 1", NULL},
        {"-- -x", "-x ", "0 dflt  5 67108864 10000 1", NULL},
        {"a b --nonsense c", NULL, NULL, "unknown option --nonsense ("},
        {"a --flag b -xyz", NULL, NULL, "unknown option -xyz ("},
        {"a b --number", NULL, NULL, "--number needs a value ("},
        {"a b --flag=yes", NULL, NULL, "--flag: it takes no value ("},
    };
    int first;
    struct program named = program;
    named.first_operand = &first;
    for (size_t i = 0; i < LENGTH(cases); i++) {
        char text[64], *words[MAX_WORDS + 1], names[64] = "", values[256];
        struct target t;
        struct err err = {0};
        assert_int_equal(parse("", "", &t, &err), OPTIONS_RUN); /* an empty environment */
        (void)snprintf(text, sizeof text, "tool %s", cases[i].command);
        int n = split(text, words);
        enum options_result result = options_parse(&named, n, words, &t, NULL, &err);
        if (cases[i].error) {
            assert_int_equal(result, OPTIONS_ERROR);
            if (!strstr(err.text, cases[i].error))
                fail_msg("%s: %s", cases[i].command, err.text);
            continue;
        }
        /* Once more: the words are in another order, and say the same. */
        t = (struct target){0};
        if (result == OPTIONS_RUN)
            result = options_parse(&named, n, words, &t, NULL, &err);
        if (result != OPTIONS_RUN)
            fail_msg("%s: %s", cases[i].command, err.text);
        for (int at = first; at < n; at++)
            (void)snprintf(names + strlen(names), sizeof names - strlen(names), "%s ", words[at]);
        assert_string_equal(names, cases[i].names);
        assert_string_equal(rendered(&t, values, sizeof values), cases[i].values);
    }
}

static void help_and_version_go_to_stdout_whatever_else_is_wrong(void **state)
{
    (void)state;
    static const char *const commands[] = {"--help", "--flag --help", "--help --nonsense"};
    char text[4096];
    struct target t;
    struct err err = {0};
    for (size_t i = 0; i < LENGTH(commands); i++) {
        struct capture c;
        capture_start(&c, STDOUT_FILENO);
        enum options_result result = parse(commands[i], i == 1 ? "T_NUMBER=x" : "", &t, &err);
        capture_end(&c, text, sizeof text);
        assert_int_equal(result, OPTIONS_LEAVE);
        assert_int_equal(strncmp(text, "Usage: tool [OPTIONS]\n", 22), 0);
        for (const struct option_def *def = table; def->name; def++)
            assert_non_null(strstr(text, def->name));
        assert_non_null(strstr(text, "[64MB] (T_SIZE)"));
        assert_non_null(strstr(text, "--log-level LEVEL"));
        assert_non_null(strstr(text, "100 permanent"));
    }
    struct capture c;
    capture_start(&c, STDOUT_FILENO);
    enum options_result result = parse("--version", "", &t, &err);
    capture_end(&c, text, sizeof text);
    assert_int_equal(result, OPTIONS_LEAVE);
    assert_int_equal(strncmp(text, "tool ", 5), 0);
}

static void the_log_level_is_set(void **state)
{
    (void)state;
    struct target t;
    struct err err = {0};
    assert_int_equal(parse("--log-level debug", "CDC_LOG_LEVEL=error", &t, &err), OPTIONS_RUN);
    assert_true(log_enabled(LOG_LEVEL_DEBUG));
    assert_int_equal(parse("", "CDC_LOG_LEVEL=error", &t, &err), OPTIONS_RUN);
    assert_false(log_enabled(LOG_LEVEL_WARNING));
    log_set_level(LOG_LEVEL_INFO);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(values_come_from_flags_environment_and_defaults),
        cmocka_unit_test(mistakes_name_what_is_wrong_and_what_is_allowed),
        cmocka_unit_test(a_stage_has_its_own_options),
        cmocka_unit_test(a_list_has_a_limit),
        cmocka_unit_test(rows_have_no_unit_and_sizes_have_one),
        cmocka_unit_test(names_stand_before_options_and_behind_them),
        cmocka_unit_test(help_and_version_go_to_stdout_whatever_else_is_wrong),
        cmocka_unit_test(the_log_level_is_set),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
