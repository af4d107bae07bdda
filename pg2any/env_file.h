/*
 * env_file.h - NAME=value lines into the environment, as in Docker's and other .env files.
 *
 * Empty lines and those that begin with # are skipped; a word "export" in front is. A value in
 * single quotes is taken as it is; in double quotes \" \\ \n \$ are undone; without quotes it ends
 * before " #" and blanks at its end are not part of it. Nothing is expanded. What the environment
 * has already wins over the file, unless it is empty there; of two lines for one variable the last
 * wins.
 */
#ifndef PG2ANY_ENV_FILE_H
#define PG2ANY_ENV_FILE_H

#include "base/err.h"

/* Warns where every user may read the file. Permanent error, with file and line, for anything else
 * than that. Names a value never. */
MUST_CHECK int env_file_load(const char *path, struct err *err);

/* A directory with a file for each variable, the value in its first line (s6-envdir). What the
 * environment has already wins, unless it is empty there. PATH is left alone. */
MUST_CHECK int env_dir_load(const char *path, struct err *err);

/* A secret may be in a file that another variable names, as containers have it:
 * CDC_SOURCE_CONNECTION_STRING_FILE, CDC_DEST_URI_FILE, CDC_DEST_URI_2_FILE and so on. Puts the
 * file's first line into the variable without _FILE, and takes the other away. Permanent error
 * where both are set. */
MUST_CHECK int env_secrets_load(struct err *err);

#endif
