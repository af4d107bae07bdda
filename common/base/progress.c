#include "base/progress.h"

#include <stdio.h>
#include <time.h>

/* A target that lacks no more than that is up to date: what the server has not told yet, and the
 * rest of a WAL segment. */
#define NEAR_BYTES (16.0 * 1024 * 1024)
#define NEAR_S     5
#define SAME       0.05 /* speeds that differ by less are the same */

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
