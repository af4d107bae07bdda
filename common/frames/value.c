#include "frames/value.h"

bool value_to_int64(const struct value *v, int64_t *number)
{
    const char *p = v->data, *end = v->data + v->size;
    bool negative = p < end && *p == '-';
    uint64_t limit = (uint64_t)INT64_MAX + negative, n = 0;
    p += negative;
    if (p == end)
        return false;
    for (; p < end; p++) {
        unsigned digit = (unsigned char)*p - (unsigned)'0';
        if (digit > 9 || n > (limit - digit) / 10)
            return false;
        n = n * 10 + digit;
    }
    *number = (int64_t)(negative ? 0 - n : n);
    return true;
}
