/*
 * fuzz_config.c - any text as what a user sets: files of variables, options, LSNs, times, lists of
 * schemas, and the pipeline that the variables ask for.
 *
 * The first byte says which. What must hold: what is refused is so with a text; what is written
 * is read as what it was; numbers are those that a slower reader finds.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/lsn.h"
#include "base/options.h"
#include "pg2any/env_file.h"
#include "pg2any/plan.h"
#include "sql/schema_map.h"
#include "tests/fuzz/input.h"

/* Leaves no variable. (clearenv() leaves no array either, which no program starts with.) */
static void clear(void)
{
    static char *none[] = {NULL};
    (void)clearenv();
    environ = none;
}

static int load(const void *data, size_t size, struct err *err)
{
    int fd = file_of(data, size);
    int rc = env_file_load(path_of(fd).text, err);
    (void)close(fd);
    return rc;
}

static void unknown(void *ctx, const char *name)
{
    check(ctx == NULL && name[0] != '\0', "a variable without a name");
}

/* Any file, and the pipeline of it. */
static void take_env_file(struct input *in)
{
    struct err err = {0};
    static struct plan plan;
    clear();
    if (load(in->pos, input_left(in), &err)) {
        check_refusal(&err);
        return;
    }
    if (plan_make(&plan, &err)) {
        check(err.kind != ERR_NONE && err.text[0] != '\0', "an error without a text");
        return;
    }
    check(plan.nstages >= 3 && plan.nstages <= PLAN_MAX_STAGES, "another number of stages");
    plan_unknown_variables(&plan, unknown, NULL);
}

/* A value, as a line of each of the forms that can hold it. */
static void take_env_value(struct input *in)
{
    char *value = input_text(in);
    struct buf line = {0};
    struct err err = {0};
    clear();
    buf_append_str(&line, " export  DOUBLE=\"");
    for (const char *p = value; *p; p++) {
        if (strchr("\"\\$", *p))
            buf_append_byte(&line, '\\');
        buf_append_str(&line, *p == '\n' ? "\\n" : (char[]){*p, '\0'});
    }
    buf_append_str(&line, "\" # \n");
    if (!strpbrk(value, "'\n"))
        buf_printf(&line, "SINGLE='%s'\r\n", value);
    check(load(line.data, line.len, &err) == 0, "a file that was written is not read");
    const char *two = getenv("DOUBLE"), *one = getenv("SINGLE");
    check(two && strcmp(two, value) == 0, "another value from double quotes");
    check(!one || strcmp(one, value) == 0, "another value from single quotes");
    buf_free(&line);
    free(value);
}

struct options {
    uint64_t size, duration, number;
    bool flag;
    const char *string;
    int choice;
    struct option_list list;
};

static const char *const words[] = {"one", "two", "three=two", NULL};
#define AT(field) .offset = offsetof(struct options, field)
static const struct option_def table[] = {
    {.name = "size", .type = OPTION_SIZE, AT(size), .env = "SIZE", .max = UINT64_MAX},
    {.name = "duration",
     .type = OPTION_DURATION,
     AT(duration),
     .env = "DURATION",
     .max = UINT64_MAX},
    {.name = "number", .type = OPTION_UINT, AT(number), .env = "NUMBER", .max = UINT64_MAX},
    {.name = "flag", .type = OPTION_FLAG, AT(flag), .env = "FLAG"},
    {.name = "string", .type = OPTION_STRING, AT(string), .env = "STRING"},
    {.name = "choice", .type = OPTION_CHOICE, AT(choice), .env = "CHOICE", .choices = words},
    {.name = "list", .type = OPTION_LIST, AT(list), .env = "LIST"},
    {.name = NULL},
};
static const struct program program = {
    .name = "fuzz", .synopsis = "", .purpose = "", .options = table};

/* A number with a unit; false: it is none, or too large. */
static bool read_quantity(const char *text, const char *const *units, const uint64_t *factors,
                          uint64_t *to)
{
    __extension__ unsigned __int128 n = 0;
    size_t digits = strspn(text, "0123456789");
    for (size_t i = 0; i < digits; i++) {
        n = n * 10 + (unsigned)(text[i] - '0');
        if (n > UINT64_MAX)
            return false;
    }
    for (size_t i = 0; digits > 0 && units[i]; i++)
        if (strcasecmp(units[i], text + digits) == 0) {
            *to = (uint64_t)(n * factors[i]);
            return n * factors[i] <= UINT64_MAX;
        }
    return false;
}

static void check_quantities(const char *size, const char *duration, const struct options *o)
{
    static const char *const sizes[] = {"", "B", "kB", "MB", "GB", NULL};
    static const uint64_t bytes[] = {1, 1, 1 << 10, 1 << 20, 1 << 30};
    static const char *const durations[] = {"", "s", "ms", "min", NULL};
    static const uint64_t ms[] = {1000, 1000, 1, 60000};
    uint64_t n;
    if (size && *size)
        check(read_quantity(size, sizes, bytes, &n) && n == o->size, "another size");
    if (duration && *duration)
        check(read_quantity(duration, durations, ms, &n) && n == o->duration, "another duration");
}

/* Words of a command line; or where the first is empty variables. */
static void take_options(struct input *in)
{
    char *argv[16] = {strdup("fuzz")};
    int argc = 1;
    struct options o = {0};
    struct stage_options stage = {0};
    struct err err = {0};
    while (argc < 15 && input_left(in) > 0)
        argv[argc++] = input_text(in);
    clear();
    bool by_env = argc > 1 && argv[1][0] == '\0';
    for (int i = 2; by_env && i - 2 < 7 && i < argc; i++)
        (void)setenv(table[i - 2].env, argv[i], 1);
    enum options_result result = OPTIONS_LEAVE;
    bool prints = false; /* --help and --version, cut short too */
    for (int i = 1; !by_env && i < argc; i++)
        prints = prints || strncmp(argv[i], "--h", 3) == 0 || strncmp(argv[i], "--v", 3) == 0;
    if (!prints)
        result = options_parse(&program, by_env ? 1 : argc, argv, &o, &stage, &err);
    if (result == OPTIONS_ERROR)
        check_refusal(&err);
    else if (result == OPTIONS_RUN && by_env)
        check_quantities(argc > 2 ? argv[2] : NULL, argc > 3 ? argv[3] : NULL, &o);
    for (int i = 0; i < argc; i++)
        free(argv[i]);
}

static void take_lsn(struct input *in)
{
    uint64_t number = input_number(in, 8), lsn;
    char text[LSN_TEXT_SIZE];
    (void)lsn_text(text, number);
    check(lsn_parse(text, strlen(text), &lsn) && lsn == number, "another LSN");
    size_t n;
    char *any = input_bytes(in, 32, &n);
    if (lsn_parse(any, n, &lsn)) {
        unsigned int high, low;
        check(sscanf(any, "%8X/%8X", &high, &low) == 2 && lsn == ((uint64_t)high << 32 | low),
              "another LSN in a text");
    }
    free(any);
}

static void take_time(struct input *in)
{
    int64_t number = (int64_t)input_number(in, 8), time_us;
    char text[PG_TIME_TEXT_SIZE];
    check(pg_time_parse(pg_time_text(text, number), &time_us) && time_us == number, "another time");
    char *any = input_text(in);
    if (pg_time_parse(any, &time_us))
        check(strcmp(pg_time_text(text, time_us), any) == 0, "a time in another form");
    free(any);
}

static void take_schema_map(struct input *in)
{
    struct schema_map m;
    struct err err = {0};
    char *text = input_text(in);
    if (schema_map_parse(&m, text, &err))
        check_refusal(&err);
    for (size_t i = 0; err.kind == ERR_NONE && i < m.n; i++)
        check(schema_map_find(&m, m.entries[i].from) == m.entries[i].to, "another schema");
    schema_map_free(&m);
    free(text);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static void (*const takers[])(struct input *) = {
        take_env_file, take_env_value, take_options, take_lsn, take_time, take_schema_map};
    struct input in = input(data, size);
    char **before = environ;
    takers[input_below(&in, sizeof takers / sizeof *takers)](&in);
    clear();
    environ = before;
    return 0;
}
