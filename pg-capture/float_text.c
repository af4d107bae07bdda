#include "float_text.h"

#include <float.h>
#include <inttypes.h>
#include <math.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/*
 * How the digits are found: printf rounds correctly and strtod reads correctly, so the nearest
 * decimal of n digits is one printf, and one strtod says whether it is good. Numbers of up to
 * `sure_digits` digits survive the way through the format and back, so if the value has a text that
 * short, it is the one that printf gives, less its trailing zeros. Otherwise one digit more is
 * tried, up to `max_digits`, which are always enough. Subnormal numbers keep fewer digits; for them
 * the search starts at one.
 */
struct format {
    int bits;          /* of the significand */
    int sure_digits;   /* FLT_DIG, DBL_DIG */
    int max_digits;    /* FLT_DECIMAL_DIG, DBL_DECIMAL_DIG */
    int first_sci_exp; /* from this decimal exponent on the text is in exponent form */
    double sure_limit; /* 10 to the power of sure_digits */
    double normal_min;
};

static const struct format float4 = {FLT_MANT_DIG, FLT_DIG, FLT_DECIMAL_DIG, 6, 1e6, FLT_MIN};
static const struct format float8 = {DBL_MANT_DIG, DBL_DIG, DBL_DECIMAL_DIG, 15, 1e15, DBL_MIN};

#define LAST_FIXED_EXP (-4) /* below this decimal exponent too, for both */

/* digits times 10 to the power of exp10 */
struct decimal {
    uint64_t digits;
    int exp10;
};

static double read_decimal(const struct format *f, const struct decimal *d)
{
    char text[40];
    (void)snprintf(text, sizeof text, "%" PRIu64 "e%d", d->digits, d->exp10);
    return f == &float4 ? (double)strtof(text, NULL) : strtod(text, NULL);
}

/* The nearest decimal of n digits. What stands between the first digit and the others depends on
 * the locale and is skipped. */
static struct decimal nearest_decimal(double v, int n)
{
    char text[40];
    (void)snprintf(text, sizeof text, "%.*e", n - 1, v);
    const char *p = text;
    struct decimal d = {0, 0};
    for (; *p && *p != 'e'; p++)
        if (*p >= '0' && *p <= '9')
            d.digits = d.digits * 10 + (uint64_t)(*p - '0');
    if (*p == 'e')
        d.exp10 = (int)strtol(p + 1, NULL, 10) - (n - 1);
    return d;
}

/*
 * Whether a decimal that reads back as v is exactly the midpoint between v and a neighbour: then,
 * and only then, it is an odd number of one bit more than the significand times a power of two.
 * (With fewer bits it is v itself. The midpoints of subnormal numbers have hundreds of digits and
 * never come here.)
 */
static bool is_midpoint(const struct format *f, const struct decimal *d)
{
    uint64_t n = d->digits;
    if (n == 0)
        return false;
    for (int e = d->exp10; e < 0; e++) {
        if (n % 5 != 0)
            return false;
        n /= 5;
    }
    while (n % 2 == 0)
        n /= 2;
    for (int e = d->exp10; e > 0; e--) {
        if (n > UINT64_MAX / 5)
            return false;
        n *= 5;
    }
    return n >> f->bits == 1;
}

static bool is_text_of(const struct format *f, const struct decimal *d, double v)
{
    return read_decimal(f, d) == v && !is_midpoint(f, d);
}

/*
 * What people store mostly: whole numbers and numbers with a few decimals. The quotient of two
 * exact numbers is rounded once, so it equals v exactly when digits/10^k reads back as v; with no
 * more than sure_digits digits this is the text. Not where the hardware rounds twice (x87).
 */
static bool few_decimals(const struct format *f, double v, struct decimal *d)
{
    static const double power10[] = {1, 1e1, 1e2, 1e3, 1e4, 1e5, 1e6};
    if (FLT_EVAL_METHOD != 0)
        return false;
    for (int k = 0; k < (int)(sizeof power10 / sizeof power10[0]); k++) {
        double scaled = v * power10[k];
        if (!(scaled < f->sure_limit - 1))
            return false;
        uint64_t digits = (uint64_t)(scaled + 0.5);
        double back = f == &float4 ? (double)((float)digits / (float)power10[k])
                                   : (double)digits / power10[k];
        if (back == v) {
            *d = (struct decimal){digits, -k};
            return true;
        }
    }
    return false;
}

static struct decimal shortest_decimal(const struct format *f, double v)
{
    struct decimal d;
    if (few_decimals(f, v, &d))
        return d;
    /* At a power of two the numbers below are twice as dense as those above: the nearest decimal
     * can be too far below while the next one above is near enough. */
    int exp2;
    bool power_of_two = frexp(v, &exp2) == 0.5;
    for (int n = v < f->normal_min ? 1 : f->sure_digits; n < f->max_digits; n++) {
        d = nearest_decimal(v, n);
        if (is_text_of(f, &d, v))
            return d;
        if (power_of_two) {
            d.digits++;
            if (is_text_of(f, &d, v))
                return d;
        }
    }
    return nearest_decimal(v, f->max_digits);
}

static size_t float_text(char text[FLOAT_TEXT_SIZE], const struct format *f, double v)
{
    char *p = text;
    if (isnan(v))
        return (size_t)snprintf(text, FLOAT_TEXT_SIZE, "NaN");
    if (signbit(v)) {
        *p++ = '-';
        v = -v;
    }
    if (v == 0 || isinf(v)) {
        const char *word = v == 0 ? "0" : "Infinity";
        size_t len = strlen(word);
        memcpy(p, word, len + 1);
        return (size_t)(p - text) + len;
    }

    struct decimal d = shortest_decimal(f, v);
    while (d.digits % 10 == 0) {
        d.digits /= 10;
        d.exp10++;
    }
    char digits[24];
    int n = snprintf(digits, sizeof digits, "%" PRIu64, d.digits);
    int exp = d.exp10 + n - 1; /* of the first digit */

    if (exp < LAST_FIXED_EXP || exp >= f->first_sci_exp) {
        *p++ = digits[0];
        if (n > 1) {
            *p++ = '.';
            memcpy(p, digits + 1, (size_t)n - 1);
            p += n - 1;
        }
        p += snprintf(p, 8, "e%c%02d", exp < 0 ? '-' : '+', exp < 0 ? -exp : exp);
    } else if (exp < 0) {
        *p++ = '0';
        *p++ = '.';
        for (int i = exp + 1; i < 0; i++)
            *p++ = '0';
        memcpy(p, digits, (size_t)n);
        p += n;
    } else {
        for (int i = 0; i < n || i <= exp; i++) {
            if (i == exp + 1)
                *p++ = '.';
            *p++ = (char)(i < n ? digits[i] : '0');
        }
    }
    *p = '\0';
    return (size_t)(p - text);
}

size_t float4_text(char text[FLOAT_TEXT_SIZE], float value)
{
    return float_text(text, &float4, (double)value);
}

size_t float8_text(char text[FLOAT_TEXT_SIZE], double value)
{
    return float_text(text, &float8, value);
}
