#include "sql/key_set.h"

#include <string.h>

#define MOST_KEYS (KEY_SET_SLOTS / 2)

void key_set_clear(struct key_set *set)
{
    if (set->n > 0)
        memset(set, 0, sizeof *set);
}

static uint64_t hash_bytes(uint64_t h, const void *data, size_t size)
{
    const unsigned char *p = data;
    for (size_t i = 0; i < size; i++)
        h = (h ^ p[i]) * UINT64_C(0x100000001b3); /* FNV-1a */
    return h;
}

static uint64_t hash_identity(const struct identity *id, const struct value *values,
                              const struct value *unsent)
{
    uint64_t h = UINT64_C(0xcbf29ce484222325);
    for (uint32_t i = 0; i < id->n; i++) {
        const struct value *v = &values[id->columns[i]];
        if (v->kind == VALUE_UNCHANGED)
            v = &unsent[id->columns[i]];
        h = hash_bytes(h, &v->kind, sizeof v->kind);
        h = hash_bytes(h, &v->size, sizeof v->size);
        h = hash_bytes(h, v->data, v->size);
    }
    return h ? h : 1;
}

/* Whether the set has the key; otherwise where it goes. */
static bool find_key(struct key_set *set, uint64_t key, uint64_t **slot)
{
    for (uint64_t i = key;; i++) {
        *slot = &set->slots[i % KEY_SET_SLOTS];
        if (**slot == key || **slot == 0)
            return **slot == key;
    }
}

bool key_set_add(struct key_set *set, const struct identity *id, const struct row_change *row)
{
    const struct value *was = identity_of_row(row);
    uint64_t old = hash_identity(id, was, was);
    uint64_t new = row->new ? hash_identity(id, row->new, was) : old;
    uint64_t *slot;
    if (set->n + 2 > MOST_KEYS || find_key(set, new, &slot) || find_key(set, old, &slot))
        return false;
    *slot = old;
    set->n++;
    if (!find_key(set, new, &slot)) {
        *slot = new;
        set->n++;
    }
    return true;
}
