#include "sql/source_value.h"

#include <float.h>
#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "frames/pg_type.h"

#define MOST_BITS   64 /* of a number */
#define DATE_SIZE   10
#define LAST_TIME   "23:59:59.999999"
#define LAST_MOMENT "9999-12-31 " LAST_TIME

/* ---- types ---- */

enum source_form source_type_form(const struct column *c)
{
    static const struct {
        uint32_t oid;
        enum source_form form;
    } forms[] = {{PG_TYPE_INT4, FORM_INTEGER},  {PG_TYPE_INT8, FORM_INTEGER},
                 {PG_TYPE_INT2, FORM_INTEGER},  {PG_TYPE_OID, FORM_INTEGER},
                 {PG_TYPE_BOOL, FORM_BOOL},     {PG_TYPE_BIT, FORM_BITS},
                 {PG_TYPE_FLOAT4, FORM_SINGLE}, {PG_TYPE_FLOAT8, FORM_DOUBLE},
                 {PG_TYPE_MONEY, FORM_MONEY},   {PG_TYPE_NUMERIC, FORM_DECIMAL},
                 {PG_TYPE_DATE, FORM_DATE},     {PG_TYPE_TIMESTAMP, FORM_TIMESTAMP},
                 {PG_TYPE_TIME, FORM_TIME},     {PG_TYPE_TIMESTAMPTZ, FORM_TIMESTAMPTZ},
                 {PG_TYPE_UUID, FORM_UUID},     {PG_TYPE_BYTEA, FORM_BYTES}};
    for (size_t i = 0; i < sizeof forms / sizeof *forms; i++)
        if (forms[i].oid == c->base_type_oid)
            return forms[i].form;
    return FORM_TEXT;
}

/* A decimal type would round or refuse what a numeric without a limit, or with a larger one, has;
 * text keeps every digit, NaN and infinity. */
enum source_form source_form(const struct column *c, const struct target_types *types)
{
    enum source_form form = source_type_form(c);
    unsigned int precision, scale;
    if (form >= FORM_TEXT)
        return form;
    bool fits = form == FORM_DECIMAL ? pg_numeric_size(c->typmod, &precision, &scale) &&
                                           precision <= types->precision && scale <= types->scale
                : form == FORM_BITS ? c->typmod >= 1 && c->typmod <= (int32_t)types->bits
                                    : types->names[form] != NULL;
    return fits ? form : FORM_TEXT;
}

bool source_declare(const struct column *c, const struct target_types *types, struct buf *out)
{
    enum source_form form = source_form(c, types);
    unsigned int precision, scale;
    if (form >= FORM_TEXT)
        return false;
    const char *name = c->base_type_oid == PG_TYPE_INT2   ? types->int2
                       : c->base_type_oid == PG_TYPE_INT4 ? types->int4
                       : c->base_type_oid == PG_TYPE_OID  ? types->oid
                                                          : types->names[form];
    buf_append_str(out, name);
    if (form == FORM_DECIMAL && pg_numeric_size(c->typmod, &precision, &scale))
        buf_printf(out, "(%u,%u)", precision, scale);
    else if (form == FORM_BITS)
        buf_printf(out, "(%" PRId32 ")", c->typmod);
    return true;
}

/* ---- values ---- */

enum reading read_refuse(const char *what, struct err *err)
{
    (void)err_set(err, ERR_PERMANENT, "the value is not %s", what);
    return READ_FAILED;
}

enum reading read_other_kind(const struct value *v, bool bytes, struct err *err)
{
    switch (v->kind) {
    case VALUE_NULL:
        return READ_NULL;
    case VALUE_UNCHANGED:
        (void)err_set(err, ERR_PERMANENT, "the value was not sent (an unchanged TOASTed value)");
        return READ_FAILED;
    case VALUE_TEXT:
    case VALUE_BYTES:
        break;
    }
    return read_refuse(bytes ? "bytes, as its type says it is" : "text, as its type says it is",
                       err);
}

/* Whether what the policy puts there instead is a value. */
static enum reading instead(enum beyond beyond)
{
    return beyond == BEYOND_STOP ? READ_FAILED : beyond == BEYOND_NULL ? READ_NULL : READ_VALUE;
}

static enum reading read_bits(struct source_cell *cell, const struct value *v, struct err *err)
{
    uint64_t n = 0;
    if (v->size > MOST_BITS)
        return read_refuse("a bit string of at most 64 bits", err);
    for (uint32_t i = 0; i < v->size; i++) {
        if (v->data[i] != '0' && v->data[i] != '1')
            return read_refuse("a bit string", err);
        n = n << 1 | (uint64_t)(v->data[i] == '1');
    }
    cell->value.integer = (int64_t)n;
    return READ_VALUE;
}

/* Infinity becomes the largest number of the precision. */
static enum reading read_real(double *out, bool single, const struct value *v,
                              const struct value_policy *policy, struct err *err)
{
    if (!pg_text_real(v, single, out))
        return read_refuse("a floating-point number", err);
    if (isnan(*out))
        return instead(policy_nan(policy, err));
    if (!isinf(*out))
        return READ_VALUE;
    *out = copysign(single ? (double)FLT_MAX : DBL_MAX, *out);
    return instead(policy_infinity(policy, err));
}

static enum reading read_decimal(const struct value *v, const struct value_policy *policy,
                                 struct err *err)
{
    if (pg_text_is(v, "NaN"))
        return instead(policy_nan(policy, err));
    return pg_text_decimal(v) ? READ_VALUE : read_refuse("a decimal number", err);
}

/* The first or the last moment, where the policy wants it. */
static enum reading read_extreme(struct source_cell *cell, enum source_form form, const char *text,
                                 enum beyond beyond)
{
    cell->value.text = text;
    cell->size = form == FORM_DATE ? DATE_SIZE : strlen(text);
    return instead(beyond);
}

/* What lies outside the years that the target has. */
static enum beyond outside(bool before, const struct target_types *types,
                           const struct value_policy *policy, struct err *err)
{
    char what[64];
    (void)snprintf(what, sizeof what, "%s, outside the years %u to 9999",
                   before ? types->before : "after 9999", types->first_year);
    return policy_date(policy, what, err);
}

static enum reading read_moment(struct source_cell *cell, enum source_form form,
                                const struct value *v, const struct target_types *types,
                                const struct value_policy *policy, char *room, struct err *err)
{
    struct pg_moment m;
    enum pg_date date = pg_text_date(v, &m);
    bool finite = date != PG_DATE_MINUS_INFINITY && date != PG_DATE_INFINITY;
    if (date == PG_DATE_NONE || (finite && m.time != (form != FORM_DATE)))
        return read_refuse(form == FORM_DATE ? "a date" : "a timestamp", err);
    if (finite && m.zone != (form == FORM_TIMESTAMPTZ))
        return read_refuse(m.zone ? "a timestamp without time zone" : "a timestamp with time zone",
                           err);
    if (date == PG_DATE_BC || date == PG_DATE_MINUS_INFINITY ||
        (date == PG_DATE_YEAR && m.year < types->first_year)) {
        (void)snprintf(room, PG_MONEY_SIZE, "%04u-01-01 00:00:00", types->first_year);
        return read_extreme(cell, form, room,
                            date == PG_DATE_MINUS_INFINITY ? policy_infinity(policy, err)
                                                           : outside(true, types, policy, err));
    }
    if (date != PG_DATE_YEAR)
        return read_extreme(cell, form, LAST_MOMENT,
                            date == PG_DATE_INFINITY ? policy_infinity(policy, err)
                                                     : outside(false, types, policy, err));
    if (form == FORM_TIMESTAMPTZ && !pg_text_ends(v, "+00"))
        return read_refuse("a timestamp with time zone in UTC", err);
    if (form == FORM_TIMESTAMPTZ)
        cell->size -= 3;
    return READ_VALUE;
}

static enum reading read_time(struct source_cell *cell, const struct value *v,
                              const struct target_types *types, const struct value_policy *policy,
                              struct err *err)
{
    static const char what[] = "24:00:00, beyond the last time of a day";
    if (!pg_text_time(v))
        return read_refuse("a time", err);
    return !types->midnight && pg_text_is(v, "24:00:00")
               ? read_extreme(cell, FORM_TIME, LAST_TIME, policy_date(policy, what, err))
               : READ_VALUE;
}

/* Reads what is there, and of the right kind. */
static enum reading read_value(struct source_cell *cell, enum source_form form,
                               const struct value *v, const struct target_types *types,
                               const struct value_policy *policy, char *room, struct err *err)
{
    bool b = false;
    enum reading reading;
    if (!source_form_is_number(form)) {
        cell->value.text = v->data;
        cell->size = v->size;
    }
    switch (form) {
    case FORM_BOOL:
        reading = read_bool(v, &b, err);
        cell->value.integer = b;
        return reading;
    case FORM_INTEGER:
        return read_integer(v, &cell->value.integer, err);
    case FORM_BITS:
        return read_bits(cell, v, err);
    case FORM_SINGLE:
    case FORM_DOUBLE:
        return read_real(&cell->value.real, form == FORM_SINGLE, v, policy, err);
    case FORM_DECIMAL:
        return read_decimal(v, policy, err);
    case FORM_MONEY:
        cell->value.text = room;
        return pg_text_money(v, room, &cell->size)
                   ? READ_VALUE
                   : read_refuse("an amount of money under lc_monetary = C", err);
    case FORM_DATE:
    case FORM_TIMESTAMP:
    case FORM_TIMESTAMPTZ:
        return read_moment(cell, form, v, types, policy, room, err);
    case FORM_TIME:
        return read_time(cell, v, types, policy, err);
    case FORM_UUID:
        return pg_text_uuid(v) ? READ_VALUE : read_refuse("a uuid", err);
    case FORM_TEXT:
    case FORM_BYTES:
        return READ_VALUE;
    }
    BUG("unknown form");
}

int source_read_any(struct source_cell *cell, enum source_form form, const struct value *v,
                    const struct target_types *types, const struct value_policy *policy,
                    char room[PG_MONEY_SIZE], struct err *err)
{
    enum reading reading = read_kind(v, form == FORM_BYTES, err);
    cell->size = 0;
    cell->null = false;
    if (reading == READ_VALUE)
        reading = read_value(cell, form, v, types, policy, room, err);
    if (reading != READ_NULL)
        return reading == READ_FAILED ? -1 : 0;
    cell->null = true;
    cell->size = 0;
    if (source_form_is_number(form))
        cell->value.integer = 0;
    else
        cell->value.text = "";
    return 0;
}

/* ---- values read back ---- */

_Static_assert(STORED_ROOM >= PG_MONEY_SIZE, "room for what source_read() makes");

static void set_cell(struct stored *out, enum source_form form, const struct value *v,
                     const struct source_cell *cell)
{
    *out = (struct stored){.kind = STORED_TEXT, .data = cell->value.text, .size = cell->size};
    switch (form) {
    case FORM_BOOL:
    case FORM_INTEGER:
    case FORM_BITS:
        *out = (struct stored){.kind = STORED_INTEGER, .integer = cell->value.integer};
        return;
    case FORM_SINGLE:
    case FORM_DOUBLE:
        *out = (struct stored){.kind = STORED_REAL,
                               .real = cell->value.real,
                               .chosen = pg_text_is(v, "Infinity") || pg_text_is(v, "-Infinity")};
        return;
    case FORM_DECIMAL:
    case FORM_MONEY:
        out->kind = STORED_DECIMAL;
        return;
    case FORM_DATE:
    case FORM_TIME:
    case FORM_TIMESTAMP:
    case FORM_TIMESTAMPTZ:
        stored_set_moment(out, cell->value.text, cell->size);
        out->chosen = cell->value.text != v->data;
        return;
    case FORM_BYTES:
        out->kind = STORED_BYTES;
        return;
    case FORM_UUID:
    case FORM_TEXT:
        return;
    }
}

void source_stored(struct stored *out, enum source_form form, const struct value *v,
                   const struct target_types *types, const struct value_policy *policy,
                   char room[STORED_ROOM])
{
    struct source_cell cell;
    struct err refused = {0};
    if (source_read(&cell, form, v, types, policy, room, &refused))
        *out = (struct stored){.kind = STORED_NOTHING};
    else if (cell.null)
        *out = (struct stored){.kind = STORED_NULL, .chosen = v->kind != VALUE_NULL};
    else
        set_cell(out, form, v, &cell);
}
