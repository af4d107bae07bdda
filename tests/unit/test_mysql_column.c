/* apply-mysql/mysql_column.c: which columns that are there keep what comes, and which are refused
 * by name. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "apply-mysql/mysql_driver.h"
#include "frames/pg_type.h"
#include "sql/table.h"

#define LENGTH(a)     (sizeof(a) / sizeof *(a))
#define NUMERIC(p, s) (((p) << 16 | ((s)&0x7ff)) + 4)
#define NOPAD         "utf8mb4_nopad_bin"

struct row {
    uint32_t oid;
    int32_t typmod;
    struct described_column there;
    enum source_form form; /* of what is kept */
};

#define INT_TYPE(type, sign)                                                                       \
    {                                                                                              \
        "c", (type), type sign, "", "", -1, 10, 0, -1, false, false, false                         \
    }
#define DECIMAL(p, s)                                                                              \
    {                                                                                              \
        "c", "decimal", "decimal(p,s)", "", "", -1, (p), (s), -1, false, false, false              \
    }
#define REAL(type, s)                                                                              \
    {                                                                                              \
        "c", (type), (type), "", "", -1, 12, (s), -1, false, false, false                          \
    }
#define TEXT(type, n, coll)                                                                        \
    {                                                                                              \
        "c", (type), (type), (coll), "", (n), -1, -1, -1, false, false, false                      \
    }
#define BYTES(type, n)                                                                             \
    {                                                                                              \
        "c", (type), (type), "", "", (n), -1, -1, -1, false, false, false                          \
    }
#define TIME(type, n)                                                                              \
    {                                                                                              \
        "c", (type), (type), "", "", -1, -1, -1, (n), false, false, false                          \
    }
#define BITS(n)                                                                                    \
    {                                                                                              \
        "c", "bit", "bit(n)", "", "", -1, (n), -1, -1, false, false, false                         \
    }

static int check(const struct row *row, bool identity, enum source_form *form, struct err *err)
{
    const struct column c = {
        .name = "c", .base_type_oid = row->oid, .typmod = row->typmod, .type_name = "the type"};
    struct described_column there = row->there;
    struct fit fit = {0};
    there.generated = my_is_generated(there.extra);
    int rc = my_fit(NULL, &c, &there, identity, &fit, err);
    *form = (enum source_form)fit.form;
    return rc;
}

static void kept(void **state)
{
    (void)state;
    static const struct row table[] = {
        {PG_TYPE_BOOL, -1, INT_TYPE("tinyint", ""), FORM_BOOL},
        {PG_TYPE_BOOL, -1, INT_TYPE("bigint", ""), FORM_BOOL},
        {PG_TYPE_BOOL, -1, BITS(1), FORM_BOOL},
        {PG_TYPE_INT2, -1, INT_TYPE("smallint", ""), FORM_INTEGER},
        {PG_TYPE_INT4, -1, INT_TYPE("int", ""), FORM_INTEGER},
        {PG_TYPE_INT4, -1, INT_TYPE("bigint", ""), FORM_INTEGER},
        {PG_TYPE_INT8, -1, INT_TYPE("bigint", ""), FORM_INTEGER},
        {PG_TYPE_OID, -1, INT_TYPE("int", " unsigned"), FORM_INTEGER},
        {PG_TYPE_INT8, -1, DECIMAL(19, 0), FORM_INTEGER},
        {PG_TYPE_NUMERIC, NUMERIC(10, 2), DECIMAL(10, 2), FORM_DECIMAL},
        {PG_TYPE_NUMERIC, NUMERIC(10, 2), DECIMAL(20, 4), FORM_DECIMAL},
        {PG_TYPE_NUMERIC, -1, DECIMAL(20, 4), FORM_DECIMAL},
        {PG_TYPE_MONEY, -1, DECIMAL(19, 2), FORM_MONEY},
        {PG_TYPE_FLOAT4, -1, REAL("float", -1), FORM_SINGLE},
        {PG_TYPE_FLOAT4, -1, REAL("double", -1), FORM_DOUBLE},
        {PG_TYPE_FLOAT8, -1, REAL("double", -1), FORM_DOUBLE},
        {PG_TYPE_DATE, -1, TIME("date", -1), FORM_DATE},
        {PG_TYPE_TIME, -1, TIME("time", 6), FORM_TIME},
        {PG_TYPE_TIMESTAMP, 3, TIME("datetime", 3), FORM_TIMESTAMP},
        {PG_TYPE_TIMESTAMPTZ, -1, TIME("datetime", 6), FORM_TIMESTAMPTZ},
        {PG_TYPE_BIT, 8, BITS(8), FORM_BITS},
        {PG_TYPE_TEXT, -1, TEXT("longtext", 4294967295, "utf8mb4_general_ci"), FORM_TEXT},
        {PG_TYPE_TEXT, -1, TEXT("varchar", 10, "utf8mb4_general_ci"), FORM_TEXT},
        {PG_TYPE_TEXT, -1, BYTES("blob", 65535), FORM_TEXT},
        {PG_TYPE_UUID, -1, TEXT("char", 36, "ascii_bin"), FORM_TEXT},
        {PG_TYPE_UUID, -1, TEXT("uuid", -1, ""), FORM_TEXT},
        {PG_TYPE_BPCHAR, 4 + 3, TEXT("char", 3, "utf8mb4_general_ci"), FORM_TEXT},
        {PG_TYPE_BYTEA, -1, BYTES("longblob", 4294967295), FORM_BYTES},
        {PG_TYPE_BYTEA, -1, BYTES("varbinary", 100), FORM_BYTES},
        /* what text holds, it holds as PostgreSQL writes it */
        {PG_TYPE_INT4, -1, TEXT("varchar", 20, "latin1_swedish_ci"), FORM_TEXT},
        {PG_TYPE_TIMESTAMPTZ, -1, TEXT("varchar", 40, "utf8mb4_general_ci"), FORM_TEXT},
        {PG_TYPE_NUMERIC, -1, TEXT("longtext", 4294967295, "ascii_bin"), FORM_TEXT},
    };
    for (size_t i = 0; i < LENGTH(table); i++) {
        struct err err = {0};
        enum source_form form;
        if (check(&table[i], false, &form, &err))
            fail_msg("row %zu: %s", i, err.text);
        assert_int_equal(form, table[i].form);
    }
}

static void refused(void **state)
{
    (void)state;
    static const struct row table[] = {
        {PG_TYPE_INT4, -1, INT_TYPE("smallint", ""), 0},
        {PG_TYPE_INT4, -1, INT_TYPE("mediumint", ""), 0},
        {PG_TYPE_INT4, -1, INT_TYPE("int", " unsigned"), 0},
        {PG_TYPE_INT8, -1, INT_TYPE("int", ""), 0},
        {PG_TYPE_OID, -1, INT_TYPE("int", ""), 0},
        {PG_TYPE_TEXT, -1, INT_TYPE("int", ""), 0},
        {PG_TYPE_INT8, -1, REAL("double", -1), 0},
        {PG_TYPE_INT8, -1, DECIMAL(19, 2), 0},
        {PG_TYPE_NUMERIC, NUMERIC(10, 2), DECIMAL(9, 2), 0},
        {PG_TYPE_NUMERIC, NUMERIC(10, 2), DECIMAL(20, 1), 0},
        {PG_TYPE_NUMERIC, NUMERIC(10, 2), REAL("double", -1), 0},
        {PG_TYPE_NUMERIC, NUMERIC(100, 2), DECIMAL(65, 2), 0},
        {PG_TYPE_FLOAT8, -1, REAL("float", -1), 0},
        {PG_TYPE_FLOAT8, -1, REAL("double", 2), 0},
        {PG_TYPE_FLOAT8, -1, DECIMAL(65, 30), 0},
        {PG_TYPE_TIMESTAMP, -1, TIME("datetime", 3), 0},
        {PG_TYPE_TIMESTAMP, 6, TIME("datetime", 0), 0},
        {PG_TYPE_TIMESTAMP, 0, TIME("date", -1), 0},
        {PG_TYPE_TIMESTAMPTZ, -1, TIME("timestamp", 6), 0},
        {PG_TYPE_TIME, -1, TIME("time", 0), 0},
        {PG_TYPE_DATE, -1, TIME("year", -1), 0},
        {PG_TYPE_BIT, 8, BITS(16), 0},
        {PG_TYPE_TEXT, -1, TEXT("longtext", 4294967295, "latin1_swedish_ci"), 0},
        {PG_TYPE_TEXT, -1, TEXT("longtext", 4294967295, "utf8mb3_general_ci"), 0},
        {PG_TYPE_TEXT, -1, TEXT("char", 100, NOPAD), 0},
        {PG_TYPE_BPCHAR, 4 + 30, TEXT("char", 3, NOPAD), 0},
        {PG_TYPE_JSONB, -1, TEXT("json", -1, ""), 0},
        {PG_TYPE_TEXT, -1, TEXT("enum", 3, NOPAD), 0},
        {PG_TYPE_BYTEA, -1, TEXT("longtext", 4294967295, NOPAD), 0},
        {PG_TYPE_BYTEA, -1, BYTES("binary", 16), 0},
        {PG_TYPE_INET, -1, TEXT("inet6", -1, ""), 0},
        {PG_TYPE_INT4,
         -1,
         {"c", "int", "int", "", "STORED GENERATED", -1, 10, 0, -1, false, false, false},
         0},
        {PG_TYPE_INT4,
         -1,
         {"c", "int", "int", "", "VIRTUAL GENERATED", -1, 10, 0, -1, false, false, false},
         0},
        {PG_TYPE_TIMESTAMP,
         -1,
         {"c", "datetime", "datetime(6)", "", "on update current_timestamp(6)", -1, -1, -1, 6,
          false, false, false},
         0},
    };
    for (size_t i = 0; i < LENGTH(table); i++) {
        struct err err = {0};
        enum source_form form;
        if (check(&table[i], false, &form, &err) == 0)
            fail_msg("row %zu is taken", i);
        assert_int_equal(err.kind, ERR_PERMANENT);
        assert_non_null(strstr(err.text, "column c "));
    }
}

/* MySQL calls the default of a column that is an expression DEFAULT_GENERATED. */
static void a_default_is_not_a_generated_column(void **state)
{
    (void)state;
    static const struct row row = {
        PG_TYPE_INT4,
        -1,
        {"c", "int", "int", "", "DEFAULT_GENERATED", -1, 10, 0, -1, false, false, false},
        0};
    struct err err = {0};
    enum source_form form;
    assert_int_equal(check(&row, false, &form, &err), 0);
}

static void what_identifies_rows_is_compared_exactly(void **state)
{
    (void)state;
    static const struct {
        struct row row;
        bool taken;
    } table[] = {
        {{PG_TYPE_TEXT, -1, TEXT("varchar", 100, NOPAD), 0}, true},
        {{PG_TYPE_TEXT, -1, TEXT("varchar", 100, "utf8mb4_0900_bin"), 0}, true},
        {{PG_TYPE_TEXT, -1, BYTES("varbinary", 100), 0}, true},
        {{PG_TYPE_TEXT, -1, TEXT("varchar", 100, "utf8mb4_bin"), 0}, false}, /* pads */
        {{PG_TYPE_TEXT, -1, TEXT("varchar", 100, "utf8mb4_general_ci"), 0}, false},
        {{PG_TYPE_TEXT, -1, TEXT("varchar", 100, "utf8mb4_0900_as_cs"), 0}, false},
        {{PG_TYPE_BPCHAR, 4 + 3, TEXT("char", 3, "utf8mb4_general_ci"), 0}, false},
        {{PG_TYPE_BPCHAR, 4 + 3, TEXT("char", 3, NOPAD), 0}, false}, /* gives blanks not back */
        {{PG_TYPE_BPCHAR, 4 + 3, TEXT("varchar", 3, NOPAD), 0}, true},
        {{100000, -1, TEXT("varchar", 100, "utf8mb4_general_ci"), 0}, false},
        {{PG_TYPE_UUID, -1, TEXT("char", 36, "latin1_swedish_ci"), 0}, true},
        {{PG_TYPE_NUMERIC, -1, TEXT("varchar", 100, "ascii_general_ci"), 0}, true},
        {{PG_TYPE_INT4, -1, TEXT("varchar", 20, "utf8mb4_general_ci"), 0}, true},
    };
    for (size_t i = 0; i < LENGTH(table); i++) {
        struct err err = {0};
        enum source_form form;
        bool taken = check(&table[i].row, true, &form, &err) == 0;
        if (taken != table[i].taken)
            fail_msg("row %zu: %s", i, err.text);
        if (!taken)
            assert_non_null(strstr(err.text, table[i].row.there.collation));
    }
}

/* As it is altered by hand, in a table of ours too. */
static void a_value_may_be_longer_than_its_column(void **state)
{
    (void)state;
    static const struct {
        struct described_column there;
        enum source_form form;
        const char *text;
        enum stored_kind kind;
    } table[] = {
        {TEXT("varchar", 3, NOPAD), FORM_TEXT, "äöü", STORED_TEXT},
        {TEXT("varchar", 3, NOPAD), FORM_TEXT, "abcd", STORED_NOTHING},
        {TEXT("varchar", 3, NOPAD), FORM_TEXT, "1234", STORED_NOTHING},
        {TEXT("char", 3, NOPAD), FORM_TEXT, "abc", STORED_TEXT},
        {TEXT("tinytext", 5, NOPAD), FORM_TEXT, "äöü", STORED_NOTHING},
        {TEXT("longtext", 4294967295, NOPAD), FORM_TEXT, "abcd", STORED_TEXT},
        {BYTES("varbinary", 2), FORM_BYTES, "ab", STORED_BYTES},
        {BYTES("varbinary", 2), FORM_BYTES, "abc", STORED_NOTHING},
        {BYTES("varbinary", 2), FORM_TEXT, "abc", STORED_NOTHING},
    };
    struct driver d = {0};
    for (size_t i = 0; i < LENGTH(table); i++) {
        const struct described_column *there = &table[i].there;
        int form = (int)table[i].form;
        const struct target_table t = {.columns = &there, .forms = &form};
        const struct value v = {.kind = form == FORM_BYTES ? VALUE_BYTES : VALUE_TEXT,
                                .size = (uint32_t)strlen(table[i].text),
                                .data = table[i].text};
        char room[STORED_ROOM];
        struct stored stored;
        struct err err = {0};
        assert_int_equal(my_stores(&d, &t, 0, &v, room, &stored, &err), 0);
        if (stored.kind != table[i].kind)
            fail_msg("row %zu", i);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(kept),
        cmocka_unit_test(refused),
        cmocka_unit_test(a_default_is_not_a_generated_column),
        cmocka_unit_test(what_identifies_rows_is_compared_exactly),
        cmocka_unit_test(a_value_may_be_longer_than_its_column),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
