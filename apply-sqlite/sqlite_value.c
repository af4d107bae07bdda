#include "sqlite_value.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "sql/source_value.h"

#define NUMERIC_EXACT_DIGITS                                                                       \
    15 /* DBL_DIG: decimal digits that survive the way into a double and back */
#define MAX_TIMESTAMP_TEXT 64

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

static int bind_real(sqlite3_stmt *stmt, int parameter, const struct value *v, enum nan_policy nan,
                     struct err *err)
{
    double d;
    if (!pg_text_real(v, false, &d))
        return read_refuse("a floating-point number", err);
    if (!isnan(d))
        return bound(sqlite3_bind_double(stmt, parameter, d), err);
    if (nan == NAN_NULL)
        return bound(sqlite3_bind_null(stmt, parameter), err);
    (void)err_set(err, ERR_PERMANENT, "the value is NaN, which SQLite cannot store");
    return err_hint(err, "--nan null stores NULL instead");
}

static int bind_text(sqlite3_stmt *stmt, int parameter, const char *data, size_t size,
                     sqlite3_destructor_type lifetime, struct err *err)
{
    return bound(sqlite3_bind_text64(stmt, parameter, data, size, lifetime, SQLITE_UTF8), err);
}

/* "2026-11-22 10:20:30.5+00" and "0044-03-15 12:00:00+00 BC"; infinity stays. */
static int bind_timestamptz(sqlite3_stmt *stmt, int parameter, const struct value *v,
                            struct err *err)
{
    char text[MAX_TIMESTAMP_TEXT];
    if (pg_text_is(v, "infinity") || pg_text_is(v, "-infinity"))
        return bind_text(stmt, parameter, v->data, v->size, SQLITE_STATIC, err);
    const char *zone = memchr(v->data, '+', v->size);
    size_t before = zone ? (size_t)(zone - v->data) + 3 : 0;
    if (!zone || v->size < before || v->size + 3 > sizeof text || memcmp(zone, "+00", 3) != 0 ||
        (v->size > before && v->data[before] == ':'))
        return read_refuse("a timestamp with time zone in UTC", err);
    memcpy(text, v->data, before);
    memcpy(text + before, ":00", 3);
    memcpy(text + before + 3, v->data + before, v->size - before);
    return bind_text(stmt, parameter, text, v->size + 3, SQLITE_TRANSIENT, err);
}

int bind_value(sqlite3_stmt *stmt, int parameter, enum storage s, const struct value *v,
               enum nan_policy nan, struct err *err)
{
    bool b;
    int64_t n;
    switch (read_kind(v, s == STORAGE_BLOB, err)) {
    case READ_FAILED:
        return -1;
    case READ_NULL:
        return bound(sqlite3_bind_null(stmt, parameter), err);
    default:
        break;
    }
    switch (s) {
    case STORAGE_BOOL:
        return read_bool(v, &b, err) == READ_VALUE
                   ? bound(sqlite3_bind_int(stmt, parameter, b), err)
                   : -1;
    case STORAGE_INTEGER:
        return read_integer(v, &n, err) == READ_VALUE
                   ? bound(sqlite3_bind_int64(stmt, parameter, n), err)
                   : -1;
    case STORAGE_REAL:
        return bind_real(stmt, parameter, v, nan, err);
    case STORAGE_NUMERIC:
    case STORAGE_TEXT:
    case STORAGE_DATETIME:
        return bind_text(stmt, parameter, v->data, v->size, SQLITE_STATIC, err);
    case STORAGE_TIMESTAMPTZ:
        return bind_timestamptz(stmt, parameter, v, err);
    case STORAGE_BLOB:
        return bound(sqlite3_bind_blob64(stmt, parameter, v->data, v->size, SQLITE_STATIC), err);
    }
    BUG("unknown storage");
}
