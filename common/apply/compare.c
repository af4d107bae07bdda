#include "apply/compare.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "apply/compare_look.h"
#include "base/log.h"
#include "base/lsn.h"

#define MOST_ATTEMPTS 5 /* at a table */

/* ---- a table ---- */

/* Those of which the text is kept; of others only that there are some, where all are to be listed.
 * Returns how many are left. */
static size_t note_keys(struct compare *c, bool all)
{
    struct suspect *p, *next;
    HASH_ITER (hh, c->suspects.items, p, next) {
        if (!p->text && !all)
            continue;
        c->result.ndiffer += p->verdict == VERDICT_DIFFERS;
        c->result.nundecided += p->verdict == VERDICT_UNDECIDED;
        c->result.nunlisted += !p->text && p->verdict == VERDICT_DIFFERS && c->report.keys;
        compare_report_key(&c->report, &c->row, p);
        suspects_forget(&c->suspects, p);
    }
    return c->suspects.n;
}

/* All are decided. There may be more text of them than is kept at a time. */
static int list_keys(struct compare *c, struct err *err)
{
    size_t left = note_keys(c, !c->report.keys), before = left + 1;
    while (left > 0 && left < before) {
        if (compare_look(c, LOOK_FOR_KEYS, err))
            return -1;
        if (!compare_goes_on(c))
            return 0;
        before = left;
        left = note_keys(c, false);
    }
    (void)note_keys(c, true);
    return 0;
}

/* The first of them: more are not shown. */
static void mark_shown(struct compare *c)
{
    unsigned n = c->report.nshown;
    for (struct suspect *p = c->suspects.items; p && n < COMPARE_KEYS_SHOWN; p = p->hh.next, n++)
        p->shown = true;
}

/* The keys of those buckets that have room, until each is decided. */
static int look_for_keys(struct compare *c, struct err *err)
{
    bool live = !c->options->still && c->source.ask_fd >= 0;
    c->keep = false;
    buf_reset(&c->snapshot, 4096);
    for (size_t left = 1; left > 0;) {
        if ((live && c->keep && compare_pause(c, err)) || compare_look(c, LOOK_FOR_KEYS, err))
            return -1;
        if (!compare_goes_on(c))
            return 0;
        left = suspects_end_look(&c->suspects, compare_is_still(c));
        c->keep = true;
        mark_shown(c);
    }
    return list_keys(c, err) || buf_check(&c->snapshot, err) ? -1 : 0;
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
        if (compare_look(c, LOOK_AT_ALL, err))
            return -1;
        *next = compare_goes_on(c) ? tally_next(&c->tally, 0) : TALLY_BUCKETS;
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
    while (next < TALLY_BUCKETS && !c->result.unnamed && !c->result.more && compare_goes_on(c)) {
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
        struct listed_table *listed = realloc(c->listed, cap * sizeof *listed);
        if (!listed)
            return err_nomem(err);
        c->listed = listed;
        c->listed_cap = cap;
    }
    c->listed[c->nlisted++].rel = relation_ref(rel);
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
        rc = compare_table(c, c->listed[i].rel, err);
        c->listed[i].rel = NULL;
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
    return compare_checkpoint(c, &now, err);
}

static void finish(struct compare *c)
{
    for (size_t i = 0; i < c->nlisted; i++)
        relation_unref(c->listed[i].rel);
    free(c->listed);
    compare_source_close(&c->source);
    target_close(c->target);
    tally_free(&c->tally);
    suspects_free(&c->suspects);
    table_names_free(&c->names);
    buf_free(&c->snapshot);
    signals_close(&c->signals);
}

/* It is for those who look later: that it cannot be kept is no fault of the comparison. */
static void keep_sum(struct compare *c, int64_t begun_ms)
{
    struct err err = {0};
    c->report.sum.ended_s = (uint64_t)time(NULL);
    c->report.sum.seconds = (uint64_t)(monotonic_ms() - begun_ms) / 1000;
    if (last_compare_write(c->options->sum, c->options->component, &c->report.sum, &err))
        log_warning("the result of the comparison is not kept", "reason", err.text, NULL);
}

int compare_run(const struct driver_ops *ops, const struct driver_config *config,
                const struct compare_options *options, enum compared *compared, struct err *err)
{
    struct compare *c = calloc(1, sizeof *c);
    if (!c)
        return err_nomem(err);
    int64_t begun_ms = monotonic_ms();
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
    if (rc == 0 && options->sum)
        keep_sum(c, begun_ms);
    *compared = c->compared;
    finish(c);
    free(c);
    return rc;
}
