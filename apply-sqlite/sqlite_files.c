/* Whether the files that SQLite has open are still those at their paths. */
#include "sqlite.h"

enum { DATABASE, LOG, INDEX };

int sqlite_files_note(struct driver *d, struct err *err)
{
    /* The others are beside the database itself, where the path is a symbolic link. Without WAL,
     * where the file system has no shared memory, there is the database alone. */
    const char *real = sqlite3_db_filename(d->db, "main");
    if (!real || !*real)
        return 0;
    return named_file_note(&d->files[DATABASE], d->path, "", err) ||
                   named_file_note(&d->files[LOG], real, "-wal", err) ||
                   named_file_note(&d->files[INDEX], real, "-shm", err)
               ? -1
               : 0;
}

void sqlite_files_free(struct driver *d)
{
    for (int i = 0; i < SQLITE_FILES; i++)
        named_file_free(&d->files[i]);
}

int sqlite_files_check(const struct driver *d, struct err *err)
{
    if (named_file_check(&d->files[DATABASE], ERR_PERMANENT, err))
        return err->kind != ERR_PERMANENT
                   ? -1
                   : err_hint(
                         err,
                         "put the old one back, with its -wal, or rebuild the target; another one's checkpoint "
                         "says whether it can continue");
    for (int i = LOG; i < SQLITE_FILES; i++)
        if (named_file_check(&d->files[i], ERR_TEMPORARY, err))
            return err_hint(err, "it is a part of the database: keep other programs away from it");
    return 0;
}

void sqlite_files_leave(struct driver *d)
{
    for (int i = 0; i < SQLITE_FILES; i++)
        if (named_file_look(&d->files[i]) == FILE_REPLACED)
            (void)sqlite3_db_config(d->db, SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 1, NULL);
    /* Closing would do it, but for a reader that is still there. */
    if (named_file_look(&d->files[DATABASE]) == FILE_IN_PLACE &&
        named_file_look(&d->files[LOG]) == FILE_GONE)
        (void)sqlite3_wal_checkpoint_v2(d->db, "main", SQLITE_CHECKPOINT_PASSIVE, NULL, NULL);
}
