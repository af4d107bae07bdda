/* apply-sqlite/sqlite_value.c: which storage a type has, what a target column keeps, and what
 * SQLite holds after a value was bound. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "apply-sqlite/sqlite_value.h"
#include "frames/pg_type.h"

#define LENGTH(a)     (sizeof(a) / sizeof *(a))
#define NUMERIC(p, s) (((p) << 16 | ((s)&0x7ff)) + 4)

static void each_type_has_its_storage(void **state)
{
    (void)state;
    static const struct {
        uint32_t oid;
        int32_t typmod;
        enum storage storage;
        const char *declaration;
    } table[] = {
        {PG_TYPE_BOOL, -1, STORAGE_BOOL, "INTEGER"},
        {PG_TYPE_INT2, -1, STORAGE_INTEGER, "INTEGER"},
        {PG_TYPE_INT4, -1, STORAGE_INTEGER, "INTEGER"},
        {PG_TYPE_INT8, -1, STORAGE_INTEGER, "INTEGER"},
        {PG_TYPE_OID, -1, STORAGE_INTEGER, "INTEGER"},
        {PG_TYPE_FLOAT4, -1, STORAGE_REAL, "REAL"},
        {PG_TYPE_FLOAT8, -1, STORAGE_REAL, "REAL"},
        {PG_TYPE_NUMERIC, -1, STORAGE_TEXT, "TEXT"},
        {PG_TYPE_NUMERIC, NUMERIC(10, 2), STORAGE_NUMERIC, "NUMERIC"},
        {PG_TYPE_NUMERIC, NUMERIC(15, 0), STORAGE_NUMERIC, "NUMERIC"},
        {PG_TYPE_NUMERIC, NUMERIC(15, 15), STORAGE_NUMERIC, "NUMERIC"},
        {PG_TYPE_NUMERIC, NUMERIC(16, 0), STORAGE_TEXT, "TEXT"},
        {PG_TYPE_NUMERIC, NUMERIC(16, 2), STORAGE_TEXT, "TEXT"},
        {PG_TYPE_NUMERIC, NUMERIC(1000, 0), STORAGE_TEXT, "TEXT"},
        /* PostgreSQL 15: more digits than the precision says */
        {PG_TYPE_NUMERIC, NUMERIC(5, -3), STORAGE_TEXT, "TEXT"},
        {PG_TYPE_NUMERIC, NUMERIC(2, -1000), STORAGE_TEXT, "TEXT"},
        {PG_TYPE_NUMERIC, NUMERIC(3, 5), STORAGE_TEXT, "TEXT"},
        {PG_TYPE_NUMERIC, NUMERIC(3, 1000), STORAGE_TEXT, "TEXT"},
        {PG_TYPE_TIMESTAMPTZ, -1, STORAGE_TIMESTAMPTZ, "TEXT"},
        {PG_TYPE_TIMESTAMPTZ, 3, STORAGE_TIMESTAMPTZ, "TEXT"},
        {PG_TYPE_TIMESTAMP, -1, STORAGE_DATETIME, "TEXT"},
        {PG_TYPE_DATE, -1, STORAGE_DATETIME, "TEXT"},
        {PG_TYPE_TIME, -1, STORAGE_DATETIME, "TEXT"},
        {PG_TYPE_TIMETZ, -1, STORAGE_TEXT, "TEXT"},
        {PG_TYPE_INTERVAL, -1, STORAGE_TEXT, "TEXT"},
        {PG_TYPE_BYTEA, -1, STORAGE_BLOB, "BLOB"},
        {PG_TYPE_TEXT, -1, STORAGE_TEXT, "TEXT"},
        {PG_TYPE_VARCHAR, 9, STORAGE_TEXT, "TEXT"},
        {PG_TYPE_BPCHAR, 9, STORAGE_TEXT, "TEXT"},
        {PG_TYPE_CHAR, -1, STORAGE_TEXT, "TEXT"},
        {PG_TYPE_NAME, -1, STORAGE_TEXT, "TEXT"},
        {PG_TYPE_UUID, -1, STORAGE_TEXT, "TEXT"},
        {PG_TYPE_JSON, -1, STORAGE_TEXT, "TEXT"},
        {PG_TYPE_JSONB, -1, STORAGE_TEXT, "TEXT"},
        {PG_TYPE_XML, -1, STORAGE_TEXT, "TEXT"},
        {PG_TYPE_MONEY, -1, STORAGE_TEXT, "TEXT"},
        {PG_TYPE_BIT, 3, STORAGE_TEXT, "TEXT"},
        {PG_TYPE_VARBIT, 3, STORAGE_TEXT, "TEXT"},
        {PG_TYPE_INET, -1, STORAGE_TEXT, "TEXT"},
        {PG_TYPE_CIDR, -1, STORAGE_TEXT, "TEXT"},
        {PG_TYPE_MACADDR, -1, STORAGE_TEXT, "TEXT"},
        {PG_TYPE_POINT, -1, STORAGE_TEXT, "TEXT"},
        {PG_TYPE_PG_LSN, -1, STORAGE_TEXT, "TEXT"},
        {PG_TYPE_TSVECTOR, -1, STORAGE_TEXT, "TEXT"},
        {PG_TYPE_XID, -1, STORAGE_TEXT, "TEXT"},
        {PG_TYPE_XID8, -1, STORAGE_TEXT, "TEXT"}, /* unsigned 64 bits */
        {1007, -1, STORAGE_TEXT, "TEXT"},         /* int4[] */
        {16500, -1, STORAGE_TEXT, "TEXT"},        /* an enum, a range, … */
    };
    for (size_t i = 0; i < LENGTH(table); i++) {
        const struct column c = {.base_type_oid = table[i].oid, .typmod = table[i].typmod};
        if (storage_of(&c) != table[i].storage)
            fail_msg("type %u(%d)", c.base_type_oid, c.typmod);
        assert_string_equal(storage_declaration(storage_of(&c)), table[i].declaration);
    }
}

/* A value as SQLite shows it after it went through a parameter of its own. */
static void check_stored(sqlite3 *db, const char *declared, enum storage s, const struct value *v,
                         enum nan_policy nan, const char *expected)
{
    char sql[200];
    sqlite3_stmt *insert, *select;
    struct err err = {0};
    (void)snprintf(sql, sizeof sql, "DROP TABLE IF EXISTS t; CREATE TABLE t (v %s)", declared);
    assert_int_equal(sqlite3_exec(db, sql, NULL, NULL, NULL), SQLITE_OK);
    assert_int_equal(sqlite3_prepare_v2(db, "INSERT INTO t VALUES (?1)", -1, &insert, NULL), 0);
    if (bind_value(insert, 1, s, v, nan, &err)) {
        if (expected[0] != '!' || !strstr(err.text, expected + 1))
            fail_msg("%s: \"%s\", not \"%s\"", declared, err.text, expected);
        assert_int_equal(err.kind, ERR_PERMANENT);
        (void)sqlite3_finalize(insert);
        return;
    }
    assert_int_equal(sqlite3_step(insert), SQLITE_DONE);
    (void)sqlite3_finalize(insert);
    assert_int_equal(
        sqlite3_prepare_v2(db, "SELECT v, typeof(v) || ' ' || quote(v) FROM t", -1, &select, NULL),
        0);
    assert_int_equal(sqlite3_step(select), SQLITE_ROW);
    char real[64];
    (void)snprintf(real, sizeof real, "real %.17g", sqlite3_column_double(select, 0));
    const char *is = sqlite3_column_type(select, 0) == SQLITE_FLOAT
                         ? real
                         : (const char *)sqlite3_column_text(select, 1);
    if (strcmp(is, expected) != 0)
        fail_msg("%s: '%.*s' became %s, not %s", declared, (int)v->size, v->data ? v->data : "", is,
                 expected);
    (void)sqlite3_finalize(select);
}

#define TEXT(s)  VALUE_TEXT, s, sizeof(s) - 1
#define BYTES(s) VALUE_BYTES, s, sizeof(s) - 1

static void values_are_stored_as_what_they_are(void **state)
{
    sqlite3 *db = *state;
    static const struct {
        enum storage storage;
        enum value_kind kind;
        const char *data;
        size_t size;
        const char *stored; /* "!part of the error" */
    } table[] = {
        {STORAGE_INTEGER, TEXT("0"), "integer 0"},
        {STORAGE_INTEGER, TEXT("-1"), "integer -1"},
        {STORAGE_INTEGER, TEXT("-0"), "integer 0"},
        {STORAGE_INTEGER, TEXT("007"), "integer 7"},
        {STORAGE_INTEGER, TEXT("9223372036854775807"), "integer 9223372036854775807"},
        {STORAGE_INTEGER, TEXT("-9223372036854775808"), "integer -9223372036854775808"},
        {STORAGE_INTEGER, TEXT("9223372036854775808"), "!64 bits"},
        {STORAGE_INTEGER, TEXT("-9223372036854775809"), "!64 bits"},
        {STORAGE_INTEGER, TEXT("18446744073709551616"), "!64 bits"},
        {STORAGE_INTEGER, TEXT("99999999999999999999999"), "!64 bits"},
        {STORAGE_INTEGER, TEXT("-"), "!not an integer"},
        {STORAGE_INTEGER, TEXT(""), "!not an integer"},
        {STORAGE_INTEGER, TEXT("+1"), "!not an integer"},
        {STORAGE_INTEGER, TEXT(" 1"), "!not an integer"},
        {STORAGE_INTEGER, TEXT("1 "), "!not an integer"},
        {STORAGE_INTEGER, TEXT("1.0"), "!not an integer"},
        {STORAGE_INTEGER, TEXT("1\0"), "!not an integer"},
        {STORAGE_INTEGER, TEXT("--1"), "!not an integer"},
        {STORAGE_INTEGER, BYTES("1"), "!not text"},
        {STORAGE_INTEGER, VALUE_NULL, NULL, 0, "null NULL"},
        {STORAGE_INTEGER, VALUE_UNCHANGED, NULL, 0, "!was not sent"},

        {STORAGE_BOOL, TEXT("t"), "integer 1"},
        {STORAGE_BOOL, TEXT("f"), "integer 0"},
        {STORAGE_BOOL, TEXT("true"), "!not a boolean"},
        {STORAGE_BOOL, TEXT("1"), "!not a boolean"},
        {STORAGE_BOOL, TEXT(""), "!not a boolean"},
        {STORAGE_BOOL, VALUE_NULL, NULL, 0, "null NULL"},

        {STORAGE_REAL, TEXT("0.1"), "real 0.10000000000000001"},
        {STORAGE_REAL, TEXT("1"), "real 1"},
        {STORAGE_REAL, TEXT("-0"), "real 0"}, /* SQLite keeps no sign of a zero */
        {STORAGE_REAL, TEXT("Infinity"), "real inf"},
        {STORAGE_REAL, TEXT("-Infinity"), "real -inf"},
        {STORAGE_REAL, TEXT("5e-324"), "real 4.9406564584124654e-324"},
        {STORAGE_REAL, TEXT("2.2250738585072014e-308"), "real 2.2250738585072014e-308"},
        {STORAGE_REAL, TEXT("1.7976931348623157e+308"), "real 1.7976931348623157e+308"},
        {STORAGE_REAL, TEXT("NaN"), "!NaN, which SQLite cannot store (--nan null"},
        {STORAGE_REAL, TEXT(""), "!not a floating-point number"},
        {STORAGE_REAL, TEXT("x"), "!not a floating-point number"},
        {STORAGE_REAL, TEXT("1x"), "!not a floating-point number"},
        {STORAGE_REAL, TEXT("1\0002"), "!not a floating-point number"},

        {STORAGE_NUMERIC, TEXT("9.50"), "real 9.5"},
        {STORAGE_NUMERIC, TEXT("10"), "integer 10"},
        {STORAGE_NUMERIC, TEXT("10.00"), "integer 10"},
        {STORAGE_NUMERIC, TEXT("-0.01"), "real -0.01"},
        {STORAGE_NUMERIC, TEXT("123456789012345"), "integer 123456789012345"},
        {STORAGE_NUMERIC, TEXT("0.123456789012345"), "real 0.123456789012345"},
        {STORAGE_NUMERIC, TEXT("12345678.9012345"), "real 12345678.9012345"},
        {STORAGE_NUMERIC, TEXT("NaN"), "text 'NaN'"},

        {STORAGE_TEXT, TEXT(""), "text ''"},
        {STORAGE_TEXT, TEXT("007"), "text '007'"},
        {STORAGE_TEXT, TEXT("t"), "text 't'"},
        {STORAGE_TEXT, TEXT("9.50"), "text '9.50'"},
        {STORAGE_TEXT, TEXT("12345678901234567890.10"), "text '12345678901234567890.10'"},
        {STORAGE_TEXT, TEXT("a\r\nb\t'\\"), "text 'a\r\nb\t''\\'"},
        {STORAGE_TEXT, TEXT("😀"), "text '😀'"},
        {STORAGE_TEXT, TEXT("NULL"), "text 'NULL'"},
        {STORAGE_TEXT, BYTES("a"), "!not text"},
        {STORAGE_TEXT, VALUE_NULL, NULL, 0, "null NULL"},
        {STORAGE_TEXT, VALUE_UNCHANGED, NULL, 0, "!was not sent"},

        {STORAGE_DATETIME, TEXT("0044-03-15 BC"), "text '0044-03-15 BC'"},
        {STORAGE_DATETIME, TEXT("24:00:00"), "text '24:00:00'"},
        {STORAGE_DATETIME, TEXT("-infinity"), "text '-infinity'"},

        {STORAGE_TIMESTAMPTZ, TEXT("2026-11-22 10:20:30+00"), "text '2026-11-22 10:20:30+00:00'"},
        {STORAGE_TIMESTAMPTZ, TEXT("2026-11-22 10:20:30.123456+00"),
         "text '2026-11-22 10:20:30.123456+00:00'"},
        {STORAGE_TIMESTAMPTZ, TEXT("0044-03-15 12:00:00+00 BC"),
         "text '0044-03-15 12:00:00+00:00 BC'"},
        {STORAGE_TIMESTAMPTZ, TEXT("294276-12-31 23:59:59.999999+00"),
         "text '294276-12-31 23:59:59.999999+00:00'"},
        {STORAGE_TIMESTAMPTZ, TEXT("infinity"), "text 'infinity'"},
        {STORAGE_TIMESTAMPTZ, TEXT("-infinity"), "text '-infinity'"},
        {STORAGE_TIMESTAMPTZ, TEXT("2026-11-22 10:20:30+02"), "!not a timestamp"},
        {STORAGE_TIMESTAMPTZ, TEXT("2026-11-22 10:20:30+00:30"), "!not a timestamp"},
        {STORAGE_TIMESTAMPTZ, TEXT("2026-11-22 10:20:30-05"), "!not a timestamp"},
        {STORAGE_TIMESTAMPTZ, TEXT("2026-11-22 10:20:30"), "!not a timestamp"},
        {STORAGE_TIMESTAMPTZ, TEXT("+0"), "!not a timestamp"},
        {STORAGE_TIMESTAMPTZ, TEXT(""), "!not a timestamp"},
        {STORAGE_TIMESTAMPTZ,
         TEXT("+00xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx"),
         "!not a timestamp"},

        {STORAGE_BLOB, BYTES(""), "blob X''"},
        {STORAGE_BLOB, BYTES("\0\xff'"), "blob X'00FF27'"},
        {STORAGE_BLOB, TEXT("\\x00"), "!not bytes"},
        {STORAGE_BLOB, VALUE_NULL, NULL, 0, "null NULL"},
    };
    for (size_t i = 0; i < LENGTH(table); i++) {
        const struct value v = {table[i].kind, (uint32_t)table[i].size, table[i].data};
        check_stored(db, storage_declaration(table[i].storage), table[i].storage, &v, NAN_STOP,
                     table[i].stored);
    }
    const struct value nan = {VALUE_TEXT, 3, "NaN"};
    check_stored(db, "REAL", STORAGE_REAL, &nan, NAN_NULL, "null NULL");
}

static void a_megabyte_comes_back(void **state)
{
    sqlite3 *db = *state;
    sqlite3_stmt *s;
    struct err err = {0};
    size_t size = 1 << 20;
    char *text = malloc(size);
    assert_non_null(text);
    for (size_t i = 0; i < size; i++)
        text[i] = (char)('a' + i % 26);
    const struct value v = {VALUE_TEXT, (uint32_t)size, text};
    assert_int_equal(sqlite3_prepare_v2(db, "SELECT ?1", -1, &s, NULL), SQLITE_OK);
    assert_int_equal(bind_value(s, 1, STORAGE_TEXT, &v, NAN_STOP, &err), 0);
    assert_int_equal(sqlite3_step(s), SQLITE_ROW);
    assert_int_equal(sqlite3_column_bytes(s, 0), size);
    assert_memory_equal(sqlite3_column_text(s, 0), text, size);
    (void)sqlite3_finalize(s);

    (void)sqlite3_limit(db, SQLITE_LIMIT_LENGTH, 1000);
    assert_int_equal(sqlite3_prepare_v2(db, "SELECT ?1", -1, &s, NULL), SQLITE_OK);
    assert_int_equal(bind_value(s, 1, STORAGE_TEXT, &v, NAN_STOP, &err), -1);
    assert_int_equal(err.kind, ERR_PERMANENT);
    assert_non_null(strstr(err.text, "larger than SQLite allows"));
    (void)sqlite3_finalize(s);
    free(text);
}

/* SQLite's documentation, "Determination Of Column Affinity". */
static void a_declared_type_has_its_affinity(void **state)
{
    sqlite3 *db = *state;
    static const struct {
        const char *declared;
        enum affinity affinity;
    } table[] = {
        {"INTEGER", AFFINITY_INTEGER},
        {"bigint", AFFINITY_INTEGER},
        {"CHARINT", AFFINITY_INTEGER},
        {"FLOATING POINT", AFFINITY_INTEGER},
        {"TEXT", AFFINITY_TEXT},
        {"varchar(20)", AFFINITY_TEXT},
        {"NCHAR(5)", AFFINITY_TEXT},
        {"CLOB", AFFINITY_TEXT},
        {"BLOB", AFFINITY_BLOB},
        {"", AFFINITY_BLOB},
        {"REAL", AFFINITY_REAL},
        {"DOUBLE PRECISION", AFFINITY_REAL},
        {"float", AFFINITY_REAL},
        {"NUMERIC", AFFINITY_NUMERIC},
        {"DECIMAL(10,5)", AFFINITY_NUMERIC},
        {"BOOLEAN", AFFINITY_NUMERIC},
        {"DATE", AFFINITY_NUMERIC},
        {"DATETIME", AFFINITY_NUMERIC},
        {"STRING", AFFINITY_NUMERIC},
        {"ANY", AFFINITY_NUMERIC},
        {"UUID", AFFINITY_NUMERIC},
        {"JSON", AFFINITY_NUMERIC},
    };
    /* What SQLite makes of the text 007 and of the number 7 says which affinity a column has. */
    static const char *const made[] = {
        [AFFINITY_INTEGER] = "integer 7|integer 7", [AFFINITY_TEXT] = "text '007'|text '7'",
        [AFFINITY_BLOB] = "text '007'|integer 7",   [AFFINITY_REAL] = "real 7.0|real 7.0",
        [AFFINITY_NUMERIC] = "integer 7|integer 7",
    };
    for (size_t i = 0; i < LENGTH(table); i++) {
        char sql[200];
        sqlite3_stmt *s;
        assert_int_equal(affinity_of(table[i].declared), table[i].affinity);
        (void)snprintf(sql, sizeof sql,
                       "DROP TABLE IF EXISTS t; CREATE TABLE t (v %s); INSERT INTO t VALUES "
                       "('007'), (7);",
                       table[i].declared);
        assert_int_equal(sqlite3_exec(db, sql, NULL, NULL, NULL), SQLITE_OK);
        assert_int_equal(sqlite3_prepare_v2(db,
                                            "SELECT group_concat(typeof(v) || ' ' || quote(v), "
                                            "'|') FROM t",
                                            -1, &s, NULL),
                         SQLITE_OK);
        assert_int_equal(sqlite3_step(s), SQLITE_ROW);
        assert_string_equal((const char *)sqlite3_column_text(s, 0), made[table[i].affinity]);
        (void)sqlite3_finalize(s);
    }
}

/* Where affinity_keeps() says so, the value reads back as it does from our own kind of column. */
static void a_kept_value_is_the_same_value(void **state)
{
    sqlite3 *db = *state;
    static const struct {
        enum storage storage;
        enum value_kind kind;
        const char *data;
        size_t size;
    } values[] = {
        {STORAGE_BOOL, TEXT("t")},
        {STORAGE_INTEGER, TEXT("9007199254740993")}, /* no double */
        {STORAGE_INTEGER, TEXT("-9223372036854775808")},
        {STORAGE_REAL, TEXT("0.30000000000000004")},
        {STORAGE_REAL, TEXT("1e+300")},
        {STORAGE_REAL, TEXT("3")},
        {STORAGE_NUMERIC, TEXT("9.50")},
        {STORAGE_NUMERIC, TEXT("123456789012345")},
        {STORAGE_TEXT, TEXT("007")},
        {STORAGE_TEXT, TEXT("1e3")},
        {STORAGE_DATETIME, TEXT("2026-11-22")},
        {STORAGE_DATETIME, TEXT("10:20:30")},
        {STORAGE_DATETIME, TEXT("infinity")},
        {STORAGE_TIMESTAMPTZ, TEXT("2026-11-22 10:20:30+00")},
        {STORAGE_BLOB, BYTES("007")},
    };
    static const char *const declared[] = {
        [AFFINITY_INTEGER] = "INTEGER", [AFFINITY_TEXT] = "TEXT",       [AFFINITY_BLOB] = "BLOB",
        [AFFINITY_REAL] = "REAL",       [AFFINITY_NUMERIC] = "NUMERIC",
    };
    static const enum storage storages[] = {STORAGE_BOOL,        STORAGE_INTEGER, STORAGE_REAL,
                                            STORAGE_NUMERIC,     STORAGE_TEXT,    STORAGE_DATETIME,
                                            STORAGE_TIMESTAMPTZ, STORAGE_BLOB};
    for (size_t i = 0; i < LENGTH(storages); i++) {
        /* Our own column always keeps. */
        assert_true(affinity_keeps(affinity_of(storage_declaration(storages[i])), storages[i]));
    }
    for (size_t i = 0; i < LENGTH(values); i++)
        for (size_t a = 0; a < LENGTH(declared); a++) {
            char sql[300];
            sqlite3_stmt *s;
            struct err err = {0};
            const char *own = storage_declaration(values[i].storage);
            const struct value v = {values[i].kind, (uint32_t)values[i].size, values[i].data};
            if (!affinity_keeps((enum affinity)a, values[i].storage))
                continue;
            (void)snprintf(sql, sizeof sql, "DROP TABLE IF EXISTS t; CREATE TABLE t (v %s, own %s)",
                           declared[a], own);
            assert_int_equal(sqlite3_exec(db, sql, NULL, NULL, NULL), SQLITE_OK);
            assert_int_equal(sqlite3_prepare_v2(db, "INSERT INTO t VALUES (?1, ?1)", -1, &s, NULL),
                             SQLITE_OK);
            assert_int_equal(bind_value(s, 1, values[i].storage, &v, NAN_STOP, &err), 0);
            assert_int_equal(sqlite3_step(s), SQLITE_DONE);
            (void)sqlite3_finalize(s);
            (void)snprintf(sql, sizeof sql, "SELECT CAST(v AS %s) = own, v, own FROM t", own);
            assert_int_equal(sqlite3_prepare_v2(db, sql, -1, &s, NULL), SQLITE_OK);
            assert_int_equal(sqlite3_step(s), SQLITE_ROW);
            if (!sqlite3_column_int(s, 0))
                fail_msg("%s of %s in a column that is %s: %s, not %s", values[i].data, own,
                         declared[a], (const char *)sqlite3_column_text(s, 1),
                         (const char *)sqlite3_column_text(s, 2));
            (void)sqlite3_finalize(s);
        }
    static const struct {
        enum affinity affinity;
        enum storage storage;
    } refused[] = {
        {AFFINITY_REAL, STORAGE_INTEGER},     {AFFINITY_TEXT, STORAGE_REAL},
        {AFFINITY_INTEGER, STORAGE_TEXT},     {AFFINITY_REAL, STORAGE_TEXT},
        {AFFINITY_NUMERIC, STORAGE_TEXT},     {AFFINITY_INTEGER, STORAGE_DATETIME},
        {AFFINITY_REAL, STORAGE_TIMESTAMPTZ},
    };
    for (size_t i = 0; i < LENGTH(refused); i++)
        assert_false(affinity_keeps(refused[i].affinity, refused[i].storage));
}

static int open_db(void **state)
{
    sqlite3 *db;
    int rc = sqlite3_open(":memory:", &db);
    *state = db;
    return rc;
}

static int close_db(void **state)
{
    return sqlite3_close(*state);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
#define TEST(name) cmocka_unit_test_setup_teardown(name, open_db, close_db)
        cmocka_unit_test(each_type_has_its_storage),
        TEST(values_are_stored_as_what_they_are),
        TEST(a_megabyte_comes_back),
        TEST(a_declared_type_has_its_affinity),
        TEST(a_kept_value_is_the_same_value),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
