/*
 * relation_spec.h - relations as text, for tests of what follows from two versions of one.
 */
#ifndef PG2ANY_TESTS_RELATION_SPEC_H
#define PG2ANY_TESTS_RELATION_SPEC_H

#include <stdint.h>

#include "frames/relation.h"

#define SPEC_COLUMNS    8
#define SPEC_ATTRIBUTES 16

/* A relation is its name, then a column each: name/attnum/type[/fill]; attnum 0 is unknown, the
 * fill is "?" or "=value"; the first `npk` columns are the primary key, -1: unknown. Where all
 * attnums are known, the catalog has been asked and shows the relation as it was: attributes
 * between those of its columns are dropped ones. */
struct relation_spec {
    const char *text; /* NULL: none */
    int npk;
    uint32_t relid; /* 0: 7 */
};

struct parsed_relation {
    char *copy; /* to be freed */
    struct column columns[SPEC_COLUMNS];
    uint32_t pk[SPEC_COLUMNS];
    char attributes[SPEC_ATTRIBUTES + 1];
    struct relation rel;
};

void relation_spec_parse(const struct relation_spec *spec, struct parsed_relation *p);

#endif
