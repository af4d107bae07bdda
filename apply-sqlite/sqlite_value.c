#include "sqlite_value.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "sql/source_value.h"

#define NUMERIC_EXACT_DIGITS                                                                       \
    15 /* DBL_DIG: decimal digits that survive the way into a double and back */

/* numeric's typmod: precision in the upper half, scale (11 bits, signed since version 15) below,
 * plus VARHDRSZ. */
static bool numeric_fits_double(int32_t typmod)
{
    if (typmod < 4)
        return false;
    int precision = ((typmod - 4) >> 16) & 0xffff;
    int scale = (((typmod - 4) & 0x7ff) ^ 1024) - 1024;
    return precision <= NUMERIC_EXACT_DIGITS && scale >= 0 && scale <= precision;
}

enum storage storage_of(const struct column *c)
{
    /* All others are text. */
    static const enum storage storages[] = {[FORM_BOOL] = STORAGE_BOOL,
                                            [FORM_INTEGER] = STORAGE_INTEGER,
                                            [FORM_SINGLE] = STORAGE_REAL,
                                            [FORM_DOUBLE] = STORAGE_REAL,
                                            [FORM_DECIMAL] = STORAGE_NUMERIC,
                                            [FORM_DATE] = STORAGE_DATETIME,
                                            [FORM_TIME] = STORAGE_DATETIME,
                                            [FORM_TIMESTAMP] = STORAGE_DATETIME,
                                            [FORM_TIMESTAMPTZ] = STORAGE_TIMESTAMPTZ,
                                            [FORM_BYTES] = STORAGE_BLOB};
    enum storage s = storages[source_type_form(c)];
    return s == STORAGE_NUMERIC && !numeric_fits_double(c->typmod) ? STORAGE_TEXT : s;
}

const char *storage_declaration(enum storage s)
{
    static const char *const types[] = {
        [STORAGE_BOOL] = "INTEGER",     [STORAGE_INTEGER] = "INTEGER", [STORAGE_REAL] = "REAL",
        [STORAGE_NUMERIC] = "NUMERIC",  [STORAGE_TEXT] = "TEXT",       [STORAGE_DATETIME] = "TEXT",
        [STORAGE_TIMESTAMPTZ] = "TEXT", [STORAGE_BLOB] = "BLOB"};
    return types[s];
}

static bool contains(const char *declared, const char *word)
{
    return strcasestr(declared, word) != NULL;
}

enum affinity affinity_of(const char *declared)
{
    if (contains(declared, "INT"))
        return AFFINITY_INTEGER;
    if (contains(declared, "CHAR") || contains(declared, "CLOB") || contains(declared, "TEXT"))
        return AFFINITY_TEXT;
    if (!*declared || contains(declared, "BLOB"))
        return AFFINITY_BLOB;
    if (contains(declared, "REAL") || contains(declared, "FLOA") || contains(declared, "DOUB"))
        return AFFINITY_REAL;
    return AFFINITY_NUMERIC;
}

bool affinity_keeps(enum affinity a, enum storage s)
{
    switch (s) {
    case STORAGE_BOOL:
        return true;
    case STORAGE_INTEGER:
        return a != AFFINITY_REAL; /* a double holds 53 bits */
    case STORAGE_REAL:
        return a != AFFINITY_TEXT; /* SQLite writes 15 digits */
    case STORAGE_NUMERIC:
        return true;
    case STORAGE_TEXT:
        return a == AFFINITY_TEXT || a == AFFINITY_BLOB; /* elsewhere '007' becomes 7 */
    case STORAGE_DATETIME:
    case STORAGE_TIMESTAMPTZ:
        /* What is declared as DATE or TIMESTAMP has NUMERIC; no date reads as a number. */
        return a == AFFINITY_TEXT || a == AFFINITY_BLOB || a == AFFINITY_NUMERIC;
    case STORAGE_BLOB:
        return true;
    }
    BUG("unknown storage");
}

static int bound(int rc, struct err *err)
{
    if (rc == SQLITE_OK)
        return 0;
    if (rc == SQLITE_TOOBIG)
        return err_set(err, ERR_PERMANENT,
                       "the value is larger than SQLite allows (SQLITE_LIMIT_LENGTH)");
    return err_set(err, rc == SQLITE_NOMEM ? ERR_TEMPORARY : ERR_PERMANENT, "%s",
                   sqlite3_errstr(rc));
}

/* What SQLite has for a float: NaN it has not. */
static enum reading real_stored(const struct value *v, enum nan_policy nan, struct stored *out,
                                struct err *err)
{
    out->kind = STORED_REAL;
    if (!pg_text_real(v, false, &out->real))
        return read_refuse("a floating-point number", err);
    if (!isnan(out->real))
        return READ_VALUE;
    if (nan == NAN_NULL)
        return READ_NULL;
    (void)err_set(err, ERR_PERMANENT, "the value is NaN, which SQLite cannot store");
    (void)err_hint(err, "--nan null stores NULL instead");
    return READ_FAILED;
}

/* "2026-11-22 10:20:30.5+00" and "0044-03-15 12:00:00+00 BC"; infinity stays. */
static enum reading timestamptz_stored(const struct value *v, char room[STORED_ROOM],
                                       struct stored *out, struct err *err)
{
    if (pg_text_is(v, "infinity") || pg_text_is(v, "-infinity"))
        return READ_VALUE;
    const char *zone = memchr(v->data, '+', v->size);
    size_t before = zone ? (size_t)(zone - v->data) + 3 : 0;
    if (!zone || v->size < before || v->size + 3 > STORED_ROOM || memcmp(zone, "+00", 3) != 0 ||
        (v->size > before && v->data[before] == ':'))
        return read_refuse("a timestamp with time zone in UTC", err);
    memcpy(room, v->data, before);
    room[before] = ':';
    room[before + 1] = room[before + 2] = '0';
    memcpy(room + before + 3, v->data + before, v->size - before);
    out->data = room;
    out->size = v->size + 3;
    return READ_VALUE;
}

static enum reading value_stored(enum storage s, const struct value *v, enum nan_policy nan,
                                 char room[STORED_ROOM], struct stored *out, struct err *err)
{
    bool b = false;
    enum reading reading;
    *out = (struct stored){.kind = STORED_TEXT, .data = v->data, .size = v->size};
    switch (s) {
    case STORAGE_BOOL:
        out->kind = STORED_INTEGER;
        reading = read_bool(v, &b, err);
        out->integer = b;
        return reading;
    case STORAGE_INTEGER:
        out->kind = STORED_INTEGER;
        return read_integer(v, &out->integer, err);
    case STORAGE_REAL:
        return real_stored(v, nan, out, err);
    case STORAGE_NUMERIC:
        out->kind = STORED_DECIMAL;
        return READ_VALUE;
    case STORAGE_TEXT:
    case STORAGE_DATETIME:
        return READ_VALUE;
    case STORAGE_TIMESTAMPTZ:
        return timestamptz_stored(v, room, out, err);
    case STORAGE_BLOB:
        out->kind = STORED_BYTES;
        return READ_VALUE;
    }
    BUG("unknown storage");
}

int sqlite_stored(enum storage s, const struct value *v, enum nan_policy nan,
                  char room[STORED_ROOM], struct stored *out, struct err *err)
{
    enum reading reading = read_kind(v, s == STORAGE_BLOB, err);
    bool chosen = reading == READ_VALUE;
    if (reading == READ_VALUE)
        reading = value_stored(s, v, nan, room, out, err);
    if (reading == READ_NULL)
        *out = (struct stored){.kind = STORED_NULL, .chosen = chosen};
    return reading == READ_FAILED ? -1 : 0;
}

int bind_value(sqlite3_stmt *stmt, int parameter, enum storage s, const struct value *v,
               enum nan_policy nan, struct err *err)
{
    char room[STORED_ROOM];
    struct stored to;
    if (sqlite_stored(s, v, nan, room, &to, err))
        return -1;
    switch (to.kind) {
    case STORED_NULL:
        return bound(sqlite3_bind_null(stmt, parameter), err);
    case STORED_INTEGER:
        return bound(sqlite3_bind_int64(stmt, parameter, to.integer), err);
    case STORED_REAL:
        return bound(sqlite3_bind_double(stmt, parameter, to.real), err);
    case STORED_DECIMAL:
    case STORED_TEXT:
        return bound(sqlite3_bind_text64(stmt, parameter, to.data, to.size,
                                         to.data == room ? SQLITE_TRANSIENT : SQLITE_STATIC,
                                         SQLITE_UTF8),
                     err);
    case STORED_BYTES:
        return bound(sqlite3_bind_blob64(stmt, parameter, to.data, to.size, SQLITE_STATIC), err);
    case STORED_NOTHING:
        break;
    }
    BUG("no value to bind");
}

/* ---- reading back ---- */

/* A double of a column whose numbers have fifteen digits at most, as those. */
static void set_numeric(struct stored *out, double real, char room[STORED_ROOM])
{
    int n = snprintf(room, STORED_ROOM, "%.*g", NUMERIC_EXACT_DIGITS, real);
    *out = (struct stored){.kind = STORED_DECIMAL, .data = room, .size = (size_t)n};
}

/* A float without a fraction is an integer where the column's affinity makes it one. */
static void set_integer(struct stored *out, enum storage s, int64_t n, char room[STORED_ROOM])
{
    double real = (double)n;
    *out = (struct stored){.kind = STORED_INTEGER, .integer = n};
    if (s == STORAGE_REAL && real < 0x1p63 && (int64_t)real == n)
        *out = (struct stored){.kind = STORED_REAL, .real = real};
    else if (s == STORAGE_NUMERIC)
        *out = (struct stored){.kind = STORED_DECIMAL,
                               .data = room,
                               .size = (size_t)snprintf(room, STORED_ROOM, "%" PRId64, n)};
}

void sqlite_read_back(sqlite3_stmt *stmt, int column, enum storage s, char room[STORED_ROOM],
                      struct stored *out)
{
    switch (sqlite3_column_type(stmt, column)) {
    case SQLITE_INTEGER:
        set_integer(out, s, sqlite3_column_int64(stmt, column), room);
        return;
    case SQLITE_FLOAT:
        *out = (struct stored){.kind = STORED_REAL, .real = sqlite3_column_double(stmt, column)};
        if (s == STORAGE_NUMERIC)
            set_numeric(out, out->real, room);
        return;
    case SQLITE_TEXT:
        *out = (struct stored){.kind = s == STORAGE_NUMERIC ? STORED_DECIMAL : STORED_TEXT,
                               .data = (const char *)sqlite3_column_text(stmt, column),
                               .size = (size_t)sqlite3_column_bytes(stmt, column)};
        if (s == STORAGE_BOOL || s == STORAGE_INTEGER)
            stored_set_digits(out, out->data, out->size);
        return;
    case SQLITE_BLOB:
        *out = (struct stored){.kind = STORED_BYTES,
                               .data = sqlite3_column_blob(stmt, column),
                               .size = (size_t)sqlite3_column_bytes(stmt, column)};
        return;
    default:
        *out = (struct stored){.kind = STORED_NULL};
        return;
    }
}
