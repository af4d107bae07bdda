#include "sql/ask_copy.h"

#include "base/log.h"
#include "sql/copied.h"
#include "sql/left_out.h"
#include "sql/own.h"

/* Of one relation; *is_due: it is now. */
static int ask_for(const struct driver_ops *ops, struct driver *d, const struct asked_copies *asked,
                   struct own_row *row, bool *is_due, struct err *err)
{
    const struct own_key key = {
        .table = OWN_RELATION, .origin = asked->origin, .relid = row->relid};
    struct buf *frame = &row->fields[RELATION_FRAME];
    const char *namespace = buf_cstr(&row->fields[RELATION_NAMESPACE]),
               *name = buf_cstr(&row->fields[RELATION_NAME]);
    *is_due = !table_names_has(asked->skip, namespace, name);
    if (!*is_due) {
        log_warning("the table is left out, as --skip-table says, and stays so", "schema",
                    namespace, "table", name, NULL);
        return 0;
    }
    left_out_clear(frame);
    if ((asked->aside ? copied_set_aside(frame, asked->lsn, false, COPIED_PAUSED, false, err)
                      : copied_ask(frame, asked->lsn, asked->anew, err)) ||
        own_row_check(row, err) || ops->remember(d, &key, row, true, err))
        return err_context(err, "writing " RELATION_TABLE);
    log_info(asked->aside
                 ? "the table is set aside: its rows stay as they are until it is copied again"
                 : "the table is to be copied again; until then its rows stay as they are",
             "schema", namespace, "table", name, NULL);
    return 0;
}

static int check_met(const struct table_names *names, size_t ndue, struct err *err)
{
    for (size_t i = 0; names && i < names->n; i++)
        if (!names->items[i].met) {
            (void)err_set(err, ERR_PERMANENT, "the target holds no table %s.%s of this origin",
                          names->items[i].namespace,
                          names->items[i].whole ? "*" : names->items[i].name);
            return err_hint(err, "names are those of PostgreSQL: public.t");
        }
    return ndue > 0 ? 0 : err_set(err, ERR_PERMANENT, "the target holds no table of this origin");
}

int ask_copy(const struct driver_ops *ops, struct driver *d, const struct asked_copies *asked,
             struct err *err)
{
    size_t ndue = 0;
    for (uint32_t relid = 0;;) {
        const struct own_key key = {
            .table = OWN_RELATION, .origin = asked->origin, .relid = relid, .next = true};
        struct own_row row = {0};
        bool found = false, is_due = false;
        int rc = ops->recall(d, &key, &row, &found, err);
        if (rc == 0)
            rc = own_row_check(&row, err);
        relid = found ? row.relid : 0;
        if (rc == 0 && found &&
            (!asked->names ||
             table_names_has(asked->names, buf_cstr(&row.fields[RELATION_NAMESPACE]),
                             buf_cstr(&row.fields[RELATION_NAME]))))
            rc = ask_for(ops, d, asked, &row, &is_due, err);
        ndue += is_due;
        own_row_free(&row);
        if (rc)
            return err_context(err, "asking for copies");
        if (!found)
            return check_met(asked->names, ndue, err);
    }
}
