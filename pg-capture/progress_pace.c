#include "progress_pace.h"

static int64_t later(int64_t a, int64_t b)
{
    return a > b ? a : b;
}

void progress_pace_committed(struct progress_pace *p, uint64_t committed_lsn, int64_t now_ms)
{
    if (committed_lsn == p->committed_lsn)
        return;
    p->committed_lsn = committed_lsn;
    p->committed_ms = now_ms;
}

void progress_pace_sent(struct progress_pace *p, bool acknowledged, int64_t now_ms)
{
    p->sent_ms = now_ms;
    p->gap_ms = acknowledged || p->gap_ms == 0 ? PROGRESS_GAP_MS : p->gap_ms * 2;
    if (p->gap_ms > PROGRESS_SELDOM_MS)
        p->gap_ms = PROGRESS_SELDOM_MS;
    if (p->committed_ms != 0)
        p->behind_ms = now_ms;
    p->committed_ms = 0;
}

int64_t progress_pace_due_ms(const struct progress_pace *p, bool waited_for, bool acknowledged)
{
    if (waited_for)
        return p->sent_ms + (acknowledged ? PROGRESS_NEXT_MS : p->gap_ms);
    if (p->committed_ms == 0)
        return p->sent_ms == 0 ? 0 : p->sent_ms + PROGRESS_SELDOM_MS;
    int64_t pause_ms = p->committed_ms + PROGRESS_PAUSE_MS;
    return p->behind_ms == 0 ? pause_ms : later(pause_ms, p->behind_ms + PROGRESS_OFTEN_MS);
}
