/*
 * One relation bound to one table: whether the table can hold what comes, how its rows are found,
 * the statements.
 *
 * Every statement joins the table with the rows that are sent with it, called j, whose columns are
 * called c0, c1, …: what is written first, then the identity. They come as one JSON document or,
 * below compatibility level 130, as literals. Names of the source stand in brackets, values never
 * stand in a statement but as literals of the latter.
 */
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "mssql_dest.h"

/* ---- opening ---- */

static bool in_identity(const struct dest_table *t, uint32_t column)
{
    for (uint32_t i = 0; i < t->identity.n; i++)
        if (t->identity.columns[i] == column)
            return true;
    return false;
}

/* Savepoints do not exist for memory-optimized tables, and an old row of a temporal one is no row.
 */
static int check_table(struct dest *d, const struct dest_table *t, struct err *err)
{
    struct buf sql = {0};
    struct mssql_result rows;
    int rc = 0;
    buf_append_str(&sql, "SELECT is_memory_optimized, CONVERT(int, temporal_type) FROM ");
    mssql_catalog(&sql, t->target, "tables");
    buf_append_str(&sql, " WHERE object_id = ");
    mssql_object_id(&sql, t->target);
    if (mssql_session_query(d->session, &sql, &rows, err))
        rc = -1;
    else if (rows.nrows == 0)
        rc = err_set(err, ERR_PERMANENT, "the target has no table %s", t->target);
    else if (mssql_result_number(&rows, 0, 0) != 0)
        rc = err_set(err, ERR_PERMANENT, "the target table %s is memory-optimized", t->target);
    else if (mssql_result_number(&rows, 0, 1) == 1)
        rc = err_set(err, ERR_PERMANENT, "the target table %s holds the history of another",
                     t->target);
    mssql_result_free(&rows);
    return rc;
}

int mssql_read_columns(struct dest *d, const char *target, struct mssql_result *rows,
                       struct err *err)
{
    struct buf sql = {0};
    buf_append_str(&sql, "SELECT c.name, y.name, c.collation_name, c.max_length, c.precision, "
                         "c.scale, c.is_identity, c.is_computed, CASE WHEN "
                         "c.generated_always_type <> 0 OR y.name = N'timestamp' THEN 1 ELSE 0 END "
                         "FROM ");
    mssql_catalog(&sql, target, "columns");
    buf_append_str(&sql, " AS c INNER JOIN ");
    mssql_catalog(&sql, target, "types");
    buf_append_str(&sql, " AS y ON y.user_type_id = c.system_type_id WHERE c.object_id = ");
    mssql_object_id(&sql, target);
    buf_append_str(&sql, " ORDER BY c.column_id");
    return mssql_session_query(d->session, &sql, rows, err);
}

/* The column with exactly that name, or one that differs in case. */
bool mssql_find_column(const struct mssql_result *rows, const char *name, struct target_column *out)
{
    size_t found = rows->nrows;
    for (size_t i = 0; i < rows->nrows; i++) {
        if (strcmp(mssql_result_text(rows, i, 0), name) == 0) {
            found = i;
            break;
        }
        if (strcasecmp(mssql_result_text(rows, i, 0), name) == 0)
            found = i;
    }
    if (found == rows->nrows)
        return false;
    *out = (struct target_column){
        .name = mssql_result_text(rows, found, 0),
        .type = mssql_result_text(rows, found, 1),
        .collation = mssql_result_text(rows, found, 2),
        .bytes = mssql_result_number(rows, found, 3),
        .precision = mssql_result_number(rows, found, 4),
        .scale = mssql_result_number(rows, found, 5),
        .identity = mssql_result_number(rows, found, 6) == 1,
        .computed = mssql_result_number(rows, found, 7) == 1,
        .generated = mssql_result_number(rows, found, 8) == 1,
    };
    return true;
}

static int check_columns(struct dest *d, struct dest_table *t, struct err *err)
{
    if (mssql_read_columns(d, t->target, &t->texts, err))
        return -1;
    for (uint32_t i = 0; i < t->rel->ncolumns; i++) {
        const struct column *c = &t->rel->columns[i];
        if (!mssql_find_column(&t->texts, c->name, &t->there[i]))
            return err_set(err, ERR_PERMANENT, "the target table %s has no column %s", t->target,
                           c->name);
        if (mssql_column_check(c, &t->there[i], in_identity(t, i), &t->forms[i], err))
            return -1;
        if (t->there[i].identity)
            t->identity_column = i;
    }
    return 0;
}

/* Adds a column of the target to an index; false: the relation does not have it. */
static bool add_index_column(const struct dest_table *t, struct unique_index *index,
                             const char *name)
{
    for (uint32_t i = 0; i < t->rel->ncolumns; i++) {
        if (strcasecmp(t->there[i].name, name) != 0)
            continue;
        index->columns[index->n++] = i;
        return true;
    }
    return false;
}

static bool index_is_in_identity(const struct dest_table *t, const struct unique_index *index)
{
    for (uint32_t i = 0; i < index->n; i++)
        if (!in_identity(t, index->columns[i]))
            return false;
    return index->n > 0;
}

/* Takes the unique indexes, which come sorted, a column a row. One over a column that the relation
 * lacks is left empty: its values are the target's own. */
static int take_indexes(struct dest_table *t, const struct mssql_result *rows, struct err *err)
{
    struct unique_index *index = NULL;
    bool known = true;
    t->indexes = calloc(rows->nrows + 1, sizeof *t->indexes);
    if (!t->indexes)
        return err_nomem(err);
    for (size_t i = 0; i < rows->nrows; i++) {
        if (!index || mssql_result_number(rows, i, 0) != mssql_result_number(rows, i - 1, 0)) {
            index = &t->indexes[t->nindexes++];
            index->columns = calloc((size_t)t->rel->ncolumns + 1, sizeof *index->columns);
            if (!index->columns)
                return err_nomem(err);
            known = true;
        }
        known = add_index_column(t, index, mssql_result_text(rows, i, 1)) && known;
        if (!known)
            index->n = 0;
    }
    for (size_t i = 0; i < t->nindexes; i++)
        t->unique =
            t->unique || (!t->identity.by_all_columns && index_is_in_identity(t, &t->indexes[i]));
    return 0;
}

static int read_indexes(struct dest *d, struct dest_table *t, struct err *err)
{
    struct buf sql = {0};
    struct mssql_result rows;
    buf_append_str(&sql, "SELECT i.index_id, c.name FROM ");
    mssql_catalog(&sql, t->target, "indexes");
    buf_append_str(&sql, " AS i INNER JOIN ");
    mssql_catalog(&sql, t->target, "index_columns");
    buf_append_str(&sql, " AS k ON k.object_id = i.object_id AND k.index_id = i.index_id "
                         "INNER JOIN ");
    mssql_catalog(&sql, t->target, "columns");
    buf_append_str(&sql, " AS c ON c.object_id = k.object_id AND c.column_id = k.column_id WHERE "
                         "i.object_id = ");
    mssql_object_id(&sql, t->target);
    buf_append_str(&sql, " AND i.is_unique = 1 AND i.has_filter = 0 AND i.is_disabled = 0 AND "
                         "k.key_ordinal > 0 ORDER BY i.index_id, k.key_ordinal");
    int rc = mssql_session_query(d->session, &sql, &rows, err);
    if (rc == 0)
        rc = take_indexes(t, &rows, err);
    mssql_result_free(&rows);
    return rc;
}

int mssql_table_open(struct dest *d, const char *target, const struct relation *rel,
                     struct dest_table **table, struct err *err)
{
    size_t n = rel->ncolumns;
    struct dest_table *t = calloc(1, sizeof *t);
    if (!t)
        return err_nomem(err);
    t->rel = rel;
    t->identity_column = NO_COLUMN;
    t->target = strdup(target);
    t->forms = calloc(n + 1, sizeof *t->forms);
    t->there = calloc(n + 1, sizeof *t->there);
    t->scratch = calloc(n + 1, sizeof *t->scratch);
    if (!t->target || !t->forms || !t->there || !t->scratch) {
        mssql_table_close(d, t);
        return err_nomem(err);
    }
    if (identity_init(&t->identity, rel, err) || check_table(d, t, err) ||
        check_columns(d, t, err) || read_indexes(d, t, err)) {
        mssql_table_close(d, t);
        return -1;
    }
    *table = t;
    return 0;
}

void mssql_statement_free(struct statement *s)
{
    buf_free(&s->head);
    buf_free(&s->tail);
    free(s->columns);
    *s = (struct statement){0};
}

void mssql_table_close(struct dest *d, struct dest_table *t)
{
    (void)d;
    for (size_t i = 0; i < t->nindexes; i++)
        free(t->indexes[i].columns);
    free(t->indexes);
    mssql_statement_free(&t->insert);
    mssql_statement_free(&t->insert_missing);
    mssql_statement_free(&t->remove);
    for (int i = 0; i < MAX_UPDATES; i++)
        mssql_statement_free(&t->updates[i]);
    mssql_result_free(&t->texts);
    identity_free(&t->identity);
    free(t->target);
    free(t->forms);
    free(t->there);
    free(t->scratch);
    free(t);
}

/* ---- the rows that are sent ---- */

/* One column of j. */
struct sent {
    const struct target_column *there;
    enum mssql_form form;
    bool key;
    bool hexadecimal; /* bytes as text */
};

static struct sent sent_column(const struct dest *d, const struct target_column *there,
                               enum mssql_form form, bool key)
{
    return (struct sent){there, form, key, form == FORM_BYTES && d->rows == ROWS_JSON};
}

/* Appends the rows as a table expression called j; what comes before literals goes to `head`,
 * what comes after them to what is returned. */
static struct buf *append_sent(const struct dest *d, struct statement *s, const struct sent *sent,
                               uint32_t n)
{
    struct buf *head = &s->head;
    if (d->rows == ROWS_JSON) {
        buf_append_str(head, "OPENJSON(@j) WITH (");
        for (uint32_t i = 0; i < n; i++) {
            buf_printf(head, "%sc%u ", i ? ", " : "", i);
            mssql_column_declare(sent[i].there, d->rows, sent[i].form, sent[i].key, head);
            buf_printf(head, " '$[%u]'", i);
        }
        buf_append_str(head, ") AS j");
        return head;
    }
    buf_append_str(head, "(SELECT ");
    for (uint32_t i = 0; i < n; i++) {
        buf_append_str(head, i ? ", CONVERT(" : "CONVERT(");
        mssql_column_declare(sent[i].there, d->rows, sent[i].form, sent[i].key, head);
        buf_printf(head, ", v.c%u) AS c%u", i, i);
    }
    buf_append_str(head, " FROM (VALUES ");
    buf_append_str(&s->tail, ") AS v (");
    for (uint32_t i = 0; i < n; i++)
        buf_printf(&s->tail, "%sc%u", i ? ", " : "", i);
    buf_append_str(&s->tail, ")) AS j");
    return &s->tail;
}

/* Appends the value of column `i` of j. */
static void append_value(struct buf *sql, const struct sent *sent, uint32_t i)
{
    if (sent[i].hexadecimal)
        buf_printf(sql, "CONVERT(varbinary(max), j.c%u, 2)", i);
    else
        buf_printf(sql, "j.c%u", i);
}

/*
 * Appends that the column and its value in j are the same, byte by byte: a comparison alone ignores
 * trailing blanks of text and trailing zeros of bytes.
 */
static void append_equal(struct buf *sql, const struct sent *sent, uint32_t i)
{
    buf_append_str(sql, "t.");
    mssql_quote(sql, sent[i].there->name);
    buf_append_str(sql, " = ");
    append_value(sql, sent, i);
    if (sent[i].form == FORM_TEXT)
        buf_append_str(sql, " COLLATE " MSSQL_COLLATION);
    if (sent[i].form != FORM_TEXT && sent[i].form != FORM_BYTES)
        return;
    buf_append_str(sql, " AND DATALENGTH(t.");
    mssql_quote(sql, sent[i].there->name);
    buf_append_str(sql, ") = DATALENGTH(");
    append_value(sql, sent, i);
    buf_append_byte(sql, ')');
}

/* The same, and NULL is equal to NULL. */
static void append_same(struct buf *sql, const struct sent *sent, uint32_t i)
{
    buf_append_byte(sql, '(');
    append_equal(sql, sent, i);
    buf_append_str(sql, " OR (t.");
    mssql_quote(sql, sent[i].there->name);
    buf_printf(sql, " IS NULL AND j.c%u IS NULL))", i);
}

/* Appends that the table's row is the one with the identity, which in j begins at `first`. */
static void append_identity(struct buf *sql, const struct dest_table *t, const struct sent *sent,
                            uint32_t first)
{
    for (uint32_t i = 0; i < t->identity.n; i++) {
        if (i > 0)
            buf_append_str(sql, " AND ");
        if (t->identity.by_all_columns)
            append_same(sql, sent, first + i);
        else
            append_equal(sql, sent, first + i);
    }
}

/* The columns of j: those flagged in `set`, then the identity where asked for. */
static struct sent *columns_sent(const struct dest *d, const struct dest_table *t,
                                 const uint8_t *set, bool identity, uint32_t *nset, uint32_t *n,
                                 struct err *err)
{
    struct sent *sent = calloc(2 * (size_t)t->rel->ncolumns + 1, sizeof *sent);
    *n = 0;
    if (!sent) {
        (void)err_nomem(err);
        return NULL;
    }
    for (uint32_t i = 0; i < t->rel->ncolumns; i++)
        if (set && set[i])
            sent[(*n)++] = sent_column(d, &t->there[i], t->forms[i], false);
    *nset = *n;
    for (uint32_t i = 0; identity && i < t->identity.n; i++) {
        uint32_t c = t->identity.columns[i];
        sent[(*n)++] = sent_column(d, &t->there[c], t->forms[c], true);
    }
    return sent;
}

/* ---- statements ---- */

/* Where the transaction is gone, nothing must be written outside it: @n stays as it was. */
#define IN_TRANSACTION "IF @@TRANCOUNT = 1 BEGIN "
#define COUNTED        "; SET @n = @@ROWCOUNT"
#define SAVED          "SAVE TRANSACTION pg2any; "

static int finish(struct dest_table *t, struct statement *s, struct err *err)
{
    if (buf_check(&s->head, err) || buf_check(&s->tail, err))
        return -1;
    s->used = ++t->clock;
    return 0;
}

/* Appends that no unique index has the row already. */
static void append_missing(struct buf *sql, const struct dest_table *t, const struct sent *sent)
{
    const char *word = " WHERE ";
    for (size_t i = 0; i < t->nindexes; i++) {
        if (t->indexes[i].n == 0)
            continue;
        buf_printf(sql, "%sNOT EXISTS (SELECT 1 FROM %s AS t WHERE ", word, t->target);
        for (uint32_t k = 0; k < t->indexes[i].n; k++) {
            uint32_t column = t->indexes[i].columns[k];
            buf_append_str(sql, k ? " AND (t." : "(t.");
            mssql_quote(sql, sent[column].there->name);
            buf_append_str(sql, " = ");
            append_value(sql, sent, column);
            /* As the index compares, whatever its collation is. */
            if (*sent[column].there->collation)
                buf_printf(sql, " COLLATE %s", sent[column].there->collation);
            buf_append_str(sql, " OR (t.");
            mssql_quote(sql, sent[column].there->name);
            buf_printf(sql, " IS NULL AND j.c%u IS NULL))", column);
        }
        buf_append_byte(sql, ')');
        word = " AND ";
    }
}

static void append_identity_insert(struct buf *sql, const struct dest_table *t, bool on)
{
    if (t->identity_column != NO_COLUMN)
        buf_printf(sql, "SET IDENTITY_INSERT %s %s; ", t->target, on ? "ON" : "OFF");
}

int mssql_insert(struct dest *d, struct dest_table *t, bool missing, const struct statement **out,
                 struct err *err)
{
    struct statement *s = missing ? &t->insert_missing : &t->insert;
    uint32_t n = t->rel->ncolumns, nset;
    *out = s;
    if (s->used)
        return 0;
    mssql_statement_free(s);
    memset(t->scratch, 1, n);
    struct sent *sent = columns_sent(d, t, t->scratch, false, &nset, &n, err);
    if (!sent)
        return -1;
    buf_append_str(&s->head, missing ? IN_TRANSACTION SAVED : IN_TRANSACTION);
    append_identity_insert(&s->head, t, true);
    buf_printf(&s->head, "INSERT INTO %s ", t->target);
    if (n == 0) {
        buf_append_str(&s->head, "DEFAULT VALUES" COUNTED "; END");
        free(sent);
        return finish(t, s, err);
    }
    for (uint32_t i = 0; i < n; i++) {
        buf_append_str(&s->head, i ? ", " : "(");
        mssql_quote(&s->head, sent[i].there->name);
    }
    buf_append_str(&s->head, ") SELECT ");
    for (uint32_t i = 0; i < n; i++) {
        buf_append_str(&s->head, i ? ", " : "");
        append_value(&s->head, sent, i);
    }
    buf_append_str(&s->head, " FROM ");
    struct buf *sql = append_sent(d, s, sent, n);
    if (missing)
        append_missing(sql, t, sent);
    buf_append_str(sql, COUNTED "; ");
    append_identity_insert(sql, t, false);
    buf_append_str(sql, "END");
    free(sent);
    return finish(t, s, err);
}

/* " TOP (1)" where several rows may have the identity and one of them is meant. */
static const char *top(const struct dest_table *t)
{
    return t->identity.by_all_columns ? " TOP (1)" : "";
}

int mssql_delete(struct dest *d, struct dest_table *t, const struct statement **out,
                 struct err *err)
{
    struct statement *s = &t->remove;
    uint32_t nset, n;
    *out = s;
    if (s->used)
        return 0;
    mssql_statement_free(s);
    struct sent *sent = columns_sent(d, t, NULL, true, &nset, &n, err);
    if (!sent)
        return -1;
    buf_printf(&s->head, IN_TRANSACTION SAVED "DELETE%s t FROM %s AS t", top(t), t->target);
    struct buf *sql = &s->head;
    if (n > 0) {
        buf_append_str(sql, " INNER JOIN ");
        sql = append_sent(d, s, sent, n);
        buf_append_str(sql, " ON ");
        append_identity(sql, t, sent, 0);
    }
    buf_append_str(sql, COUNTED "; END");
    free(sent);
    return finish(t, s, err);
}

static int make_update(struct dest *d, struct dest_table *t, const uint8_t *columns,
                       struct statement *s, struct err *err)
{
    uint32_t nset, n;
    struct sent *sent = columns_sent(d, t, columns, true, &nset, &n, err);
    if (!sent)
        return -1;
    buf_printf(&s->head, IN_TRANSACTION SAVED "UPDATE%s t SET ", top(t));
    for (uint32_t i = 0; i < nset; i++) {
        buf_append_str(&s->head, i ? ", " : "");
        mssql_quote(&s->head, sent[i].there->name);
        buf_append_str(&s->head, " = ");
        append_value(&s->head, sent, i);
    }
    buf_printf(&s->head, " FROM %s AS t INNER JOIN ", t->target);
    struct buf *sql = append_sent(d, s, sent, n);
    buf_append_str(sql, " ON ");
    append_identity(sql, t, sent, nset);
    buf_append_str(sql, COUNTED "; END");
    free(sent);
    return finish(t, s, err);
}

int mssql_update(struct dest *d, struct dest_table *t, const uint8_t *columns,
                 const struct statement **out, struct err *err)
{
    size_t n = t->rel->ncolumns;
    struct statement *oldest = &t->updates[0];
    for (int i = 0; i < MAX_UPDATES; i++) {
        struct statement *s = &t->updates[i];
        if (s->used && memcmp(s->columns, columns, n) == 0) {
            s->used = ++t->clock;
            *out = s;
            return 0;
        }
        if (s->used < oldest->used)
            oldest = s;
    }
    mssql_statement_free(oldest);
    oldest->columns = malloc(n + 1);
    if (!oldest->columns)
        return err_nomem(err);
    memcpy(oldest->columns, columns, n);
    *out = oldest;
    return make_update(d, t, columns, oldest, err);
}

int mssql_fill(struct dest *d, const char *target, const struct target_column *c,
               enum mssql_form form, struct statement *s, struct err *err)
{
    const struct sent sent = sent_column(d, c, form, false);
    *s = (struct statement){0};
    buf_append_str(&s->head, IN_TRANSACTION "UPDATE t SET ");
    mssql_quote(&s->head, c->name);
    buf_append_str(&s->head, " = ");
    append_value(&s->head, &sent, 0);
    buf_printf(&s->head, " FROM %s AS t CROSS JOIN ", target);
    struct buf *sql = append_sent(d, s, &sent, 1);
    buf_append_str(sql, COUNTED "; END");
    return buf_check(&s->head, err) || buf_check(&s->tail, err) ? -1 : 0;
}
