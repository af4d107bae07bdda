/*
 * row_order.h - which changes of a table may overtake each other within one target transaction
 * without a visible effect: neither on the final content nor on errors.
 *
 * That is a matter of the target. A change of a row meets other rows in a unique index; a trigger,
 * a foreign key, a default that counts or an indexed view ties tables together. So it follows from
 * the target's catalog, as the table was described when it was bound; what is not known ties.
 */
#ifndef PG2ANY_ROW_ORDER_H
#define PG2ANY_ROW_ORDER_H

#include <stdbool.h>

#include "sql/driver.h"
#include "sql/table.h"

enum row_order {
    ORDER_OF_ALL,   /* nothing overtakes a change of the table, and it overtakes nothing */
    ORDER_OF_TABLE, /* its changes keep their order; those of other tables are no matter to them */
    ORDER_OF_KEY,   /* the same for changes of one key: all that ties its rows is its identity, of
                       which two are one only where their text is the same, but for blanks or
                       zero bytes at its end */
};

enum row_order row_order(const struct target_table *t, const struct driver_traits *traits);

/* Whether a row of the table is refused for nothing but its key and its values, each by itself: it
 * is one of ours, and nobody has given it a rule. */
bool row_order_values_alone(const struct target_table *t);

#endif
