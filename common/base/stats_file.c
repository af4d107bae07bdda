#include "base/stats_file.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "base/exit.h"

#define MAX_BYTES     (16 * 1024 * 1024)
#define LOOP_FAILURES 2 /* without progress: no longer one that came and went */

static int read_all(int fd, struct buf *text, struct err *err)
{
    for (;;) {
        uint8_t *room = buf_reserve(text, 64 * 1024);
        if (!room)
            return err_nomem(err);
        ssize_t n = read(fd, room, 64 * 1024);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return err_errno(err, ERR_TEMPORARY, "reading");
        if (n == 0)
            break;
        text->len += (size_t)n;
        if (text->len > MAX_BYTES)
            return err_set(err, ERR_PERMANENT, "it is larger than any statistics file");
    }
    (void)buf_cstr(text);
    return buf_check(text, err);
}

/* What is told goes to terminals, and anyone may have written the file. */
static void copy_line(char out[ERR_TEXT_SIZE], const char *text)
{
    (void)snprintf(out, ERR_TEXT_SIZE, "%.*s", (int)strcspn(text, "\n"), text);
    for (char *p = out; *p; p++)
        if ((unsigned char)*p < ' ' || *p == 0x7f)
            *p = '?';
}

/* "# pg2any component=NAME pid=N state=WORD[ status=N follows=N reason=TEXT]". */
static int read_state(struct stats_file *f, struct err *err)
{
    static const char *const words[] = {"starting", "ready", "stopped"};
    char word[16];
    int at = 0;
    const char *line = (const char *)f->text.data;
    int n = sscanf(line, STATS_FILE_MAGIC " component=%63s pid=%d state=%15s%n", f->component,
                   &f->pid, word, &at);
    size_t state = 0;
    while (n == 3 && state < 3 && strcmp(words[state], word) != 0)
        state++;
    if (n != 3 || state == 3 || f->pid <= 0)
        return err_set(err, ERR_PERMANENT, "it is not a statistics file");
    f->state = (enum stats_state)state;
    const char *second = strchr(line, '\n');
    if (second && strncmp(second + 1, STATS_FILE_FAILED, strlen(STATS_FILE_FAILED)) == 0)
        copy_line(f->failed, second + 1 + strlen(STATS_FILE_FAILED));
    if (f->state != STATS_STOPPED)
        return 0;
    int reason = 0, follows = 0;
    if (sscanf(line + at, " status=%d follows=%d reason=%n", &f->status, &follows, &reason) != 2 ||
        reason == 0)
        return err_set(err, ERR_PERMANENT, "it is not a statistics file");
    f->follows = follows != 0;
    copy_line(f->reason, line + at + reason);
    return 0;
}

/*
 * Whether the process that wrote a file at that time is still there, and no other has its pid
 * since: files outlive the machine's start, and in a container pids come again soon. A process that
 * has ended and that nobody has waited for yet is still there to kill(2). The fields: proc(5),
 * stat.
 */
static bool is_there(int pid, const struct timespec *written)
{
    char path[32], text[1024];
    unsigned long long start_ticks = 0;
    struct timespec now, up;
    if (kill(pid, 0) != 0 && errno != EPERM)
        return false;
    (void)snprintf(path, sizeof path, "/proc/%d/stat", pid);
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return errno != ENOENT; /* hidden: what kill(2) says has to do */
    ssize_t n = read(fd, text, sizeof text - 1);
    (void)close(fd);
    text[n > 0 ? n : 0] = '\0';
    const char *state = strrchr(text, ')'); /* the program's name before it may hold anything */
    if (!state || state[1] != ' ' || state[2] == 'Z' || state[2] == 'X')
        return false;
    const char *field = state + 2;
    for (int i = 3; field && i < 22; i++)
        field = strchr(field, ' ') ? strchr(field, ' ') + 1 : NULL;
    if (!field || sscanf(field, "%llu", &start_ticks) != 1)
        return true;
    (void)clock_gettime(CLOCK_REALTIME, &now);
    (void)clock_gettime(CLOCK_BOOTTIME, &up);
    int64_t started_s = now.tv_sec - up.tv_sec + (int64_t)start_ticks / sysconf(_SC_CLK_TCK);
    return started_s <= written->tv_sec + 2; /* the clocks are a little apart */
}

static int read_file(struct stats_file *f, const char *path, struct err *err)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    if (fd < 0) {
        f->missing = errno == ENOENT;
        return err_errno(err, ERR_TEMPORARY, "%s", path);
    }
    struct stat st;
    int rc = fstat(fd, &st) == 0 ? 0 : err_errno(err, ERR_TEMPORARY, "reading");
    if (rc == 0 && !S_ISREG(st.st_mode))
        rc = err_set(err, ERR_PERMANENT, "it is no file");
    if (rc == 0)
        rc = read_all(fd, &f->text, err);
    (void)close(fd);
    if (rc == 0)
        rc = read_state(f, err);
    if (rc)
        return err_context(err, "%s", path);
    struct timespec now;
    (void)clock_gettime(CLOCK_REALTIME, &now);
    f->age_ms =
        (now.tv_sec - st.st_mtim.tv_sec) * 1000 + (now.tv_nsec - st.st_mtim.tv_nsec) / 1000000;
    f->alive = f->state != STATS_STOPPED && is_there(f->pid, &st.st_mtim);
    return 0;
}

int stats_file_read(struct stats_file *f, const char *path, struct err *err)
{
    *f = (struct stats_file){0};
    if (read_file(f, path, err) == 0)
        return 0;
    f->pid = 0; /* none: stats_file_fault() tells by it */
    f->alive = false;
    (void)snprintf(f->reason, sizeof f->reason, "%s", err->text);
    return -1;
}

static bool is_zero(const struct stats_file *f, const char *name)
{
    double value;
    return stats_file_value(f, name, NULL, &value) && value == 0;
}

int stats_file_fault(const struct stats_file *f, const char *stage, struct err *err)
{
    if (f->missing)
        return err_set(err, ERR_TEMPORARY, "%s has not been started", stage);
    if (f->pid == 0)
        return err_set(err, ERR_TEMPORARY, "the statistics of %s cannot be read: %s", stage,
                       f->reason);
    if (f->state == STATS_STOPPED && f->status == STATUS_PERMANENT)
        return err_set(err, ERR_PERMANENT, "%s has stopped for good: %s", stage, f->reason);
    if (f->state == STATS_STOPPED) {
        (void)err_set(err, ERR_TEMPORARY, "%s has stopped%s%s", stage, *f->reason ? ": " : "",
                      f->reason);
        err->follows = f->follows;
        return -1;
    }
    if (!f->alive)
        return err_set(err, ERR_TEMPORARY, "%s was killed or crashed", stage);
    double failures;
    if (*f->failed && stats_file_value(f, "pg2any_failures_since_progress", NULL, &failures) &&
        failures >= LOOP_FAILURES)
        return err_set(err, ERR_TEMPORARY, "%s has failed %.0f times without progress: %s", stage,
                       failures, f->failed);
    if (is_zero(f, "pg2any_source_connection_status"))
        return err_set(err, ERR_TEMPORARY, "%s is not connected to the source", stage);
    if (is_zero(f, "pg2any_destination_connection_status"))
        return err_set(err, ERR_TEMPORARY, "%s is not connected to the target", stage);
    return 0;
}

bool stats_file_worst(struct err *worst, const struct err *fault)
{
    bool heavier = fault->kind == ERR_PERMANENT && worst->kind != ERR_PERMANENT;
    bool nearer = fault->kind == worst->kind && worst->follows && !fault->follows;
    bool worse = worst->kind == ERR_NONE || heavier || nearer;
    if (worse)
        *worst = *fault;
    return worse;
}

const char *stats_file_word(const struct stats_file *f)
{
    if (f->missing || f->pid == 0)
        return "not started";
    if (f->state == STATS_STOPPED)
        return f->status == STATUS_PERMANENT ? "failed" : "stopped";
    return !f->alive ? "gone" : f->state == STATS_READY ? "running" : "starting";
}

void stats_file_free(struct stats_file *f)
{
    buf_free(&f->text);
}

double stats_file_number(const struct stats_file *f, const char *name)
{
    double v;
    return stats_file_value(f, name, NULL, &v) ? v : 0;
}

bool stats_file_value(const struct stats_file *f, const char *name, const char *label,
                      double *value)
{
    struct stats_sample s;
    for (const char *at = NULL; stats_file_next(f, name, &at, &s);)
        if (!label || memmem(s.labels, s.labels_len, label, strlen(label))) {
            *value = s.value;
            return true;
        }
    return false;
}

bool stats_file_next(const struct stats_file *f, const char *name, const char **at,
                     struct stats_sample *s)
{
    size_t len = strlen(name);
    const char *line = *at ? *at : (const char *)f->text.data, *end;
    for (; line && *line; line = *end ? end + 1 : end) {
        end = strchrnul(line, '\n');
        if (strncmp(line, name, len) != 0 || (line[len] != ' ' && line[len] != '{'))
            continue;
        const char *number = line + len;
        *s = (struct stats_sample){.labels = number};
        if (*number == '{') {
            /* A label's value may hold any character; the last brace closes. */
            const char *close = memrchr(number, '}', (size_t)(end - number));
            if (!close)
                continue;
            s->labels = number + 1;
            s->labels_len = (size_t)(close - number) - 1;
            number = close + 1;
        }
        char *number_end;
        s->value = strtod(number, &number_end);
        if (number_end > number && number_end <= end) {
            *at = *end ? end + 1 : end;
            return true;
        }
    }
    return false;
}

bool stats_sample_label(const struct stats_sample *s, const char *name, char *out, size_t size)
{
    const char *p = s->labels, *end = p + s->labels_len;
    size_t len = strlen(name), n = 0;
    while (p < end) {
        const char *quote = memchr(p, '"', (size_t)(end - p));
        if (!quote)
            return false;
        bool wanted = quote > p && (size_t)(quote - p) == len + 1 && memcmp(p, name, len) == 0 &&
                      p[len] == '=';
        for (p = quote + 1; p < end && *p != '"'; p++) {
            bool escaped = *p == '\\' && p + 1 < end;
            if (escaped)
                p++;
            if (wanted && n + 1 < size)
                out[n++] = escaped && *p == 'n' ? '\n' : *p;
        }
        if (wanted) {
            out[n] = '\0';
            return true;
        }
        p += p + 1 < end && p[1] == ',' ? 2 : 1;
    }
    return false;
}
