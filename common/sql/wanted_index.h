/*
 * wanted_index.h - secondary indexes of the source that a copied table is to get at the target, as
 * pg2any_relation remembers them until they are there or have been found impossible: lines before
 * the relation's frame, behind that of the copy (copied.h), "index " and a line of the list that
 * the copy's end has (docs/FRAMES.md, x).
 *
 * They are made when the copy is committed, one by one. What an index of the source promises a
 * target need not promise: where it cannot have a unique one, one that is not serves readers as
 * well, for the source sees to it.
 */
#ifndef PG2ANY_WANTED_INDEX_H
#define PG2ANY_WANTED_INDEX_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/err.h"
#include "frames/mp_cursor.h"
#include "sql/driver.h"

struct wanted_index {
    bool unique;
    const char *name; /* at the source */
    size_t ncolumns;  /* at least 1 */
    const char **columns;
    char *text; /* that holds them */
};

/* How many bytes of lines the data begins with. */
size_t wanted_size(const uint8_t *data, size_t size);

/* Puts the lines of a list in the place of those that stand at `at`. Permanent error where it is
 * none. */
MUST_CHECK int wanted_replace(struct buf *frame, size_t at, struct bytes list, struct err *err);

/* Reads the line that the data begins with; *size: how long it is, 0 where there is none.
 * wanted_free() also after an error. */
MUST_CHECK int wanted_read(const uint8_t *data, size_t available, struct wanted_index *index,
                           size_t *size, struct err *err);
void wanted_free(struct wanted_index *index);

/* The tables that have such lines are one origin's. */
struct wanted {
    const struct driver_ops *ops;
    struct driver *driver;
    const char *origin;
};

/* Remembers the list for a relation that the target holds; part of the open transaction. */
MUST_CHECK int wanted_remember(const struct wanted *w, uint32_t relid, struct bytes list,
                               struct err *err);

/*
 * Makes the first of a relation's indexes, in the open transaction or beside it as the driver does,
 * and forgets it; `give_up`: only forgets it. *more: there are others. After an error the
 * transaction is to be given up.
 */
MUST_CHECK int wanted_make(const struct wanted *w, uint32_t relid, bool give_up, bool *more,
                           struct err *err);

#endif
