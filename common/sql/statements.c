#include "sql/statements.h"

#include <stdlib.h>
#include <string.h>

void statements_init(struct statements *all, void (*free)(struct statement *s), size_t max)
{
    *all = (struct statements){.free = free, .max = max};
}

static void take_out(struct statements *all, struct statement *s)
{
    *(s->newer ? &s->newer->older : &all->newest) = s->older;
    *(s->older ? &s->older->newer : &all->oldest) = s->newer;
    s->newer = s->older = NULL;
}

static void put_first(struct statements *all, struct statement *s)
{
    s->older = all->newest;
    *(s->older ? &s->older->newer : &all->oldest) = s;
    all->newest = s;
}

static bool is_for(const struct statement *s, const struct statement_key *key)
{
    if (s->kind != key->kind || s->nrows != key->nrows || !s->columns != !key->columns)
        return false;
    return !key->columns || memcmp(s->columns, key->columns, key->list->ncolumns) == 0;
}

struct statement *statements_find(struct statements *all, const struct statement_key *key)
{
    struct statement **first = &key->list->first, **p = first;
    while (*p && !is_for(*p, key))
        p = &(*p)->next;
    struct statement *s = *p;
    if (!s)
        return NULL;
    if (p != first) { /* what is used often is found at once */
        *p = s->next;
        s->next = *first;
        *first = s;
    }
    if (s != all->newest) {
        take_out(all, s);
        put_first(all, s);
    }
    return s;
}

static void drop(struct statements *all, struct statement *s)
{
    struct statement **p = &s->list->first;
    while (*p != s)
        p = &(*p)->next;
    *p = s->next;
    take_out(all, s);
    all->n--;
    free(s->columns);
    all->free(s);
}

int statements_add(struct statements *all, const struct statement_key *key, struct statement *s,
                   struct err *err)
{
    s->columns = NULL;
    if (key->columns) {
        size_t n = key->list->ncolumns;
        s->columns = malloc(n + 1);
        if (!s->columns) {
            all->free(s);
            return err_nomem(err);
        }
        memcpy(s->columns, key->columns, n);
    }
    while (all->n >= all->max)
        drop(all, all->oldest);
    s->list = key->list;
    s->kind = key->kind;
    s->nrows = key->nrows;
    s->newer = s->older = NULL;
    s->next = key->list->first;
    key->list->first = s;
    put_first(all, s);
    all->n++;
    return 0;
}

bool statements_shrink(struct statements *all)
{
    size_t n = all->n;
    if (n == 0)
        return false;
    statements_clear(all);
    all->max = n > 1 ? n / 2 : 1;
    return true;
}

void statements_forget(struct statements *all, struct statement_list *list)
{
    while (list->first)
        drop(all, list->first);
}

void statements_clear(struct statements *all)
{
    while (all->oldest)
        drop(all, all->oldest);
}
