#include "page.h"

#include <stdio.h>
#include <string.h>
#include <time.h>

#include "assets.h"
#include "base/last_compare.h"
#include "base/progress.h"
#include "html.h"
#include "tables.h"

#define STATE_MARK "<!-- state -->"
#define WORDS      256

static const char *const tones[] = {
    [TONE_OK] = "ok", [TONE_BUSY] = "busy", [TONE_WAIT] = "wait", [TONE_BAD] = "bad"};

PRINTF_LIKE(2, 3)
static const char *words(char out[WORDS], const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    (void)vsnprintf(out, WORDS, fmt, ap);
    va_end(ap);
    return out;
}
/* In a place that lasts to the end of the block. */
#define SAY(...) words((char[WORDS]){0}, __VA_ARGS__)

/* ---- the pipeline as it is joined ---- */

static void begin_node(struct buf *out, enum tone tone, const char *name, const char *state)
{
    html(out, "<li class=\"node %s\"><h3>%s</h3><p class=\"state\">%s</p>", tones[tone], name,
         state);
}

static void put_line(struct buf *out, const char *text)
{
    html(out, "<p>%s</p>", text);
}

static void end_node(struct buf *out)
{
    html(out, "</li>\n");
}

/* What is said of the way from one to the next: how much goes, and what waits; "": nothing. */
static void put_joint(struct buf *out, const char *rate, const char *waits, const char *onward)
{
    const char *const said[] = {rate, waits, onward};
    html(out, "<li class=\"joint\">");
    for (size_t i = 0; i < sizeof said / sizeof *said; i++)
        if (*said[i])
            html(out, "<span>%s</span> ", said[i]);
    html(out, "</li>\n");
}

/* WAL from one position to another; both have to be known. */
static const char *wal_between(char out[WORDS], double from, double to, const char *what)
{
    if (from == 0 || to == 0)
        return "";
    return words(out, "%s %s", AMOUNT(to > from ? to - from : 0), what);
}

static enum tone tone_of(const struct watched *w)
{
    if (w->fault.kind != ERR_NONE)
        return w->file.missing ? TONE_WAIT : TONE_BAD;
    return w->file.state == STATS_READY ? TONE_OK : TONE_WAIT;
}

static void begin_stage(struct buf *out, const struct watched *w)
{
    double restarts = stats_file_number(&w->file, "pg2any_restarts_total");
    begin_node(out, tone_of(w), w->name, pipeline_word(w));
    if (*w->file.component)
        put_line(out, w->file.component);
    if (restarts > 0)
        put_line(out, SAY("%.0f restart%s", restarts, restarts > 1 ? "s" : ""));
}

static void put_source(const struct stats_file *capture, struct buf *out)
{
    bool connected =
        capture->alive && stats_file_number(capture, "pg2any_source_connection_status") != 0;
    double speed = stats_file_number(capture, "pg2any_server_wal_bytes_per_second");
    begin_node(out, connected ? TONE_OK : TONE_WAIT, "PostgreSQL",
               connected ? "connected" : "not connected");
    end_node(out);
    put_joint(out, connected ? SAY("%s/s of WAL", AMOUNT(speed)) : "", "", "");
}

static void put_slot(const struct stats_file *capture, struct buf *out)
{
    char status[32] = "";
    struct stats_sample s;
    double retained, budget = stats_file_number(capture, "pg2any_slot_wal_budget_bytes");
    for (const char *at = NULL; stats_file_next(capture, "pg2any_slot_wal_status", &at, &s);)
        if (s.value == 1)
            (void)stats_sample_label(&s, "status", status, sizeof status);
    bool kept = strcmp(status, "reserved") == 0 || strcmp(status, "extended") == 0;
    begin_node(out,
               kept      ? TONE_OK
               : *status ? TONE_BAD
                         : TONE_WAIT,
               "slot", *status ? status : "not known");
    if (stats_file_value(capture, "pg2any_slot_retained_wal_bytes", NULL, &retained)) {
        put_line(out, SAY("keeps %s of WAL", AMOUNT(retained)));
        put_line(out, budget > 0 ? SAY("%.0f %% of the budget of %s", 100 * retained / budget,
                                       AMOUNT(budget))
                                 : "no limit is set");
    }
    end_node(out);
    put_joint(out, "",
              !capture->alive
                  ? ""
                  : wal_between((char[WORDS]){0},
                                stats_file_number(capture, "pg2any_last_received_lsn"),
                                stats_file_number(capture, "pg2any_server_lsn"), "to read"),
              "");
}

/* What the pipeline has read and the applier has not. */
static const char *on_the_way(char out[WORDS], const struct stats_file *capture,
                              const struct stats_file *apply)
{
    if (!capture->alive || !apply->alive)
        return "";
    return wal_between(out, stats_file_number(apply, "pg2any_apply_received_lsn"),
                       stats_file_number(capture, "pg2any_last_received_lsn"), "on the way");
}

/* A stage that others follow, and what goes on from there. */
static void put_filter(const struct watched *w, const char *onward, struct buf *out)
{
    const struct stats_file *f = &w->file;
    double held = stats_file_number(f, "pg2any_buffer_memory_usage_bytes");
    double speed = (double)w->per_second;
    begin_stage(out, w);
    if (w->kind == KIND_ASSEMBLE && f->alive) {
        put_line(out, SAY("%.0f transactions held", stats_file_number(f, "pg2any_queue_depth")));
        put_line(out, SAY("%s on disk", AMOUNT(stats_file_number(f, "pg2any_spill_bytes"))));
    }
    end_node(out);
    if (!f->alive || w->kind == KIND_OTHER)
        put_joint(out, "", "", onward);
    else if (w->kind == KIND_ASSEMBLE)
        put_joint(out, SAY("%.0f changes/s", speed), "", onward);
    else
        put_joint(out,
                  w->kind == KIND_TEE ? SAY("%.0f frames/s", speed)
                                      : SAY("%s/s of frames", AMOUNT(speed)),
                  SAY("%s wait", AMOUNT(held)), onward);
}

static const char *database_of(const struct stats_file *apply)
{
    static const struct {
        const char *program, *database;
    } known[] = {{"apply-sqlite", "SQLite"},
                 {"apply-mysql", "MySQL or MariaDB"},
                 {"apply-mssql", "SQL Server"}};
    for (size_t i = 0; i < sizeof known / sizeof *known; i++)
        if (strcmp(apply->component, known[i].program) == 0)
            return known[i].database;
    return "target";
}

static void put_database(const struct stats_file *apply, const struct lag *lag, struct buf *out)
{
    bool connected =
        apply->alive && stats_file_number(apply, "pg2any_destination_connection_status") != 0;
    double awaited = stats_file_number(apply, "pg2any_copy_tables_awaited");
    double settling = stats_file_number(apply, "pg2any_copy_tables_settling");
    begin_node(out, connected ? TONE_OK : TONE_WAIT, database_of(apply),
               connected ? "connected" : "not connected");
    if (apply->alive && awaited + settling > 0)
        put_line(out, SAY("copies: %.0f to come, %.0f settling", awaited, settling));
    struct stats_sample aside;
    for (const char *at = NULL; stats_file_next(apply, "pg2any_tables_aside", &at, &aside);) {
        char reason[32];
        if (aside.value > 0 && stats_sample_label(&aside, "reason", reason, sizeof reason))
            put_line(out, SAY("tables set aside, %s: %.0f", reason, aside.value));
    }
    if (lag->kind != LAG_UNKNOWN)
        put_line(out, SAY("lag %.1f s, %s", lag->seconds, AMOUNT(lag->behind_bytes)));
    end_node(out);
}

static void put_target(const struct stats_file *capture, const struct watched *w, struct buf *out)
{
    const struct stats_file *f = &w->file;
    struct lag lag;
    char behind[LAG_WORDS];
    lag_look(capture, f, &lag);
    lag_words(&lag, behind);
    begin_stage(out, w);
    if (f->alive)
        put_line(out, SAY("%.0f transactions wait", stats_file_number(f, "pg2any_queue_depth")));
    end_node(out);
    put_joint(out, f->alive ? SAY("%.0f changes/s", (double)w->per_second) : "", behind, "");
    put_database(f, &lag, out);
}

/* The only target stands in the row of the others, several in rows of their own. */
static void put_flow(const struct pipeline *p, const struct watched *only_target, struct buf *out)
{
    const struct stats_file *capture = pipeline_capture(p);
    const struct watched *filter = NULL;
    const char *none = "";
    html(out, "<ol class=\"flow%s\">\n", only_target ? "" : " many");
    put_source(capture, out);
    put_slot(capture, out);
    for (const struct watched *w = NULL; (w = pipeline_next(p, w));) {
        if (w->kind == KIND_APPLY)
            continue;
        if (filter)
            put_filter(filter, none, out);
        filter = w;
    }
    if (filter)
        put_filter(filter,
                   only_target ? on_the_way((char[WORDS]){0}, capture, &only_target->file) : none,
                   out);
    if (only_target) {
        put_target(capture, only_target, out);
        html(out, "</ol>\n");
        return;
    }
    html(out, "<li class=\"targets\"><ul>\n");
    for (const struct watched *w = NULL; (w = pipeline_next_target(p, w));) {
        html(out, "<li><ol class=\"flow\">\n");
        put_joint(out, "", on_the_way((char[WORDS]){0}, capture, &w->file), "");
        put_target(capture, w, out);
        html(out, "</ol></li>\n");
    }
    html(out, "</ul></li></ol>\n");
}

/* ---- what belongs to it ---- */

/* What keeps a stage from working, and what it failed of before, each with the advice in it. */
static void put_faults(const struct pipeline *p, struct buf *out)
{
    for (const struct watched *w = NULL; (w = pipeline_next(p, w));) {
        if (w->fault.kind != ERR_NONE)
            html(out, "<p class=\"fault\">%s</p>\n", w->fault.text);
        if (*w->file.failed && !strstr(w->fault.text, w->file.failed))
            html(out, "<p class=\"fault\">The last error of %s, since it made progress: %s</p>\n",
                 w->name, w->file.failed);
    }
}

static void put_copies(const struct stats_file *capture, struct buf *out)
{
    double left = stats_file_number(capture, "pg2any_capture_copy_tables_left");
    struct table_copy c;
    if (!capture->alive || left == 0)
        return;
    html(out, "<h3>Copies</h3><p>Tables to go: %s</p><ul class=\"copies\">\n", SAY("%.0f", left));
    for (const char *at = NULL; table_copy_next(capture, &at, &c);) {
        const char *rows = SAY("%.0f", c.rows), *of = SAY("%.0f", c.estimated_rows);
        html(out, "<li><span>%s</span> ", c.table);
        if (c.estimated_rows > 0)
            html(out, "<progress aria-label=\"%s\" max=\"%s\" value=\"%s\"></progress> ", c.table,
                 of, rows);
        html(out, "<span>%s%s%s rows, %s, %s/s", rows, c.estimated_rows > 0 ? " of about " : "",
             c.estimated_rows > 0 ? of : "", AMOUNT(c.bytes),
             SAY("%.0f", c.for_s > 0 ? c.rows / c.for_s : c.rows));
        if (c.left_s >= 0)
            html(out, ", about %s left", DURATION(c.left_s));
        html(out, "</span></li>\n");
    }
    html(out, "</ul>\n");
}

static void put_moment(time_t at, struct buf *out)
{
    char text[48] = "", iso[32] = "";
    struct tm tm;
    (void)strftime(text, sizeof text, "%Y-%m-%d %H:%M:%S %Z", localtime_r(&at, &tm));
    (void)strftime(iso, sizeof iso, "%Y-%m-%dT%H:%M:%SZ", gmtime_r(&at, &tm));
    html(out, "<time datetime=\"%s\">%s</time>", iso, text);
}

/* What the last comparison of each target came to. */
static void put_compared(const struct pipeline *p, bool alone, struct buf *out)
{
    for (const struct watched *w = NULL; (w = pipeline_next_target(p, w));) {
        char said[LAST_COMPARE_WORDS];
        struct last_compare c;
        last_compare_read(&w->compared, &c);
        if (c.ended_s == 0)
            continue;
        last_compare_words(&c, said);
        html(out, "<p class=\"%s\">Last compared", c.tables[COMPARE_DIFFERENT] ? "fault" : "dir");
        if (!alone)
            html(out, ", %s", w->name);
        html(out, ": ");
        put_moment((time_t)c.ended_s, out);
        html(out, ", %s</p>\n", said);
    }
}

static void put_tables(const struct watched *w, bool alone, struct buf *out)
{
    struct tables t;
    tables_read(&t, &w->file);
    html(out, "<table><caption>Changes by table%s%s, since it was started</caption><thead><tr>",
         alone ? "" : " at ", alone ? "" : w->name);
    html(out, "<th scope=\"col\">Table</th>");
    for (size_t i = 0; i < TABLES_COLUMNS; i++)
        if (t.used[i])
            html(out, "<th scope=\"col\">%s</th>", tables_columns[i].title);
    html(out, "</tr></thead><tbody>\n");
    for (size_t i = 0; i < t.nshown; i++) {
        html(out, "<tr><th scope=\"row\">%s</th>", t.shown[i]->table);
        for (size_t c = 0; c < TABLES_COLUMNS; c++)
            if (t.used[c])
                html(out, "<td>%s</td>", SAY("%.0f", t.shown[i]->counts[c]));
        html(out, "</tr>\n");
    }
    html(out, "</tbody></table>\n");
    if (t.n == 0)
        html(out, "<p>None yet.</p>\n");
    if (t.n > t.nshown)
        html(out, "<p>and %s more, which are at <a href=\"/metrics\">/metrics</a></p>\n",
             SAY("%zu", t.n - t.nshown));
    if (t.failed)
        html(out, "<p>Not all of them: out of memory.</p>\n");
    tables_free(&t);
}

/* What is marked data-live is taken over by the script from a page that it fetches. */
static void put_pipeline(const struct pipeline *p, size_t i, struct buf *out)
{
    char name[256];
    const char *at = SAY("%zu", i);
    struct pipeline_state state;
    size_t ntargets = 0;
    const struct watched *last = NULL; /* of the targets */
    pipeline_state(p, &state);
    for (const struct watched *w = NULL; (w = pipeline_next_target(p, w)); last = w)
        ntargets++;
    html(out, "<section class=\"pipeline\" aria-labelledby=\"p%s-name\">\n", at);
    html(out, "<h2 id=\"p%s-name\" data-live>%s</h2>\n", at, pipeline_name(p, name));
    html(out, "<div id=\"p%s-state\" data-live>", at);
    /* What is wrong comes in full below. */
    html(out, "<p class=\"headline %s\">%s</p>\n", tones[state.tone],
         state.tone == TONE_BAD ? state.word : state.text);
    if (p->dir)
        html(out, "<p class=\"dir\">%s</p>\n", p->dir);
    put_faults(p, out);
    put_compared(p, ntargets == 1, out);
    put_flow(p, ntargets == 1 ? last : NULL, out);
    html(out, "</div>\n<div id=\"p%s-copies\" data-live>", at);
    put_copies(pipeline_capture(p), out);
    html(out, "</div>\n<div class=\"curves\" data-pipeline=\"%s\"></div>\n", at);
    html(out,
         "<h3 id=\"p%s-title\">Tables</h3>\n<div id=\"p%s-tables\" class=\"wide\" role=\"region\" "
         "aria-labelledby=\"p%s-name p%s-title\" tabindex=\"0\" data-live>",
         at, at, at, at);
    for (const struct watched *w = NULL; (w = pipeline_next_target(p, w));)
        put_tables(w, ntargets == 1, out);
    html(out, "</div>\n</section>\n");
}

/* ---- whole ---- */

/* In one or two words for each, without numbers: it is read out when it changes. */
static void put_news(const struct health *h, struct buf *out)
{
    html(out, "<p id=\"news\" class=\"unseen\" role=\"status\" data-live>");
    for (size_t i = 0; i < h->npipelines; i++) {
        char name[256];
        struct pipeline_state state;
        pipeline_state(&h->pipelines[i], &state);
        html(out, "%s%s: %s", i > 0 ? ", " : "", pipeline_name(&h->pipelines[i], name), state.word);
    }
    html(out, "</p>\n");
}

static void put_time(struct buf *out)
{
    html(out, "<p id=\"time\" data-live>As of ");
    put_moment(time(NULL), out);
    html(out, "</p>\n");
}

void page_put_html(const struct health *h, struct buf *out)
{
    const char *mark = strstr(page_html, STATE_MARK);
    if (!mark)
        BUG("page.html has no place for the state");
    buf_append(out, page_html, (size_t)(mark - page_html));
    put_time(out);
    put_news(h, out);
    for (size_t i = 0; i < h->npipelines; i++)
        put_pipeline(&h->pipelines[i], i, out);
    mark += sizeof STATE_MARK - 1;
    buf_append(out, mark, (size_t)(page_html_end - mark));
}

/* A line, without what would draw elsewhere on a terminal. */
PRINTF_LIKE(2, 3)
static void put_text_line(struct buf *out, const char *fmt, ...)
{
    char text[PIPELINE_TEXT + 512];
    va_list ap;
    va_start(ap, fmt);
    (void)vsnprintf(text, sizeof text, fmt, ap);
    va_end(ap);
    for (char *p = text; *p; p++)
        if ((unsigned char)*p < ' ' || *p == 0x7f)
            *p = '?';
    size_t len = strlen(text);
    while (len > 0 && text[len - 1] == ' ')
        len--;
    buf_append(out, text, len);
    buf_append_byte(out, '\n');
}

void page_put_text(const struct health *h, struct buf *out)
{
    for (size_t i = 0; i < h->npipelines; i++) {
        const struct pipeline *p = &h->pipelines[i];
        struct pipeline_state state;
        char name[256];
        pipeline_state(p, &state);
        put_text_line(out, "%s: %s", pipeline_name(p, name), state.text);
        for (const struct watched *w = NULL; (w = pipeline_next(p, w));) {
            struct lag lag;
            char behind[LAG_WORDS] = "";
            lag_look(pipeline_capture(p), &w->file, &lag);
            if (w->kind == KIND_APPLY)
                lag_words(&lag, behind);
            put_text_line(out, "  %-9s %-12s %s", w->name, pipeline_word(w), behind);
        }
    }
    buf_append_str(out, "/metrics /health /ready /status.json, and a page for browsers\n");
}
