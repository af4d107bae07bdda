/*
 * driver_double.h - a driver for tests: a small database in memory that keeps driver.h's contract,
 * checks that the caller keeps it too, and fails where it is told to.
 *
 * Tables hold text. begin() copies everything and reset() puts the copy back, so that a rollback is
 * real. Every operation that can fail counts as a call; the calls from `fail_at` on fail, and
 * until reset() any other use of the connection fails the test. Names fold ASCII case where
 * `folds_case` says so.
 */
#ifndef PG2ANY_TESTS_DRIVER_DOUBLE_H
#define PG2ANY_TESTS_DRIVER_DOUBLE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"
#include "sql/target.h"

#define DOUBLE_TABLES  8
#define DOUBLE_COLUMNS 8
#define DOUBLE_ROWS    64
#define DOUBLE_TEXT    40
#define DOUBLE_FRAME   1024
#define DOUBLE_POISON  "poison"  /* a value that the database cannot hold */
#define DOUBLE_UNNAMED "unnamed" /* a table whose name it does not take */
#define DOUBLE_INDEXED "indexed" /* a table to which a person has added something */
#define DOUBLE_MISFIT  "misfit"  /* the column that never fits */

struct double_row {
    char values[DOUBLE_COLUMNS][DOUBLE_TEXT]; /* "~" is NULL */
    unsigned updates;                         /* so that an update applied twice shows */
};

struct double_table {
    char name[DOUBLE_TEXT];
    size_t ncolumns, nrows;
    char columns[DOUBLE_COLUMNS][DOUBLE_TEXT];
    struct double_row rows[DOUBLE_ROWS];
};

struct double_memory {
    uint32_t relid;
    char target[DOUBLE_TEXT], namespace[DOUBLE_TEXT], name[DOUBLE_TEXT];
    size_t size;
    uint8_t frame[DOUBLE_FRAME];
};

struct double_data {
    bool has_checkpoint;
    struct checkpoint checkpoint;
    size_t ntables, nmemories;
    struct double_table tables[DOUBLE_TABLES];
    struct double_memory memories[DOUBLE_TABLES]; /* pg2any_relation */
};

struct driver {
    struct double_data now, before;
    bool in_transaction, broken;
    bool folds_case;
    bool keyed;          /* tables have a primary key, their first column */
    bool immune;         /* it can hold poison */
    bool poison_ends;    /* a value that is refused ends the transaction */
    const char *unnamed; /* another table whose name it does not take; NULL: none */
    const char *kept;    /* a table that it does not empty; NULL: none */
    uint64_t ncalls;
    uint64_t fail_at, nfail; /* the first call that fails, counted from 1, and how many; 0: none */
    enum err_kind fail_kind;
    bool lose_answer; /* a commit that fails took effect */
    bool failed;      /* a call was made to fail */

    struct buf calls; /* the successful calls, one a line */
    /* After a commit took effect. */
    void (*on_commit)(void *arg, struct driver *d);
    void *on_commit_arg;
};

extern const struct driver_ops double_ops;

/* Opens a target on a double. */
struct target *double_open(struct driver *d);

void double_free(struct driver *d);

/* What the program's end does to the connection. */
void double_disconnect(struct driver *d);

/* Appends tables: "t1(id,v1) [1,~] [2,x]*3\n", *3: updated three times. */
void double_content(const struct double_data *d, struct buf *out);

/* Makes a table: columns and values separated by blanks; rows are ended by NULL. */
void double_make(struct driver *d, const char *name, const char *columns, const char *const *rows);

#endif
