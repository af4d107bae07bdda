/*
 * Slices, and TRUNCATE.
 *
 * The server counts the rows of a statement. After an error there is nothing to roll back to,
 * because the transaction is gone with it; after a count that is not the number of rows there is
 * the savepoint at the beginning of the statement.
 */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "mssql_driver.h"
#include "sql/identity.h"

#define KEEP_BYTES ((size_t)16 << 20)
#define KEY_UNITS  MSSQL_NVARCHAR_UNITS /* as which text is compared with a key */

/* ---- the rows of a statement ---- */

static int append_cell(struct driver *d, const struct target_table *t, uint32_t column,
                       const struct value *v, bool key, struct err *err)
{
    enum source_form form = (enum source_form)t->forms[column];
    const char *name = t->rel->columns[column].name;
    uint64_t units = 0;
    if (mssql_append_value(&d->values, d->rows, form, v, &d->policy, &units, err))
        return err_context(err, "column %s", name);
    uint32_t most =
        key && form == FORM_TEXT && units > KEY_UNITS ? mssql_column_units(t->columns[column]) : 0;
    return most ? err_set(err, ERR_PERMANENT,
                          "column %s: the value has %" PRIu64
                          " UTF-16 units, and the target's column takes %" PRIu32,
                          name, units, most)
                : 0;
}

static int append_row(struct driver *d, const struct mssql_statement *s,
                      const struct row_change *row, struct err *err)
{
    const struct value *was = identity_of_row(row);
    bool json = d->rows == ROWS_JSON;
    buf_append_byte(&d->values, json ? '[' : '(');
    for (uint32_t i = 0; i < s->n; i++) {
        uint32_t column = s->sent[i];
        bool key = i >= s->nset;
        if (i > 0)
            buf_append_byte(&d->values, ',');
        if (append_cell(d, s->table, column, key ? &was[column] : slice_value(row, column), key,
                        err))
            return -1;
    }
    buf_append_byte(&d->values, json ? ']' : ')');
    return 0;
}

static int append_rows(struct driver *d, const struct mssql_statement *s, const struct slice *slice,
                       struct slice_result *result, struct err *err)
{
    bool json = d->rows == ROWS_JSON;
    buf_reset(&d->values, KEEP_BYTES);
    for (size_t i = 0; i < slice->nrows; i++) {
        buf_append_str(&d->values, i ? "," : json ? "[" : "");
        if (append_row(d, s, &slice->rows[i], err)) {
            result->failed = i;
            return -1;
        }
    }
    buf_append_str(&d->values, json ? "]" : "");
    return buf_check(&d->values, err);
}

/* Executes a statement with the rows that were appended, where it has any. */
static int execute(struct driver *d, const struct mssql_statement *s, uint64_t *affected,
                   struct err *err)
{
    const struct buf *json = s->n > 0 ? &d->values : NULL, *text = &s->text;
    int64_t n = 0;
    if (json && d->rows != ROWS_JSON) {
        buf_reset(&d->around, KEEP_BYTES);
        buf_append(&d->around, s->text.data, s->rows_at);
        buf_append(&d->around, d->values.data, d->values.len);
        buf_append(&d->around, s->text.data + s->rows_at, s->text.len - s->rows_at);
        text = &d->around;
        json = NULL;
    }
    if (mssql_call(d, text, json, &n, err))
        return -1;
    *affected = (uint64_t)n;
    return n < 0 ? err_set(err, ERR_RETRY, "the target has ended the transaction") : 0;
}

/* ---- slices ---- */

static int send_slice(struct driver *d, const struct slice *slice, bool missing,
                      struct slice_result *result, uint64_t *affected, struct err *err)
{
    int kind = missing ? MSSQL_INSERT_MISSING : (int)slice->kind;
    const struct mssql_statement *s =
        (struct mssql_statement *)slice_statement(d, slice, kind, 0, mssql_statement_make, err);
    if (!s || (s->n > 0 && append_rows(d, s, slice, result, err)))
        return -1;
    d->autonumber_open = d->autonumber_open || s->autonumber;
    if (execute(d, s, affected, err)) {
        result->gone = true;
        result->exists = mssql_error_is_duplicate(d->complaints.number);
        return -1;
    }
    if (s->autonumber)
        d->autonumber_open = false;
    return 0;
}

/* Where rows may exist, one that does is not tried. Otherwise one that is refused stops the
 * applier, and that the transaction is gone with it does not matter. */
static int insert_row(struct driver *d, const struct slice *slice, bool missing,
                      struct slice_result *result, struct err *err)
{
    uint64_t affected = 0;
    if (send_slice(d, slice, missing, result, &affected, err)) {
        if (!result->exists || slice->rows_may_exist)
            return -1;
        err_clear(err);
    } else {
        result->exists = affected == 0; /* an index may ignore it, too: IGNORE_DUP_KEY */
    }
    result->outcome = result->exists ? SLICE_ONE_ROW : SLICE_DONE;
    return 0;
}

static int execute_slice(struct driver *d, const struct slice *slice, struct slice_result *result,
                         struct err *err)
{
    bool insert = slice->kind == CHANGE_INSERT;
    bool missing = insert && slice->rows_may_exist && slice->table->nindexes > 0;
    uint64_t affected;
    if (insert && slice->nrows == 1)
        return insert_row(d, slice, missing, result, err);
    if (send_slice(d, slice, missing, result, &affected, err))
        return -1;
    if (affected == slice->nrows)
        return 0;
    if (insert && !missing) {
        result->gone = result->exists = true; /* one by one they say which */
        return err_set(err, ERR_PERMANENT, "the target has inserted %" PRIu64 " of %zu rows",
                       affected, slice->nrows);
    }
    result->matched = affected;
    result->outcome = slice->nrows == 1 ? SLICE_ONE_ROW : SLICE_SUM;
    return slice->nrows == 1 ? 0 : mssql_run(d, "ROLLBACK TRANSACTION pg2any", err);
}

/* The column with IDENTITY, where an UPDATE writes it; NULL: it does not. */
static const struct column *writes_autonumber(const struct slice *slice)
{
    const struct target_table *t = slice->table;
    for (uint32_t i = 0; i < t->rel->ncolumns; i++)
        if (slice->columns[i] && t->columns[i]->autonumber)
            return &t->rel->columns[i];
    return NULL;
}

/* No UPDATE can write such a column: the row goes and comes again. */
static int replace_row(struct driver *d, const struct slice *slice, const struct column *autonumber,
                       struct slice_result *result, struct err *err)
{
    const struct row_change *row = slice->rows;
    const struct relation *rel = slice->table->rel;
    struct slice remove = *slice, insert = *slice;
    remove.kind = CHANGE_DELETE;
    insert.kind = CHANGE_INSERT;
    for (uint32_t i = 0; i < rel->ncolumns; i++)
        if (slice_value(row, i)->kind == VALUE_UNCHANGED) {
            (void)err_set(
                err, ERR_PERMANENT,
                "column %s has IDENTITY in the target, which no UPDATE can write, and the "
                "row cannot be made anew because column %s was not sent",
                autonumber->name, rel->columns[i].name);
            return err_hint(err, "make the target's column one without IDENTITY");
        }
    if (execute_slice(d, &remove, result, err))
        return -1;
    if (result->outcome != SLICE_DONE)
        return 0;
    if (execute_slice(d, &insert, result, err))
        return -1;
    return result->exists
               ? err_set(err, ERR_PERMANENT, "another row has the same value in a unique column")
               : 0;
}

int mssql_execute(struct driver *d, const struct slice *slice, struct slice_result *result,
                  struct err *err)
{
    const struct column *autonumber =
        slice->kind == CHANGE_UPDATE && slice->nrows == 1 ? writes_autonumber(slice) : NULL;
    return autonumber ? replace_row(d, slice, autonumber, result, err)
                      : execute_slice(d, slice, result, err);
}

/* ---- TRUNCATE ---- */

/*
 * Where SQL Server refuses TRUNCATE TABLE (its page, "Restrictions" and "Permissions"): an error
 * would end the transaction, so it is asked before.
 */
static const char truncatable[] = WHERE_ALL_IS_SEEN
    "SELECT 1 FROM sys.tables AS t WHERE t.object_id = @id AND t.temporal_type = 0 AND "
    "t.is_replicated = 0 AND t.is_tracked_by_cdc = 0 AND HAS_PERMS_BY_NAME(@name, N'OBJECT', "
    "N'ALTER') = 1 AND NOT EXISTS (SELECT 1 FROM sys.foreign_keys AS f WHERE "
    "f.referenced_object_id = t.object_id) AND NOT EXISTS (SELECT 1 FROM "
    "sys.sql_expression_dependencies AS e WHERE e.referenced_id = t.object_id AND "
    "e.is_schema_bound_reference = 1)";

static int empty(struct driver *d, const char *name, struct err *err)
{
    struct buf query = {0}, sql = {0};
    bool can;
    mssql_append_about(&query, name, truncatable);
    if (mssql_finds(d, &query, &can, err))
        return -1;
    buf_printf(&sql, IN_TRANSACTION "%s %s", can ? "TRUNCATE TABLE" : "DELETE FROM", name);
    return mssql_run_patiently(d, &sql, err);
}

/* Whether another of the tables that are still to be emptied refers to one by a foreign key. */
static int is_referred_to(struct driver *d, const char *const *names, size_t n, size_t of,
                          bool *referred, struct err *err)
{
    struct buf sql = {0};
    const char *comma = "";
    *referred = false;
    if (n == 1)
        return 0;
    mssql_append_about(&sql, names[of],
                       "SELECT 1 FROM sys.foreign_keys AS f WHERE f.referenced_object_id = @id AND "
                       "f.parent_object_id IN (");
    for (size_t i = 0; i < n; i++)
        if (i != of) {
            buf_append_str(&sql, comma);
            mssql_append_about(&sql, names[i], "@id");
            comma = ", ";
        }
    buf_append_byte(&sql, ')');
    return mssql_finds(d, &sql, referred, err);
}

/* Tables that others refer to come after those; in a ring of them the first one fails. */
static int empty_all(struct driver *d, const char **names, size_t n, const char **failed,
                     struct err *err)
{
    for (; n > 0; n--) {
        size_t next = 0;
        bool referred = true;
        for (size_t i = 0; i < n && referred; i++) {
            if (is_referred_to(d, names, n, i, &referred, err))
                return err_context(err, "table %s", names[i]);
            next = referred ? 0 : i;
        }
        *failed = names[next];
        if (empty(d, *failed, err))
            return err_context(err, "table %s", *failed);
        memmove(&names[next], &names[next + 1], (n - next - 1) * sizeof *names);
    }
    return 0;
}

int mssql_truncate(struct driver *d, struct target_table *const *tables, size_t ntables,
                   bool cascade, bool restart_identity, size_t *failed, struct err *err)
{
    (void)cascade;
    (void)restart_identity;
    const char *name = NULL, **names = calloc(ntables + 1, sizeof *names);
    if (!names)
        return err_nomem(err);
    for (size_t i = 0; i < ntables; i++)
        names[i] = tables[i]->name;
    int rc = empty_all(d, names, ntables, &name, err);
    for (size_t i = 0; rc && i < ntables; i++)
        if (tables[i]->name == name)
            *failed = i;
    free(names);
    return rc;
}
