#include "sql/copied.h"

#include <stdlib.h>
#include <string.h>

#include "base/lsn.h"
#include "sql/own.h"

#define MARK   "copied "
#define DUE    "copy due since "
#define BESIDE "beside"
#define UNTIL  "until "
#define AFTER  "after "

void copied_put(struct buf *out, uint64_t lsn, struct bytes snapshot, bool beside)
{
    buf_printf(out, MARK "%s ", LSN(lsn));
    buf_append(out, snapshot.data, snapshot.size);
    buf_append_str(out, beside ? " " BESIDE "\n" : "\n");
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

static bool take_lsn(struct line *l, uint64_t *lsn)
{
    const struct bytes word = take_word(l);
    return lsn_parse(word.data, word.size, lsn) && *lsn != 0;
}

/* *first: the end of the part that stays when a chunk comes. */
static int parse_line(struct copied *c, struct line *l, const char **first, struct err *err)
{
    uint64_t since;
    *first = NULL;
    if (take_mark(l, DUE)) {
        c->due = true;
        return take_lsn(l, &since) && l->at == l->end
                   ? 0
                   : err_set(err, ERR_PERMANENT, "a copy that is due without an LSN");
    }
    if (!take_mark(l, MARK) || !take_lsn(l, &c->lsn))
        return err_set(err, ERR_PERMANENT, "a copy without its LSN");
    const struct bytes snapshot = take_word(l);
    *first = snapshot.data + snapshot.size;
    if (snapshot_parse(&c->snapshot, snapshot.data, snapshot.size, err))
        return -1;
    struct line rest = *l;
    const struct bytes word = take_word(&rest);
    c->beside = word.size == strlen(BESIDE) && memcmp(word.data, BESIDE, word.size) == 0;
    if (c->beside) {
        *first = word.data + word.size;
        *l = rest;
    }
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

static int parse(struct copied *c, const struct buf *frame, size_t *size, const char **first,
                 struct err *err)
{
    struct line l;
    *size = 0;
    *first = NULL;
    *c = (struct copied){0};
    if (frame->len == 0 || !find_line(frame, &l))
        return 0;
    l.end = memchr(l.at, '\n', frame->len);
    if (!l.end)
        return err_set(err, ERR_PERMANENT, RELATION_TABLE " holds a copy that does not end");
    *size = (size_t)(l.end + 1 - l.at);
    return parse_line(c, &l, first, err) ? err_context(err, RELATION_TABLE) : 0;
}

int copied_parse(struct copied *c, const struct buf *frame, size_t *size, struct err *err)
{
    const char *first;
    return parse(c, frame, size, &first, err);
}

void copied_free(struct copied *c)
{
    snapshot_free(&c->snapshot);
    free(c->after);
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

int copied_advance(struct buf *frame, uint64_t until, struct bytes after, struct err *err)
{
    struct copied c;
    struct buf line = {0};
    size_t size;
    const char *first;
    int rc = parse(&c, frame, &size, &first, err);
    copied_free(&c);
    if (rc)
        return -1;
    if (!first)
        return err_set(err, ERR_PERMANENT, RELATION_TABLE " holds no copy that a chunk belongs to");
    buf_append(&line, frame->data, (size_t)(first - (const char *)frame->data));
    buf_printf(&line, " " UNTIL "%s", LSN(until));
    if (after.size > 0)
        buf_append_str(&line, " " AFTER);
    buf_append(&line, after.data, after.size);
    buf_append_byte(&line, '\n');
    return replace_line(frame, size, &line, err);
}

int copied_set_placed(struct buf *frame, struct err *err)
{
    struct copied c;
    struct buf line = {0};
    size_t size;
    const char *first;
    int rc = parse(&c, frame, &size, &first, err);
    bool beside = c.beside;
    copied_free(&c);
    if (rc || !beside)
        return rc;
    size = (size_t)(first - (const char *)frame->data);
    buf_append(&line, frame->data, size - strlen(" " BESIDE));
    return replace_line(frame, size, &line, err);
}

int copied_set_due(struct buf *frame, uint64_t lsn, struct err *err)
{
    struct copied c;
    struct buf line = {0};
    size_t size;
    int rc = copied_parse(&c, frame, &size, err);
    copied_free(&c);
    if (rc)
        return -1;
    buf_printf(&line, DUE "%s\n", LSN(lsn));
    return replace_line(frame, size, &line, err);
}
