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
#include "read_back.h"
#include "sqlite_world.h"

#define LENGTH(a) (sizeof(a) / sizeof *(a))

static int begin(struct sqlite_world *w)
{
    struct checkpoint now;
    bool found;
    return target_begin(w->target, "o", &now, &found, &w->err);
}

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
    succeeds(w, target_checkpoint(w->target, "o", &is, &found, &w->err));
    assert_false(found);
    succeeds(w, begin(w));
    succeeds(w, target_commit(w->target, "o", &c, &w->err));
    succeeds(w, target_checkpoint(w->target, "o", &is, &found, &w->err));
    assert_true(found);
    assert_int_equal(is.remote_lsn, c.remote_lsn);
    assert_int_equal(is.commit_time_us, c.commit_time_us);
    assert_string_equal(is.system_identifier, c.system_identifier);
    assert_int_equal(is.timeline, c.timeline);
    succeeds(w, target_checkpoint(w->target, "other", &is, &found, &w->err));
    assert_false(found);
    c.commit_time_us = 0;
    succeeds(w, begin(w));
    succeeds(w, target_commit(w->target, "o", &c, &w->err));
    succeeds(w, target_checkpoint(w->target, "o", &is, &found, &w->err));
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
        fails(w, target_checkpoint(w->target, "o", &is, &found, &w->err), ERR_PERMANENT,
              "not a checkpoint");
    }
}

static void a_reset_rolls_back_and_keeps_the_connection(void **state)
{
    struct sqlite_world *w = *state;
    make(w, REPLICA_IDENTITY_DEFAULT, "t", "id/int/k", 1);
    succeeds(w, begin(w));
    succeeds(w, RUN(w, CHANGE_INSERT, "1"));
    fails(w, RUN(w, CHANGE_INSERT, "1"), ERR_PERMANENT, "insert_exists");
    succeeds(w, target_reset(w->target, &w->err));
    succeeds(w, target_reset(w->target, &w->err));
    shows(w, "SELECT count(*) FROM t", "0");
    succeeds(w, open_table(w));
    succeeds(w, begin(w));
    succeeds(w, RUN(w, CHANGE_INSERT, "1"));
    succeeds(w, target_commit(w->target, "o", &(struct checkpoint){.remote_lsn = 1}, &w->err));
    shows(w, "SELECT count(*) FROM t", "1");
}

static bool remembered(struct sqlite_world *w, const char *origin, uint32_t relid,
                       const char *target, struct own_row *row)
{
    bool found;
    const struct own_key key = {OWN_RELATION, origin, relid, target, false};
    own_row_free(row);
    *row = (struct own_row){0};
    succeeds(w, sqlite_ops.recall(w->driver, &key, row, &found, &w->err));
    return found;
}

static void a_relation_is_remembered(void **state)
{
    struct sqlite_world *w = *state;
    struct own_row row = {0}, put = {.relid = 16384};
    const struct own_key key = {.table = OWN_RELATION, .origin = "o", .relid = 16384};
    describe(w, REPLICA_IDENTITY_DEFAULT, "t", "id/int/k", 1);
    relation_to_frame(&w->rel, &put.fields[RELATION_FRAME]);
    buf_append_str(&put.fields[RELATION_TARGET], "T");
    buf_append_str(&put.fields[RELATION_NAMESPACE], "it's");
    buf_append_str(&put.fields[RELATION_NAME], "t");
    assert_false(remembered(w, "o", 16384, NULL, &row));
    assert_int_equal(row.fields[RELATION_TARGET].len + row.fields[RELATION_FRAME].len, 0);
    succeeds(w, sqlite_ops.remember(w->driver, &key, &put, false, &w->err));
    succeeds(w, sqlite_ops.remember(w->driver, &key, &put, true, &w->err));
    assert_true(remembered(w, "o", 0, "t", &row));
    assert_int_equal(row.relid, 16384);
    assert_string_equal(buf_cstr(&row.fields[RELATION_TARGET]), "T");
    assert_string_equal(buf_cstr(&row.fields[RELATION_NAMESPACE]), "it's");
    assert_int_equal(row.fields[RELATION_FRAME].len, put.fields[RELATION_FRAME].len);
    assert_memory_equal(row.fields[RELATION_FRAME].data, put.fields[RELATION_FRAME].data,
                        put.fields[RELATION_FRAME].len);
    assert_false(remembered(w, "p", 0, "t", &row));
    assert_int_equal(row.relid, 0);
    own_row_free(&row);
    own_row_free(&put);
}

/* The rules of common/sql/schema_plan.c on a real database: a name that differs only in case, a
 * chain of renames, drop and add of one name. */
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
        struct target_table *table;
        describe(w, REPLICA_IDENTITY_DEFAULT, steps[i].name, steps[i].columns, 1);
        succeeds(w, begin(w));
        struct relation *rel = read_back(&w->rel);
        succeeds(w, target_bind(w->target, &(struct binding){.origin = "o", .policy = DDL_EVOLVE},
                                rel, &table, &(enum unbound){0}, &w->err));
        target_unbind(w->target, table);
        relation_unref(rel);
        succeeds(w, target_commit(w->target, "o", &(struct checkpoint){.remote_lsn = 1}, &w->err));
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
    target_close(w->target);
    w->target = NULL;
    open_at(w, uri);
}

static void cannot_open(struct sqlite_world *w, const char *uri, enum err_kind kind,
                        const char *error)
{
    const struct driver_config c = config(w, uri);
    struct sqlite_world other = {.err = {0}};
    int rc = try_open(&other, &c);
    w->err = other.err;
    fails(w, rc, kind, error);
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
        {"sqlite:", "?triggers=on&synchronous=normal", "1"},
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
    static const char *const others[] = {"mysql://u@h/d",     "mysql:u:p@h",         "u:p",
                                         "host=h password=p", "Server=h;Password=p", "mysql;u"};
    for (size_t i = 0; i < sizeof others / sizeof *others; i++) {
        cannot_open(w, others[i], ERR_PERMANENT, "not a SQLite database, or not");
        assert_int_not_equal(access(others[i], F_OK), 0);
    }
    cannot_open(w, "sqlite:x?synchronous=maybe", ERR_PERMANENT,
                "synchronous is off, normal, full or extra, not \"maybe\"");
    cannot_open(w, "sqlite:x?mode=ro", ERR_PERMANENT,
                "no parameter \"mode\"; there are synchronous and triggers");
    cannot_open(w, "sqlite:x?triggers", ERR_PERMANENT, "a parameter without a value");
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
    const struct driver_config c = config(w, w->path);
    target_close(w->target);
    w->target = NULL;
    int rc = try_open(w, &c);
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
    fails(w, begin(w), ERR_RETRY, "database is locked (another program");
    succeeds(w, target_reset(w->target, &w->err));
    fails(w, begin(w), ERR_RETRY, "database is locked");
    assert_int_equal(sqlite3_exec(other, "COMMIT", NULL, NULL, NULL), SQLITE_OK);
    succeeds(w, target_reset(w->target, &w->err));
    succeeds(w, begin(w));
    succeeds(w, RUN(w, CHANGE_INSERT, "1"));
    /* A reader that stays in its snapshot is in nobody's way. */
    assert_int_equal(sqlite3_exec(other, "BEGIN; SELECT * FROM t", NULL, NULL, NULL), SQLITE_OK);
    succeeds(w, target_commit(w->target, "o", &(struct checkpoint){.remote_lsn = 1}, &w->err));
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
    succeeds(w, begin(w));
    int rc = 0;
    for (int i = 1; rc == 0 && i < 9; i++) {
        row[0] = (char)('0' + i);
        rc = RUN(w, CHANGE_INSERT, row);
    }
    fails(w, rc, ERR_TEMPORARY, "database or disk is full (free some space)");
    /* SQLite may have rolled back by itself. */
    succeeds(w, target_reset(w->target, &w->err));
    shows(w, "SELECT count(*) FROM t", "0");
    sql(w, "PRAGMA max_page_count = 1000");
    succeeds(w, begin(w));
    succeeds(w, RUN(w, CHANGE_INSERT, row));
    succeeds(w, target_commit(w->target, "o", &(struct checkpoint){.remote_lsn = 1}, &w->err));
}

/* What the check writes about the database. */
static void check_says(struct sqlite_world *w, const char *text)
{
    char said[2000];
    int out[2];
    assert_int_equal(pipe(out), 0);
    struct report report = {.fd = out[1]};
    succeeds(w, sqlite_ops.check(w->driver, true, &report, &w->err));
    assert_int_equal(close(out[1]), 0);
    ssize_t n = read(out[0], said, sizeof said - 1);
    assert_int_equal(close(out[0]), 0);
    assert_true(n > 0);
    said[n] = '\0';
    if (!strstr(said, text))
        fail_msg("\"%s\" does not say \"%s\"", said, text);
}

static void a_check_names_triggers(void **state)
{
    struct sqlite_world *w = *state;
    reopen(w, w->path);
    sql(w, "CREATE TABLE t (id INTEGER PRIMARY KEY); CREATE TABLE audit (id INTEGER);"
           "CREATE TRIGGER log AFTER INSERT ON t BEGIN INSERT INTO audit VALUES (new.id); END");
    check_says(w, "note  target: table t has the trigger log, which does not fire for what the "
                  "applier writes");
    char uri[160];
    (void)snprintf(uri, sizeof uri, "sqlite:%s?triggers=on", w->path);
    reopen(w, uri);
    check_says(w,
               "note  target: table t has the trigger log, which acts on what the applier writes");
}

static int commit(struct sqlite_world *w, uint64_t lsn)
{
    return target_commit(w->target, "o", &(struct checkpoint){.remote_lsn = lsn}, &w->err);
}

static void remove_files(const struct sqlite_world *w, const char *suffix, const char *other)
{
    char path[128];
    (void)snprintf(path, sizeof path, "%s%s", w->path, suffix);
    assert_int_equal(unlink(path), 0);
    if (other)
        remove_files(w, other, NULL);
}

/* The last look is after the commit: what is lost in the middle of a transaction is not told to be
 * in. */
static void a_log_that_is_deleted_is_noticed(void **state)
{
    struct sqlite_world *w = *state;
    sqlite3 *reader;
    reopen(w, w->path);
    make(w, REPLICA_IDENTITY_DEFAULT, "t", "id/int/k", 1);
    assert_int_equal(sqlite3_open(w->path, &reader), SQLITE_OK);
    assert_int_equal(sqlite3_exec(reader, "SELECT * FROM t", NULL, NULL, NULL), SQLITE_OK);
    succeeds(w, begin(w));
    succeeds(w, RUN(w, CHANGE_INSERT, "1"));
    remove_files(w, "-wal", "-shm");
    fails(w, commit(w, 1), ERR_TEMPORARY, "db-wal was moved or deleted while it was open");
    fails(w, begin(w), ERR_TEMPORARY, "db-wal was moved or deleted while it was open");
    /* What is in the log that has no name gets into the database. */
    reopen(w, w->path);
    shows(w, "SELECT id FROM t", "1");
    assert_int_equal(sqlite3_close(reader), SQLITE_OK);
}

/* The log of another's that takes its place is not ours to delete. */
static void a_log_that_is_replaced_is_left_alone(void **state)
{
    struct sqlite_world *w = *state;
    sqlite3 *other;
    reopen(w, w->path);
    make(w, REPLICA_IDENTITY_DEFAULT, "t", "id/int/k", 1);
    sql(w, "PRAGMA wal_checkpoint");
    remove_files(w, "-wal", "-shm");
    assert_int_equal(sqlite3_open(w->path, &other), SQLITE_OK);
    assert_int_equal(sqlite3_exec(other, "INSERT INTO t VALUES (7)", NULL, NULL, NULL), SQLITE_OK);
    assert_int_equal(sqlite3_close(other), SQLITE_OK);
    fails(w, begin(w), ERR_TEMPORARY, "another file has taken the place of");
    reopen(w, w->path);
    shows(w, "SELECT id FROM t", "7");
}

static void a_database_that_is_moved_is_noticed(void **state)
{
    struct sqlite_world *w = *state;
    char away[128], link[128];
    (void)snprintf(away, sizeof away, "%s.away", w->path);
    (void)snprintf(link, sizeof link, "%s.link", w->path);
    assert_int_equal(symlink(w->path, link), 0);
    reopen(w, link);
    succeeds(w, begin(w));
    succeeds(w, commit(w, 1));
    succeeds(w, begin(w));
    assert_int_equal(rename(w->path, away), 0);
    fails(w, commit(w, 2), ERR_PERMANENT,
          "was moved or deleted while it was open (put the old one back");
    FILE *f = fopen(w->path, "w");
    assert_non_null(f);
    assert_int_equal(fclose(f), 0);
    fails(w, begin(w), ERR_PERMANENT, "another one's checkpoint says whether it can continue");
    assert_int_equal(rename(away, w->path), 0);
    succeeds(w, begin(w));
    succeeds(w, commit(w, 3));
    assert_int_equal(unlink(link), 0);
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
        TEST(a_check_names_triggers),
        TEST(a_log_that_is_deleted_is_noticed),
        TEST(a_log_that_is_replaced_is_left_alone),
        TEST(a_database_that_is_moved_is_noticed),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
