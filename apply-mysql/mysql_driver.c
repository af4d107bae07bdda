/* The driver's operations: opening, transactions, our two tables, names. */
#include "mysql_driver.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "base/log.h"
#include "sql/names.h"
#include "sql/table.h"

#define SLICE_BYTES  (UINT64_C(4) << 20)
#define PLACE_WAIT_S 2 /* for a session that is ended to let go */

/* ---- opening ---- */

/* Text in them is compared byte by byte: another name is another origin. */
static int make_table(struct driver *d, const char *name, const char *columns, struct err *err)
{
    struct buf sql = {0};
    buf_printf(&sql,
               "CREATE TABLE IF NOT EXISTS %s (origin VARCHAR(255) NOT NULL, %s) ENGINE=InnoDB "
               "ROW_FORMAT=DYNAMIC CHARACTER SET utf8mb4 COLLATE %s",
               name, columns, d->collation);
    return my_run_buf(d->schema, &sql, err);
}

static int make_tables(struct driver *d, struct err *err)
{
    return make_table(d, CHECKPOINT_TABLE,
                      "remote_lsn VARCHAR(32) NOT NULL, commit_time VARCHAR(64), "
                      "system_identifier VARCHAR(64) NOT NULL, timeline BIGINT NOT NULL, "
                      "PRIMARY KEY (origin)",
                      err) ||
                   make_table(d, RELATION_TABLE,
                              "relid BIGINT NOT NULL, target VARCHAR(300) NOT NULL, namespace "
                              "VARCHAR(64) NOT NULL, name VARCHAR(64) NOT NULL, frame LONGBLOB "
                              "NOT NULL, PRIMARY KEY (origin, relid), UNIQUE KEY (origin, target)",
                              err)
               ? -1
               : 0;
}

/* So that a user who may not create tables can be given them. */
static int look_for_tables(struct driver *d, struct err *err)
{
    struct buf sql = {0};
    MYSQL_RES *rows;
    buf_append_str(&sql, "SELECT 1 FROM information_schema.tables WHERE table_schema = DATABASE() "
                         "AND table_name IN ('" CHECKPOINT_TABLE "', '" RELATION_TABLE "')");
    if (my_rows(d->schema, &sql, &rows, err))
        return -1;
    d->have_tables = mysql_num_rows(rows) == 2;
    mysql_free_result(rows);
    return 0;
}

/* With arrays the server executes a statement once for each row, in order. INSERT without them, and
 * DELETE by a key, have statements for many rows. What it counts is a sum either way. */
static void describe_driver(const struct driver *d, struct driver_traits *traits)
{
    uint64_t most = d->max_packet - d->max_packet / 8;
    *traits = (struct driver_traits){
        .inserts = SLICING_ORDERED,
        .updates = d->arrays ? SLICING_ORDERED : SLICING_NONE,
        .deletes = SLICING_SET,
        .keyless = d->arrays ? SLICING_ORDERED : SLICING_NONE,
        .slice_bytes = most < SLICE_BYTES ? most : SLICE_BYTES,
        .ddl_commits = true,
        .widens = true,
        .merges_times = policy_merges(&d->policy),
        .default_bytes = MY_DEFAULT_BYTES,
        .free_statement = my_free_statement,
    };
}

static void my_close(struct driver *d)
{
    my_disconnect(d);
    my_batch_free(&d->batch);
    buf_free(&d->checkpoint);
    my_uri_free(&d->uri);
    free(d);
}

static int my_open(const struct driver_config *config, struct driver **driver,
                   struct driver_traits *traits, struct err *err)
{
    struct driver *d = calloc(1, sizeof *d);
    if (!d)
        return err_nomem(err);
    d->config = *config;
    d->config.uri = NULL;
    d->policy = value_policy(my_driver_ops.title, config);
    if (my_uri_parse(&d->uri, config->uri, err) || my_connect(d, err) || look_for_tables(d, err) ||
        (!d->have_tables && !config->look_only && make_tables(d, err))) {
        my_close(d);
        return err_context(err, "the target");
    }
    const char *cipher = mysql_get_ssl_cipher(d->rows);
    log_info("target", "server", mysql_get_server_info(d->rows), "connection",
             mysql_get_host_info(d->rows), "database", d->uri.base.database, "tls",
             cipher ? cipher : "off", "arrays", d->arrays ? "on" : "off", NULL);
    describe_driver(d, traits);
    *driver = d;
    return 0;
}

/* ---- transactions ---- */

static int my_reset(struct driver *d, struct driver_traits *traits, struct err *err)
{
    struct err ignored = {0};
    d->begins = false;
    buf_free(&d->checkpoint);
    if (!d->rows || my_run(d->rows, "ROLLBACK", &ignored) || mysql_ping(d->schema)) {
        my_disconnect(d);
        if (reconnect(&d->reconnect, d, d->config.connect_timeout_ms, my_connect, err))
            return -1;
        log_info("connected again", "server", mysql_get_server_info(d->rows), NULL);
    }
    describe_driver(d, traits);
    return 0;
}

static int my_begin(struct driver *d, struct err *err)
{
    (void)err;
    d->begins = true;
    return 0;
}

static int my_commit(struct driver *d, struct err *err)
{
    buf_append_str(&d->checkpoint, d->checkpoint.len > 0 ? "; COMMIT" : "COMMIT");
    return my_run_buf(d->rows, &d->checkpoint, err);
}

static int run_on_rows(struct driver *d, struct buf *sql, struct err *err)
{
    return my_run_buf(d->rows, sql, err);
}

/*
 * TRUNCATE TABLE commits the open transaction; DELETE does not. cascade: the source sent every
 * published table that it emptied. Sequences are not replicated.
 */
static int my_truncate(struct driver *d, struct target_table *const *tables, size_t ntables,
                       bool cascade, bool restart_identity, size_t *failed, struct err *err)
{
    (void)cascade;
    (void)restart_identity;
    return text_truncate(d, &my_dialect, tables, ntables, run_on_rows, failed, err);
}

/* ---- our two tables ---- */

static const struct own_dialect dialect = {
    .prefix = "",
    .lock_hint = "",
    .lock_end = " FOR UPDATE",
    .guard = "",
    .text = my_text_literal,
    .bytes = text_bytes,
};

/*
 * The session of an origin's applier has a lock by a name. Where a network forgets a connection the
 * server does not notice, and its session keeps the name, and perhaps the checkpoint's row: the
 * next one ends it, which a user may do with his own, before it takes the row itself. Where a
 * server has no such locks it stays until its wait_timeout.
 */
static void take_place(struct driver *d, const char *origin)
{
    struct buf name = {0}, sql = {0};
    struct err ignored = {0};
    MYSQL_RES *rows;
    buf_append_str(&name, "CONCAT('pg2any.', MD5(CONCAT(DATABASE(), '/', ");
    my_text_literal(&name, origin, strlen(origin));
    buf_append_str(&name, ")))");
    for (int wait_s = 0; !d->in_place && wait_s <= PLACE_WAIT_S; wait_s += PLACE_WAIT_S) {
        buf_printf(&sql, "SELECT GET_LOCK(%s, %d), IS_USED_LOCK(%s)", buf_cstr(&name), wait_s,
                   buf_cstr(&name));
        if (my_rows(d->rows, &sql, &rows, &ignored))
            break;
        MYSQL_ROW row = mysql_fetch_row(rows);
        d->in_place = row && row[0] && strcmp(row[0], "1") == 0;
        if (!d->in_place && wait_s == 0 && row && row[1]) {
            log_warning("ending a session that an earlier applier left behind", "id", row[1], NULL);
            buf_printf(&sql, "KILL %" PRIu64, (uint64_t)strtoull(row[1], NULL, 10));
            if (my_run_buf(d->rows, &sql, &ignored))
                log_warning("it could not be ended", "reason", ignored.text, NULL);
        }
        mysql_free_result(rows);
    }
    buf_free(&name);
}

/* On the connection of the rows: the open transaction may have written it. */
static int my_recall(struct driver *d, const struct own_key *key, struct own_row *row, bool *found,
                     struct err *err)
{
    struct buf sql = {0};
    MYSQL_RES *rows;
    *found = false;
    if (!d->have_tables && d->config.look_only)
        return 0;
    bool lock = key->table == OWN_CHECKPOINT && !d->config.look_only;
    if (lock && !d->in_place && !d->config.beside)
        take_place(d, key->origin);
    buf_append_str(&sql, d->begins ? "START TRANSACTION; " : "");
    d->begins = false;
    own_select(&dialect, key, lock, &sql);
    if (my_rows(d->rows, &sql, &rows, err))
        return -1;
    MYSQL_ROW values = mysql_fetch_row(rows);
    const unsigned long *sizes = values ? mysql_fetch_lengths(rows) : NULL;
    *found = sizes != NULL;
    for (size_t i = 0; *found && i < own_columns(key); i++)
        own_keep(key, row, i, values[i], sizes[i]);
    mysql_free_result(rows);
    return 0;
}

static int my_remember(struct driver *d, const struct own_key *key, const struct own_row *row,
                       bool exists, struct err *err)
{
    struct buf sql = {0};
    own_write(&dialect, key, row, exists, &sql);
    if (key->table == OWN_CHECKPOINT) { /* the next begin() sees whether it is there as it stands */
        d->checkpoint = sql;
        return buf_check(&sql, err);
    }
    return my_run_buf(d->rows, &sql, err) || my_check_warnings(d->rows, err) ? -1 : 0;
}

/* ---- names ---- */

static void fold(char *name)
{
    for (; *name; name++)
        if (*name >= 'A' && *name <= 'Z')
            *name = (char)(*name - 'A' + 'a');
}

/* A mapped schema is a database; an unmapped one, or one that is mapped to nothing, is in the
 * URI's. */
static int my_table_name(struct driver *d, const struct relation *rel, struct buf *out,
                         struct err *err)
{
    const char *mapped = schema_map_find(d->config.schema_map, rel->namespace);
    const char *names[] = {mapped && *mapped ? mapped : d->uri.base.database, rel->name};
    char folded[2][NAME_SIZE];
    if (names_refuse_characters(rel, err))
        return -1;
    for (int i = 0; i < 2; i++) {
        if (strlen(names[i]) >= NAME_SIZE)
            return err_set(err, ERR_PERMANENT, "the name %s.%s is too long", names[0], names[1]);
        memcpy(folded[i], names[i], strlen(names[i]) + 1);
        if (d->folds_table_names)
            fold(folded[i]);
    }
    my_quote(out, folded[0]);
    buf_append_byte(out, '.');
    my_quote(out, folded[1]);
    return strcasecmp(folded[0], d->uri.base.database) == 0
               ? own_refuse_name(folded[1], "another database", err)
               : 0;
}

void my_declare(struct driver *d, const struct relation *rel, uint32_t column, struct buf *out,
                const char **caveat)
{
    *caveat = policy_caveat(
        &rel->columns[column],
        "dates outside the years 1000 to 9999 and infinity stop the applier unless --date-range "
        "and --infinity say what to store");
    my_append_type(rel, column, d->collation, d->row_is_full, out);
}

const struct driver_ops my_driver_ops = {
    .name = "mysql",
    .title = "MySQL",
    .uri_help = "mysql://user:password@host:port/database?socket=PATH&tls=required|verify-ca|"
                "verify-identity&ca=FILE",
    .uri_example = "mysql://cdc:secret@db.example/shop?tls=verify-identity",
    DRIVER_OPERATIONS(my),
    .stores = my_stores,
    .read = my_read,
};
