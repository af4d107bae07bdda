#include "apply/apply_inspect.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/log.h"
#include "base/lsn.h"
#include "base/report.h"
#include "frames/frame_reader.h"

#define MAX_CAVEATS 32

/* What no target column of a kind can hold, and the first columns that it is about. */
struct caveat {
    const char *text;
    struct buf columns;
    unsigned n;
};

struct inspection {
    const struct dest_ops *ops;
    struct dest *dest;
    enum schema_ddl ddl;
    const char *origin; /* NULL: the slot's name */
    struct report report;
    unsigned there, missing; /* tables that fit, and tables that will be made */
    struct caveat caveats[MAX_CAVEATS];
    size_t ncaveats;
};

static void note_caveats(struct inspection *i, const struct relation *rel)
{
    enum { SHOWN = 3 };
    for (uint32_t c = 0; c < rel->ncolumns; c++) {
        const char *text = i->ops->caveat(&rel->columns[c]);
        size_t at = 0;
        while (at < i->ncaveats && text && strcmp(i->caveats[at].text, text) != 0)
            at++;
        if (!text || at == MAX_CAVEATS)
            continue;
        if (at == i->ncaveats)
            i->caveats[i->ncaveats++] = (struct caveat){.text = text};
        struct caveat *caveat = &i->caveats[at];
        if (caveat->n++ < SHOWN)
            buf_printf(&caveat->columns, "%s%s.%s.%s", caveat->columns.len ? ", " : "",
                       rel->namespace, rel->name, rel->columns[c].name);
    }
}

/* A table that is there: whether the relation's rows fit into it. */
static void check_table(struct inspection *i, const struct relation *rel, const char *target)
{
    struct err err = {0};
    struct dest_table *table;
    char what[300];
    (void)snprintf(what, sizeof what, "table %.100s.%.100s", rel->namespace, rel->name);
    if (i->ops->table_open(i->dest, target, rel, &table, &err)) {
        report_err(&i->report, &err, what);
        return;
    }
    i->ops->table_close(i->dest, table);
    i->there++;
}

static void check_missing_table(struct inspection *i, const struct relation *rel,
                                const char *target)
{
    struct err err = {0};
    char what[300];
    (void)snprintf(what, sizeof what, "table %.100s.%.100s", rel->namespace, rel->name);
    if (i->ddl == SCHEMA_DDL_NONE) {
        report_fail(&i->report, "%s: the target has no %s, and --ddl none makes none", what,
                    target);
        report_mend(&i->report, "create it, or use --ddl create or evolve");
    } else if (i->ops->table_create(i->dest, target, rel, &err)) {
        report_err(&i->report, &err, what);
    } else {
        i->missing++;
    }
}

static int check_relation(struct inspection *i, const struct frame *f, struct err *err)
{
    struct relation *rel;
    struct buf target = {0};
    bool exists = false;
    if (relation_from_frame(f, &rel, err))
        return -1;
    int rc = i->ops->target_name(i->dest, rel, &target, err);
    if (rc && err->kind == ERR_PERMANENT) {
        report_err(&i->report, err, rel->name);
        rc = 0;
    } else if (rc == 0) {
        rc = i->ops->table_exists(i->dest, buf_cstr(&target), &exists, err);
        if (rc == 0 && exists)
            check_table(i, rel, buf_cstr(&target));
        else if (rc == 0)
            check_missing_table(i, rel, buf_cstr(&target));
        note_caveats(i, rel);
    }
    buf_free(&target);
    relation_unref(rel);
    return rc;
}

/* Where the stream would begin, and where the target stands. */
static int check_position(struct inspection *i, const struct frame *f, struct err *err)
{
    struct frame_hello h;
    struct checkpoint c;
    char slot[256];
    bool found;
    if (frame_get_hello(f, &h, err))
        return -1;
    (void)snprintf(slot, sizeof slot, "%.*s", (int)h.slot.size, (const char *)h.slot.data);
    const char *origin = i->origin ? i->origin : slot;
    if (i->ops->checkpoint_get(i->dest, origin, &c, &found, err))
        return -1;
    if (found && c.remote_lsn < h.start_lsn) {
        report_fail(&i->report,
                    "the target has applied up to %s, but the slot begins at %s: the "
                    "changes between the two are gone",
                    LSN(c.remote_lsn), LSN(h.start_lsn));
        report_mend(&i->report, "build the target anew (docs/OPERATIONS.md)");
    } else if (found) {
        report_ok(&i->report, "the target has applied up to %s of origin %s", LSN(c.remote_lsn),
                  origin);
    } else if (h.slot_created) {
        report_note(&i->report, "only changes from the slot's beginning on come: rows that are in "
                                "the tables already have to be copied (docs/OPERATIONS.md, The "
                                "initial copy)");
    } else {
        report_note(&i->report,
                    "the target has no checkpoint of origin %s: is it the right one? It would "
                    "begin where the slot stands, at %s; what was committed before must be there "
                    "already",
                    origin, LSN(h.start_lsn));
    }
    return 0;
}

/* Every relation on stdin; `*any`: a description came at all. */
static int check_relations(struct inspection *i, bool *any, struct err *err)
{
    struct frame_reader input;
    int rc = 0;
    *any = false;
    frame_reader_init(&input, STDIN_FILENO);
    while (rc == 0) {
        struct frame f;
        enum frame_reader_status status = frame_reader_next(&input, &f, err);
        if (status == FRAME_READER_ERROR) {
            rc = -1;
        } else if (status == FRAME_READER_FRAME) {
            *any = true;
            if (f.type == FRAME_END)
                break;
            if (f.type == FRAME_HELLO)
                rc = check_position(i, &f, err);
            else if (f.type == FRAME_RELATION)
                rc = check_relation(i, &f, err);
        } else if (input.eof) {
            break;
        } else if (frame_reader_fill(&input, err) < 0) {
            rc = -1;
        }
    }
    frame_reader_free(&input);
    return rc;
}

static int check_all(struct inspection *i, const struct dest_config *config, struct err *err)
{
    bool any = false;
    if (i->ops->open(config, &i->dest, err) ||
        i->ops->check(i->dest, i->ddl != SCHEMA_DDL_NONE, &i->report, err) ||
        check_relations(i, &any, err))
        return -1;
    if (!any)
        report_note(&i->report, "no description of the source's tables came: their types are not "
                                "checked");
    else if (i->report.failures == 0)
        report_ok(&i->report, "tables: %u are there and fit, %u will be made", i->there,
                  i->missing);
    for (size_t c = 0; c < i->ncaveats; c++)
        report_note(&i->report, "%s (%s%s)", i->caveats[c].text, buf_cstr(&i->caveats[c].columns),
                    i->caveats[c].n > 3 ? ", ..." : "");
    return 0;
}

int apply_check(const struct dest_ops *ops, const struct dest_config *config, enum schema_ddl ddl,
                const char *origin, struct err *err)
{
    struct inspection i = {.ops = ops, .ddl = ddl, .origin = origin, .report.fd = STDERR_FILENO};
    struct dest_config look = *config;
    look.look_only = true;
    int rc = check_all(&i, &look, err);
    if (rc) {
        enum err_kind kind = err->kind;
        report_err(&i.report, err, "target");
        (void)err_set(err, kind, "the target could not be checked to the end");
    } else if (i.report.failures > 0) {
        rc = err_set(err, ERR_PERMANENT, "checks of the target that failed: %u", i.report.failures);
    }
    if (i.dest)
        ops->close(i.dest);
    for (size_t c = 0; c < i.ncaveats; c++)
        buf_free(&i.caveats[c].columns);
    return rc;
}

static int no_origin(struct err *err)
{
    (void)err_set(err, ERR_PERMANENT, "of which origin?");
    return err_hint(err, "--origin NAME: the slot's name, unless it was given another");
}

int apply_status(const struct dest_ops *ops, const struct dest_config *config, const char *origin,
                 struct err *err)
{
    struct report r = {.fd = STDOUT_FILENO};
    struct dest_config look = *config;
    struct dest *dest;
    struct checkpoint c;
    bool found;
    look.look_only = true;
    if (!origin)
        return no_origin(err);
    if (ops->open(&look, &dest, err))
        return -1;
    int rc = ops->checkpoint_get(dest, origin, &c, &found, err);
    ops->close(dest);
    if (rc)
        return -1;
    if (!found) {
        report_value(&r, "checkpoint", "%s has none", origin);
        return 0;
    }
    char time[PG_TIME_TEXT_SIZE];
    report_value(&r, "checkpoint", "%s of origin %s", LSN(c.remote_lsn), origin);
    report_value(&r, "last commit", "%s",
                 c.commit_time_us ? pg_time_text(time, c.commit_time_us) : "none yet");
    report_value(&r, "follows", "system %s, timeline %u", c.system_identifier, c.timeline);
    return 0;
}

int apply_drop_checkpoint(const struct dest_ops *ops, const struct dest_config *config,
                          const char *origin, struct err *err)
{
    struct dest *dest;
    struct checkpoint c;
    bool found;
    if (!origin)
        return no_origin(err);
    /* First to look: opening it for work would make what is missing. */
    struct dest_config look = *config;
    look.look_only = true;
    if (ops->open(&look, &dest, err))
        return -1;
    int rc = ops->checkpoint_get(dest, origin, &c, &found, err);
    ops->close(dest);
    if (rc || !found) {
        if (rc == 0)
            log_info("there is no such checkpoint", "origin", origin, NULL);
        return rc;
    }
    if (ops->open(config, &dest, err))
        return -1;
    if (ops->begin(dest, err) || ops->checkpoint_get(dest, origin, &c, &found, err) ||
        ops->checkpoint_drop(dest, origin, err))
        rc = -1;
    else
        log_info("the checkpoint is dropped", "origin", origin, "was_at", LSN(c.remote_lsn), NULL);
    ops->close(dest);
    return rc;
}
