/* --check: what the server and the user's privileges let the applier do. */
#include "mysql_dest.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "pg_type.h"

/* Everything that is granted to this user on the database or on all of them; roles apart. Grants on
 * a database may hold patterns (MySQL manual, "GRANT Statement"). */
static const char privileges_sql[] =
    "SELECT p.privilege_type FROM information_schema.user_privileges p WHERE p.grantee = "
    "CONCAT('''', REPLACE(CURRENT_USER(), '@', '''@'''), '''') UNION SELECT s.privilege_type FROM "
    "information_schema.schema_privileges s WHERE s.grantee = CONCAT('''', REPLACE(CURRENT_USER(), "
    "'@', '''@'''), '''') AND DATABASE() LIKE s.table_schema";

#define MAX_NEEDED 8

/* A list of privileges, each of which the check is to find. */
struct needed {
    const char *names[MAX_NEEDED];
    bool found[MAX_NEEDED];
    size_t n;
};

static void need(struct needed *needed, const char *const *names)
{
    for (size_t i = 0; names[i]; i++)
        needed->names[needed->n++] = names[i];
}

static int look_for_privileges(struct dest *d, struct needed *needed, struct err *err)
{
    struct buf sql = {0};
    MYSQL_RES *rows;
    buf_append_str(&sql, privileges_sql);
    if (mysql_rows(d->schema, &sql, &rows, err))
        return -1;
    for (MYSQL_ROW row; (row = mysql_fetch_row(rows)) != NULL;)
        for (size_t i = 0; i < needed->n; i++)
            if (row[0] && strcmp(row[0], needed->names[i]) == 0)
                needed->found[i] = true;
    mysql_free_result(rows);
    return 0;
}

static int check_privileges(struct dest *d, bool ddl, const char *account, struct report *report,
                            struct err *err)
{
    /* TRUNCATE at the source is a DELETE here, so that it can be part of a transaction. */
    static const char *const always[] = {"SELECT", "INSERT", "UPDATE", "DELETE", NULL};
    static const char *const for_ddl[] = {"CREATE", "ALTER", "DROP", "INDEX", NULL};
    struct needed needed = {.n = 0};
    struct buf missing = {0};
    need(&needed, always);
    if (ddl || !d->have_tables)
        need(&needed, for_ddl);
    if (look_for_privileges(d, &needed, err))
        return -1;
    for (size_t i = 0; i < needed.n; i++)
        if (!needed.found[i])
            buf_printf(&missing, "%s%s", missing.len ? ", " : "", needed.names[i]);
    if (missing.len == 0) {
        report_ok(report, "this user has the privileges that are needed on database %s",
                  d->uri.base.database);
    } else {
        report_fail(report,
                    "this user lacks privileges on database %s, unless single tables or a role "
                    "give them: %s",
                    d->uri.base.database, buf_cstr(&missing));
        report_mend(report, "GRANT %s ON `%s`.* TO %s%s", buf_cstr(&missing), d->uri.base.database,
                    account,
                    ddl ? ";  -- or --ddl none, with the tables made by someone else" : ";");
    }
    buf_free(&missing);
    return 0;
}

int mysql_check(struct dest *d, bool ddl, struct report *report, struct err *err)
{
    struct buf sql = {0};
    MYSQL_RES *rows;
    const char *cipher = mysql_get_ssl_cipher(d->schema);
    report_ok(report, "target: %s, %s, database %s, TLS %s", mysql_get_server_info(d->schema),
              mysql_get_host_info(d->schema), d->uri.base.database, cipher ? cipher : "off");
    buf_append_str(&sql, "SELECT @@innodb_flush_log_at_trx_commit, @@read_only, "
                         "CONCAT('''', REPLACE(CURRENT_USER(), '@', '''@'''), '''')");
    if (mysql_rows(d->schema, &sql, &rows, err))
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
    char account[256];
    (void)snprintf(account, sizeof account, "%s", row && row[2] ? row[2] : "");
    mysql_free_result(rows);
    report_ok(report, "a row may have %llu bytes (max_allowed_packet)",
              (unsigned long long)d->max_packet);
    return check_privileges(d, ddl, account, report, err);
}

const char *mysql_caveat(const struct column *column)
{
    return policy_caveat(
        column, "NaN and infinities stop the applier unless --nan and --infinity say what to store",
        "dates outside the years 1000 to 9999 and infinity stop the applier unless --date-range "
        "and --infinity say what to store");
}
