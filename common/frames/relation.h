/*
 * relation.h - a table as one R frame describes it: what pgoutput's Relation message says and what
 * pg-capture looked up in the catalog beside it.
 *
 * The catalog is today's while the stream is of the past, so everything that comes from the catalog
 * may be unknown or of another time, and a reader must not do something irreversible on a guess.
 * relation_proof.h says what follows from it.
 */
#ifndef PG2ANY_RELATION_H
#define PG2ANY_RELATION_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"

struct buf;
struct frame;

/*
 * What rows hold that the table had when the column was added. True only where the column was added
 * since the reader has known the table, and FILL_NULL only where the table was not rewritten since:
 * see relation_proof.h.
 */
enum fill {
    FILL_UNKNOWN, /* the catalog did not say */
    FILL_NULL,    /* PostgreSQL has written no value into them, and keeps none for them */
    FILL_VALUE,   /* pg_attribute.attmissingval */
};

/*
 * The states of a table's attributes when the catalog was asked, one letter for each attnum from 1
 * on. In lower case: the attribute's row in the catalog is older than the place in the WAL that the
 * relation stands for. In upper case: the row may be younger.
 */
#define ATTRIBUTE_PUBLISHED     'c'
#define ATTRIBUTE_UNCERTAIN     'p' /* one or the other: the publication's row may be younger */
#define ATTRIBUTE_NOT_PUBLISHED 'x' /* generated, or not in the publication's column list */
#define ATTRIBUTE_DROPPED       'd'
#define ATTRIBUTE_ADDED         'A' /* as C, and its row is as ADD COLUMN wrote it, without a default */
#define ATTRIBUTE_STATES        "cCpPxXdDA"

/* A file with rows of the table: its own, or that of a partition where the table is partitioned. */
struct relation_file {
    uint32_t relid;   /* pg_class.oid */
    uint32_t node;    /* pg_class.relfilenode: another one after a rewrite or a TRUNCATE */
    uint32_t toast;   /* pg_class.reltoastrelid: another one after a rewrite by ALTER TABLE */
    char persistence; /* pg_class.relpersistence: p, u; in upper case as above */
};

#define REPLICA_IDENTITY_DEFAULT 'd'
#define REPLICA_IDENTITY_NOTHING 'n'
#define REPLICA_IDENTITY_FULL    'f'
#define REPLICA_IDENTITY_INDEX   'i'
/* Of a partitioned table that stands for its partitions: a row has the identity of its own, which
 * need not be the root's. What is not NULL in an old tuple is of the row; the rest is NULL or was
 * not sent. Without one, the row is found by the columns flagged `key`. */
#define REPLICA_IDENTITY_PARTITION 'p'

struct column {
    const char *name;
    uint32_t type_oid;      /* the column's own type: a domain's oid where it is one */
    uint32_t base_type_oid; /* the type below all domains; = type_oid where unknown */
    int32_t typmod;         /* atttypmod; the domain's where the type is a domain; -1: none */
    int32_t attnum;         /* of the attribute that had the name when the catalog was asked, which
                               need not be the column's; 0: none */
    bool key;               /* part of the replica identity (all columns under FULL) */
    bool not_null;          /* today; false where unknown */
    const char *type_name;  /* format_type(); "" where unknown */
    enum fill fill;
    bool fill_is_bytes; /* FILL_VALUE of a bytea: the bytes; otherwise PostgreSQL's text */
    const char *fill_value;
    size_t fill_size;
    /* What values of user-defined types are written with: of an enum each label with its oid, of a
     * composite type the attnums. */
    const char **type_parts;
    uint32_t ntype_parts;
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

    /* What the catalog says beside; NULL and 0 where it was not asked or has no such table. */
    const char *attributes;
    struct relation_file *files;
    uint32_t nfiles;
    const char **memberships; /* how it is in the publications: one text for each way */
    uint32_t nmemberships;

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

/* Whether it stands for partitions, each with an identity of its own. */
static inline bool relation_has_partitions(const struct relation *rel)
{
    return rel->replica_identity == REPLICA_IDENTITY_PARTITION;
}

/* The column of that name, or -1. */
int relation_column(const struct relation *rel, const char *name);

#endif
