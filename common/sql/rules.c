#include "sql/rules.h"

#include <stdio.h>

#include "base/option_name.h"

#define ADVICE_SIZE 200

void rules_refuse_trigger(struct described_table *t, const char *trigger, const char *off)
{
    char advice[ADVICE_SIZE];
    (void)snprintf(advice, sizeof advice, "%s; or %s, if the source does not have it", off,
                   OPTION_TEXT("triggers=on in --dest"));
    described_set_unfit(t, advice, "has the trigger %s, which would act on what comes", trigger);
}

void rules_refuse_foreign_key(struct described_table *t, const char *key, const char *off)
{
    char advice[ADVICE_SIZE];
    (void)snprintf(advice, sizeof advice, "%s; or %s, if the source does not have it", off,
                   OPTION_TEXT("foreign_keys=on in --dest"));
    described_set_unfit(t, advice,
                        "has the foreign key %s refer to it, which would change other rows", key);
}

int rules_refuse_object(const char *name, const char *what, struct err *err)
{
    (void)err_set(err, ERR_PERMANENT, "%s in the target is %s, and rows go into tables", name,
                  what);
    return err_hint(err, "give it another name; a replicated table needs this one");
}

void rules_note(struct report *report, bool triggers, bool foreign_keys)
{
    const struct {
        bool on;
        const char *what, *parameter;
    } rules[] = {{triggers, "triggers", "triggers=on"},
                 {foreign_keys, "foreign keys", "foreign_keys=on"}};
    for (size_t i = 0; i < sizeof rules / sizeof *rules; i++) {
        if (!rules[i].on)
            continue;
        report_note(report, "target: %s act on what the applier writes (%s)", rules[i].what,
                    rules[i].parameter);
        report_mend(
            report,
            "the effects of what the source has as well would be repeated (docs/TABLES.md)");
    }
}
