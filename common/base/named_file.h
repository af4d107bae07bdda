/*
 * named_file.h - whether a file that is open is still the one at its path.
 *
 * While a file is open no other file gets its inode number, so the number identifies it.
 */
#ifndef PG2ANY_NAMED_FILE_H
#define PG2ANY_NAMED_FILE_H

#include <sys/types.h>

#include "base/err.h"

struct named_file {
    char *path; /* NULL: nothing is watched */
    dev_t dev;
    ino_t ino;
};

enum named_file_state {
    FILE_IN_PLACE, /* also where nothing is watched */
    FILE_GONE,
    FILE_REPLACED,
    FILE_NOT_KNOWN, /* errno says why */
};

/* Remembers the open file at `path` followed by `suffix`. If there is none, nothing is watched.
 * Temporary error if it cannot be examined. */
MUST_CHECK int named_file_note(struct named_file *f, const char *path, const char *suffix,
                               struct err *err);
void named_file_free(struct named_file *f);

enum named_file_state named_file_look(const struct named_file *f);

/* 0 if it is in place; -1 with an error of that kind, temporary if it cannot be examined. */
MUST_CHECK int named_file_check(const struct named_file *f, enum err_kind kind, struct err *err);

#endif
