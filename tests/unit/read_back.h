/*
 * read_back.h - a relation that a test filled in by hand, as a reader of its frame has it.
 */
#ifndef PG2ANY_TEST_READ_BACK_H
#define PG2ANY_TEST_READ_BACK_H

#include "frames/relation.h"

/* One reference; never NULL. */
struct relation *read_back(const struct relation *rel);

#endif
