#include "sql/skip_tables.h"

#include <string.h>

int skip_tables_parse(struct table_names *s, const struct option_list *given, struct err *err)
{
    *s = (struct table_names){0};
    for (size_t i = 0; i < given->n; i++)
        if (strcmp(given->items[i], "none") != 0 && table_names_add(s, given->items[i], false, err))
            return err_context(err, "--skip-table");
    return 0;
}

int skip_tables_hint(const struct table_names *s, const struct relation *rel, struct err *err)
{
    struct buf table = {0};
    table_names_put(&table, rel->namespace, rel->name);
    if (s->n > 0)
        (void)err_hint(err, "or leave the table out: add %s to --skip-table", buf_cstr(&table));
    else
        (void)err_hint(err, "or leave the table out: --skip-table %s", buf_cstr(&table));
    buf_free(&table);
    return -1;
}
