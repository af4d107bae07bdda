#include "tables.h"

#include <stdlib.h>
#include <string.h>

#include "base/hash.h"

#define MAX_NAME 512 /* of a schema and a table, of 63 bytes each */

const struct tables_column tables_columns[TABLES_COLUMNS] = {
    {"Inserts", "pg2any_events_by_type_total", "insert"},
    {"Updates", "pg2any_events_by_type_total", "update"},
    {"Deletes", "pg2any_events_by_type_total", "delete"},
    {"Truncates", "pg2any_events_by_type_total", "truncate"},
    {"Conflicts", "pg2any_conflicts_total", NULL},
    {"Left out", "pg2any_skipped_events_by_type_total", NULL},
};

struct counted {
    struct table_row row;
    double changes;
    UT_hash_handle hh;
    char name[];
};

static struct counted *counted_of(struct tables *t, const char *name)
{
    struct counted *c;
    size_t len = strlen(name);
    HASH_FIND(hh, t->counted, name, len, c);
    if (c)
        return c;
    c = calloc(1, sizeof *c + len + 1);
    bool added = false;
    if (c) {
        memcpy(c->name, name, len + 1);
        c->row.table = c->name;
        HASH_TRY_ADD_KEYPTR(t->counted, c->name, len, c, added);
    }
    if (added)
        return c;
    t->failed = true;
    free(c);
    return NULL;
}

static void read_column(struct tables *t, const struct stats_file *apply, size_t column)
{
    const struct tables_column *wanted = &tables_columns[column];
    struct stats_sample s;
    for (const char *at = NULL; stats_file_next(apply, wanted->metric, &at, &s);) {
        char name[MAX_NAME], type[32];
        if (!stats_sample_label(&s, "table", name, sizeof name))
            continue;
        if (wanted->type && (!stats_sample_label(&s, "event_type", type, sizeof type) ||
                             strcmp(type, wanted->type) != 0))
            continue;
        struct counted *c = counted_of(t, name);
        if (!c)
            return;
        c->row.counts[column] += s.value;
        c->changes += s.value;
        t->used[column] |= s.value > 0;
    }
}

static int by_changes(const struct counted *a, const struct counted *b)
{
    return a->changes != b->changes ? (a->changes < b->changes ? 1 : -1) : strcmp(a->name, b->name);
}

void tables_read(struct tables *t, const struct stats_file *apply)
{
    *t = (struct tables){.used = {true, true, true}}; /* the others are rare */
    for (size_t i = 0; i < TABLES_COLUMNS; i++)
        read_column(t, apply, i);
    HASH_SRT(hh, t->counted, by_changes);
    for (const struct counted *c = t->counted; c; c = c->hh.next) {
        if (t->nshown < TABLES_SHOWN)
            t->shown[t->nshown++] = &c->row;
        t->n++;
    }
}

void tables_free(struct tables *t)
{
    struct counted *c, *next;
    HASH_ITER (hh, t->counted, c, next) {
        HASH_DEL(t->counted, c);
        free(c);
    }
}
