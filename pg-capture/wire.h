/*
 * wire.h - reads the fields of one message of the replication protocol: integers in network byte
 * order and zero-terminated strings.
 *
 * The first short read persists: every later get returns zero or "", and the caller checks `fault`
 * once, after reading everything. What is returned points into the message.
 */
#ifndef PG2ANY_WIRE_H
#define PG2ANY_WIRE_H

#include <stddef.h>
#include <stdint.h>
#include <string.h>

struct wire {
    const uint8_t *pos;
    const uint8_t *end;
    const char *fault; /* NULL: nothing was wrong yet */
};

static inline struct wire wire(const void *data, size_t size)
{
    const uint8_t *pos = data;
    return (struct wire){pos, pos + size, NULL};
}

/* Marks the message as wrong; the first reason stays. `reason` must live for ever. */
static inline void wire_fault(struct wire *w, const char *reason)
{
    if (!w->fault)
        w->fault = reason;
    w->pos = w->end;
}

/* The next `n` bytes, or NULL. */
static inline const uint8_t *wire_take(struct wire *w, size_t n)
{
    if ((size_t)(w->end - w->pos) < n) {
        wire_fault(w, "it ends too early");
        return NULL;
    }
    const uint8_t *p = w->pos;
    w->pos += n;
    return p;
}

static inline uint8_t wire_u8(struct wire *w)
{
    const uint8_t *p = wire_take(w, 1);
    return p ? p[0] : 0;
}

static inline uint16_t wire_u16(struct wire *w)
{
    const uint8_t *p = wire_take(w, 2);
    return p ? (uint16_t)(p[0] << 8 | p[1]) : 0;
}

static inline uint32_t wire_u32(struct wire *w)
{
    const uint8_t *p = wire_take(w, 4);
    return p ? (uint32_t)p[0] << 24 | (uint32_t)p[1] << 16 | (uint32_t)p[2] << 8 | p[3] : 0;
}

static inline uint64_t wire_u64(struct wire *w)
{
    uint64_t high = wire_u32(w);
    return high << 32 | wire_u32(w);
}

static inline const char *wire_string(struct wire *w)
{
    size_t left = (size_t)(w->end - w->pos);
    const uint8_t *zero = left > 0 ? memchr(w->pos, 0, left) : NULL;
    if (!zero) {
        wire_fault(w, "a string without an end");
        return "";
    }
    const char *s = (const char *)w->pos;
    w->pos = zero + 1;
    return s;
}

/* A field of flags of which none but those in `known` may be set. */
static inline uint8_t wire_flags(struct wire *w, uint8_t known)
{
    uint8_t flags = wire_u8(w);
    if (flags & (uint8_t)~known)
        wire_fault(w, "flags that are not known");
    return flags;
}

#endif
