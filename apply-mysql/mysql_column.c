/* A column that is in the target table, made by us or by hand: whether it keeps what its column at
 * the source sends, and how values are bound to it. */
#include <string.h>
#include <strings.h>

#include "frames/pg_type.h"
#include "mysql_driver.h"
#include "sql/column_fit.h"

static const char *const text_types[] = {"varchar",    "tinytext", "text",
                                         "mediumtext", "longtext", NULL};
static const char *const bytes_types[] = {"varbinary",  "tinyblob", "blob",
                                          "mediumblob", "longblob", NULL};

/* Bytes of an integer type; 0: it is none. */
static int integer_bytes(const char *type)
{
    static const struct {
        const char *name;
        int bytes;
    } types[] = {{"tinyint", 1}, {"smallint", 2}, {"mediumint", 3}, {"int", 4}, {"bigint", 8}};
    for (size_t i = 0; i < sizeof types / sizeof *types; i++)
        if (strcasecmp(type, types[i].name) == 0)
            return types[i].bytes;
    return 0;
}

static bool is(const struct described_column *there, const char *type)
{
    return strcasecmp(there->type, type) == 0;
}

static bool is_unsigned(const struct described_column *there)
{
    return strcasestr(there->declared, "unsigned") != NULL;
}

/* Whether two values are equal in a collation only when they are equal byte by byte. */
static bool collation_is_exact(const char *collation)
{
    static const char nopad[] = "_nopad_bin"; /* MariaDB */
    size_t n = strlen(collation), m = sizeof nopad - 1;
    return strcasecmp(collation, "utf8mb4_0900_bin") == 0 || strcasecmp(collation, "binary") == 0 ||
           (n > m && strcasecmp(collation + n - m, nopad) == 0);
}

/* ---- one target type each: whether it keeps the source's type ---- */

static bool integer_keeps(const struct column *c, const struct described_column *there)
{
    int bytes = integer_bytes(there->type);
    bool no_sign = is_unsigned(there);
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
static bool decimal_keeps(const struct column *c, const struct described_column *there)
{
    if (is_unsigned(there))
        return false;
    if (c->base_type_oid == PG_TYPE_BOOL)
        return there->precision > there->scale;
    return (c->base_type_oid == PG_TYPE_NUMERIC && c->typmod < 0) || fit_decimal(c, there);
}

static bool text_keeps(const struct column *c, const struct described_column *there)
{
    if (c->base_type_oid == PG_TYPE_BYTEA)
        return false;
    /* PostgreSQL's text may hold anything; what is not made of letters is ASCII. */
    return strncasecmp(there->collation, "utf8mb4_", 8) == 0 || my_form_of(c) != FORM_TEXT ||
           c->base_type_oid == PG_TYPE_NUMERIC || c->base_type_oid == PG_TYPE_UUID;
}

/* Values that differ, but not for a collation that ignores case, accents or trailing blanks. */
static bool needs_exact_collation(const struct column *c)
{
    return my_form_of(c) == FORM_TEXT && c->base_type_oid != PG_TYPE_UUID &&
           c->base_type_oid != PG_TYPE_NUMERIC && c->base_type_oid != PG_TYPE_BIT &&
           c->base_type_oid != PG_TYPE_VARBIT;
}

/* CHAR loses trailing blanks, which mean nothing in char(n) and which a uuid does not have. */
static bool char_keeps(const struct column *c, const struct described_column *there)
{
    return c->base_type_oid == PG_TYPE_UUID ? there->length >= 36
           : c->base_type_oid == PG_TYPE_BPCHAR
               ? there->length >= (int64_t)pg_type_characters(c) && pg_type_characters(c) > 0
               : false;
}

static bool keeps(const struct column *c, const struct described_column *there,
                  enum source_form *form)
{
    enum source_form own = my_form_of(c);
    *form = own;
    if (integer_bytes(there->type))
        return integer_keeps(c, there);
    if (is(there, "decimal")) {
        if (own == FORM_TEXT)
            *form = FORM_DECIMAL; /* numeric without a limit */
        return decimal_keeps(c, there);
    }
    if (is(there, "float")) {
        *form = FORM_SINGLE;
        return there->scale < 0 && c->base_type_oid == PG_TYPE_FLOAT4;
    }
    if (is(there, "double"))
        return there->scale < 0 && own == FORM_DOUBLE;
    if (is(there, "bit"))
        return own == FORM_BOOL || (own == FORM_BITS && there->precision == c->typmod);
    if (is(there, "date"))
        return own == FORM_DATE;
    if (is(there, "time"))
        return own == FORM_TIME && fit_seconds(c, there->datetime_decimals);
    if (is(there, "datetime"))
        return (own == FORM_TIMESTAMP || own == FORM_TIMESTAMPTZ) &&
               fit_seconds(c, there->datetime_decimals);
    if (fit_is_any(there->type, text_types)) {
        *form = FORM_TEXT;
        return text_keeps(c, there);
    }
    if (is(there, "char"))
        return char_keeps(c, there);
    if (fit_is_any(there->type, bytes_types))
        return own == FORM_BYTES || own == FORM_TEXT;
    if (is(there, "uuid"))
        return c->base_type_oid == PG_TYPE_UUID;
    return false;
}

bool my_is_generated(const char *extra)
{
    return strcasestr(extra, "VIRTUAL GENERATED") || strcasestr(extra, "STORED GENERATED") ||
           strcasestr(extra, "PERSISTENT");
}

/* Whether no value of a column that is kept is too large. */
static bool holds(const struct column *c, const struct described_column *there)
{
    uint32_t most = pg_type_characters(c);
    if (is(there, "decimal") && c->base_type_oid == PG_TYPE_NUMERIC)
        return c->typmod >= 0;
    if (my_form_of(c) != FORM_TEXT || there->length < 0)
        return true;
    return is(there, "longtext") || (most && there->length >= (int64_t)most);
}

/* What the column does not accept is an error of the server when it comes, because the session is
 * strict. */
int my_fit(struct driver *d, const struct column *c, const struct described_column *there,
           bool identity, struct fit *fit, struct err *err)
{
    enum source_form form;
    (void)d;
    if (there->generated)
        return err_set(err, ERR_PERMANENT, "column %s is generated in the target", c->name);
    if (strcasestr(there->extra, "on update"))
        return err_set(err, ERR_PERMANENT, "column %s changes by itself in the target (%s)",
                       c->name, there->extra);
    if (!keeps(c, there, &form))
        return fit_refuse_type(c, there->declared, "docs/MYSQL.md", err);
    if (identity && form == FORM_TEXT && !fit_is_any(there->type, bytes_types) &&
        needs_exact_collation(c) && !collation_is_exact(there->collation))
        return fit_refuse_collation(c, there,
                                    "utf8mb4_nopad_bin (MariaDB) or utf8mb4_0900_bin (MySQL)", err);
    if (identity && is(there, "char") && c->base_type_oid == PG_TYPE_BPCHAR) {
        (void)err_set(err, ERR_PERMANENT,
                      "column %s identifies rows, and its type %s in the target gives values back "
                      "without their trailing blanks, which the source sends",
                      c->name, there->declared);
        return err_hint(err, "make it a varchar of that length with the collation %s",
                        there->collation);
    }
    *fit = (struct fit){.form = (int)form, .holds = holds(c, there)};
    return 0;
}
