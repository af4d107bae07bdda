#include "base/utf8.h"

#include <stdint.h>
#include <string.h>

size_t utf8_character(const unsigned char *p, const unsigned char *end)
{
    size_t left = (size_t)(end - p);
    size_t n = p[0] < 0x80   ? 1
               : p[0] < 0xc2 ? 0
               : p[0] < 0xe0 ? 2
               : p[0] < 0xf0 ? 3
               : p[0] < 0xf5 ? 4
                             : 0;
    if (n == 0 || n > left)
        return 0;
    for (size_t i = 1; i < n; i++)
        if ((p[i] & 0xc0) != 0x80)
            return 0;
    if ((p[0] == 0xe0 && p[1] < 0xa0) || (p[0] == 0xed && p[1] > 0x9f) ||
        (p[0] == 0xf0 && p[1] < 0x90) || (p[0] == 0xf4 && p[1] > 0x8f))
        return 0;
    return n;
}

#define HIGH_BITS UINT64_C(0x8080808080808080)

static bool eight_are_ascii(const unsigned char *p)
{
    uint64_t v;
    memcpy(&v, p, sizeof v);
    return (v & HIGH_BITS) == 0;
}

bool utf8_valid(const void *text, size_t size)
{
    const unsigned char *p = text, *end = p + size;
    for (size_t n; p < end; p += n) {
        n = end - p >= 8 && eight_are_ascii(p) ? 8 : utf8_character(p, end);
        if (n == 0)
            return false;
    }
    return true;
}
