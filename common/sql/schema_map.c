#include "sql/schema_map.h"

#include <stdlib.h>
#include <string.h>

#include "base/table_names.h"

static int add_entry(struct schema_map *m, struct err *err)
{
    struct schema_map_entry *entries = realloc(m->entries, (m->n + 1) * sizeof *entries);
    if (!entries)
        return err_nomem(err);
    m->entries = entries;
    entries[m->n++] = (struct schema_map_entry){NULL, NULL};
    return 0;
}

int schema_map_parse(struct schema_map *m, const char *text, struct err *err)
{
    *m = (struct schema_map){0};
    const char *p = text ? text : "";
    while (*p) {
        if (add_entry(m, err))
            return -1;
        struct schema_map_entry *e = &m->entries[m->n - 1];
        size_t room = strlen(p) + 1;
        e->from = malloc(room);
        e->to = malloc(room);
        if (!e->from || !e->to)
            return err_nomem(err);
        *e->to = '\0';
        p = table_names_take(p, ':', e->from);
        if (*p != ':' || !*e->from)
            return err_set(err, ERR_PERMANENT,
                           "--schema-map: \"%s\" is not a list of from:to,from:to", text);
        p = table_names_take(p + 1, ',', e->to);
        if (*p == ',')
            p++;
        for (size_t i = 0; i + 1 < m->n; i++)
            if (strcmp(m->entries[i].from, e->from) == 0)
                return err_set(err, ERR_PERMANENT, "--schema-map: the schema %s is named twice",
                               e->from);
    }
    return 0;
}

void schema_map_free(struct schema_map *m)
{
    for (size_t i = 0; i < m->n; i++) {
        free(m->entries[i].from);
        free(m->entries[i].to);
    }
    free(m->entries);
    *m = (struct schema_map){0};
}

const char *schema_map_find(const struct schema_map *m, const char *schema)
{
    for (size_t i = 0; i < m->n; i++)
        if (strcmp(m->entries[i].from, schema) == 0)
            return m->entries[i].to;
    return NULL;
}
