#include "base/json.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/utf8.h"

size_t json_character(char out[8], const unsigned char *p, const unsigned char *end)
{
    size_t n = utf8_character(p, end);
    if (n == 0)
        (void)snprintf(out, 8, "\\ufffd");
    else if (*p == '"' || *p == '\\')
        (void)snprintf(out, 8, "\\%c", *p);
    else if (*p < ' ' || *p == 0x7f)
        (void)snprintf(out, 8, "\\u%04x", *p);
    else
        (void)snprintf(out, 8, "%.*s", (int)n, (const char *)p);
    return n ? n : 1;
}

static void put_string(struct buf *out, const char *text)
{
    const unsigned char *p = (const unsigned char *)text, *end = p + strlen(text);
    char escaped[8];
    buf_append_byte(out, '"');
    while (p < end) {
        p += json_character(escaped, p, end);
        buf_append_str(out, escaped);
    }
    buf_append_byte(out, '"');
}

static void put_key(struct buf *out, const char *key)
{
    if (out->len > 0 && out->data[out->len - 1] != '{' && out->data[out->len - 1] != '[')
        buf_append_byte(out, ',');
    if (key) {
        put_string(out, key);
        buf_append_byte(out, ':');
    }
}

void json_open(struct buf *out, const char *key, char bracket)
{
    put_key(out, key);
    buf_append_byte(out, (uint8_t)bracket);
}

void json_close(struct buf *out, char bracket)
{
    buf_append_byte(out, (uint8_t)bracket);
}

void json_put_text(struct buf *out, const char *key, const char *text)
{
    put_key(out, key);
    if (text)
        put_string(out, text);
    else
        buf_append_str(out, "null");
}

void json_put_number(struct buf *out, const char *key, double number)
{
    put_key(out, key);
    buf_printf(out, "%.15g", number);
}

void json_put_u64(struct buf *out, const char *key, uint64_t number)
{
    put_key(out, key);
    buf_printf(out, "%" PRIu64, number);
}

void json_put_bool(struct buf *out, const char *key, bool value)
{
    put_key(out, key);
    buf_append_str(out, value ? "true" : "false");
}

void json_put_raw(struct buf *out, const char *key, const char *json)
{
    put_key(out, key);
    buf_append_str(out, *json ? json : "null");
}
