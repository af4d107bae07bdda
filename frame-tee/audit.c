#include "audit.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <libgen.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/log.h"
#include "base/lsn.h"
#include "frames/frame_reader.h"
#include "frames/relation.h"
#include "frames/relmap.h"

#define SUFFIX_DIGITS 16
#define FLUSH_BYTES   (64 * 1024)

static int fault(const struct audit *a, const char *what, struct err *err)
{
    return err_errno(err, ERR_TEMPORARY, "%s the audit file %s", what, a->path);
}

/* ---- what a new file begins with ---- */

static int remember_relation(struct audit *a, const struct frame *f, struct err *err)
{
    struct relation *rel;
    if (relation_from_frame(f, &rel, err))
        return -1;
    int rc = relmap_set(&a->relations, rel, err);
    relation_unref(rel);
    return rc;
}

/* A hello that begins where the file before ended, and every relation. */
static int begin_file(struct audit *a, struct err *err)
{
    struct frame_hello h;
    struct frame f = {.type = FRAME_HELLO,
                      .size = (uint32_t)(a->hello.len - FRAME_HEADER_SIZE),
                      .body = a->hello.data + FRAME_HEADER_SIZE};
    if (frame_get_hello(&f, &h, err))
        return -1;
    if (a->last_lsn > h.start_lsn)
        h.start_lsn = a->last_lsn;
    if (h.wal_lsn < h.start_lsn)
        h.wal_lsn = h.start_lsn;
    h.slot_created = false;
    frame_put_hello(&a->pending, &h);
    relmap_put_frames(&a->relations, &a->pending);
    buf_append(&a->pending, a->due.data, a->due.len);
    return buf_check(&a->pending, err);
}

/* What follows from a frame, whether it is written or was read. */
static int follow(struct audit *a, const struct frame *f, struct err *err)
{
    struct frame_commit c;
    struct frame_progress k;
    a->tail.len = 0;
    switch (f->type) {
    case FRAME_HELLO:
        a->open = false;
        relmap_clear(&a->relations);
        a->due.len = 0;
        a->hello.len = 0;
        buf_append(&a->hello, frame_start(f), frame_length(f));
        return buf_check(&a->hello, err);
    case FRAME_RELATION:
        return remember_relation(a, f, err);
    case FRAME_COPY_DUE:
        buf_append(&a->due, frame_start(f), frame_length(f));
        return buf_check(&a->due, err);
    case FRAME_BEGIN:
    case FRAME_COPY_BEGIN:
        a->open = true;
        return 0;
    case FRAME_COPY_END:
        a->open = false;
        return 0;
    case FRAME_COMMIT:
        a->open = false;
        if (frame_get_commit(f, &c, err))
            return -1;
        if (c.end_lsn > a->last_lsn) /* after a crash some come again */
            a->last_lsn = c.end_lsn;
        return 0;
    case FRAME_END: /* only read: what is put behind it no reader would look at */
        return err_set(err, ERR_PERMANENT, "an end frame, which no audit file has");
    case FRAME_PROGRESS:
        if (frame_get_progress(f, &k, err))
            return -1;
        if (k.lsn > a->last_lsn)
            a->last_lsn = k.lsn;
        return 0;
    default:
        return 0;
    }
}

/* ---- files ---- */

static int open_file(struct audit *a, struct err *err)
{
    struct stat st;
    a->fd = open(a->path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK, 0600);
    if (a->fd < 0)
        return err_errno(err, err_kind_of(errno), "opening the audit file %s", a->path);
    if (fstat(a->fd, &st) != 0)
        return fault(a, "looking at", err);
    if (!S_ISREG(st.st_mode))
        return err_set(err, ERR_PERMANENT, "the audit file %s is no file", a->path);
    if (flock(a->fd, LOCK_EX | LOCK_NB) != 0) {
        (void)err_set(err, ERR_TEMPORARY, "another process writes the audit file %s", a->path);
        return err_hint(err, "each pipeline needs one of its own");
    }
    return 0;
}

/* Reads what is there, to know its relations and where its last whole frame ends. */
static int read_file(struct audit *a, struct err *err)
{
    struct frame_reader r;
    int rc = 0;
    frame_reader_init(&r, a->fd);
    while (rc == 0) {
        struct frame f;
        enum frame_reader_status status = frame_reader_next(&r, &f, err);
        if (status == FRAME_READER_ERROR)
            rc = -1;
        else if (status == FRAME_READER_FRAME)
            rc = follow(a, &f, err);
        else if (r.eof)
            break;
        else if (frame_reader_fill(&r, err) < 0)
            rc = -1;
    }
    uint64_t left = frame_reader_left(&r);
    a->size = r.offset;
    a->seal = r.seal; /* the next hello is bound to what is there */
    frame_reader_free(&r);
    if (rc && err->kind == ERR_PERMANENT)
        return err_context(err, "%s is not an audit file, or is damaged: move it away", a->path);
    if (rc)
        return err_context(err, "reading the audit file %s", a->path);
    if (left == 0)
        return 0;
    log_warning("a crash has cut the last frame of the audit file short; the rest of it is removed",
                "file", a->path, "bytes", LOG_U64(left), NULL);
    return ftruncate(a->fd, (off_t)a->size) == 0 ? 0 : fault(a, "cutting", err);
}

static bool is_rotated(const char *name, const char *base)
{
    size_t len = strlen(base);
    return strncmp(name, base, len) == 0 && name[len] == '.' &&
           strspn(name + len + 1, "0123456789ABCDEF") == SUFFIX_DIGITS &&
           name[len + 1 + SUFFIX_DIGITS] == '\0';
}

static int by_name(const void *a, const void *b)
{
    return strcmp(*(char *const *)a, *(char *const *)b);
}

struct names {
    char **list;
    size_t n;
};

static void names_free(struct names *names)
{
    for (size_t i = 0; i < names->n; i++)
        free(names->list[i]);
    free(names->list);
}

/* Looks up the renamed files, oldest first, for names_free(); the directory that they are in, or
 * NULL where it cannot be read. */
static DIR *list_rotated(const struct audit *a, struct names *names)
{
    char *for_directory = strdup(a->path), *for_base = strdup(a->path);
    *names = (struct names){0};
    DIR *d = for_directory && for_base ? opendir(dirname(for_directory)) : NULL;
    const char *base = for_base ? basename(for_base) : "";
    for (struct dirent *e; d && (e = readdir(d)) != NULL;) {
        if (!is_rotated(e->d_name, base))
            continue;
        char **more = realloc(names->list, (names->n + 1) * sizeof *more);
        if (!more)
            break;
        names->list = more;
        more[names->n] = strdup(e->d_name);
        names->n += more[names->n] != NULL;
    }
    if (names->n > 0)
        qsort(names->list, names->n, sizeof *names->list, by_name);
    free(for_directory);
    free(for_base);
    return d;
}

/* Removes the oldest beyond `keep`. A directory that cannot be read is no reason to stop. */
static void remove_oldest(const struct audit *a)
{
    struct names names;
    DIR *d = list_rotated(a, &names);
    for (size_t i = 0; d && i + a->keep < names.n; i++)
        if (unlinkat(dirfd(d), names.list[i], 0) != 0)
            log_warning("cannot remove an old audit file", "file", names.list[i], "reason",
                        strerror(errno), NULL);
    names_free(&names);
    if (d)
        (void)closedir(d);
}

/* What the newest renamed file ends with: everything up to there is in the files. */
static void find_last_rotation(struct audit *a)
{
    struct names names;
    DIR *d = list_rotated(a, &names);
    if (names.n > 0) {
        const char *newest = names.list[names.n - 1];
        a->rotated_lsn = strtoull(newest + strlen(newest) - SUFFIX_DIGITS, NULL, 16);
        a->last_lsn = a->rotated_lsn;
    }
    names_free(&names);
    if (d)
        (void)closedir(d);
}

int audit_open(struct audit *a, const char *path, uint64_t max_bytes, uint64_t keep,
               struct err *err)
{
    *a = (struct audit){.path = path, .max_bytes = max_bytes, .keep = keep, .fd = -1};
    if (!path)
        return 0;
    find_last_rotation(a);
    return open_file(a, err) || read_file(a, err) ? -1 : 0;
}

/* Writes at an offset; says how much that was. */
static int write_at(const struct audit *a, const uint8_t *data, size_t size, uint64_t at,
                    size_t *sent)
{
    for (*sent = 0; *sent < size;) {
        ssize_t n = pwrite(a->fd, data + *sent, size - *sent, (off_t)(at + *sent));
        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            return -1;
        *sent += (size_t)n;
    }
    return 0;
}

/* After a write that failed, behind which `sent` bytes are: the file is again as it was, so that
 * the next process finds whole frames only, and the frame whose place another was to take. */
static int take_back(struct audit *a, size_t sent)
{
    size_t over = sent < a->replaced.len ? sent : a->replaced.len, restored;
    if (write_at(a, a->replaced.data, over, a->size - a->replaced.len, &restored)) {
        a->size -= a->replaced.len;
        a->replaced.len = 0;
    }
    return ftruncate(a->fd, (off_t)a->size);
}

int audit_flush(struct audit *a, struct err *err)
{
    size_t sent;
    if (buf_check(&a->pending, err) || buf_check(&a->replaced, err))
        return -1;
    if (write_at(a, a->pending.data, a->pending.len, a->size - a->replaced.len, &sent)) {
        (void)fault(a, "writing", err);
        if (take_back(a, sent) != 0)
            return err_context(err, "and it could not be cut back");
        return -1;
    }
    a->size += sent - a->replaced.len;
    a->replaced.len = 0;
    a->written_bytes += sent;
    buf_reset(&a->pending, 4 * FLUSH_BYTES);
    a->sealed = 0;
    return 0;
}

static int rotate(struct audit *a, struct err *err)
{
    if (audit_flush(a, err))
        return -1;
    struct buf name = {0};
    buf_printf(&name, "%s.%016" PRIX64, a->path, a->last_lsn);
    int rc = buf_check(&name, err);
    if (rc == 0 && renameat2(AT_FDCWD, a->path, AT_FDCWD, buf_cstr(&name), RENAME_NOREPLACE) != 0)
        rc = fault(a, "renaming", err);
    buf_free(&name);
    if (rc)
        return -1;
    (void)close(a->fd);
    a->size = 0;
    a->rotated_lsn = a->last_lsn;
    a->tail.len = 0;
    a->files++;
    remove_oldest(a);
    return open_file(a, err) || begin_file(a, err) ? -1 : 0;
}

/*
 * The next frame takes the place of the last one; true: in the file. There it is to be written at
 * once and by itself, over what needs no room any more, and until it is written the last one stays:
 * so an LSN that the slot may have confirmed is never gone. A progress frame is never shorter than
 * one before it, because LSNs grow and the clock has a fixed size.
 */
static bool replace_tail(struct audit *a, size_t bytes)
{
    if (bytes < a->tail.len)
        return false;
    bool in_file = a->pending.len < a->tail.len;
    if (in_file)
        buf_append(&a->replaced, a->tail.data, a->tail.len);
    else
        a->pending.len -= a->tail.len;
    a->sealed = a->pending.len;
    a->seal = a->before_tail;
    return in_file;
}

static void append(struct audit *a, const struct frame *f)
{
    frame_seal_add(&a->seal, &a->pending, &a->sealed); /* what a new file begins with */
    size_t start = a->pending.len;
    struct frame_seal before = a->seal;
    buf_append(&a->pending, frame_start(f), frame_length(f));
    frame_seal_add(&a->seal, &a->pending, &a->sealed);
    if (f->type != FRAME_PROGRESS)
        return;
    a->before_tail = before;
    buf_append(&a->tail, a->pending.data + start, a->pending.len - start);
}

int audit_frame(struct audit *a, const struct frame *f, struct err *err)
{
    if (!a->path || f->type == FRAME_END)
        return 0;
    bool in_file = f->type == FRAME_PROGRESS && a->tail.len > 0 &&
                   replace_tail(a, frame_length(f) + frame_seal_size(f->type));
    /* Before a frame that begins something: behind it a transaction is open. */
    if (a->size + a->pending.len >= a->max_bytes && !a->open && f->type == FRAME_BEGIN &&
        a->last_lsn > a->rotated_lsn && rotate(a, err))
        return -1;
    if (follow(a, f, err))
        return err_context(err, "%s frame", frame_type_name(f->type));
    append(a, f);
    return in_file || a->pending.len >= FLUSH_BYTES ? audit_flush(a, err)
                                                    : buf_check(&a->pending, err);
}

void audit_close(struct audit *a)
{
    if (a->path && a->fd >= 0)
        (void)close(a->fd);
    relmap_clear(&a->relations);
    buf_free(&a->hello);
    buf_free(&a->due);
    buf_free(&a->pending);
    buf_free(&a->tail);
    buf_free(&a->replaced);
    a->fd = -1;
}
