/*
 * mp_cursor.h - reads msgpack objects in order from bytes that nobody has checked yet.
 *
 * The first thing that is wrong (a short read, another type than asked for, a count that the rest
 * cannot hold) is remembered and sticks: every later get returns zero, and mp_end() reports it. So
 * a decoder reads all its fields straight through and looks once. Nothing is allocated or copied:
 * strings point into the input.
 *
 * msgpack-c's own unpacker is not used for reading because it sizes an allocation by the counts it
 * finds. The format: the MessagePack specification, "Formats".
 */
#ifndef PG2ANY_MP_CURSOR_H
#define PG2ANY_MP_CURSOR_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"

struct mp_cursor {
    const uint8_t *pos;
    const uint8_t *end;
    const char *fault; /* the first thing that was wrong; NULL: nothing yet */
};

/* Bytes that belong to the input. */
struct bytes {
    const char *data;
    size_t size;
};

/* Kinds of what comes next. */
enum mp_kind {
    MP_FAULT,
    MP_NIL,
    MP_BOOL,
    MP_UINT,
    MP_INT,
    MP_STR,
    MP_BIN,
    MP_ARRAY,
    MP_MAP,
    MP_EXT,
    MP_FLOAT
};

struct mp_cursor mp_cursor(const void *data, size_t size);
enum mp_kind mp_peek(const struct mp_cursor *c); /* MP_UINT for any number >= 0 */

bool mp_nil(struct mp_cursor *c); /* takes a nil if there is one; not a fault otherwise */
bool mp_bool(struct mp_cursor *c);
uint64_t mp_u64(struct mp_cursor *c);
uint32_t mp_u32(struct mp_cursor *c); /* larger is a fault */
int64_t mp_i64(struct mp_cursor *c);
int32_t mp_i32(struct mp_cursor *c);
struct bytes mp_str(struct mp_cursor *c);
struct bytes mp_bin(struct mp_cursor *c);
struct bytes mp_ext(struct mp_cursor *c, int8_t *type);

/* Number of elements; a count larger than the bytes that are left is a fault. */
uint32_t mp_array(struct mp_cursor *c);
uint32_t mp_map(struct mp_cursor *c); /* number of pairs */

/* Marks the input as wrong; the first reason stays. `reason` must live for ever. */
void mp_fault(struct mp_cursor *c, const char *reason);

/* Permanent error "<what>: <fault>" unless everything was read and nothing was wrong. */
MUST_CHECK int mp_end(const struct mp_cursor *c, const char *what, struct err *err);

#endif
