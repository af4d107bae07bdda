#include "sql/skip_tables.h"

#include <stdlib.h>
#include <string.h>

/* Copies up to an unescaped dot or comma; returns where it stopped. */
static const char *take_name(const char *p, char *out)
{
    while (*p && *p != '.' && *p != ',') {
        if (*p == '\\' && p[1])
            p++;
        *out++ = *p++;
    }
    *out = '\0';
    return p;
}

static int refuse(const char *text, struct err *err)
{
    (void)err_set(err, ERR_PERMANENT, "--skip-table: \"%s\" is not SCHEMA.TABLE,SCHEMA.TABLE",
                  text);
    return err_hint(err, "public.t; a dot, a comma or a backslash in a name has a backslash before "
                         "it");
}

static int parse(struct skip_tables *s, const char *text, struct err *err)
{
    const char *p = text;
    do {
        while (*p == ' ')
            p++;
        struct skip_table *items = realloc(s->items, (s->n + 1) * sizeof *items);
        if (!items)
            return err_nomem(err);
        s->items = items;
        struct skip_table *t = &items[s->n++];
        size_t room = strlen(p) + 1;
        *t = (struct skip_table){malloc(room), malloc(room), false};
        if (!t->namespace || !t->name)
            return err_nomem(err);
        p = take_name(p, t->namespace);
        if (*p != '.' || !*t->namespace)
            return refuse(text, err);
        p = take_name(p + 1, t->name);
        if (*p == '.' || !*t->name)
            return refuse(text, err);
    } while (*p++ == ',');
    return 0;
}

int skip_tables_parse(struct skip_tables *s, const struct option_list *given, struct err *err)
{
    *s = (struct skip_tables){0};
    for (size_t i = 0; i < given->n; i++)
        if (strcmp(given->items[i], "none") != 0 && parse(s, given->items[i], err))
            return -1;
    return 0;
}

void skip_tables_free(struct skip_tables *s)
{
    for (size_t i = 0; i < s->n; i++) {
        free(s->items[i].namespace);
        free(s->items[i].name);
    }
    free(s->items);
    *s = (struct skip_tables){0};
}

bool skip_tables_has(struct skip_tables *s, const char *namespace, const char *name)
{
    for (size_t i = 0; s && i < s->n; i++) {
        struct skip_table *t = &s->items[i];
        if (strcmp(t->namespace, namespace) == 0 && strcmp(t->name, name) == 0) {
            t->met = true;
            return true;
        }
    }
    return false;
}

/* As take_name() reads it, and without the end of a line that is not escaped. */
static void put_name(struct buf *out, const char *name)
{
    for (; *name; name++) {
        if (strchr(".,\\ \n", *name))
            buf_append_byte(out, '\\');
        buf_append_byte(out, (uint8_t)*name);
    }
}

void skip_tables_put(struct buf *out, const char *namespace, const char *name)
{
    put_name(out, namespace);
    buf_append_byte(out, '.');
    put_name(out, name);
}

int skip_tables_hint(const struct skip_tables *s, const struct relation *rel, struct err *err)
{
    struct buf table = {0};
    skip_tables_put(&table, rel->namespace, rel->name);
    if (s->n > 0)
        (void)err_hint(err, "or leave the table out: add %s to --skip-table", buf_cstr(&table));
    else
        (void)err_hint(err, "or leave the table out: --skip-table %s", buf_cstr(&table));
    buf_free(&table);
    return -1;
}
