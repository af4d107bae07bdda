#include "position.h"

static void raise_lsn(uint64_t *lsn, uint64_t to)
{
    if (to > *lsn)
        *lsn = to;
}

static uint64_t larger(uint64_t a, uint64_t b)
{
    return a > b ? a : b;
}

static uint64_t smaller(uint64_t a, uint64_t b)
{
    return a < b ? a : b;
}

void position_init(struct position *p, bool acks)
{
    *p = (struct position){.acks = acks, .apart_lsn = UINT64_MAX};
}

void position_free(struct position *p)
{
    prepared_free(&p->prepared);
}

/* ---- what happened ---- */

void position_connect(struct position *p)
{
    p->received_lsn = 0;
    p->progress_lsn = 0;
}

void position_stream(struct position *p, uint64_t start_lsn, uint64_t wal_lsn, uint64_t until_lsn)
{
    p->start_lsn = start_lsn;
    p->until_lsn = until_lsn;
    p->passed_lsn = start_lsn;
    raise_lsn(&p->emitted_lsn, start_lsn);
    raise_lsn(&p->covered_lsn, start_lsn);
    raise_lsn(&p->ack_limit_lsn, p->emitted_lsn);
    raise_lsn(&p->ack_limit_lsn, wal_lsn);
}

/* Before the end in the WAL everything has been sent. */
static void reach(struct position *p, uint64_t end_lsn)
{
    if (p->until_lsn != 0 && p->reached_lsn == 0 && end_lsn >= p->until_lsn)
        p->reached_lsn = end_lsn;
}

void position_until(struct position *p, uint64_t until_lsn)
{
    p->until_lsn = until_lsn;
    reach(p, p->emitted_lsn > p->progress_lsn ? p->emitted_lsn : p->progress_lsn);
}

void position_go_on(struct position *p)
{
    p->until_lsn = p->reached_lsn = 0;
}

void position_keepalive(struct position *p, uint64_t end_lsn, bool outside)
{
    if (!outside)
        return;
    p->progress_lsn = end_lsn;
    raise_lsn(&p->passed_lsn, end_lsn);
    reach(p, end_lsn);
}

static void emit(struct position *p, uint64_t end_lsn)
{
    raise_lsn(&p->passed_lsn, end_lsn);
    raise_lsn(&p->emitted_lsn, end_lsn);
    raise_lsn(&p->ack_limit_lsn, end_lsn);
}

static void emit_whole(struct position *p, uint64_t end_lsn)
{
    emit(p, end_lsn);
    raise_lsn(&p->committed_lsn, end_lsn);
    raise_lsn(&p->covered_lsn, end_lsn);
}

void position_commit(struct position *p, uint64_t end_lsn)
{
    emit_whole(p, end_lsn);
    reach(p, end_lsn);
}

int position_prepare(struct position *p, struct bytes gid, uint64_t prepare_lsn, uint64_t end_lsn,
                     struct err *err)
{
    emit(p, end_lsn);
    reach(p, end_lsn);
    /* Where nothing is confirmed nothing needs to be held back. */
    return p->acks ? prepared_add(&p->prepared, gid, prepare_lsn, err) : 0;
}

void position_decide(struct position *p, struct bytes gid, uint64_t end_lsn, bool committed)
{
    if (committed)
        emit_whole(p, end_lsn);
    else
        emit(p, end_lsn);
    reach(p, end_lsn);
    prepared_decide(&p->prepared, gid, end_lsn);
}

void position_progress_out(struct position *p, uint64_t lsn)
{
    emit(p, lsn);
    raise_lsn(&p->covered_lsn, lsn);
}

void position_apart(struct position *p, uint64_t lsn)
{
    p->apart_lsn = lsn;
}

bool position_acknowledge(struct position *p, uint64_t lsn)
{
    raise_lsn(&p->acknowledged_lsn, lsn);
    if (!p->acks)
        return false;
    uint64_t durable_lsn = smaller(smaller(p->acknowledged_lsn, p->apart_lsn), p->emitted_lsn);
    uint64_t limit_lsn = prepared_limit(&p->prepared, durable_lsn);
    if (limit_lsn <= p->confirmed_lsn || limit_lsn < p->start_lsn)
        return false;
    p->confirmed_lsn = limit_lsn;
    return true;
}

/* ---- what follows ---- */

uint64_t position_progress(const struct position *p, bool outside)
{
    return outside && p->progress_lsn > p->covered_lsn ? p->progress_lsn : 0;
}

uint64_t position_last_progress(const struct position *p)
{
    return p->reached_lsn > p->covered_lsn ? p->reached_lsn : 0;
}

bool position_durable(const struct position *p, uint64_t lsn)
{
    return !p->acks || p->acknowledged_lsn >= lsn;
}

bool position_asks(const struct position *p)
{
    return p->until_lsn != 0 && p->reached_lsn == 0;
}

bool position_held_back(const struct position *p, uint64_t end_lsn)
{
    bool held = p->prepared.n > 0 || p->apart_lsn < end_lsn;
    return held && p->confirmed_lsn < end_lsn && position_durable(p, p->committed_lsn);
}

bool position_is_foreign(const struct position *p, uint64_t confirmed_flush_lsn)
{
    return confirmed_flush_lsn > position_done(p);
}

uint64_t position_done(const struct position *p)
{
    return larger(p->confirmed_lsn, p->start_lsn);
}

uint64_t position_lag(const struct position *p)
{
    uint64_t end_lsn = larger(p->server_lsn, p->received_lsn);
    uint64_t done_lsn = position_done(p);
    return done_lsn > 0 && end_lsn > done_lsn ? end_lsn - done_lsn : 0;
}

struct standby_status position_status(struct position *p)
{
    raise_lsn(&p->received_lsn, p->confirmed_lsn);
    return (struct standby_status){.write_lsn = p->received_lsn, .flush_lsn = p->confirmed_lsn};
}
