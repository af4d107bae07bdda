#include "position_world.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "pg-capture/acks.h"
#include "pg-capture/position.h"
#include "random.h"

#define TARGETS 3
#define ITEMS   200
#define GIDS    4
#define NONE    SIZE_MAX

enum item_kind { COMMIT, PREPARE, COMMIT_PREPARED, ROLLBACK_PREPARED };

/* What the server decodes, in its order. */
struct item {
    enum item_kind kind;
    char gid;
    uint64_t first_lsn; /* where the commit or prepare record begins */
    uint64_t end_lsn;
    size_t other; /* of an outcome its PREPARE, and the other way round; NONE */
};

enum frame_kind { HELLO, ITEM, PROGRESS_FRAME };

struct pipe_frame {
    enum frame_kind kind;
    uint64_t lsn;
    size_t item;
};

struct target {
    bool used;    /* has a checkpoint */
    bool greeted; /* this process of it has read a hello */
    uint64_t checkpoint_lsn;
    bool held[ITEMS]; /* prepared transactions that wait between server and target */
    unsigned applied[ITEMS];
    size_t first, n;
    struct pipe_frame pipe[4 * ITEMS];
};

struct world {
    struct position p;
    struct acks acks;
    size_t nitems;
    struct item items[ITEMS];
    size_t prepared[GIDS]; /* the item that a name stands for now, or NONE */
    uint64_t wal_lsn;
    uint64_t slot_lsn;
    size_t next;  /* to be sent */
    bool outside; /* of a transaction that is half sent */
    struct target targets[TARGETS];
};

static void put(struct world *w, struct pipe_frame frame)
{
    for (size_t i = 0; i < w->acks.n; i++) {
        struct target *t = &w->targets[i];
        if (t->first > 0) {
            memmove(t->pipe, t->pipe + t->first, t->n * sizeof *t->pipe);
            t->first = 0;
        }
        assert_true(t->n < sizeof t->pipe / sizeof *t->pipe);
        t->pipe[t->n++] = frame;
    }
}

static void write_wal(struct world *w)
{
    w->wal_lsn += below(30);
    if (w->nitems == ITEMS || one_in(3))
        return;
    size_t i = w->nitems++;
    struct item *it = &w->items[i];
    size_t name = below(GIDS);
    *it = (struct item){.kind = COMMIT, .gid = (char)('a' + name), .other = NONE};
    it->first_lsn = w->wal_lsn;
    it->end_lsn = w->wal_lsn += 1 + below(20);
    if (one_in(2))
        return;
    if (w->prepared[name] == NONE) {
        it->kind = PREPARE;
        w->prepared[name] = i;
    } else {
        it->kind = one_in(3) ? ROLLBACK_PREPARED : COMMIT_PREPARED;
        it->other = w->prepared[name];
        w->items[it->other].other = i;
        w->prepared[name] = NONE;
    }
}

static void open_stream(struct world *w)
{
    position_connect(&w->p);
    assert_true(w->p.start_lsn == 0 || !position_is_foreign(&w->p, w->slot_lsn));
    position_stream(&w->p, w->slot_lsn, w->wal_lsn, 0);
    w->outside = true;
    for (w->next = 0; w->next < w->nitems && w->items[w->next].end_lsn <= w->slot_lsn;)
        w->next++;
    put(w, (struct pipe_frame){.kind = HELLO, .lsn = w->slot_lsn});
}

static size_t ntargets(const struct world *w)
{
    return w->acks.n + w->acks.napart;
}

/* Every process dies, and what was in the pipes goes with them. `apart`: the target that does not
 * get the next stream, which becomes the last; NONE. */
static void kill_all(struct world *w, size_t apart)
{
    static struct target other;
    size_t n = ntargets(w);
    position_free(&w->p);
    position_init(&w->p, true);
    w->acks.napart = apart != NONE;
    w->acks.n = n - w->acks.napart;
    if (apart != NONE) {
        other = w->targets[n - 1];
        w->targets[n - 1] = w->targets[apart];
        w->targets[apart] = other;
    }
    for (size_t i = 0; i < n; i++) {
        w->acks.fifos[i] = (struct ack_fifo){0};
        w->targets[i].n = 0;
        w->targets[i].greeted = false;
    }
    open_stream(w);
}

static void send_some(struct world *w)
{
    if (w->next == w->nitems)
        return;
    const struct item *it = &w->items[w->next];
    struct bytes g = {&it->gid, 1};
    struct err err = {0};
    position_receive(&w->p, it->first_lsn, it->end_lsn);
    if (w->outside && (it->kind == COMMIT || it->kind == PREPARE) && one_in(2)) {
        w->outside = false;
        return;
    }
    w->outside = true;
    put(w, (struct pipe_frame){.kind = ITEM, .item = w->next++});
    switch (it->kind) {
    case COMMIT:
        position_commit(&w->p, it->end_lsn);
        break;
    case PREPARE:
        assert_int_equal(position_prepare(&w->p, g, it->first_lsn, it->end_lsn, &err), 0);
        break;
    case COMMIT_PREPARED:
    case ROLLBACK_PREPARED:
        position_decide(&w->p, g, it->end_lsn, it->kind == COMMIT_PREPARED);
        break;
    }
}

/* The server has decoded up to somewhere before the next thing it sends; within a transaction it
 * may say that it has decoded that one's end. */
static void send_keepalive(struct world *w)
{
    uint64_t lsn = w->next > 0 ? w->items[w->next - 1].end_lsn : w->slot_lsn;
    if (!w->outside)
        lsn = w->items[w->next].end_lsn;
    else if (w->next < w->nitems)
        lsn = w->items[w->next].first_lsn;
    else if (w->wal_lsn > lsn)
        lsn = w->wal_lsn;
    position_receive(&w->p, 0, lsn);
    position_keepalive(&w->p, lsn, w->outside);
}

static void send_progress(struct world *w)
{
    uint64_t lsn = position_progress(&w->p, w->outside);
    if (lsn == 0)
        return;
    put(w, (struct pipe_frame){.kind = PROGRESS_FRAME, .lsn = lsn});
    position_progress_out(&w->p, lsn);
}

static void apply_item(struct world *w, struct target *t, size_t i)
{
    const struct item *it = &w->items[i];
    size_t applied = it->kind == COMMIT ? i : it->other;
    if (it->kind == PREPARE) {
        t->held[i] = true;
        return;
    }
    if (it->kind != ROLLBACK_PREPARED && it->end_lsn > t->checkpoint_lsn) {
        if (it->kind == COMMIT_PREPARED && !t->held[applied])
            fail_msg("the changes of %c, prepared at %d, will never come again", it->gid,
                     (int)w->items[applied].first_lsn);
        t->applied[applied]++;
        t->checkpoint_lsn = it->end_lsn;
    }
    t->held[applied] = false;
}

static void read_frame(struct world *w, struct target *t)
{
    if (t->n == 0)
        return;
    struct pipe_frame f = t->pipe[t->first++];
    t->n--;
    switch (f.kind) {
    case HELLO:
        memset(t->held, 0, sizeof t->held); /* what is unfinished comes again */
        if (!t->used)
            t->checkpoint_lsn = f.lsn;
        t->used = true;
        t->greeted = true;
        assert_true(f.lsn <= t->checkpoint_lsn);
        break;
    case ITEM:
        apply_item(w, t, f.item);
        break;
    case PROGRESS_FRAME:
        if (f.lsn > t->checkpoint_lsn)
            t->checkpoint_lsn = f.lsn;
        break;
    }
}

static void say_checkpoint(struct world *w, size_t i)
{
    struct ack_fifo *f = &w->acks.fifos[i];
    if (!w->targets[i].greeted)
        return;
    assert_true(w->targets[i].checkpoint_lsn <= w->p.ack_limit_lsn);
    f->spoken = true;
    f->lsn = w->targets[i].checkpoint_lsn;
    position_apart(&w->p, acks_apart_lsn(&w->acks));
    (void)position_acknowledge(&w->p, acks_lsn(&w->acks));
}

/* Nothing before `lsn` will be sent again: does every target have it? */
static void check_promise(const struct world *w, uint64_t lsn)
{
    for (size_t i = 0; i < w->nitems; i++) {
        const struct item *it = &w->items[i];
        if (it->end_lsn > lsn || it->kind == COMMIT_PREPARED || it->kind == ROLLBACK_PREPARED)
            continue;
        const struct item *outcome = it;
        if (it->kind == PREPARE) {
            assert_true(it->other != NONE);
            outcome = &w->items[it->other];
            if (outcome->kind == ROLLBACK_PREPARED)
                continue;
        }
        for (size_t k = 0; k < ntargets(w); k++) {
            assert_true(w->targets[k].checkpoint_lsn >= outcome->end_lsn);
            assert_int_equal(w->targets[k].applied[i], 1);
        }
    }
}

static void send_status(struct world *w)
{
    struct standby_status s = position_status(&w->p);
    assert_true(s.flush_lsn <= s.write_lsn);
    check_promise(w, s.flush_lsn);
    if (!one_in(4) && s.flush_lsn > w->slot_lsn) /* else it is lost on its way */
        w->slot_lsn = s.flush_lsn;
}

static void turn(struct world *w)
{
    size_t i = below(ntargets(w));
    switch (below(20)) {
    case 0:
        if (one_in(4))
            kill_all(w, ntargets(w) > 1 && one_in(3) ? i : NONE);
        else if (one_in(2))
            open_stream(w);
        break;
    case 1:
    case 2:
        send_keepalive(w);
        break;
    case 3:
    case 4:
        send_progress(w);
        break;
    case 5:
    case 6:
    case 7:
        write_wal(w);
        break;
    case 8:
    case 9:
        say_checkpoint(w, i);
        break;
    case 10:
        send_status(w);
        break;
    case 11:
    case 12:
    case 13:
    case 14:
        send_some(w);
        break;
    default:
        read_frame(w, &w->targets[i]);
        break;
    }
}

/* Every transaction is decided, everything goes through: then each target has it once. */
static void come_to_an_end(struct world *w)
{
    for (size_t name = 0; name < GIDS; name++) {
        size_t p = w->prepared[name];
        if (p == NONE || w->nitems == ITEMS)
            continue;
        w->items[p].other = w->nitems;
        w->items[w->nitems++] = (struct item){.kind = COMMIT_PREPARED,
                                              .gid = (char)('a' + name),
                                              .first_lsn = w->wal_lsn,
                                              .end_lsn = w->wal_lsn + 5,
                                              .other = p};
        w->wal_lsn += 5;
    }
    if (w->acks.napart > 0)
        kill_all(w, NONE);
    while (w->next < w->nitems || !w->outside)
        send_some(w);
    send_keepalive(w);
    send_progress(w);
    for (size_t i = 0; i < w->acks.n; i++) {
        while (w->targets[i].n > 0)
            read_frame(w, &w->targets[i]);
        say_checkpoint(w, i);
    }
    assert_int_equal(w->p.confirmed_lsn, w->wal_lsn);
    check_promise(w, w->p.confirmed_lsn);
}

void position_world_runs(void)
{
    static struct world w;
    random_begin(UINT64_C(0xD1B54A32D192ED03));
    for (int i = 0; i < 400; i++) {
        memset(&w, 0, sizeof w);
        w.acks.n = 1 + below(TARGETS);
        w.wal_lsn = w.slot_lsn = 100;
        for (size_t k = 0; k < GIDS; k++)
            w.prepared[k] = NONE;
        position_init(&w.p, true);
        open_stream(&w);
        for (int k = 0; k < 1500 && w.nitems < ITEMS - GIDS; k++) {
            uint64_t before_lsn = w.p.confirmed_lsn;
            struct position *p = &w.p;
            turn(&w);
            assert_true(p->confirmed_lsn >= before_lsn || p->confirmed_lsn == 0);
            check_promise(&w, p->confirmed_lsn);
        }
        come_to_an_end(&w);
        position_free(&w.p);
    }
}
