/*
 * relation.h - a table as one R frame describes it: what pgoutput's Relation message says and what
 * pg-capture looked up in the catalog beside it.
 *
 * The catalog is today's while the stream is of the past, so everything that comes from the catalog
 * may be unknown, and a reader must not do something irreversible on a guess.
 */
#ifndef PG2ANY_RELATION_H
#define PG2ANY_RELATION_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"

struct buf;
struct frame;

/* What rows that existed before the column was added hold in it. */
enum fill {
    FILL_UNKNOWN, /* a default that PostgreSQL evaluated row by row, or the catalog did not say */
    FILL_NULL,    /* no default */
    FILL_VALUE,   /* pg_attribute.attmissingval */
};

#define REPLICA_IDENTITY_DEFAULT 'd'
#define REPLICA_IDENTITY_NOTHING 'n'
#define REPLICA_IDENTITY_FULL    'f'
#define REPLICA_IDENTITY_INDEX   'i'

struct column {
    const char *name;
    uint32_t type_oid;      /* the column's own type: a domain's oid where it is one */
    uint32_t base_type_oid; /* the type below all domains; = type_oid where unknown */
    int32_t typmod;         /* atttypmod; the domain's where the type is a domain; -1: none */
    int32_t attnum;         /* pg_attribute.attnum; 0: unknown */
    bool key;               /* part of the replica identity (all columns under FULL) */
    bool not_null;          /* today; false where unknown */
    const char *type_name;  /* format_type(); "" where unknown */
    enum fill fill;
    bool fill_is_bytes; /* FILL_VALUE of a bytea: the bytes; otherwise PostgreSQL's text */
    const char *fill_value;
    size_t fill_size;
};

/*
 * One version of a relation: the R frame and what it says, together in one block of memory, which
 * everyone who needs this version shares. Nobody changes it once it is there.
 *
 * pg-capture, which makes relations, fills one in by itself, with pointers of its own: such a
 * relation has no frame and is not counted, so relation_ref() and relation_unref() are not for it.
 */
struct relation {
    uint32_t relid;
    const char *namespace;
    const char *name;
    char replica_identity;
    bool primary_key_known; /* false: the catalog could not be asked; npk is then 0 */
    uint32_t ncolumns;
    struct column *columns;
    uint32_t npk;
    uint32_t *pk; /* indexes into columns, in the key's order; empty: no usable primary key */

    const uint8_t *frame; /* the whole R frame, header included; NULL: not read from one */
    size_t frame_size;    /* bytes */
    uint32_t refs;
};

/*
 * Reads a relation from an R frame, which it copies. The caller gets one reference. A malformed
 * frame is a permanent error.
 */
MUST_CHECK int relation_from_frame(const struct frame *frame, struct relation **rel,
                                   struct err *err);

/* The same from bytes that should be one whole R frame; anything else is a permanent error. */
MUST_CHECK int relation_from_bytes(const void *data, size_t size, struct relation **rel,
                                   struct err *err);

struct relation *relation_ref(struct relation *rel); /* one reference more, for the caller */
void relation_unref(struct relation *rel);           /* NULL is allowed */

/* Whether both were read from the same bytes. */
bool relation_same_frame(const struct relation *a, const struct relation *b);

/* Whether `rel` is what `frame`, an R frame, describes, byte for byte. */
bool relation_is_of_frame(const struct relation *rel, const struct frame *frame);

/* The relid in an R frame that nobody has checked yet; 0: it has none. */
uint32_t relation_frame_relid(const struct frame *frame);

/* Appends the R frame for a relation that was filled in by hand. */
void relation_to_frame(const struct relation *rel, struct buf *out);

/*
 * Whether both came from the same Relation message, so that they differ at most in what the catalog
 * said when it was asked: it does not show a table as a transaction sees it that has not committed
 * yet.
 */
bool relation_same_message(const struct relation *a, const struct relation *b);

/* The column of that name, or -1. */
int relation_column(const struct relation *rel, const char *name);

#endif
