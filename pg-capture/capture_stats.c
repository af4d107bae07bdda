#include "capture_stats.h"

#include <stdio.h>
#include <string.h>

/* pg_replication_slots.wal_status. */
static const char *const wal_states[] = {"reserved", "extended", "unreserved", "lost"};

void capture_stats_init(struct capture_stats *s, const char *path, const char *slot)
{
    static const struct {
        char letter;
        const char *labels;
    } letters[] = {
        {'B', "type=\"begin\""},           {'C', "type=\"commit\""},
        {'I', "type=\"insert\""},          {'U', "type=\"update\""},
        {'D', "type=\"delete\""},          {'T', "type=\"truncate\""},
        {'R', "type=\"relation\""},        {'S', "type=\"stream_start\""},
        {'c', "type=\"stream_commit\""},   {'A', "type=\"stream_abort\""},
        {'P', "type=\"prepare\""},         {'p', "type=\"stream_prepare\""},
        {'K', "type=\"commit_prepared\""}, {'r', "type=\"rollback_prepared\""},
        {'M', "type=\"message\""},
    };
    stats_init(&s->file, path, "pg-capture");
    struct buf name = {0};
    stats_label(&name, "slot", slot);
    *stats_register(&s->file, STATS_GAUGE, "pg2any_slot_info", buf_cstr(&name),
                    "1; the slot's name is in the labels.") = 1;
    buf_free(&name);
    for (size_t i = 0; i < sizeof letters / sizeof *letters; i++)
        s->messages[(unsigned char)letters[i].letter] =
            stats_register(&s->file, STATS_COUNTER, "pg2any_capture_messages_total",
                           letters[i].labels, "Messages of pgoutput that were decoded.");
#define COUNTER(field, help)                                                                       \
    s->field =                                                                                     \
        stats_register(&s->file, STATS_COUNTER, "pg2any_capture_" #field "_total", NULL, help)
#define GAUGE(field, help)                                                                         \
    s->field = stats_register(&s->file, STATS_GAUGE, "pg2any_capture_" #field, NULL, help)
    s->received_bytes =
        stats_register(&s->file, STATS_COUNTER, "pg2any_network_bytes_received_total", NULL,
                       "Bytes of pgoutput messages received.");
    COUNTER(emitted_bytes, "Bytes of frames written.");
    COUNTER(connections, "Streams begun.");
    s->connected = stats_register(&s->file, STATS_GAUGE, "pg2any_source_connection_status", NULL,
                                  "1 while a stream is open.");
    s->received_lsn = stats_register(&s->file, STATS_GAUGE, "pg2any_last_received_lsn", NULL,
                                     "Last position received from the server, in bytes.");
    GAUGE(emitted_lsn, "End of what was written.");
    GAUGE(acknowledged_lsn, "Position that every target has acknowledged.");
    GAUGE(covered_lsn, "Position that the targets will have when they have what was written.");
    s->confirmed_lsn = stats_register(&s->file, STATS_GAUGE, "pg2any_confirmed_flush_lsn", NULL,
                                      "Position confirmed to the slot, in bytes.");
    s->commit_time =
        stats_register(&s->file, STATS_GAUGE, "pg2any_capture_last_commit_timestamp_seconds", NULL,
                       "Commit time of the last transaction written, Unix time.");
    s->pending_bytes = stats_register(&s->file, STATS_GAUGE, "pg2any_buffer_memory_usage_bytes",
                                      NULL, "Frames that wait for the reader of stdout.");
    s->lag_bytes = stats_register(&s->file, STATS_GAUGE, "pg2any_replication_lag_bytes", NULL,
                                  "From the confirmed position to the end of the server's WAL.");
    s->server_lsn = stats_register(&s->file, STATS_GAUGE, "pg2any_server_lsn", NULL,
                                   "The end of the server's WAL as last reported, in bytes.");
    stats_register_speed(&s->file, "pg2any_server_wal_bytes_per_second",
                         "How fast that moved in the last ten seconds.", s->server_lsn);
    s->retained_bytes =
        stats_register(&s->file, STATS_GAUGE, "pg2any_slot_retained_wal_bytes", NULL,
                       "WAL that the server keeps for the slot; queried every few seconds.");
    s->budget_bytes = stats_register(
        &s->file, STATS_GAUGE, "pg2any_slot_wal_budget_bytes", NULL,
        "WAL that the slot may keep: max_slot_wal_keep_size or --wal-budget, whichever is less; 0: "
        "neither is set.");
    GAUGE(copy_tables_left, "Tables still to be copied.");
    s->copied_tables = stats_register(&s->file, STATS_COUNTER, "pg2any_copied_tables_total", NULL,
                                      "Tables whose complete copy was written.");
    s->copied_rows = stats_register(&s->file, STATS_COUNTER, "pg2any_copied_rows_total", NULL,
                                    "Rows of copies of tables that were written.");
    s->copied_bytes = stats_register(&s->file, STATS_COUNTER, "pg2any_copied_bytes_total", NULL,
                                     "The same in bytes, as the source sent them.");
    for (size_t i = 0; i < sizeof wal_states / sizeof *wal_states; i++) {
        char label[32];
        (void)snprintf(label, sizeof label, "status=\"%s\"", wal_states[i]);
        s->wal_status[i] =
            stats_register(&s->file, STATS_GAUGE, "pg2any_slot_wal_status", label,
                           "1 for the slot's wal_status (pg_replication_slots), 0 for the others.");
    }
#undef COUNTER
#undef GAUGE
}

void capture_stats_copy(struct capture_stats *s, const char *table, struct copy_stats *copy)
{
    struct buf labels = {0};
    stats_label(&labels, "table", table);
    const char *text = buf_cstr(&labels);
#define GAUGE(field, name, help)                                                                   \
    copy->field = stats_register(&s->file, STATS_GAUGE, name, text, help)
    GAUGE(active, "pg2any_capture_copy_active", "1 while the table is copied.");
    GAUGE(rows, "pg2any_capture_copy_rows",
          "Rows of the table's copy that this process has written.");
    GAUGE(bytes, "pg2any_capture_copy_bytes", "The same in bytes, as the source sent them.");
    GAUGE(estimated_rows, "pg2any_capture_copy_estimated_rows",
          "Rows of the table as the source's planner estimates them; 0: unknown.");
    GAUGE(begun, "pg2any_capture_copy_begun_timestamp_seconds",
          "When this process began with the table, Unix time.");
#undef GAUGE
    buf_free(&labels);
}

void capture_stats_slot(struct capture_stats *s, const char *wal_status, uint64_t retained_bytes,
                        uint64_t budget_bytes)
{
    *s->retained_bytes = retained_bytes;
    *s->budget_bytes = budget_bytes;
    for (size_t i = 0; i < sizeof wal_states / sizeof *wal_states; i++)
        *s->wal_status[i] = strcmp(wal_status, wal_states[i]) == 0;
}
