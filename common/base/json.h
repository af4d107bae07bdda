/*
 * json.h - writes JSON (RFC 8259) that a program makes of its own numbers and words.
 *
 * A comma is written between members of the same level. A NULL key: in an array. Invalid UTF-8
 * becomes the replacement character. Failures as in buf.h.
 */
#ifndef PG2ANY_JSON_H
#define PG2ANY_JSON_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"

/* One character of a string as it stands between quotes, zero-terminated; how many bytes of `p` it
 * is. */
size_t json_character(char out[8], const unsigned char *p, const unsigned char *end);

/* An object ('{') or an array ('['), until json_close() with what ends it. */
void json_open(struct buf *out, const char *key, char bracket);
void json_close(struct buf *out, char bracket);

void json_put_text(struct buf *out, const char *key, const char *text); /* NULL: null */
void json_put_number(struct buf *out, const char *key, double number);
void json_put_u64(struct buf *out, const char *key, uint64_t number);
void json_put_bool(struct buf *out, const char *key, bool value);

/* JSON that another one has written; "": null. */
void json_put_raw(struct buf *out, const char *key, const char *json);

#endif
