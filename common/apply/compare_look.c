#include "apply/compare_look.h"

#include <errno.h>
#include <poll.h>
#include <string.h>
#include <sys/random.h>

#include "base/log.h"
#include "base/lsn.h"

#define LOOK_AGAIN_MS 20  /* at the checkpoint */
#define MOST_PAUSE_MS 250 /* between two looks */
#define MOST_ATTEMPTS 5   /* at a look */
#define ROWS_A_CHECK  256 /* whether it is to stop, and where it is */

/* ---- waiting ---- */

static int pause_ms(struct compare *c, int64_t ms, struct err *err)
{
    struct pollfd p = {.fd = c->signals.fd, .events = POLLIN};
    if (poll(&p, 1, (int)(ms > 60000 ? 60000 : ms)) < 0 && errno != EINTR)
        return err_errno(err, ERR_TEMPORARY, "poll");
    return p.revents ? err_set(err, ERR_TEMPORARY, "asked to stop") : 0;
}

static int check_checkpoint(const struct compare *c, const struct checkpoint *now, bool found,
                            struct err *err)
{
    if (!found) {
        (void)err_set(err, ERR_PERMANENT, "the target has no checkpoint of origin %s", c->origin);
        return err_hint(err, "is it the right target? Nothing has been replicated to it yet");
    }
    return strcmp(now->system_identifier, c->source.system_identifier) == 0
               ? 0
               : err_set(err, ERR_PERMANENT,
                         "the target follows the cluster with the system identifier %s, not %s",
                         now->system_identifier, c->source.system_identifier);
}

/* Asks again where the target gave up, or was away. */
int compare_checkpoint(struct compare *c, struct checkpoint *now, struct err *err)
{
    bool found;
    int rc = target_checkpoint(c->target, c->origin, now, &found, err);
    if (rc && err->kind == ERR_RETRY) {
        err_clear(err);
        if (target_reset(c->target, err))
            return -1;
        rc = target_checkpoint(c->target, c->origin, now, &found, err);
    }
    return rc || check_checkpoint(c, now, found, err) ? -1 : 0;
}

int compare_pause(struct compare *c, struct err *err)
{
    unsigned char byte = UINT8_MAX;
    if (getrandom(&byte, sizeof byte, GRND_NONBLOCK) < 0)
        byte = (unsigned char)monotonic_ms();
    return pause_ms(c, byte * MOST_PAUSE_MS / UINT8_MAX, err);
}

/* Until the target has everything that was committed before the LSN. */
static int wait_for_target(struct compare *c, uint64_t lsn, struct err *err)
{
    struct checkpoint now = {0};
    uint64_t was = 0;
    int64_t since_ms = monotonic_ms();
    for (;;) {
        if (compare_checkpoint(c, &now, err))
            return -1;
        if (now.remote_lsn >= lsn)
            return 0;
        int64_t now_ms = monotonic_ms();
        if (now.remote_lsn != was)
            since_ms = now_ms;
        was = now.remote_lsn;
        if (now_ms - since_ms >= (int64_t)c->options->wait_ms) {
            (void)err_set(err, ERR_TEMPORARY,
                          "the target makes no progress at %s, and the rows of %s.%s are as of %s",
                          LSN(now.remote_lsn), c->rel->namespace, c->rel->name, LSN(lsn));
            return err_hint(
                err,
                "does the pipeline run? If nothing is written at the source and the target has "
                "everything: --still");
        }
        if (pause_ms(c, LOOK_AGAIN_MS, err))
            return -1;
    }
}

/* ---- rows ---- */

static int keep(struct compare *c, enum side side, struct suspect *p, const struct value *source,
                const struct stored *target, struct err *err)
{
    struct buf text = {0};
    if (p->verdict != VERDICT_NONE && p->text)
        return 0;
    bool one = p->now[SIDE_SOURCE].n == 1 && p->now[SIDE_TARGET].n == 1;
    uint64_t *marks = suspects_marks(&c->suspects, p, c->rel->ncolumns);
    if (!p->text) {
        if (source)
            compared_row_put_source(&c->row, source, false, &text);
        else
            compared_row_put_target(&c->row, target, false, &text);
        suspects_keep(&c->suspects, &p->text, text.data, text.len);
    }
    if (marks && side == SIDE_SOURCE)
        compared_row_marks(&c->row, marks);
    if (marks && side == SIDE_TARGET && one) {
        text.len = 0;
        compared_row_differing(&c->row, marks, &text);
        suspects_keep(&c->suspects, &p->columns, text.data, text.len);
    }
    if (c->options->values && p->shown) {
        text.len = 0;
        if (source)
            compared_row_put_source(&c->row, source, true, &text);
        else
            compared_row_put_target(&c->row, target, true, &text);
        suspects_keep(&c->suspects, &p->values[side], text.data, text.len);
    }
    int rc = buf_check(&text, err);
    buf_free(&text);
    return rc == 0 && c->suspects.failed ? err_nomem(err) : rc;
}

/* Now and then: whether it is to stop, where it is, whether it is too fast. */
static int tick(struct compare *c, enum side side, struct err *err)
{
    int64_t elapsed_ms = monotonic_ms() - c->side_ms;
    uint64_t rate = side == SIDE_TARGET ? c->options->rate : 0; /* pg-capture has its own */
    compare_report_progress(&c->report, c->rel, side, c->nrows, elapsed_ms, c->nlooks);
    int64_t due_ms = rate ? (int64_t)(c->nbytes * 1000 / rate) : 0;
    return pause_ms(c, due_ms > elapsed_ms ? due_ms - elapsed_ms : 0, err);
}

static int take_row(struct compare *c, enum side side, const struct value *source,
                    const struct stored *row, struct err *err)
{
    struct suspect *suspect;
    if (++c->nrows % ROWS_A_CHECK == 0 && tick(c, side, err))
        return -1;
    if (compared_row_take(&c->row, row, err))
        return -1;
    c->nbytes += c->row.bytes.len;
    if (c->row.key_hash.high % 100 >= c->options->percent) {
        c->nleft_out++;
        return 0;
    }
    if (c->look == LOOK_AT_ALL) {
        tally_row(&c->tally, side, c->row.key_hash, c->row.hash);
        return 0;
    }
    if (suspects_row(&c->suspects, side, c->row.key_hash, c->row.hash, &suspect, err))
        return -1;
    return suspect && c->keep ? keep(c, side, suspect, source, source ? NULL : row, err) : 0;
}

static int take_source_row(void *ctx, const struct value *row, struct err *err)
{
    struct compare *c = ctx;
    if (target_stores(c->target, c->table, row, c->rooms, c->stored, err))
        return -1;
    for (uint32_t i = 0; i < c->rel->ncolumns; i++)
        c->nchosen += c->stored[i].chosen;
    return take_row(c, SIDE_SOURCE, row, c->stored, err);
}

static int take_target_row(void *ctx, const struct stored *row, struct err *err)
{
    return take_row(ctx, SIDE_TARGET, NULL, row, err);
}

static void begin_side(struct compare *c)
{
    c->nrows = c->nleft_out = c->nchosen = c->nbytes = 0;
    c->side_ms = monotonic_ms();
}

/* ---- a look ---- */

/* The rows of a table that is asked for. *c->changed: it is another than it was. */
static int read_asked(struct compare *c, struct err *err)
{
    struct compare_source *s = &c->source;
    struct relation *rel;
    if (compare_source_ask(s, c->rel->relid, err) || compare_source_relation(s, &rel, err))
        return -1;
    if (!rel) {
        c->result.why_not = "it is not published any more";
        return 0;
    }
    c->changed = !relation_same_message(rel, c->rel);
    relation_unref(c->rel);
    c->rel = rel;
    return compare_source_rows(s, rel, c->changed ? NULL : take_source_row, c, err);
}

/* The rows that come next, or those that came last. */
static int read_given(struct compare *c, bool again, struct err *err)
{
    bool can = true;
    if (again && compare_source_again(&c->source, &can, err))
        return -1;
    return can ? compare_source_rows(&c->source, c->rel, take_source_row, c, err)
               : err_set(err, ERR_TEMPORARY, "the input cannot be read again");
}

static int read_target(struct compare *c, struct err *err)
{
    uint64_t lsn = c->source.lsn > c->settles_lsn ? c->source.lsn : c->settles_lsn;
    if (!c->options->still && c->source.ask_fd >= 0 && wait_for_target(c, lsn, err))
        return -1;
    begin_side(c);
    if (target_read(c->target, c->table, take_target_row, c, err))
        return err_context(err, "%s", c->table->name);
    c->result.nrows[SIDE_TARGET] = c->nrows - c->nleft_out;
    return 0;
}

/* One attempt. */
static int look_once(struct compare *c, bool again, struct err *err)
{
    begin_side(c);
    if (c->source.ask_fd >= 0 ? read_asked(c, err) : read_given(c, again, err))
        return -1;
    if (!compare_goes_on(c))
        return 0;
    c->result.nrows[SIDE_SOURCE] = c->nrows - c->nleft_out;
    c->result.nleft_out = c->nleft_out;
    c->result.nchosen = c->nchosen;
    return read_target(c, err);
}

int compare_look(struct compare *c, enum look look, struct err *err)
{
    c->look = look;
    c->nlooks++;
    if (look == LOOK_FOR_KEYS)
        suspects_begin_look(&c->suspects);
    for (unsigned attempt = 1;; attempt++) {
        if (look == LOOK_AT_ALL)
            tally_reset(&c->tally);
        else
            suspects_restart_look(&c->suspects);
        if (look_once(c, c->nlooks > 1 || attempt > 1, err) == 0)
            return 0;
        if (err->kind != ERR_RETRY || attempt == MOST_ATTEMPTS)
            return -1;
        log_info("the target gave up, or was away; looking again", "reason", err->text, NULL);
        err_clear(err);
        if (target_reset(c->target, err))
            return -1;
    }
}

bool compare_is_still(struct compare *c)
{
    struct buf *now = &c->source.snapshot;
    bool same = now->len == c->snapshot.len &&
                (now->len == 0 || memcmp(now->data, c->snapshot.data, now->len) == 0);
    buf_reset(&c->snapshot, 4096);
    buf_append(&c->snapshot, now->data, now->len);
    return same || c->options->still || c->source.ask_fd < 0;
}
