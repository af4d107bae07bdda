/*
 * pg2any - puts the pipeline together from the environment: runs it, looks at it, sets it up for a
 * supervisor, takes it down.
 */
#include <signal.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include "base/buf.h"
#include "base/exit.h"
#include "base/log.h"
#include "base/notify.h"
#include "base/options.h"
#include "base/redact.h"
#include "base/std_fds.h"
#include "base/version.h"
#include "compare.h"
#include "env_file.h"
#include "init.h"
#include "inspect.h"
#include "pause.h"
#include "plan.h"
#include "run.h"
#include "stage.h"
#include "watch.h"

struct settings {
    const char *env_file, *env_dir;
    const char *until_lsn;
    bool yes, watch, failed, at_once;
    uint64_t pause_wal_bytes;
    uint64_t target;
    struct option_list tables;
    const char *keys, *wait, *sample, *rate;
    bool values, json, still, mend;
    size_t noperands;
    char *const *operands;
    uint64_t notify_fd;
};

#define ENVIRONMENT                                                                                \
    {"env-file",                                                                                   \
     OPTION_STRING,                                                                                \
     offsetof(struct settings, env_file),                                                          \
     NULL,                                                                                         \
     NULL,                                                                                         \
     "FILE",                                                                                       \
     "file of NAME=value lines; the environment takes precedence",                                 \
     0,                                                                                            \
     0,                                                                                            \
     NULL},                                                                                        \
    {                                                                                              \
        "env-dir", OPTION_STRING, offsetof(struct settings, env_dir), NULL, NULL, "DIR",           \
            "directory with a file for each variable, as pg2any init writes it", 0, 0, NULL        \
    }

static const struct option_def plain_options[] = {ENVIRONMENT, {.name = NULL}};

#define PAUSE_WAL                                                                                  \
    {                                                                                              \
        "pause-wal", OPTION_SIZE, offsetof(struct settings, pause_wal_bytes), "CDC_PAUSE_WAL",     \
            NULL, "SIZE", "give up a target that is left out beyond this much WAL", 1024, 0, NULL  \
    }

static const struct option_def status_options[] = {
    ENVIRONMENT,
    PAUSE_WAL,
    {"json", OPTION_FLAG, offsetof(struct settings, json), NULL, NULL, NULL, "as a JSON object", 0,
     0, NULL},
    {"watch", OPTION_FLAG, offsetof(struct settings, watch), NULL, NULL, NULL,
     "repeat each second, or every SECONDS, in place on a terminal;\n"
     "q quits",
     0, 0, NULL},
    {.name = NULL},
};

static const struct option_def run_options[] = {
    ENVIRONMENT,
    PAUSE_WAL,
    {"until-lsn", OPTION_STRING, offsetof(struct settings, until_lsn), NULL, NULL, "LSN",
     "exit when everything up to this LSN is at the targets; current:\n"
     "the server's position at the start",
     0, 0, NULL},
    {.name = NULL},
};

static const struct option_def drop_options[] = {
    ENVIRONMENT,
    {"yes", OPTION_FLAG, offsetof(struct settings, yes), NULL, NULL, NULL, "do not ask", 0, 0,
     NULL},
    {.name = NULL},
};

#define TARGET                                                                                     \
    {                                                                                              \
        "target", OPTION_UINT, offsetof(struct settings, target), NULL, NULL, "N",                 \
            "only this target", 1, PLAN_MAX_TARGETS, NULL                                          \
    }

static const struct option_def copy_options[] = {ENVIRONMENT, TARGET, {.name = NULL}};

#define TABLES                                                                                     \
    {                                                                                              \
        "table", OPTION_LIST, offsetof(struct settings, tables), NULL, NULL, "SCHEMA.TABLE,...",   \
            "these tables, at that target or at all; other tables go on", 0, 0, NULL               \
    }

static const struct option_def pause_options[] = {
    ENVIRONMENT,
    TARGET,
    TABLES,
    {.name = NULL},
};

static const struct option_def resume_options[] = {
    ENVIRONMENT,
    TARGET,
    TABLES,
    {"at-once", OPTION_FLAG, offsetof(struct settings, at_once), NULL, NULL, NULL,
     "do not let the target catch up first, beside the others", 0, 0, NULL},
    {.name = NULL},
};

#define FIELD(name) offsetof(struct settings, name)
static const struct option_def compare_options[] = {
    ENVIRONMENT,
    TARGET,
    {"keys", OPTION_STRING, FIELD(keys), NULL, NULL, "FILE",
     "write all keys that differ to this file; 20 are shown otherwise", 0, 0, NULL},
    {"values", OPTION_FLAG, FIELD(values), NULL, NULL, NULL, "show the values of rows that differ",
     0, 0, NULL},
    {"mend", OPTION_FLAG, FIELD(mend), NULL, NULL, NULL,
     "request the differing rows again, through the pipeline's own\n"
     "stream",
     0, 0, NULL},
    {"yes", OPTION_FLAG, FIELD(yes), NULL, NULL, NULL,
     "with --mend: do not ask if many rows differ", 0, 0, NULL},
    {"json", OPTION_FLAG, FIELD(json), NULL, NULL, NULL,
     "print an object for each table, on a line of its own", 0, 0, NULL},
    {"sample", OPTION_STRING, FIELD(sample), NULL, NULL, "N", "compare only N percent of the keys",
     0, 0, NULL},
    {"rate", OPTION_STRING, FIELD(rate), NULL, NULL, "SIZE",
     "read at most this much per second, on each side", 0, 0, NULL},
    {"wait", OPTION_STRING, FIELD(wait), NULL, NULL, "TIME",
     "give up if the target makes no progress for that long [60s]", 0, 0, NULL},
    {"still", OPTION_FLAG, FIELD(still), NULL, NULL, NULL,
     "do not wait for the target, because nothing is written at the\n"
     "source and the target has everything",
     0, 0, NULL},
    {.name = NULL},
};

static const struct option_def resync_options[] = {
    ENVIRONMENT,
    TARGET,
    {"yes", OPTION_FLAG, offsetof(struct settings, yes), NULL, NULL, NULL, "do not ask", 0, 0,
     NULL},
    {.name = NULL},
};

static const struct option_def stage_options[] = {
    ENVIRONMENT,
    PAUSE_WAL,
    {"failed", OPTION_FLAG, offsetof(struct settings, failed), NULL, NULL, NULL,
     "the stage has exited with 100: exit with 0 if it may be\n"
     "restarted, because its target is left out, else with 100",
     0, 0, NULL},
    {"notify-fd", OPTION_UINT, offsetof(struct settings, notify_fd), NULL, NULL, "N",
     "passed to the stage's program; 3, because FIFOs follow", 3, 3, NULL},
    {.name = NULL},
};

static int do_run(const struct plan *p, const struct settings *s, const char *operand,
                  struct err *err)
{
    (void)operand;
    return run_pipeline(p, s->until_lsn, err);
}

static int do_check(const struct plan *p, const struct settings *s, const char *operand,
                    struct err *err)
{
    (void)s;
    (void)operand;
    return inspect_check(p, err);
}

/* How often, where --watch has an operand. */
static int watch_seconds(const struct settings *s, unsigned *seconds, struct err *err)
{
    char end;
    *seconds = 1;
    if (s->noperands == 0 || (s->watch && s->noperands == 1 &&
                              sscanf(s->operands[0], "%4u%c", seconds, &end) == 1 && *seconds > 0))
        return 0;
    (void)err_set(err, ERR_PERMANENT, "the word after --watch is not a number of seconds");
    return err_hint(err, "pg2any status --watch 2");
}

static int do_status(const struct plan *p, const struct settings *s, const char *operand,
                     struct err *err)
{
    unsigned seconds;
    (void)operand;
    if (watch_seconds(s, &seconds, err))
        return -1;
    return s->watch ? watch(p, seconds, err) : inspect_status(p, s->json, err);
}

static int do_drop(const struct plan *p, const struct settings *s, const char *operand,
                   struct err *err)
{
    (void)operand;
    return inspect_drop(p, s->yes, err);
}

static int do_copy(const struct plan *p, const struct settings *s, const char *operand,
                   struct err *err)
{
    const struct copy_request r = {(unsigned)s->target, s->noperands,
                                   (const char *const *)s->operands};
    (void)operand;
    return inspect_copy(p, &r, err);
}

/* --table names tables, at one target or at all; without it a target is meant. */
static int check_what(const struct settings *s, const char *what, struct err *err)
{
    if (s->tables.n > 0 || s->target > 0)
        return 0;
    (void)err_set(err, ERR_PERMANENT, "what is to be %s?", what);
    return err_hint(err, "--target 2, or --table public.orders");
}

static int do_pause(const struct plan *p, const struct settings *s, const char *operand,
                    struct err *err)
{
    const struct copy_request r = {(unsigned)s->target, s->tables.n, s->tables.items};
    (void)operand;
    if (check_what(s, "paused", err))
        return -1;
    return r.ntables > 0 ? inspect_set_aside(p, &r, err) : pause_target(p, r.target, err);
}

static int do_resume(const struct plan *p, const struct settings *s, const char *operand,
                     struct err *err)
{
    const struct copy_request r = {(unsigned)s->target, s->tables.n, s->tables.items};
    (void)operand;
    if (check_what(s, "resumed", err))
        return -1;
    return r.ntables > 0 ? inspect_bring_back(p, &r, err) : pause_end(p, r.target, s->at_once, err);
}

static int do_compare(const struct plan *p, const struct settings *s, const char *operand,
                      struct err *err)
{
    const struct comparison c = {
        .target = (unsigned)s->target,
        .ntables = s->noperands,
        .tables = s->operands,
        .keys = s->keys,
        .wait = s->wait,
        .sample = s->sample,
        .rate = s->rate,
        .values = s->values,
        .json = s->json,
        .still = s->still,
        .mend = s->mend,
        .sure = s->yes,
    };
    (void)operand;
    return compare_targets(p, &c, err);
}

static int do_resync(const struct plan *p, const struct settings *s, const char *operand,
                     struct err *err)
{
    (void)operand;
    return inspect_resync(p, (unsigned)s->target, s->yes, err);
}

static int do_init(const struct plan *p, const struct settings *s, const char *operand,
                   struct err *err)
{
    (void)s;
    return init_services(p, operand, err);
}

static int do_stage(const struct plan *p, const struct settings *s, const char *operand,
                    struct err *err)
{
    return s->failed ? stage_failed(p, operand) : stage_exec(p, operand, s->notify_fd, err);
}

static const struct command {
    const char *name;
    const char *operand; /* NULL: it takes none */
    const char *example; /* of it; NULL: it takes any number of them */
    const char *purpose;
    const char *examples; /* for --help; NULL: none */
    const struct option_def *options;
    /* Above 0: the exit status. */
    int (*run)(const struct plan *, const struct settings *, const char *, struct err *);
} commands[] = {
    {"run", NULL, NULL,
     "Runs the pipeline in the foreground. Restarts it after temporary errors, ends after\n"
     "permanent ones.",
     "  pg2any run --env-file shop.env\n"
     "  pg2any run --env-file shop.env --until-lsn current\n",
     run_options, do_run},
    {"check", NULL, NULL,
     "Checks the source and the targets, and says what to fix. Changes nothing.",
     "  pg2any check --env-file shop.env\n", plain_options, do_check},
    {"status", "[SECONDS]", NULL, "Shows processes, slot, lag and checkpoints.",
     "  pg2any status --env-file shop.env\n"
     "  pg2any status --env-file shop.env --watch 2\n",
     status_options, do_status},
    {"init", "DIR", "a directory for the pipeline, such as /srv/shop",
     "Writes the pipeline into DIR as service directories for s6.",
     "  pg2any init --env-file shop.env /srv/shop\n", plain_options, do_init},
    {"copy", "[TABLE...]", NULL,
     "Requests another copy of tables, of all without a name. The pipeline may run.",
     "  pg2any copy --env-file shop.env public.orders public.customers\n", copy_options, do_copy},
    {"pause", NULL, NULL,
     "Leaves out one of several targets, or freezes tables, while the others go on. The\n"
     "pipeline may run.",
     "  pg2any pause --env-file shop.env --target 2\n"
     "  pg2any pause --env-file shop.env --table public.orders\n",
     pause_options, do_pause},
    {"resume", NULL, NULL,
     "Brings back a target, which then catches up, or tables, by their kept changes or by a copy.",
     "  pg2any resume --env-file shop.env --target 2\n"
     "  pg2any resume --env-file shop.env --table public.orders\n",
     resume_options, do_resume},
    {"compare", "[TABLE...]", NULL,
     "Compares tables, or all without a name, at source and targets while the pipeline runs.\n"
     "Exits with 0 if they are equal, with 1 if one differs.",
     "  pg2any compare --env-file shop.env\n"
     "  pg2any compare --env-file shop.env --mend public.orders\n",
     compare_options, do_compare},
    {"resync", NULL, NULL,
     "Starts over, after asking: a new slot, and all tables are copied again. Until then the\n"
     "targets keep their rows.",
     "  pg2any resync --env-file shop.env --target 2\n", resync_options, do_resync},
    {"drop", NULL, NULL, "Drops the slot and the checkpoints, after asking.",
     "  pg2any drop --env-file shop.env\n", drop_options, do_drop},
    {"stage", "NAME", "of a stage, such as capture",
     "Becomes one stage of the pipeline, joined to its neighbours by FIFOs. For supervisors.", NULL,
     stage_options, do_stage},
};

#define NCOMMANDS (sizeof commands / sizeof *commands)

static void print_help(void)
{
    (void)printf(
        "Usage: pg2any COMMAND [OPTION]...\n"
        "\n"
        "Replicates PostgreSQL into MySQL, SQL Server or SQLite, configured by the environment.\n"
        "\n"
        "Commands:\n");
    for (size_t i = 0; i < NCOMMANDS; i++) {
        char name[24];
        (void)snprintf(name, sizeof name, "%s %s", commands[i].name,
                       commands[i].operand ? commands[i].operand : "");
        (void)printf("  %-19s", name);
        for (const char *p = commands[i].purpose; *p; p++) {
            (void)putchar(*p);
            if (*p == '\n')
                (void)printf("%21s", "");
        }
        (void)putchar('\n');
    }
    (void)printf("\nExamples:\n"
                 "  printf '%%s\\n' CDC_SOURCE_CONNECTION_STRING=postgresql:///shop "
                 "CDC_DEST_URI=shop.db >shop.env\n"
                 "  pg2any check --env-file shop.env && pg2any run --env-file shop.env\n"
                 "\npg2any COMMAND --help lists the options of a command.\n\n"
                 "Exit status: 0 stopped on purpose; 100 permanent error; 111 temporary error, "
                 "restart.\n");
}

/* For shell completion: a name, its operand or "-", and the first line of what it is for. */
static void list_commands(void)
{
    for (const struct command *c = commands; c < commands + NCOMMANDS; c++)
        (void)printf("%s\t%s\t%.*s\n", c->name, c->operand ? c->operand : OPTIONS_NOTHING,
                     (int)strcspn(c->purpose, "\n"), c->purpose);
}

static const struct command *find_command(const char *name)
{
    for (size_t i = 0; i < NCOMMANDS; i++)
        if (strcmp(commands[i].name, name) == 0)
            return &commands[i];
    return NULL;
}

static int load_environment(const struct settings *s, struct err *err)
{
    if (s->env_file && env_file_load(s->env_file, err))
        return -1;
    return (s->env_dir && env_dir_load(s->env_dir, err)) || env_secrets_load(err) ? -1 : 0;
}

/* The command's operands, which are argv[first] and what follows. */
static int take_operands(const struct command *c, const struct program *program, int argc,
                         char **argv, int first, struct settings *s, struct err *err)
{
    s->noperands = (size_t)(argc - first);
    s->operands = argv + first;
    if (!c->operand || !c->example || s->noperands == 1)
        return 0;
    (void)err_set(err, ERR_PERMANENT,
                  s->noperands == 0 ? "%s: %s is missing" : "%s: more than one %s", program->name,
                  c->operand);
    return err_hint(err, "%s %s: %s", program->name, program->synopsis, c->example);
}

/* `argv` begins with the command's name. */
static int run_command(const struct command *c, int argc, char **argv, struct err *err)
{
    char name[32], synopsis[64];
    struct settings s = {.notify_fd = NOTIFY_NONE};
    struct plan plan;
    int first = argc;
    (void)snprintf(name, sizeof name, "pg2any %s", c->name);
    (void)snprintf(synopsis, sizeof synopsis, "[OPTION]...%s%s", c->operand ? " " : "",
                   c->operand ? c->operand : "");
    const struct program program = {.name = name,
                                    .synopsis = synopsis,
                                    .purpose = c->purpose,
                                    .examples = c->examples,
                                    .options = c->options,
                                    .first_operand = c->operand ? &first : NULL};
    enum options_result result = options_parse(&program, argc, argv, &s, NULL, err);
    if (result != OPTIONS_RUN)
        return result == OPTIONS_LEAVE ? 0 : -1;
    if (take_operands(c, &program, argc, argv, first, &s, err) || load_environment(&s, err))
        return -1;
    /* Once more: how to log may have been in the file. */
    result = options_parse(&program, argc, argv, &s, NULL, err);
    if (result != OPTIONS_RUN || plan_make(&plan, err))
        return -1;
    plan.pause_wal_bytes = s.pause_wal_bytes;
    return c->run(&plan, &s, c->example ? s.operands[0] : NULL, err);
}

int main(int argc, char **argv)
{
    struct err err = {0};
    std_fds_reserve();
    (void)signal(SIGCHLD, SIG_DFL); /* who ignores it leaves that to us, and no child to wait for */
    log_init("pg2any");
    const char *word = argc > 1 ? argv[1] : "";
    if (strcmp(word, "--help") == 0) {
        print_help();
        return STATUS_OK;
    }
    if (strcmp(word, "--version") == 0) {
        (void)printf("pg2any %s\n", PG2ANY_VERSION);
        return STATUS_OK;
    }
    if (strcmp(word, "--list-commands") == 0) {
        list_commands();
        return STATUS_OK;
    }
    const struct command *c = find_command(word);
    if (!c) {
        struct buf shown = {0};
        redact(&shown, word);
        (void)err_set(&err, ERR_PERMANENT, *word ? "there is no command %s" : "no command",
                      buf_cstr(&shown));
        buf_free(&shown);
        (void)err_hint(&err, "pg2any --help lists them");
    } else {
        int rc = run_command(c, argc - 1, argv + 1, &err);
        if (rc >= 0)
            err_clear(&err);
        if (rc > 0)
            return rc;
    }
    return exit_status(&err);
}
