#include "inspect.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/exit.h"
#include "base/folder.h"
#include "base/log.h"
#include "base/progress.h"
#include "base/report.h"
#include "base/stats_file.h"
#include "spawn.h"
#include "status.h"

#define MANY_ROWS 1000 /* that differ: whoever wants them mended is asked */

/* Runs a program with stdin and stdout given (-1: stdin empty, stdout ours); its exit status. */
static int run_program(const struct plan *plan, const struct stage *stage, const char *const *argv,
                       int in, int out, bool report_on_stdout, struct err *err)
{
    int null = in < 0 ? open("/dev/null", O_RDONLY | O_CLOEXEC) : -1;
    struct spawn_fd fds[3] = {{in < 0 ? null : in, STDIN_FILENO}};
    size_t n = 1;
    if (report_on_stdout)
        fds[n++] = (struct spawn_fd){STDOUT_FILENO, STDERR_FILENO};
    if (out >= 0)
        fds[n++] = (struct spawn_fd){out, STDOUT_FILENO};
    pid_t pid = spawn(plan, stage, argv, fds, n, err);
    if (null >= 0)
        (void)close(null);
    if (pid < 0)
        return -1;
    int status = spawn_wait(pid);
    return status >= 0 ? status : err_errno(err, ERR_TEMPORARY, "waiting for %s", argv[0]);
}

/* An applier with one flag and its origin. */
static int run_applier(const struct plan *plan, const struct stage *stage, const char *flag,
                       const char *log_level, struct err *err)
{
    const char *const argv[] = {stage->program, flag,      "--origin", plan_origin(plan, stage),
                                "--log-level",  log_level, NULL};
    return run_program(plan, stage, argv, -1, -1, false, err);
}

/* ---- check ---- */

static void note_variable(void *ctx, const char *name)
{
    report_note(ctx, "nothing reads the variable %s: is it spelt right?", name);
}

int inspect_scratch_file(struct err *err)
{
    FILE *f = tmpfile();
    int fd = f ? fcntl(fileno(f), F_DUPFD_CLOEXEC, 64) : -1;
    if (f)
        (void)fclose(f);
    return fd >= 0 ? fd : err_errno(err, ERR_TEMPORARY, "making a temporary file");
}

/* Adds up: 100 outweighs 111, that 0. */
static int worse(int a, int b)
{
    int x = a == STATUS_OK || a == STATUS_TEMPORARY ? a : STATUS_PERMANENT;
    int y = b == STATUS_OK || b == STATUS_TEMPORARY ? b : STATUS_PERMANENT;
    return x == STATUS_PERMANENT || y == STATUS_PERMANENT ? STATUS_PERMANENT : x ? x : y;
}

/* What the stages write beside the target, and names that nobody reads. The status: as worse(). */
static int check_surroundings(const struct plan *plan, struct report *r)
{
    const char *audit = getenv("CDC_AUDIT_FILE"), *spill = getenv("CDC_SPILL_DIR");
    int status = STATUS_OK;
    plan_unknown_variables(plan, note_variable, r);
    if (spill && *spill && access(spill, W_OK | X_OK) != 0) {
        status = worse(status, status_of(err_kind_of(errno)));
        report_fail(r, "CDC_SPILL_DIR: %s cannot be written to: %s", spill, strerror(errno));
    }
    if (audit && *audit && !folder_is_writable(audit)) {
        status = worse(status, status_of(err_kind_of(errno)));
        report_fail(r, "CDC_AUDIT_FILE: no files can be made beside %s: %s", audit,
                    strerror(errno));
    }
    return status;
}

int inspect_check(const struct plan *plan, struct err *err)
{
    struct report own = {.fd = STDOUT_FILENO};
    const char *const capture[] = {"pg-capture", "--check", "--log-level", "warning", NULL};
    int fd = inspect_scratch_file(err);
    if (fd < 0)
        return -1;
    (void)fflush(stdout);
    int status = run_program(plan, &plan->stages[0], capture, -1, fd, true, err);
    for (size_t i = 0; status >= 0 && i < plan->nstages; i++) {
        const struct stage *s = &plan->stages[i];
        const char *const apply[] = {s->program, "--check", "--log-level", "warning", NULL};
        if (s->kind != STAGE_APPLY)
            continue;
        if (plan->ntargets > 1)
            (void)printf("target %u\n", s->target);
        (void)fflush(stdout);
        int one = lseek(fd, 0, SEEK_SET) == 0 ? run_program(plan, s, apply, fd, -1, true, err)
                                              : err_errno(err, ERR_TEMPORARY, "reading back");
        status = one < 0 ? -1 : worse(status, one);
    }
    (void)close(fd);
    int around = check_surroundings(plan, &own);
    if (status >= 0)
        status = worse(status, around);
    if (status == STATUS_OK)
        return 0;
    if (status > 0)
        return err_set(err, status == STATUS_TEMPORARY ? ERR_TEMPORARY : ERR_PERMANENT,
                       "the configuration does not work yet; the report above says what to fix");
    return -1;
}

/* ---- status ---- */

/* A line for each table that is copied, and what is to come. */
static void show_copies(const struct stats_file *f)
{
    static const struct {
        const char *metric, *what;
    } tables[] = {
        {"pg2any_capture_copy_tables_left", "tables that are not copied yet"},
        {"pg2any_copy_tables_awaited", "tables that await their copy"},
        {"pg2any_copy_tables_settling", "tables that settle"},
    };
    struct report r = {.fd = STDOUT_FILENO};
    struct table_copy c;
    for (const char *at = NULL; table_copy_next(f, &at, &c);) {
        char of[40] = "";
        if (c.estimated_rows > 0)
            (void)snprintf(of, sizeof of, " of about %.15g", c.estimated_rows);
        report_value(&r, "", "copying %s: %.15g%s rows, %.15g bytes, for %.0f s", c.table, c.rows,
                     of, c.bytes, c.for_s);
    }
    for (size_t i = 0; i < sizeof tables / sizeof *tables; i++) {
        double n;
        if (stats_file_value(f, tables[i].metric, NULL, &n) && n > 0)
            report_value(&r, "", "%s: %.15g", tables[i].what, n);
    }
}

static void show_lag(const struct status *s, const struct status_stage *apply)
{
    struct report r = {.fd = STDOUT_FILENO};
    struct lag lag;
    char words[LAG_WORDS];
    lag_look(&s->stages[0].file, &apply->file, &lag);
    lag_words(&lag, words);
    report_value(&r, "", "%s", words);
}

static void show_compared(const struct status_stage *apply)
{
    struct report r = {.fd = STDOUT_FILENO};
    char words[STATUS_COMPARED_WORDS];
    status_compared_words(apply, words);
    if (*words)
        report_value(&r, "", "%s", words);
}

/* One line for a process, and what it is about. */
static void show_process(const struct status *s, const struct status_stage *st)
{
    bool faulty = st->fault.kind != ERR_NONE;
    (void)printf("%-17s %s: ", st->stage->name, st->stage->program);
    if (st->file.alive) {
        (void)printf("%s, pid %d", stats_file_word(&st->file), st->file.pid);
        for (const struct stage_metric *m = stage_metrics; m->metric; m++) {
            double value;
            if (stats_file_value(&st->file, m->metric, NULL, &value))
                (void)printf(", %s %.15g", m->name, value);
        }
        (void)printf("\n");
        (void)fflush(stdout);
        if (st->stage->kind == STAGE_APPLY)
            show_lag(s, st);
        show_copies(&st->file);
    }
    if (st->apart.kind != APART_NONE) {
        char words[STATUS_APART_WORDS];
        status_apart_words(s, st, words);
        if (faulty && !st->file.alive)
            (void)printf("%s\n", st->fault.text);
        (void)printf(faulty || st->file.alive ? "%-17s %s\n" : "%s%s\n", "", words);
    } else if (faulty && !st->file.alive)
        (void)printf("%s\n", st->fault.text);
    else if (faulty)
        (void)printf("%-17s %s\n", "", st->fault.text);
    (void)fflush(stdout);
    if (st->stage->kind == STAGE_APPLY)
        show_compared(st);
}

/* Whether a side could be asked how it is; otherwise its program has said why on stderr. `json`:
 * appends what it says, instead of to stdout. */
static bool ask_side(const struct plan *plan, const struct stage *s, struct buf *json)
{
    const char *argv[8] = {s->program, "--status", "--log-level", "warning"};
    size_t n = 4;
    struct err ignored = {0};
    char text[4096];
    if (s->kind == STAGE_APPLY) {
        argv[n++] = "--origin";
        argv[n++] = plan_origin(plan, s);
    }
    if (!json)
        return run_program(plan, s, argv, -1, -1, false, &ignored) == STATUS_OK;
    argv[n++] = "--json";
    int fd = inspect_scratch_file(&ignored);
    bool asked = fd >= 0 && run_program(plan, s, argv, -1, fd, false, &ignored) == STATUS_OK &&
                 lseek(fd, 0, SEEK_SET) == 0;
    for (ssize_t size; asked && (size = read(fd, text, sizeof text)) > 0;)
        buf_append(json, text, (size_t)size);
    while (json->len > 0 && json->data[json->len - 1] == '\n')
        json->len--;
    if (fd >= 0)
        (void)close(fd);
    return asked;
}

/* A target that is paused may be down: that is what one pauses it for. */
static bool is_expected_away(const struct status_stage *st)
{
    return st->apart.kind == APART_PAUSED;
}

static bool show_status(const struct status *s)
{
    bool asked = true;
    (void)printf("%-17s %s\n", "state directory", s->plan->state_dir);
    for (size_t i = 0; i < s->plan->nstages; i++)
        show_process(s, &s->stages[i]);
    for (size_t i = 0; i < s->plan->nstages; i++) {
        const struct stage *stage = &s->plan->stages[i];
        if (stage->kind != STAGE_CAPTURE && stage->kind != STAGE_APPLY)
            continue;
        if (stage->kind == STAGE_APPLY && s->plan->ntargets > 1)
            (void)printf("%-17s %u\n", "target", stage->target);
        (void)fflush(stdout);
        asked = (ask_side(s->plan, stage, NULL) || is_expected_away(&s->stages[i])) && asked;
    }
    return asked;
}

static int print_json(const struct status *s, bool *asked, struct err *err)
{
    struct buf source = {0}, checkpoints[PLAN_MAX_TARGETS] = {{0}}, out = {0};
    size_t target = 0;
    *asked = ask_side(s->plan, &s->plan->stages[0], &source);
    for (size_t i = 0; i < s->plan->nstages; i++)
        if (s->plan->stages[i].kind == STAGE_APPLY)
            *asked = (ask_side(s->plan, &s->plan->stages[i], &checkpoints[target++]) ||
                      is_expected_away(&s->stages[i])) &&
                     *asked;
    status_put_json(s, &source, checkpoints, &out);
    int rc = buf_check(&out, err);
    if (rc == 0)
        (void)printf("%s", buf_cstr(&out));
    buf_free(&source);
    for (size_t i = 0; i < target; i++)
        buf_free(&checkpoints[i]);
    buf_free(&out);
    return rc;
}

int inspect_status(const struct plan *plan, bool json, struct err *err)
{
    struct status s;
    bool asked = true;
    if (plan_check_state_dir(plan, err))
        return -1;
    status_look(&s, plan);
    int rc = 0;
    if (json)
        rc = print_json(&s, &asked, err);
    else
        asked = show_status(&s);
    if (rc == 0)
        rc = status_fault(&s, err);
    status_free(&s);
    if (rc == 0 && !asked)
        rc = err_set(err, ERR_TEMPORARY, "not every side could be asked");
    return rc;
}

/* ---- drop ---- */

static int failed(int status, const char *what, struct err *err)
{
    if (status == STATUS_OK)
        return 0;
    if (status < 0)
        return -1;
    (void)err_set(err, status == STATUS_TEMPORARY ? ERR_TEMPORARY : ERR_PERMANENT,
                  "%s; the error above says why", what);
    return err_follows(err);
}

/* What it is about was printed. */
static int ask(const struct plan *plan, const char *otherwise, struct err *err)
{
    char answer[80];
    (void)printf("Type the slot's name to continue: ");
    (void)fflush(stdout);
    if (!fgets(answer, sizeof answer, stdin))
        answer[0] = '\0';
    answer[strcspn(answer, "\n")] = '\0';
    if (strcmp(answer, plan->slot) == 0)
        return 0;
    (void)err_set(err, ERR_PERMANENT, "%s", otherwise);
    return err_hint(err, "the answer was not the slot's name; --yes does not ask");
}

/* A slot that is idle for a moment is not one that nobody uses. */
static int check_is_not_alive(const struct stage *s, struct err *err)
{
    struct stats_file f;
    struct err unread = {0};
    bool alive = stats_file_read(&f, s->stats, &unread) == 0 && f.alive;
    stats_file_free(&f);
    if (!alive)
        return 0;
    (void)err_set(err, ERR_PERMANENT, "%s runs (pid %d)", s->name, f.pid);
    return err_hint(err, "stop the pipeline first");
}

static int check_that_nothing_runs(const struct plan *plan, struct err *err)
{
    for (size_t i = 0; i < plan->nstages; i++)
        if (check_is_not_alive(&plan->stages[i], err))
            return -1;
    return plan_state_dir_is_there(plan) ? plan_lock_state_dir(plan, err) : 0;
}

int inspect_drop(const struct plan *plan, bool sure, struct err *err)
{
    const char *const capture[] = {"pg-capture", "--drop-slot", NULL};
    if (check_that_nothing_runs(plan, err))
        return -1;
    if (!sure)
        (void)printf(
            "This drops replication slot %s, and the checkpoint in %u target%s. The target will "
            "miss all changes\n"
            "from now on, until its tables are copied again. The rows at the target stay.\n",
            plan->slot, plan->ntargets, plan->ntargets > 1 ? "s" : "");
    if (!sure && ask(plan, "nothing was dropped", err))
        return -1;
    int status = run_program(plan, &plan->stages[0], capture, -1, -1, false, err);
    for (size_t i = 0; status == STATUS_OK && i < plan->nstages; i++)
        if (plan->stages[i].kind == STAGE_APPLY)
            status = run_applier(plan, &plan->stages[i], "--drop-checkpoint", "info", err);
    return failed(status, "not everything was dropped", err);
}

/* ---- copies ---- */

static int check_target(unsigned target, const struct plan *plan, struct err *err)
{
    return target <= plan->ntargets
               ? 0
               : err_set(err, ERR_PERMANENT, "--target %u: there are %u", target, plan->ntargets);
}

int inspect_check_copies(unsigned target, const struct plan *plan, struct err *err)
{
    const char *copy = getenv("CDC_COPY");
    if (check_target(target, plan, err))
        return -1;
    if (!copy || strcmp(copy, "never") != 0)
        return 0;
    (void)err_set(err, ERR_PERMANENT, "CDC_COPY=never: nothing would copy the tables");
    return err_hint(err, "CDC_COPY=initial, for the pipeline, too");
}

static bool is_meant(const struct stage *s, unsigned target)
{
    return s->kind == STAGE_APPLY && (target == 0 || s->target == target);
}

/* An applier that runs looks by itself; what it stands for at the next start is the same. */
static void tell_applier(const struct stage *s, const char *does, const char *done)
{
    struct stats_file f;
    struct err unread = {0};
    bool told = stats_file_read(&f, s->stats, &unread) == 0 && f.alive && f.state == STATS_READY &&
                kill(f.pid, SIGHUP) == 0;
    if (told)
        (void)printf("%s: requested; the running pipeline %s\n", s->name, does);
    else
        (void)printf("%s: requested; they are %s when the pipeline runs\n", s->name, done);
    stats_file_free(&f);
}

/* The tables as one argument; NULL: no memory. */
static const char *join_tables(const struct copy_request *r, struct buf *out)
{
    for (size_t i = 0; i < r->ntables; i++)
        buf_printf(out, "%s%s", i ? "," : "", r->tables[i]);
    return out->failed ? NULL : r->ntables ? buf_cstr(out) : "all";
}

/* What tables are asked for, and what becomes of that. */
struct asking {
    const char *flag, *does, *done, *failed;
};

/* For --copies; NULL: all are. */
static const char *copied_tables(void)
{
    const char *copy = getenv("CDC_COPY"), *tables = getenv("CDC_COPY_TABLES");
    return copy && strcmp(copy, "never") == 0 ? "none" : tables && *tables ? tables : NULL;
}

static int ask_for_tables(const struct plan *plan, const struct copy_request *r,
                          const struct asking *a, struct err *err)
{
    struct buf list = {0};
    int status = STATUS_OK;
    const char *tables = join_tables(r, &list), *copies = copied_tables();
    if (!tables) {
        buf_free(&list);
        return err_nomem(err);
    }
    for (size_t i = 0; status == STATUS_OK && i < plan->nstages; i++) {
        const struct stage *s = &plan->stages[i];
        if (!is_meant(s, r->target))
            continue;
        const char *const argv[] = {s->program,
                                    a->flag,
                                    tables,
                                    "--origin",
                                    plan_origin(plan, s),
                                    copies ? "--copies" : NULL,
                                    copies,
                                    NULL};
        status = run_program(plan, s, argv, -1, -1, false, err);
        if (status == STATUS_OK)
            tell_applier(s, a->does, a->done);
    }
    buf_free(&list);
    return failed(status, a->failed, err);
}

int inspect_copy(const struct plan *plan, const struct copy_request *r, struct err *err)
{
    static const struct asking asking = {"--copy-again", "copies them", "copied",
                                         "not every table was requested"};
    return inspect_check_copies(r->target, plan, err) ? -1 : ask_for_tables(plan, r, &asking, err);
}

int inspect_set_aside(const struct plan *plan, const struct copy_request *r, struct err *err)
{
    static const struct asking asking = {"--set-aside", "leaves them out", "left out",
                                         "not every table was set aside"};
    return inspect_check_copies(r->target, plan, err) ? -1 : ask_for_tables(plan, r, &asking, err);
}

int inspect_bring_back(const struct plan *plan, const struct copy_request *r, struct err *err)
{
    static const struct asking asking = {"--resume", "brings them back", "brought back",
                                         "not every table was requested"};
    return check_target(r->target, plan, err) ? -1 : ask_for_tables(plan, r, &asking, err);
}

/* Lines of the file, which is read from its beginning then, and again. */
static int count_lines(int fd, uint64_t *lines, struct err *err)
{
    char data[65536];
    ssize_t n = 0;
    *lines = 0;
    bool read_all = lseek(fd, 0, SEEK_SET) == 0;
    while (read_all && (n = read(fd, data, sizeof data)) > 0)
        for (ssize_t i = 0; i < n; i++)
            *lines += data[i] == '\n';
    return read_all && n == 0 && lseek(fd, 0, SEEK_SET) == 0
               ? 0
               : err_errno(err, ERR_TEMPORARY, "reading the keys that differ");
}

int inspect_mend(const struct plan *plan, const struct stage *s, int keys_fd, bool sure,
                 struct err *err)
{
    const char *const argv[] = {s->program, "--read-again", "--origin", plan_origin(plan, s), NULL};
    uint64_t lines;
    if (count_lines(keys_fd, &lines, err))
        return -1;
    if (lines == 0)
        return 0;
    if (!sure && lines > MANY_ROWS) {
        (void)printf("%" PRIu64 " rows differ. A table that has too many to read them one by one "
                     "is copied again.\n",
                     lines);
        if (ask(plan, "nothing was changed", err))
            return -1;
    }
    int status = run_program(plan, s, argv, keys_fd, -1, false, err);
    if (status == STATUS_OK)
        tell_applier(s, "reads them again", "read again");
    return failed(status, "the rows were not requested", err);
}

/* The others may run where that one target is apart. */
static int check_that_none_minds(const struct plan *plan, unsigned target, struct err *err)
{
    for (const struct stage *s = plan->stages; s < plan->stages + plan->nstages; s++) {
        struct apart a;
        if (s->kind != STAGE_APPLY || s->target != target || plan->ntargets == 1)
            continue;
        if (plan_apart(s, &a, err))
            return -1;
        return a.kind == APART_NONE ? check_that_nothing_runs(plan, err)
                                    : check_is_not_alive(s, err);
    }
    return check_that_nothing_runs(plan, err);
}

int inspect_resync(const struct plan *plan, unsigned target, bool sure, struct err *err)
{
    const char *const capture[] = {"pg-capture", "--drop-slot", NULL};
    if (inspect_check_copies(target, plan, err) || check_that_none_minds(plan, target, err))
        return -1;
    if (!sure && target == 0)
        (void)printf(
            "This drops replication slot %s; the next start creates it again and copies all tables "
            "to %u target%s.\n"
            "Until then the rows there stay as they are.\n",
            plan->slot, plan->ntargets, plan->ntargets > 1 ? "s" : "");
    else if (!sure)
        (void)printf(
            "This drops the checkpoint in target %u; the next start copies all tables to it.\n"
            "Until then the rows there stay as they are.\n",
            target);
    if (!sure && ask(plan, "nothing was changed", err))
        return -1;
    int status =
        target == 0 ? run_program(plan, &plan->stages[0], capture, -1, -1, false, err) : STATUS_OK;
    for (size_t i = 0; status == STATUS_OK && i < plan->nstages; i++)
        if (is_meant(&plan->stages[i], target))
            status = run_applier(plan, &plan->stages[i], "--copy-anew", "info", err);
    return failed(status, "not every target starts over", err);
}
