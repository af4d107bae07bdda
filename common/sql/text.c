#include "sql/text.h"

#include <stdbool.h>
#include <string.h>

#include "sql/key_size.h"
#include "sql/own.h"
#include "sql/table.h"

void text_quote(struct buf *out, const char *name, char open, char close)
{
    buf_append_byte(out, (uint8_t)open);
    for (; *name; name++) {
        if (*name == close)
            buf_append_byte(out, (uint8_t)close);
        buf_append_byte(out, (uint8_t)*name);
    }
    buf_append_byte(out, (uint8_t)close);
}

void text_quote_standard(struct buf *out, const char *name)
{
    text_quote(out, name, '"', '"');
}

const char *text_unquote(const char *p, char open, char close, char *name, size_t size)
{
    size_t n = 0;
    if (*p++ != open)
        BUG("a name that is not quoted");
    for (;; p++) {
        if (*p == close && *++p != close)
            break;
        if (!*p || n + 1 >= size)
            BUG("a quoted name without an end, or a longer one than there can be");
        name[n++] = *p;
    }
    name[n] = '\0';
    return p;
}

void text_literal(struct buf *out, const char *text, size_t size)
{
    buf_append_byte(out, '\'');
    for (size_t i = 0; i < size; i++) {
        if (text[i] == '\'')
            buf_append_byte(out, '\'');
        buf_append_byte(out, (uint8_t)text[i]);
    }
    buf_append_byte(out, '\'');
}

static void append_name(struct buf *out, const char **comma, const char *name, text_quote_fn *quote)
{
    buf_append_str(out, *comma);
    quote(out, name);
    *comma = ", ";
}

void text_columns(struct buf *out, const struct relation *rel, const uint8_t *flags,
                  text_quote_fn *quote)
{
    const char *comma = "";
    for (uint32_t i = 0; i < rel->ncolumns; i++)
        if (!flags || flags[i])
            append_name(out, &comma, rel->columns[i].name, quote);
}

void text_primary_key(struct buf *out, const struct relation *rel, text_quote_fn *quote)
{
    const char *comma = "";
    for (uint32_t i = 0; i < rel->npk; i++)
        append_name(out, &comma, rel->columns[rel->pk[i]].name, quote);
}

void text_identity(struct buf *out, const struct relation *rel, text_quote_fn *quote)
{
    const char *comma = "";
    for (uint32_t i = 0; i < rel->ncolumns; i++)
        if (rel->columns[i].key)
            append_name(out, &comma, rel->columns[i].name, quote);
}

void text_copy(struct buf *out, const char *text, size_t size)
{
    static const char special[] = "\b\f\n\r\t\v\\", letters[] = "bfnrtv\\";
    for (size_t i = 0; i < size; i++) {
        const char *p = text[i] ? strchr(special, text[i]) : NULL;
        if (p)
            buf_append_byte(out, '\\');
        buf_append_byte(out, (uint8_t)(p ? letters[p - special] : text[i]));
    }
}

void text_hex(struct buf *out, const void *data, size_t size)
{
    static const char digits[] = "0123456789abcdef";
    const unsigned char *p = data;
    uint8_t *to = buf_reserve(out, 2 * size);
    for (size_t i = 0; to && i < size; i++) {
        *to++ = (uint8_t)digits[p[i] >> 4];
        *to++ = (uint8_t)digits[p[i] & 15];
    }
    if (to)
        out->len += 2 * size;
}

void text_bytes(struct buf *out, const void *data, size_t size)
{
    buf_append_str(out, "X'");
    text_hex(out, data, size);
    buf_append_byte(out, '\'');
}

int text_flat_name(const struct schema_map *map, const struct relation *rel, struct buf *out,
                   struct err *err)
{
    const char *mapped = schema_map_find(map, rel->namespace);
    const char *prefix = mapped ? mapped : rel->namespace;
    if (*prefix && strcmp(prefix, "public") != 0)
        buf_printf(out, "%s_", prefix);
    buf_append_str(out, rel->name);
    return buf_check(out, err) ? -1 : own_refuse_name(buf_cstr(out), "another name", err);
}

struct value text_fill(const struct column *c)
{
    return (struct value){
        .kind = c->fill_is_bytes ? VALUE_BYTES : VALUE_TEXT,
        .size = (uint32_t)c->fill_size,
        .data = c->fill_value,
    };
}

void text_declaration(struct driver *d, const struct text_dialect *dialect,
                      const struct relation *rel, uint32_t column, const char *not_null,
                      struct buf *sql)
{
    const char *caveat;
    dialect->quote(sql, rel->columns[column].name);
    buf_append_byte(sql, ' ');
    dialect->declare(d, rel, column, sql, &caveat);
    buf_append_str(sql, not_null ? not_null : dialect->null);
}

void text_table(struct driver *d, const struct text_dialect *dialect, const struct step *step,
                const char *key, const char *primary, struct buf *sql)
{
    const struct relation *rel = step->rel;
    buf_append_str(sql, "CREATE TABLE ");
    dialect->quote_table(sql, step->table);
    buf_append_str(sql, " (");
    for (uint32_t i = 0; i < rel->ncolumns; i++) {
        buf_append_str(sql, i ? ", " : "");
        text_declaration(d, dialect, rel, i, key_has_column(rel, i) ? key : NULL, sql);
    }
    buf_append_str(sql, rel->ncolumns ? "" : dialect->no_columns);
    if (rel->npk > 0 && primary) {
        buf_printf(sql, ", %s (", primary);
        text_primary_key(sql, rel, dialect->quote);
        buf_append_byte(sql, ')');
    }
}

void text_alter(const struct text_dialect *dialect, const struct step *step, struct buf *sql)
{
    const char *name = step->name, *to = step->to;
    buf_append_str(sql, "ALTER TABLE ");
    dialect->quote_table(sql, step->table);
    if (name) {
        buf_append_str(sql, to ? " RENAME COLUMN " : " DROP COLUMN ");
        dialect->quote(sql, name);
    }
    if (to) {
        buf_append_str(sql, name ? " TO " : " RENAME TO ");
        (name ? dialect->quote : dialect->quote_table)(sql, to);
    }
}

int text_run(struct driver *d, struct buf *sql,
             int (*run)(struct driver *d, const char *sql, struct err *err), struct err *err)
{
    int rc = buf_check(sql, err);
    if (rc == 0)
        rc = run(d, buf_cstr(sql), err);
    buf_free(sql);
    return rc;
}

int text_truncate(struct driver *d, const struct text_dialect *dialect,
                  struct target_table *const *tables, size_t ntables, text_run_fn *run,
                  size_t *failed, struct err *err)
{
    for (size_t i = 0; i < ntables; i++) {
        struct buf sql = {0};
        buf_append_str(&sql, "DELETE FROM ");
        dialect->quote_table(&sql, tables[i]->name);
        if (run(d, &sql, err)) {
            *failed = i;
            return err_context(err, "table %s", tables[i]->name);
        }
    }
    return 0;
}

int text_change(struct driver *d, struct buf *sql, struct buf *show, text_run_fn *run,
                struct err *err)
{
    if (!show)
        return run(d, sql, err);
    int rc = buf_check(sql, err);
    if (rc == 0) {
        buf_append(show, sql->data, sql->len);
        buf_append_str(show, ";\n");
    }
    buf_free(sql);
    return rc;
}
