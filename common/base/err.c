#include "base/err.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/option_name.h"

int err_set(struct err *err, enum err_kind kind, const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    err->kind = kind;
    err->follows = false;
    err->unknown = false;
    err->whole = false;
    (void)option_vsnprintf(err->text, sizeof err->text, fmt, ap);
    va_end(ap);
    return -1;
}

enum err_kind err_kind_of(int error)
{
    switch (error) {
    case EAGAIN:
    case EDQUOT:
    case EINTR:
    case EIO:
    case EMFILE:
    case ENFILE:
    case ENOBUFS:
    case ENOLCK:
    case ENOMEM:
    case ENOSPC:
    case ESTALE:
        return ERR_TEMPORARY;
    default:
        return ERR_PERMANENT;
    }
}

int err_errno(struct err *err, enum err_kind kind, const char *fmt, ...)
{
    int saved = errno;
    va_list ap;
    va_start(ap, fmt);
    err->kind = kind;
    err->follows = false;
    err->unknown = false;
    err->whole = false;
    int n = option_vsnprintf(err->text, sizeof err->text, fmt, ap);
    va_end(ap);
    if (n >= 0 && (size_t)n < sizeof err->text)
        (void)snprintf(err->text + n, sizeof err->text - (size_t)n, ": %s", strerror(saved));
    errno = saved;
    return -1;
}

int err_context(struct err *err, const char *fmt, ...)
{
    char was[ERR_TEXT_SIZE];
    memcpy(was, err->text, sizeof was);
    va_list ap;
    va_start(ap, fmt);
    int n = option_vsnprintf(err->text, sizeof err->text, fmt, ap);
    va_end(ap);
    if (n >= 0 && (size_t)n < sizeof err->text) {
        size_t room = sizeof err->text - (size_t)n;
        (void)snprintf(err->text + n, room, ": %.*s", (int)room, was);
    }
    return -1;
}

int err_hint(struct err *err, const char *fmt, ...)
{
    size_t len = strlen(err->text);
    size_t room = sizeof err->text - len;
    if (room < 8)
        return -1;
    va_list ap;
    va_start(ap, fmt);
    err->text[len] = ' ';
    err->text[len + 1] = '(';
    int n = option_vsnprintf(err->text + len + 2, room - 3, fmt, ap);
    va_end(ap);
    if (n < 0)
        err->text[len] = '\0';
    else
        memcpy(err->text + strlen(err->text), ")", 2);
    return -1;
}

int err_follows(struct err *err)
{
    err->follows = true;
    return -1;
}

int err_nomem(struct err *err)
{
    return err_set(err, ERR_TEMPORARY, "out of memory");
}

void err_clear(struct err *err)
{
    err->kind = ERR_NONE;
    err->follows = false;
    err->unknown = false;
    err->whole = false;
    err->text[0] = '\0';
}

void bug(const char *file, int line, const char *what)
{
    fprintf(stderr, "BUG at %s:%d: %s\n", file, line, what);
    abort();
}
