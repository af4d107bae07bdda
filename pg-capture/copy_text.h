/*
 * copy_text.h - a row of COPY … TO STDOUT in, an insert frame out. (PostgreSQL documentation, COPY,
 * "Text Format".)
 */
#ifndef PG2ANY_COPY_TEXT_H
#define PG2ANY_COPY_TEXT_H

#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/err.h"
#include "frames/mp_cursor.h"
#include "frames/relation.h"

/* Appends the frame, of xid 0. `text` is room for values that are escaped. Temporary error where
 * the row has another form than the relation: what the server sent is not what was asked for. */
MUST_CHECK int copy_text_row(const struct relation *rel, const char *row, size_t size,
                             struct buf *text, struct buf *out, struct err *err);

/* Appends a delete of xid 0, of the row with that key: for each column of the relation its value as
 * COPY writes it, or no data where it is not of the key. */
MUST_CHECK int copy_text_key(const struct relation *rel, const struct bytes *values,
                             struct buf *text, struct buf *out, struct err *err);

/* The n-th field of such a row, from 0, as it stands there. */
struct bytes copy_text_field(const char *row, size_t size, uint32_t n);

/* What a field stands for, in the place of what `text` held. */
void copy_text_unescape(const char *data, size_t size, struct buf *text);

#endif
