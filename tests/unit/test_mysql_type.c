/* apply-mysql/mysql_type.c: what is declared for each type, what is bound for each value, what
 * stands for values that MySQL does not have. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "apply-mysql/mysql_type.h"
#include "frames/pg_type.h"

#define LENGTH(a)     (sizeof(a) / sizeof *(a))
#define NUMERIC(p, s) (((p) << 16 | ((s)&0x7ff)) + 4)
#define BIN           " CHARACTER SET utf8mb4 COLLATE bin"

static void declared_as(const struct relation *rel, uint32_t column, const char *want)
{
    struct buf out = {0};
    my_append_type(rel, column, "bin", false, &out);
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
        {PG_TYPE_BOOL, -1, FORM_BOOL, "TINYINT(1)"},
        {PG_TYPE_INT2, -1, FORM_INTEGER, "SMALLINT"},
        {PG_TYPE_INT4, -1, FORM_INTEGER, "INT"},
        {PG_TYPE_INT8, -1, FORM_INTEGER, "BIGINT"},
        {PG_TYPE_OID, -1, FORM_INTEGER, "INT UNSIGNED"},
        {PG_TYPE_FLOAT4, -1, FORM_DOUBLE, "DOUBLE"},
        {PG_TYPE_FLOAT8, -1, FORM_DOUBLE, "DOUBLE"},
        {PG_TYPE_NUMERIC, -1, FORM_TEXT, "LONGTEXT" BIN},
        {PG_TYPE_NUMERIC, NUMERIC(10, 2), FORM_DECIMAL, "DECIMAL(10,2)"},
        {PG_TYPE_NUMERIC, NUMERIC(65, 30), FORM_DECIMAL, "DECIMAL(65,30)"},
        {PG_TYPE_NUMERIC, NUMERIC(66, 30), FORM_TEXT, "LONGTEXT" BIN},
        {PG_TYPE_NUMERIC, NUMERIC(65, 31), FORM_TEXT, "LONGTEXT" BIN},
        {PG_TYPE_NUMERIC, NUMERIC(1000, 0), FORM_TEXT, "LONGTEXT" BIN},
        {PG_TYPE_NUMERIC, NUMERIC(2, -3), FORM_DECIMAL, "DECIMAL(5,0)"},
        {PG_TYPE_NUMERIC, NUMERIC(2, -1000), FORM_TEXT, "LONGTEXT" BIN},
        {PG_TYPE_NUMERIC, NUMERIC(3, 5), FORM_DECIMAL, "DECIMAL(5,5)"},
        {PG_TYPE_MONEY, -1, FORM_MONEY, "DECIMAL(19,2)"},
        {PG_TYPE_BIT, 1, FORM_BITS, "BIT(1)"},
        {PG_TYPE_BIT, 64, FORM_BITS, "BIT(64)"},
        {PG_TYPE_BIT, 65, FORM_TEXT, "VARCHAR(65)" BIN},
        {PG_TYPE_BIT, -1, FORM_TEXT, "LONGTEXT" BIN},
        {PG_TYPE_VARBIT, 10, FORM_TEXT, "VARCHAR(10)" BIN},
        {PG_TYPE_VARBIT, -1, FORM_TEXT, "LONGTEXT" BIN},
        {PG_TYPE_DATE, -1, FORM_DATE, "DATE"},
        {PG_TYPE_TIME, 3, FORM_TIME, "TIME(6)"},
        {PG_TYPE_TIMESTAMP, 3, FORM_TIMESTAMP, "DATETIME(6)"},
        {PG_TYPE_TIMESTAMPTZ, -1, FORM_TIMESTAMPTZ, "DATETIME(6)"},
        {PG_TYPE_TIMETZ, -1, FORM_TEXT, "VARCHAR(32)" BIN},
        {PG_TYPE_INTERVAL, -1, FORM_TEXT, "VARCHAR(100)" BIN},
        {PG_TYPE_TEXT, -1, FORM_TEXT, "LONGTEXT" BIN},
        {PG_TYPE_VARCHAR, -1, FORM_TEXT, "LONGTEXT" BIN},
        {PG_TYPE_VARCHAR, 4 + 20, FORM_TEXT, "VARCHAR(20)" BIN},
        {PG_TYPE_VARCHAR, 4 + 15000, FORM_TEXT, "VARCHAR(15000)" BIN},
        {PG_TYPE_VARCHAR, 4 + 16383, FORM_TEXT, "LONGTEXT" BIN}, /* nothing else would fit in */
        {PG_TYPE_BPCHAR, 4 + 3, FORM_TEXT, "VARCHAR(3)" BIN},
        {PG_TYPE_NAME, -1, FORM_TEXT, "VARCHAR(64)" BIN},
        {PG_TYPE_UUID, -1, FORM_TEXT, "CHAR(36) CHARACTER SET ascii COLLATE ascii_bin"},
        {PG_TYPE_INET, -1, FORM_TEXT, "VARCHAR(43)" BIN},
        {PG_TYPE_JSON, -1, FORM_TEXT, "LONGTEXT" BIN},
        {PG_TYPE_JSONB, -1, FORM_TEXT, "LONGTEXT" BIN},
        {PG_TYPE_BYTEA, -1, FORM_BYTES, "LONGBLOB"},
        {100000, -1, FORM_TEXT, "LONGTEXT" BIN}, /* an enum, an array, … */
    };
    for (size_t i = 0; i < LENGTH(table); i++) {
        struct column c = {.name = "c",
                           .type_oid = table[i].oid,
                           .base_type_oid = table[i].oid,
                           .typmod = table[i].typmod};
        const struct relation rel = {
            .replica_identity = REPLICA_IDENTITY_DEFAULT, .ncolumns = 1, .columns = &c};
        assert_int_equal(my_form_of(&c), table[i].form);
        declared_as(&rel, 0, table[i].declaration);
    }
}

/* An index takes 3072 bytes: small columns get all they want, the others share the rest. */
static void keys_fit_into_an_index(void **state)
{
    (void)state;
    static const struct {
        struct column columns[3];
        const char *declarations[3];
    } table[] = {
        {{{.base_type_oid = PG_TYPE_TEXT}}, {"VARCHAR(767)" BIN}},
        {{{.base_type_oid = PG_TYPE_VARCHAR, .typmod = 4 + 767}}, {"VARCHAR(767)" BIN}},
        {{{.base_type_oid = PG_TYPE_VARCHAR, .typmod = 4 + 2000}}, {"VARCHAR(767)" BIN}},
        {{{.base_type_oid = PG_TYPE_VARCHAR, .typmod = 4 + 20}}, {"VARCHAR(20)" BIN}},
        {{{.base_type_oid = PG_TYPE_BYTEA}}, {"VARBINARY(3069)"}},
        {{{.base_type_oid = PG_TYPE_TEXT}, {.base_type_oid = PG_TYPE_TEXT}},
         {"VARCHAR(383)" BIN, "VARCHAR(383)" BIN}},
        {{{.base_type_oid = PG_TYPE_TEXT},
          {.base_type_oid = PG_TYPE_VARCHAR, .typmod = 4 + 20},
          {.base_type_oid = PG_TYPE_INT8}},
         {"VARCHAR(744)" BIN, "VARCHAR(20)" BIN, "BIGINT"}},
        {{{.base_type_oid = PG_TYPE_BYTEA}, {.base_type_oid = PG_TYPE_TEXT}},
         {"VARBINARY(1533)", "VARCHAR(383)" BIN}},
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
        /* The same for the index of a replica identity, without a primary key. */
        rel.npk = 0;
        rel.replica_identity = REPLICA_IDENTITY_INDEX;
        for (uint32_t c = 0; c < n; c++)
            declared_as(&rel, c, table[i].declarations[c]);
    }
}

/* A row takes 65,535 bytes: what does not fit any more is LONGTEXT. */
static void rows_fit_into_a_row(void **state)
{
    (void)state;
    struct column columns[40] = {{0}};
    for (size_t i = 0; i < LENGTH(columns); i++) {
        columns[i].name = "c";
        columns[i].base_type_oid = PG_TYPE_VARCHAR;
        columns[i].typmod = 4 + 1000;
    }
    const struct relation rel = {.replica_identity = REPLICA_IDENTITY_NOTHING,
                                 .ncolumns = LENGTH(columns),
                                 .columns = columns};
    size_t bytes = 0, varchars = 0;
    for (uint32_t i = 0; i < LENGTH(columns); i++) {
        struct buf out = {0};
        my_append_type(&rel, i, "bin", false, &out);
        bool varchar = strncmp(buf_cstr(&out), "VARCHAR(1000)", 13) == 0;
        assert_true(varchar || strncmp(buf_cstr(&out), "LONGTEXT", 8) == 0);
        bytes += varchar ? 4002 : 12;
        varchars += varchar;
        buf_free(&out);
    }
    assert_true(bytes <= 65535);
    assert_true(varchars >= 14);
    /* The shortest stay, wherever they are. */
    columns[39].typmod = 4 + 10;
    declared_as(&rel, 39, "VARCHAR(10)" BIN);
    declared_as(&rel, 38, "LONGTEXT" BIN);
}

/* What texts and numbers behind them take counts for the first ones, too. */
static void a_wide_row_fits(void **state)
{
    (void)state;
    static struct column columns[441];
    for (size_t i = 0; i < LENGTH(columns); i++)
        columns[i] = (struct column){
            .name = "c", .typmod = -1, .base_type_oid = i < 60 ? PG_TYPE_VARCHAR : PG_TYPE_TEXT};
    for (size_t i = 0; i < 60; i++)
        columns[i].typmod = 4 + 255;
    const struct relation rel = {.replica_identity = REPLICA_IDENTITY_NOTHING,
                                 .ncolumns = LENGTH(columns),
                                 .columns = columns};
    size_t varchars = 0;
    for (uint32_t i = 0; i < LENGTH(columns); i++) {
        struct buf out = {0};
        my_append_type(&rel, i, "bin", false, &out);
        varchars += strncmp(buf_cstr(&out), "VARCHAR(255)", 12) == 0;
        buf_free(&out);
    }
    assert_true(varchars > 50 && varchars * 1022 + (LENGTH(columns) - varchars) * 12 <= 65535);
    struct buf out = {0};
    my_append_type(&rel, 0, "bin", true, &out);
    assert_string_equal(buf_cstr(&out), "LONGTEXT" BIN);
    buf_free(&out);
}

/* ---- values ---- */

static const struct value_policy stop_all = {"MySQL", NAN_STOP, BEYOND_STOP, BEYOND_STOP};
static const struct value_policy null_all = {"MySQL", NAN_NULL, BEYOND_NULL, BEYOND_NULL};
static const struct value_policy extremes = {"MySQL", NAN_NULL, BEYOND_EXTREME, BEYOND_EXTREME};

static struct value text_value(const char *text)
{
    return (struct value){.kind = VALUE_TEXT, .size = (uint32_t)strlen(text), .data = text};
}

/* The cell as text: a literal without its quotes, "NULL", or "!" and what is wrong. */
static const char *set(enum source_form form, struct value v, const struct value_policy *policy,
                       char *out, size_t size)
{
    char room[PG_MONEY_SIZE];
    struct source_cell cell;
    struct err err = {0};
    struct buf literal = {0};
    memset(&cell, 0x55, sizeof cell);
    if (source_read(&cell, form, &v, &my_types, policy, room, &err)) {
        assert_int_equal(err.kind, ERR_PERMANENT);
        (void)snprintf(out, size, "!%.120s", err.text);
    } else if (cell.null) {
        (void)snprintf(out, size, "NULL");
    } else if (!source_form_is_number(form)) {
        (void)snprintf(out, size, "%.*s", (int)cell.size, cell.value.text);
    } else {
        my_cell_literal(&cell, form, &literal);
        (void)snprintf(out, size, "%s", buf_cstr(&literal));
    }
    buf_free(&literal);
    return out;
}

static void values_are_bound_as_what_they_are(void **state)
{
    (void)state;
    static const struct {
        enum source_form form;
        const char *text, *bound;
    } table[] = {
        {FORM_BOOL, "t", "1"},
        {FORM_BOOL, "f", "0"},
        {FORM_BOOL, "true", "!"},
        {FORM_BOOL, "1", "!"},
        {FORM_BOOL, "", "!"},
        {FORM_INTEGER, "0", "0"},
        {FORM_INTEGER, "-32768", "-32768"},
        {FORM_INTEGER, "4294967295", "4294967295"},
        {FORM_INTEGER, "9223372036854775807", "9223372036854775807"},
        {FORM_INTEGER, "-9223372036854775808", "-9223372036854775808"},
        {FORM_INTEGER, "9223372036854775808", "!"},
        {FORM_INTEGER, "-9223372036854775809", "!"},
        {FORM_INTEGER, "", "!"},
        {FORM_INTEGER, "-", "!"},
        {FORM_INTEGER, "1.0", "!"},
        {FORM_INTEGER, " 1", "!"},
        {FORM_SINGLE, "1.5", "1.5"},
        {FORM_SINGLE, "3.4028235e+38", "3.40282347e+38"},
        {FORM_SINGLE, "-0", "-0"},
        {FORM_SINGLE, "NaN", "!"},
        {FORM_DOUBLE, "0.1", "0.10000000000000001"},
        {FORM_DOUBLE, "5e-324", "4.9406564584124654e-324"},
        {FORM_DOUBLE, "1.7976931348623157e+308", "1.7976931348623157e+308"},
        {FORM_DOUBLE, "NaN", "!"},
        {FORM_DOUBLE, "Infinity", "!"},
        {FORM_DOUBLE, "-Infinity", "!"},
        {FORM_DOUBLE, "1x", "!"},
        {FORM_DOUBLE, "", "!"},
        {FORM_DECIMAL, "12345678901234567890.10", "12345678901234567890.10"},
        {FORM_DECIMAL, "-0.01", "-0.01"},
        {FORM_DECIMAL, "NaN", "!"},
        {FORM_DECIMAL, "1e5", "!"},
        {FORM_MONEY, "$0.00", "0.00"},
        {FORM_MONEY, "-$1,234.56", "-1234.56"},
        {FORM_MONEY, "$92,233,720,368,547,758.07", "92233720368547758.07"},
        {FORM_MONEY, "-$92,233,720,368,547,758.08", "-92233720368547758.08"},
        {FORM_MONEY, "1.234,56 €", "!"},
        {FORM_MONEY, "$", "!"},
        {FORM_MONEY, "", "!"},
        {FORM_BITS, "1", "b'0000000000000000000000000000000000000000000000000000000000000001'"},
        {FORM_BITS, "0101", "b'0000000000000000000000000000000000000000000000000000000000000101'"},
        {FORM_BITS, "1111111111111111111111111111111111111111111111111111111111111111",
         "b'1111111111111111111111111111111111111111111111111111111111111111'"},
        {FORM_BITS, "2", "!"},
        {FORM_BITS, "11111111111111111111111111111111111111111111111111111111111111111", "!"},
        {FORM_DATE, "2024-02-29", "2024-02-29"},
        {FORM_DATE, "1000-01-01", "1000-01-01"},
        {FORM_DATE, "9999-12-31", "9999-12-31"},
        {FORM_DATE, "0999-12-31", "!"},
        {FORM_DATE, "10000-01-01", "!"},
        {FORM_DATE, "0044-03-15 BC", "!"},
        {FORM_DATE, "2024-02-29 BC", "!"},
        {FORM_DATE, "infinity", "!"},
        {FORM_DATE, "-infinity", "!"},
        {FORM_DATE, "", "!"},
        {FORM_TIME, "24:00:00", "24:00:00"},
        {FORM_TIME, "12:34:56.789012", "12:34:56.789012"},
        {FORM_TIMESTAMP, "2024-02-29 12:00:00.5", "2024-02-29 12:00:00.5"},
        {FORM_TIMESTAMP, "0001-01-01 00:00:00", "!"},
        {FORM_TIMESTAMP, "294276-12-31 23:59:59.999999", "!"},
        {FORM_TIMESTAMPTZ, "2024-02-29 12:00:00.5+00", "2024-02-29 12:00:00.5"},
        {FORM_TIMESTAMPTZ, "2024-02-29 12:00:00+01", "!"},
        {FORM_TIMESTAMPTZ, "2024-02-29 12:00:00+00:30", "!"},
        {FORM_TIMESTAMPTZ, "0044-03-15 12:00:00+00 BC", "!"},
        {FORM_TEXT, "", ""},
        {FORM_TEXT, "it's \\ \"é😀\"", "it's \\ \"é😀\""},
        {FORM_TEXT, "t", "t"},
        {FORM_BYTES, "\\x00", "!"},
    };
    for (size_t i = 0; i < LENGTH(table); i++) {
        char got[128];
        set(table[i].form, text_value(table[i].text), &stop_all, got, sizeof got);
        if (*table[i].bound == '!' ? *got != '!' : strcmp(got, table[i].bound) != 0)
            fail_msg("form %d, \"%s\": %s", table[i].form, table[i].text, got);
    }
}

static void other_kinds_of_values(void **state)
{
    (void)state;
    char got[128];
    const struct value null = {.kind = VALUE_NULL}, unchanged = {.kind = VALUE_UNCHANGED},
                       bytes = {.kind = VALUE_BYTES, .size = 3, .data = "a\0b"};
    for (enum source_form form = FORM_BOOL; form <= FORM_BYTES; form++) {
        assert_string_equal(set(form, null, &stop_all, got, sizeof got), "NULL");
        assert_non_null(strstr(set(form, unchanged, &stop_all, got, sizeof got), "not sent"));
        if (form != FORM_BYTES)
            assert_int_equal(*set(form, bytes, &stop_all, got, sizeof got), '!');
    }
    char room[PG_MONEY_SIZE];
    struct source_cell cell;
    struct err err = {0};
    assert_int_equal(source_read(&cell, FORM_BYTES, &bytes, &my_types, &stop_all, room, &err), 0);
    assert_int_equal(cell.size, 3);
    assert_memory_equal(cell.value.text, "a\0b", 3);
}

static void policies(void **state)
{
    (void)state;
    static const struct {
        enum source_form form;
        const char *text, *advice, *extreme;
    } table[] = {
        {FORM_SINGLE, "NaN", "--nan", "NULL"},
        {FORM_DOUBLE, "NaN", "--nan", "NULL"},
        {FORM_DECIMAL, "NaN", "--nan", "NULL"},
        {FORM_SINGLE, "Infinity", "--infinity", "3.40282347e+38"},
        {FORM_SINGLE, "-Infinity", "--infinity", "-3.40282347e+38"},
        {FORM_DOUBLE, "Infinity", "--infinity", "1.7976931348623157e+308"},
        {FORM_DOUBLE, "-Infinity", "--infinity", "-1.7976931348623157e+308"},
        {FORM_DATE, "infinity", "--infinity", "9999-12-31"},
        {FORM_DATE, "-infinity", "--infinity", "1000-01-01"},
        {FORM_TIMESTAMP, "infinity", "--infinity", "9999-12-31 23:59:59.999999"},
        {FORM_TIMESTAMPTZ, "-infinity", "--infinity", "1000-01-01 00:00:00"},
        {FORM_DATE, "0999-12-31", "--date-range", "1000-01-01"},
        {FORM_DATE, "10000-01-01", "--date-range", "9999-12-31"},
        {FORM_DATE, "2024-01-01 BC", "--date-range", "1000-01-01"},
        {FORM_TIMESTAMPTZ, "0044-03-15 12:00:00+00 BC", "--date-range", "1000-01-01 00:00:00"},
        {FORM_TIMESTAMPTZ, "294276-12-31 23:59:59.999999+00", "--date-range",
         "9999-12-31 23:59:59.999999"},
    };
    for (size_t i = 0; i < LENGTH(table); i++) {
        char got[256];
        struct value v = text_value(table[i].text);
        assert_non_null(strstr(set(table[i].form, v, &stop_all, got, sizeof got), table[i].advice));
        assert_string_equal(set(table[i].form, v, &null_all, got, sizeof got), "NULL");
        assert_string_equal(set(table[i].form, v, &extremes, got, sizeof got), table[i].extreme);
    }
}

static void literals(void **state)
{
    (void)state;
    static const struct {
        enum source_form form;
        const char *text, *literal;
    } table[] = {
        {FORM_TEXT, "it's \\", "('it''s \\\\')"},
        {FORM_TEXT, "", "('')"},
        {FORM_DATE, "2024-02-29", "'2024-02-29'"},
        {FORM_TIME, "24:00:00", "'24:00:00'"},
        {FORM_MONEY, "-$1.50", "-1.50"},
        {FORM_DECIMAL, "1.50", "1.50"},
        {FORM_INTEGER, "-7", "-7"},
        {FORM_BOOL, "t", "1"},
    };
    char room[PG_MONEY_SIZE];
    struct source_cell cell;
    struct err err = {0};
    for (size_t i = 0; i < LENGTH(table); i++) {
        struct buf out = {0};
        struct value v = text_value(table[i].text);
        assert_int_equal(source_read(&cell, table[i].form, &v, &my_types, &stop_all, room, &err),
                         0);
        my_cell_literal(&cell, table[i].form, &out);
        assert_string_equal(buf_cstr(&out), table[i].literal);
        buf_free(&out);
    }
    struct buf out = {0};
    const struct value bytes = {.kind = VALUE_BYTES, .size = 3, .data = "\0'\xff"};
    assert_int_equal(source_read(&cell, FORM_BYTES, &bytes, &my_types, &stop_all, room, &err), 0);
    my_cell_literal(&cell, FORM_BYTES, &out);
    assert_string_equal(buf_cstr(&out), "(X'0027ff')");
    buf_free(&out);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_type_has_its_column),
        cmocka_unit_test(keys_fit_into_an_index),
        cmocka_unit_test(rows_fit_into_a_row),
        cmocka_unit_test(a_wide_row_fits),
        cmocka_unit_test(values_are_bound_as_what_they_are),
        cmocka_unit_test(other_kinds_of_values),
        cmocka_unit_test(policies),
        cmocka_unit_test(literals),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
