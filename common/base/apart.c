#include "base/apart.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/atomic_file.h"

#define YEAR_9999_S INT64_C(253370764800) /* a time beyond it is none */

#define NKINDS 4
static const char *const file_words[NKINDS] = {"", "paused", "failed", "given-up"};

const char *apart_word(enum apart_kind kind)
{
    static const char *const words[NKINDS] = {"", "paused", "failed", "given up"};
    return words[kind];
}

/* The next line, cut to the room for it. */
static const char *take_line(const char *p, char *out, size_t size)
{
    size_t len = strcspn(p, "\n");
    (void)snprintf(out, size, "%.*s", (int)len, p);
    return p[len] ? p + len + 1 : p + len;
}

static int parse(struct apart *a, const char *text, const char *path, struct err *err)
{
    char first[64], word[16];
    long long since_s;
    size_t kind = NKINDS;
    const char *p = take_line(text, first, sizeof first);
    if (sscanf(first, "%15s %lld", word, &since_s) == 2 && since_s >= 0 && since_s < YEAR_9999_S)
        for (kind = APART_PAUSED; kind < NKINDS && strcmp(word, file_words[kind]) != 0;)
            kind++;
    if (kind == NKINDS) {
        (void)err_set(err, ERR_PERMANENT, "%s does not say the state of its target", path);
        return err_hint(err, "remove it: the target is then in the pipeline");
    }
    a->kind = (enum apart_kind)kind;
    a->since_s = since_s;
    (void)take_line(take_line(p, a->target, sizeof a->target), a->reason, sizeof a->reason);
    return 0;
}

int apart_read(const char *path, struct apart *a, struct err *err)
{
    char text[sizeof *a + 64];
    *a = (struct apart){.kind = APART_NONE};
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOFOLLOW);
    if (fd < 0 && errno == ENOENT)
        return 0;
    ssize_t n = fd >= 0 ? read(fd, text, sizeof text - 1) : -1;
    int rc = n >= 0 ? 0 : err_errno(err, err_kind_of(errno), "%s", path);
    if (fd >= 0)
        (void)close(fd);
    if (rc)
        return -1;
    text[n] = '\0';
    return parse(a, text, path, err);
}

int apart_write(const char *path, const struct apart *a, struct err *err)
{
    char text[sizeof *a + 64];
    if (a->kind == APART_NONE)
        return unlink(path) == 0 || errno == ENOENT
                   ? 0
                   : err_errno(err, err_kind_of(errno), "removing %s", path);
    int n = snprintf(text, sizeof text, "%s %lld\n%s\n%s\n", file_words[a->kind],
                     (long long)a->since_s, a->target, a->reason);
    return atomic_file_write(path, text, (size_t)n, err);
}

int apart_fault(const struct apart *a, const char *stage, struct err *err)
{
    if (a->kind == APART_FAILED)
        return err_set(err, ERR_PERMANENT, "%s has stopped for good: %s", stage, a->reason);
    if (a->kind == APART_GIVEN_UP)
        return err_set(err, ERR_PERMANENT, "%s was given up: %s", stage, a->reason);
    return 0;
}

double apart_kept_bytes(const struct stats_file *capture, const struct stats_file *apply)
{
    double others = stats_file_number(capture, "pg2any_capture_acknowledged_lsn");
    double has = stats_file_number(apply, "pg2any_last_processed_lsn");
    double slot = stats_file_number(capture, "pg2any_confirmed_flush_lsn");
    if (slot > has)
        has = slot;
    return capture->alive && has > 0 && others > has ? others - has : 0;
}
