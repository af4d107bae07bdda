#include "sql/error_rules.h"

#include <stddef.h>

#include "base/option_name.h"

const struct error_rule *error_rule_find(const struct error_rule *rules, int number)
{
    while (rules->number != 0 && rules->number != number)
        rules++;
    return rules;
}

int error_rule_hint(const struct error_rule *rule, struct err *err)
{
    err->unknown = rule->number == 0;
    return rule->hint ? err_hint(err, "%s", OPTION_TEXT(rule->hint)) : -1;
}
