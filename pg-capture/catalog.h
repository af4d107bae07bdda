/*
 * catalog.h - what pgoutput does not say, asked of the system catalogs over an ordinary connection.
 *
 * The connection is opened when it is first needed and again after it was lost. Every call waits
 * with the waiter, for at most the time limit; exceeding it is a temporary error. Sources:
 * PostgreSQL documentation, "System Catalogs" and "System Views".
 */
#ifndef PG2ANY_CATALOG_H
#define PG2ANY_CATALOG_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/err.h"
#include "frames/relation.h"
#include "pgoutput.h"
#include "session.h"

/* What is asked about, in every answer. */
struct catalog_subject {
    const char *slot;
    size_t npublications;
    const char *const *publications;
};

/*
 * A condition: synchronous_standby_names has our application_name. The list is read as the server
 * reads it (syncrep_scanner.l, SyncRepGetStandbyPriority()): an optional number of standbys, then
 * names, without regard to case. A standby's commits do not wait.
 */
#define CATALOG_MAY_BE_WAITED_FOR                                                                  \
    "NOT pg_is_in_recovery() AND EXISTS ("                                                         \
    " SELECT FROM regexp_matches(regexp_replace(current_setting('synchronous_standby_names'),"     \
    "  '^[[:space:]]*((first|any)[[:space:]]+)?[0-9]+[[:space:]]*[(]', '', 'i'),"                  \
    "  '\"(([^\"]|\"\")+)\"|([^[:space:],()\"]+)', 'g') AS m (part)"                               \
    " WHERE lower(coalesce(replace(part[1], '\"\"', '\"'), part[3]) COLLATE \"C\")"                \
    "  IN ('*', lower(current_setting('application_name') COLLATE \"C\")))"

/* A query with a row where COMMITs wait for the reader of the slot. Only who may
 * pg_read_all_stats is told the state of a standby; for others they may wait. */
#define CATALOG_WAITED_FOR(slot)                                                                   \
    "SELECT FROM pg_replication_slots l JOIN pg_stat_replication r ON r.pid = l.active_pid"        \
    " WHERE l.slot_name = " slot " AND CASE WHEN r.sync_state IS NULL"                             \
    " THEN " CATALOG_MAY_BE_WAITED_FOR " ELSE r.sync_state IN ('sync', 'quorum') END"

/* All transactions with an xid before `xmin` ended before `lsn`. */
struct catalog_horizon {
    uint64_t lsn;
    uint32_t xmin;
};

#define CATALOG_HORIZONS 64

struct catalog {
    struct session session;
    uint64_t opened;                 /* how often */
    const struct source *source;     /* borrowed */
    const struct session *streaming; /* borrowed; NULL: nothing streams */
    const struct waiter *waiter;     /* borrowed */
    int64_t time_limit_ms;
    struct catalog_subject subject;                    /* borrowed */
    struct catalog_horizon horizons[CATALOG_HORIZONS]; /* the latest, in a ring */
    size_t nhorizons;
    uint32_t standby_xmin; /* of the last look; 0: none */
    bool waited_for; /* at the last look, COMMITs waited for what the slot's reader confirms */
    /* This connection has seen all transactions before `ended_xmin` ended (0: it has not looked
     * yet), and since then that one. */
    uint32_t ended_xmin, ended_xid;
    PGresult *prepared;    /* the xids that were prepared when the stream was about to begin */
    uint64_t prepared_lsn; /* and a place in the WAL that came after that was asked; 0: none */
    bool relation_prepared;
    PGresult *relation; /* what the last relation's strings point into */
    struct buf bytes;   /* and its bytea values */
    struct buf texts;   /* and its lists of texts */
    uint32_t *pk;       /* and its primary key */
    const char **lists; /* and the lists themselves */
    struct relation_file *files;
};

void catalog_init(struct catalog *c, const struct source *source, const struct session *streaming,
                  const struct waiter *waiter, int64_t time_limit_ms,
                  const struct catalog_subject *subject);
void catalog_close(struct catalog *c);

/* Opens the connection if it is closed: to the server that streams, if there is one. */
MUST_CHECK int catalog_connect(struct catalog *c, struct err *err);

/*
 * A query with text parameters; the result, which is of that shape, is the caller's to PQclear().
 * `name`: of the statement, which is prepared once for a connection; NULL: it is not. A connection
 * that was lost since the last query is opened again, once.
 */
MUST_CHECK int catalog_ask(struct catalog *c, const char *name, const char *sql, int nparams,
                           const char *const *params, struct shape shape, PGresult **result,
                           struct err *err);

/* The same with a list of names as the only parameter. */
MUST_CHECK int catalog_ask_about(struct catalog *c, const char *sql, size_t n,
                                 const char *const *names, struct shape shape, PGresult **result,
                                 struct err *err);

/* Any query with text parameters; the result is the caller's to PQclear(). */
MUST_CHECK int catalog_query(struct catalog *c, const char *sql, int nparams,
                             const char *const *params, struct shape shape, PGresult **result,
                             struct err *err);

/* Permanent error that names the first of the publications that do not exist. */
MUST_CHECK int catalog_check_publications(struct catalog *c, size_t n, const char *const *names,
                                          struct err *err);

/* Permanent error if a column of the publications' tables has no binary form that can be converted.
 * */
MUST_CHECK int catalog_check_binary(struct catalog *c, size_t n, const char *const *names,
                                    struct err *err);

/*
 * Asks which transactions have ended, for later questions about places in the WAL after that. The
 * more often it is asked, the more answers can be attributed to their place.
 */
MUST_CHECK int catalog_look_ahead(struct catalog *c, struct err *err);

/* Asks which transactions are prepared, before the stream begins. */
MUST_CHECK int catalog_look_at_prepared(struct catalog *c, struct err *err);

/*
 * Whether a transaction of which the slot sent COMMIT PREPARED and no PREPARE has nothing to send.
 * It has nothing if it was prepared after the stream began, because otherwise the PREPARE would
 * have arrived. Any other is decoded once more by the server, without two-phase, on a temporary
 * copy of the slot: that needs a free slot (max_replication_slots).
 */
MUST_CHECK int catalog_was_empty(struct catalog *c, uint32_t xid, uint64_t commit_lsn,
                                 uint64_t end_lsn, bool *empty, struct err *err);

/*
 * Fills in a relation as pgoutput.h asks for it. What it points to stays until the next call. A
 * table that is no longer in the catalog is left unknown, without an error.
 *
 * The answer shows the table with all that the transaction of `place` and those before it have done
 * to it. If the catalog does not show that yet, the call waits without limit, and logs that it
 * does. The answer may also show later changes; it says which parts are older than the place.
 */
MUST_CHECK int catalog_relation(struct catalog *c, struct relation *rel,
                                const struct pgoutput_place *place, struct err *err);

/* Frees what the last one points to. */
void catalog_forget_relation(struct catalog *c);

/*
 * The beginning of a query about the tables of publications: published (pub, relid), as
 * pg_publication_tables has them, of the publications $1 and of the table $2 (0: of all). From
 * PostgreSQL 16 on that view opens each table: it would wait for anyone who holds a lock.
 */
#define PUBLISHED_SQL(schemas)                                                                     \
    "WITH RECURSIVE line AS (SELECT oid AS relid, oid AS member FROM pg_class"                     \
    "  WHERE relkind IN ('r', 'p') AND relpersistence = 'p' AND oid >= 16384"                      \
    "   AND ($2::oid = 0 OR oid = $2::oid)"                                                        \
    "  UNION ALL SELECT line.relid, i.inhparent FROM line"                                         \
    "  JOIN pg_class c ON c.oid = line.member AND c.relispartition"                                \
    "  JOIN pg_inherits i ON i.inhrelid = line.member),"                                           \
    " published AS (SELECT p.oid AS pub, line.relid FROM pg_publication p JOIN line"               \
    "  ON p.puballtables OR EXISTS (SELECT FROM pg_publication_rel m"                              \
    "   WHERE m.prpubid = p.oid AND m.prrelid = line.member)" schemas                              \
    "  JOIN pg_class c ON c.oid = line.relid WHERE p.pubname = ANY ($1::text[])"                   \
    "  GROUP BY p.oid, line.relid, c.relkind HAVING CASE WHEN p.pubviaroot"                        \
    "   THEN bool_and(line.member = line.relid) ELSE c.relkind = 'r' END)"
#define PUBLISHED_SCHEMAS                                                                          \
    " OR EXISTS (SELECT FROM pg_publication_namespace m JOIN pg_class c"                           \
    "  ON c.relnamespace = m.pnnspid WHERE m.pnpubid = p.oid AND c.oid = line.member)"

/* A table of the publications as a Relation message would describe it now; borrowed. */
typedef int catalog_published_fn(void *ctx, struct relation *rel, struct err *err);

/* Calls `fn` for each table of the publications that has columns, by name, or for that one only
 * (relid 0: all); ends with its first error. */
MUST_CHECK int catalog_published(struct catalog *c, uint32_t relid, catalog_published_fn *fn,
                                 void *ctx, struct err *err);

/* A table of the publications as the catalog has it now; *rel NULL: it is not published. The caller
 * gets one reference. */
MUST_CHECK int catalog_describe(struct catalog *c, uint32_t relid, struct relation **rel,
                                struct err *err);

#define SLOT_TEXT_SIZE 128

/* A row of pg_replication_slots. */
struct slot {
    bool exists;
    char plugin[SLOT_TEXT_SIZE];         /* "" for a physical slot */
    char database[SLOT_TEXT_SIZE];       /* "" likewise */
    char wal_status[SLOT_TEXT_SIZE];     /* reserved, extended, unreserved, lost; "" */
    char invalidation[SLOT_TEXT_SIZE];   /* why it cannot be used any more; "" */
    char safe_wal_bytes[SLOT_TEXT_SIZE]; /* "" where it is not limited */
    bool two_phase;
    bool active;
    uint64_t confirmed_flush_lsn;
    uint64_t restart_lsn;
    uint64_t current_lsn; /* the end of the server's WAL when it was asked */
    bool beyond_wal; /* confirmed further than that; never said of a standby, which may replay */
    uint64_t max_wal_bytes; /* max_slot_wal_keep_size; 0: it does not limit */
};

MUST_CHECK int catalog_slot(struct catalog *c, const char *name, struct slot *slot,
                            struct err *err);

/* The WAL that the server keeps for the slot, in bytes. */
uint64_t slot_retained_bytes(const struct slot *slot);

/* The server's settings that matter. */
struct server_settings {
    char wal_level[SLOT_TEXT_SIZE];
    bool in_recovery;
    uint64_t wal_block_bytes;
    uint64_t wal_segment_bytes;
    uint64_t wal_sender_timeout_ms; /* 0: none */
    uint64_t wal_writer_delay_ms;
    uint64_t insert_lsn; /* where the next record goes; replayed so far on a standby */
    uint64_t flush_lsn;  /* what can be decoded; likewise */
};

MUST_CHECK int catalog_settings(struct catalog *c, struct server_settings *settings,
                                struct err *err);

/* Appends a text[] in PostgreSQL's input syntax. */
void array_of_text(struct buf *out, size_t n, const char *const *items);

#endif
