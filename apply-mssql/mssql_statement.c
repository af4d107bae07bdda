/*
 * The texts of statements over rows.
 *
 * Each joins the table with the rows that are sent with it, called j, whose columns are called c0,
 * c1, …: what is written first, then the identity. They come as one JSON document or, below
 * compatibility level 130, as literals. Names of the source stand in brackets, values never stand
 * in a statement but as literals of the latter.
 */
#include <stdlib.h>

#include "mssql_driver.h"

#define COUNTED "; SET @n = @@ROWCOUNT; " /* where the transaction is gone, @n stays as it was */
#define SAVED   "SAVE TRANSACTION pg2any; "

static const struct described_column *column_of(const struct mssql_statement *s, uint32_t i)
{
    return s->table->columns[s->sent[i]];
}

static enum source_form form_of(const struct mssql_statement *s, uint32_t i)
{
    return (enum source_form)s->table->forms[s->sent[i]];
}

static void append_type(struct mssql_statement *s, uint32_t i)
{
    mssql_column_declare(column_of(s, i), s->rows, form_of(s, i), i >= s->nset, &s->text);
}

/* Appends the rows as a table expression called j. */
static void append_rows(struct mssql_statement *s)
{
    struct buf *sql = &s->text;
    if (s->rows == ROWS_JSON) {
        for (uint32_t i = 0; i < s->n; i++) {
            buf_printf(sql, "%sc%u ", i ? ", " : "OPENJSON(@j) WITH (", i);
            append_type(s, i);
            buf_printf(sql, " '$[%u]'", i);
        }
        buf_append_str(sql, ") AS j");
        return;
    }
    for (uint32_t i = 0; i < s->n; i++) {
        buf_append_str(sql, i ? ", CONVERT(" : "(SELECT CONVERT(");
        append_type(s, i);
        buf_printf(sql, ", v.c%u) AS c%u", i, i);
    }
    buf_append_str(sql, " FROM (VALUES ");
    s->rows_at = sql->len;
    for (uint32_t i = 0; i < s->n; i++)
        buf_printf(sql, "%sc%u", i ? ", " : ") AS v (", i);
    buf_append_str(sql, ")) AS j");
}

/* Appends the value of column `i` of j. In JSON bytes are text. */
static void append_value(struct mssql_statement *s, uint32_t i)
{
    bool hexadecimal = s->rows == ROWS_JSON && form_of(s, i) == FORM_BYTES;
    buf_printf(&s->text, hexadecimal ? "CONVERT(varbinary(max), j.c%u, 2)" : "j.c%u", i);
}

/* Appends that the column is the value. */
static void append_compared(struct mssql_statement *s, uint32_t i, const char *collation)
{
    buf_append_str(&s->text, "t.");
    mssql_quote(&s->text, column_of(s, i)->name);
    buf_append_str(&s->text, " = ");
    append_value(s, i);
    if (*collation)
        buf_printf(&s->text, " COLLATE %s", collation);
}

/* Appends that both are NULL, as the other thing that they may be. */
static void append_or_null(struct mssql_statement *s, uint32_t i)
{
    buf_append_str(&s->text, " OR (t.");
    mssql_quote(&s->text, column_of(s, i)->name);
    buf_printf(&s->text, " IS NULL AND j.c%u IS NULL)", i);
}

/*
 * Appends that the column and its value in j are the same, byte by byte: a comparison alone ignores
 * trailing blanks of text and trailing zeros of bytes.
 */
static void append_equal(struct mssql_statement *s, uint32_t i)
{
    bool text = form_of(s, i) == FORM_TEXT;
    append_compared(s, i, text ? MSSQL_COLLATION : "");
    if (!text && form_of(s, i) != FORM_BYTES)
        return;
    buf_append_str(&s->text, " AND DATALENGTH(t.");
    mssql_quote(&s->text, column_of(s, i)->name);
    buf_append_str(&s->text, ") = DATALENGTH(");
    append_value(s, i);
    buf_append_byte(&s->text, ')');
}

/* Appends the rows, and that a row of the table is the one with the identity. */
static void append_join(struct mssql_statement *s)
{
    bool nulls = s->table->identity.by_all_columns;
    buf_append_str(&s->text, " INNER JOIN ");
    append_rows(s);
    for (uint32_t i = s->nset; i < s->n; i++) {
        buf_append_str(&s->text, i > s->nset ? " AND " : " ON ");
        buf_append_str(&s->text, nulls ? "(" : "");
        append_equal(s, i);
        if (nulls)
            append_or_null(s, i);
        buf_append_str(&s->text, nulls ? ")" : "");
    }
}

/* Appends that no unique index has the row already: as it compares, whatever its collation is. */
static void append_missing(struct mssql_statement *s)
{
    const struct target_table *t = s->table;
    const char *word = " WHERE ";
    for (size_t i = 0; i < t->nindexes; i++) {
        if (t->indexes[i].n == 0)
            continue;
        buf_printf(&s->text, "%sNOT EXISTS (SELECT 1 FROM %s AS t WHERE ", word, t->name);
        for (uint32_t k = 0; k < t->indexes[i].n; k++) {
            uint32_t column = t->indexes[i].columns[k];
            buf_append_str(&s->text, k ? " AND (" : "(");
            append_compared(s, column, t->columns[column]->collation);
            append_or_null(s, column);
            buf_append_byte(&s->text, ')');
        }
        buf_append_byte(&s->text, ')');
        word = " AND ";
    }
}

/* ---- statements ---- */

static void append_autonumber(struct mssql_statement *s, const char *state)
{
    if (s->autonumber)
        buf_printf(&s->text, "SET IDENTITY_INSERT %s %s; ", s->table->name, state);
}

static void make_insert(struct mssql_statement *s, bool missing)
{
    struct buf *sql = &s->text;
    buf_append_str(sql, missing ? SAVED : "");
    append_autonumber(s, "ON");
    buf_printf(sql, "INSERT INTO %s ", s->table->name);
    for (uint32_t i = 0; i < s->n; i++) {
        buf_append_str(sql, i ? ", " : "(");
        mssql_quote(sql, column_of(s, i)->name);
    }
    for (uint32_t i = 0; i < s->n; i++) {
        buf_append_str(sql, i ? ", " : ") SELECT ");
        append_value(s, i);
    }
    buf_append_str(sql, s->n > 0 ? " FROM " : "DEFAULT VALUES");
    if (s->n > 0)
        append_rows(s);
    if (missing)
        append_missing(s);
    buf_append_str(sql, COUNTED);
    append_autonumber(s, "OFF");
}

/* " TOP (1)" where several rows may have the identity and one of them is meant. */
static const char *top(const struct target_table *t)
{
    return t->identity.by_all_columns ? " TOP (1)" : "";
}

static void make_update(struct mssql_statement *s)
{
    struct buf *sql = &s->text;
    buf_printf(sql, SAVED "UPDATE%s t", top(s->table));
    for (uint32_t i = 0; i < s->nset; i++) {
        buf_append_str(sql, i ? ", " : " SET ");
        mssql_quote(sql, column_of(s, i)->name);
        buf_append_str(sql, " = ");
        append_value(s, i);
    }
    buf_printf(sql, " FROM %s AS t", s->table->name);
    append_join(s);
    buf_append_str(sql, COUNTED);
}

static void make_delete(struct mssql_statement *s)
{
    buf_printf(&s->text, SAVED "DELETE%s t FROM %s AS t", top(s->table), s->table->name);
    if (s->n > 0)
        append_join(s);
    buf_append_str(&s->text, COUNTED);
}

static int choose_columns(struct mssql_statement *s, const struct slice *slice, struct err *err)
{
    const struct target_table *t = s->table;
    s->sent = calloc(2 * (size_t)t->rel->ncolumns + 1, sizeof *s->sent);
    if (!s->sent)
        return err_nomem(err);
    for (uint32_t i = 0; slice->kind != CHANGE_DELETE && i < t->rel->ncolumns; i++)
        if (slice->kind == CHANGE_INSERT || slice->columns[i]) {
            s->sent[s->n++] = i;
            s->autonumber = s->autonumber || t->columns[i]->autonumber;
        }
    s->nset = s->n;
    for (uint32_t i = 0; slice->kind != CHANGE_INSERT && i < t->identity.n; i++)
        s->sent[s->n++] = t->identity.columns[i];
    return 0;
}

void mssql_statement_free(struct statement *base)
{
    struct mssql_statement *s = (struct mssql_statement *)base;
    buf_free(&s->text);
    free(s->sent);
    free(s);
}

struct statement *mssql_statement_make(struct driver *d, const struct slice *slice, int kind,
                                       uint32_t nrows, struct err *err)
{
    (void)nrows;
    struct mssql_statement *s = calloc(1, sizeof *s);
    if (!s) {
        (void)err_nomem(err);
        return NULL;
    }
    s->table = slice->table;
    s->rows = d->rows;
    buf_append_str(&s->text, IN_TRANSACTION "BEGIN ");
    if (choose_columns(s, slice, err) == 0) {
        if (slice->kind == CHANGE_INSERT)
            make_insert(s, kind == MSSQL_INSERT_MISSING);
        else if (slice->kind == CHANGE_UPDATE)
            make_update(s);
        else
            make_delete(s);
        buf_append_str(&s->text, "END");
        if (buf_check(&s->text, err) == 0)
            return &s->base;
    }
    mssql_statement_free(&s->base);
    return NULL;
}
