/*
 * value.h - one column's value as frames carry it, and a tuple of them.
 *
 * The bytes are borrowed from the frame. A tuple has one value for each column of its relation, in
 * the relation's order; in a key tuple ('K') the columns outside the replica identity are
 * VALUE_NULL and mean nothing.
 */
#ifndef PG2ANY_VALUE_H
#define PG2ANY_VALUE_H

#include <stdbool.h>
#include <stdint.h>

enum value_kind {
    VALUE_NULL,
    VALUE_TEXT,      /* PostgreSQL's text output with the session settings of docs/FRAMES.md */
    VALUE_BYTES,     /* a bytea, hex undone */
    VALUE_UNCHANGED, /* a TOASTed value that the UPDATE did not touch and that was not sent */
};

struct value {
    enum value_kind kind;
    uint32_t size;    /* bytes */
    const char *data; /* not zero-terminated */
};

/* A decimal integer of 64 bits, with a sign or without; false for anything else. */
bool value_to_int64(const struct value *v, int64_t *number);

#endif
