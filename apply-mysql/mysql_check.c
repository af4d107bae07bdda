/* --check: what the server and the user's privileges let the applier do. */
#include "mysql_driver.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/option_name.h"
#include "sql/own.h"
#include "sql/rules.h"

/*
 * What is granted to this user on a database or on all of them, as privileges; single tables and
 * roles, which may give more, only as that they are there. Grants on a database may hold patterns
 * (MySQL manual, "GRANT Statement").
 */
static void append_grants_query(struct buf *sql, const char *account, const char *database)
{
    buf_append_str(sql, "SELECT p.privilege_type FROM information_schema.user_privileges p WHERE "
                        "p.grantee = ");
    my_text_literal(sql, account, strlen(account));
    buf_append_str(sql, " UNION SELECT s.privilege_type FROM information_schema.schema_privileges "
                        "s WHERE s.grantee = ");
    my_text_literal(sql, account, strlen(account));
    buf_append_str(sql, " AND ");
    my_text_literal(sql, database, strlen(database));
    buf_append_str(sql, " LIKE s.table_schema UNION SELECT '(table)' FROM "
                        "information_schema.table_privileges t WHERE t.grantee = ");
    my_text_literal(sql, account, strlen(account));
    buf_append_str(sql, " AND t.table_schema = ");
    my_text_literal(sql, database, strlen(database));
    buf_append_str(sql, " UNION SELECT '(role)' FROM DUAL WHERE CURRENT_ROLE() NOT IN ('', "
                        "'NONE')");
}

/* Whether a row of the query is that privilege, or of that kind: "(table)". */
static bool has(MYSQL_RES *rows, const char *privilege)
{
    mysql_data_seek(rows, 0);
    for (MYSQL_ROW row; (row = mysql_fetch_row(rows)) != NULL;)
        if (row[0] && strcmp(row[0], privilege) == 0)
            return true;
    return false;
}

static int check_privileges(struct driver *d, bool ddl, const char *account, const char *database,
                            struct report *report, struct err *err)
{
    /* TRUNCATE at the source is a DELETE here, so that it can be part of a transaction. */
    static const char *const needed[] = {"SELECT", "INSERT", "UPDATE", "DELETE",
                                         "CREATE", "ALTER",  "DROP",   "INDEX"};
    enum { ALWAYS = 4, FOR_DDL = 8 };
    bool ours = strcmp(database, d->uri.base.database) == 0 && !d->have_tables;
    struct buf sql = {0}, missing = {0};
    MYSQL_RES *rows;
    append_grants_query(&sql, account, database);
    if (my_rows(d->schema, &sql, &rows, err))
        return -1;
    for (int i = 0; i < (ddl || ours ? FOR_DDL : ALWAYS); i++)
        if (!has(rows, needed[i]))
            buf_printf(&missing, "%s%s", missing.len ? ", " : "", needed[i]);
    bool maybe = has(rows, "(table)") || has(rows, "(role)");
    /* MariaDB shows them to every user of the table. */
    bool blind = !d->uri.triggers && !maybe && !has(rows, "TRIGGER") &&
                 !strstr(mysql_get_server_info(d->schema), "MariaDB");
    mysql_free_result(rows);
    if (blind) {
        report_note(report, "this user does not see whether tables of database %s have triggers",
                    database);
        report_mend(report, "GRANT TRIGGER ON `%s`.* TO %s;", database, account);
    }
    if (missing.len == 0)
        report_ok(report, "this user has the privileges that are needed on database %s", database);
    else if (maybe)
        report_note(report,
                    "this user has no privilege on database %s as a whole for: %s; single tables "
                    "or a role may give it",
                    database, buf_cstr(&missing));
    else
        report_fail(report, "this user lacks privileges on database %s: %s", database,
                    buf_cstr(&missing));
    if (missing.len > 0 && !ddl && ours)
        report_mend(report, "have someone make " CHECKPOINT_TABLE " and " RELATION_TABLE " as "
                            "docs/OPERATIONS.md has them, or");
    if (missing.len > 0)
        report_mend(report, "GRANT %s ON `%s`.* TO %s%s", buf_cstr(&missing), database, account,
                    ddl ? OPTION_TEXT(";  -- or --ddl none, with the tables made by someone else")
                        : ";");
    buf_free(&missing);
    return 0;
}

/* The database of the URI, and those that --schema-map names. */
static int check_databases(struct driver *d, bool ddl, const char *account, struct report *report,
                           struct err *err)
{
    const struct schema_map *map = d->config.schema_map;
    if (d->no_database)
        report_note(report, "database %s does not exist and will be created", d->uri.base.database);
    if (check_privileges(d, ddl, account, d->uri.base.database, report, err))
        return -1;
    for (size_t i = 0; i < map->n; i++) {
        bool seen = strcmp(map->entries[i].to, d->uri.base.database) == 0;
        for (size_t j = 0; j < i; j++)
            seen = seen || strcmp(map->entries[i].to, map->entries[j].to) == 0;
        if (!seen && check_privileges(d, ddl, account, map->entries[i].to, report, err))
            return -1;
    }
    return 0;
}

int my_check(struct driver *d, bool ddl, struct report *report, struct err *err)
{
    struct buf sql = {0};
    MYSQL_RES *rows;
    const char *cipher = mysql_get_ssl_cipher(d->schema);
    report_ok(report, "target: %s, %s, database %s, TLS %s", mysql_get_server_info(d->schema),
              mysql_get_host_info(d->schema), d->uri.base.database, cipher ? cipher : "off");
    /* The account as grants have it, 'user'@'host'. */
    buf_append_str(
        &sql,
        "SELECT @@innodb_flush_log_at_trx_commit, @@read_only, CONCAT('''', LEFT(u, "
        "CHAR_LENGTH(u) - CHAR_LENGTH(SUBSTRING_INDEX(u, '@', -1)) - 1), '''@''', "
        "SUBSTRING_INDEX(u, '@', -1), ''''), @@SESSION.sql_mode FROM (SELECT CURRENT_USER() AS u) AS me");
    if (my_rows(d->schema, &sql, &rows, err))
        return -1;
    MYSQL_ROW row = mysql_fetch_row(rows);
    if (row && row[0] && strcmp(row[0], "1") != 0) {
        report_note(report,
                    "innodb_flush_log_at_trx_commit is %s: what is acknowledged can be lost when "
                    "the target's machine crashes",
                    row[0]);
        report_mend(report, "SET GLOBAL innodb_flush_log_at_trx_commit = 1;");
    }
    if (row && row[1] && strcmp(row[1], "0") != 0) {
        report_fail(report, "the server is read-only");
        report_mend(report, "SET GLOBAL read_only = OFF;  -- or name the primary in CDC_DEST_URI");
    }
    /* What the session asked for; a proxy in between may have kept it to itself. */
    if (row && row[3] && strstr(row[3], "STRICT_ALL_TABLES") &&
        strstr(row[3], "NO_AUTO_VALUE_ON_ZERO")) {
        report_ok(report, "the session's sql_mode is strict, whatever the server's is");
    } else {
        report_fail(report, "the session's sql_mode is not the one that was set: %s",
                    row && row[3] ? row[3] : "");
        report_mend(report, "connect to the server itself, not through a proxy");
    }
    char account[256];
    (void)snprintf(account, sizeof account, "%s", row && row[2] ? row[2] : "");
    mysql_free_result(rows);
    report_ok(report, "a row may have %llu bytes (max_allowed_packet)",
              (unsigned long long)d->max_packet);
    rules_note(report, d->uri.triggers, d->uri.foreign_keys);
    return check_databases(d, ddl, account, report, err);
}
