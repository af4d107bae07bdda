#include "sql/names.h"

#include <string.h>
#include <strings.h>

#include "base/option_name.h"

int names_refuse_prefix(const char *table, const char *prefix, const char *mend, struct err *err)
{
    if (strncasecmp(table, prefix, strlen(prefix)) != 0)
        return 0;
    (void)err_set(err, ERR_PERMANENT,
                  "the table would get the name %s, and the target keeps names that begin with %s "
                  "for itself",
                  table, prefix);
    return err_hint(err, "%s", OPTION_TEXT(mend));
}

#define FOUR_BYTES 0xf0 /* a character of UTF-8 that begins so, or above, is beyond U+FFFF */

static const char *fault_of(const char *name)
{
    size_t n = strlen(name);
    if (n > 0 && name[n - 1] == ' ')
        return "ends with a blank";
    for (const char *p = name; *p; p++)
        if ((unsigned char)*p >= FOUR_BYTES)
            return "has a character beyond U+FFFF";
    return NULL;
}

static int refuse(const char *what, const char *name, const char *fault, struct err *err)
{
    (void)err_set(err, ERR_PERMANENT,
                  "the name of the %s %s %s, which the target does not take in names", what, name,
                  fault);
    return err_hint(err, "rename it at the source, or leave it out of the publication");
}

int names_refuse_characters(const struct relation *rel, struct err *err)
{
    const char *fault = fault_of(rel->name);
    if (fault)
        return refuse("table", rel->name, fault, err);
    for (uint32_t i = 0; i < rel->ncolumns; i++)
        if ((fault = fault_of(rel->columns[i].name)) != NULL)
            return refuse("column", rel->columns[i].name, fault, err);
    return 0;
}
