#include "apply/compare_report.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/log.h"
#include "base/lsn.h"
#include "base/option_name.h"
#include "sql/text.h"

#define TERMINAL_GAP_MS 200
#define LOG_GAP_MS      10000
#define NAME_WIDTH      32

/* ---- pieces ---- */

static void put_json_text(struct buf *out, const char *data, size_t size)
{
    buf_append_byte(out, '"');
    for (size_t i = 0; i < size; i++) {
        unsigned char c = (unsigned char)data[i];
        if (c == '"' || c == '\\')
            buf_printf(out, "\\%c", c);
        else if (c < 0x20)
            buf_printf(out, "\\u%04x", c);
        else
            buf_append_byte(out, c);
    }
    buf_append_byte(out, '"');
}

static void put_json_name(struct buf *out, const char *name)
{
    put_json_text(out, name, strlen(name));
}

/* A field as COPY writes it, undone. */
static void put_json_field(struct buf *out, const char *p, size_t size)
{
    static const char letters[] = "bfnrtv\\", special[] = "\b\f\n\r\t\v\\";
    struct buf text = {0};
    if (size == 2 && memcmp(p, "\\N", 2) == 0) {
        buf_append_str(out, "null");
        return;
    }
    for (size_t i = 0; i < size; i++) {
        const char *letter = p[i] == '\\' && i + 1 < size ? strchr(letters, p[i + 1]) : NULL;
        buf_append_byte(&text, (uint8_t)(letter ? special[letter - letters] : p[i]));
        i += letter != NULL;
    }
    put_json_text(out, (const char *)text.data, text.len);
    out->failed = out->failed || text.failed;
    buf_free(&text);
}

/* Bytes of a text that a person's terminal would take for its own are taken out. */
static void put_plain(struct buf *out, const char *p, size_t size)
{
    for (size_t i = 0; i < size; i++)
        buf_append_byte(out, (unsigned char)p[i] < ' ' || p[i] == 0x7f ? '?' : (uint8_t)p[i]);
}

enum layout { LAYOUT_PEOPLE, LAYOUT_JSON, LAYOUT_LINE };

/* The fields of a text of compared_row.h, each with its column's name. */
static void put_fields(struct buf *out, const struct compared_row *row, const char *text,
                       bool whole, enum layout layout)
{
    uint32_t n = compared_row_ncolumns(row, whole);
    buf_append_str(out, layout == LAYOUT_JSON ? "{" : "");
    for (uint32_t i = 0; i < n; i++) {
        const char *name = row->rel->columns[compared_row_column(row, i, whole)].name;
        size_t size = strcspn(text, "\t");
        if (layout == LAYOUT_JSON) {
            buf_append_str(out, i ? "," : "");
            put_json_name(out, name);
            buf_append_byte(out, ':');
            put_json_field(out, text, size);
        } else if (layout == LAYOUT_LINE) {
            buf_append_byte(out, '\t');
            text_copy(out, name, strlen(name));
            buf_append_byte(out, '\t');
            buf_append(out, text, size);
        } else {
            buf_append_str(out, i ? ", " : "");
            put_plain(out, name, strlen(name));
            buf_append_byte(out, '=');
            put_plain(out, text, size);
        }
        text += size + (text[size] == '\t');
    }
    buf_append_str(out, layout == LAYOUT_JSON ? "}" : "");
}

/* ---- keys ---- */

enum kind { KIND_MISSING, KIND_EXTRA, KIND_DIFFERENT };

static enum kind kind_of(const struct suspect *s)
{
    uint64_t source = s->now[SIDE_SOURCE].n, target = s->now[SIDE_TARGET].n;
    return source > target ? KIND_MISSING : source < target ? KIND_EXTRA : KIND_DIFFERENT;
}

static const char *const kind_words[] = {"missing", "extra", "different"};

/* Where there is no memory for it the report has failed, too: a key that is not in the file would
 * not be mended. */
static void put_line(struct compare_report *r, const struct compared_row *row,
                     const struct suspect *s)
{
    struct buf line = {0};
    if (!s->text)
        return;
    buf_append_str(&line, kind_words[kind_of(s)]);
    buf_append_byte(&line, '\t');
    text_copy(&line, row->rel->namespace, strlen(row->rel->namespace));
    buf_append_byte(&line, '\t');
    text_copy(&line, row->rel->name, strlen(row->rel->name));
    put_fields(&line, row, s->text, false, LAYOUT_LINE);
    buf_append_byte(&line, '\n');
    (void)fwrite(line.data, 1, line.failed ? 0 : line.len, r->keys); /* ferror() tells */
    r->details.failed = r->details.failed || line.failed;
    buf_free(&line);
}

static void put_json(struct compare_report *r, const struct compared_row *row,
                     const struct suspect *s)
{
    struct buf *out = &r->details;
    buf_printf(
        out, "%s{\"kind\":\"%s\",\"source_rows\":%" PRIu64 ",\"target_rows\":%" PRIu64 ",\"key\":",
        out->len ? "," : "", s->verdict == VERDICT_UNDECIDED ? "undecided" : kind_words[kind_of(s)],
        s->now[SIDE_SOURCE].n, s->now[SIDE_TARGET].n);
    put_fields(out, row, s->text, false, LAYOUT_JSON);
    if (s->columns) {
        buf_append_str(out, ",\"columns\":[");
        for (const char *p = s->columns; *p;) {
            size_t size = strcspn(p, "\t");
            buf_append_str(out, p == s->columns ? "" : ",");
            put_json_text(out, p, size);
            p += size + (p[size] == '\t');
        }
        buf_append_byte(out, ']');
    }
    static const char *const sides[] = {"source", "target"};
    for (int side = 0; side < 2 && r->values; side++)
        if (s->values[side]) {
            buf_printf(out, ",\"%s\":", sides[side]);
            put_fields(out, row, s->values[side], true, LAYOUT_JSON);
        }
    buf_append_byte(out, '}');
}

static void put_for_people(struct compare_report *r, const struct compared_row *row,
                           const struct suspect *s)
{
    static const char *const words[] = {"missing at the target", "too many at the target",
                                        "different"};
    struct buf *out = &r->details;
    uint64_t source = s->now[SIDE_SOURCE].n, target = s->now[SIDE_TARGET].n;
    uint64_t n = source > target ? source - target : target - source;
    buf_printf(out, "    %-23s ",
               s->verdict == VERDICT_UNDECIDED ? "changes all the time" : words[kind_of(s)]);
    if (n > 1)
        buf_printf(out, "%" PRIu64 " times ", n);
    put_fields(out, row, s->text, false, LAYOUT_PEOPLE);
    if (s->columns) {
        buf_append_str(out, " (");
        for (const char *p = s->columns; *p; p++)
            buf_append_str(out, *p == '\t' ? ", " : (char[]){*p, '\0'});
        buf_append_byte(out, ')');
    }
    buf_append_byte(out, '\n');
    static const char *const sides[] = {"source", "target"};
    for (int side = 0; side < 2 && r->values; side++)
        if (s->values[side]) {
            buf_printf(out, "        %s: ", sides[side]);
            put_fields(out, row, s->values[side], true, LAYOUT_PEOPLE);
            buf_append_byte(out, '\n');
        }
}

void compare_report_key(struct compare_report *r, const struct compared_row *row,
                        const struct suspect *s)
{
    if (r->keys && s->verdict == VERDICT_DIFFERS)
        put_line(r, row, s);
    if (!s->text || r->nshown == COMPARE_KEYS_SHOWN)
        return;
    r->nshown++;
    if (r->json)
        put_json(r, row, s);
    else
        put_for_people(r, row, s);
}

/* ---- tables ---- */

static enum compare_verdict verdict_of(const struct compare_result *c)
{
    return c->why_not                     ? COMPARE_NOT_COMPARED
           : c->ndiffer > 0 || c->unnamed ? COMPARE_DIFFERENT
           : c->nundecided > 0            ? COMPARE_UNDECIDED
                                          : COMPARE_EQUAL;
}

static void put_json_table(const struct compare_report *r, const struct compare_result *c,
                           struct buf *out)
{
    buf_append_str(out, "{");
    if (option_stage()) {
        buf_append_str(out, "\"stage\":");
        put_json_name(out, option_stage());
        buf_append_byte(out, ',');
    }
    buf_append_str(out, "\"schema\":");
    put_json_name(out, c->rel->namespace);
    buf_append_str(out, ",\"table\":");
    put_json_name(out, c->rel->name);
    buf_printf(out, ",\"result\":\"%s\"", compare_words[verdict_of(c)]);
    if (c->why_not) {
        buf_append_str(out, ",\"why\":");
        put_json_name(out, c->why_not);
    }
    buf_printf(out,
               ",\"source_rows\":%" PRIu64 ",\"target_rows\":%" PRIu64 ",\"not_looked_at\":%" PRIu64
               ",\"seconds\":%.3f,\"chosen_values\":%" PRIu64 ",\"differ\":%" PRIu64
               ",\"more\":%s,\"undecided\":%" PRIu64 ",\"keys\":[",
               c->nrows[SIDE_SOURCE], c->nrows[SIDE_TARGET], c->nleft_out,
               (double)c->elapsed_ms / 1000, c->nchosen, c->ndiffer,
               c->more || c->unnamed ? "true" : "false", c->nundecided);
    buf_append(out, r->details.data, r->details.len);
    buf_append_str(out, "]}\n");
}

/* 1,234,567 */
static const char *grouped(char room[32], uint64_t n)
{
    char digits[24];
    int size = snprintf(digits, sizeof digits, "%" PRIu64, n);
    char *to = room;
    for (int i = 0; i < size; i++) {
        if (i > 0 && (size - i) % 3 == 0)
            *to++ = ',';
        *to++ = digits[i];
    }
    *to = '\0';
    return room;
}

static void put_verdict(const struct compare_result *c, struct buf *out)
{
    char n[32];
    if (c->why_not)
        buf_printf(out, "not compared: %s", c->why_not);
    else if (c->unnamed)
        buf_append_str(out, "different");
    else if (c->ndiffer > 0)
        buf_printf(out, "%s%s key%s", c->more ? "more than " : "", grouped(n, c->ndiffer),
                   c->ndiffer == 1 && !c->more ? " differs" : "s differ");
    else if (c->nundecided == 0)
        buf_append_str(out, "equal");
    if (c->nundecided > 0)
        buf_printf(out, "%s%s not decided", c->ndiffer ? ", " : "", grouped(n, c->nundecided));
}

static void put_line_for_people(const struct compare_report *r, const struct compare_result *c,
                                struct buf *out)
{
    char n[32];
    struct buf name = {0};
    put_plain(&name, c->rel->namespace, strlen(c->rel->namespace));
    buf_append_byte(&name, '.');
    put_plain(&name, c->rel->name, strlen(c->rel->name));
    buf_printf(out, "%-*s ", NAME_WIDTH, buf_cstr(&name));
    out->failed = out->failed || name.failed;
    buf_free(&name);
    if (c->why_not)
        buf_printf(out, "%27s", "");
    else
        buf_printf(out, "%13s rows %7.1f s", grouped(n, c->nrows[SIDE_SOURCE]),
                   (double)c->elapsed_ms / 1000);
    buf_append_str(out, "  ");
    put_verdict(c, out);
    buf_append_byte(out, '\n');
    buf_append(out, r->details.data, r->details.len);
    if (c->ndiffer + c->nundecided > r->nshown)
        buf_printf(out, "    and %s%s\n", grouped(n, c->ndiffer + c->nundecided - r->nshown),
                   c->more ? " or more" : "");
    if (c->nunlisted > 0)
        buf_printf(out, "    too long for the file of keys: %s\n", grouped(n, c->nunlisted));
    if (c->nleft_out > 0)
        buf_printf(out, "    not compared: %s rows, because of --sample\n",
                   grouped(n, c->nleft_out));
    if (c->nchosen > 0)
        buf_printf(out, "    values replaced by --nan, --infinity and --date-range: %s\n",
                   grouped(n, c->nchosen));
}

static int write_all(const struct buf *out, struct err *err)
{
    for (size_t at = 0; at < out->len;) {
        ssize_t n = write(STDOUT_FILENO, out->data + at, out->len - at);
        if (n < 0 && errno != EINTR)
            return err_errno(err, ERR_TEMPORARY, "writing the report");
        at += n > 0 ? (size_t)n : 0;
    }
    return 0;
}

static void clear_terminal(const struct compare_report *r)
{
    if (r->terminal_fd >= 0 && write(r->terminal_fd, "\033[K", 3) < 0)
        return; /* a terminal that is gone is no matter */
}

int compare_report_table(struct compare_report *r, const struct compare_result *result,
                         struct err *err)
{
    struct buf out = {0};
    clear_terminal(r);
    r->sum.tables[verdict_of(result)]++;
    r->sum.differ += result->ndiffer;
    r->sum.rows += result->nrows[SIDE_SOURCE];
    if (r->json)
        put_json_table(r, result, &out);
    else
        put_line_for_people(r, result, &out);
    int rc = buf_check(&r->details, err) || buf_check(&out, err) || write_all(&out, err) ? -1 : 0;
    buf_free(&out);
    buf_reset(&r->details, 1 << 16);
    r->nshown = 0;
    return rc;
}

void compare_report_progress(struct compare_report *r, const struct relation *rel, enum side side,
                             uint64_t nrows, int64_t elapsed_ms, unsigned look)
{
    static const char *const sides[] = {"source", "target"};
    int64_t now_ms = monotonic_ms();
    bool first = r->due_ms == 0;
    if (now_ms < r->due_ms)
        return;
    r->due_ms = now_ms + (r->terminal_fd >= 0 ? TERMINAL_GAP_MS : LOG_GAP_MS);
    uint64_t rate = nrows * 1000 / (uint64_t)(elapsed_ms > 0 ? elapsed_ms : 1);
    if (r->terminal_fd >= 0) {
        struct buf line = {0};
        char n[32];
        buf_append_str(&line, "\033[Kcomparing ");
        put_plain(&line, rel->namespace, strnlen(rel->namespace, 30));
        buf_append_byte(&line, '.');
        put_plain(&line, rel->name, strnlen(rel->name, 30));
        buf_printf(&line, ": look %u, %s: %s rows, %" PRIu64 "/s\r", look, sides[side],
                   grouped(n, nrows), rate);
        if (!line.failed && write(r->terminal_fd, line.data, line.len) < 0)
            r->terminal_fd = -1;
        buf_free(&line);
    } else if (!first) {
        log_info("comparing goes on", "schema", rel->namespace, "table", rel->name, "look",
                 LOG_U64(look), "side", sides[side], "rows", LOG_U64(nrows), "rows_per_second",
                 LOG_U64(rate), NULL);
    }
}

int compare_report_end(struct compare_report *r, struct err *err)
{
    buf_free(&r->details);
    if (!r->keys)
        return 0;
    bool failed = ferror(r->keys) != 0;
    failed = fclose(r->keys) != 0 || failed;
    r->keys = NULL;
    return failed ? err_errno(err, ERR_TEMPORARY, "--keys: writing the file") : 0;
}
