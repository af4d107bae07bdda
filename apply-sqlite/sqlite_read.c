/* Rows back out of a table, to be compared. */
#include <stdlib.h>

#include "sql/table.h"
#include "sql/text.h"
#include "sqlite.h"
#include "sqlite_value.h"

int sqlite_stores(struct driver *d, const struct target_table *table, uint32_t column,
                  const struct value *v, char room[STORED_ROOM], struct stored *out,
                  struct err *err)
{
    struct err refused = {0};
    (void)err;
    if (sqlite_stored((enum storage)table->forms[column], v, d->nan, room, out, &refused))
        *out = (struct stored){.kind = STORED_NOTHING};
    return 0;
}

struct reading_back {
    struct stored *row;
    char (*rooms)[STORED_ROOM];
};

static int read_rows(struct driver *d, const struct target_table *t, sqlite3_stmt *s,
                     const struct reading_back *to, driver_row_fn *fn, void *ctx, struct err *err)
{
    int rc;
    while ((rc = sqlite3_step(s)) == SQLITE_ROW) {
        for (uint32_t i = 0; i < t->rel->ncolumns; i++)
            sqlite_read_back(s, (int)i, (enum storage)t->forms[i], to->rooms[i], &to->row[i]);
        if (fn(ctx, to->row, err))
            return -1;
    }
    return rc == SQLITE_DONE ? 0 : sqlite_fail(d, rc, "reading the rows", err);
}

/* One statement sees one state of the database, and keeps nobody from writing. */
int sqlite_read(struct driver *d, const struct target_table *table, driver_row_fn *fn, void *ctx,
                struct err *err)
{
    struct buf sql = {0};
    sqlite3_stmt *s = NULL;
    size_t n = (size_t)table->rel->ncolumns + 1;
    const struct reading_back to = {calloc(n, sizeof *to.row), calloc(n, sizeof *to.rooms)};
    buf_append_str(&sql, "SELECT ");
    if (table->rel->ncolumns == 0)
        buf_append_str(&sql, "1");
    text_columns(&sql, table->rel, NULL, text_quote_standard);
    buf_append_str(&sql, " FROM ");
    text_quote_standard(&sql, table->name);
    int rc = -1;
    if (!to.row || !to.rooms) {
        (void)err_nomem(err);
        buf_free(&sql);
    } else if (sqlite_prepare(d, &sql, &s, err) == 0) {
        rc = read_rows(d, table, s, &to, fn, ctx, err);
    }
    (void)sqlite3_finalize(s);
    free(to.row);
    free(to.rooms);
    return rc;
}
