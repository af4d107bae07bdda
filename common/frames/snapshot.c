#include "frames/snapshot.h"

#include <ctype.h>
#include <stdlib.h>

/* Reads a number that ends before one of the characters in `ends`, which is passed. */
static bool take_number(const char **p, const char *end, char stop, uint32_t *number)
{
    const char *first = *p;
    uint64_t n = 0;
    for (; *p < end && isdigit((unsigned char)**p); ++*p) {
        if (n > (UINT64_MAX - 9) / 10)
            return false;
        n = n * 10 + (uint64_t)(**p - '0');
    }
    *number = (uint32_t)n;
    if (*p == first)
        return false;
    if (*p == end)
        return stop == ',';
    return *(*p)++ == stop;
}

static bool parse(struct snapshot *s, const char *text, size_t size)
{
    const char *p = text, *end = text + size;
    if (!take_number(&p, end, ':', &s->xmin) || !take_number(&p, end, ':', &s->xmax))
        return false;
    for (size_t i = 0; p < end; i++) {
        s->n = i + 1;
        if (!take_number(&p, end, ',', &s->running[i]))
            return false;
    }
    return size == 0 || text[size - 1] != ',';
}

int snapshot_parse(struct snapshot *s, const char *text, size_t size, struct err *err)
{
    size_t most = 1;
    for (size_t i = 0; i < size; i++)
        most += text[i] == ',';
    *s = (struct snapshot){.running = calloc(most, sizeof *s->running)};
    if (!s->running)
        return err_nomem(err);
    if (parse(s, text, size))
        return 0;
    return err_set(err, ERR_PERMANENT, "a snapshot that is none");
}

void snapshot_free(struct snapshot *s)
{
    free(s->running);
    *s = (struct snapshot){0};
}

static bool is_before(uint32_t a, uint32_t b)
{
    return (int32_t)(a - b) < 0;
}

bool snapshot_sees(const struct snapshot *s, uint32_t xid)
{
    if (is_before(xid, s->xmin))
        return true;
    if (!is_before(xid, s->xmax))
        return false;
    for (size_t i = 0; i < s->n; i++)
        if (s->running[i] == xid)
            return false;
    return true;
}
