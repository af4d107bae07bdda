#include "sql/row_key.h"

#include <limits.h>
#include <string.h>

#include "sql/table.h"

/* With what stands before it on the line of an acknowledgement FIFO it has to fit in there. */
#define KEY_MAX (PIPE_BUF - 32)

/* What COPY writes for a character that would end a value; 0: the character itself. */
static char escape_of(char c)
{
    static const char from[] = "\b\f\n\r\t\v\\", to[] = "bfnrtv\\";
    const char *at = c ? strchr(from, c) : NULL;
    return at ? to[at - from] : '\0';
}

static void put_text(const char *text, size_t size, struct buf *out)
{
    for (size_t i = 0; i < size; i++) {
        char escape = escape_of(text[i]);
        if (escape)
            buf_append_byte(out, '\\');
        buf_append_byte(out, (uint8_t)(escape ? escape : text[i]));
    }
}

static void put_hex(const char *data, size_t size, struct buf *out)
{
    static const char digits[] = "0123456789abcdef";
    buf_append_str(out, "\\\\x");
    for (size_t i = 0; i < size; i++) {
        unsigned char byte = (unsigned char)data[i];
        buf_append_byte(out, (uint8_t)digits[byte >> 4]);
        buf_append_byte(out, (uint8_t)digits[byte & 15]);
    }
}

static bool put_value(const struct value *v, struct buf *out)
{
    if (v->size > KEY_MAX || (v->kind != VALUE_TEXT && v->kind != VALUE_BYTES))
        return false;
    if (v->kind == VALUE_BYTES)
        put_hex(v->data, v->size, out);
    else
        put_text(v->data, v->size, out);
    return true;
}

bool row_key_put(const struct identity *id, const struct relation *rel,
                 const struct row_change *row, struct buf *out)
{
    size_t start = out->len;
    bool known = id->n > 0 && !id->by_all_columns;
    for (uint32_t i = 0; known && i < id->n; i++) {
        uint32_t column = id->columns[i];
        const char *name = rel->columns[column].name;
        if (i > 0)
            buf_append_byte(out, '\t');
        put_text(name, strlen(name), out);
        buf_append_byte(out, '\t');
        known = put_value(row->new ? slice_value(row, column) : &row->old[column], out);
    }
    if (known && out->len - start <= KEY_MAX) {
        buf_append_byte(out, '\n');
        return true;
    }
    out->len = start;
    return false;
}

/* Whether the line's columns are those of the identity, in its order; of a value nothing is asked.
 */
static bool is_of(const struct identity *id, const struct relation *rel, const char *at,
                  const char *end)
{
    struct buf name = {0};
    bool same = true;
    for (uint32_t i = 0; same && i < id->n; i++) {
        const char *text = rel->columns[id->columns[i]].name;
        buf_reset(&name, SIZE_MAX);
        if (i > 0)
            buf_append_byte(&name, '\t');
        put_text(text, strlen(text), &name);
        buf_append_byte(&name, '\t');
        same =
            !name.failed && (size_t)(end - at) >= name.len && memcmp(at, name.data, name.len) == 0;
        at += same ? name.len : 0;
        at += strcspn(at, "\t\n");
    }
    buf_free(&name);
    return same && at == end;
}

bool row_keys_are_of(const struct identity *id, const struct relation *rel, struct bytes lines)
{
    const char *at = lines.data, *end = lines.data + lines.size;
    bool same = id->n > 0 && !id->by_all_columns;
    while (same && at < end) {
        const char *stop = memchr(at, '\n', (size_t)(end - at));
        same = stop && is_of(id, rel, at, stop);
        at = stop ? stop + 1 : end;
    }
    return same;
}
