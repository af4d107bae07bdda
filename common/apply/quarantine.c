#include "apply/quarantine.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/hash.h"
#include "base/log.h"

#define ORIGIN_BYTES 64 /* of it in a file's name */

struct quarantine_table {
    uint32_t relid;
    struct relation *rel;
    struct quarantine_file file;
    struct copied_file next; /* good when the target has committed */
    bool given_up;           /* in the target's transaction */
    bool noted;              /* the target remembers it */
    char why[COPIED_WHY_MAX];
    UT_hash_handle hh;
};

static void give_up(struct quarantine_table *t, const struct err *why)
{
    if (t->given_up)
        return;
    t->given_up = true;
    (void)snprintf(t->why, sizeof t->why, "%.*s", (int)sizeof t->why - 1, why->text);
}

/* ---- the directory ---- */

/* What a file's name begins with: characters of the origin that a shell reads as nothing else. */
static void safe_origin(const char *origin, char safe[ORIGIN_BYTES + 1])
{
    static const char plain[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_";
    (void)snprintf(safe, ORIGIN_BYTES + 1, "%s", origin);
    for (char *p = safe; *p; p++)
        if (!strchr(plain, *p))
            *p = '_';
}

/* "ORIGIN.RELID.frames" */
static void file_name(const char *origin, uint32_t relid, char name[QUARANTINE_NAME_SIZE])
{
    char safe[ORIGIN_BYTES + 1];
    safe_origin(origin, safe);
    (void)snprintf(name, QUARANTINE_NAME_SIZE, "%s.%" PRIu32 ".frames", safe, relid);
}

/* The relid in a name that belongs to the origin; 0: it does not. */
static uint32_t relid_in(const char *origin, const char *name)
{
    char safe[ORIGIN_BYTES + 1], again[QUARANTINE_NAME_SIZE];
    safe_origin(origin, safe);
    size_t size = strlen(safe);
    if (strncmp(name, safe, size) != 0 || name[size] != '.')
        return 0;
    uint32_t relid = (uint32_t)strtoul(name + size + 1, NULL, 10);
    file_name(origin, relid, again);
    return strcmp(name, again) == 0 ? relid : 0;
}

/* Makes it, and what it is in. */
static int make_dir(const char *dir, struct err *err)
{
    char *above = strdup(dir), *slash = above ? strrchr(above, '/') : NULL;
    if (!above)
        return err_nomem(err);
    if (slash && slash > above) {
        *slash = '\0';
        (void)mkdir(above, 0700); /* what fails shows itself in a moment */
    }
    free(above);
    return mkdir(dir, 0700) == 0 || errno == EEXIST
               ? 0
               : err_errno(err, ERR_PERMANENT, "making the directory %s", dir);
}

/* *given_up: why there is none, and the error is no reason to stop. */
static int open_dir(struct quarantine *q, bool *given_up, struct err *err)
{
    *given_up = true;
    if (q->opened)
        return 0;
    if (!q->dir)
        return err_set(err, ERR_PERMANENT, "there is no --quarantine-dir");
    if (make_dir(q->dir, err))
        return -1;
    int fd = open(q->dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0)
        return err_errno(err, ERR_PERMANENT, "opening the directory %s", q->dir);
    if (flock(fd, LOCK_EX | LOCK_NB) == 0) {
        q->dir_fd = fd;
        q->opened = true;
        return 0;
    }
    *given_up = errno != EWOULDBLOCK;
    (void)err_errno(err, *given_up ? ERR_PERMANENT : ERR_TEMPORARY, "locking %s", q->dir);
    (void)close(fd);
    return *given_up ? -1 : err_hint(err, "each applier needs a --quarantine-dir of its own");
}

/* ---- tables ---- */

static void drop(struct quarantine *q, struct quarantine_table *t)
{
    q->bytes -= t->file.good.size;
    HASH_DEL(q->tables, t);
    relation_unref(t->rel);
    quarantine_file_close(&t->file);
    free(t);
}

static void forget_tables(struct quarantine *q)
{
    struct quarantine_table *t, *next;
    HASH_ITER (hh, q->tables, t, next)
        drop(q, t);
}

void quarantine_free(struct quarantine *q)
{
    forget_tables(q);
    buf_free(&q->hello);
    if (q->opened)
        (void)close(q->dir_fd);
    q->opened = false;
}

int quarantine_hello(struct quarantine *q, const struct frame *hello, struct err *err)
{
    forget_tables(q);
    buf_reset(&q->hello, 4096);
    buf_append(&q->hello, frame_start(hello), frame_length(hello));
    return buf_check(&q->hello, err);
}

static struct quarantine_table *add(struct quarantine *q, const char *origin, uint32_t relid,
                                    const struct copied_file *mark)
{
    bool added = false;
    char name[QUARANTINE_NAME_SIZE];
    struct quarantine_table *t = calloc(1, sizeof *t);
    if (t) {
        file_name(origin, relid, name);
        t->relid = relid;
        quarantine_file_init(&t->file, q->dir_fd, name, mark, q->max_bytes);
        HASH_TRY_ADD(q->tables, relid, t, added);
    }
    if (added)
        q->bytes += mark->size;
    else
        free(t);
    return added ? t : NULL;
}

/* As the mark says it. *why: what is wrong with the directory, so that it cannot be kept. */
static int find(struct quarantine *q, const char *origin, uint32_t relid,
                const struct copied_file *mark, struct quarantine_table **table, struct err *why,
                struct err *err)
{
    struct quarantine_table *t;
    bool given_up;
    HASH_FIND(hh, q->tables, &relid, sizeof relid, t);
    if (open_dir(q, &given_up, why) && !given_up) {
        *err = *why;
        return -1;
    }
    if (t && (t->file.good.size != mark->size || t->file.good.checksum != mark->checksum)) {
        drop(q, t);
        t = NULL;
    }
    if (t)
        t->file.good.asked = mark->asked; /* that is a person's, whenever it comes */
    else
        t = add(q, origin, relid, mark);
    *table = t;
    return t ? 0 : err_nomem(err);
}

int quarantine_find(struct quarantine *q, const char *origin, struct relation *rel,
                    const struct copied_file *mark, struct quarantine_table **table,
                    struct err *err)
{
    struct quarantine_table *t;
    struct err why = {0};
    if (find(q, origin, rel->relid, mark, &t, &why, err))
        return -1;
    relation_unref(t->rel);
    t->rel = relation_ref(rel);
    if (why.kind != ERR_NONE)
        give_up(t, &why);
    *table = t;
    return 0;
}

/* ---- changes ---- */

void quarantine_change(struct quarantine *q, struct quarantine_table *t, const struct frame *change,
                       const struct source_txn *txn)
{
    struct err why = {0};
    if (!t->given_up && quarantine_file_change(&t->file, &q->hello, t->rel, change, txn, &why))
        give_up(t, &why);
}

void quarantine_truncate(struct quarantine *q, struct quarantine_table *t,
                         const struct frame_truncate *truncate, const struct source_txn *txn)
{
    struct err why = {0};
    if (!t->given_up && quarantine_file_truncate(&t->file, &q->hello, t->rel, truncate, txn, &why))
        give_up(t, &why);
}

void quarantine_end_txn(struct quarantine *q, uint64_t end_lsn)
{
    for (struct quarantine_table *t = q->tables; t; t = t->hh.next)
        quarantine_file_end_txn(&t->file, end_lsn);
}

int quarantine_sync(struct quarantine *q, struct target *target, const char *origin,
                    struct err *err)
{
    static const struct copied_file none = {0};
    for (struct quarantine_table *t = q->tables; t; t = t->hh.next) {
        struct err why = {0};
        if (!t->given_up && !t->file.touched)
            continue;
        if (!t->given_up && quarantine_file_sync(&t->file, &t->next, &why))
            give_up(t, &why);
        if (target_set_file(target, origin, t->relid, t->given_up ? &none : &t->next, NULL, err))
            return -1;
    }
    return 0;
}

static void say_given_up(const struct quarantine *q, const struct quarantine_table *t)
{
    log_error("changes of a table that is set aside are not kept any more, so that they cannot be "
              "replayed: only pg2any copy brings it back",
              "schema", t->rel->namespace, "table", t->rel->name, "dir", q->dir ? q->dir : "none",
              "file", t->file.name, "reason", t->why, NULL);
    if (q->opened)
        (void)unlinkat(q->dir_fd, t->file.name, 0);
}

void quarantine_commit(struct quarantine *q)
{
    struct quarantine_table *t, *next;
    HASH_ITER (hh, q->tables, t, next) {
        if (t->given_up) {
            say_given_up(q, t);
            drop(q, t);
        } else if (t->file.touched) {
            q->bytes += t->next.size - t->file.good.size;
            quarantine_file_commit(&t->file, &t->next);
        }
    }
}

void quarantine_rollback(struct quarantine *q)
{
    for (struct quarantine_table *t = q->tables; t; t = t->hh.next) {
        t->given_up = false;
        quarantine_file_rollback(&t->file);
    }
}

/* ---- looking ---- */

int quarantine_read(struct quarantine *q, const char *origin, uint32_t relid,
                    const struct copied_file *mark, quarantine_frame_fn *take, void *ctx,
                    struct err *err)
{
    struct quarantine_table *t;
    struct err why = {0};
    if (find(q, origin, relid, mark, &t, &why, err))
        return -1;
    if (why.kind == ERR_NONE)
        return quarantine_file_read(&t->file, take, ctx, err);
    *err = why;
    return -1;
}

void quarantine_look_begin(struct quarantine *q)
{
    for (struct quarantine_table *t = q->tables; t; t = t->hh.next)
        t->noted = false;
}

int quarantine_look_note(struct quarantine *q, const char *origin, uint32_t relid,
                         const struct copied_file *mark, struct err *err)
{
    struct quarantine_table *t;
    struct err why = {0};
    if (find(q, origin, relid, mark, &t, &why, err))
        return -1;
    t->noted = true;
    return 0;
}

static void remove_others(struct quarantine *q, const char *origin, DIR *dir)
{
    for (struct dirent *e; (e = readdir(dir));) {
        uint32_t relid = relid_in(origin, e->d_name);
        struct quarantine_table *t;
        HASH_FIND(hh, q->tables, &relid, sizeof relid, t);
        if (relid == 0 || t)
            continue;
        if (unlinkat(q->dir_fd, e->d_name, 0) == 0)
            log_info("the file of a table that is not set aside any more is removed", "file",
                     e->d_name, NULL);
    }
}

int quarantine_look_end(struct quarantine *q, const char *origin, struct err *err)
{
    struct quarantine_table *t, *next;
    struct err why = {0};
    bool given_up;
    HASH_ITER (hh, q->tables, t, next)
        if (!t->noted)
            drop(q, t);
    DIR *dir = q->dir ? opendir(q->dir) : NULL;
    if (!dir)
        return 0; /* it was never needed */
    int rc = open_dir(q, &given_up, &why);
    if (rc == 0)
        remove_others(q, origin, dir);
    else if (!given_up)
        *err = why;
    (void)closedir(dir);
    return rc && !given_up ? -1 : 0;
}
