/* apply-mssql/mssql_column.c: which columns that are there keep what comes, which are refused by
 * name, and as what values are declared. */
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
#define BIN2          "Latin1_General_100_BIN2"
#define CI            "SQL_Latin1_General_CP1_CI_AS"

struct row {
    uint32_t oid;
    int32_t typmod;
    struct described_column there;
    const char *declared; /* NULL: refused */
};

#define COLUMN(t, coll, n, p, s)                                                                   \
    {                                                                                              \
        .name = "c", .type = (t), .collation = (coll), .extra = "", .length = (n),                 \
        .precision = (p), .scale = (s)                                                             \
    }
#define PLAIN(type)         COLUMN(type, "", 0, 0, 0)
#define NUMBER(type, p, s)  COLUMN(type, "", 0, p, s)
#define TEXT(type, n, coll) COLUMN(type, coll, n, 0, 0)

static int check(const struct row *row, bool key, enum source_form *form, struct err *err)
{
    const struct column c = {
        .name = "c", .base_type_oid = row->oid, .typmod = row->typmod, .type_name = "the type"};
    struct fit fit = {0};
    int rc = mssql_fit(NULL, &c, &row->there, key, &fit, err);
    *form = (enum source_form)fit.form;
    assert_int_equal(fit.alone, rc == 0 && row->there.autonumber);
    return rc;
}

static void columns_that_are_there(void **state)
{
    (void)state;
    static const struct row table[] = {
        {PG_TYPE_BOOL, -1, PLAIN("bit"), "bit"},
        {PG_TYPE_BOOL, -1, PLAIN("tinyint"), "tinyint"},
        {PG_TYPE_INT2, -1, PLAIN("smallint"), "smallint"},
        {PG_TYPE_INT2, -1, PLAIN("tinyint"), NULL}, /* has no sign */
        {PG_TYPE_INT4, -1, PLAIN("bigint"), "bigint"},
        {PG_TYPE_INT4, -1, PLAIN("smallint"), NULL},
        {PG_TYPE_INT4, -1, NUMBER("decimal", 10, 0), "decimal(10,0)"},
        {PG_TYPE_INT4, -1, NUMBER("decimal", 10, 1), NULL},
        {PG_TYPE_INT8, -1, PLAIN("int"), NULL},
        {PG_TYPE_OID, -1, PLAIN("int"), NULL},
        {PG_TYPE_NUMERIC, NUMERIC(10, 2), NUMBER("decimal", 10, 2), "decimal(10,2)"},
        {PG_TYPE_NUMERIC, NUMERIC(10, 2), NUMBER("numeric", 12, 4), "numeric(12,4)"},
        {PG_TYPE_NUMERIC, NUMERIC(10, 2), NUMBER("decimal", 10, 1), NULL}, /* would be rounded */
        {PG_TYPE_NUMERIC, NUMERIC(10, 2), NUMBER("decimal", 10, 3), NULL},
        {PG_TYPE_NUMERIC, -1, NUMBER("decimal", 38, 10), NULL},
        {PG_TYPE_NUMERIC, NUMERIC(10, 2), PLAIN("money"), NULL},
        {PG_TYPE_MONEY, -1, PLAIN("money"), "money"},
        {PG_TYPE_FLOAT4, -1, PLAIN("real"), "real"},
        {PG_TYPE_FLOAT4, -1, PLAIN("float"), "float(53)"},
        {PG_TYPE_FLOAT8, -1, PLAIN("real"), NULL},
        {PG_TYPE_DATE, -1, PLAIN("date"), "date"},
        {PG_TYPE_DATE, -1, NUMBER("datetime2", 27, 7), NULL},
        {PG_TYPE_TIMESTAMP, -1, NUMBER("datetime2", 27, 7), "datetime2(7)"},
        {PG_TYPE_TIMESTAMP, 3, NUMBER("datetime2", 23, 3), "datetime2(3)"},
        {PG_TYPE_TIMESTAMP, -1, NUMBER("datetime2", 23, 3), NULL},
        {PG_TYPE_TIMESTAMP, -1, NUMBER("datetime", 23, 3), NULL},
        {PG_TYPE_TIMESTAMPTZ, -1, NUMBER("datetimeoffset", 34, 7), "datetimeoffset(7)"},
        {PG_TYPE_TIMESTAMPTZ, -1, NUMBER("datetime2", 27, 7), NULL},
        {PG_TYPE_TIME, -1, NUMBER("time", 15, 6), "time(6)"},
        {PG_TYPE_UUID, -1, PLAIN("uniqueidentifier"), "uniqueidentifier"},
        {PG_TYPE_UUID, -1, TEXT("nvarchar", 72, CI), "nvarchar(max)"},
        {PG_TYPE_TEXT, -1, PLAIN("uniqueidentifier"), NULL},
        {PG_TYPE_TEXT, -1, TEXT("nvarchar", -1, CI), "nvarchar(max)"},
        {PG_TYPE_VARCHAR, 4 + 9, TEXT("nvarchar", 18, BIN2), "nvarchar(max)"},
        {PG_TYPE_VARCHAR, 4 + 9, TEXT("varchar", 9, BIN2), NULL}, /* a code page */
        {PG_TYPE_BPCHAR, 4 + 9, TEXT("nchar", 18, BIN2), NULL},
        {PG_TYPE_TEXT, -1, TEXT("ntext", 16, BIN2), NULL},
        {PG_TYPE_NUMERIC, -1, TEXT("nvarchar", -1, CI), "nvarchar(max)"},
        {PG_TYPE_JSON, -1, TEXT("xml", -1, ""), NULL},
        {PG_TYPE_BYTEA, -1, TEXT("varbinary", -1, ""), "varchar(max)"},
        {PG_TYPE_BYTEA, -1, TEXT("nvarchar", -1, BIN2), NULL},
        {PG_TYPE_BYTEA, -1, TEXT("binary", 8, ""), NULL}, /* is filled up */
        {PG_TYPE_TEXT, -1, PLAIN("sql_variant"), NULL},
    };
    for (size_t i = 0; i < LENGTH(table); i++) {
        struct err err = {0};
        struct buf declared = {0};
        enum source_form form;
        int rc = check(&table[i], false, &form, &err);
        if (rc) {
            if (table[i].declared || !strstr(err.text, "column c ") ||
                !strstr(err.text, table[i].there.type) || err.kind != ERR_PERMANENT)
                fail_msg("row %zu: %s", i, err.text);
            continue;
        }
        mssql_column_declare(&table[i].there, ROWS_JSON, form, false, &declared);
        if (!table[i].declared || strcmp(buf_cstr(&declared), table[i].declared) != 0)
            fail_msg("row %zu: kept as %s", i, buf_cstr(&declared));
        buf_free(&declared);
    }
}

static void keys_compare_exactly(void **state)
{
    (void)state;
    struct row row = {PG_TYPE_TEXT, -1, TEXT("nvarchar", 900, CI), NULL};
    struct err err = {0};
    struct buf declared = {0};
    enum source_form form;
    assert_int_equal(check(&row, true, &form, &err), -1);
    assert_non_null(strstr(err.text, CI));
    assert_non_null(strstr(err.text, BIN2));
    row.there.collation = BIN2;
    assert_int_equal(check(&row, true, &form, &err), 0);
    /* An index is used for what is not longer than a key can be. */
    mssql_column_declare(&row.there, ROWS_JSON, form, true, &declared);
    assert_string_equal(buf_cstr(&declared), "nvarchar(4000)");
    buf_free(&declared);
}

static void columns_with_a_will_of_their_own(void **state)
{
    (void)state;
    struct row row = {PG_TYPE_INT4, -1, PLAIN("int"), NULL};
    struct err err = {0};
    enum source_form form;
    row.there.generated = true;
    row.there.extra = "computed";
    assert_int_equal(check(&row, false, &form, &err), -1);
    assert_non_null(strstr(err.text, "computed"));
    row.there.extra = "";
    assert_int_equal(check(&row, false, &form, &err), -1);
    row.there.generated = false;
    row.there.autonumber = true;
    assert_int_equal(check(&row, false, &form, &err), 0);
}

static void room(void **state)
{
    (void)state;
    static const struct {
        uint32_t oid;
        int32_t typmod;
        struct described_column there;
        bool holds;
    } table[] = {
        {PG_TYPE_VARCHAR, 4 + 10, TEXT("nvarchar", 40, BIN2), true},
        {PG_TYPE_VARCHAR, 4 + 11, TEXT("nvarchar", 40, BIN2), false},
        {PG_TYPE_TEXT, -1, TEXT("nvarchar", 40, BIN2), false},
        {PG_TYPE_TEXT, -1, TEXT("nvarchar", -1, BIN2), true},
        {PG_TYPE_BYTEA, -1, TEXT("varbinary", 40, ""), false},
        {PG_TYPE_INT8, -1, PLAIN("bigint"), true},
    };
    for (size_t i = 0; i < LENGTH(table); i++) {
        const struct column c = {
            .name = "c", .base_type_oid = table[i].oid, .typmod = table[i].typmod};
        struct fit fit = {0};
        struct err err = {0};
        assert_int_equal(mssql_fit(NULL, &c, &table[i].there, false, &fit, &err), 0);
        assert_int_equal(fit.holds, table[i].holds);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(columns_that_are_there),
        cmocka_unit_test(keys_compare_exactly),
        cmocka_unit_test(columns_with_a_will_of_their_own),
        cmocka_unit_test(room),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
