/*
 * capture_stats.h - the metrics of pg-capture (base/stats.h): which there are, and what each means.
 */
#ifndef PG2ANY_CAPTURE_STATS_H
#define PG2ANY_CAPTURE_STATS_H

#include <stdint.h>

#include "base/stats.h"

/* The copy of one table. */
struct copy_stats {
    uint64_t *active; /* 1 while it is copied */
    uint64_t *rows, *bytes, *estimated_rows;
    uint64_t *begun; /* Unix time */
};

struct capture_stats {
    struct stats file;
    uint64_t *messages[128]; /* by letter */
    uint64_t *received_bytes;
    uint64_t *emitted_bytes;
    uint64_t *connections;
    uint64_t *connected;
    uint64_t *received_lsn;
    uint64_t *emitted_lsn;
    uint64_t *covered_lsn;
    uint64_t *acknowledged_lsn;
    uint64_t *confirmed_lsn;
    uint64_t *commit_time;
    uint64_t *pending_bytes;
    uint64_t *lag_bytes;
    uint64_t *server_lsn;
    uint64_t *retained_bytes;
    uint64_t *budget_bytes;
    uint64_t *copy_tables_left;
    uint64_t *copied_tables;
    uint64_t *copied_rows;
    uint64_t *copied_bytes;
    uint64_t *wal_status[4]; /* 1 for the present one */
};

/* `path` as for stats_init(), `slot` by name; stats_end(&s->file) frees everything. */
void capture_stats_init(struct capture_stats *s, const char *path, const char *slot);

/* The metrics of the copy of a table, "schema.name". */
void capture_stats_copy(struct capture_stats *s, const char *table, struct copy_stats *copy);

/* The slot's state: `wal_status` as in pg_replication_slots. */
void capture_stats_slot(struct capture_stats *s, const char *wal_status, uint64_t retained_bytes,
                        uint64_t budget_bytes);

#endif
