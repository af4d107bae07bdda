#include "stats.h"

#include <inttypes.h>
#include <string.h>

#include "atomic_file.h"
#include "buf.h"
#include "log.h"

void stats_init(struct stats *s, const char *path)
{
    *s = (struct stats){.path = path};
}

uint64_t *stats_register(struct stats *s, enum stats_type type, const char *name,
                         const char *labels, const char *help)
{
    if (s->n == STATS_MAX)
        BUG("too many metrics");
    struct stats_metric *m = &s->metrics[s->n++];
    *m = (struct stats_metric){.name = name, .labels = labels, .help = help, .type = type};
    return &m->value;
}

void stats_write(struct stats *s)
{
    if (!s->path)
        return;
    struct buf text = {0};
    const char *last = "";
    for (size_t i = 0; i < s->n; i++) {
        const struct stats_metric *m = &s->metrics[i];
        if (strcmp(m->name, last) != 0)
            buf_printf(&text, "# HELP %s %s\n# TYPE %s %s\n", m->name, m->help, m->name,
                       m->type == STATS_COUNTER ? "counter" : "gauge");
        last = m->name;
        if (m->labels)
            buf_printf(&text, "%s{%s} %" PRIu64 "\n", m->name, m->labels, m->value);
        else
            buf_printf(&text, "%s %" PRIu64 "\n", m->name, m->value);
    }
    struct err err = {0};
    if (buf_check(&text, &err) || atomic_file_write(s->path, text.data, text.len, &err)) {
        if (!s->failed)
            log_warning("cannot write the statistics file", "error", err.text, NULL);
        s->failed = true;
    } else {
        s->failed = false;
    }
    buf_free(&text);
}

void stats_tick(struct stats *s, int64_t now_ms)
{
    if (!s->path || now_ms < s->next_ms)
        return;
    s->next_ms = now_ms + STATS_INTERVAL_MS;
    stats_write(s);
}
