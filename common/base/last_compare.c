#include "base/last_compare.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/atomic_file.h"
#include "base/json.h"

const char *const compare_words[COMPARE_VERDICTS] = {"equal", "different", "undecided",
                                                     "not compared"};
static const char *const members[COMPARE_VERDICTS] = {"tables_equal", "tables_different",
                                                      "tables_undecided", "tables_not_compared"};

static void put_gauge(struct buf *out, const char *name, const char *help)
{
    buf_printf(out, "# HELP %s %s\n# TYPE %s gauge\n", name, help, name);
}

int last_compare_write(const char *path, const char *component, const struct last_compare *c,
                       struct err *err)
{
    struct buf out = {0};
    const struct {
        const char *name, *help;
        uint64_t value;
    } gauges[] = {
        {"pg2any_compare_timestamp_seconds", "When the last comparison ended; Unix time.",
         c->ended_s},
        {"pg2any_compare_duration_seconds", "How long it took.", c->seconds},
        {"pg2any_compare_rows", "Rows of the source that it looked at.", c->rows},
        {"pg2any_compare_keys_different", "Keys that it found to differ.", c->differ},
    };
    buf_printf(&out,
               STATS_FILE_MAGIC " component=%s pid=%d state=stopped status=0 follows=0 reason=\n",
               component, (int)getpid());
    for (size_t i = 0; i < sizeof gauges / sizeof *gauges; i++) {
        put_gauge(&out, gauges[i].name, gauges[i].help);
        buf_printf(&out, "%s %" PRIu64 "\n", gauges[i].name, gauges[i].value);
    }
    put_gauge(&out, "pg2any_compare_tables", "Tables of the last comparison, by what it found.");
    for (int v = 0; v < COMPARE_VERDICTS; v++)
        buf_printf(&out, "pg2any_compare_tables{result=\"%s\"} %" PRIu64 "\n", compare_words[v],
                   c->tables[v]);
    int rc = buf_check(&out, err) || atomic_file_write(path, out.data, out.len, err) ? -1 : 0;
    buf_free(&out);
    return rc;
}

void last_compare_path(const char *stats, char out[LAST_COMPARE_PATH])
{
    static const char applier[] = "apply";
    const char *slash = strrchr(stats, '/');
    const char *base = slash ? slash + 1 : stats;
    size_t len = sizeof applier - 1;
    int n = -1;
    if (strncmp(base, applier, len) == 0 && (base[len] == '.' || base[len] == '-'))
        n = snprintf(out, LAST_COMPARE_PATH, "%.*scompare%s", (int)(base - stats), stats,
                     base + len);
    if (n < 0 || n >= LAST_COMPARE_PATH)
        *out = '\0';
}

static uint64_t count_of(const struct stats_file *f, const char *name, const char *label)
{
    double value;
    return stats_file_value(f, name, label, &value) && value > 0 ? (uint64_t)value : 0;
}

void last_compare_read(const struct stats_file *f, struct last_compare *c)
{
    *c = (struct last_compare){
        .ended_s = count_of(f, "pg2any_compare_timestamp_seconds", NULL),
        .seconds = count_of(f, "pg2any_compare_duration_seconds", NULL),
        .differ = count_of(f, "pg2any_compare_keys_different", NULL),
        .rows = count_of(f, "pg2any_compare_rows", NULL),
    };
    for (int v = 0; v < COMPARE_VERDICTS; v++) {
        char label[32];
        (void)snprintf(label, sizeof label, "result=\"%s\"", compare_words[v]);
        c->tables[v] = count_of(f, "pg2any_compare_tables", label);
    }
}

void last_compare_words(const struct last_compare *c, char out[LAST_COMPARE_WORDS])
{
    uint64_t different = c->tables[COMPARE_DIFFERENT], n = 0;
    size_t at;
    for (int v = 0; v < COMPARE_VERDICTS; v++)
        n += c->tables[v];
    if (different > 0)
        at = (size_t)snprintf(
            out, LAST_COMPARE_WORDS,
            "%" PRIu64 " of %" PRIu64 " table%s differ%s; keys found to differ: %" PRIu64,
            different, n, n == 1 ? "" : "s", different == 1 ? "s" : "", c->differ);
    else
        at = (size_t)snprintf(out, LAST_COMPARE_WORDS, "%" PRIu64 " table%s equal",
                              c->tables[COMPARE_EQUAL], c->tables[COMPARE_EQUAL] == 1 ? "" : "s");
    for (int v = COMPARE_UNDECIDED; v < COMPARE_VERDICTS; v++)
        if (c->tables[v] > 0 && at < LAST_COMPARE_WORDS)
            at += (size_t)snprintf(out + at, LAST_COMPARE_WORDS - at, "; %" PRIu64 " %s",
                                   c->tables[v], compare_words[v]);
}

void last_compare_put_json(struct buf *out, const struct last_compare *c)
{
    if (c->ended_s == 0) {
        json_put_raw(out, "last_compare", "");
        return;
    }
    char words[LAST_COMPARE_WORDS];
    last_compare_words(c, words);
    json_open(out, "last_compare", '{');
    json_put_u64(out, "time", c->ended_s);
    json_put_u64(out, "seconds", c->seconds);
    json_put_text(out, "words", words);
    for (int v = 0; v < COMPARE_VERDICTS; v++)
        json_put_u64(out, members[v], c->tables[v]);
    json_put_u64(out, "keys_different", c->differ);
    json_put_u64(out, "rows", c->rows);
    json_close(out, '}');
}
