/*
 * net_effect.h - the changes of a group, arranged so that few statements bring them in: long runs
 * of one table and one kind, in the place of the source's order.
 *
 * What may overtake what says row_order.h. Each change gets a lane of its table, the first behind
 * those of the changes that it has to follow; the lanes of a table are its deletes, updates,
 * inserts, deletes again, and so on. Every change that is not merged is executed, behind all that
 * was done to its key before: it finds the row, or none, as it would have in the source's order. So
 * a conflict is met here exactly where it is met there, and whoever calls applies the group in the
 * source's order then. Nothing else may differ but what one transaction does not show.
 *
 * What one key gets, and what the target has to have before:
 *
 *   first    then                  becomes                               before
 *   INSERT   UPDATE                INSERT of what the row is then        no such row
 *   UPDATE   UPDATE                UPDATE of what either has sent        the row
 *   a to b   UPDATE of b           UPDATE of a to b, the same            a, and no b
 *   INSERT   DELETE                both                                  no such row
 *   UPDATE   DELETE                both                                  the row
 *   DELETE   INSERT                both                                  the row
 *   a to b   b to c, DELETE of b   both                                  a, and no b
 *
 * The target itself checks that: an INSERT of a row that is there, an UPDATE or a DELETE of one
 * that is not is a conflict. So nothing cancels out: an INSERT and its DELETE are both sent,
 * because a row that is there already is to be found. An UPDATE in the place of a DELETE and an
 * INSERT would keep what only the target has in the row.
 *
 * Merging leaves out what a row was in between. It is done only where that could not have been
 * refused, which `accepts` says of each value that another takes the place of, and never where the
 * key changes. An unchanged value (TOAST) leaves the one before as it is.
 *
 * Knows nothing of targets but that. Memory is bounded: a plan that is full is applied, and another
 * begun. What is handed in is borrowed until net_effect_clear().
 */
#ifndef PG2ANY_NET_EFFECT_H
#define PG2ANY_NET_EFFECT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"
#include "frames/value.h"
#include "sql/driver.h"
#include "sql/identity.h"

struct net_table;

/* Whether no row of the table could be refused because of a value in that column. */
typedef bool net_accepts_fn(void *ctx, const struct net_table *t, uint32_t column,
                            const struct value *v);

/* The changes of one kind that go together; indexes into the plan. */
struct net_lane {
    uint32_t first, last, n;
};

/* A table in a plan. The first part is the caller's, set when it is bound; the rest zeroed. */
struct net_table {
    void *owner; /* the caller's own */
    const struct identity *identity;
    uint32_t ncolumns;
    bool by_key; /* ORDER_OF_KEY; otherwise ORDER_OF_TABLE */
    bool sets;   /* UPDATEs of a slice are a set: a second one of a key gets a lane of its own */
    bool merges; /* where `accepts` says so */

    struct net_lane *lanes;
    size_t nlanes, cap;
    uint32_t last;   /* change, and one more; 0: none */
    uint64_t merged; /* updates that went into others */
    struct net_table *next;
};

struct net_change {
    struct row_change row;
    uint32_t lane;
    uint32_t next; /* in the lane, and one more; 0: none */
};

struct net_slot; /* a key */

struct net_effect {
    struct net_change *changes;
    struct value *values;
    struct net_slot *slots;
    uint32_t nchanges, nvalues;
    net_accepts_fn *accepts;
    void *ctx;                         /* of accepts */
    uint32_t epoch;                    /* slots of others are free */
    struct net_table *first, **behind; /* those with changes, in the order of their first */
};

MUST_CHECK int net_effect_init(struct net_effect *p, net_accepts_fn *accepts, void *ctx,
                               struct err *err);
void net_effect_free(struct net_effect *p);
/* No plan must have changes of it. */
void net_table_free(struct net_table *t);

/* Whether another change has room, with so many values. */
bool net_effect_has_room(const struct net_effect *p, size_t nvalues);

/* Room for the values of the change that is added next; they stay when it is. */
struct value *net_effect_values(struct net_effect *p);

/* Whether the change says by its key which row it is of, and all of that: otherwise it is not for a
 * plan. */
bool net_effect_takes(const struct net_table *t, enum change_kind kind,
                      const struct row_change *row);

/* Adds a change, whose `nvalues` values were put where net_effect_values() says. It is one that the
 * plan takes, and has room. */
MUST_CHECK int net_effect_add(struct net_effect *p, struct net_table *t, enum change_kind kind,
                              const struct row_change *row, size_t nvalues, struct err *err);

/* The kind of the changes in a lane. */
enum change_kind net_effect_kind(size_t lane);

/* Copies up to `room` rows of a lane from *at on, which is 0 at first, and moves it; how many. */
size_t net_effect_rows(const struct net_effect *p, const struct net_lane *lane, uint32_t *at,
                       struct row_change *rows, size_t room);

static inline bool net_effect_is_empty(const struct net_effect *p)
{
    return p->nchanges == 0;
}

/* Forgets all changes, not the tables. */
void net_effect_clear(struct net_effect *p);

#endif
