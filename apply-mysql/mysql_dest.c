/* The driver's operations: opening, transactions, the checkpoint. */
#include "mysql_dest.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "base/lsn.h"

/* ---- opening ---- */

/* Text in them is compared byte by byte: another name is another origin. */
static int make_tables(struct dest *d, struct err *err)
{
    struct buf checkpoint = {0}, relation = {0};
    buf_printf(&checkpoint,
               "CREATE TABLE IF NOT EXISTS " CHECKPOINT_TABLE
               " (origin VARCHAR(255) NOT NULL PRIMARY KEY, remote_lsn VARCHAR(32) NOT NULL, "
               "commit_time VARCHAR(64), system_identifier VARCHAR(64) NOT NULL, "
               "timeline BIGINT NOT NULL) ENGINE=InnoDB ROW_FORMAT=DYNAMIC "
               "CHARACTER SET utf8mb4 COLLATE %s",
               d->collation);
    buf_printf(&relation,
               "CREATE TABLE IF NOT EXISTS " RELATION_TABLE
               " (origin VARCHAR(255) NOT NULL, relid BIGINT NOT NULL, target VARCHAR(300) NOT "
               "NULL, namespace VARCHAR(64) NOT NULL, name VARCHAR(64) NOT NULL, frame LONGBLOB "
               "NOT NULL, PRIMARY KEY (origin, relid), UNIQUE KEY (origin, target)) "
               "ENGINE=InnoDB ROW_FORMAT=DYNAMIC CHARACTER SET utf8mb4 COLLATE %s",
               d->collation);
    int rc = mysql_run_buf(d->schema, &checkpoint, NULL, err);
    if (rc == 0)
        return mysql_run_buf(d->schema, &relation, NULL, err);
    buf_free(&relation);
    return rc;
}

/* So that a user who may not create tables can be given them. */
static int look_for_tables(struct dest *d, struct err *err)
{
    struct buf sql = {0};
    MYSQL_RES *rows;
    buf_append_str(&sql, "SELECT 1 FROM information_schema.tables WHERE table_schema = DATABASE() "
                         "AND table_name IN ('" CHECKPOINT_TABLE "', '" RELATION_TABLE "')");
    if (mysql_rows(d->schema, &sql, &rows, err))
        return -1;
    d->have_tables = mysql_num_rows(rows) == 2;
    mysql_free_result(rows);
    return 0;
}

static void dest_close(struct dest *d)
{
    mysql_disconnect(d);
    for (size_t i = 0; i < d->ndirty; i++)
        free(d->dirty[i]);
    free(d->dirty);
    buf_free(&d->repeated);
    mysql_batch_free(d->batch);
    mysql_uri_free(&d->uri);
    free(d);
}

static int dest_open(const struct dest_config *config, struct dest **dest, struct err *err)
{
    struct dest *d = calloc(1, sizeof *d);
    if (!d)
        return err_nomem(err);
    d->schema_map = config->schema_map;
    d->policy = value_policy("MySQL", config);
    d->connect_timeout_ms = config->connect_timeout_ms;
    d->query_timeout_ms = config->query_timeout_ms;
    d->look_only = config->look_only;
    if (mysql_uri_parse(&d->uri, config->uri, err) || mysql_connect_both(d, err) ||
        look_for_tables(d, err) || (!d->have_tables && !d->look_only && make_tables(d, err))) {
        dest_close(d);
        return err_context(err, "the target");
    }
    const char *cipher = mysql_get_ssl_cipher(d->rows);
    log_info("target", "server", mysql_get_server_info(d->rows), "connection",
             mysql_get_host_info(d->rows), "database", d->uri.base.database, "tls",
             cipher ? cipher : "off", "arrays", d->arrays ? "on" : "off", NULL);
    *dest = d;
    return 0;
}

/* ---- transactions ---- */

int mysql_mark_dirty(struct dest *d, const char *target, struct err *err)
{
    if (d->ndirty == d->dirty_cap) {
        size_t cap = d->dirty_cap ? d->dirty_cap * 2 : 16;
        char **dirty = realloc(d->dirty, cap * sizeof *dirty);
        if (!dirty)
            return err_nomem(err);
        d->dirty = dirty;
        d->dirty_cap = cap;
    }
    d->dirty[d->ndirty] = strdup(target);
    if (!d->dirty[d->ndirty])
        return err_nomem(err);
    d->ndirty++;
    return 0;
}

bool mysql_is_dirty(const struct dest *d, const char *target)
{
    for (size_t i = 0; d->in_transaction && i < d->ndirty; i++)
        if (strcmp(d->dirty[i], target) == 0)
            return true;
    return false;
}

static void set_clean(struct dest *d)
{
    for (size_t i = 0; i < d->ndirty; i++)
        free(d->dirty[i]);
    d->ndirty = 0;
    d->in_transaction = false;
}

static int dest_reset(struct dest *d, struct err *err)
{
    struct err ignored = {0};
    set_clean(d);
    if (d->rows && mysql_run(d->rows, "ROLLBACK", NULL, &ignored) == 0 &&
        mysql_ping(d->schema) == 0)
        return 0;
    mysql_disconnect(d);
    if (reconnect(&d->reconnect, d, d->connect_timeout_ms, mysql_connect_both, err))
        return -1;
    log_info("connected again", "server", mysql_get_server_info(d->rows), NULL);
    return 0;
}

static int dest_begin(struct dest *d, struct err *err)
{
    if (mysql_run(d->rows, "START TRANSACTION", NULL, err))
        return -1;
    d->in_transaction = true;
    d->transaction++;
    return 0;
}

static void append_time(struct buf *sql, int64_t time_us)
{
    char time[PG_TIME_TEXT_SIZE];
    if (time_us)
        mysql_text_literal(sql, pg_time_text(time, time_us));
    else
        buf_append_str(sql, "NULL");
}

static int put_checkpoint(struct dest *d, const char *origin, const struct checkpoint *c,
                          struct err *err)
{
    struct buf sql = {0};
    uint64_t matched;
    buf_printf(&sql, "UPDATE " CHECKPOINT_TABLE " SET remote_lsn = '%s', commit_time = ",
               LSN(c->remote_lsn));
    append_time(&sql, c->commit_time_us);
    buf_append_str(&sql, ", system_identifier = ");
    mysql_text_literal(&sql, c->system_identifier);
    buf_printf(&sql, ", timeline = %" PRIu32 " WHERE origin = ", c->timeline);
    mysql_text_literal(&sql, origin);
    if (mysql_run_buf(d->rows, &sql, &matched, err))
        return err_context(err, "writing the checkpoint");
    if (matched > 0)
        return 0;
    buf_append_str(&sql,
                   "INSERT INTO " CHECKPOINT_TABLE
                   " (origin, remote_lsn, commit_time, system_identifier, timeline) VALUES (");
    mysql_text_literal(&sql, origin);
    buf_printf(&sql, ", '%s', ", LSN(c->remote_lsn));
    append_time(&sql, c->commit_time_us);
    buf_append_str(&sql, ", ");
    mysql_text_literal(&sql, c->system_identifier);
    buf_printf(&sql, ", %" PRIu32 ")", c->timeline);
    if (mysql_run_buf(d->rows, &sql, NULL, err))
        return err_context(err, "writing the checkpoint");
    return mysql_check_warnings(d->rows, err);
}

static int dest_commit(struct dest *d, const char *origin, const struct checkpoint *checkpoint,
                       struct err *err)
{
    if (put_checkpoint(d, origin, checkpoint, err) || mysql_run(d->rows, "COMMIT", NULL, err))
        return -1;
    set_clean(d);
    buf_free(&d->repeated);
    return 0;
}

static int read_checkpoint(MYSQL_ROW row, struct checkpoint *out, struct err *err)
{
    const char *lsn = row[0] ? row[0] : "", *system = row[2] ? row[2] : "";
    out->commit_time_us = 0;
    if (!lsn_parse(lsn, strlen(lsn), &out->remote_lsn) ||
        strlen(system) >= sizeof out->system_identifier ||
        (row[1] && !pg_time_parse(row[1], &out->commit_time_us)) || !row[3])
        return err_set(err, ERR_PERMANENT,
                       CHECKPOINT_TABLE " holds something that is not a checkpoint");
    memcpy(out->system_identifier, system, strlen(system) + 1);
    out->timeline = (uint32_t)strtoul(row[3], NULL, 10);
    return 0;
}

/*
 * FOR UPDATE: a predecessor that was killed may have sent its COMMIT, which the server has not come
 * to yet. The lock on the row waits for that.
 */
static int dest_checkpoint_get(struct dest *d, const char *origin, struct checkpoint *out,
                               bool *found, struct err *err)
{
    struct buf sql = {0};
    MYSQL_RES *rows;
    *found = false;
    if (d->look_only && !d->have_tables)
        return 0;
    buf_append_str(
        &sql, "SELECT remote_lsn, commit_time, system_identifier, timeline FROM " CHECKPOINT_TABLE
              " WHERE origin = ");
    mysql_text_literal(&sql, origin);
    buf_append_str(&sql, d->look_only ? "" : " FOR UPDATE");
    if (mysql_rows(d->rows, &sql, &rows, err))
        return err_context(err, "reading the checkpoint");
    MYSQL_ROW row = mysql_fetch_row(rows);
    *found = row != NULL;
    int rc = row ? read_checkpoint(row, out, err) : 0;
    mysql_free_result(rows);
    return rc;
}

static int delete_origin(struct dest *d, const char *table, const char *origin, struct err *err)
{
    struct buf sql = {0};
    buf_printf(&sql, "DELETE FROM %s WHERE origin = ", table);
    mysql_text_literal(&sql, origin);
    return mysql_run_buf(d->rows, &sql, NULL, err);
}

static int dest_checkpoint_drop(struct dest *d, const char *origin, struct err *err)
{
    if (delete_origin(d, CHECKPOINT_TABLE, origin, err) ||
        delete_origin(d, RELATION_TABLE, origin, err) || mysql_run(d->rows, "COMMIT", NULL, err))
        return -1;
    set_clean(d);
    return 0;
}

const struct dest_ops mysql_dest_ops = {
    .name = "mysql",
    .uri_help = "mysql://user:password@host:port/database?socket=PATH&tls=required|verify-ca|"
                "verify-identity&ca=FILE",
    .ddl_commits = true,
    .open = dest_open,
    .close = dest_close,
    .reset = dest_reset,
    .checkpoint_get = dest_checkpoint_get,
    .checkpoint_drop = dest_checkpoint_drop,
    .check = mysql_check,
    .caveat = mysql_caveat,
    .begin = dest_begin,
    .commit = dest_commit,
    .target_name = mysql_target_name,
    .relation_get = mysql_relation_get,
    .relation_put = mysql_relation_put,
    .table_exists = mysql_table_exists,
    .table_empty = mysql_table_empty,
    .table_create = mysql_table_create,
    .table_rename = mysql_table_rename,
    .column_exists = mysql_column_exists,
    .column_add = mysql_column_add,
    .column_drop = mysql_column_drop,
    .column_rename = mysql_column_rename,
    .column_same_type = mysql_column_same_type,
    .column_widen = mysql_column_widen,
    .table_open = mysql_table_open,
    .table_close = mysql_table_close,
    .apply = mysql_apply,
    .truncate = mysql_truncate,
};
