#include "sql/relation_proof.h"

#include <ctype.h>
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "frames/pg_type.h"

/* ---- which attributes the columns are ---- */

/* Whether an attribute was one of the columns. */
enum part {
    NO,
    YES,
    IF_MADE, /* if it was made before: later ones only if earlier ones are */
    PERHAPS, /* it was dropped, or published, before or after */
};

static bool all_known(const struct relation *rel)
{
    for (uint32_t i = 0; i < rel->ncolumns; i++)
        if (rel->columns[i].attnum <= 0)
            return false;
    return true;
}

static int32_t last_attnum(const struct relation *rel)
{
    return rel->ncolumns > 0 ? rel->columns[rel->ncolumns - 1].attnum : 0;
}

static bool has_attnum(const struct relation *rel, int32_t attnum)
{
    for (uint32_t i = 0; i < rel->ncolumns; i++)
        if (rel->columns[i].attnum == attnum)
            return true;
    return false;
}

static char state_then(const struct relation *was, int32_t attnum)
{
    return was->attributes && (size_t)attnum <= strlen(was->attributes)
               ? was->attributes[attnum - 1]
               : '\0';
}

/* `was`: NULL where it does not say which attributes its columns were. */
static enum part part_of(const struct relation *was, const struct relation *is, int32_t attnum)
{
    char state = is->attributes[attnum - 1];
    switch (state) {
    case ATTRIBUTE_PUBLISHED:
        return YES;
    case ATTRIBUTE_UNCERTAIN:
    case 'P':
        return PERHAPS;
    case ATTRIBUTE_ADDED:
    case 'C':
        break;
    case 'D':
        /* What was no column then and is dropped now may have become one in between. */
        return was && state_then(was, attnum) == ATTRIBUTE_DROPPED ? NO : PERHAPS;
    default: /* a column does not become a generated one */
        return NO;
    }
    if (!was)
        return IF_MADE;
    if (has_attnum(was, attnum))
        return YES;
    bool new = attnum > last_attnum(was) && tolower(state_then(was, attnum)) != 'x';
    return new ? IF_MADE : PERHAPS;
}

/* The row of an attribute that is older than the place says what the attribute was called there. */
static bool may_be(const struct relation *is, uint32_t column, int32_t attnum)
{
    int32_t named = is->columns[column].attnum;
    if (named == attnum)
        return true;
    if (named > 0 && (size_t)named <= strlen(is->attributes) &&
        islower((unsigned char)is->attributes[named - 1]))
        return false;
    char state = is->attributes[attnum - 1];
    return state != ATTRIBUTE_PUBLISHED && state != ATTRIBUTE_UNCERTAIN;
}

/*
 * In how many ways the columns from one on can be the attributes from one on: none, one, or more.
 * For each place in both there are two numbers, because once an attribute was not made yet no later
 * one was.
 */
struct ways {
    const struct relation *was, *is;
    int32_t nattributes;
    uint8_t *n;
};

static uint8_t *ways_at(const struct ways *w, int32_t attnum, uint32_t column, bool unmade)
{
    size_t at = (size_t)(attnum - 1) * ((size_t)w->is->ncolumns + 1) + column;
    return &w->n[2 * at + unmade];
}

static uint8_t ways_with(const struct ways *w, int32_t attnum, uint32_t column, bool unmade)
{
    bool fits = column < w->is->ncolumns && may_be(w->is, column, attnum);
    return fits ? *ways_at(w, attnum + 1, column + 1, unmade) : 0;
}

static uint8_t ways_from(const struct ways *w, int32_t attnum, uint32_t column, bool unmade)
{
    int n = 0;
    switch (part_of(w->was, w->is, attnum)) {
    case NO:
        n = *ways_at(w, attnum + 1, column, unmade);
        break;
    case YES:
        n = ways_with(w, attnum, column, unmade);
        break;
    case PERHAPS:
        n = *ways_at(w, attnum + 1, column, unmade) + ways_with(w, attnum, column, unmade);
        break;
    case IF_MADE:
        n = *ways_at(w, attnum + 1, column, true);
        n += unmade ? 0 : ways_with(w, attnum, column, false);
        break;
    }
    return n > 2 ? 2 : (uint8_t)n;
}

/* The only way there is. False where attributes were not made yet and it is only by this that a
 * column is an attribute whose name says otherwise. */
static bool take_way(const struct ways *w, int32_t *attnums)
{
    bool unmade = false, by_name = true;
    uint32_t column = 0;
    for (int32_t a = 1; a <= w->nattributes; a++) {
        enum part part = part_of(w->was, w->is, a);
        bool may = part == YES || part == PERHAPS || (part == IF_MADE && !unmade);
        if (may && ways_with(w, a, column, unmade) > 0) {
            by_name = by_name && (part != IF_MADE || w->is->columns[column].attnum == a);
            attnums[column++] = a;
        } else {
            unmade = unmade || part == IF_MADE;
        }
    }
    return by_name || !unmade;
}

static int find_attributes(const struct relation *was, const struct relation *is, int32_t *attnums,
                           bool *found, struct err *err)
{
    struct ways w = {.was = was, .is = is, .nattributes = (int32_t)strlen(is->attributes)};
    size_t row = 2 * ((size_t)is->ncolumns + 1);
    w.n = calloc((size_t)w.nattributes + 1, row);
    if (!w.n)
        return err_nomem(err);
    for (int unmade = 0; unmade < 2; unmade++)
        *ways_at(&w, w.nattributes + 1, is->ncolumns, unmade) = 1;
    for (int32_t a = w.nattributes; a > 0; a--)
        for (uint32_t i = 0; i <= is->ncolumns; i++)
            for (int unmade = 0; unmade < 2; unmade++)
                *ways_at(&w, a, i, unmade) = ways_from(&w, a, i, unmade);
    *found = *ways_at(&w, 1, 0, false) == 1 && take_way(&w, attnums);
    free(w.n);
    return 0;
}

/* ---- what follows ---- */

static const struct relation_file *file_of(const struct relation *rel, uint32_t relid)
{
    for (uint32_t i = 0; i < rel->nfiles; i++)
        if (rel->files[i].relid == relid)
            return &rel->files[i];
    return NULL;
}

/* Whether a file of both is another one now. */
static bool any_file_changed(const struct relation *was, const struct relation *is)
{
    for (uint32_t i = 0; i < is->nfiles; i++) {
        const struct relation_file *f = file_of(was, is->files[i].relid);
        if (f && f->node != is->files[i].node)
            return true;
    }
    return false;
}

/* Whether an attribute that is no column of `was` had not been made yet. */
static bool made_since(const struct relation *was, int32_t attnum)
{
    return was && was->attributes && (size_t)attnum > strlen(was->attributes);
}

/*
 * Whether one that is behind the columns of `was`, and had been made when the catalog was asked
 * then, was made after all. If it had been there it would have been a column, because the
 * publication had it, unless it was generated: for such PostgreSQL keeps no value for older rows,
 * and its row in the catalog is not the one that ADD COLUMN wrote.
 */
static bool added_since(const struct relation *was, int32_t attnum, enum fill fill)
{
    if (!was || !was->attributes || attnum <= last_attnum(was) || !all_known(was))
        return false;
    char state = state_then(was, attnum);
    return state == ATTRIBUTE_ADDED || (state == 'C' && fill == FILL_VALUE);
}

/* What older rows hold in a column is proven for one that was made since, by what PostgreSQL keeps
 * for them, or by the file that it would have written anew. */
static enum fill proven_fill(const struct relation *was, const struct relation *is,
                             const struct column *c, int32_t attnum)
{
    if (!is->attributes || attnum == 0 || c->attnum != attnum ||
        (!made_since(was, attnum) && !added_since(was, attnum, c->fill)))
        return FILL_UNKNOWN;
    return c->fill == FILL_NULL && any_file_changed(was, is) ? FILL_UNKNOWN : c->fill;
}

static bool has_text(const char *const *texts, uint32_t n, const char *text)
{
    for (uint32_t i = 0; i < n; i++)
        if (strcmp(texts[i], text) == 0)
            return true;
    return false;
}

static bool same_memberships(const struct relation *was, const struct relation *is)
{
    for (uint32_t i = 0; i < was->nmemberships; i++)
        if (!has_text(is->memberships, is->nmemberships, was->memberships[i]))
            return false;
    return was->nmemberships == is->nmemberships;
}

/*
 * How many attributes may have been there at that time. One behind the columns that the description
 * before does not have either was made since; were it there already it would be a column, because
 * the publication is as it was, and a generated one would have had the table rewritten.
 */
static size_t proven_extent(const struct relation *was, const struct relation *is,
                            const int32_t *attnums)
{
    size_t n = strlen(is->attributes);
    if (!was || !was->attributes || is->ncolumns == 0 || any_file_changed(was, is) ||
        !same_memberships(was, is))
        return n;
    size_t least = strlen(was->attributes), last = (size_t)attnums[is->ncolumns - 1];
    if (least < last)
        least = last;
    while (n > least && strchr("ACdD", is->attributes[n - 1]))
        n--;
    return n;
}

/*
 * What is known of the attributes at that time. One that was a column before, is none here, and is
 * dropped now, was dropped before: it does not come back.
 */
static void put_attributes(const struct relation *was, const struct relation *is,
                           const int32_t *attnums, struct buf *out)
{
    size_t n = proven_extent(was, is, attnums);
    bool same = was && all_known(was) && same_memberships(was, is);
    uint32_t column = 0;
    for (size_t i = 0; i < n; i++) {
        char state = is->attributes[i];
        int32_t attnum = (int32_t)i + 1;
        bool is_column = column < is->ncolumns && attnums[column] == attnum;
        column += is_column;
        bool dropped = state == 'D' && !is_column && same &&
                       (has_attnum(was, attnum) || state_then(was, attnum) == ATTRIBUTE_DROPPED);
        buf_append_byte(out, dropped ? ATTRIBUTE_DROPPED : (uint8_t)state);
    }
}

/* ---- the proven relation ---- */

static bool is_integer(uint32_t oid)
{
    return oid == PG_TYPE_INT2 || oid == PG_TYPE_INT4 || oid == PG_TYPE_INT8;
}

static const struct column *same_attribute(const struct relation *in, const struct column *c)
{
    for (uint32_t i = 0; i < in->ncolumns; i++)
        if (c->attnum > 0 && in->columns[i].attnum == c->attnum)
            return &in->columns[i];
    return NULL;
}

/*
 * Whether a change that is followed, or stopped, by a rule of its own has had the table written
 * anew: a larger integer, or a column whose value had to be computed for each row. Other types that
 * are followed leave the rows as they are.
 */
static bool explained(const struct relation *was, const struct relation *is)
{
    for (uint32_t i = 0; i < is->ncolumns; i++) {
        const struct column *now = &is->columns[i], *then = same_attribute(was, now);
        if (then ? then->base_type_oid != now->base_type_oid && is_integer(then->base_type_oid) &&
                       is_integer(now->base_type_oid)
                 : now->fill == FILL_UNKNOWN)
            return true;
    }
    return false;
}

/* A TOAST table that may be of later stays what it was, so that the change is noticed when it is
 * certain. */
static void take_files(const struct relation *was, const struct relation *is, bool expected,
                       struct relation_file *files)
{
    for (uint32_t i = 0; i < is->nfiles; i++) {
        const struct relation_file *f = was ? file_of(was, is->files[i].relid) : NULL;
        files[i] = is->files[i];
        if (f && !expected && isupper((unsigned char)files[i].persistence))
            files[i].toast = f->toast;
    }
}

static int copy_proven(const struct relation *was, const struct relation *is,
                       const int32_t *attnums, bool found, struct relation **proven,
                       struct err *err)
{
    struct relation rel = *is;
    struct buf frame = {0}, attributes = {0};
    rel.columns = calloc((size_t)is->ncolumns + 1, sizeof *rel.columns);
    rel.files = calloc((size_t)is->nfiles + 1, sizeof *rel.files);
    if (!rel.columns || !rel.files) {
        free(rel.columns);
        free(rel.files);
        return err_nomem(err);
    }
    for (uint32_t i = 0; i < is->ncolumns; i++) {
        struct column *c = &rel.columns[i];
        *c = is->columns[i];
        c->fill = proven_fill(was, is, c, attnums[i]);
        c->not_null = c->not_null && c->attnum == attnums[i];
        c->attnum = attnums[i];
    }
    take_files(was, is, was && explained(was, &rel), rel.files);
    for (uint32_t i = 0; i < is->npk; i++)
        if (rel.columns[is->pk[i]].attnum != is->columns[is->pk[i]].attnum)
            rel.primary_key_known = is->replica_identity == REPLICA_IDENTITY_DEFAULT;
    if (is->attributes) {
        if (found)
            put_attributes(was, is, attnums, &attributes);
        else
            buf_append_str(&attributes, is->attributes);
        rel.attributes = buf_cstr(&attributes);
    }
    relation_to_frame(&rel, &frame);
    int rc = buf_check(&attributes, err);
    if (rc == 0)
        rc = buf_check(&frame, err);
    if (rc == 0)
        rc = relation_from_bytes(frame.data, frame.len, proven, err);
    buf_free(&attributes);
    buf_free(&frame);
    free(rel.columns);
    free(rel.files);
    return rc;
}

/* The catalog has no such table any more: nobody will ever see whether a column is another one of
 * its name. */
static void keep_attributes(const struct relation *was, const struct relation *is, int32_t *attnums)
{
    bool gone = was != NULL;
    for (uint32_t i = 0; i < is->ncolumns; i++) {
        attnums[i] = is->columns[i].attnum;
        gone = gone && attnums[i] == 0;
    }
    for (uint32_t i = 0; gone && i < is->ncolumns; i++) {
        int at = relation_column(was, is->columns[i].name);
        attnums[i] = at < 0 ? 0 : was->columns[at].attnum;
    }
}

int relation_prove(const struct relation *was, struct relation *is, struct relation **proven,
                   struct err *err)
{
    int32_t *attnums = calloc((size_t)is->ncolumns + 1, sizeof *attnums);
    if (!attnums)
        return err_nomem(err);
    bool found = true;
    int rc = 0;
    if (is->attributes)
        rc = find_attributes(was && all_known(was) ? was : NULL, is, attnums, &found, err);
    else
        keep_attributes(was, is, attnums);
    if (!found)
        memset(attnums, 0, is->ncolumns * sizeof *attnums);
    if (rc == 0)
        rc = copy_proven(was, is, attnums, found, proven, err);
    free(attnums);
    return rc;
}

bool relation_is_proven(const struct relation *rel)
{
    return !rel->attributes || all_known(rel);
}

/* ---- doubts ---- */

/* Whether two are the same way, but for the column list: {1,2}. */
static bool other_columns(const char *was, const char *is)
{
    const char *table = strstr(was, ": table ");
    if (!table || strncmp(was, is, (size_t)(table - was)) != 0 || !strstr(is, ": table "))
        return false;
    return strcmp(strchrnul(was, '{'), strchrnul(is, '{')) != 0;
}

/*
 * A way into the publication that sends every row, and was there all the time, misses nothing. A
 * table that is in the publication anew was out of it for a while, if only for a moment. But ALTER
 * PUBLICATION … SET TABLE with another column list does that in one transaction.
 */
static bool published_throughout(const struct relation *was, const struct relation *is)
{
    if (same_memberships(was, is))
        return true;
    for (uint32_t i = 0; i < was->nmemberships; i++) {
        const char *then = was->memberships[i];
        if (strstr(then, " filtered"))
            continue;
        for (uint32_t j = 0; j < is->nmemberships; j++)
            if (strcmp(then, is->memberships[j]) == 0 ||
                (!strstr(is->memberships[j], " filtered") &&
                 other_columns(then, is->memberships[j])))
                return true;
    }
    return false;
}

/* ALTER TABLE gives a table that it rewrites a new TOAST table; VACUUM FULL, CLUSTER and TRUNCATE
 * leave it its own. */
static bool altered_file(const struct relation *was, const struct relation *is)
{
    for (uint32_t i = 0; i < is->nfiles; i++) {
        const struct relation_file *f = file_of(was, is->files[i].relid);
        if (f && f->toast && is->files[i].toast && f->toast != is->files[i].toast)
            return true;
    }
    return false;
}

static bool parts_lost(const struct relation *was, const struct relation *is)
{
    for (uint32_t i = 0; i < is->ncolumns; i++) {
        const struct column *now = &is->columns[i], *then = same_attribute(was, now);
        for (uint32_t p = 0; then && then->type_oid == now->type_oid && p < then->ntype_parts; p++)
            if (!has_text(now->type_parts, now->ntype_parts, then->type_parts[p]))
                return true;
    }
    return false;
}

static bool is_unlogged(const struct relation *rel)
{
    for (uint32_t i = 0; i < rel->nfiles; i++)
        if (tolower((unsigned char)rel->files[i].persistence) == 'u')
            return true;
    return false;
}

const char *relation_doubt(const struct relation *was, const struct relation *is)
{
    if (!was->attributes || !is->attributes)
        return NULL;
    if (!published_throughout(was, is))
        return "its place in the publication changed (it was taken out, or has another row filter), "
               "and changes meanwhile are not in the stream";
    if (is_unlogged(is) && !is_unlogged(was))
        return "it is UNLOGGED now, and changes of it are not in the stream";
    if (altered_file(was, is) && !explained(was, is))
        return "ALTER TABLE rewrote its rows (SET UNLOGGED and LOGGED, SET EXPRESSION, or a type with "
               "USING), and the result is not in the stream";
    if (parts_lost(was, is))
        return "a type of its columns was altered (a label of an enum type renamed, or an attribute "
               "of a composite type added or dropped), so that older values now have another text";
    return NULL;
}
