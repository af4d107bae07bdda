#include "sql/copied.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "base/lsn.h"
#include "base/utf8.h"
#include "frames/frame.h"
#include "sql/own.h"

#define MARK   "copied "
#define DUE    "copy due since "
#define TAKEN  "taken"
#define FILE_  "file "
#define REPLAY "replay"
#define ASIDE  "aside because "
#define BESIDE "beside"
#define UNTIL  "until "
#define AFTER  "after "
#define LACKS  "lacks "

void copied_put(struct buf *out, uint64_t lsn, struct bytes snapshot, bool taken, bool beside)
{
    buf_printf(out, MARK "%s ", LSN(lsn));
    buf_append(out, snapshot.data, snapshot.size);
    buf_printf(out, "%s%s\n", taken ? " " TAKEN : "", beside ? " " BESIDE : "");
}

size_t copied_made_size(const uint8_t *data, size_t size)
{
    static const char made[] = COPIED_MADE;
    const size_t n = sizeof made - 1;
    return size > n && memcmp(data, made, n) == 0 ? n : 0;
}

/* A line that is read from its beginning. */
struct line {
    const char *at, *end;
};

static bool take_mark(struct line *l, const char *mark)
{
    size_t size = strlen(mark);
    if ((size_t)(l->end - l->at) < size || memcmp(l->at, mark, size) != 0)
        return false;
    l->at += size;
    return true;
}

/* The next word, and the blank behind it. */
static struct bytes take_word(struct line *l)
{
    const char *blank = memchr(l->at, ' ', (size_t)(l->end - l->at));
    const char *stop = blank ? blank : l->end;
    const struct bytes word = {l->at, (size_t)(stop - l->at)};
    l->at = blank ? blank + 1 : l->end;
    return word;
}

/* The next word, where it is that one; *end: behind it. */
static bool take_the_word(struct line *l, const char *word, const char **end)
{
    struct line rest = *l;
    const struct bytes next = take_word(&rest);
    if (next.size != strlen(word) || memcmp(next.data, word, next.size) != 0)
        return false;
    *end = next.data + next.size;
    *l = rest;
    return true;
}

static bool take_lsn(struct line *l, uint64_t *lsn)
{
    const struct bytes word = take_word(l);
    return lsn_parse(word.data, word.size, lsn) && *lsn != 0;
}

/* All of a word, as a number. */
static bool take_number(struct line *l, int base, uint64_t *number)
{
    const struct bytes word = take_word(l);
    char text[21], *end;
    *number = 0;
    if (word.size == 0 || word.size >= sizeof text)
        return false;
    memcpy(text, word.data, word.size);
    text[word.size] = '\0';
    for (const char *p = text; *p; p++)
        if (!strchr(base == 16 ? "0123456789abcdef" : "0123456789", *p))
            return false;
    *number = strtoull(text, &end, base);
    return true;
}

static bool take_file(struct line *l, struct copied_file *file)
{
    const char *end;
    file->kept = take_mark(l, FILE_);
    bool read =
        !file->kept || (take_number(l, 10, &file->size) && take_number(l, 16, &file->checksum));
    file->asked = file->kept && take_the_word(l, REPLAY, &end);
    return read;
}

/* *first: the end of the part that stays when a chunk comes. */
static int parse_line(struct copied *c, struct line *l, const char **first, struct err *err)
{
    *first = NULL;
    if (take_mark(l, DUE)) {
        c->due = true;
        bool has_lsn = take_lsn(l, &c->since);
        c->taken = take_the_word(l, TAKEN, first);
        *first = NULL;
        bool has_file = take_file(l, &c->file);
        if (take_mark(l, ASIDE)) {
            if (l->at == l->end)
                return err_set(err, ERR_PERMANENT, "a table that is set aside without a reason");
            c->aside = strndup(l->at, (size_t)(l->end - l->at));
            l->at = l->end;
            if (!c->aside)
                return err_nomem(err);
        }
        if (!has_file || (c->file.kept && !c->aside))
            return err_set(err, ERR_PERMANENT, "a file of changes that is none of a table aside");
        return has_lsn && l->at == l->end
                   ? 0
                   : err_set(err, ERR_PERMANENT, "a copy that is due without an LSN");
    }
    if (!take_mark(l, MARK) || !take_lsn(l, &c->lsn))
        return err_set(err, ERR_PERMANENT, "a copy without its LSN");
    const struct bytes snapshot = take_word(l);
    *first = snapshot.data + snapshot.size;
    if (snapshot_parse(&c->snapshot, snapshot.data, snapshot.size, err))
        return -1;
    c->taken = take_the_word(l, TAKEN, first);
    c->beside = take_the_word(l, BESIDE, first);
    if (take_mark(l, UNTIL) && !take_lsn(l, &c->until))
        return err_set(err, ERR_PERMANENT, "a copy without the LSN of its last chunk");
    if (c->until && take_mark(l, AFTER)) {
        c->after = strndup(l->at, (size_t)(l->end - l->at));
        l->at = l->end;
        if (!c->after)
            return err_nomem(err);
    }
    return l->at == l->end ? 0 : err_set(err, ERR_PERMANENT, "a copy with more than is known");
}

/* The line at the beginning of a frame; false: there is none. */
static bool find_line(const struct buf *frame, struct line *l)
{
    *l = (struct line){(const char *)frame->data, (const char *)frame->data + frame->len};
    struct line rest = *l;
    return take_mark(&rest, MARK) || take_mark(&rest, DUE);
}

/* What is read of the lines before a frame. */
struct lines {
    size_t size;  /* of all of them */
    size_t first; /* of the part of the first that stays when a chunk comes; 0: there is none */
    size_t first_line; /* of all of that line */
};

/* Reads the lines of rows that are lacked. */
static int parse_lacks(struct copied *c, struct line *l, struct err *err)
{
    while (take_mark(l, LACKS)) {
        const char *end = memchr(l->at, '\n', (size_t)(l->end - l->at));
        if (!end || end == l->at)
            return err_set(err, ERR_PERMANENT, "a row to be read again without its key");
        buf_append(&c->lacks, l->at, (size_t)(end + 1 - l->at));
        l->at = end + 1;
    }
    return buf_check(&c->lacks, err);
}

static int parse(struct copied *c, const struct buf *frame, struct lines *lines, struct err *err)
{
    struct line all, l;
    const char *first;
    *lines = (struct lines){0};
    *c = (struct copied){0};
    if (frame->len == 0 || !find_line(frame, &all))
        return 0;
    l = all;
    l.end = memchr(l.at, '\n', frame->len);
    if (!l.end)
        return err_set(err, ERR_PERMANENT, RELATION_TABLE " holds a copy that does not end");
    lines->first_line = (size_t)(l.end + 1 - l.at);
    struct line rest = {l.end + 1, all.end};
    if (parse_line(c, &l, &first, err) || parse_lacks(c, &rest, err))
        return err_context(err, RELATION_TABLE);
    lines->first = first ? (size_t)(first - all.at) : 0;
    lines->size = (size_t)(rest.at - all.at);
    return 0;
}

int copied_parse(struct copied *c, const struct buf *frame, size_t *size, struct err *err)
{
    struct lines lines;
    int rc = parse(c, frame, &lines, err);
    *size = lines.size;
    return rc;
}

void copied_free(struct copied *c)
{
    snapshot_free(&c->snapshot);
    free(c->aside);
    free(c->after);
    buf_free(&c->lacks);
    *c = (struct copied){0};
}

/* Puts a line in the place of the first `size` bytes. */
static int replace_line(struct buf *frame, size_t size, struct buf *line, struct err *err)
{
    buf_append(line, frame->data + size, frame->len - size);
    if (buf_check(line, err)) {
        buf_free(line);
        return -1;
    }
    buf_free(frame);
    *frame = *line;
    return 0;
}

static int no_copy(struct err *err)
{
    return err_set(err, ERR_PERMANENT, RELATION_TABLE " holds no copy that this belongs to");
}

int copied_advance(struct buf *frame, uint64_t until, struct bytes after, struct err *err)
{
    struct copied c;
    struct buf line = {0};
    struct lines lines;
    int rc = parse(&c, frame, &lines, err);
    copied_free(&c);
    if (rc)
        return -1;
    if (lines.first == 0)
        return no_copy(err);
    buf_append(&line, frame->data, lines.first);
    buf_printf(&line, " " UNTIL "%s", LSN(until));
    if (after.size > 0)
        buf_append_str(&line, " " AFTER);
    buf_append(&line, after.data, after.size);
    buf_append_byte(&line, '\n');
    return replace_line(frame, lines.first_line, &line, err);
}

/* ---- rows that are lacked ---- */

/* The next of the lines at *at, with its end; false: there is none. */
static bool next_line(const char **at, const char *end, struct bytes *line)
{
    const char *stop = *at < end ? memchr(*at, '\n', (size_t)(end - *at)) : NULL;
    if (!stop)
        return false;
    *line = (struct bytes){*at, (size_t)(stop + 1 - *at)};
    *at = stop + 1;
    return true;
}

static bool has_line(struct bytes lines, struct bytes line)
{
    const char *at = lines.data, *end = lines.data + lines.size;
    struct bytes other;
    while (next_line(&at, end, &other))
        if (other.size == line.size && memcmp(other.data, line.data, line.size) == 0)
            return true;
    return false;
}

static struct bytes all_of(const struct buf *b)
{
    return (struct bytes){b->len ? (const char *)b->data : "", b->len};
}

/* Puts these lines of rows in the place of those that are there. */
static int set_lacks(struct buf *frame, const struct lines *lines, const struct buf *lacks,
                     struct err *err)
{
    struct buf changed = {0};
    const char *at = all_of(lacks).data, *end = at + lacks->len;
    struct bytes line;
    buf_append(&changed, frame->data, lines->first_line);
    while (next_line(&at, end, &line)) {
        buf_append_str(&changed, LACKS);
        buf_append(&changed, line.data, line.size);
    }
    return replace_line(frame, lines->size, &changed, err);
}

/* A table without a line was taken as it was: as one whose copy saw nothing. */
static int begin_line(struct buf *frame, uint64_t lsn, struct err *err)
{
    struct buf line = {0};
    copied_put(&line, lsn, bytes_of(COPIED_NOTHING), true, false);
    return replace_line(frame, 0, &line, err);
}

int copied_add_lacks(struct buf *frame, struct bytes keys, uint64_t lsn, bool *fits,
                     struct err *err)
{
    struct copied c;
    struct lines lines;
    struct bytes line;
    const char *at = keys.data, *end = keys.data + keys.size;
    int rc = parse(&c, frame, &lines, err);
    *fits = false;
    if (rc == 0 && lines.size == 0) {
        copied_free(&c);
        rc = begin_line(frame, lsn, err) || parse(&c, frame, &lines, err) ? -1 : 0;
    }
    if (rc == 0 && c.due)
        rc = no_copy(err);
    while (rc == 0 && next_line(&at, end, &line))
        if (!has_line(all_of(&c.lacks), line))
            buf_append(&c.lacks, line.data, line.size);
    *fits = rc == 0 && c.lacks.len <= COPIED_LACKS_MAX;
    if (*fits)
        rc = buf_check(&c.lacks, err) || set_lacks(frame, &lines, &c.lacks, err) ? -1 : 0;
    copied_free(&c);
    return rc;
}

int copied_take_lacks(struct buf *frame, struct bytes keys, uint64_t lsn, struct err *err)
{
    struct copied c;
    struct lines lines;
    struct bytes line;
    struct buf left = {0};
    int rc = parse(&c, frame, &lines, err);
    const char *at = all_of(&c.lacks).data, *end = at + c.lacks.len;
    if (rc == 0 && lines.first == 0)
        rc = no_copy(err);
    while (rc == 0 && next_line(&at, end, &line))
        if (!has_line(keys, line))
            buf_append(&left, line.data, line.size);
    if (rc == 0)
        rc = buf_check(&left, err) || set_lacks(frame, &lines, &left, err) ||
                     copied_advance(frame, lsn > c.until ? lsn : c.until,
                                    bytes_of(c.after ? c.after : ""), err)
                 ? -1
                 : 0;
    buf_free(&left);
    copied_free(&c);
    return rc;
}

/* ---- the rest of the line ---- */

int copied_set_placed(struct buf *frame, struct err *err)
{
    struct copied c;
    struct buf line = {0};
    struct lines lines;
    int rc = parse(&c, frame, &lines, err);
    bool beside = c.beside;
    copied_free(&c);
    if (rc || !beside)
        return rc;
    buf_append(&line, frame->data, lines.first - strlen(" " BESIDE));
    return replace_line(frame, lines.first, &line, err);
}

/* A reason on one line, cut behind a character where it is long. */
static void put_why(struct buf *line, const char *why)
{
    const unsigned char *p = (const unsigned char *)why, *end = p + strlen(why);
    size_t size = 0, n;
    buf_append_str(line, " " ASIDE);
    for (; p < end && size < COPIED_WHY_MAX; p += n, size += n) {
        n = utf8_character(p, end);
        if (n == 0 || *p < ' ')
            buf_append_byte(line, '?');
        else
            buf_append(line, p, n);
        n = n ? n : 1;
    }
}

/* Whether the table has all that was committed before that LSN, and nothing else. */
static bool is_settled(const struct copied *c, uint64_t lsn)
{
    return !c->due && !c->beside && !c->after && c->lacks.len == 0 && c->lsn <= lsn &&
           c->until <= lsn;
}

static void put_file(struct buf *line, const struct copied_file *file)
{
    if (file->kept)
        buf_printf(line, " " FILE_ "%" PRIu64 " %016" PRIx64 "%s", file->size, file->checksum,
                   file->asked ? " " REPLAY : "");
}

/* Puts the line that a copy is due in the place of the first `size` bytes. `why` NULL: it is asked
 * for. */
static int put_due(struct buf *frame, size_t size, uint64_t lsn, bool taken,
                   const struct copied_file *file, const char *why, struct err *err)
{
    struct buf line = {0};
    buf_printf(&line, DUE "%s%s", LSN(lsn), taken ? " " TAKEN : "");
    put_file(&line, file);
    if (why)
        put_why(&line, why);
    buf_append_byte(&line, '\n');
    return replace_line(frame, size, &line, err);
}

/* `stays`: one that is set aside does. */
static int set_due(struct buf *frame, uint64_t lsn, bool first, const char *why, bool keep,
                   bool stays, struct err *err)
{
    struct copied c;
    size_t size;
    int rc = copied_parse(&c, frame, &size, err);
    const struct copied_file file = {.kept = keep && is_settled(&c, lsn)};
    if (rc == 0 && !(stays && c.aside))
        rc = put_due(frame, size, lsn, !first && (size == 0 || c.taken), &file, why, err);
    copied_free(&c);
    return rc;
}

int copied_set_due(struct buf *frame, uint64_t lsn, bool first, struct err *err)
{
    return set_due(frame, lsn, first, NULL, false, true, err);
}

int copied_ask(struct buf *frame, uint64_t lsn, bool first, struct err *err)
{
    return set_due(frame, lsn, first, NULL, false, false, err);
}

int copied_set_aside(struct buf *frame, uint64_t lsn, bool first, const char *why, bool keep,
                     struct err *err)
{
    return set_due(frame, lsn, first, why, keep, true, err);
}

int copied_set_file(struct buf *frame, const struct copied_file *file, const char *why,
                    struct err *err)
{
    struct copied c;
    size_t size;
    int rc = copied_parse(&c, frame, &size, err);
    if (rc == 0 && c.aside)
        rc = put_due(frame, size, c.since, c.taken, file, why ? why : c.aside, err);
    copied_free(&c);
    return rc;
}

int copied_set_back(struct buf *frame, struct err *err)
{
    struct copied c;
    struct buf line = {0};
    size_t size;
    int rc = copied_parse(&c, frame, &size, err);
    copied_put(&line, c.since, bytes_of(COPIED_NOTHING), c.taken, false);
    if (rc == 0 && !c.aside)
        rc = no_copy(err);
    if (rc)
        buf_free(&line);
    else
        rc = replace_line(frame, size, &line, err);
    copied_free(&c);
    return rc;
}
