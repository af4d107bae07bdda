#include "sql/table_counts.h"

#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "base/hash.h"

struct key {
    uint64_t relid;
    const char *kind;
};

struct table_count {
    struct key key;
    char *table; /* schema.name, as it was when it was registered */
    uint64_t *counted;
    uint64_t pending;
    UT_hash_handle hh;
};

static bool is_of(const char *table, const struct relation *rel)
{
    size_t n = strlen(rel->namespace);
    return table && strncmp(table, rel->namespace, n) == 0 && table[n] == '.' &&
           strcmp(table + n + 1, rel->name) == 0;
}

/* The table is new, or renamed since. */
static void register_table(struct table_counts *t, struct table_count *c,
                           const struct relation *rel)
{
    struct buf table = {0}, labels = {0};
    buf_printf(&table, "%s.%s", rel->namespace, rel->name);
    stats_label(&labels, t->label, c->key.kind);
    stats_label(&labels, "table", buf_cstr(&table));
    c->counted = stats_register(t->stats, STATS_COUNTER, t->name, buf_cstr(&labels), t->help);
    free(c->table);
    c->table = strdup(buf_cstr(&table));
    buf_free(&table);
    buf_free(&labels);
}

void table_counts_add(struct table_counts *t, const struct relation *rel, const char *kind,
                      uint64_t n)
{
    if (!t->stats)
        return;
    struct key key = {.relid = rel->relid, .kind = kind};
    struct table_count *c;
    HASH_FIND(hh, t->counts, &key, sizeof key, c);
    if (!c) {
        c = calloc(1, sizeof *c);
        if (!c)
            return;
        c->key = key;
        bool added;
        HASH_TRY_ADD(t->counts, key, c, added);
        if (!added) {
            free(c);
            return;
        }
    }
    if (!is_of(c->table, rel))
        register_table(t, c, rel);
    c->pending += n;
}

void table_counts_commit(struct table_counts *t)
{
    for (struct table_count *c = t->counts; c; c = c->hh.next) {
        *c->counted += c->pending;
        c->pending = 0;
    }
}

void table_counts_reset(struct table_counts *t)
{
    for (struct table_count *c = t->counts; c; c = c->hh.next)
        c->pending = 0;
}

void table_counts_free(struct table_counts *t)
{
    struct table_count *c, *next;
    HASH_ITER (hh, t->counts, c, next) {
        HASH_DEL(t->counts, c);
        free(c->table);
        free(c);
    }
}
