#include "frames/frame_check.h"

#include <endian.h>
#include <string.h>

#include "base/utf8.h"

/* ---- tuples ---- */

/* Once for each value of each row: bytes by hand, because mp_cursor.h's reading of a value costs
 * several times as much. */

#define NIL       0xC0
#define HIGH_BITS UINT64_C(0x8080808080808080)

static inline uint64_t eight(const uint8_t *p)
{
    uint64_t v;
    memcpy(&v, p, sizeof v);
    return le64toh(v);
}

/* Most text is ASCII. What it ends in is read with what follows, where as much does. */
static inline bool is_ascii(const uint8_t *p, size_t size, const uint8_t *end)
{
    uint64_t all = 0;
    for (; size >= 8; p += 8, size -= 8)
        all |= eight(p);
    if (end - p >= 8)
        all |= eight(p) & ((UINT64_C(1) << size * 8) - 1);
    else
        for (; size > 0; p++, size--)
            all |= *p;
    return (all & HIGH_BITS) == 0;
}

/* What stands before a value that is no short str: takes it, and says how much follows. */
static bool take_head(const uint8_t **p, const uint8_t *end, size_t *size, bool *text)
{
    const uint8_t *at = *p;
    size_t width = 0;
    *text = *at >= 0xd9 && *at <= 0xdb; /* str 8, 16, 32 */
    *size = 0;
    if (*text)
        width = (size_t)1 << (*at - 0xd9);
    else if (*at >= 0xc4 && *at <= 0xc6) /* bin 8, 16, 32 */
        width = (size_t)1 << (*at - 0xc4);
    else if (*at != 0xc7 || end - at < 3 || at[1] != 0 || at[2] != 'u')
        return false;
    if ((size_t)(end - at) <= width)
        return false;
    for (size_t i = 1; i <= width; i++)
        *size = *size << 8 | at[i];
    *p += width > 0 ? 1 + width : 3;
    return true;
}

static void skip_values(struct mp_cursor *c, uint32_t n)
{
    const uint8_t *p = c->pos, *const end = c->end;
    for (; n > 0; n--) {
        size_t size;
        bool text = true;
        if (p == end) {
            mp_fault(c, "ends in the middle of a tuple");
            return;
        }
        if (*p == NIL) {
            p++;
            continue;
        }
        if ((*p & 0xe0) == 0xa0) { /* fixstr */
            size = *p++ & 0x1f;
        } else if (!take_head(&p, end, &size, &text)) {
            mp_fault(c, "a value that is neither nil, str, bin nor unchanged");
            return;
        }
        if ((size_t)(end - p) < size) {
            mp_fault(c, "a length is larger than what is left");
            return;
        }
        if (text && !is_ascii(p, size, end) && !utf8_valid(p, size)) {
            mp_fault(c, "text that is not UTF-8");
            return;
        }
        p += size;
    }
    c->pos = p;
}

static void check_tuple(struct mp_cursor *c, bool belongs, uint32_t ncolumns)
{
    bool is_there = c->pos < c->end && *c->pos != NIL;
    if (is_there != belongs) {
        mp_fault(c, "a tuple where none belongs, or none where one does");
    } else if (!belongs) {
        (void)mp_nil(c);
    } else if (mp_array(c) != ncolumns) {
        mp_fault(c, "a tuple has another number of columns than its relation");
    } else {
        skip_values(c, ncolumns);
    }
}

int frame_check_tuples(const struct frame *f, const struct frame_change *change,
                       struct mp_cursor tuples, uint32_t ncolumns, struct err *err)
{
    check_tuple(&tuples, change->old_kind != 0, ncolumns);
    check_tuple(&tuples, f->type != FRAME_DELETE, ncolumns);
    return mp_end(&tuples, frame_type_name(f->type), err) ? err_context(err, "malformed frame") : 0;
}

/* ---- strings ---- */

static int not_text(enum frame_type type, const char *what, struct err *err)
{
    return err_set(err, ERR_PERMANENT, "malformed frame: %s: %s that is not UTF-8",
                   frame_type_name(type), what);
}

static bool is_text(struct bytes b)
{
    return utf8_valid(b.data, b.size);
}

int frame_check_relation(const struct relation *rel, struct err *err)
{
    bool good = is_text(bytes_of(rel->namespace)) && is_text(bytes_of(rel->name));
    for (uint32_t i = 0; i < rel->ncolumns; i++) {
        const struct column *col = &rel->columns[i];
        good = good && is_text(bytes_of(col->name)) && is_text(bytes_of(col->type_name));
        if (col->fill == FILL_VALUE && !col->fill_is_bytes)
            good = good && is_text((struct bytes){col->fill_value, col->fill_size});
    }
    return good ? 0 : not_text(FRAME_RELATION, "a name or a default", err);
}

int frame_check_strings_in(const struct frame *f, struct err *err)
{
    union frame_body body;
    size_t n;
    const struct frame_field *field = frame_fields(f->type, &n);
    if (frame_get(f, &body, err))
        return -1;
    for (; n > 0; n--, field++)
        if (field->kind == FIELD_STR &&
            !is_text(*(const struct bytes *)frame_field_in(field, &body)))
            return not_text(f->type, field->name, err);
    for (uint32_t i = 0; f->type == FRAME_HELLO && i < body.hello.npublications; i++)
        if (!is_text(body.hello.publications[i]))
            return not_text(f->type, "a publication", err);
    return 0;
}
