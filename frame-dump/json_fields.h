/*
 * json_fields.h - one JSON object being built field by field, and the forms that PostgreSQL's and
 * the frames' values take in it. docs/FRAMES.md, "frame-dump", documents them.
 *
 * Adding never returns an error: when memory runs out, or a field cannot be made, the object is
 * marked `failed`, and fields_write() says so once. What the functions returning json_t * make
 * belongs to the caller and is usually handed on at once; they return NULL when memory runs out.
 */
#ifndef PG2ANY_JSON_FIELDS_H
#define PG2ANY_JSON_FIELDS_H

#include <stdbool.h>
#include <stdint.h>

#include <jansson.h>

#include "base/buf.h"
#include "base/err.h"
#include "frames/mp_cursor.h"
#include "frames/value.h"

struct fields {
    json_t *json; /* an object; NULL after a failure to make it */
    bool failed;
};

void fields_init(struct fields *f);
void fields_free(struct fields *f);

/* Takes `value`; NULL marks the object as failed. */
void fields_put(struct fields *f, const char *key, json_t *value);

void fields_put_u64(struct fields *f, const char *key, uint64_t v);
void fields_put_bool(struct fields *f, const char *key, bool v);
void fields_put_lsn(struct fields *f, const char *key, uint64_t lsn); /* 0: null */
void fields_put_time(struct fields *f, const char *key, int64_t time_us);
void fields_put_name(struct fields *f, const char *key, struct bytes name);

/* Appends the object as one line; temporary error when memory ran out. */
MUST_CHECK int fields_write(const struct fields *f, struct buf *out, struct err *err);

/* A number, or its digits as a string where JSON readers with 64-bit integers could not hold it. */
json_t *json_u64(uint64_t v);

/* A name, for people and as a key: when it is not UTF-8, every byte above 0x7F becomes \xNN. */
json_t *json_name(struct bytes name);

/* A text value: a string, or {"text_bytes":"<hex>"} when it is not UTF-8. */
json_t *json_text(struct bytes text);

/* {"bytes":"<hex>"} */
json_t *json_bytes(struct bytes bytes);

/* NULL: null; text and bytes as above; unchanged: {"unchanged":true}. */
json_t *json_value(const struct value *v);

#endif
