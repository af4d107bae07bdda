/*
 * tables.h - what an applier has counted of each table, from its statistics.
 */
#ifndef PG2ANY_TABLES_H
#define PG2ANY_TABLES_H

#include <stdbool.h>
#include <stddef.h>

#include "base/stats_file.h"

#define TABLES_COLUMNS 6
#define TABLES_SHOWN   50

struct tables_column {
    const char *title;
    const char *metric;
    const char *type; /* the samples with that event_type; NULL: all of the metric */
};
extern const struct tables_column tables_columns[TABLES_COLUMNS];

struct table_row {
    const char *table; /* "schema.name" */
    double counts[TABLES_COLUMNS];
};

struct counted;

struct tables {
    size_t n;      /* tables that there are */
    size_t nshown; /* those with the most changes, in front */
    const struct table_row *shown[TABLES_SHOWN];
    bool used[TABLES_COLUMNS]; /* there is something to show in it */
    bool failed;               /* there was no memory for all */
    struct counted *counted;
};

/* To be freed in any case. */
void tables_read(struct tables *t, const struct stats_file *apply);
void tables_free(struct tables *t);

#endif
