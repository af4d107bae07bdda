/*
 * tuple.h - one TupleData of pgoutput in, the tuple of a frame out. (PostgreSQL documentation,
 * "Logical Replication Message Formats".)
 */
#ifndef PG2ANY_PG_CAPTURE_TUPLE_H
#define PG2ANY_PG_CAPTURE_TUPLE_H

#include <stdbool.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/err.h"
#include "binary.h"
#include "frames/frame_writer.h"
#include "wire.h"

/* How a column's values are read. */
struct column_reading {
    uint32_t type_oid; /* below all domains */
    enum binary_form form;
    bool bytea;
    const char *name;
    const char *type_name; /* "" where unknown */
};

/* How the tuples of a relation are; all of it is borrowed. */
struct tuple_reading {
    const char *namespace;
    const char *name;
    uint32_t ncolumns;
    const struct column_reading *columns;
};

/*
 * Packs the tuple that comes next. A violation of the protocol sets the wire's fault; an error is a
 * value whose binary form is wrong or not supported. `text` is room for a converted value.
 */
MUST_CHECK int tuple_decode(const struct tuple_reading *t, struct wire *w, struct frame_writer *fw,
                            struct buf *text, struct err *err);

/* Packs a value that came as text, into the frame; false for a bytea that is not in hex format. */
bool tuple_put_text(struct frame_writer *fw, bool bytea, const char *data, size_t size);

#endif
