#include "apply/compare.h"

#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "apply/compare_report.h"
#include "apply/compare_source.h"
#include "apply/compared_row.h"
#include "apply/suspects.h"
#include "apply/tally.h"
#include "base/log.h"
#include "base/lsn.h"
#include "sql/target.h"

#define LOOK_AGAIN_MS 20  /* at the checkpoint */
#define MOST_ATTEMPTS 5   /* at a look, and at a table */
#define ROWS_A_CHECK  256 /* whether it is to stop, and where it is */

enum look { LOOK_AT_ALL, LOOK_FOR_KEYS };

struct compare {
    const struct compare_options *options;
    struct signals signals;
    struct target *target;
    const char *origin;
    struct table_names names; /* empty: all */
    struct compare_source source;
    struct tally tally;
    struct suspects suspects;
    struct compare_report report;
    enum compared compared;

    struct relation **listed; /* that can be asked for */
    size_t nlisted, listed_cap;

    /* Of the table: */
    struct relation *rel;
    struct target_table *table;
    uint64_t settles_lsn;
    struct compared_row row;
    struct stored *stored;
    char (*rooms)[STORED_ROOM];
    struct compare_result result;
    struct err refused; /* why the target's table is none that could be compared */
    int64_t begun_ms;

    /* Of the look: */
    enum look look;
    unsigned nlooks;
    bool keep;    /* what is shown of keys */
    bool changed; /* the table was, meanwhile: it is looked at anew */
    uint64_t nrows, nleft_out, nchosen, nbytes;
    int64_t side_ms;     /* when this side's reading began */
    struct buf snapshot; /* of the look before */
};

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
        return err_hint(err, "is it the right target? Nothing was replicated to it yet");
    }
    return strcmp(now->system_identifier, c->source.system_identifier) == 0
               ? 0
               : err_set(err, ERR_PERMANENT,
                         "the target follows the cluster with the system identifier %s, not %s",
                         now->system_identifier, c->source.system_identifier);
}

/* Asks again where the target gave up, or was away. */
static int ask_checkpoint(struct compare *c, struct checkpoint *now, struct err *err)
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

/* Until the target has everything that was committed before the LSN. */
static int wait_for_target(struct compare *c, uint64_t lsn, struct err *err)
{
    struct checkpoint now = {0};
    uint64_t was = 0;
    int64_t since_ms = monotonic_ms();
    for (;;) {
        if (ask_checkpoint(c, &now, err))
            return -1;
        if (now.remote_lsn >= lsn)
            return 0;
        int64_t now_ms = monotonic_ms();
        if (now.remote_lsn != was)
            since_ms = now_ms;
        was = now.remote_lsn;
        if (now_ms - since_ms >= (int64_t)c->options->wait_ms) {
            (void)err_set(err, ERR_TEMPORARY,
                          "the target stands still at %s, and the rows of %s.%s are of %s",
                          LSN(now.remote_lsn), c->rel->namespace, c->rel->name, LSN(lsn));
            return err_hint(err, "does the pipeline run? Where nothing is written at the source "
                                 "and the target has everything: --still");
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
    if (c->options->values) {
        text.len = 0;
        if (source)
            compared_row_put_source(&c->row, source, true, &text);
        else
            compared_row_put_target(&c->row, target, true, &text);
        suspects_keep(&c->suspects, &p->values[side], text.data, text.len);
    }
    int rc = buf_check(&text, err);
    buf_free(&text);
    return rc;
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
    if (c->changed || c->result.why_not)
        return 0;
    c->result.nrows[SIDE_SOURCE] = c->nrows - c->nleft_out;
    c->result.nleft_out = c->nleft_out;
    c->result.nchosen = c->nchosen;
    return read_target(c, err);
}

/* Both sides once. */
static int look(struct compare *c, enum look look, struct err *err)
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

/* Whether nothing was committed at the source since the look before, for all that its snapshots
 * say; and keeps this one's. */
static bool is_still(struct compare *c)
{
    struct buf *now = &c->source.snapshot;
    bool same = now->len == c->snapshot.len &&
                (now->len == 0 || memcmp(now->data, c->snapshot.data, now->len) == 0);
    buf_reset(&c->snapshot, 4096);
    buf_append(&c->snapshot, now->data, now->len);
    return same || c->options->still || c->source.ask_fd < 0;
}

/* ---- a table ---- */

static bool goes_on(const struct compare *c)
{
    return !c->changed && !c->result.why_not;
}

static void note_keys(struct compare *c)
{
    for (const struct suspect *p = c->suspects.items; p; p = p->hh.next) {
        c->result.ndiffer += p->verdict == VERDICT_DIFFERS;
        c->result.nundecided += p->verdict == VERDICT_UNDECIDED;
        compare_report_key(&c->report, &c->row, p);
    }
}

/* The keys of those buckets that have room, until each is decided. */
static int look_for_keys(struct compare *c, struct err *err)
{
    size_t left;
    c->keep = false;
    buf_reset(&c->snapshot, 4096);
    do {
        if (look(c, LOOK_FOR_KEYS, err))
            return -1;
        if (!goes_on(c))
            return 0;
        left = suspects_end_look(&c->suspects, is_still(c));
        c->keep = true;
    } while (left > 0);
    note_keys(c);
    return buf_check(&c->snapshot, err);
}

static bool can_look_again(const struct compare *c)
{
    return c->source.ask_fd >= 0 || c->source.begin >= 0;
}

/* Counts both sides up. *next: the first bucket that is not the same. Where more are than can be
 * looked at together, a table may just be changing as a whole: it is counted once more. */
static int count_up(struct compare *c, uint32_t *next, struct err *err)
{
    for (unsigned attempt = 1;; attempt++) {
        if (look(c, LOOK_AT_ALL, err))
            return -1;
        *next = goes_on(c) ? tally_next(&c->tally, 0) : TALLY_BUCKETS;
        if (c->options->still || c->source.ask_fd < 0 || attempt == MOST_ATTEMPTS ||
            suspects_choose(&c->suspects, &c->tally, *next) == TALLY_BUCKETS)
            return 0;
    }
}

static int compare_rows(struct compare *c, struct err *err)
{
    uint32_t next;
    if (count_up(c, &next, err))
        return -1;
    const uint64_t nrows[] = {c->result.nrows[0], c->result.nrows[1]};
    c->result.unnamed = next < TALLY_BUCKETS && !can_look_again(c);
    while (next < TALLY_BUCKETS && !c->result.unnamed && !c->result.more && goes_on(c)) {
        next = suspects_choose(&c->suspects, &c->tally, next);
        if (look_for_keys(c, err))
            return -1;
        c->result.more = next < TALLY_BUCKETS && !c->report.keys && c->result.ndiffer > 0;
    }
    memcpy(c->result.nrows, nrows, sizeof nrows);
    return 0;
}

static void forget_table(struct compare *c)
{
    compared_row_free(&c->row);
    table_free(c->table);
    c->table = NULL;
    free(c->stored);
    free(c->rooms);
    c->stored = NULL;
    c->rooms = NULL;
}

static int find_table(struct compare *c, bool *left_out, struct err *err)
{
    size_t n = (size_t)c->rel->ncolumns + 1;
    c->changed = false;
    c->result = (struct compare_result){.rel = c->rel};
    if (target_find(c->target, c->origin, c->rel, c->options->skip, &c->table, &c->result.why_not,
                    left_out, &c->settles_lsn, err)) {
        if (err->kind != ERR_PERMANENT)
            return err_context(err, "%s.%s", c->rel->namespace, c->rel->name);
        c->refused = *err;
        c->result.why_not = c->refused.text;
        err_clear(err);
        return 0;
    }
    if (!c->table)
        return 0;
    c->stored = calloc(n, sizeof *c->stored);
    c->rooms = calloc(n, sizeof *c->rooms);
    return c->stored && c->rooms ? compared_row_init(&c->row, c->table, err) : err_nomem(err);
}

static int try_table(struct compare *c, bool *left_out, struct err *err)
{
    if (find_table(c, left_out, err))
        return -1;
    int rc = c->table ? compare_rows(c, err) : 0;
    c->result.rel = c->rel;
    return rc;
}

static void sum_up(struct compare *c, bool left_out)
{
    const struct compare_result *r = &c->result;
    if (r->ndiffer > 0 || r->unnamed)
        c->compared = COMPARED_DIFFERENT;
    else if ((r->nundecided > 0 || (r->why_not && !left_out)) && c->compared == COMPARED_EQUAL)
        c->compared = COMPARED_NOT_ALL;
}

/* Takes the reference. Where the table changes meanwhile it is begun anew. */
static int compare_table(struct compare *c, struct relation *rel, struct err *err)
{
    bool left_out = false;
    int rc;
    c->rel = rel;
    c->begun_ms = monotonic_ms();
    c->nlooks = 0;
    unsigned attempt = 1;
    while ((rc = try_table(c, &left_out, err)) == 0 && c->changed && attempt++ < MOST_ATTEMPTS)
        forget_table(c);
    if (rc == 0 && c->changed)
        c->result.why_not = "it was changed again and again meanwhile";
    c->result.elapsed_ms = monotonic_ms() - c->begun_ms;
    if (rc == 0)
        rc = compare_report_table(&c->report, &c->result, err);
    sum_up(c, left_out);
    forget_table(c);
    relation_unref(c->rel);
    c->rel = NULL;
    return rc;
}

/* ---- which tables ---- */

static bool is_asked_for(struct compare *c, const struct relation *rel)
{
    return c->names.n == 0 || table_names_has(&c->names, rel->namespace, rel->name);
}

static int list_table(void *ctx, struct relation *rel, struct err *err)
{
    struct compare *c = ctx;
    if (!is_asked_for(c, rel))
        return 0;
    if (c->nlisted == c->listed_cap) {
        size_t cap = c->listed_cap ? c->listed_cap * 2 : 64;
        struct relation **listed = realloc(c->listed, cap * sizeof *listed);
        if (!listed)
            return err_nomem(err);
        c->listed = listed;
        c->listed_cap = cap;
    }
    c->listed[c->nlisted++] = relation_ref(rel);
    return 0;
}

static int check_names(const struct compare *c, struct err *err)
{
    for (size_t i = 0; i < c->names.n; i++) {
        const struct table_name *name = &c->names.items[i];
        if (name->met)
            continue;
        (void)err_set(err, ERR_PERMANENT, "no table %s.%s is published", name->namespace,
                      name->whole ? "*" : name->name);
        return err_hint(err, "names are those of PostgreSQL: public.t, or public.*; pg2any check "
                             "lists what is published");
    }
    return 0;
}

static int compare_listed(struct compare *c, struct err *err)
{
    if (compare_source_list(&c->source, list_table, c, err) || check_names(c, err))
        return -1;
    int rc = 0;
    for (size_t i = 0; rc == 0 && i < c->nlisted; i++) {
        rc = compare_table(c, c->listed[i], err);
        c->listed[i] = NULL;
    }
    return rc;
}

/* The rows of a table of a file that is not compared are passed over. */
static int pass_over(struct compare *c, struct relation *rel, struct err *err)
{
    int rc = compare_source_rows(&c->source, rel, NULL, NULL, err);
    relation_unref(rel);
    return rc;
}

static int compare_as_they_come(struct compare *c, struct err *err)
{
    for (;;) {
        struct relation *rel;
        if (compare_source_relation(&c->source, &rel, err))
            return -1;
        if (c->source.ended)
            return check_names(c, err);
        if (!rel)
            continue;
        c->source.complete = false;
        if (!is_asked_for(c, rel)) {
            if (pass_over(c, rel, err))
                return -1;
            continue;
        }
        (void)relation_ref(rel);
        int rc = compare_table(c, rel, err);
        if (rc == 0 && !c->source.complete) /* the target does not have it */
            rc = pass_over(c, rel, err);
        else
            relation_unref(rel);
        if (rc)
            return -1;
    }
}

/* ---- the whole ---- */

static int open_report(struct compare *c, struct err *err)
{
    const struct compare_options *o = c->options;
    c->report = (struct compare_report){
        .json = o->json,
        .values = o->values,
        .terminal_fd = isatty(STDERR_FILENO) ? STDERR_FILENO : -1,
    };
    if (!o->keys)
        return 0;
    c->report.keys = fopen(o->keys, "we");
    return c->report.keys ? 0 : err_errno(err, err_kind_of(errno), "--keys %s", o->keys);
}

static int prepare(struct compare *c, const struct driver_ops *ops,
                   const struct driver_config *config, struct err *err)
{
    const struct compare_options *o = c->options;
    bool all = false;
    for (size_t i = 0; i < o->tables->n; i++)
        all = all || strcmp(o->tables->items[i], "all") == 0;
    for (size_t i = 0; !all && i < o->tables->n; i++)
        if (table_names_add(&c->names, o->tables->items[i], true, err))
            return -1;
    if (signals_init(&c->signals, err) || open_report(c, err) ||
        target_open(ops, config, &c->target, err) || target_can_read(c->target, err) ||
        tally_init(&c->tally, err) || suspects_init(&c->suspects, err))
        return -1;
    c->source.signals = &c->signals;
    if (compare_source_open(&c->source, o->ask, err))
        return -1;
    c->origin = o->origin ? o->origin : c->source.slot;
    struct checkpoint now;
    return ask_checkpoint(c, &now, err);
}

static void finish(struct compare *c)
{
    for (size_t i = 0; i < c->nlisted; i++)
        relation_unref(c->listed[i]);
    free(c->listed);
    compare_source_close(&c->source);
    target_close(c->target);
    tally_free(&c->tally);
    suspects_free(&c->suspects);
    table_names_free(&c->names);
    buf_free(&c->snapshot);
    signals_close(&c->signals);
}

int compare_run(const struct driver_ops *ops, const struct driver_config *config,
                const struct compare_options *options, enum compared *compared, struct err *err)
{
    struct compare *c = calloc(1, sizeof *c);
    if (!c)
        return err_nomem(err);
    struct driver_config look_only = *config;
    look_only.look_only = true;
    c->options = options;
    c->signals.fd = c->source.ask_fd = c->source.input.fd = -1;
    int rc = prepare(c, ops, &look_only, err);
    if (rc == 0)
        rc = c->source.ask_fd >= 0 ? compare_listed(c, err) : compare_as_they_come(c, err);
    struct err unwritten = {0};
    if (compare_report_end(&c->report, rc ? &unwritten : err))
        rc = -1;
    *compared = c->compared;
    finish(c);
    free(c);
    return rc;
}
