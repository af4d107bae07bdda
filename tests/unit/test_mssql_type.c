/* apply-mssql/mssql_type.c: what is declared for each type, what is written for each value, what
 * stands for values that SQL Server does not have. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "apply-mssql/mssql_type.h"
#include "frames/pg_type.h"

#define LENGTH(a)     (sizeof(a) / sizeof *(a))
#define NUMERIC(p, s) (((p) << 16 | ((s)&0x7ff)) + 4)
#define BIN           " COLLATE Latin1_General_100_BIN2"

static void declared_as(const struct relation *rel, uint32_t column, const char *want)
{
    struct buf out = {0};
    const char *caveat;
    mssql_declare(NULL, rel, column, &out, &caveat);
    assert_string_equal(buf_cstr(&out), want);
    buf_free(&out);
}

static void each_type_has_its_column(void **state)
{
    (void)state;
    static const struct {
        uint32_t oid;
        int32_t typmod;
        enum source_form form;
        const char *declaration;
    } table[] = {
        {PG_TYPE_BOOL, -1, FORM_BOOL, "bit"},
        {PG_TYPE_INT2, -1, FORM_INTEGER, "smallint"},
        {PG_TYPE_INT4, -1, FORM_INTEGER, "int"},
        {PG_TYPE_INT8, -1, FORM_INTEGER, "bigint"},
        {PG_TYPE_OID, -1, FORM_INTEGER, "bigint"},
        {PG_TYPE_FLOAT4, -1, FORM_SINGLE, "real"},
        {PG_TYPE_FLOAT8, -1, FORM_DOUBLE, "float(53)"},
        {PG_TYPE_NUMERIC, -1, FORM_TEXT, "nvarchar(max)" BIN},
        {PG_TYPE_NUMERIC, NUMERIC(10, 2), FORM_DECIMAL, "decimal(10,2)"},
        {PG_TYPE_NUMERIC, NUMERIC(38, 38), FORM_DECIMAL, "decimal(38,38)"},
        {PG_TYPE_NUMERIC, NUMERIC(39, 0), FORM_TEXT, "nvarchar(max)" BIN},
        {PG_TYPE_NUMERIC, NUMERIC(2, -3), FORM_DECIMAL, "decimal(5,0)"},
        {PG_TYPE_NUMERIC, NUMERIC(2, -37), FORM_TEXT, "nvarchar(max)" BIN},
        {PG_TYPE_NUMERIC, NUMERIC(3, 5), FORM_DECIMAL, "decimal(5,5)"},
        {PG_TYPE_MONEY, -1, FORM_MONEY, "decimal(19,2)"},
        {PG_TYPE_BIT, 1, FORM_TEXT, "nvarchar(1)" BIN},
        {PG_TYPE_BIT, -1, FORM_TEXT, "nvarchar(max)" BIN},
        {PG_TYPE_VARBIT, 4000, FORM_TEXT, "nvarchar(4000)" BIN},
        {PG_TYPE_VARBIT, 4001, FORM_TEXT, "nvarchar(max)" BIN},
        {PG_TYPE_DATE, -1, FORM_DATE, "date"},
        {PG_TYPE_TIME, 3, FORM_TIME, "time(6)"},
        {PG_TYPE_TIMESTAMP, 3, FORM_TIMESTAMP, "datetime2(6)"},
        {PG_TYPE_TIMESTAMPTZ, -1, FORM_TIMESTAMPTZ, "datetimeoffset(6)"},
        {PG_TYPE_TIMETZ, -1, FORM_TEXT, "nvarchar(32)" BIN},
        {PG_TYPE_INTERVAL, -1, FORM_TEXT, "nvarchar(100)" BIN},
        {PG_TYPE_TEXT, -1, FORM_TEXT, "nvarchar(max)" BIN},
        {PG_TYPE_VARCHAR, -1, FORM_TEXT, "nvarchar(max)" BIN},
        {PG_TYPE_VARCHAR, 4 + 20, FORM_TEXT, "nvarchar(40)" BIN}, /* of emoji, two units each */
        {PG_TYPE_VARCHAR, 4 + 2000, FORM_TEXT, "nvarchar(4000)" BIN},
        {PG_TYPE_VARCHAR, 4 + 2001, FORM_TEXT, "nvarchar(max)" BIN},
        {PG_TYPE_BPCHAR, 4 + 3, FORM_TEXT, "nvarchar(6)" BIN},
        {PG_TYPE_NAME, -1, FORM_TEXT, "nvarchar(128)" BIN},
        {PG_TYPE_UUID, -1, FORM_UUID, "uniqueidentifier"},
        {PG_TYPE_INET, -1, FORM_TEXT, "nvarchar(43)" BIN},
        {PG_TYPE_JSONB, -1, FORM_TEXT, "nvarchar(max)" BIN},
        {PG_TYPE_BYTEA, -1, FORM_BYTES, "varbinary(max)"},
        {100000, -1, FORM_TEXT, "nvarchar(max)" BIN}, /* an enum, an array, … */
    };
    for (size_t i = 0; i < LENGTH(table); i++) {
        struct column c = {.name = "c",
                           .type_oid = table[i].oid,
                           .base_type_oid = table[i].oid,
                           .typmod = table[i].typmod};
        const struct relation rel = {
            .replica_identity = REPLICA_IDENTITY_DEFAULT, .ncolumns = 1, .columns = &c};
        assert_int_equal(mssql_form_of(&c), table[i].form);
        declared_as(&rel, 0, table[i].declaration);
    }
}

/* 900 bytes where they hold all that the types can, 1700 otherwise. */
static void keys_fit_into_an_index(void **state)
{
    (void)state;
    static const struct {
        struct column columns[3];
        const char *declarations[3];
        bool small;
    } table[] = {
        {{{.base_type_oid = PG_TYPE_INT8}}, {"bigint"}, true},
        {{{.base_type_oid = PG_TYPE_TEXT}}, {"nvarchar(850)" BIN}, false},
        {{{.base_type_oid = PG_TYPE_VARCHAR, .typmod = 4 + 225}}, {"nvarchar(450)" BIN}, true},
        {{{.base_type_oid = PG_TYPE_VARCHAR, .typmod = 4 + 226}}, {"nvarchar(452)" BIN}, false},
        {{{.base_type_oid = PG_TYPE_VARCHAR, .typmod = 4 + 2000}}, {"nvarchar(850)" BIN}, false},
        {{{.base_type_oid = PG_TYPE_BYTEA}}, {"varbinary(1700)"}, false},
        {{{.base_type_oid = PG_TYPE_TEXT}, {.base_type_oid = PG_TYPE_TEXT}},
         {"nvarchar(425)" BIN, "nvarchar(425)" BIN},
         false},
        {{{.base_type_oid = PG_TYPE_TEXT},
          {.base_type_oid = PG_TYPE_VARCHAR, .typmod = 4 + 20},
          {.base_type_oid = PG_TYPE_INT8}},
         {"nvarchar(805)" BIN, "nvarchar(40)" BIN, "bigint"},
         false},
        {{{.base_type_oid = PG_TYPE_BYTEA}, {.base_type_oid = PG_TYPE_UUID}},
         {"varbinary(1684)", "uniqueidentifier"},
         false},
    };
    for (size_t i = 0; i < LENGTH(table); i++) {
        struct column columns[3];
        uint32_t pk[] = {0, 1, 2}, n = 0;
        memcpy(columns, table[i].columns, sizeof columns);
        for (; n < 3 && table[i].declarations[n]; n++) {
            columns[n].name = "c";
            columns[n].key = true;
        }
        struct relation rel = {.replica_identity = REPLICA_IDENTITY_DEFAULT,
                               .ncolumns = n,
                               .columns = columns,
                               .npk = n,
                               .pk = pk};
        for (uint32_t c = 0; c < n; c++)
            declared_as(&rel, c, table[i].declarations[c]);
        assert_int_equal(mssql_key_is_small(&rel), table[i].small);
    }
}

/* ---- values ---- */

static const struct value_policy stop_all = {"SQL Server", NAN_STOP, BEYOND_STOP, BEYOND_STOP};
static const struct value_policy null_all = {"SQL Server", NAN_NULL, BEYOND_NULL, BEYOND_NULL};
static const struct value_policy extremes = {"SQL Server", NAN_NULL, BEYOND_EXTREME,
                                             BEYOND_EXTREME};

static struct value text_value(const char *text)
{
    return (struct value){.kind = VALUE_TEXT, .size = (uint32_t)strlen(text), .data = text};
}

/* What is written, or "!" and what is wrong. */
static const char *written(enum mssql_rows rows, enum source_form form, struct value v,
                           const struct value_policy *policy, char *out, size_t size)
{
    struct err err = {0};
    struct buf b = {0};
    uint64_t units = 0;
    if (mssql_append_value(&b, rows, form, &v, policy, &units, &err)) {
        assert_int_equal(err.kind, ERR_PERMANENT);
        (void)snprintf(out, size, "!%.200s", err.text);
    } else {
        (void)snprintf(out, size, "%s", buf_cstr(&b));
    }
    buf_free(&b);
    return out;
}

static void values_are_written_as_what_they_are(void **state)
{
    (void)state;
    static const struct {
        enum source_form form;
        const char *text, *json, *literal;
    } table[] = {
        {FORM_BOOL, "t", "1", "1"},
        {FORM_BOOL, "f", "0", "0"},
        {FORM_BOOL, "1", "!", "!"},
        {FORM_INTEGER, "0", "0", "0"},
        {FORM_INTEGER, "-9223372036854775808", "-9223372036854775808", "-9223372036854775808"},
        {FORM_INTEGER, "9223372036854775808", "!", "!"},
        {FORM_INTEGER, "1,2", "!", "!"},
        {FORM_INTEGER, "007", "7", "7"}, /* no number of JSON */
        {FORM_INTEGER, "-007", "-7", "-7"},
        {FORM_INTEGER, "+5", "!", "!"},
        {FORM_SINGLE, "1.5", "\"1.5000000000000000e+00\"", "N'1.5000000000000000e+00'"},
        {FORM_SINGLE, "0.1", "\"1.0000000149011612e-01\"", "N'1.0000000149011612e-01'"},
        {FORM_DOUBLE, "0.1", "\"1.0000000000000001e-01\"", "N'1.0000000000000001e-01'"},
        {FORM_DOUBLE, "5e-324", "\"4.9406564584124654e-324\"", "N'4.9406564584124654e-324'"},
        {FORM_DOUBLE, "NaN", "!", "!"},
        {FORM_DOUBLE, "-Infinity", "!", "!"},
        {FORM_DOUBLE, "1x", "!", "!"},
        {FORM_DECIMAL, "12345678901234567890.10", "\"12345678901234567890.10\"",
         "N'12345678901234567890.10'"},
        {FORM_DECIMAL, "NaN", "!", "!"},
        {FORM_DECIMAL, "1e5", "!", "!"},
        {FORM_DECIMAL, "", "!", "!"},
        {FORM_MONEY, "-$1,234.56", "\"-1234.56\"", "N'-1234.56'"},
        {FORM_DECIMAL, "1.2.3", "!", "!"},
        {FORM_MONEY, "$", "!", "!"},
        {FORM_MONEY, "$1.2.3", "!", "!"},
        {FORM_DATE, "2024-02-29", "\"2024-02-29\"", "N'2024-02-29'"},
        {FORM_DATE, "0001-01-01", "\"0001-01-01\"", "N'0001-01-01'"},
        {FORM_DATE, "10000-01-01", "!", "!"},
        {FORM_DATE, "0044-03-15 BC", "!", "!"},
        {FORM_DATE, "infinity", "!", "!"},
        {FORM_DATE, "2024-02-29 12:00:00", "!", "!"},
        {FORM_DATE, "2024-02", "!", "!"},
        {FORM_TIME, "12:34:56.789012", "\"12:34:56.789012\"", "N'12:34:56.789012'"},
        {FORM_TIME, "24:00:00", "!", "!"},
        {FORM_TIMESTAMP, "2024-02-29 12:00:00.5", "\"2024-02-29 12:00:00.5\"",
         "N'2024-02-29 12:00:00.5'"},
        {FORM_TIMESTAMPTZ, "2024-02-29 12:00:00.5+00", "\"2024-02-29 12:00:00.5 +00:00\"",
         "N'2024-02-29 12:00:00.5 +00:00'"},
        {FORM_TIMESTAMPTZ, "2024-02-29 12:00:00+01", "!", "!"},
        {FORM_TIMESTAMPTZ, "0044-03-15 12:00:00+00 BC", "!", "!"},
        {FORM_UUID, "a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11",
         "\"a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11\"", "N'a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11'"},
        {FORM_TEXT, "", "\"\"", "N''"},
        {FORM_TEXT, "it's \\ \"é😀\"", "\"it's \\\\ \\\"é😀\\\"\"", "N'it''s \\ \"é😀\"'"},
        {FORM_TEXT, "\r\n\t\x01\x7f", "\"\\u000d\\u000a\\u0009\\u0001\x7f\"", "N'\r\n\t\x01\x7f'"},
        {FORM_TEXT, "\xff", "!", "!"},             /* what SQL_ASCII may send */
        {FORM_TEXT, "a\xc3", "!", "!"},            /* cut */
        {FORM_TEXT, "\xc0\xaf", "!", "!"},         /* too long a form */
        {FORM_TEXT, "\xed\xa0\x80", "!", "!"},     /* a surrogate */
        {FORM_TEXT, "\xf4\x90\x80\x80", "!", "!"}, /* beyond U+10FFFF */
        {FORM_TEXT, "\xf4\x8f\xbf\xbf\xef\xbf\xbf", "\"\xf4\x8f\xbf\xbf\xef\xbf\xbf\"",
         "N'\xf4\x8f\xbf\xbf\xef\xbf\xbf'"},
        {FORM_BYTES, "\\x00", "!", "!"},
    };
    for (size_t i = 0; i < LENGTH(table); i++)
        for (int rows = ROWS_JSON; rows <= ROWS_VALUES; rows++) {
            char got[256];
            const char *want = rows == ROWS_JSON ? table[i].json : table[i].literal;
            written((enum mssql_rows)rows, table[i].form, text_value(table[i].text), &stop_all, got,
                    sizeof got);
            if (*want == '!' ? *got != '!' : strcmp(got, want) != 0)
                fail_msg("form %d, \"%s\": %s", table[i].form, table[i].text, got);
        }
}

/* Whoever writes frames must not write SQL, nor rows that are not there: every form is checked from
 * its first byte to its last. */
static void what_is_not_of_its_form_is_refused(void **state)
{
    (void)state;
    static const struct {
        enum source_form form;
        const char *text;
    } table[] = {
        {FORM_UUID, ""},
        {FORM_UUID, "x'); DROP TABLE t; --"},
        {FORM_UUID, "x\"],[\"2"},
        {FORM_UUID, "a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a1"},
        {FORM_UUID, "a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11'"},
        {FORM_UUID, "a0eebc999-c0b-4ef8-bb6d-6bb9bd380a11"},
        {FORM_UUID, "g0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11"},
        {FORM_TIME, ""},
        {FORM_TIME, "12:34"},
        {FORM_TIME, "12:34:56."},
        {FORM_TIME, "12:34:56.1234567"},
        {FORM_TIME, "12:34:56'); DROP TABLE t; --"},
        {FORM_TIME, "12:34:56+00"},
        {FORM_DATE, ""},
        {FORM_DATE, "2024-02-2'"},
        {FORM_DATE, "2024-02-290"},
        {FORM_DATE, "2024\"],[\"2"},
        {FORM_DATE, "10000-'"},
        {FORM_TIMESTAMP, "2024-01-01"},
        {FORM_TIMESTAMP, "2024-01-01'); DROP TABLE t; --"},
        {FORM_TIMESTAMP, "2024-01-01 12:00:00'"},
        {FORM_TIMESTAMP, "2024-01-01 12:00:00.5\"],[\"2"},
        {FORM_TIMESTAMP, "2024-01-01 12:00:00+00"},
        {FORM_TIMESTAMPTZ, "2024-01-01'); DROP TABLE t; --+00"},
        {FORM_TIMESTAMPTZ, "2024-01-01 12:00:00"},
        {FORM_TIMESTAMPTZ, "2024-01-01+00"},
        {FORM_TIMESTAMPTZ, "2024-01-01 12:00:00+00:"},
        {FORM_TIMESTAMPTZ, "2024-01-01 12:00:00+00'"},
        {FORM_DECIMAL, "1'"},
        {FORM_MONEY, "$1'"},
        {FORM_DOUBLE, "1'"},
    };
    for (size_t i = 0; i < LENGTH(table); i++)
        for (int rows = ROWS_JSON; rows <= ROWS_VALUES; rows++) {
            char got[256];
            written((enum mssql_rows)rows, table[i].form, text_value(table[i].text), &extremes, got,
                    sizeof got);
            if (strncmp(got, "!the value is not a", 19) != 0)
                fail_msg("form %d, \"%s\": %s", table[i].form, table[i].text, got);
        }
}

static void other_kinds_of_values(void **state)
{
    (void)state;
    char got[256];
    const struct value null = {.kind = VALUE_NULL}, unchanged = {.kind = VALUE_UNCHANGED},
                       bytes = {.kind = VALUE_BYTES, .size = 3, .data = "a\0b"},
                       none = {.kind = VALUE_BYTES, .size = 0, .data = ""};
    for (enum source_form form = FORM_BOOL; form <= FORM_BYTES; form++) {
        assert_string_equal(written(ROWS_JSON, form, null, &stop_all, got, sizeof got), "null");
        assert_non_null(
            strstr(written(ROWS_VALUES, form, null, &stop_all, got, sizeof got), "NULL"));
        assert_non_null(
            strstr(written(ROWS_JSON, form, unchanged, &stop_all, got, sizeof got), "not sent"));
        if (form != FORM_BYTES)
            assert_int_equal(*written(ROWS_JSON, form, bytes, &stop_all, got, sizeof got), '!');
    }
    assert_string_equal(written(ROWS_JSON, FORM_BYTES, bytes, &stop_all, got, sizeof got),
                        "\"610062\"");
    /* All of them NULL: the column has a type all the same, which can become that of the target. */
    assert_string_equal(written(ROWS_VALUES, FORM_TIMESTAMP, null, &stop_all, got, sizeof got),
                        "CONVERT(nvarchar(1), NULL)");
    assert_string_equal(written(ROWS_VALUES, FORM_BYTES, null, &stop_all, got, sizeof got),
                        "CONVERT(varbinary(1), NULL)");
    assert_string_equal(written(ROWS_VALUES, FORM_BYTES, none, &stop_all, got, sizeof got), "0x");
}

static void units_are_those_of_utf_16(void **state)
{
    (void)state;
    struct err err = {0};
    struct buf out = {0};
    uint64_t units = 0;
    const struct value v = text_value("aé日😀");
    assert_int_equal(mssql_append_value(&out, ROWS_JSON, FORM_TEXT, &v, &stop_all, &units, &err),
                     0);
    assert_int_equal(units, 5);
    buf_free(&out);
}

static void policies(void **state)
{
    (void)state;
    static const struct {
        enum source_form form;
        const char *text, *advice, *extreme;
    } table[] = {
        {FORM_SINGLE, "NaN", "--nan", "null"},
        {FORM_DOUBLE, "NaN", "--nan", "null"},
        {FORM_DECIMAL, "NaN", "--nan", "null"},
        {FORM_SINGLE, "Infinity", "--infinity", "\"3.4028234663852886e+38\""},
        {FORM_DOUBLE, "-Infinity", "--infinity", "\"-1.7976931348623157e+308\""},
        {FORM_DATE, "infinity", "--infinity", "\"9999-12-31\""},
        {FORM_DATE, "-infinity", "--infinity", "\"0001-01-01\""},
        {FORM_TIMESTAMP, "infinity", "--infinity", "\"9999-12-31 23:59:59.999999\""},
        {FORM_TIMESTAMPTZ, "-infinity", "--infinity", "\"0001-01-01 00:00:00 +00:00\""},
        {FORM_DATE, "10000-01-01", "--date-range", "\"9999-12-31\""},
        {FORM_DATE, "0044-03-15 BC", "--date-range", "\"0001-01-01\""},
        {FORM_TIMESTAMPTZ, "0044-03-15 12:00:00+00 BC", "--date-range",
         "\"0001-01-01 00:00:00 +00:00\""},
        {FORM_TIME, "24:00:00", "--date-range", "\"23:59:59.999999\""},
    };
    for (size_t i = 0; i < LENGTH(table); i++) {
        char got[256];
        const struct value v = text_value(table[i].text);
        written(ROWS_JSON, table[i].form, v, &stop_all, got, sizeof got);
        if (*got != '!' || !strstr(got, table[i].advice) || !strstr(got, "SQL Server"))
            fail_msg("\"%s\": %s", table[i].text, got);
        assert_string_equal(written(ROWS_JSON, table[i].form, v, &null_all, got, sizeof got),
                            "null");
        assert_string_equal(written(ROWS_JSON, table[i].form, v, &extremes, got, sizeof got),
                            table[i].extreme);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_type_has_its_column),
        cmocka_unit_test(keys_fit_into_an_index),
        cmocka_unit_test(values_are_written_as_what_they_are),
        cmocka_unit_test(what_is_not_of_its_form_is_refused),
        cmocka_unit_test(other_kinds_of_values),
        cmocka_unit_test(units_are_those_of_utf_16),
        cmocka_unit_test(policies),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
