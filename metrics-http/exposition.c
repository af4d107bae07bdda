#include "exposition.h"

#include <ctype.h>
#include <stdlib.h>
#include <string.h>

#include "base/hash.h"
#include "base/stats.h"
#include "base/utf8.h"

struct family {
    char *name;
    struct buf head, samples;
    UT_hash_handle hh;
};

static struct family *family_of(struct exposition *e, const char *name, size_t len)
{
    struct family *f;
    HASH_FIND(hh, e->families, name, len, f);
    if (f)
        return f;
    f = calloc(1, sizeof *f);
    bool added = false;
    if (f && (f->name = strndup(name, len)))
        HASH_TRY_ADD_KEYPTR(e->families, f->name, len, f, added);
    if (added)
        return f;
    e->failed = true;
    if (f)
        free(f->name);
    free(f);
    return NULL;
}

static size_t name_length(const char *p)
{
    size_t n = 0;
    if (isdigit((unsigned char)*p))
        return 0;
    while (isalnum((unsigned char)p[n]) || p[n] == '_' || p[n] == ':')
        n++;
    return n;
}

static bool ends_with(const char *name, size_t len, const char *end)
{
    size_t n = strlen(end);
    return len >= n && memcmp(name + len - n, end, n) == 0;
}

/* What stands behind the labels and their brace; NULL: they are none. */
static const char *skip_labels(const char *p)
{
    while (*p != '}') {
        size_t n = name_length(p);
        if (n == 0 || memchr(p, ':', n) || p[n] != '=' || p[n + 1] != '"')
            return NULL;
        for (p += n + 2; *p != '"'; p++)
            if (*p == '\n' || (*p == '\\' && *++p != '\\' && *p != '"' && *p != 'n'))
                return NULL;
        p++;
        if (*p == ',')
            p++;
        else if (*p != '}')
            return NULL;
    }
    return p + 1;
}

/* A number as our programs write it. */
static bool is_value(const char *p, const char *end)
{
    char *number_end;
    (void)strtod(p, &number_end);
    return number_end == end && p + strspn(p, "0123456789.eE+-") == end && p < end;
}

/* A comment: of a HELP or TYPE the family that the samples behind it belong to. */
static struct family *take_comment(struct exposition *e, const char *line, size_t len,
                                   struct family *current)
{
    if (len < 8 || (strncmp(line, "# HELP ", 7) != 0 && strncmp(line, "# TYPE ", 7) != 0))
        return current;
    size_t n = name_length(line + 7);
    const char *text = line + 7 + n, *end = line + len;
    bool help = line[2] == 'H';
    bool whole = n > 0 && *text == ' ' &&
                 (help || (text + 1 < end &&
                           text + 1 + strspn(text + 1, "abcdefghijklmnopqrstuvwxyz") == end));
    struct family *f = whole ? family_of(e, line + 7, n) : NULL;
    if (!f)
        return NULL;
    /* The first file's; the others say the same. */
    if (f->samples.len == 0 && !(f->head.len > 0 && help)) {
        buf_append(&f->head, line, len);
        buf_append_byte(&f->head, '\n');
    }
    return f;
}

/* Ours, in front of a sample's own; either may be NULL. */
static void put_labels(struct buf *out, const char *pipeline, const char *stage)
{
    struct buf label = {0};
    if (pipeline)
        stats_label(&label, "pipeline", pipeline);
    if (stage)
        stats_label(&label, "stage", stage);
    buf_append(out, label.data, label.len);
    out->failed |= label.failed;
    buf_free(&label);
}

static void take_sample(const struct exposition *e, struct family *f, const char *line, size_t len,
                        const char *stage, bool alive)
{
    size_t n = name_length(line);
    bool labels = line[n] == '{';
    const char *behind = labels ? skip_labels(line + n + 1) : line + n;
    if (n == 0 || !behind || *behind != ' ' || !is_value(behind + 1, line + len))
        return;
    buf_append(&f->samples, line, n);
    buf_append_byte(&f->samples, '{');
    put_labels(&f->samples, e->pipeline, stage);
    if (labels && behind > line + n + 2) {
        buf_append_byte(&f->samples, ',');
        buf_append(&f->samples, line + n + 1, (size_t)(behind - line) - n - 2);
    }
    buf_append_str(&f->samples, "} ");
    if (!alive && (ends_with(line, n, "_connection_status") || ends_with(line, n, "_per_second")))
        buf_append_byte(&f->samples, '0');
    else
        buf_append(&f->samples, behind + 1, (size_t)(line + len - behind) - 1);
    buf_append_byte(&f->samples, '\n');
}

void exposition_add(struct exposition *e, const char *stage, const struct stats_file *file)
{
    const char *line = (const char *)file->text.data;
    struct family *current = NULL;
    while (line && *line) {
        size_t len = strcspn(line, "\n");
        if (line[len] == '\0')
            break;                  /* a line without its end */
        if (!utf8_valid(line, len)) /* Prometheus takes nothing of a text that is not */
            current = *line == '#' ? NULL : current;
        else if (*line == '#')
            current = take_comment(e, line, len, current);
        else if (current && strncmp(line, current->name, strlen(current->name)) == 0)
            take_sample(e, current, line, len, stage, file->alive);
        line += len + 1;
    }
}

void exposition_gauge(struct exposition *e, const char *name, const char *help, const char *stage,
                      double value)
{
    struct family *f = family_of(e, name, strlen(name));
    if (!f)
        return;
    if (f->head.len == 0)
        buf_printf(&f->head, "# HELP %s %s\n# TYPE %s gauge\n", name, help, name);
    buf_append_str(&f->samples, name);
    if (stage || e->pipeline) {
        buf_append_byte(&f->samples, '{');
        put_labels(&f->samples, e->pipeline, stage);
        buf_append_byte(&f->samples, '}');
    }
    buf_printf(&f->samples, " %.15g\n", value);
}

void exposition_write(const struct exposition *e, struct buf *out)
{
    out->failed |= e->failed;
    for (const struct family *f = e->families; f; f = f->hh.next) {
        out->failed |= f->samples.failed || f->head.failed;
        if (f->samples.len == 0)
            continue;
        buf_append(out, f->head.data, f->head.len);
        buf_append(out, f->samples.data, f->samples.len);
    }
}

void exposition_free(struct exposition *e)
{
    struct family *f, *next;
    HASH_ITER (hh, e->families, f, next) {
        HASH_DEL(e->families, f);
        buf_free(&f->head);
        buf_free(&f->samples);
        free(f->name);
        free(f);
    }
}
