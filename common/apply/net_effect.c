#include "apply/net_effect.h"

#include <stdlib.h>
#include <string.h>

#define MOST_CHANGES 32768
#define MOST_VALUES  262144
#define SLOTS        131072 /* a power of two; a change has two keys at most */
#define FIRST_LANES  8
#define KINDS        3

/* What a key was last in. */
struct net_slot {
    uint64_t hash; /* two keys with one hash only keep their order; those that differ in padding may
                      be one to the source or the target */
    uint32_t epoch;
    uint32_t last; /* change, and one more */
};

int net_effect_init(struct net_effect *p, net_accepts_fn *accepts, void *ctx, struct err *err)
{
    p->accepts = accepts;
    p->ctx = ctx;
    p->changes = calloc(MOST_CHANGES, sizeof *p->changes);
    p->values = calloc(MOST_VALUES, sizeof *p->values);
    p->slots = calloc(SLOTS, sizeof *p->slots);
    p->epoch = 1;
    p->behind = &p->first;
    return p->changes && p->values && p->slots ? 0 : err_nomem(err);
}

void net_effect_free(struct net_effect *p)
{
    free(p->changes);
    free(p->values);
    free(p->slots);
    *p = (struct net_effect){0};
}

void net_table_free(struct net_table *t)
{
    free(t->lanes);
    *t = (struct net_table){0};
}

void net_effect_clear(struct net_effect *p)
{
    if (net_effect_is_empty(p))
        return;
    for (struct net_table *t = p->first, *next; t; t = next) {
        next = t->next;
        t->nlanes = 0;
        t->last = 0;
        t->merged = 0;
        t->next = NULL;
    }
    p->first = NULL;
    p->behind = &p->first;
    p->nchanges = p->nvalues = 0;
    if (++p->epoch == 0) {
        memset(p->slots, 0, SLOTS * sizeof *p->slots);
        p->epoch = 1;
    }
}

bool net_effect_has_room(const struct net_effect *p, size_t nvalues)
{
    return p->nchanges < MOST_CHANGES && MOST_VALUES - p->nvalues >= nvalues;
}

struct value *net_effect_values(struct net_effect *p)
{
    return p->values + p->nvalues;
}

/* ---- keys ---- */

static bool has_whole_key(const struct identity *id, const struct value *values)
{
    for (uint32_t i = 0; i < id->n; i++)
        if (values[id->columns[i]].kind == VALUE_NULL ||
            values[id->columns[i]].kind == VALUE_UNCHANGED)
            return false;
    return true;
}

bool net_effect_takes(const struct net_table *t, enum change_kind kind,
                      const struct row_change *row)
{
    /* One that came into a row filter: the row may be there, put in by hand. */
    for (uint32_t i = 0; kind == CHANGE_INSERT && i < t->ncolumns; i++)
        if (row->new[i].kind == VALUE_UNCHANGED)
            return false;
    return !t->by_key || ((!row->old || has_whole_key(t->identity, row->old)) &&
                          (!row->new || has_whole_key(t->identity, row->new)));
}

static uint64_t mix(uint64_t h, uint64_t word)
{
    h = (h ^ word) * UINT64_C(0x9e3779b97f4a7c15);
    return h ^ h >> 32;
}

/* Without what follows that some take for nothing: blanks of text, zeros of bytes, which stand as
 * they are or as \x…00. */
static uint32_t size_without_padding(const struct value *v)
{
    bool hexadecimal = v->size >= 2 && v->data[0] == '\\' && v->data[1] == 'x';
    uint32_t size = v->size;
    while (size > 0 && (v->data[size - 1] == (hexadecimal ? '0' : ' ') || v->data[size - 1] == 0))
        size--;
    return size;
}

static uint64_t hash_key(const struct net_table *t, const struct value *values)
{
    uint64_t h = mix(0, (uintptr_t)t);
    for (uint32_t i = 0; i < t->identity->n; i++) {
        const struct value *v = &values[t->identity->columns[i]];
        uint32_t size = size_without_padding(v), at = 0;
        h = mix(h, size);
        for (uint64_t word; size - at >= sizeof word; at += sizeof word) {
            memcpy(&word, v->data + at, sizeof word);
            h = mix(h, word);
        }
        uint64_t rest = 0;
        if (size > at)
            memcpy(&rest, v->data + at, size - at);
        h = mix(h, rest);
    }
    return h;
}

static struct net_slot *find_slot(struct net_effect *p, uint64_t hash)
{
    for (uint64_t i = hash;; i++) {
        struct net_slot *s = &p->slots[i & (SLOTS - 1)];
        if (s->epoch != p->epoch)
            *s = (struct net_slot){.hash = hash, .epoch = p->epoch};
        if (s->hash == hash)
            return s;
    }
}

/* ---- lanes ---- */

static uint32_t place_of(enum change_kind kind)
{
    return kind == CHANGE_DELETE ? 0 : kind == CHANGE_UPDATE ? 1 : 2;
}

enum change_kind net_effect_kind(size_t lane)
{
    static const enum change_kind kinds[KINDS] = {CHANGE_DELETE, CHANGE_UPDATE, CHANGE_INSERT};
    return kinds[lane % KINDS];
}

/* The first lane of a kind that is not before another; `behind`: nor the same one. */
static uint32_t lane_from(enum change_kind kind, uint32_t other, bool behind)
{
    uint32_t lane = other - other % KINDS + place_of(kind);
    return lane < other || (behind && lane == other) ? lane + KINDS : lane;
}

static int make_lanes(struct net_table *t, uint32_t lane, struct err *err)
{
    size_t cap = t->cap ? t->cap : FIRST_LANES;
    while (cap <= lane)
        cap *= 2;
    if (cap > t->cap) {
        struct net_lane *lanes = realloc(t->lanes, cap * sizeof *lanes);
        if (!lanes)
            return err_nomem(err);
        t->lanes = lanes;
        t->cap = cap;
    }
    for (; t->nlanes <= lane; t->nlanes++)
        t->lanes[t->nlanes] = (struct net_lane){0};
    return 0;
}

static int append(struct net_effect *p, struct net_table *t, uint32_t lane,
                  const struct row_change *row, struct err *err)
{
    bool listed = t->nlanes > 0;
    if (lane >= t->nlanes && make_lanes(t, lane, err))
        return -1;
    if (!listed) {
        *p->behind = t;
        p->behind = &t->next;
    }
    struct net_lane *l = &t->lanes[lane];
    p->changes[p->nchanges] = (struct net_change){.row = *row, .lane = lane};
    if (l->n++ > 0)
        p->changes[l->last].next = p->nchanges + 1;
    else
        l->first = p->nchanges;
    l->last = p->nchanges++;
    return 0;
}

size_t net_effect_rows(const struct net_effect *p, const struct net_lane *lane, uint32_t *at,
                       struct row_change *rows, size_t room)
{
    size_t n = 0;
    if (*at == 0 && lane->n > 0)
        *at = lane->first + 1;
    for (; n < room && *at; *at = p->changes[*at - 1].next)
        rows[n++] = p->changes[*at - 1].row;
    return n;
}

/* ---- merging ---- */

static bool same_value(const struct value *a, const struct value *b)
{
    return a->kind == b->kind && a->size == b->size &&
           (a->size == 0 || memcmp(a->data, b->data, a->size) == 0);
}

/* Puts an UPDATE, which leaves the key as it is, into the change that was the last of the key;
 * false where that cannot be. */
static bool merge(const struct net_effect *p, struct net_table *t, struct row_change *into,
                  const struct row_change *row)
{
    struct value *is = (struct value *)(uintptr_t)into->new; /* in the plan's own memory */
    if (!t->merges || !is || !identity_same_row(t->identity, is, row->new))
        return false;
    for (uint32_t i = 0; i < t->ncolumns; i++)
        if (row->new[i].kind != VALUE_UNCHANGED && is[i].kind != VALUE_UNCHANGED &&
            !same_value(&is[i], &row->new[i]) && !p->accepts(p->ctx, t, i, &is[i]))
            return false;
    for (uint32_t i = 0; i < t->ncolumns; i++)
        if (row->new[i].kind != VALUE_UNCHANGED)
            is[i] = row->new[i];
    t->merged++;
    return true;
}

/* ---- adding ---- */

static bool is_move(const struct net_table *t, enum change_kind kind, const struct row_change *row)
{
    return kind == CHANGE_UPDATE && row->old && !identity_same_row(t->identity, row->old, row->new);
}

static int add_in_table_order(struct net_effect *p, struct net_table *t, enum change_kind kind,
                              const struct row_change *row, struct err *err)
{
    uint32_t lane = place_of(kind);
    if (t->last)
        lane = lane_from(kind, p->changes[t->last - 1].lane, false);
    if (append(p, t, lane, row, err))
        return -1;
    t->last = p->nchanges;
    return 0;
}

int net_effect_add(struct net_effect *p, struct net_table *t, enum change_kind kind,
                   const struct row_change *row, size_t nvalues, struct err *err)
{
    if (!t->by_key) {
        p->nvalues += (uint32_t)nvalues;
        return add_in_table_order(p, t, kind, row, err);
    }
    bool moves = is_move(t, kind, row);
    struct net_slot *slots[2] = {find_slot(p, hash_key(t, identity_of_row(row)))};
    slots[1] = moves ? find_slot(p, hash_key(t, row->new)) : slots[0];
    uint32_t lane = place_of(kind);
    for (int i = 0; i < 2; i++)
        if (slots[i]->last) {
            struct net_change *last = &p->changes[slots[i]->last - 1];
            if (kind == CHANGE_UPDATE && !moves && merge(p, t, &last->row, row))
                return 0;
            uint32_t behind = lane_from(kind, last->lane, t->sets && kind == CHANGE_UPDATE);
            lane = behind > lane ? behind : lane;
        }
    if (append(p, t, lane, row, err))
        return -1;
    p->nvalues += (uint32_t)nvalues;
    slots[0]->last = slots[1]->last = p->nchanges;
    return 0;
}
