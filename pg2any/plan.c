#include "plan.h"

#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/option_name.h"
#include "base/redact.h"

#define PREFIX "CDC_"

static const char *set_value(const char *name)
{
    const char *value = getenv(name);
    return value && *value ? value : NULL;
}

/* A target's variable: NAME for the first, NAME_2 for the second. */
static const char *target_value(const char *name, unsigned target)
{
    char full[128];
    if (target == 1)
        return set_value(name);
    (void)snprintf(full, sizeof full, "%s_%u", name, target);
    return set_value(full);
}

/* "directory/name", and the suffix. */
static int join_path(char out[PLAN_PATH_SIZE], const char *directory, const char *name,
                     const char *suffix, struct err *err)
{
    char path[PLAN_PATH_SIZE]; /* `out` and the others may be parts of one struct */
    int n = snprintf(path, sizeof path, "%s%s%s%s", directory, *name ? "/" : "", name, suffix);
    if (n < 0 || (size_t)n >= sizeof path)
        return err_set(err, ERR_PERMANENT, "a path below %s is too long", directory);
    memcpy(out, path, (size_t)n + 1);
    return 0;
}

/* ---- targets ---- */

static const struct {
    const char *name, *program;
} types[] = {
    {"MySQL", "apply-mysql"}, {"MariaDB", "apply-mysql"}, {"SqlServer", "apply-mssql"},
    {"MSSQL", "apply-mssql"}, {"SQLite", "apply-sqlite"},
};

static const char *program_of_scheme(const char *uri)
{
    static const struct {
        const char *scheme, *program;
    } schemes[] = {
        {"sqlite:", "apply-sqlite"},     {"mysql://", "apply-mysql"}, {"mariadb://", "apply-mysql"},
        {"sqlserver://", "apply-mssql"}, {"mssql://", "apply-mssql"},
    };
    for (size_t i = 0; i < sizeof schemes / sizeof *schemes; i++)
        if (strncasecmp(uri, schemes[i].scheme, strlen(schemes[i].scheme)) == 0)
            return schemes[i].program;
    return NULL;
}

/* From the URI where the type is not given; NULL: it is none that anybody knows. With a mistake in
 * it a URI must not become the name of a new file. */
static const char *program_of_uri(const char *uri)
{
    return redact_is_path(uri) ? "apply-sqlite" : program_of_scheme(uri);
}

/* The value may hold a password wherever it is not what it should be. */
static int refuse_uri(const char *suffix, const char *uri, struct err *err)
{
    size_t scheme = redact_scheme(uri);
    if (scheme > 0)
        return err_set(err, ERR_PERMANENT,
                       "CDC_DEST_URI%s: %.*s:// is not one of mysql, mariadb, sqlserver, mssql; or "
                       "it is the path of a SQLite database",
                       suffix, (int)scheme, uri);
    (void)err_set(err, ERR_PERMANENT,
                  "CDC_DEST_URI%s is neither a URI nor a path that could be nothing else", suffix);
    return err_hint(err, "mysql://user@host/database, sqlserver://user:password@host/database, or "
                         "sqlite:PATH for a SQLite database");
}

static int refuse_type(const char *suffix, const char *type, struct err *err)
{
    struct buf shown = {0};
    redact(&shown, type);
    (void)err_set(err, ERR_PERMANENT,
                  "CDC_DEST_TYPE%s: \"%s\" is not one of MySQL, MariaDB, SqlServer, SQLite", suffix,
                  buf_cstr(&shown));
    buf_free(&shown);
    return -1;
}

static int contradicts(const char *suffix, const char *type, const char *uri, struct err *err)
{
    (void)err_set(err, ERR_PERMANENT, "CDC_DEST_TYPE%s is %s, but CDC_DEST_URI%s begins with %.*s",
                  suffix, type, suffix, (int)strcspn(uri, ":"), uri);
    return err_hint(err, "leave out CDC_DEST_TYPE%s: the URI says it", suffix);
}

static void list_name(void *ctx, const char *name)
{
    struct buf *names = ctx;
    buf_printf(names, "%s%s", names->len ? ", " : "", name);
}

/* A variable that is missing may be there under a name with a mistake in it. */
static int hint_unknown(struct err *err)
{
    const struct plan all = {.ntargets = PLAN_MAX_TARGETS};
    struct buf names = {0};
    plan_unknown_variables(&all, list_name, &names);
    if (names.len > 0)
        (void)err_hint(err, "nothing reads %s: is it spelt right?", buf_cstr(&names));
    buf_free(&names);
    return -1;
}

static int find_program(unsigned target, const char **program, struct err *err)
{
    const char *type = target_value("CDC_DEST_TYPE", target);
    const char *uri = target_value("CDC_DEST_URI", target);
    char suffix[16] = "";
    if (target > 1)
        (void)snprintf(suffix, sizeof suffix, "_%u", target);
    if (!uri) {
        (void)err_set(err, ERR_PERMANENT, "CDC_DEST_URI%s is not set: where to?", suffix);
        (void)err_hint(err, "mysql://user@host/database, sqlserver://user:password@host/database "
                            "or the path of a SQLite database");
        return hint_unknown(err);
    }
    if (!type) {
        *program = program_of_uri(uri);
        return *program ? 0 : refuse_uri(suffix, uri, err);
    }
    for (size_t i = 0; i < sizeof types / sizeof *types; i++)
        if (strcasecmp(type, types[i].name) == 0) {
            const char *said = program_of_scheme(uri);
            *program = types[i].program;
            return said && strcmp(said, *program) != 0 ? contradicts(suffix, type, uri, err) : 0;
        }
    return refuse_type(suffix, type, err);
}

static bool is_described(unsigned target)
{
    return target_value("CDC_DEST_TYPE", target) || target_value("CDC_DEST_URI", target);
}

/* The same place for the same origin: two appliers would fight for one checkpoint. */
static bool is_same_target(unsigned a, unsigned b)
{
    const char *uri_a = target_value("CDC_DEST_URI", a), *uri_b = target_value("CDC_DEST_URI", b);
    const char *origin_a = target_value("CDC_ORIGIN", a), *origin_b = target_value("CDC_ORIGIN", b);
    const char *common = set_value("CDC_ORIGIN");
    origin_a = origin_a ? origin_a : common ? common : "";
    origin_b = origin_b ? origin_b : common ? common : "";
    return uri_a && uri_b && strcmp(uri_a, uri_b) == 0 && strcmp(origin_a, origin_b) == 0;
}

static int count_targets(struct plan *p, struct err *err)
{
    p->ntargets = 1;
    while (is_described(p->ntargets + 1))
        p->ntargets++;
    if (p->ntargets > PLAN_MAX_TARGETS)
        return err_set(err, ERR_PERMANENT, "more than %d targets", PLAN_MAX_TARGETS);
    for (unsigned i = 2; i <= p->ntargets; i++)
        for (unsigned j = 1; j < i; j++)
            if (is_same_target(i, j))
                return err_set(err, ERR_PERMANENT,
                               "CDC_DEST_URI_%u is the same as that of target %u", i, j);
    for (unsigned i = p->ntargets + 2; i <= 2 * PLAN_MAX_TARGETS; i++)
        if (is_described(i))
            return err_set(err, ERR_PERMANENT,
                           "there is a CDC_DEST_URI_%u or CDC_DEST_TYPE_%u, but no target %u", i, i,
                           p->ntargets + 1);
    return 0;
}

/* ---- places ---- */

static int find_bin_dir(struct plan *p, struct err *err)
{
    ssize_t n = readlink("/proc/self/exe", p->bin_dir, sizeof p->bin_dir - 1);
    if (n < 0)
        return err_errno(err, err_kind_of(errno), "finding this program");
    p->bin_dir[n] = '\0';
    char *slash = strrchr(p->bin_dir, '/');
    if (slash)
        *slash = '\0';
    return 0;
}

static bool is_directory(const char *path)
{
    struct stat st;
    return stat(path, &st) == 0 && S_ISDIR(st.st_mode);
}

static int find_state_dir(struct plan *p, struct err *err)
{
    const char *given = set_value("CDC_STATE_DIR"), *runtime = set_value("XDG_RUNTIME_DIR");
    char user[64], name[160];
    (void)snprintf(user, sizeof user, "/run/user/%u", (unsigned)geteuid());
    if (given)
        return join_path(p->state_dir, given, "", "", err);
    (void)snprintf(name, sizeof name, "pg2any-%.64s", p->slot);
    if (runtime)
        return join_path(p->state_dir, runtime, name, "", err);
    if (is_directory(user))
        return join_path(p->state_dir, user, name, "", err);
    (void)snprintf(name, sizeof name, "pg2any-%u-%.64s", (unsigned)geteuid(), p->slot);
    return join_path(p->state_dir, "/tmp", name, "", err);
}

int plan_make_state_dir(const struct plan *p, struct err *err)
{
    struct stat st;
    if (mkdir(p->state_dir, 0700) != 0 && errno != EEXIST) {
        (void)err_errno(err, err_kind_of(errno), "making the state directory %s", p->state_dir);
        return err_hint(err, "name another in CDC_STATE_DIR");
    }
    /* Below /tmp anyone may have been here first. */
    if (lstat(p->state_dir, &st) != 0)
        return err_errno(err, err_kind_of(errno), "the state directory %s", p->state_dir);
    if (S_ISDIR(st.st_mode) && st.st_uid != geteuid()) {
        (void)err_set(err, ERR_PERMANENT, "the state directory %s belongs to another user, uid %u",
                      p->state_dir, (unsigned)st.st_uid);
        return err_hint(err, "run as that user, or name another in CDC_STATE_DIR");
    }
    if (!S_ISDIR(st.st_mode) || (st.st_mode & 077) != 0) {
        (void)err_set(err, ERR_PERMANENT,
                      "the state directory %s is not a directory that only this user can enter",
                      p->state_dir);
        return err_hint(err, "remove it, chmod 700 it, or name another in CDC_STATE_DIR");
    }
    return 0;
}

bool plan_state_dir_is_there(const struct plan *p)
{
    return is_directory(p->state_dir);
}

static int open_lock(const struct plan *p, const char *name, struct err *err)
{
    char path[PLAN_PATH_SIZE + 16];
    (void)snprintf(path, sizeof path, "%s/%s", p->state_dir, name);
    int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
    return fd >= 0 ? fd : err_errno(err, err_kind_of(errno), "opening %s", path);
}

int plan_lock_state_dir(const struct plan *p, struct err *err)
{
    int fd = open_lock(p, "lock", err);
    if (fd < 0)
        return -1;
    if (flock(fd, LOCK_EX | LOCK_NB) == 0)
        return 0; /* kept open */
    bool taken = errno == EWOULDBLOCK;
    if (!taken)
        (void)err_errno(err, err_kind_of(errno), "locking %s/lock", p->state_dir);
    (void)close(fd);
    if (!taken)
        return -1;
    (void)err_set(err, ERR_PERMANENT, "another pg2any run uses the state directory %s",
                  p->state_dir);
    return err_hint(err, "stop it, or give this one a CDC_STATE_DIR of its own");
}

int plan_lock_joints(const struct plan *p, struct err *err)
{
    int fd = open_lock(p, "joints", err);
    while (fd >= 0 && flock(fd, LOCK_EX) != 0)
        if (errno != EINTR) {
            (void)err_errno(err, ERR_TEMPORARY, "locking %s/joints", p->state_dir);
            (void)close(fd);
            return -1;
        }
    return fd;
}

int plan_check_state_dir(const struct plan *p, struct err *err)
{
    struct stat st;
    if (set_value("CDC_STATE_DIR") || geteuid() == 0 || lstat(p->state_dir, &st) != 0 ||
        (S_ISDIR(st.st_mode) && st.st_uid == geteuid()))
        return 0;
    return err_set(err, ERR_PERMANENT, "the state directory %s belongs to somebody else",
                   p->state_dir);
}

/* ---- stages ---- */

/* -1: there is none yet. */
static int last_stage(const struct plan *p)
{
    return (int)p->nstages - 1;
}

static void show_uri(struct stage *s)
{
    struct buf shown = {0};
    redact(&shown, target_value("CDC_DEST_URI", s->target));
    (void)snprintf(s->uri, sizeof s->uri, "%s", buf_cstr(&shown));
    buf_free(&shown);
    for (char *p = s->uri; *p; p++)
        if (*p == '\n')
            *p = '?';
}

/* What an applier keeps of tables that are set aside: below the directory that was given, which
 * targets may share. */
static int find_quarantine(const struct plan *p, struct stage *s, struct err *err)
{
    const char *given = target_value("CDC_QUARANTINE_DIR", s->target);
    char base[PLAN_PATH_SIZE];
    given = given ? given : set_value("CDC_QUARANTINE_DIR");
    return (given ? join_path(base, given, "", "", err)
                  : join_path(base, p->state_dir, "quarantine", "", err)) ||
                   join_path(s->quarantine, base, s->name, "", err)
               ? -1
               : 0;
}

/* It reads stdout of stage `from`; a further target a descriptor of its own. */
static int add_stage(struct plan *p, enum stage_kind kind, const char *program, unsigned target,
                     int from, struct err *err)
{
    static const char *const names[] = {"capture", "assemble", "tee", "apply"};
    struct stage *s = &p->stages[p->nstages++];
    *s = (struct stage){
        .kind = kind,
        .program = program,
        .target = target,
        .from = from,
        .from_fd = target > 1 ? SECOND_TARGET_FD + (int)target - 2 : STDOUT_FILENO,
    };
    if (target > 1)
        (void)snprintf(s->name, sizeof s->name, "%s-%u", names[kind], target);
    else
        (void)snprintf(s->name, sizeof s->name, "%s", names[kind]);
    if (join_path(s->stats, p->state_dir, s->name, ".prom", err) ||
        join_path(s->fifo, p->state_dir, s->name, ".fifo", err) ||
        join_path(s->apart_file, p->state_dir, s->name, ".apart", err))
        return -1;
    if (!target)
        return 0;
    show_uri(s);
    return find_quarantine(p, s, err) || join_path(s->ack, p->state_dir, s->name, ".ack", err) ? -1
                                                                                               : 0;
}

int plan_make(struct plan *p, struct err *err)
{
    const char *programs[PLAN_MAX_TARGETS + 1] = {NULL};
    *p = (struct plan){.slot = set_value("CDC_REPLICATION_SLOT")};
    if (!p->slot)
        p->slot = "cdc_slot";
    if (!set_value("CDC_SOURCE_CONNECTION_STRING")) {
        (void)err_set(err, ERR_PERMANENT, "CDC_SOURCE_CONNECTION_STRING is not set: where from?");
        (void)err_hint(err, "postgresql://user@host/database, in the environment or in a file that "
                            "--env-file names");
        return hint_unknown(err);
    }
    if (count_targets(p, err) || find_bin_dir(p, err) || find_state_dir(p, err))
        return -1;
    for (unsigned i = 1; i <= p->ntargets; i++)
        if (find_program(i, &programs[i], err))
            return -1;
    if (add_stage(p, STAGE_CAPTURE, "pg-capture", 0, last_stage(p), err) ||
        add_stage(p, STAGE_ASSEMBLE, "txn-assemble", 0, last_stage(p), err))
        return -1;
    if ((p->ntargets > 1 || set_value("CDC_AUDIT_FILE")) &&
        add_stage(p, STAGE_TEE, "frame-tee", 0, last_stage(p), err))
        return -1;
    int writer = last_stage(p);
    for (unsigned i = 1; i <= p->ntargets; i++)
        if (add_stage(p, STAGE_APPLY, programs[i], i, writer, err))
            return -1;
    p->njoined = p->ntargets;
    return 0;
}

bool plan_wants_metrics(void)
{
    return set_value("METRICS_PORT") || set_value("METRICS_LISTEN");
}

/* ---- names ---- */

/* Every variable of a target may have its number. */
static const char *const target_names[] = {"CDC_DEST_TYPE",
                                           "CDC_DEST_URI",
                                           "CDC_SCHEMA_MAPPING",
                                           "CDC_ORIGIN",
                                           "CDC_BUFFER_SIZE",
                                           "CDC_GROUP_BYTES",
                                           "CDC_GROUP_TRANSACTIONS",
                                           "CDC_ORDER",
                                           "CDC_CONFLICT",
                                           "CDC_REFUSED",
                                           "CDC_QUARANTINE_DIR",
                                           "CDC_QUARANTINE_SIZE",
                                           "CDC_DDL",
                                           "CDC_SKIP_TABLES",
                                           "CDC_UNKNOWN",
                                           "CDC_NAN",
                                           "CDC_INFINITY",
                                           "CDC_DATE_RANGE",
                                           "CDC_ACCEPT_GAP",
                                           "CDC_QUERY_TIMEOUT",
                                           "CDC_CONNECTION_TIMEOUT",
                                           NULL};
static const char *const other_names[] = {"CDC_SOURCE_CONNECTION_STRING",
                                          "CDC_REPLICATION_SLOT",
                                          "CDC_PUBLICATION",
                                          "CDC_PROTOCOL_VERSION",
                                          "CDC_STREAMING",
                                          "CDC_BINARY_FORMAT",
                                          "CDC_TWO_PHASE",
                                          "CDC_FAILOVER",
                                          "CDC_MESSAGES",
                                          "CDC_PG_ORIGIN",
                                          "CDC_COPY",
                                          "CDC_COPY_TABLES",
                                          "CDC_WAL_BUDGET",
                                          "CDC_PAUSE_WAL",
                                          "CDC_COPY_CHUNK",
                                          "CDC_COPY_INDEXES",
                                          "CDC_STATUS_INTERVAL",
                                          "CDC_LAST_LSN_FILE",
                                          "CDC_MEMORY_LIMIT",
                                          "CDC_SPILL_DIR",
                                          "CDC_PIPE_SIZE",
                                          "CDC_AUDIT_FILE",
                                          "CDC_AUDIT_SIZE",
                                          "CDC_AUDIT_KEEP",
                                          "CDC_READER_SPILL",
                                          "CDC_LOG_LEVEL",
                                          "CDC_LOG_FORMAT",
                                          "CDC_STATE_DIR",
                                          "CDC_USER",
                                          "METRICS_PORT",
                                          "METRICS_LISTEN",
                                          "METRICS_HOST_NAME",
                                          "METRICS_STALL",
                                          NULL};

static bool is_among(const char *const *names, const char *name, size_t len)
{
    for (; *names; names++)
        if (strlen(*names) == len && strncmp(*names, name, len) == 0)
            return true;
    return false;
}

static unsigned target_of_name(const char *name, size_t len);

void plan_unknown_variables(const struct plan *p, void (*found)(void *ctx, const char *name),
                            void *ctx)
{
    for (char **v = environ; *v; v++) {
        size_t len = strcspn(*v, "=");
        char name[256];
        if ((strncmp(*v, PREFIX, strlen(PREFIX)) != 0 && strncmp(*v, "METRICS_", 8) != 0) ||
            len >= sizeof name)
            continue;
        (void)snprintf(name, sizeof name, "%.*s", (int)len, *v);
        unsigned target = target_of_name(name, len);
        size_t plain = target > 1 ? (size_t)(strrchr(name, '_') - name) : len;
        bool known = is_among(target_names, name, plain) && target <= p->ntargets;
        if (!known && !(target == 1 && is_among(other_names, name, len)))
            found(ctx, name);
    }
}

const char *plan_origin(const struct plan *p, const struct stage *s)
{
    char name[32] = "CDC_ORIGIN";
    if (s->target > 1)
        (void)snprintf(name, sizeof name, "CDC_ORIGIN_%u", s->target);
    const char *own = getenv(name), *common = getenv("CDC_ORIGIN");
    return own && *own ? own : common && *common ? common : p->slot;
}

/* ---- a stage's environment ---- */

/* The target that a variable's name ends with, "CDC_DEST_URI_2"; 1: none. */
static unsigned target_of_name(const char *name, size_t len)
{
    size_t digits = 0;
    while (digits < len && isdigit((unsigned char)name[len - 1 - digits]))
        digits++;
    if (digits == 0 || digits > 3 || len < digits + 1 || name[len - 1 - digits] != '_')
        return 1;
    return (unsigned)strtoul(name + len - digits, NULL, 10);
}

static bool is_of_source(const char *name)
{
    return strncmp(name, "CDC_SOURCE_", 11) == 0 ||
           (strncmp(name, "PG", 2) == 0 && strncmp(name, "PG2ANY", 6) != 0);
}

static bool is_of_target(const char *name)
{
    return strncmp(name, "CDC_DEST_", 9) == 0;
}

/* Takes out what the stage is not to have; `*name` is taken over where it is the target's own. */
static int sort_variable(const struct stage *s, const char *variable, struct err *err)
{
    size_t len = strcspn(variable, "=");
    char name[256], common[256];
    if (len >= sizeof name)
        return 0;
    (void)snprintf(name, sizeof name, "%.*s", (int)len, variable);
    unsigned target = strncmp(name, PREFIX, strlen(PREFIX)) == 0 ? target_of_name(name, len) : 1;
    /* Empty is as good as not set: then the common one counts. */
    if (target > 1 && target == s->target && variable[len + 1] != '\0') {
        (void)snprintf(common, sizeof common, "%.*s", (int)(strrchr(name, '_') - name), name);
        if (setenv(common, variable + len + 1, 1) != 0)
            return err_nomem(err);
    }
    if ((target > 1 && target != s->target) || (is_of_source(name) && s->kind != STAGE_CAPTURE) ||
        (is_of_target(name) && s->kind != STAGE_APPLY))
        (void)unsetenv(name);
    return 0;
}

int plan_enter_stage(const struct stage *s, struct err *err)
{
    static const struct stage none = {.kind = STAGE_ASSEMBLE}; /* which has no secret */
    if (!s)
        s = &none;
    size_t n = 0;
    while (environ[n])
        n++;
    /* The environment changes below our feet. */
    char **copy = calloc(n + 1, sizeof *copy);
    if (!copy)
        return err_nomem(err);
    int rc = 0;
    for (size_t i = 0; i < n; i++)
        copy[i] = strdup(environ[i]);
    for (size_t i = 0; i < n && rc == 0; i++)
        rc = copy[i] ? sort_variable(s, copy[i], err) : err_nomem(err);
    for (size_t i = 0; i < n; i++) {
        if (copy[i])
            explicit_bzero(copy[i], strlen(copy[i]));
        free(copy[i]);
    }
    free(copy);
    if (rc == 0 && setenv(OPTION_STAGE_VARIABLE, *s->name ? s->name : "metrics", 1) != 0)
        rc = err_nomem(err);
    return rc;
}

int plan_exec(const struct plan *p, const char *const *argv, struct err *err)
{
    char path[2 * PLAN_PATH_SIZE];
    char *const *words = (char *const *)(uintptr_t)argv; /* execv(3) changes none of them */
    (void)snprintf(path, sizeof path, "%s/%s", p->bin_dir, argv[0]);
    (void)execv(path, words);
    if (err_kind_of(errno) == ERR_PERMANENT) /* it is not there, or not for us */
        (void)execvp(argv[0], words);
    return err_errno(err, err_kind_of(errno), "starting %s", argv[0]);
}
