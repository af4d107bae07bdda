/* Connecting, the session's settings, statements without parameters, names and literals. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <unistd.h>

#include "base/log.h"
#include "mysql_driver.h"

#define CHANGE_TIMEOUT_S   3600 /* ALTER TABLE may copy the table */
#define SCHEMA_LOCK_WAIT_S 5
#define LOCK_ANSWER_S      3 /* InnoDB looks for locks that are to be given up each second or so */
#define CLIENT_MAX_PACKET  (UINT64_C(1) << 30) /* the most that the protocol has */
#define OPTION_GROUP       "pg2any"            /* beside the library's own, client */
#define WARNINGS_SHOWN     3

/* ---- errors, statements ---- */

int my_fail(MYSQL *m, const char *what, struct err *err)
{
    return my_error_set(err, mysql_errno(m), mysql_sqlstate(m), mysql_error(m), what);
}

int my_statement_fail(MYSQL_STMT *s, const char *what, struct err *err)
{
    return my_error_set(err, mysql_stmt_errno(s), mysql_stmt_sqlstate(s), mysql_stmt_error(s),
                        what);
}

int my_run(MYSQL *m, const char *sql, struct err *err)
{
    int rc = mysql_real_query(m, sql, strlen(sql));
    while (rc == 0 && mysql_more_results(m))
        rc = mysql_next_result(m);
    return rc ? my_fail(m, sql, err) : 0;
}

int my_run_buf(MYSQL *m, struct buf *sql, struct err *err)
{
    int rc = buf_check(sql, err);
    if (rc == 0)
        rc = my_run(m, buf_cstr(sql), err);
    buf_free(sql);
    return rc;
}

int my_rows(MYSQL *m, struct buf *sql, MYSQL_RES **rows, struct err *err)
{
    const char *text = buf_cstr(sql);
    int rc = buf_check(sql, err);
    if (rc == 0)
        rc = my_run(m, text, err);
    if (rc == 0) {
        *rows = mysql_store_result(m);
        rc = *rows ? 0 : my_fail(m, text, err);
    }
    buf_free(sql);
    return rc;
}

int my_check_warnings(MYSQL *m, struct err *err)
{
    struct buf sql = {0}, text = {0};
    MYSQL_RES *rows;
    if (mysql_warning_count(m) == 0)
        return 0;
    buf_printf(&sql, "SHOW WARNINGS LIMIT %d", WARNINGS_SHOWN);
    if (my_rows(m, &sql, &rows, err))
        return err_context(err, "a warning of the server");
    for (MYSQL_ROW row; (row = mysql_fetch_row(rows)) != NULL;) {
        char message[256];
        my_error_scrub(row[2] ? row[2] : "", message, sizeof message);
        buf_printf(&text, "%s%s (%s)", text.len ? "; " : "", message, row[1] ? row[1] : "");
    }
    mysql_free_result(rows);
    (void)err_set(err, ERR_PERMANENT, "the server would change a value: %s",
                  text.len ? buf_cstr(&text) : "a warning that it no longer shows");
    buf_free(&text);
    return -1;
}

/* ---- names and literals ---- */

void my_quote(struct buf *out, const char *name)
{
    text_quote(out, name, '`', '`');
}

void my_split_name(const char *name, char database[NAME_SIZE], char table[NAME_SIZE])
{
    const char *p = text_unquote(name, '`', '`', database, NAME_SIZE);
    if (*p != '.' || *text_unquote(p + 1, '`', '`', table, NAME_SIZE) != '\0')
        BUG("a table's name that is not two in backticks");
}

void my_text_literal(struct buf *out, const char *text, size_t size)
{
    buf_append_str(out, "_utf8mb4 ");
    text_bytes(out, text, size);
}

void my_same_name(struct buf *out, const char *column, const char *name)
{
    buf_printf(out, "%s = ", column);
    my_text_literal(out, name, strlen(name));
    buf_printf(out, " AND CAST(%s AS BINARY) = ", column);
    text_bytes(out, name, strlen(name));
}

/* ---- the connection ---- */

enum session { SESSION_ROWS, SESSION_SCHEMA, SESSION_CHANGE };

static void set_options(MYSQL *m, const struct driver *d, enum session kind)
{
    const struct my_uri *u = &d->uri;
    unsigned int off = 0, tcp = MYSQL_PROTOCOL_TCP;
    unsigned int connect_s = config_seconds(d->config.connect_timeout_ms);
    /* The server gives up a lock after the query timeout; its answer has to arrive. */
    unsigned int query_s = kind == SESSION_CHANGE
                               ? CHANGE_TIMEOUT_S
                               : config_seconds(d->config.query_timeout_ms) + LOCK_ANSWER_S;
    unsigned long packet = CLIENT_MAX_PACKET;
    (void)mysql_options(m, MYSQL_READ_DEFAULT_GROUP, OPTION_GROUP);
    (void)mysql_options(m, MYSQL_SET_CHARSET_NAME, "utf8mb4");
    (void)mysql_options(m, MYSQL_OPT_CONNECT_TIMEOUT, &connect_s);
    (void)mysql_options(m, MYSQL_OPT_READ_TIMEOUT, &query_s);
    (void)mysql_options(m, MYSQL_OPT_WRITE_TIMEOUT, &query_s);
    (void)mysql_options(m, MYSQL_OPT_LOCAL_INFILE, &off);
    (void)mysql_options(m, MYSQL_OPT_MAX_ALLOWED_PACKET, &packet);
    (void)mysql_options4(m, MYSQL_OPT_CONNECT_ATTR_ADD, "program_name", "pg2any");
    compat_no_reconnect(m);
    /* "localhost" is the socket for the library, even with a port; a URI with a port means TCP. */
    if (!u->socket && u->base.host && (u->base.port || strcasecmp(u->base.host, "localhost") != 0))
        (void)mysql_options(m, MYSQL_OPT_PROTOCOL, &tcp);
    /* With one of them MariaDB's library takes any connection for encrypted. */
    bool files = u->tls != MYSQL_TLS_OFF;
    if (u->ca && files)
        (void)mysql_options(m, MYSQL_OPT_SSL_CA, u->ca);
    if (u->cert && files)
        (void)mysql_options(m, MYSQL_OPT_SSL_CERT, u->cert);
    if (u->key && files)
        (void)mysql_options(m, MYSQL_OPT_SSL_KEY, u->key);
    compat_tls(m, u->tls);
}

/*
 * Everything that changes what a statement does, whatever the server's own settings and those of
 * an option file are. NO_AUTO_VALUE_ON_ZERO: a 0 in an AUTO_INCREMENT column is a 0. A trigger can
 * look at @pg2any.
 */
static int set_session(const struct driver *d, MYSQL *m, bool schema, struct err *err)
{
    struct buf sql = {0};
    if (mysql_set_character_set(m, "utf8mb4"))
        return my_fail(m, "setting the character set", err);
    /* MySQL lets few users do it; without it warnings are counted, but perhaps not shown. */
    (void)mysql_query(m, "SET SESSION max_error_count = 64");
    buf_printf(&sql,
               "SET SESSION sql_mode = 'STRICT_ALL_TABLES,STRICT_TRANS_TABLES,NO_ZERO_DATE,"
               "NO_ZERO_IN_DATE,ERROR_FOR_DIVISION_BY_ZERO,NO_ENGINE_SUBSTITUTION,"
               "NO_AUTO_VALUE_ON_ZERO', time_zone = '+00:00', lc_messages = 'en_US', "
               "autocommit = 1, completion_type = 0, sql_safe_updates = 0, sql_auto_is_null = 0, "
               "sql_notes = 1, unique_checks = 1, foreign_key_checks = %d, "
               "innodb_lock_wait_timeout = %u, lock_wait_timeout = %u, @pg2any = 1",
               schema || d->uri.foreign_keys, config_seconds(d->config.query_timeout_ms),
               schema ? SCHEMA_LOCK_WAIT_S : config_seconds(d->config.query_timeout_ms));
    return my_run_buf(m, &sql, err) ||
                   my_run(m, "SET SESSION TRANSACTION ISOLATION LEVEL READ COMMITTED", err)
               ? -1
               : 0;
}

/* The library reports a file that it cannot read as a lost connection. */
static int check_files(const struct my_uri *u, struct err *err)
{
    const struct {
        const char *parameter, *path;
    } files[] = {{"ca", u->ca}, {"cert", u->cert}, {"key", u->key}};
    for (size_t i = 0; i < sizeof files / sizeof *files; i++)
        if (files[i].path && access(files[i].path, R_OK) != 0)
            return err_errno(err, ERR_PERMANENT, "--dest: %s=%s", files[i].parameter,
                             files[i].path);
    return 0;
}

/* `database` NULL: none is chosen. */
static int connect_to(const struct driver *d, const char *database, enum session kind, MYSQL **out,
                      struct err *err)
{
    const struct my_uri *u = &d->uri;
    if (check_files(u, err))
        return -1;
    MYSQL *m = mysql_init(NULL);
    if (!m)
        return err_nomem(err);
    set_options(m, d, kind);
    if (!mysql_real_connect(m, u->base.host, u->base.user, u->base.password, database, u->base.port,
                            u->socket, CLIENT_FOUND_ROWS | CLIENT_MULTI_STATEMENTS)) {
        (void)my_fail(m, "connecting", err);
        int unknown = mysql_errno(m) == ER_BAD_DB_ERROR;
        mysql_close(m);
        return unknown ? 1 : -1;
    }
    int rc =
        u->tls >= MYSQL_TLS_REQUIRED && !mysql_get_ssl_cipher(m)
            ? err_set(err, ERR_PERMANENT, "the connection is not encrypted, but tls asks for it")
            : set_session(d, m, kind != SESSION_ROWS, err);
    if (rc)
        mysql_close(m);
    else
        *out = m;
    return rc;
}

int my_create_database(struct driver *d, const char *name, struct buf *show, struct err *err)
{
    struct buf sql = {0}, advice = {0};
    int rc = -1;
    buf_append_str(&sql, "CREATE DATABASE IF NOT EXISTS ");
    my_quote(&sql, name);
    buf_printf(&sql, " CHARACTER SET utf8mb4 COLLATE %s", d->collation);
    buf_append_str(&advice, buf_cstr(&sql));
    if (d->uri.create_database)
        rc = text_change(d, &sql, show, my_run_change, err);
    else
        (void)err_set(err, ERR_PERMANENT, "the target has no database %s", name);
    if (rc)
        (void)err_hint(err, "as a user who may: %s", buf_cstr(&advice));
    else if (!show)
        log_info("database created", "database", name, NULL);
    buf_free(&sql);
    buf_free(&advice);
    return rc;
}

/* What the driver has to know of the server. Its collation is binary, and blanks at the end count;
 * utf8mb4_bin ignores them. */
static int ask_server(struct driver *d, MYSQL *m, struct err *err)
{
    struct buf sql = {0};
    MYSQL_RES *rows;
    buf_append_str(&sql,
                   "SELECT @@max_allowed_packet, @@lower_case_table_names, (SELECT "
                   "MIN(collation_name) FROM information_schema.collations WHERE collation_name IN "
                   "('utf8mb4_nopad_bin', 'utf8mb4_0900_bin'))");
    if (my_rows(m, &sql, &rows, err))
        return -1;
    MYSQL_ROW row = mysql_fetch_row(rows);
    bool known = row && row[0] && row[1] && row[2];
    if (known) {
        d->max_packet = strtoull(row[0], NULL, 10);
        d->folds_table_names = strcmp(row[1], "0") != 0;
        (void)snprintf(d->collation, sizeof d->collation, "%s", row[2]);
    }
    mysql_free_result(rows);
    if (!known) {
        (void)err_set(err, ERR_PERMANENT, "the server %s has no collation that tells 'a' from 'a '",
                      mysql_get_server_info(m));
        return err_hint(err, "MariaDB 10.2 or later, or MySQL 8.0.17 or later");
    }
    d->arrays = d->uri.array_binding && compat_has_arrays(m);
    return 0;
}

/* The connection for the schema; makes the database on the way where it is missing. */
static int connect_schema(struct driver *d, struct err *err)
{
    int rc = connect_to(d, d->uri.base.database, SESSION_SCHEMA, &d->schema, err);
    if (rc <= 0)
        return rc || ask_server(d, d->schema, err) ? -1 : 0;
    if (!d->uri.create_database)
        return -1;
    err_clear(err);
    if (connect_to(d, NULL, SESSION_SCHEMA, &d->schema, err))
        return -1;
    d->no_database = d->config.look_only;
    if (ask_server(d, d->schema, err))
        return -1;
    if (d->no_database)
        return 0;
    if (my_create_database(d, d->uri.base.database, NULL, err))
        return -1;
    return mysql_select_db(d->schema, d->uri.base.database)
               ? my_fail(d->schema, "choosing the database", err)
               : 0;
}

int my_connect(struct driver *d, struct err *err)
{
    if (connect_schema(d, err) ||
        connect_to(d, d->no_database ? NULL : d->uri.base.database, SESSION_ROWS, &d->rows, err)) {
        my_disconnect(d);
        return -1;
    }
    return 0;
}

int my_connect_change(const struct driver *d, MYSQL **m, struct err *err)
{
    return connect_to(d, NULL, SESSION_CHANGE, m, err);
}

void my_disconnect(struct driver *d)
{
    if (d->rows)
        mysql_close(d->rows);
    if (d->schema)
        mysql_close(d->schema);
    d->rows = d->schema = NULL;
    d->in_place = false;
}
