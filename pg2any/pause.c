#include "pause.h"

#include <errno.h>
#include <grp.h>
#include <inttypes.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "base/fifo.h"
#include "base/log.h"
#include "base/lsn.h"
#include "base/progress.h"
#include "base/stats_file.h"
#include "catch_up.h"
#include "inspect.h"

#define LOOK_MS         50
#define LEAVE_LIMIT_MS  10000 /* for an applier; then SIGKILL, which does no harm */
#define KILL_LIMIT_MS   5000
#define NOTICE_LIMIT_MS 1500
#define SEEN_LIMIT_MS   10000
#define ANEW_LIMIT_MS   3000 /* a pipeline whose capture ended before that does not run */

/* Writes how a target is. */
static int mark(const struct stage *s, enum apart_kind kind, const char *reason, struct err *err)
{
    struct apart a = {.kind = kind, .since_s = time(NULL)};
    (void)snprintf(a.target, sizeof a.target, "%s", s->uri);
    (void)snprintf(a.reason, sizeof a.reason, "%s", reason);
    return apart_write(s->apart_file, &a, err);
}

static const struct stage *find_target(const struct plan *plan, unsigned target, struct err *err)
{
    for (const struct stage *s = plan->stages; s < plan->stages + plan->nstages; s++)
        if (s->kind == STAGE_APPLY && s->target == target)
            return s;
    (void)err_set(err, ERR_PERMANENT, "there is no target %u: the configuration has %u", target,
                  plan->ntargets);
    return NULL;
}

/* The state directory, for who asks. What root makes in it the stages of another user could not
 * read: root goes on as that user, who may also signal them. */
static int enter_state_dir(const struct plan *plan, struct err *err)
{
    struct stat st;
    bool others =
        geteuid() == 0 && lstat(plan->state_dir, &st) == 0 && S_ISDIR(st.st_mode) && st.st_uid != 0;
    if (others && (setgroups(0, NULL) != 0 || setgid(st.st_gid) != 0 || setuid(st.st_uid) != 0))
        return err_errno(err, ERR_PERMANENT, "becoming the user of the state directory %s",
                         plan->state_dir);
    return plan_make_state_dir(plan, err);
}

/* ---- pause ---- */

/* Under the lock. */
static int leave_out(struct plan *plan, const struct stage *s, struct err *err)
{
    if (plan_look(plan, err))
        return -1;
    if (s->apart != APART_NONE)
        return err_set(err, ERR_PERMANENT, "target %u is not in the pipeline already: it is %s",
                       s->target, apart_word(s->apart));
    if (plan->njoined == 1) {
        (void)err_set(err, ERR_PERMANENT, "target %u is the only one that is in the pipeline",
                      s->target);
        return err_hint(err, "stop the pipeline instead; the slot keeps all changes meanwhile");
    }
    return mark(s, APART_PAUSED, "", err);
}

/* Whether the process runs that program. The file may be of a container, whose numbers of processes
 * are others here. */
static bool runs(pid_t pid, const char *program)
{
    char path[32], name[16] = "";
    (void)snprintf(path, sizeof path, "/proc/%d/comm", (int)pid);
    FILE *f = fopen(path, "re");
    bool read = f && fgets(name, sizeof name, f);
    if (f)
        (void)fclose(f);
    name[strcspn(name, "\n")] = '\0';
    return read && strncmp(name, program, sizeof name - 1) == 0;
}

/* The process of a stage, as its statistics say; 0: there is none. */
static pid_t find_process(const struct stage *s, bool only_ready)
{
    struct stats_file f;
    struct err unread = {0};
    bool there = stats_file_read(&f, s->stats, &unread) == 0 && f.alive &&
                 (!only_ready || f.state == STATS_READY) && runs(f.pid, s->program);
    pid_t pid = there ? f.pid : 0;
    stats_file_free(&f);
    return pid;
}

/* The pipeline's capture, also one that is being started again. 0: the pipeline does not run, or
 * not where its processes can be seen. */
static pid_t wait_for_capture(const struct plan *plan)
{
    int64_t end_ms = monotonic_ms() + SEEN_LIMIT_MS;
    for (;;) {
        struct stats_file f;
        struct err unread = {0};
        pid_t pid = find_process(&plan->stages[0], false);
        bool just_ended = stats_file_read(&f, plan->stages[0].stats, &unread) == 0 &&
                          f.age_ms >= 0 && f.age_ms < ANEW_LIMIT_MS;
        stats_file_free(&f);
        if (pid > 0 || !just_ended || monotonic_ms() >= end_ms)
            return pid;
        (void)poll(NULL, 0, LOOK_MS);
    }
}

void pause_interrupt(const struct stage *s)
{
    pid_t pid = find_process(s, true);
    if (pid > 0)
        (void)kill(pid, SIGTERM);
}

/* Its neighbours follow, and all but it come back. */
static int end_applier(const struct stage *s, struct err *err)
{
    static const struct {
        int signal;
        int64_t limit_ms;
    } steps[] = {{SIGTERM, LEAVE_LIMIT_MS}, {SIGKILL, KILL_LIMIT_MS}};
    pid_t pid = find_process(s, false);
    for (size_t i = 0; pid > 0 && i < sizeof steps / sizeof *steps; i++) {
        int64_t end_ms = monotonic_ms() + steps[i].limit_ms;
        if (kill(pid, steps[i].signal) != 0 && errno == EPERM)
            return err_errno(err, ERR_PERMANENT, "ending %s, pid %d", s->name, (int)pid);
        while (find_process(s, false) == pid && monotonic_ms() < end_ms)
            (void)poll(NULL, 0, LOOK_MS);
        if (find_process(s, false) != pid)
            pid = 0;
    }
    return pid == 0 ? 0
                    : err_set(err, ERR_TEMPORARY, "%s, pid %d, does not end", s->name, (int)pid);
}

int pause_target(const struct plan *plan, unsigned target, struct err *err)
{
    struct plan looked = *plan;
    const struct stage *s = find_target(&looked, target, err);
    if (!s || enter_state_dir(plan, err))
        return -1;
    bool runs_now = find_process(&plan->stages[0], false) > 0;
    int lock = plan_lock_joints(plan, err);
    int rc = lock >= 0 ? leave_out(&looked, s, err) : -1;
    if (lock >= 0)
        (void)close(lock);
    if (rc || end_applier(s, err))
        return -1;
    if (runs_now)
        (void)printf("target %u is paused: the others go on, and the slot keeps WAL for it until\n"
                     "pg2any resume --target %u\n",
                     s->target, s->target);
    else
        (void)printf("target %u is paused for the pipeline of the state directory %s, which does "
                     "not run now, until\npg2any resume --target %u\n",
                     s->target, plan->state_dir, s->target);
    return 0;
}

/* ---- resume ---- */

/* A pipeline that was just starting with the target in it notices a little later that it is apart.
 */
static int wait_for_applier(const struct stage *s, struct err *err)
{
    int64_t end_ms = monotonic_ms() + LEAVE_LIMIT_MS;
    for (bool said = false; fifo_has_writer(s->ack); said = true) {
        if (!said)
            (void)printf("target %u: waiting for an applier to end\n", s->target);
        (void)fflush(stdout);
        if (monotonic_ms() >= end_ms) {
            (void)err_set(err, ERR_TEMPORARY, "an applier of target %u still runs", s->target);
            return err_hint(err, "another resume, or one that does not end: it writes to %s",
                            s->ack);
        }
        (void)poll(NULL, 0, LOOK_MS);
    }
    return 0;
}

/* Whether the pipeline has begun anew since its capture was that one, or is about to: it notices
 * within a second that a target is apart. */
static bool begins_anew(const struct plan *plan, const struct stage *s, pid_t capture)
{
    int64_t end_ms = monotonic_ms() + NOTICE_LIMIT_MS;
    for (;;) {
        if (find_process(&plan->stages[0], false) != capture || fifo_has_writer(s->ack))
            return true;
        if (monotonic_ms() >= end_ms)
            return false;
        (void)poll(NULL, 0, LOOK_MS);
    }
}

/* While the others go on. It stays apart where that fails. Where another one is apart, too, it
 * would help nobody: the slot stands where that one stands, and all begin there. */
static int come_near(const struct plan *plan, const struct stage *s, struct err *err)
{
    struct plan looked = *plan;
    for (;;) {
        if (plan_look(&looked, err))
            return -1;
        enum apart_kind kind = looked.stages[s - plan->stages].apart;
        if ((kind != APART_PAUSED && kind != APART_FAILED) || looked.njoined + 1 < plan->ntargets)
            return 0;
        if (wait_for_applier(s, err))
            return -1;
        pid_t capture = wait_for_capture(plan);
        if (capture == 0)
            return 0;
        (void)printf("target %u catches up, while the others go on\n", s->target);
        (void)fflush(stdout);
        if (catch_up(plan, s, err) == 0)
            return 0;
        if (err->kind == ERR_PERMANENT)
            return -1;
        /* With a pipeline that begins anew goes whom the target acknowledges to: then once more. */
        if (!begins_anew(plan, s, capture))
            return err_hint(err,
                            "it is as before; pg2any resume --at-once has the others wait for it");
        err_clear(err);
    }
}

int pause_end(const struct plan *plan, unsigned target, bool at_once, struct err *err)
{
    struct apart a = {.kind = APART_NONE};
    const struct stage *s = find_target(plan, target, err);
    if (!s || enter_state_dir(plan, err) || (!at_once && come_near(plan, s, err)))
        return -1;
    int lock = plan_lock_joints(plan, err);
    int rc = lock >= 0 && apart_read(s->apart_file, &a, err) == 0 ? 0 : -1;
    enum apart_kind was = a.kind;
    if (rc == 0 && was == APART_NONE)
        rc = err_set(err, ERR_PERMANENT, "target %u is in the pipeline", s->target);
    /* One that has no checkpoint would begin where the slot stands, and not know what it lacks. */
    if (rc == 0 && was == APART_GIVEN_UP && inspect_check_copies(target, plan, err))
        rc = err_context(err, "target %u was given up, and lacks changes that the slot has passed",
                         s->target);
    a.kind = APART_NONE;
    if (rc == 0)
        rc = apart_write(s->apart_file, &a, err);
    if (lock >= 0)
        (void)close(lock);
    if (rc)
        return -1;
    (void)printf(find_process(&plan->stages[0], false) > 0
                     ? "target %u comes back, and catches up\n"
                     : "target %u comes back when the pipeline runs\n",
                 s->target);
    if (was == APART_GIVEN_UP)
        (void)printf("It was given up. Unless pg2any resync --target %u came before, it stops "
                     "again.\n",
                     s->target);
    return 0;
}

/* ---- failed, given up ---- */

static void describe_end(const struct stage *s, char out[ERR_TEXT_SIZE])
{
    struct stats_file f;
    struct err unread = {0};
    bool told = stats_file_read(&f, s->stats, &unread) == 0 && f.state == STATS_STOPPED;
    (void)snprintf(out, ERR_TEXT_SIZE, "%s",
                   told && *f.reason ? f.reason : "it left no reason; its log may");
    stats_file_free(&f);
}

/* Under the lock, which others may have had meanwhile. */
static int mark_failed(struct plan *plan, const struct stage *s, bool *left_out, struct err *err)
{
    char reason[ERR_TEXT_SIZE];
    if (plan_look(plan, err))
        return -1;
    *left_out = s->apart != APART_NONE;
    if (*left_out || plan->njoined < 2)
        return 0;
    describe_end(s, reason);
    *left_out = mark(s, APART_FAILED, reason, err) == 0;
    if (*left_out)
        log_warning(
            "a target has failed and is left out; the others go on, and the slot keeps WAL for it: "
            "fix its error, then pg2any resume",
            "target", LOG_U64(s->target), "reason", reason, NULL);
    return *left_out ? 0 : -1;
}

bool pause_failed(const struct plan *plan, const struct stage *s)
{
    struct plan looked = *plan;
    struct err err = {0};
    bool left_out = false;
    int lock = plan_lock_joints(plan, &err);
    if (lock < 0 || mark_failed(&looked, &looked.stages[s - plan->stages], &left_out, &err))
        log_warning("cannot leave a target out", "target", LOG_U64(s->target), "error", err.text,
                    NULL);
    if (lock >= 0)
        (void)close(lock);
    return left_out;
}

/* Takes the file away where it says nothing that counts, for other readers; and where it may go. */
static int forget(const struct plan *plan, const struct stage *s, bool failed_too, struct err *err)
{
    struct apart a;
    if (plan_apart(s, &a, err))
        return -1;
    bool counts = plan->ntargets > 1 && a.kind != APART_NONE;
    if (counts && !(failed_too && a.kind == APART_FAILED))
        return 0;
    a.kind = APART_NONE;
    return apart_write(s->apart_file, &a, err);
}

int pause_forget_failed(const struct plan *plan, struct err *err)
{
    for (const struct stage *s = plan->stages; s < plan->stages + plan->nstages; s++)
        if (s->kind == STAGE_APPLY && forget(plan, s, true, err))
            return -1;
    return 0;
}

int pause_forget_others(const struct plan *plan, const struct stage *s, struct err *err)
{
    return s->kind == STAGE_APPLY ? forget(plan, s, false, err) : 0;
}

bool pause_gave_up(const struct plan *plan, const struct stage *s)
{
    struct apart a;
    struct err err = {0};
    char reason[160];
    if (plan->pause_wal_bytes == 0 || plan_kept_wal(plan, s) <= (double)plan->pause_wal_bytes)
        return false;
    int lock = plan_lock_joints(plan, &err);
    bool still = lock >= 0 && plan_apart(s, &a, &err) == 0 &&
                 (a.kind == APART_PAUSED || a.kind == APART_FAILED);
    (void)snprintf(reason, sizeof reason,
                   "the slot kept more than %s of WAL for target %u (CDC_PAUSE_WAL)",
                   AMOUNT((double)plan->pause_wal_bytes), s->target);
    bool gave_up = still && mark(s, APART_GIVEN_UP, reason, &err) == 0;
    if (lock >= 0)
        (void)close(lock);
    if (gave_up)
        log_error("a target is given up: the slot goes on without it. pg2any resync, for this "
                  "target, and pg2any resume bring it back",
                  "target", LOG_U64(s->target), "reason", reason, NULL);
    else if (err.kind != ERR_NONE)
        log_warning("cannot give a target up", "target", LOG_U64(s->target), "error", err.text,
                    NULL);
    return gave_up;
}
