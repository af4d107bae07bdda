/*
 * error_rules.h - what a database's error numbers mean for the group that is being applied: a table
 * by number.
 */
#ifndef PG2ANY_ERROR_RULES_H
#define PG2ANY_ERROR_RULES_H

#include "base/err.h"

struct error_rule {
    int number; /* 0: the last rule, for all numbers that the table does not have */
    /* Whether repeating the group may help, a restart may help, or only a person can. */
    enum err_kind kind;
    const char *hint; /* what helps; NULL: nothing to say */
};

const struct error_rule *error_rule_find(const struct error_rule *rules, int number);

/* Adds to an error the rule's hint, and that it is unknown where the rule is the last; returns -1.
 */
int error_rule_hint(const struct error_rule *rule, struct err *err);

#endif
