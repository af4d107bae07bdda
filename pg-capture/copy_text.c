#include "copy_text.h"

#include <string.h>

#include "frames/frame.h"
#include "frames/frame_writer.h"
#include "frames/pg_type.h"
#include "tuple.h"

#define PACK(call) ((void)(call)) /* the buffer remembers a failure */

/* What stands for a control character behind a backslash; any other stands for itself. */
static char unescaped(char c)
{
    static const char from[] = "bfnrtv", to[] = "\b\f\n\r\t\v";
    const char *at = c ? strchr(from, c) : NULL;
    return at ? to[at - from] : c;
}

void copy_text_unescape(const char *data, size_t size, struct buf *text)
{
    buf_reset(text, 64 * 1024);
    while (size > 0) {
        const char *escape = memchr(data, '\\', size);
        size_t n = escape ? (size_t)(escape - data) : size;
        buf_append(text, data, n);
        data += n;
        size -= n;
        if (size < 2)
            return;
        buf_append_byte(text, (uint8_t)unescaped(data[1]));
        data += 2;
        size -= 2;
    }
}

static bool put_value(struct frame_writer *fw, const struct column *c, const char *data,
                      size_t size, struct buf *text)
{
    bool bytea = c->base_type_oid == PG_TYPE_BYTEA;
    if (size == 2 && memcmp(data, "\\N", 2) == 0) {
        PACK(msgpack_pack_nil(&fw->pk));
        return true;
    }
    if (!memchr(data, '\\', size))
        return tuple_put_text(fw, bytea, data, size);
    copy_text_unescape(data, size, text);
    return tuple_put_text(fw, bytea, buf_cstr(text), text->len);
}

/* The end of the value that begins there: the next tab, or the end of the row. */
static const char *value_end(const char *from, const char *end)
{
    const char *tab = memchr(from, '\t', (size_t)(end - from));
    return tab ? tab : end;
}

struct bytes copy_text_field(const char *row, size_t size, uint32_t n)
{
    const char *end = row + size;
    if (size > 0 && end[-1] == '\n')
        end--;
    const char *at = row, *stop = value_end(at, end);
    for (; n > 0 && stop < end; n--) {
        at = stop + 1;
        stop = value_end(at, end);
    }
    return (struct bytes){at, (size_t)(stop - at)};
}

/* Ends the frame, or takes it back where it is not good. */
static int end_frame(struct frame_writer *fw, const struct buf *text, struct buf *out, bool good,
                     struct err *err)
{
    frame_close(fw);
    if (buf_check(text, err) || buf_check(out, err))
        return -1;
    if (!good)
        out->len = fw->start;
    return 0;
}

int copy_text_row(const struct relation *rel, const char *row, size_t size, struct buf *text,
                  struct buf *out, struct err *err)
{
    const struct frame_change change = {.relid = rel->relid};
    const char *at = row, *end = row + size;
    struct frame_writer fw;
    bool good = size > 0 && end[-1] == '\n';
    if (good)
        end--;
    frame_open_change(&fw, out, FRAME_INSERT, &change);
    PACK(msgpack_pack_nil(&fw.pk));
    PACK(msgpack_pack_array(&fw.pk, rel->ncolumns));
    for (uint32_t i = 0; good && i < rel->ncolumns; i++) {
        const char *stop = value_end(at, end);
        good = put_value(&fw, &rel->columns[i], at, (size_t)(stop - at), text) &&
               (stop == end) == (i + 1 == rel->ncolumns);
        at = stop + 1;
    }
    if (end_frame(&fw, text, out, good, err))
        return -1;
    if (good)
        return 0;
    return err_set(err, ERR_TEMPORARY, "a row of %s.%s came in another form than COPY has",
                   rel->namespace, rel->name);
}

int copy_text_key(const struct relation *rel, const struct bytes *values, struct buf *text,
                  struct buf *out, struct err *err)
{
    const struct frame_change change = {.relid = rel->relid, .old_kind = 'K'};
    struct frame_writer fw;
    bool good = true;
    frame_open_change(&fw, out, FRAME_DELETE, &change);
    PACK(msgpack_pack_array(&fw.pk, rel->ncolumns));
    for (uint32_t i = 0; good && i < rel->ncolumns; i++) {
        if (values[i].data)
            good = put_value(&fw, &rel->columns[i], values[i].data, values[i].size, text);
        else
            PACK(msgpack_pack_nil(&fw.pk));
    }
    PACK(msgpack_pack_nil(&fw.pk));
    if (end_frame(&fw, text, out, good, err))
        return -1;
    if (good)
        return 0;
    return err_set(err, ERR_PERMANENT, "a target asks for a row of %s.%s by a key that is none",
                   rel->namespace, rel->name);
}
