/* Whether the files that SQLite has open are still those at their paths. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include <sys/stat.h>

#include "base/buf.h"
#include "sqlite.h"

enum { DATABASE, LOG, INDEX };

enum whereabouts { IN_PLACE, GONE, REPLACED, NOT_KNOWN };

static enum whereabouts look(const struct sqlite_file *f)
{
    struct stat now;
    if (stat(f->path, &now) != 0)
        return errno == ENOENT || errno == ENOTDIR ? GONE : NOT_KNOWN;
    return now.st_dev == f->dev && now.st_ino == f->ino ? IN_PLACE : REPLACED;
}

static enum whereabouts look_at(const struct driver *d, int file)
{
    return d->files[file].path ? look(&d->files[file]) : IN_PLACE;
}

static int note(struct sqlite_file *f, const char *path, const char *suffix, struct err *err)
{
    struct buf full = {0};
    struct stat now;
    buf_printf(&full, "%s%s", path, suffix);
    if (buf_check(&full, err)) {
        buf_free(&full);
        return -1;
    }
    /* Without WAL, where the file system has no shared memory, there is the database alone. */
    int rc = stat(buf_cstr(&full), &now);
    if (rc != 0 && (errno != ENOENT || !*suffix))
        rc = err_errno(err, ERR_TEMPORARY, "stat %s", buf_cstr(&full));
    else if (rc == 0) {
        f->dev = now.st_dev;
        f->ino = now.st_ino;
        f->path = strdup(buf_cstr(&full));
        rc = f->path ? 0 : err_nomem(err);
    } else {
        rc = 0;
    }
    buf_free(&full);
    return rc;
}

int sqlite_files_note(struct driver *d, struct err *err)
{
    /* The others are beside the database itself, where the path is a symbolic link. */
    const char *real = sqlite3_db_filename(d->db, "main");
    if (!real || !*real)
        return 0;
    return note(&d->files[DATABASE], d->path, "", err) || note(&d->files[LOG], real, "-wal", err) ||
                   note(&d->files[INDEX], real, "-shm", err)
               ? -1
               : 0;
}

void sqlite_files_free(struct driver *d)
{
    for (int i = 0; i < SQLITE_FILES; i++)
        free(d->files[i].path);
}

static int say(const struct sqlite_file *f, bool database, enum whereabouts where, struct err *err)
{
    enum err_kind kind = database ? ERR_PERMANENT : ERR_TEMPORARY;
    if (where == NOT_KNOWN)
        return err_errno(err, ERR_TEMPORARY, "cannot see whether %s is still the file that is open",
                         f->path);
    if (where == GONE)
        (void)err_set(err, kind, "%s was moved or deleted while it was open", f->path);
    else
        (void)err_set(err, kind, "another file has taken the place of %s while it was open",
                      f->path);
    if (!database)
        return err_hint(err, "it is a part of the database: keep other programs away from it");
    return err_hint(err, where == GONE ? "put it back, with its -wal, or build the target anew"
                                       : "put the old one back, with its -wal, or start with this "
                                         "one: its checkpoint says whether it can go on");
}

int sqlite_files_check(const struct driver *d, struct err *err)
{
    for (int i = 0; i < SQLITE_FILES; i++) {
        enum whereabouts where = look_at(d, i);
        if (where != IN_PLACE)
            return say(&d->files[i], i == DATABASE, where, err);
    }
    return 0;
}

void sqlite_files_leave(struct driver *d)
{
    for (int i = 0; i < SQLITE_FILES; i++)
        if (look_at(d, i) == REPLACED)
            (void)sqlite3_db_config(d->db, SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 1, NULL);
    /* Closing would do it, but for a reader that is still there. */
    if (look_at(d, DATABASE) == IN_PLACE && look_at(d, LOG) == GONE)
        (void)sqlite3_wal_checkpoint_v2(d->db, "main", SQLITE_CHECKPOINT_PASSIVE, NULL, NULL);
}
