/*
 * stored.h - a value as it stands in a target: what reading it back gives, and what reading a value
 * of the source back would give, in one form for both. Two are equal where the bytes are that
 * stored_put() makes of them.
 *
 * So no text of one database is compared with that of another: numbers are numbers, a double is its
 * bits, a decimal its digits without zeros that mean nothing, and what is text to a target is the
 * bytes of it.
 */
#ifndef PG2ANY_STORED_H
#define PG2ANY_STORED_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"
#include "frames/relation.h"

enum stored_kind {
    STORED_NULL,
    STORED_INTEGER, /* and a boolean, as 0 or 1; a bit(n), as a number */
    STORED_REAL,    /* neither NaN; -0 is 0, which PostgreSQL takes for equal */
    STORED_DECIMAL, /* text: digits, a sign, a point, an exponent; something else is text */
    STORED_TEXT,
    STORED_BYTES,
    STORED_NOTHING, /* of a source's value: the target has none for it, so that nothing is equal */
};

struct stored {
    enum stored_kind kind;
    bool chosen; /* of a source's value: it is what a policy puts in its place (--nan, …) */
    int64_t integer;
    double real;
    const char *data; /* of a decimal, text, bytes; borrowed */
    size_t size;
};

/* Enough for the text that a driver makes of a value. */
#define STORED_ROOM 64

/* A date or time, of which the zeros at the end of a fraction of a second mean nothing. */
void stored_set_moment(struct stored *s, const char *data, size_t size);

/* An integer, where a target holds it as text that is exactly that; otherwise text. */
void stored_set_digits(struct stored *s, const char *data, size_t size);

/* Appends what tells it from others, and where it ends. */
void stored_put(struct buf *out, const struct stored *s);

/* Appends it as PostgreSQL would read it for that column; nothing for a NULL. */
void stored_put_text(struct buf *out, const struct column *c, const struct stored *s);

#endif
