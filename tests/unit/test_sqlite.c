/* apply-sqlite/sqlite.c and sqlite_schema.c: what a target remembers, how it follows its relations,
 * and what may be wrong with a database. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include <sys/stat.h>
#include <unistd.h>

#include "base/log.h"
#include "sql/schema.h"
#include "read_back.h"
#include "sqlite_world.h"

#define LENGTH(a) (sizeof(a) / sizeof *(a))

/* ---- what a target remembers ---- */

static void a_checkpoint_is_read_as_it_was_written(void **state)
{
    struct sqlite_world *w = *state;
    struct checkpoint c = {.remote_lsn = UINT64_C(0x16B374D848),
                           .commit_time_us = INT64_C(817123456789012),
                           .system_identifier = "18446744073709551615",
                           .timeline = UINT32_MAX},
                      is;
    bool found = true;
    succeeds(w, sqlite_ops.checkpoint_get(w->dest, "o", &is, &found, &w->err));
    assert_false(found);
    succeeds(w, sqlite_ops.begin(w->dest, &w->err));
    succeeds(w, sqlite_ops.commit(w->dest, "o", &c, &w->err));
    succeeds(w, sqlite_ops.checkpoint_get(w->dest, "o", &is, &found, &w->err));
    assert_true(found);
    assert_int_equal(is.remote_lsn, c.remote_lsn);
    assert_int_equal(is.commit_time_us, c.commit_time_us);
    assert_string_equal(is.system_identifier, c.system_identifier);
    assert_int_equal(is.timeline, c.timeline);
    succeeds(w, sqlite_ops.checkpoint_get(w->dest, "other", &is, &found, &w->err));
    assert_false(found);
    c.commit_time_us = 0;
    succeeds(w, sqlite_ops.begin(w->dest, &w->err));
    succeeds(w, sqlite_ops.commit(w->dest, "o", &c, &w->err));
    succeeds(w, sqlite_ops.checkpoint_get(w->dest, "o", &is, &found, &w->err));
    assert_int_equal(is.commit_time_us, 0);
    static const char *const damage[] = {
        "remote_lsn = 'x'", "remote_lsn = 7", "commit_time = 'yesterday'",
        "system_identifier = '1234567890123456789012345678901234567890'"};
    for (size_t i = 0; i < LENGTH(damage); i++) {
        char text[200];
        (void)snprintf(text, sizeof text,
                       "UPDATE pg2any_checkpoint SET remote_lsn = '0/1', commit_time = NULL, "
                       "system_identifier = '1'; UPDATE pg2any_checkpoint SET %s",
                       damage[i]);
        sql(w, text);
        fails(w, sqlite_ops.checkpoint_get(w->dest, "o", &is, &found, &w->err), ERR_PERMANENT,
              "not a checkpoint");
    }
}

static void a_reset_rolls_back_and_keeps_the_connection(void **state)
{
    struct sqlite_world *w = *state;
    make(w, REPLICA_IDENTITY_DEFAULT, "t", "id/int/k", 1);
    succeeds(w, sqlite_ops.begin(w->dest, &w->err));
    succeeds(w, RUN(w, DEST_INSERT, "1"));
    fails(w, RUN(w, DEST_INSERT, "1"), ERR_PERMANENT, "insert_exists");
    succeeds(w, sqlite_ops.reset(w->dest, &w->err));
    succeeds(w, sqlite_ops.reset(w->dest, &w->err));
    shows(w, "SELECT count(*) FROM t", "0");
    succeeds(w, open_table(w));
    succeeds(w, sqlite_ops.begin(w->dest, &w->err));
    succeeds(w, RUN(w, DEST_INSERT, "1"));
    succeeds(w, sqlite_ops.commit(w->dest, "o", &(struct checkpoint){.remote_lsn = 1}, &w->err));
    shows(w, "SELECT count(*) FROM t", "1");
}

static void a_relation_is_remembered(void **state)
{
    struct sqlite_world *w = *state;
    struct buf target = {0}, frame = {0}, put = {0};
    uint32_t relid = 0;
    describe(w, REPLICA_IDENTITY_DEFAULT, "t", "id/int/k", 1);
    relation_to_frame(&w->rel, &put);
    succeeds(w, sqlite_ops.relation_get(w->dest, "o", 16384, NULL, &target, &frame, NULL, &w->err));
    assert_int_equal(target.len + frame.len, 0);
    succeeds(w, sqlite_ops.relation_put(w->dest, "o", &w->rel, "T", &put, &w->err));
    succeeds(w, sqlite_ops.relation_put(w->dest, "o", &w->rel, "T", &put, &w->err));
    succeeds(w, sqlite_ops.relation_get(w->dest, "o", 0, "t", &target, &frame, &relid, &w->err));
    assert_int_equal(relid, 16384);
    assert_string_equal(buf_cstr(&target), "T");
    assert_int_equal(frame.len, put.len);
    assert_memory_equal(frame.data, put.data, put.len);
    relid = 0;
    succeeds(w, sqlite_ops.relation_get(w->dest, "p", 0, "t", &target, &frame, &relid, &w->err));
    assert_int_equal(relid, 0);
    buf_free(&target);
    buf_free(&frame);
    buf_free(&put);
}

/* The rules of common/sql/schema.c on a real database: a name that differs only in case, a chain of
 * renames, drop and add of one name. */
static void a_table_follows_its_relation(void **state)
{
    struct sqlite_world *w = *state;
    static const struct {
        const char *name, *columns, *content;
    } steps[] = {
        {"t", "id/int/k,a/text,b/text", "1|x|y"},          {"t", "id/int/k,A/text,b/text", "1|x|y"},
        {"T", "id/int/k,A/text,b/text", "1|x|y"},          {"u", "id/int/k,b/text,c/text", "1|x|y"},
        {"u", "id/int/k,b/text,c/text,d/text", "1|x|y|~"},
    };
    for (size_t i = 0; i < LENGTH(steps); i++) {
        char query[64];
        struct dest_table *table;
        describe(w, REPLICA_IDENTITY_DEFAULT, steps[i].name, steps[i].columns, 1);
        succeeds(w, sqlite_ops.begin(w->dest, &w->err));
        struct relation *rel = read_back(&w->rel);
        succeeds(w,
                 schema_bind(&sqlite_ops, w->dest, "o", SCHEMA_DDL_EVOLVE, rel, &table, &w->err));
        sqlite_ops.table_close(w->dest, table);
        relation_unref(rel);
        succeeds(w,
                 sqlite_ops.commit(w->dest, "o", &(struct checkpoint){.remote_lsn = 1}, &w->err));
        if (i == 0)
            sql(w, "INSERT INTO t VALUES (1, 'x', 'y')");
        (void)snprintf(query, sizeof query, "SELECT * FROM %s", steps[i].name);
        shows(w, query, steps[i].content);
    }
}

/* ---- databases ---- */

static void reopen(struct sqlite_world *w, const char *uri)
{
    close_table(w);
    sqlite_ops.close(w->dest);
    open_at(w, uri);
}

static void cannot_open(struct sqlite_world *w, const char *uri, enum err_kind kind,
                        const char *error)
{
    const struct dest_config c = config(w, uri);
    struct dest *d;
    fails(w, sqlite_ops.open(&c, &d, &w->err), kind, error);
}

static void uris(void **state)
{
    struct sqlite_world *w = *state;
    char uri[160];
    static const struct {
        const char *prefix, *suffix, *synchronous;
    } forms[] = {
        {"", "", "2"},
        {"sqlite:", "", "2"},
        {"SQLite://", "", "2"},
        {"sqlite:", "?synchronous=normal", "1"},
        {"sqlite://", "?synchronous=OFF", "0"},
        {"sqlite:", "?synchronous=extra", "3"},
    };
    for (size_t i = 0; i < LENGTH(forms); i++) {
        (void)snprintf(uri, sizeof uri, "%s%s%s", forms[i].prefix, w->path, forms[i].suffix);
        reopen(w, uri);
        shows(w, "PRAGMA journal_mode", "wal");
        shows(w, "PRAGMA synchronous", forms[i].synchronous);
        shows(w, "SELECT count(*) FROM sqlite_schema WHERE name LIKE 'pg2any_%' AND type = 'table'",
              "2");
    }
    /* A percent-escape stands for a character after sqlite:, for itself in a plain path. */
    char path[320];
    (void)snprintf(uri, sizeof uri, "sqlite:%s%%20%%zz", w->path);
    (void)snprintf(path, sizeof path, "%s %%zz", w->path);
    reopen(w, uri);
    assert_int_equal(access(path, F_OK), 0);
    (void)snprintf(uri, sizeof uri, "%s%%20", w->path);
    reopen(w, uri);
    assert_int_equal(access(uri, F_OK), 0);
    reopen(w, "sqlite::memory:");
    assert_int_equal(unlink(path), 0);
    assert_int_equal(unlink(uri), 0);
    cannot_open(w, "", ERR_PERMANENT, "no path");
    cannot_open(w, "sqlite:", ERR_PERMANENT, "no path");
    cannot_open(w, "mysql://u@h/d", ERR_PERMANENT, "not a SQLite database: mysql");
    cannot_open(w, "sqlite:x?synchronous=maybe", ERR_PERMANENT, "only synchronous=");
    cannot_open(w, "sqlite:x?mode=ro", ERR_PERMANENT, "only synchronous=");
}

static void a_database_may_be_out_of_reach(void **state)
{
    struct sqlite_world *w = *state;
    char path[160];
    (void)snprintf(path, sizeof path, "%s/no/such", w->dir);
    cannot_open(w, path, ERR_PERMANENT, "unable to open database file");
    cannot_open(w, w->dir, ERR_PERMANENT, "unable to open database file");
    FILE *f = fopen(w->path, "w");
    assert_non_null(f);
    for (int i = 0; i < 1000; i++)
        (void)fputs("This is not a database.\n", f);
    assert_int_equal(fclose(f), 0);
    cannot_open(w, w->path, ERR_PERMANENT, "file is not a database");
}

/* Root may write anything, so this needs another user. */
static void a_database_may_be_read_only(void **state)
{
    struct sqlite_world *w = *state;
    uid_t user = geteuid();
    reopen(w, w->path);
    reopen(w, ":memory:");
    assert_int_equal(chmod(w->path, 0444), 0);
    assert_int_equal(chmod(w->dir, 0555), 0);
    if (user == 0)
        assert_int_equal(seteuid(65534), 0);
    const struct dest_config c = config(w, w->path);
    struct dest *d;
    int rc = sqlite_ops.open(&c, &d, &w->err);
    if (user == 0)
        assert_int_equal(seteuid(0), 0);
    assert_int_equal(chmod(w->dir, 0755), 0);
    fails(w, rc, ERR_PERMANENT, "may not be written by this user");
}

static void a_busy_database_is_tried_again(void **state)
{
    struct sqlite_world *w = *state;
    sqlite3 *other;
    reopen(w, w->path);
    make(w, REPLICA_IDENTITY_DEFAULT, "t", "id/int/k", 1);
    assert_int_equal(sqlite3_open(w->path, &other), SQLITE_OK);
    assert_int_equal(sqlite3_exec(other, "BEGIN IMMEDIATE", NULL, NULL, NULL), SQLITE_OK);
    fails(w, sqlite_ops.begin(w->dest, &w->err), ERR_RETRY, "database is locked (another program");
    succeeds(w, sqlite_ops.reset(w->dest, &w->err));
    fails(w, sqlite_ops.begin(w->dest, &w->err), ERR_RETRY, "database is locked");
    assert_int_equal(sqlite3_exec(other, "COMMIT", NULL, NULL, NULL), SQLITE_OK);
    succeeds(w, sqlite_ops.reset(w->dest, &w->err));
    succeeds(w, sqlite_ops.begin(w->dest, &w->err));
    succeeds(w, RUN(w, DEST_INSERT, "1"));
    /* A reader that stays in its snapshot is in nobody's way. */
    assert_int_equal(sqlite3_exec(other, "BEGIN; SELECT * FROM t", NULL, NULL, NULL), SQLITE_OK);
    succeeds(w, sqlite_ops.commit(w->dest, "o", &(struct checkpoint){.remote_lsn = 1}, &w->err));
    assert_int_equal(sqlite3_close(other), SQLITE_OK);
}

static void a_full_disk_is_temporary(void **state)
{
    struct sqlite_world *w = *state;
    char row[5000] = "1|";
    reopen(w, w->path);
    make(w, REPLICA_IDENTITY_DEFAULT, "t", "id/int/k,v/text", 1);
    memset(row + 2, 'x', sizeof row - 3);
    sql(w, "PRAGMA max_page_count = 12");
    succeeds(w, sqlite_ops.begin(w->dest, &w->err));
    int rc = 0;
    for (int i = 1; rc == 0 && i < 9; i++) {
        row[0] = (char)('0' + i);
        rc = RUN(w, DEST_INSERT, row);
    }
    fails(w, rc, ERR_TEMPORARY, "database or disk is full (free some space)");
    /* SQLite may have rolled back by itself. */
    succeeds(w, sqlite_ops.reset(w->dest, &w->err));
    shows(w, "SELECT count(*) FROM t", "0");
    sql(w, "PRAGMA max_page_count = 1000");
    succeeds(w, sqlite_ops.begin(w->dest, &w->err));
    succeeds(w, RUN(w, DEST_INSERT, row));
    succeeds(w, sqlite_ops.commit(w->dest, "o", &(struct checkpoint){.remote_lsn = 1}, &w->err));
}

int main(void)
{
    log_set_level(LOG_LEVEL_ERROR);
    const struct CMUnitTest tests[] = {
#define TEST(name) cmocka_unit_test_setup_teardown(name, sqlite_setup, sqlite_teardown)
        TEST(a_checkpoint_is_read_as_it_was_written),
        TEST(a_reset_rolls_back_and_keeps_the_connection),
        TEST(a_relation_is_remembered),
        TEST(a_table_follows_its_relation),
        TEST(uris),
        TEST(a_database_may_be_out_of_reach),
        TEST(a_database_may_be_read_only),
        TEST(a_busy_database_is_tried_again),
        TEST(a_full_disk_is_temporary),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
