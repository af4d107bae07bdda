#include "status.h"

#include <stdio.h>
#include <string.h>
#include <time.h>

#include "base/progress.h"

/* In the place of what the statistics say. */
static void judge_apart(struct status_stage *st)
{
    err_clear(&st->fault);
    (void)!apart_fault(&st->apart, st->stage->name, &st->fault);
}

static void look_compared(struct status_stage *st)
{
    char path[LAST_COMPARE_PATH];
    struct stats_file f = {.missing = true};
    struct err unread = {0}; /* as if there had been none */
    last_compare_path(st->stage->stats, path);
    if (*path)
        (void)!stats_file_read(&f, path, &unread);
    last_compare_read(&f, &st->compared);
    stats_file_free(&f);
}

void status_look(struct status *s, const struct plan *plan)
{
    s->plan = plan;
    for (size_t i = 0; i < plan->nstages; i++) {
        struct status_stage *st = &s->stages[i];
        struct err unread = {0};
        st->stage = &plan->stages[i];
        st->fault = (struct err){0};
        (void)!stats_file_read(&st->file, st->stage->stats, &unread); /* the file says it, too */
        (void)!stats_file_fault(&st->file, st->stage->name, &st->fault);
        st->apart = (struct apart){.kind = APART_NONE};
        if (st->stage->kind == STAGE_APPLY && plan->ntargets > 1 &&
            plan_apart(st->stage, &st->apart, &unread) == 0 && st->apart.kind != APART_NONE)
            judge_apart(st);
        st->compared = (struct last_compare){0};
        if (st->stage->kind == STAGE_APPLY)
            look_compared(st);
    }
}

static void put_minute(uint64_t unix_s, char out[32])
{
    time_t t = (time_t)unix_s;
    struct tm tm;
    (void)strftime(out, 32, "%Y-%m-%d %H:%M", localtime_r(&t, &tm));
}

const char *status_word(const struct status_stage *s)
{
    return s->apart.kind != APART_NONE && !s->file.alive ? apart_word(s->apart.kind)
                                                         : stats_file_word(&s->file);
}

void status_apart_words(const struct status *s, const struct status_stage *apply,
                        char out[STATUS_APART_WORDS])
{
    char since[32], bound[48] = "";
    put_minute((uint64_t)apply->apart.since_s, since);
    int n = snprintf(out, STATUS_APART_WORDS, "target %u %s since %s", apply->stage->target,
                     apply->apart.kind == APART_PAUSED   ? "is paused"
                     : apply->apart.kind == APART_FAILED ? "has failed and is left out"
                                                         : "is given up",
                     since);
    if (apply->apart.kind == APART_GIVEN_UP)
        return;
    if (s->plan->pause_wal_bytes > 0)
        (void)snprintf(bound, sizeof bound, " (given up beyond %s)",
                       AMOUNT((double)s->plan->pause_wal_bytes));
    (void)snprintf(out + n, (size_t)(STATUS_APART_WORDS - n), "; %s of WAL kept for it%s",
                   AMOUNT(apart_kept_bytes(&s->stages[0].file, &apply->file)), bound);
}

void status_compared_words(const struct status_stage *apply, char out[STATUS_COMPARED_WORDS])
{
    char at[32], words[LAST_COMPARE_WORDS];
    *out = '\0';
    if (apply->compared.ended_s == 0)
        return;
    put_minute(apply->compared.ended_s, at);
    last_compare_words(&apply->compared, words);
    (void)snprintf(out, STATUS_COMPARED_WORDS, "last compared %s: %s", at, words);
}

void status_free(struct status *s)
{
    for (size_t i = 0; i < s->plan->nstages; i++)
        stats_file_free(&s->stages[i].file);
}

int status_fault(const struct status *s, struct err *err)
{
    for (size_t i = 0; i < s->plan->nstages; i++)
        if (s->stages[i].fault.kind != ERR_NONE)
            (void)stats_file_worst(err, &s->stages[i].fault);
    return err->kind == ERR_NONE ? 0 : -1;
}

/* ---- the screen ---- */

/* Appends a line, as much of it as has room. Control characters, which names may hold, would draw
 * elsewhere. */
PRINTF_LIKE(3, 4)
static void line(struct buf *out, size_t width, const char *fmt, ...)
{
    char text[1024];
    va_list ap;
    va_start(ap, fmt);
    (void)vsnprintf(text, sizeof text, fmt, ap);
    va_end(ap);
    size_t columns = 0, n = 0;
    for (; text[n]; n++) {
        bool begins = ((unsigned char)text[n] & 0xc0) != 0x80; /* a character of UTF-8 */
        if (begins && columns++ == width)
            break;
        if ((unsigned char)text[n] < ' ' || text[n] == 0x7f)
            text[n] = '?';
    }
    while (n > 0 && text[n - 1] == ' ')
        n--;
    buf_append(out, text, n);
    buf_append_byte(out, '\n');
}

static void put_wal(const struct stats_file *capture, size_t width, struct buf *out)
{
    double retained = stats_file_number(capture, "pg2any_slot_retained_wal_bytes");
    double budget = stats_file_number(capture, "pg2any_slot_wal_budget_bytes");
    char used[64] = "no limit is set";
    if (budget > 0)
        (void)snprintf(used, sizeof used, "%.0f %% of the budget of %s", 100 * retained / budget,
                       AMOUNT(budget));
    line(out, width, "source    %s/s of WAL; the slot keeps %s, %s",
         AMOUNT(stats_file_number(capture, "pg2any_server_wal_bytes_per_second")), AMOUNT(retained),
         used);
}

static void put_stage(const struct status_stage *s, size_t width, struct buf *out)
{
    const struct stats_file *f = &s->file;
    char rate[160] = "";
    double v;
    if (s->stage->kind == STAGE_CAPTURE)
        (void)snprintf(rate, sizeof rate, "%s of WAL to be confirmed",
                       AMOUNT(stats_file_number(f, "pg2any_replication_lag_bytes")));
    else if (s->stage->kind == STAGE_ASSEMBLE)
        (void)snprintf(rate, sizeof rate, "%.0f transactions held, %s on disk",
                       stats_file_number(f, "pg2any_queue_depth"),
                       AMOUNT(stats_file_number(f, "pg2any_spill_bytes")));
    else if (stats_file_value(f, "pg2any_events_per_second", NULL, &v))
        (void)snprintf(rate, sizeof rate, "%.0f changes/s, %.0f transactions wait", v,
                       stats_file_number(f, "pg2any_queue_depth"));
    line(out, width, "%-9s %-12s %8.0f  %s", s->stage->name, status_word(s),
         stats_file_number(f, "pg2any_restarts_total"), f->alive ? rate : "");
    if (s->fault.kind != ERR_NONE)
        line(out, width, "          %s", s->fault.text);
}

static void put_target(const struct status *s, const struct status_stage *apply, size_t width,
                       struct buf *out)
{
    struct lag lag;
    char words[STATUS_APART_WORDS], copies[96] = "", compared[STATUS_COMPARED_WORDS];
    double awaited = stats_file_number(&apply->file, "pg2any_copy_tables_awaited");
    double settling = stats_file_number(&apply->file, "pg2any_copy_tables_settling");
    lag_look(&s->stages[0].file, &apply->file, &lag);
    lag_words(&lag, words);
    if (apply->apart.kind != APART_NONE)
        status_apart_words(s, apply, words);
    if (apply->file.alive && awaited + settling > 0)
        (void)snprintf(copies, sizeof copies, "; copies: %.0f to come, %.0f settling", awaited,
                       settling);
    line(out, width, "%-9s %s%s", apply->stage->name, words, copies);
    status_compared_words(apply, compared);
    if (*compared)
        line(out, width, "          %s", compared);
}

static void put_copies(const struct stats_file *capture, size_t width, struct buf *out)
{
    struct table_copy c;
    double left = stats_file_number(capture, "pg2any_capture_copy_tables_left");
    if (!capture->alive || left == 0)
        return;
    line(out, width, "%s", "");
    line(out, width, "COPIES    tables to go: %.0f", left);
    for (const char *at = NULL; table_copy_next(capture, &at, &c);) {
        char of[64] = "", to_go[64] = "";
        if (c.estimated_rows > 0)
            (void)snprintf(of, sizeof of, " of ~%.0f", c.estimated_rows);
        if (c.left_s >= 0)
            (void)snprintf(to_go, sizeof to_go, ", ~%s left", DURATION(c.left_s));
        line(out, width, "%s: %.0f%s rows, %s, %.0f/s%s", c.table, c.rows, of, AMOUNT(c.bytes),
             c.for_s > 0 ? c.rows / c.for_s : c.rows, to_go);
    }
}

void status_put_screen(const struct status *s, size_t width, struct buf *out)
{
    char now[32];
    time_t t = time(NULL);
    struct tm tm;
    (void)strftime(now, sizeof now, "%Y-%m-%d %H:%M:%S", localtime_r(&t, &tm));
    line(out, width, "%s  slot %s", now, s->plan->slot);
    put_wal(&s->stages[0].file, width, out);
    line(out, width, "%s", "");
    line(out, width, "STAGE     STATE        RESTARTS");
    for (size_t i = 0; i < s->plan->nstages; i++)
        put_stage(&s->stages[i], width, out);
    line(out, width, "%s", "");
    line(out, width, "TARGET    LAG");
    for (size_t i = 0; i < s->plan->nstages; i++)
        if (s->stages[i].stage->kind == STAGE_APPLY)
            put_target(s, &s->stages[i], width, out);
    put_copies(&s->stages[0].file, width, out);
}
