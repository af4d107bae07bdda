/*
 * compared_row.h - a row of either side, as it is compared: its hash, that of its key, and what is
 * shown of it.
 *
 * The key is the primary key, or else by what rows are found (identity.h). Where a table has
 * neither it is the whole row, and what is compared is how often there is such a row.
 */
#ifndef PG2ANY_COMPARED_ROW_H
#define PG2ANY_COMPARED_ROW_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "apply/tally.h"
#include "base/buf.h"
#include "base/err.h"
#include "frames/value.h"
#include "sql/stored.h"
#include "sql/table.h"

/* Zeroed: of no table. */
struct compared_row {
    const struct relation *rel;
    uint32_t nkey; /* 0: the whole row is the key */
    uint32_t *key; /* columns of the relation */
    struct buf bytes, key_bytes;
    size_t *ends; /* of each column in `bytes` */

    struct row_hash hash, key_hash;
};

/* `table` lives as long as it. */
MUST_CHECK int compared_row_init(struct compared_row *r, const struct target_table *table,
                                 struct err *err);
void compared_row_free(struct compared_row *r);

/* Takes a row: its hashes. */
MUST_CHECK int compared_row_take(struct compared_row *r, const struct stored *row, struct err *err);

/* A mark for each column of the row that was taken: two that differ are of values that do. */
void compared_row_marks(const struct compared_row *r, uint64_t *marks);

/* Appends the names, with tabs between, of the columns of which marks differ from those of the row
 * that was taken. */
void compared_row_differing(const struct compared_row *r, const uint64_t *marks, struct buf *out);

/*
 * Appends the key, or all columns: their values in PostgreSQL's text as COPY writes it, with tabs
 * between. Of the source's values, or of the target's as PostgreSQL would read them.
 */
void compared_row_put_source(const struct compared_row *r, const struct value *row, bool whole,
                             struct buf *out);
void compared_row_put_target(const struct compared_row *r, const struct stored *row, bool whole,
                             struct buf *out);

/* The n-th column of such a text, and how many there are. */
uint32_t compared_row_column(const struct compared_row *r, uint32_t n, bool whole);
uint32_t compared_row_ncolumns(const struct compared_row *r, bool whole);

#endif
