/*
 * sqlite.h - the driver for SQLite: the pieces that its files share. The contract is driver.h's.
 *
 * WAL mode, synchronous = FULL: a commit is on disk when it returns. BEGIN IMMEDIATE, so that a
 * transaction that has begun does not fail for a lock later. Tables are ordinary ones, not STRICT:
 * STRICT has no NUMERIC type, and the types that come from the relation are bound as such anyway; a
 * column whose affinity would change a value is refused. Names in SQLite fold ASCII case.
 */
#ifndef PG2ANY_SQLITE_H
#define PG2ANY_SQLITE_H

#include <stdbool.h>

#include <sqlite3.h>

#include "base/named_file.h"
#include "sql/driver.h"
#include "sql/text.h"

extern const struct driver_ops sqlite_ops;
extern const struct text_dialect sqlite_dialect;

/* The database, its write-ahead log, the index of that, which the locks are in. */
#define SQLITE_FILES 3

struct driver {
    sqlite3 *db;
    const struct schema_map *schema_map;
    enum nan_policy nan;
    char *path;
    bool triggers;    /* those of the target fire */
    bool have_tables; /* of ours; always, unless it was opened to look only */
    struct named_file files[SQLITE_FILES];
    int64_t schema_version; /* that `others` is of; -1: of none */
    bool others;            /* there are views or virtual tables */
};

/*
 * Turns a result code into an error: busy and locked are ERR_RETRY, a full or failing disk and lack
 * of memory ERR_TEMPORARY, everything else ERR_PERMANENT. Returns -1.
 */
int sqlite_fail(const struct driver *d, int rc, const char *what, struct err *err);

/* Runs a statement that returns no row. */
MUST_CHECK int sqlite_run(struct driver *d, struct buf *sql, struct err *err);
MUST_CHECK int sqlite_prepare(struct driver *d, struct buf *sql, sqlite3_stmt **stmt,
                              struct err *err);
/* Asks for a number that is not negative; -1: there is no row. */
MUST_CHECK int sqlite_number(struct driver *d, struct buf *sql, const char *what, int64_t *n,
                             struct err *err);

/* ---- sqlite_files.c ---- */

/* Remembers which files are open. A database in memory has none. */
MUST_CHECK int sqlite_files_note(struct driver *d, struct err *err);
void sqlite_files_free(struct driver *d);

/*
 * Whether what is open is still at its path; SQLite does not look in WAL mode, and goes on in files
 * that have no name any more. Permanent error where the database is another one or gone: what was
 * committed to it is not in what a start would find, or make. Temporary where it is only one of the
 * others: the database's checkpoint says at the next start what it has.
 */
MUST_CHECK int sqlite_files_check(const struct driver *d, struct err *err);

/*
 * Before the connection is closed. Closing brings the log into the database and deletes it by its
 * name; where another file has the name of one of ours, it does not. A log that nobody can open any
 * more is brought in even where other programs keep the database open.
 */
void sqlite_files_leave(struct driver *d);

/* ---- sqlite_schema.c ---- */

driver_name_fn sqlite_table_name;
driver_declare_fn sqlite_declare;
driver_describe_fn sqlite_describe;
driver_fit_fn sqlite_fit;
driver_change_fn sqlite_change;

/* ---- sqlite_rows.c ---- */

driver_execute_fn sqlite_execute;
driver_truncate_fn sqlite_truncate;
void sqlite_free_statement(struct statement *s);

/* ---- sqlite_read.c ---- */

driver_stores_fn sqlite_stores;
driver_read_fn sqlite_read;

#endif
