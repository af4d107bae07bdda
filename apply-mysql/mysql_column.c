#include "mysql_column.h"

#include <string.h>
#include <strings.h>

#include "frames/pg_type.h"

static bool is_any(const char *word, const char *const *list)
{
    for (; *list; list++)
        if (strcasecmp(word, *list) == 0)
            return true;
    return false;
}

static const char *const text_types[] = {"varchar",    "tinytext", "text",
                                         "mediumtext", "longtext", NULL};
static const char *const bytes_types[] = {"varbinary",  "tinyblob", "blob",
                                          "mediumblob", "longblob", NULL};

/* Bytes of an integer type; 0: it is none. */
static int integer_bytes(const char *data_type)
{
    static const struct {
        const char *name;
        int bytes;
    } types[] = {{"tinyint", 1}, {"smallint", 2}, {"mediumint", 3}, {"int", 4}, {"bigint", 8}};
    for (size_t i = 0; i < sizeof types / sizeof *types; i++)
        if (strcasecmp(data_type, types[i].name) == 0)
            return types[i].bytes;
    return 0;
}

static bool is_unsigned(const struct target_column *t)
{
    return strcasestr(t->column_type, "unsigned") != NULL;
}

bool collation_is_exact(const char *collation)
{
    static const char nopad[] = "_nopad_bin"; /* MariaDB */
    size_t n = strlen(collation), m = sizeof nopad - 1;
    return strcasecmp(collation, "utf8mb4_0900_bin") == 0 || strcasecmp(collation, "binary") == 0 ||
           (n > m && strcasecmp(collation + n - m, nopad) == 0);
}

/* ---- one target type each: whether it keeps the source's type ---- */

static bool integer_keeps(const struct column *c, const struct target_column *t)
{
    int bytes = integer_bytes(t->data_type);
    bool no_sign = is_unsigned(t);
    switch (c->base_type_oid) {
    case PG_TYPE_BOOL:
        return true;
    case PG_TYPE_INT2:
        return bytes >= 2 && !no_sign;
    case PG_TYPE_INT4:
        return bytes >= 4 && !no_sign;
    case PG_TYPE_INT8:
        return bytes >= 8 && !no_sign;
    case PG_TYPE_OID:
        return bytes >= 8 || (bytes == 4 && no_sign);
    default:
        return false;
    }
}

/* Of numeric without a limit a value may not fit; the server says so, with a note at least, and a
 * note is an error here. */
static bool decimal_keeps(const struct column *c, const struct target_column *t)
{
    unsigned int precision, scale;
    if (is_unsigned(t))
        return false;
    int64_t before = t->precision - t->scale;
    switch (c->base_type_oid) {
    case PG_TYPE_BOOL:
        return before >= 1;
    case PG_TYPE_INT2:
        return before >= 5;
    case PG_TYPE_INT4:
    case PG_TYPE_OID:
        return before >= 10;
    case PG_TYPE_INT8:
        return before >= 19;
    case PG_TYPE_MONEY:
        return before >= 17 && t->scale >= 2;
    case PG_TYPE_NUMERIC:
        if (c->typmod < 0)
            return true;
        return type_decimal(c->typmod, &precision, &scale) && t->scale >= (int64_t)scale &&
               before >= (int64_t)(precision - scale);
    default:
        return false;
    }
}

/* The precision of a time type's typmod; PostgreSQL's default is the microsecond. */
static bool decimals_kept(const struct column *c, const struct target_column *t)
{
    int64_t decimals = c->typmod >= 0 && c->typmod <= 6 ? c->typmod : 6;
    return t->datetime_decimals >= decimals;
}

static bool text_keeps(const struct column *c, const struct target_column *t)
{
    if (c->base_type_oid == PG_TYPE_BYTEA)
        return false;
    /* PostgreSQL's text may hold anything; what is not made of letters is ASCII. */
    return strncasecmp(t->collation, "utf8mb4_", 8) == 0 || form_of(c) != FORM_TEXT ||
           c->base_type_oid == PG_TYPE_NUMERIC || c->base_type_oid == PG_TYPE_UUID;
}

/* Values that differ, but not for a collation that ignores case, accents or trailing blanks. */
static bool needs_exact_collation(const struct column *c)
{
    return form_of(c) == FORM_TEXT && c->base_type_oid != PG_TYPE_UUID &&
           c->base_type_oid != PG_TYPE_NUMERIC && c->base_type_oid != PG_TYPE_BIT &&
           c->base_type_oid != PG_TYPE_VARBIT;
}

/* CHAR loses trailing blanks, which mean nothing in char(n) and which a uuid does not have. */
static bool char_keeps(const struct column *c, const struct target_column *t)
{
    return c->base_type_oid == PG_TYPE_UUID ? t->characters >= 36
           : c->base_type_oid == PG_TYPE_BPCHAR
               ? t->characters >= (int64_t)pg_type_characters(c) && pg_type_characters(c) > 0
               : false;
}

static bool keeps(const struct column *c, const struct target_column *t, enum mysql_form *form)
{
    enum mysql_form own = form_of(c);
    *form = own;
    if (integer_bytes(t->data_type))
        return integer_keeps(c, t);
    if (strcasecmp(t->data_type, "decimal") == 0) {
        if (own == FORM_TEXT)
            *form = FORM_DECIMAL; /* numeric without a limit */
        return decimal_keeps(c, t);
    }
    if (strcasecmp(t->data_type, "float") == 0 || strcasecmp(t->data_type, "double") == 0)
        return t->scale < 0 && (own == FORM_FLOAT || (own == FORM_DOUBLE && *t->data_type != 'f' &&
                                                      *t->data_type != 'F'));
    if (strcasecmp(t->data_type, "bit") == 0)
        return own == FORM_BOOL || (own == FORM_BITS && t->precision == c->typmod);
    if (strcasecmp(t->data_type, "date") == 0)
        return own == FORM_DATE;
    if (strcasecmp(t->data_type, "time") == 0)
        return own == FORM_TIME && decimals_kept(c, t);
    if (strcasecmp(t->data_type, "datetime") == 0)
        return (own == FORM_TIMESTAMP || own == FORM_TIMESTAMPTZ) && decimals_kept(c, t);
    if (is_any(t->data_type, text_types)) {
        *form = FORM_TEXT;
        return text_keeps(c, t);
    }
    if (strcasecmp(t->data_type, "char") == 0)
        return char_keeps(c, t);
    if (is_any(t->data_type, bytes_types))
        return own == FORM_BYTES || own == FORM_TEXT;
    if (strcasecmp(t->data_type, "uuid") == 0)
        return c->base_type_oid == PG_TYPE_UUID;
    return false;
}

static const char *type_name(const struct column *c)
{
    return *c->type_name ? c->type_name : "the source's type";
}

int target_column_check(const struct column *c, const struct target_column *t, bool identity,
                        enum mysql_form *form, struct err *err)
{
    if (strcasestr(t->extra, "VIRTUAL GENERATED") || strcasestr(t->extra, "STORED GENERATED") ||
        strcasestr(t->extra, "PERSISTENT"))
        return err_set(err, ERR_PERMANENT, "column %s is generated in the target", c->name);
    if (strcasestr(t->extra, "on update"))
        return err_set(err, ERR_PERMANENT, "column %s changes by itself in the target (%s)",
                       c->name, t->extra);
    if (!keeps(c, t, form)) {
        (void)err_set(err, ERR_PERMANENT,
                      "column %s has the type %s in the target, which does not keep every value of "
                      "%s as it is",
                      c->name, t->column_type, type_name(c));
        return err_hint(err, "docs/MYSQL.md says which types do");
    }
    if (identity && *form == FORM_TEXT && !is_any(t->data_type, bytes_types) &&
        needs_exact_collation(c) && !collation_is_exact(t->collation)) {
        (void)err_set(err, ERR_PERMANENT,
                      "column %s identifies rows, and its collation %s in the target takes values "
                      "for equal that differ at the source",
                      c->name, t->collation);
        return err_hint(err, "make it utf8mb4_nopad_bin (MariaDB) or utf8mb4_0900_bin (MySQL)");
    }
    return 0;
}

bool target_column_holds(const struct column *c, const struct target_column *t)
{
    uint32_t most = pg_type_characters(c);
    if (strcasecmp(t->data_type, "decimal") == 0 && c->base_type_oid == PG_TYPE_NUMERIC)
        return c->typmod >= 0;
    if (form_of(c) != FORM_TEXT || t->characters < 0)
        return true;
    return strcasecmp(t->data_type, "longtext") == 0 || (most && t->characters >= (int64_t)most);
}
