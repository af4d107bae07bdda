#include "options.h"

#include <errno.h>
#include <getopt.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "log.h"

#ifndef PG2ANY_VERSION
#define PG2ANY_VERSION "unknown"
#endif

#define MAX_OPTIONS 64
#define LONG_BASE   256 /* getopt values of the table's options start here */

static const char *const log_levels[] = {"error", "warning", "info", "debug", NULL};

struct unit {
    const char *name;
    uint64_t factor;
};

static const struct unit size_units[] = {
    {"", 1}, {"B", 1}, {"kB", 1024}, {"MB", 1024 * 1024}, {"GB", 1024 * 1024 * 1024}, {NULL, 0}};
static const struct unit duration_units[] = {
    {"", 1000}, {"ms", 1}, {"s", 1000}, {"min", 60000}, {NULL, 0}};
static const struct unit plain_units[] = {{"", 1}, {NULL, 0}};

static int bad_value(struct err *err, const char *source, const char *value, const char *allowed)
{
    return err_set(err, ERR_PERMANENT, "%s: \"%s\" is not %s", source, value, allowed);
}

static int parse_number(const struct option_def *def, const char *source, const char *value,
                        const struct unit *units, const char *what, uint64_t *out, struct err *err)
{
    char *end;
    errno = 0;
    unsigned long long n = strtoull(value, &end, 10);
    bool ok = errno == 0 && *value >= '0' && *value <= '9';
    const struct unit *u = units;
    while (u->name && strcasecmp(u->name, end) != 0)
        u++;
    if (ok && u->name && n <= UINT64_MAX / u->factor) {
        *out = n * u->factor;
        if (*out >= def->min && (def->max == 0 || *out <= def->max))
            return 0;
        char range[96];
        if (def->max == 0)
            (void)snprintf(range, sizeof range, "%s of at least %" PRIu64, what,
                           def->min / u->factor);
        else
            (void)snprintf(range, sizeof range, "%s from %" PRIu64 " to %" PRIu64, what,
                           def->min / u->factor, def->max / u->factor);
        return bad_value(err, source, value, range);
    }
    return bad_value(err, source, value, what);
}

static int parse_bool(const char *source, const char *value, bool *out, struct err *err)
{
    static const char *const words[2][4] = {{"false", "off", "0", "no"},
                                            {"true", "on", "1", "yes"}};
    for (int b = 0; b < 2; b++)
        for (int i = 0; i < 4; i++)
            if (strcasecmp(value, words[b][i]) == 0) {
                *out = b;
                return 0;
            }
    return bad_value(err, source, value, "true or false");
}

static int parse_choice(const struct option_def *def, const char *source, const char *value,
                        int *out, struct err *err)
{
    char allowed[256] = "one of";
    for (int i = 0; def->choices[i]; i++) {
        const char *word = def->choices[i];
        size_t len = strcspn(word, "=");
        for (const char *w = word;; w += strcspn(w, "=") + 1) {
            size_t n = strcspn(w, "=");
            if (strlen(value) == n && strncasecmp(w, value, n) == 0) {
                *out = i;
                return 0;
            }
            if (w[n] == '\0')
                break;
        }
        size_t used = strlen(allowed);
        (void)snprintf(allowed + used, sizeof allowed - used, "%s %.*s", i ? "," : "", (int)len,
                       word);
    }
    return bad_value(err, source, value, allowed);
}

static int set_option(const struct option_def *def, const char *source, const char *value,
                      void *target, struct err *err)
{
    void *field = (char *)target + def->offset;
    switch (def->type) {
    case OPTION_FLAG:
        return parse_bool(source, value, field, err);
    case OPTION_STRING:
        *(const char **)field = value;
        return 0;
    case OPTION_LIST: {
        struct option_list *list = field;
        if (list->n == OPTION_LIST_MAX)
            return err_set(err, ERR_PERMANENT, "%s: given more than %d times", source,
                           OPTION_LIST_MAX);
        list->items[list->n++] = value;
        return 0;
    }
    case OPTION_UINT:
        return parse_number(def, source, value, plain_units, "a whole number", field, err);
    case OPTION_SIZE:
        return parse_number(def, source, value, size_units, "a size such as 64MB", field, err);
    case OPTION_DURATION:
        return parse_number(def, source, value, duration_units, "a time such as 10s or 500ms",
                            field, err);
    case OPTION_CHOICE:
        return parse_choice(def, source, value, field, err);
    }
    BUG("unknown type of option");
}

static void print_option(const char *name, const char *metavar, const char *help, const char *env,
                         const char *fallback)
{
    char head[64];
    (void)snprintf(head, sizeof head, "--%s%s%s", name, metavar ? " " : "", metavar ? metavar : "");
    printf("  %-28s ", head);
    for (const char *p = help; *p; p++) {
        putchar(*p);
        if (*p == '\n')
            printf("%31s", "");
    }
    if (fallback && *fallback)
        printf(" [%s]", fallback);
    if (env)
        printf(" (%s)", env);
    putchar('\n');
}

static void print_help(const struct program *program)
{
    printf("Usage: %s %s\n\n%s\n\nOptions [default] (environment variable):\n", program->name,
           program->synopsis, program->purpose);
    for (const struct option_def *def = program->options; def->name; def++)
        print_option(def->name, def->metavar, def->help, def->env,
                     def->type == OPTION_FLAG ? NULL : def->fallback);
    print_option("log-level", "LEVEL", "error, warning, info or debug", "CDC_LOG_LEVEL", "info");
    print_option("help", NULL, "print this and leave", NULL, NULL);
    print_option("version", NULL, "print the version and leave", NULL, NULL);
    printf(
        "\nExit status: 0 stopped on purpose; 100 permanent error; 111 temporary error, start again.\n");
}

static int set_log_level(const char *source, const char *value, struct err *err)
{
    const struct option_def def = {.choices = log_levels};
    int level;
    if (parse_choice(&def, source, value, &level, err))
        return -1;
    log_set_level((enum log_level)level);
    return 0;
}

/* Defaults first, then the environment. */
static int set_from_environment(const struct program *program, void *target, struct err *err)
{
    const char *level = getenv("CDC_LOG_LEVEL");
    if (level && *level && set_log_level("CDC_LOG_LEVEL", level, err))
        return -1;
    for (const struct option_def *def = program->options; def->name; def++) {
        const char *env = def->env ? getenv(def->env) : NULL;
        const char *source = def->env;
        if (!env || !*env) {
            env = def->fallback;
            source = def->name;
        }
        if (env && set_option(def, source, env, target, err))
            return -1;
    }
    return 0;
}

enum options_result options_parse(const struct program *program, int argc, char **argv,
                                  void *target, struct err *err)
{
    enum { OPT_LOG_LEVEL = 1, OPT_HELP, OPT_VERSION };
    struct option longs[MAX_OPTIONS + 4] = {{0}};
    bool list_from_flags[MAX_OPTIONS] = {false};
    int n = 0;
    for (const struct option_def *def = program->options; def->name; def++, n++) {
        if (n == MAX_OPTIONS)
            BUG("too many options");
        longs[n] = (struct option){
            .name = def->name,
            .has_arg = def->type == OPTION_FLAG ? no_argument : required_argument,
            .val = LONG_BASE + n,
        };
    }
    longs[n] = (struct option){"log-level", required_argument, NULL, OPT_LOG_LEVEL};
    longs[n + 1] = (struct option){"help", no_argument, NULL, OPT_HELP};
    longs[n + 2] = (struct option){"version", no_argument, NULL, OPT_VERSION};

    /* A mistake in the environment waits, so that --help and --version always work. */
    bool environment_good = set_from_environment(program, target, err) == 0;
    optind = 0; /* forgets an earlier call's place within a word, too */
    opterr = 0;
    for (;;) {
        int at = optind > 0 ? optind : 1;
        int c = getopt_long(argc, argv, "+:", longs, NULL);
        if (c == -1)
            break;
        if (c == OPT_HELP) {
            print_help(program);
            return OPTIONS_LEAVE;
        }
        if (c == OPT_VERSION) {
            printf("%s %s\n", program->name, PG2ANY_VERSION);
            return OPTIONS_LEAVE;
        }
        if (!environment_good)
            continue;
        if (c == '?' || c == ':') {
            /* getopt_long() leaves in optopt the option that it knows and whose use is wrong. */
            bool known = argv[at][1] == '-' && optopt != 0;
            (void)err_set(err, ERR_PERMANENT,
                          c == ':' ? "%s needs a value"
                          : known  ? "%s: it takes no value"
                                   : "unknown option %s",
                          argv[at]);
            (void)err_hint(err, "%s --help lists the options", program->name);
            return OPTIONS_ERROR;
        }
        if (c == OPT_LOG_LEVEL) {
            if (set_log_level("--log-level", optarg, err))
                return OPTIONS_ERROR;
            continue;
        }
        const struct option_def *def = &program->options[c - LONG_BASE];
        if (def->type == OPTION_LIST && !list_from_flags[c - LONG_BASE]) {
            list_from_flags[c - LONG_BASE] = true;
            ((struct option_list *)(void *)((char *)target + def->offset))->n = 0;
        }
        char source[80];
        (void)snprintf(source, sizeof source, "--%s", def->name);
        if (set_option(def, source, def->type == OPTION_FLAG ? "true" : optarg, target, err))
            return OPTIONS_ERROR;
    }
    if (!environment_good)
        return OPTIONS_ERROR;
    if (optind < argc) {
        (void)err_set(err, ERR_PERMANENT, "unexpected argument %s", argv[optind]);
        (void)err_hint(err, "%s reads its input from stdin and takes only options", program->name);
        return OPTIONS_ERROR;
    }
    return OPTIONS_RUN;
}
