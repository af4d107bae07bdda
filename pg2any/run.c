#include "run.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "args.h"
#include "base/buf.h"
#include "base/exit.h"
#include "base/log.h"
#include "base/lsn.h"
#include "base/redact.h"
#include "base/stats_file.h"
#include "base/version.h"
#include "pause.h"
#include "spawn.h"

#define BACKOFF_FIRST_MS   1000
#define BACKOFF_WORKED_MS  5000  /* the most after a pipeline whose stages all were ready */
#define BACKOFF_MAX_MS     60000 /* the most after one that did not get so far */
#define LASTED_MS          30000 /* one that ran that long begins with the first pause again */
#define READY_FD           3     /* of a stage */
#define READY_FD_WORD      "3"
#define FOLLOW_LIMIT_MS    15000 /* for the others to notice that one stage has ended */
#define STOP_LIMIT_MS      20000 /* for all to end after capture was asked to */
#define TERM_LIMIT_MS      10000 /* for one to end after SIGTERM; then SIGKILL */
#define METRICS_BACKOFF_MS 5000
#define LOOK_MS            500  /* how often it is looked which targets are apart */
#define ANEW_LIMIT_MS      5000 /* for the others, when one has left or is back */

struct child {
    pid_t pid;    /* 0: not running */
    int status;   /* once it has ended */
    int ready_fd; /* of a stage: where it says that it is ready */
};

struct run {
    struct plan *plan; /* plan_look() before each start */
    const char *until_lsn;
    sigset_t signals; /* blocked, and waited for */
    struct child stages[PLAN_MAX_STAGES];
    size_t running, started;
    bool anew; /* which targets are apart has changed */
    bool stop; /* asked to */
    struct child metrics;
    int64_t metrics_due_ms; /* when it is started again */
    bool metrics_wanted;
};

/* ---- starting ---- */

struct pipe {
    int ends[2]; /* as of pipe(2) */
};

static void close_pipe(const struct pipe *p)
{
    for (int i = 0; i < 2; i++)
        if (p->ends[i] >= 0)
            (void)close(p->ends[i]);
}

/* `inputs`: the pipe that each stage reads from. */
static int start_stage(struct run *r, size_t i, const struct pipe *inputs, struct err *err)
{
    const struct plan *p = r->plan;
    struct args a;
    args_of_stage(&a, p, i);
    if (i == 0 && r->until_lsn)
        args_add(&a, "--until-lsn", r->until_lsn);
    args_add(&a, "--notify-fd", READY_FD_WORD);
    int ready[2];
    if (spawn_pipe(ready, err))
        return -1;
    struct spawn_fd fds[2 + PLAN_MAX_TARGETS] = {{ready[1], READY_FD}};
    size_t n = 1;
    if (p->stages[i].from >= 0)
        fds[n++] = (struct spawn_fd){inputs[i].ends[0], STDIN_FILENO};
    for (size_t k = 0; k < p->nstages; k++)
        if (p->stages[k].from == (int)i)
            fds[n++] = (struct spawn_fd){inputs[k].ends[1], p->stages[k].from_fd};
    pid_t pid = spawn(p, &p->stages[i], a.words, fds, n, err);
    (void)close(ready[1]);
    if (pid < 0) {
        (void)close(ready[0]);
        return -1;
    }
    r->stages[i] = (struct child){.pid = pid, .ready_fd = ready[0]};
    r->running++;
    r->started++;
    return 0;
}

/* Once all have ended: whether all had been ready before. */
static bool was_ready(struct run *r)
{
    bool all = true;
    for (size_t i = 0; i < r->plan->nstages; i++) {
        char line;
        if (r->plan->stages[i].apart != APART_NONE)
            continue;
        if (r->stages[i].ready_fd < 0)
            return false; /* it was never started */
        all = read(r->stages[i].ready_fd, &line, 1) == 1 && all;
        (void)close(r->stages[i].ready_fd);
        r->stages[i].ready_fd = -1;
    }
    return all;
}

/* All pipes are made, then all stages started, from capture on. */
static int start_stages(struct run *r, struct err *err)
{
    const struct plan *p = r->plan;
    struct pipe inputs[PLAN_MAX_STAGES];
    size_t made = 0;
    int rc = 0;
    for (size_t i = 0; rc == 0 && i < p->nstages; i++) {
        inputs[i] = (struct pipe){{-1, -1}};
        if (p->stages[i].from >= 0)
            rc = spawn_pipe(inputs[i].ends, err);
        if (rc == 0)
            made++;
    }
    for (size_t i = 0; rc == 0 && i < p->nstages; i++)
        if (p->stages[i].apart == APART_NONE)
            rc = start_stage(r, i, inputs, err);
    for (size_t i = 0; i < made; i++)
        close_pipe(&inputs[i]);
    return rc;
}

/* ---- metrics-http ---- */

static void start_metrics(struct run *r)
{
    struct args a;
    struct err err = {0};
    args_of_metrics(&a, r->plan);
    pid_t pid = spawn(r->plan, NULL, a.words, NULL, 0, &err);
    if (pid < 0) {
        log_warning("metrics-http cannot be started", "reason", err.text, NULL);
        r->metrics_due_ms = monotonic_ms() + METRICS_BACKOFF_MS;
        return;
    }
    r->metrics = (struct child){.pid = pid, .ready_fd = -1};
}

static void metrics_ended(struct run *r, int status)
{
    r->metrics.pid = 0;
    if (r->stop)
        return;
    r->metrics_wanted = status != STATUS_PERMANENT;
    r->metrics_due_ms = monotonic_ms() + METRICS_BACKOFF_MS;
    log_warning(r->metrics_wanted
                    ? "metrics-http ended and is restarted"
                    : "metrics-http ended permanently; the pipeline goes on without it",
                "status", LOG_U64((uint64_t)status), NULL);
}

/* ---- waiting ---- */

static void reap(struct run *r)
{
    int wait_status;
    pid_t pid;
    while ((pid = waitpid(-1, &wait_status, WNOHANG)) > 0) {
        int status = spawn_status(wait_status);
        if (pid == r->metrics.pid)
            metrics_ended(r, status);
        for (size_t i = 0; i < r->plan->nstages; i++)
            if (pid == r->stages[i].pid) {
                r->stages[i].pid = 0;
                r->stages[i].status = status;
                r->running--;
            }
    }
}

/* For a signal or until then; takes what has ended. */
static void wait_until(struct run *r, int64_t deadline_ms)
{
    if (r->metrics_wanted && r->metrics.pid == 0) {
        if (monotonic_ms() >= r->metrics_due_ms)
            start_metrics(r);
        else if (r->metrics_due_ms < deadline_ms)
            deadline_ms = r->metrics_due_ms;
    }
    int64_t left_ms = deadline_ms - monotonic_ms();
    if (left_ms < 0)
        left_ms = 0;
    struct timespec left = {left_ms / 1000, left_ms % 1000 * 1000000};
    int signal = sigtimedwait(&r->signals, NULL, &left);
    if (signal == SIGTERM || signal == SIGINT)
        r->stop = true;
    reap(r);
}

static void signal_stages(const struct run *r, int signal)
{
    for (size_t i = 0; i < r->plan->nstages; i++)
        if (r->stages[i].pid > 0)
            (void)kill(r->stages[i].pid, signal);
}

/* One has ended, or all are to: they get time to end by themselves, then are made to. */
static void wait_for_the_others(struct run *r, int64_t limit_ms)
{
    static const int signals[] = {0, SIGTERM, SIGKILL};
    for (int step = 0; r->running > 0 && step < 3; step++) {
        if (signals[step])
            signal_stages(r, signals[step]);
        int64_t end_ms = monotonic_ms() + (step == 0 ? limit_ms : TERM_LIMIT_MS);
        while (r->running > 0 && monotonic_ms() < end_ms) {
            bool stop = r->stop;
            wait_until(r, end_ms);
            if (r->stop && !stop && step == 0)
                signal_stages(r, SIGTERM);
        }
    }
}

/* Whether a target has left or is back, by its file or because it is given up here. */
static bool look_at_targets(const struct run *r)
{
    const struct plan *p = r->plan;
    bool changed = plan_changed(p, &p->stages[0]);
    for (size_t i = 0; i < p->nstages && !changed; i++)
        if (p->stages[i].apart == APART_PAUSED || p->stages[i].apart == APART_FAILED)
            changed = pause_gave_up(p, &p->stages[i]);
    return changed;
}

/* Waits until something has happened or it is time, and no longer than until the targets are to be
 * looked at. */
static void wait_and_look(struct run *r, int64_t deadline_ms)
{
    int64_t look_ms = monotonic_ms() + (r->plan->ntargets > 1 ? LOOK_MS : BACKOFF_MAX_MS);
    wait_until(r, look_ms < deadline_ms ? look_ms : deadline_ms);
    r->anew = look_at_targets(r);
}

/* The stages begin anew. The applier that leaves may be the one that holds all up. */
static void begin_anew(const struct run *r)
{
    const struct plan *p = r->plan;
    for (size_t i = 0; i < p->nstages; i++) {
        const struct stage *s = &p->stages[i];
        bool leaves = s->kind == STAGE_APPLY && s->apart == APART_NONE && plan_changed(p, s);
        if ((leaves || s->kind == STAGE_TEE) && r->stages[i].pid > 0)
            (void)kill(r->stages[i].pid, SIGTERM);
    }
}

/* Runs until all have ended, for whatever reason. */
static void wait_for_stages(struct run *r)
{
    while (r->running == r->started && !r->stop && !r->anew)
        wait_and_look(r, INT64_MAX);
    if (r->anew && !r->stop) {
        begin_anew(r);
        wait_for_the_others(r, ANEW_LIMIT_MS);
    } else if (r->stop && r->stages[0].pid > 0) {
        /* capture says that this is the end, and the others leave when they have read that. */
        (void)kill(r->stages[0].pid, SIGTERM);
        wait_for_the_others(r, STOP_LIMIT_MS);
    } else {
        wait_for_the_others(r, FOLLOW_LIMIT_MS);
    }
}

/* ---- what came of it ---- */

/* Why a stage ended; whether it has said so itself. */
static bool describe(const struct stage *s, int status, struct err *err)
{
    struct stats_file f;
    struct err unread = {0};
    bool told = stats_file_read(&f, s->stats, &unread) == 0 && f.state == STATS_STOPPED &&
                f.status == status && *f.reason;
    const char *reason = told           ? f.reason
                         : status > 128 ? strsignal(status - 128)
                                        : "it left no reason; its log may";
    bool temporary = status == STATUS_TEMPORARY || status > 128;
    (void)err_set(err, temporary ? ERR_TEMPORARY : ERR_PERMANENT, "%s (%s): %s", s->name,
                  s->program, reason);
    err->follows = told && f.follows;
    stats_file_free(&f);
    return told;
}

/* 0: all left on purpose. Otherwise the error of the one that matters, which is said already where
 * that stage could. */
static int outcome(const struct run *r, struct err *err)
{
    bool said = false;
    for (size_t i = 0; i < r->plan->nstages; i++) {
        struct err fault = {0};
        if (r->stages[i].status == STATUS_OK)
            continue;
        bool told = describe(&r->plan->stages[i], r->stages[i].status, &fault);
        /* Where capture was stopped before its hello, the others read the end of an empty stream.
         */
        if (r->stop && fault.follows)
            continue;
        if (stats_file_worst(err, &fault))
            said = told;
    }
    err->follows = said;
    return err->kind == ERR_NONE ? 0 : -1;
}

/* Whether it goes on without those that have failed, which then do not count as failed. Nothing
 * else may have, and one is to be left. */
static bool leave_failed_out(struct run *r)
{
    const struct plan *p = r->plan;
    size_t failed = 0;
    for (size_t i = 0; i < p->nstages; i++) {
        int status = r->stages[i].status;
        if (status == STATUS_OK || status == STATUS_TEMPORARY || status > 128)
            continue;
        if (p->stages[i].kind != STAGE_APPLY || status != STATUS_PERMANENT)
            return false;
        failed++;
    }
    if (failed == 0 || failed >= p->njoined)
        return false;
    for (size_t i = 0; i < p->nstages; i++) {
        if (r->stages[i].status != STATUS_PERMANENT)
            continue;
        if (!pause_failed(p, &p->stages[i]))
            return false;
        r->stages[i].status = STATUS_OK;
    }
    return true;
}

/* --until-lsn is reached: by those that are joined. */
static int check_all_there(const struct run *r, struct err *err)
{
    for (const struct stage *s = r->plan->stages; s < r->plan->stages + r->plan->nstages; s++)
        if (r->until_lsn && !r->stop && s->apart != APART_NONE) {
            (void)err_set(err, ERR_PERMANENT,
                          "target %u has not everything up to --until-lsn: it is %s", s->target,
                          apart_word(s->apart));
            return err_hint(err, "the others have; pg2any resume --target %u, and once more",
                            s->target);
        }
    return 0;
}

static void warn_of_variable(void *ctx, const char *name)
{
    (void)ctx;
    log_warning("nothing reads this variable: is it spelt right?", "variable", name, NULL);
}

static void say_what_runs(const struct run *r)
{
    const struct plan *p = r->plan;
    struct buf source = {0}, targets = {0};
    redact(&source, getenv("CDC_SOURCE_CONNECTION_STRING"));
    for (size_t i = 0; i < p->nstages; i++) {
        char name[40] = "CDC_DEST_URI";
        if (p->stages[i].target == 0)
            continue;
        if (p->stages[i].target > 1)
            (void)snprintf(name, sizeof name, "CDC_DEST_URI_%u", p->stages[i].target);
        buf_printf(&targets, "%s%s ", targets.len ? ", " : "", p->stages[i].program + 6);
        redact(&targets, getenv(name));
    }
    const char *audit = getenv("CDC_AUDIT_FILE");
    log_info("pg2any runs", "version", PG2ANY_VERSION, "source", buf_cstr(&source), "slot", p->slot,
             "targets", buf_cstr(&targets), "state_dir", p->state_dir, "metrics",
             plan_wants_metrics() ? "on" : "off", "audit", audit && *audit ? audit : "none", NULL);
    buf_free(&source);
    buf_free(&targets);
    plan_unknown_variables(p, warn_of_variable, NULL);
}

/* Waits before the next try, unless other targets are in the pipeline before that. */
static void pause_for(struct run *r, int64_t ms)
{
    int64_t end_ms = monotonic_ms() + ms;
    while (!r->stop && !r->anew && monotonic_ms() < end_ms)
        wait_and_look(r, end_ms);
}

static int run_until_the_end(struct run *r, struct err *err)
{
    int64_t backoff_ms = BACKOFF_FIRST_MS;
    for (;;) {
        int64_t begun_ms = monotonic_ms();
        if (plan_look(r->plan, err) || (r->plan->njoined == 0 && plan_none_joined(err)))
            return -1;
        r->running = r->started = 0;
        r->anew = false;
        for (size_t i = 0; i < r->plan->nstages; i++)
            r->stages[i] = (struct child){.ready_fd = -1};
        if (start_stages(r, err)) {
            signal_stages(r, SIGTERM);
            wait_for_the_others(r, TERM_LIMIT_MS);
        } else {
            wait_for_stages(r);
            r->anew = leave_failed_out(r) || plan_changed(r->plan, &r->plan->stages[0]);
            int rc = outcome(r, err);
            if (rc == 0 && (!r->anew || r->stop))
                return check_all_there(r, err);
            if (err->kind == ERR_PERMANENT)
                return -1;
        }
        if (r->stop) {
            log_warning("stopped, but not in good order; what is missing will be sent again",
                        "reason", err->text, NULL);
            err_clear(err);
            return 0;
        }
        bool worked = was_ready(r);
        if (!r->anew) {
            if (monotonic_ms() - begun_ms > LASTED_MS)
                backoff_ms = BACKOFF_FIRST_MS;
            else if (worked && backoff_ms > BACKOFF_WORKED_MS)
                backoff_ms = BACKOFF_WORKED_MS;
            log_warning("the pipeline is restarted", "reason", err->text, "wait_ms",
                        LOG_U64((uint64_t)backoff_ms), NULL);
            pause_for(r, backoff_ms);
            if (r->stop) {
                err_clear(err);
                return 0;
            }
            backoff_ms = backoff_ms * 2 < BACKOFF_MAX_MS ? backoff_ms * 2 : BACKOFF_MAX_MS;
        }
        if (r->anew)
            log_info("the pipeline is restarted, because the set of its targets has changed", NULL);
        err_clear(err);
    }
}

int run_pipeline(const struct plan *plan, const char *until_lsn, struct err *err)
{
    struct plan own = *plan;
    struct run r = {.plan = &own, .until_lsn = until_lsn};
    if (plan_make_state_dir(plan, err) || plan_lock_state_dir(plan, err) ||
        pause_forget_failed(plan, err))
        return -1;
    (void)sigemptyset(&r.signals);
    (void)sigaddset(&r.signals, SIGTERM);
    (void)sigaddset(&r.signals, SIGINT);
    (void)sigaddset(&r.signals, SIGCHLD);
    if (sigprocmask(SIG_BLOCK, &r.signals, NULL) != 0)
        return err_errno(err, ERR_TEMPORARY, "blocking signals");
    r.metrics_wanted = plan_wants_metrics();
    say_what_runs(&r);
    int rc = run_until_the_end(&r, err);
    if (r.metrics.pid > 0) {
        r.stop = true;
        (void)kill(r.metrics.pid, SIGTERM);
        (void)spawn_wait(r.metrics.pid);
    }
    return rc;
}
