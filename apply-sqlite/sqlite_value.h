/*
 * sqlite_value.h - which storage class a PostgreSQL type has in SQLite, and how a value is bound as
 * it. (SQLite documentation, "Datatypes In SQLite".)
 */
#ifndef PG2ANY_SQLITE_VALUE_H
#define PG2ANY_SQLITE_VALUE_H

#include <stdbool.h>

#include <sqlite3.h>

#include "base/err.h"
#include "frames/relation.h"
#include "frames/value.h"
#include "sql/driver.h"

enum storage {
    STORAGE_TEXT,        /* TEXT, PostgreSQL's own */
    STORAGE_BOOL,        /* INTEGER 0 or 1 */
    STORAGE_INTEGER,     /* INTEGER */
    STORAGE_REAL,        /* REAL; ±Infinity as such; NaN is no value of SQLite's */
    STORAGE_NUMERIC,     /* NUMERIC: at most 15 digits, which a double holds exactly */
    STORAGE_DATETIME,    /* TEXT, PostgreSQL's own: date, time, timestamp */
    STORAGE_TIMESTAMPTZ, /* TEXT, +00 written as +00:00 so that SQLite's date functions read it */
    STORAGE_BLOB,        /* BLOB */
};

enum affinity { AFFINITY_INTEGER, AFFINITY_TEXT, AFFINITY_BLOB, AFFINITY_REAL, AFFINITY_NUMERIC };

enum storage storage_of(const struct column *c);

/* The type in CREATE TABLE. */
const char *storage_declaration(enum storage s);

/* The affinity that SQLite gives a declared type ("Determination Of Column Affinity"); ANY is
 * NUMERIC outside of STRICT tables. */
enum affinity affinity_of(const char *declared);

/* Whether a column of that affinity keeps every value of that storage as it is. */
bool affinity_keeps(enum affinity a, enum storage s);

/*
 * What SQLite stores of a value in a column of that storage, but for what the column's affinity
 * makes of it. Permanent error for one that the storage cannot hold.
 */
MUST_CHECK int sqlite_stored(enum storage s, const struct value *v, enum nan_policy nan,
                             char room[STORED_ROOM], struct stored *out, struct err *err);

/* What is in a column of the row that the statement stands at, where sqlite_stored() was written
 * into it: the same again, whatever the affinity has made of it. */
void sqlite_read_back(sqlite3_stmt *stmt, int column, enum storage s, char room[STORED_ROOM],
                      struct stored *out);

/* Binds a value, borrowed until the statement is reset. Permanent error for one that the storage
 * cannot hold. */
MUST_CHECK int bind_value(sqlite3_stmt *stmt, int parameter, enum storage s, const struct value *v,
                          enum nan_policy nan, struct err *err);

#endif
