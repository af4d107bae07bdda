#include "apply/suspects.h"

#include <stdlib.h>
#include <string.h>

int suspects_init(struct suspects *s, struct err *err)
{
    *s = (struct suspects){.chosen = calloc(TALLY_BUCKETS / 8, 1)};
    return s->chosen ? 0 : err_nomem(err);
}

static size_t length(const char *text)
{
    return text ? strlen(text) + 1 : 0;
}

void suspects_forget(struct suspects *s, struct suspect *p)
{
    HASH_DEL(s->items, p);
    s->n--;
    s->kept_bytes -= length(p->text) + length(p->columns) + length(p->values[SIDE_SOURCE]) +
                     length(p->values[SIDE_TARGET]) + p->marks_size;
    free(p->text);
    free(p->column_marks);
    free(p->columns);
    free(p->values[SIDE_SOURCE]);
    free(p->values[SIDE_TARGET]);
    free(p);
}

static void forget_all(struct suspects *s)
{
    struct suspect *p, *next;
    HASH_ITER (hh, s->items, p, next)
        suspects_forget(s, p);
}

void suspects_free(struct suspects *s)
{
    forget_all(s);
    free(s->chosen);
    *s = (struct suspects){0};
}

uint32_t suspects_choose(struct suspects *s, const struct tally *t, uint32_t from)
{
    uint64_t most = t->nrows[SIDE_SOURCE] > t->nrows[SIDE_TARGET] ? t->nrows[SIDE_SOURCE]
                                                                  : t->nrows[SIDE_TARGET];
    /* Some room is left, because buckets are not filled evenly; without a key of the table both
     * sides may have rows of their own. */
    uint64_t room = (uint64_t)SUSPECTS_MAX * 3 / 4 * TALLY_BUCKETS / (most + TALLY_BUCKETS) + 1;
    forget_all(s);
    memset(s->chosen, 0, TALLY_BUCKETS / 8);
    s->open = true;
    while (room-- > 0 && (from = tally_next(t, from)) < TALLY_BUCKETS) {
        s->chosen[from / 8] |= (uint8_t)(1 << from % 8);
        from++;
    }
    return tally_next(t, from);
}

void suspects_begin_look(struct suspects *s)
{
    for (struct suspect *p = s->items; p; p = p->hh.next)
        if (p->verdict == VERDICT_NONE)
            memcpy(p->before, p->now, sizeof p->before);
    suspects_restart_look(s);
}

void suspects_restart_look(struct suspects *s)
{
    for (struct suspect *p = s->items; p; p = p->hh.next)
        if (p->verdict == VERDICT_NONE)
            memset(p->now, 0, sizeof p->now);
}

static bool is_chosen(const struct suspects *s, struct row_hash key)
{
    uint32_t bucket = tally_bucket(key);
    return s->chosen[bucket / 8] >> bucket % 8 & 1;
}

static int join(struct suspects *s, struct row_hash key, struct suspect **suspect, struct err *err)
{
    bool added = false;
    struct suspect *p = calloc(1, sizeof *p);
    if (p) {
        p->key = key;
        HASH_TRY_ADD(s->items, key, p, added);
    }
    if (!added) {
        free(p);
        return err_nomem(err);
    }
    s->n++;
    *suspect = p;
    return 0;
}

int suspects_row(struct suspects *s, enum side side, struct row_hash key, struct row_hash row,
                 struct suspect **suspect, struct err *err)
{
    *suspect = NULL;
    if (!is_chosen(s, key))
        return 0;
    HASH_FIND(hh, s->items, &key, sizeof key, *suspect);
    if (!*suspect && (!s->open || join(s, key, suspect, err)))
        return s->open ? -1 : 0;
    if ((*suspect)->verdict != VERDICT_NONE)
        return 0;
    (*suspect)->now[side].n++;
    row_hash_add(&(*suspect)->now[side].sum, row);
    return 0;
}

static bool same_rows(const struct key_rows *a, const struct key_rows *b)
{
    return a->n == b->n && row_hash_same(a->sum, b->sum);
}

static void judge(struct suspect *p, bool still)
{
    bool again = p->looks > 0 && same_rows(&p->now[SIDE_SOURCE], &p->before[SIDE_SOURCE]) &&
                 same_rows(&p->now[SIDE_TARGET], &p->before[SIDE_TARGET]);
    p->looks++;
    p->alike = again ? p->alike + 1 : 1;
    p->verdict = (again && still) || p->alike >= SUSPECT_LOOKS ? VERDICT_DIFFERS
                 : p->looks >= SUSPECT_PATIENCE                ? VERDICT_UNDECIDED
                                                               : VERDICT_NONE;
}

size_t suspects_end_look(struct suspects *s, bool still)
{
    struct suspect *p, *next;
    size_t left = 0;
    s->open = false;
    HASH_ITER (hh, s->items, p, next) {
        if (p->verdict != VERDICT_NONE)
            continue;
        if (same_rows(&p->now[SIDE_SOURCE], &p->now[SIDE_TARGET])) {
            suspects_forget(s, p);
            continue;
        }
        judge(p, still);
        left += p->verdict == VERDICT_NONE;
    }
    return left;
}

void suspects_keep(struct suspects *s, char **to, const void *data, size_t size)
{
    s->kept_bytes -= length(*to);
    free(*to);
    *to = NULL;
    if (s->kept_bytes + size + 1 > SUSPECT_TEXT_BYTES)
        return;
    if (!(*to = malloc(size + 1))) {
        s->failed = true;
        return;
    }
    memcpy(*to, data, size);
    (*to)[size] = '\0';
    s->kept_bytes += size + 1;
}

uint64_t *suspects_marks(struct suspects *s, struct suspect *p, uint32_t ncolumns)
{
    size_t size = ((size_t)ncolumns + 1) * sizeof *p->column_marks;
    if (p->column_marks || s->kept_bytes + size > SUSPECT_TEXT_BYTES)
        return p->column_marks;
    p->column_marks = malloc(size);
    s->failed = s->failed || !p->column_marks;
    p->marks_size = p->column_marks ? size : 0;
    s->kept_bytes += p->marks_size;
    return p->column_marks;
}
