#include "apply/compared_row.h"

#include <stdlib.h>
#include <string.h>

#include <xxhash.h>

#include "sql/text.h"

static int choose_key(struct compared_row *r, const struct target_table *table, struct err *err)
{
    const struct relation *rel = r->rel;
    const struct identity *id = &table->identity;
    bool identifies = !id->by_all_columns && !relation_has_partitions(rel);
    r->nkey = rel->npk ? rel->npk : identifies ? id->n : 0;
    r->key = calloc((size_t)r->nkey + 1, sizeof *r->key);
    if (!r->key)
        return err_nomem(err);
    if (r->nkey)
        memcpy(r->key, rel->npk ? rel->pk : id->columns, r->nkey * sizeof *r->key);
    return 0;
}

int compared_row_init(struct compared_row *r, const struct target_table *table, struct err *err)
{
    *r = (struct compared_row){.rel = table->rel};
    r->ends = calloc((size_t)r->rel->ncolumns + 1, sizeof *r->ends);
    return r->ends ? choose_key(r, table, err) : err_nomem(err);
}

void compared_row_free(struct compared_row *r)
{
    free(r->key);
    free(r->ends);
    buf_free(&r->bytes);
    buf_free(&r->key_bytes);
    *r = (struct compared_row){0};
}

static size_t begin_of(const struct compared_row *r, uint32_t column)
{
    return column ? r->ends[column - 1] : 0;
}

int compared_row_take(struct compared_row *r, const struct stored *row, struct err *err)
{
    enum { KEPT = 1 << 16 };
    buf_reset(&r->bytes, KEPT);
    buf_reset(&r->key_bytes, KEPT);
    for (uint32_t i = 0; i < r->rel->ncolumns; i++) {
        stored_put(&r->bytes, &row[i]);
        r->ends[i] = r->bytes.len;
    }
    if (buf_check(&r->bytes, err))
        return -1;
    r->hash = r->key_hash = row_hash_of(r->bytes.data, r->bytes.len);
    if (r->nkey == 0)
        return 0;
    for (uint32_t i = 0; i < r->nkey; i++) {
        size_t begin = begin_of(r, r->key[i]);
        buf_append(&r->key_bytes, r->bytes.data + begin, r->ends[r->key[i]] - begin);
    }
    r->key_hash = row_hash_of(r->key_bytes.data, r->key_bytes.len);
    return buf_check(&r->key_bytes, err);
}

static uint64_t mark(const struct compared_row *r, uint32_t column)
{
    size_t begin = begin_of(r, column);
    return XXH3_64bits(r->bytes.data + begin, r->ends[column] - begin);
}

void compared_row_marks(const struct compared_row *r, uint64_t *marks)
{
    for (uint32_t i = 0; i < r->rel->ncolumns; i++)
        marks[i] = mark(r, i);
}

void compared_row_differing(const struct compared_row *r, const uint64_t *marks, struct buf *out)
{
    for (uint32_t i = 0; i < r->rel->ncolumns; i++)
        if (marks[i] != mark(r, i))
            buf_printf(out, "%s%s", out->len ? "\t" : "", r->rel->columns[i].name);
}

/* ---- as text ---- */

uint32_t compared_row_column(const struct compared_row *r, uint32_t n, bool whole)
{
    return whole || r->nkey == 0 ? n : r->key[n];
}

uint32_t compared_row_ncolumns(const struct compared_row *r, bool whole)
{
    return whole || r->nkey == 0 ? r->rel->ncolumns : r->nkey;
}

void compared_row_put_source(const struct compared_row *r, const struct value *row, bool whole,
                             struct buf *out)
{
    for (uint32_t n = 0; n < compared_row_ncolumns(r, whole); n++) {
        const struct value *v = &row[compared_row_column(r, n, whole)];
        buf_append_str(out, n ? "\t" : "");
        if (v->kind == VALUE_NULL)
            buf_append_str(out, "\\N");
        else if (v->kind == VALUE_BYTES)
            buf_append_str(out, "\\\\x");
        if (v->kind == VALUE_BYTES)
            text_hex(out, v->data, v->size);
        else if (v->kind == VALUE_TEXT)
            text_copy(out, v->data, v->size);
    }
}

void compared_row_put_target(const struct compared_row *r, const struct stored *row, bool whole,
                             struct buf *out)
{
    struct buf text = {0};
    for (uint32_t n = 0; n < compared_row_ncolumns(r, whole); n++) {
        uint32_t column = compared_row_column(r, n, whole);
        buf_append_str(out, n ? "\t" : "");
        text.len = 0;
        stored_put_text(&text, &r->rel->columns[column], &row[column]);
        if (row[column].kind == STORED_NULL)
            buf_append_str(out, "\\N");
        text_copy(out, (const char *)text.data, text.len);
    }
    out->failed = out->failed || text.failed;
    buf_free(&text);
}
