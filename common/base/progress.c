#include "base/progress.h"

#include <stdio.h>
#include <time.h>

#include "base/json.h"

/* A target that lacks no more than that is up to date: what the server has not told yet, and the
 * rest of a WAL segment. */
#define NEAR_BYTES (16.0 * 1024 * 1024)
#define NEAR_S     5
#define SAME       0.05 /* speeds that differ by less are the same */

/* ---- stages ---- */

const struct stage_metric stage_metrics[] = {
    {"pg2any_restarts_total", "restarts"},
    {"pg2any_replication_lag_bytes", "lag_bytes"},
    {"pg2any_replication_lag_seconds", "lag_seconds"},
    {"pg2any_queue_depth", "queue"},
    {"pg2any_spill_bytes", "spill_bytes"},
    {"pg2any_events_per_second", "events_per_second"},
    {"pg2any_skipped_events_total", "skipped_events"},
    {NULL, NULL},
};

void stage_put_json(struct buf *out, const char *name, const char *program,
                    const struct stats_file *f, const struct err *fault)
{
    json_open(out, NULL, '{');
    json_put_text(out, "name", name);
    json_put_text(out, "program", program);
    json_put_text(out, "state", stats_file_word(f));
    json_put_text(out, "fault", fault->kind == ERR_NONE ? NULL : fault->text);
    if (f->alive)
        json_put_u64(out, "pid", (uint64_t)f->pid);
    for (const struct stage_metric *m = stage_metrics; m->metric; m++) {
        double v;
        if (f->alive && stats_file_value(f, m->metric, NULL, &v))
            json_put_number(out, m->name, v);
    }
    json_close(out, '}');
}

/* ---- quantities ---- */

const char *amount_text(char out[QUANTITY_TEXT], double bytes)
{
    static const char *const units[] = {"B", "kB", "MB", "GB", "TB"};
    size_t u = 0;
    for (; bytes >= 1024 && u < 4; u++)
        bytes /= 1024;
    (void)snprintf(out, QUANTITY_TEXT, bytes < 10 && u > 0 ? "%.1f %s" : "%.0f %s", bytes,
                   units[u]);
    return out;
}

const char *duration_text(char out[QUANTITY_TEXT], double s)
{
    if (s < 100)
        (void)snprintf(out, QUANTITY_TEXT, "%.0f s", s);
    else if (s < 100 * 60)
        (void)snprintf(out, QUANTITY_TEXT, "%.0f min", s / 60);
    else if (s < 48 * 3600)
        (void)snprintf(out, QUANTITY_TEXT, "%.0f h", s / 3600);
    else
        (void)snprintf(out, QUANTITY_TEXT, "%.0f days", s / 86400);
    return out;
}

/* ---- lag ---- */

void lag_look(const struct stats_file *capture, const struct stats_file *apply, struct lag *lag)
{
    double server = stats_file_number(capture, "pg2any_server_lsn");
    double applied = stats_file_number(apply, "pg2any_last_processed_lsn");
    *lag = (struct lag){
        .left_s = -1,
        .seconds = stats_file_number(apply, "pg2any_replication_lag_seconds"),
        .applied_bytes_per_second = stats_file_number(apply, "pg2any_apply_wal_bytes_per_second"),
        .server_bytes_per_second = stats_file_number(capture, "pg2any_server_wal_bytes_per_second"),
    };
    if (!capture->alive || !apply->alive || server == 0 || applied == 0 ||
        stats_file_number(capture, "pg2any_source_connection_status") == 0 ||
        stats_file_number(apply, "pg2any_destination_connection_status") == 0)
        return;
    double comes = lag->server_bytes_per_second, goes = lag->applied_bytes_per_second;
    lag->behind_bytes = server > applied ? server - applied : 0;
    if (lag->seconds < NEAR_S && lag->behind_bytes <= NEAR_BYTES + NEAR_S * comes) {
        lag->kind = LAG_NONE;
    } else if (goes < 1) {
        lag->kind = LAG_STANDS;
    } else if (goes > comes * (1 + SAME)) {
        lag->kind = LAG_CATCHES_UP;
        lag->left_s = lag->behind_bytes / (goes - comes);
    } else if (comes > goes * (1 + SAME)) {
        lag->kind = LAG_GROWS;
    } else {
        lag->kind = LAG_STEADY;
        lag->left_s = lag->behind_bytes / goes;
    }
}

const char *lag_word(const struct lag *lag)
{
    static const char *const kinds[] = {
        [LAG_UNKNOWN] = "unknown",        [LAG_NONE] = "up to date", [LAG_STANDS] = "standing",
        [LAG_CATCHES_UP] = "catching up", [LAG_STEADY] = "behind",   [LAG_GROWS] = "falling behind",
    };
    return kinds[lag->kind];
}

void lag_words(const struct lag *lag, char out[LAG_WORDS])
{
    const char *behind = AMOUNT(lag->behind_bytes);
    switch (lag->kind) {
    case LAG_UNKNOWN:
        (void)snprintf(out, LAG_WORDS, "how far it is behind is not known");
        break;
    case LAG_NONE:
        (void)snprintf(out, LAG_WORDS, "up to date");
        break;
    case LAG_STANDS:
        (void)snprintf(out, LAG_WORDS, "%s behind, nothing applied in the last 10 s", behind);
        break;
    case LAG_CATCHES_UP:
        (void)snprintf(out, LAG_WORDS, "%s behind, catching up: %s left", behind,
                       DURATION(lag->left_s));
        break;
    case LAG_STEADY:
        (void)snprintf(out, LAG_WORDS, "%s behind, %s at this rate", behind, DURATION(lag->left_s));
        break;
    case LAG_GROWS:
        (void)snprintf(out, LAG_WORDS, "%s behind, falling behind by %s/s", behind,
                       AMOUNT(lag->server_bytes_per_second - lag->applied_bytes_per_second));
        break;
    }
}

static void put_seconds(struct buf *out, const char *key, double s)
{
    if (s < 0)
        json_put_text(out, key, NULL);
    else
        json_put_number(out, key, s);
}

static void put_tables_aside(struct buf *out, const char *key, const struct stats_file *apply,
                             const char *reason)
{
    double n = 0;
    (void)stats_file_value(apply, "pg2any_tables_aside", reason, &n);
    json_put_number(out, key, n);
}

void lag_put_json(struct buf *out, const struct stats_file *capture, const struct stats_file *apply)
{
    struct lag lag;
    char words[LAG_WORDS];
    lag_look(capture, apply, &lag);
    lag_words(&lag, words);
    json_put_text(out, "lag", lag_word(&lag));
    json_put_text(out, "lag_words", words);
    json_put_number(out, "behind_bytes", lag.behind_bytes);
    json_put_number(out, "behind_seconds", lag.seconds);
    put_seconds(out, "seconds_left", lag.left_s);
    json_put_number(out, "applied_wal_bytes_per_second", lag.applied_bytes_per_second);
    json_put_number(out, "tables_awaited", stats_file_number(apply, "pg2any_copy_tables_awaited"));
    json_put_number(out, "tables_settling",
                    stats_file_number(apply, "pg2any_copy_tables_settling"));
    put_tables_aside(out, "tables_paused", apply, "reason=\"paused\"");
    put_tables_aside(out, "tables_refused", apply, "reason=\"refused\"");
}

void apart_put_json(struct buf *out, const struct apart *a, const struct stats_file *capture,
                    const struct stats_file *apply)
{
    json_put_text(out, "apart", a->kind == APART_NONE ? NULL : apart_word(a->kind));
    if (a->kind == APART_NONE)
        return;
    json_put_u64(out, "apart_since", (uint64_t)a->since_s);
    json_put_number(out, "apart_wal_bytes",
                    a->kind == APART_GIVEN_UP ? 0 : apart_kept_bytes(capture, apply));
}

/* ---- copies ---- */

bool table_copy_next(const struct stats_file *capture, const char **at, struct table_copy *copy)
{
    struct stats_sample s;
    while (stats_file_next(capture, "pg2any_capture_copy_active", at, &s)) {
        char label[sizeof copy->table + 16];
        double begun;
        (void)snprintf(label, sizeof label, "%.*s", (int)s.labels_len, s.labels);
        if (s.value != 1 || !stats_sample_label(&s, "table", copy->table, sizeof copy->table) ||
            !stats_file_value(capture, "pg2any_capture_copy_rows", label, &copy->rows) ||
            !stats_file_value(capture, "pg2any_capture_copy_bytes", label, &copy->bytes) ||
            !stats_file_value(capture, "pg2any_capture_copy_estimated_rows", label,
                              &copy->estimated_rows) ||
            !stats_file_value(capture, "pg2any_capture_copy_begun_timestamp_seconds", label,
                              &begun))
            continue;
        copy->for_s = difftime(time(NULL), (time_t)begun);
        bool known = copy->for_s > 0 && copy->rows > 0 && copy->estimated_rows > copy->rows;
        copy->left_s =
            known ? (copy->estimated_rows - copy->rows) / (copy->rows / copy->for_s) : -1;
        return true;
    }
    return false;
}

void table_copies_put_json(struct buf *out, const struct stats_file *capture)
{
    struct table_copy c;
    json_open(out, "copies", '[');
    for (const char *at = NULL; capture->alive && table_copy_next(capture, &at, &c);) {
        json_open(out, NULL, '{');
        json_put_text(out, "table", c.table);
        json_put_number(out, "rows", c.rows);
        json_put_number(out, "bytes", c.bytes);
        json_put_number(out, "estimated_rows", c.estimated_rows);
        json_put_number(out, "seconds", c.for_s);
        put_seconds(out, "seconds_left", c.left_s);
        json_close(out, '}');
    }
    json_close(out, ']');
    json_put_number(out, "tables_left",
                    stats_file_number(capture, "pg2any_capture_copy_tables_left"));
}
