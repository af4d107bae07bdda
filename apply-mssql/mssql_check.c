/* --check: what the server and the user's permissions let the applier do. */
#include "mssql_driver.h"
#include "sql/rules.h"

static bool may(const struct mssql_result *rows, size_t column)
{
    return mssql_result_number(rows, 0, column) == 1;
}

/*
 * In dbo, where our own tables are; what is granted on the database counts there, too. CREATE TABLE
 * is a permission of the database alone (Microsoft's documentation, "HAS_PERMS_BY_NAME").
 */
static int check_permissions(struct driver *d, bool ddl, struct report *report, struct err *err)
{
    static const char *const names[] = {"SELECT", "INSERT", "UPDATE", "DELETE", "ALTER"};
    enum { ALWAYS = 4, ALL = 5 };
    struct buf sql = {0}, missing = {0};
    struct mssql_result rows;
    bool make = ddl || !d->have_tables;
    size_t n = make ? ALL : ALWAYS;
    buf_append_str(&sql, "SELECT HAS_PERMS_BY_NAME(DB_NAME(), N'DATABASE', N'CREATE TABLE')");
    for (size_t i = 0; i < n; i++)
        buf_printf(&sql, ", HAS_PERMS_BY_NAME(N'dbo', N'SCHEMA', N'%s')", names[i]);
    int rc = mssql_ask_buf(d, &sql, &rows, err);
    if (rc == 0 && rows.nrows != 1)
        rc = err_set(err, ERR_PERMANENT, "the server does not say what this user may do");
    for (size_t i = 0; rc == 0 && i < n; i++)
        if (!may(&rows, i + 1))
            buf_printf(&missing, "%s%s", missing.len ? ", " : "", names[i]);
    if (rc == 0 && make && !may(&rows, 0)) {
        report_fail(report, "this user may not create tables in database %s", d->uri.base.database);
        report_mend(report, "GRANT CREATE TABLE TO [user];");
    }
    if (rc == 0 && missing.len == 0) {
        report_ok(report, "this user has the permissions that are needed on schema dbo");
    } else if (rc == 0) {
        report_note(report,
                    "this user has no permission on schema dbo as a whole for: %s; single tables "
                    "may give it",
                    buf_cstr(&missing));
        report_mend(report, "GRANT %s ON SCHEMA::dbo TO [user];", buf_cstr(&missing));
    }
    buf_free(&missing);
    mssql_result_free(&rows);
    return rc;
}

int mssql_check(struct driver *d, bool ddl, struct report *report, struct err *err)
{
    static const char *const words[] = {"off", "on, not verified", "on, verified"};
    report_ok(report, "target: SQL Server %s at %s, database %s, TLS %s", d->version,
              d->uri.base.host, d->uri.base.database, words[d->uri.encrypt]);
    if (d->rows != ROWS_JSON) {
        report_note(report, "the database's compatibility level is below 130: rows are sent as "
                            "literals, which is slower");
        report_mend(report, "ALTER DATABASE CURRENT SET COMPATIBILITY_LEVEL = 130;");
    }
    rules_note(report, d->uri.triggers, d->uri.foreign_keys);
    return check_permissions(d, ddl, report, err);
}
