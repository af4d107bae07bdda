#include "sql/ask_copy.h"

#include <string.h>

#include "base/log.h"
#include "sql/copied.h"
#include "sql/left_out.h"
#include "sql/own.h"

/* What becomes of one table. */
enum answer { ANSWER_COPY, ANSWER_ASIDE, ANSWER_REPLAY, ANSWER_NONE, ANSWER_STAYS };

static const char *const answers[] = {
    "the table will be copied again; until then its rows stay as they are",
    "the table is set aside: its rows stay as they are until it is copied again",
    "what was kept of the table, which was set aside, is to be replayed",
    "the table is not copied, and stays as it is",
    "the table is not set aside",
};

static int decide(const struct asked_copies *asked, struct own_row *row, enum answer *answer,
                  struct err *err)
{
    const char *namespace = buf_cstr(&row->fields[RELATION_NAMESPACE]),
               *name = buf_cstr(&row->fields[RELATION_NAME]);
    struct copied c;
    size_t size;
    int rc = copied_parse(&c, &row->fields[RELATION_FRAME], &size, err);
    bool aside = c.aside, refused = aside && strcmp(c.aside, COPIED_PAUSED) != 0;
    *answer = asked->aside                   ? ANSWER_ASIDE
              : asked->resume && !aside      ? ANSWER_STAYS
              : asked->resume && c.file.kept ? ANSWER_REPLAY
                                             : ANSWER_COPY;
    copied_free(&c);
    if (rc || *answer > ANSWER_ASIDE)
        return rc;
    if (asked->resume && refused) {
        (void)err_set(err, ERR_PERMANENT,
                      "table %s.%s cannot be replayed: not all that came for it since it was set "
                      "aside is kept",
                      namespace, name);
        return err_hint(err, "mend what was refused, then: pg2any copy %s.%s", namespace, name);
    }
    if (!asked->copies || table_names_has(asked->copies, namespace, name))
        return 0;
    *answer = ANSWER_NONE;
    if (!asked->names)
        return 0;
    (void)err_set(err, ERR_PERMANENT, "table %s.%s is not copied", namespace, name);
    return err_hint(err, "let pg-capture copy it: --copy initial (CDC_COPY), with its name in "
                         "--copy-tables (CDC_COPY_TABLES), if that is given");
}

static int write_answer(const struct asked_copies *asked, enum answer answer, struct buf *frame,
                        struct err *err)
{
    struct copied c;
    size_t size;
    if (answer == ANSWER_ASIDE)
        return copied_set_aside(frame, asked->lsn, false, COPIED_PAUSED, false, err);
    if (answer == ANSWER_COPY)
        return copied_ask(frame, asked->lsn, asked->anew, err);
    int rc = copied_parse(&c, frame, &size, err);
    c.file.asked = true;
    if (rc == 0)
        rc = copied_set_file(frame, &c.file, NULL, err);
    copied_free(&c);
    return rc;
}

/* Of one relation; *is_due: something is to become of it now. */
static int ask_for(const struct driver_ops *ops, struct driver *d, const struct asked_copies *asked,
                   struct own_row *row, bool *is_due, struct err *err)
{
    const struct own_key key = {
        .table = OWN_RELATION, .origin = asked->origin, .relid = row->relid};
    struct buf *frame = &row->fields[RELATION_FRAME];
    const char *namespace = buf_cstr(&row->fields[RELATION_NAMESPACE]),
               *name = buf_cstr(&row->fields[RELATION_NAME]);
    enum answer answer;
    *is_due = !table_names_has(asked->skip, namespace, name);
    if (!*is_due) {
        log_warning("the table is left out, as --skip-table says, and stays so", "schema",
                    namespace, "table", name, NULL);
        return 0;
    }
    left_out_clear(frame);
    if (decide(asked, row, &answer, err))
        return -1;
    *is_due = answer != ANSWER_NONE;
    if (answer < ANSWER_NONE && (write_answer(asked, answer, frame, err) ||
                                 own_row_check(row, err) || ops->remember(d, &key, row, true, err)))
        return err_context(err, "writing " RELATION_TABLE);
    log_info(answers[answer], "schema", namespace, "table", name, NULL);
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
            return -1;
        if (!found)
            return check_met(asked->names, ndue, err);
    }
}
