/*
 * fuzz_value.c - any text as a value of any type, on its way into a target.
 *
 * An input is the form that the column has, the policy and the text. What must hold: the readers of
 * PostgreSQL's text take what a pattern for it takes; and what stands in a statement for the value
 * is one literal, whatever is in it, or one JSON value.
 */
#include <math.h>
#include <regex.h>
#include <stdlib.h>
#include <string.h>

#include <jansson.h>

#include "apply-mssql/mssql_type.h"
#include "apply-mysql/mysql_type.h"
#include "base/utf8.h"
#include "sql/pg_text.h"
#include "sql/source_value.h"
#include "tests/fuzz/input.h"

static bool matches(const char *pattern, const char *text)
{
    static struct {
        const char *pattern;
        regex_t compiled;
    } known[16];
    size_t i = 0;
    while (known[i].pattern && known[i].pattern != pattern)
        i++;
    if (!known[i].pattern) {
        known[i].pattern = pattern;
        check(regcomp(&known[i].compiled, pattern, REG_EXTENDED | REG_NOSUB) == 0,
              "a pattern is wrong");
    }
    return regexec(&known[i].compiled, text, 0, NULL, 0) == 0;
}

#define TIME "[0-9]{2}:[0-9]{2}:[0-9]{2}(\\.[0-9]{1,6})?"
#define ZONE "[-+][0-9]{2}(:[0-9]{2})*"

/* The readers, beside patterns. */
static void check_readers(const struct value *v, const char *text)
{
    static const char time[] = "^" TIME "$", decimal[] = "^-?([0-9]+\\.?[0-9]*|\\.[0-9]+)$",
                      integer[] = "^-?[0-9]+$",
                      uuid[] = "^[0-9a-fA-F]{8}-([0-9a-fA-F]{4}-){3}[0-9a-fA-F]{12}$",
                      date[] =
                          "^([0-9]{4,}-[0-9]{2}-[0-9]{2}( " TIME ")?(" ZONE ")?( BC)?|-?infinity)$",
                      word[] = "^(-?Infinity|NaN)$",
                      real[] = "^(-?[0-9]+(\\.[0-9]*)?(e[-+]?[0-9]+)?|-?Infinity|NaN)$";
    struct pg_moment m;
    int64_t number;
    double r;
    check(pg_text_time(v) == matches(time, text), "another time");
    check(pg_text_decimal(v) == matches(decimal, text), "another decimal number");
    check(pg_text_uuid(v) == matches(uuid, text), "another uuid");
    enum pg_date kind = pg_text_date(v, &m);
    check(kind == PG_DATE_NONE || matches(date, text), "what is no date is taken for one");
    check(kind != PG_DATE_NONE || !matches(date, text) || strncmp(text, "0000-", 5) == 0,
          "a date is not taken");
    if (value_to_int64(v, &number))
        check(strtoll(text, NULL, 10) == number, "another integer");
    else
        check(!matches(integer, text) || strlen(text) > 18, "an integer is not taken");
    if (pg_text_real(v, false, &r))
        check(matches(word, text) || strspn(text, "0123456789+-.e") == v->size,
              "what is no number is taken for one");
    else
        check(v->size >= 300 || !matches(real, text), "a floating-point number is not taken");
}

/* 'text', in which a quote is doubled and, for MySQL, a backslash too. */
static void check_quoted(const char *p, const char *end)
{
    check(end - p >= 2 && *p == '\'' && end[-1] == '\'', "a literal without quotes");
    for (p++, end--; p < end; p++)
        if (*p == '\'' || *p == '\\')
            check(p + 1 < end && p[1] != '\0', "a literal ends before its end"), p++;
}

static void check_literal(const struct buf *b, bool number)
{
    const char *p = (const char *)b->data, *end = p + b->len;
    if (*p == '(') { /* an expression */
        check(end[-1] == ')', "an expression without an end");
        p++;
        end--;
    }
    if (*p == 'b') /* b'0101' */
        p++;
    else if (number) {
        check(b->len > 0 && strspn(p, "0123456789+-.eE") == b->len, "a literal that is no number");
        return;
    }
    if (*p == '0' || *p == 'x' || *p == 'X') /* 0x… and x'…' */
        p += 2;
    else if (*p == '\'')
        return check_quoted(p, end);
    for (; p < end; p++)
        check(strchr("0123456789abcdefABCDEF'", *p) && *p,
              "a literal of bytes with another letter");
}

static void check_mysql(const struct value *v, enum source_form form,
                        const struct value_policy *policy)
{
    struct source_cell cell = {0};
    char room[PG_MONEY_SIZE];
    struct err err = {0};
    struct buf b = {0};
    if (source_read(&cell, form, v, &my_types, policy, room, &err)) {
        check_refusal(&err);
        return;
    }
    if (!cell.null) {
        my_cell_literal(&cell, form, &b);
        (void)buf_cstr(&b);
        check_literal(&b, form <= FORM_MONEY);
    }
    buf_free(&b);
}

/* A number, a NULL with its type, or N'text' in which a quote is doubled. */
static void check_in_quotes(const char *text)
{
    bool inside = false;
    if (strspn(text, "0123456789+-.eE") == strlen(text) || strcmp(text, "NULL") == 0 ||
        strcmp(text, "CONVERT(nvarchar(1), NULL)") == 0)
        return;
    for (const char *p = *text == 'N' ? text + 1 : text; *p; p++)
        if (*p == '\'')
            inside = !inside;
        else
            check(inside, "a text outside of its quotes");
    check(!inside, "a literal without an end");
}

static void check_mssql(const struct value *v, enum source_form form,
                        const struct value_policy *policy)
{
    struct err err = {0};
    struct buf json = {0}, sql = {0};
    uint64_t units = 0;
    buf_append_byte(&json, '[');
    int rc = mssql_append_value(&json, ROWS_JSON, form, v, policy, &units, &err);
    if (rc == 0) {
        buf_append_byte(&json, ']');
        json_error_t fault;
        json_t *doc = json_loadb((const char *)json.data, json.len, JSON_ALLOW_NUL, &fault);
        check(doc != NULL || !utf8_valid(v->data, v->size), "no JSON");
        check(!doc || json_array_size(doc) == 1, "more than one value in the JSON");
        json_decref(doc);
    } else {
        check_refusal(&err);
    }
    err_clear(&err);
    if (mssql_append_value(&sql, ROWS_VALUES, form, v, policy, &units, &err))
        check_refusal(&err);
    else
        check(rc == 0, "a value that JSON does not take");
    if (err.kind == ERR_NONE && form != FORM_BYTES)
        check_in_quotes(buf_cstr(&sql));
    buf_free(&json);
    buf_free(&sql);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct input in = input(data, size);
    enum source_form form = (enum source_form)input_below(&in, FORM_BYTES + 1);
    uint8_t options = input_u8(&in);
    const struct value_policy policy = {"target", options & 1 ? NAN_NULL : NAN_STOP,
                                        (enum beyond)((options >> 1) % 3),
                                        (enum beyond)((options >> 3) % 3)};
    size_t n;
    char *text = input_bytes(&in, 4096, &n);
    if (form != FORM_BYTES)
        n = strlen(text); /* PostgreSQL's text has no zero byte */
    const struct value v = {form == FORM_BYTES ? VALUE_BYTES : VALUE_TEXT, (uint32_t)n, text};
    if (form != FORM_BYTES)
        check_readers(&v, text);
    check_mysql(&v, form, &policy);
    check_mssql(&v, form, &policy);
    free(text);
    return 0;
}
