/*
 * sqlite_world.h - the SQLite driver with a database of its own, for tests: relations and rows are
 * written as text, tables compared as text.
 */
#ifndef PG2ANY_TESTS_SQLITE_WORLD_H
#define PG2ANY_TESTS_SQLITE_WORLD_H

#include <stddef.h>
#include <stdint.h>

#include "apply-sqlite/sqlite.h"
#include "sql/target.h"

#define MAX_COLUMNS 1600 /* of a table in PostgreSQL */

struct sqlite_world {
    struct target *target;
    struct driver *driver; /* the target's */
    struct err err;
    struct schema_map map;
    struct conflicts conflicts;
    char dir[64];
    char path[96];

    struct column columns[MAX_COLUMNS];
    char attributes[MAX_COLUMNS + 1];
    uint32_t pk[32];
    struct relation rel;
    char *text; /* what the names point into */
    struct target_table *table;
};

/* For cmocka: a world with a database in memory; closed, and its files removed. */
int sqlite_setup(void **state);
int sqlite_teardown(void **state);

/*
 * Describes the relation public.NAME: "name/type" or "name/type/k" for each column, separated by
 * commas; `npk` of the first columns are the primary key. Types: int, text, bytea, float, num, ts.
 */
void describe(struct sqlite_world *w, char identity, const char *name, const char *columns,
              uint32_t npk);

/* Opens the table of the relation described; describes, creates and opens; describes and opens. */
int open_table(struct sqlite_world *w);
void make(struct sqlite_world *w, char identity, const char *name, const char *columns,
          uint32_t npk);
int use(struct sqlite_world *w, char identity, const char *name, const char *columns, uint32_t npk);
void close_table(struct sqlite_world *w);

/*
 * Applies a run. A row is "new", "K old > new", "O old > new", "K old" or "O old", NULL ends them;
 * its values are separated by bars, ~ is NULL, ^ is unchanged.
 */
int run(struct sqlite_world *w, enum change_kind kind, const char *const *rows, size_t *failed);
#define RUN(w, kind, ...) run((w), (kind), (const char *const[]){__VA_ARGS__, NULL}, NULL)

/* Expect success; a failure of that kind that says that. */
void succeeds(const struct sqlite_world *w, int rc);
void fails(struct sqlite_world *w, int rc, enum err_kind kind, const char *text);

/* Runs statements; expects a query's rows: "1|a 2|~". */
void sql(struct sqlite_world *w, const char *text);
void shows(struct sqlite_world *w, const char *query, const char *expected);

/* The driver's steps, looks at a table. */
int create_table(struct sqlite_world *w, const char *name);
int rename_table(struct sqlite_world *w, const char *name, const char *to);
int add_column(struct sqlite_world *w, const char *table, uint32_t column);
int drop_column(struct sqlite_world *w, const char *table, const char *name);
int rename_column(struct sqlite_world *w, const char *table, const char *name, const char *to);
bool has_table(struct sqlite_world *w, const char *name);
bool has_column(struct sqlite_world *w, const char *table, const char *name);
bool is_empty(struct sqlite_world *w, const char *table);

struct driver_config config(const struct sqlite_world *w, const char *uri);
int try_open(struct sqlite_world *w, const struct driver_config *c);
void open_at(struct sqlite_world *w, const char *uri);

#endif
