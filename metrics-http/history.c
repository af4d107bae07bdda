#include "history.h"

#include <math.h>

#include "base/json.h"

void series_see(struct series *s, double value)
{
    if (isnan(value) || (s->seen && value <= (double)s->most))
        return;
    s->most = (float)value;
    s->seen = true;
}

size_t history_due(const struct history *h, int64_t now_ms)
{
    if (now_ms < h->due_ms)
        return 0;
    int64_t n = h->due_ms == 0 ? 1 : 1 + (now_ms - h->due_ms) / HISTORY_STEP_MS;
    return n > HISTORY_SAMPLES ? HISTORY_SAMPLES : (size_t)n;
}

void series_take(struct series *s, const struct history *h, size_t due)
{
    for (size_t i = 0; i < due; i++) {
        bool last = i + 1 == due; /* of those before nothing is known */
        s->values[(h->nsamples + i) % HISTORY_SAMPLES] = last && s->seen ? s->most : NAN;
    }
    if (due > 0)
        s->seen = false;
}

void history_took(struct history *h, size_t due, int64_t now_ms)
{
    if (due == 0)
        return;
    if (h->nsamples == 0)
        h->due_ms = now_ms;
    h->nsamples += due;
    h->due_ms += (int64_t)due * HISTORY_STEP_MS;
    if (h->due_ms <= now_ms)
        h->due_ms = now_ms + HISTORY_STEP_MS;
}

void series_put_json(struct buf *out, const char *key, const struct series *s,
                     const struct history *h)
{
    size_t first = h->nsamples > HISTORY_SAMPLES ? h->nsamples - HISTORY_SAMPLES : 0;
    json_open(out, key, '[');
    for (size_t i = first; i < h->nsamples; i++) {
        float value = s->values[i % HISTORY_SAMPLES];
        if (isnan(value))
            json_put_text(out, NULL, NULL);
        else
            json_put_number(out, NULL, (double)(int64_t)((double)value * 1000 + 0.5) / 1000);
    }
    json_close(out, ']');
}
