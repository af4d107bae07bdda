#include "sql/wanted_index.h"

#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "sql/copied.h"
#include "sql/schema_plan.h"

#define MARK      "index "
#define MARK_SIZE (sizeof MARK - 1)

/* ---- lines ---- */

/* Of the line with the mark that the data begins with, up to its newline; 0: there is none. */
static size_t line_size(const uint8_t *data, size_t size)
{
    if (size < MARK_SIZE || memcmp(data, MARK, MARK_SIZE) != 0)
        return 0;
    const uint8_t *end = memchr(data, '\n', size);
    return end ? (size_t)(end + 1 - data) : 0;
}

size_t wanted_size(const uint8_t *data, size_t size)
{
    size_t all = 0;
    for (size_t line; (line = line_size(data + all, size - all)) > 0;)
        all += line;
    return all;
}

/* Undoes what COPY does to text, in its place. */
static void unescape(char *text)
{
    char *to = text;
    for (const char *p = text; *p; p++) {
        if (*p == '\\' && p[1])
            p++;
        else {
            *to++ = *p;
            continue;
        }
        *to++ = (char)(*p == 't' ? '\t' : *p == 'n' ? '\n' : *p == 'r' ? '\r' : *p);
    }
    *to = '\0';
}

static int malformed(struct err *err)
{
    return err_set(err, ERR_PERMANENT, "an index of the source in another form than it has");
}

/* Takes a line apart, without its newline; it is used up. */
static int parse(char *line, struct wanted_index *index, struct err *err)
{
    size_t n = 0;
    for (const char *p = line; *p; p++)
        n += *p == '\t';
    index->columns = calloc(n + 1, sizeof *index->columns);
    if (!index->columns)
        return err_nomem(err);
    char *rest = line, *kind = strsep(&rest, "\t");
    index->unique = strcmp(kind, "unique") == 0;
    if (n < 2 || (!index->unique && strcmp(kind, "plain") != 0))
        return malformed(err);
    for (char *part; (part = strsep(&rest, "\t")) != NULL;) {
        unescape(part);
        if (!*part)
            return malformed(err);
        if (index->name)
            index->columns[index->ncolumns++] = part;
        else
            index->name = part;
    }
    return 0;
}

int wanted_read(const uint8_t *data, size_t available, struct wanted_index *index, size_t *size,
                struct err *err)
{
    *index = (struct wanted_index){0};
    *size = line_size(data, available);
    if (*size == 0)
        return 0;
    index->text = strndup((const char *)data + MARK_SIZE, *size - MARK_SIZE - 1);
    return index->text ? parse(index->text, index, err) : err_nomem(err);
}

void wanted_free(struct wanted_index *index)
{
    free(index->columns);
    free(index->text);
}

/* Appends the list's lines with the mark. */
static int put_lines(struct buf *out, struct bytes list, struct err *err)
{
    while (list.size > 0) {
        const char *end = memchr(list.data, '\n', list.size);
        size_t n = end ? (size_t)(end + 1 - list.data) : 0, size, begin = out->len;
        struct wanted_index index;
        if (n == 0)
            return malformed(err);
        buf_append_str(out, MARK);
        buf_append(out, list.data, n);
        if (buf_check(out, err))
            return -1;
        int rc = wanted_read(out->data + begin, out->len - begin, &index, &size, err);
        wanted_free(&index);
        if (rc)
            return -1;
        list.data += n;
        list.size -= n;
    }
    return 0;
}

int wanted_replace(struct buf *frame, size_t at, struct bytes list, struct err *err)
{
    struct buf replaced = {0};
    size_t rest = at + wanted_size(frame->data + at, frame->len - at);
    buf_append(&replaced, frame->data, at);
    int rc = put_lines(&replaced, list, err);
    buf_append(&replaced, frame->data + rest, frame->len - rest);
    if (rc == 0)
        rc = buf_check(&replaced, err);
    if (rc) {
        buf_free(&replaced);
        return -1;
    }
    buf_free(frame);
    *frame = replaced;
    return 0;
}

/* ---- what is remembered of a relation ---- */

struct memory {
    struct own_row row;
    size_t at; /* of the lines, behind that of the copy */
    bool found;
};

static int recall(const struct wanted *w, uint32_t relid, struct memory *m, struct err *err)
{
    const struct own_key key = {.table = OWN_RELATION, .origin = w->origin, .relid = relid};
    struct copied copied = {0};
    *m = (struct memory){0};
    if (w->ops->recall(w->driver, &key, &m->row, &m->found, err) || own_row_check(&m->row, err))
        return err_context(err, "reading " RELATION_TABLE);
    int rc = m->found ? copied_parse(&copied, &m->row.fields[RELATION_FRAME], &m->at, err) : 0;
    copied_free(&copied);
    return rc;
}

static int remember(const struct wanted *w, uint32_t relid, const struct memory *m, struct err *err)
{
    const struct own_key key = {.table = OWN_RELATION, .origin = w->origin, .relid = relid};
    if (own_row_check(&m->row, err) || w->ops->remember(w->driver, &key, &m->row, true, err))
        return err_context(err, "writing " RELATION_TABLE);
    return 0;
}

int wanted_remember(const struct wanted *w, uint32_t relid, struct bytes list, struct err *err)
{
    struct memory m;
    int rc = recall(w, relid, &m, err);
    if (rc == 0 && m.found)
        rc = wanted_replace(&m.row.fields[RELATION_FRAME], m.at, list, err) ||
                     remember(w, relid, &m, err)
                 ? -1
                 : 0;
    own_row_free(&m.row);
    return rc;
}

/* ---- making them ---- */

static int find_columns(const struct wanted_index *index, const struct described_table *there,
                        struct err *err)
{
    for (size_t i = 0; i < index->ncolumns; i++)
        if (!described_find(there, index->columns[i]))
            return err_set(err, ERR_PERMANENT, "it has no column %s any more", index->columns[i]);
    return 0;
}

static int make(const struct wanted *w, const struct wanted_index *index, const char *table,
                const struct relation *rel, struct err *err)
{
    const struct describe_how how = {0};
    struct described_table there;
    const struct step step = {
        .kind = STEP_CREATE_INDEX, .table = table, .rel = rel, .there = &there, .index = index};
    described_init(&there);
    int rc = w->ops->describe(w->driver, table, &how, &there, err) ||
                     described_check(&there, err) || find_columns(index, &there, err)
                 ? -1
                 : w->ops->change(w->driver, &step, NULL, err);
    described_free(&there);
    return rc;
}

static int make_first(const struct wanted *w, struct memory *m, const struct wanted_index *index,
                      struct err *err)
{
    struct buf *frame = &m->row.fields[RELATION_FRAME];
    const char *table = buf_cstr(&m->row.fields[RELATION_TARGET]);
    size_t at = m->at + wanted_size(frame->data + m->at, frame->len - m->at);
    struct relation *rel = NULL;
    at += copied_made_size(frame->data + at, frame->len - at);
    int rc = relation_from_bytes(frame->data + at, frame->len - at, &rel, err);
    if (rc == 0)
        rc = make(w, index, table, rel, err);
    if (rc == 0)
        log_info("index made", "target", table, "index", index->name, NULL);
    else
        (void)err_context(err, "index %s on %s", index->name, table);
    relation_unref(rel);
    return rc;
}

int wanted_make(const struct wanted *w, uint32_t relid, bool give_up, bool *more, struct err *err)
{
    struct memory m;
    struct wanted_index index = {0};
    size_t size = 0;
    *more = false;
    int rc = recall(w, relid, &m, err);
    struct buf *frame = &m.row.fields[RELATION_FRAME];
    if (rc == 0 && m.found)
        rc = wanted_read(frame->data + m.at, frame->len - m.at, &index, &size, err);
    if (rc == 0 && size > 0 && !give_up)
        rc = make_first(w, &m, &index, err);
    wanted_free(&index);
    if (rc == 0 && size > 0) {
        memmove(frame->data + m.at, frame->data + m.at + size, frame->len - m.at - size);
        frame->len -= size;
        *more = wanted_size(frame->data + m.at, frame->len - m.at) > 0;
        rc = remember(w, relid, &m, err);
    }
    own_row_free(&m.row);
    return rc;
}
