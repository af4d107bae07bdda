#include "tests/fuzz/input.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

struct input input(const uint8_t *data, size_t size)
{
    return (struct input){data, data + size};
}

uint8_t input_u8(struct input *in)
{
    return in->pos < in->end ? *in->pos++ : 0;
}

uint64_t input_number(struct input *in, int bytes)
{
    uint64_t n = 0;
    while (bytes-- > 0)
        n = n << 8 | input_u8(in);
    return n;
}

unsigned input_below(struct input *in, unsigned n)
{
    return input_u8(in) % n;
}

char *input_bytes(struct input *in, size_t size, size_t *got)
{
    size_t n = size < input_left(in) ? size : input_left(in);
    char *copy = malloc(n + 1);
    check(copy != NULL, "no memory");
    if (n > 0)
        memcpy(copy, in->pos, n);
    copy[n] = '\0';
    in->pos += n;
    if (got)
        *got = n;
    return copy;
}

char *input_text(struct input *in)
{
    const uint8_t *zero = input_left(in) > 0 ? memchr(in->pos, 0, input_left(in)) : NULL;
    char *text = input_bytes(in, zero ? (size_t)(zero - in->pos) : input_left(in), NULL);
    if (zero)
        in->pos++;
    return text;
}

int file_of(const void *data, size_t size)
{
    int fd = memfd_create("input", MFD_CLOEXEC);
    check(fd >= 0 && pwrite(fd, data, size, 0) == (ssize_t)size, "cannot make a file of the input");
    return fd;
}

struct fd_path path_of(int fd)
{
    struct fd_path path;
    (void)snprintf(path.text, sizeof path.text, "/proc/self/fd/%d", fd);
    return path;
}

void check(bool holds, const char *what)
{
    if (!holds)
        BUG(what);
}

void check_refusal(const struct err *err)
{
    check(err->kind == ERR_PERMANENT, "malformed input is not a permanent error");
    check(err->text[0] != '\0', "an error without a text");
}
