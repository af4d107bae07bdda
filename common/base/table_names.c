#include "base/table_names.h"

#include <stdlib.h>
#include <string.h>

const char *table_names_take(const char *p, char stop, char *out)
{
    while (*p && *p != stop && *p != ',') {
        if (*p == '\\' && p[1])
            p++;
        *out++ = *p++;
    }
    *out = '\0';
    return p;
}

static int refuse(const char *text, bool schemas, struct err *err)
{
    (void)err_set(err, ERR_PERMANENT, "\"%s\" is not SCHEMA.TABLE,SCHEMA.TABLE", text);
    return err_hint(err,
                    "public.t%s; a dot, a comma or a backslash in a name has a backslash before it",
                    schemas ? ", or public.*" : "");
}

int table_names_add(struct table_names *t, const char *text, bool schemas, struct err *err)
{
    const char *p = text;
    do {
        while (*p == ' ')
            p++;
        struct table_name *items = realloc(t->items, (t->n + 1) * sizeof *items);
        if (!items)
            return err_nomem(err);
        t->items = items;
        struct table_name *item = &items[t->n++];
        size_t room = strlen(p) + 1;
        *item = (struct table_name){.namespace = malloc(room), .name = calloc(1, room)};
        if (!item->namespace || !item->name)
            return err_nomem(err);
        p = table_names_take(p, '.', item->namespace);
        if (*p++ != '.' || !*item->namespace)
            return refuse(text, schemas, err);
        item->whole = schemas && *p == '*' && (p[1] == ',' || p[1] == '\0');
        p = item->whole ? p + 1 : table_names_take(p, '.', item->name);
        if (*p == '.' || (!*item->name && !item->whole))
            return refuse(text, schemas, err);
    } while (*p++ == ',');
    return 0;
}

void table_names_free(struct table_names *t)
{
    for (size_t i = 0; i < t->n; i++) {
        free(t->items[i].namespace);
        free(t->items[i].name);
    }
    free(t->items);
    *t = (struct table_names){0};
}

bool table_names_has(struct table_names *t, const char *namespace, const char *name)
{
    bool has = false;
    for (size_t i = 0; t && i < t->n; i++) {
        struct table_name *item = &t->items[i];
        if (strcmp(item->namespace, namespace) == 0 &&
            (item->whole || strcmp(item->name, name) == 0))
            has = item->met = true;
    }
    return has;
}

/* As table_names_take() reads it, and without the end of a line that is not escaped. A * alone may
 * be taken for every table. */
static void put_name(struct buf *out, const char *name)
{
    if (strcmp(name, "*") == 0)
        buf_append_byte(out, '\\');
    for (; *name; name++) {
        if (strchr(".,\\ \n", *name))
            buf_append_byte(out, '\\');
        buf_append_byte(out, (uint8_t)*name);
    }
}

void table_names_put(struct buf *out, const char *namespace, const char *name)
{
    put_name(out, namespace);
    buf_append_byte(out, '.');
    put_name(out, name);
}
