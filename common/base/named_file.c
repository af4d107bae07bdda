#include "base/named_file.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include <sys/stat.h>

#include "base/buf.h"

int named_file_note(struct named_file *f, const char *path, const char *suffix, struct err *err)
{
    struct buf full = {0};
    struct stat now;
    int rc = 0;
    *f = (struct named_file){0};
    buf_printf(&full, "%s%s", path, suffix);
    if (buf_check(&full, err)) {
        rc = -1;
    } else if (stat(buf_cstr(&full), &now) == 0) {
        *f = (struct named_file){strdup(buf_cstr(&full)), now.st_dev, now.st_ino};
        rc = f->path ? 0 : err_nomem(err);
    } else if (errno != ENOENT) {
        rc = err_errno(err, ERR_TEMPORARY, "stat %s", buf_cstr(&full));
    }
    buf_free(&full);
    return rc;
}

void named_file_free(struct named_file *f)
{
    free(f->path);
    *f = (struct named_file){0};
}

enum named_file_state named_file_look(const struct named_file *f)
{
    struct stat now;
    if (!f->path)
        return FILE_IN_PLACE;
    if (stat(f->path, &now) != 0)
        return errno == ENOENT || errno == ENOTDIR ? FILE_GONE : FILE_NOT_KNOWN;
    return now.st_dev == f->dev && now.st_ino == f->ino ? FILE_IN_PLACE : FILE_REPLACED;
}

int named_file_check(const struct named_file *f, enum err_kind kind, struct err *err)
{
    switch (named_file_look(f)) {
    case FILE_IN_PLACE:
        return 0;
    case FILE_GONE:
        return err_set(err, kind, "%s was moved or deleted while it was open", f->path);
    case FILE_REPLACED:
        return err_set(err, kind, "another file has taken the place of %s while it was open",
                       f->path);
    case FILE_NOT_KNOWN:
        return err_errno(err, ERR_TEMPORARY, "cannot see whether %s is still the file that is open",
                         f->path);
    }
    BUG("a file in no known state");
}
