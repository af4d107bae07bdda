#include "base/options.h"

#include <errno.h>
#include <getopt.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "base/buf.h"
#include "base/log.h"
#include "base/notify.h"
#include "base/option_name.h"
#include "base/redact.h"
#include "base/version.h"

#define HELP_HELP    "print this and exit"
#define VERSION_HELP "print the version and exit"
#define MAX_OPTIONS  64
#define LONG_BASE    256 /* getopt values of the table's options start here */

struct log_options {
    int level;
    int format;
};

static const char *const log_levels[] = {"error", "warning", "info", "debug", NULL};
static const char *const log_formats[] = {"logfmt", "json", NULL};

static const struct option_def log_table[] = {
    {"log-level", OPTION_CHOICE, offsetof(struct log_options, level), "CDC_LOG_LEVEL", "info",
     "LEVEL", "error, warning, info or debug", 0, 0, log_levels},
    {"log-format", OPTION_CHOICE, offsetof(struct log_options, format), "CDC_LOG_FORMAT", "logfmt",
     "FORMAT", "logfmt or json", 0, 0, log_formats},
    {.name = NULL},
};

static const struct option_def stage_table[] = {
    {"stats", OPTION_STRING, offsetof(struct stage_options, stats), NULL, NULL, "FILE",
     "file for statistics as Prometheus text, replaced every second", 0, 0, NULL},
    {"notify-fd", OPTION_UINT, offsetof(struct stage_options, notify_fd), NULL, NULL, "N",
     "write a newline to this descriptor when ready, as s6 expects", 3, 65535, NULL},
    {.name = NULL},
};

/* The options of a program: its own, those of every stage, those of everything that logs. */
struct table {
    const struct option_def *defs;
    void *target;
};

#define TABLES 3

struct parse {
    const struct program *program;
    struct table tables[TABLES];
    struct log_options log;
};

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
        uint64_t number = n * u->factor;
        if (number >= def->min && (def->max == 0 || number <= def->max)) {
            *out = number;
            return 0;
        }
        char range[96];
        if (def->max == 0)
            (void)snprintf(range, sizeof range, "%s of at least %" PRIu64 "%s", what,
                           def->min / u->factor, u->name);
        else
            (void)snprintf(range, sizeof range, "%s from %" PRIu64 " to %" PRIu64 "%s", what,
                           def->min / u->factor, def->max / u->factor, u->name);
        return bad_value(err, source, value, range);
    }
    return bad_value(err, source, value, what);
}

static int parse_rows(const struct option_def *def, const char *source, const char *value,
                      struct option_rows *out, struct err *err)
{
    struct option_def of_rows = *def;
    of_rows.min = 1;
    *out = (struct option_rows){0};
    return value[strspn(value, "0123456789")] == '\0'
               ? parse_number(&of_rows, source, value, plain_units, "a number of rows", &out->rows,
                              err)
               : parse_number(def, source, value, size_units,
                              "a number of rows, or a size such as 4MB", &out->bytes, err);
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
    case OPTION_ROWS:
        return parse_rows(def, source, value, field, err);
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

static void print_help(const struct parse *p)
{
    printf("Usage: %s %s\n\n%s\n\nOptions [default] (environment variable):\n", p->program->name,
           p->program->synopsis, p->program->purpose);
    for (size_t t = 0; t < TABLES; t++)
        for (const struct option_def *def = p->tables[t].defs; def && def->name; def++)
            print_option(def->name, def->metavar, def->help, def->env,
                         def->type == OPTION_FLAG ? NULL : def->fallback);
    print_option("help", NULL, HELP_HELP, NULL, NULL);
    print_option("version", NULL, VERSION_HELP, NULL, NULL);
    if (p->program->examples)
        printf("\nExamples:\n%s", p->program->examples);
    printf(
        "\n"
        "Exit status: 0 stopped on purpose; 100 permanent error; 111 temporary error, restart.\n");
}

static void list_option(const char *name, const struct option_def *def, const char *help)
{
    const char *metavar = def && def->metavar ? def->metavar : OPTIONS_NOTHING;
    bool repeats = def && def->type == OPTION_LIST && !strstr(metavar, "...");
    printf("--%s\t%s%s\t", name, metavar, repeats ? "..." : "");
    const char *const *choices = def && def->type == OPTION_CHOICE ? def->choices : NULL;
    for (const char *const *c = choices; c && *c; c++)
        printf("%s%.*s", c == choices ? "" : ",", (int)strcspn(*c, "="), *c);
    printf("%s\t%.*s\n", choices ? "" : OPTIONS_NOTHING, (int)strcspn(help, "\n"), help);
}

static void list_options(const struct parse *p)
{
    for (size_t t = 0; t < TABLES; t++)
        for (const struct option_def *def = p->tables[t].defs; def && def->name; def++)
            list_option(def->name, def, def->help);
    list_option("help", NULL, HELP_HELP);
    list_option("version", NULL, VERSION_HELP);
}

/* What is known of them so far; an error that follows is logged so already. */
static void use_log_options(const struct parse *p)
{
    log_set_level((enum log_level)p->log.level);
    log_set_format((enum log_format)p->log.format);
}

/* Defaults, or the environment where it says something. */
static int set_from_environment(struct parse *p, struct err *err)
{
    int rc = 0;
    for (size_t t = TABLES; t-- > 0;) /* how to log comes first */
        for (const struct option_def *def = p->tables[t].defs; def && def->name; def++) {
            char name[80];
            const char *env = def->env ? getenv(def->env) : NULL;
            const char *source = option_variable(def, name, sizeof name);
            if (!env || !*env) {
                env = def->fallback;
                source = def->name;
            }
            if (rc == 0 && env && set_option(def, source, env, p->tables[t].target, err))
                rc = -1;
        }
    return rc;
}

/* Wherever it stands: a mistake before it is to be found in the file, too. */
static const char *find_stats(int argc, char **argv)
{
    const char *found = NULL;
    for (int i = 1; i < argc; i++)
        if (strcmp(argv[i], "--stats") == 0 && i + 1 < argc)
            found = argv[i + 1];
        else if (strncmp(argv[i], "--stats=", 8) == 0)
            found = argv[i] + 8;
    return found;
}

/* A word may be a URI whose option was forgotten, "--dst=URI" too. Appends what of it may be told.
 */
static void show_word(struct buf *out, const char *word)
{
    size_t name = strncmp(word, "--", 2) == 0 ? strcspn(word, "=") : 0;
    buf_append(out, word, name);
    if (name == 0)
        redact(out, word);
}

static int unknown_option(const struct program *program, const char *word, int c, struct err *err)
{
    /* getopt_long() leaves in optopt the option that it knows and whose use is wrong. */
    bool known = word[1] == '-' && optopt != 0;
    struct buf shown = {0};
    show_word(&shown, word);
    (void)err_set(err, ERR_PERMANENT,
                  c == ':' ? "%s needs a value"
                  : known  ? "%s: it takes no value"
                           : "unknown option %s",
                  buf_cstr(&shown));
    buf_free(&shown);
    return err_hint(err, "%s --help lists the options", program->name);
}

static int unexpected_argument(const struct program *program, const char *word, struct err *err)
{
    struct buf shown = {0};
    show_word(&shown, word);
    (void)err_set(err, ERR_PERMANENT, "unexpected argument %s", buf_cstr(&shown));
    buf_free(&shown);
    return err_hint(err, "%s takes only options; --help lists them", program->name);
}

/* To getopt_long(). */
static bool is_operand(const char *word)
{
    return word[0] != '-' || word[1] == '\0';
}

static enum options_result parse_flags(struct parse *p, int argc, char **argv, bool usable,
                                       struct err *err)
{
    enum { OPT_HELP = 1, OPT_VERSION, OPT_LIST };
    struct option longs[MAX_OPTIONS + 4] = {{0}};
    const struct option_def *defs[MAX_OPTIONS];
    void *targets[MAX_OPTIONS];
    bool list_from_flags[MAX_OPTIONS] = {false};
    int n = 0;
    for (size_t t = 0; t < TABLES; t++)
        for (const struct option_def *def = p->tables[t].defs; def && def->name; def++, n++) {
            if (n == MAX_OPTIONS)
                BUG("too many options");
            defs[n] = def;
            targets[n] = p->tables[t].target;
            longs[n] = (struct option){
                .name = def->name,
                .has_arg = def->type == OPTION_FLAG ? no_argument : required_argument,
                .val = LONG_BASE + n,
            };
        }
    longs[n] = (struct option){"help", no_argument, NULL, OPT_HELP};
    longs[n + 1] = (struct option){"version", no_argument, NULL, OPT_VERSION};
    longs[n + 2] = (struct option){"list-options", no_argument, NULL, OPT_LIST};

    const bool operands = p->program->first_operand != NULL;
    optind = 0; /* forgets an earlier call's place within a word, too */
    opterr = 0;
    for (;;) {
        int at = optind > 0 ? optind : 1;
        while (operands && at < argc && is_operand(argv[at]))
            at++;
        int c = getopt_long(argc, argv, operands ? ":" : "+:", longs, NULL);
        if (c == -1)
            break;
        if (c == OPT_HELP) {
            print_help(p);
            return OPTIONS_LEAVE;
        }
        if (c == OPT_VERSION) {
            printf("%s %s\n", p->program->name, PG2ANY_VERSION);
            return OPTIONS_LEAVE;
        }
        if (c == OPT_LIST) {
            list_options(p);
            return OPTIONS_LEAVE;
        }
        if (!usable)
            continue;
        if (c == '?' || c == ':') {
            (void)unknown_option(p->program, argv[at], c, err);
            return OPTIONS_ERROR;
        }
        int i = c - LONG_BASE;
        if (defs[i]->type == OPTION_LIST && !list_from_flags[i]) {
            list_from_flags[i] = true;
            ((struct option_list *)(void *)((char *)targets[i] + defs[i]->offset))->n = 0;
        }
        char source[80];
        (void)snprintf(source, sizeof source, "--%s", defs[i]->name);
        const char *value = defs[i]->type == OPTION_FLAG ? "true" : optarg;
        if (set_option(defs[i], source, value, targets[i], err))
            return OPTIONS_ERROR;
        use_log_options(p);
    }
    if (!usable)
        return OPTIONS_ERROR;
    if (operands)
        *p->program->first_operand = optind;
    else if (optind < argc) {
        (void)unexpected_argument(p->program, argv[optind], err);
        return OPTIONS_ERROR;
    }
    return OPTIONS_RUN;
}

enum options_result options_parse(const struct program *program, int argc, char **argv,
                                  void *target, struct stage_options *stage, struct err *err)
{
    struct parse p = {.program = program, .log = {.level = LOG_LEVEL_INFO}};
    p.tables[0] = (struct table){program->options, target};
    if (stage) {
        *stage = (struct stage_options){.stats = find_stats(argc, argv), .notify_fd = NOTIFY_NONE};
        p.tables[1] = (struct table){stage_table, stage};
    }
    p.tables[2] = (struct table){log_table, &p.log};
    for (size_t t = 0; t < TABLES; t++)
        if (p.tables[t].defs)
            option_names_add(p.tables[t].defs);
    /* A mistake in the environment waits, so that --help and --version always work. */
    bool usable = set_from_environment(&p, err) == 0;
    use_log_options(&p);
    return parse_flags(&p, argc, argv, usable, err);
}
