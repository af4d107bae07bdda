#include "json_fields.h"

#include <stdlib.h>

#include "base/lsn.h"
#include "base/utf8.h"

void fields_init(struct fields *f)
{
    f->json = json_object();
    f->failed = !f->json;
}

void fields_free(struct fields *f)
{
    json_decref(f->json);
    f->json = NULL;
}

void fields_put(struct fields *f, const char *key, json_t *value)
{
    if (json_object_set_new(f->json, key, value) != 0)
        f->failed = true;
}

void fields_put_u64(struct fields *f, const char *key, uint64_t v)
{
    fields_put(f, key, json_u64(v));
}

void fields_put_bool(struct fields *f, const char *key, bool v)
{
    fields_put(f, key, json_boolean(v));
}

void fields_put_lsn(struct fields *f, const char *key, uint64_t lsn)
{
    fields_put(f, key, lsn ? json_string(LSN(lsn)) : json_null());
}

void fields_put_time(struct fields *f, const char *key, int64_t time_us)
{
    char text[PG_TIME_TEXT_SIZE];
    fields_put(f, key, json_string(pg_time_text(text, time_us)));
}

void fields_put_name(struct fields *f, const char *key, struct bytes name)
{
    fields_put(f, key, json_name(name));
}

static int append_to_buf(const char *bytes, size_t n, void *data)
{
    struct buf *out = data;
    buf_append(out, bytes, n);
    return out->failed ? -1 : 0;
}

int fields_write(const struct fields *f, struct buf *out, struct err *err)
{
    if (f->failed)
        return err_nomem(err);
    size_t start = out->len;
    if (json_dump_callback(f->json, append_to_buf, out, JSON_COMPACT) != 0) {
        out->len = start;
        return err_nomem(err);
    }
    buf_append_byte(out, '\n');
    return buf_check(out, err);
}

json_t *json_u64(uint64_t v)
{
    if (v <= INT64_MAX)
        return json_integer((json_int_t)v);
    return json_sprintf("%llu", (unsigned long long)v);
}

static const char hex_digits[] = "0123456789abcdef";

json_t *json_name(struct bytes name)
{
    if (utf8_valid(name.data, name.size))
        return json_stringn_nocheck(name.data, name.size);
    struct buf escaped = {0};
    for (size_t i = 0; i < name.size; i++) {
        uint8_t byte = (uint8_t)name.data[i];
        if (byte < 0x80)
            buf_append_byte(&escaped, byte);
        else
            buf_printf(&escaped, "\\x%02x", byte);
    }
    json_t *json = NULL;
    if (!escaped.failed)
        json = json_stringn((const char *)escaped.data, escaped.len);
    buf_free(&escaped);
    return json;
}

/* {"<key>":"<hex>"} */
static json_t *hex_object(const char *key, struct bytes bytes)
{
    struct buf hex = {0};
    uint8_t *to = buf_reserve(&hex, bytes.size * 2 + 1);
    if (!to)
        return NULL;
    for (size_t i = 0; i < bytes.size; i++) {
        uint8_t byte = (uint8_t)bytes.data[i];
        *to++ = (uint8_t)hex_digits[byte >> 4];
        *to++ = (uint8_t)hex_digits[byte & 0x0f];
    }
    json_t *object = json_object();
    json_t *text = json_stringn_nocheck((const char *)hex.data, bytes.size * 2);
    buf_free(&hex);
    if (!object || json_object_set_new(object, key, text) != 0) {
        if (!object)
            json_decref(text);
        json_decref(object);
        return NULL;
    }
    return object;
}

json_t *json_text(struct bytes text)
{
    return utf8_valid(text.data, text.size) ? json_stringn_nocheck(text.data, text.size)
                                            : hex_object("text_bytes", text);
}

json_t *json_bytes(struct bytes bytes)
{
    return hex_object("bytes", bytes);
}

json_t *json_value(const struct value *v)
{
    switch (v->kind) {
    case VALUE_NULL:
        return json_null();
    case VALUE_TEXT:
        return json_text((struct bytes){v->data, v->size});
    case VALUE_BYTES:
        return json_bytes((struct bytes){v->data, v->size});
    case VALUE_UNCHANGED:
        return json_pack("{s:b}", "unchanged", 1);
    }
    BUG("unknown kind of value");
}
