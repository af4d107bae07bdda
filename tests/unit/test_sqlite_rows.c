/* apply-sqlite/sqlite_rows.c by way of the SQL floor: runs, conflicts, tables of
 * the user's, names, limits. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/log.h"
#include "sqlite_world.h"

#define LENGTH(a) (sizeof(a) / sizeof *(a))

/* ---- runs ---- */

static void a_run_of_each_kind(void **state)
{
    struct sqlite_world *w = *state;
    make(w, REPLICA_IDENTITY_DEFAULT, "t", "id/int/k,v/text,n/num", 1);
    succeeds(w, RUN(w, CHANGE_INSERT, "1|a|1.50", "2||2", "3|~|~"));
    shows(w, "SELECT *, typeof(id), typeof(v), typeof(n) FROM t",
          "1|a|1.5|integer|text|real 2||2|integer|text|integer 3|~|~|integer|null|null");
    succeeds(w, RUN(w, CHANGE_UPDATE, "1|b|1", "1|c|2", "3|x|3"));
    shows(w, "SELECT * FROM t", "1|c|2 2||2 3|x|3");
    succeeds(w, RUN(w, CHANGE_DELETE, "K 2|~|~", "K 1|~|~"));
    shows(w, "SELECT * FROM t", "3|x|3");
}

static void an_update_touches_what_was_sent(void **state)
{
    struct sqlite_world *w = *state;
    make(w, REPLICA_IDENTITY_DEFAULT, "t", "id/int/k,v/text,n/int", 1);
    succeeds(w, RUN(w, CHANGE_INSERT, "1|large|1", "2|larger|2"));
    /* An unchanged TOASTed value stays. */
    succeeds(w, RUN(w, CHANGE_UPDATE, "1|^|10", "2|^|20"));
    shows(w, "SELECT * FROM t", "1|large|10 2|larger|20");
    /* A key that changes: in place, so that what was not sent is kept. */
    succeeds(w, RUN(w, CHANGE_UPDATE, "K 1|~|~ > 5|^|11"));
    shows(w, "SELECT * FROM t ORDER BY id", "2|larger|20 5|large|11");
    /* A chain within one run. */
    succeeds(w, RUN(w, CHANGE_UPDATE, "K 2|~|~ > 3|^|^", "K 3|~|~ > 4|y|^", "4|^|40"));
    shows(w, "SELECT * FROM t ORDER BY id", "4|y|40 5|large|11");
    /* Nothing but the key, and nothing new in it. */
    succeeds(w, RUN(w, CHANGE_UPDATE, "4|^|^"));
    shows(w, "SELECT * FROM t ORDER BY id", "4|y|40 5|large|11");
    fails(w, RUN(w, CHANGE_UPDATE, "9|^|^"), ERR_PERMANENT, "conflict update_missing");
}

/* An UPDATE that brought a row into a row filter comes as an INSERT. */
static void an_insert_that_lacks_values_completes_a_row(void **state)
{
    struct sqlite_world *w = *state;
    make(w, REPLICA_IDENTITY_DEFAULT, "t", "id/int/k,v/text,n/int", 1);
    fails(w, RUN(w, CHANGE_INSERT, "1|a|1", "2|^|2", "3|c|3"), ERR_PERMANENT, "row filter");
    sql(w, "DELETE FROM t");
    sql(w, "INSERT INTO t VALUES (2, 'by hand', 0)");
    succeeds(w, RUN(w, CHANGE_INSERT, "1|a|1", "2|^|2", "3|c|3"));
    shows(w, "SELECT * FROM t ORDER BY id", "1|a|1 2|by hand|2 3|c|3");
    succeeds(w, RUN(w, CHANGE_INSERT, "4|d|4"));
    w->conflicts.policy = CONFLICT_SKIP;
    succeeds(w, RUN(w, CHANGE_INSERT, "5|^|5", "6|f|6"));
    shows(w, "SELECT id FROM t ORDER BY id", "1 2 3 4 6");
}

static void an_update_of_a_table_of_keys(void **state)
{
    struct sqlite_world *w = *state;
    make(w, REPLICA_IDENTITY_DEFAULT, "t", "a/int/k,b/text/k", 2);
    succeeds(w, RUN(w, CHANGE_INSERT, "1|x", "2|x"));
    succeeds(w, RUN(w, CHANGE_UPDATE, "1|x", "K 2|x > 2|y", "K 1|x > 3|z"));
    shows(w, "SELECT * FROM t ORDER BY a", "2|y 3|z");
    succeeds(w, RUN(w, CHANGE_DELETE, "K 2|y"));
    shows(w, "SELECT * FROM t ORDER BY a", "3|z");
}

/* More sets of columns than there are statements kept. */
static void many_sets_of_columns(void **state)
{
    struct sqlite_world *w = *state;
    make(w, REPLICA_IDENTITY_DEFAULT, "t", "id/int/k,a/text,b/text,c/text,d/text,e/text,f/text", 1);
    succeeds(w, RUN(w, CHANGE_INSERT, "1|0|0|0|0|0|0"));
    for (unsigned round = 0; round < 2; round++)
        for (unsigned set = 1; set < 64; set++) {
            char row[64] = "1";
            for (unsigned i = 0; i < 6; i++)
                if (set >> i & 1)
                    (void)snprintf(row + strlen(row), sizeof row - strlen(row), "|%u", set);
                else
                    (void)strcat(row, "|^");
            succeeds(w, RUN(w, CHANGE_UPDATE, row));
        }
    shows(w, "SELECT * FROM t", "1|63|63|63|63|63|63");
}

/* Under FULL without a key: one of several equal rows, compared with NULLs. */
static void a_keyless_row_is_one_of_several(void **state)
{
    struct sqlite_world *w = *state;
    make(w, REPLICA_IDENTITY_FULL, "t", "a/int,b/text,f/float", 0);
    succeeds(w, RUN(w, CHANGE_INSERT, "1|~|0.1", "1|~|0.1", "1|~|0.1", "1|x|0.1", "~|~|~"));
    succeeds(w, RUN(w, CHANGE_UPDATE, "O 1|~|0.1 > 2|y|0.2"));
    shows(w, "SELECT a, b, count(*) FROM t GROUP BY 1, 2", "~|~|1 1|~|2 1|x|1 2|y|1");
    succeeds(w, RUN(w, CHANGE_DELETE, "O 1|~|0.1", "O ~|~|~"));
    shows(w, "SELECT a, b, count(*) FROM t GROUP BY 1, 2", "1|~|1 1|x|1 2|y|1");
    /* The old tuple has what the new one does not repeat. */
    succeeds(w, RUN(w, CHANGE_UPDATE, "O 1|x|0.1 > 3|^|0.3"));
    shows(w, "SELECT * FROM t WHERE a = 3", "3|x|0.3");
    /* Nothing changed: one row is still looked for. */
    succeeds(w, RUN(w, CHANGE_UPDATE, "O 3|x|0.3 > 3|x|0.3"));
    fails(w, RUN(w, CHANGE_UPDATE, "O 4|x|0.3 > 4|x|0.3"), ERR_PERMANENT, "update_missing");
    fails(w, RUN(w, CHANGE_DELETE, "O 1|z|0.1"), ERR_PERMANENT, "delete_missing");
}

static void full_with_a_key_goes_by_the_key(void **state)
{
    struct sqlite_world *w = *state;
    make(w, REPLICA_IDENTITY_FULL, "t", "id/int,v/text", 1);
    succeeds(w, RUN(w, CHANGE_INSERT, "1|a", "2|b"));
    sql(w, "UPDATE t SET v = 'other' WHERE id = 1");
    succeeds(w, RUN(w, CHANGE_UPDATE, "O 1|a > 1|c", "O 2|b > 3|^"));
    succeeds(w, RUN(w, CHANGE_DELETE, "O 1|whatever"));
    shows(w, "SELECT * FROM t", "3|b");
}

static void columns_may_have_the_names_of_the_rowid(void **state)
{
    struct sqlite_world *w = *state;
    make(w, REPLICA_IDENTITY_FULL, "t", "rowid/text,_ROWID_/text", 0);
    succeeds(w, RUN(w, CHANGE_INSERT, "a|b", "a|b"));
    succeeds(w, RUN(w, CHANGE_DELETE, "O a|b"));
    shows(w, "SELECT * FROM t", "a|b");
    make(w, REPLICA_IDENTITY_FULL, "u", "rowid/text,_ROWID_/text,oid/text", 0);
    succeeds(w, RUN(w, CHANGE_INSERT, "a|b|c"));
    fails(w, RUN(w, CHANGE_DELETE, "O a|b|c"), ERR_PERMANENT, "named rowid, _rowid_ and oid");
}

static void rows_without_identity_are_only_inserted(void **state)
{
    struct sqlite_world *w = *state;
    make(w, REPLICA_IDENTITY_NOTHING, "t", "a/int", 0);
    succeeds(w, RUN(w, CHANGE_INSERT, "1", "1"));
    fails(w, RUN(w, CHANGE_UPDATE, "1"), ERR_PERMANENT, "no replica identity");
    fails(w, RUN(w, CHANGE_DELETE, "K 1"), ERR_PERMANENT, "REPLICA IDENTITY FULL at the source");
}

static void a_table_may_have_no_columns(void **state)
{
    struct sqlite_world *w = *state;
    describe(w, REPLICA_IDENTITY_DEFAULT, "t", "x/int", 0);
    w->rel.ncolumns = 0;
    succeeds(w, create_table(w, "t"));
    succeeds(w, open_table(w));
    succeeds(w, RUN(w, CHANGE_INSERT, "", ""));
    shows(w, "SELECT count(*) FROM t", "2");
}

static void an_identity_index_is_made_and_survives_a_rename(void **state)
{
    struct sqlite_world *w = *state;
    make(w, REPLICA_IDENTITY_INDEX, "t", "id/int,u/text/k,v/text", 1);
    succeeds(w, RUN(w, CHANGE_INSERT, "1|a|x", "2|b|y"));
    succeeds(w, RUN(w, CHANGE_UPDATE, "K ~|b|~ > 2|c|z"));
    succeeds(w, RUN(w, CHANGE_DELETE, "K ~|a|~"));
    shows(w, "SELECT * FROM t", "2|c|z");
    shows(w, "SELECT count(*) FROM sqlite_schema WHERE type = 'index' AND tbl_name = 't'", "1");
    succeeds(w, rename_table(w, "t", "old"));
    describe(w, REPLICA_IDENTITY_INDEX, "t", "id/int,u/text/k,v/text", 1);
    w->rel.relid++;
    succeeds(w, create_table(w, "t"));
    /* A column of it that goes takes it along. */
    succeeds(w, drop_column(w, "old", "v"));
    shows(w, "SELECT count(*) FROM sqlite_schema WHERE type = 'index' AND tbl_name = 'old'", "1");
    succeeds(w, drop_column(w, "old", "u"));
    shows(w, "SELECT * FROM old", "2");
}

static void rows_are_found_by_an_index(void **state)
{
    struct sqlite_world *w = *state;
    struct buf plan = {0};
    make(w, REPLICA_IDENTITY_DEFAULT, "t", "a/int/k,b/text/k,v/text", 2);
    succeeds(w, RUN(w, CHANGE_INSERT, "1|x|y"));
    succeeds(w, RUN(w, CHANGE_DELETE, "K 1|x|~"));
    sqlite3_stmt *s = NULL, *explain;
    while ((s = sqlite3_next_stmt(w->driver->db, s)))
        if (strncmp(sqlite3_sql(s), "DELETE", 6) == 0)
            break;
    assert_non_null(s);
    buf_printf(&plan, "EXPLAIN QUERY PLAN %s", sqlite3_sql(s));
    assert_int_equal(sqlite3_prepare_v2(w->driver->db, buf_cstr(&plan), -1, &explain, NULL), 0);
    assert_int_equal(sqlite3_step(explain), SQLITE_ROW);
    const char *detail = (const char *)sqlite3_column_text(explain, 3);
    if (!strstr(detail, "(a=? AND b=?)"))
        fail_msg("%s", detail);
    (void)sqlite3_finalize(explain);
    buf_free(&plan);
    /* A key that stays is not written. */
    succeeds(w, RUN(w, CHANGE_INSERT, "1|x|y"));
    succeeds(w, RUN(w, CHANGE_UPDATE, "1|x|z", "K 1|x|~ > 1|y|z"));
    int keys_written = 0;
    for (s = NULL; (s = sqlite3_next_stmt(w->driver->db, s));)
        keys_written += strstr(sqlite3_sql(s), "SET \"a\"") != NULL;
    assert_int_equal(keys_written, 0);
}

static void truncate_empties_all(void **state)
{
    struct sqlite_world *w = *state;
    make(w, REPLICA_IDENTITY_DEFAULT, "t", "id/int/k", 1);
    succeeds(w, RUN(w, CHANGE_INSERT, "1", "2"));
    struct target_table *first = w->table;
    w->table = NULL;
    make(w, REPLICA_IDENTITY_DEFAULT, "u", "id/int/k", 1);
    succeeds(w, RUN(w, CHANGE_INSERT, "1"));
    struct target_table *const both[] = {first, w->table};
    succeeds(w, target_truncate(w->target, both, 2, true, true, &(size_t){0}, &w->err));
    shows(w, "SELECT count(*) FROM t UNION ALL SELECT count(*) FROM u", "0 0");
    target_unbind(w->target, first);
}

/* ---- conflicts ---- */

static void conflicts_stop(void **state)
{
    struct sqlite_world *w = *state;
    size_t failed;
    make(w, REPLICA_IDENTITY_DEFAULT, "t", "id/int/k,v/text", 1);
    succeeds(w, RUN(w, CHANGE_INSERT, "1|a"));
    assert_int_equal(
        run(w, CHANGE_INSERT, (const char *const[]){"2|b", "1|c", "3|d", NULL}, &failed), -1);
    assert_int_equal(failed, 1);
    fails(w, -1, ERR_PERMANENT, "conflict insert_exists: a row with this key");
    assert_int_equal(run(w, CHANGE_UPDATE, (const char *const[]){"1|b", "9|c", NULL}, &failed), -1);
    assert_int_equal(failed, 1);
    fails(w, -1, ERR_PERMANENT, "conflict update_missing");
    assert_int_equal(run(w, CHANGE_DELETE, (const char *const[]){"K 9|~", NULL}, &failed), -1);
    assert_int_equal(failed, 0);
    fails(w, -1, ERR_PERMANENT, "conflict delete_missing");
}

static void conflicts_apply_or_skip(void **state)
{
    struct sqlite_world *w = *state;
    static const struct {
        enum conflict_action policy;
        const char *content;
    } cases[] = {
        {CONFLICT_APPLY, "1|new|1 2|b|2 7|u|7"},
        {CONFLICT_SKIP, "1|a|1 2|b|2"},
    };
    for (size_t i = 0; i < LENGTH(cases); i++) {
        sql(w, "DROP TABLE IF EXISTS t");
        w->conflicts.policy = cases[i].policy;
        make(w, REPLICA_IDENTITY_DEFAULT, "t", "id/int/k,v/text,n/int", 1);
        succeeds(w, RUN(w, CHANGE_INSERT, "1|a|1", "1|new|1", "2|b|2"));
        succeeds(w, RUN(w, CHANGE_UPDATE, "7|u|7"));
        succeeds(w, RUN(w, CHANGE_DELETE, "K 9|~|~", "K 8|~|~"));
        shows(w, "SELECT * FROM t ORDER BY id", cases[i].content);
        assert_int_equal(w->conflicts.pending[CONFLICT_INSERT_EXISTS], 1);
        assert_int_equal(w->conflicts.pending[CONFLICT_UPDATE_MISSING], 1);
        assert_int_equal(w->conflicts.pending[CONFLICT_DELETE_MISSING], 2);
        conflicts_reset(&w->conflicts);
        close_table(w);
    }
    /* A row that was not sent whole cannot be made up. */
    w->conflicts.policy = CONFLICT_APPLY;
    make(w, REPLICA_IDENTITY_DEFAULT, "u", "id/int/k,v/text", 1);
    fails(w, RUN(w, CHANGE_UPDATE, "1|^"), ERR_PERMANENT, "column v: the value was not sent");
    make(w, REPLICA_IDENTITY_FULL, "f", "id/int,v/text", 1);
    succeeds(w, RUN(w, CHANGE_UPDATE, "O 1|old > 1|^"));
    shows(w, "SELECT * FROM f", "1|old");
    /* The key changes to one that is taken. */
    succeeds(w, RUN(w, CHANGE_INSERT, "2|b"));
    fails(w, RUN(w, CHANGE_UPDATE, "O 9|x > 2|y"), ERR_PERMANENT, "is in the target already");
    fails(w, RUN(w, CHANGE_UPDATE, "O 1|old > 2|y"), ERR_PERMANENT,
          "UNIQUE constraint failed: f.id");
}

/* Several rows go with one INSERT: wherever the one is that does not go in, it is as with one by
 * one. */
static void many_rows_have_one_that_fails(void **state)
{
    enum { N = 100 };
    static const struct {
        const char *row, *why;
    } cases[] = {
        {"1000|x|1", "conflict insert_exists"},       {"-1|taken|1", "conflict insert_exists"},
        {"-1|x|0", "CHECK constraint failed"},        {"-1|~|1", "NOT NULL constraint failed"},
        {"-1|x|many", "the value is not an integer"},
    };
    struct sqlite_world *w = *state;
    sql(w,
        "CREATE TABLE t (id INTEGER PRIMARY KEY, u TEXT NOT NULL UNIQUE, c INTEGER CHECK (c > 0))");
    succeeds(w, use(w, REPLICA_IDENTITY_DEFAULT, "t", "id/int/k,u/text,c/int", 1));
    for (size_t c = 0; c < LENGTH(cases); c++)
        for (size_t at = 0; at < N; at += at == 31 || at == 95 ? 1 : 4) {
            char text[N][32], count[32];
            const char *rows[N + 1] = {NULL};
            size_t failed;
            for (size_t i = 0; i < N; i++) {
                (void)snprintf(text[i], sizeof text[i], "%zu|u%zu|%zu", i, i, i + 1);
                rows[i] = i == at ? cases[c].row : text[i];
            }
            sql(w, "DELETE FROM t");
            succeeds(w, RUN(w, CHANGE_INSERT, "1000|taken|1"));
            assert_int_equal(run(w, CHANGE_INSERT, rows, &failed), -1);
            assert_int_equal(failed, at);
            fails(w, -1, ERR_PERMANENT, cases[c].why);
            (void)snprintf(count, sizeof count, "%zu", at);
            shows(w, "SELECT count(*) FROM t WHERE id <> 1000", count);
            if (c > 1)
                continue;
            w->conflicts.policy = CONFLICT_SKIP;
            sql(w, "DELETE FROM t WHERE id <> 1000");
            assert_int_equal(run(w, CHANGE_INSERT, rows, &failed), 0);
            assert_int_equal(w->conflicts.pending[CONFLICT_INSERT_EXISTS], 1);
            (void)snprintf(count, sizeof count, "99|%zu", N * (N + 1) / 2 - (at + 1));
            shows(w, "SELECT count(*), sum(c) FROM t WHERE id <> 1000", count);
            conflicts_reset(&w->conflicts);
            w->conflicts.policy = CONFLICT_STOP;
        }
}

static void an_insert_may_meet_another_unique_index(void **state)
{
    struct sqlite_world *w = *state;
    sql(w, "CREATE TABLE t (id INTEGER PRIMARY KEY, u TEXT UNIQUE, c INTEGER CHECK (c > 0))");
    succeeds(w, use(w, REPLICA_IDENTITY_DEFAULT, "t", "id/int/k,u/text,c/int", 1));
    succeeds(w, RUN(w, CHANGE_INSERT, "1|a|1", "2|b|1"));
    fails(w, RUN(w, CHANGE_INSERT, "3|a|1"), ERR_PERMANENT, "insert_exists");
    fails(w, RUN(w, CHANGE_INSERT, "3|c|0"), ERR_PERMANENT, "CHECK constraint failed");
    fails(w, RUN(w, CHANGE_UPDATE, "1|b|1"), ERR_PERMANENT, "UNIQUE constraint failed: t.u");
    w->conflicts.policy = CONFLICT_SKIP;
    succeeds(w, RUN(w, CHANGE_INSERT, "3|a|1"));
    w->conflicts.policy = CONFLICT_APPLY;
    fails(w, RUN(w, CHANGE_INSERT, "3|a|1"), ERR_PERMANENT, "another row has the same value");
    fails(w, RUN(w, CHANGE_INSERT, "1|b|1"), ERR_PERMANENT, "UNIQUE constraint failed: t.u");
    shows(w, "SELECT * FROM t", "1|a|1 2|b|1");
}

static void a_target_without_a_key_may_have_doubles(void **state)
{
    struct sqlite_world *w = *state;
    sql(w, "CREATE TABLE t (id INTEGER, v TEXT); INSERT INTO t VALUES (1, 'a'), (1, 'b')");
    succeeds(w, use(w, REPLICA_IDENTITY_DEFAULT, "t", "id/int/k,v/text", 1));
    fails(w, RUN(w, CHANGE_UPDATE, "1|c"), ERR_PERMANENT, "2 rows in the target have the same key");
    fails(w, RUN(w, CHANGE_DELETE, "K 1|~"), ERR_PERMANENT, "give the target table a primary key");
}

/* ---- tables of the user's ---- */

static void a_column_must_hold_the_values(void **state)
{
    struct sqlite_world *w = *state;
    static const struct {
        const char *declared, *type, *error; /* NULL: it does */
    } cases[] = {
        {"TEXT", "text", NULL},
        {"", "text", NULL},
        {"VARCHAR(5)", "text", NULL},
        {"NUMERIC", "text",
         "column v has the type NUMERIC in the target, which would change "
         "values of text (declare it as TEXT)"},
        {"ANY", "text", "column v has the type ANY"},
        {"INTEGER", "text", "column v has the type INTEGER"},
        {"DATETIME", "ts", NULL},
        {"INTEGER", "ts", "declare it as TEXT"},
        {"BIGINT", "int", NULL},
        {"REAL", "int", "declare it as INTEGER"},
        {"TEXT", "float", "declare it as REAL"},
        {"DECIMAL(10,2)", "num", NULL},
        {"TEXT GENERATED ALWAYS AS (id + 1)", "text", "column v is generated in the target"},
        {"TEXT GENERATED ALWAYS AS (id + 1) STORED", "text", "column v is generated"},
    };
    for (size_t i = 0; i < LENGTH(cases); i++) {
        char text[200], columns[64];
        (void)snprintf(text, sizeof text,
                       "DROP TABLE IF EXISTS t; CREATE TABLE t (id INTEGER PRIMARY KEY, V %s)",
                       cases[i].declared);
        (void)snprintf(columns, sizeof columns, "id/int/k,v/%s", cases[i].type);
        sql(w, text);
        int rc = use(w, REPLICA_IDENTITY_DEFAULT, "t", columns, 1);
        if (cases[i].error)
            fails(w, rc, ERR_PERMANENT, cases[i].error);
        else
            succeeds(w, rc);
        close_table(w);
    }
    fails(w, use(w, REPLICA_IDENTITY_DEFAULT, "t", "id/int/k,other/text", 1), ERR_PERMANENT,
          "the target table t has no column other");
    fails(w, use(w, REPLICA_IDENTITY_DEFAULT, "nowhere", "id/int/k", 1), ERR_PERMANENT, "nowhere");
}

static void a_table_may_be_without_rowid_or_strict(void **state)
{
    struct sqlite_world *w = *state;
    sql(w, "CREATE TABLE t (id TEXT PRIMARY KEY, v INT) WITHOUT ROWID;"
           "CREATE TABLE s (id INTEGER PRIMARY KEY, v INT, n REAL) STRICT");
    succeeds(w, use(w, REPLICA_IDENTITY_DEFAULT, "t", "id/text/k,v/int", 1));
    succeeds(w, RUN(w, CHANGE_INSERT, "a|1", "b|2", "c|3"));
    succeeds(w, RUN(w, CHANGE_UPDATE, "a|10", "K b|~ > d|20"));
    succeeds(w, RUN(w, CHANGE_DELETE, "K c|~"));
    fails(w, RUN(w, CHANGE_INSERT, "a|1"), ERR_PERMANENT, "insert_exists");
    shows(w, "SELECT * FROM t", "a|10 d|20");
    succeeds(w, use(w, REPLICA_IDENTITY_DEFAULT, "s", "id/int/k,v/int,n/num", 1));
    succeeds(w, RUN(w, CHANGE_INSERT, "1|2|9.50"));
    shows(w, "SELECT *, typeof(n) FROM s", "1|2|9.5|real");
}

/* One of several rows that are equal to the source is found by the table's own key. */
static void a_table_without_rowid_has_a_key_of_its_own(void **state)
{
    struct sqlite_world *w = *state;
    sql(w,
        "CREATE TABLE t (a TEXT, \"b\"\"\" INTEGER, n INTEGER, PRIMARY KEY (\"b\"\"\", a)) WITHOUT ROWID;"
        "CREATE TABLE u (v TEXT, mine TEXT DEFAULT 0 PRIMARY KEY) WITHOUT ROWID;"
        "INSERT INTO u VALUES ('x', 1), ('x', 2), (NULL, 3)");
    succeeds(w, use(w, REPLICA_IDENTITY_FULL, "t", "a/text,b\"/int,n/int", 0));
    succeeds(w, RUN(w, CHANGE_INSERT, "x|1|~", "x|2|~", "y|1|5"));
    succeeds(w, RUN(w, CHANGE_UPDATE, "O x|1|~ > x|1|7", "O y|1|5 > z|3|5"));
    succeeds(w, RUN(w, CHANGE_DELETE, "O x|2|~"));
    fails(w, RUN(w, CHANGE_DELETE, "O x|2|~"), ERR_PERMANENT, "delete_missing");
    shows(w, "SELECT * FROM t ORDER BY a", "x|1|7 z|3|5");
    succeeds(w, use(w, REPLICA_IDENTITY_FULL, "u", "v/text", 0));
    succeeds(w, RUN(w, CHANGE_DELETE, "O x"));
    succeeds(w, RUN(w, CHANGE_UPDATE, "O ~ > y"));
    shows(w, "SELECT count(*), count(DISTINCT v) FROM u", "2|2");
}

/* SQLite would make a number of its own out of NULL. */
static void the_rowid_takes_no_null(void **state)
{
    struct sqlite_world *w = *state;
    sql(w,
        "CREATE TABLE a (n INTEGER PRIMARY KEY, v TEXT); CREATE TABLE b (n INTEGER PRIMARY KEY DESC);"
        "CREATE TABLE c (n INT PRIMARY KEY); CREATE TABLE d (n INTEGER, m INTEGER, PRIMARY KEY (n));"
        "CREATE TABLE e (n INTEGER, m INTEGER, PRIMARY KEY (n, m));");
    succeeds(w, use(w, REPLICA_IDENTITY_FULL, "a", "n/int,v/text", 0));
    succeeds(w, RUN(w, CHANGE_INSERT, "7|seven"));
    fails(w, RUN(w, CHANGE_INSERT, "~|none"), ERR_PERMANENT,
          "column n: the value is NULL, for which the target makes a number (make it an ordinary "
          "column that accepts NULL");
    fails(w, RUN(w, CHANGE_UPDATE, "O 7|seven > ~|none"), ERR_PERMANENT, "the value is NULL");
    shows(w, "SELECT * FROM a", "7|seven");
    succeeds(w, use(w, REPLICA_IDENTITY_FULL, "d", "n/int,m/int", 0));
    fails(w, RUN(w, CHANGE_INSERT, "~|1"), ERR_PERMANENT, "the value is NULL");
    /* These are ordinary columns, in which SQLite keeps NULL. */
    static const char *const tables[] = {"b", "c"};
    for (size_t i = 0; i < LENGTH(tables); i++) {
        char query[64];
        succeeds(w, use(w, REPLICA_IDENTITY_FULL, tables[i], "n/int", 0));
        succeeds(w, RUN(w, CHANGE_INSERT, "~"));
        (void)snprintf(query, sizeof query, "SELECT * FROM %s", tables[i]);
        shows(w, query, "~");
    }
    succeeds(w, use(w, REPLICA_IDENTITY_FULL, "e", "n/int,m/int", 0));
    succeeds(w, RUN(w, CHANGE_INSERT, "~|1"));
    shows(w, "SELECT * FROM e", "~|1");
}

/* What only the target has. */
static void other_columns_find_their_values(void **state)
{
    struct sqlite_world *w = *state;
    sql(w, "CREATE TABLE t (n INTEGER PRIMARY KEY, id INT NOT NULL UNIQUE, d TEXT NOT NULL DEFAULT "
           "'d', g INT NOT NULL AS (id + 1), v TEXT);"
           "CREATE TABLE r (id INTEGER PRIMARY KEY, v TEXT, more INT NOT NULL)");
    succeeds(w, use(w, REPLICA_IDENTITY_DEFAULT, "t", "id/int/k,v/text", 1));
    succeeds(w, RUN(w, CHANGE_INSERT, "7|a"));
    shows(w, "SELECT * FROM t", "1|7|d|8|a");
    fails(w, use(w, REPLICA_IDENTITY_DEFAULT, "r", "id/int/k,v/text", 1), ERR_PERMANENT,
          "column more of the target table r is NOT NULL without a default");
}

static void refuses(struct sqlite_world *w, const char *name, const char *why)
{
    const struct describe_how how = {.rows = false};
    struct described_table there;
    described_init(&there);
    fails(w, sqlite_ops.describe(w->driver, name, &how, &there, &w->err), ERR_PERMANENT, why);
    described_free(&there);
}

static void what_is_no_table_is_refused(void **state)
{
    struct sqlite_world *w = *state;
    static const char *const names[][2] = {{"w", "w in the target is a view"},
                                           {"f", "f in the target is a virtual table"}};
    sql(w, "CREATE VIEW w AS SELECT 1 AS id; CREATE VIRTUAL TABLE f USING fts5(id)");
    for (size_t i = 0; i < LENGTH(names); i++)
        refuses(w, names[i][0], names[i][1]);
}

static bool is_there(struct sqlite_world *w, const char *name)
{
    const struct describe_how how = {.rows = false};
    struct described_table there;
    described_init(&there);
    succeeds(w, sqlite_ops.describe(w->driver, name, &how, &there, &w->err));
    bool exists = there.exists;
    described_free(&there);
    return exists;
}

/* Whether there are views is not asked for each table: a change of the schema is seen all the same,
 * also after a change that was rolled back and whose version came again. */
static void a_changed_schema_is_seen(void **state)
{
    struct sqlite_world *w = *state;
    struct driver_traits traits;
    assert_false(is_there(w, "t"));
    assert_false(is_there(w, "json_each"));
    sql(w, "CREATE TABLE t (id INT)");
    assert_true(is_there(w, "T"));
    sql(w, "CREATE VIEW v AS SELECT 1 AS id");
    assert_true(is_there(w, "t"));
    assert_false(is_there(w, "json_each"));
    sql(w, "DROP VIEW v; DROP TABLE t");
    assert_false(is_there(w, "t"));
    sql(w, "BEGIN; CREATE TABLE t (id INT)");
    assert_true(is_there(w, "t"));
    succeeds(w, sqlite_ops.reset(w->driver, &traits, &w->err));
    sql(w, "CREATE VIEW t AS SELECT 1 AS id");
    refuses(w, "t", "t in the target is a view");
}

/* A constraint may say itself what becomes of a row that breaks it: not for ours. */
static void constraints_do_not_decide(void **state)
{
    struct sqlite_world *w = *state;
    sql(w,
        "CREATE TABLE t (id INTEGER PRIMARY KEY ON CONFLICT REPLACE, u TEXT UNIQUE ON CONFLICT IGNORE,"
        " v TEXT NOT NULL ON CONFLICT REPLACE DEFAULT 'mine' CONSTRAINT checked CHECK (v <> 'no'))");
    succeeds(w, use(w, REPLICA_IDENTITY_DEFAULT, "t", "id/int/k,u/text,v/text", 1));
    succeeds(w, RUN(w, CHANGE_INSERT, "1|a|x", "2|b|y"));
    fails(w, RUN(w, CHANGE_INSERT, "1|c|z"), ERR_PERMANENT, "insert_exists");
    fails(w, RUN(w, CHANGE_INSERT, "3|a|z"), ERR_PERMANENT, "insert_exists");
    fails(w, RUN(w, CHANGE_INSERT, "3|c|~"), ERR_PERMANENT, "NOT NULL constraint failed: t.v");
    fails(w, RUN(w, CHANGE_UPDATE, "1|b|x"), ERR_PERMANENT,
          "UNIQUE constraint failed: t.u (another row has the same value there.");
    fails(w, RUN(w, CHANGE_UPDATE, "K 1|~|~ > 2|c|x"), ERR_PERMANENT, "UNIQUE constraint failed");
    fails(w, RUN(w, CHANGE_UPDATE, "1|a|~"), ERR_PERMANENT, "NOT NULL constraint failed");
    succeeds(w, RUN(w, CHANGE_INSERT, "4|~|z", "5|~|z"));
    fails(w, RUN(w, CHANGE_INSERT, "6|f|no"), ERR_PERMANENT, "CHECK constraint failed: checked");
    shows(w, "SELECT * FROM t", "1|a|x 2|b|y 4|~|z 5|~|z");
}

static void foreign_keys_do_nothing(void **state)
{
    struct sqlite_world *w = *state;
    sql(w, "CREATE TABLE t (id INTEGER PRIMARY KEY, v TEXT);"
           "CREATE TABLE c (id INT REFERENCES t ON DELETE CASCADE ON UPDATE SET NULL);"
           "INSERT INTO c VALUES (1), (2), (9)");
    succeeds(w, use(w, REPLICA_IDENTITY_DEFAULT, "t", "id/int/k,v/text", 1));
    succeeds(w, RUN(w, CHANGE_INSERT, "1|a", "2|b"));
    succeeds(w, RUN(w, CHANGE_UPDATE, "K 1|~ > 3|a"));
    succeeds(w, RUN(w, CHANGE_DELETE, "K 2|~"));
    shows(w, "SELECT * FROM c", "1 2 9");
}

/* As those of a table do not for PostgreSQL's own apply worker: what they did at the source comes.
 */
static void triggers_do_not_fire(void **state)
{
    struct sqlite_world *w = *state;
    sql(w, "CREATE TABLE t (id INTEGER PRIMARY KEY, v TEXT); CREATE TABLE seen (v TEXT);"
           "CREATE TRIGGER i AFTER INSERT ON t BEGIN INSERT INTO seen VALUES (new.v); END;"
           "CREATE TRIGGER u BEFORE UPDATE ON t BEGIN SELECT RAISE(IGNORE); END;"
           "CREATE TRIGGER d AFTER DELETE ON t BEGIN DELETE FROM t; END");
    succeeds(w, use(w, REPLICA_IDENTITY_DEFAULT, "t", "id/int/k,v/text", 1));
    succeeds(w, RUN(w, CHANGE_INSERT, "1|a", "2|b", "3|c"));
    succeeds(w, RUN(w, CHANGE_UPDATE, "1|x"));
    succeeds(w, RUN(w, CHANGE_DELETE, "K 2|~"));
    shows(w, "SELECT * FROM t", "1|x 3|c");
    shows(w, "SELECT count(*) FROM seen", "0");
}

static void with_triggers(struct sqlite_world *w)
{
    target_close(w->target);
    w->target = NULL;
    open_at(w, "sqlite::memory:?triggers=on");
}

/* The clauses in a trigger are the user's: OR ABORT would be its statements', too. */
static void a_trigger_keeps_its_clauses(void **state)
{
    struct sqlite_world *w = *state;
    with_triggers(w);
    sql(w,
        "CREATE TABLE t (id INTEGER PRIMARY KEY, v TEXT); CREATE TABLE seen (v TEXT UNIQUE);"
        "CREATE TRIGGER see AFTER INSERT ON t BEGIN INSERT OR IGNORE INTO seen VALUES (new.v); END");
    succeeds(w, use(w, REPLICA_IDENTITY_DEFAULT, "t", "id/int/k,v/text", 1));
    succeeds(w, RUN(w, CHANGE_INSERT, "1|a", "2|a"));
    shows(w, "SELECT * FROM seen", "a");
}

static void a_trigger_may_not_take_a_row_away(void **state)
{
    struct sqlite_world *w = *state;
    with_triggers(w);
    sql(w, "CREATE TABLE t (id INTEGER PRIMARY KEY, v TEXT);"
           "CREATE TRIGGER i BEFORE INSERT ON t WHEN new.v = 'x' BEGIN SELECT RAISE(IGNORE); END;"
           "CREATE TRIGGER d BEFORE DELETE ON t BEGIN SELECT RAISE(IGNORE); END");
    succeeds(w, use(w, REPLICA_IDENTITY_DEFAULT, "t", "id/int/k,v/text", 1));
    succeeds(w, RUN(w, CHANGE_INSERT, "1|a"));
    fails(w, RUN(w, CHANGE_INSERT, "2|b", "3|x"), ERR_PERMANENT,
          "INSERT: a trigger of the target left the row out (it uses RAISE(IGNORE); drop it");
    fails(w, RUN(w, CHANGE_DELETE, "K 1|~"), ERR_PERMANENT, "delete_missing");
    shows(w, "SELECT * FROM t", "1|a 2|b");
}

/* Rows are found by =, which compares as the column's collation does. */
static void a_collation_must_tell_keys_apart(void **state)
{
    struct sqlite_world *w = *state;
    sql(w, "CREATE TABLE k (id TEXT PRIMARY KEY COLLATE NOCASE, v TEXT);"
           "CREATE TABLE f (a TEXT COLLATE rtrim, n INTEGER COLLATE NOCASE);"
           "CREATE TABLE t (id TEXT PRIMARY KEY COLLATE BINARY, v TEXT COLLATE NOCASE)");
    fails(w, use(w, REPLICA_IDENTITY_DEFAULT, "k", "id/text/k,v/text", 1), ERR_PERMANENT,
          "column id identifies rows, and its collation NOCASE in the target takes values for "
          "equal that differ at the source (make it COLLATE BINARY)");
    fails(w, use(w, REPLICA_IDENTITY_FULL, "f", "a/text,n/int", 0), ERR_PERMANENT,
          "column a identifies rows, and its collation rtrim");
    succeeds(w, use(w, REPLICA_IDENTITY_FULL, "f", "n/int", 0));
    succeeds(w, use(w, REPLICA_IDENTITY_DEFAULT, "t", "id/text/k,v/text", 1));
    succeeds(w, RUN(w, CHANGE_INSERT, "a|x", "A|X"));
    succeeds(w, RUN(w, CHANGE_DELETE, "K A|~"));
    shows(w, "SELECT * FROM t", "a|x");
}

static void names_may_be_anything(void **state)
{
    struct sqlite_world *w = *state;
    static const char *const names[] = {"select",      "a b",    "it's",         "qu\"ote",
                                        "ünïcode 😀",   "Group",  "semi;colon--", "%s%n",
                                        "back\\slash", "`tick`", "[b]"};
    for (size_t i = 0; i < LENGTH(names); i++) {
        char columns[128];
        (void)snprintf(columns, sizeof columns, "%s/int/k,order/text,\"/text", names[i]);
        make(w, REPLICA_IDENTITY_INDEX, names[i], columns, 1);
        succeeds(w, RUN(w, CHANGE_INSERT, "1|a|b", "2|c|d"));
        succeeds(w, RUN(w, CHANGE_UPDATE, "1|e|^", "K 2|~|~ > 3|f|g"));
        succeeds(w, RUN(w, CHANGE_DELETE, "K 3|~|~"));
        assert_true(has_table(w, names[i]));
        assert_true(has_column(w, names[i], "\""));
        succeeds(w, rename_column(w, names[i], "\"", "new \" name"));
        succeeds(w, drop_column(w, names[i], "new \" name"));
        assert_false(is_empty(w, names[i]));
        close_table(w);
        succeeds(w, rename_table(w, names[i], "x \" y"));
        sql(w, "DROP TABLE \"x \"\" y\"");
    }
}

static void names_fold_case(void **state)
{
    struct sqlite_world *w = *state;
    describe(w, REPLICA_IDENTITY_DEFAULT, "t", "id/int/k,Foo/text,foo/text", 1);
    fails(w, create_table(w, "t"), ERR_PERMANENT, "duplicate column name: foo");
    make(w, REPLICA_IDENTITY_DEFAULT, "T", "id/int/k,Foo/text", 1);
    succeeds(w, use(w, REPLICA_IDENTITY_DEFAULT, "t", "ID/int/k,fOO/text", 1));
    succeeds(w, RUN(w, CHANGE_INSERT, "1|a"));
    shows(w, "SELECT foo FROM t", "a");
}

static void name_of(struct sqlite_world *w, const char *namespace, const char *name,
                    const char *expected)
{
    struct buf out = {0};
    struct relation rel = {.namespace = namespace, .name = name};
    succeeds(w, sqlite_ops.table_name(w->driver, &rel, &out, &w->err));
    assert_string_equal(buf_cstr(&out), expected);
    buf_free(&out);
}

static void a_schema_is_a_prefix(void **state)
{
    struct sqlite_world *w = *state;
    assert_int_equal(schema_map_parse(&w->map, "sales:s,flat:,own:public,public:p", &w->err), 0);
    name_of(w, "crm", "t", "crm_t");
    name_of(w, "sales", "t", "s_t");
    name_of(w, "flat", "t", "t");
    name_of(w, "own", "t", "t");
    name_of(w, "public", "t", "p_t");
    schema_map_free(&w->map);
    name_of(w, "public", "t", "t");
    struct buf out = {0};
    struct relation rel = {.namespace = "public", .name = "PG2any_checkpoint"};
    fails(w, sqlite_ops.table_name(w->driver, &rel, &out, &w->err), ERR_PERMANENT,
          "which pg2any uses itself");
    buf_free(&out);
    rel.name = "SQLite_x";
    fails(w, sqlite_ops.table_name(w->driver, &rel, &out, &w->err), ERR_PERMANENT,
          "names that begin with sqlite_ for itself (--schema-map");
    buf_free(&out);
}

static void wide(char *out, size_t size, const char *suffix)
{
    size_t n = 0;
    for (int i = 0; i < MAX_COLUMNS; i++)
        n += (size_t)snprintf(out + n, size - n, "%sc%d/text%s", i ? "," : "", i,
                              i == 0 ? suffix : "");
}

static void wide_row(char *out, size_t size, const char *old, char last)
{
    size_t n = (size_t)snprintf(out, size, "%s", old);
    for (int i = 0; i < MAX_COLUMNS; i++)
        n += (size_t)snprintf(out + n, size - n, "%s%c", i ? "|" : "",
                              i == MAX_COLUMNS - 1 ? last : 'v');
}

static void a_table_may_have_1600_columns(void **state)
{
    struct sqlite_world *w = *state;
    static char columns[MAX_COLUMNS * 16], row[2 * MAX_COLUMNS * 4], new[MAX_COLUMNS * 4];
    wide(columns, sizeof columns, "/k");
    make(w, REPLICA_IDENTITY_DEFAULT, "t", columns, 1);
    wide_row(row, sizeof row, "", 'x');
    succeeds(w, RUN(w, CHANGE_INSERT, row));
    wide_row(row, sizeof row, "", 'y');
    succeeds(w, RUN(w, CHANGE_UPDATE, row));
    shows(w, "SELECT c1, c1599 FROM t", "v|y");

    wide(columns, sizeof columns, "");
    make(w, REPLICA_IDENTITY_FULL, "f", columns, 0);
    succeeds(w, RUN(w, CHANGE_INSERT, row, row));
    wide_row(row, sizeof row, "O ", 'y');
    wide_row(new, sizeof new, "", 'z');
    (void)snprintf(row + strlen(row), sizeof row - strlen(row), " > %s", new);
    succeeds(w, RUN(w, CHANGE_UPDATE, row));
    wide_row(row, sizeof row, "O ", 'z');
    succeeds(w, RUN(w, CHANGE_DELETE, row));
    shows(w, "SELECT c1, c1599 FROM f", "v|y");
    fails(w, RUN(w, CHANGE_DELETE, row), ERR_PERMANENT, "delete_missing");
}

/* ---- values in rows ---- */

static void a_bad_value_names_its_column(void **state)
{
    struct sqlite_world *w = *state;
    size_t failed;
    make(w, REPLICA_IDENTITY_DEFAULT, "t", "id/int/k,f/float,b/bytea", 1);
    assert_int_equal(
        run(w, CHANGE_INSERT, (const char *const[]){"1|1|x", "2|NaN|x", NULL}, &failed), -1);
    assert_int_equal(failed, 1);
    fails(w, -1, ERR_PERMANENT, "column f: the value is NaN");
    w->conflicts.policy = CONFLICT_APPLY;
    fails(w, RUN(w, CHANGE_INSERT, "3|^|x"), ERR_PERMANENT, "column f: the value was not sent");
    w->conflicts.policy = CONFLICT_STOP;
    fails(w, RUN(w, CHANGE_UPDATE, "x|1|x"), ERR_PERMANENT,
          "column id: the value is not an integer");
    fails(w, RUN(w, CHANGE_DELETE, "K x|~|~"), ERR_PERMANENT,
          "column id: the value is not an integer");
    w->driver->nan = NAN_NULL;
    succeeds(w, RUN(w, CHANGE_INSERT, "2|NaN|x"));
    shows(w, "SELECT * FROM t", "1|1.0|x 2|~|x");
}

static void a_new_column_is_filled(void **state)
{
    struct sqlite_world *w = *state;
    make(w, REPLICA_IDENTITY_DEFAULT, "t", "id/int/k", 1);
    succeeds(w, RUN(w, CHANGE_INSERT, "1", "2"));
    close_table(w);
    describe(w, REPLICA_IDENTITY_DEFAULT, "t", "id/int/k,n/int,b/bytea,v/text", 1);
    w->columns[1].fill = w->columns[2].fill = FILL_VALUE;
    w->columns[1].fill_value = "5";
    w->columns[1].fill_size = 1;
    w->columns[2].fill_value = "";
    w->columns[2].fill_is_bytes = true;
    for (uint32_t i = 1; i < 4; i++)
        succeeds(w, add_column(w, "t", i));
    shows(w, "SELECT *, typeof(n), typeof(b) FROM t", "1|5||~|integer|blob 2|5||~|integer|blob");
}

int main(void)
{
    log_set_level(LOG_LEVEL_ERROR);
    const struct CMUnitTest tests[] = {
#define TEST(name) cmocka_unit_test_setup_teardown(name, sqlite_setup, sqlite_teardown)
        TEST(a_run_of_each_kind),
        TEST(an_update_touches_what_was_sent),
        TEST(an_insert_that_lacks_values_completes_a_row),
        TEST(an_update_of_a_table_of_keys),
        TEST(many_sets_of_columns),
        TEST(a_keyless_row_is_one_of_several),
        TEST(full_with_a_key_goes_by_the_key),
        TEST(columns_may_have_the_names_of_the_rowid),
        TEST(rows_without_identity_are_only_inserted),
        TEST(a_table_may_have_no_columns),
        TEST(an_identity_index_is_made_and_survives_a_rename),
        TEST(rows_are_found_by_an_index),
        TEST(truncate_empties_all),
        TEST(conflicts_stop),
        TEST(conflicts_apply_or_skip),
        TEST(many_rows_have_one_that_fails),
        TEST(an_insert_may_meet_another_unique_index),
        TEST(a_target_without_a_key_may_have_doubles),
        TEST(a_column_must_hold_the_values),
        TEST(a_table_may_be_without_rowid_or_strict),
        TEST(a_table_without_rowid_has_a_key_of_its_own),
        TEST(the_rowid_takes_no_null),
        TEST(other_columns_find_their_values),
        TEST(what_is_no_table_is_refused),
        TEST(a_changed_schema_is_seen),
        TEST(constraints_do_not_decide),
        TEST(foreign_keys_do_nothing),
        TEST(triggers_do_not_fire),
        TEST(a_trigger_keeps_its_clauses),
        TEST(a_trigger_may_not_take_a_row_away),
        TEST(a_collation_must_tell_keys_apart),
        TEST(names_may_be_anything),
        TEST(names_fold_case),
        TEST(a_schema_is_a_prefix),
        TEST(a_table_may_have_1600_columns),
        TEST(a_bad_value_names_its_column),
        TEST(a_new_column_is_filled),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
