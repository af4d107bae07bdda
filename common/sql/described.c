#include "sql/described.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

struct described_text {
    struct described_text *next;
    char text[];
};

void described_init(struct described_table *t)
{
    *t = (struct described_table){0};
}

void described_free(struct described_table *t)
{
    for (struct described_text *text = t->texts, *next; text; text = next) {
        next = text->next;
        free(text);
    }
    for (size_t i = 0; i < t->nindexes; i++)
        free(t->indexes[i].columns);
    free(t->columns);
    free(t->indexes);
    free(t->unfit);
    free(t->advice);
    described_init(t);
}

int described_check(const struct described_table *t, struct err *err)
{
    return t->failed ? err_nomem(err) : 0;
}

const char *described_text(struct described_table *t, const char *text)
{
    size_t size = text ? strlen(text) + 1 : 0;
    if (size <= 1)
        return "";
    struct described_text *copy = malloc(sizeof *copy + size);
    if (!copy) {
        t->failed = true;
        return "";
    }
    memcpy(copy->text, text, size);
    copy->next = t->texts;
    t->texts = copy;
    return copy->text;
}

/* Room for one more in an array; NULL: memory ran out. */
static void *grow(void *array, size_t n, size_t *cap, size_t size)
{
    if (n < *cap)
        return array;
    size_t more = *cap ? *cap * 2 : 16;
    void *grown = realloc(array, more * size);
    if (grown)
        *cap = more;
    return grown;
}

struct described_column *described_add_column(struct described_table *t, const char *name)
{
    static struct described_column lost;
    void *columns = grow(t->columns, t->ncolumns, &t->columns_cap, sizeof *t->columns);
    if (!columns) {
        t->failed = true;
        return &lost;
    }
    t->columns = columns;
    t->columns[t->ncolumns] = (struct described_column){
        .name = described_text(t, name),
        .type = "",
        .declared = "",
        .collation = "",
        .extra = "",
        .length = -1,
        .precision = -1,
        .scale = -1,
        .datetime_decimals = -1,
    };
    return &t->columns[t->ncolumns++];
}

static int64_t number(const char *text)
{
    return text ? strtoll(text, NULL, 10) : -1;
}

struct described_column *described_add_row(struct described_table *t, char *const *row)
{
    struct described_column *c = described_add_column(t, row[0]);
    c->type = described_text(t, row[1]);
    c->declared = described_text(t, row[2]);
    c->collation = described_text(t, row[3]);
    c->extra = described_text(t, row[4]);
    c->length = number(row[5]);
    c->precision = number(row[6]);
    c->scale = number(row[7]);
    c->datetime_decimals = number(row[8]);
    c->generated = number(row[9]) == 1;
    c->autonumber = number(row[10]) == 1;
    c->required = number(row[11]) == 1;
    return c;
}

/* NULL: memory ran out. */
static struct described_index *add_index(struct described_table *t, const char *name)
{
    void *indexes = grow(t->indexes, t->nindexes, &t->indexes_cap, sizeof *t->indexes);
    if (!indexes)
        return NULL;
    t->indexes = indexes;
    t->indexes[t->nindexes] =
        (struct described_index){.name = described_text(t, name), .unique = true};
    return &t->indexes[t->nindexes++];
}

void described_add_index_column(struct described_table *t, const char *index, bool primary,
                                bool unique, const char *column)
{
    struct described_index *last = t->nindexes ? &t->indexes[t->nindexes - 1] : NULL;
    if (!last || strcmp(last->name, index) != 0)
        last = add_index(t, index);
    const char **columns =
        last ? realloc(last->columns, (last->ncolumns + 1) * sizeof *columns) : NULL;
    if (!columns) {
        t->failed = true;
        return;
    }
    columns[last->ncolumns++] = described_text(t, column);
    last->columns = columns;
    last->primary = primary;
    last->unique = last->unique && unique;
}

void described_set_unfit(struct described_table *t, const char *advice, const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    if (vasprintf(&t->unfit, fmt, ap) < 0)
        t->unfit = NULL;
    va_end(ap);
    t->advice = advice ? strdup(advice) : NULL;
    t->failed = t->failed || !t->unfit || (advice && !t->advice);
}

bool described_same_name(const struct described_table *t, const char *a, const char *b)
{
    return (t->folds_case ? strcasecmp(a, b) : strcmp(a, b)) == 0;
}

const struct described_column *described_find(const struct described_table *t, const char *name)
{
    const struct described_column *found = NULL;
    for (size_t i = 0; i < t->ncolumns; i++) {
        if (strcmp(t->columns[i].name, name) == 0)
            return &t->columns[i];
        if (described_same_name(t, t->columns[i].name, name))
            found = &t->columns[i];
    }
    return found;
}
