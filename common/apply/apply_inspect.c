#include "apply/apply_inspect.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/hash.h"
#include "base/json.h"
#include "base/log.h"
#include "base/lsn.h"
#include "base/option_name.h"
#include "base/report.h"
#include "frames/frame_reader.h"

#define MAX_CAVEATS 32

/* What no target column of a kind can hold, and the first columns that it is about. */
struct caveat {
    const char *text;
    struct buf columns;
    unsigned n;
};

/* A table of the target, and whose rows go there. */
struct place {
    char *key, *what; /* key: its name, as the target compares it */
    UT_hash_handle hh;
};

struct inspection {
    struct target *target;
    enum ddl_policy ddl;
    struct table_names *skip;
    const char *given_origin; /* NULL: the slot's name */
    char origin[256];         /* "" until a hello has come */
    struct report report;
    unsigned fit, made, changed; /* tables */
    struct caveat caveats[MAX_CAVEATS];
    size_t ncaveats;
    struct place *places; /* by their names */
    bool goes_on;         /* the target has a checkpoint */
    bool makes_slot;
    uint64_t start_lsn;

    bool takes_copies;
    bool copy_unknown;
    uint32_t due;              /* the relation that was announced last */
    unsigned copied, uncopied; /* tables that will be copied, or will be made without */
};

static void note_caveats(struct inspection *i, const struct relation *rel)
{
    enum { SHOWN = 3 };
    for (uint32_t c = 0; c < rel->ncolumns; c++) {
        const char *text = target_caveat(i->target, rel, c);
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

/* NULL: no memory. */
static char *place_key(const struct inspection *i, const char *name)
{
    char *key = strdup(name);
    for (char *p = key; p && *p && target_folds_names(i->target); p++)
        if (*p >= 'A' && *p <= 'Z')
            *p = (char)(*p - 'A' + 'a');
    return key;
}

static void free_place(struct place *p)
{
    if (p) {
        free(p->key);
        free(p->what);
    }
    free(p);
}

/* A start would bind the one that comes first, and stop at the other. */
static int check_place(struct inspection *i, const char *what, const char *name, struct err *err)
{
    struct place *there = NULL, *p = calloc(1, sizeof *p);
    bool added = false;
    if (p && (p->key = place_key(i, name)) && (p->what = strdup(what))) {
        HASH_FIND_STR(i->places, p->key, there);
        if (!there)
            HASH_TRY_ADD_KEYPTR(i->places, p->key, strlen(p->key), p, added);
    }
    if (there) {
        report_fail(&i->report, "%s: %s is the table of %s already", what, name, there->what);
        report_mend(&i->report, "rename one of the two, leave one out of the publication, or give "
                                "its schema another name or prefix with --schema-map");
    }
    if (added)
        return 0;
    free_place(p);
    return there ? 0 : err_nomem(err);
}

static void free_places(struct inspection *i)
{
    struct place *p, *next;
    HASH_ITER (hh, i->places, p, next) {
        HASH_DEL(i->places, p);
        free_place(p);
    }
}

/* Whether a start would copy the relation, and over which rows. */
static int check_copy(struct inspection *i, const struct relation *rel, const char *what,
                      struct foreseen *f, struct err *err)
{
    struct copied copied;
    bool known, rows;
    if (i->due != rel->relid || !i->takes_copies) {
        i->uncopied += !f->exists;
        return 0;
    }
    int rc = target_copied(i->target, i->origin, rel->relid, &copied, &known, err);
    bool due = !known || copied.due || copied.after;
    bool begun = copied.after != NULL;
    copied_free(&copied);
    if (rc)
        return -1;
    i->copied += due;
    if (!due || begun || !f->exists)
        return 0;
    if (target_has_rows(i->target, buf_cstr(&f->name), &rows, err))
        return -1;
    if (rows) {
        report_note(&i->report, "%s: %s holds rows already, and its copy replaces them", what,
                    buf_cstr(&f->name));
        report_mend(&i->report,
                    "to keep them and copy nothing: CDC_COPY=never, or pg-capture --copy never");
    }
    return 0;
}

/* What a start would do to the relation's table. */
static void report_plan(struct inspection *i, const char *what, struct foreseen *f)
{
    if (!f->exists)
        i->made++;
    else if (f->statements.len == 0)
        i->fit++;
    else
        i->changed++;
    if (f->statements.len > 0)
        report_note(&i->report, "%s: %s will be %s", what, buf_cstr(&f->name),
                    f->exists ? "changed" : "made");
    for (const char *rest = buf_cstr(&f->statements), *end; *rest; rest = end + 2) {
        end = strstr(rest, ";\n");
        if (!end)
            break;
        report_run(&i->report, "%.*s", (int)(end - rest) + 1, rest);
    }
}

static void report_misfit(struct inspection *i, const char *what, struct foreseen *f,
                          struct err *err)
{
    if (i->ddl != DDL_NONE || f->exists || f->name.len == 0) {
        report_err(&i->report, err, what);
        return;
    }
    err_clear(err);
    report_fail(&i->report, "%s: the target has no %s, and --ddl none creates none", what,
                buf_cstr(&f->name));
    report_mend(&i->report, "create it, or use --ddl create or evolve");
}

static int check_relation(struct inspection *i, const struct frame *f, struct err *err)
{
    struct relation *rel;
    struct foreseen foreseen = {0};
    char what[300];
    if (relation_from_frame(f, &rel, err))
        return -1;
    (void)snprintf(what, sizeof what, "table %.100s.%.100s", rel->namespace, rel->name);
    const struct binding binding = {
        .origin = *i->origin ? i->origin : NULL,
        .policy = i->ddl,
        .skip = i->skip,
        .may_await = i->due == rel->relid,
        .copy_unknown = i->copy_unknown,
    };
    int rc = target_foresee(i->target, &binding, rel, &foreseen, err);
    if (rc == 0 && foreseen.left_out) {
        report_note(&i->report, "%s: its changes are left out, as --skip-table says", what);
    } else if (rc == 0 && foreseen.awaits) {
        report_note(&i->report, "%s: it %s", what,
                    foreseen.kept    ? "is set aside, until pg2any resume or pg2any copy brings it "
                                       "back"
                    : foreseen.aside ? "is set aside, until pg2any copy asks for it"
                                     : "will be copied again");
        i->copied += !foreseen.aside;
    } else if (rc == 0) {
        report_plan(i, what, &foreseen);
    } else if (err->kind == ERR_PERMANENT) {
        report_misfit(i, what, &foreseen, err);
        rc = 0;
    }
    if (rc == 0 && !foreseen.left_out && !foreseen.awaits) {
        note_caveats(i, rel);
        if (foreseen.name.len > 0)
            rc = check_place(i, what, buf_cstr(&foreseen.name), err) ||
                         check_copy(i, rel, what, &foreseen, err)
                     ? -1
                     : 0;
    }
    foreseen_free(&foreseen);
    relation_unref(rel);
    return rc;
}

/* Where the stream would begin, and where the target stands. */
static int check_position(struct inspection *i, const struct frame *f, struct err *err)
{
    struct frame_hello h;
    struct checkpoint c;
    bool found;
    if (frame_get_hello(f, &h, err))
        return -1;
    if (i->given_origin)
        (void)snprintf(i->origin, sizeof i->origin, "%s", i->given_origin);
    else
        (void)snprintf(i->origin, sizeof i->origin, "%.*s", (int)h.slot.size,
                       (const char *)h.slot.data);
    const char *origin = i->origin;
    if (target_checkpoint(i->target, origin, &c, &found, err))
        return -1;
    i->goes_on = found;
    i->makes_slot = h.slot_created;
    i->start_lsn = h.start_lsn;
    if (target_takes_copies(i->target, origin, &i->takes_copies, err))
        return -1;
    if (found && c.remote_lsn < h.start_lsn) {
        report_fail(&i->report,
                    "the target has applied up to %s, but the slot begins at %s: the "
                    "changes between the two are gone",
                    LSN(c.remote_lsn), LSN(h.start_lsn));
        report_mend(&i->report, "rebuild the target (docs/OPERATIONS.md)");
    } else if (found) {
        report_ok(&i->report, "the target has applied up to %s of origin %s", LSN(c.remote_lsn),
                  origin);
    }
    return 0;
}

static int take_due(struct inspection *i, const struct frame *f, struct err *err)
{
    struct frame_copy_due w;
    if (frame_get_copy_due(f, &w, err))
        return -1;
    i->due = w.relid;
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
            if (f.type == FRAME_END) {
                rc = frame_reader_finish(&input, err);
                break;
            }
            if (f.type == FRAME_HELLO)
                rc = check_position(i, &f, err);
            else if (f.type == FRAME_COPY_DUE)
                rc = take_due(i, &f, err);
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

static void note_unmet(struct inspection *i)
{
    for (size_t t = 0; t < i->skip->n; t++)
        if (!i->skip->items[t].met)
            report_note(&i->report, "--skip-table: no table %s.%s is published: is it spelt right?",
                        i->skip->items[t].namespace, i->skip->items[t].name);
}

/* Which rows come that the source has already. */
static void note_copies(struct inspection *i)
{
    if (!i->goes_on && !i->makes_slot)
        report_note(
            &i->report,
            "the target has no checkpoint of origin %s: is it the right one? It would begin at the "
            "slot's position, %s%s",
            i->origin, LSN(i->start_lsn),
            i->copied > 0 ? "" : "; it must already have what was committed before");
    else if (!i->goes_on && i->copied == 0 && i->fit + i->made + i->changed > 0)
        report_note(
            &i->report,
            "only changes from the slot's beginning on are replicated: existing rows are not copied");
    if (i->copied > 0)
        report_ok(&i->report, "tables whose rows will be copied: %u", i->copied);
    if ((i->goes_on || i->copied > 0) && i->uncopied > 0)
        report_note(
            &i->report,
            "tables that will be created and begin empty, without a copy: %u; their existing rows "
            "at the source are not replicated",
            i->uncopied);
}

static int check_all(struct inspection *i, const struct driver_ops *ops,
                     const struct driver_config *config, struct err *err)
{
    bool any = false;
    if (target_open(ops, config, &i->target, err) ||
        target_check(i->target, i->ddl != DDL_NONE, &i->report, err) ||
        check_relations(i, &any, err))
        return -1;
    if (!any)
        report_note(&i->report,
                    "no description of the source's tables arrived: their types are not checked");
    else if (i->report.failures == 0)
        report_ok(&i->report, "tables: %u exist and fit, %u will be created, %u changed", i->fit,
                  i->made, i->changed);
    if (any) {
        note_copies(i);
        note_unmet(i);
    }
    for (size_t c = 0; c < i->ncaveats; c++)
        report_note(&i->report, "%s (%s%s)", OPTION_TEXT(i->caveats[c].text),
                    buf_cstr(&i->caveats[c].columns), i->caveats[c].n > 3 ? ", ..." : "");
    return 0;
}

int apply_check(const struct driver_ops *ops, const struct driver_config *config,
                enum ddl_policy ddl, bool copy_unknown, struct table_names *skip,
                const char *origin, struct err *err)
{
    struct inspection i = {
        .ddl = ddl,
        .skip = skip,
        .given_origin = origin,
        .copy_unknown = copy_unknown,
        .report.fd = STDERR_FILENO,
    };
    struct driver_config look = *config;
    look.look_only = true;
    int rc = check_all(&i, ops, &look, err);
    if (rc) {
        enum err_kind kind = err->kind;
        report_err(&i.report, err, "target");
        (void)err_set(err, kind, "the target could not be checked to the end");
        (void)err_follows(err); /* the report has said it */
    } else if (i.report.failures > 0) {
        (void)err_set(err, ERR_PERMANENT, "checks of the target that failed: %u",
                      i.report.failures);
        rc = err_follows(err);
    }
    target_close(i.target);
    free_places(&i);
    for (size_t c = 0; c < i.ncaveats; c++)
        buf_free(&i.caveats[c].columns);
    return rc;
}

static int no_origin(struct err *err)
{
    (void)err_set(err, ERR_PERMANENT, "of which origin?");
    return err_hint(err, "--origin NAME: the slot's name, unless it was given another");
}

static void show_checkpoint(const char *origin, const struct checkpoint *c, const char *time)
{
    struct report r = {.fd = STDOUT_FILENO};
    report_value(&r, "checkpoint", "%s of origin %s", LSN(c->remote_lsn), origin);
    report_value(&r, "as of", "%s", time ? time : "none yet");
    report_value(&r, "follows", "system %s, timeline %u", c->system_identifier, c->timeline);
}

static void put_aside(struct own_row *row, const struct copied *c, struct buf *json)
{
    const char *namespace = buf_cstr(&row->fields[RELATION_NAMESPACE]),
               *name = buf_cstr(&row->fields[RELATION_NAME]);
    struct report r = {.fd = STDOUT_FILENO};
    if (!json) {
        report_value(&r, "set aside", "%s.%s since %s: %s", namespace, name, LSN(c->since),
                     c->aside);
        if (c->file.kept)
            report_value(&r, "", "%" PRIu64 " bytes are kept: pg2any resume --table replays them",
                         c->file.size);
        else if (strcmp(c->aside, COPIED_PAUSED) != 0)
            report_value(&r, "",
                         "not all that came since is kept: only pg2any copy brings it back");
        return;
    }
    json_open(json, NULL, '{');
    json_put_text(json, "schema", namespace);
    json_put_text(json, "table", name);
    json_put_text(json, "since_lsn", LSN(c->since));
    json_put_text(json, "reason", c->aside);
    if (c->file.kept)
        json_put_u64(json, "kept_bytes", c->file.size);
    else
        json_put_text(json, "kept_bytes", NULL);
    json_close(json, '}');
}

/* The tables that are set aside, as lines or in an array. */
static int tell_aside(struct target *t, const char *origin, struct buf *json, struct err *err)
{
    bool found = true;
    for (uint32_t relid = 0; found;) {
        struct own_row row = {0};
        struct copied c;
        size_t size;
        int rc = target_next_relation(t, origin, relid, &row, &found, &size, &c, err);
        if (rc == 0 && c.aside)
            put_aside(&row, &c, json);
        relid = row.relid;
        copied_free(&c);
        own_row_free(&row);
        if (rc)
            return -1;
    }
    return 0;
}

static int put_checkpoint(const char *origin, const struct checkpoint *c, bool found,
                          const char *time, struct target *target, struct err *err)
{
    struct buf json = {0};
    json_open(&json, NULL, '{');
    json_put_text(&json, "origin", origin);
    json_put_text(&json, "lsn", found ? LSN(c->remote_lsn) : NULL);
    json_put_text(&json, "commit_time", time);
    json_put_text(&json, "system_identifier", found ? c->system_identifier : NULL);
    json_put_u64(&json, "timeline", c->timeline);
    json_open(&json, "tables_aside", '[');
    int rc = tell_aside(target, origin, &json, err);
    json_close(&json, ']');
    json_close(&json, '}');
    if (rc == 0)
        rc = buf_check(&json, err);
    if (rc == 0)
        (void)printf("%s\n", buf_cstr(&json));
    buf_free(&json);
    return rc;
}

int apply_status(const struct driver_ops *ops, const struct driver_config *config,
                 const char *origin, bool json, struct err *err)
{
    struct report r = {.fd = STDOUT_FILENO};
    struct driver_config look = *config;
    struct target *target;
    struct checkpoint c = {0};
    char text[PG_TIME_TEXT_SIZE];
    bool found;
    look.look_only = true;
    if (!origin)
        return no_origin(err);
    if (target_open(ops, &look, &target, err))
        return -1;
    int rc = target_checkpoint(target, origin, &c, &found, err);
    const char *time = found && c.commit_time_us ? pg_time_text(text, c.commit_time_us) : NULL;
    if (rc == 0 && json) {
        rc = put_checkpoint(origin, &c, found, time, target, err);
    } else if (rc == 0) {
        if (found)
            show_checkpoint(origin, &c, time);
        else
            report_value(&r, "checkpoint", "%s has none", origin);
        rc = tell_aside(target, origin, NULL, err);
    }
    target_close(target);
    return rc;
}

int apply_drop_checkpoint(const struct driver_ops *ops, const struct driver_config *config,
                          const char *origin, struct err *err)
{
    struct target *target;
    struct checkpoint c;
    bool found;
    if (!origin)
        return no_origin(err);
    /* First to look: opening it for work would make what is missing. */
    struct driver_config look = *config;
    look.look_only = true;
    if (target_open(ops, &look, &target, err))
        return -1;
    int rc = target_checkpoint(target, origin, &c, &found, err);
    target_close(target);
    if (rc || !found) {
        if (rc == 0)
            log_info("there is no such checkpoint", "origin", origin, NULL);
        return rc;
    }
    if (target_open(ops, config, &target, err))
        return -1;
    if (target_begin(target, origin, &c, &found, err) || target_forget(target, origin, err))
        rc = -1;
    else
        log_info("the checkpoint is dropped", "origin", origin, "was_at", LSN(c.remote_lsn), NULL);
    target_close(target);
    return rc;
}

static int ask_for_copies(struct target *t, struct asked_copies *asked, struct err *err)
{
    struct checkpoint c = {0};
    bool found;
    if (target_begin(t, asked->origin, &c, &found, err))
        return -1;
    if (!found && !asked->anew)
        return err_set(err, ERR_PERMANENT, "the target has nothing of origin %s", asked->origin);
    /* Without a checkpoint, after an interruption, any LSN says it as well. */
    asked->lsn = found ? c.remote_lsn : 1;
    return target_ask_copy(t, asked, err);
}

int apply_ask_tables(const struct driver_ops *ops, const struct driver_config *config,
                     struct asked_copies *asked, const struct option_list *tables, struct err *err)
{
    struct driver_config beside = *config;
    struct table_names names = {0};
    struct target *target = NULL;
    bool all = asked->anew || (tables->n == 1 && strcmp(tables->items[0], "all") == 0);
    int rc = asked->origin ? 0 : no_origin(err);
    beside.beside = !asked->anew;
    asked->names = all ? NULL : &names;
    for (size_t i = 0; rc == 0 && !all && i < tables->n; i++)
        rc = table_names_add(&names, tables->items[i], true, err);
    if (rc == 0)
        rc = target_open(ops, &beside, &target, err);
    if (rc == 0)
        rc = ask_for_copies(target, asked, err);
    if (rc && err->kind == ERR_RETRY)
        err->kind = ERR_TEMPORARY;
    if (rc == 0 && asked->anew)
        log_info("the checkpoint is dropped", "origin", asked->origin, NULL);
    target_close(target);
    table_names_free(&names);
    return rc;
}

static int ask_for_rows(struct target *t, struct asked_rows *asked, struct err *err)
{
    struct checkpoint c = {0};
    bool found;
    if (target_begin(t, asked->origin, &c, &found, err))
        return -1;
    if (!found)
        return err_set(err, ERR_PERMANENT, "the target has nothing of origin %s", asked->origin);
    asked->lsn = c.remote_lsn;
    return target_ask_rows(t, asked, err);
}

int apply_read_again(const struct driver_ops *ops, const struct driver_config *config,
                     const char *origin, struct table_names *skip, struct err *err)
{
    struct driver_config beside = *config;
    struct asked_rows asked = {.origin = origin, .keys = stdin, .skip = skip};
    struct target *target = NULL;
    int rc = origin ? 0 : no_origin(err);
    beside.beside = true;
    if (rc == 0)
        rc = target_open(ops, &beside, &target, err);
    if (rc == 0)
        rc = ask_for_rows(target, &asked, err);
    if (rc && err->kind == ERR_RETRY)
        err->kind = ERR_TEMPORARY;
    target_close(target);
    return rc;
}
