/*
 * Rows back out of a table, to be compared: one query, a row at a time. Integers and floats come as
 * they are. What db-lib would convert in its own way, decimals, dates and times, the server makes
 * text ("CAST and CONVERT", style 121), and a uniqueidentifier, which comes in upper case.
 *
 * READ COMMITTED: a row that is being written is waited for, and one that moves meanwhile may be
 * missed or come twice; who compares looks again.
 */
#include <ctype.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "mssql_driver.h"
#include "mssql_type.h"
#include "sql/table.h"

int mssql_stores(struct driver *d, const struct target_table *table, uint32_t column,
                 const struct value *v, char room[STORED_ROOM], struct stored *out, struct err *err)
{
    (void)err;
    mssql_stored(out, (enum source_form)table->forms[column], v, &d->policy, room);
    return 0;
}

static void append_column(const struct described_column *there, enum source_form form,
                          struct buf *sql)
{
    bool money = strcasecmp(there->type, "money") == 0; /* whose text has two decimals of four */
    switch (form) {
    case FORM_DECIMAL:
    case FORM_MONEY:
    case FORM_UUID:
        buf_append_str(sql, "CONVERT(nvarchar(60), ");
        buf_append_str(sql, money ? "CONVERT(decimal(19,4), " : "");
        mssql_quote(sql, there->name);
        buf_append_str(sql, money ? "))" : ")");
        return;
    case FORM_DATE:
    case FORM_TIME:
    case FORM_TIMESTAMP:
    case FORM_TIMESTAMPTZ:
        buf_append_str(sql, "CONVERT(nvarchar(60), ");
        mssql_quote(sql, there->name);
        buf_append_str(sql, ", 121)");
        return;
    default:
        mssql_quote(sql, there->name);
        return;
    }
}

static void append_select(const struct target_table *t, struct buf *sql)
{
    buf_append_str(sql, "SELECT ");
    for (uint32_t i = 0; i < t->rel->ncolumns; i++) {
        buf_append_str(sql, i ? ", " : "");
        append_column(t->columns[i], (enum source_form)t->forms[i], sql);
    }
    buf_printf(sql, "%s FROM %s", t->rel->ncolumns ? "" : "1", t->name);
}

/* ---- rows ---- */

struct rows_in {
    const struct target_table *table;
    struct stored *row;
    char (*rooms)[STORED_ROOM];
    driver_row_fn *fn;
    void *ctx;
};

static bool take_number(DBPROCESS *db, int type, const BYTE *data, DBINT size, struct stored *out)
{
    DBBIGINT n = 0;
    float single;
    switch (type) {
    case SYBINT1:
    case SYBINT2:
    case SYBINT4:
    case SYBINT8:
    case SYBBIT:
        (void)dbconvert(db, type, data, size, SYBINT8, (BYTE *)&n, sizeof n);
        *out = (struct stored){.kind = STORED_INTEGER, .integer = n};
        return true;
    case SYBFLT8:
        *out = (struct stored){.kind = STORED_REAL};
        memcpy(&out->real, data, sizeof out->real);
        return true;
    case SYBREAL:
        memcpy(&single, data, sizeof single);
        *out = (struct stored){.kind = STORED_REAL, .real = single};
        return true;
    default:
        return false;
    }
}

/* At +00:00, as the applier writes it; one that is not stays as it is, and differs. */
static void take_moment(const char *data, size_t size, struct stored *out)
{
    static const char utc[] = " +00:00";
    size_t n = sizeof utc - 1;
    stored_set_moment(out, data,
                      size > n && memcmp(data + size - n, utc, n) == 0 ? size - n : size);
}

static void take_text(enum source_form form, const char *data, size_t size, char *room,
                      struct stored *out)
{
    *out = (struct stored){.kind = STORED_TEXT, .data = data, .size = size};
    switch (form) {
    case FORM_DECIMAL:
    case FORM_MONEY:
        out->kind = STORED_DECIMAL;
        return;
    case FORM_BYTES:
        out->kind = STORED_BYTES;
        return;
    case FORM_DATE:
    case FORM_TIME:
    case FORM_TIMESTAMP:
    case FORM_TIMESTAMPTZ:
        take_moment(data, size, out);
        return;
    case FORM_UUID:
        for (size_t i = 0; i < size && i < STORED_ROOM; i++)
            room[i] = (char)tolower((unsigned char)data[i]);
        out->data = room;
        return;
    default:
        return;
    }
}

static int take_row(void *ctx, DBPROCESS *db, struct err *err)
{
    struct rows_in *in = ctx;
    for (uint32_t i = 0; i < in->table->rel->ncolumns; i++) {
        int column = (int)i + 1;
        const BYTE *data = dbdata(db, column);
        DBINT size = dbdatlen(db, column);
        if (!data)
            in->row[i] = (struct stored){.kind = STORED_NULL};
        else if (!take_number(db, dbcoltype(db, column), data, size, &in->row[i]))
            take_text((enum source_form)in->table->forms[i], (const char *)data, (size_t)size,
                      in->rooms[i], &in->row[i]);
    }
    return in->fn(in->ctx, in->row, err);
}

int mssql_read(struct driver *d, const struct target_table *table, driver_row_fn *fn, void *ctx,
               struct err *err)
{
    size_t n = (size_t)table->rel->ncolumns + 1;
    struct rows_in in = {table, calloc(n, sizeof *in.row), calloc(n, sizeof *in.rooms), fn, ctx};
    struct buf sql = {0};
    append_select(table, &sql);
    int rc = in.row && in.rooms ? buf_check(&sql, err) : err_nomem(err);
    if (rc == 0)
        rc = mssql_each_row(d, buf_cstr(&sql), take_row, &in, err);
    buf_free(&sql);
    free(in.row);
    free(in.rooms);
    return rc;
}
