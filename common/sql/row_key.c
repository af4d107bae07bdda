#include "sql/row_key.h"

#include <limits.h>
#include <string.h>

#include "sql/table.h"
#include "sql/text.h"

/* With what stands before it on the line of an acknowledgement FIFO it has to fit in there. */
#define KEY_MAX (PIPE_BUF - 32)

static bool put_value(const struct value *v, struct buf *out)
{
    if (v->size > KEY_MAX || (v->kind != VALUE_TEXT && v->kind != VALUE_BYTES))
        return false;
    if (v->kind == VALUE_BYTES) {
        buf_append_str(out, "\\\\x");
        text_hex(out, v->data, v->size);
    } else {
        text_copy(out, v->data, v->size);
    }
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
        text_copy(out, name, strlen(name));
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
        text_copy(&name, text, strlen(text));
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
