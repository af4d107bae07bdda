#include "frames/mp_cursor.h"

#include <endian.h>
#include <string.h>

struct mp_cursor mp_cursor(const void *data, size_t size)
{
    const uint8_t *p = data;
    return (struct mp_cursor){.pos = p, .end = size ? p + size : p, .fault = NULL};
}

void mp_fault(struct mp_cursor *c, const char *reason)
{
    if (!c->fault)
        c->fault = reason;
    c->pos = c->end;
}

static size_t left(const struct mp_cursor *c)
{
    return (size_t)(c->end - c->pos);
}

/* The next `n` bytes as a big-endian number, taken. */
static inline uint64_t take_be(struct mp_cursor *c, size_t n)
{
    if (left(c) < n) {
        mp_fault(c, "ends in the middle of a field");
        return 0;
    }
    const uint8_t *p = c->pos;
    uint64_t eight;
    uint32_t four;
    uint16_t two;
    c->pos += n;
    /* `n` is known when this is compiled into its callers. */
    switch (n) {
    case 1:
        return *p;
    case 2:
        memcpy(&two, p, sizeof two);
        return be16toh(two);
    case 4:
        memcpy(&four, p, sizeof four);
        return be32toh(four);
    case 8:
        memcpy(&eight, p, sizeof eight);
        return be64toh(eight);
    default:
        BUG("a number of another size than msgpack has");
    }
}

static struct bytes take_bytes(struct mp_cursor *c, uint64_t n)
{
    if (c->fault || left(c) < n) {
        mp_fault(c, "a length is larger than what is left");
        return (struct bytes){"", 0};
    }
    struct bytes b = {(const char *)c->pos, (size_t)n};
    c->pos += n;
    return b;
}

static uint8_t take_tag(struct mp_cursor *c)
{
    return (uint8_t)take_be(c, 1);
}

enum mp_kind mp_peek(const struct mp_cursor *c)
{
    if (c->fault || c->pos == c->end)
        return MP_FAULT;
    uint8_t t = *c->pos;
    if (t <= 0x7f)
        return MP_UINT;
    if (t <= 0x8f)
        return MP_MAP;
    if (t <= 0x9f)
        return MP_ARRAY;
    if (t <= 0xbf)
        return MP_STR;
    if (t >= 0xe0)
        return MP_INT;
    switch (t) {
    case 0xc0:
        return MP_NIL;
    case 0xc2:
    case 0xc3:
        return MP_BOOL;
    case 0xc4:
    case 0xc5:
    case 0xc6:
        return MP_BIN;
    case 0xca:
    case 0xcb:
        return MP_FLOAT;
    case 0xcc:
    case 0xcd:
    case 0xce:
    case 0xcf:
        return MP_UINT;
    case 0xd0:
    case 0xd1:
    case 0xd2:
    case 0xd3:
        return MP_INT;
    case 0xd9:
    case 0xda:
    case 0xdb:
        return MP_STR;
    case 0xdc:
    case 0xdd:
        return MP_ARRAY;
    case 0xde:
    case 0xdf:
        return MP_MAP;
    case 0xc1:
        return MP_FAULT;
    default:
        return MP_EXT; /* 0xc7-0xc9, 0xd4-0xd8 */
    }
}

bool mp_nil(struct mp_cursor *c)
{
    if (c->pos == c->end || *c->pos != 0xc0)
        return false;
    c->pos++;
    return true;
}

bool mp_bool(struct mp_cursor *c)
{
    uint8_t t = take_tag(c);
    if (t != 0xc2 && t != 0xc3)
        mp_fault(c, "not a boolean where one belongs");
    return t == 0xc3;
}

uint64_t mp_u64(struct mp_cursor *c)
{
    uint8_t t = take_tag(c);
    if (t <= 0x7f)
        return t;
    switch (t) {
    case 0xcc:
        return take_be(c, 1);
    case 0xcd:
        return take_be(c, 2);
    case 0xce:
        return take_be(c, 4);
    case 0xcf:
        return take_be(c, 8);
    default:
        mp_fault(c, "not an unsigned number where one belongs");
        return 0;
    }
}

uint32_t mp_u32(struct mp_cursor *c)
{
    uint64_t v = mp_u64(c);
    if (v > UINT32_MAX) {
        mp_fault(c, "a number is too large");
        return 0;
    }
    return (uint32_t)v;
}

int64_t mp_i64(struct mp_cursor *c)
{
    if (mp_peek(c) == MP_UINT) {
        uint64_t v = mp_u64(c);
        if (v > INT64_MAX) {
            mp_fault(c, "a number is too large");
            return 0;
        }
        return (int64_t)v;
    }
    uint8_t t = take_tag(c);
    if (t >= 0xe0)
        return (int8_t)t;
    switch (t) {
    case 0xd0:
        return (int8_t)take_be(c, 1);
    case 0xd1:
        return (int16_t)take_be(c, 2);
    case 0xd2:
        return (int32_t)take_be(c, 4);
    case 0xd3:
        return (int64_t)take_be(c, 8);
    default:
        mp_fault(c, "not a number where one belongs");
        return 0;
    }
}

int32_t mp_i32(struct mp_cursor *c)
{
    int64_t v = mp_i64(c);
    if (v > INT32_MAX || v < INT32_MIN) {
        mp_fault(c, "a number is too large");
        return 0;
    }
    return (int32_t)v;
}

struct bytes mp_str(struct mp_cursor *c)
{
    uint8_t t = take_tag(c);
    if (t >= 0xa0 && t <= 0xbf)
        return take_bytes(c, t & 0x1f);
    switch (t) {
    case 0xd9:
        return take_bytes(c, take_be(c, 1));
    case 0xda:
        return take_bytes(c, take_be(c, 2));
    case 0xdb:
        return take_bytes(c, take_be(c, 4));
    default:
        mp_fault(c, "not a string where one belongs");
        return (struct bytes){"", 0};
    }
}

struct bytes mp_bin(struct mp_cursor *c)
{
    switch (take_tag(c)) {
    case 0xc4:
        return take_bytes(c, take_be(c, 1));
    case 0xc5:
        return take_bytes(c, take_be(c, 2));
    case 0xc6:
        return take_bytes(c, take_be(c, 4));
    default:
        mp_fault(c, "not bytes where they belong");
        return (struct bytes){"", 0};
    }
}

struct bytes mp_ext(struct mp_cursor *c, int8_t *type)
{
    uint64_t size = 0;
    uint8_t t = take_tag(c);
    switch (t) {
    case 0xc7:
        size = take_be(c, 1);
        break;
    case 0xc8:
        size = take_be(c, 2);
        break;
    case 0xc9:
        size = take_be(c, 4);
        break;
    case 0xd4:
    case 0xd5:
    case 0xd6:
    case 0xd7:
    case 0xd8:
        size = UINT64_C(1) << (t - 0xd4);
        break;
    default:
        mp_fault(c, "not an ext object where one belongs");
    }
    *type = (int8_t)take_be(c, 1);
    return take_bytes(c, size);
}

static uint32_t checked_count(struct mp_cursor *c, uint64_t n, unsigned objects)
{
    if (c->fault || n > left(c) / objects) {
        mp_fault(c, "a count is larger than what is left");
        return 0;
    }
    return (uint32_t)n;
}

uint32_t mp_array(struct mp_cursor *c)
{
    uint8_t t = take_tag(c);
    if (t >= 0x90 && t <= 0x9f)
        return checked_count(c, t & 0x0f, 1);
    if (t == 0xdc)
        return checked_count(c, take_be(c, 2), 1);
    if (t == 0xdd)
        return checked_count(c, take_be(c, 4), 1);
    mp_fault(c, "not an array where one belongs");
    return 0;
}

uint32_t mp_map(struct mp_cursor *c)
{
    uint8_t t = take_tag(c);
    if (t >= 0x80 && t <= 0x8f)
        return checked_count(c, t & 0x0f, 2);
    if (t == 0xde)
        return checked_count(c, take_be(c, 2), 2);
    if (t == 0xdf)
        return checked_count(c, take_be(c, 4), 2);
    mp_fault(c, "not a map where one belongs");
    return 0;
}

int mp_end(const struct mp_cursor *c, const char *what, struct err *err)
{
    if (c->fault)
        return err_set(err, ERR_PERMANENT, "%s: %s", what, c->fault);
    if (c->pos != c->end)
        return err_set(err, ERR_PERMANENT, "%s: %zu bytes after its last field", what, left(c));
    return 0;
}
