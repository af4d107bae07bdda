/*
 * schema_map.h - --schema-map: which name a PostgreSQL schema has at the target.
 *
 * "a:b,c:d" maps a to b and c to d. A name may be empty on the right ("sales:"): the driver defines
 * what that means. A backslash makes the next character literal, for names with a comma or a colon.
 */
#ifndef PG2ANY_SCHEMA_MAP_H
#define PG2ANY_SCHEMA_MAP_H

#include <stddef.h>

#include "base/err.h"

struct schema_map_entry {
    char *from;
    char *to;
};

struct schema_map {
    size_t n;
    struct schema_map_entry *entries;
};

/* NULL or "" is an empty map. Permanent error on a syntax error or a schema that is named twice. */
MUST_CHECK int schema_map_parse(struct schema_map *m, const char *text, struct err *err);
void schema_map_free(struct schema_map *m);

/* The mapped name, borrowed, or NULL. */
const char *schema_map_find(const struct schema_map *m, const char *schema);

#endif
