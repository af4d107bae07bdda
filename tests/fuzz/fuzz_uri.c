/*
 * fuzz_uri.c - any text as what says where a source or a target is.
 *
 * Byte 1 in the input stands for a secret, the first time that it comes. What must hold: where
 * libpq, or a driver, takes the secret for a part of a password, redact() shows nothing of it, and
 * no error does.
 */
#include <stdlib.h>
#include <string.h>

#include <libpq-fe.h>

#include "apply-mysql/mysql_driver.h"
#include "base/redact.h"
#include "base/utf8.h"
#include "tests/fuzz/input.h"

#define SECRET "hunter2"

static char *with_secret(const uint8_t *data, size_t size)
{
    struct buf b = {0};
    bool put = false;
    for (size_t i = 0; i < size && data[i]; i++) {
        if (data[i] == 1 && !put)
            buf_append_str(&b, SECRET);
        else
            buf_append_byte(&b, data[i]);
        put = put || data[i] == 1;
    }
    buf_append_byte(&b, 0);
    check(!b.failed, "no memory");
    return (char *)b.data;
}

static bool tells(const char *text)
{
    return text && strstr(text, SECRET);
}

/* What it is to libpq. */
static bool libpq_takes_it(const char *uri)
{
    char *message = NULL;
    bool secret = false;
    PQconninfoOption *options = PQconninfoParse(uri, &message);
    for (const PQconninfoOption *o = options; o && o->keyword; o++)
        secret = secret || (strstr(o->keyword, "password") && tells(o->val));
    PQconninfoFree(options);
    PQfreemem(message);
    return secret;
}

/* What it is to a driver. Between the first colon behind the scheme and the last @ it may be one
 * that was not written as it has to be. */
static bool driver_takes_it(const char *uri)
{
    struct err err = {0};
    struct my_uri u;
    size_t scheme = redact_scheme(uri);
    const char *colon = scheme > 0 ? strchr(uri + scheme + 3, ':') : NULL;
    const char *secret = colon ? strstr(colon, SECRET) : NULL, *at = strrchr(uri, '@');
    if (my_uri_parse(&u, uri, &err) == 0) {
        bool taken = tells(u.base.password);
        my_uri_free(&u);
        return taken;
    }
    check_refusal(&err);
    check(!secret || secret > at || !tells(err.text), "an error tells a password");
    return secret && secret < at;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    char *uri = with_secret(data, size);
    struct buf shown = {0};
    char *first = strstr(uri, SECRET);
    if (first && strstr(first + 1, SECRET)) { /* elsewhere it may be what is told */
        free(uri);
        return 0;
    }
    redact(&shown, uri);
    bool secret = libpq_takes_it(uri) || driver_takes_it(uri);
    check(!secret || !tells(buf_cstr(&shown)), "a password is shown");
    check(!secret || !redact_is_path(uri), "a password may be in what is taken for a path");
    buf_free(&shown);
    free(uri);
    return 0;
}
