#include "base/lsn.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#define US_PER_S INT64_C(1000000)

const char *lsn_text(char text[LSN_TEXT_SIZE], uint64_t lsn)
{
    (void)snprintf(text, LSN_TEXT_SIZE, "%" PRIX32 "/%" PRIX32, (uint32_t)(lsn >> 32),
                   (uint32_t)lsn);
    return text;
}

/* One half: 1 to 8 hexadecimal digits. */
static bool parse_half(const char *s, size_t len, uint32_t *half)
{
    if (len < 1 || len > 8)
        return false;
    uint32_t v = 0;
    for (size_t i = 0; i < len; i++) {
        char c = s[i];
        uint32_t digit;
        if (c >= '0' && c <= '9')
            digit = (uint32_t)(c - '0');
        else if (c >= 'A' && c <= 'F')
            digit = (uint32_t)(c - 'A') + 10;
        else if (c >= 'a' && c <= 'f')
            digit = (uint32_t)(c - 'a') + 10;
        else
            return false;
        v = v << 4 | digit;
    }
    *half = v;
    return true;
}

bool lsn_parse(const char *text, size_t len, uint64_t *lsn)
{
    const char *slash = memchr(text, '/', len);
    uint32_t hi, lo;
    if (!slash || !parse_half(text, (size_t)(slash - text), &hi) ||
        !parse_half(slash + 1, len - (size_t)(slash - text) - 1, &lo))
        return false;
    *lsn = (uint64_t)hi << 32 | lo;
    return true;
}

const char *pg_time_text(char text[PG_TIME_TEXT_SIZE], int64_t time_us)
{
    if (time_us == INT64_MAX || time_us == INT64_MIN) {
        (void)snprintf(text, PG_TIME_TEXT_SIZE, "%s", time_us > 0 ? "infinity" : "-infinity");
        return text;
    }
    int64_t s = time_us / US_PER_S;
    int64_t us = time_us % US_PER_S;
    if (us < 0) {
        us += US_PER_S;
        s--;
    }
    time_t t = (time_t)(s + PG_EPOCH_UNIX_S);
    struct tm tm;
    if (!gmtime_r(&t, &tm)) {
        (void)snprintf(text, PG_TIME_TEXT_SIZE, "%" PRId64 " us", time_us);
        return text;
    }
    (void)snprintf(text, PG_TIME_TEXT_SIZE, "%04lld-%02d-%02d %02d:%02d:%02d.%06d+00:00",
                   (long long)tm.tm_year + 1900, tm.tm_mon + 1, tm.tm_mday, tm.tm_hour, tm.tm_min,
                   tm.tm_sec, (int)us);
    return text;
}

bool pg_time_parse(const char *text, int64_t *time_us)
{
    struct tm tm = {0};
    int us;
    if (strcmp(text, "infinity") == 0 || strcmp(text, "-infinity") == 0) {
        *time_us = *text == '-' ? INT64_MIN : INT64_MAX;
        return true;
    }
    if (sscanf(text, "%7d-%2d-%2d %2d:%2d:%2d.%6d+00:00", &tm.tm_year, &tm.tm_mon, &tm.tm_mday,
               &tm.tm_hour, &tm.tm_min, &tm.tm_sec, &us) != 7)
        return false;
    tm.tm_year -= 1900;
    tm.tm_mon -= 1;
    int64_t s = (int64_t)timegm(&tm) - PG_EPOCH_UNIX_S;
    if (s < 0) { /* towards zero, so that the earliest time is in range at each step */
        s++;
        us -= (int)US_PER_S;
    }
    /* Other spellings of a time, and dates that there are not, are found by writing it. */
    char again[PG_TIME_TEXT_SIZE];
    return !__builtin_mul_overflow(s, US_PER_S, time_us) &&
           !__builtin_add_overflow(*time_us, us, time_us) &&
           strcmp(pg_time_text(again, *time_us), text) == 0;
}

int64_t pg_time_now_us(void)
{
    struct timespec ts;
    (void)clock_gettime(CLOCK_REALTIME, &ts);
    return ((int64_t)ts.tv_sec - PG_EPOCH_UNIX_S) * US_PER_S + ts.tv_nsec / 1000;
}

int64_t monotonic_us(void)
{
    struct timespec ts;
    (void)clock_gettime(CLOCK_MONOTONIC, &ts);
    return (int64_t)ts.tv_sec * 1000000 + ts.tv_nsec / 1000;
}

int64_t monotonic_ms(void)
{
    return monotonic_us() / 1000;
}
