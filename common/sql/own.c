#include "sql/own.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

static const char *const names[] = {CHECKPOINT_TABLE, RELATION_TABLE};
static const char *const columns[][OWN_FIELDS] = {
    {"remote_lsn", "commit_time", "system_identifier", "timeline"},
    {"target", "namespace", "name", "frame"},
};

void own_row_free(struct own_row *row)
{
    for (int i = 0; i < OWN_FIELDS; i++)
        buf_free(&row->fields[i]);
}

int own_row_check(const struct own_row *row, struct err *err)
{
    for (int i = 0; i < OWN_FIELDS; i++)
        if (buf_check(&row->fields[i], err))
            return -1;
    return 0;
}

int own_refuse_name(const char *table, const char *another, struct err *err)
{
    if (strcasecmp(table, CHECKPOINT_TABLE) != 0 && strcasecmp(table, RELATION_TABLE) != 0)
        return 0;
    (void)err_set(err, ERR_PERMANENT,
                  "a source table would get the name %s, which pg2any uses itself", table);
    return err_hint(err, "give its schema %s with --schema-map", another);
}

static void append_text(const struct own_dialect *d, const char *text, struct buf *sql)
{
    d->text(sql, text, strlen(text));
}

static void append_where(const struct own_dialect *d, const struct own_key *key, struct buf *sql)
{
    buf_append_str(sql, " WHERE origin = ");
    append_text(d, key->origin, sql);
    if (key->table == OWN_CHECKPOINT)
        return;
    if (key->next) {
        buf_printf(sql, " AND relid = (SELECT min(relid) FROM %s%s WHERE origin = ", d->prefix,
                   RELATION_TABLE);
        append_text(d, key->origin, sql);
        buf_printf(sql, " AND relid > %" PRIu32 ")", key->relid);
    } else if (key->relid) {
        buf_printf(sql, " AND relid = %" PRIu32, key->relid);
    } else {
        buf_append_str(sql, " AND target = ");
        append_text(d, key->target, sql);
    }
}

void own_select(const struct own_dialect *d, const struct own_key *key, bool lock, struct buf *sql)
{
    buf_append_str(sql, key->table == OWN_RELATION ? "SELECT relid, " : "SELECT ");
    for (int i = 0; i < OWN_FIELDS; i++)
        buf_printf(sql, "%s%s", i ? ", " : "", columns[key->table][i]);
    buf_printf(sql, " FROM %s%s%s", d->prefix, names[key->table], lock ? d->lock_hint : "");
    append_where(d, key, sql);
    buf_append_str(sql, lock ? d->lock_end : "");
}

void own_keep(const struct own_key *key, struct own_row *row, size_t i, const void *data,
              size_t size)
{
    char number[16] = "";
    if (key->table == OWN_RELATION && i-- == 0) {
        memcpy(number, data, size < sizeof number ? size : sizeof number - 1);
        row->relid = (uint32_t)strtoul(number, NULL, 10);
    } else {
        buf_append(&row->fields[i], data, data ? size : 0);
    }
}

static void append_field(const struct own_dialect *d, enum own_table table, int i,
                         const struct own_row *row, struct buf *sql)
{
    const struct buf field = row->fields[i];
    if (table == OWN_RELATION && i == RELATION_FRAME)
        d->bytes(sql, field.data, field.len);
    else if (table == OWN_CHECKPOINT && i == CHECKPOINT_TIMELINE)
        buf_append(sql, field.data, field.len);
    else if (table == OWN_CHECKPOINT && i == CHECKPOINT_COMMIT_TIME && field.len == 0)
        buf_append_str(sql, "NULL");
    else
        d->text(sql, (const char *)field.data, field.len);
}

void own_write(const struct own_dialect *d, const struct own_key *key, const struct own_row *row,
               bool exists, struct buf *sql)
{
    const char *const *names_of = columns[key->table];
    if (!row) {
        buf_printf(sql, "%sDELETE FROM %s%s WHERE origin = ", d->guard, d->prefix,
                   names[key->table]);
        append_text(d, key->origin, sql);
        return;
    }
    if (exists) {
        buf_printf(sql, "%sUPDATE %s%s", d->guard, d->prefix, names[key->table]);
        for (int i = 0; i < OWN_FIELDS; i++) {
            buf_printf(sql, "%s%s = ", i ? ", " : " SET ", names_of[i]);
            append_field(d, key->table, i, row, sql);
        }
        append_where(d, key, sql);
        return;
    }
    buf_printf(sql, "%sINSERT INTO %s%s (origin", d->guard, d->prefix, names[key->table]);
    if (key->table == OWN_RELATION)
        buf_append_str(sql, ", relid");
    for (int i = 0; i < OWN_FIELDS; i++)
        buf_printf(sql, ", %s", names_of[i]);
    buf_append_str(sql, ") VALUES (");
    append_text(d, key->origin, sql);
    if (key->table == OWN_RELATION)
        buf_printf(sql, ", %" PRIu32, key->relid);
    for (int i = 0; i < OWN_FIELDS; i++) {
        buf_append_str(sql, ", ");
        append_field(d, key->table, i, row, sql);
    }
    buf_append_byte(sql, ')');
}
