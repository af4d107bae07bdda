/*
 * common/apply/quarantine.c and quarantine_file.c: what comes for tables that are set aside is in
 * their files, once and in order, whatever fails and whoever dies.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include <fcntl.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include "apply_world.h"
#include "base/log.h"
#include "frame_script.h"
#include "frames/frame_reader.h"
#include "sql/copied.h"

#define LENGTH(a) (sizeof(a) / sizeof *(a))

/* One table is set aside in the middle of a transaction, and has changes, a TRUNCATE, another
 * version and a hello behind that. Another one has no changes but these, and one goes on. */
static const char story[] = "H 100; R 1 1; R 2 1; R 3 1;"
                            "B 10 200; I 10 1 a; I 10 2 a; C 10 200 210 2;"
                            "B 11 300; I 11 1 b; I 11 1 poison; I 11 2 b; I 11 1 c; C 11 300 310 4;"
                            "B 12 400; R 2 2; I 12 2 c; I 12 1 d; U 12 1 a; C 12 400 410 3;"
                            "B 13 500; I 13 2 d; C 13 500 510 1;"
                            "B 14 600; T 14 1,2; I 14 2 x; I 14 1 poison; C 14 600 610 3;"
                            "H 100; R 1 1; R 2 2;"
                            "B 14 600; T 14 1,2; I 14 2 x; I 14 1 poison; C 14 600 610 3;"
                            "B 15 700; R 1 2; D 15 1 poison; I 15 1 f; I 15 2 y; C 15 700 710 3;"
                            "B 16 800; I 16 2 poison; I 16 2 z; I 16 1 g; C 16 800 810 3;"
                            "k 900; Z done 900";

static const char end_of_it[] = "t1(id,v1) [a,~]\nt2(id,v2) [x,~] [y,~]\n";

static const char kept_of_1[] = "H 300\nB 11 300\nR 1 1\nI 11 1 b\nI 11 1 poison\nI 11 1 c\n"
                                "C 11 300 310 3\n"
                                "B 12 400\nI 12 1 d\nU 12 1 a\nC 12 400 410 2\n"
                                "B 14 600\nT 14 1\nI 14 1 poison\nC 14 600 610 2\n"
                                "B 15 700\nR 1 2\nD 15 1 poison\nI 15 1 f\nC 15 700 710 2\n"
                                "B 16 800\nI 16 1 g\nC 16 800 810 1\n";
static const char kept_of_2[] = "H 800\nB 16 800\nR 2 2\nI 16 2 poison\nI 16 2 z\nC 16 800 810 2\n";

struct limits {
    uint64_t transactions, bytes;
};
static const struct limits in_one_group = {1000, 1000000}, each_alone = {1, 1000000},
                           some = {3, 1000000}, in_parts = {1000, 40};

static char directory[64], quarantine[80];
static uint64_t most;

static void set_up(struct apply_world *w)
{
    w->group.rows.aside.refused = true;
    w->group.rows.quarantine.dir = most ? quarantine : NULL;
    w->group.rows.quarantine.max_bytes = most;
}

static void start_again(struct apply_world *w)
{
    stop(w);
    w->dest.fail_at = 0;
    start(w);
    set_up(w);
}

static void path_of(uint32_t relid, char path[128])
{
    (void)snprintf(path, 128, "%s/slot.%u.frames", quarantine, relid);
}

static void remove_all(void)
{
    for (uint32_t relid = 1; relid <= 2; relid++) {
        char path[128];
        path_of(relid, path);
        (void)remove(path);
    }
    (void)rmdir(quarantine);
}

static void anew(struct apply_world *w)
{
    new_target(w);
    set_up(w);
    remove_all();
}

static int tell(struct apply_world *w, const struct limits *l)
{
    w->group.max_transactions = l->transactions;
    w->group.max_bytes = l->bytes;
    return feed(w, story) || input_ends(w) ? -1 : 0;
}

/* Starts the program again as often as it leaves, which a table more that is set aside ends. */
static void tell_to_the_end(struct apply_world *w, const struct limits *l)
{
    for (unsigned again = 0; tell(w, l); again++) {
        assert_true(again < 5);
        assert_int_not_equal(w->err.kind, ERR_PERMANENT);
        start_again(w);
    }
    has(w, end_of_it);
}

/* What the target remembers of the table's file. */
static struct copied_file mark(const struct apply_world *w, uint32_t relid, bool *aside)
{
    const struct double_data *d = durable(w);
    struct copied c = {0};
    struct err err = {0};
    size_t size;
    for (size_t i = 0; i < d->nmemories; i++) {
        struct buf frame = {0};
        if (d->memories[i].relid != relid)
            continue;
        buf_append(&frame, d->memories[i].frame, d->memories[i].size);
        assert_int_equal(copied_parse(&c, &frame, &size, &err), 0);
        buf_free(&frame);
    }
    struct copied_file file = c.file;
    if (aside)
        *aside = c.aside;
    copied_free(&c);
    return file;
}

/* The file, as far as the target remembers it, and nothing behind that once a run is over. */
static void holds(const struct apply_world *w, uint32_t relid, const char *script)
{
    const struct copied_file file = mark(w, relid, NULL);
    char path[128];
    struct stat st;
    struct frame_reader r;
    struct frame f;
    struct err err = {0};
    struct buf frames = {0}, is = {0};
    assert_true(file.kept);
    path_of(relid, path);
    assert_int_equal(stat(path, &st), 0);
    assert_int_equal(st.st_size, file.size);
    assert_int_equal(st.st_mode & 0777, 0600);
    int fd = open(path, O_RDONLY);
    frame_reader_init(&r, fd);
    for (int rc = 1; rc > 0 || !r.eof;) {
        rc = frame_reader_next(&r, &f, &err);
        if (rc < 0)
            fail_msg("%s", err.text);
        if (rc == FRAME_READER_FRAME)
            buf_append(&frames, frame_start(&f), frame_length(&f));
        else
            assert_true(frame_reader_fill(&r, &err) >= 0);
    }
    assert_int_equal(r.offset, file.size);
    assert_int_equal(r.seal.checksum, file.checksum);
    frame_reader_free(&r);
    (void)close(fd);
    frames_script(&is, frames.data, frames.len);
    assert_string_equal(buf_cstr(&is), script);
    buf_free(&frames);
    buf_free(&is);
}

static bool is_there(uint32_t relid)
{
    char path[128];
    path_of(relid, path);
    return access(path, F_OK) == 0;
}

/* Whatever call of the target fails, in every way; and whenever the program dies: then every call
 * from some place on fails. */
static void whoever_dies_the_file_has_what_was_left_out(void **state)
{
    struct apply_world *w = *state;
    static const struct limits *const all[] = {&in_one_group, &each_alone, &some, &in_parts};
    static const enum err_kind kinds[] = {ERR_TEMPORARY, ERR_RETRY};
    for (size_t i = 0; i < LENGTH(all) * LENGTH(kinds) * 2 * 2; i++) {
        uint64_t n = 0;
        do {
            anew(w);
            w->dest.fail_at = n++;
            w->dest.nfail = i & 1 ? 1000000 : 1;
            w->dest.lose_answer = i & 2;
            w->dest.fail_kind = kinds[i >> 2 & 1];
            tell_to_the_end(w, all[i >> 3]);
            holds(w, 1, kept_of_1);
            holds(w, 2, kept_of_2);
        } while ((n == 1 || w->dest.failed) && n < 1000);
        assert_true(n > 20);
    }
}

/* What cannot be kept stops nobody, and is said by the mark: the table can only be copied. */
static void is_given_up(struct apply_world *w, uint32_t relid)
{
    bool aside;
    assert_false(mark(w, relid, &aside).kept);
    assert_true(aside);
    assert_false(is_there(relid));
}

static void a_file_has_a_bound(void **state)
{
    struct apply_world *w = *state;
    static const struct limits *const all[] = {&in_one_group, &each_alone, &in_parts};
    for (size_t i = 0; i < LENGTH(all); i++) {
        most = 400;
        anew(w);
        tell_to_the_end(w, all[i]);
        is_given_up(w, 1);
        holds(w, 2, kept_of_2);
    }
}

static void what_cannot_be_written_is_given_up(void **state)
{
    struct apply_world *w = *state;
    anew(w);
    assert_int_equal(close(open(quarantine, O_WRONLY | O_CREAT, 0600)), 0); /* no directory */
    tell_to_the_end(w, &some);
    is_given_up(w, 1);
    is_given_up(w, 2);
    assert_int_equal(unlink(quarantine), 0);
}

/* A file that cannot grow, as on a full disk. */
static void a_full_disk_is_no_reason_to_stop(void **state)
{
    struct apply_world *w = *state;
    struct rlimit was;
    assert_int_equal(getrlimit(RLIMIT_FSIZE, &was), 0);
    (void)signal(SIGXFSZ, SIG_IGN);
    for (size_t i = 0; i < 2; i++) {
        const struct rlimit full = {i ? 300 : 10, was.rlim_max};
        anew(w);
        assert_int_equal(setrlimit(RLIMIT_FSIZE, &full), 0);
        tell_to_the_end(w, &each_alone);
        assert_int_equal(setrlimit(RLIMIT_FSIZE, &was), 0);
        is_given_up(w, 1);
    }
}

/* Tells the beginning, changes the file by hand, starts again. */
static void begin_and_do(struct apply_world *w, const char *command)
{
    char path[128];
    const char *rest = strstr(story, "B 13");
    struct buf begin = {0};
    anew(w);
    buf_append(&begin, story, (size_t)(rest - story));
    good(w, feed(w, buf_cstr(&begin)));
    good(w, input_ends(w));
    buf_free(&begin);
    assert_true(mark(w, 1, NULL).size > 0);
    path_of(1, path);
    assert_int_equal(setenv("FILE", path, 1), 0);
    assert_int_equal(system(command), 0);
    start_again(w);
}

static void go_on_with(struct apply_world *w, const char *command)
{
    begin_and_do(w, command);
    tell_to_the_end(w, &some);
}

static void a_file_that_is_another_one_is_given_up(void **state)
{
    struct apply_world *w = *state;
    static const char *const commands[] = {
        "rm \"$FILE\"",
        "truncate -s -1 \"$FILE\"",
        "printf x | dd of=\"$FILE\" bs=1 seek=60 conv=notrunc status=none",
        "dd if=/dev/zero of=\"$FILE\" bs=1000 count=1 status=none",
        "rm \"$FILE\"; ln -s /dev/zero \"$FILE\"",
        "rm \"$FILE\"; mkdir \"$FILE\"",
    };
    for (size_t i = 0; i < LENGTH(commands); i++) {
        bool aside;
        go_on_with(w, commands[i]);
        assert_false(mark(w, 1, &aside).kept);
        assert_true(aside);
    }
    go_on_with(w, "printf 'half a transaction' >>\"$FILE\"");
    holds(w, 1, kept_of_1);
}

/* Also where the group that has found it out is repeated. */
static void a_file_that_is_another_one_stays_so(void **state)
{
    struct apply_world *w = *state;
    uint64_t n = 0;
    do {
        bool aside;
        begin_and_do(w, "printf x | dd of=\"$FILE\" bs=1 seek=60 conv=notrunc status=none");
        w->dest.failed = false;
        w->dest.fail_at = w->dest.ncalls + ++n;
        w->dest.nfail = 1;
        w->dest.lose_answer = false;
        w->dest.fail_kind = ERR_RETRY;
        tell_to_the_end(w, &some);
        assert_false(mark(w, 1, &aside).kept);
        assert_true(aside);
    } while (w->dest.failed && n < 1000);
    assert_true(n > 20);
    w->dest.fail_at = 0;
}

/* A start without the directory leaves changes out that nobody keeps. */
static void without_a_directory_nothing_is_kept(void **state)
{
    struct apply_world *w = *state;
    most = 0;
    anew(w);
    good(w, tell(w, &some));
    is_given_up(w, 1);
    most = 1000000;
    go_on_with(w, "true \"$FILE\"");
    holds(w, 1, kept_of_1);
    most = 0;
    start_again(w);
    good(w, feed(w, "H 900; R 1 2; B 17 950; I 17 1 h; C 17 950 960 1"));
    good(w, input_ends(w));
    assert_false(mark(w, 1, NULL).kept);
}

/* What the table has then is not what came before: a copy that is not whole, rows that are newer, a
 * transaction that its copy saw. */
static void a_table_that_settles_can_only_be_copied(void **state)
{
    struct apply_world *w = *state;
    static const struct {
        const char *story;
        bool kept;
    } cases[] = {
        {"W 1; R 1 1; X 1 0 250; I 0 1 a; x 1 1; B 11 300; I 11 1 poison; C 11 300 310 1", true},
        {"W 1; R 1 1; X 1 0 350; I 0 1 a; x 1 1; B 11 300; I 11 1 poison; C 11 300 310 1", false},
        {"W 1; R 1 1; X 1 1 250; I 0 1 a; x 1 1; B 11 300; I 11 1 poison; C 11 300 310 1", true},
        {"W 1; R 1 1; X 1 1 350; I 0 1 a; x 1 1; B 11 300; I 11 1 poison; C 11 300 310 1", false},
        {"W 1; R 1 1; X 1 1 250; I 0 1 a; x 1 1 a; B 11 300; I 11 1 poison; C 11 300 310 1", false},
        {"W 1; R 1 1; X 1 0 250; I 0 1 poison; x 1 1; B 11 300; I 11 1 b; C 11 300 310 1", false},
        {"R 1 1; B 11 300; I 11 1 poison; C 11 300 310 1", false}, /* it has no table yet */
    };
    for (size_t i = 0; i < LENGTH(cases); i++) {
        bool aside;
        anew(w);
        w->dest.keyed = true;
        good(w, feed(w, "H 100"));
        good(w, feed(w, cases[i].story));
        good(w, input_ends(w));
        assert_int_equal(mark(w, 1, &aside).kept, cases[i].kept);
        assert_true(aside);
        assert_int_equal(is_there(1), cases[i].kept);
    }
    w->dest.keyed = false;
}

/* ---- replay ---- */

/* What the tables are where nothing is refused. */
static const char end_of_all[] = "t1(id,v2) [f,~] [g,~]\nt2(id,v2) [x,~] [y,~] [poison,~] [z,~]\n";

static int ask(struct apply_world *w, const char *tables)
{
    struct table_names names = {0};
    struct checkpoint c;
    struct err err = {0};
    bool found;
    assert_int_equal(table_names_add(&names, tables, true, &err), 0);
    const struct asked_copies asked = {
        .origin = "slot", .names = &names, .lsn = 900, .resume = true};
    good(w, target_begin(w->target, "slot", &c, &found, &w->err));
    int rc = target_ask_copy(w->target, &asked, &w->err);
    if (rc)
        good(w, target_reset(w->target, &err));
    table_names_free(&names);
    return rc;
}

/* Everything was told, two tables are set aside, and asked for; whether it is mended. */
static void set_two_aside(struct apply_world *w, bool mended)
{
    w->dest.immune = false;
    anew(w);
    tell_to_the_end(w, &some);
    start_again(w);
    good(w, ask(w, "public.t1,public.t2"));
    w->dest.immune = mended;
}

static void have_come_back(struct apply_world *w)
{
    for (uint32_t relid = 1; relid <= 2; relid++) {
        bool aside;
        assert_false(mark(w, relid, &aside).kept);
        assert_false(aside);
        assert_false(is_there(relid));
    }
    has(w, end_of_all);
    assert_int_equal(w->group.rows.aside.nrefused, 0);
    assert_int_equal(w->group.rows.quarantine.bytes, 0);
}

/* The program runs, or is started: whatever call fails, and whenever it dies. */
static void whoever_dies_the_tables_come_back_once(void **state)
{
    struct apply_world *w = *state;
    static const enum err_kind kinds[] = {ERR_TEMPORARY, ERR_RETRY};
    for (size_t i = 0; i < LENGTH(kinds) * 2 * 2 * 2; i++) {
        uint64_t n = 0;
        do {
            bool running = i & 4;
            set_two_aside(w, true);
            if (running) { /* it does not know yet that it is asked for */
                const struct double_data asked = w->dest.now;
                anew(w);
                w->dest.immune = false;
                tell_to_the_end(w, &some);
                w->dest.now = asked;
            }
            w->dest.immune = true;
            w->dest.failed = false;
            w->dest.fail_at = n++ ? w->dest.ncalls + n - 1 : 0;
            w->dest.nfail = i & 1 ? 1000000 : 1;
            w->dest.lose_answer = i & 2;
            w->dest.fail_kind = kinds[i >> 3];
            int rc = running ? apply_stream_look_again(&w->stream, &w->err) : tell(w, &some);
            for (unsigned again = 0; rc; again++) {
                assert_true(again < 5);
                assert_int_not_equal(w->err.kind, ERR_PERMANENT);
                start_again(w);
                rc = tell(w, &some);
            }
            w->dest.fail_at = 0;
            have_come_back(w);
            assert_int_equal(checkpoint(w), 900);
        } while ((n == 1 || w->dest.failed) && n < 1000);
        assert_true(n > 20);
    }
}

/* They go on with what the stream says of them. */
static void tables_that_came_back_go_on(void **state)
{
    struct apply_world *w = *state;
    set_two_aside(w, true);
    good(w, feed(w, "H 100; R 1 2; R 2 2; B 17 950; I 17 1 h; D 17 1 f; I 17 2 w; C 17 950 960 3"));
    good(w, input_ends(w));
    has(w, "t1(id,v2) [g,~] [h,~]\nt2(id,v2) [x,~] [y,~] [poison,~] [z,~] [w,~]\n");
}

/* The stream has described it anew since the last change that is kept. */
static void a_table_goes_on_as_it_is_by_now(void **state)
{
    struct apply_world *w = *state;
    w->dest.immune = false;
    anew(w);
    tell_to_the_end(w, &some);
    good(w, feed(w, "B 17 950; R 1 3; C 17 950 960 0"));
    good(w, input_pauses(w));
    good(w, ask(w, "public.t1"));
    w->dest.immune = true;
    good(w, apply_stream_look_again(&w->stream, &w->err));
    good(w, feed(w, "B 18 970; I 18 1 h; C 18 970 980 1"));
    good(w, input_pauses(w));
    has(w, "t1(id,v3) [f,~] [g,~] [h,~]\nt2(id,v2) [x,~] [y,~]\n");
}

/* Changes go on coming until the program looks. */
static void what_comes_meanwhile_is_replayed_too(void **state)
{
    struct apply_world *w = *state;
    w->dest.immune = false;
    anew(w);
    tell_to_the_end(w, &some);
    good(w, ask(w, "public.t1"));
    w->dest.immune = true;
    good(w, feed(w, "B 17 950; I 17 1 h; C 17 950 960 1"));
    good(w, input_pauses(w));
    good(w, feed(w, "B 18 970; I 18 1 i; C 18 970 980 1"));
    good(w, apply_stream_look_again(&w->stream, &w->err));
    has(w, "t1(id,v2) [f,~] [g,~] [h,~] [i,~]\nt2(id,v2) [x,~] [y,~]\n");
}

/* Whatever the target refuses for good meanwhile, once or a few times. */
static void an_error_of_the_target_takes_no_file(void **state)
{
    struct apply_world *w = *state;
    for (uint64_t nfail = 1; nfail <= 4; nfail++) {
        uint64_t n = 0;
        do {
            set_two_aside(w, true);
            w->dest.failed = false;
            w->dest.fail_at = w->dest.ncalls + ++n;
            w->dest.nfail = nfail;
            w->dest.lose_answer = false;
            w->dest.fail_kind = ERR_PERMANENT;
            if (tell(w, &some))
                assert_true(w->dest.failed);
            start_again(w);
            good(w, ask(w, "public.t1,public.t2")); /* which a table without its file refuses */
            good(w, tell(w, &some));
            have_come_back(w);
        } while (w->dest.failed && n < 1000);
        assert_true(n > 20);
    }
}

/* What is refused again stays set aside, says why, and goes on to be kept. */
static void what_is_refused_again_stays_aside(void **state)
{
    struct apply_world *w = *state;
    static const char refused[] =
        "aside because insert into public.t1 (key id), transaction 11 committed at 0/12C";
    for (int ends = 0; ends < 2; ends++) {
        set_two_aside(w, false);
        w->dest.poison_ends = ends;
        good(w, tell(w, &some));
        /* Once more row by row, where the transaction is gone with the error. */
        assert_int_equal(w->counters.retries, ends ? 2 : 0);
        has(w, end_of_it);
        holds(w, 1, kept_of_1);
        holds(w, 2, kept_of_2);
        assert_false(mark(w, 1, NULL).asked);
        assert_non_null(strstr((const char *)durable(w)->memories[0].frame, refused));
        assert_int_equal(w->group.rows.aside.nrefused, 2);
        good(w, feed(w, "H 100; R 1 2; B 17 950; I 17 1 h; C 17 950 960 1"));
        good(w, input_ends(w));
        good(w, ask(w, "public.*"));
        w->dest.immune = true;
        good(w, apply_stream_look_again(&w->stream, &w->err));
        has(w, "t1(id,v2) [f,~] [g,~] [h,~]\nt2(id,v2) [x,~] [y,~] [poison,~] [z,~]\n");
    }
    w->dest.poison_ends = false;
}

/* --skip-table: it is asked for until that names the table no more. */
static void a_table_that_is_left_out_is_not_replayed(void **state)
{
    struct apply_world *w = *state;
    set_two_aside(w, true);
    good(w, table_names_add(&w->group.rows.skip, "public.t1", true, &w->err));
    good(w, tell(w, &some));
    has(w, "t1(id,v1) [a,~]\nt2(id,v2) [x,~] [y,~] [poison,~] [z,~]\n");
    holds(w, 1, kept_of_1);
    start_again(w);
    good(w, tell(w, &some));
    have_come_back(w);
}

/* A file that cannot be read to its end brings nothing back, and only a copy does. */
static void a_damaged_file_is_not_replayed(void **state)
{
    struct apply_world *w = *state;
    char path[128];
    set_two_aside(w, true);
    path_of(1, path);
    assert_int_equal(setenv("FILE", path, 1), 0);
    assert_int_equal(system("printf x | dd of=\"$FILE\" bs=1 seek=300 conv=notrunc status=none"),
                     0);
    good(w, tell(w, &some));
    has(w, "t1(id,v1) [a,~]\nt2(id,v2) [x,~] [y,~] [poison,~] [z,~]\n");
    is_given_up(w, 1);
    bad(w, ask(w, "public.t1"), ERR_PERMANENT, "cannot be replayed");
}

/* A copy that is asked for makes the file void. */
static void a_copy_takes_the_file_away(void **state)
{
    struct apply_world *w = *state;
    struct checkpoint c;
    bool found;
    const struct asked_copies asked = {.origin = "slot", .lsn = 900};
    set_two_aside(w, false);
    good(w, target_begin(w->target, "slot", &c, &found, &w->err));
    good(w, target_ask_copy(w->target, &asked, &w->err));
    good(w, feed(w, "H 100; k 901"));
    assert_false(is_there(1));
    assert_false(is_there(2));
}

/* Two appliers with one directory would write over each other's files. */
static void one_process_has_the_directory(void **state)
{
    struct apply_world *w = *state, *other = NULL;
    anew(w);
    good(w, tell(w, &some));
    assert_int_equal(apply_setup((void **)&other), 0);
    set_up(other);
    bad(other, tell(other, &some), ERR_TEMPORARY, "needs a --quarantine-dir of its own");
    (void)apply_teardown((void **)&other);
    holds(w, 1, kept_of_1);
}

static int setup(void **state)
{
    /* Files are made durable some ten thousand times. */
    (void)snprintf(directory, sizeof directory, "%s/quarantine.XXXXXX",
                   access("/dev/shm", W_OK) == 0 ? "/dev/shm" : "/tmp");
    if (!mkdtemp(directory) || apply_setup(state))
        return -1;
    (void)snprintf(quarantine, sizeof quarantine, "%s/files", directory);
    most = 1000000;
    set_up(*state);
    return 0;
}

static int teardown(void **state)
{
    remove_all();
    (void)rmdir(directory);
    return apply_teardown(state);
}

int main(void)
{
    log_set_level(LOG_LEVEL_ERROR);
    const struct CMUnitTest tests[] = {
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
        TEST(whoever_dies_the_file_has_what_was_left_out),
        TEST(a_file_has_a_bound),
        TEST(what_cannot_be_written_is_given_up),
        TEST(a_full_disk_is_no_reason_to_stop),
        TEST(a_file_that_is_another_one_is_given_up),
        TEST(a_file_that_is_another_one_stays_so),
        TEST(without_a_directory_nothing_is_kept),
        TEST(a_table_that_settles_can_only_be_copied),
        TEST(one_process_has_the_directory),
        TEST(whoever_dies_the_tables_come_back_once),
        TEST(tables_that_came_back_go_on),
        TEST(a_table_goes_on_as_it_is_by_now),
        TEST(what_comes_meanwhile_is_replayed_too),
        TEST(an_error_of_the_target_takes_no_file),
        TEST(what_is_refused_again_stays_aside),
        TEST(a_table_that_is_left_out_is_not_replayed),
        TEST(a_damaged_file_is_not_replayed),
        TEST(a_copy_takes_the_file_away),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
