#include "tuple.h"

#define PACK(call) ((void)(call)) /* the buffer remembers a failure */

static int hex_digit(uint8_t c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    if (c >= 'a' && c <= 'f')
        return c - 'a' + 10;
    if (c >= 'A' && c <= 'F')
        return c - 'A' + 10;
    return -1;
}

/* bytea_output = hex: \x and two digits for each byte. */
static bool put_hex(struct frame_writer *fw, const uint8_t *data, size_t size)
{
    if (size < 2 || size % 2 != 0 || data[0] != '\\' || data[1] != 'x')
        return false;
    size_t n = size / 2 - 1;
    PACK(msgpack_pack_bin(&fw->pk, n));
    uint8_t *to = buf_reserve(fw->out, n);
    if (!to)
        return true;
    for (size_t i = 0; i < n; i++) {
        int high = hex_digit(data[2 + 2 * i]);
        int low = hex_digit(data[3 + 2 * i]);
        if (high < 0 || low < 0)
            return false;
        to[i] = (uint8_t)(high << 4 | low);
    }
    fw->out->len += n;
    return true;
}

bool tuple_put_text(struct frame_writer *fw, bool bytea, const char *data, size_t size)
{
    if (bytea)
        return put_hex(fw, (const uint8_t *)data, size);
    frame_pack_bytes_as_str(fw, data, size);
    return true;
}

static void put_bytes(struct frame_writer *fw, const uint8_t *data, size_t size)
{
    struct value v = {VALUE_BYTES, (uint32_t)size, (const char *)data};
    frame_pack_value(fw, &v);
}

static int put_binary(const struct tuple_reading *t, const struct column_reading *col,
                      struct frame_writer *fw, const uint8_t *data, size_t size, struct buf *text,
                      struct err *err)
{
    switch (col->form) {
    case BINARY_TEXT:
        frame_pack_bytes_as_str(fw, (const char *)data, size);
        return 0;
    case BINARY_BYTES:
        put_bytes(fw, data, size);
        return 0;
    case BINARY_CONVERT:
        buf_reset(text, 64 * 1024);
        if (binary_to_text(col->type_oid, data, size, text, err))
            return err_context(err, "table %s.%s, column %s", t->namespace, t->name, col->name);
        frame_pack_bytes_as_str(fw, buf_cstr(text), text->len);
        return 0;
    case BINARY_UNSUPPORTED:
        (void)err_set(
            err, ERR_PERMANENT,
            "table %s.%s, column %s: the binary form of type %s (oid %u) is not supported",
            t->namespace, t->name, col->name, *col->type_name ? col->type_name : "unknown",
            col->type_oid);
        return err_hint(err, "use text mode: leave out --binary");
    }
    BUG("unknown binary form");
}

int tuple_decode(const struct tuple_reading *t, struct wire *w, struct frame_writer *fw,
                 struct buf *text, struct err *err)
{
    uint16_t n = wire_u16(w);
    if (n != t->ncolumns) {
        wire_fault(w, "a tuple with another number of columns than its relation");
        return 0;
    }
    PACK(msgpack_pack_array(&fw->pk, n));
    for (uint16_t i = 0; i < n && !w->fault; i++) {
        const struct column_reading *col = &t->columns[i];
        uint8_t kind = wire_u8(w);
        if (kind == 'n') {
            PACK(msgpack_pack_nil(&fw->pk));
            continue;
        }
        if (kind == 'u') {
            PACK(msgpack_pack_ext(&fw->pk, 0, 'u'));
            continue;
        }
        if (kind != 't' && kind != 'b') {
            wire_fault(w, "a kind of value that is not known");
            break;
        }
        uint32_t size = wire_u32(w);
        const uint8_t *data = wire_take(w, size);
        if (!data)
            break;
        if (kind == 'b') {
            if (put_binary(t, col, fw, data, size, text, err))
                return -1;
        } else if (!tuple_put_text(fw, col->bytea, (const char *)data, size)) {
            wire_fault(w, "a bytea that is not in hex format");
        }
    }
    return 0;
}
