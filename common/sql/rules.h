/*
 * rules.h - messages about rules of the target that act when rows are written, and that a driver
 * cannot turn off (docs/TABLES.md). The effects of the source's triggers and foreign keys are
 * replicated, and would be repeated.
 */
#ifndef PG2ANY_RULES_H
#define PG2ANY_RULES_H

#include <stdbool.h>

#include "base/err.h"
#include "base/report.h"
#include "sql/described.h"

/* No row can go there: a trigger would fire; a foreign key of another table would change rows of
 * that. `off` says what turns it off: "drop it". */
void rules_refuse_trigger(struct described_table *t, const char *trigger, const char *off);
void rules_refuse_foreign_key(struct described_table *t, const char *key, const char *off);

/* Permanent error, returned as -1: what has the table's name is no table; `what`: "a view". */
int rules_refuse_object(const char *name, const char *what, struct err *err);

/* Notes in a check that --dest lets them act. */
void rules_note(struct report *report, bool triggers, bool foreign_keys);

#endif
